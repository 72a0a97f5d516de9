"""CuPy's arrays in, CuPy's arrays out: every operator, containers, numbers, nesting, prepared calls, and faults."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from threading import Thread
from typing import Any

import cupy_double
import numpy as np
import pytest
from device_checks import Copies, assert_same, data, layer, loss, parameters, there, vector_like

import difflab as dl
from difflab.errors import ForecastError, InputError, TraceError

Point = namedtuple("Point", "x y")
OPERATORS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "gradient": lambda p, x, y: dl.gradient(loss)(p, x, y),
    "gradient of two": lambda p, x, y: dl.gradient(loss, argnums=(1, 0))(p, x, y),
    "gradient by keyword": lambda p, x, y: dl.gradient(loss)(p, x=x, y=y),
    "value_and_gradient": lambda p, x, y: dl.value_and_gradient(loss)(p, x, y),
    "jvp": lambda p, x, y: dl.jvp(layer, (p, x), (vector_like(p), vector_like(x))),
    "vjp": lambda p, x, y: pulled(dl.vjp(layer, p, x)),
    "jacobian": lambda p, x, y: dl.jacobian(layer)(p, x),
    "jacobian of two": lambda p, x, y: dl.jacobian(layer, argnums=(0, 1))(p, x),
    "jacobian, denominator": lambda p, x, y: dl.jacobian(layer, layout="denominator")(p, x),
    "hessian": lambda p, x, y: dl.hessian(loss)(p, x, y),
    "hvp": lambda p, x, y: dl.hvp(loss)(p, x, y, vector_like(p)),
}
METHODS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "value": lambda prepared, p, x, y: prepared.value(p, x, y),
    "gradient": lambda prepared, p, x, y: prepared.gradient(p, x, y),
    "value_and_gradient": lambda prepared, p, x, y: prepared.value_and_gradient(p, x, y),
    "jvp": lambda prepared, p, x, y: prepared.jvp((p, x, y), (vector_like(p),)),
    "vjp": lambda prepared, p, x, y: pulled(prepared.vjp(p, x, y)),
    "jacobian": lambda prepared, p, x, y: prepared.jacobian(p, x, y),
    "hessian": lambda prepared, p, x, y: prepared.hessian(p, x, y),
    "hvp": lambda prepared, p, x, y: prepared.hvp(p, x, y, vector_like(p)),
}


def pulled(both: tuple[Any, Callable]) -> tuple[Any, Any]:
    value, pullback = both
    return value, pullback(value)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


# ------------------------------------------------------------------------------- operators


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_stays_on_the_device(name: str, dtype: str, cupy: Any) -> None:
    call = OPERATORS[name]
    host = (parameters(dtype), *data(dtype))
    wanted, device = call(*host), there(host)
    found, to_host, _ = Copies(cupy).of(lambda: call(*device))
    assert to_host == 0
    assert_same(found, wanted, 1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_prepared_method_copies_nothing(name: str, cupy: Any) -> None:
    run = METHODS[name]
    host = (parameters(), *data())
    first, then = there(host), there(tuple(map(vector_like, host)))
    prepared = dl.prepare(loss, *first)
    run(prepared, *first)
    found, to_host, to_device = Copies(cupy).of(lambda: run(prepared, *then))
    assert (to_host, to_device) == (0, 0)
    assert_same(found, run(dl.prepare(loss, *host), *map(vector_like, host)))
    assert prepared.stats["traces"] == 1
    assert prepared.stats["device"] == "gpu"


def test_complex_variables_have_complex_gradients(cupy: Any) -> None:
    def power(z: Any) -> Any:
        return np.sum(np.abs(z * z - 1.0) ** 2)

    z = np.array([1.0 + 2.0j, -0.5j])
    assert_same(dl.gradient(power)(cupy.asarray(z)), dl.gradient(power)(z))
    narrow = z.astype(np.complex64)
    assert_same(dl.gradient(power)(cupy.asarray(narrow)), dl.gradient(power)(narrow), 1e-5)


def test_containers_come_back_as_they_went_in(cupy: Any) -> None:
    def total(tree: Any) -> Any:
        return np.sum(tree["a"][0] * tree["a"][1].x) + np.sum(tree["a"][1].y ** 3)

    tree = {"a": [np.ones(3), Point(np.arange(3.0), np.full((2, 2), 0.5))]}
    found = dl.gradient(total)(there(tree))
    assert type(found["a"][1]) is Point
    assert_same(found, dl.gradient(total)(tree))


def test_results_are_nobodys_arguments_and_nobodys_buffers(cupy: Any) -> None:
    x = cupy.asarray(np.ones(3))
    prepared = dl.prepare(lambda x: np.sum(x), x)
    first, second = prepared.gradient(x), prepared.gradient(x)
    first[...] = 5.0
    np.testing.assert_array_equal(second.held, 1.0)
    value, tangent = dl.jvp(lambda x: x, (x,), (x,))
    value[...] = 7.0
    tangent[...] = 7.0
    np.testing.assert_array_equal(x.held, 1.0)
    _, pullback = dl.vjp(lambda x: x * x, x)
    x[...] = 10.0  # the pullback keeps what it needs
    (found,) = pullback(cupy.asarray(np.ones(3)))
    np.testing.assert_array_equal(found.held, 2.0)


# ------------------------------------------------------------------------------- numbers


def test_numbers_go_with_device_arrays_and_copy_nothing(cupy: Any) -> None:
    def scaled(rate: Any, x: Any, offset: Any) -> Any:
        return np.sum((rate * x + offset) ** 2)

    x = np.arange(3.0)
    device = cupy.asarray(x)
    prepared = dl.prepare(scaled, 0.5, device, np.float64(0.25), argnums=(0, 2))
    found, to_host, to_device = Copies(cupy).of(lambda: prepared(0.75, device, np.float64(0.5)))
    assert (to_host, to_device) == (0, 0)
    assert_same(found, dl.gradient(scaled, argnums=(0, 2))(0.75, x, np.float64(0.5)))
    assert [one.shape for one in found] == [(), ()]


def test_a_python_number_does_not_widen_float32(cupy: Any) -> None:
    x = cupy.asarray(np.ones(3, np.float32))
    value, slope = dl.value_and_gradient(lambda x, rate: np.sum(rate * x))(x, 0.1)
    assert (value.dtype, slope.dtype) == (np.float32, np.float32)


def test_tangents_and_cotangents_may_be_numbers_where_they_are_scalars(cupy: Any) -> None:
    x = cupy.asarray(np.ones(3))
    _, pullback = dl.vjp(lambda x: np.sum(x * x), x)
    np.testing.assert_array_equal(pullback(1.5)[0].held, 3.0)
    assert dl.jvp(lambda x, s: x * s, (x, 2.0), (x, 1.0))[1].shape == (3,)


# ------------------------------------------------------------------------------- nesting and closures


def test_operators_nest_and_close_over_device_arrays(cupy: Any) -> None:
    def nested(xp: Any) -> list[Any]:
        x, w = xp(np.array([0.5, -1.0, 2.0])), xp(np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]]))

        def inner(x: Any) -> Any:
            return np.sum(np.sin(w @ x) * (w @ x))

        return [
            dl.gradient(lambda x: np.sum(dl.gradient(inner)(x) ** 2))(x),
            dl.jacobian(dl.gradient(inner))(x),
            dl.gradient(lambda x: dl.jvp(inner, (x,), (x * x,))[1])(x),
            dl.gradient(lambda x: np.sum(dl.vjp(lambda v: w @ v, x)[1](w @ x)[0] ** 2))(x),
            dl.jvp(dl.gradient(inner), (x,), (x,)),
            dl.gradient(lambda v: dl.jvp(inner, (v,), (x,))[1])(x),
            dl.gradient(lambda v: np.sum(dl.vjp(lambda u: w @ (u * u), v)[1](w[:, 0])[0]))(x),
            dl.gradient(lambda v: np.sum(dl.hvp(inner)(v, x)))(x),
            dl.gradient(lambda v: inner(v) + dl.gradient(lambda s: np.sum(s * s * w))(xp(2.0)) * v[0])(x),
        ]

    assert_same(nested(cupy.asarray), nested(np.asarray), 1e-11)


def test_what_a_prepared_function_closes_over_is_frozen(cupy: Any) -> None:
    weight, x = cupy.asarray(np.full(3, 2.0)), cupy.asarray(np.ones(3))
    prepared = dl.prepare(lambda x: np.sum(weight * x * x), x)
    weight[...] = 100.0
    np.testing.assert_array_equal(prepared(x).held, 4.0)
    np.testing.assert_array_equal(dl.gradient(lambda x: np.sum(weight * x * x))(x).held, 200.0)


def test_an_array_that_is_filled_anew_while_tracing_is_two_constants(cupy: Any) -> None:
    def refilled(x: Any) -> Any:
        buffer = cupy.asarray(np.zeros(3))
        buffer[...] = 1.0
        first = x * buffer
        buffer[...] = 3.0
        return np.sum(first + x * buffer)

    np.testing.assert_array_equal(dl.gradient(refilled)(cupy.asarray(np.ones(3))).held, 4.0)


@pytest.mark.parametrize("operator", ["gradient", "hvp", "hessian"])
def test_numpy_constants_are_uploaded_once_and_checked_on_the_host(operator: str, cupy: Any) -> None:
    weights = np.arange(6.0).reshape(2, 3)

    def closed(x: Any) -> Any:
        return np.sum(np.matmul(weights, x) ** 2)

    x = np.array([1.0, -1.0, 2.0])
    device = cupy.asarray(x)
    prepared, host = dl.prepare(closed, device, operator=operator), dl.prepare(closed, x, operator=operator)
    given = (device,) * (2 if operator == "hvp" else 1)
    prepared(*given)
    found, to_host, to_device = Copies(cupy).of(lambda: prepared(*given))
    assert (to_host, to_device) == (0, 0)
    assert_same(found, host(*[one.held for one in given]))


# ------------------------------------------------------------------------------- the check of a trace


def test_a_function_that_no_kind_of_array_can_run_is_traced_again_to_check_it(cupy: Any) -> None:
    weights = cupy.asarray(np.arange(6.0).reshape(2, 3))  # np.matmul takes no CuPy arrays, and these no NumPy ones
    x = cupy.asarray(np.ones(3))
    prepared = dl.prepare(lambda x: np.sum(np.matmul(weights, x) ** 2), x)
    np.testing.assert_allclose(prepared(x).held, 2 * weights.held.T @ (weights.held @ np.ones(3)))
    calls: list[int] = []

    def drifts(x: Any) -> Any:
        calls.append(1)
        return np.sum(np.matmul(weights, x)) * float(len(calls))

    with pytest.raises(TraceError, match="hidden state"):
        dl.prepare(drifts, x)


@pytest.mark.parametrize("function", ["np.matmul", "operator"])
def test_hidden_state_is_found_wherever_the_function_is_run(function: str, cupy: Any) -> None:
    calls: list[int] = []

    def drifts(x: Any) -> Any:
        calls.append(1)
        product = np.matmul(x, x) if function == "np.matmul" else x @ x
        return product * float(len(calls))

    with pytest.raises(TraceError, match=r"hidden state.*|does not compute"):
        dl.prepare(drifts, cupy.asarray(np.ones(3)))


def test_a_frozen_branch_is_found_on_the_device(cupy: Any) -> None:
    def branches(x: Any) -> Any:
        return np.sum(x * x) if not isinstance(x, cupy_double.ndarray) else np.sum(x)

    with pytest.raises(TraceError, match=r"output 0 at the example is 4 and the tape gives 8"):
        dl.prepare(branches, cupy.asarray(np.full(2, 2.0)))


def test_writing_into_an_argument_is_found_on_the_device(cupy: Any) -> None:
    def writes(x: Any) -> Any:
        if hasattr(x, "get"):
            x[...] = 0.0
        return np.sum(x * 0.0)

    with pytest.raises(TraceError, match="writes into its own arguments"):
        dl.prepare(writes, cupy.asarray(np.ones(3)))


def test_the_check_is_of_one_answer_at_a_time_and_replays_none(cupy: Any) -> None:
    host = (parameters(), *data())
    device = there(host)
    prepared, to_host, _ = Copies(cupy).of(lambda: dl.prepare(loss, *device))
    assert 0 < to_host < 40  # of single truth values and sizes, at three points
    _, to_host, to_device = Copies(cupy).of(lambda: prepared(*device))
    assert (to_host, to_device) == (0, 0)


# ------------------------------------------------------------------------------- branches, shapes, devices, threads


def test_branches_of_python_are_followed_and_traced_again(cupy: Any) -> None:
    def bent(x: Any) -> Any:
        return np.sum(x * x) if np.sum(x) > 0 else np.sum(3.0 * x)

    x = cupy.asarray(np.ones(3))
    prepared = dl.prepare(bent, x)
    np.testing.assert_array_equal(prepared(x).held, 2.0)
    np.testing.assert_array_equal(prepared(-x).held, 3.0)
    np.testing.assert_array_equal(prepared(x + 1.0).held, 4.0)
    assert prepared.stats["traces"] == 2
    np.testing.assert_array_equal(dl.gradient(bent)(-x).held, 3.0)


def test_masks_and_indices_on_the_device(cupy: Any) -> None:
    picked = cupy.asarray(np.array([2, 0, 2]))

    def loss_of(x: Any, labels: Any) -> Any:
        return np.sum(x[picked] ** 2) + np.sum(x[labels]) + np.sum(x[x > 0.5])

    x, labels = np.array([1.0, 0.25, 3.0]), np.array([1, 1, 0])
    wanted = np.array([2.0 + 1.0 + 1.0, 2.0, 12.0 + 1.0])
    found = dl.gradient(loss_of)(cupy.asarray(x), cupy.asarray(labels))
    np.testing.assert_array_equal(found.held, wanted)


def test_one_prepared_function_serves_both_devices(cupy: Any) -> None:
    host = (parameters(), *data())
    prepared = dl.prepare(loss, *host)
    wanted = prepared(*host)
    assert_same(prepared(*there(host)), wanted)
    assert prepared.stats["traces"] == 2
    assert type(prepared(*host)["w1"]) is np.ndarray
    assert_same(prepared(*there(host)), wanted)
    assert prepared.stats["traces"] == 2


def test_other_shapes_and_dtypes_are_traced_again(cupy: Any) -> None:
    prepared = dl.prepare(lambda x: np.sum(x**3), cupy.asarray(np.ones(3)))
    assert_same(prepared(cupy.asarray(np.ones((2, 2)))), np.full((2, 2), 3.0))
    assert_same(prepared(cupy.asarray(np.ones(3, np.float32))), np.full(3, 3.0, np.float32))
    assert prepared.stats["traces"] == 3


def test_empty_arrays_have_empty_gradients(cupy: Any) -> None:
    x = cupy.asarray(np.zeros((0, 3)))
    for backend in ("reverse", "forward", "finite", "complex-step"):
        assert_same(dl.gradient(lambda x: np.sum(x * x), backend=backend)(x), np.zeros((0, 3)))
    assert_same(dl.jacobian(lambda x: 2.0 * x, backend="reverse")(x), np.zeros((0, 3, 0, 3)))


def test_threads_share_a_prepared_function(cupy: Any) -> None:
    host = (parameters(), *data())
    prepared = dl.prepare(loss, *there(host))
    wanted = [dl.gradient(loss)(parameters(), host[0 + 1] * k, host[2]) for k in range(4)]
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        found[k] = [prepared(*there((parameters(), host[1] * k, host[2]))) for _ in range(10)]

    threads = [Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        for one in found[k]:
            assert_same(one, wanted[k])


# ------------------------------------------------------------------------------- looking, and faults


def test_a_trace_is_shown_with_its_values(cupy: Any) -> None:
    weight = cupy.asarray(np.array([2.0, 5.0]))
    found = dl.trace(lambda x: np.sum(weight * x), cupy.asarray(np.array([1.0, 10.0])))
    assert found.table() == dl.trace(lambda x: np.sum(weight.held * x), np.array([1.0, 10.0])).table()
    assert "52" in found.table()
    text, arrays = found.tape.to_json()
    assert all(type(array) is np.ndarray for array in arrays.values())
    assert type(found.tape).from_json(text, arrays).evaluate([np.ones(2)])[0] == 7.0


MIXED = r"x is a NumPy array and params\['b1'\] is on the GPU; move one with cupy.asarray or .get\(\)"


def test_numpy_arrays_among_cupys_are_named(cupy: Any) -> None:
    host = (parameters(), *data())
    params, x, y = there(host)
    with pytest.raises(InputError, match=MIXED):
        dl.gradient(loss)(params, host[1], y)
    with pytest.raises(InputError, match=r"params\['w2'\] is a NumPy array and params\['b1'\] is on the GPU"):
        dl.gradient(loss)({**params, "w2": host[0]["w2"]}, x, y)
    prepared = dl.prepare(loss, params, x, y)
    with pytest.raises(InputError, match=MIXED):
        prepared(params, host[1], y)
    with pytest.raises(InputError, match=r"y is a NumPy array and params\['b1'\] is on the GPU"):
        dl.vjp(loss, params, x, host[2])


def test_tangents_and_cotangents_of_the_other_side_are_refused(cupy: Any) -> None:
    x = np.ones(3)
    device = cupy.asarray(x)
    with pytest.raises(InputError, match="a tangent is a NumPy array and what it belongs to is on the GPU"):
        dl.jvp(np.sin, (device,), (x,))
    with pytest.raises(InputError, match=r"a tangent is on the GPU and what it belongs to is a NumPy array.*\.get\(\)"):
        dl.jvp(np.sin, (x,), (device,))
    with pytest.raises(InputError, match="a cotangent is a NumPy array and what it belongs to is on the GPU"):
        dl.vjp(np.sin, device)[1](x)
    with pytest.raises(InputError, match="the vector is a NumPy array and what it belongs to is on the GPU"):
        dl.hvp(lambda x: np.sum(x**3))(device, x)


def test_device_arrays_that_a_function_of_host_arrays_closes_over(cupy: Any) -> None:
    weight = cupy.asarray(np.ones(3))
    for argument in (2.0, np.ones(3)):
        with pytest.raises(InputError, match="closes over an array on the GPU, and its arguments are on the host"):
            dl.gradient(lambda x: np.sum(weight * x))(argument)
    found = dl.gradient(lambda x: np.sum(weight * x))(cupy.asarray(2.0))
    assert_same(found, np.float64(3.0))


def test_integers_have_no_gradients_on_the_device_either(cupy: Any) -> None:
    with pytest.raises(InputError, match="with respect to x, which is an array of dtype int64"):
        dl.gradient(lambda x: np.sum(x))(cupy.asarray(np.arange(3)))


def test_a_matrix_that_the_gpu_cannot_hold_is_refused_before_it_is_made(cupy: Any) -> None:
    x = cupy.asarray(np.ones(20_000))
    with pytest.raises(ForecastError, match=r"needs 3 GiB, and this GPU has 1 GiB; dl.jvp or dl.vjp give"):
        dl.jacobian(lambda x: x * x)(x)
