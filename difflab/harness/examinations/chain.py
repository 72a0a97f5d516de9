"""The chain rule of tensors: the factors of two layers formed for real, their structure, and what needs none of them.

In denominator layout the chain stands in reverse order: the last derivative first.  Each factor, of shape in + out, is
reshaped to a matrix, multiplied, and what comes out reshaped to the shape of the variable; reverse mode gives the same
without any of these matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, UnavailableError, UnsupportedError
from .. import limits, memory, timing
from . import block_structure
from .shapes import tolerance

if TYPE_CHECKING:
    from ...maps_layers import Chain
    from ..session import Session

SCALED = ("examples", "inputs", "units")
SIZES = (*SCALED, "kernel", "channels")
PICTURED = 1024  # entries of the largest factor that is kept
REPEATS = 5


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Form the factors of the open pair of layers with the case's backend, multiply them, and compare.

    Args:
        session: with a case of ``difflab.maps_layers:CHAIN`` open; the size is the pair.
        command: ``settings`` (the sizes of the layers, ``scales``, ``formed``) and ``quick`` (two scales only).

    Returns:
        ``outcome``, ``reason``, ``certified``, ``n_params`` and ``findings``: ``layers`` (names and formulas),
        ``size``, ``factors``, ``chains`` (one for each weight and the input) and ``scales``.  A factor holds ``name``,
        ``out`` and ``into`` (shapes), ``entries``, ``bytes``, ``zeros``, ``structure`` and, where it is small,
        ``matrix``; a chain ``variable``, ``shape``, ``steps`` (``do``, ``what``, ``before`` and ``after``, shapes),
        ``difference`` from reverse mode and ``numerator_difference`` of the same chain in numerator layout; a scale
        ``scale``, ``size``, ``factor_bytes``, ``formed`` and, measured, ``factor_peak``, ``factor_seconds``,
        ``implicit_peak`` and ``implicit_seconds``.
    """
    from ...maps_layers import chain

    settings, pair = command["settings"], session.spec["size"]
    dtype, seed = session.spec["dtype"], session.spec["seed"]
    scales = settings["scales"][:2] if command["quick"] else settings["scales"]
    size = {name: settings[name] for name in SIZES}
    try:
        made = chain(pair, size, dtype, seed)
    except InputError as fault:
        raise UnsupportedError(f"the layers {pair} do not fit each other at these sizes: {fault}") from fault
    session.channel.phase("factors")
    factors = _factors(made, session.backend)
    chains = [_chained(made, factors, name) for name in _variables(made)]
    slack = tolerance(session.backend.family, dtype)
    worst = max(max(one["difference"], one["numerator_difference"]) for one in chains)
    session.channel.phase("scales")
    findings = {
        "layers": [{"name": layer.name, "formula": layer.formula} for layer in made.layers],
        "size": size,
        "factors": [_described(name, rank, array, slack) for name, (rank, array) in factors.items()],
        "chains": chains,
        "scales": [_scaled(session, pair, size, scale, settings["formed"]) for scale in scales],
    }
    right = worst <= slack
    reason = "" if right else f"the chain differs from reverse mode by {worst:.2g}, more than {slack:.2g}"
    count = sum(array.size for array in made.params.values())
    found = {"outcome": "ok" if right else "invalid", "reason": limits.shorten(reason), "n_params": count}
    return {**found, "certified": "no: two ways are compared", "findings": findings}


# ------------------------------------------------------------------------------------------------ factors


def _steps(made: Chain) -> tuple[np.ndarray, np.ndarray]:
    """What comes out of the first layer, and of the second."""
    first = made.layers[0].call(made.weights[0], made.x)
    return np.asarray(first), np.asarray(made.layers[1].call(made.weights[1], first))


def _wanted(made: Chain) -> dict[str, tuple[Callable[[Any], Any], np.ndarray]]:
    """The functions whose Jacobians are the factors, each with its variable, from the loss back."""
    from ...maps_layers import half_square

    first, second = _steps(made)
    one, two = made.layers
    own, last = made.weights

    def with_weight(layer: Any, weights: Mapping[str, Any], name: str, h: Any) -> Callable[[Any], Any]:
        return lambda weight: layer.call({**weights, name: weight}, h)

    found: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {"dL/dy2": (half_square, second)}
    for name, array in last.items():
        found[f"dy2/d{name}2"] = with_weight(two, last, name, first), array
    found["dy2/dy1"] = (lambda h: two.call(last, h)), first
    for name, array in own.items():
        found[f"dy1/d{name}1"] = with_weight(one, own, name, made.x), array
    found["dy1/dx"] = (lambda x: one.call(own, x)), made.x
    return found


def _factors(made: Chain, backend: Any) -> dict[str, tuple[int, np.ndarray]]:
    """All factors in numerator layout, each with the rank of what comes out."""
    from ...jacobians import jacobian

    found = {}
    for name, (function, variable) in _wanted(made).items():
        whole = np.asarray(jacobian(function, backend=backend)(variable))
        found[name] = whole.ndim - variable.ndim, whole
    return found


def _described(name: str, rank: int, whole: np.ndarray, slack: float) -> dict[str, Any]:
    out, into = whole.shape[:rank], whole.shape[rank:]
    matrix = whole.reshape(math.prod(out), -1)
    found = {
        "name": name,
        "out": list(out),
        "into": list(into),
        "entries": whole.size,
        "bytes": whole.nbytes,
        "zeros": block_structure.count_zeros(matrix),
        "structure": block_structure.to_json(block_structure.structure(whole, rank, slack)),
    }
    if whole.size <= PICTURED:
        found["matrix"] = [[float(f"{entry:.6g}") for entry in row] for row in matrix]
    return found


# ------------------------------------------------------------------------------------------------ chains


def _variables(made: Chain) -> list[str]:
    """The weights of both layers and the input, as factors name them."""
    return [*made.params, "x"]


def _path(variable: str) -> list[str]:
    """The names of the factors from the loss to a variable."""
    if variable.endswith("2"):
        return ["dL/dy2", f"dy2/d{variable}"]
    return ["dL/dy2", "dy2/dy1", f"dy1/d{variable}"]


def _chained(made: Chain, factors: Mapping[str, tuple[int, np.ndarray]], variable: str) -> dict[str, Any]:
    """One derivative by its chain of factors in both layouts, beside that of reverse mode."""
    from ...operators import gradient

    params, x = made.params, made.x
    truth = gradient(made.loss, 1)(params, x) if variable == "x" else gradient(made.loss)(params, x)[variable]
    path = [(name, *factors[name]) for name in _path(variable)]
    steps: list[dict[str, Any]] = []
    found = in_denominator(path, steps)
    again = in_numerator(path)
    return {
        "variable": variable,
        "shape": list(np.shape(truth)),
        "steps": steps,
        "difference": _apart(found, truth),
        "numerator_difference": _apart(again, truth),
    }


def in_denominator(path: Sequence[tuple[str, int, np.ndarray]], steps: list[dict[str, Any]]) -> np.ndarray:
    """The derivative of the loss by the last variable of a path: reshape, product, reshape, in reverse order.

    Args:
        path: name, rank of the output, and array in numerator layout of every factor, the derivative of the loss first.
        steps: gets what is done, one entry for each step.

    Returns:
        The derivative, in the shape of the variable.

    Example:
        >>> by_y, y_by_x = np.array([1.0, 10.0]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> in_denominator([("dL/dy", 0, by_y), ("dy/dx", 1, y_by_x)], []).tolist()
        [41.0, 52.0, 63.0]
    """
    name, _, first = path[0]
    column = _reshaped(first, (first.size, 1), name, steps)
    for name, rank, whole in path[1:]:
        out, into = whole.shape[:rank], whole.shape[rank:]
        turned = np.moveaxis(whole, range(rank), range(whole.ndim - rank, whole.ndim))
        matrix = _reshaped(turned, (math.prod(into), math.prod(out)), name, steps)
        product = matrix @ column
        what = f"dL/{name.partition('/')[2]}"
        before = [*matrix.shape, *column.shape]
        steps.append({"do": "product", "what": what, "before": before, "after": list(product.shape)})
        column = product
        result = _reshaped(column, into, what, steps)
    return result if len(path) > 1 else first


def in_numerator(path: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
    """The same chain in numerator layout: a row from the left, in the order of the layers.

    Args:
        path: as for ``in_denominator``.

    Returns:
        The derivative, in the shape of the variable.

    Example:
        >>> by_y, y_by_x = np.array([1.0, 10.0]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> in_numerator([("dL/dy", 0, by_y), ("dy/dx", 1, y_by_x)]).tolist()
        [41.0, 52.0, 63.0]
    """
    row = path[0][2].reshape(1, -1)
    shape = path[0][2].shape
    for _, rank, whole in path[1:]:
        row = row @ whole.reshape(math.prod(whole.shape[:rank]), -1)
        shape = whole.shape[rank:]
    return row.reshape(shape)


def _reshaped(array: np.ndarray, shape: Sequence[int], what: str, steps: list[dict[str, Any]]) -> np.ndarray:
    steps.append({"do": "reshape", "what": what, "before": list(array.shape), "after": list(shape)})
    return array.reshape(shape)


def _apart(found: np.ndarray, truth: Any) -> float:
    """The distance relative to the length of what is right."""
    length = float(np.linalg.norm(np.asarray(truth, np.float64)))
    apart = float(np.linalg.norm(np.subtract(found, truth, dtype=np.float64)))
    return apart / length if length else apart


# ------------------------------------------------------------------------------------------------ bytes and seconds


def _scaled(session: Session, pair: str, size: Mapping[str, int], scale: int, most: int) -> dict[str, Any]:
    """Bytes and seconds of the chain with its factors and of reverse mode without them, the layers ``scale`` as large.

    What counts is the way to the weights: the input's own factor is left out.
    """
    from ...maps_layers import chain
    from ...operators import prepare

    larger = {name: extent * scale if name in SCALED else extent for name, extent in size.items()}
    made = chain(pair, larger, session.spec["dtype"], session.spec["seed"])
    first, second = _steps(made)
    entries = second.size * (1 + first.size) + sum(second.size * one.size for one in made.weights[1].values())
    entries += sum(first.size * one.size for one in made.weights[0].values())
    found: dict[str, Any] = {
        "scale": scale, "size": larger, "factor_bytes": entries * first.itemsize, "formed": entries <= most,
    }  # fmt: skip

    def implicit() -> Callable[[], Any]:
        prepared = prepare(made.loss, made.params, made.x)
        return lambda: prepared.gradient(made.params, made.x)

    found["implicit_peak"], found["implicit_seconds"] = _cost(implicit)
    if found["formed"]:
        found["factor_peak"], found["factor_seconds"] = _cost(lambda: _multiplied(made, session.backend))
    return found


def _multiplied(made: Chain, backend: Any) -> Callable[[], list[np.ndarray]]:
    """What forms the factors and multiplies them to the gradient by the weights; recorded and compiled beforehand."""
    from ...operators import source
    from ..operation import Operation

    paths = [_path(variable) for variable in made.params]
    needed = {name for path in paths for name in path}
    ready = {}
    for name, (function, variable) in _wanted(made).items():
        if name in needed:
            operation = Operation("jacobian", source(function, (variable,), {}, 0))
            ready[name] = operation, operation.prepare(backend), variable.ndim

    def call() -> list[np.ndarray]:
        formed = {}
        for name, (operation, prepared, rank) in ready.items():
            whole = np.asarray(operation.result(prepared)[0])
            formed[name] = whole.ndim - rank, whole
        return [in_denominator([(name, *formed[name]) for name in path], []) for path in paths]

    return call


def _cost(make: Callable[[], Callable[[], Any]]) -> tuple[int, float]:
    """The peak of arrays and objects in a first call, which takes the buffers, and the middle time of later calls."""
    call = make()
    call()
    seconds = float(np.median([timing.timed(call)[0] for _ in range(REPEATS)]))
    nbytes = memory.arrays_during(make())
    if nbytes is None:
        raise UnavailableError(f"this study measures bytes of arrays, and they cannot be: {memory.arrays_refused()}")
    return nbytes, seconds
