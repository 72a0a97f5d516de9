"""Results and comparisons in notebooks and in code: how they show themselves, and that their frames are tidy."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import made_up_runs as made
import numpy as np
import pandas
import pytest

import difflab as dl
from difflab import columns, support
from difflab.harness import frames, results
from difflab.report import answer
from difflab.report.card import MOST_ROWS, card

OLD = Path(__file__).parent / "old_runs" / "format-1" / "full"
EVIL = '</td></script><script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def compared() -> dl.Comparison:
    return dl.compare(lambda x: np.sum(np.tanh(x) ** 2), np.array([0.3, -0.5, 1.0]))


class Shown(HTMLParser):
    """Tags, attributes and cells of a fragment."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and self.tags[-1] in ("td", "th") and data.strip():
            self.cells[-1] += data


def test_a_card_holds_the_answer_its_limits_and_a_table() -> None:
    run = made.run([made.timed("reverse", 1e-3, 3e-16), made.timed("finite", 90e-3, 1e-9)], quick=True)
    text = card(run)
    said = answer(run)
    plain = text.replace("\N{NO-BREAK SPACE}", " ")
    for sentence in (*said.sentences, *said.caveats):
        assert sentence in plain
    shown = Shown(plain)
    titles = shown.cells[: shown.cells.index("certified") + 1]
    assert titles == [
        "backend", "outcome", "relative error", "digits", "one gradient", "work ratio", "peak", "arrays", "certified",
    ]  # fmt: skip
    row = dict(zip(titles, shown.cells[len(titles) :], strict=False))
    assert row["backend"] == "reverse"
    assert row["relative error"] == "3.0e-16"
    assert re.fullmatch(r"1\.0+ \N{PLUS-MINUS SIGN} 0\.020* ms", row["one gradient"])
    assert row["peak"].endswith("MiB")


def test_a_card_is_safe_and_needs_nothing_else() -> None:
    rows = [made.timed(EVIL, 1e-3, 3e-16), made.timed("reverse", 2e-3, 3e-16, certified=f"no: {EVIL}")]
    text = card(made.run(rows, title=EVIL, question=EVIL))
    shown = Shown(text)
    assert set(shown.tags) <= {"div", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert shown.attributes <= {"style", "scope"}
    assert not re.search(r"#[0-9a-f]{3,8}\b|\brgb|url\(|(?:^|[;\"\s])background: (?!none)", text)  # it inherits colours
    assert EVIL in shown.cells


def test_what_tells_rows_apart_is_a_column() -> None:
    rows = [made.row("reverse", dtype=dtype, problem=problem) for dtype in ("float64", "float32") for problem in "ab"]
    assert Shown(card(made.run(rows))).cells[:3] == ["problem", "dtype", "backend"]


def test_a_large_run_shows_its_largest_sizes_and_counts_the_rest() -> None:
    rows = [made.row(f"b{k}", size=size, n_params=n) for size, n in (("small", 9), ("large", 99)) for k in range(30)]
    shown = Shown(text := card(made.run(rows)))
    assert shown.tags.count("tr") == 31
    assert "30 more cases are in .frame" in text
    assert Shown(card(made.run(rows * 3))).tags.count("tr") <= MOST_ROWS + 1


def test_a_run_without_any_result_shows_why() -> None:
    text = card(made.run([made.failed("reverse", "timeout"), made.failed("finite", "skipped_predicted")]))
    assert "timed out" in text
    assert "no answer" in card(made.run([]))


def test_results_show_themselves() -> None:
    loaded = dl.load(OLD)
    text = loaded._repr_html_()
    assert text is not None
    assert answer(loaded).sentences[0] in text.replace("\N{NO-BREAK SPACE}", " ").replace("&#39;", "'")
    assert str(OLD) in text
    assert results.load(OLD)._repr_html_() is None  # a notebook then shows the repr


def test_short_representations(compared: dl.Comparison) -> None:
    loaded = dl.load(OLD)
    for text in (repr(loaded), str(loaded)):
        assert re.fullmatch(rf"<Results of [\w-]+, \d+ cases?: \d+ ok.*; {re.escape(str(OLD))}>", text)
        assert len(text) < 200
    assert repr(compared) == "<Comparison: Ways to differentiate <lambda>, 4 cases: 4 ok>"
    assert str(compared).splitlines()[0].split()[:2] == ["backend", "outcome"]
    assert len(str(compared).splitlines()) == 5


# ------------------------------------------------------------------------------------------------ frames


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | np.generic)


def test_frames_hold_one_number_or_word_per_cell(compared: dl.Comparison) -> None:
    loaded = dl.load(OLD)
    for frame in (loaded.frame, compared.frame):
        assert all(_scalar(value) for value in frame.to_numpy(object).ravel())
        assert not set(frame) & set(columns.NESTED)
        assert list(frame)[: len(columns.MAIN)] == list(columns.MAIN)
    assert len(loaded.frame) == len(loaded.rows)
    assert set(columns.NESTED) - {"findings"} <= set(loaded.rows[0])  # nothing is lost


def test_columns_have_sensible_types(compared: dl.Comparison) -> None:
    for frame in (dl.load(OLD).frame, compared.frame):
        for name, known in columns.EVERY.items():
            if name not in frame:
                continue
            kind = frame[name].dtype.kind if isinstance(frame[name].dtype, np.dtype) else "text"
            if known.kind == "real":
                assert kind in "fi", name
            elif known.kind == "whole":
                assert kind == "i" or (kind == "f" and bool(frame[name].isna().to_numpy().any())), name
            else:
                assert kind not in "fi", name


def test_missing_numbers_are_nan_even_where_a_column_has_none() -> None:
    frame = frames.cases([made.failed("reverse", "timeout")])
    assert frame["call_s"].dtype == np.float64
    assert frame["n_params"].dtype == np.int64
    assert frame["outcome"].tolist() == ["timeout"]
    assert list(frames.cases([])) == [*columns.MAIN, *columns.MORE, *columns.GPU]


def test_frames_carry_units_and_meanings() -> None:
    frame = dl.load(OLD).frame
    assert frame.attrs["units"]["call_s"] == "seconds"
    assert frame.attrs["units"]["peak_bytes"] == "bytes"
    assert set(frame.attrs["meanings"]) == set(frame) & set(columns.EVERY)


def test_the_further_frames_hold_what_rows_do() -> None:
    loaded = dl.load(OLD)
    keys = ["case", "problem", "size", "dtype", "backend"]
    every = loaded.samples_frame
    assert list(every) == [*keys, "process", "sample", "seconds"]
    assert len(every) == sum(len(own) for parts in loaded.samples.values() for own in parts)
    for row in loaded.rows:
        own = every[every["case"] == row["case"]]
        assert [list(part["seconds"]) for _, part in own.groupby("process")] == loaded.samples[row["case"]]
        medians = loaded.processes_frame.query("case == @row['case']")
        assert medians[["call_s", "primal_s"]].to_numpy().tolist() == [list(pair) for pair in row["medians"] or []]
        counts = loaded.ulps_frame.query("case == @row['case']")
        assert counts["coordinates"].tolist() == (row["ulp_histogram"] or [])
        chosen = loaded.options_frame.query("case == @row['case']")
        assert dict(zip(chosen["option"], chosen["value"], strict=True)) == {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in json.loads(row["options"]).items()
        }


def test_a_comparison_has_its_samples(compared: dl.Comparison) -> None:
    every = compared.samples_frame
    assert isinstance(every, pandas.DataFrame)
    assert set(every["backend"]) == {"finite", "symbolic", "forward", "reverse"}
    assert min(every["seconds"]) > 0


# ------------------------------------------------------------------------------------------------ meanings


def test_every_column_has_a_meaning_and_no_other() -> None:
    more = set(results.MORE_COLUMNS) - set(results.GPU_COLUMNS)
    assert tuple(columns.MAIN) == results.COLUMNS
    assert set(columns.MORE) == more - set(columns.NESTED)
    assert tuple(columns.GPU) == results.GPU_COLUMNS
    assert set(columns.NESTED) - more == {"findings"}
    assert len(columns.EVERY) == sum(map(len, (columns.MAIN, columns.MORE, columns.GPU, columns.NOTES)))


@pytest.mark.parametrize("operator", ["gradient", "hvp", "jacobian"])
def test_what_difflabs_backends_note_has_a_meaning(operator: str) -> None:
    names = ["finite", "complex-step", "symbolic", "forward", "reverse", "null"]
    found = dl.compare(lambda x: np.sum(np.tanh(x) ** 2), np.ones(4), backends=names, operator=operator)
    assert set(found.frame) <= set(columns.EVERY)


def test_meanings_are_sentences_with_units() -> None:
    for name, known in columns.EVERY.items():
        assert re.fullmatch(r"[A-Z].*\.", known.meaning), name
        assert known.kind in ("text", "whole", "real", "flag")
        if name.endswith(("_s", "_s_low", "_s_high")):
            assert known.unit == "seconds", name
        if name.endswith("_bytes"):
            assert known.unit == "bytes", name
        if known.kind in ("text", "flag"):
            assert not known.unit, name


def test_the_table_of_readme_is_generated_from_the_meanings() -> None:
    text = support.updated("<!-- generated: columns -->\noutdated\n<!-- end: columns -->")
    assert "outdated" not in text
    for name in (*columns.EVERY, *columns.NESTED):
        assert f"| `{name}` |" in text


def test_views_do_not_matter_to_equality() -> None:
    loaded = dl.load(OLD)
    assert loaded == results.load(OLD)
    assert dataclasses.replace(loaded, views=None) == loaded
