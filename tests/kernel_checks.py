"""What tests of raw kernels share: strided device arrays, guarded places for results, equal bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from difflab.primitives.record import Primitive

DTYPES = ("f8", "f4", "f2")
FEW = settings(
    max_examples=25,
    phases=(Phase.generate,),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
LEVELS = np.array([-2.0, -1.0, -0.0, 0.0, 0.5, 3.0, np.nan, np.inf])


def strided(array: np.ndarray, how: int) -> np.ndarray:
    """The same array in another layout: in C order, in Fortran's, every second element, backwards, off by one."""
    if array.ndim == 0:
        return np.array(array)
    if how == 1:
        return np.asfortranarray(array)
    if how == 2:
        wide = np.full(tuple(2 * size for size in array.shape), 7, array.dtype)
        view = wide[tuple(slice(None, 2 * size, 2) for size in array.shape)]
        view[...] = array
        return view
    if how == 3:
        back = (slice(None, None, -1),) * array.ndim
        return np.ascontiguousarray(array[back])[back]
    if how == 4:
        moved = np.empty(array.size + 1, array.dtype)[1:].reshape(array.shape)
        moved[...] = array
        return moved
    return np.ascontiguousarray(array)


LAYOUTS = st.integers(0, 4)


def placed(cupy: Any, array: np.ndarray) -> Any:
    """A device array that keeps the strides of that one."""
    return cupy.ndarray((), held=array)


def values(seed: int, shape: tuple[int, ...], dtype: str, *, levels: bool = False) -> np.ndarray:
    """Numbers, or with ``levels`` some of a few, so that there are ties, zeros of both signs and NaN."""
    random = np.random.default_rng(seed)
    found = random.choice(LEVELS, shape) if levels else random.normal(size=shape)
    return found.astype(dtype)


def rule_of(primitive: Primitive) -> Callable[..., Any]:
    """What the primitive does on a GPU."""
    assert primitive.device is not None, primitive.name
    return primitive.device


def filled(cupy: Any, primitive: Primitive, operands: list[np.ndarray], params: dict, how: int = 0) -> np.ndarray:
    """What the device rule stores in a given array, which lies in another whose other elements it must leave alone."""
    aval = primitive.abstract(*operands, **params)
    around = np.full(aval.size + 64, 1, aval.dtype)
    inner = around[32 : 32 + aval.size].reshape(aval.shape)
    if how:
        inner = strided(np.zeros(aval.shape, aval.dtype), how)
    out = placed(cupy, inner)
    result = rule_of(primitive)(cupy, *[placed(cupy, one) for one in operands], out=out, **params)
    assert result is out or np.shares_memory(result.held, inner)
    assert (around[:32] == 1).all()
    assert (around[32 + aval.size :] == 1).all()
    return inner


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal shapes, dtypes and bits, but that one NaN is like another."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        there = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[there], np.signbit(expected)[there])
