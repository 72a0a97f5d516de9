"""Digits: gradients whose digits cancel, and points at which no step of a difference quotient is right."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .admissible import Exact
from .record import Trap

trap = partial(Trap, family="digits")


def log1p_quotient(xp: Any, x: Any) -> Any:
    return xp.log1p(x) / x


def log_quotient(xp: Any, x: Any) -> Any:
    return xp.log(1.0 + x) / x


def expm1_quotient(xp: Any, x: Any) -> Any:
    return xp.expm1(x) / x


def exp_quotient(xp: Any, x: Any) -> Any:
    return (xp.exp(x) - 1.0) / x


def sinc_near_zero(xp: Any, x: Any) -> Any:
    return xp.sin(x) / x


def one_minus_cosine(xp: Any, x: Any) -> Any:
    return (1.0 - xp.cos(x)) / x


def large_offset(xp: Any, x: Any) -> Any:
    return (1e16 + x * x) - 1e16


def float32_inside(xp: Any, x: Any) -> Any:
    return xp.sum(x.astype(np.float32) ** 2)


def float32_sine(xp: Any, x: Any) -> Any:
    return xp.sin(x)


def float16_square(xp: Any, x: Any) -> Any:
    return x * x


def log_near_zero(xp: Any, x: Any) -> Any:
    return xp.log(x)


def fast_wave(xp: Any, x: Any) -> Any:
    return xp.sin(1e9 * x)


def rounded_noise(xp: Any, x: Any) -> Any:
    return x * x + 2.0**-23 * xp.sin(2.0**40 * x)


def rough_sum(xp: Any, x: Any) -> Any:
    total = x * x
    for weight in (1e10, 3e10, -4e10):
        total = total + weight
    return total


def complex_abs(xp: Any, x: Any) -> Any:
    return xp.abs(x) ** 3


def complex_maximum(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 1.0)


def complex_norm(xp: Any, x: Any) -> Any:
    return xp.linalg.norm(x)


def _log_slope(mp: Any, x: Any) -> list[Any]:
    return [(1 / (1 + x) - mp.log(1 + x) / x) / x]


DIGITS = (
    trap(
        name="log-quotient",
        title="log(1 + x) / x at 1e-12",
        sentence="1 + x loses most digits of x, and the quotient rule multiplies that error by 1e12; "
        "the derivative is -1/2.",
        function=log_quotient,
        arguments=(1e-12,),
        admissible=Exact(_log_slope, "about -1/2"),
    ),
    trap(
        name="log1p-quotient",
        title="log1p(x) / x at 1e-12",
        sentence="log1p keeps the digits of the value, but in the gradient 1 / (1 + x) and log1p(x) / x are both "
        "about 1 and cancel: 1e-16 times 1e12 is left.",
        function=log1p_quotient,
        arguments=(1e-12,),
        admissible=Exact(_log_slope, "about -1/2"),
    ),
    trap(
        name="exp-quotient",
        title="(exp(x) - 1) / x at 2e-12",
        sentence="The subtraction loses the digits of the value and the quotient rule those of the gradient, "
        "which is 1/2.",
        function=exp_quotient,
        arguments=(2e-12,),
        admissible=Exact(lambda mp, x: [(mp.exp(x) - mp.expm1(x) / x) / x], "about 1/2"),
    ),
    trap(
        name="expm1-quotient",
        title="expm1(x) / x at 2e-12",
        sentence="expm1 mends the value, not the gradient, which still subtracts two numbers near 1.",
        function=expm1_quotient,
        arguments=(2e-12,),
        admissible=Exact(lambda mp, x: [(mp.exp(x) - mp.expm1(x) / x) / x], "about 1/2"),
    ),
    trap(
        name="sinc-near-zero",
        title="sin(x) / x at 1e-6",
        sentence="cos(x) and sin(x) / x agree in 12 digits and are subtracted; the derivative is -x/3 = -3.3e-7.",
        function=sinc_near_zero,
        arguments=(1e-6,),
        admissible=Exact(lambda mp, x: [(mp.cos(x) - mp.sin(x) / x) / x], "about -x/3 = -3.3e-7"),
        thread="jax-ml/jax#34139",
    ),
    trap(
        name="one-minus-cosine",
        title="(1 - cos(x)) / x at 1e-9",
        sentence="cos(x) rounds to 1, so the value is 0; the gradient 1/2 comes out as sin(x) / x, which is 1.",
        function=one_minus_cosine,
        arguments=(1e-9,),
        admissible=Exact(lambda mp, x: [(mp.sin(x) - (1 - mp.cos(x)) / x) / x], "about 1/2"),
    ),
    trap(
        name="large-offset",
        title="(1e16 + x^2) - 1e16 at 1",
        sentence="The value is rounded to whole numbers, so differences of it are 0 or far off; differentiation by "
        "rules does not see the offset and answers 2.",
        function=large_offset,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 2"),
    ),
    trap(
        name="float32-inside",
        title="a float64 function that computes in float32",
        sentence="The value has 7 digits; a step chosen for 16 digits changes nothing or amplifies rounding by 1e8. "
        "The derivative is 2x.",
        function=float32_inside,
        arguments=(np.array([0.3, 0.7]),),
        admissible=Exact(lambda mp, x: [2 * one for one in x], "2x, to float32", ulps=2.0**30),
        thread="scipy/scipy#12998",
        ideal=lambda xp, x: xp.sum(x**2),
        forms={"torch": lambda xp, x: xp.sum(x.to(xp.float32) ** 2)},
    ),
    trap(
        name="float32-step",
        title="sin(x) at 10 000 in float32",
        sentence="Neighbouring numbers are 1e-3 apart, so a step of 1e-4 is no step at all and the difference 0.",
        function=float32_sine,
        arguments=(np.array(1e4, np.float32),),
        dtype="float32",
        admissible=Exact(lambda mp, x: [mp.cos(x)], "cos(10 000), about -0.952"),
        thread="scipy/scipy#12998",
    ),
    trap(
        name="float16-step",
        title="x^2 at 3 in float16",
        sentence="x + 1e-4 is x in float16, so a checker with that step finds 0 and calls the right gradient wrong.",
        function=float16_square,
        arguments=(np.array(3.0, np.float16),),
        dtype="float16",
        admissible=Exact(lambda mp, x: [2 * x], "2x = 6"),
        thread="jax-ml/jax#39821",
    ),
    trap(
        name="log-near-zero",
        title="log(x) at 1e-9",
        sentence="A step chosen for numbers near 1 leaves the domain: the logarithm of a negative number. "
        "The derivative is 1e9.",
        function=log_near_zero,
        arguments=(1e-9,),
        admissible=Exact(lambda mp, x: [1 / x], "1 / x = 1e9"),
        thread="scipy/scipy#18811",
    ),
    trap(
        name="fast-wave",
        title="sin(1e9 x) at 0",
        sentence="The function turns many times within an ordinary step, so a difference is any number; the "
        "derivative is 1e9.",
        function=fast_wave,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [10**9 * mp.cos(10**9 * x)], "1e9"),
    ),
    trap(
        name="noise",
        title="x^2 with noise of 1e-7 at 1",
        sentence="Noise of a simulation, here a fast wave: rules differentiate it and answer -1.2e5, a small step "
        "does the same, a step chosen for the noise finds the 2 that was meant. As written, the derivative is that "
        "of the noise.",
        function=rounded_noise,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [2 * x + 2**17 * mp.cos(2**40 * x)], "2x + 2^17 cos(2^40 x)"),
        thread="ralna/RALFit#111",
    ),
    trap(
        name="rough-sum",
        title="x^2 plus terms of 1e10 that cancel",
        sentence="The value keeps 6 digits after the point; a step of 1e-8 divides that rounding by itself. "
        "The derivative is 2x.",
        function=rough_sum,
        arguments=(1.5,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 3"),
        thread="ralna/RALFit#111",
    ),
    trap(
        name="complex-abs",
        title="|x|^3 at -2",
        sentence="Differentiable here, with derivative -12; the complex step fails because the modulus of a complex "
        "number is not analytic and drops the imaginary part.",
        function=complex_abs,
        arguments=(-2.0,),
        admissible=Exact(lambda mp, x: [3 * x * abs(x)], "3 x |x| = -12"),
        thread="OpenMDAO/OpenMDAO1#568",
    ),
    trap(
        name="complex-maximum",
        title="maximum(x, 1) at 3",
        sentence="Differentiable here, with derivative 1; a complex step works only where maximum compares real "
        "parts and keeps the imaginary one.",
        function=complex_maximum,
        arguments=(3.0,),
        admissible=Exact(lambda mp, x: [1], "1"),
        thread="OpenMDAO/OpenMDAO#1730",
    ),
    trap(
        name="complex-norm",
        title="norm(x) at (3, 4)",
        sentence="The norm of complex vectors conjugates, so a complex step through it answers 0; the gradient is "
        "(0.6, 0.8).",
        function=complex_norm,
        arguments=(np.array([3.0, 4.0]),),
        admissible=Exact(lambda mp, x: [one / mp.sqrt(x[0] ** 2 + x[1] ** 2) for one in x], "(0.6, 0.8)"),
        thread="statsmodels/statsmodels#2341",
    ),
)
