"""Certified derivatives of every operator: two engines, ties, samples under a deadline, and their file."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import nn
from difflab.errors import CertificateError, UndecidedError, UnsupportedError
from difflab.execution.balls import ball, precision
from difflab.execution.jets import Jet, line, terms
from difflab.execution.series import along
from difflab.harness import certify
from difflab.harness.certify import certified
from difflab.harness.reference import Reference
from difflab.harness.series_check import Question
from difflab.primitives import REGISTRY
from difflab.tape import Tape
from difflab.tracing import trace_leaves

X, Y = np.array([0.3, -1.2]), np.array([0.5, 2.0, 1.0])


def traced(function: Callable, *leaves: Any) -> tuple[Tape, list[Any]]:
    return trace_leaves(lambda inputs: [function(*inputs)], list(leaves)), list(leaves)


def table(x: Any, y: Any) -> Any:
    return np.tanh(x)[:, None] * y + np.sum(x**2)


def energy(x: Any, y: Any) -> Any:
    return np.sum(table(x, y) ** 2)


# ---------------------------------------------------------------------------- operators


def test_every_operator_is_certified_and_is_what_the_operators_compute() -> None:
    tape, leaves = traced(table, X, Y)
    t, u = (0.5 * X, np.ones(3)), np.arange(6.0).reshape(2, 3)
    expected = {
        "jvp": ([*t], [dl.jvp(table, (X, Y), t)[1]]),
        "vjp": ([u], [*dl.vjp(table, X, Y)[1](u)]),
        "jacobian": ([], [*dl.jacobian(table, argnums=(0, 1))(X, Y)]),
    }
    for operator, (vectors, results) in expected.items():
        found = certified(tape, leaves, (0, 1), operator, vectors=vectors)
        assert found.certified_text == "yes", operator
        assert len(found.high) == len(results)
        for high, result in zip(found.high, results, strict=True):
            np.testing.assert_allclose(high, result, rtol=1e-14)
    tape, leaves = traced(energy, X, Y)
    product = certified(tape, leaves, (0, 1), "hvp", vectors=[*t])
    blocks = certified(tape, leaves, (0, 1), "hessian")
    assert (product.certified_text, blocks.certified_text) == ("yes", "yes")
    for high, result in zip(product.high, dl.hvp(energy, argnums=(0, 1))(X, Y, t), strict=True):
        np.testing.assert_allclose(high, result, rtol=1e-13)
    rows = dl.hessian(energy, argnums=(0, 1))(X, Y)
    for high, result in zip(blocks.high, [block for row in rows for block in row], strict=True):
        np.testing.assert_allclose(high, result, rtol=1e-13)


def test_a_jacobian_of_more_inputs_than_outputs_goes_by_cotangents() -> None:
    x = np.linspace(0.1, 0.9, 7)
    tape, leaves = traced(lambda x: np.stack([np.sum(np.sin(x)), np.prod(x)]), x)
    found = certified(tape, leaves, (0,), "jacobian")
    assert found.certified_text == "yes"
    np.testing.assert_allclose(found.high[0], np.stack([np.cos(x), np.prod(x) / x]), rtol=1e-14)


def test_an_operator_without_reference_says_so() -> None:
    tape, leaves = traced(energy, X, Y)
    with pytest.raises(UnsupportedError, match="no certified reference for the operator 'laplacian'"):
        certified(tape, leaves, (0,), "laplacian")


# ---------------------------------------------------------------------------- ties and kinks


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        (lambda x: np.sum(np.maximum(x, 0.0)), [0.0, 1.0, -1.0], [0.5, 1.0, 0.0]),
        (lambda x: np.sum(nn.relu(x)), [0.0, 1.0, -1.0], [0.0, 1.0, 0.0]),
        (lambda x: np.sum(np.abs(x) * 3), [0.0, 2.0, -2.0], [0.0, 3.0, -3.0]),
        (lambda x: np.max(x) ** 2, [2.0, 2.0, 1.0], [2.0, 2.0, 0.0]),
        (lambda x: np.max(np.exp(x)), [2.0, 2.0, 1.0], [np.exp(2) / 2, np.exp(2) / 2, 0.0]),
        (lambda x: np.sort(x)[2] * 5, [2.0, 2.0, 1.0], [0.0, 5.0, 0.0]),
        (lambda x: np.sum(np.clip(x, 0.0, 1.0)), [0.0, 1.0, 0.5], [0.5, 0.5, 1.0]),
        (lambda x: np.linalg.norm(x), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        (lambda x: nn.max_pool2d(np.exp(x).reshape(1, 1, 3, 1), (1, 3)).sum(), [1.0, 1.0, 0.0], [np.e, 0.0, 0.0]),
        (lambda x: np.sum(x**0) + np.sum(x**2), [0.0, 1.0, 2.0], [0.0, 2.0, 4.0]),
    ],
)
def test_both_engines_settle_ties_by_the_kink_table(function: Callable, point: list, expected: list) -> None:
    tape, leaves = traced(function, np.array(point))
    found = certified(tape, leaves, (0,))
    assert found.certified_text == "yes"
    np.testing.assert_allclose(found.high[0], expected, rtol=1e-15)


def test_equal_values_with_different_slopes_are_a_tie_of_values_only() -> None:
    """exp(x0) and exp(x1) are proven equal at x0 = x1, and move apart along a line."""
    tape, leaves = traced(lambda x: np.maximum(np.exp(x[0]), np.exp(x[1])) + np.exp(x[0]), np.array([0.7, 0.7]))
    found = certified(tape, leaves, (0,))
    assert (found.certified_text, found.ties > 0) == ("yes", True)
    np.testing.assert_allclose(found.high[0], np.exp(0.7) * np.array([1.5, 0.5]), rtol=1e-15)


@pytest.mark.parametrize("smallest", [np.min, lambda x: np.minimum(x[0], x[1]), lambda x: np.minimum.accumulate(x)[1]])
def test_the_smallest_of_proven_equals_is_a_tie_for_both_engines(smallest: Callable) -> None:
    tape, leaves = traced(lambda x: smallest(np.exp(x)) ** 2, np.array([0.7, 0.7, 0.9]))
    found = certified(tape, leaves, (0,))
    assert found.certified_text == "yes"
    np.testing.assert_allclose(found.high[0], np.exp(1.4) * np.array([1, 1, 0]), rtol=1e-15)


def test_an_undecidable_choice_is_a_kink_and_no_guess() -> None:
    tape, leaves = traced(lambda x: np.sum(np.maximum(np.sin(x) ** 2 + np.cos(x) ** 2, 1.0)), np.array([0.4]))
    with pytest.raises(UndecidedError, match="cannot be decided"):
        certified(tape, leaves, (0,))


def test_a_branch_that_rounding_decided_has_no_certificate() -> None:
    def loss(x: Any) -> Any:
        root = x
        while abs(root * root - x) > 0:  # in floating point the loop ends
            root = 0.5 * (root + x / root)
        return root

    tape, leaves = traced(loss, np.array(11.0))
    for deadline_s in (None, 60.0):
        with pytest.raises(UndecidedError, match="rounding decided which branch Python took"):
            certified(tape, leaves, (0,), deadline_s=deadline_s)


def test_an_infinite_slope_has_no_certificate() -> None:
    tape, leaves = traced(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0]))
    with pytest.raises(UndecidedError, match="no finite enclosure"):
        certified(tape, leaves, (0,))


# ---------------------------------------------------------------------------- the second engine


def test_power_series_are_those_of_the_function() -> None:
    tape, leaves = traced(lambda x: np.exp(x) * np.sin(x), np.array(0.5))
    (parts,) = along(tape, leaves, (0,), [np.array(2.0)], 2, 160)
    value, slope, curve = (float(part.item()) for part in parts)
    assert value == pytest.approx(np.exp(0.5) * np.sin(0.5), rel=1e-15)
    assert slope == pytest.approx(2 * np.exp(0.5) * (np.sin(0.5) + np.cos(0.5)), rel=1e-15)
    assert curve == pytest.approx(4 * 2 * np.exp(0.5) * np.cos(0.5) / 2, rel=1e-15)


def test_jets_and_balls_mix() -> None:
    with precision(160), terms(3):
        jet = line(2.0, 1.0)
        for result, expected in (
            (1 + jet, (3, 1, 0)),
            (ball(1) - jet, (-1, -1, 0)),
            (jet * ball(3), (6, 3, 0)),
            (ball(4) / jet, (2, -1, 0.5)),
            (jet / 4, (0.5, 0.25, 0)),
            (-jet * jet, (-4, -4, -1)),
        ):
            assert type(result) is Jet
            assert tuple(float(result.series[k]) for k in range(3)) == expected
            assert float(result.value) == expected[0]


@pytest.mark.parametrize("operator", ["gradient", "hessian"])
@pytest.mark.parametrize(
    "branch",
    [lambda x: 1 / x, lambda x: x**-1, lambda x: np.arctan2(x, x * x) / x, lambda x: np.arctanh(0.5 / x) + 1 / x**2],
)
def test_a_branch_that_is_not_taken_needs_no_power_series(branch: Callable, operator: str) -> None:
    tape, leaves = traced(lambda x: np.sum(np.where(x > 0, branch(x), 3 * x)), np.array([0.0, 2.0]))
    assert certified(tape, leaves, (0,), operator).certified_text == "yes"


def test_a_second_derivative_of_the_norm_at_0_is_not_certified() -> None:
    tape, leaves = traced(lambda x: np.hypot(x[0], x[1]), np.zeros(2))
    assert certified(tape, leaves, (0,)).certified_text == "yes"
    assert not certified(tape, leaves, (0,), "hessian").certified


def test_a_leaf_without_elements_has_a_hessian() -> None:
    tape, leaves = traced(lambda x, y: np.sum(x) + np.sum(y**3), np.zeros((0, 3)), np.array([1.0, 2.0]))
    found = certified(tape, leaves, (0, 1), "hessian")
    assert found.certified_text == "yes"
    assert [part.shape for part in found.high] == [(0, 3, 0, 3), (0, 3, 2), (2, 0, 3), (2, 2)]


def test_no_direction_leaves_an_input_where_it_is() -> None:
    def zeros(seed: int) -> int:
        question = Question(tape, leaves, (0,), "gradient", [], seed, None)
        return int(np.sum(question.direction(1)[0] == 0))

    tape, leaves = traced(lambda x: np.sum(x), np.zeros(20_000))
    assert sum(map(zeros, range(20))) == 0


def test_a_user_rule_that_is_wrong_is_accused_by_name() -> None:
    @dl.primitive
    def cubed(x: Any) -> Any:
        return x * x * x

    cubed.vjp(lambda cotangent, out, x: (cotangent * x * x,))
    tape, leaves = traced(lambda x: np.sum(np.tanh(cubed(x))), X)
    with pytest.raises(CertificateError, match=r"rule at fault is that of `.*cubed`.* exclude each other"):
        certified(tape, leaves, (0,))


def test_what_has_no_power_series_in_time_is_not_called_certified() -> None:
    tape, leaves = traced(lambda x: np.sum(dl.special.jv(0.5, x)), np.array([0.5, 2.0]))
    assert certified(tape, leaves, (0,)).certified_text == "yes"
    negative, leaves = traced(lambda x: np.sum(dl.special.gammaln(x)), np.array([-0.5, 2.5]))
    assert certified(negative, leaves, (0,)).certified_text == "yes"


# ---------------------------------------------------------------------------- large cases


def wide(w: Any, x: Any) -> Any:
    return np.mean(np.log(1 + np.exp(-(np.tanh(x @ w) @ np.ones(w.shape[1])))))


def test_a_case_too_large_for_its_time_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify, "forecast_seconds", lambda tape: 1e9)
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((40, 30)), rng.standard_normal((4, 40))
    tape, leaves = traced(wide, w, x)
    found = certified(tape, leaves, (0,), deadline_s=60.0)
    assert found.sampled == (256, 1200)
    assert found.certified_text == "sampled 256 of 1200"
    assert found.known is not None
    assert int(found.known[0].sum()) == 256
    assert "a random sample, because certifying everything takes more than 60 s" in found.reason
    gradient = dl.gradient(wide)(w, x)
    known = found.known[0]
    assert np.isnan(found.high[0][~known]).all()
    np.testing.assert_allclose(found.high[0][known], gradient[known], rtol=1e-9, atol=1e-12)
    assert len(found.directions) == 2
    for one in found.directions:
        assert float(np.sum(one.vector[0] * gradient)) == pytest.approx(one.high, rel=1e-9)


def test_a_deadline_is_kept() -> None:
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((300, 400)), rng.standard_normal((2, 300))
    tape, leaves = traced(wide, w, x)
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError):
        found = certified(tape, leaves, (0,), deadline_s=1.0)
        assert found.certified or "the time was up" in found.reason
    assert time.monotonic() - begun < 30


def test_a_sample_of_a_small_case_knows_every_coordinate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify, "forecast_seconds", lambda tape: 1e9)
    tape, leaves = traced(energy, X, Y)
    whole = certified(tape, leaves, (0, 1))
    for operator, vectors in (("gradient", []), ("hvp", [X, Y])):
        whole = certified(tape, leaves, (0, 1), operator, vectors=vectors)
        found = certified(tape, leaves, (0, 1), operator, vectors=vectors, deadline_s=60.0)
        assert found.certified_text == "sampled 5 of 5"
        for a, b in zip(found.high, whole.high, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_sample_says_that_it_met_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify, "forecast_seconds", lambda tape: 1e9)
    tape, leaves = traced(lambda x: np.sum(np.maximum(x, 0.0) * 3), np.array([0.0, 1.0]))
    found = certified(tape, leaves, (0,), deadline_s=60.0)
    assert found.certified_text == "sampled 2 of 2"
    assert found.ties > 0
    assert "settled by the kink table" in found.reason
    np.testing.assert_array_equal(found.high[0], [1.5, 3.0])


def test_no_time_at_all_is_said() -> None:
    tape, leaves = traced(energy, X, Y)
    with pytest.raises(TimeoutError, match="no certificate within 0 s"):
        certified(tape, leaves, (0,), deadline_s=0.0)
    with pytest.raises(TimeoutError, match="no certificate within"):
        certified(tape, leaves, (0,), "jacobian", deadline_s=0.0)


def test_a_sample_survives_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify, "forecast_seconds", lambda tape: 1e9)
    tape, leaves = traced(energy, X, Y)
    found = certified(tape, leaves, (0, 1), deadline_s=60.0)
    found.save(tmp_path / "reference.npz")
    again = Reference.load(tmp_path / "reference.npz")
    assert (again.sampled, again.certified_text, again.checked) == (found.sampled, found.certified_text, True)
    assert again.known is not None
    assert all(part.all() for part in again.known)
    for one, other in zip(found.directions, again.directions, strict=True):
        assert one[1:] == other[1:]
        for a, b in zip(one.vector, other.vector, strict=True):
            np.testing.assert_array_equal(a, b)


def test_float32_inputs_and_literals_count_as_given() -> None:
    """The literal 0.1 of a float32 loss is the number 0.1 as a double; what float32 makes of it is float32's error."""
    x = np.array([0.5, 2.0], dtype=np.float32)
    tape, leaves = traced(lambda x: np.sum(x * 0.1), x)
    found = certified(tape, leaves, (0,))
    np.testing.assert_array_equal(found.high[0], [0.1, 0.1])
    np.testing.assert_array_equal(found.low[0], [0.0, 0.0])
    assert dl.gradient(lambda x: np.sum(x * 0.1))(x)[0] == np.float32(0.1)


def test_a_wrong_exact_rule_is_seen_in_the_value() -> None:
    """Both engines run the same exact rules; floating point does not."""
    floor = dataclasses.replace(REGISTRY["floor"], exact=REGISTRY["ceil"].exact)
    tape, leaves = traced(lambda x: np.sum(np.floor(x) * x), X)
    wrong = dataclasses.replace(
        tape,
        equations=tuple(e._replace(primitive=floor) if e.primitive.name == "floor" else e for e in tape.equations),
    )
    assert certified(tape, leaves, (0,)).certified
    found = certified(wrong, leaves, (0,))
    assert not found.certified
    assert "comes out otherwise in floating point" in found.reason


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sum(np.where(x == 0, 0.0, x)),
        lambda x: np.sum(x * np.floor(x)),
        lambda x: np.sum(np.where(x > 0, x, 0.1 * x)),
        lambda x: np.sum(np.mod(x, 1.0)),
    ],
)
def test_a_choice_at_equality_is_told(function: Callable) -> None:
    remark = "the function itself compares equal numbers or rounds at a jump"
    tape, leaves = traced(function, np.array([0.0, 1.5]))
    assert remark in certified(tape, leaves, (0,)).reason
    tape, leaves = traced(function, np.array([0.25, 1.5]))
    assert certified(tape, leaves, (0,)).reason == ""


def test_a_network_has_no_such_remark() -> None:
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])

    def loss(w: Any) -> Any:
        z = nn.relu(x @ w)
        shifted = z - np.max(z, axis=1, keepdims=True)
        return -np.mean((shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True)))[np.arange(6), y])

    tape, leaves = traced(loss, np.random.default_rng(1).normal(size=(4, 3)))
    assert "compares equal numbers" not in certified(tape, leaves, (0,)).reason


def test_running_extremes_share_among_all_ties() -> None:
    tape, leaves = traced(lambda x: np.maximum.accumulate(x)[2], np.array([2.0, 2.0, 2.0]))
    found = certified(tape, leaves, (0,))
    assert found.certified_text == "yes"
    np.testing.assert_allclose(found.high[0], 1 / 3, rtol=1e-15)
