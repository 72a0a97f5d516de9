"""What is left of a run, in units that a node of a cluster can do: which one a node gets next.

A block is at home on one machine, which does all its checks and epochs; where one machine runs several Dask workers,
they share its blocks.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .. import budget
from ..books import Books
from ..grid import Block, Case
from . import homes
from .nodes import Node

HOME_SECONDS = 5.0  # a nanny needs two or three to start a worker again
PASSES = {"reference": "", "check": "check", "examine": "examine", "quick": "time", "epoch": "time"}


@dataclass(frozen=True)
class Task:
    """A unit of work: ``do`` is ``reference``, ``check``, ``examine``, ``quick`` (a whole block) or ``epoch``."""

    do: str
    block: Block
    cases: tuple[Case, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The same when it is tried again."""
        if self.do == "reference":
            return (self.do, self.block.truth)
        if self.do == "epoch":
            return (self.do, self.block.name)
        return (self.do, self.block.name, *(case.id for case in self.cases))

    @property
    def text(self) -> str:
        """The task in words."""
        if self.do == "reference":
            return f"certifying the reference of {self.block.problem} {self.block.size}"
        if self.do == "check":
            return f"checking memory and accuracy of {self.cases[0].short}"
        if self.do == "examine":
            return f"examining {self.cases[0].short}"
        return f"timing {self.block.name}"


class Agenda:
    """Deals out the work of a run.

    Args:
        books: the run.
        end: the time on the monotonic clock after which no further samples are begun.

    ``homes`` are the numbers of the environments that blocks are at home in.
    """

    def __init__(self, books: Books, end: float) -> None:
        self.books, self.end = books, end
        self.homes: dict[Block, int] = {}
        self._begun = time.monotonic()
        self._seen: dict[int, float] = {}  # when an environment last had a node
        for block in books.blocks:
            if len(known := homes.found_in(books, block)) == 1:
                self.homes[block] = known.pop()

    def left(self) -> bool:
        """Whether a node would have work."""
        books = self.books
        if any(truth not in books.ledger.truths for truth in books.truths):
            return True
        live = [case for block in books.blocks for case in books.live(block)]
        if books.once:
            return bool(live)
        unchecked = any(case.id not in books.ledger.checks for case in live)
        return unchecked or budget.due(books, self.end - time.monotonic()) is not None

    def next(
        self, node: Node, ready: Collection[Node], running: Collection[tuple[Node, Task]], deal: bool
    ) -> Task | None:
        """The next task of a node: what others wait for, then its own blocks, then a new one, then clocks.

        Args:
            node: who asks.
            ready: all nodes that can be given work.
            running: what is under way, and where.
            deal: whether blocks without a home may be given one.
        """
        books, tasks = self.books, [task for _, task in running]
        self._seen |= {one.environment: time.monotonic() for one in ready}
        for truth, block in reversed(books.truths.items()):  # small ones first, as on one machine
            waiting = truth not in books.ledger.truths
            if waiting and not any(task.do == "reference" and task.block.truth == truth for task in tasks):
                return Task("reference", block)
        own = [block for block in books.blocks if self.homes.get(block) == node.environment]
        for block in own:
            if (found := self._untimed(block, tasks)) is not None:
                return found
        if deal and (block := self._homeless(own, {one.environment for one in ready})) is not None:
            self.homes[block] = node.environment
            homes.bring(books, block, node.environment, node.name)
            if (found := self._untimed(block, tasks)) is not None:
                return found
            own = [*own, block]
        clocks = any(task.do == "epoch" and where.environment == node.environment for where, task in running)
        return None if clocks or books.once else self._timed(own)

    def _ready(self, block: Block) -> bool:
        return bool(self.books.live(block)) and (not self.books.truths or block.truth in self.books.ledger.truths)

    def _untimed(self, block: Block, tasks: Iterable[Task]) -> Task | None:
        """What is to be done of a block before its clocks run, or instead."""
        if not self._ready(block):
            return None
        books, live = self.books, self.books.live(block)
        do = "examine" if not books.study.timed else "quick" if books.quick else "check"
        busy = [case for task in tasks if task.do == do and task.block is block for case in task.cases]
        if do == "quick" or books.study.kind.alone:  # what is measured in it is compared: together or not at all
            return None if busy else Task(do, block, tuple(live))
        free = [case for case in live if case not in busy and not (do == "check" and case.id in books.ledger.checks)]
        return Task(do, block, (free[0],)) if free else None

    def _homeless(self, own: Collection[Block], machines: Collection[int]) -> Block | None:
        """A block that a node may make its own: one without a home, or whose home has been gone for a while."""
        books, now = self.books, time.monotonic()
        live = [block for block in books.blocks if books.live(block)]
        if books.study.timed and not books.quick:  # clocks run to the end of the time, so blocks are dealt out evenly
            if len([block for block in own if block in live]) >= math.ceil(len(live) / len(machines)):
                return None
        homeless, orphans = [], []
        for block in filter(self._ready, live):
            home = self.homes.get(block)
            if home is None:
                homeless.append(block)
            elif home not in machines and now - max(self._begun, self._seen.get(home, 0.0)) > HOME_SECONDS:
                orphans.append(block)
        return next(iter(homeless + orphans), None)

    def _timed(self, own: list[Block]) -> Task | None:
        """The next epoch of a machine, by the rules of a run on one machine for the blocks at home there."""
        books, share = self.books, copy.copy(self.books)
        share.blocks = [block for block in own if all(case.id in books.ledger.checks for case in books.live(block))]
        dealt = all(block in self.homes for block in books.blocks if books.live(block))
        # as long as blocks may still come, none gets more than its first epoch
        found = (
            budget.due(share, self.end - time.monotonic()) if dealt and share.blocks == own else budget.first_due(share)
        )
        return None if found is None else Task("epoch", found[0], tuple(found[1]))
