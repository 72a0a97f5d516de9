"""The operators and methods of a traced array: each is NumPy's ufunc or function, which comes back to us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from .elements import Element, in_reduction
from .errors import TraceError, user_location
from .promotion import FUNCTIONS, UFUNCS, apply_ufunc, is_weak

# Operators that are primitives themselves; the others go through NumPy, which looks for a function of ours.
BINARY = {
    "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
REFLECTED = {"rsub": np.subtract, "rmul": np.multiply, "rtruediv": np.divide}
UNARY = {"neg": np.negative}
THROUGH_NUMPY = {
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift,
    "rshift": np.right_shift, "floordiv": np.floor_divide, "mod": np.remainder, "matmul": np.matmul,
}  # fmt: skip
METHODS = (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "conj", "conjugate",
    "cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round",
    "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var",
)  # fmt: skip
IN_PLACE = {
    "sort": "np.sort(x)", "partition": "np.partition(x, k)", "fill": "np.full_like(x, value)",
    "put": "np.where", "resize": "np.resize(x, shape)", "itemset": "np.where", "byteswap": "np.copy",
}  # fmt: skip


def binary(ufunc: np.ufunc, *, reflected: bool = False) -> Callable:
    """The method behind a binary operator; operands of one trace and dtype take the short way."""
    primitive = UFUNCS[ufunc]

    def method(self: Any, other: Any) -> Any:
        if (
            type(other) is type(self)
            and other.builder is self.builder
            and other.dtype == self.dtype
            and not self.weak
            and not other.weak
            and self.dtype.kind in "fc"
        ):
            return self.builder.bind(primitive, (other, self) if reflected else (self, other), {})
        result = apply_ufunc(ufunc, (other, self) if reflected else (self, other))
        return result.weakened() if self.weak and is_weak(other) else result

    return method


def added(*, reflected: bool = False) -> Callable:
    """The method behind ``+``: NumPy's own mean would make a plain number of a sum that shows its dtype."""
    add = binary(np.add, reflected=reflected)

    def method(self: Any, other: Any) -> Any:
        result = add(self, other)
        return Element(result, 0) if self.shape == () and in_reduction() else result

    return method


def unary(ufunc: np.ufunc) -> Callable:
    """The method behind a unary operator."""

    def method(self: Any) -> Any:
        result = apply_ufunc(ufunc, (self,))
        return result.weakened() if self.weak else result

    return method


def numpys(function: Callable) -> Callable:
    """An array method that is NumPy's function of the same name, which comes back through the protocol."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


def through_numpy(ufunc: np.ufunc, *, reflected: bool = False) -> Callable:
    """The method behind a binary operator that NumPy is asked to carry out."""

    def method(self: Any, other: Any) -> Any:
        first, second = (other, self) if reflected else (self, other)
        if ufunc in FUNCTIONS and type(other) is type(self):
            return FUNCTIONS[ufunc](first, second)  # where NumPy would send us in any case
        return ufunc(first, second)

    return method


def in_place(name: str, instead: str) -> Callable:
    """A method that NumPy's arrays have to change themselves, refused."""

    def method(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TraceError(
            f".{name}() at {user_location()} changes a traced array in place, which cannot be recorded; use {instead}"
        )

    return method


def compress(self: Any, condition: Any, axis: Any = None) -> Any:
    """As ``numpy.ndarray.compress``, whose arguments stand the other way round in NumPy's function."""
    return np.compress(condition, self, axis)


def override_kernel(self: Any, kernel: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """What CuPy's functions of elements and kernels ask an operand that is no array of theirs; refused."""
    whose, _, name = kernel.name.partition("_")
    found = whose == "cupy" and isinstance(getattr(np, name, None), np.ufunc)
    what, instead = (f"cupy.{name}", f"np.{name}") if found else (f"CuPy's {kernel.name!r}", "NumPy's functions")
    raise TraceError(
        f"{what} at {user_location()} is given a traced array, which it cannot record; write {instead} instead: the "
        "same loss runs on NumPy's and on CuPy's arrays"
    )


def speaks_numpy(kind: type) -> type:
    """Give a class the operators and methods of NumPy's arrays."""
    for name, ufunc in BINARY.items():
        setattr(kind, f"__{name}__", binary(ufunc))
    for name, ufunc in REFLECTED.items():
        setattr(kind, f"__{name}__", binary(ufunc, reflected=True))
    setattr(kind, "__add__", added())  # noqa: B010 (the class is not known to have it)
    setattr(kind, "__radd__", added(reflected=True))  # noqa: B010 (the class is not known to have it)
    for name, ufunc in UNARY.items():
        setattr(kind, f"__{name}__", unary(ufunc))
    for name, ufunc in THROUGH_NUMPY.items():
        setattr(kind, f"__{name}__", through_numpy(ufunc))
        setattr(kind, f"__r{name}__", through_numpy(ufunc, reflected=True))
    for name in METHODS:
        setattr(kind, name, numpys(getattr(np, name)))
    setattr(kind, "compress", compress)  # noqa: B010 (the class is not known to have it)
    setattr(kind, "__cupy_override_elementwise_kernel__", override_kernel)  # noqa: B010 (as above)
    for name, instead in IN_PLACE.items():
        setattr(kind, name, in_place(name, instead))
    return kind
