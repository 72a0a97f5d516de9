"""Random losses of small matrices, vectors and a number, as lists of steps that hypothesis can shorten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from difflab import nn

Step = tuple[str, int, int, int]
ONE: list[Callable[[Any], Any]] = [
    nn.sigmoid,
    np.tanh,
    lambda a: np.exp(-a * a),
    np.sin,
    lambda a: np.maximum(0.0, a),
    nn.relu,
    lambda a: a**2,
    lambda a: -a,
    lambda a: 0.5 * a,
    lambda a: 1.0 / (1.0 + a * a),
    lambda a: np.where(a > 0, a, 0.1 * a),
    np.abs,
    lambda a: 1.0 / (1.0 + np.exp(-a)),
    lambda a: np.log(1.0 + np.exp(a)),
    lambda a: a - 1.0,
    lambda a: np.clip(a, -1.0, 1.0),
    lambda a: np.sqrt(1.0 + a * a),
    lambda a: 1.0 - np.tanh(a) ** 2,
    lambda a: a / 3.0,
]
ALONG: list[Callable[[Any], Any]] = [
    lambda a: np.sum(a, axis=0),
    lambda a: np.sum(a, axis=-1),
    lambda a: np.mean(a, axis=0),
    lambda a: np.mean(a, axis=-1, keepdims=True),
    lambda a: np.sum(a, axis=0, keepdims=True),
    lambda a: a - np.mean(a, axis=0),
    lambda a: nn.softmax(a, axis=-1),
    lambda a: nn.softmax(a, axis=0),
    lambda a: nn.logsumexp(a, axis=-1),
    lambda a: a / (1.0 + np.sum(a * a, axis=-1, keepdims=True)),
    lambda a: a - np.max(a, axis=-1, keepdims=True),
    lambda a: np.exp(a) / np.sum(np.exp(a), axis=-1, keepdims=True),
    lambda a: a - nn.logsumexp(a, axis=-1, keepdims=True),
    lambda a: a.T,
    np.var,
]
TWO: list[Callable[[Any, Any], Any]] = [
    np.add,
    np.subtract,
    np.multiply,
    lambda a, b: a / (1.0 + b * b),
    np.maximum,
    lambda a, b: np.where(a > b, a * b, b),
    np.logaddexp,
]


def _product(a: Any, b: Any) -> Any:
    """A product of matrices that fits, with what has to be transposed; ``None`` if none does."""
    if not a.shape or not b.shape:
        return None
    if a.shape[-1] == b.shape[0]:
        return a @ b
    if len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[1]:
        return a @ b.T
    return a.T @ b if len(a.shape) == 2 and a.shape[0] == b.shape[0] else None


def _fits(a: Any, b: Any) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a.shape[::-1], b.shape[::-1], strict=False))


def loss_of(steps: Sequence[Step]) -> Callable[..., Any]:
    """A loss of ``w (3,)``, ``W (3, 3)``, ``X (4, 3)``, ``v (4,)`` and a number ``s``; what does not fit is skipped."""

    def loss(w: Any, W: Any, X: Any, v: Any, s: Any) -> Any:
        values = [w, W, X, v, s]
        for kind, which, first, second in steps:
            a, b = values[first % len(values)] if first % 3 else values[-1], values[second % len(values)]
            made = None
            if kind == "one":
                made = ONE[which % len(ONE)](a)
            elif kind == "along" and a.shape:
                made = ALONG[which % len(ALONG)](a)
            elif kind == "two" and _fits(a, b):
                made = TWO[which % len(TWO)](a, b)
            elif kind == "product":
                made = _product(a, b)
            if made is not None:
                values.append(made)
        total = 0.0
        for value in values[-3:]:
            total = total + (np.mean(value * value) if value.shape else value)
        return total

    return loss


def arguments(seed: int) -> tuple[Any, ...]:
    """Arguments of such a loss."""
    random = np.random.default_rng(seed)
    shapes = (3,), (3, 3), (4, 3), (4,), ()
    return tuple([np.asarray(random.normal(size=shape)) for shape in shapes])


index = st.integers(0, 60)
programs = st.lists(
    st.tuples(st.sampled_from(("one", "one", "along", "two", "product")), index, index, index), min_size=1, max_size=10
)
"""Lists of steps."""
