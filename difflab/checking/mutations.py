"""Which equation is wrong: the search for one slip on the tape that makes the true gradient into the given one.

Along a direction v, an equation contributes the adjoint of its output times its tangent to the derivative.  So the
effect of any changed rule on the derivative along v is known from the changed contributions and the tangents, without
running anything again; a few directions sort out nearly all candidates, and what is left is computed in full, at both
points.  The cost is that of a few gradients plus one local rule per candidate, so long tapes do not hang.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..tape import Equation
from .answer import listed
from .case import Case, Explanation, Point, largest
from .composites import composite_slips
from .constants import Constants, round_off, shown
from .places import Places
from .record import Finding
from .rules import confusions_at, slips_at
from .slips import PLAIN, Slip
from .sweep import Contributions, Rule, Sweep, dot, gathered

DIRECTIONS = 4
SECONDS = 5.0
ORDINALS = ("first", "second", "third")
FACTORS = (-1.0, 0.0, 2.0, 0.5)
SHOWN = 3
# In longer loops nobody is supposed to have used one wrong array throughout.
MOST_ALIKE = 32


@dataclass
class Search:
    """The search; ``base`` are rules known to be wrong besides; ``stopped`` says that its time was up.

    ``quiet``: rules that change nothing in the true gradient, of what nobody differentiates by hand.
    """

    case: Case
    places: Places
    constants: Constants
    blocks: list[int]
    deadline: float
    base: dict[int, Rule] = field(default_factory=dict)
    stopped: bool = False
    quiet: dict[int, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.case.points[0]
        self.sweeps = [self._swept(point) for point in self.case.points]
        self.sweep = self.sweeps[0]
        # Others are explained elsewhere: nothing is asked of them.
        self.judged = [k for k in range(len(self.case.names)) if k in self.blocks or k not in self.case.wrong]
        self.directions = self._directions(first)
        self.residual = np.array([self._along(first, direction) for direction in self.directions])
        moved = [self.sweep.tangents(direction, self.quiet) for direction in self.directions]
        self.tangents = {
            number: np.stack([np.ravel(np.broadcast_to(one[number], self.sweep.values[number].shape)) for one in moved])
            for number in moved[0]
        }
        self.noise = max(self.case.slack) * sum(
            max(largest(first.true[k]), largest(first.given[k])) * first.true[k].size ** 0.5 / self.scale[k]
            for k in self.judged
        )

    def _swept(self, point: Point) -> Sweep:
        """The tape at a point, with what is known to be wrong."""
        assert point.sweep is not None
        if not self.base and not self.quiet:
            return point.sweep
        return Sweep(point.sweep.tape, point.leaves, self.case.variables, {**self.base, **self.quiet})

    def _directions(self, point: Point) -> list[list[np.ndarray]]:
        """Random directions in which every block that is judged weighs alike, the others not at all."""
        rng = np.random.default_rng(7)
        sizes = [largest(true) if k in self.case.shaped else 0.0 for k, true in enumerate(point.true)]
        top = max(sizes, default=1.0) or 1.0
        self.scale = [size or top for size in sizes]
        return [
            [
                rng.standard_normal(point.true[k].shape) * (k in self.judged) / self.scale[k]
                for k in range(len(self.case.names))
            ]
            for _ in range(DIRECTIONS)
        ]

    def _along(self, point: Point, direction: Sequence[np.ndarray]) -> float:
        return sum(dot(point.given[k] - self.sweep.truth[k], direction[k]) for k in self.judged)

    def late(self) -> bool:
        """Whether the time is up."""
        self.stopped = self.stopped or time.monotonic() > self.deadline
        return self.stopped

    # ------------------------------------------------------------------------ effects along the directions

    def effect(self, contributions: Contributions) -> np.ndarray:
        """What contributions to adjoints give along each direction."""
        total = np.zeros(DIRECTIONS)
        for number, part in contributions.items():
            if number in self.tangents:
                total = total + np.real(self.tangents[number] @ np.ravel(part))
        return total

    def plausible(self, effect: np.ndarray) -> bool:
        """Whether a change of the derivative along the directions is the error that was found."""
        with np.errstate(all="ignore"):
            return bool(np.all(np.abs(effect - self.residual) <= self.noise + 1e-3 * np.abs(self.residual).max() * 0.1))

    def scaled(self, effect: np.ndarray) -> float | None:
        """The factor in place of 1 on a contribution of this effect that explains the error, if one does."""
        size = float(effect @ effect)
        if not size or not np.isfinite(size):
            return None
        factor = 1.0 + float(effect @ self.residual) / size
        if not any(self.case.telling(k, round_off(factor)) for k in self.blocks):
            return None
        return factor if self.plausible((factor - 1.0) * effect) else None

    # ------------------------------------------------------------------------ full computation

    def holds(self, rules: dict[int, Rule]) -> bool:
        """Whether the tape with these rules gives what was given, at every point."""
        for point, sweep in zip(self.case.points, self.sweeps, strict=True):
            try:
                found = sweep.gradient(rules)
            except (ValueError, TypeError, FloatingPointError, np.linalg.LinAlgError):
                return False  # a rule that does not apply to these shapes
            for k in self.judged:
                first = point is self.case.points[0]
                if k in self.blocks and first and not self.case.fits(k, found[k], point):
                    return False
                if not self.case.near(k, found[k], point.given[k]):
                    return False
        return True

    def covered(self, rules: dict[int, Rule], blocks: Sequence[int]) -> list[int]:
        """Those of the blocks that these rules explain."""
        found = [sweep.gradient(rules) for sweep in self.sweeps]
        points = self.case.points
        return [
            k
            for k in blocks
            if self.case.fits(k, found[0][k], points[0])
            and all(self.case.near(k, one[k], point.given[k]) for one, point in zip(found, points, strict=True))
        ]

    # ------------------------------------------------------------------------ candidates

    def run(self) -> list[Explanation]:
        """Verified explanations of all blocks at once, the best first."""
        found = self._factors()
        found += self._rules(self._slips())
        # What takes longer comes only where nothing simpler has been found.
        for more in (self._lines, lambda: self._rules(self._confusions())):
            found = found or ([] if self.stopped else [*more()])
        if not found and not self.stopped and not self.quiet and (shifts := self._shifts()):
            search = replace(self, quiet=shifts)
            found = search.run()
            self.stopped = search.stopped
            return [replace(one, rules={**shifts, **one.rules}) for one in found]
        return sorted(found, key=lambda one: one.rank)

    def _shifts(self) -> dict[int, Rule]:
        """Of the max in exp(z - max(z)), whose adjoint cancels: the slip may be one with which it does not."""

        def cancels(equation: Equation) -> bool:
            below = [largest(self.sweep.adjoints.get(number, 0.0)) for number in (equation.output, *equation.inputs)]
            return equation.primitive.name == "max" and below[0] <= 1e-9 * max(below[1:])

        equations = self.sweep.tape.equations
        return {position: times(0.0) for position in self.sweep.pulled if cancels(equations[position])}

    def _slips(self) -> Iterator[Slip]:
        for position in self.sweep.pulled:
            yield from slips_at(self.sweep, self.places, position)
        yield from composite_slips(self.sweep, self.places)

    def _confusions(self) -> Iterator[Slip]:
        for position in self.sweep.pulled:
            yield from confusions_at(self.sweep, self.places, position)

    def _rules(self, slips: Iterable[Slip]) -> list[Explanation]:
        """One equation with a wrong rule."""
        verified: dict[int, list[Slip]] = {}
        for slip in slips:
            if self.late():
                break
            if self._may_be(slip) and self.holds({slip.position: slip.rule}):
                verified.setdefault(slip.position, []).append(slip)
        return [self._rule_finding(position, slips) for position, slips in verified.items()]

    def _may_be(self, slip: Slip) -> bool:
        equation = self.sweep.tape.equations[slip.position]
        adjoint = self.sweep.adjoints.get(equation.output)
        if adjoint is None:
            return False
        try:
            with np.errstate(all="ignore"):
                changed = self.effect(slip.rule(self.sweep, equation, adjoint))
        except (ValueError, TypeError, np.linalg.LinAlgError):
            return False  # shapes that do not fit: nobody can have written that
        return self.plausible(changed - self.effect({equation.output: adjoint}))

    def _rule_finding(self, position: int, slips: list[Slip]) -> Explanation:
        words = _either(list(dict.fromkeys(slip.words for slip in slips))[:SHOWN])
        subject = slips[0].subject
        sentence = f"The derivative of {subject}{self.places.equation(position)} is {words}; {self._consequence()}."
        finding = Finding("rule", sentence, self._block(), None, position, self.places.line(position))
        return Explanation(finding, frozenset(self.blocks), 0, {position: slips[0].rule})

    def _consequence(self) -> str:
        who, singular = self.case.subject(self.blocks)
        how = "with that besides" if self.base else "with that alone"
        return f"{how}, {who.replace('Every', 'every')} {'comes' if singular else 'come'} out as given"

    def _block(self) -> str:
        return listed([self.case.names[k] for k in self.blocks])

    def _factors(self) -> list[Explanation]:
        """An equation, or one operand of it, whose contribution has a wrong constant."""
        found: list[tuple[float, int, int | None]] = []
        for position, parts in self.sweep.pulled.items():
            if self.late():
                break
            equation = self.sweep.tape.equations[position]
            factor = self.scaled(self.effect({equation.output: self.sweep.adjoints[equation.output]}))
            if factor is not None and self.holds({position: times(factor)}):
                found.append((factor, position, None))
            if len(parts) < 2 and len(equation.inputs) == len(set(equation.inputs)):
                continue
            for index, part in enumerate(self.sweep.pull_each(equation, self.sweep.adjoints[equation.output])):
                factor = None if part is None else self.scaled(self.effect({equation.inputs[index]: part}))
                if factor is not None and self.holds({position: times(factor, index)}):
                    found.append((factor, position, index))
        return self._factor_findings(found)

    def _factor_findings(self, found: list[tuple[float, int, int | None]]) -> list[Explanation]:
        """One explanation for all places that have the same effect."""
        if not found:
            return []
        found.sort(key=self._likelihood)
        factor, position, index = found[0]
        if abs(factor) <= 1e-6:
            factor, how = 0.0, "is left out"
        elif abs(factor + 1) <= 1e-6:
            how = "has the wrong sign"
        else:
            names = self.constants.named(factor, max(self.case.slack))
            how = f"is {shown(factor)} times what it should be" + (f": {'; or '.join(names)}" if names else "")
        sentence = f"The derivative of {self._place(position, index)} {how}; {self._consequence()}."
        if same := [self._place(*one[1:], short=True) for one in found[1:]]:
            sentence += f" The same effect has a slip at {listed(same, 3)}."
        finding = Finding(
            "contribution", sentence, self._block(), round_off(factor), position, self.places.line(position)
        )
        return [Explanation(finding, frozenset(self.blocks), 1, {position: times(factor, index)})]

    def _likelihood(self, place: tuple[float, int, int | None]) -> tuple:
        """Of a chain, first what has this very constant, then functions with a slope of their own, then the rest."""
        factor, position, index = place
        equation = self.sweep.tape.equations[position]
        name = equation.primitive.name
        constant = any(
            number not in self.sweep.active and self._is_constant(self.sweep.values[number], abs(factor))
            for number in equation.inputs
        )
        squared = abs(factor) in (0.5, 2.0) and name in ("square", "integer_power")
        return not (constant or squared), name in PLAIN, index is not None, position

    def _is_constant(self, value: np.ndarray, factor: float) -> bool:
        if value.shape or not factor or abs(factor - 1) <= 1e-6:
            return False
        return min(abs(float(value) - factor), abs(float(value) * factor - 1)) <= max(self.case.slack)

    def _place(self, position: int, index: int | None, *, short: bool = False) -> str:
        name = self.places.short(position) if short else self.places.equation(position)
        if index is None:
            return name
        equation = self.sweep.tape.equations[position]
        return f"{name} with respect to {self.places.operand(equation, index)}"

    # ------------------------------------------------------------------------ one slip at several equations

    def _lines(self) -> Iterator[Explanation]:
        """The same slip at all equations of one line of the loss, or of one primitive: a helper or a loop."""
        groups: dict[tuple, list[int]] = {}
        for position in self.sweep.pulled:
            equation = self.sweep.tape.equations[position]
            name, line = equation.primitive.name, self.places.group(position)
            groups.setdefault((name, line), []).append(position)
            # Of several products on one line, those with the same matrix.
            given = tuple(number if number in self.sweep.tape.inputs else None for number in equation.inputs)
            groups.setdefault((name, line, given), []).append(position)
            if name not in PLAIN:
                groups.setdefault((name,), []).append(position)
        seen: set[tuple[int, ...]] = set()
        for (name, *_), positions in groups.items():
            key = tuple(sorted(positions))
            if len(key) < 2 or key in seen:
                continue
            seen.add(key)
            for words, rules in self._group_rules(key):
                if self.late():
                    return
                if self.holds(rules):
                    first = self.places.short(key[-1])
                    sentence = (
                        f"The derivative of `{name}` {words}, at all {len(rules)} places where it comes, the last of "
                        f"them {first}; {self._consequence()}."
                    )
                    finding = Finding("rule", sentence, self._block(), None, key[-1], self.places.line(key[-1]))
                    yield Explanation(finding, frozenset(self.blocks), 2, rules)
                    return

    def _group_rules(self, positions: tuple[int, ...]) -> Iterator[tuple[str, dict[int, Rule]]]:
        by_label: dict[str, dict[int, Slip]] = {}
        for position in positions:
            if self.late():
                return
            slips = [*slips_at(self.sweep, self.places, position)]
            if len(positions) <= MOST_ALIKE:
                slips += confusions_at(self.sweep, self.places, position)
            for slip in slips:
                by_label.setdefault(slip.label, {})[position] = slip
        for slips in by_label.values():
            if len(slips) > 1:
                words = slips[max(slips)].words
                yield f"is {words}", {position: slip.rule for position, slip in slips.items()}
        width = len(self.sweep.tape.equations[positions[0]].inputs)
        for factor in FACTORS:
            how = {-1.0: "has the wrong sign", 0.0: "is left out"}.get(factor, f"is {factor:g} times what it should be")
            yield how, {position: times(factor) for position in positions}
            for index in range(width if 1 < width <= len(ORDINALS) else 0):
                words = f"with respect to its {ORDINALS[index]} operand {how}"
                yield words, {position: times(factor, index) for position in positions}


def _either(readings: Sequence[str]) -> str:
    """Several readings with the same effect; what they begin with is said once."""
    first, *others = readings
    if not others:
        return first
    start, comma, _ = first.rpartition(", ")
    same = all(one.startswith(start + comma) for one in others)
    rest = [one.removeprefix(start + comma) if same else one for one in others]
    return f"{first} (or {', or '.join(rest)}, with the same effect)"


def times(factor: float, index: int | None = None) -> Rule:
    """The true rule times a constant, for all operands or for one."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        parts = sweep.pull_each(equation, adjoint)
        for at, part in enumerate(parts):
            if part is not None and index in (None, at):
                parts[at] = factor * part
        return gathered(equation, parts)

    return rule
