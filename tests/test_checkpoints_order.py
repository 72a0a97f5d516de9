"""The plan chooses the order in which equations run: tangents next to their values, so that forward mode forgets."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.execution import plan as plans
from difflab.execution.plan import make_plan
from difflab.execution.program import Program
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, jvp, simplify
from difflab.transforms.checkpoints import recompute

VALUE = 20_000
X = np.linspace(0.1, 1.0, VALUE)


def layers(count: int) -> Any:
    def loss(leaves: list[Any]) -> list[Any]:
        x = leaves[0]
        for _ in range(count):
            x = np.sin(x) * np.exp(-x)
        return [np.sum(x)]

    return loss


def tangents(count: int) -> Tape:
    return simplify(jvp(trace_leaves(layers(count), [X]), (0,)))


def reversed_tape(count: int) -> Tape:
    return simplify(gradient(trace_leaves(layers(count), [X]), (0,)))


def test_forward_mode_needs_the_same_memory_at_any_depth() -> None:
    sizes = [make_plan(tangents(count)).nbytes for count in (20, 40, 80)]
    assert sizes[0] == sizes[1] == sizes[2] <= 8 * X.nbytes


def test_reverse_mode_keeps_the_order_of_its_tape() -> None:
    tape = reversed_tape(40)
    plan = make_plan(tape)
    assert plan.nbytes >= 40 * X.nbytes
    assert plan.tape is tape


@pytest.mark.parametrize("make", [tangents, reversed_tape])
def test_another_order_has_the_same_equations_and_bits(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = make(30)
    arguments = [X, np.ones_like(X)][: len(tape.inputs)]
    plan = make_plan(tape)
    assert sorted(plan.tape.equations, key=lambda e: e.output) == sorted(tape.equations, key=lambda e: e.output)
    plan.tape.check()
    found = Program(tape).run(arguments)
    monkeypatch.setattr(plans, "WORTH", 1 << 60)
    assert make_plan(tape).tape is tape
    expected = Program(tape).run(arguments)
    assert [np.asarray(one).tobytes() for one in found] == [np.asarray(one).tobytes() for one in expected]


def test_small_tapes_keep_their_order() -> None:
    small = trace_leaves(layers(20), [X[:100]])
    tape = simplify(jvp(small, (0,)))
    assert make_plan(tape).tape is tape


def test_derivatives_among_the_values_stay_quiet_and_values_warn_once() -> None:
    def function(leaves: list[Any]) -> list[Any]:
        x = leaves[0]
        for _ in range(20):
            x = np.sqrt(np.sin(x) * 0.9)
        return [np.log(x)]

    tape = simplify(jvp(trace_leaves(function, [X]), (0,)))
    assert make_plan(tape).tape is not tape
    program = Program(tape)
    assert program.text.count("errstate") > 10
    zeros = np.zeros_like(X)  # the slope of sqrt is infinite there, and log of 0 warns in the plain function
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program.run([zeros, np.ones_like(X)])
    assert [str(one.message) for one in caught] == ["divide by zero encountered in log"]


def test_guards_hold_in_another_order() -> None:
    def loss(x: Any) -> Any:
        for _ in range(20):
            x = np.sin(x) * np.exp(-x * x)
        return np.sum(x) if x[0] < 0.5 else np.sum(x * x)

    prepared = dl.prepare(loss, X, backend="forward", operator="jvp")
    for sign in (1.0, -1.0):
        value, slope = prepared.jvp((sign * X,), (np.ones_like(X),))
        expected, other = dl.jvp(loss, (sign * X,), (np.ones_like(X),), backend="reverse")
        np.testing.assert_allclose([value, slope], [expected, other], rtol=1e-12)


def test_a_rule_of_the_users_own_waits_for_the_guards() -> None:
    """A guard may turn away the very arguments at which the rule raises."""
    own = dl.primitive(lambda x: x * x, name="m:squared", opaque=True)

    def rule(tangents: Any, _out: Any, x: Any) -> Any:
        if np.any(x < 0):
            raise ValueError("the guard forbids this")
        return 2 * x * tangents[0]

    own.jvp(rule)

    def loss(x: Any) -> Any:
        for _ in range(20):
            x = np.sin(x) * np.exp(-x * x)
        y = own(x)
        return np.sum(x) if np.sum(x * y) < 0 else np.sum(np.sin(y))

    prepared = dl.prepare(loss, X, backend="forward", operator="jvp")
    value, slope = prepared.jvp((-X,), (np.ones_like(X),))
    expected, other = dl.jvp(loss, (-X,), (np.ones_like(X),), backend="reverse")
    np.testing.assert_allclose([value, slope], [expected, other], rtol=1e-12)


def test_long_programs_in_another_order_run_in_parts() -> None:
    tape = tangents(400)
    assert len(tape) > 1000
    program = Program(tape)
    assert program.plan.tape is not tape
    value, slope = program.run([X, np.ones_like(X)])
    gradient_of = Program(reversed_tape(400)).run([X])
    np.testing.assert_allclose([value, slope], [gradient_of[0], np.sum(gradient_of[1])], rtol=1e-10)


def test_copies_of_checkpoints_are_not_drawn_forward() -> None:
    tape = reversed_tape(40)
    less = recompute(tape, 5).tape
    assert make_plan(less).nbytes < 0.5 * make_plan(tape).nbytes
    assert make_plan(replace(less, quiet_from=0)).nbytes <= make_plan(less).nbytes
