"""The drawing as a part of a page: markup that works without a script, and the style and the script that step it."""

from __future__ import annotations

import functools
import json
from typing import Any

from ...pages import in_script
from ..rows import brief
from . import coordinates, steps, svg
from .graph import Graph
from .lettering import SMALL, in_line, width
from .scene import Scene

MARKUP, SHEET, SCRIPT = "graph.html.j2", "graph.css", "graph.js"


def fragment(found: Graph, root: Scene, title: str, *, down: bool, unfolded: tuple[str, ...], whole: bool) -> str:
    """Buttons, the sentence of the step, the drawing, its legend and the table of its values.

    Args:
        found: what is drawn.
        root: in which groups and order.
        title: what it is the graph of.
        down: whether values flow downwards.
        unfolded: the groups that are open at first.
        whole: whether the page is about nothing else; then keys step wherever the focus is.

    Returns:
        Markup with ids that begin with ``dg``; it needs ``sheet()`` and ``script()``, and a page whose style sheet
        names the colours and knows tables of the class ``plain`` in a ``scroll``.

    Example:
        >>> from difflab import trace
        >>> trace(lambda x: x * x, 3.0).draw().fragment[:20]
        '<div class="dg" id="'
    """
    from markupsafe import Markup

    groups = [one.key for one in root.scenes() if one.framed]
    walk = found.walk
    description = f"Computation graph of {title}: values go forward, gradients come back"
    data = json.dumps(contents(found, root, down, unfolded), separators=(",", ":"))
    template = environment().get_template(MARKUP)
    return template.render(
        whole=whole,
        groups=groups,
        down=down,
        drawing=Markup(svg.drawing(coordinates.place(root, groups, down=down), down=down, description=description)),
        columns=["value", "is", "primal", f"tangent d/d{walk.seed}", f"adjoint d{walk.symbol}/dv", "gate"],
        rows=[
            [row.name, row.formula, brief(row.primal), brief(row.tangent), brief(row.adjoint), row.gate]
            for row in walk.rows
        ],
        data=Markup(in_script(data)),
    )


def sheet() -> str:
    """The style of the fragment; all of it applies inside of the fragment only."""
    return asset(SHEET)


def script() -> str:
    """The script of the fragment: one expression, which shares no names with other scripts of the page."""
    return asset(SCRIPT)


@functools.cache
def environment() -> Any:
    """The templates of this package."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("difflab.walk.drawing"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """A file beside the templates, as it is."""
    return environment().loader.get_source(environment(), name)[0]


def answer(found: Graph) -> list[str]:
    """Value and gradient in words: a sentence for the value, and one for the gradient where it is short."""
    walk = found.walk
    said = [f"{walk.symbol} = {in_line(walk.value)}"]
    if all(slope.size <= SMALL for slope in walk.gradient.values()) and len(walk.gradient) <= SMALL:
        said.append(", ".join(f"d{walk.symbol}/d{name} = {in_line(slope)}" for name, slope in walk.gradient.items()))
    return said


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
