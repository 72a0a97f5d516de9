"""The drawn graph on the page of a study: made from the stored tape and inputs, whose values are computed again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DifflabError
from ..harness.drawings import Kept
from ..walk.columns import values_of
from ..walk.drawing import fragment, steps
from ..walk.drawing.draw import Drawing, draw
from . import cases as readings
from . import numbers

HEADING = "The graph, step by step"
MOST_BYTES = 250_000
"""What the section may add to a page, in bytes."""


@dataclass(frozen=True)
class Section:
    """What the page says of the graph: sentences, value and gradient, and the drawing as markup.

    Where it cannot be drawn, ``missing`` is the sentence that says why and all else but the heading is empty.
    """

    heading: str = HEADING
    text: tuple[str, ...] = ()
    answer: str = ""
    markup: str = ""
    missing: str = ""


def section(kept: Kept | None) -> Section | None:
    """The section of a page.

    Args:
        kept: what the run keeps for it.

    Returns:
        The section; ``None`` where there is nothing to draw.

    >>> section(None) is None
    True
    """
    if kept is None:
        return None
    of = f"{readings.title(kept.problem)} at size {kept.size}"
    if kept.tape is None:
        return Section(missing=_missing(of, kept.why))
    title = f"{kept.title} ({readings.title(kept.problem)}, {kept.size})"
    try:
        with np.errstate(all="ignore"):
            drawn = draw(kept.tape, values_of(kept.tape, list(kept.leaves)), title=readings.printable(title))
        markup = drawn.fragment
    except (DifflabError, ArithmeticError, LookupError, TypeError, ValueError) as fault:
        return Section(missing=_missing(of, f"its tape cannot be evaluated here: {fault}"))
    if (nbytes := len(markup.encode())) > MOST_BYTES:
        limit = f"a page keeps at most {numbers.size_in_bytes(MOST_BYTES)} for it"
        return Section(missing=_missing(of, f"the drawing takes {numbers.size_in_bytes(nbytes)}, and {limit}"))
    return Section(text=_text(kept, drawn), answer="; ".join(fragment.answer(drawn.graph)), markup=markup)


def sheet() -> str:
    """What the style sheet of a page with a drawing needs besides."""
    return fragment.sheet()


def script() -> str:
    """What the script of a page with a drawing needs besides."""
    return fragment.script()


def _text(kept: Kept, drawn: Drawing) -> tuple[str, ...]:
    """What is drawn, how one goes through it, and where its numbers are from."""
    title, of = readings.printable(kept.title), readings.printable(readings.title(kept.problem))
    found = [
        f"{title} ({of} at size {kept.size}, {kept.dtype}, seed {kept.seed}): one evaluation of its loss, recorded as "
        f"{steps.counted(drawn.graph.tape)}.",
        "Values go forward along the edges from gate to gate; in reverse mode the gradients come back along the same "
        "edges, the last gate first.",
    ]
    if any(one.framed for one in drawn.scene.scenes()):
        found.append("What belongs together has a frame, which folds into one box and unfolds again.")
    found.append(
        "The run keeps the tape and its inputs; all numbers here were computed from them when the page was made."
    )
    return tuple(found)


def _missing(of: str, why: str) -> str:
    why = readings.printable(why).strip().rstrip(".")
    return f"The graph of {readings.printable(of)} is not drawn: {why}."
