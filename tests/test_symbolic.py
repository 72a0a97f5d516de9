"""Symbolic differentiation: SymPy's own answers, the kink table, float32, data, code, counts, forecasts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sympy
from samples import all_cases

import difflab as dl
from difflab import nn
from difflab.backends.protocol import Source
from difflab.backends.symbolic import PreparedSymbolic, Symbolic
from difflab.containers import flatten, unflatten
from difflab.errors import ForecastError, InputError, UnsupportedError
from difflab.execution.arithmetic import evaluate
from difflab.execution.swell import forecast
from difflab.execution.symbols import SPANS, Symbols, rational
from difflab.harness.certify import certified
from difflab.harness.grades import errors
from difflab.primitives import REGISTRY
from difflab.problems import find
from difflab.tracing import trace_leaves

RNG = np.random.default_rng(11)
X, Y = sympy.symbols("x y")


@pytest.fixture(autouse=True, params=["tree", "dag"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in turn, where a test does not name one."""

    def resolved(self: Symbolic) -> str:
        return self.way if self.way != "auto" else request.param if self.cse else "tree"

    monkeypatch.setattr(Symbolic, "resolved_way", resolved)
    return request.param


def prepared(function: Callable, leaves: Sequence[Any], wrt: Sequence[int] = (0,), **options: Any) -> PreparedSymbolic:
    leaves = [np.asarray(leaf) for leaf in leaves]
    source = Source(
        call=lambda inputs: [function(*inputs)],
        trace=lambda: trace_leaves(lambda inputs: [function(*inputs)], leaves),
        example=leaves,
        wrt=tuple(wrt),
    )
    return Symbolic(**options).prepare(source, "gradient", leaves)


def gradient(function: Callable, *leaves: Any, wrt: Sequence[int] = (0,), **options: Any) -> list[np.ndarray]:
    arrays = [np.asarray(leaf) for leaf in leaves]
    return prepared(function, arrays, wrt, **options).value_and_gradient(arrays)[1]


def central(function: Callable, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    result = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = h
        result[place] = (function(x + step) - function(x - step)) / (2 * h)
    return result


# ---------------------------------------------------------------------------- right


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_tiny_problems_against_the_certified_reference(name: str, dtype: str) -> None:
    instance = find(name).build("tiny", dtype, 0)
    leaves, tree = flatten(instance.args)
    leaves = [np.asarray(leaf) for leaf in leaves]
    wrt = tuple(range(len(flatten(instance.args[0])[0])))
    tape = trace_leaves(lambda inputs: [instance.loss(*unflatten(tree, inputs))], leaves)
    source = Source(call=lambda inputs: [], trace=lambda: tape, example=leaves, wrt=wrt)
    program = Symbolic().prepare(source, "gradient", leaves)
    value, found = program.value_and_gradient(leaves)
    reference = certified(tape, leaves, wrt)
    measured = errors(found, reference)
    assert measured["rel_error"] < {"float64": 1e-13, "float32": 1e-7}[dtype]
    assert {leaf.dtype for leaf in (value, *found)} == {np.dtype(dtype)}
    assert float(program.value(leaves)[0]) == float(value) == pytest.approx(reference.value, rel=1e-6)
    stats = program.stats
    assert stats["n_symbols"] == instance.n_params
    assert stats["symbolic_ops_value"] > 1000
    assert stats["symbolic_ops_gradient"] > 20 * stats["symbolic_ops_value"] > stats["symbolic_ops_cse"]
    assert all(stats[key] > 0 for key in ("build_s", "diff_s", "compile_s"))
    assert stats["computed_in"].startswith("float64")


CASES = [case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary and not case.primitive.inexact]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_primitive_as_an_expression_of_numbers(case: Any) -> None:
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], list(case.arrays))
    (result,) = evaluate(tape, list(case.arrays), Symbols(), SPANS)
    values = [float(sympy.N(rational(v) if v not in (True, False) else int(bool(v)))) for v in result.ravel().tolist()]
    assert result.shape == case.value.shape
    np.testing.assert_allclose(np.reshape(values, result.shape), case.value, rtol=1e-13, atol=1e-15)


SMOOTH = [
    lambda x: np.sum(np.sin(x) * np.exp(-x) / (1 + x**2)),
    lambda x: np.sum(np.arctan2(x[0], x[1]) * np.hypot(x[0], x[1])),
    lambda x: np.sum(np.log1p(x) + np.expm1(x) + np.exp2(x) + np.log2(x) + np.log10(x)),
    lambda x: x[0, 0] * x[0, 1] * x[1, 2] / x[1, 0],
    lambda x: np.sum(x**1.5 + 2.0**x + x ** x[::-1]),
    lambda x: np.sum(nn.softmax(x) ** 2) + nn.logsumexp(x) + np.var(x),
    lambda x: np.sum(np.sqrt(x) + nn.sigmoid(x) + np.logaddexp(x[0], x[1])),
    lambda x: np.sum((x @ x.T) ** 3) + np.sum(np.linalg.norm(x, axis=1)),
]


@pytest.mark.parametrize("function", SMOOTH)
@pytest.mark.parametrize("cse", [True, False])
def test_smooth_losses_against_central_differences(function: Callable, cse: bool) -> None:
    x = RNG.uniform(0.5, 1.5, size=(2, 3))
    np.testing.assert_allclose(gradient(function, x, cse=cse)[0], central(function, x), rtol=2e-8, atol=1e-8)


# ---------------------------------------------------------------------------- choices


def test_kink_table() -> None:
    assert gradient(nn.relu, 0.0)[0] == 0.0
    assert gradient(np.abs, 0.0)[0] == 0.0
    assert gradient(lambda x: np.sign(x) * 3, 0.0)[0] == 0.0
    assert [float(g) for g in gradient(np.maximum, 1.5, 1.5, wrt=(0, 1))] == [0.5, 0.5]
    assert [float(g) for g in gradient(np.minimum, 1.5, 1.5, wrt=(0, 1))] == [0.5, 0.5]
    np.testing.assert_allclose(gradient(np.max, [2.0, 1.0, 2.0, 2.0])[0], [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_array_equal(gradient(np.min, [1.0, 1.0, 2.0, 4.0])[0], [0.5, 0.5, 0.0, 0.0])
    pooled = gradient(lambda x: np.sum(nn.max_pool2d(x, 2)), np.full((1, 2, 2, 1), 3.0))[0]
    np.testing.assert_array_equal(pooled.ravel(), [1.0, 0.0, 0.0, 0.0])
    assert gradient(lambda x: np.where(x > 0, np.log(x), 7.0 * x), -1.0)[0] == 7.0
    assert gradient(nn.stop_gradient, 2.0)[0] == 0.0
    assert gradient(lambda x: np.floor(x) * x, 2.5)[0] == 2.0


@pytest.mark.parametrize("shape", [(1, 3, 3, 1), (2, 4, 5, 2)])
def test_pooling_with_ties_is_what_reverse_mode_gives(shape: tuple[int, ...]) -> None:
    x = np.round(2 * RNG.normal(size=shape))
    weights = RNG.normal(size=shape)

    def loss(x: Any) -> Any:
        pooled = nn.max_pool2d(nn.relu(x * weights.shape[0]), (3, 2), stride=1)
        return np.sum(pooled * np.arange(1.0, 1.0 + pooled.size).reshape(pooled.shape))

    np.testing.assert_allclose(gradient(loss, x)[0], dl.gradient(loss)(x), rtol=1e-14)


def test_a_hand_written_shift_is_differentiated_like_everything_else() -> None:
    def loss(z: Any, t: Any) -> Any:
        top = np.max(z, axis=1, keepdims=True)
        return np.sum((np.log(np.sum(np.exp(z - top), axis=1, keepdims=True)) + top) * t)

    z, t = RNG.normal(size=(2, 3)), RNG.uniform(size=(2, 1))
    np.testing.assert_allclose(gradient(loss, z, t)[0], dl.gradient(loss)(z, t), rtol=1e-13)


def test_an_index_that_depends_on_a_symbol_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="symbolic differentiation cannot express; use backend 'reverse'"):
        gradient(lambda x: np.sum(x[np.argmax(x)] * x), [1.0, 3.0, 2.0])


def test_masks_counts_and_tests_of_data_fold() -> None:
    x, mask = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])

    def loss(x: Any, mask: Any) -> Any:
        return np.sum(np.where(mask, x**2, 0.0)) / np.sum(mask) + np.sum(np.isfinite(x) * x)

    np.testing.assert_allclose(gradient(loss, x, mask)[0], [2.0, 1.0, 4.0])


# ---------------------------------------------------------------------------- code


def test_zeros_in_the_data_vanish() -> None:
    program = prepared(lambda w, x: np.sum(np.tanh(x @ w)), [np.ones((3, 2)), np.array([[0.0, 2.0, 0.0]])])
    assert program.stats["symbolic_ops_value"] == sympy.count_ops(sympy.tanh(2 * X) + sympy.tanh(2 * Y))


def test_overflow_and_poles_are_infinite_not_an_error() -> None:
    program = prepared(lambda x: np.sum(np.exp(x)), [np.array([1.0, 2.0])])
    value, slopes = program.value_and_gradient([np.array([1000.0, 0.0])])
    assert value == math.inf
    assert slopes[0].tolist() == [math.inf, 1.0]
    assert gradient(np.sqrt, 0.0)[0] == math.inf
    assert gradient(np.log, 0.0)[0] == math.inf
    assert np.isnan(gradient(np.sqrt, -1.0)[0])
    assert np.isnan(gradient(lambda x: x**2.5, -1.0)[0])
    assert gradient(lambda x: x**3.0, -2.0)[0] == 12.0


def test_constants_outside_a_domain_are_nan_only_where_they_are_taken() -> None:
    data = np.array([-1.0, 4.0])
    found = gradient(lambda w, x: np.sum(np.where(x > 0, w * np.sqrt(x), w)), np.ones(2), data)[0]
    np.testing.assert_allclose(found, [1.0, 2.0])
    assert np.isnan(gradient(lambda w, x: w * np.log(x), 1.0, -1.0)[0])


def test_float32_is_computed_in_float64_and_rounded_once() -> None:
    x = RNG.normal(size=5).astype(np.float32)
    found = gradient(lambda x: np.sum(np.sin(x) ** 2), x)[0]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.sin(2 * x.astype(np.float64)).astype(np.float32))


def test_other_data_is_derived_anew_and_remembered() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum((x @ w) ** 2)

    w, first, second = RNG.normal(size=3), np.array([[1.0, 0.0, 2.0]]), np.array([[0.5, 3.0, 0.0]])
    program = prepared(loss, [w, first])
    for x in (first, second, first, second):
        np.testing.assert_allclose(program.value_and_gradient([w, x])[1][0], 2 * x.T @ (x @ w), rtol=1e-14)
    assert program.stats["derivations"] == 2


def test_data_as_symbols_is_derived_once() -> None:
    def loss(w: Any, x: Any, k: Any) -> Any:
        return np.sum((x[k] @ w) ** 2)

    w, k = RNG.normal(size=3), np.array([1, 1, 0])
    program = prepared(loss, [w, RNG.normal(size=(2, 3)), k], data="symbols")
    for x in RNG.normal(size=(3, 2, 3)):
        np.testing.assert_allclose(program.value_and_gradient([w, x, k])[1][0], 2 * x[k].T @ (x[k] @ w), rtol=1e-13)
    assert program.stats["derivations"] == 1
    assert program.stats["n_symbols"] == 9


def test_without_shared_subexpressions_the_code_is_the_tree() -> None:
    x = RNG.normal(size=3)
    program = prepared(lambda x: np.sum(np.tanh(np.sin(x) * x[0])), [x], cse=False)
    assert program.stats["symbolic_ops_cse"] is None
    shared = prepared(lambda x: np.sum(np.tanh(np.sin(x) * x[0])), [x], way="tree")
    assert shared.stats["symbolic_ops_cse"] < shared.stats["symbolic_ops_gradient"]
    np.testing.assert_allclose(program.value_and_gradient([x])[1][0], shared.value_and_gradient([x])[1][0], rtol=1e-14)


# ---------------------------------------------------------------------------- operators


def test_jvp_and_vjp_of_several_outputs() -> None:
    a, b = RNG.normal(size=(2, 2)), RNG.normal(size=2)

    def function(a: Any, b: Any) -> Any:
        return {"product": np.tanh(a @ b), "sum": np.sum(a) * b[0]}

    tangents = (RNG.normal(size=(2, 2)), RNG.normal(size=2))
    value, slope = dl.jvp(function, (a, b), tangents, backend="symbolic")
    expected_value, expected_slope = dl.jvp(function, (a, b), tangents, backend="forward")
    for key in ("product", "sum"):
        np.testing.assert_allclose(value[key], expected_value[key], rtol=1e-14)
        np.testing.assert_allclose(slope[key], expected_slope[key], rtol=1e-13)
    cotangent = {"product": RNG.normal(size=2), "sum": 0.7}
    found = dl.vjp(function, a, b, backend="symbolic")[1](cotangent)
    expected = dl.vjp(function, a, b, backend="reverse")[1](cotangent)
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


def test_through_the_public_operators() -> None:
    params = {"w": RNG.normal(size=3), "b": 0.25}
    x = RNG.normal(size=(4, 3))

    def loss(params: Any, x: Any) -> Any:
        return np.mean(np.log(1 + np.exp(x @ params["w"] + params["b"])))

    found, expected = (dl.gradient(loss, backend=backend)(params, x) for backend in ("symbolic", "reverse"))
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-13)
    assert found["b"] == pytest.approx(expected["b"], rel=1e-13)
    assert type(found["b"]) is np.float64


def test_a_branch_taken_otherwise_is_traced_again() -> None:
    def loss(x: Any) -> Any:
        return x * x if x > 0 else -3 * x

    program = dl.prepare(loss, 2.0, backend="symbolic")
    assert [float(program.gradient(x)) for x in (2.0, -1.0, 5.0)] == [4.0, -3.0, 10.0]
    assert program.stats["traces"] == 2


def test_results_are_fresh_arrays() -> None:
    x = np.ones(3)
    program = prepared(lambda x: np.sum(x * x), [x])
    first, second = (program.value_and_gradient([x])[1][0] for _ in range(2))
    first[:] = 9.0
    assert second.tolist() == [2.0, 2.0, 2.0]
    assert x.tolist() == [1.0, 1.0, 1.0]


# ---------------------------------------------------------------------------- forecasts and options


def test_what_would_not_end_is_refused_with_the_figure(way: str) -> None:
    instance = find("digits-mlp").build({"tree": "large", "dag": "xlarge"}[way], "float64", 0)
    with pytest.raises(ForecastError) as refused:
        dl.prepare(instance.loss, *instance.args, backend="symbolic")
    text = str(refused.value)
    assert f"by {instance.n_params} symbols" in text
    shares = {"tree": "before common subexpressions are shared", "dag": "that share what they can"}[way]
    assert f"operations {shares}, and is forecast to take" in text
    assert "the limit is 60 s" in text
    assert "Use backend 'reverse'" in text


def test_the_limit_is_an_option() -> None:
    with pytest.raises(ForecastError, match=r"the limit is 1 ms"):
        gradient(lambda x: np.sum(x * x), np.ones(3), time_limit_s=0.001)


def test_a_loop_too_long_for_recursion_is_refused_in_a_sentence() -> None:
    def loss(x: Any) -> Any:
        for _ in range(3000):
            x = np.sin(x) + 0.5
        return x

    with pytest.raises(ForecastError, match="nested too deeply for SymPy's recursive functions"):
        gradient(loss, 1.0, way="tree")


def test_nothing_to_differentiate_by() -> None:
    assert gradient(lambda x, y: np.sum(x) + y, np.zeros((2, 0)), 3.0)[0].shape == (2, 0)


def test_forecast_is_of_the_right_order_and_needs_no_data(way: str) -> None:
    instance = find("digits-mlp").build("tiny", "float64", 0)
    leaves, tree = flatten(instance.args)
    tape = trace_leaves(lambda inputs: [instance.loss(*unflatten(tree, inputs))], leaves)
    wrt = tuple(range(len(leaves) - 2))
    program = Symbolic().prepare(Source(lambda v: [], lambda: tape, leaves, wrt), "gradient", leaves)
    size = forecast(tape, wrt)
    assert 0.5 < size.value / program.stats["symbolic_ops_value"] < 3
    assert 0.5 < size.gradient / program.stats["symbolic_ops_gradient"] < 4
    shapes = [dl.Shape((262_144, 64)), dl.Shape((64, 262_144))]
    huge = trace_leaves(lambda v: [np.sum(np.tanh(v[0] @ v[1]))], shapes)
    assert Symbolic().predict(huge, "gradient", (0, 1)).seconds > {"tree": 1e9, "dag": 1e8}[way]


def test_a_loss_without_the_symbols_has_no_gradient_to_derive() -> None:
    assert forecast(trace_leaves(lambda v: [np.exp(v[1])], [1.0, 2.0]), (0,)).gradient == 0.0
    assert gradient(lambda x, y: np.exp(y), 1.0, 2.0)[0] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "maple"}, "engine is one of sympy, symengine"),
        ({"data": "letters"}, "data is one of numbers, symbols"),
        ({"time_limit_s": 0}, "a positive number of seconds or None"),
        ({"time_limit_s": True}, "a positive number of seconds or None"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Symbolic(**options)


def test_a_backend_prints_its_options() -> None:
    assert repr(Symbolic()) == (
        "Symbolic(way='auto', engine='sympy', cse=True, data='numbers', order='auto', code='python', time_limit_s=None)"
    )
    operators = {"gradient", "value_and_gradient", "jvp", "vjp", "jacobian", "hessian"}
    assert Symbolic().capabilities == {*operators, "bare", "live-data"}
    assert Symbolic().with_live_data() == Symbolic(data="symbols")
    assert Symbolic().unavailable() is None
