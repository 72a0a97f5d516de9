"""How charts look: one colour, marker and dash per backend, and a place for every colour in the page's style sheet.

Charts are drawn in placeholder colours; ``svg.py`` turns each into a class, so the page chooses the colours and can
be light, dark or printed.  A backend is told apart by its marker and its dash as well, never by colour alone.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

    from .cases import Case

INK, MUTED, GRID, PAPER, LIMIT = "#010001", "#010002", "#010003", "#010004", "#010005"
SERIES = tuple(f"#0200{index:02x}" for index in range(12))
ROLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", LIMIT: "limit"} | {
    colour: f"s{index}" for index, colour in enumerate(SERIES)
}
# Markers and dashes beside each of SERIES, in the same order.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*", "h", "<", ">")
DASHES: tuple[tuple[float, ...], ...] = (
    (), (5, 2), (5, 1.5, 1, 1.5), (2, 1.2), (7, 2, 1, 2, 1, 2), (1, 1.4), (4, 3), (8, 2), (3, 1, 1, 1),
    (6, 1), (2, 3), (9, 3),
)  # fmt: skip
FIXED = {"reverse": 0, "finite": 1, "symbolic": 2, "forward": 3, "analytic": 4, "null": 5, "complex-step": 6}
SCHEMES = ("light", "dark")

WIDTH, HEIGHT = 360.0, 272.0  # points; the page scales charts to their column
FONT = 10.0


@dataclass(frozen=True)
class Look:
    """How one backend is drawn: ``slot`` is its place in ``SERIES``."""

    slot: int

    @property
    def colour(self) -> str:
        """The placeholder colour."""
        return SERIES[self.slot % len(SERIES)]

    @property
    def role(self) -> str:
        """The name of the colour in the style sheet."""
        return ROLES[self.colour]

    @property
    def marker(self) -> str:
        """The marker as matplotlib names it; after all colours are used once, the next marker."""
        return MARKERS[(self.slot + self.slot // len(SERIES)) % len(MARKERS)]

    @property
    def dashes(self) -> tuple[float, ...]:
        """The dash pattern in line widths; empty for a solid line."""
        return DASHES[(self.slot + self.slot // len(SERIES)) % len(DASHES)]


def looks(cases: list[Case]) -> dict[str, Look]:
    """A look for every backend; the usual ones look the same on every page, the others take the next free ones."""
    from .cases import family_of

    families = {case.backend: family_of(case) for case in cases}
    found = {name: Look(FIXED[name]) for name in families if name in FIXED}
    for name, family in families.items():
        if name not in found:
            used = {look.slot for look in found.values()}
            wanted = FIXED.get(family)
            slots = (slot for slot in range(len(FIXED), len(FIXED) + len(families)) if slot not in used)
            found[name] = Look(next(slots) if wanted is None or wanted in used else wanted)
    return {name: found[name] for name in families}


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's own defaults plus ours, whatever the user's settings are, and nothing left behind."""
    import warnings

    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "difflab",
                "text.parse_math": False,  # a dollar in a name is a dollar
                "font.family": "DejaVu Sans",  # comes with matplotlib, so widths are the same on every machine
                "font.size": FONT,
                "text.color": INK,
                "axes.labelcolor": MUTED,
                "axes.edgecolor": MUTED,
                "axes.linewidth": 0.7,
                "axes.facecolor": "none",
                "axes.axisbelow": True,
                "figure.facecolor": "none",
                "grid.color": GRID,
                "grid.linewidth": 0.6,
                "xtick.color": MUTED,
                "ytick.color": MUTED,
                "xtick.labelcolor": INK,
                "ytick.labelcolor": INK,
                "xtick.major.size": 3,
                "ytick.major.size": 0,
                "lines.linewidth": 1.3,
                "lines.markersize": 6,
            }
        )
        yield


def blank(height: float) -> Figure:
    """A figure of the common width without axes."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from .notebook import ShownFigure

    figure = ShownFigure(figsize=(WIDTH / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure


@functools.cache
def palettes() -> Mapping[str, Mapping[str, str]]:
    """The colours of the roles as the style sheet has them: the first of a name is for light, the second for dark.

    >>> sorted(palettes()), len(palettes()["light"]) == len(ROLES)
    (['dark', 'light'], True)
    """
    sheet = (files("difflab.report") / "templates" / "style.css").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for name, colour in re.findall(r"--(\w+):\s*(#[0-9a-f]{6})\b", sheet):
        found.setdefault(name, []).append(colour)
    return {scheme: {role: found[role][place] for role in ROLES.values()} for place, scheme in enumerate(SCHEMES)}


def canvas(
    y_label: str, x_label: str, height: float = HEIGHT, left: float = 56.0, bottom: float = 52.0
) -> tuple[Figure, Axes]:
    """An empty chart of the common size; the label of the y axis stands above it, where it reads without turning."""
    figure = blank(height)
    top, right = 22.0 if y_label else 6.0, 12.0
    area = (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - top - bottom) / height)
    axes = figure.add_axes(area)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(True, axis="both")
    axes.minorticks_off()
    figure.text(3 / WIDTH, 1 - 5 / height, y_label, ha="left", va="top", color=MUTED)
    axes.set_xlabel(x_label, labelpad=4)
    return figure, axes


def taller(axes: Axes, points: float) -> None:
    """More room below the axes of a canvas, for labels of more lines."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    box, height = axes.get_position(), 72 * figure.get_figheight()
    total = height + points
    figure.set_figheight(total / 72)
    axes.set_position((box.x0, (box.y0 * height + points) / total, box.width, box.height * height / total))


def arrow(direction: int) -> Path:
    """A marker that is only an arrow, beginning at the edge of the point's own marker; 1 is up, -1 down."""
    from matplotlib.path import Path

    start, end, head = 0.5 * direction, 1.7 * direction, 1.25 * direction
    points = [(0.0, start), (0.0, end), (-0.35, head), (0.0, end), (0.35, head)]
    return Path(points, [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.LINETO])


def key_mark(
    look: Look | None, *, hollow: bool = False, upward: bool = False, line: str = "", bare: bool = False
) -> dict[str, Any]:
    """What a legend key needs: the path of the marker in a box of 34 x 14 units, its classes and its dash.

    A ``bare`` marker has no line behind it.
    """
    from matplotlib.markers import MarkerStyle

    mark: dict[str, Any] = {"d": "", "fill": "", "stroke": "muted", "dashes": "", "line": line, "arrow": upward}
    mark["bare"] = bare
    if look is None:
        return mark
    style = MarkerStyle(look.marker)
    path = style.get_path().transformed(style.get_transform())
    letters = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
    parts = []
    for vertices, code in path.iter_segments(simplify=False):
        numbers = [f"{17 + 9 * v:.1f}" if i % 2 == 0 else f"{8 - 9 * v:.1f}" for i, v in enumerate(vertices)]
        parts.append(letters[int(code)] + ("" if code == 79 else " ".join(numbers)))
    mark.update(d="".join(parts), fill="paper" if hollow else look.role, stroke=look.role)
    mark["dashes"] = " ".join(f"{1.6 * length:g}" for length in look.dashes)
    return mark


def line_mark(dashes: Sequence[float]) -> dict[str, Any]:
    """What a legend key needs for a thin grey line without marks, with its dashes in line widths."""
    return key_mark(None) | {"dashes": " ".join(f"{1.6 * length:g}" for length in dashes)}


def ring_mark() -> dict[str, Any]:
    """What a legend key needs for a mark with a ring around it."""
    ring = _circle(7.0) + _circle(5.8, backwards=True) + _circle(3.4)
    return key_mark(None, bare=True) | {"d": ring, "fill": "ink", "stroke": "paper"}


def _circle(radius: float, backwards: bool = False) -> str:
    """A circle around the middle of a legend key, as four curves; backwards it cuts a hole."""
    near, sign = 0.5523 * radius, -1 if backwards else 1
    points = [(0, -1, near, 0), (1, 0, 0, near), (0, 1, -near, 0), (-1, 0, 0, -near), (0, -1, near, 0)]
    x, y = 17.0, 8.0
    parts = [f"M{x:g} {y - radius:g}"]
    for (a, b, da, db), (c, d, dc, dd) in itertools.pairwise(points):
        curve = (x + sign * (a * radius + da), y + b * radius + db, x + sign * (c * radius - dc), y + d * radius - dd)
        parts.append(f"C{' '.join(f'{one:.1f}' for one in (*curve, x + sign * c * radius, y + d * radius))}")
    return "".join(parts) + "Z"
