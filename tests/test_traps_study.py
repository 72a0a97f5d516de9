"""Studies of traps: what a worker finds, what the page says of it, and libraries of others, installed or not."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_runs import run
from made_up_runs import MadeUpRun, failed, manifest, row

from difflab.backends import find as backend
from difflab.errors import UnsupportedError
from difflab.harness import catalogue, study_file
from difflab.harness.examinations.traps import examine
from difflab.harness.study import shipped
from difflab.report import page
from difflab.report.cases import read
from difflab.report.claims.traps import MARKS, sections
from difflab.traps import FAMILIES, TRAPS
from difflab.traps.judge import VERDICTS, ask
from difflab.traps.peers import PEERS, Autograd, Jax, Torch


def found(name: str, family: str) -> dict[str, Any]:
    session: Any = SimpleNamespace(backend=backend(name), spec={"size": family})
    return examine(session, {})["findings"]


def finding(name: str, text: str, verdict: str, why: str = "") -> dict[str, Any]:
    trap = TRAPS[name]
    return {
        "name": name, "title": trap.title, "sentence": trap.sentence, "thread": trap.thread, "url": trap.url,
        "dtype": trap.dtype, "admissible": trap.admissible.text, "answer": None, "text": text, "verdict": verdict,
        "table": None, "why": why,
    }  # fmt: skip


def case(label: str, *answers: dict[str, Any], library: str = "", **known: Any) -> dict[str, Any]:
    findings = {"library": library, "traps": list(answers)}
    return row(label, problem="difflab.traps:PROBLEM", size="kinks", findings=findings, **known)


# ------------------------------------------------------------------------------------------------ examining


def test_a_worker_finds_every_trap_of_a_family() -> None:
    findings = found("reverse", "guards")
    assert [one["name"] for one in findings["traps"]] == [trap.name for trap in FAMILIES["guards"]]
    assert findings["library"] == ""
    assert json.loads(json.dumps(findings, allow_nan=False)) == findings
    by_name = {one["name"]: one for one in findings["traps"]}
    assert by_name["where-log"]["answer"] == [1.0, 0.5]
    assert by_name["where-log"]["text"] == "(1, 0.5)"
    assert by_name["where-log"]["verdict"] == "admissible"
    assert by_name["double-where"]["verdict"] == "admissible"
    assert by_name["double-where"]["url"].startswith("https://github.com/")


def test_a_number_that_is_none_is_an_answer_with_its_reason() -> None:
    by_name = {one["name"]: one for one in found("reverse", "edges")["traps"]}
    assert by_name["sqrt-squared"]["text"] == "NaN"
    assert by_name["sqrt-squared"]["verdict"] == "nan"
    assert by_name["sqrt-squared"]["why"].startswith("0 times infinity")


def test_an_error_is_an_answer() -> None:
    by_name = {one["name"]: one for one in found("forward", "hazards")["traps"]}
    assert by_name["item-assignment"] | {"why": ""} == finding("item-assignment", "error", "refused")
    assert "item assignment" in by_name["item-assignment"]["why"]


def test_the_shipped_study_asks_everybody_at_every_family() -> None:
    path = shipped()["kinks"]

    def describe(asked: Any, problems: Any) -> catalogue.Catalogue:
        return catalogue.collect(asked, problems)

    study = study_file.parse(path.read_text(), path.name, describe)
    assert study.answer == "traps"
    assert study.problems[0].sizes == tuple(FAMILIES)
    labels = [one.label for one in study.backends]
    assert {"reverse", "forward", "symbolic", "finite (central)", "finite (one-sided)", "JAX", "PyTorch"} <= set(labels)


def test_a_run_of_a_study_of_traps(tmp_path: Path) -> None:
    text = 'title = "T"\nquestion = "Q"\nlook_for = "L"\nanswer = "traps"\n'
    text += '[[problem]]\nname = "difflab.traps:PROBLEM"\nsizes = ["edges"]\n'
    for name in ("forward", "difflab.traps.peers:Autograd"):
        text += f'[[backend]]\nname = "{name}"\n'
    path = tmp_path / "traps.toml"
    path.write_text(text)
    results = run(path, tmp_path / "run")
    ours, theirs = results.rows
    assert ours["outcome"] == "ok"
    assert [one["name"] for one in ours["findings"]["traps"]] == [trap.name for trap in FAMILIES["edges"]]
    installed = Autograd().unavailable() is None
    assert theirs["outcome"] == ("ok" if installed else "unsupported")
    assert theirs["reason"] == ("" if installed else Autograd().unavailable())
    assert "sqrt(x) at 0" in page.render(results)


# ------------------------------------------------------------------------------------------------ the page


def made_up() -> list[dict[str, Any]]:
    names = ("maximum-zero", "relu", "sort-tie", "where-log")
    verdicts = {
        "reverse": ("admissible", "admissible", "admissible", "nan"),
        "forward": ("admissible", "admissible", "admissible", "admissible"),
        "finite": ("near", "outside", "outside", "near"),
    }
    rows = [
        case(
            label,
            *(finding(name, "0.5", one, "a reason" * (one == "nan")) for name, one in zip(names, own, strict=True)),
        )
        for label, own in verdicts.items()
    ]
    peer = finding("relu", "not supported", "unsupported", "it has none")
    return [*rows, case("JAX", finding("maximum-zero", "0.5", "admissible"), peer, library="jax 9.9", family="peer")]


def test_the_answer_counts_who_is_honest() -> None:
    own = sections(read(made_up()))
    assert own.answer.sentences == (
        "Of 4 traps, forward mode answers 4 honestly, reverse mode 3, finite differences 2 and JAX 1 (of 2).",
        "Wrong numbers that nobody would notice: 2 from finite differences.",
        "Forward and reverse mode part once: \u201cwhere(x > 1, log(x), x) at (0, 2)\u201d.",
        "1 trap is answered honestly by all of them.",
    )
    assert own.answer.caveats == ()


def test_traps_that_nobody_answers_are_named() -> None:
    rows = [case(label, finding("relu", "2", "outside")) for label in ("reverse", "forward")]
    assert sections(read(rows)).answer.sentences[-1] == (
        "0 traps are answered honestly by all of them, 1 by none: \u201crelu(x) at 0\u201d."
    )


def test_a_method_that_did_not_answer_is_named_once() -> None:
    gone = [
        failed("JAX", "unsupported", problem="difflab.traps:PROBLEM", size=size, reason="jax is not installed")
        for size in ("kinks", "edges")
    ]
    own = sections(read([*made_up()[:2], *gone]))
    assert own.answer.caveats == ("JAX: not supported, jax is not installed.",)
    assert own.matrix is not None
    assert own.matrix["head"] == ["Trap", "Admissible", "reverse", "forward"]
    assert sections(read(gone)).answer.sentences == ("No trap was examined: of 2 cases, 2 not supported.",)
    assert sections([]).answer.sentences == ("This run holds no case, so there is no answer.",)


def test_the_matrix_has_a_row_for_each_trap_and_a_cell_for_each_method() -> None:
    matrix = sections(read(made_up())).matrix
    assert matrix is not None
    first, _, sort, guard = matrix["rows"]
    assert first["name"] == "maximum(x, 0) at 0"
    assert (first["link"], first["link_text"]) == ("https://github.com/jax-ml/jax/issues/37821", "jax#37821")
    assert (sort["link"], sort["link_text"]) == ("", "")
    assert [cell["mark"] for cell in guard["cells"]] == ["set", "void", "right", "allowed", "none"]
    assert guard["cells"][1]["title"] == "NaN or infinite; a reason"
    assert [cell["word"] for cell in sort["cells"]][1:] == [
        "admissible",
        "admissible",
        MARKS["outside"][1],
        "not asked",
    ]
    assert all(len(one["cells"]) == len(matrix["head"]) - 1 for one in matrix["rows"])
    assert set(MARKS) == set(VERDICTS)


def test_the_tables_count_and_explain() -> None:
    counts, why = sections(read(made_up())).tables
    assert [cell.text for cell in counts.table.rows[3]] == ["JAX", "9.9", "2", "1", "1", "0", "0", "0", "0", "0", "1"]
    assert [[cell.text for cell in one] for one in why.table.rows] == [
        ["NaN or infinite", "a reason", "where(x > 1, log(x), x) at (0, 2)", "reverse"],
        ["it has no such function", "it has none", "relu(x) at 0", "JAX"],
    ]


def test_the_page_shows_the_matrix_with_links_and_words() -> None:
    facts = manifest()
    facts["study"]["answer"] = "traps"
    text = page.render(MadeUpRun(made_up(), facts))
    assert '<a href="https://github.com/jax-ml/jax/issues/37821">jax#37821</a>' in text
    assert '<td class="m-wrong" title="outside the admissible set">0.5<span class="hidden">, outside' in text
    assert "Of 4 traps, forward mode answers 4 honestly" in text


# ------------------------------------------------------------------------------------------------ peers


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_answers_or_says_what_is_missing(kind: Any) -> None:
    peer = kind()
    if (missing := peer.unavailable()) is not None:
        assert missing.startswith(f"{peer.name} is not installed; install it with `pip install {peer.name}`")
        return
    for name, verdict in {
        "double-where": "admissible",
        "integer-array": "refused",
        "closure-changes": "admissible",
    }.items():
        assert ask(peer, TRAPS[name]).verdict == verdict, name
    assert ask(peer, TRAPS["maximum-tie"]).numbers == (0.5, 0.5)
    assert all(map(math.isnan, ask(peer, TRAPS["sqrt-of-square"]).numbers or ()))
    session: Any = SimpleNamespace(backend=peer, spec={"size": "kinks"})
    findings = examine(session, {})["findings"]
    assert findings["library"] == f"{peer.name} {peer.version()}"
    assert not any("outside" == one["verdict"] for one in findings["traps"][:2])


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_that_is_not_installed_says_so(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert f"pip install {kind().name}" in str(kind().unavailable())


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_is_no_backend_of_other_studies(kind: Any) -> None:
    with pytest.raises(UnsupportedError, match="answers at traps only"):
        kind().predict(None, "gradient", (0,))
    assert catalogue.find_backend(f"difflab.traps.peers:{kind.__name__}", {}) == kind()


def test_nothing_of_the_peers_is_imported_before_an_answer(modules_after: Any) -> None:
    loaded = modules_after("import difflab.traps.peers as p; [one().unavailable() for one in p.PEERS]")
    assert not {"jax", "torch", "autograd", "scipy", "sympy", "mpmath"} & loaded


def test_what_a_library_does_not_have_is_told() -> None:
    answer = ask(Autograd(), TRAPS["relu"])
    assert (answer.verdict, answer.text, answer.error) == ("unsupported", "not supported", "it has no relu")
    assert Torch().name in TRAPS["relu"].forms
    assert Jax().name in TRAPS["relu"].forms
