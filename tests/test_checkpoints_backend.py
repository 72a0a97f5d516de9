"""Reverse mode with checkpoints as a backend: guards, masks, own primitives, notes, forecasts, other operators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import own_gates
import pytest
from test_checkpoints import bits, chain, chain_tape

import difflab as dl
from difflab import operators
from difflab.errors import InputError
from difflab.problems import find
from difflab.testing.backends import check_backend
from difflab.tracing import trace_leaves
from difflab.transforms import simplify, vjp
from difflab.transforms.checkpoints import recompute, recompute_split
from difflab.transforms.schedules import fewest_advances
from difflab.transforms.split import split

NONSENSE = [-1, True, "3", 2.0, "auto"]


# ---------------------------------------------------------------------------- what else there is on tapes


def test_guards_hold_with_checkpoints() -> None:
    def loss(x: Any) -> Any:
        for _ in range(8):
            x = np.sin(x)
        return np.sum(x * 2 if x[0] > 0 else x * 3)

    backend = dl.Reverse(checkpoints=2)
    found = dl.value_and_gradient(loss, backend=backend)
    for sign in (1.0, -1.0):
        x = np.full(5, sign)
        assert bits(found(x)) == bits(dl.value_and_gradient(loss)(x))
    prepared = dl.prepare(loss, np.ones(5), backend=backend)
    for sign in (1.0, -1.0):
        x = np.full(5, sign)
        assert bits(prepared.value_and_gradient(x)) == bits(dl.value_and_gradient(loss)(x))


def test_a_guard_behind_the_result_belongs_to_the_forward_part() -> None:
    def function(x: Any) -> Any:
        for _ in range(6):
            x = np.sin(x)
        if np.sum(np.cos(x)) > 0:  # looked at after the result was there
            return x
        return x * 2

    x = np.ones(4)
    value, pullback = dl.vjp(function, x, backend=dl.Reverse(checkpoints=2))
    expected, pulled = dl.vjp(function, x)
    assert bits([value, pullback(x)]) == bits([expected, pulled(x)])


def test_masks_of_choices_are_recomputed_with_their_values() -> None:
    def loss(x: Any) -> Any:
        for _ in range(9):
            x = np.where(x > 0, np.log(x), x * 0.5) + 0.75  # the slope not taken is infinite at 0
        return np.sum(x)

    x = np.array([0.0, -1.0, 2.0, 0.3])
    with np.errstate(all="ignore"):
        expected = dl.value_and_gradient(loss)(x)
        found = dl.value_and_gradient(loss, backend=dl.Reverse(checkpoints=3))(x)
    assert np.all(np.isfinite(expected[1]))
    assert bits(found) == bits(expected)


@pytest.mark.parametrize("gate", [own_gates.gate, own_gates.both, own_gates.pushed])
def test_own_primitives_are_recomputed(gate: Callable) -> None:
    def loss(x: Any) -> Any:
        for _ in range(10):
            x = gate(x, x + 0.5)
        return np.sum(x)

    prepared = dl.prepare(loss, own_gates.X, backend=dl.Reverse(checkpoints=2))
    assert prepared.stats["recomputed_equations"] > 0
    assert bits(prepared.value_and_gradient(own_gates.X)) == bits(dl.value_and_gradient(loss)(own_gates.X))


def test_what_an_opaque_primitive_gave_is_kept() -> None:
    """Nobody knows what its code costs or does besides, so it runs once."""
    calls = []

    def counted(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return x * 1.5

    own = dl.primitive(counted, name="m:counted", opaque=True)
    own.vjp(lambda cotangent, out, x: (cotangent * 1.5,))

    def loss(x: Any) -> Any:
        for _ in range(8):
            x = np.sin(own(np.sin(x)))
        return np.sum(x)

    prepared = dl.prepare(loss, own_gates.X, backend=dl.Reverse(checkpoints=2))
    assert prepared.stats["recomputed_equations"] > 0
    calls.clear()
    prepared.value_and_gradient(own_gates.X)
    assert len(calls) == 8


def test_warnings_of_the_loss_come_once() -> None:
    def loss(x: Any) -> Any:
        x = np.log(x)
        for _ in range(8):
            x = np.sin(x * 0.5)
        return np.sum(x)

    prepared = dl.prepare(loss, np.ones(3), backend=dl.Reverse(checkpoints=2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepared.value_and_gradient(np.array([1.0, 0.0, 2.0]))
    assert [str(one.message) for one in caught] == [
        "divide by zero encountered in log",
        "invalid value encountered in sin",
    ]


# ---------------------------------------------------------------------------- the backend


def test_long_tapes_run_in_parts() -> None:
    def loss(x: Any) -> Any:
        for _ in range(700):
            x = np.sin(x) * 1.01
        return np.sum(x)

    x = np.linspace(0.1, 1.0, 40)
    prepared = dl.prepare(loss, x, backend=dl.Reverse(checkpoints=20))
    assert prepared.stats["buffer_bytes"] < 0.15 * dl.prepare(loss, x).stats["buffer_bytes"]
    assert bits(prepared.value_and_gradient(x)) == bits(dl.value_and_gradient(loss)(x))


def test_statistics_and_forecast_tell_what_was_done() -> None:
    problem = find("deep-layers").build("depth-16", "float64", 0)
    backends = (dl.Reverse(blocks=1), dl.Reverse(checkpoints=3))
    plain, less = (dl.prepare(problem.loss, *problem.args, backend=backend) for backend in backends)
    assert "checkpoints" not in plain.stats
    value = 1024 * 32 * 8
    assert less.stats["checkpoints"] == 3
    assert less.stats["kept_bytes"] == 3 * value
    again = less.stats["recomputed_equations"]
    assert 0 < again <= 3 * (fewest_advances(19, 3) - 15)  # behind the layers are three small steps
    assert less.stats["levels"] == 2
    assert 0.9 < less.stats["recomputed_share"] / (again / 48) < 1.1
    assert less.stats["tape_length"] == plain.stats["tape_length"] + again
    assert less.stats["buffer_bytes"] < 0.5 * plain.stats["buffer_bytes"]
    source = operators.source(problem.loss, problem.args)
    costs = [backend.predict(source.tape, "gradient", source.wrt) for backend in backends]
    results = sum(array.nbytes for array in problem.args[0].values()) + 8
    baked = 8  # a number that the function closes over, which the program copies
    assert [cost.nbytes for cost in costs] == [one.stats["buffer_bytes"] + results + baked for one in (plain, less)]
    assert costs[1].flops > 1.1 * costs[0].flops
    assert costs[1].primal_calls == pytest.approx(costs[1].flops / source.tape.flops)


def test_fewer_residuals_wait_for_a_pullback() -> None:
    _, arrays = chain_tape()
    traced = simplify(vjp(trace_leaves(chain, arrays), (0, 1)))
    first, second = recompute_split(recompute(traced, 3), 1, 1)
    plain, _ = split(traced, 1, 1)
    waiting = [sum(one.avals[number].nbytes for number in one.outputs) for one in (first.tape, plain)]
    assert waiting[0] < 0.5 * waiting[1]
    assert len(second.tape) > len(first.tape)


def test_other_operators_run_as_without() -> None:
    def loss(x: Any) -> Any:
        for _ in range(6):
            x = np.sin(x) * 1.5
        return np.sum(x)

    x, v = np.linspace(0.1, 1, 5), np.linspace(1, 2, 5)
    backend = dl.Reverse(checkpoints=2)

    def every(how: Any) -> list[Any]:
        pushed = dl.jvp(loss, (x,), (v,), backend=how)
        return [
            dl.hvp(loss, backend=how)(x, v),
            dl.hessian(loss, backend=how)(x),
            *pushed,
            dl.jacobian(np.sin, backend=how)(x),
        ]

    assert bits(every(backend)) == bits(every("reverse"))
    prepared = dl.prepare(loss, x, backend=backend, operator="hvp")
    assert "checkpoints" not in prepared.stats


def test_gradients_of_gradients_take_checkpoints_outside() -> None:
    def inner(x: Any) -> Any:
        for _ in range(6):
            x = np.tanh(x) * 1.5
        return np.sum(x)

    backend = dl.Reverse(checkpoints=2)

    def outer(how: Any) -> Callable:
        return lambda x: np.sum(dl.gradient(inner, backend=how)(x) ** 2)

    x = np.linspace(0.1, 1, 5)
    expected = bits(dl.value_and_gradient(outer("reverse"))(x))
    assert bits(dl.value_and_gradient(outer(backend), backend=backend)(x)) == expected
    prepared = dl.prepare(outer(backend), x, backend=backend)
    assert prepared.stats["recomputed_equations"] > 0
    assert bits(prepared.value_and_gradient(x)) == expected


def test_threads_share_a_program_and_no_buffer() -> None:
    one = find("deep-layers").build("tiny", "float64", 0)
    prepared = dl.prepare(one.loss, *one.args, backend=dl.Reverse(checkpoints=1))
    expected = bits(prepared.value_and_gradient(*one.args))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: bits(prepared.value_and_gradient(*one.args)), range(40)))
    assert all(each == expected for each in found)


@pytest.mark.parametrize("checkpoints", NONSENSE)
def test_nonsense_is_one_clear_sentence(checkpoints: Any) -> None:
    expected = (
        f"Reverse(checkpoints={checkpoints!r}): checkpoints are None or a whole number of at least 0, how many "
        "states of the forward pass are kept at most at a time"
    )
    with pytest.raises(InputError) as caught:
        dl.Reverse(checkpoints=checkpoints)
    assert str(caught.value) == expected


def test_a_backend_is_written_as_it_was_made() -> None:
    assert repr(dl.Reverse()) == "Reverse()"
    assert repr(dl.Reverse(checkpoints=3)) == "Reverse(checkpoints=3)"
    assert repr(dl.Reverse(chunk=2, checkpoints=0)) == "Reverse(checkpoints=0, chunk=2)"
    assert dl.Reverse(checkpoints=3) != dl.Reverse()


def test_the_conformance_kit_finds_nothing_wrong() -> None:
    check_backend(dl.Reverse(checkpoints=2))
