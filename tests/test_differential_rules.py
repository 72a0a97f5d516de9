"""The rules of differentials one by one: every primitive, kinks, links and their transposes, shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from differential_answers import expect_reverse, found_for, lines
from samples import cases_of
from test_latex_formulas import BUILT_IN

import difflab as dl
from difflab import nn
from difflab.errors import UnsupportedError
from difflab.walk.differentials.calls import RULES
from difflab.walk.differentials.links import along, left, right, row_sums, softmax_slope, transposed, turned, weighted
from difflab.walk.differentials.slopes import FLAT, SLOPES
from difflab.walk.latex.algebra import Algebra
from difflab.walk.latex.term_values import evaluate
from difflab.walk.latex.terms import Add, Hadamard, Inner, Name, Product
from difflab.walk.latex.text import latex_text

STACKED = {"det", "logabsdet"}
"""Functions of a matrix whose samples are stacks of matrices too, which are refused."""
COVERED = (
    {name for name in {*SLOPES, *FLAT, *RULES} if not name.endswith("'")}
    | {"add", "subtract", "multiply", "divide", "negative", "reciprocal", "square", "integer_power", "where", "copy"}
) - STACKED  # fmt: skip
"""Primitives that are never refused; any other is right or refused."""


# ---------------------------------------------------------------------------- rules, one by one


@pytest.mark.parametrize("primitive", BUILT_IN, ids=lambda primitive: primitive.name)
def test_every_primitive_is_right_or_refused(primitive: Any) -> None:
    """At infinities, ties and kinks too, where the values are those of reverse mode and so of the table of kinks."""
    refused = set()
    for case in cases_of(primitive):
        wrt = tuple([place for place, array in enumerate(case.arrays) if array.dtype.kind == "f"])

        def loss(*arrays: Any, case: Any = case) -> Any:
            out = case.primitive(*arrays, **case.params)
            real = np.real(out * np.conj(out)) if out.dtype.kind == "c" else out
            return np.sum(1.5 * real.astype(float))

        if not wrt:
            continue
        with np.errstate(all="ignore"):
            value, gradient = dl.value_and_gradient(loss, argnums=wrt)(*case.arrays)
            try:
                made, leaves = found_for(loss, case.arrays, wrt)
            except UnsupportedError as error:
                refused.add(str(error))
                continue
            found, slopes = made.evaluate(leaves)
        np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-12)
        for slope, expected in zip(slopes, gradient, strict=True):
            np.testing.assert_allclose(slope.ravel(), np.ravel(expected), rtol=1e-10, atol=1e-12)
    assert not refused or primitive.name not in COVERED, refused
    for sentence in refused:
        assert "to_latex(by='reverse')" in sentence or "is for real matrices" in sentence


def test_every_rule_is_that_of_a_primitive() -> None:
    assert not FLAT & set(SLOPES)
    assert COVERED | STACKED <= {primitive.name for primitive in BUILT_IN}


def tied(loss: Callable[..., Any], x: Any) -> list[float]:
    return expect_reverse(loss, (np.array(x),)).evaluate([np.array(x)])[1][0].ravel().tolist()


def test_kinks_follow_the_table() -> None:
    assert tied(lambda x: np.sum(nn.relu(x)), [0.0, 1.0]) == [0.0, 1.0]
    assert tied(lambda x: np.sum(np.maximum(x, 0.0)), [0.0, 1.0, -1.0]) == [0.5, 1.0, 0.0]
    assert tied(lambda x: np.sum(np.abs(x)), [0.0, -2.0]) == [0.0, -1.0]
    assert tied(lambda x: np.sum(np.clip(x, -1.0, 1.0)), [-1.0, 0.0, 1.0, 2.0]) == [0.5, 1.0, 0.5, 0.0]
    assert tied(lambda x: np.max(x), [3.0, 1.0, 3.0]) == [0.5, 0.0, 0.5]
    assert tied(lambda x: np.sum(np.max(x, axis=1)), [[3.0, 3.0], [1.0, 2.0]]) == [0.5, 0.5, 0.0, 1.0]
    assert tied(lambda x: np.sum(np.min(x, axis=0)), [[3.0, 3.0], [3.0, 4.0]]) == [0.5, 1.0, 0.5, 0.0]
    assert tied(lambda x: np.sum(x**0), [0.0, 1.0]) == [0.0, 0.0]
    assert tied(lambda x: np.linalg.norm(x), [0.0, 0.0]) == [0.0, 0.0]


def test_brackets_are_strongly_zero() -> None:
    """log(0) in the branch that was not taken."""
    with np.errstate(divide="ignore"):
        assert tied(lambda x: np.sum(np.where(x > 0, np.log(x), x)), [0.0, 2.0]) == [1.0, 0.5]


def test_what_is_stopped_is_constant() -> None:
    made = expect_reverse(lambda x: np.sum(nn.stop_gradient(np.sin(x)) * x), (np.array([1.0, 2.0]),))
    assert r"\operatorname{stop-gradient}" in latex_text(made)
    assert "stop" not in latex_text(expect_reverse(lambda x, a: x @ nn.stop_gradient(a), (np.ones(2), np.ones(2))))


def test_what_does_not_depend_has_the_gradient_zero() -> None:
    assert lines(lambda x, y: np.sum(y), np.ones(2), np.ones(3))[-1] == r"\frac{\partial L}{\partial x} = 0"


def test_arrays_of_three_axes() -> None:
    expect_reverse(lambda x, b: np.sum(np.tanh(x * b + 1.0) ** 2), (np.ones((2, 3, 4)), np.arange(4.0)), (0, 1))
    expect_reverse(lambda x: np.mean(x.sum(axis=(0, 2)) ** 2), (np.arange(24.0).reshape(2, 3, 4),))
    expect_reverse(lambda x: np.sum(x.reshape(3, 4).T @ x[0]), (np.arange(12.0).reshape(2, 3, 2)[:, :, ::1],)[:1])


def test_casts() -> None:
    """To integers the value does not move; to another precision it does, and the formulas do not mention it."""
    whole = expect_reverse(lambda x: np.sum(x.astype(int) * x), (np.array([1.5, 2.5]),))
    assert whole.evaluate([np.array([1.5, 2.5])])[1][0].ravel().tolist() == [1.0, 2.0]
    narrow = expect_reverse(lambda x: np.sum(x.astype("float32") * x), (np.array([1.5, 2.5]),))
    assert r"2 x" in latex_text(narrow)


def test_a_gradient_inside_a_loss_is_a_formula_like_any_other() -> None:
    inner = dl.gradient(lambda y: np.sum(np.sin(y * y)))
    expect_reverse(lambda x: np.sum(inner(x)), (np.array([0.5, 1.5]),))


def test_attention() -> None:
    loss = lambda q, k, v: np.sum(nn.softmax(q @ k.T / np.sqrt(3.0), axis=1) @ v)  # noqa: E731 (one line)
    random = np.random.default_rng(3)
    expect_reverse(loss, tuple(random.normal(size=shape) for shape in ((4, 3), (5, 3), (5, 2))), (0, 1, 2))


def test_complex_values_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="real matrices"):
        found_for(lambda w: np.sum(np.real((w + 2j * w) ** 2)), (np.array([1.0, 2.0]),))


def test_branches_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"np\.where"):
        found_for(lambda w: w * w if w > 0 else -w, (2.0,))


# ---------------------------------------------------------------------------- shapes


def names_of(algebra: Algebra, *shapes: tuple[int, int]) -> list[Name]:
    return [algebra.name(("input", k), shape, 2) for k, shape in enumerate(shapes)]


def test_every_link_is_the_transpose_of_its_transpose() -> None:
    """<G, f(M)> = <f^T(G), M> in numbers, for each kind of link."""
    algebra = Algebra()
    a, b, h, m, s = names_of(algebra, (4, 3), (5, 2), (3, 5), (3, 5), (1, 1))
    links = [
        left(a, (3, 5)), right(b, (3, 5)), weighted(h, (3, 5), (3, 5)), weighted(s, (3, 5), (3, 5)),
        weighted(h, (1, 1), (3, 5)), along(h), turned((3, 5)), row_sums(1, (3, 5)), row_sums(0, (3, 5)),
        softmax_slope(h, 1), softmax_slope(h, 0),
    ]  # fmt: skip
    random = np.random.default_rng(0)
    for link in links:
        one = algebra.name(("value", len(algebra.known)), link.takes, 2)
        other = algebra.name(("value", len(algebra.known)), link.gives, 2)
        values = {name: random.normal(size=name.shape) for name in (a, b, h, m, s, one, other)}
        forward, back = evaluate([link.of(algebra, one), transposed(algebra, (link,), other)], values, {})
        assert forward.shape == link.gives
        assert back.shape == link.takes
        np.testing.assert_allclose(np.sum(values[other] * forward), np.sum(back * values[one]), rtol=1e-12)


def test_shapes_that_do_not_fit_are_named_with_their_terms() -> None:
    algebra = Algebra()
    a, b = names_of(algebra, (4, 3), (2, 5))
    said = r"x_\{0\} of shape 4 by 3 and x_\{1\} of shape 2 by 5, whose shapes"
    with pytest.raises(ValueError, match=f"a product of {said} do not fit"):
        algebra.product(a, b)
    for make in (lambda: Product((a, b)), lambda: Hadamard(((a, 1), (b, 1))), lambda: Inner((a, b))):
        with pytest.raises(ValueError, match=said):
            make()
    with pytest.raises(ValueError, match=r"a sum of x_\{0\} of shape 4 by 3 and x_\{1\} of shape 2 by 5"):
        Add((a, b))
    with pytest.raises(ValueError, match=r"product of x_\{0\} of shape 4 by 3 and a differential of shape 2 by 5"):
        left(a, (2, 5))
    with pytest.raises(ValueError, match=r"differential of shape 2 by 5 and x_\{0\} of shape 4 by 3"):
        right(a, (2, 5))
    with pytest.raises(ValueError, match=r"x_\{0\} of shape 4 by 3 element by element .* shape 2 by 5"):
        weighted(a, (2, 5), (2, 5))
    with pytest.raises(
        ValueError, match=r"x_\{0\} goes with shape|x_\{0\} of shape 4 by 3 goes with shape 3 by 2, and"
    ):
        left(a, (3, 2)).of(algebra, b)
    with pytest.raises(ValueError, match=r"transposition goes with shape 4 by 3, and is given x_\{1\} of shape 2 by 5"):
        turned((4, 3)).of(algebra, b)
