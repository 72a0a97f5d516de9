"""A study: one TOML file per question; what it says once it has been read and checked, and where studies are found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import StudyError
from .catalogue import suggestion

OPERATORS = ("gradient", "jacobian", "jvp", "vjp", "hvp", "hessian")
ANSWERS = ("compare", "steps", "traps")  # all but the first examine each case once and time nothing
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9}
# Largest and smallest step; below the last, a step from 1 is lost in rounding.
RANGES = {"float64": (1e-1, 1e-16), "float32": (1e-1, 1e-8), "float16": (1e-1, 1e-4)}


@dataclass(frozen=True)
class ProblemChoice:
    """A problem at some sizes and dtypes; ``quick`` are the sizes of a quick run."""

    name: str
    sizes: tuple[str, ...]
    dtypes: tuple[str, ...]
    quick: tuple[str, ...]


@dataclass(frozen=True)
class BackendChoice:
    """A backend with options; ``label`` is what tables and charts call it."""

    name: str
    label: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one case may take: ``seconds`` of computing per process, ``memory`` bytes above an idle worker."""

    seconds: float = 20.0
    memory: int = 2 * 2**30
    reference_seconds: float = 30.0


@dataclass(frozen=True)
class Timing:
    """How much is sampled; ``budget_s`` is the wall time after which no further process is started for more samples."""

    processes: int = 6
    samples: int = 9
    sample_ms: float = 1.0
    rounds: int = 3
    budget_s: float = 90.0
    threads: int = 1


@dataclass(frozen=True)
class Steps:
    """The steps that a V-curve tries: ``per_decade`` in each decade of the range of a dtype, largest first.

    >>> Steps(per_decade=1).grid("float32")
    [0.1, 0.01, 0.001, 0.0001, 1e-05, 1e-06, 1e-07, 1e-08]
    """

    ranges: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(RANGES))
    per_decade: int = 2

    def grid(self, dtype: str, quick: bool = False) -> list[float]:
        """The steps for a dtype from the largest to the smallest; a quick run tries one in each decade."""
        largest, smallest = self.ranges[dtype]
        per_decade = 1 if quick else self.per_decade
        count = math.floor(per_decade * math.log10(largest / smallest) + 1e-9)
        return [float(f"{largest * 10 ** (-k / per_decade):.6g}") for k in range(count + 1)]


@dataclass(frozen=True)
class Study:
    """A checked study; ``text`` is the file as it was read."""

    name: str
    title: str
    question: str
    look_for: str
    answer: str
    operator: str
    baseline: str
    problems: tuple[ProblemChoice, ...]
    backends: tuple[BackendChoice, ...]
    limits: Limits
    timing: Timing
    text: str
    steps: Steps = field(default_factory=Steps)

    @property
    def timed(self) -> bool:
        """Whether cases are timed in epochs; the other kinds examine each case once."""
        return self.answer == "compare"


def shipped() -> dict[str, Path]:
    """The studies that come with difflab, by name: from the source tree or from an installed wheel."""
    package = Path(str(resources.files("difflab")))
    found: dict[str, Path] = {}
    for folder in (package / "studies", package.parent / "studies"):
        if folder.is_dir():
            for path in sorted(folder.glob("*.toml")):
                found.setdefault(path.stem, path)
    return found


def locate(study: str | Path) -> Path:
    """The file of a study given by name or path.

    Raises:
        StudyError: there is no such file and no shipped study of that name.
    """
    text = str(study)
    if text.endswith(".toml"):
        if Path(text).is_file():
            return Path(text)
        raise StudyError(f"{text}: there is no such study file (shipped studies: {', '.join(shipped())})")
    known = shipped()
    if text in known:
        return known[text]
    raise StudyError(f"there is no study {text!r} {suggestion(text, list(known))}; a path must end in .toml")


def label_of(name: str, options: dict[str, Any]) -> str:
    """``finite(scheme=forward)``: a backend and the options that were given.

    >>> label_of("finite", {"scheme": "forward"}), label_of("reverse", {})
    ('finite(scheme=forward)', 'reverse')
    """
    if not options:
        return name
    return f"{name}({', '.join(f'{key}={value}' for key, value in options.items())})"
