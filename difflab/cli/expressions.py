"""``difflab trace`` and ``difflab formulas``: the commands that take a formula or the name of a problem."""

from __future__ import annotations

from typing import Annotated

import typer

from .faults import AsJson, show

TRACE_EPILOG = """
\b
Examples:
  difflab trace "log(x1)+x1*x2-sin(x2)" x1=2 x2=5
  difflab trace "sum(relu(x))" "x=[1,-2,3,-1]" --json
  difflab trace "(x+y)*z" x=-2 y=5 z=-4 --html graph.html
  difflab trace digits-cnn --size tiny --html cnn.html
  difflab trace xor --latex --expanded

With --html the graph is drawn as a page for the browser: arrow keys step forward and back, layers fold and unfold. The
name of a problem (difflab list) stands for its loss with its own data; its input is what --seed names.

Known are + - * / ** (or ^), parentheses, pi, e and log, ln, exp, log1p, expm1, sqrt, abs, sin, cos, tan, arcsin,
arccos, arctan, sinh, cosh, tanh, sigmoid, relu, max, min, sum. What begins with a minus goes after --, or in brackets.

Exit codes: 0 all well; 2 bad input, as an expression that cannot be read or a file that cannot be written; 70 a fault
of difflab.
"""
FORMULAS_EPILOG = """
\b
Examples:
  difflab formulas "x*y + sin(x)" x=1 y=2
  difflab formulas xor --as c
  difflab formulas two-layer --as srepr --way tree --data symbols
  difflab formulas xor --way tree --as python --json
  difflab formulas "0.1*x" x=2 --digits 3
  difflab formulas -- "-x" x=1

The document of --json has operation counts and times as well. Put -- before a formula that begins with a minus.

Exit codes: 0 all well; 2 bad input; 70 a fault of difflab.
"""


def attach(app: typer.Typer) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=TRACE_EPILOG)
    def trace(
        expression: Annotated[
            str,
            typer.Argument(metavar="EXPRESSION", help="The formula, quoted for the shell; or the name of a problem."),
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

        Tangents go forward with the values, read downwards; adjoints come back, read upwards; the gate says what each
        line does to a gradient: add distributes, copy adds, multiply swaps, max routes.
        """
        from .trace import trace_text

        text = trace_text(
            expression, values or [], seed, as_json, as_code, html=html, size=size, as_latex=as_latex, expanded=expanded
        )
        show(text)

    @app.command(epilog=FORMULAS_EPILOG)
    def formulas(
        expression: Annotated[
            str,
            typer.Argument(metavar="EXPRESSION", help="The formula, quoted for the shell; or the name of a problem."),
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
        from .formulas import formulas_text

        options = {"way": way, "data": data, "engine": engine}
        show(formulas_text(expression, values or [], size, form, options, as_json, digits=digits))
