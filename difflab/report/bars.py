"""The rows of a comparison judged by the bars of its study: what each ratio is, and whether it keeps to its bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..harness.bars import LOSS, Bar, bar_of
from . import numbers
from .cases import Case, Group, groups
from .claims import timed
from .claims.exponents import growths
from .pairs import paired

MOST_NAMED = 2  # kinds of bars that the first sentence names


@dataclass(frozen=True)
class Judged:
    """One value beside its bar.

    ``case`` is ours; ``other`` the case on the other side, ``None`` for the loss alone or where the row has none;
    ``value`` with ``low`` and ``high`` is the ratio, or of a growth the exponent; ``verdict`` that of paired times;
    ``error`` our relative error over the other's where the bar asks for it; ``why`` says what is missing where there
    is no value.
    """

    bar: Bar
    case: Case
    other: Case | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    error: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value keeps to its bar; ``None`` without a value."""
        if self.value is None or self.value != self.value:
            return None
        if self.bar.admits(self.value) and self.bar.error_at_most is not None and not self.error_known:
            return None
        return self.bar.admits(self.value) and not self.inaccurate

    @property
    def error_known(self) -> bool:
        """Whether there is a ratio of errors."""
        return self.error is not None and self.error == self.error

    @property
    def inaccurate(self) -> bool:
        """Whether the error is larger than the bar allows."""
        bound = self.bar.error_at_most
        return bound is not None and self.error is not None and not self.error <= bound

    @property
    def settled(self) -> bool:
        """Whether the whole interval of the value lies on one side of the bar."""
        if self.value is None or self.low is None or self.high is None:
            return False
        return self.bar.admits(self.low) == self.bar.admits(self.high)

    @property
    def distance(self) -> float:
        """By what factor a ratio is over its bar, or an exponent by how much; 1 or 0 and less where it is not."""
        value = self.value or 0.0
        return value - self.bar.bound if self.bar.of == "growth" else value / max(self.bar.bound, 1e-12)

    @property
    def title(self) -> str:
        """What is compared: ``reverse / torch``."""
        return f"{self.bar.ours} / {'the loss' if self.bar.over == LOSS else self.bar.over}"

    @property
    def place(self) -> str:
        """The row: ``mlp 8x2-4-2, float64``; of a growth without the size."""
        if self.bar.of == "growth":
            return f"{self.case.place.removesuffix(self.case.size).strip()}, {self.case.dtype}"
        return f"{self.case.place}, {self.case.dtype}"


def bars_of(manifest: Mapping[str, Any]) -> list[Bar]:
    """The bars of the study of a run; none in most."""
    return [Bar.of_plain(one) for one in (manifest.get("study") or {}).get("bars") or ()]


def judge(cases: Sequence[Case], bars: Sequence[Bar]) -> list[Judged]:
    """Every row beside every bar that is about it, in the order of rows, then of bars.

    Args:
        cases: all rows of a run.
        bars: those of its study.
    """
    found = []
    for group in groups(list(cases)):
        for size, _ in group.sizes:
            for key in dict.fromkeys(bar.key for bar in bars if bar.of != "growth"):
                own = [bar for bar in bars if bar.key == key]
                if (judged := _row(group, size, own)) is not None:
                    found.append(judged)
        found += [one for bar in bars if bar.of == "growth" for one in _growth(group, bar)]
    return found


def _row(group: Group, size: str, bars: Sequence[Bar]) -> Judged | None:
    """One row beside the bars of one key; ``None`` where it has no such pair or no bar is about it."""
    ours, over, of = bars[0].key
    case, other = group.at(size, ours), None if over == LOSS else group.at(size, over)
    if case is None or (over != LOSS and other is None):
        return None
    place, seconds = (case.problem, size, case.dtype), case.primal_s if over == LOSS else other and other.call_s
    about = [one for one in bars if one.covers(*place)]
    bar = bar_of(about, place, seconds) if seconds else min(about, key=lambda one: not one.sizes, default=None)
    if bar is None:
        return None
    for one in (case, other):
        if one is not None and not one.timed:
            return Judged(bar, case, other, why=f"{one.backend}: {one.outcome_words if not one.ok else 'not timed'}")
    if of == "memory":
        return _memory(bar, case, other)
    if other is None:
        low, high = timed.bounds(case)
        return Judged(bar, case, None, case.work_ratio, low, high, why="" if case.work_ratio else "not timed")
    found = paired(case, other)
    if not found.pairs:
        return Judged(bar, case, other, why="not timed by turns")
    error = None
    if case.rel_error is not None and other.rel_error is not None:
        error = case.rel_error / other.rel_error if other.rel_error else (math.inf if case.rel_error else 1.0)
    why = "errors not known" if bar.error_at_most is not None and error is None else ""
    return Judged(bar, case, other, found.ratio, found.low, found.high, found.verdict or "", error, why)


def _memory(bar: Bar, case: Case, other: Case | None) -> Judged:
    """Peaks of memory; two that cannot be told apart count as equal."""
    if other is None or case.peak_bytes is None or other.peak_bytes is None:
        return Judged(bar, case, other, why="no peak measured")
    if abs(case.peak_bytes - other.peak_bytes) < numbers.RESOLUTION:
        return Judged(bar, case, other, 1.0, verdict="within 256 KiB of each other")
    return Judged(bar, case, other, case.peak_bytes / max(other.peak_bytes, numbers.RESOLUTION))


def _growth(group: Group, bar: Bar) -> list[Judged]:
    """The exponent of our time over the loss's, against the number of parameters, where three sizes were timed."""
    found = []
    for growth in growths(group):
        last = growth.points[-1].case
        if growth.backend == bar.ours and (not bar.problems or last.problem in bar.problems):
            if bar.dtypes and last.dtype not in bar.dtypes:
                continue
            fit = growth.fit
            if fit is None and len(growth.points) > 2:
                found.append(Judged(bar, last, None, why="no exponent could be fitted"))
            elif fit is not None:
                found.append(Judged(bar, last, None, fit.exponent, fit.low, fit.high))
    return found


# ------------------------------------------------------------------------------------------------ in words


def sentences(judged: Sequence[Judged]) -> tuple[str, ...]:
    """How many bars are met, which is missed the farthest, and the range of every ratio of times.

    Args:
        judged: what ``judge`` found.
    """
    known = [one for one in judged if one.met is not None]
    if not known:
        return ("No bar of the study could be judged: nothing was timed on both sides.",)
    met, further = _met(known)
    return tuple(text for text in (met, further, _open(judged), _ranges(known)) if text)


def _open(judged: Sequence[Judged]) -> str:
    """How many are met or missed only as far as their intervals tell, and how many could not be judged."""
    near = sum(one.met is True and one.low is not None and not one.settled for one in judged)
    missing = [one for one in judged if one.met is None]
    parts = []
    if near:
        parts.append(f"{numbers.counted(near, 'bar')} met {'has' if near == 1 else 'have'} the bar inside the interval")
    if missing:
        reasons = numbers.listed(list(dict.fromkeys(one.why or "no value" for one in missing))[:3])
        parts.append(f"{numbers.counted(len(missing), 'bar')} could not be judged ({reasons})")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _met(known: Sequence[Judged]) -> tuple[str, str]:
    """How many bars are met, with those that most rows miss; and the others that are missed."""
    short = [one for one in known if not one.met]
    total = numbers.counted(len(known), "bar")
    if not short:
        few = {1: "The one bar judged is", 2: "Both bars judged are"}
        return f"{few.get(len(known), f'All {total} judged are')} met.", ""
    by_key: dict[str, list[Judged]] = {}
    for one in short:
        by_key.setdefault(f"{one.title}{_suffix(one)}", []).append(one)
    parts = []
    for title, own in sorted(by_key.items(), key=lambda item: -len(item[1])):
        worst = max(own, key=lambda one: one.distance)
        farthest = f"{'the farthest ' if len(own) > 1 else ''}{_value(worst)} on {worst.place}"
        parts.append(f"{numbers.grouped(len(own))} of {title} ({farthest})")
    kept = len(known) - len(short)
    met = f"Of {total} judged, {numbers.grouped(kept)} {'is' if kept == 1 else 'are'} met and {len(short)} not"
    if near := sum(one.low is not None and not one.settled for one in short):
        met += f" ({near} with the bar inside the interval)"
    further = f"Also missed: {numbers.listed(parts[MOST_NAMED:])}." if len(parts) > MOST_NAMED else ""
    return f"{met}: {numbers.listed(parts[:MOST_NAMED])}{', and others' if further else ''}.", further


def ratio_words(value: float) -> str:
    """A ratio with three digits, so that one can be told from its bar."""
    return numbers.significant(value, 3)


def _suffix(one: Judged) -> str:
    return {"memory": " in memory", "growth": " in growth"}.get(one.bar.of, "")


def _value(one: Judged) -> str:
    return f"{_measured(one)} where {one.bar.words} is asked"


def _measured(one: Judged) -> str:
    """The value with its interval, in running text."""
    known = one.low is not None and one.high is not None
    if one.bar.of == "growth":
        interval = f" (95 % interval {one.low:+.2f} to {one.high:+.2f})" if known else ""
        return numbers.signed(f"{one.value:+.2f}{interval}")
    if not known:
        return ratio_words(one.value or 0.0)
    return numbers.measured_factor(one.value, one.low, one.high, brackets=True)


def _ranges(known: Sequence[Judged]) -> str:
    """``reverse took 0.3 to 0.9 times as long as torch (23 rows)``, for each pair whose times are compared."""
    parts = []
    for title in dict.fromkeys(one.title for one in known if one.bar.of == "time"):
        own = [one for one in known if one.title == title and one.bar.of == "time"]
        ends = [_measured(choose(own, key=lambda one: one.value or 0.0)) for choose in (min, max)]
        span = " to ".join(dict.fromkeys(ends))
        parts.append(f"{title} {span}{f' ({len(own)} rows)' if len(own) > 1 else ''}")
    return f"Ratios of times: {'; '.join(parts)}." if parts else ""
