"""The nodes of a cluster as they come and go: who is met, asked what it is, used, refused or missed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ...errors import StoreError
from .. import store
from ..books import Books
from ..catalogue import Catalogue
from . import nodes
from .nodes import Node
from .remote import identity

GREET_SECONDS = 20.0
REFUSED_SECONDS = 2.0
WAIT_SECONDS = 30.0


class Roster:
    """Who can be given work.

    Args:
        books: the run.
        catalogue: what there is to choose from on the coordinator's machine.
        facts: the environment of the coordinator's machine.
        address: of the cluster, for messages.
    """

    def __init__(self, books: Books, catalogue: Catalogue, facts: Mapping[str, Any], address: str) -> None:
        self.books, self.catalogue, self.facts, self.address = books, catalogue, facts, address
        self.own, self._blocks = identity(), store.read_manifest(books.target.folder)["blocks"]
        self._identity = nodes.key(nodes.host(), facts, self._blocks)
        self.present: dict[str, Node] = {}
        self.refused: dict[str, str] = {}
        self._begun = self._able = time.monotonic()
        self._told = False

    @property
    def ready(self) -> list[Node]:
        """The nodes that can be used."""
        return [node for node in self.present.values() if node.state == "ready"]

    @property
    def greeting(self) -> bool:
        """Whether some node has still to say what it is; not for ever."""
        asked = any(node.state in ("met", "greeted") for node in self.present.values())
        return asked and time.monotonic() - self._begun < GREET_SECONDS

    def greet(self, node: Node, theirs: dict[str, Any]) -> bool:
        """Take in which difflab a node has; returns whether it can take part."""
        if (why := nodes.other_difflab(self.own, theirs)) is not None:
            self.refuse(node, why)
            return False
        node.state = "greeted"
        return True

    def describe(self, node: Node, found: dict[str, Any]) -> None:
        """Take in what a node is and has."""
        facts = found["environment"]
        why = nodes.shortcomings(self.books.study, self.catalogue, self.facts, found, self._blocks)
        if why is not None:
            self.refuse(node, why)
            return
        key = nodes.key(found["host"], facts, self._blocks)
        ledger = self.books.ledger
        if key == self._identity:
            number = ledger.environment
        elif key in ledger.nodes:
            number = ledger.nodes[key]["number"]
        else:
            number = ledger.next_environment
        node.state, node.environment, node.variables = "ready", number, found["variables"]
        node.speeds = found["speeds"]
        self.books.record("node", identity=key, number=number, name=node.name, facts=facts)
        if found["lock_missing"]:
            self.note(f"other runs on {node.name} are not kept apart: {found['lock_missing']}")

    def refuse(self, node: Node, why: str) -> None:
        """Give a node no work any more."""
        node.state = "refused"
        self.refused[node.name] = why
        self.books.record("node_refused", name=node.name, why=why)
        self.note(f"{node.name} is not used: {why}")

    def note(self, text: str) -> None:
        """Tell whoever watches."""
        self.books.emit({"event": "note", "text": text})

    def check(self) -> None:
        """Wait for nodes, but not for ever.

        Raises:
            StoreError: there are none, or none that can be used.
        """
        now = time.monotonic()
        if any(node.state != "refused" for node in self.present.values()):
            self._able, self._told = now, False
            return
        waited = now - self._able
        if not self._told and waited > 1.0:
            self._told = True
            self.note(f"no worker of {self.address} can be used now; waiting for one for {WAIT_SECONDS:g} s")
        if self.refused and set(self.present) <= set(self.refused) and self.present and waited > REFUSED_SECONDS:
            whys = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
            raise StoreError(f"no worker of the cluster {self.address} can be used ({whys}). {self.standing()}")
        if waited > WAIT_SECONDS:
            how = (
                ""
                if self.address.startswith("local:")
                else f"; start some with: dask worker {self.address} --nthreads 1"
            )
            raise StoreError(
                f"the cluster {self.address} has had no worker for {WAIT_SECONDS:g} s{how}. {self.standing()}"
            )

    def standing(self) -> str:
        """How far the run is, and how it goes on."""
        done, cases = len(self.books.ledger.ends), len(self.books.cases)
        return (
            f"{done} of {cases} cases are finished and what was measured is stored; the same command goes on, with "
            f"--cluster on a cluster or without on this machine."
        )
