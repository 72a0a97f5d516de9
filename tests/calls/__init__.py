"""Calls of NumPy's functions in their ordinary ways, one module per family.

Each is a function of x (3, 4), y (3, 4), v (4,), s () with elements between 0.5 and 2, run on plain and on traced
arrays alike.  A ``~`` in its name says that NumPy rounds otherwise than the tape does.
"""

from collections.abc import Callable
from typing import Any

from . import elementwise, factor, indexing, metadata, moves, products, scans

CALLS: dict[str, Callable[..., Any]] = {
    **elementwise.CALLS,
    **factor.CALLS,
    **indexing.CALLS,
    **metadata.CALLS,
    **moves.CALLS,
    **products.CALLS,
    **scans.CALLS,
}
