"""axe-core finds nothing: on pages of every kind of study, of a comparison, of a drawn graph; on screen and paper."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import kind_runs
import made_up_runs as made
import numpy as np
import pytest

import difflab as dl
from difflab.problems import PROBLEMS
from difflab.report import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
COLOURS = ("color-contrast", "link-in-text-block")  # the rules that look at colours, which is all that media change
MEDIA: tuple[tuple[Literal["light", "dark"], Literal["screen", "print"]], ...] = (
    ("light", "screen"), ("dark", "screen"), ("dark", "print"),
)  # fmt: skip
OPENED = """() => {
  document.querySelectorAll('details').forEach(one => { one.open = true });
  document.querySelector('a[href^="#case="]')?.click();
  document.querySelectorAll('svg.chart > :not(title, desc)').forEach(one => one.remove());  // axe sees one picture
  document.querySelectorAll('tbody').forEach(body => {  // of rows that differ in their texts alone, one is enough
    const seen = new Set();
    for (const row of [...body.rows]) {
      const kind = [...row.querySelectorAll('*')].map(one => `${one.tagName}.${one.className}`).join();
      seen.has(kind) ? row.remove() : seen.add(kind);
    }
  });
}"""
THINNED = """() => {
  const seen = new Set(), path = one => one ? `${path(one.parentElement)} ${one.tagName}.${one.className}` : '';
  for (const one of [...document.body.querySelectorAll('*')].filter(one => !one.childElementCount)) {
    const kind = path(one);  // to the style sheet, elements of the same classes in the same classes are alike
    seen.has(kind) ? one.remove() : seen.add(kind);
  }
  document.querySelectorAll('*').forEach(one => {  // axe gives up before gradients: here they are shadows at an edge
    if (getComputedStyle(one).backgroundImage !== 'none') one.style.backgroundImage = 'none';
  });
}"""
RUN = """async options => (await axe.run(document, options)).violations.flatMap(
  rule => rule.nodes.map(node => `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary}`))"""


@functools.cache
def axe() -> str:
    """axe-core as a script, as the package that drives it elsewhere brings it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def compared() -> str:
    """The page that a comparison saves."""

    def loss(w: np.ndarray) -> np.ndarray:
        return (w * w).sum()

    rows = dl.compare(loss, np.arange(3.0), backends=["reverse", "forward"])
    return render(rows)


def drawn() -> str:
    """The page of a drawn graph."""
    instance = PROBLEMS["two-layer"].build("tiny", "float64", 0)
    return dl.trace(instance.loss, *instance.args).draw(title=PROBLEMS["two-layer"].title).html


OTHERS: dict[str, Callable[[], str]] = {
    "every outcome": lambda: render(made.full()),
    "all timed out": lambda: render(kind_runs.ended(made.full(), "timeout")),
    "no case": lambda: render(made.run([])),
    "many cases": lambda: render(many()),
    "hostile names": lambda: render(kind_runs.renamed(made.full())),
    "a comparison": compared,
    "a drawn graph": drawn,
}


def many() -> made.MadeUpRun:
    """So many problems that their boards are folded and panels left out."""
    names = ("reverse", "finite (central)")
    return made.run([made.timed(name, 1e-4, 3e-16, problem=f"problem {k}") for k in range(20) for name in names])


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", [*kind_runs.KINDS, *OTHERS])
def test_axe_finds_nothing_in_light_dark_and_print(page: Page, tmp_path: Path, name: str) -> None:
    text = OTHERS[name]() if name in OTHERS else kind_runs.page_of(name)
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    page.goto(path.as_uri())
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page; the colours in all media."""
    page.emulate_media(color_scheme="light", media="screen")  # on paper, what is pressed is hidden, and not looked at
    page.evaluate(OPENED)
    page.evaluate(axe())
    quiet = {rule: {"enabled": False} for rule in COLOURS}
    found = page.evaluate(RUN, {"runOnly": {"type": "tag", "values": TAGS}, "rules": quiet})
    page.evaluate(THINNED)
    for scheme, medium in MEDIA:
        page.emulate_media(color_scheme=scheme, media=medium)
        seen = page.evaluate(RUN, {"runOnly": {"type": "rule", "values": list(COLOURS)}})
        found += [f"{scheme} {medium}: {one}" for one in seen]
    return found


def test_axe_would_find_faults(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(kind_runs.page_of("shapes"), encoding="utf-8")
    page.goto(path.as_uri())
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<a href=\"#x\"></a><img src=\"\">')")
    page.evaluate("document.documentElement.style.setProperty('--muted', '#999')")
    found = violations(page)
    assert {one.partition(":")[0] for one in found} == {"link-name", "image-alt", "light screen", "dark print"}
