"""The page of a study of second graphs: what reverse mode appends to a tape, and what further derivatives append."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, groups
from ..figures import Chart
from ..kinds import Listing, Sections
from ..style import drawing
from ..tables import Cell, Table, cell
from ..terms import Term
from . import examined, graph_strips

MODES = {"reverse": "reverse over reverse", "forward": "forward over reverse"}
MOST_NAMED = 3
GLOSSARY = (
    Term(
        "Tape",
        "The equations of a loss in the order in which they were computed, each one primitive of earlier values.",
        ("tapes",),
    ),
    Term(
        "Appended",
        "The equations that reverse mode adds; they compute the gradient from the values of the loss.",
        ("appends",),
    ),
    Term(
        "Prefix",
        "The tape with the gradient begins with the equations of the loss, the same primitives with the same "
        "parameters of the same values, in the same order.",
    ),
    Term("Simplified", "Without dead code, duplicates and moves that move nothing, which is what is compiled."),
    Term(
        "Read again",
        "Values of the loss's equations that an appended equation reads, so they must be kept; inputs are not counted.",
    ),
    Term(
        "Order",
        "Order one is the gradient. Order k is the k-th derivative along k - 1 times one random direction of unit "
        "length, an array for every variable; order two is a product with the Hessian.",
        ("orders",),
    ),
    Term(
        "Reverse over reverse",
        "The lower order times the direction is a number, whose gradient is taken by reverse mode.",
    ),
    Term("Forward over reverse", "The tangents of the lower order along the direction, by forward mode."),
)
METHOD = (
    "Nothing is timed: equations are counted, and operations as the primitives declare them.",
    "The gradient and the product with the Hessian are held against certified ones. From order two on the product of "
    "the result with the direction is also held against the coefficient of the power series of the loss along that "
    "direction, which knows no derivative rule; that error is relative to the length of the result. Order two is right "
    "up to 1e-12, and every further order may lose ten times as much.",
)


@dataclass(frozen=True)
class Graph:
    """What one case found."""

    case: Case
    found: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The problem and its size."""
        return self.case.place

    def length(self, part: str, form: str = "simplified") -> int:
        """A number of equations, such as ``loss`` or ``whole``, as ``recorded`` or ``simplified``."""
        return int(self.found[form][part])

    @property
    def prefix(self) -> bool:
        """Whether the recorded equations of the loss lead the tape with the gradient."""
        return self.length("same", "recorded") == self.length("loss", "recorded")

    @property
    def kept(self) -> bool:
        """Whether they still do after simplification."""
        return self.length("same") == self.length("loss")

    @property
    def appended(self) -> int:
        """How many equations are appended, simplified."""
        return self.length("whole") - self.length("kept")

    @property
    def flops(self) -> float | None:
        """Operations of value and gradient over those of the loss."""
        lengths = self.found["simplified"]
        return lengths["whole_flops"] / lengths["flops"] if lengths["flops"] else None

    @property
    def orders(self) -> Sequence[Mapping[str, Any]]:
        """The derivatives from order one on."""
        return self.found.get("orders") or ()

    def growth(self, mode: str) -> float | None:
        """The factor of equations for each order after the first."""
        if len(self.orders) < 2:
            return None
        ends = self.orders[0][mode]["equations"], self.orders[-1][mode]["equations"]
        return (ends[1] / ends[0]) ** (1 / (len(self.orders) - 1)) if all(ends) else None


def read(case: Case) -> Graph | None:
    """The graph of a case, or ``None`` where it found nothing."""
    found = case.findings
    return Graph(case, found) if isinstance(found, Mapping) and "recorded" in found else None


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of second graphs.

    Args:
        cases: all rows of a run, with their findings.
    """
    graphs = [graph for group in groups(list(cases)) for case in group.cases if (graph := read(case)) is not None]
    if not graphs:
        return Sections(examined.nothing(cases, "No tape could be examined", examined.caveats(cases)))
    with drawing():
        charts = [graph_strips.lengths(graphs, MODES), graph_strips.strips(graphs)]
    shown: list[Chart] = [chart for chart in charts if chart is not None]
    tables = tuple(one for one in (_tapes(graphs), _orders(graphs), _primitives(graphs)) if one.table.rows)
    return Sections(_answer(graphs, cases), tuple(shown), tables=tables, glossary=GLOSSARY, method=METHOD)


# ------------------------------------------------------------------------------------------------ the answer


def _answer(graphs: Sequence[Graph], cases: Sequence[Case]) -> Answer:
    said = [_prefix(graphs), _size(graphs), _reads(graphs), _again(graphs), _grows(graphs)]
    return Answer(tuple(f"{text[0].upper()}{text[1:]}." for text in said if text), examined.caveats(cases))


def _all(graphs: Sequence[Graph], wanted: Callable[[Graph], bool]) -> tuple[str, list[Graph]]:
    """``all 9 losses`` or ``3 of 9 losses``, and those that are not wanted."""
    others = [graph for graph in graphs if not wanted(graph)]
    count = numbers.counted(len(graphs), "loss", "losses")
    if not others:
        return f"all {count}" if len(graphs) > 1 else "the one loss", others
    wanted_ones = len(graphs) - len(others)
    return f"{numbers.grouped(wanted_ones) if wanted_ones else 'none'} of {count}", others


def _named(graphs: Sequence[Graph]) -> str:
    names = [graph.title for graph in graphs[:MOST_NAMED]]
    rest = len(graphs) - len(names)
    return numbers.listed([*names, f"{numbers.grouped(rest)} more"] if rest else names)


def _prefix(graphs: Sequence[Graph]) -> str:
    how_many, others = _all(graphs, lambda graph: graph.prefix)
    total = sum(graph.length("loss", "recorded") for graph in graphs)
    if others:
        first = others[0]
        text = (
            f"reverse mode does not only append: in {how_many} the equations of the loss are a prefix of the tape with "
            f"the gradient, not so on {_named(others)}, where {first.title} departs at equation "
            f"{first.length('same', 'recorded') + 1}"
        )
    else:
        text = (
            f"in {how_many} the {numbers.grouped(total)} recorded equations are a prefix of the tape with the "
            "gradient: reverse mode only appends"
        )
    simple, moved = _all(graphs, lambda graph: graph.kept)
    if moved:
        return f"{text}; simplification keeps that in {simple} and not on {_named(moved)}"
    left = sum(graph.length("loss") for graph in graphs)
    simple = f"the {numbers.grouped(left)} that are left of them once simplified"
    return f"{text}; of {simple}, none is moved or dropped"


def _spread(values: Sequence[float]) -> str:
    low, high = numbers.factor(min(values)), numbers.factor(max(values))
    return low if low == high else f"{low} to {high}"


def _size(graphs: Sequence[Graph]) -> str:
    ratios = [graph.appended / graph.length("loss") for graph in graphs if graph.length("loss")]
    flops = [graph.flops for graph in graphs if graph.flops is not None]
    if not ratios or not flops:
        return ""
    middle = f", {numbers.factor(median(ratios))} in the middle" if len(ratios) > 2 else ""
    return (
        f"the second graph has {_spread(ratios)} times the equations of the first{middle}; both together take "
        f"{_spread(flops)} times the operations of the loss"
    )


def _reads(graphs: Sequence[Graph]) -> str:
    read_again, first = sum(g.found["read"] for g in graphs), sum(g.length("kept") for g in graphs)
    counts = _counts(graphs, "appended")
    if not counts:
        return "no equation is appended"
    new = [name for name in counts if name not in _counts(graphs, "primitives")]
    common = numbers.listed([f"{name} ({numbers.grouped(n)} times)" for name, n in counts.most_common(3)])
    text = (
        f"it reads {numbers.grouped(read_again)} of the {numbers.grouped(first)} values of the first, and is made of "
    )
    text += f"{numbers.counted(len(counts), 'primitive')}, {common} most often; "
    return text + (
        f"{numbers.listed(sorted(new))} only {'occurs' if len(new) == 1 else 'occur'} there"
        if new
        else "the losses use all of them too"
    )


def _counts(graphs: Sequence[Graph], part: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for graph in graphs:
        total.update(graph.found[part])
    return total


def _again(graphs: Sequence[Graph]) -> str:
    """Whether the derivative tape could be differentiated again, and how far from the truth that is."""
    tried = [graph for graph in graphs if len(graph.orders) > 1]
    if not tried:
        return "no derivative was taken again"
    highest = max(one["order"] for graph in tried for one in graph.orders)
    further = [(graph, one, mode) for graph in tried for one in graph.orders if one["order"] > 1 for mode in MODES]
    wrong = [(graph, one, mode) for graph, one, mode in further if one[mode]["right"] is False]
    unknown = sum(one[mode]["right"] is None for _, one, mode in further)
    errors = [
        error for _, one, mode in further for key in ("vector_error", "series_error")
        if (error := one[mode][key]) is not None
    ]  # fmt: skip
    if wrong:
        graph, one, mode = wrong[0]
        return (
            f"the derivative cannot be trusted when it is taken again: {numbers.grouped(len(wrong))} of "
            f"{numbers.counted(len(further), 'derivative')} {'are' if len(wrong) > 1 else 'is'} wrong, the first of "
            f"order {one['order']} by {MODES[mode]} on {graph.title}"
        )
    text = (
        f"the derivative can be taken again in {_all(graphs, lambda graph: len(graph.orders) > 1)[0]}, up to order "
        f"{highest} and in both ways"
    )
    if errors:
        checked = len(further) - unknown
        worst = numbers.scaled(max(errors)) if max(errors) else "0"
        who = f"the {numbers.grouped(checked)} further derivatives that were checked are"
        who = who if checked > 1 else "the one further derivative that was checked is"
        text += f"; {who} within {worst} of the truth, relative to its length"
    return text + (f", and {numbers.grouped(unknown)} could not be checked" if unknown else "")


def _grows(graphs: Sequence[Graph]) -> str:
    found = {mode: [rate for graph in graphs if (rate := graph.growth(mode)) is not None] for mode in MODES}
    if not all(found.values()):
        return ""
    middle = {mode: median(rates) for mode, rates in found.items()}
    said = numbers.listed([f"by {numbers.factor(middle[mode])} ({words})" for mode, words in MODES.items()])
    ratio = middle["reverse"] / middle["forward"]
    less = "forward" if ratio > 1.05 else "reverse" if ratio < 0.95 else ""
    verdict = f"the shorter way to go on is {MODES[less]}" if less else "the two ways hardly differ"
    where = ", in the middle of the losses," if len(found["reverse"]) > 1 else ""
    return f"each further order multiplies the number of equations{where} {said}: {verdict}"


# ------------------------------------------------------------------------------------------------ tables


def _tapes(graphs: Sequence[Graph]) -> Listing:
    columns = (
        "Loss", "Recorded", "Prefix", "Simplified", "Prefix then", "Appended", "Per equation", "Operations",
        "Read again",
    )  # fmt: skip
    rows = tuple(
        (
            Cell(graph.title),
            cell(graph.length("loss", "recorded")),
            Cell("all" if graph.prefix else f"{graph.length('same', 'recorded')} equations"),
            cell(graph.length("loss")),
            Cell("all" if graph.kept else f"{graph.length('same')} equations"),
            cell(graph.appended),
            cell(graph.appended / max(1, graph.length("loss")), numbers.factor),
            cell(graph.flops, numbers.times),
            cell(graph.found["read"]),
        )
        for graph in graphs
    )
    text = (
        "Equations of the loss as recorded and simplified, and how many of them lead the tape with the gradient "
        "unchanged; what reverse mode appends, simplified; operations of value and gradient over those of the loss; "
        "how many values of the loss's equations the appended ones read."
    )
    return Listing("tapes", "The tape before and after", text, Table(columns, rows))


def _orders(graphs: Sequence[Graph]) -> Listing:
    columns = ("Loss", "Order", "Way", "Equations", "Operations", "Error, whole", "Error, along", "Right")
    rows = []
    for graph in graphs:
        for one in graph.orders:
            for mode, words in MODES.items():
                if one["order"] == 1 and mode == "forward":
                    continue
                made = one[mode]
                unknown = f"not checked: {made['why']}" if made["why"] else "not checked"
                verdict = {True: "yes", False: "no", None: unknown}[made["right"]]
                rows.append(
                    (
                        Cell(graph.title), cell(one["order"]), Cell(words if one["order"] > 1 else "reverse"),
                        cell(made["equations"]), cell(made["flops"]),
                        cell(made["vector_error"], numbers.scientific),
                        cell(made["series_error"], numbers.scientific), Cell(verdict),
                    )
                )  # fmt: skip
    text = (
        "Error, whole: the relative error of the result against a certified one (order two; that of order one is in "
        "the table of all rows). Error, along: that of its product with the direction against a power series of the "
        "loss."
    )
    return Listing("orders", "Differentiated again", text, Table(columns, tuple(rows)))


def _primitives(graphs: Sequence[Graph]) -> Listing:
    first, added = _counts(graphs, "primitives"), _counts(graphs, "appended")
    rows = tuple(
        (Cell(name), cell(first[name]), cell(added[name]))
        for name in sorted({*first, *added}, key=lambda name: (-added[name], name))
    )
    text = "How often each primitive occurs among the equations of all losses, and among those that were appended."
    return Listing("primitives", "What the graphs are made of", text, Table(("Primitive", "Losses", "Appended"), rows))
