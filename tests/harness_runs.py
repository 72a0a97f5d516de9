"""What the tests of whole runs share: study files of doubles, and a coordinator in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from difflab import lab
from difflab.harness import results, store
from difflab.harness.results import Results

HERE = Path(__file__).parent
HEAD = 'title = "T"\nquestion = "Q"\nlook_for = "L"\n'
PROBLEM = '[[problem]]\nname = "harness_doubles:SQUARES"\nsizes = {sizes}\n'
LIMITS = (
    '[limits]\nseconds = 1.5\nmemory = "300 MiB"\n'
    "[timing]\nprocesses = {processes}\nmost_processes = {processes}\nsamples = 3\nbudget_s = {budget}\n"
)


def double(how: str) -> str:
    extra = {"too big": "forecast_bytes = 1073741824\n", "too slow": "forecast_seconds = 99\n"}.get(how, "")
    return f'[[backend]]\nname = "harness_doubles:Double"\nlabel = "{how}"\nhow = "{how}"\n{extra}'


def write_study(folder: Path, backends: str, sizes: str = '["tiny"]', processes: int = 1, budget: float = 60) -> Path:
    path = folder / "study.toml"
    limits_text = LIMITS.format(processes=processes, budget=budget)
    path.write_text(HEAD + PROBLEM.format(sizes=sizes) + backends + limits_text)
    return path


def start(path: Path, out: Path, quick: bool = False) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", lab.COORDINATOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"study": str(path), "out": str(out), "quick": quick, "seed": 0}) + "\n")
    process.stdin.close()
    return process


def run(path: Path, out: Path, quick: bool = False) -> Results:
    process = start(path, out, quick)
    assert process.stdout is not None
    lines = process.stdout.readlines()
    process.stdout.close()
    assert process.wait(60) == 0, lines[-3:]
    assert json.loads(lines[-1])["event"] == "done"
    return results.load(out)


def kill_when(process: subprocess.Popen, folder: Path, lines: int) -> bool:
    """SIGKILL the coordinator once its event file has so many lines; whether it was still alive."""
    events, end = folder / store.EVENTS, time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if events.exists() and events.read_bytes().count(b"\n") >= lines:
            process.kill()
            break
        time.sleep(0.002)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()
    return process.returncode == -signal.SIGKILL
