"""The search for a wrong equation: loops, long tapes, several uses, skip connections, the user's own layers."""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.checking import Check


def first(found: Check, kind: str, words: str) -> None:
    """Whether the first finding is of a kind and says something."""
    assert found.findings, str(found)
    assert found.findings[0].kind == kind, str(found)
    assert words in found.findings[0].sentence, str(found)


# ---------------------------------------------------------------------------- a recurrent network


def recurrent(p: Any, x: Any) -> Any:
    h = np.zeros(3)
    for t in range(5):
        h = np.tanh(p["u"] @ h + p["w"] @ x[t])
    return np.sum(h**2)


def recurrent_gradient(p: Any, x: Any, slip: str = "") -> dict[str, np.ndarray]:
    states = [np.zeros(3)]
    for t in range(5):
        states.append(np.tanh(p["u"] @ states[-1] + p["w"] @ x[t]))
    d, u, w = 2 * states[-1], np.zeros((3, 3)), np.zeros((3, 2))
    for t in reversed(range(5)):
        h = states[t + 1]
        d = d * {"no tanh": 1.0, "1 - y": 1 - h}.get(slip, 1 - h**2)
        u, w = u + np.outer(d, states[t]), w + np.outer(d, x[t])
        d = (p["u"] if slip == "transpose" else p["u"].T) @ d
        if slip == "truncated":
            d = 0 * d
    return {"u": u, "w": w}


@pytest.mark.parametrize(
    ("slip", "kind", "words"),
    [
        ("no tanh", "rule", "The derivative of `tanh` is left out (taken as 1), at all 5 places where it comes"),
        ("1 - y", "rule", "The derivative of `tanh` is computed as 1 - y"),
        ("transpose", "rule", "computed as b @ g in place of b.T @ g"),
        ("truncated", "contribution", "is left out"),
    ],
)
def test_a_slip_in_a_loop_is_one_slip(slip: str, kind: str, words: str) -> None:
    rng = np.random.default_rng(1)
    p = {"u": 0.6 * rng.standard_normal((3, 3)), "w": rng.standard_normal((3, 2))}
    x = rng.standard_normal((5, 2))
    assert dl.check(recurrent_gradient, recurrent, p, x).ok
    found = dl.check(functools.partial(recurrent_gradient, slip=slip), recurrent, p, x)
    first(found, kind, words)
    assert found.findings[0].where.endswith('h = np.tanh(p["u"] @ h + p["w"] @ x[t])')


# ---------------------------------------------------------------------------- several uses and skip connections


def residual(p: Any, x: Any) -> Any:
    h = x @ p["v"]
    for _ in range(2):
        h = h + np.tanh(h @ p["w"])
    return np.mean(h**2)


def residual_gradient(p: Any, x: Any, slip: str = "") -> dict[str, np.ndarray]:
    states = [x @ p["v"]]
    for _ in range(2):
        states.append(states[-1] + np.tanh(states[-1] @ p["w"]))
    size = {"sum": 1, "rows": len(x)}.get(slip, states[-1].size)
    d, w = 2 * states[-1] / size, np.zeros_like(p["w"])
    for step in reversed(range(2)):
        e = d * (1 - (states[step + 1] - states[step]) ** 2)
        if slip != "one use" or step:
            w += states[step].T @ e
        d = (0 if slip == "skip" else d) + (0 if slip == "only skip" else e @ p["w"].T)
    return {"v": x.T @ d, "w": w}


@pytest.mark.parametrize(
    ("slip", "kind", "words"),
    [
        ("sum", "factor", "Every block is 24 times the true gradient: a missing 1/N (the loss divides by 24)"),
        ("rows", "factor", "divided by 6 where 24 is right (x has 6 rows)"),
        ("one use", "contribution", "with respect to p['w'] is left out"),
        ("skip", "rule", "with respect to its first operand is left out, at all 2 places"),
        ("only skip", "rule", "with respect to its first operand is left out, at all 2 places"),
    ],
)
def test_contributions_that_are_missing(slip: str, kind: str, words: str) -> None:
    rng = np.random.default_rng(2)
    p = {"v": rng.standard_normal((3, 4)), "w": 0.5 * rng.standard_normal((4, 4))}
    x = rng.standard_normal((6, 3))
    assert dl.check(residual_gradient, residual, p, x).ok
    first(dl.check(functools.partial(residual_gradient, slip=slip), residual, p, x), kind, words)


# ---------------------------------------------------------------------------- one equation at a time

X = np.array([0.3, 1.2, -0.8, 2.1])


@pytest.mark.parametrize(
    ("loss", "gradient", "words"),
    [
        (lambda x: np.sum(np.exp(x)), lambda x: x * np.exp(x), "computed as x * y"),
        (lambda x: np.sum(np.sin(x) ** 2), lambda x: 2 * np.sin(x), "`sin` (equation 0 of the tape, shape (4,)"),
        (lambda x: np.sum(np.sqrt(1 + x * x)), lambda x: x / (1 + x * x), "where its formula has the result"),
        (lambda x: np.sum(np.log(np.cosh(x))), lambda x: np.sinh(x), "is left out"),
        (lambda x: np.sum(1 / (2 + np.sin(x))), lambda x: np.cos(x) / (2 + np.sin(x)) ** 2, "wrong sign"),
        (lambda x: np.sum(x**3 + x), lambda x: 3 * x**3 + 1, "computed with the exponent not lowered by one"),
        (lambda x: np.sum(np.abs(x) * x * x), lambda x: x * x + 2 * x * np.abs(x), "`absolute`"),
        (lambda x: np.max(x) ** 2, lambda x: np.full(4, 2 * x.max()), "handed to every entry"),
        (lambda x: np.sum(np.where(x > 0, x * x, 0.0)), lambda x: 2 * x, "its mask is missing"),
        (lambda x: np.sum((x > 0) * x), np.ones_like, "its mask is missing"),
        (lambda x: np.sqrt(np.sum(x * x)), lambda x: x, "computed as 1 / 2"),
    ],
)
def test_a_wrong_rule_at_one_equation(loss: Any, gradient: Any, words: str) -> None:
    found = dl.check(gradient, loss, X)
    assert not found.ok
    assert any(words in one.sentence for one in found.findings), str(found)


def long_chain(a: Any) -> Any:
    y = a
    for _ in range(1000):
        y = np.sin(y) + 0.5 * a
    return np.sum(y)


def long_gradient(a: np.ndarray, bad: int) -> np.ndarray:
    states = [a]
    for _ in range(1000):
        states.append(np.sin(states[-1]) + 0.5 * a)
    d, g = np.ones_like(a), np.zeros_like(a)
    for step in reversed(range(1000)):
        g, d = g + 0.5 * d, d * np.cos(states[step]) * (-1 if step == bad else 1)
    return g + d


def test_one_of_thousands_of_equations_is_found() -> None:
    found = dl.check(functools.partial(long_gradient, bad=995), long_chain, X, reference_seconds=2.0)
    first(found, "contribution", "has the wrong sign")
    assert found.findings[0].equation == 3 * 995


def test_a_search_in_vain_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difflab.checking.diagnosis.SECONDS", 0.5)
    started = time.monotonic()
    found = dl.check(lambda a: np.sin(7 * a), long_chain, X, reference_seconds=1.0)
    assert time.monotonic() - started < 20
    assert [one.kind for one in found.findings] == ["search", "unknown"]
    assert "stopped after 0.5 s" in found.findings[0].sentence


# ---------------------------------------------------------------------------- the user's own layers


def network(p: Any, x: Any) -> Any:
    h1 = np.tanh(x @ p["w1"])
    h2 = np.tanh(h1 @ p["w2"])
    return np.sum(h2**2)


def layered(p: Any, x: Any, slip: str = "") -> tuple[Any, Any, Any]:
    h1 = np.tanh(x @ p["w1"])
    h2 = np.tanh(h1 @ p["w2"])
    a2 = 2 * h2 * (3 if slip == "last" else 1)
    a1 = (a2 * (1 - h2**2)) @ (p["w2"] if slip == "transpose" else p["w2"].T)
    if slip == "sign":
        a1 = -a1
    elif slip == "no name":
        a1 = a1 * np.linspace(1, 2, a1.size).reshape(a1.shape)
    gradient = {"w1": x.T @ (a1 * (1 - h1**2)), "w2": h1.T @ (a2 * (1 - h2**2))}
    return np.sum(h2**2), gradient, {"h1": (h1, a1), "h2": (h2, a2)}


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ("transpose", "right from the loss back to h2; that of h1 is wrong: the fault is in the step between, `tanh`"),
        ("transpose", "computed as g @ b in place of g @ b.T"),
        ("sign", "it has the wrong sign"),
        ("no name", "that of h1 is wrong: the fault is in the step between, `tanh`"),
        ("last", "Not even the last is right; that of h2 is wrong"),
        ("last", "it is 3 times the true one"),
    ],
)
def test_the_first_wrong_adjoint_is_named(slip: str, words: str) -> None:
    rng = np.random.default_rng(3)
    p = {"w1": rng.standard_normal((3, 4)), "w2": rng.standard_normal((4, 4))}
    x = rng.standard_normal((6, 3))
    found = dl.check(functools.partial(layered, slip=slip), network, p, x)
    assert not found.ok
    (layer,) = [one for one in found.findings if one.kind == "layer"]
    assert words in layer.sentence
    # The same as an argument, and as a list in forward order.
    _, _, layers = layered(p, x, slip)
    for given in (layers, list(layers.values())):
        found = dl.check(lambda p, x: layered(p, x, slip)[1], network, p, x, layers=given)
        (layer,) = [one for one in found.findings if one.kind == "layer"]
        assert "wrong" in layer.sentence


def test_right_layers_say_nothing_and_strange_ones_are_named() -> None:
    rng = np.random.default_rng(3)
    p = {"w1": rng.standard_normal((3, 4)), "w2": rng.standard_normal((4, 4))}
    x = rng.standard_normal((6, 3))
    found = dl.check(layered, network, p, x)
    assert found.ok
    assert found.findings == []
    given = {"h1": (layered(p, x)[2]["h1"][0] + 1, None), "h7": (np.ones(9), None), "h8": 3.0}
    found = dl.check(lambda p, x: layered(p, x)[1], network, p, x, layers=given)
    text = str(found)
    assert "h1 is computed nowhere in the loss: what has its shape there has other numbers" in text
    assert "h7 is computed nowhere in the loss: nothing there has its shape (9,)" in text
    assert "Layer h8 is to be a pair (value, adjoint)" in text
