"""The tables of a page: the scoreboard, all rows, what the processes measured, and facts about machine and method."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..harness.stopping import WORDS
from . import axes, devices, numbers, self_tests
from .cases import NOT_BEGUN, YARDSTICKS, Case, Group, backends, family_of, method
from .nouns import noun

SENTENCE = 48  # characters of a reason that a cell of the scoreboard shows
DENSE = 3  # more sizes than this are set smaller
FORECAST = re.compile(
    r"^the forecast (?:is|needs) ([\d ]+(?:\.\d+)?) ?([KMGT]?i?B|[mnu\N{MICRO SIGN}]?s|hours|days|years)\b"
    r"(?:[^;(]*\(([\d ]+) evaluations of ([^)]*)\))?"
)


@dataclass(frozen=True)
class Cell:
    """One cell: its ``text``, the number by which it is sorted (``None`` for texts), what stands ``under`` the text."""

    text: str
    value: float | None = None
    numeric: bool = False
    under: str = ""


def cell(value: float | None, write: Callable[[float], str] = numbers.count) -> Cell:
    """A cell with a number as ``write`` says it, empty where there is none.

    >>> cell(1234.0).text, cell(None).text
    ('1 234', '')
    """
    return Cell("" if value is None else write(value), value, numeric=True)


@dataclass(frozen=True)
class Score:
    """One cell of the scoreboard; ``state`` is ok, bad or none, ``lines`` come below the headline, ``tip`` a reason."""

    state: str
    headline: str
    lines: tuple[str, ...] = ()
    chip: str = ""
    tip: str = ""


@dataclass(frozen=True)
class Board:
    """The scoreboard of one problem: sizes across, backends down."""

    title: str
    sizes: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, tuple[Score, ...]], ...]

    @property
    def dense(self) -> bool:
        """Whether there are so many sizes that the cells are set smaller."""
        return len(self.sizes) > DENSE


@dataclass(frozen=True)
class Table:
    """A plain table; ``same`` says in words what all its rows share."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    same: str = ""


# ------------------------------------------------------------------------------------------------ the scoreboard


def scoreboard(groups: Sequence[Group]) -> list[Board]:
    """One board per problem (and dtype, device and operator, where they vary).

    Args:
        groups: the cases, by what may be compared.
    """
    boards = []
    for group in groups:
        chips = {size: _chip(group, size) for size, _ in group.sizes}
        rows = []
        for name in backends(list(group.cases)):
            cells = [group.at(size, name) for size, _ in group.sizes]
            said = method(group.of(name)[0])
            scores = tuple(_score(case, chips) for case in cells)
            rows.append((name, "" if said == name else said, scores))
        sizes = tuple((size, numbers.parameters(number)) for size, number in group.sizes)
        boards.append(Board(group.title, sizes, tuple(rows)))
    return boards


def _chip(group: Group, size: str) -> tuple[Case, str] | None:
    """The quickest general way at a size, or the only one of several that finished there."""
    general = [c for c in group.cases if c.size == size and family_of(c) not in YARDSTICKS]
    there = [c for c in general if c.timed]
    if len(there) == 1:
        over = len(general) > 1 and not any(case.outcome == "interrupted" for case in general)
        return (there[0], "only one") if over else None
    return (min(there, key=lambda case: case.call_s or 0.0), "quickest") if there else None


def _score(case: Case | None, chips: Mapping[str, tuple[Case, str] | None]) -> Score:
    if case is None:
        return Score("none", "not in the study")
    if case.outcome_words == NOT_BEGUN:
        return Score("none", NOT_BEGUN)
    if not case.ok:
        return Score("bad", case.outcome_words, _brief(case.reason), tip=case.reason)
    lines = []
    if bounds := numbers.interval(case.call_s_low, case.call_s_high):
        lines.append(bounds)
    lines += devices.clocks(case)
    if case.digits is not None:
        lines.append(f"{numbers.digits(case.digits)} digits")
    if case.work_ratio is not None:
        lines.append(f"{numbers.factor(case.work_ratio)} {numbers.TIMES} the loss")
    if case.peak_bytes is not None:
        lines.append(f"{devices.peak(case, case.peak_bytes)} peak")
    headline = numbers.seconds(case.call_s) if case.call_s else "finished, not timed"
    chip = chips[case.size]
    return Score("ok", headline, tuple(lines), chip[1] if chip is not None and chip[0] is case else "")


def _brief(reason: str) -> tuple[str, ...]:
    """What a cell has room for; all of it is the cell's tip and a column of the table."""
    if found := FORECAST.match(reason):
        product = (f"{found[3]} {numbers.TIMES} {found[4]}",) if found[3] else ()
        return (f"forecast {found[1].strip()} {found[2]}", *product)
    return (axes.clipped(reason, SENTENCE),) if reason else ()


# ------------------------------------------------------------------------------------------------ all rows


def _time(column: str) -> Callable[[Case], Cell]:
    return lambda case: cell(getattr(case, column), numbers.seconds)


def _bytes(column: str) -> Callable[[Case], Cell]:
    return lambda case: cell(getattr(case, column), numbers.size_in_bytes)


def _peak(column: str) -> Callable[[Case], Cell]:
    return lambda case: cell(getattr(case, column), lambda value: devices.peak(case, value))


def _count(column: str) -> Callable[[Case], Cell]:
    return lambda case: cell(getattr(case, column), numbers.count)


def _text(column: str) -> Callable[[Case], Cell]:
    return lambda case: Cell(getattr(case, column))


def _clock(case: Case) -> Cell:
    """The range of the clock of a GPU's multiprocessors before and after the samples."""
    low, high = case.sm_mhz_low, case.sm_mhz_high
    if low is None or high is None:
        return Cell("", None, numeric=True)
    return Cell(f"{low:.0f} MHz" if low == high else f"{low:.0f} to {high:.0f} MHz", low, numeric=True)


ONE = "One gradient"
COLUMNS: tuple[tuple[str, Callable[[Case], Cell]], ...] = (
    ("Backend", lambda case: Cell(case.backend, under=case.place)),
    (
        "Parameters",
        lambda case: cell(case.n_params, numbers.count) if case.n_params else Cell(numbers.UNKNOWN, None, True),
    ),
    ("Dtype", _text("dtype")),
    ("Device", _text("device")),
    ("Operator", _text("operator")),
    ("Outcome", lambda case: Cell(case.outcome_words)),
    ("Prepare", _time("prepare_s")),
    ("First call", _time("first_call_s")),
    (ONE, _time("call_s")),
    ("95 % interval", lambda case: Cell(numbers.interval(case.call_s_low, case.call_s_high), case.call_s_low, True)),
    ("Event", _time("event_s")),
    ("Enqueue", _time("enqueue_s")),
    ("Bound by the host", lambda case: Cell({"True": "yes", "False": "no"}.get(case.host_bound, ""))),
    ("Inputs in the cache", _text("input_cache")),
    ("Captured", _text("captured")),
    ("The loss", _time("primal_s")),
    ("Work ratio", lambda case: cell(case.work_ratio, numbers.times)),
    ("To the baseline", lambda case: cell(case.ratio, numbers.times)),
    ("Verdict", _text("verdict")),
    ("Peak", lambda case: cell(case.peak_bytes, lambda value: devices.peak(case, value))),
    ("Peak, import", _peak("import_peak_bytes")),
    ("Peak, build", _peak("build_peak_bytes")),
    ("Peak, prepare", _peak("prepare_peak_bytes")),
    ("Peak, first call", _peak("first_peak_bytes")),
    ("Peak, later call", _peak("call_peak_bytes")),
    ("Driver", _bytes("driver_bytes")),
    ("Arrays", _bytes("array_bytes")),
    ("Forecast", _bytes("predicted_bytes")),
    ("Relative error", lambda case: cell(case.rel_error, numbers.scientific)),
    ("Estimated error", lambda case: cell(case.error_estimate, numbers.scientific)),
    ("Middle digits", lambda case: cell(case.median_digits, numbers.digits)),
    ("Worst digits", lambda case: cell(case.worst_digits, numbers.digits)),
    ("Worst ULPs", lambda case: cell(case.ulps, numbers.ulps)),
    ("Reference certified", _text("certified")),
    ("Evaluations", _count("primal_calls")),
    ("Tape length", _count("tape_length")),
    ("Ops, loss", _count("symbolic_ops_value")),
    ("Ops, gradient", _count("symbolic_ops_gradient")),
    ("Ops, shared", _count("symbolic_ops_cse")),
    ("Processes", _count("processes")),
    ("Clock", _clock),
    ("Reason", _text("reason")),
)
SHARED = ("Dtype", "Device", "Operator")


def all_rows(cases: Sequence[Case]) -> Table:
    """Every case with every column that says anything; what is the same in all rows is said once.

    Args:
        cases: in the order of the study.
    """
    one = f"One {noun(cases)}"
    columns = [(one if name == ONE else name, [read(case) for case in cases]) for name, read in COLUMNS]
    same = [cells[0].text for name, cells in columns if name in SHARED and len({cell.text for cell in cells}) == 1]
    kept = [
        (name, cells)
        for name, cells in columns
        if any(cell.text for cell in cells) and not (name in SHARED and len({cell.text for cell in cells}) == 1)
    ]
    rows = tuple(zip(*(cells for _, cells in kept), strict=True))
    return Table(tuple(name for name, _ in kept), rows, ", ".join(text for text in same if text))


def processes(cases: Sequence[Case], samples: Mapping[str, Sequence[Sequence[float]]]) -> Table | None:
    """What each process measured: the median per call of every worker process, and the spread of all samples.

    Beside them stand the outliers (kept), the processes in which the noise sentinel found the machine moving, and why
    there were no more processes.

    Args:
        cases: in the order of the study.
        samples: seconds per call by case id, one list per process.

    Returns:
        The table, or ``None`` when there are no samples.
    """
    from statistics import median

    rows = []
    for case in cases:
        lists = [[value for value in one if math.isfinite(value)] for one in samples.get(case.case, ())]
        lists = [one for one in lists if one]
        every = [value for one in lists for value in one]
        if every:
            medians = ", ".join(numbers.seconds(median(one)) for one in lists)
            rows.append(
                (
                    Cell(case.backend, under=case.place), Cell(case.dtype),
                    cell(len(lists), numbers.count), cell(len(every), numbers.count),
                    cell(min(every), numbers.seconds), cell(median(every), numbers.seconds),
                    cell(max(every), numbers.seconds), _outliers(case), _noisy(case),
                    Cell(WORDS.get(case.stopped, "")), Cell(medians),
                )
            )  # fmt: skip
    if not rows:
        return None
    columns = (
        "Backend",
        "Dtype",
        "Processes",
        "Samples",
        "Least",
        "Middle",
        "Most",
        "Outliers",
        "Noisy",
        "No more because",
        "Median of each",
    )
    return Table(columns, tuple(rows))


def _outliers(case: Case) -> Cell:
    """Tukey's outliers among all samples, which are counted and kept."""
    mild, severe = case.outliers_mild, case.outliers_severe
    if mild is None or severe is None:
        return Cell("", None, numeric=True)
    text = f"{numbers.count(mild)} mild, {numbers.count(severe)} severe" if mild or severe else "none"
    return Cell(text, mild + severe, numeric=True)


def _noisy(case: Case) -> Cell:
    """In how many processes the noise sentinel found that the machine moved, and by how much at most."""
    if case.noisy_processes is None or case.sentinel_moved is None:
        return Cell("", None, numeric=True)
    text = f"{numbers.count(case.noisy_processes)} (moved by {100 * case.sentinel_moved:.0f} %)"
    return Cell(text, case.noisy_processes, numeric=True)


# ------------------------------------------------------------------------------------------------ facts


def machine(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What computed, as pairs of a name and a text; what the manifest does not say is left out.

    Args:
        environment: the manifest's description of machine and software.
    """
    packages = environment.get("packages") or {}
    libraries = [
        " ".join(str(one[key]) for key in ("internal_api", "version", "architecture") if one.get(key))
        for one in environment.get("blas") or []
    ]
    memory = environment.get("memory_bytes")
    kernels = environment.get("kernels") or {}
    git = environment.get("git") or {}
    commit = str(git.get("commit") or "")[:12]
    python = [str(environment[key]) for key in ("implementation", "python") if environment.get(key)]
    found = [
        ("Processor", _words(environment.get("cpu"))),
        ("Processors usable", _words(environment.get("cores"))),
        ("Memory", numbers.size_in_bytes(memory) if memory else ""),
        ("Self-test of memory", self_tests.row(environment)),
        ("System", _words(environment.get("platform"))),
        ("Python", " ".join(python)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items() if version)),
        ("Numerical libraries", ", ".join(dict.fromkeys(libraries))),
        ("Kernels of OpenBLAS", f"{kernels['used']}, set by difflab: {kernels['why']}" if kernels.get("used") else ""),
        ("Threads per worker", _words(environment.get("threads"))),
        ("Source", f"commit {commit}{', with local changes' if git.get('changed') else ''}" if commit else ""),
    ]
    return [(name, text) for name, text in found if text]


def _words(value: Any) -> str:
    return "" if value is None else str(value)
