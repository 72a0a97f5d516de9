"""Reading which problem the page of a study draws, ``[drawing]``: every fault with its place."""

from __future__ import annotations

from .catalogue import DTYPES, Catalogue, suggestion
from .study import DrawingChoice
from .study_reader import Reader, shown

TABLE = "drawing"
KEYS = ("problem", "size", "dtype")


def named(read: Reader) -> list[str]:
    """The name of the problem as the study gives it, to be looked up; empty where there is none."""
    table = read.document.get(TABLE)
    name = table.get("problem") if isinstance(table, dict) else None
    return [name] if isinstance(name, str) else []


def read_drawing(read: Reader, catalogue: Catalogue) -> DrawingChoice | None:
    """The problem that is drawn, checked against what there is.

    Args:
        read: collects the faults.
        catalogue: knows the problem that the study names.

    Returns:
        The choice, or ``None`` where the study asks for no drawing or for one that is none.
    """
    if TABLE not in read.document:
        return None
    table, path = read.table(TABLE), (TABLE,)
    read.unknown(path, table, KEYS)
    if not isinstance(read.document[TABLE], dict):
        return None
    name = read.string(path, table, "problem")
    sizes = catalogue.problems.get(name)
    if name and sizes is None:
        hint = f"unknown problem {shown(name)} {suggestion(name, list(catalogue.problems))}"
        read.fault((*path, "problem"), catalogue.broken.get(name, hint))
    elif name in catalogue.traps:
        read.fault((*path, "problem"), f"{name!r} is a zoo of traps and has no graph of its own; name another")
    smallest = sizes[0] if sizes else ""
    size = read.string(path, table, "size", smallest) if sizes or "size" in table else ""
    if sizes and size and size not in sizes:
        read.fault((*path, "size"), f"unknown size {shown(size)} {suggestion(size, sizes)}")
    dtype = read.choice(path, table, "dtype", DTYPES, "float64")
    return DrawingChoice(name, size, dtype)
