"""The certified reference: a derivative enclosed in balls, as arrays that can be stored and measured against."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import StoreError
from .files import digest, sync_folder

PARTS = ("high", "low", "radius")
FACTS = ("value", "bits", "ties", "narrow", "reason", "unproven", "checked")


class Direction(NamedTuple):
    """The certified product of a derivative with a direction: within ``radius`` of ``high + low``.

    ``vector``: one float64 array per array of the result.
    """

    vector: list[np.ndarray]
    high: float
    low: float
    radius: float


@dataclass(frozen=True)
class Reference:
    """A derivative known to more digits than any contestant has.

    ``high``, ``low``, ``radius``: float64 arrays, one per array of the result (of a gradient: one per differentiated
    leaf); the truth lies within ``radius`` of ``high + low``.  ``value``: the loss, rounded.  ``bits``, ``ties``,
    ``narrow``, ``reason``, ``unproven``: how it was found, see ``difflab.execution.exact.Certified``.  ``checked``:
    whether power series along random directions, which know nothing of derivative rules, agreed.  ``sampled``: (k, n)
    where only k of n coordinates are certified; then ``known`` marks them (the others are NaN), and ``directions`` are
    products with random directions, in which every coordinate takes part.
    """

    high: list[np.ndarray]
    low: list[np.ndarray]
    radius: list[np.ndarray]
    value: float
    bits: int
    ties: int
    narrow: bool
    reason: str
    unproven: int = 0
    checked: bool = False
    sampled: tuple[int, int] | None = None
    known: list[np.ndarray] | None = None
    directions: list[Direction] = field(default_factory=list)

    @property
    def certified(self) -> bool:
        """Whether enclosures are narrow, no tie was taken on trust, and the power series agreed."""
        return self.narrow and not self.unproven and self.checked

    @property
    def certified_text(self) -> str:
        """``yes``, ``sampled k of n``, or ``no`` with the reason."""
        if not self.certified:
            return f"no: {self.reason or 'nothing has checked the enclosures'}"
        return "yes" if self.sampled is None else f"sampled {self.sampled[0]} of {self.sampled[1]}"

    def save(self, path: str | os.PathLike) -> str:
        """Write one ``.npz`` file of plain arrays; complete or not at all, and on the disk before this returns.

        Args:
            path: the file; replaced if it exists.

        Returns:
            The SHA-256 of the file, in hexadecimal digits.

        Raises:
            StoreError: it cannot be written.
        """
        arrays = {f"{part}{k}": array for part in PARTS for k, array in enumerate(getattr(self, part))}
        arrays |= {f"known{k}": array for k, array in enumerate(self.known or [])}
        for position, direction in enumerate(self.directions):
            arrays |= {f"vector{position}-{k}": array for k, array in enumerate(direction.vector)}
        facts = {name: getattr(self, name) for name in FACTS}
        facts |= {"leaves": len(self.high), "known": self.known is not None, "sampled": self.sampled}
        facts["directions"] = [[one.high, one.low, one.radius] for one in self.directions]
        target = Path(path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with open(partial, "wb") as file:
                np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
                file.flush()
                os.fsync(file.fileno())
            found = digest(partial)
            os.replace(partial, target)
            sync_folder(target.parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(
                f"the reference gradient cannot be written to {target}: {error.strerror or error}"
            ) from error
        return found

    @staticmethod
    def load(path: str | os.PathLike, sha256: str | None = None) -> Reference:
        """Read what ``save`` wrote.

        Args:
            path: the file.
            sha256: what ``save`` returned, where it is known.

        Returns:
            The reference.

        Raises:
            StoreError: the file is missing, is not a reference, or not the one that was saved.
        """
        try:
            if sha256 is not None and digest(Path(path)) != sha256:
                raise ValueError("its content has changed since it was written")
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                count = facts.pop("leaves")
                parts = {part: [file[f"{part}{k}"] for k in range(count)] for part in PARTS}
                known = [file[f"known{k}"] for k in range(count)] if facts.pop("known") else None
                directions = [
                    Direction([file[f"vector{position}-{k}"] for k in range(count)], *ends)
                    for position, ends in enumerate(facts.pop("directions"))
                ]
            sampled = facts.pop("sampled")
            return Reference(
                **parts, **facts, known=known, directions=directions, sampled=tuple(sampled) if sampled else None
            )
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise StoreError(
                f"{path} is not a readable reference gradient ({error}); delete it and run again"
            ) from error
