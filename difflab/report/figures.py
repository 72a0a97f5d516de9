"""The charts of a page that compares: each a set of panels (one per problem), a legend outside them, and a table."""

from __future__ import annotations

from collections.abc import Sequence

from . import charts as pieces
from . import numbers, panels, ulps
from .cases import Group
from .charts import Chart, Limits, Panel
from .error_time import error_against_time
from .growths import memory_against_parameters, time_against_parameters
from .style import Look, drawing, key_mark

__all__ = ["Chart", "Limits", "Panel", "charts"]


def charts(groups: Sequence[Group], looks: dict[str, Look], limits: Limits) -> list[Chart]:
    """All charts of a page, in its order.

    Args:
        groups: the cases, by what may be compared.
        looks: marker, dash and colour per backend.
        limits: what one case was allowed.
    """
    with drawing():
        return [
            error_against_time(groups, looks),
            errors_of_coordinates(groups, looks),
            time_against_parameters(groups, looks, limits),
            memory_against_parameters(groups, looks, limits),
            operations(groups),
        ]


def errors_of_coordinates(groups: Sequence[Group], looks: dict[str, Look]) -> Chart:
    """How many coordinates are how many units of the last place off, a row per backend."""
    heading = "Errors of the coordinates"
    found = ulps.strips(groups)
    if not found:
        return pieces.missing("ulps", heading, "no case was graded coordinate by coordinate")
    bins, strips = ulps.bins_of(found), {strip.group.title: strip for strip in found}
    made = pieces.drawn(
        [strip.group for strip in found], "ulps", heading,
        lambda g: ulps.draw(strips[g.title], looks, bins), lambda g: ulps.words(strips[g.title]),
    )  # fmt: skip
    pairs = zip(made, found, strict=True)
    sizes = [Panel(f"{panel.title} {strip.size}".strip(), panel.picture) for panel, strip in pairs]
    keys = []
    if any(not case.ok for strip in found for case in strip.cases):
        wrong = pieces.wrong_words(groups)
        keys.append({"text": f"hollow: {wrong}", **key_mark(Look(1), hollow=True), "stroke": "muted"})
    return Chart(
        "ulps", heading, ulps.caption(found), tuple(keys), tuple(sizes), ulps.COLUMNS, ulps.rows(found),
        notes=ulps.notes(found),
    )  # fmt: skip


def operations(groups: Sequence[Group]) -> Chart:
    """Operations before and after symbolic differentiation and after sharing, next to the length of the tape."""
    heading = "Operations before and after symbolic differentiation"
    drawn = [group for group in groups if any(panels.has_operations(case) for case in group.cases)]
    if not drawn:
        ran = any(c.family == "symbolic" or c.backend == "symbolic" for g in groups for c in g.cases)
        why = "symbolic differentiation finished at no size" if ran else "symbolic differentiation is not in this study"
        return pieces.missing("operations", heading, why)
    kinds = [kind for kind in panels.KINDS if any(kind.read(g, s) is not None for g in drawn for s, _ in g.sizes)]
    keys = tuple({"text": kind.words, **key_mark(kind.look)} for kind in kinds)
    caption = (
        "A symbolic engine writes the gradient out as formulas in single numbers; differentiating multiplies them, and "
        "sharing what occurs more than once (common subexpressions) takes some of it back.",
        "A tape records the same loss as steps on whole arrays" + _steady(drawn),
    )
    rows = tuple(
        (
            g.title, size, numbers.count(n), *(numbers.count(kind.read(g, size)) for kind in kinds),
            _symbolic_state(g, size),
        )
        for g in drawn for size, n in g.sizes
    )  # fmt: skip
    columns = ("Problem", "Size", "Parameters", *(kind.words for kind in kinds), "Symbolic")
    made = pieces.drawn(drawn, "operations", heading, lambda g: panels.swell(g, kinds, _symbolic_state), _swell_words)
    return Chart("operations", heading, caption, keys, made, columns, rows)


def _steady(groups: Sequence[Group]) -> str:
    """What the lengths of the tapes say about their growth."""
    lengths = [{kind for size, _ in g.sizes if (kind := panels.KINDS[0].read(g, size))} for g in groups]
    if any(len(g.sizes) > 1 for g in groups) and all(len(found) == 1 for found in lengths):
        return ": here it has the same length at every size."
    return ", so a larger array makes it no longer; only more steps do."


def _symbolic_state(group: Group, size: str) -> str:
    found = [case for case in group.cases if case.size == size and panels.is_symbolic(case)]
    return found[0].outcome_words if found else "not run"


def _swell_words(group: Group) -> str:
    lines = []
    for size, number in group.sizes:
        said = [
            f"{kind.words} {numbers.count(v)}" for kind in panels.KINDS if (v := kind.read(group, size)) is not None
        ]
        if said:
            where = f"{size} ({numbers.parameters(number)})" if size else numbers.parameters(number)
            lines.append(f"{where}: {', '.join(said)}; symbolic differentiation {_symbolic_state(group, size)}.")
    return " ".join(lines)
