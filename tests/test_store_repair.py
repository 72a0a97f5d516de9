"""Damaged run folders: what a repair keeps, what it takes back, and that the run then goes on to the same cases."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import find, lines_of, spoil, write_lines
from harness_runs import double, run, write_study

from difflab.errors import StoreError
from difflab.harness import journal, repair, results, store
from difflab.harness.ledger import Ledger
from difflab.harness.results import Results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return write_study(folder, "".join(map(double, ("well", "null", "wrong"))), processes=2)


@pytest.fixture(scope="module")
def whole(study: Path) -> Path:
    """The folder of a finished run: two cases timed in two processes each, one with a wrong gradient."""
    return run(study, study.parent / "whole").folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def _case(folder: Path, label: str) -> str:
    return next(row["case"] for row in results.load(folder).rows if row["backend"] == label)


def _measured(found: Results) -> dict[str, Any]:
    return {row["case"]: (row["outcome"], row["processes"]) for row in found.rows}


def _nothing_twice(folder: Path) -> None:
    events = store.read(folder)
    for kind in ("checked", "finished", "epoch"):
        seen = [(event["case"], event.get("epoch")) for event in events if event["kind"] == kind]
        assert len(seen) == len(set(seen)), kind


# ---------------------------------------------------------------------------- each kind of damage


def test_a_whole_run_is_left_alone(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = repair.repair(folder)
    assert (found.needed, found.done, found.dropped, found.lost) == (False, False, [], [])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def _flipped(lines: list[bytes]) -> None:
    lines[7] = lines[7][:80] + bytes([lines[7][80] ^ 1]) + lines[7][81:]


def _deleted(lines: list[bytes]) -> None:
    del lines[7]


def _torn_and_glued(lines: list[bytes]) -> None:
    lines[7:9] = [lines[7][:50] + lines[8]]


def _garbage(lines: list[bytes]) -> None:
    lines[7] = bytes(random.Random(0).randrange(256) for _ in range(500)).replace(b"\n", b"")


def _nested(lines: list[bytes]) -> None:
    lines[7] = b"[" * 100_000


DAMAGES: list[Callable[[list[bytes]], None]] = [_flipped, _deleted, _torn_and_glued, _garbage, _nested]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_line_that_is_lost_takes_no_other_with_it(folder: Path, damage: Callable[[list[bytes]], None]) -> None:
    lines = lines_of(folder)
    good = list(lines)
    damage(lines)
    write_lines(folder, lines)
    raw = (folder / store.EVENTS).read_bytes()
    with pytest.raises(StoreError, match=r"events\.jsonl:8: .*`difflab repair .*run` keeps what is whole"):
        results.load(folder)
    dry = repair.repair(folder, dry_run=True)
    assert (folder / store.EVENTS).read_bytes() == raw
    assert not (folder / "events.damaged-1.jsonl").exists()
    found = repair.repair(folder)
    assert (found.dropped, found.lost, found.withdrawn) == (dry.dropped, dry.lost, dry.withdrawn)
    assert (7, 7) in found.lost
    assert (folder / "events.damaged-1.jsonl").read_bytes() == raw
    kept = [number for number in range(len(good)) if number != 7 and number not in found.withdrawn]
    assert [line for line in lines_of(folder) if line in good] == [good[number] for number in kept]
    assert store.read(folder)[-1]["kind"] == "repaired"
    assert results.load(folder).ledger.lost >= 1
    assert not repair.repair(folder).needed


def _twice(lines: list[bytes]) -> None:
    lines.insert(9, lines[4])


def _out_of_order(lines: list[bytes]) -> None:
    lines[4], lines[9] = lines[9], lines[4]


def _glued(lines: list[bytes]) -> None:
    lines[4:7] = [lines[4] + lines[5] + lines[6]]


def _blank(lines: list[bytes]) -> None:
    lines.insert(6, b"")


@pytest.mark.parametrize("damage", [_twice, _out_of_order, _glued, _blank])
def test_where_every_event_is_whole_none_is_lost(folder: Path, damage: Callable[[list[bytes]], None]) -> None:
    lines = lines_of(folder)
    good = list(lines)
    damage(lines)
    write_lines(folder, lines)
    with pytest.raises(StoreError, match="difflab repair"):
        results.load(folder)
    found = repair.repair(folder)
    assert (found.lost, found.withdrawn) == ([], {})
    assert lines_of(folder)[:-1] == good
    assert results.load(folder).finished


def test_a_whole_last_line_in_the_wrong_place_is_no_torn_tail(folder: Path) -> None:
    """A kill leaves no line whose checksum holds: what was before it is lost, and it may not go the same way."""
    lines = lines_of(folder)
    write_lines(folder, [*lines[:-2], lines[-1]])
    for work in (lambda: results.load(folder), lambda: store.Store(folder)):
        with pytest.raises(StoreError, match=rf"events\.jsonl:{len(lines) - 1}: this line has number .*difflab repair"):
            work()
    assert list(repair.repair(folder).withdrawn) == [len(lines) - 1]  # it was seen, and judged


def test_two_different_events_of_one_number_are_both_dropped(folder: Path) -> None:
    lines = lines_of(folder)
    lines.insert(9, journal.encode(8, {"kind": "note", "text": "of another run"}).rstrip())
    write_lines(folder, lines)
    found = repair.repair(folder)
    assert [part.fault for part in found.dropped] == ["two different events have the number 8"]
    assert (8, 8) in found.lost


def test_the_end_of_a_file_that_is_lost_is_marked(folder: Path) -> None:
    lines = lines_of(folder)
    write_lines(folder, [*lines[:10], b"rubbish", b"more rubbish", b"rubbish again"])
    found = repair.repair(folder)
    assert found.lost == [(10, 12)]
    assert store.read(folder)[-2:][0] == {"kind": "lost", "first": 10, "last": 12}
    with store.Store(folder) as target:
        assert target.append("note") == 14
    assert store.read(folder)[-1] == {"kind": "note"}


def test_a_repaired_file_is_readable_whatever_it_is_cut_to_and_can_be_repaired_again(folder: Path) -> None:
    spoil(folder, 5)
    spoil(folder, 9)
    repair.repair(folder)
    raw = (folder / store.EVENTS).read_bytes()
    events = store.read(folder)
    for length in range(0, len(raw) + 1, 41):
        assert store.scan(raw[:length])[0] == events[: raw[:length].count(b"\n")]
    spoil(folder, 5)  # the very line that stands for a lost one
    found = repair.repair(folder)
    assert (5, 5) in found.lost
    assert found.copy == ["events.damaged-2.jsonl"]
    assert results.load(folder).ledger.lost == sum(last - first + 1 for first, last in found.lost)


# ---------------------------------------------------------------------------- what rests on what


def test_what_rests_on_a_lost_event_is_taken_back_and_the_run_goes_on_to_the_same_cases(
    study: Path, whole: Path, tmp_path: Path
) -> None:
    calm = _measured(results.load(whole))
    well, wrong = _case(whole, "well"), _case(whole, "wrong")
    lost = {
        "a check": [find(whole, "checked", case=well)],
        "a process": [find(whole, "epoch", case=well, epoch=0)],
        "the last process": [find(whole, "epoch", case=well, epoch=1)],
        "the check of a wrong gradient": [find(whole, "checked", case=wrong)],
        "the reference": [find(whole, "reference")],
        "an outcome and the end": [find(whole, "finished", case=well), find(whole, "run_finished")],
    }
    taken_back = {
        "a check": ("well", "its check is lost"),
        "a process": ("well", "some of its processes are lost"),
        "the last process": ("well", "some of its processes are lost"),
        "the check of a wrong gradient": ("wrong", "its check is lost"),
        "the reference": ("well", "its reference is lost"),
    }
    everything = Path(shutil.copytree(whole, tmp_path / "everything"))
    for name, numbers in lost.items():
        folder = Path(shutil.copytree(whole, tmp_path / name.replace(" ", "-")))
        for number in numbers:
            spoil(folder, number)
            spoil(everything, number)
        found = repair.repair(folder)
        ledger = Ledger.of(store.read(folder))
        assert ledger.seconds is None, name
        if name in taken_back:
            label, why = taken_back[name]
            assert why in found.withdrawn.values()
            assert _case(folder, label) not in ledger.ends
        assert any(case.again for case in found.cases), name
    repair.repair(everything)
    again = run(study, everything)  # all of that at once
    assert again.finished
    assert _measured(again) == calm
    _nothing_twice(everything)
    assert not repair.repair(everything).needed


def test_a_lost_note_of_a_beginning_changes_nothing(folder: Path) -> None:
    before = results.load(folder).rows
    spoil(folder, find(folder, "started"))
    found = repair.repair(folder)
    assert found.withdrawn == {}
    assert results.load(folder).finished
    assert results.load(folder).rows == before


# ---------------------------------------------------------------------------- blobs and the manifest


@pytest.mark.parametrize("deed", ["gone", "changed"])
def test_a_reference_whose_file_is_gone_or_changed_is_certified_again(
    deed: str, study: Path, folder: Path, whole: Path
) -> None:
    lines = lines_of(folder)
    write_lines(folder, lines[: find(folder, "run_finished")])
    (blob,) = (folder / store.BLOBS).iterdir()
    if deed == "gone":
        blob.unlink()
    else:
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
    word = {"gone": "is missing", "changed": "is not the file that was written"}[deed]
    with pytest.raises(StoreError, match=rf"\.npz {word}\. `difflab repair .*run` takes its record out"):
        store.Store(folder)
    found = repair.repair(folder)
    assert any(word in why for why in found.withdrawn.values())
    if deed == "gone":
        again = run(study, folder)
        assert _measured(again) == _measured(results.load(whole))
        assert blob.exists()
        _nothing_twice(folder)


def test_a_manifest_that_is_gone_or_damaged_is_made_again_from_the_events(folder: Path) -> None:
    path = folder / store.MANIFEST
    manifest = path.read_bytes()
    changed = manifest.replace(b'"seed": 0', b'"seed": 1')
    for content, fault in ((None, "is missing"), (b"[{", "is damaged"), (changed, "is not")):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert fault in (repair.repair(folder).manifest or "")
        assert path.read_bytes() == manifest
    assert (folder / "manifest.damaged-1.json").read_bytes() == b"[{"
    assert results.load(folder).finished


def test_a_manifest_that_is_not_what_the_run_wrote_is_not_believed(folder: Path) -> None:
    """One digit of it is a process more or fewer, a name of it another case."""
    path = folder / store.MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"label": "well"', b'"label": "will"'))
    with pytest.raises(StoreError, match=r"manifest\.json is not what the run wrote\. `difflab repair .*run` makes it"):
        results.load(folder)
    repair.repair(folder)
    assert [row["backend"] for row in results.load(folder).rows] == ["well", "null", "wrong"]


def test_a_run_in_use_is_not_repaired_under_its_coordinator(folder: Path) -> None:
    with store.Store(folder), pytest.raises(StoreError, match="is in use by another difflab run"):
        repair.repair(folder)


def test_a_coordinator_that_waited_at_the_door_gets_the_repaired_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, a repair may put another in its place."""
    spoil(folder, find(folder, "started"))
    real = store.lock
    calls = []

    def slow(descriptor: int, where: Path) -> None:
        if not calls:
            calls.append(where)
            repair.repair(folder)
        real(descriptor, where)

    monkeypatch.setattr(store, "lock", slow)
    with store.Store(folder) as target:
        target.append("note", text="into the new file")
    assert store.read(folder)[-1] == {"kind": "note", "text": "into the new file"}


def test_a_repair_that_waited_at_the_door_leaves_the_repaired_file_to_its_coordinator(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another repair may have been done, and a run begun, before the lock of the file that was opened is had."""
    spoil(folder, find(folder, "started"))
    real = store.lock
    running: list[store.Store] = []

    def slow(descriptor: int, where: Path) -> None:
        if not running:
            monkeypatch.setattr(store, "lock", real)
            repair.repair(folder)
            running.append(store.Store(folder))
        real(descriptor, where)

    monkeypatch.setattr(store, "lock", slow)
    with pytest.raises(StoreError, match="is in use by another difflab run"):
        repair.repair(folder)
    with running[0] as target:
        target.append("note", text="of the run")
    assert store.read(folder)[-1] == {"kind": "note", "text": "of the run"}


def test_the_record_of_a_repair_says_what_happened(folder: Path) -> None:
    spoil(folder, find(folder, "started"))
    repair.repair(folder)
    event = store.read(folder)[-1]
    assert event["at"].endswith("Z")
    assert json.loads(json.dumps(event)) == {
        "kind": "repaired", "at": event["at"], "dropped": 1, "lost": 1, "withdrawn": 0,
        "copies": ["events.damaged-1.jsonl"],
    }  # fmt: skip
