"""Checks of a primitive: its value, its shape rule, its derivative rules, its batching rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import transforms
from ..errors import InputError
from ..execution.program import Program
from ..own_primitives import OwnPrimitive
from ..primitives.complexes import real_dtype
from ..primitives.record import OUT, Aval, Operand, Primitive
from ..tape import show
from ..tracing import trace_leaves
from ..transforms.batch import batch
from ..transforms.inline import inline
from .faults import Faults, Report, near, same_bits

LANES = 3


class Case(NamedTuple):
    """A primitive at one sample in one precision; ``moving``: the arguments that have derivatives."""

    primitive: Primitive
    label: str
    arrays: tuple[np.ndarray, ...]
    params: dict[str, Any]
    moving: tuple[int, ...]
    tolerance: float
    argument: Callable[[int], str]

    def value(self, *arrays: Any) -> np.ndarray:
        """The value at some arrays."""
        return np.asarray(self.primitive.evaluate(*arrays, **self.params))

    def random(self, like: Any, key: str) -> np.ndarray:
        """Numbers between -1 and 1 that depend on the case and the key alone."""
        rng = np.random.default_rng(list(f"{self.label} {key}".encode()))
        found = rng.uniform(-1, 1, like.shape)
        if like.dtype.kind == "c":
            found = found + 1j * rng.uniform(-1, 1, like.shape)
        return np.asarray(found).astype(like.dtype)


def check_primitive(
    primitive: Any, *samples: Any, dtypes: Sequence[str] = ("float64", "float32"), differences: bool = True
) -> Report:
    """Check everything that difflab asks of a primitive, and name all faults.

    The value against the shape rule, again for the same answer, and for inputs left alone; the buffer rule; the JVP
    against central differences; the JVP and VJP against each other; the second order against differences of the first
    (unless the primitive is opaque); compiled programs against evaluation; many lanes against one after the other.

    Args:
        primitive: what ``difflab.primitive`` made, or a ``Primitive`` record.
        samples: tuples of arrays, or ``(arrays, metadata)``, away from kinks; by default the record's own.
        dtypes: precisions in which floating samples are tried.
        differences: whether the derivative is that of the function; ``False`` for one that differs on purpose.

    Returns:
        A ``Report``.

    Raises:
        CheckError: an ``AssertionError`` that lists all faults, one sentence each.
        InputError: there is nothing to try it on.

    Example:
        >>> import numpy as np, difflab as dl
        >>> @dl.primitive
        ... def cube(x):
        ...     return x * x * x
        >>> rule = cube.vjp(lambda cotangent, out, x: (cotangent * x * x,))
        >>> check_primitive(cube, (np.array([1.0, 2.0]),), dtypes=["float64"])
        Traceback (most recent call last):
        ...
        difflab.testing.faults.CheckError: the primitive difflab.testing.primitives:cube has 1 fault:
        - the derivative in x differs from central differences: along a random direction the rule gives ...
    """
    opaque = isinstance(primitive, OwnPrimitive) and primitive.opaque
    record: Primitive = primitive.records[""] if isinstance(primitive, OwnPrimitive) else primitive
    if not isinstance(record, Primitive):
        raise InputError(f"check_primitive is given a primitive, not {type(primitive).__name__}")
    given = list(samples) or (record.samples() if record.samples is not None else [])
    if not given:
        raise InputError(f"check_primitive of {record.name}: give samples, tuples of arrays to try it on")
    faults = Faults(f"the primitive {record.name}")
    for number, sample in enumerate(given):
        arrays, params = sample if _has_params(sample) else (sample, {})
        name: Callable[[int], str] = "args[{}]".format
        if isinstance(primitive, OwnPrimitive):
            arrays, params = primitive.bound(tuple(arrays), params)
            name = primitive.argument
        for dtype in dtypes:
            case = _case(record, f"sample {number}, {dtype}", arrays, params, dtype, name)
            value = None
            with faults.during(f"the value ({case.label})"):
                value = _value(faults, case)
            if record.jvp is None and record.vjp is None:
                faults.expect(record.excuse, "it has no derivative and no written excuse")
                continue
            if value is None or not case.moving or value.dtype.kind not in "fc":
                continue
            with faults.during(f"the JVP rule ({case.label})"):
                _tangents(faults, case, differences)
            with faults.during(f"the VJP rule ({case.label})"):
                _cotangents(faults, case)
            with faults.during(f"a compiled derivative ({case.label})"):
                _compiled(faults, case)
            if opaque:
                faults.left_out["second order: the primitive is opaque"] = None
            else:
                with faults.during(f"the second order ({case.label})"):
                    _second_order(faults, case)
            with faults.during(f"the batching rule ({case.label})"):
                _lanes(faults, case)
    return faults.report()


def _has_params(sample: Any) -> bool:
    return len(sample) == 2 and isinstance(sample[0], tuple | list) and isinstance(sample[1], dict)


def _case(
    record: Primitive, label: str, arrays: Sequence[Any], params: dict, dtype: str, name: Callable[[int], str]
) -> Case:
    def cast(array: Any) -> np.ndarray:
        array = np.asarray(array)
        if array.dtype.kind == "c":
            return array.astype(np.result_type(dtype, np.complex64))
        return array.astype(dtype) if array.dtype.kind == "f" else array

    found = tuple(map(cast, arrays))
    moving = tuple([i for i, array in enumerate(found) if array.dtype.kind in "fc"])
    return Case(record, label, found, params, moving, 2e-7 if np.finfo(dtype).eps < 1e-10 else 2e-4, name)


def _value(faults: Faults, case: Case) -> np.ndarray:
    where = f"({case.label})"
    record, arrays = case.primitive, [array.copy() for array in case.arrays]
    value = case.value(*arrays)
    expected = record.abstract(*[Aval(a.shape, a.dtype) for a in arrays], **case.params)
    found = Aval(value.shape, value.dtype)
    faults.expect(
        (found.shape, found.dtype) == (expected.shape, expected.dtype),
        f"the shape rule says {show(expected)} and the value is {show(found)} {where}",
    )
    faults.expect(all(map(same_bits, arrays, case.arrays)), f"the function writes into its arguments {where}")
    kept = value.copy()
    again = case.value(*arrays)
    faults.expect(same_bits(again, kept), f"the function gives another value for the same arguments {where}")
    if value.size and not record.view:
        shared = [i for i, array in enumerate(arrays) if np.shares_memory(value, array)]
        faults.expect(not shared, f"the value shares memory with argument {shared[:1]} {where}")
        faults.expect(not np.shares_memory(value, again), f"two values share memory {where}")
    if value.dtype.kind in "fc":
        faults.expect(not np.isnan(value).any(), f"the value is NaN at an ordinary sample {where}")
        if case.moving:
            widest = real_dtype(np.result_type(*[arrays[i].dtype for i in case.moving]))
            faults.expect(
                np.can_cast(real_dtype(value.dtype), widest),
                f"arguments of {widest} precision give a value of {value.dtype} {where}; cast the result to their "
                "dtype, or leave this precision out with dtypes=",
            )
    tape = trace_leaves(lambda leaves: [record(*leaves, **case.params)], arrays).check()
    faults.expect(same_bits(Program(tape).run(arrays)[0], kept), f"a compiled program gives another value {where}")
    if record.into is not None:
        call = record.into([Aval(a.shape, a.dtype) for a in arrays], **case.params)
        out = np.empty(value.shape, value.dtype)
        out.view(np.uint8).fill(0xA5) if out.size and out.shape else out.fill(77)
        filled = [arrays[a.index] if isinstance(a, Operand) else out if a is OUT else a for a in call.arguments]
        call.function(*filled[:-1], out=out) if call.keyword else call.function(*filled)
        faults.expect(same_bits(out, kept), f"the buffer rule fills in another value {where}")
    return kept


def _kind(array: np.ndarray) -> str:
    return show(Aval(array.shape, array.dtype))


def central(function: Callable[[float], Any]) -> np.ndarray:
    """The derivative of ``function`` at 0 by two central differences and Richardson's extrapolation."""
    h = 1e-3
    first = (function(h) - function(-h)) / (2 * h)
    second = (function(h / 2) - function(-h / 2)) / h
    return (4 * second - first) / 3


def _moved(arrays: Sequence[Any], tangents: Sequence[Any], h: float) -> list[Any]:
    wide = [a.astype(np.result_type(a.dtype, "f8")) if a.dtype.kind in "fc" else a for a in arrays]
    return [a if t is None else a + h * t for a, t in zip(wide, tangents, strict=True)]


def _tangents(faults: Faults, case: Case, differences: bool) -> None:
    where, rule, y = f"({case.label})", case.primitive.jvp, case.value(*case.arrays)
    assert rule is not None
    for place in case.moving:
        name = case.argument(place)
        tangents: list[Any] = [None] * len(case.arrays)
        tangents[place] = case.random(case.arrays[place], "t")
        found = rule(tuple(tangents), y, *case.arrays, **case.params)
        if found is None:
            found = np.zeros(y.shape, y.dtype)
        found = np.asarray(found)
        faults.expect(
            (found.shape, found.dtype) == (y.shape, y.dtype),
            f"the JVP gives {_kind(found)} for a value of {_kind(y)} in {name} {where}",
        )
        if differences:
            expected = central(lambda h, t=tangents: case.value(*_moved(case.arrays, t, h)))
            faults.expect(
                near(found, expected, case.tolerance),
                f"the derivative in {name} differs from central differences: {_apart(found, expected)} {where}",
            )


def _apart(found: np.ndarray, expected: np.ndarray) -> str:
    """The entries of two arrays that differ most, along the direction that was tried."""
    if found.shape != expected.shape or not found.size:
        return f"its shape is {found.shape}, not {expected.shape}"
    worst = np.unravel_index(np.argmax(np.nan_to_num(np.abs(found - expected), nan=np.inf)), found.shape)
    return f"along a random direction the rule gives {found[worst]:.6g} and they give {expected[worst]:.6g}"


def _cotangents(faults: Faults, case: Case) -> None:
    where, y = f"({case.label})", case.value(*case.arrays)
    push, pull = case.primitive.jvp, case.primitive.vjp
    assert push is not None
    assert pull is not None
    g = case.random(y, "g")
    for place in case.moving:
        name = case.argument(place)
        wanted = tuple([i == place for i in range(len(case.arrays))])
        before = [array.copy() for array in (g, y, *case.arrays)]
        parts = pull(g, y, *case.arrays, wanted=wanted, **case.params)
        faults.expect(
            len(parts) == len(wanted), f"the VJP gives {len(parts)} cotangents for {len(wanted)} arguments {where}"
        )
        faults.expect(
            all(part is None for part, want in zip(parts, wanted, strict=False) if not want),
            f"the VJP gives cotangents that are not wanted {where}",
        )
        faults.expect(
            all(map(same_bits, before, (g, y, *case.arrays))), f"a derivative rule writes into its arguments {where}"
        )
        array = case.arrays[place]
        part = np.zeros(array.shape, array.dtype) if parts[place] is None else np.asarray(parts[place])
        if not faults.expect(
            (part.shape, part.dtype) == (array.shape, array.dtype),
            f"the VJP gives {_kind(part)} for {name} of {_kind(array)} {where}",
        ):
            continue
        tangents: list[Any] = [None] * len(case.arrays)
        tangents[place] = case.random(array, "a")
        pushed = push(tuple(tangents), y, *case.arrays, **case.params)
        left = 0.0 if pushed is None else np.sum(np.real(g * pushed), dtype="f8")
        right = np.sum(np.real(part * tangents[place]), dtype="f8")
        size = np.sum(np.abs(part * tangents[place]), dtype="f8") + abs(left)
        eps = float(np.finfo(array.dtype).eps) if array.size else 1.0
        faults.expect(
            abs(left - right) <= 64 * eps * (size + 1.0),
            f"JVP and VJP are not each other's transpose in {name} {where}",
        )


def _compiled(faults: Faults, case: Case) -> None:
    """Derivative programs: as evaluated, fresh, and the same twice."""
    where, y = f"({case.label})", case.value(*case.arrays)
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], case.arrays)
    operands = [*case.arrays, case.random(y, "g")]
    pulled = transforms.vjp(tape, case.moving).check()
    program = Program(pulled)
    first, second = program.run(operands), program.run(operands)
    results = [array for array in first if isinstance(array, np.ndarray) and array.size]
    for number, array in enumerate(results):
        others = [*operands, *results[:number], *second]
        shared = any(isinstance(other, np.ndarray) and np.shares_memory(array, other) for other in others)
        faults.expect(not shared, f"results of a compiled derivative share memory {where}")
    faults.expect(
        all(map(same_bits, first, second)), f"a compiled derivative gives another answer the second time {where}"
    )
    expected = pulled.evaluate(operands)
    near_all = all(near(a, b, case.tolerance) for a, b in zip(first, expected, strict=True))
    faults.expect(near_all, f"a compiled derivative differs from its evaluation {where}")


def _second_order(faults: Faults, case: Case) -> None:
    """The gradient of <J^T g, t> against differences of it."""
    where, y = f"({case.label})", case.value(*case.arrays)
    if any(array.dtype.kind == "c" for array in (y, *case.arrays)):
        faults.left_out["second order of complex samples"] = None
        return
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], case.arrays)
    pullback = transforms.vjp(tape, case.moving)
    along = [case.random(case.arrays[place], f"t{place}") for place in case.moving]

    def inner(leaves: list[Any]) -> list[Any]:
        values = inline(leaves[0].builder, pullback, leaves)
        total: Any = 0.0
        for number, tangent in zip(pullback.outputs[1:], along, strict=True):
            total = total + np.sum(values[number] * tangent)
        return [total]

    operands = [*case.arrays, case.random(y, "g")]
    twice = trace_leaves(inner, operands)
    gradients = transforms.gradient(twice, case.moving).evaluate(operands)[1:]
    for place, found in zip(case.moving, gradients, strict=True):
        move = case.random(case.arrays[place], f"u{place}")
        tangents = [move if i == place else None for i in range(len(operands))]
        wide = trace_leaves(inner, _moved(operands, [None] * len(operands), 0.0))
        expected = central(lambda h, w=wide, t=tangents: np.asarray(w.evaluate(_moved(operands, t, h))[0]))
        faults.expect(
            near(np.sum(found * move, dtype="f8"), expected, 20 * case.tolerance * max(1, y.size)),
            f"the second derivative differs from differences of the first in {case.argument(place)} {where}",
        )


def _lanes(faults: Faults, case: Case) -> None:
    """All lanes at once against one after the other, for every choice of arguments that carry lanes."""
    where = f"({case.label})"
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], case.arrays)
    for flags in itertools.product((False, True), repeat=len(case.arrays)):
        if not any(flag and array.dtype.kind in "fc" for flag, array in zip(flags, case.arrays, strict=True)):
            continue
        rows = [_lane(case, flags, lane) for lane in range(LANES)]
        operands = [
            np.stack([row[i] for row in rows]) if flag else array
            for i, (flag, array) in enumerate(zip(flags, case.arrays, strict=True))
        ]
        together = batch(tape, flags, LANES).evaluate(operands)[0]
        apart = np.stack([case.value(*row) for row in rows])
        faults.expect(
            together.dtype == apart.dtype and near(together, apart, case.tolerance),
            f"the batching rule gives something else than lane by lane for lanes in {flags} {where}",
        )


def _lane(case: Case, flags: Sequence[bool], lane: int) -> list[np.ndarray]:
    """The arguments of one lane: slightly larger ones from lane to lane."""
    return [
        (array * (1 + lane / 1024)).astype(array.dtype) if flag and array.dtype.kind in "fc" else array
        for flag, array in zip(flags, case.arrays, strict=True)
    ]
