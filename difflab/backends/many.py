"""Products along many given directions at once, and which products a backend is good at.

A backend that declares "jvps", "pullbacks" or "hvps" takes all directions of a call with a leading axis of lanes and
runs them through one batched program, chunk by chunk; for any other one product after the other is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..arrays import namespace
from ..execution.chunks import Chunked
from ..primitives.record import Aval
from ..tape import Tape
from .protocol import Backend, Source
from .ways import how


class Products(NamedTuple):
    """The products that cost a backend about as much as a few evaluations, each ``None`` where it has none such.

    ``push`` and ``pull`` are with the Jacobian (J s and r J), ``curve`` with the Hessian (H s): the operator that
    prepares them.
    """

    push: str | None
    pull: str | None
    curve: str | None


def products_of(backend: Backend) -> Products:
    """Which products a backend is good at: read from its capabilities and its family, nothing is tried.

    Forward mode pushes and reverse mode pulls.  Perturbations push, where coordinates may be moved together
    ("sizes"); their pullbacks and products with a Hessian move one coordinate after the other, and those products are
    taken all the same, for a whole Hessian takes more.  What has Jacobians alone, or makes them of formulas, pushes
    by the Jacobian of a function with one number for each product (``substituted.py``).

    Args:
        backend: any backend.

    Returns:
        The operators to prepare.

    Example:
        >>> from difflab.backends import find
        >>> products_of(find("forward")), products_of(find("scipy"))
        (Products(push='jvps', pull=None, curve='hvp'), Products(push='jacobian', pull=None, curve=None))
    """
    declared, family = backend.capabilities, backend.family
    curve = "hvps" if "hvps" in declared else "hvp" if "hvp" in declared else None
    if not declared.isdisjoint(("jvps", "pullbacks")):
        return Products("jvps" if "jvps" in declared else None, "pullbacks" if "pullbacks" in declared else None, curve)
    push, pull = "jvp" in declared, "vjp" in declared
    if family == "symbolic":
        push = pull = False
    if family == "finite":
        push, pull = push and "sizes" in declared, False
    if family == "complex-step":
        pull = False
    if curve is None and "hessian" not in declared and how(backend, "hvp").kind != "refused":
        curve = "hvp"
    whole = "jacobian" in declared and ("jvp" not in declared or family == "symbolic")
    return Products("jvp" if push else "jacobian" if whole and not pull else None, "vjp" if pull else None, curve)


class Many:
    """The compiled programs of one kind of product, one for each number of directions.

    Args:
        source: the function.
        build: from the recorded tape that of one product, whose last inputs are its direction.
        key: names the transform.
        directions: shapes and dtypes of a direction.
        results: shapes and dtypes of a product.
        chunk: "auto", or how many directions to run at once.
    """

    def __init__(
        self,
        source: Source,
        build: Callable[[Tape], Tape],
        key: tuple,
        directions: Sequence[Aval],
        results: Sequence[Aval],
        chunk: str | int,
    ):
        self._source = source
        self._build = build
        self._key = key
        self._directions = directions
        self._results = results
        self._chunk = chunk
        self._sweeps: dict[int, Chunked] = {}

    def sweep(self, count: int) -> Chunked:
        """The program for so many directions."""
        if count not in self._sweeps:
            source = self._source
            flags = [*[False] * len(source.tape.inputs), *[True] * len(self._directions)]
            made = Chunked(
                source.tape, self._build, (*self._key, count), flags, count, self._chunk,
                frozen=source.frozen, device=source.device,
            )  # fmt: skip
            self._sweeps.setdefault(count, made)
        return self._sweeps[count]

    def run(self, leaves: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """The products along directions that are given with a leading axis; so are the results, fresh arrays."""
        count, xp = len(given[0]), namespace(*given)
        if not count:
            return [xp.zeros((0, *result.shape), result.dtype) for result in self._results]
        sweep = self.sweep(count)
        if sweep.lanes == count:
            return sweep.run([*leaves, *given])
        wholes = [xp.empty((count, *result.shape), result.dtype) for result in self._results]
        for start, stop in sweep.spans():
            lanes = [_padded(one[start:stop], sweep.lanes, xp) for one in given]
            for whole, value in zip(wholes, sweep.run([*leaves, *lanes]), strict=True):
                whole[start:stop] = value[: stop - start]
        return wholes


def _padded(lanes: Any, count: int, xp: Any) -> Any:
    """Lanes of the last chunk, with zeros behind them."""
    if len(lanes) == count:
        return lanes
    whole = xp.zeros((count, *lanes.shape[1:]), lanes.dtype)
    whole[: len(lanes)] = lanes
    return whole


def one_by_one(product: Callable[[list[Any]], Sequence[Any]], given: Sequence[Any]) -> list[Any]:
    """Products along many directions by one call for each; there is at least one."""
    xp = namespace(*given)
    wholes: list[Any] = []
    for lane in range(len(given[0])):
        results = product([one[lane] for one in given])
        if not wholes:
            wholes = [xp.empty((len(given[0]), *result.shape), result.dtype) for result in results]
        for whole, result in zip(wholes, results, strict=True):
            whole[lane] = result
    return wholes


__all__ = ["Many", "Products", "one_by_one", "products_of"]
