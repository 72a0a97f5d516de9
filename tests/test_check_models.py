"""Slips in the models of a first course: least squares, softmax regression, embeddings, mixtures, attention."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.checking import Check

RNG = np.random.default_rng(3)
X, Y, W = RNG.standard_normal((12, 4)), RNG.standard_normal(12), RNG.standard_normal(4)
LABELS = RNG.integers(0, 3, 12)


def first(found: Check, kind: str, words: str) -> None:
    """Whether the first finding is of a kind and says something, and all that is wrong is explained."""
    assert not found.ok
    assert found.findings[0].kind == kind, str(found)
    assert words in found.findings[0].sentence, str(found)
    assert "unknown" not in {one.kind for one in found.findings}, str(found)


# ---------------------------------------------------------------------------- least squares


def squares(w: Any, lam: float = 0.1) -> Any:
    return np.mean((X @ w - Y) ** 2) + lam * np.sum(w**2)


def rows(keep: slice) -> Callable:
    """The gradient in a loop over some of the rows."""

    def gradient(w: Any, lam: float = 0.1) -> Any:
        g = 2 * lam * w
        for x, y in zip(X[keep], Y[keep], strict=True):
            g = g + 2 * (x @ w - y) * x / len(X)
        return g

    return gradient


@pytest.mark.parametrize(
    ("gradient", "kind", "words"),
    [
        (rows(slice(-1, None)), "rule", "taken from the last row alone (= in place of += in a loop over the rows?)"),
        (rows(slice(None, -1)), "rule", "taken without the last row"),
        (rows(slice(1, None)), "rule", "taken without the first row"),
        (
            lambda w: 2 * X.T @ (X @ w - Y),
            "regulariser",
            "a missing 1/N (a constant of the loss has 12 rows); and besides it lacks the share of a regulariser, 0.1",
        ),
        (lambda w: rows(slice(None))(w).astype(np.float32), "precision", "every entry is a float32 number"),
        (lambda w: rows(slice(None))(w).astype(int), "precision", "right but for its fraction, which was cut off"),
    ],
)
def test_least_squares(gradient: Callable, kind: str, words: str) -> None:
    assert dl.check(rows(slice(None)), squares, W).ok
    first(dl.check(gradient, squares, W), kind, words)


def test_a_forgotten_two_is_no_stale_closure() -> None:
    # 0.1 stands in the gradient as it does in the loss: the number is right.
    found = dl.check(lambda w, lam=None: 2 * X.T @ (X @ w - Y) / 12 + 0.1 * w, squares, W)
    assert "closure" not in {one.kind for one in found.findings}
    assert any("a missing factor 2" in one.sentence for one in found.findings)


def test_a_missing_two_comes_before_sizes_of_arrays() -> None:
    found = dl.check(lambda w: w, lambda w: np.sum(w**2) + 0 * np.mean(X), W)
    assert found.findings[0].sentence.startswith("w is 0.5 times the true gradient: a missing factor 2")


def test_sizes_of_parameters_alone_give_no_far_fetched_name() -> None:
    found = dl.check(lambda w: 3 * w, lambda w: np.sum(w**2), W[:3])
    assert found.findings[0].sentence == "w is 1.5 times the true gradient, the same in every entry."


def test_one_wrong_entry_is_no_difference_quotient() -> None:
    found = dl.check(lambda w: 2 * w + [1e-6, 0, 0, 0], lambda w: np.sum(w**2), W)
    assert not any("quotient" in one.sentence for one in found.findings)


def test_a_constant_in_entries_of_one_sign_may_be_no_regulariser() -> None:
    found = dl.check(lambda w: 2 * w + 0.3, lambda w: np.sum(w**2), np.abs(W))
    assert found.findings[0].sentence.endswith("or a constant in every entry (w: the block).")


# ---------------------------------------------------------------------------- softmax and logistic regression


def softmax_loss(w: Any, b: Any) -> Any:
    z = X @ w + b
    z = z - np.max(z, axis=1, keepdims=True)
    z = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(z[np.arange(12), LABELS])


def divided_loss(w: Any, b: Any) -> Any:
    z = X @ w + b
    p = np.exp(z - np.max(z, axis=1, keepdims=True))
    p = p / np.sum(p, axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(12), LABELS]))


def softmax_gradient(w: Any, b: Any, slip: str = "") -> Any:
    z = X @ w + b
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    d = e / {"axis": np.sum(e, axis=0), "all": np.sum(e), "not normalised": 1.0}.get(
        slip, np.sum(e, axis=1, keepdims=True)
    )
    if slip != "targets":
        d[np.arange(12), LABELS] -= 1
    return X.T @ d / 12, np.sum(d, axis=0) / 12


@pytest.mark.parametrize(
    ("loss", "slip", "kind", "words"),
    [
        (softmax_loss, "axis", "rule", "exp(z) divided by its sum over the wrong axis"),
        (softmax_loss, "all", "rule", "exp(z) divided by the sum of all"),
        (softmax_loss, "not normalised", "rule", "is left out (taken as 1)"),
        (softmax_loss, "targets", "contribution", "with respect to `z` is left out"),
        (divided_loss, "targets", "rule", "as if the targets were not subtracted"),
    ],
)
def test_softmax_regression(loss: Callable, slip: str, kind: str, words: str) -> None:
    arguments = W[:, None] * np.array([1.0, -0.5, 0.25]), np.array([0.1, -0.2, 0.3])
    assert dl.check(softmax_gradient, loss, *arguments, argnums=(0, 1)).ok
    first(dl.check(functools.partial(softmax_gradient, slip=slip), loss, *arguments, argnums=(0, 1)), kind, words)


@pytest.mark.parametrize(
    ("slope", "words"),
    [(lambda s: 1 - s, "1 - s in place of s"), (lambda s: s * (1 - s), "s * (1 - s), the slope of the sigmoid s")],
)
def test_log_of_one_plus_exp(slope: Callable, words: str) -> None:
    found = dl.check(
        lambda w: X.T @ slope(1 / (1 + np.exp(-(X @ w)))), lambda w: np.sum(np.logaddexp(0.0, X @ w)), W
    )  # fmt: skip
    first(found, "rule", words)


def mixture(m: Any) -> Any:
    q = -((X[:, None, 0] - m) ** 2)
    top = np.max(q, axis=1, keepdims=True)
    return -np.sum(top[:, 0] + np.log(np.sum(np.exp(q - top), axis=1)))


@pytest.mark.parametrize(
    ("axis", "words"), [(0, "exp(z) divided by its sum over the wrong axis"), (None, "exp(z), not normalised")]
)
def test_responsibilities_of_a_mixture(axis: int | None, words: str) -> None:
    def gradient(m: Any, axis: int | None = axis) -> Any:
        d = X[:, None, 0] - m
        r = np.exp(-(d**2))
        return np.sum(-2 * d * (r if axis is None else r / np.sum(r, axis=axis, keepdims=True)), axis=0)

    assert dl.check(functools.partial(gradient, axis=1), mixture, W).ok
    first(dl.check(gradient, mixture, W), "rule", words)


def attention(q: Any, k: Any) -> Any:
    s = (X @ q) @ (X @ k).T
    a = np.exp(s - np.max(s, axis=1, keepdims=True))
    a = a / np.sum(a, axis=1, keepdims=True)
    return np.sum((a @ X) ** 2)


def test_jacobian_of_attention_over_the_wrong_axis() -> None:
    def gradient(q: Any, k: Any, axis: int = 1) -> Any:
        s = (X @ q) @ (X @ k).T
        a = np.exp(s - np.max(s, axis=1, keepdims=True))
        a = a / np.sum(a, axis=1, keepdims=True)
        d = 2 * (a @ X) @ X.T
        d = a * (d - np.sum(d * a, axis=axis, keepdims=True))
        return X.T @ (d @ (X @ k)), X.T @ (d.T @ (X @ q))

    arguments = 0.3 * W[:, None] * W[:3], 0.3 * np.cos(np.arange(12.0)).reshape(4, 3)
    assert dl.check(gradient, attention, *arguments, argnums=(0, 1)).ok
    found = dl.check(functools.partial(gradient, axis=0), attention, *arguments, argnums=(0, 1))
    first(found, "rule", "computed with the sum of its Jacobian over the wrong axis")


# ---------------------------------------------------------------------------- the wrong array


def layers(p: Any) -> Any:
    a = X @ p["w"] + p["b"]
    h = np.maximum(a, 0)
    return np.sum((h @ p["v"]) ** 2) + np.sum(p["g"] * p["c"] ** 2)


def layers_gradient(p: Any, slip: str = "") -> dict[str, Any]:
    a = X @ p["w"] + p["b"]
    h = np.maximum(a, 0)
    d = 2 * h @ p["v"]
    dh = d @ p["v"].T
    da = dh * {"argument": a, "result": h}.get(slip, a > 0)
    return {
        "w": X.T @ (dh if slip == "adjoint" else da),
        "b": np.sum(da, axis=0),
        "v": (a if slip == "before" else h).T @ d,
        "g": np.sum(p["c"] ** 2),
        "c": 2 * p["c"] * (1 if slip == "scalar" else p["g"]),
    }


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ("before", "computed with the wrong array, `a` in place of `h`, with respect to p['v']"),
        ("adjoint", "computed from the adjoint of `h`"),
        ("argument", "multiplied by its argument, `a`, and not by its mask"),
        ("result", "multiplied by its result, `h`, and not by its mask"),
        ("scalar", "(not multiplied by p['g'])"),
    ],
)
def test_the_wrong_array(slip: str, words: str) -> None:
    rng = np.random.default_rng(5)
    shapes = {"w": (4, 5), "b": (5,), "v": (5, 2), "c": (3,)}
    p: dict[str, Any] = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    p["g"] = 0.7
    assert dl.check(layers_gradient, layers, p).ok
    first(dl.check(functools.partial(layers_gradient, slip=slip), layers, p), "rule", words)


def test_a_mean_over_all_that_a_number_was_added_to() -> None:
    found = dl.check(lambda b: np.mean(2 * (X + b)), lambda b: np.sum((X + b) ** 2), 0.3)
    first(found, "factor", "divided by N once too often")


# ---------------------------------------------------------------------------- indices and flat vectors


@pytest.mark.parametrize("add", [True, False])
def test_repeated_indices(add: bool) -> None:
    rows = np.array([0, 2, 2, 1, 2])

    def gradient(e: Any) -> Any:
        g = np.zeros_like(e)
        if add:
            g[rows] += np.cos(e[rows])
        else:
            g[rows] = np.cos(e[rows])
        return g

    first(dl.check(gradient, lambda e: np.sum(np.sin(e[rows])), X[:6]), "rule", "use np.add.at")


def flat(v: Any) -> Any:
    return np.sum(np.tanh(X @ v[:8].reshape(4, 2) + v[8:]))


def flat_gradient(v: Any, order: Any = "C", *, swapped: bool = False) -> Any:
    d = 1 - np.tanh(X @ v[:8].reshape(4, 2) + v[8:]) ** 2
    parts = [np.ravel(X.T @ d, order=order), np.sum(d, axis=0)]
    return np.concatenate(parts[::-1] if swapped else parts)


def test_flat_vectors() -> None:
    v = np.concatenate([W, -0.5 * W, [0.1, 0.2]])
    assert dl.check(flat_gradient, flat, v).ok
    first(dl.check(functools.partial(flat_gradient, order="F"), flat, v), "rule", "(order='F')")
    first(dl.check(functools.partial(flat_gradient, swapped=True), flat, v), "shift", "its last 2 entries come first")


def test_an_exponent_that_was_lowered_twice() -> None:
    first(dl.check(lambda a: 3 * a, lambda a: a**3, 2.0), "rule", "with the exponent lowered by two")
