"""Random losses, drawn by hypothesis, some of which mix examples: blocks give what one piece gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from block_checks import distance, gradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Step = tuple[str, int, int]


def around(h: Any) -> Any:
    """Numbers of size one, whatever came before."""
    return h / (1.0 + np.max(np.abs(h), axis=1, keepdims=True))


# Each takes two values of one shape (examples, features), the weights and a constant of that shape.
STEPS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "tanh": lambda a, b, w, c: np.tanh(a),
    "sin": lambda a, b, w, c: np.sin(a),
    "bell": lambda a, b, w, c: np.exp(-a * a),
    "add": lambda a, b, w, c: a + b,
    "multiply": lambda a, b, w, c: a * b,
    "where": lambda a, b, w, c: np.where(a > b, a, 0.5 * b),
    "largest": lambda a, b, w, c: np.maximum(a, b),
    "layer": lambda a, b, w, c: a @ w,
    "columns": lambda a, b, w, c: (w.T @ a.T).T,
    "bias": lambda a, b, w, c: a + w[0],
    "constant": lambda a, b, w, c: a * c,
    "constant column": lambda a, b, w, c: a + c[:, :1],
    "centred": lambda a, b, w, c: a - np.mean(a, axis=1, keepdims=True),
    "top": lambda a, b, w, c: a - np.max(a, axis=1, keepdims=True),
    "sorted features": lambda a, b, w, c: np.sort(a, axis=1),
    "sums of features": lambda a, b, w, c: np.cumsum(a, axis=1),
    "flat": lambda a, b, w, c: np.sin(a.reshape(-1)).reshape(a.shape),
    "stacked": lambda a, b, w, c: np.concatenate([a, b], axis=1)[:, : a.shape[1]],
    "outer": lambda a, b, w, c: np.einsum("ij,ik->ijk", a, b)[:, 0, :],
    "picked": lambda a, b, w, c: a * a[np.arange(len(a)), np.arange(len(a)) % a.shape[1]][:, None],
    "reordered features": lambda a, b, w, c: a[:, ::-1],
    # From here on examples meet.
    "reversed": lambda a, b, w, c: a[::-1],
    "neighbours": lambda a, b, w, c: a - np.concatenate([a[1:], a[:1]], axis=0),
    "normalised": lambda a, b, w, c: a - np.mean(a, axis=0),
    "sums of examples": lambda a, b, w, c: np.cumsum(a, axis=0) / len(a),
    "softmax of examples": lambda a, b, w, c: np.exp(a) / np.sum(np.exp(a), axis=0),
    "sorted examples": lambda a, b, w, c: np.sort(a, axis=0),
    "pairs": lambda a, b, w, c: np.tanh(a @ b.T) @ a,
    "moved": lambda a, b, w, c: a.reshape(-1)[::-1].reshape(a.shape),
}
MIXING = list(STEPS)[list(STEPS).index("reversed") :]
ENDS: dict[str, Callable[[Any, Any], Any]] = {
    "mean": lambda h, w: np.mean(h * h),
    "sum": lambda h, w: np.sum(np.sin(h)),
    "twice": lambda h, w: np.sum(h) + np.mean(np.max(h, axis=1)),
    "penalised": lambda h, w: np.mean(h) + 0.1 * np.sum(w * w),
    "by columns": lambda h, w: np.sum(np.sum(h * h, axis=0)[:1]),
    "root": lambda h, w: np.sqrt(1.0 + np.mean(h * h)),
    "logarithm": lambda h, w: np.log(1.0 + np.sum(h * h)) + np.sum(np.abs(w)),
    "most": lambda h, w: np.max(h),
}
PLAIN = st.sampled_from([name for name in STEPS if name not in MIXING])
ANY = st.sampled_from(list(STEPS))


def programs(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(names, st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6)


def loss_of(program: list[Step], end: str, c: np.ndarray) -> Callable[..., Any]:
    def loss(w: Any, x: Any) -> Any:
        values = [x, np.tanh(x @ w)]
        for name, i, j in program:
            values.append(around(STEPS[name](values[i % len(values)], values[j % len(values)], w, c)))
        return ENDS[end](values[-1] + values[1], w)

    return loss


def compare(program: list[Step], end: str, sizes: tuple[int, int], wrt: Any, blocks: int, threads: int) -> dict:
    rng = np.random.default_rng(len(program))
    w, x = rng.standard_normal((sizes[1], sizes[1])), rng.standard_normal(sizes)
    loss = loss_of(program, end, rng.standard_normal(sizes))
    wanted, _ = gradients(loss, (w, x), wrt, blocks=1)
    found, stats = gradients(loss, (w, x), wrt, blocks=blocks, threads=threads)
    assert distance(found, wanted) < 1e-12
    return stats


OPTIONS = {
    "end": st.sampled_from(list(ENDS)),
    "sizes": st.tuples(st.sampled_from([2, 3, 5, 6]), st.sampled_from([2, 3, 4, 6])),
    "wrt": st.sampled_from([0, 1, (0, 1)]),
    "blocks": st.integers(2, 5),
    "threads": st.integers(1, 3),
}


def tries(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@tries(60)
@given(program=programs(PLAIN), **OPTIONS)
def test_losses_of_single_examples(program: list[Step], end: str, sizes: tuple, wrt: Any, blocks: int, threads: int):
    stats = compare(program, end, sizes, wrt, blocks, threads)
    if end in ("mean", "sum", "twice", "penalised"):
        assert stats["blocks"] == min(blocks, sizes[0]), stats["whole_because"]


@tries(120)
@given(program=programs(ANY), **OPTIONS)
def test_losses_that_may_mix_examples(program: list[Step], end: str, sizes: tuple, wrt: Any, blocks: int, threads: int):
    compare(program, end, sizes, wrt, blocks, threads)
