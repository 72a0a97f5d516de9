"""NumPy's promotion made visible: which dtypes a ufunc or operator computes in, and the casts that takes.

The tables of what is known stand here too: ufuncs that are primitives, and functions written with primitives.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import as_array
from .builder import CAST, Builder, aval_of
from .errors import TraceError, user_location
from .primitives import REGISTRY
from .primitives.record import Aval, Primitive, Traced
from .primitives.special import of_ufunc

UFUNCS: dict[np.ufunc, Primitive] = {
    record.evaluate: record for record in REGISTRY if isinstance(record.evaluate, np.ufunc) and record.name != "matmul"
}
# Filled by numpy_functions: NumPy's function or ufunc -> ours, written with primitives.
FUNCTIONS: dict[Callable, Callable] = {}
REDUCTIONS: dict[np.ufunc, Callable] = {}
# Methods of all ufuncs beside reduce, by name: ours takes the ufunc first.
METHODS: dict[str, Callable] = {}
# What to do instead of functions that have no rule by nature, by name.
ADVICE: dict[str, str] = {}


@functools.cache
def resolved(ufunc: np.ufunc, kinds: tuple) -> tuple[np.dtype, ...]:
    """The dtypes in which NumPy computes ``ufunc`` for operands of these dtypes and Python number types."""
    if all(isinstance(kind, type) for kind in kinds):
        kinds = tuple(np.dtype(kind) for kind in kinds)
    return ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[: len(kinds)]


def kind_of(operand: Any) -> Any:
    """What decides promotion: a dtype, or a Python number type for what is weak."""
    if isinstance(operand, Traced):
        weak = operand.weak and operand.dtype.kind != "b"  # NumPy knows no weak bool
        return operand.dtype.type(0).item().__class__ if weak else operand.dtype
    kind = type(operand)
    if kind is float or kind is int or kind is complex:
        return kind
    if kind is bool:
        return np.dtype(bool)
    return aval_of(operand).dtype


def innermost(operands: Sequence[Any]) -> Builder:
    """The latest trace among the operands."""
    builder: Builder | None = None
    for operand in operands:
        if isinstance(operand, Traced) and (builder is None or operand.builder.serial > builder.serial):
            builder = operand.builder
    if builder is None:
        raise TraceError("no traced array among the operands")
    return builder


def registered_since(ufunc: np.ufunc) -> bool:
    """Whether a ufunc has a primitive that was registered, or is SciPy's and was imported, after this module was."""
    known = of_ufunc(ufunc) or next((record for record in REGISTRY if record.evaluate is ufunc), None)
    if known is not None:
        UFUNCS[ufunc] = known
    return known is not None


def apply_ufunc(ufunc: np.ufunc, operands: Sequence[Any]) -> Any:
    """Record an element-wise primitive with NumPy's promotion of its operands."""
    primitive = UFUNCS[ufunc]
    builder = innermost(operands)
    try:
        dtypes = resolved(ufunc, tuple([kind_of(operand) for operand in operands]))
    except TypeError as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"np.{ufunc.__name__} at {user_location()}: {error}") from None
    return builder.bind(
        primitive, [builder.promoted(op, dtype) for op, dtype in zip(operands, dtypes, strict=True)], {}
    )


def floating(x: Any) -> Any:
    """``x`` as an array of a floating dtype: integers and booleans become float64, as NumPy's own functions do."""
    x = x if isinstance(x, Traced) else as_array(x)
    return x if x.dtype.kind in "fc" else CAST(x, dtype="<f8")


def is_weak(operand: Any) -> bool:
    """Whether an operand is a Python number, traced or not."""
    return operand.weak if isinstance(operand, Traced) else type(operand) in (int, float, bool, complex)


def strong(result: Any) -> Any:
    """NumPy's functions and ufuncs give arrays and NumPy scalars even where they are given Python numbers."""
    if isinstance(result, Traced) and result.weak:
        return result.builder.wrap(result.builder, result.number, Aval(result.shape, result.dtype))
    return result


class MissingAttributeError(TraceError, AttributeError):
    """An attribute of NumPy's arrays that a traced array does not have."""


@functools.cache
def out_position(ours: Callable) -> int | None:
    """Where ``out`` stands among the positional arguments of a function of ours, if it may stand there."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in inspect.signature(ours).parameters.values() if p.kind in positional]
    return names.index("out") if "out" in names else None


def names_of(table: dict) -> str:
    """NumPy functions of a table, as users write them."""
    return ", ".join(sorted({f"np.{function.__name__}" for function in table}))


def unknown(name: str) -> TraceError:
    """The error for a NumPy function that has no rule."""
    if name in ADVICE:
        return TraceError(f"{name} (called at {user_location()}) {ADVICE[name]}")
    import difflib

    known = sorted({f"np.{f.__name__}" for f in [*FUNCTIONS, *UFUNCS] if not f.__name__.startswith("_")})
    bare = [one.removeprefix("np.") for one in known]
    close = difflib.get_close_matches(name.rpartition(".")[2], bare, n=3, cutoff=0.8)
    similar = f" (similar ones that have: {', '.join(f'np.{one}' for one in close)})" if close else ""
    return TraceError(
        f"{name} (called at {user_location()}) has no derivative rule in difflab{similar}; rewrite the line with "
        "NumPy functions that have one (README lists them), wrap the call with dl.primitive, or use backend 'finite', "
        "which needs none"
    )
