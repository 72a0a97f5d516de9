"""``difflab trace``: the evaluation trace of a formula or a problem as text, JSON, NumPy code or a drawn graph."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..problems import PROBLEMS, find
from ..walk.columns import columns
from ..walk.drawing import steps
from ..walk.drawing.graph import shortly_named
from ..walk.expression import parse
from ..walk.given import read_values, spelt_alike
from ..walk.rows import Walk


@dataclass(frozen=True)
class Subject:
    """What is traced: a function with arguments; ``said`` is its name in JSON, ``argnums`` what code is wanted for."""

    function: Callable[..., Any]
    arguments: Sequence[Any]
    title: str
    said: dict[str, str]
    argnums: int | tuple[int, ...]


def trace_text(
    expression: str,
    values: Sequence[str],
    seed: str | None,
    as_json: bool,
    as_code: bool = False,
    *,
    html: str | None = None,
    size: str | None = None,
    as_latex: bool = False,
    expanded: bool = False,
) -> str:
    """The trace of a formula or of a problem.

    Args:
        expression: the formula, or the name of a problem.
        values: texts such as ``x1=2``, for a formula.
        seed: the variable whose tangent is 1; the first one by default.
        as_json: whether the trace is one JSON document.
        as_code: whether value and gradient are wanted as NumPy code instead.
        html: a file into which the graph is drawn.
        size: of the problem; its smallest by default.
        as_latex: whether value and gradient are wanted as matrix formulas instead.
        expanded: whether these are wanted by the method of differentials, beside entries that are written out.

    Returns:
        A table, JSON, the text of a module, formulas in LaTeX, or where the graph is.

    Raises:
        InputError: a fault in the formula, in the values or in the name of the seed, problem or size.
        StoreError: the file cannot be written.

    Example:
        >>> print(trace_text("a*b + b", ["a=2", "b=3"], None, False))
        value  is      primal  tangent d/da  adjoint dy/dv  gate
        a      input   2       1             3
        b      input   3       0             3              copy adds (2 uses)
        v1     a * b   6       3             1              multiply swaps
        v2     v1 + b  9       3             1              add distributes
        <BLANKLINE>
        y = v2 = 9
        forward, read downwards:  dy/da = 3
        reverse, read upwards:    dy/da = 3  dy/db = 3
    """
    subject = subject_of(expression, values, size)
    seed = None if seed is None else spelt_alike(seed)
    from ..views import trace

    if as_code and (seed is not None or html is not None):
        raise InputError("--code prints a program, which goes with neither --seed nor --html")
    if as_latex and (seed is not None or html is not None or as_code):
        raise InputError("--latex prints formulas, which go with none of --seed, --html and --code")
    if expanded and not as_latex:
        raise InputError("--expanded prints formulas entry by entry, which goes with --latex alone; give both")
    with np.errstate(all="ignore"):
        traced = trace(subject.function, *subject.arguments)
        if as_code:
            return _text(subject, "code", traced.to_numpy(argnums=subject.argnums).rstrip(), as_json)
        if expanded:
            return _text(subject, "latex", traced.to_expanded_latex(argnums=subject.argnums), as_json)
        if as_latex:
            return _text(subject, "latex", traced.to_latex(argnums=subject.argnums), as_json)
        if html is not None:
            drawn = traced.draw(html, tangent=seed, title=subject.title)
            found = drawn.graph.walk
        else:
            found = columns(shortly_named(traced.tape), traced.values(), tangent=seed)
    if as_json:
        return _document(subject, found, html)
    return str(found) if html is None else f"The graph, of {steps.counted(traced.tape)}, is drawn in {html}"


def _text(subject: Subject, what: str, text: str, as_json: bool) -> str:
    """A program or formulas, as they are or in a document."""
    if not as_json:
        return text
    from .tables import json_text

    return json_text({**subject.said, what: text})


def _document(subject: Subject, found: Walk, html: str | None) -> str:
    from .tables import json_text

    return json_text({**subject.said, "trace": found.to_dict(), **({} if html is None else {"html": html})})


def subject_of(text: str, values: Sequence[str], size: str | None) -> Subject:
    """A problem, if its name stands alone; a formula otherwise."""
    name = text.strip()
    if size is not None and values:
        raise InputError("--size goes with the name of a problem, which takes no values")
    if size is not None or (name in PROBLEMS and not values):
        problem = find(name)
        taken = next(iter(problem.sizes)) if size is None else size
        instance = problem.build(taken, "float64", 0)
        said = {"problem": name, "size": taken}
        return Subject(instance.loss, instance.args, f"{problem.title} ({name}, {taken})", said, 0)
    read = parse(text)
    if not (read.names or values):
        raise InputError("the expression names no variable, so there is nothing to differentiate by")
    try:
        given = read_values(values, read.names)
    except InputError as error:
        close = [] if values else difflib.get_close_matches(name, list(PROBLEMS), n=1)
        hint = f"; or is it the problem {close[0]!r} that you mean?" if close else ""
        if name in PROBLEMS:
            hint = f"; the problem {name!r} has its own data and takes no values"
        raise InputError(f"{error}{hint}") from None
    return Subject(read.function, given, read.text, {"expression": read.text}, tuple(range(len(given))))
