from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from difflab.errors import StoreError
from difflab.harness import store
from difflab.harness.ledger import Ledger


def _fill(folder: Path, count: int = 6) -> list[dict]:
    with store.Store(folder) as target:
        for number in range(count):
            target.append("epoch", case=f"c{number % 2}", epoch=number, data={"samples": [number / 7, 1e-300]})
        return list(target.events)


def test_what_is_appended_is_read_back_to_the_bit(tmp_path: Path) -> None:
    written = _fill(tmp_path)
    assert store.read(tmp_path) == written
    assert written[3]["data"]["samples"] == [3 / 7, 1e-300]


def test_cut_at_every_byte_it_stays_readable_and_never_gives_a_wrong_number(tmp_path: Path) -> None:
    written = _fill(tmp_path, 4)
    whole = (tmp_path / store.EVENTS).read_bytes()
    for length in range(len(whole) + 1):
        events, good = store.scan(whole[:length])
        assert events == written[: len(events)]
        assert good <= length
        # all lines that are complete are there
        assert len(events) == whole[:length].count(b"\n")


@pytest.mark.parametrize("cut", [1, 2, 40, 90])
def test_a_torn_tail_is_put_aside_and_the_next_event_does_not_glue_to_it(tmp_path: Path, cut: int) -> None:
    written = _fill(tmp_path)
    path = tmp_path / store.EVENTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with store.Store(tmp_path) as target:
        assert target.events == written[:-1]
        assert target.healed == "events.torn-1"
        target.append("note", text="after")
    assert store.read(tmp_path) == [*written[:-1], {"kind": "note", "text": "after"}]
    torn = (tmp_path / "events.torn-1").read_bytes()
    assert whole.endswith(torn + whole[-cut:])


def test_a_damaged_last_line_counts_as_torn(tmp_path: Path) -> None:
    written = _fill(tmp_path)
    path = tmp_path / store.EVENTS
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    with store.Store(tmp_path) as target:
        assert target.events == written[:-1]


def test_a_changed_number_in_the_middle_is_an_error_with_its_line(tmp_path: Path) -> None:
    _fill(tmp_path)
    path = tmp_path / store.EVENTS
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"0.2857142857142857", b"0.2857142857142858")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreError, match=r"events\.jsonl:3: this line does not match its checksum"):
        store.read(tmp_path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"events\.jsonl:3"):
        store.Store(tmp_path)
    assert path.read_bytes() == before


def test_only_what_was_under_way_counts_as_being_measured() -> None:
    ledger = Ledger.of(
        [
            {"kind": "run_started"},
            {"kind": "started", "case": "a", "pass": "check"},
            {"kind": "run_started"},
            *({"kind": "started", "case": case, "pass": "check"} for case in "bcd"),
            {"kind": "checked", "case": "b", "data": {}},
            {"kind": "finished", "case": "c"},
        ]
    )
    assert ledger.active == {"d"}
    assert set(ledger.begun) == set("abcd")


def test_a_lost_line_is_noticed(tmp_path: Path) -> None:
    _fill(tmp_path)
    path = tmp_path / store.EVENTS
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:1] + lines[2:]))
    with pytest.raises(StoreError, match=r"events\.jsonl:2: this line has number 2, expected 1"):
        store.read(tmp_path)


def test_two_coordinators_cannot_write_at_once(tmp_path: Path) -> None:
    with store.Store(tmp_path), pytest.raises(StoreError, match="is in use by another difflab run"):
        store.Store(tmp_path)
    with store.Store(tmp_path) as target:
        target.append("note")


def test_a_folder_that_cannot_be_made_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match=r"run cannot be written: Not a directory\. Choose a folder .* --out DIR\."):
        store.Store(blocker / "run")
    assert sorted(tmp_path.iterdir()) == [blocker]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = _fill(tmp_path)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 20:
            return real(descriptor, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.Store(tmp_path) as target:
        monkeypatch.setattr(store.os, "write", lambda d, data: full(d, data[:25]))
        with pytest.raises(
            StoreError, match=r"No space left on device\. Free some space and run again: the run resumes"
        ):
            target.append("note", text="x" * 100)
        monkeypatch.undo()
        assert store.read(tmp_path) == written
        target.append("note", text="room again")
    assert store.read(tmp_path)[-1]["text"] == "room again"


def test_an_interrupt_in_the_middle_leaves_the_event_out_and_the_count_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def interrupted(descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(descriptor)

    with store.Store(tmp_path) as target:
        monkeypatch.setattr(store.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            target.append("note", text="first")
        monkeypatch.undo()
        target.append("note", text="second")
        assert store.read(tmp_path) == target.events
    assert [event["text"] for event in store.read(tmp_path)] == ["second"]


def test_the_manifest_is_replaced_whole(tmp_path: Path) -> None:
    with store.Store(tmp_path) as target:
        target.write_manifest({"key": "a"})
        with pytest.raises(ValueError, match="Out of range float"):
            target.write_manifest({"key": float("nan")})
    assert store.read_manifest(tmp_path)["key"] == "a"
    assert not list(tmp_path.glob(".*.tmp"))


def test_folders_without_a_run_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no run of difflab: there is no manifest\.json"):
        store.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[")
    with pytest.raises(StoreError, match="is not the JSON object that difflab wrote"):
        store.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(StoreError, match="another format than this difflab reads"):
        store.read_manifest(tmp_path)


def test_the_default_folder_resumes_what_is_unfinished_and_keeps_what_is_finished(tmp_path: Path) -> None:
    assert store.choose_folder(None, "digits", "k", tmp_path) == tmp_path / "digits"
    with store.Store(tmp_path / "digits") as target:
        target.write_manifest({"key": "k"})
    assert store.choose_folder(None, "digits", "k", tmp_path) == tmp_path / "digits"
    assert store.choose_folder(None, "digits", "other", tmp_path) == tmp_path / "digits-2"
    with store.Store(tmp_path / "digits") as target:
        target.append("run_finished", seconds=1.0)
    assert store.choose_folder(None, "digits", "k", tmp_path) == tmp_path / "digits-2"


def test_a_named_folder_is_the_run_folder_or_is_refused(tmp_path: Path) -> None:
    assert store.choose_folder(tmp_path / "new", "digits", "k") == tmp_path / "new"
    (tmp_path / "precious.txt").write_text("")
    with pytest.raises(StoreError, match="is not empty and holds no run of difflab"):
        store.choose_folder(tmp_path, "digits", "k")
    with pytest.raises(StoreError, match="is a file; --out takes a folder"):
        store.choose_folder(tmp_path / "precious.txt", "digits", "k")
    with store.Store(tmp_path / "old") as target:
        target.write_manifest({"key": "k"})
    assert store.choose_folder(tmp_path / "old", "digits", "k") == tmp_path / "old"
    with pytest.raises(StoreError, match="a run of another study or with other settings"):
        store.choose_folder(tmp_path / "old", "digits", "other")


def test_the_ledger_is_a_function_of_the_events(tmp_path: Path) -> None:
    ledger = Ledger.of(_fill(tmp_path))
    assert ledger.samples("c1") == [[1 / 7, 1e-300], [3 / 7, 1e-300], [5 / 7, 1e-300]]
    assert ledger.seconds is None
