"""Transforms: each takes a tape and returns a tape, so they compose and second order is free."""

from .forward import jvp
from .inline import inline
from .reverse import gradient, vjp
from .simplify import simplify

__all__ = ["gradient", "inline", "jvp", "simplify", "vjp"]
