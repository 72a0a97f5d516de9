"""Every built-in backend, every operator, a handful of functions: against derivatives derived by hand."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

import numpy as np
import pytest

import difflab as dl
from difflab import backends
from difflab.backends.protocol import MANY, OPERATORS, Backend, Cost, Source
from difflab.containers import flatten, unflatten
from difflab.errors import InputError, UnavailableError, UnsupportedError
from difflab.operators import source

REAL = [name for name in backends.BUILT_IN if name not in ("analytic", "null")]


class Case(NamedTuple):
    """A function, a point, its gradient by hand (a tuple, one entry per argument) and a direction."""

    function: Callable
    args: tuple
    gradient: Callable[..., tuple]


def scalar(x):
    return np.exp(-x) * np.sin(3.0 * x) + x**3 / (1.0 + x * x)


def scalar_gradient(x):
    slope = np.exp(-x) * (3.0 * np.cos(3.0 * x) - np.sin(3.0 * x))
    return (slope + (3.0 * x**2 * (1.0 + x * x) - 2.0 * x**4) / (1.0 + x * x) ** 2,)


def vector(x, a):
    return np.sum(a * np.tanh(x)) / (1.0 + np.sum(x * x))


def vector_gradient(x, a):
    t, n = np.tanh(x), 1.0 + np.sum(x * x)
    return a * (1.0 - t * t) / n - 2.0 * x * np.sum(a * t) / n**2, t / n


def dictionary(p):
    return np.log(1.0 + np.exp(p["slope"] * p["at"])) + np.sqrt(p["at"])


def dictionary_gradient(p):
    s = 1.0 / (1.0 + math.exp(-p["slope"] * p["at"]))
    return ({"slope": s * p["at"], "at": s * p["slope"] + 0.5 / math.sqrt(p["at"])},)


def network(p, x, y):
    h = np.tanh(x @ p["w1"] + p["b1"])
    return np.mean((h @ p["w2"] - y) ** 2)


def network_gradient(p, x, y):
    h = np.tanh(x @ p["w1"] + p["b1"])
    e = h @ p["w2"] - y
    d = 2.0 * e / e.size
    back = (d @ p["w2"].T) * (1.0 - h * h)
    grads = {"w1": x.T @ back, "b1": back.sum(0), "w2": h.T @ d}
    dx = back @ p["w1"].T
    return grads, dx, -d


RNG = np.random.default_rng(3)
NET = {"w1": RNG.normal(size=(2, 3)), "b1": RNG.normal(size=3), "w2": RNG.normal(size=(3, 1))}
CASES = {
    "scalar": Case(scalar, (0.7,), scalar_gradient),
    "vector": Case(vector, (np.array([0.3, -1.2, 0.8]), np.array([1.0, 2.0, -0.5])), vector_gradient),
    "dictionary": Case(dictionary, ({"slope": 1.3, "at": 0.6},), dictionary_gradient),
    "network": Case(network, (NET, RNG.normal(size=(4, 2)), RNG.normal(size=(4, 1))), network_gradient),
}


def analytic(case: Case, argnums: Any) -> dl.Analytic:
    """The hand-derived gradient as a backend, for one position or a tuple of them."""

    def both(*args):
        full = case.gradient(*args)
        return case.function(*args), full[argnums] if isinstance(argnums, int) else tuple(full[i] for i in argnums)

    return dl.Analytic(both)


def chosen(name: str, case: Case, argnums: Any) -> Any:
    return analytic(case, argnums) if name == "analytic" else name


def assert_close(found: Any, wanted: Any, name: str, dtype: str = "float64") -> None:
    """Norm-wise relative error: 1e-13 for the exact families, u^(2/3) with some room for central differences."""
    a = np.concatenate([np.ravel(leaf) for leaf in flatten(found)[0]])
    b = np.concatenate([np.ravel(leaf) for leaf in flatten(wanted)[0]])
    bound = {"float64": 1e-13, "float32": 1e-5}[dtype]
    if name == "finite":
        bound = 30 * np.finfo(dtype).eps ** (2 / 3)
    assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


def direction(args: tuple) -> tuple:
    leaves, structure = flatten(args)
    return unflatten(structure, [np.cos(1.0 + np.arange(np.size(leaf))).reshape(np.shape(leaf)) for leaf in leaves])


def dot(a: Any, b: Any) -> float:
    return sum(float(np.sum(x * y)) for x, y in zip(flatten(a)[0], flatten(b)[0], strict=True))


ALL = [*REAL, "analytic"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("label", CASES)
class TestAgainstHandDerivations:
    def test_gradient(self, name: str, label: str):
        case = CASES[label]
        found = dl.gradient(case.function, backend=chosen(name, case, 0))(*case.args)
        assert_close(found, case.gradient(*case.args)[0], name)

    def test_value_and_gradient_of_all_arguments(self, name: str, label: str):
        case = CASES[label]
        argnums = tuple(range(len(case.args)))
        value, found = dl.value_and_gradient(case.function, argnums, chosen(name, case, argnums))(*case.args)
        np.testing.assert_allclose(value, case.function(*case.args), rtol=1e-14)
        assert_close(found, case.gradient(*case.args), name)

    def test_jvp(self, name: str, label: str):
        case = CASES[label]
        along = direction(case.args)
        argnums = tuple(range(len(case.args)))
        value, tangent = dl.jvp(case.function, case.args, along, backend=chosen(name, case, argnums))
        np.testing.assert_allclose(value, case.function(*case.args), rtol=1e-14)
        wanted = dot(case.gradient(*case.args), along)
        assert abs(tangent - wanted) <= (1e-9 if name == "finite" else 1e-13) * max(1.0, abs(wanted))

    def test_vjp(self, name: str, label: str):
        case = CASES[label]
        argnums = tuple(range(len(case.args)))
        value, pullback = dl.vjp(case.function, *case.args, backend=chosen(name, case, argnums))
        np.testing.assert_allclose(value, case.function(*case.args), rtol=1e-14)
        half = [0.5 * np.asarray(leaf) for leaf in flatten(case.gradient(*case.args))[0]]
        assert_close(pullback(0.5), half, name)

    def test_prepared_runs_every_operator_at_another_point(self, name: str, label: str):
        case = CASES[label]
        argnums = tuple(range(len(case.args)))
        backend = chosen(name, case, argnums)
        leaves, structure = flatten(case.args)
        there = unflatten(structure, [leaf * 1.1 for leaf in leaves])
        prepared = dl.prepare(case.function, *case.args, argnums=argnums, backend=backend)
        wanted = case.gradient(*there)
        assert_close(prepared(*there), wanted, name)
        assert_close(prepared.value_and_gradient(*there)[1], wanted, name)
        np.testing.assert_allclose(prepared.value(*there), case.function(*there), rtol=1e-14)
        np.testing.assert_allclose(prepared.jvp(there, there)[1], dot(wanted, there), rtol=1e-8, atol=1e-12)
        assert_close(prepared.vjp(*there)[1](1.0), wanted, name)
        assert prepared.stats["traces"] == 1


@pytest.mark.parametrize("name", ALL)
def test_float32_in_float32_out(name: str):
    case = CASES["network"]
    leaves, structure = flatten(case.args)
    args = unflatten(structure, [leaf.astype("f4") for leaf in leaves])
    value, found = dl.value_and_gradient(case.function, 0, chosen(name, case, 0))(*args)
    assert {leaf.dtype for leaf in flatten((value, found))[0]} == {np.dtype("float32")}
    assert_close(found, case.gradient(*case.args)[0], name, "float32")


@pytest.mark.parametrize("scheme", ["forward", "central"])
@pytest.mark.parametrize("step", [1e-2, 1e-3])
def test_error_of_finite_differences_is_what_theory_says(scheme: str, step: float):
    error = dl.gradient(np.exp, backend=dl.Finite(scheme=scheme, step=step))(1.0) - math.e
    leading = math.e * (step / 2 if scheme == "forward" else step**2 / 6)
    assert error == pytest.approx(leading, rel=2 * step)


def test_a_step_that_rounding_swallows_gives_zero():
    assert dl.gradient(lambda x: x * x, backend=dl.Finite(step=1e-20))(1.0) == 0.0


@pytest.mark.parametrize("x", [-1e8, -1.0, 0.0, 1e-8, 3.0, 1e8])
def test_the_automatic_step_grows_with_the_variable(x: float):
    np.testing.assert_allclose(dl.gradient(np.square, backend="finite")(x), 2 * x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_forecasts_are_sane(name: str):
    case = CASES["network"]
    made = source(case.function, case.args)
    n = sum(leaf.size for leaf in NET.values())
    cost = backends.find(name).predict(made.tape, "gradient", made.wrt)
    assert isinstance(cost, Cost)
    assert cost.flops > made.tape.flops * 0.5
    assert cost.nbytes >= 8 * n
    calls = {"finite": 2 * n + 1, "forward": n}.get(name)
    if calls is not None:
        assert cost.primal_calls == calls
    assert 0 <= cost.primal_calls < 1e6


def test_forecast_of_one_sided_differences_and_of_the_null_backend():
    made = source(CASES["network"].function, CASES["network"].args)
    assert dl.Finite(scheme="forward").predict(made.tape, "gradient", made.wrt).primal_calls == 13
    assert dl.Null().predict(made.tape, "gradient", made.wrt)[:2] == (0.0, 0.0)


def test_null_answers_zeros_in_the_right_structure():
    found = dl.gradient(network, backend="null")(*CASES["network"].args)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in NET.items()}
    assert not any(np.any(v) for v in found.values())


# ---------------------------------------------------------------------------- the protocol


@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_backends_are_frozen_dataclasses_that_print_themselves(name: str):
    backend = backends.find(name)
    assert isinstance(backend, Backend)
    assert dataclasses.is_dataclass(backend)
    assert backend.name == name
    assert backend.family in ("finite", "complex-step", "symbolic", "forward", "reverse", "analytic", "null")
    assert backend.unavailable() is None
    kind = type(backend)
    module = importlib.import_module(kind.__module__)
    assert eval(repr(backend), vars(module)) == backend
    with pytest.raises(dataclasses.FrozenInstanceError):
        backend.name = "other"  # type: ignore[misc] (a fault on purpose)


@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_capabilities_are_operators_that_work(name: str):
    backend = backends.find(name)
    assert backend.capabilities <= {
        *OPERATORS,
        *MANY,
        "nest",
        "black-box",
        "bare",
        "error-estimate",
        "sizes",
        "live-data",
    }
    if name == "analytic":
        backend = analytic(CASES["scalar"], 0)
    for operator in {"gradient", "value_and_gradient"} & backend.capabilities:
        assert dl.prepare(scalar, 0.7, backend=backend, operator=operator)(0.7) is not None


@dataclasses.dataclass(frozen=True)
class Partial:
    """A third party's backend that can only do gradients, by calling ours."""

    name: str = "partial"
    family: str = "peer"
    capabilities: frozenset[str] = frozenset({"gradient", "value_and_gradient"})
    missing: str | None = None

    def unavailable(self) -> str | None:
        return self.missing

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Cost(1.0, 0.0, 0.0)

    def prepare(self, source: Source, operator: str, example: Any) -> Any:
        return dl.Reverse().prepare(source, operator, example)


def test_a_backend_of_a_third_party_passed_by_value_works():
    assert dl.gradient(lambda x: x * x, backend=Partial())(3.0) == 6.0
    assert dl.prepare(lambda x: x * x, 3.0, backend=Partial()).gradient(4.0) == 8.0


@pytest.mark.parametrize("operator", ["hvp", "hessian"])
def test_what_does_not_follow_from_what_is_declared_is_refused_by_name(operator: str):
    text = rf"backend 'partial' cannot do '{operator}': it declares neither 'hvp' nor 'hessian', and its first"
    with pytest.raises(UnsupportedError, match=text):
        dl.prepare(lambda x: x * x, 3.0, backend=Partial(), operator=operator)
    prepared = dl.prepare(lambda x: x * x, 3.0, backend=Partial())
    with pytest.raises(UnsupportedError, match=text):
        getattr(prepared, operator)(3.0, *[1.0] * (operator == "hvp"))
    with pytest.raises(UnsupportedError, match=text):
        getattr(dl, operator)(scalar, backend=Partial())


@pytest.mark.parametrize("name", [name for name in backends.BUILT_IN if "nest" not in backends.find(name).capabilities])
def test_backends_that_do_not_nest_say_so(name: str):
    inner = analytic(CASES["scalar"], 0) if name == "analytic" else name
    given = lambda x: dl.gradient(scalar, backend=inner)(x)  # noqa: E731
    closed = lambda x: x * dl.gradient(lambda y: x * y, backend=inner)(1.0)  # noqa: E731
    for f in (given, closed):
        with pytest.raises(UnsupportedError, match=f"backend {name!r} cannot be used inside another derivative"):
            dl.gradient(f)(0.5)


def test_entry_points_bring_more_backends(monkeypatch: pytest.MonkeyPatch):
    entry = EntryPoint("partial", f"{__name__}:Partial", "difflab.backends")
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry] if group == "difflab.backends" else [])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Partial)
    assert backends.names() == [*backends.BUILT_IN, *backends.PEERS, "partial"]
    assert backends.find("partial") == Partial()
    assert dl.gradient(lambda x: x * x, backend="partial")(3.0) == 6.0
    with pytest.raises(InputError, match="did you mean 'partial'"):
        backends.find("partiel")


def test_a_missing_requirement_is_a_sentence():
    missing = Partial(missing="it needs the package example; pip install example")
    with pytest.raises(UnavailableError, match="backend 'partial' cannot be used: it needs the package example"):
        dl.gradient(scalar, backend=missing)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dl.Finite(scheme="centre"), "the schemes are 'forward', 'backward', 'central', 'richardson'"),
        (lambda: dl.Finite(step=0.0), "'auto' or a positive number"),
        (lambda: dl.Finite(step=-1e-3), "'auto' or a positive number"),
        (lambda: dl.Finite(step=math.nan), "'auto' or a positive number"),
        (lambda: dl.Finite(step=math.inf), "'auto' or a positive number"),
        (lambda: dl.Finite(step="small"), "'auto' or a positive number"),
        (lambda: dl.Finite(step=True), "'auto' or a positive number"),
        (lambda: backends.find("finite", stepp=1), r"backend 'finite' has no option 'stepp' \(did you mean 'step'\?\)"),
        (lambda: backends.find("revers"), r"unknown backend 'revers' \(did you mean 'reverse'\?\)"),
        (lambda: dl.gradient(scalar, backend=None), "neither a name .* nor a backend"),  # type: ignore[arg-type] (a fault)
        (lambda: dl.gradient(scalar, backend=3), "neither a name .* nor a backend"),  # type: ignore[arg-type] (a fault)
    ],
)
def test_options_are_checked_when_they_are_given(make: Callable, text: str):
    with pytest.raises(InputError, match=text):
        make()


def test_numpy_numbers_are_steps():
    step: Any = np.float32(2.0**-10)
    assert dl.gradient(np.square, backend=dl.Finite(step=step))(3.0) == 6.0


# ---------------------------------------------------------------------------- analytic


def test_analytic_needs_a_derivation():
    with pytest.raises(UnsupportedError, match="needs a gradient derived by hand"):
        dl.gradient(scalar, backend="analytic")(1.0)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x, y: 3.0, r"to return \(value, gradient\)"),
        (lambda x, y: (1.0, (y, x, x)), "a tuple of 2 gradients"),
        (lambda x, y: (1.0, 2.0), "a tuple of 2 gradients"),
        (lambda x, y: (1.0, (y[:1], x)), r"shape \(1,\) for a variable of shape \(2,\)"),
        (lambda x, y: (1.0, ({"y": y}, x)), "structure is not its argument's"),
        (lambda x, y: (x * y, (y, x)), r"to return a scalar, and its value has shape \(2,\)"),
    ],
)
def test_what_a_derivation_returns_is_checked(answer: Callable, text: str):
    with pytest.raises(InputError, match=text):
        dl.gradient(lambda x, y: np.sum(x * y), (0, 1), dl.Analytic(answer))(np.ones(2), np.ones(2))


def test_analytic_results_have_the_variables_dtype_and_are_not_the_arguments():
    y = np.ones(2, "f4")
    found = dl.gradient(lambda x, y: np.sum(x * y), backend=dl.Analytic(lambda x, y: (np.sum(x * y), y)))(np.ones(2), y)
    assert found.dtype == np.float64
    again = dl.gradient(lambda x, y: np.sum(x * y), backend=dl.Analytic(lambda x, y: (np.sum(x * y), y)))(y * 2, y)
    assert again.dtype == np.float32
    assert not np.shares_memory(again, y)
