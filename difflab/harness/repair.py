"""Repairing a run folder that a disk or an editor has damaged: what is whole and certain stays, the rest goes.

A line of the event file carries its number under its checksum, so a whole line has one place, wherever in the file it
is found.  What is missing between two lines is marked by a line that stands for the lost numbers, so no line that stays
is changed, and the gap is known for ever.  What was recorded on the strength of something that is lost (an outcome
whose check, processes or reference are gone) is withdrawn: the next run measures what is missing and says it again.
The damaged file is kept beside the new one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StoreError
from . import environment, store
from .files import free_name, write_atomically
from .foundations import unfounded
from .journal import LOST, VERSION, FormatError, decode, encode, scan
from .ledger import Ledger

DAMAGED = "events.damaged-{}.jsonl"
DAMAGED_MANIFEST = "manifest.damaged-{}.json"
_EVENT = re.compile(r'\{"v":')
_CASE = re.compile(rb'"case":"([0-9a-f]{64})"')
_KIND = re.compile(rb'"kind":"([a-z_]{1,40})"')


@dataclass(frozen=True)
class Dropped:
    """A line that is not kept: its number in the file from 1, what is wrong, and what of it can still be read."""

    line: int
    fault: str
    case: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Salvage:
    """What is whole in the bytes of an event file.

    ``events`` by their numbers; ``dropped`` lines; ``moved``: how many events stood twice, glued to others or out of
    order and are kept; ``tail``: how many dropped lines came after the last event that is kept.
    """

    events: dict[int, dict[str, Any]]
    dropped: list[Dropped]
    moved: int
    tail: int


@dataclass(frozen=True)
class CaseState:
    """What is left of one case, and what the next run does about it (empty: nothing)."""

    name: str
    checked: bool
    processes: int
    outcome: str | None
    again: str


@dataclass(frozen=True)
class Repair:
    """What a repair found and did, or would do.

    ``folder``; ``needed``: whether anything was wrong; ``done``: whether it was written; ``lines`` kept; ``dropped``
    and ``moved`` as in ``Salvage``; ``lost``: first and last of each range of numbers that nothing is known of;
    ``withdrawn``: why, by the number of the event; ``manifest``: what was wrong with it, if anything; ``cases`` in the
    order of the study; ``copy``: the names under which the damaged files are kept.
    """

    folder: Path
    needed: bool
    done: bool
    lines: int
    dropped: list[Dropped]
    moved: int
    lost: list[tuple[int, int]]
    withdrawn: dict[int, str]
    manifest: str | None
    cases: list[CaseState]
    copy: list[str] = field(default_factory=list)


def repair(folder: Path, dry_run: bool = False) -> Repair:
    """Make the run in a folder loadable and resumable again.

    Args:
        folder: a run folder.
        dry_run: say what would be done and write nothing.

    Returns:
        What was found and done.

    Raises:
        StoreError: another run uses the folder, another difflab wrote it, it cannot be written, or it is beyond repair;
            nothing was changed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with store.Store(folder) as target:
    ...     target.write_manifest({"blocks": [], "study": {"answer": "traps"}})
    >>> repair(folder).needed
    False
    """
    path = folder / store.EVENTS
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise store.FolderError(
                f"{folder} holds no events of a run ({store.EVENTS} is not there), so nothing can be kept. To measure, "
                f"run the study; to start again in this very folder, empty it first."
            ) from None
        except OSError as fault:
            raise store.unreadable(path, fault) from fault
        try:
            store.lock(descriptor, folder)
            if store.is_at(descriptor, path):
                return _repair(folder, path.read_bytes(), dry_run)
        finally:  # else another repair has put another file in its place meanwhile
            os.close(descriptor)


def _repair(folder: Path, raw: bytes, dry_run: bool) -> Repair:
    found = salvage(raw, str(folder / store.EVENTS))
    manifest, fault = _manifest(folder, found.events)
    withdrawn = unfounded(manifest, found.events, lambda record: store.blob_fault(folder, record))
    events = {number: event for number, event in found.events.items() if number not in withdrawn}
    content, lost = joined(events, found.tail)
    needed = content != raw or fault is not None
    cases = _cases(manifest, Ledger.of(scan(content)[0]))
    parts = (len(events), found.dropped, found.moved, lost, withdrawn, fault, cases)
    if dry_run or not needed:
        return Repair(folder, needed, False, *parts)
    kept = [_set_aside(folder, DAMAGED, raw)]
    if fault is not None:
        if (folder / store.MANIFEST).exists():
            kept.append(_set_aside(folder, DAMAGED_MANIFEST, (folder / store.MANIFEST).read_bytes()))
        write_atomically(folder / store.MANIFEST, store.manifest_text(manifest))
    record = {"kind": "repaired", "at": environment.now(), "dropped": len(found.dropped), "copies": kept}
    record |= {"lost": sum(last - first + 1 for first, last in lost), "withdrawn": len(withdrawn)}
    following = max([*events, *(last for _, last in lost)], default=-1) + 1
    write_atomically(folder / store.EVENTS, content + encode(following, record))
    return Repair(folder, True, True, *parts, kept)


def _set_aside(folder: Path, pattern: str, content: bytes) -> str:
    path = free_name(folder, pattern)
    write_atomically(path, content)
    return path.name


# ---------------------------------------------------------------------------- lines


def salvage(raw: bytes, name: str = store.EVENTS) -> Salvage:
    """Find every whole event in the bytes of an event file.

    Args:
        raw: the content.
        name: its path, for errors.

    Raises:
        FormatError: another difflab wrote it.

    >>> one, other = encode(0, {"kind": "a"}), encode(2, {"kind": "b"})
    >>> found = salvage(one + b"rubbish" + other)
    >>> sorted(found.events), [part.fault for part in found.dropped]
    ([0, 2], ['is not an event of difflab'])
    """
    events: dict[int, dict[str, Any]] = {}
    clashing: set[int] = set()
    dropped: list[Dropped] = []
    moved = tail = 0
    newest, complete = -1, raw.count(b"\n")

    def take(number: int, data: dict[str, Any]) -> bool:
        """Keep an event; whether it stood in its place."""
        nonlocal newest
        if number in events:
            if events[number] != data:
                clashing.add(number)
            return False
        events[number] = data
        inorder, newest = number > newest, max(number, newest)
        return inorder

    for line, segment in enumerate(raw.split(b"\n"), start=1):
        if not segment:
            continue
        try:
            moved += not take(*decode(segment))
            tail = 0
        except FormatError as fault:
            advice = "Read the run with the difflab that wrote it."
            raise FormatError(f"{name}:{line}: this line {fault}. {advice}") from None
        except ValueError as fault:
            whole = list(_inside(segment))
            for number, data in whole:
                take(number, data)
                moved += 1
            rest = len(segment) - sum(len(encode(*one)) - 1 for one in whole)
            if rest > 0:
                dropped.append(Dropped(line, str(fault), *(_legible(segment) if not whole else (None, None))))
            tail = 0 if whole else tail + (line <= complete)
    for number in sorted(clashing):
        dropped.append(Dropped(0, f"two different events have the number {number}"))
        del events[number]
    return Salvage(events, dropped, moved, tail)


def _inside(segment: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole events that are glued to something else in one line."""
    text, decoder, end = segment.decode("latin-1"), json.JSONDecoder(), 0
    for match in _EVENT.finditer(text):
        if match.start() < end:
            continue
        try:
            _, stop = decoder.raw_decode(text, match.start())
            yield decode(segment[match.start() : stop])
        except (ValueError, RecursionError, FormatError):
            continue
        end = stop


def _legible(segment: bytes) -> tuple[str | None, str | None]:
    """The case and kind that a damaged line still shows; a hint and no more."""
    case, kind = _CASE.search(segment), _KIND.findall(segment)
    return case and case[1].decode(), kind[-1].decode() if kind else None


def joined(events: dict[int, dict[str, Any]], tail: int = 0) -> tuple[bytes, list[tuple[int, int]]]:
    """An event file of events with gaps, where a line stands for each range of numbers that is missing.

    Args:
        events: by their numbers.
        tail: how many lines were lost after the last of them.

    Returns:
        The content, and first and last number of each range.

    >>> joined({0: {"kind": "a"}, 3: {"kind": "b"}})[1]
    [(1, 2)]
    """
    lines: list[bytes] = []
    lost: list[tuple[int, int]] = []
    expected = 0

    def stand_for(last: int) -> None:
        lost.append((expected, last))
        lines.append(encode(last, {"kind": LOST, "first": expected, "last": last}))

    for number, event in sorted(events.items()):
        if event["kind"] == LOST:  # of an earlier repair
            stand_for(number)
        else:
            if number > expected:
                stand_for(number - 1)
            lines.append(encode(number, event))
        expected = number + 1
    if tail:
        stand_for(expected + tail - 1)
    return b"".join(lines), lost


# ---------------------------------------------------------------------------- manifest, cases


def _manifest(folder: Path, events: dict[int, dict[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """The manifest, and what is wrong with the file if it had to be taken from the events."""
    copies = [event["data"] for _, event in sorted(events.items()) if event["kind"] == store.DESCRIBED]
    path = folder / store.MANIFEST
    try:
        known = store.read_manifest(folder)
    except FormatError:
        raise
    except StoreError as fault:
        if not copies:
            state = "damaged" if path.exists() else "missing"
            raise StoreError(
                f"{path} is {state}, and the event file holds no whole copy of it (runs of older versions made none). "
                f"Without the plan of the study nothing says which case a number belongs to: restore {store.MANIFEST} "
                f"from a backup. Nothing was changed."
            ) from fault
        return copies[-1], "is damaged" if path.exists() else "is missing"
    if copies and {"version": VERSION, **copies[-1]} != known:
        return copies[-1], "is not what the run wrote"
    return known, None


def _cases(manifest: dict[str, Any], ledger: Ledger) -> list[CaseState]:
    """What is left of each case of the plan."""
    from .study_kinds import KINDS

    study = manifest["study"]
    once = manifest.get("quick") or not KINDS[study.get("answer", "compare")].timed
    found = []
    for block in manifest["blocks"]:
        for case in block["cases"]:
            epochs, end = ledger.epochs.get(case["id"], {}), ledger.ends.get(case["id"])
            checked = case["id"] in ledger.checks
            outcome, again = (end["outcome"], "") if end else (None, _again(checked, set(epochs), once))
            found.append(CaseState(f"{block['name']} {case['label']}", checked, len(epochs), outcome, again))
    return found


def _again(checked: bool, epochs: set[int], once: bool) -> str:
    """What the next run does for a case that has no outcome."""
    if not checked:
        return "to be measured" if once or not epochs else "to be checked again"
    holes = sorted(set(range(max(epochs, default=-1) + 1)) - epochs)
    if holes:
        return f"process {', '.join(str(hole + 1) for hole in holes)} to be timed again"
    return "to be brought to its end"
