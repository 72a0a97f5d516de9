"""Plain arrays of traced values: NumPy makes object arrays of them, which become traced arrays again."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from samples import close, difference

import difflab as dl
from difflab.elements import Element
from difflab.errors import TraceError
from difflab.tracing import trace_leaves

X = np.array([0.3, -1.2, 0.7, 2.0])


def filled(x: Any) -> Any:
    out = np.zeros(4, dtype=object)
    for i in range(4):
        out[i] = x[i] * x[-1]
    return np.sum(out * x)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "array of scalars": lambda x: np.sum(np.array([x[0] * x[1], np.sin(x[2]), x[3]]) ** 2),
    "with plain numbers": lambda x: np.sum(np.array([x[0], 2.0, 1, np.float64(3.0)]) * x),
    "nested": lambda x: np.sum(np.array([[x[0], x[1]], [x[2], 1.0]]) @ np.array([1.0, 2.0])),
    "of vectors": lambda x: np.sum(np.tanh(np.array([x, x * 2.0]))),
    "asarray": lambda x: np.sum(np.asarray(x) @ np.arange(8.0).reshape(4, 2)),
    "asarray of a matrix": lambda x: np.sum(np.exp(np.asarray(x.reshape(2, 2)).T) @ x[:2]),
    "part of it": lambda x: np.sum(np.concatenate([np.asarray(x)[1:3], x])),
    "functions of elements": lambda x: np.sum(np.sqrt(np.abs(np.asarray(x))) + np.log1p(np.asarray(x) ** 2)),
    "operators": lambda x: np.sum(-np.asarray(x) / 2.0 + 3.0 - x**2 * np.asarray(x)),
    "comparison": lambda x: np.sum(np.where(np.asarray(x) > 0, x, 2 * x)),
    "written into an object array": filled,
    "iteration": lambda x: sum(e * e for e in np.asarray(x)),
    "extremes that are plain numbers": lambda x: np.sum(np.min(np.array([[x[3], 0.5], [x[2], 0.25]]), axis=1) * x[:2]),
    "all plain in the end": lambda x: np.min(np.array([[x[3], 0.5], [x[3], 0.25]]), axis=1),
    "positions": lambda x: x[np.array([np.argmax(x), np.argmin(x), 0])] * np.array([np.argmax(x), 1, 2.0]),
    "truth values": lambda x: np.where(np.array([x[0] > 0, x[1] > 0, True, False]), x, x**2),
    "norm": lambda x: np.linalg.norm(np.array([x[0], x[1]])),
    "stacked": lambda x: np.sum(np.stack([np.asarray(x), x]) ** 2),
    "returned": lambda x: np.array([x[0], x[1] * x[2]]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_derivative(name: str):
    function = FUNCTIONS[name]
    direction = np.array([0.5, 1.0, -0.25, 2.0])
    value, slope = dl.jvp(function, (X,), (direction,))
    np.testing.assert_allclose(value, np.asarray(function(X), float), rtol=1e-14)
    assert close(slope, difference(function, [X], [direction]), "float64")


def test_an_array_of_all_elements_is_the_array_itself():
    tape = trace_leaves(lambda leaves: [np.asarray(leaves[0]).T @ leaves[1]], [np.ones((2, 3)), np.ones(2)])
    plain = trace_leaves(lambda leaves: [leaves[0] @ leaves[1]], [np.ones((2, 3)).T, np.ones(2)])
    assert len(tape) <= len(plain) + 3
    seen = []
    tape = trace_leaves(lambda leaves: [seen.append(np.asarray(leaves[0])) or leaves[0] * seen[0]], [np.ones(1000)])
    assert [equation.primitive.name for equation in tape.equations] == ["multiply"]
    assert isinstance(seen[0][3], Element)
    assert repr(seen[0][3]) == "element 3 of traced float64[1000]"


def test_dtypes_are_kept():
    x = X.astype("float32")
    assert dl.gradient(lambda x: np.sum(np.array([x[0], x[1]]) * x[2]))(x).dtype == "float32"
    assert dl.gradient(lambda x: np.sum(np.asarray(x) * x))(x).dtype == "float32"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.array([x[0]], dtype=float),
        lambda x: np.asarray(x, "float32"),
        lambda x: np.zeros(4) + np.array(x, float),
    ],
)
def test_a_dtype_is_refused_with_advice(function: Callable):
    with pytest.raises(
        TraceError, match=r"test_elements\.py:\d+ a traced array is to become a plain one of dtype .*np\.stack"
    ):
        dl.gradient(lambda x: np.sum(function(x)))(X)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.exp(np.array([x[0], 1.0])),
        lambda x: np.linalg.det(np.array([[x[0], 1.0], [2.0, x[1]]])),
        lambda x: scipy.stats.norm.logpdf(x),
        lambda x: scipy.special.logsumexp(x),
    ],
)
def test_what_object_arrays_cannot_do_says_what_can(function: Callable):
    text = r"at test_elements\.py:\d+ NumPy or another library is given an object array .*np\.stack.*difflab\.special"
    with pytest.raises(TraceError, match=text):
        dl.gradient(lambda x: np.sum(function(x)))(X)
    with pytest.raises(TraceError, match="NumPy or another library"):
        dl.prepare(lambda x: np.sum(function(x)), X)


def test_an_error_hidden_by_compiled_code_comes_out():
    with pytest.raises(TraceError, match=r"float\(\) of a traced value .*dl\.primitive\(opaque=True\)"):
        dl.gradient(lambda x: scipy.optimize.brentq(lambda t: t**3 - x[3], 0.0, 5.0))(X)


def test_what_compiled_code_raises_over_a_refusal_is_the_refusal():
    def compiled(x):
        with contextlib.suppress(TraceError):
            float(x[0])
        int("no number")  # raised by no line of Python, as by a library that goes on after an error

    with pytest.raises(TraceError, match=r"float\(\) of a traced value"):
        dl.gradient(compiled)(X)

    def python(x):
        with contextlib.suppress(TraceError):
            float(x[0])
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        dl.gradient(python)(X)
    with pytest.raises(ValueError, match="invalid literal"):  # nothing was refused before
        dl.gradient(lambda x: x[0] * int("no number"))(X)


def test_errors_of_the_user_pass_unchanged():
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        dl.gradient(lambda x: np.sum(x) + len({"a": 1}) + (cast(Any, "a") - 1))(X)
    assert not isinstance(caught.value, TraceError)


def test_copies_are_the_same_value_and_pickles_are_refused():
    for copying in (copy.copy, copy.deepcopy):
        assert np.array_equal(dl.gradient(lambda p, c=copying: np.sum(c(p)["a"] ** 2))({"a": X})["a"], 2 * X)
    with pytest.raises(TraceError, match=r"pickled or sent elsewhere at test_elements\.py"):
        dl.gradient(lambda x: pickle.loads(pickle.dumps(x)).sum())(X)


def test_in_place_methods_are_refused_with_advice():
    for call, instead in ((lambda x: x.sort(), "np.sort"), (lambda x: x.fill(0.0), "np.full_like")):
        with pytest.raises(TraceError, match=rf"in place, which cannot be recorded; use {instead}"):
            dl.gradient(call)(X)
