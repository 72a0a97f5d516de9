"""What a problem is: a loss in plain NumPy, its sizes, its data and its gradient derived by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import InputError, did_you_mean

DTYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Instance:
    """One problem at one size, dtype and seed.

    ``loss(*args)`` is a scalar; ``args`` is ``(params, *data)`` with ``params`` a dict of arrays, the one argument to
    differentiate; ``analytic(*args)`` returns ``(value, gradient)`` with the keys of ``params``, derived by hand;
    ``n_params`` counts the scalars in ``params``.
    """

    loss: Callable[..., Any]
    args: tuple[Any, ...]
    analytic: Callable[..., tuple[Any, dict[str, Any]]]
    n_params: int


@dataclass(frozen=True)
class Problem:
    """A loss that ships with the package.

    ``sizes`` maps the name of a size to its dimensions, from small to large, ``"tiny"`` first;
    ``build(size, dtype, seed)`` makes an ``Instance``, always the same for the same three arguments;
    ``count(size)`` is the number of its parameters, which costs nothing where ``shapes`` tells theirs by name.
    """

    name: str
    title: str
    sizes: Mapping[str, Mapping[str, int]]
    build: Callable[[str, str, int], Instance]
    description: str
    shapes: Callable[[Mapping[str, int]], Mapping[str, tuple[int, ...]]] | None = None

    def count(self, size: str) -> int:
        """How many parameters a size has.

        Args:
            size: a key of ``sizes``.

        Returns:
            The number that an instance has as ``n_params``.

        Raises:
            InputError: there is no such size.

        Example:
            >>> from difflab.problems import find
            >>> find("alexnet").count("full")
            60965224
        """
        if self.shapes is None or size not in self.sizes:
            return self.build(size, "float32", 0).n_params
        return sum(math.prod(shape) for shape in self.shapes(self.sizes[size]).values())


def problem(
    name: str,
    title: str,
    sizes: Mapping[str, Mapping[str, int]],
    make: Callable[[Mapping[str, int], np.dtype, int], Instance],
    description: str,
    shapes: Callable[[Mapping[str, int]], Mapping[str, tuple[int, ...]]] | None = None,
) -> Problem:
    """A ``Problem`` whose ``build`` checks its arguments before it calls ``make``.

    Args:
        name: what it is asked for by.
        title: a heading for people.
        sizes: the dimensions of each size, from small to large, "tiny" first.
        make: ``make(dimensions, dtype, seed)`` builds the instance.
        description: sentences for the report.
        shapes: the shapes of the parameters of a size, for problems so large that they are not built to be counted.

    Returns:
        The problem; its ``build`` raises ``InputError`` for an unknown size, a dtype other than those of ``DTYPES``,
        or a seed that is not a non-negative whole number.

    Example:
        >>> ramp = lambda params: (params["x"].sum(), {"x": np.ones_like(params["x"])})
        >>> make = lambda size, dtype, seed: instance(np.sum, ramp, {"x": np.zeros(size["n"])}, (), dtype)
        >>> problem("ramp", "A sum", {"tiny": {"n": 3}}, make, "A sum.").build("tiny", "float32", 0).n_params
        3
    """

    def build(size: str, dtype: str = "float64", seed: int = 0) -> Instance:
        if size not in sizes:
            raise InputError(f"problem {name!r} has no size {size!r} {did_you_mean(str(size), list(sizes))}")
        if dtype not in DTYPES:
            known = f"{', '.join(map(repr, DTYPES[:-1]))} or {DTYPES[-1]!r}"
            raise InputError(f"problem {name!r} cannot be built in dtype {dtype!r}; use {known}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"problem {name!r} needs a non-negative whole number as seed, got {seed!r}")
        return make(sizes[size], np.dtype(dtype), int(seed))

    frozen = {size: MappingProxyType(dict(dimensions)) for size, dimensions in sizes.items()}
    return Problem(name, title, MappingProxyType(frozen), build, description, shapes)


def instance(
    loss: Callable[..., Any],
    analytic: Callable[..., tuple[Any, dict[str, Any]]],
    params: Mapping[str, Any],
    data: tuple[Any, ...],
    dtype: np.dtype,
) -> Instance:
    """An ``Instance`` with every array of ``params`` and ``data`` as a fresh array of ``dtype``.

    Args:
        loss: the scalar function of ``(params, *data)``.
        analytic: its ``(value, gradient)``, derived by hand.
        params: arrays or numbers by name.
        data: further arguments of the loss, arrays or numbers.
        dtype: what all of them become.

    Returns:
        The instance.

    Example:
        >>> half = instance(lambda p: p["x"] / 2, lambda p: (p["x"] / 2, {"x": 0.5}), {"x": 3}, (), np.dtype("float32"))
        >>> float(half.loss(*half.args)), half.n_params
        (1.5, 1)
    """
    arrays = {key: np.array(value, dtype) for key, value in params.items()}
    n_params = sum(array.size for array in arrays.values())
    return Instance(loss, (arrays, *[np.array(value, dtype) for value in data]), analytic, n_params)
