"""What a replay in another framework is forecast to need, and the sentences that all peers share."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ... import transforms
from ...tape import Tape
from ..protocol import SECOND_ORDER, Cost, block_bytes


def missing(package: str) -> str | None:
    """Why a framework cannot be used, without importing it.

    Args:
        package: the name that is imported.

    Returns:
        A sentence, or ``None`` where it is installed.

    Example:
        >>> missing("numpy") is None, missing("no_such_package")
        (True, "it needs the package no_such_package, which is not installed; pip install 'difflab[peers]'")
    """
    if find_spec(package) is not None:
        return None
    return f"it needs the package {package}, which is not installed; pip install 'difflab[peers]'"


def part(module: str) -> Any:
    """A module of a framework that is imported already, or that brings nothing of its own along.

    Args:
        module: its name.

    Returns:
        The module.

    Example:
        >>> part("math").sqrt(4.0)
        2.0
    """
    return importlib.import_module(module)


def framework(*modules: str) -> Any:
    """Import modules of a framework, quietly: the numbers that its import draws are not taken from the user's.

    Args:
        modules: their names.  What a framework deprecates and imports itself is not the user's affair.

    Returns:
        The first of them.

    Example:
        >>> framework("math").sqrt(4.0)
        2.0
    """
    state = np.random.get_state()  # noqa: NPY002 (the generator that users draw from)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = [part(module) for module in modules]
    np.random.set_state(state)  # noqa: NPY002
    return found[0]


def forecast(tape: Tape, operator: str, wrt: Sequence[int]) -> Cost:
    """The work of an operator in reverse mode, all values of the tape and their cotangents kept, every row by itself.

    The time that a framework needs is unknown, so ``works`` is empty.

    Args:
        tape: the function.
        operator: one of the operators.
        wrt: positions of the inputs to differentiate.

    Returns:
        Calls of the loss, operations and bytes.

    Example:
        >>> import numpy as np
        >>> from difflab.operators import source
        >>> made = source(lambda x: np.sum(x * x), (np.ones(8),))
        >>> forecast(made.tape, "gradient", made.wrt).nbytes
        272.0
    """
    variables = [tape.avals[tape.inputs[i]] for i in wrt]
    outputs = [tape.avals[number] for number in tape.outputs]
    once = max(tape.flops, 1.0)
    kept = 2.0 * (tape.bytes + sum(aval.nbytes for aval in variables))
    if operator in SECOND_ORDER:
        flops = transforms.simplify(transforms.hvp(tape, tuple(wrt))).flops
        passes = sum(aval.size for aval in variables) if operator == "hessian" else 1
        blocks = block_bytes(variables, variables) if operator == "hessian" else 0
        return Cost(passes * flops / once, passes * flops, 2.0 * kept + blocks)
    if operator == "jvp":
        return Cost(2.0, 2.0 * once, kept)
    flops = transforms.simplify(transforms.vjp(tape, tuple(wrt))).flops
    rows, blocks = 1, 0
    if operator == "jacobian":
        rows = min(sum(aval.size for aval in outputs), sum(aval.size for aval in variables))
        blocks = block_bytes(outputs, variables)
    flops = max(rows, 1) * max(flops, once)
    return Cost(flops / once, flops, kept + blocks)
