"""The operators that give matrices, or products with second derivatives: jacobian, hessian, hvp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backends import by_shape, resolve
from .backends.protocol import Backend
from .backends.ways import require
from .errors import InputError
from .flat import require_scalar
from .nesting import inside, lifted, ready
from .operators import found_outputs, require_argnums, unprepared
from .primitives.record import Traced
from .trees import LAYOUTS, hessian_tree, jacobian_tree, split_vector, vector_leaves


def jacobian(
    function: Callable, argnums: Any = 0, backend: str | Backend | None = None, layout: str = "numerator"
) -> Callable[..., Any]:
    """All partial derivatives of all outputs.

    Args:
        function: plain NumPy function; arguments and outputs may be containers of arrays of any shape.
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value; ``None`` is "forward" where the function has no more inputs than outputs,
            and "reverse" elsewhere.
        layout: "numerator": the output's containers outside, the argument's inside, leaves of shape out + in;
            "denominator": the argument's containers outside, the output's inside, leaves of shape in + out.

    Returns:
        A function of the same arguments.  A leaf has its variable's dtype, complex where the output is complex; it is
        complex-linear: for a real output df/dRe - i df/dIm, and a complex output is taken for holomorphic.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> import numpy as np
        >>> jacobian(lambda x: np.array([2.0, 3.0]) * x)(np.ones(2))
        array([[2., 0.],
               [0., 3.]])
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout={layout!r}: the layouts of a Jacobian are {' and '.join(map(repr, LAYOUTS))}")
    chosen = None if backend is None else resolve(backend)
    if chosen is not None:
        require(chosen, "jacobian")
    require_argnums(argnums, function, "jacobian")

    def run(*args: Any, **kwargs: Any) -> Any:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        doing = by_shape(made.tape, bound.wrt) if chosen is None else chosen
        if nested:
            leaves = lifted(made.tape, bound.leaves)
            outputs, blocks = inside(doing, made.tape, bound.wrt).jacobian(leaves)
        else:
            outputs, blocks = ready(doing, made, "jacobian").jacobian(bound.leaves)
            found_outputs(made, flat, bound, nested)  # for the structure, of a black box
        return jacobian_tree(flat, bound, outputs, blocks, layout)

    return run


def hessian(function: Callable, argnums: Any = 0, backend: str | Backend = "reverse") -> Callable[..., Any]:
    """All second derivatives of a scalar function.

    Args:
        function: plain NumPy function with one real output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.

    Returns:
        A function of the same arguments that returns a tree of trees: for each leaf of ``args[argnums]`` a tree in its
        structure, of leaves of shape first + second.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> import numpy as np
        >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
        array([[6., 2.],
               [2., 0.]])
    """
    chosen = resolve(backend)
    require(chosen, "hessian")
    require_argnums(argnums, function, "hessian")

    def run(*args: Any, **kwargs: Any) -> Any:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        require_scalar(found_outputs(made, flat, bound, nested), function, "hessian")
        if nested:
            blocks = inside(chosen, made.tape, bound.wrt).hessian(lifted(made.tape, bound.leaves))
        else:
            blocks = ready(chosen, made, "hessian").hessian(bound.leaves)
        return hessian_tree(bound, blocks)

    return run


def hvp(function: Callable, argnums: Any = 0, backend: str | Backend = "reverse") -> Callable[..., Any]:
    """The Hessian of a scalar function times a vector, without the Hessian.

    Args:
        function: plain NumPy function with one real output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.

    Returns:
        A function of the same arguments and, after the positional ones, a vector in the structure of
        ``args[argnums]`` (a tuple for a tuple of ``argnums``); it returns the product in that structure.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> import numpy as np
        >>> hvp(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]), np.array([1.0, 0.0]))
        array([6., 2.])
    """
    chosen = resolve(backend)
    require(chosen, "hvp")
    require_argnums(argnums, function, "hvp")

    def run(*args: Any, **kwargs: Any) -> Any:
        args, vector = split_vector(args, function)
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        require_scalar(found_outputs(made, flat, bound, nested), function, "hvp")
        vectors = vector_leaves(vector, bound, function)
        if nested or any(isinstance(leaf, Traced) for leaf in vectors):
            leaves = lifted(made.tape, bound.leaves, vectors)
            return bound.gradient_tree(inside(chosen, made.tape, bound.wrt).hvp(leaves, vectors))
        return bound.gradient_tree(ready(chosen, made, "hvp").hvp(bound.leaves, vectors))

    return run


__all__ = ["hessian", "hvp", "jacobian"]
