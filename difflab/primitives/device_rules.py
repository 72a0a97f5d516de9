"""Values on a GPU where CuPy has no function, or one that gives others than NumPy's.

All take ``xp``, which is ``cupy``, and compute on the device alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import UnsupportedError


def _turned(rest: Any, b: Any) -> Any:
    """Where the remainder by truncation is not that by rounding down: it has the other sign than the divisor."""
    return (rest != 0) & ((b < 0) != (rest < 0))


def remainder(xp: Any, a: Any, b: Any) -> Any:
    """NumPy's remainder, exact by ``fmod``; CuPy's subtracts a rounded product.

    Args:
        xp: ``cupy``.
        a: numbers of any shape.
        b: divisors that broadcast against a, of its dtype.

    Returns:
        An array of the dtype.

    Example:
        >>> remainder(np, np.array([1.0, -1.0]), np.array([0.1, np.inf]))
        array([0.1, inf])
    """
    if not xp.isdtype(a.dtype, "real floating"):
        return xp.remainder(a, b)
    rest = xp.fmod(a, b)
    return xp.where(rest == 0, xp.copysign(rest, b), xp.where(_turned(rest, b), rest + b, rest))


def floor_divide(xp: Any, a: Any, b: Any) -> Any:
    """NumPy's quotient, the whole number next to what is left without the remainder; CuPy's is rounded before.

    Args:
        xp: ``cupy``.
        a: numbers of any shape.
        b: divisors that broadcast against a, of its dtype.

    Returns:
        An array of the dtype.

    Example:
        >>> floor_divide(np, np.array([1.0]), np.array([0.1]))
        array([9.])
    """
    if not xp.isdtype(a.dtype, "real floating"):
        return xp.floor_divide(a, b)
    if a.dtype == np.float16:  # as NumPy does
        return floor_divide(xp, a.astype(np.float32), b.astype(np.float32)).astype(np.float16)
    rest = xp.fmod(a, b)
    quotient = (a - rest) / b
    quotient = xp.where(_turned(rest, b), quotient - 1, quotient)
    whole = xp.floor(quotient)
    whole = xp.where(quotient - whole > 0.5, whole + 1, whole)
    return xp.where(b == 0, a / b, xp.where(quotient == 0, xp.copysign(quotient, a / b), whole))


def power(xp: Any, x: Any, p: Any) -> Any:
    """NumPy's power, also of a complex 0, whose logarithm makes NaN of CuPy's.

    Args:
        xp: ``cupy``.
        x: numbers of any shape.
        p: exponents that broadcast against x, of its dtype.

    Returns:
        An array of the dtype.

    Example:
        >>> power(np, np.array([0j]), np.array([2 + 0j]))
        array([0.+0.j])
    """
    result = xp.power(x, p)
    if not xp.isdtype(x.dtype, "complex floating"):
        return result
    return xp.where((x == 0) & (p.real > 0) & (p.imag == 0), x.dtype.type(0), result)


def integer_power(xp: Any, x: Any, *, n: int) -> Any:
    """The power with a plain exponent; of complex numbers by products, as NumPy does it.

    Args:
        xp: ``cupy``.
        x: numbers of any shape.
        n: exponent.

    Returns:
        An array of the shape and dtype of x.

    Example:
        >>> integer_power(np, np.array([0j, 2 + 0j]), n=3)
        array([0.+0.j, 8.+0.j])
    """
    if not xp.isdtype(x.dtype, "complex floating"):
        return xp.power(x, n)
    result, square, left = xp.ones_like(x), x, abs(n)
    while left:
        result = result * square if left & 1 else result
        square, left = square * square if left > 1 else square, left >> 1
    return 1 / result if n < 0 else result


def expm1(xp: Any, x: Any) -> Any:
    """``exp(x) - 1`` without the cancellation near 0 that CuPy's has for complex numbers.

    Args:
        xp: ``cupy``.
        x: numbers of any shape.

    Returns:
        An array of the shape and dtype of x.

    Example:
        >>> expm1(np, np.array([1e-20 + 0j]))
        array([1.e-20+0.j])
    """
    if not xp.isdtype(x.dtype, "complex floating"):
        return xp.expm1(x)
    half = xp.sin(0.5 * x.imag)
    result = xp.empty_like(x)
    result.real[...] = xp.expm1(x.real) * xp.cos(x.imag) - 2 * half * half
    result.imag[...] = xp.exp(x.real) * xp.sin(x.imag)
    return result


def truth(name: str) -> Any:
    """The rule of a logical function, which CuPy does not have for complex numbers.

    Args:
        name: of CuPy's function.

    Returns:
        A rule ``device(xp, *operands)``.

    Example:
        >>> truth("logical_not")(np, np.array([0j, 1j]))
        array([ True, False])
    """

    def device(xp: Any, *operands: Any) -> Any:
        return getattr(xp, name)(*[one != 0 if xp.isdtype(one.dtype, "complex floating") else one for one in operands])

    return device


STEP = 0.2
"""The distance of samples in Dawson's integral; what is left out is below exp(-(pi / 2 / STEP)**2)."""


def dawsn(xp: Any, x: Any) -> Any:
    """Dawson's integral, exp(-x * x) times the integral of exp(t * t) from 0 to x.

    Source: Rybicki (1989), Dawson's integral and the sampling theorem; near 0 and beyond 10 the series 7.6.2 and
    7.12.1 of the NIST Digital Library of Mathematical Functions.

    Args:
        xp: ``cupy``.
        x: real numbers of any shape.

    Returns:
        An array of the shape and dtype of x.

    Raises:
        UnsupportedError: complex numbers.

    Example:
        >>> dawsn(np, np.array([0.0, 1.0])).round(6)
        array([0.     , 0.53808])
    """
    if not xp.isdtype(x.dtype, "real floating"):
        raise UnsupportedError(f"CuPy has no dawsn of {x.dtype.name} numbers; use device 'cpu'")
    wide = x.astype(np.float64)
    size = xp.absolute(wide)
    low, middle, high = xp.minimum(size, 0.5), xp.clip(size, 0.5, 10.0), xp.maximum(size, 10.0)
    near = xp.ones_like(low)
    for k in range(14, 0, -1):
        near = 1.0 - near * (2.0 * low * low / (2 * k + 1))
    far, inverse = xp.ones_like(high), 0.5 / high / high
    for k in range(14, 0, -1):
        far = 1.0 + far * ((2 * k - 1) * inverse)
    origin = 2.0 * xp.rint(middle / (2.0 * STEP))
    rest, total = middle - origin * STEP, xp.zeros_like(middle)
    for n in range(-31, 32, 2):
        total = total + xp.exp(-((rest - n * STEP) ** 2)) / (n + origin)
    between = xp.where(size > 10.0, 0.5 / high * far, total / math.sqrt(math.pi))
    return xp.copysign(xp.where(size < 0.5, low * near, between), wide).astype(x.dtype)
