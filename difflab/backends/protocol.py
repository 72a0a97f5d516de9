"""What a backend is: options as fields of a frozen dataclass, and one method that prepares.

Backends see flat lists of arrays; containers are taken apart and rebuilt in ``difflab.operators``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..primitives.complexes import block_dtype
from ..tape import Tape

OPERATORS = ("gradient", "value_and_gradient", "jvp", "vjp", "jacobian", "hvp", "hessian")
SECOND_ORDER = ("hvp", "hessian")
MANY = ("jvps", "pullbacks", "hvps")
"""Products along many directions at once, which a backend may declare besides."""


class Work(NamedTuple):
    """A program that a call runs: ``tape``, ``runs`` times.

    ``calls`` and ``nbytes``: what goes on around each run, in calls of NumPy and in bytes that they pass through.
    ``batched``: the program was made by batching; ``kept``: it computes values twice on purpose; ``plain``: it is no
    program, but a function that Python runs line by line and that the tape stands for.
    """

    tape: Tape
    runs: float = 1.0
    calls: float = 0.0
    nbytes: float = 0.0
    batched: bool = False
    kept: bool = False
    plain: bool = False


class Scalars(NamedTuple):
    """Generated code on single numbers: its ``operations``, the ``numbers`` that go in and out, and its language."""

    operations: float
    numbers: float
    code: str = "python"
    runs: float = 1.0


class Cost(NamedTuple):
    """A forecast made before anything is allocated.

    ``primal_calls``: evaluations of the loss (or passes of comparable cost); ``flops``; ``nbytes`` of the arrays;
    ``seconds``: a rough time to prepare and run once, ``nan`` where unknown; ``works``: what a call runs, from which a
    calibrated machine knows its time, empty where the backend does not say.
    """

    primal_calls: float
    flops: float
    nbytes: float
    seconds: float = float("nan")
    works: tuple[Work | Scalars, ...] = ()


class HandDerived(Protocol):
    """A gradient derived by hand, on flat leaves; ``bare`` is the user's own function without the conversions."""

    def __call__(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The value and one gradient per differentiated leaf, checked for structure and shape."""
        ...

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """The user's function with its arguments in place."""
        ...


@dataclass
class Source:
    """The function to differentiate, in both of its forms.

    ``call(leaves)`` runs the user's own function on plain arrays and returns its list of output arrays;
    ``tape`` records it on demand (inputs: all live leaves, in order).  ``wrt`` are the positions of the leaves to
    differentiate.  ``frozen``: prepared, so constants may be baked in; otherwise programs are looked up by structure.
    ``analytic(leaves)``, where the problem ships one, is ``(value, gradients)`` derived by hand.
    ``places()`` says where the leaves to differentiate lie in their container.
    ``device`` is where the leaves are: "cpu", or "gpu" where they are CuPy's arrays.
    ``failure`` is why the function cannot be recorded, once that was tried.
    """

    call: Callable[[Sequence[Any]], list[Any]]
    trace: Callable[[], Tape]
    example: list[Any]
    wrt: tuple[int, ...]
    names: list[str] = field(default_factory=list)
    places: Callable[[], list[str]] | None = None
    analytic: HandDerived | None = None
    frozen: bool = True
    device: str = "cpu"
    failure: Exception | None = field(default=None, init=False)
    _tape: Tape | None = field(default=None, init=False)

    @property
    def tape(self) -> Tape:
        """The function's tape, recorded once; a black box is tried once as well."""
        if self.failure is not None:
            raise self.failure
        if self._tape is None:
            try:
                self._tape = self.trace()
            except Exception as error:  # whatever a function does not like about traced arrays
                self.failure = error
                raise
        return self._tape


@runtime_checkable
class Prepared(Protocol):
    """A derivative ready to be run many times on leaves of the prepared shapes and dtypes.

    Besides ``value`` only the methods that the backend's ``capabilities`` name are ever called; whatever it was
    prepared for, it has them all.  Results are fresh arrays.  ``backends.deduced`` gives the other operators.
    """

    stats: dict[str, Any]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs of the function."""
        ...

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The scalar value and one gradient per differentiated leaf."""
        ...

    def gradient(self, leaves: Sequence[Any]) -> list[Any]:
        """One gradient per differentiated leaf; never called where "value_and_gradient" is declared."""
        ...

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents for one tangent per differentiated leaf."""
        ...

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback from one cotangent per output to one per differentiated leaf."""
        ...

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs, and ``blocks[o][i]`` of shape out + in, in the leaf's dtype, complex where the output is."""
        ...

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The Hessian of the scalar output times one vector per differentiated leaf: one product per such leaf."""
        ...

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """``blocks[i][j]`` of shape ``leaf_i.shape + leaf_j.shape``, over the differentiated leaves."""
        ...


class Nesting(Protocol):
    """What a backend has besides, where it declares the capability "nest"."""

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The tape of the results of an operator that it declares, to be replayed inside another derivative.

        "gradient" (or "value_and_gradient"): the output and one gradient per leaf; "jvp": one more input per leaf, the
        outputs and their tangents; "vjp": one more input per output, the outputs and one cotangent per leaf;
        "jacobian": the outputs and the blocks, row by row; "hvp": one more input per leaf and one product per leaf;
        "hessian": the blocks, row by row.
        """
        ...


class Bare(Protocol):
    """What a ``Prepared`` has besides, where its backend declares the capability "bare".

    Backends that do not work on NumPy leaves convert them; a clock should not see that.
    """

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradient as the backend itself computes and returns them, arguments already converted."""
        ...


class Estimating(Protocol):
    """What a ``Prepared`` has besides, where its backend declares the capability "error-estimate"."""

    def error_estimate(self, leaves: Sequence[Any]) -> list[Any]:
        """The estimated absolute error of every entry of the gradients: one array per differentiated leaf."""
        ...


class ManyDirections(Protocol):
    """What a ``Prepared`` has besides, each where its backend declares the capability of that name.

    Directions are given, and products returned, with a leading axis of lanes, of which there is at least one.
    A backend declares what costs about one evaluation a lane.
    """

    def jvps(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs."""
        ...

    def pullbacks(self, leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """One cotangent per differentiated leaf, of every lane."""
        ...

    def hvps(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """The Hessian of the scalar output times the vectors of every lane."""
        ...


class Sizes(Protocol):
    """What a ``Prepared`` has besides, where its backend declares the capability "sizes"."""

    def sizes(self, leaves: Sequence[Any]) -> list[Any]:
        """How far coordinates are to go when they are moved together: powers of two, one array per leaf."""
        ...


class LiveData(Protocol):
    """What a backend has besides, where it declares the capability "live-data": it can write data into formulas."""

    def with_live_data(self) -> Backend:
        """The same backend, of whose formulas all data are inputs."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A way of differentiating."""

    @property
    def name(self) -> str:
        """The name by which it is asked for."""
        ...

    @property
    def family(self) -> str:
        """finite | complex-step | symbolic | forward | reverse | analytic | peer | null."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """The operators that it does itself, declared, not tried.

        Besides "nest", "black-box", "bare", "error-estimate", "sizes", "live-data" and those of ``MANY``.
        """
        ...

    def unavailable(self) -> str | None:
        """A sentence saying what is missing, or ``None``; imports nothing that was not asked for."""
        ...

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """What one call will cost, before anything is allocated."""
        ...

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> Any:
        """Do once what need not be done per call; returns a ``Prepared`` with the methods that are declared."""
        ...


def block_bytes(rows: Sequence[Any], variables: Sequence[Any]) -> int:
    """Bytes of all blocks of a Jacobian, or with the variables as rows of a Hessian."""
    return sum(
        math.prod((*row.shape, *variable.shape)) * block_dtype(row, variable).itemsize
        for row in rows
        for variable in variables
    )
