"""From a study to cases: plain JSON values with an identity, in blocks whose backends are compared with each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from .store import canonical
from .study import BackendChoice, ProblemChoice, Study
from .study_device import rounds


@dataclass(frozen=True, eq=False)
class Case:
    """One backend on one problem at one size and dtype; ``spec`` is all that a worker is told."""

    id: str
    label: str
    spec: dict[str, Any]

    @property
    def short(self) -> str:
        """``digits-mlp tiny float64 reverse``: the case in words."""
        spec = self.spec
        where = place(spec["device"], spec.get("tf32", False))
        return f"{spec['problem']} {spec['size']} {spec['dtype']}{where} {self.label}"


@dataclass(frozen=True, eq=False)
class Block:
    """Cases that differ in the backend only, and so may be compared; measured side by side."""

    problem: str
    size: str
    dtype: str
    cases: tuple[Case, ...]
    device: str = "cpu"
    tf32: bool = False

    @property
    def name(self) -> str:
        """``digits-mlp tiny float64``, and where it is not the processor, its device."""
        return f"{self.problem} {self.size} {self.dtype}{place(self.device, self.tf32)}"

    @property
    def truth(self) -> str:
        """The key of the reference: float32 is compared with the truth of the float64 data it was rounded from."""
        return f"{self.problem}-{self.size}".replace(":", "-").replace("/", "-")


def place(device: str, tf32: bool) -> str:
    """What names of cases say of their device: nothing of the processor.

    >>> place("cpu", False), place("gpu", False), place("gpu", True)
    ('', ' gpu', ' gpu tf32')
    """
    return "" if device == "cpu" else f" {device}{' tf32' if tf32 else ''}"


def identity(spec: dict[str, Any]) -> str:
    """The id of a case: the SHA-256 of its canonical JSON, the same on every machine.

    >>> identity({"b": 1, "a": 2}) == identity({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical(spec).encode()).hexdigest()


def blocks(study: Study, seed: int = 0, quick: bool = False) -> list[Block]:
    """All blocks of a study in the order in which they are measured: small sizes of all problems first.

    Args:
        study: a checked study.
        seed: the seed of the problems' parameters and data.
        quick: only the sizes that the study names for a quick run.

    >>> from difflab.harness.study import BackendChoice, Limits, ProblemChoice, Study, Timing
    >>> one = ProblemChoice("digits-mlp", ("tiny", "small"), ("float64",), ("tiny",))
    >>> backend = BackendChoice("reverse", "reverse", {})
    >>> made = Study("s", "", "", "", "compare", "gradient", "reverse", (one,), (backend,), Limits(), Timing(), "")
    >>> [block.name for block in blocks(made)]
    ['digits-mlp tiny float64', 'digits-mlp small float64']
    """
    found: list[tuple[int, int, Block]] = []
    seen: set[str] = set()
    for position, problem in enumerate(study.problems):
        for rank, size in enumerate(problem.quick if quick else problem.sizes):
            for dtype in problem.dtypes:
                rounded, cases = rounds(problem, dtype), []
                for backend in _chosen(study, problem):
                    spec = {
                        "problem": problem.name,
                        "size": size,
                        "dtype": dtype,
                        "device": problem.device,
                        "operator": study.operator,
                        "backend": backend.name,
                        "options": backend.options,
                        "seed": seed,
                        **({} if problem.device == "cpu" else {"tf32": rounded}),
                        **({"source": problem.source} if problem.source else {}),
                    }
                    cases.append(Case(identity(spec), backend.label, spec))
                block = Block(problem.name, size, dtype, tuple(cases), problem.device, rounded)
                if block.name not in seen:  # --device may bring two entries of a study to one place
                    found.append((rank, position, block))
                    seen.add(block.name)
    return [block for _, _, block in sorted(found, key=lambda item: item[:2])]


def _chosen(study: Study, problem: ProblemChoice) -> list[BackendChoice]:
    """The backends that take part in a problem."""
    return [one for one in study.backends if not problem.backends or one.label in problem.backends]


def key(study: Study, seed: int, quick: bool, device: str | None = None) -> str:
    """What a run measures, as one hash: only a run with the same key is resumed; ``device`` is what was asked for."""
    asked: dict[str, Any] = {} if device is None else {"device": device}
    own = own_losses(study)
    asked |= {"own": own} if own else {}
    return identity({"text": study.text, "seed": seed, "quick": quick, **asked})


def own_losses(study: Study) -> dict[str, dict[str, Any]]:
    """What the user's own losses of a study are, by name: sums of their files and of their arguments."""
    return {one.name: {"source": one.source, "data": dict(one.data)} for one in study.problems if one.source}
