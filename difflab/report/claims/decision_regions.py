"""Decision regions of a trained classifier, cell by cell, with the points that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import numbers
from ..style import INK, PAPER, WIDTH, blank, palettes
from .training_runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADES = ("s1", "s0", "s2", "s3", "s4", "s6")  # of the classes, in their order
SHARE = 0.28  # of the colour, so that points stand out
SIZE = 0.9  # half the width of a point, in cells


def right(run: Run) -> str:
    """How many were told right: ``296 of 299``, or nothing."""
    return f"{run.score['right']} of {run.score['of']}" if run.score else ""


@dataclass(frozen=True, eq=False)
class Regions:
    """The decision regions of a run: shaded cells, the border as a line, the points by shape."""

    run: Run
    prefix: str
    title: str

    def markup(self) -> str:
        """An ``<svg>`` element in the colours of the page."""
        return _drawn(self.run, self.prefix, self.title)

    def drawn(self) -> Figure:
        """A figure of the same cells, border and points."""
        import numpy as np
        from matplotlib.colors import to_rgb

        regions, light = self.run.regions or {}, palettes()["light"]
        low, high = regions["box"]
        classes = np.array([[int(cell) for cell in row] for row in regions["rows"]])
        shades = np.array([to_rgb(light[shade]) for shade in SHADES])
        figure = blank(WIDTH)
        axes = figure.add_axes((0.09, 0.07, 0.88, 0.88))
        cells = 1 - SHARE * (1 - shades[classes % len(SHADES)])
        axes.imshow(cells, origin="lower", extent=(low, high, low, high), interpolation="nearest")
        for number in np.unique(classes):
            if len(np.unique(classes)) > 1:
                middles = low + (np.arange(len(classes)) + 0.5) * (high - low) / len(classes)
                axes.contour(middles, middles, classes == number, levels=[0.5], colors=INK, linewidths=0.8)
        for kind, marker in ((0, "o"), (1, "x")):
            own = [(x, y) for x, y, one in regions["points"] if bool(one) == bool(kind)]
            edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.4} if marker == "o" else {}
            if own:
                axes.plot(*zip(*own, strict=True), marker, color=INK, markersize=4, linestyle="none", **edge)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        return figure


def _drawn(run: Run, prefix: str, title: str) -> str:
    regions = run.regions or {}
    rows: Sequence[str] = regions["rows"][::-1]  # from the top down
    low, high = regions["box"]
    count = len(rows)
    shades: dict[str, list[str]] = {}
    lines = []
    for y, row in enumerate(rows):
        start = 0
        for x in range(1, count + 1):
            if x == count or row[x] != row[start]:
                shades.setdefault(row[start], []).append(f"M{start} {y}h{x - start}v1h{start - x}z")
                start = x
                if x < count:
                    lines.append(f"M{x} {y}v1")
        if y:
            lines += [f"M{x} {y}h1" for x in range(count) if row[x] != rows[y - 1][x]]
    shapes = [
        f'<path class="f-{SHADES[int(one) % len(SHADES)]}" fill-opacity="{SHARE}" d="{"".join(parts)}"/>'
        for one, parts in sorted(shades.items())
    ]
    shapes.append(f'<path class="k-ink" fill="none" stroke-width="0.35" stroke-linecap="square" d="{"".join(lines)}"/>')
    scale = count / (high - low)
    for x, y, kind in regions["points"]:
        if low <= x <= high and low <= y <= high:
            shapes.append(_point(scale * (x - low), scale * (high - y), int(kind)))
    shapes.append(
        f'<rect x="0" y="0" width="{count}" height="{count}" fill="none" class="k-muted" stroke-width="0.3"/>'
    )
    ends = [numbers.signed(f"{end:g}") for end in (low, high)]
    for text, x, anchor in ((ends[0], 0.0, "start"), (ends[1], float(count), "end")):
        shapes.append(
            f'<text x="{x:g}" y="{count + 2.1:g}" font-size="1.6" text-anchor="{anchor}" class="f-muted">{text}</text>'
        )
    words = f"Both coordinates go from {' to '.join(ends)}. {right(run)} points lie in the region of their class."
    box = f"-0.3 -0.3 {count + 0.6:g} {count + 3.2:g}"
    return _svg(shapes, prefix, f"Decision regions of {title}", words, box)


def _point(x: float, y: float, kind: int) -> str:
    if kind:
        size = 0.8 * SIZE
        arms = f"M{x - size:.2f} {y - size:.2f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
        return f'<path class="k-ink" fill="none" stroke-width="0.45" d="{arms}"/>'
    return f'<circle class="f-ink k-paper" stroke-width="0.2" cx="{x:.2f}" cy="{y:.2f}" r="{0.8 * SIZE:g}"/>'


def _svg(shapes: Sequence[str], prefix: str, title: str, description: str, box: str) -> str:
    def clean(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    return (
        f'<svg class="chart picture" viewBox="{box}" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{clean(title)}</title><desc id="{prefix}-desc">{clean(description)}</desc>'
        f"{''.join(shapes)}</svg>"
    )
