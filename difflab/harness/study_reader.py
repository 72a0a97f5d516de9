"""Taking a TOML document apart key by key: every fault with its place, collected until all are known."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

from . import toml_places
from .amounts import UNITS
from .catalogue import suggestion
from .limits import shorten

LONGEST_FAULT = 1000
LONGEST_SHOWN = 60
LONGEST_LABEL = 120
WHOLE_BITS = 63
LARGEST_MEMORY = 2**50
# marks that turn the direction of writing and ends of lines that few programs know are control characters too
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CONTROL_OR_LINE = re.compile(f"[\t\n]|{_CONTROL.pattern}")
_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d+)?)\s*([A-Za-z]+)\s*")
Tables = list[tuple[toml_places.Path, dict[str, Any]]]
Note = Callable[[toml_places.Path, dict[str, Any]], None]


class Reader:
    """Reads keys of a document and collects every fault.

    Args:
        document: what the text says.
        text: TOML.
        filename: what to call it in errors.
        note: is told of every key that is read, there or not, what it may be: a piece of a JSON Schema.
    """

    def __init__(
        self, document: dict[str, Any], text: str, filename: str, note: Note = lambda path, piece: None
    ) -> None:
        self.document, self.filename, self.note = document, filename, note
        self.places = toml_places.places(text)
        self.faults: list[tuple[tuple[int, int], str]] = []
        self.told: set[tuple[str, ...]] = set()
        self.wrong: set[toml_places.Path] = set()

    def fault(self, path: toml_places.Path, message: str) -> None:
        """One line about what is wrong at a key."""
        place = toml_places.find(self.places, path)
        self.wrong.update(path[: length + 1] for length in range(len(path)))
        text = shorten(f"{toml_places.show(path)}: {message}", LONGEST_FAULT)
        self.faults.append((place, f"{self.filename}:{place[0]}:{place[1]}: {text}"))

    def sound(self, *path: str | int) -> bool:
        """Whether nothing at a key or below it has been found wrong so far."""
        return path not in self.wrong

    def unknown(self, path: toml_places.Path, table: dict[str, Any], known: Sequence[str]) -> None:
        """Report keys that are not known; what is allowed is said with the first of them only."""
        self.note(path, {"type": "object", "keys": list(known)})
        kind = tuple(part for part in path if isinstance(part, str))
        for key in table:
            if key in known:
                continue
            hint = suggestion(key, known)
            hint = "" if hint.startswith("(known") else f" {hint}"
            if kind not in self.told:
                self.told.add(kind)
                hint += f"; allowed {f'in {kind[0]} ' if kind else ''}are {', '.join(known)}"
            self.fault((*path, key), f"unknown key {shown(key)}{hint}")

    def array(self, key: str) -> Tables:
        """The tables ``[[key]]`` with their paths, of which there must be one; a single ``[key]`` is read as one."""
        value = self.document.get(key)
        self.note((key,), {"type": "array", "minItems": 1, "items": {"type": "object"}})
        if isinstance(value, dict):
            self.fault((key,), f"must be written as [[{key}]], once for each {key}")
            return [((key,), value)]
        if value is None or value == []:
            self.fault((key,), f"there must be at least one [[{key}]]")
            return []
        if not isinstance(value, list):
            self.fault((key,), f"must be written as [[{key}]], once for each {key}")
            return []
        for position, one in enumerate(value):
            if not isinstance(one, dict):
                self.fault((key, position), f"must be written as a table [[{key}]], got {shown(one)}")
        return [((key, position), one) for position, one in enumerate(value) if isinstance(one, dict)]

    def table(self, key: str) -> dict[str, Any]:
        """The table ``[key]``, empty where there is none."""
        value = self.document.get(key, {})
        self.note((key,), {"type": "object"})
        if isinstance(value, dict):
            return value
        self.fault((key,), f"must be written as a table [{key}]")
        return {}

    def string(
        self,
        path: toml_places.Path,
        table: dict[str, Any],
        key: str,
        default: str | None = None,
        lines: bool = False,
    ) -> str:
        """A text that is not empty, of one line or of several ``lines``; without a default it must be there."""
        value = table.get(key, default)
        self.note((*path, key), {"type": "string", "pattern": _pattern(lines), **_usual(default)})
        if value is None:
            self.fault((*path, key), "is missing")
        elif not isinstance(value, str) or (not value.strip() and key in table):
            self.fault((*path, key), f"must be a text, got {shown(value)}")
        elif key in table and (found := (_CONTROL if lines else _CONTROL_OR_LINE).search(value.strip(" \t\n"))):
            what = "a line break" if found[0] == "\n" else f"the control character U+{ord(found[0]):04X}"
            self.fault((*path, key), f"must be a text without control characters, and this one holds {what}")
        else:
            return value
        return ""

    def choice(
        self, path: toml_places.Path, table: dict[str, Any], key: str, known: Sequence[str], default: str
    ) -> str:
        """One of the names that are known."""
        value = self.string(path, table, key, default)
        self.note((*path, key), {"type": "string", "enum": list(known), **_usual(default)})
        if value and value not in known:
            self.fault((*path, key), f"unknown {key} {shown(value)} {suggestion(value, known)}")
        return value

    def names(
        self,
        path: toml_places.Path,
        table: dict[str, Any],
        key: str,
        known: Sequence[str] | None,
        default: Sequence[str],
        what: str = "",
    ) -> list[str]:
        """A list of names, each once, of those that are known; ``what`` is one of them, where the key does not say."""
        value = table.get(key, list(default))
        one_of = {"type": "string", **({"enum": list(known)} if known else {})}
        several = {"type": "array", "minItems": 1, "uniqueItems": True, "items": one_of}
        self.note((*path, key), {**several, **_usual(default)})
        if not isinstance(value, list) or (not value and key in table):
            self.fault((*path, key), f'must be a list of texts such as ["tiny", "small"], got {shown(value)}')
            return []
        seen: set[str] = set()
        for position, name in enumerate(value):
            place = (*path, key, position)
            if not isinstance(name, str):
                self.fault(place, f"must be a text, got {shown(name)}")
            elif name in seen:
                self.fault(place, f"{shown(name)} is listed twice")
            elif known is not None and name not in known:
                self.fault(place, f"unknown {what or key.rstrip('s')} {shown(name)} {suggestion(name, known)}")
            if isinstance(name, str):
                seen.add(name)
        return [name for name in value if isinstance(name, str)]

    def number(
        self, path: toml_places.Path, table: dict[str, Any], key: str, default: float, low: float, high: float
    ) -> float:
        """A number from ``low`` to ``high``."""
        value = table.get(key, default)
        self.note((*path, key), {"type": "number", "minimum": low, "maximum": high, "default": default})
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fault((*path, key), f"must be a number from {low:g} to {high:g}, got {shown(value)}")
            return default
        return float(value)

    def whole(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = table.get(key, default)
        self.note((*path, key), {"type": "integer", "minimum": low, "maximum": high, "default": default})
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault((*path, key), f"must be a whole number from {low} to {high}, got {shown(value)}")
            return default
        return value

    def flag(self, path: toml_places.Path, table: dict[str, Any], key: str, default: bool) -> bool:
        """True or false at a key, or the default where the key is missing."""
        value = table.get(key, default)
        self.note((*path, key), {"type": "boolean", "default": default})
        if isinstance(value, bool):
            return value
        self.fault((*path, key), f"must be true or false, got {shown(value)}")
        return default

    def size(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int) -> int:
        """Bytes, or a text such as ``"2 GiB"``."""
        value, hint = table.get(key, default), ""
        written = f"^{_SIZE.pattern.replace('[A-Za-z]+', '|'.join(UNITS))}$"
        as_bytes = {"type": "integer", "minimum": 2**20, "maximum": LARGEST_MEMORY}
        self.note((*path, key), {"anyOf": [{"type": "string", "pattern": written}, as_bytes], "default": default})
        if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
            unit = UNITS.get(found[2])
            value = value if unit is None else int(float(found[1]) * unit)
            hint = "" if unit is not None else f" (units: {', '.join(UNITS)})"
        if isinstance(value, bool) or not isinstance(value, int) or not 2**20 <= value <= LARGEST_MEMORY:
            wanted = 'a size of at least 1 MiB and at most 1024 TiB such as "2 GiB" or bytes'
            self.fault((*path, key), f"must be {wanted}, got {shown(table[key])}{hint}")
            return default
        return value

    def amount(self, path: toml_places.Path, table: dict[Any, Any], key: Any, default: Any, low: Any, high: Any) -> Any:
        """A number from ``low`` to ``high``, whole where the usual one is."""
        read = self.whole if isinstance(default, int) else self.number
        return read(path, table, key, default, low, high)

    def several(
        self, path: toml_places.Path, table: dict[str, Any], key: str, default: tuple, low: float, high: float
    ) -> tuple:
        """A list of numbers, all whole where the usual ones are."""
        values = table.get(key, list(default))
        self.note((*path, key), {"type": "array", "minItems": 1, "default": list(default)})
        self.amount((*path, key), {}, 0, default[0], low, high)  # noted, whatever the list holds
        if not isinstance(values, list) or not values:
            self.fault((*path, key), f"must be a list of numbers such as {list(default)}, got {shown(values)}")
            return default
        entries, place = dict(enumerate(values)), (*path, key)
        return tuple(self.amount(place, entries, k, default[0], low, high) for k in entries)


def _usual(default: Any) -> dict[str, Any]:
    """The default of a key as a schema has it; nothing where there is none."""
    return {"default": list(default) if isinstance(default, tuple) else default} if default else {}


def _pattern(lines: bool) -> str:
    """What a text must match as a regular expression that editors know too: not empty, no control characters."""
    forbidden = _CONTROL.pattern[1:-1] if lines else rf"\t\n{_CONTROL.pattern[1:-1]}"
    return rf"^(?=[\s\S]*\S)[ \t\n]*[^{forbidden}]*[ \t\n]*$"


def whole_fits(value: int) -> bool:
    """Whether an integer is one that TOML promises to keep: of 64 bits with its sign."""
    return value.bit_length() <= WHOLE_BITS


def shown(value: Any) -> str:
    """A value of a document as messages show it: as TOML writes it, and short.

    >>> shown(True), shown("a\\nb"), shown(["a", 1]), shown({}), shown(10**5000)
    ('true', "'a\\\\nb'", "['a', 1]", 'a table', 'an integer of 16610 bits')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if whole_fits(value) else f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 3] + "...")
    if isinstance(value, list):
        flat = ", ".join("[...]" if isinstance(one, list) and one else shown(one) for one in value[:5])
        return f"[{flat}{', ...' if len(value) > 5 else ''}]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return "a table" if isinstance(value, dict) else repr(value)
