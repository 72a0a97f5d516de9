"""Which machines measured a run on a cluster, for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..harness import environment_change
from . import numbers


def others(manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The machines of a cluster beside the one that the manifest describes, as pairs of a name and a text.

    Args:
        manifest: of the run; ``nodes`` are those that took part.
        rows: of the run.

    >>> node = {"number": 1, "name": "tcp://10.0.0.2:9", "facts": {"cores": 8}}
    >>> others({"environment": {"cores": 4}, "nodes": [node]}, [{"environment": 1}])
    [('Machine 1', '1 case, by the Dask worker at tcp://10.0.0.2:9; it differs: processors usable: 4 -> 8')]
    """
    counts = Counter(row.get("environment") for row in rows)
    found = []
    for node in sorted(manifest.get("nodes") or (), key=lambda one: one["number"]):
        if not counts[node["number"]] or not node["number"]:
            continue
        here, blocks = manifest.get("environment") or {}, manifest.get("blocks") or ()
        changes = environment_change.changes(here, node["facts"], blocks)
        told = f"it differs: {'; '.join(map(str, changes))}" if changes else "of the same kind, with the same versions"
        who = f"{numbers.counted(counts[node['number']], 'case')}, by the Dask worker at {node['name']}"
        found.append((f"Machine {node['number']}", f"{who}; {told}"))
    return found
