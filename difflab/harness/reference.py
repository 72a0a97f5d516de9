"""The certified reference: the gradient enclosed in balls."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StoreError
from ..execution.exact import certify
from ..tape import Tape


@dataclass(frozen=True)
class Reference:
    """A gradient known to more digits than any contestant has.

    ``high``, ``low``, ``radius``: float64 arrays, one per differentiated leaf; the true gradient lies within ``radius``
    of ``high + low``.  ``value``: the loss, rounded.  ``bits``, ``ties``, ``narrow``, ``reason``, ``unproven``: how it
    was found, see ``difflab.execution.exact.Certified``.
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

    @property
    def certified(self) -> bool:
        """Whether the enclosures are narrow and no tie had to be taken on trust."""
        return self.narrow and not self.unproven

    def save(self, path: str | os.PathLike) -> None:
        """Write one ``.npz`` file of plain arrays; complete or not at all.

        Args:
            path: the file; replaced if it exists.

        Raises:
            StoreError: it cannot be written.
        """
        facts = {key: item for key, item in asdict(self).items() if key not in ("high", "low", "radius")}
        arrays = {
            f"{part}{k}": array for part in ("high", "low", "radius") for k, array in enumerate(getattr(self, part))
        }
        target = Path(path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with open(partial, "wb") as file:
                np.savez(file, facts=np.array(json.dumps({**facts, "leaves": len(self.high)})), **arrays)
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(
                f"the reference gradient cannot be written to {target}: {error.strerror or error}"
            ) from error

    @staticmethod
    def load(path: str | os.PathLike) -> Reference:
        """Read what ``save`` wrote.

        Args:
            path: the file.

        Returns:
            The reference.

        Raises:
            StoreError: the file is missing or is not a reference.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                count = facts.pop("leaves")
                parts = {part: [file[f"{part}{k}"] for k in range(count)] for part in ("high", "low", "radius")}
            return Reference(**parts, **facts)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise StoreError(
                f"{path} is not a readable reference gradient ({error}); delete it and run again"
            ) from error


def reference_gradient(
    tape: Tape, leaves: Sequence[Any], deadline_s: float | None = None, bits: int = 160
) -> Reference:
    """Certify a gradient.

    Args:
        tape: the value and one gradient per differentiated leaf, as ``transforms.reverse.gradient`` gives it; not
            simplified, for folded literals are already rounded.
        leaves: the inputs, taken exactly as given.
        deadline_s: seconds after which to give up, or None.
        bits: first working precision.

    Returns:
        ``Reference``.

    Raises:
        UndecidedError: at a kink that no precision decides.
        TimeoutError: the deadline passed.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.transforms import reverse
        >>> tape = trace_leaves(lambda leaves: [np.exp(leaves[0])], [1.0])
        >>> reference = reference_gradient(reverse.gradient(tape, (0,)), [1.0])
        >>> float(reference.high[0]), reference.certified
        (2.718281828459045, True)
    """
    found = certify(tape, leaves, bits=bits, deadline_s=deadline_s)
    value = float(found.high[0]) if found.high[0].shape == () else math.nan
    return Reference(
        found.high[1:], found.low[1:], found.radius[1:], value, found.bits, found.ties, found.narrow, found.reason,
        found.unproven,
    )  # fmt: skip
