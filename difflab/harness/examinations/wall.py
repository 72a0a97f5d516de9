"""The Jacobian wall: the Jacobians of one layer formed up to a limit, forecast beyond it, beside the implicit product.

A layer has a Jacobian for each of its variables.  The product is the one that the backend gives with the fewest passes:
a cotangent times the Jacobian (vjp) for what goes backward, the Jacobian times a tangent (jvp) for what goes forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import amounts, limits, memory, timing
from . import block_structure

if TYPE_CHECKING:
    from ...backends.protocol import Source
    from ...problems.record import Instance, Problem
    from ..operation import Operation
    from ..session import Session

STRUCTURED = 1 << 22  # entries of the largest Jacobian whose structure is searched
SLOW = 0.3  # seconds; what takes longer is timed once


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Form the Jacobians of the open layer as far as memory and time allow, and measure its products beside them.

    Args:
        session: with the case open; its loss is a layer, its first argument a dict of the layer's variables.
        command: ``settings`` (``repeats``, ``pictured``, ``seconds``).

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: ``layer`` (a title), ``size`` (its dimensions),
        ``limit`` in bytes, and ``parts``, one for each variable.  A part holds ``variable``, ``out`` and ``into``
        (shapes), ``entries``, ``array_bytes`` (of the Jacobian, from shapes and dtype), ``plan_bytes`` and ``flops``
        (what the backend forecasts), ``way`` (vjp or jvp); ``product`` with ``bytes`` and ``seconds``; ``jacobian``
        with ``outcome`` and ``reason``, and where it was formed ``bytes``, ``seconds``, ``product_seconds`` (what the
        product with it takes), ``difference`` of the two products, ``zeros`` (a count), ``structure`` and, where it
        is small, ``matrix``.
    """
    from .. import catalogue

    problem = catalogue.find_problem(session.spec["problem"])
    size = dict(problem.sizes[session.spec["size"]])
    _warm_up(session, problem)
    parts = [_part(session, name, command) for name in session.instance.args[0]]
    findings = {"layer": problem.title, "size": size, "limit": session.allowed_bytes, "parts": parts}
    return {"outcome": "ok", "reason": "", "certified": "no: two ways are compared", "findings": findings}


def _warm_up(session: Session, problem: Problem) -> None:
    """Everything once with the layer at its smallest: what is imported and compiled for it should count nowhere."""
    from ..operation import Operation

    session.channel.phase("warm up")
    least = problem.build(next(iter(problem.sizes)), session.spec["dtype"], session.spec["seed"])
    for name in least.args[0]:
        made = _source(least, name)
        for operation in (_product(session, made)[1], Operation("jacobian", made)):
            operation.result(operation.prepare(session.backend))


def _source(instance: Instance, name: str) -> Source:
    """The layer as a function of one of its variables."""
    from ...operators import source

    params, *data = instance.args
    return source(lambda variable: instance.loss({**params, name: variable}, *data), (params[name],), {}, 0)


def _part(session: Session, name: str, command: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of the Jacobian by one variable."""
    settings, variable = command["settings"], session.instance.args[0][name]
    made = _source(session.instance, name)
    out = made.tape.avals[made.tape.outputs[0]]
    way, product = _product(session, made)
    repeats = settings["repeats"]
    session.channel.phase(f"product by {name}")
    implicit, cost = _measured(session, product, repeats)
    found = {
        "variable": name,
        "out": list(out.shape),
        "into": list(variable.shape),
        "entries": math.prod(out.shape) * variable.size,
        "way": way,
        "product": cost,
    }
    session.channel.phase(f"jacobian by {name}")
    return found | _jacobian(session, made, product, np.asarray(implicit[0]), repeats, settings)


def _product(session: Session, made: Source) -> tuple[str, Operation]:
    """The product that takes the fewer passes, along random vectors of unit length."""
    from ..operation import Operation

    seed, backend = session.spec["seed"], session.backend
    ways = {way: Operation.drawn(way, made, seed) for way in ("vjp", "jvp")}
    way = min(ways, key=lambda one: ways[one].predict(backend).primal_calls)
    return way, ways[way]


def _measured(session: Session, operation: Operation, repeats: int) -> tuple[Any, dict[str, Any]]:
    """The result of an operation, with the peak of memory of preparing and running it, and the seconds of a run.

    The first run is measured by its peak, and its seconds count only where it is slow or nothing is repeated.
    """
    baseline = memory.resident()
    prepared: list[Any] = []

    def first() -> tuple[float, Any]:
        prepared.append(operation.prepare(session.backend))
        return timing.timed(lambda: operation.result(prepared[0]))

    peak, both = memory.peak_during(first, baseline)
    seconds, result = cast(tuple[float, Any], both)
    if seconds < SLOW and repeats > 1:
        spent = []
        for _ in range(repeats):
            result = None  # so that two of them never take memory at once
            seconds, result = timing.timed(lambda: operation.result(prepared[0]))
            spent.append(seconds)
        seconds = float(np.median(spent))
    return result, {"bytes": peak, "seconds": seconds}


def _jacobian(
    session: Session, made: Source, product: Operation, implicit: np.ndarray, repeats: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The forecast of the Jacobian, and the Jacobian itself where the forecast allows it."""
    from ..operation import Operation

    operation = Operation("jacobian", made)
    forecast = operation.predict(session.backend)
    array = sum(math.prod(one.shape) * one.dtype.itemsize for one in operation.expected)
    found: dict[str, Any] = {"array_bytes": array, "plan_bytes": int(forecast.nbytes), "flops": float(forecast.flops)}
    needed, allowed = max(array, int(forecast.nbytes)), session.allowed_bytes
    seconds = forecast.primal_calls * min(timing.timed(lambda: made.call(made.example))[0] for _ in range(2))
    if allowed is not None and needed > allowed:
        why = f"the forecast needs {amounts.size(needed)}; the limit is {amounts.size(allowed)}"
        return found | {"jacobian": {"outcome": "skipped_predicted", "reason": why}}
    if seconds > settings["seconds"]:
        why = f"the forecast is {amounts.duration(seconds)}; the limit is {amounts.duration(settings['seconds'])}"
        return found | {"jacobian": {"outcome": "skipped_predicted", "reason": why}}
    try:
        formed = _formed(session, operation, product, implicit, repeats, settings)
    except MemoryError as fault:
        why = limits.shorten(str(fault)) or "MemoryError: the memory limit was reached"
        return found | {"jacobian": {"outcome": "memory_limit", "reason": why}}
    return found | {"jacobian": {"outcome": "ok", "reason": "", **formed}}


def _formed(
    session: Session, operation: Operation, product: Operation, implicit: np.ndarray, repeats: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Form it, measure it, multiply it, look at its zeros."""
    blocks, cost = _measured(session, operation, repeats)
    jacobian = np.asarray(blocks[0])
    vector = np.asarray(product.vectors[0])
    backward = product.operator == "vjp"
    rank = vector.ndim if backward else jacobian.ndim - vector.ndim
    matrix = jacobian.reshape(math.prod(jacobian.shape[:rank]), -1)
    flat = vector.ravel()
    seconds, explicit = timing.timed(lambda: flat @ matrix if backward else matrix @ flat)
    apart = np.linalg.norm(np.subtract(explicit, implicit.ravel(), dtype=np.float64))
    length = float(np.linalg.norm(implicit.astype(np.float64)))
    found = {**cost, "product_seconds": seconds, "difference": float(apart) / length if length else float(apart)}
    found["zeros"] = block_structure.count_zeros(matrix)
    if matrix.size <= STRUCTURED:
        slack = math.sqrt(float(np.finfo(jacobian.dtype).eps))
        found["structure"] = block_structure.to_json(block_structure.structure(jacobian, rank, slack))
    if matrix.size <= settings["pictured"]:
        found["matrix"] = [[float(f"{entry:.6g}") for entry in row] for row in matrix]
    return found
