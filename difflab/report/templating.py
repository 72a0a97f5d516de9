"""The environment of the templates: everything escaped, nothing undefined, prose that does not break before units."""

from __future__ import annotations

import re
from typing import Any

from . import numbers

TOGETHER = re.compile(
    rf"(?<=\d) (?=\d{{3}}\b|%|[{numbers.MICRO}mn]?s\b|[KMGT]iB\b|B\b|cases?\b|rows?\b|times\b|digits\b|parameters\b"
    rf"|(?:m|b|tr)illion\b|[{numbers.PLUS_MINUS}{numbers.MINUS}])|(?<={numbers.PLUS_MINUS}) (?=\d)|(?<=\)) (?=%)"
)


def tight(text: str) -> str:
    """Prose in which a line never breaks between a number and its unit.

    >>> tight("10 ms") == "10\\N{NO-BREAK SPACE}ms"
    True
    """
    return TOGETHER.sub("\N{NO-BREAK SPACE}", text)


def environment() -> Any:
    """A Jinja environment for the templates of the report, with the filter ``tight``.

    >>> environment().from_string("{{ text }}").render(text="<b>")
    '&lt;b&gt;'
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("difflab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["tight"] = tight
    return made


def asset(made: Any, name: str) -> str:
    """A file beside the templates, as it is.

    Args:
        made: what ``environment`` gives.
        name: of the file.

    >>> asset(environment(), "gallery.css")[:5]
    ':root'
    """
    return made.loader.get_source(made, name)[0]
