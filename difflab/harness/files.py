"""Files that survive a kill or a loss of power: whole or not there at all, and on the disk before anything follows."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from ..errors import StoreError

OUT = "Choose a folder that you may write to with --out DIR."
"""What to do where a run folder cannot be written."""


def write_atomically(path: Path, content: bytes, advice: str = "Choose a folder that you may write to.") -> None:
    """Replace a file so that a reader sees the old content or the new one, and nothing between.

    Args:
        path: the file.
        content: all of it.
        advice: what to do where it cannot be written.

    Raises:
        StoreError: it cannot be written; the old content is there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as fault:
        with contextlib.suppress(OSError):  # the first fault is the one to tell
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, fault, advice) from fault


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: syncing a file does not do so."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cannot_write(path: Path, fault: OSError, advice: str = OUT) -> StoreError:
    """The error for a file that cannot be written: what, why, what to do."""
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full and advice == OUT:
        advice = "Free some space and run again: the run resumes."
    elif full:
        advice = "Free some space."
    return StoreError(f"{path} cannot be written: {fault.strerror or fault}. {advice}")


def free_name(folder: Path, pattern: str) -> Path:
    """The first name of a numbered pattern that no file has yet."""
    number = 1
    while (path := folder / pattern.format(number)).exists():
        number += 1
    return path


def make_folder(folder: Path) -> None:
    """Make a folder and what is above it, so that it is there after a loss of power too."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)
