from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difflab.errors import StudyError
from difflab.harness import grid, study, study_file, toml_places
from difflab.harness.catalogue import Catalogue
from difflab.harness.study_kinds import KINDS, Training

GOOD = """
title = "T"
question = "Q?"
look_for = "L"

[[problem]]
name = "digits-mlp"
sizes = ["tiny", "small"]
quick = ["tiny"]

[[backend]]
name = "reverse"

[[backend]]
name = "finite"
scheme = "forward"

[limits]
memory = "1.5 GiB"
"""


def _describe(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> Catalogue:
    refused = {
        k: [("scheme", "it must be 'central' or 'forward'")]
        for k, (_, o) in enumerate(asked)
        if o.get("scheme") == "no"
    }
    return Catalogue(
        {"digits-mlp": ["tiny", "small"], "digits-cnn": ["tiny"]},
        {"reverse": "reverse", "finite": "finite"},
        {"reverse": [], "finite": ["scheme", "step"]},
        refused,
    )


def _parse(text: str) -> study.Study:
    return study_file.parse(text, "digits.toml", _describe)


def _faults(text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        _parse(text)
    return str(caught.value).splitlines()


def test_a_good_study_is_read_in_full() -> None:
    found = _parse(GOOD)
    assert found.name == "digits"
    assert found.problems == (study.ProblemChoice("digits-mlp", ("tiny", "small"), ("float64",), ("tiny",)),)
    assert [one.label for one in found.backends] == ["reverse", "finite(scheme=forward)"]
    assert found.baseline == "reverse"
    assert found.limits.memory == int(1.5 * 2**30)
    assert found.timing == study.Timing()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"reverse"', '"revers"', "digits.toml:12:9: backend[0].name: unknown backend 'revers' (did you mean"),
        (
            '"digits-mlp"',
            '"digits"',
            "digits.toml:7:9: problem[0].name: unknown problem 'digits' (did you mean 'digits-mlp'?)",
        ),
        ('"small"]', '"smal"]', "digits.toml:8:19: problem[0].sizes[1]: unknown size 'smal' (did you mean 'small'?)"),
        (
            "scheme =",
            "schem =",
            "digits.toml:16:10: backend[1].schem: backend 'finite' has no option 'schem' (did you mean 'scheme'?)",
        ),
        ('"forward"', '"no"', "digits.toml:16:11: backend[1].scheme: it must be 'central' or 'forward'"),
        ("title", "titel", "digits.toml:2:10: titel: unknown key 'titel' (did you mean 'title'?)"),
        ('"1.5 GiB"', '"lots"', "digits.toml:19:11: limits.memory: must be a size of at least 1 MiB"),
        ('"1.5 GiB"', "5", "digits.toml:19:10: limits.memory: must be a size of at least 1 MiB"),
        ("[limits]", "[limit]", "digits.toml:18:1: limit: unknown key 'limit' (did you mean 'limits'?)"),
        ('"T"', "3", "digits.toml:2:9: title: must be a text, got 3"),
        ('"T"', '" "', "digits.toml:2:10: title: must be a text, got ' '"),
        ('name = "finite"', 'label = "finite"', "digits.toml:14:1: backend[1].name: is missing"),
        ('"finite"\nscheme = "forward"', '"reverse"', "backend[1].name: 'reverse' is listed already; leave one"),
        ('quick = ["tiny"]', "quick = 3", 'digits.toml:9:9: problem[0].quick: must be a list of texts'),
        ('quick = ["tiny"]', 'dtypes = ["float15"]', "problem[0].dtypes[0]: unknown dtype 'float15' (did you mean"),
        ('quick = ["tiny"]', 'sizes = ["tiny"]', "digits.toml:9:"),
        ('"forward"', "nan", "digits.toml:16:10: backend[1].scheme: an option must be a text, a finite number"),
        ('"forward"', "{a = 1}", "digits.toml:16:10: backend[1].scheme: an option must be a text, a finite number"),
        ('look_for = "L"', 'baseline = "forward"', "digits.toml:4:13: baseline: 'forward' is none of the backends"),
        ('look_for = "L"', 'answer = "why"', f"4:11: answer: unknown answer 'why' (known: {', '.join(sorted(KINDS))})"),
        ("[limits]", "[timing]\nprocesses = 0\n[limits]", "timing.processes: must be a whole number from 1 to 1000"),
        ("[limits]", "[timing]\nsamples = 1.5\n[limits]", "timing.samples: must be a whole number from 1 to"),
        ("[limits]", "[limits]\nseconds = -1", "digits.toml:19:11: limits.seconds: must be a number from 0.1 to 86400"),
        ("[limits]", "[limits]\nseconds = true", "limits.seconds: must be a number from 0.1 to 86400, got true"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_with_its_place(old: str, new: str, fault: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    lines = _faults(text)
    assert any(fault in line for line in lines), lines
    assert all(line.startswith("digits.toml:") for line in lines)


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace('"reverse"', '"revers"').replace('"small"]', '"smal"]').replace('"1.5 GiB"', "true")
    lines = _faults(text)
    assert [line.split(": ")[0] for line in lines] == ["digits.toml:8:19", "digits.toml:12:9", "digits.toml:19:10"]


def test_empty_and_broken_files_are_faults_too() -> None:
    assert _faults("") == [
        "digits.toml:1:1: backend: there must be at least one [[backend]]",
        "digits.toml:1:1: problem: there must be at least one [[problem]]",
        "digits.toml:1:1: question: is missing",
        "digits.toml:1:1: title: is missing",
    ]
    assert _faults('title = "T"\nquestion = ?')[0].startswith("digits.toml:2:12: Invalid value")
    assert _faults("title = ")[0].startswith("digits.toml:1:9: Invalid value")
    assert (
        "must be written as [[backend]]"
        in _faults(GOOD.replace("[[backend]]", "[backend]", 1).split("[[backend]]")[0])[0]
    )


def test_the_same_block_twice_is_a_fault_and_another_dtype_is_not() -> None:
    more = '\n[[problem]]\nname = "digits-mlp"\nsizes = ["small"]\n'
    assert "digits.toml:21:1: problem[1]: 'digits-mlp' at size 'small' in float64 is already listed above" in _faults(
        GOOD + more
    )
    assert len(grid.blocks(_parse(GOOD + more + 'dtypes = ["float32"]\n'))) == 3


def test_allowed_keys_are_named_once() -> None:
    settable = ", ".join(name for name, kind in KINDS.items() if kind.settings is not None)
    text = GOOD.replace("title", "titel").replace("question", "zzz").replace("[limits]", "[limits]\nzzz = 1")
    lines = [line for line in _faults(text) if "unknown key" in line]
    assert lines == [
        "digits.toml:2:10: titel: unknown key 'titel' (did you mean 'title'?); allowed are title, question, look_for, "
        f"answer, operator, baseline, show, device, tf32, problem, backend, bar, limits, timing, drawing, {settable}",
        "digits.toml:3:8: zzz: unknown key 'zzz'",
        "digits.toml:19:7: limits.zzz: unknown key 'zzz'; allowed in limits are seconds, memory, reference_seconds",
    ]


TRAINING = GOOD.replace("[limits]", "[training]\nsteps = 50\nseconds = 2\n\n[limits]").replace(
    'look_for = "L"', 'look_for = "L"\nanswer = "training"'
)
CHAIN = GOOD.replace("[limits]", "[chain]\nscales = [1, 3]\n\n[limits]").replace(
    'look_for = "L"', 'look_for = "L"\nanswer = "chain"'
)


def test_a_kind_is_set_in_the_table_of_its_name() -> None:
    found = _parse(TRAINING)
    assert found.settings == Training(steps=50, seconds=2.0)
    assert found.options("float64", True)["settings"]["steps"] == 50
    assert found.options("float64", True)["quick"] is True
    assert _parse(CHAIN).settings.scales == (1, 3)
    assert _parse(GOOD).options("float64", False) == {}


@pytest.mark.parametrize(
    ("text", "old", "new", "fault"),
    [
        (TRAINING, "steps = 50", "step = 50", "training.step: unknown key 'step' (did you mean 'steps'?)"),
        (TRAINING, "steps = 50", "steps = 2.5", "training.steps: must be a whole number from 1 to 10000000, got 2.5"),
        (TRAINING, "seconds = 2", "seconds = -1", "training.seconds: must be a number from 0.1 to 86400, got -1"),
        (CHAIN, "[1, 3]", "[1, 0]", "chain.scales[1]: must be a whole number from 1 to 64, got 0"),
        (CHAIN, "[1, 3]", "[]", "chain.scales: must be a list of numbers such as [1, 2, 4, 8], got []"),
        (TRAINING, '"training"', '"chain"', 'a table [training]; this one has answer = "chain"'),
    ],
)
def test_faults_of_settings_are_named_with_their_place(text: str, old: str, new: str, fault: str) -> None:
    (line,) = _faults(text.replace(old, new))
    assert fault in line


def test_what_to_look_for_may_be_left_out() -> None:
    assert _parse(GOOD.replace('look_for = "L"', "")).look_for == ""


def test_a_backend_listed_twice_is_one_fault() -> None:
    assert _faults(GOOD + '\n[[backend]]\nname = "reverse"\n') == [
        "digits.toml:22:9: backend[2].name: 'reverse' is listed already; leave one of the two out"
    ]
    assert _faults(GOOD + '\n[[backend]]\nname = "finite"\nlabel = "reverse"\n') == [
        "digits.toml:23:10: backend[2].label: 'reverse' is the label of another backend already; give one of them "
        "another label"
    ]


def test_faults_name_the_file_as_the_user_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "br").mkdir()
    (tmp_path / "br" / "one.toml").write_text(GOOD.replace('"reverse"', '"revers"'))
    (tmp_path / "br" / "two.toml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"^br/one\.toml:12:9: backend\[0\]\.name: unknown backend"):
        study_file.read_study("br/one.toml", _describe)
    assert study_file.read_study("br/two.toml", _describe).name == "two"


def test_unknown_studies_are_named() -> None:
    with pytest.raises(StudyError, match=r"there is no study 'digit' \(did you mean 'digits'\?\)"):
        study.locate("digit")
    with pytest.raises(StudyError, match=r"none\.toml: there is no such study file"):
        study.locate("none.toml")
    assert study.locate("digits").is_file()


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match=r"bad\.toml:1:1: is not UTF-8 text but holds UTF-16"):
        study_file.read_study(path, _describe)


def test_case_ids_depend_on_what_is_measured_and_nothing_else() -> None:
    blocks = grid.blocks(_parse(GOOD))
    assert [block.name for block in blocks] == ["digits-mlp tiny float64", "digits-mlp small float64"]
    ids = [case.id for block in blocks for case in block.cases]
    assert len(set(ids)) == 4
    assert ids == [case.id for block in grid.blocks(_parse("# comment\n" + GOOD)) for case in block.cases]
    assert not set(ids) & {case.id for block in grid.blocks(_parse(GOOD), seed=1) for case in block.cases}
    assert [block.size for block in grid.blocks(_parse(GOOD), quick=True)] == ["tiny"]


# ------------------------------------------------------------------------------- places

TRICKY = '''
# [a] = "comment"
"quoted key" = 1
a.b . "c d" = [ # comment with ]
  "]", '#', """
[no]
x = 1 \\""" """,
]
[t.u]
s = \'\'\'
[[no]]\'\'\'
k = "a \\" # b"   # c
[[list]]
x = { y = 1, z = "}" }
[list.sub]
q = 1
[[list]]
x = 2
[[list.inner]]
v = """a"""""
w = -1
'''


def test_places_of_a_tricky_file() -> None:
    document = tomllib.loads(TRICKY)
    found = toml_places.places(TRICKY)
    lines = TRICKY.splitlines()
    assert found[("quoted key",)] == (3, 16)
    assert found[("a", "b", "c d")] == (4, 15)
    assert found[("t", "u", "s")] == (10, 8)
    assert found[("t", "u", "k")] == (12, 6)
    assert found[("list", 0, "sub", "q")] == (16, 5)
    assert found[("list", 1, "x")] == (18, 5)
    assert found[("list", 1, "inner", 0, "w")] == (21, 5)
    assert not any("no" in path for path in found)
    for path, (line, column) in found.items():
        value: Any = document
        for part in path:
            value = value[part]
        assert 1 <= column <= len(lines[line - 1]) + 1


KEYS = st.sampled_from(["a", "b", "c-d", "e f", "g.h", "1"])
VALUES = st.recursive(
    st.one_of(st.integers(-5, 5), st.booleans(), st.text("ab]}[{#'\"\\\n= ", max_size=6)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[\n" + ",\n".join(_toml(item) for item in value) + "]"
    return str(value)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_key_of_a_generated_file_is_found_where_it_stands(document: dict[str, dict[str, Any]]) -> None:
    text, expected = "", {}
    for table, entries in document.items():
        text += f"[[{_toml(table)}]] # x\n"
        for key, value in entries.items():
            column = len(f"  {_toml(key)} = ") + 1 + isinstance(value, str)
            expected[(table, 0, key)] = (text.count("\n") + 1, column)
            text += f"  {_toml(key)} = {_toml(value)}\n"
    assert tomllib.loads(text) == {table: [entries] for table, entries in document.items()}
    found = toml_places.places(text)
    assert {path: place for path, place in found.items() if len(path) == 3} == expected
