"""``difflab compare``: backends on one's own loss, at once and in one process, as a table and a page."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..own_files import blaming
from .codes import code_of
from .faults import AsJson, show
from .loss import (
    ARGUMENTS_HELP,
    ArgnumOption,
    AtOption,
    BackendsOption,
    DeviceOption,
    LimitOption,
    LossArgument,
    LossCase,
    OperatorOption,
    SecondsOption,
    SeedOption,
    ShapesOption,
    read_argnums,
    read_backends,
    read_loss,
)
from .tables import MISSING, json_text, table

if TYPE_CHECKING:
    from ..comparison import Comparison

EPILOG = f"""
\b
Examples:
  difflab compare net.py:loss
  difflab compare net.py:loss --page net.html --backends "reverse,forward,finite(scheme=forward)"
  difflab compare net.py:loss --shapes "w=3, x=32x3, y=32" --json

{ARGUMENTS_HELP}
This is a quick look: one process, a reference that is certified where that takes no longer than --seconds, and no
intervals. difflab run FILE.py:LOSS measures in processes of their own, with intervals.

Exit codes: 0 all well; 1 a gradient misses its tolerance; 2 bad input, as a file that cannot be run; 5 nothing could be
measured; 70 a fault of difflab.
"""


def attach(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=EPILOG)
    def compare(
        loss: LossArgument,
        backends: BackendsOption = None,
        at: AtOption = None,
        shapes: ShapesOption = None,
        argnum: ArgnumOption = "0",
        operator: OperatorOption = "gradient",
        page: Annotated[Path | None, typer.Option("--page", metavar="FILE.html", help="Write the page there.")] = None,
        seconds: SecondsOption = 20.0,
        limit: LimitOption = 20.0,
        seed: SeedOption = 0,
        device: DeviceOption = None,
        as_json: AsJson = False,
    ) -> None:
        """Differentiate your own loss in several ways and show accuracy, time and memory of each.

        Without --backends these are finite, symbolic, forward and reverse.
        """
        if page is not None and not page.parent.is_dir():
            raise InputError(f"--page {page}: there is no folder {page.parent}")
        if page is not None and page.is_dir():
            raise InputError(f"--page {page}: a folder is there; name a file")
        options = {"operator": operator, "device": device, "reference_seconds": seconds, "call_seconds": limit}
        case, found = compare_loss(loss, at, shapes, seed, backends, argnum, options)
        if page is not None:
            found.save(page)
        said = compared_document(case, found, page) if as_json else compared_text(case, found, page)
        show(json_text(said) if isinstance(said, dict) else said)
        raise typer.Exit(code_of(found.rows))


def compare_loss(
    loss: str,
    at: str | None,
    shapes: str | None,
    seed: int,
    backends: str | None,
    argnum: str,
    options: dict[str, Any],
) -> tuple[LossCase, Comparison]:
    """Compare backends on a loss in a file, with progress on stderr; so goes what the user's files print.

    Args:
        loss: ``FILE.py:FUNCTION`` or ``module:function``.
        at: what names the arguments.
        shapes: what the arguments are to be made of.
        seed: of their numbers.
        backends: their names; ``None`` for the usual ones.
        argnum: positions to differentiate, as text.
        options: of ``difflab.compare``.

    Returns:
        The loss with its arguments, and what was found.

    Raises:
        InputError: a fault in what was named, or in these files.
    """
    from ..comparison import DEFAULT, compare
    from .progress import progress_on

    argnums = read_argnums(argnum)
    chosen = list(DEFAULT) if backends is None else read_backends(backends)
    with contextlib.redirect_stdout(sys.stderr):
        case = read_loss(loss, at, shapes, seed)
        with progress_on(sys.stderr) as progress, blaming(loss):
            found = compare(
                case.function, *case.args, backends=chosen, argnums=argnums, progress=progress, **options, **case.kwargs
            )
    return case, found


def compared_document(case: LossCase, found: Comparison, page: Path | None) -> dict[str, Any]:
    """What ``difflab compare --json`` prints.

    Args:
        case: the loss.
        found: its comparison.
        page: where the page was written, if anywhere.
    """
    from ..report import answer

    said = answer(found)
    return {
        "compare": {
            "loss": case.shown,
            "operator": found.manifest["study"]["operator"],
            "arguments": case.given,
            "answer": said.text,
            "caveats": list(said.caveats),
            "reference": found.reference,
            "page": page,
            "rows": found.rows,
        }
    }


def compared_text(case: LossCase, found: Comparison, page: Path | None) -> str:
    """The comparison for people: a table, why some are missing, the answer, and what would be better measured.

    Args:
        case: the loss.
        found: its comparison.
        page: where the page was written, if anywhere.
    """
    from ..contest import memory_of
    from ..report import answer, cases, numbers

    def shown(value: float | None, words: Callable[[float | None], str]) -> str:
        return MISSING if value is None else words(value)

    header = ["BACKEND", "OUTCOME", "DIGITS", "ERROR", "TIME", "x LOSS", "MEMORY", "PREPARE"]
    lines = [
        [
            row["backend"],
            one.outcome_words,
            shown(row.get("digits"), numbers.digits),
            shown(row["rel_error"], numbers.scientific),
            shown(row["call_s"], numbers.seconds),
            shown(row["work_ratio"], numbers.factor),
            shown(memory_of(row), numbers.size_in_bytes),
            shown(row["prepare_s"], numbers.seconds),
        ]
        for row, one in zip(found.rows, cases.read(found.rows), strict=True)
    ]
    said = answer(found)
    parts = [
        case.given_text,
        table(header, lines, right=range(2, len(header))),
    ]
    if why := [f"{row['backend']}: {row['reason']}" for row in found.rows if row["outcome"] != "ok" and row["reason"]]:
        parts.append("\n".join(why))
    parts.append("\n".join([said.text, *said.caveats, certified_text(found.rows)]))
    parts.append("" if page is None else f"Page: {page}")
    parts.append(
        f"A quick look in one process, without intervals; difflab run {case.shown} measures each backend in processes "
        "of its own."
    )
    return "\n\n".join(part for part in parts if part)


def certified_text(rows: list[dict[str, Any]]) -> str:
    """What the errors are distances from.

    Args:
        rows: of a contest.

    >>> certified_text([{"certified": "no: ball arithmetic was stopped after 1 s"}])
    'There is no certified result: ball arithmetic was stopped after 1 s.'
    """
    said = [str(row["certified"]) for row in rows if row["certified"]]
    plain = [one for one in said if "null backend" not in one]
    if not plain:
        return ""
    if plain[0].startswith("no: "):
        return f"There is no certified result: {plain[0].removeprefix('no: ').rstrip('.')}."
    of = "" if plain[0] == "yes" else f" ({plain[0]})"
    return f"Errors are distances from a certified result{of}."
