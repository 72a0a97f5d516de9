"""What the functions share: registration, promotion, normal axes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import as_array
from ..elements import holds_numbers, joined
from ..errors import TraceError, user_location
from ..primitives import REGISTRY
from ..primitives.record import Traced
from ..promotion import FUNCTIONS, innermost

BIND = REGISTRY.records
NOTHING = np._NoValue  # what NumPy's own signatures use for "not given"


def implements(*functions: Callable) -> Callable[[Callable], Callable]:
    """Register the decorated function as ours for the given NumPy functions."""

    def register(ours: Callable) -> Callable:
        for function in functions:
            FUNCTIONS[function] = ours
        return ours

    return register


def arrayed(value: Any) -> Any:
    """A plain operand as an array; one that holds traced values as the traced array it stands for."""
    if isinstance(value, Traced):
        return value
    array = as_array(value)
    return joined(array) if holds_numbers(array) else array


def lifted(*values: Any) -> list[Any]:
    """The operands as traced arrays of the innermost trace among them."""
    if len(values) == 1 and isinstance(values[0], Traced):
        return list(values)
    builder = innermost(values)
    return [builder.lift(value if isinstance(value, int | float | complex) else arrayed(value)) for value in values]


def promoted(values: Sequence[Any]) -> list[Any]:
    """The operands in their common dtype, for functions that make arrays of them first: no number is weak there."""
    first = values[0]
    if isinstance(first, Traced) and all(
        isinstance(v, Traced) and v.builder is first.builder and v.dtype == first.dtype for v in values
    ):
        return list(values)
    values = [arrayed(value) if isinstance(value, list | tuple | np.ndarray) else value for value in values]
    builder = innermost(values)
    dtype = np.result_type(*[v.dtype if isinstance(v, Traced) else as_array(v).dtype for v in values])
    numbers = Traced | int | float | bool | complex
    return [builder.promoted(v if isinstance(v, numbers) else as_array(v), dtype) for v in values]


def refuse(name: str, **arguments: Any) -> None:
    """An error naming the first argument that was given and is not supported."""
    for key, value in arguments.items():
        if value is not None and value is not NOTHING and value is not True:
            raise TraceError(f"np.{name} at {user_location()}: the argument {key!r} is not supported on a traced array")


def normal_axis(axis: Any, ndim: int, name: str) -> int:
    """A non-negative axis."""
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise TraceError(f"np.{name} at {user_location()}: axis {axis} is out of bounds for {ndim} dimensions")
    return axis % ndim


def normal_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """A sorted tuple of non-negative axes; ``None`` means all."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int:
        return (normal_axis(axis, ndim, name),)
    axes = tuple(normal_axis(a, ndim, name) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise TraceError(f"np.{name} at {user_location()}: an axis is named twice in {axis}")
    return tuple(sorted(axes))


def asked(keepdims: Any) -> bool:
    """Whether ``keepdims`` was given and is true."""
    return keepdims is not NOTHING and bool(keepdims)


def keep(result: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: Any) -> Any:
    """Put size-1 axes back where they were asked for."""
    if asked(keepdims):
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        return BIND["reshape"](result, shape=kept)
    return result
