"""Which method trains: all by the same path and reverse mode farthest, or each by its own and differences farthest."""

from __future__ import annotations

import training_findings as found

SECONDS = {
    "analytic": 1e-4, "reverse": 8e-5, "forward": 1e-3, "complex-step": 8e-3, "finite (central)": 4e-3,
    "finite (one-sided)": 2e-3,
}  # fmt: skip
PLACES = (("xor", "tiny", 31), ("digits-mlp", "small", 610))


def _run(seconds: dict[str, float], error: float):
    rows = [
        found.row(name, found.trained(each, error=error if name.startswith("finite") else 0.0),
                  problem=problem, size=size, n_params=n_params)
        for problem, size, n_params in PLACES
        for name, each in seconds.items()
    ]  # fmt: skip
    return found.run_of(rows)


AGREES = _run(SECONDS, 1e-7)
OPPOSES = _run(dict(zip(SECONDS, reversed(SECONDS.values()), strict=True)), 0.5)
SAYS = (
    r"On digits-mlp small, all six ways reach the same loss after \d+ steps.*"
    r"reverse mode took [\d ]+ steps.*the complex step \d+, so the loss is"
)
SAYS_INSTEAD = (
    r"On digits-mlp small the paths part.*with finite differences.*"
    r"finite differences \(central\) took [\d ]+ steps.*forward mode \d+, so the loss is"
)
