"""How many digits of a Hessian-vector product are right: nearly all by exact ways, or more by quotients."""

from __future__ import annotations

import made_up_runs as made


def _run(reverse: float, central: float) -> made.MadeUpRun:
    rows = []
    for dtype, scale in (("float64", 1.0), ("float32", 2.0**29), ("float16", 2.0**42)):
        at = {"size": "tiny", "n_params": 63, "dtype": dtype, "operator": "hvp", "primal_s": 2e-5}
        for backend, error in (("reverse", reverse), ("finite (central)", central)):
            graded = {"ulp_histogram": made.histogram(63, error), "ulps": 8.0, "median_digits": 15.1}
            rows.append(made.timed(backend, 4e-5, min(1.0, error * scale), work_ratio=2.0, **at, **graded))
    return made.run(rows, operator="hvp")


AGREES = _run(3e-16, 2e-7)
OPPOSES = _run(2e-7, 3e-16)
SAYS = r"Reverse mode kept the most digits .*at least 15\.5 in float64.*central\) the fewest, 6\.7"
SAYS_INSTEAD = r"central\) kept the most digits .*at least 15\.5 in float64.*reverse mode the fewest, 6\.7"
