"""The tape of a loss differentiated again and again, by reverse mode over itself and by forward mode over reverse.

A gradient has as many outputs as there are parameters; to take its derivative by one more reverse pass it is first
multiplied by a direction, the same one every time.  So order k is the k-th derivative along k - 1 times the direction,
an array for every variable: the gradient, a Hessian-vector product, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np

from ... import transforms
from ...tape import Tape
from ...transforms.inline import inline, inputs_like, transform_builder
from ...transforms.simplify import simplify


def gradient(tape: Tape, wrt: Sequence[int]) -> Tape:
    """Order one: the gradient alone, simplified.

    Args:
        tape: a loss.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with one more input for every entry of ``wrt``, the direction, which order one does not read.
    """
    once = transforms.gradient(tape, wrt)
    builder = transform_builder()
    values = inline(builder, once, inputs_like(builder, once))
    for position in wrt:
        builder.input(tape.avals[tape.inputs[position]], f"direction {position}")
    return simplify(builder.finish([values[number] for number in once.outputs[1:]]))


def reverse_again(tape: Tape, wrt: Sequence[int]) -> Tape:
    """One order more by reverse mode: the gradient of the product with the direction.

    Args:
        tape: of some order, with the direction as its last inputs.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with the same inputs and one output for every entry of ``wrt``, simplified.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> once = gradient(trace_leaves(lambda leaves: [np.sum(leaves[0] ** 3)], [np.ones(2)]), (0,))
        >>> reverse_again(once, (0,)).evaluate([np.array([1.0, 2.0]), np.array([1.0, 10.0])])[0]
        array([  6., 120.])
    """
    twice = transforms.gradient(product(tape, wrt), wrt)
    return simplify(replace(twice, outputs=twice.outputs[1:]))


def forward_again(tape: Tape, wrt: Sequence[int]) -> Tape:
    """One order more by forward mode: the tangents of all outputs along the direction.

    Args:
        tape: of some order, with the direction as its last inputs.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with the same inputs and one output for every entry of ``wrt``, simplified.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> once = gradient(trace_leaves(lambda leaves: [np.sum(leaves[0] ** 3)], [np.ones(2)]), (0,))
        >>> forward_again(once, (0,)).evaluate([np.array([1.0, 2.0]), np.array([1.0, 10.0])])[0]
        array([  6., 120.])
    """
    pushed = transforms.jvp(tape, wrt)
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    values = inline(builder, pushed, [*operands, *operands[len(operands) - len(wrt) :]])
    return simplify(builder.finish([values[number] for number in pushed.outputs[len(tape.outputs) :]]))


def product(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The sum of all outputs times the direction: a scalar that can be differentiated again."""
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    values = inline(builder, tape, operands)
    direction = operands[len(operands) - len(wrt) :]
    parts = [np.sum(values[number] * part) for number, part in zip(tape.outputs, direction, strict=True)]
    return builder.finish([reduce(add, parts)])
