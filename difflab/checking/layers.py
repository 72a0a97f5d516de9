"""The user's own values and adjoints, layer by layer: where, coming back from the loss, do they begin to be wrong?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answer import listed
from .case import largest, ratio
from .composites import composite_slips
from .constants import Constants, shown
from .places import Places
from .record import Finding
from .rules import confusions_at, slips_at
from .slips import PLAIN
from .sweep import Sweep, wide


@dataclass(frozen=True)
class Layer:
    """One of the user's layers: its name, value, adjoint, and the value on the tape that it is."""

    name: str
    value: np.ndarray
    adjoint: np.ndarray | None
    number: int


@dataclass(frozen=True)
class Bisection:
    """Layers against the tape; ``slack`` is the relative difference that rounding explains."""

    sweep: Sweep
    places: Places
    constants: Constants
    slack: float

    def findings(self, given: Any) -> list[Finding]:
        """What a mapping or list of ``(value, adjoint)`` shows."""
        layers, findings = self._read(given)
        return [*findings, *self._first_wrong(layers)]

    def _near(self, a: Any, b: Any) -> bool:
        return np.shape(a) == np.shape(b) and largest(np.subtract(a, b)) <= self.slack * max(largest(a), largest(b))

    # ------------------------------------------------------------------------ which value on the tape is it?

    def _read(self, given: Any) -> tuple[list[Layer], list[Finding]]:
        findings: list[Finding] = []
        layers: list[Layer] = []
        if not isinstance(given, Mapping | list | tuple):
            kind = type(given).__name__
            return [], [Finding("layer", f"Layers are to be a mapping or list of pairs (value, adjoint), not {kind}.")]
        pairs = given.items() if isinstance(given, Mapping) else [(f"layer {i}", one) for i, one in enumerate(given)]
        for name, pair in pairs:
            label = str(name)
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                findings.append(Finding("layer", f"Layer {label} is to be a pair (value, adjoint).", label))
                continue
            value, adjoint = wide(pair[0]), None if pair[1] is None else wide(pair[1])
            if any(one is not None and one.dtype.kind not in "fciub" for one in (value, adjoint)):
                findings.append(Finding("layer", f"The value and the adjoint of {label} are to be arrays.", label))
                continue
            number = self._match(value, adjoint)
            if number is None:
                sentence = f"The value of {label} is computed nowhere in the loss{self._why_not(value)}."
                findings.append(Finding("layer", sentence, label))
            else:
                layers.append(Layer(label, value, adjoint, number))
        return sorted(layers, key=lambda one: self.sweep.producers.get(one.number, -1)), findings

    def _match(self, value: np.ndarray, adjoint: np.ndarray | None) -> int | None:
        """The value on the tape that equals an array; of several, one whose adjoint agrees, else the last."""
        equal = [number for number, known in self.sweep.values.items() if self._near(known, value)]
        live = [number for number in equal if number in self.sweep.adjoints]
        if adjoint is not None:
            for number in live:
                if self._near(adjoint, self.sweep.adjoints[number]):
                    return number
        return live[-1] if live else equal[-1] if equal else None

    def _why_not(self, value: np.ndarray) -> str:
        if value.shape not in {known.shape for known in self.sweep.values.values()}:
            return f": nothing there has its shape {value.shape}"
        return ": what has its shape there has other numbers, so already the forward pass differs"

    # ------------------------------------------------------------------------ where does it begin?

    def _first_wrong(self, layers: Sequence[Layer]) -> list[Finding]:
        right: Layer | None = None
        for layer in reversed(layers):
            if layer.adjoint is None:
                continue
            true = np.broadcast_to(self.sweep.adjoints.get(layer.number, 0.0), layer.value.shape)
            if not self._near(layer.adjoint, true):
                return [self._wrong(layer, layer.adjoint, right, true)]
            right = layer
        return []

    def _wrong(self, layer: Layer, given: np.ndarray, right: Layer | None, true: np.ndarray) -> Finding:
        seen = f"Adjoints are right from the loss back to {right.name}" if right else "Not even the last is right"
        between = self._between(layer.number, right.number if right else self.sweep.tape.outputs[0])
        steps = listed([self.places.short(position) for position in reversed(between)])
        step = f"the fault is in the step between, {steps}" if between else "the fault is between it and the loss"
        what, position = self._slip(layer, given, true, between)
        where = "" if position is None else self.places.line(position)
        sentence = f"{seen}; that of {layer.name} is wrong: {step}{what}."
        return Finding("layer", sentence, layer.name, None, position, where)

    def _between(self, start: int, stop: int) -> list[int]:
        """Positions of the equations on paths from one value to another."""
        reached, found = {start}, []
        for position, equation in enumerate(self.sweep.tape.equations):
            if not reached.isdisjoint(equation.inputs) and equation.output in self.sweep.active:
                reached.add(equation.output)
                found.append(position)
        needed, kept = {stop}, []
        for position in reversed(found):
            equation = self.sweep.tape.equations[position]
            if equation.output in needed:
                kept.append(position)
                needed.update(equation.inputs)
        return kept[::-1]

    def _slip(self, layer: Layer, given: np.ndarray, true: np.ndarray, between: list[int]) -> tuple[str, int | None]:
        """What is wrong with one step: a constant, or one of the usual wrong rules at an equation of it."""
        likely = next((at for at in between if self._name(at) not in PLAIN), between[0] if between else None)
        if given.shape != true.shape:
            return f"; it has shape {given.shape}, and its value {true.shape}", likely
        if largest(given) == 0.0:
            return "; it is all zeros", likely
        factor = ratio(given, true)
        if factor is not None and self._near(given, factor * true):
            names = self.constants.named(factor, self.slack)
            if abs(factor + 1) <= self.slack:
                return "; it has the wrong sign", likely
            return f"; it is {shown(factor)} times the true one" + (f" ({names[0]})" if names else ""), likely
        slips = [
            slip
            for position in between
            for slip in (
                *slips_at(self.sweep, self.places, position),
                *confusions_at(self.sweep, self.places, position),
            )
        ]
        slips += [slip for slip in composite_slips(self.sweep, self.places) if slip.position in between]
        for slip in slips:
            try:
                found = self.sweep.backward({slip.position: slip.rule}).get(layer.number, 0.0)
            except (ValueError, TypeError, np.linalg.LinAlgError):
                continue  # a rule that does not apply to these shapes
            if self._near(given, found):
                what = f"{slip.subject}{self.places.short(slip.position)}"
                return f"; the derivative of {what} is {slip.words}", slip.position
        return "", likely

    def _name(self, position: int) -> str:
        return self.sweep.tape.equations[position].primitive.name
