"""The evaluation trace as the lectures write it: value, tangent and adjoint of every line, and what each gate does.

Tangents go down the tape by the JVP rules, adjoints come up it by the VJP rules of the same equations (Griewank &
Walther, 2008, chapter 3; Baydin et al., 2018, tables 2 and 3).  Lines are in the order of depth: what needs only inputs
comes first, then what needs that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arrays import to_host
from ..builder import Shape
from ..calls import bind
from ..errors import InputError, did_you_mean
from ..flat import Function
from ..tape import Equation, Tape
from ..transforms.branches import Share
from ..transforms.forward import push
from ..transforms.inline import depends_on
from ..transforms.reverse import sweep
from . import gates
from .rows import Row, Walk


def walk(function: Callable, *args: Any, tangent: str | None = None, cotangent: Any = None) -> Walk:
    """Trace a function and fill its columns.

    Args:
        function: plain NumPy function with one output.
        args: numbers and arrays.
        tangent: name of the input whose tangent is 1 (in every element); the first one by default.
        cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.

    Returns:
        A ``Walk``.

    Raises:
        TraceError: something that cannot be recorded.
        InputError: no such input, or an output that is no number.

    Example:
        >>> walk(lambda x, y: x * y, 2.0, 3.0).gradient
        {'x': array(3.), 'y': array(2.)}
    """
    bound = bind(function, args, {}, ())
    if any(isinstance(leaf, Shape) for leaf in bound.leaves):
        raise InputError("a walk needs values; pass arrays and numbers instead of difflab.Shape")
    with np.errstate(all="ignore"):
        tape = Function(function, bound).trace(names=True)
        return columns(tape, values_of(tape, bound.leaves), tangent=tangent, cotangent=cotangent)


def values_of(tape: Tape, leaves: list[Any]) -> dict[int, np.ndarray]:
    """Every value of a tape by number.

    Args:
        tape: the tape.
        leaves: one array or number per input.
    """
    numbers = [*tape.inputs, *tape.constants, *tape.literals, *[equation.output for equation in tape.equations]]
    found = tape.replay_all(
        [to_host(leaf) for leaf in leaves],
        lambda primitive, operands, params: primitive.evaluate(*operands, **params),
        {number: to_host(constant) for number, constant in tape.constants.items()},
        numbers,
    )
    return {number: np.asarray(value) for number, value in zip(numbers, found, strict=True)}


def columns(tape: Tape, values: Mapping[int, np.ndarray], *, tangent: str | None = None, cotangent: Any = None) -> Walk:
    """The columns of a tape whose values are known.

    Args:
        tape: of one output.
        values: every value by number, as of ``values_of``.
        tangent: as in ``walk``.
        cotangent: as in ``walk``.

    Returns:
        A ``Walk``.

    Raises:
        InputError: no such input, no input of floating-point numbers, or an output that is no number.
    """
    names = names_of(tape)
    wrt = [position for position, number in enumerate(tape.inputs) if values[number].dtype.kind in "fc"]
    known = {names[tape.inputs[position]]: position for position in wrt}
    if not known:
        raise InputError("no argument is a floating-point number or array, so there is nothing to differentiate by")
    seed = next(iter(known)) if tangent is None else tangent
    if seed not in known:
        raise InputError(f"there is no input {seed!r} to differentiate by {did_you_mean(seed, list(known))}")
    active = depends_on(tape, wrt)
    with np.errstate(all="ignore"):
        tangents = _tangents(tape, values, tape.inputs[known[seed]], active)
        adjoints = _adjoints(tape, values, _cotangent(tape, values, cotangent), active)
    uses: dict[int, int] = {}
    for equation in tape.equations:
        for number in equation.inputs:
            uses[number] = uses.get(number, 0) + 1

    def row(number: int, text: str, gate: str) -> Row:
        on = number in active
        zero = np.zeros_like(values[number])
        copied = f"copy adds ({uses[number]} uses)" if on and uses.get(number, 0) > 1 else ""
        words = "; ".join(word for word in (gate if on else "", copied) if word)
        forward, back = [_filled(of.get(number), zero) if on else None for of in (tangents, adjoints)]
        return Row(names[number], text, values[number], forward, back, words)

    rows = [row(number, "input", "") for number in tape.inputs]
    rows += [row(number, "constant", "") for number in arrays_of(tape)]
    for equation in by_depth(tape):
        operands = [names[number] for number in equation.inputs]
        rows.append(
            row(
                equation.output,
                gates.formula(equation.primitive.name, operands, equation.params),
                gates.role(
                    equation.primitive.name,
                    operands,
                    names[equation.output],
                    equation.params,
                    [values[number] for number in equation.inputs],
                    [number in active for number in equation.inputs],
                ),
            )
        )
    output = tape.outputs[0]
    return Walk(
        rows=rows,
        output=names[output],
        symbol=_symbol(set(names.values())),
        value=values[output],
        slope=_filled(tangents.get(output), np.zeros_like(values[output])),
        seed=seed,
        gradient={
            name: _filled(adjoints.get(tape.inputs[position]), np.zeros_like(values[tape.inputs[position]]))
            for name, position in known.items()
        },
    )


def names_of(tape: Tape) -> dict[int, str]:
    """Inputs as the user calls them, numbers as they stand in the text, and v1, v2, ... in the order of the lines."""
    names = {number: tape.names.get(number) or f"x{at}" for at, number in enumerate(tape.inputs, start=1)}
    letters = {kind: _free(kind, set(names.values())) for kind in "cv"}
    numbers = {n: np.asarray(value).item() for n, value in tape.constants.items() if not np.ndim(value)}
    names.update({number: _number(value) for number, value in {**numbers, **tape.literals}.items()})
    names.update({number: f"{letters['c']}{at}" for at, number in enumerate(arrays_of(tape), start=1)})
    names.update({e.output: f"{letters['v']}{at}" for at, e in enumerate(by_depth(tape), start=1)})
    return names


def _free(stem: str, taken: set[str]) -> str:
    """A stem that no name continues with a number alone."""
    while any(name.startswith(stem) and name[len(stem) :].isdigit() for name in taken):
        stem += "_"
    return stem


def _symbol(taken: set[str]) -> str:
    """A letter for the result."""
    found = next((letter for letter in ("y", "f", "z", "output") if letter not in taken), "output_")
    while found in taken:
        found += "_"
    return found


def arrays_of(tape: Tape) -> list[int]:
    """Constants that have a line of their own; a number stands in the formula."""
    return [number for number, value in tape.constants.items() if np.ndim(value)]


def by_depth(tape: Tape) -> list[Equation]:
    """Equations in the order in which they could be computed if all that are ready were done at once."""
    depth: dict[int, int] = {}
    for equation in tape.equations:
        depth[equation.output] = 1 + max((depth.get(number, 0) for number in equation.inputs), default=0)
    return sorted(tape.equations, key=lambda equation: depth[equation.output])


def _tangents(tape: Tape, values: Mapping[int, np.ndarray], seed: int, active: set[int]) -> dict[int, np.ndarray]:
    tangents: dict[int, Any] = {seed: np.ones_like(values[seed])}
    push(tape, values, tangents, active)
    return {number: np.asarray(tangent) for number, tangent in tangents.items()}


def _cotangent(tape: Tape, values: Mapping[int, np.ndarray], given: Any) -> np.ndarray:
    """What comes back to the output."""
    if len(tape.outputs) != 1:
        raise InputError(f"the function has {len(tape.outputs)} outputs; a gradient belongs to one")
    value = values[tape.outputs[0]]
    if value.dtype.kind not in "fc":
        raise InputError(f"the result is of dtype {value.dtype}, which has no gradient")
    if given is None:
        if value.shape:
            raise InputError(f"the result has shape {value.shape} and a gradient needs one number; take its sum(...)")
        return np.ones_like(value)
    found = np.asarray(given, value.dtype)
    if found.shape != value.shape:
        raise InputError(f"the cotangent has shape {found.shape} and the result {value.shape}; they must be the same")
    return found


def _adjoints(
    tape: Tape, values: Mapping[int, np.ndarray], cotangent: np.ndarray, active: set[int]
) -> dict[int, np.ndarray]:
    """The cotangent of every value that the gradient comes by."""
    shares = {tape.outputs[0]: Share(cotangent)}
    found: dict[int, Share] = {}
    sweep(tape, values, shares, active, lambda equation, share: found.update({equation.output: share}))
    return {number: np.asarray(share.closed) for number, share in {**shares, **found}.items()}


def _filled(found: np.ndarray | None, zero: np.ndarray) -> np.ndarray:
    return zero if found is None else found


def _number(value: Any) -> str:
    """A static number as it stood in the text: 2 for 2.0."""
    return repr(value).removesuffix(".0") if isinstance(value, int | float) else repr(value)
