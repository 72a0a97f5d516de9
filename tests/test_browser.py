"""The page in a real browser: nothing is fetched, nothing is complained of, nothing scrolls sideways, keys work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import made_up_runs as made
import pytest
from visits import Visit

from difflab.report import write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
HOSTILE = '</script><script>document.title = "taken"</script>"><img src=x onerror="document.title=\'taken\'">'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(made.full(), tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture
def visit(chromium: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    settings = {"viewport": {"width": 1280, "height": 900}, **getattr(request, "param", {})}
    context = chromium.new_context(**settings)
    yield Visit(context, address)
    context.close()


def _visit(**settings: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("visit", [settings], indirect=True)


@pytest.mark.parametrize("visit", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_page_fits_every_window_quietly_and_without_a_network(visit: Visit, address: str) -> None:
    for unfolded in (False, True):
        if unfolded:
            for summary in visit.page.query_selector_all("summary"):
                summary.click()
            assert visit.page.locator("details[open]").count() == visit.page.locator("details").count() == 7
        for width in (320, 360, 768, 1280, 1920):
            visit.page.set_viewport_size({"width": width, "height": 800})
            assert (width, visit.overflow()) == (width, 0)
    assert visit.complaints == []
    assert [url for url in visit.requests if url != address and not url.startswith("data:")] == []


def test_colours_follow_the_scheme_and_charts_with_them(visit: Visit) -> None:
    def colours() -> list[str]:
        return visit.page.evaluate(
            """() => [getComputedStyle(document.body).backgroundColor,
                      getComputedStyle(document.querySelector('.chart .f-s0')).fill,
                      getComputedStyle(document.querySelector('.chart text')).fill]"""
        )

    visit.page.emulate_media(color_scheme="light")
    light = colours()
    visit.page.emulate_media(color_scheme="dark")
    dark = colours()
    assert all(a != b for a, b in zip(light, dark, strict=True))
    visit.page.emulate_media(color_scheme="dark", media="print")
    assert colours()[0] == "rgb(255, 255, 255)"
    assert colours()[1] == light[1]


def test_rows_are_sorted_by_keyboard(visit: Visit) -> None:
    page = visit.page
    heading = page.locator("#rows th", has=page.locator("button.sort", has_text="One gradient"))
    values = "[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[CELL].dataset.v ?? null)"
    values = values.replace("CELL", str(heading.evaluate("cell => cell.cellIndex")))
    study_order = page.evaluate(values)
    heading.locator("button.sort").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    found = page.evaluate(values)
    known = [float(value) for value in found if value is not None]
    assert known == sorted(known)
    assert found[len(known) :] == [None] * (len(found) - len(known)), "what was not measured comes last"
    assert page.locator("#rows .live").inner_text() == "Sorted by One gradient, ascending."
    page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "descending"
    found = page.evaluate(values)
    assert [float(value) for value in found if value is not None] == known[::-1]
    assert found[-1] is None
    page.keyboard.press("Tab")  # what the heading means
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "none"
    assert page.locator('#rows th[aria-sort="ascending"]').count() == 1
    heading.locator("button.sort").click(click_count=3, delay=20)
    assert page.evaluate(values) == study_order


@_visit(java_script_enabled=False)
def test_page_is_whole_without_scripts(visit: Visit) -> None:
    page = visit.page
    assert page.locator("#rows tbody tr").count() == len(made.full().rows)
    assert page.locator("button:not([popovertarget]), input, select").count() == 0
    page.locator("#time summary").click()
    assert page.locator("#time details table").is_visible()


def test_charts_have_names_and_keep_inside_their_panels(visit: Visit) -> None:
    page = visit.page
    charts = page.get_by_role("img")
    assert charts.count() == 10
    assert page.get_by_role("img", name="Time against the number of parameters, digits-cnn").count() == 1
    outside = page.evaluate(
        """() => [...document.querySelectorAll('.chart')].flatMap(chart => {
             const box = chart.getBoundingClientRect();
             return [...chart.querySelectorAll('text')].filter(text => {
               const t = text.getBoundingClientRect();
               return t.left < box.left - 1 || t.right > box.right + 8
                 || t.top < box.top - 1 || t.bottom > box.bottom + 1;
             }).map(text => text.textContent);
           })"""
    )
    assert outside == []


@_visit(viewport={"width": 360, "height": 800})
def test_labels_of_charts_do_not_overlap_and_can_be_read(visit: Visit) -> None:
    overlapping = visit.page.evaluate(
        """() => [...document.querySelectorAll('.chart')].flatMap(chart => {
             const boxes = [...chart.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
             return boxes.flatMap(([name, a], i) => boxes.slice(i + 1).filter(([, b]) =>
               a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2
             ).map(([other]) => `${name} | ${other}`));
           })"""
    )
    assert overlapping == []
    heights = visit.page.evaluate(
        "[...document.querySelectorAll('.chart text')].map(t => t.getBoundingClientRect().height)"
    )
    assert min(heights) >= 9


def _five_sizes() -> made.MadeUpRun:
    rows = []
    for size, n in (("tiny", 63), ("small", 610), ("medium", 2410), ("large", 9610), ("xlarge", 301_066)):
        at = {"size": size, "n_params": n}
        rows += [made.timed(name, 1e-7 * n, 3e-16, **at) for name in ("analytic", "reverse")]
        why = "the forecast is 453 s for one gradient (3.011e+05 evaluations of a loss of 0.0015 s); the limit is 10 s"
        forecast = {"predicted_s": 453.0 + n, "reason": why, **at}
        rows += [made.failed(name, "skipped_predicted", **forecast) for name in ("forward", "finite", "symbolic")]
    return made.run(rows)


def test_five_sizes_fit_the_window_and_hollow_marks_stand_apart(chromium: Browser, tmp_path: Path) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context, write(_five_sizes(), tmp_path).as_uri())
    hidden = visit.page.locator("#scoreboard .scroll").evaluate("board => board.scrollWidth - board.clientWidth")
    assert hidden == 0
    touching = visit.page.evaluate(
        """() => {
             const marks = [...document.querySelectorAll('#time .chart g')].filter(mark => {
               const tip = mark.querySelector(':scope > title');
               return tip && tip.textContent.includes('refused');
             }).map(mark => [mark.querySelector('title').textContent,
                             mark.querySelector('use').getBoundingClientRect()]);
             if (marks.length !== 15) return [`${marks.length} marks`];
             return marks.flatMap(([name, a], i) => marks.slice(i + 1).filter(([, b]) => {
               const [x, y] = [(a.left + a.right - b.left - b.right) / 2, (a.top + a.bottom - b.top - b.bottom) / 2];
               return Math.hypot(x, y) < (a.width + b.width) / 2;
             }).map(([other]) => `${name} | ${other}`));
           }"""
    )
    assert touching == []
    context.close()


@_visit(viewport={"width": 360, "height": 800})
def test_facts_stand_below_their_names_in_a_narrow_window(visit: Visit) -> None:
    below = visit.page.evaluate(
        """() => [...document.querySelectorAll('.facts div')].map(pair => {
             const [name, fact] = ['dt', 'dd'].map(tag => pair.querySelector(tag).getBoundingClientRect());
             return fact.top >= name.bottom;
           })"""
    )
    assert below
    assert all(below)


def test_hostile_names_do_nothing(chromium: Browser, tmp_path: Path) -> None:
    at = {"problem": HOSTILE, "size": HOSTILE}
    rows = [
        made.row(HOSTILE, **at),
        made.row("symbolic", **at, symbolic_ops_value=5),
        made.failed("finite", "timeout", **at),
    ]
    path = write(
        made.run(rows, title=HOSTILE, question=HOSTILE, look_for=HOSTILE, text=HOSTILE, name=HOSTILE), tmp_path
    )
    context = chromium.new_context(viewport={"width": 360, "height": 800})
    visit = Visit(context, path.as_uri())
    assert visit.page.title() == HOSTILE
    assert visit.page.locator("h1").inner_text() == HOSTILE
    assert visit.page.locator("img").count() == 0
    assert visit.complaints == []
    assert visit.overflow() == 0
    context.close()
