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

from . import errors
from .backends.protocol import Backend
from .contest import DEFAULT, PATIENCE, SEED, Contest, Limits, Listener
from .harness import accuracy, environment, frames
from .harness.operation import VECTORS
from .harness.results import tallied

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Comparison:
    """What ``compare`` found: ``rows`` as dicts, ``frame`` as a pandas DataFrame, ``save`` writes the page.

    ``vectors`` are the tangents, cotangents or vectors that the operator took, in the user's structure.

    Example:
        >>> import numpy as np
        >>> compare(lambda x: np.sum(x * x), np.ones(3), backends=["reverse"]).rows[0]["outcome"]
        'ok'
    """

    title: str
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    samples: dict[str, list[list[float]]]
    reference: dict[str, dict[str, Any]]
    vectors: Any = None
    drawing: None = None

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row per backend and one number or word per cell; ``attrs["units"]`` gives the units."""
        return frames.cases(self.rows)

    @cached_property
    def samples_frame(self) -> pandas.DataFrame:
        """One row per raw sample: the backend, ``sample`` and ``seconds`` per call; all are of one process."""
        return frames.samples(self.rows, self.samples)

    def figures(self) -> dict[str, Figure]:
        """The charts of the page as matplotlib figures, to be changed, shown in a notebook or saved.

        Returns:
            A figure for each panel by the name of its chart, such as "error": in the light colours of the page, with
            title, labels and legend.

        Example:
            >>> import numpy as np
            >>> found = compare(lambda x: np.sum(np.tanh(x)), np.ones(3), backends=["forward", "reverse"])
            >>> found.figures()["error"].get_suptitle()
            'Error against time'
        """
        from .report.exhibits import figures

        return figures(self)

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
        """What a notebook shows: the answer, what limits it, and a table with a row per backend."""
        from .report.card import card

        return card(self)

    def __repr__(self) -> str:
        """What was compared, and how the backends ended."""
        return f"<Comparison: {self.title}, {tallied(self.rows)}>"

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
    call_seconds: float = PATIENCE,
    progress: Listener | None = None,
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
        call_seconds: a backend whose forecast to prepare and run once is longer is refused, as its row says.
        progress: is called with events of progress, as in ``difflab.run``.
        kwargs: keyword arguments of the function, never differentiated.

    Returns:
        A ``Comparison``; a backend that fails is a row with its outcome and reason, not an exception.

    Raises:
        TraceError, InputError: the function itself cannot be recorded or is not one that the operator takes.
        UnavailableError: the device is not to be had.

    Example:
        >>> import numpy as np
        >>> found = compare(lambda w: np.sum(np.tanh(w) ** 2), np.array([0.3, -0.5]), backends=["forward", "reverse"])
        >>> list(found.frame["outcome"])
        ['ok', 'ok']
        >>> second = compare(lambda w: np.sum(w**3), np.array([1.0, 2.0]), operator="hvp", backends=["analytic"])
        >>> second.rows[0]["outcome"]
        'unsupported'
    """
    if isinstance(backends, str):
        raise errors.InputError(f"backends={backends!r}: give a list of names or backend values, as in [{backends!r}]")
    contest = Contest(function, args, kwargs, operator, argnums, analytic, device, progress)
    contest.open(backends, vectors)
    contest.measure(Limits(call_seconds, None, reference_seconds))
    study = _study(contest.name, operator, contest.labels)
    return Comparison(
        title=study["title"],
        rows=contest.rows,
        manifest={
            "study": study,
            "quick": True,
            "created": environment.now(),
            "environment": environment.describe(contest.side.described(), threads()),
            "command": f"difflab.compare({study['name']}, ..., {_asked(operator, contest.side.name)}"
            f"backends={contest.labels})",
            "method": _method(operator, vectors is None),
        },
        samples=contest.samples,
        reference={study["name"]: contest.facts},
        vectors=contest.vectors,
    )


METHOD = (
    "All backends ran in one process that was already warm, one after the other in rounds of random order; a time is "
    "the median over the rounds. So there are no intervals and no verdicts: run a study for those.",
    "Errors are distances from a certified reference: the {noun} of the same recorded function in interval arithmetic "
    "with many more digits. A case is called right if it is as close as theory says its method can be.",
    "Array bytes are what NumPy allocated during one further call, held bytes what it allocated during the first call "
    "of a further preparation, with the buffers that are kept; the peak of the process is not measured here.",
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


def threads() -> int:
    """The threads that BLAS uses in this process."""
    from threadpoolctl import threadpool_info

    return max((int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"), default=1)


def _study(name: str, operator: str, labels: list[str]) -> dict[str, Any]:
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
