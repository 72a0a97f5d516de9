"""Functions that cannot be traced, formulas, gradients derived by hand and peers of the host, on CuPy's arrays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cupy_double
import numpy as np
import pytest
from device_checks import Copies, assert_same, there

import difflab as dl
from difflab.backends import listing
from difflab.backends.analytic import PreparedAnalytic
from difflab.backends.ways import HOST_ONLY, require_device
from difflab.errors import InputError, UnsupportedError


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


# ------------------------------------------------------------------------------- black boxes


def box(x: Any) -> Any:
    """What cannot be traced, on both devices."""
    if type(x) not in (np.ndarray, cupy_double.ndarray):
        raise RuntimeError("no traces here")
    return np.sum(x * x * x)


@pytest.mark.parametrize("operator", ["gradient", "value_and_gradient", "jacobian", "hessian", "jvp", "vjp", "hvp"])
@pytest.mark.parametrize("backend", [dl.Finite(), dl.Finite(scheme="richardson"), dl.ComplexStep()], ids=repr)
def test_black_boxes_are_called_on_the_device(operator: str, backend: Any, cupy: Any) -> None:
    def call(x: Any) -> Any:
        if operator == "jvp":
            return dl.jvp(box, (x,), (x * 2.0,), backend=backend)
        if operator == "vjp":
            return dl.vjp(box, x, backend=backend)[1](2.0)
        if operator == "hvp":
            return dl.hvp(box, backend=backend)(x, x * 2.0)
        return getattr(dl, operator)(box, backend=backend)(x)

    x = np.array([0.5, -1.0, 2.0])
    assert_same(call(cupy.asarray(x)), call(x), 1e-3 if operator in ("hvp", "hessian") else 1e-8)


def test_a_black_box_may_answer_with_a_number(cupy: Any) -> None:
    def number(x: Any) -> float:
        return float(np.sum(x * x))

    found = dl.value_and_gradient(number, backend="finite")(cupy.asarray(np.ones(2)))
    assert_same(found, (np.float64(2.0), np.full(2, 2.0)), 1e-8)


# ------------------------------------------------------------------------------- symbolic, analytic, peers


def test_symbolic_differentiation_runs_as_cupy_code(cupy: Any) -> None:
    x = cupy.asarray(np.array([0.5, 2.0]))
    prepared = dl.prepare(lambda x: np.sum(np.exp(x) * x[0]), x, backend="symbolic")
    found, to_host, to_device = Copies(cupy).of(lambda: prepared(x))
    assert (to_host, to_device) == (0, 0)
    assert_same(found, dl.gradient(lambda x: np.sum(np.exp(x) * x[0]))(x.held))
    assert "import cupy as xp" in prepared.code()
    prepared(cupy.asarray(np.array([1.0, 3.0])))
    assert prepared.stats["derivations"] == 1


def test_data_of_formulas_is_derived_anew_when_it_differs(cupy: Any) -> None:
    def weighted(x: Any, w: Any) -> Any:
        return np.sum(w * x * x) if np.sum(x) > 0 else np.sum(x)

    x, w = np.array([0.5, 2.0]), np.array([3.0, 0.0])
    prepared = dl.prepare(weighted, cupy.asarray(x), cupy.asarray(w), backend="symbolic")
    assert_same(prepared(cupy.asarray(x), cupy.asarray(w)), 2 * w * x)
    assert_same(prepared(cupy.asarray(x), cupy.asarray(w + 1.0)), 2 * (w + 1.0) * x)
    assert prepared.stats["derivations"] == 2
    assert_same(prepared(cupy.asarray(-x), cupy.asarray(w)), np.ones(2))
    assert prepared.stats["traces"] == 2


def test_code_for_the_host_is_refused_on_the_device(cupy: Any) -> None:
    x = cupy.asarray(np.ones(2))
    with pytest.raises(
        UnsupportedError, match=r"with code='numpy' computes on the host, and the arguments are on the GPU"
    ):
        dl.gradient(lambda x: np.sum(x * x), backend=dl.Symbolic(code="numpy"))(x)


@pytest.mark.parametrize("name", sorted(HOST_ONLY))
def test_peers_of_the_host_are_refused_in_a_sentence(name: str, cupy: Any) -> None:
    peer: Any = SimpleNamespace(name=name)
    with pytest.raises(UnsupportedError, match=f"'{name}' computes on the host, and the arguments are on the GPU"):
        require_device(peer, "gpu")
    require_device(peer, "cpu")
    missing = {one.name for one in listing() if one.unavailable is not None}
    if name not in missing:
        for operator in ("gradient", "value_and_gradient"):
            with pytest.raises(UnsupportedError, match="computes on the host"):
                getattr(dl, operator)(lambda x: np.sum(x * x), backend=name)(cupy.asarray(np.ones(2)))
        with pytest.raises(UnsupportedError, match="computes on the host"):
            dl.prepare(lambda x: np.sum(x * x), cupy.asarray(np.ones(2)), backend=name)


def test_a_gradient_derived_by_hand_for_the_host_alone_is_refused_in_a_sentence(cupy: Any) -> None:
    def windows(x: Any) -> tuple[Any, Any]:
        seen = np.lib.stride_tricks.as_strided(x, (2, 2), (8, 8))
        return np.sum(seen * seen), 2 * x

    x = cupy.asarray(np.ones(3))
    prepared = dl.prepare(lambda x: np.sum(x * x), x, backend=dl.Analytic(windows))
    with pytest.raises(UnsupportedError, match=r"by hand does not run on CuPy's arrays \(Implicit conversion.*'cpu'"):
        prepared.value_and_gradient(x)
    source: Any = SimpleNamespace(device="gpu", tape=dl.trace(lambda x: np.sum(x * x), x).tape, frozen=True)
    hand: Any = SimpleNamespace(bare=lambda leaves: lambda: windows(*leaves))
    with pytest.raises(UnsupportedError, match="by hand does not run"):
        PreparedAnalytic(source, hand).bare([x])()


def test_a_gradient_derived_by_hand_may_be_written_for_both(cupy: Any) -> None:
    def hand(params: Any, x: Any) -> tuple[Any, Any]:
        return np.sum(x @ params["w"]), {"w": x.T @ (x[:, :1] * 0.0 + 1.0), "s": params["s"]}

    def total(params: Any, x: Any) -> Any:
        return np.sum(x @ params["w"]) + 0.5 * params["s"] ** 2 - 0.5 * params["s"] ** 2

    host = {"w": np.ones((3, 1)), "s": np.zeros(())}, np.arange(6.0).reshape(2, 3)
    device = there(host)
    prepared = dl.prepare(total, *device, backend=dl.Analytic(hand))
    found, to_host, to_device = Copies(cupy).of(lambda: prepared.value_and_gradient(*device))
    assert (to_host, to_device) == (0, 0)
    assert_same(found, hand(*host))
    assert found[1]["s"] is not device[0]["s"]
    found[1]["s"][...] = 5.0
    assert device[0]["s"].held == 0.0
    assert_same(prepared.value(*device), total(*host))
    assert_same(dl.gradient(total, backend=dl.Analytic(hand))(*device), hand(*host)[1])
    with_numpy = dl.prepare(
        lambda x: np.sum(np.matmul(x, x)), device[1][0], backend=dl.Analytic(lambda x: (x @ x, x + x))
    )
    assert_same(with_numpy.value(device[1][0]), np.float64(5.0))
    with pytest.raises(InputError, match=r"returned a gradient of shape \(2,\) for a variable of shape \(3,\)"):
        dl.gradient(lambda x: np.sum(x), backend=dl.Analytic(lambda x: (np.sum(x), x[:2])))(cupy.asarray(np.ones(3)))
    with pytest.raises(InputError, match=r"is to return a scalar, and its value has shape \(3,\)"):
        dl.gradient(lambda x: np.sum(x), backend=dl.Analytic(lambda x: (x, x)))(cupy.asarray(np.ones(3)))


@dl.primitive
def cube(x: Any) -> Any:
    """An operation of one's own, with its rules."""
    return x * x * x


@cube.jvp
def _cube_jvp(tangents: Any, y: Any, x: Any) -> Any:
    return 3.0 * x * x * tangents[0]


@cube.vjp
def _cube_vjp(cotangent: Any, y: Any, x: Any) -> Any:
    return (3.0 * x * x * cotangent,)


@pytest.mark.parametrize("operator", ["gradient", "hessian"])
@pytest.mark.parametrize("backend", ["reverse", "forward", "finite"])
def test_operations_of_one_s_own_run_on_the_device(backend: str, operator: str, cupy: Any) -> None:
    x = np.array([0.5, -1.0, 2.0])
    call = getattr(dl, operator)(lambda x: np.sum(cube(x) * x), backend=backend)
    device = cupy.asarray(x)
    found, to_host, _ = Copies(cupy).of(lambda: call(device))
    assert to_host == 0
    assert_same(found, call(x), 1e-4 if (backend, operator) == ("finite", "hessian") else 1e-8)
