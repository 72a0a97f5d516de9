"""How the time of a run is spent on epochs: complete blocks first, then more processes where they help.

Every block gets its first epoch.  Then as many cases as can be are brought to the number of processes that the study
asks for.  What time is left goes, an epoch at a time, to the blocks whose intervals are not narrow enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from . import statistics, stopping
from .amounts import counted
from .books import Books
from .checks import SLOTS
from .epochs import Epoch
from .grid import Block, Case

EXPENSIVE = 1.0  # seconds a process; what costs more is not timed again only to keep others company


def quick(books: Books) -> None:
    """One epoch per block, judged in the same processes."""
    for block in books.blocks:
        if cases := books.live(block):
            books.running(f"{block.name}: {counted(len(cases), 'case')}")
            Epoch(books, block, 0, judge=True).run(cases)


def spend(books: Books, end: float) -> None:
    """Spend the time until ``end`` (on the monotonic clock; nothing more is begun after it) on the blocks of a run."""
    while found := due(books, end - time.monotonic()):
        run_epoch(books, *found)


def due(books: Books, left: float) -> tuple[Block, list[Case]] | None:
    """The block to be timed next and its cases, if ``left`` seconds allow one more epoch of any; first ones always."""
    if found := first_due(books):
        return found
    chosen = affordable(books, left) or improvable(books, left)
    if not chosen:
        return None
    block = min(chosen, key=lambda one: (_done(books, chosen[one]), books.blocks.index(one)))
    return block, chosen[block]


def first_due(books: Books) -> tuple[Block, list[Case]] | None:
    """The first block with cases that have not been timed at all, and these cases."""
    for block in books.blocks:
        if cases := [case for case in books.live(block) if not books.ledger.epochs.get(case.id)]:
            return block, cases
    return None


def run_epoch(books: Books, block: Block, cases: Sequence[Case]) -> None:
    """The next epoch of a block, for those of ``cases`` that lack it."""
    number = _done(books, cases)
    books.running(f"timing {block.name}: process {number + 1}")
    lacking = [case for case in cases if number not in books.ledger.epochs.get(case.id, {})]
    Epoch(books, block, number).run(lacking)


def _done(books: Books, cases: Sequence[Case]) -> int:
    """The number of the first epoch that one of the cases lacks."""
    number = 0
    while all(number in books.ledger.epochs.get(case.id, {}) for case in cases):
        number += 1
    return number


def affordable(books: Books, left: float) -> dict[Block, list[Case]]:
    """The cases, by block, that ``left`` seconds bring to the number of processes asked for: as many as possible.

    The cheap cases of a block go together, for they are compared with each other; a case that costs more than a
    second per process stands for itself.  What needs least is chosen first, so a short budget gives few complete
    blocks and not many halves.
    """
    units: list[tuple[float, Block, list[Case], bool]] = []
    for block in books.blocks:
        due = [case for case in books.live(block) if missing(books, case)]
        cheap = [case for case in due if cost(books, case) <= EXPENSIVE]
        for cases in [cheap, *[[case] for case in due if case not in cheap]]:
            if cases:
                need = sum(cost(books, case) * missing(books, case) for case in cases)
                units.append((need, block, cases, cases is cheap))
    chosen: dict[Block, list[Case]] = {}
    late: set[Block] = set()
    # cheap cases first: an expensive one without the others of its block has nothing to be compared with
    for need, block, cases, cheap in sorted(units, key=lambda unit: (not unit[3], unit[0])):
        if need <= left and block not in late:
            left -= need
            chosen.setdefault(block, []).extend(cases)
        elif cheap:
            late.add(block)
    return chosen


def improvable(books: Books, left: float) -> dict[Block, list[Case]]:
    """The cases, by block, that one more epoch may help and that ``left`` seconds suffice for.

    The cheap cases of a block keep company with those that want more: ratios are taken within an epoch.
    """
    chosen: dict[Block, list[Case]] = {}
    for block in books.blocks:
        complete = [case for case in books.live(block) if not missing(books, case)]
        wanting = [case for case in complete if stopped(books, case) is None]
        company = [case for case in complete if case in wanting or cost(books, case) <= EXPENSIVE]
        if wanting and sum(cost(books, case) for case in company) <= left:
            chosen[block] = company
    return chosen


def missing(books: Books, case: Case) -> int:
    """How many processes a case lacks to the number that every case gets."""
    return max(0, books.study.timing.processes - len(books.ledger.epochs.get(case.id, {})))


def cost(books: Books, case: Case) -> float:
    """Wall seconds that one more process of a case takes, from its last one."""
    earlier = books.ledger.epochs[case.id]
    last = earlier[max(earlier)]
    return last["busy_s"] + last["open_s"] / SLOTS


def medians(books: Books, case: Case) -> list[float]:
    """The median of each process of a case in seconds, in their order."""
    return [statistics.median(values) for values in books.ledger.samples(case.id)]


def stopped(books: Books, case: Case) -> str | None:
    """The rule by which a case has enough processes, if one does."""
    timing = books.study.timing
    return stopping.rule(medians(books, case), timing.processes, timing.most_processes, timing.target)


def ended(books: Books, case: Case) -> dict[str, Any]:
    """What is stored of why a timed case got no more processes: the ``stopped`` rule and the ``half_width`` reached."""
    if books.once:
        return {}
    width = stopping.half_width(medians(books, case))
    known = width if width < float("inf") else None
    return {"stopped": stopped(books, case) or stopping.BUDGET, "half_width": known}
