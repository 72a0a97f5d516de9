"""Reading a study file: every fault with its place, and all of them at once.

A fault is one line, ``digits.toml:14:9: backend[2].name: unknown backend 'revers' (did you mean 'reverse'?)``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import InputError, StudyError
from . import own_loss, study_drawing, study_text
from .catalogue import DTYPES, Catalogue, suggestion
from .stopping import FEWEST
from .study import BackendChoice, Limits, ProblemChoice, Study, Timing, label_of, locate
from .study_bars import read_bars
from .study_device import DEVICE_KEYS, read_device, rounds
from .study_kinds import KINDS, OF_ONE_NUMBER, OPERATORS, RANGES, Kind, Steps
from .study_reader import LONGEST_LABEL, Note, Reader, shown, whole_fits
from .toml_places import Path as Key

TIMING = tuple(one.name for one in fields(Timing))
Describe = Callable[[Sequence[tuple[str, dict[str, Any]]], Sequence[str]], Catalogue]


def read_study(study: str | Path, describe: Describe) -> Study:
    """Read and check the study given by name or path.

    Args:
        study: the name of a shipped study, the path of a TOML file, or a function as ``FILE.py:FUNCTION``.
        describe: gives the catalogue for the backends and problems the study names.

    Raises:
        StudyError: with one line per fault.
        InputError: what is wrong with the function, or with its file.
    """
    if own_loss.is_target(str(study)):
        return _of_function(str(study), describe)
    path = locate(study)
    filename = str(study) if str(study).endswith(".toml") else path.name  # as the user knows it
    filename = "".join(c if c.isprintable() else "?" for c in filename)  # a fault stays on its line
    return parse(study_text.load(path, filename), filename, describe)


def _of_function(target: str, describe: Describe) -> Study:
    """The study of a user's own loss, whose faults are not those of a text that nobody wrote."""

    def checked(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> Catalogue:
        found = describe(asked, problems)
        if why := found.broken.get(target) or found.own.get(target, {}).get("vector"):
            raise InputError(why if why.startswith(target.rpartition(":")[0]) else f"{target}: {why}")
        return found

    return parse(own_loss.study_text(target), f"{target.rpartition(':')[2]}.toml", checked)


def parse(text: str, filename: str, describe: Describe) -> Study:
    """Check the text of a study.

    Args:
        text: TOML.
        filename: what to call it in errors; its stem is the study's name.
        describe: gives the catalogue for the backends and problems the study names.

    Raises:
        StudyError: with one line per fault, all at once.
    """
    return _Study(study_text.document(text, filename), text, filename, describe).study()


def faults_of(document: dict[str, Any], known: Catalogue, note: Note) -> list[str]:
    """What is wrong with a document that no file holds.

    Args:
        document: what a study file would say.
        known: what there is.
        note: is told of every key that is read what it may be.

    Returns:
        One line per fault, which begins with the key and a colon.
    """
    try:
        _Study(document, "", "", lambda asked, problems: known, note).study()
    except StudyError as error:
        return [line.split(" ", 1)[1] for line in str(error).split("\n")]
    return []


class _Study:
    """What the keys of a study mean, and what they may be."""

    def __init__(self, document: dict[str, Any], text: str, filename: str, describe: Describe, *note: Note) -> None:
        self.document, self.text, self.filename = document, text, filename
        self.read = Reader(document, text, filename, *note)
        self.problems, self.backends = self.read.array("problem"), self.read.array("backend")
        named = [(path, one) for path, one in self.backends if isinstance(one.get("name"), str)]
        asked = [(one["name"], _plain_options(one)) for _, one in named]
        names = [one["name"] for _, one in self.problems if isinstance(one.get("name"), str)]
        names += study_drawing.named(self.read)
        self.catalogue = describe(asked, names)
        self.positions = {path: position for position, (path, _) in enumerate(named)}

    def study(self) -> Study:
        top = self.document
        known = ("title", "question", "look_for", "answer", "operator", "baseline", "show", *DEVICE_KEYS)
        settable = [name for name, kind in KINDS.items() if kind.settings is not None]
        tables = ("problem", "backend", "bar", "limits", "timing", study_drawing.TABLE)
        self.read.unknown((), top, (*known, *tables, *settable))
        title, question = self.read.string((), top, "title"), self.read.string((), top, "question", lines=True)
        look_for = self.read.string((), top, "look_for", "", lines=True)
        answer = self.read.choice((), top, "answer", tuple(KINDS), "compare")
        kind = KINDS.get(answer, KINDS["compare"])
        operator = self.read.choice((), top, "operator", OPERATORS, OPERATORS[0])
        self.usual = read_device(self.read, (), top, kind.timed)
        problems = tuple(self.problem(path, one) for path, one in self.problems)
        backends = tuple(self.backend(path, one) for path, one in self.backends)
        self.overlap(problems)
        self.unique(backends)
        self.takes_part(problems, backends)
        bars = read_bars(self.read, problems, backends)
        if bars and answer != "compare" and self.read.sound("answer"):
            self.read.fault(("bar",), f'only a study with answer = "compare" has bars; this one has "{answer}"')
        limits = self.limits(self.read.table("limits"))
        if operator in OPERATORS and operator not in kind.operators:
            only = ", ".join(kind.operators)
            self.read.fault(("operator",), f'a study with answer = "{answer}" knows the {only} only')
        if not kind.timed:
            self.untimed(answer)
        baseline = self.baseline(backends) if kind.timed else ""
        timing = self.timing(self.read.table("timing"), kind.timed)
        for name in settable:
            if answer != name and name in top and self.read.sound("answer"):
                only = f'only a study with answer = "{name}" has a table [{name}]'
                self.read.fault((name,), f'{only}; this one has answer = "{answer}"')
        drawing = study_drawing.read_drawing(self.read, self.catalogue)
        show = self.show(kind)
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
            bars,
            drawing,
            tuple(show),
        )

    def show(self, kind: Kind) -> list[str]:
        """The parts of the page that are wanted; not judged where the kind is not known."""
        wanted = self.read.names((), self.document, "show", None, ())
        known = kind.parts if self.read.sound("answer") else wanted
        for place, name in enumerate(self.document.get("show", ()) if wanted else ()):
            if isinstance(name, str) and name not in known:
                self.read.fault(("show", place), f"unknown part {shown(name)} {suggestion(name, known)}")
        return wanted

    def baseline(self, backends: Sequence[BackendChoice]) -> str:
        """The label of the baseline; not judged where it may name a backend whose own name or label is wrong."""
        labels, doubtful = [], []
        for (path, table), one in zip(self.backends, backends, strict=True):
            sound = self.read.sound(*path, "label") if "label" in table else self.read.sound(*path)
            (labels if sound else doubtful).extend([one.label] if sound else [one.label, one.name])
        usual = "reverse" if "reverse" in labels else next(iter(labels), "")
        baseline = self.read.string((), self.document, "baseline", usual)
        perhaps = baseline in doubtful or "" in doubtful or difflib.get_close_matches(baseline, doubtful)
        if baseline and labels and baseline not in labels and not perhaps:
            self.read.fault(("baseline",), f"{shown(baseline)} is none of the backends {suggestion(baseline, labels)}")
        return baseline

    def untimed(self, answer: str) -> None:
        """Report what only a comparison can use: a study that examines each case once has nothing to time."""
        if "baseline" in self.document:
            self.read.fault(
                ("baseline",), f'a study with answer = "{answer}" compares no times; leave the baseline out'
            )
        timing = self.document.get("timing")
        for key in timing if isinstance(timing, dict) else {}:
            if key in TIMING and key != "threads":
                self.read.fault(("timing", key), f'a study with answer = "{answer}" times nothing; leave {key} out')

    def problem(self, path: Key, table: dict[str, Any]) -> ProblemChoice:
        self.read.unknown(path, table, ("name", "sizes", "dtypes", "quick", "backends", *DEVICE_KEYS))
        name = self.read.string(path, table, "name")
        sizes = self.catalogue.problems.get(name)
        if name and sizes is None:
            hint = f"unknown problem {shown(name)} {suggestion(name, list(self.catalogue.problems))}"
            self.read.fault((*path, "name"), self.catalogue.broken.get(name, hint))
        traps, asked = name in self.catalogue.traps, self.document.get("answer")
        if sizes is not None and traps != (asked == "traps") and self.read.sound("answer"):
            self.read.fault(
                (*path, "name"),
                f'{name!r} is a zoo of traps, for studies with answer = "traps"'
                if traps
                else f'{name!r} holds no traps; a study with answer = "traps" asks at "difflab.traps:PROBLEM"',
            )
        chosen = self.read.names(path, table, "sizes", sizes, sizes or [])
        own = self.catalogue.own.get(name, {})
        dtypes = self.read.names(path, table, "dtypes", DTYPES, [own.get("dtype", "float64")])
        if own.get("vector") and self.document.get("operator", OPERATORS[0]) in OF_ONE_NUMBER:
            self.read.fault((*path, "name"), f"{shown(name)}: {own['vector']}")
        quickly = chosen if self.read.sound(*path, "sizes") else None if sizes is None else [*chosen, *sizes]
        quick = self.read.names(path, table, "quick", quickly, chosen[:2], "size") if table.get("quick") != [] else []
        labels = self.read.names(path, table, "backends", None, []) if "backends" in table else []
        device, tf32 = read_device(self.read, path, table, KINDS.get(str(asked), KINDS["compare"]).timed, self.usual)
        return ProblemChoice(name, tuple(chosen), tuple(dtypes), tuple(quick), tuple(labels), device, tf32, **_own(own))

    def backend(self, path: Key, table: dict[str, Any]) -> BackendChoice:
        name = self.read.string(path, table, "name")
        options = _options(table)
        known = self.catalogue.options.get(name)
        refused = self.catalogue.refused.get(self.positions.get(path, -1), [])
        if name and known is None and self.catalogue.backends.get(name) != "unavailable":
            hint = f"unknown backend {shown(name)} {suggestion(name, list(self.catalogue.backends))}"
            self.read.fault((*path, "name"), refused[0][1] if refused else hint)
        elif name and known is not None:
            for key in (key for key in options if key not in known):
                hint = suggestion(key, known) if known else "(it has no options)"
                self.read.fault((*path, key), f"backend {name!r} has no option {shown(key)} {hint}")
            for key in (key for key, value in options.items() if not _plain(value)):
                self.read.fault(
                    (*path, key),
                    "an option must be a text, a finite number of at most 64 bits, true or false, or a list of these, "
                    f"got {shown(options[key])}",
                )
            for key, why in refused:
                self.read.fault((*path, key) if key else path, why)
        label = self.read.string(path, table, "label", label_of(name, _plain_options(table)))
        self.read.note((*path, "label"), {"maxLength": LONGEST_LABEL})
        if "label" in table and len(label) > LONGEST_LABEL:
            self.read.fault((*path, "label"), f"a label has at most {LONGEST_LABEL} characters, this one {len(label)}")
        return BackendChoice(name, label.strip(), options)

    def limits(self, table: dict[str, Any]) -> Limits:
        path, default = ("limits",), Limits()
        self.read.unknown(path, table, ("seconds", "memory", "reference_seconds"))
        return Limits(
            self.read.number(path, table, "seconds", default.seconds, 0.1, 86400),
            self.read.size(path, table, "memory", default.memory),
            self.read.number(path, table, "reference_seconds", default.reference_seconds, 0.1, 86400),
        )

    def timing(self, table: dict[str, Any], timed: bool) -> Timing:
        path, default = ("timing",), Timing()
        self.read.unknown(path, table, TIMING)
        if not timed:
            table = {key: value for key, value in table.items() if key == "threads"}  # the rest is reported already
        processes = self.read.whole(path, table, "processes", default.processes, 1, 1000)
        usual = max(processes, default.most_processes if processes >= FEWEST else 1)
        most = self.read.whole(path, table, "most_processes", usual, 1, 1000)
        if most < processes and self.read.sound(*path, "processes") and self.read.sound(*path, "most_processes"):
            key = "most_processes"
            self.read.fault((*path, key), f"must be at least processes, which is {processes}; got {most}")
        return Timing(
            processes=processes,
            most_processes=most,
            target=self.read.number(path, table, "target", default.target, 1e-4, 1),
            samples=self.read.whole(path, table, "samples", default.samples, 1, 10000),
            sample_ms=self.read.number(path, table, "sample_ms", default.sample_ms, 0.01, 10000),
            rounds=self.read.whole(path, table, "rounds", default.rounds, 1, 100),
            budget_s=self.read.number(path, table, "budget_s", default.budget_s, 0, 1e7),
            threads=self.read.whole(path, table, "threads", default.threads, 1, 1024),
            gc=self.read.flag(path, table, "gc", default.gc),
            warm_cache=self.read.flag(path, table, "warm_cache", default.warm_cache),
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
            if ends[0] == ends[1] and dtype in used and self.read.sound("steps"):
                path = ("steps", dtype) if own else ("steps",)
                self.read.fault(path, f"in {dtype} the steps go from {ends[0]:g} to {ends[1]:g}, which is a single one")
        return Steps(ranges, self.read.whole(("steps",), table, "per_decade", Steps().per_decade, 1, 20))

    def unique(self, backends: Sequence[BackendChoice]) -> None:
        listed: set[str] = set()
        labels: set[str] = set()
        for (path, table), one in zip(self.backends, backends, strict=True):
            # what has no name, or an option that is none, is reported already and is told from others by its label only
            known = one.name and _plain_options(table) == one.options
            what = label_of(one.name, one.options) if known else ""
            if what and what in listed:
                self.read.fault((*path, "name"), f"{shown(what)} is listed already; leave one of the two out")
            elif one.label in labels and (known or "label" in table):
                message = f"{shown(one.label)} is the label of another backend already; give one of them another label"
                self.read.fault((*path, "label"), message)
            listed |= {what}
            labels |= {one.label} - {""}

    def takes_part(self, problems: Sequence[ProblemChoice], backends: Sequence[BackendChoice]) -> None:
        """Report labels of backends that a problem names and the study does not have."""
        labels = [one.label for one in backends]
        for (path, table), one in zip(self.problems, problems, strict=True):
            for label in (label for label in one.backends if label not in labels and self.read.sound("backend")):
                place = (*path, "backends", table["backends"].index(label))
                self.read.fault(place, f"{shown(label)} is none of the backends {suggestion(label, labels)}")

    def overlap(self, problems: Iterable[ProblemChoice]) -> None:
        seen: set[tuple[Any, ...]] = set()
        for (path, _), one in zip(self.problems, problems, strict=True):
            wanted = {
                (one.name, size, dtype, one.device, rounds(one, dtype)) for size in one.sizes for dtype in one.dtypes
            }
            if one.name and (twice := sorted(wanted & seen)):
                _, size, dtype, *_ = twice[0]
                self.read.fault(path, f"{shown(one.name)} at size {size!r} in {dtype} is already listed above")
            seen |= wanted


def _own(facts: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a user's own loss, nothing for the others."""
    return {"source": facts["source"], "data": tuple(facts["data"].items())} if facts else {}


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain(one) and not isinstance(one, list) for one in value)
    if isinstance(value, int):
        return whole_fits(value)
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _options(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("name", "label")}


def _plain_options(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _options(table).items() if _plain(value)}
