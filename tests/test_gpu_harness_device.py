"""The device of the harness with the stand-in for CuPy: its memory, what the driver says, that it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pool_double
import pytest

from difflab import errors
from difflab.harness import gpu_facts, gpu_memory, gpu_query, gpu_side, limits, worker


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return pool_double.install(monkeypatch)


# ---------------------------------------------------------------------------- memory


def test_the_peak_of_a_call_is_that_of_pools_with_what_was_kept(cupy: Any) -> None:
    before = cupy.zeros(1000)
    meter = gpu_memory.Meter(cupy)
    kept: list[Any] = []

    def prepare() -> None:
        kept.append(cupy.zeros(100))  # 800 bytes: two units of 512
        temporary = cupy.zeros(1000)  # 8000 bytes: 16 units
        del temporary

    assert meter.peak_during(prepare)[0] == 1024 + 8192
    peak, result = meter.peak_during(lambda: cupy.zeros(64).size)
    assert (peak, result) == (1024 + 512, 64)
    assert meter.asked_during(lambda: cupy.zeros(65)) == 520
    assert meter.driver() == 1024 + 8192  # the driver does not get back what the pool keeps

    def release() -> None:
        nonlocal before
        before = None

    assert meter.peak_during(release)[0] == 1024  # what was there before it is nobody's gain


def test_what_a_pool_of_somebodys_own_keeps_counts_too(cupy: Any) -> None:
    meter, hooks = gpu_memory.Meter(cupy), cupy.POOL.hooks

    def prepare() -> None:
        for hook in hooks:  # as a private pool tells it
            hook.malloc_postprocess(device_id=0, size=5000, mem_size=5120, mem_ptr=77, pmem_id=1)

    assert meter.peak_during(prepare)[0] == 5120
    assert meter.peak_during(lambda: None)[0] == 5120


def test_a_failed_allocation_is_not_counted(cupy: Any) -> None:
    meter = gpu_memory.Meter(cupy)

    def fail() -> None:
        for hook in cupy.POOL.hooks:
            hook.malloc_postprocess(device_id=0, size=5000, mem_size=5120, mem_ptr=0, pmem_id=0)

    assert meter.peak_during(fail)[0] == 0


def torch_double(reserved: int, held: list[int], peaks: list[int]) -> Any:
    return SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, reset_peak_memory_stats=lambda: None,
        memory_allocated=lambda: held[0], max_memory_allocated=lambda: peaks[0], memory_reserved=lambda: reserved,
        get_device_properties=lambda number: SimpleNamespace(total_memory=1000),
    )  # fmt: skip


def test_other_libraries_say_what_they_hold_themselves(cupy: Any) -> None:
    held, peaks, of_jax = [100], [100], {"bytes_in_use": 40, "peak_bytes_in_use": 40}
    device = SimpleNamespace(memory_stats=lambda: of_jax)
    jax = SimpleNamespace(default_backend=lambda: "gpu", local_devices=lambda: [device])
    modules = {"torch": SimpleNamespace(cuda=torch_double(0, held, peaks)), "jax": jax}
    meter = gpu_memory.Meter(cupy, modules)

    def work() -> None:
        peaks[0], of_jax["peak_bytes_in_use"] = 700, 90

    assert meter.peak_during(work)[0] == 600 + 50
    modules["jax"] = SimpleNamespace(default_backend=lambda: "cpu")
    assert gpu_memory.Meter(cupy, modules).peak_during(lambda: None)[0] == 600


def test_a_limit_holds_for_pools_and_for_pytorch(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fractions: list[float] = []
    cuda = torch_double(200, [0], [0])
    cuda.set_per_process_memory_fraction = fractions.append
    held = cupy.zeros(512)
    monkeypatch.setenv(gpu_memory.LIMIT_VARIABLE, "")
    assert gpu_memory.limit(cupy, 300, {"torch": SimpleNamespace(cuda=cuda)}) == "pool limit + PyTorch's fraction"
    assert cupy.POOL.get_limit() == held.nbytes + 300
    assert fractions == [0.5]
    assert gpu_memory.os.environ[gpu_memory.LIMIT_VARIABLE] == "300"
    assert gpu_memory.limit(cupy, None) is None


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (pool_double.OutOfMemoryError("Out of memory allocating 1,024 bytes"), "memory_limit"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"), "memory_limit"),
        (ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), "memory_limit"),
        (RuntimeError("cudaErrorMemoryAllocation: out of memory"), "memory_limit"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), "memory_limit"),
        (RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered"), "crash"),
    ],
)
def test_a_device_without_memory_is_an_outcome_with_its_mechanism(fault: Exception, outcome: str) -> None:
    found, reason = worker.verdict(fault)
    assert found == outcome
    assert found in limits.OUTCOMES
    assert reason.startswith("gpu_oom: ") == (outcome == "memory_limit")
    assert str(fault)[:20] in reason


def test_memory_of_the_host_is_not_taken_for_that_of_the_device() -> None:
    assert worker.verdict(MemoryError("host"))[1] == "host"


# ---------------------------------------------------------------------------- the driver


def said(**known: str) -> str:
    row = {name: "[N/A]" for name in gpu_query.FIELDS} | known
    return ", ".join(row[name] for name in gpu_query.FIELDS) + "\n"


def test_fields_are_read_each_on_its_own_terms() -> None:
    text = said(
        uuid="GPU-1", name="NVIDIA H200", driver="580.65.06", memory_bytes="143771", ecc="Enabled", mig="Disabled",
        power_limit_w="700.00", sm_mhz="345", temperature_c="33", slowed="0x0000000000000044",
        busy_percent="[Unknown Error]", memory_mhz="Requested functionality has been deprecated",
    )  # fmt: skip
    (found,) = gpu_query.query(ask=lambda fields: text)
    assert found["memory_bytes"] == 143771 * 2**20
    assert (found["ecc"], found["mig"], found["persistence"]) == (True, False, None)
    assert (found["sm_mhz"], found["power_limit_w"], found["temperature_c"]) == (345.0, 700.0, 33.0)
    assert found["slowed"] == ["the power cap", "its temperature"]
    assert found["busy_percent"] is None
    assert found["memory_mhz"] is None


def test_one_field_that_a_driver_does_not_know_costs_only_itself() -> None:
    def ask(fields: Sequence[str]) -> str | None:
        if "clocks_throttle_reasons.active" in fields:
            return None
        return "".join(", ".join(f"{field} of {k}" for field in fields) + "\n" for k in range(2))

    found = gpu_query.query(["name", "slowed", "uuid"], ask)
    assert found == [{"name": f"name of {k}", "slowed": None, "uuid": f"uuid of {k}"} for k in range(2)]
    assert gpu_query.query(ask=lambda fields: None) == []
    assert gpu_query.nvidia_smi(["name"], command="/nowhere/nvidia-smi") is None


def test_a_card_is_matched_by_what_only_it_has() -> None:
    cards = [
        {"uuid": "GPU-1", "pci": "00000000:1B:00.0", "name": "A"},
        {"uuid": "GPU-2", "pci": "00000000:5E:00.0", "name": "A"},
    ]
    assert gpu_query.match(cards, "GPU-2", None, "A") is cards[1]
    assert gpu_query.match(cards, "MIG-3", "0000:1b:00.0", "A") is cards[0]
    assert gpu_query.match(cards, "GPU-9", "0000:99:00.0", "A") is None
    assert gpu_query.match(cards[:1], "GPU-9", None, "B") is None
    state = gpu_query.state("GPU-1", lambda fields: "GPU-1, 0:1, A, 1980, 3201, 40, 500.5, 0x0\n")
    assert state == {"sm_mhz": 1980.0, "memory_mhz": 3201.0, "temperature_c": 40.0, "power_w": 500.5, "slowed": []}
    assert gpu_query.state("GPU-1", lambda fields: None) == {}


def test_facts_join_what_cuda_and_the_driver_say(cupy: Any) -> None:
    uuid = gpu_facts.uuid_text(b"0123456789abcdef")
    card = {**dict.fromkeys(gpu_query.FIELDS), "uuid": uuid, "driver": "580.1", "ecc": False, "sm_mhz": 345.0}
    found = gpu_facts.facts(lambda: [card])
    assert found["uuid"] == uuid
    assert (found["name"], found["processors"], found["l2_bytes"], found["capability"]) == ("Stand-in", 4, 2**22, "9.0")
    assert (found["driver"], found["sm_mhz"], found["cuda_runtime"]) == ("580.1", 345.0, "13.0")
    assert found["ecc"] is True  # the runtime knows better than a tool that may be of another card
    assert found["sm_mhz_most"] == 1000.0
    assert found["temperature_c"] is None
    alone = gpu_facts.facts(list)
    assert alone["driver"] is None
    assert alone["memory_bytes"] == 2**30


def test_clocks_that_cuda_does_not_tell_any_longer_are_asked_for_as_attributes(cupy: Any) -> None:
    cupy.cuda.runtime.getDeviceProperties = lambda device: {"name": b"New", "uuid": b"cut", "clockRate": 0}
    cupy.cuda.runtime.deviceGetAttribute = lambda which, device: {13: 1_980_000}[which]
    found = gpu_facts.facts(list)
    assert found["sm_mhz_most"] == 1980.0
    assert found["memory_mhz_most"] is None  # this one it does not say in any way
    assert found["uuid"] is None


def test_without_cupy_or_a_device_there_is_one_clear_sentence(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_facts.missing() is None

    def none() -> int:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", none)
    with pytest.raises(errors.UnavailableError, match=r"device 'gpu' needs a CUDA device.*cudaErrorNoDevice"):
        gpu_facts.facts(list)
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(errors.UnavailableError, match=r"the package cupy, which is not installed; pip install"):
        gpu_side.DeviceSide()
    assert "not installed" in (gpu_facts.missing() or "")


def test_a_device_that_does_not_compute_is_not_to_be_had(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorDevicesUnavailable: busy or unavailable")

    monkeypatch.setattr(cupy, "arange", broken)
    with pytest.raises(errors.UnavailableError, match=r"cannot compute on it.*cudaErrorDevicesUnavailable"):
        gpu_facts.facts(list)
    monkeypatch.setattr(cupy, "arange", lambda n: cupy.zeros(n))
    with pytest.raises(errors.UnavailableError, match="came out as 5"):
        gpu_facts.facts(list)
