"""``check``: a hand-written gradient against the certified truth, and in words what is wrong with it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import numpy_functions  # noqa: F401 (fills the table of NumPy functions)
from ..arrays import device_of
from ..calls import describe
from ..containers import flatten
from ..errors import InputError, location_of
from .answer import Answer, entry, listed
from .case import Case, Point, largest
from .diagnosis import diagnose
from .layers import Bisection
from .memory import remembered
from .record import Block, Check, Coordinate, Finding
from .subject import NOISE, Subject, filled
from .sweep import wide
from .ties import tie_finding
from .truth import Truth, measured

TOLERANCES = ((1e-12, 1e-10), (1e-6, 1e-4), (math.inf, 3e-2))
"""Units of rounding up to which, and the tolerance that goes with them: float64, float32, float16."""
WORST = 5
FEW = 16


def check(
    my_gradient: Callable[..., Any],
    loss: Callable[..., Any],
    *args: Any,
    argnums: Any = 0,
    layers: Any = None,
    tolerance: float | None = None,
    reference_seconds: float = 20.0,
    **kwargs: Any,
) -> Check:
    """Judge a gradient that somebody wrote by hand, and say what is wrong with it.

    The truth is the certified gradient of ``loss`` at these arguments.  A second look is taken at parameters nearby
    (seeded), so that what is right at one point by chance is not taken for right, and no slip is named for which only
    one point speaks.  A slip is named only if the true gradient with that slip is the given one, up to rounding.

    Args:
        my_gradient: called with the same arguments as ``loss``, in copies; returns the gradient in the structure of
            ``args[argnums]`` (a tuple for a tuple of argnums), or ``(value, gradient)``, or
            ``(value, gradient, layers)``.  What has the structure of the gradient is taken for the gradient; otherwise
            a tuple whose first part is a number is taken for value and gradient.
        loss: plain NumPy function with one output of shape ().
        args: its arguments: floating-point arrays and numbers and containers of them where they are differentiated.
            With arrays of CuPy ``my_gradient`` is called with such arrays, and the truth is computed on the host.
        argnums: position or positions to differentiate.
        layers: your own values and adjoints (derivatives of the loss by the value) of each layer, as a mapping from
            names or a list in forward order, of pairs ``(value, adjoint)``: the first adjoint that is wrong, coming
            back from the loss, is named.
        tolerance: largest relative error (2-norm, of every block) of a right gradient; by default 1e-10 in float64,
            1e-4 in float32, 3e-2 in float16; besides, rounding as large as reverse mode's own is forgiven.
        reference_seconds: after which the certified reference is given up for a sample of it.
        kwargs: keyword arguments of both functions, never differentiated.

    Returns:
        A ``Check``: true if the gradient is right; ``print`` it to read what is wrong.

    Raises:
        InputError, TraceError: the loss cannot be differentiated here.  What ``my_gradient`` raises is passed on.

    Example:
        >>> def loss(w, x):
        ...     return np.mean((x @ w) ** 2)
        >>> def gradient(w, x):
        ...     return 2 * x.T @ (x @ w)
        >>> found = check(gradient, loss, np.array([0.5, -1.0]), np.arange(8.0).reshape(4, 2))
        >>> print(found.findings[0].sentence)
        w is 4 times the true gradient: a missing 1/N (x has 4 rows); or a factor 4 too much.
    """
    for what, thing in (("my_gradient", my_gradient), ("loss", loss)):
        if not callable(thing):
            raise InputError(
                f"dl.check takes two functions, as in dl.check(my_gradient, loss, params, x, y); {what} is a "
                f"{type(thing).__name__}"
            )
        _require_signature(thing, args, kwargs)
    if device_of(flatten([args, kwargs])[0]) == "gpu":  # the gradient computes there, the truth on the host
        from ..harness.gpu_side import computed_there, downloaded

        my_gradient, args, kwargs = computed_there(my_gradient), downloaded(args), downloaded(kwargs)
    try:
        subject = Subject(my_gradient, loss, args, kwargs, argnums)
    except InputError as error:
        answer = my_gradient(*args, **kwargs)
        if isinstance(answer, float | np.number | np.ndarray) and np.shape(answer) == ():
            raise InputError(
                f"{error}; the first function, {describe(my_gradient)}, returns a single number: are the two in the "
                "wrong order? It is dl.check(my_gradient, loss, ...)"
            ) from None
        raise
    return _Checking(subject).run(layers, tolerance, reference_seconds)


def _require_signature(function: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built-ins have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(f"{describe(function)} cannot be called with the arguments that are given: {error}") from None


class _Checking:
    """One check in progress."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self.findings: list[Finding] = []
        self.failed = False  # whether the gradient fails at parameters nearby

    def run(self, layers: Any, tolerance: float | None, seconds: float) -> Check:
        """The whole check."""
        subject = self.subject
        truth = subject.truth(seconds)
        answer = subject.answer(subject.bound.leaves)
        self.findings += answer.findings
        usual = next(limit for eps, limit in TOLERANCES if subject.eps() <= eps)
        limit = usual if tolerance is None else float(tolerance)
        value_error = self._value_error(answer, limit)
        case = self._case(answer, truth, limit, usual)
        memory = self._memory(case, answer)
        wrong = False
        # What remembers the right answer is right here: its answers elsewhere say nothing about its rules.
        if case.wrong and not (memory and "elsewhere" in {one.kind for one in self.findings}):
            tie = None if answer.spoiled else tie_finding(case)
            if tie is None:
                wrong = True
                self._diagnose(case)
            else:
                self.findings.append(tie)
                case.wrong.clear()
                memory = []
        elif memory:
            self.findings = [one for one in self.findings if one.kind != "elsewhere"]
        self.findings += memory
        ok = not (wrong or memory or answer.spoiled or self.failed) and value_error is None
        given_layers = answer.layers if layers is None else layers
        if given_layers is not None:
            self.findings += self._layers(given_layers, truth)
        errors = measured(answer.blocks, truth, subject.shapes, subject.dtypes)
        return Check(
            name=describe(subject.gradient).strip("`"), loss=describe(subject.loss).strip("`"), ok=ok, tolerance=limit,
            certified=truth.text, blocks=self._blocks(answer, truth, case, limit),
            worst=self._worst(answer, truth, limit), findings=self.findings, value_error=value_error, **errors,
        )  # fmt: skip

    # ------------------------------------------------------------------------ what is wrong

    def _value_error(self, answer: Answer, limit: float) -> float | None:
        """The relative error of the value that came with the gradient, where it is wrong."""
        if answer.value is None:
            return None
        value = self.subject.value(self.subject.bound.leaves)
        error = float(abs(answer.value - value)) / (abs(value) or 1.0)
        if error <= limit:
            return None
        sentence = f"The value returned with the gradient is {answer.value:.9g}, and the loss is {value:.9g}."
        self.findings.append(Finding("value", sentence))
        return error

    def _case(self, answer: Answer, truth: Truth, limit: float, usual: float) -> Case:
        """Both points, and which blocks are wrong at either."""
        subject, count = self.subject, len(self.subject.names)
        usable = [k for k, part in enumerate(answer.blocks) if part is not None and np.isfinite(part).all()]
        here = Point(subject.bound.leaves, [], truth.blocks, truth.sweep)
        filled(here, answer, usable)
        shaped = [k for k in usable if here.given[k].shape == subject.shapes[k]]
        case = Case(
            [here], subject.names, subject.wrt, subject.leaf_names, self._slack(answer, usual),
            [NOISE * noise for noise in truth.noise], [], shaped,
        )  # fmt: skip
        case.explained = {k for k in range(count) if k not in usable}
        case.wrong = [k for k in range(count) if k not in usable or not self._right(k, here, truth, limit)]
        # A few numbers are met by chance more easily, so more points have to agree.
        few = sum(map(math.prod, subject.shapes)) <= FEW
        for seed in range(2 if few else 1):
            point = self._nearby(case, truth, usable, seed)
            if point is None:
                break
            case.points.append(point)
        self._elsewhere(case, truth, usable, limit)
        return case

    def _slack(self, answer: Answer, usual: float) -> list[float]:
        """Per block the relative difference that an explanation may leave."""
        coarse = [
            max(self.subject.eps(), float(np.finfo(part.dtype).eps) if part is not None else 0.0)
            for part in answer.blocks
        ]  # fmt: skip
        return [max(1e-10, min(usual, 250 * eps), 25 * eps) for eps in coarse]

    def _nearby(self, case: Case, truth: Truth, usable: Sequence[int], seed: int) -> Point | None:
        """Another point, with what the gradient gives there; faults of the gradient there are noted."""
        point = self.subject.nearby(truth, seed)
        if point is None:
            if case.wrong:
                sentence = "The loss allows no look at parameters nearby; what is said here rests on one point."
                self.findings.append(Finding("elsewhere", sentence))
            return None
        try:
            with np.errstate(all="ignore"):
                answer = self.subject.answer(point.leaves)
        except Exception as error:  # a function of the user's that worked at the example
            what = f"raises {type(error).__name__} ({location_of(error)}): {error}"
        else:
            alike = filled(point, answer, usable) and all(
                a.shape == b.shape for a, b in zip(point.given, case.points[0].given, strict=True)
            )
            if alike:
                return point
            what = "has another form or numbers that are not finite"
        self.findings.append(
            Finding("elsewhere", f"At parameters nearby, where the loss is finite, the gradient {what}.")
        )
        self.failed = True
        return None

    def _elsewhere(self, case: Case, truth: Truth, usable: Sequence[int], limit: float) -> None:
        """Where the gradient is right at the example, the first point at which it is wrong takes its place."""
        if any(k in usable for k in case.wrong):
            return
        for point in case.points[1:]:
            elsewhere = [k for k in case.shaped if not self._right(k, point, truth, 10 * limit)]
            if elsewhere:
                case.points.sort(key=lambda one, wrong=point: one is not wrong)
                case.wrong = sorted({*case.wrong, *elsewhere})
                names = listed([self.subject.names[k] for k in elsewhere])
                verb = "is" if len(elsewhere) == 1 else "are"
                sentence = f"At these arguments the gradient is right; at parameters nearby {names} {verb} wrong."
                self.findings.append(Finding("elsewhere", sentence, names))
                return

    def _right(self, k: int, point: Point, truth: Truth, limit: float) -> bool:
        given, true = point.given[k], point.true[k]
        if given.shape != true.shape:
            return False
        return _norm(given - true) <= limit * _norm(true) + NOISE * truth.noise[k] * math.sqrt(true.size)

    def _memory(self, case: Case, answer: Answer) -> list[Finding]:
        if len(case.points) < 2 or any(part is None for part in answer.blocks):
            return []
        leaves = self.subject.bound.leaves
        here, there, *_ = sorted(case.points, key=lambda point: point.leaves is not leaves)
        return remembered(case, here, there, lambda: self.subject.answer(leaves).blocks)

    def _diagnose(self, case: Case) -> None:
        """Put what is found in front of the findings of form, less those that are explained."""
        form = set(case.explained)
        found = diagnose(self.subject, case)
        told = {self.subject.names[k] for k in case.explained - form}
        self.findings = [*found, *[one for one in self.findings if one.kind != "shape" or one.block not in told]]

    def _layers(self, given: Any, truth: Truth) -> list[Finding]:
        """What the user's per-layer values say."""
        places = self.subject.places()
        if truth.sweep is None or places is None:
            return [Finding("layer", "Layers cannot be compared: the loss has no tape.")]
        slack = max(1e-9, 1e3 * self.subject.eps())
        return Bisection(truth.sweep, places, self.subject.constants(), slack).findings(given)

    # ------------------------------------------------------------------------ the report

    def _blocks(self, answer: Answer, truth: Truth, case: Case, limit: float) -> list[Block]:
        """One line per block."""
        norm = math.sqrt(sum(_norm(true) ** 2 for true in truth.blocks))
        rows = []
        for k, (name, true) in enumerate(zip(self.subject.names, truth.blocks, strict=True)):
            part, shape = answer.blocks[k], self.subject.shapes[k]
            if part is None:
                rows.append(Block(name, shape, math.inf, "missing"))
            elif part.shape != true.shape:
                rows.append(Block(name, shape, math.inf, f"shape {part.shape}"))
            elif not np.isfinite(part).all():
                rows.append(Block(name, shape, math.inf, "not finite"))
            else:
                error = _norm(wide(part) - true) / (_norm(true) or norm or 1.0)
                here = next(point for point in case.points if point.leaves is self.subject.bound.leaves)
                elsewhere = "wrong" if not self._right(k, here, truth, limit) else "wrong nearby"
                rows.append(Block(name, shape, error, elsewhere if k in case.wrong else "right"))
        return rows

    def _worst(self, answer: Answer, truth: Truth, limit: float) -> list[Coordinate]:
        """The wrong coordinates that matter most: by error over their own size plus a tenth of the block's largest."""
        found: list[tuple[float, Coordinate]] = []
        for name, part, true in zip(self.subject.names, answer.blocks, truth.blocks, strict=True):
            if part is None or part.shape != true.shape or not part.size:
                continue
            given = wide(part)
            with np.errstate(all="ignore"):
                error = np.abs(given - true)
                weight = error / (np.abs(true) + 0.1 * largest(true) + 1e-300)
            weight = np.where(np.isfinite(given), weight, math.inf)
            for at in np.argsort(-weight, axis=None, kind="stable")[:WORST]:
                index = tuple(int(i) for i in np.unravel_index(at, true.shape))
                if weight[index] > limit:
                    size = float(np.abs(true[index]))
                    relative = float(error[index]) / size if size and np.isfinite(error[index]) else math.inf
                    one = Coordinate(entry(name, index), given[index].item(), true[index].item(), relative)
                    found.append((float(weight[index]), one))
        return [one for _, one in sorted(found, key=lambda pair: -pair[0])[:WORST]]


def _norm(array: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(np.abs(array) ** 2)))
