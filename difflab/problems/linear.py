"""The losses of a linear score: ``least-squares``, ``logistic`` and ``hinge``, with or without L2 regularisation.

The factor of the penalty is an argument of the loss, 0 in the sizes without one; biases are never penalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .digits import affine
from .record import Instance, instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]


def _sizes(**classes: int) -> dict[str, dict[str, int]]:
    """The sizes of all three; the penalty is counted in thousandths, because dimensions are whole numbers."""
    rows = {
        "tiny": (4, 3, 0),
        "tiny-l2": (4, 3, 100),
        "small": (16, 8, 0),
        "small-l2": (16, 8, 10),
        "medium": (128, 64, 0),
        "large": (512, 1024, 0),
        "large-l2": (512, 1024, 1),
    }
    names = ("samples", "features", "l2_thousandths")
    return {size: {**dict(zip(names, row, strict=True)), **classes} for size, row in rows.items()}


def least_squares(params: Params, x: Any, y: Any, l2: Any) -> Any:
    """Mean squared error of a linear score, ``mean((X w - y)^2) + l2 sum(w^2)``.

    Args:
        params: ``w`` of shape (D,).
        x: inputs, shape (N, D).
        y: targets, shape (N,).
        l2: factor of the penalty, a scalar.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> float(least_squares({"w": np.ones(2)}, np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros(2), 0.5))
        6.0
    """
    return np.mean((x @ params["w"] - y) ** 2) + l2 * np.sum(params["w"] ** 2)


def least_squares_by_hand(params: Params, x: np.ndarray, y: np.ndarray, l2: Any) -> Answer:
    """The value of ``least_squares`` and its gradient.

    With the residual r = X w - y the loss is r^T r / N, and dr/dw = X, so dw = 2/N X^T (X w - y) + 2 l2 w.

    Args:
        params: as for ``least_squares``.
        x: as for ``least_squares``.
        y: as for ``least_squares``.
        l2: as for ``least_squares``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> least_squares_by_hand({"w": np.ones(2)}, np.eye(2), np.zeros(2), 0.5)[1]["w"].tolist()
        [2.0, 2.0]
    """
    w = params["w"]
    r = x @ w - y
    return np.mean(r * r) + l2 * np.vdot(w, w), {"w": 2 / len(x) * (x.T @ r) + 2 * l2 * w}


def logistic(params: Params, x: Any, y: Any, l2: Any) -> Any:
    """Logistic loss of a linear score, ``mean(ln(1 + exp(-y f))) + l2 sum(w^2)`` with ``f = X w + b``.

    Args:
        params: ``w`` of shape (D,) and the scalar ``b``.
        x: inputs, shape (N, D).
        y: labels -1 and 1, shape (N,).
        l2: factor of the penalty, a scalar.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> round(float(logistic({"w": np.zeros(2), "b": 0.0}, np.eye(2), np.array([1.0, -1.0]), 0.0)), 3)
        0.693
    """
    f = x @ params["w"] + params["b"]
    return np.mean(np.logaddexp(0.0, -y * f)) + l2 * np.sum(params["w"] ** 2)


def logistic_by_hand(params: Params, x: np.ndarray, y: np.ndarray, l2: Any) -> Answer:
    """The value of ``logistic`` and its gradient.

    d/df ln(1 + exp(-y f)) = -y exp(-y f) / (1 + exp(-y f)) = -y exp(-ln(1 + exp(y f))), over N for the mean; call it
    delta.  Then dw = X^T delta + 2 l2 w, and db is the sum of delta.

    Args:
        params: as for ``logistic``.
        x: as for ``logistic``.
        y: as for ``logistic``.
        l2: as for ``logistic``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> float(logistic_by_hand({"w": np.zeros(1), "b": np.zeros(())}, np.eye(1), np.ones(1), 0.0)[1]["b"])
        -0.5
    """
    w = params["w"]
    margin = y * (x @ w + params["b"])
    value = np.mean(np.logaddexp(0.0, -margin)) + l2 * np.vdot(w, w)
    delta = -y * np.exp(-np.logaddexp(0.0, margin)) / len(x)
    return value, {"w": x.T @ delta + 2 * l2 * w, "b": np.asarray(delta.sum())}


def hinge(params: Params, x: Any, t: Any, l2: Any) -> Any:
    """Multiclass SVM loss of linear scores: the mean over rows of ``sum(max(0, s_j - s_y + 1))`` over j other than y.

    Args:
        params: ``w`` of shape (D, C) and ``b`` of shape (C,).
        x: inputs, shape (N, D).
        t: one-hot labels, shape (N, C).
        l2: factor of the penalty ``sum(w^2)``, a scalar.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> cat = np.array([[3.2, 5.1, -1.7]])
        >>> round(float(hinge({"w": np.zeros((1, 3)), "b": cat[0]}, np.zeros((1, 1)), np.eye(3)[:1], 0.0)), 1)
        2.9
    """
    scores = x @ params["w"] + params["b"]
    own = np.sum(scores * t, axis=1, keepdims=True)
    margins = np.maximum(0.0, scores - own + 1.0) * (1.0 - t)
    return np.mean(np.sum(margins, axis=1)) + l2 * np.sum(params["w"] ** 2)


def hinge_by_hand(params: Params, x: np.ndarray, t: np.ndarray, l2: Any) -> Answer:
    """The value of ``hinge`` and its gradient.

    A class j other than y whose margin s_j - s_y + 1 is positive has slope 1 in s_j and -1 in s_y: delta is 1 there,
    minus their count at y, over N for the mean.  Then dw = X^T delta + 2 l2 w, and db is the sum of delta's rows.

    Args:
        params: as for ``hinge``.
        x: as for ``hinge``.
        t: as for ``hinge``.
        l2: as for ``hinge``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> cat = np.array([3.2, 5.1, -1.7])
        >>> hinge_by_hand({"w": np.zeros((1, 3)), "b": cat}, np.zeros((1, 1)), np.eye(3)[:1], 0.0)[1]["b"].tolist()
        [-1.0, 1.0, 0.0]
    """
    w = params["w"]
    scores = x @ w
    scores += params["b"]
    own = (scores * t).sum(axis=1, keepdims=True)
    margins = np.maximum(0.0, scores - own + 1.0) * (1.0 - t)
    value = np.mean(margins.sum(axis=1)) + l2 * np.vdot(w, w)
    delta = (margins > 0).astype(x.dtype)
    delta -= t * delta.sum(axis=1, keepdims=True)
    delta /= len(x)
    return value, {"w": x.T @ delta + 2 * l2 * w, "b": delta.sum(axis=0)}


def _inputs(size: Mapping[str, int], seed: int) -> tuple[np.random.Generator, np.ndarray, float]:
    """A stream for the data, the inputs and the factor of the penalty."""
    generator = np.random.default_rng([seed, 1])  # another stream than the parameters, which use the seed alone
    x = generator.standard_normal((size["samples"], size["features"]))
    return generator, x, size["l2_thousandths"] / 1000


def _make_least_squares(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator, x, l2 = _inputs(size, seed)
    true, noise = generator.standard_normal(size["features"]), generator.standard_normal(size["samples"])
    w, _ = affine(np.random.default_rng(seed), size["features"], 1)
    y = x @ true / np.sqrt(size["features"]) + 0.1 * noise
    return instance(least_squares, least_squares_by_hand, {"w": w[:, 0]}, (x, y, l2), dtype)


def _make_logistic(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator, x, l2 = _inputs(size, seed)
    y = np.where(x @ generator.standard_normal(size["features"]) > 0, 1.0, -1.0)
    w, b = affine(np.random.default_rng(seed), size["features"], 1)
    return instance(logistic, logistic_by_hand, {"w": w[:, 0], "b": b[0]}, (x, y, l2), dtype)


def _make_hinge(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator, x, l2 = _inputs(size, seed)
    labels = (x @ generator.standard_normal((size["features"], size["classes"]))).argmax(axis=1)
    w, b = affine(np.random.default_rng(seed), size["features"], size["classes"])
    return instance(hinge, hinge_by_hand, {"w": w, "b": b}, (x, np.eye(size["classes"])[labels], l2), dtype)


LEAST_SQUARES = problem(
    "least-squares",
    "Least squares",
    _sizes(),
    _make_least_squares,
    "The mean of (X w - y)^2 on random data, whose gradient the lectures give as 2/N X^T (X w - y). Sizes named l2 add "
    "a multiple of the sum of w^2.",
)

LOGISTIC = problem(
    "logistic",
    "Logistic regression",
    _sizes(),
    _make_logistic,
    "The mean of ln(1 + exp(-y f)) of a linear score f on random data with labels -1 and 1. Sizes named l2 add a "
    "multiple of the sum of w^2.",
)

HINGE = problem(
    "hinge",
    "Multiclass support vector machine",
    _sizes(classes=3),
    _make_hinge,
    "The mean over random examples of the sum of max(0, s_j - s_y + 1) over the wrong classes j, for linear scores s. "
    "Sizes named l2 add a multiple of the sum of w^2.",
)
