"""A zoo of kinks and traps: small functions that are easily differentiated wrongly, and what is honest at each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..errors import InputError, did_you_mean
from .digits import DIGITS
from .edges import EDGES
from .guards import GUARDS
from .hazards import HAZARDS
from .kinks import KINKS
from .ranges import RANGES
from .record import Trap
from .study import problem_of

__all__ = ["FAMILIES", "PROBLEM", "TRAPS", "Trap", "find"]

FAMILIES: Mapping[str, tuple[Trap, ...]] = MappingProxyType(
    {"kinks": KINKS, "edges": EDGES, "guards": GUARDS, "ranges": RANGES, "digits": DIGITS, "hazards": HAZARDS}
)
TRAPS: Mapping[str, Trap] = MappingProxyType({trap.name: trap for family in FAMILIES.values() for trap in family})
PROBLEM = problem_of(FAMILIES)


def find(name: str) -> Trap:
    """The trap of that name.

    Args:
        name: a key of ``TRAPS``.

    Returns:
        The trap.

    Raises:
        InputError: there is no such trap; the message suggests the nearest name.

    Example:
        >>> find("relu").sentence.startswith("The function named relu")
        True
    """
    if name not in TRAPS:
        raise InputError(f"there is no trap {name!r} {did_you_mean(str(name), list(TRAPS))}")
    return TRAPS[name]
