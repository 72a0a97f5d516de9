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
    "jacobian": "jacobians",
    "hessian": "jacobians",
    "jacobian_chunks": "chunked",
    "JacobianChunk": "chunked",
    "hessian_diagonal": "curvature",
    "gauss_newton": "curvature",
    "jacobian_operator": "linear_operators",
    "hessian_operator": "linear_operators",
    "gauss_newton_operator": "linear_operators",
    "hvp": "jacobians",
    "prepare": "operators",
    "sparsity": "structure",
    "Sparsity": "structure",
    "Prepared": "prepared",
    "Shape": "builder",
    "trace": "views",
    "Trace": "views",
    "check": "checking.check",
    "Check": "checking.record",
    "compare": "comparison",
    "Comparison": "comparison",
    "recommend": "recommendation",
    "Recommendation": "recommendation",
    "descend": "training",
    "Descent": "training",
    "run": "lab",
    "load": "lab",
    "forecast": "lab",
    "diff_runs": "harness.difference",
    "Finite": "backends.finite",
    "ComplexStep": "backends.complex_step",
    "Symbolic": "backends.symbolic",
    "Forward": "backends.forward",
    "Reverse": "backends.reverse",
    "Analytic": "backends.analytic",
    "Null": "backends.null",
    "primitive": "own_primitives",
    "stop_gradient": "nn",
    "DifflabError": "errors",
}

# Modules that are public by name; backends and problems are callable: difflab.backends() lists what there is.
_MODULES = ("nn", "backends", "problems", "special", "testing")

__all__ = [*_HOMES, *_MODULES]  # pyright: ignore[reportUnsupportedDunderAll]  the names are one table with their homes

if TYPE_CHECKING:
    from . import backends as backends
    from . import nn as nn
    from . import problems as problems
    from . import special as special
    from . import testing as testing
    from .backends.analytic import Analytic as Analytic
    from .backends.complex_step import ComplexStep as ComplexStep
    from .backends.finite import Finite as Finite
    from .backends.forward import Forward as Forward
    from .backends.null import Null as Null
    from .backends.reverse import Reverse as Reverse
    from .backends.symbolic import Symbolic as Symbolic
    from .builder import Shape as Shape
    from .checking.check import check as check
    from .checking.record import Check as Check
    from .chunked import JacobianChunk as JacobianChunk
    from .chunked import jacobian_chunks as jacobian_chunks
    from .comparison import Comparison as Comparison
    from .comparison import compare as compare
    from .curvature import gauss_newton as gauss_newton
    from .curvature import hessian_diagonal as hessian_diagonal
    from .errors import DifflabError as DifflabError
    from .harness.difference import diff_runs as diff_runs
    from .jacobians import hessian as hessian
    from .jacobians import hvp as hvp
    from .jacobians import jacobian as jacobian
    from .lab import forecast as forecast
    from .lab import load as load
    from .lab import run as run
    from .linear_operators import gauss_newton_operator as gauss_newton_operator
    from .linear_operators import hessian_operator as hessian_operator
    from .linear_operators import jacobian_operator as jacobian_operator
    from .nn import stop_gradient as stop_gradient
    from .operators import gradient as gradient
    from .operators import jvp as jvp
    from .operators import prepare as prepare
    from .operators import value_and_gradient as value_and_gradient
    from .operators import vjp as vjp
    from .own_primitives import primitive as primitive
    from .prepared import Prepared as Prepared
    from .recommendation import Recommendation as Recommendation
    from .recommendation import recommend as recommend
    from .structure import Sparsity as Sparsity
    from .structure import sparsity as sparsity
    from .training import Descent as Descent
    from .training import descend as descend
    from .views import Trace as Trace
    from .views import trace as trace


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"difflab.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"difflab.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'difflab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])
