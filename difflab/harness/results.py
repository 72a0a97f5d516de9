"""The results of a run: rows, a pandas frame, raw samples; a pure function of the run folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import frames, statistics, store
from .gpu_columns import gpu_columns
from .ledger import Ledger

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from .drawings import Kept

COLUMNS = (
    "problem", "size", "n_params", "dtype", "device", "backend", "operator", "outcome", "reason", "prepare_s",
    "first_call_s", "call_s", "call_s_low", "call_s_high", "primal_s", "work_ratio", "peak_bytes", "array_bytes",
    "predicted_bytes", "rel_error", "worst_digits", "certified",
    "primal_calls", "tape_length",
)  # fmt: skip
GPU_COLUMNS = (
    "tf32", "event_s", "event_s_low", "event_s_high", "enqueue_s", "host_bound", "input_copies", "input_cache",
    "captured", "primal_by", "driver_bytes", "mechanism", "sm_mhz_low", "sm_mhz_high", "temperature_c", "slowed",
)  # fmt: skip
"""What is known of cases on a GPU besides: the clocks of ``gpu_timing``, memory, and how the device stood."""
MORE_COLUMNS = (
    "family", "digits", "median_digits", "worst_rel_error", "ulps", "ulp_histogram", "direction_error",
    "rel_error_radius", "error_estimate", "tolerance", "processes", "calls_timed", "work_ratio_low", "work_ratio_high",
    "ratio", "ratio_low", "ratio_high", "verdict", "stopped", "half_width", "noisy_processes", "sentinel_moved",
    "gc_runs", "gc_s", "outliers_mild", "outliers_severe", "predicted_s", "predicted_calls", "predicted_flops",
    "predicted_prepare_s", "predicted_call_s", "prepare_over_predicted", "call_over_predicted", "bytes_over_predicted",
    "import_peak_bytes", "build_peak_bytes", "prepare_peak_bytes", "first_peak_bytes", "call_peak_bytes", "import_s",
    "threads", "memory_enforced", "phase", "case", "environment", "options",
    "medians", "epochs", *GPU_COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Views:
    """How results are shown, which is for the floors above to know.

    ``html``: as a fragment of a page, for notebooks; ``figures``: as figures, by the names of the charts of the page.
    """

    html: Callable[[Results], str]
    figures: Callable[[Results], dict[str, Figure]]


@dataclass(frozen=True, repr=False)
class Results:
    """What a run found.

    ``folder``: where it is stored; ``manifest``: the study, the plan and the machine; ``ledger``: what the events say;
    ``views``: how it is shown, which ``difflab.load`` and ``difflab.run`` know.

    >>> Results.__name__
    'Results'
    """

    folder: Path
    manifest: dict[str, Any]
    ledger: Ledger
    views: Views | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Study, folder and how many cases ended in which way."""
        return f"<Results of {self.study['name']}, {tallied(self.rows)}; {self.folder}>"

    @property
    def study(self) -> dict[str, Any]:
        """Title, question, what to look for, limits and timing of the study, and its text."""
        return self.manifest["study"]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end; if not, running it again resumes it."""
        return self.ledger.seconds is not None

    @property
    def reference(self) -> dict[str, dict[str, Any]]:
        """What is known of the reference gradients, by problem and size."""
        return self.ledger.truths

    @property
    def drawing(self) -> Kept | None:
        """What the run keeps for the drawing of its page, or why nothing; ``None`` where none is asked for, or yet."""
        chosen, found = self.study.get("drawing"), self.ledger.drawing
        if chosen is None or found is None:
            return None
        from . import drawings

        return drawings.read(self.folder, chosen, self.manifest.get("seed", 0), found)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict per case in the order of the study, with all of ``COLUMNS`` and ``MORE_COLUMNS`` and statistics."""
        return self._rows

    @property
    def samples(self) -> dict[str, list[list[float]]]:
        """The raw samples by case id: one list per process, in seconds per call; nothing is ever dropped."""
        return {row["case"]: self.ledger.samples(row["case"]) for row in self.rows}

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        found = []
        for block in self.manifest["blocks"]:
            baseline = next((c["id"] for c in block["cases"] if c["label"] == self.study["baseline"]), None)
            found += [self._row(case, baseline) for case in block["cases"]]
        return found

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row per case and one number or word per cell; ``attrs["units"]`` and ``attrs["meanings"]`` explain it."""
        return frames.cases(self.rows)

    @cached_property
    def samples_frame(self) -> pandas.DataFrame:
        """One row per raw sample: what names its case, ``process``, ``sample`` and ``seconds`` per call."""
        return frames.samples(self.rows, self.samples)

    @cached_property
    def processes_frame(self) -> pandas.DataFrame:
        """One row per process of a case: its epoch, and the medians of derivative and function in seconds."""
        return frames.processes(self.rows)

    @cached_property
    def ulps_frame(self) -> pandas.DataFrame:
        """One row per case and bin of errors: how many coordinates are so many units of the last place off."""
        return frames.ulps(self.rows)

    @cached_property
    def options_frame(self) -> pandas.DataFrame:
        """One row per option that the study gave a backend."""
        return frames.options(self.rows)

    def figures(self) -> dict[str, Figure]:
        """The charts of the page as matplotlib figures, to be changed, shown in a notebook or saved.

        Returns:
            A figure for each panel by the name of its chart, such as "time", and where a chart has several panels by
            name and title, such as "time mlp": in the light colours of the page, with title, labels and legend.

        Raises:
            InputError: the results come from elsewhere than ``difflab.load`` or ``difflab.run``.

        Example:
            >>> results.figures()["time"].savefig("time.pdf")  # doctest: +SKIP
        """
        if self.views is None:
            raise InputError(f"these results cannot draw themselves: load them with difflab.load({str(self.folder)!r})")
        return self.views.figures(self)

    def _repr_html_(self) -> str | None:
        """What a notebook shows; results without views are shown by their ``repr``."""
        return None if self.views is None else self.views.html(self)

    def _row(self, case: dict[str, Any], baseline: str | None) -> dict[str, Any]:
        spec, end = case["spec"], self.ledger.ends.get(case["id"])
        check = {**(end["data"] if end else {}), **self.ledger.checks.get(case["id"], {})}
        stats = check.get("stats") or {}
        row: dict[str, Any] = dict.fromkeys((*COLUMNS, *MORE_COLUMNS))
        row |= {key: spec[key] for key in ("problem", "size", "dtype", "device", "operator")}
        row["tf32"] = spec.get("tf32")
        row |= {"backend": case["label"], "case": case["id"], "options": store.canonical(spec.get("options") or {})}
        row |= {"environment": self.ledger.environments.get(case["id"])}
        row |= {key: check[key] for key in row if key in check and key not in ("outcome", "reason")}
        if self.study.get("answer", "compare") != "compare":
            row["findings"] = check.get("findings")
        row |= {"primal_calls": stats.get("primal_calls", check.get("predicted_calls"))}
        row |= {key: value for key, value in stats.items() if key not in row or row[key] is None}
        row |= self._times(case["id"], baseline)
        row |= {"prepare_s": row["prepare_s"] or check.get("prepare_s"), "reason": "", "outcome": "interrupted"}
        row |= {f"{phase}_peak_bytes": nbytes for phase, nbytes in (check.get("phase_bytes") or {}).items()}
        row |= _over_predicted(row)
        if end:
            row |= {"outcome": end["outcome"], "reason": end["reason"], "phase": end["phase"]}
        else:
            row["reason"] = self._why_open(case["id"])
        return row

    def _why_open(self, case: str) -> str:
        """Why a case has no outcome yet."""
        if case in self.ledger.active:
            return "the run was interrupted while this case was being measured; run it again to go on"
        if case in self.ledger.epochs or case in self.ledger.checks:
            return "not measured to the end yet; run it again to go on"
        return "not measured yet; run it again to go on"

    def _times(self, case: str, baseline: str | None) -> dict[str, Any]:
        epochs = self.ledger.epochs.get(case, {})
        if not epochs:
            return {"prepare_s": None}
        medians = {number: statistics.median(data["samples"]) for number, data in epochs.items()}
        works = [medians[number] / statistics.median(data["primal"]) for number, data in epochs.items()]
        every = [value for data in epochs.values() for value in data["samples"]]
        times = list(medians.values())
        mild, severe = statistics.outliers(every)
        found: dict[str, Any] = {
            "prepare_s": statistics.median([data["prepare_s"] for data in epochs.values()]),
            "first_call_s": statistics.median([data["first_call_s"] for data in epochs.values()]),
            "import_s": statistics.median([data["import_s"] for data in epochs.values()]),
            "primal_s": statistics.median([statistics.median(data["primal"]) for data in epochs.values()]),
            "call_s": statistics.median(times),
            "work_ratio": statistics.median(works),
            "processes": len(epochs),
            "calls_timed": sum(len(data["samples"]) * data["loops"] for data in epochs.values()),
            "outliers_mild": mild,
            "outliers_severe": severe,
            **self._noise(case, epochs),
            **{key: _total(data.get(key) for data in epochs.values()) for key in ("gc_runs", "gc_s")},
            "medians": [[medians[number], statistics.median(epochs[number]["primal"])] for number in sorted(epochs)],
            "epochs": [self._epoch(case, number) for number in sorted(epochs)],
        }
        for key, values in (("call_s", times), ("work_ratio", works)):
            if bounds := statistics.interval(values):
                found |= {f"{key}_low": bounds.low, f"{key}_high": bounds.high}
        found |= gpu_columns(epochs, self.ledger.sentinels.get(case, {}))
        return found | self._ratio(case, baseline, medians)

    def _epoch(self, case: str, number: int) -> str:
        """The name of an epoch: cases of a block took turns in those whose names are the same, and nowhere else."""
        together = self.ledger.epochs[case][number].get("together", "")  # runs of old do not say
        return f"{self.ledger.environments.get(case, 0)}.{number}.{together}"

    def _noise(self, case: str, epochs: Iterable[int]) -> dict[str, Any]:
        """In how many of the epochs the sentinel found the machine noisy, and by how much it moved at most."""
        heard = self.ledger.sentinels.get(case, {})
        known = [heard[number] for number in epochs if number in heard and heard[number]["moved"] is not None]
        if not known:
            return {}
        return {
            "noisy_processes": sum(one["noisy"] for one in known),
            "sentinel_moved": max(one["moved"] for one in known),
        }

    def _ratio(self, case: str, baseline: str | None, medians: dict[int, float]) -> dict[str, Any]:
        """The comparison with the baseline, from the epochs that both took part in."""
        if baseline is None or baseline == case:
            return {}
        own, others = (self.ledger.epochs.get(one, {}) for one in (case, baseline))
        places = self.ledger.environments
        shared = [number for number in sorted(set(own) & set(others)) if side_by_side(own[number], others[number])]
        if not shared or places.get(case) != places.get(baseline):
            return {}
        bases = [statistics.median(others[number]["samples"]) for number in shared]
        found = statistics.compare([medians[number] for number in shared], bases)
        return {"ratio": found.ratio, "ratio_low": found.low, "ratio_high": found.high, "verdict": found.verdict}


def tallied(rows: Iterable[Mapping[str, Any]]) -> str:
    """How many cases ended in which way.

    Args:
        rows: of a run or a comparison.

    >>> tallied([{"outcome": "ok"}, {"outcome": "timeout"}, {"outcome": "ok"}])
    '3 cases: 2 ok, 1 timeout'
    """
    counts = Counter(str(row["outcome"]) for row in rows)
    number = sum(counts.values())
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    return f"{number} case{'s' if number != 1 else ''}{f': {said}' if said else ''}"


def side_by_side(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two cases took turns in one epoch; runs of old say so by the number of the epoch alone."""
    return one.get("together") == other.get("together")


def _total(values: Iterable[float | None]) -> float | None:
    """The sum; nothing where one of them was not counted."""
    values = list(values)
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _over_predicted(row: dict[str, Any]) -> dict[str, Any]:
    """What was measured, divided by what was forecast."""
    names = ("peak_bytes", "prepare_peak_bytes", "first_peak_bytes", "call_peak_bytes")
    peaks = [row[name] for name in names if row[name] is not None]
    pairs = {
        "prepare": (row["prepare_s"], row["predicted_prepare_s"]),
        "call": (row["call_s"], row["predicted_call_s"]),
        "bytes": (max(peaks, default=None), row["predicted_bytes"]),
    }
    return {
        f"{name}_over_predicted": measured / forecast if measured is not None and forecast else None
        for name, (measured, forecast) in pairs.items()
    }


def load(folder: str | Path) -> Results:
    """The results of the run in ``folder``, finished or not.

    Args:
        folder: a run folder, such as ``reports/digits``.

    Raises:
        StoreError: there is no run in it, or it is damaged.
    """
    folder = Path(folder)
    manifest, events = store.read_manifest(folder), store.read(folder)
    store.check_manifest(folder, manifest, events)
    ledger = Ledger.of(events)
    if ledger.nodes:
        manifest["nodes"] = list(ledger.nodes.values())
    return Results(folder, manifest, ledger)
