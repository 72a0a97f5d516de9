"""Forward mode on our own tape: as many directions as parameters for a gradient, many of them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import transforms
from ..execution.cache import Runner
from ..execution.chunks import Chunked, check_chunk, chunked, lanes_of, sweep_bytes
from ..execution.footprint import programs_bytes
from ..tape import Tape
from ..transforms.coordinates import Coordinates, diagonal
from ..transforms.second_order import avals_of, outputs_of
from .protocol import OPERATORS, SECOND_ORDER, Cost, Source, Work
from .sweeps import Pairs, along, result_bytes, shown, sweep_work, unit_chunks, zero_blocks


@dataclass(frozen=True)
class Forward:
    """Forward-mode automatic differentiation, a chunk of directions at a time.

    Args:
        chunk: how many directions go through the tape at once, or "auto": as many as fill the cache.

    Example:
        >>> Forward()
        Forward()
    """

    chunk: str | int = "auto"
    name: str = field(default="forward", init=False, repr=False)
    family: str = field(default="forward", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest")), init=False, repr=False)

    def __post_init__(self) -> None:
        check_chunk("Forward", self.chunk)

    def __repr__(self) -> str:
        return shown("Forward", self.chunk)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """One lane of the tangent tape per direction, chunk by chunk."""
        results, inputs = result_bytes(tape, operator, wrt), range(len(tape.inputs))
        if operator == "jvp":
            tangent = transforms.simplify(transforms.jvp(tape, wrt))
            return Cost(1.0, tangent.flops, programs_bytes([tangent]), works=(Work(tangent),))
        directions, build, flags, single = _sweep(tape, wrt, operator)
        whole = chunked(build(tape), flags, directions, self.chunk, single=single)
        chunks = -(-directions // lanes_of(whole, flags))
        nbytes = sweep_bytes(whole, flags, directions) + results
        if operator == "vjp":  # the outputs first, at a copy of the leaves that the pullback keeps
            nbytes += programs_bytes([transforms.simplify(tape)]) + sum(leaf.nbytes for leaf in avals_of(tape, inputs))
        works = [sweep_work(whole, flags, avals_of(tape, wrt), directions)]
        if operator == "vjp":
            works.append(Work(tape))
        return Cost(float(directions), chunks * whole.flops, nbytes, works=tuple(works))

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The tape of the operator's results; all directions go through it in one batch."""
        if operator == "jvp":
            return transforms.jvp(tape, wrt)
        if operator == "vjp":
            return transforms.vjp(tape, wrt)
        if operator == "hvp":
            return transforms.hvp(tape, wrt)
        if operator == "hessian":
            return transforms.hessian(tape, wrt, by="tangents")
        return transforms.jacobian(tape, wrt, by="tangents")

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedForward:
        """Transform and compile, or find the compiled program."""
        return PreparedForward(self, source, operator)


def _sweep(
    tape: Tape, wrt: tuple[int, ...], operator: str
) -> tuple[int, Callable[[Tape], Tape], list[bool], tuple[int, ...]]:
    """Directions, the tape of one of them, which of its inputs carry them, and the outputs that do not."""
    variables = avals_of(tape, wrt)
    leaves, moved = [False] * len(tape.inputs), [True] * len(wrt)
    if operator == "hessian":
        return Pairs(variables).count, _curvature(wrt), [*leaves, *moved, *moved], ()
    directions = Coordinates(variables, imaginary=True).count
    if operator == "hvp":
        return directions, _curvature(wrt), [*leaves, *[False] * len(wrt), *moved], ()
    outputs = tuple(range(len(tape.outputs)))
    return directions, lambda recorded: transforms.jvp(recorded, wrt), [*leaves, *moved], outputs


def _curvature(wrt: tuple[int, ...]) -> Callable[[Tape], Tape]:
    return lambda recorded: transforms.curvature(recorded, wrt)


class PreparedForward:
    """The compiled tangent programs, each made when first needed."""

    def __init__(self, backend: Forward, source: Source, operator: str):
        self._backend = backend
        self._source = source
        self._variables = avals_of(source.tape, source.wrt)
        self._coordinates = Coordinates(self._variables, imaginary=True)
        self._sweeps: dict[str, Chunked] = {}
        self._runners: dict[str, Runner] = {}
        if operator == "jvp":
            passes, notes = 1, self._runner("jvp").stats
        else:
            sweep = self._sweep(operator)
            passes, notes = sweep.directions, sweep.stats
        self.stats: dict[str, Any] = {"primal_calls": passes, **notes}

    def _runner(self, kind: str) -> Runner:
        if kind not in self._runners:
            source, wrt = self._source, self._source.wrt
            if kind == "value":
                self._runners[kind] = Runner(source.tape, lambda tape: (tape,), ("value",), frozen=source.frozen)
            else:
                self._runners[kind] = Runner(
                    source.tape, lambda tape: (transforms.jvp(tape, wrt),), ("forward", wrt), frozen=source.frozen
                )
        return self._runners[kind]

    def _sweep(self, operator: str) -> Chunked:
        kind = operator if operator in SECOND_ORDER else "columns"
        if kind not in self._sweeps:
            source = self._source
            directions, build, flags, single = _sweep(source.tape, source.wrt, kind)
            self._sweeps[kind] = Chunked(
                source.tape, build, ("forward", kind, source.wrt), flags, directions, self._backend.chunk,
                single=single, frozen=source.frozen,
            )  # fmt: skip
        return self._sweeps[kind]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._runner("value").run(list(leaves))

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and tangents in one pass."""
        results = self._runner("jvp").run([*leaves, *tangents])
        half = len(self._source.tape.outputs)
        return results[:half], results[half:]

    def _passes(self, sweep: Chunked, fixed: Sequence[Any]):
        """(runs, results) of every chunk, along the unit tangents."""
        for runs, seeds in unit_chunks(self._coordinates, sweep):
            yield runs, sweep.run([*fixed, *seeds])

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, a chunk of coordinates per pass."""
        vectors = self._coordinates.vectors()
        value = None
        for runs, (first, slopes) in self._passes(self._sweep("gradient"), leaves):
            value = first
            for run in runs:
                self._coordinates.collect(vectors, run, slopes[run.lanes])
        if value is None:
            value = self.value(leaves)[0]
        return value, self._coordinates.arrays(vectors)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one tangent per input coordinate."""
        kept = [np.array(leaf) for leaf in leaves]
        half = len(self._source.tape.outputs)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            vectors = self._coordinates.vectors()
            for runs, results in self._passes(self._sweep("vjp"), kept):
                slopes = along(results[half:], cotangents)
                for run in runs:
                    self._coordinates.collect(vectors, run, slopes[run.lanes])
            return self._coordinates.arrays(vectors)

        return self.value(kept), pullback

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of columns per pass."""
        outs = outputs_of(self._source.tape)
        blocks = zero_blocks(outs, self._variables)
        values = None
        for runs, results in self._passes(self._sweep("jacobian"), leaves):
            values = results[: len(outs)]
            for run in runs:
                for row, lanes in zip(blocks, results[len(outs) :], strict=True):
                    self._coordinates.columns(row, run, lanes)
        return self.value(leaves) if values is None else values, blocks

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Second derivatives along a coordinate and the vector, a chunk of coordinates per pass."""
        products = self._coordinates.vectors()
        for runs, (slopes,) in self._passes(self._sweep("hvp"), [*leaves, *vectors]):
            for run in runs:
                self._coordinates.collect(products, run, slopes[run.lanes])
        return self._coordinates.arrays(products)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Second derivatives along pairs of coordinates, each pair of real ones once."""
        sweep, pairs = self._sweep("hessian"), Pairs(self._variables)
        blocks = zero_blocks(self._variables, self._variables)
        first, second = pairs.rows.matrices(sweep.lanes), pairs.columns.matrices(sweep.lanes)
        seeds = [*pairs.rows.arrays(first), *pairs.columns.arrays(second)]
        for start, stop in sweep.spans():
            rows = pairs.between(start, stop)
            for row in rows:
                first[row.group][row.run.lanes, row.at] = 1j if row.unit else 1
                diagonal(second[row.run.group], row.run)[...] = 1j if row.run.unit else 1
            (values,) = sweep.run([*leaves, *seeds])
            for row in rows:
                pairs.write(blocks, row, values)
                first[row.group][row.run.lanes, row.at] = 0
                diagonal(second[row.run.group], row.run)[...] = 0
        return blocks
