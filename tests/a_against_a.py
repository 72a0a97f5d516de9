"""A against A: twenty real comparisons of a backend with itself, and thousands by replay of their stored samples.

    python tests/a_against_a.py [--processes N] [--blocks N]

Two backends that differ in name only are timed exactly as a study times its contestants.  Every verdict but
*equivalent* and *ambiguous* is wrong then.  The bound is binomial: if at most 5 % of such verdicts were wrong, as the
harness claims, seeing as many as this script rejects would happen less than once in a thousand runs.  The replay draws
epochs of the stored ones, exchanges the two names at random in each, and lets the stop rule end every comparison; less
than 5 % may be called faster, and as few slower.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.harness import budget, grid, statistics, stopping
from difflab.harness.books import Books
from difflab.harness.engine import Probe
from difflab.harness.ledger import Ledger
from difflab.harness.store import Store
from difflab.harness.study_file import parse

CLAIM = 0.05
RARE = 0.001
REPLAYS = 4000
PROBLEMS = {
    "digits-mlp": ("tiny", "small"),
    "digits-cnn": ("tiny",),
    "mlp": ("tiny", "64x64-32-10"),
    "two-layer": ("tiny", "small"),
    "least-squares": ("small", "medium"),
    "logistic": ("small", "medium"),
    "hinge": ("small", "medium"),
    "xor": ("tiny",),
    "xor-corners": ("tiny",),
    "plane": ("tiny", "network-0.1"),
    "deep-mlp": ("depth-2", "depth-8"),
    "wide-mlp": ("width-8", "width-32"),
}
TWIN = '[[backend]]\nname = "twins:Twin"\nlabel = "{label}"\nwhich = {which}\n'


def study(processes: int) -> str:
    """The study file of all comparisons."""
    problems = "".join(
        f'[[problem]]\nname = "{name}"\nsizes = [{", ".join(map(repr, sizes))}]\n' for name, sizes in PROBLEMS.items()
    )
    twins = "".join(TWIN.format(label=label, which=which) for which, label in enumerate(("one", "other")))
    timing = f"[timing]\nprocesses = {processes}\n"
    return f'title = "A against A"\nquestion = "Are equals equal?"\nbaseline = "one"\n{problems}{twins}{timing}'


def measure(processes: int, blocks: int, folder: Path) -> list[tuple[str, list[tuple[float, float]]]]:
    """The medians of both twins, in seconds, by block and epoch."""
    checked = parse(study(processes), "a_against_a.toml", Probe())
    chosen = grid.blocks(checked)[:blocks]
    found = []
    with Store(folder) as target:
        books = Books(checked, chosen, target, Ledger(), lambda _: None, 0, False)
        try:
            for block in chosen:
                for _ in range(processes):
                    budget.run_epoch(books, block, block.cases)
                one, other = (budget.medians(books, case) for case in block.cases)
                found.append((block.name, list(zip(one, other, strict=True))))
                print(_line(block.name, found[-1][1]), flush=True)
        finally:
            books.close()
    return found


def _line(name: str, pairs: Sequence[tuple[float, float]]) -> str:
    result = _compare(pairs)
    interval = f"{result.low:.3f} to {result.high:.3f}" if result.low and result.high else "n/a"
    return f"{name:32} {pairs[0][0] * 1e6:10.1f} us   ratio {result.ratio:.3f} ({interval}) {result.verdict}"


def _compare(pairs: Sequence[tuple[float, float]]) -> statistics.Ratio:
    return statistics.compare([one for one, _ in pairs], [other for _, other in pairs])


def tolerated(count: int) -> int:
    """The largest number of wrong verdicts in ``count`` that the claim still makes likelier than ``RARE``."""
    tail, number = 1.0, 0
    while tail >= RARE:
        tail -= math.comb(count, number) * CLAIM**number * (1 - CLAIM) ** (count - number)
        number += 1
    return number - 1


def replay(found: Sequence[tuple[str, list[tuple[float, float]]]], times: int) -> dict[str, float]:
    """Which fractions of comparisons, replayed from stored epochs with exchanged names, get each verdict."""
    generator = random.Random(0)
    verdicts: dict[str, int] = dict.fromkeys(statistics.VERDICTS, 0)
    for _ in range(times):
        _, stored = generator.choice(found)
        pairs: list[tuple[float, float]] = []
        while stopping.rule([one for one, _ in pairs], 6, 15, 0.02) is None:
            one, other = generator.choice(stored)
            pairs.append((one, other) if generator.random() < 0.5 else (other, one))
        verdict = _compare(pairs).verdict
        assert verdict is not None
        verdicts[verdict] += 1
    return {verdict: count / times for verdict, count in verdicts.items()}


def main() -> int:
    """Measure, replay, and say whether the claim holds."""
    parser = argparse.ArgumentParser(description="Compare a backend with itself.")
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=20)
    chosen: Any = parser.parse_args()
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="difflab-aa-") as folder:
        found = measure(chosen.processes, chosen.blocks, Path(folder) / "run")
    wrong = sum(_compare(pairs).verdict in ("faster", "slower") for _, pairs in found)
    allowed = tolerated(len(found))
    print(f"real comparisons: {wrong} of {len(found)} were called faster or slower; at most {allowed} are tolerated")
    fractions = replay(found, REPLAYS)
    print(f"{REPLAYS} replays: " + ", ".join(f"{name} {100 * part:.2f} %" for name, part in fractions.items()))
    good = wrong <= allowed and max(fractions["faster"], fractions["slower"]) < CLAIM
    print("the claim holds" if good else "the claim of at most 5 % wrong verdicts does not hold")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
