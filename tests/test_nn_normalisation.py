"""Normalisation and maxout against loops and formulas; new layers in exact arithmetic, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from layer_checks import check_layer, numbers
from samples import DTYPES

from difflab import nn
from difflab.errors import InputError
from difflab.harness.certify import certified
from difflab.operators import gradient, vjp
from difflab.tracing import trace_leaves

# ---------------------------------------------------------------------------- batch normalisation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 2), (1, 4, 3)])
def test_batch_normalisation_in_training(shape: tuple[int, ...], dtype: str) -> None:
    x, scale, shift = numbers(shape, "x", dtype), numbers(shape[-1:], "scale", dtype), numbers(shape[-1:], "b", dtype)
    rows = x.reshape(-1, shape[-1]).astype("f8")
    expected = scale * (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5) + shift
    check_layer(nn.batch_norm, expected.reshape(shape), x, scale, shift)


def test_batch_normalisation_by_hand() -> None:
    """With m rows, z = (x - mean) / s and dz = dy * scale: dx = (dz - mean(dz) - z mean(dz z)) / s."""
    x, scale, shift = numbers((6, 3), "x"), numbers((3,), "scale"), numbers((3,), "shift")
    dy, epsilon = numbers((6, 3), "dy"), 1e-3
    s = np.sqrt(x.var(axis=0) + epsilon)
    z = (x - x.mean(axis=0)) / s
    dz = dy * scale
    by_hand = ((dz - dz.mean(axis=0) - z * (dz * z).mean(axis=0)) / s, (dy * z).sum(axis=0), dy.sum(axis=0))
    _, pullback = vjp(lambda *args: nn.batch_norm(*args, epsilon=epsilon), x, scale, shift)
    for found, expected in zip(pullback(dy), by_hand, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert np.max(np.abs(by_hand[0].sum(axis=0))) < 1e-14  # a shift of the batch changes nothing


def test_a_normalised_batch_has_mean_nought_and_variance_one() -> None:
    x = 3 * numbers((50, 2), "x") + 7
    y = nn.batch_norm(x, np.ones(2), np.zeros(2), epsilon=1e-12)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_normalisation_in_evaluation(dtype: str) -> None:
    x, scale, shift, mean = (numbers((2, 3) if k == 0 else (3,), f"{k}", dtype) for k in range(4))
    variance = np.array([0.5, 1.0, 4.0], dtype)
    expected = scale * (x - mean) / np.sqrt(variance.astype("f8") + 1e-5) + shift
    check_layer(nn.batch_norm, expected, x, scale, shift, mean, variance)


def test_evaluation_with_the_statistics_of_the_batch_has_its_value_and_another_gradient() -> None:
    x, one, none = numbers((6, 3), "x"), np.ones(3), np.zeros(3)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    np.testing.assert_allclose(nn.batch_norm(x, one, none), nn.batch_norm(x, one, none, mean, variance), rtol=1e-13)
    g = numbers((6, 3), "g")
    training, given_ = (
        vjp(lambda x, more=more: nn.batch_norm(x, one, none, *more), x)[1](g)[0] for more in ((), (mean, variance))
    )
    np.testing.assert_allclose(given_, g / np.sqrt(variance + 1e-5), rtol=1e-13)
    assert np.max(np.abs(training - given_)) > 0.01


# ---------------------------------------------------------------------------- local response normalisation


def loop_response(x: np.ndarray, size: int, alpha: float, beta: float, bias: float) -> np.ndarray:
    flat = x.reshape(-1, x.shape[-1]).astype("f8")
    y = np.zeros_like(flat)
    for row in range(len(flat)):
        for i in range(flat.shape[1]):
            near = range(max(0, i - size // 2), min(flat.shape[1] - 1, i + size // 2) + 1)
            y[row, i] = flat[row, i] / (bias + alpha * sum(flat[row, j] ** 2 for j in near)) ** beta
    return y.reshape(x.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "constants"),
    [
        ((2, 2, 3, 7), (5, 1e-4, 0.75, 2.0)), ((3, 6), (3, 0.5, 0.75, 1.0)), ((2, 2), (5, 1.0, 0.5, 0.1)),
        ((4,), (1, 2.0, 1.0, 1.0)), ((2, 3), (3, 0.0, 0.75, 2.0)),
    ],
)  # fmt: skip
def test_local_response_normalisation_against_loops(shape: tuple[int, ...], constants: tuple, dtype: str) -> None:
    x = 3 * numbers(shape, "x", dtype)
    check_layer(lambda x: nn.local_response_norm(x, *constants), loop_response(x, *constants), x)


def test_defaults_of_local_response_normalisation_are_those_of_the_paper() -> None:
    x = 10 * numbers((2, 9), "x")
    assert np.array_equal(nn.local_response_norm(x), nn.local_response_norm(x, 5, 1e-4, 0.75, 2.0))


# ---------------------------------------------------------------------------- maxout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [2, 3])
def test_maxout_is_the_largest_map(count: int, dtype: str) -> None:
    maps = [numbers((4, 3), f"map{k}", dtype) for k in range(count)]
    check_layer(nn.maxout, np.max(maps, axis=0), *maps)


def test_equal_maps_share_the_derivative_of_maxout() -> None:
    same = np.array([1.0, 2.0])
    found = gradient(lambda *maps: np.sum(nn.maxout(*maps) * 6), argnums=(0, 1, 2))(same, same, np.array([1.0, 0.0]))
    assert [part.tolist() for part in found] == [[2, 3], [2, 3], [2, 0]]


# ---------------------------------------------------------------------------- exact arithmetic, empty batches

X = numbers((1, 4, 4, 2), "exact")
EXACT: dict[str, Callable] = {
    "groups": lambda x: nn.conv2d(x, np.ones((3, 3, 1, 2)), padding=1, groups=2),
    "dilation": lambda x: nn.conv2d(x, np.ones((2, 2, 2, 1)), dilation=2),
    "transposed": lambda x: nn.conv2d_transpose(x, np.ones((3, 3, 1, 2)), 2, 1, 1),
    "nearest": lambda x: nn.upsample2d(x, 2),
    "bilinear": lambda x: nn.upsample2d(x, 2, how="bilinear"),
    "batch": lambda x: nn.batch_norm(x, np.array([1.0, -0.5]), np.zeros(2)),
    "response": lambda x: nn.local_response_norm(x, 3, 0.5),
    "maxout": lambda x: nn.maxout(x, 2 * x, -x),
}


@pytest.mark.parametrize("label", EXACT)
def test_gradients_are_the_certified_ones(label: str) -> None:
    loss = lambda x: np.sum(np.tanh(EXACT[label](x)))  # noqa: E731
    tape = trace_leaves(lambda leaves: [loss(*leaves)], [X])
    found = certified(tape, [X], (0,))
    assert found.certified_text == "yes"
    np.testing.assert_allclose(gradient(loss)(X), found.high[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("label", [one for one in EXACT if one != "batch"])
def test_an_empty_batch_stays_empty(label: str) -> None:
    y, pullback = vjp(EXACT[label], X[:0])
    assert (len(y), pullback(y)[0].shape) == (0, (0, 4, 4, 2))


# ---------------------------------------------------------------------------- refusals

REFUSALS: dict[str, tuple[Callable, str]] = {
    "groups": (
        lambda x: nn.conv2d(x, x, groups=0),
        "groups of conv2d at test_nn_normalisation.* is an integer of at least 1, not 0",
    ),
    "no number": (lambda x: nn.conv2d(x, x, groups=True), "groups of conv2d at .* at least 1, not True"),
    "channels": (
        lambda x: nn.conv2d(x, np.ones((3, 3, 1, 3)), groups=3),
        "3 groups do not divide 2 channels and 3 outputs; take",
    ),
    "outputs": (lambda x: nn.conv2d(x, np.ones((3, 3, 1, 3)), groups=2), "2 groups do not divide 2 channels and 3 out"),
    "share": (
        lambda x: nn.conv2d(x, np.ones((3, 3, 2, 2)), groups=2),
        r"kernel of shape \(3, 3, 2, 2\) does not fit .* in 2 groups; it should be \(rows, columns, 1, outputs\)",
    ),
    "dilation": (
        lambda x: nn.conv2d(x, np.ones((3, 3, 2, 1)), dilation=0),
        "dilation of conv2d at .* not 0; give 1 or",
    ),
    "reach": (
        lambda x: nn.conv2d(x, np.ones((3, 1, 2, 1)), dilation=2),
        "kernel of 3, 5 with its dilation, does not fit into 4",
    ),
    "transposed": (
        lambda x: nn.conv2d_transpose(x, np.ones((3, 3, 2, 1))),
        r"conv2d_transpose at test_nn_norm.* \(3, 3, 2, 1\) does not fit .* it should be \(rows, columns, outputs, 2\)",
    ),
    "output padding": (
        lambda x: nn.conv2d_transpose(x, np.ones((3, 3, 1, 2)), 2, output_padding=2),
        r"output_padding \(2, 2\) must be smaller than the stride \(2, 2\)",
    ),
    "negative": (
        lambda x: nn.conv2d_transpose(x, np.ones((3, 3, 1, 2)), 2, output_padding=-1),
        "output_padding of .* give 0 or more",
    ),
    "nothing left": (
        lambda x: nn.conv2d_transpose(x, np.ones((1, 1, 1, 2)), padding=2),
        "leave no pixel over .* smaller p",
    ),
    "factor": (lambda x: nn.upsample2d(x, 0), "factor of upsample2d at .* pair of integers, not 0; give 1 or more"),
    "how": (lambda x: nn.upsample2d(x, 2, how="cubic"), "how of upsample2d at .* 'nearest' or 'bilinear', not 'cubic'"),
    "images": (lambda x: nn.upsample2d(x[0], 2), r"upsample2d at .* takes images of shape \(batch, rows"),
    "one of two": (
        lambda x: nn.batch_norm(x, np.ones(2), np.ones(2), mean=np.zeros(2)),
        "one of mean and variance; give both",
    ),
    "epsilon": (
        lambda x: nn.batch_norm(x, np.ones(2), np.ones(2), epsilon=0),
        "epsilon of batch_norm .* positive .* not 0",
    ),
    "per channel": (
        lambda x: nn.batch_norm(x, np.ones(4), np.ones(2)),
        r"shapes \(4,\), \(2,\) do not fit x of shape \(1, 4, 4, 2\); each needs one number per channel",
    ),
    "no rows": (lambda x: nn.batch_norm(x[:0], np.ones(2), np.ones(2)), "statistics over the batch, .* has none; give"),
    "one axis": (
        lambda x: nn.batch_norm(x[0, 0, 0], np.ones(2), np.ones(2)),
        "statistics over the batch, and x of shape",
    ),
    "even": (lambda x: nn.local_response_norm(x, 4), "local_response_norm at .* an odd size, .* size 4, alpha 0.0001"),
    "bias": (lambda x: nn.local_response_norm(x, bias=0.0), "a positive bias, not .* and bias 0.0"),
    "beta": (lambda x: nn.local_response_norm(x, beta=math.nan), "beta of local_.* is a Python number, not nan"),
    "one map": (
        lambda x: nn.maxout(x),
        r"maxout at .* two or more arrays of one shape, not arrays of shapes \(1, 4, 4, 2\)",
    ),
    "two shapes": (
        lambda x: nn.maxout(x, x[0]),
        r"not arrays of shapes \(1, 4, 4, 2\), \(4, 4, 2\); give one array for",
    ),
}


@pytest.mark.parametrize("label", REFUSALS)
def test_what_does_not_fit_is_refused_on_plain_and_traced_arrays(label: str) -> None:
    function, message = REFUSALS[label]
    with pytest.raises(InputError, match=message):
        function(X)
    with pytest.raises(InputError, match=message):
        gradient(lambda x: np.sum(function(x)))(X)
