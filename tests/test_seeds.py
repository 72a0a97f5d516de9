"""The lectures' small graphs with known numbers, through the public operators."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.problems import find

GRAPHS = ["baydin", "add-mul", "sigmoid-neuron", "scalar-net", "norm-squared", "two-layer"]


def baydin(x1, x2):
    return np.log(x1) + x1 * x2 - np.sin(x2)


def add_mul(x, y, z):
    return (x + y) * z


def score(w, x):
    return w[0] * x[0] + w[1] * x[1] + w[2]


def neuron_in_gates(w, x):
    return 1 / (1 + np.exp(-score(w, x)))


def neuron_in_one_gate(w, x):
    return dl.nn.sigmoid(score(w, x))


def scalar_net(w1, w2, x, y):
    return 0.5 * (w2 * np.maximum(0, w1 * x) - y) ** 2


def norm_squared(w, x):
    return np.sum((w @ x) ** 2)


def rows_by_pullback(f, x):
    """The Jacobian in numerator layout, one pullback of a unit vector per row."""
    value, pullback = dl.vjp(f, x)
    return np.stack([pullback(unit)[0] for unit in np.eye(value.size)])


def rows_by_tangent(f, x):
    """The Jacobian in denominator layout, one tangent of a unit vector per row."""
    return np.stack([dl.jvp(f, (x,), (unit,))[1] for unit in np.eye(x.size)])


# ---------------------------------------------------------------------------- baydin


def test_baydin_forward_trace_line_by_line():
    tape = dl.trace(baydin, 2.0, 5.0).tape
    lines = {}

    def visit(primitive, operands, params):
        lines[primitive.name] = primitive(*operands, **params)
        return lines[primitive.name]

    (value,) = tape.replay([np.float64(2), np.float64(5)], visit)
    assert list(lines) == ["log", "multiply", "add", "sin", "subtract"]
    expected = {"log": 0.693, "multiply": 10, "sin": -0.959, "add": 10.693, "subtract": 11.652}
    assert lines == pytest.approx(expected, abs=5e-4)
    assert value == pytest.approx(np.log(2) + 10 - np.sin(5), rel=1e-15)


def test_baydin_tangent_trace_line_by_line():
    tape = dl.trace(baydin, 2.0, 5.0).tape
    lines = {}

    def visit(primitive, operands, params):
        values, tangents = zip(*operands, strict=True)
        value = primitive(*values, **params)
        lines[primitive.name] = primitive.jvp(list(tangents), value, *values, **params)
        return value, lines[primitive.name]

    start = [(np.float64(2), np.float64(1)), (np.float64(5), np.float64(0))]
    ((_, tangent),) = tape.replay(start, visit)
    assert lines == {"log": 0.5, "multiply": 5.0, "sin": 0.0, "add": 5.5, "subtract": 5.5}
    assert tangent == 5.5


def test_baydin_numbers():
    value, gradient = dl.value_and_gradient(baydin, argnums=(0, 1))(2.0, 5.0)
    assert value == pytest.approx(11.652, abs=5e-4)
    assert gradient == pytest.approx((5.5, 2 - np.cos(5)), rel=1e-15)
    assert dl.jvp(baydin, (2.0, 5.0), (1.0, 0.0)) == pytest.approx((value, 5.5), rel=1e-15)
    assert dl.jvp(baydin, (2.0, 5.0), (0.0, 1.0))[1] == pytest.approx(2 - np.cos(5), rel=1e-15)
    value, pullback = dl.vjp(baydin, 2.0, 5.0)
    assert pullback(np.float64(1)) == pytest.approx(gradient, rel=1e-15)
    assert pullback(np.float64(2))[0] == pytest.approx(11, rel=1e-15)


# ---------------------------------------------------------------------------- numbers and gates


def test_add_mul():
    value, gradient = dl.value_and_gradient(add_mul, argnums=(0, 1, 2))(-2.0, 5.0, -4.0)
    assert value == -12
    assert gradient == (-4, -4, 3)


@pytest.mark.parametrize("neuron", [neuron_in_gates, neuron_in_one_gate])
def test_sigmoid_neuron(neuron):
    w, x = np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0])
    value, (dw, dx) = dl.value_and_gradient(neuron, argnums=(0, 1))(w, x)
    assert value == pytest.approx(0.731, abs=5e-4)
    assert dw == pytest.approx([-0.197, -0.393, 0.197], abs=5e-4)
    assert dx == pytest.approx([0.393, -0.590], abs=5e-4)


def test_sigmoid_neuron_is_the_same_in_gates_and_in_one_gate():
    args = np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0])
    gates, one = (dl.gradient(f, argnums=(0, 1))(*args) for f in (neuron_in_gates, neuron_in_one_gate))
    for left, right in zip(gates, one, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-14)
    names = [equation.primitive.name for equation in dl.trace(neuron_in_gates, *args).tape.equations]
    assert "exp" in names
    assert "sigmoid" not in names
    names = [equation.primitive.name for equation in dl.trace(neuron_in_one_gate, *args).tape.equations]
    assert names.count("sigmoid") == 1
    assert "exp" not in names


def test_scalar_net_and_its_intermediate_results():
    value, gradient = dl.value_and_gradient(scalar_net, argnums=(0, 1))(3.0, 2.0, 5.0, 22.0)
    assert value == 32
    assert gradient == (80, 120)
    assert dl.gradient(lambda yhat: 0.5 * (yhat - 22.0) ** 2)(30.0) == 8
    assert dl.gradient(lambda g: 0.5 * (2.0 * g - 22.0) ** 2)(15.0) == 16
    assert dl.gradient(lambda f: 0.5 * (2.0 * np.maximum(0, f) - 22.0) ** 2)(15.0) == 16


def test_scalar_net_reuses_its_intermediate_results():
    both = dl.value_and_gradient(scalar_net, argnums=(0, 1))
    names = [equation.primitive.name for equation in dl.trace(both, 3.0, 2.0, 5.0, 22.0).tape.equations]
    assert names.count("maximum") == 1
    assert names.count("subtract") == 1


@pytest.mark.parametrize("relu", [dl.nn.relu, lambda x: np.maximum(0, x)])
def test_relu_vector(relu):
    x, upstream = np.array([1.0, -2.0, 3.0, -1.0]), np.array([4.0, -1.0, 5.0, 9.0])
    value, pullback = dl.vjp(relu, x)
    assert value.tolist() == [1, 0, 3, 0]
    assert pullback(upstream)[0].tolist() == [4, 0, 5, 0]
    assert rows_by_pullback(relu, x).tolist() == np.diag([1.0, 0, 1, 0]).tolist()
    tape = dl.trace(lambda x, g: dl.vjp(relu, x)[1](g)[0], x, upstream).tape
    assert max(aval.size for aval in tape.avals) == 4  # the 4 x 4 Jacobian is never formed


def test_hadamard():
    f, g = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])
    np.testing.assert_array_equal(rows_by_pullback(lambda f: f * g, f), np.diag(g))
    np.testing.assert_array_equal(rows_by_tangent(lambda g: f * g, g), np.diag(f))


def test_matmul():
    x = np.array([[2.0, 1, -3], [-3, 4, 2]])
    w = np.array([[3.0, 2, 1, -1], [2, 1, 3, 2], [3, 2, 1, -2]])
    dy = np.array([[2.0, 3, -3, 9], [-8, 1, 4, 6]])
    y, pullback = dl.vjp(lambda x, w: x @ w, x, w)
    assert y.tolist() == [[-1, -1, 2, 6], [5, 2, 11, 7]]
    dx, dw = pullback(dy)
    assert dx.tolist() == [[0, 16, -9], [-24, 9, -30]]
    assert dw.tolist() == [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]]
    np.testing.assert_array_equal(dx, dy @ w.T)
    np.testing.assert_array_equal(dw, x.T @ dy)


def test_jacobian_of_a_matrix_times_a_vector_in_both_layouts():
    w, g = np.array([[2.0, 1, -3], [-3, 4, 2]]), np.array([1.0, -1, 2])
    np.testing.assert_array_equal(rows_by_pullback(lambda g: w @ g, g), w)
    np.testing.assert_array_equal(rows_by_tangent(lambda g: w @ g, g), w.T)


def test_norm_squared():
    w, x = np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([0.2, 0.4])
    value, (dw, dx) = dl.value_and_gradient(norm_squared, argnums=(0, 1))(w, x)
    assert value == pytest.approx(0.116, rel=1e-14)
    np.testing.assert_allclose(dw, [[0.088, 0.176], [0.104, 0.208]], rtol=1e-14)
    np.testing.assert_allclose(dx, [-0.112, 0.636], rtol=1e-14)


def test_a_quotient_of_rounded_numbers_knows_little():
    # L goes from 12.79 to 12.80 as w goes from 0.34 to 0.341
    finite = dl.gradient(lambda w: 12.79 + 10 * (w - 0.34), backend=dl.Finite(scheme="forward", step=0.001))
    assert finite(0.34) == pytest.approx(10, rel=1e-9)


def test_add_distributes():
    assert dl.vjp(lambda x, y: x + y, 3.0, -4.0)[1](np.float64(7)) == (7, 7)


def test_copy_adds():
    _, pullback = dl.vjp(lambda x: (x, x), np.array([1.0, 2.0]))
    assert pullback((np.array([3.0, 4.0]), np.array([10.0, 20.0])))[0].tolist() == [13, 24]
    assert dl.gradient(lambda x: x * 3 + x * 4)(1.0) == 7


def test_multiply_swaps():
    assert dl.vjp(lambda x, y: x * y, 3.0, -4.0)[1](np.float64(7)) == (-28, 21)


def test_max_routes():
    assert dl.vjp(np.maximum, 3.0, -4.0)[1](np.float64(7)) == (7, 0)
    assert dl.vjp(np.maximum, -5.0, -4.0)[1](np.float64(7)) == (0, 7)
    _, pullback = dl.vjp(np.max, np.array([1.0, 9.0, -3.0]))
    assert pullback(np.float64(2))[0].tolist() == [0, 2, 0]


# ---------------------------------------------------------------------------- the same graphs as problems


@pytest.mark.parametrize("backend", ["reverse", "forward"])
@pytest.mark.parametrize("name", GRAPHS)
def test_operators_agree_with_the_hand_derived_gradient(name, backend):
    one = find(name).build("tiny", "float64", 0)
    value, gradient = dl.value_and_gradient(one.loss, backend=backend)(*one.args)
    expected_value, expected = one.analytic(*one.args)
    assert value == pytest.approx(expected_value, rel=1e-14)
    assert list(gradient) == list(expected)
    for key, part in expected.items():
        np.testing.assert_allclose(gradient[key], part, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "value", "gradient"),
    [
        ("baydin", 11.652, {"x1": 5.5, "x2": 1.716}),
        ("add-mul", -12, {"x": -4, "y": -4, "z": 3}),
        ("sigmoid-neuron", 0.731, {"w0": -0.197, "w1": -0.393, "w2": 0.197, "x0": 0.393, "x1": -0.590}),
        ("scalar-net", 32, {"w1": 80, "w2": 120}),
        ("norm-squared", 0.116, {"W": [[0.088, 0.176], [0.104, 0.208]], "x": [-0.112, 0.636]}),
    ],
)
def test_problems_hold_the_numbers_of_the_lectures(name, value, gradient):
    one = find(name).build("tiny", "float64", 0)
    found_value, found = one.analytic(*one.args)
    assert found_value == pytest.approx(value, abs=5e-4)
    for key, part in gradient.items():
        np.testing.assert_allclose(found[key], part, atol=5e-4)
