"""The drawn graph on the page of a study: what a study may ask for, what a run keeps, what the page makes of it."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_up_runs as made
import numpy as np
import pytest
from bad_study_texts import GOOD
from damage import find, spoil
from drawing_doubles import kept
from harness_runs import double, kill_when, run, start, write_study

from difflab.errors import StoreError, StudyError, TraceError, UnsupportedError
from difflab.harness import catalogue, drawings, repair, results, store, study_file, study_schema
from difflab.harness.study import DrawingChoice, shipped
from difflab.problems import PROBLEMS
from difflab.report import graph_section, render, write

BAYDIN = '[drawing]\nproblem = "baydin"\n'


def _describe(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> catalogue.Catalogue:
    return catalogue.collect(asked, problems)


def _chosen(text: str) -> DrawingChoice | None:
    return study_file.parse(GOOD + text, "good.toml", _describe).drawing


# ---------------------------------------------------------------------------- what a study may ask for


def test_a_study_names_a_problem_and_the_rest_has_defaults() -> None:
    assert _chosen("") is None
    assert _chosen(BAYDIN) == DrawingChoice("baydin", "tiny", "float64")
    asked = '[drawing]\nproblem = "digits-cnn"\nsize = "small"\ndtype = "float32"\n'
    assert _chosen(asked) == DrawingChoice("digits-cnn", "small", "float32")
    assert _chosen('[drawing]\nproblem = "drawing_doubles:LONG"\n') == DrawingChoice("drawing_doubles:LONG", "tiny")


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("[drawing]\n", (1, 1), "drawing.problem: is missing"),
        ("drawing = 3\n", (1, 1), "drawing: must be written as a table [drawing]"),
        ('[[drawing]]\nproblem = "baydin"\n', (1, 1), "drawing: must be written as a table [drawing]"),
        ("[drawing]\nproblem = 5\n", (2, 1), "drawing.problem: must be a text, got 5"),
        ('[drawing]\nproblem = ""\n', (2, 1), "drawing.problem: must be a text, got ''"),
        ('[drawing]\nproblem = "baydn"\n', (2, 1), "drawing.problem: unknown problem 'baydn' (did you mean 'baydin'?)"),
        ('[drawing]\nproblem = "no_such:THING"\n', (2, 1), "drawing.problem: module 'no_such' of 'no_such:THING'"),
        ('[drawing]\nproblem = "difflab.traps:PROBLEM"\n', (2, 1), "is a zoo of traps and has no graph of its own"),
        (f'{BAYDIN}size = "tinny"\n', (3, 1), "drawing.size: unknown size 'tinny' (did you mean 'tiny'?)"),
        (f"{BAYDIN}size = 8\n", (3, 1), "drawing.size: must be a text, got 8"),
        (f'{BAYDIN}dtype = "float8"\n', (3, 1), "drawing.dtype: unknown dtype 'float8'"),
        (f'{BAYDIN}sise = "tiny"\n', (3, 1), "unknown key 'sise' (did you mean 'size'?); allowed in drawing are"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_with_its_place(text: str, place: tuple[int, int], says: str) -> None:
    top = text.startswith("drawing = ")
    before = 0 if top else GOOD.count("\n")
    with pytest.raises(StudyError) as caught:
        study_file.parse(text + GOOD if top else GOOD + text, "bad.toml", _describe)
    (line,) = str(caught.value).split("\n")
    assert line.startswith(f"bad.toml:{place[0] + before}:")
    assert says in line


def test_editors_are_told_of_the_table() -> None:
    pieces = study_schema.ask(catalogue.collect([]))
    assert {path[1] for path in pieces if path[0:1] == ("drawing",) and len(path) == 2} == {"problem", "size", "dtype"}
    assert pieces["drawing", "problem"]["must"]
    assert not pieces["drawing", "size"]["must"]


@pytest.mark.parametrize("name", shipped())
def test_what_shipped_studies_draw_can_be_drawn(name: str, tmp_path: Path) -> None:
    study = study_file.read_study(name, _describe)
    if study.drawing is not None:
        one = study.drawing
        found = graph_section.section(kept(tmp_path, one.problem, one.size, one.dtype))
        assert found is not None
        assert found.missing == ""


# ---------------------------------------------------------------------------- what a run keeps


def test_what_is_kept_is_the_tape_and_its_inputs(tmp_path: Path) -> None:
    found = kept(tmp_path, "baydin")
    assert (found.problem, found.size, found.dtype, found.seed, found.why) == ("baydin", "tiny", "float64", 0, "")
    assert found.title == PROBLEMS["baydin"].title
    assert found.tape is not None
    assert [one.primitive.name for one in found.tape.equations] == ["log", "multiply", "add", "sin", "subtract"]
    assert [leaf.tolist() for leaf in found.leaves] == [2.0, 5.0]
    with np.load(tmp_path / "blobs/drawing.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "biufc" for name in file.files), "plain numbers, nothing to unpickle"


@pytest.mark.parametrize(
    ("problem", "error", "says"),
    [
        ("LONG", UnsupportedError, "its loss has 101 equations, and a drawing has at most 100; choose another problem"),
        ("VECTOR", UnsupportedError, "its loss is not one floating-point number"),
        ("UNTRACEABLE", TraceError, "float"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_figure(
    problem: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=re.escape(says)):
        kept(tmp_path, f"drawing_doubles:{problem}")
    assert list((tmp_path / "blobs").iterdir()) == []


def test_numbers_are_kept_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = kept(tmp_path, "xor").leaves
    nbytes = sum(leaf.nbytes for leaf in inputs)
    monkeypatch.setattr(drawings, "MOST_BYTES", nbytes)
    assert kept(tmp_path, "xor").why == ""
    monkeypatch.setattr(drawings, "MOST_BYTES", nbytes - 1)
    with pytest.raises(UnsupportedError, match=f"its inputs and constants are {nbytes} B, and a run keeps at most"):
        kept(tmp_path, "xor")


def test_a_file_that_was_changed_or_is_gone_is_told_and_not_drawn(tmp_path: Path) -> None:
    kept(tmp_path, "baydin")
    path, chosen = tmp_path / "blobs/drawing.npz", {"problem": "baydin", "size": "tiny", "dtype": "float64"}
    record = {"file": "blobs/drawing.npz", "sha256": "0" * 64, "title": "B"}
    assert "is not the file that was written" in drawings.read(tmp_path, chosen, 0, record).why
    path.write_bytes(b"rubbish")
    del record["sha256"]
    assert "holds no tape that can be read here" in drawings.read(tmp_path, chosen, 0, record).why
    path.unlink()
    found = drawings.read(tmp_path, chosen, 0, record)
    assert "is missing; `difflab repair`" in found.why
    section = graph_section.section(found)
    assert section is not None
    assert section.missing.startswith("The graph of baydin at size tiny is not drawn: blobs/drawing.npz of the run is")


def test_a_tape_cannot_make_the_page_import_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that somebody sent holds data; a primitive that names a module would be code."""
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kept(tmp_path, "baydin")
    with np.load(tmp_path / "blobs/drawing.npz") as file:
        arrays = {name: file[name] for name in file.files}
    text = arrays[drawings.TAPE].tobytes().decode().replace('"log"', '"planted:primitive"')
    stream = io.BytesIO()
    np.savez(stream, **{**arrays, drawings.TAPE: np.frombuffer(text.encode(), np.uint8)})
    (tmp_path / "blobs/drawing.npz").write_bytes(stream.getvalue())
    record = {"file": "blobs/drawing.npz", "title": "B"}
    found = drawings.read(tmp_path, {"problem": "baydin", "size": "tiny", "dtype": "float64"}, 0, record)
    assert "it holds the primitive 'planted:primitive'" in found.why
    assert "planted" not in sys.modules


# ---------------------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_study(tmp_path_factory.mktemp("drawn"), double("well"))
    path.write_text(path.read_text() + BAYDIN)
    return path


@pytest.fixture(scope="module")
def whole(study: Path) -> Path:
    return run(study, study.parent / "whole").folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def _drawings(folder: Path) -> list[dict[str, Any]]:
    return [event["data"] for event in store.read(folder) if event["kind"] == "drawing"]


@pytest.mark.long
def test_from_the_store_to_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values derived by hand: y = ln 2 + 2 * 5 - sin 5, dy/dx1 = 1/2 + 5, dy/dx2 = 2 - cos 5."""
    assert len(_drawings(folder)) == 1

    def unknown(name: str) -> None:
        raise AssertionError(f"the page asks for {name}")

    monkeypatch.setattr(catalogue, "find_problem", unknown)
    first = write(results.load(folder)).read_bytes()
    assert write(results.load(folder)).read_bytes() == first
    page = first.decode()
    part = page.partition('<section id="graph"')[2].partition("</section>")[0]
    assert '<a href="#graph">The graph, step by step</a>' in page
    assert 'dg-answer">y = 11.652; dy/dx1 = 5.5, dy/dx2 = 1.7163</p>' in part
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", line) for line in part.split("\n") if line.startswith("<tr>")]
    assert [row[2] for row in rows] == ["2", "5", "0.69315", "10", "-0.95892", "10.693", "11.652"]
    assert [row[4] for row in rows] == ["5.5", "1.7163", "1", "1", "-1", "1", "1"]
    document = json.loads(part.partition('id="dg-data">')[2].partition("</script>")[0])
    assert document["turn"].startswith("The result is y = v5 = 11.652.")
    assert "all numbers here were computed from them when the page was made" in part


def test_a_page_without_a_drawing_is_as_before() -> None:
    page = render(made.full())
    assert 'id="dg' not in page
    assert ".dg" not in page
    assert "The graph, step by step" not in page


def test_a_study_that_shows_other_parts_has_no_drawing(tmp_path: Path) -> None:
    drawn = made.full()
    drawn.drawing = kept(tmp_path, "baydin")
    assert 'id="dg"' in render(drawn)
    drawn.manifest["study"]["show"] = ["graph", "time"]
    page = render(drawn)
    assert page.index('<section id="graph"') < page.index('<section id="time"')
    drawn.manifest["study"]["show"] = ["time"]
    page = render(drawn)
    assert 'id="dg' not in page
    assert "getElementById(`dg" not in page, "its script would look for it"


@pytest.mark.long
@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ("LONG", "its loss has 101 equations, and a drawing has at most 100; choose another problem"),
        ("DIES", "exit code 3"),
    ],
)
def test_what_cannot_be_drawn_fails_no_run(problem: str, says: str, tmp_path: Path) -> None:
    path = write_study(tmp_path, double("well"))
    path.write_text(f'{path.read_text()}[drawing]\nproblem = "drawing_doubles:{problem}"\n')
    process = start(path, tmp_path / "run")
    told = [json.loads(line) for line in process.stdout or ()]
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 0
    notes = [one["text"] for one in told if one["event"] == "note"]
    assert any(text.startswith(f"the graph of drawing_doubles:{problem} tiny is not drawn: ") for text in notes)
    found = results.load(tmp_path / "run")
    assert found.finished
    assert [row["outcome"] for row in found.rows] == ["ok"]
    page = render(found)
    missing = re.search(r'<p class="missing">(The graph of .*?)</p>', page)
    assert missing is not None
    assert says in missing[1]
    assert 'href="#graph"' not in page


@pytest.mark.long
def test_it_is_recorded_once_however_often_a_run_is_killed(study: Path, tmp_path: Path) -> None:
    folder, killed = tmp_path / "killed", 0
    for lines in (1, 2, 3, 4, 6):
        killed += kill_when(start(study, folder), folder, lines)
    assert killed >= 3
    found = run(study, folder)
    assert found.finished
    assert len(_drawings(folder)) == 1
    assert found.drawing is not None
    assert found.drawing.tape is not None


@pytest.mark.long
@pytest.mark.parametrize("damage", ["file is gone", "file is changed", "record is lost"])
def test_a_repair_lets_the_next_run_record_it_again(damage: str, folder: Path, study: Path) -> None:
    before = graph_section.section(results.load(folder).drawing)
    blob = folder / "blobs/drawing.npz"
    if damage == "file is gone":
        blob.unlink()
    elif damage == "file is changed":
        blob.write_bytes(blob.read_bytes()[:-1])
    else:
        spoil(folder, find(folder, "drawing"))
    if damage == "record is lost":
        with pytest.raises(StoreError, match="difflab repair"):
            results.load(folder)
    else:
        section = graph_section.section(results.load(folder).drawing)
        assert section is not None
        assert "`difflab repair` takes its record out" in section.missing
    assert repair.repair(folder).done
    found = results.load(folder)
    assert not found.finished
    assert found.drawing is None
    again = run(study, folder)
    assert again.finished
    assert len(_drawings(folder)) == 1
    assert graph_section.section(again.drawing) == before
    ends = [event["case"] for event in store.read(folder) if event["kind"] == "finished"]
    assert len(ends) == len(set(ends)) == 1


# ---------------------------------------------------------------------------- what the page makes of it


@pytest.mark.parametrize(("problem", "size"), [("digits-mlp", "small"), ("cnn", "tiny"), ("xor", "tiny")])
def test_the_section_keeps_to_its_share_of_a_page(problem: str, size: str, tmp_path: Path) -> None:
    found = graph_section.section(kept(tmp_path, problem, size))
    assert found is not None
    assert 0 < len(found.markup.encode()) <= graph_section.MOST_BYTES
    folds = any("folds into one box" in sentence for sentence in found.text)
    assert folds == ('class="node folded' in found.markup)


def test_a_drawing_that_is_too_large_becomes_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_section, "MOST_BYTES", 2048)
    found = graph_section.section(kept(tmp_path, "baydin"))
    assert found is not None
    assert found.markup == ""
    assert re.fullmatch(
        r"The graph of baydin at size tiny is not drawn: the drawing takes [\d.]+ KiB, and a page keeps at most "
        r"2\.00 KiB for it\.",
        found.missing,
    )


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = render(made.run([], drawing=None))
    scripts = page.count("<script")
    drawn = made.run([])
    drawn.drawing = kept(tmp_path, "drawing_doubles:HOSTILE_NAMES")
    page = render(drawn)
    assert page.count("<script") == page.count("</script>") == scripts + 1, "the data of the drawing"
    assert "<img" not in page
