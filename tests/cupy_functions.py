"""CuPy's functions for its stand-in: NumPy's on what the arrays hold, with its parameters, loops, waits and errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cupy_linalg
import numpy as np
import scipy.special
from cupy_arrays import MEMBERS, NUMBERS, STATE, filled, inside, launched, leaves, ndarray

NAMES = Path(__file__).with_name("cupy_names.txt")
BLAS = frozenset({"matmul", "dot", "tensordot", "einsum", "inner", "vdot", "outer", "kron"})
LIBRARIES = {"linalg": "cuSOLVER", "fft": "cuFFT"}
HOST = frozenset({"asarray", "array", "asanyarray", "ascontiguousarray"})  # what brings arrays from the host by name
WAITING = frozenset({
    "argwhere", "bincount", "choose", "compress", "extract", "flatnonzero", "histogram", "histogram2d", "histogramdd",
    "intersect1d", "nonzero", "piecewise", "setdiff1d", "setxor1d", "trim_zeros", "union1d", "unique", "unique_all",
    "unique_counts", "unique_inverse", "unique_values", "unravel_index",
})  # fmt: skip
"""Functions that ask the GPU for a size or a condition."""
SCATTERING = frozenset({"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"})


def read_names() -> dict[str, dict[str, str]]:
    """Parameters by section and name."""
    found: dict[str, dict[str, str]] = {}
    for line in NAMES.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, parameters = line.partition(":")
            section[name] = parameters.strip()
    return found


# ---------------------------------------------------------------------------- universal functions


class Ufunc:
    """A function of elements: the first loop that the operands' dtypes can be cast to, Python's numbers giving way."""

    def __init__(self, name: str, function: Callable, parameters: str):
        self.name, self.__name__ = f"cupy_{name}", name
        _, nin, nout, *types = parameters.split()
        self.nin, self.nout, self.types = int(nin), int(nout), types
        self._function = function
        self._loops = [tuple([tuple(map(_dtype, side)) for side in one.split("->")]) for one in types]

    def __repr__(self) -> str:
        return f"<ufunc {self.name!r}>"

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.name!r}.")
        args, given = args[: self.nin], args[self.nin :]
        out = given[0] if given else out[0] if isinstance(out, tuple) and len(out) == 1 else out
        for arg in args:
            if (override := getattr(arg, "__cupy_override_elementwise_kernel__", None)) is not None:
                return override(self, *args)
            if not isinstance(arg, (ndarray, *NUMBERS)):
                raise TypeError(f"Unsupported type {type(arg)}")
        ins, outs = self._loop(args) if dtype is None else self._loop_to(np.dtype(dtype))
        if out is not None and not np.can_cast(outs[0], out.dtype, casting):  # type: ignore[arg-type] (NumPy's word)
            raise TypeError(f"output (typecode {outs[0].char!r}) could not be coerced to provided output parameter "
                            f"(typecode {out.dtype.char!r}) according to the casting rule {casting!r}")  # fmt: skip
        operands = [inside(arg) for arg in args]

        def compute() -> Any:
            cast = [_cast(operand, _working(kind, outs[0])) for operand, kind in zip(operands, ins, strict=True)]
            result = self._function(*cast)
            if self.nout == 1:
                return np.asarray(result).astype(outs[0])
            return tuple([np.asarray(one).astype(kind) for one, kind in zip(result, outs, strict=True)])

        if out is None:
            return launched(compute, [])
        return filled(out, self.__name__, compute)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """As ``numpy.ufunc.at``, by atomic operations."""
        if self.__name__ not in SCATTERING:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if a.dtype.kind == "c":
            raise RuntimeError("no instance of overloaded function atomicAdd matches the argument list: complex")
        place, given = inside(indices), inside(b)
        STATE.launch(lambda: getattr(np, self.__name__).at(a.held, place, given))

    def _loop(self, args: Sequence[Any]) -> tuple:
        dtypes, weak = [], []
        for arg in args:
            plain = type(arg) in (bool, int, float, complex)
            dtypes.append(np.dtype(type(arg)) if plain else arg.dtype)
            weak.append(type(arg) if plain and type(arg) is not bool else None)
        strong = [_rank(dtype.type) for dtype, kind in zip(dtypes, weak, strict=True) if kind is None]
        if not strong or max(strong) < max([_rank(kind) for kind in weak if kind is not None], default=-1):
            weak = [None] * len(args)
        for ins, outs in self._loops:
            if all(map(_fits, dtypes, weak, ins)):
                return ins, outs
        raise TypeError(f"Wrong type ({tuple(dtypes)}) of arguments for {self.name}")

    def _loop_to(self, dtype: np.dtype) -> tuple:
        for ins, outs in self._loops:
            if all(one == dtype for one in outs):
                return ins, outs
        raise TypeError(f"Wrong type ({dtype}) of arguments for {self.name}")


def _dtype(char: str) -> np.dtype:
    """The dtype of a loop; NumPy has other loops for ``long long``, which is its ``long`` here."""
    return np.dtype({"q": "l", "Q": "L"}.get(char, char))


def _rank(kind: type) -> int:
    return 0 if issubclass(kind, np.bool_) else 1 if issubclass(kind, np.integer | int) else 2


def _fits(dtype: np.dtype, weak: type | None, wanted: np.dtype) -> bool:
    if np.can_cast(dtype, wanted):
        return True
    return weak is not None and np.result_type(weak(0), wanted) == wanted


def _working(kind: np.dtype, result: np.dtype) -> np.dtype:
    """The dtype that a loop computes in: some take half precision and give double."""
    return np.result_type(kind, result) if result.kind == kind.kind == "f" else kind


def _cast(operand: Any, dtype: np.dtype) -> Any:
    return operand.astype(dtype, copy=False) if isinstance(operand, np.ndarray) else np.array(operand, dtype)


# ---------------------------------------------------------------------------- other functions


def _sorted_along(a: np.ndarray, axis: Any = -1, kind: Any = None) -> np.ndarray:
    _check_sort(a, kind)
    return np.sort(a, axis, "stable")


def _order_along(a: np.ndarray, axis: Any = -1, kind: Any = None) -> np.ndarray:
    _check_sort(a, kind)
    return np.argsort(a, axis, "stable")


def _check_sort(a: np.ndarray, kind: Any) -> None:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def _where(condition: np.ndarray, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        STATE.to_host()
        return np.nonzero(condition)
    if not isinstance(condition, np.ndarray):
        raise AttributeError(f"{type(condition).__name__!r} object has no attribute 'astype'")
    return np.where(condition, x, y)


def _ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "wrap", order: Any = "C") -> Any:
    modes: Any = (mode,) * len(dims) if isinstance(mode, str) else mode
    if "raise" in modes:
        STATE.to_host()
    return np.ravel_multi_index(multi_index, dims, modes, order)


def _put(a: np.ndarray, ind: Any, v: Any, mode: Any = "wrap") -> None:
    if mode == "raise":
        STATE.to_host()
    np.put(a, ind, v, mode)


def _on_device(function: Callable) -> Callable:
    """A test of arrays whose answer stays on the device."""
    return functools.wraps(function)(lambda *args, **kwargs: np.asarray(function(*args, **kwargs)))


OWN: dict[str, Callable] = {
    "sort": _sorted_along, "argsort": _order_along, "where": _where, "put": _put,
    "ravel_multi_index": _ravel_multi_index,
    "partition": lambda a, kth, axis=-1: _sorted_along(a, axis),
    "argpartition": lambda a, kth, axis=-1: _order_along(a, axis),
    **{name: _on_device(getattr(np, name)) for name in ("array_equal", "array_equiv", "allclose")},
}  # fmt: skip
"""What CuPy does otherwise than NumPy."""


def _function(module: str, name: str, parameters: str, function: Callable) -> Callable:
    """A function of CuPy's: NumPy's own on what the arrays hold, with CuPy's parameters only."""
    known = parameters.split()
    free = any(one.startswith("*") for one in known)
    library = "cuBLAS" if name in BLAS else LIBRARIES.get(module.partition(".")[2])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not any(one.startswith("**") for one in known) and (strange := sorted(set(kwargs) - set(known))):
            raise TypeError(f"{name}() got an unexpected keyword argument {strange[0]!r}")
        if not free and len(args) > len(known):
            raise TypeError(f"{name}() takes {len(known)} positional arguments but {len(args)} were given")
        if library is not None:
            STATE.refuse_capture(
                f"calling {library} API during stream capture is currently unsupported", NotImplementedError
            )
        if name in WAITING:
            STATE.to_host()
        if name in ("concat", "concatenate", "stack", "vstack", "hstack") and len(args[0]) > 8:
            STATE.to_device("addresses")
        out = kwargs.pop("out", None)
        if out is None and not free and "out" in known and len(args) > known.index("out"):
            place = known.index("out")
            out, args = args[place], (*args[:place], None, *args[place + 1 :])
        given = [inside(value) for value in args]
        named = {key: inside(value) for key, value in kwargs.items()}
        if name in ("copyto", "put", "fill_diagonal", "place", "putmask", "put_along_axis"):
            return STATE.launch(lambda: function(*given, **named))
        if out is None:
            return launched(lambda: function(*given, **named), leaves([*args, *kwargs.values()]))
        return filled(out, name, lambda: function(*given, **named))

    return call


def _from_host(name: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def bring(value: Any, *args: Any, **kwargs: Any) -> ndarray:
        if isinstance(value, ndarray):
            if name == "asarray" and not args and not kwargs.get("copy") and (
                kwargs.get("dtype") is None or np.dtype(kwargs["dtype"]) == value.dtype
            ):  # fmt: skip
                return value
            return launched(lambda: function(value.held, *args, **kwargs), [value.held])
        if leaves(value):
            return launched(lambda: np.asarray(inside(value), *args, **kwargs), [])
        STATE.to_device()
        return ndarray((), held=np.array(value, *args, **{key: one for key, one in kwargs.items() if key != "copy"}))

    return bring


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return ndarray((), held=np.lib.stride_tricks.as_strided(x.held, shape, strides))


def _scatter(name: str) -> Callable:
    def scatter(a: ndarray, slices: Any, value: Any) -> None:
        MEMBERS["cupy"][name].at(a, slices, value)  # type: ignore[attr-defined] (a ufunc)

    return scatter


def fill_members(names: dict[str, dict[str, str]]) -> None:
    """All functions into ``MEMBERS``."""
    sources: dict[str, Any] = {
        "cupy": np, "cupy.linalg": np.linalg, "cupy.fft": np.fft, "cupyx.scipy.special": scipy.special,
    }  # fmt: skip
    for module, source in sources.items():
        found = MEMBERS[module] = {}
        for name, parameters in names[module].items():
            own = OWN if module == "cupy" else cupy_linalg.OWN if module == "cupy.linalg" else {}
            function = own.get(name) or getattr(source, name, None)
            if not callable(function) or isinstance(function, type):
                continue
            if parameters.startswith("ufunc"):
                found[name] = Ufunc(name, function, parameters)
            elif module == "cupy" and name in HOST:
                found[name] = _from_host(name, function)
            else:
                found[name] = _function(module, name, parameters, function)
    MEMBERS["cupy.lib.stride_tricks"] = {"as_strided": _as_strided}
    MEMBERS["cupyx"] = {
        "errstate": cupy_linalg.errstate,
        **{f"scatter_{short}": _scatter(name) for short, name in (
            ("add", "add"), ("max", "maximum"), ("min", "minimum")
        )},
    }  # fmt: skip


# ---------------------------------------------------------------------------- methods and operators

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "divmod": "divmod", "pow": "power", "matmul": "matmul", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift", "neg": "negative",
    "pos": "positive", "abs": "absolute", "invert": "invert", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
IN_PLACE = frozenset({"fill", "sort", "partition", "put", "scatter_add", "scatter_max", "scatter_min"})
SHARED = frozenset({
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "compress", "cumprod", "cumsum", "diagonal",
    "dot", "max", "mean", "min", "nonzero", "prod", "ptp", "repeat", "round", "searchsorted", "std", "sum", "swapaxes",
    "take", "trace", "var",
})  # fmt: skip
"""Methods that are functions of the same name."""


def method(name: str, parameters: str) -> Callable:
    """A method of the array."""
    known = [] if parameters == "none" else parameters.split()
    free = any(one.startswith("*") for one in known)

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if strange := sorted(set(kwargs) - set(known)):
            raise TypeError(f"{name}() got an unexpected keyword argument {strange[0]!r}")
        if not free and len(args) > len(known):
            raise TypeError(f"{name}() takes {len(known)} positional arguments but {len(args)} were given")
        if name in SHARED:
            bound = {**dict(zip(known, args, strict=False)), **kwargs}
            return MEMBERS["cupy"][name](self, **{key: value for key, value in bound.items() if value is not None})
        if name.startswith("scatter_"):
            return MEMBERS["cupyx"][name](self, *args, **kwargs)
        if name in ("sort", "partition"):
            ordered = MEMBERS["cupy"][name](self, *args, **kwargs)
            return STATE.launch(lambda: np.copyto(self.held, ordered.held))
        given, named = [inside(value) for value in args], {key: inside(value) for key, value in kwargs.items()}
        run = getattr(np.ndarray, name)
        if name in IN_PLACE:
            return STATE.launch(lambda: run(self.held, *given, **named))
        named = {key: value for key, value in named.items() if value is not None or key not in ("casting", "subok")}
        return launched(lambda: run(self.held, *given, **named), [self.held])

    return call


def operator(name: str) -> Callable | None:
    """A special method of the array, by the ufunc that CuPy has for it."""
    word = name.strip("_")
    place = word[:1] == "i" and word[1:] in OPERATORS and word not in OPERATORS
    swapped = word[:1] == "r" and word[1:] in OPERATORS and word not in OPERATORS
    if not (place or swapped or word in OPERATORS):
        return None
    function = MEMBERS["cupy"][OPERATORS[word[1:] if place or swapped else word]]

    def call(self: ndarray, *others: Any) -> Any:
        for other in others:
            if not isinstance(other, (ndarray, *NUMBERS)):
                if getattr(other, "__array_priority__", 0) > self.__array_priority__:
                    return NotImplemented
                raise TypeError(f"Unsupported type {type(other)}")
        if place:
            return function(self, *others, out=self)
        return function(*others, self) if swapped else function(self, *others)

    return call


def attributes(names: dict[str, str]) -> dict[str, Any]:
    """What CuPy's array has beside what the double's writes out."""
    found: dict[str, Any] = {}
    for name, parameters in names.items():
        if name in ndarray.__dict__ and name not in ("__eq__", "__ne__"):
            continue
        if name.startswith("__"):
            made = operator(name)
            if made is not None:
                found[name] = made
        elif name in ("T", "mT", "real", "imag", "flat"):
            found[name] = property(lambda self, at=name: launched(lambda: getattr(self.held, at), [self.held]))
        elif parameters and (callable(getattr(np.ndarray, name, None)) or name.startswith("scatter_")):
            found[name] = method(name, parameters)
    return found
