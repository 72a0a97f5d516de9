"""recommend: the quickest backend that meets the limits, from certified errors and measured sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import difflab as dl
from difflab import decision
from difflab.contest import LITTLE, TRIED, Contest, Limits
from difflab.decision import Candidate, Wanted, broken, decide, front, relaxed
from difflab.errors import InputError, TraceError
from difflab.recommendation import candidate, chosen

# ---------------------------------------------------------------------------- the decision alone

AMOUNTS = st.one_of(st.sampled_from([0.5, 1.0, 1.05, 2.0]), st.floats(1e-9, 1e9))


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Up to seven backends with coarse numbers, so that many are equal, and some unknown."""
    found = []
    for k in range(draw(st.integers(0, 7))):
        error = draw(st.none() | st.sampled_from([1e-16, 1e-9, 1e-8, 1e-3]))
        call = draw(AMOUNTS)
        once = draw(AMOUNTS)
        found.append(
            Candidate(
                label=f"b{k}",
                outcome=draw(st.sampled_from(["ok", "ok", "ok", "invalid", "skipped_predicted"])),
                error=error,
                digits=None if error is None else -math.log10(error),
                call_s=draw(st.none() | st.just(call)),
                least_s=call * draw(st.floats(0.5, 1.0)),
                most_s=call * draw(st.floats(1.0, 2.0)),
                once_s=once,
                once_least_s=once * draw(st.floats(0.5, 1.0)),
                once_most_s=once,
                memory=draw(st.none() | st.sampled_from([10.0, 10.5, 20.0]) | AMOUNTS),
            )
        )
    return found


LIMITS = st.builds(
    Wanted,
    digits=st.none() | st.sampled_from([2.0, 8.0, 9.0, 12.0]),
    memory=st.none() | AMOUNTS,
    seconds=st.none() | AMOUNTS,
    calls=st.sampled_from([1, 2, 1000]),
)


def meets(one: Candidate, wanted: Wanted) -> bool:
    """Written out once more, from what the limits mean."""
    if one.outcome != "ok" or one.call_s is None:
        return False
    if wanted.digits is not None and (one.digits is None or one.digits < wanted.digits):
        return False
    if wanted.memory is not None and (one.memory is None or one.memory > wanted.memory):
        return False
    return wanted.seconds is None or one.call_s <= wanted.seconds


@given(candidates(), LIMITS)
def test_the_front_is_what_nothing_dominates(known: list[Candidate], wanted: Wanted):
    known = [one for one in known if one.measured]

    def point(one: Candidate) -> list[float]:
        total = one.once_s + (wanted.calls - 1) * (one.call_s or 0.0)
        return [total, *[math.inf if value is None else value for value in (one.error, one.memory)]]

    def beaten(one: Candidate) -> bool:
        own = point(one)
        return any(
            all(a <= b for a, b in zip(point(other), own, strict=True))
            and any(a < b for a, b in zip(point(other), own, strict=True))
            for other in known
        )

    assert {one.label for one in front(known, wanted.calls)} == {one.label for one in known if not beaten(one)}


@given(candidates(), LIMITS)
def test_what_is_taken_meets_every_limit_and_nothing_clearly_quicker_does(known: list[Candidate], wanted: Wanted):
    found = decide(known, wanted)
    fit = [one for one in known if meets(one, wanted)]
    assert (found.best is None) == (not fit)
    assert set(found.meet) == set(fit)
    if found.best is None:
        return
    assert found.best in fit
    assert found.best in found.tied
    quickest = min(one.total_s(wanted.calls) for one in fit)
    assert found.tied[0].total_s(wanted.calls) == quickest
    assert min(found.best.range_s(wanted.calls)[0], found.best.total_s(wanted.calls)) <= max(
        decision.TIED * quickest, found.tied[0].range_s(wanted.calls)[1]
    )
    most = max(-1.0 if one.digits is None else one.digits for one in found.tied)
    assert (-1.0 if found.best.digits is None else found.best.digits) >= most - decision.ALIKE_DIGITS


@given(candidates(), LIMITS, LIMITS)
def test_tightening_never_gives_a_violator_and_relaxing_never_loses_all(
    known: list[Candidate], one: Wanted, other: Wanted
):
    def tighter(name: str, pick) -> float | None:
        both = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        return pick(both) if both else None

    tight = Wanted(tighter("digits", max), tighter("memory", min), tighter("seconds", min), one.calls)
    best = decide(known, tight).best
    if best is not None:
        assert meets(best, one)
        assert meets(best, other)
        assert decide(known, one).best is not None
        assert decide(known, Wanted(calls=one.calls)).best is not None


@given(candidates(), LIMITS)
def test_what_relaxing_is_said_to_give_it_gives(known: list[Candidate], wanted: Wanted):
    if decide(known, wanted).best is not None:
        return
    for which, one in relaxed(known, wanted).items():
        assert broken(one, wanted) == (which,)
        now = {"digits": one.digits, "memory": one.memory, "seconds": one.call_s}[which]
        eased = Wanted(**{**vars(wanted), which: now})
        if now is not None:
            assert one in decide(known, eased).meet


@given(candidates(), LIMITS)
def test_every_sentence_can_be_said_and_names_all_backends(known: list[Candidate], wanted: Wanted):
    assume(known)
    rows = [
        {
            "backend": one.label, "outcome": one.outcome, "reason": "it is so", "family": "reverse",
            "certified": "no: too large" if one.error is None else "yes", "rel_error": one.error,
            "digits": one.digits, "rel_error_radius": 0.0, "call_s": one.call_s, "prepare_s": one.once_s,
            "first_call_s": 0.0, "predicted_bytes": None, "held_bytes": one.memory,
        }
        for one in known
    ]  # fmt: skip
    values = [_Named(one.label) for one in known]
    found = chosen("loss", "gradient", wanted, values, rows)  # type: ignore[arg-type]  # only the names count here
    assert set(found.rejected) == {one.label for one in known} - {found.label}
    text = str(found)
    assert "None" not in text
    assert "nan" not in text
    assert all(one.label in text for one in known)
    assert (found.backend is None) == (found.label is None)
    assert found.reason.endswith(".")
    assert "<script" not in found._repr_html_()
    assert list(found.frame["backend"]) == [one.label for one in known]


class _Named:
    """Something with a name, as the labels of backends want it."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_an_error_that_is_not_certified_does_not_count_and_its_radius_does():
    row = {
        "backend": "a", "family": "reverse", "outcome": "ok", "reason": "", "certified": "yes", "rel_error": 1e-10,
        "rel_error_radius": 9e-10, "digits": 10.0, "prepare_s": 1.0, "first_call_s": 2.0, "call_s": 0.5,
        "held_bytes": 7, "predicted_bytes": 5.0,
    }  # fmt: skip
    known = candidate(row)
    assert known.error == pytest.approx(1e-9)
    assert known.digits == pytest.approx(9.0)
    assert (known.memory, known.known_by, known.once_s) == (7, "measured", 3.0)
    assert candidate(row | {"certified": "no: too large"}).digits is None
    assert candidate(row | {"certified": "sampled 3 of 9"}).digits == pytest.approx(9.0)
    peer = candidate(row | {"family": "peer"})
    assert (peer.memory, peer.known_by) == (5.0, "forecast")
    assert candidate(row | {"held_bytes": None}).known_by == "forecast"
    inexact = row | {"outcome": "invalid", "reason": "relative error 1e-10 is over the tolerance 1e-13"}
    assert [candidate(inexact, digits).outcome for digits in (None, 8.9, 9.1)] == ["invalid", "ok", "invalid"]
    assert candidate(inexact | {"certified": "no: too large"}, 8.9).outcome == "invalid"


# ---------------------------------------------------------------------------- real losses


def bumpy(w):
    return 1e12 + np.sum(np.sin(w))


def wide(w, x):
    return np.sum(np.tanh(w * x) ** 2)


def chain(t, x):
    for _ in range(40):
        x = np.sin(t * x)
    return np.sum(x)


def wiggly(w):
    return np.sum(w) + 1e-9 * np.sum(np.sin(1e9 * w))  # of whose angles float64 holds seven digits


def black_box(w):
    return sum(math.exp(-(float(one) ** 2)) for one in w)


def test_where_finite_differences_lose_all_digits_they_are_wrong_and_never_taken():
    found = dl.recommend(bumpy, np.linspace(0.1, 1.0, 12), calls=100)
    assert "wrong gradient: relative error" in found.rejected["finite"]
    assert found.label in ("reverse", "forward", "symbolic", "complex-step")
    assert "finite" not in {one.label for one in found.front}
    assert found.backend in (dl.Reverse(), dl.Forward(), dl.Symbolic(), dl.ComplexStep())
    value = dl.gradient(bumpy, backend=found.backend)(np.linspace(0.1, 1.0, 12))
    np.testing.assert_allclose(value, np.cos(np.linspace(0.1, 1.0, 12)), rtol=1e-12)


def test_a_result_that_studies_call_wrong_is_taken_where_its_digits_are_enough():
    point = np.random.default_rng(0).standard_normal(4)
    ways = ["finite", "reverse"]
    refused = dl.recommend(wiggly, point, backends=ways)
    assert refused.backend is None
    (advice,) = refused.relaxing
    assert advice.startswith("Where ")
    assert advice.endswith(" digits are enough, ask for them: reverse has so many.")
    digits = float(advice.split()[1])
    taken = dl.recommend(wiggly, point, backends=ways, digits=digits)
    assert taken.label == "reverse"
    assert taken.caveats[0].startswith("It has the digits that are wanted; a study would call it wrong: relative error")
    assert dl.recommend(wiggly, point, backends=ways, digits=digits + 1).backend is None


def test_with_many_parameters_only_reverse_is_worth_starting():
    n = 300_000
    found = dl.recommend(wide, np.full(n, 0.5), np.linspace(-1, 1, n), call_seconds=0.5, reference_seconds=0.1)
    assert found.label == "reverse"
    assert found.reason.startswith("Take reverse, the only backend with a result: ")
    assert "the forecast is" in found.rejected["forward"]
    assert "evaluations of" in found.rejected["finite"]
    assert any(one.startswith("No error is certified: ") for one in found.caveats)


def test_one_parameter_and_little_memory_is_for_forward_mode_which_keeps_nothing():
    x = np.linspace(0.1, 1.0, 6_000)
    free = dl.recommend(chain, 0.9, x, backends=["forward", "reverse"], reference_seconds=0.1)
    sizes = {one.label: one.memory or 0.0 for one in free.candidates}
    assert sizes["forward"] > 0
    assert sizes["forward"] * 4 < sizes["reverse"]
    limit = 2 * sizes["forward"]
    found = dl.recommend(chain, 0.9, x, backends=["forward", "reverse"], memory=limit, reference_seconds=0.1)
    assert found.backend == dl.Forward()
    assert "times the limit of" in found.rejected["reverse"]
    assert {one.known_by for one in found.candidates} == {"measured"}


def test_where_memory_binds_reverse_mode_that_computes_again_takes_part():
    x = np.linspace(0.1, 1.0, 6_000)
    w = np.full(6_000, 0.9)
    plain, *_ = dl.recommend(chain, w, x, backends=["reverse"], reference_seconds=0.1).candidates
    assert plain.memory is not None
    found = dl.recommend(chain, w, x, memory=plain.memory / 2, reference_seconds=0.1, call_seconds=0.5)
    assert found.label is not None
    assert found.backend is not None
    assert found.label.startswith("Reverse(memory=")
    assert "times the limit" in found.rejected["Reverse()"]
    small = next(one for one in found.candidates if one.label == found.label)
    assert 0 < (small.memory or 0) <= plain.memory / 2
    np.testing.assert_array_equal(dl.gradient(chain, backend=found.backend)(w, x), dl.gradient(chain)(w, x))


def test_of_a_black_box_nothing_is_certified_and_digits_cannot_be_promised():
    w = np.linspace(-1.0, 1.0, 4)
    found = dl.recommend(black_box, w)
    assert found.label == "finite"
    assert found.reason.startswith("Take finite, the only backend with a result: ")
    assert "No error is certified: the loss cannot be traced." in found.caveats
    assert all("not supported" in found.rejected[name] for name in ("forward", "reverse", "symbolic"))
    none = dl.recommend(black_box, w, digits=4)
    assert (none.backend, none.label) == (None, None)
    assert none.reason == "No backend meets the limits: the digits exclude finite."
    assert none.relaxing == ("Without a limit of digits, finite would do.",)
    with pytest.raises(TraceError):
        dl.recommend(black_box, w, backends=["reverse"])


def test_digits_that_nobody_has_are_refused_with_what_there_is():
    w = np.linspace(0.1, 1.0, 5, dtype=np.float32)
    found = dl.recommend(bumpy_free, w, digits=8, backends=["reverse", "finite"])
    assert found.backend is None
    assert "the digits exclude reverse and finite" in found.reason
    (eased,) = found.relaxing
    assert "digits instead of 8, reverse would do" in eased


def bumpy_free(w):
    return np.sum(np.sin(w) * np.exp(w))


def test_a_hand_derived_gradient_and_other_operators_take_part():
    w = np.linspace(0.1, 1.0, 5)

    def by_hand(w):
        return np.sum(w**3), 3 * w**2

    found = dl.recommend(lambda w: np.sum(w**3), w, analytic=by_hand)
    assert {one.label for one in found.candidates} >= {"analytic", "reverse", "symbolic"}
    second = dl.recommend(lambda w: np.sum(w**3), w, operator="hessian", backends=["reverse", "forward"], digits=12)
    assert second.backend is not None
    assert second.operator == "hessian"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"digits": -1}, "digits=-1: give a positive number"),
        ({"digits": True}, "digits=True"),
        ({"memory": "2 pounds"}, "memory='2 pounds': give bytes, or a text such as"),
        ({"memory": 0}, "memory=0"),
        ({"seconds": "soon"}, "seconds='soon': give seconds, or a text such as"),
        ({"seconds": math.inf}, "seconds=inf"),
        ({"calls": 0}, "calls=0: give a whole number"),
        ({"calls": 2.5}, r"calls=2\.5"),
        ({"backends": "reverse"}, r"give a list of names or backend values, as in \['reverse'\]"),
        ({"backends": []}, "no backend is named; give at least one"),
        ({"operator": "divergence"}, "operator='divergence': it is one of"),
    ],
)
def test_limits_that_are_none_are_errors(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        dl.recommend(bumpy, np.ones(2), **options)


def test_texts_are_limits_too():
    found = dl.recommend(bumpy, np.ones(2), memory="200 MB", seconds="2 s", backends=["reverse"])
    assert (found.wanted.memory, found.wanted.seconds) == (200_000_000, 2.0)
    assert found.label == "reverse"


def test_forecasts_far_above_the_limit_are_not_tried_and_those_near_it_are():
    limits = Limits(memory=LITTLE)
    assert limits.worth == TRIED * LITTLE
    assert Limits(memory=1.0).worth == LITTLE
    assert Limits().worth is None
    x = np.ones((3000, 3000))
    contest = Contest(lambda w: np.sum(np.tanh(w) ** 2), (x,), {}, "gradient", 0)
    contest.open(["reverse"])
    contest.measure(Limits(memory=1e6, reference=0.1))
    (row,) = contest.rows
    assert row["outcome"] == "skipped_predicted"
    assert row["reason"].startswith("the forecast needs ")
    assert row["reason"].endswith("the limit is 977 KiB")
    assert contest.samples == {}
