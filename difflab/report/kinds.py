"""What a page shows of a study with a claim: each kind but the plain comparison has a module that reads its cases."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..harness import study_kinds
from .answer import Answer
from .cases import Case
from .terms import Term

if TYPE_CHECKING:
    from .figures import Chart
    from .tables import Table

KINDS = tuple(name for name in study_kinds.KINDS if name != "compare")


@dataclass(frozen=True)
class Listing:
    """A table with a heading of its own, below the charts; ``text`` says how to read it."""

    anchor: str
    heading: str
    text: str
    table: Table


@dataclass(frozen=True)
class Sections:
    """What the page has instead of the comparison's charts, and of its scoreboard unless ``scoreboard`` is set.

    ``charts`` come in their order, then ``tables``.  ``matrix``, a table of marks, is ``caption``, ``head`` (titles,
    that of the rows first), ``rows`` (``name``, ``sentence``, ``link``, ``link_text``, ``cells`` with ``text``,
    ``mark``, ``title`` and perhaps ``word``, which is read aloud) and ``notes``; a ``mark`` is ``right``, ``allowed``,
    ``wrong``, ``void``, ``refused``, ``none``, or ``set`` for what is no answer but says which ones would be right.
    ``glossary``: terms of the kind, of which the page explains those that it uses; ``method``: how it was measured, in
    sentences.
    """

    answer: Answer
    charts: tuple[Chart, ...] = ()
    tables: tuple[Listing, ...] = ()
    matrix: Mapping[str, Any] | None = None
    glossary: tuple[Term, ...] = ()
    method: tuple[str, ...] = ()
    scoreboard: bool = False


def kind_of(manifest: Mapping[str, Any]) -> str:
    """The kind of the study of a run; what is not a study compares.

    >>> kind_of({"study": {"answer": "steps"}}), kind_of({})
    ('steps', 'compare')
    """
    return str((manifest.get("study") or {}).get("answer") or "compare")


def sections(kind: str, cases: Sequence[Case]) -> Sections:
    """What the module of a kind makes of the cases.

    Args:
        kind: one of ``KINDS``.
        cases: all rows of a run, with their findings.
    """
    return importlib.import_module(f".claims.{kind}", __package__).sections(cases)
