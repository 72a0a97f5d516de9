"""Reverse mode within so many bytes: forecasts stay below, bits stay the same, and what is dear and small is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import own_gates
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_checkpoints import bits, programs, written

import difflab as dl
from difflab import operators
from difflab.backends import reverse_tapes
from difflab.errors import ForecastError, InputError
from difflab.execution.fitting import MOST_AGAIN, fewest_checkpoints, fit
from difflab.execution.footprint import programs_bytes
from difflab.problems import find
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, simplify
from difflab.transforms.schedules import fewest_advances

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 16))
W = RNG.standard_normal((16, 16)) / 4


def layered(x: Any, w: Any) -> Any:
    """A recurrent network: one matrix for all layers."""
    for _ in range(40):
        x = np.tanh(x @ w)
    return np.sum(x)


def residual(x: Any, w: Any) -> Any:
    for _ in range(20):
        x = x + np.sin(np.tanh(x @ w) @ w) * 0.1
    return np.sum(x * x)


def u_shaped(x: Any, w: Any) -> Any:
    """Every value of the way down is read again on the way up."""
    skips = []
    for _ in range(8):
        x = np.tanh(x @ w)
        skips.append(x)
    for skip in reversed(skips):
        x = np.tanh((x + skip) @ w) * skip
    return np.sum(x)


def with_views(x: Any, w: Any) -> Any:
    for _ in range(12):
        x = np.tanh(np.transpose(np.transpose(x)[::-1] * 0.9)[:, ::-1] @ w) + np.sum(x, axis=0)
    return np.mean(x)


def guarded(x: Any, w: Any) -> Any:
    for _ in range(16):
        x = np.where(x > 0, np.sin(x @ w), x * 0.5)
    return np.sum(x) if np.sum(x[0]) < 1e6 else np.sum(x * x)


def own(x: Any, w: Any) -> Any:
    for _ in range(12):
        x = own_gates.gate(x @ w, x + 0.5)
    return np.sum(x)


NETWORKS = {one.__name__: one for one in (layered, residual, u_shaped, with_views, guarded, own)}


def planned(loss: Callable, *args: Any, operator: str = "gradient", **options: Any) -> float:
    source = operators.source(loss, args)
    return dl.Reverse(blocks=1, **options).predict(source.tape, operator, source.wrt).nbytes


# ---------------------------------------------------------------------------- bits and bytes


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_gradient_stays_below_the_limit_with_the_same_bits(name: str, share: float) -> None:
    loss = NETWORKS[name]
    limit = int(share * planned(loss, X, W))
    backend = dl.Reverse(memory=limit, blocks=1)
    try:
        prepared = dl.prepare(loss, X, W, backend=backend)
    except ForecastError:
        assert share < (0.9 if loss is u_shaped else 0.6)  # the cotangents of its skips wait in any case
        return
    assert planned(loss, X, W, memory=limit) <= limit
    assert prepared.stats["recomputed_equations"] > 0
    assert prepared.stats["memory_limit"] == limit
    assert bits(prepared.value_and_gradient(X, W)) == bits(dl.value_and_gradient(loss)(X, W))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pullback_stays_below_the_limit_with_the_same_bits(name: str) -> None:
    loss = NETWORKS[name]
    limit = int(0.8 * planned(loss, X, W, operator="vjp"))
    value, pullback = dl.vjp(loss, X, W)
    again, pulled = dl.vjp(loss, X, W, backend=dl.Reverse(memory=limit))
    assert bits([again, pulled(np.asarray(0.75))]) == bits([value, pullback(np.asarray(0.75))])
    assert planned(loss, X, W, operator="vjp", memory=limit) <= limit


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.floats(0.3, 1.0), st.sampled_from([(3, 5), (20, 16)]))
def test_random_losses_have_the_same_bits_within_any_memory(program: list, share: float, shape: tuple) -> None:
    loss, x = written(program, 1), np.random.default_rng(1).standard_normal(shape)
    tape = simplify(gradient(trace_leaves(lambda leaves: [loss(leaves[0])], [x]), (0,)))
    limit = int(share * programs_bytes([tape]))
    try:
        (found,) = fit(tape, 1, limit)
    except ForecastError as caught:
        least = int(str(caught).split("at least ")[1].split(" bytes")[0].replace(" ", ""))
        assert least > limit
        (found,) = fit(tape, 1, least)  # what is said to be possible is
        limit = least
    found.tape.check()
    assert programs_bytes([found.tape]) <= limit
    assert bits(found.tape.evaluate([x])) == bits(tape.evaluate([x]))


# ---------------------------------------------------------------------------- least recomputation


def test_a_chain_computes_hardly_more_again_than_the_best_schedule_in_the_same_memory() -> None:
    tape = simplify(gradient(trace_leaves(lambda leaves: [layered(*leaves)], [X, W]), (0, 1)))
    value, plain = X.nbytes, programs_bytes([tape])
    for states in (5, 8, 16, 30):
        limit = plain - (40 - states) * value
        (found,) = fit(tape, 1, limit)
        assert found.equations <= 2 * (fewest_advances(40, states - 3) - 39)


def test_with_room_left_dear_values_are_kept_and_cheap_ones_go() -> None:
    def loss(leaves: list[Any]) -> list[Any]:
        x, w = leaves
        for _ in range(6):
            y = x @ w  # dear
            x = np.sin(y) * np.exp(-y * y)  # cheap, and as large
        return [np.sum(x)]

    w = RNG.standard_normal((400, 400)) / 40
    x = RNG.standard_normal((50, 400))
    tape = simplify(gradient(trace_leaves(loss, [x, w]), (0, 1)))
    (found,) = fit(tape, 1, int(0.7 * programs_bytes([tape])))
    kinds = {e.output: e.primitive.name for e in tape.equations}
    again = {kinds[number] for number in found.again}
    assert found.again
    assert "matmul" not in again
    assert found.share < 0.05


def test_where_everything_fits_everything_is_kept() -> None:
    enough = int(planned(layered, X, W))
    prepared = dl.prepare(layered, X, W, backend=dl.Reverse(memory=enough, blocks=1))
    plain = dl.prepare(layered, X, W, backend=dl.Reverse(blocks=1))
    assert prepared.stats["checkpoints"] is None
    assert prepared.stats["recomputed_equations"] == prepared.stats["levels"] == prepared.stats["kept_bytes"] == 0
    assert prepared.stats["tape_length"] == plain.stats["tape_length"]
    less = dl.prepare(layered, X, W, backend=dl.Reverse(memory=enough - 1, blocks=1))
    assert less.stats["recomputed_equations"] > 0
    assert less.stats["checkpoints"] is not None


def test_blocks_that_fit_are_taken_before_anything_is_computed_again() -> None:
    one = find("digits-mlp").build("small", "float64", 0)
    asked = {"blocks": 4, "threads": 1}
    plain = dl.prepare(one.loss, *one.args, backend=dl.Reverse(**asked))
    prepared = dl.prepare(one.loss, *one.args, backend=dl.Reverse(memory="1 GB", **asked))
    assert prepared.stats["blocks"] == plain.stats["blocks"] == 4
    assert bits(prepared.value_and_gradient(*one.args)) == bits(plain.value_and_gradient(*one.args))


def test_where_the_blocks_of_many_threads_take_more_one_piece_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reverse_tapes, "_usual_bytes", lambda *_: 1 << 60)
    enough = int(planned(layered, X, W))
    prepared = dl.prepare(layered, X, W, backend=dl.Reverse(memory=enough))
    assert prepared.stats["whole_because"] == "it computes values twice"
    assert prepared.stats["checkpoints"] is None
    assert bits(prepared.value_and_gradient(X, W)) == bits(dl.value_and_gradient(layered)(X, W))


@pytest.mark.parametrize(("size", "share", "again"), [("depth-256", 0.1, 1.0), ("depth-1024", 0.1, 1.0)])
def test_deep_networks_are_planned_in_a_tenth_of_the_memory(size: str, share: float, again: float) -> None:
    one = find("deep-layers").build(size, "float32", 0)
    source = operators.source(one.loss, one.args)
    plain = dl.Reverse(blocks=1).predict(source.tape, "gradient", source.wrt)
    less = dl.Reverse(memory=int(share * plain.nbytes)).predict(source.tape, "gradient", source.wrt)
    assert less.nbytes <= share * plain.nbytes
    assert less.flops - plain.flops <= again * source.tape.flops


# ---------------------------------------------------------------------------- what is refused


def test_too_little_memory_is_refused_with_the_least_there_is() -> None:
    with pytest.raises(ForecastError) as caught:
        dl.prepare(layered, X, W, backend=dl.Reverse(memory="20 kB"))
    said = str(caught.value)
    assert said.startswith("Reverse(memory=20000): reverse mode is forecast to take at least ")
    assert said.endswith(" KiB) here, however much is computed again")
    least = int(said.split("at least ")[1].split(" bytes")[0].replace(" ", ""))
    assert bits(dl.value_and_gradient(layered, backend=dl.Reverse(memory=least))(X, W)) == bits(
        dl.value_and_gradient(layered)(X, W)
    )


@pytest.mark.parametrize("memory", ["plenty", "3 pounds", 0, -1, 2.5, True, ""])
def test_nonsense_is_one_clear_sentence(memory: Any) -> None:
    with pytest.raises(InputError) as caught:
        dl.Reverse(memory=memory)
    assert str(caught.value) == f"Reverse: memory={memory!r}: give bytes, or a text such as '200 MB' or '1 GiB'"


def test_checkpoints_and_memory_exclude_each_other() -> None:
    with pytest.raises(InputError) as caught:
        dl.Reverse(checkpoints=3, memory="1 MB")
    assert str(caught.value) == (
        "Reverse(checkpoints=3, memory='1 MB'): give one of them; memory finds the checkpoints by itself"
    )


def test_so_few_checkpoints_that_the_program_would_be_endless_are_refused() -> None:
    def long(x: Any) -> Any:
        for _ in range(1500):
            x = np.sin(x)
        return np.sum(x)

    with pytest.raises(ForecastError) as caught:
        dl.prepare(long, np.ones(3), backend=dl.Reverse(checkpoints=0))
    assert str(caught.value) == (
        "Reverse(checkpoints=0) would compute some 1 125 000 equations again for a loss of 1 501: take "
        f"{fewest_checkpoints(1500)} checkpoints or more, or memory="
    )


@pytest.mark.parametrize("steps", [1, 2, 10, 100, 5000])
def test_the_fewest_checkpoints_are_the_fewest(steps: int) -> None:
    found = fewest_checkpoints(steps)
    assert fewest_advances(steps, found) <= (MOST_AGAIN + 1) * steps
    assert found == 0 or fewest_advances(steps, found - 1) > (MOST_AGAIN + 1) * steps


def test_a_backend_is_written_as_it_was_made() -> None:
    assert repr(dl.Reverse(memory="200 MB")) == "Reverse(memory='200 MB')"
    assert dl.Reverse(memory="1 kB").keeping == dl.Reverse(memory=1000).keeping


def test_other_operators_run_as_without() -> None:
    x, v = np.linspace(0.1, 1, 5), np.linspace(1, 2, 5)

    def loss(x: Any) -> Any:
        return np.sum(np.sin(x) ** 3)

    backend = dl.Reverse(memory=1)
    assert bits(dl.hvp(loss, backend=backend)(x, v)) == bits(dl.hvp(loss)(x, v))
    assert bits(dl.hessian(loss, backend=backend)(x)) == bits(dl.hessian(loss)(x))
    assert "memory_limit" not in dl.prepare(loss, x, backend=backend, operator="hvp").stats


def test_a_tape_without_steps_is_refused_or_kept() -> None:
    tape: Tape = simplify(gradient(trace_leaves(lambda leaves: [leaves[0] * 2.0], [1.0]), (0,)))
    with pytest.raises(ForecastError):
        fit(tape, 1, 1)
    assert fit(tape, 1, 10_000)[0].equations == 0
