"""A backend that misbehaves while it trains; workers import it as ``training_doubles:Trainer``."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from harness_doubles import Double


@dataclass(frozen=True)
class Trainer:
    """A double of the harness that can give the plain value, too, as a descent needs at its end."""

    how: str = "well"

    name = "trainer"
    family = "reverse"
    capabilities = frozenset({"value", "gradient", "value_and_gradient"})

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Any:
        return Double().predict(tape, operator, wrt)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        ready = Double(self.how).prepare(source, operator, example)

        def value(leaves: Any) -> list[Any]:
            return [np.asarray(part) for part in source.call(leaves)]

        return SimpleNamespace(stats={}, value=value, value_and_gradient=ready.value_and_gradient)
