"""The laboratory: run a study, load what a run has stored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import errors
from .harness import results
from .harness.process import search_path
from .harness.request import Request
from .harness.results import Results
from .harness.store import FolderError
from .harness.study_device import check_device

if TYPE_CHECKING:
    import pandas

COORDINATOR = "difflab.harness.engine"


def run(
    study: str | Path = "digits",
    *,
    out: str | Path | None = None,
    quick: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
    seed: int = 0,
    allow_env_change: bool = False,
    cluster: str | None = None,
    device: str | None = None,
) -> Results:
    """Run a study, or resume it, and write its page.

    Args:
        study: the name of a shipped study, or the path of a study file ending in ``.toml``.
        out: the run folder; by default ``reports/<study>``, or ``reports/<study>-2`` and so on beside a finished run.
        quick: one process per case, at the sizes the study names for it: no intervals, no verdicts.
        progress: is called with small dicts whose ``event`` is ``run`` (``folder``, ``title``, ``cases``,
            ``resumed``), ``running`` (``text``, ``done``, ``steps``), ``case`` (``case``, ``outcome``, ``reason``,
            ``done``, ``cases``), ``run_finished`` (``seconds``) or ``report`` (``page``).
        seed: the seed of parameters, data and the order of measuring.
        allow_env_change: resume a run that began on another machine or with other versions; what is not finished is
            then timed afresh.
        cluster: the address of a Dask scheduler such as ``tcp://10.0.0.1:8786``, or ``local:N`` for N workers here.
        device: "cpu" or "gpu" for all problems of the study, whatever it says.

    Returns:
        The results; the page is ``index.html`` in their folder.

    Raises:
        StudyError: the study is wrong; one line per fault.
        StoreError: the folder cannot be used.
        UnavailableError: the device is not to be had; nothing was measured.
        KeyboardInterrupt: interrupted; the same call resumes.

    Example:
        >>> results = run("digits", quick=True)  # doctest: +SKIP
        >>> results.frame[["backend", "rel_error", "call_s"]]  # doctest: +SKIP
    """
    folder_named = None if out is None else str(out)
    request = Request(str(study), folder_named, quick, seed, allow_env_change, cluster, device=_known_device(device))
    tell = progress or _ignore
    folder = _coordinate(request, tell)
    found = results.load(folder)
    from .report import write

    tell({"event": "running", "text": "writing the page", "done": 1, "steps": 1})
    page = write(found, folder)
    tell({"event": "report", "page": str(page)})
    return found


def forecast(
    study: str | Path = "digits", *, quick: bool = False, seed: int = 0, device: str | None = None
) -> pandas.DataFrame:
    """What a study would cost on this machine, forecast from its tapes; no case is run and nothing is written.

    Args:
        study: the name of a shipped study, or the path of a study file ending in ``.toml``.
        quick: forecast a quick run.
        seed: the seed of parameters and data.
        device: "cpu" or "gpu" for all problems; on a GPU there are forecasts of memory and none of times.

    Returns:
        One row per case: ``predicted_calls`` of the loss, ``predicted_flops``, ``predicted_bytes``,
        ``predicted_prepare_s`` and ``predicted_call_s`` in seconds, ``run_s`` of wall time with all measuring,
        ``outcome`` ("runs", "skipped_predicted" or "unsupported") and ``reason``.  ``attrs["run_s"]`` is the wall time
        of the whole study in seconds.

    Raises:
        StudyError: the study is wrong; one line per fault.

    Example:
        >>> forecast("digits", quick=True)[["backend", "predicted_call_s", "outcome"]]  # doctest: +SKIP
    """
    import pandas

    document = forecast_document(study, quick=quick, seed=seed, device=device)
    frame = pandas.DataFrame(document.pop("cases"))
    frame.attrs.update(document)
    return frame


def forecast_document(
    study: str | Path,
    *,
    quick: bool = False,
    seed: int = 0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """A forecast as plain values: ``cases``, the limits and timing of the study, and the time of the whole.

    Args:
        study: the name of a shipped study, or the path of a study file ending in ``.toml``.
        quick: forecast a quick run.
        seed: the seed of parameters and data.
        progress: is called with every event but the forecast itself: what runs, and that another run is waited for.
        device: as for ``forecast``.

    Raises:
        StudyError: the study is wrong.
    """
    found: dict[str, Any] = {}
    tell = progress or _ignore

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "forecast":
            found.update(event["data"])
        else:
            tell(event)

    _coordinate(Request(str(study), quick=quick, seed=seed, dry_run=True, device=_known_device(device)), listen)
    return found


def load(folder: str | Path) -> Results:
    """The results stored in a run folder.

    Args:
        folder: what ``run`` returned as ``folder``, such as ``reports/digits``.

    Returns:
        The results; an unfinished run has rows with outcome ``interrupted``.

    Raises:
        StoreError: there is no run in the folder, or it is damaged.

    Example:
        >>> load("reports/digits").frame  # doctest: +SKIP
    """
    return results.load(folder)


def _known_device(device: str | None) -> str | None:
    return None if device is None else check_device(device)


def _ignore(_: dict[str, Any]) -> None:
    return


def _coordinate(request: Request, tell: Callable[[dict[str, Any]], None]) -> Path:
    """Let a coordinator of its own, without NumPy, do the request; returns the run folder."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", COORDINATOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **search_path()},
        start_new_session=True,  # an interrupt from the keyboard is passed on below, once
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    last: dict[str, Any] = {}
    try:
        process.stdin.write(json.dumps(request.to_json()) + "\n")
        process.stdin.close()
        for line in process.stdout:
            last = json.loads(line)
            if last["event"] not in ("done", "fault"):
                tell(last)
        code = process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        process.stdout.close()
    if code == 130:
        raise KeyboardInterrupt
    if last.get("event") == "fault":
        kinds = {
            "StudyError": errors.StudyError, "StoreError": errors.StoreError, "FolderError": FolderError,
            "UnavailableError": errors.UnavailableError, "InputError": errors.InputError,
        }  # fmt: skip
        raise kinds.get(last["type"], errors.DifflabError)(last["text"])
    if last.get("event") != "done":
        raise errors.StoreError(
            f"the coordinator ended with exit code {code} before the run did. What it measured is stored; "
            f"run again to go on."
        )
    return Path(last["folder"])
