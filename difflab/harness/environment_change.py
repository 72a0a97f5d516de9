"""What must stay the same for times to be comparable, and what changed since a run began.

Only stable facts count.  What jitters (load, free memory, clock speed, process ids) never does, and neither do packages
that compute nothing in the run.  A fact that the stored environment lacks, for an older difflab did not write it, is
not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import amounts
from .ledger import Ledger
from .store import FolderError, Store, read_manifest

COMPUTING = ("difflab", "numpy", "scipy", "sympy", "python-flint", "optree")
PEERS = {
    "torch": ("torch",),
    "jax": ("jax", "jaxlib"),
    "autograd": ("autograd",),
    "casadi": ("casadi",),
    "symengine": ("symengine",),
    "numdifftools": ("numdifftools",),
}
"""Packages that compute only where the cases speak of them, by the word that the cases use."""

CUPY = ("cupy-cuda12x", "cupy-cuda13x", "cupy")
"""Packages that compute where cases are on a GPU."""

MEMORY_TOLERANCE = 0.1  # the kernel keeps a little more or less for itself after each update


class Change(NamedTuple):
    """One fact that is not what it was.

    >>> str(Change("numpy", "2.4.1", None))
    'numpy: 2.4.1 -> not installed'
    """

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        package = self.name in (*COMPUTING, *CUPY) or any(self.name in names for names in PEERS.values())
        none = "not installed" if package else "none"
        return f"{self.name}: {self.before or none} -> {self.after or none}"


def changes(
    stored: Mapping[str, Any], present: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]] = ()
) -> list[Change]:
    """The stable facts that differ.

    Args:
        stored: the environment as ``environment.describe`` gave it when the run began, or when it last changed.
        present: the same for now.
        blocks: those of the manifest, whose cases say which optional packages and devices take part.

    >>> changes({"packages": {"numpy": "2.4.1"}}, {"packages": {"numpy": "2.4.2"}})
    [Change(name='numpy', before='2.4.1', after='2.4.2')]
    """
    before, now = facts(stored, blocks), facts(present, blocks)
    found = [Change(name, value, now.get(name)) for name, value in before.items() if value != now.get(name)]
    for name in ("memory", "memory limit"):
        key = "memory_bytes" if name == "memory" else "memory_limit_bytes"
        if key in stored and not _alike(stored[key], present.get(key)):
            found.append(Change(name, _size(stored[key]), _size(present.get(key))))
    return found


def facts(environment: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]] = ()) -> dict[str, str | None]:
    """The key of an environment: its stable facts as texts, but for amounts of memory, which are compared by size."""
    found: dict[str, str | None] = {}
    for name, key in (("processor", "cpu"), ("processors usable", "cores"), ("processor limit", "processor_limit")):
        if key in environment:
            found[name] = _text(environment[key])
    if "platform" in environment:
        words = str(environment["platform"]).split()  # system, release of the kernel, processor family
        found["operating system"] = f"{words[0]} {words[-1]}"
    if "python" in environment:
        python = ".".join(str(environment["python"]).split(".")[:2])
        threading = " free-threading" if (environment.get("python_build") or {}).get("free_threading") else ""
        found["Python"] = f"{environment.get('implementation', '')} {python}{threading}".strip()
    if "threads" in environment:
        found["threads"] = _text(environment["threads"])
    if "packages" in environment:
        packages = environment["packages"]
        names = (*COMPUTING, *_peers(blocks), *(CUPY if _on_gpu(blocks) else ()))
        found |= {name: packages[name] for name in names if name in packages}
    if "blas" in environment:
        found |= _libraries(environment)
    if "gpus" in environment and _on_gpu(blocks):
        cards = [f"{one['name']} (driver {one['driver']})" for one in environment["gpus"] or []]
        found["GPU"] = ", ".join(cards) or None
    if "gpu" in environment and _on_gpu(blocks):
        gpu = environment["gpu"]
        found["CUDA device"] = f"{gpu['name']}, CUDA {gpu['cuda_runtime']}" if "name" in gpu else None
    return found


def settle(target: Store, ledger: Ledger, present: dict[str, Any], allowed: bool) -> list[Change]:
    """Compare a run that is resumed with the machine it is resumed on.

    Args:
        target: the run, opened for writing.
        ledger: what is known of it; a change that is allowed is stored and taken into it.
        present: the environment now.
        allowed: whether the run may go on in another environment.

    Returns:
        What changed.

    Raises:
        FolderError: something changed and that is not allowed; nothing was written.
    """
    manifest = read_manifest(target.folder)
    found = changes(last(manifest, target.events), present, manifest.get("blocks") or ())
    if found and not allowed:
        raise refuse(target.folder, found)
    described = [event["number"] for event in target.events if event["kind"] == "environment_changed"]
    if found or ledger.environment != (described or [0])[-1]:  # or a repair found the description of the last one lost
        data = {"number": ledger.next_environment, "changes": [list(change) for change in found]}
        target.append("environment_changed", **data, environment=present)
        ledger.apply({"kind": "environment_changed", **data})
    return found


def refuse(folder: Path, found: Iterable[Change]) -> FolderError:
    """The error that says what changed and leaves the choice to the user."""
    lines = "".join(f"\n  {change}" for change in found)
    return FolderError(
        f"{folder} holds a run that began in another environment:{lines}\n"
        f"Times of two environments cannot be compared. To go on in this one, run again with --allow-env-change: all "
        f"cases that are not finished are then measured afresh. For a new run, choose a new folder with --out DIR."
    )


def last(manifest: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The environment in which a run was measured last: of its last change, or else of its beginning."""
    found = manifest.get("environment") or {}
    for event in events:
        if event["kind"] == "environment_changed":
            found = event["environment"]
    return dict(found)


def _libraries(environment: Mapping[str, Any]) -> dict[str, str | None]:
    """Name, version, kernels of the BLAS of NumPy and of SciPy; with kernels that difflab chose, those."""
    used = (environment.get("kernels") or {}).get("used")
    found: dict[str, str | None] = {}
    for one in environment["blas"]:
        if one.get("user_api", "blas") == "blas":
            # a run of an older difflab stored NumPy's alone, without saying whose it is
            of = one["of"] if one.get("of") else "numpy"
            words = [one.get("internal_api"), one.get("version"), used or one.get("architecture")]
            found[f"BLAS of {of}"] = " ".join(str(word) for word in words if word)
    return found


def _peers(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    text = json.dumps([case["spec"] for block in blocks for case in block["cases"]]).lower()
    return [package for word, packages in PEERS.items() if word in text for package in packages]


def _on_gpu(blocks: Sequence[Mapping[str, Any]]) -> bool:
    return any(case["spec"].get("device", "cpu") != "cpu" for block in blocks for case in block["cases"])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _size(nbytes: int | None) -> str | None:
    return None if nbytes is None else amounts.size(nbytes)


def _alike(before: int | None, after: int | None) -> bool:
    if before is None or after is None:
        return before is after
    return abs(before - after) <= MEMORY_TOLERANCE * max(before, after)
