"""Real runs on disks and clocks that misbehave: cut files, no space, no permission, two coordinators, a clock set back.

"Never a wrong number" means: whatever is known after a cut is bit for bit what was written, and every figure that is
made from several processes is made from those that are known, in which case ``processes`` says how many.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from harness_runs import HERE, double, run, start, write_study

from difflab import lab
from difflab.errors import StoreError
from difflab.harness import journal, reference, results, store
from difflab.harness.ledger import Ledger
from difflab.harness.results import Results

pytestmark = pytest.mark.long

OLD = HERE / "old_runs" / "format-1"
# Figures made from several processes: a row may show others when it knows of fewer.
FROM_PROCESSES = {
    "prepare_s", "first_call_s", "import_s", "primal_s", "call_s", "work_ratio", "processes", "calls_timed", "gc_s",
    "outliers_mild", "outliers_severe", "medians", "epochs", "call_s_low", "call_s_high", "work_ratio_low",
    "work_ratio_high", "ratio", "ratio_low", "ratio_high", "verdict", "gc_runs",
}  # fmt: skip
# What is said of a case that has no outcome yet.
OPEN = {"outcome", "reason", "phase"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), double("well"), processes=1)


@pytest.fixture(scope="module")
def whole(study: Path) -> Results:
    """A finished run of one case."""
    return run(study, study.parent / "whole")


# ---------------------------------------------------------------------------- cut at every byte


def _known(ledger: Ledger) -> dict[Any, str]:
    """Every fact that a ledger holds, under its name, to the bit."""
    facts: dict[Any, Any] = {("truth", key): data for key, data in ledger.truths.items()}
    facts |= {("check", case): data for case, data in ledger.checks.items()}
    facts |= {("end", case): data for case, data in ledger.ends.items()}
    facts |= {("epoch", case, number): data for case, known in ledger.epochs.items() for number, data in known.items()}
    return {name: store.canonical(data) for name, data in facts.items()}


def _no_wrong_number(cut: Results, whole: Results) -> None:
    everything = _known(whole.ledger)
    known = _known(cut.ledger)
    assert known.items() <= everything.items()
    for row, full in zip(cut.rows, whole.rows, strict=True):
        assert row["outcome"] in ("interrupted", full["outcome"])
        for name in set(row) - FROM_PROCESSES - OPEN:
            assert row[name] is None or row[name] == full[name], name
        epochs = whole.ledger.epochs.get(row["case"], {})
        here = [number for number in sorted(epochs) if ("epoch", row["case"], number) in known]
        assert (row["processes"] or 0) == len(here)
        if not here:  # what the check has found beside memory and accuracy stands alone
            check = cut.ledger.checks.get(row["case"], {})
            assert all(row[name] in (None, check.get(name)) for name in FROM_PROCESSES)
        elif len(here) == len(epochs):
            own = FROM_PROCESSES - {"ratio", "ratio_low", "ratio_high", "verdict"}  # those take in the baseline
            assert all(row[name] == full[name] for name in own)
        else:
            assert row["medians"] == [full["medians"][sorted(epochs).index(number)] for number in here]
            assert (row["call_s_low"] is None) == (len(here) < 6)


def test_cut_at_every_byte_a_run_loads_and_no_number_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "decode", functools.cache(journal.decode))  # what a line says depends on it alone
    folder = Path(shutil.copytree(OLD / "full", tmp_path / "run"))
    whole = results.load(OLD / "full")
    path, raw = folder / store.EVENTS, (OLD / "full" / store.EVENTS).read_bytes()
    before = None
    for length in range(len(raw), -1, -1):
        os.truncate(path, length)
        cut = results.load(folder)
        lines = raw[:length].count(b"\n")
        assert cut.finished == (lines == raw.count(b"\n"))
        if before is None or lines != before[0]:  # the same facts give the same rows
            _no_wrong_number(cut, whole)
        else:
            assert cut.ledger == before[1]
        before = (lines, cut.ledger)


def _states(whole: Results) -> list[int]:
    """The lengths of an event file that end in the middle of a line, one for each state that a run can be found in.

    Lines that only tell what begins leave the state as it was.  The last one is the length of the whole.
    """
    lengths, end, before = [], 0, None
    events, lines = store.read(whole.folder), (whole.folder / store.EVENTS).read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        known = [event for event in events[:number] if event["kind"] not in ("run_started", "started")]
        if known != before:
            lengths.append(end + len(line) // 2)
        before, end = known, end + len(line)
    return [*lengths, end]


def test_cut_in_any_line_a_run_is_resumed_to_the_same_cases(study: Path, whole: Results, tmp_path: Path) -> None:
    calm = {row["case"]: row["outcome"] for row in whole.rows}
    lengths = _states(whole)
    assert len(lengths) >= 9
    for some in (lengths[:3], lengths[3:6], lengths[6:]):
        folders = [Path(shutil.copytree(whole.folder, tmp_path / f"cut-{length}")) for length in some]
        for folder, length in zip(folders, some, strict=True):
            os.truncate(folder / store.EVENTS, length)
        processes = [start(study, folder) for folder in folders]
        for folder, process in zip(folders, processes, strict=True):
            assert process.stdout is not None
            said = process.stdout.read()
            process.stdout.close()
            assert process.wait(60) == 0, said
            again = results.load(folder)
            assert {row["case"]: row["outcome"] for row in again.rows} == calm
            assert again.finished
            events = store.read(folder)
            for kind in ("finished", "epoch", "checked"):
                cases = [event["case"] for event in events if event["kind"] == kind]
                assert len(cases) == len(set(cases)), (kind, folder)


# ---------------------------------------------------------------------------- no space, no permission

RUN = [sys.executable, "-m", "difflab", "run"]
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120",
}  # fmt: skip


def _private_mounts() -> list[str] | None:
    """The command under which mounts are allowed and seen by nobody else, or ``None``."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        probe = [*command, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
        try:
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return command
        except OSError:
            return None
    return None


MOUNTS = _private_mounts()


def _shell(script: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, "bash", "-c", script]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def _codes(done: subprocess.CompletedProcess[str]) -> list[int]:
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("CODE ")]


def _ended_once(folder: Path) -> None:
    found = results.load(folder)
    assert found.finished
    assert [row["outcome"] for row in found.rows] == ["ok"]
    events = store.read(folder)
    for kind in ("finished", "epoch", "checked"):
        seen = [(event["case"], event.get("epoch")) for event in events if event["kind"] == kind]
        assert len(seen) == len(set(seen))


ROOMS = (1, 4, 6)
"""Pages of a disk in which the manifest, then the reference, then an event has no room any more."""


def test_a_full_disk_ends_the_run_with_a_sentence_and_the_run_resumes(study: Path, tmp_path: Path) -> None:
    """Three times the disk is full and gets a little larger, then there is room for all."""
    disk, out = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    command = " ".join([*RUN, str(study), "--out", f"{disk}/run"])
    if MOUNTS:
        rooms = [f"mount -o remount,nr_blocks={room} {disk}" for room in ROOMS]
        rooms[0] = f"mount -t tmpfs -o nr_blocks={ROOMS[0]} tmpfs {disk}"
        large = f"mount -o remount,size=64m {disk}"
    else:  # the kernel refuses files of more than some KiB
        rooms, large = [f"ulimit -S -f {2 * room + 4}" for room in ROOMS], "ulimit -S -f unlimited"
    request = json.dumps({"study": str(study), "out": f"{disk}/run"})
    again = f"echo '{request}' | {sys.executable} -m {lab.COORDINATOR} >&2"  # the same without the page
    steps = [part for room in rooms for part in (room, command, "echo CODE $?")]
    done = _shell("; ".join([*steps, large, again, "echo CODE $?", f"cp -r {disk}/run {out}"]), *MOUNTS or ())
    assert _codes(done) == [4, 4, 4, 0], done.stderr
    faults = [line for line in done.stderr.splitlines() if line.startswith("difflab: ")]
    assert len(faults) == len(ROOMS)
    for fault in faults:
        assert "cannot be written" in fault
        assert "Free some space and run again: the run resumes." in fault
    if MOUNTS:
        assert len({fault.partition(" cannot be written")[0] for fault in faults}) == len(ROOMS), faults
    assert "Traceback" not in done.stderr
    _ended_once(out)


def test_a_folder_that_may_only_be_read_is_one_sentence(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD / "interrupted", tmp_path / "run"))
    study = tmp_path / "small-gradients.toml"
    study.write_text(store.read_manifest(folder)["study"]["text"])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    command = " ".join([*RUN, str(study), "--out"])
    if MOUNTS:
        close = f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}"
    else:
        close = f"chmod -R a-w {folder}"
    elsewhere = "/proc/difflab"  # not even root may make a folder there
    done = _shell(f"{close}; {command} {folder}; echo CODE $?; {command} {elsewhere}; echo CODE $?", *MOUNTS or ())
    if not MOUNTS:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    faults = [line for line in done.stderr.splitlines() if line.startswith("difflab: ")]
    if MOUNTS or os.geteuid() != 0:  # permissions do not bind root
        assert _codes(done) == [4, 2], done.stderr
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        assert f"{folder} cannot be written: " in faults[0]
    assert _codes(done)[-1] == 2
    assert "Choose a folder that you may write to with --out DIR." in faults[-1]
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------------- coordinators and clocks


def test_the_second_of_two_coordinators_ends_and_the_first_goes_on(tmp_path: Path) -> None:
    study = write_study(tmp_path, double("well") + double("hang"))
    first = start(study, tmp_path / "run")
    events, end = tmp_path / "run" / store.EVENTS, time.monotonic() + 60
    while time.monotonic() < end and not (events.exists() and events.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    second = start(study, tmp_path / "run")
    assert second.stdout is not None
    said = second.stdout.read()
    second.stdout.close()
    assert second.wait(60) == 4
    fault = json.loads(said.splitlines()[-1])
    assert fault["type"] == "StoreError"
    assert "is in use by another difflab run. Wait for it, or choose another folder" in fault["text"]
    assert first.stdout is not None
    first.stdout.read()
    first.stdout.close()
    assert first.wait(60) == 0
    assert [row["outcome"] for row in results.load(tmp_path / "run").rows] == ["ok", "timeout"]


def test_a_clock_that_was_set_back_changes_nothing(study: Path, whole: Results, tmp_path: Path) -> None:
    """The first coordinator ran in 2099 by its clock; the next one resumes today."""
    folder = Path(shutil.copytree(whole.folder, tmp_path / "run"))
    manifest = store.read_manifest(folder) | {"created": "2099-12-31T23:59:59Z"}
    events = [
        {**event, **({"at": "2099-12-31T23:59:59Z"} if "at" in event else {})}
        for event in store.read(folder)
        if event["kind"] not in ("finished", "run_finished", "manifest")
    ]
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    (folder / store.EVENTS).write_bytes(b"".join(store.encode(seq, event) for seq, event in enumerate(events)))
    early = results.load(folder)
    assert not early.finished
    late = run(study, folder)
    assert late.finished
    assert [row["outcome"] for row in late.rows] == ["ok"]
    assert late.samples == early.samples
    times = [event["at"] for event in store.read(folder) if event["kind"] in ("run_started", "run_finished")]
    assert times[0] > times[1]
    assert late.ledger.seconds is not None
    assert 0 < late.ledger.seconds < 3600
    assert store.choose_folder(None, "run", "another", tmp_path).name == "run-2"


# ---------------------------------------------------------------------------- what reaches the disk, what is left


def test_names_reach_the_disk_as_well_as_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss of power a new file is there only if the folder that holds its name was synced too."""
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with store.Store(tmp_path / "new" / "run") as target:
        assert synced == ["new", ".", "new/run", "new/run"]  # for run, new, events.jsonl, blobs
        synced.clear()
        target.write_manifest({"key": "k"})
        assert synced == ["new/run/.manifest.json.tmp", "new/run", "new/run/events.jsonl"]
        synced.clear()
        target.append("note")
        assert synced == ["new/run/events.jsonl"]
    synced.clear()
    with store.Store(tmp_path / "new" / "run"):
        assert synced == []


def test_a_reference_is_on_the_disk_under_its_name_before_its_sum_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    done: list[str] = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("sync"), real_sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), real_replace(*names)))
    one = reference.Reference([np.ones(2)], [np.zeros(2)], [np.zeros(2)], 0.0, 160, 0, True, "", checked=True)
    path = tmp_path / "reference.npz"
    found = one.save(path)
    assert done == ["sync", "replace", "sync"]
    assert found == store.digest(path)
    assert reference.Reference.load(path, found).bits == 160
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="its content has changed since it was written"):
        reference.Reference.load(path, found)


def test_what_a_kill_left_half_written_is_swept_up_by_the_next_coordinator_only(tmp_path: Path) -> None:
    with store.Store(tmp_path) as target:
        target.write_manifest({"key": "k", "study": {}, "blocks": []})
    left = [".manifest.json.tmp", ".events.torn-1.tmp", ".events.jsonl.tmp", "blobs/reference-a.npz.123.part"]
    others = [".index.html.tmp", "notes.txt", "blobs/reference-a.npz"]
    for name in left + others:
        (tmp_path / name).write_text("half")
    results.load(tmp_path)
    assert all((tmp_path / name).exists() for name in left + others)
    with store.Store(tmp_path), pytest.raises(StoreError, match="in use"):
        store.Store(tmp_path)
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).exists() for name in others)


def test_a_folder_whose_run_was_killed_before_it_described_itself_is_used_again(tmp_path: Path) -> None:
    with store.Store(tmp_path / "digits"):
        (tmp_path / "digits" / ".manifest.json.tmp").write_text("{")
    assert store.choose_folder(None, "digits", "k", tmp_path) == tmp_path / "digits"
    assert store.choose_folder(tmp_path / "digits", "digits", "k") == tmp_path / "digits"
    with store.Store(tmp_path / "digits") as target:
        target.append("note")
    assert store.choose_folder(None, "digits", "k", tmp_path) == tmp_path / "digits-2"
    with pytest.raises(StoreError, match=r"its manifest\.json is gone\. `difflab repair"):
        store.choose_folder(tmp_path / "digits", "digits", "k")
