"""Studies say which parts of the page they need: names that are checked, kept with the run, and obeyed by the page."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_up_runs as made
import pytest
from kind_runs import run_of

from difflab.errors import StudyError
from difflab.harness import engine, study, study_file
from difflab.harness.catalogue import Catalogue
from difflab.harness.study_kinds import KINDS
from difflab.report import page, parts, render

REPORT = Path(page.__file__).parent
ALWAYS = ["answer", "rows", "words", "measured", "reproduce"]
GOOD = """title = "T"
question = "Q?"
show = ["error", "scoreboard"]

[[problem]]
name = "digits-mlp"

[[backend]]
name = "reverse"
"""


def parse(text: str) -> study.Study:
    def describe(asked: Sequence[Any], problems: Sequence[str]) -> Catalogue:
        return Catalogue({"digits-mlp": ["tiny"]}, {"reverse": "reverse"}, {"reverse": []}, {})

    return study_file.parse(text, "study.toml", describe)


def faults(text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse(text)
    return str(caught.value).splitlines()


def sections(text: str) -> list[str]:
    """The anchors of a page's sections, in their order."""
    return re.findall(r'<section id="([^"]*)"', text)


def asking(run: made.MadeUpRun, *names: str) -> made.MadeUpRun:
    """The run as if its study had asked for these parts."""
    manifest = run.manifest | {"study": run.manifest["study"] | {"show": list(names)}}
    return dataclasses.replace(run, manifest=manifest)


# ---------------------------------------------------------------------------- the study file


def test_what_a_study_shows_is_read_and_kept_with_the_run() -> None:
    wanted = parse(GOOD)
    assert wanted.show == ("error", "scoreboard")
    kept = engine.manifest(wanted, [], "key", 0, False, {})["study"]
    assert kept["show"] == ["error", "scoreboard"]
    assert "show" not in engine.manifest(dataclasses.replace(wanted, show=()), [], "key", 0, False, {})["study"]


def test_without_the_key_all_is_shown() -> None:
    assert parse(GOOD.replace('show = ["error", "scoreboard"]\n', "")).show == ()


def test_every_unknown_part_is_a_line_with_its_place_and_all_come_at_once() -> None:
    lines = faults(GOOD.replace('["error", "scoreboard"]', '["eror", "time", "rows"]').replace('"Q?"', "1"))
    assert lines[0].startswith("study.toml:2:12: question: must be a text")
    assert lines[1] == "study.toml:3:10: show[0]: unknown part 'eror' (did you mean 'error'?)"
    assert lines[2].startswith("study.toml:3:26: show[2]: unknown part 'rows' (known: ")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"error"', "show: must be a list of texts such as"),
        ("[]", "show: must be a list of texts such as"),
        ('["error", "error"]', "show[1]: 'error' is listed twice"),
        ("[1]", "show[0]: must be a text, got 1"),
    ],
)
def test_faults_of_the_list_itself(value: str, fault: str) -> None:
    assert fault in "\n".join(faults(GOOD.replace('["error", "scoreboard"]', value)))


def test_parts_are_those_of_the_kind_and_not_judged_where_the_kind_is_unknown() -> None:
    head = 'answer = "traps"\n'
    assert "unknown part 'error' (known: counts, graph, matrix, reasons)" in "\n".join(faults(head + GOOD))
    assert not [line for line in faults('answer = "trap"\n' + GOOD) if "show" in line]


# ---------------------------------------------------------------------------- the page


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_a_kind_are_the_anchors_of_its_page(kind: str) -> None:
    """Every section between the answer and the rows has a name that studies can ask for, and each is asked for."""
    made_here = sections(render(run_of(kind)))
    assert [one for one in made_here if one in ALWAYS] == ALWAYS
    own = [one for one in made_here if one not in ALWAYS]
    assert own
    assert set(own) <= set(KINDS[kind].parts)
    reverse = list(reversed(KINDS[kind].parts))
    assert sections(render(asking(run_of(kind), *reverse))) == ["answer", *reverse, *ALWAYS[1:]]


def test_every_name_is_the_anchor_of_something_that_the_report_makes() -> None:
    """No name is left over: each stands in the sources of the report as the anchor of a part."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted(REPORT.rglob("*.py")))
    made_there = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', sources))
    for kind, known in KINDS.items():
        assert set(known.parts) <= made_there, kind


def test_what_is_not_asked_for_is_left_out_of_page_and_contents() -> None:
    text = render(asking(made.full(), "time", "scoreboard"))
    assert sections(text) == ["answer", "time", "scoreboard", *ALWAYS[1:]]
    contents = text.split('<nav aria-label="Contents">')[1].split("</nav>")[0]
    assert re.findall(r'href="#([^"]*)"', contents) == ["time", "scoreboard", *ALWAYS[1:]]


def test_what_is_asked_for_without_data_says_why_in_one_sentence() -> None:
    text = render(asking(made.full(), "bars", "graph", "scoreboard"))
    for anchor, why in (("bars", parts.WHY["bars"]), ("graph", parts.WHY["graph"])):
        section = text.split(f'<section id="{anchor}"')[1].split("</section>")[0]
        assert f'<p class="missing">{why}</p>' in section
        assert f'href="#{anchor}"' not in text.split("<nav")[1].split("</nav>")[0]


def test_runs_of_old_show_everything() -> None:
    run = made.full()
    assert "show" not in run.manifest["study"]
    assert sections(render(run)) == sections(render(asking(run)))
    assert {"scoreboard", "error", "time", "memory"} <= set(sections(render(run)))


@pytest.mark.parametrize("name", study.shipped())
def test_shipped_studies_ask_for_parts_of_their_kind(name: str) -> None:
    told = tomllib.loads(study.shipped()[name].read_text(encoding="utf-8"))
    assert set(told.get("show", [])) <= set(KINDS[told.get("answer", "compare")].parts)
