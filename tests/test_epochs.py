"""An epoch: what it decides from, and the order in which it locks, watches, writes and leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_runs import run, write_study

from difflab.harness import epochs
from difflab.harness.epochs import KEPT, Contestant, Epoch
from difflab.harness.interrupts import Stop

LATE = '[[backend]]\nname = "harness_doubles:Slow"\nlabel = "late"\nmilliseconds = 0.05\nfirst_milliseconds = 400\n'


@pytest.mark.long
def test_a_slow_first_call_does_not_decide_how_the_others_are_sampled(tmp_path: Path) -> None:
    found = run(write_study(tmp_path, LATE, processes=2), tmp_path / "run")
    (measured,) = found.ledger.epochs.values()
    first, second = (measured[number] for number in (0, 1))
    assert first["first_call_s"] > first["call_s"]
    assert first["loops"] > 1
    assert (second["loops"], second["call_s"]) == (first["loops"], first["call_s"])
    assert len(second["samples"]) == len(first["samples"]) == 3


def _epoch(log: list[str]) -> Epoch:
    @contextlib.contextmanager
    def exclusive() -> Iterator[None]:
        log.append("locked")
        yield
        log.append("unlocked")

    def record(kind: str, **_: Any) -> None:
        log.append(kind)

    books: Any = SimpleNamespace(
        seed=0, patience=1.0, lock=SimpleNamespace(exclusive=exclusive), record=record, accuracy=lambda block: {},
        stop=Stop(), outlook=None,
    )  # fmt: skip
    block: Any = SimpleNamespace(name="block", device="cpu")
    return Epoch(books, block, 0)


def test_the_watch_begins_when_the_machine_is_ours_and_the_workers_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(epochs, "Watch", lambda: log.append("watch"))
    monkeypatch.setattr(Epoch, "_open", lambda self, cases: log.append("open"))
    _epoch(log).run([])
    assert log == ["locked", "open", "watch", "unlocked"]


def test_an_epoch_is_written_before_any_worker_is_left() -> None:
    log: list[str] = []
    epoch = _epoch(log)
    epoch.watch = epochs.Watch()
    for name in ("one", "other"):
        case: Any = SimpleNamespace(id=name)
        worker: Any = SimpleNamespace(close=lambda: log.append("left"))
        epoch.active.append(Contestant(case, worker, dict.fromkeys(KEPT)))
    epoch._close_or_judge()
    assert log == ["sentinel", "epoch", "epoch", "left", "left"]
