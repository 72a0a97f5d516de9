"""Wrong derivatives of what takes several equations: softmax, sigmoid, cross-entropy, convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tape import Equation, Span
from .places import Places
from .slips import Slip, others
from .sweep import Contributions, Sweep, gathered


def composite_slips(sweep: Sweep, places: Places) -> Iterator[Slip]:
    """The usual wrong rules for composites; each stands at the equation of the composite's result."""
    for position, equation in enumerate(sweep.tape.equations):
        if (z := _written_softmax(sweep, equation)) is not None:
            yield from _softmax(position, *z)
        if (z := _written_sigmoid(sweep, equation)) is not None:
            yield from _sigmoid(sweep, places, position, z)
        if equation.primitive.name == "exp":
            yield from _normalised(sweep, position, equation)
    for span in sweep.tape.spans:
        position = sweep.producers.get(span.result)
        if position is None:
            continue
        if span.name == "softmax":
            yield from _softmax(position, span.arguments[0], span.params["axes"])
        elif span.name == "softmax_cross_entropy":
            yield from _cross_entropy(position, span)
        elif span.name == "conv2d":
            yield from _convolution(sweep, span)


# ---------------------------------------------------------------------------- recognising


def _through(sweep: Sweep, number: int, *names: str) -> tuple[int, Equation | None]:
    """The equation behind a value, seen through moves of these names."""
    made = sweep.producer(number)
    while made is not None and made.primitive.name in names:
        number = made.inputs[0]
        made = sweep.producer(number)
    return number, made


def _written_softmax(sweep: Sweep, equation: Equation) -> tuple[int, tuple[int, ...]] | None:
    """exp(z) / sum(exp(z)): the number of z and the axes of the sum."""
    if equation.primitive.name != "divide":
        return None
    top, below = equation.inputs
    powers = sweep.producer(top)
    _, total = _through(sweep, below, "reshape", "broadcast_to")
    if powers is None or powers.primitive.name != "exp" or total is None or total.primitive.name != "sum":
        return None
    return (_unshifted(sweep, powers.inputs[0]), total.params["axes"]) if total.inputs[0] == top else None


def _unshifted(sweep: Sweep, number: int) -> int:
    """What z - max(z) is the shift of: a softmax does not depend on it, and nobody differentiates it by hand."""
    made = sweep.producer(number)
    if made is None or made.primitive.name != "subtract":
        return number
    _, top = _through(sweep, made.inputs[1], "reshape", "broadcast_to", "stop_gradient", "where")
    return made.inputs[0] if top is not None and top.primitive.name == "max" else number


def _is_one(sweep: Sweep, number: int) -> bool:
    return number not in sweep.active and bool(np.all(sweep.values[number] == 1.0))


def _written_sigmoid(sweep: Sweep, equation: Equation) -> int | None:
    """1 / (1 + exp(-z)): the number of z."""
    if equation.primitive.name == "divide" and _is_one(sweep, equation.inputs[0]):
        below = equation.inputs[1]
    elif equation.primitive.name == "reciprocal":
        below = equation.inputs[0]
    else:
        return None
    total = sweep.producer(below)
    if total is None or total.primitive.name != "add":
        return None
    parts = [number for number in total.inputs if not _is_one(sweep, number)]
    powers = sweep.producer(parts[0]) if len(parts) == 1 else None
    minus = sweep.producer(powers.inputs[0]) if powers is not None and powers.primitive.name == "exp" else None
    return minus.inputs[0] if minus is not None and minus.primitive.name == "negative" else None


# ---------------------------------------------------------------------------- softmax and cross-entropy


def _softmax(position: int, z: int, axes: tuple[int, ...]) -> Iterator[Slip]:
    def slip(label: str, words: str, part: Any) -> Slip:
        def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
            return {z: part(g, s.values[e.output])}

        return Slip(position, f"softmax {label}", words, rule, "the softmax that ends in ")

    def true(g: Any, s: Any) -> Any:
        return s * (g - np.sum(g * s, axis=axes, keepdims=True))

    yield slip(
        "one term", "without the second term of its Jacobian (s * g in place of s * (g - sum(g * s)))",
        lambda g, s: g * s,
    )  # fmt: skip
    yield slip(
        "diagonal", "taken entry by entry, as s * (1 - s), without what is off the diagonal of its Jacobian",
        lambda g, s: g * s * (1 - s),
    )  # fmt: skip
    yield slip("left out", "left out (taken as 1)", lambda g, s: g)
    yield slip(
        "axis", "computed with the sum of its Jacobian over the wrong axis",
        lambda g, s: s * (g - np.sum(g * s, axis=tuple({*range(s.ndim)} - set(axes)), keepdims=True)),
    )  # fmt: skip
    yield slip(
        "targets", "without the first term of its Jacobian (as if the targets were not subtracted)",
        lambda g, s: -s * np.sum(g * s, axis=axes, keepdims=True),
    )  # fmt: skip
    yield slip("again", "multiplied by s * (1 - s) once more", lambda g, s: true(g, s) * s * (1 - s))
    yield slip("twice", "applied twice", lambda g, s: true(true(g, s), s))


def _normalised(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    """exp(z) that is summed somewhere: a softmax without a name, whose logits' adjoint is already complete."""
    totals = [
        one for one in sweep.tape.equations if one.primitive.name == "sum" and one.inputs[0] == equation.output
    ]  # fmt: skip
    z = equation.inputs[0]
    made = sweep.producers.get(z)
    if made is None or not totals:
        return
    axes = totals[0].params["axes"]
    logits = _unshifted(sweep, z)
    yield from _logsumexp(sweep, position, equation, logits, axes)

    def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
        powers = s.values[equation.output]
        share = powers / np.sum(powers, axis=axes, keepdims=True)
        slope = g * share * (1 - share)
        return s.pull(e, slope) if logits == z else {logits: slope}

    yield Slip(
        made, "softmax again", "multiplied by s * (1 - s), the slope of the softmax s, although the derivative of the "
        "logarithm has already cancelled it", rule,
    )  # fmt: skip


def _logsumexp(sweep: Sweep, position: int, equation: Equation, logits: int, axes: tuple[int, ...]) -> Iterator[Slip]:
    """log(sum(exp(z))), whose slope is the softmax of z: not normalised, or along the wrong axis."""
    rest = tuple({*range(sweep.values[equation.output].ndim)} - set(axes))
    words = "where it has to be the softmax over the axis of that sum"
    readings: list[tuple[str, Any]] = [
        (f"exp(z), not normalised, {words}", lambda powers, z: np.exp(z)),
        (f"exp(z - max(z)), not normalised, {words}", lambda powers, z: powers),
    ]
    if rest:
        readings += [
            (f"exp(z) divided by its sum over the wrong axis, {words}",
             lambda powers, z: powers / np.sum(powers, axis=rest, keepdims=True)),
            (f"exp(z) divided by its sum over the wrong axis, {words}",
             lambda powers, z: np.exp(z) / np.sum(np.exp(z), axis=rest, keepdims=True)),
            (f"exp(z) divided by the sum of all, {words}", lambda powers, z: powers / np.sum(powers)),
            (f"exp(z) divided by the sum of all, {words}", lambda powers, z: np.exp(z) / np.sum(np.exp(z))),
        ]  # fmt: skip
    for text, share in readings:

        def rule(s: Sweep, e: Equation, g: Any, share=share) -> Contributions:
            powers = s.values[e.output]
            return {e.inputs[0]: g * np.sum(powers, axis=axes, keepdims=True) * share(powers, s.values[logits])}

        yield Slip(position, text, text, rule, "the sum of exponentials that begins with ")


def _cross_entropy(position: int, span: Span) -> Iterator[Slip]:
    z, t = span.arguments

    def slip(label: str, words: str, part: Any) -> Slip:
        def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
            logits, targets = s.values[z], s.values[t]
            powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
            share = powers / np.sum(powers, axis=-1, keepdims=True)
            rows = max(targets.size // targets.shape[-1], 1)
            return {z: g * part(share, targets, logits) / rows}

        return Slip(position, f"cross-entropy {label}", words, rule, "the cross-entropy that ends in ")

    def right(s: Any, t: Any) -> Any:
        return s * np.sum(t, axis=-1, keepdims=True) - t

    yield slip(
        "targets", "without the targets (softmax(z) in place of softmax(z) - t)", lambda s, t, z: right(s, t) + t
    )
    yield slip(
        "again", "multiplied by s * (1 - s), the slope of the softmax, although softmax(z) - t already contains it",
        lambda s, t, z: right(s, t) * s * (1 - s),
    )  # fmt: skip
    yield slip("logits", "z - t in place of softmax(z) - t: the softmax is left out", lambda s, t, z: z - t)


# ---------------------------------------------------------------------------- sigmoid


def _sigmoid(sweep: Sweep, places: Places, position: int, z: int) -> Iterator[Slip]:
    def slope(y: Any) -> Any:
        return y * (1 - y)

    def slip(label: str, words: str, part: Any) -> Slip:
        def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
            return {z: g * part(s.values[e.output], s.values[z], s)}

        return Slip(position, f"sigmoid {label}", words, rule, "the sigmoid that ends in ")

    yield slip("left out", "left out (taken as 1)", lambda y, x, s: np.ones_like(y))
    yield slip("twice", "applied twice", lambda y, x, s: slope(y) ** 2)
    yield slip("at input", "computed from the argument, as z * (1 - z)", lambda y, x, s: slope(x))
    yield slip("at output", "taken at the result in place of the argument", lambda y, x, s: slope(1 / (1 + np.exp(-y))))
    for number in others(sweep, z):
        if number != sweep.tape.equations[position].output:
            yield slip(
                f"as {number}", f"computed from the wrong array, with {places.value(number)} as its result",
                lambda y, x, s, number=number: slope(s.values[number]),
            )  # fmt: skip


# ---------------------------------------------------------------------------- convolution


def _convolution(sweep: Sweep, span: Span) -> Iterator[Slip]:
    """The images' adjoint computed with the kernel as it is, not turned by 180 degrees."""
    shape = sweep.values[span.arguments[1]].shape
    for position in range(span.start, span.stop):
        equation = sweep.tape.equations[position]
        if equation.primitive.name != "matmul" or equation.inputs[0] not in sweep.active or shape[0] * shape[1] == 1:
            continue

        def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
            parts = s.pull_each(e, g)
            kernel = s.values[e.inputs[1]]
            turned = kernel.reshape(shape)[::-1, ::-1].reshape(kernel.shape)
            parts[0] = g @ turned.T
            return gathered(e, parts)

        yield Slip(
            position, "kernel not turned", "with respect to the images computed with the kernel turned the wrong way "
            "round (correlated where it has to be convolved, or the reverse)", rule,
        )  # fmt: skip
