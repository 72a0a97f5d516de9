"""``device`` and ``tf32`` in studies: how they are read, what they make of cases, what their pages say."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up_runs
import pytest

from difflab import errors, report
from difflab.harness import environment_change, gpu_run, grid, study_file
from difflab.harness.catalogue import Catalogue
from difflab.harness.grid import Block, Case
from difflab.harness.host_lock import FileLock
from difflab.harness.study import Study
from difflab.harness.study_device import check_device, on_device

TEXT = """
title = "T"
{top}

[[problem]]
name = "digits-mlp"
dtypes = ["float64", "float32"]
{problem}

[[backend]]
name = "reverse"

[timing]
{timing}
"""


def describe(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> Catalogue:
    del asked, problems
    return Catalogue({"digits-mlp": ["tiny"]}, {"reverse": "reverse"}, {"reverse": []})


def read(top: str = 'question = "Q"', problem: str = "", timing: str = "", more: str = "") -> Study:
    if "question" not in top:
        top += '\nquestion = "Q"'
    return study_file.parse(TEXT.format(top=top, problem=problem, timing=timing) + more, "s.toml", describe)


def faults(**parts: str) -> list[str]:
    with pytest.raises(errors.StudyError) as caught:
        read(**parts)
    return str(caught.value).splitlines()


# ---------------------------------------------------------------------------- reading


def test_a_study_computes_on_the_processor_unless_it_says_otherwise() -> None:
    (problem,) = read().problems
    assert (problem.device, problem.tf32) == ("cpu", False)
    assert grid.blocks(read())[0].cases[0].spec.keys() == {
        "problem", "size", "dtype", "device", "operator", "backend", "options", "seed",
    }  # fmt: skip
    (problem,) = read('device = "gpu"\ntf32 = true').problems
    assert (problem.device, problem.tf32) == ("gpu", True)
    (problem,) = read('device = "gpu"\ntf32 = true', 'device = "cpu"').problems
    assert (problem.device, problem.tf32) == ("cpu", False)
    assert read(timing="warm_cache = true").timing.warm_cache


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({"top": 'device = "gpuu"'}, "s.toml:3:11: device: unknown device 'gpuu' (did you mean 'gpu'?)"),
        ({"top": "device = 1"}, "s.toml:3:10: device: must be a text, got 1"),
        ({"problem": 'device = "cuda"'}, "s.toml:8:11: problem[0].device: unknown device 'cuda' (known: cpu, gpu)"),
        ({"top": "tf32 = true"}, 's.toml:3:8: tf32: only a GPU rounds to TF32; say device = "gpu", or leave tf32 out'),
        ({"problem": "tf32 = true"}, 's.toml:8:8: problem[0].tf32: only a GPU rounds to TF32, and this problem has'),
        ({"problem": 'device = "gpu"\ntf32 = "yes"'}, "s.toml:9:9: problem[0].tf32: must be true or false, got 'yes'"),
        ({"timing": 'warm_cache = "no"'}, "s.toml:14:15: timing.warm_cache: must be true or false, got 'no'"),
        ({"top": 'devise = "gpu"'}, "s.toml:3:11: devise: unknown key 'devise' (did you mean 'device'?)"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_with_its_place(parts: dict[str, str], fault: str) -> None:
    (found,) = faults(**parts)
    assert found.startswith(fault)


def test_a_study_that_examines_runs_on_the_processor() -> None:
    found = faults(top='answer = "steps"\ndevice = "gpu"')
    assert found == ["s.toml:4:11: device: a study that examines its cases runs on the CPU; leave device out"]


def test_tf32_needs_a_dtype_that_it_rounds() -> None:
    more = '\n[[problem]]\nname = "digits-mlp"\ndevice = "gpu"\ntf32 = true\n'
    (found,) = faults(more=more)
    assert found.startswith("s.toml:19:")
    assert found.endswith("problem[1].tf32: TF32 rounds products of float32, and this problem has no such dtype")


def test_a_problem_may_be_listed_again_at_another_place_only() -> None:
    again = '\n[[problem]]\nname = "digits-mlp"\ndtypes = ["float32"]\n'
    assert "is already listed above" in faults(more=again)[0]
    study = read(more=again + 'device = "gpu"\n' + again + 'device = "gpu"\ntf32 = true\n')
    assert [block.name for block in grid.blocks(study)] == [
        "digits-mlp tiny float64", "digits-mlp tiny float32", "digits-mlp tiny float32 gpu",
        "digits-mlp tiny float32 gpu tf32",
    ]  # fmt: skip


# ---------------------------------------------------------------------------- cases


def test_the_device_is_part_of_what_a_case_is() -> None:
    here, there, rough = (grid.blocks(read(top)) for top in ("", 'device = "gpu"', 'device = "gpu"\ntf32 = true'))
    ids = [case.id for blocks in (here, there, rough) for block in blocks for case in block.cases]
    assert len(set(ids)) == 5  # float64 is not rounded, so there it is the same case
    assert there[0].cases[0].spec["device"] == "gpu"
    assert there[0].truth == here[0].truth  # one reference, the processor's
    assert rough[0].cases[0].short == "digits-mlp tiny float64 gpu reverse"
    assert rough[1].cases[0].short == "digits-mlp tiny float32 gpu tf32 reverse"
    assert gpu_run.on_gpu(there)
    assert not gpu_run.on_gpu(here)


def test_asking_for_a_device_moves_all_problems() -> None:
    study = read(more='\n[[problem]]\nname = "digits-mlp"\ndtypes = ["float32"]\ndevice = "gpu"\ntf32 = true\n')
    moved = on_device(study, "gpu")
    assert [block.name for block in grid.blocks(moved)] == [
        "digits-mlp tiny float64 gpu", "digits-mlp tiny float32 gpu", "digits-mlp tiny float32 gpu tf32",
    ]  # fmt: skip
    back = on_device(study, "cpu")
    assert [block.name for block in grid.blocks(back)] == ["digits-mlp tiny float64", "digits-mlp tiny float32"]
    assert on_device(study, None) is study
    keys = {grid.key(study, 0, False, device) for device in (None, "cpu", "gpu")}
    assert len(keys) == 3
    with pytest.raises(errors.InputError, match=r"unknown device 'gpuu' \(did you mean 'gpu'\?\)"):
        check_device("gpuu")
    with pytest.raises(errors.InputError, match="examines its cases, which is done on the CPU only"):
        on_device(read('answer = "steps"'), "gpu")


# ---------------------------------------------------------------------------- runs


def case(**spec: Any) -> Case:
    return Case("1", "reverse", {"device": "gpu", "tf32": False, **spec})


def test_workers_find_tf32_and_limits_of_memory_in_their_environment() -> None:
    gpu = gpu_run.Gpu({"memory_bytes": 2**32, "uuid": "GPU-1"})
    plain = gpu.variables(case(), 2**30)
    assert plain == {
        "CUPY_TF32": "0", "NVIDIA_TF32_OVERRIDE": "0", "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2500",
    }  # fmt: skip
    rough = gpu.variables(case(tf32=True), None)
    assert rough == {"CUPY_TF32": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert gpu.variables(case(device="cpu"), 2**30) == {}


def test_the_driver_is_asked_for_the_clocks_between_measurements() -> None:
    gpu = gpu_run.Gpu({"uuid": "GPU-1"}, ask=lambda fields: "GPU-1, 0:1, A, 1980, 3201, 40, 500.5, 0x4\n")
    assert gpu.heat() == {
        "sm_mhz": 1980.0, "memory_mhz": 3201.0, "temperature_c": 40.0, "power_w": 500.5, "slowed": ["the power cap"],
    }  # fmt: skip
    assert gpu_run.Gpu({"uuid": "GPU-1"}, ask=lambda fields: None).heat() is None
    assert gpu_run.Gpu(missing="none").heat() is None
    assert gpu_run.Gpu(missing="none").environment() == {"missing": "none"}


def test_only_one_run_has_a_gpu(tmp_path: Path) -> None:
    told: list[str] = []
    order: list[str] = []
    first, second = (gpu_run.Gpu({"uuid": "GPU-1"}) for _ in range(2))
    other = gpu_run.Gpu({"uuid": "GPU-2"})

    def wait() -> None:
        with second.alone(told.append, tmp_path) as waited:
            order.append("second")
            assert waited > 1

    with first.alone(told.append, tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        with other.alone(told.append, tmp_path) as waited:
            assert waited < 1  # another GPU is free
        thread.join(1.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert told == ["waiting for another difflab run on this GPU"]
    assert {path.name for path in tmp_path.iterdir()} == {"difflab-GPU-1.lock", "difflab-GPU-2.lock"}


def test_a_lock_whose_file_cannot_be_made_keeps_nobody(tmp_path: Path) -> None:
    done: list[int] = []
    with FileLock(tmp_path / "nowhere" / "a.lock", lambda: None).held():
        done.append(1)
    with gpu_run.Gpu(missing="none").alone(print, tmp_path) as waited:
        done.append(int(waited))
    assert done == [1, 0]
    assert not list(tmp_path.iterdir())


class Probe:
    """A probe of a machine without a GPU."""

    def gpu(self) -> dict[str, Any]:
        raise errors.UnavailableError("no device here")


def test_a_run_without_its_gpu_does_not_begin_unless_something_else_is_to_be_done() -> None:
    probe: Any = Probe()
    assert gpu_run.find(probe, grid.blocks(read())) is None
    with pytest.raises(errors.UnavailableError, match="no device here"):
        gpu_run.find(probe, grid.blocks(read('device = "gpu"')))
    both = read(more='\n[[problem]]\nname = "digits-mlp"\ndtypes = ["float32"]\ndevice = "gpu"\n')
    found = gpu_run.find(probe, grid.blocks(both))
    assert found is not None
    assert found.missing == "no device here"


def test_another_gpu_is_another_environment() -> None:
    blocks = [{"cases": [{"spec": {"device": "gpu"}}]}]
    was = {"gpus": [{"name": "A", "driver": "1"}]}
    now = {"gpus": [{"name": "B", "driver": "1"}]}
    (change,) = environment_change.changes(was, now, blocks)
    assert str(change) == "GPU: A (driver 1) -> B (driver 1)"
    was = {"packages": {"cupy-cuda13x": "14.2.0"}, "gpu": {"name": "A", "cuda_runtime": "13.0"}}
    now = {"packages": {"cupy-cuda13x": None}, "gpu": {"missing": "no device"}}
    assert [str(one) for one in environment_change.changes(was, now, blocks)] == [
        "cupy-cuda13x: 14.2.0 -> not installed", "CUDA device: A, CUDA 13.0 -> none",
    ]  # fmt: skip
    assert not environment_change.changes(was, now, [{"cases": [{"spec": {"device": "cpu"}}]}])


def test_one_case_on_a_gpu_is_checked_at_a_time() -> None:
    from difflab.harness.checks import Job, _next

    def job(one: Case | None) -> Job:
        return Job(lambda: iter(()), lambda: None, lambda: True, lambda data: None, lambda worker: None, one)  # type: ignore[arg-type, return-value] (a script that is never run)

    there, there_too, here, reference = job(case()), job(case()), job(case(device="cpu")), job(None)
    assert _next([there_too, here], [there]) is here
    assert _next([there_too, reference], [there]) is reference
    assert _next([there_too], [there]) is None
    assert _next([there_too, here], [reference]) is there_too


def test_a_case_on_a_gpu_has_room_on_the_host_for_what_cuda_loads() -> None:
    from difflab.harness.process import DEVICE_HOST_BYTES, host_memory

    assert host_memory({"spec": {"device": "gpu"}, "memory": 2**20}) == DEVICE_HOST_BYTES
    assert host_memory({"spec": {"device": "gpu"}, "memory": 2**40}) == 2**40
    assert host_memory({"spec": {"device": "cpu"}, "memory": 2**20}) == 2**20
    assert host_memory({"spec": {"device": "gpu"}, "memory": None}) is None


# ---------------------------------------------------------------------------- pages

CLOCKS = {
    "device": "gpu", "tf32": False, "event_s": 0.9e-4, "enqueue_s": 2e-5, "host_bound": False, "input_cache": "cold",
    "driver_bytes": 2**22, "peak_bytes": 1536, "sm_mhz_low": 1500.0, "sm_mhz_high": 1980.0, "primal_by": "program",
}  # fmt: skip


def text_of(rows: list[dict[str, Any]], **changed: Any) -> str:
    return made_up_runs.unexplained(report.render(made_up_runs.run(rows, **changed)))


def with_gpu(**gpu: Any) -> dict[str, Any]:
    return {"environment": made_up_runs.manifest()["environment"] | {"gpu": gpu}}


def test_a_page_says_in_words_that_the_gpu_has_not_been_measured() -> None:
    why = "device 'gpu' needs a CUDA device, and the driver reports none"
    lost = made_up_runs.failed("reverse", "unsupported", device="gpu", reason=why)
    page = text_of([made_up_runs.row("reverse"), lost], **with_gpu(missing=why))
    assert "The GPU has not been measured: device &#39;gpu&#39; needs a CUDA device" in page
    assert "none: device &#39;gpu&#39; needs" in page
    assert page.count("needs a CUDA device, and the driver reports none") >= 3  # the table shows it too
    begun = made_up_runs.failed("reverse", "interrupted", device="gpu", reason="not measured yet")
    assert "The GPU has not been measured: not measured yet." in text_of([begun])
    measured = text_of([made_up_runs.row("reverse", **CLOCKS), lost])
    assert "has not been measured" not in measured
    assert "has not been measured" not in text_of([made_up_runs.row("reverse")])


def test_a_page_shows_the_clocks_of_a_gpu_and_how_it_stood() -> None:
    rows = [made_up_runs.row("reverse", **CLOCKS), made_up_runs.row("reverse", **{**CLOCKS, "tf32": True})]
    gpu = {"name": "NVIDIA H200", "memory_bytes": 2**37, "processors": 132, "sm_mhz": 345.0, "ecc": True, "mig": False}
    page = text_of(rows, **with_gpu(**gpu))
    for wanted in (
        "event 90.0 \N{MICRO SIGN}s", "enqueue 20.0 \N{MICRO SIGN}s", "1.50 KiB peak", "1500 to 1980 MHz", "gpu TF32",
        "NVIDIA H200, memory 128 GiB, 132 multiprocessors, L2 cache not known",
        "multiprocessors at 345 MHz of not known",
        "error correction on", "partitions (MIG) off", "temperature not known", "TF32 is as the tables say",
        "Where CuPy cannot run the loss as it is written",
    ):  # fmt: skip
        assert wanted in page.replace("\N{NO-BREAK SPACE}", " ").replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    assert "host-bound" not in page
    assert "Event, enqueue, wall" in page
    assert "Event, enqueue, wall" not in text_of([made_up_runs.row("reverse")])


def test_a_page_says_what_limits_times_on_a_gpu() -> None:
    bound = {**CLOCKS, "host_bound": True, "slowed": "its temperature"}
    unseen = {**CLOCKS, "event_s": None, "host_bound": None}
    page = text_of([made_up_runs.row("reverse", **bound), made_up_runs.row("jax", **unseen)])
    assert "On the GPU the host is what limits 1 of 2" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "Event times of jax are missing" in page
    assert "lowered the clocks of the GPU meanwhile, because of its temperature" in page
    assert "event unseen" in page
    assert ", host-bound" in page
    both = [made_up_runs.row(name, **bound) for name in ("reverse", "forward")]
    assert "On the GPU the host is what limits all cases" in text_of(both)


def test_rows_of_two_devices_are_never_put_in_one_chart() -> None:
    from difflab.report import cases

    rows = [
        made_up_runs.row("reverse"), made_up_runs.row("reverse", **CLOCKS),
        made_up_runs.row("reverse", **replace_tf32(CLOCKS)),
    ]  # fmt: skip
    found = cases.groups(cases.read(rows))
    assert [group.title for group in found] == ["digits-mlp cpu", "digits-mlp gpu", "digits-mlp gpu TF32"]


def replace_tf32(clocks: dict[str, Any]) -> dict[str, Any]:
    return {**clocks, "tf32": True}


def test_blocks_keep_their_device_when_cases_are_left_out() -> None:
    block = grid.blocks(read('device = "gpu"'))[0]
    assert replace(block, cases=()).name == block.name
    assert Block("p", "s", "float32", ()).name == "p s float32"
