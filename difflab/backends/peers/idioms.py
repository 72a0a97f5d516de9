"""What people write in one call where a tape has several: an affine map, and the logarithm of a softmax.

A replay that kept them apart would charge a framework for the way in which a loss was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...primitives.record import Aval
from ...tape import Equation, Tape


class _Reader:
    """The equations of a plan by their results, and how often each value is read."""

    def __init__(self, tape: Tape, live: Sequence[tuple[int, tuple[int, ...], Any]]):
        self.avals = tape.avals
        self.made = {output: tape.equations[what] for output, _, what in live if isinstance(what, int)}
        self.uses = Counter(number for _, operands, _ in live for number in operands)
        self.uses.update(tape.outputs)

    def maker(self, number: int, name: str, uses: int = 1) -> Equation | None:
        """The equation of that primitive whose result is read so often, and nowhere else."""
        equation = self.made.get(number)
        fits = equation is not None and equation.primitive.name == name and self.uses[number] == uses
        return equation if fits else None

    def along(self, number: int, name: str) -> tuple[Equation, int, list[int]] | None:
        """A reduction over one axis that a reshape puts back: its equation, the axis, and what both of them bind."""
        back = self.maker(number, "reshape")
        found = None if back is None else self.maker(back.inputs[0], name)
        if back is None or found is None or len(found.params["axes"]) != 1:
            return None
        (axis,) = found.params["axes"]
        shape = self.avals[found.inputs[0]].shape
        if self.avals[number].shape != (*shape[:axis], 1, *shape[axis + 1 :]):
            return None
        return found, axis, [number, found.output]


def shortened(
    tape: Tape, live: Sequence[tuple[int, tuple[int, ...], Any]], idioms: Mapping[str, Callable[..., Any]]
) -> list[tuple[int, tuple[int, ...], Any]]:
    """A plan in which a framework's own function stands for what it does in one call.

    Args:
        tape: what is replayed.
        live: outputs, operands, and functions or positions of equations.
        idioms: ``affine(bias, x, w)`` for ``x @ w + bias`` of planes, ``log_softmax(z, dim=axis)``; either may be
            missing.

    Returns:
        The shorter plan.

    Example:
        >>> from difflab.operators import source
        >>> tape = source(lambda x, w, b: x @ w + b, (np.ones((2, 3)), np.ones((3, 4)), np.ones(4))).tape
        >>> live = [(e.output, e.inputs, place) for place, e in enumerate(tape.equations)]
        >>> [operands for _, operands, _ in shortened(tape, live, {"affine": lambda b, x, w: x @ w + b})]
        [(2, 0, 1)]
    """
    if not idioms:
        return list(live)
    reader = _Reader(tape, live)
    dead: set[int] = set()
    instead: dict[int, tuple[int, tuple[int, ...], Any]] = {}
    for output, operands, what in live:
        if not isinstance(what, int) or not _floating(tape.avals[output]):
            continue
        name = tape.equations[what].primitive.name
        if name == "add" and "affine" in idioms:
            found = _affine(reader, tape, operands)
            if found is not None:
                instead[output] = (output, found[0], idioms["affine"])
                dead.add(found[1])
        elif name == "subtract" and "log_softmax" in idioms:
            softmax = _log_softmax(reader, operands)
            if softmax is not None:
                source, axis, gone = softmax
                instead[output] = (output, (source,), partial(idioms["log_softmax"], dim=axis))
                dead.update(gone)
    return [instead.get(entry[0], entry) for entry in live if entry[0] not in dead]


def _floating(aval: Aval) -> bool:
    return aval.dtype.kind == "f" and aval.dtype.itemsize >= np.dtype(np.float32).itemsize


def _affine(reader: _Reader, tape: Tape, operands: tuple[int, ...]) -> tuple[tuple[int, ...], int] | None:
    """The operands of ``x @ w + bias``, and the product that is no value of its own then."""
    for product, bias in (operands, operands[::-1]):
        equation = reader.maker(product, "matmul")
        if equation is None or bias in tape.literals:
            continue
        x, w = (reader.avals[number] for number in equation.inputs)
        same = x.dtype == w.dtype == reader.avals[bias].dtype
        if same and x.ndim == w.ndim == 2 and reader.avals[bias].shape == w.shape[1:]:
            return (bias, *equation.inputs), product
    return None


def _log_softmax(reader: _Reader, operands: tuple[int, ...]) -> tuple[int, int, list[int]] | None:
    """What ``z - log(sum(exp(z)))`` is a function of, the axis, and the values that are gone then.

    A shift of z by its maximum, which neither the value nor the derivative depends on, is gone as well.
    """
    shifted, logarithm = operands
    log = reader.maker(logarithm, "log")
    total = None if log is None else reader.along(log.inputs[0], "sum")
    if total is None:
        return None
    equation, axis, gone = total
    powers = reader.maker(equation.inputs[0], "exp")
    if powers is None or powers.inputs[0] != shifted:
        return None
    gone = [*gone, logarithm, powers.output]
    shift = reader.maker(shifted, "subtract", uses=2)
    largest = None if shift is None else reader.along(shift.inputs[1], "max")
    if shift is None or largest is None or largest[0].inputs[0] != shift.inputs[0] or largest[1] != axis:
        return shifted, axis, gone
    return shift.inputs[0], axis, [*gone, shifted, *largest[2]]
