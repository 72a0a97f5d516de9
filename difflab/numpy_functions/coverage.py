"""Which of NumPy's functions can be recorded, read off the tables that tracing itself uses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..promotion import ADVICE, FUNCTIONS, UFUNCS

MODULES: dict[str, Any] = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
WITHOUT_RULE = "has no derivative rule in difflab"


class Coverage(NamedTuple):
    """The functions of one module of NumPy: names that can be recorded, and for the others the reason."""

    recorded: tuple[str, ...]
    refused: dict[str, str]


def coverage() -> dict[str, Coverage]:
    """All functions that NumPy hands to a traced array, by module.

    Returns:
        One ``Coverage`` for ``np``, ``np.linalg`` and ``np.fft`` each.

    Example:
        >>> "cumsum" in coverage()["np"].recorded
        True
    """
    result = {}
    dispatched = (type(np.sum), np.ufunc)
    for prefix, module in MODULES.items():
        names = [name for name in dir(module) if not name.startswith("_")]
        functions = {name: getattr(module, name) for name in names if isinstance(getattr(module, name), dispatched)}
        known = tuple(name for name, function in functions.items() if function in FUNCTIONS or function in UFUNCS)
        others = {name: ADVICE.get(f"{prefix}.{name}", WITHOUT_RULE) for name in functions if name not in known}
        result[prefix] = Coverage(known, others)
    return result
