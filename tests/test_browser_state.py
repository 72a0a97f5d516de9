"""The page under a reader's hands: filter, sort and the address that keeps them, by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import made_up_runs as made
import pytest
from open_pages import KEYS, RUN, SHOWN, hash_of, opened, quiet, wait_until
from test_browser import HOSTILE
from visits import Visit

from difflab.report import cases, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

pytestmark = pytest.mark.browser
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


@pytest.fixture(scope="module")
def reader(chromium: Browser, address: str) -> Iterator[Visit]:
    """One reader for tests that each begin by reading the page anew."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield opened(context, address)
    context.close()


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
    visit = opened(context, address)
    tab = visit.page
    assert tab.locator(COUNT).inner_text() == f"{len(KEYS)} of {len(KEYS)} rows"
    tab.get_by_label("Rows with the words").first.focus()
    tab.keyboard.type("Digits-CNN  finite")
    wanted = _expected(words="digits-cnn finite")
    assert 0 < len(wanted) < len(KEYS)
    assert tab.evaluate(SHOWN) == wanted
    assert tab.locator(COUNT).inner_text() == f"{len(wanted)} of {len(KEYS)} rows"
    assert tab.locator(COUNT).get_attribute("role") == "status"
    assert hash_of(tab) == "#filter=Digits-CNN%20%20finite"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.labels[0].textContent") == "Backend"
    tab.keyboard.type("finite (c")
    wanted = _expected(words="digits-cnn finite", backend="finite (central)")
    assert tab.evaluate(SHOWN) == wanted
    assert "backend=finite%20(central)" in hash_of(tab)
    for _ in range(3):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Show all"
    tab.keyboard.press("Enter")
    assert tab.evaluate(SHOWN) == list(KEYS)
    assert hash_of(tab) == ""
    assert tab.get_by_label("Rows with the words").first.input_value() == ""
    assert tab.evaluate("document.activeElement.type") == "search", "focus moves on from a button that is off"
    assert quiet(visit, address)


def test_sorting_and_filtering_stand_in_the_address_and_the_back_button_undoes_them(
    context: BrowserContext, address: str
) -> None:
    visit = opened(context, address)
    tab = visit.page
    button = tab.locator("#rows th button.sort", has_text="One gradient")
    button.focus()
    tab.keyboard.press("Enter")
    assert hash_of(tab) == "#sort=one-gradient.asc"
    tab.keyboard.press("Enter")
    assert hash_of(tab) == "#sort=one-gradient.desc"
    tab.get_by_label("Rows with the words").first.fill("reverse")
    tab.get_by_label("Rows with the words").first.press_sequentially(" cnn")
    assert hash_of(tab) == "#sort=one-gradient.desc&filter=reverse%20cnn"
    sorted_keys = tab.evaluate(SHOWN)
    times = {key: row["call_s"] for key, row in zip(KEYS, RUN.rows, strict=True)}
    assert sorted_keys == sorted(_expected(words="reverse cnn"), key=lambda key: -times[key])
    tab.go_back()
    assert hash_of(tab) == "#sort=one-gradient.desc", "what was typed without a pause is one step"
    assert tab.evaluate(SHOWN)[0] == max((k for k in KEYS if times[k]), key=lambda key: times[key])
    assert len(tab.evaluate(SHOWN)) == len(KEYS)
    tab.go_back()
    assert tab.locator('#rows th[aria-sort="ascending"]').inner_text().startswith("One gradient")
    tab.go_back()
    assert hash_of(tab) == ""
    assert tab.evaluate(SHOWN) == list(KEYS)
    tab.go_forward()
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 1
    assert quiet(visit, address)


def test_a_deep_link_restores_everything_and_goes_to_its_anchor(context: BrowserContext, address: str) -> None:
    key = KEYS[1]
    visit = opened(context, f"{address}#sort=work-ratio.desc&filter=mlp&outcome=finished&case={key}&theme=dark&words")
    tab = visit.page
    assert tab.locator('#rows th[aria-sort="descending"]').inner_text().startswith("Work ratio")
    assert set(tab.evaluate(SHOWN)) == set(_expected(words="mlp", outcome="ok"))
    assert tab.locator("#selected h3").inner_text() == "reverse, digits-mlp tiny"
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    wait_until(tab, "Math.abs(document.getElementById('words').getBoundingClientRect().top) < 60")
    tab.reload()
    assert set(tab.evaluate(SHOWN)) == set(_expected(words="mlp", outcome="ok"))
    tab.evaluate("location.hash = '#filter=cnn'")
    wanted = len(_expected(words="cnn"))
    wait_until(tab, f"document.querySelectorAll('#rows .sortable tbody tr:not([hidden])').length === {wanted}")
    assert tab.locator("#selected").is_hidden()
    assert tab.locator('#rows th[aria-sort="descending"]').count() == 0
    assert quiet(visit, address)


def test_without_an_anchor_a_deep_link_goes_to_what_it_is_about(context: BrowserContext, address: str) -> None:
    tab = opened(context, f"{address}#filter=cnn").page
    wait_until(tab, "Math.abs(document.getElementById('rows').getBoundingClientRect().top) < 60")
    other = opened(context, f"{address}#case={KEYS[3]}").page
    wait_until(
        other,
        """() => { const box = document.getElementById('selected-h').getBoundingClientRect();
                                       return box.top >= 0 && box.bottom <= innerHeight; }""",
    )
    plain = opened(context, f"{address}#theme=dark").page
    assert plain.evaluate("scrollY") == 0


def test_ordinary_anchors_work_and_keep_what_was_chosen(context: BrowserContext, address: str) -> None:
    visit = opened(context, f"{address}#rows")
    tab = visit.page
    assert abs(tab.evaluate("document.getElementById('rows').getBoundingClientRect().top")) < 60
    assert hash_of(tab) == "#rows"
    tab.locator("#rows th button.sort").first.click()
    tab.locator('nav a[href="#words"]').press("Enter")
    wait_until(tab, "location.hash === '#sort=backend.asc&words'")
    assert abs(tab.evaluate("document.getElementById('words').getBoundingClientRect().top")) < 60
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 1
    tab.go_back()
    wait_until(tab, "location.hash === '#sort=backend.asc'")
    tab.go_back()
    wait_until(tab, "location.hash === '#rows'")
    assert tab.locator('#rows th[aria-sort="ascending"]').count() == 0
    assert quiet(visit, address)


@pytest.mark.parametrize(
    "nonsense",
    [
        "sort=&filter=&case=&theme=", "sort=nothing.asc", "sort=backend.sideways", "sort=backend", "case=nothing",
        "theme=purple", "=", "&&&", "%", "%E0%A4%A", "backend=nobody&outcome=x", "__proto__=1&constructor=2",
        "a=b=c&d", "sort=backend.asc.asc", "no-such-anchor",
    ],
)  # fmt: skip
def test_nonsense_in_the_address_changes_nothing(reader: Visit, address: str, nonsense: str) -> None:
    visit = reader
    visit.again(f"{address}#{nonsense}")
    assert visit.page.evaluate(SHOWN) == list(KEYS)
    assert visit.page.locator("#selected").is_hidden()
    assert visit.page.evaluate("document.documentElement.dataset.theme ?? ''") == ""
    assert visit.page.locator("#rows th[aria-sort=ascending]").count() == 0
    visit.page.locator("#rows th button.sort").first.click()
    assert hash_of(visit.page) == "#sort=backend.asc"
    assert quiet(visit, address)


def test_hostile_words_in_the_address_and_in_names_do_nothing(context: BrowserContext, tmp_path: Path) -> None:
    at = {"problem": HOSTILE, "size": HOSTILE, "reason": HOSTILE}
    rows = [made.row(f"{HOSTILE}{k}", **at) for k in range(4)]
    rows += [made.failed("finite", "timeout", **at), made.row("symbolic", dtype="float32", **at)]
    where = write(made.run(rows, title="Safe"), tmp_path).as_uri()
    visit = opened(context, f"{where}#filter={quote(HOSTILE)}&backend={quote(HOSTILE + '1')}&{quote(HOSTILE)}")
    tab = visit.page
    assert tab.get_by_label("Rows with the words").first.input_value() == HOSTILE
    assert len(tab.evaluate(SHOWN)) == 1
    tab.locator("#rows tr:not([hidden]) button.pick").click()
    assert tab.locator("#selected h3").inner_text().startswith(f"{HOSTILE}1, ")
    assert tab.locator("img").count() == 0
    assert tab.title() == "Safe"
    assert visit.overflow() == 0
    assert quiet(visit, where)


def test_500_rows_fit_and_are_sorted_filtered_and_selected_in_one_pass(context: BrowserContext, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        made.timed(f"backend {b}", 1e-5 * (b + 1), 1e-15, problem=f"problem {p}", size=f"s{s}", n_params=10 * 4**s)
        for p in range(10) for s in range(5) for b in range(10)
    ]  # fmt: skip
    path = write(made.run(rows), tmp_path)
    assert path.stat().st_size < 1_500_000
    where = path.as_uri()
    visit = opened(context, where)
    assert visit.page.locator("#rows tbody tr").count() == 500
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
    assert quiet(visit, where)
