"""The tensor chain: mostly zeros, equal to the gradient and dear; or full factors, another result, and no dearer."""

from __future__ import annotations

import math
from typing import Any

import made_up_runs as made

CHAIN = "difflab.maps_layers:CHAIN"
PAIRS = ("dense-dense", "dense-relu")


def factor(name: str, out: list[int], into: list[int], kind: str, zeros: float = 0.75) -> dict[str, Any]:
    """A factor of a kind, with a share of zeros."""
    entries = math.prod((*out, *into))
    rows = math.prod(out)
    return {
        "name": name, "out": out, "into": into, "entries": entries, "bytes": 8 * entries, "zeros": int(zeros * entries),
        "structure": {"kind": kind, "text": f"{kind}: {rows} x 2", "pairs": [], "toeplitz": [], "blocks": 1,
                      "block": [1, 1]},
        "matrix": [[1.0] * (entries // rows)] * rows,
    }  # fmt: skip


def findings(kinds: tuple[str, str], zeros: float, apart: float, times: float) -> dict[str, Any]:
    """What is found of a pair: two factors of these kinds, how far the chain is off, what the factors cost."""
    steps = [
        {"do": "reshape", "what": "dL/dy2", "before": [3, 4], "after": [12, 1]},
        {"do": "product", "what": "dL/dy1", "before": [12, 12, 12, 1], "after": [12, 1]},
    ]
    chains = [
        {"variable": name, "shape": [6, 4], "steps": steps, "difference": apart, "numerator_difference": apart / 2}
        for name in ("W1", "x")
    ]
    size = {"examples": 3, "inputs": 6, "units": 4, "kernel": 3, "channels": 2}
    scales = [
        {"scale": scale, "size": {**size, "inputs": 6 * scale}, "factor_bytes": 4096 * scale**4, "formed": True,
         "implicit_peak": 4096 * scale, "implicit_seconds": 1e-5, "factor_peak": int(4096 * scale * times),
         "factor_seconds": 1e-5 * times}
        for scale in (1, 2)
    ]  # fmt: skip
    factors = [
        factor("dL/dy2", [], [3, 4], "full", 0.0),
        factor("dy2/dy1", [3, 4], [3, 4], kinds[0], zeros),
        factor("dy1/dW1", [3, 4], [6, 4], kinds[1], zeros),
    ]
    layers = [{"name": "dense", "formula": "h W"}, {"name": "relu", "formula": "max(0, h)"}]
    return {"layers": layers, "size": size, "factors": factors, "chains": chains, "scales": scales}


def row(backend: str, pair: str, found: dict[str, Any], **known: Any) -> dict[str, Any]:
    """A case of the study."""
    untimed = dict.fromkeys(
        ("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "rel_error")
    )
    return made.row(backend, problem=CHAIN, size=pair, n_params=24, findings=found, **{**untimed, **known})


def run(rows: list[dict[str, Any]]) -> made.MadeUpRun:
    """A run of the study."""
    return made.run(rows, answer="chain", baseline="")


def _run(found: dict[str, Any], outcome: str) -> made.MadeUpRun:
    return run([row(backend, pair, found, outcome=outcome) for pair in PAIRS for backend in ("reverse", "forward")])


AGREES = _run(findings(("diagonal", "Kronecker product"), 0.75, 2e-16, 100.0), "ok")
OPPOSES = _run(findings(("full", "full"), 0.0, 0.3, 0.5), "invalid")
SAYS = (
    r"Of 4 factors of 2 pairs of layers, 2 are diagonal and 2 are Kronecker products with an identity; 75 % of their "
    r"entries are zero\..*all 8 chains give the gradient of reverse mode in both layouts, up to 2.10⁻¹⁶.*"
    r"100 times the memory"
)
SAYS_INSTEAD = (
    r"4 are full; 0 % of their entries are zero\..*8 of 8 chains do not give the gradient of reverse mode: .* off by "
    r"3.10⁻¹\..*the factors cost no more memory"
)
