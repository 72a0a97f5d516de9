"""The command line: parse, call, print.

Results go to stdout, progress and errors to stderr.  Everything heavy is imported inside the commands, so that
``--help`` and ``--version`` answer at once; nothing here imports NumPy before a study has run, because the process that
coordinates a run must be free of it.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import __version__
from .cli_exit import BAD_INPUT, FAULT, INTERRUPTED, OK, code_of_results, code_of_store_error
from .errors import DifflabError, StoreError

EXIT_CODES = """
Exit codes: 0 all well; 1 a tolerance failed; 2 bad input or configuration; 3 cases failed unexpectedly; 4 the run
folder is damaged; 5 nothing was measured; 130 interrupted (the message says which command resumes).
"""

app = typer.Typer(
    name="difflab",
    help="Which way of differentiating this loss is accurate, fast and small enough, and how do I know?",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")]


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


@app.command(epilog="Examples: difflab run; difflab run digits --quick; difflab run my_study.toml --out results/first")
def run(
    study: Annotated[
        str, typer.Argument(metavar="[STUDY|FILE.toml]", help="A shipped study by name, or the path of a study file.")
    ] = "digits",
    quick: Annotated[
        bool, typer.Option("--quick", help="One process per case: no intervals and no verdicts, but soon done.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder (default: reports/STUDY, or STUDY-2, ...)."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Seed of the data and of the order of the cases.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a study, or resume it, and write its page.

    Every case runs in a process of its own with limits of time and memory; what a case cannot do becomes a row with
    its reason.  Interrupt with Ctrl-C at any time: nothing that is finished is lost or measured twice.
    """
    from .cli_progress import progress_on
    from .lab import run as run_study

    with progress_on(sys.stderr) as progress:
        results = run_study(study, out=out, quick=quick, progress=progress, seed=seed)
    raise typer.Exit(_finish(results, as_json))


@app.command(epilog="Example: difflab report reports/digits")
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as reports/digits.")],
    as_json: AsJson = False,
) -> None:
    """Write the page of a run again, from what the run has stored."""
    from .lab import load

    raise typer.Exit(_finish(load(run_folder), as_json))


@app.command("list", epilog="Example: difflab list --json")
def list_(as_json: AsJson = False) -> None:
    """List the problems, the studies and the backends, with what each backend can do or lacks."""
    from .cli_tables import catalogue, print_catalogue, print_json

    found = catalogue()
    if as_json:
        print_json(found)
    else:
        print_catalogue(found)


def _finish(results: Any, as_json: bool) -> int:
    """Write the page, print the results, and say with which code to end."""
    from .cli_tables import print_json, print_results, results_document
    from .report import write

    page = write(results, results.folder)
    if as_json:
        print_json(results_document(results, page))
    else:
        print_results(results, page)
    return code_of_results(results)
