"""The studies of a GPU as files, the yardstick of matrix products, and what a real GPU is asked, on the stand-in."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cublas_double
import cupy_double
import cxx_double
import numpy as np
import pytest
import test_gpu_real as real
from conftest import ROOT, RunCommand

from difflab.backends.products import Products
from difflab.backends.ways import how
from difflab.errors import UnsupportedError
from difflab.harness.catalogue import find_backend
from difflab.harness.grid import blocks
from difflab.harness.study import Study
from difflab.harness.study_bars import places
from difflab.operators import source
from difflab.problems import PROBLEMS
from difflab.problems import find as problem

STUDIES = ("gpu", "gpu-tf32", "gpu-jacobian")
MLP_GRID = ["tiny", "8x2-4-2", "64x64-32-10", "64x64-100-10", "128x784-256-10", "256x784-1024-10"]
CNN_GRID = ["8x8x1-8-16", "28x28x1-16-32", "32x32x3-32-64"]


@pytest.fixture(scope="module")
def read() -> Callable[[str], Study]:
    """Reads a study as a run does."""
    from difflab.harness.probe import Probe
    from difflab.harness.study_file import read_study

    probe = Probe()
    found: dict[str, Study] = {}

    def reader(name: str) -> Study:
        if name not in found:
            found[name] = read_study(name, probe)
        return found[name]

    return reader


# ---------------------------------------------------------------------------- the files


@pytest.mark.parametrize("name", STUDIES)
def test_the_study_computes_on_the_gpu_alone(name: str, read: Callable[[str], Study]) -> None:
    study = read(name)
    assert {one.device for one in study.problems} == {"gpu"}
    assert {one.tf32 for one in study.problems} == {name == "gpu-tf32"}
    assert all("tf32" not in one.options for one in study.backends)  # the study's own tf32 holds for all of them
    for block in blocks(study, quick=True):
        assert block.device == "gpu"
        assert all(case.spec["device"] == "gpu" for case in block.cases)


def test_it_has_the_rows_that_are_asked_for(read: Callable[[str], Study]) -> None:
    everything = {
        quick: {(block.problem, block.size, block.dtype): [case.label for case in block.cases] for block in found}
        for quick, found in ((quick, blocks(read("gpu"), quick=quick)) for quick in (False, True))
    }
    both = ("float32", "float64")
    networks = [("mlp", size) for size in MLP_GRID] + [("cnn", size) for size in CNN_GRID]
    small = {("mlp", "tiny", "float32"), ("mlp", "8x2-4-2", "float32")}  # rows that the grid has in float64 only
    for quick, rows in everything.items():
        grid = {(*one, dtype) for one in networks for dtype in both} - small
        for place in (*grid, ("alexnet", "full-128", "float32")):
            assert set(rows[place]) >= {"reverse", "torch", "torch graph", "jax"}, place
        for dtype in both:
            assert "products alone" in rows["mlp", "4096x4096-4096-4096", dtype]
        assert {"symbolic", "reverse"} == set(rows["xor", "tiny", "float64"])
        sizes = {size for name, size, _ in rows if name == "sigmoid-net"}
        counts = sorted(problem("sigmoid-net").count(size) for size in sizes)
        assert (counts[0], counts[-1]) == (1057, 100_465)
        assert len(counts) == (2 if quick else 4)
        assert sum("torch.compile" in labels for labels in rows.values()) == 3
    dtypes = {(name, dtype) for name, _, dtype in everything[False]}
    assert dtypes >= {(name, dtype) for name in ("mlp", "cnn", "alexnet", "sigmoid-net") for dtype in both}
    assert problem("alexnet").sizes["full-128"]["batch"] == 128
    assert problem("mlp").count("4096x4096-4096-4096") == 3 * 4096 * 4097


@pytest.mark.parametrize("name", ["gpu", "gpu-tf32"])
def test_the_bars_are_those_of_the_issue(name: str, read: Callable[[str], Study]) -> None:
    study = read(name)
    bars = {(bar.over, *bar.problems, bar.from_us): bar for bar in study.bars}
    assert bars["torch", "mlp", "cnn", 0.0].words == "< 0.5"
    assert bars["torch", "mlp", "cnn", 0.0].until_us == 1000
    assert bars["torch", "mlp", "cnn", 1000.0].words == "< 1"
    assert bars["torch graph", "mlp", "cnn", 0.0].words == bars["jax", "mlp", "cnn", 0.0].words == "< 1.1"
    assert bars["torch", "alexnet", 0.0].words == "< 1.1"
    grid = {(one, size) for one, sizes in (("mlp", MLP_GRID), ("cnn", CNN_GRID)) for size in sizes}
    for over in ("torch", "torch graph", "jax"):
        about = {place[:2] for bar in study.bars if bar.over == over for place in places(bar, study.problems)}
        assert about >= (grid if name == "gpu" else set())
    if name == "gpu":
        products = bars["products alone", "mlp", 0.0]
        assert 1 / products.bound > 0.85
        assert list(places(products, study.problems)) == [("mlp", "4096x4096-4096-4096", "float32")]


@pytest.mark.parametrize("name", STUDIES)
def test_every_contestant_can_do_what_the_study_asks(name: str, read: Callable[[str], Study]) -> None:
    study = read(name)
    for choice in study.backends:
        if choice.name in ("torch", "jax"):
            from difflab.backends.peers.jax_peer import Jax
            from difflab.backends.peers.torch_peer import Torch

            backend: Any = (Torch if choice.name == "torch" else Jax)(**choice.options)
        else:
            backend = find_backend(choice.name, choice.options)
        assert how(backend, study.operator).kind != "refused", choice.label


@pytest.mark.parametrize("name", STUDIES)
def test_without_a_gpu_a_study_is_one_sentence_and_exit_code_2(name: str, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('none here')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "difflab", "run", name, "--quick", "--out", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "NO_COLOR": "1", "COLUMNS": "300"},
        capture_output=True, text=True, timeout=120, cwd=tmp_path, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "device 'gpu' needs the package cupy" in lines[0]
    assert not (tmp_path / "run").exists()


def test_problems_of_the_study_are_as_large_as_they_say_and_made_in_one_go() -> None:
    """No second copy of what is large: the arrays are those that were drawn."""
    one = problem("mlp").build("256x784-1024-10", "float32", 3)
    again = problem("mlp").build("256x784-1024-10", "float64", 3)
    for key, value in one.args[0].items():
        assert value.dtype == np.float32
        assert value.flags.owndata
        np.testing.assert_array_equal(value, again.args[0][key].astype(np.float32))
    assert [part.dtype for part in one.args[1:]] == [np.float32] * 2
    before = tracemalloc_peak(lambda: problem("mlp").build("256x784-1024-10", "float64", 3))
    held = sum(array.nbytes for array in (*again.args[0].values(), *again.args[1:]))
    assert before < 2.2 * held  # one more of the largest while it is scaled, and no second copy of all


def tracemalloc_peak(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------------- the yardstick


def test_products_are_as_large_and_as_transposed_as_those_of_the_gradient() -> None:
    instance = problem("mlp").build("64x64-32-10", "float32", 0)
    made = source(instance.loss, instance.args)
    prepared = Products().prepare(made, "gradient", made.example)
    batch, hidden, classes = 64, 32, 10
    forwards = [(batch, 64, hidden), (batch, hidden, hidden), (batch, hidden, classes)]
    by_weights = [(64, batch, hidden), (hidden, batch, hidden), (hidden, batch, classes)]
    wanted = sorted([*forwards, *by_weights, (batch, hidden, hidden), (batch, classes, hidden)])
    assert sorted((a.shape[0], a.shape[1], b.shape[1]) for a, b, _ in prepared._calls) == wanted
    assert prepared.stats["flops"] == sum(2.0 * n * k * m for n, k, m in wanted)
    assert sum(not a.flags.c_contiguous for a, _, _ in prepared._calls) == 3  # x.T @ d and h.T @ d
    assert sum(not b.flags.c_contiguous for _, b, _ in prepared._calls) == 2  # d @ w.T
    assert all(np.std(a) > 0.5 for a, _, _ in prepared._calls)
    prepared.bare(made.example)()
    for a, b, out in prepared._calls:
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, a @ b, rtol=1e-5)
    value, gradients = prepared.value_and_gradient(made.example)
    assert not value
    assert [one.shape for one in gradients] == [made.example[i].shape for i in made.wrt]
    assert not any(one.any() for one in gradients)


def test_products_of_a_gradient_without_any_are_refused() -> None:
    made = source(lambda x: np.sum(x * x), (np.ones(3),))
    with pytest.raises(UnsupportedError, match="this gradient has no matrix product"):
        Products().prepare(made, "gradient", made.example)
    assert Products().predict(made.tape, "gradient", made.wrt).flops == 0.0


def test_products_are_forecast_with_what_they_take() -> None:
    instance = problem("mlp").build("64x64-32-10", "float32", 0)
    made = source(instance.loss, instance.args)
    cost, stats = Products().predict(made.tape, "gradient", made.wrt), None
    stats = Products().prepare(made, "gradient", made.example).stats
    assert cost.flops == stats["flops"]
    assert cost.nbytes == 4 * sum(n * k + k * m + n * m for n, k, m in _sizes(stats["shapes"]))


def _sizes(text: str) -> Iterator[tuple[int, int, int]]:
    for product in text.replace("), (", ");(").split(";"):
        left, right = (tuple(map(int, part.strip("() ").split(","))) for part in product.split("@"))
        yield left[0], left[1], right[1]


def test_products_are_judged_as_a_yardstick(run_command: RunCommand, tmp_path: Path) -> None:
    from difflab.harness.results import load

    study = tmp_path / "yard.toml"
    study.write_text(
        'title = "Yard"\nquestion = "How much?"\nlook_for = "The share."\nanswer = "compare"\n'
        '[[problem]]\nname = "mlp"\nsizes = ["64x64-32-10"]\n'
        '[[backend]]\nname = "reverse"\n'
        '[[backend]]\nname = "difflab.backends.products:Products"\nlabel = "products alone"\n'
        '[[bar]]\nours = "reverse"\nover = "products alone"\nbelow = 1000.0\n',
        "utf-8",
    )
    done = run_command("run", str(study), "--quick", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    rows = {row["backend"]: row for row in load(tmp_path / "run").rows}
    assert rows["products alone"]["outcome"] == "ok"
    assert 0 < rows["products alone"]["call_s"] < rows["reverse"]["call_s"]


# ---------------------------------------------------------------------------- what a real GPU is asked, on the stand-in


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    cupy = cupy_double.install(monkeypatch)
    cublas_double.install(monkeypatch, cupy)
    cxx_double.compile_kernels(monkeypatch)
    return cupy


def test_the_tests_of_a_real_gpu_ask_for_every_primitive_and_problem() -> None:
    assert {record.name for record in real.BUILT_IN} > real.ABSENT
    (marks,) = [mark for mark in real.test_gradients_of_shipped_problems.pytestmark if mark.args[0] == "name"]
    assert list(marks.args[1]) == list(PROBLEMS)


@pytest.mark.parametrize("name", ["add", "tanh", "matmul", "sum", "max_pool", "gather", "cumsum", "erf", "jv", "where"])
def test_primitives_on_the_stand_in(name: str, stand_in: Any) -> None:
    real.test_a_primitive_gives_what_numpy_gives(name, stand_in)


@pytest.mark.parametrize("name", ["mlp", pytest.param("cnn", marks=pytest.mark.long), "hinge"])
def test_gradients_on_the_stand_in(name: str, stand_in: Any) -> None:
    for dtype in real.NORM:
        real.test_gradients_of_shipped_problems(name, dtype, stand_in)


def test_the_rest_on_the_stand_in(stand_in: Any) -> None:
    real.test_random_chains_of_fused_kernels(0, "float64", stand_in)
    real.test_reductions_with_what_feeds_them((33, 65), "float32", stand_in)
    real.test_a_replay_is_one_graph_to_which_no_array_is_brought("mlp", "64x64-100-10", "float64", stand_in)
    real.test_results_are_fresh_and_arguments_are_left_alone(stand_in)
    real.test_the_products_of_a_gradient_alone(stand_in)
    real.test_symbolic_code_runs_on_the_device(stand_in)


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite"])
def test_operators_on_the_stand_in(backend: str, stand_in: Any) -> None:
    for operator in ("gradient", "jvp", "vjp", "jacobian", "hvp", "hessian"):
        real.test_operators(operator, backend, stand_in)


def test_the_real_tests_would_see_a_wrong_gradient(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is off by one part in ten thousand fails them."""
    run = real.DeviceProgram.run

    def wrong(self: Any, inputs: Any, constants: Any = ()) -> Any:
        return [result * 1.0001 for result in run(self, inputs, constants)]

    monkeypatch.setattr(real.DeviceProgram, "run", wrong)
    with pytest.raises(AssertionError):
        real.test_gradients_of_shipped_problems("mlp", "float64", stand_in)
    with pytest.raises(AssertionError):
        real.test_a_primitive_gives_what_numpy_gives("tanh", stand_in)
    assert dataclasses.is_dataclass(Products)
