"""Kernels that gather, scatter, place and scan: compiled by g++, they give what NumPy's primitives give."""

import math
from typing import Any

import cupy_double
import cxx_double
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_checks import DTYPES, FEW, LAYOUTS, assert_same_bits, filled, placed, strided, values

from difflab.primitives import REGISTRY, index, scan, scan_kernels, scatter_kernels, sorting_kernels, spots
from difflab.primitives.values import value_of
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, simplify
from difflab.transforms.on_devices import sorted_scatters


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


@pytest.fixture
def compiled(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    cxx_double.compile_kernels(monkeypatch)
    return cupy


@st.composite
def indexed(draw: st.DrawFn) -> tuple:
    """A shape, the axes that are indexed, and index arrays that broadcast; some count from the end."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axes = tuple(sorted(draw(st.sets(st.sampled_from(range(len(shape))), min_size=1, max_size=3))))
    common = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    indices = []
    for axis in axes:
        kept = draw(st.integers(0, len(common)))
        own = tuple(1 if draw(st.booleans()) else size for size in common[kept:])
        dtype = draw(st.sampled_from([np.int64, np.int32, np.int8]))
        indices.append(random.integers(-shape[axis], shape[axis], own).astype(dtype))
    return shape, axes, indices


# ---------------------------------------------------------------------------- gathering and scattering


@pytest.mark.cxx
@FEW
@given(indexed(), st.sampled_from([*DTYPES, "i4", "c16", "?"]), LAYOUTS, LAYOUTS)
def test_gather_reads_where_numpy_reads(compiled, case, dtype, how, how_out):
    shape, axes, indices = case
    x = strided((3 * values(0, shape, "f8")).astype(dtype), how)
    found = filled(compiled, index.gather, [x, *indices], {"axes": axes}, how_out)
    assert_same_bits(found, np.asarray(index.gather.evaluate(x, *indices, axes=axes)))


@pytest.mark.cxx
@pytest.mark.parametrize("walked", [True, False])
@FEW
@given(indexed(), st.sampled_from([*DTYPES, "i4", "c16"]), LAYOUTS, LAYOUTS)
def test_scatter_adds_in_the_order_of_numpy(compiled, monkeypatch, walked, case, dtype, how, how_out):
    monkeypatch.setattr(scatter_kernels, "is_walked", lambda count, size: walked)
    shape, axes, indices = case
    places = index.gather.abstract(np.empty(shape), *indices, axes=axes).shape
    g = strided((9 * values(0, places, "f8")).astype(dtype), how)
    params = {"shape": shape, "axes": axes}
    found = filled(compiled, index.scatter_add, [g, *indices], params, how_out if walked else 0)
    assert_same_bits(found, index.scatter_add.evaluate(g, *indices, **params))


@pytest.mark.cxx
@pytest.mark.parametrize("targets", [1, 3, 400])
@pytest.mark.parametrize("count", [0, 1, 31, 33, 100, 700])
def test_entries_are_sorted_stably_in_runs(compiled, count, targets):
    rows = np.random.default_rng(count).integers(-targets, targets, count)
    params = {"shape": (targets, 2), "axes": (0,)}
    runs = filled(compiled, sorting_kernels.target_runs, [rows], params)
    for width in sorting_kernels.widths(count):
        np.testing.assert_array_equal(runs, sorting_kernels._runs_of(runs, width))
        runs = filled(compiled, sorting_kernels.merge_runs, [runs], {"width": width})
    np.testing.assert_array_equal(runs, sorting_kernels.sorted_runs([rows], **params))


@pytest.mark.cxx
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_many_entries_in_few_places_are_added_in_parts_the_same_in_every_run(compiled, monkeypatch, dtype):
    monkeypatch.setattr(scatter_kernels, "is_walked", lambda count, size: False)
    count, shape = 3000, (2, 5)
    rows = np.random.default_rng(0).integers(0, 5, count)
    assert scatter_kernels.pieces(count, shape, (1,)) > 1
    g = values(1, (2, count), dtype)
    params = {"shape": shape, "axes": (1,)}
    found = filled(compiled, index.scatter_add, [g, rows], params)
    expected = index.scatter_add.evaluate(g.astype("f8"), rows, **params)
    tolerance = {"f4": 1e-5, "f8": 1e-13}[dtype]
    np.testing.assert_allclose(found, expected, tolerance, tolerance * math.sqrt(count))
    assert_same_bits(filled(compiled, index.scatter_add, [g, rows], params), found)


@pytest.mark.cxx
@pytest.mark.parametrize("walked", [True, False])
def test_an_index_out_of_range_reads_nan_and_adds_nothing(compiled, monkeypatch, walked):
    monkeypatch.setattr(scatter_kernels, "is_walked", lambda count, size: walked)
    rows = np.array([0, 3, -4, 2])
    for dtype in ("f2", "f4", "f8", "c8", "i8"):
        found = filled(compiled, index.gather, [np.arange(1, 4).astype(dtype), rows], {"axes": (0,)})
        missing = np.nan if np.dtype(dtype).kind != "i" else 0
        np.testing.assert_array_equal(np.real(found), [1, missing, missing, 3])
    added = filled(compiled, index.scatter_add, [np.ones(4), rows], {"shape": (3,), "axes": (0,)})
    np.testing.assert_array_equal(added, [1.0, 0.0, 1.0])


@pytest.mark.parametrize("compiles", [False, pytest.param(True, marks=pytest.mark.cxx)])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("count", [40, 3000])
def test_a_gradient_of_gathering_sorts_once_or_on_the_device(cupy, monkeypatch, compiles, known, count):
    if compiles:
        cxx_double.compile_kernels(monkeypatch)
    monkeypatch.setattr(scatter_kernels, "is_walked", lambda count, size: False)
    rows, columns = np.arange(count) * 7 % 5, np.arange(2)[:, None] * 3 % 4

    def loss(leaves: list) -> list:
        picked = leaves[0][rows, :, columns] if known else leaves[0][leaves[1], :, columns]
        return [np.sum(picked**3)]

    leaves = [values(0, (5, 2, 4), "f8"), rows]
    tape = simplify(gradient(trace_leaves(loss, leaves), (0,)))
    changed = sorted_scatters(tape).check()
    names = [equation.primitive.name for equation in changed.equations]
    assert "scatter_add" not in names
    assert ("target_runs" in names) != known
    expected = tape.evaluate(leaves)
    for found, wanted in zip(changed.evaluate(leaves), expected, strict=True):
        np.testing.assert_allclose(found, wanted, 1e-12)
    constants = {number: cupy.asarray(value) for number, value in changed.constants.items()}
    for found, wanted in zip(changed.replay([cupy.asarray(leaf) for leaf in leaves], value_of, constants), expected,
                             strict=True):  # fmt: skip
        np.testing.assert_allclose(found.held, wanted, 1e-12)
    assert cupy.STATE.copies["to host"] == 0


# ---------------------------------------------------------------------------- placing


@st.composite
def cuts(draw: st.DrawFn) -> dict:
    shape, start, stop, step = [], [], [], []
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 6))
        first, other = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        by = draw(st.sampled_from([1, 2, 3]))
        shape.append(size)
        start.append(first)
        stop.append(other + 1 if first <= other else other - 1)
        step.append(by if first <= other else -by)
    return {"start": tuple(start), "stop": tuple(stop), "step": tuple(step), "shape": tuple(shape)}


@pytest.mark.cxx
@FEW
@given(cuts(), st.sampled_from([*DTYPES, "i4", "c16"]), LAYOUTS, LAYOUTS)
def test_unslice_places_every_slice(compiled, params, dtype, how, how_out):
    sizes = index.slice_sizes(*[params[key] for key in ("start", "stop", "step")])
    g = strided((9 * values(0, sizes, "f8")).astype(dtype), how)
    assert_same_bits(filled(compiled, index.unslice, [g], params, how_out), index.unslice.evaluate(g, **params))


@pytest.mark.cxx
@FEW
@given(indexed(), st.sampled_from(DTYPES), LAYOUTS, st.integers(1, 3))
def test_lanes_that_differ_in_one_place_are_put_and_picked(compiled, case, dtype, how, lanes):
    shape, axes, _ = case
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    base, part = strided(values(0, shape, dtype), how), strided(values(1, (lanes, *rest), dtype), how)
    where = np.arange(lanes) * 5 % math.prod(shape[axis] for axis in axes)
    params = {"shape": shape, "axes": axes}
    expected = spots.put.evaluate(base, part, where, **params)
    assert_same_bits(filled(compiled, spots.put, [base, part, where], params), expected)
    rows = np.arange(4) % shape[0]
    assert_same_bits(filled(compiled, spots.pick, [base, rows], {}), np.asarray(base[rows]))


# ---------------------------------------------------------------------------- scans


SCANS = ("cumsum", "cumprod", "cummax", "cummin", "recurrence")


@pytest.mark.cxx
@pytest.mark.parametrize("name", SCANS)
@FEW
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3), st.sampled_from([*DTYPES, "i8"]), LAYOUTS, LAYOUTS, st.data()
)
def test_scans_walk_as_numpy_does(compiled, name, shape, dtype, how, how_out, data):
    primitive = REGISTRY[name]
    params = {"axis": data.draw(st.integers(0, len(shape) - 1))}
    if name not in ("cummax", "cummin"):
        params["reverse"] = data.draw(st.booleans())
    seed, levels = data.draw(st.integers(0, 99)), data.draw(st.booleans()) and dtype != "i8"
    operands = [strided(values(seed + at, tuple(shape), dtype, levels=levels), how)
                for at in range(1 + (name == "recurrence"))]  # fmt: skip
    with np.errstate(all="ignore"):
        expected = primitive.evaluate(*operands, **params)
    found = filled(compiled, primitive, operands, params, how_out)
    if name in ("cummax", "cummin"):  # of two zeros NumPy takes one or the other
        found, expected = found + 0, expected + 0
    assert_same_bits(found, np.asarray(expected))


@pytest.mark.cxx
@pytest.mark.parametrize("length", [512, 600, 1300])
@pytest.mark.parametrize("name", ["cumsum", "cummax", "cummin"])
def test_a_block_scans_a_long_lane(compiled, name, length):
    assert scan_kernels.is_shared(name, length, 2)
    x = values(0, (length, 2), "f8")
    params = {"axis": 0} | ({"reverse": True} if name == "cumsum" else {})
    found = filled(compiled, REGISTRY[name], [x], params)
    np.testing.assert_allclose(found, REGISTRY[name].evaluate(x, **params), 0, 1e-12 if name == "cumsum" else 0)
    if name != "cumsum":
        x[length // 2, 1] = np.nan
        assert_same_bits(filled(compiled, REGISTRY[name], [x], params), REGISTRY[name].evaluate(x, **params))


@pytest.mark.cxx
def test_a_zero_stays_zero_in_front_of_factors_that_overflow(compiled):
    x = np.full(2000, 1e200)
    x[0] = 0.0
    found = filled(compiled, scan.cumprod, [x], {"axis": 0, "reverse": False})
    assert (found == 0.0).all()


@pytest.mark.cxx
@pytest.mark.parametrize(("n", "m"), [(7, 3), (9, 9), (1500, 700), (600, 600)])
@pytest.mark.parametrize("how", [0, 2, 3])
def test_sliding_products(compiled, n, m, how):
    a, v = strided(values(0, (n,), "f8"), how), strided(values(1, (m,), "f8"), how)
    found = filled(compiled, scan.slide, [a, v], {}, how)
    np.testing.assert_allclose(found, scan.slide.evaluate(a, v), 1e-11, 1e-12)


def test_empty_lanes_and_empty_index_arrays(cupy):
    none = np.empty((0, 3))
    for name in SCANS:
        params = {"axis": 0} | ({} if name in ("cummax", "cummin") else {"reverse": False})
        operands = [none] * (1 + (name == "recurrence"))
        assert filled(cupy, REGISTRY[name], operands, params).shape == (0, 3)
    zeros = filled(cupy, index.scatter_add, [none, np.empty(0, int)], {"shape": (2, 3), "axes": (0,)})
    assert (zeros == 0).all()
    assert placed(cupy, zeros).shape == (2, 3)
