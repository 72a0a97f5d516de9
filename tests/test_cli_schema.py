"""``difflab schema``: every good study passes it, what it refuses is bad, and it has the keys of the readers."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import study_mutations
from bad_studies import CATALOGUE
from bad_study_texts import CHAIN, GOOD, ONCE, STEPS, plain
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_cli import MINI, invoke

from difflab import backends
from difflab.cli import schema as cli_schema
from difflab.errors import StudyError
from difflab.harness import catalogue, study_file, study_schema, study_text
from difflab.harness.study import shipped
from difflab.harness.study_words import WORDS

KNOWN = catalogue.collect([(name, {}) for name in backends.names()])
SCHEMA = json.loads(cli_schema.schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)
CAUGHT_BY_NAME = re.compile(
    r"unknown (key|answer|operator|problem|backend|size|dtype|device)|has no option|is missing"
    r"|(?<!option )must be (a text|true or|written as)|there must be at least one|knows the|compares no times"
    r"|times nothing|has a table|has bars"
)
"""Messages about keys, names and types: of these the schema misses none but for what is the user's own."""

OWN = ("of no module", "of no attribute", "a zoo in a comparison")
"""Faults of which only the module that is named could tell."""


def paths(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The tables of the schema by their keys."""
    yield path, schema
    for key, one in schema.get("properties", {}).items():
        below = one.get("items", one)
        if "properties" in below:
            yield from paths(below, (*path, key))


def test_it_is_a_schema_of_the_dialect_that_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)
    assert invoke("schema", "--json") == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_study_passes(name: str) -> None:
    document = tomllib.loads(shipped()[name].read_text(encoding="utf-8"))
    assert [one.message for one in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("text", [GOOD, ONCE, STEPS, CHAIN, MINI])
def test_other_good_studies_pass(text: str) -> None:
    assert [one.message for one in VALIDATOR.iter_errors(tomllib.loads(text))] == []


def test_the_studies_of_the_readme_pass() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [one for one in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[[problem]]" in one]
    assert blocks
    for block in blocks:
        assert [one.message for one in VALIDATOR.iter_errors(tomllib.loads(block))] == []


# ---------------------------------------------------------------------------- the same keys as the readers


@pytest.mark.parametrize("path", [path for path, one in paths(SCHEMA) if "additionalProperties" in one])
def test_a_table_has_the_keys_that_its_reader_allows(path: tuple[str, ...]) -> None:
    """An unknown key makes the reader say which it knows."""
    lists = {"problem", "backend", "bar"}
    document: dict[str, Any] = tomllib.loads(GOOD)
    if path and path[0] in study_file.KINDS:
        document["answer"] = path[0]
    inner: Any = {"zzz": 1}
    for part in reversed(path):
        inner = {part: [inner] if part in lists else inner}
    faults = study_file.faults_of({**document, **inner}, KNOWN, lambda *_: None)
    (allowed,) = [re.findall(r"allowed (?:in \w+ )?are (.*)", line) for line in faults if "unknown key 'zzz'" in line]
    (table,) = [one for found, one in paths(SCHEMA) if found == path]
    assert list(table["properties"]) == allowed[0].split(", ")
    assert table["additionalProperties"] is False


def test_every_key_says_what_it_means_and_what_it_may_be() -> None:
    told = {}
    for path, table in paths(SCHEMA):
        for key, one in table["properties"].items():
            told[".".join((*path, key))] = one
    made = [study_schema.options_of(backends.made_by(name)) or {} for name in backends.names()]
    options = {f"backend.{key}" for one in made for key in one}
    assert set(told) - options == set(WORDS), "difflab/harness/study_words.py says what each key means"
    for name, one in told.items():
        assert one["description"]
        assert name in options or {"type", "anyOf"} & set(one), f"no reader says what {name} may be"


def test_defaults_are_what_they_may_be() -> None:
    for _, table in paths(SCHEMA):
        for one in table["properties"].values():
            if "default" in one:
                assert Draft202012Validator(one).is_valid(one["default"])


def test_the_options_of_every_backend_are_known_with_their_types() -> None:
    for name in backends.names():
        options = study_schema.options_of(backends.made_by(name))
        if options is not None:
            for one in options.values():
                assert "default" not in one or Draft202012Validator(one).is_valid(one["default"])
    wrong = {"name": "finite", "scheme": 3}
    document = {**tomllib.loads(GOOD), "backend": [wrong]}
    assert not VALIDATOR.is_valid(document)


def test_a_new_key_of_a_reader_is_in_the_schema_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = (*study_file.TIMING, "pause_s")
    monkeypatch.setattr(study_file, "TIMING", keys)
    whole = study_file._Study.timing

    def timing(self: Any, table: dict[str, Any], timed: bool) -> Any:
        self.read.number(("timing",), table, "pause_s", 0.5, 0.0, 9.0)
        return whole(self, table, timed)

    monkeypatch.setattr(study_file._Study, "timing", timing)
    found = study_schema.schema(KNOWN, backends.made_by)["properties"]["timing"]["properties"]["pause_s"]
    assert found == {"type": "number", "minimum": 0.0, "maximum": 9.0, "default": 0.5}


# ---------------------------------------------------------------------------- bad studies


def judged() -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """The bad studies that are TOML with numbers that other programs read too: name, whether they pass, the faults."""
    for name, bad in CATALOGUE.items():
        text = plain(bad)[0]
        try:
            document = study_text.document(text, "bad.toml")
        except StudyError:
            continue
        if all(abs(one) < 2**63 for one in leaves(document) if isinstance(one, int)):
            yield name, VALIDATOR.is_valid(document), bad.says


def leaves(value: Any) -> Iterator[Any]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if below is None:
        yield value
    else:
        for one in below:
            yield from leaves(one)


def test_nine_in_ten_bad_studies_fail() -> None:
    found = list(judged())
    failed = [name for name, passes, _ in found if not passes]
    assert len(found) > 380
    assert len(failed) >= 0.9 * len(found), sorted({name for name, passes, _ in found if passes})


def test_wrong_keys_names_and_types_all_fail() -> None:
    missed = [
        (name, says)
        for name, passes, says in judged()
        if passes and any(CAUGHT_BY_NAME.search(one) for one in says) and not name.endswith(OWN)
    ]
    assert missed == []


VALUES: list[Any] = [
    0, 1, 2, -1, 6.0, 0.5, 1e-3, 1e9, True, False, "", "x", "gradient", "jacobian", "reverse", "float32", "tiny", "gpu",
    "cpu", "2 GiB", "1 KiB", "growth", "time", "loss", "training", "steps", "auto", [], ["tiny"], ["float32"], [1, 2],
    {}, [{}], ["reverse"], "digits-cnn", "backward", "compare", "crossover", 30,
]  # fmt: skip
MORE = {
    "device": "cpu", "tf32": False, "drawing": {"problem": "digits-mlp"}, "look_for": "x",
    "bar": [{"ours": "reverse", "over": "loss", "of": "growth", "below": -0.5}],
}  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_no_good_study_is_refused(random: Random) -> None:
    document = copy.deepcopy(random.choice([*map(tomllib.loads, (GOOD, ONCE, STEPS, CHAIN)), study_mutations.GOOD]))
    document |= {key: copy.deepcopy(MORE[key]) for key in random.sample(sorted(MORE), random.randint(0, 2))}
    for _ in range(random.randint(1, 2)):
        table = document
        while True:
            key = random.choice(list(table))
            below = table[key]
            if isinstance(below, list) and below and isinstance(below[0], dict):
                below = random.choice(below)
            if not isinstance(below, dict) or not below or random.random() < 0.1:
                break
            table = below
        if random.random() < 0.2:
            del table[key]
        else:
            table[key] = copy.deepcopy(random.choice(VALUES))
        if not document:
            return
    asked = [(one["name"], study_file._plain_options(one)) for one in _tables(document, "backend")]
    found = catalogue.collect(asked, [one["name"] for one in _tables(document, "problem")])
    if not study_file.faults_of(document, found, lambda *_: None):
        assert [one.message for one in VALIDATOR.iter_errors(document)] == []


def _tables(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key)
    tables = value if isinstance(value, list) else []
    return [one for one in tables if isinstance(one, dict) and isinstance(one.get("name"), str)]
