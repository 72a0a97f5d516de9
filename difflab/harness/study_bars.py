"""Reading the bars of a study, ``[[bar]]``: every fault with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .bars import LOSS, QUANTITIES, Bar
from .catalogue import suggestion
from .study import BackendChoice, ProblemChoice
from .study_reader import Reader, shown
from .toml_places import Path as Key

KEYS = (
    "ours", "over", "of", "problems", "sizes", "dtypes", "below", "at_most", "from_us", "until_us", "error_at_most",
    "note",
)  # fmt: skip
OF_ROWS = ("sizes", "from_us", "until_us", "error_at_most")
LONGEST_US = 1e12


def read_bars(read: Reader, problems: Sequence[ProblemChoice], backends: Sequence[BackendChoice]) -> tuple[Bar, ...]:
    """The bars of a study, checked against its problems and backends, which are read already.

    Args:
        read: collects the faults.
        problems: those of the study.
        backends: those of the study.
    """
    if "bar" not in read.document:
        return ()
    found = [(path, _Tables(read, problems, backends).bar(path, table)) for path, table in read.array("bar")]
    for position, (path, bar) in enumerate(found):
        for before, earlier in found[:position]:
            if read.sound(*path) and read.sound(*before) and (place := _both(earlier, bar, problems)) is not None:
                first, where = f"bar[{before[-1]}]", " ".join(place)
                read.fault(path, f"{first} judges {where} already; part them by problems, sizes, dtypes or times")
    return tuple(bar for _, bar in found)


class _Tables:
    """What the keys of a bar mean, and what they may be."""

    def __init__(self, read: Reader, problems: Sequence[ProblemChoice], backends: Sequence[BackendChoice]) -> None:
        self.read, self.problems = read, problems
        self.labels = [one.label for one in backends]

    def bar(self, path: Key, table: dict[str, Any]) -> Bar:
        read = self.read
        read.unknown(path, table, KEYS)
        of = read.choice(path, table, "of", QUANTITIES, QUANTITIES[0])
        ours, over = self.label(path, table, "ours"), self.label(path, table, "over", LOSS)
        strict, bound = self.bound(path, table, of)
        names = list(dict.fromkeys(one.name for one in self.problems))
        problems = self.several(path, table, "problems", names)
        sizes = [size for one in self.problems if not problems or one.name in problems for size in one.sizes]
        dtypes = [dtype for one in self.problems if not problems or one.name in problems for dtype in one.dtypes]
        made = Bar(
            ours,
            over,
            of,
            bound,
            strict,
            tuple(problems),
            tuple(self.several(path, table, "sizes", list(dict.fromkeys(sizes)))),
            tuple(self.several(path, table, "dtypes", list(dict.fromkeys(dtypes)))),
            read.number(path, table, "from_us", 0.0, 0.0, LONGEST_US),
            read.number(path, table, "until_us", 0.0, 0.0, LONGEST_US) if "until_us" in table else None,
            read.number(path, table, "error_at_most", 1.0, 0.0, LONGEST_US) if "error_at_most" in table else None,
            read.string(path, table, "note", "").strip(),
        )
        self.sense(path, table, made)
        return made

    def label(self, path: Key, table: dict[str, Any], key: str, *more: str) -> str:
        """The label of a backend, or one of a few words besides."""
        label, known = self.read.string(path, table, key), [*self.labels, *more]
        if label and label not in known and self.read.sound("backend"):
            besides = f" nor {shown(more[0])}" if more else ""
            self.read.fault((*path, key), f"{shown(label)} is none of the backends{besides} {suggestion(label, known)}")
        return label

    def bound(self, path: Key, table: dict[str, Any], of: str) -> tuple[bool, float]:
        """Whether the bound itself is excluded, and the bound."""
        given = [key for key in ("below", "at_most") if key in table]
        if len(given) != 1:
            where, how = (path, "it has neither") if not given else ((*path, given[1]), "not both")
            self.read.fault(where, f"a bar has a number as below or as at_most; {how}")
            return True, 1.0
        low = -10.0 if of == "growth" else 0.0
        return given[0] == "below", self.read.number(path, table, given[0], 1.0, low, 1e6)

    def several(self, path: Key, table: dict[str, Any], key: str, known: Sequence[str]) -> list[str]:
        """Names of those known, empty for all of them; not judged where problems are wrong themselves."""
        sound = self.read.sound("problem") and self.read.sound(*path, "problems")
        return self.read.names(path, table, key, known if sound else None, []) if key in table else []

    def sense(self, path: Key, table: dict[str, Any], bar: Bar) -> None:
        """Report what a bar cannot ask."""
        if bar.ours and bar.ours == bar.over:
            self.read.fault((*path, "over"), f"{shown(bar.over)} cannot be compared with itself")
        if bar.of == "memory" and bar.over == LOSS:
            self.read.fault((*path, "over"), "the loss alone has no peak of memory here; name a backend")
        if bar.of == "growth":
            if bar.over and bar.over != LOSS:
                self.read.fault((*path, "over"), f'growth is over "{LOSS}", got {shown(bar.over)}')
            for key in (key for key in OF_ROWS if key in table):
                self.read.fault((*path, key), f"growth is of all sizes together; leave {key} out")
        if bar.error_at_most is not None and bar.over == LOSS:
            self.read.fault((*path, "error_at_most"), "the loss alone has no error; name a backend as over")
        if bar.until_us is not None and bar.until_us <= bar.from_us and self.read.sound(*path, "until_us"):
            self.read.fault((*path, "until_us"), f"must be more than from_us, which is {bar.from_us:g}")
        sound = self.read.sound(*path) and self.read.sound("problem") and self.read.sound("backend")
        if sound and not any(True for _ in places(bar, self.problems)):
            what = f"{shown(bar.ours)} and {shown(bar.over)}" if bar.over != LOSS else shown(bar.ours)
            self.read.fault(path, f"no row of the study has {what} in the problems, sizes and dtypes of this bar")


def places(bar: Bar, problems: Sequence[ProblemChoice]) -> Iterator[tuple[str, str, str]]:
    """The rows (problem, size, dtype) of a study that a bar is about."""
    for one in problems:
        listed = not one.backends or all(label in (*one.backends, LOSS) for label in (bar.ours, bar.over))
        for size in one.sizes if listed else ():
            yield from ((one.name, size, dtype) for dtype in one.dtypes if bar.covers(one.name, size, dtype))


def _both(first: Bar, second: Bar, problems: Sequence[ProblemChoice]) -> tuple[str, str, str] | None:
    """A row that both bars would judge with equal right."""
    if first.key != second.key or bool(first.sizes) != bool(second.sizes) or not first.meets(second):
        return None
    shared = set(places(first, problems))
    return next((place for place in places(second, problems) if place in shared), None)
