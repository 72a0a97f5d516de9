"""The page of a study of storage: how memory grows with depth, and what checkpoints save of it for how much time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, method
from ..kinds import Listing, Sections
from ..style import drawing
from ..tables import Cell, Table, cell
from ..terms import Term
from . import examined, storage_charts
from .storage_findings import GROWS, Line, Point, Setting, read

SAVES = 0.97  # of the memory without checkpoints; what needs more than that saves nothing worth a sentence
NOISE = 4 * numbers.RESOLUTION  # smaller peaks hold too much of what the system hands out
TENTH = 0.1  # of the memory with everything kept: what it costs to get there is said
CLOSE = 1.25  # measured by planned bytes; farther apart, the plan is said to be off
GLOSSARY = (
    Term(
        "Checkpoint",
        "A state of the forward pass that is kept: what lives between two layers. The rest is forgotten and computed "
        "again, from the checkpoint before it, when the way back comes to it; with so many of them at a time as few "
        "layers as can be are computed again (a binomial schedule).",
        ("checkpoints", "checkpointing"),
    ),
    Term(
        "Peak",
        "The highest memory of the worker process during a first call, above what it held before that call: buffers, "
        "work space and results. Compiled programs are not in it, Python and its libraries neither.",
        ("peaks",),
    ),
    Term("Arrays", "The bytes of all arrays alive at once in a call, as Python's own account of allocations has them."),
    Term(
        "Planned",
        "What the forecast said before anything ran: the buffers of the program, whose places are given out by how "
        "long each value lives, and the results.",
        ("plan", "plans", "planned bytes"),
    ),
    Term(
        "Pass",
        "One evaluation of the loss along one direction. A gradient by forward mode or by finite differences takes as "
        "many as there are parameters or more, one after the other in the same memory; where they are too many, one "
        "is measured.",
        ("passes",),
    ),
    Term(
        "Evaluations of the loss",
        "The time of one gradient, value included, divided by that of the plain loss, which takes turns with it in the "
        "same process.",
    ),
    Term(
        "Growth per layer",
        "The slope of a straight line through memory against depth (least squares); the exponent is the slope on "
        "logarithmic axes over the deeper half of the sizes: 1 is proportional, 0.5 a square root, 0 level.",
        ("per layer",),
    ),
)
METHOD = (
    "Each case has a process of its own and the machine to itself. Memory is measured before any clock runs, in the "
    "first call, which takes the buffers; the arrays are counted in a later one. Then the call and the plain loss take "
    "turns, each after an untimed call of its own, and the median of the ratios is given with its 95 % "
    "interval, which is over these turns: another process may be off by more.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of storage.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = read(cases)
    if not found:
        return Sections(
            examined.nothing(cases, "No memory was measured", examined.caveats(cases, examined.place_and_dtype))
        )
    with drawing():
        charts = storage_charts.charts(found, list(cases))
    return Sections(
        Answer(_sentences(found), examined.caveats(cases, examined.place_and_dtype)),
        charts,
        tables=(_deepest(found), _growth(found)),
        glossary=GLOSSARY,
        method=METHOD,
    )


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(found: Sequence[Setting]) -> tuple[str, ...]:
    said = []
    for number, setting in enumerate(found):
        said += [_stored(setting), _bought(setting)]
        if not number:
            said += [_fixed(setting), _within(setting), _level(setting), _forecast(setting)]
    return tuple(text for text in said if text)


def _stored(setting: Setting) -> str:
    """Whether reverse mode's memory grows with depth, and whether the loss's does."""
    reverse, loss = setting.reverse, setting.loss
    where = f"On {setting.title}"
    if reverse is None:
        return f"{where}, reverse mode without checkpoints was not measured."
    if len(reverse.points) < 2:
        only = max(reverse.points, key=lambda point: point.depth)
        return f"{where}, reverse mode needs {_size(only.peak)} at {_layers(only.depth)}; growth takes two depths."
    text = f"{where}, reverse mode's memory {_course(reverse)}"
    share = reverse.per_layer / setting.value if setting.value else 0.0
    if reverse.grows and share:
        text += f", {numbers.factor(share)} times the largest value of a layer"
    if loss is None:
        return f"{text}."
    verb = "the loss itself" if reverse.grows != loss.grows else "that of the loss itself likewise"
    return f"{text}; {verb} {_course(loss)}."


def _course(line: Line) -> str:
    """``grows by 266 KiB per layer, from ... to ...`` or ``stays at ... from 4 to 256 layers``."""
    first, last = line.points[0], line.points[-1]
    if line.grows:
        return (
            f"grows by {_size(line.per_layer)} per layer, from {_size(first.peak)} at {_layers(first.depth)} to "
            f"{_size(last.peak)} at {numbers.grouped(last.depth)}"
        )
    sizes = sorted({point.peak for point in line.points})
    low, high = _size(sizes[0]), _size(sizes[-1])
    if sizes[-1] < GROWS * sizes[0]:
        at = low if low == high else f"{low} to {high}"
        return f"stays at {at} from {_layers(first.depth)} to {numbers.grouped(last.depth)}"
    return f"does not grow: {_size(first.peak)} at {_layers(first.depth)}, {_size(last.peak)} at {last.depth}"


def _bought(setting: Setting) -> str:
    """How little memory a gradient takes at the greatest depth, for how much time, and what a tenth of it costs."""
    deepest = setting.deepest
    base = setting.reverse.at(deepest) if setting.reverse else None
    lines = (*setting.checkpointed, *setting.limited)
    tried = [point for line in lines if (point := line.at(deepest)) is not None]
    if base is None or not tried:
        return ""
    best = min(tried, key=lambda point: (point.peak, point.checkpoints or 0))
    share = best.peak / base.peak
    if share > SAVES:
        return (
            f"Checkpoints save nothing at {_layers(deepest)}: at best, {_who(best)}, reverse mode needs "
            f"{_percent(share)} of that memory."
        )
    text = (
        f"At {_layers(deepest)}, {_who(best)} reverse mode needs {_percent(share)} of that memory, {_size(best.peak)}"
    )
    text += _price(best, base)
    tenth = [point for point in tried if point.peak <= TENTH * base.peak and point.ratio]
    quickest = min(tenth, key=lambda point: point.ratio or math.inf, default=best)
    if quickest is not best:
        text += f"; the quickest of those with at most a tenth, {_who(quickest)}, needs "
        text += f"{_percent(quickest.peak / base.peak)}{_price(quickest, base)}"
    return f"{text}."


def _who(point: Point) -> str:
    if point.limit is not None:
        return f"within {_size(point.limit)}"
    return f"with {numbers.counted(point.checkpoints or 0, 'checkpoint')}"


def _price(point: Point, base: Point) -> str:
    """The time against that with everything kept."""
    if not base.ratio or not point.ratio:
        return ""
    change = point.ratio / base.ratio
    evaluations = f"{_evaluations(point)} evaluations of the loss against {_evaluations(base)}"
    if change <= 1:
        return f", and takes no more time for it: {evaluations}"
    return f", for {numbers.factor(change)} times the time ({evaluations})"


def _evaluations(point: Point) -> str:
    """The time in evaluations of the loss, with its interval."""
    return numbers.measured_factor(point.ratio, point.low, point.high, brackets=True)


def _fixed(setting: Setting) -> str:
    """How memory and time grow with depth for the fewest checkpoints."""
    line = next((line for line in setting.checkpointed if len(line.points) > 1), None)
    if line is None:
        return ""
    first, last = line.points[0], line.points[-1]
    text = f"{_capital(_who(last))} at every depth memory {_course(line)}"
    if line.grows and setting.value:
        text += f", {numbers.factor(line.per_layer / setting.value)} times a value"
    if first.ratio and last.ratio:
        text += (
            f"; a gradient takes {_evaluations(first)} evaluations of the loss at {_layers(first.depth)} and "
            f"{_evaluations(last)} at {numbers.grouped(last.depth)}"
        )
    return f"{text}."


def _within(setting: Setting) -> str:
    """Whether what was asked to stay within so many bytes did."""
    points = [point for line in setting.limited for point in line.points if point.limit and point.arrays]
    if not points:
        return ""
    worst = max(points, key=lambda point: (point.arrays or 0.0) / (point.limit or math.inf))
    share = (worst.arrays or 0.0) / (worst.limit or math.inf)
    sizes = numbers.listed(list(dict.fromkeys(_size(line.limit or 0.0) for line in setting.limited)))
    said = f"Asked to stay within {sizes}"
    if share <= 1.0:
        return f"{said}, its arrays always did: they took at most {_percent(share)} of the limit."
    return (
        f"{said}, its arrays took up to {_percent(share)} of the limit, most at {_layers(worst.depth)} within "
        f"{_size(worst.limit or 0.0)}."
    )


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _level(setting: Setting) -> str:
    """Whether the ways that take passes stay level, and how many passes a gradient would be."""
    lines = [line for line in setting.passing if len(line.points) > 1]
    if not lines:
        return ""
    parts = []
    for line in lines:
        deep = line.at(setting.deepest)
        text = f"one pass of {method(line.points[0].case)} {_course(line)}"
        if line.grows and setting.value:
            text += f", {numbers.factor(line.per_layer / setting.value)} of a value"
        if deep is not None and deep.of == "pass":
            text += f" (a gradient there takes {numbers.grouped(deep.passes)} evaluations)"
        parts.append(text)
    return f"{_capital('; '.join(parts))}."


def _forecast(setting: Setting) -> str:
    """How near the planned bytes of reverse mode were to those measured, where these can be told from noise."""
    lines = [*([setting.reverse] if setting.reverse else []), *setting.checkpointed, *setting.limited]
    points = [point for line in lines for point in line.points if point.off and point.peak >= NOISE]
    if not points:
        return ""
    shares = [point.off or 1.0 for point in points]
    low, high = min(shares), max(shares)
    ends = dict.fromkeys(numbers.factor(end) for end in (low, high))
    span = f"{' to '.join(ends)} times the planned bytes"
    several = setting.checkpointed or setting.limited
    who = "of reverse mode, with and without checkpoints," if several else "of reverse mode"
    if max(high, 1 / low) <= CLOSE:
        return f"That much was known beforehand: the measured memory {who} is {span}{_passes_off(setting)}."
    worst = max(points, key=lambda point: abs(math.log(point.off or 1.0)))
    return (
        f"The measured memory {who} is {span}, farthest for {worst.case.backend} at {_layers(worst.depth)}: the plan "
        f"was wrong{_passes_off(setting)}."
    )


def _passes_off(setting: Setting) -> str:
    """By what factor the passes of the others were off their plans at the greatest depth."""
    there = [point for line in setting.passing if (point := line.at(setting.deepest)) and point.peak >= NOISE]
    parts = [f"one pass of {method(p.case)} takes {numbers.factor(p.off)} times its plan" for p in there if p.off]
    return f"; {numbers.listed(parts)}" if parts else ""


def _percent(share: float) -> str:
    return f"{numbers.factor(100 * share)} %"


def _layers(depth: int) -> str:
    return numbers.counted(depth, "layer")


def _size(value: float) -> str:
    return numbers.size_in_bytes(value)


# ------------------------------------------------------------------------------------------------ the tables


def _deepest(found: Sequence[Setting]) -> Listing:
    columns = (
        "Contestant", "Peak", "Arrays", "Planned", "By planned", "States kept", "Again", "Loss evaluations",
        "95 % interval", "Time",
    )  # fmt: skip
    rows = []
    for setting in found:
        for line in setting.lines:
            point = line.at(setting.deepest)
            if point is not None:
                rows.append(_row(point, f"{setting.title}, {_layers(point.depth)}" if len(found) > 1 else ""))
    kept = [k for k in range(len(columns)) if any(row[k].text for row in rows)]
    text = (
        "By planned: the measured peak as a multiple of the bytes that the plan of the program had foretold. States "
        "kept: how many wait at a time. Again: equations that the way back computes once more. A pass stands for a "
        "gradient whose passes would be too many to wait for; its time is that of one."
    )
    where = f"All on {found[0].title} at {_layers(found[0].deepest)}. " if len(found) == 1 else ""
    table = Table(tuple(columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))
    return Listing("deepest", "At the greatest depth: measured beside planned bytes", where + text, table)


def _row(point: Point, where: str) -> tuple[Cell, ...]:
    said = "one pass" if point.of == "pass" else ""
    interval = "" if point.low is None or point.high is None else f"{point.low:.2f} to {point.high:.2f}"
    return (
        Cell(point.case.backend, under=", ".join(text for text in (said, where) if text)),
        cell(point.peak, numbers.size_in_bytes),
        cell(point.arrays, numbers.size_in_bytes),
        cell(point.planned, numbers.size_in_bytes),
        cell(point.off, numbers.factor),
        cell(point.checkpoints, numbers.count),
        cell(point.again, numbers.count),
        cell(point.ratio, _two),
        Cell(interval, point.low, True),
        cell(point.seconds, numbers.seconds),
    )


def _growth(found: Sequence[Setting]) -> Listing:
    columns = ("Contestant", "Fewest layers", "Most layers", "Growth per layer", "Values of a layer", "Exponent")
    rows = []
    for setting in found:
        for line in setting.lines:
            first, last = line.points[0], line.points[-1]
            several = len(line.points) > 1
            rows.append(
                (
                    Cell(line.name, under=setting.title if len(found) > 1 else ""),
                    Cell(f"{_size(first.peak)} at {numbers.grouped(first.depth)}", first.peak, True),
                    Cell(f"{_size(last.peak)} at {numbers.grouped(last.depth)}", last.peak, True),
                    cell(line.per_layer if several else None, _signed),
                    cell(line.per_layer / setting.value if several and setting.value else None, _two),
                    cell(line.exponent, _two),
                )
            )
    text = "Values of a layer: the growth as a multiple of the largest value that a layer computes."
    return Listing("growth", "How memory grows with depth", text, Table(columns, tuple(rows)))


def _two(value: float) -> str:
    return numbers.signed(f"{round(value, 2) or 0.0:.2f}")


def _signed(value: float) -> str:
    return _size(value) if value >= 0 else f"\N{MINUS SIGN}{_size(-value)}"
