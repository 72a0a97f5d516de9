"""What ``compare`` and ``recommend`` are asked about: a loss of the user's, its arguments, the backends."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..own_files import Files, example_arguments, signature_of

LossArgument = Annotated[
    str, typer.Argument(metavar="FILE.py:LOSS", help="The loss, in plain NumPy; or module:function.")
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="FILE.py:NAME", help="Where the arguments are; :NAME is in the same file.")
]
ShapesOption = Annotated[
    str | None,
    typer.Option("--shapes", metavar="TEXT", help='Random arguments instead, such as "w=3, x=32x3, y=32:int(0,2)".'),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of the numbers of --shapes.")]
BackendsOption = Annotated[
    str | None,
    typer.Option(
        "--backends", metavar="BACKENDS", help='Backends with commas, such as "reverse,finite(scheme=forward)".'
    ),
]
ArgnumOption = Annotated[
    str, typer.Option("--argnum", metavar="N", help="The argument to differentiate, counted from 0; several as 0,1.")
]
OperatorOption = Annotated[
    str, typer.Option("--operator", metavar="OPERATOR", help="gradient, jacobian, jvp, vjp, hvp or hessian.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", metavar="DEVICE", help="cpu or gpu (default: where the arguments are).")
]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0.001, metavar="S", help="After how long to give up certifying.")
]
LimitOption = Annotated[
    float,
    typer.Option(
        "--limit", min=0.001, metavar="S", help="Leave out what is forecast to take longer to prepare and call once."
    ),
]
ARGUMENTS_HELP = """
The arguments are what --at names: a tuple or list of them, a dict of keyword arguments, or a function that returns one.
Without --at they are `arguments` or `example` in the file of the loss, or else the defaults of the loss itself.

--shapes makes them up: "params.w1=3x4, params.b1=4, x=32x3, y=32:int(0,10), k==3". Names are the parameters of the
loss, dots build dicts, brackets lists; () is one number, k==3 the number 3. After a colon may stand a dtype such as
float32, and normal (the usual; matrices are divided by the square root of their last axis), positive, uniform(A,B),
int(A,B) (without B) or onehot.
"""
NAME = re.compile(r"[A-Za-z_][\w.-]*(?::[A-Za-z_]\w*)?")
OPTION = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s,()='\"]+)\s*")


@dataclass(frozen=True)
class LossCase:
    """A loss with its arguments.

    ``shown`` is its name on the command line; ``given`` says of arguments that were made up, one line each, what they
    are, and ``seed`` is that of their numbers.
    """

    shown: str
    function: Callable
    args: list[Any]
    kwargs: dict[str, Any]
    given: list[str] = field(default_factory=list)
    seed: int = 0

    @property
    def given_text(self) -> str:
        """The arguments that were made up, for people."""
        lines = [f"  {line}" for line in self.given]
        return "\n".join([f"Arguments made up by --shapes with seed {self.seed}:", *lines]) if lines else ""


def read_loss(loss: str, at: str | None, shapes: str | None, seed: int) -> LossCase:
    """Load a loss and find its arguments.

    Args:
        loss: ``FILE.py:FUNCTION`` or ``module:function``.
        at: what names the arguments.
        shapes: what the arguments are to be made of.
        seed: of their numbers.

    Raises:
        InputError: a fault in what was named, or in these files.
    """
    if at is not None and shapes is not None:
        raise InputError("--at and --shapes both say what the arguments are; give one of them")
    files = Files()
    if shapes is not None:
        from .shapes import described, read_shapes, shaped_arguments

        wanted = read_shapes(shapes)  # before anything of the user's runs
        function = files.function(loss)
        args, kwargs = shaped_arguments(wanted, function, signature_of(function), seed)
        return LossCase(loss, function, args, kwargs, described(wanted), seed)
    function = files.function(loss)
    names = [] if (signature := signature_of(function)) is None else list(signature.parameters)
    sizes = ", ".join(f"{name}=32x3" if k == 0 else f"{name}=4" for k, name in enumerate(names)) or "x=32x3"
    args, kwargs = example_arguments(files, loss, function, at, f', or give --shapes, such as "{sizes}"')
    return LossCase(loss, function, args, kwargs)


def read_argnums(text: str) -> int | tuple[int, ...]:
    """Positions of arguments.

    Args:
        text: whole numbers with commas between them.

    Raises:
        InputError: it is not that.

    >>> read_argnums("0"), read_argnums("0, 2")
    (0, (0, 2))
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"-?\d{1,6}", part) for part in parts):
        raise InputError(f"--argnum {text!r}: give a position, or several with commas, such as 0,1")
    return int(parts[0]) if len(parts) == 1 else tuple(int(part) for part in parts)


def read_backends(text: str) -> list[Any]:
    """Backends with their options.

    Args:
        text: names with commas between them; behind a name its options in brackets, ``finite(scheme=forward)``.

    Returns:
        Backend values.

    Raises:
        InputError: it cannot be read, or there is no such backend or option.
        UnavailableError: a backend is not to be had here.

    >>> read_backends("reverse, finite(scheme=forward, step=1e-6)")
    [Reverse(), Finite(scheme='forward', step=1e-06)]
    """
    from ..backends import find

    found: list[Any] = []
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        name = NAME.match(text, at)
        if name is None or ":" in name[0]:
            raise _fault(text, at, "expected the name of a backend, as in finite,reverse")
        at, options = name.end(), {}
        if text[at : at + 1] == "(":
            at, options = _options(text, at + 1)
        found.append(find(name[0], **options))
        rest = text[at:].lstrip()
        if not rest:
            return found
        if not rest.startswith(","):
            raise _fault(text, len(text) - len(rest), "expected a comma or the end")
        at = len(text) - len(rest) + 1


def _options(text: str, at: int) -> tuple[int, dict[str, Any]]:
    """What stands in brackets, and the position behind them."""
    options: dict[str, Any] = {}
    while True:
        option = OPTION.match(text, at)
        if option is None:
            raise _fault(text, at, "expected an option, as in finite(scheme=forward)")
        if option[1] in options:
            raise _fault(text, at, f"{option[1]} is given twice")
        options[option[1]] = _value(option[2])
        at = option.end()
        mark = text[at : at + 1]
        if mark not in (",", ")") or not mark:
            raise _fault(text, at, "expected a comma or ) behind the option")
        at += 1
        if mark == ")":
            return at, options


def _value(text: str) -> Any:
    """A number, true, false, none or a word."""
    if text[0] in "'\"":
        return text[1:-1]
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"[-+]?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})([eE][-+]?\d{1,3})?", text):
        return float(text)
    return text


def _fault(text: str, at: int, what: str) -> InputError:
    return InputError(f"--backends: at character {min(at, len(text)) + 1} of {text!r}: {what}")
