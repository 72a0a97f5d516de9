"""Wrong masks: of relu and its like, written as maximum, as where, or as a product with a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..primitives.record import unbroadcast
from ..tape import Equation
from .places import Places
from .slips import Slip, only, others, with_values
from .sweep import Sweep, gathered


def _masks(sweep: Sweep, places: Places, number: int) -> Iterator[tuple[str, str, Callable[[Sweep, Any], Any]]]:
    """Arrays from which a mask might have been taken instead of from ``number``."""
    yield "adjoint", "the adjoint that comes from the next layer", lambda s, g: g
    for other in others(sweep, number):
        yield str(other), places.value(other), lambda s, g, other=other: s.values[other]


def _live(sweep: Sweep, equation: Equation) -> Iterator[tuple[int, int]]:
    """The operands of a binary equation that count and are not broadcast: index and number."""
    for index, number in enumerate(equation.inputs):
        if number in sweep.active and sweep.values[number].shape == sweep.values[equation.output].shape:
            yield index, number


def extreme(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """maximum(z, 0) and its like: relu written out."""
    for index, _ in _live(sweep, equation):
        yield Slip(position, "mask left out", "left out: its mask is missing", only(index, lambda s, e, g: g))
        for label, number in (("argument", equation.inputs[index]), ("result", equation.output)):
            yield Slip(
                position, f"times {label}", f"multiplied by its {label}, {places.value(number)}, and not by its mask",
                only(index, lambda s, e, g, number=number: g * s.values[number]),
            )  # fmt: skip
        yield Slip(
            position, "mask inverted", "inverted: its mask is 1 where it should be 0",
            only(index, lambda s, e, g, i=index: g - s.pull(e, g)[e.inputs[i]]),
        )  # fmt: skip


def extreme_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """The mask of another array."""
    for index, number in _live(sweep, equation):
        for label, name, take in _masks(sweep, places, number):

            def masked(s: Sweep, e: Equation, g: Any, take=take, i=index) -> Any:
                bound = s.values[e.inputs[1 - i]]
                return g * (take(s, g) > bound if e.primitive.name == "maximum" else take(s, g) < bound)

            yield Slip(position, f"mask {label}", f"masked by the wrong array, {name}", only(index, masked))


def where(position: int) -> Iterator[Slip]:
    """where(z > 0, z, 0) and its like."""
    yield Slip(
        position, "mask left out", "left out: its mask is missing",
        lambda s, e, g: gathered(
            e,
            [None, *[unbroadcast(g, s.values[n].shape) if n in s.active else None for n in e.inputs[1:]]],
        ),
    )  # fmt: skip
    yield Slip(
        position, "mask inverted", "inverted: its mask is true where it should be false",
        with_values(lambda s, e, g: (None, [~s.values[e.inputs[0]], *s.operands(e)[1:]])),
    )  # fmt: skip


def where_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """The mask of another array."""
    for label, name, take in _masks(sweep, places, equation.inputs[0]):
        yield Slip(
            position, f"mask {label}", f"masked by the wrong array, {name} > 0",
            with_values(lambda s, e, g, take=take: (None, [take(s, g) > 0, *s.operands(e)[1:]])),
        )  # fmt: skip


def _is_mask(sweep: Sweep, number: int) -> bool:
    made = sweep.producer(number)
    return made is not None and made.primitive.name == "cast" and sweep.values[made.inputs[0]].dtype.kind == "b"


def product(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """z * (z > 0) and its like, and products of two variables."""
    for index, number in enumerate(equation.inputs):
        if number not in sweep.active:
            continue
        other = equation.inputs[1 - index]
        if _is_mask(sweep, other):
            yield Slip(position, "mask left out", "left out: its mask is missing", only(index, lambda s, e, g: g))
        elif other != number and (sweep.values[other].shape or other in sweep.active):
            mine, its = places.value(number), places.value(other)
            yield Slip(
                position, f"left out {index}", f"left out with respect to {mine} (not multiplied by {its})",
                only(index, lambda s, e, g: g),
            )  # fmt: skip
            if sweep.values[other].shape == sweep.values[number].shape:
                yield Slip(
                    position, f"swapped {index}", f"with respect to {mine} multiplied by {mine} in place of {its}",
                    only(index, lambda s, e, g, i=index: g * s.values[e.inputs[i]]),
                )  # fmt: skip


def product_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """The mask of another array."""
    for index, _ in _live(sweep, equation):
        other = equation.inputs[1 - index]
        if _is_mask(sweep, other):
            for label, name, take in _masks(sweep, places, other):
                yield Slip(
                    position, f"mask {label}", f"masked by the wrong array, {name} > 0",
                    only(index, lambda s, e, g, take=take: g * (take(s, g) > 0)),
                )  # fmt: skip
