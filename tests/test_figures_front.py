"""The Pareto front of error and time: by hand, against a brute force, and as the page tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import made_up_runs as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.report import cases, pareto, render
from difflab.report.error_time import error_against_time
from difflab.report.pareto import Point, beats, front
from difflab.report.style import drawing, looks


def exact(seconds: float, digits: float) -> Point:
    return Point(seconds, None, None, digits)


def around(seconds: float, digits: float, share: float = 0.02) -> Point:
    return Point(seconds, seconds * (1 - share), seconds * (1 + share), digits)


def test_the_quickest_and_the_more_accurate_are_on_the_front() -> None:
    points = [around(1.0, 4.0), around(2.0, 9.0), around(4.0, 8.0), around(8.0, 15.0)]
    assert front(points) == [True, True, False, True]


def test_less_than_half_a_digit_is_no_better_accuracy() -> None:
    assert front([around(1.0, 15.2), around(300.0, 15.6)]) == [True, False]
    assert front([around(1.0, 15.0), around(300.0, 15.6)]) == [True, True]


def test_times_whose_intervals_touch_are_not_told_apart() -> None:
    quick, slow = Point(1.0, 0.9, 1.3, 12.0), Point(1.4, 1.3, 1.5, 12.0)
    assert not beats(quick, slow)
    assert front([quick, slow]) == [True, True]
    assert front([quick, Point(1.4, 1.31, 1.5, 12.0)]) == [True, False]


def test_without_intervals_a_tenth_is_needed() -> None:
    assert front([exact(1.0, 12.0), exact(1.09, 12.0), exact(1.11, 12.0)]) == [True, True, False]


def test_one_that_is_level_in_time_and_more_accurate_beats() -> None:
    assert front([Point(1.0, 0.8, 1.2, 15.0), Point(1.1, 0.9, 1.3, 9.0)]) == [True, False]
    # the less accurate may be the quicker one, by its median: so it stays
    assert front([Point(1.1, 0.9, 1.3, 15.0), Point(1.0, 0.8, 1.2, 9.0)]) == [True, True]


def _points() -> st.SearchStrategy[list[Point]]:
    def point(seconds: int, below: int, above: int, digits: int, known: bool) -> Point:
        low, high = (seconds - below, seconds + above) if known else (None, None)
        return Point(float(seconds), low, high, digits / 4)

    small = st.integers(0, 40)
    return st.lists(st.builds(point, st.integers(50, 200), small, small, st.integers(0, 64), st.booleans()), max_size=9)


def _brute(points: Sequence[Point]) -> list[bool]:
    """The sentence of the caption, once for every pair."""
    kept = []
    for place, one in enumerate(points):
        beaten = False
        for number, other in enumerate(points):
            apart = (
                other.high < one.low and other.seconds < one.seconds
                if other.high is not None and one.low is not None
                else 1.1 * other.seconds < one.seconds
            )
            better = other.digits - one.digits >= 0.5
            worse = one.digits - other.digits >= 0.5
            beaten |= number != place and ((apart and not worse) or (better and other.seconds <= one.seconds))
        kept.append(not beaten)
    return kept


@given(_points())
def test_the_front_is_what_no_pair_beats_and_is_never_empty(points: list[Point]) -> None:
    found = front(points)
    assert found == _brute(points)
    assert any(found) == bool(points)
    quickest = [point for point in points if point.seconds == min(one.seconds for one in points)]
    best = max(quickest, key=lambda point: point.digits, default=None)
    assert best is None or found[points.index(best)]  # nobody has a smaller median


@given(_points(), st.randoms())
def test_the_order_of_the_points_does_not_matter(points: list[Point], random: Any) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    kept = front(points)
    assert front([points[k] for k in order]) == [kept[k] for k in order]


ROWS = [
    made.timed("reverse", 1e-3, 3e-16), made.timed("forward", 9e-3, 2e-16), made.timed("finite", 0.5e-3, 1e-8),
    made.timed("analytic", 0.1e-3, 1e-16), made.timed("symbolic", 0.2e-3, 3e-3, outcome="invalid"),
    made.timed("reverse", 4e-3, 3e-16, size="large", n_params=9000),
    made.timed("forward", 90e-3, 2e-16, size="large", n_params=9000),
    made.timed("finite", 300e-3, 1e-8, size="large", n_params=9000),
]  # fmt: skip


def _chart() -> Any:
    found = cases.read(ROWS)
    with drawing():
        return error_against_time(cases.groups(found), looks(found))


def test_the_table_says_who_is_on_the_front() -> None:
    chart = _chart()
    assert chart.columns[-1] == "On the front"
    said = {(row[1], row[3]): row[-1] for row in chart.rows}
    assert said == {
        ("small", "reverse"): "yes", ("small", "forward"): "no", ("small", "finite"): "yes",
        ("small", "analytic"): "", ("small", "symbolic"): "",  # a yardstick and a wrong gradient do not compete
        ("large", "reverse"): "yes", ("large", "forward"): "no", ("large", "finite"): "no",
    }  # fmt: skip


def test_caption_legend_and_description_name_the_front() -> None:
    chart = _chart()
    text = " ".join(chart.caption)
    assert "Of 2 sizes, on the front: reverse at all and finite at 1." in text
    assert "The hand-derived gradient, a yardstick, does not compete." in text
    assert "ringed: on the front of its size" in [key["text"] for key in chart.keys]
    (panel,) = chart.panels
    assert "On the Pareto front: size small, finite and reverse; size large, reverse.</desc>" in panel.svg
    assert panel.svg.count("on the front)</title>") == 3


def test_rings_and_stairs_are_drawn() -> None:
    (panel,) = _chart().panels
    (axes,) = panel.picture.drawn().axes
    rings = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "none"]
    assert sorted(float(line.get_xdata()[0]) for line in rings) == [0.5e-3, 1e-3, 4e-3]
    (stairs,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert list(stairs.get_xdata()) == [0.5e-3, 1e-3]  # the front of the small size alone has two


def test_a_page_without_right_results_has_no_front() -> None:
    wrong = [made.timed(name, 1e-3, 0.3, outcome="invalid") for name in ("reverse", "forward")]
    text = render(made.run(wrong))
    assert "Pareto" not in text.partition('id="error"')[2].partition("</section>")[0]


@pytest.mark.parametrize("digits", [math.nan])
def test_a_case_without_an_error_does_not_compete(digits: float) -> None:
    (case,) = cases.read([made.row("reverse", rel_error=digits)])
    assert not pareto.competes(case)
