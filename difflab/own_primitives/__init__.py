"""A user's own operations: a function with its own derivative rules, traced if written in NumPy, run if not."""

from .decorator import OwnPrimitive, primitive

__all__ = ["OwnPrimitive", "primitive"]
