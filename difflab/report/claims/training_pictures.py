"""What was learned, as pictures: decision regions with the points, weights of the first layer, completed images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import numbers
from ..figures import Chart, Panel
from ..pictures import NEGATIVE, POSITIVE, pictures
from ..style import Look, key_mark
from .training_runs import Field, Run

if TYPE_CHECKING:
    import numpy as np

DIFFERENT = 0.02  # regions that differ in a larger share of their cells get a picture of their own
MOST_DIFFERENT = 2  # of each problem
SHADES = ("s1", "s0", "s2", "s3", "s4", "s6")  # of the classes, in their order
SHARE = 0.28  # of the colour, so that points stand out
SIZE = 0.9  # half the width of a point, in cells
ROUND, CROSS = Look(0), Look(6)


def charts(found: Sequence[Field]) -> list[Chart]:
    """A chart of each kind of picture for which there is something.

    Args:
        found: the runs, by what may be compared.
    """
    return [chart for chart in (_regions(found), _weights(found), _inpainted(found)) if chart is not None]


def border(regions: Mapping[str, Any] | None) -> int:
    """How many edges between neighbouring cells part two classes.

    >>> border({"rows": ["001", "011"]})
    3
    """
    rows = [] if regions is None else regions["rows"]
    level = sum(a != b for row in rows for a, b in itertools.pairwise(row))
    upright = sum(a != b for pair in itertools.pairwise(rows) for a, b in zip(*pair, strict=True))
    return level + upright


def difference(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> float | None:
    """The share of cells whose class differs; ``None`` where there is nothing to compare."""
    if not one or not other or len(one["rows"]) != len(other["rows"]):
        return None
    first, second = "".join(one["rows"]), "".join(other["rows"])
    return sum(a != b for a, b in zip(first, second, strict=True)) / len(first)


# ------------------------------------------------------------------------------------------------ regions


def _regions(found: Sequence[Field]) -> Chart | None:
    panels, rows, classes = [], [], set()
    for field in found:
        own = [run for run in field.moved if run.regions]
        if not own:
            continue
        main = field.example if field.example.regions else own[0]
        apart = [run for run in own if (difference(main.regions, run.regions) or 0.0) > DIFFERENT]
        for run in (main, *apart[:MOST_DIFFERENT]):
            name = f"{field.place}, {run.case.backend}"
            panels.append(Panel(name, _drawn(run, f"regions{len(panels)}", name)))
            classes |= {point[2] for point in (run.regions or {}).get("points", ())}
        for run in own:
            differs = difference(main.regions, run.regions)
            rows.append(
                (
                    field.place,
                    run.case.backend,
                    "" if run.strength is None else f"{run.strength:g}",
                    right(run),
                    "" if run.weights_length is None else numbers.significant(run.weights_length),
                    numbers.grouped(border(run.regions)),
                    "" if differs is None else f"{numbers.factor(100 * differs) if differs else 0} %",
                )
            )
    if not panels:
        return None
    keys = [
        {"text": f"class {number}", **key_mark(look, bare=True), "fill": "ink", "stroke": "paper", "dashes": ""}
        for number, look in ((0, ROUND), (1, CROSS))
        if number in classes
    ]
    keys += [_square(f"region of class {number}", SHADES[number]) for number in sorted(classes)]
    caption = (
        "Every cell of the square has the colour of the class that the trained classifier gives to its middle; the "
        "line is the border.",
        "Where the regions of another way of getting the gradient differ in more than "
        f"{100 * DIFFERENT:g} % of the cells they are drawn as well.",
    )
    columns = ("Problem", "Gradient", "\u03bb", "Right", "Length of the weights", "Border", "Other cells")
    return Chart("regions", "Decision regions", caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _square(text: str, role: str) -> dict[str, Any]:
    """A key of the legend with a square of a colour."""
    mark = key_mark(Look(0), bare=True)
    return {**mark, "text": text, "d": "M12 2h10v10h-10z", "fill": role, "stroke": "muted", "dashes": ""}


def right(run: Run) -> str:
    """How many were told right: ``296 of 299``, or nothing."""
    return f"{run.score['right']} of {run.score['of']}" if run.score else ""


def _drawn(run: Run, prefix: str, title: str) -> str:
    """The regions of a run as an ``<svg>`` element: shaded cells, the border as a line, the points by shape."""
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
    for text, x, anchor in ((f"{low:g}", 0.0, "start"), (f"{high:g}", float(count), "end")):
        shapes.append(
            f'<text x="{x:g}" y="{count + 2.1:g}" font-size="1.6" text-anchor="{anchor}" class="f-muted">{text}</text>'
        )
    words = f"Both coordinates go from {low:g} to {high:g}. {right(run)} points lie in the region of their class."
    return _svg(shapes, prefix, f"Decision regions of {title}", words, f"-0.3 -0.3 {count + 0.6:g} {count + 3.2:g}")


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


# ------------------------------------------------------------------------------------------------ arrays


def _weights(found: Sequence[Field]) -> Chart | None:
    panels, rows = [], []
    for field in found:
        own = [run for run in field.moved if run.more.get("first_layer")]
        for run in _extremes(field, own):
            arrays = _arrays(run.more["first_layer"])
            title = f"{field.place}, {run.case.backend}"
            text = f"Weights of {numbers.counted(len(arrays), 'unit')} after {numbers.counted(run.done, 'step')}."
            tips = [f"unit {number + 1}: from {_least(one)} to {_most(one)}" for number, one in enumerate(arrays)]
            across = 4 if len(arrays) > 4 else None
            prefix = f"weights{len(panels)}"
            markup = pictures(arrays, prefix, f"First layer, {title}", text, columns=across, tips=tips)
            panels.append(Panel(f"{title}, {numbers.counted(run.done, 'step')}", markup))
            rows += [
                (field.place, run.case.backend, str(number + 1), _least(one), _most(one))
                for number, one in enumerate(arrays)
            ]
    if not panels:
        return None
    caption = (
        "Each picture is a unit of the first layer: its weights where the pixels are that they belong to. "
        "Within a panel, the fullest colour is the largest weight; pixels that are blank in every image are empty.",
        "Shown are the way of getting the gradient that came farthest and the one that took the fewest steps.",
    )
    columns = ("Problem", "Gradient", "Unit", "Least weight", "Largest weight")
    keys = tuple(_square(text, role) for text, role in (("positive", POSITIVE), ("negative", NEGATIVE)))
    return Chart("first-layer", "Weights of the first layer", caption, keys, tuple(panels), columns, tuple(rows))


def _inpainted(found: Sequence[Field]) -> Chart | None:
    panels: list[Panel] = []
    rows: list[tuple[str, ...]] = []

    def add(title: str, description: str, arrays: Sequence[np.ndarray]) -> None:
        prefix = f"inpainted{len(panels)}"
        markup = pictures(arrays, prefix, title, description, columns=len(arrays), limit=1.0)
        panels.append(Panel(title, markup))

    for field in found:
        own = [run for run in field.runs if run.more.get("inpainted")]
        if not own:
            continue
        first = own[0].more["inpainted"]
        count = numbers.counted(len(first["original"]), "image")
        add(f"{field.place}, original", f"{count} that training never saw.", _arrays(first["original"]))
        add(f"{field.place}, masked", "The same, what the network has to paint left empty.", _arrays(first["masked"]))
        rows.append((field.place, "mean of the training images", "", _error(first.get("mean_error"))))
        for run in own:
            completed = [one.clip(min=0) for one in _arrays(run.more["inpainted"]["completed"])]
            error = _error(run.more["inpainted"].get("error"))
            text = f"The same, completed by the network; the error of the hidden pixels is {error}."
            add(f"{run.case.backend}, {numbers.counted(run.done, 'step')}, error {error}", text, completed)
            rows.append((field.place, run.case.backend, numbers.grouped(run.done), error))
    if not panels:
        return None
    caption = (
        "Images of digits that training never saw: as they are, with the part left empty that the network has to "
        "paint, and as every trained network completes them.",
        "The error is the root of the mean squared difference over the hidden pixels of all images held out; ink goes "
        "from 0 to 1.",
        *_yardstick(found),
    )
    columns = ("Problem", "Gradient", "Steps", "Error")
    return Chart("inpainted", "Completed images", caption, (), tuple(panels), columns, tuple(rows))


def _yardstick(found: Sequence[Field]) -> tuple[str, ...]:
    known = {
        _error(run.more["inpainted"].get("mean_error"))
        for field in found
        for run in field.runs
        if run.more.get("inpainted")
    }
    return (f"Painting the mean of the training images has an error of {known.pop()}.",) if len(known) == 1 else ()


def _error(value: float | None) -> str:
    return numbers.NOTHING if value is None else f"{value:.3f}"


def _extremes(field: Field, own: Sequence[Run]) -> list[Run]:
    """The run that stands for all and the one with the fewest steps, where that is another."""
    if not own:
        return []
    main = field.example if field.example in own else own[0]
    slow = min(own, key=lambda run: run.done)
    return [main] if slow.done == main.done else [main, slow]


def _arrays(found: Sequence[Any]) -> list[np.ndarray]:
    """Pictures as arrays; what was not finite is left empty."""
    import numpy as np

    return [np.array(one, dtype=np.float64) for one in found]


def _least(array: np.ndarray) -> str:
    known = array[array == array]  # what is no number is not equal to itself
    return f"{known.min():.3g}" if known.size else numbers.NOTHING


def _most(array: np.ndarray) -> str:
    known = array[array == array]
    return f"{known.max():.3g}" if known.size else numbers.NOTHING
