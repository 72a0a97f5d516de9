"""One function checked in every way: value, dtype, both modes, second order, lanes; for real and complex arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import samples
from samples import central, pairing, rng_of

from difflab import transforms
from difflab.execution.program import Program
from difflab.primitives.record import Primitive
from difflab.tracing import trace_leaves
from difflab.transforms.inline import inline


def drawn(label: str, shape: tuple[int, ...], dtype: Any = "f8") -> np.ndarray:
    """Random numbers between -1 and 1 that depend on the label alone; complex ones in the square around 0."""
    return samples.drawn(rng_of(label), shape, dtype)


def like(label: str, arrays: Sequence[Any]) -> list[np.ndarray]:
    return [drawn(f"{label}{k}", array.shape, array.dtype) for k, array in enumerate(arrays)]


def paired(first: Sequence[Any], second: Sequence[Any]) -> float:
    """The real part of the sum of all products: what cotangents and tangents agree about."""
    return sum(pairing(a, b) for a, b in zip(first, second, strict=True))


def moved(function: Callable, arrays: Sequence[Any], tangents: Sequence[Any]) -> np.ndarray:
    """The directional derivative of a plain function by differences."""
    return central(lambda h: np.asarray(function(*[a + h * t for a, t in zip(arrays, tangents, strict=True)])))


def near(found: Any, expected: Any, tolerance: float) -> None:
    scale = 1 + float(np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def values(function: Callable, *arrays: Any) -> Any:
    """The value of the traced function."""
    tape = trace_leaves(lambda leaves: [leaves[0].builder.lift(function(*leaves))], arrays)
    return tape.evaluate(arrays)[0]


def gradient(function: Callable, a: Any) -> Any:
    """The gradient of a function of one array."""
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [a])
    return Program(transforms.gradient(tape, (0,))).run([a])[1]


def check(function: Callable, *arrays: Any, second: bool = True, tolerance: float = 2e-8) -> None:
    """Value, dtype and shape of NumPy; tangents of differences; cotangents of the adjoint identity; second order."""
    arrays = tuple(map(np.asarray, arrays))
    everything = range(len(arrays))
    tape = trace_leaves(lambda leaves: [function(*leaves)], arrays).check()
    expected, (value,) = np.asarray(function(*arrays)), Program(tape).run(arrays)
    assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
    near(value, expected, 1e-12)
    g, tangents = drawn("g", value.shape, value.dtype), like("t", arrays)
    pushed = Program(transforms.jvp(tape, everything)).run([*arrays, *tangents])[1]
    pulled = Program(transforms.vjp(tape, everything)).run([*arrays, g])[1:]
    assert (pushed.dtype, pushed.shape) == (value.dtype, value.shape)
    assert [(p.dtype, p.shape) for p in pulled] == [(a.dtype, a.shape) for a in arrays]
    near(pushed, moved(function, arrays, tangents), tolerance)
    near(paired(pulled, tangents), paired([g], [pushed]), 1e-10)
    if second:
        check_second_order(tape, arrays, g, tangents, 20 * tolerance)


def check_second_order(tape: Any, arrays: Sequence[Any], g: Any, tangents: Sequence[Any], tolerance: float) -> None:
    """The gradient of <pullback(g), tangents> against differences of the same."""
    pullback = transforms.vjp(tape, range(len(arrays)))

    def along(leaves: list[Any]) -> list[Any]:
        values = inline(leaves[0].builder, pullback, [*leaves, leaves[0].builder.lift(g)])
        parts = [values[number] for number in pullback.outputs[1:]]
        return [sum(np.sum(np.real(part * t)) for part, t in zip(parts, tangents, strict=True))]

    scalar = trace_leaves(along, list(arrays))
    ends = Program(transforms.gradient(scalar, range(len(arrays)))).run(list(arrays))[1:]
    moves = like("u", arrays)
    near(paired(ends, moves), moved(lambda *xs: scalar.evaluate(xs)[0], arrays, moves), tolerance)


def keeps_float32(function: Callable, *arrays: Any) -> None:
    """Value, tangent and cotangents stay in single precision."""
    arrays = tuple(np.asarray(a).astype("c8" if np.iscomplexobj(a) else "f4") for a in arrays)
    tape = trace_leaves(lambda leaves: [function(*leaves)], arrays).check()
    everything = range(len(arrays))
    tapes = [transforms.jvp(tape, everything), transforms.vjp(tape, everything)]
    made = {one.avals[equation.output].dtype.char for one in tapes for equation in one.equations}
    assert not made & {"d", "D"}
    assert Program(tape).run(arrays)[0].dtype == np.asarray(function(*arrays)).dtype


def check_lanes(primitive: Primitive, arrays: Sequence[Any], flags: Sequence[bool], params: dict[str, Any]) -> None:
    """The batching rule against a loop over three lanes, with and without lanes per operand."""
    assert primitive.batch is not None
    lanes = [np.stack([a, 1.1 * a, a + 0.1 * np.sign(a)]) if f else a for a, f in zip(arrays, flags, strict=True)]
    found = primitive.batch(3, tuple(flags), *lanes, **params)
    single = [[op[lane] if f else op for op, f in zip(lanes, flags, strict=True)] for lane in range(3)]
    near(found, np.stack([primitive.evaluate(*ops, **params) for ops in single]), 1e-12)
