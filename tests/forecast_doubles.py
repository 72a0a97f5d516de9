"""Backends that forecast badly: one dies of it, one raises, one says nothing of what it runs."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

import numpy as np

from difflab.backends.protocol import Cost


@dataclass(frozen=True)
class Foreseer:
    """A backend that is asked for its forecast only."""

    how: str = "silent"
    name: str = "foreseer"
    family: str = "reverse"
    capabilities: frozenset[str] = frozenset({"value_and_gradient", "gradient"})

    def unavailable(self) -> str | None:
        return "it is away" if self.how == "away" else None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "raises":
            raise RuntimeError("no idea")
        if self.how == "endless":
            return Cost(float("inf"), float("inf"), 10)
        return Cost(3.0, 30.0, 10)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        raise AssertionError("a forecast prepares nothing")


def speeds(**changed: Any) -> dict[str, Any]:
    """A machine on which nothing takes time but what is ``changed``, by the path of its figure: ``call__dot=1.0``."""
    calls = (
        "elementwise", "broadcast", "fresh", "reduce", "extreme", "masked", "dot", "product", "copy", "view", "index",
        "scatter", "join", "sort", "linalg", "stacked", "quiet", "python",
    )  # fmt: skip
    made = ("record", "derive", "batch", "set_up")
    found: dict[str, Any] = {
        "version": 1, "seconds": 0.0, "crowd": 1.0, "touch": 0.0,
        "call": dict.fromkeys(calls, 0.0),
        "element": {name: {"add": 0.0, "multiply": 0.0, "tanh": 0.0, "beta": 0.0} for name in ("float64", "float32")},
        "pass": [[2**14, 0.0], [2**25, 0.0]],
        "loop": {"rows": 0.0, "deep": 0.0, "sums": 0.0},
        "product": {name: [0.0, 0.0] for name in ("float64", "float32", "complex128")},
        "moves": dict.fromkeys(("index", "scatter", "mask", "reduce", "sort", "fft", "solve", "eigen"), 0.0),
        "python": {"operation": 0.0, "number": 0.0},
        "compile": dict.fromkeys((*made, *(f"{name}_start" for name in made), "plain", "run"), 0.0),
    }  # fmt: skip
    for path, value in changed.items():
        *heads, last = path.split("__")
        inner = found
        for head in heads:
            inner = inner[head]
        inner[last] = value
    return found


def halves(leaves: list[np.ndarray]) -> list[Any]:
    """A loss of two element-wise equations and a sum."""
    return [np.sum(np.tanh(leaves[0]) * leaves[0])]
