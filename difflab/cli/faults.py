"""How the command line speaks and ends: results on stdout, one sentence per fault on stderr, and an exit code.

With ``--json`` stdout holds one JSON document in every case: the result, or what went wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from ..errors import DifflabError, InputError, StudyError, did_you_mean
from .codes import BAD_INPUT, FAULT, INTERRUPTED, OK

OURS = "this is a fault of difflab and not yours; please report it with the lines above."
# What typer raises about a command line that it cannot read; its module differs between versions of typer.
UsageError: Any = typer.BadParameter.__bases__[0]
PLACE = re.compile(r"[^\n]*?(\.toml|:\d+:\d+): ")
POINTED = re.compile(r"([^\n]*)\n(  [^\n]{1,300})\n( {1,300}\^)")
LONGEST, LONGEST_WORD = 2000, 300
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")]


class Left(Exception):
    """A command that ends early, with what it says and the exit code that it deserves.

    Args:
        text: one sentence.
        code: the exit code.
        kind: the type of the fault, for ``--json``.
    """

    def __init__(self, text: str, code: int, kind: str) -> None:
        super().__init__(text)
        self.text, self.code, self.kind = text, code, kind


def show(text: str) -> None:
    """Print a result; a reader who closes the pipe early, like ``head``, does not change the exit code.

    Args:
        text: the result, without the line break at its end.

    Raises:
        InputError: stdout cannot be written, as on a full disk.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _let_go()
    except OSError as fault:
        _let_go()
        raise InputError(f"the result cannot be written to stdout: {fault.strerror}") from fault


def _let_go() -> None:
    """Nothing more goes to stdout, not even when Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(message: str) -> None:
    """Print a sentence about what happened on stderr, on one line.

    Args:
        message: the sentence; on two indented lines may follow what it points at, a formula and a mark under the place.
    """
    if pointed := POINTED.fullmatch(message):
        message = pointed[1]
    words = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in message.split())
    words = words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."
    _tell("difflab: " + _printable(words) + (f"\n{_printable(pointed[2])}\n{pointed[3]}" if pointed else ""))


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _tell(text: str) -> None:
    if sys.stderr is not None:  # closed by the shell: print would turn to stdout
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr)


def left_with(arguments: Sequence[str], work: Callable[[], int | None]) -> int:
    """The exit code of some work, whose faults are told as the arguments want it.

    Args:
        arguments: of the command line.
        work: does what they ask for and gives the exit code, ``None`` for 0.

    Returns:
        The exit code; never an exception that is a user's fault.
    """
    try:
        code = work()
        if code == INTERRUPTED:  # by Ctrl-C in a command that has nothing to keep
            raise Left("interrupted", INTERRUPTED, "KeyboardInterrupt")
        return code or OK
    except Left as left:
        say(left.text)
        return _ended(arguments, left.kind, left.text, left.code)
    except UsageError as error:
        if not arguments:  # difflab alone shows its help
            _tell(error.format_message())
            return BAD_INPUT
        text = usage_text(error)
        say(text)
        return _ended(arguments, "UsageError", text, BAD_INPUT)
    except StudyError as error:
        # one line per fault, each beginning with its place, as editors read them; but what has no place is a sentence
        (_tell if PLACE.match(str(error)) else say)(str(error))
        return _ended(arguments, "StudyError", str(error), BAD_INPUT)
    except DifflabError as error:
        say(str(error))
        return _ended(arguments, type(error).__name__, str(error), BAD_INPUT)
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # somebody has seen enough of the help
            return OK
        raise
    except Exception as error:
        _tell(traceback.format_exc().rstrip())
        say(OURS)
        return _ended(arguments, type(error).__name__, f"{error}; {OURS}", FAULT)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether one JSON document is wanted.

    Args:
        arguments: of the command line.

    >>> wants_json(["list", "--json"]), wants_json(["trace", "--", "--json"])
    (True, False)
    """
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


def _ended(arguments: Sequence[str], kind: str, text: str, code: int) -> int:
    """The exit code of a fault, which with ``--json`` is a document as well, so that a pipe never gets nothing."""
    if wants_json(arguments):
        from .tables import json_text

        with contextlib.suppress(InputError):  # stdout cannot be written, which may be the very fault
            show(json_text({"error": {"type": kind, "text": text, "code": code}}))
    return code


def usage_text(error: Any) -> str:
    """What is wrong with a command line, in difflab's own words.

    Args:
        error: typer's ``UsageError``.
    """
    context, text = error.ctx, error.format_message().strip().rstrip(".")
    if (found := re.match(r"No such option:? (\S+)", text)) and context is not None:
        known = [name for one in context.command.params for name in (*one.opts, *one.secondary_opts)]
        text = f"no such option {found[1]} {did_you_mean(found[1], [name for name in known if name.startswith('-')])}"
    elif (found := re.match(r"No such command ('.*?')", text)) and context is not None:
        known = list(context.command.commands)
        text = f"no such command {found[1]} {did_you_mean(found[1].strip(chr(39)), known)}"
    path = "difflab" if context is None else context.command_path
    return f"{text[:1].lower()}{text[1:].replace('. ', ': ').replace(': Input should', ': it must')}; see {path} --help"
