"""Bytes that can be trusted: self-tests that read back what they allocated, and what follows when they do not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up_runs as made
import numpy as np
import pytest

from difflab.harness import memory
from difflab.harness.results import COLUMNS, MORE_COLUMNS
from difflab.harness.session import Session
from difflab.harness.worker import describe
from difflab.report import answer, render, self_tests

MIB = 2**20
PHASES = ("import", "build", "prepare", "first", "call")


@pytest.fixture
def afresh() -> Iterator[None]:
    """What this process found of itself is forgotten before and after."""
    for known in (memory.peaks_refused, memory.arrays_refused):
        known.cache_clear()
    yield
    for known in (memory.peaks_refused, memory.arrays_refused):
        known.cache_clear()


def in_a_process(code: str, *, ballast: int = 0) -> Any:
    """What the code prints as JSON in a fresh process, below a parent that holds so many bytes."""
    held = np.ones(ballast, np.uint8)
    done = subprocess.run(
        [sys.executable, "-c", f"import json\nfrom difflab.harness import memory\n{code}"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert held.size == ballast
    return json.loads(done.stdout)


# ---------------------------------------------------------------------------- what is read back


@pytest.mark.parametrize("nbytes", [memory.SELF_TEST_BYTES, 256 * MIB])
@pytest.mark.parametrize("ballast", [0, 2**30])
def test_the_self_test_reads_back_what_it_wrote_whatever_the_parent_holds(nbytes: int, ballast: int) -> None:
    found = in_a_process(f"print(json.dumps(memory.self_test({nbytes})))", ballast=ballast)
    assert found["expected"] == nbytes
    assert found["measured"] == pytest.approx(nbytes, rel=memory.TOLERANCE)
    assert abs(found["error"]) <= 0.02
    assert found["reason"] == ""


ARRAYS = """
import numpy as np

def work():
    first = np.ones({size} // 8)
    total = first.sum()
    del first
    return int(total + np.ones({size} // 16).sum())

print(json.dumps([memory.peak_during(work, memory.resident()), memory.arrays_during(work)]))
"""


@pytest.mark.parametrize("size", [80 * MIB, 256 * MIB])
def test_arrays_of_a_known_size_are_read_back_in_both_ways(size: int) -> None:
    (peak, result), traced = in_a_process(ARRAYS.format(size=size))
    assert result == size // 8 + size // 16
    assert peak == pytest.approx(size, rel=0.02)
    assert traced == pytest.approx(size, rel=0.02)


def test_the_self_test_of_arrays_reads_back_an_array() -> None:
    for nbytes in (memory.ARRAY_TEST_BYTES, 256 * MIB):
        found = memory.array_self_test(nbytes)
        assert found["expected"] == nbytes
        assert abs(found["error"]) <= memory.TOLERANCE
        assert found["reason"] == ""


def test_a_worker_says_what_it_read_back() -> None:
    found = describe()["memory_self_test"]
    assert found["reason"] == found["arrays"]["reason"] == ""
    assert abs(found["error"]) <= memory.TOLERANCE
    assert abs(found["arrays"]["error"]) <= memory.TOLERANCE


# ---------------------------------------------------------------------------- systems that cannot be trusted


def sticky(read: Callable[..., int | None]) -> Callable[..., int | None]:
    """A system whose peak is a tenth too large."""

    def status(field: str, path: Path = memory.STATUS) -> int | None:
        found = read(field, path)
        return found if field != "VmHWM" or found is None else found + 8 * MIB

    return status


def test_a_peak_that_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    monkeypatch.setattr(memory, "status", sticky(memory.status))
    assert re.fullmatch(r"of 80 MiB that were allocated 8[78]\S* MiB were read back", memory.peaks_refused())
    assert memory.peak_during(lambda: 3, 0) == (None, 3)
    phases = memory.Phases(on=True)
    phases.begin("import")
    phases.end()
    assert phases.found == {}


def test_a_numpy_that_reports_twice_is_refused(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    read = memory.tracemalloc.get_traced_memory
    doubled = SimpleNamespace(
        start=memory.tracemalloc.start, stop=memory.tracemalloc.stop,
        get_traced_memory=lambda: tuple(2 * one for one in read()),
    )  # fmt: skip
    monkeypatch.setattr(memory, "tracemalloc", doubled)
    assert memory.arrays_refused() == "of 8 MiB that were allocated 16 MiB were read back"
    called: list[int] = []
    assert memory.arrays_during(lambda: called.append(1)) is None
    assert called == [1]


def test_a_system_without_proc_says_so(monkeypatch: pytest.MonkeyPatch, afresh: None, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none" / "clear_refs")
    found = memory.self_test()
    assert (found["measured"], found["error"]) == (None, None)
    assert found["reason"] == "this system does not say how much memory a process has taken at most"
    assert memory.peaks_refused() == found["reason"]


def test_a_self_test_that_gets_no_memory_says_so(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    def none(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(memory, "mmap", SimpleNamespace(mmap=none, PAGESIZE=4096))
    assert memory.self_test()["reason"].startswith("no memory could be had for the self-test: ")


def test_the_page_and_the_terminal_say_once_why_there_are_no_bytes() -> None:
    wrong = memory._judged(80 * MIB, 160 * MIB, "")
    right = memory._judged(8 * MIB, 8 * MIB, "")
    results = made.run([made.row("reverse", peak_bytes=None)])
    results.manifest["environment"]["memory_self_test"] = {**wrong, "arrays": right}
    told = "Peaks of memory are not given: of 80 MiB that were allocated 160 MiB were read back."
    assert answer(results).caveats.count(told) == 1
    page = " ".join(made.unexplained(render(results)).split())  # numbers have spaces that do not break
    assert page.count(told) == 1
    assert "bytes of arrays: 8 MiB read back with an error of +0.00 %" in page


def test_self_tests_that_passed_are_facts_of_the_machine_and_no_caveats() -> None:
    tests = {**memory._judged(80 * MIB, 80 * MIB + 4096, ""), "arrays": memory._judged(8 * MIB, 8 * MIB, "")}
    assert self_tests.caveats({"memory_self_test": tests}) == ()
    assert self_tests.row({"memory_self_test": tests}).startswith("peaks of memory: 80 MiB read back with an error of ")
    assert self_tests.caveats({}) == ()
    assert self_tests.row({}) == ""
    old = {"expected": 80 * MIB, "measured": 80 * MIB, "error": 0.0}  # as earlier versions wrote it
    assert self_tests.caveats({"memory_self_test": old}) == ()


# ---------------------------------------------------------------------------- phases

CASE = """
from types import SimpleNamespace
from difflab.harness.session import Session

session = Session(SimpleNamespace(say=lambda *a, **k: None, phase=lambda name: None))
spec = {"problem": "digits-mlp", "size": "small", "dtype": "float64", "backend": "forward", "options": {},
        "operator": "gradient", "seed": 0}
session.open({"spec": spec, "memory": None, "phases": PHASES})
session.prepare({"memory": PHASES})
if not PHASES:
    session.first({})
found = session.memory({}) | session.arrays({})
print(json.dumps(found))
"""


def test_every_phase_has_its_own_peak_in_the_pass_that_checks() -> None:
    found = in_a_process(CASE.replace("PHASES", "True"))
    phases = found["phase_bytes"]
    assert tuple(phases) == PHASES
    assert phases["import"] > 10 * MIB  # NumPy
    assert phases["prepare"] < phases["import"]
    assert phases["first"] > MIB  # buffers of many lanes
    assert phases["call"] < phases["first"]  # which are there already
    assert found["peak_bytes"] >= phases["first"] - MIB


def test_a_process_that_is_timed_measures_no_phases() -> None:
    assert in_a_process(CASE.replace("PHASES", "False"))["phase_bytes"] == {}


def test_phases_are_columns() -> None:
    assert {f"{name}_peak_bytes" for name in PHASES} <= {*COLUMNS, *MORE_COLUMNS}
    text = render(made.run([made.row("reverse", import_peak_bytes=24 * MIB, call_peak_bytes=4096)]))
    assert "Peak, import" in text
    assert "24.0 MiB" in text
    assert "Peak, build" not in text  # nothing is known of it


def test_a_session_without_phases_leaves_the_peak_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> bool:
        raise AssertionError("a timed process reset its peak before its samples")

    monkeypatch.setattr(memory, "reset_peak", forbidden)
    channel: Any = SimpleNamespace(say=lambda *_, **__: None, phase=lambda name: None)
    session = Session(channel)
    spec = {"problem": "digits-mlp", "size": "tiny", "dtype": "float64", "backend": "reverse", "options": {}}
    session.open({"spec": {**spec, "operator": "gradient", "seed": 0}, "memory": None})
    session.prepare({})
    session.first({})
    assert session.phases.found == {}
