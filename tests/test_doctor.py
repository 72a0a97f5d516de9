from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import machines
import pytest
from test_cli import invoke

from difflab.backends import Available
from difflab.cli import doctor as cli_doctor
from difflab.harness import doctor, environment, hardware, host_lock, kernels, trials
from difflab.harness.checkup import libraries, memory, software, surroundings
from difflab.harness.checkup.finding import NOTE, OK, OPTION, PROBLEM, Finding, answer_of
from difflab.harness.process import Worker
from difflab.harness.statistics import Ratio

Whole = tuple[list[Finding], list[str], str, bool]


@pytest.fixture(scope="module")
def whole() -> Whole:
    """What is found on this machine, what was told meanwhile, the document of it, and whether nothing is a problem."""
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MY_TOKEN", "a-secret")
        text, well = cli_doctor.doctor_text(True, say=told.append)
    return [Finding(**one) for one in json.loads(text)["findings"]], told, text, well


@pytest.mark.long
def test_everything_is_looked_at_and_nothing_twice(whole: Whole) -> None:
    found, told, *_ = whole
    names = [one.what for one in found]
    assert {
        "Python", "packages", "backends", "C compiler", "GPU", "BLAS", "threads", "memory self-test", "memory",
        "memory limit", "control groups", "out of memory", "orphans", "clock", "clock speed", "other runs",
        "BLAS kernels", "noise", "disk", "free disk",
    } <= set(names)  # fmt: skip
    assert len(set(names)) == len(names)
    assert told
    for one in found:
        assert one.state in (OK, NOTE, PROBLEM, OPTION)
        assert one.figure
        assert one.state == OK or one.advice or one.what in ("control groups", "out of memory", "orphans", "C compiler")


@pytest.mark.long
def test_this_machine_can_run_difflab(whole: Whole) -> None:
    states = {one.what: one.state for one in whole[0]}
    assert states["packages"] == states["backends"] == states["BLAS"] == states["disk"] == OK
    assert states["threads"] == states["memory limit"] == states["memory self-test"] == OK


@pytest.mark.long
def test_the_page_has_100_columns(whole: Whole) -> None:
    lines = cli_doctor.findings_text(whole[0]).splitlines()
    assert max(map(len, lines)) <= cli_doctor.WIDTH
    assert len(lines) > len(whole[0])
    assert any(line.startswith("ok       memory limit        RLIMIT_DATA: 256 MiB were refused") for line in lines)


@pytest.mark.long
def test_the_document_is_json_without_secrets(whole: Whole) -> None:
    *_, text, well = whole
    found = json.loads(text)
    assert found["ok"] is well
    assert {"what", "state", "figure", "advice", "gain"} == set(found["findings"][0])
    assert found["verdict"].startswith("Fit to measure") is found["ok"]
    assert found["environment"]["packages"]["numpy"]
    assert "a-secret" not in text


def test_a_problem_is_counted_and_changes_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("disk", PROBLEM, "it is full", "Free some space."), Finding("GPU", OK, "none")]
    monkeypatch.setattr(doctor, "examine", lambda folder, say: found)
    text, well = cli_doctor.doctor_text(False)
    assert not well
    assert text.splitlines()[0] == "Not fit to measure: 1 problem (disk)."
    assert text.splitlines()[2:4] == ["problem  disk                it is full", " " * 29 + "-> Free some space."]
    monkeypatch.setattr(doctor, "examine", lambda folder, say: found[1:])
    assert cli_doctor.doctor_text(True)[1]
    assert invoke("doctor") == 0
    found[1:] = [Finding("disk", PROBLEM, "it is full")]
    monkeypatch.setattr(doctor, "examine", lambda folder, say: found)
    assert invoke("doctor") == invoke("doctor", "--json") == 1


# ---------------------------------------------------------------------------- software


def test_a_missing_package_is_a_problem_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [("numpy", ""), ("no-such-package", ""), ("jax", "peers"), ("no-such-peer", "peers"), ("pytest", "test")]
    monkeypatch.setattr(software, "requirements", lambda: known)
    (found,) = software.packages()
    assert found == Finding("packages", PROBLEM, "missing: no-such-package", "pip install no-such-package")
    (extra,) = software.extras()
    assert extra.state == OPTION
    assert "no-such-peer" in extra.figure
    assert extra.advice == 'pip install "difflab[peers]"'


def test_requirements_come_from_the_metadata() -> None:
    found = software.requirements()
    if found:  # not so where difflab runs from its source tree
        assert {("numpy", ""), ("torch", "peers"), ("distributed", "cluster"), ("distributed", "test")} <= set(found)


def test_a_backend_that_is_missing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [
        Available("reverse", "reverse", ("gradient",), None, {}),
        Available("jax", "", (), "it needs jax: pip install jax", {}),
    ]
    monkeypatch.setattr("difflab.backends.listing", lambda: known)
    first, second = software.backends()
    assert first == Finding("backends", OK, "1 of 2: reverse")
    assert second == Finding("backend jax", OPTION, "it needs jax: pip install jax")


def test_a_debug_build_of_python_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    build = {**environment.python_build(), "debug": True}
    monkeypatch.setattr(environment, "python_build", lambda: build)
    assert software.python().state == NOTE
    build |= {"debug": False, "free_threading": False}
    assert software.python().state == OK


def test_no_compiler_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    found = software.compiler()
    assert found.state == OPTION
    assert "no-such-compiler" in found.figure


# ---------------------------------------------------------------------------- libraries


def decision(chosen: str = "Haswell", used: str | None = "SkylakeX", by_user: str | None = None) -> kernels.Decision:
    return kernels.Decision([chosen], used, by_user, "a reason")


def gains(ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Ratio(ratio, ratio - 0.01, ratio + 0.01, None, 9)
    monkeypatch.setattr(libraries, "gain", lambda core: {"float32": found, "float64": found})


def test_better_kernels_are_told_with_what_they_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    gains(1.6, monkeypatch)
    found = libraries.core_type(decision())
    assert found.state == NOTE
    assert "1.60 times as long [1.59, 1.61] in float32" in found.figure
    assert found.advice.endswith("export OPENBLAS_CORETYPE=SkylakeX")
    assert found.gain == "products of matrices that are 1.60 times as fast in float32 and 1.60 times as fast in float64"


def test_better_kernels_that_are_slower_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    gains(0.8, monkeypatch)
    found = libraries.core_type(decision())
    assert found.advice == "To keep the faster ones: export OPENBLAS_CORETYPE=Haswell"
    assert found.gain.startswith("products of matrices that are 1.25 times as fast in float32")


def test_the_users_own_older_choice_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gains(1.6, monkeypatch)
    processors = hardware.blocks(machines.server(tmp_path))
    monkeypatch.setattr(hardware, "blocks", lambda: processors)
    found = libraries.core_type(decision(used=None, by_user="Haswell"))
    assert found.state == NOTE
    assert found.advice.startswith("Unset OPENBLAS_CORETYPE")
    assert libraries.core_type(decision("SkylakeX", None, "SkylakeX")).state == OK


def test_kernels_that_are_right_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert libraries.core_type(decision(used=None)) == Finding("BLAS kernels", OK, "Haswell: a reason")
    monkeypatch.setattr(libraries, "gain", lambda core: "the worker died")
    assert libraries.core_type(decision()).state == PROBLEM


def test_the_gain_is_a_ratio_of_workers_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "PRODUCT", 64)
    found = libraries.gain("Nehalem")
    assert isinstance(found, dict)
    for one in found.values():
        assert one.pairs == libraries.ROUNDS
        assert one.low is not None
        assert one.high is not None
        assert 0 < one.low <= one.ratio <= one.high


def test_a_library_that_takes_other_threads_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert libraries.threads().state == OK
    taken = {"blas": [{"user_api": "blas", "num_threads": 4}]}

    def answer(worker: Worker, _: dict[str, Any]) -> dict[str, Any]:
        worker.close()
        return taken

    monkeypatch.setattr(libraries, "answer_of", answer)
    found = libraries.threads()
    assert (found.state, found.figure) == (PROBLEM, "1 asked for, 4 taken")


def test_graphics_processors_need_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [{"name": "Card", "driver": "580.1", "memory_bytes": 2**37}]
    monkeypatch.setattr(hardware, "gpus", lambda: cards)
    monkeypatch.setattr(environment, "version_of", lambda name: None)
    found = libraries.gpu()
    assert found == Finding("GPU", OPTION, "Card (128 GiB); CuPy is not installed", 'pip install "difflab[gpu]"')
    monkeypatch.setattr(environment, "version_of", lambda name: "13.0")
    closed = libraries.gpu(lambda: "no CUDA-capable device is detected")
    assert (closed.state, closed.figure) == (PROBLEM, "Card (128 GiB); no CUDA-capable device is detected")
    monkeypatch.setattr(hardware, "gpus", lambda: None)
    absent = libraries.gpu(lambda: "no device")
    assert (absent.state, absent.figure) == (OK, "none found; everything runs on the processor (no device)")


def test_a_graphics_processor_is_told_with_how_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "version_of", lambda name: "13.0")
    facts = {
        "name": "Card", "memory_bytes": 2**37, "memory_free_bytes": 2**37 - 2**30, "driver": "580.1",
        "cuda_runtime": "13.0", "sm_mhz": 345.0, "sm_mhz_most": 1980.0, "temperature_c": 33.0, "ecc": True,
        "mig": False, "slowed": [],
    }  # fmt: skip
    text = "Card, 127 GiB of 128 GiB free, driver 580.1, CUDA 13.0, clock at 345 of 1980 MHz, 33 degrees, ECC on"
    assert libraries.gpu(lambda: facts) == Finding("GPU", OK, text)
    hot = libraries.gpu(lambda: {**facts, "slowed": ["its temperature"]})
    assert hot.state == NOTE
    assert hot.figure.endswith("its clocks are lowered because of its temperature")
    shared = libraries.gpu(lambda: {**facts, "memory_free_bytes": 2**36})
    assert (shared.state, shared.figure.rpartition("; ")[2]) == (NOTE, "others use it")
    assert libraries.gpu(lambda: {"name": "Card"}) == Finding("GPU", OK, "Card")  # what is not known is left out


# ---------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("error", "state"), [(0.019, OK), (-0.019, OK), (0.021, PROBLEM), (-0.5, PROBLEM), (None, NOTE)]
)
def test_the_self_test_of_memory_must_be_within_two_per_cent(error: float | None, state: str) -> None:
    assert memory.self_test({"expected": 2**20, "measured": 0, "error": error}).state == state


def test_a_limit_that_stops_nothing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: dict[str, Any] = {"mechanism": "RLIMIT_DATA", "stopped": False, "allowed": 1, "taken": 2}

    def answer(worker: Worker, _: dict[str, Any]) -> dict[str, Any] | str:
        worker.close()
        return tried or "the worker died"

    monkeypatch.setattr(memory, "answer_of", answer)
    first, *others = memory.limits({})
    assert (first.state, first.figure) == (PROBLEM, "RLIMIT_DATA stops no allocation here")
    assert {one.what: one.state for one in others}["orphans"] == NOTE
    tried["mechanism"] = None
    assert next(iter(memory.limits({}))).figure == "no limit of memory can be set here"
    tried.clear()
    assert next(iter(memory.limits({}))).state == PROBLEM


def test_a_limited_worker_is_refused_what_a_free_one_gets() -> None:
    found = answer_of(Worker(), {"do": "trial", "try": "memory_limit"})
    assert isinstance(found, dict)
    assert found["stopped"] is (found["mechanism"] is not None)


def test_without_a_mechanism_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials.limits, "limit_memory", lambda nbytes, used: None)
    assert trials.limited()["stopped"] is False


def test_swap_and_the_limit_of_a_container_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machines.server(tmp_path)
    amount, limits = hardware.memory(root), hardware.limits(root)
    monkeypatch.setattr(hardware, "memory", lambda: amount)
    monkeypatch.setattr(hardware, "limits", lambda: limits)
    found = memory.amount()
    assert (found.state, found.figure) == (NOTE, "64 GiB, swap 2 GiB; the container allows 16 GiB")


# ---------------------------------------------------------------------------- clocks, noise, other runs, disk


def test_governor_and_turbo(tmp_path: Path) -> None:
    root = machines.server(tmp_path / "server")
    found = surroundings.frequency(root)
    assert (found.state, found.figure) == (NOTE, "governor powersave (intel_pstate), turbo off")
    for policy in (0, 1):
        (root / machines.CPU / f"cpufreq/policy{policy}/scaling_governor").write_text("performance\n")
    assert surroundings.frequency(root).state == OK
    (root / machines.CPU / "cpufreq/policy0/scaling_governor").write_text("powersave\n")
    woken = surroundings.frequency(root, 1.4)
    assert "the first quarter of a millisecond of work after a rest takes 1.40 times as long" in woken.figure
    assert woken.gain == "first calls that are up to 1.40 times as fast"
    assert surroundings.frequency(root, 1.01).gain == ""
    assert surroundings.frequency(machines.arm(tmp_path / "arm")) == Finding("clock speed", OK, "governor not visible")


def test_a_coarse_clock_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.timing, "clock_step", lambda: 1e-3)
    assert surroundings.clock().state == NOTE


@contextlib.contextmanager
def held(path: Path, kind: int) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, kind)
        yield


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_another_run_is_seen(tmp_path: Path, kind: int) -> None:
    assert surroundings.other_run(tmp_path)[1] is False
    with held(tmp_path / host_lock.NAME, kind):
        found, busy = surroundings.other_run(tmp_path)
        assert (found.state, busy) == (NOTE, True)
    assert surroundings.other_run(tmp_path)[0].state == OK


@pytest.mark.long
def test_another_run_is_left_in_peace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(tmp_path / host_lock.NAME, fcntl.LOCK_EX):
        monkeypatch.setenv(host_lock.FOLDER_VARIABLE, str(tmp_path))
        states = {one.what: one.state for one in doctor.examine(tmp_path)}
        assert states["noise and kernels"] == NOTE
        assert not {"noise", "BLAS kernels"} & set(states)


def test_a_lock_that_cannot_be_opened_is_noted(tmp_path: Path) -> None:
    (tmp_path / host_lock.NAME).mkdir()
    found, busy = surroundings.other_run(tmp_path)
    assert (found.state, busy) == (NOTE, False)
    assert host_lock.FOLDER_VARIABLE in found.advice


def test_noise_is_judged_by_the_slowest_twentieth_and_by_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, Any] = {"samples": 2000, "median_s": 1e-3, "half": 0.01, "late": 0.02, "quiet": 0.04, "moved": 0.01}
    counters = iter([{"steal_s": 1.0}, {"steal_s": 1.0}, {"steal_s": 1.0}, {"steal_s": 1e9}, {}, {}, {}, {}])
    monkeypatch.setattr(surroundings, "ask", lambda *_: said)
    monkeypatch.setattr(surroundings.sentinel, "counters", lambda: next(counters))
    quiet, stolen = surroundings.noise(0.0), surroundings.noise(0.0)
    assert (quiet.state, stolen.state) == (OK, NOTE)
    assert "the host took 0.0 %" in quiet.figure
    assert "the sentinel moved by 1.0 % (beyond 5 % is noisy)" in quiet.figure
    assert stolen.gain == "times that are 4.0 % shorter, as those of the quietest twentieth are"
    said["late"] = 0.3
    assert surroundings.noise(0.0).state == NOTE
    said |= {"late": 0.0, "moved": 0.2}
    assert surroundings.noise(0.0).state == NOTE
    monkeypatch.setattr(surroundings, "ask", lambda *_: None)
    monkeypatch.setattr(surroundings.sentinel, "counters", dict)
    assert surroundings.noise(0.0).state == PROBLEM


def test_the_noise_of_a_worker_is_measured() -> None:
    found = trials.noise(0.05)
    assert found["samples"] >= 20
    assert found["median_s"] > 0
    assert found["half"] >= 0
    assert found["late"] >= 0
    assert found["quiet"] >= 0
    assert found["moved"] >= 0
    woken = trials.waking()
    assert woken["rested_s"] > 0
    assert woken["busy_s"] > 0


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    first, second = surroundings.disk(tmp_path / "a" / "b")
    assert str(tmp_path) in first.figure
    assert second.what == "free disk"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_read_only_slow_or_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    monkeypatch.setattr(surroundings, "sync_times", lambda folder: [0.1, 0.2, 0.3])
    assert [one.state for one in surroundings.disk(tmp_path)] == [NOTE, PROBLEM]

    def refuse(folder: Path) -> list[float]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(surroundings, "sync_times", refuse)
    (found,) = surroundings.disk(tmp_path)
    assert found.state == PROBLEM
    assert "Read-only file system" in found.figure
