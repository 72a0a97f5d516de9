"""Amounts as people say and write them: bytes, seconds and counts; it needs no NumPy."""

from __future__ import annotations

from ..execution.amounts import UNITS as UNITS
from ..execution.amounts import count as count
from ..execution.amounts import duration as duration
from ..execution.amounts import read_amount
from ..execution.amounts import read_size as read_size
from ..execution.amounts import size as size

TIMES = {"ns": 1e-9, "us": 1e-6, "\N{MICRO SIGN}s": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ms": 1e-3, "s": 1.0,
         "min": 60.0, "h": 3600.0}  # fmt: skip


def read_duration(text: str) -> float | None:
    """Seconds from a text such as "200us", or ``None`` where it is none; a number alone is seconds.

    >>> read_duration("1ms"), read_duration("0.5 s"), read_duration("2"), read_duration("soon")
    (0.001, 0.5, 2.0, None)
    """
    return read_amount(text, TIMES, "s")


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s unless it is one.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1 200 cases')
    """
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
