"""A small piece of research, from a loss and a backend of one's own to a table and a figure.

Question: does a quotient of five points (four evaluations per parameter) earn its price over the central one (two), and
what does either cost beside reverse mode?  The loss is a chain of coupled oscillators integrated by leapfrog, so that
its parameters reach the result through many steps.

    python examples/research.py FOLDER

writes ``oscillators.csv`` (one row per case) and ``oscillators.pdf`` into FOLDER; by default into the current folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from matplotlib.figure import Figure

import difflab as dl
from difflab.backends.protocol import Cost, Source

# ---------------------------------------------------------------------------- a loss of one's own: plain NumPy


def misfit(stiffness, start, seen, *, step=0.05, steps=20):
    """Mean squared distance of the oscillators' last places from those that were seen.

    ``stiffness``: of the n springs; ``start`` and ``seen``: n places; ``step``: of time.
    """
    place, speed = start, np.zeros_like(start)
    for _ in range(steps):
        stretch = np.diff(place, prepend=0.0)
        force = -stiffness * stretch
        speed = speed + step * (force - np.append(force[1:], 0.0))
        place = place + step * speed
    return np.mean((place - seen) ** 2)


def example(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arguments of ``misfit`` for n oscillators; the same for the same n."""
    rng = np.random.default_rng(n)
    return 1.0 + rng.random(n), rng.normal(size=n), rng.normal(size=n)


# ---------------------------------------------------------------------------- a backend of one's own


@dataclass(frozen=True)
class FivePoint:
    """Quotients of four evaluations, exact for polynomials of degree four (Fornberg 1988, table 1).

    The error of truncation is of order h**4 and that of rounding of order eps / h, so h is eps**(1/5) by default, times
    the magnitude of the parameter where that is above one.
    """

    step: float = float(np.finfo(float).eps) ** 0.2
    name: str = field(default="five-point", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)  # which accuracy may be expected of it
    capabilities: frozenset[str] = field(default=frozenset({"gradient", "value_and_gradient"}), init=False, repr=False)

    def unavailable(self) -> str | None:
        """It needs nothing that could be missing."""
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Four evaluations per parameter and one for the value, one after the other."""
        calls = 1 + 4 * sum(tape.avals[tape.inputs[i]].size for i in wrt)
        return Cost(calls, calls * tape.flops, tape.bytes)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedFivePoint:
        """Nothing to prepare: every call evaluates the loss as it is."""
        return PreparedFivePoint(source, self.step)


class PreparedFivePoint:
    """The loss and the step."""

    def __init__(self, source: Source, step: float):
        self._source, self._step = source, step
        self.stats: dict[str, Any] = {}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs of the loss."""
        return self._source.call(leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The value, and one array of quotients per differentiated leaf."""
        return self.value(leaves)[0], [self._quotients(leaves, i) for i in self._source.wrt]

    def _quotients(self, leaves: Sequence[Any], i: int) -> np.ndarray:
        found = np.empty_like(leaves[i])
        for k, centre in enumerate(np.ravel(leaves[i])):
            h = self._step * max(1.0, abs(centre))

            def at(moved: float, k: int = k) -> float:
                leaf = leaves[i].copy()
                leaf.flat[k] = moved
                return self.value([*leaves[:i], leaf, *leaves[i + 1 :]])[0]

            far, near = at(centre + 2 * h) - at(centre - 2 * h), at(centre + h) - at(centre - h)
            found.flat[k] = (8 * near - far) / (12 * h)
        return found


# ---------------------------------------------------------------------------- measure, tabulate, draw

BACKENDS = (FivePoint(), dl.Finite("central"), "forward", "reverse")


def measured(sizes: Sequence[int]) -> pandas.DataFrame:
    """One row per size and backend, errors against the certified gradient."""
    return pandas.concat(
        [dl.compare(misfit, *example(n), backends=BACKENDS).frame.assign(oscillators=n) for n in sizes],
        ignore_index=True,
    )


def drawn(frame: pandas.DataFrame) -> Figure:
    """Relative error and time of one gradient against the number of oscillators."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    columns = {"rel_error": "relative error of the gradient", "work_ratio": "time of one gradient / time of the loss"}
    for axes, (column, label) in zip(figure.subplots(1, 2), columns.items(), strict=True):
        for marker, (backend, rows) in zip("osD^", frame.groupby("backend", sort=False), strict=True):
            axes.loglog(rows["oscillators"], rows[column], marker=marker, label=str(backend))
        axes.set(xlabel="oscillators", ylabel=label)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False)
    return figure


def main(folder: Path) -> None:
    """Measure, write the table and the figure, print the table."""
    frame = measured([4, 16, 64])
    shown = frame[["oscillators", "backend", "outcome", "rel_error", "worst_digits", "call_s", "work_ratio"]]
    three_digits: Any = "{:.3g}".format  # pandas' stubs want its own class of formatters
    print(shown.to_string(index=False, float_format=three_digits))
    folder.mkdir(parents=True, exist_ok=True)
    shown.to_csv(folder / "oscillators.csv", index=False)
    drawn(frame).savefig(folder / "oscillators.pdf")
    print(f"written: {folder / 'oscillators.csv'}, {folder / 'oscillators.pdf'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
