"""The page: one file that needs nothing else, not even a network, and the same bytes whenever it is made again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import StoreError
from ..harness import study_kinds
from ..harness.drawings import Kept
from ..pages import in_script, policy
from . import answer as answers
from . import (
    bar_tables,
    bars,
    budget,
    details,
    devices,
    explained,
    facts,
    figures,
    fitting,
    forecasts,
    graph_section,
    kinds,
    machines,
    measured,
    nouns,
    numbers,
    parts,
    scoreboard,
    self_tests,
    style,
    tables,
    templating,
    terms,
    words,
)
from . import cases as readings
from .templating import asset, tight

FILENAME = "index.html"
TEMPLATE, WORDS, SHEET = "page.html.j2", "words.html.j2", "style.css"
SLOT = "<!-- words -->"  # where the terms go that the rest of the page uses; no text of a run can hold it
SCRIPTS = ("state.js", "tables.js", "strip.js", "cases.js", "start.js")


def _ignore(_: str) -> None:
    """Say nothing."""


class Run(Protocol):
    """What the page needs of a run: its rows, manifest, raw samples and what is known of its references."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One mapping per case with the columns of the frame."""
        ...

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Study, settings and machine."""
        ...

    @property
    def samples(self) -> Mapping[str, Sequence[Sequence[float]]]:
        """Seconds per call by case id, one list per process."""
        ...

    @property
    def reference(self) -> Mapping[str, Mapping[str, Any]]:
        """What is known of the certified gradients, by problem and size."""
        ...

    @property
    def drawing(self) -> Kept | None:
        """What there is to draw, if anything."""
        ...


class Stored(Run, Protocol):
    """A run that has a folder."""

    @property
    def folder(self) -> Path:
        """Where the run is stored."""
        ...


def answer(results: Run) -> answers.Answer:
    """The answer of a run: at most two sentences computed from its rows, and what limits them.

    Args:
        results: the results of a run.

    Returns:
        ``text`` and ``caveats``, plain text with spaces in large numbers.

    >>> from types import SimpleNamespace
    >>> answer(SimpleNamespace(rows=[], manifest={})).text
    'This run holds no case, so there is no answer.'
    """
    kind, cases = kinds.kind_of(results.manifest), readings.read(results.rows)
    if kind in kinds.KINDS:
        found = kinds.sections(kind, cases).answer
    else:
        found = answers.answer(cases, quick=bool(results.manifest.get("quick")))
    if judged := bars.judge(cases, bars.bars_of(results.manifest)):
        found = replace(found, sentences=bars.sentences(judged), details=())
    untested = self_tests.caveats(results.manifest.get("environment") or {})
    return replace(found, caveats=(*devices.caveats(results.manifest, cases), *found.caveats, *untested))


def write(results: Stored, folder: str | Path | None = None, say: Callable[[str], None] = _ignore) -> Path:
    """Write the page of a run; what is there already is replaced in one step.

    Args:
        results: the results of a run.
        folder: where ``index.html`` goes; by default the run's own folder.
        say: is told in a sentence if the page would be too large, and is written without charts and tables.

    Returns:
        The path of the page.

    Raises:
        StoreError: the folder cannot be written.

    >>> import difflab as dl
    >>> write(dl.load("reports/digits"))  # doctest: +SKIP
    PosixPath('reports/digits/index.html')
    """
    target = Path(results.folder if folder is None else folder) / FILENAME
    text = render(results, say)
    aside = target.with_name(f".{FILENAME}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(aside, target)
    except OSError as fault:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise StoreError(
            f"The page {target} cannot be written: {fault.strerror}. Free the disk or choose another folder."
        ) from fault
    return target


def render(results: Run, say: Callable[[str], None] = _ignore) -> str:
    """The page of a run as text.

    Args:
        results: the results of a run.
        say: is told in a sentence if the page would be too large, and is written without charts and tables.

    Returns:
        A complete HTML document.

    >>> render(dl.load("reports/digits"))[:15]  # doctest: +SKIP
    '<!DOCTYPE html>'
    """
    return _whole(contents(results), say)


def contents(results: Run) -> dict[str, Any]:
    """Everything that the template shows, in the order of the page.

    Args:
        results: the results of a run.
    """
    manifest = results.manifest
    study, environment = manifest.get("study") or {}, manifest.get("environment") or {}
    limits = study.get("limits") or {}
    name = readings.printable(study.get("name")) or "study"
    cases = readings.read(results.rows)
    groups, looks = readings.groups(cases), style.looks(cases)
    kind = kinds.kind_of(manifest)
    timed = kind not in kinds.KINDS or study_kinds.KINDS[kind].timed
    if kind in kinds.KINDS:
        own = kinds.sections(kind, cases)
        found, charts, boards = own.answer, list(own.charts), scoreboard.scoreboard(groups) if own.scoreboard else []
    else:
        own = None
        charts = figures.charts(groups, looks, figures.Limits(limits.get("seconds"), limits.get("memory")))
        found = answers.answer(cases, quick=bool(manifest.get("quick")))
        boards = scoreboard.scoreboard(groups)
    judged = bars.judge(cases, bars.bars_of(manifest))
    if judged:
        found = replace(found, sentences=bars.sentences(judged), details=())
    if timed and (chart := forecasts.measured_over_forecast(groups, looks)) is not None:
        charts.append(chart)
    special = [*(own.glossary if own else bar_tables.glossary(judged)), *devices.glossary(cases)]
    glossary = words.explained([*special, *nouns.meanings()], cases)
    return {
        "name": name,
        "kind": "comparison" if manifest.get("command") else "study",
        "title": readings.printable(study.get("title")) or name,
        "question": readings.printable(study.get("question")),
        "look_for": readings.printable(study.get("look_for")),
        "answer": found.sentences,
        "more": found.details,
        "caveats": (*devices.caveats(manifest, cases), *found.caveats, *self_tests.caveats(environment)),
        "summary": f"{numbers.counted(len(cases), 'case')}: {readings.tally_words(cases)}." if cases else "",
        "quick": bool(manifest.get("quick")),
        "created": readings.printable(manifest.get("created")),
        "version": str((environment.get("packages") or {}).get("difflab") or ""),
        "boards": boards,
        "folded": len(boards) > budget.BOARDS_OPEN,
        "bars": bar_tables.boards(judged),
        "noun": nouns.noun(cases),
        "held": any(case.held_bytes is not None for case in cases),
        "matrix": own.matrix if own else None,
        "listings": fitting.listings(own.tables if own else bar_tables.listings(judged, cases)),
        "largest": any("largest size" in sentence for sentence in found.sentences),
        "marks": {name: style.key_mark(look) for name, look in looks.items()},
        "charts": [one for one in fitting.charts(charts, found.sentences) if one.panels or not manifest.get("command")],
        "graph": graph_section.section(results.drawing),
        "table": tables.all_rows(cases),
        "baseline": readings.printable(study.get("baseline")),
        "glossary": glossary,
        "explained": explained.Explained(glossary, tight),
        "details": details.details(cases, results.samples),
        "method": [
            *(measured.method(manifest, cases) if timed else measured.examined(manifest)),
            *devices.method(manifest, cases),
            *(own.method if own else bar_tables.method(judged)),
        ],
        "machine": [
            *facts.machine(environment),
            *devices.machine(environment),
            *machines.others(manifest, results.rows),
        ],
        "references": measured.references(_named(results.reference, cases)),
        "processes": tables.processes(cases, results.samples),
        "manifest": readings.printable(_json(manifest)),
        "command": facts.command(manifest, name, cases),
        "target": manifest.get("target"),
        "seed": manifest.get("seed"),
        "text": readings.printable(study.get("text")),
        "refused": "",
        "show": [str(name) for name in study.get("show") or ()],
    }


def _whole(shown: Mapping[str, Any], say: Callable[[str], None] = _ignore) -> str:
    """The page that shows these contents, or of one that would be too large the beginning; ``say`` is told so."""
    page = _filled(shown)
    if why := fitting.refusal(len(page.encode())):
        say(why)
        page = _filled({**fitting.short(shown, why), "explained": explained.Explained(shown["glossary"], tight)})
    return page


def _filled(shown: Mapping[str, Any]) -> str:
    """The template with these contents."""
    sections = parts.parts(shown, shown["show"])
    template, listed, always = _template(drawn=any(one.what == parts.GRAPH and not one.empty for one in sections))
    page = template.render({**shown, **always, "parts": sections, "about": _about(shown)})
    found = terms.used(shown["glossary"], terms.text_of(page))
    return page.replace(SLOT, listed.render(glossary=found), 1)


@functools.cache
def _template(drawn: bool) -> tuple[Any, Any, dict[str, str]]:
    """The templates of the page and of its words, compiled once, and what stands on every page, or every one drawn."""
    from markupsafe import Markup

    environment = templating.environment()
    environment.globals["markup"] = Markup
    sheet, script = asset(environment, SHEET), _script(environment)
    if drawn:
        sheet, script = sheet + graph_section.sheet(), script + graph_section.script()
    always = {"sheet": Markup(sheet), "script": Markup(script), "policy": policy(sheet, script), "slot": Markup(SLOT)}
    return environment.get_template(TEMPLATE), environment.get_template(WORDS), always


def _script(environment: Any) -> str:
    """The script of the page: its parts in one scope of their own."""
    parts = "\n".join(asset(environment, name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _about(shown: Mapping[str, Any]) -> str:
    """What a page says of itself to machines, such as the index of a gallery."""
    keys = ("title", "question", "answer", "summary", "created", "quick")
    processor = next((text for name, text in shown["machine"] if name == "Processor"), "")
    said = {**{key: shown[key] for key in keys}, "processor": processor.partition(",")[0]}
    return in_script(json.dumps(said, ensure_ascii=False))


def _json(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON, without what the page shows elsewhere: the study's text and the list of cases."""
    study = {key: value for key, value in (manifest.get("study") or {}).items() if key != "text"}
    shown = {key: value for key, value in manifest.items() if key != "blocks"} | {"study": study}
    return json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False, default=str)


def _named(truths: Mapping[str, Any], cases: Sequence[readings.Case]) -> dict[str, Any]:
    """What is known of references, by problem and size as the page names them (keys have ``-`` for ``:`` and ``/``)."""
    titles = {}
    for case in cases:
        raw = case.problem.replace(":", "-").replace("/", "-")
        titles[f"{raw}-{case.size}"] = f"{readings.title(case.problem)}-{case.size}"
    return {titles.get(key, key): truth for key, truth in truths.items()}
