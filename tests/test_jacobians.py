"""jacobian, hessian and hvp on every backend, in every container, nested and prepared, against plain differences."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import difflab as dl
from difflab.errors import ForecastError, InputError, UnsupportedError

BACKENDS = ("finite", "symbolic", "forward", "reverse", "analytic")
EXACT = ("symbolic", "forward", "reverse")
NESTING = ("finite", "forward", "reverse")


@dataclasses.dataclass
class Layer:
    """A container that optree does not know."""

    weight: Any
    bias: Any


class Pair(NamedTuple):
    """A container that it does."""

    first: Any
    second: Any


# ---------------------------------------------------------------------------- an independent reference


def mapped(action: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with ``action`` of every leaf, by Python's own means; dicts in the order of their sorted keys."""
    if isinstance(tree, dict):
        return {key: mapped(action, tree[key]) for key in sorted(tree)}
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**{f.name: mapped(action, getattr(tree, f.name)) for f in dataclasses.fields(tree)})
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[mapped(action, item) for item in tree])
    if isinstance(tree, list | tuple):
        return type(tree)([mapped(action, item) for item in tree])
    return action(tree)


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def refilled(tree: Any, leaves: list[Any]) -> Any:
    rest = iter(leaves)
    return mapped(lambda _: next(rest), tree)


def differences(function: Callable[[list[np.ndarray]], list[np.ndarray]], at: list[np.ndarray]) -> list[list[Any]]:
    """blocks[o][i] by central differences extrapolated twice: an error of the order of h**6."""

    def along(i: int, index: tuple[int, ...], h: float) -> list[np.ndarray]:
        sides = []
        for sign in (1.0, -1.0):
            moved = [np.array(leaf, dtype=np.float64) for leaf in at]
            moved[i][index] += sign * h
            sides.append(function(moved))
        return [(np.asarray(a) - np.asarray(b)) / (2 * h) for a, b in zip(*sides, strict=True)]

    outputs = function([np.array(leaf, dtype=np.float64) for leaf in at])
    blocks: list[list[Any]] = [[np.zeros(np.shape(o) + np.shape(x)) for x in at] for o in outputs]
    for i, leaf in enumerate(at):
        for index in np.ndindex(np.shape(leaf)):
            one, half, quarter = (along(i, index, h) for h in (2e-2, 1e-2, 5e-3))
            for number in range(len(outputs)):
                first = (4 * half[number] - one[number]) / 3
                second = (4 * quarter[number] - half[number]) / 3
                blocks[number][i][(..., *index)] = (16 * second - first) / 15
    return blocks


def on_leaves(function: Callable, args: tuple, targets: tuple[int, ...], kwargs: dict) -> tuple[Callable, list[Any]]:
    """The function of the leaves of some of its arguments, to the leaves of its outputs; and those leaves."""
    trees = tuple(args[i] for i in targets)

    def flat(leaves: list[Any]) -> list[Any]:
        given = list(args)
        for position, tree in zip(targets, refilled(trees, [leaf[()] for leaf in leaves]), strict=True):
            given[position] = tree
        return leaves_of(function(*given, **kwargs))

    return flat, leaves_of(trees)


def reference(case: Case) -> Any:
    """The Jacobian as a tree of trees."""
    flat, at = on_leaves(case.function, case.args, case.targets, case.kwargs)
    return assembled(case, differences(flat, at), case.function(*case.args, **case.kwargs))


def second_reference(case: Case) -> Any:
    """The Hessian as a tree of trees, by differences of differences."""
    flat, at = on_leaves(case.function, case.args, case.targets, case.kwargs)
    return assembled(case, differences(lambda leaves: differences(flat, leaves)[0], at), case.variables)


def assembled(case: Case, blocks: list[list[Any]], outside: Any) -> Any:
    return refilled(outside, [refilled(case.variables, row) for row in blocks])


class Case(NamedTuple):
    """A function, its arguments, and the positions to differentiate."""

    function: Callable
    args: tuple
    argnums: Any = 0
    kwargs: dict[str, Any] = {}  # noqa: RUF012 (never written to)

    @property
    def targets(self) -> tuple[int, ...]:
        given = self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)
        return tuple(i % len(self.args) for i in given)

    @property
    def variables(self) -> Any:
        return tuple(self.args[i] for i in self.targets) if isinstance(self.argnums, tuple) else self.args[self.argnums]


RNG = np.random.default_rng(11)
X3, M23 = RNG.normal(size=3), RNG.normal(size=(2, 3))
NET = {"w": RNG.normal(size=(2, 2)), "b": RNG.normal(size=2)}

SCALAR = {
    "number": Case(lambda x: np.sin(x) * x, (0.7,)),
    "0-d": Case(lambda x: np.exp(x) / (1 + x * x), (np.array(0.4),)),
    "vector": Case(lambda x: np.sum(np.tanh(x) ** 2) + x[0] * x[1], (X3,)),
    "matrix": Case(lambda x: np.sum(np.sin(x) @ np.cos(x).T), (M23,)),
    "dict": Case(lambda p, x: np.mean(np.tanh(x @ p["w"] + p["b"]) ** 2), (NET, M23[:, :2])),
    "nested": Case(lambda p: np.sum(p[0] ** 2 * p[1]["a"][0]) * p[1]["b"], ([X3[:2], {"b": 1.5, "a": (X3[1:],)}],)),
    "dataclass": Case(lambda l: np.sum(np.exp(l.weight @ X3) * l.bias), (Layer(M23, np.array([0.5, -1.0])),)),
    "arguments": Case(lambda x, y, z: np.sum(x * y * y) * z, (X3, X3[::-1].copy(), 0.3), (2, 0)),
    "one in a tuple": Case(lambda x, y: np.sum(x * y * y), (X3, X3 + 1), (-1,)),
    "keyword": Case(lambda x, power=1: np.sum(x**power), (X3,), 0, {"power": 3}),
    "empty": Case(lambda x, y: np.sum(x * x) + np.sum(y**3), (np.zeros(0), X3), (0, 1)),
    "size one": Case(lambda x: np.sum(x**3), (np.full((1, 1), 0.5),)),
    "one variable idle": Case(lambda x, y: np.sum(x**3), (X3, 2.0), (0, 1)),
}
OTHERS = {
    "number to vector": Case(lambda x: x * np.array([1.0, 2.0]) ** 2 * x, (0.7,)),
    "0-d to matrix": Case(lambda x: np.sin(x * np.ones((2, 2))), (np.array(0.3),)),
    "wide": Case(lambda x: np.stack([np.sum(x * x), x[0] * x[2]]), (X3,)),
    "tall": Case(lambda x: np.concatenate([x * x[0], np.sin(x)]), (X3,)),
    "matrix to matrix": Case(lambda x: np.tanh(x) @ x.T, (M23,)),
    "rank three": Case(lambda x: x[:, None, :] * np.exp(x)[None, :, :], (M23,)),
    "dict to tuple": Case(lambda p, x: (np.tanh(x @ p["w"] + p["b"]), p["b"] ** 2), (NET, M23[:, :2])),
    "list to dict": Case(lambda p: {"z": [p[0] * p[1]], "a": np.sum(p[0])}, ([X3, 2.0],)),
    "dataclasses": Case(lambda l: Layer(l.weight @ X3, Pair(l.bias[0], l.bias)), (Layer(M23, np.array([0.5, -1.0])),)),
    "arguments to pair": Case(lambda x, y, z: Pair(x * y, np.sum(y) * z), (X3, X3 + 1, 0.3), (2, 0)),
    "constant output": Case(lambda x: (np.array([1.0, 2.0]), x * x), (X3,)),
    "empty output": Case(lambda x: (x[:0], x * 2), (X3,)),
    "empty input": Case(lambda x, y: y * np.sum(x), (np.zeros((0, 2)), X3)),
    "integer output": Case(lambda x: (np.sin(x), np.argmax(x)), (X3,)),
}
ALL = {**SCALAR, **OTHERS}


def chosen(name: str, case: Case) -> Any:
    if name != "analytic":
        return name

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return dl.value_and_gradient(case.function, case.argnums)(*args, **kwargs)

    return dl.Analytic(both)


def compare(found: Any, wanted: Any, bound: float, dtype: str = "float64") -> None:
    """The same containers, shapes and dtype, and values to within ``bound`` of the largest."""
    assert type(found) is type(wanted) or not isinstance(wanted, dict | list | tuple | Layer)
    if isinstance(wanted, dict):
        assert set(found) == set(wanted)
    ours, theirs = leaves_of(found), leaves_of(wanted)
    scale = max([1.0, *[float(np.max(np.abs(leaf), initial=0.0)) for leaf in theirs]])
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), np.dtype(dtype))
        np.testing.assert_allclose(a, b, rtol=0, atol=bound * scale)


def bound_of(name: str, order: int = 1) -> float:
    return (1e-8, 2e-4)[order - 1] if name == "finite" else (1e-9, 1e-7)[order - 1]


# ---------------------------------------------------------------------------- every operator, backend and container


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("label", ALL)
def test_jacobian(label: str, name: str):
    case = ALL[label]
    if name == "analytic" and label in OTHERS:
        with pytest.raises((UnsupportedError, InputError), match="needs one"):
            dl.jacobian(case.function, case.argnums, chosen(name, case))(*case.args, **case.kwargs)
        return
    found = dl.jacobian(case.function, case.argnums, chosen(name, case))(*case.args, **case.kwargs)
    compare(found, reference(case), bound_of(name))


@pytest.mark.parametrize("label", ALL)
def test_jacobian_of_the_backend_that_goes_by_shape(label: str):
    case = ALL[label]
    compare(dl.jacobian(case.function, case.argnums)(*case.args, **case.kwargs), reference(case), 1e-9)


@pytest.mark.parametrize("name", [*EXACT, "finite"])
@pytest.mark.parametrize("label", SCALAR)
def test_hessian_and_its_product(label: str, name: str):
    case = SCALAR[label]
    wanted = second_reference(case)
    found = dl.hessian(case.function, case.argnums, name)(*case.args, **case.kwargs)
    compare(found, wanted, bound_of(name, 2))
    along = refilled(case.variables, [np.cos(1.0 + np.arange(np.size(x))).reshape(np.shape(x))[()]
                                      for x in leaves_of(case.variables)])  # fmt: skip
    vectors = leaves_of(along)
    flat = leaves_of(wanted)
    rows = [flat[at : at + len(vectors)] for at in range(0, len(flat), len(vectors))]
    product = [sum(np.tensordot(b, v, np.ndim(v)) for b, v in zip(row, vectors, strict=True)) for row in rows]
    result = dl.hvp(case.function, case.argnums, name)(*case.args, along, **case.kwargs)
    compare(result, refilled(case.variables, product), bound_of(name, 2))


@pytest.mark.parametrize("label", ALL)
def test_null_gives_zeros_of_the_same_shapes(label: str):
    case = ALL[label]
    wanted = mapped(np.zeros_like, reference(case))
    compare(dl.jacobian(case.function, case.argnums, "null")(*case.args, **case.kwargs), wanted, 0.0)
    if label in SCALAR:
        second = mapped(np.zeros_like, second_reference(case))
        compare(dl.hessian(case.function, case.argnums, "null")(*case.args, **case.kwargs), second, 0.0)
        found = dl.hvp(case.function, case.argnums, "null")(*case.args, case.variables, **case.kwargs)
        compare(found, mapped(np.zeros_like, case.variables), 0.0)


@pytest.mark.parametrize("name", ["symbolic", "forward", "reverse", None])
@pytest.mark.parametrize("label", OTHERS)
def test_the_denominator_layout_has_the_variables_outside(label: str, name: str | None):
    case = OTHERS[label]
    found = dl.jacobian(case.function, case.argnums, name, layout="denominator")(*case.args, **case.kwargs)
    outputs = case.function(*case.args, **case.kwargs)
    blocks = leaves_of(reference(case))
    inside = leaves_of(case.variables)
    columns = []
    for i, x in enumerate(inside):
        turned = [
            np.transpose(b, (*range(np.ndim(o), np.ndim(b)), *range(np.ndim(o))))
            for b, o in zip(blocks[i :: len(inside)], leaves_of(outputs), strict=True)
        ]
        assert all(b.shape[: np.ndim(x)] == np.shape(x) for b in turned)
        columns.append(refilled(outputs, turned))
    compare(found, refilled(case.variables, columns), 1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_kinds_of_leaves(name: str):
    f = lambda x: x * x * x  # noqa: E731
    case = Case(f, (2.0,))
    for operator in ("jacobian", *(("hessian",) if name != "analytic" else ())):
        derivative = getattr(dl, operator)(f, 0, chosen(name, case))
        assert isinstance(derivative(2.0), np.float64)
        assert isinstance(derivative(np.float32(2.0)), np.float32)
        there = derivative(np.array(2.0))
        assert isinstance(there, np.ndarray)
        assert there.shape == ()


@pytest.mark.parametrize("name", BACKENDS)
def test_float32_stays_float32(name: str):
    for label in ("vector", "dict", "arguments"):
        case = SCALAR[label]
        single = case._replace(args=mapped(lambda leaf: np.asarray(leaf, "f4")[()], case.args))
        found = dl.jacobian(single.function, case.argnums, chosen(name, single))(*single.args)
        compare(found, reference(case), 3e-3 if name == "finite" else 1e-5, "float32")
        if name in EXACT:
            compare(dl.hessian(case.function, case.argnums, name)(*single.args), second_reference(case), 1e-5, "f4")
            product = dl.hvp(case.function, case.argnums, name)(*single.args, single.variables)
            assert {leaf.dtype for leaf in leaves_of(product)} == {np.dtype("f4")}


@pytest.mark.parametrize("name", EXACT)
def test_of_mixed_precision_each_block_has_its_variables_dtype(name: str):
    x, y = np.ones(2, "f4"), np.ones(3)
    blocks = dl.jacobian(lambda x, y: (np.sum(x) * y, x * 2), (0, 1), name)(x, y)
    assert [[block.dtype.name for block in row] for row in blocks] == [["float32", "float64"]] * 2
    found = dl.hessian(lambda x, y: np.sum(x) * np.sum(y * y), (0, 1), name)(x, y)
    assert [[block.dtype.name for block in row] for row in found] == [["float32", "float64"]] * 2


@pytest.mark.parametrize("name", EXACT)
def test_results_are_fresh_arrays(name: str):
    f = lambda x: np.sum(x * X3)  # noqa: E731
    prepared = dl.prepare(f, X3, backend=name, operator="jacobian")
    first, second = prepared(X3), prepared(X3)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, X3)
    first[:] = 0
    np.testing.assert_array_equal(prepared(X3), second)


# ---------------------------------------------------------------------------- complex numbers

Z = np.array([0.3 + 0.4j, -1.0 + 0.2j])


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_the_jacobian_of_a_holomorphic_function_is_complex_linear(name: str):
    found = dl.jacobian(lambda z: np.stack([z[0] * z[1], np.exp(z[0])]), 0, name)(Z)
    np.testing.assert_allclose(found, [[Z[1], Z[0]], [np.exp(Z[0]), 0]], rtol=1e-13)


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_the_jacobian_of_complex_outputs_by_real_inputs_is_complex(name: str):
    found = dl.jacobian(lambda x: np.exp(1j * x), 0, name)(X3)
    np.testing.assert_allclose(found, np.diag(1j * np.exp(1j * X3)), rtol=1e-13, atol=1e-15)
    assert dl.jacobian(lambda x: x * np.complex64(1j), 0, name)(X3.astype("f4")).dtype == np.complex64


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_of_a_real_loss_by_complex_inputs_it_is_the_gradient(name: str):
    loss = lambda z: np.sum(np.real(z) ** 2 * np.imag(z))  # noqa: E731
    wanted = 2 * Z.real * Z.imag - 1j * Z.real**2
    np.testing.assert_allclose(dl.gradient(loss, backend=name)(Z), wanted, rtol=1e-13)
    np.testing.assert_allclose(dl.jacobian(loss, 0, name)(Z), wanted, rtol=1e-13)


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_hvp_of_a_real_loss_by_complex_inputs_is_the_change_of_its_gradient(name: str):
    loss = lambda z: np.sum(np.real(z) ** 2 * np.imag(z))  # noqa: E731
    v = np.array([1.0 - 2.0j, 0.5j])
    a, b = v.real, v.imag
    wanted = 2 * (a * Z.imag + Z.real * b) - 1j * 2 * Z.real * a
    np.testing.assert_allclose(dl.hvp(loss, 0, name)(Z, v), wanted, rtol=1e-13)


@pytest.mark.parametrize("operator", ["gradient", "hessian", "hvp"])
def test_a_complex_loss_is_an_error_that_says_what_to_take(operator: str):
    args = (Z, Z) if operator == "hvp" else (Z,)
    text = rf"{operator} of `<lambda>` needs a real output, and it returns complex128; take np.real or np.abs of it, or"
    with pytest.raises(InputError, match=text + r" use dl\.jacobian"):
        getattr(dl, operator)(lambda z: np.sum(z * z))(*args)


# ---------------------------------------------------------------------------- nesting


def f3(x):
    return np.sum(np.tanh(x) ** 2 * np.array([1.0, 2.0, 3.0])) + x[0] * x[1] * x[2]


H3 = np.asarray(second_reference(Case(f3, (X3,))))
V3 = np.array([1.0, -0.5, 2.0])


@pytest.mark.parametrize("inner", NESTING)
@pytest.mark.parametrize("outer", ["forward", "reverse"])
class TestNesting:
    @pytest.fixture
    def near(self, inner: str) -> dict[str, float]:
        return {"rtol": 1e-3 if inner == "finite" else 1e-8, "atol": 1e-4 if inner == "finite" else 1e-9}

    def test_jacobian_of_the_gradient(self, inner: str, outer: str, near: dict[str, float]):
        np.testing.assert_allclose(dl.jacobian(dl.gradient(f3, backend=inner), 0, outer)(X3), H3, **near)

    def test_gradient_of_what_uses_a_jacobian(self, inner: str, outer: str, near: dict[str, float]):
        squared = lambda x: np.sum(dl.jacobian(f3, 0, inner)(x) ** 2)  # noqa: E731
        np.testing.assert_allclose(dl.gradient(squared, 0, outer)(X3), 2 * H3 @ dl.gradient(f3)(X3), **near)

    def test_gradient_of_what_uses_a_product(self, inner: str, outer: str, near: dict[str, float]):
        product = lambda x: np.sum(dl.hvp(f3, 0, inner)(x, V3) * V3)  # noqa: E731
        trace = lambda x: V3 @ dl.hessian(f3, 0, inner)(x) @ V3  # noqa: E731
        third = differences(lambda at: [np.einsum("ij,i,j", dl.hessian(f3)(at[0]), V3, V3)], [X3])[0][0]
        np.testing.assert_allclose(dl.gradient(product, 0, outer)(X3), third, **near)
        np.testing.assert_allclose(dl.gradient(trace, 0, outer)(X3), third, **near)

    def test_a_traced_vector(self, inner: str, outer: str, near: dict[str, float]):
        found = dl.gradient(lambda v: np.sum(dl.hvp(f3, 0, inner)(X3, v) ** 2), 0, outer)(V3)
        np.testing.assert_allclose(found, 2 * H3 @ H3 @ V3, **near)

    @pytest.mark.parametrize("operator", ["jacobian", "hessian", "hvp"])
    def test_a_closure_over_a_traced_value(self, inner: str, outer: str, near: dict[str, float], operator: str):
        vector = (V3,) if operator == "hvp" else ()

        def outside(s):
            return np.sum(getattr(dl, operator)(lambda x: s * s * f3(x), 0, inner)(X3, *vector))

        plain = {"jacobian": dl.gradient(f3)(X3), "hessian": H3, "hvp": H3 @ V3}[operator]
        np.testing.assert_allclose(dl.gradient(outside, 0, outer)(1.5), 3.0 * np.sum(plain), **near)

    def test_prepared_inside(self, inner: str, outer: str, near: dict[str, float]):
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


def test_symbolic_and_analytic_do_not_nest():
    for backend in ("symbolic", dl.Analytic(lambda x: (np.sum(x * x), 2 * x))):
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
        near = {"rtol": 1e-3, "atol": 2e-4} if name == "finite" else {"rtol": 1e-12, "atol": 1e-14}
        np.testing.assert_allclose(prepared(*args), wanted, **near)
        np.testing.assert_allclose(getattr(prepared, operator)(*args), wanted, **near)
        assert prepared.stats["traces"] == traces


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("operator", ["gradient", "jvp", "vjp", "jacobian", "hvp", "hessian"])
def test_a_prepared_of_one_operator_has_them_all(name: str, operator: str):
    p = dl.prepare(f3, X3, argnums=-1, backend=name, operator=operator)
    g = dl.gradient(f3)(X3)
    near = {"rtol": 1e-7, "atol": 1e-8}
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
    near = {"rtol": 1e-3, "atol": 1e-3} if name == "finite" else {"rtol": 1e-12}
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
        (lambda: dl.hvp(f3)(X3, V3[:2]), r"hvp of `f3`: a vector of shape \(2,\) belongs to a value of shape \(3,\)"),
        (lambda: dl.hvp(f3)(X3, V3 * 1j), r"hvp of `f3`: a vector is float64\[3\] and was given as complex128"),
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
    with pytest.raises(UnsupportedError, match=r"unknown operator 'hess' \(known: gradient, .*, jacobian, hvp, hessian"):
        dl.prepare(f3, X3, operator="hess")


def test_symbolic_refuses_a_hessian_that_would_take_too_long():
    f = lambda x: np.sum(np.tanh(x @ x.T) ** 2)  # noqa: E731
    x = np.ones((6, 6)) / 7
    for run in (lambda: dl.hessian(f, 0, "symbolic")(x), lambda: dl.hvp(f, 0, "symbolic")(x, x)):
        with pytest.raises(ForecastError, match=r"differentiation, twice, by 36 symbols .* is forecast to take .*limit"):
            run()
    patient = dl.prepare(f, x, backend=dl.Symbolic(time_limit_s=20))
    with pytest.raises(ForecastError, match="twice"):
        patient.hessian(x)
