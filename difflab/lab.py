"""The laboratory: run a study, load what a run has stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .harness import asking, results
from .harness.asking import coordinate
from .harness.request import Request
from .harness.results import Results, Views
from .harness.study_device import check_device

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

COORDINATOR = asking.MODULE


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
        study: the name of a shipped study, the path of a study file ending in ``.toml``, or a loss of your own as
            ``"FILE.py:FUNCTION"`` (or ``"module:function"``).  Beside such a loss stands ``example``, a function that
            returns a tuple of its arguments, the parameters first; where it takes a size, a list such as
            ``sizes = [10, 100, 1000]`` says which there are.  A function called ``FUNCTION_gradient`` beside it is
            measured too, as backend "analytic".
        out: the run folder; by default ``reports/<study>``, or ``reports/<study>-2`` and so on beside a finished run.
        quick: one process per case, at the sizes the study names for it: no intervals, no verdicts.
        progress: is called with small dicts whose ``event`` is ``run`` (``folder``, ``title``, ``cases``,
            ``resumed``), ``running`` (``text``, ``done``, ``steps``, and where it is known ``left_s``, the seconds that
            the run will take yet, and ``left_at_most``, whether they are all that it may take and not what is
            expected), ``case`` (``case``, ``outcome``, ``reason``, ``done``, ``cases``), ``note`` (``text``),
            ``run_finished`` (``seconds``), ``report`` (``page``), and after an interrupt ``stopping`` (``text``,
            ``seconds`` that the current round may take), then ``interrupted`` (``folder``, ``at_once``).
        seed: the seed of parameters, data and the order of measuring.
        allow_env_change: resume a run that began on another machine or with other versions; what is not finished is
            then timed afresh.
        cluster: the address of a Dask scheduler such as ``tcp://10.0.0.1:8786``, or ``local:N`` for N workers here.
        device: "cpu" or "gpu" for all problems of the study, whatever it says.

    Returns:
        The results; the page is ``index.html`` in their folder.

    Raises:
        StudyError: the study is wrong; one line per fault.
        InputError: the loss cannot be found or run, or its data differ from call to call.
        StoreError: the folder cannot be used.
        UnavailableError: the device is not to be had; nothing was measured.
        KeyboardInterrupt: interrupted; the same call resumes.  After a first Ctrl-C the round under way is brought to
            its end and the page of what there is written; a second one stops at once.

    Example:
        >>> results = run("digits", quick=True)  # doctest: +SKIP
        >>> results.frame[["backend", "rel_error", "call_s"]]  # doctest: +SKIP
    """
    folder_named = None if out is None else str(out)
    request = Request(str(study), folder_named, quick, seed, allow_env_change, cluster, device=_known_device(device))
    tell = progress or _ignore
    where: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        where.extend([event] if event["event"] == "interrupted" else [])
        tell(event)

    try:
        folder = coordinate(request, listen)
    except KeyboardInterrupt:
        if where and not where[0]["at_once"]:
            _write_page(load(where[0]["folder"]), tell)
        raise
    found = load(folder)
    _write_page(found, tell)
    return found


def _write_page(found: Results, tell: Callable[[dict[str, Any]], None]) -> None:
    from .report import write

    tell({"event": "running", "text": "writing the page", "done": 1, "steps": 1})
    page = write(found, found.folder, say=lambda text: tell({"event": "note", "text": text}))
    tell({"event": "report", "page": str(page)})


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

    coordinate(Request(str(study), quick=quick, seed=seed, dry_run=True, device=_known_device(device)), listen)
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
    return replace(results.load(folder), views=Views(_html, _figures))


def _html(found: Results) -> str:
    from .report.card import card

    return card(found, found.folder)


def _figures(found: Results) -> dict[str, Figure]:
    from .report.exhibits import figures

    return figures(found)


def _known_device(device: str | None) -> str | None:
    return None if device is None else check_device(device)


def _ignore(_: dict[str, Any]) -> None:
    return
