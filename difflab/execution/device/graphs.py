"""Steps that launch kernels on fixed arrays, captured into a CUDA graph and replayed by a single launch.

For programs: ``replay = Replay(steps, names=..., reason=None)``; then, for each call,

    with replay.lane:          # one turn at a time on a device, in the order of the caller's streams
        ...                    # copy arguments into the buffers, on the current stream
        replay.run()           # the first time the steps one by one, then the graph
        ...                    # copy results out of the buffers, on the current stream

``replay.captured``, ``replay.reason`` (a sentence; ``None`` if captured or not yet tried), ``replay.launches`` and
``replay.nodes`` (counts by kind) are for ``stats``; ``replay.pool`` is the pool for all memory of the program
(``with cupy.cuda.using_allocator(replay.pool.malloc)``).  Uploads that a later turn relies on belong into a turn too:
``with find_lane(): ...``.

What CUDA and CuPy (14.2) do, and what follows from it:

- The default stream cannot be captured, so the lane has a non-blocking stream for capturing.  A graph may be launched
  on any stream, the default one too, so it runs on the caller's current stream: what the caller enqueued before comes
  first and what he enqueues afterwards sees the results, without an event.  Two turns on different streams are ordered
  by an event.
- Launches of one graph never overlap on the device, but those of two graphs on two streams would, and captured matrix
  products share one workspace; so the turns of all programs of a device are in order.
- CuPy captures in the relaxed mode, in which memory may be allocated (by ``cudaMalloc``, outside the graph).  What is
  allocated while capturing must stay allocated as long as the graph may run: a pool of the replay's own keeps it, which
  nobody else empties.  CuPy's pools hold their arrays and not the other way round, so **arrays of this pool must not
  outlive the replay**.
- CuPy refuses its own cuBLAS, cuSOLVER, cuSPARSE and cuRAND in a capture (as not implemented) and asking for a value by
  RuntimeError; CUDA refuses synchronisation by CUDARuntimeError, and then ``end_capture`` raises
  cudaErrorStreamCaptureInvalidated.  Either way the stream has left the capture after ``end_capture``.
- A copy from the host that is staged in pinned memory would be repeated from there for ever.  CuPy 14.2 refuses some
  ways of copying in a capture, and older versions fewer: so the staging memory is refused, and a graph in which the
  host takes part all the same is thrown away.
- cuFFT is *not* refused either, but its plans lie in a cache of CuPy's, and their work areas with them: a graph would
  use them after the cache has let them go.  Programs with transforms come with a reason.
- A kernel that is launched for the first time is compiled and loaded, and a library allocates; so the steps run once
  uncaptured before.
- ``Graph`` owns the executable graph and destroys it when it is collected; running work finishes first.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ...arrays import import_cupy
from .nodes import HOST_SIDE, count_nodes
from .uploads import uploads_refused


class Lane:
    """Turns on one device: one thread at a time, each after the last one's work, whatever streams they are on.

    It is a context manager, and may be entered again by the thread that is in it.

    Args:
        xp: ``cupy``, with the device current.

    Example:
        >>> Lane(None).depth
        0
    """

    def __init__(self, xp: Any):
        self.depth = 0
        self.xp = xp
        self._lock = threading.RLock()
        self._capturing: Any = None
        self._stream: Any = None
        self._last: Any = None
        self._done: Any = None

    def __enter__(self) -> Lane:
        self._lock.acquire()
        self.depth += 1
        if self.depth == 1:
            try:
                self._join()
            except BaseException:
                self.depth -= 1
                self._lock.release()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if self.depth == 1:
                self._last = self._stream
                # The default stream is never destroyed and never captured, so its mark can wait until a turn on
                # another stream asks for it; programs that know no other stream pay for no event.
                if self._stream.ptr != 0:
                    self._event().record(self._stream)
        finally:
            self.depth -= 1
            self._lock.release()

    def _join(self) -> None:
        """Let the current stream wait for the work of the last turn."""
        self._stream = self.xp.cuda.get_current_stream()
        if self._last is None or (self._stream.ptr == self._last.ptr and not _is_one_per_thread(self._stream)):
            return
        if self._last.ptr == 0:
            self._event().record(self._last)
        self._stream.wait_event(self._event())

    def _event(self) -> Any:
        if self._done is None:
            self._done = self.xp.cuda.Event(disable_timing=True)
        return self._done

    def capturing_stream(self) -> Any:
        """The stream to capture on; one for all programs, so that cuBLAS needs one workspace for all captures."""
        if self._capturing is None:
            self._capturing = self.xp.cuda.Stream(non_blocking=True)
        return self._capturing

    def forsake_stream(self) -> None:
        """Capture on another stream from now on."""
        self._capturing = None


def _is_one_per_thread(stream: Any) -> bool:
    return stream.ptr == 2  # cudaStreamPerThread: one handle for the default streams of all threads


class Replay:
    """Steps on fixed arrays: run one by one at first, then captured and replayed.

    Args:
        steps: each launches work on the current stream; the same work on the same arrays each time, with nothing copied
            from or to the host.
        names: of the steps, for the reason.
        reason: a sentence, if the steps must not be captured.
        runs: how often the steps run one by one before they are captured.

    Example:
        >>> Replay([], reason="a guard asks the host for its value").captured
        False
    """

    def __init__(
        self,
        steps: Sequence[Callable[[], None]],
        *,
        names: Sequence[str] | None = None,
        reason: str | None = None,
        runs: int = 1,
    ):
        self.steps = tuple(steps)
        self.reason = reason
        self.launches = 0
        self.nodes: dict[str, int] | None = None
        self._names = tuple(names) if names is not None else ("",) * len(self.steps)
        self._runs_left = runs
        self._graph: Any = None

    @property
    def captured(self) -> bool:
        """Whether the steps are a graph by now."""
        return self._graph is not None

    @functools.cached_property
    def lane(self) -> Lane:
        """Whose turn it is on the device that was current when this was first asked for."""
        return find_lane()

    @functools.cached_property
    def pool(self) -> Any:
        """Where the steps allocate while they are captured; a ``cupy.cuda.MemoryPool`` that ends with the replay."""
        pool = self.lane.xp.cuda.MemoryPool()
        # A pool of CuPy 14 that is only forgotten never gives its free memory back to the device; not at the end of
        # the process, when CUDA may be gone before.
        weakref.finalize(self, pool.free_all_blocks).atexit = False
        return pool

    def run(self) -> None:
        """Enqueue all steps, in order, on the current stream.

        Raises:
            Exception: what a step raises when it runs by itself; what it raises while captured becomes the reason.
        """
        with self.lane:
            if self._graph is None and self.reason is None and self._runs_left <= 0:
                self._capture()
            if self._graph is not None:
                self._graph.launch()
                self.launches += 1
                return
            for step in self.steps:
                step()
            self._runs_left -= 1

    def _capture(self) -> None:
        """Make the graph, or note why there is none; the lane is ready for the next capture either way."""
        stream = self.lane.capturing_stream()
        try:
            with stream, self.lane.xp.cuda.using_allocator(self.pool.malloc), uploads_refused(self.lane.xp):
                graph = self._recorded(stream)
            nodes = count_nodes(graph.graph)
            if nodes is not None and (strange := sorted(HOST_SIDE.intersection(nodes))):
                raise _RefusedError(f"the captured graph holds what only the host can repeat ({', '.join(strange)})")
            graph.upload()
        except _RefusedError as error:
            self.reason = str(error)
        except Exception as error:
            self.reason = f"the graph of {len(self.steps)} steps could not be made: {_sentence(error)}"
        else:
            self._graph, self.nodes = graph, nodes
            return
        # Arrays that the steps bound while being captured lie in the pool, which therefore stays.
        if _may_still_capture(stream):
            self.lane.forsake_stream()

    def _recorded(self, stream: Any) -> Any:
        stream.begin_capture()
        try:
            for position, step in enumerate(self.steps):
                self._recorded_step(position, step)
        except BaseException:
            # The capture ends in any case; if the step invalidated it, ending it raises, which says less than the step.
            with contextlib.suppress(Exception):
                stream.end_capture()
            raise
        return stream.end_capture()

    def _recorded_step(self, position: int, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            name = f" ({self._names[position]})" if self._names[position] else ""
            raise _RefusedError(
                f"step {position + 1} of {len(self.steps)}{name} cannot be captured: {_sentence(error)}"
            ) from error


class _RefusedError(Exception):
    """Carries a reason."""


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _may_still_capture(stream: Any) -> bool:
    """Whether a stream is better not used any more."""
    try:
        return bool(stream.is_capturing())
    except RuntimeError:  # the question itself is refused where the stream is in no good state
        return True


_LANES: dict[tuple[Any, int], Lane] = {}  # by CuPy, of which a test may bring its own, and device
_LANES_LOCK = threading.Lock()


def find_lane() -> Lane:
    """The lane of the current device; there is one a process and device.

    Raises:
        UnavailableError: there is no CuPy or no device.
    """
    xp = import_cupy()
    key = (xp, xp.cuda.runtime.getDevice())
    with _LANES_LOCK:
        if key not in _LANES:
            _LANES[key] = Lane(xp)
        return _LANES[key]
