"""Cases made to catch a tape that cheats: aliases, look-ups, stale closures, wrong branches, threads, depth."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.containers import flatten, same
from difflab.errors import InputError, TraceError
from difflab.execution.cache import structure
from difflab.tracing import trace_leaves

FAMILIES = ["reverse", "forward", "finite"]
EXACT = ["reverse", "forward"]
X = np.array([0.3, -0.7, 1.2])


def grad(function: Callable, *args: Any, prepared: bool, backend: str = "reverse", argnums: Any = 0) -> Any:
    """The gradient, by a prepared program or without one."""
    if prepared:
        return dl.prepare(function, *args, argnums=argnums, backend=backend)(*args)
    return dl.gradient(function, argnums, backend)(*args)


both_ways = pytest.mark.parametrize("prepared", [False, True], ids=["unprepared", "prepared"])
all_families = pytest.mark.parametrize("backend", FAMILIES)

# ---------------------------------------------------------------------------- closures within closures


@both_ways
@all_families
def test_nested_closures_see_each_others_variables(backend: str, prepared: bool):
    def loss(x):
        def layer(w):
            def unit(v):
                return np.tanh(v * w) * x[0] + x[1]

            return unit(unit(w))

        return layer(x[2]) * layer(x[1])

    h = 1e-6
    wanted = [(loss(X + h * e) - loss(X - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(grad(loss, X, prepared=prepared, backend=backend), wanted, rtol=1e-7)


@pytest.mark.parametrize("a", EXACT)
@pytest.mark.parametrize("b", EXACT)
def test_an_inner_gradient_closes_over_outer_variables_of_two_levels(a: str, b: str):
    def f(x):
        def g(y):
            return dl.gradient(lambda z: x * y * z**3, backend=b)(y) * x  # 3 x^2 y^3

        return dl.gradient(g, backend=a)(x)  # at y = x: 9 x^4

    assert dl.gradient(f)(1.5) == pytest.approx(36 * 1.5**3, rel=1e-13)


# ---------------------------------------------------------------------------- results that are nobody else's


@both_ways
@pytest.mark.parametrize("backend", [*FAMILIES, "symbolic"])
def test_the_gradient_of_a_product_with_a_constant_is_not_the_constant(backend: str, prepared: bool):
    c = np.array([1.0, 2.0, 3.0])

    def f(x):
        return np.sum(x * c)

    run = dl.prepare(f, X, backend=backend) if prepared else dl.gradient(f, backend=backend)
    first = run(X)
    assert not np.shares_memory(first, c)
    first[:] = 99.0
    np.testing.assert_array_equal(c, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(run(X), c, rtol=1e-9)


@both_ways
@pytest.mark.parametrize("backend", EXACT)
def test_gradients_that_are_arguments_or_each_other_are_copies(backend: str, prepared: bool):
    def f(x, y):
        return np.sum(x * y)

    y = X + 1.0
    gx, gy = grad(f, X, y, prepared=prepared, backend=backend, argnums=(0, 1))
    assert not any(np.shares_memory(result, other) for result in (gx, gy) for other in (X, y))
    assert not np.shares_memory(gx, gy)
    gx, gy = grad(lambda x, y: np.sum(x + y), X, y, prepared=prepared, backend=backend, argnums=(0, 1))
    gx[:] = 5.0
    np.testing.assert_array_equal(gy, np.ones(3))


def test_values_and_outputs_that_are_arguments_are_copies():
    prepared = dl.prepare(lambda x: (x, x.T, x[:2]), X, operator="vjp", argnums=0)
    values, pullback = prepared.vjp(X)
    for found in (*values, pullback(values)[0]):
        assert not np.shares_memory(found, X)
    assert not np.shares_memory(values[0], values[1])
    cotangents = tuple(np.ones_like(value) for value in values)
    assert not np.shares_memory(dl.vjp(lambda x: x, X)[1](cotangents[0])[0], cotangents[0])


# ---------------------------------------------------------------------------- calls that differ from the prepared one


@all_families
def test_another_shape_other_labels_another_number_of_masked_elements(backend: str):
    def loss(x, labels, mask):
        picked = x[np.arange(x.shape[0]), labels]
        return np.sum(np.where(mask, picked**2, 0.0)) + np.sum(x[mask] ** 3) / x.shape[0]

    def by_hand(x, labels, mask):
        g = np.zeros_like(x)
        n = x.shape[0]
        g[np.arange(n), labels] += np.where(mask, 2 * x[np.arange(n), labels], 0.0)
        g[mask] += 3 * x[mask] ** 2 / n
        return g

    rng = np.random.default_rng(0)
    prepared = dl.prepare(loss, rng.normal(size=(4, 3)), np.array([0, 1, 2, 0]), np.arange(4) < 2, backend=backend)
    for n, chosen in ((4, 2), (4, 2), (4, 3), (4, 0), (2, 1), (6, 6), (4, 1)):
        x = rng.normal(size=(n, 3))
        labels, mask = rng.integers(0, 3, n), rng.permutation(np.arange(n) < chosen)
        np.testing.assert_allclose(prepared(x, labels, mask), by_hand(x, labels, mask), rtol=1e-7, atol=1e-8)


@both_ways
def test_the_same_object_twice_and_then_two_different_ones(prepared: bool):
    def f(x, y):
        return np.sum(x * x * y)

    a, b = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    run = dl.prepare(f, a, a, argnums=(0, 1)) if prepared else dl.gradient(f, (0, 1))
    for x, y in ((a, a), (a, b), (b, a), (a, a.copy()), (b, b)):
        gx, gy = run(x, y)
        np.testing.assert_array_equal(gx, 2 * x * y)
        np.testing.assert_array_equal(gy, x * x)


def test_constants_that_were_one_object_and_then_are_two():
    def gradient_with(c, d):
        return dl.gradient(lambda x: np.sum(np.exp(x * c) * d))(X)

    a, b = np.ones(3), np.full(3, 2.0)
    for c, d in ((a, a), (a, b), (b, b), (b, a), (a, a.copy())):
        np.testing.assert_allclose(gradient_with(c, d), np.exp(X * c) * c * d, rtol=1e-14)


# ---------------------------------------------------------------------------- the look-up by structure


@pytest.mark.parametrize("at", [X, np.float64(0.7), X.astype("f4")], ids=["array", "scalar", "float32"])
def test_numbers_that_compare_equal_are_not_the_same_number(at: Any):
    def signs(k):
        return dl.value_and_gradient(lambda x: np.sum(np.copysign(1.0, np.asarray(1.0)) * x * k))(at)

    for base, other in ((2, 2.0), (2.0, 2)):
        first, second = (dl.value_and_gradient(lambda x, n=n: np.sum(x**n))(at) for n in (base, other))
        for found in (first, second):
            np.testing.assert_allclose(found[1], 2 * at, rtol=1e-6)
            assert np.asarray(found[1]).dtype == np.asarray(at).dtype
    for k in (0.0, -0.0, 0.0, 0, -0.0):
        value, slope = signs(k)
        assert np.all(np.signbit(slope) == np.signbit(np.float64(k)))
        assert value == 0.0


def test_what_the_key_of_a_structure_tells_apart():
    def key(function):
        return structure(trace_leaves(lambda leaves: [function(leaves[0])], [np.float64(3.0)]))

    functions: list[Callable] = [
        *[lambda x, k=k: x * k for k in (1, True, 0, False, 2)],
        *[lambda x, k=k: np.where(x > 0, x, x * 1) ** k for k in (2, 3)],
        lambda x: x * np.float32(1),
        lambda x: x * np.float64(1),
        lambda x: x.astype("f4") * 1,
    ]
    keys = [key(function) for function in functions]
    assert len(set(keys)) == len(keys)
    assert [key(function) for function in functions] == keys


@settings(max_examples=40)
@given(numbers=st.lists(st.sampled_from([1, 1.0, True, 0, 0.0, -0.0, False, 2, 2.0, -1, -1.0]), min_size=2, max_size=6))
def test_any_sequence_of_numbers_through_the_look_up_is_numpys(numbers: list):
    for k in numbers:
        for n in numbers[:2]:

            def f(x, k=k, n=n):
                return np.sum(x * k + x ** abs(int(n)) * n)

            value, slope = dl.value_and_gradient(lambda x, f=f: f(x))(X)
            assert value == pytest.approx(f(X), abs=1e-15)
            power = abs(int(n))
            np.testing.assert_allclose(
                slope, k + n * power * np.where(power, X ** max(power - 1, 0), 0), rtol=1e-14, atol=1e-15
            )


# ---------------------------------------------------------------------------- closures that change


@all_families
def test_an_array_changed_in_place_after_prepare_is_as_it_was(backend: str):
    weights, nested = np.array([1.0, 2.0, 3.0]), {"k": [np.ones(3)]}

    def f(x):
        return np.sum(x * weights * nested["k"][0])

    prepared = dl.prepare(f, X, backend=backend)
    frozen = weights.copy()
    weights *= 10.0
    nested["k"][0][:] = 7.0
    np.testing.assert_allclose(prepared(X), frozen, rtol=1e-9)
    np.testing.assert_allclose(dl.gradient(f, backend=backend)(X), weights * 7.0, rtol=1e-9)
    np.testing.assert_allclose(prepared(X), frozen, rtol=1e-9)


# ---------------------------------------------------------------------------- pullbacks and threads


@pytest.mark.parametrize("backend", EXACT)
def test_two_pullbacks_alive_crosswise_and_twice(backend: str):
    prepared = dl.prepare(lambda x: np.exp(x) * x, X, operator="vjp", backend=backend)
    for run in (lambda x: prepared.vjp(x), lambda x: dl.vjp(lambda y: np.exp(y) * y, x, backend=backend)):
        at = [X.copy(), 2 * X]
        pulls = [run(x)[1] for x in at]
        slopes = [np.exp(x) * (1 + x) for x in at]
        at[0][:] = 0.0
        run(np.zeros(3))
        for number in (1, 0, 1, 0, 0, 1):
            c = np.cos(number + np.arange(3.0))
            found = pulls[number](c)[0]
            np.testing.assert_allclose(found, c * slopes[number], rtol=1e-13)
            found[:] = 0.0


@pytest.mark.parametrize("backend", EXACT)
def test_eight_threads_on_one_prepared_that_branches(backend: str):
    def f(x, k):
        y = x
        for _ in range(k):
            y = np.tanh(y) * x
        return np.sum(y) if np.sum(x) > 0 else np.sum(y * y)

    xs = [X * (-1) ** i * (1 + i / 8) for i in range(8)]
    counts = [np.array(i % 3) for i in range(8)]
    prepared = dl.prepare(f, xs[0], counts[0], backend=backend)
    wanted = [dl.gradient(f, backend=backend)(x, k) for x, k in zip(xs, counts, strict=True)]
    barrier = threading.Barrier(8)

    def work(i: int) -> bool:
        barrier.wait()
        at = [(i + j) % 8 for j in range(20)]
        return all(np.allclose(prepared(xs[k], counts[k]), wanted[k], rtol=1e-13) for k in at)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert prepared.stats["traces"] >= 6


# ---------------------------------------------------------------------------- black boxes, length and depth


@both_ways
def test_a_black_box_under_finite_differences(prepared: bool):
    def f(x):
        total = 0.0
        for value in x:
            total += float(value) ** 2 if float(value) > 0 else 3.0 * float(value)
        return np.float64(total)

    np.testing.assert_allclose(grad(f, X, prepared=prepared, backend="finite"), np.where(X > 0, 2 * X, 3.0), rtol=1e-9)
    for backend in EXACT:
        with pytest.raises(TraceError, match=r"float\(\) of a traced value .*at test_cunning\.py:\d+ would cut it off"):
            grad(f, X, prepared=prepared, backend=backend)


@both_ways
@pytest.mark.parametrize("backend", EXACT)
def test_loops_of_thousands_of_iterations_need_no_recursion(backend: str, prepared: bool):
    def f(x):
        y = x
        for _ in range(1500):
            y = y * 1.0001 + x * 1e-4
        return y

    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    limit = sys.getrecursionlimit()
    grown = 1.0001**1500
    try:
        sys.setrecursionlimit(depth + 120)
        found = grad(f, 0.5, prepared=prepared, backend=backend)
    finally:
        sys.setrecursionlimit(limit)
    assert found == pytest.approx(grown + 1e-4 * (grown - 1) / 1e-4, rel=1e-10)


@both_ways
def test_deep_containers_and_many_leaves(prepared: bool):
    tree: Any = {"x": 1.0}
    for level in range(40):
        tree = [tree, {"w": float(level)}] if level % 2 else {"inner": tree, "w": np.full(2, float(level))}

    def f(tree):
        return sum((np.sum(leaf * leaf) for leaf in flatten(tree)[0]), 0.0)

    found, structure_found = flatten(grad(f, tree, prepared=prepared))
    leaves, wanted = flatten(tree)
    assert same(structure_found, wanted)
    for a, b in zip(found, leaves, strict=True):
        np.testing.assert_array_equal(a, 2 * np.asarray(b))


def test_a_call_that_fails_leaves_the_next_one_right():
    def f(x, n):
        if n == 1:
            raise KeyError("mine")
        return np.sum(x * n)

    prepared = dl.prepare(f, X, 2)
    with pytest.raises(KeyError, match="mine"):
        prepared(X, 1)
    with pytest.raises(InputError):
        prepared(X.astype(int), 2)
    np.testing.assert_array_equal(prepared(X, 3), np.full(3, 3.0))
    np.testing.assert_array_equal(prepared(X, 2), np.full(3, 2.0))
