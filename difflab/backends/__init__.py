"""The backends by name. A module is imported when its backend is asked for, not before."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import InputError, UnavailableError, did_you_mean
from ..tape import Tape
from .protocol import OPERATORS, Backend
from .ways import how

BUILT_IN: dict[str, tuple[str, str]] = {
    "finite": ("difflab.backends.finite", "Finite"),
    "complex-step": ("difflab.backends.complex_step", "ComplexStep"),
    "symbolic": ("difflab.backends.symbolic", "Symbolic"),
    "forward": ("difflab.backends.forward", "Forward"),
    "reverse": ("difflab.backends.reverse", "Reverse"),
    "analytic": ("difflab.backends.analytic", "Analytic"),
    "null": ("difflab.backends.null", "Null"),
}
# Frameworks of others on our tape, of the extra [peers]; each may be there or not.
PEERS: dict[str, tuple[str, str]] = {
    "torch": ("difflab.backends.peers.torch_peer", "Torch"),
    "jax": ("difflab.backends.peers.jax_peer", "Jax"),
    "autograd": ("difflab.backends.peers.autograd_peer", "Autograd"),
    "casadi": ("difflab.backends.peers.casadi_peer", "Casadi"),
    "symengine": ("difflab.backends.peers.symengine_peer", "Symengine"),
    "scipy": ("difflab.backends.peers.scipy_peer", "Scipy"),
    "numdifftools": ("difflab.backends.peers.numdifftools_peer", "Numdifftools"),
    "lambdify": ("difflab.backends.peers.lambdify_peer", "Lambdify"),
}


def names() -> list[str]:
    """Names of all backends: the built-in ones, the peers, then those of the entry-point group ``difflab.backends``."""
    ours = [*BUILT_IN, *PEERS]
    return [*ours, *sorted({entry.name for entry in entry_points("difflab.backends")} - set(ours))]


def find(name: str, **options: Any) -> Backend:
    """The backend of that name with the given options.

    Raises:
        InputError: an unknown name or option, in a sentence.
        UnavailableError: it needs something that is not installed.

    Example:
        >>> find("finite", scheme="forward")
        Finite(scheme='forward', step='auto')
    """
    kind = made_by(name)
    known = _options(kind)
    if known is not None and (unknown := [option for option in options if option not in known]):
        hint = did_you_mean(unknown[0], known) if known else "it has none"
        raise InputError(f"backend {name!r} has no option {unknown[0]!r} {hint}")
    try:
        backend = kind(**options)
    except TypeError as error:
        raise InputError(f"backend {name!r} does not take these options: {error}") from None
    reason = backend.unavailable()
    if reason:
        raise UnavailableError(f"backend {name!r} cannot be used: {reason}")
    return backend


def _options(kind: Any) -> list[str] | None:
    """The names of the options of a backend, ``None`` where they are not fields."""
    return [one.name for one in dataclasses.fields(kind) if one.init] if dataclasses.is_dataclass(kind) else None


def made_by(name: str) -> Any:
    """What makes the backend of that name from its options: a class, whether or not what it needs is installed.

    Args:
        name: of a backend.

    Returns:
        Something that is called with the options.

    Raises:
        InputError: there is no backend of that name.

    Example:
        >>> made_by("finite").__name__
        'Finite'
    """
    if name in BUILT_IN or name in PEERS:
        module, attribute = (BUILT_IN | PEERS)[name]
        return getattr(importlib.import_module(module), attribute)
    entries = [entry for entry in entry_points("difflab.backends") if entry.name == name]
    if not entries:
        raise InputError(f"unknown backend {name!r} {did_you_mean(name, names())}")
    return entries[0].load()


def entry_points(group: str) -> Any:
    """What other packages offer, read when it is asked for: what reads their metadata takes long to import.

    Args:
        group: the name of the group of entry points.

    Returns:
        The entry points, each with a ``name`` and a ``load``.

    Example:
        >>> list(entry_points("difflab.no such group"))
        []
    """
    from importlib import metadata

    return metadata.entry_points(group=group)


def resolve(backend: str | Backend) -> Backend:
    """A backend given by name or by value."""
    if isinstance(backend, str):
        return find(backend)
    if isinstance(backend, type):
        raise InputError(f"backend {backend.__name__} is a class; give one of it, such as {backend.__name__}()")
    if not isinstance(backend, Backend):
        raise InputError(f"backend {backend!r} is neither a name ({', '.join(names())}) nor a backend")
    reason = backend.unavailable()
    if reason:
        raise UnavailableError(f"backend {backend.name!r} cannot be used: {reason}")
    return backend


def by_shape(tape: Tape, wrt: tuple[int, ...]) -> Backend:
    """The backend that needs fewer passes for a Jacobian: forward where there are no more inputs than outputs."""
    inputs = sum(tape.avals[tape.inputs[i]].size for i in wrt)
    outputs = sum(tape.avals[number].size for number in tape.outputs)
    return find("forward" if inputs <= outputs else "reverse")


class Available(NamedTuple):
    """One backend: its name and family, the operators it can do, what is missing (``None`` if nothing is), and how.

    ``ways`` says of every operator "native", "deduced from X" or "refused: why".
    """

    name: str
    family: str
    operators: tuple[str, ...]
    unavailable: str | None
    ways: dict[str, str]


def listing() -> list[Available]:
    """All backends, what they can do, and why one is unavailable.

    Example:
        >>> [one.name for one in listing() if one.unavailable is None][:2]
        ['finite', 'complex-step']
    """
    found = []
    for name in names():
        try:
            backend = find(name)
        except UnavailableError as error:
            found.append(Available(name, "", (), str(error), {}))
            continue
        ways = {operator: how(backend, operator) for operator in OPERATORS}
        operators = tuple(operator for operator, way in ways.items() if way.kind != "refused")
        texts = {operator: str(way) for operator, way in ways.items()}
        found.append(Available(name, backend.family, operators, None, texts))
    return found


class _CallablePackage(ModuleType):
    """`difflab.backends` is this package, and `difflab.backends()` lists what is in it."""

    def __call__(self) -> list[Available]:
        return listing()


sys.modules[__name__].__class__ = _CallablePackage
