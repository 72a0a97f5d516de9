"""The page of a study of shapes: its sentences, the table of marks, the pictures of both layouts, and odd runs."""

from __future__ import annotations

from typing import Any

import made_up_runs as made
import pytest
from claims.shapes import AGREES, CHECKS, OPPOSES, RANKS, TURNED, W, entry, example, row, run

from difflab.report import answer, cases, kinds, render


def sections_of(rows: list[dict[str, Any]]) -> kinds.Sections:
    return kinds.sections("shapes", cases.read(rows))


def failing(*checks: str) -> dict[str, bool]:
    return {check: check not in checks for check in CHECKS}


def test_the_answer_names_what_fails_and_where() -> None:
    bad = entry("matrix-by-matrix", [2], [3], holds=failing("transposed"))
    rows = [row("reverse", "matrices", [bad]), row("forward", "matrices", [entry("matrix-by-matrix", [2], [3])])]
    told = answer(run(rows)).text
    assert "the rule of the shapes holds in 1." in told
    assert "That the two layouts are each other's transpose, entry by entry fails in 1 case (reverse on " in told
    assert "the gradient has the shape" not in told


def test_refusals_are_counted() -> None:
    refused = entry("a", [2], [3], holds=failing(*CHECKS), why="TraceError: no", error=None, gradient_error=None,
                    gradient=None, numerator=None, denominator=None)  # fmt: skip
    rows = [row("reverse", "vectors", [refused, entry("b", [2], [3])])]
    told = answer(run(rows)).text
    assert "holds in 1. No derivative comes in 1 case (reverse on a)." in told
    assert sections_of(rows).matrix is not None
    cells = [cell for one in (sections_of(rows).matrix or {})["rows"] for cell in one["cells"]]
    assert [cell["mark"] for cell in cells if cell["mark"] != "set"] == ["refused", "right"]
    assert "TraceError: no" in render(run(rows))


def test_the_most_axes_are_told() -> None:
    told = answer(run([row("reverse", "tensors", [entry("a", [2, 3], [4, 5, 6]), entry("b", [], [7])])])).text
    assert "has 5: that of an output of shape (2, 3) by a variable of shape (4, 5, 6)." in told


@pytest.mark.parametrize(
    ("numerator", "denominator", "right"),
    [(W, TURNED, True), (TURNED, W, False), (W, W, False), ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.1]], TURNED, False)],
)
def test_the_example_is_compared_number_by_number(numerator: Any, denominator: Any, right: bool) -> None:
    told = answer(run([row("reverse", "vectors", [example(numerator, denominator)])])).text
    assert ("Reverse finds that the Jacobian of W g by g is W" in told) is right
    assert ("It is not found by reverse that" in told) is not right


def test_a_number_that_is_none_is_no_right_example() -> None:
    odd = run([row("reverse", "vectors", [example([[None, 2, 3], W[1]], TURNED)])])
    assert "It is not found" in answer(odd).text
    assert "not finite" in render(odd)


def test_dtypes_share_a_column_and_one_that_fails_is_seen() -> None:
    good, bad = entry("a", [2], [3]), entry("a", [2], [3], holds=failing("entries"))
    rows = [row("reverse", "vectors", [good]), row("reverse", "vectors", [bad], dtype="float32")]
    matrix = sections_of(rows).matrix
    assert matrix is not None
    assert matrix["head"] == ["Map", "Gradient", "Numerator layout", "Denominator layout", "reverse"]
    assert [cell["text"] for cell in matrix["rows"][0]["cells"]] == ["(3,)", "(2, 3)", "(3, 2)", "fails"]
    counts = sections_of(rows).tables[0].table
    assert [cells[0].text for cells in counts.rows] == ["reverse, float64", "reverse, float32"]
    assert [cells[2].text for cells in counts.rows] == ["1", "0"]


def test_a_map_that_was_not_asked_leaves_its_cell_empty() -> None:
    rows = [row("reverse", "a", [entry("a", [2], [3])]), row("forward", "b", [entry("b", [2], [3])])]
    matrix = sections_of(rows).matrix
    assert matrix is not None
    assert [cell["mark"] for cell in matrix["rows"][0]["cells"][3:]] == ["right", "none"]


def test_layouts_are_drawn_side_by_side() -> None:
    (chart,) = sections_of([dict(one) for one in AGREES.rows]).charts
    assert len(chart.panels) == 1
    assert chart.panels[0].svg.count("<g transform") == 2
    assert chart.rows[0] == ("vector-by-vector", "numerator", "0", "1, 2, 3")
    assert chart.rows[2] == ("vector-by-vector", "denominator", "0", "1, 4")
    (chart,) = sections_of([row("reverse", "a", [entry("a", [2], [3])])]).charts
    assert chart.missing.startswith("Nothing to show")


def test_both_pages_have_their_tables() -> None:
    for one in (AGREES, OPPOSES):
        page = render(one)
        for heading in ("What holds for each map", "How many hold", "The rule", "The shapes that came"):
            assert heading in page


def test_odd_runs() -> None:
    assert answer(run([])).text == "This run holds no case, so there is no answer."
    rows = [made.failed(name, "timeout", problem=RANKS, size="vectors") for name in ("reverse", "forward")]
    assert answer(run(rows)).text == "No map was examined: of 2 cases, 2 timed out."
    assert answer(run(rows)).caveats == (
        "reverse on vectors and forward on vectors: timed out, made-up reason of timeout.",
    )
    assert "timed out" in render(run(rows))
