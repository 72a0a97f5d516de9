"""The rest of the page of semantics: when values are computed, what reaches the tape, trees, defaults, signatures."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from own_gates import Counted

import difflab as dl
from difflab import transforms
from difflab.errors import InputError, TraceError, UnsupportedError
from difflab.operators import source
from difflab.tracing import trace_leaves

EXACT = ["reverse", "forward"]
FAMILIES = [*EXACT, "finite"]
X = np.array([0.3, -0.7, 1.2])


# ---------------------------------------------------------------------------- tracing


def test_nothing_is_computed_until_python_asks_and_then_once():
    count = Counted()
    dl.trace(lambda x: np.sum(count(x)) * 2.0, X)
    assert count.calls == 0

    def asks(x):
        y = np.sum(count(x))
        if y > -10.0 and y < 10.0 and y != 3.0:
            y = y * 2.0
        return y if y > -20.0 else x[0]

    tape = dl.trace(asks, X).tape
    assert count.calls == 1
    assert len(tape.guards) == 4


def test_a_loss_of_any_size_is_traced_without_data():
    trace = dl.trace(
        lambda x, w: np.mean(dl.nn.softmax(np.tanh(x @ w))),
        dl.Shape((2**18, 2**18), "float32"),
        dl.Shape((2**18, 10), "float32"),
    )
    assert trace.tape.avals[trace.tape.inputs[0]].nbytes == 256 * 2**30
    assert trace.flops > 2 * 2**36 * 10


def test_few_primitives_reach_the_tape():
    w = np.ones((3, 3))
    products = [
        lambda x: x @ w,
        lambda x: np.dot(x, w),
        lambda x: np.inner(x, w),
        lambda x: np.tensordot(x, w, 1),
        lambda x: np.einsum("i,ij", x, w),
        lambda x: np.matmul(x, w),
    ]
    moves = {"reshape", "transpose", "broadcast_to"}
    for function in products:
        names = [equation.primitive.name for equation in dl.trace(function, X).tape.equations]
        assert set(names) - moves == {"matmul"}
        assert names.count("matmul") == 1
    grid = np.arange(12.0).reshape(3, 4)
    for function, name in (
        (lambda x: x.sum(-1), "sum"),
        (lambda x: np.add.reduce(x, axis=-1), "sum"),
        (lambda x: x[:, -3:], "slice"),
        (lambda x: x[..., 1::2], "slice"),
        (lambda x: x[[0, -1]], "gather"),
        (lambda x: np.take(x, [1, 2], axis=-1), "gather"),
    ):
        tape = dl.trace(function, grid).tape
        equation = next(e for e in tape.equations if e.primitive.name not in moves)
        assert equation.primitive.name == name
        assert all(axis >= 0 for axis in equation.params.get("axes", ()))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("softmax", dl.nn.softmax),
        ("logsumexp", lambda x: dl.nn.logsumexp(x, axis=-1)),
        ("mean", lambda x: np.mean(x, axis=0)),
        ("var", lambda x: np.var(x, axis=-1, ddof=1)),
    ],
)
def test_composites_keep_their_span(name: str, function: Callable):
    tape = dl.trace(lambda x: function(np.sin(x)) * 2.0, np.ones((2, 3))).tape
    span = next(span for span in tape.spans if span.name == name)
    assert tape.equations[span.start - 1].output in span.arguments or tape.inputs[0] in span.arguments
    assert tape.equations[span.stop - 1].output == span.result
    assert span.start < span.stop < len(tape.equations)


# ---------------------------------------------------------------------------- the trace is checked against the function


def test_comparison_checks_the_trace_too():
    calls: list[int] = []

    def f(x):
        calls.append(1)
        return np.sum(x) * len(calls)

    with pytest.raises(TraceError, match=r"trace of `f` does not compute what the function does.*hidden state"):
        dl.compare(f, X, backends=["reverse"])


def test_only_a_perturbed_point_can_tell():
    seen: list[Any] = []

    def f(x):
        """Right at the example, and wrong elsewhere, for it remembers the first plain argument."""
        if isinstance(x, np.ndarray):
            seen.append(x)
            return np.sum(seen[0] * seen[0])
        return np.sum(x * x)

    with pytest.raises(TraceError, match="at a point near the example"):
        dl.prepare(f, X)


# ---------------------------------------------------------------------------- nesting


def test_a_function_that_closes_over_a_traced_value_in_every_operator():
    def along(x):
        return dl.jvp(lambda y: y * y * x, (3.0,), (1.0,))[1]  # 6 x

    def pulled(x):
        return dl.vjp(lambda y: y * y * x, 3.0)[1](1.0)[0]

    def prepared(x):
        return dl.prepare(lambda y, z: y * y * z, 3.0, 1.0).gradient(3.0, x)

    for function in (along, pulled, prepared):
        assert dl.gradient(function)(2.0) == pytest.approx(6.0)


@pytest.mark.parametrize("name", ["symbolic", "null"])
def test_what_does_not_nest_says_so_for_every_operator(name: str):
    text = f"backend {name!r} cannot be used inside another derivative"
    for inner in (
        lambda x: dl.gradient(lambda y: y**3, backend=name)(x),
        lambda x: dl.jvp(lambda y: y**3, (x,), (1.0,), backend=name)[1],
        lambda x: dl.vjp(lambda y: y**3, x, backend=name)[1](1.0)[0],
    ):
        with pytest.raises(UnsupportedError, match=text):
            dl.gradient(inner)(2.0)


# ---------------------------------------------------------------------------- containers and results


def test_jacobians_are_output_trees_of_input_trees_and_the_other_way_round():
    def f(p):
        return {"a": p["w"] @ np.ones(3) * p["s"], "b": [p["s"] ** 2]}

    p = {"w": np.arange(6.0).reshape(2, 3), "s": 2.0}
    outer = dl.jacobian(f)(p)
    assert outer["a"]["w"].shape == (2, 2, 3)
    assert outer["a"]["s"].shape == (2,)
    assert outer["b"][0]["w"].shape == (2, 3)
    assert outer["b"][0]["s"] == 4.0
    inner = dl.jacobian(f, layout="denominator")(p)
    np.testing.assert_array_equal(inner["w"]["a"], np.moveaxis(outer["a"]["w"], 0, -1))
    assert inner["w"]["a"].shape == (2, 3, 2)
    assert inner["s"]["b"][0] == 4.0


def test_hessians_are_trees_of_trees_and_products_have_the_structure_of_the_argument():
    def f(p):
        return np.sum(p["w"] ** 3) * p["s"]

    p, v = {"w": X, "s": 2.0}, {"w": np.array([1.0, 2.0, 3.0]), "s": 0.5}
    h = dl.hessian(f)(p)
    np.testing.assert_allclose(h["w"]["w"], np.diag(6 * X * 2.0), rtol=1e-14)
    np.testing.assert_allclose(h["w"]["s"], 3 * X**2, rtol=1e-14)
    np.testing.assert_allclose(h["s"]["w"], 3 * X**2, rtol=1e-14)
    assert h["s"]["s"] == 0.0
    product = dl.hvp(f)(p, v)
    np.testing.assert_allclose(product["w"], 12 * X * v["w"] + 3 * X**2 * 0.5, rtol=1e-14)
    assert product["s"] == pytest.approx(np.sum(3 * X**2 * v["w"]))
    tupled = dl.hessian(lambda x, y: x * x * y, argnums=(0, 1))(2.0, 3.0)
    assert tupled == ((6.0, 4.0), (4.0, 0.0))
    assert dl.gradient(lambda x: x * x, argnums=(0,))(3.0) == (6.0,)
    assert dl.gradient(lambda x, y: x * y, argnums=-1)(3.0, 5.0) == 3.0


# ---------------------------------------------------------------------------- live or static


def test_complex_numbers_are_live():
    prepared = dl.prepare(lambda x, z: np.sum(x * np.real(z * z)), X, 1.0 + 2.0j)
    for z in (1.0 + 2.0j, 3.0j, -1.0 + 0.5j):
        np.testing.assert_allclose(prepared(X, z), np.full(3, (z * z).real), rtol=1e-15)
    assert prepared.stats["traces"] == 1


@pytest.mark.parametrize("backend", EXACT)
def test_tests_of_data_are_live_and_without_derivative(backend: str):
    def f(x, d):
        kept = np.where(np.isnan(d) | (d > 5.0), 0.0, np.nan_to_num(d))
        return np.sum(x * kept) + np.sum(np.sign(x - d[0]) * x)

    prepared = dl.prepare(f, X, np.array([1.0, np.nan, 2.0]), backend=backend)
    for d in (np.array([1.0, np.nan, 2.0]), np.array([9.0, 3.0, np.nan]), np.array([0.0, 1.0, 2.0])):
        wanted = np.where(np.isnan(d) | (d > 5.0), 0.0, np.nan_to_num(d)) + np.sign(X - d[0])
        np.testing.assert_array_equal(prepared(X, d), wanted)
    assert prepared.stats["traces"] == 1


# ---------------------------------------------------------------------------- kinks


@pytest.mark.parametrize("backend", EXACT)
def test_sort_and_median_route_ties_to_the_first(backend: str):
    x = np.array([2.0, 1.0, 2.0, 1.0])
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    found = dl.gradient(lambda x: np.sum(np.sort(x) * weights), backend=backend)(x)
    np.testing.assert_array_equal(found, [100.0, 1.0, 1000.0, 10.0])
    median = dl.gradient(lambda x: np.median(x), backend=backend)
    np.testing.assert_array_equal(median(np.array([2.0, 2.0, 1.0])), [1.0, 0.0, 0.0])


@pytest.mark.parametrize("backend", [*EXACT, "symbolic"])
def test_no_rewrite_changes_a_derivative(backend: str):
    def by_hand(z):
        top = np.max(z)
        return top + np.log(np.sum(np.exp(z - top)))

    z = np.array([1.0, 1.0, 0.5])
    np.testing.assert_allclose(dl.gradient(by_hand, backend=backend)(z), np.exp(z) / np.exp(z).sum(), rtol=1e-13)
    tied = np.ones((1, 4, 4, 1))
    pooled = dl.gradient(lambda x: np.sum(dl.nn.max_pool2d(x, 2) * 3.0), backend=backend)(tied)
    assert pooled.sum() == 12.0
    assert np.count_nonzero(pooled) == 4


# ---------------------------------------------------------------------------- complex


@pytest.mark.parametrize("backend", EXACT)
def test_the_gradient_of_a_real_loss_is_by_re_minus_i_by_im(backend: str):
    z = np.array([1.0 + 2.0j, -0.5 + 0.3j])
    found = dl.gradient(lambda z: np.sum(np.abs(z) ** 2), backend=backend)(z)
    np.testing.assert_allclose(found, 2 * np.conj(z), rtol=1e-14)
    h = 1e-6
    f: Callable = lambda z: np.sum(np.real(z**3) * np.imag(z))  # noqa: E731
    by_parts = [
        (f(z + h * e) - f(z - h * e)) / (2 * h) - 1j * (f(z + 1j * h * e) - f(z - 1j * h * e)) / (2 * h)
        for e in np.eye(2)
    ]
    np.testing.assert_allclose(dl.gradient(f, backend=backend)(z), by_parts, rtol=1e-8)


def test_pullbacks_are_complex_linear():
    z = np.array([1.0 + 2.0j, -0.5 + 0.3j])
    _, pullback = dl.vjp(lambda z: z**3 * np.exp(z), z)
    c = np.array([2.0 - 1.0j, 0.5j])
    np.testing.assert_allclose(pullback(c * 1j)[0], 1j * pullback(c)[0], rtol=1e-14)
    np.testing.assert_allclose(pullback(c)[0], c * (3 * z**2 + z**3) * np.exp(z), rtol=1e-13)


# ---------------------------------------------------------------------------- in place and asarray


def test_what_would_write_into_a_traced_array_says_what_to_do():
    def item(x):
        x[0] = 1.0
        return np.sum(x)

    with pytest.raises(TraceError, match=r"item assignment to a traced array at test_semantics_page\.py:\d+"):
        dl.gradient(item)(X)
    with pytest.raises(TraceError, match=r"np\.add at test_semantics_page\.py:\d+ writes into an array in place"):
        dl.gradient(lambda x: np.sum(np.add(x, 1.0, out=np.zeros(3))))(X)


@pytest.mark.parametrize("backend", FAMILIES)
def test_arrays_made_of_traced_values_become_traced_again(backend: str):
    def f(x):
        return np.sum(np.array([x[0] * x[1], np.sin(x[2])]) ** 2) + np.sum(
            np.tanh(np.asarray(x)) * np.array([1.0, 2.0, 3.0])
        )

    a, b, c = X
    wanted = np.array([2 * a * b * b, 2 * a * a * b, np.sin(2 * c)]) + (1 - np.tanh(X) ** 2) * [1.0, 2.0, 3.0]
    np.testing.assert_allclose(dl.gradient(f, backend=backend)(X), wanted, rtol=1e-7)


# ---------------------------------------------------------------------------- warnings, simplification, layers


def test_plan_choices_are_noted_and_warnings_are_the_losss():
    x = np.ones((64, 64))
    prepared = dl.prepare(lambda x, b: np.sum((x + b) ** 2), x, np.ones(64), argnums=(0, 1))
    assert prepared.stats["sums_by_product"] >= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dl.gradient(lambda x: np.sum(x**0.5))(np.zeros(2))


def test_simplify_keeps_nan_and_signed_zero():
    def f(x):
        return x * 0.0 + (x - x) + 0.0 * np.float64(-1.0) * x

    tape = trace_leaves(lambda leaves: [f(leaves[0]), leaves[0] * -0.0, leaves[0] + 0.0], [X])
    for x in (X, np.array([np.nan, np.inf, -0.0])):
        with np.errstate(all="ignore"):
            for a, b in zip(transforms.simplify(tape).evaluate([x]), tape.evaluate([x]), strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("conv2d", "(x, w, stride=1, padding=0)"),
        ("max_pool2d", "(x, size, stride=None, padding=0)"),
        ("avg_pool2d", "(x, size, stride=None, padding=0)"),
        ("relu", "(x)"),
        ("leaky_relu", "(x, slope=0.1)"),
        ("elu", "(x, alpha=1.0)"),
        ("sigmoid", "(x)"),
        ("softmax", "(x, axis=-1)"),
        ("logsumexp", "(x, axis=None, keepdims=False)"),
        ("softmax_cross_entropy", "(logits, targets)"),
        ("dropout", "(x, mask)"),
    ],
)
def test_layers_have_the_signatures_of_the_page(name: str, signature: str):
    found = inspect.signature(getattr(dl.nn, name))
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    promised = signature.count(",") + 1
    assert str(inspect.Signature(bare[:promised])) == signature
    # what a layer can do beyond the page stands behind it and may be left out
    assert all(p.default is not inspect.Parameter.empty for p in bare[promised:])


def test_a_differentiated_leaf_that_is_no_float_is_named_by_its_path():
    params = {"w": X, "n_layers": 3}
    with pytest.raises(InputError, match=r"params\['n_layers'\], which is int"):
        dl.gradient(lambda params: np.sum(params["w"]))(params)
    assert source(lambda x: np.sum(x), (X,)).wrt == (0,)
