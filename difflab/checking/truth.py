"""The true gradient: certified where that can be done, and said where it cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backends.finite import Finite
from ..backends.protocol import Source
from ..errors import InputError, UndecidedError, UnsupportedError
from ..harness.certify import certified
from ..harness.grades import errors
from ..harness.reference import Reference
from ..transforms import reverse
from .case import largest
from .sweep import Sweep, wide, widened


@dataclass(frozen=True)
class Truth:
    """The true gradient in double precision, block by block.

    ``text``: "yes", "sampled k of n" or "no: why".  ``noise``: per block how far a gradient computed in the loss's own
    dtype can be off, measured.
    """

    blocks: list[np.ndarray]
    text: str
    noise: list[float]
    reference: Reference | None = None
    sweep: Sweep | None = None


def by_tape(made: Source, seconds: float) -> Truth:
    """The truth of a loss that can be traced."""
    sweep = Sweep(widened(made.tape), made.example, made.wrt)
    reference, text = _reference(made, seconds)
    blocks = sweep.truth
    if reference is not None:
        # Coordinates outside a sample are not known to the reference.
        blocks = [
            np.where(np.isfinite(high), high, own) for high, own in zip(reference.high, sweep.truth, strict=True)
        ]  # fmt: skip
    if reference is not None and not _along_directions(blocks, reference):
        reference, text = None, "no: reverse mode in float64 does not agree with the certified products with directions"
    return Truth(blocks, text, _noise(made, blocks), reference, sweep)


def _along_directions(blocks: Sequence[np.ndarray], reference: Reference) -> bool:
    """Whether the coordinates that no sample holds give the certified products."""
    for one in reference.directions:
        terms = [np.ravel(block * vector) for block, vector in zip(blocks, one.vector, strict=True)]
        total = math.fsum(float(np.sum(term)) for term in terms)
        size = math.fsum(float(np.sum(np.abs(term))) for term in terms)
        if abs(total - one.high) > 1e-10 * size + one.radius:
            return False
    return True


def _reference(made: Source, seconds: float) -> tuple[Reference | None, str]:
    if any(made.tape.avals[made.tape.inputs[i]].dtype.kind == "c" for i in made.wrt):
        return None, "no: ball arithmetic is for real variables; measured against reverse mode in float64"
    instead = "; measured against reverse mode in float64"
    try:
        found = certified(made.trace(), made.example, made.wrt, "gradient", deadline_s=seconds)
    except TimeoutError:
        return None, f"no: ball arithmetic was stopped after {seconds:g} s{instead}"
    except UndecidedError as fault:
        return None, f"no: kink: {fault}{instead}"
    except UnsupportedError as fault:
        return None, f"no: {fault}{instead}"
    return found, found.certified_text


def _noise(made: Source, blocks: Sequence[np.ndarray]) -> list[float]:
    """The error of reverse mode in the loss's own dtype, here and with inputs moved by a unit in the last place."""
    tape = reverse.gradient(made.tape, made.wrt)
    rng = np.random.default_rng(11)
    moved = []
    for position, leaf in enumerate(made.example):
        array = np.asarray(leaf)
        if position in made.wrt and array.dtype.kind == "f":
            up = rng.integers(0, 2, array.shape, dtype=bool)
            beyond = np.asarray(np.nextafter(array, np.where(up, np.inf, -np.inf).astype(array.dtype)))
            array = np.where(array == 0, array, beyond)
        moved.append(array)
    noise = [0.0] * len(blocks)
    for point in ([np.asarray(leaf) for leaf in made.example], moved):
        with np.errstate(all="ignore"):
            found = tape.evaluate(point)[1:]
        noise = [max(old, largest(wide(a) - b)) for old, a, b in zip(noise, found, blocks, strict=True)]
    # At a kink a small step changes everything, which is no rounding.
    eps = max([float(np.finfo(aval.dtype).eps) for aval in made.tape.avals if aval.dtype.kind in "fc"], default=0.0)
    most = 1e3 * eps * max(map(largest, blocks), default=0.0)
    return [min(one, most) if math.isfinite(one) else 0.0 for one in noise]


# ---------------------------------------------------------------------------- black boxes


# Richardson's estimates are within this factor of the true error; ``check`` forgives ``NOISE`` times what is noted.
HONEST = 10.0


def by_differences(made: Source, leaves: Sequence[Any], why: str, forgiven: float) -> Truth:
    """The truth of a black box: differences extrapolated to step 0, with their estimated errors.

    Args:
        made: the loss.
        leaves: the point.
        why: the loss cannot be traced.
        forgiven: how many times the noise of a truth a gradient may be off.

    Raises:
        InputError: the loss cannot be evaluated beside the point.
    """
    given = [wide(leaf) if position in made.wrt else leaf for position, leaf in enumerate(leaves)]
    # In double precision, whatever the dtype of the loss: the differences are the truth here.
    source = replace(made, example=given)
    try:
        prepared = Finite(scheme="richardson").prepare(source, "gradient", given)
        blocks = [np.asarray(block) for block in prepared.value_and_gradient(given)[1]]
        errors_of_entries = prepared.error_estimate(given)
    except InputError:
        raise
    except Exception as error:  # whatever a black box does not like about a point beside its own
        raise InputError(
            f"the loss cannot be evaluated beside its arguments ({type(error).__name__}: {error}), and as it cannot be "
            f"traced either ({why}), there is nothing to compare a gradient with; write it in plain NumPy"
        ) from error
    noise = [HONEST / forgiven * error if math.isfinite(error) else 0.0 for error in map(largest, errors_of_entries)]
    return Truth(blocks, f"no: {why}; measured against finite differences extrapolated to step 0", noise)


# ---------------------------------------------------------------------------- measuring


def measured(
    given: Sequence[np.ndarray | None], truth: Truth, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype]
) -> dict[str, float]:
    """Errors of a gradient: against the certified reference as far as it goes, else by norm.

    Without the form of a gradient the error is infinite; what is not known is NaN.
    """
    parts = [part for part, shape in zip(given, shapes, strict=True) if part is not None and part.shape == shape]
    if len(parts) < len(shapes):
        return {"rel_error": math.inf, "worst_digits": 0.0, "digits": 0.0, "ulps": math.inf}
    by_norm = _by_norm(parts, truth.blocks)
    known = truth.reference
    if known is None or (known.sampled is not None and not known.sampled[0]) or any(p.dtype.kind != "f" for p in parts):
        return by_norm
    found = errors([np.asarray(part, dtype) for part, dtype in zip(parts, dtypes, strict=True)], known)
    of_coordinates = {"worst_digits": float(found["worst_digits"]), "ulps": float(found["ulps"])}
    if known.sampled is not None:
        return by_norm | of_coordinates
    return {"rel_error": float(found["rel_error"]), "digits": float(found["digits"]), **of_coordinates}


def _by_norm(given: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> dict[str, float]:
    miss = math.sqrt(sum(_square(wide(a) - b) for a, b in zip(given, true, strict=True)))
    norm = math.sqrt(sum(_square(block) for block in true))
    error = (miss / norm if norm else (0.0 if miss == 0 else math.inf)) if math.isfinite(miss) else math.inf
    most = max(-math.log10(float(np.finfo(part.dtype).eps) / 2) for part in given) if given else 0.0
    digits = most if error == 0 else 0.0 if not math.isfinite(error) else min(max(-math.log10(error), 0.0), most)
    return {"rel_error": error, "worst_digits": math.nan, "digits": digits, "ulps": math.nan}


def _square(array: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sum(np.abs(wide(array)) ** 2))
