"""Ways of differentiating one's own function, measured by turns in this process.

``compare`` shows what comes out, ``recommend`` chooses from it.  The same certified reference as in studies, but one
process: no intervals and no verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import errors
from .arrays import device_of
from .backends import resolve
from .backends.analytic import Analytic
from .backends.protocol import Backend, Prepared, Source
from .backends.ways import require
from .calls import bind, describe, leaf_names
from .containers import flatten
from .execution.exact import forecast_seconds
from .flat import Function, make_source, require_scalar
from .harness import accuracy, amounts
from .harness.finite_loss import fault_of_loss
from .harness.foreseen import foresee, over_limit
from .harness.gpu_side import downloaded
from .harness.interleave import interleave
from .harness.operation import VECTORS, Operation
from .harness.reference import Reference
from .harness.results import COLUMNS, MORE_COLUMNS
from .harness.session import side_of, warm_up
from .harness.study_device import check_device
from .harness.worker import verdict
from .prepared import OF_ONE_NUMBER
from .trace_checks import check_trace
from .tracing import trace_leaves
from .trees import cotangent_leaves, tangent_leaves, value_tree, vector_leaves

DEFAULT = ("finite", "symbolic", "forward", "reverse")
OPERATORS = ("gradient", "jacobian", "jvp", "vjp", "hvp", "hessian")
SEED = 0
PATIENCE = 20.0
"""Seconds that a backend may be forecast to take to prepare and call once: as much as a study gives a case."""
FAST = 1.0
"""Seconds above which calls are not repeated to measure their arrays, which slows them several times."""
TRIED = 2.0
"""Times the limit of memory up to which a forecast is tried."""
LITTLE = 2.0**26
"""Bytes that are tried in any case."""
COMPLEX = 8.0
"""Times that NumPy takes longer for elementary functions of complex numbers: from 3 (log) to 8 (tanh)."""

Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Limits:
    """What is not even tried: ``seconds`` forecast to prepare and call once, and far more than ``memory`` bytes.

    ``reference`` are the seconds after which the certified reference is given up.
    """

    seconds: float = PATIENCE
    memory: float | None = None
    reference: float = 20.0

    @property
    def worth(self) -> float | None:
        """Bytes up to which a forecast is tried all the same, for it may be too high."""
        return None if self.memory is None else max(TRIED * self.memory, LITTLE)


class Contest:
    """One function at one point, and the backends that differentiate it there.

    Args:
        function: plain NumPy function.
        args: its arguments, arrays and containers of them.
        kwargs: its keyword arguments.
        operator: one of ``OPERATORS``.
        argnums: position or positions to differentiate.
        analytic: hand-derived ``analytic(*args) -> (value, gradient)``.
        device: "cpu" or "gpu"; by default where the arguments are.
        tell: is called with events of progress, as ``difflab.run`` has them.

    Raises:
        InputError: an argument or the operator is none.
        UnavailableError: the device is not to be had.

    Example:
        >>> contest = Contest(lambda w: np.sum(w * w), (np.ones(3),), {}, "gradient", 0)
        >>> contest.open(["reverse"])
        >>> contest.measure(Limits())
        >>> contest.rows[0]["outcome"]
        'ok'
    """

    def __init__(
        self, function: Callable, args: Sequence[Any], kwargs: dict[str, Any], operator: str, argnums: Any,
        analytic: Callable | None = None, device: str | None = None, tell: Listener | None = None,
    ) -> None:  # fmt: skip
        if operator not in OPERATORS:
            raise errors.InputError(f"operator={operator!r}: it is one of {', '.join(map(repr, OPERATORS))}")
        given = device_of(leaf for tree in (*args, *kwargs.values()) for leaf in flatten(tree)[0])
        self.side = side_of({"device": given if device is None else check_device(device)})
        args = tuple(args)
        if given == "gpu":
            args, kwargs = tuple(map(downloaded, args)), {name: downloaded(value) for name, value in kwargs.items()}
        self.function, self.operator, self._analytic = function, operator, analytic
        bound = bind(function, args, kwargs, argnums)
        self.source, self._flat = make_source(function, bound, frozen=True, analytic=analytic, names=True)
        self._there = _Place(self.side, function, args, kwargs, argnums, analytic, self.source)
        self._tell = tell or (lambda _: None)
        self.black_box = False
        self.backends: list[Backend] = []
        self.labels: list[str] = []
        self.vectors: Any = None
        self.rows: list[dict[str, Any]] = []
        self.samples: dict[str, list[list[float]]] = {}
        self.facts: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What the function is called."""
        return describe(self.function).strip("`")

    @property
    def has_data(self) -> bool:
        """Whether there are arguments with numbers that are not differentiated."""
        return len(self.source.example) > len(self.source.wrt)

    def open(self, backends: Sequence[str | Backend], vectors: Any = None) -> None:
        """Record the function, and settle the vectors that the operator takes.

        Args:
            backends: names or values of those that will take part, as far as they are known.
            vectors: in the user's structure; random ones where there are none.

        Raises:
            TraceError, InputError: the function cannot be recorded or is not one that the operator takes, or a backend
                is named twice.
        """
        self.add(backends)
        if self._analytic is not None and not any(one.family == "analytic" for one in self.backends):
            self.backends.append(Analytic(self._analytic))
        if not self.backends:
            raise errors.InputError("no backend is named; give at least one, such as 'reverse'")
        labels = labels_of(self.backends)
        if twice := [label for k, label in enumerate(labels) if label in labels[:k]]:
            raise errors.InputError(f"backend {twice[0]} is named twice")
        fault = _fault_of_trace(self.source, self._flat, self.operator, self.backends)
        self.black_box = fault is not None
        self.operation, self.vectors = _operation(self.operator, vectors, self.source, self._flat)
        self._located = self.side.operation(self.operation, self._there.source())

    def add(self, backends: Sequence[str | Backend]) -> None:
        """Let further backends take part."""
        self.backends += [resolve(backend) for backend in backends]

    def measure(self, limits: Limits) -> None:
        """Certify the result, let every backend compute it, and time them by turns; fills ``rows`` and ``samples``.

        Args:
            limits: what is given up or not tried.
        """
        self.labels = labels_of(self.backends)
        steps = len(self.backends) + 2
        noun = accuracy.NOUNS[self.operator]
        truth, why = None, "the loss cannot be traced"
        if not self.black_box:
            self._say(f"certifying the {noun}, {limits.reference:g} s at most", 0, steps)
            truth, why = self._truth(limits.reference)
        primal = self._there.primal()
        primal_s = min(self.side.timed(primal)[0] for _ in range(3))
        ready: list[tuple[dict[str, Any], Callable[[], Any]]] = []
        for position, (backend, label) in enumerate(zip(self.backends, self.labels, strict=True)):
            self._say(f"{label}: preparing and calling once", 1 + position, steps)
            row = self._row(backend, label)
            self.rows.append(row)
            asked = self._located
            if isinstance(backend, Analytic) and backend.function is not None:
                asked = replace(asked, source=self._there.source(backend.function))
            try:
                backend = self.side.configured(backend, {"options": {}})
                prepared = self._once(row, backend, asked, (truth, why), primal_s, limits)
                ready.append((row, self.side.call(asked, backend, prepared, warm=False)))
            except Exception as fault:  # whatever a backend does wrong becomes its row
                row["outcome"], row["reason"] = verdict(fault)
                continue
            row |= self.side.notes(prepared.stats)
        self._say("timing by turns", steps - 1, steps)
        self.samples = interleave(ready, self._there.primal, self.side)
        self.facts = {"why": why} if truth is None else accuracy.facts_of(truth)

    def _truth(self, seconds: float) -> tuple[Reference | None, str]:
        """The certified result, or why there is none; not begun where the function alone would take too long."""
        tape = self.source.trace()
        if (least := forecast_seconds(tape)) > seconds:
            loss, limit = amounts.duration(least), amounts.duration(seconds)
            return None, f"the loss alone is forecast to take {loss} in ball arithmetic; the limit is {limit}"
        return accuracy.truth_of(tape, self.operation, seconds)

    def _say(self, text: str, done: int, steps: int) -> None:
        self._tell({"event": "running", "text": text, "done": done, "steps": steps})

    def _row(self, backend: Backend, label: str) -> dict[str, Any]:
        variables = [self.operation.source.example[i] for i in self.operation.source.wrt]
        row: dict[str, Any] = dict.fromkeys((*COLUMNS, *MORE_COLUMNS))
        return row | {
            "problem": self.name,
            "size": "",
            "n_params": sum(int(np.size(variable)) for variable in variables),
            "dtype": str(max((leaf.dtype for leaf in variables), key=_roundoff, default="float64")),
            "device": self.side.name,
            "backend": label,
            "family": backend.family,
            "operator": self.operator,
            "outcome": "ok",
            "reason": "",
            "case": label,
            "processes": 1,
        }

    def _once(
        self,
        row: dict[str, Any],
        backend: Backend,
        operation: Operation,
        truth: tuple[Reference | None, str],
        primal_s: float,
        limits: Limits,
    ) -> Prepared:
        """Forecast, prepare, first call, error, memory; fills the row as far as it comes."""
        require(backend, self.operator)
        evaluation_s = primal_s * (COMPLEX if backend.family == "complex-step" else 1.0)
        found = foresee(self._stand_in() if self.black_box else operation, backend, None, evaluation_s)
        row["primal_calls"] = found["predicted_calls"]
        if not self.black_box:
            row["predicted_bytes"] = found["predicted_bytes"]
        if over_limit(found, limits.seconds, limits.worth) is not None:
            raise errors.ForecastError(over_limit(found, limits.seconds, limits.memory))
        side = self.side
        if backend.family != "analytic":  # which is the user's own function, made for this loss alone
            warm_up(backend, self.operator, side)
        side.begin(False)
        row["prepare_s"], prepared = side.timed(lambda: operation.prepare(backend))
        row |= {key: value for key, value in prepared.stats.items() if isinstance(value, int | float | str)}
        row["first_call_s"], result = side.timed(lambda: operation.result(prepared))
        result = side.to_host(result)
        estimate = prepared.stats.get("error_estimate")  # known after a call only
        row["error_estimate"] = float(estimate) if estimate is not None and np.isfinite(float(estimate)) else None
        row |= accuracy.judge(
            result, operation.expected, backend.family, row["dtype"], *truth, operator=operation.operator
        )
        if row["first_call_s"] < FAST:
            row["array_bytes"] = side.arrays(lambda: operation.result(prepared))
            if row["prepare_s"] < FAST:  # what a program keeps between calls is allocated by its first one
                row["prepare_again_s"], fresh = side.timed(lambda: operation.prepare(backend))
                row["held_bytes"] = side.arrays(lambda: operation.result(fresh))
        return prepared

    def _stand_in(self) -> Operation:
        """One that can be recorded, in place of one that cannot: how often it is called depends on its arguments."""
        made = self.source

        def total(leaves: Sequence[Any]) -> list[Any]:
            return [sum(np.sum(leaves[i]) for i in made.wrt)]

        stand_in = replace(made, call=total, trace=lambda: trace_leaves(total, made.example))
        return replace(self.operation, source=stand_in)


def labels_of(backends: Sequence[Backend]) -> list[str]:
    """Names; where one comes twice, with its options.

    Args:
        backends: values.

    >>> labels_of([resolve("finite"), resolve("reverse")])
    ['finite', 'reverse']
    """
    names = [backend.name for backend in backends]
    return [name if names.count(name) == 1 else repr(backend) for name, backend in zip(names, backends, strict=True)]


def memory_of(row: dict[str, Any]) -> float | None:
    """Bytes of the arrays of a call, with the buffers that are kept: as measured, otherwise as forecast.

    Args:
        row: of a contest.

    >>> memory_of({"held_bytes": None, "predicted_bytes": 10.0})
    10.0
    """
    held = row.get("held_bytes")
    return row["predicted_bytes"] if held is None else held


class _Place:
    """The function where its backends compute: on the host as it was made, on a GPU with its arguments uploaded."""

    def __init__(
        self, side: Any, function: Callable, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any,
        analytic: Callable | None, made: Source,
    ) -> None:  # fmt: skip
        self._side, self._function, self._analytic, self._made = side, function, analytic, made
        placed = side.place((*args, *kwargs.values()))
        self._args, self._kwargs = placed[: len(args)], dict(zip(kwargs, placed[len(args) :], strict=True))
        self._bound = bind(function, self._args, self._kwargs, argnums)

    def source(self, analytic: Callable | None = None) -> Source:
        """What a backend needs, with the gradient that was derived by hand, if it is another."""
        if analytic is None and self._side.name == "cpu":
            return self._made
        by_hand = analytic or self._analytic
        return make_source(self._function, self._bound, frozen=True, analytic=by_hand, names=True)[0]

    def primal(self) -> Callable[[], Any]:
        """The plain function at its arguments."""
        if self._side.name == "cpu":
            return lambda: self._made.call(self._made.example)
        return self._side.primal(lambda *args: self._function(*args, **self._kwargs), self._args, self.source())


def _operation(operator: str, vectors: Any, made: Source, flat: Function) -> tuple[Operation, Any]:
    """The operation, and its vectors in the user's structure."""
    bound, function = flat.bound, flat.function
    if operator not in VECTORS:
        if vectors is not None:
            takers = ", ".join(map(repr, VECTORS))
            raise errors.InputError(f"vectors are given, and operator {operator!r} takes none; those that do: {takers}")
        return Operation(operator, made), None
    if vectors is None:
        operation = Operation.drawn(operator, made, SEED)
    elif operator == "vjp":
        assert flat.structure is not None
        operation = Operation(operator, made, cotangent_leaves(vectors, flat.found, flat.structure, function))
    elif operator == "jvp":
        operation = Operation(operator, made, tangent_leaves((vectors,) if bound.single else vectors, bound, function))
    else:
        operation = Operation(operator, made, vector_leaves(vectors, bound, function))
    leaves = operation.vectors
    return operation, value_tree(flat, leaves) if operator == "vjp" else bound.gradient_tree(leaves)


def _fault_of_trace(made: Source, flat: Function, operator: str, chosen: Sequence[Backend]) -> errors.TraceError | None:
    """Why the function cannot be traced, where some backend does without; otherwise the error itself is raised."""
    function, bound = flat.function, flat.bound
    copies = [np.array(leaf) for leaf in made.example]  # a function that writes into its arguments is not found out yet
    try:
        tape = made.tape
    except errors.TraceError as fault:
        if not any("black-box" in backend.capabilities for backend in chosen):
            raise
        flat.call(copies)
        if operator in OF_ONE_NUMBER:
            require_scalar(flat.found, function, operator)
        return fault
    if operator in OF_ONE_NUMBER:
        require_scalar(tape, function, operator)
    check_trace(tape, flat, bound.leaves)
    values = flat.call(copies)
    for value in values:
        worst = value[~np.isfinite(value)] if value.dtype.kind in "fc" else value[:0]
        if worst.size and (bad := fault_of_loss(worst.flat[0].real, made.example, leaf_names(function, bound))):
            raise errors.InputError(f"nothing can be compared: {bad}")
    return None


def _roundoff(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps)
