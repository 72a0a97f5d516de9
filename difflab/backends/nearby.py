"""A function at many points near one: in batches where it can be traced, one after the other where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_array, copied, namespace
from ..errors import GuardError
from ..execution.cache import Runner
from ..execution.chunks import Chunked
from ..tape import Tape
from ..transforms.coordinates import Coordinates
from .protocol import Source


def flags_of(tape: Tape, wrt: Sequence[int]) -> list[bool]:
    """Which inputs are moved."""
    return [position in wrt for position in range(len(tape.inputs))]


class Centre(NamedTuple):
    """The outputs at the point itself, and of a black box the global generator's state before it could draw from it."""

    outputs: list[Any]
    state: Any


class Nearby:
    """Evaluations of a function at perturbed points.

    Args:
        source: the function.
        chunk: directions at once, or "auto".
        coordinates: of the variables.
        name: of the batched function, for the cache.
        change: what its tape goes through before it is batched.
    """

    def __init__(
        self,
        source: Source,
        chunk: str | int,
        coordinates: Coordinates,
        name: str = "batch",
        change: Callable[[Tape], Tape] = lambda tape: tape,
    ):
        self._source = source
        self._chunk = chunk
        self._coordinates = coordinates
        self._name = name
        self._change = change
        self._sweeps: dict[tuple[int, int], Chunked] = {}
        self.runner: Runner | None = None
        self.stats: dict[str, Any] = {"black_box": False}
        try:
            tape = source.tape
        except Exception as error:  # whatever a black box does not like about traced arrays
            self.stats.update(black_box=True, black_box_reason=f"{type(error).__name__}: {error}")
            return
        self.runner = Runner(tape, lambda tape: (tape,), ("value",), frozen=source.frozen, device=source.device)
        self.stats.update(self.runner.stats)

    def sweep(self, directions: int, points: int) -> Chunked:
        """The batched function and its chunks, for so many points along each of so many directions."""
        if (directions, points) not in self._sweeps:
            source = self._source
            self._sweeps[directions, points] = Chunked(
                source.tape, self._change, (self._name, source.wrt, directions, points),
                flags_of(source.tape, source.wrt), directions, self._chunk, points=points, frozen=source.frozen,
                device=source.device,
            )  # fmt: skip
        return self._sweeps[directions, points]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        if self.runner is None:
            return self._source.call(leaves)
        return self.runner.run(list(leaves))

    def centre(self, leaves: Sequence[Any]) -> Centre:
        """The outputs at the point itself."""
        state = self.state()
        return Centre(self.value(leaves), state)

    def state(self) -> Any:
        """Of a black box the state of the global generator, from which it may draw."""
        return np.random.get_state() if self.runner is None else None  # noqa: NPY002 (the one that users draw from)

    def at(self, leaves: Sequence[Any], state: Any) -> list[Any]:
        """The outputs at a perturbed point, where Python may branch otherwise and NumPy's warnings are ours."""
        if state is not None:  # a quotient of two different draws would mean nothing
            np.random.set_state(state)  # noqa: NPY002 (the one that users draw from)
        with np.errstate(all="ignore"):
            try:
                return self.value(leaves)
            except GuardError:
                return self._source.call(leaves)

    def spans(self, directions: int, points: int) -> tuple[int, Iterable[tuple[int, int]]]:
        """Directions in a chunk, and the chunks; a black box is asked for one after the other."""
        if self.runner is None:
            return 1, ((start, start + 1) for start in range(directions))
        sweep = self.sweep(directions, points)
        return sweep.lanes, sweep.spans()

    def rows(
        self, sweep: tuple[int, int], leaves: Sequence[Any], moved: Sequence[Any], lanes: int, used: int, state: Any
    ) -> list[np.ndarray]:
        """The outputs at the rows of ``moved``; of each ``lanes`` rows only the first ``used`` count.

        Where Python would branch otherwise at some of them, they are evaluated one by one.
        """
        whole = list(leaves)
        for position, array in zip(self._source.wrt, moved, strict=True):
            whole[position] = array
        if self.runner is not None:
            try:
                return self.sweep(*sweep).run(whole)
            except GuardError:
                pass  # each row goes its own way, below
        rows = len(moved[0])
        results: list[np.ndarray] = []
        for row in range(rows):
            if row % lanes >= used:
                continue
            for position, array in zip(self._source.wrt, moved, strict=True):
                whole[position] = copied(array[row, ...])
            here = [as_array(output) for output in self.at(whole, state)]
            if not results:
                results = _rows_like(rows, here)
            for result, output in zip(results, here, strict=True):
                result[row] = output
        return results

    def singly(
        self, row: Callable[[int], list[Any]], lanes: int, points: int, used: int, state: Any
    ) -> list[np.ndarray]:
        """The outputs at points whose leaves ``row`` gives, one after the other; of each ``lanes`` the first count."""
        results: list[np.ndarray] = []
        for point in range(points):
            for lane in range(used):
                at = point * lanes + lane
                here = [as_array(output) for output in self.at(row(at), state)]
                if not results:
                    results = _rows_like(points * lanes, here)
                for result, output in zip(results, here, strict=True):
                    result[at] = output
        return results


def _rows_like(rows: int, outputs: Sequence[Any]) -> list[Any]:
    """Zeros with so many rows, each like an output."""
    xp = namespace(*outputs)
    return [xp.zeros((rows, *output.shape), output.dtype) for output in outputs]
