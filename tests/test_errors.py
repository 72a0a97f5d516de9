"""Bad input: one short sentence that says what, where in the user's file, and what to do."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.errors import DifflabError, ForecastError, InputError, TraceError, UnsupportedError, did_you_mean

X = np.array([1.0, 2.0, 3.0])


def writes_into_plain(x):
    h = np.zeros(3)
    h[0] = x[0]
    return np.sum(h)


def writes_all_into_plain(x):
    h = np.zeros(3)
    h[:] = x
    return np.sum(h)


def adds_into_plain(x):
    h = np.zeros(3)
    h += x
    return np.sum(h)


def assigns_item(x):
    x[0] = 1.0
    return np.sum(x)


def writes_out(x):
    return np.sum(np.exp(x, out=np.zeros(3)))


def sums_out(x):
    return np.sum(x, out=np.zeros(()))


def several_lines(x):
    y = x * 2.0
    z = np.roots(y)
    return z[-1]


def if_array(x):
    return 1.0 if x > 0 else 2.0


def through_helper(x):
    return several_lines(x)


# Every fault is on the marked line: (function, texts that the message must hold, among them what to do)
TRACING: list[tuple[Callable, str, list[str]]] = [
    (several_lines, "z = np.roots(y)", ["np.roots", "no derivative rule", "backend 'finite'"]),
    (through_helper, "z = np.roots(y)", ["np.roots", "no derivative rule"]),
    (lambda x: np.histogram(x)[0][0], "", ["np.histogram"]),
    (lambda x: np.frexp(x)[0][0], "", ["np.frexp"]),
    (lambda x: np.add.reduceat(x, [0])[-1], "", ["np.add.reduceat", "no derivative rule"]),
    (lambda x: x.tobytes()[-1], "", ["no .tobytes", "backend 'finite'"]),
    (lambda x: np.exp(x, where=X > 1)[0], "", ["np.exp", "'where'", "np.where"]),
    (lambda x: float(x[0]), "", ["float() of a traced value", "keep it an array"]),
    (lambda x: int(x[0]), "", ["int() of a traced value", "keep it an array"]),
    (lambda x: math.sin(x[0]), "", ["float() of a traced value", "NumPy functions"]),
    (lambda x: x[0].item(), "", ["item() of a traced value", "keep it an array"]),
    (lambda x: x.tolist()[0], "", ["tolist() of a traced value", "keep it an array"]),
    (lambda x: f"{x[0]:.3f}", "", ["format() of a traced value"]),
    (writes_into_plain, "h[0] = x[0]", ["writing it into a plain array", "np.stack"]),
    (writes_all_into_plain, "h[:] = x", ["to become a plain one", "np.stack"]),
    (adds_into_plain, "h += x", ["np.add", "in place", "`a = a + b`"]),
    (assigns_item, "x[0] = 1.0", ["item assignment", "np.where"]),
    (writes_out, "np.exp(x, out=", ["np.exp", "in place", "write"]),
    (sums_out, "np.sum(x, out=", ["np.sum", "in place", "assign the result"]),
    (lambda x: np.sum(np.asarray(x, float)), "", ["np.asarray", "dtype float64", "np.stack"]),
    (if_array, "if x > 0", ["truth value", "(3,)", "np.where"]),
    (lambda x: np.sum(x + np.ones(4)), "", ["add", "(3,)", "(4,)"]),
    (lambda x: np.sum(x @ np.ones((4, 2))), "", ["matmul", "(3,)", "(4, 2)"]),
    (lambda x: np.dot(x, np.ones(2)), "", ["(3,)", "(2,)"]),
    (lambda x: np.sum(x.reshape(2, 2)), "", ["np.reshape", "(3,)", "(2, 2)"]),
    (lambda x: np.sum(x, axis=1), "", ["np.sum", "axis 1", "1 dimensions"]),
    (lambda x: np.sum(np.concatenate([x, np.ones((2, 2))])), "", ["np.concatenate", "(3,)", "(2, 2)"]),
    (lambda x: x[7], "", ["index 7", "size 3"]),
    (lambda x: x[0, 0], "", ["too many indices"]),
    (lambda x: x[0] + None, "", ["dtype object"]),
    (lambda x: np.sum(x * np.array(["a", "b", "c"])), "", ["dtype <U1", "only numbers"]),
    (lambda x: dl.nn.conv2d(x, np.ones((3, 3, 1, 1))), "", ["conv2d", "(batch, rows, columns, channels)", "(3,)"]),
]


def label(case: tuple) -> str:
    name = case[0].__name__
    return name if name != "<lambda>" else f"line {case[0].__code__.co_firstlineno}"


@pytest.mark.parametrize("case", TRACING, ids=label)
@pytest.mark.parametrize("how", ["gradient", "prepare", "forward"])
def test_what_cannot_be_recorded(case: tuple, how: str):
    function, text, parts = case
    run: dict[str, Callable] = {
        "gradient": lambda: dl.gradient(function)(X),
        "prepare": lambda: dl.prepare(function, X),
        "forward": lambda: dl.gradient(function, backend="forward")(X),
    }
    with pytest.raises((TraceError, InputError)) as caught:
        run[how]()
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert "\n" not in message
    assert message.count("test_errors.py:") == 1
    place = re.search(r"test_errors\.py:(\d+)", message)
    assert place is not None
    line = inspect.getsource(inspect.getmodule(test_what_cannot_be_recorded)).splitlines()[int(place[1]) - 1]  # type: ignore[arg-type]
    assert (text or "lambda x:") in line
    if not text:
        assert int(place[1]) == function.__code__.co_firstlineno


def test_plain_labels_are_told_how_to_be_live():
    with pytest.raises(TraceError, match=r"test_errors\.py:\d+ a plain array is indexed by .* int64.*np\.arange"):
        dl.gradient(lambda x, labels: np.sum(x * np.eye(3)[labels]))(np.ones((2, 3)), np.array([0, 2]))


def test_a_scalar_index_that_is_data_is_a_guard():
    table = np.array([5.0, 7.0])
    prepared = dl.prepare(lambda x, k: x * table[k], 1.0, np.array(0))
    assert [prepared(1.0, np.array(k)) for k in (0, 1, 0)] == [5.0, 7.0, 5.0]
    assert prepared.stats["traces"] == 2


# ---------------------------------------------------------------------------- functions that are not functions


def test_hidden_state_is_found():
    calls: list[int] = []

    def f(x):
        calls.append(1)
        return x * len(calls)

    for backend in ("reverse", "forward", "finite"):
        with pytest.raises(TraceError, match=r"trace of `f` does not compute what the function does.*hidden state"):
            dl.prepare(f, 1.0, backend=backend)


def test_randomness_of_ones_own_is_found():
    rng = np.random.default_rng(0)
    with pytest.raises(TraceError, match=r"does not compute what the function does.*random"):
        dl.prepare(lambda x: x * rng.random(), 1.0)


def test_a_function_that_writes_into_its_arguments_is_found():
    def f(x, y):
        y += 1.0
        return np.sum(x * y)

    def g(x):
        if isinstance(x, np.ndarray):
            x[0] = 5.0
        return np.sum(x)

    for function, args in ((f, (np.ones(2), np.ones(2))), (g, (np.ones(2),))):
        before = [a.copy() for a in args]
        with pytest.raises(TraceError, match="writes into its own arguments"):
            dl.prepare(function, *args)
        for a, b in zip(args, before, strict=True):
            np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------- losses and arguments

OUTPUTS = [
    (lambda x: x * 2, r"`<lambda>` needs one output of shape \(\), and it returns shape \(3,\); .*np\.sum.*dl\.vjp"),
    (lambda x: (x[0], x[1]), r"needs one output of shape \(\), and it returns shape \(\), \(\)"),
    (lambda x: None, r"returned None.*did you forget `return`"),
    (lambda x: "text", "returned a str, not an array or number"),
    (lambda x: 3, "needs a floating-point output, and it returns int64"),
    (lambda x: np.argmax(x), "needs a floating-point output, and it returns int64"),
    (lambda x: x[0] > 0, "needs a floating-point output, and it returns bool"),
]


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite", "symbolic", "null"])
@pytest.mark.parametrize(("function", "text"), OUTPUTS, ids=range(len(OUTPUTS)))
def test_losses_that_are_no_losses(function: Callable, text: str, backend: str):
    with pytest.raises((InputError, TraceError), match=text):
        dl.gradient(function, backend=backend)(X)
    with pytest.raises((InputError, TraceError), match=text):
        dl.prepare(function, X, backend=backend)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"w": 1.0, "n_layers": 3}, r"`loss` with respect to params\['n_layers'\], which is int"),
        ({"w": [1.0, {"flag": True}]}, r"params\['w'\]\[1\]\['flag'\], which is bool"),
        ({"w": "text"}, r"params\['w'\], which is str"),
        ({"w": np.arange(3)}, r"params\['w'\], which is an array of dtype int64"),
        ({"w": np.array([True])}, r"params\['w'\], which is an array of dtype bool"),
        ({"w": np.float32}, r"params\['w'\], which is type"),
        (3, "respect to params, which is int"),
        ({"w": np.array([1.0, None])}, r"params\['w'\], which is an array of dtype object"),
    ],
)
@pytest.mark.parametrize("backend", ["reverse", "finite"])
def test_what_has_no_gradient_is_named_by_its_path(params: Any, text: str, backend: str):
    def loss(params):
        return 1.0

    with pytest.raises(InputError, match=text + ".*convert it with float"):
        dl.gradient(loss, backend=backend)(params)
    with pytest.raises(InputError, match=text):
        dl.prepare(loss, params, backend=backend)


def test_data_that_no_tape_can_take():
    with pytest.raises(InputError, match=r"is given q\['t'\] of dtype <U1: arrays of numbers"):
        dl.gradient(lambda p, q: p)(1.0, {"t": np.array(["a"])})
    with pytest.raises(InputError, match="is given extra of dtype object"):
        dl.gradient(lambda p, *, extra: p)(1.0, extra=np.array([None]))
    masked = np.ma.MaskedArray(X, mask=[False, True, False])
    for backend in ("reverse", "finite"):
        with pytest.raises(InputError, match=r"`<lambda>` is given a MaskedArray, .*convert it with np\.asarray"):
            dl.gradient(lambda p: np.sum(p * p), backend=backend)(masked)


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite"])
def test_a_complex_tangent_of_a_real_number_is_refused(backend: str):
    with pytest.raises(InputError, match="was given as complex128"):
        dl.jvp(lambda x: x, (1.0,), (1j,), backend=backend)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: dl.jvp(np.sin, (1.0,), (1.0, 1.0)), "2 tangents for 1 differentiated primals"),
        (lambda: dl.jvp(np.sin, 1.0, (1.0,)), "primals is a tuple .* a float was given"),  # type: ignore[arg-type]
        (lambda: dl.jvp(np.sin, X, X), "primals is a tuple .* a ndarray was given"),  # type: ignore[arg-type]
        (lambda: dl.jvp(np.sin, (X,), X), "tangents is a tuple .* a ndarray was given"),  # type: ignore[arg-type]
        (lambda: dl.jvp(np.sin, (X,), ([X],)), "tangent does not have the structure of its primal"),
        (lambda: dl.jvp(np.sin, (X,), (X[:2],)), r"tangent of shape \(2,\) belongs to a value of shape \(3,\)"),
        (lambda: dl.jvp(np.sin, (1.0,), ("a",)), "tangent is float64.* was given as <U1"),
        (lambda: dl.vjp(np.sin, X)[1](X[:2]), r"cotangent of shape \(2,\) belongs to a value of shape \(3,\)"),
        (lambda: dl.vjp(np.sin, X)[1]((X,)), "cotangent does not have the structure of the output"),
        (lambda: dl.gradient(lambda s: np.sum(dl.jvp(np.sin, (X,), (s,))[1]))(X[:2]), r"tangent of shape \(2,\)"),
        (lambda: dl.gradient(lambda x: x)(), "the call has 0 positional arguments"),
        (lambda: dl.gradient(np.sum)(dl.Shape((3,))), r"`sum` is given a dl\.Shape, which has no data; only dl\.trace"),
        (lambda: dl.prepare(np.sum, dl.Shape((3,))), r"`sum` is given a dl\.Shape, which has no data; only dl\.trace"),
        (lambda: dl.gradient(np.sin, backend="revers"), r"unknown backend 'revers' \(did you mean 'reverse'\?\)"),
        (lambda: dl.prepare(np.sin, 1.0, operator="grad"), "unknown operator 'grad'.*known: gradient"),
        (lambda: dl.gradient(np.sin, backend="analytic")(1.0), r"derived by hand.*pass backend=dl\.Analytic"),
    ],
)
def test_calls_that_do_not_fit(call: Callable, text: str):
    with pytest.raises((InputError, UnsupportedError), match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_shapes_have_no_values_to_branch_on():
    with pytest.raises(TraceError, match=r"test_errors\.py:\d+ Python asks for the value.*np\.where"):
        dl.trace(lambda x: x if x > 0 else -x, dl.Shape(()))


def test_the_users_own_errors_pass_unchanged():
    with pytest.raises(KeyError, match="'k'"):
        dl.gradient(lambda x: {}["k"] * x)(1.0)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        dl.gradient(lambda x, y: x)(1.0)
    with pytest.raises(ValueError, match="mine"):
        dl.gradient(lambda x: (_ for _ in ()).throw(ValueError("mine")))(1.0)


def test_a_failed_trace_leaves_nothing_behind():
    with pytest.raises(TraceError):
        dl.gradient(several_lines)(X)
    prepared = dl.prepare(lambda x, n: np.sum(np.roots(x)) if n else np.sum(x), X, 0)
    with pytest.raises(TraceError, match=r"np\.roots"):
        prepared(X, 1)
    np.testing.assert_array_equal(prepared(X, 0), np.ones(3))
    assert prepared.stats["traces"] == 1


def test_every_error_is_one_of_ours_and_of_pythons():
    for kind, pythons in ((TraceError, TypeError), (InputError, ValueError), (UnsupportedError, TypeError)):
        assert issubclass(kind, DifflabError)
        assert issubclass(kind, pythons)


def test_suggestions():
    assert did_you_mean("forwrd", ["forward", "reverse"]) == "(did you mean 'forward'?)"
    assert did_you_mean("xyz", ["b", "a"]) == "(known: a, b)"


def test_a_matrix_that_cannot_fit_is_refused_before_it_is_allocated():
    x = np.ones(1_000_000)
    with pytest.raises(ForecastError, match=r"explicit jacobian of 1,000,000 x 1,000,000 .* needs 7,451 GiB.*dl\.vjp"):
        dl.jacobian(np.sin)(x)
    with pytest.raises(ForecastError, match=r"explicit hessian of .*GiB.*dl\.hvp gives its products"):
        dl.hessian(lambda x: np.sum(np.sin(x)))(x)
    with pytest.raises(ForecastError, match="explicit jacobian"):
        dl.prepare(np.sin, x, operator="jacobian", backend="forward")


@pytest.mark.parametrize(
    "function",
    [
        lambda x, out: np.sum(x, None, None, out),
        lambda x, out: np.max(x, None, out),
        lambda x, out: np.dot(x, x, out),
        lambda x, out: x.min(0, out),
        lambda x, out: np.exp(x, np.zeros(3))[0],
        lambda x, out: np.add.reduce(x, 0, None, out),
    ],
)
def test_an_output_array_is_refused_in_its_place_too(function: Callable):
    with pytest.raises(TraceError, match=r"at test_errors\.py:\d+ writes into an array in place"):
        dl.gradient(lambda x: function(x, np.zeros(())) * 1.0)(X)


def test_what_is_no_function_and_what_is_no_list():
    not_a_function: Any = 3
    with pytest.raises(InputError, match=r"dl\.gradient takes a function, and a int was given"):
        dl.gradient(not_a_function)
    with pytest.raises(InputError, match=r"give a list of names .*\['reverse'\]"):
        dl.compare(np.sum, X, backends="reverse")


def test_an_explicit_argument_is_kept_by_prepare():
    prepared = dl.prepare(lambda a, b: a * b, 2.0, 5.0, operator="jvp", argnums=0)
    assert prepared.jvp((2.0, 5.0), (1.0,)) == (10.0, 5.0)
    assert dl.prepare(lambda a, b: a * b, 2.0, 5.0, operator="jvp").jvp((2.0, 5.0), (1.0, 1.0)) == (10.0, 7.0)
