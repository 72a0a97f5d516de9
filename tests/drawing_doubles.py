"""Problems that only the tests of drawings know, as ``drawing_doubles:NAME``, and what a run keeps of a problem."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from difflab.harness import drawings
from difflab.harness.drawings import Kept

HOSTILE = '</script><script>document.title = "taken"</script>"><img src=x onerror="document.title=\'taken\'">'


def _problem(name: str, loss: Callable[..., Any], params: dict[str, Any]) -> SimpleNamespace:
    def build(size: str, dtype: str, seed: int) -> SimpleNamespace:
        arrays = {key: np.asarray(value, dtype) for key, value in params.items()}
        return SimpleNamespace(loss=loss, args=(arrays,), analytic=None, n_params=len(params))

    return SimpleNamespace(name=name, sizes={"tiny": {}, "small": {}}, build=build)


def _long(params: dict[str, Any]) -> Any:
    x = params["x"]
    for _ in range(drawings.MOST_EQUATIONS + 1):
        x = np.sin(x)
    return x


def _branches(params: dict[str, Any]) -> Any:
    return np.sin(float(params["x"]))


def _dies(params: dict[str, Any]) -> Any:
    os._exit(3)


LONG = _problem("long", _long, {"x": 1.0})
VECTOR = _problem("vector", lambda params: params["x"] * 2.0, {"x": np.ones(3)})
UNTRACEABLE = _problem("untraceable", _branches, {"x": 1.0})
DIES = _problem("dies", _dies, {"x": 1.0})
HOSTILE_NAMES = _problem(HOSTILE, lambda params: np.sum(params[HOSTILE] * params["b"]), {HOSTILE: np.ones(3), "b": 2.0})


def kept(folder: Path, problem: str, size: str = "tiny", dtype: str = "float64", seed: int = 0) -> Kept:
    """What a run in this folder would keep of a problem."""
    spec = {"problem": problem, "size": size, "dtype": dtype, "seed": seed}
    (folder / "blobs").mkdir(exist_ok=True)
    found = drawings.record(spec, str(folder / "blobs" / "drawing.npz"))
    return drawings.read(folder, spec, seed, {**found, "file": "blobs/drawing.npz"})
