"""The stand-in for CuPy refuses what CuPy refuses: parameters, dtypes, operands, stacks; and waits where CuPy waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np
import pytest


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


def given(cupy: Any, value: Any) -> Any:
    array = cupy.asarray(np.asarray(value))
    cupy.STATE.copies.clear()
    return array


REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "a keyword of NumPy's only": lambda cp, x: cp.sum(x, where=x > 0),
    "a keyword of NumPy's method": lambda cp, x: x.sum(initial=0.0),
    "a mode of take": lambda cp, x: cp.take(x, x.astype(int), 0, None, "clip"),
    "an array of the host": lambda cp, x: cp.add(x, np.ones(3)),
    "an array of the host behind an operator": lambda cp, x: x * np.ones(3),
    "an array of the host in a choice": lambda cp, x: cp.where(x > 0, x, np.zeros(3)),
    "a list": lambda cp, x: cp.sin([0.0, 1.0]),
    "a conversion": lambda cp, x: np.asarray(x),
    "a loop for complex numbers": lambda cp, x: cp.floor(x.astype(complex)),
    "a difference of truths": lambda cp, x: cp.subtract(x > 0, x > 0),
    "a result in a narrower kind": lambda cp, x: cp.add(x, x, out=cp.zeros(3, dtype=int)),
    "an accumulation": lambda cp, x: np.maximum.accumulate(x),
    "a reduction of a ufunc": lambda cp, x: np.maximum.reduce(x),
    "a sum at places": lambda cp, x: np.add.at(x, np.array([0]), 1.0),
    "a generalised ufunc": lambda cp, x: np.matmul(x, x),
    "a condition that is no array": lambda cp, x: cp.where(True, x, 0.0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what: str, cupy: Any):
    x = given(cupy, [1.0, -2.0, 0.5])
    with pytest.raises((TypeError, AttributeError)):
        REFUSED[what](cupy, x)


def test_it_refuses_unstable_sorting_and_repeated_stacks(cupy: Any):
    x = given(cupy, [[2.0, 0.5], [0.1, 1.0]])
    with pytest.raises(ValueError, match="kind can only be None or 'stable'"):
        cupy.argsort(x, kind="quicksort")
    with pytest.raises(ValueError, match="for multidimensional b"):
        cupy.linalg.solve(x, cupy.ones((3, 2, 1)))
    with pytest.raises(NotImplementedError, match=r"cupy_power.at"):
        cupy.power.at(x, (0,), 2.0)


WAITS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "a condition": ("to host", lambda cp, x: bool(cp.any(x))),
    "a number": ("to host", lambda cp, x: float(x[0])),
    "a mask": ("to host", lambda cp, x: x[x > 0]),
    "positions": ("to host", lambda cp, x: cp.nonzero(x)),
    "positions by where": ("to host", lambda cp, x: cp.where(x > 0)),
    "different elements": ("to host", lambda cp, x: cp.unique(x)),
    "a checked place": ("to host", lambda cp, x: cp.unravel_index(cp.abs(x).astype(int), (4,))),
    "a pseudo-inverse": ("to host", lambda cp, x: cp.linalg.pinv(x[None])),
    "an index of the host": ("to device", lambda cp, x: x[np.array([0, 2])]),
    "a list of places": ("to device", lambda cp, x: x[[0, 2]]),
}


@pytest.mark.parametrize("what", WAITS)
def test_it_counts_what_passes_between_host_and_device(what: str, cupy: Any):
    way, call = WAITS[what]
    call(cupy, given(cupy, [1.0, -2.0, 0.5]))
    assert cupy.STATE.copies == {way: 1}


def test_tests_of_arrays_stay_on_the_device(cupy: Any):
    x = given(cupy, [1.0, 2.0])
    assert type(cupy.array_equal(x, x)) is type(cupy.allclose(x, x)) is cupy.ndarray
    assert not cupy.STATE.copies


def test_a_failed_factorisation_shows_only_if_asked_for(cupy: Any):
    import cupyx  # type: ignore[import-not-found] (the stand-in)

    bad = given(cupy, np.stack([np.ones((2, 2)), np.eye(2)]))
    result = cupy.linalg.inv(bad)
    assert not cupy.STATE.copies
    assert np.array_equal(result.held[1], np.eye(2))
    assert np.all(np.isfinite(result.held[0]))  # so nobody may find out by looking for NaN
    with cupyx.errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        cupy.linalg.inv(bad)
    assert cupy.STATE.copies == {"to host": 1}


@pytest.mark.parametrize(("left", "right", "result"), [
    ("f4", 2.0, "f4"), ("f4", 2j, "c8"), ("i4", 2, "i4"), ("i4", 2.0, "f8"), ("f2", 1, "f2"), ("?", 1, "i8"),
    ("f4", np.float64(2.0), "f8"), ("u1", "i1", "i2"), ("i8", "f4", "f8"),
])  # fmt: skip
def test_dtypes_are_promoted_as_in_numpy(left: str, right: Any, result: str, cupy: Any):
    x = given(cupy, np.ones(2, left))
    y = given(cupy, np.ones(2, right)) if isinstance(right, str) else right
    assert cupy.add(x, y).dtype == (x + y).dtype == np.dtype(result)


def test_a_ufunc_has_the_loops_that_cupy_says(cupy: Any):
    x = given(cupy, np.ones(2, "f2"))
    assert cupy.add.types[-1] == "DD->D"
    assert cupy_double.MEMBERS["cupyx.scipy.special"]["erf"](x).dtype == np.float64  # its loop for half precision
    out = cupy.zeros((3, 2), dtype="f4")
    assert cupy.add(x, 1, out) is out
    assert np.array_equal(out.held, np.full((3, 2), 2.0))
