"""The page of a study of traps: how many each method answers honestly, and what it answers at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, backends, method
from ..kinds import Listing, Sections
from ..tables import Cell, Table
from ..terms import Term
from . import examined

MARKS = {
    "admissible": ("right", "admissible"),
    "near": ("allowed", "near: right to about half of the digits"),
    "refused": ("refused", "refused, as it should"),
    "outside": ("wrong", "outside the admissible set"),
    "nan": ("void", "NaN or infinite"),
    "wrong refusal": ("wrong", "refused although there is an answer"),
    "unsupported": ("none", "it has no such function"),
}
HONEST = ("admissible", "near", "refused")
MOST_NAMED = 3
GLOSSARY = (
    Term(
        "Admissible set",
        "What may be answered honestly: the gradient where there is one; at a kink any weighted mean of the limits of "
        "gradients at nearby points (Clarke's generalised gradient); at a jump or an infinite slope NaN, infinity or "
        "an error; where the question is wrong, an error.",
        ("admissible sets",),
    ),
    Term("Admissible", "The answer lies in the set, up to a few units in the last place of the dtype."),
    Term("Near", "Not in the set, but right to about half of the digits: all that a difference quotient can give."),
    Term("Outside", "A finite number that is wrong, or a made-up one. Nobody notices it."),
    Term(
        "NaN or infinite", "Wrong, but it cannot be overlooked; it spoils whatever it is added to.", ("NaN", "infinite")
    ),
    Term(
        "Refused",
        "An error where no number would be honest, or where the method says that it cannot follow.",
        ("refuses",),
    ),
    Term("Trap", "A small function and a point at which it is easily differentiated wrongly.", ("traps",)),
)
METHOD = (
    "Every method differentiates the same few lines: difflab's own backends as plain NumPy, the libraries of others in "
    "their own namespace and with their own gradient, in the dtype of the trap. Where the function has a derivative, "
    "the answer is compared with its formula, evaluated with 50 digits at the very numbers that the function is given.",
)


@dataclass(frozen=True)
class Column:
    """A method: its label, its first case, what it is in words, and its answers by the name of the trap."""

    label: str
    case: Case
    answers: Mapping[str, Mapping[str, Any]]
    library: str

    def count(self, *verdicts: str) -> int:
        """How many of its answers have one of these verdicts."""
        return sum(one["verdict"] in verdicts for one in self.answers.values())


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the matrix and the table of a study of traps.

    Args:
        cases: all rows of a run, with their findings.
    """
    columns, traps = _columns(list(cases)), examined.by_name(cases, "traps")
    if not columns:
        return Sections(examined.nothing(cases, "No trap was examined", examined.caveats(cases, examined.backend)))
    return Sections(
        Answer(tuple(_sentences(columns, traps)), examined.caveats(cases, examined.backend)),
        tables=(_summary(columns), *_reasons(columns, traps)),
        matrix=_matrix(columns, traps),
        glossary=GLOSSARY,
        method=METHOD,
    )


def _columns(cases: list[Case]) -> list[Column]:
    """The methods that answered at all, in the order of the study."""
    found = []
    for label in backends(cases):
        own = [case for case in cases if case.backend == label and case.findings]
        if own:
            found.append(Column(label, own[0], examined.by_name(own, "traps"), own[0].findings["library"]))
    return found


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(columns: Sequence[Column], traps: Mapping[str, Any]) -> list[str]:
    total = len(traps)
    ranked = sorted(columns, key=lambda one: -one.count(*HONEST))
    counts = [f"{one.count(*HONEST)}{_of(one, total)}" for one in ranked]
    parts = [f"{_who(ranked[0])} answers {counts[0]} honestly"]
    parts += [f"{_who(one)} {count}" for one, count in zip(ranked[1:], counts[1:], strict=True)]
    said = [f"Of {numbers.counted(total, 'trap')}, {numbers.listed(parts)}."]
    silent = sorted((one for one in columns if one.count("outside")), key=lambda one: one.count("outside"))
    if silent:
        parts = [f"{one.count('outside')} from {_who(one)}" for one in silent]
        said.append(f"Wrong numbers that nobody would notice: {numbers.listed(parts)}.")
    if disagreement := _disagreement(columns, traps):
        said.append(disagreement)
    full = [one for one in columns if len(one.answers) == total]
    if len(full) > 1:
        everybody = [name for name in traps if all(one.answers[name]["verdict"] in HONEST for one in full)]
        nobody = [name for name in traps if not any(one.answers[name]["verdict"] in HONEST for one in full)]
        text = f"{numbers.counted(len(everybody), 'trap is', 'traps are')} answered honestly by all of them"
        if nobody:
            text += f", {len(nobody)} by none: {_named(nobody, traps)}"
        said.append(f"{text}.")
    return said


def _who(column: Column) -> str:
    return method(column.case)


def _of(column: Column, total: int) -> str:
    """``(of 40)`` where a method was not asked at every trap."""
    return f" (of {len(column.answers)})" if len(column.answers) < total else ""


def _disagreement(columns: Sequence[Column], traps: Mapping[str, Any]) -> str:
    """Where the two modes of automatic differentiation are not equally honest."""
    modes = {one.case.family: one for one in columns if one.case.family in ("forward", "reverse")}
    if len(modes) < 2:
        return ""
    forward, reverse = modes["forward"].answers, modes["reverse"].answers
    parted = [
        name
        for name in traps
        if name in forward
        and name in reverse
        and (forward[name]["verdict"] in HONEST) != (reverse[name]["verdict"] in HONEST)
    ]
    if not parted:
        return ""
    times = "once" if len(parted) == 1 else f"at {len(parted)} traps"
    return f"Forward and reverse mode part {times}: {_named(parted, traps)}."


def _named(names: Sequence[str], traps: Mapping[str, Any]) -> str:
    shown = [f"\u201c{traps[name]['title']}\u201d" for name in names[:MOST_NAMED]]
    rest = len(names) - len(shown)
    return numbers.listed(shown + ([f"{rest} more"] if rest else []))


# ------------------------------------------------------------------------------------------------ matrix and table


def _matrix(columns: Sequence[Column], traps: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for name, trap in traps.items():
        link = f"{trap['thread'].partition('#')[0].partition('/')[2]}#{trap['thread'].partition('#')[2]}"
        cells = [{"text": trap["admissible"], "mark": "set", "word": "", "title": ""}]
        cells += [_cell(one.answers.get(name)) for one in columns]
        rows.append(
            {
                "name": trap["title"],
                "sentence": trap["sentence"],
                "link": trap["url"],
                "link_text": link if trap["url"] else "",
                "cells": cells,
            }
        )
    notes = [
        "A tick: admissible; a ring: near, right to about half of the digits; a dash: refused, as it should; a cross: "
        "a wrong number, or an error where there is an answer; a triangle: NaN or infinite.",
        "The link leads to a public thread in which users met the trap, in whatever library; where there is none, no "
        "such thread is known.",
    ]
    return {
        "caption": "What each answers at each trap",
        "head": ["Trap", "Admissible", *[one.label for one in columns]],
        "rows": rows,
        "notes": notes,
    }


def _cell(answer: Mapping[str, Any] | None) -> dict[str, str]:
    if answer is None:
        return {"text": "", "mark": "none", "word": "not asked", "title": "not asked"}
    mark, word = MARKS[answer["verdict"]]
    title = f"{word}; {answer['why']}" if answer["why"] else word
    return {"text": answer["text"], "mark": mark, "word": word, "title": title}


def _summary(columns: Sequence[Column]) -> Listing:
    heads = ("Method", "Version", "Traps", "Honest", "Admissible", "Near", "Refused", "Outside", "NaN", "Wrong error",
             "Not supported")  # fmt: skip
    kinds = ("admissible", "near", "refused", "outside", "nan", "wrong refusal", "unsupported")
    rows = []
    for one in columns:
        counts = [len(one.answers), one.count(*HONEST), *(one.count(kind) for kind in kinds)]
        texts = (Cell(one.label), Cell(one.library.partition(" ")[2] or "difflab's own"))
        rows.append((*texts, *(Cell(numbers.grouped(count), float(count), True) for count in counts)))
    text = (
        "How many of its answers are of which kind; the honest ones are those that are admissible, near, or refused "
        "where an error is right."
    )
    return Listing("counts", "How many of each", text, Table(heads, tuple(rows)))


def _reasons(columns: Sequence[Column], traps: Mapping[str, Any]) -> tuple[Listing, ...]:
    """Why an answer is not honest or a number not given, where that is known: each reason with all it explains."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in columns:
        for name, answer in one.answers.items():
            if answer["why"] and answer["verdict"] not in ("admissible", "near"):
                explained = found.setdefault((answer["verdict"], answer["why"]), {})
                explained.setdefault(name, []).append(one.label)
    if not found:
        return ()
    rows = []
    for (verdict, reason), explained in found.items():
        labels = list(dict.fromkeys(label for own in explained.values() for label in own))
        titles = [traps[name]["title"] for name in explained]
        rows.append((Cell(MARKS[verdict][1]), Cell(reason), Cell("; ".join(titles)), Cell(", ".join(labels))))
    text = "What is known of the answers that are not admissible numbers: difflab's reasons, the errors of the others."
    return (Listing("reasons", "Why", text, Table(("Verdict", "Reason", "Traps", "Methods"), tuple(rows))),)
