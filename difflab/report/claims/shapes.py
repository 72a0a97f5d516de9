"""The page of a study of shapes: for how many maps and methods the derivatives have the shapes that the rules say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import figures, numbers
from ..answer import Answer
from ..cases import Case, backends, method
from ..figures import Chart
from ..kinds import Listing, Sections
from ..pictures import pictures
from ..tables import Cell, Table
from ..terms import Term
from . import examined, tensor_words

MOST_NAMED = 3
MOST_PICTURED = 10
WIDEST = 24  # cells across a panel at least, so that a small matrix stays small
CHECKS = {
    "gradient": "the gradient has the shape of the variable",
    "numerator": "the Jacobian in numerator layout has the shape output + variable",
    "denominator": "the Jacobian in denominator layout has the shape variable + output",
    "transposed": "the two layouts are each other's transpose, entry by entry",
    "entries": "the entries are those derived by hand",
}
EXAMPLE = "vector-by-vector"  # W g by g
GLOSSARY = (
    Term("Rank", "How many axes an array has: 0 of a number, 1 of a vector, 2 of a matrix, and so on.", ("ranks",)),
    *tensor_words.LAYOUTS,
    Term(
        "Transpose of a tensor",
        "Here: the group of the output's axes and the group of the variable's axes exchanged, each kept in its order.",
    ),
    Term("Holds", "All of it holds: the three shapes, the transpose and the entries.", ("hold",)),
)
METHOD = (
    "Every backend differentiates every map, at random numbers between 1/2 and 3/2: the Jacobian in both layouts, and "
    "the gradient of a weighted sum of what comes out. Each map has its Jacobian derived by hand as a formula with "
    "indices, evaluated in float64; rules must agree with it up to 1 000 roundings of the dtype, difference "
    "quotients in a third of its digits, both relative to the largest entry: enough to see that it is in its place.",
)


@dataclass(frozen=True)
class Column:
    """One backend in one dtype: its label, a case of it, and what it gave by the name of the map."""

    label: str
    case: Case
    maps: Mapping[str, Mapping[str, Any]]

    @property
    def holds(self) -> list[str]:
        """The maps for which everything holds."""
        return [name for name, one in self.maps.items() if all(one["holds"].values())]

    @property
    def worst(self) -> float | None:
        """The largest error of an entry over all maps."""
        errors = [one[key] for one in self.maps.values() for key in ("error", "gradient_error")]
        return max((error for error in errors if error is not None), default=None)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the matrix, the pictures and the tables of a study of shapes.

    Args:
        cases: all rows of a run, with their findings.
    """
    columns, maps = _columns(list(cases)), examined.by_name(cases, "maps")
    if not columns:
        return Sections(examined.nothing(cases, "No map was examined", examined.caveats(cases, examined.size)))
    return Sections(
        Answer(tuple(_sentences(columns, maps)), examined.caveats(cases, examined.size)),
        charts=(_layouts(columns[0], maps),),
        tables=(_counts(columns, maps), _rules(maps), _everything(columns)),
        matrix=_matrix(columns, maps),
        glossary=GLOSSARY,
        method=METHOD,
    )


def _columns(cases: list[Case]) -> list[Column]:
    dtypes = list(dict.fromkeys(case.dtype for case in cases))
    found = []
    for dtype in dtypes:
        for label in backends(cases):
            own = [case for case in cases if case.backend == label and case.dtype == dtype and case.findings]
            if own:
                name = label if len(dtypes) == 1 else f"{label}, {dtype}"
                found.append(Column(name, own[0], examined.by_name(own, "maps")))
    return found


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(columns: Sequence[Column], maps: Mapping[str, Any]) -> list[str]:
    total = sum(len(one.maps) for one in columns)
    good = sum(len(one.holds) for one in columns)
    ways = numbers.counted(len({one.case.backend for one in columns}), "way", "ways")
    dtypes = numbers.listed(list(dict.fromkeys(one.case.dtype for one in columns)))
    text = f"Of {numbers.counted(total, 'case')} ({numbers.counted(len(maps), 'map')}, {ways} of differentiating, "
    often = "all" if good == total else numbers.grouped(good) if good else "none"
    text += f"{dtypes}) the rule of the shapes holds in {often}: "
    checks = list(CHECKS.values())
    said = [f"{text}{'; '.join(checks[:-1])}; and {checks[-1]}."]
    if good < total:
        said = [text.removesuffix(": ") + "."]
        said.append(_broken(columns))
    said.append(_ranks(maps))
    said.append(_example(columns))
    return [sentence for sentence in said if sentence]


def _broken(columns: Sequence[Column]) -> str:
    """What does not hold, how often, and by whom."""
    parts, total = [], sum(len(one.maps) for one in columns)
    for check, words in CHECKS.items():
        own = [(one, name) for one in columns for name, found in one.maps.items()
               if not found["why"] and not found["holds"][check]]  # fmt: skip
        if own:
            parts.append(f"that {words} fails {_times(own, total)}")
    if refused := [(one, name) for one in columns for name, found in one.maps.items() if found["why"]]:
        parts.append(f"no derivative comes {_times(refused, total)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _times(own: Sequence[tuple[Column, str]], total: int) -> str:
    """How often something is so, with the first few cases."""
    if len(own) == total:
        return "in every case"
    shown = [f"{one.label} on {name}" for one, name in own[:MOST_NAMED]]
    named = numbers.listed(shown + ([f"{len(own) - len(shown)} more"] if len(own) > len(shown) else []))
    return f"in {numbers.counted(len(own), 'case')} ({named})"


def _ranks(maps: Mapping[str, Any]) -> str:
    """The most axes that a derivative has, and of what."""
    most = max(maps.values(), key=lambda one: len(one["out"]) + len(one["variable"]))
    axes = len(most["out"]) + len(most["variable"])
    return (
        f"The derivative with the most axes has {axes}: that of an output of shape "
        f"{tensor_words.shape(most['out'])} by a variable of shape {tensor_words.shape(most['variable'])}."
    )


def _example(columns: Sequence[Column]) -> str:
    """The lectures' example: W g by g is W in numerator layout and its transpose in denominator layout."""
    told: dict[bool, list[str]] = {}
    for one in columns:
        found = one.maps.get(EXAMPLE)
        if found is not None and "pictures" in found:
            w = [[float(f"{entry:.6g}") for entry in row] for row in found["arguments"][1]]
            turned = [list(row) for row in zip(*w, strict=True)]
            slack = 1e-4  # what is compared here was written with six digits, and differences are rougher
            right = _near(found["pictures"]["numerator"], w, slack)
            right = right and _near(found["pictures"]["denominator"], turned, slack)
            told.setdefault(right, []).append(one.label)
    if not told:
        return ""
    rule = "the Jacobian of W g by g is W in numerator layout and its transpose in denominator layout"
    if False in told:
        return f"It is not found by {numbers.listed(told[False])} that {rule}."
    who = "Every way of differentiating" if len(told[True]) > 1 else told[True][0]
    return f"{who[0].upper()}{who[1:]} finds that {rule}."


def _near(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]], slack: float) -> bool:
    if [len(row) for row in one] != [len(row) for row in other]:
        return False
    pairs = [pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True)]
    return all(a is not None and abs(a - b) <= slack * max(1.0, abs(b)) for a, b in pairs)


# ------------------------------------------------------------------------------------------------ matrix, pictures


def _matrix(columns: Sequence[Column], maps: Mapping[str, Any]) -> dict[str, Any]:
    together: dict[str, list[Column]] = {}
    for column in columns:
        together.setdefault(column.case.backend, []).append(column)
    rows = []
    for name, one in maps.items():
        wanted = ([*one["out"], *one["variable"]], [*one["variable"], *one["out"]])
        shapes = [tensor_words.shape(shape) for shape in (one["variable"], *wanted)]
        cells: list[dict[str, str]] = [{"text": shape, "mark": "set", "word": "", "title": ""} for shape in shapes]
        cells += [_cell([one.maps.get(name) for one in own]) for own in together.values()]
        sentence = (
            f"{one['formula']}: output {tensor_words.shape(one['out'])}, variable {tensor_words.shape(one['variable'])}"
        )
        rows.append({"name": name, "sentence": sentence, "link": "", "link_text": "", "cells": cells})
    return {
        "caption": "What holds for each map",
        "head": ["Map", "Gradient", "Numerator layout", "Denominator layout", *together],
        "rows": rows,
        "notes": [
            "The first columns are the shapes that the rule says. A tick: all three came in these shapes, the layouts "
            "are each other's transpose and every entry is right; the number is the largest error in "
            f"{columns[0].case.dtype}, relative to the largest entry; a cross: something does not hold; a dash: no "
            "derivative came.",
        ],
    }


def _cell(answers: Sequence[Mapping[str, Any] | None]) -> dict[str, str]:
    """A cell for a backend in all dtypes: right only where everything holds in each of them."""
    found = [one for one in answers if one is not None]
    if not found:
        return {"text": "", "mark": "none", "word": "not asked", "title": "not asked"}
    if errors := [one["why"] for one in found if one["why"]]:
        return {"text": "error", "mark": "refused", "word": "no derivative", "title": errors[0]}
    failed = [CHECKS[check] for check in CHECKS if not all(one["holds"][check] for one in found)]
    if failed:
        return {"text": "fails", "mark": "wrong", "word": "fails", "title": "does not hold: " + "; ".join(failed)}
    text = numbers.scientific(max(found[0]["error"], found[0]["gradient_error"]))
    shapes = [tensor_words.shape(found[0][key]) for key in ("gradient", "numerator", "denominator")]
    return {"text": text, "mark": "right", "word": "holds", "title": f"holds: {', '.join(shapes)}"}


def _layouts(column: Column, maps: Mapping[str, Any]) -> Chart:
    """Both layouts of the small Jacobians side by side, each as a matrix."""
    import numpy as np

    heading = "Both layouts as matrices"
    shown = [column.maps[name] for name in maps if "pictures" in column.maps.get(name, {})]
    shown = [one for one in shown if one["out"] and one["variable"]][:MOST_PICTURED]
    if not shown:
        return Chart("layouts", heading, (), missing="Nothing to show: no Jacobian is small enough for a picture.")
    panels = []
    for place, one in enumerate(shown):
        pair = [one["pictures"][layout] for layout in ("numerator", "denominator")]
        arrays = [np.array(each, np.float64) for each in pair]  # what is not finite becomes NaN, an empty cell
        shapes = (
            tensor_words.shape([*one["out"], *one["variable"]]),
            tensor_words.shape([*one["variable"], *one["out"]]),
        )
        words = f"Left {shapes[0]}, numerator layout; right {shapes[1]}, denominator layout."
        tips = [f"numerator layout, {shapes[0]}", f"denominator layout, {shapes[1]}"]
        picture = pictures(arrays, f"layouts{place}", one["name"], words, least=WIDEST, tips=tips)
        panels.append(figures.Panel(f"{one['formula']}: {shapes[0]} and {shapes[1]}", picture))
    caption = (
        "Left the Jacobian in numerator layout, with the numbers of the output down and those of the variable across; "
        "right in denominator layout, with the variable down and the output across. The fuller, the larger.",
        f"As {method(column.case)} gave them.",
    )
    rows = tuple(
        (one["name"], layout, *texts)
        for one in shown
        for layout, matrix in one["pictures"].items()
        for texts in tensor_words.in_rows(matrix)
    )
    return Chart(
        "layouts", heading, caption, tensor_words.signs(), tuple(panels), ("Map", "Layout", "Row", "Entries"), rows
    )


# ------------------------------------------------------------------------------------------------ the tables


def _counts(columns: Sequence[Column], maps: Mapping[str, Any]) -> Listing:
    heads = ("Method", "Maps", "Holds", "Gradient", "Numerator", "Denominator", "Transposed", "Entries", "Worst error")
    rows = []
    for one in columns:
        checks = [sum(found["holds"][check] for found in one.maps.values()) for check in CHECKS]
        counts = [len(one.maps), len(one.holds), *checks]
        cells = [Cell(numbers.grouped(count), count, True) for count in counts]
        rows.append((Cell(one.label), *cells, Cell(numbers.scientific(one.worst), one.worst, True)))
    text = (
        f"Of {numbers.counted(len(maps), 'map')}: for how many each part of the rule holds. The worst error is that of "
        "an entry, relative to the largest entry of its Jacobian or gradient."
    )
    return Listing("counts", "How many hold", text, Table(heads, tuple(rows)))


def _rules(maps: Mapping[str, Any]) -> Listing:
    heads = ("Map", "Formula", "Variable", "Output", "Gradient", "Numerator layout", "Denominator layout")
    rows = []
    for name, one in maps.items():
        variable, out = one["variable"], one["out"]
        shapes = (variable, out, variable, [*out, *variable], [*variable, *out])
        rows.append((Cell(name), Cell(one["formula"]), *(Cell(tensor_words.shape(shape)) for shape in shapes)))
    text = "The shapes that the rule says: of the gradient of a number made of the output, and of the Jacobian."
    return Listing("rules", "The rule", text, Table(heads, tuple(rows)))


def _everything(columns: Sequence[Column]) -> Listing:
    heads = ("Map", "Method", "Gradient", "Numerator", "Denominator", "Transposed", "Error", "Gradient's error", "Why")
    rows = []
    for one in columns:
        for name, found in one.maps.items():
            came = [found[key] for key in ("gradient", "numerator", "denominator")]
            shapes = ["" if shape is None else tensor_words.shape(shape) for shape in came]
            errors = [found[key] for key in ("error", "gradient_error")]
            rows.append(
                (
                    Cell(name), Cell(one.label), *map(Cell, shapes),
                    Cell("yes" if found["holds"]["transposed"] else "no"),
                    *(Cell("" if error is None else numbers.scientific(error), error, True) for error in errors),
                    Cell(found["why"] or "; ".join(CHECKS[key] for key, held in found["holds"].items() if not held)),
                )
            )  # fmt: skip
    text = "The shapes that came, by method; the last column says what does not hold, or the error that was raised."
    return Listing("shapes", "The shapes that came", text, Table(heads, tuple(rows)))
