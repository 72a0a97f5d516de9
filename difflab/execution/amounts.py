"""Seconds, bytes and counts as people say and write them; it needs no NumPy, so any process may say them."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

from ..errors import InputError

LONG_TIMES = ((31_557_600.0, "years"), (86_400.0, "days"), (3_600.0, "hours"))  # each from two of them on
UNITS_OF_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9}
AMOUNT = re.compile(r"\s*(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(e[-+]?\d{1,3})?\s*([^\W\d_]*)\s*", re.IGNORECASE)


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


def read_size(text: str) -> int | None:
    """Bytes from a text such as "200 MB", or ``None`` where it is none; a number alone is bytes.

    >>> read_size("200 MB"), read_size("1.5GiB"), read_size("4096"), read_size("2 pounds")
    (200000000, 1610612736, 4096, None)
    """
    found = read_amount(text, UNITS, "B")
    return None if found is None else int(found)


def limit_of(what: str, given: Any) -> int | None:
    """Bytes of a limit that was given as bytes or as a text; ``None`` where none was.

    >>> limit_of("memory", "2 kB"), limit_of("memory", 4096), limit_of("memory", None)
    (2000, 4096, None)

    Raises:
        InputError: it is neither, or not positive.
    """
    nbytes = read_size(given) if isinstance(given, str) else given
    if given is None:
        return None
    if isinstance(nbytes, bool) or not isinstance(nbytes, numbers.Integral) or nbytes < 1:
        raise InputError(f"{what}={given!r}: give bytes, or a text such as '200 MB' or '1 GiB'")
    return int(nbytes)


def read_amount(text: str, units: dict[str, float] | dict[str, int], usual: str) -> float | None:
    """A number in a unit, or ``None`` where the text is none; a number alone is in the usual unit.

    >>> read_amount("2 kB", UNITS, "B"), read_amount("2 miles", UNITS, "B")
    (2000.0, None)
    """
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
