"""How many lanes to run at once, and the program that runs so many.

A batched program saves the time it takes to start each NumPy call, as long as its arrays stay in the cache; so a chunk
holds as many lanes as go through the second-level cache, but a few even where one alone is larger, and never more than
memory has room for.  A GPU has no such cache to fill and gains by every lane: there memory alone decides.  All chunks
of a call have one size, so that one program serves them; the last one is padded.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..arrays import device_bytes, free_bytes
from ..errors import InputError
from ..tape import Tape
from ..transforms.batch import batch
from ..transforms.simplify import simplify
from .cache import Runner
from .footprint import footprint
from .plan import make_plan

TRIAL = 64
"""Lanes of the first plan, from which the bytes of a lane are read."""
FEW = 8
"""Even lanes larger than the cache run so many at a time: what is the same for all lanes is computed once a chunk."""
SPILL = 2
"""A chunk may be so many times larger than the cache: its inputs and results pass through once (measured)."""
USUAL_CACHE = 1 << 20
"""Bytes assumed where the machine does not say."""
USUAL_MEMORY = 1 << 33
"""Bytes assumed where the machine does not say how much memory it has."""
KEPT = 1 << 24
"""Bytes of points or unit vectors that a backend may keep from one call to the next."""
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@functools.cache
def cache_bytes(root: Path = CACHES) -> int:
    """Bytes of the second-level cache of the first processor; 1 MiB where the machine does not say."""
    for index in sorted(root.glob("index*")):
        try:
            if (index / "level").read_text().strip() == "2":
                size = (index / "size").read_text().strip()
                return int(size[:-1]) * UNITS[size[-1]] if size[-1] in UNITS else int(size)
        except (OSError, ValueError, IndexError):
            continue  # a machine that shows its caches in another way
    return USUAL_CACHE


@functools.cache
def machine_bytes() -> int:
    """Bytes of the machine's memory; 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return USUAL_MEMORY


def memory_bytes(device: str = "cpu") -> int:
    """Bytes that the arrays of one chunk may take: an eighth of the machine's memory, of a GPU's what is free."""
    return (machine_bytes() if device == "cpu" else free_bytes()) // 8


def whole_bytes(device: str = "cpu") -> int:
    """Bytes of the memory in which results have to fit."""
    return machine_bytes() if device == "cpu" else device_bytes()


def check_chunk(owner: str, chunk: Any) -> None:
    """A chunk is "auto" or an integer of at least 1.

    Raises:
        InputError: it is neither.
    """
    integer = isinstance(chunk, int) and not isinstance(chunk, bool)
    if chunk != "auto" and not (integer and chunk >= 1):
        raise InputError(f"{owner}(chunk={chunk!r}): the chunk is 'auto' or an integer of at least 1")


def lanes_per_chunk(lane_bytes: float, directions: int, chunk: str | int = "auto", device: str = "cpu") -> int:
    """How many lanes to run at once.

    Args:
        lane_bytes: bytes that one lane adds to a program's arrays.
        directions: lanes there are in all.
        chunk: "auto", or the number itself.
        device: "cpu", or "gpu", where memory alone counts.

    Returns:
        At least 1 and at most ``directions``; "auto" shares the directions evenly among as few chunks as possible.

    Example:
        >>> lanes_per_chunk(1.0, 31), lanes_per_chunk(1e12, 31), lanes_per_chunk(1.0, 31, chunk=8)
        (31, 1, 8)
    """
    directions = max(directions, 1)
    if chunk != "auto":
        return min(int(chunk), directions)
    lane_bytes = max(lane_bytes, 1.0)
    most = int(memory_bytes(device) / lane_bytes)
    if device == "cpu":
        most = min(max(int(SPILL * cache_bytes() / lane_bytes), FEW), most)
    most = max(most, 1)
    return -(-directions // -(-directions // most))


def chunked(
    tape: Tape,
    flags: Sequence[bool],
    directions: int,
    chunk: str | int = "auto",
    *,
    points: int = 1,
    single: Sequence[int] = (),
    device: str = "cpu",
) -> Tape:
    """A tape batched for one chunk of its directions.

    Args:
        tape: the function of one lane.
        flags: per input, whether it carries lanes.
        directions: how many directions there are in all.
        chunk: "auto", or how many directions to run at once.
        points: lanes per direction.
        single: outputs that are the same for all lanes and are returned once.
        device: where it will run.

    Returns:
        The batched tape; ``lanes_of`` reads its size.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> double = trace_leaves(lambda leaves: [leaves[0] * 2], [1.0])
        >>> lanes_of(chunked(double, (True,), 1000, chunk=10), (True,))
        10
    """
    tape = simplify(tape)
    if chunk != "auto":
        return batch(tape, flags, lanes_per_chunk(1.0, directions, chunk) * points, single=single)
    trial = max(1, min(directions, TRIAL))
    whole = simplify(batch(tape, flags, trial * points, single=single))
    lanes = lanes_per_chunk(lane_bytes(whole, flags, trial), directions, device=device)
    return whole if lanes == trial else batch(tape, flags, lanes * points, single=single)


def lane_bytes(tape: Tape, flags: Sequence[bool], lanes: int) -> float:
    """Bytes of a batched tape's buffers, batched inputs and results, per lane."""
    return chunk_bytes(tape, flags) / lanes


def chunk_bytes(tape: Tape, flags: Sequence[bool]) -> int:
    """Bytes of a batched tape's buffers, batched inputs and results."""
    inputs = sum(tape.avals[number].nbytes for number, flag in zip(tape.inputs, flags, strict=True) if flag)
    results = sum(tape.avals[number].nbytes for number in tape.outputs)
    return make_plan(tape).nbytes + inputs + results


def sweep_bytes(
    tape: Tape, flags: Sequence[bool], directions: int, points: int = 1, *, extra: tuple[float, float] = (0.0, 1.0)
) -> int:
    """Bytes that going through all directions takes, chunk by chunk.

    Args:
        tape: batched for one chunk.
        flags: per input, whether it carries lanes.
        directions: how many there are in all.
        points: lanes per direction.
        extra: what is alive beside the results of a chunk, as multiples of them: where one chunk holds all directions,
            and where there are more, so that those of the last are still there when the next are computed.
    """
    found = footprint(tape)
    inputs = sum(tape.avals[number].nbytes for number, flag in zip(tape.inputs, flags, strict=True) if flag)
    if lanes_of(tape, flags, points) >= directions:
        return inputs + max(found.set_up, found.first + int(extra[0] * found.results))
    return inputs + max(found.set_up, found.later + int(extra[1] * found.results))


def lanes_of(tape: Tape, flags: Sequence[bool], points: int = 1) -> int:
    """How many directions a batched tape takes at once; 1 where no input carries any."""
    for number, flag in zip(tape.inputs, flags, strict=True):
        if flag:
            return tape.avals[number].shape[0] // points
    return 1


class Chunked:
    """A compiled batched program, and the chunks in which it goes through all directions.

    Args:
        tape: the recorded function.
        build: the tape of one lane, made from ``tape`` only when no such program is known.
        key: names the transform.
        flags: per input of the built tape, whether it carries lanes.
        directions: how many directions there are in all.
        chunk: "auto", or how many directions to run at once.
        points: lanes per direction.
        single: outputs of the built tape that are the same for all lanes.
        frozen: bake the constants in.
        device: "cpu" or "gpu".
    """

    def __init__(
        self,
        tape: Tape,
        build: Callable[[Tape], Tape],
        key: tuple,
        flags: Sequence[bool],
        directions: int,
        chunk: str | int,
        *,
        points: int = 1,
        single: Sequence[int] = (),
        frozen: bool,
        device: str = "cpu",
    ):
        def transform(recorded: Tape) -> tuple[Tape, ...]:
            return (chunked(build(recorded), flags, directions, chunk, points=points, single=single, device=device),)

        runner = Runner(tape, transform, (*key, chunk), frozen=frozen, device=device)
        self.directions = directions
        self.lanes = lanes_of(runner.programs[0].tape, flags, points)
        self.run = runner.direct()
        self.kept: list[Any] = []  # what a backend keeps for the next call
        self.stats: dict[str, Any] = {**runner.stats, "chunk": self.lanes, "chunks": -(-directions // self.lanes)}

    def spans(self) -> Iterator[tuple[int, int]]:
        """The first direction of every chunk, and the one behind its last."""
        for start in range(0, self.directions, self.lanes):
            yield start, min(start + self.lanes, self.directions)
