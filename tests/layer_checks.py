"""One check for every layer: its value, its program, both modes and second order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from samples import close, difference, rng_of

from difflab import hvp
from difflab.execution.program import Program
from difflab.operators import gradient, jvp, vjp
from difflab.tracing import trace_leaves

TOLERANCE = {"float64": 1e-13, "float32": 2e-5}


def numbers(shape: tuple[int, ...], label: str, dtype: str = "float64") -> np.ndarray:
    return rng_of(label).standard_normal(shape).astype(dtype)


def check_layer(function: Callable, expected: np.ndarray, *arrays: np.ndarray) -> None:
    """Value, program, both modes and second order, in the dtype of the arrays; exact arithmetic agrees."""
    dtype = arrays[0].dtype
    tape = trace_leaves(lambda leaves: [function(*leaves)], arrays)
    for found in (function(*arrays), tape.evaluate(arrays)[0], Program(tape).run(list(arrays))[0]):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype.name], atol=TOLERANCE[dtype.name])
    value, pullback = vjp(function, *arrays)
    g = numbers(value.shape, "g", dtype.name)
    tangents = tuple(numbers(one.shape, f"t{place}", dtype.name) for place, one in enumerate(arrays))
    pulled = pullback(g)
    assert [(p.shape, p.dtype) for p in pulled] == [(a.shape, a.dtype) for a in arrays]
    slope = sum(float(np.sum(p.astype("f8") * t)) for p, t in zip(pulled, tangents, strict=True))
    quotient = difference(lambda *a: np.sum(g * function(*a)), arrays, tangents)
    assert close(slope, quotient, dtype, factor=20)
    assert close(slope, np.sum(g.astype("f8") * jvp(function, arrays, tangents)[1]), dtype, factor=20)
    wide, ways = [one.astype("f8") for one in arrays], [one.astype("f8") for one in tangents]
    curved = lambda *a: np.sum(np.sin(function(*a)))  # noqa: E731
    everything = tuple(range(len(arrays)))
    products = hvp(curved, argnums=everything)(*wide, tuple(ways))
    step = 1e-5
    slopes = [
        gradient(curved, argnums=everything)(*[a + sign * step * t for a, t in zip(wide, ways, strict=True)])
        for sign in (1, -1)
    ]
    for product, ahead, behind in zip(products, *slopes, strict=True):
        np.testing.assert_allclose(product, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)
