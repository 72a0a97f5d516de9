"""CasADi: the tape as a graph of its scalar expressions, differentiated by its reverse mode, run by its interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...execution.arithmetic import evaluate, filled
from ...execution.derivation import Deferred
from ...execution.swell import Swell
from ...primitives.record import Primitive
from ...tape import Tape
from ..protocol import SECOND_ORDER, Cost, Source
from .scalars import Made, PreparedScalars, Wanted, check_options, cost_of, refuse_what_is_large

# Operations of value and gradient for every subexpression of the loss (reverse mode needs at most four, and one for the
# value itself); seconds and bytes to write, differentiate and compile one of them.
ROOTED = 3.0
OPERATION_S = 2e-6
OPERATION_BYTES = 250.0
MOST_OPERATIONS = 5e6


@dataclass(frozen=True)
class Casadi:
    """CasADi as a backend.

    The same tape is replayed on object arrays of CasADi's ``SX`` scalars, differentiated by ``casadi.jacobian`` or
    ``casadi.hessian``, and called as a ``casadi.Function`` on flat buffers.  It computes in double precision; results
    are cast to the dtype of their leaf.  Numbers are taken to be finite: CasADi cancels ``x != x`` and ``0 * x``, and
    the branch that a choice does not take is multiplied by zero in the derivative.

    Args:
        kind: of expressions; only "SX", scalars, can express a tape whose arrays have any number of axes.
        data: "symbols": every float argument is an input of the function; "numbers": only the differentiated ones are,
            and other data stands in the expressions, which are derived anew where it changes.
        most_operations: refuse what is forecast to have more operations of scalars.

    Example:
        >>> Casadi()
        Casadi(kind='SX', data='symbols', most_operations=5000000.0)
    """

    kind: str = "SX"
    data: str = "symbols"
    most_operations: float = MOST_OPERATIONS
    name: str = field(default="casadi", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "jacobian", "hessian", "bare", "live-data")),
        init=False,
        repr=False,
    )

    def __post_init__(self) -> None:
        if self.kind != "SX":
            raise InputError(
                f"Casadi(kind={self.kind!r}): the kind is 'SX'; matrices of two axes ('MX') cannot hold every tape"
            )
        check_options("Casadi", self.data, self.most_operations)

    def unavailable(self) -> str | None:
        """A sentence where CasADi is not installed; imports nothing."""
        if find_spec("casadi") is not None:
            return None
        return "it needs the package casadi, which is not installed; pip install 'difflab[peers]'"

    def with_live_data(self) -> Casadi:
        """The same with data as symbols."""
        return replace(self, data="symbols")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """``flops``: operations on scalars of value and derivatives; ``seconds``: to derive and compile."""
        count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
        outputs = sum(tape.avals[number].size for number in tape.outputs)

        def operations(size: Swell) -> float:
            # A Jacobian takes a sweep for every output, or for every variable if those are fewer.
            rooted = ROOTED * size.nodes * max(1, min(outputs, count))
            return rooted * (1 + count) if operator in SECOND_ORDER else rooted

        return cost_of(tape, wrt, self.data, ("casadi", OPERATION_S, OPERATION_BYTES), operations)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedScalars:
        """Write the expressions, differentiate them and make a function, unless that is forecast to be too large.

        Raises:
            ForecastError: with the figures.
            UnsupportedError: CasADi cannot express a primitive, by name.
        """
        return PreparedScalars(source, operator, example, self.data, derived, self._admit)

    def _admit(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> None:
        count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
        refuse_what_is_large("Casadi", self.predict(tape, operator, wrt), self.most_operations, count)


class Called:
    """A ``casadi.Function`` of one vector, called through its buffers: no object is made for a number.

    Args:
        function: of one dense vector, with one dense vector as its result.
    """

    def __init__(self, function: Any):
        self.function = function
        self._count = function.size1_out(0)
        self._idle: list[tuple[Any, Callable[[], None]]] = []

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """All results as a fresh vector."""
        out = np.empty(self._count)
        try:
            buffer, run = self._idle.pop()  # list.pop is atomic
        except IndexError:
            buffer, run = self.function.buffer()
        buffer.set_arg(0, flat.data)
        buffer.set_res(0, out.data)
        run()
        self._idle.append((buffer, run))
        return out

    def bare(self, flat: np.ndarray) -> Callable[[], Any]:
        """The function with its argument and its result in place."""
        out = np.empty(self._count)
        buffer, run = self.function.buffer()
        buffer.set_arg(0, flat.data)
        buffer.set_res(0, out.data)

        held = (self.function, buffer, flat)  # the buffer knows addresses, and keeps nothing alive

        def call(held: Any = held) -> np.ndarray:
            run()
            return out

        return call


def derived(wanted: Wanted, leaves: Sequence[Any]) -> Made:
    """Expressions of CasADi for these leaves, their derivatives, and functions of them.

    Args:
        wanted: what to derive.
        leaves: host arrays; what is no symbol stands in the expressions as a number.

    Returns:
        ``Made``; its notes count CasADi's instructions.

    Raises:
        UnsupportedError: CasADi cannot express a primitive.
    """
    from .casadi_expressions import Number, engine, expression
    from .casadi_numbers import SPANS, Numbers, own_functions

    casadi = engine()[0]
    started = time.perf_counter()
    inputs: list[Any] = [np.asarray(leaf) for leaf in leaves]
    symbols = []
    for i in wanted.symbolic:
        symbols.append(casadi.SX.sym(f"p{i}", inputs[i].size))
        inputs[i] = filled(inputs[i].shape, map(Number, symbols[-1].elements()))
    arithmetic = Numbers()

    def before(primitive: Primitive) -> None:
        arithmetic.primitive = primitive.name

    outputs = evaluate(own_functions(wanted.tape), inputs, arithmetic, SPANS, before)
    roots = casadi.vertcat(*[expression(entry) for output in outputs for entry in output.ravel().tolist()])
    built = time.perf_counter()
    by = casadi.vertcat(*symbols[: len(wanted.wrt)])
    slopes = _slopes(casadi, roots[: wanted.rows], by, wanted.second)
    everything = _function(casadi, symbols, arithmetic.seen([roots, casadi.vec(slopes.T)]))
    value = Deferred(lambda: Called(_function(casadi, symbols, arithmetic.seen([roots]))))
    finished = time.perf_counter()
    notes = {
        "n_symbols": sum(symbol.numel() for symbol in symbols),
        "instructions": everything.n_instructions(),
        "build_s": built - started,
        "diff_s": finished - built,
    }
    return Made(value, Called(everything), notes)


def _slopes(casadi: Any, roots: Any, by: Any, second: bool) -> Any:
    """The Jacobian, or the Hessian of the one root."""
    if second:
        if roots.numel() != 1:
            raise UnsupportedError("a Hessian is that of one output of shape ()")
        return casadi.hessian(roots, by)[0]
    return casadi.jacobian(roots, by)


def _function(casadi: Any, symbols: Sequence[Any], results: Sequence[Any]) -> Any:
    return casadi.Function("program", [casadi.vertcat(*symbols)], [casadi.densify(casadi.vertcat(*results))])
