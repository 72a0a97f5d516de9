"""What the tests of drawings share: drawn problems, their edges in words, and what it means that nothing overlaps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import difflab as dl
from difflab.problems import PROBLEMS
from difflab.views import Trace
from difflab.walk.drawing.coordinates import Placed
from difflab.walk.drawing.draw import Drawing
from difflab.walk.drawing.graph import Graph

TIMES = "\N{MULTIPLICATION SIGN}"
SMALL = ["baydin", "add-mul", "sigmoid-neuron", "scalar-net", "norm-squared", "xor", "digits-mlp", "digits-cnn", "mlp"]
SMALL += ["toeplitz-cnn", "toeplitz-matrices", "two-layer", "hinge"]


def traced(name: str, size: str = "tiny") -> Trace:
    instance = PROBLEMS[name].build(size, "float64", 0)
    return dl.trace(instance.loss, *instance.args)


def drawn(name: str, size: str = "tiny") -> Drawing:
    return traced(name, size).draw()


def edges(found: Graph) -> dict[str, list[tuple[str, Any, Any]]]:
    """By the name of the gate: what comes in, its value, and what goes back."""
    result: dict[str, list[tuple[str, Any, Any]]] = {}
    for use in found.uses:
        last = use.position == len(found.tape)
        target = found.walk.symbol if last else found.names[found.tape.equations[use.position].output]
        back = None if use.contribution is None else use.contribution.tolist()
        result.setdefault(target, []).append((found.names[use.value], found.values[use.value].tolist(), back))
    return result


def assert_tidy(placed: Placed) -> None:
    """Boxes and labels lie apart and in their frame; edges meet no box but their ends."""
    places = []
    for at, item in enumerate(placed.scene.items):
        (x, y), (wide, high) = placed.centres[at], placed.size(at)
        if item.key:
            places.append((at, x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
    slack = 1e-6
    for at, left, top, right, bottom in places:
        assert -slack <= left <= right <= placed.width + slack, placed.scene.items[at].key
        assert -slack <= top <= bottom <= placed.height + slack, placed.scene.items[at].key
    for (a, l1, t1, r1, b1), (b, l2, t2, r2, b2) in itertools.combinations(places, 2):
        assert r1 <= l2 + slack or r2 <= l1 + slack or b1 <= t2 + slack or b2 <= t1 + slack, (a, b)
    for way, path in zip(placed.scene.ways, placed.paths, strict=True):
        for x, y in _points(path):
            for at, left, top, right, bottom in places:
                inside = left + 0.2 < x < right - 0.2 and top + 0.2 < y < bottom - 0.2
                assert not inside or at in way.chain[1:-1], (way, placed.scene.items[at].key)
    for inner in placed.inner.values():
        assert_tidy(inner)


def _points(path: str) -> Iterator[tuple[float, float]]:
    """Points along a path of straight stretches and cubic curves."""
    here = (0.0, 0.0)
    for kind, text in re.findall(r"([MLC])([^MLC]+)", path):
        numbers = [float(number) for number in text.split()]
        corners = [here, *zip(numbers[::2], numbers[1::2], strict=True)]
        for step in range(1, 9) if kind != "M" else ():
            t = step / 8
            cubic = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]
            weights = cubic if kind == "C" else [1 - t, t]
            x, y = (sum(w * corner[k] for w, corner in zip(weights, corners, strict=True)) for k in (0, 1))
            yield x, y
        here = corners[-1]
