"""The details of cases on a page: names for addresses, samples true to the store within a budget, words explained."""

from __future__ import annotations

import json
import math
import random
import re
from statistics import median
from typing import Any

import made_up_runs as made
import pytest

from difflab.report import cases, details, render
from difflab.report.explained import Explained
from difflab.report.terms import Term

HOSTILE = "</script><script>alert(1)</script>"


def _case(backend: str, **known: Any) -> cases.Case:
    return cases.read([made.row(backend, **known)])[0]


def _seconds(stored: Any) -> list[list[float]]:
    """The samples of a case as the page's script reads them."""
    power, base, above = stored[:3]
    return [[(value + base) * 10.0**power for value in one] for one in above]


@pytest.mark.parametrize("scale", [1e-9, 2.3e-7, 4.4e-5, 0.012, 9.99996, 731.0, 86400.0])
def test_samples_keep_five_digits_in_their_order(scale: float) -> None:
    numbers = random.Random(7)
    own = [[scale * (1 + numbers.expovariate(3)) for _ in range(9)] for _ in range(6)]
    case = _case("reverse")
    found = details.details([case], {case.case: own})
    (stored,) = json.loads(found.text)["samples"]
    for one, known in zip(_seconds(stored), own, strict=True):
        assert one == pytest.approx(known, rel=5e-5, abs=0)
    assert (found.shown, found.every, found.note) == (54, 54, "")
    assert all(isinstance(value, int) for one in stored[2] for value in one)


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ([], 0),
        ([[], [math.nan, math.inf]], 0),
        ([[0.0, 2e-9]], [[0.0, 2e-9]]),
        ([[1e-9, 100.0]], [[1e-9, 100.0]]),
        ([[math.nan, 3e-6], []], [[3e-6]]),
    ],
)
def test_samples_at_the_edges(own: list[list[float]], kept: Any) -> None:
    case = _case("reverse")
    (stored,) = json.loads(details.details([case], {case.case: own}).text)["samples"]
    assert (stored and _seconds(stored)) == (kept and [pytest.approx(one, rel=1e-9, abs=1e-18) for one in kept])


def _many(count: int, processes: int = 6, each: int = 9) -> tuple[list[cases.Case], dict[str, list[list[float]]]]:
    numbers = random.Random(3)
    found = cases.read([made.row(f"b{k}") for k in range(count)])
    return found, {
        case.case: [[1e-4 * (1 + numbers.random()) for _ in range(each)] for _ in range(processes)] for case in found
    }


@pytest.mark.parametrize(("limit", "pooled"), [(45_000, False), (35_000, False), (12_000, True), (10_000, True)])
def test_what_has_no_room_is_thinned_to_order_statistics_and_said(limit: int, pooled: bool) -> None:
    found, samples = _many(200)
    thinned = details.details(found, samples, limit)
    stored = json.loads(thinned.text)["samples"]
    assert len(json.dumps(stored, separators=(",", ":"))) <= limit
    assert thinned.every == 200 * 54
    assert thinned.shown == sum(len(one) for case in stored for one in case[2]) < thinned.every
    words = f"{thinned.shown:,} of the 10,800 raw samples: of each {'case' if pooled else 'process'} at most"
    assert words.replace(",", " ") in thinned.note
    for case, known in zip(stored, samples.values(), strict=True):
        groups = [[value for one in known for value in one]] if pooled else known
        assert case[3] == [len(one) for one in groups]
        assert (len(case) == 6) == pooled
        middles = [(value + case[1]) * 10.0 ** case[0] for value in case[4]]
        assert middles == pytest.approx([median(one) for one in groups], rel=5e-5)
        for one, own in zip(_seconds(case), groups, strict=True):
            assert len(one) >= details.LEAST
            assert [one[0], one[-1]] == pytest.approx([min(own), max(own)], rel=5e-5)
            assert all(min(abs(value - exact) for exact in own) < 1e-4 * value for value in one)


def test_without_any_room_no_samples_are_held_and_that_is_said() -> None:
    found, samples = _many(50)
    bare = details.details(found, samples, 200)
    assert json.loads(bare.text)["samples"] == [0] * 50
    assert bare.note == "This page holds 0 of the 2 700 raw samples: there are too many cases for more."


def test_the_largest_pages_keep_to_the_budget() -> None:
    found, samples = _many(5000)
    held = details.details(found, samples)
    stored = json.loads(held.text)["samples"]
    assert len(json.dumps(stored, separators=(",", ":"))) <= details.BYTES
    assert held.shown >= 5000 * details.LEAST
    assert "5 000" not in held.note.split(":")[0]
    assert "270 000 raw samples" in held.note


def test_names_in_addresses_are_plain_short_and_all_different() -> None:
    names = ("reverse", "Reverse", "r\u00e9verse", "\u4e2d", HOSTILE, 'a"b&c=d#e%20', "x" * 300)
    rows = [
        *(made.row(name) for name in names),
        made.row("reverse", dtype="float32"), made.row("reverse", dtype="float32"),
    ]  # fmt: skip
    found = details.keys(cases.read(rows))
    assert len(set(found)) == len(rows)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", key) and len(key) <= details.LONGEST + 2 for key in found)
    assert found[0] == "digits-mlp-small-reverse-float64"
    assert found[-2:] == ("digits-mlp-small-reverse-float32", "digits-mlp-small-reverse-float32-2")
    assert details.keys(cases.read(rows[:2]))[0] == "digits-mlp-small-reverse", "what never differs is left out"


def test_hostile_names_cannot_end_the_element_that_holds_the_details() -> None:
    rows = [made.row(HOSTILE), made.failed("b", "timeout", problem=HOSTILE, reason=HOSTILE)]
    found = cases.read(rows)
    text = details.details(found, {}).text
    assert "<" not in text
    facets = {name: values for name, values, _ in json.loads(text)["filters"]}
    assert facets["Backend"] == [HOSTILE, "b"]
    page = render(made.run(rows))
    assert page.count("</script>") == page.count("<script") == len(re.findall(r"<script(?:>| type=)", page))


def test_filters_are_what_differs_and_the_rest_is_what_no_column_shows() -> None:
    run = made.full()
    found = cases.read(run.rows)
    held = json.loads(details.details(found, run.samples).text)
    assert [name for name, _, _ in held["filters"]] == ["Backend", "Problem", "Outcome"]
    for name, values, places in held["filters"]:
        read = {"Backend": "backend", "Problem": "problem", "Outcome": "outcome_words"}[name]
        assert [values[place] for place in places] == [getattr(case, read) for case in found]
    known = dict(zip(held["rest"][0][::2], held["rest"][0][1::2], strict=True))
    assert {held["columns"][place]: text for place, text in known.items()} == {
        "Dtype": "float64", "Device": "cpu", "Operator": "gradient",
    }  # fmt: skip
    one = cases.read([made.row("reverse")])
    assert json.loads(details.details(one, {}).text)["filters"] == []


# ---------------------------------------------------------------------------- words explained in place

TERMS = (Term("Tape", "A list of steps.", ("tapes",)), Term("Work ratio", "Two times."), Term("ULP", "A distance."))


def test_a_term_is_explained_where_it_first_stands_and_nowhere_else() -> None:
    page = Explained(TERMS)
    first = str(page.text("A work\N{NO-BREAK SPACE}ratio of tapes, tape by tape; ulp."))
    assert first == (
        'A <button type="button" class="term" popovertarget="w-work-ratio">work\N{NO-BREAK SPACE}ratio</button> of '
        '<span class="held"><button type="button" class="term" popovertarget="w-tape">tapes</button>,</span> '
        "tape by tape; ulp."
    )
    assert str(page.text("Tape, work ratio")) == "Tape, work ratio"
    held = str(page.text("As (ULP's): work ratio"))
    assert held == (
        'As <span class="held">(<button type="button" class="term" popovertarget="w-ulp">ULP</button>&#39;s):</span> '
        "work ratio"
    ), "no line ends between a word and its punctuation"
    assert [(name, term.name) for name, term in page.meanings] == [
        ("w-tape", "Tape"),
        ("w-work-ratio", "Work ratio"),
        ("w-ulp", "ULP"),
    ]


def test_headings_have_their_own_button_beside_the_first_that_begins_with_a_term() -> None:
    page = Explained(TERMS)
    assert 'aria-label="What is: Tape?"' in str(page.ask("Tape length"))
    assert [str(page.ask(name)) for name in ("Tape", "Time per tape", "Taper", "Backend")] == [""] * 4
    assert [name for name, _ in page.meanings] == ["w-tape"]


def test_hostile_texts_and_terms_stay_text() -> None:
    page = Explained([Term(HOSTILE, HOSTILE), Term('a" onclick="b', ""), Term("a' onclick='b", "")])
    said = str(page.text(f'{HOSTILE} a" onclick="b <b>'))
    assert "<script" not in said
    assert "<b>" not in said
    own = r'<span class="held">|<button type="button" class="term" popovertarget="[a-z0-9-]+">|</button>|</span>'
    assert re.sub(own, "", said).count("<") == 0
    ids = [name for name, _ in Explained(page._terms).meanings] + [str(page.ask(t.name)) for t in page._terms]
    assert not [one for one in ids if "<script" in one]


def test_ids_of_popovers_differ_where_names_are_alike() -> None:
    page = Explained([Term("Tape", "1"), Term("tape!", "2"), Term("\u4e2d", "3")])
    page.text("Tape, \u4e2d")
    page.ask("tape!")
    names = [name for name, _ in page.meanings]
    assert len(set(names)) == len(names) >= 2


def test_a_page_explains_each_term_at_most_once_in_sentences_and_opens_only_what_is_there() -> None:
    text = render(made.full())
    buttons = re.findall(r'class="term" popovertarget="([^"]+)"', text)
    asked = re.findall(r'class="ask" popovertarget="([^"]+)"', text)
    assert len(buttons) == len(set(buttons)) > 5
    assert len(asked) == len(set(asked)) > 5
    assert set(re.findall(r'<div class="meaning" id="([^"]+)" popover>', text)) == {*buttons, *asked}
