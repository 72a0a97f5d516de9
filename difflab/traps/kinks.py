"""Kinks: continuous functions without a derivative at the point, and smooth ones that are written with kinks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import nn
from .admissible import Ball, Exact, Hull
from .record import Trap

trap = partial(Trap, family="kinks")
ZERO_TO_ONE = Hull(((0.0,), (1.0,)), "between 0 and 1")
PLUS_MINUS_ONE = Hull(((-1.0,), (1.0,)), "between -1 and 1")


def maximum_zero(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0.0)


def relu(xp: Any, x: Any) -> Any:
    return nn.relu(x)


def where_relu(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, x, 0.0)


def relu_difference(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, x, 0.0) - xp.where(-x > 0, -x, 0.0)


def maximum_itself(xp: Any, x: Any) -> Any:
    return xp.maximum(x, x)


def maximum_tie(xp: Any, x: Any, y: Any) -> Any:
    return xp.maximum(x, y)


def max_tie(xp: Any, x: Any) -> Any:
    return xp.max(x)


def argmax_path(xp: Any, x: Any) -> Any:
    return x[xp.argmax(x)]


def argsort_path(xp: Any, x: Any) -> Any:
    ordered = x[xp.argsort(x)]
    return ordered[0] + 10.0 * ordered[1] + 100.0 * ordered[2]


def sort_tie(xp: Any, x: Any) -> Any:
    ordered = xp.sort(x)
    return ordered[0] + 10.0 * ordered[1] + 100.0 * ordered[2]


def median_tie(xp: Any, x: Any) -> Any:
    return xp.median(x)


def max_pool_tie(xp: Any, x: Any) -> Any:
    return xp.sum(nn.max_pool2d(xp.reshape(x, (1, 2, 2, 1)), 2))


def abs_zero(xp: Any, x: Any) -> Any:
    return xp.abs(x)


def sign_times_x(xp: Any, x: Any) -> Any:
    return x * xp.sign(x)


def x_abs_x(xp: Any, x: Any) -> Any:
    return x * xp.abs(x)


def sqrt_of_square(xp: Any, x: Any) -> Any:
    return xp.sqrt(x**2)


def norm_zero(xp: Any, x: Any) -> Any:
    return xp.linalg.norm(x)


def norm_squared(xp: Any, x: Any) -> Any:
    return xp.linalg.norm(x) ** 2


def hypot_zero(xp: Any, x: Any, y: Any) -> Any:
    return xp.hypot(x, y)


def std_constant(xp: Any, x: Any) -> Any:
    return xp.std(x)


def clip_bound(xp: Any, x: Any) -> Any:
    return xp.clip(x, 0.0, 1.0)


def python_if(xp: Any, x: Any) -> Any:
    if x > 0:
        return 1.0 * x
    return -1.0 * x


def if_equal(xp: Any, x: Any) -> Any:
    if x == 1.0:
        return 1.0 + 0.0 * x
    return x * x


KINKS = (
    trap(
        name="maximum-zero",
        title="maximum(x, 0) at 0",
        sentence="Left of 0 the slope is 0, right of it 1; libraries choose 0, 1/2 or 1 and the same loss trains "
        "differently. Any number between 0 and 1 is honest.",
        function=maximum_zero,
        arguments=(0.0,),
        admissible=ZERO_TO_ONE,
        table=(0.5,),
        thread="jax-ml/jax#37821",
    ),
    trap(
        name="relu",
        title="relu(x) at 0",
        sentence="The function named relu may follow another convention than maximum(x, 0), of which it is made. "
        "Any number between 0 and 1 is honest; most take 0.",
        function=relu,
        arguments=(0.0,),
        admissible=ZERO_TO_ONE,
        table=(0.0,),
        thread="jax-ml/jax#2342",
        forms={"jax": lambda xp, x: xp.relu(x), "torch": lambda xp, x: xp.relu(x), "autograd": "it has no relu"},
    ),
    trap(
        name="where-relu",
        title="where(x > 0, x, 0) at 0",
        sentence="Automatic differentiation follows the branch that was taken and answers 0, a central difference "
        "1/2, and a gradient check calls that an error. Both lie in the set.",
        function=where_relu,
        arguments=(0.0,),
        admissible=ZERO_TO_ONE,
        table=(0.0,),
        thread="pytorch/pytorch#114234",
    ),
    trap(
        name="relu-difference",
        title="relu(x) - relu(-x) at 0, by where",
        sentence="Written with two kinks, the function is x and its derivative 1. Rules that give 0 at each kink "
        "add up to 0, which is wrong: a convention per operation is not a derivative of the whole.",
        function=relu_difference,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [1], "1"),
        thread="",
    ),
    trap(
        name="maximum-itself",
        title="maximum(x, x) at 1",
        sentence="Both arguments are one variable and the derivative is 1; a rule that gives each tied argument the "
        "whole gradient answers 2.",
        function=maximum_itself,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [1], "1"),
        table=(1.0,),
        thread="HIPS/autograd#141",
    ),
    trap(
        name="maximum-tie",
        title="maximum(x, y) at x = y",
        sentence="The two parts may be shared in any way, but they sum to 1; (1, 1) and (0, 0) are wrong.",
        function=maximum_tie,
        arguments=(2.0, 2.0),
        wrt=(0, 1),
        admissible=Hull(((1.0, 0.0), (0.0, 1.0)), "from (1, 0) to (0, 1)"),
        table=(0.5, 0.5),
        thread="pytorch/pytorch#56734",
    ),
    trap(
        name="max-tie",
        title="max of (2, 2, 1)",
        sentence="The gradient goes to the largest entries and sums to 1, however it is shared; "
        "giving 1 to each of the tied is outside the generalised gradient.",
        function=max_tie,
        arguments=(np.array([2.0, 2.0, 1.0]),),
        admissible=Hull(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "from (1, 0, 0) to (0, 1, 0)"),
        table=(0.5, 0.5, 0.0),
        thread="Theano/Theano#4568",
    ),
    trap(
        name="argmax-path",
        title="x[argmax(x)] at (2, 2, 1)",
        sentence="The same value as max(x), but the gradient goes to the first of the tied entries: two ways of "
        "writing one function, two gradients, both admissible.",
        function=argmax_path,
        arguments=(np.array([2.0, 2.0, 1.0]),),
        admissible=Hull(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "from (1, 0, 0) to (0, 1, 0)"),
        table=(1.0, 0.0, 0.0),
        thread="jax-ml/jax#13600",
    ),
    trap(
        name="argsort-path",
        title="weighted x[argsort(x)] at (2, 1, 1)",
        sentence="The order of tied entries is a convention of the sort; their weights 1 and 10 may be given either "
        "way round, or mixed, but must not be given twice.",
        function=argsort_path,
        arguments=(np.array([2.0, 1.0, 1.0]),),
        admissible=Hull(((100.0, 1.0, 10.0), (100.0, 10.0, 1.0)), "from (100, 1, 10) to (100, 10, 1)"),
        table=(100.0, 1.0, 10.0),
    ),
    trap(
        name="sort-tie",
        title="weighted sort(x) at (2, 1, 1)",
        sentence="As with argsort: weights 1 and 10 go to the tied entries in either order; a rule that looks the "
        "entries up by value gives one of them both.",
        function=sort_tie,
        arguments=(np.array([2.0, 1.0, 1.0]),),
        admissible=Hull(((100.0, 1.0, 10.0), (100.0, 10.0, 1.0)), "from (100, 1, 10) to (100, 10, 1)"),
        table=(100.0, 1.0, 10.0),
    ),
    trap(
        name="median-tie",
        title="median of (1, 1, 3)",
        sentence="Two entries are the median; the gradient is shared between them and sums to 1.",
        function=median_tie,
        arguments=(np.array([1.0, 1.0, 3.0]),),
        admissible=Hull(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "from (1, 0, 0) to (0, 1, 0)"),
        thread="pytorch/pytorch#43519",
    ),
    trap(
        name="max-pool-tie",
        title="2x2 max pooling of equal entries",
        sentence="Frameworks send the gradient to the first entry, to all of them or to each a share; "
        "whatever they do, it must sum to 1 per window.",
        function=max_pool_tie,
        arguments=(np.array([3.0, 3.0, 3.0, 3.0]),),
        admissible=Hull(tuple(map(tuple, np.eye(4).tolist())), "not negative, with sum 1"),
        table=(1.0, 0.0, 0.0, 0.0),
        thread="Theano/Theano#5404",
        forms={
            "jax": lambda xp, x: xp.sum(xp.max_pool2d(x.reshape(1, 2, 2, 1))),
            "torch": lambda xp, x: xp.sum(xp.max_pool2d(x.reshape(1, 1, 2, 2))),
            "autograd": "it has no pooling",
        },
    ),
    trap(
        name="abs-zero",
        title="abs(x) at 0",
        sentence="The slope jumps from -1 to 1. Most answer sign(0) = 0; one library answers 1. Any number between "
        "-1 and 1 is honest.",
        function=abs_zero,
        arguments=(0.0,),
        admissible=PLUS_MINUS_ONE,
        table=(0.0,),
        thread="jax-ml/jax#37820",
    ),
    trap(
        name="sign-times-x",
        title="x sign(x) at 0",
        sentence="This is |x| in other words; the derivative of sign is taken as 0 and sign(0) is 0, so 0.",
        function=sign_times_x,
        arguments=(0.0,),
        admissible=PLUS_MINUS_ONE,
        table=(0.0,),
    ),
    trap(
        name="x-abs-x",
        title="x |x| at 0",
        sentence="The kink is multiplied away: the function has the derivative 2|x|, which is 0 here.",
        function=x_abs_x,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [2 * abs(x)], "2|x| = 0"),
        table=(0.0,),
    ),
    trap(
        name="sqrt-of-square",
        title="sqrt(x^2) at 0",
        sentence="This is |x|, but the chain rule multiplies the infinite slope of sqrt by the 0 of the square and "
        "answers NaN. Any number between -1 and 1 is honest.",
        function=sqrt_of_square,
        arguments=(0.0,),
        admissible=PLUS_MINUS_ONE,
        thread="pytorch/pytorch#6394",
    ),
    trap(
        name="norm-zero",
        title="norm(x) at (0, 0, 0)",
        sentence="Every vector no longer than 1 is a generalised gradient, 0 is the natural one; dividing by the "
        "norm gives NaN, which then spoils every other variable.",
        function=norm_zero,
        arguments=(np.zeros(3),),
        admissible=Ball(3, "any vector of length up to 1"),
        table=(0.0, 0.0, 0.0),
        thread="pytorch/pytorch#2421",
    ),
    trap(
        name="norm-squared",
        title="norm(x)^2 at (0, 0)",
        sentence="The square is smooth and its gradient 2x is 0; a NaN from the norm survives the multiplication by 0.",
        function=norm_squared,
        arguments=(np.zeros(2),),
        admissible=Exact(lambda mp, x: [2 * one for one in x], "2x = (0, 0)"),
        thread="jax-ml/jax#4177",
    ),
    trap(
        name="hypot-zero",
        title="hypot(x, y) at (0, 0)",
        sentence="The norm of two numbers, without a derivative at the origin; x / hypot is 0 / 0.",
        function=hypot_zero,
        arguments=(0.0, 0.0),
        wrt=(0, 1),
        admissible=Ball(2, "any vector of length up to 1"),
        thread="JuliaDiff/ForwardDiff.jl#669",
    ),
    trap(
        name="std-constant",
        title="std(x) at (1, 1)",
        sentence="For two entries the standard deviation is |a - b| / 2; constant data sit at its kink and the root "
        "of the variance gives NaN. Any t (1, -1) with |t| up to 1/2 is honest.",
        function=std_constant,
        arguments=(np.ones(2),),
        admissible=Hull(((0.5, -0.5), (-0.5, 0.5)), "from (-1/2, 1/2) to (1/2, -1/2)"),
        thread="pytorch/pytorch#4320",
    ),
    trap(
        name="clip-bound",
        title="clip(x, 0, 1) at 0",
        sentence="Outside the bounds the slope is 0, inside it is 1; at the bound itself 0 kills the gradient of a "
        "parameter that was projected there. Any number between 0 and 1 is honest.",
        function=clip_bound,
        arguments=(0.0,),
        admissible=ZERO_TO_ONE,
        table=(0.5,),
        thread="pytorch/pytorch#7002",
    ),
    trap(
        name="python-if",
        title="|x| by a Python if at 0",
        sentence="Python decides before anything is recorded, so the gradient is that of one branch: -1 here. "
        "Any number between -1 and 1 is honest.",
        function=python_if,
        arguments=(0.0,),
        admissible=PLUS_MINUS_ONE,
        table=(-1.0,),
    ),
    trap(
        name="if-equal",
        title="x^2 with a special case for x = 1",
        sentence="The function is x^2 everywhere and its derivative 2 at x = 1, but the branch taken there is a "
        "constant, so every method that follows the branch answers 0.",
        function=if_equal,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 2"),
    ),
)
