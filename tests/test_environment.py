from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness_runs import HERE, double, run, write_study

from difflab import lab
from difflab.harness import environment, environment_change, results, store
from difflab.harness.ledger import Ledger
from difflab.harness.request import Request
from difflab.harness.results import Results

SECRET = "a-secret-that-must-stay-one"

# ---------------------------------------------------------------------------- the manifest


def test_no_secret_of_the_environment_is_in_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_TOKEN", "OPENBLAS_SECRET", "AWS_SECRET_ACCESS_KEY", "OMP_TOKEN", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setattr(sys, "argv", ["difflab", SECRET])
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    text = json.dumps(environment.describe({}, 1))
    assert SECRET not in text
    assert '"OMP_WAIT_POLICY": "passive"' in text


def test_the_manifest_describes_this_machine() -> None:
    found = environment.describe({"blas": []}, 3)
    assert found["packages"]["numpy"] == environment.version_of("numpy")
    assert "torch" in found["packages"]
    assert found["threads"] == 3
    assert found["cores"] == environment.usable_cores()
    assert found["python_build"]["flags"]["optimize"] == sys.flags.optimize
    assert found["blas"] == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_machine_without_proc_and_sys_is_described_all_the_same(tmp_path: Path) -> None:
    found = environment.describe({}, 1, tmp_path)
    json.dumps(found, allow_nan=False)
    assert found["cpu"]
    assert found["processor"]["flags"] is None
    assert found["caches"] == []
    assert found["memory_bytes"] is None
    assert found["memory_limit_bytes"] is None
    assert found["at_start"] == {"load": None, "pressure_cpu": None}
    assert found["inside"] == {"container": None, "virtual_machine": None}
    assert found["clock"]["source"] is None


def test_what_the_coordinator_needs_of_all_this_imports_no_package(modules_after: Any) -> None:
    loaded = modules_after("from difflab.harness import environment, kernels\nenvironment.describe({}, 1)")
    assert not loaded & {"numpy", "scipy", "psutil", "threadpoolctl", "pandas"}


# ---------------------------------------------------------------------------- changes


def facts() -> dict[str, Any]:
    library = {"user_api": "blas", "internal_api": "openblas", "version": "0.3.31", "architecture": "Haswell"}
    return {
        "cpu": "A Processor",
        "cores": 8,
        "processor_limit": None,
        "memory_bytes": 64 * 2**30,
        "memory_limit_bytes": None,
        "python": "3.12.4",
        "implementation": "CPython",
        "python_build": {"free_threading": False},
        "platform": "Linux 6.1.0 x86_64",
        "threads": 1,
        "packages": {"difflab": "0.1.0", "numpy": "2.4.1", "scipy": "1.17.0", "jax": None, "pandas": "3.0.0"},
        "blas": [{**library, "of": "numpy"}, {**library, "of": "scipy", "version": "0.3.30"}],
        "kernels": {"used": None},
        "gpus": None,
        "at_start": {"load": [0.1, 0.2, 0.3]},
        "frequency": {"governor": "performance"},
        "clock": {"step_s": 1e-8},
    }


def blocks(backend: str = "reverse", device: str = "cpu") -> list[dict[str, Any]]:
    return [{"cases": [{"spec": {"backend": backend, "options": {}, "device": device}}]}]


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The facts with one of them different."""
    found = copy.deepcopy(facts())
    inner: Any = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("cpu",), "Another", "processor: A Processor -> Another"),
        (("cores",), 4, "processors usable: 8 -> 4"),
        (("processor_limit",), 1.5, "processor limit: none -> 1.5"),
        (("memory_bytes",), 32 * 2**30, "memory: 64 GiB -> 32 GiB"),
        (("memory_limit_bytes",), 2**30, "memory limit: none -> 1 GiB"),
        (("python",), "3.13.0", "Python: CPython 3.12 -> CPython 3.13"),
        (("python_build", "free_threading"), True, "Python: CPython 3.12 -> CPython 3.12 free-threading"),
        (("platform",), "Darwin 23.0 arm64", "operating system: Linux x86_64 -> Darwin arm64"),
        (("threads",), 2, "threads: 1 -> 2"),
        (("packages", "numpy"), "2.4.2", "numpy: 2.4.1 -> 2.4.2"),
        (("packages", "scipy"), None, "scipy: 1.17.0 -> not installed"),
        (("blas", 1, "architecture"), "SkylakeX", "BLAS of scipy: openblas 0.3.30 Haswell -> openblas 0.3.30 SkylakeX"),
    ],
)
def test_a_stable_fact_that_differs_is_one_line(path: tuple[str | int, ...], value: Any, line: str) -> None:
    found = environment_change.changes(facts(), changed(path, value), blocks())
    assert [str(change) for change in found] == [line]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("at_start", "load"), [9.0, 9.0, 9.0]),
        (("frequency", "governor"), "powersave"),
        (("clock", "step_s"), 1e-6),
        (("memory_bytes",), 63 * 2**30),
        (("python",), "3.12.9"),
        (("platform",), "Linux 6.18.2 x86_64"),
        (("packages", "pandas"), "3.1.0"),
        (("packages", "jax"), "0.7"),
        (("gpus",), [{"name": "Card", "driver": "1"}]),
    ],
)
def test_what_jitters_or_takes_no_part_does_not_count(path: tuple[str | int, ...], value: Any) -> None:
    assert environment_change.changes(facts(), changed(path, value), blocks()) == []


def test_optional_packages_and_cards_count_where_cases_use_them() -> None:
    now = changed(("packages", "jax"), "0.7")
    now["gpus"] = [{"name": "Card", "driver": "580.1"}]
    found = environment_change.changes(facts(), now, blocks("jax", "cuda"))
    assert [str(change) for change in found] == ["jax: not installed -> 0.7", "GPU: none -> Card (driver 580.1)"]


def test_kernels_that_difflab_chose_are_part_of_the_key() -> None:
    now = changed(("kernels", "used"), "SkylakeX")
    lines = [str(change) for change in environment_change.changes(facts(), now)]
    assert lines == [
        "BLAS of numpy: openblas 0.3.31 Haswell -> openblas 0.3.31 SkylakeX",
        "BLAS of scipy: openblas 0.3.30 Haswell -> openblas 0.3.30 SkylakeX",
    ]


def test_what_an_older_difflab_did_not_write_is_not_compared() -> None:
    old = {"python": "3.12.0", "implementation": "CPython", "packages": {"numpy": "2.4.1"}, "cores": 8}
    old["blas"] = [{key: value for key, value in facts()["blas"][0].items() if key != "of"}]
    assert environment_change.changes(old, facts(), blocks("jax")) == []
    assert environment_change.changes({}, facts()) == []
    old["packages"] = {"numpy": "2.3.0"}
    assert [str(one) for one in environment_change.changes(old, facts())] == ["numpy: 2.3.0 -> 2.4.1"]


def test_the_last_environment_is_the_one_to_compare_with() -> None:
    manifest = {"environment": {"cores": 1}}
    events = [
        {"kind": "run_started"},
        {"kind": "environment_changed", "number": 1, "environment": {"cores": 2}},
        {"kind": "environment_changed", "number": 2, "environment": {"cores": 3}},
    ]
    assert environment_change.last(manifest, events[:1]) == {"cores": 1}
    assert environment_change.last(manifest, events) == {"cores": 3}


# ---------------------------------------------------------------------------- what a change does to a run


def epoch(case: str, number: int, seconds: float) -> dict[str, Any]:
    data = {
        "prepare_s": 0.1, "first_call_s": 0.1, "import_s": 0.1, "loops": 1, "primal_loops": 1, "call_s": seconds,
        "busy_s": 0.1, "open_s": 0.1, "blas": [], "samples": [seconds] * 3, "primal": [1.0] * 3,
    }  # fmt: skip
    return {"kind": "epoch", "case": case, "epoch": number, "data": data}


def finished(case: str) -> dict[str, Any]:
    return {"kind": "finished", "case": case, "outcome": "ok", "reason": "", "phase": "", "data": {}}


def checked(case: str) -> dict[str, Any]:
    return {"kind": "checked", "case": case, "data": {"outcome": "ok", "reason": ""}}


CHANGE = {"kind": "environment_changed", "number": 1, "changes": [], "environment": {}}


def two_cases(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of a run of two cases, by label."""
    spec = {"problem": "p", "size": "tiny", "dtype": "float64", "device": "cpu", "operator": "gradient"}
    cases = [{"id": label, "label": label, "spec": {**spec, "backend": label}} for label in ("base", "other")]
    manifest = {"study": {"baseline": "base"}, "blocks": [{"name": "p", "truth": "t", "cases": cases}]}
    return {row["backend"]: row for row in Results(Path("nowhere"), manifest, Ledger.of(events)).rows}


def test_a_change_drops_what_is_not_finished_and_keeps_what_is() -> None:
    before = [checked("a"), checked("b"), epoch("a", 0, 1.0), epoch("b", 0, 1.0), epoch("b", 1, 1.0), finished("a")]
    ledger = Ledger.of([*before, CHANGE])
    assert set(ledger.epochs) == set(ledger.checks) == set(ledger.ends) == {"a"}
    assert ledger.environments == {"a": 0}
    ledger.apply(epoch("b", 0, 2.0))
    assert ledger.environments == {"a": 0, "b": 1}
    assert ledger.samples("b") == [[2.0] * 3]


def test_times_of_two_environments_are_never_compared() -> None:
    base = [epoch("base", number, 1.0) for number in range(6)]
    other = [epoch("other", number, 2.0) for number in range(6)]
    together = two_cases([*base, *other, finished("base"), finished("other")])
    assert together["other"]["verdict"] == "slower"
    assert [row["environment"] for row in together.values()] == [0, 0]
    apart = two_cases([*base, finished("base"), CHANGE, *other, finished("other")])
    assert apart["other"]["verdict"] is None
    assert apart["other"]["ratio"] is None
    assert [row["environment"] for row in apart.values()] == [0, 1]
    assert apart["other"]["call_s"] == 2.0
    both = two_cases([*base, *other, CHANGE, *base, *other, finished("base"), finished("other")])
    assert both["other"]["verdict"] == "slower"
    assert [row["environment"] for row in both.values()] == [1, 1]


def ask_for(request: Request) -> dict[str, Any]:
    """The last thing that a coordinator of its own says."""
    done = subprocess.run(
        [sys.executable, "-m", lab.COORDINATOR],
        input=json.dumps(request.to_json()) + "\n",
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return {**json.loads(done.stdout.splitlines()[-1]), "code": done.returncode}


def interrupted(whole: Path, folder: Path, **packages: str) -> Path:
    """A copy of a run as a coordinator leaves it that dies before the first case is finished, elsewhere."""
    manifest = store.read_manifest(whole)
    manifest["environment"]["packages"] |= packages
    with store.Store(folder) as target:
        target.write_manifest({key: value for key, value in manifest.items() if key not in ("version", "seq", "crc")})
        (folder / store.BLOBS).mkdir(exist_ok=True)
        for blob in (whole / store.BLOBS).iterdir():
            (folder / store.BLOBS / blob.name).write_bytes(blob.read_bytes())
        for event in store.read(whole):
            if event["kind"] in ("finished", "run_finished"):
                break
            if event["kind"] != store.DESCRIBED:
                target.append(event["kind"], **{key: value for key, value in event.items() if key != "kind"})
    return folder


@pytest.mark.long
def test_a_run_goes_on_elsewhere_only_when_that_is_allowed(tmp_path: Path) -> None:
    study = write_study(tmp_path, double("well"), processes=1)
    whole = run(study, tmp_path / "whole")
    assert [row["environment"] for row in whole.rows] == [0]
    same = interrupted(whole.folder, tmp_path / "same")
    assert ask_for(Request(str(study), str(same)))["code"] == 0
    assert not [one for one in store.read(same) if one["kind"] == "environment_changed"]
    kept = results.load(same)
    assert kept.samples == whole.samples

    moved = interrupted(whole.folder, tmp_path / "moved", numpy="0.0.1", optree="0.0.2")
    before = (moved / store.EVENTS).read_bytes()
    fault = ask_for(Request(str(study), str(moved)))
    numpy = environment.version_of("numpy")
    assert fault["type"] == "FolderError"
    assert f"\n  numpy: 0.0.1 -> {numpy}\n  optree: 0.0.2 -> " in fault["text"]
    assert "--allow-env-change" in fault["text"]
    assert (moved / store.EVENTS).read_bytes() == before

    assert ask_for(Request(str(study), str(moved), allow_env_change=True))["code"] == 0
    after = results.load(moved)
    (event,) = [one for one in store.read(moved) if one["kind"] == "environment_changed"]
    assert ["numpy", "0.0.1", numpy] in event["changes"]
    assert event["environment"]["packages"]["numpy"] == numpy
    assert [row["environment"] for row in after.rows] == [1]
    assert [row["outcome"] for row in after.rows] == ["ok"]
    assert after.rows[0]["processes"] == 1
    assert after.samples != whole.samples
    assert ask_for(Request(str(study), str(moved)))["code"] == 0, "the last environment is this one"
