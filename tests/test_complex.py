"""Complex numbers: the gradient of a real loss is df/dRe - i df/dIm, pullbacks are complex-linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp
from samples import central, rng_of, same_bits

from difflab import transforms
from difflab.errors import TraceError, UnsupportedError
from difflab.execution.program import Program
from difflab.operators import gradient, jvp, vjp
from difflab.primitives import REGISTRY
from difflab.primitives.complexes import complex_dtype, real_dtype
from difflab.tracing import trace_leaves

PLACES = np.array([0.7 + 0.4j, -0.6 + 0.5j, 0.3 - 1.2j, -1.4 - 0.3j])
WEIGHTS = np.array([1.0 - 0.5j, 0.2 + 1.0j, -0.7 + 0.1j, 0.4 + 0.3j])

HOLOMORPHIC: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(np, name)
        for name in (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "reciprocal", "sin", "cos"),
            *("tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sinc"),
            *("negative", "positive"),
        )
    },
    "arithmetic": lambda z: (2 * z + 1j) * z / (z - 3j) - (1 + 2j) / z + z.sum() * z.mean(),
    "integer powers": lambda z: z**3 + z**-2 + z**2 + z**1 + z**0,
    "complex powers": lambda z: z ** (0.5 + 1j) + z**1.5 + np.power(2.0, z) + np.power(z, z) + np.float_power(z, 2),
    "where": lambda z: np.where(np.real(z) > 0, z * z, 3j * z),
    "maximum": lambda z: np.maximum(z, 0.1j) * np.minimum(z, 1.0 - 2j),
    "moves": lambda z: np.stack([z, z[::-1]])[0] * np.concatenate([z[2:], z[:2]]),
    "products": lambda z: np.outer(z, z) @ z + np.dot(z, z) * z,
    "erf": lambda z: sp.erf(z) + sp.erfc(z) + sp.erfcx(z) + sp.dawsn(z) + sp.ndtr(z),
    "gamma": lambda z: sp.gamma(z) + sp.loggamma(z),
    "bessel": lambda z: sp.jv(1, z) + sp.iv(0.5, z) + sp.kv(0, z) + sp.yv(2, z),
    "xlogy": lambda z: sp.xlogy(z, z) + sp.xlog1py(z, 2 * z),
    "select": lambda z: np.select([np.imag(z) > 0], [z * 1j], z**2),
    "angle of parts": lambda z: z.real + 1j * z.imag,
    "round": lambda z: z * np.round(2 * z),
}
OTHERS: dict[str, Callable[[Any], Any]] = {
    "real imag": lambda z: z.real**2 * np.imag(z),
    "conj": lambda z: z.conj() * z * np.conj(z) ** 2,
    "abs": lambda z: np.abs(z) ** 3 + abs(z) + np.absolute(1j * z),
    "angle": lambda z: np.angle(z) * np.angle(z * 1j, deg=True),
    "sign": lambda z: np.sign(z) * z**2,
    "nan_to_num": lambda z: np.nan_to_num(z) ** 2,
    "mixed dtypes": lambda z: np.real(z) * z + z.imag * 2.0 + np.abs(z) * (1 - 1j),
    "real_if_close": lambda z: np.real_if_close(z + z.conj()) ** 2,
    "real loss of exp": lambda z: np.exp(1j * np.angle(z)) * np.sqrt(np.abs(z)),
}


def loss(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda z: np.real(np.sum(WEIGHTS * function(z)))


def by_differences(real_function: Callable[[Any], Any], z: np.ndarray) -> np.ndarray:
    """df/dRe - i df/dIm, one place at a time."""
    result = np.zeros(z.shape, complex)
    for k in range(z.size):
        unit = np.zeros(z.shape, complex)
        unit.flat[k] = 1
        across, up = (central(lambda h, d=d: np.asarray(real_function(z + h * d))) for d in (unit, 1j * unit))
        result.flat[k] = across - 1j * up
    return result


@pytest.mark.parametrize("name", [*HOLOMORPHIC, *OTHERS])
def test_first_and_second_order(name: str):
    function = {**HOLOMORPHIC, **OTHERS}[name]
    found = gradient(loss(function))(PLACES)
    assert found.dtype == complex
    np.testing.assert_allclose(found, by_differences(loss(function), PLACES), rtol=1e-8, atol=1e-8)
    if name == "gamma":
        return  # of complex numbers SciPy has no polygamma; see below

    def again(z):
        return np.real(np.sum(WEIGHTS[::-1] * gradient(loss(function))(z)))

    np.testing.assert_allclose(gradient(again)(PLACES), by_differences(again, PLACES), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", [*HOLOMORPHIC, *OTHERS])
def test_forward_and_reverse_are_transposes(name: str):
    """Re(g * J t) is Re(J^T g * t)."""
    function = {**HOLOMORPHIC, **OTHERS}[name]
    rng = rng_of(name)
    t = rng.normal(size=4) + 1j * rng.normal(size=4)
    value, pushed = jvp(function, (PLACES,), (t,))
    g = (
        (rng.normal(size=value.shape) + 1j * rng.normal(size=value.shape)).astype(value.dtype, copy=False)
        if (value.dtype.kind == "c")
        else rng.normal(size=value.shape)
    )
    _, pullback = vjp(function, PLACES)
    (pulled,) = pullback(g)
    assert pulled.dtype == complex
    np.testing.assert_allclose(np.real(np.sum(g * pushed)), np.real(np.sum(pulled * t)), rtol=1e-12)


@pytest.mark.parametrize("name", [*HOLOMORPHIC, *OTHERS])
def test_values_are_those_of_numpy_and_compile(name: str):
    function = {**HOLOMORPHIC, **OTHERS}[name]
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [PLACES]).check()
    found, expected = Program(tape).run([PLACES])[0], function(PLACES)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("name", [*HOLOMORPHIC, *OTHERS])
def test_single_precision_stays_single(name: str):
    if name in ("complex powers", "angle", "arithmetic"):  # with float64 arrays or NumPy scalars of their own
        return
    function = {**HOLOMORPHIC, **OTHERS}[name]
    z = PLACES.astype(np.complex64)
    tape = trace_leaves(lambda leaves: [np.real(np.sum(function(leaves[0])))], [z])
    derived = transforms.gradient(tape, (0,))
    assert derived.avals[derived.outputs[0]].dtype == np.asarray(np.real(np.sum(function(z)))).dtype
    assert derived.avals[derived.outputs[1]].dtype == np.complex64
    wide = {derived.avals[equation.output].dtype for equation in derived.equations}
    assert {dtype.name for dtype in wide if dtype.kind in "fc"} <= {"complex64", "float32"}


# ---------------------------------------------------------------------------- real arguments, complex on the way


def test_a_real_argument_receives_a_real_gradient():
    def wave(x):
        return np.real(np.sum(np.exp(1j * x) * (1 - 2j)))

    x = np.array([0.3, 1.1])
    found = gradient(wave)(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.real(1j * np.exp(1j * x) * (1 - 2j)))
    hessian = gradient(lambda t: np.sum(gradient(wave)(t)))(x)
    np.testing.assert_allclose(hessian, -np.real(np.exp(1j * x) * (1 - 2j)))
    assert gradient(wave)(x.astype("f4")).dtype == np.float32


def test_parts_of_real_numbers():
    x = np.array([1.0, -2.0])
    np.testing.assert_array_equal(gradient(lambda t: np.sum(t.real * t + np.imag(t) + t.conj()))(x), 2 * x + 1)
    tape = trace_leaves(lambda leaves: [np.real(leaves[0]), np.conj(leaves[0])], [x])
    assert len(tape) == 0
    assert same_bits(trace_leaves(lambda leaves: [np.imag(leaves[0])], [x]).evaluate([x])[0], np.zeros(2))
    assert same_bits(trace_leaves(lambda leaves: [np.conj(leaves[0] > 0)], [x]).evaluate([x])[0], np.conj(x > 0))


def test_the_magnitude_is_flat_at_zero():
    z = np.array([0.0 + 0.0j, 3.0 - 4.0j])
    np.testing.assert_allclose(gradient(lambda t: np.sum(np.abs(t)))(z), [0.0, 0.6 + 0.8j])
    np.testing.assert_allclose(jvp(np.abs, (z,), (np.array([1j, 1j]),))[1], [0.0, -0.8])
    np.testing.assert_array_equal(gradient(lambda t: np.sum(np.sign(t).real))(z)[0], 1.0)  # of z / 1


def test_an_infinite_part_leaves_the_other_alone():
    parts = REGISTRY["complex_of"](np.array([np.inf, 1.0]), np.array([2.0, -np.inf]))
    assert np.array_equal(parts, [complex(np.inf, 2.0), complex(1.0, -np.inf)])


def test_dtypes_of_parts():
    assert [real_dtype(np.dtype(kind)).name for kind in ("c8", "c16", "f4")] == ["float32", "float64", "float32"]
    assert [complex_dtype(np.dtype(kind)).name for kind in ("f2", "f4", "f8")] == [
        "complex64",
        "complex64",
        "complex128",
    ]


# ---------------------------------------------------------------------------- refusals

REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda z: z.astype(float), r"`cast` at test_complex\.py:\d+: a complex array is to become float64.*np\.real"),
    (lambda z: np.floor(z), r"np\.floor at test_complex\.py:\d+: ufunc 'floor' not supported"),
    (lambda z: np.arctan2(z, 1), r"np\.arctan2 at .*not supported"),
    (lambda z: np.hypot(z, 1), r"np\.hypot at .*not supported"),
    (lambda z: np.logaddexp(z, 1), r"np\.logaddexp at .*not supported"),
    (lambda z: np.cbrt(z), r"np\.cbrt at .*not supported"),
    (lambda z: z % 2, r"np\.remainder at .*not supported"),
    (lambda z: REGISTRY["absolute"](z), r"`absolute` at .*this rule is one for real numbers; .*np\.abs"),
    (lambda z: sp.expit(z), r"expit at .*not supported"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_is_no_function_of_complex_numbers_says_so(function: Callable[[Any], Any], message: str):
    with pytest.raises(TraceError, match=message):
        gradient(lambda z: np.real(np.sum(function(z))))(PLACES)


def test_derivatives_that_are_not_there_for_complex_numbers():
    with pytest.raises(UnsupportedError, match=r"psi at .*has no derivative in its complex argument"):
        gradient(lambda z: np.real(np.sum(sp.psi(z))))(PLACES)
    with pytest.raises(UnsupportedError, match=r"ive at .*has no derivative in its complex argument"):
        gradient(lambda z: np.real(np.sum(sp.ive(1, z))))(PLACES)
