"""Padding in every mode and even spacings: NumPy's result, and derivatives in what is padded and in traced ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from moved import check, numbers
from samples import same_bits

from difflab import transforms
from difflab.execution.program import Program
from difflab.operators import gradient, jvp
from difflab.tracing import trace_leaves

FULL = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
MODES: Any = st.sampled_from(["edge", "reflect", "symmetric", "wrap", "maximum", "minimum"])


@settings(max_examples=60)
@given(st.data(), FULL, MODES)
def test_any_padding_by_elements(data: st.DataObject, shape: tuple[int, ...], mode: Any):
    widths: Any = [(data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))) for _ in shape]
    check(lambda x: np.pad(x, widths, mode), numbers(shape))


@settings(max_examples=60)
@given(st.data(), FULL)
def test_any_padding_by_arithmetic(data: st.DataObject, shape: tuple[int, ...]):
    widths: Any = [(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in shape]
    ends: Any = [[data.draw(st.integers(-3, 3)) for _ in range(2)] for _ in shape]
    lengths: Any = [[data.draw(st.integers(1, 5)) for _ in range(2)] for _ in shape]
    kinds: list[dict[str, Any]] = [
        {"mode": "constant", "constant_values": ends},
        {"mode": "linear_ramp", "end_values": ends},
        {"mode": "mean", "stat_length": lengths},
        {"mode": "maximum", "stat_length": lengths},
        {"mode": "reflect", "reflect_type": "odd"},
        {"mode": "symmetric", "reflect_type": "odd"},
    ]
    whole, moving = np.arange(1, 1 + int(np.prod(shape))).reshape(shape), numbers(shape, 7) / 8
    for kind in kinds:
        for x in (numbers(shape) / 3, whole):
            tape = trace_leaves(lambda leaves, kind=kind: [np.pad(leaves[0], widths, **kind)], [x])
            expected, (found,) = np.pad(x, widths, **kind), Program(tape).run([x])
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        x = numbers(shape) / 3
        # All of these are affine while the order of elements stays as it is.
        function: Any = lambda x, kind=kind: np.pad(x, widths, **kind)  # noqa: E731 (a function of this turn's kind)
        tape = trace_leaves(lambda leaves, function=function: [function(leaves[0])], [x])
        pushed = Program(transforms.jvp(tape, (0,))).run([x, moving])[1]
        np.testing.assert_allclose(pushed, function(x + moving) - function(x), rtol=1e-9, atol=1e-9)
        cotangent = numbers(pushed.shape, 2)
        pulled = Program(transforms.vjp(tape, (0,))).run([x, cotangent])[1]
        np.testing.assert_allclose(np.sum(pulled * moving), np.sum(cotangent * pushed), rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------------- traced ends and values


@given(st.data(), st.integers(0, 6), st.booleans())
def test_any_linspace(data: st.DataObject, num: int, endpoint: bool):
    shape = data.draw(st.lists(st.integers(0, 3), max_size=2).map(tuple))
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    start, stop = numbers(shape), numbers(shape, 9) / 8

    def samples(start: Any, stop: Any) -> Any:
        return np.linspace(start, stop, num, endpoint=endpoint, axis=axis)

    tape = trace_leaves(lambda leaves: [samples(*leaves)], [start, stop]).check()
    assert same_bits(Program(tape).run([start, stop])[0], samples(start, stop))
    pushed = Program(transforms.jvp(tape, (0, 1))).run([start, stop, stop, start])[1]
    np.testing.assert_allclose(pushed, samples(stop, start), rtol=1e-12, atol=1e-12)


def test_the_ends_of_linspace_are_exact():
    assert jvp(lambda stop: np.linspace(0.1, stop, 7), (0.3,), (1.0,))[1][-1] == 1.0
    assert np.array_equal(jvp(lambda start: np.linspace(start, 2.0, 3), (0.5,), (1.0,))[1], [1.0, 0.5, 0.0])
    for x, expected in ((np.float32(1), "f4"), (1.0, "f8"), (np.array([1, 2]), "f8")):
        tape = trace_leaves(lambda leaves: [np.linspace(leaves[0], 3, 4)], [x])
        assert tape.avals[tape.outputs[0]].dtype == expected == np.linspace(x, 3, 4).dtype


def test_the_gradient_of_padded_values():
    value = gradient(lambda c: np.sum(np.pad(np.ones((2, 2)) * c, 1, constant_values=c * c)))(3.0)
    assert value == 4 + 12 * 6
    assert np.array_equal(gradient(lambda v: np.sum(np.pad(v, 1, constant_values=v)[0]))(np.array([2.0, 5.0])), [1, 0])
