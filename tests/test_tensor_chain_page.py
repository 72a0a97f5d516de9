"""The page of a study of chains: its sentences, pictures and tables, from whatever a run holds."""

from __future__ import annotations

from typing import Any

import made_up_runs as made
from claims.tensor_chain import AGREES, CHAIN, OPPOSES, findings, row, run

from difflab.report import answer, cases, kinds, render
from difflab.report.claims.chain_charts import Pair


def made_of(**changed: Any) -> dict[str, Any]:
    return findings(("identity", "full"), 0.5, 1e-15, 10.0) | changed


def text_of(*rows: dict[str, Any]) -> str:
    return answer(run(list(rows))).text


def test_formulas_name_inputs_and_weights() -> None:
    (case,) = cases.read([row("reverse", "dense-relu", made_of())])
    assert Pair(case, case.findings).formula == "y1 = x W1, y2 = max(0, y1)"


def test_a_pair_met_by_two_backends_counts_once() -> None:
    told = text_of(row("reverse", "dense-bias", made_of()), row("forward", "dense-bias", made_of()))
    assert told.startswith("Of 2 factors of 1 pair of layers, 1 is an identity and 1 is full; 50 % of")
    assert "all 4 chains give the gradient" in told


def test_the_worst_chain_is_named() -> None:
    good, bad = made_of(), findings(("identity", "full"), 0.5, 1e-3, 10.0)
    told = text_of(row("reverse", "dense-bias", good), row("forward", "dense-relu", bad))
    assert "2 of 4 chains do not give the gradient of reverse mode: dL/dW1 of dense-relu by forward mode is off" in told


def test_a_dtype_has_its_own_precision() -> None:
    rough = findings(("identity", "full"), 0.5, 1e-6, 10.0)
    assert "do not give" in text_of(row("reverse", "dense-bias", rough))
    assert "all 2 chains give" in text_of(row("reverse", "dense-bias", rough, dtype="float32"))


def test_factors_that_were_not_formed_have_no_cost() -> None:
    scales = [{key: value for key, value in one.items() if not key.startswith("factor_p")} | {"formed": False}
              for one in made_of()["scales"]]  # fmt: skip
    for one in scales:
        del one["factor_seconds"]
    found = row("reverse", "dense-bias", made_of(scales=scales))
    assert "At no size were the factors formed" in text_of(found)
    assert "not formed" in render(run([found]))


def test_one_size_has_no_chart_of_cost() -> None:
    found = row("reverse", "dense-bias", made_of(scales=made_of()["scales"][:1]))
    factors, costs = kinds.sections("chain", cases.read([found])).charts
    assert costs.missing.startswith("Nothing to show")
    assert len(factors.panels) == 1


def test_factors_without_pictures() -> None:
    found = made_of()
    bare = [{key: value for key, value in one.items() if key != "matrix"} for one in found["factors"]]
    factors, _ = kinds.sections("chain", cases.read([row("reverse", "dense-bias", found | {"factors": bare})])).charts
    assert factors.missing.startswith("Nothing to show")


def test_tables_have_both_layouts_and_the_steps() -> None:
    factors, steps, agreement, costs = kinds.sections("chain", cases.read(AGREES.rows)).tables
    assert [cell.text for cell in factors.table.rows[2][:3]] == ["dy1/dW1", "(3, 4, 6, 4)", "(6, 4, 3, 4)"]
    assert [cell.text for cell in steps.table.rows[1]] == [
        "dL/dW1", "2", "product", "dL/dy1", "(12, 12) times (12, 1)", "(12, 1)",
    ]  # fmt: skip
    assert len(agreement.table.rows) == 8
    assert len(costs.table.rows) == 8


def test_memory_without_factors_is_drawn_once() -> None:
    _, costs = kinds.sections("chain", cases.read(AGREES.rows)).charts
    assert len(costs.panels) == 2
    assert costs.panels[0].svg.count(", without, ") == 2  # a mark for each scale


def test_odd_runs() -> None:
    assert text_of() == "This run holds no case, so there is no answer."
    failed = made.failed("reverse", "unsupported", problem=CHAIN, size="conv-dense")
    assert text_of(failed) == "No pair of layers was examined: of 1 case, 1 not supported."
    mixed = [row("reverse", "dense-bias", made_of()), failed]
    assert answer(run(mixed)).caveats == ("reverse on conv-dense: not supported, made-up reason of unsupported.",)
    for one in (run([]), run([failed]), run(mixed), OPPOSES):
        assert "answer-h" in render(one)
