"""The harness on a GPU, with the stand-in for CuPy: clocks, copies of inputs, a case from opening to columns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pool_double
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab import errors
from difflab.harness import gpu_side, gpu_timing, timing, worker
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
    assert side.notes({}) == {"input_copies": 9, "input_cache": "cold"}
    places = [leaf.data.ptr for leaf in backend.leaves]
    assert len(set(places)) == 9
    assert places[:9] == places[9:]
    assert all(np.array_equal(leaf.get(), np.arange(2.0**17)) for leaf in backend.leaves)
    backend.leaves.clear()
    side.call(operation, backend, backend, warm=True)()
    assert backend.leaves[0] is there.example[0]
    assert side.notes({}) == {"input_copies": 1, "input_cache": "warm"}


def test_copies_of_inputs_do_not_count_against_the_limit_of_a_case(cupy: Any) -> None:
    side, backend = gpu_side.DeviceSide(), Seen()
    there = source(lambda x: np.sum(x * x), side.place((np.arange(2.0**17),)))
    assert side.limit(2**20) == "pool limit"
    call = side.call(Operation("gradient", there), backend, backend, warm=False)  # eight copies of 1 MiB
    call()  # its result is all that the case may take
    kept = [cupy.zeros(2**16)]
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
    assert side.notes({}) == {"primal_by": "program"}
    plain = side.primal(lambda x: np.sum(x * x), there.example, there)
    assert float(plain()) == 3.0
    assert side.notes({}) == {"primal_by": "CuPy"}


def test_a_loss_that_needs_too_much_memory_is_not_tried_in_another_way(cupy: Any) -> None:
    side = gpu_side.DeviceSide()
    cupy.POOL.set_limit(2**12)
    with pytest.raises(pool_double.OutOfMemoryError):
        side.primal(lambda: cupy.zeros(2**12), (), None)


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


@pytest.mark.parametrize(("wanted", "found"), [(True, False), (False, True)])
def test_a_backend_that_rounds_otherwise_than_the_case_says_is_refused(cupy: Any, wanted: bool, found: bool) -> None:
    side = gpu_side.DeviceSide()
    with pytest.raises(errors.UnsupportedError, match=r"'double' computes with(out)? TF32, which was"):
        side.accept({"tf32": found}, {"backend": "double", "tf32": wanted})
    side.accept({"tf32": wanted}, {"backend": "double", "tf32": wanted})
    side.accept({}, {"backend": "double", "tf32": wanted})


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
