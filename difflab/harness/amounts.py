"""Amounts as people say and write them: bytes, seconds and counts; it needs no NumPy."""

from __future__ import annotations

import math
import re

from ..execution.amounts import count as count
from ..execution.amounts import duration as duration
from ..execution.amounts import short

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9}
TIMES = {"ns": 1e-9, "us": 1e-6, "\N{MICRO SIGN}s": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ms": 1e-3, "s": 1.0,
         "min": 60.0, "h": 3600.0}  # fmt: skip
AMOUNT = re.compile(r"\s*(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(e[-+]?\d{1,3})?\s*([^\W\d_]*)\s*", re.IGNORECASE)


def read_size(text: str) -> int | None:
    """Bytes from a text such as "200 MB", or ``None`` where it is none; a number alone is bytes.

    >>> read_size("200 MB"), read_size("1.5GiB"), read_size("4096"), read_size("2 pounds")
    (200000000, 1610612736, 4096, None)
    """
    found = _read(text, UNITS, "B")
    return None if found is None else int(found)


def read_duration(text: str) -> float | None:
    """Seconds from a text such as "200us", or ``None`` where it is none; a number alone is seconds.

    >>> read_duration("1ms"), read_duration("0.5 s"), read_duration("2"), read_duration("soon")
    (0.001, 0.5, 2.0, None)
    """
    return _read(text, TIMES, "s")


def _read(text: str, units: dict[str, float] | dict[str, int], usual: str) -> float | None:
    found = AMOUNT.fullmatch(text)
    unit = None if found is None else units.get(found[3] or usual)
    if found is None or unit is None:
        return None
    value = float(found[1] + (found[2] or "")) * unit
    return value if math.isfinite(value) else None


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
