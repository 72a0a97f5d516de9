"""What the self-tests of a run say of its bytes: that they can be trusted, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..harness.memory import TOLERANCE
from . import numbers

PARTS = (("Peaks of memory", ()), ("Bytes of arrays", ("arrays",)))


def caveats(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each kind of bytes that this run does not have because its self-test failed.

    Args:
        environment: the manifest's description of machine and software.

    Returns:
        Nothing where the tests passed, or were not made.

    Example:
        >>> caveats({"memory_self_test": {"error": None, "reason": "this system does not say it"}})
        ('Peaks of memory are not given: this system does not say it.',)
    """
    return tuple(
        f"{name} are not given: {found['reason']}." for name, found in _found(environment) if found.get("reason")
    )


def row(environment: Mapping[str, Any]) -> str:
    """What was read back, for the table of the machine; empty where nothing was tested."""
    said = []
    for name, found in _found(environment):
        if found.get("reason"):
            said.append(f"{name.lower()}: not given, {found['reason']}")
        elif found.get("error") is not None and abs(found["error"]) <= TOLERANCE:
            size = numbers.trimmed(numbers.size_in_bytes(found["expected"]))
            share = numbers.signed(f"{100 * found['error']:+.2f} %")
            said.append(f"{name.lower()}: {size} read back with an error of {share}")
    return "; ".join(said)


def _found(environment: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    whole = environment.get("memory_self_test") or {}
    parts = [(name, whole.get(key[0]) if key else whole) for name, key in PARTS]
    return [(name, found) for name, found in parts if found]
