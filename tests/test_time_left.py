"""The time left of a run: from forecasts, from what its rounds took, from its budget; on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from difflab.harness import grid
from difflab.harness.books import Books
from difflab.harness.ledger import Ledger
from difflab.harness.pace import Pace
from difflab.harness.study import BackendChoice, Limits, ProblemChoice, Study, Timing
from difflab.harness.time_left import FURTHER, Left, TimeLeft

SIZES = ("tiny", "small", "medium")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def books_of(answer: str = "compare", quick: bool = False, **timing: Any) -> Any:
    """The books of a run of three sizes and two backends that has not begun."""
    problem = ProblemChoice("digits-mlp", SIZES, ("float64",), SIZES)
    backends = tuple(BackendChoice(name, name, {}) for name in ("forward", "reverse"))
    study = Study("s", "", "", "", answer, "gradient", "", (problem,), backends, Limits(), Timing(**timing), "")
    blocks, ledger = grid.blocks(study), Ledger()
    found = SimpleNamespace(study=study, blocks=blocks, ledger=ledger, quick=quick, pace=Pace())
    found.once = quick or not study.timed
    found.truths = {block.truth: block for block in blocks} if study.kind.reference else {}
    books: Any = found
    found.live = lambda block: Books.live(books, block)
    return found


def certify(books: Any) -> None:
    """Let all references be there."""
    for truth in books.truths:
        books.ledger.apply({"kind": "reference", "truth": truth, "data": {"seconds": 0.1}})


def check(books: Any) -> None:
    """Let all cases be checked, with forecasts."""
    for block in books.blocks:
        for case in block.cases:
            data = {"predicted_call_s": 1e-4, "predicted_s": 0.1, "primal_s": 1e-5}
            books.ledger.apply({"kind": "checked", "case": case.id, "data": data})


def time_epoch(outlook: TimeLeft, block: grid.Block, number: int, each: float, samples: Any = (1e-3, 1e-3)) -> None:
    """Let an epoch of a block take so many seconds for each of its cases."""
    outlook.epoch_began(block.cases)
    clock: Any = outlook.clock
    clock.now += each * len(block.cases)
    for case in block.cases:
        data = {"busy_s": each * 0.9, "open_s": each * 0.2, "samples": list(samples)}
        outlook.books.ledger.apply({"kind": "epoch", "case": case.id, "epoch": number, "data": data})
    outlook.epoch_ended(block.cases)


def finish(books: Any, block: grid.Block) -> None:
    for case in block.cases:
        books.ledger.apply({"kind": "finished", "case": case.id, "outcome": "ok", "reason": ""})


def test_a_quick_run_goes_by_the_blocks_before() -> None:
    books, clock = books_of(quick=True), Clock()
    outlook = TimeLeft(books, 1e9, clock)
    certify(books)
    first = outlook.left()
    assert first is not None
    assert 0.5 < first.seconds < 10
    time_epoch(outlook, books.blocks[0], 0, 4.0)
    finish(books, books.blocks[0])
    told = outlook.estimate()
    assert told is not None
    assert told.seconds == pytest.approx(1.3 * 16, rel=0.01)  # two blocks of two cases, each a little larger
    assert not told.bound


def test_a_round_under_way_counts_down_but_never_below_a_tenth_of_itself() -> None:
    books, clock = books_of(quick=True), Clock()
    outlook = TimeLeft(books, 1e9, clock)
    certify(books)
    time_epoch(outlook, books.blocks[0], 0, 4.0)
    finish(books, books.blocks[0])
    whole = outlook.estimate()
    outlook.epoch_began(books.blocks[1].cases)
    assert whole is not None
    expected = outlook.round_s()
    assert expected is not None
    assert expected == pytest.approx(whole.seconds / 2)
    clock.now += 5
    assert outlook.round_s() == pytest.approx(expected - 5)
    assert outlook.estimate() == pytest.approx((whole.seconds - 5, False))
    clock.now += 1e4
    assert outlook.round_s() == pytest.approx(0.1 * expected)
    assert outlook.estimate() == pytest.approx((whole.seconds - 0.9 * expected, False))


def test_of_a_round_far_beyond_its_forecast_nothing_is_told() -> None:
    books, clock = books_of(quick=True), Clock()
    certify(books)
    outlook = TimeLeft(books, 1e9, clock)
    expected = outlook.epoch_s(books.blocks[0].cases)
    outlook.epoch_began(books.blocks[0].cases)
    clock.now += 2 * expected
    assert outlook.left() is not None
    clock.now += expected + 6.0
    assert outlook.left() is None
    outlook.epoch_ended(books.blocks[0].cases)
    assert outlook.left() is not None


def test_a_full_run_is_bounded_by_its_budget() -> None:
    books, clock = books_of(processes=6, most_processes=15), Clock()
    certify(books)
    check(books)
    free, tight = TimeLeft(books, 1e9, clock), TimeLeft(books, clock.now + 12, clock)
    for number in range(2):
        for block in books.blocks:
            time_epoch(free, block, number, 1.0)
    lacking = (4 + FURTHER) * 6 * 1.0
    assert free.estimate() == pytest.approx((lacking, False), rel=0.05)
    tight.end = clock.now + 12
    assert tight.estimate() == pytest.approx((12, True))
    clock.now += 20
    assert tight.estimate() == (0, True)  # each case has been timed once, and the time is over


def test_intervals_that_are_narrow_enough_leave_nothing_to_do_and_wide_ones_more() -> None:
    books, clock = books_of(processes=6, most_processes=15), Clock()
    certify(books)
    check(books)
    outlook = TimeLeft(books, 1e9, clock)
    for number in range(6):
        for block in books.blocks:
            noisy = block is books.blocks[2] and number % 2
            time_epoch(outlook, block, number, 1.0, (1.5e-3, 1.5e-3) if noisy else (1e-3, 1e-3))
    found = outlook.estimate()
    assert found is not None
    assert found.seconds == pytest.approx(9 * 2, rel=0.05)  # nine more processes of the two cases of one block


def test_examinations_go_by_those_before_and_nothing_is_said_without_any() -> None:
    books, clock = books_of("steps"), Clock()
    outlook = TimeLeft(books, 1e9, clock)
    certify(books)
    assert outlook.left() is None
    books.pace.took("examine", ["digits-mlp forward", "forward"], 3.0)
    assert outlook.estimate() == pytest.approx((3.0 * 6 / 2, False))


def test_what_is_told_counts_down_and_does_not_jump_about(monkeypatch: pytest.MonkeyPatch) -> None:
    outlook, clock = TimeLeft(books_of(), 1e9, Clock()), 0.0
    estimates = iter([60.0, 61.0, 50.0, 55.0, 100.0, 10.0])
    monkeypatch.setattr(outlook, "clock", lambda: clock)
    monkeypatch.setattr(outlook, "estimate", lambda: Left(next(estimates), False))
    told = []
    for _ in range(6):
        found = outlook.left()
        assert found is not None
        told.append(round(found.seconds, 2))
        clock += 1.0
    assert told == [60.0, 59.0, 54.0, 53.0, 100.0, 54.5]


def test_a_study_without_references_waits_for_none() -> None:
    books = books_of("steps")
    books.pace.took("examine", ["reverse"], 1.0)
    waiting = TimeLeft(books, 1e9, Clock()).estimate()
    books.truths = {}
    assert TimeLeft(books, 1e9, Clock()).estimate() == (3.0, False)
    assert waiting is not None
    assert waiting.seconds > 3.0
