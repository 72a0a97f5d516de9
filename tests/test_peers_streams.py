"""What peers do of a GPU besides computing: switches for TF32, CuPy's stream, capturing, by stand-ins of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from difflab.backends.peers import jax_arrays, torch_graph
from difflab.errors import UnavailableError

# ---------------------------------------------------------------------------- switches and streams, by stand-ins


def switches(matmul: bool = False, cudnn: bool = True, benchmark: bool = False) -> Any:
    """PyTorch's switches for float32 on a GPU, as they are when nobody has touched them."""
    backends = SimpleNamespace(
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=matmul)),
        cudnn=SimpleNamespace(allow_tf32=cudnn, benchmark=benchmark),
    )
    return SimpleNamespace(backends=backends)


def state(torch: Any) -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_as_asked_inside_and_as_before_outside(tf32: bool) -> None:
    from difflab.backends.peers.torch_tensors import Precision

    torch = switches()
    precision = Precision(torch, tf32)
    assert state(torch) == (False, True, False)
    with precision():
        assert state(torch) == (tf32, tf32, True)
        assert precision.right()
    assert state(torch) == (False, True, False)
    with pytest.raises(ZeroDivisionError), precision():
        raise ZeroDivisionError
    assert state(torch) == (False, True, False)


class Streams:
    """``torch.cuda`` with streams that only know their pointers."""

    def __init__(self, current: int, seen: list[Any]) -> None:
        self.current, self.seen = current, seen

    def is_available(self) -> bool:
        return True

    def current_stream(self) -> Any:
        return SimpleNamespace(cuda_stream=self.current)

    def default_stream(self) -> Any:
        return "default"

    def ExternalStream(self, pointer: int) -> Any:
        return pointer

    @contextmanager
    def stream(self, which: Any) -> Iterator[None]:
        self.seen.append(which)
        yield


@pytest.mark.parametrize(
    ("ours", "theirs", "entered"), [(0, 0, []), (7, 7, []), (7, 0, [7]), (0, 7, ["default"]), (7, 9, [7])]
)
def test_pytorch_joins_the_stream_of_cupy(ours: int, theirs: int, entered: Any, monkeypatch: Any) -> None:
    from difflab.backends.peers import torch_tensors

    cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=ours))
    cupy = SimpleNamespace(cuda=cuda, from_dlpack=None)
    monkeypatch.setattr(torch_tensors, "import_cupy", lambda: cupy)
    monkeypatch.setattr(torch_tensors, "wake", lambda torch: None)
    seen: list[Any] = []
    torch: Any = switches()
    torch.cuda = Streams(theirs, seen)
    side = torch_tensors.tensors_on(torch, "gpu", False)
    assert isinstance(side, torch_tensors.DeviceTensors)
    with side.computing():
        pass
    assert seen == entered
    timed = side.bound(lambda: state(torch))
    assert timed() == (False, False, True)
    assert seen == 2 * entered


def test_a_jax_without_cuda_says_what_to_install(monkeypatch: Any) -> None:
    def none(platform: str) -> Any:
        raise RuntimeError(f"Unknown backend {platform}")

    monkeypatch.setattr(jax_arrays, "import_cupy", lambda: None)
    with pytest.raises(UnavailableError, match=r"needs a JAX that sees the GPU, and version 1.2 sees none; pip"):
        jax_arrays.arrays_on(SimpleNamespace(devices=none, __version__="1.2"), "gpu", False)


def test_jax_leaves_memory_to_others_unless_the_user_said_what_it_takes(monkeypatch: Any) -> None:
    monkeypatch.delenv(jax_arrays.PREALLOCATE, raising=False)
    with jax_arrays.sharing_memory():
        assert jax_arrays.os.environ[jax_arrays.PREALLOCATE] == "false"
    assert jax_arrays.PREALLOCATE not in jax_arrays.os.environ
    monkeypatch.setenv(jax_arrays.PREALLOCATE, "true")
    with jax_arrays.sharing_memory():
        assert jax_arrays.os.environ[jax_arrays.PREALLOCATE] == "true"
    assert jax_arrays.os.environ[jax_arrays.PREALLOCATE] == "true"


def test_capturing_follows_pytorchs_notes_on_cuda_graphs() -> None:
    """Calls on a side stream first, then the capture; a replay runs nothing of Python."""
    events: list[Any] = []

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: Any) -> None:
            events.append((self.name, "waits for", other.name))

    class Graph:
        def replay(self) -> None:
            events.append("replay")

    @contextmanager
    def inside(what: Any) -> Iterator[None]:
        events.append("capture" if isinstance(what, Graph) else what.name)
        yield
        events.append("end")

    cuda = SimpleNamespace(
        Stream=Stream, current_stream=lambda: Stream("own"), stream=inside, graph=inside, CUDAGraph=Graph
    )
    calls = []
    replay, results = torch_graph.capture_on_cuda(SimpleNamespace(cuda=cuda))(lambda: calls.append(1) or ["result"])
    assert results == ["result"]
    assert len(calls) == torch_graph.WARM_CALLS + 1
    replay()
    assert len(calls) == torch_graph.WARM_CALLS + 1
    assert events == [
        ("side", "waits for", "own"), "side", "end", ("own", "waits for", "side"), "capture", "end", "replay",
    ]  # fmt: skip
