"""A run or a comparison as a notebook shows it: the answer, what limits it, and a small table; no script, no colours.

It is a fragment of HTML that inherits the colours and the letters of the page around it, so that it can be read on
light and on dark paper.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from . import cases as readings
from . import devices, numbers, page
from .cases import Case, family_of
from .nouns import noun
from .templating import tight

TEMPLATE = "card.html.j2"
MOST_ROWS = 40
FILENAME = page.FILENAME


class Run(page.Run, Protocol):
    """What a card needs: the same as a page."""


Write = Callable[[Case], str]
SHOWN: tuple[tuple[str, Write], ...] = (
    ("problem", lambda case: readings.title(case.problem)),
    ("size", lambda case: case.size),
    ("dtype", lambda case: case.dtype),
    ("operator", lambda case: case.operator),
    ("backend", lambda case: case.backend),
    ("outcome", lambda case: f"{case.icon} {case.outcome_words}".strip()),
    ("relative error", lambda case: _known(case.rel_error, numbers.scientific)),
    ("digits", lambda case: _known(case.digits if family_of(case) != "null" else None, numbers.digits)),
    ("one {noun}", lambda case: _known(case.call_s, lambda _: _time(case))),
    ("work ratio", lambda case: _known(case.work_ratio, numbers.times)),
    ("peak", lambda case: _known(case.peak_bytes, lambda value: devices.peak(case, value))),
    ("arrays", lambda case: _known(case.array_bytes, numbers.size_in_bytes)),
    ("certified", lambda case: case.certified.partition(":")[0]),
)
ALWAYS = ("backend", "outcome")
WHERE = ("problem", "size", "dtype", "operator")
"""Columns that are there only where they tell rows apart; of the others, those that hold something."""


def card(results: Run, folder: Path | None = None) -> str:
    """The results as a fragment of a page.

    Args:
        results: of a run, or a comparison.
        folder: of the run, where its page lies.

    Returns:
        HTML without a script, a class, a colour or anything from outside; whatever names say is escaped.

    Example:
        >>> from types import SimpleNamespace
        >>> "no answer" in card(SimpleNamespace(rows=[], manifest={}))
        True
    """
    found, cases = page.answer(results), readings.read(results.rows)
    study = results.manifest.get("study") or {}
    kept = _kept(cases)
    names, rows = _table(kept)
    return _template().render(
        title=readings.printable(study.get("title")) or readings.printable(study.get("name")),
        question=readings.printable(study.get("question")),
        answer=[tight(sentence) for sentence in found.sentences],
        caveats=[tight(sentence) for sentence in found.caveats],
        names=names,
        rows=rows,
        left=len(cases) - len(kept),
        page=_page(results.manifest, folder),
    )


def _known(value: float | None, write: Callable[[float], str]) -> str:
    return "" if value is None else write(value)


def _time(case: Case) -> str:
    return numbers.measured(case.call_s, case.call_s_low, case.call_s_high)


def _kept(cases: Sequence[Case]) -> list[Case]:
    """All cases, or of too many those of the largest size of each problem, as many as a card holds."""
    if len(cases) <= MOST_ROWS:
        return list(cases)
    largest = [case for group in readings.groups(list(cases)) for case in group.cases if case.size == _last(group)]
    return largest[:MOST_ROWS]


def _last(group: readings.Group) -> str:
    """The largest size at which something finished, or the largest."""
    done = [size for size, _ in group.sizes if any(case.ok for case in group.cases if case.size == size)]
    return done[-1] if done else group.sizes[-1][0]


def _table(cases: Sequence[Case]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of the columns that say something."""
    names, columns = [], []
    for name, write in SHOWN:
        texts = [write(case) for case in cases]
        if name in ALWAYS or (len(set(texts)) > 1 if name in WHERE else any(texts)):
            names.append(name.format(noun=noun(cases)))
            columns.append(texts)
    return names, [list(row) for row in zip(*columns, strict=True)]


def _page(manifest: Mapping[str, Any], folder: Path | None) -> str:
    """Where the whole page is, or how to get it."""
    if folder is None:
        return 'save("page.html") writes the whole page'
    path = folder / FILENAME
    return f"the whole page is {path}" if path.exists() else f"difflab report {folder} writes the whole page"


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("difflab.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(TEMPLATE)
