"""The second graph: what reverse mode appends to a tape, whether the first is left as it was, and further derivatives.

The derivative of order two is held against a certified Hessian-vector product.  Of every order above one the product
with the direction is held against the coefficient of a power series of the loss itself, which knows no derivative rule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import transforms
from ...errors import CertificateError, UndecidedError, UnsupportedError
from ...primitives.record import identity
from ...tape import Equation, Tape
from ...transforms.simplify import simplify
from .. import accuracy, limits
from ..finite_loss import LossError, fault_of_loss
from ..operation import Operation
from ..session import CERTIFIED_LENGTH
from . import nested_tapes

if TYPE_CHECKING:
    from ..session import Session

DRAWN = 48  # equations of a tape that is short enough to be drawn
TRUTH_SECONDS = 8.0
TOLERANCE = 1e-12  # of order two, as everywhere; ten times as much for every further order


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Compare the tapes before and after reverse mode, differentiate again, and check every derivative.

    Args:
        session: with the case open.
        command: ``reference`` (a path, or ``None`` and ``why``), ``settings`` with ``order``, and ``quick``, which
            leaves the highest order out.

    Returns:
        ``outcome``, ``reason``, the grades of ``accuracy.judge`` and ``findings``: ``recorded`` and ``simplified``,
        each with ``loss`` and ``whole`` (equations), ``same`` (how many of the loss lead the whole unchanged),
        ``flops`` and ``whole_flops``, and what is ``kept`` of the loss's equations once simplified; ``read``: how many
        values of these the appended ones read; ``primitives`` and ``appended``: how often each primitive occurs in
        either; ``drawn``: of a short tape the pairs of a primitive and the positions of the equations it reads, else
        ``None``; ``orders``: a list from order one, each with ``order``, and for ``reverse`` and ``forward`` the
        ``equations``, ``flops``, ``vector_error`` and ``series_error`` (``None`` where unknown), ``right``, ``why``.

    Raises:
        LossError: the loss is not finite.
    """
    source = session.source
    value = session.instance.loss(*session.instance.args)
    if (fault := fault_of_loss(value, session.leaves, source.names)) is not None:
        raise LossError(fault)
    findings = second_graph(source.tape, source.wrt)
    session.channel.say("partial", data={"findings": findings})  # what is known if a limit ends it here
    session.channel.phase("again")
    order = max(2, command["settings"]["order"] - (1 if command["quick"] else 0))
    findings["orders"] = _again(session, order)
    judged = _graded(session, command)
    wrong = [
        f"order {one['order']} by {mode} mode"
        for one in findings["orders"]
        for mode in ("reverse", "forward")
        if one[mode]["right"] is False
    ]
    if wrong and judged["outcome"] == "ok":
        judged |= {"outcome": "invalid", "reason": f"wrong: {', '.join(wrong)}"}
    return {**judged, "findings": findings}


# ------------------------------------------------------------------------------------------------ the second graph


def second_graph(tape: Tape, wrt: Sequence[int]) -> dict[str, Any]:
    """What reverse mode does to a tape, as it records it and once simplified.

    Args:
        tape: a loss.
        wrt: positions of the inputs to differentiate.

    Returns:
        All findings of ``examine`` but ``orders``.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> found = second_graph(trace_leaves(lambda leaves: [np.sin(leaves[0]) * leaves[0]], [1.0]), (0,))
        >>> found["simplified"]["loss"], found["simplified"]["same"], found["appended"]
        (2, 2, {'add': 1, 'cos': 1, 'multiply': 2})
    """
    whole = transforms.gradient(tape, wrt)
    before, after = simplify(tape), simplify(whole)
    # the simplifier keeps the numbers of values, so what is left of the loss's equations is known by them
    of_loss = {equation.output for equation in whole.equations[: len(tape)]}
    first = [equation for equation in after.equations if equation.output in of_loss]
    added = [equation for equation in after.equations if equation.output not in of_loss]
    made = {equation.output for equation in first}
    return {
        "recorded": _lengths(tape, whole),
        "simplified": {**_lengths(before, after), "kept": len(first)},
        "read": len(made.intersection(number for equation in added for number in equation.inputs)),
        "primitives": dict(sorted(Counter(equation.primitive.name for equation in first).items())),
        "appended": dict(sorted(Counter(equation.primitive.name for equation in added).items())),
        "drawn": _drawn(after, len(first)),
    }


def _lengths(tape: Tape, whole: Tape) -> dict[str, Any]:
    return {
        "loss": len(tape),
        "whole": len(whole),
        "same": leading(tape, whole),
        "flops": tape.flops,
        "whole_flops": whole.flops,
    }


def leading(first: Tape, second: Tape) -> int:
    """How many leading equations of two tapes are the same but for the numbers of their values.

    Args:
        first: a tape.
        second: another, with at least the same inputs.

    Returns:
        The length of the common beginning.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> one = trace_leaves(lambda leaves: [np.sin(leaves[0]) + 1.0], [1.0])
        >>> leading(one, transforms.gradient(one, (0,))), len(one)
        (2, 2)
    """
    names = dict(zip(first.inputs, second.inputs, strict=False))
    unused = _given(second)
    for number, meaning in _given(first).items():  # a number of Python's may stand there twice: in their order
        found = next((other for other, known in unused.items() if known == meaning), None)
        if found is not None:
            names[number] = found
            del unused[found]
    for position, (one, other) in enumerate(zip(first.equations, second.equations, strict=False)):
        if not _alike(one, other, names):
            return position
        names[one.output] = other.output
    return min(len(first), len(second))


def _alike(one: Equation, other: Equation, names: Mapping[int, int]) -> bool:
    """The same primitive with the same parameters of values that correspond."""
    same = one.primitive is other.primitive and identity(one.params) == identity(other.params)
    return same and [names.get(number) for number in one.inputs] == list(other.inputs)


def _given(tape: Tape) -> dict[int, tuple]:
    """Constants and literals by what they are: a constant is the same object, a literal the same bits."""
    constants = {number: ("constant", id(value)) for number, value in tape.constants.items()}
    literals = {n: (type(v).__name__, repr(v), tape.avals[n].dtype.str) for n, v in tape.literals.items()}
    return {**constants, **literals}


def _drawn(tape: Tape, border: int) -> list[Any] | None:
    """The equations of a short tape: name and the positions of the equations that each reads."""
    if len(tape) > DRAWN or border == 0:
        return None
    places = {equation.output: position for position, equation in enumerate(tape.equations)}
    return [
        [equation.primitive.name, sorted({places[number] for number in equation.inputs if number in places})]
        for equation in tape.equations
    ]


# ------------------------------------------------------------------------------------------------ again and again


def _again(session: Session, order: int) -> list[dict[str, Any]]:
    """Derivatives of order one to ``order``: lengths, and how far each is from the truth."""
    source, leaves = session.source, [np.asarray(leaf) for leaf in session.leaves]
    operation = Operation.drawn("hvp", source, session.spec["seed"])
    direction = list(operation.vectors)
    coefficients, why = _coefficients(session, direction, order)
    truth, why_not = accuracy.truth_of(source.trace(), operation, TRUTH_SECONDS)
    once = nested_tapes.gradient(source.tape, source.wrt)
    tapes = {"reverse": once, "forward": once}
    found = []
    for number in range(1, order + 1):
        if number > 1:
            tapes["reverse"] = nested_tapes.reverse_again(tapes["reverse"], source.wrt)
            tapes["forward"] = nested_tapes.forward_again(tapes["forward"], source.wrt)
        one: dict[str, Any] = {"order": number}
        for mode, tape in tapes.items():
            result = [np.asarray(part) for part in tape.evaluate([*leaves, *direction])]
            errors = {
                "vector_error": _vector_error(result, truth) if number == 2 and truth is not None else None,
                "series_error": _series_error(result, direction, coefficients[number - 1]) if coefficients else None,
            }
            known = [error for error in errors.values() if error is not None]
            limit = TOLERANCE * 10.0 ** max(0, number - 2)
            right = all(error <= limit for error in known) if known else None
            excuse = "" if known else why or why_not
            one[mode] = {
                "equations": len(tape), "flops": tape.flops, **errors, "right": right, "why": limits.shorten(excuse),
            }  # fmt: skip
        found.append(one)
    return found


def _coefficients(session: Session, direction: Sequence[Any], order: int) -> tuple[list[float], str]:
    """The derivatives of the loss along the direction, from order one, by power series; or why there are none."""
    from ...execution import series
    from ...execution.exact import certify

    tape, wrt = session.source.trace(), session.source.wrt
    try:
        how = certify(tape, session.leaves, wrt=wrt, deadline_s=TRUTH_SECONDS)
        (parts,) = series.along(
            tape, session.leaves, wrt, direction, order, how.bits, provenance=how.provenance, trusting=how.trusting
        )
        found = [float(parts[k].item().mid()) * math.factorial(k) for k in range(1, order + 1)]
    except (UnsupportedError, UndecidedError, CertificateError, TimeoutError) as fault:
        return [], f"power series did not check it: {fault}"
    return found, ""


def _series_error(result: Sequence[np.ndarray], direction: Sequence[Any], truth: float) -> float | None:
    """The error of the product with the direction, relative to the length of the result or of the truth."""
    product = math.fsum(float(np.vdot(part, vector)) for part, vector in zip(result, direction, strict=True))
    length = math.sqrt(math.fsum(float(np.vdot(part, part)) for part in result))
    scale, miss = max(length, abs(truth)), abs(product - truth)
    if not math.isfinite(miss):
        return None
    return miss / scale if scale else 0.0


def _vector_error(result: Sequence[np.ndarray], truth: Any) -> float | None:
    from ..grades import errors

    found = errors(list(result), truth)["rel_error"]
    return float(found) if math.isfinite(found) else None


def _graded(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """The gradient of the backend itself against the certified one."""
    from ..reference import Reference

    truth = Reference.load(command["reference"], command.get("sha256")) if command.get("reference") else None
    prepared = session.backend.prepare(session.source, "value_and_gradient", session.leaves)
    variables = [np.asarray(session.leaves[position]) for position in session.source.wrt]
    result, family = prepared.value_and_gradient(session.leaves)[1], session.backend.family
    found = accuracy.judge(result, variables, family, session.spec["dtype"], truth, command.get("why"))
    return {**found, "certified": limits.shorten(found["certified"], CERTIFIED_LENGTH)}
