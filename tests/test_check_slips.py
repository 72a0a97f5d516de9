"""Every usual slip, planted in hand-written gradients, is found and named; right gradients are right."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hand_written import (
    conv_arguments,
    conv_gradient,
    conv_loss,
    logistic_arguments,
    logistic_gradient,
    logistic_loss,
    mlp_arguments,
    mlp_gradient,
    mlp_loss,
)
from hypothesis import given
from hypothesis import strategies as st

import difflab as dl
from difflab.checking import Check

P1 = "p['w1'] and p['b1']"
LOWER = "p['b1'], p['b2'], p['w1'] and p['w2']"

# slip: (kind, factor, blocks, words of the first sentence)
MLP = {
    "sign": ("factor", -1.0, "every", "wrong sign"),
    "sign of w3": ("factor", -1.0, "p['w3']", "wrong sign (factor -1)"),
    "factor 2": ("factor", 2.0, "every", "a factor 2 too much"),
    "factor 1/2 of b2": ("factor", 0.5, "p['b2']", "a missing factor 2"),
    "factor 0.731": ("factor", 0.731, "p['w2']", "0.731 times the true gradient, the same in every entry"),
    "missing 1/N": ("contribution", 7.0, "every", "a missing 1/N (x has 7 rows)"),
    "divided by N": ("factor", 1 / 7, "p['b3']", "divided by N once too often (x has 7 rows)"),
    "mean for sum": ("factor", 1 / 7, "p['b2']", "divided by N once too often (x has 7 rows)"),
    "one row": ("rule", None, "p['b2']", "taken from the first row alone and not summed over the rows"),
    "unsummed": ("shape", None, "p['b2']", "is not summed over axis 0"),
    "transpose": ("transpose", 1.0, "p['w2']", "a missing transpose"),
    "transpose by shape": ("transpose", 1.0, "p['w3']", "a missing transpose"),
    "flipped": ("flip", 1.0, "p['w3']", "axis 0, which is reversed"),
    "transpose and factor": ("transpose", -2.0, "p['w2']", "a missing transpose and a factor -2"),
    "no regulariser": ("regulariser", -0.02, "p['w1']", "as if the term 0.01 * sum(w**2) were forgotten"),
    "regulariser on b2": ("regulariser", 0.3, "p['b2']", "too much: as if 0.3 * sum(|w|) were in the loss"),
    "exchanged": ("exchange", None, "p['b1'] and p['b2']", "are exchanged"),
    "zeros": ("zeros", 0.0, "p['b3']", "is all zeros"),
    "one column": ("part", -1.0, "p['w1']", "only column 2 is wrong; it is of the wrong sign there"),
    "one entry": ("part", None, "p['w2']", "only the entry [1, 3] is wrong"),
    "softmax slope": ("rule", None, "every", "multiplied by s * (1 - s), the slope of the softmax s"),
    "tanh missing": ("rule", None, LOWER, "is left out (taken as 1)"),
    "tanh of x": ("rule", None, LOWER, "`z1` as its result"),
    "tanh of h1": ("rule", None, LOWER, "`h1` as its result"),
    "tanh sign": ("contribution", -1.0, LOWER, "has the wrong sign"),
    "matmul transpose": ("rule", None, P1, "computed as g @ b in place of g @ b.T with respect to `h1`"),
    "mask of h2": ("rule", None, P1, "masked by the wrong array, `z2` (or `h2`, with the same effect)"),
    "mask of adjoint": ("rule", None, P1, "masked by the wrong array, the adjoint that comes from the next layer"),
    "mask missing": ("rule", None, P1, "left out: its mask is missing"),
    "mask inverted": ("rule", None, P1, "inverted: its mask is 1 where it should be 0"),
}


def names(block: str) -> set[str]:
    """The blocks of a list such as ``p['a'], p['b'] and p['c']``."""
    return set(block.replace(" and ", ", ").split(", "))


def judged(found: Check, expected: tuple[str, float | None, str, str]) -> None:
    """Whether the first finding is the expected one."""
    kind, factor, block, words = expected
    assert not found.ok
    first = found.findings[0]
    assert first.kind == kind, str(found)
    assert words in first.sentence, str(found)
    assert first.factor == (None if factor is None else pytest.approx(factor, rel=1e-6))
    expected_blocks = {one.path for one in found.blocks} if block == "every" else names(block)
    assert names(first.block) == expected_blocks


@pytest.mark.parametrize("slip", MLP)
def test_slip_in_a_multilayer_perceptron_is_named(slip: str) -> None:
    found = dl.check(functools.partial(mlp_gradient, slip=slip), mlp_loss, *mlp_arguments())
    judged(found, MLP[slip])
    assert found.certified == "yes"
    wrong = {one.path for one in found.blocks if one.verdict != "right"}
    # Where a cause on the tape is named, it is that of all that is wrong.
    assert names(found.findings[0].block) == wrong


@pytest.mark.parametrize(
    "slip",
    ["sign", "factor 2", "missing 1/N", "transpose", "no regulariser", "mask of h2", "mask of adjoint", "tanh of h1"],
)
def test_slip_is_named_in_float32_too(slip: str) -> None:
    found = dl.check(functools.partial(mlp_gradient, slip=slip), mlp_loss, *mlp_arguments("float32"))
    kind, factor, block, words = MLP[slip]
    judged(found, (kind, factor, block, words))


LOGISTIC = {
    "sign": ("factor", -1.0, "every", "wrong sign"),
    "missing 1/N": ("factor", 9.0, "every", "a missing 1/N (x has 9 rows)"),
    "sigmoid twice": ("rule", None, "every", "the sigmoid that ends in `divide`"),
    "mean for sum": ("factor", 1 / 9, "b", "divided by N once too often (x has 9 rows)"),
}


@pytest.mark.parametrize("slip", LOGISTIC)
def test_slip_in_a_logistic_regression_is_named(slip: str) -> None:
    gradient = functools.partial(logistic_gradient, slip=slip)
    judged(dl.check(gradient, logistic_loss, *logistic_arguments(), argnums=(0, 1)), LOGISTIC[slip])


CONV = {
    "sign": ("factor", -1.0, "every", "wrong sign"),
    "missing 1/N": ("factor", 5.0, "every", "a missing 1/N (x has 5 rows)"),
    "softmax slope": ("rule", None, "every", "although softmax(z) - t already contains it"),
    "mask missing": ("rule", None, "p['k1'], p['b1'] and p['k2']", "`relu`"),
    "mask of adjoint": ("rule", None, "p['k1'], p['b1'] and p['k2']", "the wrong array, the adjoint"),
    "kernel turned": ("rule", None, "p['k1'] and p['b1']", "with the kernel turned the wrong way round"),
    "kernel flipped": ("flip", 1.0, "p['k2']", "axes 0 and 1, which are reversed"),
    "axes in another order": ("transpose", 1.0, "p['k2']", "the order of its axes, which is (0, 1, 3, 2)"),
    "pool to all": ("rule", None, "p['k1'] and p['b1']", "handed to every entry of the window"),
    "average pool": ("rule", None, "p['k1'] and p['b1']", "shared equally by the entries of the window"),
}


@pytest.mark.parametrize("slip", CONV)
def test_slip_in_a_convolutional_network_is_named(slip: str) -> None:
    judged(dl.check(functools.partial(conv_gradient, slip=slip), conv_loss, *conv_arguments()), CONV[slip])


# ---------------------------------------------------------------------------- right gradients


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", [0, 1])
def test_right_gradient_of_a_perceptron_is_right(dtype: str, seed: int) -> None:
    found = dl.check(mlp_gradient, mlp_loss, *mlp_arguments(dtype, seed))
    assert found.ok, str(found)
    assert found.findings == []
    assert found.digits > (14 if dtype == "float64" else 6)
    assert found.worst == []
    assert {one.verdict for one in found.blocks} == {"right"}


def test_right_gradients_of_the_others_are_right() -> None:
    assert dl.check(conv_gradient, conv_loss, *conv_arguments()).ok
    for dtype in ("float64", "float32"):
        assert dl.check(logistic_gradient, logistic_loss, *logistic_arguments(dtype), argnums=(0, 1)).ok
    assert dl.check(dl.gradient(conv_loss), conv_loss, *conv_arguments()).ok


# ---------------------------------------------------------------------------- no false names


@given(
    seed=st.integers(0, 2**32 - 1), blocks=st.sets(st.sampled_from(["w1", "b1", "w2", "b2", "w3", "b3"]), min_size=1)
)
def test_what_no_slip_explains_gets_no_name(seed: int, blocks: set[str]) -> None:
    p, x, t = mlp_arguments()
    noise = {
        key: np.random.default_rng([seed, k]).standard_normal(p[key].shape) for k, key in enumerate(sorted(blocks))
    }

    def wrong(p: Any, x: Any, t: Any) -> dict[str, np.ndarray]:
        g = mlp_gradient(p, x, t)
        return {key: g[key] * (1 + noise[key]) if key in noise else g[key] for key in g}

    found = dl.check(wrong, mlp_loss, p, x, t, reference_seconds=1.0)
    assert not found.ok
    assert [one.kind for one in found.findings] == ["unknown"], str(found)
    assert names(found.findings[0].block) == {f"p['{key}']" for key in blocks}
    assert found.worst
    assert {one.path.partition("][")[0].removesuffix("]") for one in found.worst} <= {f"p['{key}'" for key in blocks}


def test_a_coincidence_at_one_point_is_no_explanation() -> None:
    p, x, t = mlp_arguments()
    true = mlp_gradient(p, x, t)

    def wrong(p: Any, x: Any, t: Any) -> dict[str, np.ndarray]:
        g = mlp_gradient(p, x, t)
        # Twice the truth at the example only.
        g["w2"] = g["w2"] + true["w2"]
        return g

    found = dl.check(wrong, mlp_loss, p, x, t)
    assert not found.ok
    assert "factor" not in {one.kind for one in found.findings}


# ---------------------------------------------------------------------------- several slips at once


def sevenfold(slip: str) -> Any:
    """A slip, and the missing 1/N besides."""

    def gradient(p: Any, x: Any, t: Any) -> dict[str, np.ndarray]:
        return {key: len(x) * block for key, block in mlp_gradient(p, x, t, slip).items()}

    return gradient


@pytest.mark.parametrize(
    ("slip", "words"), [("mask of h2", "masked by the wrong array"), ("no regulariser", "forgotten")]
)
def test_a_slip_besides_a_common_factor_is_named(slip: str, words: str) -> None:
    found = dl.check(sevenfold(slip), mlp_loss, *mlp_arguments())
    common, besides = found.findings
    assert (common.kind, common.factor) == ("factor", 7.0)
    assert besides.sentence.startswith("Besides the factor 7: ")
    assert words in besides.sentence


def test_slips_in_two_layers_are_both_named() -> None:
    def slopeless(p: Any, x: Any, t: Any) -> dict[str, np.ndarray]:
        g = mlp_gradient(p, x, t, "tanh missing")
        h1 = np.maximum(x @ p["w1"] + p["b1"], 0)
        h2 = np.tanh(h1 @ p["w2"] + p["b2"])
        s = h2 @ p["w3"] + p["b3"]
        s = np.exp(s - s.max(axis=1, keepdims=True))
        d1 = (s / s.sum(axis=1, keepdims=True) - t) / len(x) @ p["w3"].T @ p["w2"].T
        return {**g, "w1": x.T @ d1 + 0.02 * p["w1"], "b1": d1.sum(axis=0)}

    found = dl.check(slopeless, mlp_loss, *mlp_arguments())
    late, early = found.findings
    assert "`tanh`" in late.sentence
    assert names(late.block) == {"p['b2']", "p['w2']"}
    assert "`maximum`" in early.sentence
    assert "with that besides, p['b1'] and p['w1'] come out as given" in early.sentence


def test_a_slip_of_the_tape_and_one_of_a_block_are_both_named() -> None:
    def both(p: Any, x: Any, t: Any) -> dict[str, np.ndarray]:
        g = mlp_gradient(p, x, t, "tanh sign")
        return {**g, "w3": g["w3"].T}

    found = dl.check(both, mlp_loss, *mlp_arguments())
    assert [one.kind for one in found.findings] == ["contribution", "transpose"]
