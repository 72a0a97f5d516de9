"""The tables of a comparison with bars: every row beside its bars, and what a first answer costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import numbers
from .bars import Judged, ratio_words
from .cases import Case, backends, title
from .claims.timed import between
from .kinds import Listing
from .scoreboard import Board, Score
from .tables import Cell, Table, cell
from .terms import Term

MET, SHORT = "\N{CHECK MARK} met", "\N{BALLOT X} short"
GLOSSARY = (
    Term(
        "Bar",
        "What the study asks of a ratio before anything is measured. A ratio of times is the median over processes of "
        "ours divided by the other's, both timed by turns in one epoch.",
        ("bars",),
    ),
    Term(
        "Distance",
        "How far a value is over its bar: of a ratio in per cent of the bar, of a growth the difference of exponents.",
        ("distances",),
    ),
    Term(
        "Growth",
        "The exponent of the work ratio against the number of parameters, by least squares: by how much the exponent "
        "of the gradient's time exceeds that of the loss's. Below 0, the gradient grows more slowly than its loss.",
        ("growths",),
    ),
)
METHOD = (
    "Whether a bar is met is judged by the median alone; where the interval holds the bar, the cell says that this is "
    "not settled. Peaks of memory that differ by less than 256 KiB cannot be told apart and count as equal. A work "
    "ratio has the loss in plain NumPy below it, measured by turns with the gradient in the same process.",
)


def boards(judged: Sequence[Judged]) -> list[Board]:
    """One table per problem, rows down and comparisons across, then the growths.

    Args:
        judged: what ``bars.judge`` found.
    """
    rows = [one for one in judged if one.bar.of != "growth"]
    grown = [one for one in judged if one.bar.of == "growth"]
    found = []
    for problem in dict.fromkeys(one.case.problem for one in rows):
        own = [one for one in rows if one.case.problem == problem]
        found.append(_board(title(problem), own, _under))
    if grown:
        found.append(_board("Growth with the number of parameters", grown, _sizes))
    return found


def _board(heading: str, own: Sequence[Judged], under: Callable[[Judged], tuple[str, str]]) -> Board:
    columns = list(dict.fromkeys(one.bar.key for one in own))
    heads = tuple(_head(next(one for one in own if one.bar.key == key)) for key in columns)
    rows = []
    for place in dict.fromkeys(one.place for one in own):
        cells = {one.bar.key: one for one in own if one.place == place}
        first = next(iter(cells.values()))
        scores = tuple(_score(cells[key]) if key in cells else Score("none", numbers.UNKNOWN) for key in columns)
        rows.append((*under(first), scores))
    return Board(heading, heads, tuple(rows))


def _head(one: Judged) -> tuple[str, str]:
    return one.title, {"time": "time", "memory": "peak of memory", "growth": "exponent"}[one.bar.of]


def _under(one: Judged) -> tuple[str, str]:
    return one.case.size, f"{one.case.dtype}, {numbers.parameters(one.case.n_params)}"


def _sizes(one: Judged) -> tuple[str, str]:
    return title(one.case.problem), f"{one.case.dtype}, up to {numbers.parameters(one.case.n_params)}"


def _score(one: Judged) -> Score:
    if one.value is None:
        return Score("none", "not judged", (one.why,))
    growth = one.bar.of == "growth"
    lines = []
    if bounds := between(one.low, one.high, _signed if growth else ratio_words):
        lines.append(bounds)
    lines.append(f"bar {one.bar.words}")
    if not one.met:
        lines.append(_distance(one))
    if one.low is not None and not one.settled:
        lines.append("not settled")
    if one.verdict:
        lines.append(one.verdict)
    if one.error is not None and one.bar.error_at_most is not None:
        lines.append(f"error {_small(one.error)} {numbers.TIMES}, at most {one.bar.error_at_most:g}")
    headline = _signed(one.value) if growth else f"{ratio_words(one.value)} {numbers.TIMES}"
    return Score("ok" if one.met else "bad", headline, tuple(lines), MET if one.met else SHORT, one.bar.note)


def _signed(value: float) -> str:
    return numbers.signed(f"{value:+.2f}")


def _small(value: float) -> str:
    return numbers.factor(value) if value >= 0.01 else numbers.scaled(value)


def _distance(one: Judged) -> str:
    if one.bar.admits(one.value or 0.0):
        return "quick enough, but not accurate enough"
    if one.bar.of == "growth":
        return f"over by {one.distance:.2f}"
    if one.distance >= 2:
        return f"{numbers.factor(one.distance)} times the bar"
    over = 100 * (one.distance - 1)
    return f"over by {numbers.significant(over, 2)} %" if over >= 0.1 else "over by less than 0.1 %"


# ------------------------------------------------------------------------------------------------ further tables


def listings(judged: Sequence[Judged], cases: Sequence[Case]) -> tuple[Listing, ...]:
    """What a first answer costs: recording, deriving, compiling and the first call, beside a later one.

    Args:
        judged: what ``bars.judge`` found; without bars there is no such table.
        cases: all rows of a run.
    """
    if not judged:
        return ()
    names = backends([case for case in cases if case.prepare_s is not None])
    rows = []
    for place in dict.fromkeys((case.problem, case.size, case.dtype) for case in cases):
        own = {case.backend: case for case in cases if (case.problem, case.size, case.dtype) == place}
        first = next(iter(own.values()))
        rows.append((Cell(first.place, under=first.dtype), *(_first(own.get(name)) for name in names)))
    text = (
        "Preparing (recording, differentiating, compiling) and the first call together, the medians over processes. "
        "What a framework takes to be imported is not in it; All rows has preparing and the first call apart."
    )
    return (Listing("first", "The first answer", text, Table(("Row", *names), tuple(rows))),)


def _first(case: Case | None) -> Cell:
    if case is None or case.prepare_s is None or case.first_call_s is None:
        return cell(None)
    return cell(case.prepare_s + case.first_call_s, numbers.seconds)


def glossary(judged: Sequence[Judged]) -> tuple[Term, ...]:
    """The words that bars bring with them."""
    return GLOSSARY if judged else ()


def method(judged: Sequence[Judged]) -> tuple[str, ...]:
    """How bars are judged, in sentences."""
    return METHOD if judged else ()
