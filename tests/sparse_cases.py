"""Functions whose Jacobians and Hessians are sparse, with arguments to differentiate them at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import difflab as dl


class Case(NamedTuple):
    """A function, its arguments, and the products J s that its pattern needs at most."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: Any
    products: int


RANDOM = np.random.default_rng(11)
X = RANDOM.uniform(0.4, 1.6, 12)
CAMERAS, POINTS = RANDOM.uniform(0.5, 1.5, (3, 4)), RANDOM.uniform(0.5, 1.5, (5, 2))
BY, OF = np.array([0, 1, 2, 0, 2, 1, 0]), np.array([4, 0, 1, 2, 3, 3, 0])


def burgers(u: Any) -> Any:
    """Periodic, by rolled copies."""
    left, right = np.roll(u, 1), np.roll(u, -1)
    return -u * (right - left) * 6.0 + 0.3 * (right - 2 * u + left)


def convolved(x: Any) -> Any:
    """A window of three, by sums of slices."""
    return np.tanh(0.2 * x[:-2] - 0.7 * x[1:-1] + 0.5 * x[2:]) * 2.0


def arrow(x: Any) -> Any:
    """All outputs depend on the first input, and the first output on all inputs."""
    return np.concatenate([np.reshape(np.sum(x * x), (1,)), x[1:] * x[0]])


def projected(cameras: Any, points: Any, by: Any, of: Any) -> Any:
    """Like bundle adjustment: an observation depends on its camera and on its point."""
    camera, point = cameras[by], points[of]
    return camera[:, :2] * point / (camera[:, 2:3] + point[:, :1] ** 2) + camera[:, 3:]


def container(inputs: Any) -> Any:
    """Dictionaries in and out, one of whose outputs is a number."""
    return {"steps": inputs["a"][1:] * inputs["b"], "end": (inputs["a"][0] ** 2, np.sin(inputs["b"]))}


JACOBIANS: dict[str, Case] = {
    "element-wise": Case(lambda x: np.sin(x) * x, (X,), 0, 1),
    "bidiagonal": Case(lambda x: x[1:] * x[:-1], (X,), 0, 2),
    "convolution": Case(convolved, (X,), 0, 3),
    "periodic": Case(burgers, (X,), 0, 3),
    "blocks": Case(lambda x, m: np.tanh(x) @ m, (RANDOM.uniform(size=(6, 3)), RANDOM.uniform(size=(3, 2))), 0, 3),
    "arrow": Case(arrow, (X,), 0, 12),
    "projected": Case(projected, (CAMERAS, POINTS, BY, OF), (0, 1), 6),
    "containers": Case(container, ({"a": X[:5], "b": X[5:9]},), 0, 4),
    "float32": Case(convolved, (X.astype(np.float32),), 0, 3),
    "scalar out": Case(lambda x: np.sum(x * x), (X,), 0, 12),
    "scalar in": Case(lambda x: np.exp(x), (0.5,), 0, 1),
    "nothing": Case(lambda x: x * 2.0, (np.zeros((0, 3)),), 0, 0),
    "empty rows": Case(lambda x: np.concatenate([np.ones(3), x[2:5] ** 2]), (X,), 0, 1),
}
HESSIANS: dict[str, Case] = {
    "element-wise": Case(lambda x: np.sum(np.exp(x) * x), (X,), 0, 1),
    "chain": Case(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2), (X,), 0, 3),
    "arrow": Case(lambda x: np.sum(x[1:] ** 2 * x[0]), (X,), 0, 2),
    "nearly linear": Case(lambda x: np.sum(3.0 * x) + x[4] ** 3, (X,), 0, 1),
    "two": Case(lambda a, b: np.sum(a * a * b[:5]) + np.sum(b**3), (X[:5], X[5:]), (0, 1), 3),
}


def dense(case: Case, operator: str, backend: Any = None, layout: str = "numerator") -> Any:
    """The matrix by the library's dense operator."""
    if operator == "hessian":
        return dl.hessian(case.function, case.argnums, backend or "reverse")(*case.args)
    return dl.jacobian(case.function, case.argnums, backend, layout)(*case.args)
