"""Convolutional networks in another order: the same values and derivatives, ties, NaN and borders included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab import nn
from difflab.problems import find
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, simplify
from difflab.transforms.convolutions import pool_before_relu, rearranged

VALUES = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0, 2.0])


def names(tape: Tape) -> list[str]:
    return [equation.primitive.name for equation in tape.equations]


def pooled(size: int, stride: int) -> Any:
    def loss(leaves: list[Any]) -> list[Any]:
        x, weights = leaves
        y = nn.max_pool2d(nn.relu(x), size, stride)
        return [np.sum(y * y * weights[:, : y.shape[1], : y.shape[2]])]

    return loss


def both(tape: Tape, wrt: tuple[int, ...], leaves: list[Any]) -> tuple[list[Any], list[Any]]:
    """Value and gradients as derived, and after the other order."""
    with np.errstate(all="ignore"):
        plain = gradient(tape, wrt).check().evaluate(leaves)
        other = simplify(rearranged(simplify(gradient(pool_before_relu(tape), wrt)))).check().evaluate(leaves)
    return plain, other


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["float32", "float64"]))
def test_relu_behind_a_pooling_has_the_derivatives_of_relu_before_it(data, size, stride, dtype):
    shape = (2, size + data.draw(st.integers(0, 3)), size + data.draw(st.integers(0, 3)), 2)
    entries = data.draw(st.lists(VALUES, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    leaves = [np.array(entries, dtype).reshape(shape), np.cos(np.arange(np.prod(shape))).astype(dtype).reshape(shape)]
    tape = trace_leaves(pooled(size, stride), leaves)
    plain, other = both(tape, (0,), leaves)
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nan_takes_the_same_way():
    x = np.array([[0.5, np.nan, -1.0, -1.0], [2.0, 1.0, -2.0, np.nan]]).reshape(1, 2, 4, 1)
    tape = trace_leaves(pooled(2, 2), [x, np.ones_like(x)])
    for a, b in zip(*both(tape, (0,), [x, np.ones_like(x)]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_windows_without_a_positive_pixel_have_no_derivative_wherever_their_maximum_is():
    x = np.array([-1.0, 0.0, -2.0, -0.0]).reshape(1, 2, 2, 1)
    leaves = [x, np.ones_like(x)]
    assert not np.any(both(trace_leaves(pooled(2, 2), leaves), (0,), leaves)[1][1])


def test_only_relu_that_nothing_else_reads_is_moved():
    def twice(leaves):
        y = nn.relu(leaves[0])
        return [np.sum(nn.max_pool2d(y, 2)) + np.sum(y)]

    def other_kink(leaves):  # maximum(x, 0) has the derivative 1/2 at 0: the element that is chosen matters
        return [np.sum(nn.max_pool2d(np.maximum(leaves[0], 0.0), 2))]

    x = np.zeros((1, 2, 2, 1))
    for loss in (twice, other_kink):
        tape = trace_leaves(loss, [x])
        assert pool_before_relu(tape) is tape


def test_a_sum_before_the_pooling_stays_there():
    """Adding can make ties of what is none, and a tie decides where a derivative goes."""

    def loss(leaves):
        return [np.sum(nn.max_pool2d(nn.relu(leaves[0] + leaves[1]), 2))]

    x = np.array([1.0, 1.0 + 2.0**-52, 0.5, 0.5]).reshape(1, 2, 2, 1)
    leaves = [x, np.array([4.0])]
    tape = trace_leaves(loss, leaves)
    plain, other = both(tape, (0, 1), leaves)
    assert plain[1].ravel().tolist() == other[1].ravel().tolist() == [1.0, 0.0, 0.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5),
    st.integers(1, 12), st.sampled_from([(1, 1), (1, 2), (2, 1)]), st.integers(0, 4), st.sampled_from([1, 2]),
)  # fmt: skip
def test_gradients_of_a_convolution_by_images_and_kernel(batch, rows, columns, height, width, c, o, stride, pad, dil):
    reach = ((height - 1) * dil + 1, (width - 1) * dil + 1)
    pad = (max(pad, -(-(reach[0] - rows) // 2), 0), max(pad, -(-(reach[1] - columns) // 2), 0))
    random = np.random.default_rng(batch + rows + columns)
    leaves = [random.normal(size=(batch, rows, columns, c)), random.normal(size=(height, width, c, o))]

    def loss(given):
        return [np.sum(np.sin(nn.conv2d(*given, stride=stride, padding=pad, dilation=dil)))]

    plain, other = both(trace_leaves(loss, leaves), (0, 1), leaves)
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12 * np.abs(a).max())


def test_each_rewriting_happens_where_it_pays():
    wide, deep, kernel = np.ones((2, 16, 16, 1)), np.ones((2, 8, 8, 8)), np.ones((3, 3, 8, 8))

    def loss(leaves):
        return [np.sum(nn.conv2d(*leaves, padding="same") ** 2)]

    pixels = simplify(rearranged(simplify(gradient(trace_leaves(loss, [wide, np.ones((3, 3, 1, 8))]), (1,)))))
    found = [e.params["axes"] for e in pixels.equations if e.primitive.name == "transpose"]
    assert (3, 4, 5, 0, 1, 2) in found
    images = simplify(rearranged(simplify(gradient(trace_leaves(loss, [deep, kernel]), (0, 1)))))
    assert "fold" not in names(images)
    assert names(images).count("windows") == 2
    # of many outputs the patches of a convolution would be far larger than what is folded
    many = simplify(gradient(trace_leaves(loss, [np.ones((2, 8, 8, 1)), np.ones((3, 3, 1, 64))]), (0, 1)))
    assert "fold" in names(rearranged(many))
    # and a stride other than 1 leaves holes
    strided = trace_leaves(lambda leaves: [np.sum(nn.conv2d(*leaves, stride=2) ** 2)], [deep, kernel])
    assert "fold" in names(rearranged(simplify(gradient(strided, (0, 1)))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_network_on_digits_agrees_with_the_gradient_by_hand(dtype, blocks):
    instance = find("digits-cnn").build("medium", dtype, 0)
    prepared = dl.prepare(
        instance.loss, *instance.args, operator="value_and_gradient", backend=dl.Reverse(blocks=blocks)
    )
    value, found = prepared.value_and_gradient(*instance.args)
    expected_value, expected = instance.analytic(*instance.args)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    assert abs(value - expected_value) <= tolerance
    for key, part in expected.items():
        assert found[key].dtype == part.dtype
        np.testing.assert_allclose(found[key], part, rtol=0, atol=tolerance * np.abs(part).max())


def test_checkpoints_give_the_same_bits_in_this_order_too():
    instance = find("digits-cnn").build("small", "float64", 0)
    answers = []
    for backend in (dl.Reverse(blocks=1), dl.Reverse(checkpoints=2)):
        prepared = dl.prepare(instance.loss, *instance.args, operator="value_and_gradient", backend=backend)
        answers.append(prepared.value_and_gradient(*instance.args))
    assert answers[0][0] == answers[1][0]
    for key in answers[0][1]:
        assert answers[0][1][key].tobytes() == answers[1][1][key].tobytes()
