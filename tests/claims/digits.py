"""Which way is right, fast and small enough: reverse mode, or forward mode if that is what was measured."""

from __future__ import annotations

import made_up_runs as made


def _run(quickest: str, other: str) -> made.MadeUpRun:
    rows = []
    for size, n_params in (("tiny", 63), ("small", 610)):
        at = {"size": size, "n_params": n_params, "primal_s": 2e-5}
        rows += [
            made.timed(quickest, 4e-5, 2e-16, work_ratio=2.0, **at),
            made.timed(other, 4e-5 * n_params, 3e-16, work_ratio=2.0 * n_params, **at),
            made.timed("finite (central)", 9e-5 * n_params, 1e-9, work_ratio=4.5 * n_params, **at),
        ]
    return made.run(rows)


AGREES = _run("reverse", "forward")
OPPOSES = _run("forward", "reverse")
SAYS = r"Reverse mode was the quickest.*Forward mode took 610 times as long"
SAYS_INSTEAD = r"Forward mode was the quickest.*Reverse mode took 610 times as long"
