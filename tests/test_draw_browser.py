"""The drawn graph in a real browser: keys and clicks step and fold, texts lie apart, nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from visits import Visit

import difflab as dl
from difflab.problems import PROBLEMS
from difflab.walk.drawing.coordinates import Placed, place
from difflab.walk.drawing.draw import Drawing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
WIDTHS = [1280, 390]


def drawn(name: str, size: str = "tiny") -> Drawing:
    instance = PROBLEMS[name].build(size, "float64", 0)
    return dl.trace(instance.loss, *instance.args).draw(title=PROBLEMS[name].title)


@pytest.fixture
def visit(chromium: Browser, tmp_path: Path) -> Iterator[Any]:
    opened: list[Visit] = []

    def open_(drawing: Drawing, width: int = 1280, **settings: Any) -> Visit:
        path = drawing.save(tmp_path / "graph.html")
        context = chromium.new_context(viewport={"width": width, "height": 800}, **settings)
        opened.append(Visit(context, path.as_uri()))
        return opened[-1]

    yield open_
    for one in opened:
        one.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_keys_step_forward_and_back(visit: Any, width: int) -> None:
    view = visit(drawn("baydin"), width)
    assert view.shown("value") == ["2", "2", "5", "0.69315", "10", "5", "10.693", "-0.95892", "11.652"]
    assert len(view.shown("slope")) == 9
    view.press("ArrowRight")
    assert view.said() == "Given: x1 = 2; x2 = 5."
    assert (view.shown("value"), view.shown("slope")) == (["2", "2", "5", "5"], [])
    view.press("ArrowRight", "ArrowRight")
    assert view.said() == "v2 = x1 * x2 = 2 * 5 = 10"
    assert view.shown("value") == ["2", "2", "5", "0.69315", "10", "5"]
    assert view.page.locator("#dg-drawing .node.now").get_attribute("id") == "dg-e1"
    view.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    assert view.said().startswith("The result is y = v5 = 11.652.")
    assert view.shown("slope") == ["1"]
    view.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    assert view.said().startswith("multiply swaps: dy/dx1 += 1 * 5 = 5; dy/dx2 += 1 * 2 = 2; the copy of x2 adds")
    assert sorted(view.shown("slope")) == ["-0.28366", "-1", "1", "1", "1", "1", "2", "5"]
    totals = "[...document.querySelectorAll('#dg-drawing .source .slope.shown')].map(text => text.textContent)"
    assert view.page.evaluate(totals) == ["dy/dx2 = 1.7163"], "the other input waits for its last share"
    view.press("ArrowLeft")
    assert view.said() == "scales by cos(x2): dy/dx2 += (-1) * 0.28366 = -0.28366"
    view.press("End")
    assert view.page.evaluate(totals) == ["dy/dx1 = 5.5", "dy/dx2 = 1.7163"]
    assert view.page.locator("#dg-after").is_disabled()
    view.press("ArrowRight")
    assert "the copy of x1 adds: dy/dx1 = 5 + 0.5 = 5.5" in view.said()
    view.press("Home", "ArrowLeft")
    assert view.said().startswith("Given")
    assert view.page.locator("#dg-count").inner_text() == "inputs, step 0 of 11"
    assert view.overflow() == 0
    assert view.quiet()


def test_buttons_do_what_keys_do(visit: Any) -> None:
    view = visit(drawn("add-mul"))
    for button, text in [("first", "Given"), ("after", "v1 = x + y = -2 + 5 = 3"), ("last", "add distributes"),
                         ("before", "multiply swaps: df/dv1 += 1 * (-4) = -4; df/dz += 1 * 3 = 3")]:  # fmt: skip
        view.page.locator(f"#dg-{button}").click()
        assert text in view.said()
    assert view.page.locator("#dg-said").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("width", WIDTHS)
def test_layers_fold_and_unfold_by_key_and_click(visit: Any, width: int) -> None:
    view = visit(drawn("digits-cnn", "small"), width)
    page = view.page
    boxes = page.locator("#dg-drawing .folded:visible")
    assert boxes.count() == 3
    assert "31 equations" in page.locator(".over").inner_text()
    view.press("Home", "ArrowRight")
    assert view.said().startswith("layer k1, b1: v10 = ")
    assert page.locator("#dg-count").inner_text() == "forward, step 1 of 7"
    first = page.locator("#dg-drawing .folded[data-group=g1]")
    first.focus()
    view.press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('bar')"), "the focus stays on the layer"
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.locator("#dg-drawing .folded:visible").count() == 3, "conv2d is in it, and folded"
    assert page.locator("#dg-e6:visible").count() == 1
    assert view.said().startswith("conv2d: v7 = "), "the step stays where it was"
    view.press("ArrowRight")
    assert view.said().startswith("v8 = v7 + b1 = ")
    page.locator("#dg-drawing .bar[data-group=g1]").click()
    assert page.locator("#dg-e6:visible").count() == 0
    assert view.said().startswith("layer k1, b1: v10 = ")
    view.press("u")
    assert page.locator("#dg-drawing .folded:visible").count() == 0
    assert page.locator("#dg-drawing .gate:visible").count() == 31
    view.press("f")
    assert boxes.count() == 3
    view.press("End")
    assert view.said().startswith("layer k1, b1: dy/dx = ")
    assert "dy/dk1 = " in view.said()
    assert view.overflow() == 0
    assert view.quiet()


def test_letters_fold_in_either_case_and_arrows_in_the_table_scroll_it(visit: Any) -> None:
    view = visit(drawn("digits-cnn", "small"), 390)
    boxes = view.page.locator("#dg-drawing .folded:visible")
    for key, count in (("U", 0), ("F", 3), ("u", 0), ("f", 3), ("Shift+U", 0), ("Shift+F", 3)):
        view.press(key)
        assert boxes.count() == count, key
    view.press("Shift+Home")
    assert view.page.locator("#dg-count").inner_text() == "7 steps"
    view.page.locator("summary").click()
    table = view.page.locator("details .scroll")
    table.focus()
    view.press("ArrowRight", "ArrowRight")
    scrolled = [table.evaluate("element => element.scrollLeft")]
    while not scrolled[-1] and len(scrolled) < 100:  # scrolling is smooth; the page's policy forbids to wait inside it
        view.page.wait_for_timeout(50)
        scrolled.append(table.evaluate("element => element.scrollLeft"))
    assert scrolled[-1] > 0
    assert view.page.locator("#dg-count").inner_text() == "7 steps"
    assert view.quiet()


# A click on the sign of a group, which may be in a folded one.
TOGGLE = """key => {
  const group = document.getElementById(`dg-${key}`);
  const place = group.classList.contains("open") ? ":scope > .bar" : ":scope > .folded";
  group.querySelector(place).dispatchEvent(new MouseEvent("click"));
}"""


def _expected(placed: Placed, unfolded: set[str]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for at, item in enumerate(placed.scene.items):
        (x, y), (wide, high) = placed.centres[at], placed.size(at)
        if item.key in unfolded or at in placed.scene.inner():
            found[item.key] = (x - wide / 2, y - high / 2)
        elif item.key:
            found[item.key] = (x, y)
    for inner in placed.inner.values():
        found |= _expected(inner, unfolded)
    return found


@pytest.mark.parametrize("name", ["digits-cnn", "toeplitz-cnn", "xor", "sigmoid-neuron"])
def test_page_puts_everything_where_python_does(visit: Any, name: str) -> None:
    drawing = drawn(name)
    view = visit(drawing)
    keys = [one.key for one in drawing.scene.scenes() if one.framed]
    unfolded = set(drawing.unfolded)
    generator = np.random.default_rng(3)
    for key in [None, *generator.permutation(keys * 2).tolist()]:
        if key is not None:
            view.page.evaluate(TOGGLE, key)
            unfolded ^= {key}
        expected = _expected(place(drawing.scene, unfolded, down=drawing.down), unfolded)
        found = view.transforms()
        assert found.keys() == expected.keys()
        for one, where in expected.items():
            assert found[one] == pytest.approx(where, abs=0.11), (one, sorted(unfolded))


# Pairs of visible texts whose boxes meet, and texts that leave the box around them; half a pixel is no fault.
OVERLAPS = """() => {
  const texts = [...document.querySelectorAll("#dg-drawing text")]
    .filter(text => text.checkVisibility({ visibilityProperty: true }));
  const boxes = texts.map(text => [text, text.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([one, a], k) => {
    for (const [two, b] of boxes.slice(k + 1)) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const along = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 0.5 && along > 3.5) found.push([one.textContent, two.textContent, across, along]);
    }
    const node = one.closest(".node");
    const frame = node && node.querySelector(":scope > rect").getBoundingClientRect();
    if (frame && (a.left < frame.left || a.right > frame.right)) found.push([one.textContent, "leaves its box"]);
  });
  return found;
}"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["baydin", "sigmoid-neuron", "scalar-net", "xor", "digits-cnn", "toeplitz-cnn"])
def test_no_text_lies_on_another(visit: Any, name: str, width: int) -> None:
    view = visit(drawn(name), width)
    for key in ("End", "u", "f"):
        view.press(key)
        assert view.page.evaluate(OVERLAPS) == []
    assert view.overflow() == 0
    assert view.quiet()


def test_folded_network_is_seen_whole_on_a_desktop_and_scrolls_on_a_phone(visit: Any) -> None:
    wide, narrow = (visit(drawn("digits-cnn", "small"), width) for width in (1280, 390))
    inside = """() => {
      const [view, drawing] = ["dg-view", "dg-drawing"].map(id => document.getElementById(id));
      return [view.scrollWidth - view.clientWidth, Number(drawing.dataset.width)];
    }"""
    assert wide.page.evaluate(inside)[0] == 0
    assert narrow.page.evaluate(inside)[1] < 620
    size = """parseFloat(getComputedStyle(document.querySelector('.folded .value')).fontSize) *
      document.getElementById('dg-drawing').getScreenCTM().a"""
    assert narrow.page.evaluate(size) >= 8.5
    narrow.press("Home", *["ArrowRight"] * 5)
    left, right = narrow.page.locator("#dg-drawing .node.now").evaluate(
        "node => [node.getBoundingClientRect().left, node.getBoundingClientRect().right]"
    )
    assert left < 390
    assert right > 0


def test_without_a_script_all_is_open_and_shown(visit: Any) -> None:
    view = visit(drawn("digits-cnn"), java_script_enabled=False)
    assert view.page.locator("#dg-drawing .gate:visible").count() == 31
    assert view.page.locator("#dg-drawing .folded:visible").count() == 0
    assert view.page.locator(".dg-controls:visible").count() == 0
    assert view.page.locator("#dg-drawing .slope:visible").count() > 40


def test_paper_has_everything_and_no_buttons(visit: Any) -> None:
    view = visit(drawn("baydin"))
    view.press("Home")
    assert view.shown("slope") == []
    view.page.emulate_media(media="print")
    assert len(view.shown("slope")) == 9
    assert view.page.locator(".dg-controls:visible").count() == 0
    assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_paper_holds_a_tall_drawing_on_the_page_of_its_heading(visit: Any) -> None:
    printed = visit(drawn("xor")).page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) == 2, "the drawing with its heading, then the legend"


def test_colours_follow_the_scheme(visit: Any) -> None:
    view = visit(drawn("baydin"))
    colours = """() => ["body", "#dg-drawing .value", "#dg-drawing .slope", ".gate > rect"]
      .map(place => getComputedStyle(document.querySelector(place)))
      .map(style => style.fill + style.backgroundColor)"""
    view.page.emulate_media(color_scheme="light")
    light = view.page.evaluate(colours)
    view.page.emulate_media(color_scheme="dark")
    assert all(a != b for a, b in zip(light, view.page.evaluate(colours), strict=True))


def test_hostile_names_do_nothing(visit: Any) -> None:
    hostile = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    found = dl.trace(lambda p: np.sum(p[hostile] @ p["b"]), {hostile: np.ones((3, 3)), "b": np.ones(3)})
    view = visit(found.draw(title=hostile))
    assert view.page.title() == hostile
    assert view.page.locator("img").count() == 0
    assert view.quiet()
