"""Shapes of derivatives, map by map: of the gradient, of the Jacobian in both layouts, and whether they are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DifflabError
from .. import limits

if TYPE_CHECKING:
    from ...maps_ranks import Map
    from ..session import Session

PICTURED = 300  # entries of the largest Jacobian that is kept
CHECKS = ("gradient", "numerator", "denominator", "transposed", "entries")
WEIGHTS = 7  # a stream of random numbers of its own


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Ask the open case's backend for the derivatives of each map of the family that is its size.

    Args:
        session: with a case of ``difflab.maps_ranks:RANKS`` open.
        command: nothing that matters here.

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: ``maps``, a list in the order of the family.  Each
        holds ``name``, ``formula``, ``variable`` and ``out`` (shapes), the shapes of ``gradient``, ``numerator`` and
        ``denominator`` as they came (``None`` where nothing came), ``holds`` with a truth value for each of
        ``CHECKS``, ``error`` (of the Jacobian) and ``gradient_error``, relative to the largest entry, ``why`` of an
        error, and where they are small ``arguments`` and both Jacobians in ``pictures``.
    """
    from ...maps_ranks import FAMILIES

    dtype, seed = session.spec["dtype"], session.spec["seed"]
    maps = [look(one, session.backend, dtype, seed) for one in FAMILIES[session.spec["size"]]]
    wrong = [one["name"] for one in maps if one["why"] == "" and not all(one["holds"].values())]
    outcome, reason = ("invalid", f"it does not hold for {', '.join(wrong)}") if wrong else ("ok", "")
    findings = {"maps": maps}
    certified = "no: the Jacobians are derived by hand"
    return {"outcome": outcome, "reason": limits.shorten(reason), "certified": certified, "findings": findings}


def look(one: Map, backend: Any, dtype: str, seed: int) -> dict[str, Any]:
    """What one backend gives for one map.

    Args:
        one: the map.
        backend: a backend value.
        dtype: of its arguments.
        seed: of the point.

    Returns:
        An entry of ``maps``, see ``examine``.

    Example:
        >>> from difflab.backends import find
        >>> from difflab.maps_ranks import MAPS
        >>> look(MAPS["vector-by-vector"], find("reverse"), "float64", 0)["denominator"]
        [3, 2]
    """
    arguments = one.arguments(dtype, seed)
    variable, data = arguments[0], arguments[1:]
    out = np.shape(one.function(*arguments))
    truth = np.asarray(one.jacobian(*(np.asarray(given, np.float64) for given in arguments)))
    weights = np.asarray(np.random.default_rng([seed, WEIGHTS]).uniform(0.5, 1.5, out), dtype)
    found: dict[str, Any] = {
        "name": one.name, "formula": one.formula, "variable": list(variable.shape), "out": list(out),
        "gradient": None, "numerator": None, "denominator": None, "holds": dict.fromkeys(CHECKS, False),
        "error": None, "gradient_error": None, "why": "",
    }  # fmt: skip
    try:
        gradient, numerator, denominator = _asked(one.function, variable, data, weights, backend)
    except (DifflabError, ArithmeticError, ValueError, TypeError) as fault:  # a finding; the other maps go on
        return found | {"why": limits.shorten(f"{type(fault).__name__}: {fault}")}
    slope = np.tensordot(np.asarray(weights, np.float64), truth, len(out))
    for name, array in (("gradient", gradient), ("numerator", numerator), ("denominator", denominator)):
        found[name] = list(array.shape)
    found["error"], found["gradient_error"] = _error(numerator, truth), _error(gradient, slope)
    allowed = tolerance(backend.family, dtype)
    errors = (found["error"], found["gradient_error"])
    rank = variable.ndim
    turned = denominator
    if denominator.ndim >= rank:
        turned = np.moveaxis(denominator, range(rank), range(denominator.ndim - rank, denominator.ndim))
    found["holds"] = {
        "gradient": gradient.shape == variable.shape,
        "numerator": numerator.shape == (*out, *variable.shape),
        "denominator": denominator.shape == (*variable.shape, *out),
        "transposed": np.array_equal(turned, numerator),
        "entries": all(error is not None and error <= allowed for error in errors),
    }
    if truth.size <= PICTURED:
        found["arguments"] = [given.tolist() for given in arguments]
        found["pictures"] = {
            "numerator": _plain(numerator, len(out)),
            "denominator": _plain(denominator, rank),
        }
    return found


def tolerance(family: str, dtype: str) -> float:
    """The error that an entry may have, relative to the largest: some roundings, for differences two thirds of digits.

    Args:
        family: of the backend.
        dtype: of the arguments.

    Returns:
        A relative error.

    Example:
        >>> tolerance("finite", "float64") > 1e-9 > tolerance("reverse", "float64")
        True
    """
    eps = float(np.finfo(dtype).eps)
    return float(np.cbrt(eps)) if family == "finite" else 1e3 * eps


def _asked(
    function: Callable[..., Any], variable: np.ndarray, data: tuple[np.ndarray, ...], weights: np.ndarray, backend: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradient of the weighted sum of what comes out, and the Jacobian in both layouts."""
    from ...jacobians import jacobian
    from ...operators import gradient

    slope = gradient(lambda given: np.sum(weights * function(given, *data)), backend=backend)(variable)
    numerator, denominator = (
        jacobian(lambda given: function(given, *data), backend=backend, layout=layout)(variable)
        for layout in ("numerator", "denominator")
    )
    return np.asarray(slope), np.asarray(numerator), np.asarray(denominator)


def _error(found: np.ndarray, truth: np.ndarray) -> float | None:
    """The largest difference relative to the largest entry; nothing where the shapes differ or it is not finite."""
    if found.shape != truth.shape:
        return None
    error = float(np.max(np.abs(found - truth), initial=0.0) / (np.max(np.abs(truth), initial=0.0) or 1.0))
    return error if math.isfinite(error) else None


def _plain(array: np.ndarray, rank: int) -> list[list[float | None]]:
    """A tensor as a matrix, its first ``rank`` axes down, with six digits."""
    matrix = array.reshape(math.prod(array.shape[:rank]), -1)
    return [[float(f"{entry:.6g}") if math.isfinite(entry) else None for entry in row] for row in matrix]
