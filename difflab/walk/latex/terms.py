"""Matrix formulas as data: what a formula is made of, with the shape of every part.

Everything is a matrix: a vector of n elements is n by 1, a number is 1 by 1, and arrays of three axes or more keep
their shape and know only what acts element by element.  Terms are compared by identity; ``algebra.Algebra`` makes them
and hands out the same object for the same term.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

from ...primitives.record import Aval, Primitive

Shape: TypeAlias = tuple[int, ...]
SCALAR: Shape = (1, 1)


def matrix_shape(shape: Shape) -> Shape:
    """The shape of an array as a matrix: numbers 1 by 1, vectors n by 1, more than two axes as they are.

    Example:
        >>> matrix_shape(()), matrix_shape((3,)), matrix_shape((2, 3)), matrix_shape((1, 1, 1)), matrix_shape((2, 1, 3))
        ((1, 1), (3, 1), (2, 3), (1, 1), (2, 1, 3))
    """
    if all(size == 1 for size in shape):
        return SCALAR
    return (shape[0], 1) if len(shape) == 1 else shape


def _said(terms: Sequence[Term]) -> str:
    """Terms with their shapes, for an error."""
    from .saying import said  # at an error alone: what prints terms imports them

    return " and ".join(map(said, terms))


def _joint(terms: tuple[Term, ...], what: str) -> Shape:
    """The one shape of terms that are combined element by element; numbers go with everything."""
    shapes = {term.shape for term in terms} - {SCALAR}
    if len(shapes) > 1:
        raise ValueError(f"{what} of {_said(terms)}, whose shapes differ")
    return shapes.pop() if shapes else SCALAR


@dataclass(frozen=True, eq=False)
class Name:
    """A symbol: an argument, a constant, the length of an axis, or a value that has a formula of its own.

    ``key`` tells it apart: ("input", 3), ("value", 17) and so on; ``rank`` is the number of axes of the array that it
    stands for.
    """

    key: tuple[str, int]
    shape: Shape
    rank: int

    parts = ()


@dataclass(frozen=True, eq=False)
class Number:
    """A number, exactly."""

    value: Fraction

    parts = ()
    shape = SCALAR


@dataclass(frozen=True, eq=False)
class Special:
    """A number without an exact fraction: an infinity, NaN, or a complex number."""

    value: complex

    parts = ()
    shape = SCALAR


@dataclass(frozen=True, eq=False)
class Ones:
    """The vector of ones, n by 1; or an array of ones of three axes or more."""

    shape: Shape

    parts = ()


@dataclass(frozen=True, eq=False)
class Identity:
    """The identity matrix."""

    size: int

    parts = ()

    @property
    def shape(self) -> Shape:
        """Square."""
        return self.size, self.size


@dataclass(frozen=True, eq=False)
class Zeros:
    """Zeros of any shape but that of a number."""

    shape: Shape

    parts = ()


@dataclass(frozen=True, eq=False)
class Scaled:
    """``number`` times powers of scalar terms times ``body``, which is ``None`` in a product of numbers alone."""

    number: Fraction
    scalars: tuple[tuple[Term, int], ...]
    body: Term | None

    def __post_init__(self) -> None:
        small = self.body is not None and self.body.shape == SCALAR
        if small or any(term.shape != SCALAR for term, _ in self.scalars):
            raise ValueError("in front of a matrix stand numbers, and no number stands behind them")

    @property
    def parts(self) -> tuple[Term, ...]:
        """Terms inside."""
        return (*[term for term, _ in self.scalars], *(() if self.body is None else (self.body,)))

    @property
    def shape(self) -> Shape:
        """That of the body."""
        return SCALAR if self.body is None else self.body.shape


@dataclass(frozen=True, eq=False)
class Add:
    """A sum of terms of one shape."""

    parts: tuple[Term, ...]

    def __post_init__(self) -> None:
        if len({term.shape for term in self.parts}) != 1 or len(self.parts) < 2:
            raise ValueError(f"a sum of {_said(self.parts)}, which are not several terms of one shape")

    @property
    def shape(self) -> Shape:
        """That of each term."""
        return self.parts[0].shape


@dataclass(frozen=True, eq=False)
class Product:
    """A product of matrices."""

    parts: tuple[Term, ...]

    def __post_init__(self) -> None:
        shapes = [term.shape for term in self.parts]
        fits = all(len(shape) == 2 for shape in shapes) and len(shapes) > 1
        if not fits or any(a[1] != b[0] for a, b in pairwise(shapes)):
            raise ValueError(f"a product of {_said(self.parts)}, whose shapes do not fit")

    @property
    def shape(self) -> Shape:
        """Rows of the first, columns of the last."""
        return self.parts[0].shape[0], self.parts[-1].shape[1]


@dataclass(frozen=True, eq=False)
class Transpose:
    """A matrix transposed."""

    body: Term

    def __post_init__(self) -> None:
        if len(self.body.shape) != 2:
            raise ValueError(f"a transpose of {_said([self.body])}, which is no matrix")

    @property
    def parts(self) -> tuple[Term, ...]:
        """What is transposed."""
        return (self.body,)

    @property
    def shape(self) -> Shape:
        """The other way round."""
        return self.body.shape[1], self.body.shape[0]


@dataclass(frozen=True, eq=False)
class Inverse:
    """The inverse of a square matrix."""

    body: Term

    def __post_init__(self) -> None:
        if len(self.body.shape) != 2 or self.body.shape[0] != self.body.shape[1]:
            raise ValueError(f"an inverse of {_said([self.body])}, which is no square matrix")

    @property
    def parts(self) -> tuple[Term, ...]:
        """What is inverted."""
        return (self.body,)

    @property
    def shape(self) -> Shape:
        """As it was."""
        return self.body.shape


@dataclass(frozen=True, eq=False)
class Hadamard:
    """A product element by element, of whole powers.

    A factor that is an ``Indicator`` is strongly zero, as Iverson's brackets are: 0 times anything, also times what is
    infinite or undefined there.
    """

    factors: tuple[tuple[Term, int], ...]

    def __post_init__(self) -> None:
        if len({term.shape for term, _ in self.factors}) != 1 or not self.factors:
            raise ValueError(f"an element-wise product of {_said(self.parts)}, whose shapes differ")

    @property
    def parts(self) -> tuple[Term, ...]:
        """The factors without their exponents."""
        return tuple([term for term, _ in self.factors])

    @property
    def shape(self) -> Shape:
        """That of each factor."""
        return self.factors[0][0].shape


@dataclass(frozen=True, eq=False)
class Apply:
    """A function, element by element; ``params`` are static. A number among matrices goes with every element."""

    function: str
    parts: tuple[Term, ...]
    params: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _joint(self.parts, f"{self.function} element by element")

    @property
    def shape(self) -> Shape:
        """That of the operands."""
        return _joint(self.parts, self.function)


@dataclass(frozen=True, eq=False)
class Indicator:
    """1 where a relation holds and 0 elsewhere; of "step" a half where both sides are equal."""

    relation: str
    parts: tuple[Term, ...]

    def __post_init__(self) -> None:
        _joint(self.parts, f"[{self.relation}]")

    @property
    def shape(self) -> Shape:
        """That of the operands."""
        return _joint(self.parts, self.relation)


@dataclass(frozen=True, eq=False)
class RowWise:
    """A function of each row of a matrix, or of a whole vector: "softmax" or "logsumexp".

    ``axis`` is 1 for rows of a matrix, 0 for columns; softmax keeps the shape, logsumexp has one number for each.
    """

    function: str
    body: Term
    axis: int

    @property
    def parts(self) -> tuple[Term, ...]:
        """The matrix."""
        return (self.body,)

    @property
    def shape(self) -> Shape:
        """That of the operand, or with 1 in place of the axis."""
        rows, columns = self.body.shape
        if self.function == "softmax":
            return rows, columns
        return (rows, 1) if self.axis == 1 else (1, columns)


@dataclass(frozen=True, eq=False)
class Call:
    """Any primitive, as a function of arrays with a name.

    ``avals`` tell shapes and dtypes of the operands as arrays, ``result`` the shape of the result.
    """

    primitive: Primitive
    params: tuple[tuple[str, Any], ...]
    parts: tuple[Term, ...]
    avals: tuple[Aval, ...]
    result: Shape

    def __post_init__(self) -> None:
        if [matrix_shape(aval.shape) for aval in self.avals] != [term.shape for term in self.parts]:
            raise ValueError(f"{self.primitive.name} of {self.avals} is given {[term.shape for term in self.parts]}")

    @property
    def shape(self) -> Shape:
        """The array's, as a matrix."""
        return matrix_shape(self.result)


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The diagonal matrix of a vector."""

    body: Term

    def __post_init__(self) -> None:
        if len(self.body.shape) != 2 or self.body.shape[1] != 1:
            raise ValueError(f"a diagonal matrix of {_said([self.body])}, which is no vector")

    @property
    def parts(self) -> tuple[Term, ...]:
        """The vector."""
        return (self.body,)

    @property
    def shape(self) -> Shape:
        """Square."""
        return self.body.shape[0], self.body.shape[0]


@dataclass(frozen=True, eq=False)
class Inner:
    """The inner product of two arrays of one shape; of one with itself the square of its norm."""

    parts: tuple[Term, Term]

    def __post_init__(self) -> None:
        if self.parts[0].shape != self.parts[1].shape:
            raise ValueError(f"an inner product of {_said(self.parts)}, whose shapes differ")

    shape = SCALAR


Term: TypeAlias = (
    Name | Number | Special | Ones | Identity | Zeros | Scaled | Add | Product | Transpose | Inverse | Hadamard | Apply
    | Indicator | RowWise | Call | Diagonal | Inner
)  # fmt: skip


def ordered(roots: list[Term]) -> Iterator[Term]:
    """Every term under ``roots`` once, parts before what they are parts of."""
    done: set[Term] = set()
    for root in roots:
        waiting = [(root, False)]
        while waiting:
            term, open_ = waiting.pop()
            if term in done:
                continue
            if open_:
                done.add(term)
                yield term
            else:
                waiting.append((term, True))
                waiting.extend((part, False) for part in reversed(term.parts))
