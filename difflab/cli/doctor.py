"""``difflab doctor``: what difflab can and cannot do on this machine, as text or JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from ..harness.checkup.finding import NOTE, OK, OPTION, PROBLEM, Finding

WIDTH = 100
LEFT = 29


def doctor_text(
    as_json: bool, folder: Path = Path("reports"), say: Callable[[str], None] | None = None
) -> tuple[str, bool]:
    """Examine the machine.

    Args:
        as_json: whether one JSON document is wanted instead of text.
        folder: where runs would go.
        say: is told what is looked at now.

    Returns:
        What to print, and whether nothing is a problem.
    """
    from ..harness import environment
    from ..harness.doctor import examine

    found = examine(folder, say or (lambda text: None))
    well = all(one.state != PROBLEM for one in found)
    if not as_json:
        return findings_text(found), well
    from .tables import json_text

    facts = environment.describe({}, 1)
    listed = [one._asdict() for one in found]
    return json_text({"verdict": verdict(found), "ok": well, "findings": listed, "environment": facts}), well


def findings_text(found: Sequence[Finding]) -> str:
    """The findings one under the other: the verdict first, what is wrong next, then all that is well.

    >>> found = [Finding("clock", "ok", "smallest step 40 ns"), Finding("swap", "note", "2 GiB", "Turn it off.")]
    >>> print(findings_text(found))
    Fit to measure, with 1 remark: swap.
    <BLANKLINE>
    note     swap                2 GiB
                                 -> Turn it off.
    <BLANKLINE>
    ok       clock               smallest step 40 ns
    """
    blocks = [verdict(found)]
    for state in (PROBLEM, NOTE, OPTION, OK):
        lines = []
        for one in found:
            if one.state == state:
                lines += _wrapped(one.figure, f"{state:<8} {one.what:<19} ")
                lines += _wrapped(one.advice and f"-> {one.advice}", " " * LEFT)
                lines += _wrapped(one.gain and f"   It gains {one.gain}.", " " * LEFT)
        blocks += ["\n".join(lines)] if lines else []
    return "\n\n".join(blocks)


def verdict(found: Sequence[Finding]) -> str:
    """Whether this machine is fit to measure, in a sentence.

    >>> verdict([Finding("disk", "problem", "it is full", "Free some space."), Finding("noise", "note", "much")])
    'Not fit to measure: 1 problem (disk), and 1 remark (noise).'
    """
    problems, notes = ([one.what for one in found if one.state == state] for state in (PROBLEM, NOTE))
    remarks = f"{len(notes)} remark{'s' * (len(notes) != 1)}"
    if problems:
        rest = f", and {remarks} ({', '.join(notes)})" if notes else ""
        counted = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        return f"Not fit to measure: {counted} ({', '.join(problems)}){rest}."
    return f"Fit to measure, with {remarks}: {', '.join(notes)}." if notes else "Fit to measure."


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * LEFT, break_long_words=False, break_on_hyphens=False
    )
