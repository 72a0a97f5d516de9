"""The parts of a run on a cluster, without one: addresses, blobs, homes of blocks, what becomes of failures."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_runs import double, write_study
from hypothesis import given
from hypothesis import strategies as st

from difflab.errors import DifflabError, StoreError
from difflab.harness import grid, store, study_file
from difflab.harness.books import Books
from difflab.harness.catalogue import Catalogue
from difflab.harness.cluster import agenda, dispatch, homes, link, nodes, remote, roster
from difflab.harness.cluster.link import Link, NodeError
from difflab.harness.ledger import Ledger

CATALOGUE = Catalogue(
    {"harness_doubles:SQUARES": ["tiny", "small"]},
    {"harness_doubles:Double": "reverse"},
    {"harness_doubles:Double": ["how"]},
)
FACTS: dict[str, Any] = {"packages": {"numpy": "2.4.1"}}


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "tls://node-7.example:1", "tcp://[::1]:8786", "local:2"])
def test_addresses_that_can_be_one(address: str) -> None:
    assert link.checked(address) == address


@given(st.text(max_size=30).filter(lambda text: "://" not in text and not text.startswith("local:")))
def test_any_other_text_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(DifflabError, match=r"^--cluster "):
        link.checked(text)


@pytest.mark.parametrize(
    "address",
    ["tcp://a:0", "tcp://a:65536", "tcp://a:b", "tcp://a:1/x", "http://a:1", "local:65", "local:\u00b2", "local"],
)
def test_what_is_nearly_an_address_is_refused(address: str) -> None:
    with pytest.raises(DifflabError, match=r"^--cluster "):
        link.checked(address)


# ------------------------------------------------------------------------------------------------ blobs on a node


def _call(folder: Path, **asked: Any) -> dict[str, Any]:
    return json.loads(remote.call(json.dumps(asked), SimpleNamespace(local_directory=str(folder))))


def _put(folder: Path, digest: str, data: bytes, offset: int, last: bool) -> None:
    text = base64.b64encode(data).decode()
    _call(folder, do="put", sha256=digest, offset=offset, data=text, last=last)


def test_a_blob_arrives_in_pieces_and_is_read_back(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    digest = hashlib.sha256(content).hexdigest()
    assert _call(tmp_path, do="lack", blobs=[digest]) == {"blobs": [digest]}
    _put(tmp_path, digest, content[:1000], 0, last=False)
    assert _call(tmp_path, do="lack", blobs=[digest]) == {"blobs": [digest]}
    _put(tmp_path, digest, content[1000:], 1000, last=True)
    assert _call(tmp_path, do="lack", blobs=[digest]) == {"blobs": []}
    piece = _call(tmp_path, do="get", sha256=digest, offset=990, size=20)["data"]
    assert base64.b64decode(piece) == content[990:1010]


def test_a_blob_that_is_not_what_its_name_says_is_not_kept(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    with pytest.raises(ValueError, match="do not make a whole"):
        _put(tmp_path, digest, b"wrong", 0, last=True)
    assert _call(tmp_path, do="lack", blobs=[digest]) == {"blobs": [digest]}


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_a_blob_has_no_other_name_than_a_sum(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        _call(tmp_path, do="get", sha256=name, offset=0, size=1)


def test_a_unit_that_nobody_asks_for_any_more_ends_with_its_process(tmp_path: Path) -> None:
    found = remote._attend(remote.Unit(stopped=True), {"do": "never begun"}, tmp_path / "errors")
    assert found == {"fault": "it was stopped"}
    forgotten = remote.Unit()
    forgotten.heard -= remote.LEASE_SECONDS
    assert forgotten.over()


def test_the_death_of_a_units_process_is_told_with_its_last_words(tmp_path: Path) -> None:
    found = remote._attend(remote.Unit(), {"do": "what no unit does"}, tmp_path / "errors")
    assert found == {"fault": "its process ended with exit code 1: KeyError: 'study'"}


# ------------------------------------------------------------------------------------------------ what a node lacks


def test_what_a_node_lacks_is_named(books: Books) -> None:
    theirs = Catalogue({}, {}, {}, {1: [("", "no module")]}, [], {"harness_doubles:SQUARES": "there is no such module"})
    found = {"catalogue": nodes.packed(theirs), "environment": {"packages": {"numpy": None}}}
    why = nodes.shortcomings(books.study, CATALOGUE, FACTS, found, [])
    assert why is not None
    assert why.startswith("it lacks numpy; problem harness_doubles:SQUARES: there is no such module; backend")
    assert why.endswith("backend harness_doubles:Double: no module")


def test_a_node_may_have_more_than_the_coordinator(books: Books) -> None:
    more = Catalogue({**CATALOGUE.problems, "more": ["x"]}, {**CATALOGUE.backends, "more": ""}, CATALOGUE.options)
    found = {"catalogue": nodes.packed(more), "environment": {"packages": {"numpy": "2.4.2", "torch": "3"}}}
    assert nodes.shortcomings(books.study, CATALOGUE, FACTS, found, []) is None


# ------------------------------------------------------------------------------------------------ homes of blocks


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return _books(tmp_path, Ledger())


def _books(folder: Path, ledger: Ledger) -> Books:
    path = write_study(folder, "".join(map(double, ("well", "null"))), '["tiny", "small"]', processes=2)
    study = study_file.parse(path.read_text(), "study.toml", lambda *_: CATALOGUE)
    blocks = grid.blocks(study)
    target = store.Store(folder / "run")
    target.write_manifest({"blocks": []})
    return Books(study, blocks, target, ledger, lambda _: None, 0, False)


def _epoch(seconds: float = 1e-3) -> dict[str, Any]:
    return {"samples": [seconds], "primal": [seconds], "busy_s": 0.01, "open_s": 0.01, "loops": 1}


def test_a_block_that_moves_is_measured_afresh_but_for_its_failures(books: Books) -> None:
    block = books.blocks[0]
    well, null = block.cases
    books.record("epoch", case=well.id, epoch=0, data=_epoch(), environment=3)
    books.record("checked", case=well.id, data={"outcome": "ok"}, environment=3)
    books.finish(null, "crash", "it fell over", "time", environment=3)
    assert homes.found_in(books, block) == {3}
    assert not homes.bring(books, block, 3, "the same machine")
    assert homes.bring(books, block, 5, "another")
    assert not books.ledger.epochs
    assert not books.ledger.checks
    assert null.id in books.ledger.ends
    assert Ledger.of(books.target.events) == books.ledger
    assert not homes.bring(books, block, 5, "another")


def test_a_case_that_ended_well_moves_with_its_block(books: Books) -> None:
    well, null = books.blocks[0].cases
    books.record("epoch", case=well.id, epoch=0, data=_epoch(), environment=2)
    books.finish(well, "ok", "")
    books.record("epoch", case=null.id, epoch=0, data=_epoch(), environment=2)
    assert books.ledger.environments == {well.id: 2, null.id: 2}
    homes.bring_all(books)
    assert not books.ledger.ends
    assert books.target.events[-1]["cases"] == [well.id, null.id]


# ------------------------------------------------------------------------------------------------ failures


class Fake:
    """A link to nodes that answer at once; ``fault`` says what a task on a node comes to, if not to its result."""

    def __init__(self, hosts: dict[str, str], fault: Callable[[str, dict[str, Any]], str | None]) -> None:
        self.address, self.hosts, self.fault = "tcp://fake:1", hosts, fault
        self.events: list[dict[str, Any]] = [{"event": "nodes", "nodes": sorted(hosts)}]
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.twice = False
        self.quiet = 0

    def send(self, how: str, name: str, node: str, **data: Any) -> None:
        unit = data.get("unit", data)
        if node not in self.hosts:
            return
        if unit["do"] not in ("hello", "describe"):
            self.done.append((node, unit))
            if (why := self.fault(node, unit)) is not None:
                if node not in self.hosts:
                    self.events.append({"event": "nodes", "nodes": sorted(self.hosts)})
                self.events.append({"event": "fault", "id": name, "why": why, "lost": node not in self.hosts})
                return
        answer = {"event": "answer", "id": name, "text": json.dumps(self._answer(node, unit))}
        self.events += [answer, answer] if self.twice else [answer]

    def _answer(self, node: str, unit: dict[str, Any]) -> dict[str, Any]:
        if unit["do"] == "hello":
            return remote.identity()
        if unit["do"] == "describe":
            known = {"variables": {}, "lock_missing": None, "host": self.hosts[node], "speeds": {"of": node}}
            return {"catalogue": nodes.packed(CATALOGUE), "environment": FACTS, **known}
        if unit["do"] == "reference":
            truth = unit["block"].rpartition(" ")[0].replace(" ", "-").replace(":", "-")
            found = [{"kind": "reference", "truth": truth, "data": {"file": None, "why": "none"}}]
        elif unit["do"] == "check":
            found = [{"kind": "checked", "case": unit["cases"][0], "data": {"outcome": "ok", "reason": ""}}]
        else:
            number = max((event["epoch"] + 1 for event in unit["events"] if "epoch" in event), default=0)
            found = [{"kind": "epoch", "case": case, "epoch": number, "data": _epoch()} for case in unit["cases"]]
        return {"events": found, "blobs": {}}

    def wait(self, _: float) -> list[dict[str, Any]]:
        found, self.events = self.events, []
        self.quiet = 0 if found else self.quiet + 1
        assert self.quiet < 1000, "nothing comes any more"
        return found


def _run(books: Books, fake: Any) -> dispatch.Cluster:
    made = dispatch.Cluster(books, fake, CATALOGUE, FACTS, end=float("inf"))
    made.run()
    return made


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((agenda, "HOME_SECONDS"), (roster, "WAIT_SECONDS"), (roster, "REFUSED_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)


def test_a_block_is_never_split_over_machines(books: Books) -> None:
    fake = Fake({"a": "one", "b": "other"}, lambda *_: None)
    _run(books, fake)
    where: dict[str, set[str]] = {}
    for node, unit in fake.done:
        if unit["do"] != "reference":
            where.setdefault(unit["block"], set()).add(node)
    assert sorted(map(sorted, where.values())) == [["a"], ["b"]]
    assert all(len(found) == 2 for found in books.ledger.epochs.values())
    assert len(books.ledger.epochs) == 4


def test_forecasts_are_made_with_the_calibration_of_the_node_that_measures(books: Books) -> None:
    fake = Fake({"a": "one", "b": "other"}, lambda *_: None)
    _run(books, fake)
    checks = [(node, unit["events"][0]) for node, unit in fake.done if unit["do"] == "check"]
    assert {node for node, _ in checks} == {"a", "b"}
    assert all(event == {"kind": "calibrated", "data": {"of": node}} for node, event in checks)


def test_an_answer_that_comes_twice_counts_once(books: Books) -> None:
    fake = Fake({"a": "one"}, lambda *_: None)
    fake.twice = True
    _run(books, fake)
    kinds = [event["kind"] for event in books.target.events]
    assert (kinds.count("reference"), kinds.count("checked"), kinds.count("epoch")) == (2, 4, 8)


def test_what_fails_everywhere_is_given_up_and_the_rest_goes_on(books: Books) -> None:
    bad = books.blocks[0].cases[0]

    def fault(_: str, unit: dict[str, Any]) -> str | None:
        return "boom" if unit["do"] == "check" and unit["cases"] == [bad.id] else None

    fake = Fake({"a": "one", "b": "other"}, fault)
    made = _run(books, fake)
    end = books.ledger.ends[bad.id]
    tried = [node for node, unit in fake.done if fault(node, unit)]
    assert len(tried) == 3
    assert tried[0] == tried[1] != tried[2]  # a node that fails twice in a row is not used any more
    assert list(made.roster.refused) == [tried[0]]
    assert (end["outcome"], end["node"]) == ("lost", tried[2])
    assert end["reason"] == f"tried 3 times on the cluster, the last time on {tried[2]}: boom"
    assert len(books.ledger.checks) == 3


def test_a_reference_that_no_node_brings_home_leaves_a_reason(books: Books) -> None:
    hosts = {name: name for name in "abcd"}
    _run(
        books,
        Fake(hosts, lambda _, unit: "disk full" if unit["do"] == "reference" and "tiny" in unit["block"] else None),
    )
    truth = books.ledger.truths[books.blocks[0].truth]
    assert truth["file"] is None
    assert "disk full" in truth["why"]
    assert len(books.ledger.epochs) == 4


def test_the_blocks_of_a_lost_node_are_measured_afresh_on_another(books: Books) -> None:
    hosts = {"a": "one", "b": "other"}

    def fault(node: str, unit: dict[str, Any]) -> str | None:
        if unit["do"] == "epoch" and unit["events"] and len(hosts) == 2:
            del hosts[node]
            return "it has left the cluster"
        return None

    fake = Fake(hosts, fault)
    _run(books, fake)
    (left,) = hosts
    (moved,) = [event for event in books.target.events if event["kind"] == "block_moved"]
    assert moved["to"] == left
    assert len(set(books.ledger.environments.values())) == 1
    assert all(sorted(found) == [0, 1] for found in books.ledger.epochs.values())
    after = books.target.events.index(moved)
    again = [event for event in books.target.events[after:] if event["kind"] == "epoch"]
    assert {event["case"] for event in again} >= set(moved["cases"])


def test_without_a_node_that_can_be_used_the_run_ends_clearly(books: Books) -> None:
    def nothing(_: str, unit: dict[str, Any]) -> str | None:
        return "no room"

    with pytest.raises(StoreError, match=r"no worker .* can be used \(a: it failed 2 times in a row.*0 of 4 cases"):
        _run(books, Fake({"a": "one"}, nothing))
    with pytest.raises(StoreError, match="has had no worker"):
        _run(books, Fake({}, nothing))


def test_a_blob_goes_to_each_node_once(books: Books) -> None:
    pushed: list[str] = []

    class WithBlobs(Fake):
        def ask(self, _: str, node: str, **asked: Any) -> dict[str, Any]:
            return {"blobs": asked["blobs"]}

        def push(self, node: str, digest: str, path: Path) -> None:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
            pushed.append(f"{node} {path.name}")

    for block in books.blocks:
        name = books.reference_file(block)
        (books.target.folder / name).write_bytes(block.name.encode())
        books.record("reference", truth=block.truth, data={"file": name})
    _run(books, WithBlobs({"a": "one", "b": "other"}, lambda *_: None))
    assert len(pushed) == len(set(pushed)) == 2


def test_a_blob_that_cannot_be_sent_is_a_failure_of_its_node(books: Books) -> None:
    class Deaf(Fake):
        def ask(self, *_: Any, **__: Any) -> dict[str, Any]:
            raise NodeError("no route", lost=False)

    name = books.reference_file(books.blocks[0])
    (books.target.folder / name).write_bytes(b"x")
    for block in books.blocks:
        books.record("reference", truth=block.truth, data={"file": name})
    with pytest.raises(StoreError, match="no route"):
        _run(books, Deaf({"a": "one"}, lambda *_: None))


FOREIGN = (
    {"events": [], "blobs": {"../manifest.json": {"sha256": "0" * 64, "size": 1}}},
    {"events": [{"kind": "run_finished", "seconds": 1.0}], "blobs": {}},
    {"events": [{"kind": "checked", "case": "of nobody", "data": {}}], "blobs": {}},
)


@pytest.mark.parametrize("answer", FOREIGN)
def test_what_is_none_of_its_task_is_not_taken_from_a_node(books: Books, answer: dict[str, Any]) -> None:
    class Foreign(Fake):
        def _answer(self, node: str, unit: dict[str, Any]) -> dict[str, Any]:
            return answer if unit["do"] == "reference" else super()._answer(node, unit)

    before = sorted(books.target.folder.rglob("*"))
    with pytest.raises(StoreError, match=r"that nobody asked for|that is none of its task"):
        _run(books, Foreign({"a": "one"}, lambda *_: None))
    assert sorted(books.target.folder.rglob("*")) == before
    assert {event["kind"] for event in books.target.events} <= {"manifest", "node", "node_refused"}


def test_a_link_says_when_its_process_has_died() -> None:
    made = Link("local:1")
    made.process.kill()
    try:
        with pytest.raises(NodeError, match="the process that speaks to it ended with exit code -9"):
            made.ask("x", "tcp://nowhere:1", do="hello")
    finally:
        made.close()
