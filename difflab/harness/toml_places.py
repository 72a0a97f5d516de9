"""Where in a TOML text keys and values stand: ``tomllib`` forgets it, and an error without a place is half an error."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator

Path = tuple[str | int, ...]
Place = tuple[int, int]

DEEPEST = 100
_KEY = re.compile(r"""[ \t]*(?:("(?:[^"\\\n]|\\.)*")|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")
_MARK = re.compile(r"""["'#\[\]{}.=,\n]""")


def places(text: str) -> dict[Path, Place]:
    """Line and column (from 1) of every table header and of every value, those in arrays and inline tables included.

    Args:
        text: a TOML document that ``tomllib`` accepts.

    Returns:
        A mapping from paths such as ``("backend", 2, "name")``; for a string the place is its first character.

    >>> places('[[a]]\\n  b = ["c", {d = 1}]')[("a", 0, "b", 1, "d")]
    (2, 18)
    """
    return _Scanner(text).scan()


def find(known: dict[Path, Place], path: Path) -> Place:
    """The place of a path, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return 1, 1


def show(path: Path) -> str:
    """``backend[2].name``: a path as messages print it (indices count from 0; other than bare keys are quoted)."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            part = part if _BARE.fullmatch(part) else repr(part)
            text += f".{part}" if text else part
    return text


def too_deep(text: str, deepest: int = DEEPEST) -> tuple[Place, str] | None:
    """Where brackets are nested, or parts of a key joined by dots, beyond what can be read in bounded time.

    Args:
        text: anything; ``tomllib`` need not accept it.
        deepest: how many brackets may be open, and how many dots a key may have.

    >>> too_deep("a = " + "[" * 5, 4)
    ((1, 9), 'brackets are nested more than 4 deep')
    """
    dots = 0
    for position, mark, opened in _marks(text):
        dots = dots + (mark == ".") if mark in ".\"'" else 0
        if dots > deepest:
            return _place(text, position), f"a key has more than {deepest} dots"
        if len(opened) > deepest:
            return _place(text, position), f"brackets are nested more than {deepest} deep"
    return None


def left_open(text: str) -> Place | None:
    """Where the innermost bracket or string begins that is still open at the end of a text.

    >>> left_open('a = 1\\nb = [2, 3')
    (2, 5)
    """
    opened: list[int] = []
    for position, mark, now_open in _marks(text):
        opened = now_open
        if mark in "\"'" and not _closed(text, position):
            return _place(text, position)
    return _place(text, opened[-1]) if opened else None


class _Scanner:
    """One pass over a text that ``tomllib`` accepts."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.found: dict[Path, Place] = {}
        self.counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, Place]:
        table: Path = ()
        while self.blank():
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.entry(table, 0)
        return self.found

    def place(self, position: int) -> Place:
        line = bisect_right(self.lines, position)
        return line, position - self.lines[line - 1] + 1

    def blank(self) -> bool:
        """Go past blanks, lines' ends and comments; says whether anything is left."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = _line_end(self.text, self.at)
            elif self.text[self.at] in " \t\r\n":
                self.at += 1
            else:
                return True
        return False

    def header(self) -> Path:
        start, array = self.place(self.at), self.text.startswith("[[", self.at)
        self.at += 1 + array
        path: Path = ()
        keys = self.keys()
        for position, key in enumerate(keys):
            path += (key,)
            if array and position == len(keys) - 1:
                self.found.setdefault(path, start)
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path += (self.counts[path],)
            self.found.setdefault(path, start)
        self.at += 1 + array
        return path

    def keys(self) -> list[str]:
        keys = []
        while match := _KEY.match(self.text, self.at):
            quoted, literal, bare = match.groups()
            keys.append(_unescaped(quoted) if quoted is not None else bare if literal is None else literal)
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def entry(self, table: Path, depth: int) -> None:
        start = self.place(self.at)
        for key in self.keys():
            table += (key,)
            self.found.setdefault(table, start)
        self.at += 1  # the equals sign
        self.blank()
        self.value(table, depth)

    def value(self, path: Path, depth: int) -> None:
        opening = self.text[self.at]
        self.found[path] = self.place(self.at)
        if opening in "\"'":
            self.found[path] = self.place(self.at + len(_quotes(self.text, self.at)))
            self.at = _string_end(self.text, self.at)
        elif opening not in "[{":
            match = _PLAIN_VALUE.match(self.text, self.at)
            self.at = match.end() if match else self.at
        else:
            self.at += 1
            position = 0
            while self.blank() and self.text[self.at] not in "]}":
                if opening == "[":
                    self.value((*path, position), depth + 1)
                else:
                    self.entry(path, depth + 1)
                position += 1
                self.blank()
                self.at += self.text.startswith(",", self.at)
            self.at += 1


def _marks(text: str) -> Iterator[tuple[int, str, list[int]]]:
    """Every mark of the grammar outside strings and comments, with the brackets that are open after it."""
    opened: list[int] = []
    position = 0
    while match := _MARK.search(text, position):
        position, mark = match.start(), match[0]
        if mark in "[{":
            opened.append(position)
        elif mark in "]}" and opened:
            opened.pop()
        yield position, mark, opened
        if mark == "#":
            position = _line_end(text, position)
        else:
            position = _string_end(text, position) if mark in "\"'" else position + 1


def _unescaped(quoted: str) -> str:
    return tomllib.loads(f"key = {quoted}")["key"] if "\\" in quoted else quoted[1:-1]


def _quotes(text: str, position: int) -> str:
    quote = text[position]
    return quote * 3 if text.startswith(quote * 3, position) else quote


def _string_end(text: str, position: int) -> int:
    """Past the string that begins here; one without an end ends with its line, or with the text."""
    end = _quotes(text, position)
    position += len(end)
    last = len(text) if len(end) == 3 else _line_end(text, position)
    while position < last and not text.startswith(end, position):
        position += 2 if text[position] == "\\" and end[0] == '"' else 1
    if position >= last:
        return last
    position += len(end)
    while len(end) == 3 and text[position : position + 1] == end[0]:
        position += 1  # up to two quotes may stand directly before the closing three
    return position


def _closed(text: str, position: int) -> bool:
    quotes, end = _quotes(text, position), _string_end(text, position)
    return end - position >= 2 * len(quotes) and text.endswith(quotes, position, end)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _place(text: str, position: int) -> Place:
    line = text.count("\n", 0, position) + 1
    return line, position - (text.rfind("\n", 0, position) + 1) + 1
