"""Studies of other operators than the gradient, and of other dtypes than float64: whole runs in workers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness_runs import HEAD, run

from difflab.harness.session import Session
from difflab.harness.study_kinds import OPERATORS

BACKENDS = ("reverse", "forward", "finite", "symbolic", "analytic", "null")


def study(folder: Path, operator: str, dtypes: str, problem: str = "two-layer") -> Path:
    path = folder / "study.toml"
    backends = "".join(f'[[backend]]\nname = "{name}"\n' for name in BACKENDS)
    problems = f'[[problem]]\nname = "{problem}"\nsizes = ["tiny"]\ndtypes = [{dtypes}]\n'
    limits = "[limits]\nseconds = 10\n[timing]\nprocesses = 1\nsamples = 2\nrounds = 1\n"
    path.write_text(f'{HEAD}operator = "{operator}"\n{problems}{backends}{limits}')
    return path


@pytest.mark.long
def test_a_study_of_hessian_vector_products_in_three_dtypes(tmp_path: Path) -> None:
    found = run(study(tmp_path, "hvp", '"float64", "float32", "float16"'), tmp_path / "run", quick=True)
    rows = {(row["backend"], row["dtype"]): row for row in found.rows}
    assert len(rows) == 18
    assert {row["operator"] for row in found.rows} == {"hvp"}
    assert {row["outcome"] for row in found.rows if row["backend"] == "analytic"} == {"unsupported"}
    assert "cannot be differentiated again" in rows["analytic", "float64"]["reason"]
    assert found.reference["two-layer-tiny"]["narrow"]
    for (backend, _), row in rows.items():
        if backend in ("analytic", "null"):
            continue
        assert row["certified"] == "yes", row
        assert sum(row["ulp_histogram"]) == row["n_params"] == 15
        if backend != "finite":
            assert row["outcome"] == "ok", row
            assert row["rel_error"] < row["tolerance"] / 10
            assert row["call_s"] > 0
            assert row["work_ratio"] > 0
    # the null backend is timed for what the harness costs, and is not asked to be right
    assert rows["null", "float16"]["outcome"] == "ok"
    assert rows["null", "float64"]["certified"].startswith("no: the null backend")
    # in float32 the data are rounded and the truth is not: more than a wrong last place, far less than a wrong answer
    assert 1e-9 < rows["reverse", "float32"]["rel_error"] < 1e-6
    assert 1e-5 < rows["reverse", "float16"]["rel_error"] < 1e-2
    frame = found.frame
    assert list(frame["operator"].unique()) == ["hvp"]
    assert {"digits", "worst_digits", "median_digits", "ulps", "worst_rel_error"} <= set(frame.columns)
    assert sum(found.ulps_frame["coordinates"].tolist()) == sum(sum(row["ulp_histogram"] or ()) for row in found.rows)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_session_prepares_calls_and_grades_every_operator(operator: str) -> None:
    said: list[str] = []
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=said.append)
    outcomes = {}
    for backend in BACKENDS:
        session = Session(channel)
        spec = {"problem": "norm-squared", "size": "tiny", "dtype": "float64", "operator": operator, "seed": 0}
        try:
            session.open({"spec": {**spec, "backend": backend, "options": {}}})
        except Exception as fault:
            outcomes[backend] = type(fault).__name__
            continue
        assert session.forecast({})["predicted_bytes"] > 0
        assert session.prepare({})["prepare_s"] > 0
        assert session.first({})["first_call_s"] > 0
        judged = session.accuracy({"why": "nobody asked"})
        assert judged["reason"] == ""
        assert judged["outcome"] == "ok"
        assert judged["certified"].startswith("no: ")
        outcomes[backend] = "ok"
    expected = dict.fromkeys(BACKENDS, "ok")
    if operator in ("hvp", "hessian"):
        expected["analytic"] = "UnsupportedError"
    assert outcomes == expected
    assert {"import", "build", "prepare", "first", "accuracy"} <= set(said)


def test_vectors_of_a_case_follow_its_seed_and_not_its_backend() -> None:
    channel: Any = SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None)

    def vectors(**changed: Any) -> list[np.ndarray]:
        session = Session(channel)
        spec = {"problem": "two-layer", "size": "tiny", "dtype": "float64", "operator": "hvp", "seed": 0}
        session.open({"spec": {**spec, "backend": "reverse", "options": {}, **changed}})
        return list(session.operation.vectors)

    first = vectors()
    for a, b in zip(first, vectors(backend="forward"), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first, vectors(dtype="float16"), strict=True):
        np.testing.assert_array_equal(a.astype("f2"), b)
    assert not np.array_equal(first[0], vectors(seed=1)[0])
