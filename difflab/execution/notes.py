"""What programs note about themselves, some of it only after they were called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..arrays import is_device_array


class Later(NamedTuple):
    """A note that is made when somebody reads it: ``ask()`` gives it, ``None`` while it is not known."""

    ask: Callable[[], Any]


def settled(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Notes as they stand now; what a call left on a GPU is fetched, and what is not known yet is left out.

    Args:
        notes: of a program or of what a backend prepared.

    Returns:
        Plain values.

    Example:
        >>> settled({"buffers": 3, "captured": Later(lambda: True), "nodes": Later(lambda: None)})
        {'buffers': 3, 'captured': True}
    """
    found: dict[str, Any] = {}
    for key, value in notes.items():
        if isinstance(value, Later):
            value = value.ask()
            if value is None:
                continue
        found[key] = value.item() if is_device_array(value) else value
    return found
