"""The charts of second graphs: lengths of tapes order by order, and short tapes drawn equation by equation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import numbers
from ..figures import Chart, Panel
from ..panels import draw_mark
from ..style import GRID, INK, MUTED, PAPER, SERIES, WIDTH, Look, canvas, key_mark
from ..svg import inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .graphs import Graph

LOSS = Look(5)
ORDERS = tuple(Look(slot) for slot in (0, 1, 2, 6, 3, 4, 7, 8))
ROW = 42.0  # points, one problem with its name above it
MOST_ROWS = 6  # in one panel; more are drawn in two
MOST_STRIPS = 6
TALL = 74.0  # points, a box with the name of its primitive
BETWEEN = 64.0
FIRST, SECOND = SERIES[0], SERIES[2]


# ------------------------------------------------------------------------------------------------ lengths


def lengths(graphs: Sequence[Graph], modes: Mapping[str, str]) -> Chart | None:
    """How many equations the loss and each of its derivatives have, a row for every loss.

    Args:
        graphs: what the cases found.
        modes: the ways to go on, with their words; the first is drawn filled.
    """
    heading = "Equations of the loss and of its derivatives"
    drawn = [graph for graph in graphs if graph.orders]
    if not drawn:
        return None
    highest = max(one["order"] for graph in drawn for one in graph.orders)
    keys: list[dict[str, Any]] = [{"text": "the loss", **key_mark(LOSS, bare=True)}]
    for order in range(1, highest + 1):
        words = "gradient" if order == 1 else f"order {order}"
        keys.append({"text": words, **key_mark(ORDERS[order - 1], bare=True)})
    filled, hollow = modes.values()
    neutral = {"fill": "muted", "stroke": "muted"}
    keys.append({"text": f"filled, upper line: {filled}", **key_mark(Look(0), bare=True), **neutral})
    keys.append(
        {"text": f"hollow, lower line: {hollow}", **key_mark(Look(0), hollow=True, bare=True), "stroke": "muted"}
    )
    rows = []
    for graph in drawn:
        for mode, words in modes.items():
            counts = [numbers.count(one[mode]["equations"]) for one in graph.orders]
            missing = [""] * (highest - len(counts))
            rows.append((graph.title, words, numbers.count(graph.length("loss")), *counts, *missing))
    columns = ("Loss", "Way", "The loss", "Gradient", *(f"Order {order}" for order in range(2, highest + 1)))
    caption = (
        "Simplified tapes, the derivative alone, on a logarithmic axis. A line that turns back is a derivative that "
        "has become simpler: that of order three of a quadratic loss is zero, which reverse mode finds before it runs.",
    )
    half = drawn if len(drawn) <= MOST_ROWS else drawn[: (len(drawn) + 1) // 2]
    panels = []
    for part in filter(None, (half, drawn[len(half) :])):
        figure, tips = _rows(part, modes, drawn)
        prefix, title = (
            f"lengths{len(panels)}",
            f"{part[0].title} to {part[-1].title}" if len(part) > 1 else part[0].title,
        )
        panels.append(Panel(title, inline(figure, prefix, heading, _length_words(part, modes), tips)))
    return Chart("lengths", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _rows(graphs: Sequence[Graph], modes: Mapping[str, str], every: Sequence[Graph]) -> tuple[Figure, dict[str, str]]:
    """A row for each of ``graphs``, on an axis that holds all of ``every``."""
    figure, axes = canvas("", "equations", height=60.0 + ROW * len(graphs), left=8.0, bottom=38.0)
    counts = [float(one[mode]["equations"]) for graph in every for one in graph.orders for mode in modes]
    scales.set_count(axes, "x", [max(1.0, count) for count in (*counts, *(float(g.length("loss")) for g in every))])
    axes.set_ylim(len(graphs) - 0.55, -0.75)
    axes.set_yticks([])
    axes.grid(False, axis="y")
    tips: dict[str, str] = {}
    for place, graph in enumerate(graphs):
        axes.annotate(
            graph.title, (0, place - 0.12), xycoords=("axes fraction", "data"), xytext=(0, 5),
            textcoords="offset points", color=INK,
        )  # fmt: skip
        for number, (mode, words) in enumerate(modes.items()):
            height = place + 0.04 + 0.26 * number
            found = [(graph.length("loss"), LOSS, "the loss")]
            for one in graph.orders:
                said = "gradient" if one["order"] == 1 else f"order {one['order']}, {words}"
                found.append((one[mode]["equations"], ORDERS[one["order"] - 1], said))
            xs = [max(1.0, float(count)) for count, _, _ in found]
            axes.plot(xs, [height] * len(xs), color=GRID, linewidth=2.0, zorder=1)
            for x, (count, look, said) in zip(xs, found, strict=True):
                gid = f"mark-{len(tips)}"
                draw_mark(axes, look, x, height, gid, hollow=number > 0)
                tips[gid] = f"{graph.title}, {said}: {numbers.counted(count, 'equation')}"
    return figure, tips


def _length_words(graphs: Sequence[Graph], modes: Mapping[str, str]) -> str:
    said = []
    for graph in graphs:
        ways = []
        for mode, words in modes.items():
            ways.append(f"{words} {', '.join(str(one[mode]['equations']) for one in graph.orders)}")
        said.append(f"{graph.title}: {graph.length('loss')}, then {'; '.join(ways)}")
    return f"Equations of the loss, then of its derivatives from order one. {'. '.join(said)}."


# ------------------------------------------------------------------------------------------------ strips


def strips(graphs: Sequence[Graph]) -> Chart | None:
    """Short tapes, equation by equation: the loss above, what is appended below, and what it reads between them.

    Args:
        graphs: what the cases found.
    """
    heading = "The second graph, equation by equation"
    short = sorted((graph for graph in graphs if graph.found["drawn"]), key=lambda graph: graph.length("whole"))
    if not short:
        return None
    panels, rows = [], []
    for number, graph in enumerate(short[:MOST_STRIPS]):
        figure, tips = _strip(graph.found["drawn"], graph.length("kept"))
        picture = inline(figure, f"strip{number}", f"{heading}, {graph.title}", _strip_words(graph), tips)
        panels.append(Panel(graph.title, picture))
        for place, (name, reads) in enumerate(graph.found["drawn"]):
            part = "loss" if place < graph.length("kept") else "appended"
            read_ones = ", ".join(str(one + 1) for one in reads) or "inputs only"
            rows.append((graph.title, str(place + 1), part, name, read_ones))
    keys = (
        {"text": "the loss, left to right", **key_mark(Look(0), bare=True), "d": "M9 1H25V15H9Z", "fill": "s0"},
        {"text": "appended, right to left", **key_mark(Look(0), bare=True), "d": "M9 1H25V15H9Z", "fill": "s2"},
        {"text": "reads a value of the loss", **key_mark(None, line="primal")},
    )
    caption = (
        "Each box is an equation of the simplified tape. The upper row is computed first, from left to right; then the "
        "lower row from right to left, as reverse mode reads the tape. A line between them is a value of the loss that "
        "is read once more and must be kept until then; reading inputs and within a row is not drawn.",
    )
    return Chart(
        "strips",
        heading,
        caption,
        keys,
        tuple(panels),
        ("Loss", "Equation", "Graph", "Primitive", "Reads"),
        tuple(rows),
    )


def _strip(equations: Sequence[Sequence[Any]], border: int) -> tuple[Figure, dict[str, str]]:
    figure, axes = canvas("", "", height=2 * TALL + BETWEEN + 14.0, left=4.0, bottom=4.0)
    wide = max(border, len(equations) - border)
    axes.set_xlim(0, wide)
    axes.set_ylim(0, 2 * TALL + BETWEEN)
    axes.axis("off")
    tips: dict[str, str] = {}
    for place, (name, reads) in enumerate(equations):
        first = place < border
        x, bottom = (wide - border + place, TALL + BETWEEN) if first else (wide - 1 - (place - border), 0.0)
        gid = f"mark-{len(tips)}"
        _box(axes, x, bottom, name, FIRST if first else SECOND, gid, (WIDTH - 16.0) / wide)
        kept = [one + 1 for one in reads if one < border] if not first else []
        tips[gid] = f"equation {place + 1}, {name}" + (
            f": reads {', '.join(map(str, kept))} of the loss" if kept else ""
        )
        for one in kept:
            axes.plot(
                [x + 0.5, wide - border + one - 0.5], [TALL, TALL + BETWEEN], color=MUTED, linewidth=1.0,
                dashes=(1, 1.6), zorder=2,
            )  # fmt: skip
    return figure, tips


def _box(axes: Axes, x: float, bottom: float, name: str, colour: str, gid: str, width: float) -> None:
    """A box with the name of its primitive upright in it."""
    gap = min(0.12, 1.5 / width)
    axes.bar([x + 0.5], [TALL], width=1 - gap, bottom=[bottom], color=colour, gid=gid, zorder=3)
    axes.patches[-1].set_gid(gid)
    size = min(9.0, 0.8 * width)
    axes.text(
        x + 0.5, bottom + TALL / 2, scales.clipped(name, 14), rotation=90, ha="center", va="center", color=PAPER,
        fontsize=size, zorder=4,
    )  # fmt: skip


def _strip_words(graph: Graph) -> str:
    names = [name for name, _ in graph.found["drawn"]]
    kept = graph.length("kept")
    return f"The loss: {', '.join(names[:kept])}. Appended: {', '.join(names[kept:]) or 'nothing'}."
