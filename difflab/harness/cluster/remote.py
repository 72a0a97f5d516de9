"""What a Dask worker does for a coordinator: it keeps one unit of work at a time running in a process of its own.

Both functions take and return JSON texts.  ``perform`` is a task of Dask, so its worker counts as occupied while it
runs; ``call`` answers short questions beside it.  A unit lives on a lease: when no ``beat`` has come for a while, its
coordinator is gone and the unit ends, with everything below it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..limits import last_line
from ..process import search_path

MODULE = "difflab.harness.cluster.unit"
LEASE_SECONDS = 60.0
POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
CACHE = "difflab-blobs"


@dataclass
class Unit:
    """A unit of work of this Dask worker: when its coordinator was last heard of, and what it said last itself."""

    heard: float = field(default_factory=time.monotonic)
    words: str = ""
    stopped: bool = False

    def over(self) -> bool:
        """Whether it is to end."""
        return self.stopped or time.monotonic() - self.heard > LEASE_SECONDS


UNITS: dict[str, Unit] = {}  # the units that this Dask worker knows, by their names
SLOT = threading.Lock()  # one unit at a time, however many threads the user gave the Dask worker


# ------------------------------------------------------------------------------------------------ short questions


def call(text: str, dask_worker: Any = None) -> str:
    """Answer a short question.

    Args:
        text: a JSON object whose ``do`` is ``hello`` (what difflab is this?), ``beat`` or ``stop`` (of the unit
            ``id``), ``lack`` (which of the ``blobs`` are not here?), ``put`` or ``get`` (a piece of a blob).
        dask_worker: the worker; Dask fills it in.

    Returns:
        A JSON object.

    >>> call('{"do": "beat", "id": "none such"}')
    '{"words": ""}'
    """
    asked = json.loads(text)
    unit, do = UNITS.get(asked.get("id", "")), asked["do"]
    if do == "hello":
        return json.dumps(identity())
    if do in ("beat", "stop"):
        if unit is not None:
            unit.heard = time.monotonic()
            unit.stopped = unit.stopped or do == "stop"
        return json.dumps({"words": "" if unit is None else unit.words})
    cache = _cache(dask_worker)
    if do == "lack":
        return json.dumps({"blobs": [one for one in asked["blobs"] if not (cache / one).exists()]})
    path = cache / _checked(asked["sha256"])
    if do == "get":
        with open(path, "rb") as stream:
            stream.seek(asked["offset"])
            return json.dumps({"data": base64.b64encode(stream.read(asked["size"])).decode()})
    _put(path, asked["offset"], base64.b64decode(asked["data"]), asked["last"])
    return json.dumps({})


def identity() -> dict[str, Any]:
    """Which difflab this is, and who runs it: what must agree before anything is asked.

    >>> sorted(identity())
    ['pid', 'python', 'source', 'version']
    """
    from ... import __version__

    source = hashlib.sha256()
    package = Path(__file__).resolve().parents[2]
    for path in sorted(package.rglob("*.py")):
        source.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return {
        "version": __version__,
        "source": source.hexdigest()[:16],
        "python": platform.python_version(),
        "pid": os.getpid(),
    }


def _cache(worker: Any) -> Path:
    """Where a Dask worker keeps blobs: in its own folder, which Dask removes."""
    folder = Path(worker.local_directory) / CACHE
    folder.mkdir(exist_ok=True)
    return folder


def _checked(name: str) -> str:
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise ValueError(f"{name!r} is no SHA-256")
    return name


def _put(path: Path, offset: int, data: bytes, last: bool) -> None:
    """Take in one piece of a blob; with the last one it must be what its name says."""
    partial = path.with_name(f"{path.name}.part")
    with open(partial, "r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.write(data)
    if last:
        with open(partial, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != path.name:
            partial.unlink()
            raise ValueError(f"the pieces of {path.name} do not make a whole")
        os.replace(partial, path)


# ------------------------------------------------------------------------------------------------ units of work


def perform(text: str) -> str:
    """Do one unit of work in a process of its own; a task of Dask.

    Args:
        text: a JSON object: ``id``, ``blobs`` (SHA-256 by file name in the run folder), ``unit`` (see ``unit.py``).

    Returns:
        A JSON object: ``events`` and ``blobs``, or ``fault`` saying why there are none.
    """
    from distributed import get_worker

    asked = json.loads(text)
    unit = UNITS.setdefault(asked["id"], Unit())
    local = Path(get_worker().local_directory)
    cache, folder = _cache(get_worker()), local / f"difflab-{hashlib.sha256(asked['id'].encode()).hexdigest()[:16]}"
    try:
        while not SLOT.acquire(timeout=POLL_SECONDS):
            if unit.over():
                return json.dumps({"fault": "it was stopped before it began"})
        try:
            folder.mkdir()
            for name, digest in asked["blobs"].items():
                target = folder / name
                target.parent.mkdir(exist_ok=True)
                os.link(cache / _checked(digest), target)
            found = _attend(unit, {**asked["unit"], "folder": str(folder)}, local / f"{folder.name}.err")
            found["blobs"] = {} if "fault" in found else _publish(found.get("files", []), folder, cache)
            return json.dumps(found)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            SLOT.release()
    except OSError as fault:
        return json.dumps({"fault": f"{type(fault).__name__}: {fault}"})
    finally:
        UNITS.pop(asked["id"], None)


def _publish(files: list[str], folder: Path, cache: Path) -> dict[str, dict[str, Any]]:
    """Keep the files that a unit has made for whoever fetches them: size and SHA-256 by name."""
    found = {}
    for name in files:
        path = folder / name
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found[name] = {"sha256": digest, "size": path.stat().st_size}
        os.replace(path, cache / digest)
    return found


def _attend(unit: Unit, asked: dict[str, Any], errors: Path) -> dict[str, Any]:
    """Start the process of a unit and listen to it until it has its result, or ends, or is to end."""
    with open(errors, "w+b") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,  # kept open: when it closes, by whatever death of this process, the unit ends
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **search_path()},
            start_new_session=True,
        )
        try:
            result = _listen(unit, process, asked)
        finally:
            _end(process)
            errors.unlink(missing_ok=True)
        if result is not None:
            return result
        if unit.over():
            return {"fault": "it was stopped"}
        complaints.seek(0)
        last = last_line(complaints.read()[-4096:].decode(errors="replace"))
        return {"fault": f"its process ended with exit code {process.returncode}{': ' if last else ''}{last}"}


def _listen(unit: Unit, process: subprocess.Popen[bytes], asked: dict[str, Any]) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    descriptor, buffer = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not unit.over():
            if not selector.select(POLL_SECONDS):
                continue
            if not (chunk := os.read(descriptor, 1 << 16)):
                return None
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["event"] == "result":
                    return event["data"]
                unit.words = event.get("text") or unit.words
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a unit's process: by asking it first, so that it can end what it has started."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        process.poll()  # it is dead already
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
