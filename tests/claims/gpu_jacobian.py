"""Jacobians up to a GPU's memory: rows as quick as columns, or much slower."""

from __future__ import annotations

import made_up_runs as made


def _run(factor: float) -> made.MadeUpRun:
    rows = []
    for size, n_params in (("small", 1_000), ("medium", 16_000)):
        at = {"problem": "difflab.maps_layers:DENSE", "size": size, "n_params": n_params, "primal_s": 2e-5}
        at |= {"operator": "jacobian", "device": "gpu", "dtype": "float32", "rel_error": 1e-7}
        versus = {"ratio": factor, "ratio_low": 0.99 * factor, "ratio_high": 1.01 * factor}
        rows += [
            made.timed("reverse", 5e-4, work_ratio=25.0, **at),
            made.timed("forward", factor * 5e-4, work_ratio=25.0 * factor, **at, **versus,
                       verdict="faster" if factor < 1 else "slower"),
        ]  # fmt: skip
    return made.run(rows, baseline="reverse", operator="jacobian")


AGREES = _run(0.5)
OPPOSES = _run(4.0)
SAYS = r"Forward mode was the quickest way .*: 250\.0 ± 5\.0 µs on .*Reverse mode took 2\.0 times as long"
SAYS_INSTEAD = r"Reverse mode was the quickest way .*: 500 ± 10 µs on .*Forward mode took 4\.000 ± 0\.040 times as long"
