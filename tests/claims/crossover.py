"""Where the modes cross: at as many outputs as inputs, with a pass for each; or nowhere, and with other passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_up_runs as made

SHAPES = ((256, 1), (64, 4), (32, 8), (16, 16), (8, 32), (4, 64), (1, 256), (1024, 1), (32, 32), (1, 1024))
SCATTER = (1.0, 1.03, 0.98, 1.01, 0.97, 1.02)
Price = Callable[[int, int], float]


def row(backend: str, inputs: int, outputs: int, work: float, calls: int, processes: int = 6) -> dict[str, Any]:
    """A timed Jacobian: its work ratio scatters over processes by some per cent."""
    loss = 16e-6
    medians = [[work * loss * scatter, loss] for scatter in SCATTER[:processes]]
    at = {"problem": "difflab.maps:TANH_MAP", "size": f"{inputs}x{outputs}", "n_params": inputs}
    more = {"operator": "jacobian", "work_ratio": work, "primal_calls": calls, "primal_s": loss, "medians": medians}
    more |= {"epochs": [str(number) for number in range(len(medians))]}
    one = made.timed(backend, work * loss, 3e-16, **at, **more, processes=processes, chunks=1)
    return one if processes > 5 else one | {"call_s_low": None, "call_s_high": None}


def rows(forward: Price, reverse: Price, passes: int = 0, processes: int = 6) -> list[dict[str, Any]]:
    """All backends of the study; ``passes`` are counted beyond those of theory."""
    found = []
    for n, m in SHAPES:
        calls = {"forward": (forward(n, m), n + passes), "reverse": (reverse(n, m), m + passes)}
        calls |= {f"{mode} (one by one)": (2 + 3.0 * count, count) for mode, (_, count) in calls.items()}
        calls |= {"finite (central)": (2 + 0.5 * n, 2 * n + 1), "complex-step": (4 + 2.0 * n, n + 1)}
        found += [row(name, n, m, work, count, processes) for name, (work, count) in calls.items()]
    return found


def run(found: list[dict[str, Any]]) -> made.MadeUpRun:
    """A run of the study."""
    return made.run(found, answer="crossover", operator="jacobian", baseline="reverse")


AGREES = run(rows(lambda n, m: 3 + 0.25 * n, lambda n, m: 3 + 0.25 * m))
OPPOSES = run(rows(lambda n, m: 8 + 0.25 * n + 0.5 * m, lambda n, m: 3 + 0.25 * m, passes=2))
SAYS = r"cross at 1\.\d+ outputs per input .*a pass for each input and reverse mode one for each output"
SAYS_INSTEAD = r"do not cross.*reverse mode is .* times as quick at every shape.*passes are not those of theory"
