"""What the page of a study of expression swell says beside its charts and tables."""

from __future__ import annotations

import made_up_runs as made
import swell_findings as found

from difflab.report import render

LAWS, ROWS = found.EXPONENTIAL, found.DEEP


def test_what_the_answer_leaves_out_stands_beside_the_charts_and_tables() -> None:
    said = found.page_of(ROWS)
    assert (
        "With depth, expressions that are written out swell: value and gradient of deep-mlp take 300 operations at "
        "depth 1 and 656 100 at depth 8, 2 050 times those of the reverse tape; they grow 3.0-fold with every further "
        "layer (95 % interval 3.0 to 3.0, over 4 sizes from 4 to 8: of the fitted slope, as the counts are exact). "
        "Sharing takes the exponential away: 3 840 operations are distinct at depth 8, growing like depth to the power "
        "2.0, and 3 200 are left in the program; the reverse tape has 320, growing like depth to the power 1.0"
    ) in said["operations"]
    assert said["operations"].endswith("sharing still leaves 10 times as many.")
    assert said["laue"].startswith("S. Laue (arXiv 1904.02990) claims that swelling is a property of trees and not of ")
    assert said["laue"].endswith(
        "With operations on zeros and ones left out, the data agree: from the root there are exactly the operations of "
        "reverse mode at all 9 sizes; by symbol there are exactly the operations of forward mode at all 9 sizes; from "
        "the root, value and gradient have at most 4.0 times the operations of the loss (deep-mlp at depth 12), where "
        "trees have up to 8 200 times."
    )
    bars = said["multiples"]
    assert "and its program runs up to 4.0 times as many (deep-mlp at depth 1)." in bars
    assert "Derived from the root, value and gradient of a graph have at most 4.0 times the operations" in bars
    assert "at every depth measured of deep-mlp, within 10 (they grow like depth to the power 1.00" in bars
    assert (
        "Derived by one symbol after the other, value and gradient of a graph have more than 10 times the operations "
        "of the loss at depth 6 of deep-mlp (12) and 24 times at depth 12: there sharing is lost, for every symbol has"
    ) in bars
    assert "At depth 5 of deep-mlp, the largest that all finished: written out, " in said["phases"]
    assert "into 1 000 evaluations" in said["phases"]
    assert "At depth 5 of deep-mlp, the largest that all finished, one gradient takes " in said["totals"]
    assert said["totals"].endswith(
        "At every size there are times of the graph by symbol, the graph from the root, forward mode and reverse mode."
    )
    assert "exact up to rounding in all 32 gradients" in said["method"]
    assert "forward mode: 2" in said["method"]


def test_shares_of_the_time_are_those_of_the_size_that_is_named() -> None:
    rows = found.growing("deep-mlp", "depth", (1, 2, 3), LAWS, last={"tree": 2})
    for row in rows:
        if row["backend"] == found.LABELS["tree"] and row["size"] == "depth-2":
            row["findings"]["times"] = {"build": 4.0, "differentiate": 3.0, "compile": 2.0, "evaluate": 1e-3}
    assert (
        "At depth 2 of deep-mlp, the largest that all finished: written out, 40 % of the time goes into building, 30 % "
        "into differentiating, 20 % into compiling and 10 % into 1 000 evaluations; shared, "
    ) in found.page_of(rows)["phases"]


def test_forecasts_stand_beside_refused_marks_or_the_table_is_named() -> None:
    chart = render(found.run_of(ROWS)).split('<section id="totals"')[1].split("</section>")[0]
    chart = made.unexplained(chart).replace("\N{NO-BREAK SPACE}", " ")
    assert chart.split("<details")[0].count(">99 s</text>") >= 2
    assert "the time beside it is how long preparing it was forecast to take" in chart
    assert "<span>hollow with an arrow: refused, with its forecast</span>" in chart
    crowd = found.growing("deep-mlp", "depth", range(1, 41), LAWS, last={"tree": 2})
    assert "the table has it" in found.page_of(crowd)["totals"]
    assert "refused" not in found.page_of(found.growing("deep-mlp", "depth", (1, 2, 3), LAWS))["totals"]
