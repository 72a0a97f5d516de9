"""Every shipped study answers from its data: fed the opposite of what it found, it says the opposite."""

from __future__ import annotations

import dataclasses
import importlib
import random
import re
import tomllib

import pytest
from made_up_runs import MadeUpRun, failed

from difflab.harness.study import shipped
from difflab.harness.study_kinds import KINDS
from difflab.report import answer, page
from difflab.report.answer import Answer

STUDIES = shipped()


def claim(study: str):
    return importlib.import_module(f"claims.{study.replace('-', '_')}")


def document(study: str):
    return tomllib.loads(STUDIES[study].read_text(encoding="utf-8"))


def shown(run: MadeUpRun):
    """The answer and the page, both from drawing the charts once."""
    contents = page.contents(run)
    found = Answer(tuple(contents["answer"]), tuple(contents["caveats"]), tuple(contents["more"]))
    return found, page._whole(contents)


@pytest.mark.parametrize("study", STUDIES)
def test_the_opposite_store_gets_the_opposite_answer(study: str) -> None:
    made = claim(study)
    texts = []
    for run in (made.AGREES, made.OPPOSES):
        found, text = shown(run)
        assert "answer-h" in text
        texts.append(" ".join([*found.sentences, *found.details]))
    said, instead = texts
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


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_says_what_it_asks_and_what_to_look_for(study: str) -> None:
    told = document(study)
    assert told["question"].strip().endswith("?")
    assert told["look_for"].strip()
    assert told["title"].strip()


SLIPS = r"\bnan\b|\binf\b|None|  |, \.(?!\.)|: \.|\ball 1 |(?<!\.)\b1 (cases|losses of)"


def dead(row: dict, outcome: str) -> dict:
    """The same case, ended without a result."""
    kept = {key: row[key] for key in ("problem", "size", "n_params", "dtype", "operator", "family")}
    return failed(row["backend"], outcome, **kept) | ({"findings": None} if "findings" in row else {})


def parts_of(run: MadeUpRun, seed: str) -> list[MadeUpRun]:
    """A run of which little or nothing came out, in many ways; the first two hold no result, the last one case."""
    draw, rows = random.Random(seed), [dict(row) for row in run.rows]
    parts = [[dead(row, outcome) for row in rows] for outcome in ("crash", "interrupted")]
    for key in ("backend", "size"):
        parts += [[row for row in rows if row[key] == name] for name in dict.fromkeys(row[key] for row in rows)]
    for share in (0.05, 0.3, 0.7, 0.95):
        ends = [draw.choice(["timeout", "memory_limit", "interrupted", "skipped_predicted"]) for _ in rows]
        parts.append([row if draw.random() < share else dead(row, end) for row, end in zip(rows, ends, strict=True)])
    return [dataclasses.replace(run, rows=own) for own in [*parts, rows[:1]]]


@pytest.mark.parametrize("study", STUDIES)
def test_whatever_part_of_a_run_came_out_has_an_answer_and_a_page(study: str) -> None:
    """All failed, all open, one case alone, one backend or one size alone, and any mixture of outcomes."""
    for run in (claim(study).AGREES, claim(study).OPPOSES):
        parts = parts_of(run, study)
        drawn = random.Random(study).sample(parts[2:-1], min(5, len(parts) - 3))
        for part in (*parts[:2], *drawn, parts[-1]):
            found, text = shown(part)
            assert found.text
            assert "answer-h" in text
            for sentence in (*found.sentences, *found.caveats, *found.details):
                assert not re.search(SLIPS, sentence), sentence
        assert answer(parts[-1]) == found


def test_every_kind_has_a_study() -> None:
    assert {document(study).get("answer", "compare") for study in STUDIES} == set(KINDS)
