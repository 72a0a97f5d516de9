"""Linear algebra on balls and on symbols: certified gradients, symbolic ones, and what neither can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivative_checks import drawn, near

import difflab as dl
from difflab import transforms
from difflab.errors import ForecastError, UndecidedError
from difflab.execution.balls import Balls, precision
from difflab.execution.exact import certify
from difflab.execution.program import Program
from difflab.tracing import trace_leaves


def regular(shape: tuple[int, ...]) -> np.ndarray:
    return drawn("a", shape) + 2.0 * np.eye(shape[-1])


EXACT: dict[str, Callable[[Any], Any]] = {
    "inv": lambda a: np.sum(np.linalg.inv(a) ** 2),
    "solve": lambda a: np.linalg.solve(a, np.ones(3))[1],
    "det": lambda a: np.linalg.det(a) ** 2,
    "logabsdet": lambda a: np.linalg.slogdet(a)[1],
    "sign": lambda a: np.linalg.slogdet(a)[0] * a[0, 1],
    "cholesky": lambda a: np.sum(np.linalg.cholesky(a @ a.T + np.eye(3))),
    "einsum": lambda a: np.einsum("ij,jk,ki->", a, a, a),
    "norm": lambda a: np.linalg.norm(a) + np.linalg.norm(a, 1) + np.linalg.norm(a[0], 3),
}


@pytest.mark.parametrize("name", EXACT)
def test_certified_gradients_agree(name: str):
    a = regular((3, 3))
    tape = trace_leaves(lambda leaves: [EXACT[name](leaves[0])], [a])
    tape = transforms.gradient(tape, (0,))
    certified = certify(tape, [a])
    near(Program(tape).run([a])[1], certified.high[1], 1e-13)
    assert certified.narrow


@pytest.mark.parametrize("name", ["inv", "solve", "det", "cholesky", "einsum"])
def test_symbolic_gradients_agree(name: str):
    a = regular((3, 3))
    near(dl.gradient(EXACT[name], backend="symbolic")(a), dl.gradient(EXACT[name])(a), 1e-12)


def test_symbols_refuse_determinants_of_many_rows_at_once():
    for name in ("det", "inv", "solve"):
        function = {"solve": lambda a: np.linalg.solve(a, np.ones(len(a)))[0]}.get(name, EXACT[name])
        with pytest.raises(ForecastError):
            dl.gradient(function, backend=dl.Symbolic(way="tree"))(np.eye(12))
        with pytest.raises(ForecastError):
            dl.gradient(function, backend=dl.Symbolic(way="dag"))(np.eye(24))


def test_certified_cofactors_of_a_singular_matrix_are_exact():
    a = np.arange(9.0).reshape(3, 3)
    tape = trace_leaves(lambda leaves: [np.linalg.det(leaves[0])], [a])
    certified = certify(transforms.gradient(tape, (0,)), [a])
    assert np.array_equal(certified.high[1], [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]])
    assert not np.any(certified.radius[1])


def test_a_matrix_that_may_be_singular_is_not_inverted_in_balls():
    with precision(64), pytest.raises(UndecidedError, match="whether a matrix of 2 rows is regular cannot be decided"):
        Balls().inverses(Balls().numbers(np.ones((2, 2))))
