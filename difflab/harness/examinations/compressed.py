"""The Jacobian as a sparse array from few products: its pattern, its colours, its bytes and seconds, or why not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ...execution.chunks import FEW
from .. import memory, timing
from .trying import SLOW, again, refused, tried

if TYPE_CHECKING:
    from ...backends.protocol import Backend, Cost, Source
    from ...compressed import Matrix
    from ...transforms.sparsity import Pattern
    from ..operation import Operation
    from ..session import Session

LOOKED_AT = 1 << 24  # entries of a Jacobian of which a few rows are counted before its pattern is looked for
COUNTED = 5  # so many rows
INDEX, PLACE = 4, 8  # bytes of the column of an entry, and of where it is read
COPIES = 3  # columns of an entry: of the colouring, of the block that is kept, of the array that is returned
COLOURED = 4e-7  # seconds that colouring takes for an entry of a large pattern (measured)
BOTH = 1 << 20  # entries of the largest pattern of which columns and rows are coloured together as well


class Facts(NamedTuple):
    """What is known of a Jacobian before it is compressed.

    ``product`` is the implicit one with its result, ``passes`` are the rows or columns that forming it takes, with its
    ``forecast`` and the ``seconds`` of that.
    """

    made: Source
    product: Operation
    implicit: np.ndarray
    passes: int
    forecast: Cost
    seconds: float


def warm_up(session: Session, made: Source) -> None:
    """Compress a Jacobian once: what is imported and compiled for it should count nowhere.

    Args:
        session: with the case open.
        made: a small function.
    """
    from ...compressed import Matrix
    from ...transforms.sparsity import jacobian_pattern

    Matrix(session.backend, made, jacobian_pattern(made.tape, made.wrt), "jacobian").filled(made.example)


def examine(session: Session, facts: Facts, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compress one Jacobian, where its forecast allows it.

    Args:
        session: with the case open.
        facts: of the Jacobian.
        settings: ``repeats``, ``pictured`` and ``seconds``.

    Returns:
        ``outcome`` and ``reason``; ``plan_bytes``; ``nonzeros`` of the pattern (of a few rows, where that was too much
        already), ``pattern_seconds`` and ``notes`` (what was taken for dense).  Where it was coloured ``products``
        (columns, rows; none where it is formed as a whole, since no product is saved), their ``share`` of those that
        forming takes, ``flops``, ``prepare_seconds``, ``prepare_bytes`` and, of a small one, ``colours``.  Where it
        was computed ``bytes``, ``seconds`` and ``difference``: how far the product with it is from the implicit one,
        relative to the length of that.  ``both``: the same of the Jacobian from forward and reverse mode, where the
        backend only pulls and columns and rows together take fewer products.
    """
    found: dict[str, Any] = {}
    allowed, baseline = session.allowed_bytes, memory.resident()
    if _entries(facts) > LOOKED_AT:
        found["nonzeros"] = _estimated(session, facts)
        found["plan_bytes"] = _stored(facts, found["nonzeros"])
        if why := refused(allowed, found["plan_bytes"], 0.0, settings):
            return found | {"outcome": "skipped_predicted", "reason": why}

    def detect() -> dict[str, Any]:
        from ...transforms.sparsity import jacobian_pattern

        spent, patterns[:] = timing.timed(lambda: [jacobian_pattern(facts.made.tape, facts.made.wrt)])
        one = patterns[0]
        sets = one.rows.nbytes + one.indptr.nbytes + one.indices.nbytes
        known = {"nonzeros": one.nnz, "plan_bytes": sets + _stored(facts, one.nnz), "pattern_seconds": spent}
        return known | {"notes": list(one.notes)}

    patterns: list[Pattern] = []
    found |= tried(detect)
    if found["outcome"] != "ok":
        return found
    why = refused(allowed, found["plan_bytes"], COLOURED * found["nonzeros"], settings)
    if why:
        return found | tried(dict, why)
    pattern, detected = patterns[0], dict(found)
    found |= tried(lambda: _coloured(session, facts, session.backend, pattern, detected, baseline, settings))
    if "products" not in found and found["outcome"] == "skipped_predicted":  # the library itself refused to form it
        found["plan_bytes"] += int(facts.forecast.nbytes)
    if _pulls(session) and found["nonzeros"] <= BOTH:
        fewest = sum(found.get("products", ())) or min(facts.passes, _variable(facts).size)
        if sum(_compression(pattern, True, True)[1]) < fewest:
            now = memory.resident()
            found["both"] = tried(lambda: _coloured(session, facts, None, pattern, detected, now, settings))
    return found


def _entries(facts: Facts) -> int:
    tape = facts.made.tape
    return tape.avals[tape.outputs[0]].size * _variable(facts).size


def _variable(facts: Facts) -> np.ndarray:
    return facts.made.example[facts.made.wrt[0]]


def _estimated(session: Session, facts: Facts) -> int:
    """How many entries are not zero if all rows (or columns) are as the middle one of a few."""
    from ..operation import Operation

    like = np.asarray(facts.product.vectors[0])
    prepared = facts.product.prepare(session.backend)
    counts = []
    for place in np.linspace(0, like.size - 1, COUNTED).astype(int):
        unit = np.zeros(like.size, like.dtype)
        unit[place] = 1
        row = Operation(facts.product.operator, facts.made, [unit.reshape(like.shape)]).result(prepared)
        counts.append(int(np.count_nonzero(np.asarray(row[0]))))
    return int(np.median(counts)) * like.size


def _stored(facts: Facts, nonzeros: int) -> int:
    """Bytes of a sparse array of so many entries and of what has to be known to read them off products."""
    rows = facts.made.tape.avals[facts.made.tape.outputs[0]].size
    each = _variable(facts).dtype.itemsize + COPIES * INDEX + PLACE
    return nonzeros * each + COPIES * INDEX * (rows + 1)


def _coloured(
    session: Session, facts: Facts, backend: Backend | None, pattern: Pattern, found: Mapping[str, Any],
    baseline: int | None, settings: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Colour it, and compute it where the products have room and time."""
    from ...compressed import Matrix

    peak, timed = memory.peak_during(
        lambda: timing.timed(lambda: Matrix(backend, facts.made, pattern, "jacobian")), baseline
    )
    spent, matrix = cast("tuple[float, Matrix]", timed)
    del timed
    share, plan = _counted(session, facts, matrix, found["plan_bytes"])
    known: dict[str, Any] = {"products": list(matrix.products), "share": share, "plan_bytes": plan}
    known |= {"flops": float(facts.forecast.flops) * share, "prepare_bytes": peak}
    known["prepare_seconds"] = found["pattern_seconds"] + spent
    if sum(matrix.products) and _entries(facts) <= settings["pictured"]:
        pulls = _pulls(session)
        known["colours"] = _compression(pattern, backend is None or not pulls, backend is None or pulls)[0]
    seconds = facts.seconds * share
    why = refused(session.allowed_bytes, plan, seconds, settings)
    return known | tried(lambda: _evaluated(facts, matrix, baseline, seconds, settings), why)


def _pulls(session: Session) -> bool:
    """Whether the backend has products with rows only."""
    from ...backends.many import products_of

    kinds = products_of(session.backend)
    return kinds.pull is not None and kinds.push is None


def _compression(pattern: Pattern, push: bool, pull: bool) -> tuple[dict[str, list[int]], tuple[int, int]]:
    """The colours of columns and of rows, negative where one is in no product, and how many of each there are."""
    from ...compressed import PRICES
    from ...execution.compression import compress

    found = compress(*pattern.csr(), pattern.shape, push=push, pull=pull, price=PRICES)
    both = {"columns": (found.column_colours, found.n_columns), "rows": (found.row_colours, found.n_rows)}
    colours = {name: own.tolist() if own is not None and count else [] for name, (own, count) in both.items()}
    return colours, (found.n_columns, found.n_rows)


def _counted(session: Session, facts: Facts, matrix: Matrix, stored: int) -> tuple[float, int]:
    """The share of its products of those that forming it takes, and the bytes of the plan.

    Beside its entries are the seeds, the products, and what a chunk of lanes computes with; or the whole matrix, where
    no product is saved.
    """
    tape, products = facts.made.tape, sum(matrix.products)
    if not products:
        return 1.0, stored + int(facts.forecast.nbytes)
    around = tape.avals[tape.outputs[0]].size + _variable(facts).size
    lanes = min(products, FEW) * int(facts.product.predict(session.backend).nbytes)
    return products / max(facts.passes, 1), stored + products * around * _variable(facts).dtype.itemsize + lanes


def _evaluated(
    facts: Facts, matrix: Matrix, baseline: int | None, seconds: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute it, count its bytes above what was there before it was prepared, time it, and multiply with it."""
    leaves = facts.made.example
    brief = seconds < SLOW
    with memory.small_pages() if brief else contextlib.nullcontext():
        peak, timed = memory.peak_during(lambda: timing.timed(lambda: matrix.filled(leaves)), baseline)
    spent, blocks = cast("tuple[float, list[list[Any]]]", timed)
    sparse, vector = blocks[0][0], np.asarray(facts.product.vectors[0]).ravel()
    found = sparse.T @ vector if facts.product.operator == "vjp" else sparse @ vector
    apart = float(np.linalg.norm(np.subtract(found, facts.implicit.ravel(), dtype=np.float64)))
    length = float(np.linalg.norm(facts.implicit.astype(np.float64)))
    del timed, blocks, sparse  # of two results one would be kept while the next is made
    if brief or (spent < SLOW and settings["repeats"] > 1):
        spent = again(lambda: matrix.filled(leaves), spent, settings["repeats"])[0]
    return {"bytes": peak, "seconds": spent, "difference": apart / length if length else apart}
