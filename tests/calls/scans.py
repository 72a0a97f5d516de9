"""Calls of NumPy's functions: reductions, scans, order, statistics, sampled functions, polynomials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from difflab.errors import TraceError

MASK = np.array([[True, False, True, True], [True, True, False, True], [False, True, True, True]])
WHOLE: Any = np.array([2, 0, 2, 1])


def hollow(x: Any) -> Any:
    """x with NaN in some places."""
    return np.where(MASK, x, np.nan)


def declined(function: Callable, x: Any) -> Any:
    """x itself, after the function took it, or refused it if it is traced."""
    if isinstance(x, np.ndarray | np.generic):
        function(x)
    else:
        with pytest.raises(TraceError, match="counts have no derivative"):
            function(x)
    return x


QUANTILES = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
)  # fmt: skip


def _by_method(method: Any) -> Callable[..., Any]:
    q = [[0.0, 0.2], [0.5, 0.95]]
    return lambda x, y, v, s: np.quantile(x, q, axis=0, method=method) + np.quantile(v, 0.6, method=method)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "prod": lambda x, y, v, s: np.prod(x) + x.prod(axis=0) + np.prod(y, axis=-1, keepdims=True) + np.prod(s),
    "prod axes": lambda x, y, v, s: np.prod(x, axis=(0, -1)) + np.multiply.reduce(y) + np.multiply.reduce(x, axis=None),
    "prod dtype": lambda x, y, v, s: np.prod(x, dtype="f8") + np.prod(np.array([2, 3]) * (v[:2] > 0)) * s,
    "prod of part ~": lambda x, y, v, s: (
        np.prod(x, axis=1, where=MASK, initial=2.0) * np.prod(y, initial=s, where=x > 1)
    ),
    "sum of part ~": lambda x, y, v, s: np.sum(x, axis=1, where=MASK) + np.sum(y, 0, initial=s, where=y > 1)[:3],
    "sum from ~": lambda x, y, v, s: np.sum(x, initial=3) + x.sum(0, initial=s, keepdims=True),
    "max of part": lambda x, y, v, s: np.max(x, axis=0, where=MASK, initial=0.7) + x.max(initial=s) + y.max((0, 1)),
    "min of part": lambda x, y, v, s: np.min(x, 1, where=x > 1, initial=s, keepdims=True) + np.min(y, initial=9.0),
    "ptp": lambda x, y, v, s: np.ptp(x) + np.ptp(y, axis=1, keepdims=True) + np.ptp(v, -1),
    "fmax": lambda x, y, v, s: np.fmax.reduce(x) + np.fmin.reduce(hollow(y)) + np.fmax.reduce(v[:3].astype(int)),
    "conditions": lambda x, y, v, s: x * np.any(x > 1, axis=0) + np.all(x > 0.6, 1, keepdims=True) * y + x.all() * x,
    "conditions on part": lambda x, y, v, s: (
        x * np.any(y > 1, 1, where=MASK, keepdims=True) + y.any() * np.all(x > 1, -1)[0]
    ),
    "conditions of numbers": lambda x, y, v, s: (
        np.count_nonzero(x > 1, axis=1) + np.count_nonzero(v) * s + (v - v).any() * s
    ),
    "logical reduce": lambda x, y, v, s: (
        v * np.logical_or.reduce(x > 1)
        + np.logical_and.reduce(x > 1, axis=0)
        + np.logical_or.reduce(v > 9, initial=True)
    ),
    "logaddexp.reduce ~": lambda x, y, v, s: np.logaddexp.reduce(x) + np.logaddexp.reduce(y, axis=None) * v,
    "logaddexp.reduce of part ~": lambda x, y, v, s: (
        np.logaddexp.reduce(x, 1, where=MASK) * np.logaddexp.reduce(v, initial=0.5)
    ),
    "nan sums": lambda x, y, v, s: np.nansum(hollow(x)) + np.nansum(hollow(y), axis=0) + np.nanprod(hollow(x), 1).sum(),
    "nan extremes": lambda x, y, v, s: np.nanmax(hollow(x)) + np.nanmin(hollow(y), 0) + np.nanmax(x, 1, keepdims=True),
    "nan positions": lambda x, y, v, s: (
        v[np.nanargmax(hollow(x), axis=1)] * np.nanargmin(hollow(y), 1) + np.nanargmax(v) * s
    ),
    "nan means ~": lambda x, y, v, s: np.nanmean(hollow(x)) + np.nanmean(hollow(y), axis=0) + np.nanmean(x, where=MASK),
    "nan spreads ~": lambda x, y, v, s: np.nanvar(hollow(x)) + np.nanstd(hollow(y), axis=1, keepdims=True, ddof=1),
    "nan scans ~": lambda x, y, v, s: np.nancumsum(hollow(x), axis=0) + np.nancumprod(hollow(y), 1),
    "mean of part ~": lambda x, y, v, s: (
        np.mean(x, where=MASK) + np.mean(y, axis=1, where=x > 0.9) + x.mean((0, 1), where=True)
    ),
    "var of part ~": lambda x, y, v, s: np.var(x, where=MASK) + np.std(y, axis=0, where=MASK, ddof=1, keepdims=True),
    "var around ~": lambda x, y, v, s: np.var(x, 0, mean=np.mean(x, axis=0, keepdims=True)) + np.std(y, correction=1),
    "std axes": lambda x, y, v, s: np.std(x, axis=(0, 1)) + np.std(x, axis=-2, dtype="f8") + v.std(),
    "average ~": lambda x, y, v, s: (
        np.average(x) + np.average(y, axis=0, weights=np.arange(3.0)) + np.average(x, weights=y)
    ),
    "average of weights ~": lambda x, y, v, s: np.average(np.arange(4), weights=v) + np.average(x, 1, v, keepdims=True),
    "average returned ~": lambda x, y, v, s: (
        sum(np.average(x, axis=1, weights=v, returned=True)) + np.average(v, returned=True)[1]
    ),
    "average axes ~": lambda x, y, v, s: np.average(x[None] + y, axis=(2, 1), weights=x.T) + np.average(x, axis=(0, 1)),
    "cov @": lambda x, y, v, s: np.cov(x) + np.cov(x, y)[:3, 3:] + np.cov(v) * s + np.cov(x.T, rowvar=False, bias=True),
    "cov weighted @": lambda x, y, v, s: (
        np.cov(x, aweights=v) + np.cov(y, fweights=WHOLE, aweights=v) + np.cov(x, fweights=WHOLE, ddof=0)
    ),
    "corrcoef @": lambda x, y, v, s: np.corrcoef(x) * s + np.corrcoef(v, x[0]).sum() + np.corrcoef(v),
}

SCANS: dict[str, Callable[..., Any]] = {
    "cumsum": lambda x, y, v, s: (
        np.cumsum(x)[::3] + x.cumsum(axis=0)[0] + np.cumsum(y, -1)[1] + np.cumsum(s) + np.add.accumulate(x)[1]
    ),
    "cumprod": lambda x, y, v, s: (
        np.cumprod(x)[:4] + x.cumprod(0)[0] + np.cumprod(y, axis=1, dtype="f8")[2] + np.multiply.accumulate(v)
    ),
    "cumulative": lambda x, y, v, s: np.cumulative_sum(v, include_initial=True)[1:] + np.cumulative_prod(x, axis=1)[0],
    "cumulative initial": lambda x, y, v, s: np.cumulative_prod(x, axis=0, include_initial=True) @ np.cumulative_sum(v),
    "running extremes": lambda x, y, v, s: (
        np.maximum.accumulate(x, axis=1) + np.minimum.accumulate(y) + np.maximum.accumulate(v)
    ),
    "cumsum of integers": lambda x, y, v, s: np.cumsum(v > 1) * v + np.cumsum((x * 3).astype("i4"), axis=1),
    "ufunc outer": lambda x, y, v, s: (
        np.multiply.outer(v, x) + np.subtract.outer(s, v)[:, None, None] + np.add.outer(WHOLE, x)
    ),
    "diff": lambda x, y, v, s: (
        np.diff(x, axis=0)[0] + np.diff(y, n=2, prepend=0.5, append=y[:, :1])[0] + np.diff(v, prepend=s)
    ),
    "diff conditions": lambda x, y, v, s: np.diff(x > 1) * x[:, 1:] + np.diff(x, 0)[:, 1:],
    "ediff1d": lambda x, y, v, s: (
        np.ediff1d(x)[:5] + np.ediff1d(v, to_begin=s, to_end=[1, 2])[1] + np.ediff1d(v, 9.0)[0]
    ),
    "gradient": lambda x, y, v, s: (
        np.gradient(x)[0] + np.gradient(y, 2.0, 0.5)[1] + np.gradient(x, axis=-1, edge_order=2)
    ),
    "gradient of coordinates ~": lambda x, y, v, s: (
        np.gradient(x, np.cumsum(v), axis=1) + np.gradient(y, [0.0, 1.0, 3.0], axis=0, edge_order=2)
    ),
    "gradient both ~": lambda x, y, v, s: (
        sum(np.gradient(x, s, np.array([0, 1, 2, 4.0]), edge_order=2)) + np.gradient(y, 0.5)[1]
    ),
    "trapezoid": lambda x, y, v, s: (
        np.trapezoid(x)[0] + np.trapezoid(y, dx=0.5, axis=0) + np.trapezoid(x, v).sum() + np.trapezoid(y, x)[0]
    ),
    "interp ~": lambda x, y, v, s: (
        np.interp(x, np.cumsum(v) / 2, v) + np.interp(y, [0.6, 1.0, 1.9], v[:3], left=0.0, right=s)
    ),
    "interp plain ~": lambda x, y, v, s: np.interp([0.1, 0.8, 3.0], np.cumsum(v), v) + np.interp(s, [1.0], [2.0]),
    "interp period ~": lambda x, y, v, s: np.interp(x * 3, [0.5, 1.5, 0.9, 0.1], v, period=2.0),
    "convolve ~": lambda x, y, v, s: (
        np.convolve(v, x[0])[:4] + np.convolve(v[:2], y[0], "same") + np.convolve([1.0, 2.0], v, "valid")[0]
    ),
    "correlate ~": lambda x, y, v, s: (
        np.correlate(v, x[0, :2]).sum() + np.correlate(v[:3], y[1], "full")[1:5] + np.correlate(y[0], v, "same")
    ),
    "polyval": lambda x, y, v, s: (
        np.polyval(v, x) + np.polyval([1.0, 2.0], y) + np.polyval(v, 0.5) + np.polyval(v[:2], s)
    ),
    "poly calculus": lambda x, y, v, s: (
        np.polyder(v)[0] + np.polyint(v, 2, k=[s, 1.0])[1:5] + np.polyint(v, k=s)[:4] + np.polyder(v, 2).sum()
    ),
    "poly arithmetic ~": lambda x, y, v, s: np.polyadd(v, v[:2]) + np.polysub([1.0], v) + np.polymul(v, [1.0, 2.0])[:4],
    "polyfit ~": lambda x, y, v, s: (
        np.polyfit(np.cumsum(v), x.T, 2)[:, 0] * s + np.polyfit([0.0, 1.0, 2.0, 4.0], v, 2, w=v)
    ),
    "vander": lambda x, y, v, s: (
        np.vander(v) + np.vander(v, 4, increasing=True) + np.vander(v, 1) + np.vander(v, 2)[:, :1]
    ),
    "trace": lambda x, y, v, s: np.trace(x) + x.trace(1) + np.trace(np.stack([x, y]), offset=-1, axis1=1, axis2=-1),
    "bincount": lambda x, y, v, s: np.bincount(WHOLE, v) + np.bincount(WHOLE, weights=v, minlength=3) * s,
    "bincount of traced": lambda x, y, v, s: np.bincount((v * 2).astype(int), minlength=5)[:4] * v,
    "histogram": lambda x, y, v, s: (
        declined(np.histogram, x)
        + declined(np.histogramdd, y)
        + declined(lambda a: np.histogram2d(a, a), v)
        + declined(np.histogram_bin_edges, s)
    ),
}

ORDER: dict[str, Callable[..., Any]] = {
    "sort": lambda x, y, v, s: (
        np.sort(x) + np.sort(y, axis=0) + np.sort(x, None).reshape(3, 4) + np.sort(v, kind="stable")
    ),
    "sort_complex": lambda x, y, v, s: np.real(np.sort_complex(v)) * s,
    "argsort": lambda x, y, v, s: v[np.argsort(x, axis=1)] + x.argsort(0, stable=True) * s + np.argsort(y, None)[:4],
    "partition": lambda x, y, v, s: np.partition(x, 2) + np.partition(y, (0, -1), axis=0) + v[np.argpartition(v, 1)],
    "searchsorted": lambda x, y, v, s: (
        np.searchsorted(np.sort(v), x) * x + np.searchsorted(np.cumsum(v), [1.0, 2.0, 3.0, 4.0], "right")
    ),
    "searchsorted sorter": lambda x, y, v, s: (
        v * np.searchsorted(v, 1.1, sorter=np.argsort(v)) + s * np.sort(v).searchsorted(x)[0]
    ),
    "digitize": lambda x, y, v, s: (
        np.digitize(x, [0.7, 1.0, 1.5]) * x + np.digitize(y, [1.5, 0.8], right=True) * np.digitize(s, np.cumsum(v))
    ),
    "unique": lambda x, y, v, s: np.unique(x)[:4] + np.unique(v[[0, 1, 1, 3, 0, 2]]) * s,
    "unique all": lambda x, y, v, s: sum(part[:3] for part in np.unique(v[[0, 1, 1, 3, 0, 2]], True, True, True)),
    "median": lambda x, y, v, s: (
        np.median(x) + np.median(y, axis=0) + np.median(x, (0, 1), keepdims=True) + np.median(s) + np.median(v[:3])
    ),
    "nanmedian": lambda x, y, v, s: (
        np.nanmedian(hollow(x)) + np.nanmedian(hollow(y), axis=0) + np.nanmedian(x, 1, keepdims=True)
    ),
    "quantile": lambda x, y, v, s: (
        np.quantile(x, 0.3) + np.quantile(y, [0.1, 0.5, 1.0], axis=1)[:, :1] + np.quantile(x, 1, axis=-1, keepdims=True)
    ),
    "quantile of q ~": lambda x, y, v, s: (
        np.quantile(x, s / 2.1) + np.quantile(y, v / 2.1, axis=0) + np.quantile(v, s / 3, method="weibull")
    ),
    "percentile": lambda x, y, v, s: (
        np.percentile(x, 40) + np.percentile(y, (25, 75), axis=0)[1] + np.percentile(v, 10.0, method="hazen")
    ),
    "nanquantile": lambda x, y, v, s: (
        np.nanquantile(hollow(x), 0.4) + np.nanpercentile(hollow(y), [30.0, 60.0], axis=0)[0]
    ),
    **{f"quantile {method}": _by_method(method) for method in QUANTILES},
}

CALLS: dict[str, Callable[..., Any]] = {**REDUCTIONS, **SCANS, **ORDER}
