"""The V-curve: how wrong a gradient by differences is at every step, and what theory said of it beforehand.

The sweep sets one step for all coordinates.  The prediction (``predicted.py``) takes the median of max(1, |x|) for the
magnitude of the coordinates and the certified norms of loss and gradient; it uses nothing that the sweep measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import TraceError, UnsupportedError
from .. import limits
from ..accuracy import fault_of_form
from ..finite_loss import LossError, fault_of_loss
from ..session import CERTIFIED_LENGTH
from .predicted_steps import COMPLEX_STEP, quotient

if TYPE_CHECKING:
    from ..reference import Reference
    from ..session import Session


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Sweep the step of the open case and grade every gradient against the certified one.

    Args:
        session: with the case open.
        command: ``reference`` (a path, or ``None`` and ``why``) and ``steps``, from the largest to the smallest.

    Returns:
        ``outcome``, ``reason``, ``rel_error`` and ``worst_digits`` of the gradient with the backend as it is given,
        ``certified``, and ``findings``: lists ``steps``, ``rel_error``, ``worst`` (correct digits of the worst
        coordinate); ``predicted`` (with the ``order`` of accuracy, and ``flat`` where every smaller step is as good),
        ``best`` and ``default`` with ``step`` and ``error`` each; ``digits_lost`` of those of the dtype at the best
        step; ``eps``.  What is not finite is ``None``; a backend without a step has empty lists, its one error is
        that of ``best``.

    Raises:
        LossError: the loss is not finite, so no gradient can be right.
    """
    value = session.instance.loss(*session.instance.args)
    if (fault := fault_of_loss(value, session.leaves, session.source.names)) is not None:
        raise LossError(fault)
    if not command.get("reference"):
        why = command.get("why") or "there is no reference"
        return {"outcome": "unsupported", "reason": f"nothing to measure against: {why}", "findings": None}
    from ..reference import Reference

    truth = Reference.load(command["reference"], command.get("sha256"))
    eps = float(np.finfo(session.spec["dtype"]).eps)
    gradient = _gradient(session, session.backend)
    if (fault := fault_of_form(gradient, [session.leaves[position] for position in session.source.wrt])) is not None:
        return {"outcome": "invalid", "reason": fault, "findings": None}
    default = _graded(gradient, truth)
    if has_step(session.backend):
        session.channel.phase("sweep")
        graded = [_graded(_gradient(session, replace(session.backend, step=step)), truth) for step in command["steps"]]
        findings = _curve(command["steps"], graded, eps)
        findings["default"] = {"step": _own_step(session), "error": default["rel_error"]}
        findings["predicted"] = _predicted(session, truth, eps / 2)
    else:
        findings = _curve([], [], eps) | {"best": {"step": None, "error": default["rel_error"]}}
    best = findings["best"]["error"]
    findings["digits_lost"] = None if best is None else max(0.0, math.log10(max(best, eps) / eps))
    certified = limits.shorten(truth.certified_text, CERTIFIED_LENGTH)
    return {"outcome": "ok", "reason": "", **default, "certified": certified, "findings": {**findings, "eps": eps}}


def has_step(backend: Any) -> bool:
    """Whether a backend declares a step among its options.

    >>> from difflab.backends import find
    >>> has_step(find("finite")), has_step(find("reverse"))
    (True, False)
    """
    return is_dataclass(backend) and any(one.name == "step" and one.init for one in fields(backend))


def _gradient(session: Session, backend: Any) -> Any:
    return backend.prepare(session.source, "value_and_gradient", session.leaves).value_and_gradient(session.leaves)[1]


def _graded(gradient: Sequence[Any], truth: Reference) -> dict[str, float | None]:
    """The error of a gradient; nothing where it is not finite."""
    from ..grades import errors

    found = errors([np.asarray(part) for part in gradient], truth)
    known = math.isfinite(found["rel_error"])
    return {key: float(found[key]) if known else None for key in ("rel_error", "worst_digits")}


def _curve(steps: Sequence[float], graded: Sequence[Mapping[str, float | None]], eps: float) -> dict[str, Any]:
    """The lists and the best step: of those whose errors are equal or below what the dtype resolves, the largest."""
    errors = [one["rel_error"] for one in graded]
    known = [(max(error, eps), -step, error) for error, step in zip(errors, steps, strict=True) if error is not None]
    _, negative, error = min(known, default=(0.0, None, None))
    step = None if negative is None else -negative
    return {
        "steps": list(steps),
        "rel_error": errors,
        "worst": [one["worst_digits"] for one in graded],
        "best": {"step": step, "error": error},
        "default": None,
        "predicted": None,
    }


def _own_step(session: Session) -> float | None:
    """The middle over all coordinates of the step that the backend takes as it is given, seen from outside.

    The loss is handed over as a black box that notes how far each of its coordinates is moved by itself: at least, or
    at most where the step is halved to extrapolate.  A loss that takes no complex numbers cannot be watched in the
    complex step, whose steps do not look at values: there a sum of squares stands in for it.
    """
    if "black-box" not in session.backend.capabilities:
        return None
    try:
        return _watched(session, session.source.call)
    except UnsupportedError:
        return _watched(session, lambda leaves: [sum(np.sum(leaves[k] * leaves[k]) for k in session.source.wrt)])


def _watched(session: Session, loss: Callable[[Sequence[Any]], list[Any]]) -> float | None:
    source = session.source
    origin = [np.asarray(session.leaves[k]) for k in source.wrt]
    halved = vars(session.backend).get("scheme") == "richardson"
    found = [np.full(array.shape, math.nan) for array in origin]

    def call(leaves: Sequence[Any]) -> list[Any]:
        moves = [np.abs(np.asarray(leaves[k]) - start) for k, start in zip(source.wrt, origin, strict=True)]
        if sum(np.count_nonzero(move) for move in moves) == 1:  # more at once are for something else, such as noise
            for move, known in zip(moves, found, strict=True):
                move = np.where(move > 0, move, math.nan)
                (np.fmax if halved else np.fmin)(known, move, out=known)
        return loss(leaves)

    watched = replace(source, call=call, trace=_untraceable)
    session.backend.prepare(watched, "value_and_gradient", session.leaves).value_and_gradient(session.leaves)
    every = np.concatenate([array.ravel() for array in found])
    moved = every[~np.isnan(every)]
    return float(np.median(moved)) if moved.size else None


def _untraceable() -> Any:
    raise TraceError("the loss is watched as a black box")


def _predicted(session: Session, truth: Reference, roundoff: float) -> dict[str, Any] | None:
    """The best step and the error there by theory; nothing for a scheme that chooses its steps as it goes."""
    options = vars(session.backend)
    if session.backend.family == "complex-step":
        made = COMPLEX_STEP
    elif options.get("scheme") in ("central", "forward", "backward"):
        made = quotient(options["scheme"], options.get("order"))
    else:
        return None
    variables = [np.abs(np.asarray(session.leaves[k], np.float64)).ravel() for k in session.source.wrt]
    magnitude = float(np.median(np.maximum(np.concatenate(variables), 1.0)))
    known = np.concatenate([part[np.isfinite(part)] for part in truth.high])
    norm = float(np.linalg.norm(known))
    step = made.step(roundoff)
    error = made.error(step, roundoff) / magnitude
    # each coordinate errs by that share of the loss; without a difference, by that share of itself
    scale = abs(truth.value) * math.sqrt(known.size) / norm if made.rounding else 1.0
    found = {"step": step * magnitude, "error": error * scale if norm else None, "order": made.order}
    return {**found, "flat": not made.rounding}
