"""Second derivatives without the matrix: the diagonal of a Hessian, and products with a Gauss-Newton matrix."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .arrays import module_of
from .backends import find, resolve
from .backends.protocol import Backend, Source
from .backends.reverse import Reverse
from .backends.ways import require
from .execution.cache import structure
from .execution.colouring import distance_one
from .flat import require_scalar
from .jacobians import hvp
from .nesting import inside, lifted, ready
from .operators import found_outputs, require_argnums, unprepared
from .primitives.record import Traced
from .tape import Tape
from .transforms import gradient, simplify
from .transforms.sparsity import hessian_pattern, jacobian_pattern, unstopped
from .trees import cotangent_leaves, split_vector, value_tree, vector_leaves

SMALL = 1 << 18
"""A Hessian of so many entries is coloured, whether or not that saves products."""
SHARE, ENTRIES = 1 / 8, 1 << 24
"""A larger one is taken for dense where more than this share of its entries, or more than so many, may be non-zero."""
SEEDS = 1 << 22
"""Bytes of vectors that go through the products at a time."""


def hessian_diagonal(function: Callable, argnums: Any = 0, backend: str | Backend = "reverse") -> Callable[..., Any]:
    """The diagonal of the Hessian of a scalar function, without the Hessian.

    Coordinates that share no second derivative go into one Hessian-vector product, so a separable function takes one
    product and a chain two; a dense Hessian takes one for each coordinate, some at a time.  The entries are exact: no
    other entry of the Hessian enters them.  Which coordinates those are is read off the trace (Curtis, Powell and Reid,
    1974, for Jacobians); a function that cannot be traced is taken for dense.

    Args:
        function: plain NumPy function with one real output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.

    Returns:
        A function of the same arguments that returns the diagonal in the structure of ``args[argnums]``, a tuple for a
        tuple of ``argnums``; dtypes are those of the variables.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> hessian_diagonal(lambda x: np.sum(x**4) + x[0] * x[1])(np.array([1.0, 2.0, 3.0]))
        array([ 12.,  48., 108.])
    """
    chosen = resolve(backend)
    require(chosen, "hvp")
    require_argnums(argnums, function, "hessian_diagonal")

    def run(*args: Any, **kwargs: Any) -> Any:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        require_scalar(found_outputs(made, flat, bound, nested), function, "hessian_diagonal")
        variables = [bound.avals[i] for i in bound.wrt]
        tape = _tape(made, chosen)
        if nested:
            leaves = lifted(made.tape, bound.leaves)
            product, colours = inside(chosen, made.tape, bound.wrt).hvp, _colours(tape or made.tape, bound.wrt, None)
            found = _nested_diagonal(lambda seeds: product(leaves, seeds), variables, colours)
            return bound.gradient_tree(found)
        count = sum(one.size for one in variables)
        colours = np.arange(count) if tape is None else _colours(tape, bound.wrt, bound.leaves)
        products = ready(chosen, made, "hvp").hvps
        found = _diagonal(lambda seeds: products(bound.leaves, seeds), variables, colours, made.device)
        return bound.gradient_tree(found)

    return run


def _tape(made: Source, backend: Backend) -> Tape | None:
    try:
        return unstopped(made.tape) if "black-box" in backend.capabilities else made.tape
    except Exception:
        if "black-box" not in backend.capabilities:
            raise
        return None


@functools.lru_cache(maxsize=64)
def _known(key: tuple) -> list[np.ndarray]:
    """A place for the colours of a structure, once they are known."""
    return []


def _colours(tape: Tape, wrt: tuple[int, ...], leaves: Sequence[Any] | None) -> np.ndarray:
    """For every coordinate the number of the product that gives its entry, -1 where that is zero anyway."""
    known = _known((structure(tape), wrt))
    if known:
        return known[0]
    count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
    colours, fixed = np.arange(count), True
    if count**2 <= SMALL or _few(tape, wrt, leaves):
        pattern = hessian_pattern(tape, wrt, leaves)
        fixed = not pattern.looked_at and not pattern.constants
        if pattern.nnz < count**2:
            colours = distance_one(*pattern.csr(), count)
    if fixed:
        known[:] = [colours]
    return colours


def _few(tape: Tape, wrt: tuple[int, ...], leaves: Sequence[Any] | None) -> bool:
    """Whether a large Hessian has few entries, which is known before they are listed one by one."""
    slopes = simplify(gradient(tape, wrt))
    pattern = jacobian_pattern(replace(slopes, outputs=slopes.outputs[1:]), wrt, leaves)
    return pattern.nnz <= min(ENTRIES, SHARE * pattern.shape[1] ** 2)


def _owners(variables: Sequence[Any], colours: np.ndarray) -> list[np.ndarray]:
    """The colours of each leaf, flat."""
    ends = itertools.accumulate([one.size for one in variables], initial=0)
    return [colours[start:stop] for start, stop in itertools.pairwise(ends)]


def _diagonal(
    products: Callable[[list[Any]], Sequence[Any]], variables: Sequence[Any], colours: np.ndarray, device: str
) -> list[Any]:
    """Each coordinate's own entry in the product of its colour, some colours at a time."""
    xp, count, owners = module_of(device), int(colours.max(initial=-1)) + 1, _owners(variables, colours)
    results = [xp.zeros(one.size, one.dtype) for one in variables]
    lanes = max(1, min(count, SEEDS // max(1, sum(one.nbytes for one in variables))))
    for start in range(0, count, lanes):
        seeds = [xp.zeros((lanes, one.size), one.dtype) for one in variables]
        places = [np.flatnonzero((owner >= start) & (owner < start + lanes)) for owner in owners]
        here = [(xp.asarray(owner[at] - start), xp.asarray(at)) for owner, at in zip(owners, places, strict=True)]
        for seed, at in zip(seeds, here, strict=True):
            seed[at] = 1
        found = products([seed.reshape(lanes, *one.shape) for seed, one in zip(seeds, variables, strict=True)])
        for result, product, at in zip(results, found, here, strict=True):
            result[at[1]] = product.reshape(lanes, len(result))[at]
    return [result.reshape(one.shape) for result, one in zip(results, variables, strict=True)]


def _nested_diagonal(
    product: Callable[[list[Any]], Sequence[Any]], variables: Sequence[Any], colours: np.ndarray
) -> list[Any]:
    """The same inside another trace, one product after the other."""
    results: list[Any] = [np.zeros(one.shape, one.dtype) for one in variables]
    owners = [owner.reshape(one.shape) for owner, one in zip(_owners(variables, colours), variables, strict=True)]
    for colour in range(int(colours.max(initial=-1)) + 1):
        masks = [owner == colour for owner in owners]
        seeds = [mask.astype(one.dtype) for mask, one in zip(masks, variables, strict=True)]
        found = product(seeds)
        results = [np.where(mask, new, old) for mask, new, old in zip(masks, found, results, strict=True)]
    return results


def gauss_newton(
    residual: Callable, argnums: Any = 0, loss: Callable | None = None, backend: str | Backend = "reverse"
) -> Callable[..., Any]:
    """The Gauss-Newton matrix of a composed loss times a vector: the Hessian without the residual's own curvature.

    For ``loss(residual(x))`` with the Jacobian J of the residual and the Hessian H of the loss at its outputs that is
    J^T H J v (Schraudolph, 2002, Neural Computation 14, 1723-1738; Martens, 2010): positive semidefinite where the loss
    is convex, and the Hessian itself where the residual is linear.  It takes a JVP, a product with H and a VJP.
    Of complex variables it is the gradient along v as ``dl.hvp`` has it, the conjugate of J^H H J v.

    Args:
        residual: plain NumPy function; its outputs may be containers.
        argnums: position of the argument to differentiate, or a tuple of positions.
        loss: scalar function of the outputs; ``None``: half the sum of their squares, so that the result is J^T J v.
        backend: a name or a backend value; with "reverse" the JVP goes forward.

    Returns:
        A function of the same arguments and, after the positional ones, a vector in the structure of
        ``args[argnums]`` (a tuple for a tuple of ``argnums``); it returns the product in that structure.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> x, v = np.array([1.0, 2.0]), np.array([1.0, 0.0])
        >>> gauss_newton(lambda x: x**2 - 3.0)(x, v)
        array([4., 0.])
    """
    chosen = resolve(backend)
    pusher = pushing(chosen)
    require(pusher, "jvp")
    require(chosen, "vjp")
    require_argnums(argnums, residual, "gauss_newton")
    curved = None if loss is None else hvp(loss, 0, chosen)

    def run(*args: Any, **kwargs: Any) -> Any:
        args, vector = split_vector(args, residual, "gauss_newton")
        bound, made, flat, nested = unprepared(residual, args, kwargs, argnums, chosen)
        vectors = vector_leaves(vector, bound, residual, "gauss_newton")
        nested = nested or any(isinstance(leaf, Traced) for leaf in vectors)
        if nested:
            leaves = lifted(made.tape, bound.leaves, vectors)
            values, slopes = inside(pusher, made.tape, bound.wrt).jvp(leaves, vectors)
            _, pullback = inside(chosen, made.tape, bound.wrt).vjp(leaves)
        else:
            slopes = ready(pusher, made, "jvp").jvp(bound.leaves, vectors)[1]
            values, pullback = ready(chosen, made, "vjp").vjp(bound.leaves)
            found_outputs(made, flat, bound, nested)  # for the structure, of a black box
        if curved is None:
            return bound.gradient_tree(pullback([np.conj(one) for one in slopes]))
        outputs, along = value_tree(flat, values), value_tree(flat, slopes)
        assert flat.structure is not None
        weighted = cotangent_leaves(curved(outputs, along), values, flat.structure, residual)
        return bound.gradient_tree(pullback(weighted))

    return run


def pushing(backend: Backend) -> Backend:
    """What computes J v where a backend computes r J: forward mode for reverse mode, else the backend itself."""
    return find("forward") if isinstance(backend, Reverse) else backend


__all__ = ["gauss_newton", "hessian_diagonal", "pushing"]
