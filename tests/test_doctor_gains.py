"""What ``difflab doctor`` says that a change would gain, measured on the machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import machines
import pytest

from difflab.harness import environment, hardware
from difflab.harness.checkup import libraries, memory, surroundings
from difflab.harness.checkup.finding import NOTE, OK, Finding
from difflab.harness.process import Worker
from difflab.harness.statistics import Ratio


def test_a_faster_disk_of_the_machine_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {tmp_path: [0.1], Path(tempfile.gettempdir()): [0.001]}
    monkeypatch.setattr(surroundings, "sync_times", lambda folder: times[folder])
    slow, _ = surroundings.disk(tmp_path)
    assert (slow.state, slow.gain) == (NOTE, f"1 ms for a sync in {tempfile.gettempdir()}")


def test_a_container_with_fewer_processors_is_told_what_more_would_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machines.server(tmp_path)
    monkeypatch.setattr(environment, "usable_cores", lambda: 4)
    monkeypatch.setattr(hardware, "limits", lambda root: {"memory_limit_bytes": None, "processor_limit": 1.5})
    found = surroundings.processors(root)
    assert found.state == NOTE
    assert found.figure.endswith("the container may use 1.5 of them")
    assert found.gain.startswith("up to 2.7 times as much time of processors")
    monkeypatch.setattr(hardware, "limits", lambda root: {"memory_limit_bytes": None, "processor_limit": None})
    monkeypatch.setattr(hardware, "load", lambda root: {"load": [4.0, 1.0, 1.0], "pressure_cpu": None})
    assert surroundings.processors(root).advice.startswith("Something computes already")
    monkeypatch.setattr(hardware, "load", lambda root: {"load": None, "pressure_cpu": None})
    assert surroundings.processors(root).state == OK


def test_limits_of_the_shell_are_told_with_what_lifting_them_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (2**30, memory.resource.RLIM_INFINITY))
    monkeypatch.setattr(hardware, "memory", lambda: {"memory_bytes": 2**34, "swap_bytes": 0})
    found = memory.shell_limits()
    assert (found.state, found.figure) == (NOTE, "ulimit -v is 1 GiB, ulimit -d is 1 GiB")
    assert found.advice == "Lift them before a run: ulimit -v unlimited; ulimit -d unlimited"
    assert found.gain == "cases of up to 16 GiB instead of 1 GiB"
    infinite = memory.resource.RLIM_INFINITY
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (infinite, infinite))
    assert memory.shell_limits() == Finding("shell limits", OK, "none on memory")


def test_threads_are_judged_by_what_they_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "usable_cores", lambda: 2)

    def turns(first: Worker, second: Worker, ratio: float = 1.8) -> dict[str, Ratio]:
        first.close()
        second.close()
        return {"float64": Ratio(ratio, ratio - 0.1, ratio + 0.1, None, 9)}

    monkeypatch.setattr(libraries, "turns", turns)
    assert libraries.more_threads().gain == "large products that are 1.80 times as fast in float64"
    monkeypatch.setattr(libraries, "turns", lambda first, second: turns(first, second, 1.0))
    assert libraries.more_threads().figure.endswith("1 is as good")
    monkeypatch.setattr(environment, "usable_cores", lambda: 1)
    assert libraries.more_threads().state == OK
