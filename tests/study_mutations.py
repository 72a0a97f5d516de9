"""Study documents with faults that are known, written in any of TOML's styles, with the places of all keys noted.

The writer notes where it puts every key and value, so what ``toml_places`` finds in the text is judged by another.
"""

from __future__ import annotations

import copy
import datetime
import math
import re
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Key = tuple[str | int, ...]
GOOD: dict[str, Any] = {
    "title": "A title",
    "question": "Which of them?",
    "look_for": "The ratio",
    "answer": "compare",
    "operator": "gradient",
    "baseline": "reverse",
    "problem": [
        {"name": "digits-mlp", "sizes": ["tiny", "small"], "dtypes": ["float64"], "quick": ["tiny"]},
        {"name": "mlp", "sizes": ["tiny"], "dtypes": ["float32", "float64"], "quick": []},
    ],
    "backend": [
        {"name": "reverse"},
        {"name": "finite", "label": "differences", "scheme": "forward", "step": 1e-6},
        {"name": "forward", "label": "for # ward]", "chunk": 2},
    ],
    "limits": {"seconds": 20, "memory": "1 GiB", "reference_seconds": 30.5},
    "timing": {
        **{"processes": 6, "most_processes": 15, "target": 0.02, "samples": 9, "sample_ms": 1.0},
        **{"rounds": 3, "budget_s": 90, "threads": 1, "gc": True},
    },
}
NO_NUMBERS = ["20", True, -1, math.nan, math.inf, -1e300, datetime.date(1979, 5, 27), [20], [], {"s": 20}, 16**6000]
NO_TEXTS = [3, 1.5, False, "", " \t ", ["a"], {}, datetime.time(7, 32), math.nan]
NO_LISTS = [3, "tiny", {"a": 1}, True, datetime.date(1979, 5, 27)]
NO_OPTIONS = [math.nan, -math.inf, {"a": 1}, [[1]], datetime.datetime(1979, 5, 27, 7, 32), 2**64, ["a", math.inf]]
CONTROLS = ["a\x00b", "\x1b[31m", "a\u202eb", "a\u2028b"]
KEYS = ["zzz", "q q", "a\nb", "", "τίτλος", "\u202ex", "a.b", "it's", 'a"b', "\\", "[x]", "1.5", "-"]


class Fault(NamedTuple):
    """One change for the worse: what it touches, what it does, where its line points, and a part of what that says."""

    touches: frozenset[Key]
    change: Callable[[dict[str, Any]], None]
    at: Key
    says: str


def _inside(document: Any, path: Key) -> Any:
    for part in path:
        document = document[part]
    return document


def _set(path: Key, value: Any, says: str, *touches: Key, at: Key = ()) -> Fault:
    def change(document: dict[str, Any]) -> None:
        _inside(document, path[:-1])[path[-1]] = copy.deepcopy(value)

    return Fault(frozenset({path, *touches}), change, at or path, says)


def _delete(path: Key, *touches: Key) -> Fault:
    def change(document: dict[str, Any]) -> None:
        del _inside(document, path[:-1])[path[-1]]

    return Fault(frozenset({path, *touches}), change, path, "is missing")


def _append(name: str, table: dict[str, Any], at: Key, says: str, *touches: Key) -> Fault:
    def change(document: dict[str, Any]) -> None:
        document[name].append(dict(table))

    return Fault(frozenset({(name, "more"), *touches}), change, at, says)


def draw(random: Random, name: str) -> Fault:
    """A fault of the kind ``name``, one of ``KINDS``."""
    return KINDS[name](random)


def _number(random: Random) -> Fault:
    path = random.choice(
        [(one, key) for one in ("limits", "timing") for key in GOOD[one] if key not in ("memory", "gc")]
    )
    return _set(path, random.choice(NO_NUMBERS), "must be a ")


def _text(random: Random) -> Fault:
    path = (random.choice(["title", "question", "look_for", "answer", "operator", "baseline"]),)
    value, says = random.choice([(NO_TEXTS, "must be a text, got "), (CONTROLS, "must be a text without control ch")])
    return _set(path, random.choice(value), says)


def _unknown(random: Random) -> Fault:
    table: Key = random.choice([(), ("limits",), ("timing",), ("problem", 0), ("problem", 1)])
    return _set((*table, random.choice(KEYS)), random.choice(NO_NUMBERS + NO_TEXTS), "unknown key ")


def _missing(random: Random) -> Fault:
    path: Key = random.choice([("title",), ("question",), ("problem", 0, "name"), ("problem", 1, "name")])
    return _delete(path, (*path[:2], "sizes"), (*path[:2], "quick"))


def _choice(random: Random) -> Fault:
    key = random.choice(["answer", "operator"])
    return _set((key,), random.choice(["nothing", "x" * 10**5, "GRADIENT"]), f"unknown {key} ")


def _problem(random: Random) -> Fault:
    position = random.choice([0, 1])
    path: Key = ("problem", position)
    misspelt = ("digit-mlp", "digits-mpl")[position]
    around = [(*path, key) for key in ("name", "sizes", "quick")]
    return random.choice(
        [
            _set((*path, "name"), misspelt, f"unknown problem {misspelt!r} (did you mean", *around),
            _set((*path, "name"), f"no_such:X{position}", "module 'no_such' of 'no_such:X", *around),
            _set((*path, "sizes"), random.choice(NO_LISTS), "must be a list of texts such as", *around),
            _set((*path, "sizes", 0), "tinny", "unknown size 'tinny' (did you mean 'tiny'?)", *around),
            _set((*path, "quick"), ["tiny", "smal"], "unknown size 'smal'", *around, at=(*path, "quick", 1)),
            _set((*path, "dtypes"), ["float32", 3], "must be a text, got 3", at=(*path, "dtypes", 1)),
            _set((*path, "dtypes"), ["float64", "float64"], "is listed twice", at=(*path, "dtypes", 1)),
        ]
    )


def _backend(random: Random) -> Fault:
    finite, forward = ("backend", 1), ("backend", 2)
    later: Key = (*forward, "label")
    whole = [(*finite, key) for key in ("name", "scheme", "step")]
    return random.choice(
        [
            _set(("backend", 0, "name"), "revers", "unknown backend 'revers' (did you mean 'reverse'?)"),
            _set((*finite, "name"), 7, "must be a text, got 7", *whole),
            _set((*finite, "scheme"), "up", "the schemes are", (*finite, "name")),
            _set((*finite, "step"), random.choice([-1, "small", True]), "the step is", (*finite, "name")),
            _set((*forward, "chunk"), random.choice([0, 2.5, [1]]), "the chunk is"),
            _set((*forward, "chunk"), random.choice(NO_OPTIONS), "an option must be a text, a finite number"),
            _set((*forward, random.choice(KEYS)), random.choice([1, "x", True]), "backend 'forward' has no option "),
            _set((*finite, "label"), random.choice(NO_TEXTS), "must be a text, got "),
            _set((*finite, "label"), "x" * 121, "a label has at most 120 characters"),
            _set((*finite, "label"), "for # ward]", "is the label of another", later, at=later),
        ]
    )  # fmt: skip


def _more(random: Random) -> Fault:
    around = [("problem", 1, key) for key in ("name", "sizes", "quick", "dtypes")]
    first: Key = ("backend", 0, "name")
    return random.choice(
        [
            _append("backend", {"name": "reverse"}, ("backend", 3, "name"), "'reverse' is listed", first),
            _append("problem", {"name": "mlp", "sizes": ["tiny"]}, ("problem", 2), "'mlp' at size 'tiny' in", *around),
        ]
    )  # fmt: skip


def _other(random: Random) -> Fault:
    return random.choice(
        [
            _set(("limits", "memory"), random.choice(["1 Gb", 5, "", True, [1]]), "must be a size of at least 1 MiB"),
            _set(("timing", "gc"), random.choice([1, "yes", []]), "must be true or false, got "),
            _set(("timing", "most_processes"), 5, "must be at least processes, which is 6", ("timing", "processes")),
        ]
    )


KINDS: dict[str, Callable[[Random], Fault]] = {
    **{"number": _number, "text": _text, "unknown": _unknown, "missing": _missing, "choice": _choice},
    **{"problem": _problem, "backend": _backend, "more": _more, "other": _other},
}


class Writer:
    """Writes a document in a style drawn at random; ``spans`` says where each key begins and its value ends."""

    def __init__(self, random: Random) -> None:
        self.random, self.text = random, ""
        self.spans: dict[Key, tuple[int, int]] = {}

    def write(self, document: dict[str, Any]) -> str:
        """The text; lines end with ``\\n``."""
        tables = {key: one for key, one in document.items() if key in ("problem", "backend", "limits", "timing")}
        headed = [key for key in tables if self.random.random() < 0.7]
        for key in self.random.sample(list(document), len(document)):
            value = document[key]
            if key in headed:
                continue
            if isinstance(value, dict) and key in tables and self.random.random() < 0.5:
                for inner, one in value.items():
                    self._entry((key,), inner, one, dotted=True)
            else:
                self._entry((), key, value)
        for key in self.random.sample(headed, len(headed)):
            several = isinstance(tables[key], list)
            for position, table in enumerate(tables[key] if several else [tables[key]]):
                self._header((key, position) if several else (key,), table)
        return self.text

    def _header(self, path: Key, table: dict[str, Any]) -> None:
        self._blank()
        start = len(self.text)
        brackets = "[[]]" if len(path) == 2 else "[]"
        half = len(brackets) // 2
        self.text += f"{brackets[:half]}{self._space()}{self._key(str(path[0]))}{self._space()}{brackets[half:]}"
        self.spans[path] = (start, len(self.text))
        self.text += self._end()
        for key in self.random.sample(list(table), len(table)):
            self._entry(path, key, table[key])

    def _entry(self, path: Key, key: str, value: Any, dotted: bool = False) -> None:
        self._blank()
        self._pair(path, key, value, f"{self._key(str(path[0]))}{self._space()}.{self._space()}" if dotted else "")
        self.text += self._end()

    def _pair(self, path: Key, key: str, value: Any, before: str = "") -> None:
        start = len(self.text)
        self.text += f"{before}{self._key(key)}{self._space()}={self._space()}"
        self._value((*path, key), value)
        self.spans[(*path, key)] = (start, len(self.text))

    def _value(self, path: Key, value: Any) -> None:
        start = len(self.text)
        if isinstance(value, str):
            self.text += self._string(value)
        elif isinstance(value, bool):
            self.text += "true" if value else "false"
        elif isinstance(value, int):
            self.text += hex(value) if value > 10**9 else self.random.choice([f"{value}", f"{value:+}"])
        elif isinstance(value, float):
            self.text += repr(value)
        elif isinstance(value, dict):
            self.text += "{" + self._space()
            for position, (key, one) in enumerate(value.items()):
                self.text += f",{self._space()}" if position else ""
                self._pair(path, key, one)
            self.text += self._space() + "}"
        elif isinstance(value, list):
            around = self.random.choice([" ", "", "\n  ", " # ] }\n\t"])
            self.text += "["
            for position, one in enumerate(value):
                self.text += around
                self._value((*path, position), one)
                self.text += "," if position < len(value) - 1 or self.random.random() < 0.3 else ""
            self.text += around + "]"
        else:
            self.text += value.isoformat()
        self.spans[path] = (start, len(self.text))

    def _key(self, key: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", key) and self.random.random() < 0.7:
            return key
        if "'" not in key and key.isprintable() and self.random.random() < 0.5:
            return f"'{key}'"
        return self._basic(key)

    def _string(self, value: str) -> str:
        styles = [self._basic(value), f'"""{self._basic(value)[1:-1]}"""', f'"""\n{self._basic(value)[1:-1]}"""']
        if value.isprintable() and "'" not in value:
            styles += [f"'{value}'", f"'''{value}'''"]
        return self.random.choice(styles)

    def _basic(self, value: str) -> str:
        def one(character: str) -> str:
            if character in '"\\' or not character.isprintable() or self.random.random() < 0.05:
                return f"\\u{ord(character):04X}"
            return character

        return f'"{"".join(map(one, value[:500]))}{value[500:]}"'

    def _space(self) -> str:
        return self.random.choice(["", " ", "\t", "  "])

    def _blank(self) -> None:
        self.text += self.random.choice(["", "", "\n", "# [no] = \"'''\n", "\t", "   ", " \t\n  "])

    def _end(self) -> str:
        return self.random.choice(["", " ", "\t# x = 1 \u2028\U0001f600"]) + "\n"


def chosen(random: Random, kinds: list[str]) -> list[Fault]:
    """One fault of each kind, as far as none touches what another does."""
    found: list[Fault] = []
    for kind in kinds:
        fault = draw(random, kind)
        if not any(fault.touches & other.touches for other in found):
            found.append(fault)
    return found


def spoilt(faults: list[Fault]) -> dict[str, Any]:
    """The good document with all faults in it; further tables go last, so that the others keep their numbers."""
    document = copy.deepcopy(GOOD)
    for fault in faults:
        fault.change(document)
    return document
