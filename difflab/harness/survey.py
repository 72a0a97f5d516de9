"""Forecasts of all cases of a block in one worker: their problem is built once, and nothing is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import UnavailableError, UnsupportedError
from . import catalogue, limits, memory
from .durations import Durations
from .foreseen import foresee, over_limit
from .operation import Operation
from .session import Speaker, source_of


def survey(
    channel: Speaker, command: dict[str, Any], verdict: Callable[[BaseException], tuple[str, str]]
) -> dict[str, Any]:
    """Forecast the cases of one problem, size and dtype.

    Args:
        channel: is told each forecast as soon as it is made, so that a case which kills the worker spoils no other.
        command: ``specs`` of the cases, the ``speeds`` of the machine, ``seconds`` and ``memory`` that one may take,
            ``limited``: whether the study refuses what is over them.
        verdict: the outcome and reason of an exception.

    Returns:
        ``build_s``, ``n_params``, ``primal_s`` and ``reference_s`` (forecasts, ``None`` where there is no tape), and
        under ``cases`` one forecast per spec, each with ``outcome`` ("runs", or as that of a case) and ``reason``.
    """
    channel.phase("build")
    spec, prices = command["specs"][0], Durations(command["speeds"])
    start = time.perf_counter()
    instance = catalogue.problem_of(spec).build(spec["size"], spec["dtype"], spec["seed"])
    shared = {"build_s": time.perf_counter() - start, "n_params": instance.n_params}
    shared |= {"primal_s": None, "reference_s": None}
    limits.limit_memory(command.get("memory"), memory.status("VmData"))
    try:
        made = source_of(instance)
        shared |= {"primal_s": prices.plain(made.tape), "reference_s": _reference(made, spec["operator"])}
    except Exception as fault:  # a black box, or an operator without a tape; every case says so for itself
        shared["why"] = limits.shorten(str(fault))
    channel.say("partial", data=shared)
    found = []
    for position, one in enumerate(command["specs"]):
        channel.phase("forecast")
        found.append(_case(one, instance, prices, command, verdict))
        channel.say("partial", data={str(position): found[-1]})
    return {**shared, "cases": found}


def _case(
    spec: dict[str, Any],
    instance: Any,
    prices: Durations,
    command: dict[str, Any],
    verdict: Callable[[BaseException], tuple[str, str]],
) -> dict[str, Any]:
    """The forecast of one case, by a backend that has not seen the others."""
    from ..backends.ways import how

    found: dict[str, Any] = {"family": None}
    try:
        backend = catalogue.find_backend(spec["backend"], spec["options"])
        found["family"] = backend.family
        if (missing := backend.unavailable()) is not None:
            raise UnavailableError(missing)
        if (way := how(backend, spec["operator"])).kind == "refused":
            raise UnsupportedError(f"backend {spec['backend']!r} cannot do operator {spec['operator']!r}: {way.reason}")
        known = prices if spec.get("device", "cpu") == "cpu" else None  # they are the processor's
        found |= foresee(Operation(spec["operator"], source_of(instance)), backend, known)
    except Exception as fault:
        outcome, reason = verdict(fault)
        return {**found, "outcome": outcome, "reason": reason}
    why = over_limit(found, command.get("seconds"), command.get("memory")) if command["limited"] else None
    return {**found, "outcome": "runs" if why is None else "skipped_predicted", "reason": why or ""}


def _reference(made: Any, operator: str) -> float:
    """Seconds that certifying takes at its first precision."""
    from ..execution.exact import forecast_seconds
    from .certify import derivative_tape

    return forecast_seconds(derivative_tape(made.tape, made.wrt, operator)[0])
