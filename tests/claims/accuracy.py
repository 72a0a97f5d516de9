"""How many digits are right: nearly all by reverse mode and two fifths by differences, or the other way round."""

from __future__ import annotations

import made_up_runs as made


def _run(reverse: float, one_sided: float) -> made.MadeUpRun:
    rows = []
    for dtype, scale in (("float64", 1.0), ("float32", 2.0**29), ("float16", 2.0**42)):
        at = {"size": "tiny", "n_params": 63, "dtype": dtype, "primal_s": 2e-5}
        for backend, error in (("reverse", reverse), ("finite (one-sided)", one_sided)):
            counts = made.histogram(63, error)
            graded = {"ulp_histogram": counts, "ulps": 8.0, "median_digits": 15.1, "worst_digits": 14.0}
            rows.append(made.timed(backend, 4e-5, min(1.0, error * scale), work_ratio=2.0, **at, **graded))
    return made.run(rows)


AGREES = _run(2e-16, 1e-9)
OPPOSES = _run(1e-9, 2e-16)
SAYS = r"Reverse mode kept the most digits .*at least 15\.7 in float64.*one-sided\) the fewest, 9\.0"
SAYS_INSTEAD = r"one-sided\) kept the most digits .*at least 15\.7 in float64.*reverse mode the fewest, 9\.0"
