"""The run folder: ``manifest.json`` and ``events.jsonl``, which survive whatever happens to the process or the machine.

Every event is one line with a version, a running number and a checksum, written in one call and synced before the
coordinator goes on.  A kill can tear only the last line; on opening, the torn bytes are put aside and cut off, so the
next line never glues to them.  A bad line in the *middle* is reported with its place and left to ``difflab repair``.
One coordinator at a time holds the kernel's lock on the file; the lock dies with its process, so there is never a stale
one.  A file that a record names (a *blob*) is on the disk before the record is, which holds its SHA-256.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .files import OUT, cannot_write, digest, free_name, make_folder, sync_folder
from .files import write_atomically as write_atomically
from .journal import VERSION, FormatError, next_number
from .journal import canonical as canonical
from .journal import decode as decode
from .journal import encode as encode
from .journal import scan as scan

EVENTS = "events.jsonl"
MANIFEST = "manifest.json"
BLOBS = "blobs"
NAMING = ("reference", "drawing")
"""The kinds of events that name a file."""
DESCRIBED = "manifest"
"""The kind of the event that holds a copy of the manifest."""


class FolderError(StoreError):
    """The folder that was named is not one of this run's: another must be named, nothing is broken."""


def unreadable(path: Path, fault: OSError) -> StoreError:
    """The error for a file of a run folder that cannot be read; a folder that is not there is the wrong one."""
    kind = StoreError if os.path.exists(path.parent) else FolderError
    return kind(f"{path} cannot be read: {fault.strerror}.")


def read(folder: Path) -> list[dict[str, Any]]:
    """The events of a run folder, without changing it (a torn tail is left out).

    Raises:
        StoreError: there is no run in the folder, or its file is damaged.
    """
    path = folder / EVENTS
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if (folder / MANIFEST).exists():
            raise StoreError(
                f"{path} is gone, and with it what was measured. Take it from a copy, or run the study again into "
                "another folder."
            ) from None
        raise FolderError(f"{folder} holds no run of difflab: there is no {EVENTS} in it.") from None
    except OSError as fault:
        raise unreadable(path, fault) from fault
    return scan(raw, str(path))[0]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder.

    Raises:
        StoreError: it is missing or is no JSON object.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except NotADirectoryError:
        raise FolderError(f"{folder} is a file; the folder of a run is wanted, such as {folder.parent}.") from None
    except FileNotFoundError:
        if (folder / EVENTS).exists() and not _is_blank(folder):
            raise StoreError(
                f"{path} is gone. `difflab repair {folder}` makes it again where the events hold a copy."
            ) from None
        raise FolderError(f"{folder} holds no run of difflab: there is no {MANIFEST} in it.") from None
    except OSError as fault:
        raise unreadable(path, fault) from fault
    except ValueError as fault:
        raise StoreError(
            f"{path} is not the JSON object that difflab wrote: {fault}. `difflab repair {folder}` makes it again "
            f"where the events hold a copy."
        ) from fault
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise FormatError(
            f"{path} has another format than this difflab reads (format {VERSION}). Read the run with the difflab that "
            f"wrote it."
        )
    return manifest


def check_manifest(folder: Path, manifest: dict[str, Any], events: Iterable[dict[str, Any]]) -> None:
    """See whether a manifest is what the run wrote; runs of older versions hold no copy to compare it with.

    Args:
        folder: the run folder.
        manifest: what its file says.
        events: those of the run.

    Raises:
        StoreError: it is not.
    """
    copies = [event["data"] for event in events if event["kind"] == DESCRIBED]
    if copies and {"version": VERSION, **copies[-1]} != manifest:
        raise StoreError(
            f"{folder / MANIFEST} is not what the run wrote. `difflab repair {folder}` makes it again from the copy "
            f"among the events, and keeps the changed one."
        )


def lock(descriptor: int, folder: Path) -> None:
    """Become the only one that changes the run whose event file is open.

    Raises:
        StoreError: another process is.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        raise StoreError(
            f"{folder} is in use by another difflab run. Wait for it, or choose another folder with --out DIR."
        ) from fault


class Store:
    """A run folder opened for writing by the one coordinator that holds its lock.

    Args:
        folder: the run folder; made if it does not exist.

    Raises:
        StoreError: it cannot be written, is in use by another coordinator, its event file is damaged, or, in a run
            that is not finished, a blob.

    >>> import tempfile
    >>> with Store(Path(tempfile.mkdtemp())) as store:
    ...     store.append("note", text="hello")
    ...     store.events
    0
    [{'kind': 'note', 'text': 'hello'}]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.healed: str | None = None
        self._descriptor = -1
        try:
            try:
                self._open()
            except OSError as fault:
                raise fault if isinstance(fault, StoreError) else cannot_write(folder, fault) from fault
            self.events = self._heal()
            self._stood_for = next_number(self.events) - len(self.events)  # numbers that were lost
            if not any(event["kind"] == "run_finished" for event in self.events):
                check_blobs(folder, self.events)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.events)

    def _open(self) -> None:
        """Make folder and event file where they are not there, on the disk too, and lock the file."""
        path = self.folder / EVENTS
        make_folder(self.folder)
        while True:
            new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            lock(self._descriptor, self.folder)
            if is_at(self._descriptor, path):
                break
            self.close()  # a repair has put another file in its place meanwhile
        if new:
            sync_folder(self.folder)
        make_folder(self.folder / BLOBS)
        for left in leftovers(self.folder):
            left.unlink()

    def _heal(self) -> list[dict[str, Any]]:
        path = self.folder / EVENTS
        try:
            raw = path.read_bytes()
        except OSError as fault:
            raise StoreError(f"{path} cannot be read: {fault.strerror}.") from fault
        events, good = scan(raw, str(path))
        if good < len(raw):
            aside = free_name(self.folder, "events.torn-{}")
            write_atomically(aside, raw[good:], OUT)
            os.ftruncate(self._descriptor, good)
            os.fsync(self._descriptor)
            self.healed = aside.name
        return events

    def append(self, kind: str, **data: Any) -> int:
        """Write one event and return its number once it is on the disk.

        Args:
            kind: what happened.
            **data: JSON values; numbers must be finite.

        Raises:
            StoreError: the disk is full or gone; what was half-written is cut off again.
        """
        record, count = {"kind": kind, **data}, len(self.events)
        line = encode(count + self._stood_for, record)
        before = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
            self.events.append(record)
        except BaseException as fault:  # an interrupt too must not leave the file and the count at odds
            if len(self.events) == count:
                os.ftruncate(self._descriptor, before)
            if isinstance(fault, OSError):
                raise cannot_write(self.folder / EVENTS, fault) from fault
            raise
        return count + self._stood_for

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace ``manifest.json``; the old one stays whole until the new one is on the disk.

        The event file keeps a copy, from which ``difflab repair`` can make it again.
        """
        write_atomically(self.folder / MANIFEST, manifest_text(manifest), OUT)
        self.append(DESCRIBED, data=manifest)

    def close(self) -> None:
        """Let go of the folder; the lock goes with the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def manifest_text(manifest: dict[str, Any]) -> bytes:
    """The content of ``manifest.json``."""
    text = json.dumps({"version": VERSION, **manifest}, indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def leftovers(folder: Path) -> list[Path]:
    """Half-written files of this module and of workers that a kill has left; only for who holds the lock."""
    return sorted([*folder.glob(".manifest.*.tmp"), *folder.glob(".events.*.tmp"), *(folder / BLOBS).glob("*.part")])


def blob_fault(folder: Path, record: dict[str, Any]) -> str | None:
    """What is wrong with the file that a record names as ``file``, or ``None``; old records hold no sum of it."""
    if not (name := record.get("file")):
        return None
    path = folder / name
    try:
        found = digest(path)
    except OSError as fault:
        return "is missing" if isinstance(fault, FileNotFoundError) else f"cannot be read: {fault.strerror}"
    return "is not the file that was written" if record.get("sha256", found) != found else None


def check_blobs(folder: Path, events: Iterable[dict[str, Any]]) -> None:
    """See whether the files that records name are there and whole.

    Args:
        folder: the run folder.
        events: those of the run.

    Raises:
        StoreError: one is not.
    """
    records = {event.get("truth"): event["data"] for event in events if event["kind"] in NAMING}
    for record in records.values():
        if (fault := blob_fault(folder, record)) is not None:
            raise StoreError(
                f"{folder / record['file']} {fault}. `difflab repair {folder}` takes its record out, so that the next "
                f"run makes it again."
            )


def is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def finished(folder: Path) -> bool:
    """Whether the folder holds a run that came to its end."""
    return any(event["kind"] == "run_finished" for event in read(folder))


def choose_folder(out: Path | None, study: str, key: str, root: Path = Path("reports")) -> Path:
    """Where a run goes: ``out`` itself, or the first of ``reports/<study>``, ``-2``, ... that is free or to be resumed.

    Args:
        out: the folder the user named, if any.
        study: the study's name.
        key: what the run measures; only an unfinished run with the same key is resumed.
        root: where runs without ``out`` go.

    Raises:
        FolderError: the named folder holds something else, or a run of another study.
    """
    if out is not None:
        _check_named(out, key)
        return out
    number = 1
    while True:
        folder = root / (study if number == 1 else f"{study}-{number}")
        if _is_blank(folder):
            return folder
        if (folder / MANIFEST).exists() and (folder / EVENTS).exists():
            if read_manifest(folder).get("key") == key and not finished(folder):
                return folder
        number += 1


def _is_blank(folder: Path) -> bool:
    """Whether a folder is not there, empty, or left by a run that was killed before it had described itself."""
    if not folder.exists():
        return True
    if not folder.is_dir() or {one.name for one in folder.iterdir()} - {EVENTS, BLOBS, f".{MANIFEST}.tmp"}:
        return False
    return not ((folder / EVENTS).exists() and read(folder)) and not any((folder / BLOBS).glob("*"))


def _check_named(folder: Path, key: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; --out takes a folder.")
    if _is_blank(folder):
        return
    if not (folder / MANIFEST).exists():
        if (folder / EVENTS).exists():
            raise StoreError(
                f"{folder} holds the events of a run, but its {MANIFEST} is gone. `difflab repair {folder}` makes it "
                f"again where the events hold a copy; or choose a new folder with --out DIR."
            )
        raise FolderError(f"{folder} is not empty and holds no run of difflab. Choose a new folder with --out DIR.")
    if read_manifest(folder).get("key") != key:
        raise FolderError(
            f"{folder} holds a run of another study or with other settings (study text, seed or --quick differ). "
            f"Choose a new folder with --out DIR, or load it with difflab.load({str(folder)!r})."
        )
