"""Neighbours with pools of threads: a matrix product and its derivative in OpenBLAS, PyTorch or JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from difflab.backends.protocol import Cost

SIDE = 384  # large enough that each library shares the product out among its threads


def _openblas() -> Callable[[], object]:
    matrix = np.full((SIDE, SIDE), 0.5)
    return lambda: 2 * matrix @ (matrix.T @ matrix)


def _torch() -> Callable[[], object]:
    import torch

    matrix = torch.full((SIDE, SIDE), 0.5, dtype=torch.float64, requires_grad=True)

    def call() -> object:
        matrix.grad = None
        ((matrix @ matrix) ** 2).sum().backward()
        return matrix.grad

    return call


def _jax() -> Callable[[], object]:
    import jax
    import jax.numpy as jnp

    matrix = jnp.full((SIDE, SIDE), 0.5)
    gradient = jax.jit(jax.grad(lambda one: ((one @ one) ** 2).sum()))
    return lambda: gradient(matrix).block_until_ready()


WORK = {"openblas": _openblas, "torch": _torch, "jax": _jax}


@dataclass(frozen=True)
class Pool:
    """A backend that answers with zeros, after a product in the threads of ``library``."""

    library: str = "openblas"

    name = "pool"
    family = "null"
    capabilities = frozenset({"gradient", "value_and_gradient"})

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Cost(1.0, 0.0, 0.0, 0.0)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        work = WORK[self.library]()

        def call(leaves: list[Any]) -> tuple[Any, list[Any]]:
            work()
            return 0.0, [np.zeros_like(leaf) for leaf in leaves]

        return SimpleNamespace(stats={}, value_and_gradient=call)
