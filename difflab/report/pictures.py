"""Arrays as pictures in the page: weights, images, patterns of zeros, regions, drawn as plain shapes.

A picture has no colours of its own: every cell is a share of a colour of the style sheet, so a page may be light, dark
or printed, and nothing needs an image format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .style import WIDTH, blank, palettes

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

LEVELS = 16  # shares of a colour that are told apart
GAP = 1.0  # between pictures, in cells
EDGE = 0.12
POSITIVE, NEGATIVE, AMOUNT = "s3", "s1", "ink"


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays side by side, as ``pictures`` describes them."""

    arrays: tuple[np.ndarray, ...]
    prefix: str
    title: str
    description: str
    columns: int | None
    limit: float
    least: int
    tips: Sequence[str]

    @property
    def _across(self) -> int:
        return min(self.columns or len(self.arrays), len(self.arrays)) or 1

    @property
    def _signed(self) -> bool:
        return any(bool((one < 0).any()) for one in self.arrays)

    def markup(self) -> str:
        """An ``<svg>`` element: what is positive in one colour, what is negative in another, the fuller the larger."""
        across, prefix = self._across, self.prefix
        rows = math.ceil(len(self.arrays) / across)
        width = max((one.shape[1] for one in self.arrays), default=1) + GAP
        height = max((one.shape[0] for one in self.arrays), default=1) + GAP
        inner = []
        for place, one in enumerate(self.arrays):
            left, top = width * (place % across), height * (place // across)
            shapes = _cells(one, self.limit, self._signed)
            tip = f"<title>{_text(self.tips[place])}</title>" if place < len(self.tips) else ""
            frame = (
                f'<rect x="{-EDGE / 2:g}" y="{-EDGE / 2:g}" width="{one.shape[1] + EDGE:g}" '
                f'height="{one.shape[0] + EDGE:g}" fill="none" class="k-muted" stroke-width="{EDGE:g}"/>'
            )
            inner.append(f'<g transform="translate({left:g} {top:g})">{tip}{shapes}{frame}</g>')
        whole = max(width * across - GAP, float(self.least))
        box = f"{-EDGE:g} {-EDGE:g} {whole + 2 * EDGE:g} {height * rows - GAP + 2 * EDGE:g}"
        return (
            f'<svg class="chart picture" viewBox="{box}" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
            f'<title id="{prefix}-title">{_text(self.title)}</title>'
            f'<desc id="{prefix}-desc">{_text(self.description)}</desc>{"".join(inner)}</svg>'
        )

    def drawn(self) -> Figure:
        """A figure with axes for each array."""
        from matplotlib.colors import LinearSegmentedColormap

        light = palettes()["light"]
        ends = [light[NEGATIVE], "#ffffff", light[POSITIVE]] if self._signed else ["#ffffff", light[AMOUNT]]
        colours = LinearSegmentedColormap.from_list("difflab", ends)
        across = self._across
        rows = math.ceil(len(self.arrays) / across)
        tallest = max((one.shape[0] / max(1, one.shape[1]) for one in self.arrays), default=1.0)
        figure = blank(max(rows, 1) * WIDTH / across * min(tallest, 2.0))
        for place, one in enumerate(self.arrays):
            left, bottom = (place % across) / across, 1 - (place // across + 1) / rows
            axes = figure.add_axes((left + 0.03 / across, bottom + 0.03 / rows, 0.94 / across, 0.94 / rows))
            low = -self.limit if self._signed else 0.0
            axes.imshow(one, cmap=colours, vmin=low, vmax=self.limit, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        return figure


def pictures(
    arrays: Sequence[np.ndarray],
    prefix: str,
    title: str,
    description: str,
    *,
    columns: int | None = None,
    limit: float | None = None,
    least: int = 0,
    tips: Sequence[str] = (),
) -> Arrays:
    """Arrays side by side, as one picture.

    What is positive is drawn in one colour and what is negative in another, the more of it the larger the number;
    arrays without negative numbers are drawn in ink.

    Args:
        arrays: of two dimensions, floats of any dtype; NaN is left empty.
        prefix: begins every id; unique in the page.
        title: a short name for those who do not see the picture.
        description: what it shows.
        columns: how many stand side by side; all by default.
        limit: the number that is drawn full; by default the largest magnitude of all.
        least: so many cells wide at least, so that a picture of few cells does not fill the page.
        tips: for each array, what is shown when the pointer rests on it.

    Example:
        >>> import numpy as np
        >>> pictures([np.eye(2)], "p", "Unit", "The unit matrix.").markup().count("<path")
        1
    """
    import numpy as np

    found = tuple(np.atleast_2d(np.asarray(one, np.float64)) for one in arrays)
    largest = max((float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one))) for one in found), default=0.0)
    return Arrays(found, prefix, title, description, columns, limit or largest or 1.0, least, tuple(tips))


def _cells(array: np.ndarray, limit: float, signed: bool) -> str:
    """One path per level: the runs of cells of that level, row by row."""
    import numpy as np

    shares = np.clip(np.nan_to_num(array / limit, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    levels = np.rint(shares * LEVELS).astype(int)
    paths: dict[int, list[str]] = {}
    for y, row in enumerate(levels):
        ends = [*np.flatnonzero(np.diff(row)) + 1, len(row)]
        start = 0
        for end in ends:
            if row[start]:
                paths.setdefault(int(row[start]), []).append(f"M{start} {y}h{end - start}v1h{start - end}z")
            start = end
    colours: Mapping[bool, str] = {True: POSITIVE if signed else AMOUNT, False: NEGATIVE}
    return "".join(
        f'<path class="f-{colours[level > 0]}" fill-opacity="{abs(level) / LEVELS:.3g}" d="{"".join(parts)}"/>'
        for level, parts in sorted(paths.items())
    )


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
