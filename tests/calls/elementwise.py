"""Calls of NumPy's functions: elementwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

TURNS = np.array([0.0, 3.0, 6.5, 13.0])
CHOICE = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]])

CALLS: dict[str, Callable[..., Any]] = {
    # arithmetic and powers
    "power ~": lambda x, y, v, s: np.power(x, 3) + np.pow(x, 0) + x**-2 + (-x) ** 3 + np.power(v, y) + x**1,
    "float_power ~": lambda x, y, v, s: np.float_power(x, 2) + np.float_power(3, v) + np.float_power(y, x),
    "cbrt": lambda x, y, v, s: np.cbrt(x) + np.cbrt(-y) + np.sqrt(v) + np.square(s) + np.reciprocal(x),
    "rounded up and down": lambda x, y, v, s: np.floor(x) * y + np.ceil(v) * x + np.trunc(3 * y) * s + np.rint(x) * x,
    "round": lambda x, y, v, s: x * np.round(y / 9, 1) + np.around(x, decimals=-1) + np.round(v) * x + (
        y / 99).round(2) * x,
    "fix": lambda x, y, v, s: x * np.fix(3 * y),
    "mod": lambda x, y, v, s: 2.1 * x % (y + 1) + np.mod(-x, v) + np.remainder(3.1, y) + np.fmod(-2 * x, s) + 3.3 % v,
    "//": lambda x, y, v, s: x * (3.7 * x // y) + x * np.floor_divide(7, v) + 9.1 // v * x,
    "divmod": lambda x, y, v, s: divmod(5.3 * x, v)[1] + np.divmod(5.3 * x, y)[0] * x + np.divmod(7, x)[1],
    "modf": lambda x, y, v, s: np.modf(3.3 * x)[0] + x * np.modf(3.3 * y)[1] + np.modf(-x)[0],
    "fabs": lambda x, y, v, s: np.fabs(1 - x) + np.abs(y - 1) + np.absolute(v) + abs(s - 1),
    "copysign": lambda x, y, v, s: np.copysign(x, y - 1) + np.copysign(x, -2) * np.copysign(1, y - 1),
    "ldexp": lambda x, y, v, s: np.ldexp(x, 3) + np.ldexp(y, np.array([0, 1, -1, 2])),
    "positive ufunc": lambda x, y, v, s: np.positive(x) - np.negative(y) + np.subtract(x, 1) + np.true_divide(1, v),
    # exponentials and logarithms
    "exp family": lambda x, y, v, s: np.exp(x) + np.exp2(y) + np.expm1(v) + np.exp(-s),
    "log family": lambda x, y, v, s: np.log(x) + np.log2(y) + np.log10(v) + np.log1p(s),
    "logaddexp": lambda x, y, v, s: np.logaddexp(x, y) + np.logaddexp2(v, x) + np.logaddexp(1, x) + np.logaddexp2(y, 0),
    # trigonometric and hyperbolic
    "trig": lambda x, y, v, s: np.sin(x) + np.cos(y) + np.tan(v / 2) + np.arctan(x) + np.arctan2(x, v) + np.atan(s),
    "inverse": lambda x, y, v, s: np.arcsin(x / 3) + np.acos(y / 3) + np.arcsinh(x) + np.acosh(v + 1),
    "hyperbolic": lambda x, y, v, s: np.sinh(x) + np.cosh(y) + np.tanh(v) + np.hypot(x, y) + np.hypot(3, v),
    "angles": lambda x, y, v, s: np.degrees(x) + np.rad2deg(y) + np.radians(v) + np.deg2rad(x),
    "sinc": lambda x, y, v, s: np.sinc(x) + np.sinc(v - 1) + np.sinc(np.array(0.5) * s),
    "i0": lambda x, y, v, s: np.i0(x) + np.i0(v * 5),
    "unwrap": lambda x, y, v, s: np.unwrap(x + TURNS) + np.unwrap(np.unwrap(x, 2.0, 0), axis=0, period=0.7),
    # choices
    "fmax": lambda x, y, v, s: np.fmax(x, y) + np.fmin(v, x) + np.fmax(1, x) + np.fmin(y, [0.9, np.nan, 1.1, 9.0]),
    "sign": lambda x, y, v, s: x * np.sign(y - 1) + np.heaviside(x - 1, s) + np.heaviside(0 * x, y),
    "clip ufunc": lambda x, y, v, s: np.clip(x, 0.7, 1.5) + np.clip(y, a_min=v, a_max=None) + x.clip(max=1.2),
    "clip plain": lambda x, y, v, s: np.clip(np.ones((3, 4), x.dtype), 0.5 * x, x) + x.clip(0.8),
    "select": lambda x, y, v, s: np.select([x > 1.5, y > 1], [x, y * 2], 3) + np.select([v > 1], [v], default=s),
    "select plain": lambda x, y, v, s: np.select([CHOICE == 1, x > 1], [np.ones((3, 4), x.dtype), v]) * x,
    "nan_to_num": lambda x, y, v, s: np.nan_to_num(x) + np.nan_to_num(np.where(x > 1, y, np.inf), nan=s, posinf=2),
    "piecewise": lambda x, y, v, s: np.piecewise(x, [x < 1, x >= 1.5], [np.exp, lambda t: t**2, 3]) + np.piecewise(
        v, v > 1, [lambda t, k: k * t, 0.5], 2.0) + np.piecewise(s, [s > 9], [1, np.log]),
    # logic
    "tests": lambda x, y, v, s: x * (np.isnan(x) | np.isposinf(y) | ~np.isneginf(v)) + x * np.signbit(-y),
    "isclose": lambda x, y, v, s: x * np.isclose(x, y, atol=0.3) + y * np.isclose(1, v, 0.1, equal_nan=True),
    "allclose": lambda x, y, v, s: s * np.allclose(x, x) + s * np.allclose(x, y, equal_nan=True),
    "logic of numbers": lambda x, y, v, s: x * np.logical_and(x, y - y) + x * np.logical_or(0, x) + y * np.logical_xor(
        x > 1, y > 1) + x * np.logical_not(x) + x * ((x > 1) ^ (y > 1)),
    "bits": lambda x, y, v, s: x * ((CHOICE & 1) | np.invert(np.argmax(x, 0)) ^ 3) + x * ((np.argmax(y, 0) << 2) >> 1),
    "whole numbers": lambda x, y, v, s: x * np.gcd(np.argmax(x, 0), 4) + x * np.lcm(np.argmax(y, 1)[:, None], 3),
    # complex numbers
    "real imag": lambda x, y, v, s: np.real((x + 1j * y) ** 2) + np.imag(np.exp(1j * x * v)) + x.real + (2 * y).imag,
    "conj": lambda x, y, v, s: (np.conj(x + 1j * y) * (x - 2j * v)).real + np.conjugate(x) + x.conj(),
    "angle": lambda x, y, v, s: np.angle(x + 1j * y) + np.angle(v - 2j, deg=True) + x * np.angle(-y) + abs(x + 1j * s),
    "is real": lambda x, y, v, s: x * np.isreal(x + 0j) + y * np.iscomplex(x + 1j * y) * np.isrealobj(x),
    "is real of reals": lambda x, y, v, s: x * np.isreal(x) + y * np.iscomplex(y) + s * np.iscomplexobj(x),
    "real if close": lambda x, y, v, s: np.real_if_close(x) * np.real_if_close(y + 0j).real,
    # special functions
    "error functions": lambda x, y, v, s: sp.erf(x) + sp.erfc(y) + sp.erfcx(v) + sp.erfinv(x / 3) + sp.dawsn(s),
    "logistic": lambda x, y, v, s: sp.expit(x) + sp.logit(y / 3) + sp.log_expit(v) + sp.ndtr(x) + sp.log_ndtr(-y),
    "gammas": lambda x, y, v, s: sp.gamma(x) + sp.gammaln(y) + sp.digamma(v) + sp.beta(x, y) + sp.betaln(v, 2),
    "bessel": lambda x, y, v, s: sp.j0(x) + sp.jv(2, y) + sp.y1(v) + sp.iv(1.5, x) + sp.kv(0, y) + sp.i0e(v) + sp.k1(s),
    "entropies": lambda x, y, v, s: sp.xlogy(x, y) + sp.xlog1py(v, x) + sp.rel_entr(x, v) + sp.kl_div(y, s),
    "incomplete": lambda x, y, v, s: sp.gammainc(2, x) + sp.gammaincc(0.5, y) + sp.exprel(v) + sp.expm1(s) + sp.entr(x),
}  # fmt: skip
