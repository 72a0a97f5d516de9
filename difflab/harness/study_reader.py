"""Taking a TOML document apart key by key: every fault with its place, collected until all are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from . import toml_places
from .catalogue import suggestion
from .study import UNITS


class Reader:
    """Reads keys of a document and collects every fault.

    Args:
        document: what the text says.
        text: TOML.
        filename: what to call it in errors.
    """

    def __init__(self, document: dict[str, Any], text: str, filename: str) -> None:
        self.document, self.filename = document, filename
        self.places = toml_places.places(text)
        self.faults: list[tuple[tuple[int, int], str]] = []
        self.told: set[tuple[str, ...]] = set()

    def fault(self, path: toml_places.Path, message: str) -> None:
        """One line about what is wrong at a key."""
        place = toml_places.find(self.places, path)
        self.faults.append((place, f"{self.filename}:{place[0]}:{place[1]}: {toml_places.show(path)}: {message}"))

    def unknown(self, path: toml_places.Path, table: dict[str, Any], known: Sequence[str]) -> None:
        """Report keys that are not known; what is allowed is said with the first of them only."""
        kind = tuple(part for part in path if isinstance(part, str))
        for key in table:
            if key in known:
                continue
            hint = suggestion(key, known)
            hint = "" if hint.startswith("(known") else f" {hint}"
            if kind not in self.told:
                self.told.add(kind)
                hint += f"; allowed {f'in {kind[0]} ' if kind else ''}are {', '.join(known)}"
            self.fault((*path, key), f"unknown key {key!r}{hint}")

    def array(self, key: str) -> list[dict[str, Any]]:
        """The tables ``[[key]]``, of which there must be one."""
        value = self.document.get(key)
        if value is None:
            self.fault((key,), f"there must be at least one [[{key}]]")
        elif not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.fault((key,), f"must be written as [[{key}]], once for each {key}")
        elif not value:
            self.fault((key,), f"there must be at least one [[{key}]]")
        return tables(value)

    def table(self, key: str) -> dict[str, Any]:
        """The table ``[key]``, empty where there is none."""
        value = self.document.get(key, {})
        if isinstance(value, dict):
            return value
        self.fault((key,), f"must be written as a table [{key}]")
        return {}

    def string(self, path: toml_places.Path, table: dict[str, Any], key: str, default: str | None = None) -> str:
        """A text that is not empty; without a default it must be there."""
        value = table.get(key, default)
        if value is None:
            self.fault((*path, key), "is missing")
        elif not isinstance(value, str) or (not value.strip() and key in table):
            self.fault((*path, key), f"must be a text, got {value!r}")
        else:
            return value
        return ""

    def choice(
        self, path: toml_places.Path, table: dict[str, Any], key: str, known: Sequence[str], default: str
    ) -> str:
        """One of the names that are known."""
        value = self.string(path, table, key, default)
        if value and value not in known:
            self.fault((*path, key), f"unknown {key} {value!r} {suggestion(value, known)}")
        return value

    def names(
        self,
        path: toml_places.Path,
        table: dict[str, Any],
        key: str,
        known: Sequence[str] | None,
        default: Sequence[str],
    ) -> list[str]:
        """A list of names, each once, of those that are known."""
        value = table.get(key, list(default))
        if not isinstance(value, list) or (not value and key in table) or not all(isinstance(v, str) for v in value):
            self.fault((*path, key), f'must be a list of texts such as ["tiny", "small"], got {value!r}')
            return []
        for position, name in enumerate(value):
            if known is not None and name not in known:
                self.fault((*path, key, position), f"unknown {key.rstrip('s')} {name!r} {suggestion(name, known)}")
            if name in value[:position]:
                self.fault((*path, key, position), f"{name!r} is listed twice")
        return value

    def number(
        self, path: toml_places.Path, table: dict[str, Any], key: str, default: float, low: float, high: float
    ) -> float:
        """A number from ``low`` to ``high``."""
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fault((*path, key), f"must be a number from {low:g} to {high:g}, got {value!r}")
            return default
        return float(value)

    def whole(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault((*path, key), f"must be a whole number from {low} to {high}, got {value!r}")
            return default
        return value

    def size(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int) -> int:
        """Bytes, or a text such as ``"2 GiB"``."""
        value = table.get(key, default)
        if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)):
            unit = UNITS.get(found[2])
            value = value if unit is None else int(float(found[1]) * unit)
        if isinstance(value, bool) or not isinstance(value, int) or value < 2**20:
            self.fault((*path, key), f'must be a size of at least 1 MiB such as "2 GiB" or bytes, got {value!r}')
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
        if not isinstance(values, list) or not values:
            self.fault((*path, key), f"must be a list of numbers such as {list(default)}, got {values!r}")
            return default
        entries, place = dict(enumerate(values)), (*path, key)
        return tuple(self.amount(place, entries, k, default[0], low, high) for k in entries)


def tables(value: Any) -> list[dict[str, Any]]:
    """Those of a list that are tables; what is none has been reported, or will be."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
