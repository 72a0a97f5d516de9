"""From a file to a TOML document: whatever the bytes are, a document or faults with their places."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ..errors import StudyError
from . import toml_places

LARGEST_FILE = 2**20
_DIGITS = re.compile(r"\d(?:_?\d){4300}")  # Python converts no more; TOML promises 64 bits
_AT = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def load(path: Path, filename: str) -> str:
    """The text of a study file, with lines' ends as ``\\n`` and without a byte order mark.

    Args:
        path: the file.
        filename: what to call it in errors.

    Raises:
        StudyError: it cannot be read, is no UTF-8 text, or far larger than any study.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as fault:
        raise StudyError(f"{filename}: cannot be read: {fault.strerror}") from fault
    if len(data) > LARGEST_FILE:
        raise StudyError(f"{filename}: cannot be read: it is larger than 1 MiB, which no study needs")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as fault:
        before = fault.object[: fault.start].decode("utf-8")  # the decoder may have dropped a mark from its object
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = "UTF-16" if data.startswith(_UTF_16) else f"the byte 0x{fault.object[fault.start]:02x}"
        raise StudyError(f"{filename}:{line}:{column}: is not UTF-8 text but holds {what}; save it as UTF-8") from fault


def document(text: str, filename: str) -> dict[str, Any]:
    """The document that a text is.

    Args:
        text: TOML.
        filename: what to call it in errors.

    Raises:
        StudyError: with one line that says what is no TOML, and where.
    """
    deep = toml_places.too_deep(text)
    if deep is not None:
        (line, column), why = deep
        raise StudyError(f"{filename}:{line}:{column}: {why}, which no study needs")
    try:
        return tomllib.loads(text)
    except ValueError as fault:  # a TOMLDecodeError, or a number that Python does not convert
        raise StudyError(f"{filename}:{_syntax_fault(str(fault), text)}") from fault


def _syntax_fault(message: str, text: str) -> str:
    if found := _AT.search(message):
        return f"{found[1]}:{found[2]}: {message[: found.start()]}"
    if "end of document" not in message and (digits := _DIGITS.search(text)):
        before = text[: digits.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"{line}:{column}: an integer of more than 4300 digits"
    why = message.replace("(at end of document)", "").strip()
    lines = text.split("\n")
    place = f"{len(lines)}:{len(lines[-1]) + 1}"
    if (opened := toml_places.left_open(text)) is not None:
        return f"{opened[0]}:{opened[1]}: {why} before the end of the file: what begins here is not closed"
    return f"{place}: {why} at the end of the file"
