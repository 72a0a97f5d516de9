"""The harness on a GPU, with the stand-in for CuPy: clocks, copies of inputs, memory, what the driver says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pool_double
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab import errors
from difflab.harness import gpu_facts, gpu_memory, gpu_query, gpu_side, gpu_timing, limits, timing, worker
from difflab.harness.gpu_columns import gpu_columns
from difflab.harness.host_side import HostSide
from difflab.harness.operation import Operation
from difflab.harness.results import GPU_COLUMNS
from difflab.harness.session import Session
from difflab.operators import source


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return pool_double.install(monkeypatch)


class Silent:
    """A channel that keeps what is said."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.phases: list[str] = []

    def say(self, kind: str, **data: Any) -> None:
        self.said |= data["data"]

    def phase(self, name: str) -> None:
        self.phases.append(name)


# ---------------------------------------------------------------------------- clocks


def test_a_sample_reads_three_clocks_of_the_same_calls(cupy: Any) -> None:
    calls: list[int] = []
    found = gpu_timing.DeviceClock(cupy).sample(lambda: calls.append(1), 50)
    assert len(calls) == 50
    assert found.event is not None
    assert 0 < found.enqueue <= found.wall
    assert 0 < found.event <= found.wall


def test_the_wall_waits_for_the_device_and_events_that_do_not_see_the_work_count_for_nothing(cupy: Any) -> None:
    pending: list[float] = []

    def rest() -> None:
        time.sleep(sum(pending))
        pending.clear()

    cupy.cuda.runtime.deviceSynchronize = rest
    clock = gpu_timing.DeviceClock(cupy)
    found = clock.sample(lambda: pending.append(0.01), 3)  # work in a stream that waits for no other
    assert found.wall > 0.009
    assert found.enqueue < found.wall / 2
    assert found.event is None
    seconds, result = clock.timed(lambda: pending.append(0.02) or "done")
    assert seconds > 0.019
    assert result == "done"


def test_calls_are_doubled_until_a_sample_is_long_enough_by_the_wall(cupy: Any) -> None:
    clock = gpu_timing.DeviceClock(cupy)
    loops, seconds = clock.calibrate(lambda: time.sleep(2e-4), 1e-3, 0.0)
    assert loops * seconds >= 1e-3
    assert loops > 1
    assert clock.calibrate(lambda: time.sleep(1e-3), 1e-9)[0] == 1  # a thousand steps of an event are 0.5 ms


def test_the_host_waits_for_the_device_while_it_warms_up(cupy: Any) -> None:
    rests: list[int] = []
    cupy.cuda.runtime.deviceSynchronize = lambda: rests.append(1)
    assert gpu_timing.DeviceClock(cupy).warm_up(lambda: None, 7, 0.0) == 7
    assert len(rests) == 7


@given(nbytes=st.integers(1, 2**34), l2_bytes=st.integers(1, 2**28), free=st.integers(0, 2**37), warm=st.booleans())
def test_copies_exceed_twice_the_cache_where_memory_allows(nbytes: int, l2_bytes: int, free: int, warm: bool) -> None:
    found = gpu_timing.rotation(nbytes, l2_bytes, free, warm)
    assert 1 <= found.copies <= gpu_timing.MOST_COPIES
    assert (found.copies - 1) * nbytes <= gpu_timing.MEMORY_SHARE * free
    assert found.cold == (not warm and found.copies * nbytes > 2 * l2_bytes)
    roomy = gpu_timing.MEMORY_SHARE * free > 2 * l2_bytes + nbytes
    if not warm and roomy and gpu_timing.MOST_COPIES * nbytes > 2 * l2_bytes:
        assert found.cold
    if warm:
        assert found.copies == 1


def test_without_a_known_cache_inputs_stay_where_they_are() -> None:
    assert gpu_timing.rotation(2**20, None, 2**30) == gpu_timing.Rotation(1, 2**20, False)


# ---------------------------------------------------------------------------- the side of a case


class Seen:
    """A backend that notes the leaves of every call."""

    name = "seen"
    family = "reverse"
    capabilities = frozenset({"gradient", "value_and_gradient"})

    def __init__(self) -> None:
        self.leaves: list[Any] = []
        self.stats: dict[str, Any] = {}

    def prepare(self, *_: Any) -> Seen:
        return self

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        self.leaves.append(leaves[0])
        return 0.0, [2 * leaves[0]]


def test_calls_go_round_among_equal_copies_unless_the_cache_is_to_be_warm(cupy: Any) -> None:
    side, backend = gpu_side.DeviceSide(), Seen()
    there = source(lambda x: np.sum(x * x), side.place((np.arange(2.0**17),)))  # 1 MiB, and a cache of 4 MiB
    operation = Operation("gradient", there)
    call = side.call(operation, backend, backend, warm=False)
    for _ in range(18):
        call()
    assert side.notes() == {"input_copies": 9, "input_cache": "cold"}
    places = [leaf.data.ptr for leaf in backend.leaves]
    assert len(set(places)) == 9
    assert places[:9] == places[9:]
    assert all(np.array_equal(leaf.get(), np.arange(2.0**17)) for leaf in backend.leaves)
    backend.leaves.clear()
    side.call(operation, backend, backend, warm=True)()
    assert backend.leaves[0] is there.example[0]
    assert side.notes() == {"input_copies": 1, "input_cache": "warm"}


def test_copies_of_inputs_do_not_count_against_the_limit_of_a_case(cupy: Any) -> None:
    side, backend = gpu_side.DeviceSide(), Seen()
    there = source(lambda x: np.sum(x * x), side.place((np.arange(2.0**17),)))
    assert side.limit(2**20) == "pool limit"
    call = side.call(Operation("gradient", there), backend, backend, warm=False)  # eight copies of 1 MiB
    kept = [cupy.zeros(2**16)]  # half of what the case may take
    call()
    with pytest.raises(MemoryError):
        kept.append(cupy.zeros(2**17))


def test_containers_are_uploaded_with_their_numbers_left_alone(cupy: Any) -> None:
    given = ({"w": np.ones(3), "n": 4, "name": "x"}, [np.arange(2), 0.5])
    placed = gpu_side.DeviceSide().place(given)
    assert isinstance(placed[0]["w"], cupy.ndarray)
    assert isinstance(placed[1][0], cupy.ndarray)
    assert placed[0]["n"] == 4
    assert placed[1][1] == 0.5
    back = gpu_side.downloaded(placed)
    assert type(back[0]["w"]) is np.ndarray
    assert back[1][0].tolist() == [0, 1]


def test_a_backend_that_asks_is_told_of_device_and_tf32(cupy: Any) -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Asking:
        device: str = "cpu"
        tf32: bool = False
        other: int = 1

    side = gpu_side.DeviceSide()
    assert side.configured(Asking(), {"tf32": True, "options": {}}) == Asking("gpu", True)
    assert side.configured(Asking(tf32=False), {"tf32": True, "options": {"tf32": False}}) == Asking("gpu", False)
    backend = Seen()
    assert side.configured(backend, {"options": {}}) is backend
    assert HostSide().configured(backend, {"options": {}}) is backend


def test_a_loss_that_cupy_cannot_run_is_replayed_from_its_tape(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from difflab.execution import cache

    made: list[dict[str, Any]] = []

    class Program:
        def __init__(self, tape: Any, transform: Any, key: str, **how: Any) -> None:
            made.append({"tapes": transform(tape), "tape": tape, **how})

        def run(self, leaves: Sequence[Any]) -> list[Any]:
            return ["value", leaves]

    monkeypatch.setattr(cache, "Runner", Program)
    side, data = gpu_side.DeviceSide(), np.ones(3)
    there = source(lambda x: np.sum(x * x), side.place((np.ones(3),)))
    mixed = side.primal(lambda x: np.sum(x * data), there.example, there)  # CuPy takes no array of NumPy's
    assert mixed() == "value"
    assert made[0]["device"] == "gpu"
    assert made[0]["frozen"]
    assert made[0]["tapes"] == (there.tape,)
    assert side.notes() == {"primal_by": "program"}
    plain = side.primal(lambda x: np.sum(x * x), there.example, there)
    assert float(plain()) == 3.0
    assert side.notes() == {"primal_by": "CuPy"}


def test_a_loss_that_needs_too_much_memory_is_not_tried_in_another_way(cupy: Any) -> None:
    side = gpu_side.DeviceSide()
    cupy.POOL.set_limit(2**12)
    with pytest.raises(pool_double.OutOfMemoryError):
        side.primal(lambda: cupy.zeros(2**12), (), None)


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


# ---------------------------------------------------------------------------- a case, step by step

SPEC = {
    "problem": "harness_doubles:SQUARES", "size": "small", "dtype": "float32", "device": "gpu", "operator": "gradient",
    "backend": "harness_doubles:Double", "options": {}, "seed": 0, "tf32": False,
}  # fmt: skip


def test_a_case_runs_on_the_device_from_end_to_end(cupy: Any) -> None:
    session = Session(Silent())
    opened = session.open({"spec": SPEC, "memory": 2**20, "phases": True})
    assert opened["memory_enforced"] == "pool limit"
    forecast = session.forecast({"memory": 2**20, "seconds": 10, "speeds": {"of": "a processor"}})
    assert forecast["primal_s"] > 0
    session.prepare({"memory": True})
    measured = session.memory({})
    assert measured["peak_bytes"] == 3 * 512  # two temporaries and a gradient
    assert measured["driver_bytes"] == 3 * 512
    assert measured["phase_bytes"] == {}
    assert session.arrays({})["array_bytes"] == 3 * 120
    assert session.accuracy({"why": "nobody asked"})["outcome"] == "ok"
    assert session.first({})["first_call_s"] > 0
    before = cupy.STATE.copies["to host"], cupy.STATE.copies["to device"]
    plan = session.calibrate({"least": 1e-3, "samples": 3, "rounds": 1})
    found = session.slice(
        {"samples": 3, "rounds": 1, **{key: plan[key] for key in ("call_s", "loops", "primal_loops")}}
    )
    assert (cupy.STATE.copies["to host"], cupy.STATE.copies["to device"]) == before  # nothing while clocks run
    assert plan["input_copies"] == 256
    assert plan["input_cache"] == "warm"
    assert len(found["samples"]) == len(found["event"]) == len(found["enqueue"]) == len(found["primal"]) == 3


def test_a_case_over_its_memory_ends_with_the_mechanism(cupy: Any) -> None:
    session = Session(Silent())
    session.open({"spec": SPEC, "memory": 600})
    session.prepare({})
    with pytest.raises(pool_double.OutOfMemoryError) as caught:
        session.first({})
    assert worker.verdict(caught.value)[0] == "memory_limit"


def test_a_rough_product_is_judged_as_one(cupy: Any) -> None:
    outcomes = {}
    for tf32 in (False, True):
        session = Session(Silent())
        session.open({"spec": {**SPEC, "tf32": tf32}})
        session.prepare({})
        outcomes[tf32] = session.accuracy({"why": "nobody asked"})["tolerance"]
    assert outcomes == {False: 1e-5, True: 0.1}


# ---------------------------------------------------------------------------- columns


def test_columns_are_medians_of_processes_with_an_interval_of_six() -> None:
    epochs = {
        k: {"event": [1e-3 + k * 1e-5, 9.0, 1e-3 + k * 1e-5], "enqueue": [2e-4], "input_copies": 3} for k in range(6)
    }
    heat = {k: {"gpu": {"before": {"sm_mhz": 1000.0 + k, "temperature_c": 30.0, "slowed": []},
                        "after": {"sm_mhz": 1500.0, "temperature_c": 50.0 + k, "slowed": ["the power cap"]}}}
            for k in range(6)}  # fmt: skip
    found = gpu_columns(epochs, heat)
    assert found["event_s"] == pytest.approx(1.025e-3)
    assert (found["event_s_low"], found["event_s_high"]) == pytest.approx((1e-3, 1.05e-3))
    assert found["host_bound"] is False
    assert (found["sm_mhz_low"], found["sm_mhz_high"], found["temperature_c"]) == (1000.0, 1500.0, 55.0)
    assert found["slowed"] == "the power cap"
    assert set(found) <= set(GPU_COLUMNS)
    assert gpu_columns({0: {"samples": [1.0]}}, {0: {"moved": 0.0}}) == {}
    assert gpu_columns({0: {"event": [None], "enqueue": [1e-6]}}, {}) == {"enqueue_s": 1e-6, "host_bound": None}


def test_the_hosts_calibration_takes_another_clock() -> None:
    assert timing.calibrate(lambda: None, 1e-3, 0.0, lambda call, loops: 1e-4)[0] >= 10
