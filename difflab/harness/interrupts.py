"""Interrupts of a run: the first lets the round under way come to its end, the second stops at once."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

LEAST, MOST, UNKNOWN = 3.0, 60.0, 10.0
MARGIN = 1.5
SAME_SECONDS = 0.3  # one Ctrl-C may arrive twice: from the keyboard, and from the process above that passes it on


def patience(seconds: float | None) -> float:
    """How long a round may go on after an interrupt.

    Args:
        seconds: that it is forecast to take yet, ``None`` where nobody knows.

    >>> patience(4.0), patience(0.0), patience(None), patience(1e3)
    (8, 3.0, 10.0, 60.0)
    """
    return UNKNOWN if seconds is None else min(MOST, max(LEAST, math.ceil(MARGIN * max(0.0, seconds) + 2.0)))


def finishing(seconds: float) -> str:
    """What is said when a round is let come to its end.

    >>> finishing(8.0)
    'finishing the current round (at most 8 s); Ctrl-C again stops at once'
    """
    return f"finishing the current round (at most {seconds:.0f} s); Ctrl-C again stops at once"


class Stop:
    """Turns signals into the end of a run.

    Args:
        tell: is called once with the seconds that the round under way may take after a first interrupt.

    Outside of a round every signal stops at once.  ``requested`` is whether nothing more is to be begun; ``at_once``
    whether a round was cut off, or was to be.
    """

    def __init__(self, tell: Callable[[float], None] = lambda _: None) -> None:
        self._tell = tell
        self._left: Callable[[], float | None] | None = None
        self._since = -math.inf
        self.requested = self.at_once = False

    def listen(self) -> None:
        """Take over SIGINT, SIGTERM and SIGALRM of this process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, self.signalled)

    @contextlib.contextmanager
    def round(self, left: Callable[[], float | None]) -> Iterator[None]:
        """What is worth coming to its end.

        Args:
            left: the seconds that it will take yet, ``None`` where nobody knows.

        Raises:
            KeyboardInterrupt: at its end, if there was an interrupt.
        """
        self._left = left
        try:
            yield
        finally:
            self._left = None
            if self.requested:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if self.requested:
            raise KeyboardInterrupt

    def signalled(self, number: int, _frame: Any) -> None:
        """What a signal does.

        Args:
            number: SIGINT asks; SIGTERM does not; SIGALRM comes when a round was given its time.

        Raises:
            KeyboardInterrupt: the run stops here.
        """
        now, again = time.monotonic(), self.requested
        if number == signal.SIGINT and again and now - self._since < SAME_SECONDS:
            return
        left, self._since, self.requested = self._left, now, True
        if number == signal.SIGINT and not again and left is not None:
            seconds = patience(left())
            signal.setitimer(signal.ITIMER_REAL, seconds)
            self._tell(seconds)
            return
        self.at_once |= number == signal.SIGTERM or (number == signal.SIGINT and again)
        raise KeyboardInterrupt
