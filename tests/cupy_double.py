"""A stand-in for CuPy on machines without a GPU: its names, its protocols, its refusals, in host memory.

It has the functions and methods that CuPy has (``cupy_names.txt``) with its parameters and no others, speaks NumPy's
protocols as CuPy does (no generalised ufuncs), takes no NumPy array among its own, counts what is copied between host
and device, and refuses the host's company while a stream is captured; there nothing runs before the graph is launched.
"""

from __future__ import annotations

import functools
import importlib.machinery
import sys
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import cuda_double
import kernel_double

NAMES = Path(__file__).with_name("cupy_names.txt")
BLAS = frozenset({"matmul", "dot", "tensordot", "einsum", "inner", "vdot", "outer", "kron"})
LIBRARIES = {"linalg": "cuSOLVER", "fft": "cuFFT"}
HOST = frozenset({"asarray", "array", "asanyarray", "ascontiguousarray"})  # what brings arrays from the host by name


class State:
    """What is counted and whether a stream is being captured; one for each installed double."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.launches = 0
        self.capturing: list[Callable[[], Any]] | None = None
        self.runtime_error: type[Exception] = RuntimeError

    def to_host(self) -> None:
        """Something is copied to the host."""
        self.refuse_capture("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
        self.copies["to host"] += 1

    def refuse_capture(self, why: str, error: type[Exception] | None = None) -> None:
        """What a captured stream must not do."""
        if self.capturing is not None:
            raise (error or self.runtime_error)(why)

    def launch(self, action: Callable[[], Any]) -> None:
        """Run now, or when the graph that is being captured is launched."""
        self.launches += 1
        if self.capturing is None:
            action()
        else:
            self.capturing.append(action)


STATE = State()


class ndarray:  # noqa: N801 (its name in CuPy)
    """An array that only functions of its own module, its operators and ``get`` may read."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment] (as CuPy's)

    def __init__(self, shape: Any, dtype: Any = float, *, held: np.ndarray | None = None):
        self.held = np.empty(shape, dtype) if held is None else held

    # ---------------------------------------------------------------- what it is

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    size = property(lambda self: self.held.size)
    ndim = property(lambda self: self.held.ndim)
    nbytes = property(lambda self: self.held.nbytes)
    itemsize = property(lambda self: self.held.itemsize)
    strides = property(lambda self: self.held.strides)
    flags = property(lambda self: self.held.flags)

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self.held.ctypes.data, mem=types.SimpleNamespace(size=self.held.nbytes))

    @property
    def base(self) -> Any:
        return None if self.held.base is None else ndarray((), held=self.held.base)

    def __len__(self) -> int:
        return len(self.held)

    def __repr__(self) -> str:
        return f"device {self.held!r}"

    # ---------------------------------------------------------------- what the host may ask

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self, *args: Any, **kwargs: Any) -> np.ndarray:
        STATE.to_host()
        return self.held.copy()

    def item(self, *args: Any) -> Any:
        return self.get().item(*args)

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def set(self, value: np.ndarray) -> None:
        STATE.refuse_capture("cudaErrorStreamCaptureUnsupported: a copy from pageable memory while capturing")
        STATE.copies["to device"] += 1
        self.held[...] = value

    # ---------------------------------------------------------------- NumPy's protocols, as CuPy answers them

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        if method != "__call__" or ufunc.signature is not None:
            return NotImplemented
        found = MEMBERS["cupy"].get(ufunc.__name__)
        return NotImplemented if found is None else found(*inputs, **kwargs)

    def __array_function__(self, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        path = ".".join(["cupy", *function.__module__.split(".")[1:]])
        found = MEMBERS.get(path, {}).get(function.__name__)
        if found is None or not all(issubclass(kind, ndarray | np.ndarray) for kind in kinds):
            return NotImplemented
        return found(*args, **kwargs)

    # ---------------------------------------------------------------- items

    def __getitem__(self, key: Any) -> ndarray:
        if _masks(key):
            STATE.refuse_capture("a mask's size is asked for while a stream is capturing")
            STATE.copies["to host"] += 1
        return _launched(lambda: self.held[_inside(key)], [self.held])

    def __setitem__(self, key: Any, value: Any) -> None:
        def store() -> None:
            self.held[_inside(key)] = _inside(value)

        _inside(key), _inside(value)
        STATE.launch(store)

    def __iter__(self) -> Any:
        return iter([self[position] for position in range(len(self))])


def _masks(key: Any) -> bool:
    return any(isinstance(part, ndarray) and part.dtype == bool for part in (key if isinstance(key, tuple) else (key,)))


def _inside(value: Any) -> Any:
    """What the double's own code works on; a NumPy array is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, tuple | list):
        return type(value)([_inside(item) for item in value])
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _launched(compute: Callable[[], Any], operands: list[np.ndarray]) -> Any:
    """The result of an operation; a view stays one, and while capturing it is filled when the graph runs."""
    with np.errstate(all="ignore"):
        result = compute()
    if isinstance(result, tuple | list):
        return type(result)([_arrayed(one, functools.partial(_part, compute, at), operands)
                             for at, one in enumerate(result)])  # fmt: skip
    return _arrayed(result, compute, operands)


def _part(compute: Callable[[], Any], at: int) -> Any:
    return compute()[at]


def _arrayed(result: Any, compute: Callable[[], Any], operands: list[np.ndarray]) -> Any:
    if not isinstance(result, np.ndarray | np.generic):
        return result
    if isinstance(result, np.ndarray) and any(np.may_share_memory(result, one) for one in operands):
        return ndarray((), held=result)
    held = np.array(result)
    STATE.launches += 1
    if STATE.capturing is not None:
        held.fill(0)

        def fill() -> None:
            held[...] = compute()

        STATE.capturing.append(fill)
    return ndarray((), held=held)


def _leaves(value: Any) -> list[np.ndarray]:
    if isinstance(value, ndarray):
        return [value.held]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in _leaves(item)]
    return []


def _function(module: str, name: str, parameters: str, function: Callable) -> Callable:
    """A function of CuPy's: NumPy's own on what the arrays hold, with CuPy's parameters only."""
    known = set(parameters.split())
    library = "cuBLAS" if name in BLAS else LIBRARIES.get(module.partition(".")[2])
    ufunc = parameters.startswith("ufunc")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        allowed = {"out", "dtype", "casting"} if ufunc else known
        if (strange := sorted(set(kwargs) - allowed)) and not any(one.startswith("**") for one in known):
            raise TypeError(f"{name}() got an unexpected keyword argument {strange[0]!r}")
        if library is not None:
            STATE.refuse_capture(
                f"calling {library} API during stream capture is currently unsupported", NotImplementedError
            )
        if ufunc and isinstance(args[0], np.ndarray | list):
            raise TypeError(f"Unsupported type {type(args[0])}")
        out = kwargs.pop("out", None)
        if out is None and name == "copyto":
            out, args = args[0], args[1:]
            kwargs = {key: _inside(value) for key, value in kwargs.items()}
            source = _inside(args[0])
            STATE.launch(lambda: np.copyto(out.held, source, **kwargs))
            return None
        if ufunc and out is None and len(args) > int(parameters.split()[1]):
            args, out = args[:-1], args[-1]
        given = [_inside(value) for value in args]
        named = {key: _inside(value) for key, value in kwargs.items()}
        if out is None:
            return _launched(lambda: function(*given, **named), _leaves([*args, *kwargs.values()]))
        if not isinstance(out, ndarray):
            raise TypeError(f"out must be a cupy.ndarray, not {type(out)}")

        def fill() -> None:
            with np.errstate(all="ignore"):
                result = function(*given, **named)
            if result.shape != out.held.shape:
                raise ValueError(f"the result of {name} has shape {result.shape}, and out {out.held.shape}")
            out.held[...] = result

        STATE.launch(fill)
        return out

    return call


def _from_host(name: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def bring(value: Any, *args: Any, **kwargs: Any) -> ndarray:
        if isinstance(value, ndarray):
            if name == "asarray" and not args and kwargs.get("dtype") in (None, value.dtype):
                return value
            return _launched(lambda: function(value.held, *args, **kwargs), [value.held])
        if any(True for _ in _leaves(value)):
            return _launched(lambda: np.asarray(_inside(value), *args, **kwargs), [])
        if isinstance(value, np.ndarray):
            STATE.refuse_capture("cudaErrorStreamCaptureUnsupported: a copy from pageable memory while capturing")
        STATE.copies["to device"] += 1
        return ndarray((), held=np.array(value, *args, **kwargs))

    return bring


def _method(name: str) -> Callable:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        given, named = [_inside(value) for value in args], {key: _inside(value) for key, value in kwargs.items()}
        method = getattr(np.ndarray, name)
        if name in ("fill", "sort", "partition", "put"):
            return STATE.launch(lambda: method(self.held, *given, **named))
        result = _launched(lambda: method(self.held, *given, **named), [self.held])
        if name in ("copy", "astype", "flatten") and np.may_share_memory(result.held, self.held):
            return result
        return NotImplemented if result is NotImplemented else result

    return call


def _binary(name: str) -> Callable:
    def call(self: ndarray, *others: Any) -> Any:
        for other in others:
            if not isinstance(other, ndarray | np.generic | int | float | complex):
                if getattr(other, "__array_priority__", 0) > self.__array_priority__:
                    return NotImplemented
                raise TypeError(f"Unsupported type {type(other)}")
        if name in ("__matmul__", "__rmatmul__"):
            STATE.refuse_capture("calling cuBLAS API during stream capture is unsupported", NotImplementedError)
        held = [_inside(other) for other in others]
        operands = [] if name not in ("__pos__",) else [self.held]
        return _launched(lambda: getattr(self.held, name)(*held), operands)

    return call


def _in_place(name: str) -> Callable:
    def call(self: ndarray, other: Any) -> ndarray:
        held = _inside(other)
        STATE.launch(lambda: getattr(self.held, name)(held))
        return self

    return call


def _read_names() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in NAMES.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, parameters = line.partition(":")
            section[name] = parameters.strip()
    return found


def _members() -> dict[str, dict[str, Callable]]:
    sources: dict[str, Any] = {
        "cupy": np, "cupy.linalg": np.linalg, "cupy.fft": np.fft, "cupyx.scipy.special": scipy.special,
    }  # fmt: skip
    members: dict[str, dict[str, Callable]] = {}
    for module, source in sources.items():
        members[module] = {}
        for name, parameters in NAMES_OF[module].items():
            function = getattr(source, name, None)
            if callable(function) and not isinstance(function, type):
                wrap = _from_host(name, function) if module == "cupy" and name in HOST else None
                members[module][name] = wrap or _function(module, name, parameters, function)
    stride_tricks = {"as_strided": _as_strided}
    return {**members, "cupy.lib.stride_tricks": stride_tricks}


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return ndarray((), held=np.lib.stride_tricks.as_strided(x.held, shape, strides))


NAMES_OF = _read_names()
MEMBERS = _members()
HOST_SIDE = {"item", "tolist", "get", "set", "tobytes", "tofile", "dump", "dumps", "data", "base", "flags"}
for _name in NAMES_OF["ndarray"]:
    if _name in ndarray.__dict__ or _name in HOST_SIDE:
        continue
    if _name.startswith("__i") and _name not in ("__invert__", "__int__", "__iter__", "__init__"):
        if hasattr(np.ndarray, _name):
            setattr(ndarray, _name, _in_place(_name))
    elif _name.startswith("__") and hasattr(np.ndarray, _name):
        _dunder = _name.strip("_")
        if _dunder.lstrip("r") in (
            "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift shift neg pos abs invert lt le gt ge "
            "eq ne".split()
        ) or _dunder in ("rshift", "rrshift"):
            setattr(ndarray, _name, _binary(_name))
    elif callable(getattr(np.ndarray, _name, None)):
        setattr(ndarray, _name, _method(_name))
    elif _name in ("T", "mT", "real", "imag", "flat"):
        setattr(
            ndarray,
            _name,
            property(lambda self, at=_name: _launched(lambda: getattr(self.held, at), [self.held])),
        )


def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The double, importable as ``cupy`` until the test ends; ``cupy.STATE`` counts its copies and launches."""
    STATE.__init__()
    modules = {name: types.ModuleType(name) for name in (*MEMBERS, "cupyx", "cupyx.scipy", "cupy.lib", "cupy.cuda")}
    for name, members in MEMBERS.items():
        for member, function in members.items():
            setattr(modules[name], member, function)
    cupy: Any = modules["cupy"]
    for name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
                 "float64", "complex64", "complex128", "pi", "e", "inf", "nan", "newaxis", "dtype", "finfo", "iinfo",
                 "result_type", "errstate"):  # fmt: skip
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
