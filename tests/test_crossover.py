"""Where forward and reverse mode cross: the place, its interval, the passes behind it, and a page that says so."""

from __future__ import annotations

import doctest
import itertools
import math
import random
import re
from pathlib import Path
from types import SimpleNamespace

import made_up_runs as made
import pytest
from claims import crossover as claim
from harness_runs import run as measured

from difflab.cli import tables as cli_tables
from difflab.report import answer, cases, kinds, render
from difflab.report.claims import crossings, crossover
from difflab.report.claims.crossings import Crossing, Point, Shape, crossing, diagonals, zeros

SIZES = (256, 64, 16, 4, 1)


def cheap(n: int, m: int) -> float:
    return 3 + 0.25 * m


def found_of(rows: list[dict]) -> list[crossings.Diagonal]:
    return diagonals(cases.groups(cases.read(rows)))


def points(ratio, spread: float = 0.0) -> list[Point]:
    """A curve over maps with 256 entries; ``ratio`` is a function of outputs per input."""
    shapes = [Shape(f"{n}x{256 // n}", n, 256 // n) for n in SIZES]
    values = [ratio(shape.place) for shape in shapes]
    bounds = [(value / (1 + spread), value * (1 + spread)) if spread else (None, None) for value in values]
    return [Point(shape, value, *ends) for shape, value, ends in zip(shapes, values, bounds, strict=True)]


def crossed(found: list[Point]) -> Crossing:
    place = crossing(found)
    assert place is not None
    return place


def ends(found: Crossing) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


# ------------------------------------------------------------------------------------------------ the place


@pytest.mark.parametrize("seed", range(20))
def test_a_power_law_crosses_where_it_is_one(seed: int) -> None:
    draw = random.Random(seed)
    at, power = 2 ** draw.uniform(-7, 7), draw.uniform(0.2, 2.0)
    found = crossed(points(lambda place: (at / place) ** power, 0.1))
    assert found.at == pytest.approx(at)
    low, high = ends(found)
    assert low < found.at < high
    for end, wanted in ((low, at / 1.1 ** (1 / power)), (high, at * 1.1 ** (1 / power))):
        assert end == pytest.approx(wanted) if 1 / 256 <= wanted <= 256 else end in (0.0, math.inf)
    assert found.expected
    assert found.times == 1
    assert found.off == pytest.approx(max(at, 1 / at))


def test_the_interval_of_a_crossing_is_where_that_of_the_ratio_holds_one() -> None:
    found = crossed(points(lambda place: 1 / place, 0.5))
    assert found.at == pytest.approx(1.0)
    assert ends(found) == pytest.approx((1 / 1.5, 1.5))
    assert crossed(points(lambda place: 1 / place)).low is None


def test_an_interval_may_end_beyond_what_was_measured() -> None:
    found = crossed(points(lambda place: (200 / place) ** 0.1, 0.2))
    assert 0 < ends(found)[0] < found.at < 256
    assert math.isinf(ends(found)[1])
    assert crossed(points(lambda place: (1 / (200 * place)) ** 0.1, 0.2)).low == 0


def test_curves_that_cross_the_wrong_way_round_or_more_than_once_say_so() -> None:
    back = crossed(points(lambda place: place))
    assert (back.at, back.expected) == (pytest.approx(1.0), False)
    assert crossing(points(lambda place: 2.0)) is None
    several = crossed(points(lambda place: 2.0 if place in (1 / 256, 1.0) else 0.5))
    assert several.times == 3


@pytest.mark.parametrize("seed", range(10))
def test_zeros_are_where_the_line_meets_the_axis(seed: int) -> None:
    draw = random.Random(seed)
    xs = sorted(draw.uniform(-5, 5) for _ in range(6))
    ys = [draw.choice([-1, 1]) * draw.uniform(0.1, 3) for _ in xs]
    found = zeros(xs, ys)
    assert len(found) == sum(a * b < 0 for a, b in itertools.pairwise(ys))
    for zero in found:
        k = max(k for k in range(5) if xs[k] <= zero)
        share = (zero - xs[k]) / (xs[k + 1] - xs[k])
        assert ys[k] + share * (ys[k + 1] - ys[k]) == pytest.approx(0, abs=1e-9)


def test_ratios_are_paired_process_by_process() -> None:
    """Where a process is slow for both, the ratio does not know: its interval is narrower than those of the times."""
    rows = []
    for backend, calls, price in (("forward", 16, 2.0), ("reverse", 16, 1.0)):
        one = claim.row(backend, 16, 16, price, calls)
        slow = [1.0, 5.0, 2.0, 9.0, 3.0, 4.0]
        one["medians"] = [[price * 1e-5 * factor, 1e-5] for factor in slow]
        rows.append(one)
    ((point,),) = [duel.points for one in found_of(rows) for duel in one.duels]
    assert (point.ratio, point.low, point.high) == pytest.approx((2.0, 2.0, 2.0))


def test_ratios_are_paired_by_epoch_and_not_by_position() -> None:
    """One that missed an epoch and one that was measured again alone: their lists agree in nothing but a part."""
    rows = []
    for backend, price, epochs in (("forward", 2.0, "bcdefgz"), ("reverse", 1.0, "abcdefg")):
        one = claim.row(backend, 16, 16, price, 16, processes=6)
        slow = dict(zip("abcdefgz", (9.0, 1.0, 5.0, 2.0, 8.0, 3.0, 4.0, 50.0), strict=True))
        rows.append(one | {"medians": [[price * 1e-5 * slow[e], 1e-5] for e in epochs], "epochs": list(epochs)})
    ((point,),) = [duel.points for one in found_of(rows) for duel in one.duels]
    assert (point.ratio, point.low, point.high) == pytest.approx((2.0, 2.0, 2.0))
    rows[0]["epochs"] = [name.upper() for name in rows[0]["epochs"]]  # never side by side: no pair, no interval
    ((point,),) = [duel.points for one in found_of(rows) for duel in one.duels]
    assert point.ratio == pytest.approx(rows[0]["call_s"] / rows[1]["call_s"])
    assert (point.low, point.high) == (None, None)


def test_shapes_come_from_names_or_from_the_passes_that_were_counted() -> None:
    rows = [claim.row(name, 8, 32, 4.0, calls) | {"size": "wide"} for name, calls in (("forward", 8), ("reverse", 32))]
    ((shape,),) = [one.shapes for one in found_of(rows)]
    assert (shape.inputs, shape.outputs, shape.place) == (8, 32, 4.0)
    rows[1] = made.failed("reverse", "timeout", size="wide", problem=rows[0]["problem"], operator="jacobian")
    assert found_of(rows) == []
    said = answer(claim.run(rows))
    assert "Left out, for nobody knows their inputs and outputs: tanh-map wide." in said.caveats


# ------------------------------------------------------------------------------------------------ the answer


def test_the_answer_has_the_crossing_its_interval_and_what_the_wrong_choice_costs() -> None:
    four = claim.rows(lambda n, m: 1.0 * n, lambda n, m: 0.25 * m)
    said = answer(claim.run([row for row in four if "1024" not in row["size"] and row["size"] != "32x32"]))
    place = re.search(r"cross at ([\d.]+) outputs per input \(95 % interval ([\d.]+) to ([\d.]+)\)", said.text)
    assert place is not None
    at, low, high = (float(text) for text in place.groups())
    assert low <= at == 4.0 <= high
    assert "a factor of 4.0 away and outside the interval" in said.text
    assert (
        "forward mode takes 1 020 ± 0 times as long at 256x1 (256 passes against 1) and "
        "reverse mode takes 64.0 ± 0.0 times as long at 1x256 (256 passes against 1)"
    ) in said.text
    assert "From 1 pass to 256 the work ratio is multiplied by 256 for forward, 256 for reverse" in said.text


def test_growth_is_told_over_the_passes_that_each_backend_made() -> None:
    rows = [row for row in claim.rows(cheap, cheap) if (row["backend"], row["size"]) != ("forward", "1024x1")]
    said = answer(claim.run(rows)).text
    assert re.search(r"From 1 pass to 32 the work ratio is multiplied by \S+ for forward, where .* it by 32\.", said)
    assert re.search(r"From 1 pass to 1 024 the work ratio is multiplied by \S+ for reverse, ", said)
    one_mode = answer(claim.run([row for row in rows if row["family"] != "forward"])).text
    assert "Counted, reverse mode made a pass for each output, at every shape." in one_mode
    assert "forward mode made" not in one_mode


def test_inside_or_outside_the_interval_is_told_from_the_interval() -> None:
    def noisy(n: int, m: int) -> float:
        return 1.05 * n

    rows = claim.rows(noisy, lambda n, m: 1.0 * m)
    for row in rows:  # each contestant has its own order of slow processes
        if row["backend"] == "forward":
            row["medians"] = [[row["call_s"] * scatter, 16e-6] for scatter in (1.0, 0.8, 1.3, 0.9, 1.2, 1.1)]
    assert "inside 2 of 2 intervals" in answer(claim.run(rows)).text
    assert "at most a factor of 1.09 away" in answer(claim.run(rows)).text


def test_the_wrong_way_round_and_no_crossing_are_other_sentences() -> None:
    back = answer(claim.run(claim.rows(lambda n, m: 1.0 * m, lambda n, m: 1.0 * n))).text
    assert "cross the wrong way round for Jacobians of 256 entries and for Jacobians of 1 024 entries" in back
    never = answer(claim.run(claim.rows(lambda n, m: 0.5, cheap))).text
    assert "do not cross for Jacobians of 256 entries: forward mode is 6.5 to 134 times as quick at every" in never
    assert "reverse mode takes 6.5000 ± 0.0000 times as long at 256x1 (1 pass against 256)" in never


def test_curves_that_cross_several_times_say_so() -> None:
    ragged = claim.rows(lambda n, m: 2.0 if n in (256, 1024, 16, 32) else 0.5, lambda n, m: 1.0)
    assert "(the middle of 3 crossings and 95 % interval" in answer(claim.run(ragged)).text


def test_passes_that_are_not_those_of_theory_are_named() -> None:
    rows = claim.rows(cheap, cheap)
    rows[0]["primal_calls"] = 255
    text = answer(claim.run(rows)).text
    assert "The passes are not those of theory: forward at 256x1 255 passes instead of 256." in text
    assert "a pass for each input and reverse mode" not in text


def test_without_intervals_without_cases_and_without_results() -> None:
    quick = answer(claim.run(claim.rows(lambda n, m: 1.0 * n, lambda n, m: 1.0 * m, processes=1)))
    assert "cross at 1.00 outputs per input for Jacobians of 256 entries" in quick.text
    assert "interval" not in quick.text
    assert any("no intervals" in caveat for caveat in quick.caveats)
    assert answer(claim.run([])).text == "This run holds no case, so there is no answer."
    at = {"problem": "difflab.maps:TANH_MAP", "size": "16x16", "operator": "jacobian"}
    failed = answer(claim.run([made.failed("forward", "timeout", **at), made.failed("reverse", "crash", **at)]))
    assert failed.text == "No Jacobian was timed: of 2 cases, 1 timed out, 1 crashed."
    assert "forward: timed out at tanh-map 16x16 (made-up reason of timeout)." in failed.caveats
    rows = claim.rows(lambda n, m: 1.0 * n, lambda n, m: 1.0 * m)
    nothing = [made.failed("reverse", "interrupted", **at | {"size": row["size"]}) for row in rows[1::6]]
    rows[1::6] = nothing
    part = answer(claim.run(rows))
    assert "Unfinished: 50 of 60 cases measured so far." in part.caveats
    lone = [row for row in rows if "one by one" not in row["backend"]]
    assert "no crossing can be told" in answer(claim.run(lone)).text


def test_a_shape_of_its_own_is_in_the_table_and_not_drawn() -> None:
    rows = claim.rows(lambda n, m: 1.0 * n, lambda n, m: 1.0 * m)
    rows += [claim.row(name, 3, 5, 2.0, calls) for name, calls in (("forward", 3), ("reverse", 5))]
    sections = kinds.sections("crossover", cases.read(rows))
    assert "Not drawn, for no other shape has as many entries: 3x5." in sections.answer.caveats
    assert [panel.title for panel in sections.charts[0].panels] == ["tanh-map, 256 entries", "tanh-map, 1 024 entries"]
    assert any(row[1].text == "3x5" for row in sections.tables[1].table.rows)


# ------------------------------------------------------------------------------------------------ the page


@pytest.fixture(scope="module")
def sections() -> kinds.Sections:
    return crossover.sections(cases.read(claim.AGREES.rows))


def test_the_charts_have_a_mark_for_every_case_and_for_every_crossing(sections: kinds.Sections) -> None:
    shapes, lanes = sections.charts
    marks = [panel.svg.count("<title>") for panel in shapes.panels]
    assert [panel.svg.count("outputs per input</title>") for panel in shapes.panels] == [2, 2]
    assert marks == [6 * 7 + 2, 6 * 3 + 2]
    assert [panel.svg.count("<title>") for panel in lanes.panels] == [6 * 7, 6 * 3]
    assert len(shapes.rows) == len(lanes.rows) == 60


def test_the_tables_have_theory_beside_what_was_measured(sections: kinds.Sections) -> None:
    first, passes = (listing.table for listing in sections.tables)
    assert [row[0].text for row in first.rows[:2]] == [
        "forward / reverse",
        "forward (one by one) / reverse (one by one)",
    ]
    assert {row[4].text for row in first.rows} == {"1"}
    for row in passes.rows:
        inputs, outputs = (int(text) for text in row[1].text.split("x"))
        expected = {"forward": inputs, "reverse": outputs}.get(row[0].text.partition(" ")[0])
        assert row[3].value == expected
        if expected is not None:
            assert row[2].value == expected
            assert (row[5].value or 0.0) / expected == pytest.approx(row[6].value)


def test_page_and_terminal_show_it() -> None:
    page = render(claim.AGREES)
    for text in ("Work ratio against shape", "What one pass costs", "Measured and theoretical crossing", "32x8"):
        assert text in page
    shown = cli_tables.results_text(SimpleNamespace(**vars(claim.AGREES)))
    assert shown.startswith("PAIR")
    assert "forward / reverse tanh-map" in shown


def test_examples() -> None:
    assert doctest.testmod(crossings).failed == 0


# ------------------------------------------------------------------------------------------------ a run


@pytest.mark.long
def test_a_run_stores_passes_and_the_medians_of_every_process(tmp_path: Path) -> None:
    study = tmp_path / "small.toml"
    backends = "".join(f'[[backend]]\nname = "{name}"\n' for name in ("forward", "reverse"))
    study.write_text(
        'title = "T"\nquestion = "Q"\nanswer = "crossover"\noperator = "jacobian"\n'
        '[[problem]]\nname = "difflab.maps:TANH_MAP"\nsizes = ["64x4", "4x64"]\n'
        f"{backends}[timing]\nprocesses = 2\nsamples = 1\nrounds = 1\nsample_ms = 0.1\n"
    )
    found = measured(study, tmp_path / "run")
    assert [row["outcome"] for row in found.rows] == ["ok"] * 4
    assert [row["primal_calls"] for row in found.rows] == [64, 4, 4, 64]
    for row in found.rows:
        assert len(row["medians"]) == row["processes"]
        assert row["call_s"] == pytest.approx(sorted(call for call, _ in row["medians"])[0], rel=10)
        assert row["certified"] == "yes"
        assert len(set(row["epochs"])) == len(row["medians"])
    forward, reverse = ([row for row in found.rows if row["backend"] == name] for name in ("forward", "reverse"))
    assert [row["epochs"] for row in forward] == [row["epochs"] for row in reverse]
    assert not set(forward[0]["epochs"]) & set(forward[1]["epochs"])  # of the other shape
    assert list(found.processes_frame["epoch"][: len(found.rows[0]["epochs"])]) == found.rows[0]["epochs"]
    assert cases.read(found.rows)[0].medians == tuple(map(tuple, found.rows[0]["medians"]))
    assert found.processes_frame["call_s"][0] == found.rows[0]["medians"][0][0]
    assert "made a pass for each input" in answer(found).text
