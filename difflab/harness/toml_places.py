"""Where in a TOML text a key stands: ``tomllib`` forgets it, and an error without a place is half an error."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
Place = tuple[int, int]

_KEY = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")


def places(text: str) -> dict[Path, Place]:
    """Line and column (from 1) of every table header and of the value of every key outside inline tables.

    Args:
        text: a TOML document that ``tomllib`` accepts.

    Returns:
        A mapping from paths such as ``("backend", 2, "name")``; for a string the place is its first character.

    >>> places('[[a]]\\n  b = "c"')[("a", 0, "b")]
    (2, 8)
    """
    found: dict[Path, Place] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    position = 0
    while position < len(text):
        if text[position] in " \t\r\n":
            position += 1
        elif text[position] == "#":
            position = _line_end(text, position)
        elif text[position] == "[":
            array = text.startswith("[[", position)
            start = position
            keys, position = _keys(text, position + (2 if array else 1))
            table = _open(keys, array, counts)
            found.setdefault(table, _place(text, start))
            position = _line_end(text, position)
        else:
            keys, position = _keys(text, position)
            position += 1  # the equals sign
            while position < len(text) and text[position] in " \t":
                position += 1
            quoted = text[position : position + 1] in ("'", '"')
            found[table + tuple(keys)] = _place(text, position + quoted)
            position = _skip_value(text, position)
    return found


def find(known: dict[Path, Place], path: Path) -> Place:
    """The place of a path, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return 1, 1


def show(path: Path) -> str:
    """``backend[2].name``: a path as messages print it (indices count from 0)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _open(keys: list[str], array: bool, counts: dict[Path, int]) -> Path:
    path: Path = ()
    for position, key in enumerate(keys):
        path += (key,)
        last = position == len(keys) - 1
        if last and array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += (counts[path],)
    return path


def _keys(text: str, position: int) -> tuple[list[str], int]:
    keys = []
    while match := _KEY.match(text, position):
        keys.append(next(group for group in match.groups() if group is not None))
        position = match.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    return keys, position


def _skip_value(text: str, position: int) -> int:
    """Past the value that starts here: strings and brackets may hold anything, newlines included."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = _skip_string(text, position)
            continue
        if character == "#":
            position = _line_end(text, position)
            continue
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "\n" and depth == 0:
            return position
        position += 1
    return position


def _skip_string(text: str, position: int) -> int:
    quote = text[position]
    end = quote * 3 if text.startswith(quote * 3, position) else quote
    position += len(end)
    while position < len(text) and not text.startswith(end, position):
        position += 2 if text[position] == "\\" and quote == '"' else 1
    position += len(end)
    while len(end) == 3 and text[position : position + 1] == quote:
        position += 1  # up to two quotes may stand directly before the closing three
    return position


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _place(text: str, position: int) -> Place:
    line = text.count("\n", 0, position) + 1
    return line, position - (text.rfind("\n", 0, position) + 1) + 1
