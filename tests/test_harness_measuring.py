"""Clocks, memory, limits and judgement, each on its own."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from difflab.harness import accuracy, amounts, finite_loss, limits, memory, timing
from difflab.harness.operation import Operation
from difflab.harness.process import Worker, ask, settle
from difflab.operators import source
from difflab.problems import find


def test_the_memory_self_test_reads_back_what_it_wrote() -> None:
    found = memory.self_test(64 * 2**20)
    assert found["expected"] == 64 * 2**20
    assert found["measured"] == pytest.approx(64 * 2**20, rel=0.05)


FREED_BEFORE_THE_END = """
import numpy as np
from difflab.harness import memory

def work():
    first = np.ones(6 * 2**20)
    total = first.sum()
    del first
    return int(total + np.ones(2 * 2**20).sum())

print(*memory.peak_during(work, memory.resident()))
"""


def test_the_peak_of_a_call_counts_what_is_freed_before_it_ends() -> None:
    # In a fresh process, as workers are: what an allocator keeps of other tests' arrays would count as well.
    done = subprocess.run(
        [sys.executable, "-c", FREED_BEFORE_THE_END],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    peak, result = map(int, done.stdout.split())
    assert result == 8 * 2**20
    assert peak == pytest.approx(48 * 2**20, rel=0.05)


def test_array_bytes_are_exact_for_arrays() -> None:
    assert memory.arrays_during(lambda: np.ones(10**6).sum()) == pytest.approx(8e6, rel=0.01)


def test_without_proc_memory_is_unknown_and_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.status("VmRSS", tmp_path / "none") is None
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none" / "clear_refs")
    assert memory.peak_during(lambda: 3, 0) == (None, 3)
    assert memory.peak_during(lambda: 3, None) == (None, 3)


def test_calibration_stops_when_a_sample_is_long_enough() -> None:
    seen = []

    def call() -> None:
        seen.append(None)
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass

    loops, seconds = timing.calibrate(call, 0.002, step=1e-9)
    assert 4 <= loops <= 40
    assert seconds >= 1e-4
    assert len(seen) < 100


def test_a_trial_that_was_interrupted_does_not_end_the_calibration() -> None:
    interruptions = [0.05]

    def call() -> None:
        time.sleep(interruptions.pop() if interruptions else 1e-5)

    assert timing.calibrate(call, 0.01, step=1e-9)[0] > 1


def test_samples_of_slow_calls_are_as_long_as_the_study_asks() -> None:
    assert timing.plan(0.02, 5, 9).loops == timing.plan(0.4, 5, 9).loops == 5


def test_a_coarse_clock_asks_for_longer_samples() -> None:
    loops, seconds = timing.calibrate(lambda: None, 1e-9, step=1e-6)
    assert loops * seconds >= 0.9e-3


@pytest.mark.parametrize(
    ("call_s", "rounds", "samples", "calls", "warm"),
    [(1e-5, 3, 3, 900, 4), (0.008, 3, 1, 3, 4), (0.02, 3, 1, 3, 4), (0.1, 3, 1, 3, 1), (2.0, 1, 1, 1, 0)],
)
def test_slow_calls_are_sampled_less(call_s: float, rounds: int, samples: int, calls: int, warm: int) -> None:
    plan = timing.plan(call_s, 100 if call_s < 0.005 else 1, 9)
    assert (plan.rounds, plan.samples, plan.calls, plan.warm_calls) == (rounds, samples, calls, warm)


def test_collections_of_garbage_are_counted_and_the_counting_ends() -> None:
    before = list(gc.callbacks)
    with timing.collections() as found:
        gc.collect()
        gc.collect()
    assert found["gc_runs"] == 2
    assert found["gc_s"] > 0
    gc.collect()
    assert found["gc_runs"] == 2
    assert gc.callbacks == before


def test_warm_up_keeps_both_bounds() -> None:
    assert timing.warm_up(lambda: None, 4, 0.0) == 4
    start = time.perf_counter()
    timing.warm_up(lambda: time.sleep(0.001), 1, 0.005)
    assert time.perf_counter() - start >= 0.005


@pytest.mark.parametrize(
    ("code", "errors", "outcome", "reason"),
    [
        (-9, "", "crash", "SIGKILL (killed from outside; nothing says by whom) in phase first"),
        (-6, 'Fatal\n  File "/a/b/loss.py", line 12 in f', "crash", "SIGABRT (abort) in phase first (loss.py:12)"),
        (1, "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.", "memory_limit", "OpenBLAS"),
        (3, "", "crash", "ended by itself with exit code 3 in phase first"),
        (None, "", "lost", "the worker closed its channel in phase first without an answer"),
        (-99, "", "crash", "the worker died of signal 99"),
    ],
)
def test_a_death_is_judged_by_evidence(code: int | None, errors: str, outcome: str, reason: str) -> None:
    found = limits.autopsy(code, "first", errors)
    assert found[0] == outcome
    assert reason in found[1]
    if code is not None and code < -1 and "memory" not in errors.lower():
        assert "memory" not in found[1]


def test_reasons_are_one_short_line() -> None:
    line = limits.shorten("a\nb\x1b[31m\t" + "c" * 10**6)
    assert line.startswith("a b?[31m ccc")
    assert line.endswith("...")
    assert len(line) == limits.REASON_LENGTH


def test_a_worker_that_cannot_start_is_lost_and_says_why() -> None:
    worker = Worker(module="difflab.harness.no_such_module")
    try:
        assert ask(worker, {"do": "describe"}, 20) is None
        assert worker.verdict is not None
        assert worker.verdict[0] == "lost"
        assert "could not be started: the worker ended by itself with exit code 1" in worker.verdict[1]
    finally:
        worker.close()


def test_closing_a_worker_may_be_interrupted_and_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, close = Worker(), os.close

    def interrupted(descriptor: int) -> None:
        close(descriptor)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.close()
    worker.close()
    assert worker.process.returncode is not None
    worker.close()


def test_a_worker_answers_one_command_after_the_other_and_rests_between() -> None:
    worker = Worker()
    try:
        for _ in range(2):
            answer = ask(worker, {"do": "look", "question": {"what": "names"}}, 30)
            assert answer is not None
            assert "digits-mlp" in answer["problems"]
            assert "reverse" in answer["backends"]
        assert settle([worker.pid])
        long = {"what": "names", "more": "x" * (1 << 20)}  # more than a pipe holds at once
        assert ask(worker, {"do": "look", "question": long}, 30) == answer
        assert ask(worker, {"do": "no such thing"}, 30) is None
        assert worker.verdict is not None
        assert worker.verdict[0] == "crash"
        assert worker.verdict[1].startswith("KeyError: 'no such thing' (at worker.py:")
    finally:
        worker.close()
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    ("value", "arguments", "fault"),
    [
        (np.float64(1.5), [np.nan], None),
        (np.ones(1)[0], [np.nan], None),
        (np.float64("nan"), [np.ones(2), np.array([1, np.nan])], "nan at these arguments (argument y contains NaN)"),
        (np.float32("inf"), [np.array([-np.inf, 1]), 2.0], "inf at these arguments (argument x contains infinity)"),
        (float("-inf"), [0.0, np.arange(3)], "-inf at these arguments, which are all finite"),
    ],
)
def test_a_loss_that_is_not_finite_names_its_argument(value: object, arguments: list, fault: str | None) -> None:
    found = finite_loss.fault_of_loss(value, arguments, ["x", "y"])
    assert found == (None if fault is None else f"the loss is {fault}")


def test_amounts_have_three_digits_and_their_unit() -> None:
    shown = [amounts.duration(seconds) for seconds in (32.41, 0.00154, 1.5e-6, 0.9999, 6789.0, 1e-12)]
    assert shown == ["32.4 s", "1.54 ms", "1.5 µs", "1 s", "6 790 s", "0 s"]
    long = [amounts.duration(seconds) for seconds in (7200.0, 1.5e5, 2 * 86400.0, 6e7, 7e7, 1.2e12, np.inf)]
    assert long == ["2 hours", "41.7 hours", "2 days", "694 days", "2.22 years", "38 000 years", "inf"]
    sizes = [amounts.size(nbytes) for nbytes in (85.6 * 2**30, 2**31, 1023 * 2**20, 100, 5e15)]
    assert sizes == ["85.6 GiB", "2 GiB", "0.999 GiB", "100 B", "4 550 TiB"]
    assert (amounts.count(602134.0), amounts.count(np.inf)) == ("602 134", "inf")


def test_a_forecast_says_what_it_counts() -> None:
    from types import SimpleNamespace
    from typing import Any

    from difflab.backends.protocol import Cost
    from difflab.errors import ForecastError
    from difflab.harness.session import Session

    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    session = Session(channel)
    names = {"problem": "digits-mlp", "size": "tiny", "dtype": "float64", "operator": "gradient", "seed": 0}
    session.open({"spec": {**names, "backend": "reverse", "options": {}}})
    limits_of_case = {"memory": 2**31, "seconds": 10.0}

    def refusal(cost: Cost) -> str:
        capable = frozenset({"gradient"})
        session.backend = SimpleNamespace(predict=lambda tape, operator, wrt: cost, capabilities=capable)
        with pytest.raises(ForecastError) as caught:
            session.forecast(limits_of_case)
        return str(caught.value)

    known = refusal(Cost(3.0, 0.0, 0.0, 32.4))
    assert known == "the forecast is 32.4 s to prepare and run once; the limit is 10 s"
    counted = refusal(Cost(602134e6, 0.0, 0.0, float("nan")))
    assert re.fullmatch(
        r"the forecast is [\d. ]+ (hours|days|years) to prepare and run once "
        r"\(602 134 000 000 evaluations of [\d.]+ (µs|ms)\); the limit is 10 s",
        counted,
    )
    assert refusal(Cost(3.0, 0.0, 85.6 * 2**30, 0.1)) == "the forecast needs 85.6 GiB; the limit is 2 GiB"
    also = "it also needs 85.6 GiB, and may take 2 GiB"
    both = f"the forecast is 31.7 years to prepare and run once; the limit is 10 s; {also}"
    assert refusal(Cost(3.0, 0.0, 85.6 * 2**30, 1e9)) == both


def test_tolerances_follow_dtype_and_family() -> None:
    assert accuracy.tolerance("symbolic", "float64") == 1e-13
    assert accuracy.tolerance("peer", "float32") == 1e-5
    assert accuracy.tolerance("finite", "float64") == 1e-4
    assert accuracy.tolerance("null", "float64") is None


def test_judgement_looks_at_form_before_numbers() -> None:
    leaf = np.ones((2, 3))

    def judged(gradient: object) -> str:
        return accuracy.judge(gradient, [leaf], "reverse", "float64", None)["reason"]

    assert judged(3.0) == "the gradient must be 1 arrays, got float"
    assert judged([leaf, leaf]) == "the gradient must be 1 arrays, got 2"
    assert judged([leaf.T]) == "part 0 of the gradient has shape (3, 2), its variable has (2, 3)"
    assert judged([np.where(leaf == 1, np.inf, 0.0)]) == "6 of 6 entries of the gradient are NaN or infinite"
    assert judged([leaf]) == ""


def test_without_a_reference_nothing_is_certified() -> None:
    found = accuracy.judge([np.ones(2)], [np.ones(2)], "reverse", "float64", None, "ball arithmetic was stopped")
    assert found["outcome"] == "ok"
    assert found["rel_error"] is None
    assert found["certified"] == "no: ball arithmetic was stopped"


def test_a_reference_that_takes_too_long_is_no_reference(tmp_path: Path) -> None:
    spec = {"problem": "digits-mlp", "size": "small", "seed": 0}
    found = accuracy.make_reference(spec, str(tmp_path / "r.npz"), 1e-4)
    least = r"the loss alone is forecast to take [\d.]+ ms in ball arithmetic; the limit is 100 µs"
    assert re.fullmatch(least, found["why"])
    assert not list(tmp_path.iterdir())
    one = find("digits-mlp").build("small", "float64", 0)
    made = source(one.loss, one.args)
    stopped = accuracy.truth_of(made.tape, Operation("gradient", made), 0.0)
    assert stopped == (None, "ball arithmetic was stopped after 0 s")


def test_a_loss_of_several_numbers_has_no_gradient() -> None:
    found = finite_loss.fault_of_loss(np.ones(3), [1.0], ["x"])
    assert found is not None
    assert found.startswith("the loss returns an array of shape (3,), and a gradient needs a single number; reduce it")
    assert finite_loss.fault_of_loss(np.ones(3), [1.0], ["x"], "jacobian") is None


def test_rules_proved_wrong_make_the_gradients_of_rules_wrong() -> None:
    why = f"{accuracy.WRONG_RULE}the first rule at fault is that of `gate`"
    for family, outcome in (("reverse", "invalid"), ("forward", "invalid"), ("finite", "ok"), ("analytic", "ok")):
        found = accuracy.judge([np.ones(2)], [np.ones(2)], family, "float64", None, why)
        assert (found["outcome"], found["certified"]) == (outcome, f"no: {why}")
