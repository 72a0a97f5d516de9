"""Judging the result of an operator: its form first, then its distance from the certified reference.

What counts as a right answer follows from theory, per dtype, method and order of the derivative; u is the unit
roundoff, 1.1e-16 in float64, 6.0e-8 in float32 and 4.9e-4 in float16.

A method that is exact up to rounding (analytic, symbolic, forward, reverse, the complex step) loses a few u per
operation, which sums up like a random walk: 1e-13, 1e-5 and 0.1 leave a factor of several hundred, two hundred in
float16.  Second derivatives go through about twice as many operations and add terms of both signs: another factor of
ten, five in float16.

Difference quotients of first order have at the best step an error of u**(2/3) (central) or u**(1/2) (one-sided), times
the ratio of the loss to its gradient, for which 1e4 is left: 1e-4 in float64, 0.2 in float32.  Second quotients have
u**(1/2) or u**(1/3), times the ratio of the loss to its second derivative: 0.05 in float64.  The complex step has exact
gradients, and for second derivatives quotients of them of fourth order: u**(4/5), times the ratio of the gradient to
its derivative: 2e-9 in float64, 0.02 in float32.  A step that crosses a kink is in none of these bounds: what it gives
is wrong, and called so.

Nothing above 0.5 is a bound, whatever theory leaves: the answer zero has the error 1, and only an error below 1 makes
sure that the negative gradient leads downhill.  So in float16 quotients are right as long as half of the result is, and
so are second ones in float32.

Rounding the arguments, the vectors and the constants to the dtype counts as error like any other: it is about one u.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..tape import Tape
    from .operation import Operation
    from .reference import Reference

FIRST, SECOND = "first", "second"
TOLERANCES = {
    ("float64", "exact", FIRST): 1e-13,
    ("float32", "exact", FIRST): 1e-5,
    ("float16", "exact", FIRST): 0.1,
    ("float64", "exact", SECOND): 1e-12,
    ("float32", "exact", SECOND): 1e-4,
    ("float16", "exact", SECOND): 0.5,
    ("float64", "complex-step", SECOND): 2e-9,
    ("float32", "complex-step", SECOND): 0.02,
    ("float16", "complex-step", SECOND): 0.5,
    ("float64", "finite", FIRST): 1e-4,
    ("float32", "finite", FIRST): 0.2,
    ("float16", "finite", FIRST): 0.5,
    ("float64", "finite", SECOND): 0.05,
    ("float32", "finite", SECOND): 0.5,
    ("float16", "finite", SECOND): 0.5,
}
ORDERS = {
    "gradient": FIRST,
    "value_and_gradient": FIRST,
    "jacobian": FIRST,
    "jvp": FIRST,
    "vjp": FIRST,
    "hvp": SECOND,
    "hessian": SECOND,
}
AS_ROUGH_AS_TF32 = "float16"
"""TF32 rounds what goes into a product to the significand of float16, 11 bits; so the same theory gives its bounds."""
REAL = {"complex64": "float32", "complex128": "float64"}
NOUNS = {
    "gradient": "gradient",
    "value_and_gradient": "gradient",
    "jacobian": "Jacobian",
    "jvp": "Jacobian-vector product",
    "vjp": "vector-Jacobian product",
    "hvp": "Hessian-vector product",
    "hessian": "Hessian",
}
DIRECTION = 10.0
"""By how much the error along a random direction may exceed that of the whole: it is normally distributed around it."""


def tolerance(family: str, dtype: str, operator: str = "gradient") -> float | None:
    """The largest norm-wise relative error that still counts as right; ``None`` for the null backend.

    Args:
        family: of the backend.
        dtype: of the variables, float16, float32, float64 or complex.
        operator: what was computed.

    Returns:
        One of ``TOLERANCES``.

    Example:
        >>> tolerance("reverse", "float64"), tolerance("finite", "float32"), tolerance("finite", "float64", "hvp")
        (1e-13, 0.2, 0.05)
    """
    if family == "null":
        return None
    order = ORDERS[operator]
    quotients = family == "finite" or (family == "complex-step" and order is SECOND)
    return TOLERANCES[REAL.get(dtype, dtype), family if quotients else "exact", order]


def fault_of_form(result: Any, expected: Sequence[Any], operator: str = "gradient") -> str | None:
    """What is wrong with a result before its numbers are looked at, or ``None``.

    Args:
        result: what the backend returned: one array for each of ``expected``.
        expected: arrays or avals, for their shapes and dtypes; of a gradient the differentiated leaves themselves.
        operator: what was asked for, to name it.

    Returns:
        A clause that says what.
    """
    noun = NOUNS[operator]
    whose = {"jvp": "output", "jacobian": "output and variable", "hessian": "pair of variables"}
    owner = whose.get(operator, "variable")
    if not isinstance(result, list | tuple) or len(result) != len(expected):
        found = len(result) if isinstance(result, list | tuple) else type(result).__name__
        return f"the {noun} must be {len(expected)} arrays, got {found}"
    for position, (part, wanted) in enumerate(zip(result, expected, strict=True)):
        array, where = np.asarray(part), f"part {position} of the {noun}"
        if array.shape != wanted.shape:
            return f"{where} has shape {array.shape}, its {owner} has {wanted.shape}"
        if array.dtype != wanted.dtype:
            return f"{where} is {array.dtype}, its {owner} is {wanted.dtype}"
    return None


def not_finite(result: Sequence[Any], operator: str = "gradient") -> str | None:
    """How many entries are NaN or infinite, in words, or ``None`` if none is."""
    bad = sum(int(np.size(part) - np.count_nonzero(np.isfinite(part))) for part in result)
    total = sum(int(np.size(part)) for part in result)
    return f"{bad} of {total} entries of the {NOUNS[operator]} are NaN or infinite" if bad else None


def judge(
    result: Any,
    expected: Sequence[Any],
    family: str,
    dtype: str,
    truth: Reference | None,
    why: str | None = None,
    operator: str = "gradient",
    tf32: bool = False,
) -> dict[str, Any]:
    """The outcome and grades of one result.

    Args:
        result: what the backend returned.
        expected: arrays or avals with the shapes and dtypes that it must have; of a gradient the differentiated leaves.
        family: the backend's family.
        dtype: the case's dtype.
        truth: the certified reference, or ``None`` where there is none.
        why: why there is none.
        operator: what was computed.
        tf32: whether products of float32 were allowed to be rounded to TF32.

    Returns:
        ``outcome`` (ok or invalid), ``reason``, ``tolerance``, ``certified`` ("yes", "sampled k of n" or
        "no: reason"), and where there is a truth ``rel_error`` (norm-wise), ``rel_error_radius`` (how far that can be
        off) and the other figures of ``grades.errors``.
    """
    limit = tolerance(family, AS_ROUGH_AS_TF32 if tf32 else dtype, operator)
    answer: dict[str, Any] = {"outcome": "ok", "reason": "", "rel_error": None, "tolerance": limit}
    answer["certified"] = _certified(limit is None, truth, why)
    if (fault := fault_of_form(result, expected, operator)) is not None:
        return {**answer, "outcome": "invalid", "reason": fault}
    if limit is None:
        return answer
    fault = not_finite(result, operator)
    if fault is None and truth is None:
        if (why or "").startswith(WRONG_RULE) and family in RULED:
            return {**answer, "outcome": "invalid", "reason": why}
        return answer
    if truth is not None:
        from .grades import errors

        found = errors([np.asarray(part) for part in result], truth)
        answer.update({key: _finite(found[key]) for key in GRADES})
        answer["rel_error_radius"] = _finite(found["radius"])
        answer["reason"] = truth.reason  # ties that were settled by the kink table are counted there
        fault = fault or _over(found, limit)
    return answer if fault is None else {**answer, "outcome": "invalid", "reason": fault}


WRONG_RULE = "a derivative rule is wrong: "
"""How the reason begins why there is no truth, where derivative rules and power series exclude each other."""
RULED = ("forward", "reverse")
"""The families that apply those rules."""
GRADES = (
    "rel_error", "worst_rel_error", "digits", "worst_digits", "median_digits", "ulps", "ulp_histogram",
    "direction_error",
)  # fmt: skip
"""The figures of ``grades.errors`` that a row keeps."""


def _over(found: dict[str, Any], limit: float) -> str | None:
    """Which error is over its bound, or ``None``."""
    if found["rel_error"] > limit:
        return f"relative error {found['rel_error']:.2g} is over the tolerance {limit:g}"
    along = found["direction_error"]
    if along is not None and along > DIRECTION * limit:
        bound = f"{DIRECTION:g} times the tolerance {limit:g}"
        return f"relative error {along:.2g} along a random direction is over {bound}"
    return None


def _certified(null: bool, truth: Reference | None, why: str | None) -> str:
    """Whether there is a certified result to measure against, whatever the result in question is."""
    if null:
        return "no: the null backend returns zeros on purpose"
    if truth is None:
        return f"no: {why or 'there is no reference'}"
    return truth.certified_text


def truth_of(tape: Tape, operation: Operation, seconds: float) -> tuple[Reference | None, str]:
    """The certified result of an operation, or why there is none.

    Args:
        tape: of the function itself, freshly recorded and not simplified.
        operation: the operator, the point and the vectors, all taken exactly.
        seconds: when to give up.

    Returns:
        The reference and "", or ``None`` and the reason.
    """
    from ..errors import CertificateError, UndecidedError, UnsupportedError
    from .certify import certified

    made = operation.source
    try:
        truth = certified(
            tape, made.example, made.wrt, operation.operator, vectors=list(operation.vectors), deadline_s=seconds
        )
    except TimeoutError:
        return None, f"ball arithmetic was stopped after {seconds:g} s"
    except UndecidedError as fault:
        return None, f"kink: {fault}"
    except UnsupportedError as fault:
        return None, str(fault)
    except CertificateError as fault:
        return None, f"{WRONG_RULE}{fault}"
    return truth, ""


def make_reference(spec: dict[str, Any], path: str, seconds: float) -> dict[str, Any]:
    """Certify the result of a study's operator on a problem in ball arithmetic and write it to ``path``.

    Args:
        spec: of any case of the problem at its size, with dtype float64: what is certified is the result for the
            float64 data, so that rounding them to another dtype counts as error of that dtype.
        path: the ``.npz`` file to write.
        seconds: when to give up.

    Returns:
        What is known of the reference; ``why`` says why there is none.
    """
    from ..execution.exact import forecast_seconds
    from ..operators import source
    from . import amounts
    from .catalogue import problem_of
    from .operation import Operation

    instance = problem_of(spec).build(spec["size"], "float64", spec["seed"])
    made = source(instance.loss, instance.args, {}, 0, instance.analytic)
    if (least := forecast_seconds(made.tape)) > seconds:  # no certificate takes less than the loss itself
        loss, limit = amounts.duration(least), amounts.duration(seconds)
        return {"why": f"the loss alone is forecast to take {loss} in ball arithmetic; the limit is {limit}"}
    start = time.perf_counter()
    truth, why = truth_of(made.tape, Operation.drawn(spec.get("operator", "gradient"), made, spec["seed"]), seconds)
    if truth is None:
        return {"why": why}
    return {"sha256": truth.save(path), **facts_of(truth), "seconds": time.perf_counter() - start}


def facts_of(truth: Reference) -> dict[str, Any]:
    """What a report says of a reference, as plain values: all but its arrays."""
    facts = {key: getattr(truth, key) for key in ("bits", "ties", "narrow", "reason", "checked", "sampled")}
    return {"value": _finite(truth.value), **facts}


def _finite(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
