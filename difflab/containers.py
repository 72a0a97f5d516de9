"""Nested containers of arrays, taken apart and rebuilt: optree for the ordinary ones, a small layer for dataclasses."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import optree


class Structure(NamedTuple):
    """The shape of a container: optree's own specification, and how each of its leaves goes on."""

    spec: Any
    nested: tuple[tuple[type, tuple[str, ...], Structure] | None, ...]
    size: int

    @property
    def plain(self) -> bool:
        """Whether optree alone can rebuild it: no dataclasses inside."""
        return not any(self.nested)


# Types that are no dataclasses, told apart without looking inside.
ORDINARY = frozenset({np.ndarray, float, int, complex, bool, str, type(None), dict, list, tuple, np.float64})


def _is_record(value: Any) -> bool:
    return type(value) not in ORDINARY and dataclasses.is_dataclass(value) and not isinstance(value, type)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of ``tree`` in a fixed order and the structure to rebuild it.

    Dicts, lists, tuples, named tuples and ``None`` are optree's; dataclasses are taken apart by their init fields.
    """
    if type(tree) is np.ndarray:
        return [tree], LEAF
    tops, spec = optree.tree_flatten(tree, is_leaf=_is_record)
    if len(tops) == 1 and spec == LEAF.spec and not _is_record(tops[0]):
        return tops, LEAF
    leaves: list[Any] = []
    nested: list[tuple[type, tuple[str, ...], Structure] | None] = []
    for top in tops:
        if _is_record(top):
            names = tuple(f.name for f in dataclasses.fields(top) if f.init)
            inner, structure = flatten(tuple(getattr(top, name) for name in names))
            leaves.extend(inner)
            nested.append((type(top), names, structure))
        else:
            leaves.append(top)
            nested.append(None)
    return leaves, Structure(spec, tuple(nested), len(leaves))


def dict_orders(tree: Any) -> tuple[Any, ...]:
    """The keys of all dicts inside, in the order in which Python runs through them; optree sorts them."""
    kind = type(tree)
    if kind is np.ndarray or kind is float:
        return ()
    if isinstance(tree, dict):
        return (tuple([(type(key), key) for key in tree]), *[dict_orders(value) for value in tree.values()])
    if isinstance(tree, tuple | list):
        return tuple([dict_orders(value) for value in tree])
    if _is_record(tree):
        return tuple([dict_orders(getattr(tree, f.name)) for f in dataclasses.fields(tree) if f.init])
    return ()


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The container of that structure with these leaves; dataclasses are rebuilt without calling ``__init__``."""
    if structure is LEAF:
        return leaves[0]
    if structure.plain:
        return optree.tree_unflatten(structure.spec, leaves)
    tops: list[Any] = []
    at = 0
    for inner in structure.nested:
        if inner is None:
            tops.append(leaves[at])
            at += 1
            continue
        kind, names, inner_structure = inner
        values = unflatten(inner_structure, leaves[at : at + inner_structure.size])
        at += inner_structure.size
        instance = object.__new__(kind)
        for name, value in zip(names, values, strict=True):
            object.__setattr__(instance, name, value)
        tops.append(instance)
    return optree.tree_unflatten(structure.spec, tops)


def paths(structure: Structure, root: str) -> list[str]:
    """A name for each leaf as it would be written in Python: ``params['w1']``, ``params.layers[0]``."""
    result: list[str] = []
    for accessor, inner in zip(structure.spec.accessors(), structure.nested, strict=True):
        here = accessor.codify(root)
        if inner is None:
            result.append(here)
            continue
        _, names, inner_structure = inner
        for name, child in zip(names, _children(inner_structure), strict=True):
            result.extend(paths(child, f"{here}.{name}"))
    return result


def _children(structure: Structure) -> list[Structure]:
    """The structures of the fields of a dataclass that was flattened as a tuple."""
    result = []
    at = 0
    for spec in structure.spec.children():
        nested = structure.nested[at : at + spec.num_leaves]
        at += spec.num_leaves
        result.append(Structure(spec, nested, sum(1 if n is None else n[2].size for n in nested)))
    return result


def same(first: Structure, second: Structure) -> bool:
    """Whether two containers have the same structure."""
    if first.spec != second.spec or len(first.nested) != len(second.nested):
        return False
    for a, b in zip(first.nested, second.nested, strict=True):
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None and (a[0] is not b[0] or a[1] != b[1] or not same(a[2], b[2])):
            return False
    return True


LEAF = Structure(optree.treespec_leaf(), (None,), 1)
