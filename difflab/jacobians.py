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
    function: Callable,
    argnums: Any = 0,
    backend: str | Backend | None = None,
    layout: str = "numerator",
    *,
    sparse: Any = False,
    memory: str | int | None = None,
    file: Any = None,
) -> Callable[..., Any]:
    """All partial derivatives of all outputs.

    Args:
        function: plain NumPy function; arguments and outputs may be containers of arrays of any shape.
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value; ``None`` is "forward" where the function has no more inputs than outputs,
            and "reverse" elsewhere.
        layout: "numerator": the output's containers outside, the argument's inside, leaves of shape out + in;
            "denominator": the argument's containers outside, the output's inside, leaves of shape in + out.
        sparse: ``True`` finds which outputs may depend on which inputs, and reads the entries off few products (Curtis,
            Powell and Reid, 1974); leaves are then ``scipy.sparse.csr_array`` of shape (out.size, in.size), for
            "denominator" (in.size, out.size).  A pattern of one's own (what ``dl.sparsity`` gives, a SciPy matrix or a
            boolean array) does so for functions that cannot be traced as well; it is trusted: entries outside of it
            are folded into others.  Entries of float16 come as float32, for SciPy has none; where a slope is infinite,
            0 times it is NaN as in the dense Jacobian of the same mode.
        memory: the evaluation, result included, holds at most so many bytes of arrays: bytes, or a text such as
            "200 MB"; with ``file`` the result is not in memory and does not count.
        file: path of a new ``.npy`` file, to which the result is written chunk by chunk; of a result
            of several blocks that of a new folder, with a file for each.  What comes back are read-only ``np.memmap``.

    Returns:
        A function of the same arguments.  A leaf has its variable's dtype, complex where the output is complex; it is
        complex-linear: for a real output df/dRe - i df/dIm, and a complex output is taken for holomorphic.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.
        ForecastError: it does not fit into ``memory``, or onto the disk.

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
    if memory is not None or file is not None:
        if sparse is not False:
            raise InputError("jacobian: sparse= stands without memory= and file=, which are for the dense matrix")
        from .chunked import within  # what few calls need costs the others no time and no memory

        return within("jacobian", function, argnums, chosen, memory, file, layout)

    def run(*args: Any, **kwargs: Any) -> Any:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        if sparse is not False:
            from .compressed import sparse_derivative

            return sparse_derivative(chosen, made, flat, bound, nested, sparse, "jacobian", layout)
        doing = by_shape(made.tape, bound.wrt) if chosen is None else chosen
        if nested:
            leaves = lifted(made.tape, bound.leaves)
            outputs, blocks = inside(doing, made.tape, bound.wrt).jacobian(leaves)
        else:
            outputs, blocks = ready(doing, made, "jacobian").jacobian(bound.leaves)
            found_outputs(made, flat, bound, nested)  # for the structure, of a black box
        return jacobian_tree(flat, bound, outputs, blocks, layout)

    return run


def hessian(
    function: Callable,
    argnums: Any = 0,
    backend: str | Backend = "reverse",
    *,
    sparse: Any = False,
    memory: str | int | None = None,
    file: Any = None,
) -> Callable[..., Any]:
    """All second derivatives of a scalar function.

    Args:
        function: plain NumPy function with one real output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.
        sparse: ``True`` finds which pairs of inputs may have a second derivative, and reads the entries off few
            products (Coleman and Moré, 1984); leaves are then ``scipy.sparse.csr_array`` of shape (first.size,
            second.size).  A pattern of one's own is trusted, as for ``dl.jacobian``.
        memory: at most so many bytes of arrays, as for ``dl.jacobian``.
        file: path of a new file or folder for the result, as for ``dl.jacobian``.

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
    if memory is not None or file is not None:
        if sparse is not False:
            raise InputError("hessian: sparse= stands without memory= and file=, which are for the dense matrix")
        from .chunked import within

        return within("hessian", function, argnums, chosen, memory, file)

    def run(*args: Any, **kwargs: Any) -> Any:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        require_scalar(found_outputs(made, flat, bound, nested), function, "hessian")
        if sparse is not False:
            from .compressed import sparse_derivative

            return sparse_derivative(chosen, made, flat, bound, nested, sparse, "hessian")
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
