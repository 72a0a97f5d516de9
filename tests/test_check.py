"""``dl.check``: what it accepts, what it says of the form of a gradient, of its value, its truth and its digits."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hand_written import mlp_arguments, mlp_gradient, mlp_loss

import difflab as dl
from difflab.checking import Check
from difflab.cli.tables import json_text
from difflab.errors import InputError, TraceError

X = np.array([0.5, -1.25, 2.0, 0.75])


def squares(x: Any) -> Any:
    return np.sum(x * x)


def kinds(found: Check) -> list[str]:
    return [one.kind for one in found.findings]


# ---------------------------------------------------------------------------- what may be returned


@dataclass
class Params:
    w: np.ndarray
    b: float


def affine(p: Params, x: np.ndarray) -> Any:
    return np.sum(np.tanh(x * p.w + p.b))


def affine_gradient(p: Params, x: np.ndarray) -> Params:
    slope = 1 - np.tanh(x * p.w + p.b) ** 2
    return Params(x * slope, float(slope.sum()))


def test_containers_numbers_and_keywords() -> None:
    assert dl.check(affine_gradient, affine, Params(X, 0.25), x=X).ok
    assert dl.check(lambda a: 2 * a, lambda a: a * a, 3.0).ok
    assert dl.check(lambda a: [2 * a[0], 3.0], lambda a: a[0] * a[0] + 3 * a[1], [1.5, 2.5]).ok
    found = dl.check(
        lambda p, x: Params(2 * affine_gradient(p, x).w, affine_gradient(p, x).b), affine, Params(X, 0.1), X
    )
    assert (found.findings[0].block, found.findings[0].factor) == ("p.w", 2.0)


def test_value_and_gradient_is_told_from_a_gradient_of_two_parts() -> None:
    def loss(pair: Any) -> Any:
        return pair[0] ** 2 + np.sum(pair[1] ** 2)

    pair = (1.5, X)
    assert dl.check(lambda p: (2 * p[0], 2 * p[1]), loss, pair).ok
    assert dl.check(lambda p: (loss(p), (2 * p[0], 2 * p[1])), loss, pair).ok
    assert dl.check(lambda a, b: (b, a), lambda a, b: a * b, 2.0, 5.0, argnums=(0, 1)).ok
    assert dl.check(lambda a, b: (a * b, (b, a)), lambda a, b: a * b, 2.0, 5.0, argnums=(0, 1)).ok
    assert dl.check(lambda a, b: a, lambda a, b: a * b, 2.0, 5.0, argnums=-1).ok


def test_a_wrong_value_is_a_fault_of_its_own() -> None:
    found = dl.check(lambda x: (squares(x) / 2, 2 * x), squares, X)
    assert (found.ok, kinds(found), found.value_error) == (False, ["value"], 0.5)
    assert "The value returned with the gradient is 3.1875, and the loss is 6.375." in str(found)
    assert dl.check(lambda x: (squares(x), 2 * x), squares, X).value_error is None


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda g: None, "structure", "returned nothing (None): did you forget to return it?"),
        (lambda g: {key: g[key] for key in g if key != "b2"}, "structure", "no entry for p['b2']"),
        (lambda g: {**g, "b9": 1.0}, "structure", "entries that the parameters do not have: p['b9']"),
        (lambda g: {**g, "b2": "much"}, "structure", "p['b2'] is expected to be an array of float64"),
        (lambda g: 3.0, "structure", "is expected in the structure of p, with p['b1'], p['b2']"),
        (lambda g: list(g.values()), "structure", "a list of 6 was returned"),
        (lambda g: {**g, "b2": g["b2"][:3]}, "shape", "p['b2'] has shape (3,) and is expected in shape (5,)"),
        (lambda g: {**g, "b2": g["b2"][None]}, "shape", "p['b2'] is right but for its shape: reshape it to (5,)"),
        (lambda g: {**g, "b2": g["b2"].sum()}, "shape", "p['b2'] is summed over axis 0"),
        (lambda g: {**g, "b2": g["b2"] * np.nan}, "not-finite", "5 of 5 entries of p['b2'] are NaN, first p['b2'][0]"),
        (lambda g: {**g, "b2": g["b2"] + 1j}, "dtype", "complex128 with imaginary parts"),
        (lambda g: {**g, "b2": g["b2"].astype(int)}, "dtype", "p['b2'] is int64 and its variable is float64"),
        (lambda g: (g, 1.5), "structure", "It returned (gradient, value); the order is (value, gradient)"),
        (lambda g: {f"d{key}": 1.0 for key in "wb"}, "structure", "and a dict with 'dw' and 'db' was returned"),
    ],
)
def test_faults_of_form_are_findings(answer: Any, kind: str, words: str) -> None:
    found = dl.check(lambda p, x, t: answer(mlp_gradient(p, x, t)), mlp_loss, *mlp_arguments())
    assert not found.ok
    assert kind in kinds(found)
    assert words in " ".join(one.sentence for one in found.findings), str(found)
    assert str(found)


def test_of_a_wrong_shape_nothing_else_is_said() -> None:
    found = dl.check(lambda x: 2 * x[:2], lambda x: np.sum(x**2), np.array([0.5, 1.0, -2.0]))
    assert [one.kind for one in found.findings] == ["shape"]


@pytest.mark.parametrize("size", [2, 3])
def test_a_tuple_of_numbers_stands_for_an_array(size: int) -> None:
    x = np.array([0.5, 1.0, -2.0])[:size]
    assert dl.check(lambda x: tuple(2 * one for one in x), lambda x: np.sum(x**2), x).ok
    assert dl.check(lambda x: (np.sum(x**2), 2 * x), lambda x: np.sum(x**2), x).ok


@pytest.mark.parametrize(
    ("layers", "words"), [(1.5, "not float"), ("h", "not str"), ({"h": (None, 1.0)}, "of h are to be arrays")]
)
def test_layers_of_another_form_are_said_to_be_so(layers: Any, words: str) -> None:
    found = dl.check(lambda x: 2 * x, lambda x: np.sum(x**2), np.array([0.5, 1.0]), layers=layers)
    assert [one.kind for one in found.findings] == ["layer"]
    assert words in found.findings[0].sentence


def test_another_floating_dtype_is_only_worth_knowing() -> None:
    found = dl.check(lambda x: 2 * x.astype("float64"), squares, X.astype("float32"))
    assert found.ok
    assert found.findings[0].sentence == "x is float64 and its variable is float32."


def test_arguments_that_are_written_to_are_found_and_safe() -> None:
    x = X.copy()
    found = dl.check(lambda x: np.multiply(x, 2, out=x), squares, x)
    assert (found.ok, kinds(found)) == (False, ["arguments"])
    assert np.array_equal(x, X)


# ---------------------------------------------------------------------------- the truth


def test_digits_and_ulps_of_a_right_gradient() -> None:
    found = dl.check(lambda x: 2 * x * (1 + 1e-13), squares, X)
    assert found.ok
    assert 12.9 < found.digits < 13.2
    assert 12.9 < found.worst_digits < 13.2
    assert found.ulps > 100
    assert found.certified == "yes"


def test_the_tolerance_can_be_given() -> None:
    def rough(x: np.ndarray) -> np.ndarray:
        return 2 * x * np.array([1, 1, 1.01, 1])

    assert not dl.check(rough, squares, X).ok
    assert dl.check(rough, squares, X, tolerance=0.1).ok


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rounding_of_narrow_dtypes_is_no_fault(dtype: str) -> None:
    x = X.astype(dtype)
    assert dl.check(lambda x: np.cos(x) * x + np.sin(x), lambda x: np.sum(np.sin(x) * x), x).ok
    assert not dl.check(lambda x: np.cos(x) * x, lambda x: np.sum(np.sin(x) * x), x).ok


def test_a_gradient_that_is_zero_in_theory_may_be_rounding() -> None:
    def loss(p: Any, x: Any) -> Any:
        z = x @ p["w"] + p["b"]
        z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-3)
        return np.sum(np.tanh(z) ** 3)

    def gradient(p: Any, x: Any) -> dict[str, np.ndarray]:
        z = x @ p["w"] + p["b"]
        m, s = z.mean(axis=0), np.sqrt(z.var(axis=0) + 1e-3)
        h = (z - m) / s
        d = 3 * np.tanh(h) ** 2 * (1 - np.tanh(h) ** 2)
        d = (d - d.mean(axis=0) - h * (d * h).mean(axis=0)) / s
        return {"w": x.T @ d, "b": d.sum(axis=0)}

    rng = np.random.default_rng(0)
    p = {"w": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}
    assert dl.check(gradient, loss, p, rng.standard_normal((8, 4))).ok


def test_complex_variables_are_measured_and_said_not_to_be_certified() -> None:
    z = X + 1j * X[::-1]

    def energy(z: Any) -> Any:
        return np.sum(np.abs(z) ** 2 * np.real(z))

    right = dl.gradient(energy)
    found = dl.check(right, energy, z)
    assert found.ok
    assert found.certified.startswith("no: ball arithmetic is for real variables")
    found = dl.check(lambda z: np.conj(right(z)), energy, z)
    assert kinds(found) == ["conjugate"]
    assert kinds(dl.check(lambda z: 2 * right(z), energy, z)) == ["factor"]


def test_a_black_box_is_measured_against_differences() -> None:
    def black(x: Any) -> float:
        return float(sum(float(one) ** 2 for one in x))

    found = dl.check(lambda x: 2 * x, black, X)
    assert found.ok
    assert "the loss cannot be traced" in found.certified
    assert "finite differences extrapolated" in found.certified
    found = dl.check(lambda x: x, black, X)
    assert (kinds(found), found.findings[0].factor) == (["factor"], 0.5)


def test_too_large_for_the_time_is_said() -> None:
    found = dl.check(mlp_gradient, mlp_loss, *mlp_arguments(), reference_seconds=1e-9)
    assert found.ok
    assert found.certified != "yes"


def test_a_choice_at_a_kink_is_not_wrong() -> None:
    x = np.array([0.0, 1.0, -1.0, 0.0])
    for slope, ok in ((0.0, True), (1.0, True), (0.25, False)):
        gradient = lambda x, slope=slope: np.where(x == 0, slope, x > 0)  # noqa: E731 (three in a row)
        found = dl.check(gradient, lambda x: np.sum(np.maximum(x, 0)), x)
        assert found.ok is ok, str(found)
        assert ("tie" in kinds(found)) is ok
    found = dl.check(lambda x: np.eye(4)[np.argmax(x)], np.max, np.array([1.0, 3.0, 3.0, 0.0]))
    assert found.ok
    assert "the first of equal maxima" in found.findings[0].sentence
    assert "up to a choice at a kink" in str(found)


# ---------------------------------------------------------------------------- precision and memory


def test_difference_quotients_are_recognised() -> None:
    def loss(x: Any) -> Any:
        return np.sum(np.sin(x) * x * x)

    def forward(x: np.ndarray) -> np.ndarray:
        return np.array([(loss(x + 1e-6 * e) - loss(x)) / 1e-6 for e in np.eye(4)])

    found = dl.check(forward, loss, X)
    assert kinds(found) == ["precision"]
    assert "forward difference quotients with a step of 1e-06" in found.findings[0].sentence


def test_computing_in_float32_is_recognised() -> None:
    found = dl.check(lambda x: (2 * x.astype("float32") ** 3).astype(float), lambda x: np.sum(x**4) / 2, X + 1 / 3)
    assert "as if computed in float32" in found.findings[0].sentence


def test_a_gradient_that_remembers_is_not_right() -> None:
    kept: dict[str, np.ndarray] = {}
    found = dl.check(lambda x: kept.setdefault("g", 2 * x), squares, X)
    assert (found.ok, kinds(found)) == (False, ["memory"])
    assert "it remembers an earlier call" in str(found)


def test_a_gradient_that_adds_up_is_not_right() -> None:
    buffer = np.zeros(4)

    def adding(x: np.ndarray) -> np.ndarray:
        buffer[:] += 2 * x
        return buffer

    found = dl.check(adding, squares, X)
    assert (found.ok, kinds(found)) == (False, ["memory"])
    assert "set the gradients to zero" in str(found)


def test_right_here_and_wrong_nearby_is_wrong() -> None:
    found = dl.check(lambda x: X + x, squares, X)
    assert not found.ok
    assert found.rel_error == 0.0
    assert "elsewhere" in kinds(found)
    assert "is right at these arguments, and yet" in str(found)
    assert "wrong nearby" in found.blocks[0].verdict


# ---------------------------------------------------------------------------- the report


def test_the_report_reads_well_and_travels() -> None:
    found = dl.check(lambda x: -2 * x, squares, X)
    text = str(found)
    assert text.startswith("`<lambda>` is not the gradient of `squares`: relative error 2, tolerance 1e-10.")
    assert "Truth: certified, enclosed in ball arithmetic and checked by power series." in text
    assert " 1. x has the wrong sign (factor -1)." in text
    assert "x[2]" in text
    assert not found
    document = json.loads(json_text({"check": found.to_dict()}))["check"]
    assert document["findings"][0]["kind"] == "factor"
    assert document["worst"][0]["true"] == 4.0 or document["worst"][0]["given"] == -4.0
    html = found._repr_html_()
    assert "<li>x has the wrong sign" in html
    assert "&lt;lambda&gt;" in html


# ---------------------------------------------------------------------------- what is refused


def test_what_cannot_be_checked_is_refused_in_a_sentence() -> None:
    gradient: Any = X
    with pytest.raises(InputError, match=r"dl\.check takes two functions.* my_gradient is a ndarray"):
        dl.check(gradient, squares, X)
    with pytest.raises(InputError, match="`<lambda>` cannot be called with the arguments that are given"):
        dl.check(lambda x, y: x, squares, X)
    with pytest.raises(InputError, match=r"needs one output of shape \(\)"):
        dl.check(lambda x: x, lambda x: x * x, X)
    with pytest.raises(InputError, match="nothing can be checked: the loss is nan"):
        dl.check(lambda x: x, lambda x: np.sum(x) * np.nan, X)
    with pytest.raises(InputError, match="cannot differentiate"):
        dl.check(lambda n: n, lambda n: n * 1.0, 3)
    with pytest.raises(TraceError, match="does not compute what the function does"):
        dl.check(lambda x: x, lambda x: np.sum(x) * np.random.default_rng().random(), X)


def test_what_the_gradient_raises_is_passed_on() -> None:
    def broken(x: np.ndarray) -> np.ndarray:
        raise KeyError("w7")

    with pytest.raises(KeyError, match="w7"):
        dl.check(broken, squares, X)


def test_functions_in_the_wrong_order_are_noticed() -> None:
    def loss(w, x):
        return np.sum((x @ w) ** 2)

    def gradient(w, x):
        return 2 * x.T @ (x @ w)

    with pytest.raises(InputError, match=r"`loss`, returns a single number: are the two in the wrong order\?"):
        dl.check(loss, gradient, np.ones(3), np.ones((4, 3)))
    with pytest.raises(InputError, match=r"needs one output of shape \(\).*or dl\.jacobian$"):
        dl.check(gradient, gradient, np.ones(3), np.ones((4, 3)))


def test_a_black_box_that_oscillates_is_measured_rightly() -> None:
    def loss(x):
        return float(np.sum([math.sin(40 * float(v)) for v in x]))

    x = np.array([-2.0, 0.3, 1e-3, 1.5])
    right = 40 * np.cos(40 * x)
    assert dl.check(lambda x: 40 * np.cos(40 * x), loss, x).ok
    for factor in (0.0, 1.05):
        assert not dl.check(lambda x, factor=factor: factor * right, loss, x).ok


def test_a_black_box_at_the_edge_of_its_domain_says_so() -> None:
    with pytest.raises(InputError, match=r"cannot be evaluated beside its arguments \(ValueError: math domain error\)"):
        dl.check(lambda x: 1 / x, lambda x: math.log(float(x[0])), np.array([0.01]))
