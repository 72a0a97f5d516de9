"""``difflab doctor``: what difflab can and cannot do on this machine, as text or JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from .harness.checkup.finding import NOTE, PROBLEM, Finding

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
    from .harness import environment
    from .harness.doctor import examine

    found = examine(folder, say or (lambda text: None))
    well = all(one.state != PROBLEM for one in found)
    if not as_json:
        return findings_text(found), well
    from .cli_tables import json_text

    facts = environment.describe({}, 1)
    return json_text({"ok": well, "findings": [one._asdict() for one in found], "environment": facts}), well


def findings_text(found: Sequence[Finding]) -> str:
    """The findings one under the other, problems counted in the first line.

    >>> found = [Finding("clock", "ok", "smallest step 40 ns"), Finding("GPU", "note", "no CuPy", "Install it.")]
    >>> print(findings_text(found))
    No problems, 1 note.
    <BLANKLINE>
    ok       clock               smallest step 40 ns
    note     GPU                 no CuPy
                                 Install it.
    """
    problems, notes = (sum(one.state == state for one in found) for state in (PROBLEM, NOTE))
    lines = [f"{_counted(problems, 'problem')}, {_counted(notes, 'note').lower()}.", ""]
    for one in found:
        head = f"{one.state:<8} {one.what:<19} "
        lines += _wrapped(one.figure, head) + _wrapped(one.advice, " " * LEFT)
    return "\n".join(lines)


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * LEFT, break_long_words=False, break_on_hyphens=False
    )


def _counted(number: int, noun: str) -> str:
    return f"{number or 'No'} {noun}{'' if number == 1 else 's'}"
