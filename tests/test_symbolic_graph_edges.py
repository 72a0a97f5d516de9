"""Symbolic differentiation where numbers end: kinks, infinities, NaN, zeros with a sign, data of every kind."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import difflab as dl
from difflab import nn
from difflab.containers import flatten
from difflab.execution.dag.careful import Watched
from difflab.execution.dag.code import Program
from difflab.execution.dag.nodes import Graph
from difflab.execution.own_functions import piecewise

INF, NAN = math.inf, math.nan
ROOT, SYMBOL = (dl.Symbolic(way="dag", order=order) for order in ("root", "symbol"))
TREE = dl.Symbolic(way="tree")
GRAPH = [
    pytest.param(dl.Symbolic(way="dag", order=order, data=data), id=f"{order}-{data}")
    for order in ("root", "symbol")
    for data in ("numbers", "symbols")
]
WAYS = [
    *GRAPH,
    *[pytest.param(dl.Symbolic(way="tree", data=data), id=f"tree-{data}") for data in ("numbers", "symbols")],
]


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def derived(function: Callable, point: Any, backend: Any) -> tuple[float, list[float]]:
    """Value and gradient; warnings are errors here."""
    value, slopes = dl.value_and_gradient(function, backend=backend)(point)
    return float(value), np.ravel(slopes).tolist()


# ---------------------------------------------------------------------------- the kink table

KINKS: list[tuple[Callable, Any, list[float]]] = [
    (nn.relu, 0.0, [0.0]),
    (np.abs, 0.0, [0.0]),
    (lambda x: np.sign(x) * 3.0, 0.0, [0.0]),
    (lambda x: np.maximum(x[0], x[1]), array(1, 1), [0.5, 0.5]),
    (lambda x: np.minimum(x[0], x[1]), array(1, 1), [0.5, 0.5]),
    (np.max, array(2, 1, 2, 2), [1 / 3, 0, 1 / 3, 1 / 3]),
    (np.min, array(1, 2, 1), [0.5, 0, 0.5]),
    (lambda x: np.clip(x, 0, 1), 0.0, [0.5]),
    (lambda x: np.clip(x, 0, 1), 1.0, [0.5]),
    (np.sqrt, 0.0, [INF]),
    (lambda x: np.sqrt(x) ** 2, 0.0, [NAN]),
    (lambda x: x**0, 0.0, [0.0]),
    (lambda p: 0.0**p, 0.0, [0.0]),
    (lambda x: x[0] ** x[1], array(0, 0), [0.0, 0.0]),
    (lambda x: x[0] ** x[1], array(-2, 3), [12.0, NAN]),
    (lambda x: x[0] ** x[1], array(0, 0.5), [INF, 0.0]),
    (lambda x: np.hypot(x[0], x[1]), array(0, 0), [0.0, 0.0]),
    (np.linalg.norm, array(0, 0, 0), [0.0, 0.0, 0.0]),
    (lambda x: np.arctan2(x[0], x[1]), array(0, 0), [NAN, NAN]),
    (np.log, 0.0, [INF]),
    (lambda x: 1 / x, 0.0, [-INF]),
    (lambda x: nn.stop_gradient(x) * x, 3.0, [3.0]),
    (lambda x: np.floor(x) * x, 2.0, [2.0]),
    (lambda x: np.ceil(x) * x, 2.5, [3.0]),
    (lambda x: np.sum(nn.max_pool2d(np.reshape(x, (1, 2, 2, 1)), 2)), array(1, 3, 3, 3), [0, 1, 0, 0]),
    (lambda x: np.std(x), array(1, 1), [0.0, 0.0]),
    (lambda x: np.where(x > 0, np.log(x), 0), -1.0, [0.0]),
    (lambda x: np.where(x > 0, np.log(x), 0), 0.0, [0.0]),
    (lambda x: np.where(x > 0, np.where(x > 1, np.log(x - 1), x), np.sqrt(x)), 1.0, [1.0]),
    (lambda x: np.where(x < 0, 1 / x, np.where(x > 0, 1 / x, 7.0)) * x, 0.0, [7.0]),
    (lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0), -1.0, [0.0]),
    (nn.logsumexp, array(-INF, 0, 0), [0.0, 0.5, 0.5]),
    (lambda x: np.sum(nn.softmax(x) * array(1, 2, 4)), array(-INF, 0, 0), [0.0, -0.5, 0.5]),
    (lambda x: np.logaddexp(x[0], x[1]), array(-INF, 3), [0.0, 1.0]),
]
SIMPLIFIED = {10: [1.0]}  # SymPy makes x of sqrt(x)**2


@pytest.mark.parametrize("backend", WAYS)
@pytest.mark.parametrize("number", range(len(KINKS)))
def test_the_kink_table(number: int, backend: Any) -> None:
    function, point, slopes = KINKS[number]
    if backend.way == "tree":
        slopes = SIMPLIFIED.get(number, slopes)
    value, found = derived(function, point, backend)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(value, function(np.asarray(point)), rtol=1e-15)
    np.testing.assert_allclose(found, slopes, rtol=1e-15)


# ---------------------------------------------------------------------------- what is not finite


@pytest.mark.parametrize("backend", GRAPH)
@pytest.mark.parametrize(
    ("function", "point", "slopes"),
    [
        (lambda x: np.where(x < 0, 3 * x**5, x), 1e100, [1.0]),
        (lambda x: np.where(x < 0, np.sin(x) * (x * x * x), x), 1e150, [1.0]),
        (lambda x: np.where(x[0] < 0, x[0] * x[1], x[0]), array(1, INF), [1.0, 0.0]),
        (lambda x: np.where(x[0] < 0, x[0] * x[1] * x[2], x[0]), array(1, 1e200, 1e200), [1.0, 0.0, 0.0]),
        (lambda x: np.where(x < 0, np.hypot(x, 1e308) * x, x), 1.7e308, [1.0]),
        (lambda x: np.where(x < 0, np.cosh(x) * x, x), 1000.0, [1.0]),
        (lambda x: np.where(x < 0, np.sinc(x) * x, x), INF, [1.0]),
        (lambda x: nn.relu(x[0] * x[1]) + x[0], array(-1, INF), [1.0, 0.0]),
        (lambda x: np.maximum(x[0] * x[1] * x[2], 5.0), array(-1, 1e200, 1e200), [0.0, 0.0, 0.0]),
    ],
)
def test_no_zero_meets_an_infinity_in_a_branch_that_is_not_taken(
    function: Callable, point: Any, slopes: list[float], backend: Any
) -> None:
    assert derived(function, point, backend)[1] == slopes


@pytest.mark.parametrize("backend", GRAPH)
@pytest.mark.parametrize(
    ("function", "point", "value"),
    [
        (np.max, array(1, NAN, 0), NAN),
        (np.max, array(1, 0, NAN, 2), NAN),
        (np.min, array(1, 1, NAN, 0), NAN),
        (nn.relu, NAN, NAN),
        (np.abs, NAN, NAN),
        (np.sign, NAN, NAN),
        (lambda x: np.heaviside(x, 0.5), NAN, NAN),
        (lambda x: np.select([x > 0, x < 0], [x, -x], 0.0), -2.0, 2.0),
        (lambda x: np.sum(nn.max_pool2d(np.reshape(x, (1, 2, 2, 1)), 2)), array(1, NAN, 3, 3), NAN),
        (lambda x: np.sum(nn.max_pool2d(np.reshape(x, (1, 2, 2, 1)), 2)), array(NAN, 1, 3, 3), NAN),
        (lambda x: np.clip(x, 0, 1), NAN, NAN),
        (lambda x: np.nansum(x * x), array(NAN, 2), 4.0),
        (nn.logsumexp, array(-INF, -INF), -INF),
        (nn.logsumexp, array(INF, 1), INF),
        (nn.logsumexp, array(1, NAN, 2), NAN),
        (lambda x: np.sinc(x), INF, NAN),
        (lambda x: x - x, INF, NAN),
        (lambda x: np.exp(x) / np.exp(x), 800.0, NAN),
        (lambda x: x / 5e-324, 1e-300, 1e-300 / 5e-324),
        (lambda x: x * 1e300 * 1e300, 1.0, INF),
    ],
)
def test_infinities_and_nan_come_out_where_numpy_has_them(
    function: Callable, point: Any, value: float, backend: Any
) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_equal(float(function(np.asarray(point))), value)
    np.testing.assert_equal(derived(function, point, backend)[0], value)
    np.testing.assert_equal(float(dl.prepare(function, point, backend=backend).value(point)), value)


@pytest.mark.parametrize("point", [array(1, NAN), array(NAN, 1)])
def test_nan_gives_neither_side_of_a_maximum_a_share(point: np.ndarray) -> None:
    for backend in (ROOT, SYMBOL, "reverse", "forward"):
        assert derived(lambda x: np.maximum(x[0], x[1]), point, backend)[1] == [0.0, 0.0]


def test_the_program_for_what_is_not_finite_is_derived_when_it_is_needed() -> None:
    calls: list[int] = []

    def derive() -> Callable:
        calls.append(1)
        return lambda scalars: [-1.0]

    watched = Watched(lambda scalars: [scalars[0] * 2.0], derive)
    assert [watched([x])[0] for x in (1.0, 1e300, 1e308, NAN, INF, 3.0)] == [2.0, 2e300, -1.0, -1.0, -1.0, 6.0]
    assert calls == [1]


def test_it_is_derived_for_the_data_of_then() -> None:
    data = np.array([1.0, 3.0])

    def loss(w: Any, d: Any) -> Any:
        return np.sum(np.where(w < 0, w * w * w * w, w * d))

    program = dl.prepare(loss, array(1, 1), data, backend=ROOT)
    kept = data.copy()
    data[:] = 7.0
    np.testing.assert_array_equal(program.gradient(array(1e200, 1.0), kept), [1.0, 3.0])


# ---------------------------------------------------------------------------- the written-out way


@pytest.mark.parametrize(
    ("function", "point", "value"),
    [
        (np.max, array(1, NAN, 0), NAN),
        (lambda x: np.log(np.where(x > 0, x, 0.0)), -1.0, -INF),
        (lambda x: 1 / (np.sign(x) + np.sign(x - 3.0)), 1.0, INF),
        (lambda x: x / 0.0, 1.0, INF),
        (lambda x: x / 0.0, -1.0, -INF),
        (lambda x: x / 5e-324, 1.0, INF),
        (lambda x: x * 0.0 + 1 / (x - x * 1.0 + 0.0), 2.0, INF),
        (np.sinc, INF, NAN),
    ],
)
def test_code_of_sympy_raises_nothing(function: Callable, point: Any, value: float) -> None:
    np.testing.assert_allclose(derived(function, point, TREE)[0], value, rtol=1e-12)


@pytest.mark.parametrize("name", ["j0", "y1", "k0"])
def test_data_that_are_nan_reach_no_function_of_sympy(name: str) -> None:
    function = getattr(dl.special, name)
    with np.errstate(all="ignore"):
        for backend in (ROOT, TREE):
            assert np.isnan(dl.gradient(lambda w, d: w * function(d), backend=backend)(1.0, NAN))


@pytest.mark.parametrize("backend", [ROOT, TREE])
@pytest.mark.parametrize("function", [np.abs, np.sign, nn.relu, lambda d: np.heaviside(d, 0.5)])
def test_data_that_are_nan_stay_nan(function: Callable, backend: Any) -> None:
    def loss(w: Any, d: Any) -> Any:
        return np.sum(w * function(d))

    assert np.isnan(dl.value_and_gradient(loss, backend=backend)(array(1, 2), array(NAN, 1))[0])


def test_choices_are_decided_when_numbers_are_put_in() -> None:
    x, y = sympy.symbols("x y")
    choice = piecewise([(x**2, x > 0), (y, y > 0)], sympy.S.Half)
    assert choice.subs(x, 3) == 9
    assert choice.subs({x: -1, y: 5}) == 5
    assert choice.xreplace({x: sympy.S.NegativeOne, y: sympy.S.Zero}) == sympy.S.Half
    assert choice.xreplace({x: sympy.S.NegativeOne}).args[0] == (y, y > 0)


# ---------------------------------------------------------------------------- data


DATA = [
    np.array([1, 0, -2]), np.array([True, False, True]), np.array([0.1, -0.0, 3], np.float32),
    np.array([1, 2, 3], np.uint8), array(INF, 1, 0), array(NAN, 1, 0), array(-0.0, 5e-324, 1e300),
    np.array([2**63 - 1, 1, 0]),
]  # fmt: skip
LOSSES: list[Callable] = [
    lambda w, d: np.sum(w * d),
    lambda w, d: np.sum(np.where(d > 0, w * w, w)),
    lambda w, d: np.sum(w / (d + 1.5)),
    lambda w, d: np.sum(w**2 * d**2),
    lambda w, d: np.sum(np.exp(-w * w * d)),
    lambda w, d: np.sum(d / w),
    lambda w, d: np.sum(w / d),
    lambda w, d: np.sum(np.maximum(w, d)),
    lambda w, d: np.sum(d) * w[0],
    lambda w, d: np.sum(np.arctan2(w, d)),
]


@pytest.mark.parametrize("backend", GRAPH)
@pytest.mark.parametrize("data", DATA, ids=str)
def test_data_of_every_kind(data: np.ndarray, backend: Any) -> None:
    w = array(1.5, 2.0, -1.0)
    for loss in LOSSES:
        with np.errstate(all="ignore"):
            value, expected = dl.value_and_gradient(loss)(w, data)
        got, found = dl.value_and_gradient(loss, backend=backend)(w, data)
        np.testing.assert_allclose(got, value, rtol=1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_zero_keeps_its_sign_where_that_is_seen() -> None:
    for x, slope in ((1.0, -INF), (-1.0, -INF)):
        assert derived(lambda x: x / -0.0, x, ROOT) == (-math.copysign(INF, x), [slope])
    assert derived(lambda x: np.arctan2(x, -0.0), 0.0, ROOT)[0] == math.pi
    graph = Graph()
    x = graph.node("symbol", (), 0)
    assert x * -0.0 is graph.zero
    assert x + -0.0 is x
    assert Program(graph, [x], [1.0 / graph.number(-0.0)])([1.0]) == [-INF]


def test_other_data_is_derived_anew_and_known_data_is_not() -> None:
    def loss(w: Any, d: Any) -> Any:
        return np.sum(np.tanh(w * d) * w)

    w, first, second = array(1, 2), array(1, 1), array(0, -0.5)
    for backend in (ROOT, TREE):
        program = dl.prepare(loss, w, first, backend=backend)
        for data, count in ((first, 1), (second, 2), (first, 2), (second, 2), (-first, 3)):
            np.testing.assert_allclose(program.gradient(w, data), dl.gradient(loss)(w, data), rtol=1e-14)
            assert program.stats["derivations"] == count


def test_several_threads_with_other_data() -> None:
    def loss(w: Any, d: Any) -> Any:
        return np.sum(np.where(w > d, w * w * d, d))

    w, rows = array(0.5, -1, 2), np.random.default_rng(0).normal(size=(6, 3))
    program = dl.prepare(loss, w, rows[0], backend=ROOT)
    expected = [dl.gradient(loss)(w, row) for row in rows]
    wrong: list[int] = []

    def work(first: int) -> None:
        for k in (*range(first, 6), *range(first)):
            if not np.allclose(program.gradient(w, rows[k]), expected[k], rtol=1e-12):
                wrong.append(k)
            if not np.isnan(program.value(array(NAN, 1, 1), np.full(3, NAN))):
                wrong.append(-1)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---------------------------------------------------------------------------- shapes and dtypes


SHAPES: list[tuple[Callable, Any]] = [
    (lambda x: np.sum(nn.softmax(x)), np.zeros((0, 3))),
    (lambda x: nn.logsumexp(x, axis=1), np.zeros((0, 3))),
    (lambda x: np.prod(x) + np.sum(np.max(x, axis=1)), np.zeros((0, 3))),
    (lambda x: x @ np.zeros((0, 2)), np.zeros((3, 0))),
    (lambda x: x * x, 2.0),
    (lambda x: x * x, np.array(2.0)),
    (lambda x: x[::-1], array(1, 2, 3)),
    (lambda x: np.stack([x[0] * x[1], x[0] * x[1], x[0] * 0 + 3.0]), array(1, 2)),
    (lambda x: x > 0, array(1, -2)),
    (lambda p: {"u": p["a"] * p["b"], "v": (p["b"] > 0) * 1.0}, {"a": 2.0, "b": array(1, -1)}),
]


@pytest.mark.parametrize("backend", [ROOT, SYMBOL, TREE], ids=["root", "symbol", "tree"])
@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_jacobians_of_every_shape(number: int, backend: Any) -> None:
    function, point = SHAPES[number]
    found, expected = (flatten(dl.jacobian(function, backend=chosen)(point))[0] for chosen in (backend, "reverse"))
    for a, b in zip(found, expected, strict=True):
        assert (np.shape(a), type(a)) == (np.shape(b), type(b))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("backend", [ROOT, TREE], ids=["root", "tree"])
def test_nothing_warns_where_a_result_leaves_its_dtype(backend: Any) -> None:
    def roots(x: Any) -> Any:
        return np.stack([np.sqrt(x[0]), x[1] * x[1]])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype, size in ((np.float32, 1e30), (np.float16, 3e2)):
            value, slopes = dl.value_and_gradient(lambda x: np.sum(x * x), backend=backend)(np.full(2, size, dtype))
            assert value == INF
            assert value.dtype == slopes.dtype == dtype
        matrix = dl.hessian(lambda x: np.sum(x**3 * 1e4), backend=backend)(np.full(1, 9e3, np.float16))
        assert matrix.tolist() == [[INF]]
        _, change = dl.jvp(roots, (array(0, 1),), (array(0, 1),), backend=backend)
        _, pullback = dl.vjp(roots, array(0, 1), backend=backend)
        np.testing.assert_equal(change, [NAN, 2.0])
        np.testing.assert_equal(np.ravel(pullback(array(0, 1))), [NAN, 2.0])


SECOND: list[Callable] = [
    lambda x: np.sum(nn.relu(x) ** 2), lambda x: np.sum(np.abs(x) * x), lambda x: np.max(x) ** 2,
    lambda x: np.sum(np.abs(x) ** 2.5), lambda x: np.hypot(x[0], x[1]) * x[2], lambda x: nn.logsumexp(x) ** 2,
    lambda x: np.maximum(x[0], x[1]) ** 3, lambda x: np.sum(np.clip(x, 0, 1) ** 2), lambda x: np.sum(np.sinc(x)),
    lambda x: np.sum(nn.max_pool2d(np.reshape(np.stack([*x, x[0]]), (1, 2, 2, 1)), 2) ** 2),
    lambda x: np.logaddexp(x[0], x[1]) * x[2], lambda x: np.sum(np.where(x > 0, np.sqrt(x), x**2)),
]  # fmt: skip


@pytest.mark.parametrize("order", ["root", "symbol"])
@pytest.mark.parametrize("point", [array(0, 0, 0), array(1, 1, 0), array(-1, 2, 2)], ids=str)
def test_second_derivatives_at_kinks(point: np.ndarray, order: str) -> None:
    backend = dl.Symbolic(way="dag", order=order)
    for function in SECOND:
        with np.errstate(all="ignore"):
            expected = dl.hessian(function)(point)
        np.testing.assert_allclose(dl.hessian(function, backend=backend)(point), expected, rtol=1e-12, atol=1e-14)
