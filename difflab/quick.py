"""Calls like one that is known, recognised without taking them apart in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optree

from .calls import ARRAY, NUMBER, Bound


def _key_orders(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Where dicts with several keys are inside, and their keys in order: optree's comparison sorts them."""
    if isinstance(tree, dict):
        here = [(path, tuple(tree))] if len(tree) > 1 else []
        return here + [found for key, value in tree.items() for found in _key_orders(value, (*path, key))]
    if isinstance(tree, tuple | list):
        return [found for index, value in enumerate(tree) for found in _key_orders(value, (*path, index))]
    return []


def _all_text(tree: Any) -> bool:
    """Whether all keys of all dicts inside are strings."""
    if isinstance(tree, dict):
        return all(type(key) is str and _all_text(value) for key, value in tree.items())
    return not isinstance(tree, tuple | list) or all(map(_all_text, tree))


def _same_orders(args: Any, orders: Sequence[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> bool:
    for path, keys in orders:
        node = args
        for step in path:
            node = node[step]
        if tuple(node) != keys:
            return False
    return True


class QuickBinding:
    """Recognises calls like the one that it was made for.

    Only calls whose containers optree knows and whose leaves are arrays or Python numbers of the same shapes, dtypes
    and static values are recognised; all others go the long way, with its error messages.
    """

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], bound: Bound):
        call: Any = (tuple(args), kwargs)
        leaves, self._spec = optree.tree_flatten(call)
        self._usable = len(leaves) == len(bound.all_leaves) == len(bound.live)
        self._expected = [(aval.shape, aval.dtype) for aval in bound.avals]
        self._numbers = [kind == NUMBER for kind in bound.kinds]
        self._usable &= all(kind in (NUMBER, ARRAY) for kind in bound.kinds)
        self._any_numbers = any(self._numbers)
        self._orders = _key_orders(args)
        # Keys that are equal but of other types (1 and True), and dicts among the keywords, go the long way.
        self._usable &= _all_text(call) and not _key_orders(tuple(kwargs.values()))

    def leaves(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any] | None:
        """The live leaves of a call that is alike, else ``None``."""
        if not self._usable:
            return None
        call: Any = (args, kwargs)
        leaves, spec = optree.tree_flatten(call)
        if spec != self._spec or not _same_orders(args, self._orders):
            return None
        if self._any_numbers:
            for position, number in enumerate(self._numbers):
                if number:
                    if type(leaves[position]) is not float:
                        return None
                    leaves[position] = np.asarray(leaves[position])
        for leaf, (shape, dtype) in zip(leaves, self._expected, strict=True):
            if type(leaf) is not np.ndarray or leaf.dtype != dtype or leaf.shape != shape:
                return None
        return leaves
