"""Losses as a user of another framework writes them there: what a replayed tape is held against.

Each keeps its data in the layout that the framework likes best, converted once, and computes the value and all
gradients in one call, complete when it returns.  A module is imported when its framework is asked for, not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..problems import Instance

MODULES: Mapping[str, str] = MappingProxyType({"torch": "in_torch", "jax": "in_jax", "autograd": "in_autograd"})


class Idiom(NamedTuple):
    """A loss in the words of a framework, with its data in place.

    ``call()`` computes the value and all gradients as the framework's own arrays; ``answer()`` computes them once more
    as a number and NumPy arrays by the names, shapes and dtype of the problem's parameters.
    """

    call: Callable[[], Any]
    answer: Callable[[], tuple[float, dict[str, Any]]]


def find(problem: str, framework: str) -> Callable[[Instance], Idiom] | None:
    """What writes a problem in a framework's own words.

    Args:
        problem: a name such as "mlp".
        framework: the name of its backend, such as "torch".

    Returns:
        A function from the instance to its ``Idiom``, or ``None`` where nobody has written that loss there.

    Raises:
        ImportError: the framework is not installed.

    Example:
        >>> find("mlp", "casadi") is None
        True
    """
    if framework not in MODULES:
        return None
    module = importlib.import_module(f".{MODULES[framework]}", __name__)
    return module.LOSSES.get(problem)
