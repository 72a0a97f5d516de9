"""The lectures' losses and layers as problems: gradients by hand against reverse mode, balls and the formulas shown."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.harness.certify import certified
from difflab.problems import find
from difflab.problems.activations import ACTIVATIONS, network, network_by_hand
from difflab.problems.sigmoid_nets import LABELS, POINTS
from difflab.problems.toeplitz import toeplitz

TOEPLITZ = ["toeplitz-cnn", "toeplitz-matrices"]
NAMES = ["least-squares", "logistic", "hinge", "xor", "two-layer-numpy", "mlp-activations", "inpainting", *TOEPLITZ]
CASES = [(name, size) for name in NAMES for size in find(name).sizes]
RELU = (*TOEPLITZ, "inpainting")
LONG = ("large", "xlarge", "full", "large-l2")  # sizes that are slow in float16, and that lose more of its digits
LINEAR = ["least-squares", "logistic", "hinge"]
RELATIVE = {"float16": 0.02, "float32": 2e-5, "float64": 1e-13}


def assert_close(found, expected, relative):
    """All arrays together, norm-wise: a small array next to a large one may lose digits."""
    assert list(found) == list(expected)
    wide = [np.concatenate([np.ravel(tree[key]).astype(np.float64) for key in expected]) for tree in (found, expected)]
    assert np.linalg.norm(wide[0] - wide[1]) <= relative * np.linalg.norm(wide[1])
    assert np.linalg.norm(wide[1]) > 0


def after(one, rate, steps):
    """The loss before and after gradient descent by the gradient derived by hand."""
    params, *data = one.args
    first = one.analytic(params, *data)[0]
    for _ in range(steps):
        gradient = one.analytic(params, *data)[1]
        params = {key: params[key] - rate * gradient[key] for key in params}
    return float(first), float(one.loss(params, *data))


# ---------------------------------------------------------------------------- every problem


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_reverse_mode_agrees_at_every_size(name, size, dtype):
    one = find(name).build(size, dtype, 1)
    value, gradient = dl.value_and_gradient(one.loss)(*one.args)
    expected_value, expected = one.analytic(*one.args)
    assert value == pytest.approx(float(expected_value), rel=RELATIVE[dtype])
    assert_close(gradient, expected, RELATIVE[dtype])


@pytest.mark.parametrize(("name", "size"), [case for case in CASES if case[1] not in LONG])
def test_float16_agrees_with_float64_at_the_rounded_point(name, size):
    one = find(name).build(size, "float16", 0)
    params, *data = one.args
    wide = {key: value.astype(np.float64) for key, value in params.items()}
    expected = one.analytic(wide, *[array.astype(np.float64) for array in data])[1]
    assert_close(one.analytic(*one.args)[1], expected, RELATIVE["float16"])
    assert_close(dl.gradient(one.loss)(*one.args), expected, RELATIVE["float16"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "size"), [case for case in CASES if case[1].startswith("tiny")])
def test_gradient_by_hand_is_the_certified_one(name, size, seed):
    one = find(name).build(size, "float64", seed)
    params, *data = one.args
    leaves = [*params.values(), *data]

    def flat(*arrays):
        return one.loss(dict(zip(params, arrays, strict=False)), *arrays[len(params) :])

    found = certified(dl.trace(flat, *leaves).tape, leaves, tuple(range(len(params))))
    assert found.certified_text == "yes"
    if size != "tiny-relu" and name not in RELU:  # its rule takes the sign of its value, often 0 itself
        assert found.ties == 0
    value, gradient = one.analytic(*one.args)
    assert value == pytest.approx(found.value, rel=1e-14)
    assert_close(gradient, dict(zip(params, found.high, strict=True)), 1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_biases_start_random_and_not_at_zero(name):
    for size in find(name).sizes:
        params = find(name).build(size, "float64", 0).args[0]
        for key in params:
            if key[0] in "bc":
                assert np.all(params[key] != 0)
                assert len(np.unique(params[key])) == params[key].size


# ---------------------------------------------------------------------------- linear scores


def test_least_squares_is_the_formula_and_vanishes_at_the_solution():
    one = find("least-squares").build("small", "float64", 0)
    params, x, y, l2 = one.args
    assert l2 == 0
    w = params["w"]
    expected = 2 / len(x) * x.T @ (x @ w - y)
    np.testing.assert_allclose(one.analytic(*one.args)[1]["w"], expected, rtol=1e-13)
    solution = {"w": np.linalg.lstsq(x, y, rcond=None)[0]}
    value, gradient = one.analytic(solution, x, y, l2)
    assert np.linalg.norm(gradient["w"]) < 1e-14
    assert value < one.loss(*one.args)


def test_regularised_least_squares_is_solved_by_the_normal_equations():
    one = find("least-squares").build("small-l2", "float64", 0)
    _, x, y, l2 = one.args
    n, d = x.shape
    solution = {"w": np.linalg.solve(x.T @ x + n * l2 * np.eye(d), x.T @ y)}
    assert np.linalg.norm(one.analytic(solution, x, y, l2)[1]["w"]) < 1e-14


def test_logistic_is_the_formula():
    one = find("logistic").build("small", "float64", 0)
    params, x, y, _ = one.args
    assert set(y) == {-1.0, 1.0}
    f = x @ params["w"] + params["b"]
    value, gradient = one.analytic(*one.args)
    assert value == pytest.approx(np.mean(np.log(1 + np.exp(-y * f))), rel=1e-14)
    slopes = -y / (1 + np.exp(y * f)) / len(x)
    np.testing.assert_allclose(gradient["w"], slopes @ x, rtol=1e-12)
    assert gradient["b"] == pytest.approx(slopes.sum(), rel=1e-12)


def test_logistic_of_large_scores_does_not_overflow():
    one = find("logistic").build("tiny", "float64", 0)
    params, x, y, l2 = one.args
    params = {"w": params["w"] * -1e4, "b": params["b"]}  # certain of the wrong labels
    value, gradient = one.analytic(params, x, y, l2)
    assert value == pytest.approx(one.loss(params, x, y, l2), rel=1e-14)
    assert value > 100
    assert_close(dl.gradient(one.loss)(params, x, y, l2), gradient, 1e-14)


def test_hinge_of_three_classes_by_loops():
    one = find("hinge").build("small", "float64", 0)
    params, x, t, l2 = one.args
    total, dw = 0.0, np.zeros_like(params["w"])
    for row, label in zip(x, t.argmax(axis=1), strict=True):
        scores = row @ params["w"] + params["b"]
        for j in set(range(3)) - {int(label)}:
            margin = scores[j] - scores[label] + 1
            if margin > 0:
                total += margin
                dw[:, j] += row
                dw[:, label] -= row
    value, gradient = one.analytic(params, x, t, l2)
    assert value == pytest.approx(total / len(x), rel=1e-13)
    np.testing.assert_allclose(gradient["w"], dw / len(x), atol=1e-14)


@pytest.mark.parametrize("name", LINEAR)
def test_penalty_adds_its_own_gradient_and_spares_the_bias(name):
    plain, penalised = (find(name).build(size, "float64", 0) for size in ("tiny", "tiny-l2"))
    params = plain.args[0]
    np.testing.assert_array_equal(params["w"], penalised.args[0]["w"])
    assert (float(plain.args[-1]), float(penalised.args[-1])) == (0.0, 0.1)
    left, right = plain.analytic(*plain.args), penalised.analytic(*penalised.args)
    assert right[0] - left[0] == pytest.approx(0.1 * np.sum(params["w"] ** 2), rel=1e-12)
    np.testing.assert_allclose(right[1]["w"] - left[1]["w"], 0.2 * params["w"], rtol=1e-12)
    if "b" in params:
        np.testing.assert_array_equal(right[1]["b"], left[1]["b"])


def test_penalties_of_the_lectures_are_there():
    found = {dimensions["l2_thousandths"] for dimensions in find("logistic").sizes.values()}
    assert found == {0, 1, 10, 100}  # lambda = 0.001, 0.01, 0.1


@pytest.mark.parametrize("name", LINEAR)
def test_gradient_descent_lowers_the_loss(name):
    first, last = after(find(name).build("small", "float64", 0), 0.1, 200)
    assert last < 0.25 * first


# ---------------------------------------------------------------------------- sigmoid networks


def test_xor_has_eight_points_that_no_line_parts():
    _, x, y = find("xor").build("tiny", "float64", 0).args
    assert (x.shape, y.shape) == ((8, 2), (8, 1))
    assert x.tolist() == [list(point) for point in POINTS]
    assert y[:, 0].tolist() == list(LABELS)
    exclusive = (x[:, 0] > 0.5) != (x[:, 1] > 0.5)
    np.testing.assert_array_equal(exclusive, y[:, 0] == 1)
    ones, zeros = x[y[:, 0] == 1], x[y[:, 0] == 0]
    np.testing.assert_array_equal(ones.mean(axis=0), zeros.mean(axis=0))  # equal centres cannot be parted


def test_xor_deltas_are_the_slopes_of_the_scores():
    """Delta_l is the derivative with respect to A_l: reverse mode finds it as that of a shift of A_l."""
    params, x, y = find("xor").build("tiny", "float64", 0).args
    o = [x]
    for layer in (1, 2, 3):
        o.append(1 / (1 + np.exp(-(o[-1] @ params[f"w{layer}"] + params[f"b{layer}"]))))
    slopes = [part * (1 - part) for part in o]
    deltas = {3: slopes[3] * 2 * (o[3] - y)}
    for layer in (2, 1):
        deltas[layer] = slopes[layer] * (deltas[layer + 1] @ params[f"w{layer + 1}"].T)

    def shifted(shifts):
        h = x
        for layer in (1, 2, 3):
            h = dl.nn.sigmoid(h @ params[f"w{layer}"] + params[f"b{layer}"] + shifts[layer])
        return np.sum((h - y) ** 2)

    found = dl.gradient(shifted)({layer: np.zeros((8, width)) for layer, width in ((1, 4), (2, 3), (3, 1))})
    one = find("xor").build("tiny", "float64", 0)
    gradient = one.analytic(*one.args)[1]
    for layer, delta in deltas.items():
        np.testing.assert_allclose(found[layer], delta, rtol=1e-12)
        np.testing.assert_allclose(gradient[f"w{layer}"], o[layer - 1].T @ delta, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(gradient[f"b{layer}"], delta.T @ np.ones(8), rtol=1e-12, atol=1e-15)


def test_xor_is_learned_by_batch_gradient_descent():
    first, last = after(find("xor").build("tiny", "float64", 0), 1.0, 5000)
    assert first > 2
    assert last < 1e-3


def test_two_layer_numpy_is_the_program_of_the_lectures():
    problem = find("two-layer-numpy")
    assert dict(problem.sizes["full"]) == {"batch": 64, "inputs": 1000, "hidden": 100, "outputs": 10}
    one = problem.build("full", "float64", 0)
    params, x, y = one.args
    assert (x.shape, y.shape) == ((64, 1000), (64, 10))
    h = 1 / (1 + np.exp(-x @ params["w1"]))
    error = h @ params["w2"] - y
    value, gradient = one.analytic(*one.args)
    assert value == pytest.approx(np.square(error).sum(), rel=1e-12)
    expected = {"w1": x.T @ (2 * error @ params["w2"].T * h * (1 - h)), "w2": h.T @ (2 * error)}
    assert_close(gradient, expected, 1e-13)


@pytest.mark.long
def test_two_layer_numpy_is_learned_in_the_steps_of_the_lectures():
    first, last = after(find("two-layer-numpy").build("full", "float64", 0), 1e-4, 2000)
    assert first > 1e4
    assert last < 1e-3 * first


# ---------------------------------------------------------------------------- activations


@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("sigmoid", [1 / (1 + np.e), 0.5, np.e**2 / (1 + np.e**2)], [0.19661193324148185, 0.25, 0.10499358540350662]),
        ("tanh", [-0.7615941559557649, 0, 0.9640275800758169], [0.41997434161402614, 1, 0.07065082485316443]),
        ("relu", [0, 0, 2], [0, 0, 1]),
        ("leaky-relu", [-0.1, 0, 2], [0.1, 0.1, 1]),
        ("elu", [1 / np.e - 1, 0, 2], [1 / np.e, 1, 1]),
    ],
)
def test_activations_and_their_slopes_at_minus_one_zero_and_two(name, values, slopes):
    z = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(ACTIVATIONS[name].function(z), values, rtol=1e-14)
    for part, expected in zip(ACTIVATIONS[name].by_hand(z), (values, slopes), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-14)
    found = dl.gradient(lambda z: np.sum(ACTIVATIONS[name].function(z)))(z)
    np.testing.assert_allclose(found, slopes, rtol=1e-14)


def test_every_activation_of_the_lectures_has_a_size_of_its_name():
    sizes = find("mlp-activations").sizes
    full = [name for name in sizes if not name.startswith("tiny")]
    assert full == ["sigmoid", "tanh", "relu", "leaky-relu", "elu", "maxout"]
    assert list(sizes) == ["tiny", *[f"tiny-{name}" for name in full[1:]], *full]
    losses = {float(find("mlp-activations").build(name, "float64", 0).loss(*one)) for name, one in _points(full)}
    assert len(losses) == len(full)


def _points(names):
    for name in names:
        yield name, find("mlp-activations").build(name, "float64", 0).args


def test_maxout_of_a_map_and_zero_is_relu():
    one = find("mlp-activations").build("maxout", "float64", 0)
    params, x, t = one.args
    params = {**params, "v1": np.zeros_like(params["v1"]), "c1": np.zeros_like(params["c1"])}
    plain = {key: params[key] for key in ("w1", "b1", "w2", "b2")}
    relu = ACTIVATIONS["relu"]
    assert one.loss(params, x, t) == network(relu.function)(plain, x, t)
    found, expected = one.analytic(params, x, t)[1], network_by_hand(relu.by_hand)(plain, x, t)[1]
    assert_close({key: found[key] for key in expected}, expected, 1e-15)


def test_maxout_of_equal_maps_gives_half_to_each():
    one = find("mlp-activations").build("tiny-maxout", "float64", 0)
    params, x, t = one.args
    params = {**params, "v1": params["w1"], "c1": params["b1"]}
    gradient = one.analytic(params, x, t)[1]
    np.testing.assert_array_equal(gradient["w1"], gradient["v1"])
    np.testing.assert_array_equal(gradient["b1"], gradient["c1"])
    assert_close(dl.gradient(one.loss)(params, x, t), gradient, 1e-14)


def test_huge_scores_leave_sigmoid_and_elu_finite():
    z = np.array([-1e4, 1e4])
    assert ACTIVATIONS["sigmoid"].by_hand(z)[0].tolist() == [0, 1]
    assert [part.tolist() for part in ACTIVATIONS["elu"].by_hand(z)] == [[-1, 1e4], [0, 1]]


# ---------------------------------------------------------------------------- the same network twice


def test_toeplitz_matrix_is_banded_and_convolves():
    kernel = np.array([2.0, -1.0, 3.0])
    matrix = toeplitz(kernel, 5)
    assert matrix.tolist() == [[2, -1, 3, 0, 0], [0, 2, -1, 3, 0], [0, 0, 2, -1, 3]]
    x = np.arange(5.0) ** 2
    np.testing.assert_array_equal(matrix @ x, np.correlate(x, kernel, "valid"))


@pytest.mark.parametrize("size", ["tiny", "small", "medium", "large", "xlarge"])
def test_convolutions_and_matrices_have_equal_values_and_gradients(size):
    left, right = (find(name).build(size, "float64", 2) for name in TOEPLITZ)
    for key, value in left.args[0].items():
        np.testing.assert_array_equal(value, right.args[0][key])
    for first, second in zip(left.args[1:], right.args[1:], strict=True):
        np.testing.assert_array_equal(first, second)
    assert left.loss(*left.args) == pytest.approx(float(right.loss(*right.args)), rel=1e-14)
    assert_close(left.analytic(*left.args)[1], right.analytic(*right.args)[1], 1e-13)
    assert_close(dl.gradient(left.loss)(*left.args), dl.gradient(right.loss)(*right.args), 1e-13)


def test_matrices_cost_the_square_of_what_convolutions_cost():
    """Entries of the largest array of a gradient, as signals get four times as long."""
    entries = {}
    for name in TOEPLITZ:
        for size in ("large", "xlarge"):
            one = find(name).build(size, "float64", 0)
            tape = dl.trace(dl.gradient(one.loss), *one.args).tape
            entries[name, size] = max(aval.size for aval in tape.avals)
    assert entries["toeplitz-cnn", "xlarge"] < 4.2 * entries["toeplitz-cnn", "large"]
    assert entries["toeplitz-matrices", "xlarge"] > 15 * entries["toeplitz-matrices", "large"]


@pytest.mark.parametrize("name", TOEPLITZ)
def test_scores_below_zero_hand_nothing_on(name):
    one = find(name).build("small", "float64", 0)
    params, x, y = one.args
    mixed = {**params, "w3": np.where(np.arange(params["w3"].size) % 2, 1.0, -1.0) * params["w3"]}
    assert_close(dl.gradient(one.loss)(mixed, x, y), one.analytic(mixed, x, y)[1], 1e-13)
    alone = [one.analytic(mixed, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    dead = [all(not np.any(part) for part in gradient.values()) for _, gradient in alone]
    assert 0 < sum(dead) < len(x)
    assert all(value == np.log(2) for (value, _), none in zip(alone, dead, strict=True) if none)
