"""What tests of CuPy's arrays share: a loss, trees taken to the device and back, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np

from difflab.containers import flatten, unflatten


def parameters(dtype: str = "float64") -> dict[str, Any]:
    """The parameters of a small network."""
    rng = np.random.default_rng(7)
    shapes = {"w1": (3, 4), "b1": (4,), "w2": (4, 2)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def data(dtype: str = "float64") -> tuple[Any, Any]:
    """Examples and what is wanted of them."""
    rng = np.random.default_rng(8)
    return rng.standard_normal((5, 3)).astype(dtype), rng.standard_normal((5, 2)).astype(dtype)


def loss(params: Any, x: Any, y: Any) -> Any:
    """A number."""
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    return np.mean((hidden @ params["w2"] - y) ** 2)


def layer(params: Any, x: Any) -> Any:
    """An array and a number."""
    return {"hidden": np.tanh(x @ params["w1"] + params["b1"]), "size": np.sum(params["w2"] ** 2)}


def vector_like(tree: Any) -> Any:
    """A vector in the structure of a tree, where that is."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [0.3 * leaf + 0.1 for leaf in leaves])


def there(tree: Any) -> Any:
    """A tree of NumPy's arrays with CuPy's in their places."""
    leaves, structure = flatten(tree)
    bring = cupy_double.MEMBERS["cupy"]["asarray"]
    return unflatten(structure, [bring(leaf) for leaf in leaves])


def assert_same(found: Any, wanted: Any, rtol: float = 1e-12) -> None:
    """All leaves of a result are on the device, and are what NumPy's arrays gave, in shape, dtype and value."""
    leaves, structure = flatten(found)
    others, other = flatten(wanted)
    assert structure == other
    for leaf, one in zip(leaves, others, strict=True):
        assert type(leaf) is cupy_double.ndarray, type(leaf)
        assert (leaf.shape, leaf.dtype) == (np.shape(one), np.asarray(one).dtype)
        size = np.max(np.abs(one), initial=1.0)
        np.testing.assert_allclose(leaf.held, one, rtol=rtol, atol=rtol * size)


class Copies:
    """Copies between host and device during calls."""

    def __init__(self, cupy: Any):
        self._counted = cupy.STATE.copies

    def of(self, call: Callable[[], Any]) -> tuple[Any, int, int]:
        """A call's result, and how often it copied to the host and to the device."""
        self._counted.clear()
        result = call()
        return result, self._counted["to host"], self._counted["to device"]
