"""Where every primitive has the examples: blocks computed by its rule and put together are what it computes at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from samples import Case, all_cases

from difflab.execution.division import resized
from difflab.primitives import REGISTRY
from difflab.primitives.examples import Given, Split
from difflab.primitives.record import Primitive


def table(*shape: int) -> np.ndarray:
    return np.sin(1.3 * np.arange(1.0, 1.0 + np.prod(shape))).reshape(shape)


FOUR, EDGE = np.arange(4), ((1, 0), (0, 0))
MORE: list[tuple[str, tuple, dict]] = [
    ("reshape", (table(4, 2, 3),), {"shape": (8, 3)}),
    ("reshape", (table(4, 2, 3),), {"shape": (4, 6)}),
    ("reshape", (table(4, 4),), {"shape": (2, 8)}),
    ("reshape", (table(1, 4, 2),), {"shape": (4, 1, 2)}),
    ("reshape", (table(3, 4),), {"shape": (12,)}),
    ("reshape", (table(8, 3),), {"shape": (4, 2, 3)}),
    ("reshape", (table(4, 6),), {"shape": (2, 2, 6)}),
    ("broadcast_to", (table(4, 1),), {"shape": (4, 4, 4)}),
    ("matmul", (table(4, 4), table(4, 4)), {}),
    ("matmul", (table(4, 4, 4), table(4, 4)), {}),
    ("matmul", (table(4, 4), table(4, 4, 4)), {}),
    ("matmul", (table(4, 4, 4), table(1, 4, 4)), {}),
    ("multiply", (table(4, 4), table(4)), {}),
    ("multiply", (table(4, 1), table(1, 4)), {}),
    ("where", (table(4, 1) > 0, table(4), table(4, 4)), {}),
    ("slice", (table(4, 4),), {"start": (0, 1), "stop": (4, 3), "step": (1, 1)}),
    ("slice", (table(4, 4),), {"start": (3, 0), "stop": (-1, 4), "step": (-1, 1)}),
    ("unslice", (table(4, 2),), {"start": (0, 1), "stop": (4, 3), "step": (1, 1), "shape": (4, 4)}),
    ("pad", (table(4, 4),), {"widths": EDGE}),
    ("concatenate", (table(4, 4), table(4, 2), table(4, 4)), {"axis": 1}),
    ("gather", (table(4, 4), FOUR, np.array([2, 0, 0, 1])), {"axes": (0, 1)}),
    ("gather", (table(4, 4), FOUR[:, None], np.array([[2, 0], [0, 1], [1, 1], [3, 0]])), {"axes": (0, 1)}),
    ("gather", (table(4, 4), FOUR[::-1].copy(), FOUR), {"axes": (0, 1)}),
    ("gather", (table(4, 3, 4), FOUR, np.array([2, 0, 0, 1])), {"axes": (0, 2)}),
    ("gather", (table(4, 4, 4), np.array([2, 0, 0, 1])), {"axes": (1,)}),
    ("scatter_add", (table(4), FOUR, np.array([2, 0, 0, 1])), {"shape": (4, 4), "axes": (0, 1)}),
    ("scatter_add", (table(4, 3), FOUR, np.array([2, 0, 0, 1])), {"shape": (4, 3, 4), "axes": (0, 2)}),
    ("scatter_add", (table(4, 4), np.array([2, 0, 0, 1])), {"shape": (4, 4), "axes": (0,)}),
    ("scatter_add", (table(4, 4), np.array([2, 0, 0, 1])), {"shape": (4, 5), "axes": (1,)}),
    ("searchsorted", (np.sort(table(4)), table(4, 2)), {"side": "left"}),
]
CASES = [
    *all_cases(REGISTRY),
    *[
        Case(f"{name}-{at}", REGISTRY[name], arrays, params, True)
        for at, (name, arrays, params) in enumerate(MORE, 100)
    ],
]


def unruled(registry: Any) -> list[str]:
    """Primitives of which nobody said what they do with examples."""
    return [primitive.name for primitive in registry if not primitive.examples]


def test_every_primitive_has_a_rule_or_a_reason():
    assert unruled(REGISTRY) == []


def test_completeness_would_notice_a_primitive_without_either():
    bare = {"kind": "general", "evaluate": np.sin, "abstract": lambda x: x, "jvp": None, "vjp": None}
    assert unruled([Primitive("dummy", **bare), Primitive("other", **bare, examples="a reason")]) == ["dummy"]


def labels(case: Case) -> Iterator[tuple[int, tuple[int | None, ...]]]:
    """Numbers of examples, and axes that may carry them: one operand's, or two operands'."""
    places = [(at, axis) for at, array in enumerate(case.arrays) for axis in range(array.ndim)]
    for chosen in [*itertools.combinations(places, 1), *itertools.combinations(places, 2)]:
        if len({at for at, _ in chosen}) < len(chosen):
            continue
        lengths = {case.arrays[at].shape[axis] for at, axis in chosen}
        for count in {length // each for length in lengths for each in (1, 2) if length % each == 0}:
            if count > 1 and all(length % count == 0 for length in lengths):
                found = dict(chosen)
                yield count, tuple([found.get(at) for at in range(len(case.arrays))])


def split_of(case: Case, count: int, axes: tuple[int | None, ...]) -> Split | str:
    rule = case.primitive.examples
    if isinstance(rule, str):
        return rule
    assert rule is not None
    known = tuple([array if array.dtype.kind == "i" else None for array in case.arrays])
    return rule(Given(count, axes, tuple(case.avals), known), **case.params)


def block(case: Case, split: Split, count: int, low: int, high: int) -> np.ndarray:
    """The primitive's value for some of the examples."""
    operands = []
    for at, (array, axis) in enumerate(zip(case.arrays, split.needs, strict=True)):
        if axis is not None:
            each = array.shape[axis] // count
            start, stop = (0, high - low) if at in split.first else (low, high)
            array = array[(*[slice(None)] * axis, slice(start * each, stop * each))]
        operands.append(array)
    params = dict(case.params)
    for name in split.scaled:
        assert split.axis is not None
        params[name] = resized(params[name], split.axis, count, high - low)
    with np.errstate(all="ignore"):
        return np.asarray(case.primitive.evaluate(*operands, **params))


@one_test_each(by_primitive(CASES))
def test_blocks_put_together_are_the_whole(case: Case):
    for count, axes in labels(case):
        split = split_of(case, count, axes)
        if isinstance(split, str):
            assert split
            continue
        assert all(need == axis for need, axis in zip(split.needs, axes, strict=True) if axis is not None)
        parts = [block(case, split, count, low, high) for low, high in ((0, 1), (1, count))]
        whole = case.value
        found = np.add(*parts) if split.axis is None else np.concatenate(parts, axis=split.axis)
        assert (found.shape, found.dtype) == (whole.shape, whole.dtype), (count, axes, split)
        if split.axis is not None:
            assert parts[0].shape[split.axis] * count == whole.shape[split.axis]
        exact = whole.dtype.kind not in "fc"
        unit = 0.0 if exact else 64 * float(np.finfo(whole.dtype).eps)
        np.testing.assert_allclose(found, whole, rtol=unit, atol=unit, err_msg=str((count, axes, split)))


def ruled(name: str, carried: tuple[int | None, ...], arrays: tuple, **params: Any) -> Split | str:
    return split_of(Case(name, REGISTRY[name], arrays, params, True), 4, carried)


def test_examples_are_found_by_place_and_not_by_length():
    square = table(4, 4)
    assert ruled("matmul", (0, None), (square, square)) == Split(0, (0, None))
    assert ruled("matmul", (1, None), (square, square)) == Split(None, (1, 0))
    assert ruled("matmul", (None, 1), (square, square)) == Split(1, (None, 1))
    assert ruled("reshape", (0,), (table(4, 2),), shape=(8,)) == Split(0, (0,), ("shape",))
    assert ruled("reshape", (0,), (square,), shape=(4, 2, 2)) == Split(0, (0,), ("shape",))
    assert ruled("multiply", (0, None), (square, table(4))) == Split(0, (0, None))
    assert ruled("multiply", (1, None), (square, table(4))) == Split(1, (1, 0))


MIXES = [
    ("reshape", (1,), (table(4, 4),), {"shape": (4, 2, 2)}),
    ("reshape", (0,), (table(4, 4),), {"shape": (2, 8)}),
    ("reshape", (1,), (table(3, 4),), {"shape": (12,)}),
    ("multiply", (0, 1), (table(4, 4), table(4, 4)), {}),
    ("matmul", (0, 1), (table(4, 4), table(4, 4)), {}),
    ("matmul", (1, 1), (table(4, 4), table(4, 4)), {}),
    ("max", (0,), (table(4, 4),), {"axes": (0,)}),
    ("prod", (0,), (table(4, 4),), {"axes": (0, 1)}),
    ("argmin", (0,), (table(4, 4),), {"axis": 0}),
    ("cumsum", (0,), (table(4, 4),), {"axis": 0, "reverse": False}),
    ("argsort", (0,), (table(4, 4),), {"axis": 0, "kind": "stable"}),
    ("slice", (0,), (table(4, 4),), {"start": (3, 0), "stop": (-1, 4), "step": (-1, 1)}),
    ("slice", (0,), (table(4, 4),), {"start": (1, 0), "stop": (4, 4), "step": (1, 1)}),
    ("unslice", (0,), (table(4, 4),), {"start": (0, 0), "stop": (4, 4), "step": (1, 1), "shape": (5, 4)}),
    ("pad", (0,), (table(4, 4),), {"widths": EDGE}),
    ("concatenate", (0, 0), (table(4, 4), table(4, 4)), {"axis": 0}),
    ("gather", (0, None, None), (table(4, 4), FOUR[::-1].copy(), FOUR), {"axes": (0, 1)}),
    ("gather", (0, None), (table(4, 4), FOUR[::-1].copy()), {"axes": (0,)}),
    ("windows", (1,), (table(1, 4, 4, 1),), {"size": (2, 2), "stride": (1, 1)}),
    ("fft", (0,), (table(4, 4).astype(complex),), {"axes": (0,), "norm": None, "inverse": False}),
    ("det", (1,), (table(2, 4, 4),), {}),
    ("searchsorted", (0, None), (np.sort(table(4)), table(4)), {"side": "left"}),
]


@pytest.mark.parametrize(("name", "carried", "arrays", "params"), MIXES, ids=[f"{m[0]}-{m[1]}" for m in MIXES])
def test_what_mixes_examples_says_so(name: str, carried: tuple, arrays: tuple, params: dict):
    assert isinstance(ruled(name, carried, arrays, **params), str)
