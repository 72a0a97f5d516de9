"""Control groups of workers: on a stand-in for the kernel everywhere, and on the kernel itself as far as it allows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cgroup_double import FILES, Hierarchy

from difflab.harness import cgroups, limits, oom
from difflab.harness.cgroups import LEAF, PREFIX, Group, delegated, own_group
from difflab.harness.descendants import descendants
from difflab.harness.process import Worker, ask

PAIR = "import os, time; input(); os.fork() or os.setsid(); print(flush=True); time.sleep(60)"


def _given(monkeypatch: pytest.MonkeyPatch, *given: Path) -> None:
    def value(path: Path, name: str) -> bytes:
        if path in given and name == "user.delegate":
            return b"1"
        raise OSError(61, "No data available")

    monkeypatch.setattr(os, "getxattr", value)
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_the_own_group_is_found_below_any_mount(tmp_path: Path) -> None:
    mounts, membership = tmp_path / "mountinfo", tmp_path / "cgroup"
    membership.write_text("4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/user/me\n")
    mounts.write_text(
        "30 1 0:26 /user /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n"
        "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    assert own_group(mounts, membership) == Path("/sys/fs/cgroup/uni fied/me")
    assert own_group(mounts, membership, "memory") == Path("/sys/fs/cgroup/memory/a/b")
    assert own_group(mounts, membership, "cpuacct") == Path("/sys/fs/cgroup/cpu/c")
    assert own_group(mounts, membership, "pids") is None
    membership.write_text("0::/somewhere/else\n")
    assert own_group(mounts, membership) is None
    membership.write_text("0::/../outside\n")
    assert own_group(mounts, membership) is None
    assert own_group(mounts, tmp_path / "missing") is None


def test_in_a_delegated_group_the_coordinator_moves_down_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Hierarchy(tmp_path, monkeypatch, "/user/scope", [os.getppid(), os.getpid()])
    _given(monkeypatch, host.own)
    assert delegated(host.mounts, host.membership) == host.own
    assert set((host.own / LEAF / "cgroup.procs").read_text().split()) == {str(os.getppid()), str(os.getpid())}
    assert (host.own / "cgroup.procs").read_text() == ""
    assert (host.own / "cgroup.subtree_control").read_text() == "memory\n"
    host.membership.write_text(f"0::/user/scope/{LEAF}\n")
    host.written.clear()
    assert delegated(host.mounts, host.membership) == host.own
    assert host.written == []


def test_processes_of_others_are_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = subprocess.Popen([sys.executable, "-c", "pass"])
    other.wait()  # its number is that of nobody above or below
    host = Hierarchy(tmp_path, monkeypatch, "/user/scope", [os.getpid(), other.pid])
    _given(monkeypatch, host.own)
    assert delegated(host.mounts, host.membership) is None
    assert not (host.own / LEAF).exists()


@pytest.mark.parametrize("lacking", ["gift", "controller", "permission"])
def test_a_group_that_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    host = Hierarchy(tmp_path, monkeypatch, "/user/scope", [os.getpid()])
    _given(monkeypatch, *([] if lacking == "gift" else [host.own]))
    if lacking == "controller":
        (host.own / "cgroup.controllers").write_text("cpu pids\n")
    if lacking == "permission":
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "cgroup.subtree_control")
    assert delegated(host.mounts, host.membership) is None
    assert host.written == []


def test_the_root_of_all_groups_hands_memory_down_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Hierarchy(tmp_path, monkeypatch, "/", [1, os.getpid()])
    assert delegated(host.mounts, host.membership) == host.root
    assert host.written == [("cgroup.subtree_control", "+memory")]


def test_a_worker_lives_in_its_group_and_its_death_there_is_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Hierarchy(tmp_path, monkeypatch, "/", [])
    (host.root / "cgroup.subtree_control").write_text("memory\n")
    stale = host.root / f"{PREFIX}4194400-7"
    stale.mkdir()
    monkeypatch.setattr(cgroups, "MOUNTS", host.mounts)
    monkeypatch.setattr(cgroups.delegated, "__defaults__", (host.mounts, host.membership))
    worker = Worker()
    try:
        group = host.root / f"{PREFIX}{os.getpid()}-{worker.process.pid}"
        assert not stale.exists()
        assert (group / "cgroup.procs").read_text() == f"{worker.process.pid}\n"
        problem, options = "digits-mlp", {"size": "tiny", "dtype": "float64", "operator": "gradient", "seed": 0}
        spec = {"problem": problem, "backend": "reverse", "options": {}, **options}
        answer = ask(worker, {"do": "open", "spec": spec, "memory": 10**8}, 30)
        assert answer is not None
        assert answer["memory_enforced"] == "RLIMIT_DATA + cgroup v2"
        assert worker.partial["memory_enforced"] == answer["memory_enforced"]
        own = [(Path(path).name, text) for path, text in host.written if path.startswith(group.name)]
        assert own.pop(1) == ("cgroup.procs", str(worker.pid))  # for it may have been forked before its guardian moved
        limit = 150_000_000 - 40_000_000 + 10**8  # what is in use but for the cache of files, and the case's
        assert own[1:] == [("memory.swap.max", "0"), ("memory.oom.group", "1"), ("memory.max", str(limit))]
        os.kill(worker.pid, signal.SIGSTOP)  # so that it dies before it can answer
        worker.send({"do": "forecast"}, 30)
        (group / "cgroup.procs").write_text("")
        (group / "memory.events").write_text("oom 3\noom_kill 2\n")
        os.kill(worker.pid, signal.SIGKILL)
        while not worker.pump():
            continue
        assert worker.verdict is not None
        assert worker.verdict[0] == "memory_limit"
        assert worker.verdict[1].startswith("the kernel ended the worker in phase ")
        assert worker.verdict[1].endswith("its control group had reached its limit of memory (cgroup v2, oom_kill 2)")
    finally:
        worker.close()
    assert not group.exists()


def test_what_delegated_says_is_what_the_system_lets_one_do() -> None:
    own, able = own_group(), False
    parent = None if own is None else own.parent if own.name == LEAF else own
    if parent is not None:
        child = parent / f"{PREFIX}{os.getpid()}-try"
        try:
            child.mkdir()
            able = (child / "memory.max").exists()
            child.rmdir()
        except OSError:
            able = False
    said = delegated()
    assert said is None or able
    if said is None and able:  # may be written, but belongs to a manager of services
        assert parent is not None
        assert (parent.parent / "cgroup.procs").exists()


def test_where_groups_can_be_made_one_ends_all_its_processes_at_once() -> None:
    own = own_group()
    process = subprocess.Popen([sys.executable, "-c", PAIR], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        try:
            assert own is not None
            group = Group(own, process.pid)
        except (OSError, AssertionError):
            assert delegated() is None  # nothing here that the harness would use
            return
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read(2) == b"\n\n"
        members = [int(pid) for pid in (group.folder / "cgroup.procs").read_text().split()]
        assert sorted(members) == sorted([process.pid, *descendants(process.pid)])
        assert len(members) == 2
        group.kill()
        assert process.wait(10) == -signal.SIGKILL
        assert group.remove()  # that is, both have ended
        assert not group.folder.exists()
        assert group.remove()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


# ------------------------------------------------------------------------------- what the kernel counts


def test_the_narrowest_count_of_the_kernel_is_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Hierarchy(tmp_path, monkeypatch, "/user/scope", [])
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 3\noom_kill 4\n")
    counter = oom.counter(host.mounts, host.membership, vmstat)
    assert counter == oom.Counter(host.own / "memory.events", "in the control group of this run")
    assert counter is not None
    assert counter.read() == 0
    (host.own / "memory.events").unlink()
    counter = oom.counter(host.mounts, host.membership, vmstat)
    assert counter == oom.Counter(vmstat, "on this machine")
    vmstat.unlink()
    assert oom.counter(host.mounts, host.membership, vmstat) is None


def test_version_1_of_control_groups_counts_too(tmp_path: Path) -> None:
    group = tmp_path / "memory" / "a"
    group.mkdir(parents=True)
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    mounts, membership = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(f"32 1 0:28 / {tmp_path / 'memory'} rw - cgroup cgroup rw,memory\n")
    membership.write_text("4:memory:/a\n")
    counter = oom.counter(mounts, membership)
    assert counter == oom.Counter(group / "memory.oom_control", "in the control group of this run")
    assert counter is not None
    assert counter.read() == 1


def test_a_witness_tells_only_of_what_rose_since_it_began(tmp_path: Path) -> None:
    counter = oom.Counter(tmp_path / "vmstat", "on this machine")
    counter.path.write_text("oom_kill 4\n")
    witness = oom.Witness(counter)
    assert witness.evidence() is None
    witness.begin()
    assert witness.evidence() is None
    counter.path.write_text("oom_kill 5\n")
    assert "rose by 1" in (witness.evidence() or "")
    witness.begin()
    assert witness.evidence() is None
    assert oom.Witness(None).evidence() is None


@pytest.mark.parametrize(
    ("code", "outcome"), [(-signal.SIGKILL, "memory_limit"), (-signal.SIGSEGV, "crash"), (3, "crash")]
)
def test_evidence_of_kills_explains_no_other_death(code: int, outcome: str) -> None:
    found = limits.autopsy(code, "first", "", "the kernel's count rose")
    assert found[0] == outcome
    assert ("the kernel's count rose" in found[1]) == (outcome == "memory_limit")


def test_the_double_has_the_files_that_are_read() -> None:
    assert {"memory.events", "memory.max", "cgroup.kill"} <= set(FILES)
