"""Collecting faults, one sentence each, and what a check reports when there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DifflabError


class CheckError(DifflabError, AssertionError):
    """What was checked has faults; ``faults`` holds one sentence each."""

    def __init__(self, subject: str, faults: Sequence[str]):
        self.faults = tuple(faults)
        counted = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{subject} has {counted}:\n" + "\n".join(f"- {fault}" for fault in faults))


@dataclass(frozen=True)
class Report:
    """What was checked without finding a fault: the subject, how many comparisons, and what was left out and why."""

    subject: str
    comparisons: int
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.subject}: {self.comparisons} comparisons, no fault", *self.left_out])


class Faults:
    """Faults found so far; the same sentence is kept once."""

    def __init__(self, subject: str):
        self.subject = subject
        self.sentences: dict[str, None] = {}
        self.comparisons = 0
        self.left_out: dict[str, None] = {}

    def expect(self, holds: Any, sentence: str) -> bool:
        """Note the sentence as a fault unless something holds."""
        self.comparisons += 1
        if not holds:
            self.sentences[sentence] = None
        return bool(holds)

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Note an exception of other people's code as a fault and go on after the block."""
        try:
            with np.errstate(all="ignore"):
                yield
        except Exception as error:
            message = str(error).partition("\n")[0]
            self.expect(False, f"{what} raised {type(error).__name__}: {message}")

    def report(self) -> Report:
        """The report, or the error that names all faults."""
        if self.sentences:
            raise CheckError(self.subject, list(self.sentences))
        return Report(self.subject, self.comparisons, tuple(self.left_out))


def same_bits(a: Any, b: Any) -> bool:
    """Equal dtype, shape and bits; any NaN equals any other."""
    a, b = np.asarray(a), np.asarray(b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    return bool(np.array_equal(a, b, equal_nan=True)) and bool(np.all((np.signbit(a) == np.signbit(b)) | np.isnan(a)))


def near(a: Any, b: Any, rtol: float) -> bool:
    """Whether two arrays agree to ``rtol`` of the larger of 1 and the largest entry of the second."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    scale = 1.0 + float(np.max(np.abs(b), initial=0.0))
    return bool(np.all(np.abs(a - b) <= rtol * scale))
