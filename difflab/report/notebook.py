"""A matplotlib figure that shows itself in notebooks, whether or not pyplot has been imported there."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure of its own, without pyplot's global state; notebooks ask ``_repr_png_`` for a picture of it."""

    def _repr_png_(self) -> bytes:
        """The figure as a PNG, twice as fine as its size says, as screens are."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=2 * self.dpi)
        return stream.getvalue()
