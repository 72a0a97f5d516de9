"""One element as text that C++ and Python read alike: types, literals, and the functions that CUDA lacks.

A kernel's text is an expression of the operands ``{0}``, ``{1}``, ... and of the type ``{T}`` in which the first is
computed, with the operators that both languages have and with functions by name.  There is no ``?:``, ``&&``, ``||``
or ``!`` in it: ``choose``, ``both``, ``either`` and ``no`` say the same, of a number in C++ and of arrays in Python.
Half precision is computed in single and rounded once per operation, as NumPy does it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...primitives.record import Aval, Primitive
from .functions import FUNCTIONS

TYPES = {
    "bool": "bool",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float16": "float16",
    "float32": "float",
    "float64": "double",
    "complex64": "complex64",
    "complex128": "complex128",
}
"""The name in a kernel of every dtype that has one; where C++ calls it otherwise, the kernel begins with a typedef."""

TYPEDEFS = {
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}

WORD = re.compile(r"[A-Za-z_]\w*")
OPERAND = re.compile(r"\{(\d+)\}")


class Reduction(NamedTuple):
    """How two partial results become one, what they begin with (by dtype), and which operands it takes."""

    combine: str
    start: Callable[[np.dtype], str]
    takes: Callable[[Aval], bool]


def typed(dtype: np.dtype) -> str:
    """The type's name in a kernel.

    Args:
        dtype: of an array.

    Returns:
        A name that C++ knows, some by a typedef of the kernel's own; empty where no kernel computes in this dtype.

    Example:
        >>> typed(np.dtype(np.float32))
        'float'
    """
    return TYPES.get(dtype.name, "") if dtype.isnative else ""


def computed(dtype: np.dtype) -> str:
    """The type in which elements of a dtype are computed: half precision in single.

    Args:
        dtype: of an array.

    Returns:
        A name as ``typed`` gives it.

    Example:
        >>> computed(np.dtype(np.float16))
        'float'
    """
    return "float" if dtype == np.float16 else typed(dtype)


def literal_text(value: Any, dtype: np.dtype) -> str:
    """A number of a dtype, for which both languages have the same bits.

    Args:
        value: a number.
        dtype: of the literal.

    Returns:
        A call of the type, such as ``double(0.5)``.

    Example:
        >>> literal_text(0.1, np.dtype(np.float32))
        'float(0.10000000149011612)'
    """
    held: Any = np.asarray(value, dtype)[()]
    name = computed(dtype)
    if dtype.kind == "c":
        part = np.dtype(np.float32 if dtype == np.complex64 else np.float64)
        return f"{name}({literal_text(held.real, part)}, {literal_text(held.imag, part)})"
    if dtype.kind == "f":
        number = float(held)
        if math.isnan(number):
            return f"{name}(not_a_number)"
        if math.isinf(number):
            return f"{name}({'-' if number < 0 else ''}infinity)"
        return f"{name}({number!r})"
    if dtype.kind == "b":
        return f"bool({int(held)})"
    number = int(held)
    if number == -(2**63):
        return f"{name}(-{2**63 - 1} - 1)"  # C++ has no literal for the least integer
    return f"{name}({number if number < 2**31 else hex(number)})"  # a long decimal would be signed


def element_text(primitive: Primitive, avals: Sequence[Aval], params: Mapping[str, Any]) -> str:
    """One element of a primitive's result as a template.

    Args:
        primitive: what is computed.
        avals: shapes and dtypes of the operands.
        params: metadata of the equation.

    Returns:
        A template of the operands ``{0}``, ``{1}``, ... and of the type ``{T}``; empty where there is none.

    Example:
        >>> from difflab.primitives import REGISTRY
        >>> element_text(REGISTRY["add"], [Aval((2,), np.dtype(float))] * 2, {})
        '{0} + {1}'
    """
    kernel = primitive.kernel
    if kernel is None or not all([typed(aval.dtype) for aval in avals]):
        return ""
    return kernel if isinstance(kernel, str) else kernel(avals, **params)


def read_operands(text: str, count: int) -> list[int]:
    """Which operands a template mentions.

    Args:
        text: a template.
        count: of the operands there are.

    Returns:
        Their positions, in order.

    Example:
        >>> read_operands("choose({0}, {2}, {T}(0))", 3)
        [0, 2]
    """
    mentioned = {int(found) for found in OPERAND.findall(text)}
    return [position for position in range(count) if position in mentioned]


def written(text: str, operands: Sequence[str], dtypes: Sequence[np.dtype]) -> str:
    """A template filled in.

    Args:
        text: a template.
        operands: one name or literal per operand.
        dtypes: one per operand.

    Returns:
        An expression; names of half precision are read as ``float``.

    Example:
        >>> written("{0} + {T}(1)", ["x0"], [np.dtype(np.float16)])
        'float(x0) + float(1)'
    """
    read = [
        f"float({operand})" if dtype == np.float16 and not operand.startswith("float(") else operand
        for operand, dtype in zip(operands, dtypes, strict=True)
    ]
    return text.format(*read, T=computed(dtypes[0]) if dtypes else "")


def preamble(*texts: str) -> str:
    """What must stand before a kernel with these texts: types and functions, each after those that it needs.

    Args:
        texts: parts of a kernel.

    Returns:
        C++ text; empty where CUDA knows all names.

    Example:
        >>> print(preamble("no(x0)"))
        __device__ inline bool no(bool a) { return !a; }
    """
    needed: dict[str, None] = {}

    def visit(text: str) -> None:
        for word in WORD.findall(text):
            if word in FUNCTIONS and word not in needed and word not in pending:
                pending.append(word)
                visit(FUNCTIONS[word])
                needed[word] = None

    pending: list[str] = []
    for text in texts:
        visit(text)
    parts = [FUNCTIONS[name] for name in needed]
    words = set(WORD.findall(" ".join([*texts, *parts])))
    # CuPy includes it by itself only for parameters of that type.
    headers = ["#include <cupy/float16.cuh>"] if "float16" in words else []
    types = [f"typedef {meaning} {name};" for name, meaning in TYPEDEFS.items() if name in words]
    return "\n".join([*headers, *types, *parts])


def _zero(dtype: np.dtype) -> Any:
    """What changes no sum, not even that of negative zeros."""
    return {"f": -0.0, "c": complex(-0.0, -0.0)}.get(dtype.kind, 0)


def _least(dtype: np.dtype) -> Any:
    if dtype.kind == "f":
        return -math.inf
    return 0 if dtype.kind == "b" else np.iinfo(dtype).min


def _most(dtype: np.dtype) -> Any:
    if dtype.kind == "f":
        return math.inf
    return 1 if dtype.kind == "b" else np.iinfo(dtype).max


def _numbers(aval: Aval) -> bool:
    return aval.dtype.kind in "iufc" and bool(typed(aval.dtype))


def _ordered(aval: Aval) -> bool:
    return aval.dtype.kind in "biuf" and bool(typed(aval.dtype))


REDUCTIONS = {
    "sum": Reduction("a + b", lambda dtype: literal_text(_zero(dtype), dtype), _numbers),
    "prod": Reduction("a * b", lambda dtype: literal_text(1, dtype), _numbers),
    "max": Reduction("larger(a, b)", lambda dtype: literal_text(_least(dtype), dtype), _ordered),
    "min": Reduction("smaller(a, b)", lambda dtype: literal_text(_most(dtype), dtype), _ordered),
}
"""Reductions that one kernel computes, by the names of their primitives."""
