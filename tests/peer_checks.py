"""How a peer's replay of one primitive compares with NumPy's value and with our own pullback."""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Case, drawn, moving, rng_of, tape_of

from difflab.backends.protocol import Source
from difflab.backends.reverse import Reverse
from difflab.errors import UnsupportedError
from difflab.primitives import REGISTRY
from difflab.tape import Tape
from difflab.tracing import trace_leaves

TOLERANCE = 1e-10


def source_of(tape: Tape, leaves: Any, wrt: tuple[int, ...]) -> Source:
    """A tape as what backends take."""
    return Source(
        lambda given: tape.evaluate(given), lambda: tape, list(leaves), wrt, [f"x{i}" for i in range(len(leaves))]
    )


def apart(found: Any, expected: Any, tolerance: float = TOLERANCE) -> str:
    """How two arrays differ, relative to the largest number expected; empty where they do not."""
    found, expected = np.asarray(found), np.asarray(expected)
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"{found.dtype}{found.shape} instead of {expected.dtype}{expected.shape}"
    if expected.dtype.kind not in "fc":
        return "" if np.array_equal(found, expected) else "other integers"
    finite = np.isfinite(expected)
    if not np.array_equal(np.where(finite, 0, expected), np.where(np.isfinite(found), 0, found), equal_nan=True):
        return "other infinities"
    scale = 1.0 + np.max(np.abs(expected[finite]), initial=0.0)
    error = float(np.max(np.abs(found[finite] - expected[finite]), initial=0.0)) / scale
    return "" if error <= tolerance else f"further than {error:.1e}"


def beside(backend: Any, case: Case) -> str:
    """The same of a primitive without derivative, inside of a loss that has one."""

    def loss(leaves: list[Any]) -> list[Any]:
        counted = case.primitive(*leaves, **case.params)
        return [np.sum(leaves[0] * leaves[0]) + np.sum(REGISTRY["cast"](counted, dtype="<f8"))]

    tape = trace_leaves(loss, case.arrays)
    try:
        prepared = backend.prepare(source_of(tape, case.arrays, (0,)), "value_and_gradient", case.arrays)
    except UnsupportedError:
        return "missing"
    value, (gradient,) = prepared.value_and_gradient(list(case.arrays))
    return apart(value, tape.evaluate(case.arrays)[0]) or apart(gradient, 2.0 * case.arrays[0])


def compared(backend: Any, case: Case) -> str:
    """What is wrong with a peer's value or pullback of a case, in words; empty where nothing is."""
    tape, wrt = tape_of(case), moving(case)
    if case.primitive.vjp is None and case.arrays[0].dtype == np.float64 and case.value.dtype.kind != "c":
        fault = beside(backend, case)
        if fault:
            return fault
    try:
        prepared = backend.prepare(source_of(tape, case.arrays, wrt), "vjp" if wrt else "value", case.arrays)
    except UnsupportedError:
        return "missing"
    with np.errstate(all="ignore"):
        (value,) = prepared.value(list(case.arrays))
        fault = apart(value, case.value)
        if fault or not wrt or case.value.dtype.kind not in "fc":
            return fault and f"value {fault}"
        cotangent = drawn(rng_of(case.label + "c"), case.value.shape, case.value.dtype)
        found = prepared.vjp(list(case.arrays))[1]([cotangent])
        ours = Reverse().prepare(source_of(tape, case.arrays, wrt), "vjp", case.arrays)
        expected = ours.vjp(list(case.arrays))[1]([cotangent])
    faults = [apart(a, b) for a, b in zip(found, expected, strict=True)]
    return next((f"cotangent {fault}" for fault in faults if fault), "")
