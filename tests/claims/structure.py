"""Structure instead of size: compressed Jacobians are quick, small and go on; or slow, large and end with the rest.

A mesh takes four products at any size; an arrow as many as it has numbers by rows alone, and three by both together.
"""

from __future__ import annotations

from typing import Any

import made_up_runs as made

BURGERS, ARROW = "difflab.maps_sparse:BURGERS", "difflab.maps_sparse:ARROW"
TITLES = {BURGERS: "Viscous Burgers equation", ARROW: "Arrow map"}
SIZES = {"tiny": 12, "medium": 1000, "xlarge": 100_000}
WAYS = {"reverse": "vjp", "forward": "jvp", "finite": "jvp"}
LIMIT = 2**32
REFUSED = {"outcome": "skipped_predicted", "reason": "the forecast needs 74.5 GiB; the limit is 4 GiB"}


def part(problem: str, n: int, way: str, *, cheap: bool) -> dict[str, Any]:
    """What is found of a Jacobian of n x n: forming it takes two nanoseconds an entry."""
    nbytes, seconds, fits = 8 * n * n, 2e-9 * n * n, 8 * n * n <= LIMIT
    found: dict[str, Any] = {"variable": "x", "out": [n], "into": [n], "entries": n * n, "way": way}
    found |= {"array_bytes": nbytes, "plan_bytes": nbytes, "flops": 8.0 * n * n}
    found["product"] = {"bytes": 16 * n, "plan_bytes": 16 * n, "seconds": 2e-8 * n}
    other = {"way": "jvp" if way == "vjp" else "vjp", "plan_bytes": 128 * n, "flops": found["flops"]}
    measured = {"bytes": 128 * n, "seconds": seconds, "difference": 1e-16, "lanes": 8, "chunks": 1 + n // 8}
    found["chunked"] = other | ({"outcome": "ok", "reason": "", **measured} if fits else REFUSED)
    took = {"bytes": nbytes, "seconds": seconds, "product_seconds": seconds / 9, "difference": 1e-16, "zeros": 0}
    found["jacobian"] = {"outcome": "ok", "reason": "", **took, "zeros": n * n - 3 * n} if fits else REFUSED
    return found | {"compressed": _compressed(problem, n, way, seconds, cheap=cheap)}


def _compressed(problem: str, n: int, way: str, seconds: float, *, cheap: bool) -> dict[str, Any]:
    about: dict[str, Any] = {"nonzeros": 3 * n, "plan_bytes": 200 * n, "flops": 32.0 * n, "prepare_seconds": 1e-6 * n}
    down = way == "vjp"
    done = {"outcome": "ok", "reason": "", "difference": 1e-16}
    if problem == ARROW:
        both = {**done, "products": [2, 1], "seconds": 1e-7 * n if cheap else 4 * seconds, "bytes": 90 * n}
        about |= {"products": [0, 0]} | ({"both": both} if down and cheap else {})
        return about | ({**done, "bytes": 8 * n * n, "seconds": seconds} if 8 * n * n <= LIMIT else REFUSED)
    about["products"] = [0, 4] if down else [4, 0]
    if not cheap and n > SIZES["medium"]:
        return about | REFUSED
    took = 1e-7 * n if cheap else 2 * seconds
    return about | {**done, "bytes": 100 * n if cheap else 16 * n * n, "seconds": took}


def row(problem: str, backend: str, size: str, *, cheap: bool) -> dict[str, Any]:
    """A case of one map."""
    n = SIZES[size]
    parts = [part(problem, n, WAYS[backend], cheap=cheap)]
    findings = {"layer": TITLES[problem], "size": {"n": n}, "limit": LIMIT, "parts": parts}
    untimed = dict.fromkeys(
        ("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "rel_error")
    )
    at = {"problem": problem, "size": size, "n_params": n}
    return made.row(backend, dtype="float64", operator="jacobian", findings=findings, **at, **untimed)


def _run(*, cheap: bool) -> made.MadeUpRun:
    rows = [row(problem, backend, size, cheap=cheap) for problem in TITLES for size in SIZES for backend in WAYS]
    return made.run(rows, answer="wall", operator="jacobian", baseline="")


AGREES = _run(cheap=True)
OPPOSES = _run(cheap=False)
SAYS = (
    r"Compressed, dy/dx of the viscous Burgers equation at n = 100 000 took 9\.54 MiB and 10\.0 ms, from 4 products "
    r"instead of 100 000, where 74\.5 GiB could not be formed.*in the middle of these it took .* times less time.*"
    r"3 more could be compressed, but not formed.*By forward and reverse mode together, dy/dx of the arrow map at "
    r"n = 100 000 took .* from 2 columns and 1 row instead of 100 000 rows, which could not be had.*"
    r"of 6 Jacobians by reverse mode 4 could be formed, 4 could be gone through in chunks and 5 could be compressed"
)
SAYS_INSTEAD = (
    r"Compressed, dy/dx of the viscous Burgers equation at n = 1000 took 15\.3 MiB and 4\.00 ms, from 4 products "
    r"instead of 1 000, where forming it took 7\.63 MiB and 2\.00 ms.*quicker in none, of the 6 that take a "
    r"millisecond or more to form in none.*It lost most on dy/dx of the viscous Burgers equation.*"
    r"4 could be gone through in chunks and 4 could be compressed; the smallest that could not be formed, gone through "
    r"in chunks or compressed is"
)
