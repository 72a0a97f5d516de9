"""jacobian, hessian and hvp inside other derivatives and prepared; what they refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jacobian_cases import EXACT, M23, NESTING, X3, Case, differences, second_reference

import difflab as dl
from difflab.errors import ForecastError, InputError, UnsupportedError

# ---------------------------------------------------------------------------- nesting


def f3(x):
    return np.sum(np.tanh(x) ** 2 * np.array([1.0, 2.0, 3.0])) + x[0] * x[1] * x[2]


H3 = np.asarray(second_reference(Case(f3, (X3,))))
V3 = np.array([1.0, -0.5, 2.0])


@pytest.mark.parametrize("inner", NESTING)
@pytest.mark.parametrize("outer", ["forward", "reverse"])
class TestNesting:
    @pytest.fixture
    def near(self, inner: str) -> dict[str, Any]:
        return {"rtol": 1e-3 if inner == "finite" else 1e-8, "atol": 1e-4 if inner == "finite" else 1e-9}

    def test_jacobian_of_the_gradient(self, inner: str, outer: str, near: dict[str, Any]):
        np.testing.assert_allclose(dl.jacobian(dl.gradient(f3, backend=inner), 0, outer)(X3), H3, **near)

    def test_gradient_of_what_uses_a_jacobian(self, inner: str, outer: str, near: dict[str, Any]):
        squared = lambda x: np.sum(dl.jacobian(f3, 0, inner)(x) ** 2)  # noqa: E731
        np.testing.assert_allclose(dl.gradient(squared, 0, outer)(X3), 2 * H3 @ dl.gradient(f3)(X3), **near)

    def test_gradient_of_what_uses_a_product(self, inner: str, outer: str, near: dict[str, Any]):
        product = lambda x: np.sum(dl.hvp(f3, 0, inner)(x, V3) * V3)  # noqa: E731
        trace = lambda x: V3 @ dl.hessian(f3, 0, inner)(x) @ V3  # noqa: E731
        third = differences(lambda at: [np.einsum("ij,i,j", dl.hessian(f3)(at[0]), V3, V3)], [X3])[0][0]
        np.testing.assert_allclose(dl.gradient(product, 0, outer)(X3), third, **near)
        np.testing.assert_allclose(dl.gradient(trace, 0, outer)(X3), third, **near)

    def test_a_traced_vector(self, inner: str, outer: str, near: dict[str, Any]):
        found = dl.gradient(lambda v: np.sum(dl.hvp(f3, 0, inner)(X3, v) ** 2), 0, outer)(V3)
        np.testing.assert_allclose(found, 2 * H3 @ H3 @ V3, **near)

    @pytest.mark.parametrize("operator", ["jacobian", "hessian", "hvp"])
    def test_a_closure_over_a_traced_value(self, inner: str, outer: str, near: dict[str, Any], operator: str):
        vector = (V3,) if operator == "hvp" else ()

        def outside(s):
            return np.sum(getattr(dl, operator)(lambda x: s * s * f3(x), 0, inner)(X3, *vector))

        plain = {"jacobian": dl.gradient(f3)(X3), "hessian": H3, "hvp": H3 @ V3}[operator]
        np.testing.assert_allclose(dl.gradient(outside, 0, outer)(1.5), 3.0 * np.sum(plain), **near)

    def test_prepared_inside(self, inner: str, outer: str, near: dict[str, Any]):
        prepared = dl.prepare(f3, X3, backend=inner)
        near["atol"] *= 10
        for f, wanted in (
            (lambda x: np.sum(prepared.jacobian(x) * V3), H3 @ V3),
            (lambda x: np.sum(prepared.hvp(x, V3)), None),
            (lambda x: np.sum(prepared.hessian(x) @ V3), None),
        ):
            if wanted is None:
                wanted = differences(lambda at: [np.sum(dl.hessian(f3)(at[0]) @ V3)], [X3])[0][0]
            np.testing.assert_allclose(dl.gradient(f, 0, outer)(X3), wanted, **near)
        found = dl.gradient(lambda v: np.sum(prepared.hvp(X3, v) ** 2), 0, outer)(V3)
        np.testing.assert_allclose(found, 2 * H3 @ H3 @ V3, **near)


@pytest.mark.parametrize("backend", ["forward", "reverse"])
def test_gradient_of_gradient_of_gradient(backend: str):
    derivative = lambda x: x**5  # noqa: E731
    for _ in range(3):
        derivative = dl.gradient(derivative, backend=backend)
    assert derivative(2.0) == pytest.approx(240.0, rel=1e-14)


def test_hessian_of_a_product_with_the_hessian():
    f = lambda x: np.sum(x**4)  # noqa: E731
    found = dl.hessian(lambda x: np.sum(dl.hvp(f)(x, V3)))(X3)
    np.testing.assert_allclose(found, np.diag(24 * V3), rtol=1e-13)


def test_a_jacobian_of_a_jacobian_has_all_three_shapes():
    found = dl.jacobian(dl.jacobian(lambda x: x[:2] * x[2] ** 2, layout="denominator"))(X3)
    assert found.shape == (3, 2, 3)
    np.testing.assert_allclose(found[2, :, 2], 2 * X3[:2])
    np.testing.assert_allclose(found[0, 0], [0, 0, 2 * X3[2]])


def test_trees_nest():
    inner = lambda p: dl.jacobian(lambda q: {"y": q["a"] * p["a"] ** 2 * q["b"]})(p)["y"]["b"]  # noqa: E731
    found = dl.jacobian(inner)({"a": X3, "b": 2.0})
    np.testing.assert_allclose(found["a"], np.diag(3 * X3**2))
    np.testing.assert_array_equal(found["b"], np.zeros(3))


@pytest.mark.parametrize("backend", ["symbolic", dl.Analytic(lambda x: (np.sum(x * x), 2 * x))])
def test_symbolic_and_analytic_do_not_nest(backend: Any):
    with pytest.raises(UnsupportedError, match="cannot be used inside another derivative"):
        dl.gradient(lambda x: np.sum(dl.jacobian(lambda y: np.sum(y * y), 0, backend)(x)))(X3)


# ---------------------------------------------------------------------------- prepared


@pytest.mark.parametrize("name", [*EXACT, "finite"])
@pytest.mark.parametrize("operator", ["jacobian", "hessian", "hvp"])
def test_a_prepared_runs_its_operator_elsewhere_and_on_other_shapes(name: str, operator: str):
    f = lambda x: np.sum(np.sin(x) ** 2)  # noqa: E731
    prepared = dl.prepare(f, X3, backend=name, operator=operator)
    assert repr(prepared).startswith(f"<Prepared {operator} of `<lambda>`")
    for traces, x in ((1, X3 + 1), (2, M23), (2, X3)):
        second = 2 * np.cos(2 * x)
        wanted = {
            "jacobian": np.sin(2 * x),
            "hessian": np.reshape(np.diag(second.ravel()), (*x.shape, *x.shape)),
            "hvp": second * (x + 2),
        }[operator]
        args = (x, x + 2) if operator == "hvp" else (x,)
        near: dict[str, Any] = {"rtol": 1e-3, "atol": 2e-4} if name == "finite" else {"rtol": 1e-12, "atol": 1e-14}
        np.testing.assert_allclose(prepared(*args), wanted, **near)
        np.testing.assert_allclose(getattr(prepared, operator)(*args), wanted, **near)
        assert prepared.stats["traces"] == traces


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("operator", ["gradient", "jvp", "vjp", "jacobian", "hvp", "hessian"])
def test_a_prepared_of_one_operator_has_them_all(name: str, operator: str):
    p = dl.prepare(f3, X3, argnums=-1, backend=name, operator=operator)
    g = dl.gradient(f3)(X3)
    near: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-8}
    np.testing.assert_allclose(p.gradient(X3), g, **near)
    np.testing.assert_allclose(p.jacobian(X3), g, **near)
    np.testing.assert_allclose(p.hessian(X3), H3, **near)
    np.testing.assert_allclose(p.hvp(X3, V3), H3 @ V3, **near)
    np.testing.assert_allclose(p.jvp((X3,), (V3,))[1], g @ V3, **near)
    np.testing.assert_allclose(p.vjp(X3)[1](2.0)[0], 2 * g, **near)
    assert p.stats["traces"] == 1


@pytest.mark.parametrize("name", [*EXACT, "finite"])
def test_another_branch_is_traced_again(name: str):
    def f(x):
        return np.sum(x**3) if x[0] > 0 else np.sum(x**2)

    prepared = dl.prepare(f, np.abs(X3), backend=name)
    near: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3} if name == "finite" else {"rtol": 1e-12}
    for x in (np.abs(X3), -np.abs(X3), np.abs(X3) + 1):
        power = 3 if x[0] > 0 else 2
        np.testing.assert_allclose(prepared.hessian(x), np.diag(power * (power - 1) * x ** (power - 2)), **near)
        np.testing.assert_allclose(prepared.hvp(x, V3), power * (power - 1) * x ** (power - 2) * V3, **near)
        np.testing.assert_allclose(prepared.jacobian(x), power * x ** (power - 1), **near)
    assert prepared.stats["traces"] == 2


def test_default_backends_of_prepare():
    assert dl.prepare(f3, X3).backend == dl.Reverse()
    assert dl.prepare(f3, X3, operator="jvp").backend == dl.Forward()
    assert dl.prepare(f3, X3, operator="jacobian").backend == dl.Reverse()
    assert dl.prepare(lambda x: np.outer(x, x), X3, operator="jacobian").backend == dl.Forward()
    assert dl.prepare(f3, X3, operator="hessian").backend == dl.Reverse()


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_eight_threads_on_one_prepared(name: str):
    prepared = dl.prepare(f3, X3, backend=name)
    prepared.hvp(X3, V3)
    points = [X3 + 0.1 * i for i in range(8)]
    wanted = [(dl.jacobian(f3, 0, name)(x), dl.hvp(f3, 0, name)(x, V3), dl.hessian(f3, 0, name)(x)) for x in points]
    wrong: list[Any] = []

    def work(x: np.ndarray, expected: tuple) -> None:
        for _ in range(30):
            found = prepared.jacobian(x), prepared.hvp(x, V3), prepared.hessian(x)
            if not all(np.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(found, expected, strict=True)):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(points, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert prepared.stats["traces"] == 1


def test_black_boxes_have_jacobians_and_hessians_by_differences():
    def f(x):
        return np.array([float(x[0]) ** 2 * float(x[1])])[0]

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(dl.jacobian(f, 0, "finite")(x), [4.0, 1.0], rtol=1e-8)
    np.testing.assert_allclose(dl.hessian(f, 0, "finite")(x), [[4.0, 2.0], [2.0, 0.0]], atol=1e-3)
    np.testing.assert_allclose(dl.hvp(f, 0, "finite")(x, np.array([1.0, 1.0])), [6.0, 2.0], atol=1e-3)
    np.testing.assert_allclose(dl.prepare(f, x, backend="finite", operator="hessian")(x)[0, 1], 2.0, atol=1e-3)


# ---------------------------------------------------------------------------- errors

SQUARE = {"a": np.ones(2), "b": 1.0}


def square(p):
    return np.sum(p["a"] ** 2) * p["b"] ** 2


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda: dl.jacobian(f3, layout="rows"), "layout='rows': the layouts of a Jacobian are 'numerator' and 'denom"),
        (lambda: dl.jacobian(f3, X3), r"argnums of `f3` is an integer .*write dl\.jacobian\(function\)\(\*arguments\)"),
        (lambda: dl.hessian(f3, X3), r"argnums of `f3` is an integer .*write dl\.hessian\(function\)\(\*arguments\)"),
        (lambda: dl.hvp(f3, X3), r"argnums of `f3` is an integer .*write dl\.hvp\(function\)\(\*arguments\)"),
        (lambda: dl.jacobian(f3, 1)(X3), "argnums=1 for `f3`: the call has 1 positional arguments"),
        (lambda: dl.jacobian(f3)(np.arange(3)), "with respect to x, which is an array of dtype int64: only floating"),
        (lambda: dl.hessian(square)({"a": np.ones(2), "b": 1}), r"with respect to p\['b'\], which is int"),
        (lambda: dl.hessian(np.sin)(X3), r"hessian of `sin` needs one output of shape \(\), and it returns shape \(3,"),
        (lambda: dl.hvp(np.sin)(X3, X3), r"hvp of `sin` needs one output of shape \(\), .* or dl\.jacobian"),
        (lambda: dl.hessian(lambda x: np.argmax(x))(X3), "hessian of .* needs a floating-point output, and it returns"),
        (lambda: dl.hvp(f3)(X3), "hvp of `f3` takes the positional arguments of `f3` and after them the vector, and"),
        (lambda: dl.hvp(f3)(X3, V3[:2]), r"hvp of `f3`: the vector of shape \(2,\) belongs to a value of shape \(3,\)"),
        (lambda: dl.hvp(f3)(X3, V3 * 1j), r"hvp of `f3`: the vector is float64\[3\] and was given as complex128"),
        (lambda: dl.hvp(square)(SQUARE, {"a": np.ones(2)}), "hvp of `square`: the vector does not have the structure"),
        (lambda: dl.hvp(f3, (0,))(X3, V3), "hvp of `f3`: the vector is a tuple of 1, one per entry of argnums"),
        (lambda: dl.prepare(f3, X3).hvp(X3), "hvp of `f3` takes the positional arguments of `f3` and after them"),
        (lambda: dl.prepare(f3, X3).hvp(X3, {}), "hvp of `f3`: the vector does not have the structure of the argument"),
        (lambda: dl.prepare(np.sin, X3, operator="hessian"), r"hessian of `sin` needs one output of shape \(\)"),
        (lambda: dl.prepare(np.sin, X3, operator="jvp").hvp(X3, X3), r"hvp of `sin` needs one output of shape \(\)"),
        (lambda: dl.prepare(np.sin, X3, operator="jacobian").gradient(X3), r"gradient of `sin` needs one output of sh"),
        (lambda: dl.jacobian(f3)(dl.Shape((3,))), "`f3` is given a dl.Shape, which has no data"),
    ],
)
def test_errors_are_sentences(run: Callable[[], Any], text: str):
    with pytest.raises(InputError, match=text):
        run()


def test_unknown_operators_are_named():
    with pytest.raises(UnsupportedError, match=r"unknown operator 'hess' \(known: gradient, .*, hvp, hessian"):
        dl.prepare(f3, X3, operator="hess")


def test_symbolic_refuses_a_hessian_that_would_take_too_long():
    f = lambda x: np.sum(np.tanh(x @ x.T) ** 2)  # noqa: E731
    x = np.ones((6, 6)) / 7
    hasty = dl.Symbolic(way="tree", time_limit_s=2)
    prepared = dl.prepare(f, x, backend=hasty)
    np.testing.assert_allclose(prepared.jacobian(x), dl.gradient(f)(x), rtol=1e-12)
    runs = (lambda: dl.hessian(f, 0, hasty)(x), lambda: dl.hvp(f, 0, hasty)(x, x), lambda: prepared.hessian(x))
    for run in runs:
        text = r"differentiation, twice, by 36 symbols .* is forecast to take 6\.\d+ s; the limit is 2 s"
        with pytest.raises(ForecastError, match=text):
            run()
