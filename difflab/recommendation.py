"""Which backend for this loss: measured here and now, chosen under limits, with the reason."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import decision, errors
from .backends import find
from .backends.protocol import Backend
from .backends.reverse import CHECKPOINTED, Reverse
from .backends.symbolic import Symbolic
from .backends.ways import how
from .contest import PATIENCE, Contest, Limits, Listener, labels_of, memory_of
from .decision import Candidate, Wanted
from .harness.amounts import read_duration, read_size
from .reasons import Words, calls_text, together
from .report import numbers
from .report.cases import OUTCOMES

if TYPE_CHECKING:
    import pandas

FAMILIES = ("finite", "complex-step", "symbolic", "forward", "reverse")
ROOM = 0.9
"""The share of a limit that reverse mode is to plan with: what is measured holds Python's own objects too."""


@dataclass(frozen=True)
class Recommendation:
    """A backend for a loss, and why.

    ``backend`` is ready to be passed as ``backend=``, or ``None`` where nothing meets the limits; ``reason`` is one
    sentence.  ``front`` is the measured Pareto front over error, time of all calls and memory, the quickest first;
    ``rejected`` says of every other backend why not.  ``others`` are sentences on what the rest of the front buys,
    ``relaxing`` on which limit would have to give way, ``caveats`` on what the choice rests on.

    Example:
        >>> import numpy as np
        >>> found = recommend(lambda w: np.sum(w**3), np.ones(4), backends=["reverse"])
        >>> found.backend, found.rejected
        (Reverse(), {})
    """

    loss: str
    operator: str
    backend: Backend | None
    label: str | None
    reason: str
    wanted: Wanted
    front: tuple[Candidate, ...]
    rejected: dict[str, str]
    others: tuple[str, ...]
    relaxing: tuple[str, ...]
    caveats: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    rows: list[dict[str, Any]] = field(repr=False)

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row per backend: what was chosen, what meets the limits and lies on the front; seconds and bytes."""
        import pandas

        ahead = {one.label for one in self.front}
        return pandas.DataFrame(
            [
                {
                    "backend": one.label,
                    "chosen": one.label == self.label,
                    "meets": one.measured and not decision.broken(one, self.wanted),
                    "on_front": one.label in ahead,
                    "outcome": one.outcome,
                    "digits": one.digits,
                    "error": one.error,
                    "call_s": one.call_s,
                    "once_s": one.once_s if one.measured else None,
                    "total_s": one.total_s(self.wanted.calls) if one.measured else None,
                    "memory_bytes": one.memory,
                    "memory_known_by": one.known_by,
                    "rejected": self.rejected.get(one.label, ""),
                }
                for one in self.candidates
            ]
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows as text: the chosen one first, then the rest of the front, then the others.

        Returns:
            One title per column, and one text per column and backend.
        """
        calls = self.wanted.calls
        header = ["BACKEND", "", "DIGITS", "CALL", calls_text(calls).upper(), "MEMORY", "OUTCOME"]
        ahead = [one.label for one in self.front]

        def place(one: Candidate) -> tuple[bool, bool, float]:
            return one.label != self.label, one.label not in ahead, one.total_s(calls)

        rows = []
        for one in sorted(self.candidates, key=place):
            mark = "chosen" if one.label == self.label else "on the front" if one.label in ahead else ""
            total = numbers.seconds(one.total_s(calls)) if one.measured else numbers.NOTHING
            memory = numbers.size_in_bytes(one.memory) + (" (forecast)" if one.known_by == "forecast" else "")
            times = [numbers.seconds(one.call_s), total, memory if one.memory is not None else numbers.NOTHING]
            rows.append([one.label, mark, numbers.digits(one.digits), *times, OUTCOMES[one.outcome][0]])
        return header, rows

    def sentences(self) -> list[str]:
        """The reason, then all else there is to say, one sentence or more each."""
        return [self.reason, *self.relaxing, *self.others, *together(self.rejected), *self.caveats]

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        header, rows = self.table()
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        first, *rest = [html.escape(sentence) for sentence in self.sentences()]
        more = "".join(f"<li>{sentence}</li>" for sentence in rest)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p><strong>{first}</strong></p>{table}{f'<ul>{more}</ul>' if more else ''}"


def recommend(
    loss: Callable,
    *args: Any,
    digits: float | None = None,
    memory: float | str | None = None,
    seconds: float | str | None = None,
    calls: int = 1,
    backends: Sequence[str | Backend] | None = None,
    operator: str = "gradient",
    argnums: Any = 0,
    vectors: Any = None,
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    reference_seconds: float = 20.0,
    call_seconds: float = PATIENCE,
    device: str | None = None,
    progress: Listener | None = None,
    **kwargs: Any,
) -> Recommendation:
    """Measure the ways of differentiating a loss, and choose: the quickest over all calls that meets every limit.

    What cannot be told apart in time is called so, and the more accurate one is taken, then the one with less memory.
    It is one process, so there are no intervals; ``difflab.run`` measures with intervals.

    Args:
        loss: plain NumPy function, with one output of shape () where the operator needs that.
        args: its arguments, arrays and containers of them.
        digits: at least so many certified correct decimal digits by norm.
        memory: at most so many bytes of arrays during a call, buffers that are kept included; a number, or "200 MB".
        seconds: at most so long may a steady call take; a number, or "1ms".
        calls: how often the derivative will be asked for; preparing counts once.
        backends: names or values; by default finite, complex-step, symbolic, forward and reverse, where they can do the
            operator, and reverse mode that computes values again where it would take more memory otherwise.
        operator: "gradient", "jacobian", "jvp", "vjp", "hvp" or "hessian".
        argnums: position or positions to differentiate.
        vectors: as ``compare`` takes them.
        analytic: hand-derived ``analytic(*args) -> (value, gradient)``, which then takes part.
        reference_seconds: after which the certified reference is given up; then no digits can be promised.
        call_seconds: a backend whose forecast to prepare and run once is longer is refused.
        device: "cpu" or "gpu"; by default where the arguments are.
        progress: is called with events of progress, as in ``difflab.run``.
        kwargs: keyword arguments of the loss.

    Returns:
        A ``Recommendation``; its backend is ``None`` where nothing meets the limits.

    Raises:
        TraceError, InputError: the loss itself cannot be recorded or is not one that the operator takes, a limit is
            none, or a backend is named twice or is "null".
        UnavailableError: the device is not to be had.

    Example:
        >>> import numpy as np
        >>> found = recommend(lambda w: np.sum(np.tanh(w) ** 2), np.linspace(0, 1, 50), digits=12, calls=1000)
        >>> found.label in ("reverse", "forward", "symbolic", "complex-step"), "finite" in found.rejected
        (True, True)
    """
    wanted = _wanted(digits, memory, seconds, calls)
    if isinstance(backends, str):
        raise errors.InputError(f"backends={backends!r}: give a list of names or backend values, as in [{backends!r}]")
    contest = Contest(loss, args, kwargs, operator, argnums, analytic, device, progress)
    contest.open(_able(operator) if backends is None else backends, vectors)
    if any(one.family == "null" for one in contest.backends):
        raise errors.InputError("backend 'null' returns zeros and is never to be taken; leave it out")
    if backends is None and wanted.memory is not None and not contest.black_box:
        contest.add(_within(contest, wanted.memory))
    contest.measure(Limits(call_seconds, wanted.memory, reference_seconds))
    return chosen(contest.name, operator, wanted, contest.backends, contest.rows, contest.has_data)


def chosen(
    loss: str,
    operator: str,
    wanted: Wanted,
    backends: Sequence[Backend],
    rows: list[dict[str, Any]],
    has_data: bool = False,
) -> Recommendation:
    """The recommendation that rows lead to.

    Args:
        loss: what the function is called.
        operator: what was computed.
        wanted: the limits.
        backends: one per row.
        rows: of a contest.
        has_data: whether the loss has arguments with numbers that are not differentiated.

    Returns:
        The recommendation.
    """
    candidates = tuple(candidate(row, wanted.digits) for row in rows)
    found = decision.decide(candidates, wanted)
    best = found.best
    words = Words(wanted, candidates, found)
    value = None if best is None else dict(zip(labels_of(backends), backends, strict=True))[best.label]
    return Recommendation(
        loss=loss,
        operator=operator,
        backend=value,
        label=None if best is None else best.label,
        reason=words.nothing() if best is None else words.reason(best),
        wanted=wanted,
        front=found.front,
        rejected={one.label: words.rejected(one) for one in candidates if one is not best},
        others=() if best is None else tuple(words.others(best)),
        relaxing=() if best is not None else tuple(words.relaxing()),
        caveats=tuple(_caveats(value, best, rows, has_data)),
        candidates=candidates,
        rows=rows,
    )


def candidate(row: dict[str, Any], digits_wanted: float | None = None) -> Candidate:
    """What a row of a contest says about a backend.

    Args:
        row: of a contest.
        digits_wanted: so many certified digits make a result right, although studies ask for more.

    Returns:
        The candidate; without error and digits where the result is not certified.
    """
    certified = str(row.get("certified") or "no").startswith(("yes", "sampled"))
    error, digits = row.get("rel_error"), row.get("digits")
    if not certified or error is None:
        error = digits = None
    else:
        error += row.get("rel_error_radius") or 0.0
        digits = digits if error <= 0 or digits is None else min(digits, -math.log10(error))
    prepare, first = row.get("prepare_s"), row.get("first_call_s")
    again = prepare if row.get("prepare_again_s") is None else row["prepare_again_s"]
    enough = digits_wanted is not None and digits is not None and digits >= digits_wanted
    measured = row.get("held_bytes") is not None and row["family"] != "peer"  # whose arrays NumPy does not see
    return Candidate(
        label=row["backend"],
        outcome="ok" if enough and row["outcome"] == "invalid" else row["outcome"],
        reason=row["reason"] or "",
        error=error,
        digits=digits,
        call_s=row.get("call_s"),
        least_s=row.get("call_s_least"),
        most_s=row.get("call_s_most"),
        once_s=(prepare or 0.0) + (first or 0.0),
        once_least_s=min(prepare or 0.0, again or 0.0) + (first or 0.0),
        once_most_s=max(prepare or 0.0, again or 0.0) + (first or 0.0),
        memory=memory_of(row) if measured else row.get("predicted_bytes"),
        known_by="measured" if measured else "forecast",
    )


# ---------------------------------------------------------------------------- who takes part


def _wanted(digits: Any, memory: Any, seconds: Any, calls: Any) -> Wanted:
    """The limits, checked."""
    size = read_size(memory) if isinstance(memory, str) else memory
    time = read_duration(seconds) if isinstance(seconds, str) else seconds
    if not _positive(digits):
        raise errors.InputError(f"digits={digits!r}: give a positive number of correct decimal digits, such as 8")
    if not _positive(size) or (size is None) != (memory is None):
        raise errors.InputError(f"memory={memory!r}: give bytes, or a text such as '200 MB' or '1 GiB'")
    if not _positive(time) or (time is None) != (seconds is None):
        raise errors.InputError(f"seconds={seconds!r}: give seconds, or a text such as '1ms', '200us' or '0.5 s'")
    if isinstance(calls, bool) or not isinstance(calls, int) or calls < 1:
        raise errors.InputError(f"calls={calls!r}: give a whole number of calls, at least 1")
    return Wanted(digits, size, time, calls)


def _positive(value: Any) -> bool:
    if value is None:
        return True
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 < value < math.inf


def _able(operator: str) -> list[Backend]:
    """The families that can do an operator; what they cannot do is no news to anybody."""
    found = [find(name) for name in FAMILIES]
    return [one for one in found if how(one, operator).kind != "refused"]


def _within(contest: Contest, memory: float) -> list[Backend]:
    """Reverse mode that computes values again until its forecast is below the limit, where plainly it is not."""
    if contest.operator not in CHECKPOINTED or contest.operation.predict(Reverse()).nbytes <= memory:
        return []
    less = Reverse(memory=max(int(ROOM * memory), 1))
    try:
        contest.operation.predict(less)
    except errors.ForecastError:  # however much is computed again, it does not fit
        return []
    return [less]


def _caveats(value: Backend | None, best: Candidate | None, rows: list[dict[str, Any]], has_data: bool) -> list[str]:
    """What the choice rests on."""
    found = []
    for row in rows:
        if best is not None and row["backend"] == best.label and row["outcome"] == "invalid":
            found.append(f"It has the digits that are wanted; a study would call it wrong: {row['reason']}.")
    said = [str(row["certified"]) for row in rows if row.get("certified") and row["family"] != "null"]
    if said and said[0].startswith("no: "):
        found.append(f"No error is certified: {said[0].removeprefix('no: ').rstrip('.')}.")
    elif said and said[0].startswith("sampled"):
        found.append(f"Errors are certified in a part of the coordinates: {said[0]}.")
    if has_data and isinstance(value, Symbolic) and value.data == "numbers":
        found.append(
            "Symbolic differentiation has all other data built in: calls with other data derive everything again."
        )
    found.append("Measured in one process, by turns and without intervals.")
    return found
