"""What the machine is made of, read from the system's own files: standard library only, and fast.

Every reader takes the root of the file system as an argument, and says ``None`` or leaves a key out where a system does
not tell: another processor family, another operating system, or a container without ``/sys``.
"""

from __future__ import annotations

import csv
import platform
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path("/")
FLAGS = (
    "sse3", "pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "avx", "f16c", "fma", "avx2", "bmi1", "bmi2", "abm", "movbe",
    "avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "fphp", "asimdhp", "sve", "sve2", "bf16", "sme",
)  # fmt: skip
GPU_SECONDS = 3.0
GPU_FIELDS = ("name", "driver_version", "memory.total")
UNLIMITED = 2**60  # version 1 of control groups writes a number near 2**63 for no limit
VIRTUAL = re.compile(r"KVM|QEMU|VMware|VirtualBox|Xen|Bochs|Virtual Machine|Amazon EC2|Google Compute|Parallels", re.I)
CONTAINERS = re.compile(r"docker|kubepods|containerd|libpod|lxc")


def read(path: Path) -> str | None:
    """The text of a small file of the system without white space around it, or ``None``."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The whole number in a file, or ``None``."""
    text = read(path)
    return int(text) if text is not None and text.isdecimal() else None


def listed(folder: Path, pattern: str) -> list[Path]:
    """The entries of a folder that match, sorted; none where the folder is missing or closed."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


# ------------------------------------------------------------------------------------------------ processor


def blocks(root: Path = ROOT) -> list[dict[str, str]]:
    """``/proc/cpuinfo``, one dict for each processor."""
    found: list[dict[str, str]] = []
    for block in (read(root / "proc/cpuinfo") or "").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
        if fields := {name.strip(): value.strip() for name, _, value in pairs}:
            found.append(fields)
    return found


def flags(processors: list[dict[str, str]]) -> frozenset[str] | None:
    """The instruction sets that *every* processor has, or ``None`` where the system does not say."""
    texts = {fields.get("flags") or fields.get("Features") for fields in processors if "processor" in fields}
    if not texts or None in texts:
        return None
    return frozenset.intersection(*(frozenset((text or "").split()) for text in texts))


def cpu_model(processors: list[dict[str, str]]) -> str:
    """The processor's name as the system gives it."""
    for key in ("model name", "Model", "Hardware", "cpu model", "cpu"):
        for fields in processors:
            if fields.get(key):
                return fields[key]
    for fields in processors:
        if "CPU part" in fields:  # ARM gives numbers of the designer and of the design
            return f"ARM implementer {fields.get('CPU implementer', '?')}, part {fields['CPU part']}"
    return platform.processor() or platform.machine() or "unknown"


def processor(root: Path = ROOT) -> dict[str, Any]:
    """Name, vendor, sockets, cores, logical processors, threads per core, and the instruction sets that matter."""
    found = blocks(root)
    numbered = [fields for fields in found if "processor" in fields]
    known = flags(found)
    pairs = ((fields.get("physical id"), fields.get("core id")) for fields in numbered)
    places = Counter(pair for pair in pairs if None not in pair)
    return {
        "model": cpu_model(found),
        "vendor": next((fields["vendor_id"] for fields in found if "vendor_id" in fields), None),
        "sockets": len({socket for socket, _ in places}) or None,
        "cores": len(places) or None,
        "logical": len(numbered) or None,
        "threads_per_core": max(places.values(), default=None),
        "smt": {"1": True, "0": False}.get(read(root / "sys/devices/system/cpu/smt/active") or ""),
        "flags": None if known is None else [flag for flag in FLAGS if flag in known],
    }


def caches(root: Path = ROOT) -> list[dict[str, Any]]:
    """The caches of the first processor: ``level``, ``type``, ``bytes`` and the processors that share it."""
    found = []
    for index in listed(root / "sys/devices/system/cpu/cpu0/cache", "index*"):
        level, size = number(index / "level"), read(index / "size") or ""
        if level is not None and (match := re.fullmatch(r"(\d+)([KMG]?)", size)):
            nbytes = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]
            shared = read(index / "shared_cpu_list")
            found.append({"level": level, "type": read(index / "type"), "bytes": nbytes, "shared_by": shared})
    return found


def frequency(root: Path = ROOT) -> dict[str, Any]:
    """Governor, driver and range of the clock in kHz, and whether turbo is on; ``None`` where the system hides it."""
    cpu = root / "sys/devices/system/cpu"
    policies = listed(cpu / "cpufreq", "policy*") or [cpu / "cpu0/cpufreq"]
    governors = sorted({text for policy in policies if (text := read(policy / "scaling_governor"))})
    turbo: bool | None = None
    if (no_turbo := number(cpu / "intel_pstate/no_turbo")) is not None:
        turbo = no_turbo == 0
    elif (boost := number(cpu / "cpufreq/boost")) is not None:
        turbo = boost == 1
    return {
        "governor": ", ".join(governors) or None,
        "driver": read(policies[0] / "scaling_driver"),
        "lowest_khz": number(policies[0] / "cpuinfo_min_freq"),
        "highest_khz": number(policies[0] / "cpuinfo_max_freq"),
        "turbo": turbo,
    }


def clock_source(root: Path = ROOT) -> str | None:
    """What the kernel reads the time from, such as ``tsc``."""
    return read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")


# ------------------------------------------------------------------------------------------------ memory and limits


def memory(root: Path = ROOT) -> dict[str, int | None]:
    """Physical memory and swap in bytes, ``None`` where unknown."""
    found: dict[str, int] = {}
    for line in (read(root / "proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0]) * 1024
    return {"memory_bytes": found.get("MemTotal"), "swap_bytes": found.get("SwapTotal")}


def groups(root: Path = ROOT) -> dict[str, Path]:
    """The control groups this process is in, by controller; version 2 is the controller ``""``."""
    found = {}
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = Path(path.lstrip("/"))
    return found


def _up(base: Path, group: Path) -> list[Path]:
    """A group's folder and all above it; a container sees its own group as the top, whatever its path says."""
    return [base / part for part in (group, *group.parents)]


def limits(root: Path = ROOT) -> dict[str, Any]:
    """What the control groups allow: memory in bytes, and processors as a number such as 1.5; ``None`` for no limit."""
    base, own = root / "sys/fs/cgroup", groups(root)
    memories: list[int] = []
    shares: list[float] = []
    unified = own.get("", Path())
    for folder in _up(base, unified):
        memories += [limit for limit in [number(folder / "memory.max")] if limit is not None]
        quota, _, period = (read(folder / "cpu.max") or "").partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period):
            shares.append(int(quota) / int(period))
    for folder in _up(base / "memory", own.get("memory", Path())):
        memories += [limit for limit in [number(folder / "memory.limit_in_bytes")] if limit is not None]
    for name in ("cpu", "cpu,cpuacct"):
        for folder in _up(base / name, own.get("cpu", Path())):
            # minus one, which is no decimal number, stands for no limit
            quota_us, period_us = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
            if quota_us and period_us:
                shares.append(quota_us / period_us)
    kept = [limit for limit in memories if limit < UNLIMITED]
    return {"memory_limit_bytes": min(kept, default=None), "processor_limit": min(shares, default=None)}


def inside(root: Path = ROOT) -> dict[str, str | None]:
    """Whether this is a container or a virtual machine, and of what kind as far as there are signs of it."""
    container: str | None = None
    if (root / ".dockerenv").exists():
        container = "docker"
    elif (root / "run/.containerenv").exists():
        container = "podman"
    elif match := CONTAINERS.search(read(root / "proc/1/cgroup") or ""):
        container = match[0]
    elif kind := read(root / "run/systemd/container"):
        container = kind
    names = [read(root / "sys/class/dmi/id" / name) or "" for name in ("sys_vendor", "product_name")]
    virtual = read(root / "sys/hypervisor/type") or None
    if virtual is None and (match := VIRTUAL.search(" ".join(names))):
        virtual = match[0]
    if virtual is None and "hypervisor" in (flags(blocks(root)) or ()):
        virtual = "unknown kind"
    return {"container": container, "virtual_machine": virtual}


# ------------------------------------------------------------------------------------------------ what goes on


def load(root: Path = ROOT) -> dict[str, Any]:
    """How busy the machine is now: load averages, and the share of time in which something waited for a processor."""
    averages = (read(root / "proc/loadavg") or "").split()[:3]
    found: dict[str, Any] = {"load": [float(one) for one in averages] or None, "pressure_cpu": None}
    if match := re.search(r"^some avg10=([\d.]+) avg60=([\d.]+)", read(root / "proc/pressure/cpu") or "", re.MULTILINE):
        found["pressure_cpu"] = {"avg10": float(match[1]), "avg60": float(match[2])}
    return found


def gpus(command: str = "nvidia-smi", seconds: float = GPU_SECONDS) -> list[dict[str, Any]] | None:
    """Name, driver and memory in bytes of the graphics processors, or ``None`` where no tool tells of any."""
    arguments = [command, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = []
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        if len(row) == len(GPU_FIELDS):
            mebibytes = row[2].strip()
            nbytes = int(mebibytes) * 2**20 if mebibytes.isdecimal() else None
            found.append({"name": row[0], "driver": row[1], "memory_bytes": nbytes})
    return found or None
