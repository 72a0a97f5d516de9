"""Where a study computes: ``device`` and ``tf32`` of a study file, for all problems or for one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import InputError, did_you_mean
from .study import ProblemChoice, Study
from .study_reader import Reader
from .toml_places import Path as Key

DEVICES = ("cpu", "gpu")
DEVICE_KEYS = ("device", "tf32")
ROUNDED = "float32"
"""The dtype whose products TF32 rounds."""


def read_device(
    read: Reader, path: Key, table: dict[str, Any], timed: bool, usual: tuple[str, bool] = ("cpu", False)
) -> tuple[str, bool]:
    """Device and TF32 at the top of a study file or in one ``[[problem]]``.

    Args:
        read: notes the faults.
        path: of the table.
        table: what it says.
        timed: whether the study's kind is one that measures on a GPU.
        usual: what the study says for all problems.

    Returns:
        "cpu" or "gpu", and whether TF32 is allowed.
    """
    device = read.choice(path, table, "device", DEVICES, usual[0])
    if device not in DEVICES:
        return "cpu", False
    if device == "gpu" and not timed and "device" in table:
        read.fault((*path, "device"), "a study that examines its cases runs on the CPU; leave device out")
        return "cpu", False
    tf32 = read.flag(path, table, "tf32", usual[1] and device == "gpu")
    if tf32 and device == "cpu" and "tf32" in table and path:
        read.fault((*path, "tf32"), 'only a GPU rounds to TF32, and this problem has device = "cpu"')
    elif tf32 and device == "cpu" and "tf32" in table and not _somewhere(read):
        read.fault((*path, "tf32"), 'only a GPU rounds to TF32; say device = "gpu", or leave tf32 out')
    dtypes = table.get("dtypes", ["float64"]) if path else [ROUNDED]
    if tf32 and device == "gpu" and "tf32" in table and isinstance(dtypes, list) and ROUNDED not in dtypes:
        read.fault((*path, "tf32"), "TF32 rounds products of float32, and this problem has no such dtype")
    return device, tf32


def _somewhere(read: Reader) -> bool:
    """Whether some problem asks for the GPU itself."""
    problems = read.document.get("problem")
    return any(isinstance(one, dict) and one.get("device") == "gpu" for one in problems or ())


def rounds(problem: ProblemChoice, dtype: str) -> bool:
    """Whether products of a problem in a dtype may be rounded to TF32."""
    return problem.device == "gpu" and problem.tf32 and dtype == ROUNDED


def on_device(study: Study, device: str | None) -> Study:
    """A study with all its problems on one device, as ``--device`` asks for.

    Args:
        study: as it was read.
        device: "cpu" or "gpu"; ``None`` leaves the study as it is.

    Returns:
        The study.

    Raises:
        InputError: there is no such device, or the study's kind measures on the CPU only.
    """
    if device is None:
        return study
    check_device(device)
    if device == "gpu" and not study.timed:
        raise InputError(f"the study {study.name!r} examines its cases, which is done on the CPU only")
    moved = (replace(one, device=device, tf32=one.tf32 and device == "gpu") for one in study.problems)
    return replace(study, problems=tuple(moved))


def check_device(device: str) -> str:
    """The name of a device, if it is one.

    Raises:
        InputError: with what it may be.

    >>> check_device("gpu")
    'gpu'
    """
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r} {did_you_mean(device, list(DEVICES))}")
    return device
