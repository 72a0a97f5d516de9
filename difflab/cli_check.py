"""``difflab check``: functions and arguments from files, faults of these files in one sentence, the report as text."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import PACKAGE_FOLDER, DifflabError, InputError, did_you_mean, location_of

NAMES = ("arguments", "example")


def check_files(
    loss: str,
    gradient: str,
    at: str | None,
    argnum: int,
    tolerance: float | None,
    as_json: bool,
    device: str = "cpu",
) -> tuple[str, bool]:
    """Check a gradient in a file.

    Args:
        loss: ``FILE.py:FUNCTION`` or ``module:function``.
        gradient: likewise; ``:function`` alone is one of the loss's file.
        at: where the arguments are; by default a name in the loss's file, or the defaults of the loss.
        argnum: which argument is differentiated.
        tolerance: largest relative error, or ``None``.
        as_json: whether the report is one JSON document.
        device: where the gradient is computed; on "gpu" its arguments are CuPy's arrays. The truth is the host's.

    Returns:
        The report, and whether the gradient is right.

    Raises:
        InputError: a fault in what was named, or in these files.
        UnavailableError: the device is not to be had.
    """
    from .harness.study_device import check_device

    if check_device(device) == "gpu":
        from .harness.gpu_side import computed_there
    files = _Files()
    # What the user's files print is no result.
    with contextlib.redirect_stdout(sys.stderr):
        function = files.function(loss)
        derivative = files.function(gradient, files.place(loss))
        if device == "gpu":
            derivative = computed_there(derivative)
        args, kwargs = _arguments(files, loss, function, at)
        with blaming(f"{loss} or {gradient}"):
            from .checking import check

            found = check(derivative, function, *args, argnums=argnum, tolerance=tolerance, **kwargs)
    if as_json:
        from .cli_tables import json_text

        return json_text({"check": found.to_dict()}), found.ok
    return str(found), found.ok


class _Files:
    """Modules of the user's, each loaded once."""

    def __init__(self) -> None:
        self.loaded: dict[str, ModuleType] = {}

    def place(self, target: str) -> str:
        """The file or module before the colon."""
        return target.rpartition(":")[0]

    def module(self, place: str) -> ModuleType:
        """A file by its path, its folder at the end of the search path, or a module by its name."""
        if place.endswith(".py"):
            path = Path(place)
            if not path.is_file():
                raise InputError(f"there is no file {place}")
            key = str(path.resolve())
            if key not in self.loaded:
                self.loaded[key] = _load(path.resolve(), place)
            return self.loaded[key]
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        with blaming(place):
            try:
                return importlib.import_module(place)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                    raise
                raise InputError(
                    f"there is no module {place!r}; give FILE.py:FUNCTION, or module:function of what can be imported"
                ) from None

    def named(self, target: str, default: str = "") -> Any:
        """What a target names."""
        place, _, name = target.rpartition(":")
        place = place or default
        if not place or not name or (not target.rpartition(":")[0] and name.endswith(".py")):
            raise InputError(f"{target!r} does not name anything in a file; write FILE.py:NAME")
        module = self.module(place)
        found: Any = module
        for step in name.split("."):
            if not _has(found, step):
                known = [
                    one
                    for one, value in vars(module).items()
                    if not one.startswith("_") and type(value) is not ModuleType
                ]
                raise InputError(f"{place} has no {name!r}{f' {did_you_mean(name, known)}' if known else ''}")
            found = getattr(found, step)
        return found

    def function(self, target: str, default: str = "") -> Callable:
        """A function by its target."""
        found = self.named(target, default)
        if not callable(found):
            raise InputError(f"{target} is no function but {_kind(found)}")
        return found


def _has(thing: Any, name: str) -> bool:
    try:
        getattr(thing, name)
    except AttributeError:
        return False
    return True


def _load(path: Path, shown: str) -> ModuleType:
    """Run a file as a module; files beside it can be imported by it."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    # Another file may import this one by its name; a module of that name that is there already stays.
    name = path.stem if path.stem not in sys.modules and path.stem.isidentifier() else f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{shown} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with blaming(shown), _arguments_of(shown):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _arguments_of(file: str) -> Iterator[None]:
    """The command line that a file sees: none, as if it were run by itself."""
    ours, sys.argv = sys.argv, [file]
    try:
        yield
    finally:
        sys.argv = ours


# ---------------------------------------------------------------------------- arguments


def _arguments(files: _Files, loss: str, function: Callable, at: str | None) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of the loss."""
    if at is not None:
        return _taken(files.named(at, files.place(loss)), function, at)
    module = files.module(files.place(loss))
    for name in NAMES:
        if name in vars(module):
            return _taken(vars(module)[name], function, f"{files.place(loss)}:{name}")
    signature = _signature(function)
    if signature is None:
        raise InputError(f"{loss} has no signature; say with --at where its arguments are")
    ordinary = [
        one for one in signature.parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if not ordinary or any(one.default is one.empty for one in ordinary):
        raise InputError(
            f"nothing says at which arguments to check: define `arguments` in {files.place(loss)}, a tuple of the "
            f"arguments of {loss.rpartition(':')[2]} or a function that returns one, or name one with --at FILE.py:NAME"
        )
    return [one.default for one in ordinary], {}


def _taken(given: Any, function: Callable, where: str) -> tuple[list[Any], dict[str, Any]]:
    """Arguments from what a name stands for: a tuple, a list, a dict of keywords, or a function that gives one."""
    if callable(given):
        with blaming(where):
            given = given()
    signature = _signature(function)
    if isinstance(given, dict) and signature is not None and set(given) <= set(signature.parameters) and given:
        try:
            bound = signature.bind(**given)
        except TypeError as error:
            raise InputError(f"{where} does not give the arguments of `{function.__name__}`: {error}") from None
        return list(bound.args), dict(bound.kwargs)
    args = list(given) if isinstance(given, tuple | list) else [given]
    if signature is not None:
        try:
            signature.bind(*args)
        except TypeError as error:
            raise InputError(
                f"{where} holds {len(args)} argument{'s' * (len(args) != 1)} and does not fit "
                f"`{getattr(function, '__name__', 'the loss')}`: {error}"
            ) from None
    return args, {}


def _signature(function: Callable) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # built-ins have none
        return None


def _kind(thing: Any) -> str:
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# ---------------------------------------------------------------------------- faults of the user's files


@contextlib.contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn an exception of the user's code into one sentence with its place; difflab's own faults pass."""
    try:
        yield
    except DifflabError:
        raise
    except SyntaxError as error:
        place = os.path.basename(error.filename or what) + (f":{error.lineno}" if error.lineno else "")
        raise InputError(f"{place}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        if not isinstance(error, SystemExit) and _is_ours(error):
            raise
        text = str(error).partition("\n")[0]
        if isinstance(error, ImportError) and "no known parent package" in text:
            text += "; from the folder above the package, name it as package.module:NAME"
        raise InputError(f"{location_of(error)}: {type(error).__name__}{f': {text}' if text else ''}") from None


def _is_ours(error: BaseException) -> bool:
    """Whether an exception was raised in difflab itself and not below a function of the user's."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    last = max((at for at, name in enumerate(frames) if not name.startswith((PACKAGE_FOLDER, "<frozen"))), default=-1)
    ours = max((at for at, name in enumerate(frames) if name.startswith(PACKAGE_FOLDER)), default=-1)
    return ours > last
