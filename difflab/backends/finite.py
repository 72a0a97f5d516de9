"""Finite differences: quotients of nearby values. Works on black boxes, and pays for it in accuracy and calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import GuardError, InputError
from ..execution.cache import Runner
from ..execution.plan import make_plan
from ..primitives.elementwise import stop_gradient
from ..tape import Tape
from ..transforms.inline import inline, inputs_like, transform_builder
from .deduced import basis
from .protocol import OPERATORS, Cost, Source, count

SCHEMES = ("central", "forward")
BAND = 10  # coordinates whose steps differ by more than a factor of 2**10 are not moved together
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Finite:
    """Finite differences.

    The automatic step balances truncation against rounding (Nocedal & Wright, 2006, section 8.1): with the unit
    roundoff u of the dtype, sqrt(u) for forward and u**(1/3) for central differences, times max(1, |x|).

    Args:
        scheme: "central", (f(x+h) - f(x-h)) / 2h, or "forward", (f(x+h) - f(x)) / h.
        step: "auto", or a positive number used for every coordinate.

    Example:
        >>> Finite(scheme="forward")
        Finite(scheme='forward', step='auto')
    """

    scheme: str = "central"
    step: str | float = "auto"
    name: str = field(default="finite", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest", "black-box")), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(f"Finite(scheme={self.scheme!r}): the schemes are {', '.join(map(repr, SCHEMES))}")
        number = isinstance(self.step, int | float | np.number) and not isinstance(self.step, bool)
        if self.step != "auto" and not (number and 0 < self.step < np.inf):  # type: ignore[operator] (a number)
            raise InputError(f"Finite(step={self.step!r}): the step is 'auto' or a positive number")

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    @property
    def evaluations(self) -> int:
        """Evaluations of the function per coordinate."""
        return 2 if self.scheme == "central" else 1

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """2n evaluations (central) or n + 1 (forward)."""
        directions = 1 if operator == "jvp" else sum(tape.avals[tape.inputs[i]].size for i in wrt)
        calls = self.evaluations * directions + (self.scheme == "forward" or operator != "gradient")
        nbytes = make_plan(tape, bake_constants=True).nbytes
        nbytes += 2 * sum(tape.avals[tape.inputs[i]].nbytes for i in wrt)
        return Cost(float(calls), calls * tape.flops, nbytes)

    def step_for(self, x: np.ndarray) -> np.ndarray:
        """The step for each coordinate of ``x``, such that x + h is exactly x + h."""
        if self.step == "auto":
            exponent = 1 / 3 if self.scheme == "central" else 1 / 2
            h = np.finfo(x.dtype).eps ** exponent * np.maximum(1, np.abs(x))
        else:
            h = np.broadcast_to(np.asarray(self.step, x.dtype), x.shape)
        h = h.astype(x.dtype)
        return (x + h) - x

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The quotients written out as a tape, coordinate by coordinate, for use inside another derivative.

        The steps follow the magnitude of the traced values and are constants to that other derivative.
        """
        builder = transform_builder()
        operands = inputs_like(builder, tape)
        leaves = [np.zeros(tape.avals[tape.inputs[i]].shape, tape.avals[tape.inputs[i]].dtype) for i in wrt]

        def evaluate(inputs: Sequence[Any]) -> list[Any]:
            values = inline(builder, tape, inputs)
            return [values[number] for number in tape.outputs]

        outputs = evaluate(operands)

        def shifted(i: int, direction: np.ndarray, sign: float) -> tuple[list[Any], Any]:
            """The outputs with one coordinate moved, and how far it went."""
            x = stop_gradient(operands[i])
            step = self._traced_step(x) * (sign * direction)
            moved = list(operands)
            moved[i] = operands[i] + step
            return evaluate(moved), np.sum(((x + step) - x) * direction)

        def slopes(i: int, direction: np.ndarray) -> list[Any]:
            ahead, ahead_by = shifted(i, direction, 1.0)
            behind, behind_by = shifted(i, direction, -1.0) if self.scheme == "central" else (outputs, 0.0)
            return [(a - b) / (ahead_by - behind_by) for a, b in zip(ahead, behind, strict=True)]

        columns = [(p, unit[p].copy(), slopes(wrt[p], unit[p].copy())) for p, _, unit in basis(leaves)]
        if operator == "jvp":
            seeds = [builder.input(tape.avals[tape.inputs[i]]) for i in wrt]
            tangents = [builder.primitive("zeros_like", output) for output in outputs]
            for p, direction, column in columns:
                share = np.sum(seeds[p] * direction)
                tangents = [t + share * slope for t, slope in zip(tangents, column, strict=True)]
            return builder.finish([*outputs, *tangents])
        late = [builder.input(tape.avals[number]) for number in tape.outputs] if operator == "vjp" else []
        entries: list[list[Any]] = [[] for _ in wrt]
        for p, _, column in columns:
            entry = column[0] if not late else sum(np.sum(c * s) for c, s in zip(late, column, strict=True))
            entries[p].append(entry)
        gradients = [
            np.reshape(np.stack(entry), leaf.shape) if entry else builder.constant(np.zeros_like(leaf))
            for entry, leaf in zip(entries, leaves, strict=True)
        ]
        return builder.finish([*outputs, *gradients])

    def _traced_step(self, x: Any) -> Any:
        """``step_for`` of a traced value."""
        if self.step == "auto":
            exponent = 1 / 3 if self.scheme == "central" else 1 / 2
            return float(np.finfo(x.dtype).eps) ** exponent * np.maximum(1, np.abs(x))
        return float(self.step)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedFinite:
        """Compile the loss itself if it can be traced; a black box is called as it is."""
        return PreparedFinite(self, source)


class PreparedFinite:
    """Evaluations of the loss at perturbed points."""

    def __init__(self, backend: Finite, source: Source):
        self._backend = backend
        self._source = source
        self._runner: Runner | None = None
        n_params = count([source.example[i] for i in source.wrt])
        calls = backend.evaluations * n_params + 1
        self.stats: dict[str, Any] = {"primal_calls": calls, "black_box": False}
        try:
            self._runner = Runner(source.tape, lambda tape: (tape,), ("value",), frozen=source.frozen)
            self.stats.update(self._runner.stats)
        except Exception as error:  # whatever a black box does not like about traced arrays
            self.stats.update(black_box=True, black_box_reason=f"{type(error).__name__}: {error}")

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        if self._runner is None:
            return self._source.call(leaves)
        return self._runner.run(list(leaves))

    def _centre(self, leaves: Sequence[Any]) -> tuple[list[Any], Any]:
        """The outputs, and for a black box the state of the global generator before it could draw from it."""
        state = np.random.get_state() if self._runner is None else None  # noqa: NPY002 (the one that users draw from)
        return self.value(leaves), state

    def _nearby(self, leaves: Sequence[Any], state: Any) -> list[Any]:
        """The outputs at a perturbed point, where Python may branch otherwise and NumPy's warnings are ours."""
        if state is not None:  # a quotient of two different draws would mean nothing
            np.random.set_state(state)  # noqa: NPY002
        with np.errstate(all="ignore"):
            try:
                return self.value(leaves)
            except GuardError:
                return self._source.call(leaves)

    def _quotients(self, centre: list[Any], moved: list[Any], move: Callable[[float], Any], state: Any) -> list[Any]:
        """Output quotients for one direction; ``move(sign)`` shifts ``moved`` and returns how far it went."""
        ahead_by = move(1.0)
        ahead = self._nearby(moved, state)
        if self._backend.scheme == "central":
            behind_by = move(-1.0)
            behind = self._nearby(moved, state)
        else:
            behind_by, behind = 0.0, centre
        # A step that rounding swallows moves nothing: the quotient is 0, as for anyone who divides by the nominal step.
        distance = (ahead_by - behind_by) or 1.0
        with np.errstate(all="ignore"):
            return [
                (a - b) / distance if a.dtype.kind == "f" else np.zeros(a.shape)  # choices have no derivative
                for a, b in zip(ahead, behind, strict=True)
            ]

    def _moving(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """The leaves with private copies of those that will be perturbed."""
        moved = list(leaves)
        for i in self._source.wrt:
            moved[i] = np.array(leaves[i])
        return moved

    def _columns(self, leaves: Sequence[Any], centre: list[Any], state: Any):
        """(leaf, index, output quotients) for every coordinate."""
        moved = self._moving(leaves)
        for position, i in enumerate(self._source.wrt):
            target, origin = moved[i], np.asarray(leaves[i])
            steps = np.asarray(self._backend.step_for(origin))
            for index in np.ndindex(target.shape):

                def move(sign: float, target=target, origin=origin, index=index, steps=steps) -> Any:
                    target[index] = origin[index] + sign * steps[index]
                    return target[index] - origin[index]

                yield position, index, self._quotients(centre, moved, move, state)
                target[index] = origin[index]

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, coordinate by coordinate."""
        centre, state = self._centre(leaves)
        gradients = [np.zeros(np.shape(leaves[i]), leaves[i].dtype) for i in self._source.wrt]
        for position, index, quotients in self._columns(leaves, centre, state):
            gradients[position][index] = quotients[0]
        return centre[0], gradients

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """One quotient along the tangent, or a few where its coordinates need steps of very different size."""
        centre, state = self._centre(leaves)
        slopes = [np.zeros_like(np.asarray(c)) for c in centre]
        for h, parts in self._bands(leaves, tangents):
            moved = self._moving(leaves)

            def move(sign: float, h=h, parts=parts, moved=moved) -> float:
                for i, part in zip(self._source.wrt, parts, strict=True):
                    np.add(leaves[i], np.asarray(sign * h, leaves[i].dtype) * part, out=moved[i])
                return sign * h

            for slope, part in zip(slopes, self._quotients(centre, moved, move, state), strict=True):
                slope += np.asarray(part, slope.dtype)
        return centre, slopes

    def _bands(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> list[tuple[float, list[np.ndarray]]]:
        """The tangent as a sum of parts whose coordinates agree on the step along it within a factor of 2**BAND."""
        ratios = []
        for i, tangent in zip(self._source.wrt, tangents, strict=True):
            steps = np.asarray(self._backend.step_for(np.asarray(leaves[i])), np.float64)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ratios.append(np.where(tangent == 0, np.inf, steps / np.abs(np.asarray(tangent, np.float64))))
        levels = [
            np.where(np.isfinite(r) & (r > 0), np.floor(np.log2(np.fmax(r, TINY)) / BAND), np.nan) for r in ratios
        ]
        bands = []
        for level in sorted({float(v) for one in levels for v in np.unique(one) if v == v}):
            parts = [np.where(one == level, t, 0).astype(t.dtype) for one, t in zip(levels, tangents, strict=True)]
            h = min(float(np.min(r[one == level], initial=np.inf)) for r, one in zip(ratios, levels, strict=True))
            bands.append((h, parts))
        return bands

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one quotient per input coordinate, each with its own step."""
        kept = [np.array(leaf) for leaf in leaves]
        outputs, state = self._centre(kept)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            result = [np.zeros(np.shape(kept[i]), kept[i].dtype) for i in self._source.wrt]
            for position, index, quotients in self._columns(kept, outputs, state):
                result[position][index] = sum(
                    np.sum(np.multiply(c, q)) for c, q in zip(cotangents, quotients, strict=True)
                )
            return result

        return outputs, pullback
