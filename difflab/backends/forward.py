"""Forward mode on our own tape: as many directions as parameters for a gradient, many of them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import transforms
from ..arrays import copied
from ..execution.cache import Runner
from ..execution.chunks import Chunked, check_chunk, chunked, lanes_of, sweep_bytes
from ..execution.footprint import programs_bytes
from ..execution.parts import Function, Parts, parts_of
from ..tape import Tape
from ..transforms.coordinates import Coordinates, Run, diagonal
from ..transforms.second_order import avals_of, outputs_of
from .many import Many
from .protocol import OPERATORS, SECOND_ORDER, Cost, Source, Work
from .sweeps import (
    Pairs,
    along,
    part_work,
    parts_bytes,
    result_bytes,
    shown,
    sweep_work,
    unit_chunks,
    unit_moves,
    zero_blocks,
)


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
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest", "jvps")), init=False, repr=False)

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
        if operator not in SECOND_ORDER:
            parts = parts_of(tape, _columns(tape, wrt), avals_of(tape, wrt), self.chunk)
            works = [part_work(part, avals_of(tape, wrt)) for part in parts]
            directions, nbytes = sum(part.directions for part in parts), results + parts_bytes(parts)
            flops = sum(part.chunks * part.tape.flops for part in parts)
        else:
            directions, build, flags, single = _sweep(tape, wrt, operator)
            whole = chunked(build(tape), flags, directions, self.chunk, single=single)
            nbytes = sweep_bytes(whole, flags, directions) + results
            works = [sweep_work(whole, flags, avals_of(tape, wrt), directions)]
            flops = -(-directions // lanes_of(whole, flags)) * whole.flops
        if operator == "vjp":  # the outputs first, at a copy of the leaves that the pullback keeps
            nbytes += programs_bytes([transforms.simplify(tape)]) + sum(leaf.nbytes for leaf in avals_of(tape, inputs))
            works.append(Work(tape))
        return Cost(float(directions), flops, nbytes, works=tuple(works))

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
    """Of second derivatives: directions, the tape of one, which of its inputs carry them, outputs that do not."""
    variables = avals_of(tape, wrt)
    leaves, moved = [False] * len(tape.inputs), [True] * len(wrt)
    if operator == "hessian":
        return Pairs(variables).count, _curvature(wrt), [*leaves, *moved, *moved], ()
    directions = Coordinates(variables, imaginary=True).count
    return directions, _curvature(wrt), [*leaves, *[False] * len(wrt), *moved], ()


def _columns(tape: Tape, wrt: tuple[int, ...]) -> Function:
    """Tangents along unit vectors of some of the variables."""

    def lane(recorded: Tape, places: tuple[int, ...]) -> Tape:
        return transforms.jvp(recorded, tuple([wrt[place] for place in places]))

    return Function(lane, wrt, True, tuple(range(len(tape.outputs))))


def _tangents(wrt: tuple[int, ...]) -> Callable[[Tape], Tape]:
    """The tape of the tangents alone."""

    def lane(recorded: Tape) -> Tape:
        derived = transforms.jvp(recorded, wrt)
        return replace(derived, outputs=derived.outputs[len(recorded.outputs) :])

    return lane


def _curvature(wrt: tuple[int, ...]) -> Callable[[Tape], Tape]:
    return lambda recorded: transforms.curvature(recorded, wrt)


class PreparedForward:
    """The compiled tangent programs, each made when first needed."""

    def __init__(self, backend: Forward, source: Source, operator: str):
        self._backend = backend
        self._source = source
        self._variables = avals_of(source.tape, source.wrt)
        self._coordinates = Coordinates(self._variables, imaginary=True, device=source.device)
        self._sweeps: dict[str, Chunked] = {}
        self._parts: Parts | None = None
        self._runners: dict[str, Runner] = {}
        self._many: Many | None = None
        if operator in ("jvp", "jvps"):
            passes, notes = 1, {} if operator == "jvps" else self._runner("jvp").stats
        else:
            sweep = self._sweep(operator) if operator in SECOND_ORDER else self._first_order()
            passes, notes = sweep.directions, sweep.stats
        self.stats: dict[str, Any] = {"primal_calls": passes, **notes}

    def _runner(self, kind: str) -> Runner:
        if kind not in self._runners:
            source, wrt = self._source, self._source.wrt
            if kind == "value":
                self._runners[kind] = Runner(
                    source.tape, lambda tape: (tape,), ("value",), frozen=source.frozen, device=source.device
                )
            else:
                self._runners[kind] = Runner(
                    source.tape, lambda tape: (transforms.jvp(tape, wrt),), ("forward", wrt), frozen=source.frozen,
                    device=source.device,
                )  # fmt: skip
        return self._runners[kind]

    def _sweep(self, operator: str) -> Chunked:
        if operator not in self._sweeps:
            source = self._source
            directions, build, flags, single = _sweep(source.tape, source.wrt, operator)
            self._sweeps[operator] = Chunked(
                source.tape, build, ("forward", operator, source.wrt), flags, directions, self._backend.chunk,
                single=single, frozen=source.frozen, device=source.device,
            )  # fmt: skip
        return self._sweeps[operator]

    def _first_order(self) -> Parts:
        if self._parts is None:
            source = self._source
            self._parts = Parts(
                source.tape, _columns(source.tape, source.wrt), ("forward", source.wrt), self._variables,
                self._backend.chunk, frozen=source.frozen, device=source.device,
            )  # fmt: skip
        return self._parts

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._runner("value").run(list(leaves))

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and tangents in one pass."""
        results = self._runner("jvp").run([*leaves, *tangents])
        half = len(self._source.tape.outputs)
        return results[:half], results[half:]

    def jvps(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Tangents along many directions, chunk by chunk; the outputs themselves are not asked for."""
        if self._many is None:
            source, outputs = self._source, outputs_of(self._source.tape)
            self._many = Many(
                source, _tangents(source.wrt), ("jvps", source.wrt), self._variables, outputs, self._backend.chunk
            )
        return self._many.run(leaves, tangents)

    def _columns(self, leaves: Sequence[Any]) -> Iterator[tuple[list[Run], list[Any]]]:
        """(runs, results) of every chunk, along the unit tangents."""
        for section in self._first_order().sections:
            if section.alone:
                for start, stop in section.spans():
                    runs, seeds = unit_moves(section, start, stop)
                    yield runs, section.run([*leaves, *seeds])
                continue
            for runs, seeds in unit_chunks(section.coordinates, section):
                yield [run for _, run in section.placed(runs)], section.run([*leaves, *seeds])

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, a chunk of coordinates per pass."""
        vectors = self._coordinates.vectors()
        value = None
        for runs, (first, slopes) in self._columns(leaves):
            value = first
            for run in runs:
                self._coordinates.collect(vectors, run, slopes[run.lanes])
        if value is None:
            value = self.value(leaves)[0]
        return value, self._coordinates.arrays(vectors)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one tangent per input coordinate."""
        kept = [copied(leaf) for leaf in leaves]
        half = len(self._source.tape.outputs)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            vectors = self._coordinates.vectors()
            for runs, results in self._columns(kept):
                slopes = along(results[half:], cotangents)
                for run in runs:
                    self._coordinates.collect(vectors, run, slopes[run.lanes])
            return self._coordinates.arrays(vectors)

        return self.value(kept), pullback

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of columns per pass."""
        outs = outputs_of(self._source.tape)
        blocks = zero_blocks(outs, self._variables, self._coordinates.xp)
        values = None
        for runs, results in self._columns(leaves):
            values = results[: len(outs)]
            for run in runs:
                for row, lanes in zip(blocks, results[len(outs) :], strict=True):
                    self._coordinates.columns(row, run, lanes)
        return self.value(leaves) if values is None else values, blocks

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Second derivatives along a coordinate and the vector, a chunk of coordinates per pass."""
        products = self._coordinates.vectors()
        sweep = self._sweep("hvp")
        for runs, seeds in unit_chunks(self._coordinates, sweep):
            (slopes,) = sweep.run([*leaves, *vectors, *seeds])
            for run in runs:
                self._coordinates.collect(products, run, slopes[run.lanes])
        return self._coordinates.arrays(products)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Second derivatives along pairs of coordinates, each pair of real ones once."""
        sweep, pairs = self._sweep("hessian"), Pairs(self._variables, self._source.device)
        blocks = zero_blocks(self._variables, self._variables, self._coordinates.xp)
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
