"""Amounts in reasons, as people say them: bytes, seconds and counts."""

from __future__ import annotations

from ..execution.amounts import count as count
from ..execution.amounts import duration as duration
from ..execution.amounts import short


def size(nbytes: float) -> str:
    """Bytes with at most three significant digits.

    >>> size(91_912_000_000), size(300 * 2**20), size(512)
    ('85.6 GiB', '300 MiB', '512 B')
    """
    value = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 999.5:
            return f"{short(value)} {unit}"
        value /= 1024
    return f"{short(value)} TiB"


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s unless it is one.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1 200 cases')
    """
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
