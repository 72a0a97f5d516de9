"""The drawn graph: every equation and every edge is there once, with the numbers of the trace, and nothing overlaps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawings import SMALL, TIMES, assert_tidy, drawn, edges, traced

import difflab as dl
from difflab import nn
from difflab.walk.drawing import boxes, steps
from difflab.walk.drawing.coordinates import place
from difflab.walk.drawing.graph import shortly_named
from difflab.walk.drawing.layers import MOST, Group, layered
from difflab.walk.drawing.lettering import told
from difflab.walk.rows import Row, brief

# ---------------------------------------------------------------------------- the graph and its numbers


def test_baydin_has_the_numbers_of_the_lecture_on_its_edges() -> None:
    found = edges(drawn("baydin").graph)
    ln, sine, cosine = np.log(2.0), np.sin(5.0), np.cos(5.0)
    assert found == {
        "v1": [("x1", 2.0, 0.5)],
        "v2": [("x1", 2.0, 5.0), ("x2", 5.0, 2.0)],
        "v4": [("v1", ln, 1.0), ("v2", 10.0, 1.0)],
        "v3": [("x2", 5.0, -cosine)],
        "v5": [("v4", ln + 10, 1.0), ("v3", sine, -1.0)],
        "y": [("v5", ln + 10 - sine, 1.0)],
    }


def test_network_of_two_weights_sends_back_what_the_lecture_says() -> None:
    found = edges(drawn("scalar-net").graph)
    assert found["v4"] == [("v3", 30.0, 8.0), ("y", 22.0, -8.0)], "dL/dyhat"
    assert found["v3"] == [("w2", 2.0, 120.0), ("v2", 15.0, 16.0)], "dL/dw2 and dL/dg"
    assert found["v2"] == [("v1", 15.0, 16.0)], "dL/df"
    assert found["v1"][0] == ("w1", 3.0, 80.0)
    assert found["f"] == [("v6", 32.0, 1.0)]


def test_sum_and_product_and_the_neuron_in_gates() -> None:
    found = edges(drawn("add-mul").graph)
    assert [back for _, _, back in found["v1"] + found["v2"]] == [-4.0, -4.0, -4.0, 3.0]
    neuron = drawn("sigmoid-neuron").graph
    signs = [boxes.symbol(neuron, equation) for equation in neuron.tape.equations]
    assert signs == [TIMES, TIMES, "+", "+", f"{TIMES} \N{MINUS SIGN}1", "exp", "+ 1", "1 / ·"]
    forward = [round(value, 2) for name in ("v5", "v6", "v7", "v8") for _, value, _ in edges(neuron)[name]]
    assert forward == [1.0, -1.0, 0.37, 1.37]
    back = [round(slope, 2) for name in ("v8", "v7", "v6", "v5") for _, _, slope in edges(neuron)[name]]
    assert back == [-0.53, -0.53, -0.2, 0.2]


@pytest.mark.parametrize("name", SMALL)
def test_every_operand_is_an_edge_and_numbers_are_those_of_the_columns(name: str) -> None:
    trace = traced(name)
    found = trace.draw().graph
    static = found.static
    expected = [
        (number, position, operand)
        for position, equation in enumerate(trace.tape.equations)
        for operand, number in enumerate(equation.inputs)
        if number not in static
    ]
    assert [use[:3] for use in found.uses[:-1]] == expected
    assert found.uses[-1][:2] == (trace.tape.outputs[0], len(trace.tape))
    columns = trace.columns().splitlines()
    for line, number in zip(columns[1:], found.rows, strict=False):
        name_there, row = line.split()[0], found.rows[number]
        assert name_there == trace.tape.names.get(number, row.name)
        assert _tells(line, row)
    assert len(found.rows) == columns.index("") - 1
    for number, row in found.rows.items():
        assert row.name == found.names[number]
        assert np.array_equal(row.primal, found.values[number], equal_nan=True)
        shares = [use.contribution for use in found.readers[number] if use.contribution is not None]
        if row.adjoint is None:
            assert shares == []
        else:
            total = sum(shares, np.zeros_like(row.primal))
            assert np.allclose(total, row.adjoint, rtol=1e-12, atol=1e-15)
            assert len(shares) != 1 or np.array_equal(shares[0], row.adjoint)


def _tells(line: str, row: Row) -> bool:
    """Whether the line of a table has the numbers and the gate of a row."""
    line = re.sub(r"params\['(\w+)'\]", r"\1", line)
    return brief(row.primal) in line and brief(row.adjoint) in line and line.endswith(row.gate)


def test_gates_are_named_by_what_they_do() -> None:
    page = drawn("baydin").html
    for role in ("add distributes", "multiply swaps", "copy adds (2 uses)", "scales by cos(x2)", "scales by 1/x1"):
        assert f">{role}</text>" in page
    assert ">max routes to v1</text>" in drawn("scalar-net").html
    cnn = drawn("digits-cnn").html
    assert all(role in cnn for role in ("matmul swaps,", "relu routes:", "max routes to the", "reshape moves back"))


def test_value_through_a_gate_that_stops_has_a_gradient_of_zero() -> None:
    found = edges(dl.trace(lambda x: nn.stop_gradient(np.square(x)) * x, 3.0).draw().graph)
    assert found["v1"] == [("x", 3.0, 0.0)]
    assert found["v2"] == [("v1", 9.0, None)]
    assert found["v3"] == [("v2", 9.0, None), ("x", 3.0, 9.0)]


def test_names_lose_their_container_where_that_is_unique() -> None:
    loss = lambda p, q, a: p["a"] * p["b"] * q["c"][0] * q["c"][1] * a  # noqa: E731  one line
    tape = dl.trace(loss, {"a": 1.0, "b": 2.0}, {"c": [1.0, 2.0]}, 3.0).tape
    assert sorted(shortly_named(tape).names.values()) == ["a", "b", "p['a']", "q['c'][0]", "q['c'][1]"]


# ---------------------------------------------------------------------------- folding


def _leaves(group: Group) -> Iterator[int]:
    for child in group.children:
        if isinstance(child, Group):
            yield from _leaves(child)
        else:
            yield child


@pytest.mark.parametrize("name", SMALL)
def test_groups_hold_every_equation_once(name: str) -> None:
    tape = traced(name).tape
    whole = layered(tape)
    assert list(_leaves(whole)) == list(range(len(tape)))
    for group in whole.groups():
        assert list(_leaves(group)) == list(range(group.start, group.stop))
        assert 1 <= len(group.children) <= MOST
    assert len({(one.start, one.stop) for one in whole.groups()}) == len(whole.groups()), "no group is all of another"


def test_network_is_grouped_by_layer() -> None:
    found = drawn("digits-cnn", "small")
    network, dense, entropy = found.scene.inner().values()
    titles = [one.group.title for one in (network, dense, entropy)]
    assert titles == ["layer k1, b1", "layer w, b", "softmax_cross_entropy"]
    assert [one.group.title for one in network.inner().values()] == ["conv2d"]
    assert [one.group.title for one in entropy.inner().values()] == ["logsumexp", "mean"]
    assert found.unfolded == ()
    names = found.graph.names
    assert {names[number] for number in network.given} == {"k1", "b1"}, "parameters stand in their layer, data do not"
    assert [item.key for item in found.scene.items if item.key.startswith("s")] == ["s4", "s5"]
    box = "\n".join(line.text for line in dense.box.lines)
    assert f"w = 64{TIMES}10" in box
    assert f"dy/dw = 64{TIMES}10" in box
    assert "dy/db = 10 elements" in box


def test_layers_of_plain_arguments_end_where_targets_come_in() -> None:
    def loss(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, y: Any) -> Any:
        out = np.tanh(x @ w1 + b1) @ w2 + b2
        return np.sum((out - y) ** 2) / 5 + np.log(2.0)

    shapes = [(3, 4), (4,), (4, 2), (2,), (5, 3), (5, 2)]
    found = layered(dl.trace(loss, *[np.ones(shape) for shape in shapes]).tape)
    titles = [child.title for child in found.children if isinstance(child, Group)]
    assert titles == ["layer x, w1, b1", "layer w2, b2", "loss against y"]


def test_short_tape_is_not_cut_and_a_long_one_is_cut_into_parts() -> None:
    assert [group.title for group in layered(traced("norm-squared").tape).groups()] == ["the whole function"]

    def long(x: Any) -> Any:
        for _ in range(700):
            x = np.sin(x) + x
        return x

    found = dl.trace(long, 0.5).draw()
    assert all(len(one.group.children) <= MOST for one in found.scene.scenes())
    assert sorted(found.scene.order()) == list(range(1400))
    assert (found.unfolded, found.down) == ((), True)
    assert_tidy(place(found.scene, (), down=True))


# ---------------------------------------------------------------------------- what is said


def test_steps_are_told_in_numbers() -> None:
    found = drawn("baydin")
    order = found.scene.order()
    assert [found.graph.names[found.graph.tape.equations[at].output] for at in order] == ["v1", "v2", "v3", "v4", "v5"]
    turns = {position: turn for turn, position in enumerate([*order, len(order)])}
    assert [steps.forward(found.graph, at) for at in order[:3]] == [
        "v1 = log(x1) = log(2) = 0.69315",
        "v2 = x1 * x2 = 2 * 5 = 10",
        "v3 = sin(x2) = sin(5) = -0.95892",
    ]
    assert [steps.backward(found.graph, at, turns) for at in reversed(order)] == [
        "subtract distributes, with -1 to the second: dy/dv4 += 1 * 1 = 1; dy/dv3 += 1 * (-1) = -1",
        "add distributes: dy/dv1 += 1 * 1 = 1; dy/dv2 += 1 * 1 = 1",
        "scales by cos(x2): dy/dx2 += (-1) * 0.28366 = -0.28366",
        "multiply swaps: dy/dx1 += 1 * 5 = 5; dy/dx2 += 1 * 2 = 2; "
        "the copy of x2 adds: dy/dx2 = (-0.28366) + 2 = 1.7163",
        "scales by 1/x1: dy/dx1 += 1 * 0.5 = 0.5; the copy of x1 adds: dy/dx1 = 5 + 0.5 = 5.5",
    ]
    assert steps.begin(found.graph) == "Given: x1 = 2; x2 = 5."
    assert steps.turn(found.graph) == "The result is y = v5 = 11.652. The way back begins with dy/dv5 = 1."


def test_folded_layer_tells_its_result_and_the_gradients_by_its_parameters() -> None:
    found = drawn("digits-cnn", "small")
    first, dense, entropy = found.scene.inner().values()
    turns = {position: turn for turn, position in enumerate([*found.scene.order(), len(found.graph.tape)])}
    assert steps.forward_of_group(found.graph, dense).startswith(f"layer w, b: v13 = 16{TIMES}10, ")
    said = steps.backward_of_group(found.graph, first, turns)
    said = said.replace(TIMES, "x")
    assert re.match(r"layer k1, b1: dy/dx = 16x8x8x1, .*; dy/db1 = \[.*\]; dy/dk1 = 3x3x1x4, ", said)
    assert "+=" not in steps.backward_of_group(found.graph, entropy, turns), "all that reads v13 is in it"


def test_arrays_are_told_briefly() -> None:
    assert told(np.array(-0.0)) == ["0"]
    assert told(np.arange(6)) == ["[0 1 2 3 4 5]"]
    assert told(np.array([1.0, np.nan] * 4)) == ["8 elements", "1 … 1", "4 not finite"]
    assert told(np.full((3, 3), np.inf)) == [f"3{TIMES}3", "9 not finite"]
    assert told(np.arange(8) > 2) == ["8 elements", "5 true"]
    assert told(np.full(8, 3 + 4j)) == ["8 elements", "norm 14.14"]
    assert told(np.zeros((0, 4))) == ["[]"]
    assert told(np.array(1 + 2j)) == ["1+2j"]
