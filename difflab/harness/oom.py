"""What the kernel has counted: evidence that it ended a process for want of memory.

A SIGKILL does not say who sent it.  The kernel counts the processes that it has killed for want of memory, per group
and in the whole machine; a count that rose while a worker died is evidence, and only as good as the group is narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cgroups import MEMBERSHIP, MOUNTS, own_group

VMSTAT = Path("/proc/vmstat")
FIELD = "oom_kill"


@dataclass(frozen=True)
class Counter:
    """A count of processes killed for want of memory.

    Attributes:
        path: the file.
        whose: whose processes it counts, as a reason says it.
    """

    path: Path
    whose: str

    def read(self) -> int | None:
        """The count now, or ``None`` where there is none."""
        try:
            lines = self.path.read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.split()[:1] == [FIELD]), None)


def counter(mounts: Path = MOUNTS, membership: Path = MEMBERSHIP, vmstat: Path = VMSTAT) -> Counter | None:
    """The narrowest counter that can be read here: of the own control group (of either version), or of the machine.

    Args:
        mounts: the list of mounts; another only in tests.
        membership: the groups this process is in; another only in tests.
        vmstat: the machine's counters; another only in tests.
    """
    found = []
    for name, controller in (("memory.events", ""), ("memory.oom_control", "memory")):
        if (own := own_group(mounts, membership, controller)) is not None:
            found.append(Counter(own / name, "in the control group of this run"))
    found.append(Counter(vmstat, "on this machine"))
    return next((one for one in found if one.read() is not None), None)


class Witness:
    """Watches a counter during one command; ``source`` is the counter, or ``None`` where there is none."""

    def __init__(self, source: Counter | None) -> None:
        self.source = source
        self._before: int | None = None

    def begin(self) -> None:
        """Remember the count as it is now."""
        self._before = None if self.source is None else self.source.read()

    def evidence(self) -> str | None:
        """What a rise since ``begin`` says, or ``None`` if there is none."""
        now = None if self.source is None else self.source.read()
        if self.source is None or now is None or self._before is None or now <= self._before:
            return None
        whose, risen = self.source.whose, now - self._before
        return f"the kernel's count of processes it has ended for want of memory {whose} rose by {risen} meanwhile"
