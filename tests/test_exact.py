"""Ball arithmetic: enclosures against mpmath, ties and kinks, what cannot be decided, precision and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

import flint
import mpmath
import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from samples import all_cases

from difflab import nn
from difflab.errors import GuardError, UndecidedError, UnsupportedError
from difflab.execution.arithmetic import apply, evaluate
from difflab.execution.balls import Balls, ball, precision
from difflab.execution.exact import Certified, certify, forecast_seconds, split
from difflab.primitives import REGISTRY
from difflab.primitives.record import Aval, Primitive
from difflab.tape import Equation, Tape
from difflab.tracing import trace_leaves
from difflab.transforms import reverse

RNG = np.random.default_rng(7)


def gradient_tape(function: Callable, *leaves: Any, wrt: Sequence[int] = (0,)) -> Tape:
    return reverse.gradient(trace_leaves(lambda inputs: [function(*inputs)], list(leaves)), tuple(wrt))


def certified(function: Callable, *leaves: Any, wrt: Sequence[int] = (0,), **options: Any) -> Certified:
    return certify(gradient_tape(function, *leaves, wrt=wrt), list(leaves), **options)


def assert_encloses(found: Certified, output: int, truth: Any) -> None:
    """Every entry of an output lies within its radius of a value that mpmath knows to 60 digits."""
    truths = [truth] if isinstance(truth, mpmath.mpf) else list(truth)
    high, low, radius = (part[output].ravel().tolist() for part in (found.high, found.low, found.radius))
    assert len(truths) == len(high)
    for h, lo, r, exact in zip(high, low, radius, truths, strict=True):
        assert abs(mpmath.mpf(h) + mpmath.mpf(lo) - exact) <= mpmath.mpf(r) + abs(exact) * mpmath.mpf(10) ** -58
        assert mpmath.mpf(r) <= abs(exact) * mpmath.mpf(10) ** -30


@pytest.fixture(autouse=True)
def _sixty_digits() -> Any:
    with mpmath.workdps(60):
        yield


# ---------------------------------------------------------------------------- enclosures


def test_baydin_gradient_is_enclosed_to_more_digits_than_a_double_has() -> None:
    found = certified(lambda a, b: np.log(a) + a * b - np.sin(b), 2.0, 5.0, wrt=(0, 1))
    a, b = mpmath.mpf(2), mpmath.mpf(5)
    assert_encloses(found, 0, mpmath.log(a) + a * b - mpmath.sin(b))
    assert_encloses(found, 1, 1 / a + b)
    assert_encloses(found, 2, a - mpmath.cos(b))
    assert (found.bits, found.ties, found.narrow, found.reason) == (160, 0, True, "")


def test_logistic_regression_gradient_against_its_formula() -> None:
    x, y, w = RNG.normal(size=(6, 3)), np.sign(RNG.normal(size=6)), RNG.normal(size=3)
    found = certified(lambda w, x, y: np.mean(np.log(1 + np.exp(-y * (x @ w)))), w, x, y)
    rows = [[mpmath.mpf(v) for v in row] for row in x]
    margins = [mpmath.mpf(s) * mpmath.fdot(row, map(mpmath.mpf, w)) for s, row in zip(y, rows, strict=True)]
    weights = [-mpmath.mpf(s) / (1 + mpmath.exp(m)) / 6 for s, m in zip(y, margins, strict=True)]
    assert_encloses(found, 0, mpmath.fsum(mpmath.log(1 + mpmath.exp(-m)) for m in margins) / 6)
    assert_encloses(found, 1, [mpmath.fsum(c * row[k] for c, row in zip(weights, rows, strict=True)) for k in range(3)])


def test_softmax_cross_entropy_gradient_against_its_formula() -> None:
    z, t = RNG.normal(size=(3, 4)), RNG.uniform(size=(3, 4))
    found = certified(nn.softmax_cross_entropy, z, t)
    truth = []
    for row, target in zip(z, t, strict=True):
        powers = [mpmath.exp(mpmath.mpf(v)) for v in row]
        total, mass = mpmath.fsum(powers), mpmath.fsum(map(mpmath.mpf, target))
        truth += [(mass * p / total - mpmath.mpf(s)) / 3 for p, s in zip(powers, target, strict=True)]
    assert_encloses(found, 1, truth)


def test_a_double_is_never_within_the_radius_of_what_it_rounds() -> None:
    found = certify(trace_leaves(lambda v: [v[0] / 3.0], [1.0]), [1.0])
    assert found.low[0] != 0
    assert float(found.radius[0]) < 1e-32
    assert_encloses(found, 0, mpmath.mpf(1) / 3)


MPMATH = {
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arctan2": mpmath.atan2,
    "arcsinh": mpmath.asinh, "arccosh": mpmath.acosh, "arctanh": mpmath.atanh, "hypot": mpmath.hypot,
    "power": mpmath.power, "log2": lambda x: mpmath.log(x, 2), "log10": mpmath.log10,
    "exp2": lambda x: mpmath.mpf(2) ** x, "square": lambda x: x * x, "reciprocal": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "divide": lambda a, b: a / b,
}  # fmt: skip
PLAIN = ("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")


@pytest.mark.parametrize("name", [*PLAIN, *MPMATH])
def test_every_function_against_mpmath(name: str) -> None:
    record = REGISTRY[name]
    points = [RNG.uniform(low, high, size=5) for low, high in record.domain]
    truth = MPMATH.get(name) or getattr(mpmath, name)
    found = certify(trace_leaves(lambda leaves: [record(*leaves)], points), points)
    assert_encloses(found, 0, [truth(*map(mpmath.mpf, point)) for point in zip(*points, strict=True)])


@pytest.mark.parametrize("name", [*PLAIN, *MPMATH])
def test_every_derivative_against_mpmath(name: str) -> None:
    record = REGISTRY[name]
    point = [float(RNG.uniform(low, high)) for low, high in record.domain]
    truth = MPMATH.get(name) or getattr(mpmath, name)
    found = certified(lambda *leaves: record(*leaves), *point, wrt=range(len(point)))
    for k in range(len(point)):

        def along(t: Any, k: int = k) -> Any:
            return truth(*[t if k == other else mpmath.mpf(p) for other, p in enumerate(point)])

        slope = mpmath.diff(along, mpmath.mpf(point[k]))
        computed = mpmath.mpf(float(found.high[1 + k])) + mpmath.mpf(float(found.low[1 + k]))
        assert abs(computed - slope) <= abs(slope) * mpmath.mpf(10) ** -28


CASES = [case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary and not case.primitive.inexact]


@one_test_each(by_primitive(CASES))
def test_every_primitive_runs_on_balls_and_agrees_with_numpy(case: Any) -> None:
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], list(case.arrays))
    (high,) = certify(tape, list(case.arrays)).high
    assert high.shape == case.value.shape
    np.testing.assert_allclose(high, case.value, rtol=1e-13, atol=1e-15)


def test_moves_keep_exact_zeros() -> None:
    x = RNG.normal(size=(1, 3, 3, 1))

    def loss(x: Any) -> Any:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return np.sum(padded[:, ::2, ::2] ** 2)

    found = certified(loss, x)
    rows, columns = np.nonzero(found.high[1][0, :, :, 0])
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(1, 1)}
    assert np.count_nonzero(found.radius[1]) == np.count_nonzero(found.low[1]) == 0


# ---------------------------------------------------------------------------- float32, literals, constants


def test_literals_stay_doubles_in_a_float32_loss() -> None:
    x = np.float32(0.7)
    found = certified(lambda x: (0.1 * x) ** 2, np.asarray(x))
    assert_encloses(found, 1, 2 * mpmath.mpf(0.1) ** 2 * mpmath.mpf(float(x)))


def test_an_integer_exponent_of_a_ball_around_zero() -> None:
    with precision(160):
        around_zero = ball(1) / 3 - (ball(1) / 3 + ball(1) / 7 - ball(1) / 7)
        square = Balls().scalar("power")(np.array([around_zero]), np.array([ball(2)]))[0]
        assert around_zero.contains(0)
        assert square.is_finite()
        assert square.contains(0)


# ---------------------------------------------------------------------------- choices


def test_numpy_maximum_on_balls_is_the_trap_that_the_rule_avoids() -> None:
    with precision(53):
        wide, point = flint.arb(1, 0.5), flint.arb(1.2)
        trap = np.maximum(np.array([wide], dtype=object), np.array([point], dtype=object))[0]
        assert not trap.contains(flint.arb(1.4)), "NumPy certifies one branch although the other may be larger"
        with pytest.raises(UndecidedError, match="cannot be decided"):
            Balls().larger(np.array([wide], dtype=object), np.array([point], dtype=object))


def test_ties_follow_the_kink_table_and_are_counted() -> None:
    assert certified(nn.relu, 0.0).high[1] == 0.0
    assert certified(np.abs, 0.0).high[1] == 0.0
    shared = certified(lambda a, b: np.maximum(a, b), 1.5, 1.5, wrt=(0, 1))
    assert [float(g) for g in shared.high[1:]] == [0.5, 0.5]
    spread = certified(lambda x: np.max(x), np.array([2.0, 1.0, 2.0, 2.0]))
    assert_encloses(spread, 1, [mpmath.mpf(1) / 3, mpmath.mpf(0), mpmath.mpf(1) / 3, mpmath.mpf(1) / 3])
    pooled = certified(lambda x: np.sum(nn.max_pool2d(x, 2)), np.full((1, 2, 2, 1), 3.0))
    np.testing.assert_array_equal(pooled.high[1].ravel(), [1.0, 0.0, 0.0, 0.0])
    assert shared.ties > 0
    assert pooled.ties > 0
    assert "tie" in pooled.reason
    assert certified(lambda x: np.where(x > 0, np.log(x), 0.0), -1.0).high[1] == 0.0


def test_overlapping_pool_windows_add_up_at_ties() -> None:
    x = np.zeros((1, 3, 3, 1))
    found = certified(lambda x: np.sum(nn.max_pool2d(x, 2, stride=1)), x)
    np.testing.assert_array_equal(found.high[1].reshape(3, 3), [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_identical_but_inexact_balls_are_a_tie() -> None:
    x = np.array([0.3, 0.3])
    found = certified(lambda x: np.max(np.tanh(x)), x)
    slope = (1 - mpmath.tanh(mpmath.mpf(0.3)) ** 2) / 2
    assert_encloses(found, 1, [slope, slope])
    assert found.ties > 0


def test_a_zero_that_no_precision_recognises_is_a_kink_and_not_certified() -> None:
    with pytest.raises(UndecidedError, match=r"cannot be decided.*at 1280 bits, the last precision tried"):
        certified(lambda x: nn.relu(np.sqrt(x) ** 2 - 2.0), 2.0)


def test_precision_rises_until_the_choice_is_certain() -> None:
    tiny = 1e-60
    found = certified(lambda x, t: nn.relu((np.exp(x) + t) - np.exp(x)), 0.5, tiny, wrt=(1,))
    assert found.bits == 320
    assert found.high[1] == 1.0


def test_outside_the_domain_nothing_is_certified() -> None:
    with pytest.raises(UndecidedError, match="no finite enclosure"):
        certified(np.log, -1.0)
    with pytest.raises(UndecidedError, match="no finite enclosure"):
        certified(np.sqrt, 0.0)


def test_what_cancels_to_zero_is_enclosed_around_zero() -> None:
    found = certified(lambda x: np.sum(nn.softmax(x)), np.array([0.3, -1.0, 2.0]))
    assert found.narrow
    assert np.all(np.abs(found.high[1]) <= 1e-40)


def test_casts_to_integers_and_booleans_are_choices() -> None:
    x = np.array([-1.5, 0.0, 2.25])
    found = certified(lambda x: np.sum(x.astype(int) * x) + np.sum(x.astype(bool) * x), x)
    np.testing.assert_array_equal(found.high[1], [-1.0 + 1.0, 0.0, 2.0 + 1.0])
    with pytest.raises(UndecidedError, match="contains an integer"):
        certified(lambda x: np.floor(np.sqrt(x) ** 2) * x, 2.0)


def test_guards_are_decided_exactly() -> None:
    tape = trace_leaves(lambda v: [v[0] * 2.0 if v[0] > 0 else v[0]], [1.0])
    assert certify(tape, [3.0]).high[0] == 6.0
    with pytest.raises(GuardError, match="recorded where Python saw True"):
        certify(tape, [-3.0])


def test_integer_data_stays_native() -> None:
    logits, labels = RNG.normal(size=(3, 4)), np.array([2, 0, 3])
    found = certified(lambda z, k: np.sum(z[np.arange(3), k] ** 2), logits, labels)
    expected = np.zeros((3, 4))
    expected[np.arange(3), labels] = 2 * logits[np.arange(3), labels]
    np.testing.assert_array_equal(found.high[1], expected)


def test_complex_data_and_primitives_without_a_rule_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="complex"):
        certify(trace_leaves(lambda v: [v[0] + v[0]], [1.0]), [np.array(1j)])
    odd = Primitive("odd", "general", np.sort, lambda x: Aval(x.shape, x.dtype), None, None)
    with pytest.raises(UnsupportedError, match="`odd` has no rule for exact arithmetic"):
        apply(Balls(), odd, [np.array([ball(1)], dtype=object)], {})


def test_a_tape_built_by_hand() -> None:
    double = np.dtype(float)
    tape = Tape(
        avals=tuple(Aval(shape, double) for shape in ((2, 2), (2, 2), (2, 2))),
        inputs=(0, 1),
        constants={},
        literals={},
        equations=(Equation(REGISTRY["matmul"], (0, 1), {}, 2),),
        outputs=(2,),
    ).check()
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.5, 0.0], [0.0, 0.25]])
    found = certify(tape, [a, b])
    np.testing.assert_array_equal(found.high[0], a @ b)
    assert not found.radius[0].any()


# ---------------------------------------------------------------------------- precision and time


def test_the_working_precision_comes_back_also_after_an_error() -> None:
    before = flint.ctx.prec
    certified(np.exp, 1.0)
    with pytest.raises(UndecidedError):
        certified(np.log, -1.0)
    assert flint.ctx.prec == before


def test_threads_do_not_see_each_others_precision() -> None:
    tape, results = trace_leaves(lambda v: [np.exp(v[0])], [1.0]), {}

    def run(bits: int) -> None:
        for _ in range(20):
            results[bits] = certify(tape, [1.0], bits=bits)

    threads = [Thread(target=run, args=(bits,)) for bits in (120, 160, 640)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {bits: found.bits for bits, found in results.items()} == {120: 120, 160: 160, 640: 640}
    assert len({float(found.high[0]) for found in results.values()}) == 1


def test_a_deadline_ends_it() -> None:
    with pytest.raises(TimeoutError, match="no certificate within 0 s"):
        certified(np.exp, 1.0, deadline_s=0.0)


def test_forecast_grows_with_the_work() -> None:
    def forecast(n: int) -> float:
        return forecast_seconds(gradient_tape(lambda a, b: np.sum(np.tanh(a @ b)), np.ones((n, n)), np.ones((n, n))))

    assert 4 < forecast(128) / forecast(32) < 64


def test_split_is_an_enclosure() -> None:
    with precision(400):
        third = ball(1) / 3
        high, low, radius = split(third)
        assert abs(third - ball(high) - ball(low)) <= ball(radius)
        assert split(ball(0.1)) == (0.1, 0.0, 0.0)
        assert split(ball(10) ** 400)[2] == math.inf


def test_evaluation_can_be_stopped_before_an_equation() -> None:
    tape = trace_leaves(lambda v: [np.exp(v[0])], [1.0])
    seen: list[str] = []
    with precision(100):
        evaluate(tape, [1.0], Balls(), before=lambda primitive: seen.append(primitive.name))
    assert seen == ["exp"]
