"""The colours of series: told apart by readers who do not see all of them, and never the only sign."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from difflab.report import style

FIRST = 8
APART, AT_LEAST = 20.0, 12.0
"""Distances in CIELAB: of what everybody sees, and of what is left of it.  About 2.3 can just be told apart."""

# What is left of linear RGB without one kind of cone: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, "A
# physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15 (2009), severity 1.0.
LEFT = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a hexadecimal sRGB colour (IEC 61966-2-1)."""
    value = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (1976) of linear RGB under D65."""
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def test_the_known_values_of_cielab() -> None:
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert all(np.sum(left, axis=1) == pytest.approx([1, 1, 1], abs=1e-5) for left in LEFT.values())  # grey stays grey


@pytest.mark.parametrize("scheme", style.SCHEMES)
@pytest.mark.parametrize("sight", LEFT)
def test_the_first_series_differ_for_every_reader(scheme: str, sight: str) -> None:
    palette = style.palettes()[scheme]
    seen = [lab(LEFT[sight] @ linear(palette[f"s{slot}"])) for slot in range(FIRST)]
    distances = {
        (one, other): float(np.linalg.norm(seen[one] - seen[other]))
        for one, other in itertools.combinations(range(FIRST), 2)
    }
    assert min(distances.values()) > (APART if sight == "all cones" else AT_LEAST), sorted(
        distances.items(), key=lambda item: item[1]
    )[:3]


@pytest.mark.parametrize("scheme", style.SCHEMES)
def test_every_series_stands_out_from_the_paper(scheme: str) -> None:
    palette = style.palettes()[scheme]
    paper = TO_XYZ[1] @ linear(palette["paper"])
    for slot in range(len(style.SERIES)):
        own = TO_XYZ[1] @ linear(palette[f"s{slot}"])
        assert (max(own, paper) + 0.05) / (min(own, paper) + 0.05) >= 3.0, f"s{slot}"  # WCAG 2.1, 1.4.11


def test_colour_is_never_the_only_sign() -> None:
    looks = [style.Look(slot) for slot in range(3 * len(style.SERIES))]
    assert len({(look.colour, look.marker, look.dashes) for look in looks}) == len(looks)
    first = looks[: len(style.SERIES)]
    assert len({look.marker for look in first}) == len({look.dashes for look in first}) == len(first)
