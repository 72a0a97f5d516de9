"""A module with CuPy's names whose arrays live in host memory and refuse to be read from there."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

import numpy as np
import pytest


class DeviceArray:
    """An array that only functions of its own module, its operators and ``get`` may read."""

    __array_ufunc__ = None

    def __init__(self, held: np.ndarray):
        self.held = np.asarray(held)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("implicit conversion of a device array to NumPy")

    def __float__(self) -> float:
        raise TypeError("implicit conversion of a device array to a number")

    def __bool__(self) -> bool:
        raise TypeError("implicit conversion of a device array to a truth value")

    def get(self) -> np.ndarray:
        return self.held.copy()

    @property
    def dtype(self) -> np.dtype:
        return self.held.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.held.shape

    @property
    def size(self) -> int:
        return self.held.size

    @property
    def T(self) -> DeviceArray:
        return DeviceArray(self.held.T)

    def astype(self, dtype: Any) -> DeviceArray:
        return DeviceArray(self.held.astype(dtype))

    def reshape(self, *shape: Any) -> DeviceArray:
        return DeviceArray(self.held.reshape(*shape))

    def __getitem__(self, key: Any) -> DeviceArray:
        return DeviceArray(self.held[_inside(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[_inside(key)] = _inside(value)

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Any:
        return iter([DeviceArray(item) for item in self.held])


def _inside(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return value.held
    if isinstance(value, tuple | list):
        return type(value)(map(_inside, value))
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array among device arrays")
    return value


def _outside(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return DeviceArray(np.asarray(value))
    return type(value)(map(_outside, value)) if isinstance(value, tuple | list) else value


def _wrapped(function: Any) -> Any:
    return lambda *args, **kwargs: _outside(function(*map(_inside, args), **kwargs))


def _operator(name: str) -> Any:
    def method(self: DeviceArray, *others: Any) -> Any:
        return _outside(getattr(self.held, name)(*map(_inside, others)))

    return method


for _name in ("add sub mul truediv pow neg abs radd rsub rmul rtruediv rpow lt le gt ge eq ne and or matmul "
              "invert").split():  # fmt: skip
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))


def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, importable as ``cupy`` until the test ends, with SciPy's functions as ``cupyx.scipy.special``."""
    from scipy import special

    class CUDARuntimeError(Exception):
        pass

    def member(name: str) -> Any:
        found = getattr(np, name)
        return _wrapped(found) if callable(found) and not isinstance(found, type) else found

    cupy: Any = types.ModuleType("cupy")
    cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    cupy.__getattr__ = member
    cupy.ndarray = DeviceArray
    # What comes from the host comes by name.
    cupy.asarray = lambda value, dtype=None: DeviceArray(
        np.asarray(value.held if isinstance(value, DeviceArray) else value, dtype=dtype)
    )
    cupy.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=CUDARuntimeError)
    )
    functions: Any = types.ModuleType("cupyx.scipy.special")
    for name in ("erf", "erfc", "gamma", "gammaln", "polygamma"):
        setattr(functions, name, _wrapped(getattr(special, name)))
    scipy: Any = types.ModuleType("cupyx.scipy")
    scipy.special = functions
    for name, module in (("cupy", cupy), ("cupyx", types.ModuleType("cupyx")), ("cupyx.scipy", scipy),
                         ("cupyx.scipy.special", functions)):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    return cupy
