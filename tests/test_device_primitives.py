"""Every primitive of the registry on CuPy's arrays, by the stand-in, and on those of the array API standard."""

from __future__ import annotations

from typing import Any

import array_api_strict
import cupy_double
import numpy as np
import pytest
import scipy.special
from samples import EDGES, Case, all_cases, cases_of, same_bits

from difflab import transforms  # noqa: F401 (it adds a primitive to the registry)
from difflab.errors import GuardError, UnsupportedError
from difflab.execution.device.evaluate import evaluate
from difflab.primitives import REGISTRY, spots
from difflab.primitives.record import Aval
from difflab.primitives.special import UFUNCS
from difflab.primitives.values import value_of

STATUS = "whether the matrix has a factorisation is known to the GPU alone, and NumPy's error depends on it"
NEEDS = {
    "cholesky": STATUS,
    "inverse": STATUS,
    "solve": STATUS,
    "nonzero": "how many elements a mask selects is a size of the result",
}
"""Primitives for which the host waits."""
ORDER = "CuPy has Bessel functions of the orders 0 and 1 only, and yn"
LACKING = dict.fromkeys(("jv", "yv", "iv", "kv", "ive", "kve"), ORDER)
"""Primitives that CuPy's arrays cannot have."""
OTHERWISE = {"dawsn": "CuPy has none, so that it is made of exponentials; SciPy's is off by 8e-15 near 0"}
"""Primitives whose values on the device are close to NumPy's only."""
COMPLEX_ONLY_HERE = frozenset({"dawsn", "erf", "erfc", "erfcx", "ndtr", "log_ndtr", "expi", "exp1"})
"""Functions of which SciPy has a complex one and CuPy has none."""


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


def on_device(cupy: Any, case: Case, avals: Any = None) -> Any:
    """The value by ``evaluate``, with the counts of copies set to those of the evaluation alone."""
    expected = case.primitive.abstract(*case.avals, **case.params)
    operands = [cupy.asarray(array) for array in case.arrays]
    cupy.STATE.copies.clear()
    return operands, evaluate(cupy, case.primitive, operands, case.params, expected)


# ---------------------------------------------------------------------------- every primitive


@pytest.mark.parametrize("name", [primitive.name for primitive in REGISTRY if primitive.name not in LACKING])
def test_value_is_numpys_on_the_device_alone(name: str, cupy: Any):
    for case in all_cases([REGISTRY[name]]):
        operands, value = on_device(cupy, case)
        assert type(value) is cupy.ndarray
        copies = {"to host": 1} if name in NEEDS and not case.params.get("lenient") else {}
        assert dict(cupy.STATE.copies) == copies, case.label
        if name in OTHERWISE:
            assert value.dtype == case.value.dtype
            np.testing.assert_allclose(value.held, case.value, rtol=1e-14 if value.dtype == np.float64 else 1e-6)
        else:
            assert same_bits(value.held, case.value), case.label
        if not case.primitive.view:
            assert not any(np.may_share_memory(value.held, operand.held) for operand in operands), case.label


def test_what_needs_the_host_does_need_it_and_is_a_primitive(cupy: Any):
    assert set(NEEDS) | set(LACKING) <= {primitive.name for primitive in REGISTRY}
    for name in NEEDS:
        found = []
        for case in cases_of(REGISTRY[name]):
            on_device(cupy, case)
            found.append(cupy.STATE.copies["to host"])
        assert max(found) == 1


def test_values_that_are_only_close_are_no_bits(cupy: Any):
    for name in OTHERWISE:
        assert not all(same_bits(on_device(cupy, case)[1].held, case.value) for case in cases_of(REGISTRY[name]))


@pytest.mark.parametrize("name", LACKING)
def test_what_cupy_lacks_is_refused_in_a_sentence(name: str, cupy: Any):
    for case in cases_of(REGISTRY[name]):
        with pytest.raises(UnsupportedError, match=rf"CuPy has no .*{name}.*; use device 'cpu'"):
            on_device(cupy, case)


def as_kind(case: Case, dtype: str) -> Case | None:
    """The case in another dtype, where it has floating operands and NumPy takes them in it."""
    if dtype in "FD":
        arrays = [a + 0.3j * np.arange(a.size).reshape(a.shape) if a.dtype.kind == "f" else a for a in case.arrays]
        arrays = [a.astype(dtype) if a.dtype.kind == "c" else a for a in arrays]
    else:
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.arrays]
    if all(a.dtype == b.dtype for a, b in zip(arrays, case.arrays, strict=True)):
        return None
    other = case._replace(arrays=tuple(arrays))
    try:
        aval = case.primitive.abstract(*other.avals, **case.params)
        return other if aval.dtype == other.value.dtype else None
    except (ArithmeticError, AttributeError, StopIteration, TypeError, ValueError, UnsupportedError):
        return None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["e", "F", "D", "i", "?"])
def test_half_precision_complex_numbers_integers_and_booleans(dtype: str, cupy: Any):
    usual = [case for case in all_cases(REGISTRY, ["float64"]) if case.primitive.name not in LACKING]
    tried = [other for case in usual if (other := as_kind(case, dtype)) is not None]
    assert len({case.primitive.name for case in tried}) > 40
    for case in tried:
        name = case.primitive.name
        if dtype in "FD" and name in COMPLEX_ONLY_HERE:
            with pytest.raises(UnsupportedError, match=rf"CuPy has no {name} of complex.* numbers; use device 'cpu'"):
                on_device(cupy, case)
            continue
        _, value = on_device(cupy, case)
        if dtype in "FD":
            assert value.dtype == case.value.dtype, case.label
            np.testing.assert_allclose(value.held, case.value, rtol=1e-6 if dtype == "F" else 1e-14, err_msg=case.label)
        elif name in OTHERWISE:
            np.testing.assert_allclose(value.held, case.value, rtol=2e-3 if dtype == "e" else 1e-6)
        else:
            assert same_bits(value.held, case.value), case.label


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [p.name for p in REGISTRY if p.kind == "elementwise" and p.name not in LACKING])
def test_edges_are_numpys(name: str, cupy: Any):
    primitive = REGISTRY[name]
    x, y = (a.ravel() for a in np.meshgrid(np.array([*EDGES, 80.0, 700.0, -700.0]), np.array([*EDGES, 0.1, -0.3])))
    arrays = (x, y)[: primitive.arity]
    if "logical" in name:
        arrays = tuple(array > 0 for array in arrays)
    case = Case(name, primitive, arrays, {}, False)
    _, value = on_device(cupy, case)
    np.testing.assert_allclose(value.held, case.value, rtol=1e-13, atol=0)
    assert np.array_equal(np.signbit(value.held[value.held == 0]), np.signbit(case.value[value.held == 0]))


# ---------------------------------------------------------------------------- rules that are more than a name


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_quotients_and_remainders_are_exact(name: str, dtype: str, cupy: Any):
    rng = np.random.default_rng(7)
    with np.errstate(all="ignore"):
        a = np.concatenate([50 * rng.normal(size=4000), np.arange(1000) / 10, [1e17, -1e17, 5e-324]]).astype(dtype)
        b = np.concatenate([rng.normal(size=4000), np.full(1000, 0.1), [3.0, 3.0, -0.3]]).astype(dtype)
        case = Case(name, REGISTRY[name], (a, b), {}, False)
        assert same_bits(on_device(cupy, case)[1].held, case.value)


@pytest.mark.parametrize("name", ["i0e", "i1e", "k0e", "k1e"])
def test_scaled_bessel_functions_do_not_overflow(name: str, cupy: Any):
    x = np.concatenate([np.linspace(55.0, 65.0, 40), np.geomspace(65.0, 1e300, 60)])
    x = np.concatenate([x, -x]) if name[0] == "i" else x
    _, value = on_device(cupy, Case(name, REGISTRY[name], (x,), {}, False))
    np.testing.assert_allclose(value.held, getattr(scipy.special, name)(x), rtol=4e-15)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_nan_is_the_extreme(name: str, cupy: Any):
    x = np.array([[1.0, np.nan, 3.0, np.nan], [2.0, 5.0, 5.0, -1.0], [np.nan, np.nan, 0.0, 1.0]])
    for axis in (0, 1):
        case = Case(name, REGISTRY[name], (x,), {"axis": axis}, False)
        assert same_bits(on_device(cupy, case)[1].held, case.value)


def test_powers_of_complex_zero_and_exponentials_near_it(cupy: Any):
    zero, one = np.array([0j]), np.array([2.0 + 0j])
    assert on_device(cupy, Case("power", REGISTRY["power"], (zero, one), {}, False))[1].held == 0
    for n in (3, 7, -2, 0):
        z = np.array([0.3 - 0.7j, -1.1 + 0.2j])
        _, value = on_device(cupy, Case("integer_power", REGISTRY["integer_power"], (z,), {"n": n}, False))
        np.testing.assert_allclose(value.held, z**n, rtol=4e-16 * max(1, abs(n)))
    small = np.array([1e-20 + 1e-19j])
    assert np.allclose(on_device(cupy, Case("expm1", REGISTRY["expm1"], (small,), {}, False))[1].held, small, atol=0)


@pytest.mark.parametrize("name", ["inverse", "solve", "cholesky"])
def test_a_matrix_without_factorisation_raises_numpys_error(name: str, cupy: Any):
    bad = np.array([[1.0, 2.0], [2.0, 4.0]]) if name != "cholesky" else -np.eye(2)
    arrays = (bad, np.ones((2, 1))) if name == "solve" else (bad,)
    case = Case(name, REGISTRY[name], arrays, {}, False)
    with pytest.raises(np.linalg.LinAlgError) as numpys:
        _ = case.value
    with pytest.raises(np.linalg.LinAlgError, match=str(numpys.value)):
        on_device(cupy, case)


def test_a_lenient_inverse_is_nan_where_there_is_none_and_does_not_wait(cupy: Any):
    stack = np.stack([np.eye(2), np.ones((2, 2)), 2.0 * np.eye(2)])
    case = Case("inverse", REGISTRY["inverse"], (stack,), {"lenient": True}, False)
    _, value = on_device(cupy, case)
    assert same_bits(value.held, case.value)
    assert not cupy.STATE.copies


def test_a_mask_that_selects_another_number_is_a_guard_that_breaks(cupy: Any):
    mask = cupy.asarray(np.array([True, False, True]))
    with pytest.raises(GuardError, match="another number of elements than the 1 it did"):
        evaluate(cupy, REGISTRY["nonzero"], [mask], {"count": 1}, Aval((1,), np.dtype(np.int64)))


@pytest.mark.parametrize("name", ["argpartition", "partition_order"])
def test_partitions_are_full_orders_with_nan_last(name: str, cupy: Any):
    x = np.array([[3.0, np.nan, -1.0, 2.0, 2.0], [0.5, 4.0, -2.0, np.nan, 0.5]])
    case = Case(name, REGISTRY[name], (x,), {"axis": 1, "kth": (2,)}, False)
    assert same_bits(on_device(cupy, case)[1].held, np.argsort(x, axis=1, kind="stable"))


@pytest.mark.parametrize("kind", ["quicksort", "heapsort", "stable"])
def test_every_kind_of_sorting_is_the_stable_one(kind: str, cupy: Any):
    x = np.array([[2.0, 1.0, 2.0, np.nan, 1.0]])
    case = Case("argsort", REGISTRY["argsort"], (x,), {"axis": 1, "kind": kind}, False)
    assert same_bits(on_device(cupy, case)[1].held, np.argsort(x, axis=1, kind="stable"))


def test_moves_of_batched_programs(cupy: Any):
    x, index = np.arange(12.0).reshape(4, 3), np.array([2, 0])
    for primitive, arrays, params in (
        (spots.pick, (x, index), {}),
        (spots.put, (np.zeros((4, 3)), np.ones((2, 3)), index), {"shape": (4, 3), "axes": (0,)}),
        (spots.put, (np.zeros((2, 4, 3)), np.ones((2,)), np.array([11, 5])), {"shape": (4, 3), "axes": (0, 1)}),
    ):
        case = Case(primitive.name, primitive, arrays, params, True)
        assert same_bits(on_device(cupy, case)[1].held, case.value)
        assert not cupy.STATE.copies


# ---------------------------------------------------------------------------- primitives called on arrays of the device


def test_a_primitive_called_on_device_arrays_takes_numbers_in_their_dtype_and_uploads_the_rest(cupy: Any):
    x, whole = cupy.asarray(np.array([1.0, -2.0], np.float32)), cupy.asarray(np.array([1, 2]))
    cupy.STATE.copies.clear()
    chosen = REGISTRY["where"](x > 0, 1.0, x)
    assert chosen.dtype == np.float32
    assert np.array_equal(chosen.held, [1.0, -2.0])
    assert REGISTRY["remainder"](x, 3).dtype == np.float32
    assert REGISTRY["multiply"](whole, 0.5).dtype == np.float64
    assert not cupy.STATE.copies
    total = REGISTRY["add"](np.array([1.0, 1.0]), x)
    assert total.dtype == np.float64
    assert cupy.STATE.copies == {"to device": 1}


def test_the_dtype_of_a_value_is_the_one_that_is_asked_for(cupy: Any):
    x = cupy.asarray(np.array([True, False]))
    assert value_of(REGISTRY["relu"], [x], {}, np.dtype(bool)).dtype == bool


# ---------------------------------------------------------------------------- the array API standard

SPELLED = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "power": "pow", "conjugate": "conj", "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
}  # fmt: skip
"""NumPy's name of a function, and the standard's for the same."""


class Standard:
    """The standard's namespace, which knows NumPy's names as well."""

    def __getattr__(self, name: str) -> Any:
        return getattr(array_api_strict, SPELLED.get(name, name))


STANDARD: Any = Standard()

NAMELESS = "the standard has no function of the kind, or not all that its rule is made of"
DTYPES = "its rule makes an array of a dtype of NumPy's, and the standard's are objects of each namespace"
KEYWORDS = "its rule calls the function with arguments that the standard's does not take"
KERNEL = "it runs as a generated CUDA kernel"
SPECIAL = "a function of cupyx.scipy.special"
EXCUSED = {
    **dict.fromkeys(("fmax", "fmin", "rint", "fmod", "remainder", "floor_divide", "fraction", "heaviside", "exp2",
                     "cbrt", "logaddexp2", "degrees", "radians", "gcd", "lcm", "ldexp", "numpy_i0", "pinv"), NAMELESS),
    **dict.fromkeys(("cast", "ravel_multi_index", "complex_of", "eig", "pairing", "svd", "det_derivative"), DTYPES),
    **dict.fromkeys(("eigh", "eigvalsh", "svdvals", "qr", "searchsorted"), KEYWORDS),
    **dict.fromkeys(("unslice", "gather", "scatter_add", "windows", "fold", "max_pool", "pool_select", "pool_route",
                     "cumsum", "cumprod", "cummax", "cummin", "recurrence", "slide"), KERNEL),
    **dict.fromkeys(("inverse", "solve", "cholesky"), "it has cupyx raise NumPy's error"),
    **dict.fromkeys(("real", "imag"), "CuPy's parts are views, which the rule copies; the standard's are functions"),
    "copy": "the standard copies by asarray(x, copy=True)",
    "nonzero": "its rule sorts booleans, which the standard does not order",
    "lanes": "it stacks what the lanes give by NumPy's protocol",
    "fft": "the standard transforms complex numbers only",
    **dict.fromkeys(("sinc", "polygamma", *LACKING), SPECIAL),
    **{record.name: SPECIAL for record in UFUNCS.values()},
}  # fmt: skip
"""Primitives that do not run on the standard's arrays, and why."""


def in_the_standard(name: str) -> None:
    """Hold every sample of a primitive against its value on the standard's arrays."""
    for case in cases_of(REGISTRY[name]):
        operands = [array_api_strict.asarray(array) for array in case.arrays]
        noted = Aval(case.value.shape, array_api_strict.asarray(case.value).dtype)  # type: ignore[arg-type] (the standard's)
        value = evaluate(STANDARD, REGISTRY[name], operands, case.params, noted)
        assert type(value) is type(operands[0])
        found = np.from_dlpack(value)
        assert (found.shape, found.dtype) == (case.value.shape, case.value.dtype)
        np.testing.assert_allclose(found, case.value, rtol=1e-13)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [primitive.name for primitive in REGISTRY])
def test_the_standards_arrays_suffice_or_it_is_said_why_not(name: str):
    if name not in EXCUSED:
        in_the_standard(name)
        return
    with pytest.raises((AttributeError, ImportError, TypeError, UserWarning, ValueError, UnsupportedError)):
        in_the_standard(name)


def test_excuses_are_of_primitives():
    assert set(EXCUSED) <= {primitive.name for primitive in REGISTRY}
