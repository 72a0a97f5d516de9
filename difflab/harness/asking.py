"""Asking a coordinator, a process of its own without NumPy, to run a study; signals are passed on to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import errors
from .process import search_path
from .request import Request
from .store import FolderError

MODULE = "difflab.harness.engine"
KINDS = {
    "StudyError": errors.StudyError,
    "StoreError": errors.StoreError,
    "FolderError": FolderError,
    "UnavailableError": errors.UnavailableError,
    "InputError": errors.InputError,
}


class _Coordinator:
    """The process that does a request; signals to this one are passed on to it, which has a session of its own.

    The first SIGINT asks it to come to an end, the second to stop at once, the third kills it, which loses nothing
    that is finished either.  A SIGTERM stops it at once, and this process after it.  What comes before it can listen
    is passed on as soon as it does.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.terminated = self._listens = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> subprocess.Popen[str]:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody listen
            for number, passed_on in ((signal.SIGINT, self._interrupt), (signal.SIGTERM, self._terminate)):
                usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                if signal.getsignal(number) is usual:  # who ignores it, or has another way, keeps it
                    self._before[number] = signal.signal(number, passed_on)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **search_path()},
            start_new_session=True,
            text=True,
        )
        return self._process

    def listens(self) -> None:
        """It has said that it can be interrupted."""
        self._listens = True
        if self.terminated:
            self._send(signal.SIGTERM)
        elif self.asked:
            self._send(signal.SIGINT)

    def _interrupt(self, _number: int, _frame: object) -> None:
        self.asked += 1
        if self._listens:
            self._send(signal.SIGINT if self.asked < 3 else signal.SIGKILL)

    def _terminate(self, _number: int, _frame: object) -> None:
        self.terminated = True
        if self._listens:
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # whoever listens has raised
            self._send(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        for number, usual in self._before.items():
            signal.signal(number, usual)
        if self.terminated:
            os.kill(os.getpid(), signal.SIGTERM)


def coordinate(request: Request, tell: Callable[[dict[str, Any]], None]) -> Path:
    """Let a coordinator do a request.

    Args:
        request: what is asked.
        tell: is called with every event of progress.

    Returns:
        The run folder.

    Raises:
        KeyboardInterrupt: it was interrupted.
        DifflabError: what it said is wrong, as the error that it is.
    """
    last: dict[str, Any] = {}
    coordinator = _Coordinator()
    with coordinator as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request.to_json()) + "\n")
        process.stdin.close()
        for line in process.stdout:
            if not line.endswith("}\n"):
                continue  # it was stopped in the middle of a word
            last = json.loads(line)
            if last["event"] == "ready":
                coordinator.listens()
            elif last["event"] not in ("done", "fault"):
                tell(last)
        code = process.wait()
    if code == 130 or coordinator.asked:
        raise KeyboardInterrupt
    if last.get("event") == "fault":
        raise KINDS.get(last["type"], errors.DifflabError)(last["text"])
    if last.get("event") != "done":
        raise errors.StoreError(
            f"the coordinator ended with exit code {code} before the run did. What it measured is stored; "
            f"run again to go on."
        )
    return Path(last["folder"])
