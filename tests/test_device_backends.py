"""Every backend on CuPy's arrays: the results of NumPy's, what it copies, its chunks, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np
import pytest
from device_checks import Copies, assert_same, data, layer, loss, parameters, there, vector_like

import difflab as dl
from difflab.errors import InputError
from difflab.execution.chunks import lanes_per_chunk

FIRST = ("gradient", "value_and_gradient", "jvp", "vjp", "jacobian")
SECOND = ("hvp", "hessian")
BACKENDS: dict[str, Any] = {
    "reverse": dl.Reverse(),
    "reverse, checkpoints": dl.Reverse(checkpoints=2),
    "forward": dl.Forward(),
    "forward, chunks": dl.Forward(chunk=3),
    "central": dl.Finite(),
    "central, chunks": dl.Finite(chunk=3),
    "central, order 6": dl.Finite(order=6),
    "central, step": dl.Finite(step=1e-5),
    "forward quotients": dl.Finite(scheme="forward", order=2),
    "backward quotients": dl.Finite(scheme="backward"),
    "richardson": dl.Finite(scheme="richardson"),
    "estimate": dl.Finite(estimate=True),
    "bounds": dl.Finite(order=4, bounds=(-2.4, 2.4)),
    "noise": dl.Finite(noise=1e-9),
    "noise, estimated": dl.Finite(noise="estimate"),
    "complex-step": dl.ComplexStep(),
    "complex-step, chunks": dl.ComplexStep(chunk=3),
    "symbolic": dl.Symbolic(data="symbols", time_limit_s=600.0),
    "symbolic, tree": dl.Symbolic(data="symbols", way="tree", time_limit_s=600.0),
    "null": dl.Null(),
}
QUOTIENTS = {name for name, backend in BACKENDS.items() if backend.name == "finite"}
ASKING = {"bounds", "noise", "noise, estimated"}
"""Where a step or an error of Python's hangs on values, which are asked for."""


def small() -> tuple[Any, Any, Any]:
    """A network of few enough numbers for formulas."""
    rng = np.random.default_rng(3)
    params = {"w1": rng.standard_normal((2, 2)), "b1": rng.standard_normal(2), "w2": rng.standard_normal((2, 1))}
    return params, rng.standard_normal((2, 2)), rng.standard_normal((2, 1))


def problem(name: str) -> tuple[Any, Any, Any]:
    return small() if name.startswith("symbolic") else (parameters(), *data())


def run(operator: str, backend: Any, params: Any, x: Any, y: Any) -> Any:
    if operator == "jvp":
        return dl.jvp(lambda p: layer(p, x), (params,), (vector_like(params),), backend=backend)
    if operator == "vjp":
        value, pullback = dl.vjp(lambda p: layer(p, x), params, backend=backend)
        return value, pullback(value)
    if operator == "jacobian":
        return dl.jacobian(layer, backend=backend)(params, x)
    if operator == "hvp":
        return dl.hvp(loss, backend=backend)(params, x, y, vector_like(params))
    return getattr(dl, operator)(loss, backend=backend)(params, x, y)


def prepared_call(operator: str, backend: Any, params: Any, x: Any, y: Any) -> Callable[[], Any]:
    prepared = dl.prepare(loss, params, x, y, argnums=0, operator=operator, backend=backend)
    if operator == "jvp":
        return lambda: prepared.jvp((params, x, y), (vector_like(params),))
    if operator == "vjp":
        return lambda: prepared.vjp(params, x, y)[1](1.0)
    if operator == "hvp":
        return lambda: prepared.hvp(params, x, y, vector_like(params))
    return lambda: prepared(params, x, y)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


def tolerance(name: str, operator: str) -> float:
    """Differences of nearby values differ by what rounding makes of them."""
    if operator in SECOND and (name in QUOTIENTS or name.startswith("complex-step")):
        return 1e-3 if "ward" in name else 1e-4
    return 1e-7 if "ward" in name else 1e-8 if name in QUOTIENTS else 1e-11


# ------------------------------------------------------------------------------- all operators of all backends


@pytest.mark.parametrize("operator", FIRST + SECOND)
@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_gives_on_the_device_what_it_gives_on_the_host(name: str, operator: str, cupy: Any) -> None:
    backend, host = BACKENDS[name], problem(name)
    wanted, device = run(operator, backend, *host), there(host)
    found, to_host, _ = Copies(cupy).of(lambda: run(operator, backend, *device))
    assert_same(found, wanted, tolerance(name, operator))
    if name not in ASKING and not name.startswith("symbolic"):
        vectors = operator in ("jvp", "hvp") and name in QUOTIENTS
        vectors = vectors or (operator in SECOND and name.startswith("complex-step"))
        assert (to_host > 0) == vectors


@pytest.mark.parametrize("operator", FIRST + SECOND)
@pytest.mark.parametrize("name", sorted(set(BACKENDS) - ASKING))
def test_a_prepared_call_copies_nothing(name: str, operator: str, cupy: Any) -> None:
    host = problem(name)
    call = prepared_call(operator, BACKENDS[name], *there(host))
    call()
    found, to_host, to_device = Copies(cupy).of(call)
    assert to_device == 0
    # How large the steps along a vector are hangs on the vector: which sizes there are, and the steps, are fetched.
    if (operator in ("jvp", "hvp") and name in QUOTIENTS) or (operator == "hvp" and name.startswith("complex-step")):
        assert to_host == 2
    elif operator == "hessian" and name.startswith("complex-step"):
        assert to_host == 2 * sum(leaf.size for leaf in host[0].values())  # a product for each column
    else:
        assert to_host == 0
    assert_same(found, prepared_call(operator, BACKENDS[name], *host)(), tolerance(name, operator))


@pytest.mark.parametrize("name", ["forward", "central", "richardson", "complex-step", "reverse", "symbolic"])
def test_float32_stays_float32(name: str, cupy: Any) -> None:
    def cubic(x: Any) -> Any:
        return np.sum(x * x * x)

    x = np.array([0.5, -1.0, 2.0], np.float32)
    found = dl.value_and_gradient(cubic, backend=BACKENDS[name])(cupy.asarray(x))
    assert_same(found, dl.value_and_gradient(cubic, backend=BACKENDS[name])(x), 1e-5)
    found = dl.jacobian(lambda x: x * x, backend=BACKENDS[name])(cupy.asarray(x))
    assert_same(found, dl.jacobian(lambda x: x * x, backend=BACKENDS[name])(x), 1e-5)


@pytest.mark.parametrize("operator", FIRST + SECOND)
@pytest.mark.parametrize("name", ["reverse", "forward", "central", "forward quotients", "richardson"])
def test_complex_variables(name: str, operator: str, cupy: Any) -> None:
    def wave(z: Any) -> Any:
        return np.sum(np.abs(np.exp(0.3 * z) * z) ** 2)

    def call(z: Any) -> Any:
        backend = BACKENDS[name]
        if operator == "jvp":
            return dl.jvp(wave, (z,), (z * 0.5,), backend=backend)
        if operator == "vjp":
            return dl.vjp(wave, z, backend=backend)[1](2.0)
        if operator == "hvp":
            return dl.hvp(wave, backend=backend)(z, z * 0.5)
        return getattr(dl, operator)(wave, backend=backend)(z)

    z = np.array([0.5 + 0.25j, -1.0j, 0.75])
    assert_same(call(cupy.asarray(z)), call(z), tolerance(name, operator))


@pytest.mark.parametrize("name", ["forward", "central", "complex-step", "reverse"])
def test_backends_work_inside_other_derivatives(name: str, cupy: Any) -> None:
    def outer(x: Any) -> Any:
        inner = dl.gradient(lambda v: np.sum(np.sin(v) * v), backend=BACKENDS[name])
        return np.sum(inner(x) ** 2)

    x = np.array([0.5, -1.0, 2.0])
    found, to_host, _ = Copies(cupy).of(lambda: dl.gradient(outer)(cupy.asarray(x)))
    assert to_host == 0
    assert_same(found, dl.gradient(outer)(x), 1e-9)


# ------------------------------------------------------------------------------- chunks, blocks, parts


@pytest.mark.parametrize("backend", [dl.Forward(), dl.Finite(), dl.ComplexStep()], ids=lambda backend: backend.name)
def test_the_chunk_is_what_the_free_memory_of_the_device_holds(
    backend: Any, cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide(x: Any) -> Any:
        return np.sum(np.tanh(x) * x)

    x = np.linspace(-1.0, 1.0, 500)
    whole = dl.prepare(wide, cupy.asarray(x), backend=backend)
    assert (whole.stats["chunk"], whole.stats["chunks"]) == (500, 1)
    monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", lambda: (1 << 22, 1 << 30))
    chunked = dl.prepare(wide, cupy.asarray(x), backend=backend)
    assert 1 < chunked.stats["chunks"] == -(-500 // chunked.stats["chunk"])
    assert_same(chunked(cupy.asarray(x)), dl.gradient(wide, backend=backend)(x), 1e-8)


def test_lanes_of_a_gpu_are_not_those_of_a_cache(cupy: Any) -> None:
    free, _ = cupy.cuda.runtime.memGetInfo()
    assert lanes_per_chunk(1e6, 10**6, device="gpu") == -(-(10**6) // -(-(10**6) // int(free / 8 / 1e6)))
    assert lanes_per_chunk(1e12, 31, device="gpu") == 1


@pytest.mark.parametrize("backend", [dl.Forward(), dl.Finite()], ids=lambda backend: backend.name)
def test_one_program_takes_all_directions(backend: Any, cupy: Any) -> None:
    x, w = np.ones((8, 50)), np.full((50, 50), 0.01)
    host = dl.prepare(lambda w, x: np.sum(np.tanh(x @ w)), w, x, backend=backend)
    assert host.stats["alone"] == [0]
    device = dl.prepare(lambda w, x: np.sum(np.tanh(x @ w)), cupy.asarray(w), cupy.asarray(x), backend=backend)
    assert (device.stats["programs"], device.stats["alone"]) == (1, [])
    assert device.stats["programs_because"] == "a GPU takes all directions in one program"
    assert_same(device(cupy.asarray(w), cupy.asarray(x)), host(w, x), 1e-8)


def test_blocks_are_for_a_processor_s_cache(cupy: Any) -> None:
    def mean(w: Any, x: Any) -> Any:
        return np.mean(np.tanh(x @ w))

    w, x = np.ones(3), np.random.default_rng(0).standard_normal((64, 3))
    host = dl.prepare(mean, w, x, backend=dl.Reverse(blocks=4))
    device = dl.prepare(mean, cupy.asarray(w), cupy.asarray(x), backend=dl.Reverse(blocks=4))
    assert host.stats["blocks"] == 4
    assert (device.stats["blocks"], device.stats["threads"]) == (1, 1)
    assert device.stats["whole_because"].startswith("a GPU takes the batch in one piece")
    assert_same(device(cupy.asarray(w), cupy.asarray(x)), host(w, x))


# ------------------------------------------------------------------------------- options of finite differences


def test_points_stay_within_bounds_on_the_device(cupy: Any) -> None:
    x = np.array([0.0, 0.5, 1.0])
    backend = dl.Finite(order=4, bounds=(0.0, 1.0))

    def root(x: Any) -> Any:  # NaN outside
        return np.sum(np.sqrt(x * 3.0) * np.sqrt(1.0 - x) * (x + 0.5) ** 2 + np.sqrt(x + 1e-30) * 0.0)

    inside = np.array([0.125, 0.5, 0.875])
    assert_same(
        dl.gradient(root, backend=backend)(cupy.asarray(inside)), dl.gradient(root, backend=backend)(inside), 1e-9
    )
    for operator in ("gradient", "jacobian"):
        call = getattr(dl, operator)(lambda x: np.sum(x**3), backend=backend)
        assert_same(call(cupy.asarray(x)), call(x), 1e-9)
    host = dl.jvp(lambda x: x**3, (x,), (np.array([1.0, -1.0, -2.0]),), backend=backend)
    there_too = dl.jvp(
        lambda x: x**3, (cupy.asarray(x),), (cupy.asarray(np.array([1.0, -1.0, -2.0])),), backend=backend
    )
    assert_same(there_too, host, 1e-9)
    for bounds in ((cupy.asarray(np.zeros(3)), cupy.asarray(np.ones(3))), (np.zeros(3), 1.0)):
        own = dl.Finite(order=4, bounds=bounds)
        found = dl.gradient(lambda x: np.sum(x**3), backend=own)(cupy.asarray(x))
        assert_same(found, dl.gradient(lambda x: np.sum(x**3), backend=backend)(x), 1e-9)
    with pytest.raises(InputError, match=r"coordinate 1 of .* is 1.5, which is not between its bounds 0.0 and 1.0"):
        dl.gradient(lambda x: np.sum(x), backend=backend)(cupy.asarray(np.array([0.5, 1.5])))
    narrow = dl.Finite(order=4, bounds=(1.0, 1.0 + 4e-16))
    with pytest.raises(InputError, match="there is no room for the 5 points of a quotient around coordinate 0"):
        dl.gradient(lambda x: np.sum(x), backend=narrow)(cupy.asarray(np.array([1.0])))


def test_errors_are_estimated_on_the_device(cupy: Any) -> None:
    x = np.array([0.5, 1.5, -2.0])
    backend = dl.Finite(scheme="richardson")
    host, device = (
        dl.prepare(lambda x: np.sum(np.exp(x)), xp(x), backend=backend) for xp in (np.asarray, cupy.asarray)
    )
    given = cupy.asarray(x)
    device(given)
    errors, to_host, to_device = Copies(cupy).of(lambda: (device(given), device.error_estimate(given)))
    assert (to_host, to_device) == (0, 0)
    host(x)
    assert_same(errors, (host(x), host.error_estimate(x)), 1e-3)
    assert type(device.stats["error_estimate"]) is float
    assert device.stats["error_estimate"] == pytest.approx(host.stats["error_estimate"], rel=1e-2)


def test_vectors_with_parts_of_very_different_size(cupy: Any) -> None:
    x, v = np.array([1e-3, 1.0, 1e4]), np.array([1e-9, 1.0, 0.0])
    for backend in (dl.Finite(), dl.Finite(scheme="richardson")):
        wanted = dl.jvp(lambda x: np.sum(x**3), (x,), (v,), backend=backend)
        found = dl.jvp(lambda x: np.sum(x**3), (cupy.asarray(x),), (cupy.asarray(v),), backend=backend)
        assert_same(found, wanted, 1e-8)
    for bad in (np.array([np.nan, 1.0, 1.0]), np.array([np.inf, 1.0, 1.0])):
        assert np.isnan(dl.jvp(np.sum, (cupy.asarray(x),), (cupy.asarray(bad),), backend="finite")[1].held)
    zeros = dl.jvp(np.sum, (cupy.asarray(x),), (cupy.asarray(np.zeros(3)),), backend="finite")[1]
    assert zeros.held == 0.0
    still = dl.jvp(np.sum, (cupy.asarray(x),), (cupy.asarray(np.zeros(3)),), backend="complex-step")[1]
    assert still.held == 0.0


@pytest.mark.parametrize("backend", ["finite", "forward", "complex-step"])
def test_guards_of_moved_points_are_followed(backend: str, cupy: Any) -> None:
    def bent(x: Any) -> Any:
        return np.sum(x * x) if np.sum(x) > 0 else np.sum(3.0 * x)

    prepared = dl.prepare(bent, cupy.asarray(np.ones(3)), backend=backend)
    assert_same(prepared(cupy.asarray(np.ones(3))), np.full(3, 2.0), 1e-8)
    assert_same(prepared(cupy.asarray(-np.ones(3))), np.full(3, 3.0), 1e-8)
    edge = np.array([1e-9, 0.0, 0.0])  # points beyond the edge go their own way
    wanted = dl.gradient(bent, backend=backend)(edge)
    assert_same(dl.gradient(bent, backend=backend)(cupy.asarray(edge)), wanted, 1e-8)
