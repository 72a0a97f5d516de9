"""Shapes: every derivative has the shapes of the rule; or gradients come transposed and layouts are the same."""

from __future__ import annotations

from typing import Any

import made_up_runs as made

RANKS = "difflab.maps_ranks:RANKS"
BACKENDS = ("reverse", "forward", "symbolic", "finite", "complex-step")
CHECKS = ("gradient", "numerator", "denominator", "transposed", "entries")
W = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
TURNED = [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]


def entry(name: str, out: list[int], variable: list[int], **changed: Any) -> dict[str, Any]:
    """What is found of a map for which everything holds, but for what is ``changed``."""
    found: dict[str, Any] = {
        "name": name, "formula": f"y = {name}", "variable": variable, "out": out, "gradient": variable,
        "numerator": [*out, *variable], "denominator": [*variable, *out], "holds": dict.fromkeys(CHECKS, True),
        "error": 1e-16, "gradient_error": 2e-16, "why": "",
    }  # fmt: skip
    return found | changed


def example(numerator: list[Any], denominator: list[Any], **changed: Any) -> dict[str, Any]:
    """The lectures' W g by g, with these Jacobians."""
    pictures = {"numerator": numerator, "denominator": denominator}
    arguments = [[1.0, 1.0, 1.0], W]
    return entry("vector-by-vector", [2], [3], pictures=pictures, arguments=arguments, **changed)


def row(backend: str, size: str, maps: list[dict[str, Any]], **known: Any) -> dict[str, Any]:
    """A case of the study."""
    untimed = dict.fromkeys(
        ("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "rel_error")
    )
    return made.row(backend, problem=RANKS, size=size, findings={"maps": maps}, **{**untimed, **known})


def run(rows: list[dict[str, Any]]) -> made.MadeUpRun:
    """A run of the study."""
    return made.run(rows, answer="shapes", baseline="")


def _run(*, holds: bool) -> made.MadeUpRun:
    rows = []
    for backend in BACKENDS:
        if holds:
            matrix, outcome = entry("matrix-by-matrix", [2, 4], [3, 4]), "ok"
            vector = example(W, TURNED)
        else:
            failed = dict.fromkeys(CHECKS, False)
            turned: dict[str, Any] = {"holds": failed, "error": None, "gradient_error": None}
            matrix = entry("matrix-by-matrix", [2, 4], [3, 4], gradient=[4, 3], denominator=[2, 4, 3, 4], **turned)
            vector, outcome = example(TURNED, W, **turned), "invalid"
        rows.append(row(backend, "vectors", [vector], outcome=outcome))
        rows.append(row(backend, "matrices", [matrix], outcome=outcome))
    return run(rows)


AGREES = _run(holds=True)
OPPOSES = _run(holds=False)
SAYS = (
    r"Of 10 cases \(2 maps, 5 ways of differentiating, float64\) the rule of the shapes holds in all: the gradient has "
    r"the shape of the variable.*Every way of differentiating finds that the Jacobian of W g by g is W in numerator"
)
SAYS_INSTEAD = (
    r"the rule of the shapes holds in none\. That the gradient has the shape of the variable fails in every case; .*"
    r"It is not found by reverse, .* that the Jacobian of W g by g is W in numerator layout"
)
