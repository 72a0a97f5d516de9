"""A small network whose recording, compiling and running tells what each equation of a loss costs before its arrays do.

Its arrays are so small that NumPy and Python are all that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import nn, transforms
from ..execution.chunks import chunked
from ..execution.program import Program
from ..tape import Tape
from ..tracing import trace_leaves
from ..transforms.simplify import simplify
from . import timing

DIRECTIONS = 1 << 16
WRT = (1, 2, 3, 4)
READINGS = 3
COLD = 2.0  # times the least reading that the first one counts at most: beyond, something else was in the way
SHAPES = ((2, 4, 4, 1), (2, 2, 1, 2), (2,), (8, 3), (3,), (2, 3))  # images, kernel, bias, weights, bias, targets


def leaves() -> list[np.ndarray]:
    """The arguments: images, a kernel with its bias, a dense layer with its bias, targets."""
    return [np.cos(np.arange(np.prod(shape))).reshape(shape) for shape in SHAPES]


def loss(arrays: Sequence[Any]) -> list[Any]:
    """A convolution, pooling, two activations and a dense layer under a softmax cross-entropy with a penalty."""
    images, kernel, bias, weights, offset, targets = arrays
    hidden = nn.max_pool2d(nn.relu(nn.conv2d(images, kernel, padding="same") + bias), 2)
    logits = np.tanh(hidden.reshape(hidden.shape[0], -1) @ weights + offset)
    return [nn.softmax_cross_entropy(logits, targets) + 0.01 * np.sum(weights**2)]


def gradient() -> Tape:
    """The tape of value and gradients by the parameters."""
    return simplify(transforms.gradient(trace_leaves(loss, leaves()), WRT))


def program(tape: Tape) -> Callable[[], object]:
    """The program of a tape of the arguments of the loss, as a function without arguments."""
    made, example = Program(tape), leaves()
    return lambda: made.run(example)


def compiling(least: Callable[[Callable[[], object]], float]) -> dict[str, float]:
    """What recording, compiling and plain Python cost, in seconds.

    Args:
        least: seconds per call of a function, measured.

    Returns:
        ``record``, ``derive``, ``batch``, ``set_up``: to record an equation, to make and compile one of a gradient or
        of lanes, to set it up before the first run; with ``_start`` what each of these takes however few equations
        there are.  ``plain``: what an equation takes longer in the plain function than in a program; ``run``: to enter
        a program.
    """
    small, large = _Made(doubled, [np.ones(2)], (0,)), _Made(loss, leaves(), WRT)
    found = {}
    for name in ("record", "derive", "batch", "set_up"):
        (few, low), (many, high) = small.timed(name), large.timed(name)
        each = max(high - low, 0.0) / max(many - few, 1)
        found |= {name: each, f"{name}_start": max(low - few * each, 0.0)}
    two, out, factor, run = np.ones(2), np.empty(2), np.asarray(2.0), Program(small.tape).run
    plain, program, example = least(lambda: loss(large.example)), Program(large.tape), large.example
    found["plain"] = max(plain - least(lambda: program.run(example)), 0.0) / len(large.tape)
    found["run"] = max(least(lambda: run([two])) - least(lambda: np.multiply(two, factor, out)), 0.0)
    return found


def doubled(arrays: Sequence[Any]) -> list[Any]:
    """A loss of hardly any equations."""
    return [np.sum(arrays[0] * 2.0)]


class _Made:
    """What is made of a loss, timed."""

    def __init__(self, function: Callable[[Sequence[Any]], list[Any]], example: list[Any], wrt: tuple[int, ...]):
        self.function, self.example, self.wrt = function, example, wrt
        self.flags = [position in wrt for position in range(len(example))]
        self.tape = self.record()

    def timed(self, name: str) -> tuple[int, float]:
        """The equations of what is made, and the seconds that it takes."""
        making = {"record": self.record, "derive": self.derive, "batch": self.batch, "set_up": self.derive}[name]
        readings, made = [], None
        for _ in range(READINGS):
            seconds, made = timing.timed(making)
            if isinstance(made, Program) and name == "set_up":
                first, again = (timing.timed(partial(made.run, self.example))[0] for _ in range(2))
                seconds = first - again
            readings.append(max(seconds, 0.0))
        cold = min(readings[0], COLD * min(readings))  # a case is prepared once, by code that has hardly run before
        return len(made.tape if isinstance(made, Program) else self.tape), cold

    def record(self) -> Tape:
        """The tape of the loss."""
        return trace_leaves(self.function, self.example)

    def derive(self) -> Program:
        """The compiled gradient."""
        return Program(simplify(transforms.gradient(self.tape, self.wrt)))

    def batch(self) -> Program:
        """The compiled loss of some lanes, as many as a chunk of very many has room for."""
        return Program(chunked(self.tape, self.flags, DIRECTIONS))
