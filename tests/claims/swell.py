"""Expression swell: exponential until subexpressions are shared, and exact; or linear throughout, and wrong."""

from __future__ import annotations

import swell_findings as found

DEPTHS, WIDTHS = (1, 2, 3, 4, 5, 6, 8), (2, 3, 4, 6, 8)
POWERS = found.EXPONENTIAL | {"tree": lambda n: 50 * n**4}

AGREES = found.run_of(
    [
        *found.growing("deep-mlp", "depth", DEPTHS, found.EXPONENTIAL, last={"tree": 5}),
        *found.growing("wide-mlp", "width", WIDTHS, POWERS, last={"tree": 6}),
    ]
)
OPPOSES = found.run_of(
    [
        *found.growing("deep-mlp", "depth", DEPTHS, found.MILD, error=1e-3),
        *found.growing("wide-mlp", "width", WIDTHS, found.MILD, error=1e-3),
    ]
)
SAYS = (
    r"written out swell: .*grow 3\.0-fold with every further layer.*Sharing takes the exponential away.*"
    r"like width to the power 4\.0.*is exact up to rounding in all.*Written out it ends at depth 6 .*"
    r"shared it and reverse mode finish at every size"
)
SAYS_INSTEAD = (
    r"written out do not swell: .*grow like depth to the power 1\.0.*little for sharing to take away.*"
    r"is not exact here: 24 of 24 gradients are wrong.*All of them finish at every size"
)
