"""The page of a study of storage: sentences computed from what was measured, charts with their numbers, odd runs."""

from __future__ import annotations

import re
from typing import Any

import made_up_runs as made
import pytest
from claims.storage import AGREES, DEPTHS, OPPOSES, VALUE, _found

from difflab.report import answer, cases, kinds, render
from difflab.report.claims import storage_findings

UNTIMED = dict.fromkeys(("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "rel_error"))


def row(backend: str, depth: int, found: dict[str, Any] | None, **known: Any) -> dict[str, Any]:
    place = {"problem": "deep-layers", "size": f"depth-{depth}", "n_params": 272 * depth}
    return made.row(backend, findings=found, **{**place, **UNTIMED, **known})


def run_of(rows: list[dict[str, Any]]) -> made.MadeUpRun:
    return made.run(rows, answer="storage", baseline="", title="T", question="Q")


def reverse(depth: int, values: float, ratio: float = 2.0, k: int | None = None, **known: Any) -> dict[str, Any]:
    notes = {} if k is None else {"checkpoints": k, "recomputed_equations": 7, "kept_bytes": VALUE}
    name = "reverse" if k is None else f"k{k}"
    found = {**_found("gradient", depth, values * VALUE, ratio, **notes), **known}
    return row(name, depth, found, family="reverse")


def setting(rows: list[dict[str, Any]]) -> storage_findings.Setting:
    (found,) = storage_findings.read(cases.read(rows))
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return render(AGREES)


# ---------------------------------------------------------------------------- what is read off the points


def test_growth_is_the_slope_of_the_points() -> None:
    found = setting([reverse(depth, 2 + 1.5 * depth) for depth in DEPTHS])
    line = found.reverse
    assert line is not None
    assert line.per_layer == pytest.approx(1.5 * VALUE)
    assert line.grows
    assert line.exponent == pytest.approx(1.0, abs=0.05)
    assert (found.deepest, found.value) == (256, VALUE)


def test_lines_with_checkpoints_and_within_limits_are_told_apart() -> None:
    rows = [reverse(depth, min(depth, k) + 3, k=k) for k in (7, 1) for depth in (4, 64)]
    rows += [reverse(depth, depth) for depth in (4, 64)]
    for limit in (2**24, 2**22):
        for depth in (4, 64):
            found = reverse(depth, 3, checkpoints=None if depth == 4 else 2, memory_limit=limit)
            rows.append({**found, "backend": f"within {limit}"})
    found = setting(rows)
    assert [line.name for line in found.checkpointed] == ["k1", "k7"]
    assert [line.limit for line in found.limited] == [2**22, 2**24]
    assert found.reverse is not None
    assert found.reverse.name == "reverse"


def test_without_a_peak_of_the_process_that_of_the_arrays_stands() -> None:
    found = setting([reverse(4, 6, peak_bytes=None, array_bytes=5 * VALUE)])
    assert found.lines[0].points[0].peak == 5 * VALUE


# ---------------------------------------------------------------------------- the answer


def test_the_answer_says_how_memory_grows_and_what_checkpoints_buy() -> None:
    said = answer(AGREES)
    assert said.sentences[0] == (
        "On deep-layers in float64, reverse mode's memory grows by 256 KiB per layer, from 1.50 MiB at 4 layers to "
        "64.5 MiB at 256, 1.00 times the largest value of a layer; the loss itself stays at 768 KiB from 4 layers to "
        "256."
    )
    assert said.sentences[1] == (
        "At 256 layers, with 1 checkpoint reverse mode needs 1.6 % of that memory, 1.00 MiB, for 20 times the time "
        "(40.00 ± 0.80 evaluations of the loss against 2.000 ± 0.040); the quickest of those with at most a tenth, "
        "with 15 checkpoints, needs 7.0 %, for 2.0 times the time (4.000 ± 0.080 evaluations of the loss against "
        "2.000 ± 0.040)."
    )
    assert said.sentences[2] == (
        "With 1 checkpoint at every depth memory stays at 1.00 MiB from 4 layers to 256; a gradient takes "
        "2.594 ± 0.052 evaluations of the loss at 4 layers and 40.00 ± 0.80 at 256."
    )
    assert said.sentences[3] == (
        "Asked to stay within 16.0 MiB, its arrays always did: they took at most 97 % of the limit."
    )
    assert (
        "One pass of forward mode stays at 768 KiB from 4 layers to 256 (a gradient there takes 69 632 evaluations)"
        in said.sentences[4]
    )
    assert said.sentences[5] == (
        "That much was known beforehand: the measured memory of reverse mode, with and without checkpoints, is 1.01 "
        "times the planned bytes."
    )
    assert said.caveats == ()


def test_the_opposite_data_give_the_opposite_sentences() -> None:
    said = answer(OPPOSES)
    assert "reverse mode's memory stays at 1.50 MiB from 4 layers to 256" in said.sentences[0]
    assert said.sentences[1] == (
        "Checkpoints save nothing at 256 layers: at best, within 16.0 MiB, reverse mode needs 117 % of that memory."
    )


def test_less_memory_may_also_take_less_time() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)] + [reverse(64, 20, 1.8, k=3)]
    assert (
        "31 % of that memory, 5.00 MiB, and takes no more time for it: 1.800 ± 0.036 eval" in answer(run_of(rows)).text
    )


def test_a_limit_that_was_not_kept_is_said() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)]
    rows += [reverse(64, 20, 2.4, k=9, memory_limit=16 * VALUE)]
    assert (
        "Asked to stay within 4.00 MiB, its arrays took up to 125 % of the limit, most at 64 layers within 4.00 MiB."
        in answer(run_of(rows)).sentences
    )


def test_checkpoints_whose_memory_grows_say_by_how_much_of_a_value() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)] + [reverse(d, 3 + d / 10, 3.0, k=3) for d in (4, 64)]
    assert re.search(
        r"With 3 checkpoints at every depth memory grows by 25\.6 KiB per layer, .*, 0\.10\d? times a value;",
        (answer(run_of(rows)).text),
    )


def test_memory_that_falls_or_a_plan_that_is_off_is_said() -> None:
    rows = [reverse(4, 9), reverse(64, 2)]
    assert "does not grow: 2.25 MiB at 4 layers, 512 KiB at 64" in answer(run_of(rows)).text
    rows = [reverse(4, 6), reverse(64, 66, planned_bytes=10 * VALUE)]
    assert answer(run_of(rows)).sentences[-1] == (
        "The measured memory of reverse mode is 1.01 to 6.6 times the planned bytes, farthest for reverse at 64 "
        "layers: the plan was wrong."
    )


def test_a_pass_that_grows_says_by_how_much_of_a_value() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)]
    rows += [row("finite", d, _found("pass", d, VALUE * (1 + d / 10), 3.0), family="finite") for d in (4, 64)]
    said = answer(run_of(rows)).text
    assert re.search(r"One pass of finite differences grows by 25\.6 KiB per layer, .*, 0\.10\d? of a value \(a", said)


def test_one_depth_shows_no_growth() -> None:
    said = answer(run_of([reverse(64, 66), reverse(64, 16, 2.6, k=7)]))
    assert said.sentences[0].endswith("reverse mode needs 16.5 MiB at 64 layers; growth takes two depths.")
    assert "with 7 checkpoints reverse mode needs 24 %" in said.text


def test_a_run_without_plain_reverse_mode_says_so() -> None:
    text = answer(run_of([reverse(depth, 9, k=3) for depth in (4, 64)])).text
    assert text.startswith("On deep-layers in float64, reverse mode without checkpoints was not measured.")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "This run holds no case, so there is no answer."),
        (
            [made.failed("reverse", "timeout", problem="deep-layers", size="depth-4")],
            "No memory was measured: of 1 case, 1 timed out.",
        ),
        ([row("reverse", 4, None, outcome="interrupted")], "No memory was measured: of 1 case, 1"),
    ],
)
def test_runs_without_findings_say_so(rows: list[dict[str, Any]], said: str) -> None:
    assert answer(run_of(rows)).text.startswith(said)
    assert "answer-h" in render(run_of(rows))


def test_what_failed_is_a_caveat_and_the_rest_is_told() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)]
    rows += [made.failed("finite", "timeout", problem="deep-layers", size="depth-64", family="finite", findings=None)]
    said = answer(run_of(rows))
    assert "grows by 256 KiB per layer" in said.text
    assert said.caveats == ("finite on deep-layers depth-64 in float64: timed out, made-up reason of timeout.",)


# ---------------------------------------------------------------------------- charts and tables


def test_both_charts_are_there_with_all_their_numbers(page: str) -> None:
    for anchor in ("answer", "depth", "trade", "deepest", "growth", "rows", "words", "measured"):
        assert f'id="{anchor}"' in page
    depth = page.split('id="depth"')[1].split('id="trade"')[0]
    table = depth.split("The numbers of this chart</summary>")[1].split("</table>")[0]
    assert len(re.findall("<tr>", table)) == 1 + len(DEPTHS)
    first = re.findall(r"<td>(.*?)</td>", re.findall(r"<tr>(.*?)</tr>", table)[1])
    assert first[:4] == ["deep-layers in float64", "4", "768 KiB", "1.50 MiB"]
    assert "<title>reverse, 256 layers: 64.5 MiB</title>" in depth
    for key in ("15 checkpoints", "forward (one pass)", "one value of every layer"):
        assert f"<span>{key}</span>" in depth
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_trade_goes_from_everything_kept_to_the_least(page: str) -> None:
    trade = page.split('id="trade"')[1].split('id="deepest"')[0]
    for count in ("all", 1, 3, 7, 15, 31, 59):
        assert re.search(rf">{count}</text>", trade)
    assert "<title>15 checkpoints: 4.50 MiB, 4.00 evaluations</title>" in trade
    assert "<title>within 16 MiB: 15.5 MiB, 2.50 evaluations</title>" in trade
    assert "finite" not in trade.split("The numbers of this chart")[0]


def test_measured_stands_beside_planned() -> None:
    found = kinds.sections("storage", cases.read(AGREES.rows))
    table = found.tables[0].table
    assert table.columns[:5] == ("Contestant", "Peak", "Arrays", "Planned", "By planned")
    texts = {cells[0].text: [cell.text for cell in cells] for cells in table.rows}
    assert texts["15 checkpoints"][1:8] == ["4.50 MiB", "4.50 MiB", "4.45 MiB", "1.01", "15", "768", "4.00"]
    assert texts["15 checkpoints"][8] == "3.92 to 4.08"
    assert texts["within 16 MiB"][5] == "59"
    assert {cells[0].text: cells[0].under for cells in table.rows if cells[0].under} == {
        "forward": "one pass",
        "finite": "one pass",
    }
    growth = {cells[0].text: [cell.text for cell in cells] for cells in found.tables[1].table.rows}
    assert growth["reverse"][1:3] == ["1.50 MiB at 4", "64.5 MiB at 256"]
    assert growth["reverse"][3:] == ["256 KiB", "1.00", "0.97"]
    assert growth["the loss itself"][3:] == ["0 B", "0.00", "0.00"]
    assert growth["1 checkpoint"][3:] == ["0 B", "0.00", "0.00"]


def test_a_chart_without_times_is_left_out_with_its_reason() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)]
    rows += [reverse(64, 9, k=3) | {"findings": {**reverse(64, 9, k=3)["findings"], "ratio": None}}]
    text = render(run_of(rows))
    assert "This chart is left out: no two of reverse mode and its checkpoints were both measured and timed." in text


def test_two_dtypes_have_a_panel_each() -> None:
    rows = [reverse(depth, depth) for depth in (4, 64)]
    rows += [{**reverse(depth, depth / 2), "dtype": "float32"} for depth in (4, 64)]
    text = render(run_of(rows))
    assert text.count('<figure class="panel">') >= 2
    assert "deep-layers float32" in text
