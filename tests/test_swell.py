"""Expression swell: what a case finds, how counts are read, and what the page says of them."""

from __future__ import annotations

import json
import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
import swell_findings as found
from swell_sessions import SETTINGS, session

from difflab.backends.symbolic import Symbolic
from difflab.errors import UnsupportedError
from difflab.harness import accuracy, catalogue, study_file
from difflab.harness.examinations.swell import examine
from difflab.harness.study import shipped
from difflab.harness.study_kinds import Swell
from difflab.report import answer, cases, kinds, render
from difflab.report.claims import swell_details, swell_growth, swell_points

LAWS = found.EXPONENTIAL


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("truth") / "r.npz")
    spec = {"problem": "deep-mlp", "size": "depth-2", "seed": 0, "operator": "gradient"}
    assert "why" not in accuracy.make_reference(spec, path, 60)
    return path


def family(laws: dict[str, found.Law] = LAWS, places: Any = (1, 2, 3, 4, 5, 6), **more: Any) -> swell_points.Family:
    rows = found.growing("deep-mlp", "depth", places, laws, **more)
    (one,) = swell_points.families(cases.groups(cases.read(rows)))
    return one


# ------------------------------------------------------------------------------------------------ one case


@pytest.mark.parametrize(("backend", "options", "way"), [
    ("symbolic", {"cse": False}, "tree"), ("symbolic", {"way": "tree"}, "shared"), ("reverse", {}, "tape"),
    ("forward", {}, "forward"),
])  # fmt: skip
def test_a_case_knows_its_counts_its_times_and_its_error(
    reference: str, backend: str, options: dict[str, Any], way: str
) -> None:
    told = examine(session(backend, **options), {**SETTINGS, "reference": reference, "why": None})
    one = told["findings"]
    assert told["outcome"] == "ok"
    assert told["certified"] == "yes"
    assert told["rel_error"] < 1e-14
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    assert one["way"] == way
    assert one["shape"] == {"depth": 2, "width": 3}
    assert set(one["times"]) == {"build", "differentiate", "compile", "evaluate"}
    assert all(seconds >= 0 for seconds in one["times"].values())
    assert one["evaluations"] == 100
    # a loss of 11 equations, and 22 appended ones, whoever differentiates
    assert (one["loss"]["equations"], one["gradient"]["equations"]) == (11, 33)
    assert one["gradient"]["tape"] > one["loss"]["tape"] > 0
    assert one["gradient"]["tape_lean"] == one["gradient"]["tape"] - 1  # the product with the seed
    if way in found.MODES:
        assert "tree" not in one["gradient"]
        assert "forecast" not in one
    else:
        assert one["gradient"]["tree"] > one["gradient"]["dag"] > one["loss"]["dag"]
        assert one["loss"]["tree"] > one["loss"]["dag"]
        assert one["forecast"]["operations"] > one["loss"]["tree"]
        assert (one["gradient"]["cse"] is None) == (way == "tree")
    if way == "shared":
        assert one["gradient"]["cse"] <= one["gradient"]["dag"]


def test_both_ways_count_the_same_expressions(reference: str) -> None:
    command = {**SETTINGS, "reference": reference, "why": None}
    one, other = (examine(session("symbolic", way="tree", cse=cse), command)["findings"] for cse in (False, True))
    for part in ("loss", "gradient"):
        assert {k: v for k, v in one[part].items() if k != "cse"} == {
            k: v for k, v in other[part].items() if k != "cse"
        }


@pytest.mark.parametrize(("order", "way"), [("auto", "graph"), ("root", "graph"), ("symbol", "graph-by-symbol")])
def test_a_graph_is_counted_apart_from_the_expressions_of_sympy(reference: str, order: str, way: str) -> None:
    opened = session("symbolic", way="dag", order=order)
    found = examine(opened, {**SETTINGS, "reference": reference, "why": None})["findings"]
    assert found["way"] == way
    assert set(found["gradient"]) == {"equations", "tape", "tape_lean", way}
    assert found["loss"]["graph"] == found["loss"]["tape"]
    assert found["forecast"]["operations"] > 0


def test_what_is_refused_still_knows_its_tape_and_its_forecast() -> None:
    said: list[dict[str, Any]] = []
    opened = session("symbolic", cse=False, time_limit_s=0.4)
    channel: Any = SimpleNamespace(say=lambda kind, data: said.append(data), phase=lambda name: None)
    opened.channel = channel
    told = examine(opened, {**SETTINGS, "reference": None, "why": "nobody asked"})
    assert told["outcome"] == "skipped_predicted"
    assert "the limit is 400 ms" in told["reason"]
    assert "times" not in told["findings"]
    assert told["findings"]["forecast"]["seconds"] > 0.4
    assert told["findings"]["gradient"]["equations"] == 33
    assert said == [{"findings": told["findings"]}]


def test_a_backend_without_expressions_or_tape_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="makes neither expressions nor a tape of its own"):
        examine(session("finite"), {**SETTINGS, "reference": None, "why": ""})


def test_a_wrong_gradient_is_told(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = session("reverse")
    real = type(opened.backend).prepare

    def wrong(self: Any, *given: Any) -> Any:
        prepared = real(self, *given)
        twice = lambda leaves: (0.0, [2 * part for part in prepared.value_and_gradient(leaves)[1]])  # noqa: E731 (short)
        return SimpleNamespace(value_and_gradient=twice, stats={})

    monkeypatch.setattr(type(opened.backend), "prepare", wrong)
    told = examine(opened, {**SETTINGS, "reference": reference, "why": None})
    assert told["outcome"] == "invalid"
    assert told["rel_error"] == pytest.approx(1.0)


def test_the_shipped_study_grows_in_depth_and_in_width() -> None:
    path = shipped()["swell"]
    study = study_file.parse(path.read_text(), path.name, catalogue.collect)
    assert study.answer == "swell"
    assert isinstance(study.settings, Swell)
    assert {"deep-mlp", "wide-mlp", "xor", "xor-corners"} == {one.name for one in study.problems}
    options = [(one.name, *map(one.options.get, ("way", "cse", "order"))) for one in study.backends]
    assert options == [
        ("symbolic", "tree", False, None), ("symbolic", "tree", None, None), ("symbolic", "dag", None, "symbol"),
        ("symbolic", "dag", None, "root"), ("forward", None, None, None), ("reverse", None, None, None),
    ]  # fmt: skip
    assert [one.label for one in study.backends] == list(found.LABELS.values())


def test_the_xor_network_has_the_operations_that_its_data_leave() -> None:
    counts = []
    for problem in ("xor", "xor-corners"):
        opened = session("symbolic", problem, "tiny", cse=False)
        stats = Symbolic(way="tree").prepare(opened.source, "value_and_gradient", opened.leaves).stats
        counts.append((stats["symbolic_ops_value"], stats["symbolic_ops_gradient"]))
    assert counts == [(1059, 113_789), (433, 41_531)]


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_an_exponential_is_recognised(factor: float) -> None:
    law = swell_growth.growth(family(LAWS | {"tree": lambda n: 1000 * factor**n}), "tree")
    assert law is not None
    assert law.exponential
    assert law.factor == pytest.approx(factor, rel=1e-3)
    assert law.off == pytest.approx(1.0, abs=2e-3)
    assert law.places == (4.0, 5.0, 6.0)
    assert law.rests == "3 sizes from 4 to 6"
    assert law.words("depth").endswith("-fold with every further layer")


@pytest.mark.parametrize("power", [1, 3])
def test_a_power_is_recognised(power: int) -> None:
    law = swell_growth.growth(family(LAWS | {"tree": lambda n: 1000 * n**power}, range(1, 12)), "tree")
    assert law is not None
    assert not law.exponential
    assert law.power == pytest.approx(power, rel=1e-6)
    assert law.words("width") == f"like width to the power {power:.1f}"


def test_two_sizes_are_no_growth() -> None:
    assert swell_growth.growth(family(places=(1, 2)), "tree") is None
    text = answer(found.run_of(found.growing("deep-mlp", "depth", (1, 2), LAWS))).text
    assert "swell" in text
    assert "sizes from" not in text


def test_counts_come_from_whoever_knows_them() -> None:
    one = family(last={"tree": 3, "shared": 5})
    third, fifth, sixth = one.sizes[2], one.sizes[4], one.sizes[5]
    assert third.written()
    assert not fifth.written()
    assert fifth.count("tree") == 100 * 3**5
    assert sixth.count("tree") is None
    assert sixth.forecast == 50 * 3**6
    assert sixth.count("tape") == 240
    assert one.last("tree", "shared", "tape") is third
    assert one.last("tape") is sixth
    assert swell_points.forecasts([one]) == [0.5] * 5


# ------------------------------------------------------------------------------------------------ the page


ROWS = found.DEEP


def test_the_answer_names_growth_shares_claim_exactness_and_ends() -> None:
    said = answer(found.run_of(ROWS))
    assert said.caveats == ()
    assert len(said.text.split()) < 220
    swells, shared, claim, exact, ends = said.sentences
    assert swells == (
        "Written out, expressions swell with depth: deep-mlp takes 656 100 operations at depth 8, 2 050 times those of "
        "reverse mode, growing 3.0-fold with every further layer (95 % interval 3.0 to 3.0)."
    )
    assert shared == (
        "Sharing takes the exponential away: 3 200 operations remain, 10 times those of reverse mode, growing like "
        "depth to the power 2.0; a graph from the root has 319, growing like depth to the power 1.003."
    )
    assert claim == (
        "S. Laue (arXiv 1904.02990) claims that swelling is a property of trees: derived from the root, a graph does "
        "the operations of reverse mode, by symbol those of forward mode. The data agree, zeros and ones not counted: "
        "a graph has from the root exactly the operations of reverse mode at all 9 sizes and by symbol exactly the "
        "operations of forward mode at all 9 sizes."
    )
    assert exact.startswith("Symbolic differentiation is exact up to rounding in all 32 gradients that came out")
    assert ends == (
        "Written-out expressions end at depth 6 (forecast 99.0 s), shared ones at depth 12 (forecast 99.0 s); all "
        "others finish at every size."
    )


def test_a_growth_that_sharing_keeps_is_told() -> None:
    laws = LAWS | {"dag": lambda n: 80 * 2.0**n, "cse": lambda n: 70 * 2.0**n}
    rows = found.growing("deep-mlp", "depth", (1, 2, 3, 4, 5, 6), laws)
    said = answer(found.run_of(rows)).text
    assert "Sharing does not take that away" in said
    assert "growing 2.0-fold with every further layer; a graph" in said
    assert "growing 2.0-fold with every further layer, and" in found.page_of(rows)["operations"]


def test_problems_of_one_size_alone_have_an_answer() -> None:
    said = answer(found.run_of(found.growing("xor", "batch", (8,), LAWS))).sentences
    assert said[0] == f"On xor a loss of {round(100 * 3**8 / 4):,} operations has a gradient of ".replace(",", " ") + (
        f"{round(300 * 3**8 / 4):,} written out.".replace(",", " ")
    )


def test_every_chart_has_its_marks_and_its_numbers() -> None:
    text = render(found.run_of(ROWS))
    for anchor in ("operations", "totals", "phases", "growth", "counts"):
        assert f'<section id="{anchor}"' in text
    charts = text.split('<section id="operations"')[1].split('<section id="growth"')[0]
    assert charts.count("</svg>") >= 1 + 1 + 4
    for tip in (
        "depth 1: 300 written out", "depth 8: 656 100 (not written out)", "depth 12: forecast 26.6 million",
        "written out, depth 6: forecast 99 s to prepare", "depth 5, compile:",
    ):  # fmt: skip
        assert f"<title>{tip}" in charts.replace("\N{NO-BREAK SPACE}", " "), tip
    for key in ("hollow: counted, not written out", "arrow: more than this, by forecast", "E: 1 000 evaluations"):
        assert f"<span>{key}</span>" in charts
    assert "forecast 26.6 million" in charts.split("<table")[1].split("</table>")[0]
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert " style=" not in text
    assert text == render(found.run_of(ROWS))


def test_cases_without_findings_are_told_and_empty_runs_too() -> None:
    at = {"problem": "deep-mlp", "size": "depth-1"}
    lost = found.row("tree", None, **at, outcome="timeout", reason="stopped at 40 s", rel_error=None)
    waiting = found.row("shared", None, **at, outcome="interrupted", reason="not measured yet", rel_error=None)
    assert answer(found.run_of([])).sentences == ("This run holds no case, so there is no answer.",)
    assert answer(found.run_of([lost])).sentences == ("Nothing could be counted: of 1 case, 1 timed out.",)
    said = answer(found.run_of([lost, waiting, *ROWS]))
    assert said.caveats == (
        f"Unfinished: {len(ROWS) + 1} of {len(ROWS) + 2} cases examined so far.",
        "symbolic, written out on deep-mlp depth-1: timed out, stopped at 40 s.",
    )
    for rows in ([], [lost], [waiting], [lost, waiting]):
        assert "The answer of this run" in render(found.run_of(rows))


def test_a_case_that_met_a_limit_ends_its_way() -> None:
    rows = found.growing("deep-mlp", "depth", (1, 2, 3, 4), LAWS, last={"tree": 3})
    for row in rows:
        if row["outcome"] == "skipped_predicted":
            row |= {"outcome": "timeout", "reason": "stopped in phase prepare: the time limit of 40 s was over"}
    said = answer(found.run_of(rows))
    assert "Written-out expressions end at depth 4 (timed out)" in said.text
    assert said.caveats[0].startswith("symbolic, written out on deep-mlp depth-4: timed out, stopped in phase prepare")
    assert "The answer of this run" in render(found.run_of(rows))


def test_a_case_that_died_without_findings_ends_its_way() -> None:
    rows = found.growing("deep-mlp", "depth", (1, 2, 3, 4), LAWS)
    dead = next(row for row in rows if row["size"] == "depth-3" and row["backend"] == found.LABELS["shared"])
    dead |= {"findings": None, "outcome": "crash", "reason": "signal 11", "rel_error": None}
    said = answer(found.run_of(rows)).text
    assert "Shared expressions end at depth 3 (crashed); all others finish at every size that was examined." in said
    there = "times of written out, the graph by symbol, the graph from the root, "
    assert there in found.page_of(rows)["totals"]
    dead |= {"outcome": "interrupted"}
    assert "All ways finish at every size that was examined." in answer(found.run_of(rows)).text


@pytest.mark.parametrize("seed", range(20))
def test_shares_add_up_to_a_whole(seed: int) -> None:
    draw = random.Random(seed)
    parts = [draw.random() ** draw.choice([1, 4, 16]) for _ in range(draw.randrange(1, 6))]
    shares = [part / math.fsum(parts) for part in parts]
    told = swell_details.percents(shares)
    assert sum(0 if one.startswith("less") else int(one.split()[0]) for one in told) == 100
    for one, share in zip(told, shares, strict=True):
        assert share < 0.01 if one == "less than 1 %" else abs(int(one.split()[0]) - 100 * share) < 1


def test_the_quoted_counts_are_told_only_where_the_run_is_near_them() -> None:
    def text(points: float, corners: tuple[float, float]) -> str:
        rows = []
        for problem, loss, both in (("xor", 1e3, points), ("xor-corners", *corners)):
            finding = found.finding("tree", {"batch": 4}, {"tree": both, "dag": 50, "cse": 40, "tape": 30})
            finding["loss"]["tree"] = loss
            rows.append(found.row("tree", finding, problem=problem, size="tiny"))
        return kinds.sections("swell", cases.read(rows)).tables[-1].text

    near = text(1e5, (433, 433 + 41_531))
    assert "fewer operations at the corners" in near
    assert "The often quoted 423 operations that become 40 999 are near those at the corners." in near
    assert "often quoted" not in text(1e5, (433, 60_000))
    assert "fewer operations" not in text(1e4, (433, 433 + 41_531))


def test_a_run_with_reverse_mode_alone_says_what_is_missing() -> None:
    rows = [row for row in found.growing("deep-mlp", "depth", (1, 2, 3), LAWS) if row["backend"] == "reverse"]
    said = answer(found.run_of(rows)).text
    assert "No symbolic gradient could be held against a certified one." in said
    assert "The answer of this run" in render(found.run_of(rows))


def test_the_terminal_shows_how_operations_grow() -> None:
    listing = kinds.sections("swell", cases.read(ROWS)).tables[0]
    assert listing.anchor == "growth"
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in listing.table.rows}
    assert rows["written out"][:3] == ["300", "656 100", f"{chr(215)} 3.0 per unit"]
    assert rows["on the reverse tape"][2:4] == ["depth to the 1.0", "1.0 to 1.0"]
