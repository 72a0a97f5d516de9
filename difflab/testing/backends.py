"""Checks of a backend: every operator that it declares, against reverse mode on the tape."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ..backends import resolve
from ..backends.protocol import MANY, OPERATORS, Backend, Cost
from ..backends.reverse import Reverse
from ..containers import flatten, same, unflatten
from ..errors import InputError, UnsupportedError
from ..operators import prepare, source
from .faults import Faults, Report, near, same_bits

OTHERS = frozenset({"nest", "black-box", "bare", "error-estimate", "sizes", "live-data", *MANY})


class Loss(NamedTuple):
    """A function to try a backend on.

    Args:
        name: how messages call it.
        function: plain NumPy function; its first argument is floating all through.
        args: its arguments, any containers.
        elsewhere: other arguments of the same structure, shapes and dtypes.
        scalar: whether it returns one number; otherwise only jvp, vjp and jacobian are tried.

    Example:
        >>> square = Loss("a square", lambda x: x * x, (0.5,), (-1.5,))
        >>> check_backend("forward", functions=(square,)).subject
        "the backend 'forward'"
    """

    name: str
    function: Callable
    args: tuple
    elsewhere: tuple
    scalar: bool = True

    @property
    def moving(self) -> tuple[int, ...]:
        """Positions of the arguments that are floating all through: jvp and vjp are by all of them."""
        return tuple([i for i, arg in enumerate(self.args) if all(kind in "fc" for kind in _kinds(arg))])

    def tolerance(self, rtol: float) -> float:
        """How far results may be from reverse mode's: in single precision it is the root."""
        single = any(np.asarray(leaf).dtype.char in "fF" for leaf in flatten(self.args)[0])
        return max(rtol**0.5, 1e-5) if single else rtol


def _kinds(tree: Any) -> list[str]:
    return [np.asarray(leaf).dtype.kind for leaf in flatten(tree)[0]]


def _number(x: Any) -> Any:
    return x**3 + np.sin(x) * x


def _vector(x: Any, a: Any) -> Any:
    return np.sum(a * np.tanh(x)) / (1.0 + np.sum(x * x))


def _containers(p: Any, x: Any, labels: Any) -> Any:
    h = np.tanh(x @ p["w"] + p["b"][0])
    return np.mean((h - labels[:, None]) ** 2) * p["scale"]


def _several(x: Any) -> Any:
    return {"wave": np.sin(x) * x[0], "total": np.sum(x * x)}


def losses() -> list[Loss]:
    """The losses that a backend is tried on: a number, arrays, containers, float32, several outputs."""
    a, x = np.array([1.0, 2.0, -0.5]), np.array([0.3, -1.2, 0.8])
    net = {"w": np.array([[0.2, -0.4], [0.6, 0.1]]), "b": [np.array([0.1, -0.3])], "scale": 1.5}
    data, labels = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, 0.7]]), np.array([0, 1, 1])
    half = {"w": net["w"] * 0.5, "b": [net["b"][0] + 1.0], "scale": 0.5}
    found = [
        Loss("a number", _number, (0.7,), (-0.4,)),
        Loss("arrays", _vector, (x, a), (x[::-1] * 0.5, a + 1.0)),
        Loss("containers", _containers, (net, data, labels), (half, data * 0.5, labels[::-1].copy())),
        Loss("float32", _vector, (x.astype("f4"), a.astype("f4")), (-x.astype("f4"), a.astype("f4"))),
        Loss("several outputs", _several, (x,), (x * 0.5,), scalar=False),
    ]
    return found


def _along(tree: Any) -> Any:
    leaves, structure = flatten(tree)
    directions = []
    for leaf in leaves:
        direction = np.cos(1.0 + np.arange(np.size(leaf))).reshape(np.shape(leaf))
        directions.append(
            direction.astype(np.asarray(leaf).dtype) if isinstance(leaf, np.ndarray) else float(direction)
        )
    return unflatten(structure, directions)


def _pushed(prepared: Any, loss: Loss, args: tuple) -> Any:
    return prepared.jvp(args, _along(tuple(args[i] for i in loss.moving)))


def _pulled(prepared: Any, loss: Loss, args: tuple) -> Any:
    value, pullback = prepared.vjp(*args)
    return value, pullback(_along(value))


RUNS: dict[str, Callable[[Any, Loss, tuple], Any]] = {
    "gradient": lambda prepared, loss, args: prepared.gradient(*args),
    "value_and_gradient": lambda prepared, loss, args: prepared.value_and_gradient(*args),
    "jvp": _pushed,
    "vjp": _pulled,
    "jacobian": lambda prepared, loss, args: prepared.jacobian(*args),
    "hvp": lambda prepared, loss, args: prepared.hvp(*args, _along(args[0])),
    "hessian": lambda prepared, loss, args: prepared.hessian(*args),
}


def check_backend(backend: str | Backend, *, rtol: float = 1e-10, functions: tuple[Loss, ...] = ()) -> Report:
    """Check everything that difflab asks of a backend, and name all faults.

    Every operator that it declares against reverse mode, at the prepared and at another point, on a number, arrays,
    containers, float32 and several outputs; results in the right structure, shapes and dtypes, fresh and the same
    twice; arguments left alone; pullbacks called twice and crosswise; several threads; what it does not declare and
    what does not follow from that refused in a sentence.

    Args:
        backend: a name or a backend value.
        rtol: how far results may be from reverse mode's in float64, relative; in float32 it is the square root of that,
            at least 1e-5.
        functions: other losses to try, each a ``Loss``, by default difflab's own.

    Returns:
        A ``Report``.

    Raises:
        CheckError: an ``AssertionError`` that lists all faults, one sentence each.
        InputError, UnavailableError: there is no such backend here.

    Example:
        >>> check_backend("reverse").subject
        "the backend 'reverse'"
    """
    chosen = resolve(backend)
    if not rtol > 0:
        raise InputError(f"check_backend: rtol={rtol!r} is a positive number")
    faults = Faults(f"the backend {chosen.name!r}")
    _protocol(faults, chosen)
    for loss in functions or losses():
        for operator in OPERATORS:
            if not loss.scalar and operator not in ("jvp", "vjp", "jacobian"):
                continue
            what = f"{operator} of {loss.name}"
            if operator not in chosen.capabilities:
                _undeclared(faults, chosen, operator, loss, what)
                continue
            with faults.during(what):
                _operator(faults, chosen, operator, loss, what, rtol)
    return faults.report()


def _protocol(faults: Faults, backend: Backend) -> None:
    unknown = sorted(backend.capabilities - {*OPERATORS, *OTHERS})
    faults.expect(
        not unknown, f"it declares {unknown}, which are no operators ({', '.join([*OPERATORS, *sorted(OTHERS)])})"
    )
    faults.expect(backend.capabilities & set(OPERATORS), "it declares no operator")
    made = source(_vector, (np.ones(3), np.ones(3)))
    for operator in OPERATORS:
        if operator in backend.capabilities:
            with faults.during(f"the forecast of {operator}"):
                cost = backend.predict(made.tape, operator, made.wrt)
                sane = isinstance(cost, Cost) and all(math.isfinite(x) and x >= 0 for x in cost[:3])
                faults.expect(sane, f"the forecast of {operator} is {cost!r}, no Cost of finite numbers")


def _prepared(backend: Backend, operator: str, loss: Loss) -> Any:
    argnums = loss.moving if operator in ("jvp", "vjp") else 0
    return prepare(loss.function, *loss.args, argnums=argnums, backend=backend, operator=operator)


def _undeclared(faults: Faults, backend: Backend, operator: str, loss: Loss, what: str) -> None:
    """What is not declared is deduced by difflab, or refused by name."""
    try:
        RUNS[operator](_prepared(backend, operator, loss), loss, loss.args)
    except UnsupportedError as error:
        faults.expect(repr(backend.name) in str(error), f"{what} is refused without naming the backend: {error}")
    except Exception as error:
        faults.expect(False, f"{what}, which it does not declare, raised {type(error).__name__}: {error}")


def _operator(faults: Faults, backend: Backend, operator: str, loss: Loss, what: str, rtol: float) -> None:
    prepared, reference = _prepared(backend, operator, loss), _prepared(Reverse(), operator, loss)
    tolerance, run = loss.tolerance(rtol), RUNS[operator]
    for args, where in ((loss.args, "at the example"), (loss.elsewhere, "at another point")):
        before = [np.array(leaf) for leaf in flatten(args)[0]]
        found, wanted = run(prepared, loss, args), run(reference, loss, args)
        _alike(faults, found, wanted, f"{what} {where}", tolerance)
        same_args = all(map(same_bits, before, flatten(args)[0]))
        faults.expect(same_args, f"{what} writes into its arguments")
        again = run(prepared, loss, args)
        _fresh(faults, found, again, args, what)
    if operator == "vjp":
        _crosswise(faults, prepared, reference, loss, what, tolerance)
    if operator in ("gradient", "value_and_gradient", "jvp"):
        points = [loss.args, loss.elsewhere] * 8
        wanted = [flatten(run(prepared, loss, args))[0] for args in points[:2]]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda args: flatten(run(prepared, loss, args))[0], points))
        alike = all(all(map(same_bits, leaves, wanted[number % 2])) for number, leaves in enumerate(results))
        faults.expect(alike, f"{what} gives other answers when called from several threads")


def _alike(faults: Faults, found: Any, wanted: Any, what: str, tolerance: float) -> None:
    (leaves, structure), (expected, theirs) = flatten(found), flatten(wanted)
    if not faults.expect(same(structure, theirs), f"{what} is not in the structure of reverse mode's result"):
        return
    for a, b in zip(leaves, expected, strict=True):
        right = np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        kinds = f"{np.asarray(a).dtype}{np.shape(a)} instead of {np.asarray(b).dtype}{np.shape(b)}"
        if faults.expect(right, f"{what} gives {kinds}"):
            faults.expect(near(a, b, tolerance), f"{what} is further than {tolerance:g} from reverse mode's")


def _fresh(faults: Faults, found: Any, again: Any, args: tuple, what: str) -> None:
    first, second = flatten(found)[0], flatten(again)[0]
    faults.expect(all(map(same_bits, first, second)), f"{what} gives another answer the second time")
    inputs = [leaf for leaf in flatten(args)[0] if isinstance(leaf, np.ndarray)]
    results = [leaf for leaf in first if isinstance(leaf, np.ndarray) and leaf.size]
    for number, result in enumerate(results):
        faults.expect(result.flags.writeable, f"{what} gives arrays that cannot be written to")
        for others, whose in ((inputs, "its arguments"), (results[:number], "each other"), (second, "the next call's")):
            shared = any(isinstance(other, np.ndarray) and np.shares_memory(result, other) for other in others)
            faults.expect(not shared, f"results of {what} share memory with {whose}")


def _crosswise(faults: Faults, prepared: Any, reference: Any, loss: Loss, what: str, tolerance: float) -> None:
    """Two pullbacks alive, called in any order and more than once, at arguments that have changed since."""
    pulls = []
    for args in (loss.args, loss.elsewhere):
        leaves, structure = flatten(args)
        copies = [np.array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        value, pullback = prepared.vjp(*unflatten(structure, copies))
        wanted = reference.vjp(*args)[1](_along(value))
        for copy in copies:
            if isinstance(copy, np.ndarray):
                copy[...] = 1
        pulls.append((pullback, _along(value), wanted))
    for number in (1, 0, 0, 1):
        pullback, cotangent, wanted = pulls[number]
        _alike(faults, pullback(cotangent), wanted, f"the pullback of {what}, called crosswise,", tolerance)
