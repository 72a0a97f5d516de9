"""The page of a study of Jacobians: its sentences, forecasts, charts and tables, from whatever a run holds."""

from __future__ import annotations

import re
from typing import Any

import made_up_runs as made
import pytest
from claims.never_form_the_jacobian import AGREES, DENSE, LIMIT, OPPOSES, SIZES, part, row, run

from difflab.report import answer, cases, kinds, numbers, render
from difflab.report.claims import wall_plan
from difflab.report.claims.wall_charts import set_long_time
from difflab.report.claims.wall_parts import panels_of, said


@pytest.fixture(scope="module")
def page() -> str:
    return render(AGREES)


def text_of(rows: list[dict[str, Any]]) -> str:
    return plain(answer(run(rows)).text)


def plain(text: str) -> str:
    return text.replace(numbers.TIMES, "x")


# ---------------------------------------------------------------------------- reading


def test_panels_are_by_variable_and_hold_all_sizes_and_backends() -> None:
    panels = panels_of(cases.read(AGREES.rows))
    assert [panel.title for panel in panels] == ["Dense layer, dy/dx, float32", "Dense layer, dy/dW, float32"]
    assert all(len(panel.parts) == 9 for panel in panels)
    assert [size for size, _ in panels[0].sizes] == ["tiny", "medium", "full"]
    assert {one.case.backend for one in panels[0].main} == {"reverse"}


def test_a_forecast_of_seconds_is_by_operations_from_the_largest_formed() -> None:
    panel = panels_of(cases.read(AGREES.rows))[0]
    largest, full = panel.main[1], panel.main[2]
    assert panel.forecast(largest) is None
    assert largest.seconds is not None
    assert panel.forecast(full) == pytest.approx(largest.seconds * full.data["flops"] / largest.data["flops"])


def test_there_is_no_forecast_where_nothing_was_formed() -> None:
    panel = panels_of(cases.read([row("reverse", "full", cheap=True)]))[0]
    assert panel.forecast(panel.main[0]) is None


def test_sizes_are_said_in_symbols() -> None:
    assert said(SIZES["full"]) == "N = 64, D = M = 4096"
    assert said({"examples": 2, "kernel": 3, "side": 4, "channels": 1, "outputs": 1}) == (
        "N = 2, side = 4, M = C = 1, K = 3"
    )


# ---------------------------------------------------------------------------- the answer


def test_the_first_sentence_is_of_the_largest_size() -> None:
    told = text_of([row("reverse", "full", cheap=True)])
    assert told.startswith(
        "At N = 64, D = M = 4096 in float32 the dense layer's Jacobian dy/dx has 68.7 billion entries, 256 GiB, and "
        "dy/dW has 4.40 trillion entries, 16 TiB, 64 times as much; neither could be formed within 4 GiB."
    )
    assert "No Jacobian could be formed, so nothing could be compared" in told
    assert "The largest Jacobian that was formed" not in told


def test_what_was_formed_at_the_largest_size_is_said() -> None:
    told = text_of([row("reverse", "tiny", cheap=True)])
    assert "180 entries, 720 B" in told
    assert re.search(r"; dy/dx was formed in .* and dy/dW was formed in ", told)


def test_the_lecture_is_answered_only_where_its_layer_was_looked_at() -> None:
    caveats = answer(AGREES).caveats
    (told,) = [plain(one) for one in caveats if "lecture" in one]
    assert "64 x 4096 x 64 x 4096 x 4 B = 256 GiB" in told
    assert "64 x 4096 x 4096 x 4096 x 4 B = 16 TiB, 64 times as much" in told
    assert not any("lecture" in one for one in answer(run([row("reverse", "medium", cheap=True)])).caveats)


def test_products_that_differ_are_named() -> None:
    told = text_of([row("reverse", "tiny", cheap=True, apart=1e-8), row("forward", "tiny", cheap=True, apart=0.02)])
    assert "In 2 of 12 comparisons the products with the Jacobian and without it do not agree" in told
    assert "forward mode differs by 2x10⁻² on dense tiny in float32" in told


def test_differences_may_be_rougher_than_rules() -> None:
    assert "do not agree" in text_of([row("reverse", "tiny", cheap=True, apart=2e-3)])
    told = text_of([row("finite", "tiny", cheap=True, apart=2e-3)])
    assert (
        "in chunks, compressed and without it the product is the same: up to 2x10⁻³ in float32 by finite differences"
        in told
    )


def test_memory_that_cannot_be_told_is_left_out() -> None:
    blind = row("reverse", "medium", cheap=True)
    for one in blind["findings"]["parts"]:
        one["product"]["bytes"] = None
        one["jacobian"]["bytes"] = None
        one["chunked"]["bytes"] = None
        one["compressed"]["bytes"] = None
    told = text_of([blind])
    assert "less memory" not in told
    assert "quicker in all of them" in told
    found = kinds.sections("wall", cases.read([blind]))
    assert found.charts[0].missing.startswith("Nothing to show")
    assert found.charts[1].panels


def test_failed_cases_are_told_once_with_their_reason() -> None:
    at = {"problem": DENSE, "size": "full", "n_params": 7}
    rows = [made.failed(name, "timeout", **at) for name in ("reverse", "forward")]
    assert answer(run(rows)).text == "No layer was examined: of 2 cases, 2 timed out."
    both = "reverse on dense full and forward on dense full: timed out, made-up reason of timeout."
    assert answer(run(rows)).caveats == (both,)
    many = [made.failed(name, "timeout", **at) for name in ("reverse", "forward", "finite", "symbolic")]
    assert answer(run(many)).caveats == ("4 cases (reverse on dense full, ...): timed out, made-up reason of timeout.",)
    mixed = [row("reverse", "tiny", cheap=True), rows[1]]
    assert len(answer(run(mixed)).caveats) == 1
    assert "timed out" in render(run(mixed))


def test_a_run_without_cases() -> None:
    assert answer(run([])).text == "This run holds no case, so there is no answer."
    assert "no case" in render(run([]))


# ---------------------------------------------------------------------------- charts and tables


def test_the_page_has_its_sections(page: str) -> None:
    for heading in ("Memory: formed, in chunks, compressed, and without the Jacobian", "Time: formed, in chunks",
                    "Where the zeros are", "The wall", "Compressed", "Plan and measurement", "Zeros and structure",
                    "Every way and backend"):  # fmt: skip
        assert heading in page
    assert "forecast" in page
    assert "the limit, 4 GiB" in page


def test_the_wall_has_a_row_for_every_jacobian_at_every_size() -> None:
    wall, compressed, _, structures, every = kinds.sections("wall", cases.read(AGREES.rows)).tables
    assert len(wall.table.rows) == 6
    formed = [row[5].text for row in wall.table.rows]
    assert formed == ["< 256 KiB", "16.0 MiB", "not formed", "< 256 KiB", "128 MiB", "not formed"]
    assert wall.table.rows[2][6].text.startswith("forecast ")
    assert len(structures.table.rows) == 4
    assert structures.table.rows[0][5].text == "66.67 %"
    assert len(every.table.rows) == 72
    assert every.table.rows[-4][-1].text.startswith("the forecast needs")
    assert every.table.rows[-3][-1].text.startswith("the forecast is")
    assert every.table.rows[-2][-1].text.startswith("the forecast needs 8.00 GiB")
    assert {row[1].text for row in every.table.rows} == {"formed", "in chunks", "compressed", "without it"}
    assert [row[5].text for row in compressed.table.rows] == ["5", "128", "", "5", "128", ""]
    assert [row[7].text for row in compressed.table.rows][:2] == ["15", "2 048"]
    assert [row[11].text == "not formed" for row in compressed.table.rows] == [False, False, True] * 2


# ---------------------------------------------------------------------------- three ways


def test_a_forecast_in_chunks_is_from_the_largest_in_chunks() -> None:
    panel = panels_of(cases.read(AGREES.rows))[0]
    medium, full = (part.ways["in chunks"] for part in panel.main[1:])
    assert medium.done
    assert not full.done
    assert medium.seconds is not None
    assert medium.flops is not None
    assert full.flops is not None
    expected = medium.seconds * full.flops / medium.flops
    assert panel.forecast(full.part, "in chunks") == pytest.approx(expected)
    assert panel.forecast(full.part, "without it") is None


def test_chunks_are_told_beside_the_jacobian_and_at_the_largest_size() -> None:
    told = plain(answer(AGREES).text)
    assert "In chunks, with 8 rows or columns there at a time, dy/dW of the dense layer at N = 16, D = M = 128 " in told
    assert "took 512 KiB and 33.6 ms instead of 128 MiB and 33.6 ms" in told
    assert "at N = 64, D = M = 4096 the forecast is 8.00 MiB and " in told


def test_chunks_that_differ_are_named() -> None:
    other = row("reverse", "tiny", cheap=True)
    other["findings"]["parts"][1]["chunked"]["difference"] = 0.3
    told = text_of([other])
    assert "In 1 of 6 comparisons the products in chunks and without it do not agree" in told
    assert "differs by 3x10⁻¹" in told


def test_solid_marks_are_measured_and_hollow_ones_are_not() -> None:
    memory, time = kinds.sections("wall", cases.read(AGREES.rows)).charts[:2]
    assert [key["text"] for key in memory.keys[:5]] == [
        "the Jacobian, formed", "a product in chunks", "the Jacobian, compressed", "the product without it",
        "hollow: not measured, the plan",
    ]  # fmt: skip
    assert time.keys[4]["text"] == "hollow: not measured, a forecast"
    full = next(one for one in memory.rows if one[1] == "full" and one[2] == "reverse")
    assert full[4:] == ("planned 256 GiB", "planned 8.00 MiB", "planned 8.00 GiB", "2.00 MiB")
    small = next(one for one in time.rows if one[1] == "medium" and one[2] == "forward")
    assert not any(cell.startswith("forecast") for cell in small)
    panel = memory.panels[0]
    assert "planned 256 GiB" in panel.svg
    assert panel.title == "Dense layer, dy/dx, float32, by reverse mode"


def test_runs_without_chunks_still_have_a_page() -> None:
    old = row("reverse", "medium", cheap=True)
    for one in old["findings"]["parts"]:
        del one["chunked"]
        del one["compressed"]
        del one["product"]["plan_bytes"]
    found = kinds.sections("wall", cases.read([old]))
    assert "In chunks" not in " ".join(found.answer.sentences)
    assert "ompressed" not in " ".join(found.answer.sentences)
    assert len(found.tables[-1].table.rows) == 4
    assert "With the Jacobian and without it the product is the same" in plain(" ".join(found.answer.sentences))


# ---------------------------------------------------------------------------- plans


def test_plans_are_compared_where_both_exist_and_are_large() -> None:
    panels = panels_of(cases.read(AGREES.rows))
    told = wall_plan.sentence(panels)
    assert told.startswith("Of 9 products that took 8 MiB or more, the bytes of the plan are within 10 % of those ")
    assert "every one" in told
    table = wall_plan.listing(panels).table
    assert {row[2].text for row in table.rows} == {"formed", "in chunks", "compressed", "without it"}
    (formed,) = [r for r in table.rows if (r[0].text, r[2].text, r[3].text) == ("dy/dW", "formed", "reverse")]
    assert [cell.text for cell in formed[4:8]] == ["1", "1.000", "1.000", "1.000"]


def test_plans_that_are_wrong_are_named() -> None:
    other = row("reverse", "medium", cheap=True)
    other["findings"]["parts"][1]["plan_bytes"] = 64 * 2**20
    told = wall_plan.sentence(panels_of(cases.read([other])))
    assert (
        "are not within 10 % of those measured in 1; the worst is 0.50 times the measured, dy/dW of the dense" in told
    )
    assert "formed at N = 16, D = M = 128 in float32 by reverse mode." in told
    assert wall_plan.sentence(panels_of(cases.read([row("reverse", "tiny", cheap=True)]))) == ""


def test_small_jacobians_are_pictures() -> None:
    zeros = kinds.sections("wall", cases.read(AGREES.rows)).charts[2]
    assert len(zeros.panels) == 2
    assert "block diagonal: 3 equal blocks of 5 x 4" in plain(zeros.panels[0].title)
    assert len(zeros.rows) == 30
    nothing = kinds.sections("wall", cases.read([row("reverse", "medium", cheap=True)])).charts[2]
    assert nothing.missing.startswith("Nothing to show")


def test_a_layer_at_one_size_is_in_the_table_only() -> None:
    other = row("reverse", "tiny", cheap=True, formed=True) | {"problem": "difflab.maps_layers:SIGMOID"}
    parts = [part("x", SIZES["tiny"], "vjp", cheap=True)]
    other["findings"] = {"layer": "Sigmoid layer", "size": SIZES["tiny"], "limit": LIMIT, "parts": parts}
    chart = kinds.sections("wall", cases.read([*AGREES.rows, other])).charts[0]
    assert len(chart.panels) == 2
    assert any("Sigmoid layer, dy/dx" in row[0] for row in chart.rows)
    assert chart.notes == ("At one size only, and so in the table only: Sigmoid layer, dy/dx, float32.",)


def test_the_axis_of_long_times_has_hours_days_and_years() -> None:
    from difflab.report.style import canvas, drawing

    with drawing():
        for values, expected in (([1e-5, 3e8], "10 years"), ([1e-5, 2e4], "1 hour"), ([1e-5, 2.0], "ms")):
            _, axes = canvas("seconds", "x")
            set_long_time(axes, values)
            labels = [label.get_text() for label in axes.get_yticklabels()]
            assert any(expected in label for label in labels), labels
            assert len(labels) <= 8


def test_the_opposite_run_has_a_page() -> None:
    assert OPPOSES.rows[0]["findings"]["limit"] == LIMIT
    assert "do not agree" in render(OPPOSES)
