from __future__ import annotations

import stat
from pathlib import Path

import machines
import pytest

from difflab.harness import hardware


def test_a_server_is_described_from_its_files(tmp_path: Path) -> None:
    root = machines.server(tmp_path)
    found = hardware.processor(root)
    assert found["model"] == "Great Processor 9000"
    assert (found["sockets"], found["cores"], found["logical"], found["threads_per_core"]) == (2, 8, 16, 2)
    assert found["smt"] is True
    assert {"avx2", "fma", "avx512f"} <= set(found["flags"])
    assert "fpu" not in found["flags"]
    assert hardware.caches(root) == [
        {"level": 1, "type": "Data", "bytes": 48 * 1024, "shared_by": "0,8"},
        {"level": 3, "type": "Unified", "bytes": 32 * 2**20, "shared_by": None},
    ]
    assert hardware.frequency(root) == {
        "governor": "powersave",
        "driver": "intel_pstate",
        "lowest_khz": None,
        "highest_khz": 3_900_000,
        "turbo": False,
    }
    assert hardware.memory(root) == {"memory_bytes": 64 * 2**30, "swap_bytes": 2 * 2**30}
    assert hardware.limits(root) == {"memory_limit_bytes": 2**34, "processor_limit": 1.5}
    assert hardware.inside(root) == {"container": None, "virtual_machine": None}
    assert hardware.load(root) == {"load": [0.5, 1.25, 2.0], "pressure_cpu": {"avg10": 1.5, "avg60": 2.25}}
    assert hardware.clock_source(root) == "tsc"


def test_an_arm_machine_has_no_flags_and_its_part_for_a_name(tmp_path: Path) -> None:
    root = machines.arm(tmp_path)
    found = hardware.processor(root)
    assert found["model"] == "ARM implementer 0x41, part 0xd0c"
    assert found["flags"] is None
    assert found["logical"] == 4
    assert (found["sockets"], found["cores"], found["threads_per_core"]) == (None, None, None)
    assert hardware.limits(root) == {"memory_limit_bytes": None, "processor_limit": None}
    assert hardware.inside(root)["container"] == "docker"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/memory.max": "4096\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, (4096, 0.5)),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/memory.max": "4096\n"}, (4096, None)),
        (
            {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1\n", "sys/fs/cgroup/memory.max": "9"},
            (1, None),
        ),
        (
            {
                "proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/y\n0::/\n",
                "sys/fs/cgroup/memory/y/memory.limit_in_bytes": "2048\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
            },
            (2048, 2.5),
        ),
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/cpu.max": "100000 100000",
            },
            (None, 1.0),
        ),
        ({"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, (None, None)),
    ],
)
def test_limits_of_both_versions_of_control_groups(
    tmp_path: Path, files: dict[str, str], expected: tuple[int | None, float | None]
) -> None:
    found = hardware.limits(machines.build(tmp_path, files))
    assert (found["memory_limit_bytes"], found["processor_limit"]) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".dockerenv": ""}, ("docker", None)),
        ({"run/.containerenv": ""}, ("podman", None)),
        ({"proc/1/cgroup": "0::/kubepods.slice/x\n"}, ("kubepods", None)),
        ({"run/systemd/container": "systemd-nspawn\n"}, ("systemd-nspawn", None)),
        ({"sys/class/dmi/id/product_name": "VirtualBox\n"}, (None, "VirtualBox")),
        ({"sys/hypervisor/type": "xen\n"}, (None, "xen")),
        ({"proc/cpuinfo": "processor: 0\nflags: hypervisor sse\n"}, (None, "unknown kind")),
        ({"proc/cpuinfo": "processor: 0\nflags: sse\n"}, (None, None)),
    ],
)
def test_containers_and_virtual_machines_show_themselves(
    tmp_path: Path, files: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    found = hardware.inside(machines.build(tmp_path, files))
    assert (found["container"], found["virtual_machine"]) == expected


def test_flags_are_those_that_every_processor_has(tmp_path: Path) -> None:
    text = "processor: 0\nflags: avx avx2 avx512f\n\nprocessor: 1\nflags: avx avx2\n\nHardware: a board\n"
    assert hardware.flags(hardware.blocks(machines.build(tmp_path, {"proc/cpuinfo": text}))) == {"avx", "avx2"}


def tool(folder: Path, script: str) -> str:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_graphics_processors_are_asked_for_with_a_limit_of_time(tmp_path: Path) -> None:
    said = "printf 'Card A, 580.1, 143771\\nCard B, 580.1, [N/A]\\n'"
    assert hardware.gpus(tool(tmp_path, said)) == [
        {"name": "Card A", "driver": "580.1", "memory_bytes": 143771 * 2**20},
        {"name": "Card B", "driver": "580.1", "memory_bytes": None},
    ]
    assert hardware.gpus(tool(tmp_path, "exit 9")) is None
    assert hardware.gpus(tool(tmp_path, "echo 'No devices were found'")) is None
    assert hardware.gpus(tool(tmp_path, "exec sleep 60"), seconds=0.1) is None
    assert hardware.gpus(str(tmp_path / "no such tool")) is None
