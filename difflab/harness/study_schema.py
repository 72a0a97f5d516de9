"""The JSON Schema (2020-12) of a study file, found by asking the very readers that check studies.

No list of keys is kept here.  Every method of ``Reader`` says of the key that it reads what the key may be; made-up
documents are read, each with one more of the keys that the readers say they know, until no key is left of which nothing
is known.  What depends on the kind of a study is found in the same way: a value is refused for a kind if the reader
says so of it and of no other.
"""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from . import toml_places
from .catalogue import Catalogue
from .study_file import faults_of
from .study_words import WORDS
from .toml_places import Path

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OWN = r"^.+:\w+(\.\w+)*$"
"""``module:attribute`` or ``FILE.py:NAME``: what is the user's own."""

KIND = ("answer",)
OPTION: dict[str, Any] = {
    "type": ["string", "number", "boolean", "array"],
    "items": {"type": ["string", "number", "boolean"]},
}
"""What an option of a backend may be in a study file, as far as nothing else is known of it."""

SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(known: Catalogue, made_by: Callable[[str], Any]) -> dict[str, Any]:
    """The schema of a study file.

    Args:
        known: the problems and backends there are.
        made_by: gives what makes a backend by its name, so that options can be read off it.

    Returns:
        A JSON value.
    """
    pieces = ask(known)
    whole = {
        "$schema": DIALECT,
        "title": "A study of difflab",
        "description": "One question about ways of differentiating, with the problems and backends that answer it.",
        **_tree(pieces, ()),
    }
    problem, backend = (whole["properties"][key]["items"] for key in ("problem", "backend"))
    _problems(problem, known)
    _backends(backend, known, made_by)
    for path, piece in pieces.items():  # what another table calls a problem is the name of one
        if path[1:] == ("problem",) and piece.get("type") == "string":
            whole["properties"][path[0]]["properties"]["problem"] |= _named(known)
    whole["allOf"] = [_of_kind(kind, refused) for kind, refused in _by_kind(pieces, known).items() if refused]
    return whole


def ask(known: Catalogue) -> dict[Path, dict[str, Any]]:
    """What the readers say of every key, by its path; 0 stands for any position in a list.

    Args:
        known: the problems and backends there are.
    """
    pieces: dict[Path, dict[str, Any]] = {}
    _read({}, known, pieces)
    tried: set[Path] = set()
    while open_ones := [path for path in _keys(pieces) if path not in pieces and path not in tried]:
        for path in open_ones:
            tried.add(path)
            for document in _documents(path, True, pieces):
                _read(document, known, pieces)
                if path in pieces:
                    pieces[path].pop("default", None)  # it is looked at only where it is there
                    break
        for path, piece in list(pieces.items()):  # what is in the tables of a list
            if piece.get("items") == {"type": "object"} and (*path, 0) not in pieces:
                _read(_with(path, [{}]), known, pieces)
    _widen(pieces, known)
    _closer(pieces, known)
    return pieces


def _read(document: dict[str, Any], known: Catalogue, pieces: dict[Path, dict[str, Any]]) -> frozenset[str]:
    """Read a document; what is said of keys not heard of so far is added to the pieces."""
    heard: dict[Path, dict[str, Any]] = {}

    def note(path: Path, piece: dict[str, Any]) -> None:
        place = tuple(0 if isinstance(part, int) else part for part in path)
        heard[place] = {**heard.get(place, {}), **copy.deepcopy(piece)}

    told = faults_of(document, known, note)
    for path, piece in heard.items():
        for length in range(len(path)):
            pieces.setdefault(path[:length], {})
        pieces[path] = {**piece, **pieces.get(path, {})}  # what was said first stays
    return frozenset(told)


def _keys(pieces: Mapping[Path, Mapping[str, Any]]) -> Iterator[Path]:
    for path, piece in list(pieces.items()):
        yield from ((*path, key) for key in piece.get("keys", ()))


def _documents(path: Path, held: Any, pieces: Mapping[Path, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Documents with a key that may make the reader say what it is: alone, and beside each choice there is."""
    yield _with(path, held)
    for choice, piece in pieces.items():
        if len(choice) == 1 and choice != path[:1]:
            for value in piece.get("enum", ()):
                yield {**_with(path, held), str(choice[0]): value}


def _with(path: Path, value: Any) -> dict[str, Any]:
    """A document that holds a value at a path and nothing else."""
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def _told(key: Path, lines: frozenset[str]) -> frozenset[str]:
    """The faults of a key, or of an entry of the list that it is."""
    name = toml_places.show(key)
    return frozenset(line for line in lines if line.startswith((f"{name}: ", f"{name}[0]: ")))


def _widen(pieces: dict[Path, dict[str, Any]], known: Catalogue) -> None:
    """Give numbers the widest bounds that they have beside any choice in the same table."""
    choices = [(path, value) for path, piece in pieces.items() for value in piece.get("enum", ())]
    for path, piece in pieces.items():
        if "minimum" not in piece:
            continue
        for choice, value in choices:
            if choice[:-1] == path[:-1] and choice != path:
                found: dict[Path, dict[str, Any]] = {}
                _read(_with(path[:-1], {path[-1]: True, choice[-1]: value}), known, found)
                beside = found.get(path, piece)
                piece["minimum"] = min(piece["minimum"], beside["minimum"])
                piece["maximum"] = max(piece["maximum"], beside["maximum"])


def _closer(pieces: dict[Path, dict[str, Any]], known: Catalogue) -> None:
    """Note which keys must be there, and which lists may be empty."""
    for path, piece in pieces.items():
        if path and isinstance(path[-1], str):
            beside = _read(_with(path[:-1], {}) if len(path) > 1 else {}, known, {})
            piece["must"] = any(line.startswith(f"{toml_places.show(path)}: ") for line in beside)
        empty = _documents(path, [], pieces) if piece.get("type") == "array" else ()
        if piece.get("type") == "array" and not any(_told(path, _read(one, known, {})) for one in empty):
            del piece["minItems"]


# ------------------------------------------------------------------------------------------------ put together


def _tree(pieces: Mapping[Path, Mapping[str, Any]], path: Path) -> dict[str, Any]:
    """The schema at a path: what was said of it, and of all that is below it."""
    said = pieces.get(path, {})
    found = {key: value for key, value in said.items() if key not in ("keys", "must")}
    where = ".".join(part for part in path if isinstance(part, str))
    if path and isinstance(path[-1], str) and where in WORDS:
        found["description"] = WORDS[where]
    below = [key for key in pieces if len(key) == len(path) + 1 and key[:-1] == path]
    if (*path, 0) in below:
        found["items"] = _tree(pieces, (*path, 0))
    names = list(dict.fromkeys([*said.get("keys", ()), *(str(key[-1]) for key in below if isinstance(key[-1], str))]))
    if names:
        found["type"] = "object"
        found["properties"] = {name: _tree(pieces, (*path, name)) for name in names}
        found["required"] = [name for name in names if pieces.get((*path, name), {}).get("must")]
        if "keys" in said:
            found["additionalProperties"] = False
    return found


def _named(known: Catalogue) -> dict[str, Any]:
    """What the name of a problem may be."""
    return {"anyOf": [{"enum": [one for one in known.problems if ":" not in one]}, {"pattern": OWN}]}


def _problems(table: dict[str, Any], known: Catalogue) -> None:
    """Names of problems, and of their sizes."""
    table["properties"]["name"] |= _named(known)
    table["allOf"] = [
        {
            "if": {"properties": {"name": {"const": problem}}, "required": ["name"]},
            "then": {"properties": {key: {"items": {"enum": list(sizes)}} for key in ("sizes", "quick")}},
        }
        for problem, sizes in known.problems.items()
    ]


def _backends(table: dict[str, Any], known: Catalogue, made_by: Callable[[str], Any]) -> None:
    """Names of backends, and of their options."""
    own = dict(table["properties"])
    table["properties"]["name"]["anyOf"] = [{"enum": list(known.backends)}, {"pattern": OWN}]
    table["allOf"] = []
    for name in known.backends:
        options = options_of(made_by(name))
        if options is None:
            continue
        allowed: dict[str, Any] = dict.fromkeys(own, True) | options
        table["allOf"].append(
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": allowed, "additionalProperties": False},
            }
        )
        for option in options:
            table["properties"].setdefault(option, {"description": f"An option of {name}."})


def options_of(kind: Any) -> dict[str, Any] | None:
    """What each option of a backend may be, read off its class; ``None`` where it is not a dataclass.

    Args:
        kind: what makes the backend.
    """
    if not is_dataclass(kind):
        return None
    hints = typing.get_type_hints(kind)
    found = {}
    for one in fields(kind):
        if one.init:
            usual = {"default": one.default} if type(one.default) in SIMPLE else {}
            found[one.name] = {**(_typed(hints[one.name]) or OPTION), **usual}
    return found


def _typed(hint: Any) -> dict[str, Any] | None:
    """The schema of a type, as far as a study file can hold it; ``None`` where nothing is known."""
    if hint in SIMPLE:
        return {"type": SIMPLE[hint]}
    origin = typing.get_origin(hint)
    if origin is tuple or hint is tuple:
        return {"type": "array"}
    if origin in (typing.Union, types.UnionType):
        parts = [_typed(one) for one in typing.get_args(hint) if one is not type(None)]
        return None if None in parts else {"anyOf": parts}
    return None


# ------------------------------------------------------------------------------------------------ kinds of studies


def _by_kind(pieces: Mapping[Path, Mapping[str, Any]], known: Catalogue) -> dict[str, dict[Path, list[Any]]]:
    """For each kind of study the keys that it refuses, with their values; an empty list stands for all values."""
    kinds = pieces[KIND]["enum"]
    found: dict[str, dict[Path, list[Any]]] = {kind: {} for kind in kinds}
    for path, piece in pieces.items():
        if not path or path == KIND or isinstance(path[-1], int):
            continue
        values = _samples(piece)
        refused: dict[str, list[Any]] = {}
        for value in values:
            told = {kind: _told(path, _read({**_with(path, value), "answer": kind}, known, {})) for kind in kinds}
            usual = frozenset.intersection(*told.values())
            for kind, lines in told.items():
                if lines - usual:
                    refused.setdefault(kind, []).append(value)
        for kind, those in refused.items():
            found[kind][path] = [] if len(those) == len(values) else those
    return found


def _samples(piece: Mapping[str, Any]) -> list[Any]:
    """Values that a key may have: each of its choices, both truth values, or one that stands for all."""
    if "enum" in piece:
        return list(piece["enum"])
    usual: dict[str, Any] = {"object": {}, "array": [{}], "boolean": True, "string": "x"}
    return [piece.get("default", usual.get(piece.get("type", ""), piece.get("minimum")))]


def _of_kind(kind: str, refused: Mapping[Path, list[Any]]) -> dict[str, Any]:
    """What a study of one kind must leave out."""
    then: dict[str, Any] = {}
    for path, values in refused.items():
        inner: Any = {"not": {"enum": values}} if values else False
        for part in reversed(path[1:]):
            inner = {"items": inner} if isinstance(part, int) else {"properties": {part: inner}}
        name = str(path[0])
        then[name] = _joined(then[name], inner) if name in then else inner
    condition: dict[str, Any] = {"properties": {"answer": {"const": kind}}}
    if kind != "compare":  # which is what a study without an answer is
        condition["required"] = ["answer"]
    return {"if": condition, "then": {"properties": then}}


def _joined(first: Any, second: Any) -> Any:
    """Both of two schemas of one table."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return False
    return {key: _joined(first[key], second[key]) if key in first and key in second else (first | second)[key]
            for key in {**first, **second}}  # fmt: skip
