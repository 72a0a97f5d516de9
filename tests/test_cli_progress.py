"""What the command line says while a run goes on, and how its tables and documents read."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up_runs as made
import pytest

from difflab.cli import progress as cli_progress
from difflab.cli import tables as cli_tables
from difflab.harness.interrupts import finishing

EVENTS: list[dict[str, Any]] = [
    {"event": "run", "folder": "here", "title": "A study", "finished": False, "cases": 2, "resumed": 1},
    {"event": "running", "text": "timing digits-mlp tiny", "done": 1, "steps": 4},
    {"event": "case", "case": "digits-mlp [tiny]", "outcome": "timeout", "reason": "[2] s", "done": 2, "cases": 2},
    {"event": "run_finished", "folder": "here", "seconds": 3.2},
    {"event": "report", "page": "here/index.html"},
]


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["dumb", "", None])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", kind)
    stream = Terminal()
    with cli_progress.progress_on(stream) as listener:
        for event in EVENTS:
            listener(event)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().splitlines()[-1] == "measured in 3.2 s"


def test_progress_without_a_terminal_is_plain_lines() -> None:
    stream = io.StringIO()
    with cli_progress.progress_on(stream) as listener:
        for event in EVENTS:
            listener(event)
    assert stream.getvalue().splitlines() == [
        "A study: 2 cases, 1 of them done before, stored in here",
        "... timing digits-mlp tiny (step 1 of 4)",
        "[2/2] digits-mlp [tiny]: timed out ([2] s)",
        "measured in 3.2 s",
    ]


def test_progress_counts_one_case_and_is_silent_about_the_remarks_of_what_went_well() -> None:
    stream = io.StringIO()
    case = {"event": "case", "case": "c", "outcome": "ok", "reason": "12 ties", "done": 1, "cases": 1}
    with cli_progress.progress_on(stream) as listener:
        listener({**EVENTS[0], "cases": 1, "resumed": 0})
        listener(case)
        listener({"event": "run_finished", "seconds": 0.43})
        listener({"event": "run_finished", "seconds": 90.2})
    assert stream.getvalue().splitlines() == [
        "A study: 1 case, stored in here",
        "[1/1] c: finished",
        "measured in 0.4 s",
        "measured in 90 s",
    ]


def test_signs_of_life_are_at_most_one_line_per_silence() -> None:
    stream = io.StringIO()
    with cli_progress.progress_on(stream) as listener:
        listener(EVENTS[0])
        for _ in range(50):
            listener(EVENTS[1])
    assert len(stream.getvalue().splitlines()) == 2


def test_long_silence_is_broken_by_what_runs_now(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(cli_progress, "SILENCE_S", 0.0)
    with cli_progress.progress_on(stream) as listener:
        listener(EVENTS[1])
    assert stream.getvalue() == "... timing digits-mlp tiny (step 1 of 4)\n"


def test_progress_on_a_terminal_draws_bars_and_keeps_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with cli_progress.progress_on(stream) as listener:
        for event in EVENTS:
            listener(event)
    text = stream.getvalue()
    assert "[2/2] digits-mlp [tiny]: timed out ([2] s)" in text
    assert "2/2 cases" in text
    assert "timing digits-mlp tiny" in text
    assert "\x1b[" in text


class Clock:
    """The clock of the command line, in the hands of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(cli_progress, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_the_time_left_is_told_now_and_then_in_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), Clock(monkeypatch)
    case = {"event": "case", "case": "c", "outcome": "ok", "reason": "", "done": 1, "cases": 50}
    with cli_progress.progress_on(stream) as listener:
        listener({**EVENTS[0], "cases": 50, "resumed": 0})
        for second in range(1, 41):  # a line each second: it is never silent for long
            clock.now = float(second)
            listener({**EVENTS[1], "left_s": 300.0 - 7 * second, "left_at_most": second > 20})
            listener(case)
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("...")]
    assert lines == [
        "... timing digits-mlp tiny (step 1 of 4, about 5 min left)",
        "... timing digits-mlp tiny (step 1 of 4, about 3 min left)",
        "... timing digits-mlp tiny (step 1 of 4, at most 85 s left)",
    ]


@pytest.mark.parametrize("seconds", [0.0, 3.9, 4.0, 19.6, 20.0, 58.0, 89.9, 90.0, 595.0, 3599.0, 3600.0, 1e6])
def test_at_most_is_never_less_than_it_is(seconds: float) -> None:
    said = cli_progress.time_left(seconds, at_most=True)
    if seconds < cli_progress.FEW_S:
        assert said == "a few seconds left"
        return
    found = re.fullmatch(r"at most (\d+) (s|min|h) left", said)
    assert found is not None
    assert int(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]] >= seconds


def test_the_time_left_counts_down_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = cli_progress._Countdown()
    assert str(left) == ""
    left.take({"left_s": 15.0, "left_at_most": False})
    seen = []
    for clock.now in (0.0, 3.2, 9.0, 14.0, 99.0):
        seen.append(str(left))
    assert seen == ["about 15 s left", "about 12 s left", "about 6 s left", "a few seconds left", "a few seconds left"]
    left.take({"event": "running"})
    assert str(left) == ""


def test_a_terminal_shows_the_time_left_and_that_a_round_is_being_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with cli_progress.progress_on(stream) as listener:
        listener(EVENTS[0])
        listener({**EVENTS[1], "left_s": 118.0, "left_at_most": False})
        listener({"event": "stopping", "seconds": 8, "text": finishing(8)})
    text = stream.getvalue()
    assert "finishing the current round (at most 8 s); Ctrl-C again stops at once" in text
    assert "at most 8 s left" in text


def test_json_has_no_number_that_json_does_not_know() -> None:
    import numpy as np

    text = cli_tables.json_text({"a": float("nan"), "b": [np.float64(1.5), np.int64(2), np.inf], "c": Path("x") / "y"})
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert (found["a"], found["b"], found["c"]) == (None, [1.5, 2, None], str(Path("x") / "y"))


def test_a_peak_too_small_to_be_told_apart_reads_as_on_the_page() -> None:
    small, large = made.row("reverse", peak_bytes=4096), made.row("forward", peak_bytes=3 * 2**20)
    lines = cli_tables.results_text(made.run([small, large])).splitlines()
    assert re.split(r"  +", lines[1])[6] == "< 256 KiB"
    assert re.split(r"  +", lines[2])[6] == "3.00 MiB"
