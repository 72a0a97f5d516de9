"""HIPS autograd: its NumPy, and for images its own convolution, whose channels come first, as in its examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ..backends.peers.forecast import framework
from ..problems import Instance
from . import Idiom

Turned = Callable[[np.ndarray], np.ndarray]


def mlp(instance: Instance) -> Idiom:
    """The loss of problem mlp with autograd's ``logsumexp``.

    Args:
        instance: of problem mlp.

    Returns:
        The loss and its data for autograd.

    Example:
        >>> from difflab.problems import find
        >>> sorted(mlp(find("mlp").build("tiny", "float64", 0)).answer()[1])  # doctest: +SKIP
        ['b1', 'b2', 'b3', 'w1', 'w2', 'w3']
    """
    anp, logsumexp = framework("autograd.numpy"), framework("autograd.scipy.special").logsumexp

    def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = anp.tanh(anp.dot(x, params["w1"]) + params["b1"])
        h = anp.tanh(anp.dot(h, params["w2"]) + params["b2"])
        z = anp.dot(h, params["w3"]) + params["b3"]
        return -anp.sum(t * (z - logsumexp(z, axis=1, keepdims=True))) / len(x)

    return _idiom(loss, instance.args[0], instance.args[1:], {})


def cnn(instance: Instance) -> Idiom:
    """The loss of problem cnn with autograd's ``convolve``, which turns the kernel round.

    Args:
        instance: of problem cnn.

    Returns:
        The loss and its data for autograd, images and kernels with their channels before rows and columns.

    Example:
        >>> from difflab.problems import find
        >>> cnn(find("cnn").build("tiny", "float64", 0)).answer()[1]["k1"].shape  # doctest: +SKIP
        (3, 3, 1, 2)
    """
    anp, logsumexp = framework("autograd.numpy"), framework("autograd.scipy.special").logsumexp
    convolve = framework("autograd.scipy.signal").convolve
    params, x, t = instance.args
    blocks = range(1, len(params) // 2)
    side, channels = x.shape[1] // 2 ** len(blocks), params[f"k{len(blocks)}"].shape[3]

    def rows_by_channel(w: np.ndarray) -> np.ndarray:
        return w.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(w.shape)

    def rows_by_pixel(w: np.ndarray) -> np.ndarray:
        return w.reshape(channels, side, side, -1).transpose(1, 2, 0, 3).reshape(w.shape)

    own = {**params, "w": rows_by_channel(params["w"])}
    back: dict[str, Turned] = {"w": rows_by_pixel}
    for block in blocks:
        own[f"k{block}"] = np.ascontiguousarray(params[f"k{block}"][::-1, ::-1].transpose(2, 3, 0, 1))
        back[f"k{block}"] = _turned_back

    def loss(own: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = x
        for block in blocks:
            around = (own[f"k{block}"].shape[2] - 1) // 2
            h = anp.pad(h, ((0, 0), (0, 0), (around, around), (around, around)), "constant")
            h = convolve(h, own[f"k{block}"], axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")
            h = anp.maximum(h + anp.reshape(own[f"b{block}"], (1, -1, 1, 1)), 0)
            n, outputs, height, width = h.shape
            h = anp.max(anp.reshape(h, (n, outputs, height // 2, 2, width // 2, 2)), axis=(3, 5))
        z = anp.dot(anp.reshape(h, (h.shape[0], -1)), own["w"]) + own["b"]
        return -anp.sum(t * (z - logsumexp(z, axis=1, keepdims=True))) / len(x)

    return _idiom(loss, own, (np.ascontiguousarray(x.transpose(0, 3, 1, 2)), t), back)


def _turned_back(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 0, 1)[::-1, ::-1]


def _idiom(
    loss: Callable[..., Any],
    params: Mapping[str, np.ndarray],
    data: tuple[np.ndarray, ...],
    back: Mapping[str, Turned],
) -> Idiom:
    """A loss with its data; ``back`` takes gradients to the layout of the problem."""
    both = framework("autograd").value_and_grad(loss)

    def call() -> Any:
        return both(params, *data)

    def answer() -> tuple[float, dict[str, Any]]:
        value, gradients = call()
        return float(value), {key: back[key](one) if key in back else one for key, one in gradients.items()}

    return Idiom(call, answer)


LOSSES: Mapping[str, Callable[[Instance], Idiom]] = MappingProxyType({"mlp": mlp, "cnn": cnn})
