"""Lines of an evaluation trace, as a table for people and as plain lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

WIDEST = 6
"""Arrays of at most so many elements are printed in full."""
MISSING = "-"


class Row(NamedTuple):
    """One line of the trace; ``tangent`` and ``adjoint`` are ``None`` where nothing can be differentiated."""

    name: str
    formula: str
    primal: np.ndarray
    tangent: np.ndarray | None
    adjoint: np.ndarray | None
    gate: str


@dataclass(frozen=True)
class Walk:
    """A trace with its columns: ``str`` of it is the table.

    ``seed`` is the input whose tangent is 1; ``output`` the line of the result, ``symbol`` a letter for it that no
    input has and ``slope`` its tangent; ``gradient`` holds the adjoints of the inputs.
    """

    rows: list[Row]
    output: str
    symbol: str
    value: np.ndarray
    slope: np.ndarray
    seed: str
    gradient: dict[str, np.ndarray]

    def __str__(self) -> str:
        header = ("value", "is", "primal", f"tangent d/d{self.seed}", f"adjoint d{self.symbol}/dv", "gate")
        lines = [
            header,
            *[
                (row.name, row.formula, brief(row.primal), brief(row.tangent), brief(row.adjoint), row.gate)
                for row in self.rows
            ],
        ]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        slopes = "  ".join(f"d{self.symbol}/d{name} = {brief(slope)}" for name, slope in self.gradient.items())
        notes = [
            "",
            f"{self.symbol} = {self.output} = {brief(self.value)}",
            f"forward, read downwards:  d{self.symbol}/d{self.seed} = {brief(self.slope)}",
            f"reverse, read upwards:    {slopes}",
        ]
        strange = [row.name for row in self.rows if not _all_finite(row.primal)]
        if strange:
            notes.append(f"not finite: {', '.join(strange)}")
        return "\n".join([*table, *notes])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain lists and numbers."""
        return {
            "output": self.output,
            "value": _listed(self.value),
            "seed": self.seed,
            "tangent": _listed(self.slope),
            "gradient": {name: _listed(slope) for name, slope in self.gradient.items()},
            "rows": [
                {
                    "name": row.name,
                    "formula": row.formula,
                    "primal": _listed(row.primal),
                    "tangent": _listed(row.tangent),
                    "adjoint": _listed(row.adjoint),
                    "gate": row.gate,
                }
                for row in self.rows
            ],
        }


def _all_finite(value: np.ndarray) -> bool:
    return value.dtype.kind not in "fc" or bool(np.all(np.isfinite(value)))


def _listed(value: np.ndarray | None) -> Any:
    return None if value is None else value.tolist()


def brief(value: np.ndarray | None) -> str:
    """A value in a cell: five digits, at most ``WIDEST`` elements.

    Example:
        >>> brief(np.array([2 / 3, -0.0])), brief(None)
        ('[0.66667 0]', '-')
    """
    if value is None:
        return MISSING
    some = [f"{item + 0:.5g}" if value.dtype.kind in "fc" else str(item) for item in value.ravel()[:WIDEST]]
    return some[0] if value.shape == () else "[" + " ".join(some) + (" ...]" if value.size > WIDEST else "]")
