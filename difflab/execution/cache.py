"""Programs by structure: an unprepared call pays for its trace, not for compiling what was compiled before.

Two traces have the same structure when their equations, shapes, dtypes, weak types and literals (by type and bits)
agree and the same constants are the same object; the values of constants do not matter, they are passed to the
program.  So data that a function closes over is never stale, and never baked into a shared program.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import as_array, rounds_to_tf32
from ..primitives.record import identity
from ..tape import Equation, Tape
from ..transforms.checkpoints import Recomputed
from .blocks import Blocked
from .device.program import DeviceProgram
from .plan import Passed
from .program import Program

Runnable = Program | Blocked | DeviceProgram


def structure(tape: Tape) -> Hashable:
    """Everything about a tape that a program depends on, and nothing of its constants' values."""
    avals = tape.avals
    return (
        tuple([(e.primitive, e.inputs, *_statics(e)) for e in tape.equations]),
        tape.inputs,
        tuple([avals[number] for number in tape.inputs]),
        tuple([(number, avals[number]) for number in tape.constants]),
        tuple([(n, type(v), repr(v), avals[n].dtype) for n, v in tape.literals.items()]),
        tape.outputs,
        tuple([(guard.value, type(guard.observed), guard.observed) for guard in tape.guards]),
        tape.quiet_from,
    )


def _statics(equation: Equation) -> Iterable[Hashable]:
    """Metadata of an equation; a user's own primitive may compute with it, so there 1 is not 1.0."""
    return equation.params.items() if equation.primitive.kind != "own" else identity(equation.params)


class ProgramCache:
    """The most recently used programs, bounded in number and in bytes of buffers.

    Args:
        entries: at most so many programs.
        nbytes: at most so many bytes of buffers, counted once a program.
    """

    def __init__(self, entries: int = 256, nbytes: int = 1 << 29):
        self.entries = entries
        self.nbytes = nbytes
        self.hits = 0
        self.misses = 0
        self._programs: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, build: Callable[[], tuple[Runnable, ...]]) -> tuple[Runnable, ...]:
        """The programs kept under ``key``, built if there are none."""
        with self._lock:
            found = self._programs.get(key)
            if found is not None:
                self._programs.move_to_end(key)
                self.hits += 1
                return found
            self.misses += 1
        built = build()
        with self._lock:
            if key not in self._programs:
                self._programs[key] = built
                self._bytes += _size(built)
            while len(self._programs) > self.entries or (self._bytes > self.nbytes and len(self._programs) > 1):
                _, dropped = self._programs.popitem(last=False)
                self._bytes -= _size(dropped)
        return built

    def __len__(self) -> int:
        return len(self._programs)


def _size(programs: tuple[Runnable, ...]) -> int:
    return sum(program.nbytes for program in programs)


def _bare(tape: Tape) -> Tape:
    """The tape without its caller's data: a shared program is given it at each call, and must not keep it alive.

    What the rules of a transform bring along (masks, weights) depends on shapes alone, and is held by the program.
    """
    return replace(tape, constants={number: Passed(position) for position, number in enumerate(tape.constants)})


Transform = Callable[[Tape], tuple[Tape | Recomputed, ...]]
Build = Callable[[Tape | Recomputed, dict[int, Any] | None], Runnable]

# One per process: compiled programs hold no data of their caller, so sharing them is safe.
SHARED = ProgramCache()


class Runner:
    """A function of leaves, ready to run: a program of its own, or a shared one with the trace's constants.

    Args:
        tape: the recorded function.
        transform: derivative tapes of it, built only when no program of the same structure is known.
        key: names the transform and its options.
        frozen: bake the constants in (``prepare``) instead of looking up by structure.
        build: the program of a derivative tape; ``key`` names its options too.
        device: "cpu", or "gpu" for programs of CuPy's arrays.
    """

    def __init__(
        self,
        tape: Tape,
        transform: Transform,
        key: Hashable,
        *,
        frozen: bool,
        build: Build = Program,
        device: str = "cpu",
    ):
        if device == "gpu":
            build, key = DeviceProgram, (key, device, rounds_to_tf32())
        if frozen:
            tapes, copies = transform(tape), {}
            self.programs = tuple([build(each, copies) for each in tapes])
            self.constants = None
        else:
            self.programs = SHARED.get(
                (key, structure(tape)), lambda: tuple([build(each, None) for each in transform(_bare(tape))])
            )
            # Numbers become arrays: a program may want a view of one.
            self.constants = [c if type(c) is np.ndarray else as_array(c) for c in tape.constants.values()]

    def run(self, inputs: Sequence[Any], which: int = 0) -> list[Any]:
        """The outputs of program ``which``."""
        if self.constants is None:
            return self.programs[which].run(inputs)
        return self.programs[which].run(inputs, self.constants)

    def direct(self) -> Callable[[Sequence[Any]], list[Any]]:
        """The shortest way to run the first program."""
        return self.programs[0].run if self.constants is None else self.run

    @property
    def stats(self) -> dict[str, Any]:
        """The first program's notes."""
        return dict(self.programs[0].stats)
