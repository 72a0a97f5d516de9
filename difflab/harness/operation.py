"""One operator at one point, whoever computes it: its vectors, what must come out, and how a backend is asked for it.

The result of every operator is a flat list of arrays: one gradient, product or cotangent per differentiated leaf, one
tangent per output, or the blocks of a Jacobian or Hessian row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.protocol import SECOND_ORDER, Backend, Cost, Source, block_bytes
from ..backends.ways import FIRST_ORDER, how
from ..nesting import ready
from ..primitives.complexes import block_dtype
from ..primitives.record import Aval

VECTORS = {"jvp": "tangents", "vjp": "cotangents", "hvp": "vectors"}
"""The operators that take vectors, and what these are called."""
PASSES = {
    ("gradient", "jvp"): "columns", ("vjp", "jvp"): "columns", ("jacobian", "jvp"): "columns",
    ("hessian", "hvp"): "columns", ("jvp", "vjp"): "rows", ("jacobian", "vjp"): "rows",
}  # fmt: skip
"""Where an operator is deduced from another pass by pass, one for each of what; all other deductions take one pass."""
FEW = 3  # passes over the loss that a derivative of its gradient takes
STREAM = 3  # another stream than those of the problems' parameters and data, which have the seed and 1


def outputs_of(source: Source) -> list[Any]:
    """Arrays or avals of the function's outputs; those of a black box by calling it.

    Args:
        source: the function.

    Returns:
        One per output, with shape and dtype.
    """
    try:
        tape = source.tape
    except Exception:  # whatever a black box does not like about traced arrays
        return source.call(source.example)
    return [tape.avals[number] for number in tape.outputs]


def unit_vectors(likes: Sequence[Any], seed: int) -> list[np.ndarray]:
    """Random vectors that have unit length together, one like each of ``likes``.

    They are drawn in double precision and rounded to each dtype, so that one seed means the same direction in all.

    Args:
        likes: arrays or avals, for their shapes and dtypes.
        seed: of the random numbers.

    Returns:
        One array per entry of ``likes``; all empty or zero only where there is no coordinate.

    Example:
        >>> wide, narrow = (unit_vectors([Aval((3,), np.dtype(name))], 0)[0] for name in ("f8", "f4"))
        >>> bool(abs(np.sum(wide**2) - 1) < 1e-15), bool(np.all(wide.astype("f4") == narrow))
        (True, True)
    """
    generator = np.random.default_rng([seed, STREAM])
    drawn = []
    for like in likes:
        vector = generator.standard_normal(like.shape)
        drawn.append(vector + 1j * generator.standard_normal(like.shape) if like.dtype.kind == "c" else vector)
    length = math.sqrt(math.fsum(float(np.sum(np.abs(vector) ** 2)) for vector in drawn)) or 1.0
    return [np.asarray(vector / length, like.dtype) for vector, like in zip(drawn, likes, strict=True)]


@dataclass(frozen=True)
class Operation:
    """An operator of a function at a point.

    ``vectors`` are the tangents, cotangents or vectors that it takes, flat; none for the other operators.

    Example:
        >>> from difflab.backends import find
        >>> from difflab.operators import source
        >>> made = source(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),))
        >>> operation = Operation("hvp", made, [np.array([1.0, 1.0])])
        >>> operation.result(operation.prepare(find("reverse")))
        [array([ 6., 12.])]
    """

    operator: str
    source: Source
    vectors: Sequence[np.ndarray] = ()

    @staticmethod
    def drawn(operator: str, source: Source, seed: int) -> Operation:
        """The operation with random vectors of unit length where it takes any.

        Args:
            operator: one of the operators.
            source: the function and the point.
            seed: of the vectors.

        Returns:
            The operation.
        """
        if operator not in VECTORS:
            return Operation(operator, source)
        likes = outputs_of(source) if operator == "vjp" else [source.example[i] for i in source.wrt]
        return Operation(operator, source, unit_vectors(likes, seed))

    @property
    def expected(self) -> list[Aval]:
        """Shapes and dtypes of the arrays of the result."""
        variables = [self.source.example[i] for i in self.source.wrt]
        if self.operator in ("jacobian", "hessian"):
            rows = outputs_of(self.source) if self.operator == "jacobian" else variables
            return [Aval((*row.shape, *v.shape), block_dtype(row, v)) for row in rows for v in variables]
        likes = outputs_of(self.source) if self.operator == "jvp" else variables
        return [Aval(like.shape, like.dtype) for like in likes]

    def predict(self, backend: Backend) -> Cost:
        """What one call will cost, also where the backend's operator is deduced from another.

        Args:
            backend: asked for the cost of what it has itself.

        Returns:
            Its forecast times the passes that the deduction takes, with room for the matrix where there is one.
        """
        tape, wrt = self.source.tape, self.source.wrt
        source = how(backend, self.operator).source
        if not source:
            return backend.predict(tape, self.operator, wrt)
        variables, outputs = [tape.avals[tape.inputs[i]] for i in wrt], [tape.avals[n] for n in tape.outputs]
        columns, rows = (sum(one.size for one in many) for many in (variables, outputs))
        first, _, inner = source.partition(" of ")
        if first == "jvp or vjp":
            first = "jvp" if columns <= rows else "vjp"
        passes = {"columns": columns, "rows": rows}.get(PASSES.get((self.operator, first), ""), 1)
        if inner:  # the derivative of a derivative costs a few of the inner one, for a matrix in each column
            passes = FEW * (columns if self.operator == "hessian" else 1)
            first = next(one for one in (inner, *FIRST_ORDER) if one in backend.capabilities)
        cost = backend.predict(tape, first, wrt)
        matrix = {"jacobian": outputs, "hessian": variables}.get(self.operator, [])
        nbytes = cost.nbytes + block_bytes(matrix, variables)
        works = tuple(work._replace(runs=passes * work.runs) for work in cost.works)
        return Cost(passes * cost.primal_calls, passes * cost.flops, nbytes, passes * cost.seconds, works)

    def prepare(self, backend: Backend) -> Any:
        """Prepare a backend for this.

        Args:
            backend: any that can do it, natively or deduced from what it declares.

        Returns:
            What ``call`` and ``result`` take.

        Raises:
            UnsupportedError: it cannot.
        """
        if self._native(backend):
            return backend.prepare(self.source, "value_and_gradient", self.source.example)
        return ready(backend, self.source, self.operator)

    def _native(self, backend: Backend) -> bool:
        return self.operator == "gradient" and "value_and_gradient" in backend.capabilities

    def call(self, backend: Backend, prepared: Any) -> Callable[[], Any]:
        """What is timed: the derivative with the value where they come together, without conversions of data.

        Args:
            backend: as for ``prepare``.
            prepared: what that returned.

        Returns:
            A function without arguments.
        """
        if self._native(backend) and "bare" in backend.capabilities:
            return prepared.bare(self.source.example)
        compute, leaves = self._compute(prepared), self.source.example
        return lambda: compute(leaves)

    def _compute(self, prepared: Any) -> Callable[[Sequence[Any]], Any]:
        vectors = self.vectors
        if self.operator == "gradient":
            return prepared.value_and_gradient
        if self.operator == "vjp":

            def pull(leaves: Sequence[Any]) -> Any:
                outputs, pullback = prepared.vjp(leaves)
                return outputs, pullback(vectors)

            return pull
        compute = getattr(prepared, self.operator)
        return (lambda leaves: compute(leaves, vectors)) if self.operator in VECTORS else compute

    def result(self, prepared: Any) -> Any:
        """Compute it once.

        Args:
            prepared: what ``prepare`` returned.

        Returns:
            The flat list of arrays; what a wrong backend returns instead is passed on as it is.
        """
        answer = self._compute(prepared)(self.source.example)
        if self.operator not in SECOND_ORDER:
            answer = answer[1]  # the value came with it
        if self.operator in ("jacobian", "hessian"):
            return [block for row in answer for block in row]
        return answer
