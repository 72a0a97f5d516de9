"""The charts of a page: each a set of panels (one per problem), a legend outside them, and its data as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import axes as scales
from . import devices, numbers, panels, ulps
from .cases import Case, Group, family_of
from .nouns import noun
from .style import Look, drawing, key_mark
from .svg import inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RERUN = "forecast to prepare and run once"


@dataclass(frozen=True)
class Limits:
    """What one case was allowed: seconds of computing and bytes; ``None`` where the study does not say."""

    seconds: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Panel:
    """One chart ready for the page: ``svg`` is trusted markup."""

    title: str
    svg: str


@dataclass(frozen=True)
class Chart:
    """A section of the page.  Without panels, ``missing`` says why there is nothing to see."""

    anchor: str
    heading: str
    caption: tuple[str, ...]
    keys: tuple[dict[str, Any], ...] = ()
    panels: tuple[Panel, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = field(default=())


Draw = Callable[[Group], tuple["Figure", dict[str, str]]]


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


def error_against_time(groups: Sequence[Group], looks: dict[str, Look]) -> Chart:
    """Every backend a point per size: how wrong its gradient is against how long it takes."""
    heading = "Error against time"
    drawn = [group for group in groups if any(panels.has_error(case) for case in group.cases)]
    if not drawn:
        return _missing("error", heading, "no case has both a time and a certified error")
    shown = _shown(drawn, looks, panels.has_error)
    drawn, single = _several(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in shown]
    if any(not c.ok and panels.has_error(c) for g in drawn for c in g.cases):
        keys.append({"text": f"hollow: {_wrong(drawn)}", **key_mark(Look(0), hollow=True), "stroke": "muted"})
    caption = (
        "Down and to the left is better. A point is one backend at one size: the larger the mark, the larger the size; "
        "a line joins the sizes of a backend.",
        *_beneath_note(drawn),
        f"The error is the distance from the certified {_what(drawn)} relative to its length, so 10⁻¹² means about "
        "twelve correct digits.",
        *_interval_note(drawn),
    )
    rows = tuple(
        (*_where(g, c), c.backend, numbers.seconds(c.call_s), numbers.interval(c.call_s_low, c.call_s_high) or "n/a",
         numbers.scientific(c.rel_error), numbers.digits(c.digits))
        for g in (*drawn, *single) for c in g.cases if panels.has_error(c)
    )  # fmt: skip
    one = f"One {_what(drawn)}"
    columns = ("Problem", "Size", "Parameters", "Backend", one, "95 % interval", "Relative error", "Digits")
    made = _panels(drawn, "error", heading, lambda g: panels.error_time(g, looks, noun(g.cases)), _error_words)
    lost = [c for g in groups for c in g.cases if c.ok and family_of(c) != "null" and not panels.has_error(c)]
    notes = [f"{numbers.counted(len(lost), 'finished case')} without a certified error: not drawn."] if lost else []
    if any(c.rel_error == 0 and panels.has_error(c) for g in drawn for c in g.cases):
        notes.append("An error of exactly 0 has no place on a logarithmic axis and is drawn at its lower end.")
    return Chart("error", heading, caption, tuple(keys), made, columns, rows, notes=(*notes, *_table_only(single)))


def errors_of_coordinates(groups: Sequence[Group], looks: dict[str, Look]) -> Chart:
    """How many coordinates are how many units of the last place off, a row per backend."""
    heading = "Errors of the coordinates"
    found = ulps.strips(groups)
    if not found:
        return _missing("ulps", heading, "no case was graded coordinate by coordinate")
    bins, strips = ulps.bins_of(found), {strip.group.title: strip for strip in found}
    made = _panels(
        [strip.group for strip in found], "ulps", heading,
        lambda g: ulps.draw(strips[g.title], looks, bins), lambda g: ulps.words(strips[g.title]),
    )  # fmt: skip
    sizes = [Panel(f"{panel.title} {strip.size}".strip(), panel.svg) for panel, strip in zip(made, found, strict=True)]
    keys = []
    if any(not case.ok for strip in found for case in strip.cases):
        keys.append({"text": f"hollow: {_wrong(groups)}", **key_mark(Look(1), hollow=True), "stroke": "muted"})
    return Chart(
        "ulps", heading, ulps.caption(found), tuple(keys), tuple(sizes), ulps.COLUMNS, ulps.rows(found),
        notes=ulps.notes(found),
    )  # fmt: skip


def time_against_parameters(groups: Sequence[Group], looks: dict[str, Look], limits: Limits) -> Chart:
    """Time of one gradient against the number of parameters, with the cases that met a limit."""
    heading = "Time against the number of parameters"
    plan = panels.Censored(
        "call_s", limits.seconds, frozenset({"timeout"}), "predicted_s", fallback=True, meaning=RERUN
    )

    drawn = [group for group in groups if any(plan.shows(case) for case in group.cases)]
    if not drawn:
        return _missing("time", heading, "no case has a time, and none met a time limit")
    drawn, single = _several(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in _shown(drawn, looks, plan.shows)]
    loss = any(c.primal_s is not None for g in drawn for c in g.cases)
    if loss:
        keys.append({"text": f"the loss itself, without a {_what(drawn)}", **key_mark(None, line="primal")})
    keys += _censored_keys(drawn, plan, limits.seconds, numbers.seconds)
    caption = (
        "Both axes are logarithmic: a straight line is a power law, and its slope is the exponent. Each number on the "
        "horizontal axis is a size of the study; the marks of one size stand side by side, so that none hides another.",
        *(
            (f"The distance above the dotted line is the price of the {_what(drawn)} in evaluations of the loss.",)
            if loss
            else ()
        ),
        *_interval_note(drawn),
        *_censored_note(drawn, plan, "the limit holds for everything a case computes, its preparation included"),
    )
    rows = tuple(
        (*_where(g, c), c.backend, numbers.seconds(c.call_s), numbers.interval(c.call_s_low, c.call_s_high) or "n/a",
         numbers.seconds(c.primal_s), _state(c, plan, numbers.seconds))
        for g in (*drawn, *single) for c in g.cases
    )  # fmt: skip
    one = f"One {_what(drawn)}"
    columns = ("Problem", "Size", "Parameters", "Backend", one, "95 % interval", "The loss", "Outcome")
    made = _panels(
        drawn, "time", heading,
        lambda g: panels.growth(g, looks, plan, f"time of one {noun(g.cases)}", scales.set_time, numbers.seconds),
        lambda g: _growth_words(g, plan, numbers.seconds, f"one {noun(g.cases)}"),
    )  # fmt: skip
    return Chart("time", heading, caption, tuple(keys), made, columns, rows, notes=_table_only(single))


def memory_against_parameters(groups: Sequence[Group], looks: dict[str, Look], limits: Limits) -> Chart:
    """Peak memory of one gradient against the number of parameters, with the cases that met a limit."""
    heading = "Memory against the number of parameters"
    plan = panels.Censored(
        "peak_bytes", limits.memory, frozenset({"memory_limit"}), "predicted_bytes", floor=numbers.RESOLUTION
    )

    drawn = [group for group in groups if any(plan.shows(case) for case in group.cases)]
    if not drawn:
        return _missing("memory", heading, "no case has a measured peak, and none met a memory limit")
    drawn, single = _several(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in _shown(drawn, looks, plan.shows)]
    keys += _censored_keys(drawn, plan, limits.memory, numbers.size_in_bytes)
    small = any(plan.value(c) is not None and (c.peak_bytes or 0) < numbers.RESOLUTION for g in drawn for c in g.cases)
    caption = (
        f"The highest memory of {devices.holder([c for g in drawn for c in g.cases])} during one {_what(drawn)}, above "
        "what it held before the backend prepared: programs, buffers and work space count, Python and its libraries "
        "do not.",
        *((devices.small_peaks([c for g in drawn for c in g.cases]),) if small else ()),
        *_censored_note(drawn, plan, "the limit holds for what a case takes beyond an idle worker"),
    )
    rows = tuple(
        (*_where(g, c), c.backend, numbers.peak(c.peak_bytes), numbers.size_in_bytes(c.array_bytes),
         numbers.size_in_bytes(c.predicted_bytes), _state(c, plan, numbers.size_in_bytes))
        for g in (*drawn, *single) for c in g.cases
    )  # fmt: skip
    columns = ("Problem", "Size", "Parameters", "Backend", "Peak", "Arrays", "Forecast", "Outcome")
    made = _panels(
        drawn, "memory", heading,
        lambda g: panels.growth(g, looks, plan, "peak memory", scales.set_bytes, numbers.peak),
        lambda g: _growth_words(g, plan, numbers.peak, "peak"),
    )  # fmt: skip
    return Chart("memory", heading, caption, tuple(keys), made, columns, rows, notes=_table_only(single))


def operations(groups: Sequence[Group]) -> Chart:
    """Operations before and after symbolic differentiation and after sharing, next to the length of the tape."""
    heading = "Operations before and after symbolic differentiation"
    drawn = [group for group in groups if any(panels.has_operations(case) for case in group.cases)]
    if not drawn:
        ran = any(c.family == "symbolic" or c.backend == "symbolic" for g in groups for c in g.cases)
        why = "symbolic differentiation finished at no size" if ran else "symbolic differentiation is not in this study"
        return _missing("operations", heading, why)
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
    made = _panels(drawn, "operations", heading, lambda g: panels.swell(g, kinds, _symbolic_state), _swell_words)
    return Chart("operations", heading, caption, keys, made, columns, rows)


# ------------------------------------------------------------------------------------------------ pieces


def _missing(anchor: str, heading: str, why: str) -> Chart:
    return Chart(anchor, heading, (), missing=f"This chart is left out: {why}.")


def _several(groups: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    """The groups worth a panel, and those of one size only, which show no growth beside them."""
    several = [group for group in groups if len(group.sizes) > 1]
    return (several, [group for group in groups if len(group.sizes) < 2]) if several else (list(groups), [])


def _table_only(groups: Sequence[Group]) -> tuple[str, ...]:
    if not groups:
        return ()
    has = "has" if len(groups) == 1 else "have"
    return (f"{numbers.listed([group.title for group in groups])} {has} one size only: in the table, not drawn.",)


def _panels(
    groups: Sequence[Group], anchor: str, heading: str, draw: Draw, words: Callable[[Group], str]
) -> tuple[Panel, ...]:
    made = []
    for number, group in enumerate(groups):
        figure, tips = draw(group)
        title = f"{heading}, {group.title}"
        made.append(Panel(group.title, inline(figure, f"{anchor}{number}", title, words(group), tips)))
    return tuple(made)


def _shown(groups: Sequence[Group], looks: dict[str, Look], visible: Callable[[Case], bool]) -> list[str]:
    there = {case.backend for group in groups for case in group.cases if visible(case)}
    return [name for name in looks if name in there]


def _steady(groups: Sequence[Group]) -> str:
    """What the lengths of the tapes say about their growth."""
    lengths = [{kind for size, _ in g.sizes if (kind := panels.KINDS[0].read(g, size))} for g in groups]
    if any(len(g.sizes) > 1 for g in groups) and all(len(found) == 1 for found in lengths):
        return ": here it has the same length at every size."
    return ", so a larger array makes it no longer; only more steps do."


def _what(groups: Sequence[Group]) -> str:
    """What the cases of a chart compute."""
    return noun(case for group in groups for case in group.cases)


def _wrong(groups: Sequence[Group]) -> str:
    """The outcome of a wrong case in words."""
    return "wrong gradient" if _what(groups) == "gradient" else "wrong result"


def _where(group: Group, case: Case) -> tuple[str, str, str]:
    return group.title, case.size, numbers.count(case.n_params)


def _beneath_note(groups: Sequence[Group]) -> tuple[str, ...]:
    if any(family_of(c) == "analytic" and panels.has_error(c) for g in groups for c in g.cases):
        return ("The hand-derived gradient has larger marks, beneath those of the others.",)
    return ()


def _interval_note(groups: Sequence[Group]) -> tuple[str, ...]:
    if any(c.call_s_low is not None and c.call_s_high is not None for g in groups for c in g.cases):
        return ("Bars are 95 % intervals over processes; where none is visible, it is narrower than the mark.",)
    if not any(c.call_s for g in groups for c in g.cases):
        return ()
    return ("There are no intervals: each case was timed in too few processes for one.",)


def _censored_keys(
    groups: Sequence[Group], plan: panels.Censored, limit: float | None, unit: Callable[[float | None], str]
) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = []
    if any(plan.bound(c) is not None for g in groups for c in g.cases):
        mark = key_mark(Look(0), hollow=True, upward=True) | {"stroke": "muted", "dashes": ""}
        refused = any(plan.refused(c) for g in groups for c in g.cases)
        stopped = any(plan.bound(c) is not None and not plan.refused(c) for g in groups for c in g.cases)
        parts = ["more than this"] * stopped + [plan.meaning] * refused
        keys.append({"text": f"hollow with an arrow: {numbers.listed(parts, 'or')}", **mark})
    if limit is not None and any(plan.near_limit(g) for g in groups):
        keys.append({"text": f"limit for one case, {numbers.trimmed(unit(limit))}", **key_mark(None, line="limit")})
    return keys


def _censored_note(groups: Sequence[Group], plan: panels.Censored, meaning: str) -> tuple[str, ...]:
    cases = [c for g in groups for c in g.cases if plan.bound(c) is not None]
    if not cases:
        return ()
    stopped = sum(c.outcome in plan.stopped for c in cases)
    parts = []
    if stopped:
        parts.append(f"{numbers.counted(stopped, 'case')} stopped at the limit, drawn there")
    if stopped < len(cases):
        parts.append(
            f"{numbers.counted(len(cases) - stopped, 'case')} refused before the start, drawn at the {plan.meaning}"
        )
    if any((bound := plan.bound(case)) is not None and plan.drawn(bound) < bound for case in cases):
        parts[-1] += " (far beyond the limit: at the top)"
    return (f"Hollow marks with an arrow have no result: {numbers.listed(parts)}; {meaning}.",)


def _state(case: Case, plan: panels.Censored, unit: Callable[[float | None], str]) -> str:
    """The outcome in words, with the bound where there is one."""
    bound = plan.bound(case)
    return case.outcome_words if bound is None else f"{case.outcome_words} ({plan.words(case, unit(bound))})"


def _symbolic_state(group: Group, size: str) -> str:
    found = [case for case in group.cases if case.size == size and panels.is_symbolic(case)]
    return found[0].outcome_words if found else "not run"


# ------------------------------------------------------------------------------------------------ alt texts


def _per_backend(group: Group, words: Callable[[Case], str]) -> str:
    lines = []
    for backend in dict.fromkeys(case.backend for case in group.cases):
        said = [text for case in group.of(backend) if (text := words(case))]
        if len(said) > 4:
            said = [said[0], said[len(said) // 2], said[-1]]
        if said:
            lines.append(f"{backend}: {', '.join(said)}.")
    return " ".join(lines)


def _error_words(group: Group) -> str:
    def words(case: Case) -> str:
        if not panels.has_error(case):
            return ""
        wrong = "" if case.ok else f" ({case.outcome_words})"
        return f"{numbers.scientific(case.rel_error)} in {numbers.seconds(case.call_s)} at size {case.size}{wrong}"

    return f"Relative error and time of one {noun(group.cases)}. " + _per_backend(group, words)


def _growth_words(group: Group, plan: panels.Censored, unit: Callable[[float | None], str], what: str) -> str:
    def words(case: Case) -> str:
        where = f"at {numbers.counted(case.n_params, 'parameter')}"
        value = plan.value(case)
        if value is not None:
            return f"{unit(getattr(case, plan.column))} {where}"
        return "" if plan.bound(case) is None else f"{_state(case, plan, unit)} {where}"

    return f"Values of {what}. " + _per_backend(group, words)


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
