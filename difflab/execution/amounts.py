"""Seconds and counts in messages, as people say them; it needs no NumPy, so any process may say them."""

from __future__ import annotations

import math

LONG_TIMES = ((31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "hours"))  # each from two of them on
UNITS_OF_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """Seconds with at most three significant digits, in the unit that suits them.

    >>> duration(32.4), duration(0.0015), duration(450.2), duration(0.0)
    ('32.4 s', '1.5 ms', '450 s', '0 s')
    >>> duration(60_965_225 * 0.41), duration(1e12)
    ('289 days', '31 700 years')
    """
    for scale, unit in LONG_TIMES:
        if seconds >= 2 * scale:
            return f"{short(seconds / scale)} {unit}" if math.isfinite(seconds) else f"{seconds}"
    for scale, unit in UNITS_OF_TIME:
        if seconds >= 0.9995 * scale:
            return f"{short(seconds / scale)} {unit}"
    return "0 s"


def count(number: float) -> str:
    """A whole number in groups of three digits.

    >>> count(301067.0)
    '301 067'
    """
    return f"{round(number):,}".replace(",", " ") if math.isfinite(number) else f"{number}"


def short(value: float) -> str:
    """Three significant digits, never in powers of ten, without trailing noughts.

    >>> short(1234.5), short(0.25)
    ('1 230', '0.25')
    """
    if value >= 999.5:
        return count(float(f"{value:.3g}"))
    return f"{value:.3g}"
