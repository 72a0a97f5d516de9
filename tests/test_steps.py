"""Studies of steps: what a study file may say, what theory predicts, and what one case finds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from difflab.backends import find
from difflab.errors import StudyError
from difflab.harness import accuracy, study, study_file
from difflab.harness.catalogue import Catalogue
from difflab.harness.examinations import predicted_steps as predicted
from difflab.harness.examinations import steps as examine_steps
from difflab.harness.finite_loss import LossError
from difflab.harness.reference import Reference
from difflab.harness.session import Session

HEAD = 'title = "T"\nquestion = "Q"\nanswer = "steps"\n'
MLP = '[[problem]]\nname = "digits-mlp"\nsizes = ["tiny"]\n'
FINITE = '[[backend]]\nname = "finite"\n'
GRID = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-14]


def _describe(asked: Any, problems: Any) -> Catalogue:
    return Catalogue({"digits-mlp": ["tiny", "small"]}, {"finite": "finite"}, {"finite": ["scheme", "step"]})


def _parse(text: str) -> study.Study:
    return study_file.parse(text, "v.toml", _describe)


# ------------------------------------------------------------------------------- study files


def test_steps_have_a_range_for_every_dtype() -> None:
    found = _parse(HEAD + MLP + FINITE)
    assert (found.answer, found.timed, found.baseline) == ("steps", False, "")
    assert found.settings.grid("float64")[:3] == [0.1, 0.0316228, 0.01]
    assert found.settings.grid("float64")[-1] == 1e-16
    assert len(found.settings.grid("float64")) == 31
    assert found.settings.grid("float64", quick=True) == [float(f"1e-{k}") for k in range(1, 17)]
    assert found.settings.grid("float32")[-1] == 1e-8


def test_a_range_may_be_that_of_one_dtype() -> None:
    text = HEAD + MLP + FINITE + "[steps]\nfrom = 1\nper_decade = 1\n[steps.float32]\nfrom = 10\nto = 1e-3\n"
    found = _parse(text).settings
    assert found.grid("float64") == [1.0, *(float(f"1e-{k}") for k in range(1, 17))]
    assert found.grid("float32") == [10.0, 1.0, 0.1, 0.01, 0.001]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("[steps]\nfrom = 0", "v.toml:10:8: steps.from: must be a number from 1e-300 to 1e+06, got 0"),
        ('[steps]\nto = "small"', "v.toml:10:7: steps.to: must be a number from 1e-300 to 1e+06, got 'small'"),
        ("[steps]\nper_decade = 0", "v.toml:10:14: steps.per_decade: must be a whole number from 1 to 20, got 0"),
        ("[steps]\nform = 1", "v.toml:10:8: steps.form: unknown key 'form' (did you mean 'from'?); allowed in steps"),
        ("[steps.float32]\nper_decade = 3", "v.toml:10:14: steps.float32.per_decade: unknown key 'per_decade'"),
        ("[steps]\nfloat64 = 3", "v.toml:10:11: steps.float64: must be written as a table [steps.float64]"),
        (
            "[steps]\nfrom = 1e-16",
            "v.toml:9:1: steps: in float64 the steps go from 1e-16 to 1e-16, which is a single one",
        ),
        (
            "[steps.float64]\nfrom = 1e-3\nto = 1e-3",
            "v.toml:9:1: steps.float64: in float64 the steps go from 0.001 to 0.001, which is a single one",
        ),
        (
            "[timing]\nsamples = 3",
            'v.toml:10:11: timing.samples: a study with answer = "steps" times nothing; leave samples out',
        ),
        ("[timing]\nprocesses = 0", "v.toml:10:13: timing.processes: "),
    ],
)
def test_each_fault_of_steps_is_one_line_with_its_place(more: str, fault: str) -> None:
    with pytest.raises(StudyError) as caught:
        _parse(f"{HEAD}{MLP}{FINITE}{more}\n")
    lines = str(caught.value).splitlines()
    assert any(line.startswith(fault) for line in lines), lines
    assert all(line.startswith("v.toml:") for line in lines)
    assert len(lines) == len(set(lines))


def test_what_a_kind_cannot_use_is_a_fault() -> None:
    with pytest.raises(StudyError, match=r'v.toml:4:13: baseline: a study with answer = "steps" compares no times'):
        _parse(f'{HEAD}baseline = "finite"\n{MLP}{FINITE}')
    with pytest.raises(
        StudyError, match=r'v.toml:4:13: operator: a study with answer = "steps" knows the gradient only'
    ):
        _parse(f'{HEAD}operator = "hvp"\n{MLP}{FINITE}')
    only = r'steps: only a study with answer = "steps" has a table \[steps\]; this one has answer = '
    with pytest.raises(StudyError, match=f'{only}"traps"'):
        _parse(f"{HEAD.replace('steps', 'traps')}{MLP}{FINITE}[steps]\nfrom = 1\n")
    with pytest.raises(StudyError, match=f'{only}"compare"'):
        _parse(f"{HEAD.replace('steps', 'compare')}{MLP}{FINITE}[steps]\nfrom = 1\n")
    assert _parse(f"{HEAD}{MLP}{FINITE}[timing]\nthreads = 2\n").timing.threads == 2


def test_a_range_of_a_dtype_that_is_not_used_is_no_fault() -> None:
    assert _parse(f"{HEAD}{MLP}{FINITE}[steps]\nfrom = 1e-5\n").settings.grid("float64")[0] == 1e-5


# ------------------------------------------------------------------------------- theory


@pytest.mark.parametrize(
    ("scheme", "order", "truncation", "rounding"),
    [
        ("forward", None, 1 / 2, 2.0), ("backward", 1, 1 / 2, 2.0), ("central", None, 1 / 6, 1.0),
        ("central", 4, 1 / 30, 3 / 2), ("central", 6, 1 / 140, 11 / 6), ("central", 8, 1 / 630, 25 / 12),
        ("forward", 2, 1 / 3, 4.0),
    ],
)  # fmt: skip
def test_the_constants_of_quotients_are_those_of_the_books(
    scheme: str, order: int | None, truncation: float, rounding: float
) -> None:
    found = predicted.quotient(scheme, order)
    assert found.truncation == pytest.approx(truncation, rel=1e-12)
    assert found.rounding == pytest.approx(rounding, rel=1e-12)


@pytest.mark.parametrize("made", [predicted.quotient("forward", 1), predicted.quotient("central", 6)])
def test_no_other_step_is_predicted_to_be_better(made: predicted.Quotient) -> None:
    best = made.step(2.0**-53)
    at_best = made.error(best, 2.0**-53)
    assert all(made.error(best * factor, 2.0**-53) > at_best for factor in (0.5, 0.9, 1.1, 2.0))


def test_the_complex_step_is_good_from_some_step_on() -> None:
    made = predicted.COMPLEX_STEP
    edge = made.step(2.0**-53)
    assert made.error(edge, 2.0**-53) == pytest.approx(2.0**-52)
    assert made.error(1e-200, 2.0**-53) == 2.0**-53
    assert made.error(100 * edge, 2.0**-53) > 1e-12


# ------------------------------------------------------------------------------- one case


def _session(backend: str, dtype: str = "float64", problem: str = "digits-mlp", **options: Any) -> Session:
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)
    session = Session(channel)
    spec = {"problem": problem, "size": "tiny", "dtype": dtype, "operator": "gradient", "seed": 0}
    session.open({"spec": {**spec, "backend": backend, "options": options}})
    return session


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("truth") / "r.npz")
    spec = {"problem": "digits-mlp", "size": "tiny", "seed": 0, "operator": "gradient"}
    found = accuracy.make_reference(spec, path, 60)
    assert "why" not in found
    return path


def _found(reference: str, backend: str, dtype: str = "float64", **options: Any) -> dict[str, Any]:
    command = {"reference": reference, "why": None, "steps": GRID}
    return examine_steps.examine(_session(backend, dtype, **options), command)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("scheme", "order"), [("forward", 1), ("central", 2)])
def test_the_best_step_is_near_the_predicted_one(reference: str, scheme: str, order: int, dtype: str) -> None:
    found = _found(reference, "finite", dtype, scheme=scheme)
    findings = found["findings"]
    eps = float(np.finfo(dtype).eps)
    best, theory = findings["best"], findings["predicted"]
    assert found["outcome"] == "ok"
    assert theory["order"] == order
    assert 1 / 30 < best["step"] / theory["step"] < 30
    assert 1 / 100 < best["error"] / theory["error"] < 100
    assert best["error"] == min(findings["rel_error"])
    assert best["error"] < 1e-3 * findings["rel_error"][0] or dtype == "float32"
    assert best["error"] < 0.1 * findings["rel_error"][0]
    assert best["error"] < 1e-4 * findings["rel_error"][-1] or dtype == "float32"
    assert best["error"] < 0.1 * findings["rel_error"][-1]
    assert findings["digits_lost"] == pytest.approx(math.log10(best["error"] / eps))
    assert findings["steps"] == GRID
    assert json.loads(json.dumps(findings, allow_nan=False)) == findings


def test_truncation_falls_with_the_order_of_the_scheme(reference: str) -> None:
    for scheme, order in (("forward", 1), ("central", 2)):
        errors = _found(reference, "finite", scheme=scheme)["findings"]["rel_error"]
        assert math.log10(errors[1] / errors[2]) == pytest.approx(order, abs=0.1)


def test_the_automatic_step_is_what_the_backend_takes(reference: str) -> None:
    central = _found(reference, "finite")["findings"]["default"]
    forward = _found(reference, "finite", scheme="forward")["findings"]["default"]
    assert 1e-6 < central["step"] < 1e-4
    assert 1e-9 < forward["step"] < 1e-6
    given = _found(reference, "finite", step=1e-3)
    assert given["findings"]["default"]["step"] == pytest.approx(1e-3)
    assert given["rel_error"] == given["findings"]["rel_error"][GRID.index(1e-3)]


def test_higher_orders_take_larger_steps_and_lose_fewer_digits(reference: str) -> None:
    found = [_found(reference, "finite", order=order)["findings"] for order in (2, 4, 8)]
    for one, order in zip(found, (2, 4, 8), strict=True):
        assert one["predicted"]["order"] == order
        assert 1 / 30 < one["best"]["step"] / one["predicted"]["step"] < 30
    lost = [one["digits_lost"] for one in found]
    steps = [one["best"]["step"] for one in found]
    assert lost[0] > lost[1] + 1 > lost[2] + 1
    assert steps[0] < steps[1] <= steps[2]


def test_an_extrapolation_has_a_base_step_and_no_prediction(reference: str) -> None:
    found = _found(reference, "finite", scheme="richardson")["findings"]
    assert found["predicted"] is None
    assert found["default"]["step"] > 1e-3  # the first of its steps, not the last
    halved = _found(reference, "finite", scheme="richardson", step=0.1)["findings"]
    assert halved["default"]["step"] == pytest.approx(0.1)
    assert found["digits_lost"] < 5


def test_a_backend_without_a_step_has_one_error(reference: str) -> None:
    found = _found(reference, "reverse")
    findings = found["findings"]
    assert findings["steps"] == findings["rel_error"] == findings["worst"] == []
    assert findings["predicted"] is None
    assert findings["default"] is None
    assert findings["best"] == {"step": None, "error": found["rel_error"]}
    assert findings["best"]["error"] < 1e-14
    assert findings["digits_lost"] < 2
    assert found["certified"] == "yes"
    assert not examine_steps.has_step(find("symbolic"))


@dataclass(frozen=True)
class Imaginary:
    """The complex step on the squares of the doubles, one coordinate after the other."""

    step: float = 1e-20

    family = "complex-step"
    capabilities = frozenset({"value_and_gradient"})

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        def call(leaves: list[Any]) -> tuple[Any, list[Any]]:
            w, data = leaves
            moved = w + 1j * self.step * np.eye(w.size)
            return np.sum(w**3 * data), [np.imag(np.sum(moved**3 * data, axis=1)) / self.step]

        return SimpleNamespace(value_and_gradient=call)


def test_the_complex_step_is_flat_below_the_predicted_step(tmp_path: Path) -> None:
    path = str(tmp_path / "r.npz")
    session = _session("finite", problem="harness_doubles:SQUARES")
    w, data = session.leaves
    truth = replace(Reference([3 * w**2 * data], [np.zeros(3)], [np.zeros(3)], 1.0, 160, 0, True, ""), checked=True)
    truth.save(path)
    session.backend = Imaginary()
    steps = [10.0**-k for k in range(1, 40, 2)]
    found = examine_steps.examine(session, {"reference": path, "why": None, "steps": steps})["findings"]
    theory = found["predicted"]
    assert theory["flat"]
    assert 1e-9 < theory["step"] < 1e-7
    assert found["default"]["step"] is None  # it cannot be watched as a black box
    below = [error for step, error in zip(steps, found["rel_error"], strict=True) if step < theory["step"] / 30]
    assert len(below) > 10
    assert max(below) < 1e-15
    assert found["rel_error"][0] > 1e-3
    assert found["digits_lost"] < 0.5


def test_without_a_reference_there_is_nothing_to_find() -> None:
    found = examine_steps.examine(_session("finite"), {"reference": None, "why": "kink: a tie", "steps": GRID})
    assert found == {"outcome": "unsupported", "reason": "nothing to measure against: kink: a tie", "findings": None}


def test_a_loss_that_is_not_finite_is_said_before_any_step(reference: str) -> None:
    session = _session("finite", problem="harness_doubles:NAN_SQUARES")
    with pytest.raises(LossError, match="the loss is nan at these arguments"):
        examine_steps.examine(session, {"reference": reference, "why": None, "steps": GRID})


def test_errors_that_are_not_finite_are_no_numbers() -> None:
    findings = examine_steps._curve(
        [1.0, 0.1, 0.01],
        [{"rel_error": None, "worst_digits": None}, {"rel_error": 0.5, "worst_digits": 0.0}] * 1
        + [{"rel_error": 0.5, "worst_digits": 0.1}],
        2.0**-52,
    )
    assert findings["rel_error"] == [None, 0.5, 0.5]
    assert findings["best"] == {"step": 0.1, "error": 0.5}  # of equals, the largest
    assert examine_steps._curve([1.0], [{"rel_error": None, "worst_digits": None}], 1e-16)["best"]["error"] is None
    exact = [{"rel_error": error, "worst_digits": 15.0} for error in (1e-3, 2e-16, 1e-16, 0.0)]
    best = examine_steps._curve([1e-2, 1e-8, 1e-9, 1e-10], exact, 2.0**-52)["best"]
    assert best == {"step": 1e-8, "error": 2e-16}  # nothing below the machine epsilon is better than another
