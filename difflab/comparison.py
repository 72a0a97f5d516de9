"""Comparing backends on one's own loss, here and now, in this process.

Studies (``difflab.run``) measure each case in processes of its own, which is what a publication needs.  ``compare`` is
the quick look: the same certified reference, interleaved rounds, one process, so no intervals and no verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import errors
from .backends import resolve
from .backends.analytic import Analytic
from .backends.protocol import Backend, Prepared, Source
from .calls import Bound, bind, describe, leaf_names
from .flat import Function, check_trace, require_scalar
from .harness import accuracy, environment, memory, statistics, timing
from .harness.finite_loss import fault_of_loss
from .harness.reference import Reference, reference_gradient
from .harness.results import COLUMNS, MORE_COLUMNS
from .harness.worker import verdict
from .operators import source as make_source
from .transforms import reverse

if TYPE_CHECKING:
    import pandas

DEFAULT = ("finite", "symbolic", "forward", "reverse")
ROUNDS = 5
SAMPLES = 3


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found: ``rows`` as dicts, ``frame`` as a pandas DataFrame, ``save`` writes the page.

    Example:
        >>> compare(lambda x: np.sum(x * x), np.ones(3), backends=["reverse"]).rows[0]["outcome"]
        'ok'
    """

    title: str
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    samples: dict[str, list[list[float]]]
    reference: dict[str, dict[str, Any]]

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
        return self.frame[list(SHOWN)].to_string(index=False, float_format="{:.3g}".format)  # type: ignore[arg-type]


SHOWN = ("backend", "outcome", "rel_error", "worst_digits", "certified", "prepare_s", "call_s", "work_ratio", "reason")


def compare(
    function: Callable,
    *args: Any,
    backends: Sequence[str | Backend] = DEFAULT,
    argnums: Any = 0,
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    reference_seconds: float = 20.0,
    **kwargs: Any,
) -> Comparison:
    """Differentiate one loss in several ways and measure each.

    Args:
        function: plain NumPy loss with one output of shape ().
        args: its arguments, arrays and containers of them.
        backends: names or backend values.
        argnums: position or positions to differentiate.
        analytic: hand-derived ``analytic(*args) -> (value, gradient)`` for backend "analytic".
        reference_seconds: after which the certified reference is given up.
        kwargs: keyword arguments of the function, never differentiated.

    Returns:
        A ``Comparison``; a backend that fails is a row with its outcome and reason, not an exception.

    Raises:
        TraceError, InputError: the function itself cannot be recorded or is not a scalar loss.

    Example:
        >>> found = compare(lambda w: np.sum(np.tanh(w) ** 2), np.array([0.3, -0.5]), backends=["forward", "reverse"])
        >>> list(found.frame["outcome"])
        ['ok', 'ok']
    """
    if isinstance(backends, str):
        raise errors.InputError(f"backends={backends!r}: give a list of names or backend values, as in [{backends!r}]")
    chosen = [resolve(backend) for backend in backends]
    if analytic is not None and not any(backend.family == "analytic" for backend in chosen):
        chosen.append(Analytic(analytic))
    bound = bind(function, args, kwargs, argnums)
    made = make_source(function, args, kwargs, argnums, analytic)
    fault = _fault_of_trace(made, function, bound, chosen)
    truth, why = (None, "the loss cannot be traced") if fault else _reference(made, reference_seconds)
    labels = _labels(chosen)
    rows: list[dict[str, Any]] = []
    ready: list[tuple[dict[str, Any], Callable[[], Any]]] = []
    for backend, label in zip(chosen, labels, strict=True):
        row = _row(function, made, backend, label)
        rows.append(row)
        if isinstance(backend, Analytic) and backend.function is not None:
            made = make_source(function, args, kwargs, argnums, backend.function)
        try:
            prepared = _measure_once(row, backend, made, truth, why)
        except Exception as fault:  # whatever a backend does wrong becomes its row
            row["outcome"], row["reason"] = verdict(fault)
            continue
        ready.append((row, _call(backend, prepared, made)))
    samples = _interleave(ready, lambda: made.call(made.example))
    study = _study(function, labels)
    facts = {"why": why} if truth is None else {"bits": truth.bits, "narrow": truth.narrow, "ties": truth.ties}
    return Comparison(
        title=study["title"],
        rows=rows,
        manifest={
            "study": study,
            "quick": True,
            "created": environment.now(),
            "environment": environment.describe({}, threads()),
            "command": f"difflab.compare({study['name']}, ..., backends={labels})",
            "method": METHOD,
        },
        samples=samples,
        reference={study["name"]: facts},
    )


METHOD = (
    "All backends ran in one process that was already warm, one after the other in rounds of random order; a time is "
    "the median over the rounds. So there are no intervals and no verdicts: run a study for those.",
    "Errors are distances from a certified reference: the gradient of the same recorded loss in interval arithmetic "
    "with many more digits. A case is called right if it is as close as theory says its method can be.",
    "Array bytes are what NumPy allocated during one further call; the peak of the process is not measured here.",
)


def threads() -> int:
    """The threads that BLAS uses in this process."""
    from threadpoolctl import threadpool_info

    return max((int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"), default=1)


def _fault_of_trace(
    made: Source, function: Callable, bound: Bound, chosen: Sequence[Backend]
) -> errors.TraceError | None:
    """Why the loss cannot be traced, where some backend does without; otherwise the error itself is raised."""
    try:
        tape = made.tape
    except errors.TraceError as fault:
        if not any("black-box" in backend.capabilities for backend in chosen):
            raise
        require_scalar(made.call(made.example), function)
        return fault
    require_scalar(tape, function)
    check_trace(tape, Function(function, bound), bound.leaves)
    value = made.call(made.example)[0]
    if (bad := fault_of_loss(value, made.example, leaf_names(function, bound))) is not None:
        raise errors.InputError(f"nothing can be compared: {bad}")
    return None


def _call(backend: Backend, prepared: Any, made: Source) -> Callable[[], Any]:
    """What is timed: the derivative without conversions where the backend tells them apart."""
    if "bare" in backend.capabilities:
        return prepared.bare(made.example)
    return lambda: prepared.value_and_gradient(made.example)


def _labels(backends: Sequence[Backend]) -> list[str]:
    """Names; where one comes twice, with its options."""
    names = [backend.name for backend in backends]
    return [name if names.count(name) == 1 else repr(backend) for name, backend in zip(names, backends, strict=True)]


def _reference(made: Source, seconds: float) -> tuple[Reference | None, str]:
    tape = reverse.gradient(made.trace(), made.wrt)
    try:
        return reference_gradient(tape, made.example, deadline_s=seconds), ""
    except TimeoutError:
        return None, f"ball arithmetic was stopped after {seconds:g} s"
    except errors.UndecidedError as fault:
        return None, f"kink: {fault}"
    except errors.UnsupportedError as fault:
        return None, str(fault)


def _row(function: Callable, made: Source, backend: Backend, label: str) -> dict[str, Any]:
    dtypes = sorted({str(made.example[i].dtype) for i in made.wrt})
    row: dict[str, Any] = dict.fromkeys((*COLUMNS, *MORE_COLUMNS))
    return row | {
        "problem": describe(function).strip("`"),
        "size": "",
        "n_params": sum(int(np.size(made.example[i])) for i in made.wrt),
        "dtype": dtypes[0] if dtypes else "float64",
        "device": "cpu",
        "backend": label,
        "family": backend.family,
        "operator": "gradient",
        "outcome": "ok",
        "reason": "",
        "case": label,
        "processes": 1,
    }


def _measure_once(row: dict[str, Any], backend: Backend, made: Source, truth: Reference | None, why: str) -> Prepared:
    """Forecast, prepare, first call, error, memory; fills the row as far as it comes."""
    if truth is not None or "black-box" not in backend.capabilities:
        cost = backend.predict(made.tape, "gradient", made.wrt)
        row |= {"predicted_bytes": int(cost.nbytes), "primal_calls": cost.primal_calls}
    prepared: Prepared
    row["prepare_s"], prepared = timing.timed(lambda: backend.prepare(made, "value_and_gradient", made.example))  # type: ignore[assignment]
    row |= {key: value for key, value in prepared.stats.items() if isinstance(value, int | float | str)}
    row["first_call_s"], answer = timing.timed(lambda: prepared.value_and_gradient(made.example))
    gradient = answer[1]  # type: ignore[index]
    shapes = [made.example[i] for i in made.wrt]
    row |= accuracy.judge(gradient, shapes, backend.family, row["dtype"], truth, why)
    if row["first_call_s"] < 1.0:
        row["array_bytes"] = memory.arrays_during(lambda: prepared.value_and_gradient(made.example))
    return prepared


def _interleave(
    ready: list[tuple[dict[str, Any], Callable[[], Any]]], primal: Callable[[], Any]
) -> dict[str, list[list[float]]]:
    """Rounds of samples by turns; call_s is the median over all, work_ratio the median of ratios within a round."""
    if not ready:
        return {}
    step = timing.clock_step()
    contestants = [("", primal), *[(row["case"], call) for row, call in ready]]
    loops = {name: timing.calibrate(call, 1e-3, step)[0] for name, call in contestants}
    found: dict[str, list[list[float]]] = {name: [] for name, _ in contestants}
    order = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for k in order.permutation(len(contestants)):
            name, call = contestants[k]
            timing.warm_up(call, 1, 0.002)
            found[name].append([timing.sample(call, loops[name]) for _ in range(SAMPLES)])
    plain = [statistics.median(one) for one in found.pop("")]
    for row, _ in ready:
        medians = [statistics.median(one) for one in found[row["case"]]]
        row["call_s"] = statistics.median(medians)
        row["primal_s"] = statistics.median(plain)
        row["work_ratio"] = statistics.median([a / b for a, b in zip(medians, plain, strict=True)])
    # One process: all rounds are one list of samples.
    return {name: [[value for one in rounds for value in one]] for name, rounds in found.items()}


def _study(function: Callable, labels: list[str]) -> dict[str, Any]:
    name = describe(function).strip("`")
    return {
        "name": name,
        "title": f"Ways to differentiate {name}",
        "question": f"Which way of differentiating {name} is accurate, fast and small enough?",
        "look_for": "One process, interleaved rounds: a quick look without intervals. Run a study to publish.",
        "baseline": "reverse" if "reverse" in labels else labels[0],
        "answer": "compare",
        "text": "",
        "limits": {},
        "timing": {},
    }
