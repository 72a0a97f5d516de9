"""Pages of every kind of study in a real browser: narrow windows, labels of charts, hostile names; and large pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import kind_runs
import made_up_runs as made
import pytest
from test_browser_axe import MEDIA

from difflab.report import budget, raster, render
from difflab.report.cases import printable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PAPER = 680  # pixels between the margins of A4
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true })"
OVERLAPS = """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const name = chart.querySelector('title').textContent;
  const texts = [...chart.querySelectorAll('text')].filter(t => t.textContent.trim());
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([text, a], i) => boxes.slice(i + 1).filter(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2
  ).map(([other]) => `${name}: ${text} | ${other}`));
})"""
OUTSIDE = """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('text')].filter(text => {
    const t = text.getBoundingClientRect();
    return t.left < box.left - 1 || t.right > box.right + 8 || t.top < box.top - 1 || t.bottom > box.bottom + 1;
  }).map(text => `${chart.querySelector('title').textContent}: ${text.textContent}`);
})"""
SMALLEST = """Math.min(...[...document.querySelectorAll('svg.chart text')].filter(t => t.textContent.trim())
  .map(t => t.getBoundingClientRect().height))"""


class Visits:
    """One page that goes from file to file, with everything that is said and asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def to(self, text: str, folder: Path) -> Page:
        """Open this page."""
        path = folder / "page.html"
        path.write_text(text, encoding="utf-8")
        self.complaints.clear()
        self.requests.clear()
        self.page.goto(path.as_uri())
        return self.page

    def quiet(self) -> bool:
        """Whether nothing was said, and nothing asked for but the page itself."""
        asked = [url for url in self.requests[1:] if not url.startswith("data:")]
        return self.complaints == [] and asked == []


@pytest.fixture(scope="module")
def visits(chromium: Browser) -> Iterator[Visits]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield Visits(context.new_page())
    context.close()


def labels_apart(page: Page) -> None:
    """Fail where labels of charts lie on each other, outside of their chart, or are too small to be read."""
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.locator("svg.chart text").count() == 0 or page.evaluate(SMALLEST) >= 9


@pytest.mark.parametrize("kind", kind_runs.KINDS)
def test_pages_fit_narrow_windows_and_labels_lie_apart(visits: Visits, tmp_path: Path, kind: str) -> None:
    page = visits.to(kind_runs.page_of(kind), tmp_path)
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OVERFLOW) == 0
        labels_apart(page)
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate(OVERFLOW) == 0
    page.evaluate(UNFOLD)
    assert page.evaluate(OVERFLOW) == 0
    page.set_viewport_size({"width": PAPER, "height": 800})
    page.emulate_media(media="print")
    wider = page.evaluate(OVERFLOW) / PAPER
    page.emulate_media(media="screen")
    assert wider < 0.1, "what is much wider than the paper is cut off there"
    assert visits.quiet(), (visits.complaints, visits.requests)


@pytest.mark.parametrize("kind", kind_runs.KINDS)
def test_hostile_foreign_and_playful_names_do_nothing(visits: Visits, tmp_path: Path, kind: str) -> None:
    run = kind_runs.renamed(kind_runs.run_of(kind))
    page = visits.to(render(run), tmp_path)
    page.set_viewport_size({"width": 360, "height": 800})
    title = printable(run.manifest["study"]["title"])
    assert page.title() == page.locator("h1").inner_text() == title
    assert page.locator("img").count() == 0
    assert page.evaluate(OVERFLOW) == 0
    labels_apart(page)
    page.evaluate(UNFOLD)
    assert page.evaluate(OVERFLOW) == 0
    assert visits.quiet(), (visits.complaints, visits.requests)


def test_marks_beyond_the_limit_are_pixels_in_the_colours_of_the_scheme(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "MARKS", 10)
    page = visits.to(render(made.full()), tmp_path)
    shown = """() => [...document.querySelectorAll('#time image')].filter(one => one.checkVisibility())
      .map(one => [one.getAttribute('class'), one.getBoundingClientRect().width > 300])"""
    page.set_viewport_size({"width": 1280, "height": 800})
    for (scheme, medium), name in zip(MEDIA, ("on-light", "on-dark", "on-light"), strict=True):
        page.emulate_media(color_scheme=scheme, media=medium)
        seen = page.evaluate(shown)
        assert seen
        assert all(one == [name, True] for one in seen)
    page.emulate_media(color_scheme="light", media="screen")
    page.locator("#time").scroll_into_view_if_needed()
    sizes = page.evaluate(
        """async () => await Promise.all([...document.querySelectorAll('#time image')].map(async one => {
             const picture = new Image();
             picture.src = one.getAttribute('href');
             await picture.decode();
             return [picture.naturalWidth, picture.naturalHeight];
           }))"""
    )
    assert sizes[0] == sizes[1]
    assert min(sizes[0]) > 500
    assert "drawn as pixels and have no tips" in page.locator("#time").inner_text()
    assert page.locator("#time svg.chart g title").count() == 0
    assert visits.quiet(), (visits.complaints, visits.requests)


def test_a_page_of_5000_cases_opens_and_sorts(visits: Visits, tmp_path: Path) -> None:
    times_alone = {"rel_error": None, "digits": None, "worst_digits": None, "peak_bytes": None}
    rows = [
        made.timed(f"way {b}", 1e-5 * (b + 1) * (s + 1), 1e-15, problem=f"p{p}", size=f"s{s}", n_params=10 * 2**s)
        | times_alone
        for p in range(50)
        for s in range(10)
        for b in range(10)
    ]
    page = visits.to(render(made.run(rows)), tmp_path)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("#rows tbody tr").count() == 5000
    assert page.locator("#time svg.chart").count() == budget.PANELS
    assert page.locator("#scoreboard details").count() == 50
    heading = page.locator("#rows th", has=page.locator("button", has_text="One gradient"))
    heading.locator("button").first.click()
    found = page.evaluate(
        """cell => [...document.querySelectorAll('#rows tbody tr')].map(row => +row.cells[cell].dataset.v)""",
        heading.evaluate("cell => cell.cellIndex"),
    )
    assert len(found) == 5000
    assert found == sorted(found)
    assert visits.quiet(), (visits.complaints, visits.requests)
