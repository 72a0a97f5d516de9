from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machines
import numpy as np
import pytest
from harness_runs import HERE, double, write_study
from test_environment import ask_for

from difflab.harness import hardware, kernels, store
from difflab.harness.process import START_SECONDS, Worker, ask
from difflab.harness.request import Request
from difflab.report.facts import machine as machine_table


def libraries(*architectures: str) -> list[dict[str, Any]]:
    """An OpenBLAS of NumPy, and one of SciPy."""
    return [
        {"user_api": "blas", "internal_api": "openblas", "architecture": name, "of": of}
        for name, of in zip(architectures, ("numpy", "scipy"), strict=False)
    ]


class Trial:
    """Stands for a worker: what the libraries compute with when asked for a core type, or what went wrong."""

    def __init__(self, **answers: Sequence[str] | str) -> None:
        self.answers, self.asked = answers, []

    def __call__(self, core: str) -> tuple[list[dict[str, Any]], str]:
        self.asked.append(core)
        found = self.answers.get(core, [core, core])
        return ([], found) if isinstance(found, str) else (libraries(*found), "")


def machine(tmp_path: Path, flags: str) -> Path:
    return machines.build(tmp_path, {"proc/cpuinfo": machines.cpuinfo(flags)})


@pytest.mark.parametrize(
    ("chosen", "flags", "used"),
    [
        (["Haswell", "Haswell"], machines.AVX512, "SkylakeX"),
        (["Zen", "Zen"], machines.AVX512, "SkylakeX"),
        (["Katmai"], machines.AVX512, "SkylakeX"),
        (["SkylakeX", "Haswell"], machines.AVX512, "SkylakeX"),
        (["Prescott", "Nehalem"], machines.AVX2, "Haswell"),
        (["Katmai"], machines.AVX2.replace("fma", ""), "Sandybridge"),
        (["Katmai"], "sse4_1 sse4_2 ssse3 popcnt", "Nehalem"),
        (["Katmai"], "sse2", None),
        (["SkylakeX", "SkylakeX"], machines.AVX512, None),
        (["Cooperlake", "SapphireRapids"], machines.AVX512 + " avx512_bf16 amx_tile", None),
        (["Haswell", "Zen"], machines.AVX2, None),
        (["Excavator"], machines.AVX2, None),
        (["Haswell"], machines.AVX512.replace("avx512vl", ""), None),
        (["Haswell"], machines.AVX2 + " avx512f", None),
        (["SkylakeX", "Haswell"], machines.AVX2, None),
    ],
)
def test_the_best_kernels_that_the_flags_allow(tmp_path: Path, chosen: list[str], flags: str, used: str | None) -> None:
    trial = Trial()
    found = kernels.decide(libraries(*chosen), {}, machine(tmp_path, flags), trial)
    assert found.used == used
    assert found.variables == ({} if used is None else {"OPENBLAS_CORETYPE": used})
    assert found.chosen_by_library == chosen
    assert found.why
    assert trial.asked == [used] * (used is not None)


def test_no_kernels_are_asked_for_that_one_processor_of_several_cannot_run(tmp_path: Path) -> None:
    text = machines.cpuinfo(machines.AVX512) + "\n" + machines.cpuinfo(machines.AVX2)
    root = machines.build(tmp_path, {"proc/cpuinfo": text})
    assert kernels.decide(libraries("Haswell"), {}, root, Trial()).used is None


@pytest.mark.parametrize("core", [core for core, _ in kernels.BEST_FIRST])
def test_each_missing_flag_forbids_kernels_that_may_need_it(core: str) -> None:
    needed = dict(kernels.BEST_FIRST)[core]
    everything = frozenset(machines.AVX512.split())
    assert core in kernels.candidates(["Katmai"], everything)[0]
    for flag in needed:
        assert core not in kernels.candidates(["Katmai"], everything - {flag})[0], flag


def test_the_choice_of_the_user_is_kept_and_recorded(tmp_path: Path) -> None:
    trial = Trial()
    given = {"OPENBLAS_CORETYPE": "Haswell"}
    found = kernels.decide(libraries("Haswell"), given, machine(tmp_path, machines.AVX512), trial)
    assert (found.used, found.by_user, trial.asked) == (None, "Haswell", [])
    assert found.to_json()["by_user"] == "Haswell"


def test_kernels_that_a_library_does_not_take_are_left(tmp_path: Path) -> None:
    root = machine(tmp_path, machines.AVX512)
    trial = Trial(SkylakeX=["SkylakeX", "Haswell"])
    found = kernels.decide(libraries("Haswell", "Haswell"), {}, root, trial)
    assert found.used is None
    assert found.why == ("SkylakeX was tried and left: scipy's OpenBLAS computes with Haswell when asked for it")


def test_no_library_gets_older_kernels_so_that_another_gets_newer_ones(tmp_path: Path) -> None:
    trial = Trial(SkylakeX=["SkylakeX", "Nehalem"])
    found = kernels.decide(libraries("SkylakeX", "Nehalem"), {}, machine(tmp_path, machines.AVX512), trial)
    assert (found.used, trial.asked) == (None, ["SkylakeX"])


def test_the_next_best_kernels_are_tried_when_the_best_fail(tmp_path: Path) -> None:
    root = machine(tmp_path, machines.AVX512)
    trial = Trial(SkylakeX="the worker died of SIGILL (illegal instruction) in phase start")
    found = kernels.decide(libraries("Nehalem", "Nehalem"), {}, root, trial)
    assert found.used == "Haswell"
    assert trial.asked == ["SkylakeX", "Haswell"]
    assert "SIGILL" in found.why


@pytest.mark.parametrize(
    ("blas", "why"),
    [
        ([{"user_api": "blas", "internal_api": "mkl", "version": "2025"}], "no OpenBLAS is loaded"),
        ([], "no OpenBLAS is loaded"),
        (libraries("Armv9SME2"), "nothing is known of the kernels called Armv9SME2"),
    ],
)
def test_other_libraries_are_left_alone(tmp_path: Path, blas: list[dict[str, Any]], why: str) -> None:
    found = kernels.decide(blas, {}, machine(tmp_path, machines.AVX512), Trial())
    assert found.used is None
    assert why in found.why


def test_a_machine_that_does_not_tell_its_flags_is_left_alone(tmp_path: Path) -> None:
    found = kernels.decide(libraries("Haswell"), {}, machines.arm(tmp_path), Trial())
    assert found.used is None
    assert "does not say what the processor can do" in found.why


# ---------------------------------------------------------------------------- on this machine


def own() -> list[dict[str, Any]]:
    """The libraries of this machine, as a worker finds them."""
    worker = Worker()
    try:
        answer = ask(worker, {"do": "kernels"}, START_SECONDS)
    finally:
        worker.close()
    assert answer is not None, worker.verdict
    assert answer["right"]
    return answer["blas"]


def openblas(found: list[dict[str, Any]]) -> list[str]:
    return [str(one.get("architecture")) for one in found if one["internal_api"] == "openblas"]


def test_a_worker_multiplies_with_better_kernels_than_the_library_is_said_to_have_chosen() -> None:
    allowed = kernels.candidates(["Katmai"], hardware.flags(hardware.blocks()))[0]
    found = kernels.decide(libraries("Katmai", "Katmai"), {})
    taken = openblas(own())
    if not allowed or not taken:
        assert found.used is None
        return
    # the library itself chooses no kernels that the processor cannot run; it may lack some that it can
    assert found.used in allowed
    assert kernels.LEVELS[found.used] >= max(kernels.LEVELS[name] for name in taken if name in kernels.LEVELS)
    libraries_then, fault = kernels.try_core(found.used)
    assert fault == ""
    assert kernels.refusal(found.used, libraries_then) == ""


def test_a_core_type_that_no_library_knows_is_noticed() -> None:
    found, fault = kernels.try_core("NoSuchCore")
    assert fault == ""
    if openblas(found):
        assert kernels.refusal("Nehalem", libraries("NoSuchCore")) != ""
        assert openblas(found) == openblas(own()), "the library chooses for itself then"


def test_the_libraries_say_whose_they_are_in_an_order_that_stays() -> None:
    first, again = own(), own()
    assert first == again
    assert [one["of"] for one in first] == sorted(one["of"] or "" for one in first)


def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.right()
    generator = np.random.default_rng

    class Fractions:
        """Numbers that are not whole: products of these are rounded, and so differ from those of whole numbers."""

        def integers(self, *_: Any) -> np.ndarray:
            return generator(1).standard_normal(_[2])

    monkeypatch.setattr(np.random, "default_rng", lambda _: Fractions())
    assert not kernels.right()


def test_the_decision_reaches_every_worker_and_the_manifest(tmp_path: Path) -> None:
    study = write_study(tmp_path, double("well"))
    script = tmp_path / "coordinate.py"
    script.write_text(
        "import json, sys\n"
        "from difflab.harness import engine, kernels\n"
        "from difflab.harness.request import Request\n"
        "kernels.decide = lambda blas: kernels.Decision(['Katmai'], 'Nehalem', None, 'for a test')\n"
        "engine.run(Request(*sys.argv[1:3], quick=True), lambda event: None)\n"
    )
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, str(script), str(study), str(out)],
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    manifest = store.read_manifest(out)
    assert manifest["environment"]["kernels"] == {
        "chosen_by_library": ["Katmai"],
        "used": "Nehalem",
        "by_user": None,
        "why": "for a test",
    }
    asked = openblas(kernels.try_core("Nehalem")[0])
    epochs = [event["data"]["blas"] for event in store.read(out) if event["kind"] == "epoch"]
    assert epochs
    assert all(openblas(blas) == asked[: len(openblas(blas))] for blas in epochs)


def test_a_run_records_its_kernels(tmp_path: Path) -> None:
    study = write_study(tmp_path, double("well"))
    assert ask_for(Request(str(study), str(tmp_path / "run"), quick=True))["code"] == 0
    found = store.read_manifest(tmp_path / "run")["environment"]
    assert found["kernels"]["chosen_by_library"] == openblas(found["blas"])
    assert json.dumps(found["kernels"])


def test_the_page_says_which_kernels_difflab_set() -> None:
    found = kernels.Decision(["Haswell"], "SkylakeX", None, "the flags allow them").to_json()
    assert ("Kernels of OpenBLAS", "SkylakeX, set by difflab: the flags allow them") in machine_table(
        {"kernels": found}
    )
    assert not machine_table({"kernels": {**found, "used": None}})
