"""The drawn graph as one page that needs nothing else, not even a network, and the same bytes whenever it is made."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import StoreError
from ...pages import policy
from ...tape import Tape
from ..rows import brief
from . import coordinates, steps, svg
from .graph import Graph, graph
from .layers import Group, layered, parameters
from .lettering import SMALL, in_line, width
from .scene import Scene, scene

FOLDED = 16
"""Tapes of more equations begin folded."""
ACROSS, WIDE = 20, 1620.0
"""Tapes of at most so many equations are drawn from left to right where that is at most so many pixels wide."""
TEMPLATES = ("draw.html.j2", "draw.css", "draw.js")


@dataclass(frozen=True)
class Drawing:
    """A drawn graph: ``html`` is the page, ``graph`` what is drawn, ``scene`` in which groups and order.

    ``down`` says whether values flow downwards, ``unfolded`` which groups are open at first.
    """

    html: str = field(repr=False)
    graph: Graph = field(repr=False)
    scene: Scene = field(repr=False)
    down: bool
    unfolded: tuple[str, ...]

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Args:
            path: the file, such as ``graph.html``; what is there is replaced.

        Returns:
            The path.

        Raises:
            StoreError: it cannot be written.
        """
        target = Path(path)
        try:
            target.write_text(self.html, encoding="utf-8", newline="\n")
        except (OSError, ValueError) as error:  # a name with a null character is a ValueError
            why = getattr(error, "strerror", None) or error
            raise StoreError(f"the drawing cannot be written to {target}: {why}; name a file that can be") from error
        return target

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own."""
        return f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="640"></iframe>'


def draw(
    tape: Tape,
    values: Mapping[int, np.ndarray],
    *,
    title: str,
    tangent: str | None = None,
    cotangent: Any = None,
) -> Drawing:
    """Draw a tape whose values are known.

    Args:
        tape: of one output, with the names of its inputs.
        values: every value by number, as of ``columns.values_of``.
        title: the heading of the page.
        tangent: name of the input whose tangent is 1 in the table; the first one by default.
        cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.

    Returns:
        The drawing.

    Raises:
        InputError: no such input, no input of floating-point numbers, or an output that is no number.

    Example:
        >>> from difflab import trace
        >>> found = trace(lambda x, y: x * y, 2.0, 3.0)
        >>> draw(found.tape, found.values(), title="A product").html[:15]
        '<!DOCTYPE html>'
    """
    with np.errstate(all="ignore"):
        found = graph(tape, values, tangent=tangent, cotangent=cotangent)
        whole = layered(tape, found.names)
        root, groups, down = _arranged(found, whole, parameters(tape))
        unfolded = () if len(tape) > FOLDED else tuple(groups)
        return Drawing(_page(found, root, down, groups, unfolded, title), found, root, down, unfolded)


def _arranged(found: Graph, whole: Group, own: set[int]) -> tuple[Scene, list[str], bool]:
    """The scene, its groups, and whether it goes down: to the right as lectures do, unless it is long or has layers."""
    if len(found.tape) <= ACROSS and not any(group.kind == "layer" for group in whole.groups()):
        root = scene(found, whole, own, down=False)
        groups = [one.key for one in root.scenes() if one.framed]
        if coordinates.place(root, groups, down=False).width <= WIDE:
            return root, groups, False
    root = scene(found, whole, own, down=True)
    return root, [one.key for one in root.scenes() if one.framed], True


def _page(found: Graph, root: Scene, down: bool, groups: list[str], unfolded: tuple[str, ...], title: str) -> str:
    import jinja2
    from markupsafe import Markup

    from ... import __version__

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("difflab.walk.drawing"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template, sheet, script = TEMPLATES
    loader: Any = environment.loader
    sheet, script = (loader.get_source(environment, name)[0] for name in (sheet, script))
    placed = coordinates.place(root, groups, down=down)
    walk = found.walk
    description = f"Computation graph of {title}: values go forward, gradients come back"
    data = json.dumps(contents(found, root, down, unfolded), separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template(template).render(
        policy=policy(sheet, script),
        version=__version__,
        title=title,
        counted=steps.counted(found.tape),
        answer=_answer(found),
        groups=groups,
        down=down,
        drawing=Markup(svg.drawing(placed, down=down, description=description)),
        columns=["value", "is", "primal", f"tangent d/d{walk.seed}", f"adjoint d{walk.symbol}/dv", "gate"],
        rows=[
            [row.name, row.formula, brief(row.primal), brief(row.tangent), brief(row.adjoint), row.gate]
            for row in walk.rows
        ],
        data=Markup(data),
        sheet=Markup(sheet),
        script=Markup(script),
    )


def contents(found: Graph, root: Scene, down: bool, unfolded: tuple[str, ...]) -> dict[str, Any]:
    """What the script of the page needs: order and sizes, but no coordinates, and what it says at each step."""
    order = root.order()
    turns = {position: turn for turn, position in enumerate([*order, len(order)])}
    tell = {f"e{at}": [steps.forward(found, at), steps.backward(found, at, turns)] for at in order}
    for one in root.scenes():
        if one.framed:
            tell[one.key] = [steps.forward_of_group(found, one), steps.backward_of_group(found, one, turns)]
    return {
        "down": down,
        "open": list(unfolded),
        "count": len(found.tape),
        "order": order,
        "begin": steps.begin(found),
        "turn": steps.turn(found),
        "tell": tell,
        "sizes": {
            "separation": coordinates.SEPARATION,
            "gap": coordinates.GAP,
            "widestGap": coordinates.WIDEST_GAP,
            "steep": coordinates.STEEP,
            "pad": coordinates.PAD,
            "bar": coordinates.BAR,
            "sweeps": coordinates.SWEEPS,
            "straight": coordinates.STRAIGHT,
        },
        "scenes": {
            one.key: {
                "name": one.group.title,
                "title": width(one.group.title, 13.0, bold=True) + 44.0,
                "span": [one.group.start, one.group.stop],
                "items": [[item.key, item.width, item.height] for item in one.items],
                "ranks": one.ranked.ranks,
                "joints": one.joints,
                "ways": [[way.key, way.chain] for way in one.ways],
                "children": one.children,
                "ins": len(one.ins),
                "outs": len(one.outs),
            }
            for one in root.scenes()
        },
    }


def _answer(found: Graph) -> list[str]:
    """Value and gradient in words."""
    walk = found.walk
    said = [f"{walk.symbol} = {in_line(walk.value)}"]
    if all(slope.size <= SMALL for slope in walk.gradient.values()) and len(walk.gradient) <= SMALL:
        said.append(", ".join(f"d{walk.symbol}/d{name} = {in_line(slope)}" for name, slope in walk.gradient.items()))
    return said
