"""Damage to run folders, for the tests of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difflab.harness import store

OLD = Path(__file__).parent / "old_runs" / "format-1"


def lines_of(folder: Path) -> list[bytes]:
    """The lines of the event file, without their ends."""
    return (folder / store.EVENTS).read_bytes().split(b"\n")[:-1]


def write_lines(folder: Path, lines: list[bytes]) -> None:
    (folder / store.EVENTS).write_bytes(b"".join(line + b"\n" for line in lines))


def find(folder: Path, kind: str, **known: Any) -> int:
    """The line of the last event of a kind with these values, from 0."""
    found = [
        number
        for number, event in enumerate(store.read(folder))
        if event["kind"] == kind and known.items() <= event.items()
    ]
    return found[-1]


def spoil(folder: Path, number: int) -> None:
    """Overwrite two bytes in the middle of a line."""
    lines = lines_of(folder)
    lines[number] = lines[number][:60] + b"\xff\x00" + lines[number][62:]
    write_lines(folder, lines)
