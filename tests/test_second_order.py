"""Second derivatives of every call of NumPy's functions: forward over reverse, reverse over forward, differences."""

from __future__ import annotations

from typing import Any

import calls
import numpy as np
import pytest
from samples import central, close, rng_of

from difflab import transforms
from difflab.tape import Tape
from difflab.tracing import trace_leaves

SHAPES = ((3, 4), (3, 4), (4,), ())


def tangent_alone(tape: Tape, wrt: range) -> Tape:
    """The tape of the directional derivative of a scalar function."""
    pushed = transforms.jvp(tape, wrt)
    return Tape(**{**vars(pushed), "outputs": pushed.outputs[1:]})


@pytest.mark.parametrize("name", calls.CALLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forward_over_reverse_and_reverse_over_forward(name: str):
    rng = rng_of(f"second order of {name}")
    args = [np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in SHAPES]
    tangents = [np.asarray(rng.uniform(-1, 1, shape)) for shape in SHAPES]
    shape = np.shape(calls.CALLS[name](*args))
    weights = np.asarray(rng.uniform(-1, 1, shape))

    def loss(leaves: Any) -> list[Any]:
        return [np.sum(np.real(calls.CALLS[name](*leaves)) * weights)]

    tape = trace_leaves(loss, args)
    wrt = range(len(args))
    gradient = transforms.simplify(transforms.gradient(tape, wrt))
    forward = transforms.jvp(gradient, wrt).evaluate([*args, *tangents])[len(args) + 2 :]
    backward = transforms.gradient(tangent_alone(tape, wrt), wrt).evaluate([*args, *tangents])[1:]
    for first, second in zip(forward, backward, strict=True):
        assert close(first, second, "float64")
    direction = [np.asarray(rng.uniform(-1, 1, shape)) for shape in SHAPES]

    def along(step: float) -> Any:
        slopes = gradient.evaluate([a + step * t for a, t in zip(args, tangents, strict=True)])[1:]
        return np.asarray(sum(np.sum(d * slope) for d, slope in zip(direction, slopes, strict=True)))

    found = sum(np.sum(d * product) for d, product in zip(direction, forward, strict=True))
    assert close(found, central(along, 1e-2), "float64", factor=20)  # small steps: the slopes of choices jump
