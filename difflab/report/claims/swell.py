"""The page of a study of expression swell: how operations grow with depth and width, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..cases import Case, groups
from ..kinds import Sections
from ..style import drawing
from ..terms import Term
from . import examined, swell_charts
from . import swell_laue as laue
from .swell_answer import REFUSED, answer
from .swell_details import exact, sentence
from .swell_points import Family, families, forecasts
from .swell_tables import counts, growths

GLOSSARY = (
    Term(
        "Operation",
        "A sum, product, quotient, sign or function of one or two numbers, as SymPy counts them, also on the tape; of "
        "an expression, data that are fractions count as quotients.",
        ("operations",),
    ),
    Term(
        "Written out",
        "The derivative as a formula: what is used twice is written, and computed, twice. The operations of a tree.",
        ("written-out",),
    ),
    Term(
        "Each distinct part once",
        "Of the same expressions of SymPy every distinct subexpression counted once, however often it is used.",
        ("each distinct part", "distinct part"),
    ),
    Term(
        "After sharing",
        "What is left after SymPy's search for common subexpressions (cse), which also finds common parts of sums and "
        "products; beyond 10 000 subexpressions only equal ones are shared.",
        ("sharing", "shared"),
    ),
    Term(
        "Graph",
        "Expressions of the laboratory's own in which every distinct one stands once from the beginning, so that it is "
        "also differentiated once: by one symbol after the other, or by all of them at once from the root, the loss, "
        "down.",
        ("graphs",),
    ),
    Term(
        "Forward mode",
        "All passes of its program, each of which computes the loss and a tangent of it for every lane.",
        ("forward",),
    ),
    Term("Reverse tape", "The equations of value and gradient that reverse mode records, operation by operation."),
    Term(
        "Build",
        "To make expressions of the loss; in forward and reverse mode, to record its tape.",
        ("building", "built"),
    ),
    Term(
        "Differentiate",
        "To derive by every parameter; in both modes, to append the tangent or adjoint equations.",
        ("differentiating", "differentiated"),
    ),
    Term(
        "Compile",
        "To share subexpressions, where that is asked for, and to turn the result into a Python function.",
        ("compiling", "compiled"),
    ),
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of expression swell.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = families(groups(list(cases)))
    if not found:
        return Sections(
            examined.nothing(cases, "Nothing could be counted", examined.caveats(cases, told_elsewhere=REFUSED))
        )
    with drawing():
        charts = swell_charts.charts(found)
    tables = tuple(one for one in (growths(found), laue.table(found), counts(found)) if one.table.rows)
    return Sections(
        answer(found, cases), tuple(charts), tables=tables, glossary=GLOSSARY,
        method=_method(found),
    )  # fmt: skip


def _method(found: Sequence[Family]) -> tuple[str, ...]:
    said = [
        "Building, differentiating and compiling are timed once, as they are needed once; an evaluation is the middle "
        "of five samples of at least 2 ms each. Operations of trees are counted on their graphs, each node once, so "
        "they are known also where the tree itself could not be written."
    ]
    if any(size.count("forward") for family in found for size in family.sizes):
        said.append(
            "Of forward mode the operations of every pass of its program are counted, each with the loss. Without "
            "zeros and ones, what multiplies with 0 or 1 or adds 0 at the numbers of the case is left out of both "
            "modes, and the loss is counted once."
        )
    if off := forecasts(found):
        said.append(
            f"The forecast of operations by which a case is refused was between {numbers.factor(min(off))} and "
            f"{numbers.factor(max(off))} times what was counted, over {numbers.counted(len(off), 'size')}."
        )
    return (*said, sentence(exact(found, full=True)))
