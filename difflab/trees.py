"""Containers of results and of directions: values, Jacobians and Hessians as trees, tangents and vectors as leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import as_array, device_of, is_device_array, namespace, placed
from .calls import ARRAY, SCALAR, Bound, describe, finished
from .containers import LEAF, Structure, flatten, same, unflatten
from .errors import InputError
from .flat import Function
from .primitives.complexes import block_dtype
from .primitives.record import Traced
from .tape import show

LAYOUTS = ("numerator", "denominator")


def value_tree(flat: Function, values: Sequence[Any]) -> Any:
    """Outputs in the function's own structure; those of shape () are NumPy scalars."""
    assert flat.structure is not None
    if len(values) == 1 and flat.structure is LEAF:
        value = values[0]
        return value if isinstance(value, np.generic) or _ndim(value) else finished(value, SCALAR)
    return unflatten(flat.structure, [finished(v, SCALAR if _ndim(v) == 0 else ARRAY) for v in values])


def _ndim(value: Any) -> int:
    return value.ndim if type(value) is np.ndarray or is_device_array(value) else np.ndim(value)


def _block(block: Any, kind: str, dtype: np.dtype) -> Any:
    """One leaf of a Jacobian: in its dtype, a NumPy scalar for a number by a number."""
    if isinstance(block, Traced):
        return block if block.dtype == dtype else block.astype(dtype)
    array = as_array(block)
    if array.dtype != dtype:
        array = array.astype(dtype)
    return array if kind is ARRAY or array.ndim or is_device_array(array) else array[()]


def by_variable(bound: Bound, leaves: Sequence[Any]) -> Any:
    """One entry per differentiated leaf in the structure of the differentiated arguments; a tuple for a tuple."""
    trees, at = [], 0
    for structure in bound.targets:
        trees.append(unflatten(structure, list(leaves[at : at + structure.size])))
        at += structure.size
    return trees[0] if bound.single else tuple(trees)


def jacobian_tree(
    flat: Function, bound: Bound, outputs: Sequence[Any], blocks: Sequence[Sequence[Any]], layout: str = "numerator"
) -> Any:
    """Blocks as trees: the outputs' structure outside and the arguments' inside, or the other way round.

    Args:
        flat: the function, whose output structure is known.
        bound: its arguments.
        outputs: values of the outputs.
        blocks: ``blocks[o][i]`` of shape out + in.
        layout: "numerator", or "denominator" for shapes in + out.

    Returns:
        A tree of trees.
    """
    assert flat.structure is not None
    variables = [(bound.kinds[i], bound.avals[i]) for i in bound.wrt]
    table = [
        [_block(block, kind, block_dtype(output, aval)) for block, (kind, aval) in zip(row, variables, strict=True)]
        for output, row in zip(outputs, blocks, strict=True)
    ]
    if layout == "numerator":
        return unflatten(flat.structure, [by_variable(bound, row) for row in table])
    turned = [[_turned(row[i], len(aval.shape)) for row in table] for i, (_, aval) in enumerate(variables)]
    return by_variable(bound, [unflatten(flat.structure, column) for column in turned])


def _turned(block: Any, inner: int) -> Any:
    """A block of shape out + in as one of shape in + out."""
    outer = _ndim(block) - inner
    if not inner or not outer:
        return block
    turned = np.transpose(block, (*range(outer, outer + inner), *range(outer)))
    return turned if isinstance(turned, Traced) else namespace(turned).ascontiguousarray(turned)


def hessian_tree(bound: Bound, blocks: Sequence[Sequence[Any]]) -> Any:
    """Blocks as a tree of trees, both in the structure of the differentiated arguments."""
    variables = [(bound.kinds[i], bound.avals[i]) for i in bound.wrt]
    rows = []
    for (outer, first), row in zip(variables, blocks, strict=True):
        entries = [
            _block(block, ARRAY if outer is ARRAY else inner, block_dtype(first, second))
            for block, (inner, second) in zip(row, variables, strict=True)
        ]
        rows.append(by_variable(bound, entries))
    return by_variable(bound, rows)


def tangent_leaves(tangents: Sequence[Any], bound: Bound, function: Callable) -> list[Any]:
    """Tangents as leaves, checked against the primals they belong to."""
    tangents = tuple(tangents)
    if len(tangents) != len(bound.targets):
        raise InputError(
            f"jvp of {describe(function)}: {len(tangents)} tangents for {len(bound.targets)} differentiated primals"
        )
    return _along_variables(tangents, bound, f"jvp of {describe(function)}: a tangent", "its primal")


def _along_variables(trees: Sequence[Any], bound: Bound, what: str, whose: str) -> list[Any]:
    """Trees in the structures of the differentiated arguments as leaves of their shapes and dtypes."""
    leaves: list[Any] = []
    for tree, target in zip(trees, bound.targets, strict=True):
        parts, structure = flatten(tree)
        if not same(structure, target):
            raise InputError(f"{what} does not have the structure of {whose}")
        leaves.extend(parts)
    device = None if any(isinstance(leaf, Traced) for leaf in bound.leaves) else bound.device
    return [matched(leaf, bound.avals[i], what, device) for leaf, i in zip(leaves, bound.wrt, strict=True)]


def split_vector(args: Sequence[Any], function: Callable, operator: str = "hvp") -> tuple[tuple[Any, ...], Any]:
    """The arguments of a product with a vector: those of the function, and the vector."""
    if len(args) < 2:
        raise InputError(
            f"{operator} of {describe(function)} takes the positional arguments of {describe(function)} and after them "
            f"the vector, and was given {len(args)} in all"
        )
    return tuple(args[:-1]), args[-1]


def vector_leaves(vector: Any, bound: Bound, function: Callable, operator: str = "hvp") -> list[Any]:
    """The vector of such a product as leaves, checked against the arguments to differentiate."""
    where = f"{operator} of {describe(function)}"
    trees = (vector,) if bound.single else vector
    if not isinstance(trees, tuple | list) or len(trees) != len(bound.targets):
        raise InputError(f"{where}: the vector is a tuple of {len(bound.targets)}, one per entry of argnums")
    return _along_variables(trees, bound, f"{where}: the vector", "the argument that it belongs to")


def cotangent_leaves(cotangent: Any, values: Sequence[Any], structure: Structure, function: Callable) -> list[Any]:
    """Cotangents as leaves, checked against the outputs they belong to."""
    leaves, found = flatten(cotangent)
    if not same(found, structure):
        raise InputError(f"vjp of {describe(function)}: the cotangent does not have the structure of the output")
    device = None if any(isinstance(value, Traced) for value in values) else device_of(values)
    return [
        matched(leaf, value, f"vjp of {describe(function)}: a cotangent", device)
        for leaf, value in zip(leaves, values, strict=True)
    ]


def matched(leaf: Any, like: Any, what: str, device: str | None = "cpu") -> Any:
    """A tangent or cotangent of the right shape, in the dtype of what it belongs to and where that is.

    ``device`` is ``None`` where that is traced and has no place yet.
    """
    if isinstance(leaf, Traced):
        if leaf.shape != like.shape:
            raise InputError(f"{what} of shape {leaf.shape} belongs to a value of shape {like.shape}")
        return leaf.astype(like.dtype)
    array = leaf if type(leaf) is np.ndarray and device != "gpu" else _placed(leaf, what, device)
    if array.shape != like.shape:
        raise InputError(f"{what} of shape {array.shape} belongs to a value of shape {like.shape}")
    if array.dtype.kind not in ("fciub" if like.dtype.kind == "c" else "fiub"):
        raise InputError(f"{what} is {show(like)} and was given as {array.dtype}")
    return (np if type(array) is np.ndarray else namespace(array)).array(array, dtype=like.dtype)


def _placed(leaf: Any, what: str, device: str | None) -> Any:
    """A tangent or cotangent as an array on the device; where it is an array of the other side, that is a fault."""
    if device == "gpu" and isinstance(leaf, np.ndarray):
        raise InputError(f"{what} is a NumPy array and what it belongs to is on the GPU; move it with cupy.asarray")
    if device == "cpu" and is_device_array(leaf):
        raise InputError(f"{what} is on the GPU and what it belongs to is a NumPy array; move it with .get()")
    return as_array(leaf) if device is None else placed(leaf, device)
