"""Ranges: values that leave the numbers of a dtype on the way, although argument, value and gradient fit in it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .admissible import Exact
from .record import Trap

trap = partial(Trap, family="ranges")


def softmax_large(xp: Any, x: Any) -> Any:
    weights = xp.exp(x)
    return weights[0] / xp.sum(weights)


def softmax_shifted(xp: Any, x: Any) -> Any:
    weights = xp.exp(x - xp.max(x))
    return weights[0] / xp.sum(weights)


def logsumexp_plain(xp: Any, x: Any) -> Any:
    return xp.log(xp.sum(xp.exp(x)))


def logsumexp_shifted(xp: Any, x: Any) -> Any:
    shift = xp.max(x)
    return shift + xp.log(xp.sum(xp.exp(x - shift)))


def log_of_softmax(xp: Any, x: Any) -> Any:
    weights = xp.exp(x - xp.max(x))
    return xp.log(weights[1] / xp.sum(weights))


def sigmoid(xp: Any, x: Any) -> Any:
    return 1.0 / (1.0 + xp.exp(-x))


def log_sigmoid(xp: Any, x: Any) -> Any:
    return xp.log(1.0 / (1.0 + xp.exp(-x)))


def softplus(xp: Any, x: Any) -> Any:
    return xp.log(1.0 + xp.exp(x))


def logaddexp(xp: Any, x: Any) -> Any:
    return xp.logaddexp(x, 0.0)


def tanh(xp: Any, x: Any) -> Any:
    return xp.tanh(x)


def root_of_squares(xp: Any, x: Any) -> Any:
    return xp.sqrt(xp.sum(x * x))


def norm(xp: Any, x: Any) -> Any:
    return xp.linalg.norm(x)


def log_of_exp(xp: Any, x: Any) -> Any:
    return xp.log(xp.exp(x))


def square_root(xp: Any, x: Any) -> Any:
    return xp.sqrt(x)


def ratio_of_squares(xp: Any, x: Any) -> Any:
    return x[0] ** 2 / xp.sum(x**2)


def mean_of_many(xp: Any, x: Any) -> Any:
    return xp.mean(x * x)


def _unit(mp: Any, x: Any) -> list[Any]:
    length = mp.sqrt(sum(one * one for one in x))
    return [one / length for one in x]


def _logistic(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


RANGES = (
    trap(
        name="softmax-large",
        title="softmax by exp(x) / sum at (10 000, 0)",
        sentence="Both exponentials overflow or vanish and infinity / infinity is NaN; the gradient is e^-10000, "
        "which is 0 in every dtype.",
        function=softmax_large,
        arguments=(np.array([1e4, 0.0]),),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x[0] - x[1])) * (1 - p), -p * (1 - p)], "(0, 0)"),
        thread="FluxML/NNlib.jl#68",
    ),
    trap(
        name="softmax-shifted",
        title="softmax shifted by its maximum at (10 000, 0)",
        sentence="The cure: nothing overflows, and the shift is differentiated like everything else; "
        "its own parts cancel.",
        function=softmax_shifted,
        arguments=(np.array([1e4, 0.0]),),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x[0] - x[1])) * (1 - p), -p * (1 - p)], "(0, 0)"),
    ),
    trap(
        name="logsumexp-plain",
        title="log(sum(exp(x))) at (1000, 999)",
        sentence="The exponentials overflow; the gradient is the softmax, about (0.73, 0.27).",
        function=logsumexp_plain,
        arguments=(np.array([1000.0, 999.0]),),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x[0] - x[1])), 1 - p], "softmax(x), about (0.731, 0.269)"),
    ),
    trap(
        name="logsumexp-shifted",
        title="log-sum-exp shifted by its maximum at (1000, 1000)",
        sentence="The maximum is a tie, and its gradient cancels only if it is differentiated; "
        "the answer is (1/2, 1/2) whatever the convention at ties.",
        function=logsumexp_shifted,
        arguments=(np.array([1000.0, 1000.0]),),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x[0] - x[1])), 1 - p], "softmax(x) = (1/2, 1/2)"),
        table=(0.5, 0.5),
        thread="jax-ml/jax#13529",
    ),
    trap(
        name="log-of-softmax",
        title="log(softmax(x)) at (0, -800)",
        sentence="The probability underflows to 0 and its logarithm has an infinite slope; the gradient is (-1, 1), "
        "and a cross-entropy written like this stops learning where it is most wrong.",
        function=log_of_softmax,
        arguments=(np.array([0.0, -800.0]),),
        admissible=Exact(lambda mp, x: [-(p := _logistic(mp, x[0] - x[1])), p], "(-1, 1)"),
        thread="Theano/Theano#3162",
    ),
    trap(
        name="sigmoid-minus-1000",
        title="1 / (1 + exp(-x)) at -1000",
        sentence="The value is a good 0, but the gradient is infinity / infinity^2; it is e^-1000, which is 0.",
        function=sigmoid,
        arguments=(-1000.0,),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x)) * (1 - p)], "0"),
        thread="tinygrad/tinygrad#1113",
    ),
    trap(
        name="sigmoid-1000",
        title="1 / (1 + exp(-x)) at 1000",
        sentence="The harmless side: the gradient is e^-1000, which is 0.",
        function=sigmoid,
        arguments=(1000.0,),
        admissible=Exact(lambda mp, x: [(p := _logistic(mp, x)) * (1 - p)], "0"),
    ),
    trap(
        name="log-sigmoid",
        title="log(1 / (1 + exp(-x))) at -1000",
        sentence="The sigmoid is 0 and its logarithm minus infinity; the gradient is 1.",
        function=log_sigmoid,
        arguments=(-1000.0,),
        admissible=Exact(lambda mp, x: [1 - _logistic(mp, x)], "1"),
    ),
    trap(
        name="softplus",
        title="log(1 + exp(x)) at 1000",
        sentence="The exponential overflows and the gradient is infinity / infinity; it is 1.",
        function=softplus,
        arguments=(1000.0,),
        admissible=Exact(lambda mp, x: [_logistic(mp, x)], "1"),
        thread="tracel-ai/burn#5373",
    ),
    trap(
        name="logaddexp",
        title="logaddexp(x, 0) at 1000",
        sentence="The cure for softplus: a function of its own, with a rule that does not overflow.",
        function=logaddexp,
        arguments=(1000.0,),
        admissible=Exact(lambda mp, x: [_logistic(mp, x)], "1"),
        thread="rushter/MLAlgorithms#31",
    ),
    trap(
        name="tanh-saturated",
        title="tanh(x) at 20",
        sentence="tanh(20) rounds to 1 and 1 - tanh^2 to 0, while the derivative is 1.7e-17: all of its digits are "
        "lost where 1 / cosh^2 keeps them.",
        function=tanh,
        arguments=(20.0,),
        admissible=Exact(lambda mp, x: [1 / mp.cosh(x) ** 2], "1 / cosh(20)^2, about 1.7e-17", ulps=64),
        thread="jax-ml/jax#764",
    ),
    trap(
        name="float32-underflow",
        title="sqrt(sum(x^2)) at (3e-30, 4e-30) in float32",
        sentence="The squares underflow to 0 and the gradient is 0 / 0; it is (0.6, 0.8).",
        function=root_of_squares,
        arguments=(np.array([3e-30, 4e-30], np.float32),),
        dtype="float32",
        admissible=Exact(lambda mp, x: _unit(mp, x), "x / |x|, about (0.6, 0.8)"),
    ),
    trap(
        name="float32-norm",
        title="norm(x) at (3e-30, 4e-30) in float32",
        sentence="The library's own norm at the same point: whether it scales before it squares.",
        function=norm,
        arguments=(np.array([3e-30, 4e-30], np.float32),),
        dtype="float32",
        admissible=Exact(lambda mp, x: _unit(mp, x), "x / |x|, about (0.6, 0.8)"),
    ),
    trap(
        name="float32-ratio",
        title="x1^2 / sum(x^2) at (1e-25, 2e-25) in float32",
        sentence="A normalised square: numerator and denominator underflow together, 0 / 0; the gradient is about "
        "(3.2e24, -1.6e24), well within the dtype.",
        function=ratio_of_squares,
        arguments=(np.array([1e-25, 2e-25], np.float32),),
        dtype="float32",
        admissible=Exact(
            lambda mp, x: [
                2 * x[0] * x[1] ** 2 / (x[0] ** 2 + x[1] ** 2) ** 2,
                -2 * x[0] ** 2 * x[1] / (x[0] ** 2 + x[1] ** 2) ** 2,
            ],
            "about (3.2e24, -1.6e24)",
        ),
    ),
    trap(
        name="float16-overflow",
        title="norm of nine times 100 in float16",
        sentence="The sum of squares, 90 000, is above the largest float16, 65 504; x / infinity is a silent 0. "
        "The gradient is 1/3 in each entry.",
        function=norm,
        arguments=(np.full(9, 100.0, np.float16),),
        dtype="float16",
        admissible=Exact(lambda mp, x: _unit(mp, x), "1/3 each"),
        thread="jax-ml/jax#39899",
    ),
    trap(
        name="float16-underflow",
        title="log(exp(x)) at -20 in float16",
        sentence="exp(-20) is 2e-9 and underflows in float16, where it is 0; the slope 0 / 0 is NaN instead of 1.",
        function=log_of_exp,
        arguments=(np.array(-20.0, np.float16),),
        dtype="float16",
        admissible=Exact(lambda mp, x: [1], "1"),
    ),
    trap(
        name="float16-mean",
        title="mean of four squares of 200 in float16",
        sentence="Each square is 40 000, their sum overflows although the mean is small enough; the gradient, "
        "2x/4 = 100, is unaffected where the mean is linear.",
        function=mean_of_many,
        arguments=(np.full(4, 200.0, np.float16),),
        dtype="float16",
        admissible=Exact(lambda mp, x: [2 * one / len(x) for one in x], "x / 2 = 100 each"),
    ),
    trap(
        name="subnormal",
        title="sqrt(x) at 5e-324",
        sentence="The smallest positive float64: the slope 2.2e161 is finite, but hardware or libraries that flush "
        "subnormal numbers to 0 answer infinity.",
        function=square_root,
        arguments=(5e-324,),
        admissible=Exact(lambda mp, x: [1 / (2 * mp.sqrt(x))], "1 / (2 sqrt(x)), about 2.2e161"),
        thread="jax-ml/jax#39799",
    ),
)
