"""The coordinator's end of one worker: start, speak, watch the clock, end it with all its children, judge its death."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from .limits import autopsy, shorten, thread_environment

START_SECONDS = 60.0
GRACE_SECONDS = 0.5
TAIL_BYTES = 8192
MODULE = "difflab.harness.worker"


def worker_environment(threads: int) -> dict[str, str]:
    """The environment of a worker: the coordinator's, with thread counts set and difflab to be found."""
    return {**os.environ, **thread_environment(threads), **search_path()}


def search_path() -> dict[str, str]:
    """What a fresh interpreter needs in its environment to find this difflab: nothing, if it is installed."""
    package = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if package in installed:
        return {}
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": str(package) if not path else f"{package}{os.pathsep}{path}"}


class Worker:
    """A fresh interpreter that answers one command at a time over private pipes.

    Args:
        threads: the thread count set in its environment.
        module: what it runs; another only in tests.

    After ``send``, ``pump`` is to be called until ``answer`` or ``verdict`` is there: ``answer`` is the reply's data,
    ``verdict`` the outcome and reason of a worker that failed.  ``phase`` is what it last announced.
    """

    def __init__(self, threads: int = 1, module: str = MODULE) -> None:
        command_end, self._commands = os.pipe()
        self._messages, message_end = os.pipe()
        arguments = [str(command_end), str(message_end), str(os.getpid())]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a case may print for ever
                stderr=subprocess.PIPE,
                pass_fds=(command_end, message_end),
                env=worker_environment(threads),
                start_new_session=True,
            )
        finally:
            os.close(command_end)
            os.close(message_end)
        assert self.process.stderr is not None
        self._errors = self.process.stderr.fileno()
        os.set_blocking(self._messages, False)
        os.set_blocking(self._errors, False)
        self._buffer = b""
        self._errors_open = True
        self.errors = b""
        self.phase = "start"
        self.answer: dict[str, Any] | None = None
        self.verdict: tuple[str, str] | None = None
        self.partial: dict[str, Any] = {}
        self.spent = 0.0
        self._since: float | None = None
        self._deadline: float | None = None

    @property
    def pid(self) -> int:
        """The worker's process id, which is also that of its process group."""
        return self.process.pid

    @property
    def busy(self) -> bool:
        """Whether a command is under way."""
        return self._since is not None

    def send(self, command: dict[str, Any], seconds: float, limit: float | None = None) -> None:
        """Give a command that must be answered within ``seconds``, what is left of ``limit`` (or all of it)."""
        self.answer = None
        self._since = time.monotonic()
        self._deadline = self._since + seconds
        self._limit = seconds if limit is None else limit
        try:
            os.write(self._commands, json.dumps(command).encode() + b"\n")
        except OSError:
            return  # it is dead already; pump finds out and says how

    def pump(self) -> bool:
        """Read what has arrived; returns whether the command is over, by an answer, a death or the clock."""
        self._drain_errors()
        closed = self._read_messages()
        if self.answer is not None or self.verdict is not None:
            self._stop_clock()
            return True
        if closed or self.process.poll() is not None:
            self._read_messages()
            if self.answer is None and self.verdict is None:
                self._judge()
            self._stop_clock()
            return True
        if self._deadline is not None and time.monotonic() > self._deadline:
            reason = f"stopped in phase {self.phase}: the time limit of {self._limit:g} s was over"
            self.kill()
            self.verdict = ("timeout", reason)
            self._stop_clock()
            return True
        return False

    def descriptors(self) -> list[int]:
        """What a selector should wait on."""
        return [self._messages, self._errors] if self._errors_open else [self._messages]

    def remaining(self) -> float:
        """Seconds until the deadline of the present command."""
        return 0.0 if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def kill(self) -> None:
        """End the worker and its process group at once; what it has sent so far can still be read."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.process.poll()
        self.process.wait()

    def close(self) -> None:
        """End the worker if it still lives and free its descriptors; may be called again, even after an interrupt."""
        commands, self._commands = self._commands, -1
        if commands >= 0:
            os.close(commands)  # a worker that waits for a command ends by itself
        try:
            self.process.wait(0.0 if self.busy else GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        messages, self._messages = self._messages, -1
        if messages >= 0:
            os.close(messages)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _stop_clock(self) -> None:
        if self._since is not None:
            self.spent += time.monotonic() - self._since
        self._since = self._deadline = None

    def _drain_errors(self) -> None:
        chunk = _read(self._errors)
        if chunk:
            self.errors = (self.errors + chunk)[-TAIL_BYTES:]
        elif chunk is not None:
            self._errors_open = False

    def _read_messages(self) -> bool:
        """Take in whole lines; returns whether the other end is closed."""
        while True:
            chunk = _read(self._messages)
            if chunk is None:
                return False
            if not chunk:
                return True
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            kind = message["kind"]
            if kind == "phase":
                self.phase = str(message["phase"])
            elif kind == "partial":
                self.partial.update(message["data"])
            elif kind == "answer":
                self.answer = message["data"]
            elif kind == "verdict":
                self.verdict = (str(message["outcome"]), shorten(str(message["reason"])))
        except (ValueError, KeyError, TypeError):
            self.verdict = ("lost", f"the worker sent something unreadable in phase {self.phase}")

    def _judge(self) -> None:
        try:
            code = self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        self._drain_errors()
        self.verdict = autopsy(code, self.phase, self.errors.decode(errors="replace"))
        if self.phase == "start" and self.verdict[0] == "crash":
            self.verdict = ("lost", f"the worker could not be started: {self.verdict[1]}")


def _read(descriptor: int) -> bytes | None:
    """What a descriptor holds; empty at its end, ``None`` when there is nothing yet."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def wait_for(workers: list[Worker], timeout: float = 0.1) -> list[Worker]:
    """Sleep until something happens on any busy worker; returns those whose command is over.

    Args:
        workers: any workers; only busy ones are looked at.
        timeout: the longest sleep in seconds; deaths that no pipe shows (a grandchild may hold it open) are found then.
    """
    busy = [worker for worker in workers if worker.busy]
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            for descriptor in worker.descriptors():
                selector.register(descriptor, selectors.EVENT_READ)
        nearest = min((worker.remaining() for worker in busy), default=0.0)
        selector.select(min(timeout, nearest + 0.001))
    return [worker for worker in busy if worker.pump()]


def ask(worker: Worker, command: dict[str, Any], seconds: float, limit: float | None = None) -> dict[str, Any] | None:
    """Give one worker a command and wait: its answer, or ``None`` with ``worker.verdict`` saying how it failed."""
    worker.send(command, seconds, limit)
    while not wait_for([worker]):
        continue
    return worker.answer


def settle(pids: list[int], patience: float = 0.1) -> bool:
    """Wait until no thread of the given processes is running, so that spinning pools do not disturb the next turn.

    Args:
        pids: processes that should be asleep.
        patience: the longest wait in seconds.

    Returns:
        Whether they all came to rest.
    """
    end = time.monotonic() + patience
    while any(_running(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def _running(pid: int) -> bool:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    for task in tasks:
        try:
            stat = Path(f"/proc/{pid}/task/{task}/stat").read_text()
        except OSError:
            continue  # the thread has just ended
        if stat.rpartition(")")[2].split()[0] == "R":
            return True
    return False
