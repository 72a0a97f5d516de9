"""What difflab can and cannot do on this machine, each with its figure and what to do about it.

Nothing is believed that can be tried: the limit of memory has to stop an allocation in a worker, the kernels of the
BLAS have to multiply, the disk has to sync.  What is timed runs under the lock of the machine, and is left out while
another run holds it; the rest loads one processor for some seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from . import host_lock, kernels
from .checkup import libraries, memory, software, surroundings
from .checkup.finding import NOTE, PROBLEM, REINSTALL, Finding, answer_of
from .process import Worker


def examine(folder: Path, say: Callable[[str], None] = lambda text: None) -> list[Finding]:
    """Look at everything.

    Args:
        folder: where runs would go; its file system is tried.
        say: is told what is looked at now.

    Returns:
        The findings, in the order in which they are to be read.
    """
    say("packages and backends")
    found = [software.python(), *software.packages(), *software.backends(), *software.extras(), software.compiler()]
    found.append(libraries.gpu())
    say("a worker and its libraries")
    described = answer_of(Worker(), {"do": "describe"})
    if isinstance(described, str):
        return [*found, Finding("workers", PROBLEM, f"they do not run here: {described}", REINSTALL)]
    decision = kernels.decide(described["blas"])
    say("limits and threads")
    found += [libraries.blas(described["blas"]), libraries.threads(), memory.self_test(described["memory_self_test"])]
    found += [memory.amount(), memory.shell_limits(), *memory.limits(described.get("worker_limits") or {})]
    found += [surroundings.processors(), surroundings.clock()]
    other, busy = surroundings.other_run()
    if busy:
        found += [surroundings.frequency(), other]
        found.append(Finding("noise and kernels", NOTE, "not measured, for that would disturb the other run"))
    else:
        with contextlib.closing(host_lock.HostLock(say)) as lock, lock.exclusive():
            say("how the processor wakes up")
            found += [surroundings.frequency(wakes=surroundings.waking()), other]
            say("the kernels and threads of the BLAS")
            found += [libraries.core_type(decision), libraries.more_threads()]
            say("the noise of the machine")
            found.append(surroundings.noise())
    return [*found, *surroundings.disk(folder)]
