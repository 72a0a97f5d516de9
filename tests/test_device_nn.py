"""Layers, special functions and users' own primitives on plain arrays of CuPy, by its stand-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np
import pytest
import scipy.special as sp
from samples import cases_of, same_bits, traced

import difflab as dl
from difflab import nn, special
from difflab.errors import InputError, UnsupportedError
from difflab.execution.device.evaluate import evaluate
from difflab.primitives.special import UFUNCS
from difflab.tape import Tape

LACKING = frozenset({"jv", "yv", "iv", "kv", "ive", "kve"})
"""Functions that CuPy has not; why is in ``test_device_primitives.py``."""


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


def grid(*shape: int) -> np.ndarray:
    return np.sin(1.3 * np.arange(1.0, 1.0 + np.prod(shape))).reshape(shape)


IMAGES, KERNEL, ROWS = grid(2, 6, 5, 4), grid(3, 2, 4, 6), grid(5, 3)
LAYERS: dict[str, list[tuple[Callable, tuple]]] = {
    "avg_pool2d": [(lambda x: nn.avg_pool2d(x, 2), (IMAGES,)), (lambda x: nn.avg_pool2d(x, (3, 2), 1, 1), (IMAGES,))],
    "batch_norm": [(nn.batch_norm, (ROWS, grid(3), grid(3))),
                   (nn.batch_norm, (ROWS, grid(3), grid(3), grid(3), grid(3) ** 2))],
    "conv2d": [(nn.conv2d, (IMAGES, KERNEL)),
               (lambda x, w: nn.conv2d(x, w, stride=(2, 1), padding="same"), (IMAGES, KERNEL)),
               (lambda x, w: nn.conv2d(x, w, dilation=2), (IMAGES, KERNEL)),
               (lambda x, w: nn.conv2d(x, w[:, :, :2], padding=1, groups=2), (IMAGES, KERNEL))],
    "conv2d_transpose": [(lambda x, w: nn.conv2d_transpose(x, w, 2, 1, 1), (IMAGES, grid(3, 2, 5, 4)))],
    "dropout": [(nn.dropout, (ROWS, grid(5, 3) > 0)), (lambda x: nn.dropout(x, 2), (ROWS,))],
    "elu": [(nn.elu, (ROWS,)), (lambda x: nn.elu(x, 0.3), (ROWS,))],
    "leaky_relu": [(nn.leaky_relu, (ROWS,))],
    "local_response_norm": [(nn.local_response_norm, (IMAGES,))],
    "logsumexp": [(nn.logsumexp, (ROWS,)), (lambda x: nn.logsumexp(x, -1, keepdims=True), (ROWS,))],
    "max_pool2d": [(lambda x: nn.max_pool2d(x, 2), (IMAGES,)), (lambda x: nn.max_pool2d(x, 3, 2, 1), (IMAGES,))],
    "maxout": [(nn.maxout, (ROWS, ROWS[::-1].copy()))],
    "relu": [(nn.relu, (ROWS,))],
    "sigmoid": [(nn.sigmoid, (ROWS,))],
    "softmax": [(nn.softmax, (ROWS,)), (lambda x: nn.softmax(x, None), (ROWS,))],
    "softmax_cross_entropy": [(nn.softmax_cross_entropy, (ROWS, np.eye(3)[[0, 2, 1, 1, 0]]))],
    "stop_gradient": [(nn.stop_gradient, (ROWS,))],
    "upsample2d": [(lambda x: nn.upsample2d(x, (2, 3)), (IMAGES,)),
                   (lambda x: nn.upsample2d(x, 2, how="bilinear"), (IMAGES,))],
}  # fmt: skip
UPLOADS = {"upsample2d": 2}
"""Arrays that a layer makes of its metadata: the two matrices of bilinear interpolation."""


def moved(cupy: Any, arrays: tuple, dtype: str = "f8") -> list[Any]:
    """The arrays on the device, floating ones in a dtype, with the counts of copies set to zero."""
    found = [cupy.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]
    cupy.STATE.copies.clear()
    return found


# ---------------------------------------------------------------------------- layers


def test_every_layer_is_tried():
    assert set(LAYERS) == {name for name in dir(nn) if callable(getattr(nn, name)) and not name.startswith("_")}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_arrays_of_the_device(name: str, dtype: str, cupy: Any):
    for layer, arrays in LAYERS[name]:
        expected = layer(*[a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays])
        value = layer(*moved(cupy, arrays, dtype))
        assert type(value) is cupy.ndarray
        assert not cupy.STATE.copies["to host"]
        assert cupy.STATE.copies["to device"] <= UPLOADS.get(name, 0)
        assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(value.held, expected, rtol=1e-12 if dtype == "f8" else 1e-5)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "sigmoid", "softmax", "max_pool2d", "batch_norm"])
def test_layers_take_integers_of_the_device(name: str, cupy: Any):
    layer, arrays = LAYERS[name][0]
    whole = tuple(np.round(9 * a).astype(int) for a in arrays)
    value = layer(*moved(cupy, whole))
    assert value.dtype == layer(*whole).dtype
    np.testing.assert_allclose(value.held, layer(*whole), rtol=1e-12)


def test_a_layer_still_says_what_it_takes(cupy: Any):
    with pytest.raises(InputError, match="takes real numbers and booleans, not an array of dtype complex128"):
        nn.relu(cupy.asarray(np.array([1j])))


# ---------------------------------------------------------------------------- special functions

X = np.array([[0.3, 1.7, 2.4], [0.9, 0.1, 3.3]])
FUNCTIONS: dict[str, list[tuple[Callable, tuple]]] = {
    "log_softmax": [(special.log_softmax, (X,)), (lambda x: special.log_softmax(x, 1), (X,))],
    "logsumexp": [(special.logsumexp, (X,)), (lambda x: special.logsumexp(x, 0, keepdims=True), (X,)),
                  (lambda x, b: special.logsumexp(x, b=b), (X, X - 0.2)),
                  (lambda x: special.logsumexp(x, b=np.array([1.0, 2.0, 0.0])), (X,)),
                  (lambda x, b: special.logsumexp(x, 1, b, return_sign=True)[1], (X, X - 2.0))],
    "multigammaln": [(lambda x: special.multigammaln(x + 2, 3), (X,))],
    "polygamma": [(lambda x: special.polygamma(2, x), (X,)), (lambda x: special.polygamma([0, 1, 3], x), (X,))],
    "softmax": [(special.softmax, (X,)), (lambda x: special.softmax(x, 0), (X,))],
    "softplus": [(special.softplus, (X,))],
    "zeta": [(lambda q: special.zeta(2.5, q), (X,)), (special.zeta, (X + 1.5, X)), (special.zeta, (X + 1.5,))],
}  # fmt: skip


def test_every_function_is_tried():
    assert set(FUNCTIONS) == set(special.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_arrays_of_the_device(name: str, cupy: Any):
    for function, arrays in FUNCTIONS[name]:
        expected = function(*arrays)
        value = function(*moved(cupy, arrays))
        assert type(value) is cupy.ndarray
        assert not cupy.STATE.copies["to host"]
        assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(value.held, expected, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in UFUNCS if not name.startswith("_")])
def test_ufuncs_of_scipy_take_arrays_of_the_device(name: str, cupy: Any):
    function = getattr(special, name)
    for case in cases_of(UFUNCS[name]):
        expected = function(*case.arrays)
        operands = moved(cupy, case.arrays)
        if name in LACKING:
            with pytest.raises(UnsupportedError, match="CuPy has no"):
                function(*operands)
            continue
        value = function(*operands)
        assert not cupy.STATE.copies
        if name == "dawsn":  # which CuPy has not
            np.testing.assert_allclose(value.held, sp.dawsn(*case.arrays), rtol=1e-14 if value.itemsize == 8 else 1e-6)
        else:
            assert same_bits(value.held, getattr(sp, name)(*case.arrays))
        assert (value.shape, value.dtype) == (expected.shape, expected.dtype)


def test_ufuncs_of_scipy_take_numbers_beside_arrays_of_the_device(cupy: Any):
    x = cupy.asarray(X.astype("f4"))
    value = special.gammainc(2, x)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value.held, sp.gammainc(2, X), rtol=1e-6)
    np.testing.assert_allclose(special.erf(cupy.asarray(np.array([0, 1]))).held, sp.erf([0.0, 1.0]))


# ---------------------------------------------------------------------------- users' own primitives

TABLE = np.array([2.0, -1.0, 0.5])


@dl.primitive
def scaled_tanh(x, factor):
    return np.tanh(x * TABLE) * factor


@scaled_tanh.vjp
def _(cotangent, out, x, factor):
    return cotangent * factor * (1 - np.tanh(x * TABLE) ** 2) * TABLE, np.sum(cotangent * np.tanh(x * TABLE))


@dl.primitive(opaque=True)
def counted(x):
    return np.cumsum(np.asarray(x))  # takes no array of the device


@counted.vjp
def _(cotangent, out, x):
    return (np.cumsum(np.asarray(cotangent)[::-1])[::-1],)


@dl.primitive
def doubled(x):
    return np.sin(x) * 2.0


def run_on_device(cupy: Any, tape: Tape, arrays: tuple) -> list[Any]:
    """A tape on the device, equation by equation."""
    values: dict[int, Any] = {n: cupy.full((), value, tape.avals[n].dtype) for n, value in tape.literals.items()}
    values.update({n: cupy.asarray(value) for n, value in tape.constants.items()})
    values.update(zip(tape.inputs, moved(cupy, arrays), strict=True))
    for equation in tape.equations:
        operands = [values[n] for n in equation.inputs]
        aval = tape.avals[equation.output]
        values[equation.output] = evaluate(cupy, equation.primitive, operands, equation.params, aval)
    return [values[n] for n in tape.outputs]


def test_a_function_of_plain_numpy_runs_on_arrays_of_the_device_as_it_is(cupy: Any):
    (x,) = moved(cupy, (ROWS,))
    assert same_bits(doubled(x).held, doubled(ROWS))
    assert not cupy.STATE.copies


@pytest.mark.parametrize("mode", ["value", "gradient", "second"])
def test_a_traced_primitive_stays_on_the_device(mode: str, cupy: Any):
    x, factor = grid(3), np.array(1.5)

    def loss(x, factor):
        return np.sum(scaled_tanh(x, factor) ** 2)

    def run(x, factor):
        if mode == "value":
            return [loss(x, factor)]
        if mode == "gradient":
            return list(dl.gradient(loss, argnums=(0, 1))(x, factor))
        return [dl.gradient(lambda x: np.sum(dl.gradient(loss)(x, factor) ** 2))(x)]

    tape = traced(run, x, factor)
    expected = tape.evaluate((x, factor))
    found = run_on_device(cupy, tape, (x, factor))
    assert not cupy.STATE.copies["to host"]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.held, other, rtol=1e-14)


def test_what_a_traced_primitive_closes_over_is_uploaded_once(cupy: Any):
    tape = traced(lambda x, factor: np.sum(scaled_tanh(x, factor)), grid(3), np.array(1.5))
    for count in (1, 0):
        run_on_device(cupy, tape, (grid(3), np.array(1.5)))
        assert cupy.STATE.copies["to device"] == count


def test_lanes_of_a_traced_primitive_stay_on_the_device(cupy: Any):
    x, factor = grid(3), np.array(1.5)
    tape = traced(lambda x, f: dl.jacobian(lambda x: scaled_tanh(x, f), backend="forward")(x), x, factor)
    (found,) = run_on_device(cupy, tape, (x, factor))
    assert not cupy.STATE.copies["to host"]
    np.testing.assert_allclose(found.held, tape.evaluate((x, factor))[0], rtol=1e-14)


def test_an_opaque_primitive_computes_on_the_host_and_comes_back(cupy: Any):
    x = grid(4)
    tape = traced(lambda x: dl.gradient(lambda x: np.sum(counted(x) ** 2))(x), x)
    (found,) = run_on_device(cupy, tape, (x,))
    assert type(found) is cupy.ndarray
    np.testing.assert_allclose(found.held, tape.evaluate((x,))[0], rtol=1e-14)
    assert cupy.STATE.copies["to host"] >= 2  # the argument, and what its rule is given


def test_metadata_may_not_be_an_array_of_the_device(cupy: Any):
    @dl.primitive
    def powered(x, *, power):
        return x**power

    with pytest.raises(dl.errors.TraceError, match="`power` is metadata and was given an array"):
        traced(lambda x: powered(x, power=cupy.asarray(np.ones(2))), grid(2))
