"""The rows of a run as the report reads them: missing numbers are ``None``, and cases know how to be grouped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import numbers

METHODS = {
    "finite": "finite differences",
    "complex-step": "the complex step",
    "symbolic": "symbolic differentiation",
    "forward": "forward mode",
    "reverse": "reverse mode",
    "analytic": "the hand-derived gradient",
    "null": "the null backend",
}


class Outcome(NamedTuple):
    """How a case can end: in a ``word`` or two, as an ``icon`` that common fonts have, and what it means."""

    word: str
    icon: str
    meaning: str


OUTCOMES = {
    "ok": Outcome("finished", "\N{CHECK MARK}", "a gradient (or what else was asked for) came out and was checked"),
    "invalid": Outcome("wrong gradient", "\N{BALLOT X}", "it finished, but what came out is not what is certified"),
    "unsupported": Outcome("not supported", "\N{CIRCLED MINUS}", "the backend cannot do this, and says so"),
    "timeout": Outcome("timed out", "\N{WHITE CIRCLE WITH UPPER RIGHT QUADRANT}", "stopped at the time limit"),
    "memory_limit": Outcome("over the memory limit", "\N{SQUARED PLUS}", "stopped at the memory limit"),
    "crash": Outcome("crashed", "\N{DOWNWARDS ZIGZAG ARROW}", "the worker process died"),
    "lost": Outcome("lost", "?", "the worker vanished while the coordinator lived"),
    "interrupted": Outcome("interrupted", "\N{DOUBLE VERTICAL LINE}", "the run was stopped before this case ended"),
    "skipped_predicted": Outcome(
        "refused by forecast", "\N{CIRCLED DIVISION SLASH}", "the forecast was over a limit, so it was never started"
    ),
}
WRONG = "wrong result"  # what a wrong gradient is called where no gradient was asked for
NOT_BEGUN = "not measured yet"
OPEN = "\N{WHITE CIRCLE}"  # the icon of what is not measured yet
ROUNDING = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10}
YARDSTICKS = ("analytic", "null")  # shown, but no general way of differentiating


def title(problem: str) -> str:
    """A problem as people say it: ``difflab.maps:TANH_MAP``, named by its module, is tanh-map.

    >>> title("difflab.maps:TANH_MAP"), title("mlp")
    ('tanh-map', 'mlp')
    """
    return problem.rpartition(":")[2].lower().replace("_", "-") if ":" in problem else problem


@dataclass(frozen=True)
class Case:
    """One row; times in seconds, sizes in bytes, ``rel_error`` norm-wise, ``None`` where nothing is known.

    ``n_params`` is 0 where no case of this problem and size has been begun; ``ulp_histogram`` counts coordinates by
    their error in units of the last place, see ``ulps.EDGES``; ``findings`` are those of a study that
    examines its cases; ``medians`` holds for each process in turn the median times of the derivative and of the loss,
    ``epochs`` the name of its epoch: cases that were measured by turns have the same one;
    ``options`` are those of the backend, as JSON.  ``device`` is "gpu TF32" where that is on; what comes from
    ``event_s`` on is known of cases on a GPU.
    """

    case: str
    problem: str
    size: str
    n_params: int
    dtype: str
    device: str
    backend: str
    operator: str
    outcome: str
    reason: str
    verdict: str
    certified: str
    family: str
    prepare_s: float | None
    first_call_s: float | None
    call_s: float | None
    call_s_low: float | None
    call_s_high: float | None
    primal_s: float | None
    work_ratio: float | None
    ratio: float | None
    peak_bytes: float | None
    array_bytes: float | None
    predicted_bytes: float | None
    predicted_s: float | None
    rel_error: float | None
    error_estimate: float | None
    worst_digits: float | None
    median_digits: float | None
    ulps: float | None
    primal_calls: float | None
    tape_length: float | None
    symbolic_ops_value: float | None
    symbolic_ops_gradient: float | None
    symbolic_ops_cse: float | None
    processes: float | None
    computed_in: str = ""
    ulp_histogram: tuple[int, ...] = ()
    findings: Any = None
    chunks: float | None = None
    predicted_call_s: float | None = None
    import_peak_bytes: float | None = None
    build_peak_bytes: float | None = None
    prepare_peak_bytes: float | None = None
    first_peak_bytes: float | None = None
    call_peak_bytes: float | None = None
    predicted_prepare_s: float | None = None
    chunk: float | None = None
    options: str = ""
    stopped: str = ""
    held_bytes: float | None = None
    noisy_processes: float | None = None
    sentinel_moved: float | None = None
    outliers_mild: float | None = None
    outliers_severe: float | None = None
    medians: tuple[tuple[float, float], ...] = ()
    epochs: tuple[str, ...] = ()
    event_s: float | None = None
    enqueue_s: float | None = None
    driver_bytes: float | None = None
    sm_mhz_low: float | None = None
    sm_mhz_high: float | None = None
    host_bound: str = ""
    input_cache: str = ""
    captured: str = ""
    primal_by: str = ""
    slowed: str = ""
    work_ratio_low: float | None = None
    work_ratio_high: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None

    @property
    def ok(self) -> bool:
        """Whether a right gradient came out."""
        return self.outcome == "ok"

    @property
    def timed(self) -> bool:
        """Whether a right gradient came out and its time is known."""
        return self.ok and self.call_s is not None and self.call_s > 0

    @property
    def digits(self) -> float | None:
        """Correct decimal digits of the whole gradient (norm-wise), at most what the dtype can hold."""
        if self.rel_error is None:
            return None
        return -math.log10(max(self.rel_error, ROUNDING.get(self.dtype, ROUNDING["float64"]) / 2))

    @property
    def outcome_words(self) -> str:
        """The outcome as people say it."""
        if self.outcome == "interrupted" and self.prepare_s is None and self.rel_error is None and self.call_s is None:
            return NOT_BEGUN
        if self.outcome == "invalid" and self.operator not in ("", "gradient"):
            return WRONG
        known = OUTCOMES.get(self.outcome)
        return known.word if known else self.outcome

    @property
    def icon(self) -> str:
        """The sign of the outcome, which never stands without its words; empty for an outcome of other versions."""
        if self.outcome_words == NOT_BEGUN:
            return OPEN
        known = OUTCOMES.get(self.outcome)
        return known.icon if known else ""

    @property
    def place(self) -> str:
        """Where it was measured: ``digits-mlp small``."""
        return f"{title(self.problem)} {self.size}".strip()


@dataclass(frozen=True)
class Group:
    """The cases that may be compared in one chart: one problem, dtype, device and operator."""

    title: str
    cases: tuple[Case, ...]

    @property
    def problem(self) -> str:
        """The problem of all its cases."""
        return self.cases[0].problem

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """Sizes with their numbers of parameters, small to large."""
        found: dict[str, int] = {}
        for case in self.cases:
            found[case.size] = max(case.n_params, found.get(case.size, 0))
        return sorted(found.items(), key=lambda item: item[1] or math.inf)  # 0: nobody has counted them yet

    def at(self, size: str, backend: str) -> Case | None:
        """The case of one cell, if it was part of the study."""
        return next((c for c in self.cases if c.size == size and c.backend == backend), None)

    def of(self, backend: str) -> list[Case]:
        """The cases of a backend, small to large."""
        return sorted((c for c in self.cases if c.backend == backend), key=lambda c: (c.n_params, c.size))


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool | str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def printable(value: Any) -> str:
    """A value as text without control characters, which neither XML nor people can read; ``None`` and NaN are empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in str(value))


NUMBERS = tuple(name for name, kind in Case.__annotations__.items() if kind == "float | None")


def read(rows: Iterable[Mapping[str, Any]]) -> list[Case]:
    """Rows of a frame as cases, in their order.

    Args:
        rows: mappings with the columns of ``Results.frame``; missing columns and NaN become ``None``.
    """
    rows = list(rows)
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        place = printable(row.get("problem")), printable(row.get("size"))
        counts[place] = max(int(_number(row.get("n_params")) or 0), counts.get(place, 0))
    cases = []
    for row in rows:
        texts = {
            name: printable(row.get(name)).replace("\n", " ")
            for name in Case.__annotations__
            if name not in (*NUMBERS, "n_params", "certified", "findings", "ulp_histogram", "medians", "epochs")
        }
        if row.get("tf32") == True:  # noqa: E712 (a frame has its own kind of it, and NaN for nothing)
            texts["device"] += " TF32"
        amounts: dict[str, Any] = {name: _number(row.get(name)) for name in NUMBERS}
        if row.get("rel_error") == math.inf:
            amounts["rel_error"] = math.inf
        parameters = int(_number(row.get("n_params")) or 0)
        parameters = parameters or counts[printable(row.get("problem")), printable(row.get("size"))]
        findings = None if isinstance(found := row.get("findings"), float) else found  # a frame has NaN for nothing
        more: dict[str, Any] = {"certified": _certified(row.get("certified"))}
        more |= {"ulp_histogram": _counts(row.get("ulp_histogram")), "medians": _pairs(row.get("medians"))}
        more |= {"epochs": tuple(map(str, epochs)) if isinstance(epochs := row.get("epochs"), list | tuple) else ()}
        cases.append(Case(**texts, **amounts, **more, n_params=parameters, findings=findings))
    return cases


def _counts(value: Any) -> tuple[int, ...]:
    """A histogram, which a frame has as a list, or nothing."""
    return tuple(int(count) for count in value) if isinstance(value, list | tuple) else ()


def _pairs(value: Any) -> tuple[tuple[float, float], ...]:
    """Pairs of times, which a frame has as lists, or nothing."""
    return tuple((float(call), float(primal)) for call, primal in value) if isinstance(value, list | tuple) else ()


def _certified(value: Any) -> str:
    """How far the reference is certified, in words."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return printable(value)
    return "yes" if value else "no"


def groups(cases: list[Case]) -> list[Group]:
    """Cases by problem, dtype, device and operator, in order of appearance; titles name only what varies."""
    keys = ("problem", "dtype", "device", "operator")
    varies = [key for key in keys if len({getattr(case, key) for case in cases}) > 1]
    found: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        found.setdefault(tuple(getattr(case, key) for key in keys), []).append(case)
    names = {case.problem: title(case.problem) for case in cases}
    if len(set(names.values())) < len(names):  # two modules with a problem of one name
        names = {problem: problem for problem in names}
    made = []
    for members in found.values():
        extra = [getattr(members[0], key) for key in keys[1:] if key in varies]
        made.append(Group(" ".join([names[members[0].problem], *extra]), tuple(members)))
    return made


def backends(cases: list[Case]) -> list[str]:
    """Labels of the backends, in order of appearance."""
    return list(dict.fromkeys(case.backend for case in cases))


def family_of(case: Case) -> str:
    """The family of a case's backend: as the row says, or the name in front of its options."""
    return case.family or case.backend.partition("(")[0].partition(" ")[0].partition(".")[0]


def method(case: Case) -> str:
    """The backend of a case in words: ``reverse mode``, ``finite differences (central)``, or its label as it is."""
    name, _, options = case.backend.partition(" (")
    return f"{METHODS[name]} ({options}" if options and name in METHODS else METHODS.get(name, case.backend)


def tally(cases: list[Case]) -> list[tuple[str, int]]:
    """How many cases ended in which way, in words, most orderly first."""
    orderly = [*(outcome.word for outcome in OUTCOMES.values()), NOT_BEGUN]
    words = [case.outcome_words for case in cases]
    names = [*orderly, *sorted(set(words) - set(orderly))]
    return [(name, words.count(name)) for name in names if name in words]


def tally_words(cases: list[Case]) -> str:
    """``12 finished, 3 timed out``."""
    return ", ".join(f"{numbers.grouped(number)} {words}" for words, number in tally(cases))
