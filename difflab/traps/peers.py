"""Libraries of others at the traps: the same function in their own namespace, differentiated by their own gradient.

A study names them ``difflab.traps.peers:Jax``, ``:Torch`` and ``:Autograd``.  Nothing of theirs is imported before an
answer is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from types import SimpleNamespace
from typing import Any, Never

import numpy as np

from ..backends.protocol import Source
from ..errors import UnsupportedError
from ..tape import Tape
from .judge import flat

GRADIENTS = frozenset({"gradient"})


@dataclass(frozen=True)
class Jax:
    """JAX: ``jax.grad`` in 64 bits, and ``jax.jit`` of it where a trap compiles.

    Example:
        >>> Jax().name, Jax().family
        ('jax', 'peer')
    """

    @property
    def name(self) -> str:
        """``jax``."""
        return "jax"

    @property
    def family(self) -> str:
        """``peer``."""
        return "peer"

    @property
    def capabilities(self) -> frozenset[str]:
        """Gradients."""
        return GRADIENTS

    @property
    def xp(self) -> Any:
        """``jax.numpy``, with relu and pooling as JAX has them."""
        jax, lax = importlib.import_module("jax"), importlib.import_module("jax.lax")

        def max_pool2d(x: Any) -> Any:
            return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

        return SimpleNamespace(**{**vars(jax.numpy), "relu": jax.nn.relu, "max_pool2d": max_pool2d})

    def unavailable(self) -> str | None:
        """What is missing, in a sentence."""
        return _missing("jax")

    def version(self) -> str:
        """As installed."""
        return metadata.version("jax")

    def gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., list[float]]:
        """See ``Library``."""
        return self._in_64_bits(importlib.import_module("jax").grad(partial(function, self.xp), wrt))

    def compiled(
        self, function: Callable[..., Any], wrt: tuple[int, ...], *arguments: Any
    ) -> Callable[..., list[float]]:
        """See ``Library``."""
        jax = importlib.import_module("jax")
        return self._in_64_bits(jax.jit(jax.grad(partial(function, self.xp), wrt)))

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Never:
        """Refused."""
        raise _only_at_traps(self.name)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> Never:
        """Refused, but only after the import, which a worker does while it opens a case and not within its limits."""
        importlib.import_module(self.name)
        raise _only_at_traps(self.name)

    def _in_64_bits(self, gradient: Callable[..., Any]) -> Callable[..., list[float]]:
        jax = importlib.import_module("jax")

        def run(*arguments: Any) -> list[float]:
            with jax.enable_x64(True):
                return flat(gradient(*map(jax.numpy.asarray, arguments)))

        return run


@dataclass(frozen=True)
class Torch:
    """PyTorch: ``torch.autograd.grad``, eagerly; nothing is compiled.

    Example:
        >>> Torch().name, sorted(Torch().capabilities)
        ('torch', ['gradient'])
    """

    @property
    def name(self) -> str:
        """``torch``."""
        return "torch"

    @property
    def family(self) -> str:
        """``peer``."""
        return "peer"

    @property
    def capabilities(self) -> frozenset[str]:
        """Gradients."""
        return GRADIENTS

    @property
    def xp(self) -> Any:
        """``torch``, where its names or arguments differ from NumPy's by what a user would write instead."""
        torch = importlib.import_module("torch")

        def of_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x, y: function(*map(torch.as_tensor, (x, y)))

        return SimpleNamespace(
            **{
                **vars(torch),
                "array": torch.tensor,
                "cumprod": lambda x, axis: torch.cumprod(x, axis),
                "logaddexp": lambda x, y: torch.logaddexp(x, torch.as_tensor(y, dtype=x.dtype)),
                "max_pool2d": lambda x: torch.nn.functional.max_pool2d(x, 2),
                "maximum": of_tensors(torch.maximum),
                "sort": lambda x: torch.sort(x).values,
                "std": lambda x: torch.std(x, correction=0),
                "where": torch.where,
            }
        )

    def unavailable(self) -> str | None:
        """What is missing, in a sentence."""
        return _missing("torch")

    def version(self) -> str:
        """As installed."""
        return metadata.version("torch")

    def gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., list[float]]:
        """See ``Library``."""
        torch, xp = importlib.import_module("torch"), self.xp

        def run(*arguments: Any) -> list[float]:
            tensors = [torch.as_tensor(np.array(one)) for one in arguments]
            for position in wrt:
                tensors[position].requires_grad_()
            value = torch.as_tensor(function(xp, *tensors))
            return flat(torch.autograd.grad(value, [tensors[position] for position in wrt]))

        return run

    def compiled(
        self, function: Callable[..., Any], wrt: tuple[int, ...], *arguments: Any
    ) -> Callable[..., list[float]]:
        """See ``Library``."""
        return self.gradient(function, wrt)

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Never:
        """Refused."""
        raise _only_at_traps(self.name)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> Never:
        """Refused, but only after the import, which a worker does while it opens a case and not within its limits."""
        importlib.import_module(self.name)
        raise _only_at_traps(self.name)


@dataclass(frozen=True)
class Autograd:
    """HIPS autograd: ``autograd.grad`` of functions of ``autograd.numpy``; nothing is compiled.

    Example:
        >>> Autograd().name
        'autograd'
    """

    @property
    def name(self) -> str:
        """``autograd``."""
        return "autograd"

    @property
    def family(self) -> str:
        """``peer``."""
        return "peer"

    @property
    def capabilities(self) -> frozenset[str]:
        """Gradients."""
        return GRADIENTS

    @property
    def xp(self) -> Any:
        """``autograd.numpy``."""
        return importlib.import_module("autograd.numpy")

    def unavailable(self) -> str | None:
        """What is missing, in a sentence."""
        return _missing("autograd")

    def version(self) -> str:
        """As installed."""
        return metadata.version("autograd")

    def gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., list[float]]:
        """See ``Library``."""
        gradient = importlib.import_module("autograd").grad(partial(function, self.xp), wrt)
        return lambda *arguments: flat(gradient(*arguments))

    def compiled(
        self, function: Callable[..., Any], wrt: tuple[int, ...], *arguments: Any
    ) -> Callable[..., list[float]]:
        """See ``Library``."""
        return self.gradient(function, wrt)

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Never:
        """Refused."""
        raise _only_at_traps(self.name)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> Never:
        """Refused, but only after the import, which a worker does while it opens a case and not within its limits."""
        importlib.import_module(self.name)
        raise _only_at_traps(self.name)


PEERS = (Jax, Torch, Autograd)


def _missing(package: str) -> str | None:
    if importlib.util.find_spec(package) is not None:
        return None
    return f"{package} is not installed; install it with `pip install {package}`, or all peers with difflab[peers]"


def _only_at_traps(name: str) -> UnsupportedError:
    return UnsupportedError(f"{name} answers at traps only; it cannot be a backend of another study")
