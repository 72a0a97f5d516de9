"""Reading a study file: every fault with its place, and all of them at once.

A fault is one line, ``digits.toml:14:9: backend[2].name: unknown backend 'revers' (did you mean 'reverse'?)``.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ..errors import StudyError
from . import toml_places
from .catalogue import DTYPES, Catalogue, suggestion
from .study import (
    ANSWERS,
    OPERATORS,
    RANGES,
    UNITS,
    BackendChoice,
    Limits,
    ProblemChoice,
    Steps,
    Study,
    Timing,
    label_of,
    locate,
)

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
    return _Reader(document, text, filename, describe).study()


def _syntax_fault(message: str, text: str, filename: str) -> str:
    found = re.search(r"\s*\(at line (\d+), column (\d+)\)$", message)
    if found:
        return f"{filename}:{found[1]}:{found[2]}: {message[: found.start()]}"
    lines = text.splitlines() or [""]
    why = message.replace("(at end of document)", "").strip()
    return f"{filename}:{len(lines)}:{len(lines[-1]) + 1}: {why} at the end of the file"


class _Reader:
    """Takes a document apart key by key and collects every fault with its place."""

    def __init__(self, document: dict[str, Any], text: str, filename: str, describe: Describe) -> None:
        self.document, self.text, self.filename = document, text, filename
        self.places = toml_places.places(text)
        self.faults: list[tuple[tuple[int, int], str]] = []
        self.told: set[tuple[str, ...]] = set()
        tables = [one for one in _tables(document.get("backend")) if isinstance(one.get("name"), str)]
        asked = [(one["name"], _options(one)) for one in tables]
        named = [one["name"] for one in _tables(document.get("problem")) if isinstance(one.get("name"), str)]
        self.catalogue = describe(asked, named)
        self.positions = {id(one): position for position, one in enumerate(tables)}

    def fault(self, path: toml_places.Path, message: str) -> None:
        place = toml_places.find(self.places, path)
        self.faults.append((place, f"{self.filename}:{place[0]}:{place[1]}: {toml_places.show(path)}: {message}"))

    def study(self) -> Study:
        top = self.document
        known = ("title", "question", "look_for", "answer", "operator", "baseline")
        self.unknown((), top, (*known, "problem", "backend", "limits", "timing", "steps"))
        title, question = (self.string((), top, key) for key in ("title", "question"))
        look_for = self.string((), top, "look_for", "")
        answer = self.choice((), top, "answer", ANSWERS, ANSWERS[0])
        operator = self.choice((), top, "operator", OPERATORS, OPERATORS[0])
        problems = tuple(self.problem(position, one) for position, one in enumerate(self.array("problem")))
        backends = tuple(self.backend(position, one) for position, one in enumerate(self.array("backend")))
        self.overlap(problems)
        self.unique(backends)
        limits = self.limits(self.table("limits"))
        if answer in ANSWERS[1:]:
            self.untimed(answer)
        baseline = "" if answer in ANSWERS[1:] else self.baseline([one.label for one in backends])
        timing = self.timing(self.table("timing"))
        if answer != "steps" and "steps" in top:
            self.fault(("steps",), f'only a study with answer = "steps" has steps; this one has answer = "{answer}"')
        steps = self.steps(self.table("steps"), {dtype for one in problems for dtype in one.dtypes})
        if self.faults:
            raise StudyError("\n".join(line for _, line in sorted(self.faults)))
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
            steps,
        )

    def baseline(self, labels: Sequence[str]) -> str:
        usual = "reverse" if "reverse" in labels else next(iter(labels), "")
        baseline = self.string((), self.document, "baseline", usual)
        if labels and baseline not in labels:
            self.fault(("baseline",), f"{baseline!r} is none of the backends {suggestion(baseline, labels)}")
        return baseline

    def untimed(self, answer: str) -> None:
        """Report what only a comparison can use: a study that examines each case once has nothing to time."""
        if "baseline" in self.document:
            self.fault(("baseline",), f'a study with answer = "{answer}" compares no times; leave the baseline out')
        if self.document.get("operator", "gradient") in OPERATORS[1:]:
            self.fault(("operator",), f'a study with answer = "{answer}" knows the gradient only')
        for key in self.table("timing"):
            if key in TIMING and key != "threads":
                self.fault(("timing", key), f'a study with answer = "{answer}" times nothing; leave {key} out')

    def problem(self, position: int, table: dict[str, Any]) -> ProblemChoice:
        path = ("problem", position)
        self.unknown(path, table, ("name", "sizes", "dtypes", "quick"))
        name = self.string(path, table, "name")
        sizes = self.catalogue.problems.get(name)
        if name and sizes is None:
            known = list(self.catalogue.problems)
            self.fault((*path, "name"), f"unknown problem {name!r} {suggestion(name, known)}")
        traps, asked = name in self.catalogue.traps, self.document.get("answer") == "traps"
        if sizes is not None and traps != asked:
            self.fault(
                (*path, "name"),
                f'{name!r} is a zoo of traps, for studies with answer = "traps"'
                if traps
                else f'{name!r} holds no traps; a study with answer = "traps" asks at "difflab.traps:PROBLEM"',
            )
        chosen = self.names(path, table, "sizes", sizes, sizes or [])
        dtypes = self.names(path, table, "dtypes", DTYPES, ["float64"])
        quick = [] if table.get("quick") == [] else self.names(path, table, "quick", chosen or sizes, chosen[:2])
        return ProblemChoice(name, tuple(chosen), tuple(dtypes), tuple(quick))

    def backend(self, position: int, table: dict[str, Any]) -> BackendChoice:
        path = ("backend", position)
        name = self.string(path, table, "name")
        options = _options(table)
        known = self.catalogue.options.get(name)
        if name and known is None and self.catalogue.backends.get(name) != "unavailable":
            if (why := self.catalogue.refused.get(self.positions.get(id(table), -1))) is not None:
                self.fault((*path, "name"), why)
            else:
                listed = list(self.catalogue.backends)
                self.fault((*path, "name"), f"unknown backend {name!r} {suggestion(name, listed)}")
        elif known is not None:
            wrong = [key for key in options if key not in known]
            for key in wrong:
                hint = suggestion(key, known) if known else "(it has no options)"
                self.fault((*path, key), f"backend {name!r} has no option {key!r} {hint}")
            for key, value in options.items():
                if not all(map(_plain, value if isinstance(value, list) else [value])):
                    self.fault(
                        (*path, key),
                        f"an option must be a text, a finite number, true or false, or a list of these, got {value!r}",
                    )
            if not wrong and (why := self.catalogue.refused.get(self.positions[id(table)])) is not None:
                self.fault(path, why)
        label = self.string(path, table, "label", label_of(name, options))
        return BackendChoice(name, label, options)

    def limits(self, table: dict[str, Any]) -> Limits:
        path, default = ("limits",), Limits()
        self.unknown(path, table, ("seconds", "memory", "reference_seconds"))
        return Limits(
            self.number(path, table, "seconds", default.seconds, 0.1, 86400),
            self.size(path, table, "memory", default.memory),
            self.number(path, table, "reference_seconds", default.reference_seconds, 0.1, 86400),
        )

    def timing(self, table: dict[str, Any]) -> Timing:
        path, default = ("timing",), Timing()
        self.unknown(path, table, TIMING)
        return Timing(
            self.whole(path, table, "processes", default.processes, 1, 1000),
            self.whole(path, table, "samples", default.samples, 1, 10000),
            self.number(path, table, "sample_ms", default.sample_ms, 0.01, 10000),
            self.whole(path, table, "rounds", default.rounds, 1, 100),
            self.number(path, table, "budget_s", default.budget_s, 0, 1e7),
            self.whole(path, table, "threads", default.threads, 1, 1024),
        )

    def steps(self, table: dict[str, Any], used: Collection[str]) -> Steps:
        """The ranges of steps: ``from`` and ``to`` for all dtypes, or in a table of its own for one of them."""
        self.unknown(("steps",), table, ("from", "to", "per_decade", *RANGES))
        ranges = dict(RANGES)
        given = {key: self.number(("steps",), table, key, 1e-1, 1e-300, 1e6) for key in ("from", "to") if key in table}
        for dtype, usual in RANGES.items():
            own = table.get(dtype, {})
            if not isinstance(own, dict):
                self.fault(("steps", dtype), f"must be written as a table [steps.{dtype}]")
                own = {}
            self.unknown(("steps", dtype), own, ("from", "to"))
            ends = [
                self.number(("steps", dtype), own, key, given.get(key, default), 1e-300, 1e6)
                for key, default in zip(("from", "to"), usual, strict=True)
            ]
            ranges[dtype] = (max(ends), min(ends))
            if ends[0] == ends[1] and dtype in used:
                path = ("steps", dtype) if own else ("steps",)
                self.fault(path, f"in {dtype} the steps go from {ends[0]:g} to {ends[1]:g}, which is a single one")
        return Steps(ranges, self.whole(("steps",), table, "per_decade", Steps().per_decade, 1, 20))

    # ------------------------------------------------------------------------- pieces

    def unknown(self, path: toml_places.Path, table: dict[str, Any], known: Sequence[str]) -> None:
        """Report keys that are not known; what is allowed is said with the first of them only."""
        kind = tuple(part for part in path if isinstance(part, str))
        for key in table:
            if key in known:
                continue
            hint = suggestion(key, known)
            hint = "" if hint.startswith("(known") else f" {hint}"
            if kind not in self.told:
                self.told.add(kind)
                hint += f"; allowed {f'in {kind[0]} ' if kind else ''}are {', '.join(known)}"
            self.fault((*path, key), f"unknown key {key!r}{hint}")

    def unique(self, backends: Sequence[BackendChoice]) -> None:
        for position, one in enumerate(backends):
            before, what = backends[:position], label_of(one.name, one.options)
            if not one.name:
                continue
            if what in [label_of(other.name, other.options) for other in before]:
                self.fault(("backend", position, "name"), f"{what!r} is listed already; leave one of the two out")
            elif one.label in [other.label for other in before]:
                message = f"{one.label!r} is the label of another backend already; give one of them another label"
                self.fault(("backend", position, "label"), message)

    def overlap(self, problems: Sequence[ProblemChoice]) -> None:
        seen: set[tuple[str, str, str]] = set()
        for position, one in enumerate(problems):
            wanted = {(one.name, size, dtype) for size in one.sizes for dtype in one.dtypes}
            if one.name and (twice := sorted(wanted & seen)):
                _, size, dtype = twice[0]
                self.fault(("problem", position), f"{one.name!r} at size {size!r} in {dtype} is already listed above")
            seen |= wanted

    def array(self, key: str) -> list[dict[str, Any]]:
        value = self.document.get(key)
        if value is None:
            self.fault((key,), f"there must be at least one [[{key}]]")
        elif not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.fault((key,), f"must be written as [[{key}]], once for each {key}")
        elif not value:
            self.fault((key,), f"there must be at least one [[{key}]]")
        return _tables(value)

    def table(self, key: str) -> dict[str, Any]:
        value = self.document.get(key, {})
        if isinstance(value, dict):
            return value
        self.fault((key,), f"must be written as a table [{key}]")
        return {}

    def string(self, path: toml_places.Path, table: dict[str, Any], key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if value is None:
            self.fault((*path, key), "is missing")
        elif not isinstance(value, str) or (not value.strip() and key in table):
            self.fault((*path, key), f"must be a text, got {value!r}")
        else:
            return value
        return ""

    def choice(
        self, path: toml_places.Path, table: dict[str, Any], key: str, known: Sequence[str], default: str
    ) -> str:
        value = self.string(path, table, key, default)
        if value and value not in known:
            self.fault((*path, key), f"unknown {key} {value!r} {suggestion(value, known)}")
        return value

    def names(
        self,
        path: toml_places.Path,
        table: dict[str, Any],
        key: str,
        known: Sequence[str] | None,
        default: Sequence[str],
    ) -> list[str]:
        value = table.get(key, list(default))
        if not isinstance(value, list) or (not value and key in table) or not all(isinstance(v, str) for v in value):
            self.fault((*path, key), f'must be a list of texts such as ["tiny", "small"], got {value!r}')
            return []
        for position, name in enumerate(value):
            if known is not None and name not in known:
                self.fault((*path, key, position), f"unknown {key.rstrip('s')} {name!r} {suggestion(name, known)}")
            if name in value[:position]:
                self.fault((*path, key, position), f"{name!r} is listed twice")
        return value

    def number(
        self, path: toml_places.Path, table: dict[str, Any], key: str, default: float, low: float, high: float
    ) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fault((*path, key), f"must be a number from {low:g} to {high:g}, got {value!r}")
            return default
        return float(value)

    def whole(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault((*path, key), f"must be a whole number from {low} to {high}, got {value!r}")
            return default
        return value

    def size(self, path: toml_places.Path, table: dict[str, Any], key: str, default: int) -> int:
        value = table.get(key, default)
        if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)):
            unit = UNITS.get(found[2])
            value = value if unit is None else int(float(found[1]) * unit)
        if isinstance(value, bool) or not isinstance(value, int) or value < 2**20:
            self.fault((*path, key), f'must be a size of at least 1 MiB such as "2 GiB" or bytes, got {value!r}')
            return default
        return value


def _tables(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _plain(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _options(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("name", "label")}
