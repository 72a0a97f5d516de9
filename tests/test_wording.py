"""The calls by which generated code puts equations to NumPy: other shapes, the same bits."""

from __future__ import annotations

import contextvars
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.execution.program import Program
from difflab.execution.wording import plane_of
from difflab.primitives import REGISTRY
from difflab.primitives.record import OUT, Aval, Operand
from difflab.tracing import trace_leaves
from difflab.transforms import gradient


def program(function: Callable[..., Any], *arrays: Any) -> Program:
    return Program(trace_leaves(lambda leaves: [function(*leaves)], list(arrays)))


def same_bits_as_numpy(function: Callable[..., Any], *arrays: Any) -> Program:
    found = program(function, *arrays)
    assert found.run(list(arrays))[0].tobytes() == np.asarray(function(*arrays)).tobytes()
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=4), st.data())
def test_axes_of_length_one_are_dropped_without_a_trace(shape, data):
    other = tuple(data.draw(st.sampled_from([size, 1])) for size in shape[data.draw(st.integers(0, len(shape))) :])
    x = np.linspace(-1.0, 2.0, int(np.prod(shape))).reshape(shape)
    y = np.linspace(0.5, 1.5, int(np.prod(other))).reshape(other)
    same_bits_as_numpy(lambda x, y: np.exp(x + 1.0) * np.sqrt(y + y) - np.maximum(np.sin(x), np.cos(y)), x, y)


def test_a_row_beside_one_row_needs_no_broadcasting():
    text = same_bits_as_numpy(lambda x, b: np.tanh(np.sin(x) + b) * 2.0, np.ones((1, 4)), np.arange(4.0)).text
    assert "reshape" not in text  # views were made at set-up


@pytest.mark.parametrize("width", [2, 3, 10, 63, 64])
@pytest.mark.parametrize("rows", [1, 97, 1000, 4096])
@pytest.mark.parametrize("first", [False, True])
def test_short_rows_are_repeated_where_that_pays(width, rows, first):
    x, b = np.cos(np.arange(rows * width)).reshape(rows, 1, width), np.linspace(-1.0, 1.0, width)
    made = same_bits_as_numpy(
        lambda x, b: np.exp(b - np.sin(x) if first else np.sin(x) - b), x.astype(np.float32), b.astype(np.float32)
    )
    pays = width < 64 and rows * width >= 4096 and rows != 97
    assert made.stats["rows_repeated"] == int(pays)


def test_a_repeated_row_is_copied_anew_in_every_call():
    x, b = np.ones((1024, 4)), np.arange(4.0)
    made = program(lambda x, b: np.exp(np.sin(x) + b), x, b)
    assert made.stats["rows_repeated"] == 1
    assert made.run([x, b])[0][7].tolist() != made.run([x, b + 1.0])[0][7].tolist()


def test_a_view_that_is_not_contiguous_is_broadcast_as_it_is():
    x, b = np.arange(8192.0).reshape(4, 2048), np.arange(4.0)
    made = same_bits_as_numpy(lambda x, b: np.sqrt(np.sin(x).T + 2.0 + b), x, b)
    assert made.stats["rows_repeated"] <= 1


def test_which_sums_are_products_with_ones():
    plane, cube = Aval((30, 20), np.dtype("f8")), Aval((8, 10, 20), np.dtype("f4"))
    assert plane_of(plane, (0,), quiet=True) == plane_of(plane, (1,), quiet=False) == (30, 20)
    assert plane_of(cube, (0, 1), quiet=True) == (80, 20)
    assert plane_of(cube, (1, 2), quiet=True) == (8, 200)
    refused = [(plane, (0, 1)), (cube, (1,)), (cube, (0, 2)), (Aval((30, 20), np.dtype("f2")), (0,)), (plane, ())]
    assert all(plane_of(aval, axes, quiet=True) is None for aval, axes in refused)
    few = Aval((5, 5), np.dtype("f8"))
    assert plane_of(few, (0,), quiet=False) is None
    assert plane_of(few, (0,), quiet=True) == (5, 5)


def test_sums_over_several_axes_are_right_and_noted():
    x = np.linspace(-1.0, 1.0, 6000).reshape(10, 20, 30)
    for axes in ((0, 1), (1, 2), (0, 2), (1,)):
        made = program(lambda x, axes=axes: np.sum(np.sin(x), axis=axes), x)
        assert made.stats["sums_by_product"] == (axes in ((0, 1), (1, 2)))
        np.testing.assert_allclose(made.run([x])[0], np.sum(np.sin(x), axis=axes), rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------------------- warnings

SEEN: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


def derivative_of_log(x: Any) -> Program:
    return Program(gradient(trace_leaves(lambda leaves: [np.sum(np.sqrt(leaves[0]))], [x]), (0,)))


def test_derivatives_add_no_warnings_and_the_loss_keeps_its_own():
    x = np.array([0.0, 1.0])
    made = derivative_of_log(x)
    assert "within(derive" in made.text
    value, slope = made.run([x])  # warnings are errors here
    assert (float(value), slope.tolist()) == (1.0, [np.inf, 0.5])
    with pytest.warns(RuntimeWarning, match="invalid value"):
        made.run([np.array([-1.0, 1.0])])
    with np.errstate(divide="raise"):
        assert made.run([x])[1][0] == np.inf


def test_the_callers_context_and_error_state_stay_as_they_are():
    x = np.array([0.0, 1.0])
    made = derivative_of_log(x)
    token = SEEN.set("something")
    with np.errstate(divide="raise", over="warn"):
        before = np.geterr()
        made.run([x])
        assert np.geterr() == before
    assert SEEN.get() == "something"
    SEEN.reset(token)


# ---------------------------------------------------------------------------- in place

EDGES = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 5e-324])


IN_PLACE = [record for record in REGISTRY if record.inplace]


@pytest.mark.parametrize("record", IN_PLACE, ids=lambda record: record.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_may_be_overwritten_while_it_is_read_gives_the_same_bits(record, dtype):
    operands = [np.roll(EDGES, shift).astype(dtype) for shift in range(record.arity)]
    avals = [Aval(operand.shape, operand.dtype) for operand in operands]
    for position in range(record.arity):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy's, of orders that are no integers
            try:
                expected = np.asarray(record.evaluate(*operands))
            except TypeError:  # of integers alone
                return
            if expected.dtype != operands[position].dtype:
                continue
            given = [operand.copy() for operand in operands]
            call = record.into(avals)
            filled = given[position]
            arguments = [
                given[a.index] if isinstance(a, Operand) else filled if a is OUT else a for a in call.arguments
            ]
            if call.keyword:
                call.function(*arguments[:-1], out=filled)
            else:
                call.function(*arguments)
        np.testing.assert_array_equal(filled, expected)


def test_no_number_has_no_sign_where_its_buffer_is_used_again():
    x = np.array([1.0, np.nan, -2.0])
    assert np.isnan(dl.prepare(lambda x: np.sum(np.sign(np.tanh(x))), np.ones(3)).value(x))
    assert np.isnan(dl.gradient(lambda x: np.sum(x * np.sign(np.tanh(x))))(x)).tolist() == [False, True, False]
