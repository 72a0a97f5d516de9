"""AlexNet: its parameters and units by count, its layers by hand against loops and reverse mode, its forecasts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import rng_of

import difflab as dl
from difflab import nn
from difflab.backends import find as find_backend
from difflab.harness import accuracy
from difflab.harness.certify import certified
from difflab.operators import source
from difflab.problems import alexnet, find, layers
from difflab.tape import Tape

# the paper's layers: positions and maps, hidden units, classes; for the first it prints 253 440, which is 55 x 48 x 96
UNITS = [55 * 55 * 96, 27 * 27 * 256, 13 * 13 * 384, 13 * 13 * 384, 13 * 13 * 256, 4096, 4096, 1000]
WEIGHTS = [
    11 * 11 * 3 * 96, 5 * 5 * 48 * 256, 3 * 3 * 256 * 384, 3 * 3 * 192 * 384, 3 * 3 * 192 * 256,
    6 * 6 * 256 * 4096, 4096 * 4096, 4096 * 1000,
]  # fmt: skip
BIASES = [96, 256, 384, 384, 256, 4096, 4096, 1000]


def shaped(size: str, dtype: str = "float32") -> tuple:
    """The arguments of the loss as shapes without data."""
    dimensions = alexnet.SIZES[size]
    params = {key: dl.Shape(shape, dtype) for key, shape in alexnet.shapes(dimensions).items()}
    images = (dimensions["batch"], dimensions["side"], dimensions["side"], dimensions["colours"])
    return params, dl.Shape(images, dtype), dl.Shape((dimensions["batch"], dimensions["classes"]), dtype)


def how(size: str) -> alexnet.Geometry:
    return alexnet.geometry(alexnet.SIZES[size])


def traced_loss(size: str) -> Tape:
    return dl.trace(alexnet.network(how(size)), *shaped(size)).tape


# ---------------------------------------------------------------------------- what the paper counts


def test_it_has_60_965_224_parameters() -> None:
    assert sum(WEIGHTS) + sum(BIASES) == 60_965_224
    assert find("alexnet").count("full") == 60_965_224
    tape = traced_loss("full")
    params = [tape.avals[number] for number in tape.inputs][: len(WEIGHTS) + len(BIASES)]
    assert sum(aval.size for aval in params) == 60_965_224
    shapes = alexnet.shapes(alexnet.SIZES["full"])
    assert [math.prod(shapes[key]) for key in ("k1", "k2", "k3", "k4", "k5", "w6", "w7", "w8")] == WEIGHTS


def test_it_has_659_272_units_of_which_the_paper_says_650_thousand() -> None:
    params, x, _ = shaped("full")
    tape = dl.trace(lambda params, x: alexnet.activities(params, x, how("full")), params, x).tape
    units = [tape.avals[number].size for number in tape.outputs]
    assert units == UNITS
    assert sum(units) == 659_272
    assert sum(units) // 10_000 * 10_000 == 650_000  # cut, not rounded, to tens of thousands


def test_the_paper_prints_another_count_for_its_first_layer() -> None:
    printed = [253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert printed[1:] == UNITS[1:]
    assert (printed[0], UNITS[0]) == (55 * 48 * 96, 55 * 55 * 96)


def test_images_of_224_pixels_in_a_frame_of_two_have_the_same_positions() -> None:
    w = dl.Shape((11, 11, 3, 96), "float32")
    found = [
        dl.trace(lambda x, w, padding=padding: nn.conv2d(x, w, 4, padding), dl.Shape((1, side, side, 3), "float32"), w)
        for side, padding in ((227, 0), (224, 2))
    ]
    assert {trace.tape.avals[trace.tape.outputs[0]].shape for trace in found} == {(1, 55, 55, 96)}


@pytest.mark.parametrize("size", alexnet.SIZES)
def test_every_size_has_the_make_of_the_paper(size: str) -> None:
    spans = traced_loss(size).spans
    convolutions = [span.name for span in spans if "conv2d" in span.name]
    assert convolutions == ["conv2d", "grouped_conv2d", "conv2d", "grouped_conv2d", "grouped_conv2d"]
    names = [span.name for span in spans]
    assert (names.count("local_response_norm"), names.count("max_pool2d")) == (2, 3)
    pools = [span.params for span in spans if span.name == "max_pool2d"]
    assert all(pool["size"] > pool["stride"] for pool in pools)  # windows overlap


# ---------------------------------------------------------------------------- the gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", ["tiny", "small"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_by_hand_and_by_reverse_mode(size: str, seed: int, dtype: str) -> None:
    one = find("alexnet").build(size, dtype, seed)
    value, gradient = dl.value_and_gradient(one.loss)(*one.args)
    expected_value, expected = one.analytic(*one.args)
    bound = 1e-13 if dtype == "float64" else 2e-5
    assert value == pytest.approx(float(expected_value), rel=bound)
    for key, part in expected.items():
        assert (part.shape, part.dtype) == (one.args[0][key].shape, np.dtype(dtype))
        assert np.linalg.norm(gradient[key] - part) <= bound * np.linalg.norm(part)
        assert np.count_nonzero(part) > 0  # no layer is dead


@pytest.mark.parametrize("seed", [0, 1])
def test_by_hand_is_the_certified_gradient(seed: int) -> None:
    one = find("alexnet").build("tiny", "float64", seed)
    made = source(one.loss, one.args)
    found = certified(made.trace(), made.example, made.wrt)
    assert found.certified_text == "yes"
    expected = one.analytic(*one.args)[1]
    for high, key in zip(found.high, sorted(expected), strict=True):
        np.testing.assert_allclose(expected[key], high, rtol=1e-10, atol=1e-15)


def test_the_full_network_is_forecast_and_nothing_hopeless_is_tried() -> None:
    tape = traced_loss("full")
    wrt = tuple(range(len(WEIGHTS) + len(BIASES)))
    reverse = find_backend("reverse").predict(tape, "gradient", wrt)
    assert reverse.nbytes < 400 * 2**20  # a second set of parameters and little more
    assert reverse.primal_calls < 4
    assert find_backend("forward").predict(tape, "gradient", wrt).primal_calls == 60_965_224
    assert find_backend("finite", scheme="forward").predict(tape, "gradient", wrt).primal_calls == 60_965_225
    assert find_backend("finite").predict(tape, "gradient", wrt).primal_calls == 2 * 60_965_224 + 1
    assert find_backend("symbolic", way="tree").predict(tape, "gradient", wrt).seconds > 1000 * 365.25 * 86400
    graph = find_backend("symbolic").predict(tape, "gradient", wrt)
    assert graph.seconds > 3600
    assert graph.nbytes > 2**40


def test_no_certificate_is_tried_where_the_loss_alone_takes_too_long(tmp_path) -> None:
    spec = {"problem": "alexnet", "size": "small", "seed": 0}
    found = accuracy.make_reference(spec, str(tmp_path / "r.npz"), 0.01)
    assert found["why"].startswith("the loss alone is forecast to take ")
    assert found["why"].endswith(" in ball arithmetic; the limit is 10 ms")


# ---------------------------------------------------------------------------- its layers by hand


def numbers(shape: tuple[int, ...], label: str) -> np.ndarray:
    return rng_of(label).standard_normal(shape)


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 0, 1), (4, 0, 1), (1, 2, 2), (2, 1, 3)])
def test_convolution_by_hand_is_that_of_the_package(stride: int, padding: int, groups: int) -> None:
    x, w = numbers((2, 9, 8, 6), "x"), numbers((5, 5, 6 // groups, 6), "w")
    y, patches = layers.convolve(x, w, stride, padding, groups)
    value, pullback = dl.vjp(lambda x, w: nn.conv2d(x, w, stride, padding, groups=groups), x, w)
    np.testing.assert_allclose(y, value, rtol=1e-12, atol=1e-12)
    g = numbers(y.shape, "g")
    dx, dw = pullback(g)
    np.testing.assert_allclose(layers.convolve_back(g, w, x, stride, padding, groups), dx, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layers.kernel_slope(g, patches, w), dw, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "stride"), [(2, 1), (3, 2), (2, 2), (3, 1), (1, 2)])
def test_pooling_by_hand_routes_to_the_first_maximum(size: int, stride: int) -> None:
    x = np.round(2 * numbers((2, 7, 6, 3), "ties"))  # rounding makes ties
    y = layers.pool(x, size, stride)
    value, pullback = dl.vjp(lambda x: nn.max_pool2d(x, size, stride), x)
    assert np.array_equal(y, value)
    g = numbers(y.shape, "g")
    np.testing.assert_allclose(layers.pool_back(g, x, y, size, stride), pullback(g)[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("channels", [1, 2, 4, 9])
def test_normalisation_by_hand_is_that_of_the_package(channels: int) -> None:
    x = 30 * numbers((2, 3, 2, channels), "x")
    y, s = layers.normalise(x)
    value, pullback = dl.vjp(nn.local_response_norm, x)
    np.testing.assert_allclose(y, value, rtol=1e-13)
    g = numbers(y.shape, "g")
    np.testing.assert_allclose(layers.normalise_back(g, x, s), pullback(g)[0], rtol=1e-12, atol=1e-13)
