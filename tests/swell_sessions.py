"""Open cases of the study of expression swell, for its examination."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from difflab.harness.session import Session

SETTINGS = {"settings": {"evaluations": 100}, "quick": False}


def session(backend: str, problem: str = "deep-mlp", size: str = "depth-2", **options: Any) -> Session:
    """A session with the case open, whose channel hears nothing."""
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    opened = Session(channel)
    spec = {"problem": problem, "size": size, "dtype": "float64", "operator": "gradient", "seed": 0}
    opened.open({"spec": {**spec, "backend": backend, "options": options}})
    return opened
