"""What changed between two runs: outcomes, times with intervals, memory, digits, forecasts; and what of it is worse."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environment_change, results, statistics, stopping, store
from .environment_change import Change
from .grid import place
from .results import Results
from .statistics import Interval
from .two_samples import factor

if TYPE_CHECKING:
    import pandas

SLOWER = 1.03
MORE_MEMORY = 1.10
FEWER_DIGITS = 0.5
SEQUENTIAL = 0.975
"""The confidence asked for where a run settled the number of processes by looking at its intervals: it leaves 95 %."""
RESOLUTION = 2**18
"""Bytes; peaks that differ by less differ by what the system hands out at once, not by what was computed."""

RANKS = {
    "ok": 0, "skipped_predicted": 1, "unsupported": 1, "memory_limit": 1, "timeout": 1, "invalid": 2, "crash": 3,
    "lost": 3,
}  # fmt: skip
"""How bad an outcome is: what a limit or a forecast stopped is better than a wrong result, that is better than a crash.

A case that is still open (``interrupted``) has no rank: nothing is known of it.
"""

SETTINGS = ("limits", "timing")


@dataclass(frozen=True)
class Times:
    """A time before and after in seconds, by what ``factor`` it grew, and what may be said about that.

    ``factor`` is the median of all quotients of two processes, which need not be ``after / before`` exactly.
    ``interval``: of the factor, ``None`` where there are too few processes; then ``verdict`` is ``None`` too.
    """

    before: float
    after: float
    factor: float
    interval: Interval | None
    verdict: str | None


@dataclass(frozen=True)
class CaseChange:
    """One case in both runs; each pair is before and after.

    ``call`` and ``prepare`` are ``None`` where one run has no times, or where the times of the two runs cannot be
    compared.  ``peak_bytes``, ``digits``, ``rel_error``, ``predicted_bytes``, ``predicted_s``, ``predicted_calls`` as
    in ``Results.frame``.  ``regressions``: a clause for each thing that is worse.
    """

    case: str
    block: str
    backend: str
    outcome: tuple[str, str]
    reason: tuple[str, str]
    call: Times | None
    prepare: Times | None
    peak_bytes: tuple[int | None, int | None]
    digits: tuple[float | None, float | None]
    rel_error: tuple[float | None, float | None]
    predicted_bytes: tuple[int | None, int | None]
    predicted_s: tuple[float | None, float | None]
    predicted_calls: tuple[float | None, float | None]
    regressions: list[str]


@dataclass(frozen=True)
class Difference:
    """What changed from one run to another.

    ``before`` and ``after``: the folders.  ``machine``: the stable facts of machine and versions that differ;
    ``settings``: those of the studies.  ``comparable``: whether times were compared.  ``cases``: those in both runs, in
    the order of the later one.  ``gone`` and ``new``: cases in one run only.  ``notes``: what to keep in mind.
    """

    before: Path
    after: Path
    machine: list[Change]
    settings: list[Change]
    comparable: bool
    cases: list[CaseChange]
    gone: list[str]
    new: list[str]
    notes: list[str]

    @property
    def regressed(self) -> list[CaseChange]:
        """The cases in which something is worse."""
        return [case for case in self.cases if case.regressions]

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row per case in both runs, with ``_before`` and ``_after`` columns and the factor of each time."""
        import pandas

        return pandas.DataFrame([_flat(case) for case in self.cases])


def diff_runs(
    before: str | Path | Results, after: str | Path | Results, *, across_machines: bool = False
) -> Difference:
    """Compare two runs: what changed, by how much, and what is worse.

    Args:
        before: a run folder, or what ``run`` or ``load`` returned.
        after: the later run.
        across_machines: compare times although processor, BLAS kernels or versions differ.

    Returns:
        The difference.  A case has regressed where its outcome is worse, the interval of its time lies beyond three per
        cent more, its peak of memory grew by more than ten per cent and 256 KiB, or half a digit is lost.

    Raises:
        StoreError: a folder holds no run, or it is damaged.

    The two runs were not measured side by side, so a drift of the machine between them looks like a change of the
    code; within a run it cannot.

    Example:
        >>> diff_runs("reports/digits", "reports/digits-2").regressed  # doctest: +SKIP
        []
    """
    first, last = (one if isinstance(one, Results) else results.load(one) for one in (before, after))
    machine = _machines(first, last)
    comparable = across_machines or all(change.name == "difflab" for change in machine)
    known = {key: row for row in first.rows for key in _keys(row)}
    cases, matched, new = [], set(), []
    for row in last.rows:
        old = next((known[key] for key in _keys(row) if key in known), None)
        if old is None:
            new.append(_name(row))
            continue
        matched.add(old["case"])
        cases.append(_compare(first, old, last, row, comparable))
    gone = [_name(row) for row in first.rows if row["case"] not in matched]
    settings = _settings(first.manifest, last.manifest)
    notes = list(_notes(first, last, comparable, cases))
    return Difference(first.folder, last.folder, machine, settings, comparable, cases, gone, new, notes)


def _keys(row: Mapping[str, Any]) -> list[Any]:
    """By what a case is found in another run: its id, or else what it is called."""
    names = ("problem", "size", "dtype", "device", "tf32", "operator", "backend")
    return [row["case"], tuple(row[name] for name in names)]


def _block(row: Mapping[str, Any]) -> str:
    operator = "" if row["operator"] == "gradient" else f" {row['operator']}"
    return f"{row['problem']} {row['size']} {row['dtype']}{place(row['device'], bool(row['tf32']))}{operator}"


def _name(row: Mapping[str, Any]) -> str:
    return f"{_block(row)} {row['backend']}"


def _machines(first: Results, last: Results) -> list[Change]:
    """The stable facts that differ, of those that both runs have stored: older ones stored fewer."""
    was, now = _machine(first), _machine(last)
    known = environment_change.facts(now, last.manifest["blocks"])
    found = environment_change.changes(was, now, last.manifest["blocks"])
    return [change for change in found if change.name in known or change.after is not None]


def _machine(one: Results) -> dict[str, Any]:
    """The environment that a run was measured in last."""
    events = store.read(one.folder) if one.ledger.environment else []
    return environment_change.last(one.manifest, events)


# ---------------------------------------------------------------------------- one case


def _compare(
    first: Results, old: Mapping[str, Any], last: Results, row: Mapping[str, Any], comparable: bool
) -> CaseChange:
    looked = _looked(first, old) or _looked(last, row)
    confidence = SEQUENTIAL if looked else statistics.CONFIDENCE
    call = _times(_medians(old), _medians(row), confidence) if comparable else None
    prepare = _times(_prepares(first, old), _prepares(last, row), confidence) if comparable else None

    def pair(name: str) -> tuple[Any, Any]:
        return old.get(name), row.get(name)

    worse = [_outcome_worse(old, row), _slower(call), _more_memory(*pair("peak_bytes")), _fewer(*pair("digits"))]
    return CaseChange(
        case=row["case"],
        block=_block(row),
        backend=row["backend"],
        outcome=pair("outcome"),
        reason=pair("reason"),
        call=call,
        prepare=prepare,
        peak_bytes=pair("peak_bytes"),
        digits=pair("digits"),
        rel_error=pair("rel_error"),
        predicted_bytes=pair("predicted_bytes"),
        predicted_s=pair("predicted_s"),
        predicted_calls=pair("predicted_calls"),
        regressions=[clause for clause in worse if clause],
    )


def _medians(row: Mapping[str, Any]) -> list[float]:
    return [median for median, _ in row["medians"] or []]


def _looked(one: Results, row: Mapping[str, Any]) -> bool:
    """Whether a case had so many processes because its interval was, or was not yet, narrow enough."""
    timing = one.study.get("timing") or {}
    return len(_medians(row)) >= stopping.FEWEST and timing.get("most_processes", 0) > timing.get("processes", 0)


def _prepares(one: Results, row: Mapping[str, Any]) -> list[float]:
    return [data["prepare_s"] for _, data in sorted(one.ledger.epochs.get(row["case"], {}).items())]


def _times(before: list[float], after: list[float], confidence: float) -> Times | None:
    """The comparison of one number per process; numbers that are not positive were below what the clock shows."""
    if not before or not after or min(*before, *after) <= 0:
        return None
    ratio, found = factor(before, after, confidence)
    verdict = found and statistics.verdict(Interval(math.log(found.low), math.log(found.high)))
    return Times(statistics.median(before), statistics.median(after), ratio, found, verdict)


def _outcome_worse(old: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    was, now = old["outcome"], row["outcome"]
    if RANKS.get(now, -1) <= RANKS.get(was, len(RANKS)):
        return None
    return f"{now} instead of {was}" + (f" ({row['reason']})" if row["reason"] else "")


def _slower(call: Times | None) -> str | None:
    if call is None or call.interval is None or call.interval.low <= SLOWER:
        return None
    return f"{call.factor:.2f} times as long ({call.interval.low:.2f} to {call.interval.high:.2f})"


def _more_memory(was: int | None, now: int | None) -> str | None:
    if was is None or now is None or now - was <= RESOLUTION or now <= MORE_MEMORY * was:
        return None
    return f"{now / 2**20:.1f} MiB of memory instead of {was / 2**20:.1f} MiB"


def _fewer(was: float | None, now: float | None) -> str | None:
    if was is None or now is None or was - now <= FEWER_DIGITS:
        return None
    return f"{now:.1f} correct digits instead of {was:.1f}"


def _flat(case: CaseChange) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.case, "block": case.block, "backend": case.backend}
    for name in (
        "outcome", "peak_bytes", "digits", "rel_error", "predicted_bytes", "predicted_s", "predicted_calls",
    ):  # fmt: skip
        row[f"{name}_before"], row[f"{name}_after"] = getattr(case, name)
    for name, times in (("call", case.call), ("prepare", case.prepare)):
        row[f"{name}_s_before"], row[f"{name}_s_after"] = (times.before, times.after) if times else (None, None)
        row[f"{name}_factor"] = times.factor if times else None
        row[f"{name}_factor_low"], row[f"{name}_factor_high"] = (times.interval if times else None) or (None, None)
        row[f"{name}_verdict"] = times.verdict if times else None
    return row | {"regressions": "; ".join(case.regressions)}


# ---------------------------------------------------------------------------- the runs


def _settings(first: Mapping[str, Any], last: Mapping[str, Any]) -> list[Change]:
    """What was asked for differently."""
    found = [Change(name, str(first.get(name)), str(last.get(name))) for name in ("seed", "quick")]
    for group in SETTINGS:
        was, now = (one["study"].get(group) or {} for one in (first, last))
        # an older run lacks what could not be set then
        found += [Change(f"{group}.{name}", str(was[name]), str(now[name])) for name in was if name in now]
    return [change for change in found if change.before != change.after]


def _notes(first: Results, last: Results, comparable: bool, cases: list[CaseChange]) -> Iterator[str]:
    for one in (first, last):
        if not one.finished:
            yield f"{one.folder} is not finished: its open cases are not judged"
        if one.ledger.environment:
            yield f"{one.folder} was measured in more than one environment; its last one counts here"
    if not comparable:
        yield "the runs are of different machines or versions: times are not compared (--across-machines does)"
        return
    timed = [case.call for case in cases if case.call is not None]
    if any(call.interval is None for call in timed):
        yield "no interval where a run has too few processes; four in both runs are enough"
    if any(call.interval is not None for call in timed):
        yield (
            "the runs were not interleaved: intervals hold for processes within each run, and a machine that was "
            "slower throughout one of them looks like a change"
        )
    noise = [_noise(one) for one in (first, last)]
    if all(noise):
        words = " and ".join(f"{noisy} of {heard} processes of {one.folder}" for (noisy, heard), one in zip(
            [pair for pair in noise if pair], (first, last), strict=True
        ))  # fmt: skip
        yield f"the noise sentinel found the machine unsteady during {words}; nothing is corrected for it"


def _noise(one: Results) -> tuple[int, int] | None:
    """In how many processes the sentinel found noise, of those it heard; ``None`` for a run without one."""
    heard = [data for epochs in one.ledger.sentinels.values() for data in epochs.values() if data["noisy"] is not None]
    return (sum(data["noisy"] for data in heard), len(heard)) if heard else None
