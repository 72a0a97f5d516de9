"""Medians, quantiles, percentiles: elements of the sorted array, or two neighbours and what lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced, composite
from ..promotion import is_weak
from .common import NOTHING, asked, implements, keep, lifted, normal_axes, refuse
from .order import in_order
from .reductions import merged
from .selection import take_along_axis

# Hyndman and Fan (1996), Sample quantiles in statistical packages: h = n q + alpha + q (1 - alpha - beta).
PLOTTING = {
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
ONE_ELEMENT = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
METHODS = (*ONE_ELEMENT, *PLOTTING, "averaged_inverted_cdf", "linear", "midpoint")


def _place(n: Any, q: Any, method: str) -> Any:
    """The place in the sorted array, counted from 0, where a method that takes one element finds it."""
    if method in ("lower", "higher", "nearest"):
        return {"lower": np.floor, "higher": np.ceil, "nearest": np.round}[method]((n - 1) * q)
    h = n * q - (1.0 if method == "inverted_cdf" else 1.5)
    low = np.floor(h)
    whole = np.equal(h, low)
    if method == "closest_observation":  # of two that are equally close the even one, counted from 1
        whole = np.logical_and(whole, np.equal(low - 2 * np.floor(low / 2), 1))
    return np.maximum(low + np.where(whole, 0.0, 1.0), 0.0)


def _between(n: Any, q: Any, method: str) -> tuple[Any, Any]:
    """The next lower place in the sorted array, and the weight of the neighbour above."""
    if method == "linear":
        h = (n - 1) * q
    elif method == "midpoint":
        h = 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q))
    elif method == "averaged_inverted_cdf":
        h = n * q - 1
    else:
        alpha, beta = PLOTTING[method]
        h = n * q + (alpha + q * (1 - alpha - beta)) - 1
    low = np.floor(h)
    if method == "midpoint":
        return low, np.where(np.equal(h, low), 0.0, 0.5)
    if method == "averaged_inverted_cdf":
        return low, np.where(np.equal(h, low), 0.5, 1.0)
    return low, h - low


def _index(place: Any, bottom: Any, top: Any) -> Any:
    return np.minimum(np.maximum(place, bottom), top).astype(np.int64)


def _picked(x: Any, order: Any, place: Any, each: bool) -> Any:
    """Elements by their places (m, ...) in the sorted lines of ``x``; ``each`` line may have places of its own."""
    index = take_along_axis(order, np.moveaxis(place, 0, -1), -1) if each else np.take(order, place, axis=-1)
    return np.moveaxis(take_along_axis(x, index, -1), -1, 0)


@composite("quantile")
def _quantile(x, q, *, method, each, weak):
    """Of the lines of ``x`` (..., n) at every ``q`` (m,): an array (m, ...); a ``weak`` q leaves its dtype as it is."""
    order = in_order(x)
    n: Any = x.shape[-1]
    bottom = 0
    if each:  # NaN stands last and does not count
        n = np.sum(np.logical_not(np.isnan(x)), axis=-1)
        bottom = np.minimum(n - 1, 0)  # where nothing counts, the last element is NaN
        q = np.reshape(q, (*q.shape, *(1,) * (x.ndim - 1)))
    top = n - 1
    if method in ONE_ELEMENT:
        result = _picked(x, order, _index(_place(n, q, method), bottom, top), each)
    else:
        low, weight = _between(n, q, method)
        weights = [weight, 1 - weight]  # the second rounded once, from the wider dtype
        if weak and x.dtype.kind == "f":
            weights = [one.astype(x.dtype) for one in weights]
        if not each:
            weights = [np.reshape(one, (-1, *(1,) * (x.ndim - 1))) for one in weights]
        below = _picked(x, order, _index(low, bottom, top), each)
        above = _picked(x, order, _index(low + 1, bottom, top), each)
        result = _lerp(below, above, *weights)
    if each or x.dtype.kind != "f":
        return result
    last = _picked(x, order, np.array([n - 1]), False)
    return np.where(np.isnan(last), last, result)


def _lerp(below: Any, above: Any, weight: Any, rest: Any) -> Any:
    """From the nearer end, so that rounding never leaves the interval."""
    step = above - below
    return np.where(weight >= 0.5, above - step * rest, below + step * weight)


def _lines(a: Any, axis: Any, name: str, *others: Any) -> tuple[Any, Any, tuple[int, ...]]:
    a = lifted(a, *others)[0]
    axes = normal_axes(axis, a.ndim, name)
    return a, merged(a, axes), axes


def _quantiles(name: str, scale: int, each: bool):
    def run(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=NOTHING, *, weights=None):
        refuse(name, weights=weights)
        if method not in METHODS:
            raise TraceError(f"np.{name} at {user_location()}: method {method!r} is none of {', '.join(METHODS)}")
        a, x, axes = _lines(a, axis, name, q)
        if a.dtype.kind == "c":
            raise TraceError(
                f"np.{name} at {user_location()}: nothing lies between complex numbers; take real parts or magnitudes"
            )
        weak, traced = is_weak(q), isinstance(q, Traced)
        q = q if traced else np.asarray(q)
        if scale != 1:
            q = q / scale
        elif not traced and q.dtype.kind in "iub" and method == "linear":
            method = "lower"  # 0 and 1 are elements themselves
        if not traced and not np.all((q >= 0) & (q <= 1)):
            raise TraceError(f"np.{name} at {user_location()}: q is to lie between 0 and {scale}")
        if not x.shape[-1]:
            return np.mean(a, axis=axes, keepdims=asked(keepdims)) + np.zeros((*q.shape, *(1,) * a.ndim))
        result = _quantile(x, np.reshape(q, (-1,)), method=method, each=each, weak=weak)
        kept = tuple(1 if k in axes else size for k, size in enumerate(a.shape))
        return np.reshape(result, (*q.shape, *(kept if asked(keepdims) else x.shape[:-1])))

    return run


implements(np.quantile)(_quantiles("quantile", 1, False))
implements(np.percentile)(_quantiles("percentile", 100, False))
implements(np.nanquantile)(_quantiles("nanquantile", 1, True))
implements(np.nanpercentile)(_quantiles("nanpercentile", 100, True))


@composite("median")
def _median(x, *, each):
    """The mean of the two elements in the middle, which may be one."""
    order = in_order(x)
    if each:
        n: Any = np.sum(np.logical_not(np.isnan(x)), axis=-1, keepdims=True)
        middle = [take_along_axis(x, take_along_axis(order, place, -1), -1)[..., 0] for place in ((n - 1) // 2, n // 2)]
        return (middle[0] + middle[1]) / 2
    size = x.shape[-1]
    result = np.mean(take_along_axis(x, order[..., (size - 1) // 2 : size // 2 + 1], -1), axis=-1)
    if x.dtype.kind not in "fc":
        return result
    last = take_along_axis(x, order[..., size - 1 :], -1)[..., 0]
    return np.where(np.isnan(last), last, result)


def _medians(name: str, each: bool):
    def run(a, axis=None, out=None, overwrite_input=False, keepdims=NOTHING):
        a, x, axes = _lines(a, axis, name)
        if not x.shape[-1]:
            return np.mean(a, axis=axes, keepdims=asked(keepdims))
        return keep(_median(x, each=each and x.dtype.kind in "fc"), a.shape, axes, keepdims)

    return run


implements(np.median)(_medians("median", False))
implements(np.nanmedian)(_medians("nanmedian", True))
