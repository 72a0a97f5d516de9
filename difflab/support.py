"""Tables of what is supported, generated from the registries for README and for ``difflab list``.

``python -m difflab.support README.md`` writes them anew between their markers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from . import backends, special
from . import columns as meanings
from .backends.protocol import OPERATORS
from .numpy_functions.coverage import coverage
from .primitives import REGISTRY
from .transforms.batch import how


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        header: one title per column.
        rows: one text per column each.

    Returns:
        Its lines.

    Example:
        >>> print(markdown(["a", "b"], [["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    lines = [header, *rows]
    texts = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([texts[0], "|" + "---|" * len(header), *texts[1:]])


def reasons(found: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """What is refused: backend, operators, why.

    Args:
        found: for each backend by name how it comes by each operator.

    Returns:
        One entry per backend and reason.

    Example:
        >>> reasons({"mine": {"hvp": "refused: no time", "hessian": "refused: no time", "jvp": "native"}})
        [('mine', 'hvp, hessian', 'no time')]
    """
    result = []
    for name, ways in found.items():
        by_reason: dict[str, list[str]] = {}
        for operator, way in ways.items():
            kind, _, why = way.partition(": ")
            if kind == "refused":
                by_reason.setdefault(why, []).append(operator)
        result.extend((name, ", ".join(refused), why) for why, refused in by_reason.items())
    return result


def operators() -> str:
    """Backend x operator: native, deduced and from what, refused and why; for the built-in backends.

    Returns:
        Markdown: a table and what it cannot say.

    Example:
        >>> operators().splitlines()[0]
        '| backend | gradient | value_and_gradient | jvp | vjp | jacobian | hvp | hessian |'
    """
    found = {one.name: one.ways for one in backends.listing() if one.name in backends.BUILT_IN}
    rows = [[f"`{name}`", *[ways[one].partition(":")[0] for one in OPERATORS]] for name, ways in found.items()]
    notes = [f"* `{name}` refuses {refused}: {why}." for name, refused, why in reasons(found)]
    note = "What is deduced from a gradient is for functions with one output of shape ()."
    return "\n".join([markdown(["backend", *OPERATORS], rows), "", note, "", *notes]).rstrip()


def numpy_refused() -> str:
    """NumPy's functions that cannot be recorded, and what to do instead.

    Returns:
        Markdown: a table of reasons.

    Example:
        >>> numpy_refused().splitlines()[0]
        '| not supported | because it |'
    """
    by_reason: dict[str, list[str]] = {}
    for prefix, found in coverage().items():
        for name, reason in found.refused.items():
            by_reason.setdefault(reason, []).append(f"`{prefix}.{name}`")
    return markdown(["not supported", "because it"], [(", ".join(names), why) for why, names in by_reason.items()])


def numpy_recorded() -> str:
    """NumPy's and SciPy's functions that can be recorded.

    Returns:
        Markdown: a list per module.

    Example:
        >>> numpy_recorded().startswith("* `np` (")
        True
    """
    found = {prefix: one.recorded for prefix, one in coverage().items()}
    found["scipy.special"] = tuple(name for name in dir(special) if not name.startswith("_"))
    lines = [
        f"* `{prefix}` ({len(names)}): {' '.join(f'`{name}`' for name in names)}" for prefix, names in found.items()
    ]
    return "\n".join(lines)


def batching() -> str:
    """How each primitive is carried out for many lanes at once.

    Returns:
        Markdown: a table with a row for each way.

    Example:
        >>> batching().splitlines()[0]
        '| batched | primitives |'
    """
    ways: dict[str, list[str]] = {}
    for primitive in sorted(REGISTRY, key=lambda primitive: primitive.name):
        ways.setdefault(how(primitive), []).append(f"`{primitive.name}`")
    return markdown(["batched", "primitives"], [(way, ", ".join(names)) for way, names in sorted(ways.items())])


def columns() -> str:
    """What the columns of frames mean, with their units.

    Returns:
        Markdown: a table of the columns that every version keeps, and the others behind a summary to unfold.

    Example:
        >>> columns().splitlines()[2][:40]
        '| `problem` |  | What is differentiated,'
    """

    def table(found: Mapping[str, meanings.Column]) -> str:
        return markdown(["column", "unit", "meaning"], [(f"`{n}`", one.unit, one.meaning) for n, one in found.items()])

    folded = {
        "Further columns": meanings.MORE,
        "Columns of cases on a GPU": meanings.GPU,
        "What backends note about themselves, and comparisons besides": meanings.NOTES,
    }
    parts = [table(meanings.MAIN)]
    for title, found in folded.items():
        parts.append(f"<details><summary>{title}</summary>\n\n{table(found)}\n\n</details>")
    nested = [(f"`{name}`", f"`{where}`", meaning) for name, (where, meaning) in meanings.NESTED.items()]
    parts.append(
        "What is no single number or word has a frame of its own, or is in `rows`, which hold everything:\n\n"
        + markdown(["in `rows`", "tidy in", "meaning"], nested)
    )
    return "\n\n".join(parts)


SECTIONS: dict[str, Callable[[], str]] = {
    "columns": columns,
    "operators": operators,
    "numpy-recorded": numpy_recorded,
    "numpy-refused": numpy_refused,
    "batching": batching,
}
"""The generated parts of README by name, each between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``."""


def updated(text: str) -> str:
    """A document with its generated parts as they are now.

    Args:
        text: with the markers of some of ``SECTIONS``.

    Returns:
        The same text, and between each pair of markers what its function returns.

    Raises:
        KeyError: a marker of an unknown name.

    Example:
        >>> updated("no markers")
        'no markers'
    """
    return re.sub(
        r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end: \2 -->)",
        lambda found: f"{found[1]}{SECTIONS[found[2]]()}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(updated(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
