"""The second graph: prefix, appended equations, derivatives of derivatives, and what the page says of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import second_graph_findings as found

from difflab import transforms
from difflab.harness import accuracy, catalogue, study_file
from difflab.harness.examinations import graphs as examine_graphs
from difflab.harness.examinations import nested_tapes
from difflab.harness.finite_loss import LossError
from difflab.harness.session import Session
from difflab.harness.study import shipped
from difflab.harness.study_kinds import Graphs
from difflab.report import answer, cases, render
from difflab.report.claims import graphs
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms.simplify import simplify

COMMAND = {"settings": {"order": 4}, "quick": False}


def session(problem: str = "baydin", size: str = "tiny", dtype: str = "float64") -> Session:
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    opened = Session(channel)
    spec = {"problem": problem, "size": size, "dtype": dtype, "operator": "gradient", "seed": 0}
    opened.open({"spec": {**spec, "backend": "reverse", "options": {}}})
    return opened


def quartic() -> Tape:
    return trace_leaves(lambda leaves: [np.sum(leaves[0] ** 4) + leaves[1] ** 3], [np.ones(2), 1.0])


# ------------------------------------------------------------------------------------------------ the prefix


def test_a_gradient_begins_with_its_loss() -> None:
    tape = quartic()
    whole = transforms.gradient(tape, (0, 1))
    assert examine_graphs.leading(tape, whole) == len(tape)
    assert len(whole) > len(tape)
    assert examine_graphs.leading(tape, tape) == len(tape)


def test_another_primitive_parameter_or_operand_is_no_prefix() -> None:
    tape = quartic()
    whole = transforms.gradient(tape, (0, 1))
    powers = [place for place, one in enumerate(whole.equations) if one.primitive.name == "integer_power"]
    assert len(powers) >= 2
    first = powers[0]

    def changed(place: int, **how: Any) -> Tape:
        equations = list(whole.equations)
        equations[place] = equations[place]._replace(**how)
        return replace(whole, equations=tuple(equations))

    other = whole.equations[-1].primitive
    assert other is not whole.equations[first].primitive
    assert examine_graphs.leading(tape, changed(first, primitive=other)) == first
    assert examine_graphs.leading(tape, changed(first, params={"n": 5})) == first
    assert examine_graphs.leading(tape, changed(first, inputs=(tape.inputs[1],))) == first
    moved = list(whole.equations)
    moved[0], moved[1] = moved[1], moved[0]
    assert examine_graphs.leading(tape, replace(whole, equations=tuple(moved))) == 0


def test_numbers_of_python_that_stand_twice_are_told_apart_by_their_place() -> None:
    def loss(leaves: Any) -> Any:
        return [1.0 / (1.0 + np.exp(-leaves[0]))]

    tape = trace_leaves(loss, [0.5])
    assert examine_graphs.leading(tape, transforms.gradient(tape, (0,))) == len(tape)
    turned = trace_leaves(lambda leaves: [2.0 / (1.0 + np.exp(-leaves[0]))], [0.5])
    assert examine_graphs.leading(tape, turned) < len(tape)


def test_the_second_graph_of_baydin_is_that_of_the_lecture() -> None:
    one = examine_graphs.second_graph(session().source.tape, (0,))
    assert one["primitives"] == {"add": 1, "log": 1, "multiply": 1, "sin": 1, "subtract": 1}
    whole = examine_graphs.second_graph(session().source.tape, (0, 1))
    assert (whole["recorded"]["loss"], whole["recorded"]["same"]) == (5, 5)
    assert (whole["simplified"]["loss"], whole["simplified"]["kept"], whole["simplified"]["whole"]) == (5, 5, 10)
    assert whole["appended"] == {"add": 2, "cos": 1, "divide": 1, "multiply": 1}
    assert whole["read"] == 0  # only inputs: 1/x1, x2, x1, cos x2
    assert [name for name, _ in whole["drawn"]][:5] == ["log", "multiply", "add", "sin", "subtract"]
    assert [reads for _, reads in whole["drawn"]][:5] == [[], [], [0, 1], [], [2, 3]]


def test_what_is_read_again_must_be_kept() -> None:
    tape = trace_leaves(lambda leaves: [np.exp(np.sin(leaves[0]))], [0.5])
    one = examine_graphs.second_graph(tape, (0,))
    assert one["read"] == 1  # the exponential is its own derivative; cos needs the input alone
    assert one["drawn"][2:] == [["cos", []], ["multiply", [1, 2]]]


def test_a_long_tape_is_not_drawn() -> None:
    def long(leaves: Any) -> Any:
        x = leaves[0]
        for _ in range(examine_graphs.DRAWN):
            x = np.sin(x)
        return [x]

    assert examine_graphs.second_graph(trace_leaves(long, [0.5]), (0,))["drawn"] is None


# ------------------------------------------------------------------------------------------------ again


@pytest.mark.parametrize("again", [nested_tapes.reverse_again, nested_tapes.forward_again])
def test_higher_orders_are_those_of_the_polynomial(again: Any) -> None:
    tape = nested_tapes.gradient(quartic(), (0, 1))
    x, y = np.array([1.0, 2.0]), np.array(3.0)
    v, w = np.array([1.0, -0.5]), np.array(2.0)
    expected = [
        (4 * x**3, 3 * y**2), (12 * x**2 * v, 6 * y * w), (24 * x * v**2, 6 * w**2), (24 * v**3, 0 * w),
    ]  # fmt: skip
    for order, parts in enumerate(expected):
        if order:
            tape = again(tape, (0, 1))
        found_parts = tape.evaluate([x, y, v, w])
        assert len(found_parts) == 2
        for one, other in zip(found_parts, parts, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)
    assert len(tape.inputs) == 4
    assert len(simplify(tape)) == len(tape)


def test_an_input_that_is_not_differentiated_stays() -> None:
    tape = trace_leaves(lambda leaves: [np.sum(leaves[0] * leaves[1] ** 3)], [np.ones(2), np.ones(2)])
    twice = nested_tapes.reverse_again(nested_tapes.gradient(tape, (1,)), (1,))
    a, x, v = np.array([2.0, 3.0]), np.array([1.0, 2.0]), np.array([1.0, 10.0])
    np.testing.assert_allclose(twice.evaluate([a, x, v])[0], 6 * a * x * v)


# ------------------------------------------------------------------------------------------------ one case


@pytest.fixture(scope="module")
def xor(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = str(tmp_path_factory.mktemp("truth") / "r.npz")
    spec = {"problem": "xor", "size": "tiny", "seed": 0, "operator": "gradient"}
    assert "why" not in accuracy.make_reference(spec, path, 60)
    return examine_graphs.examine(session("xor"), {**COMMAND, "reference": path, "why": None})


def test_a_case_finds_lengths_and_right_derivatives(xor: dict[str, Any]) -> None:
    one = xor["findings"]
    assert (xor["outcome"], xor["certified"]) == ("ok", "yes")
    assert xor["rel_error"] < 1e-15
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    assert one["recorded"]["same"] == one["recorded"]["loss"] == 12
    assert one["simplified"]["kept"] == 12
    assert sum(one["appended"].values()) == one["simplified"]["whole"] - 12
    assert [order["order"] for order in one["orders"]] == [1, 2, 3, 4]
    for order in one["orders"]:
        for mode in ("reverse", "forward"):
            assert order[mode]["right"] is True
            assert order[mode]["series_error"] < 1e-14
            assert (order[mode]["vector_error"] is None) == (order["order"] != 2)
    lengths = [[order[mode]["equations"] for order in one["orders"]] for mode in ("reverse", "forward")]
    assert lengths[0][0] == lengths[1][0] == 36
    assert all(a < b for row in lengths for a, b in itertools.pairwise(row))
    assert lengths[0][3] > lengths[1][3]


def test_a_quick_run_leaves_the_highest_order_out() -> None:
    one = examine_graphs.examine(session(), {**COMMAND, "quick": True, "reference": None, "why": "nobody asked"})
    assert [order["order"] for order in one["findings"]["orders"]] == [1, 2, 3]
    assert one["certified"] == "no: nobody asked"


@pytest.mark.parametrize(("name", "mode"), [("reverse_again", "reverse"), ("forward_again", "forward")])
def test_a_wrong_further_derivative_is_told(monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    right = getattr(nested_tapes, name)

    def wrong(tape: Tape, wrt: Any) -> Tape:
        made = right(tape, wrt)
        return replace(made, outputs=made.outputs[::-1])

    monkeypatch.setattr(nested_tapes, name, wrong)
    told = examine_graphs.examine(session(), {**COMMAND, "reference": None, "why": "nobody asked"})
    assert told["outcome"] == "invalid"
    assert told["reason"].startswith(f"wrong: order 2 by {mode} mode")
    verdicts = {other: [one[other]["right"] for one in told["findings"]["orders"]] for other in ("reverse", "forward")}
    assert verdicts[mode][:2] == [True, False]
    assert all(verdicts["forward" if mode == "reverse" else "reverse"])


def test_a_loss_without_series_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from difflab.errors import UndecidedError
    from difflab.execution import series

    def undecided(*given: Any, **more: Any) -> Any:
        raise UndecidedError("a kink that no precision decides")

    monkeypatch.setattr(series, "along", undecided)
    monkeypatch.setattr(accuracy, "truth_of", lambda *given: (None, "no time"))
    orders = examine_graphs.examine(session(), {**COMMAND, "reference": None, "why": ""})["findings"]["orders"]
    assert {one["reverse"]["right"] for one in orders} == {None}
    assert orders[1]["forward"]["why"] == "power series did not check it: a kink that no precision decides"


def test_a_loss_that_is_no_number_has_no_second_graph() -> None:
    opened = session()
    opened.instance.args[0]["x1"][...] = -1.0
    with pytest.raises(LossError), np.errstate(invalid="ignore"):
        examine_graphs.examine(opened, {**COMMAND, "reference": None, "why": ""})


def test_the_shipped_study_reads_many_losses() -> None:
    path = shipped()["second-graph"]
    study = study_file.parse(path.read_text(), path.name, catalogue.collect)
    assert (study.answer, study.settings) == ("graphs", Graphs(4))
    assert {"xor", "digits-mlp", "two-layer", "least-squares", "baydin"} < {one.name for one in study.problems}
    assert [one.name for one in study.backends] == ["reverse"]


# ------------------------------------------------------------------------------------------------ the page


ROWS = [
    found.row("baydin", found.finding(appended=5)),
    found.row("xor", found.finding(loss=10, appended=30)),
    found.row("least-squares", found.finding(loss=4, appended=6)),
]


def test_the_answer_is_computed_from_the_tapes() -> None:
    said = answer(found.run_of(ROWS))
    assert said.caveats == ()
    assert said.sentences == (
        "In all 3 losses the 19 recorded equations are a prefix of the tape with the gradient: reverse mode only "
        "appends; of the 19 that are left of them once simplified, none is moved or dropped.",
        "The second graph has 1.00 to 3.0 times the equations of the first, 1.5 in the middle; both together take 2.0 "
        "to 7.0 times the operations of the loss.",
        "It reads 6 of the 19 values of the first, and is made of 2 primitives, multiply (38 times) and broadcast_to "
        "(3 times) most often; broadcast_to only occurs there.",
        "The derivative can be taken again in all 3 losses, up to order 4 and in both ways; the 18 further derivatives "
        "that were checked are within 10⁻¹⁶ of the truth, relative to its length.",
        "Each further order multiplies the number of equations, in the middle of the losses, by 3.0 (reverse over "
        "reverse) and by 2.0 (forward over reverse): the shorter way to go on is forward over reverse.",
    )


def test_a_graph_that_is_changed_is_named() -> None:
    rows = [*ROWS[:2], found.row("least-squares", found.finding(same=3), outcome="ok")]
    first = answer(found.run_of(rows)).sentences[0]
    assert first.startswith("Reverse mode does not only append: in 2 of 3 losses the equations")
    assert "not so on least-squares tiny, where least-squares tiny departs at equation 4" in first
    assert first.endswith("simplification keeps that in 2 of 3 losses and not on least-squares tiny.")


def test_a_wrong_derivative_is_named_and_unchecked_ones_are_counted() -> None:
    wrong = found.finding(error=1e-3)
    said = answer(found.run_of([ROWS[0], found.row("xor", wrong, outcome="invalid", reason="wrong: order 2")]))
    assert "cannot be trusted when it is taken again: 6 of 12 derivatives are wrong, the first of order 2" in said.text
    assert "by reverse over reverse on xor tiny" in said.text
    assert said.caveats == ("reverse on xor tiny: wrong gradient, wrong: order 2.",)
    unknown = found.finding()
    for one in unknown["orders"]:
        for mode in ("reverse", "forward"):
            one[mode] |= {"vector_error": None, "series_error": None, "right": None, "why": "a kink"}
    text = answer(found.run_of([ROWS[0], found.row("xor", unknown)])).text
    assert (
        "the 6 further derivatives that were checked are within 10⁻¹⁶ of the truth, relative to its length, and 6 "
        "could not be checked" in text
    )
    assert "a kink" in render(found.run_of([found.row("xor", unknown)]))


@pytest.mark.parametrize(("reverse", "forward", "verdict"), [
    (2.0, 3.0, "the shorter way to go on is reverse over reverse."), (2.0, 2.0, "the two ways hardly differ."),
])  # fmt: skip
def test_the_shorter_way_is_that_of_the_data(reverse: float, forward: float, verdict: str) -> None:
    rows = [found.row("xor", found.finding(reverse=reverse, forward=forward))]
    assert answer(found.run_of(rows)).sentences[-1].endswith(verdict)


def test_nothing_appended_and_nothing_taken_again_are_told() -> None:
    still = found.finding(orders=1) | {"appended": {}}
    still["simplified"]["whole"] = still["simplified"]["loss"]
    said = answer(found.run_of([found.row("xor", still)])).sentences
    assert said[0].startswith("In the one loss the 5 recorded equations")
    assert said[1].startswith("The second graph has 0 times the equations of the first")
    assert said[2:] == ("No equation is appended.", "No derivative was taken again.")


def test_the_charts_show_every_length_and_short_tapes() -> None:
    text = render(found.run_of(ROWS))
    charts = text.split('<section id="lengths"')[1].split('<section id="tapes"')[0]
    for tip in (
        "baydin tiny, the loss: 5 equations", "xor tiny, order 4, reverse over reverse: 810 equations",
        "xor tiny, order 4, forward over reverse: 240 equations", "equation 6, broadcast_to: reads 5 of the loss",
        "equation 7, multiply<",
    ):  # fmt: skip
        assert f"<title>{tip}" in charts, tip
    for key in ("gradient", "order 4", "filled, upper line: reverse over reverse", "reads a value of the loss"):
        assert f"<span>{key}</span>" in charts
    for anchor in ("strips", "orders", "primitives"):
        assert f'id="{anchor}"' in text
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert " style=" not in text
    assert text == render(found.run_of(ROWS))


def test_many_losses_stand_in_two_panels_of_one_axis() -> None:
    rows = [found.row(f"p{k}", found.finding(loss=3 + k)) for k in range(9)]
    charts = render(found.run_of(rows)).split('<section id="lengths"')[1].split("</section>")[0]
    assert charts.count('<figure class="panel">') == 2
    assert "<figcaption>p0 tiny to p4 tiny</figcaption>" in charts
    assert "<figcaption>p5 tiny to p8 tiny</figcaption>" in charts


def test_cases_without_findings_are_told_and_empty_runs_too() -> None:
    lost = found.row("xor", None, outcome="timeout", reason="stopped at 30 s", rel_error=None)
    waiting = found.row("mlp", None, outcome="interrupted", reason="not measured yet", rel_error=None)
    assert answer(found.run_of([])).sentences == ("This run holds no case, so there is no answer.",)
    assert answer(found.run_of([lost])).sentences == ("No tape could be examined: of 1 case, 1 timed out.",)
    assert answer(found.run_of([lost, waiting, ROWS[0]])).caveats == (
        "Unfinished: 2 of 3 cases examined so far.",
        "reverse on xor tiny: timed out, stopped at 30 s.",
    )
    for rows in ([], [lost], [waiting], [lost, waiting, ROWS[0]]):
        assert "The answer of this run" in render(found.run_of(rows))


def test_a_case_that_was_stopped_still_shows_its_tape() -> None:
    stopped = {key: value for key, value in found.finding().items() if key != "orders"}
    row = found.row("xor", stopped, outcome="timeout", reason="stopped in phase again", rel_error=None)
    said = answer(found.run_of([row]))
    assert said.sentences[0].startswith("In the one loss")
    assert said.sentences[-1] == "No derivative was taken again."
    text = render(found.run_of([row]))
    assert 'id="strips"' in text
    assert 'id="lengths"' not in text


def test_the_terminal_shows_the_tapes() -> None:
    listing = graphs.sections(cases.read(ROWS)).tables[0]
    assert listing.anchor == "tapes"
    assert [cell.text for cell in listing.table.rows[1]] == [
        "xor tiny", "10", "all", "10", "all", "30", "3.0", f"7.0 {chr(215)}", "2",
    ]  # fmt: skip
