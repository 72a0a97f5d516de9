"""One case in a reader's hands: its samples as they are stored, the theme, words explained, and no script at all."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import made_up_runs as made
import pytest
from open_pages import KEYS, RUN, hash_of, opened, quiet, wait_until

from difflab.report import cases, details, page, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
OPEN_WORDS = """selector => [...document.querySelectorAll(selector)].flatMap(button => {
  button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  button.click();
  const meaning = document.getElementById(button.getAttribute('popovertarget')), box = meaning.getBoundingClientRect();
  const fits = meaning.matches(':popover-open') && box.width > 0
    && box.left >= 0 && box.right <= innerWidth + 1 && box.top >= 0 && box.bottom <= innerHeight + 1;
  meaning.hidePopover();
  return fits ? [] : [`${button.textContent}: ${[box.left, box.right, box.top, box.bottom]}`];
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(RUN, tmp_path_factory.mktemp("state")).as_uri()


@pytest.fixture
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    settings = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **getattr(request, "param", {})}
    made_one = chromium.new_context(**settings)
    yield made_one
    made_one.close()


# ---------------------------------------------------------------------------- one case and its samples


def _drawn(tab: Page) -> list[list[float]]:
    """The samples as their dots stand above the axis of the strip plot, by its first and last tick, in its unit."""
    ticks = tab.evaluate(
        "[...document.querySelectorAll('.strip text.f-ink')].map(t => [+t.getAttribute('x'), +t.textContent])"
    )
    (x0, v0), (x1, v1) = ticks[0], ticks[-1]
    paths = tab.evaluate("[...document.querySelectorAll('.strip .dots')].map(p => p.getAttribute('d'))")
    places = [[float(x) for x in re.findall(r"M(-?[\d.]+) ", path)] for path in paths]
    return [[v0 + (x - x0) * (v1 - v0) / (x1 - x0) for x in one] for one in places]


@pytest.mark.parametrize("place", [0, 2, 11])
def test_a_row_opens_its_samples_and_they_are_the_stored_ones(
    context: BrowserContext, address: str, place: int
) -> None:
    visit = opened(context, address)
    tab, row, key = visit.page, RUN.rows[place], KEYS[place]
    stored = RUN.samples[row["case"]]
    pick = tab.locator(f'[id="case={key}"] button.pick')
    assert pick.get_attribute("aria-expanded") == "false"
    pick.focus()
    tab.keyboard.press("Enter" if place else "Space")
    assert hash_of(tab) == f"#case={key}"
    assert pick.get_attribute("aria-expanded") == "true"
    assert tab.locator(f'[id="case={key}"]').get_attribute("aria-current") == "true"
    assert tab.evaluate("document.activeElement.id") == "selected-h"
    assert tab.get_by_role("region", name=f"{row['backend']}, {row['problem']} {row['size']}").is_visible()
    unit = (tab.locator(".strip text", has_text="time per call").text_content() or "").split(", ")[1]
    size = {"s": 1.0, "ms": 1e-3, "\u00b5s": 1e-6, "ns": 1e-9}[unit]
    spread = max(max(one) for one in stored) - min(min(one) for one in stored)
    for drawn, known in zip(_drawn(tab), stored, strict=True):
        assert [value * size for value in drawn] == pytest.approx(known, abs=spread / 500)
    tab.locator("#selected summary").click()
    cells = tab.evaluate(
        "[...document.querySelectorAll('#selected tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    for number, (cell, known) in enumerate(zip(cells, stored, strict=True), 1):
        assert cell[:2] == [str(number), str(len(known))]
        numbers = [float(text) * size for text in cell[2:5]]
        assert numbers == pytest.approx([min(known), median(known), max(known)], rel=1e-4)
        assert [float(text) * size for text in cell[5].split(", ")] == pytest.approx(known, rel=5e-5)
    words = tab.locator(".strip").get_attribute("aria-label") or ""
    assert words.count("process ") == words.count("n = 2") == len(stored)
    assert f"process 1: median {cells[0][3]} {unit}, from {cells[0][2]} to {cells[0][4]} {unit}, n = 2" in words
    assert quiet(visit, address)


def test_the_details_say_every_column_that_is_known_and_the_whole_reason(context: BrowserContext, address: str) -> None:
    place = next(k for k, row in enumerate(RUN.rows) if row["outcome"] == "skipped_predicted")
    tab = opened(context, f"{address}#case={KEYS[place]}").page
    assert tab.locator("#selected .outcome").inner_text().endswith(f"refused by forecast: {RUN.rows[place]['reason']}")
    assert tab.locator("#selected .missing").inner_text() == "There are none: nothing of this case was timed."
    assert tab.locator("#selected svg").count() == 0
    tab.evaluate(f"location.hash = '#case={KEYS[0]}'")
    tab.wait_for_selector("#selected svg")
    known = dict(
        tab.evaluate(
            "[...document.querySelectorAll('#selected .facts div')].map(d => [...d.children].map(c => c.textContent))"
        )
    )
    shown = tab.evaluate(
        """() => { const names = [...document.querySelectorAll('#rows thead th')].map(h => h.firstChild.textContent);
                   const row = document.querySelector('#rows tbody tr');
                   return [...row.cells].map((c, k) => [names[k], c.textContent]).slice(1).filter(p => p[1]); }"""
    )
    assert {name: text for name, text in shown if name not in ("Outcome", "Reason")}.items() <= known.items()
    assert {"Dtype": "float64", "Device": "cpu", "Operator": "gradient"}.items() <= known.items()


def test_closing_returns_to_the_row_and_escape_closes(context: BrowserContext, address: str) -> None:
    visit = opened(context, address)
    tab = visit.page
    for close in ("Escape", "button", "row"):
        pick = tab.locator("#rows button.pick").nth(4)
        pick.focus()
        tab.keyboard.press("Enter")
        assert tab.locator("#selected").is_visible()
        if close == "Escape":
            tab.keyboard.press("Escape")
        elif close == "button":
            tab.keyboard.press("Tab")
            tab.keyboard.press("Tab")
            tab.keyboard.press("Enter")
        else:
            pick.focus()
            tab.keyboard.press("Space")
        assert tab.locator("#selected").is_hidden()
        assert hash_of(tab) == ""
        assert pick.evaluate("button => button === document.activeElement")
        assert tab.locator("tr[aria-current]").count() == 0
    assert quiet(visit, address)


def test_cells_of_the_scoreboard_lead_to_their_case_and_keep_the_sorting(context: BrowserContext, address: str) -> None:
    visit = opened(context, f"{address}#sort=backend.desc")
    tab = visit.page
    links = tab.locator("#scoreboard td a")
    assert links.count() == len(RUN.rows)
    target = (links.first.get_attribute("href") or "").removeprefix("#case=")
    assert target in KEYS
    links.first.focus()
    tab.keyboard.press("Enter")
    wait_until(tab, "document.activeElement.id === 'selected-h'")
    assert hash_of(tab) == f"#sort=backend.desc&case={target}"
    assert tab.locator('#rows th[aria-sort="descending"]').count() == 1
    tab.go_back()
    wait_until(tab, "document.getElementById('selected').hidden")
    assert quiet(visit, address)


def test_samples_can_be_saved_as_csv(context: BrowserContext, address: str, tmp_path: Path) -> None:
    visit = opened(context, f"{address}#case={KEYS[0]}")
    with visit.page.expect_download() as saving:
        visit.page.get_by_role("button", name="Save as CSV").click()
    assert saving.value.suggested_filename == f"{KEYS[0]}.csv"
    saving.value.save_as(tmp_path / "saved.csv")
    rows = list(csv.DictReader((tmp_path / "saved.csv").read_text().splitlines()))
    stored = RUN.samples[RUN.rows[0]["case"]]
    assert {row["case"] for row in rows} == {KEYS[0]}
    assert [(row["process"], row["sample"]) for row in rows] == [
        (str(p + 1), str(k + 1)) for p, one in enumerate(stored) for k in range(len(one))
    ]
    assert [float(row["seconds"]) for row in rows] == pytest.approx([v for one in stored for v in one], rel=5e-5)
    assert quiet(visit, address)


def test_a_page_without_room_for_all_samples_says_so(
    context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [made.timed(f"b{k}", 1e-4 * (k + 1), 1e-15) for k in range(10)]
    run = made.run(rows)
    run.samples = {
        one["case"]: [[one["call_s"] * (1 + k * p / 100) for k in range(40)] for p in range(6)] for one in rows
    }
    whole = details.details
    monkeypatch.setattr(details, "details", lambda cases, samples: whole(cases, samples, 4000))
    where = write(run, tmp_path).as_uri()
    visit = opened(context, f"{where}#case={details.keys(cases.read(rows))[2]}")
    tab = visit.page
    held = whole(cases.read(rows), run.samples, 4000)
    assert held.every == 2400
    said = tab.locator("#measured").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert held.note in said
    assert "difflab export RUN --table samples" in said
    note = tab.locator("#selected .note").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    dots = sum(len(one) for one in _drawn(tab))
    assert note.startswith(f"{dots} of 240 samples, ")
    assert 18 <= dots < 240
    assert "difflab export RUN --table samples" in note
    exact = run.samples[rows[2]["case"]][5]
    words = tab.locator(".strip").get_attribute("aria-label") or ""
    last = re.search(r"process 6: median ([\d.]+) \S+, from ([\d.]+) to ([\d.]+) (\S+), n = 40", words)
    assert last is not None
    assert [float(last[k]) for k in (2, 1, 3)] == pytest.approx([1e6 * f(exact) for f in (min, median, max)], rel=1e-4)
    assert quiet(visit, where)


# ---------------------------------------------------------------------------- theme, words, no script


def _colours(tab: Page) -> list[str]:
    return tab.evaluate(
        """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.chart text')).fill,
            getComputedStyle(document.querySelector('.chart .f-s0')).fill]"""
    )


def test_the_theme_is_chosen_by_a_button_and_paper_stays_white(context: BrowserContext, address: str) -> None:
    visit = opened(context, address)
    tab = visit.page
    light = _colours(tab)
    button = tab.locator("header button.theme")
    assert button.inner_text() == "Colours: as the system"
    button.focus()
    tab.keyboard.press("Enter")
    assert (button.inner_text(), hash_of(tab)) == ("Colours: light", "#theme=light")
    tab.emulate_media(color_scheme="dark")
    assert _colours(tab) == light
    tab.keyboard.press("Space")
    assert (button.inner_text(), hash_of(tab)) == ("Colours: dark", "#theme=dark")
    tab.emulate_media(color_scheme="light")
    dark = _colours(tab)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    tab.emulate_media(color_scheme="light", media="print")
    assert _colours(tab) == ["rgb(255, 255, 255)", *light[1:]]
    assert button.is_hidden()
    tab.emulate_media(color_scheme="dark", media="screen")
    button.focus()
    tab.keyboard.press("Enter")
    assert hash_of(tab) == ""
    assert _colours(tab) == dark
    assert quiet(visit, address)


def test_the_two_places_of_dark_colours_say_the_same() -> None:
    sheet = (Path(page.__file__).parent / "templates" / page.SHEET).read_text()
    first, second = re.findall(r":root[^{]*dark[^{]*\{([^}]*)\}|:not\(\[data-theme=\"light\"\]\) \{([^}]*)\}", sheet)
    colours = [set(re.findall(r"(--[\w-]+): ([^;]+);", "".join(one))) for one in (first, second)]
    assert len(colours[0]) > 15
    assert colours[0] == colours[1]


def test_a_theme_in_the_address_is_there_before_anything_is_drawn(context: BrowserContext, address: str) -> None:
    context.add_init_script(
        """document.addEventListener('readystatechange', () => {
             window.early ??= document.documentElement.dataset.theme; });
           new MutationObserver((_, own) => { if (document.body) {
             window.atBody = document.documentElement.dataset.theme; own.disconnect(); } })
           .observe(document, { childList: true, subtree: true });"""
    )
    tab = opened(context, f"{address}#theme=dark").page
    assert tab.evaluate("window.atBody") == "dark"


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_nothing_is_dead(context: BrowserContext, address: str) -> None:
    visit = opened(context, f"{address}#case={KEYS[5]}")
    tab = visit.page
    assert tab.locator("input, select, #selected").count() == 0
    assert tab.locator("button").count() == tab.locator("button.term, button.ask").count() > 10
    row = tab.locator(f'[id="case={KEYS[5]}"]')
    assert row.is_visible()
    box = row.bounding_box()
    assert box is not None
    assert -2 <= box["y"] <= 900, "the link of the scoreboard leads to the row"
    term = tab.locator("button.term").first
    meaning = tab.locator(f'[id="{term.get_attribute("popovertarget")}"]')
    assert meaning.is_hidden()
    term.focus()
    tab.keyboard.press("Enter")
    assert meaning.is_visible()
    tab.keyboard.press("Escape")
    assert meaning.is_hidden()
    tab.locator("#measured summary", has_text="What each process measured").click()
    assert tab.get_by_role("table", name="Samples of each case by process").is_visible()


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": w, "height": 700}} for w in (320, 390, 1280)], indirect=True
)
def test_an_open_case_and_an_open_word_fit_every_window(context: BrowserContext, address: str) -> None:
    visit = opened(context, f"{address}#case={KEYS[0]}&filter=reverse")
    tab = visit.page
    tab.locator("#selected summary").click()
    assert visit.overflow() == 0
    overlapping = tab.evaluate(
        """() => {
             const texts = [...document.querySelectorAll('.strip text')];
             const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
             return boxes.flatMap(([name, a], i) => boxes.slice(i + 1).filter(([, b]) =>
               a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2
             ).map(([other]) => `${name} | ${other}`));
           }"""
    )
    assert overlapping == []
    for kind in ("term", "ask"):
        button = tab.locator(f"button.{kind}").first
        button.click()
        meaning = tab.locator(f'[id="{button.get_attribute("popovertarget")}"]')
        assert meaning.is_visible()
        tab.keyboard.press("Escape")
        assert meaning.is_hidden()
        assert tab.evaluate(OPEN_WORDS, f"button.{kind}") == []
    assert visit.overflow() == 0
