"""How many digits finite differences lose: six and theory knows the step, or none and theory does not."""

from __future__ import annotations

import math

import made_up_runs as made

EPS = 2.0**-52
STEPS = [10.0**-k for k in range(1, 17)]


def _findings(rounding: float, predicted: float) -> dict[str, object]:
    errors = [step**2 + rounding * EPS / step for step in STEPS]
    best = min(range(len(STEPS)), key=errors.__getitem__)
    return {
        "steps": STEPS, "rel_error": errors, "worst": [max(0.0, -math.log10(error)) for error in errors],
        "best": {"step": STEPS[best], "error": errors[best]},
        "default": {"step": STEPS[best], "error": errors[best]},
        "predicted": {"step": predicted * STEPS[best], "error": errors[best], "order": 2, "flat": False},
        "digits_lost": max(0.0, math.log10(errors[best] / EPS)), "eps": EPS,
    }  # fmt: skip


def _run(rounding: float, predicted: float) -> made.MadeUpRun:
    untimed = dict.fromkeys(("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s"))
    found = _findings(rounding, predicted)
    rows = [made.row("central difference", family="finite", findings=found, **untimed)]
    return made.run(rows, answer="steps", baseline="")


AGREES = _run(1.0, 2.0)
OPPOSES = _run(1e-9, 500.0)
SAYS = r"loses 5\.\d of the 15\.7 digits even at its best step.*a factor of 2\.0 away"
SAYS_INSTEAD = r"loses none of the 15\.7 digits.*a factor of 500 away|loses 0\.\d of the 15\.7.*a factor of 500 away"
