"""What the tests of recognised calls share: a function of any arguments, and how results are compared."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from difflab.containers import flatten

Pair = namedtuple("Pair", ["first", "second"])


def total(*args: Any, **kwargs: Any) -> Any:
    """Depends on every leaf in its own way, whatever the containers."""
    leaves, _ = flatten((args, tuple(kwargs.values())))
    numbers = [leaf for leaf in leaves if not isinstance(leaf, str | bool | int)]
    return sum((position + 1.0) * np.sum(np.sin(leaf) * leaf) for position, leaf in enumerate(numbers))


def assert_alike(found: Any, expected: Any) -> None:
    """The same containers with the same keys in the same order, and leaves of the same types, dtypes and bits."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert [(type(key), key) for key in found] == [(type(key), key) for key in expected]
        for key in expected:
            assert_alike(found[key], expected[key])
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, np.ndarray | np.generic):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
