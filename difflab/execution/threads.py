"""Threads that run blocks of one program, with one BLAS thread each.

The number of BLAS threads belongs to the process.  So one blocked program at a time has the team: it sets that number
to one and restores it, whatever happens; a second one that comes meanwhile runs its blocks on its caller's thread and
leaves the number alone.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

Task = Callable[[], Any]


def processors() -> int:
    """Processors that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class Team:
    """Kept threads, and the BLAS thread count while they work; the caller is one of them.

    Example:
        >>> with Team().together(2, 2) as run:
        ...     run([lambda: 1, lambda: 2])
        [1, 2]
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._queues: list[SimpleQueue] = []
        self._blas: Any = None
        self._counts: list[tuple[Any, int]] = []  # what is to be restored

    def blas_threads(self) -> int:
        """Threads that BLAS would use now, if no blocks ran: the most of any library of the process."""
        counts = [count for _, count in self._counts] or [library.get_num_threads() for library in self._libraries()]
        return max([count for count in counts if count], default=1)

    def _libraries(self) -> Sequence[Any]:
        if self._blas is None:
            from threadpoolctl import ThreadpoolController

            self._blas = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._blas

    @contextlib.contextmanager
    def together(self, tasks: int, threads: int | None = None) -> Iterator[Callable[[Sequence[Task]], list[Any]]]:
        """A function that runs tasks at once where the team is free, else one after the other; results in order.

        Without a number of threads they are as many as BLAS would use now.
        """
        if tasks < 2 or not self._busy.acquire(blocking=False):
            yield in_turn
            return
        try:
            workers = self.blas_threads() if threads is None else threads
            if workers < 2:
                yield in_turn
            else:
                self._limit()
                yield functools.partial(self.at_once, min(workers, tasks))
        finally:
            self._restore()
            self._busy.release()

    def _limit(self) -> None:
        """One BLAS thread for each of ours."""
        for library in self._libraries():
            count = library.get_num_threads()
            if count and count != 1:
                self._counts.append((library, count))
                library.set_num_threads(1)

    def _restore(self) -> None:
        """The number of BLAS threads as it was."""
        while self._counts:
            library, count = self._counts.pop()
            library.set_num_threads(count)

    def at_once(self, workers: int, tasks: Sequence[Task]) -> list[Any]:
        """The results of all tasks; the first error in their order is raised once all have ended."""
        if workers < len(tasks):
            shares = [tasks[at::workers] for at in range(workers)]
            parts = self.at_once(workers, [functools.partial(in_turn, share) for share in shares])
            return [parts[at % workers][at // workers] for at in range(len(tasks))]
        while len(self._queues) < len(tasks) - 1:
            queue: SimpleQueue = SimpleQueue()
            # A daemon, so that a thread that waits for work keeps no process alive.
            threading.Thread(target=_work, args=(queue,), name="difflab blocks", daemon=True).start()
            self._queues.append(queue)
        reports: list[SimpleQueue] = []
        for queue, task in zip(self._queues, tasks[1:], strict=False):
            report: SimpleQueue = SimpleQueue()
            # Settings of the caller, such as np.errstate, hold in its threads too.
            queue.put((contextvars.copy_context(), task, report))
            reports.append(report)
        results: list[tuple[Any, BaseException | None]] = []
        try:
            results.append(_outcome(tasks[0], Exception))
        finally:  # also where the caller is interrupted: they work on its arrays
            results.extend([report.get() for report in reports])
        for _, error in results:
            if error is not None:
                raise error
        return [result for result, _ in results]

    def left_behind(self) -> None:
        """In the child of a fork there are no threads, and nobody else has the team."""
        self._queues = []
        self._busy = threading.Lock()
        self._restore()


def in_turn(tasks: Sequence[Task]) -> list[Any]:
    """The results of tasks, one after the other."""
    return [task() for task in tasks]


def _outcome(task: Task, kind: type[BaseException]) -> tuple[Any, BaseException | None]:
    """What a task gave, or its error, to be raised by the caller with its traceback."""
    try:
        return task(), None
    except kind as error:
        return None, error


def _work(queue: SimpleQueue) -> None:
    """What a thread of the team does, for ever."""
    while True:
        context, task, report = queue.get()
        report.put(context.run(_outcome, task, BaseException))
        del context, task, report  # the arrays of a call are not kept until the next


TEAMS: list[Team] = []


def team() -> Team:
    """The one team of the process, made when it is first needed."""
    if not TEAMS:
        TEAMS.append(Team())
        if os.name == "posix":
            os.register_at_fork(after_in_child=TEAMS[0].left_behind)
    return TEAMS[0]
