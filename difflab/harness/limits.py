"""Limits of a worker and what its death says: set inside the worker, judged by the coordinator.

Memory is limited softly by ``RLIMIT_DATA`` (private writable memory above what the worker had before the case began),
which gives a clean ``MemoryError``; ``RLIMIT_AS`` would count address space that is only reserved.  What that does not
see is limited from outside: by a control group (``cgroups.py``) where one is delegated, by a watchdog (``watchdog.py``)
otherwise.  Time is kept by the coordinator.  ``oom_score_adj`` makes the kernel choose the worker and not the
coordinator when memory runs out.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from pathlib import Path

OUTCOMES = (
    "ok",
    "invalid",
    "unsupported",
    "timeout",
    "memory_limit",
    "crash",
    "lost",
    "interrupted",
    "skipped_predicted",
)
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
PR_SET_PDEATHSIG = 1
REASON_LENGTH = 400


def thread_environment(threads: int) -> dict[str, str]:
    """The variables that numerical libraries read once, when they are loaded.

    >>> thread_environment(1)["OPENBLAS_NUM_THREADS"]
    '1'
    """
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def settle(parent: int) -> dict[str, bool]:
    """Make this process die with its parent and be the kernel's first choice when memory runs out.

    Args:
        parent: the process id that must still be the parent's, or this process ends at once.

    Returns:
        Which of the two the system granted.
    """
    granted = {"dies_with_parent": False, "oom_first": False}
    if sys.platform == "linux":
        granted["dies_with_parent"] = ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) == 0
        try:
            Path("/proc/self/oom_score_adj").write_text("1000")
            granted["oom_first"] = True
        except OSError:
            granted["oom_first"] = False
    if os.getppid() != parent:
        os._exit(1)  # the parent died before it could be watched
    return granted


def limit_memory(nbytes: int | None, used: int | None) -> str | None:
    """Limit private writable memory to ``used + nbytes``; returns the mechanism, or ``None`` where there is none.

    Args:
        nbytes: what the case may take, in bytes; ``None`` for no limit.
        used: ``VmData`` before the case begins, in bytes; ``None`` where unknown.
    """
    if nbytes is None or used is None or sys.platform != "linux":
        return None
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + nbytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
    return "RLIMIT_DATA"


def autopsy(code: int | None, phase: str, errors: str, witnessed: str | None = None) -> tuple[str, str]:
    """The outcome and reason of a worker that ended without an answer, from evidence only.

    Args:
        code: its return code as ``subprocess`` gives it (negative: a signal); ``None`` if it still runs.
        phase: the last phase it announced.
        errors: the end of what it wrote to standard error.
        witnessed: what ``oom.Witness`` says of a kernel that ended processes for want of memory meanwhile.

    Returns:
        The outcome and one line of reason.  A SIGKILL without further evidence is a crash, never guessed to be memory.

    >>> autopsy(-11, "first", "")
    ('crash', 'the worker died of SIGSEGV (segmentation fault) in phase first')
    """
    if re.search(r"Memory allocation still failed|cannot allocate memory|std::bad_alloc", errors, re.IGNORECASE):
        return "memory_limit", f"a native library could not allocate memory in phase {phase}: {last_line(errors)}"
    if code is None:
        return "lost", f"the worker closed its channel in phase {phase} without an answer"
    if code == -signal.SIGKILL and witnessed is not None:
        return "memory_limit", f"the worker died of SIGKILL in phase {phase}, and {witnessed}"
    if code < 0:
        return "crash", f"the worker died of {signal_name(-code)} in phase {phase}{fault_line(errors)}"
    return "crash", f"the worker ended by itself with exit code {code} in phase {phase} before it had answered"


def signal_name(number: int) -> str:
    """``SIGSEGV (segmentation fault)``: the name of a signal and, for common ones, its meaning."""
    meanings = {
        signal.SIGSEGV: "segmentation fault",
        signal.SIGABRT: "abort",
        signal.SIGFPE: "arithmetic fault",
        signal.SIGILL: "illegal instruction",
        signal.SIGKILL: "killed from outside; nothing says by whom",
        signal.SIGBUS: "bus error",
    }
    try:
        name = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    return f"{name.name} ({meanings[name]})" if name in meanings else name.name


def fault_line(errors: str) -> str:
    """The innermost frame outside libraries that faulthandler printed, as `` (loss.py:12)``, or nothing."""
    frames = re.findall(r'^\s+File "(.*?)", line (\d+)', errors, re.MULTILINE)
    own = [frame for frame in frames if f"{os.sep}lib{os.sep}python" not in frame[0]]
    return f" ({os.path.basename(own[0][0])}:{own[0][1]})" if own else ""


def last_line(text: str) -> str:
    """The last line of a text that is not empty, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return shorten(lines[-1]) if lines else ""


def shorten(text: str, length: int = REASON_LENGTH) -> str:
    """One line of at most ``length`` characters, without control characters.

    >>> shorten("a" * 10, 6)
    'aaa...'
    """
    line = " ".join(text[: 4 * length].split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= length else line[: length - 3] + "..."
