"""Value and gradients as a CUDA graph of PyTorch's: one launch for all kernels of a call.

PyTorch's notes on CUDA graphs (docs.pytorch.org/docs/stable/notes/cuda.html) say how: static inputs, some calls on a
side stream, the capture, and then only copies into the inputs and replays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

WARM_CALLS = 3

Capture = Callable[[Callable[[], list[Any]]], tuple[Callable[[], Any], list[Any]]]
"""``capture(call)`` gives what runs all of the call again, and the tensors into which that puts the results."""


class Captured:
    """A function of tensors as a graph that owns its inputs and its results.

    Arguments are copied in and results out, on the device; one call at a time, for all share these tensors.

    Args:
        torch: the module.
        call: takes a list of tensors and returns one.
        tensors: examples of the arguments; those that require gradients keep doing so.
        capture: how the device records a call.
    """

    def __init__(self, torch: Any, call: Callable[[list[Any]], list[Any]], tensors: Sequence[Any], capture: Capture):
        self._torch, self._lock = torch, threading.Lock()
        self._inputs = [one.detach().clone().requires_grad_(one.requires_grad) for one in tensors]
        self._replay, self._results = capture(lambda: call(self._inputs))

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        """The results at other arguments, as fresh tensors."""
        with self._lock, self._torch.no_grad():
            self._torch._foreach_copy_(self._inputs, list(tensors))
            self._replay()
            fresh = [self._torch.empty_like(one) for one in self._results]
            self._torch._foreach_copy_(fresh, self._results)
            return fresh


def capture_on_cuda(torch: Any) -> Capture:
    """How a GPU captures a call.

    Args:
        torch: the module.

    Returns:
        What ``Captured`` takes.
    """

    def capture(call: Callable[[], list[Any]]) -> tuple[Callable[[], Any], list[Any]]:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_CALLS):  # libraries make their handles and choose their kernels
                call()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = call()
        return graph.replay, results

    return capture
