"""What a backend prepares, completed to all operators, for plain leaves and inside an enclosing trace.

Inside another trace the derivative tape of an operator is replayed there, and nothing is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from .arrays import as_array, copied
from .backends.deduced import Deduced, require_one_number
from .backends.protocol import Backend, Nesting, Source, block_bytes
from .backends.ways import require, require_device
from .errors import ForecastError, UnsupportedError
from .execution.chunks import whole_bytes
from .primitives.record import Aval, Traced
from .promotion import innermost
from .tape import Tape
from .transforms.inline import inline, inputs_like, transform_builder
from .transforms.second_order import outputs_of


def replay(backend: Backend, tape: Tape, operator: str, wrt: tuple[int, ...], operands: Sequence[Any]) -> list[Any]:
    """Run the derivative tape of ``operator`` inside the innermost trace among the operands.

    Raises:
        UnsupportedError: the backend does not nest.
    """
    require_nesting(backend)
    derived = cast(Nesting, backend).derivative(tape, operator, wrt)
    return replay_tape(derived, operands, tape.constants.values())


def require_nesting(backend: Backend) -> None:
    """A backend works inside another derivative only where it declares so."""
    if "nest" not in backend.capabilities:
        raise UnsupportedError(f"backend {backend.name!r} cannot be used inside another derivative")


def replay_tape(tape: Tape, operands: Sequence[Any], others: Collection[Any] = ()) -> list[Any]:
    """Run a tape inside the innermost trace among the operands and its constants."""
    there = lifted(tape, operands, others)
    outer = innermost([*there, *tape.constants.values(), *others])
    values = inline(outer, tape, there)
    return [values[number] for number in tape.outputs]


def lifted(tape: Tape, leaves: Sequence[Any], others: Collection[Any] = ()) -> list[Any]:
    """Leaves as values of the innermost trace among them, ``others`` and what the tape closes over."""
    outer = innermost([*leaves, *others, *tape.constants.values()])
    # A 0-d array that was a number is a constant like any other.
    return [outer.lift(leaf if isinstance(leaf, Traced) else as_array(leaf)) for leaf in leaves]


class Nested:
    """What a backend declares, inside another trace: leaves, tangents or cotangents may be traced."""

    def __init__(self, backend: Backend, tape: Tape, wrt: tuple[int, ...]):
        self._backend = backend
        self._tape = tape
        self._wrt = wrt
        self.stats: dict[str, Any] = {}

    def _replay(self, operator: str, operands: Sequence[Any]) -> list[Any]:
        return replay(self._backend, self._tape, operator, self._wrt, operands)

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return replay_tape(self._tape, leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        value, *gradients = self._replay("gradient", leaves)
        return value, gradients

    def gradient(self, leaves: Sequence[Any]) -> list[Any]:
        """The gradients."""
        return self._replay("gradient", leaves)[1:]

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents."""
        results = self._replay("jvp", [*leaves, *tangents])
        half = len(self._tape.outputs)
        return results[:half], results[half:]

    def pullback(self, leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the leaves."""
        return self._replay("vjp", [*leaves, *cotangents])[len(self._tape.outputs) :]

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback."""
        return self.value(leaves), lambda cotangents: self.pullback(leaves, cotangents)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks."""
        results = self._replay("jacobian", leaves)
        count = len(self._tape.outputs)
        return results[:count], _rows(results[count:], len(self._wrt))

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The Hessian's product with the vectors."""
        return self._replay("hvp", [*leaves, *vectors])

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The blocks of the Hessian."""
        return _rows(self._replay("hessian", leaves), len(self._wrt))


def _rows(blocks: Sequence[Any], columns: int) -> list[list[Any]]:
    return [list(blocks[at : at + columns]) for at in range(0, len(blocks), max(1, columns))]


# ------------------------------------------------------------------------------------ all operators


def inside(backend: Backend, tape: Tape, wrt: tuple[int, ...]) -> Deduced:
    """All operators of a backend inside another trace.

    Raises:
        UnsupportedError: the backend does not nest.
    """
    require_nesting(backend)

    def again(way: str) -> Deduced:
        return inside(backend, *_differentiated(backend, tape, wrt, way))

    outputs = outputs_of(tape)
    return Deduced(backend, Nested(backend, tape, wrt), lambda: outputs, wrt, again)


def ready(backend: Backend, source: Source, operator: str) -> Any:
    """What the backend prepares for ``operator``, with all that follows from it.

    Raises:
        UnsupportedError: the backend does not come by the operator, or not on the device of the arguments.
    """
    way = require(backend, operator)
    require_device(backend, source.device)
    if way.scalar and operator in ("jvp", "vjp", "jacobian"):
        require_one_number(backend, operator, _outputs(backend, source))
    if operator in ("jacobian", "hessian"):
        _require_room(operator, _outputs(backend, source), [source.example[i] for i in source.wrt], source.device)
    first = operator if operator in backend.capabilities else _declared(backend, way.source)
    prepared = backend.prepare(source, first, source.example)
    if (operator, first) == ("hessian", "hvp") and "primal_calls" in prepared.stats:  # one product for each column
        prepared.stats["primal_calls"] *= sum(source.example[i].size for i in source.wrt)
    return complete(backend, source, prepared)


def _require_room(operator: str, outputs: Sequence[Any], variables: Sequence[Any], device: str) -> None:
    """Refuse a matrix that cannot fit into the memory before any of it is allocated."""
    rows = outputs if operator == "jacobian" else variables
    nbytes = block_bytes(rows, variables)
    room = whole_bytes(device)
    if nbytes > room:
        height, width = sum(math.prod(row.shape) for row in rows), sum(v.size for v in variables)
        products = "dl.jvp or dl.vjp give its products" if operator == "jacobian" else "dl.hvp gives its products"
        raise ForecastError(
            f"the explicit {operator} of {height:,} x {width:,} numbers needs {nbytes / 2**30:,.0f} GiB, and this "
            f"{'machine' if device == 'cpu' else 'GPU'} has {room / 2**30:.0f} GiB; {products} with vectors without it"
        )


def complete(backend: Backend, source: Source, prepared: Any) -> Deduced:
    """All operators of what a backend prepared."""

    def again(way: str) -> Any:
        tape, wrt = _differentiated(backend, source.tape, source.wrt, way)
        vectors = [copied(source.example[i]) for i in source.wrt]
        example = [*source.example, *vectors][: len(tape.inputs)]
        second = Source(tape.evaluate, lambda: tape, example, wrt, frozen=source.frozen, device=source.device)
        return ready(backend, second, way.partition(" ")[0])

    kept: dict[str, Any] = {}
    return Deduced(
        backend,
        prepared,
        lambda: _outputs(backend, source),
        source.wrt,
        lambda way: kept[way] if way in kept else kept.setdefault(way, again(way)),
    )


def _declared(backend: Backend, source: str) -> str:
    """The operator to prepare for where another one is deduced from ``source``."""
    if source == "jvp or vjp":
        return "vjp"
    wanted = source.rpartition(" ")[2]  # "jvp of gradient" and its like begin with the first derivative
    if wanted in backend.capabilities:
        return wanted
    return next(one for one in ("value_and_gradient", "vjp", "jacobian", "jvp") if one in backend.capabilities)


def _outputs(backend: Backend, source: Source) -> list[Any]:
    """The outputs' shapes and dtypes; of a black box by calling it."""
    try:
        tape = source.tape
    except Exception:
        if "black-box" not in backend.capabilities:
            raise
        return source.call(source.example)
    return outputs_of(tape)


def _differentiated(backend: Backend, tape: Tape, wrt: tuple[int, ...], way: str) -> tuple[Tape, tuple[int, ...]]:
    """The tape of the gradient, or of its product with one vector per variable, and what to differentiate it by."""
    if way != "gradient of gradient" and "nest" in backend.capabilities:
        declared = {"gradient", "value_and_gradient"} & backend.capabilities
        if declared:
            derived = cast(Nesting, backend).derivative(tape, "gradient", wrt)
            return replace(derived, outputs=derived.outputs[1:]), wrt
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    gradients = inside(backend, tape, wrt).gradient(operands)
    if way != "gradient of gradient":
        return builder.finish([builder.lift(one) for one in gradients]), wrt
    vectors = [builder.input(Aval(one.shape, one.dtype)) for one in gradients]
    total: Any = None
    for one, vector in zip(gradients, vectors, strict=True):
        part = np.sum(one * vector)
        total = part if total is None else total + part
    if total is None:
        total = builder.constant(np.zeros(()))
    return builder.finish([np.real(total) if total.dtype.kind == "c" else total]), wrt


def example(leaf: Any, plain: Any) -> Any:
    """A leaf as the user's function would get it: a traced one at its example, as a number where it is one."""
    if not isinstance(leaf, Traced):
        return plain
    value = copied(leaf.builder.concrete(leaf.number))
    return value.item() if leaf.weak else value
