"""The page of semantics, paragraph by paragraph: live and static, guards, look-up, dtypes, random numbers, warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl

FAMILIES = ["reverse", "forward", "finite"]
EXACT = ["reverse", "forward"]

# ---------------------------------------------------------------------------- live or static


def cross_entropy(z, labels):
    return np.mean(dl.nn.logsumexp(z, axis=1) - z[np.arange(3), labels])


def cross_entropy_gradient(z, labels):
    soft = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return (soft - np.eye(4)[labels]) / 3


@pytest.mark.parametrize("backend", FAMILIES)
def test_integer_labels_are_live(backend: str):
    z = np.random.default_rng(0).normal(size=(3, 4))
    one, other = np.array([0, 1, 2]), np.array([3, 3, 0])
    prepared = dl.prepare(cross_entropy, z, one, backend=backend)
    np.testing.assert_allclose(prepared(z, one), cross_entropy_gradient(z, one), atol=1e-9)
    np.testing.assert_allclose(prepared(z, other), cross_entropy_gradient(z, other), atol=1e-9)
    assert prepared.stats["traces"] == 1


@pytest.mark.parametrize("backend", FAMILIES)
def test_masks_and_what_is_chosen_by_data_are_live(backend: str):
    def f(x, mask):
        best = np.argmax(x)
        return np.sum(np.where(mask, x * x, 0.0)) + x[best] * np.sum(np.sign(x)) + np.sum(x[np.array([0, 0, 1])])

    def by_hand(x, mask):
        g = np.where(mask, 2 * x, 0.0)
        g[np.argmax(x)] += np.sum(np.sign(x))
        g[0] += 2
        g[1] += 1
        return g

    x, mask = np.array([1.0, -2.0, 3.0]), np.array([True, False, True])
    prepared = dl.prepare(f, x, mask, backend=backend)
    for at, chosen in ((x, mask), (-x, ~mask), (x[::-1] * 2, ~mask)):
        np.testing.assert_allclose(prepared(at, chosen), by_hand(at, chosen), rtol=1e-8)
    assert prepared.stats["traces"] == 1


STATICS = [
    pytest.param(2, 3, id="int"),
    pytest.param(True, False, id="bool"),
    pytest.param(1, True, id="int and bool"),
    pytest.param("a", "b", id="str"),
    pytest.param(None, 0, id="None"),
    pytest.param(slice(0, 1), slice(0, 2), id="slice"),
    pytest.param(np.sin, np.cos, id="function"),
]


@pytest.mark.parametrize(("one", "other"), STATICS)
def test_statics_are_part_of_the_key(one: Any, other: Any):
    def f(x, how: Any):
        if isinstance(how, slice):
            return np.sum(x[how])
        if callable(how):
            chosen: Any = how(x)
            return np.sum(chosen)
        return np.sum(x) * (7.0 if how is True else 5.0 if how is None else 3.0 if how == "a" else 2.0 if how else 1.0)

    x = np.array([0.1, 0.2])
    prepared = dl.prepare(f, x, one)
    again = slice(other.start, other.stop) if isinstance(other, slice) else other  # equal, another object
    for how in (one, other, one, again):
        np.testing.assert_array_equal(prepared(x, how), dl.gradient(f)(x, how))
    assert prepared.stats["traces"] == 2


def test_floats_are_live_and_of_any_sign():
    prepared = dl.prepare(lambda x, s: np.copysign(1.0, 1.0) * x / s, 2.0, 1.0)
    assert [prepared(2.0, s) for s in (4.0, -0.5, 0.5)] == [0.25, -2.0, 2.0]
    assert prepared.stats["traces"] == 1


# ---------------------------------------------------------------------------- guards


def branching(x):
    steps = 0
    while x > 1.0:
        x = x * 0.5
        steps += 1
    return x * x if steps % 2 else 3.0 * x


@pytest.mark.parametrize("backend", FAMILIES)
def test_the_wrong_branch_is_never_replayed(backend: str):
    def by_hand(x):
        n = max(0, int(np.ceil(np.log2(x))))
        return 2 * x * 0.25**n if n % 2 else 3.0 * 0.5**n

    prepared = dl.prepare(branching, 0.7, backend=backend)
    points = [0.7, 1.5, 3.0, 5.0, 0.9, 1.7, 3.3, 7.0]
    for x in points:
        assert prepared(x) == pytest.approx(by_hand(x), rel=1e-8)
        assert dl.gradient(branching, backend=backend)(x) == pytest.approx(by_hand(x), rel=1e-8)
        assert prepared.value(x) == branching(x)
    assert prepared.stats["traces"] == 4


@pytest.mark.parametrize("first", ["truth", "count"])
@pytest.mark.parametrize("n", [1, 2])
def test_a_number_seen_as_truth_and_as_count_is_guarded_as_both(first: str, n: int):
    def f(x, n):
        y = x
        if first == "truth" and n:
            y = y * 1.0
        for _ in range(n):
            y = y * x
        if first == "count" and n:
            y = y * 1.0
        return y

    prepared = dl.prepare(f, 2.0, np.array(n))
    assert prepared(2.0, np.array(n)) == (n + 1) * 2.0**n
    assert prepared(2.0, np.array(3)) == 32.0
    assert prepared(2.0, np.array(0)) == 1.0


@pytest.mark.parametrize("scheme", ["central", "forward"])
def test_a_quotient_across_a_branch_is_that_of_the_function(scheme: str):
    def f(x):
        return 2.0 * x if x > 0.0 else -x

    h = 2.0**-10
    for run in (dl.gradient(f, backend=dl.Finite(scheme, h)), dl.prepare(f, 1.0, backend=dl.Finite(scheme, h))):
        x = 2.0**-12 if scheme == "central" else -(2.0**-12)
        behind, distance = (f(x - h), 2 * h) if scheme == "central" else (f(x), h)
        assert run(x) == (f(x + h) - behind) / distance


def test_guards_hold_inside_nested_derivatives():
    def cube_or_square(y):
        return y**3 if y > 1.0 else y * y

    prepared = dl.prepare(lambda x: dl.gradient(cube_or_square)(x) * x, 2.0)
    assert prepared(2.0) == 9 * 4.0
    assert prepared(0.5) == 4 * 0.5
    assert prepared.stats["traces"] == 2


# ---------------------------------------------------------------------------- the trace is checked against the function


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize("prepared", [False, True])
def test_a_buffer_that_the_function_fills_anew_is_seen_as_it_was(backend: str, prepared: bool):
    def f(x):
        row, total = np.zeros(3), 0.0
        for i in range(3):
            row[:] = 0.0
            row[i] = 1.0
            total = total + np.sum(x * row) * (i + 1)
        return total

    x = np.array([0.5, 1.0, 2.0])
    run = dl.prepare(f, x, backend=backend) if prepared else dl.gradient(f, backend=backend)
    np.testing.assert_allclose(run(x), [1.0, 2.0, 3.0], rtol=1e-9)


def test_a_function_that_refuses_nearby_points_can_be_prepared():
    def f(p):
        if abs(np.sum(p) - 1.0) > 1e-9:
            raise ValueError("not a distribution")
        return np.sum(p * np.log(p))

    p = np.array([0.25, 0.75])
    np.testing.assert_allclose(dl.prepare(f, p)(p), np.log(p) + 1, rtol=1e-15)
    with pytest.raises(ValueError, match="not a distribution"):
        dl.prepare(f, p)(2 * p)


# ---------------------------------------------------------------------------- structure look-up


def test_programs_of_one_structure_are_shared_and_never_confused():
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    x = np.array([0.5, 0.25])

    def over(c, d):
        return dl.gradient(lambda x: np.sum(np.exp(x * c) * d))(x)

    for c, d in ((a, b), (a, a), (b, a), (b, b.copy()), (a.astype("f4"), b)):
        np.testing.assert_allclose(over(c, d), np.exp(x * c) * c * d, rtol=1e-15 if c.dtype == "f8" else 1e-7)


@pytest.mark.parametrize("numbers", [(1, 1.0, True, 2, 0.0, -0.0, np.float32(1.0), np.float64(1.0), np.int64(1))])
def test_numbers_in_the_text_are_told_apart_by_type_and_bits(numbers: tuple):
    for x in (np.float32(3.0), np.ones(2, "f4"), 3.0):
        for n in numbers:

            def f(x, n=n):
                return np.sum(x * n + np.arctan2(x * n, -1.0))

            value, slope = dl.value_and_gradient(lambda x, f=f: f(x))(x)
            assert value.dtype == f(x).dtype, (x, n)
            assert slope.dtype == np.asarray(x).dtype
            np.testing.assert_array_equal(np.signbit(value), np.signbit(f(x)))
            np.testing.assert_allclose(value, f(x), rtol=1e-6 if value.dtype == "f4" else 1e-14)


def test_closed_over_data_is_never_stale():
    holder = {"c": np.ones(2)}
    gradient = dl.gradient(lambda x: np.sum(x * holder["c"]))
    for k in range(4):
        holder["c"] = np.full(2, float(k))
        np.testing.assert_array_equal(gradient(np.zeros(2)), [k, k])
        holder["c"][:] = -1.0
        np.testing.assert_array_equal(gradient(np.zeros(2)), [-1.0, -1.0])


# ---------------------------------------------------------------------------- dtype

WEAK: dict[str, Callable[[Any, Any], Any]] = {
    "multiply": lambda x, w: w * x,
    "power": lambda x, w: w * x**0.5,
    "integer power": lambda x, w: w * x**3,
    "float power": lambda x, w: w * x**2.0,
    "reflected power": lambda x, w: w * 2.0**x,
    "power of itself": lambda x, w: w * x**x,
    "comparison": lambda x, w: w * (x > 0),
    "number times comparison": lambda x, w: x * (x > 0) * w,
    "abs": lambda x, w: w * abs(-x),
    "quotient": lambda x, w: w / (1 + x) - (1 - x) / 2,
    "np.tanh": lambda x, w: w * np.tanh(x),
    "np.power": lambda x, w: w * np.power(x, 2),
    "np.sum": lambda x, w: w * np.sum(x),
    "np.mean": lambda x, w: w * np.mean(x),
    "np.where": lambda x, w: w * np.where(x > 0, x, 0.0),
    "np.maximum": lambda x, w: w * np.maximum(x, 0.0),
    "relu": lambda x, w: w * dl.nn.relu(x),
}


@pytest.mark.parametrize("name", WEAK)
def test_python_numbers_stay_weak_exactly_where_numpy_has_them_weak(name: str):
    w = np.array([1.0, 2.0], "f4")
    plain = np.sum(WEAK[name](2.0, w))
    value, (dx, dw) = dl.value_and_gradient(lambda x, w: np.sum(WEAK[name](x, w)), (0, 1))(2.0, w)
    assert (value.dtype, dx.dtype, dw.dtype) == (plain.dtype, np.float64, np.float32)
    np.testing.assert_allclose(value, plain, rtol=1e-6)


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize("prepared", [False, True])
def test_mixed_precision_gives_each_variable_its_own_dtype(backend: str, prepared: bool):
    def f(a, b, c):
        return np.mean(np.tanh(a * b) + c * a.astype("f8"))

    args = np.array([0.5, 1.5], "f4"), np.array([1.0, -2.0]), 2.0
    a, b, c = (np.asarray(v, "f8") for v in args)
    run = dl.prepare(f, *args, argnums=(0, 1, 2), backend=backend) if prepared else dl.gradient(f, (0, 1, 2), backend)
    da, db, dc = run(*args)
    assert (da.dtype, db.dtype, dc.dtype) == (np.float32, np.float64, np.float64)
    s = 1 - np.tanh(a * b) ** 2
    np.testing.assert_allclose(da, (s * b + c) / 2, rtol=1e-3 if backend == "finite" else 1e-6)
    np.testing.assert_allclose(db, s * a / 2, rtol=1e-7)
    np.testing.assert_allclose(dc, np.mean(a), rtol=1e-7)


def test_rules_create_no_float64_on_the_way():
    from difflab import transforms
    from difflab.operators import source

    def f(x, w):
        h = dl.nn.relu(x @ w) + np.maximum(x, 0.1) @ w + np.abs(x @ w) ** 3 / np.sqrt(1 + x.var())
        return dl.nn.softmax_cross_entropy(np.log1p(np.exp(h)), np.ones_like(h)) + np.max(h) + np.linalg.norm(w)

    args = np.ones((3, 2), "f4"), np.full((2, 4), 0.3, "f4")
    tape = source(f, args, argnums=(0, 1)).tape
    for derived in (transforms.gradient(tape, (0, 1)), transforms.jvp(tape, (0, 1))):
        kinds = {derived.avals[equation.output].dtype for equation in derived.equations}
        assert kinds <= {np.dtype("f4"), np.dtype(bool), np.dtype("i8")}


# ---------------------------------------------------------------------------- in place


def test_augmented_assignment_rebinds():
    def f(x):
        h = x
        h += 1.0
        h *= x
        h -= 3.0
        h /= 2.0
        h **= 2
        return np.sum(h)

    x = np.array([2.0, 5.0])
    wanted = 2 * ((x + 1) * x - 3) / 2 * (2 * x + 1) / 2
    np.testing.assert_allclose(dl.gradient(f, backend="forward")(x), wanted, rtol=1e-15)
    np.testing.assert_array_equal(x, [2.0, 5.0])


# ---------------------------------------------------------------------------- random numbers


def draw(x):
    return np.sum(x * np.random.rand(3))  # noqa: NPY002


def test_random_numbers_are_fresh_unprepared_and_frozen_when_prepared():
    np.random.seed(1)  # noqa: NPY002
    x = np.zeros(3)
    first, second = dl.gradient(draw)(x), dl.gradient(draw)(x)
    assert np.all(first != second)
    for position in range(3):  # wherever the generator stands
        with pytest.warns(UserWarning, match="`draw` draws from NumPy's global random generator"):
            prepared = dl.prepare(draw, x)
        np.testing.assert_array_equal(prepared(x), prepared(x + position))


@pytest.mark.parametrize("black_box", [False, True])
def test_one_finite_difference_gradient_uses_one_draw(black_box: bool):
    def f(x):
        if black_box:
            float(x[0])
        return draw(x)

    np.random.seed(2)  # noqa: NPY002
    wanted = np.random.rand(3)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    value, found = dl.value_and_gradient(f, backend="finite")(np.ones(3))
    if not black_box:
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert np.sum(found) == pytest.approx(value, rel=1e-9)


# ---------------------------------------------------------------------------- warnings

TOUCHY: dict[str, tuple[Callable, float, float]] = {
    "sqrt at 0": (np.sqrt, 0.0, np.inf),
    "power at 0": (lambda x: x**0.5, 0.0, np.inf),
    "hypot at 0": (lambda x: np.hypot(x, 0.0), 0.0, np.nan),
    "arcsin at 1": (np.arcsin, 1.0, np.inf),
    "exp near overflow": (lambda x: np.exp(x) * np.exp(x), 354.8, np.inf),
    "tiny quotient": (lambda x: 1e-300 / (1e-200 + x), 0.0, -1e100),
}


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize("name", TOUCHY)
def test_derivatives_add_no_warnings(name: str, backend: str):
    f, x, wanted = TOUCHY[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x)  # the plain loss does not warn
        runs = [dl.gradient(f, backend=backend), dl.prepare(f, x, backend=backend)]
        for run in runs:
            found = run(x)
            if backend in EXACT and not np.isnan(wanted) and name != "exp near overflow":
                assert found == pytest.approx(wanted)
        dl.jvp(f, (x,), (1.0,), backend=backend)
        dl.vjp(f, x, backend=backend)[1](1.0)


@pytest.mark.parametrize("backend", FAMILIES)
def test_the_plain_losss_own_warnings_stay(backend: str):
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        dl.gradient(np.log, backend=backend)(0.0)
