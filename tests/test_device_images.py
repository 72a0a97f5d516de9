"""Kernels for windows, pooling and convolutions: compiled by g++, they give what NumPy's primitives give."""

from typing import Any

import cublas_double
import cupy_double
import cxx_double
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import DTYPES, FEW, LAYOUTS, assert_same_bits, filled, placed, rule_of, strided, values

from difflab import nn
from difflab.errors import UnsupportedError
from difflab.execution.device.program import DeviceProgram
from difflab.primitives import REGISTRY, convolution_kernels, copy_kernels, neural, neural_kernels, patch_kernels
from difflab.primitives.raw_kernels import Layout, source_text
from difflab.primitives.record import Primitive
from difflab.primitives.values import value_of
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, simplify
from difflab.transforms.on_devices import for_device, patches_at_once

KERNELS = ("fold", "max_pool", "pool_select", "pool_route", "unslice", "gather", "scatter_add", "cumsum", "cumprod",
           "cummax", "cummin", "recurrence", "slide")  # fmt: skip


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


@pytest.fixture
def compiled(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    cxx_double.compile_kernels(monkeypatch)
    return cupy


def _samples(primitive: Primitive) -> list:
    assert primitive.samples is not None
    return primitive.samples()


@st.composite
def images(draw: st.DrawFn) -> tuple:
    """Shape, size and stride of windows: overlapping, touching, apart, and with pixels that no window holds."""
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    rows, columns = (extent + draw(st.integers(0, 4)) for extent in size)
    return (draw(st.integers(1, 2)), rows, columns, draw(st.integers(1, 3))), size, stride


# ---------------------------------------------------------------------------- against the primitives' own values


@pytest.mark.cxx
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_give_the_bits_of_numpy_on_every_sample(compiled, name):
    primitive = REGISTRY[name]
    for operands, params in _samples(primitive):
        for dtype in DTYPES:
            given = [one.astype(dtype) if one.dtype.kind == "f" else one for one in operands]
            found, expected = filled(compiled, primitive, given, params), primitive.evaluate(*given, **params)
            if name == "max_pool":  # of two zeros NumPy takes one or the other, as the processor's maximum does
                found, expected = found + 0.0, expected + 0.0
            assert_same_bits(found, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_rules_fill_a_given_array_and_allocate_nothing(cupy, name):
    def refuse(*args: Any) -> Any:
        raise AssertionError("something was allocated")

    for operands, params in _samples(REGISTRY[name]):
        fresh = rule_of(REGISTRY[name])(cupy, *[placed(cupy, one) for one in operands], **params).held
        assert_same_bits(fresh, REGISTRY[name].evaluate(*operands, **params))
        cupy.empty, kept = refuse, cupy.empty
        assert_same_bits(filled(cupy, REGISTRY[name], list(operands), params), fresh)
        cupy.empty = kept


@pytest.mark.cxx
@FEW
@given(images(), st.sampled_from([*DTYPES, "i4", "u1", "c8"]), LAYOUTS, LAYOUTS, st.integers(0, 99))
def test_fold_adds_in_the_order_of_numpy(compiled, case, dtype, how, how_out, seed):
    shape, size, stride = case
    entries = neural.windows.abstract(np.empty(shape), size=size, stride=stride).shape
    g = strided((8 * values(seed, entries, "f8")).astype(dtype), how)
    params = {"size": size, "stride": stride, "shape": shape}
    assert_same_bits(filled(compiled, neural.fold, [g], params, how_out), neural.fold.evaluate(g, **params))


@pytest.mark.cxx
@FEW
@given(images(), st.sampled_from(DTYPES), LAYOUTS, LAYOUTS, st.integers(0, 99))
def test_pooling_takes_the_first_largest_and_nan_first(compiled, case, dtype, how, how_out, seed):
    shape, size, stride = case
    params = {"size": size, "stride": stride}
    x = strided(values(seed, shape, dtype, levels=True), how)
    y = neural.max_pool.evaluate(x, **params)
    np.testing.assert_array_equal(filled(compiled, neural.max_pool, [x], params, how_out), y)  # zeros of either sign
    for primitive, moving in (
        (neural.pool_select, values(seed + 1, shape, dtype)),
        (neural.pool_route, values(seed + 1, y.shape, dtype)),
    ):
        operands = [strided(moving, how_out), x, y]
        found = filled(compiled, primitive, operands, params, how_out)
        assert_same_bits(found, primitive.evaluate(*operands, **params))


@pytest.mark.cxx
def test_of_two_zeros_and_of_two_nans_the_first_is_the_maximum(compiled):
    x = np.array([-0.0, 0.0, 1.0, np.nan]).reshape(1, 1, 4, 1)
    found = filled(compiled, neural.max_pool, [x], {"size": (1, 2), "stride": (1, 2)})
    assert np.signbit(found[0, 0, 0, 0])
    assert np.isnan(found[0, 0, 1, 0])


@pytest.mark.cxx
@FEW
@given(
    images(), st.sampled_from(["f4", "f8", "f2", "i1", "c16"]), LAYOUTS, st.integers(0, 99), st.sampled_from([1, 4, 8])
)
def test_windows_are_a_view_and_their_copy_is_contiguous(compiled, case, dtype, how, seed, more):
    (batch, rows, columns, channels), size, stride = case
    x = strided((9 * values(seed, (batch, rows, columns, channels * more), "f8")).astype(dtype), how)
    params = {"size": size, "stride": stride}
    expected = neural.windows.evaluate(x, **params)
    view = rule_of(neural.windows)(compiled, placed(compiled, x), **params)
    assert np.shares_memory(view.held, x)
    assert_same_bits(copy_kernels.copy(compiled, view).held, np.asarray(expected))
    rows_of = compiled.empty((int(np.prod(expected.shape[:3])), int(np.prod(expected.shape[3:]))), dtype)
    neural_kernels.windows(compiled, placed(compiled, x), **params, out=rows_of)
    np.testing.assert_array_equal(rows_of.held, expected.reshape(rows_of.shape))


def test_a_copy_into_another_shape_wants_it_in_c_order(cupy):
    with pytest.raises(ValueError, match="only if that is in C order"):
        copy_kernels.copy(cupy, cupy.empty((2, 3)), out=placed(cupy, np.empty((2, 3)).T))


@pytest.mark.cxx
@FEW
@given(
    images(), st.sampled_from(["f4", "f8", "f2"]), LAYOUTS, st.integers(0, 99), st.sampled_from([1, 4, 8]), st.data()
)
def test_patches_carry_a_border_that_is_nowhere_stored(compiled, case, dtype, how, seed, more, data):
    (batch, rows, columns, channels), size, stride = case
    border = tuple(data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(2))
    x = strided(values(seed, (batch, rows, columns, channels * more), dtype), how)
    params = {"size": size, "stride": stride, "border": border}
    found = filled(compiled, patch_kernels.patches, [x], params, data.draw(LAYOUTS))
    assert_same_bits(found, patch_kernels.patches.evaluate(x, **params))
    shape = patch_kernels.framed(x.shape, border)
    back = {**params, "shape": shape}
    g = strided(values(seed, found.shape, dtype), how)
    pulled = filled(compiled, patch_kernels.from_patches, [g], back, data.draw(LAYOUTS))
    assert_same_bits(pulled, np.asarray(patch_kernels.from_patches.evaluate(g, **back)))


@pytest.mark.cxx
@FEW
@given(images(), st.sampled_from(DTYPES), LAYOUTS, st.integers(1, 12), st.integers(1, 4), st.data())
def test_products_without_patches_are_those_of_patches(compiled, case, dtype, how, outputs, parts, data):
    shape, size, stride = case
    border = data.draw(st.sampled_from([((0, 0), (0, 0)), ((1, 1), (1, 2))]))
    params = {"size": size, "stride": stride, "border": border}
    x = strided(values(1, shape, dtype), how)
    windows, taps = patch_kernels.patches.evaluate(x, **params).shape
    w, g = strided(values(2, (taps, outputs), dtype), how), strided(values(3, (windows, outputs), dtype), how)
    close = {"f8": 1e-13, "f4": 1e-5, "f2": 2e-2}[dtype]
    for primitive, operands, more in (
        (convolution_kernels.direct_products, [x, w], {}),
        (convolution_kernels.direct_cotangents, [x, g], {"parts": parts}),
    ):
        found = filled(compiled, primitive, operands, {**params, **more}, data.draw(LAYOUTS))
        np.testing.assert_allclose(found, primitive.evaluate(*operands, **params, **more), close, close)


@pytest.mark.cxx
def test_empty_images_launch_nothing_and_empty_windows_fold_to_zeros(compiled):
    launches = compiled.STATE.launches
    none = filled(compiled, neural.max_pool, [np.empty((0, 4, 4, 2))], {"size": (2, 2), "stride": (2, 2)})
    assert none.shape == (0, 2, 2, 2)
    assert compiled.STATE.launches == launches
    params = {"size": (3, 3), "stride": (1, 1), "shape": (1, 2, 2, 1)}
    assert (filled(compiled, neural.fold, [np.empty((1, 0, 0, 3, 3, 1))], params) == 0).all()


def test_large_arrays_are_indexed_with_64_bits():
    def flat(*shape: int) -> Layout:
        strides = tuple(int(np.prod(shape[axis + 1 :], dtype=object)) for axis in range(len(shape)))
        return Layout(shape, strides, np.dtype("f4"), 16)

    layouts = [flat(1024, 54, 54, 3, 3, 96), flat(1024, 56, 56, 96)]
    params = {"size": (3, 3), "stride": (1, 1), "shape": layouts[1].shape}
    text, blocks, _ = source_text("fold", neural_kernels.fold_text, layouts, params)
    assert "typedef long long I;" in text
    assert blocks == -(-layouts[1].size // 256)
    small = [flat(2, 2, 2, 3, 3, 1), flat(2, 4, 4, 1)]
    assert "typedef int I;" in source_text("fold", neural_kernels.fold_text, small, params)[0]


def test_a_dtype_that_a_gpu_has_not_is_refused(cupy):
    x = placed(cupy, np.ones((1, 2, 2, 1), np.longdouble))
    with pytest.raises(UnsupportedError, match="a GPU computes with no "):
        rule_of(neural.max_pool)(cupy, x, size=(2, 2), stride=(2, 2))


# ---------------------------------------------------------------------------- convolutions on tapes


def _network(channels: int, first: int, second: int, kernel: int, dtype: str) -> tuple:
    x, w, v = values(1, (2, 9, 8, channels), dtype), values(2, (kernel, kernel, channels, first), dtype), None
    v = values(3, (kernel, kernel, first, second), dtype)

    def loss(leaves: list) -> list:
        y = nn.max_pool2d(nn.relu(nn.conv2d(leaves[0], leaves[1], padding="same")), 2)
        return [np.sum(nn.conv2d(y, leaves[2], padding="same") ** 2)]

    tape = simplify(gradient(trace_leaves(loss, [x, w, v]), (1, 2)))
    return tape, [x, w, v]


@pytest.mark.parametrize("direct", [True, False])
def test_a_network_for_a_gpu_has_the_same_gradient(monkeypatch, direct):
    monkeypatch.setattr(convolution_kernels, "is_direct", lambda *args, **params: direct)
    tape, leaves = _network(1, 4, 5, 3, "f8")
    changed = for_device(tape).check()
    names = [equation.primitive.name for equation in changed.equations]
    assert ("direct_products" in names) == direct
    assert {"windows", "pad", "fold", "slice"} & set(names) == set()
    assert "from_patches" in names
    for found, expected in zip(changed.evaluate(leaves), tape.evaluate(leaves), strict=True):
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


def test_groups_of_channels_have_patches_too():
    leaves = [values(1, (2, 6, 5, 4), "f8"), values(2, (3, 3, 2, 6), "f8")]
    loss = trace_leaves(lambda given: [np.sum(nn.conv2d(*given, padding="same", groups=2) ** 2)], leaves)
    tape = simplify(gradient(loss, (0, 1)))
    changed = for_device(tape).check()
    names = {equation.primitive.name for equation in changed.equations}
    assert {"patches", "from_patches"} <= names
    assert {"windows", "fold"} & names == set()
    for found, expected in zip(changed.evaluate(leaves), tape.evaluate(leaves), strict=True):
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


@pytest.mark.parametrize("compiles", [False, pytest.param(True, marks=pytest.mark.cxx)])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_captured_program_fills_its_own_arrays(cupy, monkeypatch, compiles, prepared):
    cublas_double.install(monkeypatch, cupy)
    if compiles:
        cxx_double.compile_kernels(monkeypatch)
    tape, leaves = _network(3, 4, 6, 3, "f8")
    program = DeviceProgram(for_device(tape) if prepared else tape)
    uploaded = [cupy.asarray(leaf) for leaf in leaves]
    for _ in range(3):
        for found, expected in zip(program.run(uploaded), tape.evaluate(leaves), strict=True):
            np.testing.assert_allclose(found.held, expected, 1e-11, 1e-11)
    assert program.stats["captured"]
    assert cupy.STATE.copies["to host"] == 0


@pytest.mark.parametrize("compiles", [False, pytest.param(True, marks=pytest.mark.cxx)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("direct", [True, False])
def test_it_runs_on_the_device_without_the_host(cupy, monkeypatch, compiles, dtype, direct):
    monkeypatch.setattr(convolution_kernels, "is_direct", lambda *args, **params: direct)
    if compiles:
        cxx_double.compile_kernels(monkeypatch)
    tape, leaves = _network(3, 4, 6, 3, dtype)
    changed = for_device(tape)
    uploaded = [cupy.asarray(leaf) for leaf in leaves]
    found = changed.replay(uploaded, value_of)
    assert cupy.STATE.copies["to host"] == 0
    tolerance = {"f4": 1e-4, "f8": 1e-12}[dtype]
    for one, expected in zip(found, tape.evaluate(leaves), strict=True):
        np.testing.assert_allclose(one.held, expected, tolerance, tolerance * np.abs(expected).max())


def test_patches_that_something_else_reads_stay():
    def loss(leaves: list) -> list:
        images, kernel = leaves
        patches = neural.windows(images, size=(2, 2), stride=(1, 1))
        flat = np.reshape(patches, (2 * 3 * 3, 4))
        return [np.sum(flat @ kernel) + np.sum(np.tanh(flat))]

    leaves = [values(0, (2, 4, 4, 1), "f8"), values(1, (4, 3), "f8")]
    tape = simplify(trace_leaves(loss, leaves))
    changed = patches_at_once(tape).check()
    assert [equation.primitive.name for equation in changed.equations].count("patches") == 1
    np.testing.assert_allclose(changed.evaluate(leaves), tape.evaluate(leaves), 1e-13)


def test_the_choice_weighs_bytes_against_operations():
    rates = convolution_kernels.Rates(bandwidth=1e9, launch=0.0)
    with_patches, without = convolution_kernels.seconds(10**6, 9, 4, np.float32, rates=rates)
    assert with_patches > without
    rates = convolution_kernels.Rates(bandwidth=1e15, launch=0.0)
    with_patches, without = convolution_kernels.seconds(10**6, 9, 64, np.float32, rates=rates)
    assert with_patches < without
    border = ((0, 0), (0, 0))
    assert not convolution_kernels.is_direct((0, 4, 4, 1), 3, np.float32, size=(2, 2), stride=(1, 1), border=border)
    assert not convolution_kernels.is_direct((9, 4, 4, 1), 3, np.int32, size=(2, 2), stride=(1, 1), border=border)
