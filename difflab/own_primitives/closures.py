"""What functions close over, as it is now: a changed table makes a user's primitive another primitive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ..primitives.record import Own, Traced

PLAIN = (int, float, complex, str, bytes, type(None), np.generic)


def closed_over(functions: Iterable[Any]) -> dict[tuple[int, str], Any]:
    """A snapshot of the variables that Python functions read from outside, arrays copied.

    Functions of the same packages and users' primitives among the variables are followed; those of libraries are not.
    """
    pending = [function for function in functions if isinstance(function, FunctionType)]
    packages = set(map(_package, pending))
    found: dict[tuple[int, str], Any] = {}
    for number, function in enumerate(pending):  # grows
        for name, value in _outside(function):
            found[number, name] = _frozen(value)
            helpers = value.functions if isinstance(value, Own) else (value,)
            for helper in helpers:
                ours = isinstance(helper, FunctionType) and _package(helper) in packages
                if ours and not any(helper is other for other in pending):
                    pending.append(helper)
    return found


def _package(function: FunctionType) -> str:
    return (function.__module__ or "").partition(".")[0]


def _outside(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Names and values of the variables that a function may read from outside."""
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # it has no value yet
            value = cell
        yield name, value


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
