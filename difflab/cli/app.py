"""The command line: parse, call, print.

Results go to stdout, progress and errors to stderr.  Everything heavy is imported inside the commands, so that
``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import functools
import io
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import StoreError
from . import compare, completion, expressions, recommend, run, runs, schema
from .codes import EXIT_CODES, OK, TOLERANCE, store_code
from .faults import AsJson, Left, left_with
from .faults import say as _say
from .faults import show as _show

app = typer.Typer(
    name="difflab",
    help="Which way of differentiating this loss is accurate, fast and small enough, and how do I know?",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

ORDER = (
    "run", "compare", "recommend", "check", "trace", "formulas", "report", "diff", "export", "repair", "list", "doctor",
    "schema", "completion",
)  # fmt: skip
"""The commands in the order of the help."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"difflab {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version  # its callback has printed it


CHECK_EPILOG = """
\b
Examples:
  difflab check net.py:loss --gradient net.py:gradient
  difflab check net.py:loss --gradient :gradient --at data.py:batch --tolerance 1e-10 --json

The arguments are what --at names: a tuple or list of them, a dict of keyword arguments, or a function that returns one.
Without --at they are `arguments` or `example` in the file of the loss, or else the defaults of the loss itself.

Exit codes: 0 the gradient is right; 1 it is wrong; 2 bad input, as a file that cannot be run; 70 a fault of difflab.
"""


@app.command(epilog=CHECK_EPILOG)
def check(
    loss: Annotated[str, typer.Argument(metavar="FILE.py:LOSS", help="The loss, in plain NumPy; or module:function.")],
    gradient: Annotated[
        str,
        typer.Option("--gradient", metavar="FILE.py:NAME", help="The gradient to judge; :NAME is in the same file."),
    ],
    at: Annotated[
        str | None, typer.Option("--at", metavar="FILE.py:NAME", help="The arguments at which it is checked.")
    ] = None,
    argnum: Annotated[
        int, typer.Option("--argnum", metavar="N", help="The argument that is differentiated, counted from 0.")
    ] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.0, metavar="X", help="Largest relative error of a right gradient."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="Where the gradient is computed: cpu or gpu.")
    ] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Judge a hand-written gradient against the certified one, and say what is wrong with it.

    The gradient takes the arguments of the loss and returns the gradient by argument N, or (value, gradient). Wrong
    blocks, the worst coordinates and the usual slips are named: a sign, a factor, a missing 1/N or transpose, a
    forgotten regulariser, a stale variable, a mask of the wrong array, a wrong rule at one line of the loss.
    """
    from .check import check_files

    text, right = check_files(loss, gradient, at, argnum, tolerance, as_json, device)
    _show(text)
    raise typer.Exit(OK if right else TOLERANCE)


LIST_EPILOG = """
\b
Examples:
  difflab list
  difflab list operators
  difflab list backends --json

Exit codes: 0 all well; 2 there is no such list; 70 a fault of difflab.
"""

REPORT_EPILOG = """
\b
Examples:
  difflab report reports/digits
  difflab report reports/digits --json

Exit codes: as those of difflab run, by what the run holds.
"""

DOCTOR_EPILOG = """
\b
Examples:
  difflab doctor
  difflab doctor --json

Exit codes: 0 nothing is a problem; 1 something is; 70 a fault of difflab.
"""


@app.command(epilog=REPORT_EPILOG)
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as reports/digits.")],
    as_json: AsJson = False,
) -> None:
    """Write the page of a run again.

    Everything comes from what the run has stored; nothing is measured. Prints the results as difflab run does.
    """
    from ..lab import load
    from ..report import write

    try:
        results = load(folder)
        write(results, folder, say=_say)
    except StoreError as error:
        raise Left(str(error), store_code(error, folder), type(error).__name__) from None
    _show_results(results, as_json)


@app.command(epilog=DOCTOR_EPILOG)
def doctor(as_json: AsJson = False) -> None:
    """Say what difflab can and cannot do on this machine, with figures and with what to do about it.

    Limits, kernels, clocks and the disk are tried and not believed: it takes some seconds, in which nothing else should
    run.
    """
    from .doctor import doctor_text

    text, well = doctor_text(as_json, say=_say if sys.stderr.isatty() else None)
    _show(text)
    raise typer.Exit(OK if well else TOLERANCE)


@app.command("list", epilog=LIST_EPILOG)
def list_(
    what: Annotated[
        str | None,
        typer.Argument(metavar="WHAT", help="problems, studies, backends, operators or traps (default: all of them)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List problems, studies, backends, the operators each can do, and traps.

    Problems come with their sizes and numbers of parameters, studies with their questions, backends with whether they
    can be used here, and with how they come by each operator: native, deduced from another one, or refused and why.
    """
    from .listing import catalogue, catalogue_text
    from .tables import json_text

    found = catalogue(what)
    _show(json_text(found) if as_json else catalogue_text(found))


def _position(command: Any) -> int:
    name = command.name or command.callback.__name__
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _show_results(results: Any, as_json: bool) -> None:
    from .tables import json_text, results_document, results_text

    _show(json_text(results_document(results)) if as_json else results_text(results))


for part in (compare, recommend, expressions, run, runs, schema, completion):
    part.attach(app)
app.registered_commands.sort(key=_position)


# ---------------------------------------------------------------------------- how it ends


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        arguments: those of the process by default.

    Raises:
        SystemExit: always; a user's fault is one message on stderr, never a traceback.

    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without a micro sign is no reason to stop
    given = sys.argv[1:] if arguments is None else arguments
    if given[:2] == ["completion", completion.OF]:
        completion.answer(app, given[2:])
        sys.exit(OK)
    sys.exit(left_with(given, lambda: whole()(args=given, prog_name="difflab", standalone_mode=False)))


@functools.cache
def whole() -> Any:
    """The command line with all its commands, built once in a process."""
    return typer.main.get_command(app)
