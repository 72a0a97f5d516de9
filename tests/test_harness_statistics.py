from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from difflab.harness import statistics


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 9, 20, 21, 50])
def test_rank_is_the_binomial_quantile(count: int) -> None:
    expected = None
    for k in range(1, count // 2 + 1):
        if stats.binom.cdf(k - 1, count, 0.5) * 2 <= 0.05:
            expected = k
    assert statistics.rank(count) == expected


def test_no_interval_exists_below_six_processes() -> None:
    assert statistics.interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert statistics.interval([6.0, 1.0, 2.0, 3.0, 4.0, 5.0]) == (1.0, 6.0)


def test_interval_covers_the_median_as_often_as_it_says() -> None:
    generator = random.Random(1)
    hits = 0
    for _ in range(2000):
        found = statistics.interval([generator.lognormvariate(0, 1) for _ in range(8)])
        assert found is not None
        hits += found.low <= 1.0 <= found.high
    assert hits / 2000 == pytest.approx(stats.binom.cdf(7, 8, 0.5) - stats.binom.cdf(0, 8, 0.5), abs=0.01)


def test_median_agrees_with_its_definition() -> None:
    assert statistics.median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert math.isnan(statistics.median([]))


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([0.5, 0.52, 0.49, 0.51, 0.5, 0.48], "faster"),
        ([2.0, 2.1, 1.9, 2.0, 2.2, 2.0], "slower"),
        ([1.0, 1.01, 0.99, 1.0, 1.02, 0.98], "equivalent"),
        ([1.0, 1.3, 0.8, 1.1, 0.9, 1.2], "ambiguous"),
        ([1.01, 1.02, 1.025, 1.01, 1.02, 1.01], "equivalent"),
    ],
)
def test_verdicts_on_hand_made_ratios(ratios: list[float], verdict: str) -> None:
    found = statistics.compare([2.0 * ratio for ratio in ratios], [2.0] * 6)
    assert found.verdict == verdict
    assert found.low == pytest.approx(min(ratios))
    assert found.high == pytest.approx(max(ratios))


def test_pairing_removes_drift_that_both_share() -> None:
    drift = [1.0, 3.0, 0.5, 2.0, 4.0, 1.5]
    found = statistics.compare([0.9 * d for d in drift], drift)
    assert found.verdict == "faster"
    assert found.ratio == pytest.approx(0.9)


def test_equal_contestants_are_rarely_called_faster() -> None:
    generator = random.Random(2)
    wrong = 0
    for _ in range(2000):
        a, b = ([generator.lognormvariate(0, 0.1) for _ in range(6)] for _ in range(2))
        wrong += statistics.compare(a, b).verdict == "faster"
    assert wrong / 2000 < 0.05


def test_few_processes_give_a_ratio_but_no_verdict() -> None:
    found = statistics.compare([1.0] * 5, [2.0] * 5)
    assert found == (0.5, None, None, None, 5)


def test_outliers_are_counted() -> None:
    assert statistics.outliers([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 9.0]) == (0, 1)
    assert statistics.outliers([1.0, 9.0]) == (0, 0)
