"""JAX: ``jax.jit`` of ``jax.value_and_grad``, waited for; images with their channels last, as on XLA's CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ..backends.peers.forecast import framework
from ..problems import Instance
from . import Idiom


def mlp(instance: Instance) -> Idiom:
    """The loss of problem mlp with ``jax.nn.log_softmax``.

    Args:
        instance: of problem mlp.

    Returns:
        The loss and its data in JAX.

    Example:
        >>> from difflab.problems import find
        >>> sorted(mlp(find("mlp").build("tiny", "float64", 0)).answer()[1])  # doctest: +SKIP
        ['b1', 'b2', 'b3', 'w1', 'w2', 'w3']
    """
    jax = framework("jax")
    jnp = jax.numpy

    def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = jnp.tanh(x @ params["w1"] + params["b1"])
        h = jnp.tanh(h @ params["w2"] + params["b2"])
        z = h @ params["w3"] + params["b3"]
        return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(z), axis=1))

    return _idiom(loss, instance)


def cnn(instance: Instance) -> Idiom:
    """The loss of problem cnn with ``jax.lax``'s convolution and ``reduce_window``.

    Args:
        instance: of problem cnn.

    Returns:
        The loss and its data in JAX.

    Example:
        >>> from difflab.problems import find
        >>> cnn(find("cnn").build("tiny", "float64", 0)).answer()[1]["k1"].shape  # doctest: +SKIP
        (3, 3, 1, 2)
    """
    jax = framework("jax")
    jnp, lax = jax.numpy, jax.lax
    blocks = range(1, len(instance.args[0]) // 2)

    def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
        h = x
        for block in blocks:
            layout = ("NHWC", "HWIO", "NHWC")
            h = lax.conv_general_dilated(h, params[f"k{block}"], (1, 1), "SAME", dimension_numbers=layout)
            h = jax.nn.relu(h + params[f"b{block}"])
            h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        z = h.reshape(h.shape[0], -1) @ params["w"] + params["b"]
        return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(z), axis=1))

    return _idiom(loss, instance)


def _idiom(loss: Callable[..., Any], instance: Instance) -> Idiom:
    """A loss compiled for the instance's own arrays, which keep their dtype."""
    jax = framework("jax")
    wide = any(value.dtype.itemsize == 8 for value in instance.args[0].values())
    if wide and not jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", True)
    arguments = jax.tree.map(jax.numpy.asarray, instance.args)
    compiled = jax.jit(jax.value_and_grad(loss))

    def call() -> Any:
        return jax.block_until_ready(compiled(*arguments))

    def answer() -> tuple[float, dict[str, Any]]:
        value, gradients = call()
        return float(value), {key: np.asarray(one) for key, one in gradients.items()}

    return Idiom(call, answer)


LOSSES: Mapping[str, Callable[[Instance], Idiom]] = MappingProxyType({"mlp": mlp, "cnn": cnn})
