"""Which axis carries the examples: rules by which a batch is computed block by block.

The examples of a batch lie along one axis of a value, one behind the other, each taking equally many places; so a block
of examples is a slice of that axis.  A rule is ``examples(given, **params)``.  It says along which axis the result
carries the examples and which slices of the operands a block of it reads (``Split``), or why it mixes examples
(a string).  Sizes never decide: an axis carries examples because of where it comes from, whatever its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .record import Aval, broadcast_shapes


class Given(NamedTuple):
    """What a rule is asked: how many examples, along which axis each operand carries them, shapes and known values.

    ``axes`` holds ``None`` for an operand that is the same for all examples; ``values`` what is known of operands
    before the program runs (constants), ``None`` elsewhere.
    """

    count: int
    axes: tuple[int | None, ...]
    avals: tuple[Aval, ...]
    values: tuple[Any, ...] = ()


class Split(NamedTuple):
    """How an equation is computed for a block of examples.

    ``axis``: where the result carries them; ``None``: it is a sum over examples.  ``needs``: the axis along which each
    operand is sliced, ``None`` for the whole of it.  ``scaled``: names of params that hold, at the position ``axis``,
    the length of the axis, which becomes that of the block.  ``first``: operands that give every block the slice of
    the first one (positions counted from the front).
    """

    axis: int | None
    needs: tuple[int | None, ...]
    scaled: tuple[str, ...] = ()
    first: tuple[int, ...] = ()


Rule = Callable[..., Split | str]

ACROSS = "works along the axis of the examples"
TWO = "reads examples along two axes"


def together(places: Sequence[int | None]) -> int | str:
    """The one place where all operands that carry examples carry them."""
    found = {place for place in places if place is not None}
    return found.pop() if len(found) == 1 else TWO


def aligned_needs(avals: Sequence[Aval], ends: Sequence[int], place: int, size: int) -> tuple[int | None, ...]:
    """Where operands, aligned by the ends of their axes, have the axis at ``place``; ``None`` where it is repeated."""
    needs: list[int | None] = []
    for aval, end in zip(avals, ends, strict=True):
        axis = place + end
        needs.append(axis if axis >= 0 and aval.shape[axis] == size else None)
    return tuple(needs)


def aligned(given: Given, **params: Any) -> Split | str:
    """The rule of what acts on each element, operands broadcast."""
    if len(given.axes) == 1:
        return Split(given.axes[0], given.axes)
    shape = broadcast_shapes(*[aval.shape for aval in given.avals])
    ends = [len(aval.shape) - len(shape) for aval in given.avals]
    place = together([None if axis is None else axis - end for axis, end in zip(given.axes, ends, strict=True)])
    if isinstance(place, str):
        return place
    return Split(place, aligned_needs(given.avals, ends, place, shape[place]))


def stack_of(*cores: int) -> Rule:
    """The rule of what NumPy applies to a stack: operand ``i`` ends in ``cores[i]`` axes of its own."""

    def rule(given: Given, **params: Any) -> Split | str:
        leads = [len(aval.shape) - core for aval, core in zip(given.avals, cores, strict=True)]
        if any(axis is not None and axis >= lead for axis, lead in zip(given.axes, leads, strict=True)):
            return "works on matrices that hold several examples"
        shape = broadcast_shapes(*[aval.shape[:lead] for aval, lead in zip(given.avals, leads, strict=True)])
        ends = [lead - len(shape) for lead in leads]
        place = together([None if axis is None else axis - end for axis, end in zip(given.axes, ends, strict=True)])
        if isinstance(place, str):
            return place
        stacks = [Aval(aval.shape[:lead], aval.dtype) for aval, lead in zip(given.avals, leads, strict=True)]
        return Split(place, aligned_needs(stacks, ends, place, shape[place]))

    return rule


def same_axis(given: Given, **params: Any) -> Split | str:
    """The rule of what takes operands of one shape and treats each example by itself wherever they lie."""
    place = together(given.axes)
    return place if isinstance(place, str) else Split(place, (place,) * len(given.axes))


def beside_axis(given: Given, *, axis: int, **params: Any) -> Split | str:
    """The rule of what runs along one ``axis`` of operands of one shape and keeps it."""
    place = together(given.axes)
    if isinstance(place, str) or place == axis:
        return place if isinstance(place, str) else ACROSS
    return Split(place, (place,) * len(given.axes))


def beside_axes(given: Given, *, axes: tuple[int, ...], **params: Any) -> Split | str:
    """The rule of what works along ``axes`` of one operand and keeps them."""
    place = given.axes[0]
    return ACROSS if place is None or place in axes else Split(place, (place,))


def _after(place: int, axes: tuple[int, ...]) -> int:
    return place - sum(axis < place for axis in axes)


def summed(given: Given, *, axes: tuple[int, ...]) -> Split:
    """The rule of a sum, which may be over the examples."""
    (place,) = given.axes
    assert place is not None
    return Split(None if place in axes else _after(place, axes), (place,))


def reduced(given: Given, *, axes: tuple[int, ...]) -> Split | str:
    """The rule of a reduction that is no sum."""
    place = given.axes[0]
    return ACROSS if place is None or place in axes else Split(_after(place, axes), (place,))


def searched(given: Given, *, axis: int) -> Split | str:
    """The rule of what finds a position along one axis and drops it."""
    return reduced(given, axes=(axis,))


def searched_for(given: Given, **params: Any) -> Split | str:
    """The rule of what looks each element of the second operand up in the first."""
    table, place = given.axes
    return "looks examples up among examples" if table is not None else Split(place, (None, place))


# ---------------------------------------------------------------------------- moves


def reshaped(given: Given, *, shape: tuple[int, ...]) -> Split | str:
    """The axis of the result that has the same number of elements before it and examples as its leading factor."""
    (place,), (aval,) = given.axes, given.avals
    assert place is not None
    before = math.prod(aval.shape[:place])
    passed = 1
    for axis, size in enumerate(shape):
        if passed == before and size and size % given.count == 0:
            return Split(axis, (place,), ("shape",))
        passed *= size
    return "moves examples into an axis of which they are no leading factor"


def permuted(given: Given, *, axes: tuple[int, ...]) -> Split:
    """The rule of a transposition."""
    (place,) = given.axes
    assert place is not None
    return Split(axes.index(place), (place,))


def repeated(given: Given, *, shape: tuple[int, ...]) -> Split:
    """The rule of a broadcast: axes come before those that there are."""
    (place,) = given.axes
    assert place is not None
    return Split(place + len(shape) - len(given.avals[0].shape), (place,), ("shape",))


def padded(given: Given, *, widths: tuple[tuple[int, int], ...]) -> Split | str:
    """The rule of padding."""
    (place,) = given.axes
    assert place is not None
    return Split(place, (place,)) if widths[place] == (0, 0) else "pads the axis of the examples"


def _all_of(start: Sequence[int], stop: Sequence[int], step: Sequence[int], place: int, size: int) -> bool:
    return (start[place], stop[place], step[place]) == (0, size, 1)


PART = "takes some examples, or takes them in another order"


def cut(given: Given, *, start: tuple, stop: tuple, step: tuple) -> Split | str:
    """The rule of a slice."""
    (place,) = given.axes
    assert place is not None
    if not _all_of(start, stop, step, place, given.avals[0].shape[place]):
        return PART
    return Split(place, (place,), ("stop",))


def uncut(given: Given, *, start: tuple, stop: tuple, step: tuple, shape: tuple) -> Split | str:
    """The rule of the transpose of a slice."""
    (place,) = given.axes
    assert place is not None
    return Split(place, (place,), ("stop", "shape")) if _all_of(start, stop, step, place, shape[place]) else PART


# ---------------------------------------------------------------------------- products


def product(given: Given) -> Split | str:
    """The rule of a matrix product: examples in rows, in columns, in the stack, or summed over."""
    (left, right), (a, b) = given.axes, given.avals
    rows, inner = len(a.shape) - 2, len(a.shape) - 1
    summed_over = (left == inner or left is None, right == len(b.shape) - 2 or right is None)
    if left == inner or right == len(b.shape) - 2:
        return Split(None, (inner, len(b.shape) - 2)) if all(summed_over) else TWO
    ndim = max(len(a.shape), len(b.shape))
    if left == rows:
        return Split(ndim - 2, (left, None)) if right is None else TWO
    if right == len(b.shape) - 1:
        return Split(ndim - 1, (None, right)) if left is None else TWO
    return stack_of(2, 2)(given)


# ---------------------------------------------------------------------------- images


def images(channels: int | None, *scaled: str) -> Rule:
    """The rule of what treats each image, and each channel, by itself: axis 0, and the last of every operand.

    ``channels`` is the channels' axis in the result.
    """

    def rule(given: Given, **params: Any) -> Split | str:
        lasts = [len(aval.shape) - 1 for aval in given.avals]
        found = [axis if axis != last else -1 for axis, last in zip(given.axes, lasts, strict=True)]
        place = together(found)
        if isinstance(place, str):
            return place
        if place == 0:
            return Split(0, (0,) * len(lasts), scaled)
        return Split(channels, tuple(lasts), scaled) if place == -1 else "moves windows over the axis of the examples"

    return rule
