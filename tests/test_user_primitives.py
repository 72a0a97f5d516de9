"""A user's own operations: traced or opaque, with either rule or both, in every mode, order, batch and format."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from own_gates import ALL, TRACED, X, bare, black, black_pushed, both, gate, plainly, pushed

import difflab as dl
from difflab import transforms
from difflab.errors import UnsupportedError
from difflab.execution.balls import Balls, precision
from difflab.execution.exact import certify
from difflab.primitives import REGISTRY
from difflab.primitives.record import find
from difflab.tape import Tape
from difflab.tracing import trace_leaves

MODES = ["reverse", "forward"]
every = pytest.mark.parametrize("own", ALL, ids=lambda own: own.__name__)
every_traced = pytest.mark.parametrize("own", TRACED, ids=lambda own: own.__name__)


# ---------------------------------------------------------------------------- derivatives


@every
@pytest.mark.parametrize("y", [2.0, np.array([0.5, 1.5, -1.0])], ids=["number", "array"])
@pytest.mark.parametrize("mode", MODES)
def test_first_derivatives_are_those_of_the_plain_function(own: Any, y: Any, mode: str):
    def loss(function):
        return lambda x, y: np.sum(function(x, y, k=3) * np.array([1.0, 2.0, 3.0]))

    np.testing.assert_allclose(own(X, y, k=3), plainly(X, y, k=3), rtol=1e-14)
    for run in (
        dl.value_and_gradient(loss(own), (0, 1), mode),
        dl.prepare(loss(own), X, y, argnums=(0, 1), backend=mode).value_and_gradient,
    ):
        value, (gx, gy) = run(X, y)
        wanted, (wx, wy) = dl.value_and_gradient(loss(plainly), (0, 1), mode)(X, y)
        np.testing.assert_allclose(value, wanted, rtol=1e-14)
        np.testing.assert_allclose(gx, wx, rtol=1e-13)
        np.testing.assert_allclose(gy, wy, rtol=1e-13)
        assert type(gy) is type(wy)
    for function in (own, plainly):
        assert dl.gradient(lambda x, f=function: np.sum(f(x, y)), backend="finite")(X) == pytest.approx(
            np.asarray(dl.gradient(lambda x: np.sum(plainly(x, y)))(X)), rel=1e-8
        )


@every_traced
@pytest.mark.parametrize("inner", MODES)
@pytest.mark.parametrize("outer", MODES)
def test_higher_orders_compose_in_all_ways(own: Any, inner: str, outer: str):
    def third(function):
        first = dl.gradient(lambda x: np.sum(function(x, 1.5, k=2)), backend=inner)
        second = dl.gradient(lambda x: np.sum(first(x) * X), backend=outer)
        return dl.gradient(lambda x: np.sum(second(x) ** 2), backend=inner)(X)

    np.testing.assert_allclose(third(own), third(plainly), rtol=1e-10)


@pytest.mark.parametrize("own", [black, black_pushed], ids=lambda own: own.__name__)
@pytest.mark.parametrize("mode", MODES)
def test_opaque_rules_have_first_derivatives_only(own: Any, mode: str):
    def inner(x):
        return np.sum(dl.gradient(lambda z: np.sum(own(z, 2.0)), backend=mode)(x))

    with pytest.raises(
        UnsupportedError,
        match=rf"`own_gates:{own.__name__}` is opaque.*first derivatives only; write .* NumPy",
    ):
        dl.gradient(inner)(X)


def test_a_rule_may_say_something_else_than_the_function():
    @dl.primitive
    def straight(x):
        return np.round(x)

    straight.vjp(lambda cotangent, out, x: (cotangent,))
    for mode in MODES:
        np.testing.assert_array_equal(dl.gradient(lambda x: np.sum(straight(x) * X), backend=mode)(X), X)


def test_a_rule_given_later_counts_from_then_on():
    own = dl.primitive(lambda x: x * 2.0)
    own.vjp(lambda cotangent, out, x: (cotangent * 3.0,))
    loss = dl.gradient(lambda x: np.sum(own(x)))
    frozen = dl.prepare(lambda x: np.sum(own(x)), X)
    assert loss(X)[0] == 3.0
    own.vjp(lambda cotangent, out, x: (cotangent * 5.0,))
    assert loss(X)[0] == 5.0
    assert frozen(X)[0] == 3.0


# ---------------------------------------------------------------------------- on the tape


def test_with_a_rule_it_is_one_equation_and_without_one_a_span():
    tape = dl.trace(lambda x: np.sum(gate(x, 2.0, k=3)), X).tape
    assert [equation.primitive.name for equation in tape.equations] == ["own_gates:gate", "sum"]
    assert tape.equations[0].params["k"] == 3
    tape = dl.trace(lambda x: np.sum(bare(x, 2.0, k=3)), X).tape
    (span,) = tape.spans
    assert span.name == "own_gates:bare"
    assert span.params == {"k": 3}
    assert len(tape.equations) > 2


def test_the_shape_rule_needs_no_data():
    tape = dl.trace(lambda x: gate(x, x[0], k=2), dl.Shape((1000, 1000), "float32")).tape
    assert tape.avals[tape.outputs[0]][:2] == ((1000, 1000), np.dtype("f4"))
    calls = []

    def run(x):
        calls.append(x.shape)
        return x[:2] * 1.0

    learnt = dl.primitive(run, opaque=True)
    assert dl.trace(lambda x: learnt(x) + learnt(x), dl.Shape((4,))).tape.check()
    assert calls == [(4,)]  # once, on ones
    told = dl.primitive(run, opaque=True, abstract=lambda x: dl.Shape((2,), x.dtype))
    assert dl.trace(lambda x: told(x), dl.Shape((5,))).tape.check()
    assert calls == [(4,)]


def local(factor):
    def scale(x):
        return x * factor

    own = dl.primitive(scale)
    own.vjp(lambda cotangent, out, x: (cotangent * factor,))
    return own


def test_two_functions_of_one_name_are_not_confused():
    two, three = local(2.0), local(3.0)
    assert two.name == three.name
    for own, factor in ((two, 2.0), (three, 3.0), (two, 2.0)):
        value, slope = dl.value_and_gradient(lambda x, own=own: np.sum(own(x)))(X)
        assert value == pytest.approx(factor * np.sum(X))
        np.testing.assert_array_equal(slope, np.full(3, factor))
    np.testing.assert_allclose(dl.gradient(lambda x: np.sum(two(x) * three(x)))(X), 12 * X)


def test_metadata_are_told_apart_by_type_and_bits():
    seen = []

    @dl.primitive
    def kinds(x, *, k):
        seen.append(k)
        return x * (2.0 if k is True else 3.0 if isinstance(k, int) else np.copysign(4.0, k))

    kinds.vjp(lambda cotangent, out, x, *, k: (kinds(cotangent, k=k),))
    for k, slope in ((1, 3.0), (1.0, 4.0), (True, 2.0), (0.0, 4.0), (-0.0, -4.0), (0, 3.0), (1, 3.0)):
        assert dl.gradient(lambda x, k=k: np.sum(kinds(x, k=k)))(X)[0] == slope
    both_at_once = dl.gradient(lambda x: np.sum(kinds(x, k=1) + kinds(x, k=1.0) + kinds(x, k=True)))
    assert both_at_once(X)[0] == 9.0


@pytest.mark.parametrize("own", [gate, pushed, both, black], ids=lambda own: own.__name__)
def test_a_tape_travels_as_json(own: Any):
    source = dl.trace(lambda x: np.sum(own(x, 2.0, k=2)), X).tape
    for tape in (source, transforms.gradient(source, (0,))):
        again = Tape.from_json(*tape.to_json())
        for a, b in zip(again.evaluate([X]), tape.evaluate([X]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_registry_of_our_own_primitives_is_not_touched():
    assert find("own_gates:gate") is gate.records[""]
    assert not any(":" in primitive.name for primitive in REGISTRY)


# ---------------------------------------------------------------------------- arguments


def test_arguments_by_name_and_by_default():
    @dl.primitive
    def line(x, slope=2.0, shift=1.0, *, twice=False):
        return (x * slope + shift) * (2.0 if twice else 1.0)

    @line.vjp
    def _(cotangent, out, x, slope, shift, *, twice):
        cotangent = cotangent * (2.0 if twice else 1.0)
        return cotangent * slope, None, 0

    x = X.astype("f4")
    for call, factor in (
        (lambda x: line(x), 2.0),
        (lambda x: line(x, shift=3.0, twice=True), 4.0),
        (lambda x: line(slope=5.0, x=x), 5.0),
    ):
        value, slope = dl.value_and_gradient(lambda x, call=call: np.sum(call(x)))(x)
        np.testing.assert_allclose(value, np.sum(call(x)), rtol=1e-6)
        np.testing.assert_array_equal(slope, np.full(3, factor, "f4"))
        assert value.dtype == slope.dtype == np.float32


@every
def test_float32_stays_float32_beside_python_numbers(own: Any):
    if own in (black, black_pushed):
        return  # they compute with Python's floats
    value, slope = dl.value_and_gradient(lambda x: np.sum(own(x, 2.0, k=2)))(X.astype("f4"))
    assert value.dtype == slope.dtype == np.float32
    mixed = dl.gradient(lambda x, y: np.sum(own(x, y, k=2)), (0, 1))(X.astype("f4"), X)
    assert [part.dtype for part in mixed] == [np.float32, np.float64]


def test_scalars_in_and_out():
    @dl.primitive
    def cube(x):
        return x * x * x

    cube.vjp(lambda cotangent, out, x: (3.0 * x * x * cotangent,))
    for x in (2.0, np.float64(2.0), np.float32(2.0), np.array(2.0)):
        value, slope = dl.value_and_gradient(cube)(x)
        assert (value, slope) == (8.0, 12.0)
        assert slope.dtype == np.asarray(x).dtype
        assert dl.gradient(dl.gradient(cube))(x) == 12.0
    assert type(dl.gradient(cube)(np.array(2.0))) is np.ndarray
    weights = np.ones(2, "f4")
    assert dl.value_and_gradient(lambda x: np.sum(cube(x) * weights))(2.0)[0].dtype == np.float32


def test_integer_arrays_and_lists_are_arguments_too():
    @dl.primitive
    def pick(x, labels):
        return x[np.arange(2), labels]

    @pick.vjp
    def _(cotangent, out, x, labels):
        return (labels[:, None] == np.arange(3)) * cotangent[:, None], None

    x = np.arange(6.0).reshape(2, 3)
    for labels in (np.array([2, 0]), [2, 0]):
        for mode in MODES:
            found = dl.gradient(lambda x, labels=labels: np.sum(pick(x, labels) * X[:2]), backend=mode)(x)
            np.testing.assert_array_equal(found, [[0, 0, X[0]], [X[1], 0, 0]])
    np.testing.assert_array_equal(dl.gradient(lambda a: np.sum(gate([a, a * 2.0], 1.0)))(0.0), 3.0)


def test_any_number_of_positional_arrays():
    @dl.primitive
    def total(*arrays):
        return sum(arrays[1:], arrays[0])

    total.vjp(lambda cotangent, out, *arrays: tuple(cotangent * (i + 1.0) for i in range(len(arrays))))
    found = dl.gradient(lambda a, b, c: np.sum(total(a, b, c)), (0, 1, 2))(X, X, X)
    assert [part[0] for part in found] == [1.0, 2.0, 3.0]


# ---------------------------------------------------------------------------- other people's functions


def test_a_c_function_with_its_derivative():
    lib = ctypes.CDLL(ctypes.util.find_library("m"))
    lib.j0.restype = lib.j1.restype = ctypes.c_double
    lib.j0.argtypes = lib.j1.argtypes = [ctypes.c_double]
    bessel = dl.primitive(lib.j0, opaque=True, name="mine:j0")
    bessel.vjp(lambda cotangent, out, x: (-cotangent * lib.j1(x),))
    for mode in MODES:
        assert dl.gradient(lambda x: bessel(x) ** 2, backend=mode)(1.3) == pytest.approx(-2 * lib.j0(1.3) * lib.j1(1.3))
    assert dl.gradient(bessel, backend="finite")(1.3) == pytest.approx(-lib.j1(1.3), rel=1e-9)


def test_a_quadrature_of_scipy_with_its_derivative():
    from scipy.integrate import quad

    @dl.primitive(opaque=True)
    def area(a, b):
        return quad(lambda t: math.exp(-t * t), a, b)[0]

    @area.vjp
    def _(cotangent, out, a, b):
        return -cotangent * math.exp(-a * a), cotangent * math.exp(-b * b)

    for mode in MODES:
        found = dl.gradient(lambda a, b: 2.0 * area(a, b), (0, 1), mode)(0.2, 1.1)
        np.testing.assert_allclose(found, (-2 * math.exp(-0.04), 2 * math.exp(-1.21)), rtol=1e-14)


# ---------------------------------------------------------------------------- exact arithmetic and symbols


@pytest.mark.parametrize("own", [gate, both, bare], ids=lambda own: own.__name__)
def test_functions_written_in_numpy_run_on_balls_and_symbols(own: Any):
    tape = trace_leaves(lambda leaves: [np.sum(own(leaves[0], 2.0, k=3))], [X])
    with precision(160):
        certified = certify(transforms.gradient(tape, (0,)), [X])
    wanted = dl.gradient(lambda x: np.sum(plainly(x, 2.0, k=3)))(X)
    np.testing.assert_allclose(certified.high[1], wanted, rtol=1e-14)
    np.testing.assert_allclose(
        dl.gradient(lambda x: np.sum(own(x, 2.0, k=3)), backend="symbolic")(X), wanted, rtol=1e-12
    )


def test_opaque_functions_are_refused_there_by_name():
    tape = trace_leaves(lambda leaves: [np.sum(black(leaves[0], 2.0))], [X])
    assert Balls is not None
    with pytest.raises(UnsupportedError, match="`own_gates:black` is opaque: it runs on floating-point"):
        certify(tape, [X])
    with pytest.raises(UnsupportedError, match="`own_gates:black` is opaque"):
        dl.gradient(lambda x: np.sum(black(x, 2.0)), backend="symbolic")(X)


# ---------------------------------------------------------------------------- together with everything else


def test_primitives_inside_primitives():
    @dl.primitive
    def outer(x):
        return gate(x, 2.0, k=2) * pushed(x, x)

    outer.vjp(lambda c, out, x: (c * (dl.gradient(lambda z: np.sum(gate(z, 2.0, k=2) * pushed(z, z)))(x)),))
    wanted = dl.gradient(lambda x: np.sum(plainly(x, 2.0, k=2) * plainly(x, x)))
    for mode in MODES:
        np.testing.assert_allclose(dl.gradient(lambda x: np.sum(outer(x)), backend=mode)(X), wanted(X), rtol=1e-13)
    second = dl.gradient(lambda x: np.sum(dl.gradient(lambda z: np.sum(outer(z)))(x)))(X)
    np.testing.assert_allclose(second, dl.gradient(lambda x: np.sum(wanted(x)))(X), rtol=1e-11)


def test_complex_arrays_are_arguments_like_others():
    @dl.primitive
    def cube(z):
        return z * z * z

    cube.vjp(lambda cotangent, out, z: (3.0 * cotangent * z * z,))
    z = np.array([1.0 + 2.0j, 0.5 - 1.0j])
    for mode in MODES:
        found = dl.gradient(lambda z: np.sum(np.abs(cube(z)) ** 2), backend=mode)(z)
        np.testing.assert_allclose(found, dl.gradient(lambda z: np.sum(np.abs(z**3) ** 2))(z), rtol=1e-13)
    real = dl.gradient(lambda x: np.sum(np.real(cube(x * (1.0 + 1.0j)))))(X)
    np.testing.assert_allclose(real, -6.0 * X**2, rtol=1e-13)


@pytest.mark.parametrize("own", [gate, black], ids=lambda own: own.__name__)
def test_a_prepared_runs_it_in_eight_threads(own: Any):
    prepared = dl.prepare(lambda x: np.sum(own(x, 2.0, k=3)), X)
    points = [X * (1 + i / 8) for i in range(8)]
    wanted = [prepared(x) for x in points]
    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(lambda i: prepared(points[i % 8]), range(80))):
            np.testing.assert_array_equal(found, wanted[i % 8])


# ---------------------------------------------------------------------------- stop_gradient


def test_stop_gradient_is_a_public_name():
    assert dl.stop_gradient is dl.nn.stop_gradient
    for mode in MODES:
        np.testing.assert_array_equal(dl.gradient(lambda x: np.sum(x * dl.stop_gradient(x)), backend=mode)(X), X)
