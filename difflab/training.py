"""Training: steepest descent and mini-batch descent with any backend as the source of the gradient.

The loss is prepared once and replayed; parameters and data are arguments of every step, and nothing that the caller
owns is written to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backends.protocol import Backend
from .calls import describe
from .containers import flatten, unflatten
from .errors import InputError
from .operators import prepare

Watch = Callable[[int, float, Any], object]


@dataclass(frozen=True, eq=False, repr=False)
class Descent:
    """What a descent did.

    ``losses[k]`` is the loss after ``k`` steps, with mini-batches that of the batch whose turn it is; ``seconds[k]``
    the time at which the parameters after ``k`` steps were there, counted from the call, ``seconds[0]`` of it for
    preparing.  ``params`` are those of the last loss, in the structure that was given.  ``stopped`` says why it ended:
    ``"precision"``, ``"max_iters"``, ``"seconds"``, or ``"diverged: ..."`` with what was not finite and where.

    Example:
        >>> descend(lambda x: (x - 1) ** 2, 3.0, rate=0.25, max_iters=2).losses
        array([4.  , 1.  , 0.25])
    """

    params: Any
    losses: np.ndarray
    seconds: np.ndarray
    stopped: str

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.losses) - 1

    @property
    def loss(self) -> float:
        """The last loss."""
        return float(self.losses[-1])

    def __repr__(self) -> str:
        return f"<Descent: {self.steps} steps, loss {self.loss:.3g}, stopped by {self.stopped}>"


def descend(
    function: Callable[..., Any],
    params: Any,
    *data: Any,
    rate: float,
    precision: float = 1e-6,
    max_iters: int = 10_000,
    seconds: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    momentum: float = 0.0,
    backend: str | Backend = "reverse",
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    watch: Watch | None = None,
) -> Descent:
    """Steepest descent, ``params <- params - rate * gradient``, by default with all data in every step.

    It stops as soon as a step is no longer than ``precision``, or after ``max_iters`` steps: the stop rule of the
    lectures.  With ``batch``, each step sees so many rows of the data: the rows are shuffled anew in every epoch, and
    those left over at its end have to wait for the next.  With ``momentum``, each step goes along
    ``velocity <- momentum * velocity + gradient`` (Polyak, 1964).  For complex parameters it goes along the conjugate
    of the gradient, which is the direction of steepest descent.

    Args:
        function: scalar loss in plain NumPy, of ``(params, *data)``.
        params: where to start: a number, an array or a container of them; it stays as it is.
        data: further arguments of the loss, never differentiated.
        rate: the learning rate, positive.
        precision: length of a step (Euclidean, over all parameters) from which on it goes no further; 0 goes on to
            a step of 0.
        max_iters: the most steps.
        seconds: the most seconds, preparing included; the step under way is finished.
        batch: rows of one mini-batch; then every array of the data is split along its first axis.
        seed: of the shuffling.
        momentum: share of the last step that the next keeps, from 0 to below 1.
        backend: a name or a backend value: where the gradient comes from.
        analytic: hand-derived ``analytic(params, *data) -> (value, gradient)`` for the backend of that name.
        watch: called as ``watch(step, loss, params)`` with every loss, outside the clock.

    Returns:
        A ``Descent``: parameters, losses and seconds step by step, and why it stopped.

    Raises:
        InputError: a setting is out of its range, or the data cannot be split into batches.
        TraceError, UnsupportedError: as of ``prepare``.

    Example:
        >>> found = descend(lambda x: (x + 5) ** 2, 3.0, rate=0.1)
        >>> found.stopped, round(found.params, 4)
        ('precision', -5.0)
    """
    name = describe(function)
    _require(name, rate=rate, precision=precision, max_iters=max_iters, seconds=seconds, momentum=momentum)
    rate, momentum = float(rate), float(momentum)  # NumPy's float64 would widen the steps of float32 parameters
    batches = _batches(data, batch, seed, name)
    begin, away = time.perf_counter(), 0.0
    now = next(batches)
    prepared = prepare(
        function, params, *now, argnums=0, backend=backend, operator="value_and_gradient", analytic=analytic
    )
    leaves, structure = flatten(params)
    leaves = [np.array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    velocity: list[Any] = [0.0] * len(leaves)
    losses: list[float] = []
    times: list[float] = []
    length, stopped = math.inf, ""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a descent that diverges says so itself
        while not stopped:
            times.append(time.perf_counter() - begin - away)
            tree = unflatten(structure, leaves)
            if length <= precision and losses:
                stopped = "precision"
            elif len(losses) == max_iters:
                stopped = "max_iters"
            elif seconds is not None and times[-1] >= seconds:
                stopped = "seconds"
            value, gradient = (prepared.value(tree, *now), None) if stopped else prepared(tree, *now)
            losses.append(float(value))
            if watch is not None:
                left = time.perf_counter()
                watch(len(losses) - 1, losses[-1], tree)
                away += time.perf_counter() - left
            if not math.isfinite(losses[-1]):
                stopped = f"diverged: the loss is {losses[-1]} at step {len(losses) - 1}"
            if stopped:
                break
            slopes = [np.conj(slope) if slope.dtype.kind == "c" else slope for slope in flatten(gradient)[0]]
            if len(losses) == 1:
                _require_form(name, prepared.backend, slopes, leaves)
            velocity = [momentum * v + s for v, s in zip(velocity, slopes, strict=True)] if momentum else slopes
            steps = [rate * v for v in velocity]
            length = _length(steps)
            if not math.isfinite(length):
                stopped = f"diverged: the gradient is not finite at step {len(losses) - 1}"
                break
            leaves = [_moved(leaf, step) for leaf, step in zip(leaves, steps, strict=True)]
            now = next(batches)
    return Descent(unflatten(structure, leaves), np.array(losses), np.array(times), stopped)


def _require_form(name: str, backend: Backend, slopes: Sequence[Any], leaves: Sequence[Any]) -> None:
    """A gradient has the shapes of its variables; one that only broadcasts to them would be followed unnoticed."""
    shapes, expected = [np.shape(slope) for slope in slopes], [np.shape(leaf) for leaf in leaves]
    if shapes != expected:
        raise InputError(
            f"descend of {name}: backend {backend.name!r} gave a gradient of shapes {shapes} for parameters of shapes "
            f"{expected}"
        )


def _moved(leaf: Any, step: Any) -> Any:
    """A leaf after a step, of the type that it was, so that the next call is like the last."""
    if isinstance(leaf, np.ndarray):
        return np.asarray(leaf - step)
    return type(leaf)(leaf - step)


def _length(steps: Sequence[Any]) -> float:
    """The Euclidean length of all parts together, in float64 whatever the dtype, so that no square vanishes."""
    squares = 0.0
    for step in steps:
        if step.dtype != np.float64:
            step = step.astype(np.complex128 if step.dtype.kind == "c" else np.float64)
        squares += float(np.vdot(step, step).real)
    if math.isfinite(squares):
        return math.sqrt(squares)
    largest = max(float(np.max(np.abs(step), initial=0.0)) for step in steps)  # NaN and infinity stay what they are
    return largest * _length([step / largest for step in steps]) if math.isfinite(largest) else largest


def _batches(data: tuple[Any, ...], batch: int | None, seed: int, name: str) -> Iterator[tuple[Any, ...]]:
    """The arguments after the parameters, step by step; what is wrong with them is said at once."""
    if batch is None:
        return iter(lambda: data, None)
    flat = [flatten(argument) for argument in data]
    arrays = [leaf for leaves, _ in flat for leaf in leaves if _split(leaf)]
    counts = sorted({len(array) for array in arrays})
    if not counts:
        raise InputError(f"descend of {name}: batch={batch!r} splits arrays, and no array was given as data")
    if len(counts) > 1:
        raise InputError(
            f"descend of {name}: batch={batch!r} splits every array of the data along its first axis, and their "
            f"lengths differ: {', '.join(map(str, counts))}; what is to stay whole can be closed over"
        )
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or not 1 <= batch <= counts[0]:
        raise InputError(
            f"descend of {name}: batch={batch!r} is a whole number from 1 to the {counts[0]} rows of the data"
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"descend of {name}: seed={seed!r} is a whole number, not below 0")
    return _shuffled(flat, counts[0], int(batch), int(seed))


def _shuffled(flat: Sequence[tuple[list[Any], Any]], rows: int, batch: int, seed: int) -> Iterator[tuple[Any, ...]]:
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(rows)
        for start in range(0, rows - batch + 1, batch):
            chosen = order[start : start + batch]
            yield tuple(
                unflatten(structure, [leaf[chosen] if _split(leaf) else leaf for leaf in leaves])
                for leaves, structure in flat
            )


def _split(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.ndim > 0


def _require(name: str, **given: Any) -> None:
    """Every setting is a number in its range."""
    ranges = {  # least, most, whether the ends count, whole
        "rate": (0.0, math.inf, False, False),
        "precision": (0.0, math.inf, True, False),
        "max_iters": (0, math.inf, True, True),
        "seconds": (0.0, math.inf, False, False),
        "momentum": (0.0, 1.0, True, False),
    }
    words = {
        "rate": "a positive finite number",
        "precision": "a finite number, not below 0",
        "max_iters": "a whole number, not below 0",
        "seconds": "a positive number of seconds, or None",
        "momentum": "a number from 0 to below 1",
    }
    for key, value in given.items():
        least, most, equal, whole = ranges[key]
        if key == "seconds" and value is None:
            continue
        kinds = int | np.integer if whole else float | int | np.floating | np.integer
        right = isinstance(value, kinds) and not isinstance(value, bool)
        number = _as_float(value) if right else math.nan
        if not ((number >= least if equal else number > least) and number < most):
            raise InputError(f"descend of {name}: {key}={value!r} is to be {words[key]}")


def _as_float(value: Any) -> float:
    """An integer beyond the largest float is as infinite as infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


__all__ = ["Descent", "descend"]
