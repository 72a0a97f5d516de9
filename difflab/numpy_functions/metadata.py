"""What NumPy says of an array without its data: dtypes, index patterns of a shape, text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import kind_of
from .common import arrayed, implements


def _dtype(value: Any) -> Any:
    """What NumPy would look at: a dtype, or the zero of the type of a Python number, which is weak."""
    if isinstance(value, Traced):
        kind = kind_of(value)
        return kind(0) if isinstance(kind, type) else kind
    return value


@implements(np.result_type)
def result_type(*arrays_and_dtypes):
    return np.result_type(*map(_dtype, arrays_and_dtypes))


@implements(np.can_cast)
def can_cast(from_, to, casting: Any = "safe"):
    return np.can_cast(from_.dtype if isinstance(from_, Traced) else from_, to, casting)


@implements(np.common_type)
def common_type(*arrays):
    return np.common_type(*[np.empty(0, array.dtype) if isinstance(array, Traced) else array for array in arrays])


@implements(np.diag_indices_from)
def diag_indices_from(arr):
    return np.diag_indices_from(np.empty(arr.shape, bool))


@implements(np.tril_indices_from)
def tril_indices_from(arr, k=0):
    return np.tril_indices_from(np.empty(arr.shape, bool), k)


@implements(np.triu_indices_from)
def triu_indices_from(arr, k=0):
    return np.triu_indices_from(np.empty(arr.shape, bool), k)


@implements(np.einsum_path)
def einsum_path(*operands, optimize="greedy", einsum_call=False):
    plain = [np.empty(operand.shape, operand.dtype) if isinstance(operand, Traced) else operand for operand in operands]
    return np.einsum_path(*plain, optimize=optimize)


@implements(np.array_repr, np.array_str, np.array2string)
def array_repr(a, *args, **kwargs):
    return repr(a)


@implements(np.isin)
def isin(element, test_elements, assume_unique=False, invert=False, *, kind=None):
    element, tests = arrayed(element), np.ravel(arrayed(test_elements))
    if tests.dtype.kind == "O" or element.dtype.kind == "O":
        raise TraceError(f"np.isin at {user_location()} takes arrays of numbers")
    found = np.any(element[..., None] == tests, axis=-1)
    return np.logical_not(found) if invert else found


@implements(np.bitwise_count)
def bitwise_count(x):
    total: Any = 0
    bits = 8 * x.dtype.itemsize
    magnitude = np.abs(x) if x.dtype.kind == "i" else x
    for place in range(bits):
        total = total + ((magnitude >> place) & 1)
    return total.astype(np.uint8)
