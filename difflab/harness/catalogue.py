"""What there is to choose from: problems with their sizes, backends with their options.

It is collected in a worker, because problems and backends import NumPy and the coordinator does not.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..errors import DifflabError, did_you_mean

DTYPES = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Catalogue:
    """``problems`` maps names to sizes, ``backends`` names to families, ``options`` names to field names.

    ``refused`` maps the position of a backend of the study to why it cannot be made with its options; ``traps`` are
    the problems whose sizes are families of traps.
    """

    problems: dict[str, list[str]]
    backends: dict[str, str]
    options: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    traps: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The catalogue as a JSON value."""
        return {
            "problems": self.problems,
            "backends": self.backends,
            "options": self.options,
            "refused": {str(position): why for position, why in self.refused.items()},
            "traps": self.traps,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Catalogue:
        """The catalogue that ``to_json`` wrote."""
        refused = {int(position): why for position, why in value["refused"].items()}
        return Catalogue(value["problems"], value["backends"], value["options"], refused, value["traps"])


def imported(name: str) -> Any:
    """The object named by ``module:attribute``.

    Raises:
        DifflabError: the module or the attribute does not exist.
    """
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as fault:
        raise DifflabError(f"module {module!r} of {name!r} cannot be imported: {fault}") from fault
    if attribute not in vars(found):
        raise DifflabError(f"module {module!r} has no {attribute!r}")
    return vars(found)[attribute]


def find_problem(name: str) -> Any:
    """The problem called ``name``, or the ``Problem`` that ``module:attribute`` names."""
    if ":" in name:
        return imported(name)
    from .. import problems

    return problems.find(name)


def find_backend(name: str, options: dict[str, Any]) -> Any:
    """The backend called ``name`` with ``options``, or what ``module:attribute`` makes of them."""
    if ":" in name:
        return imported(name)(**options)
    from .. import backends

    return backends.find(name, **{key: tuple(one) if isinstance(one, list) else one for key, one in options.items()})


def collect(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str] = ()) -> Catalogue:
    """What there is, and which of the backends ``asked`` for cannot be made.

    Args:
        asked: names and options as the study gives them, in order.
        problems: names of the study; those of the form ``module:attribute`` are looked up too.
    """
    from .. import backends
    from ..problems import PROBLEMS

    sizes = {name: list(problem.sizes) for name, problem in PROBLEMS.items()}
    traps = []
    for name in problems:
        if ":" in name:
            try:
                problem = imported(name)
            except DifflabError:
                continue  # an unknown problem is the study's fault and is reported with its place
            sizes[name] = list(problem.sizes)
            if problem.name == "traps":
                traps.append(name)
    families: dict[str, str] = {}
    options: dict[str, list[str]] = {}
    for name in backends.names():
        try:
            made = backends.find(name)
        except ImportError:
            families[name] = "unavailable"  # a row of the study will say why; a third party's may fail in any import
        else:
            families[name], options[name] = made.family, _options(made)
    refused: dict[int, str] = {}
    for position, (name, chosen) in enumerate(asked):
        try:
            if ":" in name:
                made = find_backend(name, chosen)
                families[name], options[name] = made.family, _options(made)
            elif name in options and set(chosen) <= set(options[name]):
                find_backend(name, chosen)
        except ImportError:
            continue
        except (DifflabError, TypeError, ValueError) as fault:
            refused[position] = str(fault)
    return Catalogue(sizes, families, options, refused, traps)


def _options(backend: Any) -> list[str]:
    return [one.name for one in fields(backend) if one.init] if is_dataclass(backend) else []


def suggestion(name: str, known: Sequence[str]) -> str:
    """``(did you mean ...?)`` for a misspelt name."""
    return did_you_mean(name, list(known))
