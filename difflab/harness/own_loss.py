"""A user's own loss as a problem: ``FILE.py:FUNCTION``, at the arguments that are written beside it.

Beside the function stands ``example``, which returns a tuple of its arguments, or ``arguments``, such a tuple.  Where
the file has a list ``sizes``, such as ``[10, 100, 1000]``, ``example(size)`` is called with each of them.  Every worker
imports the file for itself, which is why its data must come out the same each time.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean
from ..own_files import NAMES, SIZES, blaming, load_file, positions, signature_of, taken

if TYPE_CHECKING:
    from ..problems.record import Instance

FOLDER_VARIABLE = "DIFFLAB_STUDY_FOLDER"
"""In the environment of workers: where else than in the working directory files of losses are looked for."""
ONLY, GRADIENT = "example", "_gradient"
BACKENDS = ("finite", "symbolic", "forward", "reverse")
LONGEST = 160  # bytes of a name, which becomes part of a file's
SEEDED = "draw it inside `example` from a generator with a seed, as in rng = np.random.default_rng(0)"
_SIZE = re.compile(r"[A-Za-z0-9_.+-]{1,40}")


def in_file(name: str) -> bool:
    """Whether a problem is named as a function in a file.

    >>> in_file("losses/net.py:mlp"), in_file("my_losses:CUBES"), in_file("digits-mlp")
    (True, False, False)
    """
    return name.rpartition(":")[0].endswith(".py")


def is_target(study: str) -> bool:
    """Whether what is to be run is a function and not a study.

    >>> is_target("net.py:mlp"), is_target("losses.net:mlp"), is_target("net.toml"), is_target("digits")
    (True, True, False, False)
    """
    place, _, name = study.rpartition(":")
    return bool(place) and not study.endswith(".toml") and (in_file(study) or name.isidentifier())


def study_text(target: str) -> str:
    """The study that compares the usual backends on a function, as TOML.

    Args:
        target: ``FILE.py:FUNCTION`` or ``module:function``.

    Raises:
        InputError: it is not written so, or there is no such file.

    >>> print(study_text("losses.net:mlp").splitlines()[0])
    title = "mlp of losses.net"
    """
    place, _, function = target.rpartition(":")
    if not function.isidentifier():
        raise InputError(f"{target!r} does not name a function; write {place}:FUNCTION")
    backends = [*BACKENDS]
    if in_file(target) and function + GRADIENT in functions(find(place).read_bytes()):
        backends.append("analytic")
    lines = [
        f"title = {_quoted(f'{function} of {os.path.basename(place)}')}",
        f"question = {_quoted(f'Which way of differentiating {function} is accurate, fast and small enough?')}",
        "",
        "[[problem]]",
        f"name = {_quoted(target)}",
        *[line for name in backends for line in ("", "[[backend]]", f'name = "{name}"')],
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as TOML writes it, which for printable characters is what JSON writes."""
    return json.dumps(text, ensure_ascii=False)


def functions(source: bytes) -> list[str]:
    """The names of the functions at the top of a file; none where it cannot be read as Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []  # whoever imports it says why
    return [one.name for one in body if isinstance(one, ast.FunctionDef)]


def find(place: str) -> Path:
    """The file of a loss: beside the study, or else where the run was started.

    Args:
        place: its path as the user wrote it.

    Raises:
        InputError: there is none.
    """
    if len(os.fsencode(place)) > LONGEST or not place.isprintable():
        raise InputError(f"the path {place[:40]!r}... is too long or not printable; run from the folder of the file")
    for folder in (os.environ.get(FOLDER_VARIABLE), os.getcwd()):
        if folder is not None and os.path.isfile(path := os.path.join(folder, place)):
            return Path(path)
    raise InputError(f"{place}: {'is a folder' if os.path.isdir(place) else 'there is no such file'}")


def nameless(place: str) -> InputError:
    """The fault of naming a file without a function, with the functions that it has."""
    known = [name for name in functions(find(place).read_bytes()) if name not in NAMES and not name.startswith("_")]
    there = f" (there: {', '.join(known)})" if known else ""
    return InputError(f"{place} is a file; name the loss in it as {place}:FUNCTION{there}")


# ---------------------------------------------------------------------------- in a worker


@dataclass(frozen=True)
class OwnLoss:
    """A loss in a module of the user's, as a problem.

    ``values`` are the sizes by their names, empty where the example takes none; ``source`` is the SHA-256 of its file.
    """

    name: str
    title: str
    function: Callable[..., Any]
    module: ModuleType
    values: Mapping[str, Any]
    source: str
    gradient: Callable[..., Any] | None = None

    @property
    def sizes(self) -> dict[str, dict[str, Any]]:
        """From the name of a size to its dimensions."""
        return {name: {SIZES: value} for name, value in self.values.items()} or {ONLY: {}}

    def arguments(self, size: str) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the loss, as the file gives them.

        Raises:
            InputError: there are none, or they do not fit.
        """
        place = self.name.rpartition(":")[0]
        given = _given(self.module, self.function)
        if not given:
            return self._defaults(place)
        example, where = vars(self.module)[given], f"{place}:{given}"
        if self.values:
            return taken(lambda: example(self.values[size]), self.function, where)
        if callable(example) and positions(example)[0]:
            raise InputError(
                f"{where} takes a size, and {place} does not say which there are; "
                "write a list beside it, such as sizes = [10, 100, 1000]"
            )
        return taken(example, self.function, where)

    def _defaults(self, place: str) -> tuple[list[Any], dict[str, Any]]:
        """The defaults of the loss, where it has one for every argument."""
        signature = signature_of(self.function)
        known = [] if signature is None else list(signature.parameters.values())
        if not known or any(one.default is one.empty for one in known):
            function = self.name.rpartition(":")[2]
            raise InputError(
                f"nothing says at which arguments to differentiate {function}: define a function `example` in {place} "
                "that returns a tuple of them, the parameters first"
            )
        return [one.default for one in known if one.kind is not one.KEYWORD_ONLY], {}

    def build(self, size: str, dtype: str, seed: int = 0) -> Instance:
        """The loss at its arguments, with all floating-point arrays in ``dtype``; the data are the file's own.

        Args:
            size: one of ``sizes``.
            dtype: "float16", "float32" or "float64".
            seed: plays no part.
        """
        import numpy as np

        from ..containers import flatten
        from ..problems.record import Instance

        del seed  # of what the harness draws; these data are the user's
        args, kwargs = self.arguments(size)
        wanted = np.dtype(dtype)
        cast = (_cast(args[0], wanted, True), *[_cast(one, wanted, False) for one in args[1:]])
        loss = functools.partial(self.function, **kwargs) if kwargs else self.function
        gradient = self.gradient if self.gradient is None or not kwargs else functools.partial(self.gradient, **kwargs)
        analytic: Any = None if gradient is None else _with_value(loss, gradient)
        n_params = sum(int(np.size(leaf)) for leaf in flatten(cast[0])[0] if np.asarray(leaf).dtype.kind in "fc")
        return Instance(loss, cast, analytic, n_params)


def load(name: str) -> OwnLoss:
    """The loss that ``FILE.py:FUNCTION`` names.

    Args:
        name: of the problem.

    Raises:
        InputError: there is no such file or function, or the file cannot be run.
    """
    place, _, function = name.rpartition(":")
    path = find(place)
    loaded = [one for one in list(sys.modules.values()) if getattr(one, "__file__", None) == str(path.resolve())]
    module = loaded[0] if loaded else load_file(path.resolve(), place)
    if function not in vars(module):
        known = [one for one, value in vars(module).items() if inspect.isfunction(value) and not one.startswith("_")]
        raise InputError(f"{place} has no function {function!r}{f' {did_you_mean(function, known)}' if known else ''}")
    return of_function(name, vars(module)[function], module)


def of_function(name: str, function: Any, module: ModuleType) -> OwnLoss:
    """A function of a module as a problem.

    Args:
        name: of the problem.
        function: the loss.
        module: where it is, and its arguments beside it.

    Raises:
        InputError: it is no function, or its sizes cannot be read.
    """
    if not callable(function):
        raise InputError(f"{name} is no function but {type(function).__name__} {function!r:.40}")
    place, _, short = name.rpartition(":")
    example = vars(module).get(_given(module, function))
    sized = SIZES in vars(module) and callable(example) and positions(example)[1] > 0  # else it is something else
    given = vars(module)[SIZES] if sized else []
    if sized and (not isinstance(given, list | tuple) or not given):
        raise InputError(f"{place}: sizes must be a list, such as [10, 100, 1000]")
    values = {str(one): one for one in given}
    if wrong := [one for one in values if not _SIZE.fullmatch(one)]:
        raise InputError(f"{place}: the size {wrong[0]!r:.60} must be a number or a short word")
    if len(values) < len(given):
        raise InputError(f"{place}: a size is listed twice in sizes")
    file = getattr(module, "__file__", None)
    source = hashlib.sha256(b"" if file is None else Path(file).read_bytes()).hexdigest()
    gradient = vars(module).get(short + GRADIENT)
    title = f"{short} of {os.path.basename(place)}"
    return OwnLoss(name, title, function, module, values, source, gradient if callable(gradient) else None)


def facts(problem: OwnLoss) -> dict[str, Any]:
    """What a coordinator must know of a loss, after it was tried at the smallest size.

    Args:
        problem: the loss.

    Returns:
        ``sizes``; ``dtype`` of its parameters; ``source``, the SHA-256 of its file, and ``data``, that of its arguments
        by size; ``vector``, why it has no gradient if it returns more than one number.

    Raises:
        InputError: it cannot be run, writes into its arguments, or is no finite number there, or its data differ
            from call to call.
    """
    import numpy as np

    from ..containers import flatten
    from .finite_loss import fault_of_loss

    sizes = list(problem.sizes)
    data = {size: _digest(problem.arguments(size)) for size in sizes}
    if _digest(problem.arguments(sizes[0])) != data[sizes[0]]:
        raise different(problem.name)
    args, kwargs = problem.arguments(sizes[0])
    from ..operators import source

    made = source(problem.function, args, kwargs)  # says what cannot be differentiated
    with blaming(problem.name):
        value = problem.function(*args, **kwargs)
    short = problem.name.rpartition(":")[2]
    if _digest((args, kwargs)) != data[sizes[0]]:
        raise InputError(f"{problem.name}: {short} writes into its own arguments; let it work on a copy")
    if np.asarray(value).dtype.kind not in "fciub":
        raise InputError(f"{problem.name} returns {type(value).__name__}; {short} must return a number")
    if fault := fault_of_loss(value, made.example, made.names, "jacobian"):
        raise InputError(f"{problem.name}: {fault}")
    kinds = {np.asarray(leaf).dtype.name for leaf in flatten(args[0])[0] if np.asarray(leaf).dtype.kind == "f"}
    dtype = kinds.pop() if len(kinds) == 1 else "float64"
    return {
        "sizes": sizes,
        "dtype": dtype if dtype in ("float16", "float32") else "float64",
        "source": problem.source,
        "data": data,
        "vector": fault_of_loss(value, made.example, made.names) or "",
    }


def different(name: str) -> InputError:
    """The fault of data that are drawn anew each time."""
    place = name.rpartition(":")[0]
    return InputError(
        f"{place}: the arguments of {name.rpartition(':')[2]} come out differently each time, so no two backends would "
        f"be given the same; {SEEDED}"
    )


def _given(module: ModuleType, function: Any) -> str:
    """Under which name the arguments of a loss stand beside it; empty where they do not."""
    return next((one for one in NAMES if one in vars(module) and vars(module)[one] is not function), "")


def _cast(tree: Any, dtype: Any, numbers: bool) -> Any:
    """The floating-point arrays of a container in a dtype; Python's ``numbers`` too, if that is not their own."""
    import numpy as np

    from ..containers import flatten, unflatten

    def one(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
            return leaf.astype(dtype)
        if isinstance(leaf, np.floating) or (numbers and type(leaf) is float and dtype != np.float64):
            return dtype.type(leaf)
        return leaf

    leaves, structure = flatten(tree)
    return unflatten(structure, [one(leaf) for leaf in leaves])


def _digest(arguments: tuple[list[Any], dict[str, Any]]) -> str:
    """The SHA-256 of all bits of some arguments, their shapes and dtypes."""
    import numpy as np

    from ..containers import flatten

    found = hashlib.sha256()
    args, kwargs = arguments
    for leaf in flatten((*args, *[kwargs[key] for key in sorted(kwargs)]))[0]:
        array = np.asarray(leaf)
        found.update(f"{array.shape} {array.dtype.str} ".encode())
        found.update(repr(leaf).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _with_value(loss: Callable[..., Any], gradient: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A gradient derived by hand together with the value; which of both a function returns shows in its first call."""
    import numpy as np

    from ..containers import flatten, same

    both: list[bool] = []

    def value_and_gradient(*args: Any) -> tuple[Any, Any]:
        answer = gradient(*args)
        if not both:
            pair = isinstance(answer, tuple) and len(answer) == 2 and np.ndim(answer[0]) == 0
            both.append(pair and same(flatten(answer[1])[1], flatten(args[0])[1]))
        return answer if both[0] else (loss(*args), answer)

    return value_and_gradient
