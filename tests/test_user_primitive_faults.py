"""What a user's primitive may not be, take, return or be called, each in a sentence that names it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from own_gates import X, bare, black, both, gate, gate_vjp, made, product

import difflab as dl
from difflab.errors import DifflabError, InputError, TraceError
from difflab.primitives.record import find

MODES = ["reverse", "forward"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_module:gate", "cannot be imported .*No module named"),
        ("own_gates:no_such", "cannot be imported .*no_such.*define it at the top of a module"),
        ("own_gates:gate_vjp.<locals>.rule", "cannot be imported"),
        ("own_gates:plainly", "not made by @difflab.primitive"),
        ("own_gates:gate#other", "not made by @difflab.primitive"),
        ("gate", "no primitive is called 'gate'"),
    ],
)
def test_names_that_lead_nowhere(name: str, text: str):
    with pytest.raises(KeyError, match=text):
        find(name)


# ---------------------------------------------------------------------------- faults


FAULTS = [
    (made(product, lambda c, out, x, y: c * y), "vjp rule of the primitive `m:f` is to return a tuple of 2 cotangents"),
    (made(product, lambda c, out, x, y: (c * y,)), "vjp rule .* returned 1 cotangents for 2 positional arguments"),
    (
        made(product, lambda c, out, x, y: (c * y, c * x)),
        r"vjp rule .* for `y`, which is float64\[\], an array of shape \(3,\); sum",
    ),
    (made(product, lambda c, out, x, y: (c > 0.0, None)), r"for `x`, which is float64\[3\], an array of dtype bool"),
    (made(product, None, lambda t, out, x, y: np.sum(t[0])), r"jvp rule .* for the result, .*an array of shape \(\)"),
    (made(lambda x, y: (x, y), lambda c, out, x, y: (c, c)), "returned a tuple, and a primitive has one array"),
    (made(lambda x, y: None, lambda c, out, x, y: (c, c)), "returned None, and a primitive has one array"),
    (
        made(lambda x, y: x if x[0] > 0 else y, lambda c, out, x, y: (c, None)),
        r"the function of .*`m:f` cannot be recorded on shapes alone .*opaque=True",
    ),
    (
        made(product, lambda c, out, x, y: (c * y if x[0] > 0 else c, None)),
        "the vjp rule of .*`m:f` cannot be recorded on shapes",
    ),
    (made(product, opaque=True), r"`m:f` is opaque and has no derivative rule; give it one with @f\.vjp or @f\.jvp"),
    (made(product, lambda c, out, x, y: (c * y,), opaque=True), "returned 1 cotangents for 2"),
    (
        made(lambda x, y: 1 / 0, lambda c, out, x, y: (c, c), opaque=True),
        r"failed on arrays of ones.*ZeroDivisionError.*`abstract=`",
    ),
    (
        made(product, lambda c, out, x, y: (c, c), opaque=True, abstract=lambda x, y: (3,)),
        r"to return a dl\.Shape and returned a tuple",
    ),
    (
        made(product, lambda c, out, x, y: (c, c), opaque=True, abstract=lambda x, y: dl.Shape((2,))),
        r"returned float64\[3\] and its shape rule says float64\[2\]",
    ),
]


@pytest.mark.parametrize(("own", "text"), FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("mode", MODES)
def test_faults_of_functions_and_rules_are_one_sentence(own: Any, text: str, mode: str):
    def loss(x, y):
        return np.sum(own(x, y))

    with pytest.raises(DifflabError, match=text) as caught:
        dl.gradient(loss, (0, 1), mode)(X, np.array(2.0))
    assert "\n" not in str(caught.value)


def test_a_rule_that_makes_float64_of_float32():
    own = made(product, lambda c, out, x, y: (c * y * np.ones(3), None))
    with pytest.raises(
        TraceError, match=r"for `x`, which is float32\[3\], an array of dtype float64, a precision that no"
    ):
        dl.gradient(lambda x: np.sum(own(x, 2.0)))(X.astype("f4"))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: gate(x, 1.0, k=[2]), "`k` is metadata and was given a list, which cannot be hashed"),
        (lambda x: gate(x, 1.0, k=x), "`k` is metadata and was given an array; arrays are positional"),
        (lambda x: gate(x, 1.0, k=np.ones(2)), "`k` is metadata and was given an array"),
        (lambda x: gate(x, None), "`y` is given a NoneType; positional arguments are arrays and numbers"),
        (lambda x: gate(x, {"a": x}), "`y` is given a dict"),
        (lambda x: gate(x, "text"), "`y` is given a str"),
    ],
)
def test_arguments_that_do_not_fit(call: Any, text: str):
    with pytest.raises(TraceError, match=rf"`own_gates:gate` at test_user_primitive_faults\.py:\d+: {text}"):
        dl.gradient(lambda x: np.sum(call(x)))(X)


def test_missing_and_unknown_arguments_are_pythons_errors():
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        dl.gradient(lambda x: np.sum(gate(x)))(X)
    with pytest.raises(TypeError, match="unexpected keyword argument 'kk'"):
        dl.gradient(lambda x: np.sum(gate(x, 1.0, kk=1)))(X)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dl.primitive(cast(Any, 3)), "is given a function, not int"),
        (lambda: dl.primitive(product, abstract=lambda x: x), "`abstract=` is for opaque functions"),
        (lambda: dl.primitive(product, name="gate"), "name='gate' is to say where it can be imported"),
        (lambda: gate.vjp(3), r"`own_gates:gate`\.vjp is given a rule, a function, not int"),
    ],
)
def test_options_that_do_not_fit(make: Any, text: str):
    with pytest.raises(InputError, match=text):
        make()


def test_closing_over_a_traced_value_is_refused():
    def loss(x):
        own = made(lambda y: x * y, lambda c, out, y: (c,))
        return np.sum(own(x))

    with pytest.raises(TraceError, match="the function of the primitive `m:f` closes over a traced value; give it as"):
        dl.gradient(loss)(X)


def test_an_opaque_function_that_changes_its_mind_is_found():
    shapes = iter([(3,), (3,), (2,), (2,), (2,)])
    own = made(lambda x: np.zeros(next(shapes)), lambda c, out, x: (c,), opaque=True)
    with pytest.raises(TraceError, match=r"returned float64\[2\] and its shape rule says float64\[3\]"):
        [dl.gradient(lambda x: np.sum(own(x)))(X) for _ in range(3)]


def test_it_prints_and_documents_itself():
    assert repr(gate) == "<primitive own_gates:gate: vjp rule>"
    assert repr(both) == "<primitive own_gates:both: jvp and vjp rule>"
    assert repr(black) == "<primitive own_gates:black, opaque: vjp rule>"
    assert repr(bare) == "<primitive own_gates:bare: no rule>"
    assert gate.__name__ == "gate"
    assert gate_vjp.__name__ == "gate_vjp"  # the decorator gives the rule back


def test_a_rule_of_another_signature_is_refused_when_it_is_given():
    @dl.primitive
    def gate(x, y, *, k=1):
        return k * x * y

    text = r"gate`\.vjp is to take \(cotangent, out, x, y, \*, k\), and takes \(cotangent, out, x\)"
    with pytest.raises(InputError, match=text):
        gate.vjp(lambda cotangent, out, x: (cotangent,))
    with pytest.raises(InputError, match=r"gate`\.jvp is to take \(tangents, out, x, y, \*, k\)"):
        gate.jvp(lambda tangents, out, x, y: tangents[0])
    gate.vjp(lambda cotangent, out, *args, **metadata: (cotangent * args[1], cotangent * args[0]))
    assert dl.gradient(lambda x: gate(x, 2.0))(3.0) == 2.0
