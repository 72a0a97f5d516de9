"""The problems that ship with the package: their data, their sizes, and the gradients derived by hand."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

import difflab as dl
from difflab.data import digits
from difflab.errors import InputError
from difflab.problems import PROBLEMS, convolutional, find
from difflab.problems.digits import cross_entropy

# tiny and small of every problem; medium of the digits too, because only there does the CNN have a second block
CASES = [
    (problem.name, size)
    for problem in PROBLEMS.values()
    for size in problem.sizes
    if size in ("tiny", "small") or (size == "medium" and problem.name.startswith("digits"))
]
# inputs x hidden + hidden, ..., counted by hand
N_PARAMS = {
    "digits-mlp": [51 + 12, 520 + 90, 2080 + 330, 8320 + 1290, 33280 + 262656 + 5130],
    "digits-cnn": [20 + 27, 40 + 650, 80 + 1168 + 650, 320 + 18496 + 2570, 1280 + 295168 + 10250],
    "mlp": [42, 42, 3466, 5050 + 2550 + 510, 17610, 269322, 1863690, 1863690, 3 * 4096 * 4097],
    "cnn": [
        20 + 57 + 12,
        80 + 1168 + 650,
        80 + 1168 + 2570,
        612 + 7224 + 6010,
        416 + 12832 + 15690,
        896 + 18496 + 40970,
        896 + 18496 + 64010,
    ],
    "baydin": [2],
    "add-mul": [3],
    "sigmoid-neuron": [5],
    "scalar-net": [2],
    "norm-squared": [6],
    "two-layer": [15, 320],
    "least-squares": [3, 3, 8, 8, 64, 1024, 1024],
    "logistic": [4, 4, 9, 9, 65, 1025, 1025],
    "hinge": [12, 12, 27, 27, 195, 3075, 3075],
    "plane": [6, 6, 6, 6, *[60 + 42] * 3],
    "deep-mlp": [9 + 12 * (depth - 1) + 4 for depth in (1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128)],
    "wide-mlp": [3 * width + (width + 1) * width + width + 1 for width in (2, 3, 4, 6, 8, 12, 16, 32, 96)],
    "deep-layers": [3 * (9 + 3), *[2**k * (256 + 16) for k in range(2, 13)]],
    "xor-corners": [12 + 15 + 4],
    "xor": [12 + 15 + 4],
    "sigmoid-net": [12 + 15 + 4, 1024 + 33, 4160 + 65, 16512 + 129, 100152 + 313],
    "two-layer-numpy": [15 + 6, 128 + 32, 2000 + 200, 20000 + 500, 100000 + 1000],
    "mlp-activations": [12 + 8] * 5 + [24 + 8] + [2080 + 330] * 5 + [4160 + 330],
    "toeplitz-cnn": [6 + 4, 6 + 12, 10 + 56, 10 + 248, 10 + 1016],
    "toeplitz-matrices": [6 + 4, 6 + 12, 10 + 56, 10 + 248, 10 + 1016],
    "inpainting": [99 + 64, 2064 + 1088, 8256 + 4160, 33024 + 65792 + 16448],
    "alexnet": [337, 4426, 60_965_224, 60_965_224],
}
MODULES = (
    "activations alexnet cnn convolutional deep deep_chain digits_mlp graphs inpainting "
    "layers linear plane record sigmoid_nets toeplitz"
)
RELATIVE = {"float32": 2e-6, "float64": 1e-14}


def second_size(name: str) -> str:
    return list(find(name).sizes)[1]


def norm(tree) -> float:
    return sum(float(np.sum(np.square(leaf, dtype=np.float64))) for leaf in tree.values()) ** 0.5


def directional(loss, params, data, direction, step):
    """A central difference of the loss along ``direction``."""
    ahead = loss({key: params[key] + step * direction[key] for key in params}, *data)
    behind = loss({key: params[key] - step * direction[key] for key in params}, *data)
    return (ahead - behind) / (2 * step)


def assert_gradient(one, args, seed):
    """The analytic gradient agrees with the loss along three random directions of length 1."""
    params, *data = args
    gradient = one.analytic(*args)[1]
    rng = np.random.default_rng(seed)
    for _ in range(3):
        direction = {key: rng.standard_normal(value.shape) for key, value in params.items()}
        length = norm(direction)
        direction = {key: value / length for key, value in direction.items()}
        expected = directional(one.loss, params, data, direction, 1e-5)
        found = sum(np.vdot(gradient[key], direction[key]) for key in params)
        assert abs(found - expected) <= 1e-8 * (norm(gradient) + 1e-2)


# ---------------------------------------------------------------------------- the data


def test_digits_are_the_real_ones():
    images, labels = digits()
    assert (images.shape, images.dtype) == ((1797, 8, 8), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (int(images.min()), int(images.max()), int(images.sum())) == (0, 16, 561718)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert labels[:10].tolist() == list(range(10))


def test_digits_are_read_once_and_cannot_be_changed():
    images, labels = digits()
    assert digits()[0] is images
    for array in (images, labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_tiny_digits_are_the_centres_of_0_1_and_2():
    _, x, targets = find("digits-mlp").build("tiny", "float64", 0).args
    images, labels = digits()
    assert targets.sum(axis=1).tolist() == [1.0] * 4
    for row, label in zip(x, targets.argmax(axis=1), strict=True):
        same = (images[:, 2:6, 2:6].reshape(-1, 16) / 16 == row).all(axis=1)
        assert label in labels[same]


def test_both_digits_problems_see_the_same_images():
    for size in ("tiny", "small", "medium"):
        (_, rows, left), (_, maps, right) = (
            find(name).build(size, "float64", 5).args for name in ("digits-mlp", "digits-cnn")
        )
        assert maps.shape[3] == 1
        np.testing.assert_array_equal(rows, maps.reshape(rows.shape))
        np.testing.assert_array_equal(left, right)
        assert rows.min() >= 0.0
        assert rows.max() <= 1.0


def test_example_of_the_digits_runs():
    assert doctest.testmod(importlib.import_module("difflab.data")) == (0, 2)


# ---------------------------------------------------------------------------- the registry


def test_registry_names_its_problems():
    assert set(PROBLEMS) == set(N_PARAMS)
    for name, problem in PROBLEMS.items():
        assert problem.name == name
        assert find(name) is problem
        assert next(iter(problem.sizes)) == "tiny"
        assert problem.title
        assert problem.description.endswith(".")


@pytest.mark.parametrize("name", PROBLEMS)
def test_n_params_counts_the_parameters(name):
    problem = find(name)
    counts = []
    for size in problem.sizes:
        instance = problem.build(size, "float32", 0)
        assert instance.n_params == sum(value.size for value in instance.args[0].values())
        assert instance.n_params == problem.count(size)
        counts.append(instance.n_params)
    assert counts == N_PARAMS[name]
    assert counts == sorted(counts)


def test_unknown_problem_size_dtype_and_seed_are_errors():
    with pytest.raises(InputError, match=r"there is no problem 'digits-mpl' \(did you mean 'digits-mlp'\?\)"):
        find("digits-mpl")
    build = find("digits-mlp").build
    with pytest.raises(InputError, match=r"problem 'digits-mlp' has no size 'smal' \(did you mean 'small'\?\)"):
        build("smal", "float64", 0)
    with pytest.raises(InputError, match=r"problem 'alexnet' has no size 'ful' \(did you mean 'full'\?\)"):
        find("alexnet").count("ful")
    with pytest.raises(InputError, match="cannot be built in dtype 'int8'; use 'float16', 'float32' or 'float64'"):
        build("tiny", "int8", 0)
    for seed in (-1, 0.5, True):
        with pytest.raises(InputError, match=f"needs a non-negative whole number as seed, got {seed!r}"):
            build("tiny", "float64", seed)  # type: ignore[arg-type] (a fault on purpose)


@pytest.mark.parametrize("module", ["", *[f".{name}" for name in MODULES.split()]])
def test_examples_in_docstrings_run(module):
    failed, tried = doctest.testmod(importlib.import_module(f"difflab.problems{module}"))
    assert tried > 0
    assert failed == 0


def test_sizes_cannot_be_changed():
    with pytest.raises(TypeError):
        PROBLEMS["digits-mlp"].sizes["tiny"]["batch"] = 8  # type: ignore[index] (a fault on purpose)


# ---------------------------------------------------------------------------- instances


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_arrays_have_the_dtype_and_gradients_the_shapes(name, size, dtype):
    one = find(name).build(size, dtype, 0)
    params, *data = one.args
    for array in (*params.values(), *data):
        assert isinstance(array, np.ndarray)
        assert array.dtype == dtype
        array.flags.writeable = False  # nobody may write to the arguments
    value, gradient = one.analytic(*one.args)
    assert value.dtype == dtype
    assert value.shape == ()
    assert list(gradient) == list(params)
    for key, part in gradient.items():
        assert (part.shape, part.dtype) == (params[key].shape, np.dtype(dtype))
        assert not np.shares_memory(part, params[key])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_analytic_value_is_the_loss(name, size, dtype):
    one = find(name).build(size, dtype, 3)
    expected = one.loss(*one.args)
    assert np.shape(expected) == ()
    assert np.asarray(expected).dtype == dtype
    assert one.analytic(*one.args)[0] == pytest.approx(expected, rel=RELATIVE[dtype])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_analytic_gradient_is_the_slope_of_the_loss(name, size, seed):
    one = find(name).build(size, "float64", seed)
    assert_gradient(one, one.args, seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_reverse_mode_gives_the_analytic_gradient(name, size, dtype):
    one = find(name).build(size, dtype, 0)
    params, *data = one.args
    if name.startswith("digits"):  # with one-hot rows and a batch of 2^k both are exact to the bit too easily
        data[1] = data[1] * data[1].dtype.type(1.7) + data[1].dtype.type(0.1)
    value, gradient = dl.value_and_gradient(one.loss)(params, *data)
    expected_value, expected = one.analytic(params, *data)
    assert value == pytest.approx(expected_value, rel=RELATIVE[dtype])
    assert norm({key: expected[key] - gradient[key] for key in expected}) <= RELATIVE[dtype] * norm(expected)
    assert all(gradient[key].dtype == dtype for key in expected)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_float32_gradient_is_that_of_the_rounded_point(name, size):
    one = find(name).build(size, "float32", 0)
    params, *data = one.args
    wide = ({key: value.astype(np.float64) for key, value in params.items()}, *[a.astype(np.float64) for a in data])
    exact = one.analytic(*wide)[1]
    rounded = one.analytic(*one.args)[1]
    assert norm({key: exact[key] - rounded[key] for key in exact}) <= RELATIVE["float32"] * norm(exact)


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
@pytest.mark.parametrize("size", ["tiny", "small", "medium"])
def test_target_rows_need_not_sum_to_one(name, size):
    one = find(name).build(size, "float64", 0)
    params, x, targets = one.args
    rng = np.random.default_rng(7)
    args = (params, x, targets * rng.uniform(0.5, 2.0, (len(x), 1)) + rng.uniform(-0.1, 0.3, targets.shape))
    assert one.analytic(*args)[0] == pytest.approx(one.loss(*args), rel=1e-13)
    assert_gradient(one, args, 7)


def test_cross_entropy_of_large_logits_does_not_overflow():
    value, slope = cross_entropy(np.array([[1000.0, 0.0], [0.0, -1000.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert value == 500.0
    assert slope.tolist() == [[0.5, -0.5], [0.0, 0.0]]


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_no_bias_is_zero(name):
    for size in find(name).sizes:
        params = find(name).build(size, "float32", 0).args[0]
        biases = [value for key, value in params.items() if key.startswith("b")]
        assert 2 * len(biases) == len(params)
        assert all(np.all(value != 0) for value in biases)


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn", "mlp", "two-layer"])
def test_seed_alone_decides(name):
    state = str(np.random.get_state())  # noqa: NPY002  (this is the state that must not be used)
    first, again, other = (find(name).build(second_size(name), "float64", seed) for seed in (4, 4, 5))
    assert str(np.random.get_state()) == state  # noqa: NPY002
    for key, value in first.args[0].items():
        np.testing.assert_array_equal(value, again.args[0][key])
        assert value is not again.args[0][key]
        assert not np.any(value == other.args[0][key])
    np.testing.assert_array_equal(first.args[1], again.args[1])
    assert np.any(first.args[1] != other.args[1])


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn", "two-layer"])
def test_float32_is_the_rounded_float64(name):
    narrow, wide = (find(name).build("small", dtype, 0) for dtype in ("float32", "float64"))
    for key, value in wide.args[0].items():
        np.testing.assert_array_equal(narrow.args[0][key], value.astype(np.float32))


# ---------------------------------------------------------------------------- pooling and patches by hand


def test_tied_windows_route_to_the_first_element():
    windows = np.array([[5.0, 5, 1, 7], [5, 5, 7, 7], [0, 2, 3, 3], [2, 2, 4, 3]])
    z = windows[None, :, :, None]
    top = convolutional.pool(z)
    assert top[0, :, :, 0].tolist() == [[5, 7], [2, 4]]
    g = np.array([[10.0, 20], [30, 40]])[None, :, :, None]
    dz = convolutional.route(g, z, top)[0, :, :, 0]
    assert dz.tolist() == [[10, 0, 0, 20], [0, 0, 0, 0], [0, 30, 0, 0], [0, 0, 40, 0]]


def test_every_window_hands_on_its_whole_cotangent_once():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 3, (5, 6, 8, 3)).astype(np.float64)  # few different values: most windows tie
    g = rng.standard_normal((5, 3, 4, 3))
    dz = convolutional.route(g, z, convolutional.pool(z))
    windows = dz.reshape(5, 3, 2, 4, 2, 3)
    np.testing.assert_array_equal(windows.sum(axis=(2, 4)), g)
    assert np.all(np.count_nonzero(windows, axis=(2, 4)) == 1)
    first = z.reshape(5, 3, 2, 4, 2, 3).transpose(0, 1, 3, 5, 2, 4).reshape(5, 3, 4, 3, 4).argmax(axis=-1)
    found = (windows != 0).transpose(0, 1, 3, 5, 2, 4).reshape(5, 3, 4, 3, 4).argmax(axis=-1)
    np.testing.assert_array_equal(found, first)


def test_real_digits_have_tied_windows():
    one = find("digits-cnn").build("medium", "float64", 0)
    params, x, _ = one.args
    z = convolutional.im2col(x, 3) @ params["k1"].reshape(9, -1) + params["b1"]
    windows = np.maximum(z, 0).reshape(64, 4, 2, 4, 2, 8)
    ties = (windows == windows.max(axis=(2, 4), keepdims=True)).sum(axis=(2, 4)) > 1
    assert 0.01 < np.mean(ties) < 0.9


@pytest.mark.parametrize("size", [1, 3, 5])
def test_adding_patches_is_the_transpose_of_taking_them(size):
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, 6, 4, 3))
    patches = convolutional.im2col(x, size)
    assert patches.shape == (2 * 6 * 4, size * size * 3)
    g = rng.standard_normal(patches.shape)
    back = convolutional.col2im(g, x.shape, size)
    assert np.vdot(g, patches) == pytest.approx(np.vdot(back, x), rel=1e-13)
    middle = patches.reshape(2, 6, 4, size, size, 3)[:, :, :, size // 2, size // 2]
    np.testing.assert_array_equal(middle, x)
