"""Functions with containers of every kind, and their Jacobians and Hessians by plain differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import difflab as dl

BACKENDS = ("finite", "symbolic", "forward", "reverse", "analytic")
EXACT = ("symbolic", "forward", "reverse")
NESTING = ("finite", "forward", "reverse")


@dataclasses.dataclass
class Layer:
    """A container that optree does not know."""

    weight: Any
    bias: Any


class Pair(NamedTuple):
    """A container that it does."""

    first: Any
    second: Any


# ---------------------------------------------------------------------------- an independent reference


def mapped(action: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with ``action`` of every leaf, by Python's own means; dicts in the order of their sorted keys."""
    if isinstance(tree, dict):
        return {key: mapped(action, tree[key]) for key in sorted(tree)}
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**{f.name: mapped(action, getattr(tree, f.name)) for f in dataclasses.fields(tree)})
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[mapped(action, item) for item in tree])
    if isinstance(tree, list | tuple):
        return type(tree)([mapped(action, item) for item in tree])
    return action(tree)


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def refilled(tree: Any, leaves: list[Any]) -> Any:
    rest = iter(leaves)
    return mapped(lambda _: next(rest), tree)


def differences(function: Callable[[list[np.ndarray]], list[np.ndarray]], at: list[np.ndarray]) -> list[list[Any]]:
    """blocks[o][i] by central differences extrapolated twice: an error of the order of h**6."""

    def along(i: int, index: tuple[int, ...], h: float) -> list[np.ndarray]:
        sides = []
        for sign in (1.0, -1.0):
            moved = [np.array(leaf, dtype=np.float64) for leaf in at]
            moved[i][index] += sign * h
            sides.append(function(moved))
        return [(np.asarray(a) - np.asarray(b)) / (2 * h) for a, b in zip(*sides, strict=True)]

    outputs = function([np.array(leaf, dtype=np.float64) for leaf in at])
    blocks: list[list[Any]] = [[np.zeros(np.shape(o) + np.shape(x)) for x in at] for o in outputs]
    for i, leaf in enumerate(at):
        for index in np.ndindex(np.shape(leaf)):
            one, half, quarter = (along(i, index, h) for h in (2e-2, 1e-2, 5e-3))
            for number in range(len(outputs)):
                first = (4 * half[number] - one[number]) / 3
                second = (4 * quarter[number] - half[number]) / 3
                blocks[number][i][(..., *index)] = (16 * second - first) / 15
    return blocks


def on_leaves(function: Callable, args: tuple, targets: tuple[int, ...], kwargs: dict) -> tuple[Callable, list[Any]]:
    """The function of the leaves of some of its arguments, to the leaves of its outputs; and those leaves."""
    trees = tuple(args[i] for i in targets)

    def flat(leaves: list[Any]) -> list[Any]:
        given = list(args)
        for position, tree in zip(targets, refilled(trees, [leaf[()] for leaf in leaves]), strict=True):
            given[position] = tree
        return leaves_of(function(*given, **kwargs))

    return flat, leaves_of(trees)


def reference(case: Case) -> Any:
    """The Jacobian as a tree of trees."""
    flat, at = on_leaves(case.function, case.args, case.targets, case.kwargs)
    return assembled(case, differences(flat, at), case.function(*case.args, **case.kwargs))


def second_reference(case: Case) -> Any:
    """The Hessian as a tree of trees, by differences of differences."""
    flat, at = on_leaves(case.function, case.args, case.targets, case.kwargs)
    return assembled(case, differences(lambda leaves: differences(flat, leaves)[0], at), case.variables)


def assembled(case: Case, blocks: list[list[Any]], outside: Any) -> Any:
    return refilled(outside, [refilled(case.variables, row) for row in blocks])


class Case(NamedTuple):
    """A function, its arguments, and the positions to differentiate."""

    function: Callable
    args: tuple
    argnums: Any = 0
    kwargs: dict[str, Any] = {}  # noqa: RUF012 (never written to)

    @property
    def targets(self) -> tuple[int, ...]:
        given = self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)
        return tuple(i % len(self.args) for i in given)

    @property
    def variables(self) -> Any:
        return tuple(self.args[i] for i in self.targets) if isinstance(self.argnums, tuple) else self.args[self.argnums]


RNG = np.random.default_rng(11)
X3, M23 = RNG.normal(size=3), RNG.normal(size=(2, 3))
NET = {"w": RNG.normal(size=(2, 2)), "b": RNG.normal(size=2)}

SCALAR = {
    "number": Case(lambda x: np.sin(x) * x, (0.7,)),
    "0-d": Case(lambda x: np.exp(x) / (1 + x * x), (np.array(0.4),)),
    "vector": Case(lambda x: np.sum(np.tanh(x) ** 2) + x[0] * x[1], (X3,)),
    "matrix": Case(lambda x: np.sum(np.sin(x) @ np.cos(x).T), (M23,)),
    "dict": Case(lambda p, x: np.mean(np.tanh(x @ p["w"] + p["b"]) ** 2), (NET, M23[:, :2])),
    "nested": Case(lambda p: np.sum(p[0] ** 2 * p[1]["a"][0]) * p[1]["b"], ([X3[:2], {"b": 1.5, "a": (X3[1:],)}],)),
    "dataclass": Case(lambda a: np.sum(np.exp(a.weight @ X3) * a.bias), (Layer(M23, np.array([0.5, -1.0])),)),
    "arguments": Case(lambda x, y, z: np.sum(x * y * y) * z, (X3, X3[::-1].copy(), 0.3), (2, 0)),
    "one in a tuple": Case(lambda x, y: np.sum(x * y * y), (X3, X3 + 1), (-1,)),
    "keyword": Case(lambda x, power=1: np.sum(x**power), (X3,), 0, {"power": 3}),
    "empty": Case(lambda x, y: np.sum(x * x) + np.sum(y**3), (np.zeros(0), X3), (0, 1)),
    "size one": Case(lambda x: np.sum(x**3), (np.full((1, 1), 0.5),)),
    "one variable idle": Case(lambda x, y: np.sum(x**3), (X3, 2.0), (0, 1)),
}
OTHERS = {
    "number to vector": Case(lambda x: x * np.array([1.0, 2.0]) ** 2 * x, (0.7,)),
    "0-d to matrix": Case(lambda x: np.sin(x * np.ones((2, 2))), (np.array(0.3),)),
    "wide": Case(lambda x: np.stack([np.sum(x * x), x[0] * x[2]]), (X3,)),
    "tall": Case(lambda x: np.concatenate([x * x[0], np.sin(x)]), (X3,)),
    "matrix to matrix": Case(lambda x: np.tanh(x) @ x.T, (M23,)),
    "rank three": Case(lambda x: x[:, None, :] * np.exp(x)[None, :, :], (M23,)),
    "dict to tuple": Case(lambda p, x: (np.tanh(x @ p["w"] + p["b"]), p["b"] ** 2), (NET, M23[:, :2])),
    "list to dict": Case(lambda p: {"z": [p[0] * p[1]], "a": np.sum(p[0])}, ([X3, 2.0],)),
    "dataclasses": Case(lambda a: Layer(a.weight @ X3, Pair(a.bias[0], a.bias)), (Layer(M23, np.array([0.5, -1.0])),)),
    "arguments to pair": Case(lambda x, y, z: Pair(x * y, np.sum(y) * z), (X3, X3 + 1, 0.3), (2, 0)),
    "constant output": Case(lambda x: (np.array([1.0, 2.0]), x * x), (X3,)),
    "empty output": Case(lambda x: (x[:0], x * 2), (X3,)),
    "empty input": Case(lambda x, y: y * np.sum(x), (np.zeros((0, 2)), X3)),
    "integer output": Case(lambda x: (np.sin(x), np.argmax(x)), (X3,)),
}
ALL = {**SCALAR, **OTHERS}


def chosen(name: str, case: Case) -> Any:
    if name != "analytic":
        return name

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return dl.value_and_gradient(case.function, case.argnums)(*args, **kwargs)

    return dl.Analytic(both)


def compare(found: Any, wanted: Any, bound: float, dtype: str = "float64") -> None:
    """The same containers, shapes and dtype, and values to within ``bound`` of the largest."""
    assert type(found) is type(wanted) or not isinstance(wanted, dict | list | tuple | Layer)
    if isinstance(wanted, dict):
        assert set(found) == set(wanted)
    ours, theirs = leaves_of(found), leaves_of(wanted)
    scale = max([1.0, *[float(np.max(np.abs(leaf), initial=0.0)) for leaf in theirs]])
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), np.dtype(dtype))
        np.testing.assert_allclose(a, b, rtol=0, atol=bound * scale)


def bound_of(name: str, order: int = 1) -> float:
    return (1e-8, 2e-4)[order - 1] if name == "finite" else (1e-9, 1e-7)[order - 1]
