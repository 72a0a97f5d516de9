"""Flat code: the printed NumPy text is readable, runs with NumPy alone, and gives the bits of the gradient's tape."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from samples import cases_of

import difflab as dl
from difflab import nn
from difflab.containers import flatten, same, unflatten
from difflab.errors import InputError, UnsupportedError
from difflab.primitives.record import REGISTRY, find
from difflab.problems import PROBLEMS
from difflab.transforms import gradient, simplify
from difflab.walk.helpers import HELPERS, SOURCES
from difflab.walk.mirror import mirror
from difflab.walk.spelling import OWN_FUNCTION, REFUSED, SCIPY, SPELT, Term, helpers_of, spelt

BUILT_IN = [primitive for primitive in REGISTRY if primitive.kind != "own" and ":" not in primitive.name]


def run(text: str, *args: Any) -> tuple[Any, Any]:
    """What the printed function returns, in a namespace of its own."""
    namespace: dict[str, Any] = {}
    exec(compile(text, "<flat code>", "exec"), namespace)
    return namespace["value_and_gradient"](*args)


def same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") and a.tobytes() == b.tobytes()


def expect_bits(trace: Any, text: str, args: tuple, wrt: tuple[int, ...]) -> None:
    extra = (trace.tape.to_json()[1],) if "constants):" in text else ()
    value, slopes = run(text, *args, *extra)
    leaves = [np.asarray(leaf) for leaf in flatten(args)[0]]
    expected = simplify(gradient(trace.tape, wrt)).evaluate(leaves)
    found = [value, *flatten(slopes)[0]]
    assert len(found) == len(expected)
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


def moved(args: tuple) -> tuple:
    """Another point: every floating array scaled and shifted."""
    leaves, structure = flatten(args)
    return unflatten(structure, [np.asarray(leaf * leaf.dtype.type(0.7) + leaf.dtype.type(0.01)) for leaf in leaves])


# ---------------------------------------------------------------------------- the shipped problems


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_printed_text_gives_the_bits_of_the_tape(name: str, dtype: str) -> None:
    instance = PROBLEMS[name].build("tiny", dtype, 0)
    trace = dl.trace(instance.loss, *instance.args)
    text = trace.to_numpy()
    assert text.startswith('"""Value and gradient of ')
    assert max(map(len, text.splitlines())) <= 120
    assert "import difflab" not in text
    wrt = tuple(range(len(flatten(instance.args[0])[0])))
    for args in (instance.args, moved(instance.args)):
        expect_bits(trace, text, args, wrt)


ROWS = np.array([2, 0, 2])
LOSSES = {
    "the argument itself": (lambda x: x[1], (np.array([0.3, -0.0]),)),
    "a constant": (lambda x: np.sum(np.ones(3)) + 0.0 * np.sum(x), (np.ones(2),)),
    "used twice": (lambda x: np.sum(x * x + x), (np.array([0.3, -2.0]),)),
    "where cuts off": (lambda x: np.sum(np.where(x > 0, np.log(x), x)), (np.array([1.5, 0.2, 0.5]),)),
    "indices": (lambda x: np.sum(x[ROWS, 1:] ** 3) + np.sum(x[::-2, 0]), (np.arange(12.0).reshape(3, 4) / 7,)),
    "order": (lambda x: np.sum(np.sort(x)[:3] * np.cumsum(x)[1:4]) + np.median(x), (np.sin(np.arange(5.0)),)),
    "products": (lambda x: np.prod(x) + np.cumprod(x)[2], (np.array([0.3, -2.0, 1.5]),)),
    "special": (lambda x: np.sum(nn.sigmoid(x) * np.sinc(x)), (np.array([0.3, -2.0, 1.5]),)),
    "matrices": (lambda a: np.linalg.det(a) + np.sum(np.linalg.inv(a) @ a.T), (np.eye(3) + 0.1,)),
    "negative numbers": (lambda x: np.sum(-1.5 - x * -2.0) / 3, (np.array([0.3, -2.0], "f4"),)),
    "half": (lambda x: np.sum(nn.sigmoid(x) * 0.1), (np.array([0.3, -2.0], "f2"),)),
    "complex": (lambda x: np.abs(np.sum(np.fft.fft(x * (1 + 2j)) ** 2)), (np.array([0.3, -2.0, 1.5]),)),
}


@pytest.mark.parametrize("label", LOSSES)
def test_other_losses_give_the_bits_of_the_tape(label: str) -> None:
    loss, args = LOSSES[label]
    trace = dl.trace(loss, *args)
    text = trace.to_numpy()
    assert max(map(len, text.splitlines())) <= 120
    for point in (args, moved(args)):
        expect_bits(trace, text, point, (0,))


@pytest.mark.parametrize("name", ["baydin", "digits-mlp", "digits-cnn"])
def test_the_mirror_appends_what_the_transform_appends(name: str) -> None:
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    tape = dl.trace(instance.loss, *instance.args).tape
    wrt = tuple(range(len(flatten(instance.args[0])[0])))
    expected = simplify(gradient(tape, wrt))
    found = mirror(tape, wrt)
    named = [(e.primitive.name, e.inputs, e.params, e.output) for e in expected.equations]
    assert [(e.primitive.name, e.inputs, e.params, e.output) for e in found.tape.equations] == named
    staged = [one.output for _, own in found.stages for one in own] + [one.output for one in found.last]
    assert len(staged) == len(set(staged)) > 0
    assert set(staged) <= {e.output for e in found.tape.equations}


def test_the_code_of_baydin_is_the_lectures() -> None:
    def loss(x1: Any, x2: Any) -> Any:
        return np.log(x1) + x1 * x2 - np.sin(x2)

    text = dl.trace(loss, 2.0, 5.0).to_numpy(argnums=(0, 1))
    assert "def value_and_gradient(x1, x2):" in text
    order = [line.split(" = ")[0].strip() for line in text.splitlines() if " = " in line]
    assert order[:7] == ["x1", "x2", "v2", "v3", "v4", "v5", "v6"]
    assert [name for name in order if name.startswith("dv")] == ["dv6", "dv5", "dv4", "dv3", "dv2"]
    assert text.rstrip().endswith("return v6, (dx1, dx2)")
    value, slopes = run(text, 2.0, 5.0)
    assert round(float(value), 3) == 11.652
    assert [float(slope) for slope in slopes] == [5.5, 2 - np.cos(5.0)]


def test_spans_are_announced_forward_and_backward() -> None:
    text = dl.trace(lambda z, t: nn.softmax_cross_entropy(z, t), np.ones((2, 3)), np.eye(3)[:2]).to_numpy()
    forward, backward = text.split("    # backward")
    assert "# softmax_cross_entropy(z, t):" in forward
    assert forward.index("# softmax_cross_entropy") < forward.index("# logsumexp(z):")
    assert "# back through softmax_cross_entropy:" in backward
    assert ".T" not in text
    product = dl.trace(lambda w, x: np.sum(np.tanh(x @ w)), np.ones((2, 3)), np.ones((4, 2))).to_numpy()
    assert "dw = x.T @ dv2" in product


# ---------------------------------------------------------------------------- arguments, constants


def test_containers_names_and_static_arguments() -> None:
    def loss(layers: Any, lambda_: Any, times: int, *, np: Any) -> Any:
        (w, b), tail = layers["first"], layers["x y"]
        return ((w * b).sum() + (tail[0] * lambda_ * times).sum()) * np.sum()

    layers = {"first": (np.array([1.0, 2.0]), np.array([0.5, -1.0])), "x y": [np.array([3.0])]}
    text = dl.trace(loss, layers, 0.25, 3, np=np.array([2.0, 0.1])).to_numpy()
    assert "# times is fixed: 3" in text
    assert "np_" in text
    value, slopes = run(text, layers, 0.25, 3, np.array([2.0, 0.1]))
    expected, expected_slopes = dl.value_and_gradient(loss)(layers, 0.25, 3, np=np.array([2.0, 0.1]))
    assert same_bits(value, expected)
    assert same(flatten(slopes)[1], flatten(layers)[1])
    assert all(map(same_bits, flatten(slopes)[0], flatten(expected_slopes)[0]))


def test_constants_are_embedded_when_small_and_passed_otherwise() -> None:
    small, large = np.array([[0.1, np.nan], [-np.inf, 1e-300]]), np.linspace(0, 1, 9)

    def loss(x: Any) -> Any:
        return np.sum(np.where(small > x[0], small, x[1])) + np.sum(large * x[1])

    trace = dl.trace(loss, np.array([2.0, 3.0]))
    text = trace.to_numpy()
    assert "np.array([[0.1, np.nan], [-np.inf, 1e-300]], np.float64)" in text
    assert "def value_and_gradient(x, constants):" in text
    for x in (np.array([2.0, 3.0]), np.array([-0.1, 7.0])):
        expect_bits(trace, text, (x,), (0,))
    assert "constants" not in dl.trace(lambda x: np.sum(small[1] * x), np.ones(2)).to_numpy()


def test_an_argument_that_does_not_matter_and_shapes_without_data() -> None:
    text = dl.trace(lambda x, y: np.sum(y * y), np.ones((2, 2)), np.ones(3)).to_numpy(argnums=(0, 1))
    value, (dx, dy) = run(text, np.ones((2, 2)), np.arange(3.0))
    assert (float(value), dx.tolist(), dy.tolist()) == (5.0, [[0, 0], [0, 0]], [0, 2, 4])
    shapes = dl.trace(lambda w, x: np.sum(x @ w), dl.Shape((64, 8), "float32"), dl.Shape((4, 64), "float32"))
    slope = run(shapes.to_numpy(), np.ones((64, 8), "f4"), np.ones((4, 64), "f4"))[1]
    assert slope.dtype == np.float32
    assert np.array_equal(slope, np.full((64, 8), 4.0))


def test_names_never_collide() -> None:
    def loss(x: Any, dx: Any, v2: Any, t1: Any, constants: Any, pad: Any) -> Any:
        return np.sum(x * dx @ v2) * t1 + constants["dx"] * np.sum(np.pad(pad, 1))

    square = np.array([[0.5, 2.0], [-1.0, 3.0]])
    args = (square, square + 1, square - 2, np.array(0.3), {"dx": np.array(2.0), "x": np.array(1.0)}, square * 5)
    trace = dl.trace(loss, *args)
    expect_bits(trace, trace.to_numpy(argnums=(0, 1, 2, 3, 4, 5)), args, tuple(range(7)))


def test_the_order_of_memory_is_the_arguments_own() -> None:
    rng = np.random.default_rng(5)
    w, x = np.asfortranarray(rng.standard_normal((70, 50))), rng.standard_normal((50, 90)).T[::2]
    far = np.asfortranarray(rng.standard_normal((45, 70)))
    trace = dl.trace(lambda w: np.sum(np.sin(x @ w.T) * far) + np.sum(w * w.T[:, :1].T), w)
    expect_bits(trace, trace.to_numpy(), (w,), (0,))


def test_long_statements_are_broken() -> None:
    def loss(parts: Any) -> Any:
        return np.sum(np.concatenate(list(parts.values())) ** 2)

    parts = {f"a_rather_long_name_{i}": np.ones(2) * i for i in range(20)}
    trace = dl.trace(loss, parts)
    text = trace.to_numpy()
    assert max(map(len, text.splitlines())) <= 120
    expect_bits(trace, text, (parts,), tuple(range(20)))


# ---------------------------------------------------------------------------- what is refused


def test_branches_of_python_are_refused() -> None:
    trace = dl.trace(lambda x: x * 2 if x > 0 else x, 1.0)
    with pytest.raises(UnsupportedError, match=r"would freeze a branch .* choose with np\.where instead"):
        trace.to_numpy()


def test_a_primitive_without_spelling_is_named() -> None:
    @dl.primitive
    def gate(x: Any) -> Any:
        return np.sin(x)

    @gate.vjp
    def _(g: Any, y: Any, x: Any) -> Any:
        return (g * np.cos(x),)

    trace = dl.trace(lambda x: np.sum(gate(x)), np.ones(2))
    with pytest.raises(UnsupportedError, match=r"no NumPy spelling for the primitive '.*gate.*'"):
        trace.to_numpy()


def test_functions_without_a_gradient_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs one output of shape \(\)"):
        dl.trace(lambda x: x * 2, np.ones(3)).to_numpy()
    with pytest.raises(InputError, match="which is int"):
        dl.trace(lambda n, x: n * x, 2, 1.0).to_numpy()


@dataclasses.dataclass
class Layer:
    w: Any


def test_a_gradient_that_is_no_plain_container_is_refused() -> None:
    trace = dl.trace(lambda layer: np.sum(layer.w), Layer(np.ones(2)))
    with pytest.raises(UnsupportedError, match="in a dataclass, which plain NumPy text does not know"):
        trace.to_numpy()


# ---------------------------------------------------------------------------- the registry


def test_every_primitive_is_spelt_or_excused() -> None:
    def has_text(name: str) -> bool:
        ufunc = isinstance(find(name).evaluate, np.ufunc) and getattr(np, name, None) is find(name).evaluate
        return name in SPELT or name in SCIPY or ufunc

    excused = {*OWN_FUNCTION, *REFUSED}
    assert [p.name for p in BUILT_IN if has_text(p.name) == (p.name in excused)] == []
    assert not set(OWN_FUNCTION) & set(REFUSED)
    assert excused | set(SPELT) | set(SCIPY) | set(HELPERS) <= {p.name for p in BUILT_IN}
    assert {helper for helpers in HELPERS.values() for helper in helpers} == set(SOURCES)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("primitive", [p for p in BUILT_IN if p.name not in REFUSED], ids=lambda p: p.name)
def test_the_spelling_of_a_primitive_gives_its_bits(primitive: Any, dtype: str) -> None:
    import scipy.special

    cases = cases_of(primitive, dtype)
    assert cases
    for case in cases:
        namespace: dict[str, Any] = {"np": np, "scipy": scipy}
        for helper in helpers_of(primitive.name):
            exec(SOURCES[helper], namespace)
        if primitive.name in OWN_FUNCTION:
            namespace[primitive.name] = primitive.evaluate
        names = [f"a{k}" for k in range(len(case.arrays))]
        namespace.update(zip(names, case.arrays, strict=True))
        terms = [Term(name, aval) for name, aval in zip(names, case.avals, strict=True)]
        text = spelt(primitive, terms, case.params)
        assert text is not None
        with np.errstate(all="ignore"):
            assert same_bits(eval(text, namespace), case.value), text
