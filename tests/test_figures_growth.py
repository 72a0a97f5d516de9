"""Fitted exponents of time and memory, and the lines of theory beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import made_up_runs as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.report import cases, growth_fits, power_laws
from difflab.report.charts import Limits
from difflab.report.growths import memory_against_parameters, time_against_parameters
from difflab.report.numbers import MINUS, PLUS_MINUS
from difflab.report.style import drawing, looks

SIZES = {"a": 10, "b": 100, "c": 1000, "d": 10_000, "e": 100_000}
NOISE = (0.97, 1.0, 1.03, 0.98, 1.02, 1.0)


def law(
    backend: str, call: Callable[[int], float], sizes: Sequence[str] = "abcd", processes: int = 6, **known: Any
) -> list[dict[str, Any]]:
    """Rows of a backend that takes ``call(n)`` seconds, where the loss takes n^0.9 / 10^6."""
    rows = []
    for size in sizes:
        n = SIZES[size]
        loss = n**0.9 * 1e-6
        shares = [NOISE[(k + 2 * len(rows)) % len(NOISE)] for k in range(processes)] if processes > 1 else [1.0]
        medians = [[call(n) * share, loss] for share in shares]
        times = {"call_s": call(n), "primal_s": loss, "medians": medians, "epochs": [str(k) for k in range(processes)]}
        rows.append(made.row(backend, size=size, n_params=n, **times, **known))
    return rows


def group_of(rows: Sequence[dict[str, Any]]) -> cases.Group:
    (found,) = cases.groups(cases.read(rows))
    return found


def growths(rows: Sequence[dict[str, Any]]) -> list[growth_fits.Growth]:
    return growth_fits.times(group_of(rows), lambda case: case.call_s if case.ok else None)


REVERSE, FORWARD = law("reverse", lambda n: 3e-6 * n**0.9), law("forward", lambda n: 1e-6 * n**1.9)


def chart_of(rows: Sequence[dict[str, Any]], what: str = "time") -> Any:
    found = cases.read(rows)
    make = {"time": time_against_parameters, "memory": memory_against_parameters}[what]
    with drawing():
        return make(cases.groups(found), looks(found), Limits(10.0, 2**31))


def test_exponents_of_time_are_fitted_with_their_intervals() -> None:
    reverse, forward = growths(REVERSE + FORWARD)
    assert reverse.fit.exponent == pytest.approx(0.9, abs=0.02)
    assert forward.fit.exponent == pytest.approx(1.9, abs=0.02)
    assert forward.fit.low is not None
    assert forward.fit.high is not None
    assert forward.fit.low <= 1.9 <= forward.fit.high
    assert forward.fit.sizes == (100, 1000, 10_000)  # at the smallest nobody knows what grows
    assert (reverse.theory, forward.theory) == (pytest.approx(0.9), pytest.approx(1.9))
    assert reverse.parts is forward.parts is None


@given(st.floats(0.3, 3.0), st.floats(1e-9, 1e-3), st.integers(3, 7))
def test_a_power_law_is_found_again(exponent: float, factor: float, count: int) -> None:
    points = [(4**k, [factor * 4.0 ** (k * exponent)] * 6) for k in range(1, count + 1)]
    found = power_laws.fit(points)
    assert found is not None
    assert found.exponent == pytest.approx(exponent)
    assert found.factor == pytest.approx(factor)
    slope, height = np.polyfit([math.log(n) for n, _ in points], [math.log(own[0]) for _, own in points], 1)
    assert (found.exponent, math.log(found.factor)) == (pytest.approx(slope), pytest.approx(height))


def test_what_is_not_yet_growing_is_left_out() -> None:
    late = law("reverse", lambda n: max(1e-4, 1e-6 * n), sizes="abcde", processes=1)
    (found,) = growths(late + law("null", lambda n: 1e-7 * n, sizes="abcde"))
    assert found.backend == "reverse"
    assert found.fit.sizes == (1000, 10_000, 100_000)
    assert found.fit.exponent == pytest.approx(1.0)


def test_nothing_is_fitted_through_fewer_than_three_points() -> None:
    assert growths(law("reverse", lambda n: 3e-6 * n**0.9, sizes="ab")) == []
    flat = law("reverse", lambda n: 1e-3 * (1 + n / 1000))  # growing at the last size only
    assert growths(flat) == []
    chart = chart_of(flat)
    assert {row[-1] for row in chart.rows} == {""}
    assert "Exponents are slopes" not in " ".join(chart.caption)
    assert not any("theory" in key["text"] for key in chart.keys)


def test_three_sizes_are_enough_where_every_step_doubles() -> None:
    (found,) = growths(law("forward", lambda n: 1e-6 * n**1.9, sizes="abc"))
    assert found.fit.sizes == (10, 100, 1000)


def test_without_intervals_the_exponents_between_neighbours_are_told() -> None:
    (found,) = growths(law("forward", lambda n: 1e-6 * n**1.9 * (2 if n == 1000 else 1), processes=1))
    assert found.fit.low is None
    assert found.power == "1.90 (1.60 to 2.20)"


def test_a_backend_that_parts_from_theory_is_named() -> None:
    rows = REVERSE + law("forward", lambda n: 1e-6 * n**1.5, processes=1)
    reverse, forward = growths(rows)
    assert reverse.parts is None
    assert forward.parts == pytest.approx(-0.4, abs=0.02)
    said = " ".join(growth_fits.sentences([reverse, forward], "Time"))
    assert f"Exponents that part from theory: of forward by {MINUS}0.40." in said
    theory = "a constant number of losses, n^0.90, for reverse; one loss per parameter, n^1.90, for forward"
    assert f"In theory a gradient costs {theory}." in said


def test_legend_table_and_description_tell_the_exponents() -> None:
    chart = chart_of(REVERSE + FORWARD)
    (key,) = [key["text"] for key in chart.keys if key["text"].startswith("forward")]
    assert key.startswith("forward, n^1.9")
    assert chart.columns[-1] == "Grows as"
    (said,) = {row[-1] for row in chart.rows if row[3] == "forward"}
    assert said.endswith(", 3 sizes from 100 to 10 000 parameters")
    assert PLUS_MINUS in said or "+" in said
    assert "Time grows as " in chart.panels[0].svg.partition("<desc")[2].partition("</desc>")[0]
    assert any(note.startswith("Time grows as ") for note in chart.notes)


def test_lines_of_theory_have_the_slopes_of_theory() -> None:
    chart = chart_of(REVERSE + law("forward", lambda n: 1e-6 * n**1.5))
    (panel,) = chart.panels
    (axes,) = panel.picture.drawn().axes
    lines = [line for line in axes.lines if str(line.get_gid()).startswith("guide-")]
    slopes = [np.diff(np.log(line.get_ydata()))[0] / np.diff(np.log(line.get_xdata()))[0] for line in lines]
    assert slopes == [pytest.approx(0.9), pytest.approx(1.9)]
    for line, factor, power in zip(lines, (3e-6, 1e-6), (0.9, 1.5), strict=True):  # through the middle of the fit
        (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
        assert math.sqrt(y0 * y1) == pytest.approx(factor * math.sqrt(x0 * x1) ** power, rel=0.02)
    assert "theory, one loss per parameter: n^1.90, drawn through forward</title>" in panel.svg


def test_other_operators_have_fits_and_no_theory() -> None:
    rows = law("reverse", lambda n: 3e-6 * n**0.9, operator="hvp")
    (found,) = growths(rows)
    assert found.theory is None
    assert not any(key["text"].startswith("theory") for key in chart_of(rows).keys)


def test_censored_cases_are_drawn_as_before_and_take_no_part() -> None:
    stopped = made.failed("forward", "timeout", size="f", n_params=1_000_000)
    chart = chart_of([*REVERSE, *FORWARD, stopped])
    assert growths([*FORWARD, stopped])[0].fit == growths(FORWARD)[0].fit
    assert "forward, f: timed out, more than 10.0 s</title>" in chart.panels[0].svg


def test_the_peak_is_fitted_above_what_can_be_seen() -> None:
    peaks = {"a": 2**12, "b": 2**20, "c": 2**23, "d": 2**26}
    rows = [made.row("reverse", size=size, n_params=SIZES[size], peak_bytes=peak) for size, peak in peaks.items()]
    chart = chart_of(rows, "memory")
    (said,) = {row[-1] for row in chart.rows}
    assert said == "n^0.90 (0.90 to 0.90), 3 sizes from 100 to 10 000 parameters"


def test_many_groups_tell_their_exponents_in_the_table() -> None:
    rows = [row | {"problem": f"p{k}"} for k in range(4) for row in REVERSE]
    chart = chart_of(rows)
    assert chart.notes == ("The exponents of each problem stand under the numbers of this chart.",)
    assert all(row[-1].startswith("n^0.9") for row in chart.rows)
