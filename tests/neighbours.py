"""Spinning neighbours: a backend timed among PyTorch, JAX and OpenBLAS agrees with itself timed alone, within 5 %.

    python tests/neighbours.py [--pairs N]

Pools of threads go on spinning for a while after their work is done; without a pause between the turns they take the
processor away from whoever is timed next.  Epochs with neighbours and epochs without take turns, every worker with two
threads so that there are pools; the ratio of each pair of epochs is one observation.  The script fails if the whole
interval of the ratio lies outside 5 %, that is, if the claim is refuted and not merely unproven.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from difflab.harness import budget, grid, statistics
from difflab.harness.books import Books
from difflab.harness.engine import Probe
from difflab.harness.ledger import Ledger
from difflab.harness.store import Store
from difflab.harness.study_file import parse

WITHIN = 0.05
STUDY = """
title = "Neighbours"
question = "Do they disturb?"
[[problem]]
name = "mlp"
sizes = ["64x64-32-10"]
[[problem]]
name = "digits-mlp"
sizes = ["small"]
[[backend]]
name = "reverse"
[[backend]]
name = "spinning:Pool"
library = "openblas"
[[backend]]
name = "spinning:Pool"
library = "torch"
[[backend]]
name = "spinning:Pool"
library = "jax"
[timing]
processes = 6
threads = 2
"""


def main() -> int:
    """Time in turns, print the ratio of each problem, and say whether the claim is refuted."""
    parser = argparse.ArgumentParser(description="Time a backend alone and among others.")
    parser.add_argument("--pairs", type=int, default=6)
    chosen: Any = parser.parse_args()
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    checked = parse(STUDY, "neighbours.toml", Probe())
    refuted = False
    with tempfile.TemporaryDirectory(prefix="difflab-neighbours-") as name:
        with Store(Path(name) / "alone") as quiet, Store(Path(name) / "among") as busy:
            books = [
                Books(checked, grid.blocks(checked), target, Ledger(), lambda _: None, 0, False)
                for target in (quiet, busy)
            ]
            for block in books[0].blocks:
                contestant = block.cases[0]
                for _ in range(chosen.pairs):
                    budget.run_epoch(books[0], block, [contestant])
                    budget.run_epoch(books[1], block, block.cases)
                for case in block.cases:
                    end = books[1].ledger.ends.get(case.id)
                    assert end is None, f"{case.short}: {end}"
                alone, among = (budget.medians(one, contestant) for one in books)
                found = statistics.compare(among, alone, WITHIN)
                low, high = (math.nan if end is None else end for end in (found.low, found.high))
                print(
                    f"{block.name}: {1e6 * statistics.median(alone):.1f} us alone, "
                    f"{1e6 * statistics.median(among):.1f} us among {len(block.cases) - 1} others, "
                    f"ratio {found.ratio:.3f} ({low:.3f} to {high:.3f}, {found.pairs} pairs)",
                    flush=True,
                )
                refuted |= low > 1 + WITHIN or high < 1 - WITHIN
            for one in books:
                one.close()
    print("neighbours disturb by more than 5 %" if refuted else "no disturbance by more than 5 % was shown")
    return 1 if refuted else 0


if __name__ == "__main__":
    sys.exit(main())
