"""The answer of a study of expression swell: growth, what sharing leaves, the claim of S. Laue, exactness, ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case
from . import examined
from . import swell_laue as laue
from .swell_details import SWOLLEN, endings, ends_of, exact, factor, gone, left_by, sentence, sharing, swollen
from .swell_growth import growth
from .swell_points import MODES, WAYS, Family, Size, plain, read

FORECAST = re.compile(r" \(forecast [^)]*\)")  # told of the first problem alone, the chart of times has all
REFUSED = frozenset({"skipped_predicted"})  # the answer tells where a forecast ended it


def answer(found: Sequence[Family], cases: Sequence[Case]) -> Answer:
    """At most five short paragraphs; what they leave out stands beside the charts and tables.

    Args:
        found: the problems.
        cases: all rows of the run.
    """
    growing = [family for family in found if family.axis and ends_of(family)]
    said = [_grows(growing), _leaves(growing[0])] if growing else ["; ".join(filter(None, map(_single, found)))]
    told = tuple(sentence(text) for text in said if text)
    claim = " ".join(sentence(text) for text in laue.sentences(found))
    rest = (exact(found), _ends(found, all(map(read, cases))))
    told += (*((claim,) if claim else ()), *(sentence(text) for text in rest if text))
    return Answer(told, examined.caveats(cases, told_elsewhere=REFUSED))


def _grows(growing: Sequence[Family]) -> str:
    """How operations grow when they are written out: the first problem in full, a clause for each other."""
    first, *others = growing
    last, law = _last(first), growth(first, "tree")
    verb = "swell" if swollen(last) >= SWOLLEN else "do not swell"
    text = (
        f"written out, expressions {verb} with {first.axis}: {first.title} takes {plain(last.count('tree'))} "
        f"operations at {first.place(last)}, {factor(swollen(last))} times those of reverse mode"
    )
    if law is not None:
        text += f", growing {law.words(first.axis)} (95 % interval {law.interval})"
    for family in others:
        last, law = _last(family), growth(family, "tree")
        fits = f"{factor(swollen(last))} times" if law is None else f"{law.words(family.axis)} ({law.interval})"
        text += f"; with {family.axis}, {fits}"
    return text


def _leaves(family: Family) -> str:
    """What sharing leaves of that, and what a graph derived from the root has."""
    last = _last(family)
    left, law, tape = last.count(left_by(last)), sharing(family, last), last.count("tape") or 1.0
    if left is None or law is None:
        return ""
    text = (
        f"{gone(family, last, law)}: {plain(left)} operations remain, {factor(left / tape)} times those of reverse "
        f"mode, growing {law.words(family.axis)}"
    )
    root, rival = last.count("graph"), growth(family, "graph")
    if root:
        text += f"; a graph from the root has {plain(root)}"
        text += "" if rival is None else f", growing {rival.words(family.axis)}"
    return text


def _last(family: Family) -> Size:
    """The largest size whose tree was counted."""
    ends = ends_of(family)
    return ends[1] if ends else family.sizes[-1]


def _single(family: Family) -> str:
    size = family.sizes[0]
    if size.alone is None:
        return ""
    loss = plain(size.loss("tree"))
    return f"on {family.title} a loss of {loss} operations has a gradient of {plain(size.alone)} written out"


def _ends(found: Sequence[Family], whole: bool) -> str:
    """Where each way ends, with the forecast or the limit that ended it."""
    ways, ends = endings(found)
    where = "at every size" if whole else "at every size that was examined"
    if not ends:
        return f"all ways finish {where}" if len(ways) > 1 else ""
    parts = []
    for way, own in ends.items():
        verb = "" if parts else " end" if way in ("tree", "shared") else " ends"
        who = {"tree": "written-out expressions", "shared": "shared ones" if parts else "shared expressions"}
        called = WAYS[way] if way in MODES else f"the {WAYS[way]}"
        more = (FORECAST.sub("", one).removeprefix("at ") for one in own[1:])
        parts.append(f"{who.get(way, called)}{verb} {numbers.listed([own[0], *more])}")
    rest = len(ways) - len(ends)
    finish = "" if not rest else "; all others finish" if rest > 1 else "; the other one finishes"
    return f"{', '.join(parts)}{finish and f'{finish} {where}'}"
