"""Time and memory against the number of parameters, with limits, censored cases and fitted power laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import axes as scales
from . import charts, devices, growth_fits, numbers, panels
from .cases import Case, Group
from .charts import Chart, Limits
from .growth_fits import Growth
from .nouns import noun
from .style import Look, key_mark, line_mark

RERUN = "forecast to prepare and run once"
MOST_TOLD = 3  # groups whose fits are told in sentences; those of more stand in the table
LAW = "Grows as"
METHOD = (
    "Exponents are slopes of least squares on these axes, over the sizes at which a backend takes at least twice what "
    "it takes at the smallest, or over all if every step doubles it, and never over fewer than three"
)
NEIGHBOURS = "in brackets the least and the largest from one size to the next"


def time_against_parameters(groups: Sequence[Group], looks: dict[str, Look], limits: Limits) -> Chart:
    """Time of one gradient against the number of parameters, with the cases that met a limit."""
    heading = "Time against the number of parameters"
    plan = panels.Censored(
        "call_s", limits.seconds, frozenset({"timeout"}), "predicted_s", fallback=True, meaning=RERUN
    )

    drawn = [group for group in groups if any(plan.shows(case) for case in group.cases)]
    if not drawn:
        return charts.missing("time", heading, "no case has a time, and none met a time limit")
    drawn, single = charts.several(drawn, growth=True)
    what = charts.what(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in charts.shown(drawn, looks, plan.shows)]
    loss = any(c.primal_s is not None for g in drawn for c in g.cases)
    if loss:
        keys.append({"text": f"the loss itself, without a {what}", **key_mark(None, line="primal")})
    laws = {group.title: growth_fits.times(group, plan.value) for group in (*drawn, *single)}
    guides = {group.title: growth_fits.guides(laws[group.title]) for group in drawn}
    keys = _with_laws(keys, drawn, laws)
    if any(guides.values()):
        only = next(iter(guides.values()))
        said = [guide.text.removeprefix("theory, ") for guide in only] if len(drawn) == 1 else []
        text = f"theory: {numbers.listed(said) or 'the slope of the loss, or one more'}"
        keys.append({"text": text, **line_mark(panels.GUIDE)})
    keys += _censored_keys(drawn, plan, limits.seconds, numbers.seconds)
    caption = (
        "Both axes are logarithmic: a straight line is a power law, and its slope is the exponent. Each number on the "
        "horizontal axis is a size of the study; the marks of one size stand side by side, so that none hides another.",
        *((f"The distance above the dotted line is what a {what} costs in evaluations of the loss.",) if loss else ()),
        *charts.interval_note(drawn),
        *_fit_note(drawn, laws, f"each with its 95 % interval over processes, or {NEIGHBOURS}"),
        *_censored_note(drawn, plan, "the limit holds for everything a case computes, its preparation included"),
    )
    rows = tuple(
        (*charts.placed(g, c), c.backend, *numbers.measured_apart(c.call_s, c.call_s_low, c.call_s_high, "n/a"),
         numbers.seconds(c.primal_s), _state(c, plan, numbers.seconds), _law(c, laws[g.title]))
        for g in (*drawn, *single) for c in g.cases
    )  # fmt: skip
    columns = ("Problem", "Size", "Parameters", "Backend", f"One {what}", "95 % interval", "The loss", "Outcome", LAW)
    made = charts.drawn(
        drawn, "time", heading,
        lambda g: panels.growth(
            g, looks, plan, f"time of one {noun(g.cases)}", scales.set_time, numbers.seconds, guides[g.title]
        ),
        lambda g: _growth_words(g, plan, numbers.seconds, f"one {noun(g.cases)}", laws[g.title], "Time"),
    )  # fmt: skip
    notes = (*_told(drawn, laws, "Time"), *charts.table_only(single))
    return Chart("time", heading, caption, tuple(keys), made, columns, rows, notes=notes)


def memory_against_parameters(groups: Sequence[Group], looks: dict[str, Look], limits: Limits) -> Chart:
    """Peak memory of one gradient against the number of parameters, with the cases that met a limit."""
    heading = "Memory against the number of parameters"
    plan = panels.Censored(
        "peak_bytes", limits.memory, frozenset({"memory_limit"}), "predicted_bytes", floor=numbers.RESOLUTION
    )

    drawn = [group for group in groups if any(plan.shows(case) for case in group.cases)]
    if not drawn:
        return charts.missing("memory", heading, "no case has a measured peak, and none met a memory limit")
    drawn, single = charts.several(drawn, growth=True)
    what = charts.what(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in charts.shown(drawn, looks, plan.shows)]
    laws = {
        group.title: growth_fits.fitted(group, lambda c: value if (value := plan.value(c) or 0) > plan.floor else None)
        for group in (*drawn, *single)
    }
    keys = _with_laws(keys, drawn, laws)
    keys += _censored_keys(drawn, plan, limits.memory, numbers.size_in_bytes)
    small = any(plan.value(c) is not None and (c.peak_bytes or 0) < numbers.RESOLUTION for g in drawn for c in g.cases)
    caption = (
        f"The highest memory of {devices.holder([c for g in drawn for c in g.cases])} during one {what}, above what it "
        "held before the backend prepared: programs, buffers and work space count, Python and its libraries do not.",
        *((devices.small_peaks([c for g in drawn for c in g.cases]),) if small else ()),
        *_fit_note(drawn, laws, NEIGHBOURS),
        *_censored_note(drawn, plan, "the limit holds for what a case takes beyond an idle worker"),
    )
    rows = tuple(
        (*charts.placed(g, c), c.backend, numbers.peak(c.peak_bytes), numbers.size_in_bytes(c.array_bytes),
         numbers.size_in_bytes(c.predicted_bytes), _state(c, plan, numbers.size_in_bytes), _law(c, laws[g.title]))
        for g in (*drawn, *single) for c in g.cases
    )  # fmt: skip
    columns = ("Problem", "Size", "Parameters", "Backend", "Peak", "Arrays", "Forecast", "Outcome", LAW)
    made = charts.drawn(
        drawn, "memory", heading,
        lambda g: panels.growth(g, looks, plan, "peak memory", scales.set_bytes, numbers.peak),
        lambda g: _growth_words(g, plan, numbers.peak, "peak", laws[g.title], "The peak"),
    )  # fmt: skip
    notes = (*_told(drawn, laws, "The peak"), *charts.table_only(single))
    return Chart("memory", heading, caption, tuple(keys), made, columns, rows, notes=notes)


Laws = Mapping[str, Sequence[Growth]]


def _with_laws(keys: list[dict[str, Any]], drawn: Sequence[Group], laws: Laws) -> list[dict[str, Any]]:
    """The legend of a single panel with the exponent behind each backend."""
    if len(drawn) != 1:
        return keys
    powers = {growth.backend: f"n^{growth.power}" for growth in laws[drawn[0].title]}
    return [key | {"text": f"{key['text']}, {powers[key['text']]}"} if key["text"] in powers else key for key in keys]


def _fit_note(drawn: Sequence[Group], laws: Laws, bounds: str) -> tuple[str, ...]:
    return (f"{METHOD}; {bounds}.",) if any(laws[group.title] for group in drawn) else ()


def _told(drawn: Sequence[Group], laws: Laws, what: str) -> tuple[str, ...]:
    """The fits of few groups in sentences, a note for each."""
    known = [group for group in drawn if laws[group.title]]
    if len(known) > MOST_TOLD:
        return ("The exponents of each problem stand under the numbers of this chart.",)
    start = (lambda group: f"{group.title}: ") if len(drawn) > 1 else (lambda group: "")
    return tuple(f"{start(group)}{' '.join(growth_fits.sentences(laws[group.title], what))}" for group in known)


def _law(case: Case, found: Sequence[Growth]) -> str:
    """The power law of a case's backend; nothing where none was fitted."""
    return next((growth.words for growth in found if growth.backend == case.backend), "")


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


def _growth_words(
    group: Group, plan: panels.Censored, unit: Callable[[float | None], str], what: str, laws: Sequence[Growth],
    grows: str,
) -> str:  # fmt: skip
    def words(case: Case) -> str:
        where = f"at {numbers.counted(case.n_params, 'parameter')}"
        value = plan.value(case)
        if value is not None:
            return f"{unit(getattr(case, plan.column))} {where}"
        return "" if plan.bound(case) is None else f"{_state(case, plan, unit)} {where}"

    said = [f"Values of {what}.", charts.per_backend(group, words), *growth_fits.sentences(laws, grows)]
    return " ".join(part for part in said if part)
