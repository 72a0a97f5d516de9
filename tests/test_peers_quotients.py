"""SciPy and numdifftools as backends: quotients of the user's own function, with their own steps."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import _numdiff

import difflab as dl
from difflab import backends
from difflab.backends.peers.numdifftools_peer import Numdifftools
from difflab.backends.peers.scipy_peer import Scipy
from difflab.errors import InputError, UnavailableError, UnsupportedError
from difflab.operators import source
from difflab.problems import find
from difflab.testing import check_backend

needs_library = pytest.mark.peers
SCIPY = [Scipy(), Scipy(method="2-point"), Scipy(method="cs")]
OTHERS = [
    pytest.param(Numdifftools(), marks=needs_library),
    pytest.param(Numdifftools(order=4), marks=needs_library),
    pytest.param(Numdifftools(method="forward"), marks=needs_library),
    pytest.param(Numdifftools(method="backward", order=1), marks=needs_library),
    pytest.param(Numdifftools(method="complex"), marks=needs_library),
    pytest.param(Numdifftools(method="complex", order=4), marks=needs_library),
]
# How far from the truth: forward differences have half of the digits.
NEAR = {Scipy(method="2-point"): 1e-5}


class Counted:
    """A loss that counts how often it is called on plain arrays."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += isinstance(x, np.ndarray)
        return np.sum(np.tanh(x) * x**2)


# ---------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Scipy(method="4-point"), "the methods are '2-point', '3-point', 'cs'"),
        (lambda: Numdifftools(method="central2"), "the methods are 'central', 'forward', 'backward', 'complex'"),
        (lambda: Numdifftools(order=3), "the order is an even number from 2"),
        (lambda: Numdifftools(method="forward", order=0), "the order is a whole number from 1"),
        (lambda: Numdifftools(order=True), "the order is an even number"),
    ],
)
def test_options_are_checked(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difflab.backends.peers.numdifftools_peer.find_spec", lambda package: None)
    text = "backend 'numdifftools' cannot be used: it needs the package numdifftools, which is not installed; pip inst"
    with pytest.raises(UnavailableError, match=text):
        backends.find("numdifftools")


def test_importing_the_peers_imports_no_library(modules_after: Callable[[str], set[str]]) -> None:
    loaded = modules_after("from difflab.backends.peers import numdifftools_peer, scipy_peer")
    assert "numdifftools" not in loaded
    assert "scipy.optimize" not in loaded


@pytest.mark.parametrize("backend", [*SCIPY, *OTHERS], ids=repr)
def test_they_print_themselves(backend: Any) -> None:
    assert eval(repr(backend), {"Scipy": Scipy, "Numdifftools": Numdifftools}) == backend
    assert backends.find(backend.name).family == "finite"  # they are as near as finite differences are


# ---------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("backend", [*SCIPY[:2], *OTHERS[:4]], ids=repr)  # nn's functions take no complex numbers
@pytest.mark.parametrize("problem", ["xor", "two-layer-numpy", "mlp", "digits-mlp"])
def test_problems_agree_with_reverse_mode(problem: str, backend: Any) -> None:
    instance = find(problem).build("tiny", "float64", 0)
    wanted = dl.gradient(instance.loss)(*instance.args)
    found = dl.gradient(instance.loss, backend=backend)(*instance.args)
    for name, slope in wanted.items():
        np.testing.assert_allclose(found[name], slope, rtol=0, atol=NEAR.get(backend, 1e-7) * np.max(np.abs(slope)))


@pytest.mark.parametrize(
    ("backend", "rtol"),
    [
        (Scipy(), 1e-7),
        (Scipy(method="cs"), 1e-10),
        (Scipy(method="2-point"), 1e-5),
        pytest.param(Numdifftools(), 1e-8, marks=needs_library),
        pytest.param(Numdifftools(order=4), 1e-8, marks=needs_library),
        pytest.param(Numdifftools(method="forward"), 1e-4, marks=needs_library),
    ],
)
def test_everything_that_is_declared_is_right(backend: Any, rtol: float) -> None:
    check_backend(backend, rtol=rtol)


def test_scipy_is_scipy_s_own_answer_to_the_bit() -> None:
    x = np.linspace(-1.0, 1.0, 7)
    for method in ("2-point", "3-point", "cs"):
        found = dl.gradient(Counted(), backend=Scipy(method=method))(x)
        np.testing.assert_array_equal(found, _numdiff.approx_derivative(Counted(), x, method=method))


@needs_library
def test_numdifftools_is_its_own_answer_to_the_bit() -> None:
    numdifftools: Any = importlib.import_module("numdifftools")
    x = np.linspace(-1.0, 1.0, 5)
    for method, order in (("central", 2), ("forward", 3), ("complex", 4)):
        found = dl.gradient(Counted(), backend=Numdifftools(method=method, order=order))(x)
        np.testing.assert_array_equal(found, numdifftools.Gradient(Counted(), method=method, order=order)(x))


@pytest.mark.parametrize("backend", [*SCIPY, *OTHERS], ids=repr)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_as_many_calls_as_forecast(size: int, backend: Any) -> None:
    loss, x = Counted(), np.linspace(0.3, 0.8, size)
    made = source(loss, (x,))
    prepared = backend.prepare(made, "gradient", made.example)
    loss.calls = 0
    call = prepared.bare(made.example)
    loss.calls = 0
    call()
    cost = backend.predict(made.tape, "gradient", made.wrt)
    assert loss.calls == cost.primal_calls == prepared.stats["primal_calls"]
    assert cost.flops == pytest.approx(cost.primal_calls * made.tape.flops)
    assert cost.works[0].plain


@needs_library
@pytest.mark.parametrize("method", ["central", "forward", "backward", "complex"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_as_many_calls_of_a_hessian_as_forecast(size: int, method: str) -> None:
    numdifftools: Any = importlib.import_module("numdifftools")
    loss, x = Counted(), np.linspace(0.3, 0.8, size)
    numdifftools.Hessian(loss, method=method)(x)
    assert loss.calls == Numdifftools(method=method).calls(size, "hessian")


@pytest.mark.parametrize("backend", [Scipy(), pytest.param(Numdifftools(), marks=needs_library)], ids=repr)
def test_a_black_box_is_enough(backend: Any) -> None:
    def loss(p: Any) -> Any:
        total = 0.0
        for x in np.asarray(p["x"], dtype=float).tolist():  # plain floats cannot be traced
            total += x**3 if x > 0 else x
        return total * float(p["scale"])

    p = {"x": np.array([1.0, -2.0, 0.5]), "scale": 2.0}
    found = dl.gradient(loss, backend=backend)(p)
    np.testing.assert_allclose(found["x"], [6.0, 2.0, 1.5], rtol=1e-7)
    np.testing.assert_allclose(found["scale"], 1.0 - 2.0 + 0.125, rtol=1e-7)


@pytest.mark.parametrize("backend", [Scipy(), pytest.param(Numdifftools(), marks=needs_library)], ids=repr)
def test_jacobians_of_several_outputs_and_none_of_nothing(backend: Any) -> None:
    def several(x: Any) -> Any:
        return {"wave": np.sin(x)[:, None] * x[:2], "total": np.sum(x * x)}

    x = np.array([0.3, -0.8, 1.2])
    found, wanted = dl.jacobian(several, 0, backend)(x), dl.jacobian(several)(x)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-7, atol=1e-9)
    assert dl.gradient(lambda x: np.sum(x) + 1.0, backend=backend)(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("backend", [Scipy(), pytest.param(Numdifftools(), marks=needs_library)], ids=repr)
def test_what_is_not_real_is_refused(backend: Any) -> None:
    with pytest.raises(UnsupportedError, match=f"backend '{backend.name}' differentiates by real numbers only"):
        dl.gradient(lambda z: np.abs(z), backend=backend)(1.0 + 2.0j)
    with pytest.raises(UnsupportedError, match=f"backend '{backend.name}' differentiates real outputs only"):
        dl.jacobian(lambda x: np.exp(1j * x), 0, backend)(np.ones(2))


def test_second_derivatives_are_refused_by_scipy() -> None:
    with pytest.raises(UnsupportedError, match="backend 'scipy' cannot do 'hessian': it declares neither"):
        dl.hessian(Counted(), 0, "scipy")(np.ones(2))


@pytest.mark.parametrize("backend", [Scipy(), pytest.param(Numdifftools(), marks=needs_library)], ids=repr)
def test_mixed_dtypes_come_back_as_they_were(backend: Any) -> None:
    seen = []

    def loss(p: Any) -> Any:
        seen.append((p["a"].dtype, p["b"].dtype))
        return np.sum(p["a"]) ** 2 * np.sum(np.sin(p["b"]))

    p = {"a": np.array([1.0, 0.5], "f4"), "b": np.array([[0.2], [0.7]])}
    prepared = dl.prepare(loss, p, backend=backend)
    seen.clear()
    found = prepared.gradient(p)
    assert (found["a"].dtype, found["b"].dtype) == (np.dtype("f4"), np.dtype("f8"))
    assert set(seen) == {(np.dtype("f4"), np.dtype("f8"))}
    assert found["b"].shape == (2, 1)


def test_scipy_s_steps_are_those_of_single_precision_where_all_is_single() -> None:
    x = np.linspace(0.5, 1.5, 4).astype("f4")
    found = dl.gradient(Counted(), backend="scipy")(x)
    np.testing.assert_allclose(found, dl.gradient(Counted())(x), rtol=2e-3)


@needs_library
def test_its_estimate_of_the_error_is_handed_on() -> None:
    x = np.linspace(0.3, 0.9, 3)
    prepared = dl.prepare(Counted(), x, backend=Numdifftools())
    error = np.abs(prepared.gradient(x) - dl.gradient(Counted())(x))
    estimate = prepared.error_estimate(x)
    assert estimate.shape == (3,)
    assert np.all(error <= 10 * estimate + 1e-14)
    assert np.all(estimate < 1e-8)
