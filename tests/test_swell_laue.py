"""What the page says of Laue's claim, of the bar, and of the interval of a growth."""

from __future__ import annotations

import math
import re
from typing import Any

import claims.swell
import numpy as np
import pytest
import swell_findings as found
from scipy import stats

from difflab.report import answer, cases, kinds, render
from difflab.report.claims import swell_growth, swell_laue, swell_points

LAWS = found.EXPONENTIAL
DEPTHS = (1, 2, 3, 4, 5, 6)


def families(rows: list[dict[str, Any]]) -> list[swell_points.Family]:
    return swell_points.families(cases.groups(cases.read(rows)))


def told(laws: dict[str, found.Law], places: Any = DEPTHS, **more: Any) -> str:
    return answer(found.run_of(found.growing("deep-mlp", "depth", places, laws, **more))).text


def beside(laws: dict[str, found.Law]) -> str:
    """What stands beside the table of the claim and the chart of multiples."""
    made = kinds.sections("swell", cases.read(found.growing("deep-mlp", "depth", DEPTHS, laws)))
    notes = [note for chart in made.charts if chart.anchor == "multiples" for note in chart.notes]
    return " ".join([*(one.text for one in made.tables if one.anchor == "laue"), *notes])


# ------------------------------------------------------------------------------------------------ intervals


@pytest.mark.parametrize("count", [3, 5, 9])
def test_the_interval_is_that_of_students_t(count: int) -> None:
    draw = np.random.default_rng(count)
    xs = np.sort(draw.uniform(1, 9, count))
    ys = 2.5 * xs + draw.normal(size=count)
    ours = swell_growth.slope(list(xs), list(ys))
    theirs: Any = stats.linregress(xs, ys)
    apart = stats.t.ppf(0.975, count - 2) * theirs.stderr
    assert ours.value == pytest.approx(theirs.slope, rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx((theirs.slope - apart, theirs.slope + apart), rel=1e-6)
    rests = ys - theirs.slope * xs - theirs.intercept
    assert ours.miss == pytest.approx(np.max(np.abs(rests)), rel=1e-9)


@pytest.mark.parametrize(("kind", "exponential"), [("tree", True), ("cse", False)])
def test_the_interval_belongs_to_the_law_that_fits(kind: str, exponential: bool) -> None:
    laws = {name: (lambda n, law=law: 100 * law(n) * (1 + 0.03 * math.sin(5 * n))) for name, law in LAWS.items()}
    (family,) = families(found.growing("deep-mlp", "depth", range(1, 13), laws))
    law = swell_growth.growth(family, kind)
    assert law is not None
    assert law.exponential == exponential
    centre = law.factor if exponential else law.power
    assert law.low < centre < law.high
    used = [(size.at, size.count(kind) or 0.0) for size in family.sizes[-6:]]
    xs = [at if exponential else math.log(at) for at, _ in used]
    line: Any = stats.linregress(xs, [math.log(count) for _, count in used])
    high = line.slope + stats.t.ppf(0.975, 4) * line.stderr
    assert law.high == pytest.approx(math.exp(high) if exponential else high)


@pytest.mark.parametrize(("low", "high", "words"), [
    (2.0, 2.0, "2.0 to 2.0"), (1.98, 2.02, "1.98 to 2.02"), (1.9984, 2.0016, "1.998 to 2.002"),
    (0.5, 3.5, "0.5 to 3.5"),
])  # fmt: skip
def test_bounds_have_the_decimals_that_tell_them_apart(low: float, high: float, words: str) -> None:
    law = swell_growth.Growth((1.0, 2.0, 3.0), 4.0, 2.0, False, 1.0, low, high)
    assert law.interval == words
    decimals = len(words.split()[0].partition(".")[2])
    assert law.words("width") == f"like width to the power {2.0:.{decimals}f}"


def test_a_great_factor_is_told_without_decimals() -> None:
    law = swell_growth.Growth((1.0, 2.0, 3.0), 12_345.6, 20.0, True, 1.0, 11_000.0, 13_500.0)
    assert law.interval == "11 000 to 13 500"
    assert law.words("depth") == "12 300-fold with every further layer"


# ------------------------------------------------------------------------------------------------ the claim


def test_data_that_agree_in_part() -> None:
    laws = LAWS | {"graph": lambda n: 90 * n}
    said, full = told(laws), beside(laws)
    assert "The data agree in part, zeros and ones not counted: " in said
    assert "from the root up to 2.3 times as many operations as in reverse mode, at none of 6 sizes exactly" in said
    assert "exactly the operations of forward mode at all 6 sizes" in said
    assert "left out, the data agree in part: " in full
    assert "from the root there are up to 2.3 times as many operations as in reverse mode, at none of 6 sizes" in full
    assert "there are exactly the operations of forward mode at all 6 sizes" in full


def test_data_that_differ_at_some_sizes_still_agree() -> None:
    laws = LAWS | {"graph": lambda n: 40 * n - 1 + (n == 6) * 20, "graph-by-symbol": lambda n: 20 * n**2 - (n == 2)}
    said, full = told(laws), beside(laws)
    assert "The data agree, zeros and ones not counted: " in said
    assert "reverse mode at 5 of 6 sizes (else up to 1.08 times as many)" in said
    assert "forward mode at 5 of 6 sizes (else up to 1.01 times fewer)" in said
    assert "left out, the data agree: " in full
    assert "reverse mode at 5 of 6 sizes and up to 1.08 times as many elsewhere (deep-mlp at depth 6)" in full
    assert "forward mode at 5 of 6 sizes and up to 1.01 times fewer elsewhere (deep-mlp at depth 2)" in full


def test_fewer_operations_than_the_mode_everywhere() -> None:
    laws = LAWS | {"graph-by-symbol": lambda n: 10 * n**2}
    expected = "up to 2.0 times fewer operations than in forward mode, at none of 6 sizes exactly as many"
    assert f"by symbol {expected}" in told(laws)
    assert f"there are {expected}" in beside(laws)


def test_a_root_that_swells_is_no_agreement_and_fails_the_bar() -> None:
    laws = LAWS | {"graph": lambda n: 40 * 2**n, "tape_lean": lambda n: 40 * 2**n}
    said, full = told(laws), beside(laws)
    assert "The data agree in part, " in said
    assert "and from the root at most 43 times those of the loss" in said
    assert "left out, the data agree in part: " in full
    assert "from the root, value and gradient have at most 43 times" in full
    assert (
        "Derived from the root, value and gradient of a graph have more than 10 times the operations of the loss at "
        "depth 3 of deep-mlp (11) and 43 times at depth 6: there sharing is lost"
    ) in full


def test_opposite_stores_get_opposite_words_beside_the_charts() -> None:
    agrees, opposes = (" ".join(render(run).replace("\N{NO-BREAK SPACE}", " ").split()) for run in (
        claims.swell.AGREES, claims.swell.OPPOSES
    ))  # fmt: skip
    assert re.search(claims.swell.BARS, agrees)
    assert re.search(claims.swell.TIMED, agrees)
    assert not re.search(claims.swell.BARS_INSTEAD, agrees)
    assert re.search(claims.swell.BARS_INSTEAD, opposes)
    assert not re.search(claims.swell.BARS, opposes)
    assert not re.search(claims.swell.TIMED, opposes)


def test_without_graphs_nothing_is_claimed() -> None:
    rows = [row for row in found.growing("deep-mlp", "depth", DEPTHS, LAWS) if "graph" not in row["backend"]]
    said = answer(found.run_of(rows)).text
    assert "Laue" not in said
    text = render(found.run_of(rows))
    assert "Derived from" not in text
    assert '<section id="multiples"' not in text
    assert '<section id="laue"' not in text


def test_a_graph_alone_is_held_against_the_tape_that_every_case_knows() -> None:
    rows = [row for row in found.growing("deep-mlp", "depth", DEPTHS, LAWS) if "from the root" in row["backend"]]
    said = answer(found.run_of(rows)).text
    assert "exactly the operations of reverse mode at all 6 sizes" in said
    assert "forward mode at" not in said
    text = render(found.run_of(rows))
    assert "carries unit tangents" not in text
    assert "Derived by one symbol" not in text
    assert "The answer of this run" in text


def test_the_forecast_of_a_graph_is_none_of_trees() -> None:
    rows = found.growing("deep-mlp", "depth", DEPTHS, LAWS, last={"tree": 3, "shared": 3, "graph-by-symbol": 4})
    (family,) = families(rows)
    assert [size.forecast for size in family.sizes] == [50 * 3**n for n in DEPTHS]
    graphs = [row for row in rows if "graph" in row["backend"]]
    (family,) = families(graphs)
    assert {size.forecast for size in family.sizes} == {None}
    assert "the graph by symbol at depth 5 (forecast 99.0 s)" in answer(found.run_of(rows)).text


def test_the_table_and_the_chart_have_every_order_and_every_mode() -> None:
    rows = found.growing("deep-mlp", "depth", DEPTHS, LAWS)
    (listing,) = [one for one in kinds.sections("swell", cases.read(rows)).tables if one.anchor == "laue"]
    last = [cell.text for cell in listing.table.rows[-1]]
    assert last == ["deep-mlp", "60", "239", "4.0", "239", "720", "12", "720", "2 880"]
    assert "sigmoid" not in listing.text
    text = render(found.run_of(rows)).replace("\N{NO-BREAK SPACE}", " ")
    chart = text.split('<section id="multiples"')[1].split("</section>")[0]
    for tip in (
        "depth 6: graph from the root, 4.0 times the loss", "depth 6: graph by symbol, 12 times the loss",
        "depth 6: forward mode, without zeros and ones, 12 times the loss",
        "depth 6: forward mode, as it runs, 48 times",
        "depth 1: on the reverse tape, 4.0 times the loss",
    ):  # fmt: skip
        assert f"<title>{tip}" in chart, tip
    assert "<span>10 times the loss</span>" in chart


def test_depths_far_beyond_the_last_tree_are_not_beside_it() -> None:
    places = (1, 2, 3, 4, 8, 16, 64)
    rows = found.growing("deep-mlp", "depth", places, LAWS, last={"tree": 4, "shared": 4})
    text = render(found.run_of(rows)).replace("\N{NO-BREAK SPACE}", " ")
    chart = text.split('<section id="operations"')[1].split("</section>")[0]
    assert "What is beyond depth 8 of deep-mlp is in the table and in the next chart." in chart
    assert "depth 8: forecast 328 050 written out" in chart
    assert "<title>depth 16:" not in chart
    assert "<title>depth 64: graph from the root" in text
    assert swell_laue.BAR == 10


def test_a_chart_of_phases_draws_some_sizes_and_lists_all() -> None:
    rows = found.growing("deep-mlp", "depth", range(1, 13), LAWS)
    text = render(found.run_of(rows)).replace("\N{NO-BREAK SPACE}", " ")
    chart = text.split('<section id="phases"')[1].split("</section>")[0]
    assert "Of more than 5 sizes as many are drawn" in chart
    drawn = {place for place in range(1, 13) if f"<title>depth {place}, compile" in chart}
    assert drawn == {1, 4, 7, 9, 12}
    assert chart.split("<table")[1].count("<td>depth 5</td>") == len(found.LABELS)
