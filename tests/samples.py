"""Cases for every primitive, drawn from its own record, and helpers that several test modules share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from difflab import nn
from difflab import numpy_functions as numpy_functions  # fills the table of NumPy functions
from difflab.primitives import Primitive
from difflab.primitives.record import OUT, Aval, Operand
from difflab.tape import Tape
from difflab.tracing import trace_leaves

DTYPES = ("float64", "float32")
SHAPES = {1: [((3, 4),), ((),), ((0, 2),)], 2: [((3, 4), (3, 4)), ((2, 1, 3), (4, 1)), ((), (3,)), ((2, 0), (1, 1))]}
EDGES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.5, 0.5, 40.0)


class Case(NamedTuple):
    """A primitive with arguments to try it on; ``ordinary``: inside its domain and away from kinks."""

    label: str
    primitive: Primitive
    arrays: tuple[np.ndarray, ...]
    params: dict[str, Any]
    ordinary: bool

    @property
    def avals(self) -> list[Aval]:
        return [Aval(array.shape, array.dtype) for array in self.arrays]

    @property
    def value(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(self.primitive.evaluate(*self.arrays, **self.params))


def rng_of(label: str) -> np.random.Generator:
    """Random numbers that depend on the label alone."""
    return np.random.default_rng(list(label.encode()))


def is_float(array: Any) -> bool:
    """Whether an array has a derivative: a real or complex one."""
    return np.asarray(array).dtype.kind in "fc"


def in_precision(array: Any, dtype: str) -> np.ndarray:
    """An array in the precision of a real dtype; complex numbers stay complex, integers as they are."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        return array.astype(np.result_type(dtype, np.complex64))
    return array.astype(dtype) if array.dtype.kind == "f" else array


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Random numbers between -1 and 1, with an imaginary part if the dtype has one."""
    numbers = np.asarray(rng.uniform(-1, 1, shape))
    if np.dtype(dtype).kind == "c":
        numbers = numbers + 1j * rng.uniform(-1, 1, shape)
    return np.asarray(numbers).astype(dtype)


def pairing(a: Any, b: Any) -> float:
    """Re(sum(a * b)) in double precision: what a cotangent says of a tangent."""
    return float(np.real(np.sum(in_precision(a, "f8") * np.asarray(b))))


def cases_of(primitive: Primitive, dtype: str = "float64") -> list[Case]:
    """All samples of a record in one dtype: its own, or drawn from its domain, and its special values."""
    found: list[Case] = []
    samples: list[Any] = primitive.samples() if primitive.samples else []
    for number, (arrays, params) in enumerate(samples):
        cast = tuple(in_precision(a, dtype) for a in arrays)
        found.append(Case(f"{primitive.name}-{number}-{dtype}", primitive, cast, params, True))
    if primitive.samples is None and primitive.kind == "elementwise":
        for number, shapes in enumerate(SHAPES[primitive.arity]):
            label = f"{primitive.name}-{number}-{dtype}"
            rng = rng_of(label)
            arrays = [
                rng.uniform(*ends, size=shape).astype(dtype)
                for shape, ends in zip(shapes, primitive.domain, strict=True)
            ]
            if primitive.name.startswith("logical"):
                arrays = [array > 0 for array in arrays]
            found.append(Case(label, primitive, tuple(np.asarray(array) for array in arrays), {}, True))
        if primitive.special:
            points = [point if isinstance(point, tuple) else (point,) for point in primitive.special]
            columns = tuple(np.array(column, dtype) for column in zip(*points, strict=True))
            found.append(Case(f"{primitive.name}-special-{dtype}", primitive, columns, {}, False))
    return found


def all_cases(records: Iterable[Primitive], dtypes: Sequence[str] = DTYPES) -> list[Case]:
    return [case for record in records for dtype in dtypes for case in cases_of(record, dtype)]


def faults(records: Iterable[Primitive]) -> list[str]:
    """What the registry leaves untested or unexplained, one sentence a fault."""
    result = []
    for record in records:
        if not cases_of(record) and not record.excuse:
            result.append(f"{record.name} has no samples, no domain to draw from, and no written excuse")
        if (record.jvp is None) != (record.vjp is None):
            result.append(f"{record.name} has a rule for one mode only")
        if record.jvp is None and not record.excuse:
            result.append(f"{record.name} has no derivative and no written excuse")
    return result


def filled(case: Case, out: np.ndarray, arrays: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """``out`` after the primitive's ``into`` rule ran on it."""
    assert case.primitive.into is not None
    operands = case.arrays if arrays is None else arrays
    call = case.primitive.into(case.avals, **case.params)
    arguments = [operands[a.index] if isinstance(a, Operand) else out if a is OUT else a for a in call.arguments]
    with np.errstate(all="ignore"):
        if call.keyword:
            call.function(*arguments[:-1], out=out)
        else:
            call.function(*arguments)
    return out


def garbage(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array full of bytes that no correct result contains by accident."""
    out = np.empty(shape, dtype)
    out.view(np.uint8).fill(0xA5) if out.shape and out.size else out.fill(77)
    return out


def strided(array: np.ndarray) -> np.ndarray:
    """The same numbers, every second element of a larger array and read backwards."""
    if not array.ndim:
        return array
    wide = np.repeat(array[..., ::-1], 2, axis=-1)
    return wide[..., ::-2]


def same_bits(a: Any, b: Any) -> bool:
    """Equal dtype, shape and bits; any NaN equals any other NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    nan = np.isnan(a)
    return bool(np.array_equal(nan, np.isnan(b)) and np.array_equal(np.signbit(a[~nan]), np.signbit(b[~nan]))) and bool(
        np.array_equal(a[~nan], b[~nan])
    )


def agree(found: list[Any], expected: list[Any]) -> bool:
    return len(found) == len(expected) and all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


def nearly(found: list[Any], expected: list[Any]) -> bool:
    """Equal up to the rounding of sums by product, which the plan may choose in derivative equations."""
    for a, b in zip(found, expected, strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype) or not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return False
        finite = np.isfinite(a)
        scale = np.max(np.abs(b[finite]), initial=0.0)
        if not np.allclose(a[finite], b[finite], rtol=1e-5, atol=1e-5 * scale):
            return False
    return True


def no_aliases(results: list[Any], inputs: list[Any]) -> None:
    """Results are arrays of their own: they share no memory with inputs or with each other."""
    for position, result in enumerate(results):
        assert isinstance(result, np.ndarray | np.generic)
        if isinstance(result, np.ndarray):
            assert result.flags.writeable
            for other in [*inputs, *results[:position]]:
                assert not np.shares_memory(result, other)


def moving(case: Case) -> tuple[int, ...]:
    """Positions of the arguments that the primitive can be differentiated in."""
    if case.primitive.vjp is None:
        return ()
    wanted = tuple(is_float(array) for array in case.arrays)
    with np.errstate(all="ignore"):
        parts = case.primitive.vjp(case.value, case.value, *case.arrays, wanted=wanted, **case.params)
    return tuple(position for position, part in enumerate(parts) if part is not None)


def directions(case: Case, positions: Sequence[int], label: str = "t") -> tuple[np.ndarray | None, ...]:
    """A random tangent for each of ``positions``."""
    rng = rng_of(case.label + label)
    draws = [drawn(rng, array.shape, array.dtype) for array in case.arrays]
    return tuple(draw if position in positions else None for position, draw in enumerate(draws))


def traced(function: Callable, *leaves: Any) -> Tape:
    """The tape of a function with one output or a list of them."""

    def run(inputs: list[Any]) -> list[Any]:
        result = function(*inputs)
        return result if isinstance(result, list) else [result]

    return trace_leaves(run, leaves)


def tape_of(case: Case) -> Tape:
    """The tape of the primitive with all its arrays as inputs."""
    return trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], case.arrays)


def central(function: Callable[[float], np.ndarray], scale: float = 1.0) -> np.ndarray:
    """d/dh of ``function`` at 0 in float64, by two central differences and Richardson's extrapolation."""
    h = 1e-3 * scale
    first = (function(h) - function(-h)) / (2 * h)
    second = (function(h / 2) - function(-h / 2)) / h
    return (4 * second - first) / 3


def difference(function: Callable[..., Any], arrays: Sequence[Any], tangents: Sequence[Any]) -> np.ndarray:
    """The directional derivative of a plain function, in float64; ``None`` stands for an argument that stays."""
    wide = [in_precision(a, "f8") for a in arrays]

    def at(h: float) -> np.ndarray:
        moved = [a if t is None else a + h * in_precision(t, "f8") for a, t in zip(wide, tangents, strict=True)]
        return in_precision(function(*moved), "f8")

    return central(at)


def close(found: Any, expected: Any, dtype: Any, factor: float = 1.0) -> bool:
    """Whether two arrays agree to ``factor`` times the rounding of differences (float64) or of the dtype."""
    tolerance = factor * (2e-8 if np.finfo(dtype).eps < 1e-10 else 2e-5)
    expected = np.asarray(expected)
    scale = float(np.max(np.abs(expected), initial=0.0))
    return np.shape(found) == expected.shape and bool(np.all(np.abs(found - expected) <= tolerance * (1 + scale)))


# ---------------------------------------------------------------------------- drawn compositions

UNARY: tuple[Callable[[Any], Any], ...] = (
    np.sin,
    np.negative,
    np.abs,
    np.sqrt,
    np.exp,
    nn.relu,
    lambda x: x**3,
    lambda x: x * 1.0 / 1,
    lambda x: 0.0 * x,
    lambda x: x.astype("float32"),
    lambda x: x.T,
    lambda x: x.reshape(-1),
    lambda x: x[::-1] if x.ndim else x,
    lambda x: x[1:] if x.ndim else x,
    lambda x: x[..., None],
    lambda x: np.broadcast_to(x, (2, *x.shape)) if x.ndim < 3 else x,
    lambda x: np.sum(x, axis=0) if x.ndim else np.sum(x),
    lambda x: np.sum(x, axis=-1, keepdims=True) if x.ndim else np.sum(x),
    lambda x: np.mean(x),
    lambda x: np.max(x) if x.size else x,
    lambda x: np.pad(x, 1),
    lambda x: x[[0, -1, 0]] if x.ndim and x.shape[0] else x,
)
BINARY: tuple[Callable[[Any, Any], Any], ...] = (
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.maximum,
    lambda a, b: np.where(a > b, a, b - 1),
    lambda a, b: a * b + a * b,
    lambda a, b: np.concatenate([np.ravel(a), np.ravel(b)]),
    lambda a, b: a * np.sum(b),
)
CUBE, MEAN = 6, 18  # places in UNARY
Steps = list[tuple[int, int, int]]


def compose(steps: Steps, leaves: Sequence[Any]) -> list[Any]:
    """A function made of drawn numbers: each step applies one operation to values made before; all are bounded."""
    values = list(leaves)
    for operation, first, second in steps:
        a, b = values[first % len(values)], values[second % len(values)]
        if operation < len(UNARY):
            result = UNARY[operation](a)
        else:
            function = BINARY[(operation - len(UNARY)) % len(BINARY)]
            fits = all(m == n or 1 in (m, n) for m, n in zip(a.shape[::-1], b.shape[::-1], strict=False))
            result = function(a, b if fits else np.sum(b))
        if math.prod(result.shape) <= 200:
            values.append(result)
    return values[-3:]


LEAVES = ((3, 4), (4,), (), (1, 4), (0, 4))


def leaves_of(label: str, dtype: str = "float64") -> list[np.ndarray]:
    """Example arguments for ``compose``, with zeros of both signs and ties among them."""
    return [np.asarray(np.round(rng_of(label).standard_normal(shape), 1)).astype(dtype) for shape in LEAVES]


def determined(name: str, case: Any, value: Any) -> np.ndarray:
    """A value without what libraries choose as they like: signs, phases and the order of eigenvalues.

    Of a decomposition that is the product of its factors, and the products of its vectors with each other.
    """
    if name not in ("eig", "eigh", "eigvals", "qr", "svd"):
        return value
    if name == "eigvals":
        return np.take_along_axis(value, np.lexsort((value.imag, value.real.round(3))), axis=-1)
    *stack, m, n = case.arrays[0].shape
    k = m if name in ("eig", "eigh") or case.params.get("full") or case.params.get("complete") else min(m, n)
    if name in ("eig", "eigh"):
        values, first = value[..., :n], value[..., n:].reshape(*stack, n, n)
        second = np.linalg.inv(first)
    elif name == "svd":
        s = min(m, n)
        values, second = value[..., :s], value[..., s + m * k :].reshape(*stack, -1, n)[..., :s, :]
        first = value[..., s : s + m * k].reshape(*stack, m, k)[..., :s]
    else:
        first, second = value[..., : m * k].reshape(*stack, m, k), value[..., m * k :].reshape(*stack, k, n)
        values = np.ones((*stack, k), value.dtype)
    # lengths alone, for neither the order nor the phases of eigenvectors are given
    own = np.swapaxes(first.conj(), -1, -2) @ first
    lengths = np.diagonal(own, axis1=-2, axis2=-1)
    angles = own if name != "eig" else np.zeros_like(own)
    parts = ((first * values[..., None, :]) @ second, angles, lengths[..., None])
    return np.concatenate([part.reshape(*stack, -1) for part in parts], axis=-1)
