"""np.einsum: every signature becomes diagonals, sums, moves and products of two operands at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from .common import BIND, arrayed, implements, promoted
from .shapes import reshape, transpose

Labels = tuple[Any, ...]  # letters or numbers; the axes of an ellipsis are ("...", how many come after)


@implements(np.einsum)
def einsum(*operands, out=None, optimize=False, dtype=None, order="K", casting="safe"):
    # order and casting say where the result lies in memory, and how NumPy may convert to dtype
    values, inputs, output = _signature(operands)
    values = promoted(values)
    result_dtype = values[0].dtype if dtype is None else np.dtype(dtype)
    wide = _wide(result_dtype)
    values = [value if value.dtype == wide else BIND["cast"](value, dtype=wide.str) for value in values]
    sizes = _sizes(values, inputs)
    terms = [_spread(value, labels, sizes) for value, labels in zip(values, inputs, strict=True)]
    for positions in _order(terms, output, sizes, optimize):
        chosen = [terms[position] for position in positions]
        terms = [term for position, term in enumerate(terms) if position not in positions]
        needed = {*output, *(label for _, labels in terms for label in labels)}
        value, labels = _summed(*chosen[0], needed | {label for _, ls in chosen[1:] for label in ls})
        for number, (other, other_labels) in enumerate(chosen[1:], start=2):
            later = needed | {label for _, ls in chosen[number:] for label in ls}
            value, labels = _product(value, labels, *_summed(other, other_labels, later | set(labels)), later)
        terms.append((value, labels))
    ((value, labels),) = terms
    value, labels = _summed(value, labels, set(output))
    result = transpose(value, [labels.index(label) for label in output])
    if wide == result_dtype:
        return result
    return result != 0 if result_dtype.kind == "b" else BIND["cast"](result, dtype=result_dtype.str)


def _wide(dtype: np.dtype) -> np.dtype:
    """What to compute in: sums of small integers wrap around only at the end, and of booleans mean "any"."""
    if dtype.kind == "b":
        return np.dtype(np.int64)
    if dtype.kind in "iu":
        return np.dtype(np.int64 if dtype.kind == "i" else np.uint64)
    return dtype


def _fail(message: str) -> TraceError:
    return TraceError(f"np.einsum at {user_location()}: {message}")


# ---------------------------------------------------------------------------- what is asked for


def _signature(operands: Sequence[Any]) -> tuple[list[Any], list[Labels], Labels]:
    """The arrays, a label for each of their axes, and the labels of the result."""
    if not operands:
        raise _fail("no operands")
    if isinstance(operands[0], str):
        text = operands[0].replace(" ", "")
        left, arrow, right = text.partition("->")
        arrays = [arrayed(operand) for operand in operands[1:]]
        parts: list[Any] = [_letters(part) for part in left.split(",")]
        result = _letters(right) if arrow else None
    else:
        pairs, rest = divmod(len(operands), 2)
        arrays = [arrayed(operand) for operand in operands[: 2 * pairs : 2]]
        parts = [list(labels) for labels in operands[1 : 2 * pairs : 2]]
        result = list(operands[-1]) if rest else None
        text = ", ".join(map(str, operands[1 : 2 * pairs : 2]))
    if len(parts) != len(arrays):
        raise _fail(f"{text!r} names {len(parts)} operands, and {len(arrays)} are given")
    inputs = [_labelled(part, array.ndim, text) for part, array in zip(parts, arrays, strict=True)]
    dots = sorted({label for labels in inputs for label in labels if isinstance(label, tuple)}, key=_from_left)
    counts = Counter(label for labels in inputs for label in labels if not isinstance(label, tuple))
    if result is None:
        return arrays, inputs, (*dots, *sorted(label for label, count in counts.items() if count == 1))
    named = [label for label in result if label is not Ellipsis]
    if len(set(named)) != len(named) or not set(named) <= set(counts):
        raise _fail(f"the result of {text!r} must name labels of the operands, each of them once")
    if dots and Ellipsis not in result:
        raise _fail(f"{text!r} has an ellipsis in its operands that its result lacks")
    at = result.index(Ellipsis) if Ellipsis in result else 0
    return arrays, inputs, (*result[:at], *dots, *result[at + (Ellipsis in result) :])


def _from_left(label: Any) -> int:
    return -label[1]


def _letters(part: str) -> list[Any]:
    """The labels of one operand in a text."""
    before, dots, after = part.partition("...")
    for letter in before + after:
        if not letter.isalpha() or not letter.isascii():
            raise _fail(f"{part!r} holds {letter!r}, which is no letter")
    return [*before, *([Ellipsis] if dots else []), *after]


def _labelled(part: list[Any], ndim: int, text: str) -> Labels:
    """A label for each axis, those of the ellipsis numbered from the right."""
    hidden = ndim - len([label for label in part if label is not Ellipsis])
    if hidden < 0 or (hidden and Ellipsis not in part) or part.count(Ellipsis) > 1:
        raise _fail(f"{text!r} does not fit an operand of {ndim} dimensions")
    if Ellipsis not in part:
        return tuple(part)
    at = part.index(Ellipsis)
    return (*part[:at], *[("...", hidden - 1 - k) for k in range(hidden)], *part[at + 1 :])


def _sizes(values: Sequence[Any], inputs: Sequence[Labels]) -> dict[Any, int]:
    """How many elements each label counts; size 1 stretches."""
    sizes: dict[Any, int] = {}
    for value, labels in zip(values, inputs, strict=True):
        for label, size in zip(labels, value.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size not in (1, known):
                raise _fail(f"the label {label!r} stands for {known} and for {size} elements")
    return sizes


def _order(terms: list, output: Labels, sizes: dict[Any, int], optimize: Any) -> list[tuple[int, ...]]:
    """Which operands to multiply, step by step; the result of a step becomes the last operand."""
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    numbers = {label: number for number, label in enumerate(sizes)}
    described: list[Any] = []
    for value, labels in terms:
        described += [np.broadcast_to(np.empty(()), value.shape), [numbers[label] for label in labels]]
    how = optimize if isinstance(optimize, str | list | tuple) else "greedy"
    path, _ = np.einsum_path(*described, [numbers[label] for label in output], optimize=how)
    return [tuple(step) for step in path[1:]]


# ---------------------------------------------------------------------------- how it is computed


def _spread(value: Any, labels: Labels, sizes: dict[Any, int]) -> tuple[Any, Labels]:
    """With diagonals for repeated labels, and without axes of size 1 that others stretch."""
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        n = value.shape[first]
        if value.shape[second] != n:
            raise _fail(f"the label {label!r} stands for {n} and for {value.shape[second]} elements of one operand")
        rest = [axis for axis in range(value.ndim) if axis not in (first, second)]
        last = transpose(value, (*rest, first, second))
        value = reshape(last, (*last.shape[:-2], n * n))[..., :: n + 1]  # the diagonal is every (n + 1)-th element
        labels = (*[labels[axis] for axis in rest], label)
    kept = [axis for axis, label in enumerate(labels) if value.shape[axis] == sizes[label]]
    return reshape(value, tuple(value.shape[axis] for axis in kept)), tuple(labels[axis] for axis in kept)


def _summed(value: Any, labels: Labels, needed: set) -> tuple[Any, Labels]:
    """Without the labels that nothing else asks for."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in needed)
    if not axes:
        return value, labels
    return BIND["sum"](value, axes=axes), tuple(label for label in labels if label in needed)


def _product(a: Any, in_a: Labels, b: Any, in_b: Labels, needed: set) -> tuple[Any, Labels]:
    """The product of two operands, summed over the labels that both have and nothing else asks for."""
    stacked = [label for label in in_a if label in in_b and label in needed]
    inner = [label for label in in_a if label in in_b and label not in needed]
    rows = [label for label in in_a if label not in in_b]
    columns = [label for label in in_b if label not in in_a]
    a = transpose(a, [in_a.index(label) for label in (*stacked, *rows, *inner)])
    b = transpose(b, [in_b.index(label) for label in (*stacked, *inner, *columns)])
    lead, high, wide = a.shape[: len(stacked)], a.shape[len(stacked) :][: len(rows)], b.shape[b.ndim - len(columns) :]
    if inner:
        count = math.prod(a.shape[a.ndim - len(inner) :])
        left = reshape(a, (*lead, math.prod(high), count))
        result = BIND["matmul"](left, reshape(b, (*lead, count, math.prod(wide))))
    else:
        result = reshape(a, (*lead, *high, *[1] * len(wide))) * reshape(b, (*lead, *[1] * len(high), *wide))
    return reshape(result, (*lead, *high, *wide)), (*stacked, *rows, *columns)
