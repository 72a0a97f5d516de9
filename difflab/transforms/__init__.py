"""Transforms: each takes a tape and returns a tape, so they compose and second order is free."""

from .batch import batch, how
from .coordinates import Coordinates
from .forward import jvp
from .inline import inline
from .lanes import over_lanes
from .reverse import gradient, vjp
from .second_order import curvature, hessian, hvp, jacobian
from .simplify import simplify

__all__ = [
    "Coordinates",
    "batch",
    "curvature",
    "gradient",
    "hessian",
    "how",
    "hvp",
    "inline",
    "jacobian",
    "jvp",
    "over_lanes",
    "simplify",
    "vjp",
]
