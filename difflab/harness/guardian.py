"""The guardian of a worker: a small process above it whose only work is that nothing outlives the case.

A worker forks once, before it has imported anything heavy: the upper half becomes the guardian and sleeps, the lower
half is the worker.  The guardian adopts every orphan below it, so a process that a case has detached by a double fork
or a session of its own still has a chain of parents to the guardian.  When the worker ends, however it does, the
guardian ends what is left and then ends in the way the worker did.  The kernel wakes it when the coordinator dies, so
even a SIGKILL of the coordinator leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from typing import NoReturn

from .descendants import end_descendants

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 5.0
WAKING = (signal.SIGTERM, signal.SIGCHLD)


def guard(parent: int, private: tuple[int, ...]) -> bool:
    """Put a guardian above the rest of this program: returns in the new process only.

    Args:
        parent: the coordinator's process id.
        private: descriptors that only the worker may hold, so that their other ends see it die.

    Returns:
        Whether there is a guardian; not so where the system has no adoption of orphans.
    """
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started the coordinator may have ignored it
    signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)  # before the fork: neither can be missed
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WAKING)
        os.setsid()  # a case that signals its whole process group does not reach the guardian
        return True
    for descriptor in private:
        os.close(descriptor)
    _keep(worker, parent)


def _keep(worker: int, parent: int) -> NoReturn:
    """Sleep until the worker has ended or is to end, end everything below, and end likewise."""
    import resource

    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one dump of one crash is enough
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    status = None
    while status is None and os.getppid() == parent:
        told = signal.sigwait(WAKING)
        status = _reap(worker)
        if told == signal.SIGTERM:
            break
    end_descendants(os.getpid(), END_SECONDS)
    if status is None:
        status = int(signal.SIGTERM)  # as a wait would tell it
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    os._exit(1)  # only a signal that does not kill comes here


def _reap(worker: int) -> int | None:
    """Take in the children that have ended; the worker's wait status if it is among them."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == worker:
            status = ended
