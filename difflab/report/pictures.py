"""Arrays as pictures in the page: weights, images, patterns of zeros, regions, drawn as plain shapes.

A picture has no colours of its own: every cell is a share of a colour of the style sheet, so a page may be light, dark
or printed, and nothing needs an image format.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVELS = 16  # shares of a colour that are told apart
GAP = 1.0  # between pictures, in cells
EDGE = 0.12
POSITIVE, NEGATIVE, AMOUNT = "s3", "s1", "ink"


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
) -> str:
    """Arrays side by side, as one ``<svg>`` element.

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

    Returns:
        Markup without styles and scripts.

    Example:
        >>> import numpy as np
        >>> pictures([np.eye(2)], "p", "Unit", "The unit matrix.").count("<path")
        1
    """
    import numpy as np

    arrays = [np.atleast_2d(np.asarray(one, np.float64)) for one in arrays]
    largest = max((float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one))) for one in arrays), default=0.0)
    limit = limit or largest or 1.0
    signed = any(bool(np.any(one < 0)) for one in arrays)
    across = min(columns or len(arrays), len(arrays)) or 1
    rows = math.ceil(len(arrays) / across)
    width = max((one.shape[1] for one in arrays), default=1) + GAP
    height = max((one.shape[0] for one in arrays), default=1) + GAP
    inner = []
    for place, one in enumerate(arrays):
        left, top = width * (place % across), height * (place // across)
        shapes = _cells(one, limit, signed)
        tip = f"<title>{_text(tips[place])}</title>" if place < len(tips) else ""
        frame = (
            f'<rect x="{-EDGE / 2:g}" y="{-EDGE / 2:g}" width="{one.shape[1] + EDGE:g}" '
            f'height="{one.shape[0] + EDGE:g}" fill="none" class="k-muted" stroke-width="{EDGE:g}"/>'
        )
        inner.append(f'<g transform="translate({left:g} {top:g})">{tip}{shapes}{frame}</g>')
    whole = max(width * across - GAP, float(least))
    box = f"{-EDGE:g} {-EDGE:g} {whole + 2 * EDGE:g} {height * rows - GAP + 2 * EDGE:g}"
    return (
        f'<svg class="chart picture" viewBox="{box}" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{_text(title)}</title><desc id="{prefix}-desc">{_text(description)}</desc>'
        f"{''.join(inner)}</svg>"
    )


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
