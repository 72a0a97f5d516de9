"""The second graph: appended to a first that stays as it was, and right again and again; or neither."""

from __future__ import annotations

import second_graph_findings as found

NAMES = ("baydin", "xor", "least-squares")

AGREES = found.run_of([found.row(name, found.finding()) for name in NAMES])
OPPOSES = found.run_of(
    [found.row(name, found.finding(same=3, reverse=1.5, forward=4.0, error=1e-3), outcome="invalid") for name in NAMES]
)
SAYS = (
    r"In all 3 losses the 15 recorded equations are a prefix .*only appends.*can be taken again in all 3 losses, up to "
    r"order 4.*within 10⁻¹⁶ of the truth.*shorter way to go on is forward over reverse"
)
SAYS_INSTEAD = (
    r"does not only append: in none of 3 losses .*baydin tiny departs at equation 4.*cannot be trusted when it is "
    r"taken again: 18 of 18 derivatives are wrong.*shorter way to go on is reverse over reverse"
)
