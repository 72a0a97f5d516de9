"""Whether OpenBLAS chose the kernels that the processor deserves, and better ones where it did not.

OpenBLAS recognises a processor by its model number.  One that it does not know gets the kernels of an older one,
though its flags allow better: half the speed of a matrix product, and a comparison between two libraries that say
nothing of either.  ``OPENBLAS_CORETYPE``, read when NumPy is imported, corrects the choice.  Kernels that the flags do
not allow end a process with an illegal instruction, so they are never chosen, and better ones are used only after a
worker has shown that every library took them and multiplies rightly with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import hardware
from .process import START_SECONDS, Worker, ask

VARIABLE = "OPENBLAS_CORETYPE"
AVX = frozenset({"sse4_1", "sse4_2", "ssse3", "popcnt", "avx"})
AVX2 = AVX | {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"}
AVX512 = AVX2 | {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}
BEST_FIRST = (("SkylakeX", AVX512), ("Haswell", AVX2), ("Sandybridge", AVX), ("Nehalem", AVX - {"avx"}))
"""Core types worth asking for, with all flags that code compiled for them may need."""

LEVELS = {
    **dict.fromkeys(("Katmai", "Coppermine", "Northwood", "Prescott", "Banias", "Atom", "Nano"), 0),
    **dict.fromkeys(("Core2", "Penryn", "Dunnington", "Athlon", "Opteron", "Opteron_SSE3", "Bobcat", "Barcelona"), 0),
    "Nehalem": 1,
    **dict.fromkeys(("Sandybridge", "Bulldozer", "Piledriver", "Steamroller"), 2),
    **dict.fromkeys(("Haswell", "Zen", "Excavator"), 3),
    # the later two add products of bfloat16, which nothing here computes; for the rest they are SkylakeX's
    **dict.fromkeys(("SkylakeX", "Cooperlake", "SapphireRapids"), 4),
}
"""The generation of kernels by the name that threadpoolctl calls ``architecture``."""


@dataclass(frozen=True)
class Decision:
    """Which kernels workers compute with.

    ``chosen_by_library``: the architecture of each OpenBLAS as it chose it.  ``used``: the core type that workers are
    started with, ``None`` where the choice is left alone.  ``by_user``: what the user's own variable says, if it is
    set.  ``why``: the reason, a sentence.

    >>> Decision(["Haswell"], "SkylakeX", None, "").variables
    {'OPENBLAS_CORETYPE': 'SkylakeX'}
    """

    chosen_by_library: list[str]
    used: str | None
    by_user: str | None
    why: str

    @property
    def variables(self) -> dict[str, str]:
        """What is to be set in the environment of every worker."""
        return {VARIABLE: self.used} if self.used else {}

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


Trial = Callable[[str], tuple[list[dict[str, Any]], str]]
"""Tries a core type: the libraries as they are with it, and what is wrong with it, if anything is."""


def decide(
    blas: Sequence[Mapping[str, Any]],
    variables: Mapping[str, str] | None = None,
    root: Path = hardware.ROOT,
    trial: Trial | None = None,
) -> Decision:
    """Which kernels workers should compute with.

    Args:
        blas: the libraries as a worker found them without any choice of ours.
        variables: the user's environment; that of this process by default.
        root: where the system's files are.
        trial: tries a core type; by default in a worker of its own.
    """
    libraries = [one for one in blas if one.get("internal_api") == "openblas"]
    chosen = [str(one.get("architecture")) for one in libraries]
    by_user = (os.environ if variables is None else variables).get(VARIABLE) or None
    if by_user:
        return Decision(chosen, None, by_user, f"{VARIABLE} is set by the user, and kept")
    better, why = candidates(chosen, hardware.flags(hardware.blocks(root)))
    faults: list[str] = []
    for core in better:
        found, fault = (trial or try_core)(core)
        fault = fault or refusal(core, found)
        if not fault:
            why = f"OpenBLAS chose {' and '.join(dict.fromkeys(chosen))}, and the processor's flags allow {core}"
            return Decision(chosen, core, None, "; ".join([why, *faults]))
        faults.append(f"{core} was tried and left: {fault}")
    return Decision(chosen, None, None, "; ".join(faults) or why)


def refusal(core: str, blas: Sequence[Mapping[str, Any]]) -> str:
    """Why the libraries of a trial did not take a core type as it was meant; empty if all did.

    >>> refusal("SkylakeX", [{"internal_api": "openblas", "architecture": "Haswell", "of": "scipy"}])
    "scipy's OpenBLAS computes with Haswell when asked for it"
    """
    libraries = [one for one in blas if one.get("internal_api") == "openblas"]
    for one in libraries:
        if LEVELS.get(str(one.get("architecture"))) != LEVELS[core]:
            whose = f"{one['of']}'s OpenBLAS" if one.get("of") else "OpenBLAS"
            return f"{whose} computes with {one.get('architecture')} when asked for it"
    return "" if libraries else "no OpenBLAS was loaded"


def candidates(chosen: Sequence[str], flags: frozenset[str] | None) -> tuple[list[str], str]:
    """The core types to try, best first, and why there are none.

    Args:
        chosen: the architecture of each OpenBLAS.
        flags: what every processor can do, ``None`` where unknown.

    >>> candidates(["Haswell"], AVX512)
    (['SkylakeX'], '')
    >>> candidates(["Haswell"], AVX2)
    ([], "no kernels newer than OpenBLAS's choice suit the processor's flags")
    """
    if not chosen:
        return [], "no OpenBLAS is loaded"
    if unknown := [name for name in chosen if name not in LEVELS]:
        return [], f"nothing is known of the kernels called {unknown[0]}, so the choice is left alone"
    if flags is None:
        return [], "the system does not say what the processor can do, so the choice is left alone"
    levels = [LEVELS[name] for name in chosen]
    # never older kernels for one library to get newer ones for the other
    suited = [core for core, needed in BEST_FIRST if needed <= flags and LEVELS[core] >= max(levels)]
    better = [core for core in suited if LEVELS[core] > min(levels)]
    return better, "" if better else "no kernels newer than OpenBLAS's choice suit the processor's flags"


def try_core(core: str) -> tuple[list[dict[str, Any]], str]:
    """Start a worker with a core type: the libraries as they are with it, and what is wrong with it, if anything is."""
    worker = Worker(variables={VARIABLE: core})
    try:
        answer = ask(worker, {"do": "kernels"}, START_SECONDS)
    finally:
        worker.close()
    if answer is None:
        return [], (worker.verdict or ("", "no answer"))[1]
    return answer["blas"], "" if answer["right"] else "a product of matrices of whole numbers came out wrong"


# ------------------------------------------------------------------------------------------------ inside a worker


def loaded() -> list[dict[str, Any]]:
    """The numerical libraries that NumPy and SciPy bring, each with ``of``, the package that it came with."""
    import scipy.linalg.blas  # noqa: F401  # SciPy's copy of OpenBLAS chooses for itself
    from threadpoolctl import threadpool_info

    keys = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    found = []
    for one in threadpool_info():
        of = Path(one.get("filepath", "")).parent.name.removesuffix(".libs").removesuffix(".dylibs")
        found.append({key: one[key] for key in keys if key in one} | {"of": of if of in ("numpy", "scipy") else None})
    return sorted(found, key=lambda one: one["of"] or "")


def inspect(command: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker says of its kernels: the libraries, whether they multiply rightly, and how fast if asked.

    Args:
        command: with ``size``, the rows of a square product that is timed, the answer has ``float32_s`` and
            ``float64_s``, each the best of ``repeat``.
    """
    found: dict[str, Any] = {"blas": loaded(), "right": right()}
    if size := command.get("size"):
        import numpy as np

        from .timing import sample

        for dtype in ("float32", "float64"):
            a = np.full((size, size), 0.5, dtype=dtype)
            out = np.empty_like(a)
            call = _product(a, out)
            call()
            found[f"{dtype}_s"] = min(sample(call, 1) for _ in range(command["repeat"]))
    return found


def _product(a: Any, out: Any) -> Callable[[], object]:
    import numpy as np

    return lambda: np.matmul(a, a, out=out)


def right() -> bool:
    """Whether NumPy's and SciPy's products of whole numbers are exact, in shapes that leave edges to the kernels."""
    import numpy as np
    from scipy.linalg import get_blas_funcs

    generator = np.random.default_rng(0)
    for rows, inner, columns in ((1, 1, 1), (5, 7, 3), (67, 129, 35), (192, 256, 208)):
        a = generator.integers(-9, 10, (rows, inner))
        b = generator.integers(-9, 10, (inner, columns))
        expected = a @ b  # of integers: no BLAS takes part, and every sum below is exact in float32 too
        for dtype in (np.float32, np.float64):
            x, y = a.astype(dtype), b.astype(dtype)
            gemm: Any = get_blas_funcs("gemm", (x, y))
            if not (np.array_equal(x @ y, expected) and np.array_equal(gemm(1.0, x, y), expected)):
                return False
            if not np.array_equal(x @ y[:, 0], expected[:, 0]):
                return False
    return True
