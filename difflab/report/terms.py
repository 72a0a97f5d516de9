"""Terms of the field with what they mean, and which of them a page uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import unescape
from typing import NamedTuple

UNREAD = re.compile(r"<(script|style|pre)\b.*?</\1>|<div[^>]* popover>.*?</div>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")


class Term(NamedTuple):
    """A term with its ``meaning`` in a sentence or two; ``also`` are other forms of it that texts use, as plurals.

    ``name`` begins with a capital, as a heading.  Texts are searched for it and for ``also`` whatever their capitals;
    a form in capitals alone, such as ULP, is found only as it is.
    """

    name: str
    meaning: str
    also: tuple[str, ...] = ()

    @property
    def forms(self) -> tuple[str, ...]:
        """Everything that stands for the term in a text, longest first.

        >>> Term("Tape", "A list of steps.", ("tapes", "tape length")).forms
        ('tape length', 'tapes', 'Tape')
        """
        return tuple(sorted({self.name, *self.also}, key=lambda form: (-len(form), form)))


def pattern(terms: Iterable[Term]) -> re.Pattern[str]:
    """One expression that finds every form of the terms as whole words, the longest form that fits first.

    Args:
        terms: those to look for.

    >>> [found[0] for found in pattern([Term("Tape", "", ("tapes",))]).finditer("Two tapes, one taper, a tape.")]
    ['tapes', 'tape']
    """
    forms = sorted({form for term in terms for form in term.forms}, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(_either, forms)) or '(?!)'})(?![\w-])")


def owner(terms: Iterable[Term], found: str) -> Term | None:
    """The term that a form stands for which ``pattern`` found.

    Args:
        terms: those that were looked for.
        found: as it stands in the text.

    >>> owner([Term("Tape", "A list of steps.", ("tapes",))], "tapes").name
    'Tape'
    """
    words = " ".join(found.split())
    return next(
        (
            term
            for term in terms
            if any(words == form or (words.lower() == form.lower() and not form.isupper()) for form in term.forms)
        ),
        None,
    )


def _either(form: str) -> str:
    """A form in any capitals, its spaces wherever a line may break; one in capitals alone only as it is."""
    text = r"\s+".join(map(re.escape, form.split()))
    return text if form.isupper() else f"(?i:{text})"


def text_of(page: str) -> str:
    """The text of a page that is read: without marks, scripts, what opens on demand, and files as they are.

    Args:
        page: HTML.

    >>> text_of("<p>A <b>tape</b> &amp; a</p><p>tie.</p><pre>null</pre>")
    'A tape & a tie.'
    """
    return " ".join(unescape(TAG.sub(" ", UNREAD.sub(" ", page))).split())


def used(terms: Sequence[Term], text: str) -> list[Term]:
    """The terms that a text uses, in their order.

    Args:
        terms: all that there are explanations of.
        text: without marks and with single spaces, as ``text_of`` gives it.

    >>> [term.name for term in used([Term("Tape", ""), Term("Tie", "", ("ties",))], "Ties on a taper.")]
    ['Tie']
    """
    lowered = text.lower()
    return [term for term in terms if _there(term.forms, text, lowered)]


def _there(forms: Iterable[str], text: str, lowered: str) -> bool:
    """Whether a text, given in small letters too, holds one of the forms as words of its own."""
    for form in forms:
        where, sought = (text, form) if form.isupper() else (lowered, form.lower())
        # A search for the letters alone is some hundred times quicker than one that minds where words end.
        if sought in where and re.search(rf"(?<![\w-]){re.escape(sought)}(?![\w-])", where):
            return True
    return False
