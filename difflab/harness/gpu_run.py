"""What a run on a GPU is besides: which device, what its workers' environment says, and that nobody else uses it.

The coordinator never touches the device itself: a worker describes it, and between two measurements the driver's tool
says how its clocks stand.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UnavailableError
from . import gpu_memory, gpu_query
from .grid import Block, Case
from .host_lock import FileLock, default_folder
from .probe import Probe

TF32_VARIABLE = "CUPY_TF32"
OVERRIDE_VARIABLE = "NVIDIA_TF32_OVERRIDE"
HEAT = ("sm_mhz", "memory_mhz", "temperature_c", "power_w", "slowed")


class Gpu:
    """The GPU of a run.

    Args:
        facts: what ``gpu_facts.facts`` says of it; ``None`` where there is none.
        missing: why there is none.
        ask: what runs the driver's tool.
    """

    def __init__(
        self, facts: Mapping[str, Any] | None = None, missing: str = "", ask: gpu_query.Ask = gpu_query.nvidia_smi
    ) -> None:
        self.facts, self.missing, self._ask = facts, missing, ask

    @property
    def uuid(self) -> str | None:
        """The device's own name in the world."""
        return None if self.facts is None else self.facts.get("uuid")

    def environment(self) -> dict[str, Any]:
        """For the manifest."""
        return {"missing": self.missing} if self.facts is None else dict(self.facts)

    def variables(self, case: Case, memory: int | None) -> dict[str, str]:
        """What the environment of a worker says, so that libraries read it when they are loaded.

        Args:
            case: that it will open.
            memory: what the case may take, in bytes.

        TF32 is off unless asked for, for all of NVIDIA's libraries.
        """
        if case.spec["device"] == "cpu":
            return {}
        rounded = bool(case.spec.get("tf32"))
        total = None if self.facts is None else self.facts.get("memory_bytes")
        found = {TF32_VARIABLE: str(int(rounded)), **gpu_memory.variables(memory, total)}
        return found if rounded else {**found, OVERRIDE_VARIABLE: "0"}

    def heat(self) -> dict[str, Any] | None:
        """Clocks, temperature and power now; ``None`` where nothing says."""
        if self.facts is None:
            return None
        found = gpu_query.state(self.uuid, self._ask)
        return {key: found.get(key) for key in HEAT} if found else None

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[str], None], folder: Path | None = None) -> Iterator[float]:
        """Hold the device against other runs of difflab on this machine.

        Args:
            waiting: is told that it has to be waited for.
            folder: where the files of locks are.

        Yields:
            The seconds that were waited.
        """
        if self.facts is None:
            yield 0.0
            return
        name = self.uuid or self.facts.get("pci") or "0"
        path = (default_folder() if folder is None else folder) / f"difflab-{re.sub('[^A-Za-z0-9-]', '-', name)}.lock"
        begin = time.monotonic()
        with FileLock(path, lambda: waiting("waiting for another difflab run on this GPU")).held():
            yield time.monotonic() - begin


def on_gpu(blocks: Sequence[Block]) -> bool:
    """Whether some case is computed on a GPU."""
    return any(block.device != "cpu" for block in blocks)


def find(probe: Probe, blocks: Sequence[Block]) -> Gpu | None:
    """The GPU of a run, ``None`` for a run that needs none.

    Args:
        probe: asks a worker.
        blocks: the cases.

    Raises:
        UnavailableError: all cases need a GPU and there is none; where others do without, theirs say so for themselves.
    """
    if not on_gpu(blocks):
        return None
    try:
        return Gpu(probe.gpu())
    except UnavailableError as fault:
        if all(block.device != "cpu" for block in blocks):
            raise
        return Gpu(missing=str(fault))
