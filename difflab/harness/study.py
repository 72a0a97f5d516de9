"""A study: one TOML file per question; what it says once it has been read and checked, and where studies are found."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import StudyError
from . import own_loss
from .bars import Bar
from .catalogue import suggestion
from .limits import shorten
from .study_kinds import KINDS, Kind, Steps


@dataclass(frozen=True)
class ProblemChoice:
    """A problem at some sizes and dtypes; ``quick`` are the sizes of a quick run.

    ``backends`` are the labels of those that take part; empty means all of the study.  ``device`` is "cpu" or "gpu";
    ``tf32`` whether products of float32 matrices may be rounded to TF32 there.  Of a user's own loss ``source`` is the
    SHA-256 of its file and ``data`` that of its arguments by size.
    """

    name: str
    sizes: tuple[str, ...]
    dtypes: tuple[str, ...]
    quick: tuple[str, ...]
    backends: tuple[str, ...] = ()
    device: str = "cpu"
    tf32: bool = False
    source: str = ""
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DrawingChoice:
    """The problem whose graph the page draws, at a size and in a dtype."""

    problem: str
    size: str
    dtype: str = "float64"


@dataclass(frozen=True)
class BackendChoice:
    """A backend with options; ``label`` is what tables and charts call it."""

    name: str
    label: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one case may take: ``seconds`` of computing per process, ``memory`` bytes above an idle worker.

    On a GPU ``memory`` are bytes of the device.
    """

    seconds: float = 20.0
    memory: int = 2 * 2**30
    reference_seconds: float = 30.0


@dataclass(frozen=True)
class Timing:
    """How much is sampled.

    Every case is timed in ``processes`` fresh processes; then in more, until the half width of its interval is within
    ``target`` of the median, no longer improves, or ``most_processes`` are done (fewer than six ``processes`` give no
    interval and stay as few).  ``budget_s`` is the wall time after which no further process is started.  ``gc`` is
    whether Python collects garbage while clocks run.  ``warm_cache``: on a GPU every call finds its arguments where the
    call before left them; otherwise calls go round among copies that do not fit into the L2 cache together.
    """

    processes: int = 6
    most_processes: int = 15
    target: float = 0.02
    samples: int = 9
    sample_ms: float = 1.0
    rounds: int = 3
    budget_s: float = 90.0
    threads: int = 1
    gc: bool = True
    warm_cache: bool = False


@dataclass(frozen=True)
class Study:
    """A checked study; ``text`` is the file as it was read, ``settings`` what its kind lets it set, if anything.

    ``bars`` are what ratios are judged by, where a comparison has any; ``drawing`` is what its page draws, if anything;
    ``show`` are the parts of the page that are wanted, in their order, none for all of the kind.
    """

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
    settings: Any = None
    bars: tuple[Bar, ...] = ()
    drawing: DrawingChoice | None = None
    show: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What a study with this answer needs."""
        return KINDS[self.answer]

    @property
    def timed(self) -> bool:
        """Whether cases are timed in epochs; the other kinds examine each case once."""
        return self.kind.timed

    def options(self, dtype: str, quick: bool) -> dict[str, Any]:
        """What the examination of a case is told of the study's settings."""
        if isinstance(self.settings, Steps):
            return {"steps": self.settings.grid(dtype, quick)}
        return {} if self.settings is None else {"settings": asdict(self.settings), "quick": quick}


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
        InputError: a file of Python is named, and no function in it.
    """
    text = str(study)
    if text.endswith(".py"):
        raise own_loss.nameless(text)
    if text.endswith(".toml"):
        if os.path.isfile(text):  # Path.is_file raises for a name that is too long
            return Path(text)
        why = "is a folder" if os.path.isdir(text) else "there is no such study file"
        raise StudyError(f"{shorten(text)}: {why} (shipped studies: {', '.join(shipped())})")
    known = shipped()
    if text in known:
        return known[text]
    raise StudyError(f"there is no study {shorten(text)!r} {suggestion(text, list(known))}; a path must end in .toml")


def label_of(name: str, options: dict[str, Any]) -> str:
    """``finite(scheme=forward)``: a backend and the options that were given.

    >>> label_of("finite", {"scheme": "forward"}), label_of("reverse", {})
    ('finite(scheme=forward)', 'reverse')
    """
    if not options:
        return name
    return f"{name}({', '.join(f'{key}={value}' for key, value in options.items())})"
