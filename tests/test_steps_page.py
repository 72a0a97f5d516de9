"""The page and the table of a study of steps, true to what was found; the matrix of a study of traps."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace
from typing import Any

import made_up_runs as made
import pytest

from difflab.cli import codes as cli_codes
from difflab.cli import tables as cli_tables
from difflab.report import answer, cases, kinds, render
from difflab.report.claims import curves, steps
from difflab.report.numbers import TIMES
from difflab.report.terms import Term

EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
STEPS = [10.0 ** (-k / 2) for k in range(33)]


def findings(order: int, dtype: str = "float64", shift: float = 1.0) -> dict[str, Any]:
    """A V of theory itself, its best step moved by ``shift`` from the predicted one."""
    eps = EPS[dtype]
    errors = [(step / shift) ** order + eps / step for step in STEPS]
    best = min(range(len(STEPS)), key=errors.__getitem__)
    predicted = (eps / order) ** (1 / (order + 1))
    return {
        "steps": STEPS,
        "rel_error": errors,
        "worst": [max(0.0, -math.log10(error)) for error in errors],
        "best": {"step": STEPS[best], "error": errors[best]},
        "predicted": {"step": predicted, "error": 2 * eps / predicted, "order": order, "flat": False},
        "default": {"step": predicted / 2, "error": 5 * errors[best]},
        "digits_lost": math.log10(errors[best] / eps),
        "eps": eps,
    }


def bare(dtype: str = "float64") -> dict[str, Any]:
    nothing = {"steps": [], "rel_error": [], "worst": [], "predicted": None, "default": None}
    return {**nothing, "best": {"step": None, "error": 3e-16}, "digits_lost": 0.13, "eps": EPS[dtype]}


def row(backend: str, found: dict[str, Any] | None, **known: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "primal_s")
    )
    return made.row(backend, **{**nothing, "findings": found, **known})


ROWS = [
    row("central", findings(2), family="finite"),
    row("forward difference", findings(1), family="finite"),
    row("reverse", bare(), family="reverse"),
    row("central", findings(2, "float32", 30.0), family="finite", dtype="float32"),
    row("reverse", bare("float32"), family="reverse", dtype="float32"),
]


def run_of(rows: list[dict[str, Any]], kind: str = "steps") -> made.MadeUpRun:
    return made.run(rows, answer=kind, baseline="", title="T", question="Q")


@pytest.fixture(scope="module")
def page() -> str:
    return render(run_of(ROWS))


def test_the_answer_is_computed_from_what_was_found() -> None:
    said = answer(run_of(ROWS))
    best = ROWS[0]["findings"]["best"]["step"]
    assert best == pytest.approx(10**-5.5)
    assert said.sentences[0] == (
        f"On digits-mlp small in float64, central loses 5.6 of the 15.7 digits even at its best step, 3.2{TIMES}10⁻⁶; "
        "forward difference loses 8.2 and reverse loses 0.1."
    )
    assert said.sentences[1].startswith(
        f"Theory put the best step of central at 4.8{TIMES}10⁻⁶, a factor of 1.5 away; a step ten times too"
    )
    assert "the automatic step costs 0.7" in said.sentences[1]
    assert re.search(r"^Elsewhere central loses \d\.\d of 6\.9 on digits-mlp small in float32\.$", said.sentences[2])
    assert "(central on digits-mlp small in float32)" in said.sentences[3]
    assert said.caveats == ()


@pytest.mark.parametrize(("factor", "places"), [(0.1, 2), (10.0, -2)])
def test_a_wrong_step_costs_what_its_arm_says(factor: float, places: int) -> None:
    curve = curves.read(cases.read([row("central", findings(2))])[0])
    assert curve is not None
    errors = findings(2)["rel_error"]
    least = errors.index(min(errors))
    assert curve.beside(factor) == pytest.approx(math.log10(errors[least + places] / errors[least]))
    assert curve.beside(1e-30) is None
    assert curve.automatic == pytest.approx(math.log10(5))
    assert curve.off == pytest.approx(curve.predicted.step / curve.best.step)  # type: ignore[operator] (both are there)


def test_a_flat_curve_is_never_off() -> None:
    found = findings(2)
    found["predicted"]["flat"] = True
    curve = curves.read(cases.read([row("complex-step", found)])[0])
    assert curve is not None
    assert curve.off is None
    text = render(run_of([row("complex-step", found, family="complex-step")]))
    assert ">below 4.8e-06</td>" in text


def test_every_panel_has_its_lines_marks_and_words(page: str) -> None:
    assert page.count('<figure class="panel">') == 2
    assert "<figcaption>digits-mlp small, float64</figcaption>" in page
    first, second = (part.split("</svg>")[0] for part in page.split('<figure class="panel">')[1:])
    for tip in ("central, best step 3.2e-06", "central, predicted 4.8e-06", "central, automatic step about 2.4e-06"):
        assert f"<title>{tip}" in first
    assert "reverse: 3.0e-16, without a step." in first
    assert "machine epsilon is 2.2e-16" in first
    assert "forward difference" not in second
    assert "<title>central, best step" in second
    for role in ("k-s0", "k-s1"):
        assert role in first
    for key in ("filled: the best step tried", "hollow: predicted best step", "upright stroke: the automatic step",
                "machine epsilon", "reverse (no step)"):  # fmt: skip
        assert f"<span>{key}</span>" in page


def test_the_page_has_what_a_study_of_steps_has_and_nothing_of_times(page: str) -> None:
    for anchor in ("answer", "steps", "optimum", "rows", "words", "measured", "reproduce"):
        assert f'id="{anchor}"' in page
    for absent in ("scoreboard", "Time against", "left out", "Verdicts compare", "timed in", "95 %"):
        assert absent not in page
    assert "Every case runs once, in a fresh Python process of its own; nothing is timed." in page
    assert "Gill, Murray &amp; Wright, 1981, section 8.6" in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_numbers_of_the_chart_are_all_there(page: str) -> None:
    table = page.split("The numbers of this chart</summary>")[1].split("</table>")[0]
    lines = re.findall(r"<tr>(.*?)</tr>", table)
    assert len(lines) == 1 + 2 * len(STEPS)
    cells = re.findall(r"<td>(.*?)</td>", lines[1])
    assert cells[:2] == ["digits-mlp small, float64", "1.0e+00"]
    assert cells[2:] == [f"{findings(2)['rel_error'][0]:.1e}", f"{findings(1)['rel_error'][0]:.1e}", "3.0e-16"]


def test_many_schemes_are_told_apart() -> None:
    names = [f"order {order}" for order in (1, 2, 3, 4, 5, 6)]
    rows = [row(name, findings(order), family="finite") for order, name in enumerate(names, start=1)]
    found = steps._looks(cases.read([*rows, ROWS[2]]))
    slots = [look.slot for look in found.values()]
    assert len(set(slots)) == len(slots)
    assert steps.BROWN not in slots
    with_hand = steps._looks(cases.read([*rows, row("analytic", bare(), family="analytic")]))
    assert len({look.slot for look in with_hand.values()}) == 7


def test_what_lies_beyond_the_sweep_is_in_the_table_only() -> None:
    found = findings(2)
    found["default"] = {"step": 1e-200, "error": 1e-12}
    text = render(run_of([row("central", found, family="finite")]))
    assert "automatic step about" not in text
    assert "upright stroke" not in text
    assert ">1.0e-200</td>" in text


def test_errors_without_a_place_leave_a_gap() -> None:
    found = findings(2)
    found["rel_error"][3] = found["rel_error"][4] = None
    found["rel_error"][-1] = 1e9
    text = made.unexplained(render(run_of([row("central", found, family="finite"), ROWS[2]])))
    assert "Relative errors beyond 300 are drawn there" in text
    assert text.count(">not finite</td>") == 2
    assert "nan" not in text.split("</figure>")[0].split("<figure")[1].lower()


def test_cases_without_findings_are_told_and_empty_runs_too() -> None:
    lost = row("central", None, outcome="timeout", reason="stopped in phase sweep: the time limit of 2 s was over")
    said = answer(run_of([lost, *ROWS[1:3]]))
    assert said.sentences[0].startswith("On digits-mlp small in float64, forward difference loses")
    assert said.caveats == (
        "central on digits-mlp small in float64: timed out, stopped in phase sweep: the time limit of 2 s was over.",
    )
    assert answer(run_of([lost])).sentences == ("No gradient could be measured: of 1 case, 1 timed out.",)
    assert answer(run_of([])).sentences == ("This run holds no case, so there is no answer.",)
    opened = row("central", None, outcome="interrupted", reason="not measured yet")
    assert answer(run_of([opened, *ROWS[1:3]])).caveats == ("Unfinished: 2 of 3 cases examined so far.",)
    for rows in ([lost], [], [opened]):
        assert "The answer of this run" in render(run_of(rows))


def test_many_cases_with_one_reason_are_one_caveat() -> None:
    failed = [row(f"b{k}", None, outcome="crash", reason="it broke.") for k in range(9)]
    (said,) = answer(run_of([*failed, ROWS[2]])).caveats
    assert said == "9 cases (b0 on digits-mlp small in float64, ...): crashed, it broke."


def test_only_backends_without_a_step_have_an_answer_too() -> None:
    said = answer(run_of([ROWS[2]])).sentences
    assert said == (f"On digits-mlp small in float64 no backend found a best step: reverse errs by 3{TIMES}10⁻¹⁶.",)
    assert "upright stroke" not in render(run_of([ROWS[2]]))


def test_the_page_is_the_same_again_and_safe_with_hostile_names() -> None:
    hostile = '</script><script>alert(1)</script>"><img src=x>'
    rows = [row(hostile, findings(2), family="finite", problem=hostile)]
    text = render(run_of(rows))
    assert text == render(run_of(rows))
    assert "<script>alert" not in text
    assert "<img" not in text
    assert " style=" not in text


def test_the_command_line_has_a_fitting_table() -> None:
    found = run_of(ROWS)
    text = cli_tables.results_text(found)
    (
        head,
        first,
        *_,
    ) = text.splitlines()
    assert head.split("  ")[0] == "PROBLEM"
    assert re.split(r"\s{2,}", head) == [
        "PROBLEM", "DTYPE", "BACKEND", "OUTCOME", "DIGITS LOST", "BEST STEP", "ERROR", "PREDICTED", "AUTO ERROR",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", first)[:6] == ["digits-mlp small", "float64", "central", "finished", "5.6", "3.2e-06"]
    assert "On digits-mlp small in float64, central loses" in text
    stored: Any = SimpleNamespace(**vars(found), study=found.manifest["study"], finished=True)
    document = json.loads(cli_tables.json_text(cli_tables.results_document(stored)))
    assert document["rows"][0]["findings"]["best"]["step"] == ROWS[0]["findings"]["best"]["step"]


def test_a_wrong_gradient_is_a_finding_and_no_failure() -> None:
    assert cli_codes.code_of([{"outcome": "ok"}, {"outcome": "unsupported"}]) == cli_codes.OK
    assert cli_codes.code_of([{"outcome": "ok"}, {"outcome": "crash"}]) == cli_codes.UNEXPECTED


def test_a_frame_with_nothing_found_is_read() -> None:
    read = cases.read([row("central", None) | {"findings": math.nan}, row("central", findings(2))])
    assert read[0].findings is None
    assert curves.read(read[0]) is None
    assert curves.read(read[1]) is not None


# ------------------------------------------------------------------------------- traps


MATRIX = {
    "caption": "Who answers what",
    "head": ["Trap", "Admissible", "reverse"],
    "rows": [
        {
            "name": "relu <0>", "sentence": "At 0 it has no slope.",
            "link": "https://example.org/1", "link_text": "x#1",
            "cells": [
                {"text": "0 to 1", "mark": "set", "title": ""}, {"text": "0", "mark": "right", "title": "admissible"},
            ],
        },
        {
            "name": "log", "sentence": "No thread.", "link": "", "link_text": "",
            "cells": [{"text": "1", "mark": "set", "title": ""}, {"text": "2", "mark": "wrong", "title": "outside"}],
        },
    ],
    "notes": ["A note."],
}  # fmt: skip


def test_the_command_line_has_a_row_for_every_trap() -> None:
    found = {"library": "", "traps": [{"name": "relu", "verdict": "admissible"}, {"name": "log", "verdict": "outside"}]}
    rows = [
        row("reverse", found, size="kinks"),
        row("symbolic", {"library": "", "traps": found["traps"][:1]}, size="kinks"),
        row("finite", None, size="kinks", outcome="timeout"),
    ]
    lines = [re.split(r"\s{2,}", line) for line in cli_tables._traps_table(cases.read(rows)).splitlines()]
    assert lines == [
        ["TRAP", "reverse", "symbolic", "finite"],
        ["relu", "admissible", "admissible", "-"],
        ["log", "outside", "-", "-"],
        ["all of kinks", "-", "-", "timed out"],
    ]


def test_a_matrix_shows_rows_marks_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = kinds.Sections(steps.Answer(("Said.",), ("But.",)), matrix=MATRIX, glossary=(Term("Trap", "A function."),))
    monkeypatch.setattr(kinds, "sections", lambda kind, found: shown)
    text = render(run_of([row("reverse", {"traps": []})], "traps"))
    section = text.split('<section id="matrix"')[1].split("</section>")[0]
    assert "<h2" in section
    assert "relu &lt;0&gt;" in section
    assert '<a href="https://example.org/1">x#1</a>' in section
    assert section.count("<a ") == 1
    assert '<td class="m-right" title="admissible">0</td>' in section
    assert '<td class="m-set">0 to 1</td>' in section
    assert '<p class="note">A note.</p>' in section
    assert '<li><a href="#matrix">Who answers what</a></li>' in text
    assert "Said." in text
    assert "A function." in text
    sheet = text.split("<style>")[1].split("</style>")[0]
    for mark in ("right", "allowed", "wrong", "void", "refused", "none", "set"):
        assert f".m-{mark}" in sheet


def test_other_kinds_have_no_matrix_and_no_curves() -> None:
    text = render(made.full())
    assert 'id="matrix"' not in text
    assert 'id="optimum"' not in text
    assert 'id="scoreboard"' in text


def test_the_kind_is_that_of_the_study() -> None:
    assert kinds.kind_of({"study": {"answer": "traps"}}) == "traps"
    assert kinds.kind_of({"study": {}}) == "compare"
    assert kinds.kind_of({"command": "difflab.compare(...)"}) == "compare"
