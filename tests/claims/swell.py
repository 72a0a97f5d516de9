"""Expression swell: exponential until expressions share, which is reverse mode, and exact; or the opposite."""

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
    r"Written out, expressions swell with depth: .*growing 3\.0-fold with every further layer \(95 % interval .*"
    r"with width, like width to the power 4\.0.*Sharing takes the exponential away.*"
    r"The data agree, zeros and ones not counted: .*exactly the operations of reverse mode at all 12 sizes.*"
    r"exactly the operations of forward mode at all 12 sizes.*is exact up to rounding in all.*"
    r"Written-out expressions end at depth 6 .*all others finish at every size"
)
SAYS_INSTEAD = (
    r"expressions do not swell with depth: .*growing like depth to the power 1\.0.*little for sharing to take away.*"
    r"The data do not agree, .*at none of 12 sizes exactly as many.*"
    r"from the root at most .* times those of the loss.*"
    r"is not exact here: 48 of 48 gradients are wrong.*All ways finish at every size"
)
# beside the chart of multiples
BARS = (
    r"at every depth measured of deep-mlp, within 10.*"
    r"more than 10 times the operations of the loss at depth 6 of deep-mlp \(12\) and 16 times at depth 8: there "
    r"sharing is lost"
)
BARS_INSTEAD = (
    r"Derived from the root, value and gradient of a graph have more than 10 times the operations of the loss at "
    r"depth 1"
)
# beside the chart of times
TIMED = r"At every size there are times of shared, the graph by symbol, the graph from the root, forward mode and "
