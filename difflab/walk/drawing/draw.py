"""The drawn graph, and the page of its own: one file that needs no network, the same bytes whenever it is made."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import StoreError
from ...pages import policy
from ...tape import Tape
from . import coordinates, steps
from . import fragment as fragments
from .graph import Graph, graph
from .layers import Group, layered, parameters
from .scene import Scene, scene

FOLDED = 16
"""Tapes of more equations begin folded."""
ACROSS, WIDE = 20, 1620.0
"""Tapes of at most so many equations are drawn from left to right where that is at most so many pixels wide."""
PAGE, SHEET = "draw.html.j2", "draw.css"


@dataclass(frozen=True)
class Drawing:
    """A drawn graph: ``html`` is the page, ``graph`` what is drawn, ``scene`` in which groups and order.

    ``title``: what it is the graph of; ``down`` says whether values flow downwards, ``unfolded`` which groups are open
    at first.
    """

    title: str
    graph: Graph = field(repr=False)
    scene: Scene = field(repr=False)
    down: bool
    unfolded: tuple[str, ...]

    @cached_property
    def html(self) -> str:
        """The page, which is about nothing else."""
        from markupsafe import Markup

        from ... import __version__

        sheet, script = fragments.asset(SHEET) + fragments.sheet(), fragments.script()
        page = fragments.environment().get_template(PAGE)
        return page.render(
            policy=policy(sheet, script),
            version=__version__,
            title=self.title,
            counted=steps.counted(self.graph.tape),
            answer=fragments.answer(self.graph),
            fragment=Markup(self._part(whole=True)),
            sheet=Markup(sheet),
            script=Markup(script),
        )

    @cached_property
    def fragment(self) -> str:
        """The drawing as a part of a page, as of ``fragment.fragment``."""
        return self._part(whole=False)

    def _part(self, *, whole: bool) -> str:
        down, unfolded = self.down, self.unfolded
        with np.errstate(all="ignore"):
            return fragments.fragment(self.graph, self.scene, self.title, down=down, unfolded=unfolded, whole=whole)

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Args:
            path: the file, such as ``graph.html``; what is there is replaced.

        Returns:
            The path.

        Raises:
            StoreError: it cannot be written.
        """
        target = Path(path)
        try:
            target.write_text(self.html, encoding="utf-8", newline="\n")
        except (OSError, ValueError) as error:  # a name with a null character is a ValueError
            why = getattr(error, "strerror", None) or error
            raise StoreError(f"the drawing cannot be written to {target}: {why}; name a file that can be") from error
        return target

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own."""
        name = html.escape(f"Computation graph of {self.title}")
        return f'<iframe title="{name}" srcdoc="{html.escape(self.html)}" width="100%" height="640"></iframe>'


def draw(
    tape: Tape,
    values: Mapping[int, np.ndarray],
    *,
    title: str,
    tangent: str | None = None,
    cotangent: Any = None,
) -> Drawing:
    """Draw a tape whose values are known.

    Args:
        tape: of one output, with the names of its inputs.
        values: every value by number, as of ``columns.values_of``.
        title: the heading of the page.
        tangent: name of the input whose tangent is 1 in the table; the first one by default.
        cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.

    Returns:
        The drawing.

    Raises:
        InputError: no such input, no input of floating-point numbers, or an output that is no number.

    Example:
        >>> from difflab import trace
        >>> found = trace(lambda x, y: x * y, 2.0, 3.0)
        >>> draw(found.tape, found.values(), title="A product").html[:15]
        '<!DOCTYPE html>'
    """
    with np.errstate(all="ignore"):
        found = graph(tape, values, tangent=tangent, cotangent=cotangent)
        whole = layered(tape, found.names)
        root, groups, down = _arranged(found, whole, parameters(tape))
        unfolded = () if len(tape) > FOLDED else tuple(groups)
        return Drawing(title, found, root, down, unfolded)


def _arranged(found: Graph, whole: Group, own: set[int]) -> tuple[Scene, list[str], bool]:
    """The scene, its groups, and whether it goes down: to the right as lectures do, unless it is long or has layers."""
    if len(found.tape) <= ACROSS and not any(group.kind == "layer" for group in whole.groups()):
        root = scene(found, whole, own, down=False)
        groups = [one.key for one in root.scenes() if one.framed]
        if coordinates.place(root, groups, down=False).width <= WIDE:
            return root, groups, False
    root = scene(found, whole, own, down=True)
    return root, [one.key for one in root.scenes() if one.framed], True
