"""Gradients that remember: the same answer for other parameters, or another answer for the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .case import Case, Point
from .record import Finding
from .sweep import wide


def remembered(
    case: Case, here: Point, there: Point, again: Callable[[], Sequence[np.ndarray | None]]
) -> list[Finding]:
    """What calling again shows; the calls so far were ``here`` and then ``there``.

    ``again`` calls the gradient at the first point once more.
    """
    third = again()
    if any(
        part is None or not case.near(k, wide(part), here.given[k]) for k, part in enumerate(third) if k in case.shaped
    ):
        added = case.shaped and all(case.near(k, there.given[k], here.given[k] + there.true[k]) for k in case.shaped)
        how = (
            "every call adds to what earlier calls left; set the gradients to zero before adding to them"
            if added
            else "it draws random numbers or keeps something between calls"
        )
        return [Finding("memory", f"Called again with the same arguments it returns something else: {how}.")]
    moving = [k for k in case.shaped if not case.near(k, here.true[k], there.true[k])]
    if not moving or not all(case.near(k, there.given[k], here.given[k]) for k in moving):
        return []
    if not all(case.near(k, here.given[k], here.true[k]) for k in moving):
        return [Finding("memory", "It does not change when the parameters do.")]
    sentence = (
        "It does not change when the parameters do: it remembers an earlier call, or uses parameters that it closes "
        "over in place of its argument."
    )
    return [Finding("memory", sentence)]
