"""Numbers as people read them: three significant digits, SI units, and a dash-free word where there is no number."""

from __future__ import annotations

import math

from ..execution.amounts import LONG_TIMES

TIMES = "\N{MULTIPLICATION SIGN}"
MICRO = "\N{MICRO SIGN}"
NOTHING = "n/a"
UNKNOWN = "\N{EN DASH}"
RESOLUTION = 2.0**18  # bytes; smaller peaks differ by what the system hands out, not by what was computed
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def grouped(value: float) -> str:
    """An integer with spaces between its groups of three digits: ``12 345``."""
    return f"{round(value):,}".replace(",", " ")


def significant(value: float, digits: int = 3) -> str:
    """A number of ordinary size with some significant digits, never in powers of ten."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if decimals <= 0:
        return grouped(rounded)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))  # 9.996 -> 10.0, not 10.00
    return f"{rounded:.{decimals}f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """The value in the largest unit that leaves at least 1 after rounding to three digits."""
    for size, unit in units[:-1]:
        if abs(value) / size >= 0.9995:
            return f"{significant(value / size)} {unit}"
    size, unit = units[-1]
    return f"{significant(value / size)} {unit}"


LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, f"{MICRO}s"), (1e-9, "ns"))
BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def seconds(value: float | None) -> str:
    """A time in years, days, hours, s, ms, microseconds or ns: ``412 us`` is written with the sign for micro.

    >>> seconds(0.0123), seconds(2.5e7)
    ('12.3 ms', '289 days')
    """
    for size, unit in LONG_TIMES:
        if value is not None and 2 * size <= value < math.inf:
            return f"{significant(value / size)} {unit}"
    return _scaled(value, SECONDS) if value is not None and math.isfinite(value) else NOTHING


def size_in_bytes(value: float | None) -> str:
    """A size in B, KiB, MiB, GiB or TiB.

    >>> size_in_bytes(3 * 2**20)
    '3.00 MiB'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{round(value)} B" if abs(value) < 1023.5 else _scaled(value, BYTES)


def peak(value: float | None) -> str:
    """A peak of memory; below what can be told apart, only that.

    >>> peak(4096.0)
    '< 256 KiB'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"< {trimmed(size_in_bytes(RESOLUTION))}" if value < RESOLUTION else size_in_bytes(value)


def interval(low: float | None, high: float | None) -> str:
    """Two times, the unit once where it is the same: ``405 to 420 us``; empty when there is no interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    first, unit = seconds(low).rsplit(" ", 1)
    last, last_unit = seconds(high).rsplit(" ", 1)
    return f"{first} to {last} {unit}" if unit == last_unit else f"{first} {unit} to {last} {last_unit}"


def trimmed(text: str) -> str:
    """A round number without its noughts: ``10 s`` for ``10.0 s``, for limits and ticks."""
    number, _, unit = text.rpartition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def digits(value: float | None) -> str:
    """Correct decimal digits, with one decimal and never below nought."""
    return f"{max(0.0, value):.1f}" if value is not None and math.isfinite(value) else NOTHING


def factor(value: float | None) -> str:
    """A ratio with two significant digits, three near 1 and from 100 on: ``2.9``, ``1.04``, ``41``, ``1 230``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return significant(value, 2 if 0.01 <= abs(value) < 100 and not 0.9 <= value <= 1.1 else 3)


def times(value: float | None) -> str:
    """A ratio with the sign of multiplication behind it.

    >>> times(2.94) == f"2.9 {TIMES}"
    True
    """
    return f"{factor(value)} {TIMES}"


def count(value: float | None) -> str:
    """A whole number with grouped digits."""
    return grouped(value) if value is not None and math.isfinite(value) else NOTHING


def scientific(value: float | None) -> str:
    """Two significant digits and a power of ten, ``3.1e-16``; exactly nought is ``0``."""
    if value is None or math.isnan(value):
        return NOTHING
    if value == 0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else "infinite"


def ulps(value: float | None) -> str:
    """An error in units of the last place: two digits below ten, whole above, a power of ten from a million on.

    >>> ulps(0.52), ulps(431.2), ulps(3.2e9)
    ('0.52', '431', '3.2e+09')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return scientific(value) if value >= 1e6 else significant(value, 2) if value < 10 else grouped(value)


def power_of_ten(exponent: int) -> str:
    """``10`` with a raised exponent, in characters that every font has."""
    return "1" if exponent == 0 else "10" + str(exponent).translate(SUPERSCRIPTS)


def scaled(value: float | None) -> str:
    """Two significant digits times a raised power of ten, for prose: no line breaks in it.

    >>> scaled(1e-5), scaled(3.2)
    ('10⁻⁵', '3.2')
    """
    if not value or not math.isfinite(value):
        return scientific(value)
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = power_of_ten(int(exponent))
    if power == "1":
        return mantissa.removesuffix(".0")
    return power if mantissa == "1.0" else f"{mantissa.removesuffix('.0')}{TIMES}{power}"


def large(value: float | None) -> str:
    """A count for prose: grouped below a million, then in millions, billions and trillions, then a power of ten.

    >>> large(7940), large(2**36), large(1e20)
    ('7 940', '68.7 billion', '10²⁰')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    for size, name in LARGE:
        if abs(value) >= 0.9995 * size:  # what rounds to one of them
            return f"{significant(value / size)} {name}" if abs(value) < 999.5 * size else scaled(value)
    return grouped(value)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 case``, ``3 cases``."""
    return f"{grouped(number)} {noun if number == 1 else plural or noun + 's'}"


def parameters(number: int) -> str:
    """``330 parameters``; a dash where nobody has counted them yet."""
    return counted(number, "parameter") if number else UNKNOWN


def listed(words: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
