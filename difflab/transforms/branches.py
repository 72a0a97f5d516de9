"""Which elements of a cotangent come back through a branch that was taken.

``np.where(x > 0, np.log(x), 0.0)`` does not depend on the logarithm where ``x`` is 0, yet its pullback there is 0 times
infinity.  So reverse mode remembers, for a value that was read by ``where`` or by an index only, which elements were
taken.  The others may hold anything while the cotangent goes back element by element, and become 0 before they are
summed, moved into a product of matrices, or added to what another reader sends.  It goes by the condition, never by a
cotangent that happens to be 0: what is 0 times infinity without a condition stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..primitives.record import REGISTRY, Primitive, unbroadcast

# Slopes that are finite wherever the operands are: elements that were not taken stay 0 if they are 0.
TAME = frozenset({"add", "subtract", "negative", "copy", "cast", "tanh", "sin", "cos", "sigmoid", "arctan", "erf"})
TAME |= {"absolute", "relu"}
# Moves and sums, whose pullback does with a mask what it does with a cotangent.
CARRIED = frozenset({"reshape", "transpose", "sum"})
# What is not read has no say either: log(x)[1:] does not depend on log(x[0]).
SELECTING = frozenset({"slice", "gather"})
# Element by element, with parameters.
ELEMENTWISE = frozenset({"integer_power", "sinc", "polygamma"})


class Mask:
    """The elements of a value that were taken, of its shape: found when asked for, and once.

    A value that two readers share is asked for by both, so that without a memory a chain of such values would ask twice
    as often with every link; and a chain may be longer than Python's stack is deep.  ``negated``: ``find`` gives those
    that were not taken.
    """

    __slots__ = ("find", "found", "made_of", "negated")

    def __init__(self, find: Callable[[], Any], *made_of: Mask | None, negated: bool = False) -> None:
        self.find: Callable[[], Any] | None = find
        self.found: Any = None
        self.made_of = [mask for mask in made_of if mask is not None]  # those that ``find`` asks
        self.negated = negated

    def condition(self) -> Any:
        """What ``find`` gives, after what it is made of."""
        waiting = [self]
        while waiting:
            mask = waiting[-1]
            missing = [] if mask.find is None else [other for other in mask.made_of if other.find is not None]
            if mask.find is not None and not missing:
                mask.found, mask.find, mask.made_of = mask.find(), None, []
            waiting += missing
            if not missing:
                waiting.pop()
        return self.found

    def __call__(self) -> Any:
        """The elements that were taken."""
        return np.logical_not(self.condition()) if self.negated else self.condition()

    def zeroed(self, cotangent: Any) -> Any:
        """A cotangent with 0 where nothing was taken."""
        choices = (0.0, cotangent) if self.negated else (cotangent, 0.0)
        return REGISTRY["where"](self.condition(), *choices)


@dataclass(frozen=True)
class Share:
    """A contribution to a cotangent.

    ``taken``: the elements that count, ``None`` for all; ``open``: the others may hold anything, else they are 0.
    """

    cotangent: Any
    taken: Mask | None = None
    open: bool = False

    @property
    def closed(self) -> Any:
        """The cotangent with 0 where nothing was taken."""
        return self.taken.zeroed(self.cotangent) if self.open and self.taken is not None else self.cotangent

    def __add__(self, other: Share) -> Share:
        """What two readers of a value send together."""
        if self.taken is other.taken:
            return Share(self.cotangent + other.cotangent, self.taken, self.open or other.open)
        return Share(self.closed + other.closed, _either(self.taken, other.taken))


def pulled_back(
    primitive: Primitive,
    share: Share,
    out: Any,
    operands: list[Any],
    wanted: tuple[bool, ...],
    params: dict[str, Any],
) -> list[Share | None]:
    """What an equation contributes to the cotangent of each operand.

    Args:
        primitive: with a VJP rule.
        share: the cotangent of the output.
        out: the output.
        operands: the operands.
        wanted: which of them need a cotangent.
        params: of the equation.
    """
    rule: Any = primitive.vjp
    if primitive.name == "where":
        return _branches(rule, share, out, operands, wanted)
    if primitive.name in SELECTING:
        parts = rule(share.closed, out, *operands, wanted=wanted, **params)

        def read() -> Any:
            ones = REGISTRY["zeros_like"](out) + 1.0
            kept = ones if share.taken is None else REGISTRY["where"](share.taken(), ones, 0.0)
            return rule(kept, out, *operands, wanted=wanted, **params)[0] > 0.0

        return [_share(part, Mask(read, share.taken) if k == 0 else None) for k, part in enumerate(parts)]
    if share.taken is None:
        return [_share(part) for part in rule(share.cotangent, out, *operands, wanted=wanted, **params)]
    taken = share.taken
    if primitive.name in CARRIED:
        parts = rule(share.cotangent, out, *operands, wanted=wanted, **params)
        carried = Mask(lambda: rule(taken(), out, *operands, wanted=wanted, **params)[0], taken)
        return [_share(parts[0], carried, share.open)]
    if primitive.kind != "elementwise" and primitive.name not in ELEMENTWISE:
        return [_share(part) for part in rule(share.closed, out, *operands, wanted=wanted, **params)]
    loose = share.open or primitive.name not in TAME
    # Broadcast first, so that what was not taken is dropped before it is summed.
    whole = [x if x.shape == out.shape else REGISTRY["broadcast_to"](x, shape=out.shape) for x in operands]
    parts = rule(share.cotangent, out, *whole, wanted=wanted, **params)
    shares = [_share(part, taken, loose) for part in parts]
    return [
        one if one is None or x.shape == out.shape else Share(unbroadcast(one.closed, x.shape))
        for one, x in zip(shares, operands, strict=True)
    ]


def _branches(
    rule: Callable, share: Share, out: Any, operands: list[Any], wanted: tuple[bool, ...]
) -> list[Share | None]:
    """Both branches of a ``where`` get the whole cotangent, and a mask of what was taken of it."""

    def condition() -> Any:
        found = operands[0]
        return found if found.shape == out.shape else REGISTRY["broadcast_to"](found, shape=out.shape)

    taken = share.taken
    if taken is None:
        masks = Mask(condition), Mask(condition, negated=True)
    else:
        masks = (
            Mask(lambda: np.logical_and(taken(), condition()), taken),
            Mask(lambda: np.logical_and(taken(), np.logical_not(condition())), taken),
        )
    shares: list[Share | None] = [None]
    for k, mask in enumerate(masks, start=1):
        if not wanted[k]:
            shares.append(None)
        elif operands[k].shape == out.shape:
            shares.append(Share(share.cotangent, mask, open=True))
        else:  # summed at once, as its own rule does
            alone = tuple(position == k for position in range(3))
            shares.append(_share(rule(share.closed, out, *operands, wanted=alone)[k]))
    return shares


def _share(part: Any, taken: Mask | None = None, loose: bool = False) -> Share | None:
    return None if part is None else Share(part, taken, loose)


def _either(one: Mask | None, other: Mask | None) -> Mask | None:
    """The elements taken by either of two readers of a value."""
    if one is None or other is None:
        return None
    return Mask(lambda: np.logical_or(one(), other()), one, other)
