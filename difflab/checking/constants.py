"""Names for factors: 64 is the number of rows of x, 2.302585 the logarithm of 10."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..tape import Tape

KNOWN = {
    "ln 10": math.log(10.0),
    "ln 2": math.log(2.0),
    "pi": math.pi,
    "2 pi": 2 * math.pi,
    "sqrt(2)": math.sqrt(2.0),
    "sqrt(2 pi)": math.sqrt(2 * math.pi),
}
SIMPLE = (2.0, 3.0, 4.0)
MOST = 3


@dataclass(frozen=True)
class Constants:
    """What a factor may stand for: sizes of arrays, and numbers that the loss is given or contains.

    ``sizes``: (size, what has it) in the order of preference; ``divisors``: sizes by which the loss divides;
    ``numbers``: (value, what it is); ``own``: sizes that only the parameters have, of which less is believed.
    """

    sizes: list[tuple[int, str]] = field(default_factory=list)
    divisors: frozenset[int] = frozenset()
    numbers: list[tuple[float, str]] = field(default_factory=list)
    own: frozenset[int] = frozenset()

    def named(self, factor: float, slack: float) -> list[str]:
        """What a factor ``given / true`` can mean, the likeliest first."""
        sign, size = ("with the wrong sign, " if factor < 0 else ""), abs(factor)

        def near(value: float) -> bool:
            return abs(size - value) <= max(slack, 1e-12) * size

        for readings in (self._plain, self._compound, self._numbers):
            if found := list(dict.fromkeys(readings(near))):
                return [f"{sign}{one}" for one in found[:MOST]]
        return []

    def _plain(self, near: Callable[[float], bool]) -> Iterator[str]:
        """Sizes by which the loss divides, small numbers, other sizes."""
        for count, what in self.sizes:
            if count in self.divisors and near(count):
                yield f"a missing 1/N ({what})"
        yield from self._small(near, SIMPLE[:1])
        for count, what in self.sizes:
            for right in self.divisors:
                if count != right and count > 4 and near(right / count):
                    yield f"divided by {count} where {right} is right ({what})"
        yield from self._small(near, SIMPLE[1:])
        for count, what in self.sizes:
            if near(count):
                yield f"a missing 1/N ({what})"
            elif near(1 / count):
                yield f"divided by N once too often ({what})"

    def _small(self, near: Callable[[float], bool], numbers: Sequence[float]) -> Iterator[str]:
        for small in numbers:
            if near(small):
                yield f"a factor {small:g} too much"
            if near(1 / small):
                yield f"a missing factor {small:g}"

    def _compound(self, near: Callable[[float], bool]) -> Iterator[str]:
        for count, what in sorted(self.sizes, key=lambda one: one[0] not in self.divisors):
            if count in self.own:
                continue
            if near(2 * count):
                yield f"a missing 1/N and a factor 2 too much ({what})"
            elif near(1 / (2 * count)):
                yield f"divided by N once too often and a missing factor 2 ({what})"
            elif near(count / 2):
                yield f"a missing 2/N ({what})"
            elif near(2 / count):
                yield f"divided by N once too often and a factor 2 too much ({what})"
            elif count > 2 and near(count / (count - 1)):
                yield f"divided by N - 1 in place of N ({what})"
            elif count > 2 and near((count - 1) / count):
                yield f"divided by N in place of N - 1 ({what})"

    def _numbers(self, near: Callable[[float], bool]) -> Iterator[str]:
        """Numbers of the loss, well-known ones, quotients of sizes."""
        for value, what in [*self.numbers, *[(number, name) for name, number in KNOWN.items()]]:
            magnitude = abs(value)
            if magnitude in (0.0, 1.0):
                continue
            if near(1 / magnitude):
                yield f"a missing factor {what}"
            elif near(magnitude):
                yield f"a factor {what} too much"
        for right, what in self.sizes:
            for wrong, other in self.sizes:
                if right != wrong and near(right / wrong):
                    yield f"divided by {wrong} where {right} is right ({other}, and {what})"


def constants(leaves: Sequence[Any], names: Sequence[str], wrt: Sequence[int], tape: Tape | None) -> Constants:
    """Sizes and numbers of the arguments, data first, and of what the loss closes over."""
    data = [(names[i], np.asarray(leaf)) for i, leaf in enumerate(leaves) if i not in wrt]
    if tape is not None:
        data += [("a constant of the loss", np.asarray(value)) for value in tape.constants.values()]
    blocks = [(names[i], np.asarray(leaves[i])) for i in wrt]
    divisors = _divisors(tape) if tape is not None else []
    sizes: dict[int, str] = {}
    for name, array in data:
        if array.ndim:
            sizes.setdefault(array.shape[0], f"{name} has {array.shape[0]} {'rows' if array.ndim > 1 else 'entries'}")
    for count in divisors:
        sizes.setdefault(count, f"the loss divides by {count}")
    known: set[int] = set()
    for arrays in (data, blocks):
        known = set(sizes)
        for name, array in arrays:
            sizes.setdefault(array.size, f"{name} has {array.size} entries")
            for axis, size in enumerate(array.shape):
                sizes.setdefault(size, f"axis {axis} of {name} has size {size}")
    own = frozenset(sizes.keys() - known)
    if tape is not None:
        for count, name in _broadcast(tape, [(tape.inputs[i], names[i]) for i in wrt]):
            sizes.setdefault(count, f"{name} is broadcast over {count} entries")
    numbers = [(float(array), f"{float(array):g} ({name})") for name, array in data if _number(array)]
    if tape is not None:
        numbers += [
            (float(value), f"{float(value):g} (a number in the loss)")
            for value in tape.literals.values()
            if isinstance(value, int | float | np.number) and not isinstance(value, bool)
        ]
    return Constants([(size, what) for size, what in sizes.items() if size > 1], frozenset(divisors), numbers, own)


def _broadcast(tape: Tape, variables: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """How many entries each variable is repeated over by broadcasting."""
    for number, name in variables:
        small = math.prod(tape.avals[number].shape)
        for equation in tape.equations:
            size = math.prod(tape.avals[equation.output].shape)
            if number in equation.inputs and equation.primitive.kind == "elementwise" and small and size > small:
                yield size // small, name


def _divisors(tape: Tape) -> list[int]:
    """Whole numbers by which the loss divides: means, and sizes written out."""
    found: dict[int, None] = {}
    for equation in tape.equations:
        divisor = tape.literals.get(equation.inputs[1]) if equation.primitive.name == "divide" else None
        if divisor is not None and float(divisor).is_integer() and divisor > 1:
            found[int(divisor)] = None
    return list(found)


def _number(array: np.ndarray) -> bool:
    return array.shape == () and array.dtype.kind in "fiu"


def shown(factor: float) -> str:
    """A factor as people write it: -1, 1/64, 0.731."""
    if factor and abs(factor) < 1 and not math.isclose(abs(factor), 0.5):
        inverse = 1 / factor
        if math.isclose(inverse, round(inverse), rel_tol=1e-6) and abs(inverse) < 1e7:
            return str(Fraction(1, round(inverse)))
    nearest = round(factor)
    if nearest and math.isclose(factor, nearest, rel_tol=1e-6) and abs(nearest) < 1e7:
        return str(nearest)
    return f"{factor:.4g}"


def round_off(factor: float) -> float:
    """A factor without the noise in its last digits where it is a simple number."""
    for small in range(1, 17):
        if abs(factor * small - round(factor * small)) <= 1e-6 * abs(factor * small):
            return round(factor * small) / small
    return factor
