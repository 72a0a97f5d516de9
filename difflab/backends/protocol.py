"""What a backend is: options as fields of a frozen dataclass, and one method that prepares.

Backends see flat lists of arrays; containers are taken apart and rebuilt in ``difflab.operators``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ..tape import Tape

OPERATORS = ("gradient", "value_and_gradient", "jvp", "vjp")


class Cost(NamedTuple):
    """A forecast made before anything is allocated.

    ``primal_calls``: evaluations of the loss (or passes of comparable cost); ``flops``; ``nbytes`` of the arrays;
    ``seconds``: a rough time to prepare and run once, ``nan`` where unknown.
    """

    primal_calls: float
    flops: float
    nbytes: float
    seconds: float = float("nan")


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
    """

    call: Callable[[Sequence[Any]], list[Any]]
    trace: Callable[[], Tape]
    example: list[Any]
    wrt: tuple[int, ...]
    names: list[str] = field(default_factory=list)
    analytic: HandDerived | None = None
    frozen: bool = True

    @cached_property
    def tape(self) -> Tape:
        """The function's tape, recorded once."""
        return self.trace()


@runtime_checkable
class Prepared(Protocol):
    """A derivative ready to be run many times on leaves of the prepared shapes and dtypes.

    Only the methods that the backend's ``capabilities`` name are ever called.  Results are fresh arrays.
    """

    stats: dict[str, Any]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs of the function."""
        ...

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The scalar value and one gradient per differentiated leaf."""
        ...

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents for one tangent per differentiated leaf."""
        ...

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback from one cotangent per output to one per differentiated leaf."""
        ...


class Bare(Protocol):
    """What a ``Prepared`` has besides, where its backend declares the capability "bare".

    Backends that do not work on NumPy leaves convert them; a clock should not see that.
    """

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradient as the backend itself computes and returns them, arguments already converted."""
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
        """finite | symbolic | forward | reverse | analytic | peer | null."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """The operators it can do; declared, never found by trying."""
        ...

    def unavailable(self) -> str | None:
        """A sentence saying what is missing, or ``None``; imports nothing that was not asked for."""
        ...

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """What one call will cost, before anything is allocated."""
        ...

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> Prepared:
        """Do once what need not be done per call."""
        ...


def count(leaves: Sequence[Any]) -> int:
    """The number of scalars in some leaves."""
    return sum(int(np.size(leaf)) for leaf in leaves)
