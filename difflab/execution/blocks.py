"""A program that goes through a batch block by block, so that what it works on stays in the cache, on several threads.

The blocks are shared among the threads in contiguous runs.  Each thread adds up what its blocks contribute, in order,
and the threads' sums are added in order: the same bits at every call, however the threads are scheduled.  Where another
program has the team, one thread runs all of them, in the same order.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..tape import Equation, Tape
from ..transforms.simplify import without_dead_code
from .division import Division, Key
from .footprint import footprint
from .plan import Passed
from .program import Program
from .threads import team


class Blocked:
    """A division of a tape, compiled: the head, the program of a block, one more for blocks of one less, the tail.

    Args:
        division: the tape taken apart.
        blocks: in how many blocks the examples go; their sizes differ by one at most.
        threads: how many threads share them; whatever runs at once, so many sums are added up.
        at_once: how many run at once; ``None``: as many as BLAS may use at that moment.
        copies: of constants, by the ids of the originals, which programs that are made together share.

    Example:
        >>> from difflab.execution.examples import divide
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [np.sum(leaves[0] * 2)], [np.zeros(6)])
        >>> Blocked(divide(tape, 0, 0, [0]), blocks=3, threads=1).run([np.arange(6.0)])
        [np.float64(30.0)]
    """

    def __init__(
        self,
        division: Division,
        *,
        blocks: int,
        threads: int,
        at_once: int | None = None,
        copies: dict[int, Any] | None = None,
    ):
        self.tape = tape = division.tape
        self.division = division
        self.threads = min(threads, blocks)
        self.at_once = at_once
        copies = {} if copies is None else copies
        held = _held(division, copies)
        self._head = None if division.head is None else Program(division.head, copies)
        self._tail = None if division.tail is None else Program(division.tail, copies)
        bounds = [division.count * block // blocks for block in range(blocks + 1)]
        sizes = [high - low for low, high in itertools.pairwise(bounds)]
        constants = {n: tape.constants[n] if n in tape.constants else held[n] for n in division.constants}
        copies.update({id(held[number]): held[number] for number in division.fixed})
        self._bodies = {
            size: Program(division.body(size, constants), copies, simplified=True) for size in dict.fromkeys(sizes)
        }
        self._first = max(sizes)
        self._sizes = sizes
        self._runs = [
            range(blocks * chain // self.threads, blocks * (chain + 1) // self.threads) for chain in range(self.threads)
        ]
        self._take = self._sources(held)
        results = [Key(*pair) for pair in division.slices.items()]
        regions = functools.partial(_region, division)
        self._cuts = [[regions(key, *bound) for key in division.inputs] for bound in itertools.pairwise(bounds)]
        self._places = [[regions(key, *bound) for key in results] for bound in itertools.pairwise(bounds)]
        self._scalars = [tape.avals[number].shape == () for number in division.sums]
        behind = tape.equations[len(tape) if tape.quiet_from is None else tape.quiet_from :]
        quiet = {equation.output for equation in behind}
        self._loud = [at for at, number in enumerate(division.sums) if number not in quiet]
        self._quiet = [at for at, number in enumerate(division.sums) if number in quiet]
        self._gather = self._results()
        self.nbytes = self._bytes()
        body = self._bodies[self._first].stats
        self.stats: dict[str, Any] = {
            **body,
            "tape_length": len(tape),
            "buffer_bytes": self.nbytes,
            "blocks": blocks,
            "threads": self.threads,
            "block_examples": self._first,
        }

    # -------------------------------------------------------------------- set-up

    def _sources(self, held: dict[int, Any]) -> list[tuple[str, int, Any]]:
        """For every input of a block where it is found: kind, position, and the array where that is fixed."""
        tape, before = self.tape, () if self.division.head is None else self.division.head.outputs
        found: list[tuple[str, int, Any]] = []
        for number in [key.number for key in self.division.inputs]:
            constant = tape.constants.get(number)
            if number in held:
                found.append(("fixed", 0, held[number]))
            elif isinstance(constant, Passed):
                found.append(("constant", constant.position, None))
            elif number in before:
                found.append(("head", before.index(number), None))
            else:
                found.append(("input", tape.inputs.index(number), None))
        return found

    def _results(self) -> list[Callable[[list, list, list], Any]]:
        """For every output a function of finished sums, slices and what the tail gave."""
        division, tape = self.division, self.tape
        slices = list(division.slices)
        behind = () if division.tail is None else division.tail.outputs
        taken: set[int] = set()
        found: list[Callable[[list, list, list], Any]] = []
        for number in tape.outputs:
            if number in division.views:
                chain = division.views[number]
                base = chain[0].inputs[0] if chain else number
                place, again = division.sums.index(base), base in taken
                taken.add(base)
                found.append(functools.partial(_finished, place, chain, again))
            elif number in division.slices:
                found.append(functools.partial(_from_slices, slices.index(number), number in taken))
            else:
                found.append(functools.partial(_from_tail, behind.index(number), number in taken))
            taken.add(number)
        return found

    def _bytes(self) -> int:
        """Bytes of the buffers of all threads, and of their sums beside those that are returned."""
        division, avals = self.division, self.tape.avals
        sums = sum(avals[number].nbytes for number in division.sums)
        each = max(program.plan.nbytes for program in self._bodies.values()) + sums
        once = sum(program.plan.nbytes for program in (self._head, self._tail) if program is not None)
        return self.threads * each + once

    # -------------------------------------------------------------------- running

    def run(self, inputs: Sequence[Any], constants: Sequence[Any] = ()) -> list[Any]:
        """The outputs at ``inputs``, as ``Program.run``.

        Args:
            inputs: one array per input of the tape, of the traced shapes and dtypes.
            constants: what the ``Passed`` constants of the tape stand for, by position.

        Raises:
            GuardError: Python would branch otherwise at these inputs; trace again.
        """
        division = self.division
        before = [] if self._head is None else self._head.run(inputs, constants)
        given = {"input": inputs, "constant": constants, "head": before}
        operands = [array if kind == "fixed" else given[kind][at] for kind, at, array in self._take]
        avals = self.tape.avals
        slices = [np.empty(avals[number].shape, avals[number].dtype) for number in division.slices]
        tasks = [functools.partial(self._chain, run, operands, slices) for run in self._runs]
        with team().together(self.threads, self.at_once) as together:
            first, *others = together(tasks)
        for sums in others:
            self._add(first, sums)
        late = [] if self._tail is None else self._tail.run([*inputs, *first, *before], constants)
        return [result(first, slices, late) for result in self._gather]

    def _chain(self, run: range, operands: list[Any], slices: list[Any]) -> list[Any]:
        """What the blocks of one thread contribute, added up in their order."""
        total: list[Any] | None = None
        count = len(self._scalars)
        with _leased(self._bodies, {self._sizes[block] for block in run}) as programs:
            for block in run:
                cuts = self._cuts[block]
                arguments = [array if cut is None else array[cut] for array, cut in zip(operands, cuts, strict=True)]
                found = programs[self._sizes[block]](*arguments)
                for array, place, part in zip(slices, self._places[block], found[count:], strict=True):
                    array[place] = part
                if total is None:
                    total = found[:count]
                else:
                    self._add(total, found)
        assert total is not None
        return total

    def _add(self, total: list[Any], sums: list[Any]) -> None:
        """Add contributions to a total, in place where they are arrays; those of derivatives raise no warnings."""
        self._added(self._loud, total, sums)
        with np.errstate(all="ignore"):
            self._added(self._quiet, total, sums)

    def _added(self, places: Sequence[int], total: list[Any], sums: list[Any]) -> None:
        for at in places:
            if self._scalars[at]:
                total[at] = total[at] + sums[at]
            else:
                np.add(total[at], sums[at], out=total[at])


def blocked_bytes(division: Division, blocks: int, threads: int) -> int:
    """The most that a program in blocks takes, before anything is allocated.

    Args:
        division: the tape taken apart.
        blocks: in how many blocks the examples go.
        threads: how many threads share them.

    Returns:
        Bytes of buffers, results and copies of constants.
    """
    tape = division.tape
    constants = sum(v.nbytes for v in tape.constants.values() if isinstance(v, np.ndarray))
    constants += sum(tape.avals[number].nbytes for number in division.fixed)
    sizes = {division.count // blocks, -(-division.count // blocks)}
    stand_ins: dict[int, Any] = dict.fromkeys(division.constants, Passed(0))
    bodies = [footprint(division.body(size, stand_ins)) for size in sizes]
    # A thread holds its sums while the next block gives its own; the second size has buffers of its own.
    sums = sum(tape.avals[number].nbytes for number in division.sums)
    each = max(body.first for body in bodies) + (sums if blocks > threads else 0)
    buffers = [body.buffers for body in bodies]
    each += sum(buffers) - max(buffers)
    frames = [footprint(replace(part, constants={})) for part in (division.head, division.tail) if part is not None]
    results = sum(tape.avals[number].nbytes for number in division.slices)
    return constants + threads * each + results + sum(frame.first for frame in frames)


class _leased:
    """Workspaces of programs by block size, taken for a run of blocks: each thread stays on its own memory."""

    def __init__(self, programs: dict[int, Program], sizes: set[int]):
        self.taken = [(size, programs[size], programs[size].take()) for size in sizes]

    def __enter__(self) -> dict[int, Callable[..., list[Any]]]:
        return {size: workspace for size, _, workspace in self.taken}

    def __exit__(self, *error: Any) -> None:
        for _, program, workspace in self.taken:
            program.give(workspace)


def _held(division: Division, copies: dict[int, Any]) -> dict[int, Any]:
    """Values that do not change from call to call: copies of constants, and what is computed from them alone."""
    tape = division.tape
    baked = {number: value for number, value in tape.constants.items() if not isinstance(value, Passed)}
    for value in baked.values():
        if id(value) not in copies:
            copies[id(value)] = np.array(value)
    held = {number: copies[id(value)] for number, value in baked.items()}
    if division.fixed:
        part = _ending_in(division)
        with np.errstate(all="ignore"):
            made = part.evaluate([], held)
        held.update({number: np.asarray(value) for number, value in zip(division.fixed, made, strict=True)})
    return held


def _ending_in(division: Division) -> Tape:
    """The tape of the values that are known at set-up."""
    part = replace(division.tape, inputs=(), outputs=division.fixed, guards=(), spans=())
    return without_dead_code(part)


def _region(division: Division, key: Key, low: int, high: int) -> tuple[slice, ...] | None:
    """The index of a block in a value; ``None`` for the whole of it."""
    if key.axis is None:
        return None
    if key.first:
        low, high = 0, high - low
    each = division.tape.avals[key.number].shape[key.axis] // division.count
    return (*[slice(None)] * key.axis, slice(low * each, high * each))


def _finished(place: int, chain: list[Equation], again: bool, sums: list, slices: list, late: list) -> Any:
    value = sums[place]
    for equation in chain:
        value = equation.primitive.evaluate(value, **equation.params)
    return np.array(value) if again else value


def _from_slices(place: int, again: bool, sums: list, slices: list, late: list) -> Any:
    return np.array(slices[place]) if again else slices[place]


def _from_tail(place: int, again: bool, sums: list, slices: list, late: list) -> Any:
    return np.array(late[place]) if again else late[place]
