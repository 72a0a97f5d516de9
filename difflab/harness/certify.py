"""Certifying a derivative: rules in ball arithmetic, checked by power series that know no rule.

Two engines enclose the same number.  One applies difflab's derivative rules to balls; the other runs the loss itself on
truncated power series along random directions, where derivatives come from flint's arithmetic of series.  Enclosures
that exclude each other prove a rule wrong; the error names the first primitive whose rule disagrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import transforms
from ..errors import GuardError, UndecidedError, UnsupportedError
from ..execution.exact import certify, forecast_seconds
from ..tape import Tape
from ..transforms.simplify import without_dead_code
from .reference import Reference
from .sampling import sample
from .series_check import Question, fault_of_check, fault_of_values

SAMPLED = ("gradient", "value_and_gradient", "hvp")


def certified(
    tape: Tape,
    leaves: Sequence[Any],
    wrt: Sequence[int],
    operator: str = "gradient",
    *,
    vectors: Sequence[Any] = (),
    deadline_s: float | None = None,
    bits: int = 160,
    seed: int = 0,
) -> Reference:
    """Certify a derivative.

    Args:
        tape: the loss itself, as recorded; not simplified, for folded literals are already rounded.
        leaves: the inputs, taken exactly as given.
        wrt: the inputs to differentiate.
        operator: "gradient", "jvp", "vjp", "jacobian", "hvp" or "hessian".
        vectors: tangents, one array per differentiated input (jvp, hvp), or cotangents, one per output (vjp).
        deadline_s: seconds to spend; a gradient or an hvp that would take longer is certified at a random sample of
            coordinates and along random directions, anything else is given up.
        bits: first working precision.
        seed: of the random directions and of the sample.

    Returns:
        ``Reference``: of a Jacobian or Hessian block by block, row by row.

    Raises:
        UndecidedError: at a kink that no precision decides, or where rounding decided which branch was recorded.
        UnsupportedError: a primitive without exact rule.
        CertificateError: the two engines exclude each other.
        TimeoutError: the deadline passed with nothing certified.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [np.exp(leaves[0])], [1.0])
        >>> found = certified(tape, [1.0], (0,))
        >>> float(found.high[0]), found.certified_text
        (2.718281828459045, 'yes')
    """
    question = Question(tape, list(leaves), tuple(wrt), operator, list(vectors), seed, deadline_s)
    try:
        return _answer(question, bits)
    except GuardError as fault:
        raise UndecidedError(
            f"rounding decided which branch Python took, so what was recorded is not the function here: {fault}"
        ) from None


def _answer(question: Question, bits: int) -> Reference:
    operator = question.operator
    derived, values = derivative_tape(question.tape, question.wrt, operator)
    left = question.left()
    too_large = left is not None and 1.5 * forecast_seconds(derived) > left
    if too_large and operator in SAMPLED:
        return sample(question, bits)
    # Half of the time for the rules: what cannot be certified whole still has the other half for a sample.
    rules_s = None if left is None else left / 2
    try:
        found = certify(derived, [*question.leaves, *question.vectors], bits=bits, deadline_s=rules_s, wrt=question.wrt)
    except TimeoutError:
        if operator not in SAMPLED:
            raise
        return sample(question, bits)
    remark = fault_of_check(question, found, values) or fault_of_values(question, found, values)
    value = float(found.high[0]) if values and found.high[0].shape == () else math.nan
    return Reference(
        found.high[values:],
        found.low[values:],
        found.radius[values:],
        value,
        found.bits,
        found.ties,
        found.narrow,
        "; ".join(filter(None, (found.reason, remark))),
        found.unproven,
        checked=not remark,
    )


def derivative_tape(tape: Tape, wrt: tuple[int, ...], operator: str) -> tuple[Tape, int]:
    """The tape of an operator by difflab's rules, nothing folded, and how many of its first outputs are values.

    Its inputs after those of ``tape`` are the vectors.
    """
    tidy, outputs = without_dead_code, len(tape.outputs)
    if operator in ("gradient", "value_and_gradient"):
        return transforms.gradient(tape, wrt), 1
    if operator == "jvp":
        return transforms.jvp(tape, wrt), outputs
    if operator == "vjp":
        return transforms.vjp(tape, wrt), outputs
    if operator == "hvp":
        return tidy(transforms.hvp(tape, wrt, tidy=tidy)), 0
    if operator == "hessian":
        return tidy(transforms.hessian(tape, wrt, by="products", tidy=tidy)), 0
    if operator == "jacobian":
        moved = sum(tape.avals[tape.inputs[position]].size for position in wrt)
        read = sum(tape.avals[number].size for number in tape.outputs)
        by = "tangents" if moved <= read else "cotangents"
        return tidy(transforms.jacobian(tape, wrt, by=by, tidy=tidy)), outputs
    raise UnsupportedError(f"there is no certified reference for the operator {operator!r}")
