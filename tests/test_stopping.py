"""Stop rules: each by hand, and that looking again after every process makes no false verdicts."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from difflab.harness import budget, statistics, stopping
from difflab.harness.grid import Block, Case
from difflab.harness.ledger import Ledger

NOISE = 0.1


@pytest.mark.parametrize(
    ("times", "fewest", "most", "rule"),
    [
        ([1.0] * 5, 6, 15, None),
        ([1.0] * 6, 6, 15, stopping.INTERVAL),
        ([1.0, 1.5] * 3, 6, 15, None),
        ([1.0, 1.5] * 3, 6, 6, stopping.MOST),
        ([1.0], 1, 15, stopping.MOST),
        ([], 1, 15, None),
        ([1.0, 1.5] * 6, 6, 15, stopping.STEADY),  # the twelfth process leaves the interval as wide as the sixth did
        ([2.0, 1.0, 1.2, 1.2, 1.2, 1.2] + [1.2, 1.18, 1.22] * 2, 6, 15, stopping.INTERVAL),
        ([1.0, 1.5, 1.0, 1.5, 1.2, 1.3, 1.2, 1.3, 1.25, 1.3, 1.2, 1.25], 6, 15, None),  # better, and not good enough
    ],
)
def test_rules_by_hand(times: list[float], fewest: int, most: int, rule: str | None) -> None:
    assert stopping.rule(times, fewest, most, 0.02) == rule


def test_every_rule_has_its_words() -> None:
    assert set(stopping.WORDS) == {stopping.INTERVAL, stopping.STEADY, stopping.MOST, stopping.BUDGET}


def test_a_half_width_needs_six_processes_and_is_relative() -> None:
    assert stopping.half_width([1.0] * 5) == float("inf")
    assert stopping.half_width([0.9, 1.0, 1.0, 1.0, 1.0, 1.1]) == pytest.approx(0.1)
    assert stopping.half_width([9.0, 10.0, 10.0, 10.0, 10.0, 11.0]) == pytest.approx(0.1)


def test_stopping_by_width_gives_no_more_false_verdicts_than_the_interval_allows() -> None:
    generator = random.Random(5)
    wrong, counts = 0, []
    for _ in range(3000):
        a: list[float] = []
        b: list[float] = []
        while stopping.rule(a, 6, 15, 0.05) is None:
            drift = generator.lognormvariate(0, NOISE)
            a.append(drift * generator.lognormvariate(0, NOISE))
            b.append(drift * generator.lognormvariate(0, NOISE))
        counts.append(len(a))
        wrong += statistics.compare(a, b).verdict == "faster"
    assert wrong / 3000 < 0.05
    assert len(set(counts)) > 2  # the rules did stop at different times


def test_intervals_that_were_stopped_by_their_width_still_cover_the_median() -> None:
    generator = random.Random(6)
    covered = 0
    for _ in range(3000):
        times: list[float] = []
        while stopping.rule(times, 6, 15, 0.05) is None:
            times.append(generator.lognormvariate(0, NOISE))
        found = statistics.interval(times)
        assert found is not None
        covered += found.low <= 1.0 <= found.high
    assert covered / 3000 > 0.93


# ---------------------------------------------------------------------------- which blocks the time goes to


def _books(times: dict[str, list[float]], busy: dict[str, float], fewest: int = 6) -> Any:
    """Books of one block whose cases took ``times`` per process and ``busy`` seconds of the wall for each."""
    ledger = Ledger()
    for case, medians in times.items():
        for number, median in enumerate(medians):
            data = {"samples": [median], "busy_s": busy.get(case, 0.1), "open_s": 0.0}
            ledger.apply({"kind": "epoch", "case": case, "epoch": number, "data": data})
    block = Block("p", "tiny", "float64", tuple(Case(case, case, {}) for case in times))
    timing = SimpleNamespace(processes=fewest, most_processes=15, target=0.02)
    return SimpleNamespace(
        blocks=[block],
        ledger=ledger,
        study=SimpleNamespace(timing=timing),
        live=lambda one: one.cases,
        once=False,
    )


def _chosen(found: dict[Any, list[Any]]) -> list[str]:
    return [case.id for cases in found.values() for case in cases]


def test_a_narrow_case_keeps_company_while_another_of_its_block_is_wide() -> None:
    books = _books({"narrow": [1.0] * 6, "wide": [1.0, 1.5] * 3}, {})
    assert _chosen(budget.improvable(books, 10.0)) == ["narrow", "wide"]
    assert budget.improvable(books, 0.1) == {}


def test_an_expensive_case_keeps_no_company() -> None:
    books = _books({"narrow": [5.0] * 6, "wide": [1.0, 1.5] * 3}, {"narrow": 60.0})
    assert _chosen(budget.improvable(books, 10.0)) == ["wide"]


def test_a_block_of_narrow_cases_gets_no_more() -> None:
    assert budget.improvable(_books({"a": [1.0] * 6, "b": [2.0] * 6}, {}), 1e9) == {}


def test_incomplete_cases_come_first_and_are_not_improved() -> None:
    books = _books({"a": [1.0] * 6, "b": [2.0] * 4}, {})
    assert _chosen(budget.affordable(books, 10.0)) == ["b"]
    assert budget.improvable(books, 10.0) == {}


def test_why_a_case_ended_is_stored() -> None:
    books = _books({"narrow": [1.0] * 6, "wide": [1.0, 1.5] * 3, "few": [1.0]}, {})
    cases = {case.id: case for case in books.blocks[0].cases}
    assert budget.ended(books, cases["narrow"]) == {"stopped": stopping.INTERVAL, "half_width": 0.0}
    assert budget.ended(books, cases["wide"]) == {"stopped": stopping.BUDGET, "half_width": 0.2}
    assert budget.ended(books, cases["few"]) == {"stopped": stopping.BUDGET, "half_width": None}
