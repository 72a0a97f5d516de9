"""Numbers as people read them: three significant digits, SI units, and a dash-free word where there is no number."""

from __future__ import annotations

import math

from ..execution.amounts import LONG_TIMES

TIMES = "\N{MULTIPLICATION SIGN}"
MICRO = "\N{MICRO SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
MINUS = "\N{MINUS SIGN}"
MOST_DIGITS = 5  # of a value with an interval, however narrow that is
SIDE_DIGITS = 3  # of each distance of a lopsided interval at most
CLEAR_DIGIT = 3  # from here on, one digit of an uncertainty is within a sixth of it
NOTHING = "n/a"
UNKNOWN = "\N{EN DASH}"
RESOLUTION = 2.0**18  # bytes; smaller peaks differ by what the system hands out, not by what was computed
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def signed(text: str) -> str:
    """A number in digits whose sign is a minus, not a hyphen."""
    return text.replace("-", MINUS)


def grouped(value: float) -> str:
    """An integer with spaces between its groups of three digits: ``12 345``."""
    return signed(f"{round(value):,}".replace(",", " "))


def significant(value: float, digits: int = 3) -> str:
    """A number of ordinary size with some significant digits, never in powers of ten."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if decimals <= 0:
        return grouped(rounded)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))  # 9.996 -> 10.0, not 10.00
    return signed(f"{rounded:.{decimals}f}")


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


def measured(value: float | None, low: float | None, high: float | None, brackets: bool = False) -> str:
    """A time with its interval, in one unit: as many digits as the interval supports, at most five.

    Args:
        value: seconds.
        low: lower end of the interval, in seconds; without both ends the value stands alone, with three digits.
        high: upper end.
        brackets: for running text: the distances of a lopsided interval stand in brackets, with two digits at most.

    Returns:
        The half width behind the sign where both sides read the same, otherwise both distances.

    >>> measured(28.7e-6, 28.3e-6, 29.1e-6) == f"28.70 {PLUS_MINUS} 0.40 {MICRO}s"
    True
    >>> measured(0.0287, 0.0233, 0.0412) == f"28.7 ms, +12.5 {MINUS}5.4"
    True
    """
    ends = _ends(low, high)
    if value is None or not math.isfinite(value) or ends is None:
        return seconds(value)
    size, unit = _time_unit(value)
    return _joined(*_uncertain(value, ends, size, brackets), f" {unit}", brackets)


def measured_apart(value: float | None, low: float | None, high: float | None, nothing: str = "") -> tuple[str, str]:
    """A time and its uncertainty as two texts of one unit, for two cells.

    Args:
        value: seconds.
        low: lower end of the interval, in seconds.
        high: upper end.
        nothing: the second text where there is no interval.

    >>> measured_apart(0.0287, 0.0283, 0.0291) == ("28.70 ms", f"{PLUS_MINUS} 0.40 ms")
    True
    """
    ends = _ends(low, high)
    if value is None or not math.isfinite(value) or ends is None:
        return seconds(value), nothing
    size, unit = _time_unit(value)
    text, around = _uncertain(value, ends, size, brackets=False)
    return f"{text} {unit}", f"{around} {unit}"


def measured_factor(value: float | None, low: float | None, high: float | None, brackets: bool = False) -> str:
    """A ratio with its interval, as ``measured`` writes a time; without an interval it is ``factor`` of it.

    >>> measured_factor(39.2, 37.1, 41.3) == f"39.2 {PLUS_MINUS} 2.1"
    True
    """
    ends = _ends(low, high)
    if value is None or not math.isfinite(value) or ends is None:
        return factor(value)
    return _joined(*_uncertain(value, ends, 1.0, brackets), "", brackets)


def _ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    """The ends of an interval in their order, if there is one."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return min(low, high), max(low, high)


def _time_unit(value: float) -> tuple[float, str]:
    """The unit in which ``seconds`` writes a time."""
    for size, unit in LONG_TIMES:
        if value >= 2 * size:
            return size, unit
    return next(((size, unit) for size, unit in SECONDS if abs(value) / size >= 0.9995), SECONDS[-1])


def _joined(text: str, around: str, unit: str, brackets: bool) -> str:
    """A number and what stands around it as one text with one unit."""
    if around.startswith(PLUS_MINUS):
        return f"{text} {around}{unit}"
    return f"{text}{unit} ({around})" if brackets or not around.startswith("+") else f"{text}{unit}, {around}"


def _uncertain(value: float, ends: tuple[float, float], size: float, brackets: bool) -> tuple[str, str]:
    """The value, and both distances to the ends, in a unit of this size and to the same place."""
    number, below, above = value / size, (value - ends[0]) / size, (ends[1] - value) / size
    if min(below, above) < 0:  # the interval of something else than this value, as of a median of other samples
        places = _places(number, above + below)
        return _decimal(number, places), " to ".join(_decimal(end / size, places) for end in ends)
    widest, narrowest = max(below, above), min(below, above)
    places = _places(number, widest if brackets or narrowest < widest / 10 else narrowest or widest)
    coarse = _places(number, widest, digits=1)
    clear = round(widest * 10.0**coarse) >= CLEAR_DIGIT
    if clear and _level(above, below, coarse) and not _level(above, below, places):
        places = coarse
    text = _decimal(number, places)
    if _level(above, below, places) or _level(above, below, places, apart=1):
        return text, f"{PLUS_MINUS} {_decimal(widest, places)}"
    sides = [_decimal(side, places, SIDE_DIGITS) for side in (above, below)]
    return text, f"+{sides[0]} {MINUS}{sides[1]}"


def _level(one: float, other: float, places: int, apart: int = 0) -> bool:
    """Whether two distances read the same, or as neighbours, when rounded to so many decimals."""
    return abs(round(one * 10.0**places) - round(other * 10.0**places)) <= apart


def _places(number: float, side: float, digits: int = 2) -> int:
    """How many decimals so many digits of a distance have; at least two, at most five digits of the number are left."""
    magnitude = math.floor(math.log10(abs(number))) if number else 0
    most = MOST_DIGITS - 1 - magnitude
    if not side:  # the digits that a number without an interval has
        return most + 3 - MOST_DIGITS
    places = digits - 1 - math.floor(math.log10(side))
    if round(side * 10.0**places) >= 10**digits:  # 0.0996 has two digits as 0.10
        places -= 1
    return max(min(places, most), 1 - magnitude)


def _decimal(value: float, places: int, most: int = 0) -> str:
    """A number rounded to so many decimals, to tens and more where they are negative; to ``most`` digits, if any."""
    if most and value > 0:
        places = min(places, most - 1 - math.floor(math.log10(value)))
    return signed(f"{value:,.{places}f}".replace(",", " ")) if places > 0 else grouped(round(value, places))


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
