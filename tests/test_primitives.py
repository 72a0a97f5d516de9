"""Every primitive, from the registry: value, shape rule, buffers, both derivative modes, second order, kinks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from references import REFERENCES
from samples import (
    DTYPES,
    EDGES,
    Case,
    all_cases,
    cases_of,
    close,
    difference,
    directions,
    drawn,
    faults,
    filled,
    garbage,
    in_precision,
    is_float,
    moving,
    pairing,
    rng_of,
    same_bits,
    strided,
    tape_of,
)

from difflab import nn, transforms
from difflab.execution.program import Program
from difflab.operators import gradient, jvp, vjp
from difflab.primitives import REGISTRY
from difflab.primitives.record import Aval, Primitive
from difflab.tracing import trace_leaves
from difflab.transforms.inline import inline

CASES = all_cases(REGISTRY)
every_case = one_test_each(by_primitive(CASES))
MOVING = [case for case in CASES if moving(case)]
differentiable = one_test_each(by_primitive(case for case in MOVING if case.ordinary))


def away_from_ties(case: Case) -> Case:
    if case.primitive.name != "max_pool":  # its samples are made to tie
        return case
    rng = rng_of(case.label)
    return case._replace(
        arrays=tuple((rng.permutation(a.size).reshape(a.shape) / 16).astype(a.dtype) for a in case.arrays)
    )


# ---------------------------------------------------------------------------- nothing goes untested


def test_every_primitive_has_cases_and_every_missing_derivative_a_reason():
    assert faults(REGISTRY) == []


def record(**changes: Any) -> Primitive:
    rules: dict[str, Any] = {"evaluate": np.sin, "abstract": lambda x: x, "jvp": None, "vjp": None}
    return Primitive(**{"name": "dummy", "kind": "general", **rules, **changes})


def test_completeness_would_notice_an_untested_primitive():
    assert faults([record()]) == [
        "dummy has no samples, no domain to draw from, and no written excuse",
        "dummy has no derivative and no written excuse",
    ]
    assert faults([record(excuse="a reason")]) == []
    with_samples = record(samples=lambda: [((np.ones(2),), {})])
    assert faults([with_samples]) == ["dummy has no derivative and no written excuse"]
    one_mode = record(samples=lambda: [((np.ones(2),), {})], jvp=lambda *a: None, excuse="a reason")
    assert faults([one_mode]) == ["dummy has a rule for one mode only"]


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'exp' is registered twice; give yours another name"):
        REGISTRY.add(record(name="exp"))


# ---------------------------------------------------------------------------- value, shape, buffers


@every_case
def test_shape_and_dtype_rule(case: Case):
    expected = case.primitive.abstract(*case.avals, **case.params)
    assert (case.value.shape, case.value.dtype) == (expected.shape, expected.dtype)
    assert all(type(size) is int for size in expected.shape)
    assert case.primitive.flops(case.avals, expected, **case.params) >= 0


@every_case
def test_inputs_are_never_written_to(case: Case):
    for array in case.arrays:
        array.flags.writeable = False
    value = case.value
    if case.primitive.into is not None:
        filled(case, garbage(value.shape, value.dtype))


@one_test_each(by_primitive(case for case in CASES if case.primitive.into))
def test_into_fills_a_buffer_with_the_same_bits(case: Case):
    value = case.value
    assert same_bits(filled(case, garbage(value.shape, value.dtype)), value)
    views = [strided(array) for array in case.arrays]  # for which NumPy itself may round otherwise
    from_views = case._replace(arrays=tuple(views)).value
    assert same_bits(filled(case, garbage(value.shape, value.dtype), views), from_views)
    fortran = np.array(garbage(value.shape, value.dtype), order="F")
    assert same_bits(filled(case, fortran, [np.array(array, order="F") for array in case.arrays]), value)


@one_test_each(by_primitive(case for case in CASES if case.primitive.view and case.value.size))
def test_what_calls_itself_a_view_is_one(case: Case):
    assert np.shares_memory(case.primitive.evaluate(*case.arrays, **case.params), case.arrays[0])


@one_test_each(by_primitive(case for case in CASES if case.primitive.inplace))
def test_in_place_primitives_may_overwrite_any_operand_of_their_shape(case: Case):
    for position, array in enumerate(case.arrays):
        if (array.shape, array.dtype) == (case.value.shape, case.value.dtype):
            operands = [np.array(a) for a in case.arrays]
            assert same_bits(filled(case, operands[position], operands), case.value)


@every_case
def test_compiled_equals_evaluated_bit_for_bit(case: Case):
    tape = tape_of(case).check()
    with np.errstate(all="ignore"):
        (expected,) = tape.evaluate(case.arrays)
        (found,) = Program(tape).run(case.arrays)
        assert same_bits(found, expected)
        views = [strided(array) for array in case.arrays]
        assert same_bits(Program(tape).run(views)[0], tape.evaluate(views)[0])


# ---------------------------------------------------------------------------- independent values


def test_every_value_has_an_independent_reference():
    ufuncs = {p.name for p in REGISTRY if isinstance(p.evaluate, np.ufunc) and p.name == p.evaluate.__name__}
    assert {p.name for p in REGISTRY} - ufuncs - set(REFERENCES) == set()


@one_test_each(by_primitive(case for case in CASES if case.primitive.name in REFERENCES))
def test_value_against_a_reference(case: Case):
    expected = np.asarray(REFERENCES[case.primitive.name](*case.arrays, **case.params))
    assert expected.dtype == case.value.dtype
    assert expected.shape == case.value.shape
    if is_float(expected):
        eps = float(np.finfo(expected.dtype).eps)
        np.testing.assert_allclose(case.value, expected, rtol=4 * eps, atol=4 * eps)
    else:
        assert np.array_equal(expected, case.value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [p.name for p in REGISTRY if p.kind == "elementwise" and "logical" not in p.name])
def test_nan_infinity_and_signed_zero_as_in_numpy(name: str, dtype: str):
    primitive = REGISTRY[name]
    x, y = (a.ravel() for a in np.meshgrid(np.array(EDGES, dtype), np.array(EDGES, dtype)))
    arrays = (x, y)[: primitive.arity]
    numpy = REFERENCES.get(name, primitive.evaluate)
    with np.errstate(all="ignore"):
        tape = trace_leaves(lambda leaves: [primitive(*leaves)], arrays)
        expected, found = numpy(*arrays), Program(tape).run(arrays)[0]
        assert same_bits(found, tape.evaluate(arrays)[0])
        np.testing.assert_allclose(found, expected, rtol=4 * float(np.finfo(dtype).eps))
        if name != "relu":  # max(-0, 0) may be either zero
            assert np.array_equal(np.signbit(found[found == 0]), np.signbit(np.asarray(expected)[found == 0]))


# ---------------------------------------------------------------------------- derivatives


def rules(case: Case, positions, label: str = "t"):
    """(tangents, J t, cotangent, J^T g) of the record's own rules on plain arrays."""
    tangents = directions(case, positions, label)
    y = case.value
    assert case.primitive.jvp is not None
    assert case.primitive.vjp is not None
    pushed = case.primitive.jvp(tangents, y, *case.arrays, **case.params)
    g = drawn(rng_of(case.label + "g"), y.shape, y.dtype)
    wanted = tuple(position in positions for position in range(len(case.arrays)))
    return tangents, pushed, g, case.primitive.vjp(g, y, *case.arrays, wanted=wanted, **case.params)


@differentiable
def test_jvp_against_differences(case: Case):
    case = away_from_ties(case)
    for positions in [(p,) for p in moving(case)] + [moving(case)]:
        tangents, pushed, _, _ = rules(case, positions, f"t{positions}")
        if case.primitive.name == "cast":
            expected = np.asarray(tangents[0])  # a difference of float32 values would only see rounding
        else:
            expected = difference(lambda *a: case.primitive.evaluate(*a, **case.params), case.arrays, tangents)
        if pushed is None:  # no dependence, as x**0
            pushed = np.zeros(case.value.shape, case.value.dtype)
        assert pushed.shape == case.value.shape
        assert pushed.dtype == case.value.dtype
        assert close(pushed, expected, min(case.value.dtype, case.arrays[positions[0]].dtype))


@differentiable
def test_adjoint_identity(case: Case):
    tangents, pushed, g, pulled = rules(case, moving(case))
    pushed = np.zeros_like(g) if pushed is None else pushed
    left = pairing(g, pushed)
    size = float(np.sum(np.abs(in_precision(g, "f8") * pushed)))
    right = 0.0
    for tangent, part, array in zip(tangents, pulled, case.arrays, strict=True):
        if tangent is None:
            assert part is None
            continue
        assert part is not None
        assert part.shape == array.shape
        assert part.dtype == array.dtype
        right += pairing(part, tangent)
        size += float(np.sum(np.abs(in_precision(part, "f8") * tangent)))
    eps = max(float(np.finfo(a.dtype).eps) for a in (g, *[a for a in case.arrays if is_float(a)]))
    assert abs(left - right) <= 16 * eps * size


@one_test_each(by_primitive(MOVING, jvp=transforms.jvp, vjp=transforms.vjp))
def test_rules_on_a_tape_are_the_rules_on_arrays_and_compile(case: Case, mode):
    positions = moving(case)
    tape = mode(tape_of(case), positions).check()
    tangents, pushed, g, pulled = rules_quietly(case, positions)
    extra = [t for t in tangents if t is not None] if mode is transforms.jvp else [g]
    with np.errstate(all="ignore"):
        evaluated = tape.evaluate([*case.arrays, *extra])
        compiled = Program(tape).run([*case.arrays, *extra])
    by_hand = [pushed] if mode is transforms.jvp else [part for part in pulled if part is not None]
    assert all(same_bits(a, b) for a, b in zip(compiled, evaluated, strict=True))
    for found, expected in zip(evaluated[1:], by_hand, strict=True):
        if expected is not None:
            assert same_bits(found, np.asarray(expected))
        assert found.dtype == (case.value.dtype if mode is transforms.jvp else case.arrays[positions[0]].dtype)


def rules_quietly(case: Case, positions):
    with np.errstate(all="ignore"):
        return rules(case, positions)


@differentiable
def test_second_order_against_differences(case: Case):
    """The gradient of <J^T g, t> with respect to the arguments and to g."""
    case = away_from_ties(case)
    positions = moving(case)
    tangents, _, g, _ = rules(case, positions)
    pullback = transforms.vjp(tape_of(case), positions)

    def inner(leaves: list[Any]) -> list[Any]:
        values = inline(leaves[0].builder, pullback, leaves)
        parts = [values[number] for number in pullback.outputs[1:]]
        total = 0.0
        for part, position in zip(parts, positions, strict=True):
            total = total + np.real(np.sum(part * tangents[position]))
        return [total]

    arrays = [*case.arrays, g]
    tape = trace_leaves(inner, arrays)
    wrt = (*positions, len(case.arrays))
    ends = Program(transforms.gradient(tape, wrt)).run(arrays)[1:]
    random = [drawn(rng_of(case.label + "u"), arrays[p].shape, arrays[p].dtype) for p in wrt]
    moves: list[Any] = [None] * len(arrays)
    for position, move in zip(wrt, random, strict=True):
        moves[position] = move
    found = sum(pairing(end, move) for end, move in zip(ends, random, strict=True))
    assert all(end.dtype == arrays[p].dtype for end, p in zip(ends, wrt, strict=True))
    if case.primitive.name == "cast":  # bilinear: <cast(g), t>
        expected: Any = np.sum(np.asarray(moves[1], "f8") * np.asarray(tangents[0], "f8"))
    else:
        wide = trace_leaves(inner, [in_precision(a, "f8") for a in arrays])
        expected = difference(lambda *a: wide.evaluate(a)[0], arrays, moves)
    assert close(found, expected, min(a.dtype for a in arrays if is_float(a)), factor=20)


def test_value_without_derivative_stops_both_modes():
    for primitive in REGISTRY:
        if primitive.jvp is None:
            case = cases_of(primitive)[0]
            tape = tape_of(case)
            wrt = tuple(i for i, a in enumerate(case.arrays) if is_float(a))
            zeros = [np.zeros_like(case.arrays[i]) for i in wrt]
            assert np.count_nonzero(transforms.jvp(tape, wrt).evaluate([*case.arrays, *[z + 1 for z in zeros]])[1]) == 0
            pulled = transforms.vjp(tape, wrt).evaluate([*case.arrays, case.value])[1:]
            assert all(same_bits(a, b) for a, b in zip(pulled, zeros, strict=True))


# ---------------------------------------------------------------------------- the kink table


def both_modes(function, *args: float) -> list[tuple[float, ...]]:
    """The partial derivatives at ``args``, by reverse and by forward mode."""
    everything = tuple(range(len(args)))
    back = gradient(function, argnums=everything)(*args)
    units = [tuple(float(i == j) for j in everything) for i in everything]
    return [tuple(map(float, back)), tuple(float(jvp(function, args, unit)[1]) for unit in units)]


KINKS = [
    ("relu at 0", nn.relu, (0.0,), (0.0,)),
    ("relu at -0", nn.relu, (-0.0,), (0.0,)),
    ("maximum tie", np.maximum, (2.0, 2.0), (0.5, 0.5)),
    ("minimum tie", np.minimum, (2.0, 2.0), (0.5, 0.5)),
    ("maximum of zeros", np.maximum, (0.0, -0.0), (0.5, 0.5)),
    ("abs at 0", np.abs, (0.0,), (0.0,)),
    ("sign at 0", np.sign, (0.0,), (0.0,)),
    ("sqrt at 0", np.sqrt, (0.0,), (math.inf,)),
    ("x**0", lambda x: x**0, (0.0,), (0.0,)),
    ("x**0.0", lambda x: x**0.0, (0.0,), (0.0,)),
    ("power(0, 0)", np.power, (0.0, 0.0), (0.0, 0.0)),
    ("x**1 at 0", lambda x: x**1.0, (0.0,), (1.0,)),
    ("x**2 at 0", lambda x: x**2, (0.0,), (0.0,)),
    ("norm at 0", lambda x, y: np.linalg.norm(np.stack([x, y])), (0.0, 0.0), (0.0, 0.0)),
    ("norm of a scaled 0", lambda x: np.linalg.norm(x * np.ones(3)), (0.0,), (0.0,)),
    ("clip at the lower bound", lambda x: np.clip(x, 1.0, 3.0), (1.0,), (0.5,)),
    ("clip at the upper bound", lambda x: np.clip(x, 1.0, 3.0), (3.0,), (0.5,)),
    ("clip inside", lambda x: np.clip(x, 1.0, 3.0), (2.0,), (1.0,)),
    ("max of a tie of three", lambda x, y, z: np.max(np.stack([x, y, z])), (1.0, 1.0, 1.0), (1 / 3,) * 3),
    ("min of a tie of two", lambda x, y, z: np.min(np.stack([x, y, z])), (1.0, 4.0, 1.0), (0.5, 0.0, 0.5)),
    ("leaky relu at 0", lambda x: nn.leaky_relu(x, 0.1), (0.0,), (0.1,)),
    (
        "max pool: the first of a tie",
        lambda a, b, c: np.sum(nn.max_pool2d(np.reshape(np.stack([a, b, c, b]), (1, 2, 2, 1)), 2)),
        (1.0, 5.0, 5.0),
        (0.0, 1.0, 0.0),
    ),
    (
        "max pool: the first NaN",
        lambda a, b, c: np.sum(nn.max_pool2d(np.reshape(np.stack([a, b, c, b]), (1, 2, 2, 1)), 2)),
        (1.0, math.nan, math.inf),
        (0.0, 1.0, 0.0),
    ),
]


@pytest.mark.parametrize(("function", "point", "slopes"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS])
def test_kink_table(function, point, slopes):
    for found in both_modes(function, *point):
        assert found == slopes


@pytest.mark.parametrize("axis", [0, 1, None])
def test_ties_of_a_reduction_share_equally(axis):
    x = np.array([[2.0, 2.0, 1.0], [2.0, 0.0, 1.0]])
    for reduce, point in ((np.max, x), (np.min, -x)):
        top = reduce(point, axis=axis, keepdims=True)
        weights = (point == top) / np.sum(point == top, axis=axis, keepdims=True)
        assert np.array_equal(gradient(lambda v, f=reduce: np.sum(f(v, axis=axis)))(point), weights)
        value, pullback = vjp(lambda v, f=reduce: f(v, axis=axis), point)
        assert np.array_equal(pullback(np.full_like(value, 3.0))[0], 3 * weights)


def test_shape_rules_refuse_what_does_not_fit():
    wide = Aval((2, 3), np.dtype("f8"))
    with pytest.raises(ValueError, match="3 columns against 2 rows"):
        REGISTRY["matmul"].abstract(wide, wide)
    with pytest.raises(ValueError, match=r"could not be broadcast|mismatch"):
        REGISTRY["add"].abstract(wide, Aval((2,), np.dtype("f8")))
