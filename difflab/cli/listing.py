"""``difflab list``: problems, studies, backends, traps and which backend does what, as text of 100 columns or JSON."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..errors import InputError, did_you_mean
from .tables import MISSING, table

WIDTH = 100
Found = dict[str, Any]


def catalogue(what: str | None = None) -> Found:
    """What there is.

    Args:
        what: one part of it, a key of ``PARTS``; everything by default.

    Returns:
        A JSON value: a list or a table for each part.

    Raises:
        InputError: there is no such part.

    >>> [one["name"] for one in catalogue("traps")["traps"]][:2]
    ['maximum-zero', 'relu']
    """
    if what is not None and what not in PARTS:
        raise InputError(f"there is no list of {what!r} {did_you_mean(what, list(PARTS))}")
    return {name: find() for name, (find, _) in PARTS.items() if what in (None, name)}


def catalogue_text(found: Mapping[str, Any]) -> str:
    """What ``catalogue`` found, for people.

    Args:
        found: some of its parts.
    """
    return "\n\n".join(PARTS[name][1](part) for name, part in found.items() if part)


# ------------------------------------------------------------------------------------------------ what there is


def _problems() -> list[Found]:
    from ..problems import PROBLEMS

    return [
        {"name": one.name, "title": one.title, "sizes": {size: one.count(size) for size in one.sizes}}
        for one in PROBLEMS.values()
    ]


def _studies() -> list[Found]:
    from ..harness.study import shipped

    found = []
    for name, path in shipped().items():
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        question = " ".join(document["question"].split())
        kind = document.get("answer", "compare")
        found.append({"name": name, "title": document["title"], "question": question, "answer": kind})
    return found


def _backends() -> list[Found]:
    from ..backends import listing

    return [{**one._asdict(), "operators": list(one.operators)} for one in listing()]


def _operators() -> dict[str, dict[str, str]]:
    from ..backends import listing

    return {one.name: one.ways for one in listing() if one.ways}


def _traps() -> list[Found]:
    from ..traps import FAMILIES

    return [
        {"name": trap.name, "family": family, "title": trap.title}
        for family, traps in FAMILIES.items()
        for trap in traps
    ]


# ------------------------------------------------------------------------------------------------ for people


def _problems_text(found: Sequence[Found]) -> str:
    sizes = (
        ", ".join(f"{size} ({count:,})".replace(",", " ") for size, count in one["sizes"].items()) for one in found
    )
    entries = [(one["name"], one["title"], text) for one, text in zip(found, sizes, strict=True)]
    return f"PROBLEMS, with their sizes (numbers of parameters)\n{_entries(entries)}"


def _studies_text(found: Sequence[Found]) -> str:
    return (
        f"STUDIES, for difflab run STUDY\n{_entries([(one['name'], one['title'], one['question']) for one in found])}"
    )


def _backends_text(found: Sequence[Found]) -> str:
    rows = [
        [one["name"], one["family"] or MISSING, "yes" if one["unavailable"] is None else "no", one["unavailable"] or ""]
        for one in found
    ]
    shown = table(["BACKEND", "FAMILY", "THERE"], [row[:3] for row in rows])
    by_advice: dict[str, list[str]] = {}
    for one in found:
        if one["unavailable"] is not None:
            by_advice.setdefault(_advice(one), []).append(one["name"])
    missing = [_filled(f"Not there are {', '.join(names)}: {advice}.") for advice, names in by_advice.items()]
    return "\n".join([f"BACKENDS\n{shown}", *missing])


def _advice(backend: Found) -> str:
    """Why a backend is not there, without its name, so that several may share a sentence."""
    text = str(backend["unavailable"]).removeprefix(f"backend {backend['name']!r} cannot be used: ")
    return text.replace(f"the package {backend['name']}", "a package of that name")


def _operators_text(found: Mapping[str, Mapping[str, str]]) -> str:
    """How each backend that is there comes by each operator, and why it refuses some."""
    from ..support import reasons

    operators = list(next(iter(found.values())))
    rows = [
        [name, *[ways[one].partition(":")[0].partition(" ")[0] for one in operators]] for name, ways in found.items()
    ]
    sentences = []
    for name, ways in found.items():
        by_source: dict[str, list[str]] = {}
        for operator, way in ways.items():
            if way.startswith("deduced from "):
                by_source.setdefault(way.removeprefix("deduced from "), []).append(operator)
        sentences += [_filled(f"{name} deduces {', '.join(those)} from {of}.") for of, those in by_source.items()]
    sentences += [_filled(f"{name} refuses {which}: {why}.") for name, which, why in reasons(found)]
    return "\n".join(
        ["OPERATORS, and how each backend comes by them", table(["BACKEND", *operators], rows), *sentences]
    )


def _traps_text(found: Sequence[Found]) -> str:
    families = dict.fromkeys(one["family"] for one in found)
    blocks = []
    for family in families:
        rows = [(one["name"], one["title"]) for one in found if one["family"] == family]
        blocks.append(f"{family}\n{_entries(rows, indent=2)}")
    return "\n".join(["TRAPS, for the study kinks", *blocks])


def _entries(entries: Iterable[Sequence[str]], indent: int = 0) -> str:
    """A name with its texts beside it, each wrapped."""
    known = [tuple(entry) for entry in entries]
    left = min(max(len(name) for name, *_ in known) + indent + 2, WIDTH // 3)
    lines = []
    for name, *texts in known:
        head = f"{' ' * indent}{name}".ljust(left - 2) + "  "
        for text in texts:
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=head, subsequent_indent=" " * left, break_on_hyphens=False
            )
            head = " " * left
    return "\n".join(lines)


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


PARTS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], str]]] = MappingProxyType(
    {
        "problems": (_problems, _problems_text),
        "studies": (_studies, _studies_text),
        "backends": (_backends, _backends_text),
        "operators": (_operators, _operators_text),
        "traps": (_traps, _traps_text),
    }
)
