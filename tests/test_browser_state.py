"""The page under a reader's hands: filter, sort, select, theme and the address that keeps them, by keyboard alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import made_up_runs as made
import pytest
from test_browser import HOSTILE, Visit

from difflab.report import cases, details, page, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
RUN = made.full()
KEYS = details.keys(cases.read(RUN.rows))
SHOWN = "[...document.querySelectorAll('#rows .sortable tbody tr')].filter(r => !r.hidden).map(r => r.id.slice(5))"
COUNT = "#rows .count"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(RUN, tmp_path_factory.mktemp("state")).as_uri()


@pytest.fixture
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    settings = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **getattr(request, "param", {})}
    made_one = chromium.new_context(**settings)
    yield made_one
    made_one.close()


def _open(context: BrowserContext, address: str) -> Visit:
    visit = Visit(context, address)
    visit.page.wait_for_load_state("load")
    return visit


def _hash(page: Page) -> str:
    return page.evaluate("location.hash")


def _quiet(visit: Visit, address: str) -> None:
    assert visit.complaints == []
    bare = address.partition("#")[0]
    others = [url for url in visit.requests if url.partition("#")[0] != bare]
    assert [url for url in others if not url.startswith(("data:", "blob:"))] == []


def _expected(*, words: str = "", **facets: str) -> list[str]:
    """The keys of the rows that hold all words and these values."""
    found = []
    for key, case in zip(KEYS, cases.read(RUN.rows), strict=True):
        text = f"{case.backend} {case.place} {case.outcome_words} {case.reason}".lower()
        fits = all(word in text for word in words.split())
        if fits and all(getattr(case, name) == value for name, value in facets.items()):
            found.append(key)
    return found


# ---------------------------------------------------------------------------- filter and sort


def test_rows_are_filtered_by_all_words_and_by_choices_by_keyboard_alone(context: BrowserContext, address: str) -> None:
    visit = _open(context, address)
    tab = visit.page
    assert tab.locator(COUNT).inner_text() == f"{len(KEYS)} of {len(KEYS)} rows"
    tab.get_by_label("Rows with the words").first.focus()
    tab.keyboard.type("Digits-CNN  finite")
    wanted = _expected(words="digits-cnn finite")
    assert 0 < len(wanted) < len(KEYS)
    assert tab.evaluate(SHOWN) == wanted
    assert tab.locator(COUNT).inner_text() == f"{len(wanted)} of {len(KEYS)} rows"
    assert tab.locator(COUNT).get_attribute("role") == "status"
    assert _hash(tab) == "#filter=Digits-CNN%20%20finite"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "Backend"
    tab.keyboard.type("finite (c")
    wanted = _expected(words="digits-cnn finite", backend="finite (central)")
    assert tab.evaluate(SHOWN) == wanted
    assert "backend=finite%20(central)" in _hash(tab)
    for _ in range(3):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Show all"
    tab.keyboard.press("Enter")
    assert tab.evaluate(SHOWN) == list(KEYS)
    assert _hash(tab) == ""
    assert tab.get_by_label("Rows with the words").first.input_value() == ""
    assert tab.evaluate("document.activeElement.type") == "search", "the button that did its work is off: focus moved on"
    _quiet(visit, address)


def test_sorting_and_filtering_stand_in_the_address_and_the_back_button_undoes_them(
    context: BrowserContext, address: str
) -> None:
    visit = _open(context, address)
    tab = visit.page
    button = tab.locator("#rows th button.sort", has_text="One gradient")
    button.focus()
    tab.keyboard.press("Enter")
    assert _hash(tab) == "#sort=one-gradient.asc"
    tab.keyboard.press("Enter")
    assert _hash(tab) == "#sort=one-gradient.desc"
    tab.get_by_label("Rows with the words").first.fill("reverse")
    tab.get_by_label("Rows with the words").first.press_sequentially(" cnn")
    assert _hash(tab) == "#sort=one-gradient.desc&filter=reverse%20cnn"
    sorted_keys = tab.evaluate(SHOWN)
    times = {key: row["call_s"] for key, row in zip(KEYS, RUN.rows, strict=True)}
    assert sorted_keys == sorted(_expected(words="reverse cnn"), key=lambda key: -times[key])
    tab.go_back()
    assert _hash(tab) == "#sort=one-gradient.desc", "what was typed without a pause is one step"
    assert tab.evaluate(SHOWN)[0] == max((k for k in KEYS if times[k]), key=lambda key: times[key])
    assert len(tab.evaluate(SHOWN)) == len(KEYS)
    tab.go_back()
    assert tab.locator('#rows th[aria-sort="ascending"]').inner_text().startswith("One gradient")
    tab.go_back()
    assert _hash(tab) == ""
    assert tab.evaluate(SHOWN) == list(KEYS)
    tab.go_forward()
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 1
    _quiet(visit, address)


def test_a_deep_link_restores_everything_and_goes_to_its_anchor(context: BrowserContext, address: str) -> None:
    key = KEYS[1]
    visit = _open(context, f"{address}#sort=work-ratio.desc&filter=mlp&outcome=finished&case={key}&theme=dark&words")
    tab = visit.page
    assert tab.locator('#rows th[aria-sort="descending"]').inner_text().startswith("Work ratio")
    assert set(tab.evaluate(SHOWN)) == set(_expected(words="mlp", outcome="ok"))
    assert tab.locator("#selected h3").inner_text() == "reverse, digits-mlp tiny"
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.wait_for_function("Math.abs(document.getElementById('words').getBoundingClientRect().top) < 60")
    tab.reload()
    assert set(tab.evaluate(SHOWN)) == set(_expected(words="mlp", outcome="ok"))
    tab.evaluate("location.hash = '#filter=cnn'")
    tab.wait_for_function("document.querySelectorAll('#rows .sortable tbody tr:not([hidden])').length === %d" % len(
        _expected(words="cnn")))
    assert tab.locator("#selected").is_hidden()
    assert tab.locator('#rows th[aria-sort="descending"]').count() == 0
    _quiet(visit, address)


def test_without_an_anchor_a_deep_link_goes_to_what_it_is_about(context: BrowserContext, address: str) -> None:
    tab = _open(context, f"{address}#filter=cnn").page
    tab.wait_for_function("Math.abs(document.getElementById('rows').getBoundingClientRect().top) < 60")
    other = _open(context, f"{address}#case={KEYS[3]}").page
    other.wait_for_function("""() => { const box = document.getElementById('selected-h').getBoundingClientRect();
                                       return box.top >= 0 && box.bottom <= innerHeight; }""")
    plain = _open(context, f"{address}#theme=dark").page
    assert plain.evaluate("scrollY") == 0


def test_ordinary_anchors_work_and_keep_what_was_chosen(context: BrowserContext, address: str) -> None:
    visit = _open(context, f"{address}#rows")
    tab = visit.page
    assert abs(tab.evaluate("document.getElementById('rows').getBoundingClientRect().top")) < 60
    assert _hash(tab) == "#rows"
    tab.locator("#rows th button.sort").first.click()
    tab.locator('nav a[href="#words"]').press("Enter")
    tab.wait_for_function("location.hash === '#sort=backend.asc&words'")
    assert abs(tab.evaluate("document.getElementById('words').getBoundingClientRect().top")) < 60
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 1
    tab.go_back()
    tab.wait_for_function("location.hash === '#sort=backend.asc'")
    tab.go_back()
    tab.wait_for_function("location.hash === '#rows'")
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 0
    _quiet(visit, address)


@pytest.mark.parametrize(
    "nonsense",
    [
        "sort=&filter=&case=&theme=", "sort=nothing.asc", "sort=backend.sideways", "sort=backend", "case=nothing",
        "theme=purple", "=", "&&&", "%", "%E0%A4%A", "backend=nobody&outcome=x", "__proto__=1&constructor=2",
        "a=b=c&d", "sort=backend.asc.asc", "no-such-anchor",
    ],
)  # fmt: skip
def test_nonsense_in_the_address_changes_nothing(context: BrowserContext, address: str, nonsense: str) -> None:
    visit = _open(context, f"{address}#{nonsense}")
    assert visit.page.evaluate(SHOWN) == list(KEYS)
    assert visit.page.locator("#selected").is_hidden()
    assert visit.page.evaluate("document.documentElement.dataset.theme ?? ''") == ""
    assert visit.page.locator("#rows th[aria-sort=ascending]").count() == 0
    visit.page.locator("#rows th button.sort").first.click()
    assert _hash(visit.page) == "#sort=backend.asc"
    _quiet(visit, address)


def test_hostile_words_in_the_address_and_in_names_do_nothing(context: BrowserContext, tmp_path: Path) -> None:
    at = {"problem": HOSTILE, "size": HOSTILE, "reason": HOSTILE}
    rows = [made.row(f"{HOSTILE}{k}", **at) for k in range(4)]
    rows += [made.failed("finite", "timeout", **at), made.row("symbolic", dtype="float32", **at)]
    where = write(made.run(rows, title="Safe"), tmp_path).as_uri()
    from urllib.parse import quote

    visit = _open(context, f"{where}#filter={quote(HOSTILE)}&backend={quote(HOSTILE + '1')}&{quote(HOSTILE)}")
    tab = visit.page
    assert tab.get_by_label("Rows with the words").first.input_value() == HOSTILE
    assert len(tab.evaluate(SHOWN)) == 1
    tab.locator("#rows tr:not([hidden]) button.pick").click()
    assert tab.locator("#selected h3").inner_text().startswith(f"{HOSTILE}1, ")
    assert tab.locator("img").count() == 0
    assert tab.title() == "Safe"
    assert visit.overflow() == 0
    _quiet(visit, where)


# ---------------------------------------------------------------------------- one case and its samples


def _drawn(tab: Page) -> list[list[float]]:
    """The samples as their dots stand above the axis of the strip plot, by its first and last tick, in its unit."""
    ticks = tab.evaluate("[...document.querySelectorAll('.strip text.f-ink')].map(t => [+t.getAttribute('x'), +t.textContent])")
    (x0, v0), (x1, v1) = ticks[0], ticks[-1]
    paths = tab.evaluate("[...document.querySelectorAll('.strip .dots')].map(p => p.getAttribute('d'))")
    places = [[float(x) for x in re.findall(r"M(-?[\d.]+) ", path)] for path in paths]
    return [[v0 + (x - x0) * (v1 - v0) / (x1 - x0) for x in one] for one in places]


@pytest.mark.parametrize("place", [0, 2, 11])
def test_a_row_opens_its_samples_and_they_are_the_stored_ones(context: BrowserContext, address: str, place: int) -> None:
    visit = _open(context, address)
    tab, row, key = visit.page, RUN.rows[place], KEYS[place]
    stored = RUN.samples[row["case"]]
    pick = tab.locator(f'[id="case={key}"] button.pick')
    assert pick.get_attribute("aria-expanded") == "false"
    pick.focus()
    tab.keyboard.press("Enter" if place else "Space")
    assert _hash(tab) == f"#case={key}"
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
    cells = tab.evaluate("[...document.querySelectorAll('#selected tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    for number, (cell, known) in enumerate(zip(cells, stored, strict=True), 1):
        assert cell[:2] == [str(number), str(len(known))]
        numbers = [float(text) * size for text in cell[2:5]]
        assert numbers == pytest.approx([min(known), median(known), max(known)], rel=1e-4)
        assert [float(text) * size for text in cell[5].split(", ")] == pytest.approx(known, rel=5e-5)
    words = tab.locator(".strip").get_attribute("aria-label") or ""
    assert words.count("process ") == words.count("n = 2") == len(stored)
    assert f"process 1: median {cells[0][3]} {unit}, from {cells[0][2]} to {cells[0][4]} {unit}, n = 2" in words
    _quiet(visit, address)


def test_the_details_say_every_column_that_is_known_and_the_whole_reason(context: BrowserContext, address: str) -> None:
    place = next(k for k, row in enumerate(RUN.rows) if row["outcome"] == "skipped_predicted")
    tab = _open(context, f"{address}#case={KEYS[place]}").page
    assert tab.locator("#selected .outcome").inner_text().endswith(f"refused by forecast: {RUN.rows[place]['reason']}")
    assert tab.locator("#selected .missing").inner_text() == "There are none: nothing of this case was timed."
    assert tab.locator("#selected svg").count() == 0
    tab.evaluate(f"location.hash = '#case={KEYS[0]}'")
    tab.wait_for_selector("#selected svg")
    known = dict(
        tab.evaluate("[...document.querySelectorAll('#selected .facts div')].map(d => [...d.children].map(c => c.textContent))")
    )
    shown = tab.evaluate(
        """() => { const names = [...document.querySelectorAll('#rows thead th')].map(h => h.firstChild.textContent);
                   const row = document.querySelector('#rows tbody tr');
                   return [...row.cells].map((c, k) => [names[k], c.textContent]).slice(1).filter(p => p[1]); }"""
    )
    assert {name: text for name, text in shown if name not in ("Outcome", "Reason")}.items() <= known.items()
    assert {"Dtype": "float64", "Device": "cpu", "Operator": "gradient"}.items() <= known.items()


def test_closing_returns_to_the_row_and_escape_closes(context: BrowserContext, address: str) -> None:
    visit = _open(context, address)
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
        assert _hash(tab) == ""
        assert pick.evaluate("button => button === document.activeElement")
        assert tab.locator("tr[aria-current]").count() == 0
    _quiet(visit, address)


def test_cells_of_the_scoreboard_lead_to_their_case_and_keep_the_sorting(context: BrowserContext, address: str) -> None:
    visit = _open(context, f"{address}#sort=backend.desc")
    tab = visit.page
    links = tab.locator("#scoreboard td a")
    assert links.count() == len(RUN.rows)
    target = (links.first.get_attribute("href") or "").removeprefix("#case=")
    assert target in KEYS
    links.first.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.activeElement.id === 'selected-h'")
    assert _hash(tab) == f"#sort=backend.desc&case={target}"
    assert tab.locator('#rows th[aria-sort="descending"]').count() == 1
    tab.go_back()
    tab.wait_for_function("document.getElementById('selected').hidden")
    _quiet(visit, address)


def test_samples_can_be_saved_as_csv(context: BrowserContext, address: str, tmp_path: Path) -> None:
    visit = _open(context, f"{address}#case={KEYS[0]}")
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
    _quiet(visit, address)


def test_a_page_without_room_for_all_samples_says_so(
    context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [made.timed(f"b{k}", 1e-4 * (k + 1), 1e-15) for k in range(10)]
    run = made.run(rows)
    run.samples = {one["case"]: [[one["call_s"] * (1 + k * p / 100) for k in range(40)] for p in range(6)] for one in rows}
    whole = details.details
    monkeypatch.setattr(details, "details", lambda cases, samples: whole(cases, samples, 4000))
    where = write(run, tmp_path).as_uri()
    visit = _open(context, f"{where}#case={details.keys(cases.read(rows))[2]}")
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
    _quiet(visit, where)


# ---------------------------------------------------------------------------- theme, words, no script


def _colours(tab: Page) -> list[str]:
    return tab.evaluate(
        """[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.chart text')).fill,
            getComputedStyle(document.querySelector('.chart .f-s0')).fill]"""
    )


def test_the_theme_is_chosen_by_a_button_and_paper_stays_white(context: BrowserContext, address: str) -> None:
    visit = _open(context, address)
    tab = visit.page
    light = _colours(tab)
    button = tab.locator("header button.theme")
    assert button.inner_text() == "Colours: as the system"
    button.focus()
    tab.keyboard.press("Enter")
    assert (button.inner_text(), _hash(tab)) == ("Colours: light", "#theme=light")
    tab.emulate_media(color_scheme="dark")
    assert _colours(tab) == light
    tab.keyboard.press("Space")
    assert (button.inner_text(), _hash(tab)) == ("Colours: dark", "#theme=dark")
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
    assert _hash(tab) == ""
    assert _colours(tab) == dark
    _quiet(visit, address)


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
    tab = _open(context, f"{address}#theme=dark").page
    assert tab.evaluate("window.atBody") == "dark"


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_without_a_script_nothing_is_dead(context: BrowserContext, address: str) -> None:
    visit = _open(context, f"{address}#case={KEYS[5]}")
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


@pytest.mark.parametrize("context", [{"viewport": {"width": w, "height": 700}} for w in (320, 390, 1280)], indirect=True)
def test_an_open_case_and_an_open_word_fit_every_window(context: BrowserContext, address: str) -> None:
    visit = _open(context, f"{address}#case={KEYS[0]}&filter=reverse")
    tab = visit.page
    tab.locator("#selected summary").click()
    assert visit.overflow() == 0
    overlapping = tab.evaluate(
        """() => { const boxes = [...document.querySelectorAll('.strip text')].map(t => [t.textContent, t.getBoundingClientRect()]);
             return boxes.flatMap(([name, a], i) => boxes.slice(i + 1).filter(([, b]) =>
               a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2).map(([o]) => `${name} | ${o}`)); }"""
    )
    assert overlapping == []
    for kind in ("term", "ask"):
        for button in tab.locator(f"button.{kind}").all()[:12]:
            button.scroll_into_view_if_needed()
            button.click()
            box = tab.locator(f'[id="{button.get_attribute("popovertarget")}"]').bounding_box()
            assert box is not None
            width = tab.evaluate("innerWidth")
            assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1, box  # noqa: PT018 (one box, one rule)
            assert box["y"] >= 0 and box["y"] + box["height"] <= 701, box  # noqa: PT018 (one box, one rule)
            tab.keyboard.press("Escape")
    assert visit.overflow() == 0


def test_500_rows_are_sorted_filtered_and_selected_in_one_pass(context: BrowserContext, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        made.timed(f"backend {b}", 1e-5 * (b + 1) * 3**s, 1e-15, problem=f"problem {p}", size=f"s{s}", n_params=10 * 4**s)
        for p in range(10) for s in range(5) for b in range(10)
    ]  # fmt: skip
    where = write(made.run(rows), tmp_path).as_uri()
    visit = _open(context, where)
    changes = visit.page.evaluate(
        """async () => {
             let moved = 0, hid = 0;
             const watch = new MutationObserver(list => list.forEach(one =>
               one.type === 'attributes' ? hid += 1 : moved += one.addedNodes.length));
             watch.observe(document.querySelector('#rows tbody'),
               { childList: true, attributes: true, attributeFilter: ['hidden'], subtree: true });
             const field = document.querySelector('#rows input');
             field.value = 'backend s3';
             field.dispatchEvent(new Event('input'));
             await null;
             const filtered = [moved, hid];
             document.querySelector('#rows button.sort').click();
             await null;
             watch.disconnect();
             return [...filtered, moved, hid];
           }"""
    )
    shown = len(visit.page.evaluate(SHOWN))
    assert shown == sum(row["size"] == "s3" for row in rows) == 100
    assert changes == [0, 500 - shown, 500, 500 - shown], "a filter moves no row, a sorting moves each once"
    _quiet(visit, where)
