"""One function as a user's primitive in every way: with either rule or both, traced through, and opaque."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import difflab as dl

X = np.array([0.3, -0.7, 1.2])


def made(function: Callable, vjp: Callable | None = None, jvp: Callable | None = None, **options: Any) -> Any:
    """A primitive of some rules, under a name that cannot be imported."""
    own = dl.primitive(function, name="m:f", **options)
    if vjp is not None:
        own.vjp(vjp)
    if jvp is not None:
        own.jvp(jvp)
    return own


def product(x, y):
    return x * y


def plainly(x, y, *, k=1):
    return np.tanh(x * y) ** k


@dl.primitive
def gate(x, y, *, k=1):
    return np.tanh(x * y) ** k


@gate.vjp
def gate_vjp(cotangent, out, x, y, *, k):
    slope = cotangent * k * np.tanh(x * y) ** (k - 1) * (1.0 - np.tanh(x * y) ** 2)
    return slope * y, np.sum(slope * x) if np.shape(y) == () else slope * x


@dl.primitive
def pushed(x, y, *, k=1):
    return np.tanh(x * y) ** k


@pushed.jvp
def pushed_jvp(tangents, out, x, y, *, k):
    return k * np.tanh(x * y) ** (k - 1) * (1.0 - np.tanh(x * y) ** 2) * (tangents[0] * y + x * tangents[1])


@dl.primitive
def both(x, y, *, k=1):
    return np.tanh(x * y) ** k


both.vjp(gate_vjp)
both.jvp(pushed_jvp)


@dl.primitive
def bare(x, y, *, k=1):
    return np.tanh(x * y) ** k


@dl.primitive(opaque=True)
def black(x, y, *, k=1):
    return np.array([math.tanh(a * b) ** k for a, b in np.broadcast(x, y)]).reshape(np.broadcast(x, y).shape)


black.vjp(gate_vjp)


@dl.primitive(opaque=True)
def black_pushed(x, y, *, k=1):
    return np.array([math.tanh(a * b) ** k for a, b in np.broadcast(x, y)]).reshape(np.broadcast(x, y).shape)


black_pushed.jvp(pushed_jvp)

TRACED = [gate, pushed, both, bare]
ALL = [*TRACED, black, black_pushed]


class Counted:
    """The identity as an opaque primitive that counts how often it is computed."""

    def __init__(self) -> None:
        self.calls = 0

        def through(x: Any) -> Any:
            self.calls += 1
            return np.array(x) * 1.0

        self.primitive = dl.primitive(through, opaque=True, abstract=lambda x: x)
        self.primitive.vjp(lambda cotangent, out, x: (cotangent,))

    def __call__(self, x: Any) -> Any:
        return self.primitive(x)
