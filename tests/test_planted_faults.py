"""Faults planted in turn in every derivative rule, every shape rule, exact rules and the tracer: all are found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from samples import Case, all_cases

import difflab as dl
from difflab.errors import CertificateError, TraceError, UndecidedError
from difflab.execution.arithmetic import apply
from difflab.execution.balls import Balls, precision
from difflab.execution.exact import certify
from difflab.harness.certify import certified
from difflab.numpy_functions.common import FUNCTIONS
from difflab.primitives import REGISTRY, Primitive
from difflab.primitives.record import Aval
from difflab.tape import Tape
from difflab.testing import check_primitive
from difflab.testing.faults import CheckError
from difflab.tracing import trace_leaves

ORDINARY = [case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary and case.value.dtype.kind == "f"]
DIFFERENTIABLE = [case for case in ORDINARY if case.primitive.jvp and any(a.dtype.kind == "f" for a in case.arrays)]


def one_each(cases: list[Case]) -> list[Case]:
    """A small case of every primitive, of more than one element: a single one hides a wrong axis."""
    found: dict[str, Case] = {}
    for case in sorted(cases, key=lambda case: (case.value.size < 2, sum(np.size(a) for a in case.arrays))):
        found.setdefault(case.primitive.name, case)
    return list(found.values())


# ---------------------------------------------------------------------------- derivative rules


def wrong_sign(array: Any) -> Any:
    return -array


def factor_two(array: Any) -> Any:
    return array + array


def missing(array: Any) -> Any:
    return array - array


def wrong_axis(array: Any) -> Any:
    return array[::-1] if len(array.shape) == 1 else array[..., ::-1] if array.shape else array + array


MUTANTS = (wrong_sign, factor_two, missing, wrong_axis)


def with_wrong_vjp(primitive: Primitive, mutant: Callable) -> Primitive:
    right: Any = primitive.vjp

    def vjp(*operands: Any, **params: Any) -> Any:
        return tuple(None if part is None else mutant(part) for part in right(*operands, **params))

    return dataclasses.replace(primitive, vjp=vjp)


def with_wrong_jvp(primitive: Primitive, mutant: Callable) -> Primitive:
    right: Any = primitive.jvp

    def jvp(*operands: Any, **params: Any) -> Any:
        tangent = right(*operands, **params)
        return None if tangent is None else mutant(tangent)

    return dataclasses.replace(primitive, jvp=jvp)


def tape_of(case: Case) -> tuple[Tape, list[np.ndarray], tuple[int, ...]]:
    arrays = [np.asarray(array) for array in case.arrays]
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], arrays)
    return tape, arrays, tuple(k for k, array in enumerate(arrays) if array.dtype.kind == "f")


def planted(tape: Tape, primitive: Primitive) -> Tape:
    """The tape with a primitive's record exchanged."""
    equations = tuple(
        equation._replace(primitive=primitive) if equation.primitive.name == primitive.name else equation
        for equation in tape.equations
    )
    return dataclasses.replace(tape, equations=equations)


# Derivatives made of functions that exact arithmetic does not know; as those of inexact primitives, see below.
NOT_CERTIFIED = frozenset({"i1e", "k1e"})
EXACT = [
    case for case in one_each(DIFFERENTIABLE) if not case.primitive.inexact and case.primitive.name not in NOT_CERTIFIED
]
INEXACT = [case for case in one_each(DIFFERENTIABLE) if case.primitive.inexact or case.primitive.name in NOT_CERTIFIED]


def vectors_of(case: Case, operator: str) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    if operator == "vjp":
        return [rng.uniform(0.5, 2, case.value.shape)]
    return [rng.uniform(0.5, 2, np.shape(array)) for array in case.arrays if array.dtype.kind == "f"]


def derivative(tape: Tape, arrays: list[np.ndarray], wrt: tuple[int, ...], operator: str, vectors: list) -> list:
    from difflab import transforms

    derived = transforms.vjp(tape, wrt) if operator == "vjp" else transforms.jvp(tape, wrt)
    with np.errstate(all="ignore"):
        return [np.asarray(part) for part in derived.evaluate([*arrays, *vectors])[1:]]


def differs(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return any(not np.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("operator", ["vjp", "jvp"])
@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.primitive.name)
def test_a_wrong_derivative_rule_is_found_by_the_second_engine(case: Case, operator: str) -> None:
    tape, arrays, wrt = tape_of(case)
    vectors = vectors_of(case, operator)
    right = derivative(tape, arrays, wrt, operator, vectors)
    assert certified(tape, arrays, wrt, operator, vectors=vectors).certified
    planter = with_wrong_vjp if operator == "vjp" else with_wrong_jvp
    found = 0
    for mutant in MUTANTS:
        wrong = planted(tape, planter(case.primitive, mutant))
        if not differs(derivative(wrong, arrays, wrt, operator, vectors), right):
            continue  # a constant reversed is itself
        with pytest.raises(CertificateError, match=r"rules give .* and the series"):
            certified(wrong, arrays, wrt, operator, vectors=vectors)
        found += 1
    assert found or not any(part.any() for part in right)


def test_the_message_names_the_first_rule_at_fault() -> None:
    x, w = np.array([0.3, -0.7, 1.1]), np.arange(9.0).reshape(3, 3) / 8
    tape = trace_leaves(lambda leaves: [np.sum(np.sin(np.tanh(leaves[0]) @ leaves[1]))], [x, w])
    wrong = planted(tape, with_wrong_vjp(REGISTRY["sin"], wrong_sign))
    with pytest.raises(CertificateError, match=r"the first rule at fault is that of `sin` \(equation 4: "):
        certified(wrong, [x, w], (0, 1))

    def swapped_transpose(g: Any, y: Any, a: Any, b: Any, wanted: Any) -> tuple:
        return (g @ b, None)

    matmul = dataclasses.replace(REGISTRY["matmul"], vjp=swapped_transpose)
    with pytest.raises(CertificateError, match=r"the first rule at fault is that of `matmul`"):
        certified(planted(tape, matmul), [x, w], (0,))


@pytest.mark.parametrize("planter", [with_wrong_vjp, with_wrong_jvp])
@pytest.mark.parametrize("case", INEXACT, ids=lambda case: case.primitive.name)
def test_a_wrong_rule_of_what_cannot_be_certified_is_found_by_quotients(case: Case, planter: Callable) -> None:
    with pytest.raises(CheckError):
        check_primitive(planter(case.primitive, wrong_sign), (case.arrays, case.params), dtypes=["float64"])


# ---------------------------------------------------------------------------- shape rules


def transposed(aval: Aval) -> Aval:
    return aval._replace(shape=aval.shape[::-1])


def one_more_axis(aval: Aval) -> Aval:
    return aval._replace(shape=(1, *aval.shape))


def another_dtype(aval: Aval) -> Aval:
    return aval._replace(dtype=np.dtype(np.float32))


@one_test_each(by_primitive(one_each(ORDINARY), axes=transposed, rank=one_more_axis, dtype=another_dtype))
def test_a_wrong_shape_rule_is_found(case: Case, fault: Callable) -> None:
    def abstract(*avals: Aval, **params: Any) -> Aval:
        return fault(case.primitive.abstract(*avals, **params))

    if fault(aval := case.primitive.abstract(*case.avals, **case.params)) == aval:
        return  # a square or a vector is its own transpose
    wrong = dataclasses.replace(case.primitive, abstract=abstract)
    tape = trace_leaves(lambda leaves: [wrong(*leaves, **case.params)], [np.asarray(a) for a in case.arrays])
    with pytest.raises(ValueError, match=rf"equation 0 \({case.primitive.name}\) is noted as .* and gives"):
        with np.errstate(all="ignore"):
            tape.audit([np.asarray(array) for array in case.arrays])
    if not case.primitive.inexact and fault is not another_dtype:
        with pytest.raises(TraceError, match=rf"the shape rule of the primitive `{case.primitive.name}` is wrong"):
            certify(tape, [np.asarray(array) for array in case.arrays])


# ---------------------------------------------------------------------------- the tracer


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable, Callable], None]:
    """Exchanges what the tracer makes of a NumPy function."""

    def plant(numpy_function: Callable, wrong: Callable) -> None:
        monkeypatch.setitem(FUNCTIONS, numpy_function, wrong(FUNCTIONS[numpy_function]))

    return plant


def test_a_missing_mean_is_found(tracer: Callable) -> None:
    tracer(np.mean, lambda right: lambda x, **options: right(x, **options) * x.shape[0])
    with pytest.raises(TraceError, match="does not compute what the function does"):
        dl.prepare(lambda x: np.mean(x * x), np.arange(4.0))


def test_a_wrong_axis_is_found(tracer: Callable) -> None:
    tracer(np.cumsum, lambda right: lambda x, axis: right(x, axis=1 - axis))
    with pytest.raises(TraceError, match="does not compute what the function does"):
        dl.prepare(lambda x: np.sum(np.cumsum(x, axis=0) ** 2), np.arange(9.0).reshape(3, 3))


def test_a_swapped_transpose_is_found(tracer: Callable) -> None:
    tracer(np.transpose, lambda right: lambda x, axes=None: right(x, (0, 1)))
    x = np.arange(4.0).reshape(2, 2)
    with pytest.raises(TraceError, match="does not compute what the function does"):
        dl.prepare(lambda x: np.sum(np.transpose(x) @ np.array([1.0, 2.0])), x)


def test_a_frozen_mask_is_found(tracer: Callable) -> None:
    x = np.array([0.5, -1.0, 2.0])

    def frozen(right: Callable) -> Callable:
        return lambda condition, a, b: right(x > 0, a, b)

    tracer(np.where, frozen)
    with pytest.raises(TraceError, match="at a point far from the example"):
        dl.prepare(lambda x: np.sum(np.where(x > 0, x * x, 3 * x)), x)


def test_a_mask_frozen_by_the_user_is_found() -> None:
    seen: list[np.ndarray] = []

    def loss(x: Any) -> Any:
        if not seen:
            seen.append(np.array([True, False]))
        mask = seen[0] if isinstance(x, dl.tracing.TracedArray) else x > 0
        return np.sum(np.where(mask, x, x * x))

    with pytest.raises(TraceError, match="does not compute what the function does"):
        dl.prepare(loss, np.array([0.7, -0.4]))


# ---------------------------------------------------------------------------- exact rules

CHOOSING = (
    "maximum", "minimum", "fmax", "fmin", "greater", "greater_equal", "less", "less_equal", "equal", "not_equal",
    "max", "min", "argmax", "argmin", "argsort", "cummax", "cummin", "max_pool", "absolute", "sign", "relu",
    "heaviside", "searchsorted", "trunc", "floor", "ceil", "rint",
)  # fmt: skip


def undecidable(case: Case, primitive: Primitive) -> None:
    """Run a primitive on balls that overlap each other and zero and every integer near them."""
    from flint import arb

    rng = np.random.default_rng(2)
    with precision(160):
        operands = []
        for array in case.arrays:
            if array.dtype.kind != "f":
                operands.append(array)
                continue
            balls = np.empty(array.shape, dtype=object)
            balls.ravel()[:] = [arb(v, 0.75) for v in rng.uniform(-0.01, 0.01, array.size)]
            operands.append(balls)
        apply(Balls(), primitive, operands, case.params)


@pytest.mark.parametrize("name", CHOOSING)
def test_what_chooses_reports_that_it_cannot(name: str) -> None:
    case = max(
        (case for case in all_cases([REGISTRY[name]], ("float64",)) if case.ordinary), key=lambda c: c.value.size
    )
    with pytest.raises(UndecidedError):
        undecidable(case, case.primitive)


@pytest.mark.parametrize(
    ("name", "numpy_function"),
    [
        ("maximum", lambda arithmetic, a, b: np.maximum(a, b)),
        ("greater", lambda arithmetic, a, b: np.greater(a, b).astype(bool)),
        ("max", lambda arithmetic, x, axes: np.max(x, axis=axes)),
    ],
)
def test_numpy_on_balls_would_answer_without_a_word(name: str, numpy_function: Callable) -> None:
    """The fault that the test above is there for: with NumPy's own function nothing is reported."""
    case = max(
        (case for case in all_cases([REGISTRY[name]], ("float64",)) if case.ordinary), key=lambda c: c.value.size
    )
    undecidable(case, dataclasses.replace(case.primitive, exact=numpy_function))


def test_every_primitive_that_compares_is_among_those_tested() -> None:
    asked: set[str] = set()

    class Asked(Balls):
        def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
            asked.add("compare")
            return super().compare(name, a, b)

        def beats(self, a: Any, b: Any) -> bool:
            asked.add("beats")
            return super().beats(a, b)

    choosing = set()
    for case in one_each([case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary]):
        if case.primitive.inexact:
            continue
        asked.clear()
        with precision(160):
            arithmetic = Asked()
            operands = [arithmetic.numbers(a) if a.dtype.kind == "f" else np.asarray(a) for a in case.arrays]
            apply(arithmetic, case.primitive, operands, case.params)
        if asked:
            choosing.add(case.primitive.name)
    # Made of those that are tested, and undecided with them.
    derived = {
        "cbrt",
        "scipy_cbrt",
        "fmod",
        "fraction",
        "huber",
        "logabsdet",
        "pool_route",
        "pool_select",
        "sign_det",
        "where",
    }
    scaled = {name for name in choosing if name.endswith(("0e", "1e", "ve"))}
    assert choosing - set(CHOOSING) - derived - scaled <= {
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "cast",
        "nonzero",
    }
