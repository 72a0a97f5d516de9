"""What a run of a study of Jacobians found: one part per variable of a layer, size, dtype and backend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import numbers
from ..cases import Case

SYMBOLS = {  # how sizes are said, in this order
    "examples": "N", "side": "side", "inputs": "D", "outputs": "M", "channels": "C", "kernel": "K",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The Jacobian of a layer by one variable in one case; ``data`` is what the examination found of it."""

    case: Case
    layer: str
    size: Mapping[str, int]
    limit: float | None
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``dy/dW``."""
        return f"dy/d{self.data['variable']}"

    @property
    def formed(self) -> Mapping[str, Any] | None:
        """What was measured of the Jacobian, if it was formed."""
        return self.data["jacobian"] if self.data["jacobian"]["outcome"] == "ok" else None

    @property
    def seconds(self) -> float | None:
        """What forming took."""
        return self.formed["seconds"] if self.formed else None

    @property
    def peak(self) -> float | None:
        """The bytes of the process that forming took, where the system says."""
        return self.formed["bytes"] if self.formed else None

    @property
    def product(self) -> Mapping[str, Any]:
        """``bytes`` and ``seconds`` of the product without the Jacobian."""
        return self.data["product"]

    @property
    def bytes(self) -> int:
        """The bytes of the entries, from shapes and dtype."""
        return self.data["array_bytes"]

    @property
    def where(self) -> str:
        """``N = 64, D = M = 4096``: the size of the layer in symbols, equal numbers together."""
        return said(self.size)

    @property
    def arithmetic(self) -> str:
        """``64 x 4096 x 64 x 4096 x 4 B``: the shape of the output, that of the variable, and the dtype."""
        extents = [*self.data["out"], *self.data["into"]]
        width = self.bytes // self.data["entries"]
        return f" {numbers.TIMES} ".join([*map(str, extents), f"{width} B"])


def said(size: Mapping[str, int]) -> str:
    """A size in symbols; neighbours of the same number stand together.

    >>> said({"examples": 64, "inputs": 4096, "outputs": 4096})
    'N = 64, D = M = 4096'
    """
    ordered = sorted(size.items(), key=lambda item: [*SYMBOLS, item[0]].index(item[0]))
    parts: list[tuple[list[str], int]] = []
    for name, extent in ordered:
        symbol = SYMBOLS.get(name, name)
        if parts and parts[-1][1] == extent:
            parts[-1][0].append(symbol)
        else:
            parts.append(([symbol], extent))
    return ", ".join(f"{' = '.join(names)} = {extent}" for names, extent in parts)


@dataclass(frozen=True)
class Panel:
    """The parts that belong in one chart: one layer, variable and dtype, all sizes and backends."""

    layer: str
    name: str
    dtype: str
    parts: tuple[Part, ...]

    @property
    def title(self) -> str:
        """``Dense layer, dy/dW, float32``."""
        return f"{self.layer}, {self.name}, {self.dtype}"

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """Sizes with the numbers in the layer's variables, small to large."""
        return sorted({part.case.size: part.case.n_params for part in self.parts}.items(), key=lambda item: item[1])

    def of(self, backend: str) -> list[Part]:
        """The parts of a backend, small to large."""
        return sorted((part for part in self.parts if part.case.backend == backend), key=lambda p: p.case.n_params)

    @property
    def main(self) -> list[Part]:
        """Per size the part of which the answer speaks: that whose product goes backward, else the first."""
        found = []
        for size, _ in self.sizes:
            own = [part for part in self.parts if part.case.size == size]
            found.append(next((part for part in own if part.data["way"] == "vjp"), own[0]))
        return found

    def forecast(self, part: Part) -> float | None:
        """Seconds that forming would take: those of the largest formed by the same backend, by operations.

        Nothing where that backend formed none, or the part itself was formed.
        """
        formed = [one for one in self.of(part.case.backend) if one.formed]
        if part.formed or not formed:
            return None
        largest = max(formed, key=lambda one: one.data["flops"])
        seconds = largest.seconds or 0.0
        return seconds * part.data["flops"] / largest.data["flops"] if largest.data["flops"] else None


def panels_of(cases: Sequence[Case]) -> list[Panel]:
    """The parts of all cases by layer, variable and dtype, in order of appearance.

    Args:
        cases: all rows of a run, with their findings.
    """
    found: dict[tuple[str, str, str, str], list[Part]] = {}
    for case in cases:
        if case.findings:
            shared = case.findings["layer"], case.findings["size"], case.findings["limit"]
            for data in case.findings["parts"]:
                part = Part(case, *shared, data)
                found.setdefault((case.problem, part.layer, part.name, case.dtype), []).append(part)
    # the variables of one layer and dtype stand together
    order = {key: place for place, key in enumerate(dict.fromkeys((key[0], key[3]) for key in found))}
    keys = sorted(found, key=lambda key: order[key[0], key[3]])
    return [Panel(layer, name, dtype, tuple(found[key])) for key in keys for _, layer, name, dtype in [key]]


def ratio(above: float | None, below: float | None) -> float | None:
    """A quotient, where both are known and there is one.

    >>> ratio(6.0, 2.0), ratio(1.0, None)
    (3.0, None)
    """
    if above is None or not below or not math.isfinite(above):
        return None
    return above / below
