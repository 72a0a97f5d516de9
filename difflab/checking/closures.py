"""Stale closures: variables that the loss and its gradient both use and that do not hold the same.

What a function closes over are the cells of enclosing functions, defaults of arguments, globals that its code names,
attributes of the object that it is a method of, arguments kept by ``functools.partial``, and what the helpers that it
calls close over in turn.  A difference is reported only if the loss with the gradient's value put in has the gradient
that was given.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..containers import flatten, paths

DEPTH = 3
MOST = 40
LIBRARIES = ("numpy", "scipy", "difflab")


@dataclass(frozen=True)
class Substitution:
    """The loss with other values of ``names``; ``sure``: the gradient has them under the same names."""

    loss: Callable
    words: str
    names: tuple[str, ...]
    sure: bool = True


def captured(function: Any, depth: int = DEPTH) -> dict[str, Any]:
    """The data that a function closes over, by name; helpers that it calls are looked into."""
    found: dict[str, Any] = {}
    for name, value in _variables(function):
        if name.startswith("__"):
            continue
        if _is_data(value):
            found.setdefault(name, value)
        elif depth and _is_user_function(value):
            for inner, data in captured(value, depth - 1).items():
                found.setdefault(inner, data)
    return found


def _variables(function: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that a function can see besides its arguments."""
    if isinstance(function, functools.partial):
        yield from function.keywords.items()
        names = _parameters(function.func)
        yield from zip(names, function.args, strict=False)
        yield from _variables(function.func)
        return
    if inspect.ismethod(function):
        yield from vars(function.__self__).items() if _has_dict(function.__self__) else ()
        yield from _variables(function.__func__)
        return
    if not isinstance(function, types.FunctionType):
        if _has_dict(function):  # an object that can be called
            yield from vars(function).items()
        call = type(function).__dict__.get("__call__")
        if isinstance(call, types.FunctionType):
            yield from _variables(call)
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is not bound yet
            continue
    yield from (_positional_defaults(function) | (function.__kwdefaults__ or {})).items()
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _has_dict(thing: Any) -> bool:
    return "__dict__" in dir(thing) and not isinstance(thing, type | types.ModuleType)


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # built-ins have no signature
        return []


def _positional_defaults(function: types.FunctionType) -> dict[str, Any]:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = function.__defaults__ or ()
    return dict(zip(names[len(names) - len(given) :], given, strict=True))


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Names in the code of a function and of those defined inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_data(value: Any) -> bool:
    """Numbers, arrays, strings, and containers of them."""
    if callable(value) or isinstance(value, types.ModuleType):
        return False
    if isinstance(value, dict | list | tuple):
        leaves = flatten(value)[0]
        return 0 < len(leaves) <= MOST and all(_is_data(leaf) for leaf in leaves)
    return isinstance(value, np.ndarray | np.generic | bool | int | float | complex | str)


def _is_user_function(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and value.__module__.partition(".")[0] not in LIBRARIES


def literals(function: Any) -> list[float]:
    """Numbers that stand in the code of a function."""
    inner = function.func if isinstance(function, functools.partial) else function
    inner = inner.__func__ if inspect.ismethod(inner) else inner
    if not isinstance(inner, types.FunctionType):
        return []
    return [value for value in _constants(inner.__code__) if isinstance(value, float)]


def _constants(code: types.CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _constants(constant)
        else:
            yield constant


# ---------------------------------------------------------------------------- putting values in


def substituted(function: Any, values: dict[str, Any], depth: int = DEPTH) -> Any:
    """The function as if these names held these values, wherever it or its helpers look them up."""
    if isinstance(function, functools.partial):
        names = _parameters(function.func)
        args = [values.get(name, arg) for name, arg in zip(names, function.args, strict=False)]
        keywords = {name: values.get(name, arg) for name, arg in function.keywords.items()}
        return functools.partial(substituted(function.func, values, depth), *args, **keywords)
    if inspect.ismethod(function):
        inner = substituted(function.__func__, values, depth)
        return types.MethodType(inner, _changed(function.__self__, values))
    if not isinstance(function, types.FunctionType):
        return _changed(function, values)
    cells = tuple(
        _cell(cell, values[name]) if name in values else _inner_cell(cell, values, depth)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    )
    scope = dict(function.__globals__)
    for name in set(_global_names(function.__code__)) & set(scope):
        if name in values and _is_data(scope[name]):
            scope[name] = values[name]
        elif depth and _is_user_function(scope[name]) and scope[name] is not function:
            scope[name] = substituted(scope[name], values, depth - 1)
    defaults = tuple(values.get(name, value) for name, value in _positional_defaults(function).items())
    changed = types.FunctionType(function.__code__, scope, function.__name__, defaults, cells)
    changed.__kwdefaults__ = {name: values.get(name, value) for name, value in (function.__kwdefaults__ or {}).items()}
    return changed


def _cell(old: types.CellType, value: Any) -> types.CellType:
    """A cell with another value of the same kind; a variable of that name that is no data stays."""
    return types.CellType(value) if _is_data(old.cell_contents) else old


def _inner_cell(cell: types.CellType, values: dict[str, Any], depth: int) -> types.CellType:
    try:
        contents = cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return cell
    if depth and _is_user_function(contents):
        return types.CellType(substituted(contents, values, depth - 1))
    return cell


def _changed(thing: Any, values: dict[str, Any]) -> Any:
    """An object with some attributes replaced, without calling ``__init__``."""
    if not _has_dict(thing) or values.keys().isdisjoint(vars(thing)):
        return thing
    other = object.__new__(type(thing))
    for name, value in vars(thing).items():
        object.__setattr__(other, name, values.get(name, value))
    return other


# ---------------------------------------------------------------------------- what differs


def substitutions(loss: Any, gradient: Any) -> Iterator[Substitution]:
    """The loss with values of the gradient's put in, the likeliest first."""
    ours, theirs = captured(loss), captured(gradient)
    different = [name for name in ours if name in theirs and not same_data(ours[name], theirs[name])]
    for name in different:
        words = f"`{name}` is {brief(ours[name])} in the loss and {brief(theirs[name])} in the gradient"
        yield Substitution(substituted(loss, {name: theirs[name]}), words, (name,))
    if len(different) > 1:
        values = {name: theirs[name] for name in different}
        words = ", ".join(f"`{name}`" for name in different) + " do not hold in the gradient what they hold in the loss"
        yield Substitution(substituted(loss, values), words, tuple(different))
    tried = 0
    for name, value in ours.items():
        candidates = [(other, held) for other, held in theirs.items() if other != name and other not in ours]
        candidates = [(f"`{other}`", held) for other, held in candidates]
        if np.shape(value) == ():
            # 2 * 0.01 stands in the code as 0.02; where it stands as it is, a factor is wrong and not the number.
            candidates += [
                (f"{n:g} in its code", n * share)
                for n in literals(gradient) if n and n != value for share in (1.0, 0.5, 2.0)
            ]  # fmt: skip
        for source, held in candidates:
            if _exchangeable(value, held) and tried < MOST:
                tried += 1
                words = f"`{name}` is {brief(value)} in the loss, and the gradient uses {brief(held)} ({source})"
                yield Substitution(substituted(loss, {name: held}), words, (name,), sure=bool(np.ndim(value)))


def _exchangeable(a: Any, b: Any) -> bool:
    """Whether one can stand in the place of the other and is not the same."""
    kinds = (int, float, np.ndarray, np.generic)
    if not isinstance(a, kinds) or not isinstance(b, kinds) or isinstance(a, bool) or isinstance(b, bool):
        return False
    return np.shape(a) == np.shape(b) and not same_data(a, b)


def same_data(a: Any, b: Any) -> bool:
    """Whether two variables hold equal numbers."""
    if a is b:
        return True
    left, right = flatten(a), flatten(b)
    if len(left[0]) != len(right[0]) or paths(left[1], "") != paths(right[1], ""):
        return False
    for one, other in zip(left[0], right[0], strict=True):
        if np.shape(one) != np.shape(other) or not np.array_equal(np.asarray(one), np.asarray(other)):
            return False
    return True


def brief(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray) and value.ndim:
        start = " ".join(f"{one:.4g}" for one in value.ravel()[:3])
        return f"an array of shape {value.shape} ({start}{' ...' if value.size > 3 else ''})"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value:.6g}" if isinstance(value, float | np.floating) else repr(value)
