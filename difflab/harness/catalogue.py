"""What there is to choose from: problems with their sizes, backends with their options.

Questions about it are answered in a worker, because problems and backends import NumPy and the coordinator does not,
and because a study may name modules of its own, whose import may do anything (``probe.py`` asks).
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..errors import DifflabError, did_you_mean
from . import own_loss
from .limits import shorten

DTYPES = ("float16", "float32", "float64")
LONGEST_NAME = 200
OWN_FILES = (__file__, importlib.__file__)
Look = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Catalogue:
    """``problems`` maps names to sizes, ``backends`` names to families, ``options`` names to field names.

    ``refused`` maps the position of a backend of the study to why it cannot be made with its options: pairs of an
    option, empty where it is not one option alone, and a sentence.  ``traps`` are the problems whose sizes are
    families of traps; ``broken`` says why a problem ``module:attribute`` of the study is none.  ``own`` holds what
    ``own_loss.facts`` says of functions in files.
    """

    problems: dict[str, list[str]]
    backends: dict[str, str]
    options: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    traps: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)


def imported(name: str) -> Any:
    """The object named by ``module:attribute``.

    Raises:
        DifflabError: it is not written so, or the module or the attribute does not exist.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise DifflabError(f"{name!r} must name a module and what is in it, as in 'my_losses:CUBES'")
    try:
        found = importlib.import_module(module)
    except ImportError as fault:
        raise DifflabError(f"module {module!r} of {name!r} cannot be imported: {fault}") from fault
    if attribute not in vars(found):
        raise DifflabError(f"module {module!r} has no {attribute!r}")
    return vars(found)[attribute]


def find_problem(name: str) -> Any:
    """The problem called ``name``, the ``Problem`` that ``module:attribute`` names, or the user's own loss."""
    if own_loss.in_file(name):
        return own_loss.load(name)
    if ":" in name:
        found, module = imported(name), sys.modules[name.partition(":")[0]]
        return own_loss.of_function(name, found, module) if inspect.isfunction(found) else found
    from .. import problems

    return problems.find(name)


def problem_of(spec: Mapping[str, Any]) -> Any:
    """The problem of a case, as it was when the run began.

    Args:
        spec: of the case.

    Raises:
        DifflabError: there is none, or the file of a user's own loss has changed since.
    """
    found = find_problem(spec["problem"])
    if spec.get("source") not in (None, found.source if isinstance(found, own_loss.OwnLoss) else None):
        place = spec["problem"].rpartition(":")[0]
        raise DifflabError(f"{place} has changed since the run began; run again to measure what it says now")
    return found


def find_backend(name: str, options: dict[str, Any]) -> Any:
    """The backend called ``name`` with ``options``, or what ``module:attribute`` makes of them."""
    if ":" in name:
        return imported(name)(**options)
    from .. import backends

    return backends.find(name, **{key: tuple(one) if isinstance(one, list) else one for key, one in options.items()})


def look(question: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one question about what there is.

    Args:
        question: ``{"what": "names"}``, or ``"problem"`` with a ``name``, or ``"backend"`` with a ``name`` and
            ``options``; JSON values.

    Returns:
        For names: ``problems``, which maps names to sizes, and ``backends``.  For a problem: ``sizes`` and whether it
        holds ``traps``.  For a backend: its ``family``, the names of its ``options`` and why it is ``refused``, as
        pairs; or that it is ``unavailable``.  For either ``why`` it is none, in a sentence.

    >>> look({"what": "backend", "name": "finite", "options": {"scheme": "up"}})["refused"][0][0]
    'scheme'
    """
    name = question.get("name", "")
    try:
        if question["what"] == "names":
            return _names()
        return _problem(name) if question["what"] == "problem" else _backend(name, question["options"])
    except DifflabError as fault:
        return {"why": shorten(str(fault))}
    except (Exception, SystemExit) as fault:
        return {"why": f"{name!r} cannot be used: {_told(fault)}"}


def collect(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str] = (), ask: Look = look) -> Catalogue:
    """What there is, and what of it a study asks for in vain.

    Args:
        asked: names and options of backends as the study gives them, in order.
        problems: names of the study; those of the form ``module:attribute`` are looked up too.
        ask: answers the questions of ``look``.
    """
    names = ask({"what": "names"})
    sizes: dict[str, list[str]] = dict(names["problems"])
    found = Catalogue(sizes, dict.fromkeys(names["backends"], ""))
    for name in dict.fromkeys(name for name in problems if ":" in name):
        answer = ask({"what": "problem", "name": name})
        if "why" in answer:
            found.broken[name] = answer["why"]
            continue
        sizes[name] = answer["sizes"]
        if answer["traps"]:
            found.traps.append(name)
        if "own" in answer:
            found.own[name] = answer["own"]
    for position, (name, options) in enumerate(asked):
        if ":" not in name and name not in names["backends"]:
            continue
        answer = ask({"what": "backend", "name": name, "options": options})
        if "family" in answer:
            found.backends[name], found.options[name] = answer["family"], answer["options"]
            if answer["refused"]:
                found.refused[position] = [(key, why) for key, why in answer["refused"]]
        elif "why" in answer:
            found.refused[position] = [("", answer["why"])]
        else:
            found.backends[name] = "unavailable"  # a row of the study will say why
    return found


def _names() -> dict[str, Any]:
    from .. import backends
    from ..problems import PROBLEMS

    return {"problems": {name: list(one.sizes) for name, one in PROBLEMS.items()}, "backends": backends.names()}


def _problem(name: str) -> dict[str, Any]:
    problem = find_problem(name)
    if isinstance(problem, own_loss.OwnLoss):
        own = own_loss.facts(problem)
        return {"sizes": own["sizes"], "traps": False, "own": own}
    try:
        kind, sizes, _ = problem.name, [str(size) for size in problem.sizes], problem.build
    except (AttributeError, TypeError) as fault:
        raise DifflabError(f"{name!r} is no problem, which has a name, sizes and a build: {fault}") from fault
    if not sizes:
        raise DifflabError(f"{name!r} has no sizes")
    return {"sizes": sizes, "traps": kind == "traps"}


def _backend(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a backend is, and which of these options it refuses; each is tried alone, so that all are told."""
    from ..backends.protocol import Backend

    made, why = _made(name, {})
    if why is not None:
        if ":" not in name and isinstance(why, ImportError):
            return {"unavailable": True}
        made, whole = _made(name, options)  # it may need options
        if whole is not None:
            raise whole
    if not isinstance(made, Backend):
        parts = "a name, a family, capabilities, unavailable, predict and prepare"
        raise DifflabError(f"{name!r} is no backend, which has {parts}")
    known = [one.name for one in fields(made) if one.init] if is_dataclass(made) else []
    refused: list[tuple[str, str]] = []
    taken = {key: value for key, value in options.items() if key in known}
    if why is None and _made(name, taken)[1] is not None:
        refused = [(key, _told(fault)) for key in taken if (fault := _alone(name, taken, key)) is not None]
        wrong = [key for key, _ in refused]
        together = _made(name, {key: value for key, value in taken.items() if key not in wrong})[1]
        if together is not None:
            refused.append(("", _told(together)))
    return {"family": str(made.family), "options": known, "refused": refused}


def _made(name: str, options: dict[str, Any]) -> tuple[Any, BaseException | None]:
    """A backend with options, or the fault that says why there is none."""
    try:
        return find_backend(name, options), None
    except (Exception, SystemExit) as fault:
        return None, fault


def _alone(name: str, options: dict[str, Any], key: str) -> BaseException | None:
    """Why one option cannot be, if it is wrong both by itself and with any one of the others beside it."""
    fault = _made(name, {key: options[key]})[1]
    pairs = ({other: options[other], key: options[key]} for other in options if other != key)
    return None if fault is None or any(_made(name, pair)[1] is None for pair in pairs) else fault


def _told(fault: BaseException) -> str:
    """A fault in a sentence: difflab's own as they are, others with their type and their place."""
    try:
        text = shorten(str(fault))
    except Exception:  # a user's exception may fail to print itself
        text = ""
    if isinstance(fault, DifflabError):
        return text
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"{type(fault).__name__}: {text}"  # which names the file and the line
    frames = [one for one in traceback.extract_tb(fault.__traceback__) if one.filename not in OWN_FILES]
    where = f" (at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(fault).__name__}{f': {text}' if text else ''}{where}"


def suggestion(name: str, known: Sequence[str]) -> str:
    """``(did you mean ...?)`` for a misspelt name."""
    return did_you_mean(name[:LONGEST_NAME], list(known))
