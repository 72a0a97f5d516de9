"""A run on the nodes of a cluster: units of work go out, what they found comes back, and the coordinator alone writes.

A node does one unit at a time, in the way a run on one machine does it (``unit.py``).  What a node does not bring to
its end is tried again, there or elsewhere; what fails again and again is given up with a reason that names the node.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import StoreError
from .. import store
from ..books import Books
from ..catalogue import Catalogue
from .agenda import PASSES, Agenda, Task
from .link import Link, NodeError
from .nodes import Node, packed
from .roster import Roster

POLL_SECONDS = 0.5
BEAT_SECONDS = 5.0
MOST_TRIES = 3
MOST_FAILURES = 2
BROUGHT = ("started", "reference", "checked", "epoch", "sentinel", "finished")


@dataclass(frozen=True)
class Sent:
    """What a node was given: a task, or (without one) the question what it is."""

    name: str
    node: Node
    task: Task | None = None


class Cluster:
    """The part of a run that its nodes do.

    Args:
        books: the run.
        link: to the scheduler.
        catalogue: what there is to choose from on the coordinator's machine.
        facts: the environment of the coordinator's machine.
        end: the time on the monotonic clock after which no further samples are begun.
    """

    def __init__(self, books: Books, link: Link, catalogue: Catalogue, facts: Mapping[str, Any], end: float) -> None:
        self.books, self.link, self.catalogue = books, link, catalogue
        self.agenda, self.roster = Agenda(books, end), Roster(books, catalogue, facts, link.address)
        self.sent: dict[str, Sent] = {}
        self.failed: dict[tuple[str, ...], list[str]] = {}
        self._prefix, self._count, self._told = f"difflab-{os.urandom(6).hex()}", 0, time.monotonic()
        self._digests: dict[str, str] = {}

    def run(self) -> None:
        """Do everything that nodes can do.

        Raises:
            StoreError: no node is left, or none could be used; the run can be resumed.
            KeyboardInterrupt: the run was interrupted, and what nodes had under way is over.
        """
        with self.books.stop.round(lambda: None):
            self._run()

    def _run(self) -> None:
        while True:
            if not self.books.stop.requested:
                self._assign()
            busy = any(one.task for one in self.sent.values())
            if not busy and (self.books.stop.requested or not self.agenda.left()):
                return
            for event in self.link.wait(POLL_SECONDS):
                self._take(event)
            self.roster.check()
            if time.monotonic() - self._told > BEAT_SECONDS:
                self._told = time.monotonic()
                self.books.still_running()

    # ------------------------------------------------------------------------- sending

    def _assign(self) -> None:
        """Give work to whoever has none."""
        for node in self.roster.ready:
            if node.unit is not None or node.state != "ready":
                continue
            running = [(one.node, one.task) for one in self.sent.values() if one.task is not None]
            ready = self.roster.ready
            if (task := self.agenda.next(node, ready, running, not self.roster.greeting)) is not None:
                self._start(Sent(self._name(), node, task), task)

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _start(self, one: Sent, task: Task) -> None:
        """Send a task, with all that it needs."""
        books, node = self.books, one.node
        self.sent[one.name], node.unit = one, one.name
        for case in task.cases:
            books.record("started", **{"case": case.id, "pass": PASSES[task.do], "node": node.name})
        books.running(f"{task.text} on {node.name}")
        try:
            blobs = self._blobs(node, task)
        except NodeError as fault:
            self._fail(one, str(fault), fault.lost)
            return
        unit = {
            "do": task.do,
            "study": {"name": books.study.name, "text": books.study.text, "catalogue": packed(self.catalogue)},
            "seed": books.seed,
            "quick": books.quick,
            "variables": node.variables,
            "block": task.block.name,
            "cases": [case.id for case in task.cases or task.block.cases],
            "events": self._known(node, task),
        }
        self.link.send("perform", one.name, node.name, id=one.name, blobs=blobs, unit=unit)

    def _known(self, node: Node, task: Task) -> list[dict[str, Any]]:
        """The facts that a task builds on, as events; forecasts are made with the calibration of the node."""
        ledger = self.books.ledger
        if task.do != "epoch":
            known = [] if node.speeds is None else [{"kind": "calibrated", "data": node.speeds}]
            data = ledger.truths.get(task.block.truth)
            return known if data is None else [*known, {"kind": "reference", "truth": task.block.truth, "data": data}]
        return [
            {"kind": "epoch", "case": case.id, "epoch": number, "data": data}
            for case in task.cases
            for number, data in ledger.epochs.get(case.id, {}).items()
        ]

    def _blobs(self, node: Node, task: Task) -> dict[str, str]:
        """The files that a task needs, by SHA-256; what the node does not have yet is sent to it."""
        name = self.books.ledger.truths.get(task.block.truth, {}).get("file")
        if task.do in ("reference", "epoch") or not name:
            return {}
        path = self.books.target.folder / name
        if name not in self._digests:
            with open(path, "rb") as stream:
                self._digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
        digest = self._digests[name]
        if digest not in node.blobs:
            if self.link.ask(self._name(), node.name, do="lack", blobs=[digest])["blobs"]:
                self.link.push(node.name, digest, path)
            node.blobs.add(digest)
        return {name: digest}

    # ------------------------------------------------------------------------- receiving

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "gone":
            where = f"the Dask scheduler at {self.link.address} is gone ({event['why']})"
            raise StoreError(f"{where}. {self.roster.standing()}")
        if kind == "nodes":
            self._meet(event["nodes"])
            return
        one = self.sent.get(event["id"])
        if one is None:
            return  # an answer to what was given up, or given twice
        if kind == "words":
            self.books.running(f"{event['text']} on {one.node.name}")
        elif kind == "fault":
            self._fail(one, event["why"], event["lost"])
        elif "fault" in (result := json.loads(event["text"])):
            self._fail(one, result["fault"], False)
        elif one.task is None:
            self._learn(one, result)
        else:
            try:
                self._finish(one, one.task, result)
            except NodeError as fault:
                self._fail(one, str(fault), fault.lost)

    def _meet(self, names: list[str]) -> None:
        """Greet workers that are new, miss those that have left."""
        present = self.roster.present
        for name in [name for name in present if name not in names]:
            node = present[name]
            if node.unit is not None:
                self._fail(self.sent[node.unit], "it has left the cluster", True)
            present.pop(name, None)
        for name in [name for name in names if name not in present]:
            node = present[name] = Node(name)
            one = Sent(self._name(), node)
            self.sent[one.name], node.unit = one, one.name
            self.link.send("call", one.name, name, do="hello")

    def _learn(self, one: Sent, result: dict[str, Any]) -> None:
        """Take in a node's answer to what it is."""
        self._free(one)
        node, study = one.node, self.books.study
        if node.state == "greeted":
            self.roster.describe(node, result)
        elif self.roster.greet(node, result):
            again = Sent(self._name(), node)
            self.sent[again.name], node.unit = again, again.name
            unit = {
                "do": "describe",
                "backends": [(backend.name, backend.options) for backend in study.backends],
                "problems": [problem.name for problem in study.problems],
                "threads": study.timing.threads,
                "timed": study.timed,
            }
            self.link.send("perform", again.name, node.name, id=again.name, blobs={}, unit=unit)

    def _finish(self, one: Sent, task: Task, result: dict[str, Any]) -> None:
        """Take in what a task has found: files first, then what names them."""
        node, ids = one.node, {case.id for case in task.cases}
        for name in result["blobs"]:
            if name != self.books.reference_file(task.block):
                raise NodeError(f"it has made a file {name!r} that nobody asked for", False)
        for event in result["events"]:
            if event["kind"] not in BROUGHT or event.get("case") not in {None, *ids}:
                raise NodeError(f"it has brought an event {event['kind']!r} that is none of its task", False)
        for name, blob in result["blobs"].items():
            content = self.link.fetch(node.name, blob["sha256"], blob["size"])
            if hashlib.sha256(content).hexdigest() != blob["sha256"]:
                raise NodeError(f"{name} was damaged on its way", False)
            store.write_atomically(self.books.target.folder / name, content)
            self._digests[name] = blob["sha256"]
            node.blobs.add(blob["sha256"])
        self._free(one)
        self.failed.pop(task.key, None)
        node.failures = 0
        where = {"node": node.name, "environment": node.environment}
        for event in result["events"]:
            kind, data = event["kind"], {key: value for key, value in event.items() if key != "kind"}
            if kind == "finished":
                self.books.finish(self.books.cases[data.pop("case")], **data, **where)
            elif kind != "started":
                self.books.record(kind, **data, **where)

    def _free(self, one: Sent) -> None:
        self.sent.pop(one.name, None)
        one.node.unit = None

    def _fail(self, one: Sent, why: str, lost: bool) -> None:
        """What was sent has come to nothing: it is tried again, here or elsewhere, or given up."""
        self._free(one)
        node, task = one.node, one.task
        if lost:
            self.roster.present.pop(node.name, None)
        if task is None:
            self.roster.refuse(node, why)
            return
        self.roster.note(f"{task.text} failed on {node.name}: {why}")
        reasons = self.failed.setdefault(task.key, [])
        reasons.append(f"{node.name}: {why}")
        node.failures += not lost
        if node.failures >= MOST_FAILURES:
            self.roster.refuse(node, f"it failed {node.failures} times in a row, the last time because {why}")
        if len(reasons) < MOST_TRIES:
            return
        reason = f"tried {MOST_TRIES} times on the cluster, the last time on {reasons[-1]}"
        if task.do == "reference":
            data = {"file": None, "why": reason}
            self.books.record("reference", truth=task.block.truth, data=data, node=node.name)
        for case in task.cases:
            self.books.finish(case, "lost", reason, PASSES[task.do], node=node.name)
