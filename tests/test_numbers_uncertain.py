"""A number with its interval: what is read back lies within rounding of what was measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.report import numbers
from difflab.report.numbers import LONG_TIMES, MINUS, NOTHING, PLUS_MINUS, SECONDS
from difflab.report.templating import tight

UNITS = {unit: size for size, unit in (*LONG_TIMES, *SECONDS)}
NUMBER = r"\d[\d ]*(?:\.\d+)?"
PLUS_AND_MINUS = re.compile(rf"({NUMBER}) {PLUS_MINUS} ({NUMBER}) (\S+)")
APART = re.compile(rf"({NUMBER}) (\S+?)(?:,)? \(?\+({NUMBER}) {MINUS}({NUMBER})\)?")
OUTSIDE = re.compile(rf"({NUMBER}) (\S+) \(({NUMBER}|-{NUMBER}) to ({NUMBER}|-{NUMBER})\)")

magnitudes = st.floats(-12, 9).map(lambda power: 10.0**power)
shares = st.one_of(st.just(0.0), st.floats(-7, 1).map(lambda power: 10.0**power))


def plain(text: str) -> float:
    return float(text.replace(" ", ""))


def place(text: str) -> float:
    """What one unit of the last digit shown is worth; noughts before the point may be digits that were rounded away."""
    digits = text.replace(" ", "")
    if "." in digits:
        return 10.0 ** -len(digits.partition(".")[2])
    return 10.0 ** (len(digits) - len(digits.rstrip("0"))) if digits.strip("0") else 1.0


def read_back(text: str) -> tuple[float, float, float, float]:
    """Value, distance below, distance above and the worth of the coarsest last digit, all in seconds."""
    if found := PLUS_AND_MINUS.fullmatch(text):
        size = UNITS[found[3]]
        return plain(found[1]) * size, plain(found[2]) * size, plain(found[2]) * size, size * max(
            place(found[1]), place(found[2])
        )  # fmt: skip
    found = APART.fullmatch(text)
    assert found, text
    size = UNITS[found[2]]
    last = size * max(place(found[k]) for k in (1, 3, 4))
    return plain(found[1]) * size, plain(found[4]) * size, plain(found[3]) * size, last


@given(magnitudes, shares, shares, st.booleans())
def test_what_is_read_back_lies_within_rounding(value: float, below: float, above: float, brackets: bool) -> None:
    low, high = value * (1 - below), value * (1 + above)
    text = numbers.measured(value, low, high, brackets)
    shown, under, over, last = read_back(text)
    assert abs(shown - value) <= 0.51 * last
    # A half width stands for both sides: the smaller one may be wider in print, by one digit of the last place.
    assert -0.51 * last <= under - (value - low) <= 1.51 * last
    assert -0.51 * last <= over - (high - value) <= 1.51 * last


@given(magnitudes, shares, shares)
def test_no_more_digits_than_the_interval_supports(value: float, below: float, above: float) -> None:
    widest = value * max(below, above)
    text = numbers.measured(value, value * (1 - below), value * (1 + above))
    head = re.match(NUMBER, text)
    assert head
    digits = head[0].replace(" ", "").replace(".", "").lstrip("0")
    assert len(digits) <= max(numbers.MOST_DIGITS, len(str(round(value / UNITS[text_unit(text)]))))
    if "." in head[0] and 0 < below == above and widest / value < 0.5:
        assert place(head[0]) * UNITS[text_unit(text)] >= widest / 100.1, "two digits of the half width"


def text_unit(text: str) -> str:
    return next(unit for unit in sorted(UNITS, key=len, reverse=True) if re.search(rf"\d {unit}\b", text))


@given(magnitudes, shares, shares, st.booleans())
def test_units_are_never_mixed(value: float, below: float, above: float, brackets: bool) -> None:
    text = numbers.measured(value, value * (1 - below), value * (1 + above), brackets)
    assert len(re.findall(rf"(?<=[\d ])(?:{'|'.join(UNITS)})\b", text)) == 1, text
    both = numbers.measured_apart(value, value * (1 - below), value * (1 + above))
    assert len({part.rsplit(" ", 1)[1] for part in both}) == 1


@given(magnitudes, magnitudes, st.floats(-4, -1).map(lambda power: 10.0**power))
def test_the_order_of_values_is_kept(one: float, other: float, share: float) -> None:
    texts = [numbers.measured(value, value * (1 - share), value * (1 + share)) for value in sorted((one, other))]
    small, large = (read_back(text) for text in texts)
    assert small[0] <= large[0] + 0.51 * max(small[3], large[3])


@given(magnitudes, st.floats(1.001, 50), st.floats(1.001, 50))
def test_an_interval_beside_the_value_is_written_as_what_it_is(value: float, nearer: float, further: float) -> None:
    """The median of other samples than the interval's: no distance may be read as a half width."""
    for low, high in (
        (value * nearer, value * nearer * further), (value / (nearer * further), value / nearer),
    ):  # fmt: skip
        text = numbers.measured(value, low, high)
        found = OUTSIDE.fullmatch(text)
        assert found, text
        size = UNITS[found[2]]
        last = size * max(place(found[k].lstrip("-")) for k in (1, 3, 4))
        for k, expected in ((1, value), (3, low), (4, high)):
            assert abs(plain(found[k]) * size - expected) <= 0.51 * last


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (28.7e-6, 28.3e-6, 29.1e-6, "28.70 ± 0.40 µs"),
        (28.7e-6, 28.34e-6, 29.14e-6, "28.7 ± 0.4 µs"),  # 0.36 and 0.44 read the same with one digit, not with two
        (28.7e-6, 23.3e-6, 41.2e-6, "28.7 µs, +12.5 @5.4"),
        (5.53e-3, 5.40e-3, 5.67e-3, "5.53 ± 0.14 ms"),  # 0.13 and 0.14 are neighbours: the larger stands for both
        (1.0, 1.0, 1.0, "1.00 ± 0.00 s"),
        (28.7e-6, 1e-6, 3.0, "29 µs, +3 000 000 @28"),
        (999.9e-6, 9e-4, 1.1e-3, "1.00 ± 0.10 ms"),
        (7300.0, 7000.0, 7600.0, "2.028 ± 0.083 hours"),
        (28.7e-6, None, 29e-6, "28.7 µs"),
        (28.7e-6, math.nan, 29e-6, "28.7 µs"),
        (28.7e-6, 28e-6, math.inf, "28.7 µs"),
        (None, 1.0, 2.0, NOTHING),
        (math.nan, 1.0, 2.0, NOTHING),
        (math.inf, 1.0, 2.0, NOTHING),
    ],
)
def test_examples(value: float | None, low: float | None, high: float | None, text: str) -> None:
    assert numbers.measured(value, low, high) == text.replace("@", MINUS)


def test_running_text_has_brackets_and_two_digits() -> None:
    assert numbers.measured(28.7e-6, 23.3e-6, 41.2e-6, brackets=True) == f"29 µs (+12 {MINUS}5)"
    assert numbers.measured(28.7e-6, 28.3e-6, 29.1e-6, brackets=True) == "28.70 ± 0.40 µs"


def test_two_cells_are_one_number() -> None:
    assert numbers.measured_apart(28.7e-6, 28.3e-6, 29.1e-6) == ("28.70 µs", "± 0.40 µs")
    assert numbers.measured_apart(28.7e-6, 23.3e-6, 41.2e-6) == ("28.7 µs", f"+12.5 {MINUS}5.4 µs")
    assert numbers.measured_apart(28.7e-6, None, None) == ("28.7 µs", "")
    assert numbers.measured_apart(28.7e-6, None, None, "n/a") == ("28.7 µs", "n/a")


def test_ratios_have_no_unit() -> None:
    assert numbers.measured_factor(39.2, 37.1, 41.3) == "39.2 ± 2.1"
    assert numbers.measured_factor(4510.0, 4420.0, 4600.0) == "4 510 ± 90"
    assert numbers.measured_factor(0.67, 0.66, 0.81, brackets=True) == f"0.67 (+0.14 {MINUS}0.01)"
    assert numbers.measured_factor(39.2, None, None) == "39"
    assert numbers.measured_factor(None, 1.0, 2.0) == NOTHING


def test_no_line_breaks_within_a_number_and_its_uncertainty() -> None:
    space = "\N{NO-BREAK SPACE}"
    assert tight("28.7 ± 0.4 µs") == f"28.7{space}±{space}0.4{space}µs"
    assert tight(f"27.2 µs (+5.0 {MINUS}1.5) at") == f"27.2{space}µs (+5.0{space}{MINUS}1.5) at"
