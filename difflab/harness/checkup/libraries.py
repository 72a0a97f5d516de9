"""What computes: the BLAS and its kernels, threads, graphics processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import amounts, environment, environment_change, hardware, kernels, statistics
from ..process import START_SECONDS, Worker, ask
from .finding import NOTE, OK, OPTION, PROBLEM, REINSTALL, Finding, answer_of

MOSTLY_FREE = 0.8
"""The part of a GPU's memory that is free where nobody else uses it: CUDA itself takes some."""
ROUNDS = 9
PRODUCT = 512


def gpu(question: Callable[[], dict[str, Any] | str] | None = None) -> Finding:
    """Graphics processors, and how the one stands that CuPy computes on.

    Args:
        question: gives what is known of it, or says why it cannot be used; a worker by default.
    """
    cards = hardware.gpus() or []
    names = ", ".join(
        one["name"] + (f" ({amounts.size(one['memory_bytes'])})" if one["memory_bytes"] else "") for one in cards
    )
    if not any(map(environment.version_of, environment_change.CUPY)):
        if not cards:
            return Finding("GPU", OK, "none found; everything runs on the processor")
        return Finding("GPU", OPTION, f"{names}; CuPy is not installed", 'pip install "difflab[gpu]"')
    told = answer_of(Worker(), {"do": "gpu"}) if question is None else question()
    if not isinstance(told, str):
        return gpu_state(told)
    if not cards:
        return Finding("GPU", OK, f"none found; everything runs on the processor ({told})")
    advice = "Install the CuPy that goes with the driver's CUDA: cupy-cuda13x or cupy-cuda12x."
    return Finding("GPU", PROBLEM, f"{names}; {told}", advice)


def gpu_state(facts: Mapping[str, Any]) -> Finding:
    """How a GPU stands that CuPy computes on.

    Args:
        facts: from ``gpu_facts.facts``; ``None`` for what is not known.
    """
    free, size = facts.get("memory_free_bytes"), facts.get("memory_bytes")
    parts = [
        str(facts.get("name") or "a GPU without a name"),
        f"{amounts.size(free)} of {amounts.size(size)} free" if free and size else "",
        f"driver {facts['driver']}" if facts.get("driver") else "",
        f"CUDA {facts['cuda_runtime']}" if facts.get("cuda_runtime") else "",
        _of_most(facts.get("sm_mhz"), facts.get("sm_mhz_most")),
        f"{facts['temperature_c']:.0f} degrees" if facts.get("temperature_c") is not None else "",
        "" if facts.get("ecc") is None else f"ECC {'on' if facts['ecc'] else 'off'}",
        "a part of a GPU (MIG)" if facts.get("mig") else "",
    ]
    text = ", ".join(part for part in parts if part)
    if facts.get("slowed"):
        advice = "Let it cool down, or look at what else draws power: times taken now are not the device's own."
        return Finding("GPU", NOTE, f"{text}; its clocks are lowered because of {', '.join(facts['slowed'])}", advice)
    if free and size and free < MOSTLY_FREE * size:
        advice = "End other programs on the GPU before anything is timed: nvidia-smi shows them."
        return Finding("GPU", NOTE, f"{text}; others use it", advice)
    return Finding("GPU", OK, text)


def _of_most(now: float | None, most: float | None) -> str:
    if now is None:
        return ""
    return f"clock at {now:.0f}{'' if most is None else f' of {most:.0f}'} MHz"


def blas(libraries: list[dict[str, Any]]) -> Finding:
    """The libraries that multiply matrices."""
    names = []
    for one in libraries:
        if one.get("user_api") == "blas":
            of, architecture = one.get("of"), one.get("architecture")
            words = [of and f"{of}:", one.get("internal_api"), one.get("version"), architecture and f"({architecture})"]
            names.append(" ".join(str(word) for word in words if word))
    if not names:
        advice = "Install NumPy from its wheel, which has a BLAS: without one, products of matrices are slow."
        return Finding("BLAS", NOTE, "threadpoolctl knows none that is loaded", advice)
    return Finding("BLAS", OK, ", ".join(names))


def core_type(decision: kernels.Decision) -> Finding:
    """Whether the BLAS has the right kernels, and what better ones gain, measured."""
    what, core = "BLAS kernels", decision.used
    chosen = " and ".join(dict.fromkeys(decision.chosen_by_library))
    if decision.by_user:
        better, _ = kernels.candidates(decision.chosen_by_library, hardware.flags(hardware.blocks()))
        core = better[0] if better else None
        if core is None:
            return Finding(what, OK, f"{chosen}, as {kernels.VARIABLE}={decision.by_user} says")
    if core is None:
        return Finding(what, OK, f"{chosen or 'not OpenBLAS'}: {decision.why}")
    gains = gain(core)
    if isinstance(gains, str):
        return Finding(what, PROBLEM, f"{chosen}; {core} could not be measured: {gains}", REINSTALL)
    figure = f"{chosen} chosen, {core} possible. A product of two {PRODUCT} x {PRODUCT} matrices takes "
    figure += " and ".join(
        f"{one.ratio:.2f} times as long [{one.low:.2f}, {one.high:.2f}] in {dtype}" for dtype, one in gains.items()
    )
    figure += f" with {chosen} as with {core}"
    gained = " and ".join(f"{one.ratio:.2f} times as fast in {dtype}" for dtype, one in gains.items())
    if all(one.high is not None and one.high < 1 for one in gains.values()):
        keep = decision.by_user or decision.chosen_by_library[0]
        gained = " and ".join(f"{1 / one.ratio:.2f} times as fast in {dtype}" for dtype, one in gains.items())
        advice = f"To keep the faster ones: export {kernels.VARIABLE}={keep}"
    elif decision.by_user:
        advice = f"Unset {kernels.VARIABLE}: difflab then chooses {core} for its workers."
    else:
        advice = f"Runs use {core} by themselves. For your own programs: export {kernels.VARIABLE}={core}"
    return Finding(what, NOTE, figure, advice, f"products of matrices that are {gained}")


def gain(core: str) -> dict[str, statistics.Ratio] | str:
    """How much longer a product takes as things are than with a core type: two workers by turns, paired ratios.

    Args:
        core: the core type.

    Returns:
        The ratio of each dtype, above 1 where the core type gains, or what went wrong.
    """
    return turns(Worker(), Worker(variables={kernels.VARIABLE: core}))


def turns(first: Worker, second: Worker) -> dict[str, statistics.Ratio] | str:
    """How much longer a product takes in one worker than in another: by turns, paired ratios.

    Args:
        first: a worker, which is ended afterwards.
        second: another one, likewise.

    Returns:
        The ratio of each dtype, above 1 where the first is slower, or what went wrong.
    """
    command = {"do": "kernels", "size": PRODUCT, "repeat": 2}
    times: dict[str, tuple[list[float], list[float]]] = {"float32": ([], []), "float64": ([], [])}
    pair = first, second
    try:
        for number in range(ROUNDS):
            for position in (0, 1) if number % 2 else (1, 0):
                answer = ask(pair[position], command, START_SECONDS)
                if answer is None:
                    return (pair[position].verdict or ("", "no answer"))[1]
                if not answer["right"]:
                    return "a product of matrices of whole numbers came out wrong"
                for dtype, both in times.items():
                    both[position].append(answer[f"{dtype}_s"])
    finally:
        for worker in pair:
            worker.close()
    return {dtype: statistics.compare(*both) for dtype, both in times.items()}


def threads() -> Finding:
    """Whether the libraries take the thread count they are given."""
    found = {}
    for count in (1, 2):
        answer = answer_of(Worker(count), {"do": "kernels"})
        if isinstance(answer, str):
            return Finding("threads", PROBLEM, f"a worker with {count} could not be asked: {answer}", REINSTALL)
        found[count] = {one["num_threads"] for one in answer["blas"] if one.get("user_api") == "blas"}
        if (environment.usable_cores() or 1) < 2:
            break
    wrong = [count for count, taken in found.items() if taken - {count}]
    if wrong:
        taken = ", ".join(map(str, sorted(found[wrong[0]])))
        advice = "Look for variables such as OMP_NUM_THREADS that a start-up file of Python sets."
        return Finding("threads", PROBLEM, f"{wrong[0]} asked for, {taken} taken", advice)
    return Finding("threads", OK, f"asked for {' and '.join(map(str, found))}, and so many were taken")


def more_threads() -> Finding:
    """What more threads of BLAS gain in a large product, measured."""
    what, cores = "BLAS threads", environment.usable_cores() or 1
    if cores < 2:
        return Finding(what, OK, "one processor can be used, and one thread uses it")
    gains = turns(Worker(1), Worker(cores))
    if isinstance(gains, str):
        return Finding(what, PROBLEM, f"{cores} threads could not be measured: {gains}", REINSTALL)
    ratios = " and ".join(
        f"{one.ratio:.2f} times as long [{one.low:.2f}, {one.high:.2f}] in {dtype}" for dtype, one in gains.items()
    )
    figure = f"a product of two {PRODUCT} x {PRODUCT} matrices takes {ratios} with 1 thread as with {cores}"
    if all(one.low is not None and one.low > 1 for one in gains.values()):
        gained = " and ".join(f"{one.ratio:.2f} times as fast in {dtype}" for dtype, one in gains.items())
        advice = f"Studies of large products may say threads = {cores} under [timing]; small ones are steadier with 1."
        return Finding(what, OK, figure, advice, f"large products that are {gained}")
    return Finding(what, OK, f"{figure}; 1 is as good")
