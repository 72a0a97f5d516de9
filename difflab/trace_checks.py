"""Holding a tape against the function that it was recorded from: here, nearby, and far away."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .arrays import as_array, copied, namespace, placed, to_host
from .calls import describe
from .errors import TraceError
from .flat import Function
from .tape import Tape
from .tracing import trace_leaves

FAR = "at a point far from the example"


@np.errstate(all="ignore")
def check_trace(tape: Tape, flat: Function, leaves: Sequence[Any], draws: Any = None) -> None:
    """The tape must compute what the function computes: here, at a point nearby, and at one far away.

    Nearby, what is not a constant shows; far away, with signs turned, what chooses takes other branches.  ``draws`` is
    the state of NumPy's global generator when the function was traced, if it drew numbers from it.  Arguments on a GPU
    are compared there; a function that does not take them as they are (``np.matmul``, an array of NumPy's closed over)
    is given copies on the host, and one that takes neither is traced again at each point.

    Raises:
        TraceError: naming the likely cause.
    """
    # What was computed in float32 on the way is no more precise in a float64 result.
    dtypes = {aval.dtype for aval in tape.avals}
    rounding = max([float(np.finfo(dtype).eps) for dtype in dtypes if dtype.kind in "fc"], default=0.0)
    rng = np.random.default_rng(20240229)
    _compare(tape, flat, leaves, "at the example", 1e3 * rounding, draws)
    for where, centre, spread, tolerance in (
        ("at a point near the example", 1.0, 1e-3, 1e3 * rounding),
        # Far away a function may amplify rounding; a branch that was frozen is wrong by far more.
        (FAR, -1.0, 0.5, max(1e-3, 1e3 * rounding)),
    ):
        moved = [copied(leaf) for leaf in leaves]
        for position in flat.bound.wrt:
            factors = placed(centre + spread * rng.standard_normal(moved[position].shape), flat.bound.device)
            moved[position] = (moved[position] * factors).astype(moved[position].dtype)
        if where != FAR:
            if tape.follows(moved):
                _compare(tape, flat, moved, where, tolerance, draws)
            continue
        # So far away neither need exist (a matrix may have no factors there), and a warning would say nothing.
        with warnings.catch_warnings(), suppress(np.linalg.LinAlgError):
            warnings.simplefilter("ignore")
            if tape.follows(moved):
                _compare(tape, flat, moved, where, tolerance, draws)


def _compare(tape: Tape, flat: Function, point: Sequence[Any], where: str, tolerance: float, draws: Any) -> None:
    """Raise unless tape and function agree at a point."""
    copies, constants = [copied(leaf) for leaf in point], None
    if draws is not None:
        np.random.set_state(draws)  # noqa: NPY002 (the one that users draw from)
    try:
        if flat.bound.device == "cpu":
            expected = flat.call(copies)
        else:
            expected, copies, point, constants = _on_device(tape, flat, copies, point)
    except Exception:
        if where != FAR:
            raise
        return  # so far away the function need not exist
    if not all(map(_untouched, copies, point)):
        raise TraceError(
            f"{describe(flat.function)} writes into its own arguments, which a tape cannot do; work on a copy"
        )
    try:
        found = tape.audit([as_array(leaf) for leaf in point], constants)
    except np.linalg.LinAlgError:
        raise
    except ValueError as error:
        raise TraceError(
            f"the trace of {describe(flat.function)} cannot be trusted, for a primitive's shape rule is wrong: {error}"
        ) from error
    for number, (a, b) in enumerate(zip(expected, found, strict=True)):
        a, b = as_array(a), as_array(b)
        xp = namespace(a, b)
        a, b = (a, b) if xp is np else (placed(a, "gpu"), placed(b, "gpu"))
        if where == FAR and a.shape == b.shape:  # beside its domain the one may say infinite and the other NaN
            known = xp.isfinite(a) & xp.isfinite(b)
            a, b = a[known], b[known]
        if where == FAR and a.shape == b.shape and bool(xp.isfinite(a).all()) > bool(xp.isfinite(b).all()):
            continue  # the function may know what to do there, as in ``except FloatingPointError``
        if a.shape != b.shape or not _close(a, b, tolerance):
            raise TraceError(
                f"the trace of {describe(flat.function)} does not compute what the function does: output {number} "
                f"{where} is {_brief(a)} and the tape gives {_brief(b)}; likely causes are hidden state, random "
                "numbers, an array changed in place while tracing, or a test of an argument's type (isinstance, "
                "np.isscalar), which a traced array answers otherwise"
            )


DISLIKES = (TypeError, AttributeError, NotImplementedError)  # caught where arrays meet foreign functions: see below
"""What NumPy and CuPy raise where an array is not of their own, or a function is missing in the other."""


def _on_device(
    tape: Tape, flat: Function, copies: list[Any], point: Sequence[Any]
) -> tuple[list[Any], list[Any], Sequence[Any], Mapping[int, Any] | None]:
    """The function's outputs, its arguments after the call and before it, and the constants of a tape beside them."""
    try:
        return flat.call(copies), copies, point, None
    except DISLIKES:
        there, before = [to_host(leaf) for leaf in point], [to_host(leaf) for leaf in point]
    try:
        expected = [to_host(output) for output in flat.outputs(flat.bound.plain(there))]
    except DISLIKES:
        again = trace_leaves(flat.outputs, flat.bound.plain(point))
        return again.evaluate(point), copies, copies, None
    return expected, there, before, {number: to_host(value) for number, value in tape.constants.items()}


def _untouched(copy: Any, leaf: Any) -> bool:
    """Whether a function left its argument as it was; what compares equal needs no look at NaN."""
    if copy.shape == leaf.shape and (copy == leaf).all():
        return True
    return bool(namespace(copy).array_equal(copy, leaf, equal_nan=copy.dtype.kind in "fc"))


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if (a == b).all():
        return True
    if a.dtype.kind not in "fc":
        return False
    xp = namespace(a)
    known = xp.abs(a[xp.isfinite(a)])
    scale = float(known.max()) if known.size else 0.0
    return bool(xp.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _brief(a: Any) -> str:
    a = to_host(a)
    return (
        f"{a.item():.6g}"
        if a.size == 1
        else np.array2string(a.ravel()[:3], precision=6) + (" ..." if a.size > 3 else "")
    )
