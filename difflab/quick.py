"""Calls like one that is known, recognised without taking them apart the general way.

Where the containers of a call are plain dicts, lists and tuples, the code that takes such calls apart is written out
once as straight-line Python, and so is the code that puts their gradients together.  For ``f({"w": w, "b": b}, x)``
that is::

    def leaves(args, kwargs):
        if kwargs or len(args) != 2: return None
        [c1, v2] = args
        if type(c1) is not dict or tuple(c1) != ('w', 'b'): return None
        [v1, v0] = c1.values()
        for leaf, shape, dtype in zip(leaves := [v0, v1, v2], shapes, dtypes):
            if type(leaf) is not ndarray or leaf.shape != shape or leaf.dtype is not dtype and leaf.dtype != dtype:
                return None
        return leaves

    def tree(gradients):
        for gradient in gradients:
            if type(gradient) is not ndarray:
                gradients = arrays(gradients)
                break
        [g0, g1] = gradients
        return {'w': g1, 'b': g0}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from .arrays import module_of, to_device
from .calls import ARRAY, NUMBER, Bound, finished
from .execution.codegen import compile_text
from .primitives.record import Aval
from .trees import by_variable

MOST_NODES = 1000
"""Code is written out for so many containers and leaves; Python compiles a longer function in more than linear time."""
DEEPEST = 50
"""Containers inside one another: Python's parser allows about a hundred brackets."""

Taker = Callable[[tuple[Any, ...], dict[str, Any]], list[Any] | None]
"""From positional and keyword arguments to the leaves of a call that is alike, else ``None``."""
Putter = Callable[[Sequence[Any]], Any]
"""From gradients to the containers of the differentiated arguments with the gradients inside."""


class QuickBinding:
    """Recognises calls like the one that it was made for.

    Only calls whose leaves are arrays, on the same device, or Python floats of the same shapes, dtypes and containers,
    keys in the same order, are recognised; all others go the long way, with its error messages.
    """

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], bound: Bound):
        self.leaves: Taker = _never
        self.tree: Putter = bound.gradient_tree
        # What is part of the program's key goes the long way, and so do keys that may be equal and differ (1 and True).
        if len(bound.live) != len(bound.all_leaves) or not set(bound.kinds) <= {ARRAY, NUMBER}:
            return
        if not _all_text((args, kwargs)):
            return
        floats = frozenset([position for position, kind in enumerate(bound.kinds) if kind == NUMBER])
        numbered = bound.rebuild(range(len(bound.leaves)))
        if _nodes(numbered) > MOST_NODES:
            self.leaves = Known(args, kwargs, bound.avals, floats, bound.device).leaves
            return
        self.leaves = taker(*numbered, bound.avals, floats, bound.device)
        if not floats:
            self.tree = putter(by_variable(bound, range(len(bound.wrt))), bound.device)


def _kind_of(device: str) -> tuple[type, Callable[[Any], Any]]:
    """The type of a device's arrays, and what makes one of a number."""
    return module_of(device).ndarray, np.asarray if device == "cpu" else to_device


def _never(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """For calls of a kind that is always taken apart the long way."""


def _all_text(tree: Any) -> bool:
    """Whether all keys of all dicts inside are strings."""
    if isinstance(tree, dict):
        return all(type(key) is str and _all_text(value) for key, value in tree.items())
    return not isinstance(tree, tuple | list) or all(map(_all_text, tree))


# ------------------------------------------------------------------------------- plain containers: written out


def _nodes(tree: Any, depth: int = 0) -> float:
    """How many containers and numbers a tree of numbers has: infinite where one is not plain or lies too deep."""
    kind = type(tree)
    if kind is int or tree is None:
        return 1
    if depth == DEEPEST or kind not in (dict, list, tuple):
        return math.inf
    return 1 + sum([_nodes(item, depth + 1) for item in (tree.values() if kind is dict else tree)])


def taker(
    args: Sequence[Any], kwargs: dict[str, Any], avals: Sequence[Aval], floats: frozenset[int], device: str = "cpu"
) -> Taker:
    """Write out the function that takes calls apart.

    Args:
        args: positional arguments, plain containers with the numbers of the leaves in place of the leaves.
        kwargs: keyword arguments likewise.
        avals: shape and dtype of every leaf, by its number.
        floats: numbers of the leaves that are Python floats; the others are arrays.
        device: where the arrays are.

    Returns:
        A function of ``args`` and ``kwargs`` that gives the leaves in the order of their numbers, all as arrays, or
        ``None`` where anything differs.

    Example:
        >>> take = taker([{"w": 1, "b": 0}], {}, [Aval((), np.dtype(float))] * 2, frozenset({0, 1}))
        >>> take(({"w": 3.0, "b": 4.0},), {})
        [array(4.), array(3.)]
    """
    lines: list[str] = []
    containers = 0

    def unpack(source: str, trees: Sequence[Any]) -> None:
        """Give each item its variable, then look at those that are not arrays."""
        nonlocal containers
        variables = []
        for tree in trees:
            containers += type(tree) is not int
            variables.append(f"v{tree}" if type(tree) is int else f"c{containers}")
        lines.append(f"[{', '.join(variables)}] = {source}")
        for variable, tree in zip(variables, trees, strict=True):
            if tree is None:
                lines.append(f"if {variable} is not None: return None")
            elif type(tree) is not int:
                look(variable, tree, f"type({variable}) is not {type(tree).__name__} or ")
            elif tree in floats:
                lines.append(f"if type({variable}) is not float: return None")
                lines.append(f"{variable} = asarray({variable})")

    def look(variable: str, tree: Any, first: str) -> None:
        """Compare the keys or the length, then unpack."""
        if type(tree) is dict:
            lines.append(f"if {first}tuple({variable}) != {tuple(tree)!r}: return None")
            unpack(f"{variable}.values()", list(tree.values()))
        else:
            lines.append(f"if {first}len({variable}) != {len(tree)}: return None")
            unpack(variable, tree)

    look("args", args, "" if kwargs else "kwargs or ")
    if kwargs:
        look("kwargs", kwargs, "")
    found = ", ".join([f"v{number}" for number in range(len(avals))])
    lines += [
        f"for leaf, shape, dtype in zip(leaves := [{found}], shapes, dtypes):",
        # Equal dtypes are nearly always one object, and to compare two takes longer.
        "    if type(leaf) is not ndarray or leaf.shape != shape or leaf.dtype is not dtype and leaf.dtype != dtype:",
        "        return None",
        "return leaves",
    ]
    shapes, dtypes = [aval.shape for aval in avals], [aval.dtype for aval in avals]
    kind, asarray = _kind_of(device)
    return _written("leaves(args, kwargs)", lines, ndarray=kind, asarray=asarray, shapes=shapes, dtypes=dtypes)


def putter(tree: Any, device: str = "cpu") -> Putter:
    """Write out the function that puts gradients of arrays into plain containers.

    Args:
        tree: the containers, with the numbers 0, 1, ... of the gradients in their places.
        device: where the arrays are.

    Returns:
        A function of all gradients in the order of their numbers.

    Example:
        >>> put = putter({"w": 1, "b": 0})
        >>> put([np.zeros(2), np.ones(1)])
        {'w': array([1.]), 'b': array([0., 0.])}
    """
    variables: dict[int, str] = {}

    def text(tree: Any) -> str:
        if type(tree) is dict:
            return f"{{{', '.join([f'{key!r}: {text(value)}' for key, value in tree.items()])}}}"
        if type(tree) is list:
            return f"[{', '.join(map(text, tree))}]"
        if type(tree) is tuple:
            return f"({''.join([f'{text(item)}, ' for item in tree])})"
        return "None" if tree is None else variables.setdefault(tree, f"g{tree}")

    result = text(tree)
    lines = [
        "for gradient in gradients:",
        "    if type(gradient) is not ndarray:",
        "        gradients = arrays(gradients)",
        "        break",
        f"[{', '.join([variables[number] for number in range(len(variables))])}] = gradients",
        f"return {result}",
    ]
    return _written("tree(gradients)", lines, ndarray=_kind_of(device)[0], arrays=_arrays)


def _arrays(gradients: Sequence[Any]) -> list[Any]:
    return [finished(gradient, ARRAY) for gradient in gradients]


def _written(head: str, lines: Sequence[str], **given: Any) -> Callable[..., Any]:
    """The function of these lines, which reads ``given`` as closure variables."""
    body = "".join([f"        {line}\n" for line in lines])
    name = head.partition("(")[0]
    return compile_text(f"def make({', '.join(given)}):\n    def {head}:\n{body}    return {name}\n", {})(**given)


# ------------------------------------------------------------------------------- other containers: optree's


class Known:
    """A call with containers that optree knows: named tuples, ordered dicts and what a user has registered.

    Args:
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
        avals: shape and dtype of every leaf.
        floats: positions of the leaves that are Python floats; the others are arrays.
        device: where the arrays are.
    """

    def __init__(
        self,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        avals: Sequence[Aval],
        floats: frozenset[int],
        device: str = "cpu",
    ):
        self._kind, self._asarray = _kind_of(device)
        self._keywords = tuple(kwargs)
        call: Any = (tuple(args), tuple(kwargs.values()))
        self._spec = optree.tree_structure(call)
        self._orders = _key_orders(call)
        self._avals = avals
        self._floats = floats
        self._whole = self._spec.num_leaves == len(avals)  # else optree does not look into all (not into dataclasses)

    def leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
        """The leaves of a call that is alike, else ``None``."""
        if not self._whole or tuple(kwargs) != self._keywords:
            return None
        call: Any = (args, tuple(kwargs.values()))
        leaves, spec = optree.tree_flatten(call)
        if spec != self._spec or not _same_orders(call, self._orders):
            return None
        for position in self._floats:
            if type(leaves[position]) is not float:
                return None
            leaves[position] = self._asarray(leaves[position])
        for leaf, aval in zip(leaves, self._avals, strict=True):
            if type(leaf) is not self._kind or leaf.dtype != aval.dtype or leaf.shape != aval.shape:
                return None
        return leaves


def _key_orders(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Where dicts with several keys are inside, and their keys in order: optree's comparison sorts them."""
    if isinstance(tree, dict):
        here = [(path, tuple(tree))] if len(tree) > 1 else []
        return here + [found for key, value in tree.items() for found in _key_orders(value, (*path, key))]
    if isinstance(tree, tuple | list):
        return [found for index, value in enumerate(tree) for found in _key_orders(value, (*path, index))]
    return []


def _same_orders(tree: Any, orders: Sequence[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> bool:
    for path, keys in orders:
        node = tree
        for step in path:
            node = node[step]
        if tuple(node) != keys:
            return False
    return True
