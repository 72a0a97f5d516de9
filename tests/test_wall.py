"""The Jacobian wall: what a worker finds of a layer, formed where that is possible, and the layers themselves."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness_runs import run

from difflab import jacobian, maps_layers
from difflab.backends import find
from difflab.harness import catalogue, memory, study_file
from difflab.harness.examinations.wall import examine
from difflab.harness.session import Session
from difflab.harness.study import shipped
from difflab.report import answer, render
from difflab.report.claims import wall_plan

SETTINGS = {"repeats": 2, "pictured": 2048, "seconds": 30.0}
GIB = 2**30


def session(problem: str, size: str, backend: str, dtype: str = "float32") -> Session:
    """A case opened in this process, where nothing limits memory."""
    channel: Any = SimpleNamespace(say=lambda *_, **__: None, phase=lambda name: None)
    opened = Session(channel)
    spec = {"problem": f"difflab.maps_layers:{problem}", "size": size, "dtype": dtype, "backend": backend}
    opened.open({"spec": {**spec, "options": {}, "operator": "jacobian", "seed": 0}, "memory": None})
    return opened


def found(
    problem: str, size: str, backend: str, dtype: str = "float32", limit: int | None = 4 * GIB, **more: Any
) -> Any:
    opened = session(problem, size, backend, dtype)
    opened.allowed_bytes = limit
    findings = examine(opened, {"settings": SETTINGS | more, "quick": False})["findings"]
    assert json.loads(json.dumps(findings, allow_nan=False)) == findings
    return findings


# ---------------------------------------------------------------------------- the layers


@pytest.mark.parametrize("problem", ["DENSE", "CONVOLUTION", "SIGMOID"])
@pytest.mark.parametrize("backend", ["reverse", "forward", "finite"])
def test_the_jacobians_of_a_layer_are_those_derived_by_hand(problem: str, backend: str) -> None:
    instance = catalogue.imported(f"difflab.maps_layers:{problem}").build("tiny", "float64", 3)
    blocks = jacobian(instance.loss, backend=backend)(*instance.args)
    value, by_hand = instance.analytic(*instance.args)
    assert np.array_equal(value, instance.loss(*instance.args))
    assert set(blocks) == set(by_hand)
    for name, block in blocks.items():
        assert block.shape == by_hand[name].shape == (*value.shape, *instance.args[0][name].shape)
        assert np.max(np.abs(block - by_hand[name])) < (1e-9 if backend == "finite" else 1e-15)


def test_the_layer_of_the_lecture() -> None:
    instance = maps_layers.DENSE.build("full", "float32", 0)
    assert instance.args[0]["x"].shape == (64, 4096)
    assert instance.args[0]["W"].shape == (4096, 4096)
    assert instance.args[0]["W"].dtype == np.float32


# ---------------------------------------------------------------------------- what is found


@pytest.mark.parametrize(("backend", "way"), [("reverse", "vjp"), ("forward", "jvp"), ("finite", "jvp")])
def test_a_small_jacobian_is_formed_and_multiplied(backend: str, way: str) -> None:
    by_x, by_w = found("DENSE", "tiny", backend, "float64")["parts"]
    assert (by_x["variable"], by_x["out"], by_x["into"], by_x["entries"]) == ("x", [3, 5], [3, 4], 180)
    assert (by_w["variable"], by_w["into"], by_w["entries"]) == ("W", [4, 5], 300)
    for part in (by_x, by_w):
        assert part["way"] == way
        assert part["array_bytes"] == 8 * part["entries"]
        assert part["jacobian"]["outcome"] == "ok"
        assert part["jacobian"]["difference"] < (1e-7 if backend == "finite" else 1e-15)
        assert part["jacobian"]["seconds"] > 0
        assert part["product"]["seconds"] > 0
    assert by_x["jacobian"]["zeros"] == 120
    assert by_x["jacobian"]["structure"]["text"] == "block diagonal: 3 equal blocks of 5 x 4"
    assert by_w["jacobian"]["zeros"] == 240
    text = "Kronecker product of a 3 x 4 block with the identity of 5"
    assert by_w["jacobian"]["structure"]["text"] == text


def test_the_picture_is_the_jacobian() -> None:
    opened = session("DENSE", "tiny", "reverse", "float64")
    (by_x, _) = examine(opened, {"settings": SETTINGS, "quick": False})["findings"]["parts"]
    w = opened.instance.args[0]["W"]
    assert np.allclose(by_x["jacobian"]["matrix"], np.kron(np.eye(3), w.T), rtol=1e-5)


def test_convolutions_are_bands_and_element_wise_layers_diagonals() -> None:
    by_x, by_k = found("CONVOLUTION", "small", "reverse")["parts"]
    assert by_x["jacobian"]["structure"]["text"] == "block diagonal: 4 equal blocks of 256 x 128, each banded Toeplitz"
    assert by_x["jacobian"]["structure"]["toeplitz"] == [[1, 1], [2, 2]]
    assert by_k["jacobian"]["structure"]["kind"] == "Kronecker product"
    (by_x,) = found("SIGMOID", "small", "forward")["parts"]
    assert by_x["jacobian"]["structure"]["text"] == "diagonal of 512"
    assert by_x["jacobian"]["zeros"] == 512 * 511
    assert "matrix" not in by_x["jacobian"]


def test_the_wall_of_the_lecture_is_computed_from_shapes() -> None:
    by_x, by_w = found("DENSE", "full", "reverse", repeats=1)["parts"]
    assert by_x["array_bytes"] == 64 * 4096 * 64 * 4096 * 4 == 256 * GIB
    assert by_w["array_bytes"] == 64 * 4096 * 4096 * 4096 * 4 == 16 * 1024 * GIB
    for part in (by_x, by_w):
        assert part["jacobian"]["outcome"] == "skipped_predicted"
        assert part["jacobian"]["reason"].startswith("the forecast needs ")
        assert part["jacobian"]["reason"].endswith("the limit is 4 GiB")
        assert part["product"]["seconds"] > 0
    assert "256 GiB" in by_x["jacobian"]["reason"]
    assert "16 TiB" in by_w["jacobian"]["reason"]


@pytest.mark.parametrize(("backend", "way"), [("reverse", "jvp"), ("forward", "vjp"), ("finite", "vjp")])
def test_a_product_in_chunks_agrees_with_the_other_one(backend: str, way: str) -> None:
    for problem in ("DENSE", "CONVOLUTION", "SIGMOID"):
        for part in found(problem, "small", backend, "float64")["parts"]:
            chunked = part["chunked"]
            assert (chunked["outcome"], chunked["way"]) == ("ok", way)
            assert chunked["difference"] < (1e-8 if backend == "finite" else 1e-14)
            across = math.prod(part["out"] if backend == "reverse" else part["into"])
            assert (chunked["chunks"] - 1) * chunked["lanes"] < across <= chunked["chunks"] * chunked["lanes"]
            assert chunked["seconds"] > 0


def test_what_a_chunk_gets_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from difflab.backends.reverse import PreparedReverse

    ordinary = PreparedReverse.jvp

    def shortened(self: Any, leaves: Any, tangents: Any) -> Any:
        values, (slopes,) = ordinary(self, leaves, tangents)
        slopes[-1] = 0  # the last chunk got lost
        return values, [slopes]

    monkeypatch.setattr(PreparedReverse, "jvp", shortened)
    for part in found("DENSE", "small", "reverse")["parts"]:
        assert part["chunked"]["difference"] > 1e-3


@pytest.mark.long
@pytest.mark.parametrize(
    ("problem", "backend"),
    [
        ("DENSE", "reverse"), ("DENSE", "forward"), ("DENSE", "finite"), ("CONVOLUTION", "forward"),
        ("SIGMOID", "reverse"),
    ],
)  # fmt: skip
def test_the_bytes_of_the_plan_are_those_that_are_measured(problem: str, backend: str) -> None:
    if memory.peaks_refused():
        pytest.fail(f"the study cannot be checked here: {memory.peaks_refused()}")
    parts = in_a_process(problem, "medium", backend)
    assert any(part["jacobian"]["bytes"] > wall_plan.COMPARED for part in parts)
    for part in parts:
        explicit = {**part["jacobian"], "plan_bytes": part["plan_bytes"]}
        assert part["chunked"]["bytes"] < explicit["bytes"]
        for way in (explicit, part["chunked"], part["product"]):
            assert way["plan_bytes"] == pytest.approx(way["bytes"], rel=0.1, abs=0.1 * wall_plan.COMPARED)


@pytest.mark.long
@pytest.mark.parametrize(("problem", "backend"), [("DENSE", "reverse"), ("CONVOLUTION", "forward")])
def test_the_plan_of_the_lectures_layer_holds_where_it_can_be_measured(problem: str, backend: str) -> None:
    for part in in_a_process(problem, "full", backend):
        assert part["product"]["bytes"] > 2**20
        assert part["product"]["plan_bytes"] == pytest.approx(
            part["product"]["bytes"], rel=0.1, abs=0.1 * wall_plan.COMPARED
        )
        assert part["chunked"]["outcome"] == part["jacobian"]["outcome"] == "skipped_predicted"


def in_a_process(problem: str, size: str, backend: str) -> Any:
    """The parts as a worker finds them: what other tests left to the allocator would count as well."""
    done = subprocess.run(
        [sys.executable, "-c", "import test_wall, sys; test_wall.tell(*sys.argv[1:])", problem, size, backend],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


def tell(problem: str, size: str, backend: str) -> None:
    """Print the parts of a layer."""
    print(json.dumps(found(problem, size, backend, repeats=1)["parts"]))


def test_a_lower_limit_stops_sooner() -> None:
    small, large = found("DENSE", "small", "reverse", limit=3 * 2**20 // 2)["parts"]
    assert small["jacobian"]["outcome"] == "ok"
    assert large["jacobian"]["outcome"] == "skipped_predicted"
    assert "the limit is 1.5 MiB" in large["jacobian"]["reason"]


def test_what_would_take_too_long_is_not_begun() -> None:
    for part in found("DENSE", "small", "finite", seconds=1e-9)["parts"]:
        for way in ("jacobian", "chunked"):
            assert part[way]["outcome"] == "skipped_predicted"
            assert "s; the limit is 1 ns" in part[way]["reason"]


def test_without_a_limit_everything_small_is_formed() -> None:
    assert all(part["jacobian"]["outcome"] == "ok" for part in found("DENSE", "small", "reverse", limit=None)["parts"])


def test_memory_that_runs_out_all_the_same_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = session("DENSE", "small", "reverse")
    kind = type(find("reverse").prepare(_source(opened), "jacobian", _source(opened).example))
    ordinary = kind.jacobian

    def greedy(self: Any, leaves: Any) -> Any:
        if math.prod(np.shape(leaves[0])) > 100:
            raise MemoryError("Unable to allocate 1.00 GiB")
        return ordinary(self, leaves)

    monkeypatch.setattr(kind, "jacobian", greedy)
    for part in examine(opened, {"settings": SETTINGS, "quick": False})["findings"]["parts"]:
        assert part["jacobian"] == {"outcome": "memory_limit", "reason": "Unable to allocate 1.00 GiB"}
        assert part["product"]["seconds"] > 0


def _source(opened: Session) -> Any:
    from difflab.operators import source

    x = opened.instance.args[0]["x"]
    return source(lambda variable: variable @ opened.instance.args[0]["W"], (x,), {}, 0)


# ---------------------------------------------------------------------------- the study


def parsed(name: str) -> Any:
    path = shipped()[name]
    return study_file.parse(path.read_text(), path.name, lambda asked, problems: catalogue.collect(asked, problems))


def test_the_shipped_study_goes_to_the_lectures_layer() -> None:
    study = parsed("never-form-the-jacobian")
    assert (study.answer, study.operator) == ("wall", "jacobian")
    assert study.kind.alone
    dense = [one for one in study.problems if one.name.endswith("DENSE")]
    assert {dtype for one in dense for dtype in one.dtypes} == {"float32", "float64"}
    assert all(one.sizes[-1] == "full" for one in study.problems)
    assert [one.name for one in study.backends] == ["reverse", "forward", "finite"]
    assert study.limits.memory == 4 * GIB


@pytest.mark.long
def test_a_run_of_a_study_of_jacobians(tmp_path: Path) -> None:
    text = 'title = "T"\nquestion = "Q"\nlook_for = "L"\nanswer = "wall"\noperator = "jacobian"\n'
    text += '[[problem]]\nname = "difflab.maps_layers:DENSE"\nsizes = ["small"]\ndtypes = ["float32"]\n'
    text += (
        '[[backend]]\nname = "reverse"\n[limits]\nseconds = 30\nmemory = "600 MiB"\n[wall]\nrepeats = 1\npictured = 1\n'
    )
    path = tmp_path / "walls.toml"
    path.write_text(text)
    results = run(path, tmp_path / "run")
    (row,) = results.rows
    assert row["outcome"] == "ok"
    assert row["n_params"] == 8 * 32 + 32 * 32
    assert row["findings"]["limit"] == 600 * 2**20
    assert [part["jacobian"]["outcome"] for part in row["findings"]["parts"]] == ["ok", "ok"]
    assert "N = 8, D = M = 32" in answer(results).text
    assert "and no other at the same time" in render(results)
