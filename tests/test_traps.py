"""The zoo of kinks and traps: what each trap claims is true, and every backend answers what is expected of it."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
import trap_numbers
from grouped import one_test_each

from difflab.backends import find as backend
from difflab.errors import InputError, TraceError, UndecidedError
from difflab.execution.exact import certify
from difflab.operators import source
from difflab.transforms import reverse
from difflab.traps import FAMILIES, PROBLEM, TRAPS, Trap, find
from difflab.traps.admissible import Ball, Exact, Hull, NoDerivative, OneOf, Refusal
from difflab.traps.departures import DEPARTURES, KNOWN
from difflab.traps.judge import BY_TABLE, HONEST, VERDICTS, Difflab, ask, flat, judge, short, who, why

EVERY = list(TRAPS.values())
EXACT = (*BY_TABLE, "complex-step")
OURS = {name: backend(name) for name in EXACT}
IN_NUMBERS = {
    "relu": lambda xp, x: xp.relu(x),
    "max-pool-tie": lambda xp, x: xp.max_pool2d(x),
}
# Recorded is the branch that Python took, or another function than NumPy computes.
OF_ANOTHER_PROGRAM = ("relu-difference", "augmented-assignment")
# Errors by contract; branches that Python took where two numbers are equal; infinite slopes have no enclosure.
WITHOUT_CERTIFICATE = (
    "item-assignment", "assignment-into-zeros", "float-inside", "if-equal", "loop-that-stops", "sqrt-squared",
    "clipped-sqrt",
)  # fmt: skip


def named(trap: Trap) -> str:
    return trap.name


def of(*kinds: type) -> list[Trap]:
    return [trap for trap in EVERY if isinstance(trap.admissible, kinds)]


def in_numbers(trap: Trap) -> Any:
    """The trap's function as it can be computed in real numbers, with what it stands for where rounding is the trap."""
    return IN_NUMBERS.get(trap.name) or trap.ideal or trap.function


# ------------------------------------------------------------------------------------------------ the registry


def test_there_are_enough_traps_and_each_is_whole() -> None:
    assert len(TRAPS) == len({trap.name for trap in EVERY}) == sum(map(len, FAMILIES.values())) >= 36
    assert len({trap.title for trap in EVERY}) == len({trap.sentence for trap in EVERY}) == len(TRAPS)
    for family, traps in FAMILIES.items():
        assert traps, family
        assert {trap.family for trap in traps} == {family}


@pytest.mark.parametrize("trap", EVERY, ids=named)
def test_every_trap_has_a_sentence_a_point_a_set_and_a_thread_or_none(trap: Trap) -> None:
    assert trap.sentence.endswith(".")
    assert 30 < len(trap.sentence) < 320
    assert trap.admissible.text
    assert trap.arguments
    assert len(trap.title) < 70
    assert not trap.thread or re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", trap.thread)
    assert bool(trap.url) == bool(trap.thread)
    for position in trap.wrt:
        given = trap.arguments[position]
        if isinstance(trap.admissible, Refusal):
            assert np.asarray(given).dtype.kind == "i"
        else:
            assert isinstance(given, float) or given.dtype == trap.dtype
    assert set(trap.forms) <= {"jax", "torch", "autograd"}


def test_a_thread_gives_an_address() -> None:
    assert find("maximum-zero").url == "https://github.com/jax-ml/jax/issues/37821"
    assert find("sort-tie").url == ""


def test_a_misspelt_trap_is_suggested() -> None:
    with pytest.raises(InputError, match=r"there is no trap 'max-tye' \(did you mean 'max-tie'"):
        find("max-tye")


def test_as_a_problem_its_sizes_are_the_families() -> None:
    assert list(PROBLEM.sizes) == list(FAMILIES)
    built = PROBLEM.build("kinks", "float32", 0)
    assert built.n_params == sum(np.size(t.arguments[p]) for t in FAMILIES["kinks"] for p in t.wrt)
    value, gradient = built.analytic(*built.args)
    assert value == built.loss(*built.args) == built.n_params
    assert np.array_equal(gradient["x"], np.full(built.n_params, 2, np.float32))


# ------------------------------------------------------------------------------------------------ the sets are true


@pytest.mark.parametrize("trap", of(Exact), ids=named)
def test_a_formula_is_the_derivative(trap: Trap) -> None:
    assert isinstance(trap.admissible, Exact)
    arguments = [trap_numbers.exact(one) for one in trap.arguments]
    if trap.name == "sqrt-squared":  # its domain ends at the point: from the inside
        arguments = [mpmath.mpf(10) ** -30]
    found = trap_numbers.gradient(in_numbers(trap), arguments, trap.wrt)
    claimed = trap.admissible.values(trap.arguments)
    assert len(found) == len(claimed)
    scale = max(map(abs, claimed)) or 1
    for one, other in zip(found, claimed, strict=True):
        assert abs(one - other) <= mpmath.mpf(10) ** -20 * scale


@pytest.mark.parametrize("trap", [trap for trap in of(Exact) if trap.scenario is None], ids=named)
def test_a_formula_is_what_is_certified(trap: Trap) -> None:
    """The certificate is of the recorded program: it agrees unless that is not the function, or has no enclosure."""
    assert isinstance(trap.admissible, Exact)
    try:
        made = source(partial(trap.function, np), trap.arguments, {}, trap.wrt)
        found = certify(reverse.gradient(made.tape, tuple(made.wrt)), made.example)
    except (UndecidedError, TraceError):
        assert trap.name in WITHOUT_CERTIFICATE
        return
    values = [float(one) for one in trap.admissible.values(trap.arguments)]
    agrees = flat(found.high[1:]) == pytest.approx(values, rel=1e-14, abs=0)
    assert agrees == (trap.name not in OF_ANOTHER_PROGRAM)


@pytest.mark.parametrize("trap", of(Hull, Ball), ids=named)
def test_a_set_holds_all_nearby_gradients_and_is_no_larger(trap: Trap) -> None:
    rng = np.random.default_rng(5)
    point = [trap_numbers.exact(one) for one in trap.arguments]
    found = []
    for _ in range(40):
        near = trap_numbers.nearby(point, trap.wrt, mpmath.mpf(10) ** -12, rng)
        found.append([float(one) for one in trap_numbers.gradient(in_numbers(trap), near, trap.wrt)])
    for one in found:
        assert trap.admissible.verdict(one, (), "float64") in ("admissible", "near")
    if isinstance(trap.admissible, Hull):
        for vertex in trap.admissible.vertices:
            assert min(math.dist(vertex, one) for one in found) < 1e-9, "an end that no gradient approaches"
    else:
        assert isinstance(trap.admissible, Ball)
        assert all(abs(math.hypot(*one) - trap.admissible.radius) < 1e-9 for one in found)
        assert min(one[0] for one in found) < -0.5 < 0.5 < max(one[0] for one in found)


@pytest.mark.parametrize("trap", of(NoDerivative), ids=named)
def test_there_is_no_derivative_where_none_is_claimed(trap: Trap) -> None:
    assert isinstance(trap.admissible, NoDerivative)
    if trap.name == "log-negative":
        with np.errstate(invalid="ignore"):
            assert np.isnan(trap.function(np, *trap.arguments))
        return
    rng = np.random.default_rng(5)
    point = [trap_numbers.exact(one) for one in trap.arguments]
    with mpmath.workdps(trap_numbers.DIGITS):
        slopes = []
        for digits in (8, 16):
            step = mpmath.mpf(10) ** -digits
            inside = {"arccos-one": -1, "floor-jump": -1}.get(trap.name, 1)
            values = []
            for where in (0, inside):
                moved = [one + where * step * (position in trap.wrt) for position, one in enumerate(point)]
                values.append(_value(trap, moved))
            slopes.append(abs(values[1] - values[0]) / step)
        assert slopes[1] > 4 * slopes[0] or trap.name == "x-log-x", "difference quotients settle"
        if trap.name == "x-log-x":
            assert slopes[1] > slopes[0] + 10
        if trap.admissible.limits:
            near = trap_numbers.nearby(point, trap.wrt, mpmath.mpf(10) ** -12, rng)
            near = [abs(one) + point[k] if trap.name == "zero-to-the-zero" else one for k, one in enumerate(near)]
            limit = trap_numbers.gradient(trap.function, near, trap.wrt)
            assert tuple(map(float, limit)) in trap.admissible.limits


def _value(trap: Trap, point: list[Any]) -> Any:
    if trap.name == "x-log-x" and point[0] == 0:
        return mpmath.mpf(0)  # by continuity
    if trap.name == "zero-to-the-zero":
        return mpmath.mpf(1) if point[1] == 0 else mpmath.mpf(0)
    return trap.function(trap_numbers.Exactly, *point)


# ------------------------------------------------------------------------------------------------ verdicts


def test_an_exact_value_is_met_within_units_in_the_last_place() -> None:
    third = Exact(lambda mp, x: [1 / (3 * x)], "1/3")
    last = np.spacing(1 / 3)
    assert third.verdict([1 / 3 + 3 * last], (1.0,), "float64") == "admissible"
    assert third.verdict([1 / 3 + 9 * last], (1.0,), "float64") == "near"
    assert third.verdict([1 / 3 + 9 * last], (1.0,), "float32") == "admissible"
    assert third.verdict([0.3333], (1.0,), "float64") == "outside"
    assert third.verdict([math.inf], (1.0,), "float64") == "nan"
    assert third.verdict([1 / 3, 0.0], (1.0,), "float64") == "outside"


def test_what_underflows_to_nought_is_met_by_nought_only_there() -> None:
    tiny = Exact(lambda mp: [mp.mpf(10) ** -400], "0")
    assert tiny.verdict([0.0], (), "float64") == "admissible"
    assert tiny.verdict([1e-300], (), "float64") == "near"
    assert Exact(lambda mp: [mp.mpf(10) ** -17], "").verdict([0.0], (), "float64") == "outside"


def test_a_hull_knows_the_distance_of_a_point() -> None:
    square = Hull(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)), "")
    assert square.distance((0.25, 0.75)) < 1e-12
    assert square.distance((2.0, 0.5)) == pytest.approx(1.0, abs=1e-9)
    assert square.distance((-3.0, -4.0)) == pytest.approx(5.0, abs=1e-9)
    assert square.verdict((1.0, 1.0 + 1e-9), (), "float64") == "near"
    assert square.verdict((1.0,), (), "float64") == "outside"


def test_other_sets() -> None:
    assert Ball(2, "").verdict((0.6, 0.8), (), "float64") == "admissible"
    assert Ball(2, "").verdict((0.7, 0.8), (), "float64") == "outside"
    assert OneOf((1.0, 5.0), "").verdict([5.0], (), "float64") == "admissible"
    assert OneOf((1.0, 5.0), "").verdict([3.0], (), "float64") == "outside"
    assert OneOf((1.0, 5.0), "").verdict([math.nan], (), "float64") == "nan"
    assert Refusal("").verdict([6.0], (), "float64") == "outside"
    step = NoDerivative("", ((0.0,),))
    assert [step.verdict([one], (), "float64") for one in (0.0, math.inf, math.nan, 1e8)] == ["admissible"] * 3 + [
        "outside"
    ]


def test_answers_in_a_few_characters() -> None:
    assert [short(one) for one in (0.1 + 0.2, -2e-17, 1e300, math.inf)] == ["0.3", "-2e-17", "1e300", "inf"]
    assert judge(find("max-tie"), [0.5, 0.5, 0]).text == "(0.5, 0.5, 0)"
    assert judge(find("norm-zero"), [0, 0, 0]).text == "all 0"
    assert judge(find("abs-zero"), [-0.0]) == judge(find("abs-zero"), [0.0])


# ------------------------------------------------------------------------------------------------ our backends


@one_test_each({named(trap): {name: (trap, name) for name in EXACT} for trap in EVERY})
def test_our_exact_backends_answer_as_expected(trap: Trap, name: str) -> None:
    answer = ask(Difflab(OURS[name]), trap)
    verdict, reason = KNOWN.get((trap.name, name), ("admissible", ""))
    assert answer.verdict == verdict, f"{answer.text} {answer.error}: mend the backend, or departures.py"
    assert answer.table is not False, f"{answer.text} is not what the table of kinks says"
    if verdict == "refused":
        assert trap.refusal in answer.error
        assert re.match(r"(TraceError|InputError): ", answer.error)
    if verdict not in HONEST:
        assert why(trap, answer, OURS[name]) in (reason, answer.error)


@one_test_each({named(trap): {scheme: (trap, scheme) for scheme in ("central", "forward")} for trap in EVERY})
def test_quotients_answer_as_expected(trap: Trap, scheme: str) -> None:
    finite = backend("finite", scheme=scheme)
    answer = ask(Difflab(finite), trap)
    expected = KNOWN.get((trap.name, who(finite)))
    honest = ("admissible", "near") if expected is None else (expected[0],)
    assert answer.verdict in honest, f"{answer.text} {answer.error}: mend the backend, or departures.py"


def test_known_departures_are_of_traps_and_told_once() -> None:
    assert len(KNOWN) == sum(len(one.traps) * len(one.backends) for one in DEPARTURES)
    assert {trap for trap, _ in KNOWN} <= set(TRAPS)
    assert all(one.verdict in VERDICTS and one.verdict != "admissible" and one.reason for one in DEPARTURES)


def test_the_reason_of_an_answer() -> None:
    trap = find("clip-bound")
    assert why(trap, judge(trap, [0.5]), OURS["reverse"]) == "as difflab's table of kinks says"
    assert why(trap, judge(trap, [1.0]), OURS["reverse"]) == "not what difflab's table of kinks says"
    guard = find("sqrt-squared")
    assert why(guard, judge(guard, [math.nan]), OURS["reverse"]) == KNOWN["sqrt-squared", "reverse"][1]
    assert why(guard, judge(guard, [1.0, 0.5]), OURS["reverse"]) == ""
    assert who(OURS["forward"]) == "forward"


def test_an_error_names_the_place_in_the_trap() -> None:
    assert re.search(r"hazards\.py:\d+", ask(Difflab(OURS["reverse"]), find("item-assignment")).error)
