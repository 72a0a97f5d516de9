"""The page: the same bytes from the same store, safe with hostile names, and true to its data, whatever they say."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import made_up_runs as made
import pytest

from difflab.errors import StoreError
from difflab.report import answer, cases, render, write

HOSTILE = ("</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{", "\x00\x1b[31m\u202e")


class Page(HTMLParser):
    """Tags with attributes, ids, and the text within chosen elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                continue

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    return render(made.full())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# ---------------------------------------------------------------------------- the file


def test_rebuilt_page_is_the_same_to_the_byte_and_small(tmp_path: Path, text: str) -> None:
    first = write(made.full(), tmp_path / "a")
    second = write(made.full(), tmp_path / "b")
    assert first == tmp_path / "a" / "index.html"
    assert first.read_bytes() == second.read_bytes() == text.encode()
    assert len(text) < 400_000
    assert [entry.name for entry in first.parent.iterdir()] == ["index.html"]


def test_page_goes_into_the_folder_of_the_run_by_default(tmp_path: Path) -> None:
    run = made.run([made.row("reverse")])
    run.folder = tmp_path / "deep" / "run"
    assert write(run) == tmp_path / "deep" / "run" / "index.html"


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(
        StoreError, match=r"^The page .*taken.* cannot be written: .*\. Free the disk or choose another"
    ):
        write(made.run([made.row("reverse")]), tmp_path / "taken")


def test_page_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        write(made.run([made.row("reverse")]), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.html"]


def test_settings_of_matplotlib_are_neither_used_nor_changed(text: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31, "axes.grid": False, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert render(made.full()) == text
        assert dict(matplotlib.rcParams) == before


def test_policy_allows_the_own_style_and_script_only(text: str, page: Page) -> None:
    (policy,) = [tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nothing_comes_from_outside_and_nothing_is_styled_or_run_inline(text: str, page: Page) -> None:
    assert re.findall(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", text) == []
    assert "http://" not in text
    assert "https://" not in text
    assert {tag for tag, _ in page.tags} & {"img", "iframe", "object", "embed", "base", "form"} == set()
    for _, attributes in page.tags:
        assert [name for name in attributes if name == "style" or name.startswith("on")] == []
    links = [attributes["href"] for tag, attributes in page.tags if attributes.get("href")]
    assert all(link == "data:," or (link or "").startswith("#") for link in links)


def test_ids_are_unique_and_every_reference_has_its_target(text: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"|aria-labelledby="([^"]+)"', text)
    targets = {name for found in used for part in found for name in part.split()}
    assert targets <= set(ids)
    assert any(name.startswith("time0-") for name in targets)


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(name: str) -> None:
    at = {"problem": name, "size": name, "reason": name}
    rows = [made.row(name, **at), made.failed("symbolic", "timeout", **at), made.row(name, **at | {"size": "b"})]
    rows.append(made.row("symbolic", **at, symbolic_ops_value=3, symbolic_ops_gradient=30, symbolic_ops_cse=9))
    texts = {"title": name, "question": name, "look_for": name, "name": name, "text": name}
    text = render(made.run(rows, **texts))
    page = Page(text)
    assert [tag.get("type") for tag in page.of("script")].count(None) == 1
    assert page.of("img") == []
    assert "alert(1)" not in page.texts["script"][0]
    if name.isprintable():
        assert name in page.texts["h1"][0]
        assert html.escape(name, quote=False) in text
    assert re.search(r"[\x00-\x08\x0b\x1b]", text) is None


# ---------------------------------------------------------------------------- order and charts


def test_sections_come_in_the_order_of_a_reader(page: Page) -> None:
    anchors = [attributes["id"] for attributes in page.of("section")]
    assert anchors == [
        "answer", "scoreboard", "error", "ulps", "time", "memory", "operations", "rows", "words", "measured",
        "reproduce",
    ]  # fmt: skip
    assert made.manifest()["study"]["question"][:20] in page.texts["header"][0]


def test_charts_say_their_numbers_to_those_who_do_not_see_them(page: Page) -> None:
    descriptions = page.texts["desc"]
    charts = [attributes for attributes in page.of("svg") if attributes.get("role") == "img"]
    assert len(descriptions) == len(charts) == 10
    error, ulps, time, memory, operations = (descriptions[place] for place in (0, 2, 4, 6, 8))
    assert "reverse: 2.6e-16 in 48.0 µs at size tiny" in error
    assert "reverse: 57 % rounded correctly, half within ½, the worst 9.4." in ulps
    assert "symbolic: 800 µs at 31 parameters, timed out (more than 10.0 s) at 330 parameters" in time
    assert "refused by forecast (forecast: 24.0 GiB) at 18 826 parameters" in memory
    assert "operations of the gradient 27 900, operations after sharing 3 410" in operations
    assert "small (330 parameters): steps on the tape 42; symbolic differentiation timed out." in operations
    titles = [title for title in page.texts["title"] if title.startswith("Time against")]
    assert titles == [f"Time against the number of parameters, {name}" for name in ("digits-mlp", "digits-cnn")]


def test_every_chart_has_its_numbers_as_a_table_and_marks_have_tips(text: str, page: Page) -> None:
    assert page.texts["summary"].count("The numbers of this chart") == 5
    assert "<td>7.40" not in text
    assert "<td>refused by forecast (forecast to prepare and run once: 10.1 s)</td>" in text
    assert "<title>symbolic, small: timed out, more than 10.0 s</title>" in text
    assert "<title>forward, medium: 522 ms</title>" in text


def test_refused_cases_are_drawn_as_forecasts_and_apart(text: str, page: Page) -> None:
    assert "hollow with an arrow: more than this or forecast to prepare and run once" in text
    said = " ".join(page.texts["p"])
    assert "refused before the start, drawn at the forecast to prepare and run once" in said
    assert "<title>forward, medium: refused by forecast, forecast to prepare and run once: 10.1 s</title>" in text


def test_problems_with_one_size_are_tables_beside_those_with_several() -> None:
    def drawn(*rows: dict[str, Any]) -> tuple[list[str], str]:
        text = render(made.run(rows))
        return Page(text).texts.get("figcaption", []), text

    single = made.timed("reverse", 7.77e-3, 3e-16, problem="alone")
    captions, text = drawn(made.row("reverse"), made.row("reverse", size="large", n_params=9000), single)
    assert captions == ["digits-mlp"] * 3
    assert text.count("alone has one size only: in the table, not drawn.") == 3
    assert "<td>7.77 ms</td><td>± 0.16 ms</td>" in text.split('id="time"')[1]
    captions, text = drawn(made.row("reverse"), single)
    assert captions == ["digits-mlp", "alone"] * 3, "where all have one size, there is nothing better"
    assert "one size only" not in text


def test_sizes_of_as_many_parameters_show_no_growth_and_share_a_label() -> None:
    from difflab.report import axes, style

    level = [made.row("reverse", problem="level", size=size, n_params=42) for size in ("deep", "wide")]
    rising = [made.row("reverse", problem="rising", size=f"s{n}", n_params=n) for n in (42, 9000)]
    text = render(made.run([*level, *rising]))
    assert Page(text).texts["figcaption"] == ["level", "rising", "rising", "rising"], "only its errors have a panel"
    assert text.count("level has the same number of parameters at every size: in the table, not drawn.") == 2
    with style.drawing():
        _, drawn = style.canvas("", "parameters")
        assert axes.set_sizes(drawn, [("deep", 42), ("wide", 42), ("large", 4200)]) > 50
        labels = [label.get_text() for label in drawn.get_xticklabels()]
    assert labels == ["42\ndeep, wi…", "4 200\nlarge"]


def test_every_size_is_named_on_the_axis_and_wide_counts_are_short() -> None:
    from difflab.report import axes, style

    sizes = [("tiny", 63), ("small", 610), ("medium", 2410), ("large", 9610), ("xlarge", 301_066)]
    with style.drawing():
        figure, drawn = style.canvas("time", "parameters")
        axes.set_sizes(drawn, sizes)
        labels = [label.get_text() for label in drawn.get_xticklabels()]
        assert [label.split("\n")[-1] for label in labels] == [name for name, _ in sizes]
        assert labels[2] == "\n\n2 410\nmedium"
        assert drawn.get_window_extent().y0 == pytest.approx(76), "room for the lower row"
        assert figure.get_figheight() * 72 == pytest.approx(style.HEIGHT + 24)
        axes.set_count(drawn, "x", [1.0, 3e8])
        assert max(len(label.get_text()) for label in drawn.get_xticklabels()) <= 6


def test_charts_without_data_are_left_out_with_the_reason() -> None:
    text = render(made.run([made.row("reverse", rel_error=None, peak_bytes=None)]))
    assert "This chart is left out: no case has both a time and a certified error." in text
    assert "This chart is left out: no case has a measured peak, and none met a memory limit." in text
    assert "This chart is left out: symbolic differentiation is not in this study." in text
    assert Page(text).texts["figcaption"] == ["digits-mlp"]


def test_looks_differ_in_marker_and_dash_and_keep_their_place() -> None:
    from difflab.report.style import looks

    names = [
        "analytic",
        "reverse",
        "forward",
        "finite (central)",
        "finite (one-sided)",
        "symbolic",
        "null",
        "torch",
        "x",
    ]
    found = looks(cases.read([made.row(name) for name in names]))
    assert list(found) == names
    assert len({(look.marker, look.dashes) for look in found.values()}) == len(names)
    assert looks(cases.read([made.row("reverse")]))["reverse"] == found["reverse"]
    many = looks(cases.read([made.row(f"backend {k}") for k in range(30)]))
    assert len({(look.colour, look.marker) for look in many.values()}) == 30


def test_all_rows_shows_what_differs_and_sorts_by_value(text: str, page: Page) -> None:
    assert "The same in every row: float64, cpu, gradient." in text
    assert '<td data-v="0.000623' in text
    assert text.count('<table class="plain sortable"') == 2
    pressed = [tag.get("popovertarget") for tag in page.of("button")]
    assert None not in pressed, "without the script there is nothing to press but what the browser itself opens"
    assert {*pressed} == {tag["id"] for tag in page.of("div") if "popover" in tag}
    headings = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', made.unexplained(text).split('id="rows"')[1])
    assert {"Backend", "Prepare", "First call", "One gradient", "Worst digits", "Reason"} <= set(headings)
    assert "Device" not in headings


# ---------------------------------------------------------------------------- the scoreboard


def _cells(*rows: dict[str, Any]) -> list[tuple[str, ...]]:
    """The first board, row by row: headline, lines and chip of every cell."""
    from difflab.report.scoreboard import scoreboard

    (board, *_) = scoreboard(cases.groups(cases.read(rows)))
    return [(score.headline, *score.lines, score.chip) for _, _, scores in board.rows for score in scores]


def test_the_only_general_way_at_a_size_is_not_called_the_quickest() -> None:
    rows = [made.timed("reverse", 1e-4, 3e-16), made.timed("analytic", 9e-5, 3e-16)]
    assert [cell[-1] for cell in _cells(*rows, made.timed("forward", 1e-3, 3e-16))] == ["quickest", "", ""]
    assert [cell[-1] for cell in _cells(*rows, made.failed("forward", "timeout"))] == ["only one", "", ""]
    assert [cell[-1] for cell in _cells(*rows, made.failed("forward", "interrupted"))] == ["", "", ""]
    assert [cell[-1] for cell in _cells(*rows)] == ["", ""], "nobody else took part"


def test_cells_say_reasons_in_short_and_the_page_in_full() -> None:
    why = "the forecast is 45 s for one gradient (2.139e+04 evaluations of a loss of 0.0021 s); the limit is 10 s"
    other = made.failed("symbolic", "skipped_predicted", reason="the forecast needs 24.49 GiB; the limit is 2 GiB")
    long = "the forecast is 37 700 years to prepare and run once (60 965 225 evaluations of 410 ms); the limit is 20 s"
    rows = [
        made.failed("finite", "skipped_predicted", reason=why),
        other,
        made.failed("forward", "crash", reason="x" * 99),
        made.failed("finite (one-sided)", "skipped_predicted", reason=long),
    ]
    assert _cells(*rows) == [
        ("refused by forecast", "forecast 45 s", ""),
        ("refused by forecast", "forecast 24.49 GiB", ""),
        ("crashed", "x" * 47 + "…", ""),
        ("refused by forecast", "forecast 37 700 years", "60 965 225 \N{MULTIPLICATION SIGN} 410 ms", ""),
    ]
    assert f'<td class="bad" title="{why}">' in render(made.run(rows))


def test_peaks_below_the_resolution_of_the_system_are_not_told_apart(text: str) -> None:
    assert _cells(made.row("reverse", peak_bytes=4096))[0][-2] == "< 256 KiB peak"
    assert "Peaks below 256\N{NO-BREAK SPACE}KiB are noise" in text


def test_cases_that_were_not_begun_are_not_measured_yet() -> None:
    waiting = {"n_params": None, "reason": "the run was interrupted before this case began; run it again to go on"}
    rows = [made.row("reverse"), made.failed("forward", "interrupted", **waiting)]
    rows += [made.failed(name, "interrupted", size="large", **waiting) for name in ("reverse", "forward")]
    text = render(made.run(rows))
    assert "1 finished, 3 not measured yet." in text
    assert re.findall(r'<th scope="col">(\w+)<small>([^<]*)', text) == [("small", "330 parameters"), ("large", "–")]  # noqa: RUF001
    assert "0 parameters" not in text.replace("330 parameters", "")
    assert [cell[0] for cell in _cells(*rows)] == [
        "100.0 µs",
        "not measured yet",
        "not measured yet",
        "not measured yet",
    ]
    assert cases.read(rows)[1].n_params == 330, "another case of the same problem and size has counted them"
    begun = cases.read([made.failed("reverse", "interrupted", rel_error=1e-9)])
    assert begun[0].outcome_words == "interrupted"


# ---------------------------------------------------------------------------- runs of every kind


def test_page_of_a_comparison_speaks_of_no_study_and_of_no_chart_that_is_not_there() -> None:
    counts = {"symbolic_ops_value": 40, "symbolic_ops_gradient": 900, "symbolic_ops_cse": 110}
    at = {"size": "", "n_params": 50, "peak_bytes": None}
    run = made.run([made.row("reverse", **at), made.row("symbolic", **at, **counts)])
    run.manifest |= {"command": "difflab.compare(f, x)", "method": ["Timed in this process."]}
    run.manifest["study"] = {"name": "f"}
    text = render(run)
    assert "for a study that comes with it" not in text
    assert "save the text below" not in text
    assert "<pre>difflab.compare(f, x)</pre>" in text
    assert [tag["id"] for tag in Page(text).of("section")] == [
        "answer", "scoreboard", "error", "time", "operations", "rows", "words", "measured", "reproduce",
    ]  # fmt: skip
    assert ">50 parameters</text>" in text
    assert "#memory" not in text


def test_study_in_which_everything_timed_out() -> None:
    rows = [made.failed(name, "timeout", size=size) for name in ("reverse", "symbolic") for size in ("a", "b")]
    run = made.run(rows)
    assert answer(run).text == ("No backend gave a gradient, so there is nothing to compare: of 4 cases, 4 timed out.")
    text = render(run)
    assert "Values of one gradient. reverse: timed out (more than 10.0 s) at 330 parameters" in text
    assert "quickest</span></td>" not in text


@pytest.mark.parametrize("rows", [[], [made.failed("reverse", "interrupted", n_params=None)]])
def test_run_without_a_measurement_still_has_a_page(rows: list[dict[str, Any]]) -> None:
    assert "nothing was measured" in render(made.run(rows)) or rows


def test_not_a_number_and_infinity_are_missing_values() -> None:
    nan = {name: math.nan for name in cases.NUMBERS}
    run = made.run([made.row("reverse", **nan), made.row("forward", rel_error=math.inf, call_s=0.0)])
    assert "nan" not in render(run).lower()
    assert answer(run).text == "2 cases finished but none was timed, so nothing can be said about speed."


def test_manifest_of_another_time_is_shown_as_far_as_it_goes() -> None:
    run = made.run([made.row("reverse")])
    run.manifest = {}
    assert "<h1>study</h1>" in render(run)
