"""Functions and arguments from the user's files, and the faults of these files in one sentence."""

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
SIZES = "sizes"


class Files:
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
                self.loaded[key] = load_file(path.resolve(), place)
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


def load_file(path: Path, shown: str) -> ModuleType:
    """Run a file as a module; files beside it can be imported by it.

    Args:
        path: the file, resolved.
        shown: what to call it in messages.

    Returns:
        The module, by its own name among those that are loaded unless that would hide another one.

    Raises:
        InputError: a fault of the file, in a sentence.
    """
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = path.stem if _is_free(path) else f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{shown} cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with blaming(shown), _arguments_of(shown):
        spec.loader.exec_module(module)
    return module


def _is_free(path: Path) -> bool:
    """Whether the name of a file is no other module's: one that is loaded, or could be, is not to be hidden."""
    if path.stem in sys.modules or not path.stem.isidentifier():
        return False
    spec = importlib.util.find_spec(path.stem)
    return spec is None or spec.origin == str(path)


@contextlib.contextmanager
def _arguments_of(file: str) -> Iterator[None]:
    """The command line that a file sees: none, as if it were run by itself."""
    ours, sys.argv = sys.argv, [file]
    try:
        yield
    finally:
        sys.argv = ours


# ---------------------------------------------------------------------------- arguments


def example_arguments(
    files: Files, loss: str, function: Callable, at: str | None, otherwise: str = ""
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments at which a loss is looked at.

    Args:
        files: where the loss was loaded.
        loss: its name on the command line.
        function: the loss.
        at: what names the arguments; without it they are ``arguments`` or ``example`` beside the loss (at the first of
            the ``sizes`` beside it, where it takes a size), or the defaults of the loss itself.
        otherwise: what else could be given on the command line, for the message where there are none.

    Returns:
        Positional and keyword arguments.

    Raises:
        InputError: there are none, or they do not fit.

    >>> def loss(x=1.5):
    ...     return x**2
    >>> example_arguments(Files(), "difflab.errors:loss", loss, None)
    ([1.5], {})
    """
    place = files.place(loss)
    if at is not None:
        return taken(files.named(at, place), function, at)
    module = files.module(place)
    for name in NAMES:
        if name in vars(module) and vars(module)[name] is not function:
            return taken(_smallest(module, name, place), function, f"{place}:{name}")
    signature = signature_of(function)
    if signature is None:
        raise InputError(f"{loss} has no signature; say with --at where its arguments are")
    ordinary = [
        one for one in signature.parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if not ordinary or any(one.default is one.empty for one in ordinary):
        name, line = loss.rpartition(":")[2], _line([one.name for one in ordinary])
        raise InputError(
            f"nothing says at which arguments to {'call' if otherwise else 'check'} {name}: "
            f"define `arguments` in {place}, a tuple of them, or `example`, a function that returns one, or name one "
            f"with --at FILE.py:NAME{otherwise}; for instance, with your own containers and shapes: {line}"
        )
    return [one.default for one in ordinary], {}


def _smallest(module: ModuleType, name: str, place: str) -> Any:
    """What a file calls its example; one that takes a size with the first of those listed beside it."""
    given = vars(module)[name]
    if not callable(given) or not positions(given)[0]:
        return given
    sizes = vars(module).get(SIZES)
    if not isinstance(sizes, list | tuple) or not sizes:
        raise InputError(
            f"{place}:{name} takes a size, and {place} does not say which there are; "
            "write a list beside it, such as sizes = [10, 100, 1000]"
        )
    return lambda: given(sizes[0])


def positions(function: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments a function must have, and how many it can have.

    Args:
        function: any.

    >>> positions(lambda x, y=1, *, z=2: x)
    (1, 2)
    """
    signature = signature_of(function)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [] if signature is None else [one for one in signature.parameters.values() if one.kind in kinds]
    return sum(one.default is one.empty for one in known), len(known)


def _line(names: list[str]) -> str:
    """What to put into a file, to be adapted."""
    arrays = ", ".join(f"rng.standard_normal({'(3, 4)' if k == 0 else 4})" for k in range(max(1, len(names))))
    comma = "," * (len(names) < 2)
    return f"def example(): rng = np.random.default_rng(0); return {arrays}{comma}  # {', '.join(names)}"


def taken(given: Any, function: Callable, where: str) -> tuple[list[Any], dict[str, Any]]:
    """Arguments from what a name stands for.

    Args:
        given: a tuple or a list of them, a dict of keywords, a single one, or a function that gives one of these.
        function: what takes them.
        where: what to call it in messages.

    Returns:
        Positional and keyword arguments.

    Raises:
        InputError: they do not fit, or the function raised.

    >>> taken((1.0, 2.0), lambda x, y: x * y, "net.py:example")
    ([1.0, 2.0], {})
    """
    if callable(given):
        with blaming(where):
            given = given()
    signature = signature_of(function)
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


def signature_of(function: Callable) -> inspect.Signature | None:
    """The signature of a function, or ``None`` where it has none."""
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
