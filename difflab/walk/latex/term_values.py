"""The number that a formula stands for: every term evaluated in NumPy, as it is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...arrays import special_function
from ...primitives.record import REGISTRY, Aval
from .terms import (
    Add,
    Apply,
    Call,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Inverse,
    Name,
    Number,
    Ones,
    Product,
    RowWise,
    Scaled,
    Special,
    Term,
    Transpose,
    Zeros,
    ordered,
)


def _sigmoid(x: Any) -> Any:
    return special_function("expit")(x)


SLOPES: dict[str, Callable] = {
    "sigmoid'": lambda x: _sigmoid(x) * (1 - _sigmoid(x)),
    "tanh'": lambda x: 1 - np.tanh(x) ** 2,
}
"""Functions that no primitive has: they stand for a pattern."""
RELATIONS: dict[str, Callable] = {
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "isfinite": np.isfinite,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "holds": lambda x: np.asarray(x) != 0,
    "fails": lambda x: np.asarray(x) == 0,
    "step": lambda a, b: np.heaviside(a - b, 0.5),
}


def evaluate(terms: list[Term], values: Mapping[Name, Any], definitions: Mapping[Name, Term]) -> list[np.ndarray]:
    """The values of terms as matrices.

    Args:
        terms: the formulas.
        values: arrays by name, of the shapes of the names or with axes of 1 less.
        definitions: names that have a formula, each after those that it needs.

    Returns:
        For each formula an array of exactly its shape.

    Raises:
        ValueError: a value has not the shape of its term.

    Example:
        >>> from difflab.walk.latex.algebra import Algebra
        >>> algebra = Algebra()
        >>> x = algebra.name(("input", 0), (2, 1), 1)
        >>> evaluate([algebra.product(algebra.transpose(x), x)], {x: [3.0, 4.0]}, {})[0].item()
        25.0
    """
    known: dict[Term, np.ndarray] = {name: np.reshape(value, name.shape) for name, value in values.items()}
    with np.errstate(all="ignore"):
        for name, formula in definitions.items():
            known[name] = evaluated(formula, known)
        return [evaluated(term, known) for term in terms]


def evaluated(root: Term, known: dict[Term, np.ndarray]) -> np.ndarray:
    """One formula, after those in ``known``, to which everything inside is added."""
    for term in ordered([root]):
        if term in known:
            continue
        value = np.asarray(_value(term, [known[part] for part in term.parts]))
        if value.shape != term.shape:
            value = np.broadcast_to(value, term.shape)
        known[term] = value
    return known[root]


def _value(term: Term, parts: list[np.ndarray]) -> Any:
    match term:
        case Number():
            return np.full((1, 1), float(term.value))
        case Special():
            return np.full((1, 1), term.value if term.value.imag else term.value.real)
        case Ones():
            return np.ones(term.shape)
        case Identity():
            return np.eye(term.size)
        case Zeros():
            return np.zeros(term.shape)
        case Scaled():
            powers = [power for _, power in term.scalars]
            result = _strong(term.parts, parts, [*powers, 1][: len(parts)])
            return float(term.number) * result
        case Add():
            return sum(parts[1:], parts[0])
        case Product():
            result = parts[0]
            for part in parts[1:]:
                result = result @ part
            return result
        case Transpose():
            return parts[0].T
        case Inverse():
            return np.linalg.inv(parts[0])
        case Hadamard():
            return _strong(term.parts, parts, [power for _, power in term.factors])
        case Apply():
            function = SLOPES.get(term.function) or REGISTRY[term.function].evaluate
            return function(*parts, **dict(term.params))
        case Indicator():
            return RELATIONS[term.relation](*parts).astype(float)
        case RowWise():
            top = parts[0].max(axis=term.axis, keepdims=True)
            powers = np.exp(parts[0] - top)
            total = powers.sum(axis=term.axis, keepdims=True)
            return powers / total if term.function == "softmax" else np.log(total) + top
        case Call():
            arrays = [_as_array(part, aval) for part, aval in zip(parts, term.avals, strict=True)]
            return np.reshape(term.primitive.evaluate(*arrays, **dict(term.params)), term.shape)
        case Diagonal():
            return np.diag(parts[0][:, 0])
        case Inner():
            return np.sum(parts[0] * parts[1]).reshape(1, 1)
    raise ValueError("a name without a value or formula")


def _as_array(value: np.ndarray, aval: Aval) -> np.ndarray:
    """A value in the shape, and if it counts or selects in the dtype, that a primitive was recorded with."""
    value = value.reshape(aval.shape)
    return value.astype(aval.dtype) if aval.dtype.kind in "biu" else value


def _strong(terms: tuple[Term, ...], parts: list[np.ndarray], powers: list[int]) -> np.ndarray:
    """A product of powers in which brackets that are 0 make 0 of anything."""
    result: Any = 1.0
    nothing: Any = False
    for term, part, power in zip(terms, parts, powers, strict=True):
        part = np.asarray(part, complex) if np.iscomplexobj(part) else np.asarray(part, float)
        result = result * part**power
        if isinstance(term, Indicator) and power > 0:
            nothing = nothing | (part == 0)
    return np.where(nothing, 0.0, result)
