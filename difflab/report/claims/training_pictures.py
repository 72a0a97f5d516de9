"""What was learned, as pictures: decision regions with the points, weights of the first layer, completed images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import numbers
from ..figures import Chart, Panel
from ..pictures import NEGATIVE, POSITIVE, pictures
from ..style import Look, key_mark
from .decision_regions import SHADES, Regions, right
from .training_runs import Field, Run

if TYPE_CHECKING:
    import numpy as np

DIFFERENT = 0.02  # regions that differ in a larger share of their cells get a picture of their own
MOST_DIFFERENT = 2  # of each problem
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
            panels.append(Panel(name, Regions(run, f"regions{len(panels)}", name)))
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
            picture = pictures(arrays, prefix, f"First layer, {title}", text, columns=across, tips=tips)
            panels.append(Panel(f"{title}, {numbers.counted(run.done, 'step')}", picture))
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
        picture = pictures(arrays, prefix, title, description, columns=len(arrays), limit=1.0)
        panels.append(Panel(title, picture))

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
