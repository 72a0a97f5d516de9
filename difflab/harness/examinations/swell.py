"""Expression swell: the operations of a gradient as expressions, as a graph and in both modes, and what each costs.

All are counted alike, as ``swell_counts`` says.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import transforms
from ...errors import ForecastError, UnsupportedError
from .. import accuracy, catalogue, limits, timing
from ..finite_loss import LossError, fault_of_loss
from ..session import CERTIFIED_LENGTH
from .swell_counts import Passes, lean_operations, operations

if TYPE_CHECKING:
    from ...tape import Tape
    from ..session import Session

LEAST_SAMPLE_S = 2e-3
SAMPLES = 5
GRAPHS = ("graph", "graph-by-symbol")


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Derive and compile the gradient of the open case phase by phase, count its operations and grade it.

    Args:
        session: with the case open; its backend is symbolic differentiation, forward mode or reverse mode.
        command: ``reference`` (a path, or ``None`` and ``why``) and ``settings``, with ``evaluations``.

    Returns:
        ``outcome``, ``reason``, the grades of ``accuracy.judge`` and ``findings``: ``way`` ("tree", "shared", "graph",
        "graph-by-symbol", "forward" or "tape"), ``shape`` (the dimensions of the size), ``loss`` and ``gradient`` (of
        value and gradient together), each with the counts ``equations`` and ``tape`` of the loss and of the reverse
        tape, ``gradient`` also with ``tape_lean``, that tape less its operations on zeros and ones; where expressions
        were made, ``tree``, ``dag`` and, shared, ``cse``; of a graph, which has other expressions, ``graph`` or
        ``graph-by-symbol`` instead; in forward mode ``forward``, the operations of all passes of the program that it
        runs for the gradient, each of them with the loss, and ``forward_lean``, those without zeros and ones and the
        loss once; ``forecast`` with ``operations`` and ``seconds``, of expressions; ``times`` with ``build``,
        ``differentiate``, ``compile`` and ``evaluate`` in seconds, the last for one evaluation, and ``loss_s``, one
        evaluation of the loss.  What was refused by forecast has no ``times``.

    Raises:
        LossError: the loss is not finite.
        UnsupportedError: the backend makes neither expressions nor a tape.
    """
    backend = session.backend
    if backend.family not in PHASED:
        raise UnsupportedError(f"backend {backend.name!r} makes neither expressions nor a tape of its own to count")
    value = session.instance.loss(*session.instance.args)
    if (fault := fault_of_loss(value, session.leaves, session.source.names)) is not None:
        raise LossError(fault)
    findings = _tapes(session) | {"evaluations": command["settings"]["evaluations"]}
    if backend.family == "symbolic":
        cost = backend.predict(session.source.tape, "gradient", session.source.wrt)
        findings["forecast"] = {"operations": cost.flops, "seconds": cost.seconds}
    session.channel.say("partial", data={"findings": findings})  # what is known if a limit ends it here
    session.channel.phase("prepare")
    try:
        prepared, times = PHASED[backend.family](session, findings)
    except ForecastError as fault:
        return {"outcome": "skipped_predicted", "reason": limits.shorten(str(fault)), "findings": findings}
    session.channel.phase("evaluate")
    times["evaluate"] = _median(lambda: prepared.value_and_gradient(session.leaves))
    arguments = session.instance.args
    findings |= {"times": times, "loss_s": _median(lambda: session.instance.loss(*arguments))}
    return {**_graded(session, command, prepared), "findings": findings}


def _tapes(session: Session) -> dict[str, Any]:
    """What is known of every case: its dimensions, and the tapes of the loss and of value and gradient."""
    spec, source = session.spec, session.source
    first = transforms.simplify(source.tape)
    both = transforms.simplify(transforms.gradient(source.tape, source.wrt))
    return {
        "way": _way(session.backend),
        "shape": dict(catalogue.find_problem(spec["problem"]).sizes[spec["size"]]),
        "loss": {"equations": len(first), "tape": operations(first)},
        "gradient": {
            "equations": len(both),
            "tape": operations(both),
            "tape_lean": lean_operations(both, session.leaves),
        },
    }


def _way(backend: Any) -> str:
    """What the backend makes of the loss."""
    if backend.family != "symbolic":
        return "tape" if backend.family == "reverse" else backend.family
    if backend.resolved_way() == "dag":  # a loss is one root, so that "auto" begins there
        return "graph-by-symbol" if backend.order == "symbol" else "graph"
    return "shared" if backend.cse else "tree"


def _expressions(session: Session, findings: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Expressions as the backend derives and compiles them; their counts are added to the findings."""
    prepared = session.backend.prepare(session.source, "value_and_gradient", session.leaves)
    stats = prepared.stats
    if (way := findings["way"]) in GRAPHS:  # other expressions than those of SymPy, which are counted apart
        findings["loss"] |= {"graph": stats["symbolic_ops_value_dag"]}
        findings["gradient"] |= {way: stats["symbolic_ops_dag"]}
    else:
        findings["loss"] |= {"tree": stats["symbolic_ops_value"], "dag": stats["symbolic_ops_value_dag"]}
        findings["gradient"] |= {
            "tree": stats["symbolic_ops_value"] + stats["symbolic_ops_gradient"],
            "dag": stats["symbolic_ops_dag"],
            "cse": stats["symbolic_ops_cse"],
        }
    return prepared, {
        "build": stats["build_s"],
        "differentiate": stats["diff_s"],
        "compile": stats["compile_s"],
    }


def _reverse(session: Session, findings: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Reverse mode: record, append the adjoint equations, generate the program (which appends them again)."""
    return _mode(session, lambda tape: transforms.gradient(tape, session.source.wrt))


def _forward(session: Session, findings: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Forward mode, likewise with the tangent equations; the operations of its passes are added to the findings."""
    prepared, times = _mode(session, lambda tape: transforms.jvp(tape, session.source.wrt))
    passes = Passes(session.source, prepared.stats["chunk"])
    lean = passes.lean_operations(session.leaves)
    findings["gradient"] |= {"forward": passes.operations(), "forward_lean": lean}
    return prepared, times


def _mode(session: Session, appended: Callable[[Tape], Tape]) -> tuple[Any, dict[str, float]]:
    source = session.source
    build_s, tape = timing.timed(source.trace)
    append_s, _ = timing.timed(lambda: transforms.simplify(appended(tape)))
    prepare_s, prepared = timing.timed(lambda: session.backend.prepare(source, "value_and_gradient", session.leaves))
    return prepared, {"build": build_s, "differentiate": append_s, "compile": max(0.0, prepare_s - append_s)}


PHASED = {"symbolic": _expressions, "forward": _forward, "reverse": _reverse}


def _median(call: Callable[[], Any]) -> float:
    """Seconds of one call: the middle of several samples of many calls."""
    call()
    loops, _ = timing.calibrate(call, LEAST_SAMPLE_S)
    return statistics.median(timing.sample(call, loops) for _ in range(SAMPLES))


def _graded(session: Session, command: dict[str, Any], prepared: Any) -> dict[str, Any]:
    from ..reference import Reference

    truth = Reference.load(command["reference"], command.get("sha256")) if command.get("reference") else None
    result = prepared.value_and_gradient(session.leaves)[1]
    variables = [np.asarray(session.leaves[position]) for position in session.source.wrt]
    family, dtype = session.backend.family, session.spec["dtype"]
    found = accuracy.judge(result, variables, family, dtype, truth, command.get("why"))
    return {**found, "certified": limits.shorten(found["certified"], CERTIFIED_LENGTH)}
