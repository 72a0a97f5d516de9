"""What a comparison promises: bars for the ratio of one backend to another, or to the loss alone, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

QUANTITIES = ("time", "memory", "growth")
LOSS = "loss"
"""What ``over`` says where the other side is the loss alone, as the user wrote it."""


@dataclass(frozen=True)
class Bar:
    """One bar: ``ours`` over ``over``, labels of backends, is to be at most ``bound``, or below it where ``strict``.

    ``of``: "time" of a call, "memory" (its peak), or "growth" (the exponent of the ratio of times against the number
    of parameters).  Empty ``problems``, ``sizes`` and ``dtypes`` mean all; a bar with ``sizes`` goes before one
    without.  It judges rows whose other side takes from ``from_us`` to below ``until_us`` microseconds.
    ``error_at_most``: the relative error of ours may be so many times the other's.  ``note`` is shown with it.

    >>> Bar("reverse", "torch", bound=0.9).words
    '< 0.9'
    """

    ours: str
    over: str
    of: str = "time"
    bound: float = 1.0
    strict: bool = True
    problems: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    from_us: float = 0.0
    until_us: float | None = None
    error_at_most: float | None = None
    note: str = ""

    @staticmethod
    def of_plain(values: Mapping[str, Any]) -> Bar:
        """The bar that ``plain`` wrote, as a manifest holds it."""
        lists = {key: tuple(values.get(key) or ()) for key in ("problems", "sizes", "dtypes")}
        return Bar(**{**values, **lists})

    def plain(self) -> dict[str, Any]:
        """The bar as plain JSON values."""
        return {**asdict(self), **{key: list(getattr(self, key)) for key in ("problems", "sizes", "dtypes")}}

    @property
    def key(self) -> tuple[str, str, str]:
        """What is compared; bars with the same key may differ in the rows that they judge."""
        return self.ours, self.over, self.of

    @property
    def words(self) -> str:
        """The bound as people write it."""
        return f"{'<' if self.strict else 'at most'} {self.bound:g}"

    def admits(self, value: float) -> bool:
        """Whether a value keeps to the bound."""
        return value < self.bound if self.strict else value <= self.bound

    def covers(self, problem: str, size: str, dtype: str) -> bool:
        """Whether the bar is about a row, whatever its other side takes."""
        pairs = ((problem, self.problems), (size, self.sizes), (dtype, self.dtypes))
        return all(not chosen or one in chosen for one, chosen in pairs)

    def at(self, seconds: float) -> bool:
        """Whether the bar is about rows whose other side takes so many seconds."""
        microseconds = 1e6 * seconds
        return self.from_us <= microseconds < (math.inf if self.until_us is None else self.until_us)

    def meets(self, other: Bar) -> bool:
        """Whether some time of the other side is in the ranges of both bars."""
        ends = [math.inf if one.until_us is None else one.until_us for one in (self, other)]
        return max(self.from_us, other.from_us) < min(ends)


def bar_of(bars: Iterable[Bar], place: Sequence[str], seconds: float) -> Bar | None:
    """The bar of one key that judges a row.

    Args:
        bars: of one key.
        place: the row's problem, size and dtype.
        seconds: what its other side takes.

    Returns:
        The first that is about it, those with sizes before the others; ``None`` where none is.

    >>> usual, small = Bar("reverse", "jax"), Bar("reverse", "jax", bound=1.3, sizes=("tiny",))
    >>> bar_of((usual, small), ("mlp", "tiny", "float64"), 1e-5).bound
    1.3
    """
    problem, size, dtype = place
    about = [one for one in bars if one.covers(problem, size, dtype) and one.at(seconds)]
    return min(about, key=lambda one: not one.sizes, default=None)
