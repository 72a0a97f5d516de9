"""The command line on a GPU: without one a clear sentence and code 2, with the stand-in whole runs in processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up_runs as made
import pool_double
import pytest

import difflab
from difflab import comparison, errors, lab
from difflab.cli import forecast as cli_forecast
from difflab.cli.check import check_files
from difflab.harness import results

HERE = Path(__file__).parent
PATHS = (HERE.parent, HERE, HERE / "stand_in")

STUDY = """
title = "T"
question = "Q"
device = "{device}"
tf32 = {tf32}

[[problem]]
name = "harness_doubles:SQUARES"
sizes = ["tiny"]
dtypes = ["float32"]
{problem}

[[backend]]
name = "harness_doubles:Double"

[[backend]]
name = "harness_doubles:Double"
label = "wrong"
how = "wrong"

[limits]
memory = "300 MiB"

[timing]
processes = 1
samples = 3
budget_s = 30
"""

TOOL = """#!{python}
import sys
known = {{"uuid": "GPU-30313233-3435-3637-3839-616263646566", "name": "Stand-in", "driver_version": "580.1",
         "clocks.current.sm": "1980", "temperature.gpu": "41", "clocks_throttle_reasons.active": "0x4"}}
(fields,) = [one.partition("=")[2] for one in sys.argv if one.startswith("--query-gpu=")]
print(", ".join(known.get(field, "[N/A]") for field in fields.split(",")))
"""


def study(folder: Path, device: str = "gpu", tf32: str = "true", problem: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(device=device, tf32=tf32, problem=problem))
    return path


def run(
    *arguments: str | Path, there: bool, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, whose workers find the stand-in where it is ``there``."""
    paths = PATHS if there else PATHS[:2]
    return subprocess.run(
        [sys.executable, "-m", "difflab", *map(str, arguments)],
        capture_output=True, text=True, cwd=folder, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **(environment or {})},
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run on the stand-in, with the tool of a driver that knows little."""
    folder = tmp_path_factory.mktemp("gpu")
    tools = folder / "tools"
    tools.mkdir()
    tool = tools / "nvidia-smi"
    tool.write_text(TOOL.format(python=sys.executable))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = run("run", study(folder), "--out", "out", "--json", there=True, folder=folder, environment={"PATH": path})
    return done, folder


@pytest.mark.long
def test_a_study_runs_on_the_device_in_real_processes(finished: Any) -> None:
    done, folder = finished
    assert done.returncode == 1, done.stderr  # one of the two gradients is wrong on purpose
    right, wrong = json.loads(done.stdout)["rows"]
    assert (right["outcome"], wrong["outcome"]) == ("ok", "invalid")
    assert (right["device"], right["tf32"], right["tolerance"]) == ("gpu", True, 0.1)
    assert right["rel_error"] < 1e-6
    assert 0 < right["enqueue_s"] <= right["call_s"]
    assert 0 < right["event_s"] <= right["call_s"]
    assert right["host_bound"] is True  # the stand-in computes while it is called
    assert right["peak_bytes"] == 3 * 512
    assert right["driver_bytes"] == 3 * 512
    assert right["memory_enforced"].startswith("pool limit")
    assert (right["primal_by"], right["input_copies"], right["input_cache"]) == ("CuPy", 256, "warm")
    assert (right["sm_mhz_low"], right["temperature_c"], right["slowed"]) == (1980.0, 41.0, "the power cap")
    assert "gpu tf32" in done.stderr
    assert folder.is_dir()


@pytest.mark.long
def test_the_manifest_and_the_page_name_the_device(finished: Any) -> None:
    folder = finished[1] / "out"
    found = difflab.load(folder)
    gpu = found.manifest["environment"]["gpu"]
    assert (gpu["name"], gpu["driver"], gpu["sm_mhz"]) == ("Stand-in", "580.1", 1980.0)
    assert (gpu["mig"], gpu["power_limit_w"]) == (None, None)
    page = made.unexplained((folder / "index.html").read_text(encoding="utf-8"))
    assert "Stand-in, memory 1.00 GiB, 4 multiprocessors, L2 cache 4.00 MiB" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "TF32 is on in all cases" in page
    assert "has not been measured" not in page
    (epoch,) = [one for one in found.ledger.epochs.values() if one]
    assert len(epoch[0]["event"]) == len(epoch[0]["samples"])


@pytest.mark.long
def test_a_finished_run_is_shown_again_where_there_is_no_gpu(finished: Any) -> None:
    folder = finished[1]
    again = run("run", folder / "study.toml", "--out", "out", there=False, folder=folder)
    assert again.returncode == 1
    assert "needs the package cupy" not in again.stderr


@pytest.mark.long
def test_exports_hold_the_columns_of_the_device(finished: Any) -> None:
    folder = finished[1]
    done = run("export", "out", "--to", "cases.csv", there=False, folder=folder)
    assert done.returncode == 0, done.stderr
    header, first, *_ = (folder / "cases.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=False))
    assert row["device"] == "gpu"
    assert {"tf32", "event_s", "enqueue_s", "host_bound", "driver_bytes", "input_cache"} <= set(row)


# ---------------------------------------------------------------------------- without a device


def test_without_cupy_a_study_on_a_gpu_does_not_begin(tmp_path: Path) -> None:
    done = run("run", study(tmp_path), "--out", "out", there=False, folder=tmp_path)
    assert done.returncode == 2
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("difflab: ")]
    assert "device 'gpu' needs the package cupy, which is not installed; pip install 'difflab[gpu]'" in line
    assert not (tmp_path / "out").exists()
    asked = run("run", study(tmp_path, "cpu", "false"), "--device", "gpu", there=False, folder=tmp_path)
    assert asked.returncode == 2
    assert "needs the package cupy" in asked.stderr
    assert not (tmp_path / "reports").exists()


@pytest.mark.long
def test_where_something_else_is_to_be_done_the_page_says_that_the_gpu_is_missing(tmp_path: Path) -> None:
    more = '\n[[problem]]\nname = "harness_doubles:SQUARES"\nsizes = ["tiny"]\ndevice = "gpu"\n'
    path = study(tmp_path, "cpu", "false", more)
    done = run("run", path, "--out", "out", "--quick", there=False, folder=tmp_path)
    found = results.load(tmp_path / "out")
    outcomes = [(row["device"], row["outcome"]) for row in found.rows]
    assert outcomes == [("cpu", "ok"), ("cpu", "invalid"), ("gpu", "unsupported"), ("gpu", "unsupported")], done.stderr
    assert "needs the package cupy" in found.rows[2]["reason"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "The GPU has not been measured: device &#39;gpu&#39; needs the package cupy" in page


def test_a_device_that_does_not_exist_is_named_with_what_may_be_meant(tmp_path: Path) -> None:
    done = run("run", "digits", "--device", "gpuu", there=False, folder=tmp_path)
    assert (done.returncode, done.stderr) == (2, "difflab: unknown device 'gpuu' (did you mean 'gpu'?)\n")
    done = run("check", "a.py:f", "--gradient", ":g", "--device", "cuda", there=False, folder=tmp_path)
    assert (done.returncode, done.stderr) == (2, "difflab: unknown device 'cuda' (known: cpu, gpu)\n")
    with pytest.raises(errors.InputError, match="unknown device 'tpu'"):
        lab.run("digits", device="tpu")


def test_cases_on_a_gpu_do_not_go_to_a_cluster(tmp_path: Path) -> None:
    done = run("run", study(tmp_path), "--cluster", "local:1", there=True, folder=tmp_path)
    assert done.returncode == 2
    assert "leave --cluster out" in done.stderr


def test_a_forecast_for_a_gpu_needs_none(tmp_path: Path) -> None:
    document = run(
        "run", study(tmp_path, "cpu", "false"), "--dry-run", "--device", "gpu", "--json", there=False, folder=tmp_path
    )
    assert document.returncode == 0, document.stderr
    case = json.loads(document.stdout)["cases"][0]
    assert (case["outcome"], case["predicted_call_s"]) == ("runs", None)


# ---------------------------------------------------------------------------- compare and check

FILE = """
import numpy as np

def loss(w, scale):
    return np.sum(w * w) * scale

def gradient(w, scale):
    return w.kind_of_array(w, scale)

def plain(w, scale):
    assert not isinstance(w, np.ndarray), "the arguments are to be on the device"
    return 2 * w * scale

arguments = (np.array([1.0, 2.0, -3.0]), 0.5)
"""


def test_a_gradient_is_checked_with_its_arguments_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UnavailableError, match="needs the package cupy"):
        check_files("net.py:loss", ":plain", None, 0, None, False, "gpu")
    pool_double.install(monkeypatch)
    text, right = check_files("net.py:loss", ":plain", None, 0, None, False, "gpu")
    assert right, text


def test_a_gradient_of_device_arrays_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    cupy = pool_double.install(monkeypatch)

    def loss(params: Any, x: Any) -> Any:
        return np.sum(params["w"] * params["w"] * x)

    def right(params: Any, x: Any) -> Any:
        assert isinstance(params["w"], cupy.ndarray)
        assert isinstance(x, cupy.ndarray)
        return {"w": 2 * params["w"] * x}

    def wrong(params: Any, x: Any) -> Any:
        return {"w": -right(params, x)["w"]}

    def careless(params: Any, x: Any) -> Any:
        found = right(params, x)
        x.fill(0.0)
        return found

    params, x = {"w": cupy.asarray(np.array([1.0, 2.0, -3.0]))}, cupy.asarray(np.array([0.5, 4.0, 0.25]))
    assert difflab.check(right, loss, params, x)
    assert difflab.check(right, loss, params, x=x)
    assert "has the wrong sign" in str(difflab.check(wrong, loss, params, x))
    assert "It writes into its argument x" in str(difflab.check(careless, loss, params, x))
    assert x.get().tolist() == [0.5, 4.0, 0.25]


def test_functions_of_cupy_in_a_loss_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    cupy = pool_double.install(monkeypatch)
    x = cupy.asarray(np.ones(3))
    with pytest.raises(errors.TraceError, match=r"cupy\.tanh at .* write np\.tanh instead: the same loss runs on"):
        difflab.gradient(lambda x: np.sum(cupy.tanh(x)))(x)


def test_backends_are_compared_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import harness_doubles
    import numpy as np

    def loss(w: Any, data: Any) -> Any:
        return np.sum(w * w * data)

    arguments = np.array([1.0, 2.0]), np.array([0.5, 4.0])
    backends: list[Any] = [harness_doubles.Double(), harness_doubles.Double("wrong")]
    with pytest.raises(errors.UnavailableError, match="needs the package cupy"):
        comparison.compare(loss, *arguments, backends=backends, device="gpu")
    cupy = pool_double.install(monkeypatch)
    by_hand = comparison.compare(
        loss, *arguments, backends=backends, device="gpu", analytic=lambda w, data: (loss(w, data), 2 * w * data)
    )
    right, wrong, analytic = by_hand.rows
    assert [row["outcome"] for row in by_hand.rows] == ["ok", "invalid", "ok"]
    assert {row["device"] for row in by_hand.rows} == {"gpu"}
    assert right["rel_error"] < 1e-15
    assert right["event_s"] > 0
    assert right["host_bound"] is True
    assert right["primal_by"] == "CuPy"
    assert analytic["call_s"] > 0
    assert wrong["reason"].startswith("relative error 0.5")
    assert "device='gpu'" in by_hand.manifest["command"]
    assert by_hand.manifest["environment"]["gpu"]["name"] == "Stand-in"
    there = comparison.compare(loss, *map(cupy.asarray, arguments), backends=backends[:1])
    assert (there.rows[0]["device"], there.rows[0]["outcome"]) == ("gpu", "ok")
    here = comparison.compare(loss, *arguments, backends=backends[:1])
    assert here.rows[0]["device"] == "cpu"
    assert here.rows[0]["event_s"] is None
    with pytest.raises(errors.InputError, match="unknown device 'tpu'"):
        comparison.compare(loss, *arguments, device="tpu")


def test_a_forecast_says_that_it_knows_nothing_of_the_gpu() -> None:
    case = {
        "outcome": "runs",
        "dtype": "float64",
        "device": "gpu",
        "problem": "mlp",
        "size": "tiny",
        "backend": "reverse",
    }
    case |= dict.fromkeys(("n_params", "predicted_calls", "predicted_flops", "predicted_bytes", "predicted_prepare_s",
                           "predicted_call_s", "run_s", "reason"))  # fmt: skip
    found = {"references_s": 0.0, "run_s": 2.0, "first_s": 2.0, "timing": {"budget_s": 90.0}, "quick": False,
             "seconds": 1.0}  # fmt: skip
    words = "which a forecast does not look for"
    assert f"2 cases need a GPU, {words}" in cli_forecast.as_text(found | {"cases": [case, case]})
    assert words not in cli_forecast.as_text(found | {"cases": [case | {"device": "cpu"}]})
