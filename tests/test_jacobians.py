"""jacobian, hessian and hvp on every backend and in every container, against plain differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jacobian_cases import (
    ALL,
    BACKENDS,
    EXACT,
    OTHERS,
    SCALAR,
    X3,
    Case,
    bound_of,
    chosen,
    compare,
    leaves_of,
    mapped,
    reference,
    refilled,
    second_reference,
)

import difflab as dl
from difflab.errors import InputError, UnsupportedError

# ---------------------------------------------------------------------------- every operator, backend and container


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("label", ALL)
def test_jacobian(label: str, name: str):
    case = ALL[label]
    if name == "analytic" and label in OTHERS:
        with pytest.raises((UnsupportedError, InputError), match="needs one"):
            dl.jacobian(case.function, case.argnums, chosen(name, case))(*case.args, **case.kwargs)
        return
    if name == "symbolic" and label == "integer output":
        with pytest.raises(UnsupportedError, match=r"an integer .* which symbolic differentiation cannot express"):
            dl.jacobian(case.function, case.argnums, name)(*case.args)
        return
    found = dl.jacobian(case.function, case.argnums, chosen(name, case))(*case.args, **case.kwargs)
    compare(found, reference(case), bound_of(name))


@pytest.mark.parametrize("label", ALL)
def test_jacobian_of_the_backend_that_goes_by_shape(label: str):
    case = ALL[label]
    compare(dl.jacobian(case.function, case.argnums)(*case.args, **case.kwargs), reference(case), 1e-9)


@pytest.mark.parametrize("name", [*EXACT, "finite"])
@pytest.mark.parametrize("label", SCALAR)
def test_hessian_and_its_product(label: str, name: str):
    case = SCALAR[label]
    wanted = second_reference(case)
    found = dl.hessian(case.function, case.argnums, name)(*case.args, **case.kwargs)
    compare(found, wanted, bound_of(name, 2))
    along = refilled(case.variables, [np.cos(1.0 + np.arange(np.size(x))).reshape(np.shape(x))[()]
                                      for x in leaves_of(case.variables)])  # fmt: skip
    vectors = leaves_of(along)
    flat = leaves_of(wanted)
    rows = [flat[at : at + len(vectors)] for at in range(0, len(flat), len(vectors))]
    product = [sum(np.tensordot(b, v, np.ndim(v)) for b, v in zip(row, vectors, strict=True)) for row in rows]
    result = dl.hvp(case.function, case.argnums, name)(*case.args, along, **case.kwargs)
    compare(result, refilled(case.variables, product), bound_of(name, 2))


@pytest.mark.parametrize("label", ALL)
def test_null_gives_zeros_of_the_same_shapes(label: str):
    case = ALL[label]
    wanted = mapped(np.zeros_like, reference(case))
    compare(dl.jacobian(case.function, case.argnums, "null")(*case.args, **case.kwargs), wanted, 0.0)
    if label in SCALAR:
        second = mapped(np.zeros_like, second_reference(case))
        compare(dl.hessian(case.function, case.argnums, "null")(*case.args, **case.kwargs), second, 0.0)
        found = dl.hvp(case.function, case.argnums, "null")(*case.args, case.variables, **case.kwargs)
        compare(found, mapped(np.zeros_like, case.variables), 0.0)


@pytest.mark.parametrize("name", ["symbolic", "forward", "reverse", None])
@pytest.mark.parametrize("label", [label for label in OTHERS if label != "integer output"])
def test_the_denominator_layout_has_the_variables_outside(label: str, name: str | None):
    case = OTHERS[label]
    found = dl.jacobian(case.function, case.argnums, name, layout="denominator")(*case.args, **case.kwargs)
    outputs = case.function(*case.args, **case.kwargs)
    blocks = leaves_of(reference(case))
    inside = leaves_of(case.variables)
    columns = []
    for i, x in enumerate(inside):
        turned = [
            np.transpose(b, (*range(np.ndim(o), np.ndim(b)), *range(np.ndim(o))))
            for b, o in zip(blocks[i :: len(inside)], leaves_of(outputs), strict=True)
        ]
        assert all(b.shape[: np.ndim(x)] == np.shape(x) for b in turned)
        columns.append(refilled(outputs, turned))
    compare(found, refilled(case.variables, columns), 1e-9)


@pytest.mark.parametrize("name", BACKENDS)
def test_kinds_of_leaves(name: str):
    f = lambda x: x * x * x  # noqa: E731
    case = Case(f, (2.0,))
    for operator in ("jacobian", *(("hessian",) if name != "analytic" else ())):
        derivative = getattr(dl, operator)(f, 0, chosen(name, case))
        assert type(derivative(2.0)) is np.float64
        assert type(derivative(np.float32(2.0))) is np.float32
        there = derivative(np.array(2.0))
        assert type(there) is np.ndarray
        assert there.shape == ()


@pytest.mark.parametrize("name", BACKENDS)
def test_float32_stays_float32(name: str):
    for label in ("vector", "dict", "arguments"):
        case = SCALAR[label]
        single = case._replace(args=mapped(lambda leaf: np.asarray(leaf, "f4")[()], case.args))
        found = dl.jacobian(single.function, case.argnums, chosen(name, single))(*single.args)
        compare(found, reference(case), 3e-3 if name == "finite" else 1e-5, "float32")
        if name in EXACT:
            compare(dl.hessian(case.function, case.argnums, name)(*single.args), second_reference(case), 1e-5, "f4")
            product = dl.hvp(case.function, case.argnums, name)(*single.args, single.variables)
            assert {leaf.dtype for leaf in leaves_of(product)} == {np.dtype("f4")}


@pytest.mark.parametrize("name", EXACT)
def test_of_mixed_precision_each_block_has_its_variables_dtype(name: str):
    x, y = np.ones(2, "f4"), np.ones(3)
    blocks = dl.jacobian(lambda x, y: (np.sum(x) * y, x * 2), (0, 1), name)(x, y)
    assert [[block.dtype.name for block in row] for row in blocks] == [["float32", "float64"]] * 2
    found = dl.hessian(lambda x, y: np.sum(x) * np.sum(y * y), (0, 1), name)(x, y)
    assert [[block.dtype.name for block in row] for row in found] == [["float32", "float64"]] * 2


@pytest.mark.parametrize("name", EXACT)
def test_results_are_fresh_arrays(name: str):
    f = lambda x: np.sum(x * X3)  # noqa: E731
    prepared = dl.prepare(f, X3, backend=name, operator="jacobian")
    first, second = prepared(X3), prepared(X3)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, X3)
    first[:] = 0
    np.testing.assert_array_equal(prepared(X3), second)


# ---------------------------------------------------------------------------- complex numbers

Z: Any = np.array([0.3 + 0.4j, -1.0 + 0.2j])


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_the_jacobian_of_a_holomorphic_function_is_complex_linear(name: str):
    found = dl.jacobian(lambda z: np.stack([z[0] * z[1], np.exp(z[0])]), 0, name)(Z)
    np.testing.assert_allclose(found, [[Z[1], Z[0]], [np.exp(Z[0]), 0]], rtol=1e-13)


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_the_jacobian_of_complex_outputs_by_real_inputs_is_complex(name: str):
    found = dl.jacobian(lambda x: np.exp(1j * x), 0, name)(X3)
    np.testing.assert_allclose(found, np.diag(1j * np.exp(1j * X3)), rtol=1e-13, atol=1e-15)
    assert dl.jacobian(lambda x: x * np.complex64(1j), 0, name)(X3.astype("f4")).dtype == np.complex64


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_of_a_real_loss_by_complex_inputs_it_is_the_gradient(name: str):
    loss = lambda z: np.sum(np.real(z) ** 2 * np.imag(z))  # noqa: E731
    wanted = 2 * Z.real * Z.imag - 1j * Z.real**2
    np.testing.assert_allclose(dl.gradient(loss, backend=name)(Z), wanted, rtol=1e-13)
    np.testing.assert_allclose(dl.jacobian(loss, 0, name)(Z), wanted, rtol=1e-13)


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_hvp_of_a_real_loss_by_complex_inputs_is_the_change_of_its_gradient(name: str):
    loss = lambda z: np.sum(np.real(z) ** 2 * np.imag(z))  # noqa: E731
    v: Any = np.array([1.0 - 2.0j, 0.5j])
    a, b = v.real, v.imag
    wanted = 2 * (a * Z.imag + Z.real * b) - 1j * 2 * Z.real * a
    np.testing.assert_allclose(dl.hvp(loss, 0, name)(Z, v), wanted, rtol=1e-13)


@pytest.mark.parametrize("operator", ["gradient", "hessian", "hvp"])
def test_a_complex_loss_is_an_error_that_says_what_to_take(operator: str):
    args = (Z, Z) if operator == "hvp" else (Z,)
    text = rf"{operator} of `<lambda>` needs a real output, and it returns complex128; take np.real or np.abs of it, or"
    with pytest.raises(InputError, match=text + r" use dl\.jacobian"):
        getattr(dl, operator)(lambda z: np.sum(z * z))(*args)
