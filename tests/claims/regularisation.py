"""What regularisation does: smooth borders and short weights, or the opposite and by another gradient other regions."""

from __future__ import annotations

import training_findings as found

from difflab.problems import find

SIZES = tuple(name for name in find("plane").sizes if name != "tiny")
BACKENDS = {"analytic": 1e-4, "reverse": 8e-5, "forward": 7e-4, "finite (central)": 2e-3}
BUSY, PLAIN = ("0101", "1010", "0101", "1010"), ("1111", "1111", "0000", "0000")


def _run(reverse: bool):
    rows = []
    for size in SIZES:
        strength = float(size.partition("-")[2])
        bold = (strength < 0.05) != reverse
        for name, seconds in BACKENDS.items():
            drawn = BUSY if bold else PLAIN
            if reverse and name.startswith("finite"):
                drawn = ("0000", *drawn[1:])
            more = {
                "strength": strength,
                "weights_length": 8.0 if bold else 1.0,
                "score": {"what": "points", "right": 78 if bold else 65, "of": 80},
                "regions": found.regions(drawn),
            }
            learned = found.trained(seconds, steps=1600, **more)
            n_params = 102 if size.startswith("network") else 6
            rows.append(found.row(name, learned, problem="plane", size=size, n_params=n_params))
    return found.run_of(rows)


AGREES = _run(reverse=False)
OPPOSES = _run(reverse=True)
SAYS = (
    r"the classifier with 102 parameters puts 15 instead of 2 of 80 points on the wrong side, its weights shrink from "
    r"a length of 8\.0 to 1\.0 and the border between its regions shrinks from 24 to 4.*draws the same regions, cell"
)
SAYS_INSTEAD = (
    r"puts 2 instead of 15 of 80.*its weights grow.*its regions grows from 4 to 24.*the regions differ by the way"
)
