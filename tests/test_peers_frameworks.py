"""PyTorch, JAX and autograd as backends: primitive by primitive, operator by operator (``pytest -m peers``)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from peer_checks import apart, compared
from samples import cases_of

import difflab as dl
from difflab import nn
from difflab.backends import find
from difflab.backends.peers.excuses import MISSING, OTHERWISE
from difflab.backends.peers.torch_compiled import without_compiler
from difflab.backends.protocol import Backend
from difflab.errors import UnavailableError, UnsupportedError
from difflab.operators import source
from difflab.primitives import REGISTRY
from difflab.problems import find as problem
from difflab.testing import check_backend

pytestmark = pytest.mark.peers

NAMES = ("torch", "jax", "autograd")
BUILT_IN = [record for record in REGISTRY if record.kind != "own" and ":" not in record.name]


def option(name: str) -> Backend:
    """A peer that prepares quickly: to compile each of some hundred primitives takes minutes."""
    return find(name, jit=False) if name == "jax" else find(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("record", BUILT_IN, ids=lambda record: record.name)
def test_primitives_agree_or_are_excused(record: Any, name: str) -> None:
    cases = cases_of(record)
    if name == "jax":  # a second for each
        cases = [*cases[:2], *[case for case in cases[2:] if not case.ordinary]]
    faults = {}
    for case in cases:
        try:
            faults[case.label] = compared(option(name), case)
        except (ArithmeticError, NotImplementedError, RuntimeError, ValueError) as error:  # their own refusals
            faults[case.label] = f"{type(error).__name__}: {error}"
    missing = [label for label, fault in faults.items() if fault == "missing"]
    others = {label: fault for label, fault in faults.items() if fault and fault != "missing"}
    if record.name not in MISSING[name]:
        assert not missing, f"{name} has no {record.name}, and nothing says why"
    if record.name not in OTHERWISE[name]:
        assert not others
    if name != "jax":
        assert bool(missing) == (record.name in MISSING[name]), "the excuse is no longer needed"
        assert bool(others) == (record.name in OTHERWISE[name]), "the excuse is no longer needed"


@pytest.mark.parametrize(("name", "options"), [("torch", {}), ("jax", {}), ("jax", {"jit": False}), ("autograd", {})])
def test_the_checks_of_backends_find_no_fault(name: str, options: dict[str, Any]) -> None:
    backend = find(name, **options)
    assert backend.unavailable() is None
    assert check_backend(backend).comparisons > 300


def branching(x: Any) -> Any:
    return np.sum(x * x) if x[0] > 0 else np.sum(np.sin(x))


def masked(x: Any) -> Any:
    return np.sum(x[x > 0] ** 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", [branching, masked])
def test_where_python_would_branch_otherwise_the_loss_is_recorded_anew(loss: Any, name: str) -> None:
    if loss is masked and name == "autograd":
        with pytest.raises(UnsupportedError, match="backend 'autograd' has no function of its own for the primitive"):
            dl.gradient(loss, backend=name)(np.array([0.5, -1.0]))
        return
    prepared = dl.prepare(loss, np.array([0.5, -1.0, 2.0]), backend=name)
    for point in ([0.5, -1.0, 2.0], [-0.5, 1.0, -3.0], [0.1, 0.2, -0.3]):
        x = np.array(point)
        assert not apart(prepared.gradient(x), dl.gradient(loss)(x))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_complex_variables_are_in_our_convention(name: str) -> None:
    def loss(z: Any, a: Any) -> Any:
        return np.sum(np.abs(z * z - a) + np.real(z) * np.imag(z))

    args = (np.array([0.5 + 1j, -1.0 + 0.25j]), np.array([1.0, 2.0 - 1.0j]))
    for found, expected in zip(dl.gradient(loss, (0, 1), name)(*args), dl.gradient(loss, (0, 1))(*args), strict=True):
        assert not apart(found, expected)
    with pytest.raises(UnsupportedError, match=rf"backend '{name}' does '(hessian|hvp)' by real variables only"):
        dl.hessian(loss, 0, name)(*args)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("operator", ["jvp", "vjp", "jacobian", "hvp", "hessian"])
def test_operators_of_a_network(operator: str, name: str) -> None:
    rng = np.random.default_rng(7)
    x, t = rng.standard_normal((4, 6, 6, 1)), np.eye(3)[[0, 2, 1, 1]]

    def loss(k: Any, w: Any) -> Any:
        h = nn.max_pool2d(nn.relu(nn.conv2d(x, k, padding="same")), 2)
        return nn.softmax_cross_entropy(np.reshape(h, (4, -1)) @ w, t)

    args = (rng.standard_normal((3, 3, 1, 2)), rng.standard_normal((18, 3)))
    along = tuple(np.cos(1.0 + np.arange(one.size)).reshape(one.shape) for one in args)

    def run(backend: str) -> list[Any]:
        if operator == "jvp":
            return list(dl.jvp(loss, args, along, backend))
        if operator == "vjp":
            value, pull = dl.vjp(loss, *args, backend=backend)
            return [value, *pull(0.5)]
        found = getattr(dl, operator)(loss, (0, 1), backend)(*args, *([along] if operator == "hvp" else []))
        return [block for row in found for block in (row if isinstance(row, tuple) else (row,))]

    for found, expected in zip(run(name), run("reverse"), strict=True):
        assert not apart(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_same_bits_every_time(name: str) -> None:
    rng = np.random.default_rng(8)
    made = source(
        lambda w, x: np.sum(np.tanh(x @ w) ** 2), (rng.standard_normal((30, 20)), rng.standard_normal((9, 30)))
    )
    prepared = find(name).prepare(made, "value_and_gradient", made.example)
    answers = [prepared.value_and_gradient(made.example)[1][0].tobytes() for _ in range(3)]
    answers.append(np.asarray(prepared.bare(made.example)()[1][0]).tobytes())
    assert len(set(answers)) == 1


def test_torch_has_as_many_threads_as_the_blas() -> None:
    from threadpoolctl import threadpool_limits

    torch = importlib.import_module("torch")
    before = torch.get_num_threads()
    made = source(lambda x: np.sum(x * x), (np.ones(3),))
    try:
        for count in (1, 2):
            with threadpool_limits(count, user_api="blas"):
                stats = find("torch").prepare(made, "gradient", made.example).stats
            assert stats["threads"] == count
    finally:
        torch.set_num_threads(before)


def test_jax_leaves_numbers_as_wide_as_they_are_elsewhere() -> None:
    jnp = importlib.import_module("jax.numpy")
    before = jnp.ones(2).dtype
    assert dl.gradient(lambda x: np.sum(x * x), backend="jax")(np.ones(2)).dtype == np.float64
    assert dl.gradient(lambda x: np.sum(x * x), backend="jax")(np.ones(2, "f4")).dtype == np.float32
    assert jnp.ones(2).dtype == before


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_dtype_that_a_framework_has_not_is_a_sentence(name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"backend '{name}' has no (dtype )?(longdouble|float128)"):
        dl.gradient(lambda x: np.sum(x * x), backend=name)(np.ones(2, "g"))


@pytest.mark.parametrize("name", NAMES)
def test_a_primitive_that_a_framework_has_not_is_named(name: str) -> None:
    from difflab.special import dawsn

    text = f"backend '{name}' has no function of its own for the primitive 'dawsn' .equation 0."
    with pytest.raises(UnsupportedError, match=text):
        dl.gradient(lambda x: np.sum(dawsn(x)), backend=name)(np.ones(2))


@pytest.mark.parametrize("name", NAMES)
def test_to_import_a_framework_draws_none_of_the_users_numbers(name: str) -> None:
    np.random.seed(0)  # noqa: NPY002 (the generator that users draw from)
    first = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    dl.gradient(lambda x: np.sum(x * x), backend=name)(np.ones(2))
    assert np.random.random() == first  # noqa: NPY002


def test_torch_compiles_the_replayed_loss_where_there_is_a_compiler() -> None:
    if without_compiler() is not None:
        with pytest.raises(UnavailableError, match="needs a C\\+\\+ compiler"):
            find("torch", compile=True)
        return
    instance = problem("mlp").build("tiny", "float64", 0)
    prepared = dl.prepare(
        instance.loss, *instance.args, operator="value_and_gradient", backend=find("torch", compile=True)
    )
    value, gradient = prepared.value_and_gradient(*instance.args)
    expected_value, expected = dl.value_and_gradient(instance.loss, backend="reverse")(*instance.args)
    assert value == pytest.approx(expected_value, rel=1e-12)
    for key, part in expected.items():
        np.testing.assert_allclose(gradient[key], part, rtol=1e-10, atol=1e-14)
