"""How a backend comes by an operator: by itself, deduced from what it declares, or not at all and why."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UnsupportedError
from .protocol import OPERATORS, SECOND_ORDER, Backend

FIRST_ORDER = ("value_and_gradient", "gradient", "jvp", "vjp", "jacobian")

# From what each operator follows, the best source first; "jvp or vjp" stands for the one with fewer passes.
SOURCES: dict[str, tuple[str, ...]] = {
    "gradient": ("value_and_gradient", "vjp", "jacobian", "jvp"),
    "value_and_gradient": ("gradient", "vjp", "jacobian", "jvp"),
    "jvp": ("vjp", "jacobian", "value_and_gradient", "gradient"),
    "vjp": ("jvp", "jacobian", "value_and_gradient", "gradient"),
    "jacobian": ("jvp or vjp", "jvp", "vjp", "value_and_gradient", "gradient"),
    "hvp": ("hessian", "jvp of gradient", "gradient of gradient"),
    "hessian": ("hvp", "jacobian of gradient", "gradient of gradient"),
}


HOST_ONLY = frozenset({"autograd", "casadi", "lambdify", "numdifftools", "scipy", "symengine"})
"""Peers that compute with NumPy's arrays or with numbers, whatever the machine has."""


class Way(NamedTuple):
    """How a backend comes by an operator.

    ``kind`` is "native", "deduced" or "refused"; ``source`` names what it is deduced from; ``reason`` says why not.
    """

    kind: str
    source: str = ""
    reason: str = ""

    @property
    def scalar(self) -> bool:
        """Whether the way is through a gradient, so that the function must have one output of shape ()."""
        return self.source in ("value_and_gradient", "gradient")

    def __str__(self) -> str:
        if self.kind == "deduced":
            return f"deduced from {self.source}"
        return f"refused: {self.reason}" if self.kind == "refused" else self.kind


def how(backend: Backend, operator: str) -> Way:
    """How ``backend`` comes by ``operator``: read from its capabilities, nothing is tried.

    Args:
        backend: any backend.
        operator: one of ``OPERATORS``.

    Returns:
        A ``Way``; as text "native", "deduced from X" or "refused: why".

    Example:
        >>> from difflab.backends import find
        >>> print(how(find("analytic"), "vjp"))
        deduced from value_and_gradient
    """
    declared = backend.capabilities
    if operator in declared:
        return Way("native")
    for source in SOURCES[operator]:
        if _there(source, declared):
            return Way("deduced", source)
    if operator in SECOND_ORDER:
        return Way("refused", reason=_no_second_order(declared))
    return Way("refused", reason=f"it declares none of {', '.join(map(repr, SOURCES[operator][-4:]))}")


def _there(source: str, declared: frozenset[str]) -> bool:
    if source == "jvp or vjp":
        return {"jvp", "vjp"} <= declared
    if source == "gradient of gradient":
        return "nest" in declared and not declared.isdisjoint(FIRST_ORDER)
    if source == "jvp of gradient":
        return {"nest", "jvp"} <= declared
    if source == "jacobian of gradient":
        return "nest" in declared and not declared.isdisjoint(("jvp", "vjp", "jacobian"))
    return source in declared


def _no_second_order(declared: frozenset[str]) -> str:
    if declared.isdisjoint(FIRST_ORDER):
        return "it declares no derivative that this follows from"
    return (
        "it declares neither 'hvp' nor 'hessian', and its first derivatives cannot be differentiated again (it does "
        "not declare 'nest')"
    )


def require(backend: Backend, operator: str) -> Way:
    """How ``backend`` comes by ``operator``.

    Raises:
        UnsupportedError: it does not; with the reason.
    """
    way = how(backend, operator)
    if way.kind == "refused":
        raise UnsupportedError(f"backend {backend.name!r} cannot do {operator!r}: {way.reason}")
    return way


def require_device(backend: Backend, device: str) -> None:
    """A backend computes where the arguments are.

    Raises:
        UnsupportedError: they are on a GPU, and it computes on the host.
    """
    if device == "gpu" and backend.name in HOST_ONLY:
        raise UnsupportedError(
            f"backend {backend.name!r} computes on the host, and the arguments are on the GPU; fetch them with .get(), "
            "or use a backend that stays there, such as 'reverse'"
        )


def known(operator: str) -> None:
    """Operators are asked for by name.

    Raises:
        UnsupportedError: there is none of that name.
    """
    if operator not in OPERATORS:
        raise UnsupportedError(f"unknown operator {operator!r} (known: {', '.join(OPERATORS)})")
