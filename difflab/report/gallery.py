"""An index of the pages in a folder: the question and the answer of each, read from the pages themselves.

``python -m difflab.report.gallery reports/gallery`` writes ``reports/gallery/index.html``.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import DifflabError, InputError, StoreError
from ..pages import policy
from .templating import asset, environment

FILENAME = "index.html"
TEMPLATE, SHEET = "gallery.html.j2", "gallery.css"
ABOUT = re.compile(r'<script type="application/json" id="about">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """What an index says of one page.

    ``name``: its folder; ``title``, ``question``, ``answer`` (sentences), ``summary`` (how many cases, and how they
    ended) and ``created`` as they stand on the page; ``quick``: whether the run was a quick one; ``size`` of the file
    in bytes; ``processor``: of the machine that measured.
    """

    name: str
    title: str
    question: str
    answer: tuple[str, ...]
    summary: str
    created: str
    quick: bool
    processor: str
    size: int

    @property
    def day(self) -> str:
        """The day on which the run began."""
        return self.created.partition("T")[0]


def entries(folder: str | Path) -> list[Entry]:
    """What the pages in the folders of a folder say of themselves, by name.

    Args:
        folder: holds one folder per page, each with an ``index.html``.

    Returns:
        One entry per page.

    Raises:
        InputError: there is no such folder, no page in it, or a page that does not say what it is about.

    >>> [one.name for one in entries("reports/gallery")][:2]  # doctest: +SKIP
    ['accuracy', 'alexnet']
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"there is no folder {place}; name one whose folders hold pages, such as reports")
    found = [_entry(path) for path in sorted(place.glob(f"*/{FILENAME}"))]
    if not found:
        raise InputError(f"no folder in {place} holds a page ({FILENAME}); `difflab report RUN` writes one")
    return found


def _entry(path: Path) -> Entry:
    text = path.read_text(encoding="utf-8")
    if (about := ABOUT.search(text)) is None:
        raise InputError(f"{path} does not say what it is about; make it again with `difflab report RUN`")
    said = json.loads(about[1])
    return Entry(name=path.parent.name, size=path.stat().st_size, **{**said, "answer": tuple(said["answer"])})


def render(folder: str | Path) -> str:
    """The index of a folder of pages as text.

    Args:
        folder: holds one folder per page.

    Returns:
        A complete HTML document, the same bytes for the same pages.

    >>> render("reports/gallery")[:15]  # doctest: +SKIP
    '<!DOCTYPE html>'
    """
    from markupsafe import Markup

    made = environment()
    sheet = asset(made, SHEET)
    return made.get_template(TEMPLATE).render(
        entries=entries(folder), sheet=Markup(sheet), policy=policy(sheet, ""), filename=FILENAME
    )


def write(folder: str | Path) -> Path:
    """Write the index of a folder of pages into it.

    Args:
        folder: holds one folder per page.

    Returns:
        The path of the index.

    Raises:
        StoreError: it cannot be written.

    >>> write("reports/gallery")  # doctest: +SKIP
    PosixPath('reports/gallery/index.html')
    """
    target = Path(folder) / FILENAME
    text = render(folder)
    try:
        target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as fault:
        raise StoreError(f"The index {target} cannot be written: {fault.strerror}.") from fault
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m difflab.report.gallery FOLDER")
    try:
        print(write(sys.argv[1]))
    except DifflabError as fault:
        sys.exit(f"difflab: {fault}")
