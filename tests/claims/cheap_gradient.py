"""The gradient is cheap whatever n and the others grow as n does; or reverse mode grows and the others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import made_up_runs as made

SIZES = {
    "difflab.maps:SQUARE_LAYER": {str(n): n for n in (16, 256, 1024, 2304, 4096, 16384, 65536)},
    "digits-mlp": {"tiny": 63, "small": 610, "medium": 2410, "large": 9610},
}
CALLS: Mapping[str, Callable[[int], int]] = {
    "reverse": lambda n: 1,
    "analytic": lambda n: 1,
    "forward": lambda n: n,
    "finite (central)": lambda n: 2 * n + 1,
    "finite (one-sided)": lambda n: n + 1,
    "complex-step": lambda n: n + 1,
}
OPTIONS = {"finite (one-sided)": '{"scheme":"forward"}'}
SCATTER = (1.0, 1.03, 0.98, 1.01, 0.97, 1.02)
MOST = 10_000.0  # work ratios beyond this were refused


def loss_s(n: int) -> float:
    """A loss whose first 15 microseconds are overhead."""
    return 15e-6 + 2e-8 * n


def row(problem: str, size: str, n: int, backend: str, work: float, processes: int = 6) -> dict[str, Any]:
    """A timed gradient: its work ratio scatters over processes by some per cent, more at larger n."""
    loss = loss_s(n)
    spread = [1 + (scatter - 1) * (1 + k * n % 7) / 4 for k, scatter in enumerate(SCATTER[:processes])]
    more = {"medians": [[work * loss * one, loss] for one in spread], "work_ratio": work, "primal_s": loss}
    more |= {"epochs": [str(number) for number in range(len(spread))]}
    more |= {"primal_calls": CALLS[backend](n), "processes": processes, "options": OPTIONS.get(backend, "{}")}
    one = made.timed(backend, work * loss, 3e-16, problem=problem, size=size, n_params=n, **more)
    return one if processes > 5 else one | {"call_s_low": None, "call_s_high": None}


def rows(price: Mapping[str, Callable[[int], float]], processes: int = 6) -> list[dict[str, Any]]:
    """All backends of the study, with what a gradient costs in losses."""
    found = []
    for problem, sizes in SIZES.items():
        for size, n in sizes.items():
            at = {"problem": problem, "size": size, "n_params": n}
            for backend, work in price.items():
                if (ratio := work(n)) <= MOST:
                    found.append(row(problem, size, n, backend, ratio, processes))
                else:
                    found.append(made.failed(backend, "skipped_predicted", **at))
            found.append(made.failed("symbolic", "skipped_predicted", **at))
    return found


def run(found: list[dict[str, Any]]) -> made.MadeUpRun:
    """A run of the study."""
    return made.run(found, answer="ratio")


def linear(factor: float) -> Callable[[int], float]:
    """So many losses for each parameter."""
    return lambda n: factor * n


def constant(ratio: float) -> Callable[[int], float]:
    """So many losses, whatever n."""
    return lambda n: ratio


USUAL = {
    "reverse": constant(2.5), "analytic": constant(2.2), "forward": linear(0.5), "finite (central)": linear(2.0),
    "finite (one-sided)": linear(1.0), "complex-step": linear(4.0),
}  # fmt: skip
OTHER = {name: constant(3.0) for name in USUAL} | {"reverse": linear(0.5)}
AGREES, OPPOSES = run(rows(USUAL)), run(rows(OTHER))
SAYS = r"The cheap gradient holds: .* theory has 0 .*grows as n\^1\.\d\d [^;]* for forward mode"
SAYS_INSTEAD = r"The cheap gradient does not hold: .* than the 5 of theory.*grows as n\^0\.00 [^;]* for forward mode"
