"""Reverse mode on our own tape: one pass forward, one back, whatever the number of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import transforms
from ..execution.blocks import blocked_bytes
from ..execution.cache import Runner, Transform
from ..execution.choice import Blocking, build, check_blocking, choose
from ..execution.chunks import Chunked, check_chunk, chunked, lanes_of, sweep_bytes
from ..execution.footprint import programs_bytes
from ..tape import Tape
from ..transforms.checkpoints import Recomputed, check_checkpoints, recompute, recompute_split
from ..transforms.convolutions import pool_before_relu, rearranged
from ..transforms.coordinates import Coordinates, Run
from ..transforms.second_order import avals_of, needs_both, outputs_of
from ..transforms.split import split
from .protocol import OPERATORS, Cost, Source, Work
from .sweeps import along, result_bytes, shown, sweep_work, unit_chunks, zero_blocks

ON_GPU = "a GPU takes the batch in one piece: blocks are for the cache of a processor"
CHECKPOINTED = frozenset({"gradient", "value_and_gradient", "vjp"})


@dataclass(frozen=True)
class Reverse:
    """Reverse-mode automatic differentiation.

    Rows of a Jacobian are pulled back, and columns of a Hessian pushed forward over the gradient (Pearlmutter, 1994), a
    chunk of them in one pass.

    Args:
        chunk: how many rows or columns go through the tape at once, or "auto": as many as fill the cache.
        checkpoints: cut the forward pass in so many places, keep what lives across the cuts only, and compute the
            rest again on the way back: less memory for more time, and gradients of the same bits.  It holds for vector-
            Jacobian products too, whose last bits may differ where a window of an argument is kept as a view; other
            operators run as without.  ``None``: keep everything.
        blocks: in how many blocks of examples a batch is computed where the loss is a sum or a mean over examples, so
            that its arrays stay in the cache; 1: in one piece, "auto": as a forecast of the time says.  It holds for
            gradients without checkpoints; where examples mix, the batch is computed in one piece, and
            ``Prepared.stats`` says why.
        threads: how many threads share the blocks, each with one BLAS thread; "auto": as many as BLAS may use.
            Results have the same bits at every call for the same blocks and threads.

    Example:
        >>> Reverse(checkpoints=3)
        Reverse(checkpoints=3)
    """

    chunk: str | int = "auto"
    checkpoints: int | None = None
    blocks: str | int = "auto"
    threads: str | int = "auto"
    name: str = field(default="reverse", init=False, repr=False)
    family: str = field(default="reverse", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest")), init=False, repr=False)

    def __post_init__(self) -> None:
        check_chunk("Reverse", self.chunk)
        check_checkpoints("Reverse", self.checkpoints)
        check_blocking("Reverse", self.blocks, self.threads)

    def __repr__(self) -> str:
        options: dict[str, Any] = {} if self.checkpoints is None else {"checkpoints": self.checkpoints}
        options |= {} if self.blocks == "auto" else {"blocks": self.blocks}
        options |= {} if self.threads == "auto" else {"threads": self.threads}
        return shown("Reverse", self.chunk, **options)

    @property
    def blocking(self) -> Blocking:
        """What was asked for."""
        return Blocking(self.blocks, self.threads)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Flops of the derivative tape, once or for every chunk of rows or columns, and bytes of its plan."""
        once = max(tape.flops, 1.0)
        if operator not in ("jvp", "jacobian", "hessian"):
            if operator == "vjp":
                made = _vjp_tapes(tape, wrt, self.checkpoints)
            else:
                made = (transforms.hvp(tape, wrt) if operator == "hvp" else _gradient(tape, wrt, self.checkpoints),)
            tapes = [one.tape if isinstance(one, Recomputed) else transforms.simplify(one) for one in made]
            flops = sum(one.flops for one in tapes)
            kept = [isinstance(one, Recomputed) for one in made]
            works = tuple([Work(one, kept=again) for one, again in zip(tapes, kept, strict=True)])
            nbytes = programs_bytes(tapes)
            if operator in ("gradient", "value_and_gradient") and not any(kept):
                choice = choose(tapes[0], self.blocking, wrt)
                if choice.division is not None:
                    nbytes = blocked_bytes(choice.division, choice.blocks, choice.threads)
            return Cost(flops / once, flops, nbytes, works=works)
        coordinates, build, flags, single = _sweep(tape, wrt, operator)
        whole = chunked(build(tape), flags, coordinates.count, self.chunk, single=single)
        flops = -(-coordinates.count // lanes_of(whole, flags)) * whole.flops
        nbytes = sweep_bytes(whole, flags, coordinates.count) + result_bytes(tape, operator, wrt)
        rows = outputs_of(tape) if operator != "hessian" else avals_of(tape, wrt)
        return Cost(flops / once, flops, nbytes, works=(sweep_work(whole, flags, rows, coordinates.count),))

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The tape of the operator's results."""
        if operator in ("gradient", "value_and_gradient"):
            return transforms.gradient(tape, wrt)
        if operator == "vjp":
            return transforms.vjp(tape, wrt)
        if operator == "jacobian":
            return transforms.jacobian(tape, wrt, by="cotangents")
        if operator == "hvp":
            return transforms.hvp(tape, wrt)
        if operator == "hessian":
            return transforms.hessian(tape, wrt, by="products")
        return transforms.jvp(tape, wrt)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedReverse:
        """Transform and compile, or find the compiled program."""
        return PreparedReverse(self, source, operator)


def _gradient(tape: Tape, wrt: tuple[int, ...], checkpoints: int | None, device: str = "cpu") -> Tape | Recomputed:
    """The tape of value and gradients."""
    derived = transforms.gradient(pool_before_relu(tape), wrt)
    # The order of patches that suits NumPy's loops does not suit a GPU, whose programs have kernels for them.
    if device == "cpu" and any(equation.primitive.name == "windows" for equation in derived.equations):
        derived = rearranged(transforms.simplify(derived))
    return derived if checkpoints is None else recompute(transforms.simplify(derived), checkpoints)


def _vjp_tapes(tape: Tape, wrt: tuple[int, ...], checkpoints: int | None) -> tuple[Tape | Recomputed, ...]:
    """The tape that gives outputs and residuals, and that of the pullback."""
    derived, count = transforms.simplify(transforms.vjp(tape, wrt)), len(tape.outputs)
    if checkpoints is None:
        return split(derived, count, count)
    return recompute_split(derived, checkpoints, count, count)


def _sweep(
    tape: Tape, wrt: tuple[int, ...], operator: str, device: str = "cpu"
) -> tuple[Coordinates, Callable[[Tape], Tape], list[bool], tuple[int, ...]]:
    """Directions, the tape of one of them, which of its inputs carry them, and the outputs that do not."""
    leaves = [False] * len(tape.inputs)
    if operator == "hessian":
        variables = avals_of(tape, wrt)
        coordinates = Coordinates(variables, imaginary=needs_both(variables, variables), device=device)
        return coordinates, lambda recorded: transforms.hvp(recorded, wrt), [*leaves, *[True] * len(wrt)], ()
    outputs = outputs_of(tape)
    flags = [*leaves, *[True] * len(outputs)]
    rows = Coordinates(outputs, imaginary=True, device=device)
    return rows, lambda recorded: transforms.vjp(recorded, wrt), flags, tuple(range(len(outputs)))


def _compact(leaf: Any) -> Any:
    """An array as the copy of it is laid out that waits for a pullback: a product may round by how its factors lie."""
    return np.array(leaf) if isinstance(leaf, np.ndarray) and not leaf.flags.forc else leaf


class PreparedReverse:
    """Compiled programs for the value, the gradient, the pullback and so on, each made when first needed."""

    def __init__(self, backend: Reverse, source: Source, operator: str):
        self._backend = backend
        self._source = source
        self._runners: dict[str, Runner] = {}
        self._sweeps: dict[str, tuple[Coordinates, Chunked]] = {}
        self._gradient: Callable[[Sequence[Any]], list[Any]] | None = None
        passes = 1
        if operator in ("jvp", "jacobian", "hessian"):
            sweep = self._sweep(operator)[1]
            passes, notes = sweep.directions, sweep.stats
        else:
            kind = "gradient" if operator == "value_and_gradient" else operator
            runner = self._runner(kind)
            notes = runner.stats
            if kind == "gradient":
                self._gradient = runner.direct()
                if source.device == "gpu":
                    notes = {**notes, "blocks": 1, "threads": 1, "whole_because": ON_GPU}
        self.stats: dict[str, Any] = {"primal_calls": passes, **notes}

    def _runner(self, kind: str) -> Runner:
        if kind not in self._runners:
            wrt, checkpoints = self._source.wrt, self._backend.checkpoints
            transform: dict[str, Transform] = {
                "value": lambda tape: (tape,),
                "gradient": lambda tape: (_gradient(tape, wrt, checkpoints, self._source.device),),
                "hvp": lambda tape: (transforms.hvp(tape, wrt),),
                "vjp": lambda tape: _vjp_tapes(tape, wrt, checkpoints),
            }
            key: tuple = ("reverse", kind, wrt, checkpoints if kind in CHECKPOINTED else None)
            tape, frozen, device = self._source.tape, self._source.frozen, self._source.device
            if kind == "gradient" and device == "cpu":
                asked = self._backend.blocking
                blocked = functools.partial(build, asked=asked, wrt=wrt)
                runner = Runner(tape, transform[kind], (*key, asked), frozen=frozen, build=blocked)
            else:
                runner = Runner(tape, transform[kind], key, frozen=frozen, device=device)
            self._runners[kind] = runner
        return self._runners[kind]

    def _sweep(self, operator: str) -> tuple[Coordinates, Chunked]:
        kind = "hessian" if operator == "hessian" else "rows"
        if kind not in self._sweeps:
            source = self._source
            coordinates, build, flags, single = _sweep(source.tape, source.wrt, kind, source.device)
            self._sweeps[kind] = coordinates, Chunked(
                source.tape, build, ("reverse", kind, source.wrt), flags, coordinates.count, self._backend.chunk,
                single=single, frozen=source.frozen, device=source.device,
            )  # fmt: skip
        return self._sweeps[kind]

    def _passes(self, operator: str, leaves: Sequence[Any]) -> Iterator[tuple[list[Run], list[Any]]]:
        """(runs, results) of every chunk, along the unit vectors or cotangents."""
        coordinates, sweep = self._sweep(operator)
        for runs, seeds in unit_chunks(coordinates, sweep):
            yield runs, sweep.run([*leaves, *seeds])

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._runner("value").run(list(leaves))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        if self._gradient is None:
            self._gradient = self._runner("gradient").direct()
        value, *gradients = self._gradient(leaves)
        return value, gradients

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback that owns its residuals."""
        runner = self._runner("vjp")
        n_outputs = len(self._source.tape.outputs)
        results = runner.run([_compact(leaf) for leaf in leaves])
        outputs, residuals = results[:n_outputs], results[n_outputs:]

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            return runner.run([*residuals, *cotangents], 1)

        return outputs, pullback

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Tangents by one row per output coordinate: possible, and the wrong way round for many outputs."""
        coordinates = self._sweep("jvp")[0]
        half = len(self._source.tape.outputs)
        slopes, values = coordinates.vectors(), None
        for runs, results in self._passes("jvp", leaves):
            values = results[:half]
            shares = along(results[half:], tangents)
            for run in runs:
                coordinates.collect(slopes, run, shares[run.lanes])
        return self.value(leaves) if values is None else values, coordinates.arrays(slopes)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of rows per pass."""
        coordinates, outs = self._sweep("jacobian")[0], outputs_of(self._source.tape)
        blocks = zero_blocks(outs, avals_of(self._source.tape, self._source.wrt), coordinates.xp)
        values = None
        for runs, results in self._passes("jacobian", leaves):
            values = results[: len(outs)]
            for run in runs:
                for column, lanes in zip(zip(*blocks, strict=True), results[len(outs) :], strict=True):
                    coordinates.rows(column, run, lanes)
        return self.value(leaves) if values is None else values, blocks

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The tangent of the gradient along the vectors."""
        return self._runner("hvp").run([*leaves, *vectors])

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The blocks of the Hessian, a chunk of columns per pass."""
        coordinates = self._sweep("hessian")[0]
        variables = avals_of(self._source.tape, self._source.wrt)
        blocks = zero_blocks(variables, variables, coordinates.xp)
        for runs, products in self._passes("hessian", leaves):
            for run in runs:
                for row, lanes in zip(blocks, products, strict=True):
                    coordinates.columns(row, run, lanes)
        return blocks
