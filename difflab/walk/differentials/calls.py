"""Links of named functions of arrays: moves of elements, sums over axes, largest elements, determinants."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...primitives.record import Aval, find
from ..latex.algebra import Algebra
from ..latex.terms import SCALAR, Call, Term, matrix_shape
from .links import Chain, Link, along, row_sums, turned, weighted

Axes = tuple[int, ...]
FLOAT = np.dtype(float)


def links_of(algebra: Algebra, call: Call, place: int) -> Chain | None:
    """The chain by which the differential of an operand enters that of a function of arrays.

    Args:
        algebra: makes the terms.
        call: the function of its operands.
        place: which operand.

    Returns:
        Links; ``None`` where there is no rule.

    Example:
        >>> algebra = Algebra()
        >>> a = algebra.name(("input", 0), (2, 3), 2)
        >>> call = Call(find("max"), (("axes", (1,)),), (a,), (Aval((2, 3), FLOAT),), (2,))
        >>> [link.what for link in links_of(algebra, call, 0) or ()]
        ['summation along an axis', 'multiplication element by element']
    """
    rule = RULES.get(call.primitive.name)
    return None if rule is None else rule(algebra, call, place)


def _of(algebra: Algebra, name: str, term: Term, start: Axes, result: Axes, params: dict[str, Any], *more: Any) -> Term:
    """A primitive of a term that stands for an array; ``more`` are further terms with their avals."""
    parts, avals = zip((term, Aval(start, FLOAT)), *more, strict=True)
    return algebra.call(Call(find(name), tuple(params.items()), parts, avals, result))


def _spread(algebra: Algebra, term: Term, shape: Axes, target: Axes) -> Term:
    """An array repeated to a shape."""
    if term.shape == SCALAR:
        return algebra.times(term, algebra.ones(matrix_shape(target)))
    return _of(algebra, "broadcast_to", term, shape, target, {"shape": target})


def _reshaped(algebra: Algebra, term: Term, shape: Axes, target: Axes) -> Term:
    if shape == target or term.shape == SCALAR:
        return term
    return _of(algebra, "reshape", term, shape, target, {"shape": target})


def _summed(algebra: Algebra, term: Term, shape: Axes, target: Axes) -> Term:
    """An array summed to the shape that was repeated to its own."""
    new = len(shape) - len(target)
    axes = (*range(new), *[new + k for k, size in enumerate(target) if size == 1 != shape[new + k]])
    kept = tuple([size for axis, size in enumerate(shape) if axis not in axes])
    return _reshaped(algebra, _of(algebra, "sum", term, shape, kept, {"axes": axes}), kept, target)


def _linear(back: Callable[[Algebra, Call, Term], Term]) -> Callable[[Algebra, Call, int], Chain | None]:
    """A function that is linear in its first operand, with its transpose."""

    def rule(algebra: Algebra, call: Call, place: int) -> Chain | None:
        if place > 0:
            return None

        def applied(algebra: Algebra, term: Term) -> Term:
            return algebra.call(Call(call.primitive, call.params, (term, *call.parts[1:]), call.avals, call.result))

        transpose = lambda algebra, term: back(algebra, call, term)  # noqa: E731 (one line)
        return (Link(call.primitive.name, call.parts[0].shape, call.shape, applied, transpose),)

    return rule


def _reshape(algebra: Algebra, call: Call, term: Term) -> Term:
    return _reshaped(algebra, term, call.result, call.avals[0].shape)


def _transpose(algebra: Algebra, call: Call, term: Term) -> Term:
    order = dict(call.params)["axes"]
    inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
    return _of(algebra, "transpose", term, call.result, call.avals[0].shape, {"axes": inverse})


def _slice(algebra: Algebra, call: Call, term: Term) -> Term:
    whole = call.avals[0].shape
    return _of(algebra, "unslice", term, call.result, whole, {**dict(call.params), "shape": whole})


def _unslice(algebra: Algebra, call: Call, term: Term) -> Term:
    given = {key: value for key, value in call.params if key != "shape"}
    return _of(algebra, "slice", term, call.result, call.avals[0].shape, given)


def _gather(algebra: Algebra, call: Call, term: Term) -> Term:
    indices = zip(call.parts[1:], call.avals[1:], strict=True)
    whole = call.avals[0].shape
    params = {"shape": whole, "axes": dict(call.params)["axes"]}
    return _of(algebra, "scatter_add", term, call.result, whole, params, *indices)


def _scatter(algebra: Algebra, call: Call, term: Term) -> Term:
    indices = zip(call.parts[1:], call.avals[1:], strict=True)
    params = {"axes": dict(call.params)["axes"]}
    return _of(algebra, "gather", term, call.result, call.avals[0].shape, params, *indices)


def _broadcast(algebra: Algebra, call: Call, term: Term) -> Term:
    return _summed(algebra, term, call.result, call.avals[0].shape)


def _sum(algebra: Algebra, call: Call, term: Term) -> Term:
    whole, axes = call.avals[0].shape, dict(call.params)["axes"]
    kept = tuple([1 if axis in axes else size for axis, size in enumerate(whole)])
    return _spread(algebra, _reshaped(algebra, term, call.result, kept), kept, whole)


def _concatenate(algebra: Algebra, call: Call, place: int) -> Chain:
    """Where one of the joined arrays stands in the whole."""
    axis, shape = dict(call.params)["axis"], call.avals[place].shape
    ends = list(itertools.accumulate((aval.shape[axis] for aval in call.avals), initial=0))
    start = tuple([ends[place] if k == axis else 0 for k in range(len(shape))])
    stop = tuple([first + size for first, size in zip(start, shape, strict=True)])
    cut = {"start": start, "stop": stop, "step": (1,) * len(shape)}
    link = Link(
        "concatenate", call.parts[place].shape, call.shape,
        lambda algebra, term: _of(algebra, "unslice", term, shape, call.result, {**cut, "shape": call.result}),
        lambda algebra, term: _of(algebra, "slice", term, call.result, shape, cut),
    )  # fmt: skip
    return (link,)


def _extreme(algebra: Algebra, call: Call, place: int) -> Chain | None:
    """The largest or smallest elements along an axis of a matrix, or of all of it; those that tie share equally."""
    inside, axes, rank = call.parts[0], dict(call.params)["axes"], call.avals[0].ndim
    if len(inside.shape) != 2:
        return None
    found = algebra.name_of(call)
    if len(axes) == rank or call.shape == SCALAR:
        ties = algebra.indicator("equal", inside, found)
        count = row_sums(0, (inside.shape[0], 1)).of(algebra, row_sums(1, inside.shape).of(algebra, ties))
        return (along(algebra.scaled(1, [(count, -1)], ties)),)
    axis = axes[0]
    sums = row_sums(axis, inside.shape)
    top = found if axis == 1 else algebra.transpose(found)
    ties = algebra.indicator("equal", inside, sums.back(algebra, top))
    count = sums.back(algebra, sums.of(algebra, ties))
    shares = weighted(algebra.hadamard([(ties, 1), (count, -1)]), inside.shape, inside.shape)
    return (sums, shares) if axis == 1 else (turned(sums.gives), sums, shares)


def _determinant(algebra: Algebra, call: Call, place: int) -> Chain | None:
    """d det A = <C, dA> with the cofactors C of A, d log|det A| = tr(A^-1 dA)."""
    if call.avals[0].ndim != 2:
        return None
    matrix, shape = call.parts[0], call.avals[0].shape
    if call.primitive.name == "det":
        return (along(_of(algebra, "det_derivative", matrix, shape, shape, {})),)
    return (along(algebra.transpose(algebra.inverse(matrix))),)


RULES: dict[str, Callable[[Algebra, Call, int], Chain | None]] = {
    "reshape": _linear(_reshape),
    "transpose": _linear(_transpose),
    "slice": _linear(_slice),
    "unslice": _linear(_unslice),
    "gather": _linear(_gather),
    "scatter_add": _linear(_scatter),
    "broadcast_to": _linear(_broadcast),
    "sum": _linear(_sum),
    "concatenate": _concatenate,
    "max": _extreme,
    "min": _extreme,
    "det": _determinant,
    "logabsdet": _determinant,
}
"""Named functions with a rule; those of a sliding window and what else is no matrix algebra have none."""
FLAT = frozenset({"argmax", "argmin", "argsort", "cast", "searchsorted", "sign_det", "zeros_like"})
"""Functions whose result does not move with their operands; a cast that formulas mention is one to integers."""
