"""Losses computed in blocks of examples: the same as in one piece, or in one piece where examples mix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from block_checks import both, distance, gradients

from difflab import Reverse, gradient, nn, prepare
from difflab.errors import GuardError, InputError
from difflab.problems import PROBLEMS

N, D, H = 12, 5, 4
RNG = np.random.default_rng(8)
X, W, V = RNG.standard_normal((N, D)), RNG.standard_normal((D, H)), RNG.standard_normal((H, 3))
T = np.abs(RNG.standard_normal((N, 3)))
Y = RNG.integers(0, 3, N)
WEIGHTS = np.linspace(0.5, 1.5, N)


def scores(w: Any, x: Any) -> Any:
    return np.tanh(x @ w) @ V


def squares(w: Any, x: Any, t: Any) -> Any:
    return np.sum((scores(w, x) - t) ** 2) / len(x)


def log_softmax(z: Any) -> Any:
    z = z - np.max(z, axis=1, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))


SPLIT: dict[str, tuple[Callable, tuple]] = {
    "a mean of squares": (squares, (W, X, T)),
    "closed-over data": (lambda w: squares(w, X, T), (W,)),
    "softmax along the classes": (lambda w, x, t: nn.softmax_cross_entropy(scores(w, x), t), (W, X, T)),
    "an L2 term": (lambda w, x, t: squares(w, x, t) + 0.3 * np.sum(w * w), (W, X, T)),
    "an L2 term before": (lambda w, x, t: 0.3 * np.sum(w * w) + squares(w, x, t), (W, X, T)),
    "a square of the loss alone": (lambda w, x: np.mean(np.tanh(x @ w)) + np.sum(np.abs(w)) ** 2, (W, X)),
    "picked by arange": (lambda w, x: -np.mean(log_softmax(scores(w, x))[np.arange(N), Y]), (W, X)),
    "weights of examples": (lambda w, x: np.sum(WEIGHTS * np.sum(scores(w, x), axis=1)), (W, X)),
    "weighted mean": (lambda w, x: np.average(np.sum(scores(w, x) ** 2, axis=1), weights=WEIGHTS), (W, X)),
    "constants as long as the batch": (lambda w, x: np.mean(np.arange(N)[:, None] * np.cos(x @ w)), (W, X)),
    "normalised data": (lambda w, x: np.mean(np.tanh((x - x.mean(axis=0)) / x.std(axis=0) @ w)), (W, X)),
    "reversed data": (lambda w, x, t: np.mean((scores(w, x) - t[::-1]) ** 2), (W, X, T)),
    "absolute length in reshape": (lambda w, x: np.mean((x @ w).reshape(N, 2, 2).max(axis=2)), (W, X)),
    "examples merged with others": (lambda w, x: np.mean(np.sin((x @ w).reshape(N * H))), (W, X)),
    "examples in columns": (lambda w, x: np.mean(np.tanh(w.T @ x.T)), (W, X)),
    "an embedding": (lambda table, ids: np.mean(np.tanh(table[ids]) ** 2), (RNG.standard_normal((7, 3)), Y)),
    "shared weights": (lambda w, x: np.mean(np.tanh(np.tanh(x @ w) @ w[:4]) @ w[1:].T), (W, X)),
    "several leaves": (lambda w: np.mean(np.tanh(X @ w) @ V + T), (W,)),
    "tied maxima": (lambda w, x: np.mean(np.max(np.round(x) @ np.sign(w), axis=1)), (W, X)),
    "float32": (lambda w, x: np.mean(np.tanh(x @ w) ** 2), (W, X)),
    "a parameter of every example": (lambda p, x: np.sum(np.sin(p * x)) + np.sum(p**2), (X + 1, X)),
    "no result but the value's": (lambda w, x: np.sum(x) + np.sum(w), (W, X)),
}
MIXED: dict[str, tuple[Callable, tuple]] = {
    "batch normalisation": (
        lambda w, x: np.mean(np.tanh(((x @ w) - (x @ w).mean(axis=0)) / ((x @ w).std(axis=0) + 0.1))),
        (W, X),
    ),
    "softmax over the batch": (lambda w, x: np.mean(nn.softmax(x @ w, axis=0) ** 2), (W, X)),
    "sums along the batch": (lambda w, x: np.mean(np.cumsum(x @ w, axis=0) ** 2), (W, X)),
    "the root of a mean": (lambda w, x, t: np.sqrt(squares(w, x, t)), (W, X, T)),
    "the examples in reverse": (lambda w, x: np.mean((x @ w)[::-1] * (x @ w)), (W, X)),
    "neighbours": (lambda w, x: np.mean(((x @ w)[1:] - (x @ w)[:-1]) ** 2), (W, X)),
    "the largest of the batch": (lambda w, x: np.max(x @ w), (W, X)),
    "pairs": (lambda w, x: np.mean(np.tanh((x @ w) @ (x @ w).T)), (W, X)),
    "another order": (lambda w, x: np.mean(log_softmax(scores(w, x))[np.arange(N)[::-1], Y] * WEIGHTS), (W, X)),
}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize(("blocks", "threads"), [(2, 1), (5, 3), (12, 2)])
def test_blocks_give_what_one_piece_gives(name: str, blocks: int, threads: int):
    loss, args = SPLIT[name]
    if name == "no result but the value's":
        assert "whole_because" in both(loss, args, 0, blocks, threads)
        return
    stats = both(loss, args, 0, blocks, threads)
    assert (stats["blocks"], stats["threads"], stats.get("whole_because")) == (blocks, threads, None)


@pytest.mark.parametrize("name", MIXED)
def test_where_examples_mix_the_batch_stays_in_one_piece(name: str):
    loss, args = MIXED[name]
    stats = both(loss, args, 0, 3, 2)
    assert stats["blocks"] == 1
    assert stats["whole_because"]


@pytest.mark.parametrize("shape", [(N, N), (N, H), (5, 5)])
def test_lengths_equal_by_chance_change_nothing(shape: tuple[int, int]):
    """As many examples as features, as hidden units, as classes."""
    n, d = shape
    x, w, t = RNG.standard_normal((n, d)), RNG.standard_normal((d, n)), RNG.standard_normal((n, n))

    def loss(w: Any, b: Any, x: Any, t: Any) -> Any:
        return np.mean((np.tanh(x @ w + b) @ t.T - t) ** 2) if d != n else np.mean((np.tanh(x @ w + b) - t) ** 2)

    both(loss, (w, np.linspace(-1, 1, n), x, t), (0, 1), 3)


def test_gradients_of_data_lie_where_the_examples_lie():
    stats = both(lambda w, x: np.mean(np.tanh(x @ w) ** 2), (W, X), (0, 1), 5, 2)
    assert stats["blocks"] == 5
    stats = both(lambda x: np.mean(np.tanh(x @ W) ** 2), (X,), 0, 5, 2)
    assert stats["blocks"] == 5


def test_the_same_bits_at_every_call():
    prepared = prepare(SPLIT["an L2 term"][0], W, X, T, backend=Reverse(blocks=5, threads=3))
    first = prepared.gradient(W, X, T)
    for _ in range(20):
        assert np.array_equal(prepared.gradient(W, X, T), first)


def test_results_are_the_callers_own():
    prepared = prepare(lambda p, x: np.sum(np.sin(p * x)) + np.sum(p), X, X, argnums=(0, 1), backend=Reverse(blocks=4))
    one = prepared.gradient(X, X)
    kept = [array.copy() for array in one]
    for array in prepared.gradient(2 * X, X):
        array[...] = 7.0
    assert all(np.array_equal(a, b) for a, b in zip(one, kept, strict=True))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 13])
def test_batches_of_any_length(count: int):
    stats = both(squares, (W, RNG.standard_normal((count, D)), RNG.standard_normal((count, 3))), 0, 4, 2)
    assert stats["blocks"] <= max(count, 3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_stay_with_their_examples(wrong: float):
    x = X.copy()
    x[7, 2] = wrong
    with np.errstate(all="ignore"):
        both(lambda w, x: np.sum(np.arctan(x @ w), axis=0) @ np.ones(H), (W, x), (0, 1), 4, 2)


def test_warnings_and_errors_are_those_of_one_piece():
    def loss(w: Any, x: Any) -> Any:
        return np.sum(np.log(x @ w))

    x, w = np.ones((6, 2)), np.ones((2, 3))
    prepared = prepare(loss, w, x, backend=Reverse(blocks=6, threads=3))
    x[4] = 0.0
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        prepared.gradient(w, x)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        prepared.gradient(w, x)
    with np.errstate(divide="ignore"):
        prepared.gradient(w, x)


def test_branches_are_watched_as_ever():
    def loss(w: Any, x: Any) -> Any:
        total = np.sum(np.tanh(x @ w)) / len(x)
        if np.sum(w) > 0:
            total = total + np.sum(w**2)
        return total * 2 if total > 0 else -total

    prepared = prepare(loss, W, X, backend=Reverse(blocks=3, threads=2))
    assert prepared.stats["blocks"] == 3
    for w in (W, -W, np.abs(W), -np.abs(W)):
        assert distance([prepared.gradient(w, X)], [gradient(loss, backend=Reverse(blocks=1))(w, X)]) < 1e-12
    assert prepared.stats["traces"] > 1


def test_a_branch_on_single_examples_keeps_the_batch_together():
    def loss(w: Any, x: Any) -> Any:
        scored = x @ w
        return np.sum(scored) if scored[0, 0] > 0 else np.sum(scored**2)

    both(loss, (W, X), 0, 3)


def test_without_preparation_blocks_follow_the_structure():
    wanted = gradient(squares, backend=Reverse(blocks=1))(W, X, T)
    found = gradient(squares, backend=Reverse(blocks=5, threads=2))(W, X, T)
    assert distance([found], [wanted]) < 1e-12
    for x in (X, X + 1):  # closed over, and never baked in
        found = gradient(lambda w, x=x: squares(w, x, T), backend=Reverse(blocks=5, threads=2))(W)
        assert distance([found], [gradient(squares, backend=Reverse(blocks=1))(W, x, T)]) < 1e-12
    picked = SPLIT["picked by arange"][0]  # a constant that nobody knows: in one piece
    assert distance([gradient(picked, backend=Reverse(blocks=3))(W, X)], [gradient(picked)(W, X)]) < 1e-12


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_with_blank_borders_and_ties(size: str, dtype: str):
    made = PROBLEMS["digits-cnn"].build(size, dtype, 0)
    wanted = prepare(made.loss, *made.args, backend=Reverse(blocks=1)).value_and_gradient(*made.args)
    prepared = prepare(made.loss, *made.args, backend=Reverse(blocks=5, threads=2))
    found = prepared.value_and_gradient(*made.args)
    assert prepared.stats["blocks"] == 5
    for key in wanted[1]:
        scale = np.max(np.abs(wanted[1][key]))
        assert np.max(np.abs(found[1][key] - wanted[1][key])) < 64 * np.finfo(dtype).eps * scale
    assert abs(found[0] - wanted[0]) < 64 * np.finfo(dtype).eps * abs(wanted[0])


@pytest.mark.parametrize("option", ["blocks", "threads"])
@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "many", None])
def test_wrong_options_are_turned_away(option: str, wrong: Any):
    with pytest.raises(InputError, match=rf"Reverse\({option}=.*\): {option} is 'auto' or a whole number"):
        Reverse(**{option: wrong})


def test_options_show_where_they_are_not_the_usual_ones():
    assert repr(Reverse()) == "Reverse()"
    assert repr(Reverse(blocks=4, threads=2)) == "Reverse(blocks=4, threads=2)"


def test_checkpoints_keep_the_batch_together():
    _, stats = gradients(squares, (W, X, T), blocks=4, checkpoints=1)
    assert stats["blocks"] == 1
    assert stats["whole_because"] == "it computes values twice"


def test_guards_raise_before_and_behind_the_blocks():
    from difflab.execution.choice import Blocking, build
    from difflab.tracing import trace_leaves
    from difflab.transforms import gradient as derived

    def loss(leaves: list[Any]) -> list[Any]:
        w, x = leaves
        total = np.sum(np.tanh(x @ w))
        return [total if bool(np.sum(w) > 0) and bool(total > -100) else -total]

    w = np.abs(W)
    program = build(derived(trace_leaves(loss, [w, X]), (0,)), None, asked=Blocking(4, 2), wrt=(0,))
    assert program.stats["blocks"] == 4
    program.run([w, X])
    with pytest.raises(GuardError):
        program.run([-w, X])
