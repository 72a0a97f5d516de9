"""What ``nvidia-smi`` says of the GPUs: standard library only, so that the coordinator can ask while a run goes on.

Every field is read on its own terms: what a driver does not know, does not support or writes in a new way is ``None``.
"""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any

SECONDS = 5.0
MEBIBYTE = 2**20
FIELDS: dict[str, tuple[str, str]] = {
    "uuid": ("uuid", "text"),
    "pci": ("pci.bus_id", "text"),
    "name": ("name", "text"),
    "driver": ("driver_version", "text"),
    "memory_bytes": ("memory.total", "mebibytes"),
    "ecc": ("ecc.mode.current", "switch"),
    "mig": ("mig.mode.current", "switch"),
    "persistence": ("persistence_mode", "switch"),
    "power_limit_w": ("power.limit", "number"),
    "sm_mhz_most": ("clocks.max.sm", "number"),
    "memory_mhz_most": ("clocks.max.memory", "number"),
    "sm_mhz": ("clocks.current.sm", "number"),
    "memory_mhz": ("clocks.current.memory", "number"),
    "temperature_c": ("temperature.gpu", "number"),
    "power_w": ("power.draw", "number"),
    "busy_percent": ("utilization.gpu", "number"),
    "slowed": ("clocks_throttle_reasons.active", "reasons"),
}
"""What is asked: our name, the tool's name, and how it is read."""
STATE = ("uuid", "pci", "name", "sm_mhz", "memory_mhz", "temperature_c", "power_w", "slowed")
"""What changes while a run goes on."""
UNKNOWN = re.compile(
    r"^\s*\[?\s*(N/A|Not Supported|Not Available|Unknown.*|GPU requires reset|Insufficient .*)\s*\]?\s*$", re.I
)
REASONS = {
    0x4: "the power cap", 0x8: "a hardware slowdown", 0x20: "its temperature", 0x40: "its temperature",
    0x80: "an external power brake", 0x100: "a display clock setting",
}  # fmt: skip
"""Why a driver may lower the clocks, by bit; idling and clocks that somebody has set are no faults."""

Ask = Callable[[Sequence[str]], "str | None"]


def nvidia_smi(fields: Sequence[str], command: str = "nvidia-smi", seconds: float = SECONDS) -> str | None:
    """What the tool prints for some of its fields, one line per GPU; ``None`` where it is missing or refuses.

    Args:
        fields: names that the tool knows.
        command: the tool.
        seconds: after which it is given up.
    """
    arguments = [command, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


def query(names: Iterable[str] = FIELDS, ask: Ask = nvidia_smi) -> list[dict[str, Any]]:
    """The GPUs that the tool sees, in its order.

    Args:
        names: of ``FIELDS``.
        ask: what runs the tool.

    Returns:
        One dict per GPU with all of ``names``, ``None`` where it is not known; empty without the tool.

    >>> query(["name", "sm_mhz", "ecc"], lambda fields: "Made Up, 1980, [N/A]\\n")
    [{'name': 'Made Up', 'sm_mhz': 1980.0, 'ecc': None}]
    """
    names = list(names)
    text = ask([FIELDS[name][0] for name in names])
    if text is not None:
        return [dict(zip(names, map(_value, names, row), strict=True)) for row in _rows(text, len(names))]
    if len(names) == 1:
        return []
    return _one_by_one(names, ask)  # the tool refuses all of a question with a field that it does not know


def _one_by_one(names: list[str], ask: Ask) -> list[dict[str, Any]]:
    """Each field in a question of its own, once the tool has answered one at all."""
    first = query(["name"], ask)
    if not first:
        return []
    found: list[dict[str, Any]] = [dict.fromkeys(names) for _ in first]
    for name in names:
        column = first if name == "name" else query([name], ask)
        if len(column) == len(found):
            for one, value in zip(found, column, strict=True):
                one[name] = value[name]
    return found


def state(uuid: str | None, ask: Ask = nvidia_smi) -> dict[str, Any]:
    """Clocks, temperature and power of one GPU now; empty where nothing says.

    Args:
        uuid: of the GPU, as ``GPU-...``.
        ask: what runs the tool.
    """
    found = match(query(STATE, ask), uuid, None, None)
    return {} if found is None else {key: value for key, value in found.items() if key not in ("uuid", "pci", "name")}


def match(
    cards: Sequence[dict[str, Any]], uuid: str | None, pci: str | None, name: str | None
) -> dict[str, Any] | None:
    """The one of several GPUs that another source calls by these, or ``None``: never one that only might be it.

    Args:
        cards: what ``query`` gave.
        uuid: as ``GPU-...``; a part of a GPU (MIG) has one that the tool does not list.
        pci: the address on the bus, such as ``0000:1b:00.0``.
        name: as the runtime says it.

    >>> match([{"uuid": "GPU-1", "pci": "00000000:1B:00.0", "name": "A"}], None, "0000:1b:00.0", None)["name"]
    'A'
    """
    for one in cards:
        if uuid is not None and one.get("uuid") == uuid:
            return one
    for one in cards:
        if pci is not None and _bus(one.get("pci")) == _bus(pci):
            return one
    if len(cards) == 1 and (uuid is None or (name is not None and cards[0].get("name") == name)):
        return cards[0]
    return None


def _bus(text: str | None) -> str | None:
    """Domain, bus and device without leading zeros of the domain, which tools write with four or eight digits."""
    return None if not text else text.lower().lstrip("0")


def _rows(text: str, width: int) -> list[list[str]]:
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [row for row in rows if len(row) == width]


def _value(name: str, text: str) -> Any:
    """One field, read as its kind."""
    kind, text = FIELDS[name][1], text.strip()
    if not text or UNKNOWN.match(text):
        return None
    if kind == "text":
        return text
    if kind == "switch":
        return {"enabled": True, "disabled": False}.get(text.lower())
    if kind == "reasons":
        return reasons(text)
    match = re.match(r"^-?\d+(\.\d+)?", text)
    if match is None:
        return None
    return int(float(match[0]) * MEBIBYTE) if kind == "mebibytes" else float(match[0])


def reasons(text: str) -> list[str] | None:
    """Why the clocks are lowered, from the tool's bit mask; none for a GPU that idles or runs freely.

    >>> reasons("0x0000000000000001"), reasons("0x0000000000000024"), reasons("odd")
    ([], ['the power cap', 'its temperature'], None)
    """
    try:
        bits = int(text, 16)
    except ValueError:
        return None
    return list(dict.fromkeys(words for bit, words in REASONS.items() if bits & bit))
