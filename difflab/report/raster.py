"""Panels of very many marks: the marks are one layer of pixels, everything else stays lines and text.

Pixels cannot follow the style sheet as classes do, so the layer is there twice, in the colours of the light and of the
dark page, and the style sheet shows one of them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .budget import MARKS
from .style import ROLES, SCHEMES, palettes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

FINENESS = 2.0  # pixels per point: a chart is about twice as wide on a screen as its points say
LONGEST = 2  # points of a line that is a mark or its interval; a longer one joins marks
OF_LINES = ("color", "markeredgecolor", "markerfacecolor")
OF_PATCHES = ("facecolor", "edgecolor")


def dense(figure: Figure) -> bool:
    """Whether a figure has more marks than are drawn one by one.

    Args:
        figure: its marks are what has a ``gid``.

    >>> from difflab.report.style import canvas
    >>> dense(canvas("y", "x")[0])
    False
    """
    return sum(artist.get_gid() is not None for artist in _marks(figure)) > MARKS


def _marks(figure: Figure) -> list[Any]:
    """The marks of a figure and the intervals through them."""
    import numpy as np

    found: list[Any] = []
    for axes in figure.axes:
        found += [line for line in axes.lines if np.size(line.get_xdata()) <= LONGEST]
        found += [patch for patch in axes.patches if patch.get_gid() is not None]
    return found


@contextmanager
def without_marks(figure: Figure) -> Iterator[None]:
    """The figure with its marks hidden, and as it was afterwards.

    Args:
        figure: changed in place while the block runs.
    """
    marks = [mark for mark in _marks(figure) if mark.get_visible()]
    with _hidden(marks):
        yield


def layers(figure: Figure) -> list[ElementTree.Element]:
    """The marks alone as two ``<image>`` elements, for the light page and for the dark one.

    Args:
        figure: drawn within ``style.drawing()``, which must still be open.
    """
    marks = _marks(figure)
    known = set(map(id, marks))
    others = [child for axes in figure.axes for child in axes.get_children() if id(child) not in known]
    width, height = (72 * float(side) for side in figure.get_size_inches())
    found = []
    with _hidden([artist for artist in (*others, *figure.texts) if artist.get_visible()]):
        for scheme in SCHEMES:
            box = {"x": "0", "y": "0", "width": f"{width:g}", "height": f"{height:g}"}
            href = f"data:image/png;base64,{_pixels(figure, marks, palettes()[scheme])}"
            found.append(ElementTree.Element("image", {"class": f"on-{scheme}", **box, "href": href}))
    return found


@contextmanager
def _hidden(artists: list[Artist]) -> Iterator[None]:
    for artist in artists:
        artist.set_visible(False)
    try:
        yield
    finally:
        for artist in artists:
            artist.set_visible(True)


def _pixels(figure: Figure, marks: list[Any], palette: Mapping[str, str]) -> str:
    """What is visible of a figure, its marks in the colours of a palette by role, as a PNG in base64."""
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D

    names = ((mark, OF_LINES if isinstance(mark, Line2D) else OF_PATCHES) for mark in marks)
    kept = [(mark, name, getattr(mark, f"get_{name}")()) for mark, own in names for name in own]
    stream = io.BytesIO()
    try:
        for mark, name, colour in kept:
            if not (isinstance(colour, str) and colour == "none"):
                role = ROLES.get(to_hex(colour))
                getattr(mark, f"set_{name}")(palette.get(role or "", colour))
        figure.savefig(stream, format="png", dpi=72 * FINENESS, metadata={"Software": None})
    finally:
        for mark, name, colour in kept:
            getattr(mark, f"set_{name}")(colour)
    return base64.b64encode(stream.getvalue()).decode()
