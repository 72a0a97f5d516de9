"""What S. Laue claims of expression swell, whether counts agree with it, and where sharing is lost.

S. Laue, "On the equivalence of automatic and symbolic differentiation" (arXiv 1904.02990).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import numbers
from ..kinds import Listing
from ..numbers import TIMES
from ..tables import Cell, Table, cell
from .swell_details import factor, sentence
from .swell_growth import growth
from .swell_points import Family, Size, plain

BAR = 10.0  # times the operations of the loss, up to which value and gradient of a graph have kept what they share
ALIKE = 1.5  # a factor between two counts, up to which they may be called the same but for the rules of a function
CLAIM = (
    "S. Laue (arXiv 1904.02990) claims that swelling is a property of trees and not of symbolic differentiation: once "
    "expressions may share, differentiating from the root performs the operations of reverse mode, and by one symbol "
    "after the other those of forward mode"
)
SHORT = (
    "S. Laue (arXiv 1904.02990) claims that swelling is a property of trees: derived from the root, a graph does the "
    "operations of reverse mode, by symbol those of forward mode"
)


class Match(NamedTuple):
    """Two counts of the same gradient at one size: of a graph, and of the mode that the claim names."""

    where: str
    graph: float
    mode: float

    @property
    def apart(self) -> float:
        """The factor between the two, at least 1."""
        return max(self.graph / self.mode, self.mode / self.graph)


def matches(found: Sequence[Family], graph: str, mode: str) -> list[Match]:
    """Wherever both were counted.

    Args:
        found: the problems.
        graph: the count of a graph.
        mode: that of a mode, without operations on zeros and ones.
    """
    return [
        Match(named(family, size), ours, theirs)
        for family in found
        for size in family.sizes
        if (ours := size.count(graph)) and (theirs := size.count(mode))
    ]


def named(family: Family, size: Size) -> str:
    """``deep-mlp at depth 5``, or the name of a problem of one size."""
    return f"{family.title} at {family.place(size)}" if family.axis else family.title


def sentences(found: Sequence[Family]) -> list[str]:
    """The claim and whether the data agree, in short; nothing where no graph was made.

    Args:
        found: the problems.
    """
    tests = _tests(found)
    if not tests:
        return []
    # that a graph keeps within the bar is told beneath the tables; that it does not belongs to the verdict
    told = [one.short for one in tests if one.part or not one.agrees or len(tests) == 1]
    parts = numbers.listed(told)
    return [SHORT, f"{_verdict(tests)}, zeros and ones not counted: a graph has {parts}"]


def details(found: Sequence[Family]) -> list[str]:
    """What forward mode carries beyond its lean count, and where a graph passes the bar.

    Args:
        found: the problems.
    """
    return [text for text in (_carried(found), *_bars(found)) if text]


class Test(NamedTuple):
    """Whether the data agree with a ``part`` of the claim, or keep within the bar, in short and in full."""

    agrees: bool
    short: str
    full: str
    part: bool = True


def _tests(found: Sequence[Family]) -> list[Test]:
    made = []
    for graph, mode, ours, theirs in (
        ("graph", "tape_lean", "from the root", "reverse mode"),
        ("graph-by-symbol", "forward_lean", "by symbol", "forward mode"),
    ):
        if pairs := matches(found, graph, mode):
            made.append(_same(pairs, ours, theirs))
    swells = _swells(found)
    return made if swells is None else [*made, swells]


def _verdict(tests: Sequence[Test]) -> str:
    agreed = [one.agrees for one in tests]
    return "the data agree" if all(agreed) else "the data agree in part" if any(agreed) else "the data do not agree"


def _swells(found: Sequence[Family]) -> Test | None:
    """Whether the graph from the root grows as the loss does where the tree does not."""
    graphs = [(value, family, size) for family in found for size in family.sizes if (value := size.multiple("graph"))]
    if not graphs:
        return None
    most, family, size = max(graphs, key=lambda one: one[0])
    where = named(family, size)
    trees = [value / loss for f in found for s in f.sizes if (value := s.count("tree")) and (loss := s.loss("tape"))]
    tree = f", where trees have up to {factor(max(trees))} times" if trees else ""
    text = f"from the root, value and gradient have at most {numbers.factor(most)} times the operations of the loss "
    short = f"from the root at most {numbers.factor(most)} times those of the loss"
    return Test(most <= BAR, short, f"{text}({where}){tree}", part=False)


def _same(pairs: Sequence[Match], ours: str, theirs: str) -> Test:
    """Whether two counts are the same, zeros and ones apart."""
    equal = [pair for pair in pairs if pair.graph == pair.mode]
    worst = max(pairs, key=lambda pair: pair.apart)
    sizes = numbers.counted(len(pairs), "size")
    if len(equal) == len(pairs):
        text = f"exactly the operations of {theirs} at {_all(sizes, len(pairs))}"
        return Test(True, f"{ours} {text}", f"{ours} there are {text}")
    more = worst.graph > worst.mode
    most = f"{numbers.factor(worst.apart)} times {'as many' if more else 'fewer'}"
    agrees = worst.apart <= ALIKE
    if equal:
        text = f"exactly the operations of {theirs} at {numbers.grouped(len(equal))} of {sizes}"
        full = f"{ours} there are {text} and up to {most} elsewhere ({worst.where})"
        return Test(agrees, f"{ours} {text} (else up to {most})", full)
    text = f"up to {most} operations {'as in' if more else 'than in'} {theirs}, at none of {sizes} exactly as many"
    return Test(agrees, f"{ours} {text}", f"{ours} there are {text} ({worst.where})")


def _all(sizes: str, count: int) -> str:
    return f"all {sizes}" if count > 1 else "the one size"


def _carried(found: Sequence[Family]) -> str:
    """What forward mode runs beyond that: tangents with zeros and ones in them."""
    pairs = matches(found, "forward", "forward_lean")
    if not pairs:
        return ""
    worst = max(pairs, key=lambda pair: pair.apart)
    return (
        "of both modes, operations on zeros and ones are left out beside a graph, for an expression has none; forward "
        f"mode carries unit tangents, which are full of them, and its program runs up to {factor(worst.apart)} "
        f"times as many ({worst.where})"
    )


def _bars(found: Sequence[Family]) -> Iterable[str]:
    """Where value and gradient of a graph pass ten times the operations of their loss."""
    growing = [family for family in found if family.axis]
    for kind, ours, loses in (
        ("graph", "derived from the root", "there sharing is lost"),
        ("graph-by-symbol", "derived by one symbol after the other",
         "there sharing is lost, for every symbol has its own copy of the chain above it"),
    ):  # fmt: skip
        parts = [part for family in growing if (part := _bar(family, kind, loses))]
        if parts:
            yield f"{ours}, value and gradient of a graph have {'; '.join(parts)}"


def _bar(family: Family, kind: str, loses: str) -> str:
    known = [(size, value) for size in family.sizes if (value := size.multiple(kind))]
    if not known:
        return ""
    worst, most = max(known, key=lambda one: one[1])
    over = next(((size, value) for size, value in known if value > BAR), None)
    law, all_of = growth(family, kind), "times the operations of the loss"
    grows = "" if law is None else f" (they grow {law.words(family.axis)}, 95 % interval {law.interval})"
    if over is None:
        where = f"at every {family.axis} measured of {family.title}"
        return f"at most {numbers.factor(most)} {all_of} {where}, within {BAR:g}{grows}"
    at, first = over
    reaches = f" and {numbers.factor(most)} times at {family.place(worst)}" if worst is not at else ""
    passes = f"more than {BAR:g} {all_of} at {family.place(at)} of {family.title} ({numbers.factor(first)})"
    return f"{passes}{reaches}: {loses}{grows}"


def table(found: Sequence[Family]) -> Listing:
    """Graphs beside modes, size by size.

    Args:
        found: the problems.
    """
    columns = ("Problem", "Loss as a graph", "Graph from the root", f"{TIMES} loss", "Reverse mode",
               "Graph by symbol", f"{TIMES} loss", "Forward mode", "Forward mode as it runs")  # fmt: skip
    rows = tuple(
        (
            Cell(family.title, under=family.place(size) if family.axis else ""),
            cell(size.loss("graph"), plain), cell(size.count("graph"), plain), _multiple(size, "graph"),
            cell(size.count("tape_lean"), plain), cell(size.count("graph-by-symbol"), plain),
            _multiple(size, "graph-by-symbol"), cell(size.count("forward_lean"), plain),
            cell(size.count("forward"), plain),
        )
        for family in found for size in family.sizes
        if size.count("graph") or size.count("graph-by-symbol")
    )  # fmt: skip
    tests = _tests(found)
    text = (
        "Operations of value and gradient together, of both modes without those that multiply with 0 or 1 or add 0, "
        "which no expression has."
    )
    pairs = [*matches(found, "graph", "tape_lean"), *matches(found, "graph-by-symbol", "forward_lean")]
    if any(pair.graph != pair.mode for pair in pairs):
        text += (
            " What differs then is how the derivative of a function is written: that of a sigmoid is a product of two "
            "sigmoids in a graph, and is made of the value on a tape."
        )
    if tests:
        verdict = (
            f"with operations on zeros and ones left out, {_verdict(tests)}: {'; '.join(one.full for one in tests)}"
        )
        text = f"{sentence(CLAIM)} {text} {sentence(verdict)}"
    return Listing("laue", "Orders of a graph and modes of a tape", text, Table(columns, rows))


def _multiple(size: Size, kind: str) -> Cell:
    return cell(size.multiple(kind), numbers.factor)
