"""A calibration of the machine: what NumPy calls, passes over memory, products and compiling cost here.

It is made once per run, in a worker with the threads of the study, in less than a second; ``durations.py`` adds up from
it what a recorded program will take.  Every figure is the least of several readings, because whatever else the machine
does only adds to it.  Times are in seconds, per call, per element, per equation or per byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives.record import OUT, REGISTRY, Operand, Primitive
from ..primitives.reduce import ADD_REDUCE, MAXIMUM_REDUCE
from . import sample_loss, timing
from .durations import Durations

VERSION = 1
DTYPES = ("float64", "float32", "complex128")
FEW, MANY = 16, 1024  # elements of which the first show what starting a call costs, the second what an element does
WORKING_SETS = (1 << 14, 1 << 18, 1 << 21, 1 << 25)  # bytes that a pass reads and writes
SIDES = (256, 64)  # of matrices: of a product, and of a decomposition
SHORT = 2  # elements of an inner loop that is all overhead
LEAST = 5e-5  # seconds of one reading; a slower call is read alone
READINGS = 4
WAKING = 0.03  # seconds after which a processor that slept runs at its usual speed
SLOW = 1e-3  # seconds: what is slower is read twice in all


def measure() -> dict[str, Any]:
    """Measure the machine.

    Returns:
        A JSON value: ``seconds`` that it took; ``call`` of NumPy functions with few elements, ``element`` of
        element-wise primitives by dtype and name, ``pass`` (bytes and seconds per byte), ``loop`` of a strided pass,
        ``product`` by dtype, ``moves`` of single elements, operations in
        ``python``, and ``compile`` of recorded equations.
    """
    begin = time.perf_counter()
    with np.errstate(all="ignore"):
        timing.warm_up(_calls, 2, WAKING)
        calls = _calls()
        found = {
            "version": VERSION,
            "call": calls,
            "element": {name: _elements(np.dtype(name), calls["elementwise"]) for name in DTYPES},
            "pass": [[nbytes, _pass(nbytes, calls["elementwise"])] for nbytes in WORKING_SETS],
            "touch": _touch(),
            "loop": _loops(),
            "product": {name: _product(np.dtype(name), calls["product"]) for name in DTYPES},
            "moves": _moves(calls),
            "python": _python(),
            "compile": sample_loss.compiling(least),
        }
        calls |= {name: min(value, calls[name]) for name, value in _calls().items()}
        found["crowd"] = _crowd(found)
    return {**found, "seconds": round(time.perf_counter() - begin, 4)}


def _crowd(found: dict[str, Any]) -> float:
    """How many times longer calls take to start one after the other in a program than each in a loop of its own."""
    known, tape, start = Durations({**found, "crowd": 1.0}), sample_loss.gradient(), found["call"]["elementwise"]
    x, out, run = np.ones(FEW), np.empty(FEW), sample_loss.program(tape)
    forecast, ratios = known.program(tape), []
    for _ in range(READINGS):  # side by side, as a processor that changes its speed changes both
        alone = least(lambda: np.multiply(x, x, out))
        ratios.append(least(run) / forecast * start / alone)
    return max(1.0, float(np.median(ratios)))


def least(call: Callable[[], object]) -> float:
    """Seconds per call: the least of several readings, each of as many calls as make it long enough.

    >>> least(lambda: None) < 1e-4
    True
    """
    loops, seconds = timing.calibrate(call, LEAST, 0.0)
    return min(seconds, *[timing.sample(call, loops) for _ in range(1 if seconds > SLOW else READINGS)])


# ------------------------------------------------------------------------------------------------ calls


def _calls() -> dict[str, float]:
    """What it takes to start one call, by what is called; arrays are so small that nothing else counts."""
    x, y, out = np.ones(FEW), np.full(FEW, 0.5), np.empty(FEW)
    plane, small = np.eye(2), np.empty((2, 2))
    side: Any = np.empty(2)
    stack, stacked = np.ones((FEW, 2, 2)), np.empty((FEW, 2, 2))
    where, cells, mask = np.array([1, 0]), np.empty(2), np.arange(FEW) > 3

    def quiet() -> None:
        with np.errstate(all="ignore"):
            pass

    elementwise = least(lambda: np.multiply(x, y, out))
    row = np.ones((1, 2))
    product = least(lambda: np.matmul(plane, plane, small))
    return {
        "elementwise": elementwise,
        "broadcast": max(0.0, least(lambda: np.multiply(plane, row, small)) - elementwise),
        "fresh": max(0.0, least(lambda: np.multiply(x, y)) - elementwise),
        "reduce": least(lambda: ADD_REDUCE(plane, (1,), None, side)),
        "extreme": least(lambda: MAXIMUM_REDUCE(plane, (1,), None, side)),
        "masked": least(lambda: np.copyto(out, x, where=mask)),
        "dot": least(lambda: np.dot(plane, plane, small)),
        "product": product,
        "copy": least(lambda: out.__setitem__(..., x)),
        "view": least(lambda: x.reshape((4, 4))),
        "index": least(lambda: cells.__setitem__(..., x[where])),
        "scatter": least(lambda: np.add.at(out, where, cells)),
        "join": least(lambda: np.concatenate((x, y))),
        "sort": least(lambda: np.sort(y)),
        "linalg": least(lambda: np.linalg.inv(plane)),
        "stacked": max(least(lambda: np.matmul(stack, stack, stacked)) - product, 0.0) / FEW,
        "quiet": least(quiet),
        "python": least(lambda: None),
    }


# ------------------------------------------------------------------------------------------------ elements


def _elements(dtype: np.dtype, start: float) -> dict[str, float]:
    """Seconds per element of every element-wise primitive that takes this dtype, in the first cache."""
    found = {}
    for primitive in REGISTRY:
        if primitive.kind == "elementwise" or primitive.name in ("where", "integer_power"):
            try:
                call = _element_call(primitive, dtype)
                call()
            except (TypeError, ValueError):
                continue  # not of this dtype
            found[primitive.name] = max(least(call) - start, 0.0) / MANY
    return found


def _element_call(primitive: Primitive, dtype: np.dtype) -> Callable[[], object]:
    """A call that fills a buffer as compiled programs do, with numbers of the primitive's domain."""
    if primitive.name == "where":
        operands = [np.arange(MANY) % 3 > 0, np.ones(MANY, dtype), np.zeros(MANY, dtype)]
    elif primitive.name == "integer_power":
        operands = [_numbers(0.5, 2.0).astype(dtype)]
    else:
        kind = np.dtype(bool) if primitive.name.startswith("logical") else dtype
        operands = [_numbers(low, high).astype(kind) for low, high in primitive.domain]
    params = {"exponent": 3} if primitive.name == "integer_power" else {}
    avals: Any = operands  # have shape and dtype as well
    result = np.asarray(primitive.evaluate(*operands, **params))
    if primitive.into is None or result.shape != (MANY,):
        raise TypeError("not element by element")
    out, call = np.empty_like(result), primitive.into(avals, **params)
    arguments = [
        operands[a.index] if isinstance(a, Operand) else out if a is OUT else a
        for a in call.arguments[: len(call.arguments) - call.keyword]
    ]
    if call.keyword:
        return lambda: call.function(*arguments, out=out)
    return lambda: call.function(*arguments)


def _numbers(low: float, high: float) -> np.ndarray:
    """Numbers from a range in no order: of what branches, a sorted array would tell too little."""
    return low + (high - low) * (np.arange(MANY) * 0.6180339887 % 1.0)


def _pass(nbytes: int, start: float) -> float:
    """Seconds per byte of adding two arrays into a third, all three together of so many bytes."""
    x, y, out = (np.ones(nbytes // 24) for _ in range(3))
    return max(least(lambda: np.add(x, y, out)) - start, 0.0) / (x.nbytes * 3)


def _touch() -> float:
    """Seconds per byte of writing to memory for the first time."""
    nbytes = WORKING_SETS[-1]
    start = time.perf_counter()
    np.empty(nbytes, np.uint8)[::4096] = 1  # one byte per page: the system hands out pages
    return (time.perf_counter() - start) / nbytes


def _loops() -> dict[str, float]:
    """Seconds to start one inner loop: of a pass over rows, of one over more axes, and of a sum of rows."""
    x, row, out = np.ones((MANY, SHORT)), np.ones(SHORT), np.empty((MANY, SHORT))
    sums: Any = np.empty(MANY)
    side = round(MANY ** (1 / 3)) + 1
    deep = np.ones((side, 2 * side, 2 * side, SHORT))[:, ::2, ::2]
    filled = np.empty((side, side, side, SHORT))
    plain = least(lambda: np.multiply(x, x, out))
    return {
        "rows": max(least(lambda: np.multiply(x, row, out)) - plain, 0.0) / MANY,
        "deep": max(least(lambda: np.multiply(deep, deep, filled)) - plain, 0.0) / side**3,
        "sums": least(lambda: ADD_REDUCE(x, (1,), None, sums)) / MANY,
    }


# ------------------------------------------------------------------------------------------------ products, moves


def _product(dtype: np.dtype, start: float) -> list[float]:
    """Seconds per floating-point operation of a product of large matrices, and per element of the matrices."""
    side = SIDES[0] if dtype.kind == "f" else SIDES[0] // 2
    a, vector = np.ones((side, side), dtype), np.ones((side, 1), dtype)
    large, tall = np.empty_like(a), np.empty_like(vector)
    each = least(lambda: np.dot(a, a, large)) / (2.0 * side**3)
    thin = least(lambda: np.dot(a, vector, tall)) - start - each * 2.0 * side**2
    return [each, max(thin, 0.0) / (side * (side + 2))]


def _moves(calls: dict[str, float]) -> dict[str, float]:
    """Seconds per element of what is no pass: indices, scattered sums, masks, sorting; per operation of LAPACK."""
    x, out = np.linspace(0.0, 1.0, MANY), np.empty(MANY)
    where = np.argsort(np.cos(np.arange(MANY)))
    mask, shuffled = where > MANY // 2, x[where]
    total: Any = np.empty(())
    square = np.eye(SIDES[1]) * 3.0 + np.outer(*[np.linspace(0.0, 1.0, SIDES[1])] * 2)
    cubic = SIDES[1] ** 3
    return {
        "index": max(least(lambda: out.__setitem__(..., x[where])) - calls["index"], 0.0) / MANY,
        "scatter": max(least(lambda: np.add.at(out, where, x)) - calls["scatter"], 0.0) / MANY,
        "mask": max(least(lambda: np.copyto(out, x, where=mask)) - calls["copy"], 0.0) / MANY,
        "reduce": max(least(lambda: ADD_REDUCE(x, (0,), None, total)) - calls["reduce"], 0.0) / MANY,
        "sort": max(least(lambda: np.sort(shuffled)) - calls["sort"], 0.0) / (MANY * np.log2(MANY)),
        "fft": least(lambda: np.fft.rfft(x)) / (MANY * np.log2(MANY)),
        "solve": max(least(lambda: np.linalg.inv(square)) - calls["linalg"], 0.0) / (2.0 * cubic),
        "eigen": max(least(lambda: np.linalg.eigh(square)) - calls["linalg"], 0.0) / (9.0 * cubic),
    }


# ------------------------------------------------------------------------------------------------ Python


def _python() -> dict[str, float]:
    """Seconds per operation of generated code on single numbers, and per number that goes in or out of it."""
    lines = "".join(f"    a = a * 0.5 + x[{k % FEW}]\n" for k in range(100))
    namespace: dict[str, Any] = {}
    exec(compile(f"def program(x):\n    a = 0.0\n{lines}    return a\n", "<calibration>", "exec"), namespace)
    numbers, array = [0.5] * FEW, np.ones(MANY)
    return {
        "operation": least(lambda: namespace["program"](numbers)) / 200,
        "number": least(lambda: np.asarray(array.ravel().tolist())) / MANY,
    }
