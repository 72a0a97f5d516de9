"""Arithmetic of integers bit by bit: live equations without derivative; and numbers scaled by powers of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dependence, examples
from .batching import broadcasting
from .constructors import general, linear
from .kernel_texts import of_kinds
from .record import OUT, Aval, Call, Operand, Primitive, broadcast_shapes, same_dtype, unbroadcast

WHOLE = "a function of integers, which have no derivative"


def _of_integers(ufunc: np.ufunc, *operands: Any, kernel: Any) -> Primitive:
    return general(
        ufunc,
        None,
        None,
        name=ufunc.__name__,
        abstract=same_dtype,
        into=lambda avals: Call(ufunc, (*map(Operand, range(ufunc.nin)), OUT)),
        samples=lambda: [(tuple(np.array(operand) for operand in operands), {})],
        examples=examples.aligned,
        batch=broadcasting(ufunc.__name__),
        excuse=WHOLE,
        kernel=kernel,
    )


bitwise_and = _of_integers(np.bitwise_and, [[12], [7]], [10, 3, -1], kernel="{0} & {1}")
bitwise_or = _of_integers(np.bitwise_or, [[12], [7]], [10, 3, -1], kernel="{0} | {1}")
bitwise_xor = _of_integers(np.bitwise_xor, [[12], [7]], [10, 3, -1], kernel="{0} ^ {1}")
invert = _of_integers(np.invert, [12, -1, 0], kernel=of_kinds(whole="~{0}", boolean="no({0})"))
left_shift = _of_integers(np.left_shift, [12, -1, 5], [0, 3, 2], kernel=of_kinds(whole="shifted_left({0}, {1})"))
right_shift = _of_integers(np.right_shift, [12, -1, 5], [0, 3, 2], kernel=of_kinds(whole="shifted_right({0}, {1})"))
gcd = _of_integers(np.gcd, [12, -4, 0], [18, 6, 5], kernel=of_kinds(whole="greatest_divisor({0}, {1})"))
lcm = _of_integers(np.lcm, [12, -4, 0], [18, 6, 5], kernel=of_kinds(whole="least_multiple({0}, {1})"))

ldexp = linear(
    np.ldexp,
    lambda g, x, n, wanted: (unbroadcast(ldexp(g, n), x.shape) if wanted[0] else None, None),
    name="ldexp",
    depends=dependence.of_operands(True, False),
    abstract=lambda x, n: Aval(broadcast_shapes(x.shape, n.shape), x.dtype),
    into=lambda avals: Call(np.ldexp, (Operand(0), Operand(1), OUT)),
    flops=lambda avals, out: float(out.size),
    samples=lambda: [((np.array([[1.5], [-0.3]]), np.array([3, -2, 0])), {})],
    moving=1,
    examples=examples.aligned,
    batch=broadcasting("ldexp"),
    inexact="its exponents are integers, which exact numbers are not multiplied by bit by bit",
    kernel=of_kinds("scaled({0}, {1})"),
)
