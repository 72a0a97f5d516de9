"""Expression swell: the operations of a gradient written out, shared and on the reverse tape, and what each costs.

Operations are counted as SymPy counts them: one for a sum, a product, a quotient or a function of two numbers or one,
on the tape as in expressions, so that the counts may be compared; moving and copying are none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import transforms
from ...errors import ForecastError, UnsupportedError
from ...execution.swell import FREE, WRITTEN
from ...tape import Equation, Tape
from .. import accuracy, catalogue, limits, timing
from ..finite_loss import LossError, fault_of_loss
from ..session import CERTIFIED_LENGTH

if TYPE_CHECKING:
    from ..session import Session

LEAST_SAMPLE_S = 2e-3
SAMPLES = 5


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Derive and compile the gradient of the open case phase by phase, count its operations and grade it.

    Args:
        session: with the case open; its backend is symbolic differentiation or reverse mode.
        command: ``reference`` (a path, or ``None`` and ``why``) and ``settings``, with ``evaluations``.

    Returns:
        ``outcome``, ``reason``, the grades of ``accuracy.judge`` and ``findings``: ``way`` ("tree", "shared", "graph"
        or "tape"), ``shape`` (the dimensions of the size), ``loss`` and ``gradient`` (of value and gradient together),
        each with the counts ``equations`` and ``tape`` of the tape and, where expressions were made, ``tree``, ``dag``
        and, shared, ``cse`` (of a graph ``graph`` instead); ``forecast`` with ``operations`` and ``seconds``, of
        expressions; ``times`` with ``build``, ``differentiate``, ``compile`` and ``evaluate`` in seconds, the last for
        one evaluation, and ``loss_s``, one evaluation of the loss.  What was refused by forecast has no ``times``.

    Raises:
        LossError: the loss is not finite.
        UnsupportedError: the backend makes neither expressions nor a tape.
    """
    backend = session.backend
    if backend.family not in ("symbolic", "reverse"):
        raise UnsupportedError(f"backend {backend.name!r} makes neither expressions nor a reverse tape to count")
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
        prepared, times = (_expressions if backend.family == "symbolic" else _tape)(session, findings)
    except ForecastError as fault:
        return {"outcome": "skipped_predicted", "reason": limits.shorten(str(fault)), "findings": findings}
    session.channel.phase("evaluate")
    times["evaluate"] = _median(lambda: prepared.value_and_gradient(session.leaves))
    arguments = session.instance.args
    findings |= {"times": times, "loss_s": _median(lambda: session.instance.loss(*arguments))}
    return {**_graded(session, command, prepared), "findings": findings}


def operations(tape: Tape) -> int:
    """The operations of a tape on single numbers, counted as in expressions.

    Args:
        tape: of any function.

    Returns:
        How many; what only moves numbers counts nothing.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> operations(trace_leaves(lambda leaves: [np.sum(np.tanh(leaves[0] @ leaves[0]))], [np.ones((2, 2))]))
        19
    """
    return sum(_operations(tape, equation) for equation in tape.equations)


def _operations(tape: Tape, equation: Equation) -> int:
    primitive, name = equation.primitive, equation.primitive.name
    first, size = tape.avals[equation.inputs[0]] if equation.inputs else None, tape.avals[equation.output].size
    if first is None or name in FREE or primitive.view:
        return 0
    if name == "matmul":
        return size * (2 * first.shape[-1] - 1)
    if name in ("sum", "max", "min"):
        return first.size - size
    if primitive.kind == "elementwise" or name == "integer_power":
        return size * WRITTEN.get(name, 1)
    avals = [tape.avals[number] for number in equation.inputs]
    return round(primitive.flops(avals, tape.avals[equation.output], **equation.params))


def _tapes(session: Session) -> dict[str, Any]:
    """What is known of every case: its dimensions, and the tapes of the loss and of value and gradient."""
    spec, source = session.spec, session.source
    first = transforms.simplify(source.tape)
    both = transforms.simplify(transforms.gradient(source.tape, source.wrt))
    cse = vars(session.backend).get("cse")
    graph = session.backend.family == "symbolic" and session.backend.resolved_way() == "dag"
    return {
        "way": "tape" if cse is None else "graph" if graph else "shared" if cse else "tree",
        "shape": dict(catalogue.find_problem(spec["problem"]).sizes[spec["size"]]),
        "loss": {"equations": len(first), "tape": operations(first)},
        "gradient": {"equations": len(both), "tape": operations(both)},
    }


def _expressions(session: Session, findings: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Expressions as the backend derives and compiles them; their counts are added to the findings."""
    prepared = session.backend.prepare(session.source, "value_and_gradient", session.leaves)
    stats = prepared.stats
    if findings["way"] == "graph":  # other expressions than those of SymPy, which are counted apart
        findings["loss"] |= {"graph": stats["symbolic_ops_value_dag"]}
        findings["gradient"] |= {"graph": stats["symbolic_ops_dag"]}
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


def _tape(session: Session, findings: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Reverse mode: record, append the adjoint equations, generate the program (which appends them again)."""
    source = session.source
    build_s, tape = timing.timed(source.trace)
    reverse_s, _ = timing.timed(lambda: transforms.simplify(transforms.gradient(tape, source.wrt)))
    prepare_s, prepared = timing.timed(lambda: session.backend.prepare(source, "value_and_gradient", session.leaves))
    return prepared, {"build": build_s, "differentiate": reverse_s, "compile": max(0.0, prepare_s - reverse_s)}


def _median(call: Callable[[], Any]) -> float:
    """Seconds of one call: the middle of several samples of many calls."""
    call()
    loops, _ = timing.calibrate(call, LEAST_SAMPLE_S)
    return statistics.median(timing.sample(call, loops) for _ in range(SAMPLES))


def _graded(session: Session, command: dict[str, Any], prepared: Any) -> dict[str, Any]:
    from ..reference import Reference

    truth = Reference.load(command["reference"]) if command.get("reference") else None
    result = prepared.value_and_gradient(session.leaves)[1]
    variables = [np.asarray(session.leaves[position]) for position in session.source.wrt]
    family, dtype = session.backend.family, session.spec["dtype"]
    found = accuracy.judge(result, variables, family, dtype, truth, command.get("why"))
    return {**found, "certified": limits.shorten(found["certified"], CERTIFIED_LENGTH)}
