"""PyTorch and JAX handed arrays in place, as on a GPU; with their CPU builds NumPy's arrays stand for CuPy's."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from peer_checks import apart
from test_peers_streams import switches

import difflab as dl
from difflab import nn
from difflab.backends import find
from difflab.backends.peers import jax_arrays, torch_peer
from difflab.backends.protocol import OPERATORS, Source
from difflab.errors import UnavailableError, UnsupportedError
from difflab.operators import source
from difflab.problems import find as problem

peers = pytest.mark.peers

# ---------------------------------------------------------------------------- in place


def replayed(call: Callable[[], list[Any]]) -> tuple[Callable[[], None], list[Any]]:
    """A capture that computes again what a graph would compute on the device, into the same list."""
    torch = importlib.import_module("torch")
    results = call()

    def again() -> None:
        with torch.enable_grad():
            results[:] = call()

    return again, results


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources on a "gpu" have NumPy's arrays, which PyTorch and JAX share memory with on the CPU."""
    from difflab.backends.peers import torch_tensors

    def tensors(torch: Any, device: str, tf32: bool) -> Any:
        assert device == "gpu"
        precision = torch_tensors.Precision(switches(), tf32)
        return torch_tensors.DeviceTensors(torch, np.asarray, np.from_dlpack, nullcontext, precision)

    def arrays(jax: Any, device: str, tf32: bool) -> Any:
        assert device == "gpu"
        named = "tensorfloat32" if tf32 else "highest"
        return jax_arrays.DeviceArrays(jax, jax.devices("cpu")[0], np.asarray, np.from_dlpack, named)

    monkeypatch.setattr(torch_tensors, "tensors_on", tensors)
    monkeypatch.setattr(jax_arrays, "arrays_on", arrays)
    monkeypatch.setattr(torch_peer, "capture_on_cuda", lambda torch: replayed)


def on_device(function: Any, args: tuple[Any, ...], argnums: Any = 0) -> Source:
    return dataclasses.replace(source(function, args, argnums=argnums), device="gpu")


def network(seed: int = 7) -> tuple[Any, tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((4, 6, 6, 1)), np.eye(3)[[0, 2, 1, 1]]

    def loss(k: Any, w: Any) -> Any:
        h = nn.max_pool2d(nn.relu(nn.conv2d(x, k, padding="same")), 2)
        return nn.softmax_cross_entropy(np.reshape(h, (4, -1)) @ w, t)

    return loss, (rng.standard_normal((3, 3, 1, 2)), rng.standard_normal((18, 3)))


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("torch", {}), ("torch", {"tf32": True}), ("torch", {"graph": True}), ("jax", {}), ("jax", {"jit": False}),
    ("jax", {"tf32": True}),
]  # fmt: skip


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(("name", "options"), KINDS)
@pytest.mark.parametrize("which", ["mlp", "cnn", "xor"])
def test_gradients_of_problems_agree_at_other_points_too(which: str, name: str, options: dict[str, Any]) -> None:
    instance = problem(which).build("tiny", "float64", 0)
    made = on_device(instance.loss, instance.args)
    prepared = find(name, **options).prepare(made, "value_and_gradient", made.example)
    ours = dl.Reverse().prepare(source(instance.loss, instance.args), "value_and_gradient", made.example)
    for factor in (1.0, 0.5):
        leaves = [factor * np.asarray(leaf) for leaf in made.example]
        before = [leaf.copy() for leaf in leaves]
        value, gradients = prepared.value_and_gradient(leaves)
        expected, wanted = ours.value_and_gradient(leaves)
        for found, right in zip([value, *gradients], [expected, *wanted], strict=True):
            assert not apart(found, right)
        assert all(np.array_equal(leaf, was) for leaf, was in zip(leaves, before, strict=True))
        bare = prepared.bare(leaves)
        for _ in range(2):
            answer = bare()
        flat = answer if options.get("graph") else [answer[0], *answer[1]]
        for found, right in zip(flat, [value, *gradients], strict=True):
            assert not apart(np.asarray(found.detach() if name == "torch" else found), right)
    assert prepared.stats["device"] == "gpu"
    assert prepared.stats["tf32"] is options.get("tf32", False)


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(("name", "options"), [("torch", {}), ("jax", {})])
def test_every_operator_in_place(name: str, options: dict[str, Any]) -> None:
    loss, args = network()
    made = on_device(loss, args, (0, 1))
    usual = source(loss, args, argnums=(0, 1))
    leaves = [np.array(arg) for arg in args]
    along = [np.cos(1.0 + np.arange(one.size)).reshape(one.shape) for one in leaves]
    for operator in OPERATORS:
        backend = find(name, **options)
        answers = []
        for each in (backend.prepare(made, operator, leaves), backend_of_ours(usual, operator, leaves)):
            if operator == "vjp":
                values, pull = each.vjp(leaves)
                answers.append([*values, *pull([np.array(2.0)])])
            elif operator in ("jvp", "hvp"):
                found = getattr(each, operator)(leaves, along)
                answers.append(found if operator == "hvp" else [*found[0], *found[1]])
            elif operator in ("jacobian", "hessian"):
                found = getattr(each, operator)(leaves)
                blocks = found[1] if operator == "jacobian" else found
                answers.append([block for row in blocks for block in row])
            else:
                value, gradients = each.value_and_gradient(leaves)
                answers.append([value, *gradients])
        for found, right in zip(*answers, strict=True):
            assert not apart(found, right), operator


def backend_of_ours(made: Source, operator: str, leaves: list[Any]) -> Any:
    from difflab.nesting import ready

    return ready(find("reverse"), made, operator)


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(("name", "options"), [("torch", {}), ("torch", {"graph": True}), ("jax", {})])
def test_leaves_are_shared_and_results_are_nobody_elses(name: str, options: dict[str, Any]) -> None:
    """The gradients of x.y and of a sum are the arguments themselves, or one array for all."""

    def loss(x: Any, y: Any, z: Any) -> Any:
        return np.sum(x * y) + np.sum(z + y)

    args = tuple(np.arange(4.0) + i for i in range(3))
    made = on_device(loss, args, (0, 1, 2))
    prepared = find(name, **options).prepare(made, "value_and_gradient", list(args))
    leaves = [np.array(arg) for arg in args]
    _, gradients = prepared.value_and_gradient(leaves)
    assert [found.tolist() for found in gradients] == [[1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 1, 1]]
    everything = [*leaves, *gradients]
    for position, one in enumerate(everything):
        for other in everything[position + 1 :]:
            assert not np.shares_memory(one, other)
    tensors = prepared._tensors(leaves) if name == "torch" else prepared._arrays(leaves)
    assert np.shares_memory(np.from_dlpack(tensors[0]), leaves[0]) or name == "jax"  # JAX copies what is not aligned


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_pullback_does_not_see_what_became_of_its_leaves(name: str) -> None:
    made = on_device(lambda x: x * x, (np.arange(3.0),))
    leaf = np.arange(3.0)
    _, pullback = find(name).prepare(made, "vjp", [leaf]).vjp([leaf])
    leaf[:] = 100.0
    for _ in range(2):
        assert pullback([np.ones(3)])[0].tolist() == [0.0, 2.0, 4.0]


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_arrays_that_lie_in_pieces_or_are_empty(name: str) -> None:
    def loss(x: Any, e: Any) -> Any:
        return np.sum(x[0] * x[1]) + np.sum(e * 2.0)

    args = (np.arange(8.0).reshape(4, 2).T, np.zeros((0, 3)))
    made = on_device(loss, args, (0, 1))
    prepared = find(name).prepare(made, "value_and_gradient", list(args))
    value, (by_x, by_e) = prepared.value_and_gradient([args[0][:, ::-1], args[1]])
    assert float(value) == float(np.sum(args[0][0] * args[0][1]))
    assert by_x.tolist() == args[0][::-1, ::-1].tolist()
    assert by_e.shape == (0, 3)


@peers
@pytest.mark.usefixtures("in_place")
def test_a_captured_call_keeps_constants_and_serves_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    weights = np.arange(1.0, 65.0)
    made = on_device(lambda x: np.sum(weights * np.sin(x)), (np.zeros(64),))
    prepared = find("torch", graph=True).prepare(made, "gradient", made.example)
    assert prepared.stats["captured"] is True
    points = [np.full(64, 0.01 * k) for k in range(64)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: prepared.value_and_gradient([x])[1][0], points))
    for x, found in zip(points, answers, strict=True):
        assert np.allclose(found, weights * np.cos(x), rtol=1e-14, atol=0.0)


@peers
def test_a_graph_is_captured_on_a_gpu_only() -> None:
    with pytest.raises(UnsupportedError, match="captures a CUDA graph: give it CuPy's arrays, or device 'gpu'"):
        dl.gradient(np.sum, backend=find("torch", graph=True))(np.ones(3))


@peers
@pytest.mark.usefixtures("in_place")
def test_what_a_graph_does_not_hold_is_deduced_or_refused() -> None:
    from difflab.backends.ways import how

    backend = find("torch", graph=True)
    assert str(how(backend, "gradient")) == "native"
    assert str(how(backend, "vjp")) == "deduced from value_and_gradient"
    assert how(backend, "hvp").kind == "refused"


@peers
@pytest.mark.usefixtures("in_place")
def test_jax_keeps_a_gpu_busy_and_waits_for_the_call_before(monkeypatch: Any) -> None:
    made = on_device(lambda x: np.sum(x * x), (np.arange(3.0),))
    prepared = find("jax").prepare(made, "gradient", made.example)
    waited: list[Any] = []
    waiting = prepared._jax.block_until_ready
    monkeypatch.setattr(prepared._jax, "block_until_ready", lambda what: waited.append(what) or waiting(what))
    call = prepared.bare(made.example)
    first, second = call(), call()
    assert waited == [(), first]
    assert second is not first


@peers
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(("tf32", "named"), [(False, "HIGHEST"), (True, "HIGH,")])
def test_jax_is_told_how_to_round(tf32: bool, named: str) -> None:
    made = on_device(lambda x: np.sum(x @ x), (np.ones((3, 3), np.float32),))
    prepared = find("jax", jit=False, tf32=tf32).prepare(made, "gradient", made.example)
    jax = prepared._jax
    with prepared._side.precision():
        text = str(jax.make_jaxpr(lambda x: x @ x)(np.ones((3, 3), np.float32)))
    assert named in text.upper()


@peers
def test_a_pytorch_without_cuda_says_what_to_install(monkeypatch: Any) -> None:
    from difflab.backends.peers import torch_tensors

    torch = find("torch").prepare(source(np.sum, (np.ones(2),)), "gradient", [np.ones(2)])._torch
    if torch.cuda.is_available():
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch_tensors, "import_cupy", lambda: None)
    with pytest.raises(UnavailableError, match=r"needs a PyTorch that sees the GPU, and version .* sees none; install"):
        torch_tensors.tensors_on(torch, "gpu", False)
