"""Generated kernels on the host: what NumPy makes of their text, for the stand-in of CuPy."""

from __future__ import annotations

from typing import Any


def install(cupy: Any, state: Any, ndarray: type) -> None:
    """Fill in ``ElementwiseKernel``, ``ReductionKernel`` and ``RawKernel``."""
