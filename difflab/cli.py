"""The command line: parse, call, print.

Results go to stdout, progress and errors to stderr.  Everything heavy is imported inside the commands, so that
``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import __version__, cli_runs
from .cli_codes import (
    BAD_INPUT,
    EXIT_CODES,
    FAULT,
    INTERRUPTED,
    NOTHING,
    OK,
    TOLERANCE,
    code_of,
    store_code,
)
from .errors import DifflabError, StoreError, StudyError

RUN_EPILOG = f"""
Examples: difflab run; difflab run digits --quick; difflab run digits --dry-run; difflab run my_study.toml --out
results/first

To resume an interrupted run, give the same command again: same study text, --quick, --seed and --out. A finished run is
shown again and not measured again.

Without --out a run goes to reports/STUDY, or to STUDY-2 and so on beside a run that is finished or measures something
else. With --out DIR it goes to DIR, which must be new, empty, or hold this very run.
{EXIT_CODES}"""

FORMULAS_EPILOG = """
Examples: difflab formulas "x*y + sin(x)" x=1 y=2; difflab formulas xor --as c; difflab formulas two-layer --as srepr
--way tree --data symbols; difflab formulas xor --way tree --as python --json (with operation counts and times); difflab
formulas "0.1*x" x=2 --digits 3. Put -- before a formula that begins with a minus: difflab formulas -- "-x" x=1
"""

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


@app.command(epilog=RUN_EPILOG)
def run(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A shipped study by name, or the path of a .toml file.")
    ] = "digits",
    quick: Annotated[
        bool, typer.Option("--quick", help="One process per case: no intervals and no verdicts, but soon done.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder (default: reports/STUDY, or STUDY-2 and so on)."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Seed of the data and of the order of the cases.")
    ] = 0,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="ADDRESS", help="A Dask scheduler (tcp://HOST:PORT), or local:N workers."),
    ] = None,
    allow_env_change: Annotated[
        bool,
        typer.Option("--allow-env-change", help="Resume a run that began on another machine or with other versions."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="DEVICE", help="cpu or gpu for all problems (default: what the study says)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Forecast every case, its time and its memory; run and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a study, or resume it, and write its page.

    Every case runs in a process of its own with limits of time and memory; what a case cannot do becomes a row with
    its reason. Interrupt with Ctrl-C at any time: nothing that is finished is lost or measured twice.
    """
    if dry_run:
        from .cli_forecast import forecast_alone

        others = {"--out": out, "--cluster": cluster, "--allow-env-change": allow_env_change}
        text, runs = forecast_alone(study, quick, seed, as_json, device, others)
        _show(text)
        raise typer.Exit(OK if runs else NOTHING)
    from .cli_progress import progress_on
    from .lab import run as run_study

    try:
        with progress_on(sys.stderr) as progress:
            results = run_study(
                study,
                out=out,
                quick=quick,
                progress=progress,
                seed=seed,
                cluster=cluster,
                allow_env_change=allow_env_change,
                device=device,
            )
    except KeyboardInterrupt:
        again = ["difflab", "run", study, *["--quick"] * quick]
        again += [] if out is None else ["--out", str(out)]
        again += ["--seed", str(seed)] if seed else []
        again += [] if cluster is None else ["--cluster", cluster]
        again += [] if device is None else ["--device", device]
        _say(f"Interrupted; what is measured is stored. To go on: {shlex.join(again)}")
        raise typer.Exit(INTERRUPTED) from None
    except StoreError as error:
        _say(str(error))
        raise typer.Exit(store_code(error, out)) from None
    _show_results(results, as_json)
    raise typer.Exit(code_of(results.rows))


CHECK_EPILOG = """
Examples: difflab check net.py:loss --gradient net.py:gradient; difflab check net.py:loss --gradient :gradient
--at data.py:batch --argnum 1 --json

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
    from .cli_check import check_files

    text, right = check_files(loss, gradient, at, argnum, tolerance, as_json, device)
    _show(text)
    raise typer.Exit(OK if right else TOLERANCE)


DOCTOR_EPILOG = """
Example: difflab doctor; difflab doctor --json

Exit codes: 0 nothing is a problem; 1 something is; 70 a fault of difflab.
"""

TRACE_EPILOG = """
Examples: difflab trace "log(x1)+x1*x2-sin(x2)" x1=2 x2=5; difflab trace "sum(relu(x))" "x=[1,-2,3,-1]" --json;
difflab trace "(x+y)*z" x=-2 y=5 z=-4 --html graph.html; difflab trace digits-cnn --size small --html cnn.html;
difflab trace xor --latex --expanded

With --html the graph is drawn as a page for the browser: arrow keys step forward and back, layers fold and unfold. The
name of a problem (difflab list) stands for its loss with its own data; its input is what --seed names.

Known are + - * / ** (or ^), parentheses, pi, e and log, ln, exp, log1p, expm1, sqrt, abs, sin, cos, tan, arcsin,
arccos, arctan, sinh, cosh, tanh, sigmoid, relu, max, min, sum. What begins with a minus goes after --, or in brackets.

Exit codes: 0 all well; 2 bad input, as an expression that cannot be read or a file that cannot be written; 70 a fault
of difflab.
"""


@app.command(epilog=TRACE_EPILOG)
def trace(
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="The formula, quoted for the shell; or the name of a problem.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="A number or a list, such as [1,2,3], for each variable."),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option("--seed", metavar="NAME", help="The variable whose tangent is 1 (default: the first one)."),
    ] = None,
    as_code: Annotated[
        bool, typer.Option("--code", help="Print value and gradient as NumPy code, forward and back.")
    ] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print value and gradient as matrix formulas in LaTeX.")
    ] = False,
    expanded: Annotated[
        bool,
        typer.Option("--expanded", help="With --latex: by differentials, beside entries written out by SymPy."),
    ] = False,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Draw the graph into a page that needs no network.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="Size of a problem (default: its smallest).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print or draw the evaluation trace of a formula with primal, tangent and adjoint of every line.

    Tangents go forward with the values, read downwards; adjoints come back, read upwards; the gate says what each line
    does to a gradient: add distributes, copy adds, multiply swaps, max routes.
    """
    from .cli_trace import trace_text

    text = trace_text(
        expression, values or [], seed, as_json, as_code, html=html, size=size, as_latex=as_latex, expanded=expanded
    )
    _show(text)


@app.command(epilog=FORMULAS_EPILOG)
def formulas(
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="The formula, quoted for the shell; or the name of a problem.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="A number or a list, such as [1,2,3], for each variable."),
    ] = None,
    form: Annotated[
        str, typer.Option("--as", metavar="FORM", help="latex, srepr, python, numpy, cupy or c.")
    ] = "latex",
    way: Annotated[
        str, typer.Option("--way", metavar="WAY", help="dag (shared, root down) or tree (SymPy, symbol by symbol).")
    ] = "dag",
    data: Annotated[
        str, typer.Option("--data", metavar="DATA", help="Data as numbers, or as symbols like the parameters.")
    ] = "numbers",
    engine: Annotated[str, typer.Option("--engine", metavar="ENGINE", help="sympy or symengine.")] = "sympy",
    digits: Annotated[
        int | None, typer.Option("--digits", metavar="N", min=1, help="With latex: significant digits of decimals.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="Size of a problem (default: its smallest).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print value and gradient as symbolic differentiation derives them: formulas, or code that computes them."""
    from .cli_formulas import formulas_text

    options = {"way": way, "data": data, "engine": engine}
    _show(formulas_text(expression, values or [], size, form, options, as_json, digits=digits))


@app.command(epilog="Example: difflab report reports/digits")
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as reports/digits.")],
    as_json: AsJson = False,
) -> None:
    """Write the page of a run again.

    Everything comes from what the run has stored; nothing is measured. Prints the results like ``difflab run``.
    """
    from .lab import load
    from .report import write

    try:
        results = load(folder)
        write(results, folder)
    except StoreError as error:
        _say(str(error))
        raise typer.Exit(store_code(error, folder)) from None
    _show_results(results, as_json)


@app.command(epilog=DOCTOR_EPILOG)
def doctor(as_json: AsJson = False) -> None:
    """Say what difflab can and cannot do on this machine, with figures and with what to do about it.

    Limits, kernels, clocks and the disk are tried and not believed: it takes some seconds, in which nothing else should
    run.
    """
    from .cli_doctor import doctor_text

    text, well = doctor_text(as_json, say=_say if sys.stderr.isatty() else None)
    _show(text)
    raise typer.Exit(OK if well else TOLERANCE)


@app.command("list", epilog="Example: difflab list --json")
def list_(as_json: AsJson = False) -> None:
    """List problems, studies and backends.

    Problems come with their sizes and numbers of parameters, studies with their questions, backends with the operators
    they can do, or why they are unavailable.
    """
    from .cli_tables import catalogue, catalogue_text, json_text

    found = catalogue()
    _show(json_text(found) if as_json else catalogue_text(found))


def _show_results(results: Any, as_json: bool) -> None:
    from .cli_tables import json_text, results_document, results_text

    _show(json_text(results_document(results)) if as_json else results_text(results))


def _show(text: str) -> None:
    """Print a result; a reader who closes the pipe early, like ``head``, does not change the exit code."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str) -> None:
    print(f"difflab: {message}", file=sys.stderr)


cli_runs.attach(app, _show, _say)


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
    try:
        app(args=arguments, prog_name="difflab")
    except StudyError as error:
        print(error, file=sys.stderr)  # one line per fault, each beginning with its place, as editors read them
        sys.exit(BAD_INPUT)
    except DifflabError as error:
        _say(str(error))
        sys.exit(BAD_INPUT)
    except Exception:
        traceback.print_exc()
        _say("this is a fault of difflab and not yours; please report it with the lines above.")
        sys.exit(FAULT)
    raise AssertionError("typer always leaves by SystemExit")
