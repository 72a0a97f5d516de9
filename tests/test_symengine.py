"""Symengine as the engine of symbolic differentiation: its derivatives and its programs beside reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_symbolic_code import LOSSES, agrees

import difflab as dl
from difflab import nn
from difflab.backends.symbolic import Symbolic
from difflab.errors import UnavailableError, UnsupportedError
from difflab.problems import find

WAYS = [{"way": "dag"}, {"way": "tree"}, {"way": "tree", "cse": False}]
# Symengine differentiates 1 / (1 + exp(-x)) and exp(x) / (exp(x) + ...) as they stand, and both overflow beyond 350.
TAME = {"sigmoids": [-30.0, 3.0, 30.0], "shares": [1.0, -2.0, 20.0]}


def test_a_missing_symengine_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="needs the package symengine, which is not installed; pip install"):
        dl.gradient(np.sum, backend=Symbolic(engine="symengine"))(np.ones(2))


@pytest.mark.peers
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_symengine_agrees_with_reverse_mode(name: str, way: dict[str, Any]) -> None:
    function, point = LOSSES[name]
    agrees(function, TAME.get(name, point), engine="symengine", **way)


@pytest.mark.peers
@pytest.mark.parametrize("name", LOSSES)
def test_the_graph_way_does_not_overflow_either(name: str) -> None:
    agrees(*LOSSES[name], engine="symengine", way="dag")


@pytest.mark.peers
@pytest.mark.parametrize("problem", ["xor", "two-layer", "hinge", "digits-mlp", "digits-cnn"])
def test_problems_agree_with_the_graph_s_own_program(problem: str) -> None:
    instance = find(problem).build(next(iter(find(problem).sizes)), "float64", 0)
    wanted = dl.gradient(instance.loss, backend=Symbolic(way="dag"))(*instance.args)
    for way in ("dag", "tree"):
        prepared = dl.prepare(instance.loss, *instance.args, backend=Symbolic(engine="symengine", way=way))
        for name, found in prepared.gradient(*instance.args).items():
            np.testing.assert_allclose(found, wanted[name], rtol=1e-12, atol=1e-15, err_msg=f"{way} {name}")
        stats = prepared.stats
        assert {"build_s", "diff_s", "compile_s"} <= set(stats)
        assert 0 < stats["symbolic_ops_value"] < stats["symbolic_ops_gradient"]
        assert stats["symbolic_ops_dag"] <= stats["symbolic_ops_value"] + stats["symbolic_ops_gradient"]


@pytest.mark.peers
@pytest.mark.parametrize("way", ["dag", "tree"])
@pytest.mark.parametrize(
    ("function", "points"),
    [
        (nn.relu, (-1.0, 0.0, 2.0)),
        (np.abs, (-1.0, 0.0, 2.0)),
        (lambda x: np.maximum(x, 3.0), (2.0, 3.0, 4.0)),
        (lambda x: np.where(x > 0, np.log(x), 0.0), (-1.0, 2.0)),
        (lambda x: np.clip(x, -1.0, 1.0), (-2.0, -1.0, 0.0, 1.0, 2.0)),
        (np.log1p, (1e-12, -0.3, 5.0)),
        (np.expm1, (1e-12, -0.3, 5.0, 400.0)),
        (lambda x: np.logaddexp(x, 1.0), (-800.0, 1.0, 800.0)),
    ],
)  # fmt: skip
def test_kinks_and_small_numbers(function: Callable, points: tuple[float, ...], way: str) -> None:
    with np.errstate(all="ignore"):
        for point in points:
            wanted = dl.gradient(function)(point)
            found = dl.gradient(function, backend=Symbolic(engine="symengine", way=way))(point)
            np.testing.assert_allclose(found, wanted, rtol=1e-13, err_msg=f"at {point}")


@pytest.mark.peers
def test_second_derivatives_jacobians_and_new_data() -> None:
    def loss(x: Any, a: Any) -> Any:
        return np.sum(np.tanh(x * a) ** 2) * x[0]

    x, a = np.array([0.3, -0.2]), np.array([1.0, 2.0])
    for way in ("dag", "tree"):
        backend = Symbolic(engine="symengine", way=way)
        np.testing.assert_allclose(dl.hessian(loss, 0, backend)(x, a), dl.hessian(loss)(x, a), rtol=1e-12)
        prepared = dl.prepare(loss, x, a, backend=backend)
        np.testing.assert_allclose(prepared.gradient(x, 2 * a), dl.gradient(loss)(x, 2 * a), rtol=1e-13)
        assert prepared.stats["derivations"] == 2
        formulas = prepared.expressions()
        assert r"\tanh" in formulas.latex()
        names: dict[str, Any] = {}
        exec(prepared.code(language="python"), names)
        np.testing.assert_allclose(names["program"](*x)[1:], dl.gradient(loss)(x, 2 * a), rtol=1e-13)
        np.testing.assert_allclose(
            dl.jacobian(lambda x: np.outer(x, np.sin(x)), 0, backend)(x),
            dl.jacobian(lambda x: np.outer(x, np.sin(x)))(x),
        )


@pytest.mark.peers
def test_what_symengine_lacks_is_named() -> None:
    from scipy import special

    for way in ("dag", "tree"):
        with pytest.raises(UnsupportedError, match="symengine's programs have no function 'jv'; use"):
            dl.gradient(lambda x: special.jv(0, x), backend=Symbolic(engine="symengine", way=way))(1.0)
    with pytest.raises(UnsupportedError, match="symengine cannot compile polygamma"):
        dl.gradient(special.gammaln, backend=Symbolic(engine="symengine", way="tree"))(1.5)
