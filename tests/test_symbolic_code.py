"""What formulas are turned into: NumPy, CuPy and C programs, and their texts, beside plain Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy_double
import numpy as np
import pytest
import sympy
from samples import all_cases, moving
from scipy import special

import difflab as dl
from difflab import nn
from difflab.backends.symbolic import Symbolic
from difflab.errors import ForecastError, UnavailableError
from difflab.execution.code_out import c_code
from difflab.primitives import REGISTRY
from difflab.problems import find

RNG = np.random.default_rng(3)
NO_COMPILER = c_code.no_compiler()

# One loss for every kind of formula that a program may meet, with a point.
LOSSES: dict[str, tuple[Callable, Any]] = {
    "sums": (lambda z: np.sum(z @ np.arange(6.0).reshape(3, 2)), [1.0, 2.0, -3.0]),
    "powers": (lambda z: z[0] ** 3 / z[1] ** 2 + z[2] ** -1.5 + np.abs(z[0]) ** z[1] + z[1] ** 7, [-1.5, 2.0, 0.5]),
    "roots": (lambda z: np.sum(np.sqrt(z) / np.sqrt(z[::-1])) + np.hypot(z[0], z[1]), [0.5, 2.0, 3.0]),
    "choices": (lambda z: np.sum(np.where(z > 0, np.log(z), z * z[0]) * np.maximum(z, z[0])), [1.0, -2.0, 3.0]),
    "conditions": (
        lambda z: np.sum(np.where((z > 0) & ~(z > 2) | (z < -5), z**2, np.exp(z))),
        [1.0, -2.0, 3.0, -6.0],
    ),
    "shares": (lambda z: np.sum(nn.softmax(z) * np.arange(3.0)) + nn.logsumexp(z) ** 2, [1.0, -2.0, 800.0]),
    "sigmoids": (lambda z: np.sum(nn.sigmoid(z) * np.logaddexp(z, z[0])), [-900.0, 3.0, 900.0]),
    "stopped": (lambda z: np.sum(dl.stop_gradient(z) * z + np.floor(z) * z + np.ceil(z)), [1.5, -2.5]),
    "special": (lambda z: np.sum(special.erf(z) * special.erfc(z)), [0.5, -1.5]),
    "angles": (lambda z: np.sum(np.arctan2(z, z[0]) + np.arcsinh(z) + np.log1p(z) + np.expm1(z)), [0.5, 1e-9]),
}
# SymPy differentiates 1 / (1 + exp(-x)) as it stands, and evaluates it exactly but slowly far out.
TAME = {"sigmoids": [-30.0, 3.0, 30.0], "shares": [1.0, -2.0, 20.0]}
WAYS = [{"way": "dag"}, {"way": "tree"}, {"way": "tree", "cse": False}]


def agrees(function: Callable, point: Any, **options: Any) -> None:
    """Value and gradient of that program beside reverse mode."""
    x = np.asarray(point)
    with np.errstate(all="ignore"):
        value, slopes = dl.value_and_gradient(function)(x)
        got, found = dl.value_and_gradient(function, backend=Symbolic(**options))(x)
    np.testing.assert_allclose(got, value, rtol=1e-13)
    np.testing.assert_allclose(found, slopes, rtol=1e-13, atol=1e-14 * np.max(np.abs(slopes)))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_numpy_agrees_with_reverse_mode(name: str, way: dict[str, Any]) -> None:
    agrees(*LOSSES[name], code="numpy", **way)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_c_agrees_with_reverse_mode_where_there_is_a_compiler(name: str, way: dict[str, Any]) -> None:
    if NO_COMPILER is None:
        agrees(*LOSSES[name], code="c", **way)
    else:
        with pytest.raises(UnavailableError, match="needs a C compiler"):
            agrees(*LOSSES[name], code="c", **way)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_cupy_s_names_are_enough_and_nothing_leaves_the_device(
    name: str, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy = cupy_double.install(monkeypatch)
    function, point = LOSSES[name]
    x = np.asarray(point)
    prepared = dl.prepare(function, x, backend=Symbolic(code="cupy", **way))
    value, slopes = prepared.value_and_gradient(x)
    assert type(slopes) is np.ndarray  # host arrays in, host arrays out
    with np.errstate(all="ignore"):
        expected, wanted = dl.value_and_gradient(function)(x)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-13, atol=1e-14 * np.max(np.abs(wanted)))
    inner = prepared._first._own  # the operators take device arrays when tracing does
    on_device = inner.value_and_gradient([cupy.asarray(x)])
    assert type(on_device[0]) is type(on_device[1][0]) is cupy_double.ndarray
    np.testing.assert_allclose(on_device[1][0].get(), wanted, rtol=1e-13, atol=1e-14 * np.max(np.abs(wanted)))


def test_a_device_array_refuses_to_be_read_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = cupy_double.install(monkeypatch)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(cupy.asarray([1.0]))
    with pytest.raises(TypeError, match="Unsupported type"):
        cupy.add(cupy.asarray([1.0]), np.ones(1))


def of_real_numbers(case: Any) -> bool:
    """Whether it is an elementwise primitive with entries to try it on."""
    real = all(array.size and array.dtype.kind == "f" for array in case.arrays)
    elementwise = case.primitive.kind == "elementwise" and not case.primitive.inexact
    return real and case.ordinary and elementwise and bool(moving(case))


@pytest.mark.parametrize(
    "case", list(filter(of_real_numbers, all_cases(REGISTRY, ("float64",)))), ids=lambda case: case.label
)
def test_every_elementwise_primitive_in_numpy(case: Any) -> None:
    x = [np.ravel(array)[:1].reshape(()) for array in case.arrays]

    def loss(*arrays: Any) -> Any:
        return case.primitive(*arrays, **case.params) * 1.0

    wrt = tuple(moving(case))
    value, slopes = dl.value_and_gradient(loss, wrt, backend=Symbolic(code="numpy"))(*x)
    expected, wanted = dl.value_and_gradient(loss, wrt)(*x)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-12, atol=1e-15)


# ---------------------------------------------------------------------------- texts


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_texts_run_on_their_own(name: str, way: dict[str, Any], tmp_path: Path) -> None:
    function, point = LOSSES[name]
    x = np.asarray(point)
    with np.errstate(all="ignore"):
        value, slopes = dl.value_and_gradient(function)(x)
    expected = [float(value), *slopes]
    prepared = dl.prepare(function, x, backend=Symbolic(**way))
    for language in ("python", "numpy"):
        names: dict[str, Any] = {}
        exec(prepared.code(language=language), names)
        with np.errstate(all="ignore"):
            found = names["program"](*x.tolist())
        np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-13, atol=1e-14 * np.max(np.abs(slopes)))
    assert prepared.code(language="cupy") == prepared.code(language="numpy").replace(
        "import numpy", "import cupy"
    ).replace("from scipy", "from cupyx.scipy")
    text = prepared.code(language="c")
    assert "void program(const double *p, double *out)" in text
    command = c_code.compiler()
    if command is not None:  # without options of ours, in the strictest of dialects
        (tmp_path / "a.c").write_text(text)
        library = str(tmp_path / "a.so")
        subprocess.run(
            [*command, "-std=c11", "-shared", "-fPIC", str(tmp_path / "a.c"), "-o", library, "-lm"], check=True
        )
        out = np.empty(len(expected))
        program = ctypes.CDLL(library).program
        program(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14 * np.max(np.abs(slopes)))


def test_numpy_s_text_takes_many_points_at_once() -> None:
    function, _ = LOSSES["conditions"]
    names: dict[str, Any] = {}
    exec(dl.prepare(function, np.ones(4), backend="symbolic").code(language="numpy"), names)
    points = RNG.normal(size=(4, 50)) * 4
    found = names["program"](*points)
    for k in range(50):
        value, slopes = dl.value_and_gradient(function)(points[:, k])
        np.testing.assert_allclose([entry[k] for entry in found], [value, *slopes], rtol=1e-13)


def test_symbols_have_the_names_of_arguments() -> None:
    def loss(q: Any, exp: Any) -> Any:
        return np.sum(q["w"] * q["b"]) * exp

    arguments = {"w": np.ones((2, 1)), "b": np.ones(2)}, 2.0
    symbols = dl.prepare(loss, *arguments, argnums=(0, 1), backend="symbolic").expressions().symbols
    assert [[str(s) for s in own.ravel()] for own in symbols] == [["b_1", "b_2"], ["w_1_1", "w_2_1"], ["exp_"]]


def test_names_that_would_meet_fall_back_to_places() -> None:
    def loss(w: Any, w_1: Any) -> Any:
        return np.sum(w**2) * np.sum(w_1)

    prepared = dl.prepare(
        loss, np.full((1, 2), 3.0), np.array([5.0, 7.0]), argnums=(0, 1), backend=Symbolic(way="tree")
    )
    assert [str(s) for own in prepared.expressions().symbols for s in own.ravel()] == [
        "p0_1_1",
        "p0_1_2",
        "p1_1",
        "p1_2",
    ]
    np.testing.assert_array_equal(prepared.gradient(np.full((1, 2), 3.0), np.array([5.0, 7.0]))[1], [18.0, 18.0])


def test_formulas_print_count_and_read_back() -> None:
    found = dl.prepare(lambda x, y: x * np.sin(y) + x**2, 1.0, 2.0, argnums=(0, 1), backend="symbolic").expressions()
    assert found.latex().splitlines() == [
        r"f = x^{2} + x \sin{\left(y \right)}",
        r"\frac{\partial f}{\partial x} = 2 x + \sin{\left(y \right)}",
        r"\frac{\partial f}{\partial y} = x \cos{\left(y \right)}",
    ]
    assert found.operations() == {"values": 4, "derivatives": 5}
    read = eval(found.srepr(), vars(sympy).copy())
    assert read["values"] == [found.values[0].item()]
    assert read["derivatives"] == [block.item() for block in found.derivatives[0]]


def test_text_that_would_fill_gigabytes_is_refused() -> None:
    instance = find("xor").build("tiny", "float64", 0)
    found = dl.prepare(instance.loss, *instance.args, backend="symbolic").expressions()
    assert sum(found.operations().values()) < 1_000_000

    def deep(x: Any) -> Any:
        for _ in range(30):
            x = x * x + x
        return x

    found = dl.prepare(deep, 0.1, backend="symbolic").expressions()
    with pytest.raises(ForecastError, match="operations, and text is printed of up to 1,000,000"):
        found.latex()
    with pytest.raises(ForecastError, match="print them as code, which shares what is equal"):
        found.srepr()
    assert "def program(x):" in dl.prepare(deep, 0.1, backend="symbolic").code()


@pytest.mark.parametrize("way", ["dag", "tree"])
@pytest.mark.parametrize("name", LOSSES)
def test_srepr_is_read_by_sympy_alone_and_has_the_same_value(name: str, way: str) -> None:
    function, point = LOSSES[name]
    x = np.asarray(TAME.get(name, point))
    formulas = dl.prepare(function, x, backend=Symbolic(way=way)).expressions()
    read = eval(formulas.srepr(), vars(sympy).copy())
    places = dict(
        zip((sympy.Symbol(f"z_{k + 1}") for k in range(len(x))), map(sympy.Rational, x.tolist()), strict=True)
    )
    with np.errstate(all="ignore"):
        value, slopes = dl.value_and_gradient(function)(x)
    found = [float(entry.subs(places)) for entry in [*read["values"], *read["derivatives"]]]
    np.testing.assert_allclose(found, [value, *slopes], rtol=1e-12, atol=1e-15)


def test_choices_print_as_cases() -> None:
    text = dl.prepare(lambda x: nn.relu(x) + nn.sigmoid(x), 1.0, backend="symbolic").expressions().latex()
    assert text.splitlines()[0] == (
        r"f = \begin{cases} x & \text{for}\: x > 0 \\0 & \text{otherwise} \end{cases} + \sigma\left(x\right)"
    )
