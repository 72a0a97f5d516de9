"""Shapes of derivatives: the zoo of maps, what a worker finds of each, and that a wrong layout would be noticed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness_runs import run

from difflab import gradient, jacobian, value_and_gradient
from difflab.backends import find
from difflab.harness import catalogue, study_file
from difflab.harness.examinations import shapes as examine_shapes
from difflab.harness.examinations.shapes import CHECKS, examine, look, tolerance
from difflab.harness.study import shipped
from difflab.maps_ranks import FAMILIES, MAPS, RANKS, Map
from difflab.report import answer, render

BACKENDS = ("reverse", "forward", "symbolic", "finite", "complex-step")
X = np.array([[2.0, 1.0, -3.0], [-3.0, 4.0, 2.0]])
W = np.array([[3.0, 2.0, 1.0, -1.0], [2.0, 1.0, 3.0, 2.0], [3.0, 2.0, 1.0, -2.0]])
UPSTREAM = np.array([[2.0, 3.0, -3.0, 9.0], [-8.0, 1.0, 4.0, 6.0]])


# ---------------------------------------------------------------------------- the lectures' product


@pytest.mark.parametrize("backend", BACKENDS)
def test_w_g_by_g_is_w_in_numerator_layout_and_its_transpose_in_denominator_layout(backend: str) -> None:
    g = np.array([1.0, -2.0, 0.5])
    numerator = jacobian(lambda g: X @ g, backend=backend)(g)
    denominator = jacobian(lambda g: X @ g, backend=backend, layout="denominator")(g)
    slack = 1e-8 if backend == "finite" else 1e-15
    assert np.max(np.abs(numerator - X)) <= slack
    assert np.array_equal(denominator, numerator.T)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_lectures_product_has_its_gradients_in_the_shapes_of_its_variables(backend: str) -> None:
    by_x, by_w = gradient(lambda x, w: np.sum(UPSTREAM * (x @ w)), (0, 1), backend)(X, W)
    slack = 1e-6 if backend == "finite" else 1e-13
    assert np.max(np.abs(by_x - UPSTREAM @ W.T)) <= slack
    assert np.max(np.abs(by_w - X.T @ UPSTREAM)) <= slack
    assert np.array_equal(X @ W, [[-1, -1, 2, 6], [5, 2, 11, 7]])


# ---------------------------------------------------------------------------- the zoo


def test_all_ranks_of_variables_and_outputs_are_in_the_zoo() -> None:
    pairs = {
        (np.ndim(one.function(*one.arguments())), len(one.shapes[0])) for family in FAMILIES.values() for one in family
    }
    assert {(out, variable) for out in range(4) for variable in range(4)} <= pairs
    assert (4, 4) in pairs
    assert len(MAPS) == sum(map(len, FAMILIES.values()))


def test_families_go_by_the_rank_of_the_output() -> None:
    for rank, family in enumerate(("scalars", "vectors", "matrices")):
        assert {np.ndim(one.function(*one.arguments())) for one in FAMILIES[family]} == {rank}
    assert min(np.ndim(one.function(*one.arguments())) for one in FAMILIES["tensors"]) == 3


@pytest.mark.parametrize("name", MAPS)
def test_the_jacobian_derived_by_hand_predicts_a_small_move(name: str) -> None:
    """Independently of every backend: f(x + v) - f(x - v) = 2 J v up to the cube of a short v."""
    one = MAPS[name]
    variable, *data = one.arguments(seed=1)
    move = 1e-4 * np.random.default_rng(2).standard_normal(variable.shape)
    apart = one.function(variable + move, *data) - one.function(variable - move, *data)
    slope = np.asarray(one.jacobian(variable, *data))
    assert slope.shape == (*np.shape(apart), *variable.shape)
    product = 2 * np.tensordot(slope, move, variable.ndim)
    assert np.max(np.abs(apart - product)) < 1e-8 * max(1.0, float(np.max(np.abs(slope))))


def test_a_map_has_one_point_in_all_dtypes() -> None:
    wide, narrow = (MAPS["rank-3-by-rank-3"].arguments(dtype)[0] for dtype in ("float64", "float32"))
    assert narrow.dtype == np.float32
    assert np.array_equal(wide.astype(np.float32), narrow)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_a_loss_with_the_gradient_derived_by_hand(family: str) -> None:
    instance = RANKS.build(family, "float64", 3)
    value, found = value_and_gradient(instance.loss)(*instance.args)
    known, by_hand = instance.analytic(*instance.args)
    assert value == pytest.approx(known, rel=1e-14)
    assert set(found) == set(by_hand) == {one.name for one in FAMILIES[family]}
    for name, slope in found.items():
        assert slope.shape == instance.args[0][name].shape
        assert np.max(np.abs(slope - by_hand[name])) < 1e-13 * max(1.0, float(np.max(np.abs(slope))))


# ---------------------------------------------------------------------------- what a worker finds


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite", "complex-step"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_rule_holds_for_every_map(backend: str, dtype: str) -> None:
    for one in MAPS.values():
        found = look(one, find(backend), dtype, 0)
        assert found["why"] == ""
        assert all(found["holds"].values()), found
        assert found["numerator"] == [*found["out"], *found["variable"]]
        assert found["denominator"] == [*found["variable"], *found["out"]]
        assert found["gradient"] == found["variable"]
        assert json.loads(json.dumps(found, allow_nan=False)) == found


def asked(monkeypatch: pytest.MonkeyPatch, change: Any) -> dict[str, Any]:
    """What is found of X W by W when a backend's answers are ``change``d."""
    ordinary = examine_shapes._asked
    monkeypatch.setattr(examine_shapes, "_asked", lambda *given: change(*ordinary(*given)))
    return look(MAPS["matrix-by-matrix, second factor"], find("reverse"), "float64", 0)


def failing(found: dict[str, Any]) -> set[str]:
    return {check for check in CHECKS if not found["holds"][check]}


def test_a_transposed_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope.T, numerator, denominator))
    assert failing(found) == {"gradient", "entries"}
    assert found["gradient"] == [4, 3]


def test_layouts_in_the_wrong_place_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope, denominator, numerator))
    assert failing(found) == {"numerator", "denominator", "entries"}


def test_a_denominator_layout_that_is_the_numerators_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope, numerator, numerator))
    assert failing(found) == {"denominator", "transposed"}


def test_right_shapes_with_entries_reshaped_instead_of_transposed_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope, numerator, numerator.reshape(3, 4, 2, 4)))
    assert failing(found) == {"transposed"}


def test_one_wrong_entry_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(slope: Any, numerator: Any, denominator: Any) -> Any:
        numerator[0, 0, 0, 0] += 1e-9
        denominator[0, 0, 0, 0] += 1e-9
        return slope, numerator, denominator

    assert failing(asked(monkeypatch, change)) == {"entries"}


def test_no_number_is_no_right_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope * np.nan, numerator, denominator))
    assert failing(found) == {"entries"}
    assert found["gradient_error"] is None


def test_an_array_of_too_few_axes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, lambda slope, numerator, denominator: (slope, numerator, denominator[0, 0, 0]))
    assert failing(found) == {"denominator", "transposed"}


def test_a_backend_that_refuses_is_told_with_its_reason() -> None:
    one = Map("refused", "y = no", ((2,),), lambda x: np.array([float(x[0]), 0.0]), lambda x: np.eye(2))
    found = look(one, find("reverse"), "float64", 0)
    assert found["why"].startswith("TraceError: ")
    assert found["numerator"] is None
    assert not any(found["holds"].values())


def test_the_tolerance_is_wider_for_differences_and_narrow_numbers() -> None:
    for dtype in ("float64", "float32"):
        assert tolerance("finite", dtype) > tolerance("reverse", dtype) > np.finfo(dtype).eps
    assert tolerance("reverse", "float32") > tolerance("reverse", "float64")


def test_a_case_is_invalid_where_a_map_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"size": "matrices", "dtype": "float64", "seed": 0}
    session: Any = SimpleNamespace(backend=find("forward"), spec=spec)
    assert examine(session, {})["outcome"] == "ok"
    ordinary = examine_shapes._asked
    monkeypatch.setattr(examine_shapes, "_asked", lambda *given: (*ordinary(*given)[:2], ordinary(*given)[1]))
    found = examine(session, {})
    assert found["outcome"] == "invalid"
    assert found["reason"].startswith("it does not hold for matrix-by-vector, matrix-by-matrix, first factor")


# ---------------------------------------------------------------------------- the study


def test_the_shipped_study_asks_for_every_family() -> None:
    path = shipped()["shapes"]
    study = study_file.parse(path.read_text(), path.name, lambda names, problems: catalogue.collect(names, problems))
    assert study.answer == "shapes"
    assert study.problems[0].sizes == tuple(FAMILIES)
    assert {one.name for one in study.backends} == set(BACKENDS)


def test_a_run_of_a_study_of_shapes(tmp_path: Path) -> None:
    text = 'title = "T"\nquestion = "Q"\nlook_for = "L"\nanswer = "shapes"\n'
    text += '[[problem]]\nname = "difflab.maps_ranks:RANKS"\nsizes = ["vectors"]\n[[backend]]\nname = "forward"\n'
    path = tmp_path / "ranks.toml"
    path.write_text(text)
    results = run(path, tmp_path / "run")
    (row,) = results.rows
    assert row["outcome"] == "ok"
    assert [one["name"] for one in row["findings"]["maps"]] == [one.name for one in FAMILIES["vectors"]]
    assert answer(results).text.startswith("Of 5 cases (5 maps, 1 way of differentiating, float64)")
    assert "Both layouts as matrices" in render(results)
