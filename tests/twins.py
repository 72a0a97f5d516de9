"""Backends that are equal but for their name: what the harness says of them when it compares them is its own error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import difflab as dl


@dataclass(frozen=True)
class Twin:
    """Reverse mode, once more; ``which`` tells one twin from the other and changes nothing."""

    which: int = 0

    name = "twin"
    family = "reverse"
    capabilities = dl.Reverse().capabilities

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Any:
        return dl.Reverse().predict(tape, operator, wrt)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        return dl.Reverse().prepare(source, operator, example)
