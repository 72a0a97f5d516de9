"""What reverse mode stores: a value of every layer until checkpoints forget them, or nothing and they are no use."""

from __future__ import annotations

import made_up_runs as made

DEPTHS = (4, 8, 16, 32, 64, 128, 256)
VALUE = 2**18
CHECKPOINTS = {1: 40.0, 3: 9.0, 7: 5.0, 15: 4.0, 31: 2.6}  # with the evaluations that the deepest gradient takes
WITHIN = 16 * 2**20


def _found(of: str, depth: int, peak: float, ratio: float, **more: object) -> dict[str, object]:
    return {
        "depth": depth, "of": of, "passes": 1.0 if of != "pass" else 272.0 * depth, "peak_bytes": int(peak),
        "kept_before": 0, "array_bytes": int(peak), "planned_bytes": None if of == "loss" else int(0.99 * peak),
        "value_bytes": VALUE, "seconds": 1e-4 * depth * ratio, "loss_seconds": 1e-4 * depth, "ratio": ratio,
        "ratio_low": 0.98 * ratio, "ratio_high": 1.02 * ratio, "pairs": 9, **more,
    }  # fmt: skip


def _run(*, stores: bool) -> made.MadeUpRun:
    untimed = dict.fromkeys(
        ("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "rel_error")
    )
    rows = []
    for depth in DEPTHS:

        def add(backend: str, found: dict[str, object], family: str, depth: int = depth) -> None:
            place = {"problem": "deep-layers", "size": f"depth-{depth}", "n_params": 272 * depth}
            rows.append(made.row(backend, family=family, findings=found, **place, **untimed))

        add("the loss itself", _found("loss", depth, 3 * VALUE, 1.0), "null")
        add("reverse", _found("gradient", depth, VALUE * (depth + 2 if stores else 6), 2.0), "reverse")
        for k, most in CHECKPOINTS.items():
            less = VALUE * (min(k, depth) + 3 if stores else 7)
            notes = {"checkpoints": min(k, depth), "recomputed_equations": 3 * depth, "kept_bytes": k * VALUE}
            name = f"{k} checkpoint{'s' if k > 1 else ''}"
            add(name, _found("gradient", depth, less, 2 + (most - 2) * depth / DEPTHS[-1], **notes), "reverse")
        fits = VALUE * (depth + 2) <= WITHIN or not stores
        notes = {"memory_limit": WITHIN} if fits else {"memory_limit": WITHIN, "checkpoints": 59}
        less = (VALUE * (depth + 2) if fits else 0.97 * WITHIN) if stores else 7 * VALUE
        add("within 16 MiB", _found("gradient", depth, less, 2.0 if fits else 2.5, **notes), "reverse")
        add("forward", _found("pass", depth, 3 * VALUE, 2.0), "forward")
        add("finite", _found("pass", depth, 3 * VALUE, 3.0), "finite")
    return made.run(rows, answer="storage", baseline="")


AGREES = _run(stores=True)
OPPOSES = _run(stores=False)
SAYS = (
    r"reverse mode's memory grows by 256 KiB per layer, from 1\.50 MiB at 4 layers to 64\.5 MiB at 256.*"
    r"the loss itself stays at 768 KiB.*with 1 checkpoint reverse mode needs 1\.6 % of that memory, 1\.00 MiB, "
    r"for 20 times.*at most a tenth, with 15 checkpoints, needs 7\.0 %, for 2\.0 times the time.*"
    r"With 1 checkpoint at every depth memory stays at 1\.00 MiB"
)
SAYS_INSTEAD = r"reverse mode's memory stays at 1\.50 MiB from 4 layers to 256.*Checkpoints save nothing at 256 layers"
