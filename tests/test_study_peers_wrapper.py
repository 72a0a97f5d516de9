"""The examination of wrappers: a replayed gradient and another take turns in one process, once they agree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import made_up_runs as made
import numpy as np
import pytest

from difflab import idiomatic
from difflab.harness.examinations import wrapper
from difflab.harness.examinations.turns import FEWEST_PAIRS, take_turns
from difflab.harness.session import Session
from difflab.idiomatic import Idiom
from difflab.problems import Instance
from difflab.report import cases, kinds, render
from difflab.report.claims.wrapper import per_cent, verdict

COMMAND = {"settings": {"seconds": 0.02, "share": 0.05, "from_us": 200.0}, "quick": False}


def session(problem: str = "mlp", size: str = "8x2-4-2", dtype: str = "float64") -> Session:
    """A session with a case of reverse mode open, which plays the framework; its channel hears nothing."""
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    opened = Session(channel)
    spec = {"problem": problem, "size": size, "dtype": dtype, "operator": "gradient", "seed": 0}
    opened.open({"spec": {**spec, "backend": "reverse", "options": {}}})
    return opened


def by_hand(instance: Instance, error: float = 0.0) -> Idiom:
    """The gradient derived by hand, a little wrong if asked."""

    def answer() -> tuple[float, dict[str, Any]]:
        value, gradient = instance.analytic(*instance.args)
        return float(value), {key: part * (1 + error) for key, part in gradient.items()}

    return Idiom(lambda: instance.analytic(*instance.args), answer)


def examine(
    monkeypatch: pytest.MonkeyPatch, error: float = 0.0, dtype: str = "float64", **known: str
) -> dict[str, Any]:
    monkeypatch.setattr(wrapper, "find", lambda problem, framework: lambda instance: by_hand(instance, error))
    return wrapper.examine(session(dtype=dtype, **known), COMMAND)


# ------------------------------------------------------------------------------------------------ the examination


@pytest.mark.parametrize(("problem", "size"), [("mlp", "8x2-4-2"), ("cnn", "tiny")])
def test_what_agrees_is_timed_by_turns(problem: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine(monkeypatch, problem=problem, size=size)
    assert (found["outcome"], found["reason"]) == ("ok", "")
    told = found["findings"]
    assert told["pairs"] >= FEWEST_PAIRS
    assert told["ratio_low"] <= told["ratio"] <= told["ratio_high"]
    assert told["difference"] < 1e-14
    assert (told["share"], told["from_us"]) == (0.05, 200.0)
    assert told["calls"] is None


@pytest.mark.parametrize(("dtype", "error", "outcome"), [
    ("float64", 1e-9, "invalid"), ("float64", 1e-12, "ok"), ("float32", 1e-5, "ok"), ("float32", 1e-2, "invalid"),
])  # fmt: skip
def test_gradients_that_differ_by_more_than_rounding_are_not_timed(
    dtype: str, error: float, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examine(monkeypatch, error, dtype)
    assert found["outcome"] == outcome
    if outcome == "invalid":
        assert found["findings"] is None
        assert f"more than rounding in {dtype} explains" in found["reason"]


def test_a_gradient_that_is_no_number_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine(monkeypatch, np.nan)["outcome"] == "invalid"


def test_what_nobody_has_written_is_a_row_with_its_reason() -> None:
    found = wrapper.examine(session("xor", "tiny"), COMMAND)
    assert found["outcome"] == "unsupported"
    assert found["reason"] == "nobody has written problem 'xor' in the words of 'reverse'"


def test_frameworks_without_idioms_are_known_without_an_import() -> None:
    assert all(idiomatic.find("mlp", name) is None for name in ("reverse", "casadi", "symengine", "scipy"))


def test_turns_tell_the_slower_call() -> None:
    slow = take_turns(lambda: sum(range(20_000)), lambda: sum(range(200)), 0.05)
    assert slow.ratio > 2
    assert slow.pairs >= FEWEST_PAIRS


# ------------------------------------------------------------------------------------------------ the page


def row(ratio: float, own_us: float, **known: Any) -> dict[str, Any]:
    found = {
        "seconds": ratio * own_us * 1e-6, "other_seconds": own_us * 1e-6, "ratio": ratio, "ratio_low": 0.99 * ratio,
        "ratio_high": 1.01 * ratio, "pairs": 50, "difference": 1e-16, "share": 0.05, "from_us": 200.0, "calls": 12,
    }  # fmt: skip
    nothing = dict.fromkeys(("call_s", "call_s_low", "call_s_high", "work_ratio", "primal_s"))
    return made.row("torch", **{**nothing, "findings": found, "family": "peer", **known})


@pytest.mark.parametrize(("ratio", "own_us", "says"), [
    (1.049, 201, "within"), (1.051, 201, "fault"), (1.5, 199, "small"), (0.5, 1000, "within"), (1.06, 5000, "fault"),
])  # fmt: skip
def test_more_than_the_share_on_a_row_that_is_long_enough_is_a_fault(ratio: float, own_us: float, says: str) -> None:
    (case,) = cases.read([row(ratio, own_us)])
    assert verdict(case) == says


def test_the_answer_names_the_faults_and_the_page_marks_them() -> None:
    rows = [
        row(1.2, 1000, size="large"), row(1.01, 300, dtype="float32"), row(1.4, 50, size="tiny"),
        made.failed("torch", "unsupported", size="medium", findings=None),
    ]  # fmt: skip
    run = made.run(rows, answer="wrapper")
    found = kinds.sections("wrapper", cases.read(rows))
    assert found.answer.sentences[0] == (
        "Of 2 rows of 200 µs or more, 1 costs more than 5 % to replay: +20.0 ± 1.2 % with torch on "
        "digits-mlp large in float64."
    )
    rows[0]["findings"] |= {"ratio_low": 1.04}
    open_ = kinds.sections("wrapper", cases.read(rows)).answer.sentences[0]
    assert "1 costs more than 5 % to replay (1 with 5 % inside the interval): +20" in open_
    assert found.matrix is not None
    marks = {one["name"]: one["cells"][0]["mark"] for one in found.matrix["rows"]}
    assert marks == {
        "digits-mlp large": "wrong", "digits-mlp small": "right", "digits-mlp tiny": "allowed",
        "digits-mlp medium": "refused",
    }  # fmt: skip
    page = render(run)
    assert "+20 %" in page
    assert "not supported" in page


def test_runs_of_short_rows_or_of_nothing_say_so() -> None:
    short = kinds.sections("wrapper", cases.read([row(3.0, 20)])).answer
    assert short.sentences[0] == "No row takes 200 µs or more, so none is judged."
    nothing = kinds.sections("wrapper", cases.read([made.failed("torch", "unsupported", findings=None)])).answer
    assert nothing.sentences == ("No wrapper was examined: of 1 case, 1 not supported.",)


@pytest.mark.parametrize(("share", "text"), [
    (0.0123, "+1.2 %"), (-0.25, "\N{MINUS SIGN}25 %"), (1.5, "+150 %"), (-0.0001, "0.0 %"), (0.0996, "+10 %"),
])  # fmt: skip
def test_shares_are_written_with_their_sign(share: float, text: str) -> None:
    assert per_cent(share) == text
