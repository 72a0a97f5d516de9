"""What functions close over, as it is now: a changed table makes a user's primitive another primitive."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ..primitives.record import Traced

PLAIN = (int, float, complex, str, bytes, type(None), np.generic)


def closed_over(functions: Iterable[Any]) -> dict[tuple[int, str], Any]:
    """A snapshot of the variables that Python functions read from outside, arrays copied."""
    found: dict[tuple[int, str], Any] = {}
    for number, function in enumerate(functions):
        if not isinstance(function, FunctionType):
            continue
        for name in _names(function.__code__):
            if name in function.__globals__:
                found[number, name] = _frozen(function.__globals__[name])
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                found[number, name] = _frozen(cell.cell_contents)
            except ValueError:  # a variable that has no value yet
                found[number, name] = ("empty",)
    return found


def _names(code: CodeType) -> set[str]:
    """Global names that a function or one inside it may read."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _frozen(value: Any, around: tuple[int, ...] = ()) -> Any:
    """A value that compares equal as long as the data are the same in type and bits; other objects are themselves."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, PLAIN) and not isinstance(value, Traced):
        return (type(value), repr(value))
    if id(value) in around:  # a container that holds itself
        return Same(value)
    if isinstance(value, list | tuple):
        return (type(value), tuple([_frozen(item, (*around, id(value))) for item in value]))
    if isinstance(value, dict):
        return (dict, tuple([(repr(key), _frozen(item, (*around, id(value)))) for key, item in value.items()]))
    return Same(value)


class Same:
    """An object that is equal to itself alone, and is kept alive so that no other takes its place."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
