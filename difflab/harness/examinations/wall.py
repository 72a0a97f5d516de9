"""The Jacobian wall: the product with the Jacobian of one layer in four ways, each as far as memory and time allow.

A layer has a Jacobian for each of its variables.  *Explicit*: the Jacobian is formed, and multiplied by a vector.  *In
chunks*: its rows or columns are computed as many at a time as a chunk holds, multiplied, and dropped; so a product in
the direction against the backend's own comes about (reverse mode: the Jacobian times a tangent, row by row; forward
mode and differences: a cotangent times the Jacobian, column by column).  *Implicit*: the product that the backend gives
with the fewest passes, a cotangent times the Jacobian (vjp) for what goes backward, the Jacobian times a tangent (jvp)
for what goes forward.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import memory, timing
from . import block_structure, compressed
from .trying import SLOW, again, refused, tried

if TYPE_CHECKING:
    from ...backends.protocol import Source
    from ...problems.record import Instance, Problem
    from ..operation import Operation
    from ..session import Session

STRUCTURED = 1 << 22  # entries of the largest Jacobian whose structure is searched
CHUNKS = (("lanes", "chunk"), ("chunks", "chunks"))  # what is said of chunks, and by which name a backend notes it


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Measure the products with the Jacobians of the open layer in the four ways, and forecast them all.

    Args:
        session: with the case open; its loss is a layer, its first argument a dict of the layer's variables.
        command: ``settings`` (``repeats``, ``pictured``, ``seconds``).

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: ``layer`` (a title), ``size`` (its dimensions),
        ``limit`` in bytes, and ``parts``, one for each variable.  A part holds ``variable``, ``out`` and ``into``
        (shapes), ``entries``, ``array_bytes`` (of the Jacobian, from shapes and dtype), ``plan_bytes`` and ``flops``
        (what the backend forecasts of forming it), ``way`` (vjp or jvp, of the implicit product).  ``product``, the
        implicit one, has ``plan_bytes``, ``bytes`` and ``seconds``.  ``chunked`` and ``jacobian`` have ``outcome`` and
        ``reason``, and where they were computed ``bytes`` and ``seconds``; ``chunked`` besides ``way``, ``plan_bytes``,
        ``flops``, and then ``lanes`` of a chunk, ``chunks`` and ``difference``: for a cotangent u and a tangent v, how
        far u (J v) is from (u J) v, one in chunks and the other implicit, relative to the length of the first;
        ``jacobian``: ``product_seconds`` (what the product with it takes), ``difference`` of that and the implicit
        product, ``zeros`` (a count), ``structure`` and, where it is small, ``matrix``; ``compressed``: see there.
    """
    from .. import catalogue

    problem = catalogue.find_problem(session.spec["problem"])
    size = dict(problem.sizes[session.spec["size"]])
    _warm_up(session, problem)
    parts = [_part(session, name, command) for name in session.instance.args[0]]
    findings = {"layer": problem.title, "size": size, "limit": session.allowed_bytes, "parts": parts}
    return {"outcome": "ok", "reason": "", "certified": "no: two ways are compared", "findings": findings}


def _warm_up(session: Session, problem: Problem) -> None:
    """Everything once with the layer at its smallest: what is imported and compiled for it should count nowhere.

    Nor should the work memory of BLAS, which it takes once and keeps: as much as a product with many columns needs.
    """
    from ..operation import Operation

    session.channel.phase("warm up")
    dtype = np.dtype(session.spec["dtype"])
    np.dot(np.ones((512, 512), dtype), np.ones((512, 4096), dtype))
    least = problem.build(next(iter(problem.sizes)), session.spec["dtype"], session.spec["seed"])
    for name in least.args[0]:
        made = _source(least, name)
        for operation in (*_products(session, made), Operation("jacobian", made)):
            operation.result(operation.prepare(session.backend))
        compressed.warm_up(session, made)


def _source(instance: Instance, name: str) -> Source:
    """The layer as a function of one of its variables."""
    from ...operators import source

    params, *data = instance.args
    return source(lambda variable: instance.loss({**params, name: variable}, *data), (params[name],), {}, 0)


def _part(session: Session, name: str, command: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of the Jacobian by one variable."""
    from ..operation import Operation

    settings, variable = command["settings"], session.instance.args[0][name]
    made = _source(session.instance, name)
    out = made.tape.avals[made.tape.outputs[0]]
    product, other = _products(session, made)
    session.channel.phase(f"product by {name}")
    result, cost = _measured(session, product, settings["repeats"], brief=True)
    implicit = np.asarray(result[0])
    found = {
        "variable": name,
        "out": list(out.shape),
        "into": list(variable.shape),
        "entries": math.prod(out.shape) * variable.size,
        "way": product.operator,
        "product": {"plan_bytes": int(product.predict(session.backend).nbytes), **cost},
    }
    primal = min(timing.timed(lambda: made.call(made.example))[0] for _ in range(2))
    session.channel.phase(f"product in chunks by {name}")
    found["chunked"] = _chunked(session, product, other, implicit, primal, settings)
    session.channel.phase(f"jacobian by {name}")
    found |= _jacobian(session, made, product, implicit, primal, settings)
    session.channel.phase(f"compressed jacobian by {name}")
    passes = math.prod(out.shape) if product.operator == "vjp" else variable.size
    forecast = Operation("jacobian", made).predict(session.backend)
    facts = compressed.Facts(made, product, implicit, passes, forecast, forecast.primal_calls * primal)
    return found | {"compressed": compressed.examine(session, facts, settings)}


def _products(session: Session, made: Source) -> tuple[Operation, Operation]:
    """The product that takes the fewer passes and the other one, along random vectors of unit length."""
    from ..operation import Operation

    seed, backend = session.spec["seed"], session.backend
    both = [Operation.drawn(way, made, seed) for way in ("vjp", "jvp")]
    few, many = sorted(both, key=lambda one: one.predict(backend).primal_calls)
    return few, many


def _measured(session: Session, operation: Operation, repeats: int, brief: bool) -> tuple[Any, dict[str, Any]]:
    """The result of an operation, with the peak of memory of preparing and running it, and the seconds of a run.

    The peak is that of the first run.  Where runs are ``brief`` it is counted in small pages and not timed; otherwise
    its seconds count, unless it turns out to be quick.
    """
    baseline = memory.resident()
    prepared: list[Any] = []

    def first() -> tuple[float, Any]:
        prepared.append(operation.prepare(session.backend))
        return timing.timed(lambda: operation.result(prepared[0]))

    with memory.small_pages() if brief else contextlib.nullcontext():
        peak, both = memory.peak_during(first, baseline)
    seconds, result = cast(tuple[float, Any], both)
    del both  # of two results one would be kept while the next is made
    if brief or (seconds < SLOW and repeats > 1):
        result = None  # so that two of them never take memory at once
        seconds, result = again(lambda: operation.result(prepared[0]), seconds, repeats)
    chunks = {name: prepared[0].stats[key] for name, key in CHUNKS if key in prepared[0].stats}
    return result, {"bytes": peak, "seconds": seconds, **chunks}


def _chunked(
    session: Session, product: Operation, other: Operation, implicit: np.ndarray, primal: float,
    settings: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The product in the other direction, for which the Jacobian is gone through chunk by chunk."""
    forecast = other.predict(session.backend)
    seconds = forecast.primal_calls * primal

    def compute() -> dict[str, Any]:
        result, cost = _measured(session, other, settings["repeats"], seconds < SLOW)
        found = np.asarray(result[0])
        one = float(np.vdot(product.vectors[0], found).real)
        two = float(np.vdot(other.vectors[0], implicit).real)
        length = float(np.linalg.norm(found.astype(np.float64)))
        return {**cost, "difference": abs(one - two) / length if length else abs(one - two)}

    why = refused(session.allowed_bytes, int(forecast.nbytes), seconds, settings)
    about = {"way": other.operator, "plan_bytes": int(forecast.nbytes), "flops": float(forecast.flops)}
    return about | tried(compute, why)


def _jacobian(
    session: Session, made: Source, product: Operation, implicit: np.ndarray, primal: float,
    settings: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The forecast of the Jacobian, and the Jacobian itself where the forecast allows it."""
    from ..operation import Operation

    operation = Operation("jacobian", made)
    forecast = operation.predict(session.backend)
    array = sum(math.prod(one.shape) * one.dtype.itemsize for one in operation.expected)
    seconds = forecast.primal_calls * primal
    why = refused(session.allowed_bytes, max(array, int(forecast.nbytes)), seconds, settings)
    formed = tried(lambda: _formed(session, operation, product, implicit, settings, seconds < SLOW), why)
    return {
        "array_bytes": array, "plan_bytes": int(forecast.nbytes), "flops": float(forecast.flops), "jacobian": formed
    }  # fmt: skip


def _formed(
    session: Session, operation: Operation, product: Operation, implicit: np.ndarray, settings: Mapping[str, Any],
    brief: bool,
) -> dict[str, Any]:  # fmt: skip
    """Form it, measure it, multiply it, look at its zeros."""
    blocks, cost = _measured(session, operation, settings["repeats"], brief)
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
