"""The run folder: ``manifest.json`` and ``events.jsonl``, which survive whatever happens to the process or the machine.

Every event is one line with a version, a running number and a checksum, written in one call and synced before the
coordinator goes on.  A kill can tear only the last line; on opening, the torn bytes are put aside and cut off, so the
next line never glues to them.  A bad line in the *middle* is not repaired but reported with its place.  One
coordinator at a time holds the kernel's lock on the file; the lock dies with its process, so there is never a stale
one.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import StoreError

VERSION = 1
EVENTS = "events.jsonl"
MANIFEST = "manifest.json"
BLOBS = "blobs"


class FolderError(StoreError):
    """The folder that was named is not one of this run's: another must be named, nothing is broken."""


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, no NaN.

    >>> canonical({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(seq: int, data: dict[str, Any]) -> bytes:
    """One event as a line of bytes."""
    body = canonical(data)
    return f'{{"v":{VERSION},"seq":{seq},"crc":"{_checksum(seq, body)}","data":{body}}}\n'.encode()


def decode(line: bytes) -> tuple[int, dict[str, Any]]:
    """The number and data of a line; ``ValueError`` says what is wrong with it."""
    try:
        record = json.loads(line)
        version, seq, crc, data = record["v"], record["seq"], record["crc"], record["data"]
    except (ValueError, KeyError, TypeError) as fault:
        raise ValueError("is not an event of difflab") from fault
    if version != VERSION:
        raise ValueError(f"has format {version!r}; this difflab reads format {VERSION}")
    if _checksum(seq, canonical(data)) != crc:
        raise ValueError("does not match its checksum")
    return seq, data


def _checksum(seq: int, body: str) -> str:
    return f"{zlib.crc32(f'{VERSION}:{seq}:{body}'.encode()):08x}"


def scan(raw: bytes, name: str = EVENTS) -> tuple[list[dict[str, Any]], int]:
    """All events in the bytes of an event file, and how many of the bytes are good.

    Args:
        raw: the file's content.
        name: what to call the file in errors.

    Returns:
        The events in order, and the length of the good part: what follows is the torn tail of a killed write.

    Raises:
        StoreError: a line before the last is damaged, or a number is missing.
    """
    events: list[dict[str, Any]] = []
    good = 0
    lines = raw.split(b"\n")
    complete = lines[:-1]  # what follows the last newline is empty, or torn
    for number, line in enumerate(complete, start=1):
        try:
            seq, data = decode(line)
            if seq != len(events):
                raise ValueError(f"has number {seq}, expected {len(events)}")
        except ValueError as fault:
            if number == len(complete):
                break
            raise StoreError(
                f"{name}:{number}: this line {fault}. The file was changed or the disk is damaged; nothing was "
                f"written to it. Restore the file, or start again in another folder with --out."
            ) from fault
        events.append(data)
        good += len(line) + 1
    return events, good


def read(folder: Path) -> list[dict[str, Any]]:
    """The events of a run folder, without changing it (a torn tail is left out).

    Raises:
        StoreError: there is no run in the folder, or its file is damaged.
    """
    path = folder / EVENTS
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FolderError(f"{folder} holds no run of difflab: there is no {EVENTS} in it.") from None
    except OSError as fault:
        raise StoreError(f"{path} cannot be read: {fault.strerror}.") from fault
    return scan(raw, str(path))[0]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder.

    Raises:
        StoreError: it is missing or is no JSON object.
    """
    if folder.is_file():
        raise FolderError(f"{folder} is a file; the folder of a run is wanted, such as {folder.parent}.")
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{folder} holds no run of difflab: there is no {MANIFEST} in it.") from None
    except OSError as fault:
        raise StoreError(f"{path} cannot be read: {fault.strerror}.") from fault
    except ValueError as fault:
        raise StoreError(f"{path} is not the JSON object that difflab wrote: {fault}.") from fault
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise StoreError(f"{path} has another format than this difflab reads (format {VERSION}).")
    return manifest


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old content or the new one, and nothing between."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        raise _cannot_write(path, fault) from fault


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, fault: OSError) -> StoreError:
    why = fault.strerror or str(fault)
    advice = (
        "Free some space and run again: the run resumes."
        if fault.errno == errno.ENOSPC
        else ("Choose a folder that you may write to with --out DIR.")
    )
    return StoreError(f"{path} cannot be written: {why}. {advice}")


class Store:
    """A run folder opened for writing by the one coordinator that holds its lock.

    Args:
        folder: the run folder; made if it does not exist.

    Raises:
        StoreError: it cannot be written, is in use by another coordinator, or its event file is damaged.

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
        path = folder / EVENTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise _cannot_write(folder, fault) from fault
        try:
            self._lock()
            self.events = self._heal(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.events)

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise StoreError(
                f"{self.folder} is in use by another difflab run. Wait for it, or choose another folder with --out DIR."
            ) from fault

    def _heal(self, path: Path) -> list[dict[str, Any]]:
        try:
            raw = path.read_bytes()
        except OSError as fault:
            raise StoreError(f"{path} cannot be read: {fault.strerror}.") from fault
        events, good = scan(raw, str(path))
        if good < len(raw):
            number = 1
            while (aside := self.folder / f"events.torn-{number}").exists():
                number += 1
            write_atomically(aside, raw[good:])
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
        line = encode(count, record)
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
                raise _cannot_write(self.folder / EVENTS, fault) from fault
            raise
        return count

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace ``manifest.json``; the old one stays whole until the new one is on the disk."""
        text = json.dumps({"version": VERSION, **manifest}, indent=1, sort_keys=True, allow_nan=False)
        write_atomically(self.folder / MANIFEST, text.encode() + b"\n")

    def close(self) -> None:
        """Let go of the folder; the lock goes with the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


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
        if not folder.exists() or not any(folder.iterdir()):
            return folder
        if (folder / MANIFEST).exists() and (folder / EVENTS).exists():
            if read_manifest(folder).get("key") == key and not finished(folder):
                return folder
        number += 1


def _check_named(folder: Path, key: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; --out takes a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    names = {entry.name for entry in folder.iterdir()}
    if MANIFEST not in names:
        if names <= {EVENTS} and not read(folder):
            return  # killed between making the folder and describing the run
        raise FolderError(f"{folder} is not empty and holds no run of difflab. Choose a new folder with --out DIR.")
    if read_manifest(folder).get("key") != key:
        raise FolderError(
            f"{folder} holds a run of another study or with other settings (study text, seed or --quick differ). "
            f"Choose a new folder with --out DIR, or load it with difflab.load({str(folder)!r})."
        )
