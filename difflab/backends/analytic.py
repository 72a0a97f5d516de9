"""The gradient derived by hand that a problem ships, or one given by the user."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import transforms
from ..errors import UnsupportedError
from ..execution.cache import Runner
from ..tape import Tape
from .protocol import Cost, HandDerived, Source, Work


@dataclass(frozen=True)
class Analytic:
    """A hand-derived gradient.

    Args:
        function: ``function(*args)`` returns the value and the gradient, in the structure that the operator asks for;
            ``None`` for the one that comes with a problem.

    Example:
        >>> import numpy as np
        >>> Analytic(lambda x: (np.sum(x * x), 2 * x)).name
        'analytic'
    """

    function: Callable[..., tuple[Any, Any]] | None = None
    name: str = field(default="analytic", init=False, repr=False)
    family: str = field(default="analytic", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "bare")), init=False, repr=False
    )

    def unavailable(self) -> str | None:
        """Always there; whether a function has such a gradient is found when it is prepared."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """As much work as the gradient in reverse mode, line by line."""
        nbytes = tape.bytes + sum(tape.avals[tape.inputs[i]].nbytes for i in wrt)
        like = transforms.simplify(transforms.gradient(tape, wrt))  # nobody can look into what a person wrote
        return Cost(1.0, like.flops, nbytes, works=(Work(like, plain=True),))

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedAnalytic:
        """Nothing to do but to check that there is one."""
        if source.analytic is None:
            raise UnsupportedError(
                "backend 'analytic' needs a gradient derived by hand, and this function came without one; pass "
                "backend=dl.Analytic(fn) with fn(*args) -> (value, gradient)"
            )
        return PreparedAnalytic(source, source.analytic)


class PreparedAnalytic:
    """Calls the hand-derived gradient."""

    def __init__(self, source: Source, function: HandDerived):
        self._source = source
        self._function = function
        self._runner: Runner | None = None
        self.stats: dict[str, Any] = {"primal_calls": 1}
        if source.device == "cpu":
            return
        try:  # on a GPU a function of NumPy's may not run as it is
            tape = source.tape
        except Exception as error:  # whatever a black box does not like about traced arrays
            self.stats["black_box_reason"] = f"{type(error).__name__}: {error}"
        else:
            self._runner = Runner(tape, lambda tape: (tape,), ("value",), frozen=source.frozen, device=source.device)

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The loss, by the user's own function, on a GPU by what was recorded of it."""
        return self._source.call(leaves) if self._runner is None else self._runner.run(list(leaves))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """As derived by hand.

        Raises:
            UnsupportedError: the arguments are on a GPU, where what was written for NumPy's arrays does not run.
        """
        return self._function(leaves) if self._source.device == "cpu" else _there(self._function, leaves)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """The function as the user wrote it, with its arguments in place."""
        call = self._function.bare(leaves)
        return call if self._source.device == "cpu" else functools.partial(_there, call)


def _there(call: Callable[..., Any], *args: Any) -> Any:
    """What a call gives on CuPy's arrays; a refusal of CuPy's becomes one of ours."""
    try:
        return call(*args)
    except TypeError as error:  # CuPy's answer to functions of NumPy's that it does not have
        raise UnsupportedError(
            f"the gradient derived by hand does not run on CuPy's arrays ({' '.join(str(error).split())}); write it "
            "with functions that take them, or use device 'cpu'"
        ) from error
