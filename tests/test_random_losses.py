"""Random losses drawn by hypothesis: the certified enclosures hold what mpmath finds with sixty digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from difflab.harness.certify import certified
from difflab.tracing import trace_leaves

DIGITS = 60
# NumPy's function, and the same on mpmath's numbers.
UNARY: dict[str, tuple[Callable, Callable]] = {
    "tanh": (np.tanh, mpmath.tanh),
    "sin": (np.sin, mpmath.sin),
    "arctan": (np.arctan, mpmath.atan),
    "exp": (lambda x: np.exp(-x * x), lambda x: mpmath.exp(-x * x)),
    "log1p": (lambda x: np.log1p(x * x), lambda x: mpmath.log1p(x * x)),
    "sqrt": (lambda x: np.sqrt(1.5 + x * x), lambda x: mpmath.sqrt(1.5 + x * x)),
    "expit": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x))),
    "cube": (lambda x: x**3, lambda x: x**3),
    "abs": (np.abs, abs),
}
BINARY: dict[str, tuple[Callable, Callable]] = {
    "add": (np.add, lambda a, b: a + b),
    "subtract": (np.subtract, lambda a, b: a - b),
    "multiply": (np.multiply, lambda a, b: a * b),
    "quotient": (lambda a, b: a / (1.25 + b * b), lambda a, b: a / (1.25 + b * b)),
    "maximum": (np.maximum, max),
    "hypot": (lambda a, b: np.hypot(a, 1 + b * b), lambda a, b: mpmath.hypot(a, 1 + b * b)),
}
FOLDS: dict[str, tuple[Callable, Callable]] = {
    "sum": (np.sum, lambda xs: mpmath.fsum(xs)),
    "mean": (np.mean, lambda xs: mpmath.fsum(xs) / len(xs)),
    "prod": (np.prod, lambda xs: mpmath.fprod(xs)),
    "max": (np.max, max),
    "var": (np.var, lambda xs: mpmath.fsum((x - mpmath.fsum(xs) / len(xs)) ** 2 for x in xs) / len(xs)),
}
N = 3
MATRIX = np.array([[0.5, -1.25, 0.75], [1.5, 0.25, -0.5], [-0.875, 0.625, 1.125]])

steps = st.lists(
    st.one_of(
        st.tuples(st.just("unary"), st.sampled_from(sorted(UNARY)), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("binary"), st.sampled_from(sorted(BINARY)), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.just("matrix"), st.just(""), st.integers(0, 9), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


def by_numpy(program: list, fold: str) -> Callable:
    def loss(x: Any) -> Any:
        values = [x, x * 0.5 + 0.25]
        for kind, name, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            if kind == "unary":
                values.append(UNARY[name][0](a))
            elif kind == "binary":
                values.append(BINARY[name][0](a, b))
            else:
                values.append(MATRIX @ a)
        return FOLDS[fold][0](values[-1] + values[0])

    return loss


def by_mpmath(program: list, fold: str) -> Callable:
    matrix = [[mpmath.mpf(float(entry)) for entry in row] for row in MATRIX]

    def loss(*x: Any) -> Any:
        values = [list(x), [v * 0.5 + 0.25 for v in x]]
        for kind, name, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            if kind == "unary":
                values.append([UNARY[name][1](v) for v in a])
            elif kind == "binary":
                values.append([BINARY[name][1](v, w) for v, w in zip(a, b, strict=True)])
            else:
                values.append([mpmath.fdot(row, a) for row in matrix])
        return FOLDS[fold][1]([v + w for v, w in zip(values[-1], values[0], strict=True)])

    return loss


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(program=steps, fold=st.sampled_from(sorted(FOLDS)), seed=st.integers(0, 10**6))
def test_enclosures_hold_the_value_that_mpmath_finds(program: list, fold: str, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-2, 2, N)
    tape = trace_leaves(lambda leaves: [by_numpy(program, fold)(leaves[0])], [x])
    found = certified(tape, [x], (0,))
    assert found.certified_text == "yes", found.reason
    with mpmath.workdps(DIGITS):
        loss, point = by_mpmath(program, fold), tuple(mpmath.mpf(float(v)) for v in x)
        for k in range(N):
            order = tuple(int(k == i) for i in range(N))
            truth = mpmath.diff(loss, point, order)
            distance = abs(mpmath.mpf(float(found.high[0][k])) + mpmath.mpf(float(found.low[0][k])) - truth)
            scale = max(abs(truth), mpmath.mpf(1))
            # mpmath's quotient keeps about half of its extra digits; the enclosure itself is far narrower than this.
            assert distance <= mpmath.mpf(float(found.radius[0][k])) + scale * mpmath.mpf(10) ** -50
