"""Everything that needs a GPU in one call: the tests marked ``gpu``, the studies with their peers, and a summary.

    python tools/gpu_check.py --out gpu-results --quick

Needs nothing but Python to start: packages that are missing may come as wheels from a folder (``--wheels``).  Every
part is a process with a limit of its own, so that one that hangs costs no more than that, and what the others found is
kept: logs, run folders with their pages, ``summary.json``.  Exit codes: 0 all tests passed and every part ended; 1 a
test failed; 2 there is no GPU, or difflab cannot be imported; 3 no test failed, but a part failed or was cut short.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUMMARY = Path(__file__).resolve().with_name("gpu_summary.py")
STUDIES = ("gpu", "gpu-tf32", "gpu-jacobian")
GRACE = 15.0  # seconds for what is interrupted to write what it has
LAST = 20.0  # seconds for the summary and the archive
OUTCOMES = "PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS"
LINES = (  # of pytest -v: by itself, and with processes of pytest-xdist
    re.compile(rf"^(?P<test>\S+::.+?) (?P<outcome>{OUTCOMES})\b.*\[ *\d+%\]\s*$"),
    re.compile(rf"^\[gw\d+\] \[ *\d+%\] (?P<outcome>{OUTCOMES}) (?P<test>\S.*?)\s*$"),
)


@dataclass
class Part:
    """One process: ``most`` seconds at most, and at least ``least`` are left for it by those before.

    ``study``: the run folder's name, if it is a study; ``outcome``: "ended", "failed", "cut" or "not begun".
    """

    name: str
    command: list[str]
    most: float
    least: float
    study: str | None = None
    outcome: str = "not begun"
    code: int | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For the summary."""
        return {"name": self.name, "outcome": self.outcome, "code": self.code, "seconds": round(self.seconds, 1)}


def parts_of(out: Path, quick: bool, only: Sequence[str]) -> list[Part]:
    """What is run, in this order: what comes first is what must not be missing."""
    python = sys.executable
    marked = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if "mark.gpu" in path.read_text("utf-8")]
    files = [str(path.relative_to(ROOT)) for path in marked]
    workers = str(max(1, min(8, (os.cpu_count() or 1) // 2)))  # what takes the time is compiling kernels on the host
    pytest = [python, "-m", "pytest", "-v", "-m", "gpu", "-p", "no:cacheprovider", "-n", workers]
    pytest += ["--maxprocesses", workers, *files]
    found = [Part("tests", pytest, 180.0, 60.0)]
    limits = {"gpu": (1e6, 120.0), "gpu-tf32": (120.0, 40.0), "gpu-jacobian": (90.0, 30.0)}
    for study in STUDIES:
        command = [python, "-m", "difflab", "run", study, *(["--quick"] if quick else []), "--out", str(out / study)]
        found.append(Part(study, command, *limits[study], study=study))
    return [part for part in found if not only or part.name in only]


def run(part: Part, out: Path, environment: dict[str, str], seconds: float) -> None:
    """Run a part for so many seconds at most; what is over time is interrupted first, and then ended."""
    begin = time.monotonic()
    with open(out / f"{part.name}.log", "wb") as log:
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            part.code = process.wait(max(1.0, seconds - GRACE))
            part.outcome = "ended" if part.code in ((0, 1) if part.study else (0,)) else "failed"
        except subprocess.TimeoutExpired:
            part.outcome = "cut"
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.code = process.wait(GRACE)
        finally:
            with contextlib.suppress(ProcessLookupError):  # also what the part has started and left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    part.seconds = time.monotonic() - begin


def run_all(parts: Sequence[Part], out: Path, environment: dict[str, str], end: float) -> None:
    """Run the parts one after the other; each leaves the others their least, and writes down what it has found."""
    for position, part in enumerate(parts):
        left = end - time.monotonic() - sum(later.least for later in parts[position + 1 :]) - LAST
        if left <= GRACE / 3:
            continue
        say(f"{part.name}: at most {min(part.most, left):.0f} s")
        run(part, out, environment, min(part.most, left))
        say(f"{part.name}: {part.outcome} after {part.seconds:.0f} s (exit code {part.code})")
        if part.study and part.outcome == "cut" and end - time.monotonic() > LAST:
            page = Part(f"{part.name}-page", [sys.executable, "-m", "difflab", "report", str(out / part.study)], 20, 0)
            run(page, out, environment, min(GRACE + 10, end - time.monotonic()))


def tested(log: Path) -> dict[str, Any]:
    """What the log of pytest says, also of a run that was cut short."""
    counts: dict[str, int] = {}
    failures: list[str] = []
    for line in log.read_text("utf-8", errors="replace").splitlines() if log.is_file() else ():
        found = next((match for one in LINES if (match := one.match(line))), None)
        if found is not None:
            outcome = found["outcome"]
            counts[outcome.lower()] = counts.get(outcome.lower(), 0) + 1
            if outcome in ("FAILED", "ERROR"):
                failures.append(found["test"])
    return {**counts, "failures": failures}


def asked(arguments: Sequence[str], environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """A JSON object that the other script prints, or ``error`` with its last words."""
    command = [sys.executable, str(SUMMARY), *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {seconds:.0f} s"}
    except ValueError:
        return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1]}


def installed(wheels: Path | None, folder: str) -> dict[str, str]:
    """The environment of the parts, with the wheels of a folder installed for them.

    Raises:
        OSError: pip cannot install them.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    if wheels is not None:
        files = sorted(map(str, wheels.resolve().glob("*.whl")))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        options = ["--find-links", str(wheels), "--target", folder]
        done = subprocess.run([*command, *options, *files], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"pip cannot install the wheels in {wheels}: {done.stderr.strip()[-500:]}")
        paths.insert(0, folder)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, flush=True)


def verdict(parts: Sequence[Part], tests: dict[str, Any]) -> int:
    """The exit code."""
    ran = next((part for part in parts if part.name == "tests"), None)
    if tests["failures"] or (ran is not None and ran.outcome == "failed"):
        return 1
    return 0 if all(part.outcome == "ended" for part in parts) else 3


def report(out: Path, parts: Sequence[Part], facts: dict[str, Any], environment: dict[str, str], begun: float) -> int:
    """Write ``summary.json`` and say the most important of it; returns the exit code."""
    tests = tested(out / "tests.log")
    folders = [str(out / part.study) for part in parts if part.study and (out / part.study).is_dir()]
    studies = asked(["--runs", *folders], environment, LAST) if folders else {}
    code = verdict(parts, tests)
    summary = {
        "code": code,
        "seconds": round(time.monotonic() - begun, 1),
        "parts": [part.plain() for part in parts],
        "tests": tests,
        "facts": facts,
        "studies": studies,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    say(f"tests: {', '.join(f'{count} {name}' for name, count in tests.items() if name != 'failures') or 'none ran'}")
    for test in tests["failures"]:
        say(f"  failed: {test}")
    for name, study in studies.items():
        if isinstance(study, dict) and study.get("bars"):
            missed = [bar for bar in study["bars"] if bar["met"] is False]
            say(f"{name}: {sum(bar['met'] is True for bar in study['bars'])} of {len(study['bars'])} bars are kept")
            for bar in missed:
                say(f"  {bar['row']}: {bar['what']} {bar['value']:.3g}, asked {bar['asked']}")
        if isinstance(study, dict):
            for dtype, error in study.get("errors", {}).items():
                words = {True: "kept", False: "NOT kept", None: "not asked"}[error["met"]]
                say(f"{name}: error of {dtype} at most {error['largest']:.2g} in {error['rows']} rows, {words}")
            for row in study.get("uncaptured", ()):
                say(f"{name}: {row['row']} was not captured ({row['why']})")
    return code


def pack(out: Path) -> None:
    """All files in one archive beside the others, for whoever copies files one by one."""
    archive = out / "everything.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        for path in sorted(out.iterdir()):
            if path != archive:
                made.add(path, path.name)


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] | None = None) -> int:
    """Run it all; ``parts`` replaces what is run, for those who test this script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for all that is found")
    parser.add_argument("--seconds", type=float, default=470.0, metavar="N", help="for everything (default: 470)")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder of wheels to install for the parts")
    parser.add_argument("--quick", action="store_true", help="studies with one process per case, at their quick sizes")
    parser.add_argument("--only", action="append", default=[], choices=["tests", *STUDIES], help="this part alone")
    parser.add_argument("--pack", action="store_true", help="put everything into one archive as well")
    given = parser.parse_args(arguments)
    begun = time.monotonic()
    out = given.out.resolve()
    with tempfile.TemporaryDirectory(prefix="difflab-wheels-") as folder:
        try:
            environment = installed(given.wheels, folder)
        except OSError as fault:
            print(fault, file=sys.stderr)
            return 2
        facts = asked(["--facts"], environment, 90.0) if parts is None else {}
        if "error" in facts:
            print(facts["error"], file=sys.stderr)
            return 2
        out.mkdir(parents=True, exist_ok=True)
        chosen = list(parts_of(out, given.quick, given.only) if parts is None else parts)
        run_all(chosen, out, environment, begun + given.seconds)
        code = report(out, chosen, facts, environment, begun)
        if given.pack:
            pack(out)
        return code


if __name__ == "__main__":
    sys.exit(main())
