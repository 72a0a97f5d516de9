"""What follows from what a backend declares, and the tables that say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import backends, support
from difflab.backends.protocol import OPERATORS, Cost, Source
from difflab.backends.ways import SOURCES, how
from difflab.cli import listing
from difflab.cli.tables import json_text
from difflab.errors import UnsupportedError

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Limited:
    """A third party's backend that has what it declares, and falls over when it is asked for anything else."""

    capabilities: frozenset[str]
    name: str = "limited"
    family: str = "peer"

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Cost(1.0, 0.0, 0.0)

    def prepare(self, source: Source, operator: str, example: Any) -> Any:
        assert operator in self.capabilities
        return Only(dl.Reverse().prepare(source, operator, example), self.capabilities)

    def derivative(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Any:
        assert "nest" in self.capabilities
        assert {operator, *(["value_and_gradient"] if operator == "gradient" else [])} & self.capabilities
        return dl.Reverse().derivative(tape, operator, wrt)


class Only:
    """The declared methods of a prepared derivative."""

    def __init__(self, prepared: Any, declared: frozenset[str]):
        self.stats = prepared.stats
        self.value = prepared.value
        for operator in declared & set(OPERATORS):
            if operator != "gradient":
                setattr(self, operator, getattr(prepared, operator))
        if "gradient" in declared and "value_and_gradient" not in declared:
            self.gradient = lambda leaves: prepared.value_and_gradient(leaves)[1]


def limited(*declared: str) -> Limited:
    return Limited(frozenset(declared))


FIRST = [("value_and_gradient",), ("gradient",), ("jvp",), ("vjp",), ("jacobian",), ("jvp", "vjp")]
PRODUCTS = [declared for declared in FIRST if "gradient" not in declared[0]]
X = np.array([0.3, -0.7, 1.1])
V = np.array([1.0, -0.5, 2.0])
UNIT: Any = np.eye(2)
DATA = np.array([1.0, 2.0, 3.0])


def loss(x):
    return np.sum(np.tanh(x) ** 2 * DATA) + x[0] * x[1] * x[2]


def slope(x):
    t = np.tanh(x)
    return 2 * t * (1 - t * t) * DATA + np.array([x[1] * x[2], x[0] * x[2], x[0] * x[1]])


def curvature(x):
    t = np.tanh(x)
    diagonal = DATA * (2 * (1 - t * t) ** 2 - 4 * t * t * (1 - t * t))
    return np.diag(diagonal) + np.array([[0, x[2], x[1]], [x[2], 0, x[0]], [x[1], x[0], 0]])


# ---------------------------------------------------------------------------- what follows


@pytest.mark.parametrize("declared", FIRST)
def test_every_first_derivative_of_a_loss_follows_from_any(declared: tuple[str, ...]):
    backend = limited(*declared)
    g = slope(X)
    np.testing.assert_allclose(dl.gradient(loss, backend=backend)(X), g, rtol=1e-13)
    value, found = dl.value_and_gradient(loss, backend=backend)(X)
    np.testing.assert_allclose(value, loss(X), rtol=1e-14)
    np.testing.assert_allclose(found, g, rtol=1e-13)
    value, tangent = dl.jvp(loss, (X,), (V,), backend)
    np.testing.assert_allclose([value, tangent], [loss(X), g @ V], rtol=1e-13)
    value, pullback = dl.vjp(loss, X, backend=backend)
    np.testing.assert_allclose(pullback(3.0)[0], 3 * g, rtol=1e-13)
    np.testing.assert_allclose(pullback(1.0)[0], g, rtol=1e-13)
    np.testing.assert_allclose(dl.jacobian(loss, 0, backend)(X), g, rtol=1e-13)


@pytest.mark.parametrize("declared", PRODUCTS)
def test_products_and_jacobians_of_containers_follow(declared: tuple[str, ...]):
    backend = limited(*declared)

    def f(p, y):
        return {"s": p["a"] * p["b"] * y, "t": (np.sum(p["a"] ** 2), DATA)}

    p, y = {"a": X, "b": 2.0}, 0.5
    found = dl.jacobian(f, (0, 1), backend)(p, y)
    np.testing.assert_allclose(found["s"][0]["a"], np.eye(3))
    np.testing.assert_allclose(found["s"][0]["b"], X * y)
    np.testing.assert_allclose(found["s"][1], 2 * X)
    np.testing.assert_allclose(found["t"][0][0]["a"], 2 * X)
    assert isinstance(found["t"][0][0]["b"], np.float64)
    np.testing.assert_array_equal(found["t"][1][0]["a"], np.zeros((3, 3)))
    along = ({"a": V, "b": 1.0}, -1.0)
    _, tangent = dl.jvp(f, (p, y), along, backend)
    np.testing.assert_allclose(tangent["s"], V + X * y - 2 * X)
    np.testing.assert_allclose(tangent["t"][0], 2 * X @ V)
    back = dl.vjp(f, p, y, backend=backend)[1]({"s": V, "t": (2.0, X)})
    np.testing.assert_allclose(back[0]["a"], V + 4 * X)
    np.testing.assert_allclose(back[1], 2 * X @ V)


@pytest.mark.parametrize("declared", FIRST)
def test_deduced_derivatives_of_nothing_and_of_single_precision(declared: tuple[str, ...]):
    backend = limited(*declared)
    assert dl.gradient(lambda x: np.sum(x * x), backend=backend)(np.zeros(0)).shape == (0,)
    assert dl.jacobian(lambda x: np.sum(x * x), 0, backend)(np.zeros((2, 0))).shape == (2, 0)
    single = X.astype("f4")
    f = lambda x: np.sum(x * x * x)  # noqa: E731
    found = (
        dl.gradient(f, backend=backend)(single),
        dl.jacobian(f, 0, backend)(single),
        dl.jvp(f, (single,), (single,), backend)[1],
        dl.vjp(f, single, backend=backend)[1](1.0)[0],
    )
    assert {one.dtype for one in found} == {np.dtype("f4")}


@pytest.mark.parametrize("declared", FIRST)
def test_second_derivatives_follow_where_the_first_nest(declared: tuple[str, ...]):
    backend = limited(*declared, "nest")
    for x in (X, X + 1):
        np.testing.assert_allclose(dl.hessian(loss, 0, backend)(x), curvature(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(dl.hvp(loss, 0, backend)(x, V), curvature(x) @ V, rtol=1e-12, atol=1e-13)
    prepared = dl.prepare(loss, X, backend=backend)
    for x in (X, X + 1):
        np.testing.assert_allclose(prepared.hessian(x), curvature(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(prepared.hvp(x, V), curvature(x) @ V, rtol=1e-12, atol=1e-13)
    blocks = dl.hessian(lambda p: p["a"] @ p["a"] * p["b"], 0, backend)({"a": X, "b": 2.0})
    np.testing.assert_allclose(blocks["a"]["a"], 4 * np.eye(3), atol=1e-14)
    np.testing.assert_allclose(blocks["b"]["a"], 2 * X)
    assert blocks["b"]["b"] == 0


@pytest.mark.parametrize("declared", FIRST)
def test_what_is_deduced_nests_as_well(declared: tuple[str, ...]):
    backend = limited(*declared, "nest")
    h = curvature(X)
    near: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
    norm = lambda x: np.sum(dl.jacobian(loss, 0, backend)(x) ** 2)  # noqa: E731
    np.testing.assert_allclose(dl.gradient(norm)(X), 2 * h @ slope(X), **near)
    np.testing.assert_allclose(dl.gradient(norm, backend=backend)(X), 2 * h @ slope(X), **near)
    along = lambda v: np.sum(dl.hvp(loss, 0, backend)(X, v) ** 2)  # noqa: E731
    np.testing.assert_allclose(dl.gradient(along)(V), 2 * h @ h @ V, **near)
    tangent = lambda v: dl.jvp(loss, (X,), (v,), backend)[1] ** 2  # noqa: E731
    np.testing.assert_allclose(dl.gradient(tangent)(V), 2 * (slope(X) @ V) * slope(X), **near)
    back = lambda c: np.sum(dl.vjp(loss, X, backend=backend)[1](c)[0])  # noqa: E731
    np.testing.assert_allclose(dl.gradient(back)(2.0), np.sum(slope(X)), **near)
    closed = lambda s: np.sum(dl.hessian(lambda x: s * s * loss(x), 0, backend)(X))  # noqa: E731
    np.testing.assert_allclose(dl.gradient(closed)(1.5), 3 * np.sum(h), **near)
    prepared = dl.prepare(loss, X, backend=backend)
    np.testing.assert_allclose(dl.gradient(lambda x: prepared.hvp(x, V) @ V)(X), dl.gradient(
        lambda x: dl.hvp(loss)(x, V) @ V)(X), **near)  # fmt: skip


def test_a_hessian_gives_its_product_and_a_product_its_hessian():
    np.testing.assert_allclose(dl.hvp(loss, 0, limited("hessian"))(X, V), curvature(X) @ V, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dl.hessian(loss, 0, limited("hvp"))(X), curvature(X), rtol=1e-12, atol=1e-13)
    two = lambda x, y: np.sum(x * x) * np.sum(y)  # noqa: E731
    for declared in ("hvp", "hessian"):
        found = dl.hvp(two, (0, 1), limited(declared))(X, X[:2], (V, V[:2]))
        np.testing.assert_allclose(found[0], 2 * V * np.sum(X[:2]) + 2 * X * np.sum(V[:2]))
        np.testing.assert_allclose(found[1], 2 * X @ V * np.ones(2))


Z: Any = np.array([0.3 + 0.4j, -1.0 + 0.2j])
TURNS = {
    "holomorphic": (lambda z: z * z * z[0], lambda z, v: 2 * z * v * z[0] + z * z * v[0]),
    "not": (lambda z: np.conj(z) * z[0], lambda z, v: np.conj(v) * z[0] + np.conj(z) * v[0]),
    "real": (lambda z: np.real(z) * np.imag(z), lambda z, v: v.real * z.imag + z.real * v.imag),
}


@pytest.mark.parametrize("label", TURNS)
@pytest.mark.parametrize("declared", ["jvp", "vjp"])
def test_complex_products_follow_whether_holomorphic_or_not(declared: str, label: str):
    f, along = TURNS[label]
    backend = limited(declared)
    v = np.array([1.0 - 2.0j, 0.5j])
    np.testing.assert_allclose(dl.jvp(f, (Z,), (v,), backend)[1], along(Z, v), rtol=1e-13)
    c = np.array([2.0, -1.0]) if label == "real" else np.array([2.0 + 1.0j, -1.0j])
    # The pullback of c is the gradient of Re(c f).
    wanted = [np.real(c @ along(Z, e)) - 1j * np.real(c @ along(Z, 1j * e)) for e in UNIT]
    np.testing.assert_allclose(dl.vjp(f, Z, backend=backend)[1](c)[0], wanted, rtol=1e-13)


@pytest.mark.parametrize("declared", [("jvp",), ("vjp",), ("jvp", "vjp")])
def test_complex_jacobians_follow(declared: tuple[str, ...]):
    backend = limited(*declared)
    cube = dl.jacobian(lambda z: z * z * z, 0, backend)(Z)
    np.testing.assert_allclose(cube, np.diag(3 * Z * Z), rtol=1e-13, atol=1e-15)
    turned = dl.jacobian(lambda x: np.exp(1j * x), 0, backend)(X)
    np.testing.assert_allclose(turned, np.diag(1j * np.exp(1j * X)), rtol=1e-13, atol=1e-15)
    parts = dl.jacobian(lambda z: np.real(z) * np.imag(z), 0, backend)(Z)
    np.testing.assert_allclose(parts, np.diag(Z.imag - 1j * Z.real), rtol=1e-13, atol=1e-15)


def test_a_third_party_of_the_entry_points_gets_what_follows(monkeypatch: pytest.MonkeyPatch):
    entry = EntryPoint("limited", "nowhere:Limited", "difflab.backends")
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry] if group == "difflab.backends" else [])
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda: limited("value_and_gradient"))
    np.testing.assert_allclose(dl.jvp(loss, (X,), (V,), "limited")[1], slope(X) @ V)
    here = {one.name: one for one in backends.listing()}["limited"]
    assert here.operators == ("gradient", "value_and_gradient", "jvp", "vjp", "jacobian")
    assert here.ways["vjp"] == "deduced from value_and_gradient"
    assert here.ways["hvp"].startswith("refused: ")
    assert "`limited`" not in support.operators()


# ---------------------------------------------------------------------------- what does not


@pytest.mark.parametrize("operator", ["jvp", "vjp", "jacobian"])
@pytest.mark.parametrize("declared", ["value_and_gradient", "gradient"])
def test_through_a_gradient_only_losses_go(declared: str, operator: str):
    backend = limited(declared)
    run: dict[str, Callable[[], Any]] = {
        "jvp": lambda: dl.jvp(np.sin, (X,), (V,), backend),
        "vjp": lambda: dl.vjp(np.sin, X, backend=backend),
        "jacobian": lambda: dl.jacobian(np.sin, 0, backend)(X),
    }
    text = rf"backend 'limited' does '{operator}' by its gradient, which needs one real output of shape \(\), and the "
    with pytest.raises(UnsupportedError, match=text + r"function returns float64 of shape \(3,\); use backend"):
        run[operator]()
    with pytest.raises(UnsupportedError, match=text):
        dl.prepare(np.sin, X, backend=backend, operator=operator)


def test_a_product_by_a_hessian_refuses_complex_variables():
    with pytest.raises(UnsupportedError, match="'limited' does 'hvp' by its Hessian, which does not tell both"):
        dl.hvp(lambda z: np.sum(np.real(z) ** 2), 0, limited("hessian"))(Z, Z)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_backend_that_declares_nothing_refuses_everything(operator: str):
    way = how(limited("nest"), operator)
    assert way.kind == "refused"
    expected = "it declares no derivative that this follows from" if operator[0] == "h" else "it declares none of '"
    assert str(way).startswith(f"refused: {expected}")
    with pytest.raises(UnsupportedError, match=f"backend 'limited' cannot do '{operator}': {expected}"):
        dl.prepare(loss, X, backend=limited("nest"), operator=operator)


def test_ways_are_read_from_what_is_declared():
    assert str(how(dl.Reverse(), "hvp")) == "native"
    assert str(how(dl.Symbolic(), "hvp")) == "deduced from hessian"
    assert str(how(limited("jvp", "vjp"), "jacobian")) == "deduced from jvp or vjp"
    assert str(how(limited("vjp", "nest"), "hvp")) == "deduced from gradient of gradient"
    assert str(how(limited("jvp", "nest"), "hvp")) == "deduced from jvp of gradient"
    assert str(how(limited("jvp", "nest"), "hessian")) == "deduced from jacobian of gradient"
    assert set(SOURCES) == set(OPERATORS)


# ---------------------------------------------------------------------------- the tables


def run_any(backend: Any, operator: str) -> Any:
    if operator == "jvp":
        return dl.jvp(loss, (X,), (V,), backend)[1]
    if operator == "vjp":
        return dl.vjp(loss, X, backend=backend)[1](1.0)
    return getattr(dl, operator)(loss, 0, backend)(*[X, V][: 2 if operator == "hvp" else 1])


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_the_table_says_what_happens(name: str, operator: str):
    every = operator in ("jvp", "vjp")  # of all arguments, a tuple of them
    by_hand = dl.Analytic(lambda x: (loss(x), (slope(x),) if every else slope(x)))
    backend = by_hand if name == "analytic" else backends.find(name)
    way = {one.name: one for one in backends.listing()}[name].ways[operator]
    assert way == str(how(backend, operator))
    if way.startswith("refused"):
        with pytest.raises(UnsupportedError, match=f"backend '{name}' cannot do '{operator}'"):
            run_any(backend, operator)
    else:
        assert run_any(backend, operator) is not None


def test_readme_and_docs_hold_the_generated_tables():
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    for name, generate in support.SECTIONS.items():
        assert sum(f"<!-- generated: {name} -->\n{generate()}\n<!-- end: {name} -->" in text for text in texts) == 1
    assert [support.updated(text) for text in texts] == texts


def test_the_table_of_operators_is_in_words():
    lines = support.operators().splitlines()
    assert lines[0].split(" | ")[1:3] == ["gradient", "value_and_gradient"]
    rows = {line.split("`")[1]: line for line in lines[2:] if line.startswith("| `")}
    assert list(rows) == list(backends.BUILT_IN)
    assert "deduced from hessian" in rows["symbolic"]
    assert rows["analytic"].endswith("| refused | refused |")
    assert "* `analytic` refuses hvp, hessian: it declares neither 'hvp' nor 'hessian', and its first" in lines[-1]


def test_markers_are_replaced_and_nothing_else():
    text = "before\n<!-- generated: operators -->\nold\nlines\n<!-- end: operators -->\nafter"
    found = support.updated(text)
    assert found == f"before\n<!-- generated: operators -->\n{support.operators()}\n<!-- end: operators -->\nafter"
    with pytest.raises(KeyError):
        support.updated("<!-- generated: unknown -->\n<!-- end: unknown -->")


def test_difflab_list_shows_the_ways():
    document = json.loads(json_text(listing.catalogue()))
    rows = {one["name"]: one for one in document["backends"]}
    assert rows["symbolic"]["ways"]["hvp"] == "deduced from hessian"
    assert rows["analytic"]["operators"] == ["gradient", "value_and_gradient", "jvp", "vjp", "jacobian"]
    text = listing.catalogue_text(listing.catalogue())
    line = next(line for line in text.splitlines() if line.startswith("symbolic ") and "native" in line)
    assert line.split() == ["symbolic", *["native"] * 5, "deduced", "native"]
    assert "symbolic deduces hvp from hessian." in text
    assert "analytic refuses hvp, hessian: it declares neither" in text
