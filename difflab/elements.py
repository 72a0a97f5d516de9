"""Elements of a traced array inside a plain object array.

NumPy does not hand ``np.asarray(traced)`` and ``np.array([t1, t2])`` to us; it makes object arrays.  Their elements
remember the array they belong to and where, so that an array holding all of them in order is that array again, and
nothing is recorded until one of them is used on its own.  NumPy's loops over object arrays call the elements' operators
and, for ``np.tanh``, a method of that name.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np

from .primitives.record import Aval, Traced

OPERATORS = (
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod"),
    *("divmod", "rdivmod", "lshift", "rlshift", "rshift", "rrshift", "matmul", "rmatmul"),
    *("pow", "rpow", "neg", "pos", "abs", "round", "lt", "le", "gt", "ge", "eq", "ne", "and", "rand", "or", "ror"),
    *("xor", "rxor", "invert", "bool", "index", "float", "int", "complex", "format", "array_ufunc", "array_function"),
    "reduce_ex",
)


def in_reduction() -> bool:
    """Whether the caller was called by NumPy's own mean, var or std of an array, which are written in Python."""
    code = sys._getframe(2).f_code
    return code.co_name in {"_mean", "_var", "_std"} and code.co_filename.endswith("_methods.py")


def _delegated(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], np.integer) and in_reduction():
            args = (int(args[0]),)  # a count, which does not widen the dtype
        result = getattr(self.value, name)(*[a.value if isinstance(a, Element) else a for a in args], **kwargs)
        return Element(result, 0) if isinstance(result, Traced) and result.shape == () else result

    method.__name__ = name
    return method


def operators(kind: type) -> type:
    """Give a class Python's operators, carried out on its ``value``."""
    for name in OPERATORS:
        setattr(kind, f"__{name}__", _delegated(f"__{name}__"))
    return kind


@operators
class Element(Traced):
    """The element of a traced array at a row-major position, recorded when it is first used.

    Args:
        parent: the traced array.
        index: row-major position in it.

    Example:
        >>> import numpy as np
        >>> from difflab import gradient
        >>> gradient(lambda x: np.sum(np.asarray(x) ** 2))(np.array([1.0, 2.0]))
        array([2., 4.])
    """

    __slots__ = ("index", "parent", "taken")
    shape = ()
    ndim = 0
    size = 1
    weak = False

    def __init__(self, parent: Any, index: int):
        self.parent = parent
        self.index = index
        self.taken: Any = None

    @property
    def value(self) -> Any:
        """The element as a traced array of shape ()."""
        if self.taken is None:
            parent = self.parent
            place = np.unravel_index(self.index, parent.shape)
            self.taken = parent[tuple(map(int, place))] if parent.shape else parent
        return self.taken

    @property
    def builder(self) -> Any:
        """The trace it belongs to."""
        return self.parent.builder

    @property
    def number(self) -> int:
        """Its value number."""
        return self.value.number

    @property
    def dtype(self) -> np.dtype:
        """The dtype of its array."""
        if in_reduction():  # and would make a plain number of what has one
            raise AttributeError("dtype")
        return self.parent.dtype

    @property
    def aval(self) -> Aval:
        """Shape and dtype."""
        return Aval((), self.parent.dtype)

    def record(self, primitive: Any, operands: tuple, params: dict) -> Any:
        """Append one equation to the innermost trace among the operands."""
        return self.value.record(primitive, operands, params)

    def literal(self, value: float) -> Any:
        """A static number on the same tape, in this dtype."""
        return self.parent.literal(value)

    def span(self, name: str, function: Callable, arrays: tuple, params: dict) -> Any:
        """Run a composite and keep on the tape where it begins and ends."""
        return self.value.span(name, function, arrays, params)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dtype":  # protocols are asked for by probing; the dtype was hidden
            raise AttributeError(name)
        found = getattr(self.value, name)
        return _delegated(name).__get__(self) if isinstance(getattr(np, name, None), np.ufunc) else found

    def __repr__(self) -> str:
        return f"element {self.index} of {self.parent!r}"

    def __copy__(self) -> Element:
        return self

    def __deepcopy__(self, memo: dict) -> Element:
        return self

    __hash__ = object.__hash__


def elements(traced: Any) -> np.ndarray:
    """A traced array as an object array of its elements."""
    result = np.empty(traced.shape, object)
    flat = result.reshape(-1)
    for index in range(flat.size):
        flat[index] = Element(traced, index)
    return result


def holds_numbers(value: Any) -> TypeGuard[np.ndarray]:
    """Whether a value is an object array of traced values and numbers, as NumPy makes of them."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype == object
        and all(isinstance(item, Traced | int | float | complex | np.number | np.bool_) for item in value.flat)
    )


def joined(array: np.ndarray) -> Any:
    """The traced array that an object array stands for: its elements' own, or part of it, or all of them stacked."""
    items = array.ravel().tolist()
    if not any(isinstance(item, Traced) for item in items):
        return np.array(items).reshape(array.shape)
    parent = items[0].parent if isinstance(items[0], Element) else None
    if parent is not None and all(isinstance(item, Element) and item.parent is parent for item in items):
        places = [item.index for item in items]
        if places == list(range(math.prod(parent.shape))):
            return parent.reshape(array.shape)
        return parent.reshape(-1)[np.array(places)].reshape(array.shape)
    return np.stack([item.value if isinstance(item, Element) else item for item in items]).reshape(array.shape)
