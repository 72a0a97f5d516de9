"""What convenience costs: nothing beside the gradient written by hand, or twice as much."""

from __future__ import annotations

import made_up_runs as made


def _run(factor: float) -> made.MadeUpRun:
    rows = []
    for size, n_params in (("tiny", 42), ("64x64-32-10", 3466)):
        at = {"problem": "mlp", "size": size, "n_params": n_params, "primal_s": 2e-5}
        versus = {"ratio": factor, "ratio_low": 0.99 * factor, "ratio_high": 1.01 * factor}
        verdict = "equivalent" if abs(factor - 1) < 0.03 else "slower" if factor > 1 else "faster"
        rows += [
            made.timed("analytic", 5e-5, 2e-16, work_ratio=2.5, **at),
            made.timed("reverse", factor * 5e-5, 2e-16, work_ratio=2.5 * factor, **at, **versus, verdict=verdict),
        ]
    return made.run(rows, baseline="analytic")


AGREES = _run(1.0)
OPPOSES = _run(2.0)
SAYS = r"took 1\.000 ± 0\.010 times as long as the hand-derived gradient: of 2 rows, 2 level"
SAYS_INSTEAD = r"took 2\.000 ± 0\.020 times as long as the hand-derived gradient: of 2 rows, 2 slower"
