"""CuPy's stand-in as worker processes import it: this folder on their PYTHONPATH is all that it takes."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import pool_double


class Patch:
    """What the stand-in asks of pytest's monkeypatch; nothing is put back, for the process ends."""

    def setitem(self, mapping: MutableMapping[str, Any], name: str, value: Any) -> None:
        mapping[name] = value

    def setattr(self, target: Any, name: str, value: Callable[..., Any]) -> None:
        setattr(target, name, value)


pool_double.install(Patch())
