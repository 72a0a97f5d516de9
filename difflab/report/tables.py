"""The tables of a page: all rows, what the table of all rows leaves out, and what the processes measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..harness.stopping import WORDS
from . import devices, numbers
from .budget import ROWS_IN_FULL, ROWS_OF_PROCESSES
from .cases import Case
from .nouns import noun


@dataclass(frozen=True)
class Cell:
    """One cell: its ``text``, the number by which it is sorted (``None`` for texts), what stands ``under`` the text.

    ``icon``: a sign before the text, which says nothing that the text does not.
    """

    text: str
    value: float | None = None
    numeric: bool = False
    under: str = ""
    icon: str = ""


def cell(value: float | None, write: Callable[[float], str] = numbers.count) -> Cell:
    """A cell with a number as ``write`` says it, empty where there is none.

    >>> cell(1234.0).text, cell(None).text
    ('1 234', '')
    """
    return Cell("" if value is None else write(value), value, numeric=True)


@dataclass(frozen=True)
class Table:
    """A plain table; ``same`` says in words what all its rows share, ``left`` columns without room."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    same: str = ""
    left: tuple[str, ...] = ()


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


def _apart(case: Case) -> tuple[str, str]:
    """The time and its uncertainty, to the same place."""
    return numbers.measured_apart(case.call_s, case.call_s_low, case.call_s_high)


def _width(case: Case) -> float | None:
    """The width of the interval, by which its column is sorted."""
    return case.call_s_high - case.call_s_low if case.call_s_high and case.call_s_low else None


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
    ("Outcome", lambda case: Cell(case.outcome_words, icon=case.icon)),
    ("Prepare", _time("prepare_s")),
    ("First call", _time("first_call_s")),
    (ONE, lambda case: cell(case.call_s, lambda value: _apart(case)[0])),
    ("95 % interval", lambda case: Cell(_apart(case)[1], _width(case), True)),
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
CORE = frozenset(
    {"Backend", "Parameters", *SHARED, "Outcome", ONE, "95 % interval", "Work ratio", "Verdict", "Peak",
     "Relative error", "Reason"}
)  # fmt: skip
"""What a table of very many rows shows of each."""


@dataclass(frozen=True)
class Column:
    """One column of all rows; ``shown`` tells whether the table has it."""

    heading: str
    cells: tuple[Cell, ...]
    shown: bool


def _columns(cases: Sequence[Case]) -> list[Column]:
    """Every column that says anything of any case."""
    one, full = f"One {noun(cases)}", len(cases) <= ROWS_IN_FULL
    found = []
    for name, read in COLUMNS:
        cells = tuple(read(case) for case in cases)
        texts = {cell.text for cell in cells}
        if texts - {""}:
            shown = (full or name in CORE) and not (name in SHARED and len(texts) == 1)
            found.append(Column(one if name == ONE else name, cells, shown))
    return found


def all_rows(cases: Sequence[Case]) -> Table:
    """Every case with every column that says anything; what is the same in all rows is said once.

    Of more than ``budget.ROWS_IN_FULL`` cases only the core columns are shown; ``rest`` has the others.

    Args:
        cases: in the order of the study.
    """
    columns = _columns(cases)
    same = [column.cells[0].text for column in columns if _said_once(column)]
    kept = [column for column in columns if column.shown]
    rows = tuple(zip(*(column.cells for column in kept), strict=True))
    left = tuple(column.heading for column in columns if not column.shown and not _said_once(column))
    return Table(tuple(column.heading for column in kept), rows, ", ".join(same), left)


def _said_once(column: Column) -> bool:
    return column.heading in SHARED and not column.shown


def rest(
    cases: Sequence[Case], samples: Mapping[str, Sequence[Sequence[float]]] | None = None
) -> dict[str, tuple[tuple[str, str], ...]]:
    """What the table of all rows does not show of each case, and of many cases what their processes measured.

    Args:
        cases: in the order of the study.
        samples: seconds per call by case id, one list per process; only where ``processes`` has no table of them do
            they belong to the rest.

    Returns:
        By case id, pairs of a heading and a text with its unit; what was not measured is left out.

    >>> rest([])
    {}
    """
    hidden = [column for column in _columns(cases) if not column.shown]
    found = {
        case.case: tuple((column.heading, column.cells[k].text) for column in hidden if column.cells[k].text)
        for k, case in enumerate(cases)
    }
    if len(cases) > ROWS_OF_PROCESSES:
        for case in cases:
            if measured := _measured(case, (samples or {}).get(case.case, ())):
                pairs = zip(PROCESSES, measured, strict=True)
                found[case.case] += tuple((name, cell.text) for name, cell in pairs if cell.text and name in MORE)
    return found


PROCESSES = (
    "Backend", "Dtype", "Processes", "Samples", "Least", "Middle", "Most", "Outliers", "Noisy", "No more because",
    "Median of each",
)  # fmt: skip
MORE = frozenset({"Outliers", "Noisy", "No more because"})  # what neither a column of all rows nor the samples say


def processes(cases: Sequence[Case], samples: Mapping[str, Sequence[Sequence[float]]]) -> Table | None:
    """What each process measured: the median per call of every worker process, and the spread of all samples.

    Beside them stand the outliers (kept), the processes in which the noise sentinel found the machine moving, and why
    there were no more processes.

    Args:
        cases: in the order of the study.
        samples: seconds per call by case id, one list per process.

    Returns:
        The table, or ``None`` when there are no samples, or more than ``budget.ROWS_OF_PROCESSES`` cases.
    """
    if len(cases) > ROWS_OF_PROCESSES:
        return None
    rows = [row for case in cases if (row := _measured(case, samples.get(case.case, ())))]
    return Table(PROCESSES, tuple(rows)) if rows else None


def _measured(case: Case, samples: Sequence[Sequence[float]]) -> tuple[Cell, ...]:
    """One row of the table of processes; nothing without samples."""
    from statistics import median

    lists = [[value for value in one if math.isfinite(value)] for one in samples]
    lists = [one for one in lists if one]
    every = [value for one in lists for value in one]
    if not every:
        return ()
    medians = ", ".join(numbers.seconds(median(one)) for one in lists)
    return (
        Cell(case.backend, under=case.place), Cell(case.dtype),
        cell(len(lists), numbers.count), cell(len(every), numbers.count),
        cell(min(every), numbers.seconds), cell(median(every), numbers.seconds), cell(max(every), numbers.seconds),
        _outliers(case), _noisy(case), Cell(WORDS.get(case.stopped, "")), Cell(medians),
    )  # fmt: skip


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
