"""One lock for the whole machine: any number of runs may compute at once, but where clocks run, one runs alone.

The kernel's ``flock`` on a file in the folder for temporary files: shared for work without a clock that matters,
exclusive for timing.  Whoever waits for the exclusive lock holds the turnstile, a second file through which everybody
passes, so a stream of untimed work cannot keep it waiting for ever.  Both locks die with their process, so there is
never a stale one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER_VARIABLE = "DIFFLAB_LOCK_FOLDER"
NAME = "difflab-host.lock"
TURNSTILE = "difflab-host.turnstile"
POLL_SECONDS = 0.05
QUIET_SECONDS = 1.0


def default_folder() -> Path:
    """The folder named by ``DIFFLAB_LOCK_FOLDER``, or the one for temporary files."""
    return Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


class HostLock:
    """The lock of this machine, not held yet.

    Args:
        waiting: is called with a sentence, once for each wait of more than a second.
        folder: where the files of the lock are; all runs on the machine must agree.

    Where the files cannot be opened, nothing is locked and ``missing`` says why.

    >>> import tempfile
    >>> lock = HostLock(print, Path(tempfile.mkdtemp()))
    >>> with lock.exclusive():
    ...     lock.missing
    """

    def __init__(self, waiting: Callable[[str], None], folder: Path | None = None) -> None:
        self._waiting = waiting
        self._held = ""
        self.missing: str | None = None
        self._files: list[int] = []
        folder = default_folder() if folder is None else folder
        try:
            for name in (TURNSTILE, NAME):
                self._files.append(_open(folder / name))
        except OSError as fault:
            self.missing = f"{fault.filename} cannot be opened: {fault.strerror}"
            self.close()

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it beside others that hold it shared; for work that loads the machine without being timed."""
        yield from self._hold(fcntl.LOCK_SH, "shared")

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold it alone; for everything between the first and the last reading of a clock."""
        yield from self._hold(fcntl.LOCK_EX, "exclusive")

    def close(self) -> None:
        """Let go of it for good."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)

    def _hold(self, kind: int, name: str) -> Iterator[None]:
        if self._held:
            raise AssertionError(f"the host lock is held already ({self._held})")
        if self._files:
            turnstile, lock = self._files
            began = time.monotonic()
            told = self._acquire(turnstile, fcntl.LOCK_EX, began, False)
            try:
                self._acquire(lock, kind, began, told)
            finally:
                fcntl.flock(turnstile, fcntl.LOCK_UN)
        self._held = name
        try:
            yield
        finally:
            self._held = ""
            if self._files:
                fcntl.flock(self._files[1], fcntl.LOCK_UN)

    def _acquire(self, file: int, kind: int, began: float, told: bool) -> bool:
        """Wait for one of the files; returns whether the wait has been told."""
        text = "waiting for another difflab run on this machine"
        return acquire(file, kind, began, None if told else lambda: self._waiting(text))


class FileLock:
    """A lock on one file, for something that one process of the machine uses at a time, such as a GPU.

    Args:
        path: of the file, which is made; where it cannot be opened nothing is locked.
        waiting: is called once for a wait of more than a second.

    >>> import tempfile
    >>> with FileLock(Path(tempfile.mkdtemp()) / "one.lock", print).held():
    ...     pass
    """

    def __init__(self, path: Path, waiting: Callable[[], None]) -> None:
        self._path, self._waiting = path, waiting

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it alone."""
        try:
            file = _open(self._path)
        except OSError:
            yield  # the same folder has told of it already, where the lock of the machine is
            return
        try:
            acquire(file, fcntl.LOCK_EX, time.monotonic(), self._waiting)
            yield
        finally:
            os.close(file)


def acquire(file: int, kind: int, began: float, waiting: Callable[[], None] | None) -> bool:
    """Wait for the lock of an open file.

    Args:
        file: its descriptor.
        kind: of ``flock``.
        began: when the wait began, on the monotonic clock.
        waiting: is called once after a second; ``None`` where it has been.

    Returns:
        Whether the wait has been told.
    """
    told = waiting is None
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return told
        except BlockingIOError:
            if waiting is not None and not told and time.monotonic() - began > QUIET_SECONDS:
                waiting()
                told = True
            time.sleep(POLL_SECONDS)


def _open(path: Path) -> int:
    """The file, made if it is not there, for every user of the machine; never through a link."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)  # without O_CREAT: Linux forbids it for other users' files in a shared folder
    except FileNotFoundError:
        try:
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return os.open(path, flags)
        os.fchmod(file, 0o666)  # whatever the umask: the next user must be able to lock it
        return file
