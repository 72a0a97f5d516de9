"""Special functions of SciPy on plain, on traced and on CuPy's arrays alike.

SciPy's ufuncs (``scipy.special.erf``, ``expit``, ``gammaln``, ...) work on traced arrays as they are; those that
stand here under the same names take CuPy's as well.  Its functions written in Python do not, so they are written again
here: same arguments, and of plain arrays SciPy's own values.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from . import nn
from .arrays import device_of, is_device_array, namespace, placed, special_function, special_functions
from .errors import InputError, user_location
from .primitives import REGISTRY, arguments
from .primitives.record import Primitive, Traced
from .primitives.special import UFUNCS

__all__ = ["log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax", "softplus", "zeta"]


def __getattr__(name: str) -> Any:
    if name not in _public():
        raise AttributeError(
            f"difflab.special has no {name!r}; it has {', '.join(__all__)} and SciPy's ufuncs {', '.join(_public())}"
        )
    return _with_device(special_function(name), UFUNCS[name])


def _with_device(ufunc: Any, primitive: Primitive) -> Any:
    """SciPy's ufunc, in whose place the primitive takes CuPy's arrays."""

    @functools.wraps(ufunc, assigned=("__name__", "__doc__"))
    def function(*args: Any, **kwargs: Any) -> Any:
        return primitive(*args) if not kwargs and any(map(is_device_array, args)) else ufunc(*args, **kwargs)

    return function


def __dir__() -> list[str]:
    return sorted([*__all__, *_public()])


def _public() -> list[str]:
    return sorted(name for name in UFUNCS if not name.startswith("_"))


def _is_plain(*values: Any) -> bool:
    """Whether SciPy's own function takes the arguments: whether none is traced or CuPy's."""
    return not any(isinstance(value, Traced) or is_device_array(value) for value in values)


def _together(*values: Any) -> list[Any]:
    """Arrays on one side: on the device if one is there; traced ones as they are."""
    device = device_of(values)
    return [value if isinstance(value, Traced) else placed(value, device) for value in values]


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b * exp(a))) along ``axis``, without overflow, as ``scipy.special.logsumexp``.

    Args:
        a: array of any shape, floating, integer or boolean.
        axis: an integer, a tuple of different ones, or None for all.
        b: weights that broadcast against a, of any sign; where one is 0 the element does not count, also if infinite.
        keepdims: whether the reduced axes stay with size 1.
        return_sign: whether to return the logarithm of the sum's magnitude, and the sum's sign.

    Returns:
        Array without the reduced axes, floating; NaN where the sum is negative.  With ``return_sign`` a pair of the
        logarithms of the magnitudes and the signs.

    Raises:
        InputError: axes that a does not have, or without elements.

    Example:
        >>> round(float(logsumexp([1.0, 2.0], b=[-1.0, 1.0])), 6)
        1.541325
    """
    if _is_plain(a, b):
        return special_function("logsumexp")(a, axis, b, keepdims, return_sign)
    if b is None and not return_sign:
        return nn.logsumexp(a, axis, keepdims)
    if b is None:
        result = nn.logsumexp(a, axis, keepdims)
        return result, np.where(result == -np.inf, 0.0, np.ones_like(result))
    a, b = _together(a, b)
    dtype = np.result_type(a.dtype, b.dtype)  # SciPy takes the exponentials in the common dtype
    a = a if a.dtype == dtype else a.astype(dtype)
    counts = np.not_equal(b, 0)
    shape = np.broadcast_shapes(np.shape(a), np.shape(b))
    axes = arguments.axes(axis, shape, "logsumexp")
    level = np.broadcast_to(np.where(counts, a, -np.inf), shape)
    top = nn.stop_gradient(np.max(level, axis=axes, keepdims=True))
    top = np.where(np.isfinite(top), top, np.zeros_like(top))
    total = np.sum(b * np.exp(np.where(counts, a - top, 0.0)) * counts, axis=axes, keepdims=True)
    size = np.abs(total) if return_sign else total
    positive = size > 0
    # SciPy raises no warning for a sum of zero, nor for a negative one.
    outside = np.where(size == 0, np.full_like(size, -np.inf), np.nan)
    result = np.where(positive, np.log(np.where(positive, size, 1.0)) + top, outside)
    kept = result.shape if keepdims else tuple(n for i, n in enumerate(shape) if i not in axes)
    result = np.reshape(result, kept)
    return (result, np.reshape(np.sign(total), kept)) if return_sign else result


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) over its sum along ``axis``, without overflow, as ``scipy.special.softmax``.

    Args:
        x: array of any shape, floating, integer or boolean.
        axis: an integer, a tuple of different ones, or None for all.

    Returns:
        Array of the same shape, summing to 1 along ``axis``; same dtype, float64 from integers and booleans.

    Raises:
        InputError: axes that x does not have, or without elements.

    Example:
        >>> softmax([[0.0, 0.0]])
        array([[0.5, 0.5]])
    """
    return special_function("softmax")(x, axis) if _is_plain(x) else nn.softmax(x, axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of softmax along ``axis``, without overflow, as ``scipy.special.log_softmax``.

    Args:
        x: array of any shape, floating, integer or boolean.
        axis: an integer, a tuple of different ones, or None for all.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Raises:
        InputError: axes that x does not have, or without elements.

    Example:
        >>> log_softmax([1000.0, 0.0])
        array([    0., -1000.])
    """
    if _is_plain(x):
        return special_function("log_softmax")(x, axis)
    return x - nn.logsumexp(x, axis, keepdims=True)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without overflow, as ``scipy.special.softplus``.

    Args:
        x: array of any shape, floating, integer or boolean.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Example:
        >>> round(float(softplus(0.0)), 6)
        0.693147
    """
    return np.logaddexp(0, x)


def _orders(n: Any, name: str) -> np.ndarray:
    """Plain non-negative integers, also written as floats."""
    if not isinstance(n, Traced):
        orders = np.asarray(n)
        if orders.dtype.kind in "iuf" and np.all(orders == np.floor(orders)) and np.all(orders >= 0):
            return orders.astype(int)
    raise InputError(
        f"the order of {name} at {user_location()} is a plain integer from 0 on, or an array of such, not {n!r}"
    )


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of the digamma function, as ``scipy.special.polygamma``.

    Args:
        n: order, a plain non-negative integer or an array of such that broadcasts against x.
        x: array of any shape, floating or integer.

    Returns:
        Array of the broadcast shape, float64.

    Raises:
        InputError: an order that is traced, negative, or no integer.

    Example:
        >>> round(float(polygamma(1, 1.0)), 6)
        1.644934
    """
    if _is_plain(n, x):
        return special_function("polygamma")(n, x)
    orders = _orders(n, "polygamma")
    x = REGISTRY["cast"](x, dtype="<f8") if x.dtype != np.float64 else x
    parts = [(order, REGISTRY["polygamma"](x, order=int(order))) for order in np.unique(orders)]
    result = np.broadcast_to(parts[0][1], np.broadcast_shapes(orders.shape, x.shape))
    for order, part in parts[1:]:
        result = np.where(placed(orders == order, device_of([x])), part, result)
    return result


def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    """Hurwitz' zeta function, the sum of (k + q)**-x over k from 0 on, as ``scipy.special.zeta``.

    Args:
        x: exponent, a plain number or array: there is no derivative in it.
        q: start of the sum, floating; by default 1, which makes it Riemann's function.
        out: as in SciPy, of plain arrays only.

    Returns:
        Array of the broadcast shape.

    Raises:
        InputError: a traced exponent, or a traced array to be written into ``out``.

    Example:
        >>> round(float(zeta(2.0, 1.0)), 6)
        1.644934
    """
    if _is_plain(x, q, out):
        return special_function("zeta")(x, q, out)
    if q is None and is_device_array(x) and out is None:
        return special_functions(namespace(x)).zetac(x) + 1.0
    if out is not None or isinstance(x, Traced):
        raise InputError(
            f"zeta at {user_location()} is differentiated in its second argument only, and writes into no array; give "
            "the exponent as a plain number or array"
        )
    return _hurwitz(x, q)


def _hurwitz(exponent: Any, q: Any) -> Any:
    single = q.dtype == np.float32 and isinstance(exponent, int | float)
    dtype = np.result_type(np.float32 if single else np.float64, q.dtype)
    given = REGISTRY["cast"](exponent, dtype=dtype.str) if is_device_array(exponent) else np.asarray(exponent, dtype)
    return REGISTRY["zeta"](given, REGISTRY["cast"](q, dtype=dtype.str) if q.dtype != dtype else q)


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function, as ``scipy.special.multigammaln``.

    Args:
        a: array of any shape, floating, greater than (d - 1) / 2.
        d: dimension, a positive integer.

    Returns:
        Array of the same shape.

    Raises:
        InputError: a dimension that is no positive integer.

    Example:
        >>> round(float(multigammaln(3.0, 2)), 6)
        1.550195
    """
    if _is_plain(a):
        return special_function("multigammaln")(a, d)
    try:
        count = operator.index(d)
    except TypeError:
        count = 0
    if count < 1:
        raise InputError(f"multigammaln at {user_location()} takes a dimension from 1 on, not {d!r}")
    total = REGISTRY["gammaln"](a - 0.0)
    for k in range(1, count):
        total = total + REGISTRY["gammaln"](a - 0.5 * k)
    return total + 0.25 * count * (count - 1) * np.log(np.pi)  # as in SciPy no weak number
