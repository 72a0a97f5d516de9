"""What the tests of clusters share: a Dask scheduler and workers as processes of their own, and runs that use them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from harness_runs import HERE

from difflab import lab
from difflab.harness import store
from difflab.harness.request import Request

PATIENCE = 60
MARK = "DIFFLAB_TEST_CLUSTER"


class Dask:
    """A scheduler with workers; ``mark`` is in the environment of all that they start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, str(folder)
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", ["--host", "127.0.0.1", "--port", "0"], {})
        wait_until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]

    def _start(self, what: str, options: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        arguments = ["--scheduler-file", str(self.file), "--no-dashboard", *options]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**with_doubles(), MARK: self.mark, **environment},
                start_new_session=True,
            )

    def worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start one more worker, without a nanny, so that its death is final."""
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder), *options)
        self.workers.append(self._start("worker", list(options), environment))
        return self.workers[-1]

    def below(self, kind: str) -> list[int]:
        """The processes ``difflab.harness.<kind>`` that its workers have started and that are alive."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = process.info["cmdline"] or []
            if f"difflab.harness.{kind}" in line and process.info["status"] != psutil.STATUS_ZOMBIE:
                with contextlib.suppress(psutil.Error):
                    if process.environ().get(MARK) == self.mark:
                        found.append(process.pid)
        return found

    def close(self) -> None:
        """End everything."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[Dask]:
    """A cluster without workers yet."""
    folder.mkdir()
    cluster = Dask(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def with_doubles() -> dict[str, str]:
    """An environment in which difflab and the doubles of the tests are found."""
    return {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}


class Coordinator:
    """A run on a cluster, in a process of its own."""

    def __init__(self, path: Path, out: Path, cluster: str | None, quick: bool = False, **environment: str) -> None:
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", lab.COORDINATOR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**with_doubles(), **environment},
            text=True,
        )
        assert self.process.stdin is not None
        request = Request(str(path), str(out), quick, cluster=cluster)
        self.process.stdin.write(json.dumps(request.to_json()) + "\n")
        self.process.stdin.close()

    def end(self) -> tuple[int, dict[str, Any]]:
        """Wait for the end: the exit code and the last line."""
        assert self.process.stdout is not None
        lines = self.process.stdout.readlines()
        self.process.stdout.close()
        return self.process.wait(PATIENCE), json.loads(lines[-1]) if lines else {}

    def kill(self) -> None:
        """Kill the coordinator."""
        self.process.kill()
        self.end()

    def wait_for(self, holds: Callable[[list[dict[str, Any]]], object]) -> None:
        """Wait until something holds for the events that are stored."""
        wait_until(lambda: holds(stored(self.out)), lambda: self.process.poll() is not None)


def stored(folder: Path) -> list[dict[str, Any]]:
    """The events of a run folder, none if there is no run in it yet."""
    return store.read(folder) if (folder / store.EVENTS).exists() else []


def wait_until(holds: Callable[[], object], over: Callable[[], bool] = lambda: False) -> None:
    """Wait until ``holds``; fails when that takes too long or cannot come any more."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        assert not over(), "ended before that came"
        time.sleep(0.02)
