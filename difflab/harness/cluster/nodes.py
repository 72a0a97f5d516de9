"""The nodes of a cluster: what each one is, whether it can be used, and which of them are one machine.

Times of two machines are never compared, so what a node measures carries the number of its environment: the machine
together with the versions of what computes on it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import environment_change
from ..catalogue import Catalogue
from ..journal import canonical
from ..study import Study


@dataclass
class Node:
    """A Dask worker: ``name`` is its address, ``environment`` the number of its machine and versions.

    ``state`` is ``met``, ``greeted``, ``ready`` or ``refused``; ``unit`` the name of what it was sent last.
    ``variables`` are set for its workers, ``speeds`` is its calibration; ``blobs`` are the files that it has.
    """

    name: str
    state: str = "met"
    environment: int = -1
    variables: dict[str, str] = field(default_factory=dict)
    speeds: dict[str, Any] | None = None
    unit: str | None = None
    failures: int = 0
    blobs: set[str] = field(default_factory=set)


def host() -> str:
    """A text that is the same for all processes of one machine and for no other: its name, its id, its boot.

    >>> host() == host()
    True
    """
    parts = [os.uname().nodename]
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            parts.append(Path(path).read_text().strip())
        except OSError:
            parts.append("")
    return " ".join(parts)


def key(where: str, facts: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> str:
    """The identity of an environment, as a short hash.

    Args:
        where: the ``host`` of the machine.
        facts: its environment.
        blocks: those of the manifest, whose cases say which packages take part.
    """
    stable = environment_change.facts(facts, blocks)
    return hashlib.sha256(canonical([where, stable]).encode()).hexdigest()[:16]


def packed(catalogue: Catalogue) -> dict[str, Any]:
    """A catalogue as a JSON value."""
    return {**asdict(catalogue), "refused": [[position, whys] for position, whys in catalogue.refused.items()]}


def unpacked(value: Mapping[str, Any]) -> Catalogue:
    """The catalogue that ``packed`` gave.

    >>> unpacked(packed(Catalogue({}, {}, {}, {0: [("", "why")]}))).refused
    {0: [('', 'why')]}
    """
    refused = {position: [(option, why) for option, why in whys] for position, whys in value["refused"]}
    return Catalogue(**{**value, "refused": refused})


def other_difflab(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """Why a node's difflab cannot take part, if it cannot: both must be the same to the letter.

    >>> other_difflab({"version": "1", "source": "a"}, {"version": "2", "source": "b"})
    'it has difflab 2, and this is difflab 1'
    """
    if own["version"] != theirs["version"]:
        return f"it has difflab {theirs['version']}, and this is difflab {own['version']}"
    if own["source"] != theirs["source"]:
        return f"its difflab {theirs['version']} differs in its source from this one"
    return None


def shortcomings(
    study: Study,
    own: Catalogue,
    facts: Mapping[str, Any],
    found: Mapping[str, Any],
    blocks: Sequence[Mapping[str, Any]],
) -> str | None:
    """What a node lacks of what the study needs and the coordinator's machine has, in words.

    Args:
        study: what is asked.
        own: what there is to choose from here.
        facts: the environment here.
        found: what the node says of itself (``catalogue``, ``environment``).
        blocks: those of the manifest.
    """
    theirs, lacking = unpacked(found["catalogue"]), []
    here, there = (environment_change.facts(one, blocks) for one in (facts, found["environment"]))
    lacking += [name for name in facts["packages"] if here.get(name) is not None and there.get(name) is None]
    for problem in study.problems:
        if problem.name in theirs.broken:
            lacking.append(f"problem {problem.name}: {theirs.broken[problem.name]}")
        elif missing := set(problem.sizes) - set(theirs.problems.get(problem.name, ())):
            lacking.append(f"problem {problem.name} of size {', '.join(sorted(missing))}")
    for position, backend in enumerate(study.backends):
        usable = own.backends.get(backend.name) not in (None, "unavailable") and position not in own.refused
        if usable and (theirs.backends.get(backend.name) in (None, "unavailable") or position in theirs.refused):
            why = theirs.refused[position][0][1] if position in theirs.refused else "its package is missing"
            lacking.append(f"backend {backend.name}: {why}")
    return f"it lacks {'; '.join(dict.fromkeys(lacking))}" if lacking else None
