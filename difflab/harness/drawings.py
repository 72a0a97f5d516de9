"""The tape of the drawing of a study: recorded by a worker, kept in the run folder, read back without the loss itself.

What is kept is the tape as it travels between processes, its constants and its inputs as plain arrays: whoever draws it
computes the values again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StoreError, UnsupportedError
from .amounts import count, size
from .files import digest, write_atomically
from .store import blob_fault

if TYPE_CHECKING:
    from ..tape import Tape

MOST_EQUATIONS = 100
"""A drawing of more is more than a page can hold beside everything else, and than anybody steps through."""
MOST_BYTES = 4 * 2**20
"""What a run folder keeps of constants and inputs, for a picture that shows a few numbers of each."""
TAPE = "tape"
OTHER = "choose another problem"


@dataclass(frozen=True)
class Kept:
    """What a run keeps for its drawing.

    ``problem``, ``size``, ``dtype``, ``seed`` and ``title`` say of what; ``tape`` is recorded with the names of its
    inputs, whose values are ``leaves``, one array each.  Where there is no tape, ``why`` says so in a clause.
    """

    problem: str
    size: str
    dtype: str
    seed: int
    title: str = ""
    tape: Tape | None = None
    leaves: tuple[np.ndarray, ...] = ()
    why: str = ""


def record(spec: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Record the loss of a problem and write its tape, its constants and its inputs to one file.

    Args:
        spec: ``problem``, ``size``, ``dtype`` and ``seed``.
        path: the ``.npz`` file to write; whole or not at all, and on the disk before this returns.

    Returns:
        ``title`` of the problem, ``equations`` of the tape and ``sha256`` of the file; or ``unwritten``, the reason.

    Raises:
        UnsupportedError: the tape is too long, its numbers are too many, or it does not end in one number.
        TraceError: something that cannot be recorded.
    """
    from ..arrays import to_host
    from ..calls import bind
    from ..flat import Function
    from ..problems import Problem
    from .catalogue import find_problem

    problem = find_problem(spec["problem"])
    instance = problem.build(spec["size"], spec["dtype"], spec["seed"])
    bound = bind(instance.loss, instance.args, {}, ())
    tape = Function(instance.loss, bound).trace(names=True)
    check(tape)
    text, constants = tape.to_json()
    arrays: dict[str, Any] = {f"input{at}": np.asarray(to_host(leaf)) for at, leaf in enumerate(bound.leaves)}
    arrays |= constants
    if (nbytes := sum(array.nbytes for array in arrays.values())) > MOST_BYTES:
        raise UnsupportedError(
            f"its inputs and constants are {size(nbytes)}, and a run keeps at most {size(MOST_BYTES)} for a drawing; "
            "choose a smaller size"
        )
    stream = io.BytesIO()
    np.savez(stream, **{TAPE: np.frombuffer(text.encode(), np.uint8), **arrays})
    try:
        write_atomically(Path(path), stream.getvalue(), "Free some space and run again: the run resumes.")
    except StoreError as fault:
        return {"unwritten": str(fault)}
    title = problem.title if isinstance(problem, Problem) else problem.name
    return {"title": str(title), "equations": len(tape), "sha256": digest(Path(path))}


def check(tape: Tape) -> None:
    """Refuse a tape that cannot be drawn.

    Args:
        tape: of a loss.

    Raises:
        UnsupportedError: it is too long, or does not end in one floating-point number.

    >>> from types import SimpleNamespace
    >>> check(SimpleNamespace(equations=[None] * 101))
    Traceback (most recent call last):
    ...
    difflab.errors.UnsupportedError: its loss has 101 equations, and a drawing has at most 100; choose another problem
    """
    if (length := len(tape.equations)) > MOST_EQUATIONS:
        raise UnsupportedError(
            f"its loss has {count(length)} equations, and a drawing has at most {MOST_EQUATIONS}; {OTHER}"
        )
    if own := _own(equation.primitive.name for equation in tape.equations):
        raise UnsupportedError(f"it holds the primitive {own!r}, and a page imports nothing but difflab; {OTHER}")
    ends = [tape.avals[number] for number in tape.outputs]
    if len(ends) != 1 or ends[0].shape != () or ends[0].dtype.kind != "f":
        raise UnsupportedError("its loss is not one floating-point number, so no gradient goes back through it")


def read(folder: Path, chosen: Mapping[str, Any], seed: int, found: Mapping[str, Any]) -> Kept:
    """What a run keeps for its drawing.

    Args:
        folder: of the run.
        chosen: ``problem``, ``size`` and ``dtype``, as the manifest says them.
        seed: of the run.
        found: what the record says: ``file``, ``sha256`` and ``title``, or ``why``.

    Returns:
        The tape and its inputs, or why they are not there.
    """
    from ..tape import Tape

    what = {**{key: str(chosen[key]) for key in ("problem", "size", "dtype")}, "seed": int(seed)}
    if found.get("file") is None:
        return Kept(**what, why=str(found.get("why", "nothing was recorded")))
    if (fault := blob_fault(folder, dict(found))) is not None:
        return Kept(**what, why=f"{found['file']} of the run {fault}; `difflab repair` takes its record out")
    try:
        with np.load(folder / found["file"], allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = arrays.pop(TAPE).tobytes().decode()
        document = json.loads(text)
        if own := _own(name for name, *_ in document["equations"]):  # to read it would be to import it
            raise ValueError(f"it holds the primitive {own!r} of a module that is not difflab's")
        leaves = tuple(arrays[f"input{at}"] for at in range(len(document["inputs"])))
        tape = Tape.from_json(text, arrays)
    except (OSError, KeyError, TypeError, ValueError) as fault:
        return Kept(**what, why=f"{found['file']} of the run holds no tape that can be read here: {fault}")
    return Kept(**what, title=str(found["title"]), tape=tape, leaves=leaves)


def _own(names: Iterable[str]) -> str:
    """The first name of a primitive that names a module to import; empty if none does."""
    return next((name for name in names if ":" in name), "")
