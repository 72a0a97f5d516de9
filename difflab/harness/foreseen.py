"""What a case will cost, forecast from its tape, and whether that is over a limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..backends.protocol import Backend
from . import amounts
from .durations import Durations
from .operation import Operation


def foresee(
    operation: Operation, backend: Backend, prices: Durations | None, primal_s: float | None = None
) -> dict[str, Any]:
    """The forecast of one case, as it is stored.

    Args:
        operation: the operator at a point.
        backend: what computes it.
        prices: of this machine; ``None`` where it was not calibrated.
        primal_s: seconds of the loss where they were measured; a backend that does not say what it runs is taken to
            run the loss.

    Returns:
        ``predicted_bytes``, ``predicted_calls``, ``predicted_flops``; ``predicted_s`` to prepare and run once,
        ``predicted_prepare_s`` and ``predicted_call_s``, each ``None`` where it is unknown or infinite.
    """
    cost = operation.predict(backend)
    data: dict[str, Any] = {
        "predicted_bytes": int(cost.nbytes),
        "predicted_calls": _finite(cost.primal_calls),
        "predicted_flops": _finite(cost.flops),
        "predicted_prepare_s": None,
        "predicted_call_s": None,
    }
    known = not math.isnan(cost.seconds)
    spent = None if prices is None else prices.spent(cost, operation.source.tape)
    if spent is not None:
        once = spent.prepare + spent.first
        data |= {"predicted_prepare_s": _finite(spent.prepare), "predicted_call_s": _finite(spent.call)}
    else:
        if primal_s is None and prices is not None:
            primal_s = prices.plain(operation.source.tape)
        once = cost.seconds if known else math.nan if primal_s is None else cost.primal_calls * primal_s
    evaluation = None
    if not known and cost.primal_calls > 0:
        evaluation = primal_s if spent is None else spent.call / cost.primal_calls
    return {**data, "predicted_s": _finite(once), "evaluation_s": evaluation}


def over_limit(found: Mapping[str, Any], seconds: float | None, memory: float | None) -> str | None:
    """Why a case is not worth starting.

    Args:
        found: its forecast.
        seconds: that it may take to prepare and run once; ``None`` for any.
        memory: bytes that it may need; ``None`` for any.

    Returns:
        A sentence with the figures, or ``None``.

    >>> found = {"predicted_s": 900.0, "predicted_bytes": 10, "predicted_calls": 9e4, "evaluation_s": 0.01}
    >>> over_limit(found, 10, None)
    'the forecast is 900 s to prepare and run once (90 000 evaluations of 10 ms); the limit is 10 s'
    >>> over_limit(found | {"predicted_s": None, "predicted_calls": None}, 10, None)[:55]
    'the forecast is an endless time to prepare and run once'
    """
    patience, room = (math.inf if limit is None else limit for limit in (seconds, memory))
    once, nbytes = found["predicted_s"], found["predicted_bytes"]
    once = math.inf if once is None and seconds is not None and found["evaluation_s"] is not None else once
    if once is not None and once > patience:
        time = amounts.duration(once) if math.isfinite(once) else "an endless time"
        each, number = found["evaluation_s"], found["predicted_calls"]
        if each is None:
            calls = ""
        elif number is None or not math.isfinite(number):
            calls = f" (more evaluations than can be counted, of {amounts.duration(each)} each)"
        else:
            calls = f" ({amounts.count(number)} evaluations of {amounts.duration(each)})"
        also = f"; it also needs {amounts.size(nbytes)}, and may take {amounts.size(room)}" if nbytes > room else ""
        return f"the forecast is {time} to prepare and run once{calls}; the limit is {amounts.duration(patience)}{also}"
    if nbytes > room:
        return f"the forecast needs {amounts.size(nbytes)}; the limit is {amounts.size(room)}"
    return None


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None
