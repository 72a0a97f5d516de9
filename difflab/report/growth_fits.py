"""How the time and the memory of each backend grow with the number of parameters, and what theory has for the time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import numbers, power_laws
from .cases import YARDSTICKS, Case, Group, family_of
from .claims.exponents import THEORY
from .power_laws import Fit

APART = 0.1  # exponents that differ by less are not told apart
SENTENCE = {0.0: "a constant number of losses", 1.0: "one loss per parameter"}

Values = Callable[[Case], Sequence[float]]


@dataclass(frozen=True)
class Growth:
    """The power law of one backend.

    ``least`` and ``most`` are the exponents from one size to the next; ``loss`` is the exponent of the loss over the
    same sizes and ``over`` that of the work ratio with its interval, where both are known.
    """

    backend: str
    family: str
    fit: Fit
    least: float
    most: float
    loss: float | None = None
    over: Fit | None = None

    @property
    def theory(self) -> float | None:
        """The exponent of a gradient's time in theory: that of the loss, or one more."""
        own = THEORY.get(self.family)
        return None if own is None or self.loss is None else self.loss + own

    @property
    def parts(self) -> float | None:
        """By how much the exponent differs from that of theory; ``None`` where it does not beyond its interval."""
        if self.theory is None or self.over is None:
            return None
        expected, over = THEORY[self.family], self.over
        apart = over.exponent - expected
        held = over.low is not None and over.high is not None and over.low <= expected <= over.high
        return None if held or abs(apart) < APART else apart

    @property
    def power(self) -> str:
        """The exponent with its interval, or without one with what it is from size to size."""
        fit = self.fit
        if fit.low is not None and fit.high is not None:
            return numbers.measured_factor(fit.exponent, fit.low, fit.high, brackets=True)
        return f"{fit.exponent:.2f} ({self.least:.2f} to {self.most:.2f})"

    @property
    def range(self) -> str:
        """Through how many sizes the law is put: ``3 sizes from 610 to 9 610 parameters``."""
        sizes = self.fit.sizes
        return f"{len(sizes)} sizes from {numbers.grouped(sizes[0])} to {numbers.parameters(sizes[-1])}"

    @property
    def words(self) -> str:
        """The law, and through how many sizes it is put."""
        return f"n^{self.power}, {self.range}"


@dataclass(frozen=True)
class Guide:
    """A line of theory: from ``first`` to ``last``, each a number of parameters and a value; ``text`` says whose."""

    first: tuple[float, float]
    last: tuple[float, float]
    text: str


def times(group: Group, value: Callable[[Case], float | None]) -> list[Growth]:
    """The growth of the time of each backend.

    Args:
        group: cases that may be compared.
        value: the time of a case that finished.
    """

    def calls(case: Case) -> Sequence[float]:
        return [call for call, _ in case.medians] or [value(case) or 0.0]

    def losses(case: Case) -> Sequence[float]:
        return [loss for _, loss in case.medians] or ([case.primal_s] if case.primal_s else [])

    def works(case: Case) -> Sequence[float]:
        return [call / loss for call, loss in zip(calls(case), losses(case), strict=False) if loss > 0]

    found = []
    gradient = all(case.operator in ("", "gradient") for case in group.cases)
    for growth in fitted(group, value, calls):
        own = [case for case in group.of(growth.backend) if case.n_params in growth.fit.sizes]
        loss = over = None
        if gradient and all(losses(case) and works(case) for case in own):
            loss = power_laws.fit([(case.n_params, losses(case)) for case in own])
            over = power_laws.fit([(case.n_params, works(case)) for case in own])
        found.append(
            Growth(
                growth.backend, growth.family, growth.fit, growth.least, growth.most, loss.exponent if loss else None,
                over,
            )
        )  # fmt: skip
    return found


def fitted(group: Group, value: Callable[[Case], float | None], values: Values | None = None) -> list[Growth]:
    """The power law of each backend through the sizes at which growth has set in, where there are three of them.

    Args:
        group: cases that may be compared.
        value: what is measured of a case, ``None`` for one without.
        values: the same for each process; by default there is one.
    """
    found = []
    for name in dict.fromkeys(case.backend for case in group.cases):
        own = [(case, known) for case in group.of(name) if case.n_params and (known := value(case)) is not None]
        if not own or family_of(own[0][0]) == "null":
            continue
        middles = [(case.n_params, known) for case, known in own]
        points = [(case.n_params, values(case) if values else [known]) for case, known in own]
        fit = power_laws.fit([point for point in points if point[0] in _growing(middles)])
        if fit is not None:
            least, most = power_laws.steps([(n, known) for n, known in middles if n in fit.sizes])
            found.append(Growth(name, family_of(own[0][0]), fit, least, most))
    return found


def _growing(points: Sequence[tuple[int, float]]) -> set[int]:
    """The sizes at which growth has set in: those of at least twice the smallest value, or all if every step doubles.

    The smallest size may spend all of its time on what does not grow, so it counts only where two others are left and
    nothing says that growth begins later.
    """
    first = power_laws.onset(points)
    beyond = {n for n, _ in points if first is not None and n >= first}
    ordered = [value for _, value in sorted(points)]
    doubles = all(after >= power_laws.SHARE * before for before, after in itertools.pairwise(ordered))
    return {n for n, _ in points} if len(beyond) < power_laws.LEAST and doubles else beyond


def guides(found: Sequence[Growth]) -> list[Guide]:
    """Lines with the slopes of theory: through the middle of one backend that it is about, for each of its two laws.

    Args:
        found: the growth of the backends of one group.
    """
    made = []
    for law, sentence in SENTENCE.items():
        own = [growth for growth in found if growth.theory is not None and THEORY[growth.family] == law]
        own.sort(key=lambda growth: growth.family in YARDSTICKS)
        if own:
            fit, slope = own[0].fit, own[0].theory or 0.0
            middle = math.exp(sum(map(math.log, fit.sizes)) / len(fit.sizes))
            height = fit.factor * middle**fit.exponent
            ends = [(float(n), height * (n / middle) ** slope) for n in (fit.sizes[0], fit.sizes[-1])]
            made.append(Guide(ends[0], ends[1], f"theory, {sentence}: n^{slope:.2f}, drawn through {own[0].backend}"))
    return made


def sentences(found: Sequence[Growth], what: str) -> list[str]:
    """What was fitted and what theory has, in sentences; empty where nothing was fitted.

    Args:
        found: the growth of the backends of one group.
        what: grows, such as "Time".
    """
    if not found:
        return []
    ranges = dict.fromkeys(growth.range for growth in found)
    laws = [
        f"{numbers.listed([f'{one.backend} n^{one.power}' for one in found if one.range == which])}, over {which}"
        for which in ranges
    ]
    said = [f"{what} grows as {'; as '.join(laws)}."]
    known = [growth for growth in found if growth.theory is not None]
    expected = []
    for law, sentence in SENTENCE.items():
        own = [growth for growth in known if THEORY[growth.family] == law]
        if own:
            slopes = sorted({f"{growth.theory or 0.0:.2f}" for growth in own})
            among = slopes[0] if len(slopes) == 1 else f"{slopes[0]} to {slopes[-1]}"
            expected.append(f"{sentence}, n^{among}, for {numbers.listed([growth.backend for growth in own])}")
    if expected:
        said.append(f"In theory a gradient costs {'; '.join(expected)}.")
        apart = [(growth.backend, growth.parts) for growth in known if growth.parts is not None]
        parts = [f"of {name} by {'+' if by > 0 else numbers.MINUS}{abs(by):.2f}" for name, by in apart]
        said.append(f"Exponents that part from theory: {numbers.listed(parts)}." if parts else "All are as in theory.")
    return said
