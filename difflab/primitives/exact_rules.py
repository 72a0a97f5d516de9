"""How primitives that choose, or that have no scalar function of their own, run in exact arithmetic.

Each rule is a plain function ``rule(arithmetic, *arrays, **params)``, written once and used for balls and for
symbols alike: all that differs between the two is asked of ``arithmetic``, which offers

``number(x)``, ``numbers(array)``      an exact number, an object array of exact numbers (bools become 0 and 1)
``scalar(name)``                       a function of object arrays, element by element, with broadcasting
``compare(name, a, b)``                an array of conditions; balls decide or raise ``UndecidedError``
``logical(name, *conditions)``         "and", "or", "not"
``test(name, x)``                      "isnan", "isinf", "isfinite"
``select(conditions, values, default)`` the value of the first condition that holds
``larger(a, b)``, ``largest(values)``  maximum with equal shares of the derivative among ties
``at_first_largest(keys, payloads)``    for each list of payloads the one that stands where the first largest key stands
``integers(array)``, ``conditions(array)`` back to integers and to conditions
``matmul(a, b)``, ``sum(values)``      contractions

NumPy's own ``maximum``, ``max``, ``where`` and ``sort`` must never see a ball: they ask ``a > b``, which a ball
answers with "certainly true, else False", and so certify the wrong branch without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def _comparison(name: str) -> Callable[[Any, Array, Array], Array]:
    def rule(arithmetic: Any, a: Array, b: Array) -> Array:
        return arithmetic.compare(name, a, b)

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"Conditions of ``{name}``, decided or an ``UndecidedError``."
    return rule


greater = _comparison("greater")
greater_equal = _comparison("greater_equal")
less = _comparison("less")
less_equal = _comparison("less_equal")
equal = _comparison("equal")
not_equal = _comparison("not_equal")


def logical_and(arithmetic: Any, a: Array, b: Array) -> Array:
    """Both conditions."""
    return arithmetic.logical("and", a, b)


def logical_or(arithmetic: Any, a: Array, b: Array) -> Array:
    """Either condition."""
    return arithmetic.logical("or", a, b)


def logical_not(arithmetic: Any, a: Array) -> Array:
    """The opposite condition."""
    return arithmetic.logical("not", a)


def isnan(arithmetic: Any, x: Array) -> Array:
    """Whether each element is not a number."""
    return arithmetic.test("isnan", x)


def isinf(arithmetic: Any, x: Array) -> Array:
    """Whether each element is infinite."""
    return arithmetic.test("isinf", x)


def isfinite(arithmetic: Any, x: Array) -> Array:
    """Whether each element is finite."""
    return arithmetic.test("isfinite", x)


# ---------------------------------------------------------------------------- choices, element by element


def where(arithmetic: Any, condition: Array, a: Array, b: Array) -> Array:
    """The taken branch only; the other one may be anything, also NaN."""
    return arithmetic.select([condition], [a], b)


def maximum(arithmetic: Any, a: Array, b: Array) -> Array:
    """The larger one; ties share the derivative equally."""
    return arithmetic.larger(a, b)


def minimum(arithmetic: Any, a: Array, b: Array) -> Array:
    """The smaller one; ties share the derivative equally."""
    negative = arithmetic.scalar("negative")
    return negative(arithmetic.larger(negative(a), negative(b)))


def absolute(arithmetic: Any, x: Array) -> Array:
    """``|x|`` with derivative 0 at 0."""
    zero = arithmetic.number(0)
    conditions = [arithmetic.compare("greater", x, zero), arithmetic.compare("less", x, zero)]
    return arithmetic.select(conditions, [x, arithmetic.scalar("negative")(x)], zero)


def sign(arithmetic: Any, x: Array) -> Array:
    """1, -1 or 0."""
    zero, one, minus_one = map(arithmetic.number, (0, 1, -1))
    conditions = [arithmetic.compare("greater", x, zero), arithmetic.compare("less", x, zero)]
    return arithmetic.select(conditions, [one, minus_one], zero)


def relu(arithmetic: Any, x: Array) -> Array:
    """``x`` where positive, else 0, with derivative 0 at 0."""
    zero = arithmetic.number(0)
    return arithmetic.select([arithmetic.compare("greater", x, zero)], [x], zero)


def floor(arithmetic: Any, x: Array) -> Array:
    """The next integer below; derivative 0."""
    return arithmetic.scalar("floor")(x)


def ceil(arithmetic: Any, x: Array) -> Array:
    """The next integer above; derivative 0."""
    return arithmetic.scalar("ceil")(x)


def cast(arithmetic: Any, x: Array, *, dtype: Any) -> Array:
    """Nothing between floats (rounding is the dtype's error, not the truth); a choice towards int and bool."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return arithmetic.conditions(x)
    if kind in "iu":
        return arithmetic.integers(x)
    return arithmetic.numbers(x)


def stop_gradient(arithmetic: Any, x: Array) -> Array:
    """The same value, a constant to every derivative."""
    return arithmetic.scalar("stop_gradient")(x)


def copy(arithmetic: Any, x: Array) -> Array:
    """The same value."""
    return x


def zeros_like(arithmetic: Any, x: Array) -> Array:
    """Exact zeros."""
    return arithmetic.numbers(np.zeros(x.shape, dtype=np.int64))


# ---------------------------------------------------------------------------- choices along axes


def max(arithmetic: Any, x: Array, *, axes: tuple[int, ...]) -> Array:
    """The largest along ``axes``; ties share the derivative equally."""
    return arithmetic.largest(_candidates(x, axes))


def min(arithmetic: Any, x: Array, *, axes: tuple[int, ...]) -> Array:
    """The smallest along ``axes``; ties share the derivative equally."""
    negative = arithmetic.scalar("negative")
    return negative(arithmetic.largest(_candidates(negative(x), axes)))


def argmax(arithmetic: Any, x: Array, *, axis: int) -> Array:
    """The index of the first largest element along ``axis``."""
    merged = _candidates(x, (axis,))
    candidates = [merged[k, ...] for k in range(len(merged))]
    indices = [_filled(candidate.shape, k) for k, candidate in enumerate(candidates)]
    return arithmetic.integers(arithmetic.at_first_largest(candidates, [indices])[0])


def argmin(arithmetic: Any, x: Array, *, axis: int) -> Array:
    """The index of the first smallest element along ``axis``."""
    return argmax(arithmetic, arithmetic.scalar("negative")(x), axis=axis)


def max_pool(arithmetic: Any, x: Array, *, size: Any, stride: Any) -> Array:
    """Largest of each window; the derivative goes to the first (row-major) of tied elements."""
    views = [x[place] for place in _places(x.shape, size, stride)]
    return arithmetic.at_first_largest(views, [views])[0]


def pool_select(arithmetic: Any, t: Array, x: Array, y: Array, *, size: Any, stride: Any) -> Array:
    """``t`` at the first maximum of each window of ``x``."""
    places = _places(x.shape, size, stride)
    return arithmetic.at_first_largest([x[place] for place in places], [[t[place] for place in places]])[0]


def pool_route(arithmetic: Any, g: Array, x: Array, y: Array, *, size: Any, stride: Any) -> Array:
    """``g`` sent to the first maximum of each window of ``x``, zeros elsewhere; overlapping windows add up."""
    places = _places(x.shape, size, stride)
    zero = zeros_like(arithmetic, g)
    sent = [[g if k == other else zero for other in range(len(places))] for k in range(len(places))]
    result = zeros_like(arithmetic, x)
    for place, part in zip(places, arithmetic.at_first_largest([x[place] for place in places], sent), strict=True):
        result[place] = result[place] + part
    return result


# ---------------------------------------------------------------------------- no choice, but no move either


def integer_power(arithmetic: Any, x: Array, *, n: int) -> Array:
    """``x**n`` for a static integer ``n``; ``x**0`` is 1 everywhere."""
    if n == 0:
        return arithmetic.numbers(np.ones(x.shape, dtype=np.int64))
    return arithmetic.scalar("integer_power")(x, _filled((), n))


def matmul(arithmetic: Any, a: Array, b: Array) -> Array:
    """Matrix product over the last two axes, batch axes broadcast."""
    return arithmetic.matmul(a, b)


def sum(arithmetic: Any, x: Array, *, axes: tuple[int, ...]) -> Array:
    """The sum along ``axes``; 0 where there is nothing to add."""
    return arithmetic.sum(_candidates(x, axes)) if axes else x


def _function(name: str) -> Callable[..., Array]:
    def rule(arithmetic: Any, *operands: Array) -> Array:
        return arithmetic.scalar(name)(*operands)

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"``{name}`` as the arithmetic computes it."
    return rule


divide = _function("divide")
reciprocal = _function("reciprocal")
power = _function("power")
sigmoid = _function("sigmoid")
sqrt = _function("sqrt")
square = _function("square")
logaddexp = _function("logaddexp")
hypot = _function("hypot")
arctan2 = _function("arctan2")


# ---------------------------------------------------------------------------- helpers


def _filled(shape: tuple[int, ...], value: int) -> Array:
    """An object array holding one Python int everywhere."""
    result = np.empty(shape, dtype=object)
    result.fill(value)
    return result


def _candidates(x: Array, axes: tuple[int, ...]) -> Array:
    """``x`` with ``axes`` merged into one leading axis, in row-major order: a sequence of arrays to choose from."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    moved = x.transpose(tuple(axes) + kept)
    return moved.reshape((-1, *[x.shape[axis] for axis in kept])) if moved.size else _empty(x, axes, kept)


def _empty(x: Array, axes: tuple[int, ...], kept: tuple[int, ...]) -> Array:
    """``_candidates`` of an array without elements, where -1 is ambiguous."""
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=int))
    return np.empty((count, *[x.shape[axis] for axis in kept]), dtype=object)


def _places(shape: tuple[int, ...], size: Any, stride: Any) -> list[tuple[slice, ...]]:
    """For every position inside a window (row-major) the strided view of all windows, for an NHWC array."""
    kh, kw = (size, size) if isinstance(size, int) else size
    sh, sw = (stride, stride) if isinstance(stride, int) else stride
    rows, columns = (shape[1] - kh) // sh + 1, (shape[2] - kw) // sw + 1
    every = slice(None)
    return [
        (every, slice(i, i + (rows - 1) * sh + 1, sh), slice(j, j + (columns - 1) * sw + 1, sw), every)
        for i in range(kh)
        for j in range(kw)
    ]
