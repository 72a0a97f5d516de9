"""Products of vectors, matrices and tensors: every rank, dtype and signature."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivative_checks import check, check_lanes, drawn, keeps_float32, near, paired
from hypothesis import given
from hypothesis import strategies as st

from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves

NP: Any = np  # whose stubs know fewer forms of arguments than NumPy
SHAPES: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "matmul": [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((4, 1, 2, 3), (5, 3, 2)),
        ((2, 0), (0, 3)),
        ((1, 1), (1,)),
    ],
    "dot": [
        ((), (2, 3)),
        ((2,), ()),
        ((3,), (3,)),
        ((2, 3), (3, 2)),
        ((2, 3), (4, 3, 2)),
        ((3,), (4, 3, 2)),
        ((0,), (0,)),
    ],
    "inner": [((), ()), ((2, 3), ()), ((3,), (2, 3)), ((2, 3), (4, 1, 3)), ((2, 0), (0,))],
    "outer": [((2, 3), (2,)), ((), (3,)), ((0,), (2,))],
    "kron": [((2,), (3,)), ((2, 1), (3,)), ((2,), (2, 3, 1)), ((), (2, 2)), ((0, 2), (2, 2))],
    "vdot": [((2, 3), (3, 2)), ((3,), (3,)), ((), ())],
    "vecdot": [((3,), (3,)), ((2, 1, 3), (4, 3)), ((2, 0), (0,))],
    "matvec": [((2, 3), (3,)), ((4, 1, 2, 3), (5, 3)), ((0, 2), (2,))],
    "vecmat": [((3,), (3, 2)), ((4, 1, 3), (5, 3, 2)), ((2,), (2, 0))],
}
PRODUCTS = [(name, a, b) for name, pairs in SHAPES.items() for a, b in pairs]


@pytest.mark.parametrize("dtypes", [("f8", "f8"), ("c16", "c16"), ("f8", "c16")], ids="-".join)
@pytest.mark.parametrize(("name", "a", "b"), PRODUCTS)
def test_every_product_of_every_rank(name: str, a: tuple, b: tuple, dtypes: tuple[str, str]):
    check(getattr(np, name), drawn("a", a, dtypes[0]), drawn("b", b, dtypes[1]))


@pytest.mark.parametrize(("name", "a", "b"), PRODUCTS)
def test_products_promote_as_numpy_and_stay_in_single_precision(name: str, a: tuple, b: tuple):
    function = getattr(np, name)
    keeps_float32(function, drawn("a", a), drawn("b", b))
    kinds = ("f4", "f8", "i4", "c8", "?")
    for first, second in itertools.product(kinds, kinds):
        x, y = np.ones(a, first), np.ones(b, second)
        if first != "?" or second != "?":
            for leaves, of in (([x], lambda v, y=y: function(v[0], y)), ([y], lambda v, x=x: function(x, v[0]))):
                tape = trace_leaves(lambda v, of=of: [of(v)], leaves)
                found, expected = tape.evaluate(leaves)[0], np.asarray(function(x, y))
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                near(found, expected, 1e-6)


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((2, 3), (3, 1)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 1)),
        ((4, 1, 2, 3), (5, 3, 2)),
        ((2, 0), (0, 1)),
    ],
)
def test_lanes_of_matmul(a: tuple, b: tuple, flags: tuple[bool, bool]):
    check_lanes(REGISTRY["matmul"], (drawn("a", a), drawn("b", b)), flags, {})


KEYWORDS: dict[str, Callable[[Any, Any], Any]] = {
    "axes of all": lambda x, y: NP.matmul(x, y, axes=[(0, 1), (1, 0), (2, 0)]),
    "axes of a vector": lambda x, y: NP.matmul(x, y[0, :, 0], axes=[(0, 1), (0,), (0,)]),
    "dtype": lambda x, y: NP.matmul(x, np.swapaxes(y, 1, 2), dtype="c16"),
    "axis": lambda x, y: NP.vecdot(x, y, axis=0),
    "keepdims": lambda x, y: NP.vecdot(x, y, axis=1, keepdims=True) + NP.vecdot(x, y, keepdims=True),
    "axes of vectors": lambda x, y: NP.vecdot(x, y, axes=[0, 0]) + NP.vecdot(x, y, axes=[0, 0, ()]),
    "axes of matvec": lambda x, y: NP.matvec(x, y[:, :, 0], axes=[(2, 1), 1, 0]),
    "axes of vecmat": lambda x, y: NP.vecmat(x, y, axes=[0, (0, 1), -1]),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_products_of_vectors_and_matrices_that_lie_along_other_axes(name: str):
    check(KEYWORDS[name], drawn("a", (3, 4, 4)), drawn("b", (3, 4, 4)))


AXES: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
    ((2, 3), (2, 3), 2),
    ((2, 3), (3, 2), 1),
    ((2,), (3, 1), 0),
    ((2, 3), (3, 2), np.int64(1)),
    ((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0])),
    ((2, 3, 4), (4, 3, 5), [(-1, 1), (0, -2)]),
    ((2, 3), (4, 3), (1, 1)),
    ((2, 3), (4, 3), np.array([1, 1])),
    ((2, 0), (0, 3), 1),
    ((2, 3), (2,), ((), ())),
]


@pytest.mark.parametrize(("a", "b", "axes"), AXES, ids=[str(k) for k in range(len(AXES))])
def test_tensordot_over_every_form_of_axes(a: tuple, b: tuple, axes: Any):
    check(lambda x, y: np.tensordot(x, y, axes), drawn("a", a), drawn("b", b))
    check(lambda x, y: np.tensordot(x, y, axes=axes), drawn("a", a, "c16"), drawn("b", b, "c16"), second=False)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (2, 3), (3, 2), (3, 3)])
@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors")  # NumPy's own, of the plain function
def test_cross_of_two_and_three_components(first: int, second: int):
    check(np.cross, drawn("a", (4, first)), drawn("b", (4, second)))
    check(lambda a, b: np.cross(a, b, 0, 1), drawn("a", (first, 4)), drawn("b", (1, second)), second=False)
    if 3 in (first, second):
        check(lambda a, b: np.cross(a, b, axisc=0), drawn("a", (4, first), "c16"), drawn("b", (second,), "c16"))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("ends", [(False, False), (True, False), (False, True), (True, True)])
def test_chains_of_products(count: int, ends: tuple[bool, bool]):
    shapes: list[tuple[int, ...]] = [((k * 7) % 4 + 1, ((k + 1) * 7) % 4 + 1) for k in range(count)]
    if ends[0]:
        shapes[0] = shapes[0][1:]
    if ends[1]:
        shapes[-1] = shapes[-1][:1]
    check(lambda *arrays: np.linalg.multi_dot(arrays), *[drawn(f"m{k}", shape) for k, shape in enumerate(shapes)])


def test_a_chain_is_multiplied_in_the_cheapest_order():
    shapes = [(10, 100), (100, 5), (5, 50)]
    tape = trace_leaves(lambda v: [np.linalg.multi_dot(v)], [np.ones(shape) for shape in shapes])
    products = [tape.avals[e.output].shape for e in tape.equations if e.primitive.name == "matmul"]
    assert products == [(10, 5), (10, 50)]


# ---------------------------------------------------------------------------- einsum


@st.composite
def signatures(draw: st.DrawFn) -> tuple[list[list[Any]], list[Any] | None, list[tuple[int, ...]]]:
    """Labels of up to three operands, those of the result or none, and shapes with stretched axes of size 1."""
    letters = "abCd"
    sizes = {letter: draw(st.integers(0 if letter == "d" else 1, 3)) for letter in letters}
    hidden = [draw(st.integers(1, 2)) for _ in range(draw(st.integers(0, 2)))]
    inputs, shapes = [], []
    for _ in range(draw(st.integers(1, 3))):
        labels: list[Any] = draw(st.lists(st.sampled_from(letters), max_size=3))
        stretched = {letter: draw(st.integers(0, 4)) == 0 for letter in labels}
        shape = [1 if stretched[letter] else sizes[letter] for letter in labels]
        if draw(st.booleans()):
            at, taken = draw(st.integers(0, len(labels))), draw(st.integers(0, len(hidden)))
            dots = [1 if draw(st.integers(0, 4)) == 0 else size for size in hidden[len(hidden) - taken :]]
            labels, shape = [*labels[:at], ..., *labels[at:]], [*shape[:at], *dots, *shape[at:]]
        inputs.append(labels)
        shapes.append(tuple(shape))
    if draw(st.booleans()):
        return inputs, None, shapes
    known = sorted({letter for labels in inputs for letter in labels if letter is not ...})
    result: list[Any] = draw(st.permutations(known))[: draw(st.integers(0, len(known)))]
    if any(... in labels for labels in inputs):
        result.insert(draw(st.integers(0, len(result))), ...)
    return inputs, result, shapes


def as_text(inputs: list[list[Any]], result: list[Any] | None) -> str:
    parts = ["".join("..." if label is ... else label for label in labels) for labels in [*inputs, result or []]]
    return ",".join(parts[:-1]) + ("" if result is None else f" -> {parts[-1]}")


@given(signatures(), st.sampled_from([False, True, "greedy", "optimal"]), st.booleans(), st.sampled_from(["f8", "c16"]))
def test_any_einsum(signature: Any, optimize: Any, interleaved: bool, dtype: str):
    inputs, result, shapes = signature
    arrays = [drawn(f"e{k}", shape, dtype) for k, shape in enumerate(shapes)]
    numbers = {letter: k for k, letter in enumerate("Cabd")}  # in the order of their letters

    def function(values: Any, **options: Any) -> Any:
        if not interleaved:
            return np.einsum(as_text(inputs, result), *values, **options)
        lists = [[numbers.get(label, label) for label in labels] for labels in [*inputs, result or []]]
        operands = [part for pair in zip(values, lists[: len(inputs)], strict=True) for part in pair]
        return NP.einsum(*operands, *([] if result is None else lists[-1:]), **options)

    expected = np.asarray(function(arrays))
    tape = trace_leaves(lambda leaves: [function(leaves, optimize=optimize)], arrays).check()
    (value,) = Program(tape).run(arrays)
    assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
    near(value, expected, 1e-13)
    g = drawn("g", expected.shape, dtype)
    pulled = Program(transforms.vjp(tape, range(len(arrays)))).run([*arrays, g])[1:]
    for position, part in enumerate(pulled):  # linear in each operand, which NumPy can say as well
        tangent = drawn("t", shapes[position], dtype)
        alone = function([tangent if k == position else a for k, a in enumerate(arrays)])
        assert abs(paired([part], [tangent]) - paired([g], [np.asarray(alone)])) < 1e-11


SIGNATURES = ["ij,jk,kl->il", "ii,ij,jj->j", "ij,ij,ij->", "...i,ij,...j->...", "i,j,k->kij", "ab,bc,cd,da->ac"]


@pytest.mark.parametrize("text", SIGNATURES)
def test_einsum_to_second_order_and_in_single_precision(text: str):
    terms = text.split("->")[0].split(",")
    arrays = [drawn(f"s{k}", (2,) * len(term.replace("...", "z"))) for k, term in enumerate(terms)]
    check(lambda *xs: np.einsum(text, *xs), *arrays)
    keeps_float32(lambda *xs: np.einsum(text, *xs, optimize=True), *arrays)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8"])
def test_einsum_of_integers_wraps_and_of_booleans_asks_for_any(dtype: str):
    x = np.array([[100, 27, 0], [0, 0, 0], [101, 90, 3]]).astype(dtype)
    for text in ("ij->i", "ij->", "ii", "ij->ji"):
        tape = trace_leaves(lambda leaves, text=text: [np.einsum(text, leaves[0])], [x])
        expected = np.asarray(np.einsum(text, x))
        assert tape.evaluate([x])[0].dtype == expected.dtype
        assert np.array_equal(tape.evaluate([x])[0], expected)
    both = trace_leaves(lambda leaves: [np.einsum("ij,kj->ik", leaves[0], x)], [x]).evaluate([x])[0]
    assert np.array_equal(both, np.einsum("ij,kj->ik", x, x))
    assert both.dtype == np.einsum("ij,kj->ik", x, x).dtype


# ---------------------------------------------------------------------------- refusals

X = np.ones((2, 3))
REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.matvec(x, np.ones(4)), r"np\.matvec at test_\w+\.py:\d+: shapes \(2, 3\) and \(4,\) do not fit"),
    (lambda x: np.matmul(x, np.ones((3, 2), int), casting="no"), "the argument 'casting' is not supported"),
    (lambda x: np.vecmat(1.0, x), r"np\.vecmat at .*an operand of shape \(\) holds no vectors"),
    (lambda x: np.matvec(x[0], x[0]), r"np\.matvec at .*an operand of shape \(3,\) holds no matrices"),
    (lambda x: np.inner(x, np.ones(2)), r"np\.inner at .*the last axes of shapes \(2, 3\) and \(2,\) do not fit"),
    (lambda x: np.dot(x, x), r"np\.dot at .*shapes \(2, 3\) and \(2, 3\) do not fit"),
    (lambda x: np.vdot(x, np.ones(5)), r"np\.vdot at .*6 elements against 5"),
    (lambda x: np.tensordot(x, x, 1), r"np\.tensordot at .*shapes \(2, 3\), \(2, 3\) do not fit over 1"),
    (lambda x: np.cross(x.T, np.ones(4)), "vectors of 2 and 4 components; a cross product needs 2 or 3"),
    (lambda x: np.linalg.cross(x.T, x.T), r"np\.linalg\.cross at .*shape \(3, 2\) holds no vectors of three"),
    (lambda x: np.linalg.outer(x, x), r"np\.linalg\.outer at .*shape \(2, 3\) is no vector; np\.outer flattens it"),
    (lambda x: np.linalg.multi_dot([x]), "a chain of two arrays or more"),
    (lambda x: np.linalg.multi_dot([x.T, x[0], x]), r"array 1 has shape \(3,\); a chain is of matrices"),
    (lambda x: np.einsum("ij,jk", x), "'ij,jk' names 2 operands, and 1 are given"),
    (lambda x: np.einsum("ijk", x), "'ijk' does not fit an operand of 2 dimensions"),
    (lambda x: np.einsum("i", x), "'i' does not fit an operand of 2 dimensions"),
    (lambda x: np.einsum("ii", x), "the label 'i' stands for 2 and for 3 elements"),
    (lambda x: np.einsum("ij,ik", x, np.ones((3, 2))), "the label 'i' stands for 2 and for 3 elements"),
    (lambda x: np.einsum("ij->ik", x), "must name labels of the operands"),
    (lambda x: np.einsum("ij->ii", x), "each of them once"),
    (lambda x: np.einsum("...j->j", x), "has an ellipsis in its operands that its result lacks"),
    (lambda x: np.einsum("i?", x), r"'i\?' holds '\?', which is no letter"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(k) for k in range(len(REFUSALS))])
def test_what_does_not_fit_says_what_and_where(function: Callable, message: str):
    with pytest.raises(TraceError, match=message) as caught:
        trace_leaves(lambda leaves: [function(leaves[0])], [X])
    assert re.search(r"at test_products\.py:\d+", str(caught.value))
    with pytest.raises((ValueError, TypeError)):
        function(X)
