"""``torch.compile`` of a replayed loss, which needs a C++ compiler."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from ...errors import UnavailableError
from .forecast import part


def without_compiler() -> str | None:
    """Why nothing can be compiled here; PyTorch's compiler writes C++.

    Returns:
        A sentence, or ``None`` where there is a C++ compiler.

    Example:
        >>> without_compiler() is None or "C++" in without_compiler()
        True
    """
    wanted = os.environ.get("CXX", "g++")
    if shutil.which(wanted) or shutil.which("clang++"):
        return None
    return f"Torch(compile=True) needs a C++ compiler, and there is no {wanted} on the path; apt-get install g++"


def compiled(function: Callable[..., Any], device: str = "cpu") -> Callable[..., Any]:
    """A function of tensors through ``torch.compile``, one graph for the shapes of its first call.

    Args:
        function: a replayed loss.
        device: "cpu" or "gpu"; for a GPU PyTorch's compiler writes Triton.

    Returns:
        The function; it compiles when it is first called, with PyTorch's warnings about its own parts kept quiet.

    Raises:
        UnavailableError: there is no Triton for a GPU.

    Example:
        >>> from difflab.backends.peers.torch_peer import Torch
        >>> Torch().unavailable() is not None or callable(compiled(lambda x: x))
        True
    """
    if device == "gpu" and find_spec("triton") is None:
        raise UnavailableError("Torch(compile=True) on device 'gpu' needs the package triton; pip install triton")
    torch = part("torch")
    fast = torch.compile(function, fullgraph=True, dynamic=False)
    first = True

    def run(*tensors: Any) -> Any:
        nonlocal first
        if not first:
            return fast(*tensors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fast(*tensors)
        first = False
        return result

    return run
