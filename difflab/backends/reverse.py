"""Reverse mode on our own tape: one pass forward, one back, whatever the number of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import transforms
from ..errors import InputError
from ..execution.amounts import limit_of
from ..execution.blocks import blocked_bytes
from ..execution.cache import Runner, Transform
from ..execution.choice import Blocking, build, check_blocking, choose
from ..execution.chunks import Chunked, check_chunk, chunked, lanes_of, sweep_bytes
from ..execution.footprint import programs_bytes
from ..tape import Tape
from ..transforms.checkpoints import NOTHING_AGAIN, Recomputed, check_checkpoints
from ..transforms.coordinates import Coordinates, Run
from ..transforms.second_order import avals_of, needs_both, outputs_of
from .many import Many
from .protocol import MANY, OPERATORS, Cost, Source, Work
from .reverse_tapes import Keeping, gradient_tape, vjp_tapes
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
        checkpoints: keep at most so many states of the forward pass at a time, beside the step that goes back, and
            compute the rest again from there: less memory for more time, and gradients of the same bits.  A state is
            what lives between two steps, as between the layers of a network, and which are kept is the schedule with
            the fewest steps forward (Griewank & Walther, 2000): of l steps some sqrt(2 l) states keep it to one or two
            more evaluations of the loss; fewer cost more and more, l / 2 evaluations where none is kept.
            It holds for vector-Jacobian products too, whose last bits may differ where a window of an argument is kept
            as a view; other operators run as without.  ``None``: keep everything.
        memory: bytes, or a text such as "200 MB", that a gradient or a vector-Jacobian product is to take at most, by
            the forecast, results and copies of constants included: everything is kept where that fits; otherwise as
            much is computed again as it takes, and no more.  It is given instead of ``checkpoints``, holds for the same
            operators, and ``Prepared.stats`` says what came of it.
        blocks: in how many blocks of examples a batch is computed where the loss is a sum or a mean over examples, so
            that its arrays stay in the cache; 1: in one piece, "auto": as a forecast of the time says.  It holds for
            gradients that compute nothing again; where examples mix, the batch is computed in one piece, and
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
    memory: str | int | None = None
    name: str = field(default="reverse", init=False, repr=False)
    family: str = field(default="reverse", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset((*OPERATORS, "nest", "pullbacks", "hvps")), init=False, repr=False
    )

    def __post_init__(self) -> None:
        check_chunk("Reverse", self.chunk)
        check_checkpoints("Reverse", self.checkpoints)
        limit_of("Reverse: memory", self.memory)
        if self.checkpoints is not None and self.memory is not None:
            raise InputError(
                f"Reverse(checkpoints={self.checkpoints!r}, memory={self.memory!r}): give one of them; memory finds "
                "the checkpoints by itself"
            )
        check_blocking("Reverse", self.blocks, self.threads)

    def __repr__(self) -> str:
        options: dict[str, Any] = {} if self.checkpoints is None else {"checkpoints": self.checkpoints}
        options |= {} if self.memory is None else {"memory": self.memory}
        options |= {} if self.blocks == "auto" else {"blocks": self.blocks}
        options |= {} if self.threads == "auto" else {"threads": self.threads}
        return shown("Reverse", self.chunk, **options)

    @property
    def blocking(self) -> Blocking:
        """What was asked for."""
        return Blocking(self.blocks, self.threads)

    @property
    def keeping(self) -> Keeping:
        """What waits for the backward part."""
        return Keeping(self.checkpoints, limit_of("Reverse: memory", self.memory))

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Flops of the derivative tape, once or for every chunk of rows or columns, and bytes of its plan."""
        once = max(tape.flops, 1.0)
        if operator not in ("jvp", "jacobian", "hessian"):
            if operator == "vjp":
                made = vjp_tapes(tape, wrt, self.keeping)
            elif operator == "hvp":
                made = (transforms.hvp(tape, wrt),)
            else:
                made = (gradient_tape(tape, wrt, self.keeping, self.blocking),)
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


def _cotangents(wrt: tuple[int, ...]) -> Callable[[Tape], Tape]:
    """The tape of the cotangents of the variables alone."""

    def lane(recorded: Tape) -> Tape:
        derived = transforms.vjp(recorded, wrt)
        return replace(derived, outputs=derived.outputs[len(recorded.outputs) :])

    return lane


def _products(wrt: tuple[int, ...]) -> Callable[[Tape], Tape]:
    """The tape of a Hessian-vector product."""
    return lambda recorded: transforms.hvp(recorded, wrt)


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
        self._many: dict[str, Many] = {}
        self._gradient: Callable[[Sequence[Any]], list[Any]] | None = None
        passes, notes = 1, {}
        if operator in ("jvp", "jacobian", "hessian"):
            sweep = self._sweep(operator)[1]
            passes, notes = sweep.directions, sweep.stats
        elif operator not in MANY:  # those have programs for as many directions as they will be given
            kind = "gradient" if operator == "value_and_gradient" else operator
            runner = self._runner(kind)
            notes = runner.stats
            if kind == "gradient":
                self._gradient = runner.direct()
                if source.device == "gpu":
                    notes = {**notes, "blocks": 1, "threads": 1, "whole_because": ON_GPU}
        if operator in CHECKPOINTED and backend.memory is not None:
            notes = {**NOTHING_AGAIN, **notes, "memory_limit": backend.keeping.memory}
        self.stats: dict[str, Any] = {"primal_calls": passes, **notes}

    def _runner(self, kind: str) -> Runner:
        if kind not in self._runners:
            wrt, keeping, asked = self._source.wrt, self._backend.keeping, self._backend.blocking
            transform: dict[str, Transform] = {
                "value": lambda tape: (tape,),
                "gradient": lambda tape: (gradient_tape(tape, wrt, keeping, asked, self._source.device),),
                "hvp": lambda tape: (transforms.hvp(tape, wrt),),
                "vjp": lambda tape: vjp_tapes(tape, wrt, keeping),
            }
            key: tuple = ("reverse", kind, wrt, keeping if kind in CHECKPOINTED else None)
            tape, frozen, device = self._source.tape, self._source.frozen, self._source.device
            if kind == "gradient" and device == "cpu":
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

    def pullbacks(self, leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Rows along many cotangents, chunk by chunk; the outputs themselves are not asked for."""
        return self._along("pullbacks").run(leaves, cotangents)

    def hvps(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The tangents of the gradient along many vectors, chunk by chunk."""
        return self._along("hvps").run(leaves, vectors)

    def _along(self, kind: str) -> Many:
        if kind not in self._many:
            source, variables = self._source, avals_of(self._source.tape, self._source.wrt)
            directions = outputs_of(source.tape) if kind == "pullbacks" else variables
            lane = _cotangents(source.wrt) if kind == "pullbacks" else _products(source.wrt)
            made = Many(source, lane, (kind, source.wrt), directions, variables, self._backend.chunk)
            self._many.setdefault(kind, made)
        return self._many[kind]

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
