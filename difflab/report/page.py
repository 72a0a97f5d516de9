"""The page: one file that needs nothing else, not even a network, and the same bytes whenever it is made again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import StoreError
from ..harness import study_kinds
from ..pages import policy
from . import answer as answers
from . import (
    bar_tables,
    bars,
    devices,
    figures,
    forecasts,
    kinds,
    machines,
    nouns,
    numbers,
    self_tests,
    style,
    tables,
    words,
)
from . import cases as readings

FILENAME = "index.html"
TEMPLATES = ("page.html.j2", "style.css", "sort.js")
TOGETHER = re.compile(
    rf"(?<=\d) (?=\d{{3}}\b|%|[{numbers.MICRO}mn]?s\b|[KMGT]iB\b|B\b|cases?\b|times\b|digits\b|parameters\b"
    r"|(?:m|b|tr)illion\b)"
)


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
        found = replace(found, sentences=bars.sentences(judged))
    untested = self_tests.caveats(results.manifest.get("environment") or {})
    return replace(found, caveats=(*devices.caveats(results.manifest, cases), *found.caveats, *untested))


def write(results: Stored, folder: str | Path | None = None) -> Path:
    """Write the page of a run; what is there already is replaced in one step.

    Args:
        results: the results of a run.
        folder: where ``index.html`` goes; by default the run's own folder.

    Returns:
        The path of the page.

    Raises:
        StoreError: the folder cannot be written.

    >>> import difflab as dl
    >>> write(dl.load("reports/digits"))  # doctest: +SKIP
    PosixPath('reports/digits/index.html')
    """
    target = Path(results.folder if folder is None else folder) / FILENAME
    text = render(results)
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


def render(results: Run) -> str:
    """The page of a run as text.

    Args:
        results: the results of a run.

    Returns:
        A complete HTML document.

    >>> render(dl.load("reports/digits"))[:15]  # doctest: +SKIP
    '<!DOCTYPE html>'
    """
    return _whole(contents(results))


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
        found, charts, boards = own.answer, list(own.charts), tables.scoreboard(groups) if own.scoreboard else []
    else:
        own = None
        charts = figures.charts(groups, looks, figures.Limits(limits.get("seconds"), limits.get("memory")))
        found = answers.answer(cases, quick=bool(manifest.get("quick")))
        boards = tables.scoreboard(groups)
    judged = bars.judge(cases, bars.bars_of(manifest))
    if judged:
        found = replace(found, sentences=bars.sentences(judged))
    if timed and (chart := forecasts.measured_over_forecast(groups, looks)) is not None:
        charts.append(chart)
    return {
        "name": name,
        "kind": "comparison" if manifest.get("command") else "study",
        "title": readings.printable(study.get("title")) or name,
        "question": readings.printable(study.get("question")),
        "look_for": readings.printable(study.get("look_for")),
        "answer": found.sentences,
        "caveats": (*devices.caveats(manifest, cases), *found.caveats, *self_tests.caveats(environment)),
        "summary": f"{numbers.counted(len(cases), 'case')}: {readings.tally_words(cases)}." if cases else "",
        "quick": bool(manifest.get("quick")),
        "created": readings.printable(manifest.get("created")),
        "version": str((environment.get("packages") or {}).get("difflab") or ""),
        "boards": boards,
        "bars": bar_tables.boards(judged),
        "noun": nouns.noun(cases),
        "matrix": own.matrix if own else None,
        "listings": [one for one in (own.tables if own else bar_tables.listings(judged, cases)) if one.table.rows],
        "largest": any("largest size" in sentence for sentence in found.sentences),
        "marks": {name: style.key_mark(look) for name, look in looks.items()},
        "charts": [chart for chart in charts if chart.panels or not manifest.get("command")],
        "table": tables.all_rows(cases),
        "baseline": readings.printable(study.get("baseline")),
        "glossary": [*own.glossary, *words.methods()]
        if own
        else [*bar_tables.glossary(judged), *nouns.meanings(cases), *words.glossary(), *devices.glossary(cases)],
        "method": [
            *(words.method(manifest, cases) if timed else words.examined(manifest)),
            *devices.method(manifest, cases),
            *(own.method if own else bar_tables.method(judged)),
        ],
        "machine": [
            *tables.machine(environment),
            *devices.machine(environment),
            *machines.others(manifest, results.rows),
        ],
        "references": words.references(_named(results.reference, cases)),
        "processes": tables.processes(cases, results.samples),
        "manifest": readings.printable(_json(manifest)),
        "command": _command(manifest, name),
        "text": readings.printable(study.get("text")),
    }


def tight(text: str) -> str:
    """Prose in which a line never breaks between a number and its unit."""
    return TOGETHER.sub("\N{NO-BREAK SPACE}", text)


def _whole(shown: Mapping[str, Any]) -> str:
    """The page that shows these contents."""
    template, always = _template()
    return template.render({**shown, **always})


@functools.cache
def _template() -> tuple[Any, dict[str, str]]:
    """The template, compiled once, and what stands on every page."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("difflab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tight"] = tight
    environment.globals["markup"] = Markup
    name, *files = TEMPLATES
    sheet, script = (_asset(environment, file) for file in files)
    always = {"sheet": Markup(sheet), "script": Markup(script), "policy": policy(sheet, script)}
    return environment.get_template(name), always


def _asset(environment: Any, name: str) -> str:
    """A file beside the template, as it is."""
    return environment.loader.get_source(environment, name)[0]


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


def _command(manifest: Mapping[str, Any], name: str) -> str:
    if manifest.get("command"):  # not every page comes from a study
        return str(manifest["command"])
    parts = ["difflab", "run", name]
    if manifest.get("quick"):
        parts.append("--quick")
    if manifest.get("seed"):
        parts += ["--seed", str(manifest["seed"])]
    return " ".join(parts)
