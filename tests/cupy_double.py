"""A stand-in for CuPy on machines without a GPU: its names, its protocols, its refusals, in host memory.

It has the functions and methods that CuPy has (``cupy_names.txt``) with its parameters, its loops and no others, speaks
NumPy's protocols as CuPy does (no generalised ufuncs), takes no NumPy array among its own, counts what is copied
between host and device, and refuses the host's company while a stream is captured; there nothing runs before the graph
is launched.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

import cuda_double
import cupy_functions
import kernel_double
import numpy as np
import pytest
from cupy_arrays import MEMBERS, STATE, State, ndarray

__all__ = ["MEMBERS", "STATE", "State", "install", "ndarray"]

NAMES_OF = cupy_functions.read_names()
cupy_functions.fill_members(NAMES_OF)
for _name, _value in cupy_functions.attributes(NAMES_OF["ndarray"]).items():
    setattr(ndarray, _name, _value)


def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The double, importable as ``cupy`` until the test ends; ``cupy.STATE`` counts its copies and launches."""
    STATE.__init__()
    modules = {name: types.ModuleType(name) for name in (*MEMBERS, "cupyx.scipy", "cupy.lib", "cupy.cuda")}
    for name, members in MEMBERS.items():
        for member, function in members.items():
            setattr(modules[name], member, function)
    cupy: Any = modules["cupy"]
    for name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
                 "float32", "float64", "complex64", "complex128", "pi", "e", "inf", "nan", "newaxis", "dtype",
                 "finfo", "iinfo", "result_type", "errstate"):  # fmt: skip
        setattr(cupy, name, getattr(np, name))
    cupy.ndarray, cupy.STATE, cupy.__version__ = ndarray, STATE, "14.2.0"
    kernel_double.install(cupy, STATE, ndarray)
    cuda_double.install(modules["cupy.cuda"], cupy, STATE)
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
        monkeypatch.setitem(sys.modules, name, module)
    return cupy
