"""Error types: every fault of a user's becomes one of these, saying what, where and what to do."""

from __future__ import annotations

import opcode
import os
import sys
from types import FrameType

PACKAGE_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
USER_LIKE = tuple(os.path.join(PACKAGE_FOLDER, folder, "") for folder in ("problems", "traps"))
LIBRARIES = sys.stdlib_module_names | {"numpy", "optree", "scipy"}


class DifflabError(Exception):
    """Base of all errors that difflab raises on purpose."""


class TraceError(DifflabError, TypeError):
    """The function did something that cannot be recorded."""


class GuardError(DifflabError):
    """A replay took another branch than the trace did; callers trace again."""


class InputError(DifflabError, ValueError):
    """An argument is of the wrong kind: structure, shape, dtype or name."""


class UnsupportedError(DifflabError, TypeError):
    """A backend cannot do what was asked; the message names both."""


class UnavailableError(DifflabError, ImportError):
    """A backend or device is missing; the message says what to install."""


class ForecastError(DifflabError, MemoryError):
    """A case was refused before allocation because its forecast exceeds a limit."""


class UndecidedError(DifflabError, ArithmeticError):
    """Exact arithmetic could not decide a choice at the precision used."""


class CertificateError(DifflabError, ArithmeticError):
    """Two engines that enclose the same derivative exclude each other: a derivative rule is wrong."""


class StudyError(DifflabError, ValueError):
    """A study file is wrong; one line per fault."""


class StoreError(DifflabError, OSError):
    """A run folder cannot be written, read or resumed."""


def _is_user_frame(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    if name.startswith(USER_LIKE):
        return True
    module = frame.f_globals.get("__name__", "").partition(".")[0]
    return not name.startswith((PACKAGE_FOLDER, "<difflab")) and module not in LIBRARIES


def user_location() -> str:
    """The innermost place outside difflab and NumPy on the stack, as ``file:line``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_user_frame(frame):
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown place"


def location_of(error: BaseException) -> str:
    """The innermost place outside difflab, NumPy and Python's own modules that an error came through: ``file:line``."""
    place = "unknown place"
    trace = error.__traceback__
    while trace is not None:
        if _is_user_frame(trace.tb_frame):
            place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def hidden_by(error: BaseException, refused: TraceError | None) -> TraceError | None:
    """Our own error that compiled code replaced by another, if it did.

    Args:
        error: what came out.
        refused: what was raised last where a plain number was asked for.

    Compiled code that goes on after an error raises one of its own; sometimes Python notices, and makes ours its cause.
    """
    if isinstance(error.__cause__, TraceError):
        return error.__cause__
    trace = error.__traceback__
    if refused is None or error is refused or isinstance(error, TraceError) or trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    by_python = opcode.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return None if by_python else refused


def did_you_mean(name: str, known: list[str]) -> str:
    """A suggestion in brackets for a misspelt name, or the list of what there is."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"(did you mean {close[0]!r}?)"
    return f"(known: {', '.join(sorted(known))})"
