"""Containers and results: what goes in as a nest of arrays and numbers comes out in the same structure and dtype."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

import difflab as dl
from difflab.containers import flatten, paths, same, unflatten

FAMILIES = ["reverse", "forward", "finite"]


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass
class Net:
    layers: list
    scale: Any
    calls: ClassVar[int] = 0
    cached: Any = dataclasses.field(init=False, default=7.0)

    def __post_init__(self):
        type(self).calls += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    value: Any
    turns: int = 3


@dataclasses.dataclass
class TwoLists:
    a: list
    b: list


def weighted(tree: Any) -> Any:
    """The sum over all leaves of (position + 1) times the sum of squares: its gradient tells the leaves apart."""
    leaves, _ = flatten(tree)
    return sum((k + 1) * np.sum(np.square(leaf)) for k, leaf in enumerate(leaves))


def expected(tree: Any) -> Any:
    leaves, structure = flatten(tree)
    return unflatten(structure, [2 * (k + 1) * np.asarray(leaf) for k, leaf in enumerate(leaves)])


NESTS = {
    "array": np.array([1.0, -2.0]),
    "number": 3.0,
    "dict": {"b": np.array([1.0, 2.0]), "a": 0.5},
    "list": [1.0, np.array([2.0, 3.0]), [np.array(4.0)]],
    "tuple": (1.0, (2.0, np.ones((2, 2)))),
    "namedtuple": Layer(np.array([[1.0, 2.0]]), 3.0),
    "None": {"w": 2.0, "nothing": None, "more": [None, 1.0]},
    "dataclass": Knob(2.0, 1.5),  # type: ignore[arg-type]
    "all": {"net": Net([Layer(np.ones(2), 1.0), Layer(np.ones(2), 2.0)], 0.5), "rest": (None, [Knob(1.0, 2.0)])},  # type: ignore[arg-type]
}


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize("name", NESTS)
def test_gradient_has_the_structure_of_its_argument(name: str, backend: str):
    tree = NESTS[name]
    found = dl.gradient(weighted, backend=backend)(tree)
    leaves, structure = flatten(found)
    wanted, wanted_structure = flatten(expected(tree))
    assert same(structure, wanted_structure)
    for a, b in zip(leaves, wanted, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-8 if backend == "finite" else 1e-15)


def test_the_types_of_containers_come_back():
    found = dl.gradient(weighted)(NESTS["all"])
    assert list(found) == ["net", "rest"]
    assert type(found["net"]) is Net
    assert type(found["net"].layers[1]) is Layer
    assert type(found["rest"][1][0]) is Knob
    assert found["rest"][0] is None


def test_dataclasses_are_rebuilt_without_init_or_post_init():
    net = Net([1.0, 2.0], 3.0)
    before = Net.calls
    found = dl.gradient(lambda n: n.layers[0] * n.layers[1] * n.scale * n.cached)(net)
    assert Net.calls == before
    assert (found.layers, found.scale) == ([42.0, 21.0], 14.0)


def test_frozen_dataclass_with_slots_and_a_static_field_is_an_argument():
    assert dl.gradient(lambda x, knob: x * knob.value * knob.turns)(2.0, Knob(5.0)) == 15.0


def test_a_static_field_of_a_differentiated_dataclass_is_named_by_its_path():
    with pytest.raises(dl.DifflabError, match=r"p\['net'\]\[0\]\.turns, which is int"):
        dl.gradient(lambda p: p["net"][0].value)({"net": [Knob(3.0)]})


def test_paths_are_what_one_would_write_in_python():
    tree = {"a": [1.0, Layer(2.0, 3.0)], "k": Knob({"z": 4.0}, 5)}
    _, structure = flatten(tree)
    assert paths(structure, "p") == ["p['a'][0]", "p['a'][1].w", "p['a'][1].b", "p['k'].value['z']", "p['k'].turns"]


def test_a_dict_keeps_its_order_and_the_order_is_part_of_the_program():
    def first_doubled(p):
        first, second = p.values()
        return 2.0 * first + 3.0 * second

    prepared = dl.prepare(first_doubled, {"b": 1.0, "a": 5.0})
    assert prepared({"b": 1.0, "a": 5.0}) == {"b": 2.0, "a": 3.0}
    assert prepared({"a": 5.0, "b": 1.0}) == {"a": 2.0, "b": 3.0}
    assert list(dl.gradient(first_doubled)({"b": 1.0, "a": 5.0})) == ["b", "a"]
    assert prepared.stats["traces"] == 2


def test_a_dict_inside_a_list_keeps_its_order_too():
    def chain(p):
        h = 1.0
        for factor in p[0]["layers"].values():
            h = np.tanh(h * factor)
        return h

    one, other = [{"layers": {"z": 0.5, "a": 2.0}}], [{"layers": {"a": 2.0, "z": 0.5}}]
    prepared = dl.prepare(chain, one)
    assert prepared(other) == dl.gradient(chain)(other) != prepared(one)


def test_structures_that_differ_only_inside_a_dataclass_are_different_programs():
    def f(t):
        return sum(2.0 * x for x in t.a) + sum(3.0 * x for x in t.b)

    prepared = dl.prepare(f, TwoLists([1.0, 2.0], [3.0]))
    assert prepared(TwoLists([1.0, 2.0], [3.0])) == TwoLists([2.0, 2.0], [3.0])
    assert prepared(TwoLists([1.0], [2.0, 3.0])) == TwoLists([2.0], [3.0, 3.0])


def test_keys_that_are_equal_but_of_other_types_are_different_programs():
    def f(d):
        return sum(v * (7.0 if key is True else 5.0) for key, v in d.items())

    prepared = dl.prepare(f, {1: 2.0})
    assert prepared({1: 2.0}) == {1: 5.0}
    assert prepared({True: 2.0})[True] == 7.0


# ---------------------------------------------------------------------------- argnums


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize(
    ("argnums", "wanted"),
    [(0, 3.0), (1, 2.0), (-1, 2.0), (-2, 3.0), ((0,), (3.0,)), ((1, 0), (2.0, 3.0)), ((0, -1), (3.0, 2.0)), ((), ())],
)
def test_argnums(argnums: Any, wanted: Any, backend: str):
    found = dl.gradient(lambda x, y: x * y, argnums=argnums, backend=backend)(2.0, 3.0)
    assert type(found) is (np.float64 if isinstance(argnums, int) else tuple)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    prepared = dl.prepare(lambda x, y: x * y, 2.0, 3.0, argnums=argnums, backend=backend)
    np.testing.assert_allclose(prepared(2.0, 3.0), wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("argnums", "text"),
    [
        (2, "has 2 positional arguments"),
        (-3, "has 2 positional arguments"),
        ("x", "an integer or a tuple"),
        (True, "an integer or a tuple"),
        ((0, -2), "names an argument twice"),
    ],
)
def test_impossible_argnums(argnums: Any, text: str):
    with pytest.raises(dl.DifflabError, match=text):
        dl.gradient(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)


def test_keyword_arguments_are_live_and_never_differentiated():
    def f(x, *, k, deep):
        return x * k * deep["s"][0]

    assert dl.gradient(f)(2.0, k=np.float64(3.0), deep={"s": [5.0]}) == 15.0
    prepared = dl.prepare(f, 2.0, k=3.0, deep={"s": [5.0]})
    assert prepared(2.0, k=4.0, deep={"s": [7.0]}) == 28.0
    assert prepared.stats["traces"] == 1


# ---------------------------------------------------------------------------- kinds and dtypes of results


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize(
    ("x", "kind", "shape"),
    [
        (2.0, np.float64, ()),
        (np.float32(2.0), np.float32, ()),
        (np.float64(2.0), np.float64, ()),
        (np.array(2.0), np.ndarray, ()),
        (np.array([2.0]), np.ndarray, (1,)),
        (np.ones((2, 0)), np.ndarray, (2, 0)),
    ],
)
def test_numbers_give_scalars_and_arrays_give_arrays(x: Any, kind: type, shape: tuple, backend: str):
    found = dl.gradient(lambda v: np.sum(v * v), backend=backend)(x)
    assert type(found) is kind
    assert found.shape == shape
    assert found.dtype == np.asarray(x).dtype
    prepared = dl.prepare(lambda v: np.sum(v * v), x, backend=backend)
    assert type(prepared(x)) is kind


@pytest.mark.parametrize("backend", FAMILIES)
def test_what_does_not_depend_on_the_input_has_gradient_zero(backend: str):
    x = np.ones((2, 3))
    found = dl.gradient(lambda x, y: y * 2.0, argnums=(0, 1), backend=backend)(x, 3.0)
    np.testing.assert_array_equal(found[0], np.zeros((2, 3)))
    np.testing.assert_allclose(found[1], 2.0, rtol=1e-9)
    np.testing.assert_array_equal(dl.gradient(lambda x: 3.0, backend=backend)(x), np.zeros((2, 3)))
    assert dl.gradient(lambda p: 1.0, backend=backend)({}) == {}


# ---------------------------------------------------------------------------- outputs of jvp and vjp


def several(x, y):
    return {"product": x * y, "rest": (x, None, [Layer(np.sin(y) * np.ones(2), x[0] * x[1])])}


X, Y = np.array([2.0, 3.0]), 0.5
TX, TY = np.array([1.0, -1.0]), 2.0


@pytest.mark.parametrize("backend", FAMILIES)
def test_jvp_of_containers(backend: str):
    value, tangent = dl.jvp(several, (X, Y), (TX, TY), backend=backend)
    assert type(tangent["rest"][2][0]) is Layer
    assert tangent["rest"][1] is None
    np.testing.assert_array_equal(value["product"], X * Y)
    layer = Layer(np.cos(Y) * TY * np.ones(2), TX[0] * X[1] + X[0] * TX[1])
    wanted = {"product": TX * Y + X * TY, "rest": (TX, None, [layer])}
    for a, b in zip(flatten(tangent)[0], flatten(wanted)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("backend", FAMILIES)
def test_vjp_of_containers_is_the_adjoint_of_jvp(backend: str):
    layer = Layer(np.array([0.1, 0.2]), -1.0)
    cotangent = {"product": np.array([0.3, -0.7]), "rest": (np.array([1.5, 2.0]), None, [layer])}
    _, pullback = dl.vjp(several, X, Y, backend=backend)
    gx, gy = pullback(cotangent)
    _, tangent = dl.jvp(several, (X, Y), (TX, TY))
    left = sum(np.sum(c * t) for c, t in zip(flatten(cotangent)[0], flatten(tangent)[0], strict=True))
    np.testing.assert_allclose(np.sum(gx * TX) + gy * TY, left, rtol=1e-8)
    assert type(gy) is np.float64


@pytest.mark.parametrize("backend", FAMILIES)
def test_outputs_without_derivative_ride_along(backend: str):
    def f(x):
        return x * x, x > 0, np.argmax(x)

    x = np.array([1.0, 3.0])
    value, tangent = dl.jvp(f, (x,), (np.ones(2),), backend=backend)
    np.testing.assert_array_equal(value[1], [True, True])
    np.testing.assert_allclose(tangent[0], 2 * x, rtol=1e-8)
    assert not np.any(tangent[1])
    assert tangent[2] == 0
    _, pullback = dl.vjp(f, x, backend=backend)
    np.testing.assert_allclose(pullback((np.ones(2), np.zeros(2, bool), 0))[0], 2 * x, rtol=1e-8)


def test_the_same_value_returned_twice_is_two_arrays():
    value, pullback = dl.vjp(lambda x: (x, x), X)
    assert not np.shares_memory(value[0], value[1])
    np.testing.assert_array_equal(pullback((X, 2 * X))[0], 3 * X)


def test_shapes_stand_in_for_arrays_inside_containers():
    found = dl.trace(lambda p: p["w"] @ p["x"][0], {"w": dl.Shape((4, 3), "float32"), "x": [dl.Shape((3,), "float32")]})
    assert found.tape.avals[found.tape.outputs[0]][:2] == ((4,), np.dtype("float32"))


# ---------------------------------------------------------------------------- results are the caller's, inputs stay


@pytest.mark.parametrize("backend", FAMILIES)
@pytest.mark.parametrize("prepared", [False, True])
def test_results_alias_neither_inputs_nor_buffers_nor_each_other(backend: str, prepared: bool):
    c = np.array([1.0, 2.0, 3.0])
    x = np.array([0.5, 0.25, 0.125])
    tangent = np.ones(3)
    for f in (lambda x: np.sum(x * c), lambda x: np.sum(x), lambda x: np.sum(x[::-1] * x)):
        run = dl.prepare(f, x, backend=backend) if prepared else dl.gradient(f, backend=backend)
        first, second = run(x), run(x)
        assert first is not c
        assert not any(np.shares_memory(first, other) for other in (c, x, second))
        kept = first.copy()
        second[:] = 77.0
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(run(x), kept)
    value, slope = dl.jvp(lambda x: (x, x[::-1]), (x,), (tangent,), backend=backend)
    held = [x, tangent, *value, *slope]
    assert not any(np.shares_memory(a, b) for k, a in enumerate(held) for b in held[:k])
    _, pullback = dl.vjp(lambda x: x, x, backend=backend)
    assert not np.shares_memory(pullback(tangent)[0], tangent)
    np.testing.assert_array_equal(c, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("backend", [*FAMILIES, "symbolic"])
def test_inputs_are_never_written_and_may_be_read_only_or_strided(backend: str):
    base = np.arange(24.0).reshape(4, 6) / 10
    x = base[::2, ::-2]
    x.flags.writeable = False
    y = np.broadcast_to(np.array(0.5), (2, 3))

    def f(x, y):
        return np.sum(np.sin(x) * y) + np.sum(x.reshape(-1)[:4] ** 2)

    wanted = np.cos(x) * y + 2 * np.where(np.arange(6).reshape(2, 3) < 4, x, 0)
    before = base.copy()
    for run in (dl.gradient(f, backend=backend), dl.prepare(f, x, y, backend=backend)):
        np.testing.assert_allclose(run(x, y), wanted, rtol=1e-8)
    fortran = np.asfortranarray(x)
    np.testing.assert_allclose(dl.gradient(f, backend=backend)(fortran, y), wanted, rtol=1e-8)
    np.testing.assert_array_equal(base, before)
