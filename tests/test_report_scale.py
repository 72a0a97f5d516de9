"""What a page of very many cases leaves out and says that it does; and that no chart and no table is empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kind_runs
import made_up_runs as made
import pytest

from difflab.report import budget, cases, fitting, page, raster, tables
from difflab.report.charts import Chart, Panel
from difflab.report.kinds import Listing
from difflab.report.svg import Later, Picture
from difflab.report.tables import Cell, Table

MARK = re.compile(r"<(?:use|path|rect|circle|line|image|polyline|polygon)\b")


def many(problems: int, sizes: int = 1, backends: int = 2) -> made.MadeUpRun:
    """A run of so many problems, sizes and backends."""
    rows = [
        made.timed(f"way {b}", 1e-5 * (b + 1) * 3**s, 1e-15, problem=f"p{p}", size=f"s{s}", n_params=10 * 4**s)
        for p in range(problems)
        for s in range(sizes)
        for b in range(backends)
    ]
    return made.run(rows)


# ---------------------------------------------------------------------------- nothing is empty


def assert_nothing_empty(contents: Mapping[str, Any]) -> None:
    """Fail where a chart, a board or a table of a page holds nothing."""
    for chart in contents["charts"]:
        assert bool(chart.panels) != bool(chart.missing), chart.anchor
        assert not chart.panels or chart.rows, chart.anchor
        for panel in chart.panels:
            told = panel.picture.picture if isinstance(panel.picture, Later) else panel.picture
            assert not isinstance(told, Picture) or told.tips, (chart.anchor, panel.title)
            assert MARK.search(panel.svg), (chart.anchor, panel.title)
    for board in (*contents["boards"], *contents["bars"]):
        assert board.rows
        assert board.sizes
    for one in contents["listings"]:
        assert one.table.rows, one.anchor
    assert contents["matrix"] is None or contents["matrix"]["rows"]


@pytest.mark.long
@pytest.mark.parametrize("kind", kind_runs.KINDS)
def test_no_chart_and_no_table_is_ever_empty(kind: str) -> None:
    run = kind_runs.run_of(kind)
    for name, odd in {"as it is": run, **kind_runs.odd(run)}.items():
        contents = page.contents(odd)
        try:
            assert_nothing_empty(contents)
        except AssertionError as fault:
            raise AssertionError(f"{kind}, {name}: {fault}") from None
        assert contents["answer"] or contents["caveats"], name


def test_an_empty_chart_would_be_found() -> None:
    empty = Chart("time", "Time", ("A caption.",))
    contents = page.contents(made.full())
    assert_nothing_empty(contents)
    with pytest.raises(AssertionError, match="time"):
        assert_nothing_empty(contents | {"charts": [empty]})


# ---------------------------------------------------------------------------- all rows


def test_many_rows_keep_their_core_columns_and_the_details_have_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cases.read(made.full().rows)
    whole = tables.all_rows(found)
    assert whole.left == ()
    assert {dict(pairs)["Dtype"] for pairs in tables.rest(found).values()} == {"float64"}, "what all rows share"
    monkeypatch.setattr(tables, "ROWS_IN_FULL", len(found) - 1)
    narrow = tables.all_rows(found)
    assert set(narrow.columns) < set(whole.columns)
    assert set(narrow.left) == set(whole.columns) - set(narrow.columns)
    assert {"Backend", "Outcome", "One gradient", "Relative error", "Reason"} <= set(narrow.columns)
    for place, case in enumerate(found):
        told = dict(tables.rest(found)[case.case])
        texts = {name: cell.text for name, cell in zip(whole.columns, whole.rows[place], strict=True)}
        kept = {name: cell.text for name, cell in zip(narrow.columns, narrow.rows[place], strict=True)}
        assert kept | told == {name: text for name, text in (texts | told).items() if text or name in kept}


def test_processes_of_many_cases_are_told_with_each_case(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made.run([made.row("reverse", outliers_mild=2, outliers_severe=1), made.row("forward", stopped="samples")])
    found = cases.read(run.rows)
    assert tables.processes(found, run.samples)
    monkeypatch.setattr(tables, "ROWS_OF_PROCESSES", 1)
    assert tables.processes(found, run.samples) is None
    told = tables.rest(found, run.samples)
    assert ("Outliers", "2 mild, 1 severe") in told[found[0].case]
    assert "Outliers" not in dict(told[found[1].case])


# ---------------------------------------------------------------------------- charts and listings


def test_panels_without_room_are_left_out_with_a_sentence_but_not_those_of_the_answer() -> None:
    drawn: list[str] = []

    def panel(name: str) -> Panel:
        def draw() -> Picture:
            from difflab.report.style import canvas

            drawn.append(name)
            return Picture(canvas("y", "x")[0], name, name, name, {})

        return Panel(name, Later(draw))

    names = [f"p{k}" for k in range(budget.PANELS + 5)]
    rows = tuple((name, "1") for name in names)
    chart = Chart("time", "Time", (), panels=tuple(map(panel, names)), columns=("Problem", "n"), rows=rows)
    (shown,) = fitting.charts([chart], ["On p20 reverse mode was quicker."])
    assert [one.title for one in shown.panels] == [*names[: budget.PANELS - 1], "p20"]
    assert drawn == [one.title for one in shown.panels]
    assert shown.rows == rows
    (note,) = shown.notes
    assert note.startswith(f"{budget.PANELS} of {len(names)} panels are drawn, the first ones and those of which the")
    (plain,) = fitting.charts([chart], ["On p nothing was quicker."])
    assert [one.title for one in plain.panels] == names[: budget.PANELS]
    assert plain.notes[0].startswith(f"{budget.PANELS} of {len(names)} panels are drawn, the first ones. The")


def test_long_tables_beside_charts_are_those_of_the_drawn_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "PANELS", 2)
    monkeypatch.setattr(fitting, "ROWS_OF_A_TABLE", 5)
    contents = page.contents(many(4, sizes=2))
    (time,) = [chart for chart in contents["charts"] if chart.anchor == "time"]
    assert [row[0] for row in time.rows] == ["p0"] * 4 + ["p1"]
    assert any("5 of 16 rows stand under The numbers of this chart" in note for note in time.notes)


def test_listings_are_cut_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "ROWS_OF_A_TABLE", 2)
    table = Table(("n",), tuple((Cell(str(k)),) for k in range(3)))
    (one,) = fitting.listings([Listing("l", "L", "All of it.", table), Listing("e", "E", "", Table(("n",), ()))])
    assert [row[0].text for row in one.table.rows] == ["0", "1"]
    assert one.text.startswith("All of it. 2 of 3 rows are shown, the first ones; difflab export RUN writes")


def test_a_crowd_of_marks_is_one_layer_of_pixels_and_the_same_bytes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made.full()
    single = page.contents(run)["charts"][0].panels[0].svg
    monkeypatch.setattr(raster, "MARKS", 3)
    found = page.contents(run)["charts"][0]
    first, again = found.panels[0].svg, found.panels[0].svg
    assert first == again == page.contents(run)["charts"][0].panels[0].svg
    assert first.count("<image ") == 2
    assert first.count('href="data:image/png;base64,') == 2
    assert first.count("<g><title>") == 0 < single.count("<g><title>")
    assert first.count("<text") == single.count("<text"), "everything but the marks is still lines and text"
    assert any("drawn as pixels and have no tips" in note for note in found.notes)
    light, dark = re.findall(r'class="on-(?:light|dark)"[^>]*href="([^"]+)"', first)
    assert light != dark


# ---------------------------------------------------------------------------- whole pages


@pytest.mark.long
def test_page_of_500_cases_is_small_and_of_5000_fits(tmp_path: Path) -> None:
    assert len(page.render(many(10, 5, 10)).encode()) < 1_500_000
    text = page.render(many(50, 10, 10))
    assert len(text.encode()) < 6_300_000
    assert text.count('<tr id="case=') == 5000
    assert "Of so many rows only the main columns are shown." in text
    assert text.count("16 of 50 panels are drawn") == 3


def test_too_large_a_page_is_written_without_its_tables_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fitting, "PAGE", 100_000)
    said: list[str] = []
    path = page.write(made.full(), tmp_path, said.append)
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 100_000
    assert len(said) == 1
    assert said[0].startswith("The whole page would take 0.")
    assert "difflab export RUN" in said[0]
    assert said[0].replace("'", "&#39;") in text
    assert "nothing was measured" not in text
    assert 'id="answer"' in text
    assert 'id="scoreboard"' not in text
    monkeypatch.setattr(fitting, "PAGE", budget.PAGE)
    page.write(made.full(), tmp_path, said.append)
    assert len(said) == 1
