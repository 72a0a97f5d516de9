"""The problem ``inpainting``: its masks, its forward function, its loss and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.data import digits
from difflab.problems import find, inpainting


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize(("side", "hole"), [(4, 2), (8, 4), (8, 3), (8, 8)])
def test_a_mask_hides_one_square_block(side: int, hole: int, anywhere: bool) -> None:
    images, masks = inpainting.examples(side, hole, anywhere, 60, 0)
    assert images.shape == masks.shape == (60, side, side)
    assert set(np.unique(masks)) <= {0.0, 1.0}
    starts = set()
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert len(rows) == len(columns) == hole
        assert mask[np.ix_(rows, columns)].all()
        assert np.ptp(rows) == np.ptp(columns) == hole - 1
        assert mask.sum() == hole**2
        starts.add((int(rows[0]), int(columns[0])))
    middle = (side - hole) // 2
    assert starts == {(middle, middle)} if not anywhere or side == hole else len(starts) > 4


def test_examples_are_different_digits_and_the_seed_decides() -> None:
    images, masks = inpainting.examples(8, 4, True, 1797, 3)
    known = digits()[0] / 16.0
    assert np.array_equal(np.sort(images.reshape(1797, -1), axis=0), np.sort(known.reshape(1797, -1), axis=0))
    again, same = inpainting.examples(8, 4, True, 1797, 3)
    assert np.array_equal(images, again)
    assert np.array_equal(masks, same)
    assert not np.array_equal(images, inpainting.examples(8, 4, True, 1797, 4)[0])
    assert not np.array_equal(masks, inpainting.examples(8, 4, True, 1797, 4)[1])


@pytest.mark.parametrize("size", inpainting.SIZES)
def test_known_pixels_stay_and_hidden_ones_have_no_influence(size: str) -> None:
    params, images, masks = find("inpainting").build(size, "float64", 0).args
    completed = inpainting.forward(params, images, masks)
    assert np.array_equal(completed[masks == 0], images[masks == 0])
    assert not np.any(completed[masks == 1] == images[masks == 1])
    assert np.array_equal(completed, inpainting.forward(params, images + 7 * masks, masks))


@pytest.mark.parametrize("size", ["tiny", "large"])
def test_the_loss_is_half_the_squared_error_of_the_hidden_pixels(size: str) -> None:
    one = find("inpainting").build(size, "float64", 0)
    params, images, masks = one.args
    total = 0.0
    for image, mask in zip(images, masks, strict=True):
        h = np.concatenate([(image * (mask == 0)).ravel(), mask.ravel()])
        for layer in range(1, len(params) // 2 + 1):
            h = h @ params[f"w{layer}"] + params[f"b{layer}"]
            h = np.maximum(h, 0) if layer < len(params) // 2 else h
        total += sum((o - x) ** 2 for o, x, m in zip(h, image.ravel(), mask.ravel(), strict=True) if m) / 2
    assert one.loss(*one.args) == pytest.approx(total / len(images), rel=1e-12)


def test_any_batch_may_be_given() -> None:
    one = find("inpainting").build("medium", "float64", 0)
    params, images, masks = one.args
    parts = [one.analytic(params, images[start : start + 16], masks[start : start + 16]) for start in range(0, 64, 16)]
    value, gradient = one.analytic(*one.args)
    assert value == pytest.approx(np.mean([part[0] for part in parts]), rel=1e-12)
    for key, whole in gradient.items():
        np.testing.assert_allclose(whole, np.mean([part[1][key] for part in parts], axis=0), rtol=1e-9, atol=1e-12)


def test_mini_batches_teach_it_to_paint_digits_that_it_has_not_seen() -> None:
    params = find("inpainting").build("medium", "float64", 0).args[0]
    images, masks = inpainting.examples(8, 4, True, 1797, 0)
    slope = dl.gradient(inpainting.loss)
    before = inpainting.loss(params, images[1500:], masks[1500:])
    for start in [64 * k for k in range(23)] * 20:  # twenty epochs
        gradient = slope(params, images[start : start + 64], masks[start : start + 64])
        params = {key: params[key] - 0.2 * gradient[key] for key in params}
    after = inpainting.loss(params, images[1500:], masks[1500:])
    blank = 0.5 * np.sum((masks * images)[1500:] ** 2) / 297
    mean = (images[:1500] * (1 - masks[:1500])).sum(axis=0) / (1 - masks[:1500]).sum(axis=0)
    average = 0.5 * np.sum((masks * (images - mean))[1500:] ** 2) / 297
    assert after < 0.8 * average < before  # better than the mean digit
    assert after < 0.3 * blank
