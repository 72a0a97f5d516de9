"""What moves elements, checked bit for bit: value, tangent and cotangent, by where the elements came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from samples import same_bits

from difflab import transforms
from difflab.execution.program import Program
from difflab.tracing import trace_leaves


def numbers(shape: tuple[int, ...], start: int = 1) -> np.ndarray:
    """Different whole numbers, whose sums are exact."""
    return np.arange(start, start + int(np.prod(shape)), dtype=np.float64).reshape(shape)


def check(function: Callable[..., Any], x: np.ndarray, *others: Any) -> None:
    """Value, tangent and cotangent of ``function(x, *others)``, which moves elements of x, bit for bit.

    What it does to positions says which elements it took.
    """
    expected = np.asarray(function(x, *others))
    places = np.asarray(function(np.arange(x.size).reshape(x.shape), *others))
    arrays = [x, *others]
    tape = trace_leaves(lambda leaves: [function(*leaves)], arrays).check()
    assert same_bits(Program(tape).run(arrays)[0], expected)
    tangent, cotangent = numbers(x.shape, 5), numbers(expected.shape, 3)
    pushed = Program(transforms.jvp(tape, (0,))).run([*arrays, tangent])[1]
    assert same_bits(pushed, tangent.ravel()[places])
    pulled = Program(transforms.vjp(tape, (0,))).run([*arrays, cotangent])[1]
    summed = np.zeros(x.size)
    np.add.at(summed, places, cotangent)
    assert same_bits(pulled, summed.reshape(x.shape))
