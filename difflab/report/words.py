"""The words of the field that the page uses, each explained once, and how the numbers were made, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..harness.study_kinds import KINDS
from . import numbers
from .cases import OUTCOMES, Case
from .nouns import DIRECTED, NOUNS

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Loss", "The one number that says how wrong a model is. Training makes it small."),
    ("Parameters", "The numbers that training changes: weights and biases. Their count is the size of the problem."),
    ("Gradient", "One slope per parameter: how the loss changes when this parameter grows a little."),
    (
        "Finite differences",
        "Change each parameter a little, evaluate the loss again, divide the difference by the step: one or two "
        "evaluations per parameter, and an error that no step makes vanish.",
    ),
    (
        "Order, Richardson",
        "A scheme of order p has an error that falls with the p-th power of the step. Richardson extrapolation "
        "combines the quotients of several steps, so that the leading errors cancel, and estimates what is left.",
    ),
    (
        "Complex step",
        "Change each parameter by a tiny imaginary number and read the slope from the imaginary part: nothing is "
        "subtracted, so no digit is lost.",
    ),
    (
        "Symbolic differentiation",
        "Write the loss as one formula and differentiate the formula. Exact, but formulas swell.",
    ),
    (
        "Forward mode",
        "Carry the derivative along a direction through the loss, step by step. Exact; a direction for each parameter.",
    ),
    (
        "Reverse mode",
        "Run the loss once, then go back through its steps and collect all slopes at once. Exact; one pass, whatever "
        "the number of parameters. Known as backpropagation.",
    ),
    ("Hand-derived gradient", "Formulas that a person derived and wrote in NumPy: the yardstick for speed."),
    ("Null backend", "Returns zeros and computes nothing: what it costs is the measuring itself."),
    (
        "Tape",
        "The list of steps that evaluating the loss takes, recorded once; automatic differentiation works on it. In "
        "reverse mode the steps that collect the slopes are appended to it.",
    ),
    (
        "Kink table",
        "At a point where a function has a corner, its slopes from both sides differ, and one table fixes the answer: "
        "the slope of relu at 0 is 0, max shares among ties, pooling goes to the first.",
    ),
    (
        "Tie",
        "Two numbers that are compared, as in max, are equal: the loss has a corner there, and the kink table decides.",
    ),
    (
        "Operation counts",
        "Additions, multiplications and function calls in the formulas of symbolic differentiation: of the loss, of "
        "the gradient, and of the gradient after everything that occurs twice is computed once (sharing).",
    ),
    (
        "Certified reference",
        "The gradient enclosed in intervals of many more digits than the dtype holds, so an error is the distance from "
        "the true value, not from another program. Reference certified says that there was one; it is no praise of the "
        "gradient beside it.",
    ),
    (
        "Relative error",
        "The length of the error divided by the length of the true gradient. Digits: minus its decimal logarithm, at "
        "most what the dtype holds. Worst digits: the correct digits of the single worst parameter; middle digits: "
        "half of them have more. Estimated error: what a method that estimates its own error, such as Richardson "
        "extrapolation, says without the truth.",
    ),
    (
        "ULP",
        "Unit of the last place: the distance between two neighbouring numbers of a dtype at the true value. Rounding "
        "correctly is at most half a unit off. Worst ULPs: the error of the worst coordinate. A coordinate that is "
        "tiny beside the largest one counts as if it were as large as the rounding of that one.",
    ),
    (
        "Prepare, first call, one gradient",
        "What is done once (recording, differentiating, compiling), the first use, and the steady time of each later "
        "use. Never mixed.",
    ),
    (
        "Work ratio",
        "The time of one gradient, which includes the value, or of what else the page is about, divided by the time "
        "of the loss alone, which runs as the user wrote it: below 1, what is compiled is quicker than the plain loss.",
    ),
    (
        "95 % interval",
        "Made so that it covers the true median in at least 95 of 100 repetitions; from the medians of separate "
        "processes.",
    ),
    (
        "Verdict",
        "Faster, slower, equivalent (within 3 %) or ambiguous, compared with the baseline measured by turns with it.",
    ),
    (
        "Peak, arrays, forecast",
        "Memory. Peak: by how much the process grew at most while it prepared and computed one gradient; memory that "
        "it held already is used again without growth, and growth below 256 KiB is noise of pages. Arrays: all that "
        "NumPy had allocated at once, from new memory or old, so they can exceed the peak. Forecast: what the backend "
        "announced before anything was allocated. The peaks of import, build (the problem and its data), prepare, the "
        "first call and a later one are each above what the process held when that began.",
    ),
)


METHODS = frozenset(
    {
        "Loss", "Gradient", "Finite differences", "Order, Richardson", "Complex step", "Symbolic differentiation",
        "Forward mode", "Reverse mode", "Kink table",
    }
)  # fmt: skip


def methods() -> list[tuple[str, str]]:
    """What pages of every kind say of the ways of differentiating."""
    return [entry for entry in GLOSSARY if entry[0] in METHODS]


def glossary() -> list[tuple[str, str]]:
    """Terms and what they mean, the outcomes last."""
    outcomes = "; ".join(f"{words}: {meaning}" for words, meaning in OUTCOMES.values())
    return [*GLOSSARY, ("Outcomes", f"Every case ends in one of these ways. {outcomes[0].upper()}{outcomes[1:]}.")]


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
        "loss in interval arithmetic with many more digits. A case is called right if it is as close as theory says "
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
    if heard := [case for case in cases if case.noisy_processes is not None and case.processes]:
        noisy, every = (
            int(sum(getattr(case, name) or 0 for case in heard)) for name in ("noisy_processes", "processes")
        )
        most = max(case.sentinel_moved or 0.0 for case in heard)
        said.append(
            "Between the rounds a fixed piece of work was timed as a sentinel: in "
            f"{numbers.grouped(noisy)} of {numbers.counted(every, 'process', 'processes')} its time moved by more than "
            f"5 % (at most by {100 * most:.0f} %), which is noise of the machine. Nothing was dropped for it: turns "
            "are so short that all backends meet the same noise."
        )
    return said


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
                "all intervals narrow" if truth["narrow"] else f"some intervals wide ({truth.get('reason') or 'kinks'})"
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
