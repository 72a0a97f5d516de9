"""Made-up machines: trees of files as ``/proc`` and ``/sys`` have them."""

from __future__ import annotations

from pathlib import Path

AVX2 = "fpu sse4_1 sse4_2 ssse3 popcnt avx avx2 fma f16c bmi1 bmi2 abm movbe"
AVX512 = f"{AVX2} avx512f avx512cd avx512dq avx512bw avx512vl"
CPU = "sys/devices/system/cpu"


def build(root: Path, files: dict[str, str]) -> Path:
    """Write the files below a new folder and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def cpuinfo(flags: str, sockets: int = 1, cores: int = 2, threads: int = 1, model: str = "Some Processor") -> str:
    """``/proc/cpuinfo`` of an x86 machine: processors in the order in which Linux numbers them."""
    places = [(socket, core) for _ in range(threads) for socket in range(sockets) for core in range(cores)]
    return "\n".join(
        f"processor\t: {number}\nvendor_id\t: SomeVendor\nmodel\t\t: 17\nmodel name\t: {model}\n"
        f"cpu MHz\t\t: 24{number}0.125\nphysical id\t: {socket}\ncore id\t\t: {core}\nflags\t\t: {flags}\n"
        for number, (socket, core) in enumerate(places)
    )


def server(root: Path, flags: str = AVX512) -> Path:
    """Two sockets of four cores with two threads each, control groups of version 2, everything readable."""
    cache = f"{CPU}/cpu0/cache"
    return build(
        root,
        {
            "proc/cpuinfo": cpuinfo(flags, 2, 4, 2, "Great Processor 9000"),
            "proc/meminfo": "MemTotal: 67108864 kB\nMemFree: 12 kB\nSwapTotal: 2097152 kB\nHugePages_Total: 0\n",
            "proc/loadavg": "0.50 1.25 2.00 1/200 4242\n",
            "proc/pressure/cpu": "some avg10=1.50 avg60=2.25 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 total=0\n",
            "proc/self/cgroup": "0::/user.slice/run.scope\n",
            "proc/1/cgroup": "0::/init.scope\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{2**34}\n",
            "sys/fs/cgroup/user.slice/run.scope/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/run.scope/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
            f"{CPU}/smt/active": "1\n",
            f"{CPU}/cpufreq/policy0/scaling_governor": "powersave\n",
            f"{CPU}/cpufreq/policy0/scaling_driver": "intel_pstate\n",
            f"{CPU}/cpufreq/policy0/cpuinfo_max_freq": "3900000\n",
            f"{CPU}/cpufreq/policy1/scaling_governor": "powersave\n",
            f"{CPU}/intel_pstate/no_turbo": "1\n",
            f"{cache}/index0/level": "1\n",
            f"{cache}/index0/type": "Data\n",
            f"{cache}/index0/size": "48K\n",
            f"{cache}/index0/shared_cpu_list": "0,8\n",
            f"{cache}/index1/level": "2\n",
            f"{cache}/index1/size": "not a size\n",
            f"{cache}/index2/level": "3\n",
            f"{cache}/index2/type": "Unified\n",
            f"{cache}/index2/size": "32M\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
            "sys/class/dmi/id/sys_vendor": "Some Maker\n",
        },
    )


def arm(root: Path) -> Path:
    """An ARM machine in a container: no names, no flags, no ``/sys``, limits of version 1 that say "no limit"."""
    block = "processor\t: {}\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
    return build(
        root,
        {
            "proc/cpuinfo": "\n".join(block.format(number) for number in range(4)),
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
            "proc/1/cgroup": "5:memory:/docker/abc\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
