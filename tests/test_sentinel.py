"""The noise sentinel: what it times, when it says noisy, and that every epoch of a run has its readings."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_runs import double, run, write_study

from difflab.harness import sentinel, store
from difflab.harness.sentinel import KERNELS, Watch


def test_a_reading_times_both_kernels() -> None:
    found = sentinel.reading()
    assert set(found) == set(KERNELS)
    assert all(1e-6 < seconds < 1 for seconds in found.values())


@pytest.mark.parametrize(
    ("matmul", "python", "moved", "noisy"),
    [
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], 0.0, False),
        ([1.0, 1.04, 1.0], [2.0, 2.0, 2.0], 0.04, False),
        ([1.0, 1.0, 1.0], [2.0, 2.2, 2.0], 0.1, True),
        ([1.06, 1.0, 1.03], [2.0, 2.0, 2.0], 0.06, True),
        ([1.0], [2.0], None, None),
        ([], [], None, None),
    ],
)
def test_noisy_is_what_moved_by_more_than_five_per_cent(
    matmul: list[float], python: list[float], moved: float | None, noisy: bool | None
) -> None:
    watch = Watch()
    for a, b in zip(matmul, python, strict=True):
        watch.add({"matmul_s": a, "python_s": b})
    found = watch.result()
    assert found["moved"] == (None if moved is None else pytest.approx(moved))
    assert found["noisy"] is noisy
    assert [one["matmul_s"] for one in found["readings"]] == matmul


def test_counters_of_the_kernel_are_seconds(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 0 10 900 5 0 1 250 0 0\ncpu0 1 1 1 1 1 1 1 1\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull total=0\n")
    assert sentinel.counters(tmp_path) == {"steal_s": pytest.approx(2.5, rel=9), "waiting_s": 1.5}


@pytest.mark.parametrize("content", [None, "", "cpu 1 2\n"])
def test_a_kernel_that_counts_nothing_is_silent(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "stat").write_text(content)
    assert sentinel.counters(tmp_path) == {}


@pytest.mark.long
def test_every_epoch_of_a_run_has_its_readings(tmp_path: Path) -> None:
    path = write_study(tmp_path, double("well") + double("null"), processes=2)
    found = run(path, tmp_path / "run")
    heard = [event for event in store.read(found.folder) if event["kind"] == "sentinel"]
    assert [event["epoch"] for event in heard] == [0, 1]
    assert all(len(event["cases"]) == 2 for event in heard)
    assert all(len(event["data"]["readings"]) == 4 for event in heard)  # before the first round and after each of three
    times = [[one["at_s"] for one in event["data"]["readings"]] for event in heard]
    assert times == [sorted(one) for one in times]
    for row in found.rows:
        assert row["sentinel_moved"] == max(event["data"]["moved"] for event in heard)
        assert row["noisy_processes"] == sum(event["data"]["noisy"] for event in heard)
        assert row["stopped"] == "most processes"
        assert row["gc_runs"] >= 0
        assert row["gc_s"] >= 0
