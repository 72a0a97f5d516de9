"""How the command line ends: its exit codes, and which one the rows of a run or a fault of the store deserve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import StoreError

OK, TOLERANCE, BAD_INPUT, UNEXPECTED, STORE, NOTHING, FAULT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 70, 130
EXIT_CODES = """
Exit codes: 0 all well; 1 a gradient misses its tolerance; 2 bad input or configuration; 3 a case failed
unexpectedly (crash, lost); 4 the run folder is damaged or in use; 5 nothing could be measured; 130 interrupted (the
message says which command resumes); 70 a fault of difflab.
"""


def code_of(rows: list[dict[str, Any]]) -> int:
    """The exit code that the rows of a run deserve.

    What a limit or a forecast stopped, and what a backend says it cannot do, are results and not failures.

    >>> code_of([{"outcome": "ok"}, {"outcome": "timeout"}]), code_of([{"outcome": "timeout"}])
    (0, 5)
    """
    outcomes = {row["outcome"] for row in rows}
    if outcomes & {"crash", "lost"}:
        return UNEXPECTED
    if "invalid" in outcomes:
        return TOLERANCE
    return OK if "ok" in outcomes else NOTHING


def store_code(error: StoreError, folder: Path | None) -> int:
    """Bad input if the folder named is the wrong one; otherwise there is a store and something is wrong with it."""
    from ..harness.store import FolderError

    if isinstance(error, FolderError):
        return BAD_INPUT
    stores = Path("reports").glob("*/events.jsonl") if folder is None else [folder / "events.jsonl"]
    return STORE if any(os.path.exists(one) for one in stores) else BAD_INPUT
