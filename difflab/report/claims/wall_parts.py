"""What a run of a study of Jacobians found: one part per variable of a layer, size, dtype and backend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import numbers
from ..cases import Case

SYMBOLS = {  # how sizes are said, in this order
    "examples": "N", "side": "side", "inputs": "D", "hidden": "H", "outputs": "M", "channels": "C", "kernel": "K",
}  # fmt: skip
SPELT = 10_000  # from which number on digits stand in groups


EXPLICIT, CHUNKED, COMPRESSED, IMPLICIT = "formed", "in chunks", "compressed", "without it"
WAYS = (EXPLICIT, CHUNKED, COMPRESSED, IMPLICIT)
"""How a product with a Jacobian is computed."""


@dataclass(frozen=True)
class Way:
    """One way of one part: what the backend planned and forecast, and what was measured where it was done.

    ``lanes`` are the rows or columns of a chunk, ``difference`` how far its product is from another way's.
    """

    name: str
    part: Part
    done: bool
    reason: str
    plan: int | None
    bytes: float | None
    seconds: float | None
    flops: float | None
    lanes: int | None = None
    difference: float | None = None

    @property
    def share(self) -> float | None:
        """The bytes of the plan as a fraction of those measured, where both exist."""
        return ratio(self.plan, self.bytes)


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
    def ways(self) -> dict[str, Way]:
        """The ways that the run looked at, by name."""
        formed, chunked, compressed = self.data["jacobian"], self.data.get("chunked"), self.data.get("compressed")
        found = [_way(EXPLICIT, self, {**formed, "plan_bytes": self.data["plan_bytes"], "flops": self.data["flops"]})]
        found += [_way(CHUNKED, self, chunked)] if chunked else []
        found += [_way(COMPRESSED, self, compressed)] if compressed else []
        found.append(_way(IMPLICIT, self, {"outcome": "ok", "reason": "", **self.product}))
        return {way.name: way for way in found}

    @property
    def passes(self) -> int:
        """The products that forming it takes: one per number of the output or, forward, of the variable."""
        return math.prod(self.data["out"] if self.data["way"] == "vjp" else self.data["into"])

    @property
    def the(self) -> str:
        """``dy/dW of the dense layer at N = 8, D = M = 32``."""
        return f"{self.name} of the {small(self.layer)} at {self.where}"

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


def _way(name: str, part: Part, found: Mapping[str, Any]) -> Way:
    return Way(
        name, part, found["outcome"] == "ok", found["reason"], found.get("plan_bytes"), found.get("bytes"),
        found.get("seconds"), found.get("flops"), found.get("lanes"), found.get("difference"),
    )  # fmt: skip


def small(title: str) -> str:
    """A title within a sentence: only its first letter changes, as others may begin names.

    >>> small("Viscous Burgers equation")
    'viscous Burgers equation'
    """
    return title[:1].lower() + title[1:]


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
    told = [(names, numbers.grouped(extent) if extent >= SPELT else str(extent)) for names, extent in parts]
    return ", ".join(f"{' = '.join(names)} = {extent}" for names, extent in told)


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

    def forecast(self, part: Part, name: str = EXPLICIT) -> float | None:
        """Seconds that a way would take: those of the largest that the same backend did in this way, by operations.

        Nothing where that backend did none, or the part itself was done.
        """
        way = part.ways.get(name)
        done = [one for other in self.of(part.case.backend) if (one := other.ways.get(name)) and one.done and one.flops]
        if way is None or way.done or way.flops is None or not done:
            return None
        largest = max(done, key=lambda one: one.flops or 0.0)
        return (largest.seconds or 0.0) * way.flops / (largest.flops or 1.0)


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
