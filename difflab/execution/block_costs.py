"""How long a derivative program takes in one piece and in blocks: a forecast from its tape, before anything is made.

Products count by their operations; everything else by the bytes that it reads and writes and by the operations on each
element; every NumPy call by the time that it takes to start.  Bytes are cheap while the program's arrays stay in the
second-level cache.  In one piece, products run on all threads of BLAS and everything else on one.  In blocks
everything runs on all threads, but every call is started once for each block, by threads that wait for each other to
start theirs, and what is the same for all examples is read, and what is summed over them written, once for each block.

The constants were fitted to measurements of multilayer perceptrons and convolutional networks.  Another machine has
others; which of two forecasts is the smaller changes less than they do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

from ..tape import Equation, Tape
from .chunks import cache_bytes
from .division import Division

PRODUCT = 1.2e-11
"""Seconds of an operation in a product of float32 on one thread; of wider numbers in proportion."""
ELEMENT = 2.5e-11
"""Seconds of an operation on an element outside of products."""
STRIDED = 6.0e-10
"""Seconds for an element that is moved between an image and its windows."""
NEAR = 3.0e-11
"""Seconds for a byte that is read or written, in the cache."""
FAR = 7.0e-11
"""The same where the arrays do not fit into it."""
CALL = 1.2e-6
"""Seconds to start a NumPy call."""
CROWDED = 4.5
"""So many times longer a start takes where several threads start calls: Python runs in one of them at a time."""
MEETING = 5e-5
"""Seconds to hand blocks to threads and to wait for the last."""


class Amounts(NamedTuple):
    """Amounts of work: seconds of products on one thread, operations, elements moved in windows, bytes, NumPy calls.

    ``same`` are the bytes that do not become fewer with the examples.
    """

    products: float = 0.0
    operations: float = 0.0
    strided: float = 0.0
    nbytes: float = 0.0
    calls: float = 0.0
    same: float = 0.0

    def seconds(self, threads: int, byte: float) -> float:
        """The time of all of it at once, with BLAS on so many threads."""
        return self.products / threads + self.elements + self.nbytes * byte + self.calls * CALL

    @property
    def filled(self) -> float:
        """Seconds of all but the starts of calls, in the cache and on one thread."""
        return self.products + self.elements + self.nbytes * NEAR

    @property
    def elements(self) -> float:
        """Seconds of what is done on elements."""
        return self.operations * ELEMENT + self.strided * STRIDED


Used = tuple[Equation, tuple[int, ...], tuple[bool, ...]]
"""An equation, the numbers of its operands and result, and which of them are the same for all examples."""


def amounts(tape: Tape, equations: Iterable[Used]) -> Amounts:
    """What equations of a tape take."""
    avals, copies = tape.avals, copied(tape)
    products = operations = strided = nbytes = calls = same = 0.0
    for equation, numbers, whole in equations:
        primitive, out = equation.primitive, avals[equation.output]
        if primitive.view and equation.output not in copies:
            continue
        sizes = [avals[number].nbytes for number in numbers]
        nbytes += sum(sizes)
        same += sum(itertools.compress(sizes, whole))
        window = equation.params.get("size")
        if window is not None and primitive.name != "lanes":
            calls += (len(sizes) - 1) * math.prod(window)
            strided += max([avals[number].size for number in numbers])
            continue
        calls += 1
        if equation.output in copies:
            strided += out.size
            continue
        flops = primitive.flops([avals[number] for number in numbers[:-1]], out, **equation.params)
        if primitive.name == "matmul":
            products += flops * out.dtype.itemsize
        else:
            operations += flops
    return Amounts(products * PRODUCT / 4, operations, strided, nbytes, calls, same)


def copied(tape: Tape) -> frozenset[int]:
    """Results of reshapes that cannot be views: of windows and of transposed values."""
    strided: set[int] = set()
    found: set[int] = set()
    for equation in tape.equations:
        name, out = equation.primitive.name, equation.output
        if name in ("windows", "transpose"):
            strided.add(out)
        elif name == "reshape" and equation.inputs[0] in strided:
            aval = tape.avals[out]
            source = [size for size in tape.avals[equation.inputs[0]].shape if size != 1]
            if source != [size for size in aval.shape if size != 1]:
                found.add(out)
    return frozenset(found)


def of_tape(tape: Tape) -> Amounts:
    """What a tape takes in one piece."""
    moving = set(tape.inputs)
    found: list[Used] = []
    for equation in tape.equations:
        if not moving.isdisjoint(equation.inputs):  # the others are made at set-up
            moving.add(equation.output)
            found.append((equation, (*equation.inputs, equation.output), ()))
    return amounts(tape, found)


def of_blocks(division: Division) -> Amounts:
    """What all blocks take together; ``same`` bytes and calls are those of one."""
    moving = set(division.inputs)
    found: list[Used] = []
    for step in division.steps:
        if moving.isdisjoint(step.operands):
            continue
        moving.add(step.result)
        keys = (*step.operands, step.result)
        found.append((step.equation, tuple([key.number for key in keys]), tuple([key.axis is None for key in keys])))
    return amounts(division.tape, found)


def byte(nbytes: float) -> float:
    """Seconds for a byte of a program whose arrays take so many."""
    near = min(1.0, cache_bytes() / max(nbytes, 1.0))
    return near * NEAR + (1.0 - near) * FAR


class Forecast:
    """The times of a program in blocks, by their number.

    Args:
        division: the tape taken apart.
        whole: what the tape takes in one piece.
        body: what all blocks take together.
        nbytes: its buffers then.
        threads: of the blocks, and of BLAS where there are none.
    """

    def __init__(self, division: Division, whole: Amounts, body: Amounts, nbytes: int, threads: int):
        tape = division.tape
        self.division, self.threads = division, threads
        self.whole, self.body = whole, body
        frames = [one for one in (division.head, division.tail) if one is not None]
        self.once = sum([of_tape(one).seconds(threads, byte(nbytes)) for one in frames])
        self.nbytes = nbytes
        self.sums = sum(tape.avals[number].nbytes for number in division.sums)

    def in_one(self) -> float:
        """Seconds without blocks."""
        return self.whole.seconds(self.threads, byte(self.nbytes))

    def in_blocks(self, blocks: int) -> float:
        """Seconds in so many blocks."""
        threads, body = min(self.threads, blocks), self.body
        each = self.nbytes / blocks + body.same
        nbytes = body.nbytes + (blocks - 1) * body.same + 3 * blocks * self.sums
        rounds = -(-blocks // threads) * threads / blocks  # the last of the threads may have one more
        work = (body.products + body.elements + nbytes * byte(each)) * rounds / threads
        starts = blocks * body.calls * CALL
        if threads > 1:
            return self.once + work + CROWDED * starts + MEETING
        return self.once + work + starts
