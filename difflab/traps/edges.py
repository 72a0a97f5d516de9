"""Edges: jumps, points where a derivative is infinite or does not exist, and the powers and products of zero."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .admissible import Exact, NoDerivative
from .record import Trap

trap = partial(Trap, family="edges")
JUMP = NoDerivative("no derivative; 0, its limit from both sides", ((0.0,), (-0.0,)))


def step(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, 1.0, 0.0 * x)


def sign(xp: Any, x: Any) -> Any:
    return xp.sign(x)


def floor_jump(xp: Any, x: Any) -> Any:
    return xp.floor(x)


def floor_between(xp: Any, x: Any) -> Any:
    return x + xp.floor(x)


def sqrt_zero(xp: Any, x: Any) -> Any:
    return xp.sqrt(x)


def sqrt_squared(xp: Any, x: Any) -> Any:
    return xp.sqrt(x) ** 2


def arccos_one(xp: Any, x: Any) -> Any:
    return xp.arccos(x)


def arctan2_origin(xp: Any, y: Any, x: Any) -> Any:
    return xp.arctan2(y, x)


def log_negative(xp: Any, x: Any) -> Any:
    return xp.log(x)


def power_zero(xp: Any, x: Any) -> Any:
    return x**0.0


def zero_to_the_power(xp: Any, base: Any, x: Any) -> Any:
    return base**x


def negative_base(xp: Any, x: Any, exponent: Any) -> Any:
    return x**exponent


def x_log_x(xp: Any, x: Any) -> Any:
    return x * xp.log(x)


def product_with_zero(xp: Any, x: Any) -> Any:
    return xp.prod(x)


def cumprod_with_zero(xp: Any, x: Any) -> Any:
    return xp.sum(xp.cumprod(x, axis=0))


def cube_root(xp: Any, x: Any) -> Any:
    return xp.sign(x) * xp.abs(x) ** (1.0 / 3.0)


EDGES = (
    trap(
        name="step",
        title="where(x > 0, 1, 0) at 0",
        sentence="A jump has no derivative. Automatic differentiation answers 0, the limit from both sides, and so "
        "says nothing of the jump; a difference quotient answers a huge number that is only 1 / step.",
        function=step,
        arguments=(0.0,),
        admissible=JUMP,
    ),
    trap(
        name="sign",
        title="sign(x) at 0",
        sentence="The jump from -1 to 1 has no derivative; 0 is the limit from both sides, and any finite number "
        "other than that is the step of a difference quotient.",
        function=sign,
        arguments=(0.0,),
        admissible=JUMP,
        table=(0.0,),
    ),
    trap(
        name="floor-jump",
        title="floor(x) at 2",
        sentence="The floor jumps at whole numbers; 0 is the limit from both sides.",
        function=floor_jump,
        arguments=(2.0,),
        admissible=JUMP,
        table=(0.0,),
    ),
    trap(
        name="floor-between",
        title="x + floor(x) at 3.75",
        sentence="Between whole numbers the floor is constant and the derivative is 1; a rule that lets the gradient "
        "pass through the floor answers 2.",
        function=floor_between,
        arguments=(3.75,),
        admissible=Exact(lambda mp, x: [1], "1"),
        thread="tensorflow/tensorflow#897",
    ),
    trap(
        name="sqrt-zero",
        title="sqrt(x) at 0",
        sentence="The slope is infinite: inf or NaN says so. A large finite number is the step of a difference "
        "quotient, and 0 is wrong.",
        function=sqrt_zero,
        arguments=(0.0,),
        admissible=NoDerivative("infinite"),
        table=(float("inf"),),
        thread="tensorflow/tensorflow#4914",
    ),
    trap(
        name="sqrt-squared",
        title="sqrt(x)^2 at 0",
        sentence="On its domain the function is x with slope 1; the chain rule multiplies 0 by the infinite slope of "
        "the root and answers NaN.",
        function=sqrt_squared,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [1], "1"),
        thread="tensorflow/tensorflow#5562",
    ),
    trap(
        name="cube-root",
        title="cube root of x at 0, by sign and abs",
        sentence="The slope is infinite from both sides. Rules that multiply sign(0) = 0 by an infinite slope "
        "answer NaN, which is honest; a finite number is not.",
        function=cube_root,
        arguments=(0.0,),
        admissible=NoDerivative("infinite"),
    ),
    trap(
        name="arccos-one",
        title="arccos(x) at 1",
        sentence="The angle between two equal vectors: the slope is infinite, and code that meets this point "
        "needs another formula.",
        function=arccos_one,
        arguments=(1.0,),
        admissible=NoDerivative("infinite"),
        table=(float("-inf"),),
    ),
    trap(
        name="arctan2-origin",
        title="arctan2(y, x) at (0, 0)",
        sentence="An angle without a direction: the function is not even continuous there. NaN is the honest answer.",
        function=arctan2_origin,
        arguments=(0.0, 0.0),
        wrt=(0, 1),
        admissible=NoDerivative("no derivative, nor a limit"),
        thread="pytorch/pytorch#98276",
    ),
    trap(
        name="log-negative",
        title="log(x) at -1",
        sentence="The value is NaN, the function is not defined there; the rule 1/x knows no domain and answers -1 "
        "all the same.",
        function=log_negative,
        arguments=(-1.0,),
        admissible=NoDerivative("not defined: NaN or an error"),
        may_refuse=True,
    ),
    trap(
        name="x-power-zero",
        title="x^0 at 0",
        sentence="NumPy defines 0^0 as 1, so the function is the constant 1 and its derivative 0; the rule "
        "n x^(n-1) multiplies 0 by 1/0.",
        function=power_zero,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [0], "0"),
        table=(0.0,),
        thread="Theano/Theano#2995",
    ),
    trap(
        name="zero-to-the-power",
        title="0^x at 1, by x",
        sentence="For positive x the function is 0 and so is its derivative; the rule 0^x log 0 is 0 times minus "
        "infinity.",
        function=zero_to_the_power,
        arguments=(0.0, 1.0),
        wrt=(1,),
        admissible=Exact(lambda mp, base, x: [0], "0"),
        thread="pytorch/pytorch#27134",
    ),
    trap(
        name="zero-to-the-zero",
        title="0^x at 0, by x",
        sentence="0^x is 0 right of zero, 1 at zero and infinite left of it, so there is no derivative; 0, its limit "
        "from the right, is tolerated.",
        function=zero_to_the_power,
        arguments=(0.0, 0.0),
        wrt=(1,),
        admissible=NoDerivative("no derivative; 0, its limit from the right", ((0.0,), (-0.0,))),
        thread="PaddlePaddle/Paddle#45054",
    ),
    trap(
        name="negative-base",
        title="x^y at (-2, 2), by x",
        sentence="The derivative by x is 2x = -4. The one by y does not exist, and a rule that computes it all the "
        "same must not let its NaN into the other.",
        function=negative_base,
        arguments=(-2.0, 2.0),
        admissible=Exact(lambda mp, x, y: [y * x], "2x = -4"),
    ),
    trap(
        name="x-log-x",
        title="x log x at 0",
        sentence="NumPy computes 0 times minus infinity, NaN, although the limit is 0; the slope of that limit is "
        "minus infinity, so nothing finite is right.",
        function=x_log_x,
        arguments=(0.0,),
        admissible=NoDerivative("infinite"),
    ),
    trap(
        name="product-with-zero",
        title="prod(x) at (0, 2, 3)",
        sentence="Each partial derivative is the product of the others, (6, 0, 0); a rule that divides the product "
        "by x makes 0 / 0 of it.",
        function=product_with_zero,
        arguments=(np.array([0.0, 2.0, 3.0]),),
        admissible=Exact(lambda mp, x: [x[1] * x[2], x[0] * x[2], x[0] * x[1]], "(6, 0, 0)"),
        thread="pytorch/pytorch#773",
    ),
    trap(
        name="cumprod-with-zero",
        title="sum(cumprod(x)) at (2, 0, 3)",
        sentence="The gradient is (1 + b + b c, a + a c, a b) = (1, 8, 0); dividing by x loses the middle one.",
        function=cumprod_with_zero,
        arguments=(np.array([2.0, 0.0, 3.0]),),
        admissible=Exact(lambda mp, x: [1 + x[1] + x[1] * x[2], x[0] + x[0] * x[2], x[0] * x[1]], "(1, 8, 0)"),
        thread="tensorflow/tensorflow#3862",
    ),
)
