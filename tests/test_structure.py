"""The structure look-up of unprepared calls: what shares a program, what must not, and what is passed to it."""

from __future__ import annotations

import numpy as np
import pytest
from samples import rng_of, same_bits, traced

from difflab import nn
from difflab.execution.cache import ProgramCache, Runner, structure
from difflab.execution.program import Program
from difflab.operators import gradient, prepare, value_and_gradient
from difflab.tape import Tape
from difflab.transforms.inline import inline, inputs_like, transform_builder


def test_constants_are_never_baked_into_shared_programs():
    data = np.array([1.0, 2.0])
    slope = gradient(lambda x: np.sum(data * x * x))
    assert np.array_equal(slope(np.ones(2)), [2.0, 4.0])
    data[:] = [3.0, 5.0]
    assert np.array_equal(slope(np.ones(2)), [6.0, 10.0])
    data[:] = 1.0  # a value that invites simplification
    assert np.array_equal(slope(np.ones(2)), [2.0, 2.0])
    frozen = prepare(lambda x: np.sum(data * x * x), np.ones(2))
    data[:] = 7.0
    assert np.array_equal(frozen.gradient(np.ones(2)), [2.0, 2.0])


def test_the_same_array_twice_is_another_structure_than_two_equal_arrays():
    a, b = np.array([2.0, 3.0]), np.array([2.0, 3.0])
    for first, second in ((a, a), (a, b), (b, b)):
        found = gradient(lambda x, p=first, q=second: np.sum(x * p + x * q))(np.ones(2))
        assert np.array_equal(found, [4.0, 6.0])
    one, two = traced(lambda x: x * a + a, np.ones(2)), traced(lambda x: x * a + b, np.ones(2))
    assert structure(one) != structure(two)
    b[:] = [10.0, 20.0]
    assert np.array_equal(gradient(lambda x: np.sum(x * a + x * b))(np.ones(2)), [12.0, 23.0])


LOOKALIKES = [
    (lambda x: x * 0.0, lambda x: x * -0.0),
    (lambda x: x * 1, lambda x: x * True),
    (lambda x: x + 1, lambda x: x + 1.0),
    (lambda x: x**2, lambda x: x**2.0),
    (lambda x: x**2, lambda x: x**3),
    (lambda x: x + 0, lambda x: x + False),
    (lambda x: np.sum(x, axis=0), lambda x: np.sum(x, axis=1)),
    (lambda x: x[0:1], lambda x: x[1:2]),
    (lambda x: nn.leaky_relu(x, 0.1), lambda x: nn.leaky_relu(x, 0.2)),
    (lambda x: x * np.float64(2), lambda x: x * np.float32(2)),
]


@pytest.mark.parametrize(("one", "other"), LOOKALIKES, ids=[str(i) for i in range(len(LOOKALIKES))])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_functions_that_look_alike_never_share_a_wrong_program(one, other, dtype):
    x = rng_of("x").standard_normal((2, 2)).astype(dtype)
    for function in (one, other, one, other):
        tape = traced(function, x)
        (found,) = Runner(tape, lambda t: (t,), "test", frozen=False).run([x])
        assert same_bits(found, function(x))
        slope = gradient(lambda x, f=function: np.sum(f(x)))(x)
        assert slope.dtype == dtype
        step = np.asarray(1e-3, dtype)
        about = (np.sum(function(x + step), dtype="f8") - np.sum(function(x - step), dtype="f8")) / (2 * float(step))
        assert abs(np.sum(slope, dtype="f8") - about) < (1e-4 if dtype == "float64" else 2e-2)


def test_signed_zero_and_types_of_static_numbers_reach_the_result():
    zero = [value_and_gradient(lambda x, s=s: x * s)(1.0)[1] for s in (0.0, -0.0, 0.0)]
    assert [np.signbit(z) for z in zero] == [False, True, False]
    keys = {structure(traced(lambda x, n=n: x * n, np.ones(2))) for n in (1, True, 0, False, 2)}
    assert len(keys) == 5


def test_float32_stays_float32_beside_python_numbers():
    x = np.ones(3, "f4")
    value, slope = value_and_gradient(lambda x: np.sum(2.0 * x**2 + 1 / (x + 3) - np.exp(0.5 * x) * 0.1))(x)
    assert value.dtype == slope.dtype == np.float32
    mixed = value_and_gradient(lambda a, x: np.sum(a**0.5 * x), argnums=(0, 1))(2.0, x)
    assert mixed[0].dtype == np.float32
    assert type(mixed[1][0]) is np.float64
    assert mixed[1][1].dtype == np.float32


def test_the_cache_is_bounded_in_entries_and_bytes():
    cache = ProgramCache(entries=3, nbytes=10_000)

    def program(size: int) -> tuple[Program, ...]:
        return (Program(traced(lambda x: np.sum(np.sin(x) * np.cos(x)), np.ones(size))),)

    for size in (1, 2, 3, 4, 5):
        cache.get(size, lambda size=size: program(size))
    assert len(cache) == 3
    built = cache.get(5, lambda: pytest.fail("it was there"))
    assert cache.get(5, lambda: pytest.fail("it was there")) is built
    assert (cache.hits, cache.misses) == (2, 5)
    cache.get("large", lambda: program(4000))
    assert len(cache) == 1


# ---------------------------------------------------------------------------- warnings


def test_constants_of_a_rule_are_held_and_those_of_the_caller_are_passed():
    """A derivative may bring arrays of its own; the shared program must not take them for the caller's."""

    def transform(tape: Tape) -> tuple[Tape, ...]:
        builder = transform_builder()
        values = inline(builder, tape, inputs_like(builder, tape))
        weight = builder.constant(np.array([10.0, 100.0]))
        return (builder.finish([values[tape.outputs[0]] * weight]),)

    def run(first: float, second: float) -> np.ndarray:
        tape = traced(lambda x: [x * first + second], np.ones(2))
        return Runner(tape, transform, "held", frozen=False).run([np.ones(2)])[0]

    assert np.array_equal(run(2.0, 2.0), [40.0, 400.0])
    assert np.array_equal(run(2.0, 3.0), [50.0, 500.0])  # the same structure, where two numbers were one object before
