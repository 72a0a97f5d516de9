"""The text of kernels: one line per equation of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...tape import Tape
from .fusion import Group
from .language import element_text, literal_text, preamble, typed, written

OPTIONS = ("--fmad=false",)
"""A product and a sum are rounded one by one, as NumPy does it: contracted into one operation, ``x * y - x * y`` would
be what the product was rounded by and not 0, and a derivative would depend on how a formula happens to be written."""
NAME = 60
"""Characters of a kernel's name at most."""


class Kernel(NamedTuple):
    """The text of a kernel: what CuPy is given, and what a reader sees.

    ``inputs`` and ``outputs`` are lists of parameters in C, ``lines`` one assignment each, ``before`` the functions
    that CUDA does not have.
    """

    name: str
    inputs: str
    outputs: str
    lines: tuple[str, ...]
    before: str


def elements_text(tape: Tape, group: Group) -> Kernel:
    """The text of a group of element-wise equations.

    Args:
        tape: where the group comes from.
        group: of kind ``"elements"``.

    Returns:
        Inputs are ``x0``, ``x1``, ..., intermediate values ``v0``, ``v1``, ... and outputs ``r0``, ``r1``, ...

    Example:
        >>> import numpy as np
        >>> from difflab.execution.device.fusion import grouped
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [np.tanh(leaves[0]) * 2], [np.ones(3)])
        >>> print("\\n".join(elements_text(tape, grouped(tape)[0]).lines))
        const double v0 = tanh(x0);
        const double v1 = v0 * double(2.0);
        r0 = v1;
    """
    names, lines = assignments(tape, group, group.positions)
    # Outputs are stored last, so that one may lie where an input lay.
    stored = [f"r{at} = {names[number]};" for at, number in enumerate(group.outputs)]
    return Kernel(
        kernel_name(tape, group.positions),
        parameters(tape, group.inputs, "x"),
        parameters(tape, group.outputs, "r"),
        (*lines, *stored),
        preamble(*lines),
    )


def assignments(tape: Tape, group: Group, positions: Sequence[int]) -> tuple[dict[int, str], list[str]]:
    """What the equations of a group are in a kernel.

    Args:
        tape: where the group comes from.
        group: of kind ``"elements"`` or ``"reduction"``.
        positions: of those equations of the group that act on each element.

    Returns:
        The name of every value, and one assignment per equation.

    Example:
        >>> import numpy as np
        >>> from difflab.execution.device.fusion import grouped
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [leaves[0] + leaves[0]], [np.ones(3)])
        >>> assignments(tape, grouped(tape)[0], [0])[1]
        ['const double v0 = x0 + x0;']
    """
    sources = group.sources
    names = {number: f"x{at}" for at, number in enumerate(group.inputs)}
    lines: list[str] = []
    for position in positions:
        equation = tape.equations[position]
        if equation.output in sources:
            continue
        avals = [tape.avals[number] for number in equation.inputs]
        operands = []
        for number, aval in zip(equation.inputs, avals, strict=True):
            source = sources.get(number, number)
            literal = source in tape.literals
            operands.append(literal_text(tape.literals[source], aval.dtype) if literal else names.get(source, "unread"))
        text = written(
            element_text(equation.primitive, avals, equation.params), operands, [aval.dtype for aval in avals]
        )
        names[equation.output] = f"v{len(lines)}"
        lines.append(f"const {typed(tape.avals[equation.output].dtype)} v{len(lines)} = {text};")
    return names, lines


def parameters(tape: Tape, numbers: Sequence[int], letter: str) -> str:
    """Values as parameters of one of CuPy's kernels.

    Args:
        tape: where they come from.
        numbers: of the values.
        letter: with which their names begin.

    Returns:
        Types, by their names in NumPy, and names.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [leaves[0] + leaves[1]], [1.0, 2.0])
        >>> parameters(tape, tape.inputs, "x")
        'float64 x0, float64 x1'
    """
    return ", ".join([f"{tape.avals[number].dtype.name} {letter}{at}" for at, number in enumerate(numbers)])


def kernel_name(tape: Tape, positions: Sequence[int]) -> str:
    """What a kernel computes, as far as a name can tell.

    Args:
        tape: where the equations come from.
        positions: of the equations.

    Returns:
        A name in C, of 60 characters at most.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> kernel_name(trace_leaves(lambda leaves: [leaves[0] * leaves[0] + 1], [1.0]), [0, 1])
        'difflab_multiply_add'
    """
    words = [tape.equations[position].primitive.name for position in positions]
    words = [word for at, word in enumerate(words) if word.isidentifier() and (at == 0 or word != words[at - 1])]
    name = "difflab"
    for word in words:
        if len(name) + len(word) + 1 > NAME:
            break
        name = f"{name}_{word}"
    return name
