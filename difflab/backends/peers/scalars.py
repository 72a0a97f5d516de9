"""What engines of scalar expressions share as peers: leaves as one flat vector, guards as further results.

Integers and truth values of the data (labels, indices, masks) choose which expressions there are, so they stand in
them as numbers; where they differ from what was derived, it is derived anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...arrays import to_host
from ...errors import ForecastError, GuardError, InputError, UnsupportedError
from ...execution.chunks import machine_bytes
from ...execution.code_out.programs import joined
from ...execution.derivation import Places, cast
from ...execution.swell import Swell, forecast
from ...primitives.record import Aval
from ...tape import Tape
from ..protocol import SECOND_ORDER, Cost, Scalars, Source

KEPT = 4
DATA = ("symbols", "numbers")


class Program(Protocol):
    """A compiled function of the flat vector of all symbols."""

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """All results as a fresh flat vector."""
        ...

    def bare(self, flat: np.ndarray) -> Callable[[], Any]:
        """The engine's own call with its argument in place."""
        ...


class Made(NamedTuple):
    """What was derived from one set of data.

    ``value``: the program of the outputs and of what Python looked at; ``everything``: the same and the Jacobian row
    by row, or the whole Hessian; ``notes`` for ``stats``.
    """

    value: Callable[[np.ndarray], np.ndarray]
    everything: Program
    notes: dict[str, Any]


class Wanted(NamedTuple):
    """What is to be derived.

    ``tape``: outputs, followed by what Python looked at, ``rows`` entries of which are to be differentiated;
    ``symbolic``: positions of the inputs that become symbols, those of ``wrt`` first; ``second``: whether twice.
    """

    tape: Tape
    rows: int
    symbolic: tuple[int, ...]
    wrt: tuple[int, ...]
    second: bool


Derive = Callable[[Wanted, Sequence[Any]], Made]


def check_options(kind: str, data: Any, most: Any) -> None:
    """The options that such backends have in common.

    Raises:
        InputError: with what they may be.
    """
    if data not in DATA:
        raise InputError(f"{kind}(data={data!r}): data is one of {', '.join(DATA)}")
    if isinstance(most, bool) or not isinstance(most, int | float) or not most > 0:
        raise InputError(f"{kind}(most_operations={most!r}): the most operations are a positive number")


def symbolic_leaves(tape: Tape, wrt: tuple[int, ...], data: str) -> tuple[int, ...]:
    """Positions of the inputs whose entries become symbols, the differentiated ones first."""
    others = [i for i, number in enumerate(tape.inputs) if tape.avals[number].dtype.kind == "f" and i not in wrt]
    return tuple(wrt) if data == "numbers" else (*wrt, *others)


def cost_of(
    tape: Tape, wrt: tuple[int, ...], data: str, engine: tuple[str, float, float], operations: Callable[[Swell], float]
) -> Cost:
    """A forecast from the sizes of the expressions.

    Args:
        tape: the function.
        wrt: positions of the differentiated inputs.
        data: which other inputs are symbols.
        engine: its name, and seconds and bytes that an operation takes to build, differentiate and compile.
        operations: how many there are.
    """
    name, seconds, nbytes = engine
    leaves = symbolic_leaves(tape, wrt, data)
    count = operations(forecast(tape, leaves, shared_minors=True))
    sizes = [tape.avals[tape.inputs[i]].size for i in leaves] + [tape.avals[tape.inputs[i]].size for i in wrt]
    return Cost(0.0, count, count * nbytes, count * seconds, (Scalars(count, float(sum(sizes)), name),))


def refuse_what_is_large(name: str, cost: Cost, most: float, count: int) -> None:
    """Hold a forecast against the most operations, and against half of the machine's memory.

    Raises:
        ForecastError: with the figures.
    """
    room = machine_bytes() / 2
    if cost.flops <= most and cost.nbytes <= room:
        return
    limit = f"the limit is {most:.2g} operations"
    if cost.flops <= most:
        limit = f"they need {cost.nbytes / 2**30:.3g} GiB; half of this machine's memory is {room / 2**30:.3g} GiB"
    raise ForecastError(
        f"backend {name.lower()!r} writes every number of the loss as an expression of its own, and the derivative by "
        f"{count} numbers is forecast to have about {cost.flops:.2g} operations; {limit}. Use backend 'reverse', a "
        f"smaller problem, or {name}(most_operations=...)"
    )


class PreparedScalars:
    """Compiled expressions of an engine; what differs in the data that is no symbol is derived anew, and counted.

    Args:
        source: the function.
        operator: what it is prepared for.
        example: leaves.
        data: which inputs are symbols besides the differentiated ones.
        derive: the engine's work.
        admit: raises where an operator is forecast to make too many operations.
    """

    def __init__(
        self,
        source: Source,
        operator: str,
        example: Sequence[Any],
        data: str,
        derive: Derive,
        admit: Callable[[Tape, str, tuple[int, ...]], None],
    ):
        tape = source.tape
        avals = [tape.avals[number] for number in tape.inputs]
        self._tape, self._wrt = tape, source.wrt
        self._outputs = [tape.avals[number] for number in tape.outputs]
        self._variables = [avals[i] for i in source.wrt]
        self._refuse_complex()
        self._guards = tape.guards
        self._symbolic = symbolic_leaves(tape, source.wrt, data)
        self._numeric = tuple(i for i in range(len(avals)) if i not in self._symbolic)
        self._rows = sum(aval.size for aval in self._outputs)
        self._count = sum(aval.size for aval in self._variables)
        self._values, self._slopes = Places(self._outputs), Places(self._variables)
        self._derive, self._admit = derive, admit
        self._known: OrderedDict[tuple, Made] = OrderedDict()
        self._lock = threading.Lock()
        self._order = 2 if operator in SECOND_ORDER else 1
        self.stats: dict[str, Any] = {"tape_length": len(tape), "primal_calls": 0, "derivations": 0}
        self.stats["computed_in"] = "float64, results cast to the dtype of their leaf"
        admit(tape, operator, source.wrt)
        self.stats.update(self._made(example, self._order).notes)

    def _refuse_complex(self) -> None:
        if any(aval.dtype.kind != "f" for aval in self._variables) or any(a.dtype.kind == "c" for a in self._outputs):
            raise UnsupportedError(
                "backends of scalar expressions differentiate real numbers by real numbers only; use backend 'reverse'"
            )

    def _made(self, leaves: Sequence[Any], order: int = 1) -> Made:
        """The programs for this data, with derivatives of that order."""
        if order > self._order:
            self._admit(self._tape, "hessian", self._wrt)
            self._order = order
        key = (order, *[to_host(leaves[i]).tobytes() for i in self._numeric])
        with self._lock:
            found = self._known.get(key)
            if found is None:
                outputs = (*self._tape.outputs, *[guard.value for guard in self._guards])
                tape = replace(self._tape, guards=(), outputs=outputs)
                wanted = Wanted(tape, self._rows, self._symbolic, self._wrt, order == 2)
                try:
                    found = self._known[key] = self._derive(wanted, [to_host(leaf) for leaf in leaves])
                except RecursionError:
                    raise ForecastError(
                        "a long loop in the loss makes expressions nested too deeply for this engine's recursive "
                        "functions; use backend 'reverse', or fewer steps"
                    ) from None
                self.stats["derivations"] += 1
                if len(self._known) > KEPT:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(key)
        return found

    # -------------------------------------------------------------------- calls

    def _flat(self, leaves: Sequence[Any]) -> np.ndarray:
        return joined(np, [to_host(leaves[i]) for i in self._symbolic])

    def _results(self, program: Callable[[np.ndarray], np.ndarray], leaves: Sequence[Any]) -> np.ndarray:
        """The results of a program, once Python would have seen what it saw."""
        found = program(self._flat(leaves))
        if self._guards:
            seen = found[self._rows : self._rows + len(self._guards)].tolist()
            if any(type(guard.observed)(x) != guard.observed for guard, x in zip(self._guards, seen, strict=True)):
                raise GuardError("Python would take another branch at these arguments than when the loss was recorded")
        return found

    def _everything(self, leaves: Sequence[Any], order: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The outputs, and all derivatives, flat."""
        found = self._results(self._made(leaves, order).everything, leaves)
        return found[: self._rows], found[self._rows + len(self._guards) :]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs, from their own expressions."""
        return self._values.arrays(self._results(self._made(leaves, self._order).value, leaves)[: self._rows])

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        value, slopes = self._everything(leaves)
        return self._values.arrays(value)[0].copy(), self._slopes.arrays(slopes)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Outputs and blocks."""
        flat, slopes = self._everything(leaves)
        values = [value.copy() for value in self._values.arrays(flat)]
        return values, self._blocks(slopes.reshape(self._rows, self._count), self._outputs)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The blocks of the second derivatives."""
        return self._blocks(self._everything(leaves, 2)[1].reshape(self._count, self._count), self._variables)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradients by the engine alone, on the flat vector of all symbols."""
        return self._made(leaves).everything.bare(self._flat(leaves))

    def _blocks(self, slopes: np.ndarray, rows: Sequence[Aval]) -> list[list[Any]]:
        """A matrix by the arrays whose entries its rows and columns are."""
        result, top = [], 0
        for row in rows:
            blocks, left = [], 0
            for aval in self._variables:
                block = slopes[top : top + row.size, left : left + aval.size]
                blocks.append(cast(block.reshape((*row.shape, *aval.shape)), aval.dtype).copy())
                left += aval.size
            result.append(blocks)
            top += row.size
        return result
