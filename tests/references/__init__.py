"""An independent value for every primitive that is not NumPy's own ufunc: one module per family."""

from collections.abc import Callable
from typing import Any

from . import basics, elementwise, factor, lanes, moves, products, scans

REFERENCES: dict[str, Callable[..., Any]] = {
    **basics.REFERENCES,
    **elementwise.REFERENCES,
    **factor.REFERENCES,
    **lanes.REFERENCES,
    **moves.REFERENCES,
    **products.REFERENCES,
    **scans.REFERENCES,
}
