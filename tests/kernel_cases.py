"""Operands for every kernel of the registry in every dtype that it takes, with what NumPy makes of them."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from difflab.execution.device.fusion import Group, grouped
from difflab.execution.device.language import element_text
from difflab.primitives import REGISTRY, Aval, Primitive
from difflab.tape import Equation, Tape

DTYPES = tuple(np.dtype(code) for code in ("f2", "f4", "f8", "c8", "c16", "?", "i1", "i4", "i8", "u1", "u8"))
WHOLE = {"i": [-128, -127, -7, -3, -1, 0, 1, 2, 3, 5, 64, 127], "u": [0, 1, 2, 3, 5, 7, 8, 63, 64, 128, 200, 255]}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 3.0, 360.0, 1e-4, -30.0]


class Case(NamedTuple):
    """One primitive at operands; ``expected`` is NumPy's value."""

    primitive: Primitive
    params: dict[str, Any]
    operands: tuple[np.ndarray, ...]
    expected: np.ndarray

    @property
    def label(self) -> str:
        params = "".join(f"-{value}" for value in self.params.values())
        return f"{self.primitive.name}-{'-'.join(one.dtype.name for one in self.operands)}{params}"


def tape_of(case: Case) -> Tape:
    """One equation."""
    count = len(case.operands)
    avals = [Aval(one.shape, one.dtype) for one in (*case.operands, case.expected)]
    equation = Equation(case.primitive, tuple(range(count)), case.params, count)
    return Tape(tuple(avals), tuple(range(count)), {}, {}, (equation,), (count,)).check()


def group_of(tape: Tape) -> Group:
    """The only group of a tape."""
    (group,) = grouped(tape)
    return group


def names() -> list[str]:
    """Of all primitives that have a kernel and are no views."""
    return [primitive.name for primitive in REGISTRY if primitive.kernel is not None and not primitive.view]


@functools.cache
def cases() -> tuple[Case, ...]:
    """Everything that has a kernel, in every dtype."""
    found = [_case(primitive, params, operands) for primitive, params, operands in _candidates()]
    return tuple([case for case in found if case is not None])


def _candidates() -> Any:
    for primitive in REGISTRY:
        if primitive.kernel is None or primitive.view:
            continue
        for dtype in DTYPES:
            if primitive.kind == "elementwise":
                yield primitive, {}, _spread(primitive, dtype)
                continue
            assert primitive.samples is not None
            for operands, params in primitive.samples():
                yield primitive, params, _converted(primitive, operands, dtype)
    for dtype, target in itertools.product(DTYPES, DTYPES):
        if dtype.kind != "c" or target.kind in "cb":
            yield REGISTRY["cast"], {"dtype": target.str}, (_numbers(dtype),)


def _numbers(dtype: np.dtype) -> np.ndarray:
    """Numbers that every dtype can hold."""
    if dtype.kind in "iu":
        return np.array([0, 1, 2, 100, 127], dtype)
    values = np.array([0.0, 1.0, 2.0, 100.0, 0.1, 65.4999, 1.0009765])
    return values.astype(dtype) if dtype.kind != "c" else (values + 1j * values[::-1]).astype(dtype)


def _spread(primitive: Primitive, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Points of the domain and special ones, each operand's with each other's."""
    axes = []
    for low, high in primitive.domain:
        if dtype.kind == "b":
            points: Any = [False, True]
        elif dtype.kind in "iu":
            points = [value for value in WHOLE[dtype.kind] if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max]
        else:
            points = [*np.linspace(low, high, 9), *SPECIAL]
            if dtype.kind == "c":
                points = (np.linspace(low, high, 9)[:, None] + 1j * np.linspace(-1.5, 1.5, 4)).ravel()
        if primitive.name == "power" and dtype.kind == "i" and axes:
            points = [value for value in points if value >= 0]  # NumPy refuses the others
        axes.append(np.array(points).astype(dtype))
    return tuple([one.ravel().copy() for one in np.meshgrid(*axes, indexing="ij")])


def _converted(primitive: Primitive, operands: Sequence[Any], dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """A sample in another dtype; operands of integers and truth values beside floating ones stay what they are."""
    floating = any(one.dtype.kind in "fc" for one in operands)
    converted = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in operands:
            if floating and (one.dtype.kind not in "fc" or (one.dtype.kind == "c" and dtype.kind != "c")):
                converted.append(one)
            else:
                converted.append(one.astype(dtype))
    return tuple(converted)


def _case(primitive: Primitive, params: dict[str, Any], operands: tuple[np.ndarray, ...]) -> Case | None:
    """``None`` where NumPy or the primitive does not take these dtypes, or no kernel does."""
    avals = [Aval(one.shape, one.dtype) for one in operands]
    if not element_text(primitive, avals, params):
        return None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            noted = primitive.abstract(*avals, **params)
            expected = np.asarray(primitive.evaluate(*operands, **params))
        except (TypeError, ValueError):
            return None
    return Case(primitive, params, operands, expected) if expected.dtype == noted.dtype else None
