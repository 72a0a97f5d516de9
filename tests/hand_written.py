"""Losses with gradients written by hand, and the slips that people make in them, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from difflab import nn


def _softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - np.max(z, axis=1, keepdims=True))
    return powers / np.sum(powers, axis=1, keepdims=True)


# ---------------------------------------------------------------------------- two relu layers and softmax cross-entropy

DECAY = 0.01


def mlp_loss(p: Any, x: Any, t: Any) -> Any:
    """Written out in NumPy, with a regulariser on the first matrix."""
    z1 = x @ p["w1"] + p["b1"]
    h1 = np.maximum(z1, 0)
    z2 = h1 @ p["w2"] + p["b2"]
    h2 = np.tanh(z2)
    z = h2 @ p["w3"] + p["b3"]
    powers = np.exp(z - np.max(z, axis=1, keepdims=True))
    s = powers / np.sum(powers, axis=1, keepdims=True)
    data = -np.mean(np.sum(t * np.log(s), axis=1))
    penalty = DECAY * np.sum(p["w1"] ** 2)
    return data + penalty


def mlp_gradient(p: Any, x: Any, t: Any, slip: str = "") -> dict[str, np.ndarray]:
    """Right, or with one slip."""
    z1 = x @ p["w1"] + p["b1"]
    h1 = np.maximum(z1, 0)
    h2 = np.tanh(h1 @ p["w2"] + p["b2"])
    s = _softmax(h2 @ p["w3"] + p["b3"])
    d3 = s - t if slip == "missing 1/N" else (s - t) / len(x)
    if slip == "softmax slope":
        d3 = d3 * s * (1 - s)
    a2 = d3 @ p["w3"].T
    slopes = {"tanh of x": 1 - z1**2, "tanh missing": 1.0, "tanh of h1": 1 - h1**2, "tanh sign": h2**2 - 1}
    d2 = a2 * slopes.get(slip, 1 - h2**2)
    a1 = d2 @ (p["w2"] if slip == "matmul transpose" else p["w2"].T)
    masks = {"mask of h2": h2 > 0, "mask of adjoint": a1 > 0, "mask missing": True, "mask inverted": z1 <= 0}
    d1 = a1 * masks.get(slip, z1 > 0)
    g = {
        "w1": x.T @ d1 + 2 * DECAY * p["w1"],
        "b1": d1.sum(axis=0),
        "w2": h1.T @ d2,
        "b2": d2.sum(axis=0),
        "w3": h2.T @ d3,
        "b3": d3.sum(axis=0),
    }
    change = {
        "sign": lambda: g.update({key: -g[key] for key in g}),
        "sign of w3": lambda: g.update(w3=-g["w3"]),
        "factor 2": lambda: g.update({key: 2 * g[key] for key in g}),
        "factor 1/2 of b2": lambda: g.update(b2=g["b2"] / 2),
        "factor 0.731": lambda: g.update(w2=0.731 * g["w2"]),
        "divided by N": lambda: g.update(b3=g["b3"] / len(x)),
        "mean for sum": lambda: g.update(b2=d2.mean(axis=0)),
        "one row": lambda: g.update(b2=d2[0]),
        "unsummed": lambda: g.update(b2=d2),
        "transpose": lambda: g.update(w2=g["w2"].T),
        "transpose by shape": lambda: g.update(w3=g["w3"].T),
        "flipped": lambda: g.update(w3=g["w3"][::-1]),
        "transpose and factor": lambda: g.update(w2=-2 * g["w2"].T),
        "no regulariser": lambda: g.update(w1=x.T @ d1),
        "regulariser on b2": lambda: g.update(b2=g["b2"] + 0.3 * np.sign(p["b2"])),
        "exchanged": lambda: g.update(b1=g["b2"], b2=g["b1"]),
        "zeros": lambda: g.update(b3=np.zeros_like(g["b3"])),
        "one column": lambda: g["w1"].__setitem__((slice(None), 2), -g["w1"][:, 2]),
        "one entry": lambda: g["w2"].__setitem__((1, 3), 7.0),
    }
    if slip in change:
        change[slip]()
    elif slip not in (*slopes, *masks, "", "missing 1/N", "softmax slope", "matmul transpose"):
        raise ValueError(f"no slip is called {slip!r}")
    return g


def mlp_arguments(dtype: str = "float64", seed: int = 0) -> tuple[Any, ...]:
    """Parameters, inputs, one-hot targets; the second matrix is square."""
    rng = np.random.default_rng(seed)
    shapes = {"w1": (4, 5), "b1": (5,), "w2": (5, 5), "b2": (5,), "w3": (5, 3), "b3": (3,)}
    p = {key: rng.standard_normal(shape).astype(dtype) for key, shape in shapes.items()}
    x, t = rng.standard_normal((7, 4)), np.eye(3)[rng.integers(0, 3, 7)]
    return p, x.astype(dtype), t.astype(dtype)


# ---------------------------------------------------------------------------- logistic regression


def logistic_loss(w: Any, b: Any, x: Any, y: Any) -> Any:
    """Binary cross-entropy of a sigmoid that is written out."""
    p = 1 / (1 + np.exp(-(x @ w + b)))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def logistic_gradient(w: Any, b: Any, x: Any, y: Any, slip: str = "") -> tuple[Any, Any]:
    """With respect to w and b."""
    p = 1 / (1 + np.exp(-(x @ w + b)))
    slopes = {"sigmoid twice": (p - y) * p * (1 - p), "sign": y - p}
    d = slopes.get(slip, p - y) / (1 if slip == "missing 1/N" else len(x))
    return x.T @ d, d.mean() if slip == "mean for sum" else d.sum()


def logistic_arguments(dtype: str = "float64") -> tuple[Any, ...]:
    """Weights, a bias of shape (), inputs and labels."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((9, 3)), (rng.random(9) < 0.5) * 1.0
    w, b = rng.standard_normal(3), np.array(0.3)
    return w.astype(dtype), b.astype(dtype), x.astype(dtype), y.astype(dtype)


# ---------------------------------------------------------------------------- a small convolutional network


def conv_loss(p: Any, x: Any, t: Any) -> Any:
    """Two convolutions, relu, pooling, and softmax cross-entropy."""
    h = nn.relu(nn.conv2d(x, p["k1"], padding="same") + p["b1"])
    h = nn.max_pool2d(h, 2)
    h = nn.relu(nn.conv2d(h, p["k2"], padding="same"))
    return nn.softmax_cross_entropy(h.reshape(h.shape[0], -1) @ p["w"], t)


def _patches(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    n, height, width, _ = x.shape
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.stack(shifted, axis=3).reshape(n * height * width, -1)


def _add_patches(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, height, width, channels = shape
    padded = np.zeros((n, height + 2, width + 2, channels))
    parts = g.reshape(n, height, width, 3, 3, channels)
    for i in range(3):
        for j in range(3):
            padded[:, i : i + height, j : j + width] += parts[:, :, :, i, j]
    return padded[:, 1:-1, 1:-1]


def _spread(g: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(g, 2, axis=1), 2, axis=2)


def conv_gradient(p: Any, x: Any, t: Any, slip: str = "") -> dict[str, np.ndarray]:
    """By im2col; relu and pooling as masks."""
    first, second = p["k1"].shape[3], p["k2"].shape[3]
    patches1 = _patches(x)
    z1 = (patches1 @ p["k1"].reshape(-1, first) + p["b1"]).reshape(*x.shape[:3], first)
    h1 = np.maximum(z1, 0)
    n, height, width, _ = h1.shape
    top = h1.reshape(n, height // 2, 2, width // 2, 2, first).max(axis=(2, 4))
    patches2 = _patches(top)
    z2 = (patches2 @ p["k2"].reshape(-1, second)).reshape(*top.shape[:3], second)
    flat = np.maximum(z2, 0).reshape(n, -1)
    s = _softmax(flat @ p["w"])
    d = (s - t) / (1 if slip == "missing 1/N" else n)
    if slip == "softmax slope":
        d = d * s * (1 - s)
    a2 = (d @ p["w"].T).reshape(z2.shape)
    d2 = (a2 if slip == "mask missing" else a2 * ((a2 if slip == "mask of adjoint" else z2) > 0)).reshape(-1, second)
    k2 = p["k2"][::-1, ::-1] if slip == "kernel turned" else p["k2"]
    dtop = _add_patches(d2 @ k2.reshape(-1, second).T, top.shape)
    if slip == "average pool":
        a1 = _spread(dtop) / 4
    else:
        # Maxima are positive here or masked by relu afterwards, so ties at 0 do not count.
        a1 = _spread(dtop) if slip == "pool to all" else _spread(dtop) * (h1 == _spread(top))
    d1 = (a1 * (z1 > 0)).reshape(-1, first)
    g = {"k1": (patches1.T @ d1).reshape(p["k1"].shape), "b1": d1.sum(axis=0)}
    g |= {"k2": (patches2.T @ d2).reshape(p["k2"].shape), "w": flat.T @ d}
    if slip == "kernel flipped":
        g["k2"] = g["k2"][::-1, ::-1]
    elif slip == "axes in another order":
        g["k2"] = g["k2"].transpose(0, 1, 3, 2)
    elif slip == "sign":
        g = {key: -value for key, value in g.items()}
    return g


def conv_arguments() -> tuple[Any, ...]:
    """Kernels and weights, images of 4 x 4 pixels, one-hot targets."""
    rng = np.random.default_rng(1)
    shapes = {"k1": (3, 3, 1, 3), "b1": (3,), "k2": (3, 3, 3, 2), "w": (8, 3)}
    p = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    return p, rng.standard_normal((5, 4, 4, 1)), np.eye(3)[rng.integers(0, 3, 5)]
