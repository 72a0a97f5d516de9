"""Which program a choice of code means, compiled or as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import import_cupy
from .lines import Lines

CODES = ("python", "numpy", "cupy", "c")


def compiled(lines: Lines, code: str) -> Callable[[Any], Any]:
    """A function of the vector of all symbols that gives the vector of all results.

    Args:
        lines: the program.
        code: "numpy", "cupy" or "c".

    Raises:
        UnavailableError: there is no compiler or no CuPy.
        UnsupportedError: a function is missing there.
    """
    from .array_code import ArrayProgram, flat_program
    from .c_code import CProgram

    if code == "c":
        return CProgram(lines)
    if code == "numpy":
        return flat_program(ArrayProgram(lines, np))
    return flat_program(ArrayProgram(lines, import_cupy()))


def text(lines: Lines, code: str) -> str:
    """The text of a module with a function ``program``, in plain Python, NumPy, CuPy or C."""
    from . import array_code, c_code, scalar_code

    if code == "python":
        return scalar_code.source(lines)
    return c_code.source(lines) if code == "c" else array_code.source(lines, code)


def joined(xp: Any, arrays: Sequence[Any]) -> Any:
    """All entries of some arrays as one vector of doubles."""
    parts = [xp.ravel(xp.asarray(array)).astype(xp.float64) for array in arrays]
    return xp.concatenate(parts) if parts else xp.zeros(0)
