"""Kinks: gradients that differ from difflab's only in how a tie is settled are right as well, and are told so."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives.record import unbroadcast
from ..tape import Equation
from .case import Case
from .record import Finding
from .sweep import Contributions, Rule, Sweep, gathered

Choice = tuple[str, Rule]


def tie_finding(case: Case) -> Finding | None:
    """The finding that all wrong blocks come from other choices at kinks, if they do.

    One choice is tried per kind of kink, the same at all equations of that kind.
    """
    first = case.points[0]
    sweep = first.sweep
    if sweep is None or any(k not in case.shaped for k in case.wrong):
        return None
    kinds: dict[str, list[int]] = {}
    for position, equation in enumerate(sweep.tape.equations):
        if equation.primitive.name in CHOICES and position in sweep.pulled and _tied(sweep, equation):
            kinds.setdefault(equation.primitive.name, []).append(position)
    options = [[None, *CHOICES[name]()] for name in kinds]
    for chosen in itertools.islice(itertools.product(*options), 1, 200):
        rules = {
            position: choice[1]
            for choice, positions in zip(chosen, kinds.values(), strict=True)
            for position in positions
            if choice is not None
        }  # fmt: skip
        found = sweep.gradient(rules)
        if all(case.near(k, found[k], first.given[k]) for k in range(len(case.names))) and _right_elsewhere(case):
            words = " and ".join(
                f"{choice[0]} (`{name}`)" for choice, name in zip(chosen, kinds, strict=True) if choice is not None
            )
            sentence = f"The loss has kinks here. The gradient takes {words}; difflab settles that otherwise, and "
            return Finding("tie", f"{sentence}neither is wrong.")
    return None


def _right_elsewhere(case: Case) -> bool:
    return all(case.near(k, point.true[k], point.given[k]) for point in case.points[1:] for k in range(len(case.names)))


def _tied(sweep: Sweep, equation: Equation) -> bool:
    name = equation.primitive.name
    given = sweep.operands(equation)
    if name in ("relu", "absolute"):
        return bool(np.any(given[0] == 0))
    if name in ("maximum", "minimum"):
        return bool(np.any(given[0] == given[1]))
    if name in ("max", "min"):
        return bool(np.any(np.sum(_extremes(sweep, equation), axis=equation.params["axes"]) > 1))
    return True


def _extremes(sweep: Sweep, equation: Equation) -> np.ndarray:
    """Where an operand is its extreme."""
    shape = sweep.values[equation.inputs[0]].shape
    kept = tuple(1 if axis in equation.params["axes"] else size for axis, size in enumerate(shape))
    return sweep.values[equation.inputs[0]] == sweep.values[equation.output].reshape(kept)


def _slope(value: float) -> Rule:
    """The derivative of a function of one operand at 0."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        (part,) = sweep.pull_each(equation, adjoint)
        return gathered(equation, [np.where(sweep.operands(equation)[0] == 0, value * adjoint, part)])

    return rule


def _shares(*shares: float) -> Rule:
    """How two equal operands share their adjoint."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        parts = sweep.pull_each(equation, adjoint)
        a, b = np.broadcast_arrays(*sweep.operands(equation))
        # Parts are summed over what was broadcast; so the tied entries are added as what they have too much.
        more = np.where(a == b, adjoint, 0.0)
        for at, (part, share) in enumerate(zip(parts, shares, strict=True)):
            if part is not None:
                parts[at] = part + unbroadcast((share - 0.5) * more, np.shape(part))
        return gathered(equation, parts)

    return rule


def _one_of(pick: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]) -> Rule:
    """Among equal extremes ``pick`` leaves those that count."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        axes = equation.params["axes"]
        mask = pick(_extremes(sweep, equation), axes)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(mask.shape))
        return {equation.inputs[0]: mask * np.reshape(adjoint, kept)}

    return rule


def _first(mask: np.ndarray, axes: tuple[int, ...], last: bool = False) -> np.ndarray:
    """The first true entry along the axes together."""
    order = (*[axis for axis in range(mask.ndim) if axis not in axes], *axes)
    moved = np.transpose(mask, order)
    lines = moved.reshape(*moved.shape[: mask.ndim - len(axes)], -1)
    lines = lines[..., ::-1] if last else lines
    only = lines & (np.cumsum(lines, axis=-1) == 1)
    only = only[..., ::-1] if last else only
    return np.transpose(only.reshape(moved.shape), np.argsort(order))


CHOICES: dict[str, Callable[[], list[Choice]]] = {
    "relu": lambda: [("the slope 1 at 0", _slope(1.0)), ("the slope 1/2 at 0", _slope(0.5))],
    "absolute": lambda: [("the slope 1 at 0", _slope(1.0)), ("the slope -1 at 0", _slope(-1.0))],
    "maximum": lambda: [
        ("the slope of the second of two equal operands", _shares(0.0, 1.0)),
        ("the slope of the first of two equal operands", _shares(1.0, 0.0)),
    ],
    "minimum": lambda: [
        ("the slope of the second of two equal operands", _shares(0.0, 1.0)),
        ("the slope of the first of two equal operands", _shares(1.0, 0.0)),
    ],
    "max": lambda: [
        ("the first of equal maxima", _one_of(_first)),
        ("the last of equal maxima", _one_of(lambda mask, axes: _first(mask, axes, last=True))),
        ("all of equal maxima in full", _one_of(lambda mask, axes: mask)),
    ],
    "min": lambda: [
        ("the first of equal minima", _one_of(_first)),
        ("the last of equal minima", _one_of(lambda mask, axes: _first(mask, axes, last=True))),
        ("all of equal minima in full", _one_of(lambda mask, axes: mask)),
    ],
}
