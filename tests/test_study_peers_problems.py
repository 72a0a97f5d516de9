"""The problems of the study of peers: blank borders and ties of cnn, and the sizes that are measured."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

import difflab as dl
from difflab.problems import cnn, convolutional, find

SIZES = [size for size in find("cnn").sizes if size != "tiny"]


def first_layer(size: str) -> np.ndarray:
    """What the first pooling sees, relu applied, as windows ``(N, rows, columns, channels, 4)``."""
    params, x, _ = find("cnn").build(size, "float64", 0).args
    kernel = params["k1"]
    z = convolutional.im2col(x, len(kernel)) @ kernel.reshape(-1, kernel.shape[3]) + params["b1"]
    n, side = len(x), x.shape[1]
    windows = np.maximum(z, 0).reshape(n, side // 2, 2, side // 2, 2, -1)
    return windows.transpose(0, 1, 3, 5, 2, 4).reshape(n, side // 2, side // 2, -1, 4)


def test_examples_in_docstrings_run() -> None:
    for name in ("cnn", "convolutional"):
        failed, tried = doctest.testmod(importlib.import_module(f"difflab.problems.{name}"))
        assert tried > 0
        assert failed == 0


@pytest.mark.parametrize("size", SIZES)
def test_borders_are_blank_and_the_middle_is_not(size: str) -> None:
    x = find("cnn").build(size, "float32", 0).args[1]
    side = x.shape[1]
    blank = -(-side // cnn.BORDER)
    inside = x[:, blank : side - blank, blank : side - blank]
    assert np.count_nonzero(x) == np.count_nonzero(inside)
    assert np.count_nonzero(inside) > 0.9 * inside.size
    assert set(np.unique(x * cnn.LEVELS)) == set(range(cnn.LEVELS + 1))


@pytest.mark.parametrize("size", ["8x8x1-8-16", "16x16x1-8-16"])
def test_windows_tie_above_nought_and_below(size: str) -> None:
    windows = first_layer(size)
    largest = windows.max(axis=-1)
    tied = (windows == largest[..., None]).sum(axis=-1) > 1
    assert 0.005 < np.mean(tied & (largest > 0)) < 0.6  # on the kink of pooling, with a gradient to hand on
    assert np.any(tied & (largest == 0))


def test_a_tied_cotangent_goes_to_the_first_and_not_to_all() -> None:
    """With every tied element given the whole cotangent, gradients of cnn would be wrong, not nearly right."""
    one = find("cnn").build("8x8x1-8-16", "float64", 0)
    gradient = one.analytic(*one.args)[1]
    params, x, t = one.args
    z = (convolutional.im2col(x, 3) @ params["k1"].reshape(9, -1) + params["b1"]).reshape(64, 8, 8, -1)
    top = convolutional.pool(z)
    first = convolutional.route(np.ones_like(top), z, top)
    every = np.ones_like(top).repeat(2, axis=1).repeat(2, axis=2) * (z == top.repeat(2, axis=1).repeat(2, axis=2))
    assert first.sum() == top.size
    assert every.sum() > 1.005 * top.size
    found = dl.gradient(one.loss)(params, x, t)
    for key, part in gradient.items():
        np.testing.assert_allclose(found[key], part, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reverse_and_forward_mode_agree_with_the_hand_on_tiny(dtype: str) -> None:
    one = find("cnn").build("tiny", dtype, 5)
    expected = one.analytic(*one.args)[1]
    for backend in ("reverse", "forward"):
        found = dl.gradient(one.loss, backend=backend)(*one.args)
        for key, part in expected.items():
            np.testing.assert_allclose(found[key], part, rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-6)


def test_batches_differ_by_seed_and_sixty_four_images_are_one() -> None:
    first, again, other = (find("cnn").build("8x8x1-8-16", "float64", seed).args for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[1], again[1])
    assert np.any(first[1] != other[1])
    assert all(len(find("cnn").build(size, "float32", 0).args[1]) == 64 for size in SIZES)


def test_a_sigmoid_net_has_as_many_layers_as_its_size_names() -> None:
    net = find("sigmoid-net")
    layers = {size: len(net.build(size, "float64", 0).args[0]) // 2 for size in net.sizes}
    assert layers == {"tiny": 3, "31-32-1": 2, "64-64-1": 2, "128-128-1": 2, "320-312-1": 2}
