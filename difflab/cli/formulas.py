"""``difflab formulas``: value and gradient of a formula or a problem as SymPy expressions or as code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from .trace import subject_of

TEXTS = ("latex", "srepr", "python", "numpy", "cupy", "c")


def formulas_text(
    expression: str,
    values: Sequence[str],
    size: str | None,
    form: str,
    options: dict[str, Any],
    as_json: bool,
    *,
    digits: int | None = None,
) -> str:
    """The formulas of symbolic differentiation.

    Args:
        expression: the formula, or the name of a problem.
        values: texts such as ``x1=2``, for a formula.
        size: of the problem; its smallest by default.
        form: one of ``TEXTS``.
        options: of ``Symbolic``: ``way``, ``order``, ``data``, ``engine``.
        as_json: whether counts and times are wanted as well, in one JSON document.
        digits: significant digits of decimals in LaTeX; by default as many as tell one double from all others.

    Returns:
        LaTeX, SymPy's ``srepr``, the text of a module, or JSON.

    Raises:
        ForecastError: the formulas would take too long to derive or to print.
        InputError: a fault in the formula, in the values, in an option or in the name of the problem or size.

    Example:
        >>> print(formulas_text("x*y + sin(x)", ["x=1", "y=2"], None, "latex", {}, False))
        f = x y + \\sin{\\left(x \\right)}
        \\frac{\\partial f}{\\partial x} = y + \\cos{\\left(x \\right)}
        \\frac{\\partial f}{\\partial y} = x
    """
    from ..backends.symbolic import Symbolic
    from ..operators import prepare

    if form not in TEXTS:
        raise InputError(f"--as {form}: formulas are printed as {', '.join(TEXTS)}")
    if digits is not None and form != "latex":
        raise InputError(f"--digits rounds what LaTeX shows, and goes with --as latex, not with --as {form}")
    subject = subject_of(expression, values, size)
    prepared = prepare(
        subject.function, *subject.arguments, argnums=subject.argnums, backend=Symbolic(**options), operator="gradient"
    )
    if form in ("latex", "srepr"):
        found = prepared.expressions()
        text = found.latex(digits=digits) if form == "latex" else found.srepr()
    else:
        text = prepared.code(language=form).rstrip()
    if not as_json:
        return text
    from .tables import json_text

    stats = prepared.stats
    kept = {key: value for key, value in stats.items() if key.startswith("symbolic_ops") or key.endswith("_s")}
    counts = {**kept, "n_symbols": stats["n_symbols"], "tape_length": stats["tape_length"]}
    return json_text({**subject.said, "backend": repr(prepared.backend), **counts, "as": form, "text": text})
