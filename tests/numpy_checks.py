"""What the tests of NumPy's functions share: one call held against NumPy, differences and its own transpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from samples import close, difference, rng_of

from difflab import transforms
from difflab.execution.program import Program
from difflab.operators import gradient, jvp
from difflab.tracing import trace_leaves


def drawn(shape: tuple[int, ...], label: str = "drawn", dtype: str = "float64") -> np.ndarray:
    """Numbers between -2 and 2, far enough apart that no difference exchanges two of them."""
    rng = rng_of(f"{label}{shape}")
    size = math.prod(shape)
    places = rng.permutation(size) + rng.uniform(0.2, 0.8, size)
    return np.reshape(4 * places / max(size, 1) - 2, shape).astype(dtype)


def same_as_numpy(function: Callable[..., Any], *args: np.ndarray) -> np.ndarray:
    """The compiled value, after a look at its dtype, shape and digits."""
    with np.errstate(all="ignore"):
        expected = np.asarray(function(*args))
        tape = trace_leaves(lambda leaves: [function(*leaves)], args).check()
        found = Program(tape).run(args)[0]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype.kind in "fc":
        tolerance = 64 * float(np.finfo(found.dtype).eps)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, expected)
    return found


def right_in_both_modes(function: Callable[..., Any], *args: np.ndarray) -> None:
    """Value as in NumPy, both modes as differences of float64 numbers say, one the transpose of the other."""
    value = same_as_numpy(function, *args)
    tape = trace_leaves(lambda leaves: [function(*leaves)], args)
    everything = tuple(range(len(args)))
    g = np.asarray(rng_of("g").uniform(-1, 1, value.shape)).astype(value.dtype)
    tangents = [np.asarray(rng_of(f"t{i}").uniform(-1, 1, a.shape)).astype(a.dtype) for i, a in enumerate(args)]
    pushed = Program(transforms.jvp(tape, everything)).run([*args, *tangents])[1]
    pulled = Program(transforms.vjp(tape, everything)).run([*args, g])[1:]
    assert [part.shape for part in pulled] == [a.shape for a in args]
    assert [part.dtype for part in pulled] == [a.dtype for a in args]
    narrow = min([value.dtype, *[a.dtype for a in args]])
    forward = float(np.sum(g.astype("f8") * pushed))
    backward = sum(float(np.sum(part.astype("f8") * t)) for part, t in zip(pulled, tangents, strict=True))
    assert close(backward, forward, narrow)
    assert close(pushed, difference(function, args, tangents), narrow)


def slopes(function: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a scalar function as lists, after forward mode agreed with it."""
    x = np.array(x, float)
    found = gradient(function)(x)
    pushed = [jvp(function, (x,), (unit.reshape(x.shape),))[1] for unit in np.eye(x.size)]
    np.testing.assert_array_equal(np.ravel(found), np.ravel(pushed))
    return found.tolist()


def right_twice(function: Callable[[Any], Any], x: np.ndarray) -> None:
    """The gradient of a curved loss, differentiated again, against differences of the gradient."""
    weights = rng_of("w").uniform(0.5, 1.5, np.shape(function(x)))
    first = gradient(lambda z: np.sum(weights * function(z) ** 2))
    u = rng_of("u").uniform(-1, 1, x.shape)
    second = gradient(lambda z: np.sum(first(z) * u))(x)
    assert close(second, difference_of(first, x, u), "float64", factor=20)


def difference_of(first: Callable[[Any], Any], x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The Hessian is symmetric, so a directional difference of the gradient is its product with the direction."""
    return difference(first, [x], [u])
