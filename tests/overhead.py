"""What the harness itself costs: seconds beside the sampling of a case, and time beside the call in every timed call.

    python tests/overhead.py [--runs N]

*Per case.*  A study of four backends that return zeros is run N times quick (at two problems) and N times in full (at
one), and the wall time of the whole coordinator is taken: its start, the look at the machine and at the study, the
references, all workers, the store.  What the samples lasted is subtracted (derivative and plain loss, from the stored
epochs; untimed calls and calibration count as cost of the harness), and the rest is divided by the number of cases: in
a quick run a case is one process.  In a full run a case is six processes that are timed and one that is judged, so the
rest is divided by cases and processes; that figure is what one more process of a case costs, and the bar holds for it.

*Per call.*  In N fresh processes, the time of a call as the session times it, minus the time of the bare prepared
backend called in a loop: interleaved, the median of the differences in each process.

A bar is missed, and the exit code 1, only where even the lower end of the interval over the runs or processes is above
it; a busy machine makes the upper end useless before it makes the verdict wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from difflab.backends.null import Null
from difflab.backends.protocol import Cost
from difflab.harness import statistics, timing
from difflab.harness.ledger import Ledger
from difflab.harness.session import Session
from difflab.harness.store import Store

CASE_SECONDS = 1.2
CALL_SECONDS = 2e-6
PROCESSES = 6
COPIES = 4
PROBLEMS = ("digits-mlp", "xor")
PAIRS = 60
LOOPS = 2000
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Copy:
    """The null backend under as many names as are wanted."""

    which: int = 0

    name = "copy"
    family = "null"
    capabilities = Null().capabilities

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Null().predict(tape, operator, wrt)

    def prepare(self, source: Any, operator: str, example: Sequence[Any]) -> Any:
        return Null().prepare(source, operator, example)


def study(quick: bool) -> str:
    """The study file: four names of the null backend at problems as small as they are."""
    names = PROBLEMS if quick else PROBLEMS[:1]
    problems = "".join(f'[[problem]]\nname = "{name}"\nsizes = ["tiny"]\n' for name in names)
    backends = "".join(f'[[backend]]\nname = "overhead:Copy"\nlabel = "{k}"\nwhich = {k}\n' for k in range(COPIES))
    limits = f"[timing]\nprocesses = {PROCESSES}\nmost_processes = {PROCESSES}\nbudget_s = 600\n"
    return f'title = "Overhead"\nquestion = "What does the harness cost?"\nbaseline = "0"\n{problems}{backends}{limits}'


def run(quick: bool) -> dict[str, float]:
    """One run of the study: its wall seconds, the seconds of its samples, its cases and its processes."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "overhead.toml", Path(folder) / "run"
        path.write_text(study(quick))
        request = {"study": str(path), "out": str(out), "quick": quick, "seed": 0}
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "difflab.harness.engine"],
            input=json.dumps(request) + "\n",
            env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        wall = time.monotonic() - begin
        if done.returncode:
            raise SystemExit(
                f"the run ended with exit code {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
            )
        with Store(out) as target:
            ledger = Ledger.of(target.events)
    if {end["outcome"] for end in ledger.ends.values()} != {"ok"}:
        raise SystemExit(f"not all cases are ok: {ledger.ends}")
    epochs = [epoch for epochs in ledger.epochs.values() for epoch in epochs.values()]
    sampled = sum(
        sum(epoch["samples"]) * epoch["loops"] + sum(epoch["primal"]) * epoch["primal_loops"] for epoch in epochs
    )
    cases = len(ledger.ends)
    return {"wall": wall, "sampled": sampled, "cases": cases, "processes": len(epochs) + (0 if quick else cases)}


def beside(found: dict[str, float], per: str) -> float:
    """Seconds beside the samples, per case or per process."""
    return (found["wall"] - found["sampled"]) / found[per]


# ------------------------------------------------------------------------------- per call


def bare(call: Callable[[Any], object], leaves: Any, loops: int) -> float:
    """Seconds per call of the prepared backend itself, in the shortest loop that Python has."""
    start = time.perf_counter_ns()
    for _ in repeat(None, loops):
        call(leaves)
    return (time.perf_counter_ns() - start) * 1e-9 / loops


def per_call() -> float:
    """The median, in this process, of what a timed call costs beside the call."""
    silent: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    session = Session(silent)
    spec = {"problem": "digits-mlp", "size": "tiny", "dtype": "float64", "operator": "gradient"}
    session.open({"spec": {**spec, "backend": "null", "options": {}, "seed": 0}})
    session.prepare({})
    call = session.operation.call(session.backend, session.prepared)
    prepared, leaves = session.prepared.value_and_gradient, session.operation.source.example
    timing.warm_up(call, LOOPS, 0.05)
    differences = []
    for _ in range(PAIRS):
        without = bare(prepared, leaves, LOOPS)
        differences.append(timing.sample(call, LOOPS) - without)
    return statistics.median(differences)


def fresh_process() -> float:
    """``per_call`` in a new interpreter."""
    done = subprocess.run(
        [sys.executable, str(HERE / "overhead.py"), "--call"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return float(done.stdout)


# ------------------------------------------------------------------------------- the verdict


def judged(title: str, values: Sequence[float], bar: float | None, unit: str, scale: float) -> bool:
    """Print one line; says whether the bar is missed beyond doubt."""
    middle, ends = statistics.median(values), statistics.interval(values)
    low, high = ends or (min(values), max(values))
    text = f"{title:<52} {middle * scale:8.3f} {unit}  {low * scale:7.3f} to {high * scale:7.3f}"
    if bar is None:
        print(text)
        return False
    verdict = "kept" if high <= bar else "MISSED" if low > bar else "undecided: the machine is too noisy"
    print(f"{text}   bar {bar * scale:g} {unit}: {verdict}")
    return low > bar


def main() -> int:
    """Measure, print the table, and say by the exit code whether a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=6, help="runs of each kind, and processes (at least 6)")
    parser.add_argument("--call", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.call:
        print(per_call())
        return 0
    quick, full, calls = [], [], []
    for _ in range(max(6, given.runs)):  # interleaved, so that drift of the machine hits all alike
        quick.append(run(quick=True))
        full.append(run(quick=False))
        calls.append(fresh_process())
    print(f"{len(calls)} runs of each kind and {len(calls)} processes; median and 95 % interval\n")
    missed = [
        judged(
            "quick run, beside its samples, per case", [beside(one, "cases") for one in quick], CASE_SECONDS, "s ", 1
        ),
        judged("full run, per process of a case", [beside(one, "processes") for one in full], CASE_SECONDS, "s ", 1),
        judged("full run, per case (7 processes)", [beside(one, "cases") for one in full], None, "s ", 1),
        judged("samples of a quick run, per case", [one["sampled"] / one["cases"] for one in quick], None, "s ", 1),
        judged("samples of a full run, per case", [one["sampled"] / one["cases"] for one in full], None, "s ", 1),
        judged("a timed call, beside the call itself", calls, CALL_SECONDS, "us", 1e6),
    ]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
