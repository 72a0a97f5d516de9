"""Texts of kernels that depend on dtypes of operands and on metadata; their language is that of ``execution.device``.

A dtype for which there is no text is left to CuPy's own function, called for that equation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .record import Aval


def of_kinds(floating: str = "", *, whole: str = "", boolean: str = "", complex: str = "") -> Callable[..., str]:
    """A kernel's text by the kind of the first operand's dtype.

    Args:
        floating: for real floating-point numbers.
        whole: for integers with and without sign.
        boolean: for truth values.
        complex: for complex numbers.

    Returns:
        What ``Primitive.kernel`` may be: a function of the operands' avals.

    Example:
        >>> of_kinds("floor({0})", whole="{0}")([Aval((3,), np.dtype(int))])
        '{0}'
    """
    texts = {"f": floating, "i": whole, "u": whole, "b": boolean, "c": complex}

    def text(avals: Sequence[Aval], **params: object) -> str:
        return texts.get(avals[0].dtype.kind, "")

    return text


def truths(text: str) -> Callable[..., str]:
    """A text of truth values; of other numbers it asks whether they are 0.

    Args:
        text: for operands that are truth values.

    Returns:
        A function of the operands' avals.

    Example:
        >>> truths("no({0})")([Aval((), np.dtype(float))])
        'no(truth({0}))'
    """

    def chosen(avals: Sequence[Aval]) -> str:
        operands = [f"{{{i}}}" if aval.dtype.kind == "b" else f"truth({{{i}}})" for i, aval in enumerate(avals)]
        return text.format(*operands)

    return chosen


def choice_text(avals: Sequence[Aval]) -> str:
    """The text of a choice between two values.

    Args:
        avals: of the condition, the value where it holds and the value elsewhere.

    Returns:
        A call of ``choose``; a condition that is no truth value is asked whether it is 0.

    Example:
        >>> choice_text([Aval((), np.dtype(bool))] * 3)
        'choose({0}, {1}, {2})'
    """
    if avals[1].dtype != avals[2].dtype:
        return ""
    return "choose({0}, {1}, {2})" if avals[0].dtype.kind == "b" else "choose(truth({0}), {1}, {2})"


def cast_text(avals: Sequence[Aval], dtype: str) -> str:
    """The text of a cast.

    Args:
        avals: of the operand.
        dtype: of the result.

    Returns:
        A call of the type.

    Example:
        >>> cast_text([Aval((), np.dtype(int))], "<f8")
        'double({0})'
    """
    target, source = np.dtype(dtype), avals[0].dtype
    if target.kind == "b":
        return "{0}" if source.kind == "b" else "truth({0})"
    if not target.isnative or (source.kind == "c" and target.kind != "c"):
        return ""
    name = {"float32": "float", "float64": "double"}.get(target.name, target.name)
    return f"{name}({{0}})" if target.kind in "iufc" and target.itemsize <= 16 else ""


def complex_text(avals: Sequence[Aval]) -> str:
    """The text of a complex number made of its parts.

    Args:
        avals: of the parts.

    Returns:
        A call of the type; empty for parts that are complex themselves.

    Example:
        >>> complex_text([Aval((), np.dtype(float))] * 2)
        'complex128({0}, {1})'
    """
    if avals[0].dtype.kind == "c":
        return ""
    return f"{np.result_type(avals[0].dtype, np.complex64).name}({{0}}, {{1}})"


def integer_power_text(avals: Sequence[Aval], n: int) -> str:
    """The text of a power with a whole exponent, by products where NumPy multiplies.

    Args:
        avals: of the base.
        n: the exponent.

    Returns:
        A product, a quotient, or a call of a function.

    Example:
        >>> integer_power_text([Aval((), np.dtype(float))], 2)
        '{0} * {0}'
    """
    kind = avals[0].dtype.kind
    if kind == "b" or (kind in "iu" and n < 0):
        return ""
    if n in (-1, 0, 1, 2):
        return {-1: "{T}(1) / {0}", 0: "{T}(1)", 1: "{0}", 2: "{0} * {0}"}[n]
    function = {"f": "pow", "c": "complex_power"}.get(kind, "whole_power")
    return f"{function}({{0}}, {{T}}({n}))"


def of_order_zero(text: str) -> Callable[..., str]:
    """The text of a function whose derivatives are members of one family: only the function itself has one.

    Args:
        text: for real floating-point numbers.

    Returns:
        A function of the operands' avals and of ``order``.

    Example:
        >>> of_order_zero("sinc_of({0})")([Aval((), np.dtype(float))], order=1)
        ''
    """

    def chosen(avals: Sequence[Aval], order: int = 0) -> str:
        return text if order == 0 and avals[0].dtype.kind == "f" else ""

    return chosen


def with_order(text: str) -> Callable[..., str]:
    """The text of a function of a real number with parameters, which may be integers.

    Args:
        text: a template.

    Returns:
        A function of the operands' avals.

    Example:
        >>> with_order("box_cox({0}, {1})")([Aval((), np.dtype("f8")), Aval((), np.dtype("i2"))])
        'box_cox({0}, {T}({1}))'
    """

    def chosen(avals: Sequence[Aval]) -> str:
        if avals[0].dtype.kind != "f":
            return ""
        operands = [f"{{{i}}}" if aval.dtype == avals[0].dtype else f"{{T}}({{{i}}})" for i, aval in enumerate(avals)]
        return text.format(*operands)

    return chosen
