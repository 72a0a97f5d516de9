"""The certified reference: the gradient enclosed in balls, and the errors of other gradients measured against it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, StoreError
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
        >>> errors([np.array(2.718281828459045)], reference)["ulps"] < 1
        True
    """
    found = certify(tape, leaves, bits=bits, deadline_s=deadline_s)
    value = float(found.high[0]) if found.high[0].shape == () else math.nan
    return Reference(
        found.high[1:], found.low[1:], found.radius[1:], value, found.bits, found.ties, found.narrow, found.reason,
        found.unproven,
    )  # fmt: skip


def errors(gradient: Sequence[Any], reference: Reference) -> dict[str, Any]:
    """How far a computed gradient is from the certified one.

    A coordinate's error is taken relative to its own true value, or to ``eps * max|true gradient|`` where the true
    value is smaller than that: below it no algorithm that adds numbers of the gradient's size can have a correct
    digit, while an exact zero is still asked to come out as one.  ``eps`` is that of the leaf's dtype.

    Args:
        gradient: one float array per leaf of the reference.
        reference: the truth.

    Returns:
        ``rel_error``: 2-norm of the error over all parameters, relative to the norm of the gradient; ``radius``: how
        far that number can be off; ``worst_digits``: correct decimal digits of the worst coordinate, at most those of
        its dtype (15.65 or 6.92), at least 0; ``ulps``: error of the worst coordinate in units of its last place;
        ``worst``: (leaf, index) of that coordinate; ``certified``: ``Reference.certified``.
        Anything not finite counts as an infinite error.

    Raises:
        InputError: leaves that do not fit the reference.
    """
    if len(gradient) != len(reference.high):
        raise InputError(f"a gradient of {len(gradient)} leaves does not fit a reference of {len(reference.high)}")
    largest = max((float(np.max(np.abs(array), initial=0.0)) for array in reference.high), default=0.0)
    misses, digits, ulps, place = [], math.inf, 0.0, (0, ())
    for k, (leaf, high, low) in enumerate(zip(gradient, reference.high, reference.low, strict=True)):
        computed = np.asarray(leaf)
        if computed.shape != high.shape or computed.dtype.kind != "f":
            raise InputError(f"leaf {k} of the gradient is {computed.dtype}{computed.shape}, not of shape {high.shape}")
        miss, correct, units = _coordinates(computed, high, low, largest)
        misses.append(miss.ravel())
        if correct.size:
            at = int(np.argmax(units))
            if float(units.flat[at]) > ulps:
                place = (k, tuple(int(i) for i in np.unravel_index(at, miss.shape)))
            digits, ulps = min(digits, float(np.min(correct))), max(ulps, float(units.flat[at]))
    norm = _norm(reference.high)
    miss_norm = _norm(misses)
    return {
        "rel_error": miss_norm / norm if norm else (0.0 if miss_norm == 0 else math.inf),
        "radius": _norm(reference.radius) / norm if norm else 0.0,
        "worst_digits": digits,
        "ulps": ulps,
        "worst": place,
        "certified": reference.certified,
    }


def _coordinates(computed: np.ndarray, high: np.ndarray, low: np.ndarray, largest: float) -> tuple[np.ndarray, ...]:
    """Absolute error, correct digits and units in the last place of every coordinate."""
    limits = np.finfo(computed.dtype)
    eps = float(limits.eps)
    wide = computed.astype(np.float64)
    scale = np.maximum(np.maximum(np.abs(high), eps * largest), float(limits.tiny))
    cap = -math.log10(eps)
    # A miss may be 0, infinite, or overflow in units of a true zero; all of these are answers.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        # Close numbers subtract without rounding, so the low part adds the digits that a double does not have.
        miss = np.where(np.isfinite(wide), np.abs((wide - high) - low), math.inf)
        digits = np.clip(-np.log10(miss / scale), 0.0, cap)
        units = miss / (eps * 2.0 ** np.floor(np.log2(scale)))
    return miss, digits, units


def _norm(arrays: Sequence[np.ndarray]) -> float:
    """The 2-norm over all entries, without overflow on the way."""
    top = max((float(np.max(np.abs(array), initial=0.0)) for array in arrays), default=0.0)
    if top == 0.0 or not math.isfinite(top):
        return top
    return top * math.sqrt(math.fsum(float(np.sum((array / top) ** 2)) for array in arrays))
