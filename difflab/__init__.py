"""difflab: which way of differentiating a loss is accurate, fast and small enough, and how do I know?

>>> import numpy as np, difflab as dl
>>> dl.gradient(lambda w: np.sum(np.tanh(w) ** 2))(np.zeros(2))
array([0., 0.])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and where they live; imported when first used, so that `import difflab` stays cheap.
_HOMES = {
    "gradient": "operators",
    "value_and_gradient": "operators",
    "jvp": "operators",
    "vjp": "operators",
    "prepare": "operators",
    "Prepared": "prepared",
    "Shape": "builder",
    "trace": "views",
    "Trace": "views",
    "compare": "lab",
    "Comparison": "lab",
    "run": "lab",
    "load": "lab",
    "backends": "lab",
    "problems": "lab",
    "Finite": "backends.finite",
    "Symbolic": "backends.symbolic",
    "Forward": "backends.forward",
    "Reverse": "backends.reverse",
    "Analytic": "backends.analytic",
    "Null": "backends.null",
    "DifflabError": "errors",
}

__all__ = [*_HOMES, "nn"]  # noqa: PLE0604 (names are strings)

if TYPE_CHECKING:
    from . import nn as nn


def __getattr__(name: str) -> Any:
    if name == "nn":
        return importlib.import_module("difflab.nn")
    if name in _HOMES:
        return getattr(importlib.import_module(f"difflab.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'difflab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
