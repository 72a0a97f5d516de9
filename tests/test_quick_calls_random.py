"""Random calls: a prepared function recognises exactly those that have the key of the call it was made for."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

import numpy as np
import optree
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_calls import Pair, assert_alike, total

from difflab.calls import bind
from difflab.quick import QuickBinding


def arrays(names: itertools.count) -> st.SearchStrategy[Any]:
    """Leaves, each with a value of its own."""
    shapes = st.sampled_from([(), (1,), (2,), (2, 1), (0,)])
    return st.builds(lambda shape, kind: np.full(shape, next(names), kind), shapes, st.sampled_from(["f8", "f4"]))


def trees(plain: bool = True) -> st.SearchStrategy[Any]:
    leaves = st.one_of(arrays(itertools.count(1)), st.floats(-2.0, 2.0), st.none())
    keys = st.text("abc", max_size=2)

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        ways = [st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple)]
        ways.append(st.dictionaries(keys, inner, max_size=3))
        if not plain:
            ways += [st.builds(Pair, inner, inner), st.dictionaries(keys, inner, max_size=2).map(OrderedDict)]
        return st.one_of(ways)

    return st.recursive(leaves, extend, max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans())
def test_any_call_is_recognised_exactly_when_it_has_the_same_key(data: st.DataObject, plain: bool) -> None:
    call = st.tuples(
        st.lists(trees(plain), max_size=3), st.dictionaries(st.sampled_from("pqr"), trees(plain), max_size=2)
    )
    args, kwargs = data.draw(call)
    bound = bind(total, args, kwargs, tuple(range(len(args))))
    quick = QuickBinding(args, kwargs, bound)
    whole: Any = args
    again = optree.tree_map(np.copy, whole), kwargs
    others = [(args, kwargs), data.draw(call), (args[::-1], kwargs), (args, dict(reversed(kwargs.items())))]
    others += [(again[0], kwargs), ([*args, None], kwargs), (args[:-1], kwargs)]
    for other, named in others:
        there = bind(total, other, named, tuple(range(len(other))))
        leaves = quick.leaves(tuple(other), named)
        assert (leaves is not None) == (there.key == bound.key)
        if leaves is not None:
            assert [leaf.tolist() for leaf in leaves] == [leaf.tolist() for leaf in there.leaves]
            assert all(type(leaf) is np.ndarray for leaf in leaves)
            gradients = [leaves[position] for position in bound.wrt]
            assert_alike(quick.tree(gradients), there.gradient_tree(gradients))
