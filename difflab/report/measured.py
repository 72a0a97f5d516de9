"""How the numbers of a page were made, in sentences, with the settings of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..harness.study_kinds import KINDS
from . import numbers
from .cases import Case
from .nouns import DIRECTED, NOUNS


def method(manifest: Mapping[str, Any], cases: Sequence[Case]) -> list[str]:
    """How the numbers were made, in sentences, with the settings of the run.

    Args:
        manifest: the description of the run.
        cases: all rows, for how many processes there really were.
    """
    if manifest.get("method"):  # who did not measure by the rules of a study says how
        return [str(sentence) for sentence in manifest["method"]]
    study = manifest.get("study") or {}
    timing, limits = study.get("timing") or {}, study.get("limits") or {}
    said = [
        "Every case runs in fresh Python processes of its own; time, memory and accuracy are measured in separate "
        "passes, so that none disturbs another.",
    ]
    counts = sorted({int(case.processes) for case in cases if case.processes})
    if manifest.get("quick"):
        said.append("This was a quick run: one process per case, no intervals, no verdicts.")
    elif counts:
        number = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        said.append(
            f"Each case was timed in {number} {'process' if counts == [1] else 'processes'}. A time is the median of "
            "the medians of the processes; its interval is read from their order and assumes no distribution (it needs "
            "six processes)."
        )
        said += _enough(cases, timing)
    if (sample := timing.get("sample_ms")) is not None:
        said.append(
            f"A sample is as many calls as take {numbers.trimmed(numbers.seconds(sample / 1e3))} or more, after calls "
            "that are not timed; the backends take turns in random order. Preparing, the first call and later calls "
            "are timed apart."
        )
    if limits.get("seconds") is not None and limits.get("memory") is not None:
        seconds = numbers.trimmed(numbers.seconds(limits["seconds"]))
        memory = numbers.trimmed(numbers.size_in_bytes(limits["memory"]))
        said.append(
            f"A case may take {seconds} of computing per process and {memory} beyond an idle worker. What a forecast "
            "puts over a limit is refused, and what meets a limit is stopped: both stay on this page as results."
        )
    operator = study.get("operator") or "gradient"
    said.append(
        f"Errors are distances from a certified reference: the {NOUNS.get(operator, operator)} of the same recorded "
        "loss in ball arithmetic with many more digits. A case is called right if it is as close as theory says "
        "its method can be."
    )
    if len({case.dtype for case in cases} | {"float64"}) > 1:
        said.append(
            "The truth is that of the float64 data in all dtypes, so rounding data and constants to a smaller one "
            "counts as error of that dtype."
        )
    if operator in DIRECTED:
        said.append(
            "The vectors are random numbers of unit length together, drawn in double precision with the seed of the "
            "run and rounded to the dtype: the same for all backends."
        )
    return said


def _enough(cases: Sequence[Case], timing: Mapping[str, Any]) -> list[str]:
    """Why there were no more processes, and whether the machine was quiet meanwhile."""
    said = []
    if any(case.stopped for case in cases) and timing.get("target") is not None:
        said.append(
            "More processes were started while they might help: until half the width of the interval was within "
            f"{100 * timing['target']:g} % of the time, no longer became smaller, or the study's processes or time "
            "were used up. Why each case stopped is in the table of processes; the rule never looks at who is faster."
        )
    if (heard := noise(cases)) is not None:
        said.append(
            "Between the rounds a fixed piece of work was timed as a sentinel: in "
            f"{numbers.grouped(heard.noisy)} of {numbers.counted(heard.processes, 'process', 'processes')} its time "
            f"moved by more than 5 % (at most by {100 * heard.most:.0f} %), which is noise of the machine. Nothing was "
            "dropped for it: turns are so short that all backends meet the same noise."
        )
    return said


class Noise(NamedTuple):
    """In how many ``processes`` of all cases the sentinel was ``noisy``, and by which part it moved at ``most``."""

    noisy: int
    processes: int
    most: float


def noise(cases: Sequence[Case]) -> Noise | None:
    """What the sentinel heard; ``None`` where there was none.

    Args:
        cases: all of a run.
    """
    heard = [case for case in cases if case.noisy_processes is not None and case.processes]
    if not heard:
        return None
    noisy, every = (int(sum(getattr(case, name) or 0 for case in heard)) for name in ("noisy_processes", "processes"))
    return Noise(noisy, every, max(case.sentinel_moved or 0.0 for case in heard))


def examined(manifest: Mapping[str, Any]) -> list[str]:
    """How the cases of a study that times nothing were run, in sentences.

    Args:
        manifest: the description of the run.
    """
    study = manifest.get("study") or {}
    limits, kind = study.get("limits") or {}, KINDS.get(str(study.get("answer")))
    alone = kind is not None and kind.alone
    said = "Every case runs once, in a fresh Python process of its own"
    said += ", and no other at the same time." if alone else "; nothing is timed."
    if limits.get("seconds") is not None and limits.get("memory") is not None:
        seconds = numbers.trimmed(numbers.seconds(limits["seconds"]))
        memory = numbers.trimmed(numbers.size_in_bytes(limits["memory"]))
        said += f" It may take {seconds} and {memory} beyond an idle worker; what meets a limit is stopped and told so."
    return [said]


def references(truths: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What is known of the reference gradient of each problem and size.

    Args:
        truths: by problem and size: ``bits``, ``narrow``, ``seconds``, ``ties``, ``checked``, ``sampled``, or ``why``
            there is none.
    """
    found = []
    for name, truth in sorted(truths.items()):
        if truth.get("why"):
            found.append((name, f"none: {truth['why']}"))
            continue
        parts = []
        if truth.get("bits"):
            parts.append(f"{truth['bits']} bits")
        if truth.get("narrow") is not None:
            parts.append(
                "all enclosures narrow"
                if truth["narrow"]
                else f"some enclosures wide ({truth.get('reason') or 'kinks'})"
            )
        if truth.get("sampled"):
            known, every = truth["sampled"]
            parts.append(f"a sample of {numbers.grouped(known)} of {numbers.counted(every, 'coordinate')}")
        if truth.get("checked"):
            parts.append("checked by power series")
        if truth.get("ties"):
            parts.append(f"{numbers.counted(int(truth['ties']), 'tie')} met")
        if truth.get("seconds") is not None:
            parts.append(f"computed in {numbers.seconds(truth['seconds'])}")
        found.append((name, ", ".join(parts) or "certified"))
    return found
