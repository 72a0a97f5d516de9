"""What has to be seen on a real GPU (``pytest -m gpu``); ``test_gpu_study`` runs the same functions on the stand-in."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import BINARY, UNARY, cases_of, compose, determined, leaves_of, rng_of, tape_of, traced

import difflab as dl
from difflab import nn, transforms
from difflab.arrays import import_cupy, to_host
from difflab.backends import find
from difflab.backends.products import Products
from difflab.containers import flatten, unflatten
from difflab.errors import UnavailableError, UnsupportedError
from difflab.execution.device.nodes import HOST_SIDE
from difflab.execution.device.program import DeviceProgram
from difflab.execution.notes import settled
from difflab.operators import source
from difflab.primitives import REGISTRY
from difflab.problems import PROBLEMS
from difflab.problems import find as problem

pytestmark = pytest.mark.gpu

BUILT_IN = [record for record in REGISTRY if record.kind != "own" and ":" not in record.name]
NORM = {"float64": 1e-12, "float32": 1e-4}
"""How far a gradient may be from the CPU's in float64, of its length: the bars."""
ABSENT = {"jv", "yv", "iv", "kv", "ive", "kve"}  # what CuPy 14 has not
LIBRARY = 1e-8  # functions of a few hundred lines, whose polynomials differ from SciPy's
PEERS: list[tuple[str, dict[str, Any]]] = [
    ("torch", {}), ("torch", {"compile": True}), ("torch", {"graph": True}), ("jax", {}), ("jax", {"mode": "forward"}),
]  # fmt: skip


@pytest.fixture
def cupy() -> Iterator[Any]:
    """CuPy with a device; without one there is nothing to see."""
    try:
        yield import_cupy()
    except UnavailableError as fault:
        pytest.skip(str(fault))


def there(cupy: Any, tree: Any) -> Any:
    """A container with its arrays on the device."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [cupy.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


def here(tree: Any) -> list[np.ndarray]:
    """The leaves of a container on the host."""
    return [to_host(leaf) for leaf in flatten(tree)[0]]


def apart(found: Any, wanted: Any) -> float:
    """The distance of two lists of arrays, of the length of the second; infinite where one holds what is no number."""
    pairs = [(np.asarray(a, np.complex128), np.asarray(b, np.complex128)) for a, b in zip(found, wanted, strict=True)]
    assert all(a.shape == b.shape for a, b in pairs)
    length = sum(float(np.sum(np.abs(b) ** 2)) for _, b in pairs) ** 0.5
    distance = sum(float(np.sum(np.abs(a - b) ** 2)) for a, b in pairs) ** 0.5
    return distance / length if length else distance


def run_once(case: Any, cupy: Any) -> Any:
    """The value of a case by a program."""
    return DeviceProgram(tape_of(case)).run([cupy.asarray(array) for array in case.arrays])


def agree(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    """Elements agree, of the largest one; what is no number is so in both."""
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if wanted.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, wanted)
        return
    scale = float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0.0))
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)


# ------------------------------------------------------------------------------- primitives and kernels


@pytest.mark.parametrize("name", [record.name for record in BUILT_IN])
def test_a_primitive_gives_what_numpy_gives(name: str, cupy: Any) -> None:
    record = REGISTRY[name]
    if name in ABSENT:
        with pytest.raises(UnsupportedError, match=r"CuPy has no .*; use device 'cpu'"):
            run_once(cases_of(record)[0], cupy)
        return
    seen = 0
    for dtype in ("float64", "float32"):
        for case in cases_of(record, dtype):
            with np.errstate(all="ignore"):
                tape = tape_of(case)
                wanted = tape.evaluate(case.arrays)[0]
            program = DeviceProgram(tape)
            for _ in range(3):  # step by step, captured, replayed
                found = to_host(program.run([cupy.asarray(array) for array in case.arrays])[0])
                narrow = np.asarray(wanted).dtype.itemsize <= (8 if np.asarray(wanted).dtype.kind == "c" else 4)
                ours, theirs = (determined(name, case, one) for one in (found, np.asarray(wanted)))
                agree(ours, theirs, 1e-4 if narrow else LIBRARY)
            seen += 1
    assert seen or record.excuse


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(12))
def test_random_chains_of_fused_kernels(seed: int, dtype: str, cupy: Any) -> None:
    rng = rng_of(f"chain {seed}")
    drawn = rng.integers(0, [len(UNARY) + len(BINARY), 41, 41], (12, 3)).tolist()
    steps = [(which, first, second) for which, first, second in drawn]
    leaves = leaves_of("device", dtype)
    with np.errstate(all="ignore"):
        tape = traced(lambda *inputs: compose(steps, inputs), *leaves)
        wanted = tape.evaluate(leaves)
    program = DeviceProgram(tape)
    for _ in range(3):
        found = program.run([cupy.asarray(leaf) for leaf in leaves])
        for one, other in zip(found, wanted, strict=True):
            agree(to_host(one), np.asarray(other), 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("shape", [(1,), (3, 1), (33, 65), (1000, 7), (4, 5, 6, 7), (2, 100_003)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reductions_with_what_feeds_them(shape: tuple[int, ...], dtype: str, cupy: Any) -> None:
    x = rng_of(f"reduced {shape}").standard_normal(shape).astype(dtype)
    for axis in (None, 0, -1):
        tape = traced(
            lambda x, axis=axis: [
                np.sum(np.tanh(x) * x, axis=axis), np.max(x, axis=axis), np.mean(np.exp(x), axis=axis),
                np.min(np.abs(x), axis=axis, keepdims=True),
            ],
            x,
        )  # fmt: skip
        program = DeviceProgram(tape)
        for _ in range(3):
            for one, other in zip(program.run([cupy.asarray(x)]), tape.evaluate([x]), strict=True):
                agree(to_host(one), np.asarray(other), 1e-11 if dtype == "float64" else 1e-4)


# ------------------------------------------------------------------------------- programs


def gradients(name: str, size: str, dtype: str, cupy: Any) -> tuple[Any, list[Any], list[np.ndarray]]:
    """A gradient's program and its arguments on the device, and the CPU's gradient in float64."""
    instance = problem(name).build(size, dtype, 0)
    wide = problem(name).build(size, "float64", 0)
    made = source(instance.loss, instance.args)
    exact = source(wide.loss, wide.args)
    wanted = find("reverse").prepare(exact, "value_and_gradient", exact.example).value_and_gradient(exact.example)
    leaves = [cupy.asarray(leaf) for leaf in made.example]
    there = dataclasses.replace(made, device="gpu", example=leaves)
    return find("reverse").prepare(there, "value_and_gradient", leaves), leaves, [wanted[0], *wanted[1]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_of_shipped_problems(name: str, dtype: str, cupy: Any) -> None:
    for size in list(problem(name).sizes)[:2]:
        prepared, leaves, wanted = gradients(name, size, dtype, cupy)
        for _ in range(3):
            value, found = prepared.value_and_gradient(leaves)
            assert apart(here(found), wanted[1:]) < NORM[dtype]
            assert apart(here([value]), wanted[:1]) < NORM[dtype]


@pytest.mark.parametrize(("name", "size"), [("mlp", "64x64-100-10"), ("cnn", "8x8x1-8-16"), ("digits-mlp", "small")])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_replay_is_one_graph_to_which_no_array_is_brought(name: str, size: str, dtype: str, cupy: Any) -> None:
    instance = problem(name).build(size, dtype, 0)
    made = source(instance.loss, instance.args)
    program = DeviceProgram(transforms.gradient(made.tape, made.wrt))
    leaves = [cupy.asarray(leaf) for leaf in made.example]
    alone = here(program.run(leaves))
    assert not settled(program.stats)["captured"]
    with pytest.MonkeyPatch.context() as patch:
        for function in ("array", "asarray", "ascontiguousarray", "asnumpy"):
            if function in vars(cupy):
                patch.setattr(cupy, function, lambda *args, **kwargs: pytest.fail("an array crosses the bus"))
        replayed = [program.run(leaves) for _ in range(3)]
    assert settled(program.stats)["captured"], settled(program.stats).get("not_captured")
    for found in replayed:
        assert apart(here(found), alone) < (1e-14 if dtype == "float64" else 1e-6)  # sums may go another way round


@pytest.mark.parametrize(("name", "size"), [("mlp", "64x64-100-10"), ("cnn", "8x8x1-8-16"), ("alexnet", "small")])
def test_the_driver_sees_no_part_of_the_host_in_a_graph(name: str, size: str, cupy: Any) -> None:
    instance = problem(name).build(size, "float32", 0)
    made = source(instance.loss, instance.args)
    program = DeviceProgram(transforms.gradient(made.tape, made.wrt))
    for _ in range(2):
        program.run([cupy.asarray(leaf) for leaf in made.example])
    assert settled(program.stats)["captured"], settled(program.stats).get("not_captured")
    assert program._workspace is not None
    nodes = program._workspace.replay.nodes
    assert nodes is not None
    assert HOST_SIDE.isdisjoint(nodes)
    assert nodes["kernel"] > 3


def test_results_are_fresh_and_arguments_are_left_alone(cupy: Any) -> None:
    prepared, leaves, _ = gradients("mlp", "8x2-4-2", "float64", cupy)
    before = here(leaves)
    first = prepared.value_and_gradient(leaves)
    kept = here([first[0], *first[1]])
    for array in (first[0], *first[1]):
        array.fill(7.0)
    for _ in range(3):
        again = prepared.value_and_gradient(leaves)
        assert apart(here([again[0], *again[1]]), kept) < 1e-15
    assert all(np.array_equal(now, was) for now, was in zip(here(leaves), before, strict=True))


@pytest.mark.parametrize("streams", [False, True])
def test_threads_share_a_program(streams: bool, cupy: Any) -> None:
    prepared, leaves, _ = gradients("mlp", "64x64-32-10", "float64", cupy)
    instance = problem("mlp").build("64x64-32-10", "float64", 0)
    usual = source(instance.loss, instance.args)
    ours = find("reverse").prepare(usual, "value_and_gradient", usual.example)
    faults: list[Any] = []

    def work(number: int) -> None:
        try:
            stream = cupy.cuda.Stream(non_blocking=True) if streams else cupy.cuda.get_current_stream()
            for turn in range(8):
                factor = 1.0 + 0.01 * number + 0.001 * turn
                scaled = [factor * np.asarray(leaf) for leaf in usual.example]
                with stream:
                    found = prepared.value_and_gradient([cupy.asarray(leaf) for leaf in scaled])
                    distance = apart(here(found[1]), ours.value_and_gradient(scaled)[1])
                if not distance < 1e-12:
                    faults.append((number, turn, distance))
        except Exception as fault:  # whatever goes wrong in a thread is shown by the test
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(leaves) == len(usual.example)


# ------------------------------------------------------------------------------- operators


def net(params: Any, x: Any) -> Any:
    return np.tanh(x @ params["w"] + params["b"]) @ params["v"]


def loss(params: Any, x: Any, y: Any) -> Any:
    return nn.softmax_cross_entropy(net(params, x), y)


def arguments() -> tuple[Any, Any, Any]:
    rng = rng_of("operators")
    shapes = {"w": (5, 6), "b": (6,), "v": (6, 3)}
    return {key: rng.standard_normal(shape) for key, shape in shapes.items()}, rng.standard_normal((7, 5)), np.eye(7, 3)


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite"])
@pytest.mark.parametrize("operator", ["gradient", "jvp", "vjp", "jacobian", "hvp", "hessian"])
def test_operators(operator: str, backend: str, cupy: Any) -> None:
    params, x, y = arguments()
    along = {key: np.cos(array) for key, array in params.items()}
    scalar = operator in ("gradient", "hvp", "hessian")
    function, args = (loss, (params, x, y)) if scalar else (net, (params, x))
    answers = []
    for place in (lambda tree: there(cupy, tree), lambda tree: tree):
        tools, made = place(along), place(args)
        if operator == "vjp":
            _, pull = dl.vjp(function, *made, backend=backend)
            found = pull(place(np.ones((7, 3))))
        elif operator == "jvp":
            found = dl.jvp(function, made, (tools, 0.5 * made[1]), backend=backend)
        elif operator == "hvp":
            found = dl.hvp(function, 0, backend)(*made, tools)
        else:
            found = getattr(dl, operator)(function, 0, backend)(*made)
        answers.append(here(found))
    # quotients divide the rounding errors of two evaluations, which are others on another machine, by their step
    quotient = 1e-5 if operator in ("gradient", "jvp", "vjp", "jacobian") else 0.05
    assert apart(*answers) < (quotient if backend == "finite" else NORM["float64"])


def test_symbolic_code_runs_on_the_device(cupy: Any) -> None:
    instance = problem("xor").build("tiny", "float64", 0)
    found = dl.gradient(instance.loss, backend="symbolic")(*there(cupy, instance.args))
    wanted = dl.gradient(instance.loss)(*instance.args)
    assert all(isinstance(leaf, cupy.ndarray) for leaf in flatten(found)[0])
    assert apart(here(found), flatten(wanted)[0]) < NORM["float64"]


# ------------------------------------------------------------------------------- precision, products, peers


def test_float32_is_not_rounded_to_tf32_unless_asked(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUPY_TF32", raising=False)
    rng = rng_of("rounded")
    a, b = (rng.standard_normal((512, 512)) for _ in range(2))
    narrow = [cupy.asarray(array.astype(np.float32)) for array in (a, b)]
    exact = narrow[0].get().astype(float) @ narrow[1].get().astype(float)
    tape = traced(lambda a, b: [a @ b], *[array.astype(np.float32) for array in (a, b)])
    program = DeviceProgram(tape)
    for _ in range(3):
        assert apart([to_host(program.run(narrow)[0])], [exact]) < 1e-6  # ten bits would leave 1e-4 and more
    monkeypatch.setenv("CUPY_TF32", "1")
    rounding = DeviceProgram(tape)
    assert (program.stats["tf32"], rounding.stats["tf32"]) == (False, True)
    for _ in range(3):
        assert apart([to_host(rounding.run(narrow)[0])], [exact]) < 1e-2


def test_the_products_of_a_gradient_alone(cupy: Any) -> None:
    instance = problem("mlp").build("64x64-32-10", "float32", 0)
    made = source(instance.loss, instance.args)
    leaves = [cupy.asarray(leaf) for leaf in made.example]
    prepared = Products().prepare(dataclasses.replace(made, device="gpu", example=leaves), "gradient", leaves)
    prepared.bare(leaves)()
    for a, b, out in prepared._calls:
        assert apart([to_host(out)], [to_host(a).astype(float) @ to_host(b).astype(float)]) < 1e-6
    _, zeros = prepared.value_and_gradient(leaves)
    assert all(not to_host(zero).any() for zero in zeros)


@pytest.mark.parametrize(("name", "options"), PEERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("which", ["mlp", "cnn"])
def test_peers_agree_on_the_same_arrays(which: str, dtype: str, name: str, options: dict[str, Any], cupy: Any) -> None:
    instance = problem(which).build("tiny", dtype, 0)
    wide = problem(which).build("tiny", "float64", 0)
    made, exact = source(instance.loss, instance.args), source(wide.loss, wide.args)
    wanted = find("reverse").prepare(exact, "value_and_gradient", exact.example).value_and_gradient(exact.example)
    leaves = [cupy.asarray(leaf) for leaf in made.example]
    backend = find(name, **options)
    prepared = backend.prepare(dataclasses.replace(made, device="gpu", example=leaves), "gradient", leaves)
    for _ in range(2):
        value, found = prepared.value_and_gradient(leaves)
        assert all(isinstance(array, cupy.ndarray) for array in (value, *found))
        assert apart(here(found), wanted[1]) < NORM[dtype]
        prepared.bare(leaves)()
    assert prepared.stats["device"] == "gpu"


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_peers_take_arrays_of_other_streams_and_layouts(name: str, cupy: Any) -> None:
    x = rng_of("layouts").standard_normal((40, 30))
    made = source(lambda x, e: np.sum(np.sin(x) * x) + np.sum(e), (x, np.zeros((0, 2))), argnums=(0, 1))
    backend = find(name)
    leaves = [cupy.asarray(leaf) for leaf in made.example]
    prepared = backend.prepare(dataclasses.replace(made, device="gpu", example=leaves), "gradient", leaves)
    for stream in (cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream.null):
        with stream:
            turned = cupy.asarray(np.ascontiguousarray(x.T)).T
            _, (found, empty) = prepared.value_and_gradient([turned, leaves[1]])
            doubled = found * 2.0  # on the same stream, with nobody waiting
            stream.synchronize()
        assert apart(here([doubled]), [2.0 * (np.cos(x) * x + np.sin(x))]) < 1e-13
        assert empty.shape == (0, 2)


# ------------------------------------------------------------------------------- a study


def test_a_study_runs_from_the_command_line(cupy: Any, run_command: Any, tmp_path: Path) -> None:
    study = tmp_path / "small.toml"
    study.write_text(
        'title = "Small"\nquestion = "Does it run?"\nlook_for = "A row each."\nanswer = "compare"\ndevice = "gpu"\n'
        '[[problem]]\nname = "mlp"\nsizes = ["tiny"]\nquick = ["tiny"]\n'
        '[[backend]]\nname = "reverse"\n[[backend]]\nname = "forward"\n',
        "utf-8",
    )
    done = run_command("run", str(study), "--quick", "--out", str(tmp_path / "run"), timeout=300)
    assert done.returncode == 0, done.stderr
    from difflab.harness.results import load

    rows = load(tmp_path / "run").rows
    assert [(row["device"], row["outcome"]) for row in rows] == [("gpu", "ok")] * 2
    assert all(row["rel_error"] < NORM["float64"] for row in rows)
    assert "cupy" in sys.modules
