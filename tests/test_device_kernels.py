"""Generated kernels: every element-wise primitive has one or a reason, and NumPy reads the same numbers out of it."""

from __future__ import annotations

import re
from typing import Any

import cupy_double
import kernel_cases
import kernel_double
import numpy as np
import pytest
from test_device_fusion import run_grouped, traced

import difflab.transforms.lanes  # noqa: F401 (it registers a primitive that few need)
from difflab.execution.device import reductions
from difflab.execution.device.fusion import grouped
from difflab.execution.device.kernels import element_kernel, reduction_kernel
from difflab.execution.device.language import literal_text, preamble
from difflab.execution.device.reductions import parted
from difflab.execution.device.texts import NAME, OPTIONS, elements_text, kernel_name
from difflab.primitives import REGISTRY
from difflab.primitives import REGISTRY as P

MOVES = "it moves elements, or sees others than its own"
SOLVES = "a function of whole matrices"
NEITHER = "CUDA has no such function; CuPy computes it by one of its own, or difflab's rule for it says so"
REASONS = {
    **dict.fromkeys(
        "transpose concatenate pad slice unslice gather scatter_add windows fold max_pool pool_select lanes "
        "pool_route pairing argsort argpartition partition_order searchsorted nonzero unravel_index ravel_multi_index "
        "cumsum recurrence cumprod cummax cummin slide sum prod max min argmax argmin fft rfft irfft".split(),
        MOVES,
    ),
    **dict.fromkeys(
        "matmul inverse solve cholesky pinv det det_derivative logabsdet sign_det eigh eigvalsh eig eigvals svd "
        "svdvals qr".split(),
        SOLVES,
    ),
    **dict.fromkeys(
        "dawsn polygamma psi loggamma beta betaln gammainc gammaincc gammaincinv betainc zeta jv yv iv kv yn ive kve "
        "k0 k1 i0e i1e k0e k1e expi exp1 expn".split(),
        NEITHER,
    ),
}
ROUNDED = {  # NumPy's own and SciPy's loops, or a quotient and a reciprocal, differ in the last bits
    "scipy_expm1", "scipy_log1p", "scipy_exp2", "scipy_cbrt", "numpy_i0", "sinc", "reciprocal",
}  # fmt: skip


@pytest.fixture
def cupy(monkeypatch) -> Any:
    return cupy_double.install(monkeypatch)


# ---------------------------------------------------------------------------- the registry


def test_every_primitive_has_a_kernel_or_a_reason():
    ours = [primitive for primitive in REGISTRY if ":" not in primitive.name]
    without = {primitive.name for primitive in ours if primitive.kernel is None}
    assert without == {name for name in REASONS if name in REGISTRY.records and REGISTRY[name].kernel is None}
    assert without == set(REASONS)
    assert not [primitive.name for primitive in ours if primitive.kind == "elementwise" and primitive.kernel is None
                and REASONS[primitive.name] is not NEITHER]  # fmt: skip


def test_texts_have_no_words_that_python_does_not_read():
    for case in kernel_cases.cases():
        tape = kernel_cases.tape_of(case)
        for line in elements_text(tape, kernel_cases.group_of(tape)).lines:
            assert not re.search(r"\?|&&|\|\||!(?!=)|\{|\}", line), line


@pytest.mark.parametrize("name", kernel_cases.names())
def test_numpy_reads_the_same_numbers_out_of_the_text(cupy, name):
    found = [case for case in kernel_cases.cases() if case.primitive.name == name]
    assert found
    for case in found:
        tape = kernel_cases.tape_of(case)
        group = kernel_cases.group_of(tape)
        out = cupy.empty(case.expected.shape, case.expected.dtype)
        element_kernel(cupy, tape, group)(*[cupy.asarray(case.operands[number]) for number in group.inputs], out)
        if name in ROUNDED:
            few = 8 * np.finfo(case.expected.dtype).eps
            np.testing.assert_allclose(out.get(), case.expected, rtol=few, atol=few)
        else:
            np.testing.assert_array_equal(out.get(), case.expected, err_msg=case.label)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [0.1, -0.0, 1e-5, 65504.0, np.inf, -np.inf, np.nan, 6e-8])
def test_literals_keep_their_bits(cupy, dtype, value):
    held, out = np.asarray(value, dtype), cupy.empty((1,), dtype)
    name = {"float32": "float", "float64": "double"}.get(dtype, dtype)
    lines = f"const {name} v0 = {literal_text(held, held.dtype)};\nr0 = v0;"
    cupy.ElementwiseKernel("", f"{dtype} r0", lines)(out)
    assert out.get().tobytes() == held.tobytes()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-(2**63), "i8"), (2**63 - 1, "i8"), (2**64 - 1, "u8"), (-128, "i1"), (True, "?"), (1.5 - 2j, "c8"),
     (complex(0.1, np.inf), "c16")],
)  # fmt: skip
def test_literals_of_other_kinds(value, dtype):
    text = literal_text(value, np.dtype(dtype))
    assert eval(text, dict(kernel_double.FUNCTIONS)) == np.asarray(value, dtype)


def test_a_preamble_has_each_function_after_those_it_needs():
    text = preamble("least_multiple(x0, x1) + entropy(x2)")
    places = [text.index(word) for word in ("T whole_size(", "T greatest_divisor(", "T least_multiple(")]
    assert places == sorted(places)
    assert text.index("#define infinity") < text.index("T entropy(")
    assert "choose" not in text


# ---------------------------------------------------------------------------- launches


def test_a_kernel_is_named_after_what_it_computes():
    tape = traced(lambda x, w: [np.tanh(x * w + x)], np.ones((2, 3)), np.ones(3))
    text = elements_text(tape, grouped(tape)[0])
    assert text.name == "difflab_multiply_add_tanh"
    assert text.lines == (
        "const double v0 = x0 * x1;", "const double v1 = v0 + x0;", "const double v2 = tanh(v1);", "r0 = v2;",
    )  # fmt: skip
    long = traced(lambda x: [np.arctan(np.arcsinh(np.arccosh(np.arctanh(np.logaddexp(np.sqrt(x), np.degrees(x))))))],
                  np.ones(3))  # fmt: skip
    assert len(kernel_name(long, range(len(long)))) <= NAME


def test_equal_layers_have_equal_texts():
    tape = traced(lambda x, w, b: [np.tanh(np.tanh(x @ w + b) @ w + b)], np.ones((4, 3)), np.ones((3, 3)), np.ones(3))
    texts = [elements_text(tape, group) for group in grouped(tape) if group.kind == "elements"]
    assert len(texts) == 2
    assert texts[0] == texts[1]


def test_products_and_sums_are_rounded_apart(cupy):
    tape = traced(lambda x, y: [x * y - x * y], np.ones(3), np.ones(3))
    kernel = element_kernel(cupy, tape, grouped(tape)[0])
    assert OPTIONS == ("--fmad=false",)
    assert kernel.args[0].kwargs["options"] == OPTIONS


@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((4, 3), (4, 1)), ((), ()), ((0, 3), (3,)), ((2, 1, 3), (5, 1))])
def test_operands_broadcast(cupy, shapes):
    inputs = [np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape) for shape in shapes]
    tape = traced(lambda x, y: [np.exp(x) * y + x], *inputs)
    (found,) = run_grouped(cupy, tape, inputs)
    np.testing.assert_array_equal(found, np.exp(inputs[0]) * inputs[1] + inputs[0])


def test_operands_of_any_strides(cupy):
    x = cupy.asarray(np.arange(24.0).reshape(4, 6))
    tape = traced(lambda a, b: [a * b], np.ones((3, 4)), np.ones((3, 4)))
    out = cupy.empty((3, 4), float)
    held = x.held
    element_kernel(cupy, tape, grouped(tape)[0])(x[:, ::2].T, x[:, 5:2:-1].T, out)
    np.testing.assert_array_equal(out.held, held[:, ::2].T * held[:, 5:2:-1].T)


def test_nothing_is_launched_for_empty_arrays(cupy, monkeypatch):
    tape = traced(lambda a: [a * a], np.ones((0, 3)))
    kernel, arrays = element_kernel(cupy, tape, grouped(tape)[0]), [cupy.empty((0, 3), float) for _ in range(2)]
    monkeypatch.setattr(cupy.STATE, "launch", lambda action: pytest.fail("launched"))
    kernel(*arrays)


def test_an_output_may_lie_where_an_input_lies(cupy):
    tape = traced(lambda a, b: [a + b, a * b], np.ones(3), np.ones(3))
    group = grouped(tape)[0]
    a, b = cupy.asarray(np.array([1.0, 2.0, 3.0])), cupy.asarray(np.array([4.0, 5.0, 6.0]))
    element_kernel(cupy, tape, group)(a, b, a, b)
    assert a.held.tolist() == [5.0, 7.0, 9.0]
    assert b.held.tolist() == [4.0, 10.0, 18.0]
    lines = elements_text(tape, group).lines
    assert [line.startswith("r") for line in lines] == [False, False, True, True]


def test_one_launch_per_kernel_and_none_while_capturing(cupy):
    tape = traced(lambda a: [np.tanh(a) * a], np.ones((2, 3)))
    x, out = cupy.asarray(np.ones((2, 3))), cupy.asarray(np.zeros((2, 3)))
    kernel = element_kernel(cupy, tape, grouped(tape)[0])
    stream = cupy.cuda.Stream()
    stream.begin_capture()
    before = cupy.STATE.launches
    kernel(x, out)
    graph = stream.end_capture()
    assert cupy.STATE.launches == before + 1
    assert not out.held.any()
    graph.launch()
    np.testing.assert_array_equal(out.held, np.full((2, 3), np.tanh(1.0)))


def test_wrong_types_and_shapes_are_refused_as_cupy_does(cupy):
    kernel = cupy.ElementwiseKernel("float64 x0, float64 x1", "float64 r0", "const double v0 = x0 + x1;\nr0 = v0;", "f")
    x, out = cupy.asarray(np.ones(3)), cupy.empty(3, float)
    with pytest.raises(TypeError, match="Type is mismatched"):
        kernel(x, cupy.asarray(np.ones(3, np.float32)), out)
    with pytest.raises(ValueError, match="Out shape is mismatched"):
        kernel(cupy.asarray(np.ones((2, 3))), x, out)
    with pytest.raises(ValueError, match="broadcast"):
        kernel(cupy.asarray(np.ones(4)), x, out)
    with pytest.raises(TypeError, match="number of arguments"):
        kernel(x)
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel(x, np.ones(3), out)
    with pytest.raises(ValueError, match="Invalid kernel name"):
        cupy.ElementwiseKernel("float64 x0", "float64 r0", "r0 = x0;", "a b")
    with pytest.raises(ValueError, match="'i'"):
        cupy.ElementwiseKernel("float64 i", "float64 r0", "r0 = i;", "f")


# ---------------------------------------------------------------------------- reductions


SUMS = [
    ((1000,), (0,)),
    ((300, 7), (0,)),
    ((7, 300), (1,)),
    ((5, 6, 7), (0, 2)),
    ((40, 3, 50), (0, 1, 2)),
    ((37,), (0,)),
]


@pytest.mark.parametrize(("shape", "axes"), SUMS)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("long", [False, True])
def test_reductions_of_chains(cupy, monkeypatch, shape, axes, name, long):
    if long:  # as if the GPU were so large that these were long
        monkeypatch.setattr(reductions, "PATIENCE", 1)
        monkeypatch.setattr(reductions, "BLOCK", 8)
        assert parted(shape, axes) is not None
    x = np.random.default_rng(1).uniform(0.9, 1.1, shape)
    tape = traced(lambda x: [P[name](x * x * 1.01, axes=axes)], x)
    (group,) = grouped(tape)
    assert group.kind == "reduction"
    (found,) = run_grouped(cupy, tape, [x])
    reference = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}[name](x * x * 1.01, axis=axes)
    np.testing.assert_allclose(found, reference, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128", "int32", "uint8"])
@pytest.mark.parametrize("long", [False, True])
def test_reductions_of_other_dtypes(cupy, monkeypatch, dtype, long):
    if long:
        monkeypatch.setattr(reductions, "PATIENCE", 1)
        monkeypatch.setattr(reductions, "BLOCK", 8)
    x = np.arange(60).reshape(20, 3).astype(dtype)
    tape = traced(lambda x: [P["sum"](x, axes=(0,))], x)
    (found,) = run_grouped(cupy, tape, [x])
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, x.sum(axis=0, dtype=x.dtype), rtol=1e-3 if dtype == "float16" else 1e-6)


def test_half_precision_is_summed_in_single_and_rounded_once(cupy):
    x = np.full(4096, 0.1, np.float16)
    tape = traced(lambda x: [P["sum"](x, axes=(0,))], x)
    (found,) = run_grouped(cupy, tape, [x])
    assert found == np.float16(4096 * float(np.float16(0.1)))


@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_is_the_extreme_of_all_that_hold_it(cupy, name):
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0], [-np.inf] * 3, [np.inf] * 3])
    tape = traced(lambda x: [P[name](x, axes=(1,))], x)
    (found,) = run_grouped(cupy, tape, [x])
    np.testing.assert_array_equal(found, getattr(np, name)(x, axis=1))


def test_the_sum_of_nothing_but_negative_zeros_is_one(cupy):
    tape = traced(lambda x: [P["sum"](x, axes=(0,))], np.full(4, -0.0))
    (found,) = run_grouped(cupy, tape, [np.full(4, -0.0)])
    assert np.signbit(found) == np.signbit(np.sum(np.full(4, -0.0)))


def test_reductions_of_repeated_elements(cupy):
    x, y = np.arange(3.0), np.arange(4.0).reshape(4, 1)
    tape = traced(lambda x, y: [P["sum"](P["broadcast_to"](x, shape=(4, 3)), axes=(0,)), np.sum(x * y)], x, y)
    first, second = run_grouped(cupy, tape, [x, y])
    np.testing.assert_array_equal(first, 4 * x)
    assert second == np.sum(x * y)


@pytest.mark.parametrize("long", [False, True])
def test_reductions_of_elements_that_are_read_from_no_array(cupy, monkeypatch, long):
    """As ``x**0``, which is 1: CuPy takes the shape of a loop from the arrays that it reads, and here is none."""
    if long:
        monkeypatch.setattr(reductions, "PATIENCE", 1)
        monkeypatch.setattr(reductions, "BLOCK", 8)
    x = np.zeros((37, 3))
    tape = traced(lambda x: [P["sum"]((x**0 + x**0) ** 2, axes=(0,))], x)
    (group,) = grouped(tape)
    assert (group.kind, group.inputs) == ("reduction", ())
    (found,) = run_grouped(cupy, tape, [x])
    np.testing.assert_array_equal(found, np.full(3, 4.0 * 37))


def test_nothing_of_cub_and_nothing_allocated_at_a_launch(cupy, monkeypatch):
    """CuPy gives reductions of one input to CUB, without our options: they have two."""
    x = np.ones((200_000,))
    tape = traced(lambda x: [np.sum(x * x)], x)
    made: list[Any] = []
    plain = cupy.ReductionKernel

    def counted(in_params: str, *args: Any, **named: Any) -> Any:
        made.append(in_params)
        assert named["options"] == OPTIONS
        return plain(in_params, *args, **named)

    monkeypatch.setattr(cupy, "ReductionKernel", counted)
    launch = reduction_kernel(cupy, tape, grouped(tape)[0])
    assert len(made) == 2
    assert all(text.count(",") >= 1 for text in made)
    device, out = cupy.asarray(x), cupy.empty((), float)
    monkeypatch.setattr(cupy, "empty", lambda *args, **named: pytest.fail("allocated at a launch"))
    launch(device, out)
    assert out.get() == 200_000.0


@pytest.mark.parametrize("shape", [(1 << 24,), (4096, 4096), (128 * 55 * 55, 96), (10, 1 << 20), (1 << 20, 10)])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_no_thread_goes_a_long_way_alone(shape, axis):
    axes = tuple(range(len(shape))) if axis is None else (axis,)
    if max(axes) >= len(shape):
        axes = (0,)
    parts, outputs = parted(shape, axes), int(np.prod([n for at, n in enumerate(shape) if at not in axes]))
    each = int(np.prod(shape)) // outputs
    last = max(axes)
    side = min(reductions.SIDE_BY_SIDE, int(np.prod(shape[last + 1 :])))
    count = 1 if parts is None else parts.count
    blocks, steps = count * -(-outputs // side), each / count * side / reductions.BLOCK
    assert blocks >= reductions.BLOCKS / 2 or steps <= 2 * reductions.PATIENCE
    if parts is not None:
        assert parts.count * parts.length + parts.rest == shape[parts.axis]
        assert parts.rest < parts.count
        assert outputs * (parts.count + 1) <= 4 * reductions.BLOCKS * reductions.SIDE_BY_SIDE
