"""What a repair keeps of files that no study wrote just now: random damage, other formats, what rests on what."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from damage import OLD, find, lines_of, spoil, write_lines

from difflab.errors import StoreError
from difflab.harness import environment_change, journal, repair, results, store
from difflab.harness.books import Books
from difflab.harness.ledger import Ledger


def test_any_byte_may_be_hit_and_no_number_is_ever_wrong(tmp_path: Path) -> None:
    """Hundreds of random damages to a real file: what is kept is bit for bit what was written, in its place."""
    raw = (OLD / "full" / store.EVENTS).read_bytes()
    written = dict(enumerate(store.read(OLD / "full")))
    random_ = random.Random(7)
    for _ in range(400):
        damaged = bytearray(raw)
        for _ in range(random_.choice((1, 1, 1, 2, 30))):
            place = random_.randrange(len(damaged))
            deed = random_.randrange(4)
            if deed == 0:
                damaged[place] ^= 1 << random_.randrange(8)
            elif deed == 1:
                del damaged[place : place + random_.randrange(1, 600)]
            elif deed == 2:
                damaged[place:place] = bytes(random_.randrange(256) for _ in range(random_.randrange(1, 40)))
            else:
                damaged[place:place] = damaged[place : place + random_.randrange(1, 2000)]
        found = repair.salvage(bytes(damaged))
        assert all(written[number] == event for number, event in found.events.items())
        content, _ = repair.joined(found.events, found.tail)
        events, good = store.scan(content)
        assert good == len(content)
        assert [event for event in events if event["kind"] != "lost"] == [
            event for _, event in sorted(found.events.items())
        ]


@pytest.mark.parametrize("label", ["well", "wrong"])
def test_in_a_quick_run_timing_and_check_stand_and_fall_together(label: str, tmp_path: Path) -> None:
    folder = tmp_path / "quick"
    rows = results.load(shutil.copytree(OLD / "quick", folder)).rows
    case = rows[1 if label == "well" else 2]["case"]
    spoil(folder, find(folder, "epoch", case=case))
    found = repair.repair(folder)
    assert "its timing is lost" in found.withdrawn.values()
    ledger = Ledger.of(store.read(folder))
    assert case not in ledger.checks
    assert case not in ledger.ends
    assert [one.again for one in found.cases if one.again] == ["to be measured"]


def test_the_outcome_of_a_dead_worker_rests_on_nothing(tmp_path: Path) -> None:
    spec = {"case": "c", "outcome": "timeout", "reason": "", "phase": "prepare", "data": {"n_params": 3}}
    manifest = {
        "study": {"answer": "compare", "timing": {"processes": 6}},
        "blocks": [{"name": "b", "truth": "t", "cases": [{"id": "c", "label": "l", "spec": {}}]}],
    }
    with store.Store(tmp_path) as target:
        target.write_manifest(manifest)
        target.append("note")
        target.append("finished", **spec)
    spoil(tmp_path, 1)
    assert repair.repair(tmp_path).withdrawn == {}


def test_what_was_measured_before_a_lost_change_of_environment_goes(tmp_path: Path) -> None:
    """Six processes on one machine and two on another would make eight that never were."""
    manifest = {
        "study": {"answer": "compare", "timing": {"processes": 6}},
        "blocks": [{"name": "b", "truth": "t", "cases": [{"id": "c", "label": "l", "spec": {}}]}],
    }
    with store.Store(tmp_path) as target:
        target.write_manifest(manifest)
        target.append("checked", case="c", data={"machine": "first"})
        for epoch in range(6):
            target.append("epoch", case="c", epoch=epoch, data={"machine": "first"})
        number = target.append("environment_changed", number=1, changes=[], environment={})
        target.append("checked", case="c", data={"machine": "second"})
        target.append("epoch", case="c", epoch=0, data={"machine": "second"})
    spoil(tmp_path, number)
    found = repair.repair(tmp_path)
    assert set(found.withdrawn.values()) == {"it was measured again later"}
    ledger = Ledger.of(store.read(tmp_path))
    assert ledger.checks["c"] == {"machine": "second"}
    assert ledger.epochs["c"] == {0: {"machine": "second"}}


def _on_two_machines(folder: Path) -> None:
    """A case that was timed in one process on one machine, and then afresh in two on another."""
    case = {"id": "c", "label": "l", "spec": {}}
    manifest = {
        "study": {"answer": "compare", "timing": {"processes": 2}},
        "blocks": [{"name": "b", "truth": "t", "cases": [case]}],
    }
    study: Any = SimpleNamespace(kind=SimpleNamespace(reference=False), timed=True, timing=SimpleNamespace(processes=2))
    with store.Store(folder) as target:
        target.write_manifest(manifest)
        books = Books(study, [], target, Ledger(), lambda _: None, 0, False)
        books.record("reference", truth="t", data={})
        books.record("checked", case="c", data={"machine": "first"})
        books.record("epoch", case="c", epoch=0, data={"machine": "first"})
        books.record("environment_changed", number=1, changes=[], environment={"cpu": "second"})
        books.record("run_started", environment=1)
        books.record("checked", case="c", data={"machine": "second"})
        for epoch in range(2):
            books.record("epoch", case="c", epoch=epoch, data={"machine": "second"})
        books.record("finished", case="c", outcome="ok", reason="", phase="", data={})


def test_whatever_range_is_lost_no_case_is_of_two_machines(tmp_path: Path) -> None:
    """A hole in the file may take the change of environment and all that would show that a case was measured anew."""
    _on_two_machines(tmp_path)
    lines, alone = lines_of(tmp_path), 0
    for first in range(2, len(lines)):
        for last in range(first, len(lines)):
            write_lines(tmp_path, [line for number, line in enumerate(lines) if not first <= number <= last])
            repair.repair(tmp_path)
            ledger = Ledger.of(store.read(tmp_path))
            known = [*ledger.checks.values(), *ledger.epochs.get("c", {}).values()]
            assert len({data["machine"] for data in known}) <= 1, (first, last)
            if "c" in ledger.ends:
                assert [data["machine"] for data in known] == ["second"] * 3, (first, last)
                alone += 1
    assert alone >= 5  # what rests on nothing that is lost stands


def test_nothing_is_added_to_what_an_environment_measured_that_is_not_described(tmp_path: Path) -> None:
    _on_two_machines(tmp_path)
    change = find(tmp_path, "environment_changed")
    lines = lines_of(tmp_path)
    write_lines(tmp_path, [line for number, line in enumerate(lines[:-1]) if number not in (change, change + 1)])
    assert "the description of its environment is lost" in repair.repair(tmp_path).withdrawn.values()
    assert Ledger.of(store.read(tmp_path)).checks == {}
    # where the next beginning still says that there was a change, resuming on the first machine is another one
    (tmp_path / store.EVENTS).unlink()
    write_lines(tmp_path, [*lines[:change], *lines[change + 1 : change + 3]])
    repair.repair(tmp_path)
    with store.Store(tmp_path) as target:
        ledger = Ledger.of(target.events)
        assert ledger.environment == 1
        assert environment_change.settle(target, ledger, {}, allowed=False) == []
        assert (ledger.environment, ledger.checks) == (2, {})
        assert environment_change.settle(target, ledger, {}, allowed=False) == []
        assert ledger.environment == 2


def test_the_next_beginning_says_that_the_environment_changed(tmp_path: Path) -> None:
    with store.Store(tmp_path) as target:
        target.write_manifest({"study": {"answer": "traps"}, "blocks": []})
        target.append("checked", case="c", data={})
        number = target.append("environment_changed", number=1, changes=[], environment={})
        target.append("run_started", environment=1)
    spoil(tmp_path, number)
    repair.repair(tmp_path)
    ledger = Ledger.of(store.read(tmp_path))
    assert (ledger.environment, ledger.checks) == (1, {})


def test_a_manifest_of_which_there_is_no_copy_cannot_be_made_up(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD / "full", tmp_path / "run"))
    (folder / store.MANIFEST).unlink()
    raw = (folder / store.EVENTS).read_bytes()
    with pytest.raises(StoreError, match=r"manifest\.json is missing, and the event file holds no whole copy"):
        repair.repair(folder)
    with pytest.raises(StoreError, match=r"manifest\.json is gone\. `difflab repair"):
        results.load(folder)
    assert (folder / store.EVENTS).read_bytes() == raw


def test_a_number_in_quotation_marks_is_damage() -> None:
    line = journal.encode(7, {"kind": "note"})
    with pytest.raises(ValueError, match="does not match its checksum"):
        journal.decode(line.replace(b'"seq":7', b'"seq":"7"'))


def test_what_another_difflab_wrote_is_refused_and_never_cut(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD / "full", tmp_path / "run"))
    path = folder / store.EVENTS
    raw = path.read_bytes() + b'{"v":2,"seq":36,"crc":"00000000","data":{"kind":"note"}}\n'
    path.write_bytes(raw)
    for work in (lambda: results.load(folder), lambda: store.Store(folder), lambda: repair.repair(folder)):
        with pytest.raises(StoreError, match=r"events\.jsonl:37: this line has format 2; this difflab reads format 1"):
            work()
    assert path.read_bytes() == raw
    # a digit that was hit in a line of ours is damage, and no other format
    path.write_bytes(raw.replace(b'{"v":1,"seq":5,', b'{"v":3,"seq":5,')[: raw.rindex(b'{"v":2')])
    with pytest.raises(StoreError, match=r"events\.jsonl:6: .*difflab repair"):
        results.load(folder)
