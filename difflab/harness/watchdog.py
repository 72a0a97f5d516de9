"""The watchdog: resident memory of a worker and of all that it has started, read from outside.

``RLIMIT_DATA`` stops one process's private memory before it is taken.  What it does not see is what the watchdog is
for: shared and file mappings, and the sum over a case's own child processes.  It looks now and then, so a case can be
over the limit for the time between two looks.
"""

from __future__ import annotations

import os
import time

from . import amounts
from .descendants import descendants

LOOK_SECONDS = 0.05
# While samples are taken nobody looks: each look wakes the coordinator on some core and takes locks of the worker's
# address space.  The same call has run before, watched, in the phases memory, prepare or first.
UNWATCHED = ("calibrate", "sample")
REST = 10.0


class Watchdog:
    """What the processes below a guardian may hold.

    Args:
        root: the process above the worker, which adopts its orphans; it is not counted itself.
        limit: how many bytes may come on top of what is resident now.
    """

    def __init__(self, root: int, limit: int) -> None:
        self.root, self.limit = root, limit
        self.baseline = sum(map(resident, self._pids()))
        self.next_look = 0.0

    def watches(self, phase: str) -> bool:
        """Whether anybody looks in this phase."""
        return phase not in UNWATCHED

    def due(self, phase: str) -> bool:
        """Whether it is time to look."""
        return self.watches(phase) and time.monotonic() >= self.next_look

    def excess(self) -> str | None:
        """Look once: what is over the limit, with the figures, or ``None``.

        The sum of resident sizes counts memory that several processes share several times.  So where there is more
        than one process the sum is only a reason to ask for the proportional sizes, which add up to what is in use.
        """
        began = time.monotonic()
        pids = self._pids()
        held, several = sum(map(resident, pids)), len(pids) > 1
        if held - self.baseline > self.limit and several:
            held = sum(proportional(pid) for pid in pids)
        now = time.monotonic()
        self.next_look = now + max(LOOK_SECONDS, REST * (now - began))  # a large process is slow to look through
        if held - self.baseline <= self.limit:
            return None
        who = f"the {len(pids)} processes of the case" if several else "the worker"
        grown = amounts.size(held - self.baseline)
        return f"{who} held {grown} of memory more than before the case began; the limit is {amounts.size(self.limit)}"

    def _pids(self) -> list[int]:
        return descendants(self.root)


def resident(pid: int) -> int:
    """The resident size of a process in bytes; 0 if there is none.

    >>> import os
    >>> resident(os.getpid()) > 2**20
    True
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def proportional(pid: int) -> int:
    """The proportional size of a process in bytes: each page divided by the number of processes that map it.

    Where the system does not say, it is 0, so that nothing is claimed without evidence.

    >>> import os
    >>> 2**20 < proportional(os.getpid()) <= resident(os.getpid())
    True
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
