"""What is being checked: a loss, a gradient and one call, and how to ask them at other points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backends.protocol import Source
from ..calls import Bound, argument_name, bind, describe, leaf_names, normal_argnums
from ..errors import InputError, TraceError
from ..flat import Function, make_source, require_data, require_scalar
from ..harness.finite_loss import fault_of_loss
from ..tape import Tape
from ..trace_checks import check_trace
from .answer import Answer, listed, take_apart
from .case import Point, largest
from .constants import Constants, constants
from .places import Places, located
from .sweep import Sweep, wide
from .truth import Truth, by_differences, by_tape

# A gradient may be off by so many times what the truth itself may be off.
NOISE = 30.0
# How far the second point is from the first, relative to the parameters; the first that the loss allows is taken.
MOVES = (0.1, 0.01, 0.001)


class Subject:
    """A loss, a gradient of it, and the arguments at which they are compared."""

    def __init__(self, gradient: Callable, loss: Callable, args: tuple, kwargs: dict[str, Any], argnums: Any):
        self.gradient, self.loss, self.argnums = gradient, loss, argnums
        self.bound: Bound = bind(loss, args, kwargs, argnums)
        require_data(self.bound, loss)
        self.made: Source
        self.flat: Function
        self.made, self.flat = make_source(loss, self.bound, frozen=True, names=True)
        self.leaf_names = leaf_names(loss, self.bound)
        self.wrt = self.bound.wrt
        self.names = [self.leaf_names[i] for i in self.wrt]
        positions, _ = normal_argnums(argnums, len(args), describe(loss))
        self.roots = [argument_name(loss, position) for position in positions]
        self.shapes = [self.bound.avals[i].shape for i in self.wrt]
        self.dtypes = [self.bound.avals[i].dtype for i in self.wrt]
        self.tape: Tape | None = None
        self.why = ""
        self._look()

    def _look(self) -> None:
        """Trace the loss if that can be done, and see that it is one."""
        try:
            self.tape = self.made.tape
        except TraceError as fault:
            self.why = f"the loss cannot be traced: {str(fault).partition(';')[0]}"
            require_scalar(self.flat.call(self.bound.leaves), self.loss)
        else:
            require_scalar(self.tape, self.loss)
            check_trace(self.tape, self.flat, self.bound.leaves)
        if (bad := fault_of_loss(self.value(self.bound.leaves), self.bound.leaves, self.leaf_names)) is not None:
            raise InputError(f"nothing can be checked: {bad}")

    def value(self, leaves: Sequence[Any]) -> float:
        """The loss on plain arrays."""
        return float(np.real(self.flat.call([np.array(leaf) for leaf in leaves])[0]))

    def answer(self, leaves: Sequence[Any]) -> Answer:
        """What the gradient returns for copies of the arguments."""
        copies = [np.array(leaf) for leaf in leaves]
        args, kwargs = self.bound.rebuild(self.bound.plain(copies))
        found = take_apart(self.gradient(*args, **kwargs), self.bound, self.names, self.roots, self.value(leaves))
        written = [
            name
            for name, copy, leaf in zip(self.leaf_names, copies, leaves, strict=True)
            if not np.array_equal(copy, np.asarray(leaf), equal_nan=copy.dtype.kind in "fc")
        ]
        if written:
            found.note("arguments", f"It writes into its argument {listed(written)}; work on a copy")
        return found

    def truth(self, seconds: float) -> Truth:
        """The true gradient at the example."""
        if self.tape is not None:
            return by_tape(self.made, seconds)
        return by_differences(self.made, self.bound.leaves, self.why, NOISE)

    def nearby(self, truth: Truth, seed: int) -> Point | None:
        """A point near the example, with nothing given yet; ``None`` if the loss allows none."""
        rng = np.random.default_rng([20240229, seed])
        noise = [(rng.standard_normal(shape), rng.standard_normal(shape)) for shape in self.shapes]
        for size in MOVES:
            leaves = list(self.bound.leaves)
            for position, (first, second) in zip(self.wrt, noise, strict=True):
                array = np.asarray(leaves[position])
                scale = largest(array) or 1.0
                leaves[position] = np.where(array == 0, size * scale * second, array * (1 + size * first)).astype(
                    array.dtype
                )
            with np.errstate(all="ignore"):
                point = self._point(leaves, truth)
            if point is not None and all(np.isfinite(block).all() for block in point.true):
                return point
        return None

    def _point(self, leaves: list[Any], truth: Truth) -> Point | None:
        try:
            if not math.isfinite(self.value(leaves)):
                return None
            if self.tape is None:
                return Point(leaves, [], by_differences(self.made, leaves, self.why, NOISE).blocks)
        except Exception:  # whatever a loss does not like about other parameters
            return None
        if truth.sweep is None or not self.tape.follows(leaves):
            return None
        sweep = Sweep(truth.sweep.tape, leaves, self.wrt)
        return Point(leaves, [], sweep.truth, sweep)

    def call(self, leaves: Sequence[Any]) -> float:
        """The loss, warnings off: what is tried out may leave its domain."""
        with np.errstate(all="ignore"):
            return self.value(leaves)

    def places(self) -> Places | None:
        """The tape with its lines."""
        return None if self.tape is None else located(self.flat, self.bound)

    def constants(self) -> Constants:
        """What a factor may stand for."""
        return constants(self.bound.leaves, self.leaf_names, self.wrt, self.tape)

    def eps(self) -> float:
        """The coarsest unit of rounding on the way."""
        avals = self.bound.avals if self.tape is None else (*self.bound.avals, *self.tape.avals)
        return max([float(np.finfo(aval.dtype).eps) for aval in avals if aval.dtype.kind in "fc"], default=2.0**-52)


def filled(point: Point, answer: Answer, usable: Sequence[int]) -> bool:
    """Put an answer into a point, the truth where it has no numbers; whether the usable blocks have numbers."""
    blocks = answer.blocks
    if any((part := blocks[k]) is None or not np.isfinite(part).all() for k in usable):
        return False
    point.given = [
        wide(part) if k in usable and part is not None else true
        for k, (part, true) in enumerate(zip(blocks, point.true, strict=True))
    ]
    return True
