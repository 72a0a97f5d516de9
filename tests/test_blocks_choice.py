"""Whether a program runs in blocks: chosen by a forecast, said in the notes, overridden by options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difflab import Reverse, prepare
from difflab.backends.reverse_tapes import EVERYTHING, gradient_tape
from difflab.calls import bind
from difflab.execution import block_costs, choice
from difflab.execution.blocks import Blocked, blocked_bytes
from difflab.execution.choice import Blocking, build, choose
from difflab.execution.program import Program
from difflab.flat import make_source
from difflab.problems import PROBLEMS
from difflab.tape import Tape
from difflab.transforms import simplify


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two threads and a megabyte of second-level cache each, whatever this one has."""

    class Team:
        def blas_threads(self) -> int:
            return 2

    monkeypatch.setattr(choice, "processors", lambda: 2)
    monkeypatch.setattr(choice, "team", Team)
    monkeypatch.setattr(block_costs, "cache_bytes", lambda: 1 << 20)


def derived(name: str, size: str, dtype: str = "float64") -> tuple[Tape, tuple[int, ...], list[Any]]:
    """The derivative tape of a problem, what it is differentiated in, and its arguments."""
    made = PROBLEMS[name].build(size, dtype, 0)
    bound = bind(made.loss, made.args, {}, 0)
    source, _ = make_source(made.loss, bound, frozen=True)
    made_of = gradient_tape(source.tape, source.wrt, EVERYTHING, Blocking())
    assert isinstance(made_of, Tape)
    return simplify(made_of), source.wrt, bound.leaves


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize("size", ["8x2-4-2", "64x64-32-10", "128x784-256-10", "256x784-1024-10"])
def test_perceptrons_stay_in_one_piece(size: str):
    tape, wrt, _ = derived("mlp", size)
    found = choose(tape, Blocking(), wrt)
    assert (found.division, found.blocks) == (None, 1)


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize("size", ["20x20x2-12-24", "28x28x1-16-32", "32x32x3-32-64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolutional_networks_go_in_blocks(size: str, dtype: str):
    tape, wrt, _ = derived("cnn", size, dtype)
    found = choose(tape, Blocking(), wrt)
    assert found.division is not None
    assert found.threads == 2
    assert found.blocks % 2 == 0
    assert "one piece" in found.because


@pytest.mark.usefixtures("two_processors")
def test_small_programs_are_not_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "divide", None)  # would fail
    tape, wrt, _ = derived("mlp", "64x64-32-10")
    assert choose(tape, Blocking(), wrt).because == "it is small"
    assert choose(tape, Blocking(blocks=1), wrt).because == "it was asked for"


@pytest.mark.usefixtures("two_processors")
def test_options_override_the_forecast():
    tape, wrt, _ = derived("cnn", "28x28x1-16-32")
    assert choose(tape, Blocking(threads=1), wrt).threads == 1
    assert choose(tape, Blocking(threads=3), wrt).threads == 3
    found = choose(tape, Blocking(blocks=7), wrt)
    assert (found.blocks, found.threads, found.because) == (7, 2, "it was asked for")
    assert choose(tape, Blocking(blocks=1000, threads=100), wrt)[2:] == (64, 64)


@pytest.mark.parametrize("count", [2, 5, 12, 60, 64, 97, 100])
def test_numbers_of_blocks_are_those_of_even_blocks_where_there_are_any(count: int):
    numbers = choice._numbers(count, 2)
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= count for number in numbers)
    if count in (12, 60, 64, 100):
        assert sum(count % number == 0 for number in numbers) > len(numbers) / 2


def test_the_notes_say_what_was_chosen_and_why():
    made = PROBLEMS["digits-cnn"].build("small", "float64", 0)
    stats = prepare(made.loss, *made.args, backend=Reverse(blocks=5, threads=2)).stats
    assert (stats["blocks"], stats["threads"], stats["block_examples"]) == (5, 2, 4)
    assert stats["blocked_because"] == "it was asked for"
    stats = prepare(made.loss, *made.args, backend=Reverse(blocks=1)).stats
    assert (stats["blocks"], stats["whole_because"]) == (1, "it was asked for")


def test_blocks_take_less_memory_and_the_forecast_knows():
    tape, wrt, leaves = derived("cnn", "16x16x1-8-16")
    whole = build(tape, None, asked=Blocking(blocks=1), wrt=wrt)
    program = build(tape, None, asked=Blocking(16, 2), wrt=wrt)
    assert isinstance(program, Blocked)
    assert isinstance(whole, Program)
    assert program.nbytes < 0.3 * whole.nbytes
    made = PROBLEMS["cnn"].build("16x16x1-8-16", "float64", 0)
    source, _ = make_source(made.loss, bind(made.loss, made.args, {}, 0), frozen=True)
    forecast = Reverse(blocks=16, threads=2).predict(source.tape, "gradient", source.wrt).nbytes
    assert forecast == blocked_bytes(program.division, 16, 2)
    assert program.nbytes <= forecast < 1.5 * program.nbytes
    assert Reverse(blocks=1).predict(source.tape, "gradient", source.wrt).nbytes > 2 * forecast
    program.run(leaves)


def test_bodies_are_well_formed():
    for name, size in (("cnn", "tiny"), ("digits-cnn", "small"), ("mlp", "8x2-4-2"), ("digits-mlp", "tiny")):
        tape, wrt, _ = derived(name, size)
        found = choose(tape, Blocking(2, 1), wrt)
        assert found.division is not None, (name, found.because)
        constants = {n: tape.constants.get(n, np.zeros(tape.avals[n].shape)) for n in found.division.constants}
        for examples in (1, 2, 3):
            found.division.body(examples, constants).check()
