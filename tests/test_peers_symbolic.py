"""CasADi and symengine as backends: the same tape in their own expressions, against tape and reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from samples import Case, cases_of

import difflab as dl
from difflab import backends, nn
from difflab.backends.peers import casadi_numbers
from difflab.backends.peers.casadi_peer import Casadi
from difflab.backends.peers.symengine_peer import Symengine
from difflab.backends.symbolic import Symbolic
from difflab.containers import flatten
from difflab.errors import ForecastError, GuardError, InputError, UnavailableError, UnsupportedError
from difflab.operators import source
from difflab.primitives import REGISTRY, Primitive
from difflab.problems import find
from difflab.testing import check_backend

KINDS = {"casadi": Casadi, "symengine": Symengine}
BOTH = [Casadi(), Casadi(data="numbers"), Symengine(), Symengine(data="numbers")]
REAL = [p for p in REGISTRY if p.kind != "own" and ":" not in p.name]


def flat(value: Any, gradients: Any) -> np.ndarray:
    return np.concatenate([np.ravel(value), *[np.ravel(gradient) for gradient in gradients]])


# ---------------------------------------------------------------------------- without the libraries


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_library_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"difflab.backends.peers.{name}_peer.find_spec", lambda package: None)
    text = f"backend '{name}' cannot be used: it needs the package {name}, which is not installed; pip install"
    with pytest.raises(UnavailableError, match=text):
        backends.find(name)
    (listed,) = [one for one in backends.listing() if one.name == name]
    assert listed.operators == ()


def test_importing_a_peer_imports_no_library(modules_after: Callable[[str], set[str]]) -> None:
    loaded = modules_after("from difflab.backends.peers import casadi_peer, casadi_numbers, symengine_peer")
    assert not {"casadi", "symengine"} & {name.partition(".")[0] for name in loaded}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Casadi(kind="MX"), "the kind is 'SX'"),
        (lambda: Casadi(data="some"), "data is one of symbols, numbers"),
        (lambda: Casadi(most_operations=0), r"Casadi\(most_operations=0\): the most operations are a positive number"),
        (lambda: Symengine(code="c"), "code is one of auto, llvm, lambda"),
        (lambda: Symengine(cse=1), "cse is True or False"),  # type: ignore[arg-type] (that is the fault)
        (lambda: Symengine(most_operations=True), "the most operations are a positive number"),
    ],
)
def test_options_are_checked(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_is_too_large_is_refused_with_its_figures(kind: Any) -> None:
    instance = find("digits-cnn").build("large", "float64", 0)
    made = source(instance.loss, instance.args)
    text = rf"backend '{kind().name}' writes every number .* about [\d.e+]+ operations; .*most_operations=\.\.\."
    with pytest.raises(ForecastError, match=text):
        kind().prepare(made, "gradient", made.example)
    small = source(lambda x: np.sum(np.sin(x) * x), (np.ones(20),))
    with pytest.raises(ForecastError, match="the limit is 10 operations"):
        kind(most_operations=10).prepare(small, "gradient", small.example)


@pytest.mark.parametrize("kind", KINDS.values())
def test_complex_variables_are_refused(kind: Any) -> None:
    made = source(lambda x: np.sum(np.abs(x)), (np.array([1.0 + 2.0j]),))
    with pytest.raises(UnsupportedError, match="differentiate real numbers by real numbers only"):
        kind().prepare(made, "gradient", made.example)


@pytest.mark.parametrize("backend", [Symbolic(), Symbolic(way="tree"), Symbolic(code="numpy", data="symbols")], ids=str)
def test_difflab_s_own_expressions_are_bare_on_the_same_terms(backend: Any) -> None:
    instance = find("two-layer-numpy").build("tiny", "float64", 0)
    made = source(instance.loss, instance.args)
    value, gradient = dl.value_and_gradient(instance.loss)(*instance.args)
    call = backend.prepare(made, "value_and_gradient", made.example).bare(made.example)
    np.testing.assert_allclose(call(), flat(value, flatten(gradient)[0]), rtol=1e-12)
    guarded = source(branching, (np.array([1.0, 2.0]),))
    with pytest.raises(GuardError, match="Python would take another branch"):
        backend.prepare(guarded, "gradient", guarded.example).bare([np.array([-1.0, 2.0])])


# ---------------------------------------------------------------------------- twenty random tapes


def random_loss(seed: int) -> Callable[[Any, Any], Any]:
    """A composition drawn at random of what scalar expressions have: arithmetic, functions, choices, moves, sums."""
    steps = np.random.default_rng(seed).integers(0, 2**31, 5)

    def loss(x: Any, a: Any) -> Any:
        values = [x, np.tanh(x @ a)]
        for step in steps.tolist():
            left, right = values[step % len(values)], values[step // 7 % len(values)]
            values.append(STEPS[step % len(STEPS)](left, right))
        return sum(np.mean(value * np.cos(k + 1.0)) for k, value in enumerate(values))

    return loss


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + 0.5 * b,
    lambda a, b: a * np.tanh(b),
    lambda a, b: a / (1.0 + b * b),
    lambda a, b: np.sin(a) - np.cos(b),
    lambda a, b: np.exp(-a * a) + np.arctan(b),
    lambda a, b: np.log1p(a * a) * np.sqrt(2.0 + np.sin(b)),
    lambda a, b: np.maximum(a, b) - np.minimum(a, 0.3),
    lambda a, b: np.where(a > b, np.expm1(-np.abs(a)), nn.sigmoid(b)),
    lambda a, b: nn.relu(a) + np.abs(b),
    lambda a, b: np.tanh(a.T @ b) @ np.ones((3, 3)) * 0.1,
    lambda a, b: np.cumsum(a, axis=1) * 0.2 + np.max(b, axis=0),
    lambda a, b: nn.softmax(a) * nn.logsumexp(b, axis=1, keepdims=True),
    lambda a, b: np.concatenate([a[1:], b[:1]])[::-1] + a.reshape(3, 3).T,
    lambda a, b: np.arctan2(a, 2.0 + b * b) + np.hypot(a, b + 0.1) ** 3 * 0.01,
    lambda a, b: np.logaddexp(a, b) + np.clip(b, -0.5, 0.5) ** 2,
    lambda a, b: np.sign(a) * np.floor(3.0 * b) * a * 0.1,
]


# Of one of them, choices within choices, symengine's code would have 284 000 operations.
SWOLLEN = 17
SEEDS = [seed for seed in range(21) if seed != SWOLLEN]


@pytest.mark.peers
@pytest.mark.parametrize(
    ("seed", "backend"),
    [(seed, backend) for backend in BOTH for seed in SEEDS[: 20 if backend.data == "symbols" else 4]],
    ids=str,
)
def test_random_tapes_have_the_values_of_the_tape_and_the_slopes_of_reverse_mode(seed: int, backend: Any) -> None:
    rng = np.random.default_rng(100 + seed)
    loss = random_loss(seed)
    x, a = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    prepared = dl.prepare(loss, x, a, backend=backend)
    tape = source(loss, (x, a)).tape
    for point in ((x, a), (rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))):  # choices fall otherwise there
        (value,) = tape.evaluate(point)
        found, gradient = prepared.value_and_gradient(*point)
        wanted = dl.gradient(loss)(*point)
        np.testing.assert_allclose(found, value, rtol=1e-10)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-10, atol=1e-10 * np.max(np.abs(wanted)))
    assert prepared.stats["derivations"] == (2 if backend.data == "numbers" else 1)


@pytest.mark.peers
def test_what_symengine_would_write_out_is_refused_and_casadi_has_it() -> None:
    loss, (x, a) = random_loss(SWOLLEN), np.random.default_rng(0).normal(size=(2, 3, 3))
    with pytest.raises(ForecastError, match=r"symengine's code of value and derivatives has \d{6} operations, for"):
        dl.gradient(loss, backend=Symengine())(x, a)
    np.testing.assert_allclose(dl.gradient(loss, backend=Casadi())(x, a), dl.gradient(loss)(x, a), rtol=1e-10)


# ---------------------------------------------------------------------------- every primitive


def of_complex_numbers(case: Case) -> bool:
    return any(array.dtype.kind == "c" for array in (*case.arrays, case.value))


def compared(case: Case, backend: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Value and gradients of a weighted sum of the results, by the backend and by reverse mode; None without floats."""
    by = tuple(i for i, array in enumerate(case.arrays) if array.dtype.kind == "f")
    if not by or of_complex_numbers(case):
        return None
    value = case.value
    weights = np.cos(1.0 + np.arange(value.size)).reshape(value.shape)

    def loss(*arrays: Any) -> Any:
        return np.sum(weights * case.primitive(*arrays, **case.params))

    with np.errstate(all="ignore"):
        found = dl.value_and_gradient(loss, by, backend)(*case.arrays)
        return flat(*found), flat(*dl.value_and_gradient(loss, by)(*case.arrays))


@pytest.mark.peers
@pytest.mark.parametrize("primitive", REAL, ids=lambda primitive: primitive.name)
def test_every_primitive_is_replayed_rightly_by_casadi_or_refused_by_name(primitive: Primitive) -> None:
    for case in cases_of(primitive):
        if primitive.inexact or primitive.name in casadi_numbers.REFUSED:
            if any(array.dtype.kind == "f" for array in case.arrays) and not of_complex_numbers(case):
                with pytest.raises(UnsupportedError, match=f"`{primitive.name}`"):
                    compared(case, Casadi())
        elif primitive.name not in casadi_numbers.OTHERWISE:
            pair = compared(case, Casadi())
            if pair is not None:
                np.testing.assert_allclose(*pair, rtol=1e-10, atol=1e-12, err_msg=case.label)


def test_what_is_refused_is_refused_for_a_reason() -> None:
    names = {primitive.name: primitive for primitive in REAL}
    assert set(casadi_numbers.REFUSED) | set(casadi_numbers.OTHERWISE) <= set(names)
    assert not [name for name in casadi_numbers.REFUSED if names[name].inexact]
    assert all(reason[:1].islower() or reason.startswith("CasADi") for reason in casadi_numbers.REFUSED.values())


@pytest.mark.peers
def test_where_casadi_answers_otherwise_it_is_as_written() -> None:
    slope = dl.gradient(nn.sigmoid, backend=Casadi())
    assert slope(-700.0) == pytest.approx(np.exp(-700.0), rel=1e-10)
    assert np.isnan(slope(-720.0))
    cast = lambda x: x.astype("f4").astype("f8") * 1.0  # noqa: E731
    assert dl.prepare(cast, np.array(0.1), backend=Casadi()).value(np.array(0.1)) == 0.1


# ---------------------------------------------------------------------------- problems, kinks, data, guards


@pytest.mark.peers
@pytest.mark.parametrize("backend", BOTH, ids=repr)
@pytest.mark.parametrize("problem", ["xor", "two-layer-numpy", "mlp", "digits-mlp"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_problems_agree_with_reverse_mode(problem: str, dtype: str, backend: Any) -> None:
    instance = find(problem).build("tiny", dtype, 0)
    value, gradient = dl.value_and_gradient(instance.loss)(*instance.args)
    prepared = dl.prepare(instance.loss, *instance.args, backend=backend)
    found, slopes = prepared.value_and_gradient(*instance.args)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    assert found.dtype == value.dtype
    np.testing.assert_allclose(found, value, rtol=tolerance)
    for name, wanted in gradient.items():
        assert slopes[name].dtype == wanted.dtype
        np.testing.assert_allclose(slopes[name], wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine(), Symengine(code="lambda"), Symengine(cse=False)], ids=repr)
def test_everything_that_is_declared_is_right(backend: Any) -> None:
    check_backend(backend)
    name = backend.name
    assert backends.find(name).family == "peer"
    assert eval(repr(backend), {"Casadi": Casadi, "Symengine": Symengine}) == backend


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine()], ids=repr)
@pytest.mark.parametrize(
    ("function", "points"),
    [
        (nn.relu, (-1.0, 0.0, 2.0)),
        (np.abs, (-1.0, 0.0, 2.0)),
        (lambda x: np.maximum(x, 3.0), (2.0, 3.0, 4.0)),
        (lambda x: np.max(np.stack([x, 2.0 - x, 1.0 + 0.0 * x])), (0.0, 1.0, 2.0)),
        (lambda x: np.where(x > 0, np.log(x), 0.0), (-1.0, 2.0)),
        (lambda x: np.clip(x, -1.0, 1.0), (-2.0, -1.0, 0.0, 1.0, 2.0)),
        (lambda x: np.logaddexp(x, 1.0), (-800.0, 1.0, 800.0)),
        (lambda x: nn.logsumexp(np.stack([x, 2.0 * x, -x])), (-900.0, 0.0, 900.0)),
    ],
)  # fmt: skip
def test_kinks_follow_the_table(function: Callable, points: tuple[float, ...], backend: Any) -> None:
    prepared = dl.prepare(function, 0.5, backend=backend)
    with np.errstate(all="ignore"):
        for point in points:
            np.testing.assert_allclose(prepared.gradient(point), dl.gradient(function)(point), rtol=1e-12)


def branching(x: Any) -> Any:
    return np.sum(x * x) if x[0] > 0 else np.sum(np.sin(x))


@pytest.mark.peers
@pytest.mark.parametrize("backend", BOTH, ids=repr)
def test_another_branch_of_python_s_is_noticed(backend: Any) -> None:
    prepared = dl.prepare(lambda x: branching(x), np.array([1.0, 2.0]), backend=backend)
    np.testing.assert_allclose(prepared.gradient(np.array([3.0, -1.0])), [6.0, -2.0])
    made = source(branching, (np.array([1.0, 2.0]),))
    inner = backend.prepare(made, "gradient", made.example)
    with pytest.raises(GuardError, match="Python would take another branch"):
        inner.value_and_gradient([np.array([-1.0, 2.0])])


@pytest.mark.peers
@pytest.mark.parametrize("kind", KINDS.values())
def test_labels_are_derived_anew_and_data_is_not(kind: Any) -> None:
    def loss(w: Any, x: Any, labels: Any) -> Any:
        scores = x @ w
        return np.mean(nn.logsumexp(scores, axis=1) - scores[np.arange(4), labels])

    rng = np.random.default_rng(0)
    w, x, labels = rng.normal(size=(3, 2)), rng.normal(size=(4, 3)), np.array([0, 1, 1, 0])
    prepared = dl.prepare(loss, w, x, labels, backend=kind())
    for args in ((w, x, labels), (w, x + 1.0, labels), (w, x, 1 - labels), (w, 2 * x, 1 - labels)):
        np.testing.assert_allclose(prepared.gradient(*args), dl.gradient(loss)(*args), rtol=1e-10)
    assert prepared.stats["derivations"] == 2


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine()], ids=repr)
def test_bare_is_the_same_without_the_conversions_and_outlives_what_made_it(backend: Any) -> None:
    instance = find("xor").build("tiny", "float64", 0)
    made = source(instance.loss, instance.args)
    calls = [backend.prepare(made, "gradient", made.example).bare(made.example) for _ in range(3)]
    garbage = [np.full(100, float(k)) for k in range(100)]
    value, gradient = dl.value_and_gradient(instance.loss)(*instance.args)
    for call in calls:
        np.testing.assert_allclose(call(), flat(value, flatten(gradient)[0]), rtol=1e-12)
    assert len(garbage) == 100


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine(), Symengine(code="lambda")], ids=repr)
def test_threads_share_a_program(backend: Any) -> None:
    loss = random_loss(3)
    points = [np.random.default_rng(k).normal(size=(2, 3, 3)) for k in range(32)]
    prepared = dl.prepare(loss, *points[0], backend=backend)
    wanted = [prepared.gradient(*point) for point in points]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda point: prepared.gradient(*point), points))
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine()], ids=repr)
def test_empty_arrays_and_results_that_depend_on_nothing(backend: Any) -> None:
    assert dl.gradient(lambda x: np.sum(x) + 2.0, backend=backend)(np.zeros((0, 3))).shape == (0, 3)
    value, slope = dl.value_and_gradient(lambda x: 0.0 * x + 3.0, backend=backend)(1.0)
    assert (value, slope) == (3.0, 0.0)


@pytest.mark.peers
@pytest.mark.parametrize("kind", KINDS.values())
def test_hessians_and_products_with_them(kind: Any) -> None:
    def loss(x: Any) -> Any:
        return np.sum(nn.softmax(x) * np.tanh(x)) * x[0]

    x, v = np.array([0.3, -0.2, 0.7]), np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(dl.hessian(loss, 0, kind())(x), dl.hessian(loss)(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dl.hvp(loss, 0, kind())(x, v), dl.hvp(loss)(x, v), rtol=1e-10, atol=1e-12)
    with pytest.raises(ForecastError, match="most_operations"):  # a second derivative is another forecast
        dl.prepare(loss, x, backend=kind(most_operations=150)).hessian(x)


@pytest.mark.peers
def test_a_loop_that_is_long_is_no_fault_of_casadi_s() -> None:
    def loss(x: Any) -> Any:
        for _ in range(3000):
            x = np.sin(x) + 0.1
        return x

    np.testing.assert_allclose(dl.gradient(loss, backend=Casadi())(0.5), dl.gradient(loss)(0.5), rtol=1e-10)


@pytest.mark.peers
@pytest.mark.parametrize("backend", [Casadi(), Symengine()], ids=repr)
def test_forecasts_are_sane(backend: Any) -> None:
    instance = find("xor").build("tiny", "float64", 0)
    made = source(instance.loss, instance.args)
    stats = backend.prepare(made, "gradient", made.example).stats
    cost = backend.predict(made.tape, "gradient", made.wrt)
    counted = stats.get("instructions", stats.get("symbolic_ops_dag"))
    assert counted / 4 < cost.flops < 4 * counted
    assert cost.primal_calls == 0
    assert 0 < cost.seconds < 1
    assert backend.predict(made.tape, "hessian", made.wrt).flops > 3 * cost.flops


def test_the_module_is_no_part_of_importing_difflab(modules_after: Callable[[str], set[str]]) -> None:
    assert not [name for name in modules_after("import difflab") if name.startswith("difflab.backends.peers")]
