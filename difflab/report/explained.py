"""Words explained in place: where a page first uses a term of its glossary, the term opens its meaning.

The meaning is a popover of HTML itself, which opens and closes without a script; a browser that knows none shows the
term as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from . import terms
from .details import slug
from .terms import Term

if TYPE_CHECKING:
    from markupsafe import Markup


BEFORE = re.compile(r"[^\w\s]*\Z")  # an opening bracket
AFTER = re.compile(r"(?:'s\b)?[^\w\s]*")
BUTTON = '<button type="button" class="term" popovertarget="{}">{}</button>'
HELD = f'<span class="held">{{}}{BUTTON}{{}}</span>'  # a line may end on either side of a button: here not


class Explained:
    """The terms of one page, and which of them it has explained so far.

    Args:
        glossary: the terms with their meanings.
        tight: what else is done to sentences, from plain text to plain text.

    >>> page = Explained([Term("Tape", "A list of steps.")])
    >>> str(page.text("One tape."))
    'One <span class="held"><button type="button" class="term" popovertarget="w-tape">tape</button>.</span>'
    >>> str(page.text("The tape again.")), [term.name for _, term in page.meanings]
    ('The tape again.', ['Tape'])
    """

    def __init__(self, glossary: Iterable[Term], tight: Callable[[str], str] = str) -> None:
        self._terms, self._tight = list(glossary), tight
        self._ids = _ids(self._terms)
        self._pattern = terms.pattern(self._terms)
        self._in_text: set[str] = set()
        self._in_headings: set[str] = set()

    @property
    def meanings(self) -> list[tuple[str, Term]]:
        """The terms that can be opened so far, each with the id of its popover."""
        asked = self._in_text | self._in_headings
        return [(self._ids[term.name], term) for term in self._terms if term.name in asked]

    def text(self, sentence: str) -> Markup:
        """A sentence as markup, in which the terms that no sentence used before are buttons.

        Args:
            sentence: plain text.
        """
        from markupsafe import Markup, escape

        plain, parts, end = self._tight(str(sentence)), [], 0
        for found in self._pattern.finditer(plain):
            term = terms.owner(self._terms, found[0])
            if term is None or term.name in self._in_text:
                continue
            self._in_text.add(term.name)
            start, since = found.start(), end
            before, after = BEFORE.search(plain, since, start), AFTER.match(plain, found.end())
            head, tail = before[0] if before else "", after[0] if after else ""
            parts.append(escape(plain[since : start - len(head)]))
            if head or tail:
                parts.append(Markup(HELD).format(head, self._ids[term.name], found[0], tail))
            else:
                parts.append(Markup(BUTTON).format(self._ids[term.name], found[0]))
            end = found.end() + len(tail)
        return Markup("").join([*parts, escape(plain[end:])])

    def ask(self, heading: str) -> Markup:
        """A button beside a heading that begins with a term which no heading had before; otherwise nothing.

        Args:
            heading: plain text.
        """
        from markupsafe import Markup

        found = self._pattern.match(str(heading))
        term = terms.owner(self._terms, found[0]) if found else None
        if found is None or term is None or term.name in self._in_headings:
            return Markup("")
        self._in_headings.add(term.name)
        button = '<button type="button" class="ask" popovertarget="{}" aria-label="What is: {}?">?</button>'
        return Markup(button).format(self._ids[term.name], found[0])


def _ids(glossary: Iterable[Term]) -> dict[str, str]:
    """An id for the popover of every term, by the term's name."""
    found: dict[str, str] = {}
    for term in glossary:
        name = f"w-{slug(term.name) or 'term'}"
        found[term.name] = name if name not in found.values() else f"{name}-{len(found)}"
    return found
