"""Batching rules that many primitives share: how an equation is carried out for many lanes at once.

A rule is ``batch(size, flags, *operands, **params)``: operands whose flag is set carry ``size`` lanes on a leading
axis, the others are the same for all lanes, and the result carries the lanes on its leading axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .record import REGISTRY


def widen(operand: Any, ndim: int) -> Any:
    """A batched operand (lanes first) with size-1 axes after the lanes, so that each lane has ``ndim`` axes."""
    shape = operand.shape
    if len(shape) == ndim + 1:
        return operand
    return REGISTRY["reshape"](operand, shape=(shape[0], *(1,) * (ndim + 1 - len(shape)), *shape[1:]))


def spread_lanes(size: int, flag: bool, operand: Any) -> Any:
    """An operand with a leading axis of lanes, repeated where it has none."""
    return operand if flag else REGISTRY["broadcast_to"](operand, shape=(size, *operand.shape))


def broadcasting(name: str) -> Callable:
    """The batching rule of what acts on each element: NumPy's broadcasting does the lanes as well."""

    def batch(size: int, flags: tuple[bool, ...], *operands: Any, **params: Any) -> Any:
        ndim = max(len(operand.shape) - flag for operand, flag in zip(operands, flags, strict=True))
        aligned = [widen(op, ndim) if flag else op for op, flag in zip(operands, flags, strict=True)]
        return REGISTRY[name](*aligned, **params)

    return batch


def stacked(name: str, *cores: int) -> Callable:
    """The batching rule of what NumPy applies to a stack: operand ``i`` ends in ``cores[i]`` axes of its own.

    The axes before those broadcast, so lanes are one more of them.
    """

    def batch(size: int, flags: tuple[bool, ...], *operands: Any, **params: Any) -> Any:
        leads = [len(op.shape) - core - flag for op, core, flag in zip(operands, cores, flags, strict=True)]
        lead = max(leads)
        aligned = [
            widen(op, lead + core) if flag else op for op, core, flag in zip(operands, cores, flags, strict=True)
        ]
        return REGISTRY[name](*aligned, **params)

    return batch


def over_axes(name: str) -> Callable:
    """The batching rule of what reduces one operand along ``axes``: they stand one further back."""

    def batch(size: int, flags: tuple[bool, ...], x: Any, *, axes: tuple[int, ...], **params: Any) -> Any:
        return REGISTRY[name](x, axes=tuple(axis + 1 for axis in axes), **params)

    return batch


def over_axis(name: str) -> Callable:
    """The batching rule of what runs along one ``axis`` of all its operands, which have one shape."""

    def batch(size: int, flags: tuple[bool, ...], *operands: Any, axis: int, **params: Any) -> Any:
        spread = [spread_lanes(size, flag, operand) for flag, operand in zip(flags, operands, strict=True)]
        return REGISTRY[name](*spread, axis=axis + 1, **params)

    return batch
