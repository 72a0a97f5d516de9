"""What is asked of a coordinator: one JSON value on its standard input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Request:
    """A run, or a forecast of one.

    ``study``: the name of a shipped study, or the path of a study file.  ``out``: the run folder, ``None`` for
    ``reports/<study>`` or the next free one.  ``quick``: one process per case, at the sizes the study names for it.
    ``seed``: of problems, data and order.  ``allow_env_change``: go on with a run that began on another machine or
    with other versions.  ``cluster``: the address of a Dask scheduler, or ``local:N``; ``None`` for this machine.
    ``dry_run``: forecast every case, measure and write nothing.  ``device``: where all problems are computed, "cpu" or
    "gpu"; ``None`` for what the study says.

    >>> Request.from_json({"study": "digits", "quick": True}).quick
    True
    """

    study: str
    out: str | None = None
    quick: bool = False
    seed: int = 0
    allow_env_change: bool = False
    cluster: str | None = None
    dry_run: bool = False
    device: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON value."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Request:
        """The request that ``to_json`` wrote; what it does not name has its default."""
        return Request(**{one.name: value[one.name] for one in fields(Request) if one.name in value})
