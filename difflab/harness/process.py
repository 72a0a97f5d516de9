"""The coordinator's end of one worker: start, speak, watch clock and memory, end it with all it started, judge why."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import cgroups, oom
from .descendants import end_descendants, end_marked
from .inbox import Inbox, UnreadableError, read
from .limits import autopsy, thread_environment
from .watchdog import LOOK_SECONDS, Watchdog

START_SECONDS = 60.0
GRACE_SECONDS = 0.5
DYING_SECONDS = 2.0
END_SECONDS = 10.0
TAIL_BYTES = 8192
DEVICE_HOST_BYTES = 8 * 2**30
MARK = "DIFFLAB_WORKER"
MODULE = "difflab.harness.worker"


def worker_environment(threads: int, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: the coordinator's, with thread counts and ``variables`` set, difflab to be found."""
    return {**os.environ, **thread_environment(threads), **search_path(), **(variables or {})}


def search_path() -> dict[str, str]:
    """What a fresh interpreter needs in its environment to find this difflab: nothing, if it is installed."""
    package = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if package in installed:
        return {}
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": str(package) if not path else f"{package}{os.pathsep}{path}"}


def host_memory(command: dict[str, Any]) -> int | None:
    """What a case may take of the host's memory: on a GPU at least what CUDA's libraries take on their own."""
    nbytes = command.get("memory")
    on_device = command["spec"].get("device", "cpu") != "cpu" if "spec" in command else False
    return max(nbytes, DEVICE_HOST_BYTES) if on_device and nbytes is not None else nbytes


class Worker:
    """A fresh interpreter that answers one command at a time over private pipes.

    Args:
        threads: the thread count set in its environment.
        module: what it runs; another only in tests.
        variables: what else is set in its environment, such as the core type of ``kernels.Decision``.

    After ``send``, ``pump`` is to be called until ``answer`` or ``verdict`` is there: ``answer`` is the reply's data,
    ``verdict`` the outcome and reason of a worker that failed.  ``phase`` is what it last announced.
    """

    def __init__(self, threads: int = 1, module: str = MODULE, variables: Mapping[str, str] | None = None) -> None:
        command_end, self._commands = os.pipe()
        self._messages, message_end = os.pipe()
        arguments = [str(command_end), str(message_end), str(os.getpid())]
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a case may print for ever
                stderr=subprocess.PIPE,
                pass_fds=(command_end, message_end),
                env=worker_environment(threads, {**(variables or {}), MARK: self._mark}),
                start_new_session=True,
            )
        finally:
            os.close(command_end)
            os.close(message_end)
        assert self.process.stderr is not None
        self._errors = self.process.stderr.fileno()
        os.set_blocking(self._commands, False)
        os.set_blocking(self._messages, False)
        os.set_blocking(self._errors, False)
        self._inbox = Inbox(self._messages)
        self._unsent = b""
        self._errors_open = True
        self._witness = oom.Witness(oom.counter())
        self._group = self._own_group()
        self._watchdog: Watchdog | None = None
        self._memory: int | None = None
        self.errors = b""
        self.phase = "start"
        self.answer: dict[str, Any] | None = None
        self.verdict: tuple[str, str] | None = None
        self.partial: dict[str, Any] = {}
        self.spent = 0.0
        self._pid: int | None = None
        self._since: float | None = None
        self._deadline: float | None = None

    @property
    def pid(self) -> int:
        """The process id of what computes: until it has said it, that of the process above it, its guardian."""
        return self.process.pid if self._pid is None else self._pid

    @property
    def busy(self) -> bool:
        """Whether a command is under way."""
        return self._since is not None

    def send(self, command: dict[str, Any], seconds: float, limit: float | None = None) -> None:
        """Give a command that must be answered within ``seconds``, what is left of ``limit`` (or all of it).

        What a pipe does not hold is written by ``pump``: a worker that does not read is stopped by the clock as well.
        """
        self.answer = None
        self._since = time.monotonic()
        self._deadline = self._since + seconds
        self._limit = seconds if limit is None else limit
        self._inbox.expect_answer()
        self._witness.begin()
        self._memory = host_memory(command) if command.get("do") == "open" else None
        self._unsent += json.dumps(command).encode() + b"\n"
        self._write()

    def pump(self) -> bool:
        """Read what has arrived; returns whether the command is over, by an answer, a death or the clock."""
        self._write()
        self._drain_errors()
        self._read_messages()
        if self.answer is not None or self.verdict is not None:
            return self._over()
        if self._inbox.closed or self.process.poll() is not None:
            self._read_messages()
            if self.answer is None and self.verdict is None:
                self._judge()
            return self._over()
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._end("timeout", f"stopped in phase {self.phase}: the time limit of {self._limit:g} s was over")
            return self._over()
        if self._watchdog is not None and self._watchdog.due(self.phase) and (excess := self._watchdog.excess()):
            self._end("memory_limit", f"stopped by the watchdog in phase {self.phase}: {excess}")
            return self._over()
        return False

    @property
    def longest_sleep(self) -> float:
        """Seconds after which ``pump`` should be called though nothing has come: when the watchdog wants to look."""
        nearest = self.remaining() + 0.001
        return min(nearest, LOOK_SECONDS) if self._watchdog and self._watchdog.watches(self.phase) else nearest

    def descriptors(self) -> list[int]:
        """What a selector should wait on."""
        return [self._messages, self._errors] if self._errors_open else [self._messages]

    def unwritten(self) -> list[int]:
        """What a selector should wait on until it takes more of the command."""
        return [self._commands] if self._unsent else []

    def remaining(self) -> float:
        """Seconds until the deadline of the present command."""
        return 0.0 if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def kill(self) -> None:
        """End the worker and all it has started at once; what it has sent so far can still be read."""
        if self.process.poll() is None:
            if self._group is not None:
                self._group.kill()
            if sys.platform == "linux":
                self._tell_guardian()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs inside the kernel: let the run go on
                self.process.wait(END_SECONDS)
        if self.process.returncode == -signal.SIGKILL and sys.platform == "linux":
            # somebody has killed the guardian, or it has followed its worker: only the mark can tell what is left
            end_marked(f"{MARK}={self._mark}".encode(), END_SECONDS)

    def _tell_guardian(self) -> None:
        """Let the guardian end everything below it; what does not obey in time is ended from here."""
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGCONT)  # a case may have stopped it
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            end_descendants(self.process.pid, END_SECONDS)
            self.process.kill()

    def close(self) -> None:
        """End the worker if it still lives and free its descriptors; may be called again, even after an interrupt."""
        commands, self._commands = self._commands, -1
        if commands >= 0:
            os.close(commands)  # a worker that waits for a command ends by itself
        try:
            self.process.wait(0.0 if self.busy else GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._group is not None:
            self._group.remove()
        messages, self._messages = self._messages, -1
        if messages >= 0:
            os.close(messages)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _over(self) -> bool:
        if self._since is not None:
            self.spent += time.monotonic() - self._since
        self._since = self._deadline = None
        return True

    def _end(self, outcome: str, reason: str) -> None:
        self.kill()
        self.answer, self.verdict = None, (outcome, reason)

    def _own_group(self) -> cgroups.Group | None:
        """The worker in a control group of its own, if one with a limit of memory can be made here."""
        try:
            parent = cgroups.delegated()
            return None if parent is None else cgroups.Group(parent, self.process.pid)
        except OSError:
            return None  # the watchdog is there too

    def _join_group(self, pid: int) -> None:
        """The guardian is in the group, but what computes may have been forked a moment before that."""
        if self._group is not None:
            with contextlib.suppress(OSError):  # it has just died, and ``pump`` finds out
                self._group.add(pid)

    def _write(self) -> None:
        """Write as much of the command as the pipe takes now."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._commands, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""  # it is dead already; pump finds out and says how

    def _drain_errors(self) -> None:
        chunk = read(self._errors)
        if chunk:
            self.errors = (self.errors + chunk)[-TAIL_BYTES:]
        elif chunk is not None:
            self._errors_open = False

    def _read_messages(self) -> None:
        try:
            for message in self._inbox.take():
                self._take(message)
        except UnreadableError as fault:
            self._end("lost", f"the worker sent {fault} in phase {self.phase}")

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "hello" and self._pid is None:
            self._pid = message["pid"]
            self._join_group(message["pid"])
        elif kind == "phase":
            self.phase = message["phase"]
        elif kind == "partial":
            self.partial.update(message["data"])
        elif kind == "answer":
            self.answer = message["data"]
            self._limit_memory()
        elif kind == "verdict":
            self.verdict = (message["outcome"], message["reason"])

    def _limit_memory(self) -> None:
        """The case is open: what the worker holds now is its own, what comes on top is the case's."""
        if self._memory is None or self.answer is None or sys.platform != "linux":
            return
        outer = self._limit_group(self._memory)
        if outer is None:
            self._watchdog, outer = Watchdog(self.process.pid, self._memory), "watchdog"
        inner = self.answer.get("memory_enforced")
        self.answer["memory_enforced"] = enforced = outer if inner is None else f"{inner} + {outer}"
        self.partial["memory_enforced"] = enforced

    def _limit_group(self, limit: int) -> str | None:
        try:
            if self._group is not None:
                self._group.limit(limit)
                return "cgroup v2"
        except OSError:  # a controller that was there has gone
            return None
        return None

    def _judge(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DYING_SECONDS)  # its channel closes before it has quite ended
        lives = self.process.returncode is None
        self.kill()
        code = self.process.returncode
        if lives and code in (-signal.SIGTERM, -signal.SIGKILL):
            code = None  # it was ended just now, from here
        self._drain_errors()
        if self._group is not None and (kills := self._group.oom_kills()):
            self.verdict = (
                "memory_limit",
                f"the kernel ended the worker in phase {self.phase}: its control group had reached its limit of memory "
                f"(cgroup v2, oom_kill {kills})",
            )
            return
        self.verdict = autopsy(code, self.phase, self.errors.decode(errors="replace"), self._witness.evidence())
        if self.phase == "start" and self.verdict[0] == "crash":
            self.verdict = ("lost", f"the worker could not be started: {self.verdict[1]}")


def wait_for(workers: list[Worker], timeout: float = 0.1) -> list[Worker]:
    """Sleep until something happens on any busy worker; returns those whose command is over.

    Args:
        workers: any workers; only busy ones are looked at.
        timeout: the longest sleep in seconds; deaths that no pipe shows (a grandchild may hold it open) are found then.
            It is shorter while a watchdog looks.
    """
    busy = [worker for worker in workers if worker.busy]
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            for descriptor in worker.descriptors():
                selector.register(descriptor, selectors.EVENT_READ)
            for descriptor in worker.unwritten():
                selector.register(descriptor, selectors.EVENT_WRITE)
        selector.select(min([timeout, *(worker.longest_sleep for worker in busy)]))
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
