"""What changed between two runs: exact intervals, what counts as worse, and what cannot be compared."""

from __future__ import annotations

import copy
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import mannwhitneyu

import difflab
from difflab.errors import StoreError
from difflab.harness import results, statistics, stopping, store, two_samples
from difflab.harness.difference import SEQUENTIAL, Difference, diff_runs
from difflab.harness.ledger import Ledger
from difflab.harness.results import Results

OLD = Path(__file__).parent / "old_runs" / "format-1"


# ---------------------------------------------------------------------------- the interval of a factor


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 4), (6, 6), (5, 9), (12, 7)])
def test_the_null_distribution_is_that_of_mann_and_whitney(first: int, second: int) -> None:
    counts = two_samples.counts(first, second)
    assert sum(counts) == math.comb(first + second, first)
    below = 0
    for value, count in enumerate(counts):
        below += count
        # a sample of distinct numbers with this very statistic
        one = [float(k) for k in range(first)]
        other, left = [], value
        for place in range(second):
            over = min(first, left)
            other.append(over - 0.5 + (place + 1) * 1e-3)
            left -= over
        found = mannwhitneyu(other, one, alternative="less", method="exact")
        assert found.statistic == value
        assert math.isclose(found.pvalue, below / sum(counts), rel_tol=1e-12)


def test_the_ranks_are_the_best_that_keep_the_confidence() -> None:
    for first in range(1, 12):
        for second in range(1, 12):
            counts, total = two_samples.counts(first, second), math.comb(first + second, first)
            rank = two_samples.rank(first, second)
            tails = [2 * sum(counts[:k]) / total for k in range(1, (first * second + 1) // 2 + 1)]
            inside = [k for k, tail in enumerate(tails, start=1) if tail <= 0.05 + 1e-12]
            assert rank == (inside[-1] if inside else None), (first, second)
    assert two_samples.rank(2, 7) is None
    assert two_samples.rank(2, 8) == 1


SHAPES: dict[str, Callable[[random.Random], float]] = {
    "log-normal": lambda generator: generator.lognormvariate(0.0, 0.05),
    "with rare slow ones": lambda generator: 1.0 + 0.3 * generator.expovariate(1.0) ** 3,
    "two moods": lambda generator: generator.choice((1.0, 1.4)) * generator.lognormvariate(0.0, 0.01),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("first", "second"), [(4, 4), (6, 6), (6, 12)])
def test_the_interval_covers_the_true_factor_as_often_as_it_says(shape: str, first: int, second: int) -> None:
    """Whatever the shape: in 2000 made-up pairs of runs, within four standard deviations of what is exact."""
    generator, draw, factor, covered = random.Random(f"{shape} {first}"), SHAPES[shape], 1.25, 0
    for _ in range(2000):
        before = [draw(generator) for _ in range(first)]
        after = [factor * draw(generator) for _ in range(second)]
        _, found = two_samples.factor(before, after)
        assert found is not None
        covered += found.low <= factor <= found.high
    place = two_samples.rank(first, second)
    assert place is not None
    exact = 1 - 2 * sum(two_samples.counts(first, second)[:place]) / math.comb(first + second, first)
    assert exact >= 0.95
    assert abs(covered / 2000 - exact) <= 4 * math.sqrt(exact * (1 - exact) / 2000)


def _stopped_early(generator: random.Random, draw: Callable[[random.Random], float], factor: float) -> list[float]:
    times = [factor * draw(generator) for _ in range(6)]
    while stopping.rule(times, 6, 15, 0.05) is None:
        times.append(factor * draw(generator))
    return times


def test_where_a_run_stopped_when_its_interval_was_narrow_the_factor_is_covered_as_often() -> None:
    """A sample that stops when it looks narrow is narrow by chance sometimes: at 95 % it would cover less often."""
    generator, draw = random.Random(5), SHAPES["with rare slow ones"]
    covered = {statistics.CONFIDENCE: 0, SEQUENTIAL: 0}
    for _ in range(1500):
        before, after = (_stopped_early(generator, draw, factor) for factor in (1.0, 1.25))
        for confidence in covered:
            _, found = two_samples.factor(before, after, confidence)
            assert found is not None
            covered[confidence] += found.low <= 1.25 <= found.high
    assert covered[statistics.CONFIDENCE] / 1500 < 0.95 <= covered[SEQUENTIAL] / 1500


def test_the_other_way_round_it_is_the_inverse() -> None:
    generator = random.Random(3)
    one, other = [[generator.lognormvariate(0, 0.1) for _ in range(7)] for _ in range(2)]
    there, back = two_samples.factor(one, other), two_samples.factor(other, one)
    assert math.isclose(there[0] * back[0], 1.0, rel_tol=1e-12)
    assert there[1] is not None
    assert back[1] is not None
    assert math.isclose(there[1].low * back[1].high, 1.0, rel_tol=1e-12)


# ---------------------------------------------------------------------------- two runs


def _run(change: Callable[[list[dict[str, Any]], dict[str, Any]], None] | None = None, name: str = "full") -> Results:
    """The stored run with other events or another manifest; in another folder, as it were."""
    events, manifest = store.read(OLD / name), store.read_manifest(OLD / name)
    events, manifest = copy.deepcopy(events), copy.deepcopy(manifest)
    for event in events:  # six processes that agree within a per cent, so that a factor can be told
        if event["kind"] == "epoch":
            event["data"]["samples"] = [1e-5 * (1 + event["epoch"] / 600)] * 2
            event["data"]["prepare_s"] = 1e-3 * (1 + event["epoch"] / 600)
    if change is not None:
        change(events, manifest)
    return Results(Path("before" if change is None else "after"), manifest, Ledger.of(events))


def _data(events: list[dict[str, Any]], kind: str, case: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["kind"] == kind and event["case"] == case]


REVERSE = "87468a2da6cc7c5c05bc60daa67cb9eb28986774e720a083574694a220d0a9d9"


def _only(found: Difference) -> list[str]:
    assert [case.backend for case in found.regressed] in ([], ["reverse"])
    return [clause for case in found.regressed for clause in case.regressions]


@pytest.mark.parametrize(
    ("factor", "verdict", "worse"),
    [(1.0, "equivalent", False), (1.02, "equivalent", False), (1.034, "slower", False), (1.3, "slower", True),
     (0.5, "faster", False), (1.0305, "slower", False)],
)  # fmt: skip
def test_times_have_one_of_four_verdicts_and_only_clearly_longer_ones_are_worse(
    factor: float, verdict: str, worse: bool
) -> None:
    def slower(events: list[dict[str, Any]], _: dict[str, Any]) -> None:
        for data in _data(events, "epoch", REVERSE):
            data["samples"] = [value * factor for value in data["samples"]]

    found = diff_runs(_run(), _run(slower))
    call = next(case.call for case in found.cases if case.case == REVERSE)
    assert call is not None
    assert call.verdict == verdict
    assert math.isclose(call.factor, factor, rel_tol=1e-9)
    assert call.interval is not None
    assert call.interval.low < factor < call.interval.high
    assert [clause for clause in _only(found) if "times as long" in clause] == _only(found)
    assert bool(_only(found)) == worse


def test_a_run_that_might_have_taken_more_processes_has_the_wider_interval() -> None:
    def more(_: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        manifest["study"]["timing"]["most_processes"] = 15

    for one, other, confidence in ((_run(), _run(), statistics.CONFIDENCE), (_run(), _run(more), SEQUENTIAL)):
        calls = [case.call for case in diff_runs(one, other).cases]
        medians = [median for median, _ in one.rows[0]["medians"]]
        assert calls[0] is not None
        assert calls[0].interval == two_samples.factor(medians, medians, confidence)[1]
    assert two_samples.rank(6, 6, SEQUENTIAL) != two_samples.rank(6, 6)


def test_noise_is_ambiguous_and_not_worse() -> None:
    def noisy(events: list[dict[str, Any]], _: dict[str, Any]) -> None:
        for number, data in enumerate(_data(events, "epoch", REVERSE)):
            data["samples"] = [value * (0.8, 1.3)[number % 2] for value in data["samples"]]

    found = diff_runs(_run(), _run(noisy))
    (case,) = [case for case in found.cases if case.case == REVERSE]
    assert case.call is not None
    assert (case.call.verdict, case.regressions) == ("ambiguous", [])


def _check(**known: Any) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    def change(events: list[dict[str, Any]], _: dict[str, Any]) -> None:
        _data(events, "checked", REVERSE)[0].update(known)

    return change


def _outcome(outcome: str) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    def change(events: list[dict[str, Any]], _: dict[str, Any]) -> None:
        for event in events:
            if event["kind"] == "finished" and event["case"] == REVERSE:
                event.update(outcome=outcome, reason="because")

    return change


@pytest.mark.parametrize(
    ("change", "clauses"),
    [
        (_check(peak_bytes=307200 + 2**18), []),
        (_check(peak_bytes=307200 + 2**18 + 1), ["0.5 MiB of memory instead of 0.3 MiB"]),
        (_check(peak_bytes=0), []),
        (_check(digits=15.5), []),
        (_check(digits=15.3), ["15.3 correct digits instead of 15.9"]),
        (_check(digits=17.0, rel_error=0.0), []),
        (_outcome("timeout"), ["timeout instead of ok (because)"]),
        (_outcome("crash"), ["crash instead of ok (because)"]),
    ],
)
def test_what_counts_as_worse(change: Callable, clauses: list[str]) -> None:
    assert _only(diff_runs(_run(), _run(change))) == clauses


def test_a_failure_may_get_better_and_an_open_case_is_not_judged() -> None:
    assert _only(diff_runs(_run(_outcome("crash")), _run(_outcome("timeout")))) == []
    assert _only(diff_runs(_run(_outcome("timeout")), _run(_outcome("memory_limit")))) == []
    worse = diff_runs(_run(_outcome("timeout")), _run(_outcome("crash")))
    assert _only(worse) == ["crash instead of timeout (because)"]
    found = diff_runs(_run(), results.load(OLD / "interrupted"))
    assert found.regressed == []
    assert any("interrupted is not finished: its open cases are not judged" in note for note in found.notes)
    assert any("too few processes; four in both runs are enough" in note for note in found.notes)


def test_a_tenth_more_of_much_memory_is_not_worse_yet() -> None:
    found = diff_runs(_run(_check(peak_bytes=2**30)), _run(_check(peak_bytes=int(1.1 * 2**30))))
    assert _only(found) == []
    found = diff_runs(_run(_check(peak_bytes=2**30)), _run(_check(peak_bytes=int(1.11 * 2**30))))
    assert len(_only(found)) == 1


# ---------------------------------------------------------------------------- what is compared with what


def test_cases_are_found_by_what_they_are_called_where_their_id_differs() -> None:
    def renamed(events: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        manifest["seed"] = 1
        for case in manifest["blocks"][0]["cases"]:
            case["id"] = case["id"][::-1]
        for event in events:
            if "case" in event:
                event["case"] = event["case"][::-1]

    found = diff_runs(_run(), _run(renamed))
    assert [case.backend for case in found.cases] == ["analytic", "reverse", "finite (step 1)"]
    assert all(case.call is None or case.call.verdict == "equivalent" for case in found.cases)
    assert (found.gone, found.new) == ([], [])
    assert [str(change) for change in found.settings] == ["seed: 0 -> 1"]


def test_cases_of_one_run_only_are_named() -> None:
    def other(_: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        manifest["blocks"][0]["cases"][1].update(id="0" * 64, label="new one")

    found = diff_runs(_run(), _run(other))
    assert found.gone == ["two-layer tiny float64 reverse"]
    assert found.new == ["two-layer tiny float64 new one"]
    assert found.regressed == []


def _machine(key: str, value: Any) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    def change(events: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        place = manifest["environment"]
        *above, last = key.split(".")
        for name in above:
            place = place[int(name)] if name.isdigit() else place[name]
        place[last] = value
        for data in _data(events, "epoch", REVERSE):
            data["samples"] = [2 * part for part in data["samples"]]

    return change


@pytest.mark.parametrize(
    ("key", "value"), [("cpu", "Another"), ("cores", 64), ("blas.0.architecture", "Haswell"), ("packages.numpy", "3.0")]
)
def test_times_of_another_machine_or_version_are_not_compared_unless_asked(key: str, value: Any) -> None:
    one, other = _run(), _run(_machine(key, value))
    found = diff_runs(one, other)
    assert len(found.machine) == 1
    assert not found.comparable
    assert all(case.call is None and case.prepare is None for case in found.cases)
    assert found.regressed == []
    assert any("times are not compared (--across-machines does)" in note for note in found.notes)
    found = diff_runs(one, other, across_machines=True)
    assert len(_only(found)) == 1
    assert found.machine


@pytest.mark.parametrize(("key", "value"), [("packages.difflab", "9.9"), ("git", {"commit": "f" * 40})])
def test_another_difflab_is_what_is_to_be_compared(key: str, value: Any) -> None:
    found = diff_runs(_run(), _run(_machine(key, value)))
    assert found.comparable
    assert len(_only(found)) == 1


def test_facts_that_an_older_difflab_did_not_store_are_no_difference() -> None:
    def newer(_: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        manifest["environment"] |= {"processor_limit": 1.5, "gpus": []}
        del manifest["environment"]["memory_limit_bytes"]

    assert diff_runs(_run(), _run(newer)).machine == []
    assert diff_runs(_run(newer), _run()).machine == []


def test_sentinels_of_both_runs_are_mentioned() -> None:
    def heard(noisy: list[bool]) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
        def change(events: list[dict[str, Any]], _: dict[str, Any]) -> None:
            for epoch, word in enumerate(noisy):
                data = {"readings": [], "moved": 0.2, "noisy": word}
                events.append({"kind": "sentinel", "block": "b", "epoch": epoch, "cases": [REVERSE], "data": data})

        return change

    notes = diff_runs(_run(heard([True, False, True])), _run(heard([False, False]))).notes
    (note,) = [note for note in notes if "sentinel" in note]
    assert "2 of 3 processes of after and 0 of 2 processes of after" in note
    assert not any("sentinel" in note for note in diff_runs(_run(), _run(heard([True]))).notes)


def test_it_is_public_and_takes_folders(tmp_path: Path) -> None:
    after = Path(shutil.copytree(OLD / "full", tmp_path / "after"))
    found = difflab.diff_runs(OLD / "full", str(after))
    assert (found.before, found.after) == (OLD / "full", after)
    frame = found.frame
    assert list(frame["call_factor"])[:2] == [1.0, 1.0]
    assert list(frame["outcome_after"]) == ["ok", "ok", "invalid"]
    with pytest.raises(StoreError, match="holds no run of difflab"):
        difflab.diff_runs(OLD / "full", tmp_path)
