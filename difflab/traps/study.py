"""The traps as a problem of a study: its sizes are their families, so that a worker takes one family at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..problems.record import Instance, Problem, problem
from .record import Trap


def problem_of(families: Mapping[str, Sequence[Trap]]) -> Problem:
    """A problem whose sizes are families of traps.

    What a study of traps asks is answered trap by trap; the instance only stands for the family where a problem is
    expected: its loss is the sum of squares of as many numbers as the family's gradients have.

    Args:
        families: traps by the name of their family.

    Returns:
        The problem.

    Example:
        >>> from difflab.traps import FAMILIES
        >>> list(problem_of(FAMILIES).sizes)[:2]
        ['kinks', 'edges']
    """
    sizes = {name: {"traps": len(traps), "coordinates": _coordinates(traps)} for name, traps in families.items()}
    description = "Small functions at points where differentiating goes wrong: kinks, guards, limits of the numbers."
    return problem("traps", "Kinks and traps", sizes, _make, description)


def _coordinates(traps: Sequence[Trap]) -> int:
    return sum(int(np.size(trap.arguments[position])) for trap in traps for position in trap.wrt)


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    arrays = {"x": np.ones(size["coordinates"], dtype)}
    return Instance(_loss, (arrays,), _gradient, size["coordinates"])


def _loss(params: dict[str, Any]) -> Any:
    return np.sum(params["x"] ** 2)


def _gradient(params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return _loss(params), {"x": 2 * params["x"]}
