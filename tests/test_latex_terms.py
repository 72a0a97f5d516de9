"""Terms of formulas: shapes that do not fit are refused, and every silent rule of algebra keeps the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from difflab.walk.latex.algebra import Algebra
from difflab.walk.latex.extent import needs_lengths
from difflab.walk.latex.printing import Printer, number_texts
from difflab.walk.latex.term_values import evaluate
from difflab.walk.latex.terms import (
    SCALAR,
    Add,
    Apply,
    Diagonal,
    Hadamard,
    Inner,
    Inverse,
    Name,
    Number,
    Product,
    Scaled,
    Term,
    Transpose,
    matrix_shape,
    ordered,
)

RANDOM = np.random.default_rng(3)
SHAPES = {"A": (4, 3), "B": (4, 3), "Q": (3, 3), "c": (4, 1), "r": (3, 1), "s": (1, 1), "t": (1, 1)}
VALUES = {letter: RANDOM.normal(size=shape) for letter, shape in SHAPES.items()}


class Board:
    """An algebra with a few symbols."""

    def __init__(self) -> None:
        self.algebra = Algebra()
        self.names = {
            letter: self.algebra.name(("input", place), shape, 2 if min(shape) > 1 else 1)
            for place, (letter, shape) in enumerate(SHAPES.items())
        }

    def __getattr__(self, letter: str) -> Name:
        return self.names[letter]

    def ones(self, count: int) -> Term:
        return self.algebra.ones((count, 1))

    def value(self, term: Term) -> np.ndarray:
        given = {name: VALUES[letter] for letter, name in self.names.items()}
        return evaluate([term], given, self.algebra.definitions)[0]

    def text(self, term: Term) -> str:
        return Printer({name: letter for letter, name in self.names.items()}, [term]).text(term)


@pytest.fixture
def board() -> Board:
    return Board()


# ---------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "make",
    [
        lambda b: Add((b.A, b.Q)),
        lambda b: Add((b.A,)),
        lambda b: Product((b.A, b.B)),
        lambda b: Hadamard(((b.A, 1), (b.Q, 1))),
        lambda b: Apply("maximum", (b.A, b.Q)),
        lambda b: Inverse(b.A),
        lambda b: Diagonal(b.Q),
        lambda b: Inner((b.A, b.Q)),
        lambda b: Scaled(Fraction(2), ((b.c, 1),), b.A),
        lambda b: Scaled(Fraction(2), (), b.s),
        lambda b: Transpose(b.algebra.name(("input", 99), (2, 3, 4), 3)),
        lambda b: b.algebra.product(b.A, b.B),
        lambda b: b.algebra.add([b.A, b.Q]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(board: Board, make: Callable[[Board], Any]) -> None:
    with pytest.raises(ValueError, match=r"shape|front"):
        make(board)


def test_arrays_as_matrices() -> None:
    assert [matrix_shape(shape) for shape in ((), (1,), (1, 1, 1), (5,), (5, 1), (1, 5), (2, 1, 3))] == [
        SCALAR,
        SCALAR,
        SCALAR,
        (5, 1),
        (5, 1),
        (1, 5),
        (2, 1, 3),
    ]


# ---------------------------------------------------------------------------- the rules

RULES: list[tuple[Callable[[Any], Term], Callable[..., np.ndarray], str | None]] = [
    (lambda b: b.algebra.transpose(b.algebra.transpose(b.A)), lambda A, **_: A, "A"),
    (lambda b: b.algebra.transpose(b.algebra.product(b.A, b.Q)), lambda A, Q, **_: (A @ Q).T, r"Q^\top A^\top"),
    (lambda b: b.algebra.scaled(Fraction(1, 2), (), b.algebra.scaled(2, (), b.A)), lambda A, **_: A, "A"),
    (lambda b: b.algebra.add([b.A, b.algebra.negative(b.A)]), lambda A, **_: 0 * A, "0"),
    (lambda b: b.algebra.add([b.A, b.B, b.A]), lambda A, B, **_: 2 * A + B, "2 A + B"),
    (
        lambda b: b.algebra.add([b.algebra.product(b.A, b.Q), b.algebra.product(b.B, b.Q)]),
        lambda A, B, Q, **_: (A + B) @ Q,
        "(A + B) Q",
    ),
    (
        lambda b: b.algebra.product(b.algebra.hadamard([(b.spread(b.c), 1), (b.A, 1)]), b.ones(3)),
        lambda A, c, **_: c * A.sum(axis=1, keepdims=True),
        r"c \odot (A \mathbf{1})",
    ),
    (
        lambda b: b.algebra.hadamard([(b.algebra.product(b.ones(4), b.algebra.transpose(b.r)), 1), (b.A, 1)]),
        lambda A, r, **_: A * r.T,
        r"A \odot (\mathbf{1} r^\top)",
    ),
    (lambda b: b.algebra.product(b.ones_row(4), b.ones(4)), lambda **_: np.full((1, 1), 4.0), "4"),
    (
        lambda b: b.algebra.product(b.c, b.algebra.product(b.algebra.transpose(b.r), b.r)),
        lambda c, r, **_: c * (r.T @ r),
        r"(r^\top r) c",
    ),
    (
        lambda b: b.algebra.product(b.algebra.row_wise("softmax", b.A, 1), b.ones(3)),
        lambda **_: np.ones((4, 1)),
        r"\mathbf{1}",
    ),
    (
        lambda b: b.algebra.hadamard(
            [(b.sigma(b.A), 1), (b.algebra.add([b.algebra.ones((4, 3)), b.algebra.negative(b.sigma(b.A))]), 1)]
        ),
        lambda A, **_: np.exp(-A) / (1 + np.exp(-A)) ** 2,
        r"\sigma'(A)",
    ),
    (
        lambda b: b.algebra.add([b.algebra.number(1), b.algebra.scaled(-1, [(b.algebra.apply("tanh", [b.s]), 2)])]),
        lambda s, **_: 1 - np.tanh(s) ** 2,
        r"\tanh'(s)",
    ),
    (
        lambda b: b.algebra.scaled(1, [(b.algebra.add([b.algebra.number(1), b.algebra.apply("exp", [b.s])]), -1)]),
        lambda s, **_: 1 / (1 + np.exp(s)),
        r"\sigma(-s)",
    ),
    (
        lambda b: b.algebra.apply("log", [b.algebra.product(b.algebra.apply("exp", [b.A]), b.ones(3))]),
        lambda A, **_: np.log(np.exp(A).sum(axis=1, keepdims=True)),
        r"\operatorname{logsumexp}(A)",
    ),
    (
        lambda b: b.algebra.inverse(b.algebra.transpose(b.Q)),
        lambda Q, **_: np.linalg.inv(Q.T),
        r"Q^{-\top}",
    ),
    (
        lambda b: b.algebra.scaled(Fraction(2, 3), [(b.s, 1), (b.t, -2)], b.A),
        lambda A, s, t, **_: 2 / 3 * s / t**2 * A,
        r"\frac{2 s}{3 t^2} A",
    ),
    (
        lambda b: b.algebra.add([b.algebra.scaled(1, [(b.s, -1)], b.A), b.algebra.scaled(-1, [(b.s, -1)], b.B)]),
        lambda A, B, s, **_: (A - B) / s,
        r"\frac{1}{s} (A - B)",
    ),
    (
        lambda b: b.algebra.add(
            [b.algebra.indicator("greater", b.A, b.B), b.algebra.indicator("greater_equal", b.A, b.B)]
        ),
        lambda A, B, **_: (A > B) * 1.0 + (A >= B),
        "2 [A > B]",
    ),
    (lambda b: b.algebra.apply("sigmoid", [b.algebra.zeros((4, 3))]), lambda **_: np.full((4, 3), 0.5), None),
]  # fmt: skip


@pytest.mark.parametrize(("make", "value", "text"), RULES)
def test_a_rule_keeps_the_value(
    board: Board, make: Callable[[Any], Term], value: Callable[..., np.ndarray], text: str | None
) -> None:
    helper = _Helper(board)
    term = make(helper)
    expected = value(**VALUES)
    assert term.shape == expected.shape
    np.testing.assert_allclose(board.value(term), expected, rtol=1e-12, atol=1e-12)
    if text is not None:
        printed = board.text(term)
        assert printed.replace(r"\tfrac{1}{2} ([A > B] + [A \geq B])", "[A > B]") == text


class _Helper:
    """A board with shorthands."""

    def __init__(self, board: Board) -> None:
        self.board, self.algebra, self.ones = board, board.algebra, board.ones

    def __getattr__(self, letter: str) -> Name:
        return self.board.names[letter]

    def ones_row(self, count: int) -> Term:
        return self.algebra.ones((1, count))

    def spread(self, column: Term) -> Term:
        return self.algebra.product(column, self.ones_row(3))

    def sigma(self, term: Term) -> Term:
        return self.algebra.apply("sigmoid", [term])


def test_equal_terms_are_one_object(board: Board) -> None:
    algebra = board.algebra
    assert algebra.add([board.A, board.B]) is algebra.add([board.B, board.A])
    assert algebra.hadamard([(board.A, 1), (board.B, 2)]) is algebra.hadamard([(board.B, 2), (board.A, 1)])
    one = algebra.product(algebra.transpose(board.c), board.c)
    assert algebra.transpose(one) is one


def test_a_name_is_looked_through_only_where_that_shortens(board: Board) -> None:
    algebra = board.algebra
    name = algebra.name(("value", 1), (4, 3), 2)
    algebra.define(name, algebra.add([board.A, board.B]))
    assert algebra.add([algebra.negative(board.B), name]) is board.A
    kept = algebra.add([name, algebra.product(board.A, board.Q)])
    assert name in kept.parts


def test_parts_come_before_what_they_are_parts_of(board: Board) -> None:
    term = board.algebra.product(board.algebra.transpose(board.A), board.algebra.add([board.A, board.B]))
    seen: set[Term] = set()
    for one in ordered([term]):
        assert set(one.parts) <= seen
        seen.add(one)
    assert one is term


def test_a_name_without_a_value_is_said_to_be_one(board: Board) -> None:
    with pytest.raises(ValueError, match="without a value"):
        evaluate([board.A], {}, {})


# ---------------------------------------------------------------------------- print


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (Fraction(1, 3), (["1"], ["3"])),
        (Fraction(1, 10), (["0.1"], [])),
        (Fraction(1, 100000), (["10^{-5}"], [])),
        (Fraction(5, 2), (["5"], ["2"])),
        (Fraction(44715, 1000000), (["0.044715"], [])),
        (Fraction(10) ** 20 * 3, (["300000000000000000000"], [])),
        (Fraction(999998, 7), (["999998"], ["7"])),
        (1 / Fraction("1.4142135623730951"), (["0.7071067811865475"], [])),
        (Fraction(10**400, 3 * 7), (["1" + 400 * "0"], ["21"])),
    ],
)
def test_numbers_keep_the_form_that_people_write(number: Fraction, expected: tuple[list[str], list[str]]) -> None:
    assert number_texts(number, silent=False) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 3, Fraction(1, 3)),
        (-2 / 14, Fraction(-1, 7)),
        (np.float64(100 / 999), Fraction(100, 999)),
        (0.333333, Fraction(333333, 10**6)),
        (math.pi, Fraction("3.141592653589793")),
        (0.1, Fraction(1, 10)),
        (1e22, Fraction(10**22)),
    ],
)
def test_a_float_that_was_computed_as_a_fraction_is_one(board: Board, value: float, expected: Fraction) -> None:
    assert board.algebra.number(value) is board.algebra.number(expected)
    assert float(expected) == value


def test_signs_and_parentheses(board: Board) -> None:
    algebra = board.algebra
    difference = algebra.add([algebra.negative(board.B), board.A])
    assert board.text(difference) == "A - B"
    assert board.text(algebra.product(algebra.transpose(difference), board.A)) == r"(A - B)^\top A"
    assert board.text(algebra.negative(algebra.hadamard([(difference, 1), (board.A, -2)]))) == (
        r"-A^{\circ (-2)} \odot (A - B)"
    )
    assert board.text(algebra.apply("expm1", [board.s])) == "e^s - 1"
    assert board.text(algebra.scaled(1, [(algebra.apply("sin", [board.s]), 2)])) == r"(\sin(s))^2"
    assert board.text(algebra.add([board.s, algebra.number(-3)])) == "s - 3"
    assert board.text(algebra.number(float("-inf"))) == r"-\infty"


def test_which_formulas_need_the_number_of_ones(board: Board) -> None:
    algebra = board.algebra
    row = algebra.product(board.ones(4), algebra.transpose(board.r))
    assert needs_lengths(row, whole=True)
    assert not needs_lengths(row, whole=False)
    assert not needs_lengths(algebra.add([row, board.A]), whole=True)
    assert needs_lengths(algebra.apply("exp", [row]), whole=True)
    summed = algebra.product(algebra.ones((1, 4)), algebra.apply("exp", [row]))
    assert needs_lengths(summed, whole=False)
    assert not needs_lengths(Number(Fraction(1)), whole=True)
