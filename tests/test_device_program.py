"""Programs of a GPU on the stand-in: the CPU's results, captured and replayed, nothing copied from or to the host."""

from __future__ import annotations

import threading
from typing import Any

import cublas_double
import cupy_double
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import BINARY, UNARY, compose, leaves_of, rng_of, traced
from test_execution import IN_PLACE

from difflab import nn, operators, transforms
from difflab.errors import GuardError
from difflab.execution.device.fusion import grouped
from difflab.execution.device.layout import LARGE, lay_out
from difflab.execution.device.program import DeviceProgram
from difflab.execution.notes import settled
from difflab.execution.plan import Passed
from difflab.execution.program import Program
from difflab.problems import PROBLEMS
from difflab.tape import Tape
from difflab.transforms.simplify import simplify

STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 40), st.integers(0, 40)),
    min_size=1,
    max_size=16,
)
REUSED = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = cupy_double.install(monkeypatch)
    module.blas = cublas_double.install(monkeypatch, module)
    return module


def numbers(shape: tuple[int, ...], label: str, dtype: str = "float64") -> np.ndarray:
    return np.asarray(rng_of(label).standard_normal(shape)).astype(dtype)


def on_device(cupy: Any, leaves: Any) -> list[Any]:
    return [cupy.asarray(leaf) for leaf in leaves]


def held(results: Any) -> list[np.ndarray]:
    return [result.held.copy() for result in results]


def close(found: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    for one, other in zip(found, wanted, strict=True):
        other = np.asarray(other)
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        eps = 1e-5 if other.dtype.itemsize <= 4 * (1 + (other.dtype.kind == "c")) else tolerance
        finite = np.abs(other[np.isfinite(other)])
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps * float(np.max(finite, initial=0.0)))


def network(w: Any, b: Any, v: Any, x: Any, y: Any) -> list[Any]:
    scores = np.tanh(x @ w + b) @ v
    return [np.mean(nn.logsumexp(scores, axis=1) - np.sum(scores * y, axis=1))]


def network_leaves(dtype: str = "float64") -> list[np.ndarray]:
    shapes = {"w": (6, 5), "b": (5,), "v": (5, 3), "x": (8, 6), "y": (8, 3)}
    return [numbers(shape, name, dtype) for name, shape in shapes.items()]


def network_tape(dtype: str = "float64") -> Tape:
    return transforms.gradient(traced(network, *network_leaves(dtype)), (0, 1, 2))


# ------------------------------------------------------------------------------- the same results


@REUSED
@given(steps=STEPS, dtype=st.sampled_from(["float64", "float32"]))
def test_three_runs_give_what_the_tape_gives(steps: Any, dtype: str, cupy: Any) -> None:
    leaves = leaves_of("device", dtype)
    with np.errstate(all="ignore"):
        tape = traced(lambda *inputs: compose(steps, inputs), *leaves)
        expected, other = tape.evaluate(leaves), leaves_of("elsewhere", dtype)
        elsewhere = tape.evaluate(other)
    program = DeviceProgram(tape)
    arguments = on_device(cupy, leaves)
    for _ in range(3):  # step by step, captured, replayed
        results = program.run(arguments)
        close(held(results), expected)
        for result in results:
            result.held.fill(1)  # theirs alone
    close(held(program.run(on_device(cupy, other))), elsewhere)
    close(held(arguments), leaves, 0.0)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_work_never_overwrites_what_is_still_read(name: str, cupy: Any) -> None:
    def summed(x: Any) -> list[Any]:
        return [np.sum(np.sin(y) * numbers(y.shape, f"w{i}")) for i, y in enumerate(IN_PLACE[name](x))]

    x = numbers((3, 3), "in place")
    for function in (summed, IN_PLACE[name]):
        tape = traced(function, x)
        program = DeviceProgram(tape)
        for _ in range(3):
            close(held(program.run([cupy.asarray(x)])), tape.evaluate([x]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_is_captured_at_its_second_run_and_copies_nothing(dtype: str, cupy: Any) -> None:
    leaves, program = network_leaves(dtype), DeviceProgram(network_tape(dtype))
    expected = Program(network_tape(dtype)).run(leaves)
    arguments = on_device(cupy, leaves)
    close(held(program.run(arguments)), expected)
    assert not settled(program.stats)["captured"]
    cupy.STATE.copies.clear()
    for _ in range(3):
        close(held(program.run(arguments)), expected)
    assert settled(program.stats)["captured"], settled(program.stats)
    assert "not_captured" not in settled(program.stats)
    assert sum(cupy.STATE.copies.values()) == 0


def test_a_replay_launches_one_graph_and_the_copies_around_it(cupy: Any) -> None:
    leaves, program = network_leaves(), DeviceProgram(network_tape())
    arguments = on_device(cupy, leaves)
    for _ in range(2):
        program.run(arguments)
    before = cupy.STATE.launches
    results = program.run(arguments)
    blocks = {id(result.held.base) for result in results}
    assert cupy.STATE.launches - before == len(leaves) + len(blocks)  # the graph's kernels were launched by the graph


def test_element_wise_chains_become_few_kernels(cupy: Any) -> None:
    program = DeviceProgram(network_tape())
    stats = program.stats
    assert stats["fused"] > 2 * stats["fused_kernels"] > 0
    assert stats["device"] == "gpu"


# ------------------------------------------------------------------------------- memory


@settings(max_examples=100)
@given(steps=STEPS)
def test_values_that_are_alive_together_share_no_slot(steps: Any) -> None:
    tape = simplify(traced(lambda *inputs: compose(steps, inputs), *leaves_of("device")))
    layout = lay_out(tape, grouped(tape))
    last = {number: at for at, group in enumerate(layout.groups) for number in _roots(tape, layout, group.inputs)}
    last |= dict.fromkeys(_roots(tape, layout, tape.outputs), len(layout.groups))
    owner: dict[int, int] = {}
    for at, group in enumerate(layout.groups):
        for number in group.outputs:
            slot = layout.slot_of.get(number)
            if slot is None:
                continue
            assert tape.avals[number].nbytes <= layout.slots[slot]
            previous = owner.get(slot)
            if previous is not None and last.get(previous, at) >= at:  # only an operand that dies right here
                assert last[previous] == at
                assert previous in group.inputs
                assert group.kind == "elements"
                assert tape.avals[previous][:2] == tape.avals[number][:2]
            owner[slot] = number


def _roots(tape: Tape, layout: Any, numbers: Any) -> list[int]:
    made = {equation.output: equation for equation in tape.equations}
    roots = []
    for number in numbers:
        while layout.places.get(number) == "view":
            number = made[number].inputs[0]
        roots.append(number)
    return roots


def test_buffers_are_reused(cupy: Any) -> None:
    def deep(x: Any) -> list[Any]:
        for _ in range(20):
            x = np.tanh(x @ x)
        return [np.sum(x)]

    program = DeviceProgram(traced(deep, numbers((8, 8), "deep")))
    assert program.stats["buffers"] <= 3


def test_who_keeps_the_value_keeps_no_gradient(cupy: Any) -> None:
    program = DeviceProgram(network_tape())
    value, *gradients = program.run(on_device(cupy, network_leaves()))
    assert value.shape == ()
    assert not any(np.may_share_memory(value.held.base, gradient.held.base) for gradient in gradients)


def test_large_results_are_arrays_of_their_own() -> None:
    n = LARGE // 8
    tape = simplify(traced(lambda x: [x * 2.0, x * 3.0, np.sum(x)], np.ones(n)))
    layout = lay_out(tape, grouped(tape))
    assert [spot.block for spot in layout.spots] == [2, 3, 0]


def test_a_result_that_is_an_input_or_returned_twice_is_an_array_of_its_own(cupy: Any) -> None:
    x, closed = numbers((3,), "twice"), numbers((2,), "constant")
    tape = traced(lambda x: [x, y := x * 2.0, y, np.reshape(y, (1, 3)), closed, 3.0], x)
    program, argument = DeviceProgram(tape), cupy.asarray(x)
    for _ in range(3):
        results = program.run([argument])
        close(held(results), tape.evaluate([x]))
        for at, result in enumerate(results):
            result.held[...] = at
        assert [np.ravel(result.held)[0] for result in results] == list(range(6))


# ------------------------------------------------------------------------------- arguments and constants


def test_what_depends_on_constants_alone_is_computed_once(cupy: Any) -> None:
    matrix = numbers((4, 4), "matrix")
    tape = traced(lambda x: [x @ np.tanh(matrix_of(x, matrix)), np.exp(matrix_of(x, matrix)).T], numbers((2, 4), "x"))
    program, x = DeviceProgram(tape), cupy.asarray(numbers((2, 4), "x"))
    for _ in range(3):
        close(held(program.run([x])), tape.evaluate([x.held]))
    names = program._workspace.replay._names  # type: ignore[union-attr] (it has run)
    assert not any(name in ("tanh", "exp") for name in names), names


def matrix_of(x: Any, matrix: np.ndarray) -> Any:
    """The matrix as a constant of the trace that ``x`` belongs to."""
    return x.builder.constant(matrix)


def test_constants_are_uploaded_once(cupy: Any) -> None:
    matrix = numbers((4, 4), "matrix")
    tape = traced(lambda x: [x @ matrix + np.arange(4.0)], numbers((2, 4), "x"))
    program = DeviceProgram(tape)
    uploaded = cupy.STATE.copies["to device"]
    x = cupy.asarray(numbers((2, 4), "x"))
    for _ in range(3):
        close(held(program.run([x])), tape.evaluate([x.held]))
    assert cupy.STATE.copies["to device"] == uploaded + 1  # the argument of this test
    matrix.fill(0)
    assert np.any(program.run([x])[0].held != np.arange(4.0))


def test_passed_constants_and_numbers_come_with_each_call(cupy: Any) -> None:
    tape = traced(lambda x, scale: [x * scale + np.ones(3)], numbers((3,), "x"), 2.0)
    (number,) = [one for one, value in tape.constants.items() if np.shape(value) == (3,)]
    tape = Tape(**{**vars(tape), "constants": {**tape.constants, number: Passed(0)}})
    program, x = DeviceProgram(tape), cupy.asarray(numbers((3,), "x"))
    for scale, shift in ((2.0, 1.0), (3.0, -1.0), (-1.5, 4.0), (0.5, 0.0)):
        (result,) = program.run([x, np.asarray(scale)], [np.full(3, shift)])
        np.testing.assert_allclose(result.held, x.held * scale + shift)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_a_negative_zero_keeps_its_sign(dtype: str, cupy: Any) -> None:
    zero = np.asarray(complex(-0.0, -0.0) if dtype == "complex128" else -0.0, dtype)
    program = DeviceProgram(traced(lambda x, y: [x * np.real(y)], np.ones(2), np.asarray(1.5, dtype)))
    x = cupy.asarray(np.ones(2))
    for _ in range(3):
        assert np.signbit(program.run([x, zero])[0].held.real).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_many_arrays_behind_each_other_are_captured(axis: int, cupy: Any) -> None:
    x = numbers((12, 5), "parts")
    tape = traced(lambda x: [np.stack([np.tanh(x[row]) @ x[row + 1] * x[row] for row in range(11)], axis=axis)], x)
    assert any(equation.primitive.name == "concatenate" for equation in simplify(tape).equations)
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run([cupy.asarray(x)])), tape.evaluate([x]))
    assert settled(program.stats)["captured"], settled(program.stats)["not_captured"]


@pytest.mark.parametrize("layout", ["transposed", "strided", "reversed"])
def test_arguments_may_lie_in_any_order(layout: str, cupy: Any) -> None:
    whole = cupy.asarray(numbers((6, 8), layout))
    x = {"transposed": whole.T, "strided": whole[::2, ::3], "reversed": whole[::-1]}[layout]
    tape = traced(lambda x: [np.tanh(x) @ x.T], np.ascontiguousarray(x.held))
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run([x])), tape.evaluate([x.held]))


# ------------------------------------------------------------------------------- what needs the host


def test_a_branch_is_looked_at_by_the_host_and_ends_the_capture(cupy: Any) -> None:
    tape = traced(lambda x: [2 * x if x > 0 else -x], np.asarray(1.0))
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run([cupy.asarray(3.0)])), [6.0])
    with pytest.raises(GuardError):
        program.run([cupy.asarray(-1.0)])
    assert not settled(program.stats)["captured"]
    assert settled(program.stats)["not_captured"] == "the host compares what Python saw in 1 branch"


def test_a_factorisation_runs_uncaptured_and_says_why(cupy: Any) -> None:
    x = numbers((3, 3), "factor") + 4 * np.eye(3)
    tape = traced(lambda x: [np.linalg.inv(x)], x)
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run([cupy.asarray(x)])), tape.evaluate([x]), 1e-10)
    assert not settled(program.stats)["captured"]
    assert "cuSOLVER" in settled(program.stats)["not_captured"]


def test_a_fourier_transform_runs_uncaptured(cupy: Any) -> None:
    x = numbers((8,), "waves")
    tape = traced(lambda x: [np.abs(np.fft.fft(x)) ** 2], x)
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run([cupy.asarray(x)])), tape.evaluate([x]))
    assert settled(program.stats)["not_captured"].startswith("fft works in memory that belongs to CuPy's plans")


@pytest.mark.parametrize("which", ["first", "second", "both"])
def test_operands_that_blas_cannot_read_are_copied_in_each_run(which: str, cupy: Any) -> None:
    a, b = numbers((6, 8, 10), "left"), numbers((6, 10, 8), "right")

    def product(a: Any, b: Any) -> list[Any]:
        left = (a * 2.0)[:, ::2, ::2] if which != "second" else (a * 2.0)[:, ::2, :5]
        right = (b * 2.0)[:, ::2, ::2] if which != "first" else (b * 2.0)[:, :5]
        return [left @ right]

    tape = traced(product, a, b)
    program = DeviceProgram(tape)
    for _ in range(3):
        close(held(program.run(on_device(cupy, [a, b]))), tape.evaluate([a, b]))
    assert settled(program.stats)["captured"]


def test_tf32_is_asked_for_by_name(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUPY_TF32", raising=False)
    leaves = on_device(cupy, network_leaves("float32"))
    DeviceProgram(network_tape("float32")).run(leaves)
    assert {product.compute for product in cupy.blas.products} == {68}  # sums of 32 bits, factors unrounded
    cupy.blas.products.clear()
    monkeypatch.setenv("CUPY_TF32", "1")
    program = DeviceProgram(network_tape("float32"))
    program.run(leaves)
    assert {product.compute for product in cupy.blas.products} == {77}
    assert program.stats["tf32"]


def test_eight_threads_share_one_program(cupy: Any) -> None:
    program = DeviceProgram(network_tape())
    points = [[*network_leaves()[:3], numbers((8, 6), f"x{i}"), numbers((8, 3), f"y{i}")] for i in range(8)]
    arguments = [on_device(cupy, point) for point in points]
    expected = [held(program.run(one)) for one in arguments]
    wrong: list[int] = []
    start = threading.Barrier(8)

    def work(first: int) -> None:
        start.wait()
        for step in range(20):
            at = (first + step) % 8
            found = held(program.run(arguments[at]))
            if not all(map(np.array_equal, found, expected[at])):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------- whole problems


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_of_all_problems(name: str, dtype: str, cupy: Any) -> None:
    case = PROBLEMS[name].build("tiny", dtype, 0)
    source = operators.source(case.loss, case.args)
    tape = transforms.gradient(source.tape, source.wrt)
    expected = Program(tape).run(source.example)
    program, arguments = DeviceProgram(tape), [cupy.asarray(leaf) for leaf in source.example]
    cupy.STATE.copies.clear()
    for _ in range(3):
        close(held(program.run(arguments)), expected)
    assert sum(cupy.STATE.copies.values()) == 0
    assert settled(program.stats)["captured"], settled(program.stats)["not_captured"]
