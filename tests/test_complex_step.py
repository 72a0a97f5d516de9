"""The complex step: exact to the last digits on the tape and on black boxes, and refused where it would lie."""

from __future__ import annotations

import cmath
import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from grouped import one_test_each
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.backends import find
from difflab.backends.complexify import complexify
from difflab.backends.protocol import OPERATORS
from difflab.errors import InputError, UnsupportedError
from difflab.execution.program import Program
from difflab.operators import source
from difflab.primitives import REGISTRY
from difflab.testing import check_backend
from difflab.tracing import trace_leaves
from difflab.transforms import jvp

STEP = 2.0**-664


def loss(p: Any, x: Any) -> Any:
    h = np.maximum(x @ p["w"] + p["b"], 0.0)
    return np.mean((np.tanh(h @ p["v"]) - 0.3) ** 2) + 0.1 * np.sum(np.abs(p["w"])) * p["s"]


RNG = np.random.default_rng(7)
POINT = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4), "v": RNG.normal(size=4), "s": 1.5}
X = RNG.normal(size=(5, 3))


def assert_near(found: Any, wanted: Any, rtol: float = 1e-13) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert np.linalg.norm(found - wanted) <= rtol * np.linalg.norm(wanted)


# ---------------------------------------------------------------------------- operators


def test_it_passes_the_checks_of_a_backend():
    report = check_backend("complex-step", rtol=1e-10)
    assert report.comparisons > 300


def test_gradients_are_exact():
    found, wanted = dl.gradient(loss, backend="complex-step")(POINT, X), dl.gradient(loss)(POINT, X)
    for key in POINT:
        assert_near(found[key], wanted[key], 1e-14)
    value, _ = dl.value_and_gradient(loss, backend="complex-step")(POINT, X)
    assert value == loss(POINT, X)


@pytest.mark.parametrize("chunk", [1, 3, "auto"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_in_chunks(operator: str, chunk: Any):
    x, v = np.array([0.3, -1.2, 0.8, 2.0]), np.array([1.0, -2.0, 0.5, 0.1])

    def waves(x: Any) -> Any:
        return np.sin(x[:3]) * x[1:]

    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x[::-1] ** 2) + np.linalg.norm(x)

    def run(backend: Any) -> Any:
        if operator == "jvp":
            return dl.jvp(waves, (x,), (v,), backend)[1]
        if operator == "vjp":
            return dl.vjp(waves, x, backend=backend)[1](v[:3])[0]
        if operator == "jacobian":
            return dl.jacobian(waves, 0, backend)(x)
        found = getattr(dl, operator)(f, 0, backend)(*[x, v][: 2 if operator == "hvp" else 1])
        return found[1] if operator == "value_and_gradient" else found

    assert_near(run(dl.ComplexStep(chunk=chunk)), run("reverse"), 1e-11 if operator in ("hvp", "hessian") else 1e-14)


def test_forecast_and_report_are_the_evaluations_made():
    calls = []

    def box(x: Any) -> Any:
        calls.append(1)
        assert len(x.tolist()) == 3
        return np.sum(np.exp(x) * x[::-1])

    x = np.array([0.3, 0.4, 0.5])
    made = source(lambda x: np.sum(np.exp(x) * x[::-1]), (x,))
    for operator, count in (("gradient", 4), ("hvp", 12)):
        prepared = dl.prepare(box, x, backend="complex-step", operator=operator)
        calls.clear()
        prepared(*[x, np.ones(3)][: 1 + (operator == "hvp")])
        assert prepared.stats["black_box"]
        assert len(calls) == count
        assert prepared.stats["primal_calls"] == len(calls)
        assert dl.ComplexStep().predict(made.tape, operator, made.wrt).primal_calls == len(calls)


def test_float32_and_float16():
    for dtype, tolerance in (("float32", 1e-6), ("float16", 2e-3)):
        p = {key: np.asarray(value, dtype) for key, value in POINT.items()}
        found = dl.gradient(loss, backend="complex-step")(p, X.astype(dtype))
        wanted = dl.gradient(loss)({k: v.astype(float) for k, v in p.items()}, X.astype(dtype).astype(float))
        for key in p:
            assert found[key].dtype == np.dtype(dtype)
            assert_near(found[key].astype(float), wanted[key], tolerance)


def test_single_precision_on_the_way_does_not_lose_the_step():
    def f(x: Any) -> Any:
        return np.sum(np.sin(x).astype(np.float32) ** 2)

    x = np.array([0.3, 1.1])
    assert_near(dl.gradient(f, backend="complex-step")(x), np.sin(2 * x), 1e-6)
    with pytest.raises(InputError, match=r"ComplexStep\(step=1e-100\): the step is nothing in single precision"):
        dl.gradient(f, backend=dl.ComplexStep(1e-100))(x)


@settings(max_examples=50, deadline=None)
@given(st.floats(-280.0, 280.0), st.sampled_from([-1.0, 1.0]))
def test_tiny_and_huge_arguments(power: float, sign: float):
    x = sign * 10.0**power
    found = dl.gradient(np.arctan, backend="complex-step")(x)
    assert found == pytest.approx(1 / (1 + x * x) if power < 100 else 0.0, rel=1e-12)
    x = sign * 10.0 ** (power / 4)
    assert dl.gradient(lambda x: np.log(x * x), backend="complex-step")(x) == pytest.approx(2 / x, rel=1e-12)


@pytest.mark.parametrize("inner", ["complex-step", "reverse"])
@pytest.mark.parametrize("outer", ["reverse", "forward", "finite"])
def test_inside_another_derivative(inner: str, outer: str):
    def f(x: Any) -> Any:
        slopes = dl.gradient(lambda y: np.sum(np.sin(y) * y**3 / x), backend=inner)(x)
        return np.sum(slopes**2) + dl.jvp(lambda y: np.sum(np.exp(y)), (x,), (x,), inner)[1]

    x = np.array([0.4, 0.9])
    assert_near(dl.gradient(f, backend=outer)(x), dl.gradient(f)(x), 1e-8 if outer == "finite" else 1e-13)
    product = dl.gradient(lambda x: np.sum(dl.hvp(lambda y: np.sum(y**4), backend=inner)(x, x)), backend=outer)(x)
    np.testing.assert_allclose(product, 36 * x**2, rtol=1e-6)
    table = dl.gradient(lambda x: np.sum(dl.jacobian(lambda y: y**3, backend=inner)(x)), backend=outer)(x)
    np.testing.assert_allclose(table, 6 * x, rtol=1e-7)
    pulled = dl.gradient(lambda x: np.sum(dl.vjp(np.sin, x, backend=inner)[1](x)[0]), backend=outer)(x)
    np.testing.assert_allclose(pulled, np.cos(x) - x * np.sin(x), rtol=1e-7)


def test_it_does_not_nest_in_itself():
    with pytest.raises(UnsupportedError, match="cannot go through `complex_of`: the function has complex numbers"):
        dl.gradient(lambda x: dl.gradient(np.sin, backend="complex-step")(x), backend="complex-step")(0.5)


# ---------------------------------------------------------------------------- primitives


def _cases() -> dict[str, dict[str, tuple[Any, ...]]]:
    groups = {}
    for primitive in REGISTRY:
        found: list[tuple[Any, ...]] = []
        if primitive.kind == "elementwise" and primitive.samples is None:
            rng = np.random.default_rng(len(primitive.name))
            pairs = primitive.domain * (primitive.arity // len(primitive.domain))
            found.append((primitive, tuple(rng.uniform(*pair, size=20) for pair in pairs), {}))
            for special in primitive.special:
                values = special if isinstance(special, tuple) else (special,)
                found.append((primitive, tuple(np.array([float(value)]) for value in values), {}))
        else:
            found += [(primitive, args, params) for args, params in (primitive.samples() if primitive.samples else [])]
        if found:
            groups[primitive.name] = {str(number): case for number, case in enumerate(found)}
    return groups


REFUSED = {
    "cholesky", "pinv", "det_derivative", "eigh", "eigvalsh", "svd", "svdvals", "qr", "erfinv", "erfcinv", "ndtri",
    "cosm1", "sindg", "cosdg", "entr", "rel_entr", "kl_div", "huber", "pseudo_huber", "boxcox", "inv_boxcox", "sinc",
    "exprel", "polygamma", "gammaln", "beta", "betaln", "gammainc", "gammaincc", "gammaincinv", "betainc", "zeta",
    "jv", "yv", "iv", "kv", "yn", "ive", "kve", "j0", "j1", "y0", "y1", "i0", "i1", "k0", "k1", "i0e", "i1e", "k0e",
    "k1e", "numpy_i0", "expi", "expn", "eig", "eigvals", "fft", "rfft", "irfft", "complex_of", "real", "imag",
    "conjugate", "complex_abs", "lanes",
}  # fmt: skip


@one_test_each(_cases())
def test_every_primitive_carries_its_derivative_or_is_refused(primitive: Any, args: Any, params: dict):
    """Against the tangent by its own rule, kinks and edges of domains included."""
    args = [np.asarray(arg) for arg in args]
    tape = trace_leaves(lambda leaves: [primitive(*leaves, **params)], args)
    out = tape.avals[tape.outputs[0]].dtype
    for position, x in enumerate(args):
        if x.dtype.kind != "f":
            continue
        direction = np.cos(1.0 + np.arange(x.size)).reshape(x.shape)
        if primitive.name in REFUSED:
            with pytest.raises(UnsupportedError, match=f"backend 'complex-step' cannot go through `{primitive.name}`"):
                complexify(tape, (position,))
            continue
        beside = complexify(tape, (position,)).check()
        single = any(aval.dtype == np.complex64 for aval in beside.avals)
        step = 2.0**-66 if single else STEP
        here = list(args)
        here[position] = x + 1j * step * direction
        with np.errstate(all="ignore"):
            found = Program(beside).run(here)[0] / step
            wanted = Program(jvp(tape, (position,))).run([*args, direction])[1]
            wanted = wanted if out.kind == "f" else np.zeros(found.shape)
        known = np.isfinite(wanted)
        assert np.array_equal(np.isfinite(found), known)
        size = float(np.max(np.abs(wanted[known]), initial=0.0))
        allowed = (1e-6 if single else 1e-13) * max(size, 1e-2)
        assert np.max(np.abs(found[known] - wanted[known]), initial=0.0) <= allowed


@pytest.mark.parametrize(
    ("function", "x", "slope"),
    [
        (np.abs, -2.0, -1.0), (np.abs, 0.0, 0.0), (lambda x: np.maximum(x, 0.0), 0.0, 0.5), (dl.nn.relu, 0.0, 0.0),
        (lambda x: np.maximum(x, 1.0), -3.0, 0.0), (lambda x: np.max(np.stack([x, x, -x])), 1.0, 1.0),
        (lambda x: np.clip(x, -1.0, 1.0), 1.0, 0.5), (lambda x: np.sqrt(x * x), -2.0, -1.0),
        (lambda x: np.sort(np.stack([x, -x, 0.0]))[0], 2.0, -1.0), (lambda x: np.where(x > 0, x, -3 * x), -1.0, -3.0),
        (lambda x: x**2.0, -3.0, -6.0), (lambda x: x**3, 0.0, 0.0), (lambda x: np.sign(x) * x, -2.0, -1.0),
        (lambda x: np.power(-2.0, np.floor(x)) * x, 2.5, 4.0), (np.cbrt, -8.0, 1 / 12), (lambda x: x % 2.0, 5.5, 1.0),
        (lambda x: np.hypot(x, 0.0), 0.0, 0.0), (lambda x: np.arctan2(x, -1.0), 0.5, -1 / 1.25),
        (lambda x: np.logaddexp(x, 1e4), 1e4, 0.5), (lambda x: np.log1p(np.exp(-np.abs(x))) ** 2, 40.0, None),
        (lambda x: np.linalg.slogdet(np.stack([np.stack([x, 2.0]), np.stack([3.0, 1.0])]))[1], 1.0, -0.2),
        (lambda x: np.linalg.norm(np.stack([x, 0.0 * x])), 0.0, 0.0), (lambda x: np.floor(x) * x, 2.5, 2.0),
        (lambda x: 1.0 / (1.0 / x), 0.5, 1.0), (lambda x: np.median(np.stack([x, 1.0, 3.0])), 2.0, 1.0),
    ],
)  # fmt: skip
def test_choices_go_by_the_real_part_and_ties_by_the_table(function: Any, x: float, slope: float | None):
    found = dl.gradient(function, backend="complex-step")(x)
    assert found == pytest.approx(dl.gradient(function)(x) if slope is None else slope, rel=1e-14, abs=0.0)


@pytest.mark.parametrize("function", [np.log, np.sqrt, np.arcsin, np.arccosh, np.log1p, lambda x: x**0.5])
def test_what_is_no_real_number_has_no_derivative(function: Any):
    with np.errstate(all="ignore"):
        assert np.isnan(dl.gradient(function, backend="complex-step")(-2.0))


def test_the_edge_of_a_domain_follows_the_table():
    with np.errstate(all="ignore"):
        found = dl.gradient(lambda x: np.sum(np.sqrt(x)), backend="complex-step")(np.array([0.0, 4.0]))
    assert found.tolist() == [np.inf, 0.25]


def test_python_branches_by_the_real_part():
    def f(x: Any) -> Any:
        return x * x if x > 1.0 else -x

    prepared = dl.prepare(f, 2.0, backend="complex-step")
    assert [prepared(3.0), prepared(0.5), prepared(1.0)] == [6.0, -1.0, -1.0]


def test_users_primitives_are_refused_by_name():
    from own_gates import TRACED
    from own_gates import X as AT

    with pytest.raises(UnsupportedError, match=r"cannot go through the primitive `own_gates:gate`, of whose complex"):
        dl.gradient(lambda x: np.sum(TRACED[0](x, x)), backend="complex-step")(np.asarray(AT, float))


# ---------------------------------------------------------------------------- black boxes


def test_black_boxes_take_complex_numbers():
    def f(x: float) -> Any:
        return cmath.sin(x) * x**2 if isinstance(x, complex) else math.sin(x) * x**2

    prepared = dl.prepare(f, 0.7, backend="complex-step")
    assert prepared.stats["black_box"]
    wanted = math.cos(0.7) * 0.49 + 1.4 * math.sin(0.7)
    assert prepared(0.7) == pytest.approx(wanted, rel=1e-15)
    assert prepared.value(0.7) == f(0.7)
    assert prepared.jvp((0.7,), (2.0,))[1] == pytest.approx(2 * wanted, rel=1e-15)
    assert prepared.hvp(0.7, 1.0) == pytest.approx(dl.hvp(lambda x: np.sin(x) * x**2)(0.7, 1.0), rel=1e-10)


def opaque(function: Any) -> Any:
    """A black box: it asks for the numbers one by one."""

    def run(x: Any) -> Any:
        x.tolist()
        return function(x)

    return run


@pytest.mark.parametrize("function", [
    lambda x: np.sum(np.exp(x) * np.sin(x[::-1])), lambda x: np.prod(x) / (1.0 + np.sum(x * x)),
    lambda x: np.linalg.det(np.outer(x, x) + np.eye(3)), lambda x: np.sum(np.where(x.real > 0, x, -2 * x)),
])  # fmt: skip
def test_black_boxes_and_the_tape_agree(function: Any):
    x = np.array([0.4, -0.7, 1.3])
    black = dl.gradient(opaque(function), backend="complex-step")(x)
    traced = function if "real" not in function.__code__.co_names else lambda x: np.sum(np.where(x > 0, x, -2 * x))
    assert_near(black, dl.gradient(traced, backend="complex-step")(x), 1e-14)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: np.sum(np.abs(x)), "returns a real number for a complex one"),
        (lambda x: np.linalg.norm(x), "returns a real number for a complex one"),
        (lambda x: np.sum(x.real**2), "returns a real number for a complex one"),
        (lambda x: np.sum(x**2 + np.abs(x)), "along a line the function's imaginary part says .* differences say"),
        (lambda x: np.sum(x**2) + np.sum(x.real**3), "along a line the function's imaginary part says"),
        (lambda x: np.sum(x * np.conj(x)), "along a line the function's imaginary part says"),
        (lambda x: np.sum(x.astype(float)), r"at test_complex_step.py:\d+ the function drops the imaginary part"),
        (lambda x: math.sin(x[0]) + x[1], r"at test_complex_step.py:\d+ the function drops the imaginary part"),
        (lambda x: math.sin(x.tolist()[0]) + x[1], r"takes no complex numbers \(TypeError at test_complex_step.py:\d+"),
        (lambda x: max(x.tolist()), r"takes no complex numbers \(TypeError at test_complex_step.py:\d+: '>' not"),
        (lambda x: np.sum(x) * 1j, "needs a function of real numbers, and this one returns complex ones"),
        (lambda x: np.sum(np.floor(x)), "takes no complex numbers"),
    ],
)
def test_black_boxes_that_lose_the_imaginary_part_are_refused(function: Any, text: str):
    x = np.array([0.4, -0.7, 1.3])
    with pytest.raises(UnsupportedError, match=text) as caught:
        dl.prepare(opaque(function), x, backend="complex-step", operator="jacobian")
    assert "backend 'complex-step'" in str(caught.value)
    assert "use backend 'finite'" in str(caught.value)


def test_black_boxes_in_several_threads():
    prepared = dl.prepare(opaque(lambda x: np.sum(np.exp(x))), np.zeros(3), backend="complex-step")
    points = [np.full(3, 0.1 * k) for k in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for x, found in zip(points, pool.map(prepared, points), strict=True):
            assert_near(found, np.exp(x), 1e-15)


def test_random_black_boxes_draw_the_same_numbers_at_all_points():
    def f(x: Any) -> Any:
        x.tolist()
        return np.sum(x**2) * np.random.normal()  # noqa: NPY002 (what users draw from)

    x = np.array([1.0, 2.0, 3.0])
    found = dl.gradient(f, backend="complex-step")(x)
    np.testing.assert_allclose(found / found[0], [1.0, 2.0, 3.0], rtol=1e-14)


def test_black_boxes_in_single_precision():
    found = dl.gradient(opaque(lambda x: np.sum(np.sin(x) ** 2)), backend="complex-step")(np.array([0.3, 1.1], "f4"))
    assert_near(found.astype(float), np.sin(2 * np.array([0.3, 1.1], "f4").astype(float)), 1e-6)


# ---------------------------------------------------------------------------- refusals and options


def test_complex_variables_are_refused_by_name():
    with pytest.raises(UnsupportedError, match="differentiates by real variables only, and z is complex"):
        dl.prepare(lambda z: np.abs(z) ** 2, 1.0 + 2.0j, backend="complex-step")


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2), "fft"), (lambda x: np.linalg.svd(x * np.eye(2))[1][0], "svd"),
     (lambda x: np.real(np.sum(x * (1 + 2j))), "cast")],
)  # fmt: skip
def test_what_is_not_analytic_is_refused_by_name(function: Any, name: str):
    with pytest.raises(UnsupportedError, match=f"cannot go through `.*{name}.*`.*use backend 'forward'"):
        dl.gradient(function, backend="complex-step")(np.array([1.0, 2.0]))


def test_options():
    assert find("complex-step") == dl.ComplexStep() == dl.ComplexStep("auto", "auto")
    assert repr(dl.ComplexStep(1e-8, 2)) == "ComplexStep(step=1e-08, chunk=2)"
    assert (dl.ComplexStep().name, dl.ComplexStep().family) == ("complex-step", "complex-step")
    with pytest.raises(dataclasses.FrozenInstanceError):
        dl.ComplexStep().step = 1.0  # type: ignore[misc] (that is the point)
    for step in (0.0, -1.0, math.inf, math.nan, "small", True):
        with pytest.raises(InputError, match=r"ComplexStep\(step=.*'auto' or a positive number"):
            dl.ComplexStep(step)


@pytest.mark.parametrize("step", [1e-1, 1e-2])
def test_a_given_step_has_the_error_of_theory(step: float):
    error = dl.gradient(np.exp, backend=dl.ComplexStep(step))(1.0) - math.e
    assert error == pytest.approx(-math.e * step**2 / 6, rel=step)
