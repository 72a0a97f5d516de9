"""Progress on a stream: bars on a terminal, plain lines elsewhere (a log file shows them while they happen)."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from ..harness.amounts import counted
from ..report.cases import OUTCOMES

if TYPE_CHECKING:
    from rich.progress import Progress

Listener = Callable[[dict[str, Any]], None]
SILENCE_S = 5.0
LEFT_S = 15.0
FEW_S = 4.0
STEPS = ((20.0, 1.0), (90.0, 5.0), (600.0, 60.0), (3600.0, 300.0), (math.inf, 3600.0))


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
    if not stream.isatty() or (os.environ.get("TERM") or "dumb") == "dumb":
        yield _plain(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[cases]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(file=stream, highlight=False)
    with Progress(*columns, console=console, transient=True) as bars:
        yield _bars(bars)


def _clock(seconds: float) -> str:
    """A wall time in seconds, with a decimal below ten."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def time_left(seconds: float, at_most: bool = False) -> str:
    """The time that a run will take yet, in words, no finer than anybody can know it.

    Args:
        seconds: the time.
        at_most: whether it is all that the run may take.

    >>> [time_left(s) for s in (2, 17.2, 58, 100, 8000)]
    ['a few seconds left', 'about 17 s left', 'about 60 s left', 'about 2 min left', 'about 2 h left']
    >>> time_left(42, at_most=True)
    'at most 45 s left'
    """
    if seconds < FEW_S:
        return "a few seconds left"
    step = next(step for below, step in STEPS if seconds < below)
    rounded = (math.ceil if at_most else round)(seconds / step) * step
    unit, size = ("h", 3600.0) if step == 3600.0 else ("min", 60.0) if step >= 60.0 else ("s", 1.0)
    return f"{'at most' if at_most else 'about'} {rounded / size:.0f} {unit} left"


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
    if kind in ("note", "stopping"):
        return event["text"]
    if kind == "run_finished":
        return f"measured in {_clock(event['seconds'])}"
    return None


def _left(event: dict[str, Any]) -> str:
    """The time left that an event tells, empty if it tells none."""
    seconds = event.get("left_s")
    return "" if seconds is None else time_left(seconds, event.get("left_at_most", False))


def _plain(stream: TextIO) -> Listener:
    """One line per event that says something new; what runs now at the start, and now and then with the time left."""
    last, told = -math.inf, -math.inf  # when there was a line, and one with the time left

    def listen(event: dict[str, Any]) -> None:
        nonlocal last, told
        now, line, left = time.monotonic(), _line(event), _left(event)
        if event["event"] == "running" and (now - last >= SILENCE_S or (left and now - told >= LEFT_S)):
            line = f"... {event['text']} (step {event['done']} of {event['steps']}{', ' if left else ''}{left})"
            told = now
        if line is not None:
            print(line, file=stream, flush=True)
            begins = event["event"] == "run" and not event.get("finished")
            last = -math.inf if begins else now  # what begins now is said at once

    return listen


class _Countdown:
    """The time left as it reads whenever it is drawn: it goes down between one event and the next."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._at_most = False

    def __str__(self) -> str:
        return "" if self._until is None else time_left(max(0.0, self._until - time.monotonic()), self._at_most)

    def take(self, event: dict[str, Any]) -> None:
        """Go by what an event says; one that knows nothing leaves nothing to say."""
        seconds = event.get("left_s")
        self._until = None if seconds is None else time.monotonic() + seconds
        self._at_most = event.get("left_at_most", False)


def _bars(bars: Progress) -> Listener:
    """One bar for the whole run with what runs now beside it; what did not end well stays above it as a line."""
    left = _Countdown()
    task = bars.add_task("starting", total=None, cases="difflab", left=left)

    def listen(event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "running":
            left.take(event)
            bars.update(task, completed=event["done"], total=event["steps"], description=event["text"])
        elif kind == "case":
            bars.update(task, cases=f"{event['done']}/{event['cases']} cases")
        elif kind == "stopping":
            left.take({"left_s": event["seconds"], "left_at_most": True})
        if kind in ("run", "note", "stopping") or (kind == "case" and event["outcome"] != "ok"):
            bars.console.print(_line(event), markup=False)

    return listen
