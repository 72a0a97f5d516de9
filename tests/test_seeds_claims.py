"""The lectures' claims and what is not in another list of their numbers: networks, gates, data, studies and traps."""

from __future__ import annotations

import tomllib
import tracemalloc
from importlib import resources

import numpy as np
import pytest
from drawings import drawn

import difflab as dl
from difflab import traps
from difflab.data import digits
from difflab.harness.study import shipped
from difflab.problems import PROBLEMS, find
from difflab.walk.drawing import boxes

STUDIES = {name: tomllib.loads(path.read_text(encoding="utf-8")) for name, path in shipped().items()}

# ---------------------------------------------------------------------------- losses and layers


def banded(kernel: np.ndarray, length: int) -> np.ndarray:
    """W with the kernel along its diagonals, by a loop over its rows."""
    found = np.zeros((length - len(kernel) + 1, length))
    for row in range(len(found)):
        found[row, row : row + len(kernel)] = kernel
    return found


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["toeplitz-cnn", "toeplitz-matrices"])
def test_toeplitz_networks_are_the_formula_of_the_lectures(name: str, seed: int) -> None:
    """The mean of ln(1 + exp(-y max(0, W3 max(0, W2 max(0, W1 x))))), one example after the other."""
    one = find(name).build("small", "float64", seed)
    params, signals, labels = one.args
    w1, w3 = banded(params["k1"], signals.shape[1]), params["w3"]
    w2 = banded(params["k2"], len(w1))
    total, dw1, dw2, dw3 = 0.0, np.zeros_like(w1), np.zeros_like(w2), np.zeros_like(w3)
    for x, y in zip(signals, labels, strict=True):
        h1 = np.maximum(0, w1 @ x)
        h2 = np.maximum(0, w2 @ h1)
        f = max(0.0, w3 @ h2)
        total += np.log(1 + np.exp(-y * f)) / len(labels)
        delta = -y / (1 + np.exp(y * f)) / len(labels) * (f > 0)
        dw3 += delta * h2
        delta = delta * w3 * (h2 > 0)
        dw2 += np.outer(delta, h1)
        dw1 += np.outer(w2.T @ delta * (h1 > 0), x)
    value, gradient = dl.value_and_gradient(one.loss)(*one.args)
    assert value == pytest.approx(total, rel=1e-13)
    np.testing.assert_allclose(gradient["w3"], dw3, rtol=1e-11, atol=1e-15)
    for key, slope in (("k1", dw1), ("k2", dw2)):
        diagonals = [np.trace(slope, offset) for offset in range(len(params[key]))]
        np.testing.assert_allclose(gradient[key], diagonals, rtol=1e-11, atol=1e-15)
        assert np.any(gradient[key])


def test_the_digits_come_with_their_number_and_their_licence() -> None:
    images, labels = digits()
    assert (images.shape, labels.shape) == ((1797, 8, 8), (1797,))
    told = (resources.files("difflab.data") / "DIGITS.md").read_text(encoding="utf-8")
    assert "UCI Machine Learning" in told
    assert "(CC BY 4.0)" in told


def test_alexnet_has_one_reverse_gradient_for_real_far_below_24_gib() -> None:
    one = find("alexnet").build("full", "float32", 0)
    params, x, t = one.args
    assert sum(part.size for part in params.values()) == 60_965_224
    assert (x.shape, x.dtype) == ((1, 227, 227, 3), np.float32)
    tracemalloc.start()
    try:
        value, gradient = dl.value_and_gradient(one.loss)(params, x, t)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak + sum(part.nbytes for part in params.values()) < 2 * 2**30
    expected_value, expected = one.analytic(params, x, t)
    assert value == pytest.approx(float(expected_value), rel=1e-5)
    for key, part in expected.items():
        assert (gradient[key].shape, gradient[key].dtype) == (params[key].shape, np.float32)
        assert np.linalg.norm(gradient[key] - part) <= 1e-4 * np.linalg.norm(part)
        assert np.any(part)


# ---------------------------------------------------------------------------- gates, on any drawn graph

WORDS = {"add": "add distributes", "multiply": "multiply swaps", "maximum": "max routes", "max_pool": "max routes"}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_drawn_gate_says_what_it_does_to_a_gradient(name: str) -> None:
    found = drawn(name, next(iter(find(name).sizes))).graph
    for at, equation in enumerate(found.tape.equations):
        row = found.rows[equation.output]
        if row.adjoint is None:
            continue
        lines = [line.text for line in boxes.gate(found, at).lines]
        assert row.gate
        assert any(line.startswith(row.gate.split()[0]) for line in lines), row
        moving = {n for n in equation.inputs if n in found.rows and found.rows[n].adjoint is not None}
        if len(moving) == len(equation.inputs) and equation.primitive.name in WORDS:
            assert row.gate.startswith(WORDS[equation.primitive.name])
    for number, uses in found.readers.items():
        back = [use for use in uses if use.contribution is not None]
        if len(back) > 1:
            assert "copy adds" in found.rows[number].gate


# ---------------------------------------------------------------------------- the claims

CLAIMS = [
    (1, "steps", "steps", {"digits-mlp", "digits-cnn"}),
    (1, "cheap-gradient", "ratio", {"digits-mlp"}),
    (2, "swell", "swell", {"deep-mlp", "wide-mlp", "xor"}),
    (3, "crossover", "crossover", {"difflab.maps:TANH_MAP"}),
    (4, "storage", "storage", {"deep-layers"}),
    (5, "never-form-the-jacobian", "wall", {"difflab.maps_layers:DENSE"}),
    (6, "shapes", "shapes", {"difflab.maps_ranks:RANKS"}),
    (7, "second-graph", "graphs", {"baydin", "digits-cnn"}),
    (8, "cheap-gradient", "ratio", {"difflab.maps:SQUARE_LAYER"}),
    (9, "training", "training", {"xor", "digits-mlp"}),
    (10, "kinks", "traps", {"difflab.traps:PROBLEM"}),
]


@pytest.mark.parametrize(("claim", "study", "kind", "problems"), CLAIMS)
def test_every_claim_is_a_study(claim: int, study: str, kind: str, problems: set[str]) -> None:
    told = STUDIES[study]
    assert told["answer"] == kind
    assert problems <= {one["name"] for one in told["problem"]}
    assert {number for number, *_ in CLAIMS} == set(range(1, 11)) >= {claim}


def test_quotients_stand_beside_each_other_where_2n_is_compared_with_n() -> None:
    for study in ("cheap-gradient", "training", "alexnet"):
        finite = [one for one in STUDIES[study]["backend"] if one["name"] == "finite"]
        assert {one.get("scheme", "central") for one in finite} == {"central", "forward"}


def test_training_is_asked_of_every_way_of_getting_the_gradient() -> None:
    ways = {one["name"] for one in STUDIES["training"]["backend"]}
    assert ways == {"analytic", "reverse", "forward", "symbolic", "complex-step", "finite"}


def test_regions_are_shown_for_the_three_strengths_of_the_lectures() -> None:
    (asked,) = STUDIES["regularisation"]["problem"]
    assert asked["name"] == "plane"
    strengths = {float(find("plane").build(size, "float64", 0).args[-1]) for size in asked["sizes"]}
    assert strengths == {0.001, 0.01, 0.1}


# The lectures' list: relu at 0, ties in max, sqrt at 0, log inside where, overflow in softmax, float32.
LISTED = ["maximum-zero", "relu", "where-relu", "max-tie", "maximum-tie", "sqrt-zero", "where-log", "softmax-large"]
LISTED += ["float32-inside", "float32-step", "float32-underflow", "float32-norm", "float32-ratio"]


def test_every_trap_of_the_lectures_is_in_the_zoo_that_the_study_asks() -> None:
    (asked,) = STUDIES["kinks"]["problem"]
    assert {traps.find(name).family for name in LISTED} <= set(asked.get("sizes", traps.FAMILIES))


@pytest.mark.parametrize("name", ["maximum-zero", "relu", "where-relu"])
def test_at_the_kink_of_relu_both_lectures_are_admissible_and_nothing_beyond_them(name: str) -> None:
    """0 for f < 0 and 1 else, in one lecture; [h > 0] in the formula of another, and 1 at 0 in its code."""
    at = traps.find(name)
    verdicts = {slope: at.admissible.verdict([slope], at.arguments, "float64") for slope in (0.0, 0.5, 1.0, -0.5, 1.5)}
    assert verdicts == {
        0.0: "admissible", 0.5: "admissible", 1.0: "admissible", -0.5: "outside", 1.5: "outside",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (dl.nn.relu, 0.0),
        (lambda f: np.where(f < 0, 0 * f, f), 1.0),
        (lambda f: np.where(f > 0, f, 0 * f), 0.0),
        (lambda f: np.maximum(0, f), 0.5),
    ],
    ids=["relu", "0 for f < 0 and 1 else", "[h > 0]", "max(0, f)"],
)
def test_relu_at_nought_follows_what_was_written(loss, slope: float) -> None:
    for backend in ("reverse", "forward"):
        assert dl.gradient(loss, backend=backend)(0.0) == slope
