"""One operator at one point: its vectors, what is expected, what it is forecast to cost, and how it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from difflab.backends import find
from difflab.backends.protocol import Cost
from difflab.harness.operation import Operation, unit_vectors
from difflab.operators import source
from difflab.primitives.record import Aval


def loss(w: Any) -> Any:
    return np.sum(w["a"] ** 3) + w["b"] * np.sum(w["a"])


POINT = {"a": np.array([1.0, -2.0, 0.5]), "b": np.array(3.0)}


def test_vectors_have_unit_length_together_and_are_the_same_in_every_dtype() -> None:
    likes = {name: [Aval((2, 3), np.dtype(name)), Aval((), np.dtype(name))] for name in ("f8", "f4", "f2", "c16")}
    wide = unit_vectors(likes["f8"], 5)
    assert sum(float(np.sum(v**2)) for v in wide) == pytest.approx(1.0, rel=1e-15)
    for name in ("f4", "f2"):
        for narrow, vector in zip(unit_vectors(likes[name], 5), wide, strict=True):
            np.testing.assert_array_equal(narrow, vector.astype(name))
            assert narrow.dtype == np.dtype(name)
    assert sum(float(np.sum(np.abs(v) ** 2)) for v in unit_vectors(likes["c16"], 5)) == pytest.approx(1.0)
    assert not np.array_equal(unit_vectors(likes["f8"], 6)[0], wide[0])
    assert unit_vectors([Aval((0,), np.dtype("f8"))], 0)[0].shape == (0,)


def test_every_operator_has_its_flat_result_and_its_form() -> None:
    made = source(loss, (POINT,))
    a, b = POINT["a"], POINT["b"]
    v = [np.array([1.0, 0.0, 2.0]), np.array(-1.0)]
    gradient = [3 * a**2 + b, np.sum(a)]
    hessian = [np.diag(6 * a), np.ones(3), np.ones(3), np.zeros(())]
    expected = {
        "gradient": (gradient, ()),
        "jacobian": (gradient, ()),
        "jvp": ([gradient[0] @ v[0] - gradient[1]], v),
        "vjp": ([2 * part for part in gradient], [np.array(2.0)]),
        "hvp": ([6 * a * v[0] - 1.0, np.sum(v[0])], v),
        "hessian": (hessian, ()),
    }
    for operator, (arrays, vectors) in expected.items():
        operation = Operation(operator, made, vectors)
        for backend in ("reverse", "forward", "symbolic"):
            result = operation.result(operation.prepare(find(backend)))
            for got, like, right in zip(result, operation.expected, arrays, strict=True):
                assert (got.shape, got.dtype) == (like.shape, like.dtype)
                np.testing.assert_allclose(got, right, rtol=1e-14)


def test_cotangents_are_like_the_outputs_and_tangents_like_the_variables() -> None:
    made = source(lambda w, x: np.tanh(x @ w), (np.ones(3), np.ones((5, 3))))
    assert [v.shape for v in Operation.drawn("vjp", made, 0).vectors] == [(5,)]
    assert [v.shape for v in Operation.drawn("jvp", made, 0).vectors] == [(3,)]
    assert [like.shape for like in Operation.drawn("jvp", made, 0).expected] == [(5,)]
    assert [like.shape for like in Operation.drawn("jacobian", made, 0).expected] == [(5, 3)]
    assert not Operation.drawn("jacobian", made, 0).vectors


@dataclass(frozen=True)
class Only:
    """Knows the cost of what it declares and of nothing else."""

    capabilities: frozenset[str]
    name: str = "only"
    family: str = "reverse"

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        assert operator in self.capabilities
        return Cost(2.0, 10.0, 100.0, 0.5)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("operator", "declared", "passes", "nbytes"),
    [
        ("gradient", {"gradient"}, 1, 100),
        ("gradient", {"jvp"}, 3, 100),
        ("vjp", {"jvp"}, 3, 100),
        ("jvp", {"vjp"}, 5, 100),
        ("jacobian", {"vjp"}, 5, 100 + 8 * 15),
        ("jacobian", {"jvp"}, 3, 100 + 8 * 15),
        ("jacobian", {"jvp", "vjp"}, 3, 100 + 8 * 15),
        ("jvp", {"jacobian"}, 1, 100),
        ("hvp", {"hessian"}, 1, 100),
        ("hessian", {"hvp"}, 3, 100 + 8 * 9),
        ("hvp", {"nest", "jvp"}, 3, 100),
        ("hessian", {"nest", "gradient", "vjp"}, 9, 100 + 8 * 9),
    ],
)
def test_a_deduced_operator_is_forecast_pass_by_pass(
    operator: str, declared: set[str], passes: int, nbytes: float
) -> None:
    made = source(lambda w, x: np.tanh(x @ w), (np.ones(3), np.ones((5, 3))))
    cost = Operation.drawn(operator, made, 0).predict(Only(frozenset(declared)))
    assert cost == Cost(2.0 * passes, 10.0 * passes, nbytes, 0.5 * passes)
