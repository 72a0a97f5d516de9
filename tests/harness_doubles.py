"""Problems and backends that only the tests of the harness know; workers import them as ``harness_doubles:NAME``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from harness_misdeeds import MISDEEDS

from difflab.backends.protocol import Cost


def _loss(params: dict[str, Any], data: Any) -> Any:
    return np.sum(params["w"] * params["w"] * data)


def _analytic(params: dict[str, Any], data: Any) -> tuple[Any, dict[str, Any]]:
    return _loss(params, data), {"w": 2 * params["w"] * data}


def _build(size: str, dtype: str, seed: int) -> SimpleNamespace:
    count = {"tiny": 3, "small": 30}[size]
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(count).astype(dtype) for _ in range(2)]
    return SimpleNamespace(loss=_loss, args=({"w": arrays[0]}, arrays[1]), analytic=_analytic, n_params=count)


def _build_nan(size: str, dtype: str, seed: int) -> SimpleNamespace:
    made = _build(size, dtype, seed)
    made.args[1][1] = np.nan
    return made


def _build_for_ever(size: str, dtype: str, seed: int) -> SimpleNamespace:
    while True:
        time.sleep(1)


def _build_and_die(size: str, dtype: str, seed: int) -> SimpleNamespace:
    os.kill(os.getpid(), signal.SIGKILL)
    return _build(size, dtype, seed)


NEVER_BUILT = SimpleNamespace(name="never-built", sizes={"tiny": {}}, build=_build_for_ever)
DIES = SimpleNamespace(name="dies", sizes={"tiny": {}}, build=_build_and_die)
NAN_SQUARES = SimpleNamespace(name="nan-squares", sizes={"tiny": {}}, build=_build_nan)
SQUARES = SimpleNamespace(name="squares", sizes={"tiny": {}, "small": {}}, build=_build)


@dataclass
class Ready:
    """A prepared gradient that is right, after it has done ``deed``."""

    how: str
    stats: dict[str, Any]
    notes: str = ""
    done: bool = False

    def value_and_gradient(self, leaves: list[Any]) -> tuple[Any, list[Any]]:
        w, data = leaves
        if self.how in MISDEEDS and not self.done:  # once in a process: a case is called thousands of times
            self.done = True
            MISDEEDS[self.how](Path(self.notes))
        gradient = deed(self.how, 2 * w * data)
        return np.sum(w * w * data), [gradient]


def deed(how: str, gradient: np.ndarray) -> Any:
    """What a case does in its call; returns the gradient it claims."""
    if how == "hang":
        time.sleep(60)
    elif how == "ignore SIGTERM and hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    elif how == "allocate in NumPy":
        np.ones(900 * 2**20 // 8)
    elif how == "allocate in Python":
        kept = [bytearray(2**20)]
        while len(kept) < 900:
            kept.append(bytearray(2**20))
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "kill myself":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(7)
    elif how == "sys.exit":
        sys.exit("goodbye")
    elif how == "print for ever":
        while True:
            print("x" * 1000)
            print("y" * 1000, file=sys.stderr)
    elif how == "raise":
        raise ValueError("one\x00 MB: " + "z" * 2**20)
    elif how == "recurse":
        return deed(how, deed(how, gradient))
    elif how == "NaN":
        return gradient * np.nan
    elif how == "wrong shape":
        return gradient[:-1]
    elif how == "complex":
        return gradient + 0j
    elif how == "float32":
        return gradient.astype(np.float32)
    elif how == "wrong":
        return gradient * 1.5
    elif how == "leave a grandchild":
        if os.fork() == 0:
            os.setsid()
            time.sleep(3)
            os._exit(0)
        os._exit(0)
    elif how == "no list":
        return None
    return gradient


@dataclass(frozen=True)
class Double:
    """A backend that misbehaves in the way ``how`` says."""

    how: str = "well"
    forecast_bytes: float = 0.0
    forecast_seconds: float = 0.0
    notes: str = ""  # a file for process ids that it leaves behind

    @property
    def name(self) -> str:
        return "double"

    @property
    def family(self) -> str:
        return "null" if self.how == "null" else "reverse"

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset() if self.how == "incapable" else frozenset({"gradient", "value_and_gradient"})

    def unavailable(self) -> str | None:
        return "it needs a machine that was never built" if self.how == "unavailable" else None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Cost(1.0, 10.0, self.forecast_bytes, self.forecast_seconds)

    def prepare(self, source: Any, operator: str, example: Any) -> Ready:
        warm = len(source.example) == 1  # the worker's own warm-up on a loss of one argument
        if self.how == "hang in prepare" and not warm:
            time.sleep(60)
        stats = {"primal_calls": 1, "tape_length": 3, "note": "a double"}
        return Ready("well" if warm else self.how, stats, self.notes)


@dataclass(frozen=True)
class Slow:
    """A backend whose call takes a known time, and the first one another, if it compiles something."""

    milliseconds: float = 5.0
    first_milliseconds: float | None = None

    name = "slow"
    family = "reverse"
    capabilities = frozenset({"gradient", "value_and_gradient"})

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Cost:
        return Cost(1.0, 10.0, 0.0, 0.0)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        waits = [] if self.first_milliseconds is None else [self.first_milliseconds]

        def call(leaves: list[Any]) -> tuple[Any, list[Any]]:
            time.sleep((waits.pop() if waits else self.milliseconds) / 1000)
            return 0.0, [2 * leaves[0] * leaves[1]]

        return SimpleNamespace(stats={}, value_and_gradient=call)
