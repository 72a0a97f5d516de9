"""Which ways reach sixty million parameters: reverse mode alone, or forward mode if that is what was measured."""

from __future__ import annotations

import made_up_runs as made

SIZES = (("tiny", 337, 6e-4), ("small", 4426, 8e-4))
FULL = {"size": "full", "n_params": 60_965_224, "primal_s": 0.03}


def _run(reaches: str, other: str) -> made.MadeUpRun:
    rows = []
    for size, n_params, loss in SIZES:
        at = {"problem": "alexnet", "dtype": "float32", "size": size, "n_params": n_params, "primal_s": loss}
        rows += [
            made.timed(reaches, 3 * loss, 8e-8, work_ratio=3.0, **at),
            made.timed(other, 0.5 * n_params * loss, 9e-8, work_ratio=0.5 * n_params, **at),
            made.timed("finite (one-sided)", n_params * loss, 2e-2, work_ratio=float(n_params), **at),
            made.failed("symbolic", "skipped_predicted", predicted_s=4e5, **at),
        ]
    at = {"problem": "alexnet", "dtype": "float32", **FULL}
    rows += [
        made.timed(reaches, 0.17, 0.0, work_ratio=5.0, certified="no", **at) | {"rel_error": None},
        made.failed(other, "skipped_predicted", predicted_s=60_965_224 * 0.03, **at),
        made.failed("finite (one-sided)", "skipped_predicted", predicted_s=60_965_225 * 0.41, **at),
        made.failed("symbolic", "skipped_predicted", predicted_s=1.19e12, **at),
    ]
    return made.run(rows)


AGREES = _run("reverse", "forward")
OPPOSES = _run("forward", "reverse")
REACHED = (
    r"only {} mode went on to 60 965 224 parameters, in 170\.0 ± 3\.4 ms\..*At 60 965 224 parameters the forecast is "
)
SAYS = (
    r"Reverse mode was the quickest.*"
    + REACHED.format("reverse")
    + r"21\.2 days for forward mode, 289 days for finite differences .*and 37 700 years for symbolic"
)
SAYS_INSTEAD = r"Forward mode was the quickest.*" + REACHED.format("forward") + r"21\.2 days for reverse mode"
