"""Formulas as programs at the edges: what is refused, infinities, names that meet, long and wide programs."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from test_symbolic_code import NO_COMPILER, RNG, agrees

import difflab as dl
from difflab import nn
from difflab.backends.symbolic import Symbolic
from difflab.errors import InputError, UnavailableError, UnsupportedError
from difflab.execution.code_out import array_code, c_code, scalar_code
from difflab.execution.code_out.lines import Lines
from difflab.execution.dag.code import Program
from difflab.execution.dag.nodes import Graph
from difflab.problems import find

# ---------------------------------------------------------------------------- what cannot be


def test_a_missing_compiler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UnavailableError, match="needs a C compiler, and CC=no-such-compiler names none that is there"):
        dl.gradient(np.sum, backend=Symbolic(code="c"))(np.ones(2))


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'the moon is wrong' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(UnavailableError, match="failed on the formulas \\(the moon is wrong\\); use"):
        dl.gradient(np.sum, backend=Symbolic(code="c"))(np.ones(2))


def test_a_missing_cupy_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difflab.backends.symbolic.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"code='cupy'.*pip install 'difflab\[gpu\]'"):
        dl.gradient(np.sum, backend=Symbolic(code="cupy"))(np.ones(2))


def test_functions_that_a_language_lacks_are_named() -> None:
    x = sympy.Symbol("x")
    lines = Lines([x], [], [sympy.polygamma(2, x), sympy.besselj(0, x)])
    with pytest.raises(UnsupportedError, match="C has no function 'besselj', 'polygamma'; use"):
        c_code.source(lines)
    with pytest.raises(UnsupportedError, match="has no function 'zeta'"):
        array_code.ArrayProgram(Lines([x], [], [sympy.zeta(x)]), np)
    with pytest.raises(UnsupportedError, match="has no function 'zeta'"):
        scalar_code.source(Lines([x], [], [sympy.zeta(x)]))
    with pytest.raises(UnsupportedError, match="has no function 'zeta'"):
        array_code.source(Lines([x], [], [sympy.zeta(x)]), "numpy")


def test_what_is_finite_is_asked_in_every_language() -> None:
    def loss(x: Any) -> Any:
        y = np.exp(x)
        return np.where(np.isfinite(y), x, np.where(np.isinf(y), 2 * x, np.where(np.isnan(y), 3 * x, 0.0)))

    codes = ["python", "numpy", *(["c"] if NO_COMPILER is None else [])]
    for point, slope in ((1.0, 1.0), (1000.0, 2.0), (np.nan, 3.0)):
        for code in codes:
            with np.errstate(all="ignore"):
                assert dl.gradient(loss, backend=Symbolic(code=code))(point) == slope


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"code": "fortran"}, "Symbolic\\(code='fortran'\\): code is one of python, numpy, cupy, c"),
        ({"engine": "symengine", "code": "c"}, "symengine makes its own code"),
        ({"engine": "maple"}, "engine is one of sympy, symengine"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Symbolic(**options)


def test_what_may_not_be_frozen_is_refused_and_second_derivatives_do_not_mix_in() -> None:
    branching = dl.prepare(lambda x: x**2 if x > 0 else -x, 1.0, backend="symbolic")
    for ask in (branching.code, branching.expressions):
        with pytest.raises(UnsupportedError, match="would freeze a branch that Python chose"):
            ask()
    twice = dl.prepare(lambda w: w[0] ** 2 * w[1], np.ones(2), backend="symbolic", operator="hessian")
    assert twice.code("python").endswith("return [w_1**2*w_2, 2*w_1*w_2, w_1**2]\n")
    assert twice.code("python").startswith("# In: w_1, w_2.\n# Out: the value, then its derivatives by w_1, w_2.\n")


def test_numbers_and_indices_read_well() -> None:
    loss = lambda w1: np.sum(w1 * 0.1) + np.log1p(w1[0, 0])  # noqa: E731 (one line says it)
    found = dl.prepare(loss, np.ones((1, 2)), backend="symbolic").expressions()
    assert found.latex().splitlines()[0] == (
        r"f = 0.1 w^{(1)}_{1,1} + 0.1 w^{(1)}_{1,2} + \log{\left(1 + w^{(1)}_{1,1} \right)}"
    )
    found = dl.prepare(lambda x: x / 3 * 1.23456789 + x / 3, 1.0, backend="symbolic").expressions()
    assert found.latex(digits=3).splitlines()[1] == r"\frac{\partial f}{\partial x} = 0.745"
    with pytest.raises(InputError, match="cse is True or False"):
        Symbolic(cse="no")  # type: ignore[arg-type] (a fault on purpose)


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(InputError, match="code in 'perl': the languages are python, numpy, cupy, c"):
        dl.prepare(np.sum, np.ones(2), backend="symbolic").code(language="perl")
    with pytest.raises(UnsupportedError, match="backend 'reverse' has no formulas here"):
        dl.prepare(np.sum, np.ones(2)).code()


def test_long_programs_are_cut_into_functions_that_share_their_values() -> None:
    instance = find("digits-cnn").build("tiny", "float64", 0)
    prepared = dl.prepare(instance.loss, *instance.args, backend="symbolic")
    text = prepared.code(language="c")
    assert text.count("static void part") > 1
    if NO_COMPILER is None:
        compiled = dl.prepare(instance.loss, *instance.args, backend=Symbolic(code="c"))
        wanted, found = prepared.gradient(*instance.args), compiled.gradient(*instance.args)
        for name in wanted:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, atol=1e-15)


@pytest.mark.long
def test_wide_sums_are_grouped_in_every_text() -> None:
    x = RNG.normal(size=3000)
    for way in ("dag", "tree"):
        prepared = dl.prepare(lambda x: np.sum(x * x[::-1]), x, backend=Symbolic(way=way))
        for language in ("python", "numpy"):
            names: dict[str, Any] = {}
            exec(prepared.code(language), names)
            assert names["program"](*x.tolist())[0] == pytest.approx(np.sum(x * x[::-1]), rel=1e-12)
    agrees(lambda x: np.sum(x * x[::-1]), x, code="numpy")


CODES = [{"code": "numpy"}, *([{"code": "c"}] if NO_COMPILER is None else [])]


@pytest.mark.parametrize("options", CODES, ids=str)
def test_numbers_that_are_not_finite_are_treated_with_care(options: dict[str, Any]) -> None:
    losses: list[tuple[Callable, list[float]]] = [
        (lambda x: np.max(x) + x[1], [np.nan, 1.0, 2.0]),
        (lambda x: np.sum(nn.relu(x)), [np.nan, 1.0, 2.0]),
        (lambda x: np.sum(np.abs(x) ** 1.5), [np.nan, 1.0, 2.0]),
        (nn.logsumexp, [np.inf, 1.0, -2.0]),
    ]
    with np.errstate(all="ignore"):
        for loss, point in losses:
            value, slopes = dl.value_and_gradient(loss, backend=Symbolic(way="dag"))(np.array(point))
            got, found = dl.value_and_gradient(loss, backend=Symbolic(**options))(np.array(point))
            np.testing.assert_equal(float(got), float(loss(np.array(point))))
            np.testing.assert_equal(float(got), float(value))
            np.testing.assert_equal(found, slopes)


def test_a_saturated_sigmoid_is_flat_at_infinity_too() -> None:
    for point, slope in ((-np.inf, 0.0), (np.inf, 0.0), (-800.0, 0.0), (np.nan, np.nan)):
        np.testing.assert_equal(float(dl.gradient(nn.sigmoid, backend="symbolic")(point)), slope)


def test_a_program_in_c_goes_with_its_owner() -> None:
    if NO_COMPILER is not None:
        with pytest.raises(UnavailableError, match="needs a C compiler"):
            dl.gradient(np.sum, backend=Symbolic(code="c"))(np.ones(2))
        return

    def mapped() -> int:
        lines = Path("/proc/self/maps").read_text().splitlines() if Path("/proc/self/maps").exists() else []
        return sum("program.so" in line for line in lines)

    before = mapped()
    for power in range(3):
        dl.gradient(lambda x, n=power: np.sum(x**n), backend=Symbolic(code="c"))(np.ones(2))
    gc.collect()
    assert mapped() == before


def test_names_in_latex_cannot_be_taken_for_one_another() -> None:
    found = dl.prepare(lambda x1, x_1, f, v: x1 * x_1 * f * v[0], 1.0, 2.0, 3.0, np.ones(2), argnums=(0, 1, 2, 3),
                       backend="symbolic").expressions()  # fmt: skip
    assert found.latex().splitlines()[0] == r"f = \mathit{f} v_{1} \mathit{x1} \mathit{x\_1}"
    for key in ("x²", "½"):
        text = dl.prepare(lambda q: sum(q.values()), {key: 1.0, "y": 2.0}, backend="symbolic").code("python")
        names: dict[str, Any] = {}
        exec(text, names)
        assert names["program"](1.0, 2.0) == [3.0, 1.0, 1.0]


def test_programs_have_no_table_of_lines_that_tracing_allocations_would_walk() -> None:
    # One lookup takes as long as the program before it, and there is one for every number that is made.
    graph = Graph()
    x = graph.node("symbol", (), 0)
    program = Program(graph, [x], [graph.node("exp", (graph.divide(graph.one, x),))])
    assert program._fast.__code__.co_linetable == b""
    assert program([1.0]) == [np.exp(1.0)]
    assert program([0.0]) == [np.inf]

    def interrupt(_: float) -> float:
        raise KeyboardInterrupt

    program._fast.__globals__["exp"] = interrupt
    with pytest.raises(KeyboardInterrupt) as caught:
        program([1.0])
    assert "KeyboardInterrupt" in "".join(traceback.format_exception(caught.value))
