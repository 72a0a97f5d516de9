"""The page of a comparison with bars, from made-up runs: what is met, what is short by how much, what is unknown."""

from __future__ import annotations

from typing import Any

import made_up_runs as made
import pytest

from difflab.report import answer, bar_tables, bars, cases, numbers, render
from difflab.report.bars import Judged


def turns(seconds: float, spread: float = 0.0, first: int = 0, count: int = 6) -> dict[str, Any]:
    """What is known of processes whose medians differ by ``spread`` from one to the next."""
    own = [seconds * (1 + spread * (k - (count - 1) / 2)) for k in range(count)]
    return {"medians": [[one, 2e-5] for one in own], "epochs": [f"0.{k}.x" for k in range(first, first + count)]}


def pair(ratio: float, spread: float = 0.0, **known: Any) -> list[dict[str, Any]]:
    """Reverse mode and a peer, that much apart."""
    ours = made.timed("reverse", ratio * 1e-4, 1e-15, **{**turns(ratio * 1e-4, spread), **known})
    theirs = made.timed("torch", 1e-4, 1e-15, **turns(1e-4))
    return [ours, theirs]


def judged(rows: list[dict[str, Any]], **bar: Any) -> list[Judged]:
    plain = {"ours": "reverse", "over": "torch", **bar}
    return bars.judge(cases.read(rows), bars.bars_of({"study": {"bars": [plain]}}))


def one(rows: list[dict[str, Any]], **bar: Any) -> Judged:
    (found,) = judged(rows, **bar)
    return found


def cell(found: Judged) -> Any:
    (board,) = bar_tables.boards([found])
    return board.rows[0][2][0]


def test_a_ratio_is_that_of_paired_processes_with_its_interval_and_verdict() -> None:
    found = one(pair(0.5, spread=0.02), bound=0.9)
    assert found.value == pytest.approx(0.5, rel=1e-3)
    assert (found.low, found.high) == (pytest.approx(0.475), pytest.approx(0.525))
    assert (found.met, found.settled, found.verdict) == (True, True, "faster")
    assert cell(found).lines == ("0.475 to 0.525", "bar < 0.9", "faster")
    assert cell(found).chip == bar_tables.MET


def test_only_processes_that_took_turns_are_paired() -> None:
    ours, theirs = pair(0.5)
    theirs |= turns(1e-4, first=5)
    found = one([ours, theirs], bound=0.9)
    assert (found.value, found.low) == (pytest.approx(0.5), None)
    theirs |= turns(1e-4, first=6)
    apart = one([ours, theirs], bound=0.9)
    assert (apart.met, apart.why) == (None, "not timed by turns")
    assert cell(apart).state == "none"


@pytest.mark.parametrize(
    ("ratio", "bound", "says"),
    [
        (1.2, 0.9, "over by 33 %"),
        (2.7, 0.9, "3.0 times the bar"),
        (0.9002, 0.9, "over by less than 0.1 %"),
        (30.0, 0.9, "33 times the bar"),
    ],
)
def test_what_is_short_says_by_how_much(ratio: float, bound: float, says: str) -> None:
    found = one(pair(ratio), bound=bound)
    assert found.met is False
    assert says in cell(found).lines
    assert (cell(found).state, cell(found).chip) == ("bad", bar_tables.SHORT)


def test_a_bar_within_the_interval_is_not_settled() -> None:
    found = one(pair(1.0, spread=0.02), bound=0.99)
    assert (found.met, found.settled) == (False, False)
    assert "not settled" in cell(found).lines
    said = bars.sentences([found])[0]
    assert "1 of reverse / torch (1.000 ± 0.050 where < 0.99 is asked on digits-mlp small, float64)" in said
    assert "(1 with the bar inside the interval)" in said


def test_quick_runs_are_judged_by_single_processes() -> None:
    rows = pair(0.5)
    for row in rows:
        row |= turns(row["call_s"], count=1) | {"call_s_low": None, "call_s_high": None}
    found = one(rows, bound=0.9)
    assert (found.met, found.low, found.verdict) == (True, None, "")
    assert cell(found).lines == ("bar < 0.9",)


def test_a_work_ratio_is_over_the_loss() -> None:
    row = made.timed("reverse", 6e-5, 1e-15, work_ratio=3.0, **turns(6e-5))
    found = one([row], over="loss", bound=3.0, strict=False)
    assert (found.value, found.met, found.title) == (pytest.approx(3.0), True, "reverse / the loss")
    assert one([row], over="loss", bound=3.0).met is False


def test_memory_that_cannot_be_told_apart_counts_as_equal() -> None:
    ours, theirs = pair(0.5, peak_bytes=3 * 2**18)
    theirs["peak_bytes"] = 2**19 + 1
    near = one([ours, theirs], of="memory", bound=1.1, strict=False)
    assert (near.value, near.met) == (1.0, True)
    assert "within 256 KiB of each other" in cell(near).lines
    theirs["peak_bytes"] = 2**19
    apart = one([ours, theirs], of="memory", bound=1.1, strict=False)
    assert (apart.value, apart.met) == (1.5, False)
    theirs["peak_bytes"] = None
    assert one([ours, theirs], of="memory", bound=1.1).why == "no peak measured"


def test_quick_but_inaccurate_is_short() -> None:
    ours, theirs = pair(0.01)
    ours["rel_error"], theirs["rel_error"] = 4e-9, 1e-9
    found = one([ours, theirs], bound=0.05, error_at_most=3.0)
    assert (found.met, found.inaccurate) == (False, True)
    assert cell(found).lines[-1] == f"error 4.0 {numbers.TIMES}, at most 3"
    assert "quick enough, but not accurate enough" in cell(found).lines
    assert one([ours, theirs], bound=0.05, error_at_most=4.5).met is True


@pytest.mark.parametrize("outcome", ["unsupported", "timeout", "crash", "skipped_predicted", "interrupted"])
def test_a_side_without_a_time_is_not_judged_and_says_why(outcome: str) -> None:
    rows = [pair(0.5)[0], made.failed("torch", outcome)]
    found = one(rows, bound=0.9)
    assert found.met is None
    assert found.why.startswith("torch: ")
    text = answer(made.run(rows, bars=[{"ours": "reverse", "over": "torch", "bound": 0.9}])).text
    assert text == "No bar of the study could be judged: nothing was timed on both sides."


def test_growth_is_the_exponent_of_the_work_ratio() -> None:
    rows = []
    for n, loss in ((10, 1e-5), (1000, 2e-5), (10_000, 2e-4), (100_000, 2e-3), (1_000_000, 2e-2)):
        work = 2.0 * (n / 1000) ** 0.2
        known = {"size": f"n{n}", "n_params": n, "primal_s": loss, "work_ratio": work}
        own = {"medians": [[work * loss, loss]] * 6, "epochs": list("012345")}
        rows.append(made.timed("reverse", work * loss, 1e-15, **known, **own))
    found = one(rows, over="loss", of="growth", bound=0.05, strict=False)
    assert found.value == pytest.approx(0.2)
    assert (found.met, found.place) == (False, "digits-mlp, float64")
    assert cell(found).headline == "+0.20"
    assert "over by 0.15" in cell(found).lines
    assert judged(rows[:2], over="loss", of="growth", bound=0.05) == []


def test_the_page_draws_every_table() -> None:
    larger = {"size": "large", "n_params": 18_826}
    rows = [*pair(0.5), *[{**row, **larger, "case": f"{row['case']}-l"} for row in pair(1.5)]]
    for row in rows:
        row |= {"prepare_s": 0.25, "first_call_s": 0.05}
    plain = [
        {"ours": "reverse", "over": "torch", "bound": 0.9, "note": "as agreed"},
        {"ours": "reverse", "over": "loss", "bound": 3.0},
    ]
    page = render(made.run(rows, bars=plain))
    parts = ['id="bars"', 'id="first"', "reverse / torch", "reverse / the loss", "&lt; 0.9", "The first answer"]
    marks = [bar_tables.MET, bar_tables.SHORT, "over by 67\N{NO-BREAK SPACE}%", 'title="as agreed"', "300 ms"]
    for part in (*parts, *marks):
        assert part in page, part
    assert 'id="bars"' not in render(made.run(rows))
    assert 'id="first"' not in render(made.run(rows))


def test_all_met_and_one_alone_read_as_people_say_them() -> None:
    bar = {"bound": 0.9}
    assert bars.sentences([one(pair(0.5), **bar)])[0] == "The one bar judged is met."
    both = [one(pair(0.5), **bar), one(pair(0.6), **bar)]
    assert bars.sentences(both) == (
        "Both bars judged are met.",
        "Ratios of times: reverse / torch 0.500 ± 0.000 to 0.600 ± 0.000 (2 rows).",
    )
