"""Progress on a stream: bars on a terminal, plain lines elsewhere (a log file shows them while they happen)."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from .harness.amounts import counted
from .report.cases import OUTCOMES

if TYPE_CHECKING:
    from rich.progress import Progress

Listener = Callable[[dict[str, Any]], None]
SILENCE_S = 5.0


@contextlib.contextmanager
def progress_on(stream: TextIO) -> Iterator[Listener]:
    """A listener for the events of ``difflab.run`` that shows them on ``stream``.

    Args:
        stream: where to write; bars are drawn only if it is a terminal that can move its cursor.

    >>> import sys
    >>> with progress_on(sys.stdout) as listener:
    ...     listener({"event": "case", "case": "digits-mlp tiny float64 reverse", "outcome": "ok", "reason": "",
    ...               "done": 1, "cases": 2})
    [1/2] digits-mlp tiny float64 reverse: finished
    """
    if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield _plain(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[cases]}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(file=stream, highlight=False)
    with Progress(*columns, console=console, transient=True) as bars:
        yield _bars(bars)


def _clock(seconds: float) -> str:
    """A wall time in seconds, with a decimal below ten."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def _line(event: dict[str, Any]) -> str | None:
    """What one event says as a line for people; ``None`` if it is only a sign of life."""
    kind = event["event"]
    if kind == "run":
        if event.get("finished"):
            return f"{event['folder']} holds this run already, finished; nothing is measured again"
        resumed = f", {event['resumed']} of them done before" if event.get("resumed") else ""
        return f"{event['title']}: {counted(event['cases'], 'case')}{resumed}, stored in {event['folder']}"
    if kind == "case":
        reason = f" ({event['reason']})" if event["reason"] and event["outcome"] != "ok" else ""
        words = OUTCOMES.get(event["outcome"], (event["outcome"],))[0]
        return f"[{event['done']}/{event['cases']}] {event['case']}: {words}{reason}"
    if kind == "note":
        return event["text"]
    if kind == "run_finished":
        return f"measured in {_clock(event['seconds'])}"
    return None


def _plain(stream: TextIO) -> Listener:
    """One line per event that says something new; signs of life at the start and when it has been quiet for a while."""
    last = -math.inf

    def listen(event: dict[str, Any]) -> None:
        nonlocal last
        line = _line(event)
        if line is None and event["event"] == "running" and time.monotonic() - last >= SILENCE_S:
            line = f"... {event['text']} (step {event['done']} of {event['steps']})"
        if line is not None:
            print(line, file=stream, flush=True)
            begins = event["event"] == "run" and not event.get("finished")
            last = -math.inf if begins else time.monotonic()  # what begins now is said at once

    return listen


def _bars(bars: Progress) -> Listener:
    """One bar for the whole run with what runs now beside it; what did not end well stays above it as a line."""
    task = bars.add_task("starting", total=None, cases="difflab")

    def listen(event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "running":
            bars.update(task, completed=event["done"], total=event["steps"], description=event["text"])
        elif kind == "case":
            bars.update(task, cases=f"{event['done']}/{event['cases']} cases")
        if kind in ("run", "note") or (kind == "case" and event["outcome"] != "ok"):
            bars.console.print(_line(event), markup=False)

    return listen
