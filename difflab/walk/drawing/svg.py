"""A placed scene as SVG: every group with its box and its inside, so that a script only has to move and to hide."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .boxes import HEIGHTS, LABEL_GAP, PAD, Box, Label, Line
from .coordinates import BAR, Placed
from .scene import Way

ID = "dg-"
"""How every id begins: the drawing may stand on a page with ids of its own."""
ROUND = {"gate": 8, "source": 15, "folded": 3}
SIGN = '<path class="sign" d="M0 -4L6 0L0 4Z"/>'


def drawing(root: Placed, *, down: bool, description: str) -> str:
    """The whole drawing.

    Args:
        root: everything with coordinates.
        down: whether values flow downwards.
        description: for those who do not see it.

    Returns:
        SVG markup without style.
    """
    width, height = f"{root.width:.1f}", f"{root.height:.1f}"
    return (
        f'<svg id="{ID}drawing" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="group" aria-label="{escape(description)}"><defs>'
        + _arrow("tip", "M0.5 0.8L7.5 4L0.5 7.2Z", 7)
        + _arrow("tail", "M7.5 0.8L0.5 4L7.5 7.2Z", 1)
        + f'</defs><g id="{ID}g0" class="group open"><g class="inner">{_inside(root, down)}</g></g></svg>'
    )


def _arrow(name: str, path: str, at: int) -> str:
    return (
        f'<marker id="{ID}{name}" viewBox="0 0 8 8" refX="{at}" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto" markerUnits="userSpaceOnUse"><path d="{path}" fill="context-stroke"/></marker>'
    )


def _inside(placed: Placed, down: bool) -> str:
    scene = placed.scene
    parts = [
        _way(way, path, bool(scene.items[way.chain[-1]].key))
        for way, path in zip(scene.ways, placed.paths, strict=True)
    ]
    for at, item in enumerate(scene.items):
        x, y = placed.centres[at]
        if isinstance(item.what, Box):
            parts.append(
                f'<g id="{ID}{item.key}" class="node {item.what.kind}" transform="translate({x:.1f} {y:.1f})">'
                f"{_box(item.what)}</g>"
            )
        elif isinstance(item.what, Label):
            parts.append(_label(item.key, item.what, x, y, down))
        elif at in placed.inner:
            parts.append(_group(placed.inner[at], x, y, down))
    return "".join(parts)


def _numbers(found: Iterable[int]) -> str:
    return " ".join(map(str, dict.fromkeys(found)))


def _way(way: Way, path: str, arrow: bool) -> str:
    readers = _numbers(use.position for use in way.uses)
    back = _numbers(use.position for use in way.uses if use.contribution is not None)
    return (
        f'<path id="{ID}{way.key}" class="way{"" if arrow else " on"}" data-made="{way.made}" data-uses="{readers}" '
        f'data-back="{back}" d="{path}"/>'
    )


def _box(box: Box) -> str:
    """A box about its middle."""
    x, y = -box.width / 2, -box.height / 2
    round_ = ROUND[box.kind.partition(" ")[0]]
    parts = [
        f"<title>{escape(box.tip)}</title>",
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{round_}"/>',
    ]
    if box.kind == "folded":
        parts.append(f'<g transform="translate({x + PAD:.1f} {y + PAD + 8:.1f})">{SIGN}</g>')
    at = y + PAD - 2
    for line in box.lines:
        at += HEIGHTS[line.kind]
        base = at - 0.28 * HEIGHTS[line.kind]
        indent = PAD + (12 if line.kind == "title" else 0)
        left = box.kind == "folded"
        parts.append(_text(line, x + indent, base, "start") if left else _text(line, 0.0, base, "middle"))
    return "".join(parts)


def _text(line: Line, x: float, y: float, anchor: str) -> str:
    readers = "" if line.readers is None else f' data-readers="{_numbers(line.readers)}"'
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{line.kind}" {place}{readers}>{escape(line.text)}</text>'


def _label(key: str, label: Label, x: float, y: float, down: bool) -> str:
    """Value and gradient on the two sides of an edge."""
    step = HEIGHTS["value"]
    value, slope = [], []
    for at, text in enumerate(label.value):
        up = len(label.value) - at - 1
        here = (at - (len(label.value) - 1) / 2) * step + 4 if down else -LABEL_GAP - up * step
        value.append(_text(Line("value", text), -LABEL_GAP if down else 0.0, here, "end" if down else "middle"))
    for at, text in enumerate(label.slope):
        here = (at - (len(label.slope) - 1) / 2) * step + 4 if down else LABEL_GAP + 9 + at * step
        slope.append(_text(Line("slope", text), LABEL_GAP if down else 0.0, here, "start" if down else "middle"))
    return (
        f'<g id="{ID}{key}" class="label" transform="translate({x:.1f} {y:.1f})">'
        f'<g data-made="{label.made}">{"".join(value)}</g>'
        f'<g data-readers="{_numbers(label.readers)}">{"".join(slope)}</g></g>'
    )


def _group(placed: Placed, x: float, y: float, down: bool) -> str:
    """A group unfolded, with the box that it is when it is folded."""
    scene = placed.scene
    title = escape(scene.group.title)
    left, top = x - placed.width / 2, y - placed.height / 2
    box = scene.box
    return (
        f'<g id="{ID}{scene.key}" class="group open" transform="translate({left:.1f} {top:.1f})">'
        f'<rect class="frame" width="{placed.width:.1f}" height="{placed.height:.1f}" rx="3"/>'
        f'<g class="inner">{_inside(placed, down)}</g>'
        f'<g class="bar toggle" data-group="{scene.key}">'
        f'<rect width="{placed.width:.1f}" height="{BAR - 4:.0f}" rx="3"/>'
        f'<g transform="translate({PAD + 2:.0f} {BAR / 2 - 2:.0f}) rotate(90)">{SIGN}</g>'
        f'<text class="title" x="{PAD + 14:.0f}" y="{BAR / 2 + 3:.1f}">{title}</text></g>'
        f'<g class="node folded toggle" data-group="{scene.key}" '
        f'transform="translate({box.width / 2:.1f} {box.height / 2:.1f})">{_box(box)}</g></g>'
    )
