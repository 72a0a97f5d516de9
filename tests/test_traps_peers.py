"""What JAX, PyTorch and autograd answer at the traps, where they are installed (``pytest -m peers``)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from difflab.traps import TRAPS
from difflab.traps.judge import VERDICTS, ask
from difflab.traps.peers import Autograd, Jax, Torch

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # their warnings are theirs
NAN = math.nan
LIBRARIES = (Jax(), Torch(), Autograd())
# As their users report them: 1/2 at maximum's tie, NaN behind where, and three conventions for clip.
FACTS = {
    "maximum-zero": ([0.5], [0.5], [0.5]),
    "where-relu": ([0.0], [0.0], [0.0]),
    "abs-zero": ([1.0], [0.0], [0.0]),
    "clip-bound": ([0.5], [1.0], [0.0]),
    "norm-zero": ([NAN] * 3, [0.0] * 3, [NAN] * 3),
    "where-log": ([NAN, 0.5], [NAN, 0.5], [NAN, 0.5]),
    "softmax-shifted": ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("position", range(3), ids=[library.name for library in LIBRARIES])
def test_a_library_answers_as_its_users_say(position: int, name: str) -> None:
    found = ask(LIBRARIES[position], TRAPS[name])
    assert list(found.numbers or ()) == pytest.approx(FACTS[name][position], abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_a_library_answers_every_trap_in_one_way_or_another(library: Any) -> None:
    assert library.unavailable() is None
    verdicts = [ask(library, trap).verdict for trap in TRAPS.values()]
    assert set(verdicts) <= set(VERDICTS)
    assert verdicts.count("admissible") > len(verdicts) // 3
    assert verdicts.count("unsupported") < len(verdicts) // 10
