"""Reading a study file: every fault with its place, and all of them at once.

A fault is one line, ``digits.toml:14:9: backend[2].name: unknown backend 'revers' (did you mean 'reverse'?)``.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import StudyError
from .catalogue import DTYPES, Catalogue, suggestion
from .study import BackendChoice, Limits, ProblemChoice, Study, Timing, label_of, locate
from .study_kinds import KINDS, OPERATORS, RANGES, Steps
from .study_reader import Reader, tables

TIMING = ("processes", "samples", "sample_ms", "rounds", "budget_s", "threads")
Describe = Callable[[Sequence[tuple[str, dict[str, Any]]], Sequence[str]], Catalogue]


def read_study(study: str | Path, describe: Describe) -> Study:
    """Read and check the study given by name or path.

    Args:
        study: the name of a shipped study, or the path of a TOML file.
        describe: gives the catalogue for the backends and problems the study names.

    Raises:
        StudyError: with one line per fault.
    """
    path = locate(study)
    filename = str(study) if str(study).endswith(".toml") else path.name  # as the user knows it
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise StudyError(f"{filename}: cannot be read: {why}") from fault
    return parse(text, filename, describe)


def parse(text: str, filename: str, describe: Describe) -> Study:
    """Check the text of a study.

    Args:
        text: TOML.
        filename: what to call it in errors; its stem is the study's name.
        describe: gives the catalogue for the backends and problems the study names.

    Raises:
        StudyError: with one line per fault, all at once.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise StudyError(_syntax_fault(str(fault), text, filename)) from fault
    return _Study(document, text, filename, describe).study()


def _syntax_fault(message: str, text: str, filename: str) -> str:
    found = re.search(r"\s*\(at line (\d+), column (\d+)\)$", message)
    if found:
        return f"{filename}:{found[1]}:{found[2]}: {message[: found.start()]}"
    lines = text.splitlines() or [""]
    why = message.replace("(at end of document)", "").strip()
    return f"{filename}:{len(lines)}:{len(lines[-1]) + 1}: {why} at the end of the file"


class _Study:
    """What the keys of a study mean, and what they may be."""

    def __init__(self, document: dict[str, Any], text: str, filename: str, describe: Describe) -> None:
        self.document, self.text, self.filename = document, text, filename
        self.read = Reader(document, text, filename)
        named_backends = [one for one in tables(document.get("backend")) if isinstance(one.get("name"), str)]
        asked = [(one["name"], _options(one)) for one in named_backends]
        named = [one["name"] for one in tables(document.get("problem")) if isinstance(one.get("name"), str)]
        self.catalogue = describe(asked, named)
        self.positions = {id(one): position for position, one in enumerate(named_backends)}

    def study(self) -> Study:
        top = self.document
        known = ("title", "question", "look_for", "answer", "operator", "baseline")
        settable = [name for name, kind in KINDS.items() if kind.settings is not None]
        self.read.unknown((), top, (*known, "problem", "backend", "limits", "timing", *settable))
        title, question = (self.read.string((), top, key) for key in ("title", "question"))
        look_for = self.read.string((), top, "look_for", "")
        answer = self.read.choice((), top, "answer", tuple(KINDS), "compare")
        kind = KINDS.get(answer, KINDS["compare"])
        operator = self.read.choice((), top, "operator", OPERATORS, OPERATORS[0])
        problems = tuple(self.problem(position, one) for position, one in enumerate(self.read.array("problem")))
        backends = tuple(self.backend(position, one) for position, one in enumerate(self.read.array("backend")))
        self.overlap(problems)
        self.unique(backends)
        limits = self.limits(self.read.table("limits"))
        if operator in OPERATORS and operator not in kind.operators:
            only = ", ".join(kind.operators)
            self.read.fault(("operator",), f'a study with answer = "{answer}" knows the {only} only')
        if not kind.timed:
            self.untimed(answer)
        baseline = self.baseline([one.label for one in backends]) if kind.timed else ""
        timing = self.timing(self.read.table("timing"))
        for name in settable:
            if answer != name and name in top:
                only = f'only a study with answer = "{name}" has a table [{name}]'
                self.read.fault((name,), f'{only}; this one has answer = "{answer}"')
        settings = self.settings(answer, kind.settings, {dtype for one in problems for dtype in one.dtypes})
        if self.read.faults:
            raise StudyError("\n".join(line for _, line in sorted(self.read.faults)))
        name = Path(self.filename).stem
        return Study(
            name,
            title.strip(),
            question.strip(),
            look_for.strip(),
            answer,
            operator,
            baseline,
            problems,
            backends,
            limits,
            timing,
            self.text,
            settings,
        )

    def baseline(self, labels: Sequence[str]) -> str:
        usual = "reverse" if "reverse" in labels else next(iter(labels), "")
        baseline = self.read.string((), self.document, "baseline", usual)
        if labels and baseline not in labels:
            self.read.fault(("baseline",), f"{baseline!r} is none of the backends {suggestion(baseline, labels)}")
        return baseline

    def untimed(self, answer: str) -> None:
        """Report what only a comparison can use: a study that examines each case once has nothing to time."""
        if "baseline" in self.document:
            self.read.fault(
                ("baseline",), f'a study with answer = "{answer}" compares no times; leave the baseline out'
            )
        for key in self.read.table("timing"):
            if key in TIMING and key != "threads":
                self.read.fault(("timing", key), f'a study with answer = "{answer}" times nothing; leave {key} out')

    def problem(self, position: int, table: dict[str, Any]) -> ProblemChoice:
        path = ("problem", position)
        self.read.unknown(path, table, ("name", "sizes", "dtypes", "quick"))
        name = self.read.string(path, table, "name")
        sizes = self.catalogue.problems.get(name)
        if name and sizes is None:
            known = list(self.catalogue.problems)
            self.read.fault((*path, "name"), f"unknown problem {name!r} {suggestion(name, known)}")
        traps, asked = name in self.catalogue.traps, self.document.get("answer") == "traps"
        if sizes is not None and traps != asked:
            self.read.fault(
                (*path, "name"),
                f'{name!r} is a zoo of traps, for studies with answer = "traps"'
                if traps
                else f'{name!r} holds no traps; a study with answer = "traps" asks at "difflab.traps:PROBLEM"',
            )
        chosen = self.read.names(path, table, "sizes", sizes, sizes or [])
        dtypes = self.read.names(path, table, "dtypes", DTYPES, ["float64"])
        quick = [] if table.get("quick") == [] else self.read.names(path, table, "quick", chosen or sizes, chosen[:2])
        return ProblemChoice(name, tuple(chosen), tuple(dtypes), tuple(quick))

    def backend(self, position: int, table: dict[str, Any]) -> BackendChoice:
        path = ("backend", position)
        name = self.read.string(path, table, "name")
        options = _options(table)
        known = self.catalogue.options.get(name)
        if name and known is None and self.catalogue.backends.get(name) != "unavailable":
            if (why := self.catalogue.refused.get(self.positions.get(id(table), -1))) is not None:
                self.read.fault((*path, "name"), why)
            else:
                listed = list(self.catalogue.backends)
                self.read.fault((*path, "name"), f"unknown backend {name!r} {suggestion(name, listed)}")
        elif known is not None:
            wrong = [key for key in options if key not in known]
            for key in wrong:
                hint = suggestion(key, known) if known else "(it has no options)"
                self.read.fault((*path, key), f"backend {name!r} has no option {key!r} {hint}")
            for key, value in options.items():
                if not all(map(_plain, value if isinstance(value, list) else [value])):
                    self.read.fault(
                        (*path, key),
                        f"an option must be a text, a finite number, true or false, or a list of these, got {value!r}",
                    )
            if not wrong and (why := self.catalogue.refused.get(self.positions[id(table)])) is not None:
                self.read.fault(path, why)
        label = self.read.string(path, table, "label", label_of(name, options))
        return BackendChoice(name, label, options)

    def limits(self, table: dict[str, Any]) -> Limits:
        path, default = ("limits",), Limits()
        self.read.unknown(path, table, ("seconds", "memory", "reference_seconds"))
        return Limits(
            self.read.number(path, table, "seconds", default.seconds, 0.1, 86400),
            self.read.size(path, table, "memory", default.memory),
            self.read.number(path, table, "reference_seconds", default.reference_seconds, 0.1, 86400),
        )

    def timing(self, table: dict[str, Any]) -> Timing:
        path, default = ("timing",), Timing()
        self.read.unknown(path, table, TIMING)
        return Timing(
            self.read.whole(path, table, "processes", default.processes, 1, 1000),
            self.read.whole(path, table, "samples", default.samples, 1, 10000),
            self.read.number(path, table, "sample_ms", default.sample_ms, 0.01, 10000),
            self.read.whole(path, table, "rounds", default.rounds, 1, 100),
            self.read.number(path, table, "budget_s", default.budget_s, 0, 1e7),
            self.read.whole(path, table, "threads", default.threads, 1, 1024),
        )

    def settings(self, name: str, made: type | None, used: Collection[str]) -> Any:
        """What the kind lets a study set, in the table named after it; nothing for most kinds."""
        if made is None or made is Steps:
            return None if made is None else self.steps(self.read.table(name), used)
        table, chosen = self.read.table(name), {}
        self.read.unknown((name,), table, [one.name for one in fields(made)])
        for one in fields(made):
            low, high, default = one.metadata["low"], one.metadata["high"], one.default
            if isinstance(default, tuple):
                chosen[one.name] = self.read.several((name,), table, one.name, default, low, high)
            else:
                chosen[one.name] = self.read.amount((name,), table, one.name, default, low, high)
        return made(**chosen)

    def steps(self, table: dict[str, Any], used: Collection[str]) -> Steps:
        """The ranges of steps: ``from`` and ``to`` for all dtypes, or in a table of its own for one of them."""
        self.read.unknown(("steps",), table, ("from", "to", "per_decade", *RANGES))
        ranges = dict(RANGES)
        given = {
            key: self.read.number(("steps",), table, key, 1e-1, 1e-300, 1e6) for key in ("from", "to") if key in table
        }
        for dtype, usual in RANGES.items():
            own = table.get(dtype, {})
            if not isinstance(own, dict):
                self.read.fault(("steps", dtype), f"must be written as a table [steps.{dtype}]")
                own = {}
            self.read.unknown(("steps", dtype), own, ("from", "to"))
            ends = [
                self.read.number(("steps", dtype), own, key, given.get(key, default), 1e-300, 1e6)
                for key, default in zip(("from", "to"), usual, strict=True)
            ]
            ranges[dtype] = (max(ends), min(ends))
            if ends[0] == ends[1] and dtype in used:
                path = ("steps", dtype) if own else ("steps",)
                self.read.fault(path, f"in {dtype} the steps go from {ends[0]:g} to {ends[1]:g}, which is a single one")
        return Steps(ranges, self.read.whole(("steps",), table, "per_decade", Steps().per_decade, 1, 20))

    def unique(self, backends: Sequence[BackendChoice]) -> None:
        for position, one in enumerate(backends):
            before, what = backends[:position], label_of(one.name, one.options)
            if not one.name:
                continue
            if what in [label_of(other.name, other.options) for other in before]:
                self.read.fault(("backend", position, "name"), f"{what!r} is listed already; leave one of the two out")
            elif one.label in [other.label for other in before]:
                message = f"{one.label!r} is the label of another backend already; give one of them another label"
                self.read.fault(("backend", position, "label"), message)

    def overlap(self, problems: Sequence[ProblemChoice]) -> None:
        seen: set[tuple[str, str, str]] = set()
        for position, one in enumerate(problems):
            wanted = {(one.name, size, dtype) for size in one.sizes for dtype in one.dtypes}
            if one.name and (twice := sorted(wanted & seen)):
                _, size, dtype = twice[0]
                self.read.fault(
                    ("problem", position), f"{one.name!r} at size {size!r} in {dtype} is already listed above"
                )
            seen |= wanted


def _plain(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _options(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("name", "label")}
