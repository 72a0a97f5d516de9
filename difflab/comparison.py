"""Comparing backends on one's own loss, here and now, in this process.

Studies (``difflab.run``) measure each case in processes of its own, which is what a publication needs.  ``compare`` is
the quick look: the same certified reference, interleaved rounds, one process, so no intervals and no verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import errors
from .arrays import device_of
from .backends import resolve
from .backends.analytic import Analytic
from .backends.protocol import Backend, Prepared, Source
from .backends.ways import require
from .calls import bind, describe, leaf_names
from .containers import flatten
from .flat import Function, make_source, require_scalar
from .harness import accuracy, environment
from .harness.finite_loss import fault_of_loss
from .harness.gpu_side import downloaded
from .harness.interleave import interleave
from .harness.operation import VECTORS, Operation
from .harness.reference import Reference
from .harness.results import COLUMNS, MORE_COLUMNS
from .harness.session import side_of
from .harness.study_device import check_device
from .harness.worker import verdict
from .prepared import OF_ONE_NUMBER
from .trace_checks import check_trace
from .trees import cotangent_leaves, tangent_leaves, value_tree, vector_leaves

if TYPE_CHECKING:
    import pandas

DEFAULT = ("finite", "symbolic", "forward", "reverse")


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found: ``rows`` as dicts, ``frame`` as a pandas DataFrame, ``save`` writes the page.

    ``vectors`` are the tangents, cotangents or vectors that the operator took, in the user's structure.

    Example:
        >>> compare(lambda x: np.sum(x * x), np.ones(3), backends=["reverse"]).rows[0]["outcome"]
        'ok'
    """

    title: str
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    samples: dict[str, list[list[float]]]
    reference: dict[str, dict[str, Any]]
    vectors: Any = None

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row per backend; times in seconds, sizes in bytes."""
        import pandas

        extra = sorted({key for row in self.rows for key in row} - {*COLUMNS, *MORE_COLUMNS})
        return pandas.DataFrame(self.rows, columns=[*COLUMNS, *MORE_COLUMNS, *extra])

    def save(self, path: str | Path) -> Path:
        """Write the comparison as one self-contained HTML page.

        Args:
            path: the file to write, such as ``page.html``.

        Returns:
            The path.

        Raises:
            StoreError: it cannot be written.
        """
        from .report import render

        target = Path(path)
        page = render(self)
        try:
            target.write_text(page, encoding="utf-8")
        except OSError as error:
            raise errors.StoreError(f"the page cannot be written to {target}: {error.strerror or error}") from error
        return target

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.frame[list(SHOWN)].to_html(index=False, escape=True, float_format=lambda x: f"{x:.3g}")

    def __str__(self) -> str:
        three_digits: Any = "{:.3g}".format  # pandas' stubs want its own class of formatters
        return self.frame[list(SHOWN)].to_string(index=False, float_format=three_digits)


SHOWN = ("backend", "outcome", "rel_error", "worst_digits", "certified", "prepare_s", "call_s", "work_ratio", "reason")


def compare(
    function: Callable,
    *args: Any,
    backends: Sequence[str | Backend] = DEFAULT,
    operator: str = "gradient",
    argnums: Any = 0,
    vectors: Any = None,
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    reference_seconds: float = 20.0,
    device: str | None = None,
    **kwargs: Any,
) -> Comparison:
    """Differentiate one function in several ways and measure each.

    Args:
        function: plain NumPy function; for gradients and second derivatives a loss, with one output of shape ().
        args: its arguments, arrays and containers of them.
        backends: names or backend values.
        operator: "gradient", "jacobian", "jvp", "vjp", "hvp" or "hessian".
        argnums: position or positions to differentiate.
        vectors: for "jvp" the tangents and for "hvp" the vector, in the structure of ``args[argnums]``, for "vjp" the
            cotangent, in that of the output; by default random ones of unit length, the same for all backends.
        analytic: hand-derived ``analytic(*args) -> (value, gradient)`` for backend "analytic".
        reference_seconds: after which the certified reference is given up.
        device: "cpu" or "gpu": where the backends compute; by default where the arguments are. The reference is the
            processor's.
        kwargs: keyword arguments of the function, never differentiated.

    Returns:
        A ``Comparison``; a backend that fails is a row with its outcome and reason, not an exception.

    Raises:
        TraceError, InputError: the function itself cannot be recorded or is not one that the operator takes.
        UnavailableError: the device is not to be had.

    Example:
        >>> found = compare(lambda w: np.sum(np.tanh(w) ** 2), np.array([0.3, -0.5]), backends=["forward", "reverse"])
        >>> list(found.frame["outcome"])
        ['ok', 'ok']
        >>> second = compare(lambda w: np.sum(w**3), np.array([1.0, 2.0]), operator="hvp", backends=["analytic"])
        >>> second.rows[0]["outcome"]
        'unsupported'
    """
    if isinstance(backends, str):
        raise errors.InputError(f"backends={backends!r}: give a list of names or backend values, as in [{backends!r}]")
    if operator not in CHOICES:
        raise errors.InputError(f"operator={operator!r}: compare knows {', '.join(map(repr, CHOICES))}")
    chosen = [resolve(backend) for backend in backends]
    if analytic is not None and not any(backend.family == "analytic" for backend in chosen):
        chosen.append(Analytic(analytic))
    given = device_of(leaf for tree in (*args, *kwargs.values()) for leaf in flatten(tree)[0])
    side = side_of({"device": given if device is None else check_device(device)})
    if given == "gpu":
        args, kwargs = tuple(map(downloaded, args)), {name: downloaded(value) for name, value in kwargs.items()}
    bound = bind(function, args, kwargs, argnums)
    made, flat = make_source(function, bound, frozen=True, analytic=analytic, names=True)
    fault = _fault_of_trace(made, flat, operator, chosen)
    operation, shown = _operation(operator, vectors, made, flat)
    truth, why = None, "the loss cannot be traced"
    if not fault:
        truth, why = accuracy.truth_of(made.trace(), operation, reference_seconds)
    there = _Place(side, function, args, kwargs, argnums, analytic, made)
    located = side.operation(operation, there.source())
    labels = _labels(chosen)
    rows: list[dict[str, Any]] = []
    ready: list[tuple[dict[str, Any], Callable[[], Any]]] = []
    for backend, label in zip(chosen, labels, strict=True):
        row = _row(function, operation, backend, label) | {"device": side.name}
        rows.append(row)
        asked = located
        if isinstance(backend, Analytic) and backend.function is not None:
            asked = replace(located, source=there.source(backend.function))
        try:
            backend = side.configured(backend, {"options": {}})
            prepared = _measure_once(row, backend, asked, truth, why, side)
            ready.append((row, side.call(asked, backend, prepared, warm=False)))
        except Exception as fault:  # whatever a backend does wrong becomes its row
            row["outcome"], row["reason"] = verdict(fault)
            continue
        row |= side.notes(prepared.stats)
    samples = interleave(ready, there.primal, side)
    study = _study(function, operator, labels)
    facts = {"why": why} if truth is None else accuracy.facts_of(truth)
    return Comparison(
        title=study["title"],
        rows=rows,
        manifest={
            "study": study,
            "quick": True,
            "created": environment.now(),
            "environment": environment.describe(side.described(), threads()),
            "command": f"difflab.compare({study['name']}, ..., {_asked(operator, side.name)}backends={labels})",
            "method": _method(operator, vectors is None),
        },
        samples=samples,
        reference={study["name"]: facts},
        vectors=shown,
    )


CHOICES = ("gradient", "jacobian", "jvp", "vjp", "hvp", "hessian")
SEED = 0
METHOD = (
    "All backends ran in one process that was already warm, one after the other in rounds of random order; a time is "
    "the median over the rounds. So there are no intervals and no verdicts: run a study for those.",
    "Errors are distances from a certified reference: the {noun} of the same recorded function in interval arithmetic "
    "with many more digits. A case is called right if it is as close as theory says its method can be.",
    "Array bytes are what NumPy allocated during one further call; the peak of the process is not measured here.",
)
DRAWN = (
    "The {what} are random numbers of unit length together, drawn in double precision with seed {seed} and rounded to "
    "the dtypes of what they belong to: the same for all backends."
)


def _method(operator: str, drawn: bool) -> list[str]:
    """How the numbers were made, in sentences."""
    found = [sentence.format(noun=accuracy.NOUNS[operator]) for sentence in METHOD]
    if operator in VECTORS:
        what = VECTORS[operator]
        found.append(DRAWN.format(what=what, seed=SEED) if drawn else f"The {what} were given by the caller.")
    return found


def _asked(operator: str, device: str) -> str:
    named = "" if operator == "gradient" else f"operator={operator!r}, "
    return named if device == "cpu" else f"{named}device={device!r}, "


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


def threads() -> int:
    """The threads that BLAS uses in this process."""
    from threadpoolctl import threadpool_info

    return max((int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"), default=1)


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


def _labels(backends: Sequence[Backend]) -> list[str]:
    """Names; where one comes twice, with its options."""
    names = [backend.name for backend in backends]
    return [name if names.count(name) == 1 else repr(backend) for name, backend in zip(names, backends, strict=True)]


def _row(function: Callable, operation: Operation, backend: Backend, label: str) -> dict[str, Any]:
    variables = [operation.source.example[i] for i in operation.source.wrt]
    row: dict[str, Any] = dict.fromkeys((*COLUMNS, *MORE_COLUMNS))
    return row | {
        "problem": describe(function).strip("`"),
        "size": "",
        "n_params": sum(int(np.size(variable)) for variable in variables),
        "dtype": str(max((leaf.dtype for leaf in variables), key=_roundoff, default="float64")),
        "device": "cpu",
        "backend": label,
        "family": backend.family,
        "operator": operation.operator,
        "outcome": "ok",
        "reason": "",
        "case": label,
        "processes": 1,
    }


def _roundoff(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps)


def _measure_once(
    row: dict[str, Any], backend: Backend, operation: Operation, truth: Reference | None, why: str, side: Any
) -> Prepared:
    """Forecast, prepare, first call, error, memory; fills the row as far as it comes."""
    require(backend, operation.operator)
    if truth is not None or "black-box" not in backend.capabilities:
        cost = operation.predict(backend)
        row |= {"predicted_bytes": int(cost.nbytes), "primal_calls": cost.primal_calls}
    side.begin(False)
    row["prepare_s"], prepared = side.timed(lambda: operation.prepare(backend))
    row |= {key: value for key, value in prepared.stats.items() if isinstance(value, int | float | str)}
    row["first_call_s"], result = side.timed(lambda: operation.result(prepared))
    result = side.to_host(result)
    estimate = prepared.stats.get("error_estimate")  # known after a call only
    row["error_estimate"] = float(estimate) if estimate is not None and np.isfinite(float(estimate)) else None
    row |= accuracy.judge(
        result, operation.expected, backend.family, row["dtype"], truth, why, operator=operation.operator
    )
    if row["first_call_s"] < 1.0:
        row["array_bytes"] = side.arrays(lambda: operation.result(prepared))
    return prepared


def _study(function: Callable, operator: str, labels: list[str]) -> dict[str, Any]:
    name = describe(function).strip("`")
    of = f"{accuracy.NOUNS[operator]} of {name}"
    return {
        "name": name,
        "title": f"Ways to differentiate {name}" if operator == "gradient" else f"Ways to compute the {of}",
        "question": f"Which way of differentiating {name} is accurate, fast and small enough?"
        if operator == "gradient"
        else f"Which way of computing the {of} is accurate, fast and small enough?",
        "look_for": "One process, interleaved rounds: a quick look without intervals. Run a study to publish.",
        "baseline": "reverse" if "reverse" in labels else labels[0],
        "answer": "compare",
        "operator": operator,
        "text": "",
        "limits": {},
        "timing": {},
    }
