"""The charts of a study of the chain rule: the factors as matrices, and what they take beside reverse mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import axes as scales
from .. import figures, numbers
from ..cases import Case
from ..figures import Chart
from ..panels import draw_line, draw_mark
from ..pictures import pictures
from ..style import FIXED, Look, canvas, key_mark
from ..svg import inline
from . import tensor_words

WITHOUT = Look(FIXED["null"])  # what forms no factor, whichever backend formed those beside it


@dataclass(frozen=True)
class Pair:
    """Two layers as one backend met them."""

    case: Case
    found: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``dense-relu``."""
        return self.case.size

    @property
    def formula(self) -> str:
        """``y1 = x W, y2 = max(0, y1)``."""
        first, second = (layer["formula"] for layer in self.found["layers"])
        return f"y1 = {_at(first, 'x', 1)}, y2 = {_at(second, 'y1', 2)}"


def each_once(pairs: Sequence[Pair]) -> list[Pair]:
    """Each pair of layers once (by dtype), as the first backend that met it."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        found.setdefault((pair.name, pair.case.dtype), pair)
    return list(found.values())


def inner(pair: Pair) -> list[Mapping[str, Any]]:
    """The factors but for the derivative of the loss, which is a vector."""
    return [factor for factor in pair.found["factors"] if factor["name"] != "dL/dy2"]


def _at(formula: str, variable: str, place: int) -> str:
    """The formula of a layer with its input named, and its weights numbered."""
    words = []
    for word in formula.replace("(", "( ").replace(")", " )").split():
        bare = word.rstrip(",")
        end = word[len(bare) :]
        if bare in ("h", "-h"):
            word = f"{bare.replace('h', variable)}{end}"
        elif bare in ("W", "b", "k"):
            word = f"{bare}{place}{end}"
        words.append(word)
    return " ".join(words).replace("( ", "(").replace(" )", ")")


def factors(pairs: Sequence[Pair]) -> Chart:
    """The small factors of each pair of layers as pictures.

    Args:
        pairs: each pair of layers once.
    """
    heading = "The factors as matrices"
    panels, rows = [], []
    for pair in pairs:
        shown = [factor for factor in inner(pair) if "matrix" in factor]
        if not shown:
            continue
        texts = [f"{factor['name']}, {tensor_words.structure(factor['structure'])}" for factor in shown]
        arrays = [_full(factor["matrix"]) for factor in shown]
        picture = pictures(arrays, f"chain{len(panels)}", pair.name, f"{'; '.join(texts)}.", columns=2, tips=texts)
        panels.append(figures.Panel(f"{pair.name}: {', '.join(factor['name'] for factor in shown)}", picture))
        rows += [
            (pair.name, factor["name"], *texts) for factor in shown for texts in tensor_words.in_rows(factor["matrix"])
        ]
    if not panels:
        return Chart("factors", heading, (), missing="Nothing to show: no factor is small enough for a picture.")
    caption = (
        "Each factor in numerator layout, made a matrix: the numbers of the output down, those of the variable across. "
        "The factors of a pair stand in the order of the title, two beside each other. Positive entries have one "
        "colour and negative ones another, as full as their share of the largest of the factor; what is empty is zero.",
    )
    return Chart(
        "factors",
        heading,
        caption,
        tensor_words.signs(),
        tuple(panels),
        ("Pair", "Factor", "Row", "Entries"),
        tuple(rows),
    )


def _full(matrix: Sequence[Sequence[float]]) -> Any:
    """A matrix as a share of its largest entry, so that every factor is drawn as strongly."""
    import numpy as np

    found = np.asarray(matrix, np.float64)
    return found / (np.max(np.abs(found), initial=0.0) or 1.0)


def costs(pairs: Sequence[Pair], styles: dict[str, Look]) -> Chart:
    """Peak of arrays with the factors and without them, against the scale.

    Args:
        pairs: of all backends.
        styles: marker, dash and colour per backend.
    """
    heading = "Memory of the chain with and without its factors"
    several = [pair for pair in each_once(pairs) if len(pair.found["scales"]) > 1]
    if not several:
        return Chart("cost", heading, (), missing="Nothing to show: the chain was measured at one size only.")
    panels = []
    for place, first in enumerate(several):
        own = [pair for pair in pairs if (pair.name, pair.case.dtype) == (first.name, first.case.dtype)]
        figure, axes = canvas("bytes", "the layers, times as large")
        counts = [float(one["scale"]) for one in first.found["scales"]]
        scales.set_named(axes, [(one, f"{one:g}") for one in counts])
        peaks = [one[key] for pair in own for one in pair.found["scales"] for key in ("factor_peak", "implicit_peak")
                 if key in one]  # fmt: skip
        scales.set_bytes(axes, "y", peaks)
        tips: dict[str, str] = {}
        for pair in own:
            _draw(axes, pair, styles[pair.case.backend], tips)
        title = _panel_title(first, several)
        said = f"Peak of memory of {title} with its factors and by reverse mode without them, at {len(counts)} sizes."
        panels.append(figures.Panel(title, inline(figure, f"cost{place}", heading, said, tips)))
    names = list(dict.fromkeys(pair.case.backend for pair in pairs))
    keys = [{"text": f"with factors formed by {name}", **key_mark(styles[name])} for name in names]
    keys.append({"text": "reverse mode, without factors", **key_mark(WITHOUT, hollow=True)})
    caption = (
        "Both axes are logarithmic. Examples, inputs and units grow together. By their shapes, the factors of two "
        "dense layers grow with the fourth power of the scale, the arrays that reverse mode keeps with the second.",
    )
    columns = ("Pair", "Backend", "Times as large", "Bytes of the factors", "With factors", "Without")
    rows = tuple(
        (pair.name, pair.case.backend, str(one["scale"]), numbers.size_in_bytes(one["factor_bytes"]),
         numbers.size_in_bytes(one["factor_peak"]) if one["formed"] else "not formed",
         numbers.size_in_bytes(one["implicit_peak"]))
        for pair in pairs for one in pair.found["scales"]
    )  # fmt: skip
    return Chart("cost", heading, caption, tuple(keys), tuple(panels), columns, rows)


def _panel_title(pair: Pair, several: Sequence[Pair]) -> str:
    dtypes = {one.case.dtype for one in several}
    return f"{pair.name}, {pair.case.dtype}" if len(dtypes) > 1 else pair.name


def _draw(axes: Any, pair: Pair, look: Look, tips: dict[str, str]) -> None:
    for key, hollow, words in (("factor_peak", False, "with factors"), ("implicit_peak", True, "without")):
        points = [(float(one["scale"]), one[key]) for one in pair.found["scales"] if key in one]
        if hollow and any("without" in tip for tip in tips.values()):
            continue  # the way without factors is reverse mode, whoever formed them
        own = WITHOUT if hollow else look
        draw_line(axes, own, [x for x, _ in points], [y for _, y in points])
        for x, y in points:
            gid = f"mark-{len(tips)}"
            draw_mark(axes, own, x, y, gid, hollow=hollow)
            tips[gid] = f"{pair.case.backend}, {words}, {x:g} times as large: {numbers.size_in_bytes(y)}"
