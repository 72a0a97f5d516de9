"""Where the blocks of a run are at home: in one environment each, so that no comparison mixes two machines."""

from __future__ import annotations

from ..books import Books
from ..grid import Block


def found_in(books: Books, block: Block) -> set[int]:
    """The numbers of the environments that what is known of a block comes from."""
    known = books.ledger.environments
    return {known[case.id] for case in block.cases if case.id in known and _counts(books, case.id)}


def bring(books: Books, block: Block, number: int, to: str) -> bool:
    """Make a block at home in an environment; what was measured of it elsewhere is measured afresh.

    Args:
        books: the run.
        block: one of its blocks.
        number: of the environment.
        to: what to call it.

    Returns:
        Whether anything was dropped.  Failures stay, and so does everything where neither time nor memory is measured.
    """
    if not (books.study.timed or books.study.kind.alone) or not found_in(books, block) - {number}:
        return False
    known = books.ledger.environments
    cases = [case.id for case in block.cases if case.id in known and _counts(books, case.id)]
    books.record("block_moved", block=block.name, cases=cases, to=to, environment=number)
    return True


def bring_all(books: Books) -> None:
    """Make all blocks that are not finished at home on this machine."""
    for block in books.blocks:
        if books.live(block):
            bring(books, block, books.ledger.environment, "the machine of the coordinator")


def _counts(books: Books, case: str) -> bool:
    """Whether a case holds numbers that are compared with others."""
    end = books.ledger.ends.get(case)
    return end is None or end["outcome"] == "ok"
