"""Nesting, prepared programs, pullbacks, threads, and results that nobody else holds."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.errors import TraceError, UnsupportedError

NESTING = ["reverse", "forward", "finite"]
EXACT = ["reverse", "forward"]


def close(found: Any, wanted: Any, *families: str) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-4 if "finite" in families else 1e-13)


# ---------------------------------------------------------------------------- nesting


@pytest.mark.parametrize("outer", NESTING)
@pytest.mark.parametrize("inner", NESTING)
class TestNesting:
    def test_perturbations_are_not_confused(self, outer: str, inner: str):
        def f(x):
            return x * dl.gradient(lambda y: x + y, backend=inner)(1.0)

        close(dl.gradient(f, backend=outer)(1.0), 1.0, outer, inner)

    def test_closure_over_the_outer_variable(self, outer: str, inner: str):
        def f(x):  # x * d/dy (x y^2) at y = 3: 6 x^2
            return x * dl.gradient(lambda y: x * y * y, backend=inner)(3.0)

        close(dl.gradient(f, backend=outer)(2.0), 24.0, outer, inner)

    def test_the_argument_is_traced(self, outer: str, inner: str):
        first = dl.gradient(lambda y: y**3, backend=inner)
        close(dl.gradient(lambda x: first(x), backend=outer)(2.0), 12.0, outer, inner)

    def test_second_derivative_of_a_vector_function(self, outer: str, inner: str):
        x = np.array([0.5, -1.0])

        def f(v):
            return np.sum(dl.gradient(lambda w: np.sum(np.sin(w) * w), backend=inner)(v) * np.array([1.0, 2.0]))

        close(dl.gradient(f, backend=outer)(x), (2 * np.cos(x) - x * np.sin(x)) * [1.0, 2.0], outer, inner)

    def test_containers_inside(self, outer: str, inner: str):
        def f(p):
            g = dl.gradient(lambda q: q["a"] ** 2 * q["b"][0], backend=inner)(p)
            return g["a"] * g["b"][0]  # 2ab * a^2

        found = dl.gradient(f, backend=outer)({"a": 2.0, "b": [3.0]})
        close([found["a"], found["b"][0]], [6 * 4.0 * 3.0, 2 * 8.0], outer, inner)

    def test_jvp_and_vjp_inside(self, outer: str, inner: str):
        wanted = np.cos(0.7) - 0.7 * np.sin(0.7)
        forwards = dl.gradient(lambda x: dl.jvp(np.sin, (x,), (x,), backend=inner)[1], backend=outer)
        backwards = dl.gradient(lambda x: dl.vjp(np.sin, x, backend=inner)[1](x)[0], backend=outer)
        close(forwards(0.7), wanted, outer, inner)
        close(backwards(0.7), wanted, outer, inner)


@pytest.mark.parametrize("a", EXACT)
@pytest.mark.parametrize("b", EXACT)
@pytest.mark.parametrize("c", EXACT)
def test_three_levels(a: str, b: str, c: str):
    third = dl.gradient(dl.gradient(dl.gradient(lambda x: np.exp(2 * x), backend=c), backend=b), backend=a)
    close(third(0.5), 8 * np.e)

    def f(x):  # x^2 closed over two levels down
        return dl.gradient(lambda y: dl.gradient(lambda z: x * x * y * z * z, backend=c)(y), backend=b)(x)

    close(dl.gradient(f, backend=a)(3.0), dl.gradient(lambda x: 4 * x**3)(3.0))


@pytest.mark.parametrize("backend", EXACT)
def test_hessian_vector_products_both_ways(backend: str):
    x, v = np.array([0.3, -0.8, 1.1]), np.array([1.0, 2.0, 3.0])

    def f(w):
        return np.sum(w**4) * w[0]

    def product(w):
        return 12 * w**2 * v * w[0] + 4 * w**3 * v[0] + np.array([np.sum(4 * w**3 * v), 0, 0])

    close(dl.jvp(dl.gradient(f), (x,), (v,), backend=backend)[1], product(x))
    close(dl.gradient(lambda w: dl.jvp(f, (w,), (v,), backend=backend)[1])(x), product(x))
    close(dl.gradient(lambda w: np.sum(dl.gradient(f, backend=backend)(w) * v))(x), product(x))


@pytest.mark.parametrize("backend", NESTING)
def test_traced_tangents_and_cotangents_of_plain_primals(backend: str):
    close(dl.gradient(lambda t: dl.jvp(lambda y: y**3, (2.0,), (t,), backend=backend)[1] * t)(3.0), 72.0, backend)
    _, pullback = dl.vjp(lambda y: y**3, 2.0, backend=backend)
    close(dl.gradient(lambda c: pullback(c)[0] * c)(3.0), 72.0, backend)


@pytest.mark.parametrize("name", ["null", "symbolic"])
def test_families_that_do_not_nest_can_still_be_outside(name: str):
    found = dl.gradient(lambda x: dl.gradient(lambda y: y**3)(x), backend=name)(2.0)
    close(found, 0.0 if name == "null" else 12.0)


def test_a_value_used_after_its_trace_ended():
    kept: list[Any] = []
    dl.gradient(lambda x: (kept.append(x * x), kept.append(x > 1.0), x * x)[2])(2.0)
    for use in (lambda: kept[0] + 1.0, lambda: np.sin(kept[0]), lambda: bool(kept[1]), lambda: 2.0 if kept[1] else 1.0):
        with pytest.raises(TraceError, match=r"at test_operators\.py:\d+ .*after its trace ended"):
            use()
    with pytest.raises(TraceError, match="after its trace ended"):
        dl.gradient(lambda y: y * kept[0])(1.0)


def test_an_inner_value_used_in_the_outer_function():
    kept: list[Any] = []

    def outer(x):
        inner = dl.gradient(lambda y: (kept.append(y * x), y * x)[1])(x)
        return inner + kept[0]

    with pytest.raises(TraceError, match="after its trace ended"):
        dl.gradient(outer)(2.0)


# ---------------------------------------------------------------------------- prepared programs


def test_closures_are_fresh_unprepared_and_frozen_when_prepared():
    scale = np.array([1.0, 2.0])
    state = {"k": 1.0}

    def f(x):
        return np.sum(x * scale) * state["k"]

    x = np.ones(2)
    prepared = dl.prepare(f, x)
    scale[:] = 10.0
    state["k"] = 2.0
    np.testing.assert_array_equal(dl.gradient(f)(x), [20.0, 20.0])
    np.testing.assert_array_equal(prepared(x), [1.0, 2.0])
    assert prepared.value(x) == 3.0  # a program made only now, of the tape recorded then
    np.testing.assert_array_equal(prepared.vjp(x)[1](1.0)[0], [1.0, 2.0])


@pytest.mark.parametrize("backend", NESTING)
def test_another_shape_dtype_or_kind_is_traced_once_more(backend: str):
    prepared = dl.prepare(lambda x: np.sum(x * x), np.ones(3), backend=backend)
    calls: list[Any] = [np.ones(4), np.ones(3, "f4"), 2.0, np.float64(2.0), np.ones((3, 1)), np.ones(4), 2.0]
    for x in calls:
        found = prepared(x)
        np.testing.assert_allclose(found, 2 * x, rtol=1e-3 if np.asarray(x).dtype == "f4" else 1e-8)
        assert found.dtype == np.asarray(x).dtype
    assert prepared.stats["traces"] == 6


def test_sixteen_programs_are_kept_and_the_least_recently_used_goes():
    prepared = dl.prepare(lambda x, n: x**n, 2.0, 1)
    for n in range(2, 17):
        assert prepared(2.0, n) == n * 2.0 ** (n - 1)
    assert prepared.stats["traces"] == 16
    assert prepared(2.0, 3) == 12.0
    assert prepared(2.0, 17) == 17 * 2.0**16  # 1 was used least recently and goes
    assert prepared(2.0, 3) == 12.0
    assert prepared.stats["traces"] == 17
    assert prepared(2.0, 1) == 1.0
    assert prepared.stats["traces"] == 18


def test_many_branches_are_bounded_too():
    def f(x, n):
        for _ in range(n):
            x = x * 1.5
        return x

    prepared = dl.prepare(f, 1.0, np.array(0))
    for n in [*range(40), 3]:
        assert prepared(1.0, np.array(n)) == pytest.approx(1.5**n, rel=1e-14)


@pytest.mark.parametrize("operator", ["gradient", "value_and_gradient", "jvp", "vjp"])
def test_calling_a_prepared_runs_its_operator(operator: str):
    prepared = dl.prepare(lambda x, y: x * y, 2.0, 3.0, operator=operator, argnums=(0, 1))
    if operator == "gradient":
        assert prepared(4.0, 5.0) == (5.0, 4.0)
    elif operator == "value_and_gradient":
        assert prepared(4.0, 5.0) == (20.0, (5.0, 4.0))
    elif operator == "jvp":
        assert prepared((4.0, 5.0), (1.0, 0.0)) == (20.0, 5.0)
    else:
        value, pullback = prepared(4.0, 5.0)
        assert (value, pullback(2.0)) == (20.0, (10.0, 8.0))


def test_an_unknown_operator():
    with pytest.raises(UnsupportedError, match="unknown operator 'hess'"):
        dl.prepare(lambda x: x, 1.0, operator="hess")


def test_the_shared_cache_keeps_nothing_of_its_callers():
    def use() -> weakref.ref:
        big = np.broadcast_to(np.arange(3.0), (2, 3))  # read-only, so the trace holds it and no copy
        np.testing.assert_array_equal(dl.gradient(lambda x: np.sum(x * big))(np.ones((2, 3))), big)
        return weakref.ref(big)

    fate = use()
    gc.collect()
    assert fate() is None


# ---------------------------------------------------------------------------- a Prepared inside another trace


@pytest.mark.parametrize("backend", NESTING)
def test_a_prepared_nests_like_its_operator(backend: str):
    cube = dl.prepare(lambda x: x**3, 2.0, backend=backend)
    close(dl.gradient(lambda x: cube(x) * x)(2.0), 9 * 4.0, backend)
    close(dl.gradient(lambda x: cube.value(x) * cube.value_and_gradient(x)[0])(2.0), 6 * 32.0, backend)
    close(dl.gradient(lambda t: cube.jvp((2.0,), (t,))[1] * t)(3.0), 72.0, backend)
    close(dl.gradient(lambda t: cube.jvp((t,), (t,))[1])(3.0), 81.0, backend)
    close(dl.gradient(lambda x: cube.vjp(x)[1](x)[0])(3.0), 81.0, backend)
    _, pullback = cube.vjp(2.0)
    close(dl.gradient(lambda c: pullback(c)[0] * c)(3.0), 72.0, backend)
    twice = dl.prepare(lambda x: cube(x) * x, 1.0)
    close(twice(2.0), 9 * 4.0, backend)
    assert cube.stats["traces"] == 1


def test_a_prepared_inside_keeps_its_closure_and_follows_branches():
    c = np.array([1.0, 2.0])
    inner = dl.prepare(lambda x: np.sum(x * x * c) if x[0] > 0 else np.sum(x * c), np.ones(2))
    frozen = c.copy()
    c[:] = 9.0
    outer = dl.gradient(lambda x: np.sum(inner(x) * x))
    np.testing.assert_array_equal(outer(np.ones(2)), 4 * frozen)
    np.testing.assert_array_equal(outer(-np.ones(2)), c)  # a branch first taken now closes over what is there now
    assert inner.stats["traces"] == 2


def test_a_pullback_of_a_prepared_with_traced_cotangents_owns_its_primals():
    prepared = dl.prepare(lambda x: np.sin(x) * np.cos(x[::-1]), np.ones(2), operator="vjp")
    x = np.array([0.3, 0.4])
    _, pullback = prepared(x)
    wanted = pullback(np.array([1.0, 2.0]))[0]
    x[:] = 5.0
    slope = dl.jvp(lambda c: pullback(c)[0], (np.zeros(2),), (np.array([1.0, 2.0]),))[1]
    np.testing.assert_allclose(slope, wanted, rtol=1e-14)


@pytest.mark.parametrize("name", ["null", "symbolic"])
def test_a_prepared_that_does_not_nest_says_so(name: str):
    prepared = dl.prepare(lambda x: x**3, 2.0, backend=name)
    with pytest.raises(UnsupportedError, match=f"backend {name!r} cannot be used inside another derivative"):
        dl.gradient(lambda x: prepared(x))(2.0)


# ---------------------------------------------------------------------------- pullbacks and threads


@pytest.mark.parametrize("backend", NESTING)
@pytest.mark.parametrize("prepared", [False, True])
def test_pullbacks_own_their_residuals(backend: str, prepared: bool):
    def f(x, y):
        return np.sin(x) * y, np.sum(x * x * y)

    a, b, y = np.array([0.1, 0.2]), np.array([1.0, 2.0]), np.array([3.0, -1.0])
    run: Callable = (
        dl.prepare(f, a, y, operator="vjp", backend=backend).vjp
        if prepared
        else lambda *primals: dl.vjp(f, *primals, backend=backend)
    )
    mutable = a.copy()
    _, first = run(mutable, y)
    _, second = run(b, y)
    mutable[:] = 99.0
    c = (np.array([1.0, -2.0]), 0.5)

    def check(pullback, x):
        gx, gy = pullback(c)
        np.testing.assert_allclose(gx, c[0] * np.cos(x) * y + c[1] * 2 * x * y, rtol=1e-7)
        np.testing.assert_allclose(gy, c[0] * np.sin(x) + c[1] * x * x, rtol=1e-7)

    for pullback, x in ((second, b), (first, a), (first, a), (second, b)):
        check(pullback, x)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: check(*[(first, a), (second, b)][i % 2]), range(40)))


@pytest.mark.parametrize("backend", NESTING)
def test_a_prepared_runs_in_eight_threads(backend: str):
    def f(p, x):
        return np.sum(np.tanh(x @ p["w"] + p["b"]) ** 2)

    rng = np.random.default_rng(0)
    p = {"w": rng.normal(size=(5, 4)), "b": rng.normal(size=4)}
    xs = [rng.normal(size=(6, 5)) for _ in range(8)]
    prepared = dl.prepare(f, p, xs[0], backend=backend)
    wanted = [prepared(p, x) for x in xs]
    barrier = threading.Barrier(8)

    def work(k: int) -> bool:
        barrier.wait()
        same = True
        for _ in range(30 if backend == "reverse" else 3):
            found = prepared(p, xs[k])
            same &= all(np.array_equal(found[key], wanted[k][key]) for key in p)
        return same

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_threads_that_need_new_programs_at_once():
    prepared = dl.prepare(lambda x, n: x**n, 2.0, 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: prepared(2.0, n), [n % 25 + 1 for n in range(200)]))
    assert found == [(n % 25 + 1) * 2.0 ** (n % 25) for n in range(200)]


# ---------------------------------------------------------------------------- black boxes


def test_a_black_box_that_returns_a_view_of_its_argument():
    def f(x):
        float(x[0])
        return x[::-1]

    x = np.array([1.0, 2.0, 3.0])
    value, slope = dl.jvp(f, (x,), (np.array([1.0, 0.0, 2.0]),), backend="finite")
    np.testing.assert_allclose(slope, [2.0, 0.0, 1.0], atol=1e-9)
    assert not np.shares_memory(value, x)


@pytest.mark.parametrize("kind", ["float()", "attribute", "library", "unknown function"])
def test_finite_differences_take_black_boxes(kind: str):
    def f(x):
        if kind == "float()":
            return np.float64(float(x[0]) ** 2 + float(x[1]))
        if kind == "attribute":
            return float(x.tobytes()[0] * 0) + x[0] ** 2 + x[1]
        if kind == "library":
            return sum([x.tobytes() and x[0] ** 2, x[1]])
        return np.sum(np.roots(np.array([1.0, -1.0]) * 0 + [1.0, -1.0])) * x[0] ** 2 + x[1] * len(np.union1d(x, x)) / 2

    x = np.array([3.0, 2.0])
    np.testing.assert_allclose(dl.gradient(f, backend="finite")(x), [6.0, 1.0], rtol=1e-8)
    prepared = dl.prepare(f, x, backend="finite")
    np.testing.assert_allclose(prepared(x), [6.0, 1.0], rtol=1e-8)
    assert prepared.stats["black_box"] is True
    assert prepared.stats["black_box_reason"]
    assert dl.prepare(np.sum, x, backend="finite").stats["black_box"] is False


def test_warnings_of_a_prepared_point_at_the_caller():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dl.prepare(lambda x: x * np.random.rand(), 1.0)  # noqa: NPY002
    assert [w.filename for w in caught] == [__file__]
