"""Sparsity patterns: which outputs of a tape may depend on which coordinates of its inputs.

Sets of coordinates are pushed along the tape, as in Griewank and Walther (2008, section 7.1): every value has an array
of numbers of sets (``index_sets.py``), every primitive has a rule for them (``depends``).  What is known without the
inputs is used: constants, literals, integers and booleans.  Floating-point inputs are never looked at, so a pattern
holds wherever the tape does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import is_device_array, to_host
from ..builder import Shape
from ..errors import GuardError
from ..primitives.dependence import Seen
from ..primitives.record import REGISTRY, Aval, Primitive, Traced
from ..tape import Equation, Tape, literal_array
from .index_sets import ENTRIES, NUMBER, FullError, IndexSets
from .reverse import gradient
from .runs import runs
from .simplify import simplify

UNSAID = "it has no rule that says which elements depend on which"
LARGE = "it has too many entries to put each beside its mirror image"
TOO_MUCH = "the sets of what its elements depend on do not fit into the table"


@dataclass(frozen=True)
class Pattern:
    """Which coordinates of the outputs may depend on which of the differentiated inputs, all flat and in C order.

    Args:
        shape: coordinates of all outputs, coordinates of all differentiated inputs.
        rows: per coordinate of the outputs the number of its set.
        indptr: where each set starts in ``indices``; set 0 is empty.
        indices: the sets, one after the other, each sorted.
        outputs: shapes and dtypes.
        variables: shapes and dtypes.
        notes: where it was taken for dense, and why.
        looked_at: positions of the inputs, integers or booleans, for whose values alone it holds.
        constants: numbers of the tape's constants for whose values alone it holds.
    """

    shape: tuple[int, int]
    rows: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    outputs: tuple[Aval, ...]
    variables: tuple[Aval, ...]
    notes: tuple[str, ...] = ()
    looked_at: tuple[int, ...] = ()
    constants: tuple[int, ...] = ()

    @property
    def nnz(self) -> int:
        """How many entries can be non-zero."""
        return int(np.diff(self.indptr)[self.rows].sum())

    def csr(self) -> tuple[np.ndarray, np.ndarray]:
        """``(indptr, indices)`` of the boolean matrix, int64 and int32, each row sorted."""
        lengths = np.diff(self.indptr)[self.rows]
        indptr = np.zeros(len(self.rows) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        return indptr, self.indices[runs(self.indptr[self.rows], lengths)]


@dataclass(slots=True)
class _Value:
    """What is known of a value: its sets; if it is known itself, from which inputs and constants it was computed."""

    ids: np.ndarray
    known: Any = None
    sources: frozenset[int] = frozenset()


class _Walk:
    """One pass along a tape."""

    def __init__(self, tape: Tape, wrt: Sequence[int], leaves: Sequence[Any] | None, limit: int):
        self.tape = tape
        variables = [tape.avals[tape.inputs[position]] for position in wrt]
        self.table = IndexSets(sum(aval.size for aval in variables), limit)
        self.notes: dict[str, None] = {}
        self.looked_at: set[int] = set()
        self.values: dict[int, _Value] = {}
        for position, number in enumerate(tape.inputs):
            aval = tape.avals[number]
            leaf = None if leaves is None or aval.dtype.kind in "fc" else _plain(leaves[position])
            self.values[number] = _Value(_no_sets(aval), leaf, frozenset(() if leaf is None else (number,)))
        start = 1
        for position, aval in zip(wrt, variables, strict=True):
            ids = np.arange(start, start + aval.size, dtype=NUMBER).reshape(aval.shape)
            self.values[tape.inputs[position]] = _Value(ids)
            start += aval.size
        for number, constant in tape.constants.items():
            self.values[number] = _Value(_no_sets(tape.avals[number]), _plain(constant), frozenset((number,)))
        for number, literal in tape.literals.items():
            aval = tape.avals[number]
            self.values[number] = _Value(_no_sets(aval), literal_array(literal, aval))

    def run(self) -> list[np.ndarray]:
        """The sets of the outputs."""
        tape, values = self.tape, self.values
        last = tape.last_uses(tape.outputs)
        with np.errstate(all="ignore"):
            for position, equation in enumerate(tape.equations):
                values[equation.output] = self._visit(equation)
                for number in {*equation.inputs, equation.output}:
                    if last.get(number, -1) <= position:
                        del values[number]
        return [values[number].ids for number in tape.outputs]

    def _visit(self, equation: Equation) -> _Value:
        primitive, out = equation.primitive, self.tape.avals[equation.output]
        operands = [self.values[number] for number in equation.inputs]
        if primitive.kind != "own" and all(operand.known is not None for operand in operands):
            known = _evaluated(primitive, [operand.known for operand in operands], equation.params)
            return _Value(_no_sets(out), known, frozenset().union(*[operand.sources for operand in operands]))
        fixed = primitive.jvp is None and primitive.vjp is None and bool(primitive.excuse)
        if out.dtype.kind not in "fc" or fixed or not any(operand.ids.any() for operand in operands):
            return _Value(_no_sets(out))
        seen = [
            Seen(operand.ids, operand.known, self.tape.avals[number])
            for operand, number in zip(operands, equation.inputs, strict=True)
        ]
        ids = self._sets(primitive, seen, equation.params)
        for one, operand in zip(seen, operands, strict=True):
            if one.looked:
                self.looked_at |= operand.sources
        return _Value(np.broadcast_to(ids, out.shape))

    def _sets(self, primitive: Primitive, seen: list[Seen], params: dict[str, Any]) -> np.ndarray:
        """The sets of a result by the primitive's rule, or one set for all of it."""
        if not callable(primitive.depends):
            self._note(primitive, primitive.depends or UNSAID)
            return self._one_set(seen)
        try:
            ids = primitive.depends(self.table, *seen, **params)
        except FullError:
            self.table.settle = True
            try:
                ids = primitive.depends(self.table, *self._compacted(seen), **params)
            except FullError:
                self._note(primitive, TOO_MUCH)
                ids = self._one_set(seen)
            self.table.settle = False
        for reason in self.table.notes:
            self._note(primitive, reason)
        self.table.notes.clear()
        return ids

    def _one_set(self, seen: list[Seen]) -> np.ndarray:
        return np.asarray(self.table.everything(*[one.ids for one in seen]), NUMBER)

    def _note(self, primitive: Primitive, reason: str) -> None:
        self.notes[f"{primitive.name}: {reason}"] = None

    def _compacted(self, seen: list[Seen]) -> list[Seen]:
        """The operands once the table has dropped what no value uses any more."""
        live = list(self.values.values())
        moved = self.table.compact([*[value.ids for value in live], *[one.ids for one in seen]])
        for value, ids in zip(live, moved, strict=False):
            value.ids = ids
        for one, ids in zip(seen, moved[len(live) :], strict=True):
            one.ids = ids
        return seen


def _no_sets(aval: Aval) -> np.ndarray:
    return np.broadcast_to(NUMBER(0), aval.shape)


def _evaluated(primitive: Primitive, operands: list[Any], params: dict[str, Any]) -> Any:
    """The value, ``None`` where there is none: what fails here fails, in its own words, when the function runs."""
    try:
        return primitive.evaluate(*operands, **params)
    except (ValueError, IndexError, GuardError):
        return None


def _plain(leaf: Any) -> Any:
    """The value on the host; ``None`` of what is traced or is only a shape."""
    if isinstance(leaf, Traced | Shape):
        return None
    return to_host(leaf) if is_device_array(leaf) else np.asarray(leaf)


def unstopped(tape: Tape) -> Tape:
    """The function as those see it who only evaluate it: what stops gradients lets values through.

    Args:
        tape: any function.

    Returns:
        The tape with copies in the place of ``stop_gradient``; the same where there is none.
    """
    copy = REGISTRY["copy"]
    equations = tuple(
        one._replace(primitive=copy) if one.primitive.name == "stop_gradient" else one for one in tape.equations
    )
    return tape if equations == tape.equations else replace(tape, equations=equations)


def jacobian_pattern(
    tape: Tape, wrt: Sequence[int], leaves: Sequence[Any] | None = None, *, limit: int = ENTRIES
) -> Pattern:
    """Which outputs may depend on which inputs, entry by entry.

    Args:
        tape: any function.
        wrt: positions of the inputs to differentiate.
        leaves: all inputs, of which only integers and booleans are looked at; ``None``: they are not known.
        limit: entries of all sets together; what does not fit is taken for dense, and a note says so.

    Returns:
        The pattern, for every point at which the tape holds.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> steps = trace_leaves(lambda leaves: [leaves[0][1:] * leaves[0][:-1]], [np.ones(4)])
        >>> [part.tolist() for part in jacobian_pattern(steps, (0,)).csr()]
        [[0, 2, 4, 6], [0, 1, 1, 2, 2, 3]]
    """
    walk = _Walk(tape, wrt, leaves, limit)
    sets = walk.run()
    rows = np.concatenate([np.zeros(0, NUMBER), *[ids.ravel() for ids in sets]])
    used, rows = np.unique(np.concatenate([[0], rows]), return_inverse=True)
    indptr, indices = walk.table.rows(used)
    variables = tuple(tape.avals[tape.inputs[position]] for position in wrt)
    return Pattern(
        shape=(len(rows) - 1, walk.table.count),
        rows=rows[1:].astype(NUMBER),
        indptr=indptr,
        indices=indices,
        outputs=tuple(tape.avals[number] for number in tape.outputs),
        variables=variables,
        notes=tuple(walk.notes),
        looked_at=tuple(i for i, number in enumerate(tape.inputs) if number in walk.looked_at),
        constants=tuple(number for number in tape.constants if number in walk.looked_at),
    )


def hessian_pattern(
    tape: Tape, wrt: Sequence[int], leaves: Sequence[Any] | None = None, *, limit: int = ENTRIES
) -> Pattern:
    """Which second derivatives of a scalar function may be non-zero: the pattern of its gradient's Jacobian.

    Args:
        tape: a function with one scalar output.
        wrt: positions of the inputs to differentiate.
        leaves: as for ``jacobian_pattern``.
        limit: likewise.

    Returns:
        The pattern, symmetric.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> loss = trace_leaves(lambda leaves: [np.sum(leaves[0][1:] * leaves[0][:-1])], [np.ones(3)])
        >>> [part.tolist() for part in hessian_pattern(loss, (0,)).csr()]
        [[0, 1, 3, 4], [1, 0, 2, 1]]
    """
    slopes = simplify(gradient(tape, wrt))
    found = jacobian_pattern(replace(slopes, outputs=slopes.outputs[1:]), wrt, leaves, limit=limit)
    return symmetric(found, limit)


def symmetric(found: Pattern, limit: int = ENTRIES) -> Pattern:
    """The union of a square pattern with its transpose.

    Args:
        found: as many rows as columns.
        limit: with more entries, all rows that have any get one set, and a note says so.

    Returns:
        The pattern, symmetric.
    """
    count = found.shape[0]
    if found.nnz > limit:
        filled = np.diff(found.indptr)[found.rows] > 0
        filled[found.indices] = True
        indices = np.flatnonzero(filled).astype(NUMBER)
        notes = (*found.notes, f"the whole: {LARGE}")
        return replace(
            found, rows=filled.astype(NUMBER), indptr=np.array([0, 0, len(indices)]), indices=indices, notes=notes
        )
    from scipy.sparse import csr_array

    indptr, indices = found.csr()
    matrix = csr_array((np.ones(len(indices), bool), indices, indptr), shape=found.shape)
    matrix = csr_array(matrix + matrix.T)
    matrix.sort_indices()
    return replace(
        found,
        rows=np.arange(1, count + 1, dtype=NUMBER),
        indptr=np.concatenate([[0], matrix.indptr]).astype(np.int64),
        indices=matrix.indices.astype(NUMBER),
    )


__all__ = ["Pattern", "hessian_pattern", "jacobian_pattern", "symmetric", "unstopped"]
