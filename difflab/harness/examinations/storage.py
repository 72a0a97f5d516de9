"""What one way to a gradient keeps in memory, and what that costs in time, beside the loss itself.

Memory comes before any clock, and every number of it from a call of its own.  Times are ratios: a call and the plain
loss take turns in one process, so that what slows the machine down slows both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...operators import source
from .. import memory
from ..catalogue import find_problem
from ..finite_loss import LossError, fault_of_loss
from ..operation import Operation
from .turns import take_turns

if TYPE_CHECKING:
    from ..session import Session

QUICK_PART = 0.25
NOTES = (
    "checkpoints", "levels", "kept_bytes", "recomputed_equations", "memory_limit", "buffer_bytes", "tape_length"
)  # fmt: skip


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Measure memory and time of the open case's gradient, or of one pass where a gradient takes very many.

    Args:
        session: with the case open.
        command: ``settings``, the fields of ``study_kinds.Storage``, and ``quick``.

    Returns:
        ``outcome``, ``reason``, ``certified``, columns of bytes and ``findings``: ``depth``; ``of``, which is
        "gradient", "pass" (one directional derivative) or "loss" (by backend null); ``passes`` of a gradient;
        ``peak_bytes`` of one call above what the process held before it and ``kept_before`` it by preparing;
        ``array_bytes``, ``planned_bytes``; ``value_bytes``, those of the largest value of the loss; medians
        ``seconds`` and ``loss_seconds`` and ``ratio``, with its interval ``ratio_low`` and ``ratio_high``, of
        ``pairs``; and the backend's notes on its checkpoints.

    Raises:
        LossError: the loss is not finite.
    """
    settings, channel = command["settings"], session.channel
    loss, arguments = session.instance.loss, session.instance.args
    value = loss(*arguments)
    if (fault := fault_of_loss(value, session.leaves, session.source.names)) is not None:
        raise LossError(fault)
    depth = _depth(session)
    if depth is None:
        reason = f"size {session.spec['size']!r} of problem {session.spec['problem']!r} has no number called 'depth'"
        return {"outcome": "unsupported", "reason": reason, "findings": None}
    channel.phase("forecast")
    tape = session.source.tape
    operation, of, passes = _operation(session, settings["passes"])
    _rehearse(session, operation.operator)
    planned = int(operation.predict(session.backend).nbytes) if of != "loss" else None

    def primal() -> Any:
        return loss(*arguments)

    notes: dict[str, int] = {}

    def ready() -> Callable[[], Any]:
        if of == "loss":
            return primal
        prepared = operation.prepare(session.backend)
        notes.update({key: int(prepared.stats[key]) for key in NOTES if prepared.stats.get(key) is not None})
        return operation.call(session.backend, prepared)

    channel.phase("memory")
    before = memory.resident()
    call = ready()
    held = memory.resident()
    peak, _ = memory.peak_during(call, held)
    channel.phase("sample")
    part = QUICK_PART if command.get("quick") else 1.0
    times = _times(call, primal, part * settings["seconds"])
    del call
    channel.phase("memory")
    fresh = ready()
    found = {
        "depth": depth,
        "of": of,
        "passes": passes,
        "peak_bytes": peak,
        "kept_before": None if before is None or held is None else max(0, held - before),
        "array_bytes": memory.arrays_during(fresh),
        "planned_bytes": planned,
        "value_bytes": max((tape.avals[equation.output].nbytes for equation in tape.equations), default=0),
        **times,
        **notes,
    }
    columns = {"peak_bytes": peak, "array_bytes": found["array_bytes"], "predicted_bytes": planned}
    return {"outcome": "ok", "reason": "", "certified": "nothing is graded", **columns, "findings": found}


def _depth(session: Session) -> int | None:
    """The depth among the dimensions of the case's size."""
    return find_problem(session.spec["problem"]).sizes[session.spec["size"]].get("depth")


def _operation(session: Session, most: int) -> tuple[Operation, str, float]:
    """What is measured: the gradient, one directional derivative where a gradient takes more passes, or the loss."""
    backend, seed = session.backend, session.spec["seed"]
    whole = Operation.drawn("gradient", session.source, seed)
    if backend.family == "null":
        return whole, "loss", 1.0
    passes = float(whole.predict(backend).primal_calls)
    if passes <= most or "jvp" not in backend.capabilities:
        return whole, "gradient", passes
    return Operation.drawn("jvp", session.source, seed), "pass", passes


def _rehearse(session: Session, operator: str) -> None:
    """Do the same to a loss of one equation, so that what is imported on the way is not charged to the case."""

    def analytic(x: Any) -> Any:
        return np.sum(x * x), 2 * x

    with contextlib.suppress(Exception):  # what fails here fails with the case itself, and is reported there
        small = source(lambda x: np.sum(x * x), (np.ones(2),), {}, 0, analytic)
        operation = Operation.drawn(operator, small, 0)
        operation.result(operation.prepare(session.backend))


def _times(call: Callable[[], Any], primal: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Medians of a call, of the loss and of their ratio; they take turns for about so many seconds."""
    found = take_turns(call, primal, seconds)._asdict()
    return {"seconds": found.pop("seconds"), "loss_seconds": found.pop("other_seconds"), **found}
