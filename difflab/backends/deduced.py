"""Operators that a backend does not have, from those that it has: J t from pullbacks, J^T c from tangents, and so on.

Everything here takes plain and traced leaves alike, so what is deduced can be differentiated like what is not.
Pullbacks are complex-linear: that of c is the gradient of Re(c y), df/dRe - i df/dIm, for each complex variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..arrays import as_array, copied, namespace
from ..errors import UnsupportedError
from ..primitives.complexes import block_dtype, real_dtype
from ..primitives.record import Aval, Traced
from .many import one_by_one
from .protocol import Backend
from .ways import require

Tangents = Callable[[Sequence[Any]], Sequence[Any]]
"""From one tangent per variable to one per output."""
Pullback = Callable[[Sequence[Any]], Sequence[Any]]
"""From one cotangent per output to one per variable."""


def units(likes: Sequence[Any], position: int, factor: complex = 1) -> Iterator[list[np.ndarray]]:
    """Arrays like ``likes`` that are zero but for one entry of the one at ``position``; fresh ones for each."""
    xp = namespace(*likes)
    for index in np.ndindex(likes[position].shape):
        arrays = [xp.zeros(like.shape, like.dtype) for like in likes]
        arrays[position][index] = factor
        yield arrays


def _complex(like: Any) -> bool:
    return like.dtype.kind == "c"


def _dot(first: Sequence[Any], second: Sequence[Any], dtype: np.dtype) -> Any:
    """The sum of all products, in ``dtype``; of a complex sum the real part where ``dtype`` is real."""
    total: Any = None
    for a, b in zip(first, second, strict=True):
        part = np.sum(np.multiply(a, b))
        total = part if total is None else total + part
    return _as(namespace(*first).zeros((), dtype) if total is None else total, dtype)


def _as(value: Any, dtype: np.dtype) -> Any:
    """A value in another dtype, without its imaginary part where that is real."""
    value = value if isinstance(value, Traced) else as_array(value)
    if value.dtype == dtype:
        return value
    if _complex(value) and dtype.kind != "c":
        value = np.real(value)
    return value.astype(dtype)


def _stacked(entries: Sequence[Any], shape: tuple[int, ...], like: Any, dtype: np.dtype, axis: int = 0) -> Any:
    """Entries side by side along a new axis, which is then given its shape; ``like`` says where none would be."""
    if not entries:
        return namespace(like).zeros(shape, dtype)
    return np.reshape(np.stack(entries, axis), shape)


# ------------------------------------------------------------------------------------ products with the Jacobian


def pulled_back(tangents_of: Tangents, variables: Sequence[Any]) -> Pullback:
    """A pullback by one tangent pass per coordinate of the variables, two where it is complex."""

    def entry(cotangents: Sequence[Any], position: int, direction: Sequence[Any]) -> Any:
        return _dot(cotangents, tangents_of(direction), real_dtype(variables[position].dtype))

    def pullback(cotangents: Sequence[Any]) -> list[Any]:
        result = []
        for position, like in enumerate(variables):
            entries = [entry(cotangents, position, unit) for unit in units(variables, position)]
            if _complex(like):
                other = [entry(cotangents, position, unit) for unit in units(variables, position, 1j)]
                entries = [a - 1j * b for a, b in zip(entries, other, strict=True)]
            result.append(_as(_stacked(entries, like.shape, like, like.dtype), like.dtype))
        return result

    return pullback


def tangents_by(pullback: Pullback, outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Tangents by one pullback per coordinate of the outputs, two where it is complex."""
    result = []
    for position, like in enumerate(outputs):
        real = real_dtype(like.dtype)
        entries = [_dot(pullback(unit), tangents, real) for unit in units(outputs, position)]
        if _complex(like):
            other = [_dot(pullback(unit), tangents, real) for unit in units(outputs, position, -1j)]
            entries = [a + 1j * b for a, b in zip(entries, other, strict=True)]
        result.append(_as(_stacked(entries, like.shape, like, like.dtype), like.dtype))
    return result


# ------------------------------------------------------------------------------------ Jacobians


def columns(tangents_of: Tangents, outputs: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
    """The blocks of the Jacobian, one tangent pass per column.

    Where a variable is complex and an output is real, both of its directions count (df/dRe - i df/dIm); a complex
    output is taken for holomorphic.
    """
    blocks: list[list[Any]] = [[] for _ in outputs]
    for position, variable in enumerate(variables):
        along = [tangents_of(unit) for unit in units(variables, position)]
        across = None
        if _complex(variable) and not all(_complex(output) for output in outputs):
            across = [tangents_of(unit) for unit in units(variables, position, 1j)]
        for number, output in enumerate(outputs):
            entries = [tangents[number] for tangents in along]
            if across is not None and not _complex(output):
                others = [tangents[number] for tangents in across]
                entries = [a - 1j * b for a, b in zip(entries, others, strict=True)]
            dtype = block_dtype(output, variable)
            shape = (*output.shape, *variable.shape)
            blocks[number].append(_as(_stacked(entries, shape, variable, dtype, axis=-1), dtype))
    return blocks


def rows(pullback: Pullback, outputs: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
    """The blocks of the Jacobian, one pullback per row, two where the output is complex and a variable is not."""
    blocks: list[list[Any]] = []
    for number, output in enumerate(outputs):
        first = [pullback(unit) for unit in units(outputs, number)]
        second = None
        if _complex(output) and not all(_complex(variable) for variable in variables):
            second = [pullback(unit) for unit in units(outputs, number, -1j)]
        here = []
        for position, variable in enumerate(variables):
            entries = [cotangents[position] for cotangents in first]
            if second is not None and not _complex(variable):
                others = [cotangents[position] for cotangents in second]
                entries = [a + 1j * b for a, b in zip(entries, others, strict=True)]
            dtype = block_dtype(output, variable)
            here.append(_as(_stacked(entries, (*output.shape, *variable.shape), variable, dtype), dtype))
        blocks.append(here)
    return blocks


def applied(blocks: Sequence[Sequence[Any]], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The product of a Jacobian with tangents."""
    result = []
    for output, row in zip(outputs, blocks, strict=True):
        total: Any = namespace(*row).zeros(output.shape, output.dtype)
        for block, tangent in zip(row, tangents, strict=True):
            total = total + np.tensordot(block, tangent, len(tangent.shape))
        result.append(_as(total, output.dtype))
    return result


def applied_from_the_left(
    blocks: Sequence[Sequence[Any]], variables: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """The product of cotangents with a Jacobian."""
    result = []
    for position, variable in enumerate(variables):
        total: Any = namespace(*cotangents).zeros(variable.shape, variable.dtype)
        for cotangent, row in zip(cotangents, blocks, strict=True):
            total = total + np.tensordot(cotangent, row[position], len(cotangent.shape))
        result.append(_as(total, variable.dtype))
    return result


# ------------------------------------------------------------------------------------ all operators of a backend


class Deduced:
    """A prepared derivative with every operator: the backend's own methods, and what follows from them.

    Args:
        backend: declares what ``prepared`` can do.
        prepared: what the backend prepared, for plain leaves or inside a trace.
        outputs: the avals of the function's outputs, found when they are needed.
        wrt: positions of the leaves to differentiate.
        again: makes the prepared second derivative of a kind ("jvp of gradient", ...) where the backend nests.
    """

    def __init__(
        self,
        backend: Backend,
        prepared: Any,
        outputs: Callable[[], list[Aval]],
        wrt: tuple[int, ...],
        again: Callable[[str], Any],
    ):
        self._backend = backend
        self._own = prepared
        self._outputs = outputs
        self._wrt = wrt
        self._again = again
        self.stats: dict[str, Any] = prepared.stats
        self.beside: dict[str, Any] = {}  # what others keep for as long as this is kept
        self.value = prepared.value
        if "value_and_gradient" in backend.capabilities:  # the one that is called in loops
            self.value_and_gradient = prepared.value_and_gradient

    @property
    def backend(self) -> Backend:
        """The backend, with its options."""
        return self._backend

    def _source(self, operator: str) -> str:
        """What the operator is deduced from; "" where the backend has it."""
        way = require(self._backend, operator)
        if way.scalar and operator in ("jvp", "vjp", "jacobian"):
            require_one_number(self._backend, operator, self._outputs())
        return way.source

    def _at(self, leaves: Sequence[Any]) -> list[Any]:
        return [leaves[i] for i in self._wrt]

    def _gradients(self, leaves: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        value, gradients = self.value_and_gradient(leaves)
        return [value], gradients

    # -------------------------------------------------------------------- first order

    def gradient(self, leaves: Sequence[Any]) -> list[Any]:
        """The gradients alone."""
        declared = self._backend.capabilities
        if "gradient" in declared and "value_and_gradient" not in declared:
            return self._own.gradient(leaves)
        return self.value_and_gradient(leaves)[1]

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        source = self._source("value_and_gradient")
        if source == "gradient":
            return self.value(leaves)[0], self._own.gradient(leaves)
        if source == "jacobian":
            values, blocks = self._own.jacobian(leaves)
            return values[0], list(blocks[0])
        values, pullback = self.vjp(leaves)
        return values[0], list(pullback([namespace(*values).ones((), values[0].dtype)]))

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents."""
        source = self._source("jvp")
        if not source:
            return self._own.jvp(leaves, tangents)
        if source == "jacobian":
            values, blocks = self._own.jacobian(leaves)
            return values, applied(blocks, values, tangents)
        values, pullback = self.vjp(leaves)
        return values, tangents_by(pullback, values, tangents)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Pullback]:
        """The outputs and a pullback."""
        source = self._source("vjp")
        if not source:
            return self._own.vjp(leaves)
        kept = [leaf if isinstance(leaf, Traced) else copied(leaf) for leaf in leaves]
        at = self._at(kept)
        if source == "jvp":
            values = self.value(kept)
            return values, pulled_back(lambda unit: self._own.jvp(kept, unit)[1], at)
        if source == "jacobian":
            values, blocks = self._own.jacobian(kept)
            return values, lambda cotangents: applied_from_the_left(blocks, at, cotangents)
        values, gradients = self._gradients(kept)
        return values, lambda cotangents: [_as(cotangents[0] * gradient, gradient.dtype) for gradient in gradients]

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks, by columns or by rows."""
        source = self._source("jacobian")
        if not source:
            return self._own.jacobian(leaves)
        at = self._at(leaves)
        if source == "jvp or vjp":
            fewer_columns = sum(leaf.size for leaf in at) <= sum(output.size for output in self._outputs())
            source = "jvp" if fewer_columns else "vjp"
        if source == "jvp":
            values = self.value(leaves)
            return values, columns(lambda unit: self._own.jvp(leaves, unit)[1], values, at)
        values, pullback = self.vjp(leaves)
        return values, rows(pullback, values, at)

    # -------------------------------------------------------------------- many directions, as a leading axis

    def jvps(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs along many directions, of which there is at least one."""
        if "jvps" in self._backend.capabilities:
            return self._own.jvps(leaves, tangents)
        return one_by_one(lambda direction: self.jvp(leaves, direction)[1], tangents)

    def pullbacks(self, leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the leaves for many of the outputs."""
        if "pullbacks" in self._backend.capabilities:
            return self._own.pullbacks(leaves, cotangents)
        return one_by_one(self.vjp(leaves)[1], cotangents)

    def hvps(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The Hessian's products with many vectors."""
        if "hvps" in self._backend.capabilities:
            return self._own.hvps(leaves, vectors)
        return one_by_one(lambda vector: self.hvp(leaves, vector), vectors)

    def sizes(self, leaves: Sequence[Any]) -> list[Any] | None:
        """How far coordinates are to go when they are moved together, where that matters to the backend."""
        return self._own.sizes(leaves) if "sizes" in self._backend.capabilities else None

    def error_estimate(self, leaves: Sequence[Any]) -> list[Any]:
        """The estimated error of every entry of the gradient, where the backend declares that it has one."""
        if "error-estimate" not in self._backend.capabilities or any(isinstance(leaf, Traced) for leaf in leaves):
            raise UnsupportedError(
                f"backend {self._backend.name!r} estimates no errors here; dl.Finite(scheme='richardson') and "
                "dl.Finite(estimate=True) do, outside of other derivatives"
            )
        return self._own.error_estimate(leaves)

    def expressions(self, leaves: Sequence[Any] | None) -> Any:
        """Symbols, outputs and derivatives as formulas, where the backend derives formulas."""
        self._require_formulas(leaves)
        return self._own.expressions(leaves)

    def code(self, leaves: Sequence[Any] | None, language: str | None) -> str:
        """The same as the text of a program."""
        self._require_formulas(leaves)
        return self._own.code(leaves, language)

    def _require_formulas(self, leaves: Sequence[Any] | None) -> None:
        if self._backend.family != "symbolic" or any(isinstance(leaf, Traced) for leaf in leaves or ()):
            raise UnsupportedError(
                f"backend {self._backend.name!r} has no formulas here; backend 'symbolic' does, outside of other "
                "derivatives"
            )

    # -------------------------------------------------------------------- second order

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The Hessian's product with the vectors."""
        source = self._source("hvp")
        if not source:
            return self._own.hvp(leaves, vectors)
        at = self._at(leaves)
        if source == "hessian":
            if any(_complex(leaf) for leaf in at):
                raise UnsupportedError(
                    f"backend {self._backend.name!r} does 'hvp' by its Hessian, which does not tell both directions of "
                    "a complex variable; use backend 'reverse'"
                )
            return applied(self._own.hessian(leaves), at, vectors)
        if source == "gradient of gradient":
            return self._again(source).gradient([*leaves, *vectors])
        return self._again(source).jvp(leaves, vectors)[1]

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The blocks of the Hessian, by columns."""
        source = self._source("hessian")
        if not source:
            return self._own.hessian(leaves)
        if source == "jacobian of gradient":
            return self._again(source).jacobian(leaves)[1]
        at = self._at(leaves)
        return columns(lambda unit: self.hvp(leaves, unit), at, at)


def require_one_number(backend: Backend, operator: str, outputs: Sequence[Any]) -> None:
    """What is deduced from a gradient exists for functions with one output of shape ().

    Raises:
        UnsupportedError: there is another output.
    """
    if len(outputs) != 1 or outputs[0].shape != () or outputs[0].dtype.kind == "c":
        shapes = ", ".join(f"{output.dtype} of shape {output.shape}" for output in outputs)
        raise UnsupportedError(
            f"backend {backend.name!r} does {operator!r} by its gradient, which needs one real output of shape (), and "
            f"the function returns {shapes}; use backend 'forward' or 'reverse'"
        )
