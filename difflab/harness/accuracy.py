"""Judging a gradient: its form first, then its distance from the certified reference.

What counts as a right answer follows from theory, per dtype and family.  A method that is exact up to rounding
(analytic, symbolic, forward, reverse) loses a few units of the last place per operation, which sums up like a random
walk: 1e-13 in float64 and 1e-5 in float32 leave a factor of several hundred.  Difference quotients lose a third of
the digits (central) or half of them (one-sided) at the best step, times the ratio of the loss to its gradient: 1e-4
and 0.2 bound both schemes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .reference import Reference

TOLERANCES = {
    ("float64", "exact"): 1e-13,
    ("float32", "exact"): 1e-5,
    ("float64", "finite"): 1e-4,
    ("float32", "finite"): 0.2,
}


def tolerance(family: str, dtype: str) -> float | None:
    """The largest norm-wise relative error that still counts as right; ``None`` for the null backend.

    >>> tolerance("reverse", "float64"), tolerance("finite", "float32")
    (1e-13, 0.2)
    """
    if family == "null":
        return None
    return TOLERANCES[dtype, "finite" if family == "finite" else "exact"]


def fault_of_form(gradient: Any, expected: Sequence[Any]) -> str | None:
    """What is wrong with a gradient before its numbers are looked at, or ``None``.

    Args:
        gradient: what the backend returned: one array per differentiated leaf.
        expected: the leaves themselves, for their shapes and dtypes.
    """
    if not isinstance(gradient, list | tuple) or len(gradient) != len(expected):
        found = len(gradient) if isinstance(gradient, list | tuple) else type(gradient).__name__
        return f"the gradient must be {len(expected)} arrays, got {found}"
    for position, (part, leaf) in enumerate(zip(gradient, expected, strict=True)):
        array, wanted = np.asarray(part), np.asarray(leaf)
        where = f"part {position} of the gradient"
        if array.shape != wanted.shape:
            return f"{where} has shape {array.shape}, its variable has {wanted.shape}"
        if array.dtype != wanted.dtype:
            return f"{where} is {array.dtype}, its variable is {wanted.dtype}"
    return None


def not_finite(gradient: Sequence[Any]) -> str | None:
    """How many entries are NaN or infinite, in words, or ``None`` if none is."""
    bad = sum(int(np.size(part) - np.count_nonzero(np.isfinite(part))) for part in gradient)
    total = sum(int(np.size(part)) for part in gradient)
    return f"{bad} of {total} entries of the gradient are NaN or infinite" if bad else None


def judge(
    gradient: Any,
    expected: Sequence[Any],
    family: str,
    dtype: str,
    truth: Reference | None,
    why: str | None = None,
) -> dict[str, Any]:
    """The outcome and errors of one gradient.

    Args:
        gradient: what the backend returned.
        expected: the differentiated leaves.
        family: the backend's family.
        dtype: the case's dtype.
        truth: the certified reference, or ``None`` where there is none.
        why: why there is none.

    Returns:
        ``outcome`` (ok or invalid), ``reason``, ``rel_error`` (norm-wise), ``rel_error_radius`` (how far that can be
        off), ``worst_digits``, ``ulps``, ``certified`` ("yes" or "no: reason"), ``tolerance``.
    """
    limit = tolerance(family, dtype)
    answer: dict[str, Any] = {"outcome": "ok", "reason": "", "rel_error": None, "tolerance": limit}
    answer["certified"] = _certified(limit is None, truth, why)
    if (fault := fault_of_form(gradient, expected)) is not None:
        return {**answer, "outcome": "invalid", "reason": fault}
    if limit is None:
        return answer
    if (fault := not_finite(gradient)) is not None:
        return {**answer, "outcome": "invalid", "reason": fault}
    if truth is None:
        return answer
    from .grades import errors

    found = errors([np.asarray(part) for part in gradient], truth)
    answer.update({key: _finite(found[key]) for key in ("rel_error", "worst_digits", "ulps")})
    answer["rel_error_radius"] = _finite(found["radius"])
    answer["reason"] = truth.reason  # ties that were settled by the kink table are counted there
    if found["rel_error"] > limit:
        answer["outcome"] = "invalid"
        answer["reason"] = f"relative error {found['rel_error']:.2g} is over the tolerance {limit:g}"
    return answer


def _certified(null: bool, truth: Reference | None, why: str | None) -> str:
    """Whether there is a certified gradient to measure against, whatever the gradient in question is."""
    if null:
        return "no: the null backend returns zeros on purpose"
    if truth is None:
        return f"no: {why or 'there is no reference'}"
    return "yes" if truth.certified else f"no: {truth.reason or 'the enclosures are wide'}"


def make_reference(spec: dict[str, Any], path: str, seconds: float) -> dict[str, Any]:
    """Certify the gradient of a problem in ball arithmetic and write it to ``path``.

    Args:
        spec: of any case of the problem at its size, with dtype float64.
        path: the ``.npz`` file to write.
        seconds: when to give up.

    Returns:
        What is known of the reference; ``why`` says why there is none.
    """
    from ..errors import UndecidedError
    from ..operators import source
    from ..transforms import reverse
    from .catalogue import find_problem
    from .reference import reference_gradient

    instance = find_problem(spec["problem"]).build(spec["size"], "float64", spec["seed"])
    made = source(instance.loss, instance.args, {}, 0, instance.analytic)
    tape = reverse.gradient(made.tape, tuple(made.wrt))
    start = time.perf_counter()
    try:
        truth = reference_gradient(tape, made.example, deadline_s=seconds)
    except TimeoutError:
        return {"why": f"ball arithmetic was stopped after {seconds:g} s"}
    except UndecidedError as fault:
        return {"why": f"kink: {fault}"}
    truth.save(path)
    facts = {"value": _finite(truth.value), "bits": truth.bits, "ties": truth.ties, "narrow": truth.narrow}
    return {**facts, "reason": truth.reason, "seconds": time.perf_counter() - start}


def _finite(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
