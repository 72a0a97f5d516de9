"""Made-up runs for the tests of the report: rows as the harness makes them, with whatever numbers a test needs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difflab.harness.results import COLUMNS, MORE_COLUMNS

TEXT = 'title = "Made up"\n\n[[problem]]\nname = "digits-mlp"\n'


@dataclass
class MadeUpRun:
    """What the page reads of ``Results``."""

    rows: Sequence[Mapping[str, Any]]
    manifest: dict[str, Any]
    samples: dict[str, list[list[float]]] = field(default_factory=dict)
    reference: dict[str, dict[str, Any]] = field(default_factory=dict)
    folder: Path = Path("nowhere")
    drawing: Any = None


def row(backend: str, **known: Any) -> dict[str, Any]:
    """One row: a finished case of digits-mlp with sensible numbers, changed by ``known``."""
    found: dict[str, Any] = dict.fromkeys((*COLUMNS, *MORE_COLUMNS))
    found |= {
        "problem": "digits-mlp", "size": "small", "n_params": 330, "dtype": "float64", "device": "cpu",
        "backend": backend,
        "operator": "gradient", "outcome": "ok", "reason": "", "prepare_s": 2e-3, "first_call_s": 4e-4, "call_s": 1e-4,
        "call_s_low": 0.97e-4, "call_s_high": 1.04e-4, "primal_s": 4e-5, "work_ratio": 2.5, "peak_bytes": 2**20,
        "array_bytes": 2**18, "predicted_bytes": 2**17, "rel_error": 3e-16, "worst_digits": 14.2, "certified": "yes",
        "primal_calls": 1, "tape_length": 42, "processes": 6, "calls_timed": 540, "family": backend.partition(" ")[0],
    }  # fmt: skip
    found |= known
    found["case"] = "-".join(str(found[key]) for key in ("problem", "size", "dtype", "backend"))
    return found


def failed(backend: str, outcome: str, **known: Any) -> dict[str, Any]:
    """One row of a case without a result."""
    nothing = dict.fromkeys(
        ("prepare_s", "first_call_s", "call_s", "call_s_low", "call_s_high", "primal_s", "work_ratio", "peak_bytes",
         "array_bytes", "rel_error", "worst_digits", "primal_calls", "tape_length", "processes", "calls_timed")
    )  # fmt: skip
    return row(backend, **{"outcome": outcome, "reason": f"made-up reason of {outcome}", **nothing, **known})


def timed(backend: str, call_s: float, rel_error: float, **known: Any) -> dict[str, Any]:
    """One finished row with its interval of two per cent."""
    bounds = {"call_s": call_s, "call_s_low": 0.98 * call_s, "call_s_high": 1.02 * call_s}
    return row(backend, **bounds, rel_error=rel_error, **known)


def manifest(**changed: Any) -> dict[str, Any]:
    """A manifest as the harness writes it; ``changed`` keys of the study or, with the same names, of the run."""
    study = {
        "name": "made-up", "title": "Three ways to differentiate a loss on handwritten digits",
        "question": "Two networks look at real 8x8 digits. Which way of differentiating their losses is accurate, fast "
        "and small enough: finite differences, symbolic differentiation, or automatic differentiation?",
        "look_for": "The error of finite differences never falls below what their step allows, while the others are "
        "exact up to rounding. The time of finite differences and forward mode grows with the number of parameters.",
        "answer": "compare", "operator": "gradient", "baseline": "reverse",
        "limits": {"seconds": 10.0, "memory": 2**31, "reference_seconds": 20.0},
        "timing": {"processes": 6, "samples": 9, "sample_ms": 1.0, "rounds": 3, "budget_s": 85.0, "threads": 1},
        "text": TEXT,
    }  # fmt: skip
    environment = {
        "python": "3.11.9", "implementation": "CPython", "platform": "Linux 6.1.0 x86_64", "cpu": "A Processor 3.0 GHz",
        "cores": 2, "memory_bytes": 2**33, "threads": 1,
        "packages": {"difflab": "0.1.0", "numpy": "2.4.0", "scipy": None},
        "blas": [{"internal_api": "openblas", "version": "0.3.29", "architecture": "Haswell", "num_threads": 1}],
        "git": {"commit": "0123456789abcdef", "changed": False},
    }  # fmt: skip
    found = {"key": "k", "seed": 0, "quick": False, "created": "2026-01-02T03:04:05Z", "version": 1, "blocks": []}
    found |= {"study": study, "environment": environment}
    for key, value in changed.items():
        (found if key in found else study)[key] = value
    return found


def unexplained(text: str) -> str:
    """The text of a page without the buttons that open the meaning of a word."""
    text = re.sub(r'<button type="button" class="ask"[^>]*>.*?</button>', "", text)
    text = re.sub(r'<button type="button" class="term"[^>]*>(.*?)</button>', r"\1", text)
    return re.sub(r'<span class="held">(.*?)</span>', r"\1", text)


def run(rows: Sequence[Mapping[str, Any]], **changed: Any) -> MadeUpRun:
    """A run with these rows, and samples for what was timed."""
    samples = {
        one["case"]: [[one["call_s"] * (1 + 0.01 * k), one["call_s"] * (1.02 + 0.01 * k)] for k in range(6)]
        for one in rows
        if one["call_s"]
    }
    truths = {"digits-mlp-small": {"bits": 160, "narrow": True, "ties": 0, "seconds": 1.5}}
    return MadeUpRun(rows, manifest(**changed), samples, truths)


SIZES = {
    "digits-mlp": {"tiny": 31, "small": 330, "medium": 2410, "large": 18_826},
    "digits-cnn": {"tiny": 56, "small": 612, "medium": 9_098},
}


def histogram(n: int, error: float) -> list[int]:
    """Errors of ``n`` coordinates around ``error``, a relative one, in bins of ULPs of float64."""
    middle = min(23, max(1, round(math.log2(error / 2.0**-52)) + 2))
    counts = [0] * 25
    for k in range(n):
        counts[min(23, max(0, middle + (k * k + k) % 7 - 3))] += 1
    return counts


WAYS = {  # error, work ratio per parameter, work ratio beyond, peak in arrays of parameters
    "analytic": (2.1e-16, 0.0, 2.1, 3),
    "reverse": (2.6e-16, 0.0, 2.4, 4),
    "forward": (3.1e-16, 1.9, 0.0, 40),
    "finite (central)": (2e-10, 2.05, 0.0, 2),
    "finite (one-sided)": (4e-8, 1.03, 0.0, 2),
}


def full() -> MadeUpRun:
    """A run like that of the shipped study: two problems, seven backends, every kind of outcome."""
    rows = []
    for problem, sizes in SIZES.items():
        for size, n in sizes.items():
            loss = 2.0e-5 * (n / 31) ** 0.4 * (3 if problem == "digits-cnn" else 1)
            at: dict[str, Any] = {"problem": problem, "size": size, "n_params": n, "primal_s": loss}
            for backend, (error, per_parameter, more, arrays) in WAYS.items():
                work = per_parameter * n + more
                if work * loss < 10:
                    at |= {"peak_bytes": 4096 * round(arrays * n**0.7), "work_ratio": work}
                    versus = {} if backend == "reverse" else {"verdict": "slower", "ratio": work / 2.4}
                    graded = {"ulp_histogram": histogram(n, error), "ulps": 8 * error / 2.0**-52, "median_digits": 15.1}
                    rows.append(timed(backend, work * loss, error * (n / 31) ** 0.2, **at, **versus, **graded))
                else:
                    why = f"the forecast is {work * loss:.3g} s for one gradient; the limit is 10 s"
                    rows.append(failed(backend, "skipped_predicted", **_where(at), predicted_s=work * loss, reason=why))
            rows.append(_symbolic(at, loss))
            rows.append(timed("null", 2.4e-7, 1.0, **at | {"peak_bytes": 0, "work_ratio": 0.01, "certified": "no"}))
            rows[-1] |= {"rel_error": None, "worst_digits": None}
    return run(rows)


def _where(at: Mapping[str, Any]) -> dict[str, Any]:
    return {key: at[key] for key in ("problem", "size", "n_params")}


def _symbolic(at: Mapping[str, Any], loss: float) -> dict[str, Any]:
    """Symbolic differentiation finishes at size tiny only, and fails in another way at every other size."""
    n, where = at["n_params"], _where(at)
    if at["size"] == "tiny":
        counts = {"symbolic_ops_value": 40 * n, "symbolic_ops_gradient": 900 * n, "symbolic_ops_cse": 110 * n}
        more = {"work_ratio": 40.0, "prepare_s": 3.2, "verdict": "slower", "peak_bytes": 3 * 2**20}
        return timed("symbolic", 40 * loss, 4e-16, **{**at, **counts, **more})
    if at["size"] == "small":
        return failed("symbolic", "timeout", **where, reason="no answer after 10 s in phase prepare")
    if at["size"] == "medium":
        return failed("symbolic", "memory_limit", **where, reason="MemoryError: the memory limit was reached")
    why = "the forecast needs 24 GiB; the limit is 2 GiB"
    return failed("symbolic", "skipped_predicted", **where, predicted_bytes=3 * 2**33, predicted_s=4e4, reason=why)
