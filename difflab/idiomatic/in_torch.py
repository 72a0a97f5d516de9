"""PyTorch, eagerly: images and kernels with their channels first, weights as ``torch.nn.Linear`` keeps them."""

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
    """The loss of problem mlp: two linear layers with tanh, one more, and cross-entropy with targets that weigh.

    Args:
        instance: of problem mlp.

    Returns:
        The loss and its data in PyTorch.

    Example:
        >>> from difflab.problems import find
        >>> sorted(mlp(find("mlp").build("tiny", "float64", 0)).answer()[1])  # doctest: +SKIP
        ['b1', 'b2', 'b3', 'w1', 'w2', 'w3']
    """
    torch, functional = _modules()
    params, x, t = instance.args
    own = {key: np.ascontiguousarray(value.T) for key, value in params.items()}

    def loss(own: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = torch.tanh(functional.linear(x, own["w1"], own["b1"]))
        h = torch.tanh(functional.linear(h, own["w2"], own["b2"]))
        return functional.cross_entropy(functional.linear(h, own["w3"], own["b3"]), t)

    return _idiom(loss, own, (x, t), {key: np.transpose for key in params})


def cnn(instance: Instance) -> Idiom:
    """The loss of problem cnn: convolution, relu and max-pooling per block, a linear layer, cross-entropy.

    Args:
        instance: of problem cnn.

    Returns:
        The loss and its data in PyTorch.

    Example:
        >>> from difflab.problems import find
        >>> cnn(find("cnn").build("tiny", "float64", 0)).answer()[1]["k1"].shape  # doctest: +SKIP
        (3, 3, 1, 2)
    """
    torch, functional = _modules()
    params, x, t = instance.args
    blocks = range(1, len(params) // 2)
    side, channels = x.shape[1] // 2 ** len(blocks), params[f"k{len(blocks)}"].shape[3]

    def rows_by_channel(w: np.ndarray) -> np.ndarray:
        return w.reshape(side, side, channels, -1).transpose(3, 2, 0, 1).reshape(w.shape[1], -1)

    def rows_by_pixel(w: np.ndarray) -> np.ndarray:
        return w.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])

    own = {**params, "w": rows_by_channel(params["w"])}
    back: dict[str, Turned] = {"w": rows_by_pixel}
    for block in blocks:
        own[f"k{block}"] = np.ascontiguousarray(params[f"k{block}"].transpose(3, 2, 0, 1))
        back[f"k{block}"] = _rows_columns_first

    def loss(own: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = x
        for block in blocks:
            h = functional.relu(functional.conv2d(h, own[f"k{block}"], own[f"b{block}"], padding="same"))
            h = functional.max_pool2d(h, 2)
        return functional.cross_entropy(functional.linear(torch.flatten(h, 1), own["w"], own["b"]), t)

    return _idiom(loss, own, (np.ascontiguousarray(x.transpose(0, 3, 1, 2)), t), back)


def _modules() -> tuple[Any, Any]:
    torch = framework("torch")
    return torch, torch.nn.functional


def _rows_columns_first(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)


def _idiom(
    loss: Callable[..., Any],
    params: Mapping[str, np.ndarray],
    data: tuple[np.ndarray, ...],
    back: Mapping[str, Turned],
) -> Idiom:
    """A loss with its data as tensors; ``back`` takes gradients to the layout of the problem."""
    torch = _modules()[0]
    own = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
    tensors, leaves = [torch.tensor(value) for value in data], list(own.values())

    def call() -> tuple[Any, Any]:
        value = loss(own, *tensors)
        return value, torch.autograd.grad(value, leaves)

    def answer() -> tuple[float, dict[str, Any]]:
        value, gradients = call()
        arrays = {key: gradient.numpy() for key, gradient in zip(own, gradients, strict=True)}
        return value.item(), {key: back[key](one) if key in back else one for key, one in arrays.items()}

    return Idiom(call, answer)


LOSSES: Mapping[str, Callable[[Instance], Idiom]] = MappingProxyType({"mlp": mlp, "cnn": cnn})
