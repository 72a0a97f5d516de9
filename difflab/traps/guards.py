"""Guards: a branch that was meant to keep a NaN away from the value, and does not keep it from the gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .admissible import Exact
from .record import Trap

trap = partial(Trap, family="guards")


def where_log(xp: Any, x: Any) -> Any:
    return xp.sum(xp.where(x > 1.0, xp.log(x), x))


def where_sqrt(xp: Any, x: Any) -> Any:
    return xp.sum(xp.where(x > 0.5, xp.sqrt(x), x))


def double_where(xp: Any, x: Any) -> Any:
    safe = xp.where(x > 1.0, x, 1.0)
    return xp.sum(xp.where(x > 1.0, xp.log(safe), x))


def where_exp(xp: Any, x: Any) -> Any:
    return xp.where(x <= 0.0, xp.exp(x), 1.0 + x)


def where_sinc(xp: Any, x: Any) -> Any:
    return xp.where(x == 0.0, 1.0, xp.sin(x) / x)


def masked_distance(xp: Any, x: Any, others: Any) -> Any:
    squares = (x[:, None] - x[None, :]) ** 2
    return xp.sum(xp.where(others, xp.sqrt(squares), 0.0))


def masked_angle(xp: Any, x: Any, mask: Any) -> Any:
    return xp.sum(xp.where(mask, 0.0, xp.arctan2(x, x * x)))


def clipped_sqrt(xp: Any, x: Any) -> Any:
    return xp.maximum(xp.sqrt(x * x), 1.0)


def selected_log1p(xp: Any, x: Any, kept: Any) -> Any:
    return xp.sum(xp.log1p(x)[kept])


def nan_data(xp: Any, x: Any, data: Any) -> Any:
    return xp.sum(xp.where(xp.isnan(data), 0.0, (x - data) ** 2))


def weight_zero(xp: Any, x: Any, weight: Any) -> Any:
    return x + weight * xp.exp(x)


GUARDS = (
    trap(
        name="where-log",
        title="where(x > 1, log(x), x) at (0, 2)",
        sentence="The logarithm is not used at 0 and the derivative there is 1, but its slope 1/0 is multiplied by "
        "a 0 on the way back: NaN.",
        function=where_log,
        arguments=(np.array([0.0, 2.0]),),
        admissible=Exact(lambda mp, x: [1, 1 / x[1]], "(1, 1/2)"),
        thread="pytorch/pytorch#108618",
    ),
    trap(
        name="where-sqrt",
        title="where(x > 1/2, sqrt(x), x) at (0, 4)",
        sentence="The root is not used at 0, where the derivative is 1; its infinite slope comes back as NaN.",
        function=where_sqrt,
        arguments=(np.array([0.0, 4.0]),),
        admissible=Exact(lambda mp, x: [1, 1 / (2 * mp.sqrt(x[1]))], "(1, 1/4)"),
        thread="jax-ml/jax#347",
    ),
    trap(
        name="double-where",
        title="where(x > 1, log(where(x > 1, x, 1)), x) at (0, 2)",
        sentence="The known cure: the dangerous function is given a harmless argument as well. Whoever fails here "
        "has another fault.",
        function=double_where,
        arguments=(np.array([0.0, 2.0]),),
        admissible=Exact(lambda mp, x: [1, 1 / x[1]], "(1, 1/2)"),
        thread="jax-ml/jax#1722",
    ),
    trap(
        name="where-exp",
        title="where(x <= 0, exp(x), 1 + x) at 1000",
        sentence="The exponential that is not used overflows, and infinity times 0 is NaN; the derivative is 1.",
        function=where_exp,
        arguments=(1000.0,),
        admissible=Exact(lambda mp, x: [1], "1"),
        thread="pytorch/pytorch#68425",
    ),
    trap(
        name="where-sinc",
        title="where(x == 0, 1, sin(x) / x) at 0",
        sentence="The value is guarded and the function is smooth with derivative 0, yet 0 / 0 comes back from the "
        "branch not taken.",
        function=where_sinc,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [0], "0"),
        thread="tensorflow/tensorflow#127742",
    ),
    trap(
        name="masked-distance",
        title="a distance matrix with its diagonal masked",
        sentence="Each point has distance 0 to itself; the mask hides the value but not the NaN of sqrt'(0) times 0.",
        function=masked_distance,
        arguments=(np.array([0.0, 1.0, 3.0]), ~np.eye(3, dtype=bool)),
        admissible=Exact(lambda mp, x, mask: [-4, 0, 4], "(-4, 0, 4)"),
        thread="tinygrad/tinygrad#15806",
    ),
    trap(
        name="masked-angle",
        title="arctan2 behind a mask, one entry at the origin",
        sentence="The angle that does not exist is masked out, its NaN gradient is not.",
        function=masked_angle,
        arguments=(np.array([3.0, 0.0, -5.0]), np.array([False, True, False])),
        admissible=Exact(lambda mp, x, mask: [-1 / (1 + x[0] ** 2), 0, -1 / (1 + x[2] ** 2)], "(-1/10, 0, -1/26)"),
        thread="jax-ml/jax#1052",
    ),
    trap(
        name="clipped-sqrt",
        title="maximum(sqrt(x^2), 1) at 0",
        sentence="The maximum takes the constant 1 in a whole neighbourhood, so the derivative is 0; the root inside "
        "answers NaN.",
        function=clipped_sqrt,
        arguments=(0.0,),
        admissible=Exact(lambda mp, x: [0], "0"),
        thread="ml-explore/mlx#3692",
    ),
    trap(
        name="selected-log1p",
        title="log1p(x)[mask] at (-1, 1/2)",
        sentence="Selecting entries instead of using where: the entry that is left out has slope 1/0, which the "
        "scattered 0 turns into NaN.",
        function=selected_log1p,
        arguments=(np.array([-1.0, 0.5]), np.array([False, True])),
        admissible=Exact(lambda mp, x, mask: [0, 1 / (1 + x[1])], "(0, 2/3)"),
        thread="pytorch/pytorch#152088",
    ),
    trap(
        name="nan-data",
        title="squares against data with a missing entry",
        sentence="Missing data are NaN and masked by where; on the way back 0 times NaN is NaN, although the missing "
        "entry has no say in the gradient.",
        function=nan_data,
        arguments=(np.array([1.0, 2.0]), np.array([float("nan"), 5.0])),
        admissible=Exact(lambda mp, x, data: [0, 2 * (x[1] - data[1])], "(0, -6)"),
        thread="pytorch/pytorch#52248",
    ),
    trap(
        name="weight-zero",
        title="x + 0 exp(x) at 1000",
        sentence="A weight of 0 does not switch a term off: 0 times the overflowed exponential is NaN in the value "
        "and in the gradient. The derivative is 1.",
        function=weight_zero,
        arguments=(1000.0, 0.0),
        admissible=Exact(lambda mp, x, weight: [1], "1"),
    ),
)
