"""Every formula that is printed can be computed, and is the gradient: by its terms, and by reading the LaTeX again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from latex_reader import computed
from matrix_losses import arguments, loss_of, programs
from samples import cases_of

import difflab as dl
from difflab import nn
from difflab.calls import bind
from difflab.containers import flatten
from difflab.primitives.record import REGISTRY
from difflab.problems import PROBLEMS
from difflab.walk.latex.formulas import Formulas, formulas
from difflab.walk.latex.lengths import with_lengths
from difflab.walk.latex.symbols import symbols
from difflab.walk.latex.terms import Name, ordered
from difflab.walk.latex.text import latex_text

BUILT_IN = [primitive for primitive in REGISTRY if primitive.kind != "own" and ":" not in primitive.name]
SIZES = [(name, size) for name, problem in PROBLEMS.items() for size in problem.sizes if size.startswith("tiny")]
IN_WORDS = {"cnn", "digits-cnn", "toeplitz-cnn", "toeplitz-matrices", "inpainting", "alexnet"}
"""Problems whose formulas call functions that are no matrix algebra, by name: the reader knows none of them."""


def made_of(
    loss: Callable[..., Any], args: tuple, argnums: Any = 0
) -> tuple[Formulas, list[Any], float, list[np.ndarray]]:
    """Formulas, leaves, and the value and gradient that they must give."""
    bound = bind(loss, args, {}, argnums)
    value, gradient = dl.value_and_gradient(loss, argnums=argnums)(*args)
    return formulas(loss, dl.trace(loss, *args).tape, bound), bound.leaves, value, flatten(gradient)[0]


def near(found: Any, expected: Any, digits: float = 1e-12) -> bool:
    """Equal up to rounding, in a matrix's shape or an array's."""
    expected = np.asarray(expected, float)
    found = np.full(expected.size, found.item()) if found.size == 1 else found.ravel()
    assert found.size == expected.size
    return bool(np.all(np.abs(found - expected.ravel()) <= digits * max(1.0, np.max(np.abs(expected), initial=0.0))))


def expect_gradient(loss: Callable[..., Any], args: tuple, argnums: Any = 0, digits: float = 1e-12) -> Formulas:
    """The formulas, after their values were compared."""
    made, leaves, value, gradient = made_of(loss, args, argnums)
    found, slopes = made.evaluate(leaves)
    assert near(np.asarray(found), value, digits)
    assert len(slopes) == len(gradient)
    for slope, expected in zip(slopes, gradient, strict=True):
        assert near(slope, expected, digits)
    return made


def expect_text(made: Formulas, leaves: list[Any], digits: float = 1e-12) -> None:
    """That the LaTeX says what the terms say."""
    names, loss = symbols(made)
    given = {names[name]: leaves[name.key[1]] for name in made.arguments}
    found = computed(latex_text(made), given | {names[name]: value for name, value in made.constants.items()})
    value, slopes = made.evaluate(leaves)
    assert near(found[loss], value, digits)
    for (name, _), slope in zip(made.gradient, slopes, strict=True):
        text = rf"\frac{{\partial{loss}}}{{\partial{names[name]}}}".replace(" ", "")
        result = found[text]
        assert near(np.broadcast_to(result, slope.shape), slope, digits), text


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_the_formulas_of_every_problem_are_its_gradient(name: str, size: str) -> None:
    instance = PROBLEMS[name].build(size, "float64", 1)
    made = expect_gradient(instance.loss, instance.args)
    leaves = bind(instance.loss, instance.args, {}, 0).leaves
    if name in IN_WORDS:
        with pytest.raises(ValueError, match="no meaning here"):  # the reader of LaTeX knows no words
            expect_text(made, leaves)
    else:
        expect_text(made, leaves)


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_every_name_is_defined_before_it_is_used(name: str, size: str) -> None:
    instance = PROBLEMS[name].build(size, "float64", 0)
    made, *_ = made_of(instance.loss, instance.args)
    known = {*made.arguments, *made.lengths, *made.constants}
    for one, formula in made.definitions.items():
        assert {term for term in ordered([formula]) if isinstance(term, Name)} <= known, one
        known.add(one)
    for formula in (made.loss, *[output for _, output in made.gradient]):
        assert {term for term in ordered([formula]) if isinstance(term, Name)} <= known
    early = {*made.arguments, *made.lengths, *made.constants, *made.definitions} - made.late
    assert {term for term in ordered([made.loss]) if isinstance(term, Name)} <= early
    shown = symbols(made)[0]
    assert len(set(shown.values())) == len(shown)


@settings(max_examples=300, deadline=None)
@given(programs, st.integers(0, 5))
@example([("one", 2, 2, 0), ("along", 11, 0, 0), ("one", 6, 0, 0)], 0)
def test_random_losses_of_matrices(steps: list, seed: int) -> None:
    loss, args = loss_of(steps), arguments(seed)
    with np.errstate(all="ignore"):
        value, gradient = dl.value_and_gradient(loss, argnums=(0, 1, 2, 3, 4))(*args)
    assume(np.isfinite(value) and all(np.all(np.abs(part) < 1e6) for part in gradient))
    made = expect_gradient(loss, args, (0, 1, 2, 3, 4), 1e-11)
    if r"\operatorname{max}" in latex_text(made):  # of an array, which has no sign of its own
        with pytest.raises(ValueError, match="'max' has no meaning"):  # the reader of LaTeX knows no words
            expect_text(made, list(args))
    else:
        expect_text(made, list(args), 1e-10)


# ---------------------------------------------------------------------------- what algebra must not lose


def test_brackets_are_strongly_zero() -> None:
    """log(0) in the branch that was not taken: 0 times minus infinity is 0 in Iverson's brackets."""
    loss = lambda x: np.sum(np.where(x > 0, np.log(x), x))  # noqa: E731 (one line)
    with np.errstate(divide="ignore"):
        expect_gradient(loss, (np.array([0.0, 2.0]),))


def test_ties_of_a_maximum_get_half() -> None:
    made = expect_gradient(lambda x: np.sum(np.maximum(0.0, x) + np.maximum(x, 1.0)), (np.array([0.0, 1.0, 2.0]),))
    assert "where } a = b" in latex_text(made)


def test_softmax_and_logsumexp_drop_shifts_exactly() -> None:
    """exp(1000) is no problem: what is printed is softmax, not a quotient of powers."""
    x = np.array([[1000.0, 1001.0], [0.0, -1000.0]])
    expect_gradient(lambda z: np.mean(nn.logsumexp(z, axis=1) - z[:, 0]), (x,))


def test_complex_values_keep_their_conjugates() -> None:
    """A square of complex numbers is no norm."""
    made = expect_gradient(lambda w: np.sum(np.real((w + 2j * w) ** 2)), (np.array([1.0, 2.0]),))
    assert "lVert" not in latex_text(made)


def test_arrays_of_three_axes() -> None:
    expect_gradient(lambda x, b: np.sum(np.tanh(x * b + 1.0) ** 2), (np.ones((2, 3, 4)), np.arange(4.0)), (0, 1))
    expect_gradient(lambda x: np.mean(x.sum(axis=(0, 2)) ** 2), (np.arange(24.0).reshape(2, 3, 4),))


def test_empty_arrays_and_single_numbers() -> None:
    expect_gradient(lambda w: np.sum(w**2), (np.ones((0, 3)),))
    expect_gradient(lambda w: w[0, 0] ** 3, (np.full((1, 1), 2.0),))
    expect_gradient(lambda w: w**3 / 7.0, (2.0,))


def test_own_primitives_are_functions_with_a_name() -> None:
    @dl.primitive
    def cube(x: Any) -> Any:
        return x * x * x

    cube.vjp(lambda cotangent, out, x: (cotangent * 3.0 * x * x,))
    made = expect_gradient(lambda x: np.sum(cube(x)), (np.array([1.0, 2.0]),))
    assert r"\operatorname{cube}(x)" in latex_text(made)


@pytest.mark.parametrize("primitive", BUILT_IN, ids=lambda primitive: primitive.name)
def test_every_primitive_has_formulas(primitive: Any) -> None:
    """Those that are no matrix algebra as functions with a name; at infinities and ties too."""
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
            tape, bound = dl.trace(loss, *case.arrays).tape, bind(loss, case.arrays, {}, wrt)
            made = formulas(loss, tape, bound)
            found, slopes = made.evaluate(bound.leaves)
        assert latex_text(made)
        np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-12)
        for slope, expected in zip(slopes, gradient, strict=True):
            np.testing.assert_allclose(slope.ravel(), np.ravel(expected), rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------- lengths of axes


@pytest.mark.parametrize(
    ("loss", "sizes"),
    [
        (lambda x: np.mean(x), [6]),
        (lambda x: np.sum(np.mean(x, axis=0)), [2]),
        (lambda x: np.sum(x) / 3, [3]),
        (lambda x: np.sum(x) / 5, []),
        (lambda x: np.sum(x) / 2, []),
        (lambda x: np.sum(x) / 6.0, []),
        (lambda x: 4 * np.mean(x[:, 0]) / 2, [2]),
    ],
)
def test_which_divisors_are_lengths(loss: Callable[..., Any], sizes: list[int]) -> None:
    tape = dl.trace(loss, np.ones((2, 3))).tape
    longer, lengths = with_lengths(tape)
    assert [length.size for length in lengths] == sizes
    assert longer.check().inputs[: len(tape.inputs)] == tape.inputs
    x = np.arange(6.0).reshape(2, 3)
    assert longer.evaluate([x, *[np.float64(size) for size in sizes]]) == tape.evaluate([x])
