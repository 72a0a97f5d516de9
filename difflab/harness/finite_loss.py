"""A loss that no gradient can be right of: NaN or infinite at the study's point, or no single number at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DifflabError


class LossError(DifflabError, ArithmeticError):
    """The loss itself is no finite number at the arguments at which it is to be differentiated."""


def fault_of_loss(value: Any, leaves: Sequence[Any], names: Sequence[str], operator: str = "gradient") -> str | None:
    """What is wrong with the value of a loss, or ``None`` if it is finite.

    Args:
        value: what the plain loss returned.
        leaves: its arguments, taken apart into arrays and numbers.
        names: what to call them.
        operator: what is to be computed; some take functions of several outputs.

    >>> fault_of_loss(float("nan"), [1.0, float("nan")], ["x", "y"])
    'the loss is nan at these arguments (argument y contains NaN)'
    """
    import numpy as np

    from ..prepared import OF_ONE_NUMBER

    if operator in OF_ONE_NUMBER and np.shape(value) != ():
        return (
            f"the loss returns an array of shape {np.shape(value)}, and a {operator} needs a single number; reduce it "
            "with np.sum or np.mean"
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None  # several outputs: their errors are found coordinate by coordinate
    if np.isfinite(number):
        return None
    for leaf, name in zip(leaves, names, strict=False):
        array = np.asarray(leaf)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            what = "NaN" if np.isnan(array).any() else "infinity"
            return f"the loss is {number} at these arguments (argument {name} contains {what})"
    return f"the loss is {number} at these arguments, which are all finite"
