"""The drawn graph on the page of a study, in a real browser: every step by key, and nothing beside it disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import made_up_runs as made
import numpy as np
import pytest
from drawing_doubles import HOSTILE, kept
from test_browser_axe import COLOURS, TAGS, axe
from visits import Visit

import difflab as dl
from difflab.report import write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
ALONE = "document.querySelectorAll('section:not(#graph)').forEach(one => one.remove())"  # axe measures all there is
RUN = """async options => { const found = await axe.run('#graph', options);
                           return [found.violations, found.passes.length]; }"""
STEPS = [
    "Given: x1 = 2; x2 = 5.",
    "v1 = log(x1) = log(2) = 0.69315",
    "v2 = x1 * x2 = 2 * 5 = 10",
    "v3 = sin(x2) = sin(5) = -0.95892",
    "v4 = v1 + v2 = 0.69315 + 10 = 10.693",
    "v5 = v4 - v3 = 10.693 - (-0.95892) = 11.652",
    "The result is y = v5 = 11.652. The way back begins with dy/dv5 = 1.",
    "subtract distributes, with -1 to the second: dy/dv4 += 1 * 1 = 1; dy/dv3 += 1 * (-1) = -1",
    "add distributes: dy/dv1 += 1 * 1 = 1; dy/dv2 += 1 * 1 = 1",
    "scales by cos(x2): dy/dx2 += (-1) * 0.28366 = -0.28366",
    "multiply swaps: dy/dx1 += 1 * 5 = 5; dy/dx2 += 1 * 2 = 2; the copy of x2 adds: dy/dx2 = (-0.28366) + 2 = 1.7163",
    "scales by 1/x1: dy/dx1 += 1 * 0.5 = 0.5; the copy of x1 adds: dy/dx1 = 5 + 0.5 = 5.5",
]
"""Every sentence of Baydin's example, derived by hand: ln x1 + x1 x2 - sin x2 at (2, 5)."""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = {}
    for name, problem in [("baydin", "baydin"), ("cnn", "digits-cnn"), ("hostile", "drawing_doubles:HOSTILE_NAMES")]:
        folder = tmp_path_factory.mktemp(name)
        run = made.full()
        run.drawing = kept(folder, problem)
        found[name] = write(run, folder).as_uri()
    return found


@pytest.fixture
def visit(chromium: Browser, addresses: dict[str, str]) -> Iterator[Any]:
    opened: list[Visit] = []

    def open_(name: str, width: int = 1280, **settings: Any) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": 800}, **settings)
        opened.append(Visit(context, addresses[name]))
        return opened[-1]

    yield open_
    for one in opened:
        one.context.close()


@pytest.mark.parametrize("width", [1280, 320])
def test_every_step_by_keyboard_with_its_sentence(visit: Any, width: int) -> None:
    view = visit("baydin", width)
    assert view.said().startswith("Everything is shown.")
    view.page.locator("#dg-view").focus()
    view.press("Home")
    found = [view.said()]
    while view.page.locator("#dg-after").get_attribute("aria-disabled") == "false":
        view.press("ArrowRight")
        found.append(view.said())
    assert found == STEPS
    assert view.focus() == "dg-view"
    view.press("ArrowRight")
    assert view.said() == STEPS[-1], "there is no step behind the last"
    for sentence in STEPS[-2::-1]:
        view.press("ArrowLeft")
        assert view.said() == sentence
    view.press("ArrowLeft", "End")
    assert view.said() == STEPS[-1]
    assert view.page.locator("#dg-said").get_attribute("aria-live") == "polite"
    assert view.overflow() == 0
    assert view.quiet()


def test_buttons_keep_the_focus_to_the_last_step(visit: Any) -> None:
    view = visit("baydin")
    step = view.page.locator("#dg-after")
    view.page.locator("#dg-first").focus()
    view.press("Enter")
    assert (view.said(), view.focus()) == (STEPS[0], "dg-first")
    step.focus()
    for sentence in STEPS[1:]:
        view.press("Enter")
        assert view.said() == sentence
        assert view.focus() == "dg-after"
    assert step.get_attribute("aria-disabled") == "true"
    view.press("Space")
    assert (view.said(), view.focus()) == (STEPS[-1], "dg-after")
    view.page.locator("#dg-before").click()
    assert view.said() == STEPS[-2]


def test_keys_belong_to_the_page_where_the_focus_is_elsewhere(visit: Any) -> None:
    view = visit("cnn")
    before = view.page.locator("#dg-count").inner_text()
    view.press("ArrowRight", "f", "u", "Home")
    view.page.locator("#rows button").first.focus()
    view.press("ArrowRight", "u")
    assert view.page.locator("#dg-count").inner_text() == before
    view.page.locator("#graph summary").click()
    view.page.locator("#graph details .scroll").focus()
    view.press("ArrowRight", "u", "End")
    assert view.page.locator("#dg-count").inner_text() == before, "in its table they scroll"
    assert view.quiet()


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_layers_fold_and_unfold(visit: Any, width: int) -> None:
    view = visit("cnn", width)
    folded = view.page.locator("#dg .folded:visible")
    assert folded.count() == 3
    view.page.locator("#dg-view").focus()
    view.press("u")
    assert (folded.count(), view.page.locator("#dg .gate:visible").count()) == (0, 31)
    assert view.overflow() == 0
    view.press("f")
    assert folded.count() == 3
    folded.first.focus()
    view.press("Enter")
    assert view.page.evaluate("document.activeElement.dataset.group") == "g1"
    assert view.page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    view.press("Enter")
    assert folded.count() == 3
    assert view.overflow() == 0
    assert view.quiet()


def test_all_is_there_without_a_script_and_on_paper(visit: Any) -> None:
    bare, printed = visit("baydin", java_script_enabled=False), visit("baydin")
    printed.page.locator("#dg-view").focus()
    printed.press("Home")
    printed.page.emulate_media(media="print")
    for view in (bare, printed):
        values, slopes = (view.page.locator(f"#dg .label .{kind}:visible") for kind in ("value", "slope"))
        assert values.all_text_contents() == ["2", "2", "5", "0.69315", "10", "5", "10.693", "-0.95892", "11.652"]
        assert sorted(slopes.all_text_contents()) == sorted(["1", "1", "1", "1", "-1", "0.5", "5", "2", "-0.28366"])
        assert view.page.locator("#dg-controls:visible").count() == 0
    bare.page.locator("#graph summary").click()
    assert bare.page.locator("#graph details tbody tr:visible").count() == 7


def test_its_style_and_that_of_the_page_leave_each_other_alone(visit: Any) -> None:
    view = visit("cnn")
    strangers = view.page.evaluate(
        """() => {
          const rules = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules])
            .flatMap(rule => (rule.cssRules && !rule.selectorText ? [...rule.cssRules] : [rule]))
            .filter(rule => rule.selectorText);
          const found = [];
          for (const rule of rules) {
            for (const selector of rule.selectorText.split(/,(?![^(]*\\))/).map(text => text.trim())) {
              const bare = selector.replace(/::?(before|after|hover|focus-visible|focus)/g, "");
              if (/^\\*?$/.test(bare)) continue;
              const own = selector.includes(".dg");
              const hit = [...document.querySelectorAll(own ? "body *" : "#dg svg *")].filter(one => one.matches(bare));
              if (own ? hit.some(one => !one.closest("#graph")) : hit.length) found.push(selector);
            }
          }
          return found;
        }"""
    )
    assert strangers == []


def test_no_id_is_there_twice(visit: Any) -> None:
    ids = visit("cnn").page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["baydin", "cnn"])
def test_axe_finds_nothing_in_the_section(visit: Any, name: str) -> None:
    view = visit(name, color_scheme="light")
    media = {"light": {"type": "tag", "values": TAGS}, "dark": {"type": "rule", "values": COLOURS}}
    view.page.evaluate(axe())
    view.page.evaluate(ALONE)
    view.page.locator("#graph summary").click()
    view.page.locator("#dg-view").focus()
    for key in ("End", "Home", "ArrowRight"):
        view.press(key)
        for scheme, asked in media.items():
            view.page.emulate_media(color_scheme=scheme)
            violations, passed = view.page.evaluate(RUN, {"runOnly": asked})
            assert (key, scheme, violations) == (key, scheme, [])
            assert passed


def test_colours_follow_the_scheme_and_the_choice(visit: Any) -> None:
    view = visit("baydin")
    colours = """() => [["#dg .value", "fill"], ["#dg .slope", "fill"], ["#dg .gate > rect", "fill"], ["body", "color"]]
      .map(([place, what]) => getComputedStyle(document.querySelector(place))[what])"""
    found = {}
    for scheme in ("light", "dark"):
        for theme in ("", "light", "dark"):
            view.page.emulate_media(color_scheme=scheme)
            view.page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            found[scheme, theme] = view.page.evaluate(colours)
    for scheme in ("light", "dark"):
        assert found[scheme, "light"] == found["light", ""]
        assert found[scheme, "dark"] == found["dark", ""]
    assert all(a != b for a, b in zip(found["light", ""], found["dark", ""], strict=True))


def test_hostile_names_do_nothing(visit: Any) -> None:
    view = visit("hostile")
    view.page.locator("#dg-view").focus()
    view.press("Home", "ArrowRight", "End")
    assert view.page.title() == made.full().manifest["study"]["title"]
    assert view.page.locator("#graph img").count() == 0
    assert HOSTILE[:9] in view.page.locator("#graph table").text_content()
    assert view.quiet()


def test_a_notebook_shows_it_in_a_labelled_frame_in_either_scheme(chromium: Browser, tmp_path: Path) -> None:
    drawing = dl.trace(lambda x, y: x * np.sin(y), 2.0, 5.0).draw(title='A "product"')
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!DOCTYPE html><title>cell</title><body>{drawing._repr_html_()}</body>", encoding="utf-8")
    papers = []
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message, told=complaints: told.append(message.text))
        page.goto(cell.as_uri())
        assert page.locator("iframe").get_attribute("title") == 'Computation graph of A "product"'
        frame = page.frame_locator("iframe")
        frame.locator("#dg-first").click()
        page.keyboard.press("ArrowRight")
        assert frame.locator("#dg-said").inner_text() == "v1 = sin(y) = sin(5) = -0.95892"
        papers.append(frame.locator("body").evaluate("body => getComputedStyle(body).backgroundColor"))
        assert complaints == []
        context.close()
    assert papers[0] != papers[1]
