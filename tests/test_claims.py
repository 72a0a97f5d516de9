"""Every shipped study answers from its data: fed the opposite of what it found, it says the opposite."""

from __future__ import annotations

import importlib
import re
import tomllib

import pytest

from difflab.harness.study import shipped
from difflab.harness.study_kinds import KINDS
from difflab.report import answer, render

STUDIES = shipped()


def claim(study: str):
    return importlib.import_module(f"claims.{study.replace('-', '_')}")


def document(study: str):
    return tomllib.loads(STUDIES[study].read_text(encoding="utf-8"))


@pytest.mark.parametrize("study", STUDIES)
def test_the_opposite_store_gets_the_opposite_answer(study: str) -> None:
    made = claim(study)
    said, instead = answer(made.AGREES).text, answer(made.OPPOSES).text
    assert re.search(made.SAYS, said, re.DOTALL), said
    assert not re.search(made.SAYS, instead, re.DOTALL), instead
    assert re.search(made.SAYS_INSTEAD, instead, re.DOTALL), instead
    assert not re.search(made.SAYS_INSTEAD, said, re.DOTALL), said


@pytest.mark.parametrize("study", STUDIES)
def test_made_up_runs_are_of_the_study(study: str) -> None:
    told = document(study)
    kind = told.get("answer", "compare")
    problems = {one["name"] for one in told["problem"]}
    for run in (claim(study).AGREES, claim(study).OPPOSES):
        assert (run.manifest["study"].get("answer") or "compare") == kind
        assert {row["problem"] for row in run.rows} <= problems
        assert "answer-h" in render(run)


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_says_what_it_asks_and_what_to_look_for(study: str) -> None:
    told = document(study)
    assert told["question"].strip().endswith("?")
    assert told["look_for"].strip()
    assert told["title"].strip()


def test_every_kind_has_a_study() -> None:
    assert {document(study).get("answer", "compare") for study in STUDIES} == set(KINDS)
