"""Amounts in reasons, as people say them: bytes, seconds and counts."""

from __future__ import annotations

import math

LONG_TIMES = ((31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "hours"))  # each from two of them on
UNITS_OF_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def size(nbytes: float) -> str:
    """Bytes with at most three significant digits.

    >>> size(91_912_000_000), size(300 * 2**20), size(512)
    ('85.6 GiB', '300 MiB', '512 B')
    """
    value = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 999.5:
            return f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} TiB"


def duration(seconds: float) -> str:
    """Seconds with at most three significant digits, in the unit that suits them.

    >>> duration(32.4), duration(0.0015), duration(450.2), duration(0.0)
    ('32.4 s', '1.5 ms', '450 s', '0 s')
    >>> duration(60_965_225 * 0.41), duration(1e12)
    ('289 days', '31 700 years')
    """
    for scale, unit in LONG_TIMES:
        if seconds >= 2 * scale:
            return f"{_short(seconds / scale)} {unit}" if math.isfinite(seconds) else f"{seconds}"
    for scale, unit in UNITS_OF_TIME:
        if seconds >= 0.9995 * scale:
            return f"{_short(seconds / scale)} {unit}"
    return "0 s"


def count(number: float) -> str:
    """A whole number in groups of three digits.

    >>> count(301067.0)
    '301 067'
    """
    return f"{round(number):,}".replace(",", " ") if math.isfinite(number) else f"{number}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s unless it is one.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1 200 cases')
    """
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _short(value: float) -> str:
    """Three significant digits, never in powers of ten, without trailing noughts."""
    if value >= 999.5:
        return count(float(f"{value:.3g}"))
    return f"{value:.3g}"
