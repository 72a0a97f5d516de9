"""The second engine: a derivative by rules against power series of the loss itself along random directions."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import CertificateError, UndecidedError, UnsupportedError
from ..execution import local_rules, series
from ..execution.arithmetic import elementwise, filled
from ..execution.balls import ball, precision
from ..execution.exact import Certified
from ..primitives.record import Primitive
from ..tape import Tape

# A check whose enclosures are wider than this, relative to the numbers that were added up, has shown nothing.
TELLING = 1e-12
MAX_BITS = 1280


@dataclass
class Question:
    """One derivative to certify, its random directions and its clock."""

    tape: Tape
    leaves: list[Any]
    wrt: tuple[int, ...]
    operator: str
    vectors: list[Any]
    seed: int
    deadline_s: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def moved(self) -> list[np.ndarray]:
        """The differentiated inputs."""
        return [np.asarray(self.leaves[position]) for position in self.wrt]

    def left(self) -> float | None:
        """Seconds that are left."""
        return None if self.deadline_s is None else self.deadline_s - (time.monotonic() - self.started)

    def before(self, primitive: Primitive) -> None:
        """What every equation of a series asks first."""
        left = self.left()
        if left is not None and left < 0:
            raise TimeoutError(f"no certificate within {self.deadline_s:g} s (in power series, at `{primitive.name}`)")

    def direction(self, number: int) -> list[np.ndarray]:
        """A random direction; of short dyadic numbers, none of them 0, so that products are exact and cheap."""
        rng = np.random.default_rng([self.seed, number])
        return [(2 * rng.integers(-(2**15), 2**15, array.shape) + 1) / 2.0**16 for array in self.moved]

    def along(self, direction: Sequence[Any], order: int, how: Certified) -> list[list[np.ndarray]]:
        """Coefficients of the outputs along a direction; ties settled as they were by the rules."""
        return series.along(
            self.tape,
            self.leaves,
            self.wrt,
            direction,
            order,
            how.bits,
            provenance=how.provenance,
            trusting=how.trusting,
            before=self.before,
        )

    def curvature(self, one: Sequence[Any], other: Sequence[Any], how: Certified) -> Any:
        """The second derivative along two directions, by polarisation: along their sum less along either alone."""
        # Added as balls: a rounded sum is another direction.
        both = [elementwise(lambda a, b: ball(a) + ball(b), *pair) for pair in zip(one, other, strict=True)]
        parts = [self.along(direction, 2, how)[0][2].item() for direction in (both, one, other)]
        return parts[0] - parts[1] - parts[2]


class Evidence(NamedTuple):
    """One number as two engines enclose it; ``scale`` is the size of what was added up for it."""

    rule: Any
    series: Any
    scale: float

    @property
    def telling(self) -> bool:
        """Whether both enclosures are narrow enough for their overlap to mean something."""
        widest = max(float(one.rad()) if one.is_finite() else math.inf for one in (self.rule, self.series))
        return widest == 0.0 or widest <= TELLING * self.scale


def fault_of_check(question: Question, found: Certified, values: int) -> str:
    """Why power series have not confirmed a derivative; empty if they have.

    Args:
        question: the derivative.
        found: its enclosure by rules.
        values: how many of the first outputs of ``found`` are values.

    Raises:
        CertificateError: they exclude each other.
    """
    how = found
    while True:
        try:
            with precision(how.bits):
                evidence = _evidence(question, found.balls[values:], how)
                excluded = next((one for one in evidence if not one.rule.overlaps(one.series)), None)
                if excluded is not None:
                    raise CertificateError(accusation(question, excluded, how))
                if all(one.telling for one in evidence):
                    return ""
            why = "their enclosures are too wide"
        except TimeoutError:
            return "power series did not check it, for the time was up"
        except UnsupportedError as error:
            return f"power series did not check it: {error}"
        except UndecidedError as error:
            why = str(error)
        if 2 * how.bits > MAX_BITS:
            return f"power series did not check it: {why} (at {how.bits} bits)"
        how = how._replace(bits=2 * how.bits)


def accusation(question: Question, evidence: Evidence, how: Certified) -> str:
    """A disagreement in words, with the first primitive whose rule is at fault."""
    culprit = local_rules.first_fault(
        question.tape, question.leaves, question.wrt, question.direction(1), how.bits, how.provenance, how.trusting
    )
    return (
        f"{culprit or 'every primitive agrees by itself, so a transform is at fault'}; along a random direction the "
        f"rules give {evidence.rule.str(15)} and the series {evidence.series.str(15)}, which exclude each other"
    )


def fault_of_values(question: Question, found: Certified, values: int) -> str:
    """Why the value of the function casts doubt on its derivative; empty if floating point gives the same.

    Both engines share the exact rules of primitives, so a wrong one shows here only.  What floating point may lose is
    measured by the largest number on the way.
    """
    largest = 0.0
    roundoff = max((float(np.finfo(a.dtype).eps) for a in question.tape.avals if a.dtype.kind == "f"), default=0.0)

    def visit(primitive: Primitive, operands: list[Any], params: dict[str, Any]) -> Any:
        nonlocal largest
        result = np.asarray(primitive.evaluate(*operands, **params))
        if result.dtype.kind == "f":
            largest = max(largest, float(np.max(np.abs(result), initial=0.0, where=np.isfinite(result))))
        return result

    with np.errstate(all="ignore"):
        plain = question.tape.replay([np.asarray(leaf) for leaf in question.leaves], visit)
    for value, exact in zip(plain, found.high[:values], strict=False):
        rounded = np.asarray(value, dtype=np.float64)
        known = np.isfinite(rounded)
        bound = max(1e-6, 1e3 * roundoff) * np.maximum(largest, np.abs(exact))
        if np.any(known & (np.abs(np.where(known, rounded, 0.0) - exact) > bound)):
            return (
                "the function comes out otherwise in floating point than in exact arithmetic: rounding ruins it, or an "
                "exact rule of a primitive is wrong"
            )
    return ""


def _evidence(question: Question, results: list[np.ndarray], how: Certified) -> list[Evidence]:
    """What the rules say and what power series say, number by number."""
    direction, moved = question.direction(1), question.moved
    if question.operator == "jvp":
        return _pairs(results, [parts[1] for parts in question.along(question.vectors, 1, how)])
    if question.operator == "hvp":
        return [_against(results, direction, question.curvature(direction, question.vectors, how))]
    if question.operator == "hessian":
        other = question.direction(2)
        rows = [_row(results, k, [array.shape], other) for k, array in enumerate(moved)]
        return [_against(rows, direction, question.curvature(direction, other, how))]
    lines = [parts[1] for parts in question.along(direction, 1, how)]
    if question.operator == "jacobian":
        return _pairs([_row(results, k, [line.shape], direction) for k, line in enumerate(lines)], lines)
    cotangents = question.vectors if question.operator == "vjp" else [np.ones(line.shape) for line in lines]
    return [_against(results, direction, dot(lines, cotangents))]


def dot(arrays: Sequence[np.ndarray], vectors: Sequence[Any]) -> Any:
    """The sum of all products of balls and numbers."""
    from flint import arb_mat

    row = [item for array in arrays for item in array.ravel().tolist()]
    column = [ball(item) for vector in vectors for item in np.asarray(vector).ravel().tolist()]
    return (arb_mat(1, len(row), row) * arb_mat(len(column), 1, column))[0, 0] if row else ball(0)


def _against(arrays: Sequence[np.ndarray], vectors: Sequence[np.ndarray], by_series: Any) -> Evidence:
    """The product of a result with a direction beside what power series give for it."""
    rule = dot(arrays, vectors)
    largest = max((_size(item) for array in arrays for item in array.ravel().tolist()), default=0.0)
    return Evidence(rule, by_series, max(largest, _size(rule), _size(by_series)))


def _pairs(results: Sequence[np.ndarray], lines: Sequence[np.ndarray]) -> list[Evidence]:
    pairs = [
        (rule, other)
        for result, line in zip(results, lines, strict=True)
        for rule, other in zip(result.ravel().tolist(), line.ravel().tolist(), strict=True)
    ]
    scale = max((_size(item) for pair in pairs for item in pair), default=0.0)
    return [Evidence(rule, other, scale) for rule, other in pairs]


def _row(blocks: list[np.ndarray], row: int, outs: list[tuple[int, ...]], vectors: Sequence[np.ndarray]) -> np.ndarray:
    """One row of blocks of shape out + in times vectors of shape in."""
    shape, count = outs[0], len(vectors)
    row_blocks = zip(blocks[row * count : (row + 1) * count], vectors, strict=True)
    parts = [block.reshape(*shape, np.size(vector)) for block, vector in row_blocks]
    whole = np.concatenate(parts, axis=-1)
    return filled(shape, [dot([whole[place]], vectors) for place in np.ndindex(*shape)])


def _size(item: Any) -> float:
    size = float(ball(item).abs_upper())
    return size if math.isfinite(size) else 0.0
