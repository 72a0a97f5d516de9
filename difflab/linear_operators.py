"""Jacobians, Hessians and Gauss-Newton matrices as linear operators of SciPy: products with flat vectors, no matrix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrays import copied
from .backends import resolve
from .backends.many import one_by_one
from .backends.protocol import Backend, Source
from .backends.ways import require
from .calls import Bound, describe
from .curvature import pushing
from .errors import UnsupportedError
from .flat import Function, require_scalar
from .jacobians import hvp
from .nesting import ready
from .operators import found_outputs, require_argnums, unprepared
from .primitives.complexes import block_dtype
from .trees import cotangent_leaves, value_tree

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Product = Callable[[list[Any]], Sequence[Any]]
"""From one vector per leaf, or lanes of them, to the products likewise."""


class _Map(NamedTuple):
    """A map that is linear over real numbers between arrays, one vector at a time and many at once."""

    given: Sequence[Any]
    found: Sequence[Any]
    one: Product
    many: Product


class _Call(NamedTuple):
    """A call taken apart, at a point of its own."""

    bound: Bound
    made: Source
    flat: Function
    outputs: Sequence[Any]
    leaves: list[Any]

    @property
    def variables(self) -> list[Any]:
        """Shapes and dtypes of the differentiated leaves."""
        return [self.bound.avals[i] for i in self.bound.wrt]


def jacobian_operator(
    function: Callable, *args: Any, argnums: Any = 0, backend: str | Backend | None = None, **kwargs: Any
) -> LinearOperator:
    """The Jacobian at a point as a linear operator of SciPy, for its iterative solvers.

    Rows are the coordinates of all outputs, one leaf behind the other, each in C order; columns those of all
    differentiated leaves.  ``A @ v`` is a JVP and ``A.H @ u`` a VJP, whose pass forward is done once; several columns
    go through one batched program.

    Args:
        function: plain NumPy function; arguments and outputs may be containers of arrays of any shape.
        *args: its positional arguments: the point.
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value; ``None``: forward mode for A v and reverse mode for A^H u.
        **kwargs: its keyword arguments, never differentiated.

    Returns:
        A ``scipy.sparse.linalg.LinearOperator`` of shape (outputs, variables).  Its dtype is the variables', complex
        where an output is; it is complex-linear as ``dl.jacobian`` is,
        which takes a complex function of complex variables for holomorphic.

    Raises:
        InputError, TraceError, UnsupportedError: in a sentence.

    Example:
        >>> from scipy.sparse.linalg import lsmr
        >>> A = jacobian_operator(lambda x: np.array([2.0, 4.0, 6.0]) * x[0] + x[1], np.ones(2))
        >>> A.shape, np.round(lsmr(A, np.array([3.0, 5.0, 7.0]))[0], 6)
        ((3, 2), array([1., 1.]))
    """
    puller = resolve("reverse" if backend is None else backend)
    pusher = pushing(puller) if backend is None else puller
    require(pusher, "jvp")
    require(puller, "vjp")
    call = _called("jacobian_operator", function, args, kwargs, argnums, puller)
    push, pull = _push(pusher, call), _pull(puller, call)
    pairs = [block_dtype(output, variable) for output in call.outputs for variable in call.variables]
    return _operator(push, pull, np.result_type(*pairs) if pairs else np.dtype(np.float64))


def hessian_operator(
    function: Callable, *args: Any, argnums: Any = 0, backend: str | Backend = "reverse", **kwargs: Any
) -> LinearOperator:
    """The Hessian of a scalar function at a point as a linear operator of SciPy.

    Args:
        function: plain NumPy function with one real output of shape ().
        *args: its positional arguments: the point.
        argnums: position of the argument to differentiate, or a tuple of positions; real arguments.
        backend: a name or a backend value.
        **kwargs: its keyword arguments, never differentiated.

    Returns:
        A ``scipy.sparse.linalg.LinearOperator``, square and symmetric, over the coordinates of all differentiated
        leaves, one leaf behind the other, each in C order.  ``A @ v`` is ``dl.hvp``.

    Raises:
        InputError, TraceError, UnsupportedError: in a sentence.

    Example:
        >>> from scipy.sparse.linalg import cg
        >>> A = hessian_operator(lambda x: np.sum(x**2) + x[0] * x[1], np.ones(2))
        >>> np.round(cg(A, np.array([3.0, 3.0]))[0], 6)
        array([1., 1.])
    """
    chosen = resolve(backend)
    require(chosen, "hvp")
    call = _called("hessian_operator", function, args, kwargs, argnums, chosen)
    require_scalar(call.outputs, function, "hessian_operator")
    _require_real(call, "hessian_operator", function)
    prepared = ready(chosen, call.made, "hvp")
    symmetric = _Map(
        call.variables,
        call.variables,
        lambda vectors: prepared.hvp(call.leaves, vectors),
        lambda vectors: prepared.hvps(call.leaves, vectors),
    )
    return _operator(symmetric, symmetric, _dtype(call.variables))


def gauss_newton_operator(
    residual: Callable,
    *args: Any,
    argnums: Any = 0,
    loss: Callable | None = None,
    backend: str | Backend = "reverse",
    **kwargs: Any,
) -> LinearOperator:
    """The Gauss-Newton matrix of ``loss(residual(x))`` at a point as a linear operator of SciPy.

    Args:
        residual: plain NumPy function; its outputs may be containers.
        *args: its positional arguments: the point.
        argnums: position of the argument to differentiate, or a tuple of positions; real arguments.
        loss: scalar function of the outputs; ``None``: half the sum of their squares, so that the matrix is J^T J.
        backend: a name or a backend value; with "reverse" the JVP goes forward.
        **kwargs: keyword arguments of the residual, never differentiated.

    Returns:
        A ``scipy.sparse.linalg.LinearOperator``, square and symmetric, over the coordinates of all differentiated
        leaves, one leaf behind the other, each in C order.  ``A @ v`` is ``dl.gauss_newton``.

    Raises:
        InputError, TraceError, UnsupportedError: in a sentence.

    Example:
        >>> A = gauss_newton_operator(lambda x: x**2 - 3.0, np.array([1.0, 2.0]))
        >>> A @ np.array([1.0, 1.0])
        array([ 4., 16.])
    """
    puller = resolve(backend)
    pusher = pushing(puller)
    require(pusher, "jvp")
    require(puller, "vjp")
    curved = None if loss is None else hvp(loss, 0, puller)
    call = _called("gauss_newton_operator", residual, args, kwargs, argnums, puller)
    _require_real(call, "gauss_newton_operator", residual)
    push, pull = _push(pusher, call), _pull(puller, call)
    values = ready(puller, call.made, "vjp").value(call.leaves)

    def weighted(slopes: Sequence[Any]) -> list[Any]:
        if curved is None:
            return [np.conj(slope) for slope in slopes]
        assert call.flat.structure is not None
        product = curved(value_tree(call.flat, values), value_tree(call.flat, list(slopes)))
        return cotangent_leaves(product, values, call.flat.structure, residual)

    def many(vectors: list[Any]) -> Sequence[Any]:
        slopes = push.many(vectors)
        return pull.many(weighted(slopes) if curved is None else one_by_one(weighted, slopes))

    symmetric = _Map(call.variables, call.variables, lambda vectors: pull.one(weighted(push.one(vectors))), many)
    return _operator(symmetric, symmetric, _dtype(call.variables))


# ---------------------------------------------------------------------------- maps at a point


def _called(
    operator: str, function: Callable, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any, backend: Backend
) -> _Call:
    """Take a call apart; SciPy computes with NumPy's arrays on the host."""
    require_argnums(argnums, function, operator)
    bound, made, flat, nested = unprepared(function, args, kwargs, argnums, backend)
    if nested:
        raise UnsupportedError(
            f"dl.{operator} of {describe(function)} makes an operator of SciPy, which takes no traced arrays; inside "
            "another derivative use dl.jvp, dl.vjp, dl.hvp or dl.gauss_newton"
        )
    if bound.device != "cpu":
        raise UnsupportedError(
            f"dl.{operator} of {describe(function)} makes an operator of SciPy, which computes on the host; fetch the "
            "arguments with .get()"
        )
    outputs = found_outputs(made, flat, bound, nested)
    return _Call(bound, made, flat, outputs, [copied(leaf) for leaf in bound.leaves])


def _require_real(call: _Call, operator: str, function: Callable) -> None:
    if any(one.dtype.kind == "c" for one in call.variables):
        raise UnsupportedError(
            f"dl.{operator} of {describe(function)} needs real arguments: by complex ones its products are linear over "
            "the real numbers only; give real and imaginary parts as two arrays"
        )


def _push(backend: Backend, call: _Call) -> _Map:
    prepared = ready(backend, call.made, "jvp")
    return _Map(
        call.variables,
        call.outputs,
        lambda tangents: prepared.jvp(call.leaves, tangents)[1],
        lambda tangents: prepared.jvps(call.leaves, tangents),
    )


def _pull(backend: Backend, call: _Call) -> _Map:
    prepared = ready(backend, call.made, "vjp")
    pullback = prepared.vjp(call.leaves)[1]

    def many(cotangents: list[Any]) -> Sequence[Any]:
        if "pullbacks" in backend.capabilities:
            return prepared.pullbacks(call.leaves, cotangents)
        return one_by_one(pullback, cotangents)

    return _Map(call.outputs, call.variables, pullback, many)


# ---------------------------------------------------------------------------- flat vectors


def _dtype(avals: Sequence[Any]) -> np.dtype:
    return np.result_type(*[one.dtype for one in avals]) if avals else np.dtype(np.float64)


def _size(avals: Sequence[Any]) -> int:
    return sum(math.prod(one.shape) for one in avals)


def _operator(push: _Map, pull: _Map, dtype: np.dtype) -> LinearOperator:
    from scipy.sparse.linalg import LinearOperator

    products: dict[str, Callable[[Any], np.ndarray]] = {
        "matvec": lambda vector: _applied(push, np.reshape(vector, (1, -1)), dtype)[0],
        "matmat": lambda matrix: _applied(push, np.asarray(matrix).T, dtype).T,
        "rmatvec": lambda vector: np.conj(_applied(pull, np.conj(np.reshape(vector, (1, -1))), dtype)[0]),
        "rmatmat": lambda matrix: np.conj(_applied(pull, np.conj(np.asarray(matrix).T), dtype)).T,
    }
    return LinearOperator(shape=(_size(push.found), _size(push.given)), dtype=dtype, **products)


def _applied(map_: _Map, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The complex-linear product of a Jacobian, or of its transpose, with every row.

    A real leaf takes real vectors and gives real parts, so what it takes or gives besides goes through once more.
    """
    given, found = map_.given, map_.found
    total = np.zeros((len(rows), _size(found)), np.result_type(dtype, rows.dtype) if rows.dtype.kind == "c" else dtype)
    if not total.size or not rows.size:
        return total
    parts, mixed = _split(given, rows), rows.dtype.kind == "c"
    real = [one.dtype.kind != "c" for one in given]
    passes: list[tuple[complex, str, list[Any]]] = [(1, "fc", parts)]
    if mixed or not all(real):  # the imaginary parts of real results
        turned = [np.imag(part) if is_real else -1j * part for part, is_real in zip(parts, real, strict=True)]
        passes.append((1j, "f", turned))
    if mixed and any(real):  # what complex results have from imaginary parts along real leaves
        alone = [np.imag(part) if is_real else np.zeros_like(part) for part, is_real in zip(parts, real, strict=True)]
        passes.append((1j, "c", alone))
    ends = list(itertools.accumulate([_size([one]) for one in found], initial=0))
    for factor, kinds, vectors in passes:
        if not any(one.dtype.kind in kinds for one in found):
            continue
        cast = [_cast(vector, one) for vector, one in zip(vectors, given, strict=True)]
        if len(rows) == 1:
            products = [np.asarray(one)[None] for one in map_.one([vector[0] for vector in cast])]
        else:
            products = map_.many(cast)
        for product, one, (start, stop) in zip(products, found, itertools.pairwise(ends), strict=True):
            if one.dtype.kind in kinds:
                lanes = np.reshape(product, (len(rows), stop - start))
                total[:, start:stop] += lanes if factor == 1 else 1j * lanes
    return total


def _split(avals: Sequence[Any], rows: np.ndarray) -> list[np.ndarray]:
    """One array of lanes for each leaf."""
    ends = itertools.accumulate([_size([one]) for one in avals], initial=0)
    return [
        rows[:, a:b].reshape(len(rows), *one.shape) for one, (a, b) in zip(avals, itertools.pairwise(ends), strict=True)
    ]


def _cast(vector: np.ndarray, like: Any) -> np.ndarray:
    """A vector in the dtype of its leaf; a real leaf takes the real part, an integer output has no cotangent."""
    if like.dtype.kind not in "fc":
        return np.zeros(vector.shape, like.dtype)
    return np.array(vector if like.dtype.kind == "c" else np.real(vector), like.dtype)


__all__ = ["gauss_newton_operator", "hessian_operator", "jacobian_operator"]
