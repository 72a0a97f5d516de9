"""Cost laws: what theory says a gradient takes of evaluations and passes, beside what was counted and timed.

Theory counts evaluations of the loss, or passes through it, exactly: a law holds where the count is the law's at every
size.  Of times it gives the exponent only, which the interval of the fitted one should hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...backends.stencils import plan_of
from ...backends.surroundings import NOISE_CALLS
from .. import numbers
from ..kinds import Listing
from ..power_laws import least_squares
from ..tables import Cell, Table, cell
from . import timed
from .exponents import Growth, formula
from .ratio_panels import exponent, interval

TEXT = (
    "By theory, counted: evaluations of the loss, or directions carried through it, for a gradient by n parameters; a "
    "formula holds at every size. Passes: how often a program ran that takes a chunk of c of them at once, n / c "
    "(rounded up) by theory; where no chunk is given, it is as large as the caches suggest. Exponents: of the number "
    "of passes, and of the time, which is the work ratio's with its interval over processes; inside tells whether the "
    "interval holds that of theory."
)


@dataclass(frozen=True)
class Law:
    """What theory says of one backend.

    ``evaluations`` a n + b as (a, b); ``chunk`` is how many directions go through the loss at once, where that is
    fixed; ``exponent`` of the price.
    """

    evaluations: tuple[int, int]
    exponent: float
    chunk: int | None = None

    @property
    def passes(self) -> str:
        """``n / 16`` where directions go in chunks of a fixed size, empty otherwise."""
        return "" if self.chunk is None else f"n / {self.chunk}"

    def passes_at(self, n: int) -> int | None:
        """The passes for n parameters, where chunks have a fixed size."""
        return None if self.chunk is None else math.ceil(n / min(self.chunk, n))


def law_of(family: str, options: str) -> Law | None:
    """The law of a backend; symbolic differentiation has none.

    Args:
        family: of the backend.
        options: of the backend, as JSON.

    >>> law_of("finite", '{"scheme":"forward"}').evaluations, law_of("forward", '{"chunk":16}').passes
    ((1, 1), 'n / 16')
    """
    given = json.loads(options or "{}")
    chunk = given.get("chunk")
    chunk = chunk if isinstance(chunk, int) else None
    if family in ("reverse", "analytic"):
        return Law((0, 1), 0.0)
    if family == "forward":
        return Law((1, 0), 1.0, chunk)
    if family == "complex-step":
        return Law((1, 1), 1.0, chunk)
    if family == "finite":
        plan = plan_of(given.get("scheme", "central"), given.get("order"), bool(given.get("estimate", False)))
        noise = NOISE_CALLS if given.get("noise") == "estimate" else 0
        return Law((plan.points, 1 + noise), 1.0, chunk)
    return None


@dataclass(frozen=True)
class Count:
    """What was counted at each size: pairs of n and a number, and what theory has for each n."""

    found: tuple[tuple[int, int], ...]
    theory: Callable[[int], int | None]

    @property
    def agrees(self) -> bool:
        """Whether every count is that of theory."""
        return bool(self.found) and all(self.theory(n) == number for n, number in self.found)

    @property
    def exponent(self) -> float | None:
        """The slope through the logarithms, ``None`` with fewer than three sizes."""
        points = [(math.log(n), math.log(number)) for n, number in self.found if number > 0]
        if len({x for x, _ in points}) < 3:
            return None
        xs, ys = zip(*points, strict=True)
        return least_squares(xs, ys)[0]

    @property
    def range(self) -> str:
        """``1 to 342``, or one number."""
        every = [number for _, number in self.found]
        return timed.between(min(every), max(every), numbers.grouped) if every else ""


def evaluations(growth: Growth, law: Law) -> Count:
    """The evaluations that a backend counted.

    Args:
        growth: one backend on one problem.
        law: of the backend.
    """
    slope, rest = law.evaluations
    found = [(point.n, int(point.case.primal_calls)) for point in growth.points if point.case.primal_calls]
    return Count(tuple(found), lambda n: slope * n + rest)


def passes(growth: Growth, law: Law) -> Count:
    """The runs of a program that holds a chunk of directions.

    Args:
        growth: one backend on one problem.
        law: of the backend.
    """
    found = [(point.n, int(point.case.chunks)) for point in growth.points if point.case.chunks]
    return Count(tuple(found), law.passes_at)


def laws(every: Sequence[Growth]) -> list[tuple[Growth, Law]]:
    """The backends that have a law, with it.

    Args:
        every: the growth of backends on problems.
    """
    found = [(growth, law_of(growth.family, growth.points[0].case.options)) for growth in every]
    return [(growth, law) for growth, law in found if law is not None]


def listing(every: Sequence[Growth]) -> Listing:
    """The table of cost laws.

    Args:
        every: the growth of backends on problems.
    """
    columns = (
        "Backend", "By theory", "Counted", "Passes", "Their number", "Their exponent", "Of the time", "95 % interval",
        "Theory", "Inside",
    )  # fmt: skip
    rows = tuple(_row(growth, law_of(growth.family, growth.points[0].case.options)) for growth in every)
    kept = [k for k in range(len(columns)) if any(row[k].text for row in rows)]
    table = Table(tuple(columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))
    return Listing("laws", "Cost laws", TEXT, table)


def _row(growth: Growth, law: Law | None) -> tuple[Cell, ...]:
    fit = growth.fit
    power = (cell(fit.exponent if fit else None, exponent), Cell(interval(fit) if fit else ""))
    if law is None:
        nothing = Cell("")
        return (Cell(growth.backend, under=growth.title), Cell("none"), *[nothing] * 4, *power, nothing, nothing)
    counted, swept = evaluations(growth, law), passes(growth, law)
    return (
        Cell(growth.backend, under=growth.title),
        Cell(formula(law.evaluations)),
        Cell(formula(growth.counts) if growth.counts else counted.range),
        Cell(f"not {law.passes}" if law.chunk and swept.found and not swept.agrees else law.passes),
        Cell(swept.range),
        cell(swept.exponent, exponent),
        *power,
        cell(law.exponent, lambda value: f"{value:g}"),
        Cell(_inside(growth, law)),
    )


def _inside(growth: Growth, law: Law) -> str:
    fit = growth.fit
    if fit is None or fit.low is None or fit.high is None:
        return ""
    if fit.low <= law.exponent <= fit.high:
        return "yes"
    nearest = fit.low if law.exponent < fit.low else fit.high
    return f"off by {exponent(abs(law.exponent - nearest))}"


def sentence(every: Sequence[Growth]) -> str:
    """What the counts say of theory, as the end of a sentence; empty where nothing was counted.

    Args:
        every: the growth of backends on problems.
    """
    known = [(growth, evaluations(growth, law)) for growth, law in laws(every)]
    known = [(growth, count) for growth, count in known if count.found]
    if not known:
        return ""
    wrong = list(dict.fromkeys(growth.backend for growth, count in known if not count.agrees))
    text = f"theory has other counts for {numbers.listed(wrong)}" if wrong else "all as in theory"
    swept = [(growth, law) for growth, law in laws(every) if law.chunk is not None and passes(growth, law).found]
    parts = {
        growth.backend: f"{growth.backend} takes {law.passes} passes, rounded up"
        for growth, law in swept
        if all(passes(other, law).agrees for other, _ in swept if other.backend == growth.backend)
    }
    return f"{text}; {numbers.listed(list(parts.values()))}" if parts else text
