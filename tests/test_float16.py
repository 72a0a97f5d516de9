"""Half precision: shipped problems run in it on every backend, without warnings and without float64 on the way."""

from __future__ import annotations

import numpy as np
import pytest

from difflab.backends import find
from difflab.errors import UnsupportedError
from difflab.harness import accuracy
from difflab.harness.operation import Operation
from difflab.operators import source
from difflab.problems import PROBLEMS

BACKENDS = ("reverse", "forward", "finite", "symbolic", "analytic")
COSTLY = {("symbolic", "hvp")}  # the formulas of whole Hessians: a minute for a network
SWELLING = {"alexnet"}  # whose formulas at size tiny take minutes: ten layers, maxima of maxima


@pytest.mark.parametrize("operator", ["gradient", "jvp", "hvp"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_backend_runs_every_problem(name: str, operator: str) -> None:
    one = PROBLEMS[name].build("tiny", "float16", 0)
    assert {array.dtype for array in (*one.args[0].values(), *one.args[1:])} == {np.dtype("float16")}
    assert np.asarray(one.loss(*one.args)).dtype == np.float16
    made = source(one.loss, one.args, {}, 0, one.analytic)
    operation = Operation.drawn(operator, made, 0)
    wide = PROBLEMS[name].build("tiny", "float64", 0)
    whole = source(wide.loss, wide.args)
    truth, why = accuracy.truth_of(whole.tape, Operation.drawn(operator, whole, 0), 60.0)
    assert truth is not None, why
    for backend in BACKENDS:
        if ((backend, operator) in COSTLY and one.n_params > 5) or (backend == "symbolic" and name in SWELLING):
            continue
        if (backend, operator) == ("analytic", "hvp"):
            with pytest.raises(UnsupportedError, match="cannot do 'hvp'"):
                operation.prepare(find(backend))
            continue
        result = operation.result(operation.prepare(find(backend)))
        found = accuracy.judge(result, operation.expected, backend, "float16", truth, operator=operator)
        assert found["certified"] == "yes"
        assert not accuracy.not_finite(result, operator)
        if backend != "finite":
            assert found["outcome"] == "ok", (backend, found)


@pytest.mark.parametrize("operator", ["gradient", "jvp", "vjp", "hvp"])
@pytest.mark.parametrize("backend", ["reverse", "forward"])
def test_no_step_of_a_derivative_is_in_float64(backend: str, operator: str) -> None:
    """NumPy takes means of float16 in float32, and so does the tape; float64 it takes nowhere."""
    for name in ("digits-mlp", "digits-cnn", "mlp", "two-layer"):
        one = PROBLEMS[name].build("tiny", "float16", 0)
        made = source(one.loss, one.args)
        tape = find(backend).derivative(made.tape, operator, made.wrt)  # type: ignore[attr-defined] (it nests)
        outputs = [(equation.primitive.name, tape.avals[equation.output].dtype) for equation in tape.equations]
        assert [name for name, dtype in outputs if dtype == np.float64] == []
        assert any(dtype == np.float16 for _, dtype in outputs)
