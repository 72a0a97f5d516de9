"""NumPy's functions on traced arrays: the same value, dtype and shape as NumPy's, right gradients, clear refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import calls
import numpy as np
import pytest
from grouped import one_test_each
from hypothesis import given
from hypothesis import strategies as st
from samples import DTYPES, close, difference, rng_of, same_bits

from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.operators import gradient
from difflab.promotion import FUNCTIONS, REDUCTIONS, UFUNCS
from difflab.tracing import trace_leaves

ROWS = np.array([2, 0, 2, -1])
FLAG: Any = 1  # what is true without being True

# Each line is a function of x (3, 4), y (3, 4), v (4,), s () and is run on plain and on traced arrays alike.
CALLS: dict[str, Callable[..., Any]] = {
    **calls.CALLS,
    # operators, reflected operators, numbers
    "+": lambda x, y, v, s: x + y + v + s + 1 + 2.5,
    "radd": lambda x, y, v, s: 1 + (2.5 + x),
    "-": lambda x, y, v, s: x - v - 1 - 0.5,
    "rsub": lambda x, y, v, s: 1 - (0.5 - x),
    "*": lambda x, y, v, s: x * y * v * s * 2 * 0.25,
    "rmul": lambda x, y, v, s: 3 * (0.1 * x),
    "/": lambda x, y, v, s: x / y / 3 / 0.7,
    "rdiv": lambda x, y, v, s: 1 / x + 0.5 / y,
    "neg pos abs": lambda x, y, v, s: -x + (+y) - abs(v - 1),
    "**2": lambda x, y, v, s: x**2 + x**1 + x**0,
    "**3": lambda x, y, v, s: x**3 + x**-1 + x**-2,
    "**2.0": lambda x, y, v, s: x**2.0 + x**0.5 + x**-1.5,
    "**y": lambda x, y, v, s: x**y,
    "rpow": lambda x, y, v, s: 2.0**x + 3**v,
    "@": lambda x, y, v, s: x @ v + (v @ y.T) @ (x @ y.T),
    "plain @": lambda x, y, v, s: np.ones((2, 3), x.dtype) @ x,
    "plain left": lambda x, y, v, s: np.arange(4, dtype=v.dtype) * v - np.arange(12, dtype=x.dtype).reshape(3, 4) / x,
    "plain scalars": lambda x, y, v, s: x.dtype.type(2) * x + x * x.dtype.type(3),
    "integer array": lambda x, y, v, s: np.arange(4) * v + v**np.arange(4),
    "float64 array": lambda x, y, v, s: np.linspace(0, 1, 4) * v,
    "boolean array": lambda x, y, v, s: np.array([True, False, True, True]) * v + v * True,
    "comparison times": lambda x, y, v, s: (x > 1) * y + (x <= v) * 2.0 + (1 > y),
    "python sum": lambda x, y, v, s: sum(v) + sum(row @ v for row in x),
    # reductions
    "sum": lambda x, y, v, s: np.sum(x) + x.sum() + np.add.reduce(x).sum(),
    "sum axis": lambda x, y, v, s: np.sum(x, 0) + np.sum(y, axis=-2) + x.sum(axis=0, keepdims=True),
    "sum axes": lambda x, y, v, s: np.sum(x, axis=(0, -1)) + np.sum(x, axis=()) + np.sum(y, (1, 0), keepdims=True),
    "sum dtype": lambda x, y, v, s: np.sum(x, dtype="float64"),
    "sum of booleans": lambda x, y, v, s: np.sum(x > 1) * s + np.mean(x > 1, axis=0) * v,
    "add.reduce": lambda x, y, v, s: np.add.reduce(x, axis=1) + np.add.reduce(y, 1, keepdims=True)[:, 0],
    "max": lambda x, y, v, s: np.max(x) + x.max(1) + np.amax(y, axis=-1) + np.maximum.reduce(x, axis=1),
    "min": lambda x, y, v, s: np.min(x, keepdims=True) + x.min(0) + np.amin(y, 0) + np.minimum.reduce(x),
    "mean": lambda x, y, v, s: np.mean(x) + x.mean(0) + np.mean(y, axis=(0, 1), keepdims=True)[0, 0],
    "mean flags": lambda x, y, v, s: np.mean(x, 0, keepdims=FLAG) + np.var(x, axis=-1, keepdims=FLAG),
    "mean dtype": lambda x, y, v, s: np.mean(x, dtype=np.float64, axis=1),
    "var": lambda x, y, v, s: np.var(x) + x.var(0) + np.var(y, axis=0, ddof=1) + np.var(x, 0, keepdims=True),
    "std": lambda x, y, v, s: np.std(x) + x.std(axis=1, keepdims=True) + np.std(y, ddof=1),
    "norm": lambda x, y, v, s: np.linalg.norm(v) + np.linalg.norm(x, axis=0, keepdims=True) + np.linalg.norm(y, "fro"),
    "norm of order": lambda x, y, v, s: np.linalg.norm(v, 2) + np.linalg.norm(x, ord=2, axis=1).sum(),
    # shape
    "reshape": lambda x, y, v, s: np.reshape(x, (4, 3)) + y.reshape(-1, 3) + x.reshape((2, 2, 3))[0, 0],
    "reshape method": lambda x, y, v, s: x.reshape(12)[1] + x.reshape(-1)[2] + np.reshape(s, (1, 1)),
    "ravel": lambda x, y, v, s: np.ravel(x) + y.ravel() + x.flatten(),
    "transpose": lambda x, y, v, s: np.transpose(x) + y.T + x.transpose(1, 0) + y.transpose((1, 0)) + x.transpose(),
    "permute_dims": lambda x, y, v, s: np.permute_dims(x[None], (2, 0, 1)) + np.transpose(y[None], axes=[-1, 0, 1]),
    "swapaxes": lambda x, y, v, s: np.swapaxes(x, 0, -1) + x.swapaxes(1, 0),
    "moveaxis": lambda x, y, v, s: np.moveaxis(x[None], 0, -1) + np.moveaxis(y[None], [0, 1], [2, 0]),
    "expand_dims": lambda x, y, v, s: np.expand_dims(v, (0, -1))[0, :, 0] + np.expand_dims(v, -1).T,
    "squeeze": lambda x, y, v, s: np.squeeze(x[None]) + np.squeeze(y[:, None], 1) + x[None].squeeze(axis=(0,)),
    "broadcast_to": lambda x, y, v, s: np.broadcast_to(v, (3, 4)) * x + np.broadcast_to(s, [3, 4]),
    "concatenate": lambda x, y, v, s: np.concatenate([x, y]) @ v + np.concatenate((x, y), axis=None)[:6],
    "concatenate mixed": lambda x, y, v, s: np.concatenate([x, np.ones((3, 1), x.dtype), y], axis=-1),
    "stack": lambda x, y, v, s: np.stack([x, y, np.zeros((3, 4), x.dtype)], axis=1) + np.stack((v, v), -1).T[0],
    "stack scalars": lambda x, y, v, s: np.stack([s, v[0], x[1, 2]]) * np.stack([x[0, 0], y[1, 1], s]),
    "vstack hstack": lambda x, y, v, s: np.vstack([x, v]) @ np.hstack([v, v])[:4] + np.hstack((x, y))[0, 4:],
    "numbers among arrays": lambda x, y, v, s: np.stack([s, 2.0, 1]) + np.hstack([s, s, 0.5]),
    "hstack scalars": lambda x, y, v, s: np.hstack([s, v, s]),
    "pad": lambda x, y, v, s: np.pad(x, 1) + np.pad(y, ((1, 1), (2, 0))) + np.pad(v, (0, 2)),
    "flip": lambda x, y, v, s: np.flip(x) + np.flip(y, 0) + np.flip(x, axis=(0, -1)),
    "shape ndim size": lambda x, y, v, s: x * np.shape(x)[0] + np.ndim(x) + np.size(x, 1) * len(x) - np.size(x),
    "like": lambda x, y, v, s: np.zeros_like(x) + np.ones_like(y) * np.full_like(v, 1, dtype="f8"),
    "like traced": lambda x, y, v, s: np.full_like(v, s) + np.full_like(x, s, "f8") + np.zeros_like(v, shape=4),
    "copy": lambda x, y, v, s: np.copy(x) + y.copy(),
    "iteration": lambda x, y, v, s: np.stack([row * i for i, row in enumerate(x)]),
    # indexing
    "integers": lambda x, y, v, s: x[1, 2] + x[-1, -4] + v[np.int64(3)] + x[0][1],
    "slices": lambda x, y, v, s: x[1:, ::2] + y[:-1, 1::2] + x[::-2][:, :2] + v[-2:],
    "backwards": lambda x, y, v, s: x[::-1, ::-1] + v[3:None:-1] + v[2::-1][[0]] + x[-1:-4:-1],
    "nothing": lambda x, y, v, s: np.sum(v[4:2]) + np.sum(v[-9::-1]) + np.sum(x[2:0, 1:]) + v[[]].sum() + s,
    "ellipsis and new axes": lambda x, y, v, s: x[..., 0] + y[:, None, 1, ...].T + x[..., None, :][0, 0, 0] + s[...],
    "index arrays": lambda x, y, v, s: v[ROWS] + x[[0, 1, 1, 2]].sum(1) + x[:, ROWS].sum(0) + v[np.array(2)],
    "pairs of arrays": lambda x, y, v, s: x[[0, 2, 2, 0], ROWS] + x[1, ROWS] + x[[[0], [2]], ROWS],
    "apart": lambda x, y, v, s: np.stack([x, y])[[0, 1, 1, 0], :, ROWS] + np.stack([x, y])[0, :, ROWS],
    "take": lambda x, y, v, s: np.take(v, ROWS) + np.take(x, (1, 0), axis=0)[0] + x.take(5) + np.take(x, 1, axis=-1)[0],
    # choices
    "where": lambda x, y, v, s: np.where(x > y, x, v) + np.where(x > 1, x, 0.0) + np.where(y > 1, 2, y),
    "where numbers": lambda x, y, v, s: x * np.where(x > 1, 1.0, 0.5) + np.where(x > 1, 1, 3),
    "where plain": lambda x, y, v, s: np.where([True, False, True, False], x, s),
    "clip by name": lambda x, y, v, s: np.clip(x, min=0.5, max=s) + np.clip(x, 1, None) * np.invert(y < 1),
    "clip": lambda x, y, v, s: np.clip(x, 0.8, 1.6) + x.clip(0.9, None) + np.clip(y, None, v),
    "maximum": lambda x, y, v, s: np.maximum(x, y) + np.minimum(x, 1.1) + np.maximum(0.7, v) + np.maximum(x, 1),
    "logical": lambda x, y, v, s: x * (((x > 0.5) & (y < 2)) | ~(x > y)) + x * np.logical_and(x > 1, y > 1),
    "logical or": lambda x, y, v, s: x * np.logical_or(x > 1, np.logical_not(v > 1)) + x * np.bitwise_and(x > 1, True),
    "argmax": lambda x, y, v, s: x[np.argmax(x, 0), np.argmin(y, axis=-1, keepdims=True)[:, 0][[0, 1, 2, 0]]],
    "argmax flat": lambda x, y, v, s: np.ravel(x)[np.argmax(x)] + np.ravel(y)[y.argmin()] + np.argmax(x, keepdims=True),
    "astype": lambda x, y, v, s: x.astype("float32") + np.astype(y, np.float64) + x.astype(int) * v,
    "positive": lambda x, y, v, s: np.positive(x) + np.true_divide(y, 3) + np.power(x, 2) + np.power(2.0, v),
    "isnan": lambda x, y, v, s: np.where(np.isnan(x) | np.isinf(y), 0.0, x) * np.isfinite(y),
    # products
    "matmul": lambda x, y, v, s: np.matmul(x, y.T) @ x + np.matmul(v, v),
    "batches": lambda x, y, v, s: np.stack([x, y]) @ y.T + np.stack([x, y]) @ np.stack([y.T, x.T]),
    "batches of vectors": lambda x, y, v, s: np.stack([x, y]) @ v + v @ np.stack([x.T, y.T]),
    "dot": lambda x, y, v, s: np.dot(x, v) + x.dot(y.T)[:, 0] + np.dot(s, 2.0) + np.dot(x, np.stack([y.T, x.T]))[0, 1],
    "inner outer": lambda x, y, v, s: np.inner(x, y) @ np.outer(v[:3], x) + np.vdot(x, y) + np.inner(s, s) * s,
    "tensordot": lambda x, y, v, s: np.tensordot(x, y) + np.tensordot(x, y.T, 1) + np.tensordot(x, y, ([1], [1])),
    "tensordot of more": lambda x, y, v, s: np.tensordot(x[None], y, ((1, 2), (0, 1))) + np.dot(v, v),
    "tensordot axes": lambda x, y, v, s: np.tensordot(x, y, axes=(0, 0)) + np.tensordot(v, s * v, 0),
}  # fmt: skip
# Sums that NumPy adds up in another order, or with another routine.
ROUNDED = re.compile("norm|@|matmul|batches|dot|inner|rpow|~")


def arguments(dtype: str) -> list[np.ndarray]:
    rng = rng_of("numpy functions")
    return [np.asarray(rng.uniform(0.5, 2.0, shape)).astype(dtype) for shape in ((3, 4), (3, 4), (4,), ())]


@one_test_each({name: {dtype: (name, dtype) for dtype in DTYPES} for name in CALLS})
def test_value_dtype_and_shape_are_those_of_numpy(name: str, dtype: str):
    args = arguments(dtype)
    expected = np.asarray(CALLS[name](*args))
    tape = trace_leaves(lambda leaves: [CALLS[name](*leaves)], args).check()
    (evaluated,), (compiled,) = tape.evaluate(args), Program(tape).run(args)
    assert same_bits(evaluated, compiled) or ROUNDED.search(name)
    assert (compiled.dtype, compiled.shape) == (expected.dtype, expected.shape)
    if ROUNDED.search(name):
        near = 32 * float(np.finfo(dtype).eps)
        # Of a solution LAPACK bounds the error by the whole of it and not by each entry (Users' Guide, section 4.5).
        solved = "lstsq" in name
        np.testing.assert_allclose(
            compiled, expected, rtol=0 if solved else near, atol=near * np.max(np.abs(expected)) if solved else 0
        )
    else:
        assert same_bits(compiled, expected)


@one_test_each({name: {dtype: (name, dtype) for dtype in DTYPES} for name in CALLS})
def test_gradient_against_differences(name: str, dtype: str):
    args = arguments(dtype)
    rng = rng_of(name)
    tape = trace_leaves(lambda leaves: [CALLS[name](*leaves)], args)
    g = np.asarray(rng.uniform(-1, 1, tape.avals[tape.outputs[0]].shape)).astype(tape.avals[tape.outputs[0]].dtype)
    pulled = Program(transforms.vjp(tape, range(4))).run([*args, g])[1:]
    tangents = [np.asarray(rng.uniform(-1, 1, a.shape)).astype(dtype) for a in args]
    pushed = Program(transforms.jvp(tape, range(4))).run([*args, *tangents])[1]
    found = sum(float(np.sum(part.astype("f8") * t)) for part, t in zip(pulled, tangents, strict=True))
    assert all(part.dtype == dtype for part in pulled)
    wide = trace_leaves(lambda leaves: [CALLS[name](*leaves)], [a.astype("f8") for a in args])
    if name != "astype":  # a difference of float32 numbers would only see rounding
        expected = difference(lambda *a: np.sum(g * wide.evaluate(a)[0]), args, tangents)
        assert close(found, expected, dtype, factor=5)
    assert close(found, np.sum(g.astype("f8") * pushed), dtype)
    assert pushed.dtype == g.dtype


def test_every_function_that_is_known_is_called_above(monkeypatch: pytest.MonkeyPatch):
    used: set[Any] = set()

    def spy(key: Any, ours: Callable) -> Callable:
        def run(*args: Any, **kwargs: Any) -> Any:
            used.add(key)
            return ours(*args, **kwargs)

        return run

    tables: list[Any] = [FUNCTIONS, REDUCTIONS]
    for table in tables:
        for key, ours in list(table.items()):
            monkeypatch.setitem(table, key, spy(key, ours))
    for call in CALLS.values():
        trace_leaves(lambda leaves, call=call: [call(*leaves)], arguments("float64"))
    assert {*FUNCTIONS, *REDUCTIONS} - used == set()


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_promotion_is_that_of_numpy(ufunc: np.ufunc):
    values = [np.float32(0.5), np.float64(0.5), np.int32(1), np.int8(1), np.bool_(True), 0.5, 1, True]
    others: list[Any] = [np.array([0.5], "f4"), np.array([0.5]), np.array([1], "i4"), np.array([True])]
    for other in others:
        for value in values if ufunc.nin == 2 else [None]:
            operands = (other, value) if ufunc.nin == 2 else (other,)
            if ufunc.__name__.startswith("logical") and any(np.asarray(o).dtype != bool for o in operands):
                continue  # refused, see below
            with np.errstate(all="ignore"):
                try:
                    expected = ufunc(*operands)
                except TypeError:
                    continue
                tape = trace_leaves(lambda leaves, rest=operands[1:]: [ufunc(leaves[0], *rest)], [other])
                assert same_bits(tape.evaluate([other])[0], expected), (ufunc, operands)


# ---------------------------------------------------------------------------- drawn examples

SIZES = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


def check(function: Callable[[Any], Any], x: np.ndarray) -> None:
    """Value as in NumPy, compiled as evaluated, and the adjoint identity with a random tangent."""
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [x]).check()
    expected = np.asarray(function(x))
    assert same_bits(Program(tape).run([x])[0], expected)
    g, t = (np.asarray(rng_of(name).uniform(-1, 1, a.shape)) for name, a in (("g", expected), ("t", x)))
    pushed = Program(transforms.jvp(tape, (0,))).run([x, t])[1]
    pulled = Program(transforms.vjp(tape, (0,))).run([x, g])[1]
    assert pulled.shape == x.shape
    np.testing.assert_allclose(np.sum(pushed * g), np.sum(pulled * t), rtol=1e-12, atol=1e-13)


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng_of("numbers").standard_normal(shape))


@given(st.data(), SIZES)
def test_any_basic_index(data: st.DataObject, shape: tuple[int, ...]):
    bound = st.one_of(st.none(), st.integers(-6, 6))
    key: list[Any] = []
    for size in shape[: data.draw(st.integers(0, len(shape)))]:
        steps = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
        choices = [st.builds(slice, bound, bound, steps)]
        key.append(data.draw(st.one_of(*choices, *[st.integers(-size, size - 1)] * (size > 0))))
    if data.draw(st.booleans()):
        key.append(Ellipsis)
    for _ in range(data.draw(st.integers(0, 2))):
        key.insert(data.draw(st.integers(0, len(key))), None)
    check(lambda x: x[tuple(key)], numbers(shape))


@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
def test_any_index_arrays(data: st.DataObject, shape: tuple[int, ...]):
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    index_shape = data.draw(st.sampled_from([(), (1,), (3,), (2, 3), (0,)]))
    key: list[Any] = [slice(None)] * len(shape)
    for axis in axes:
        flat = [data.draw(st.integers(-shape[axis], shape[axis] - 1)) for _ in range(int(np.prod(index_shape)))]
        key[axis] = np.array(flat, np.intp).reshape(index_shape)
    check(lambda x: x[tuple(key)], numbers(shape))


@given(st.data(), SIZES)
def test_any_reduction_axes_and_moves(data: st.DataObject, shape: tuple[int, ...]):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    axes = tuple(axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes)
    keepdims = data.draw(st.booleans())
    order = data.draw(st.permutations(range(len(shape))))
    check(lambda x: np.sum(x, axis=axes, keepdims=keepdims), numbers(shape))
    check(lambda x: np.transpose(x, order) * 2.0, numbers(shape))
    check(lambda x: np.flip(np.reshape(np.transpose(x, order), -1 if x.size else (0, 3))), numbers(shape))
    if np.prod(shape):
        check(lambda x: np.max(x, axis=axes or None, keepdims=keepdims), numbers(shape))


@given(SIZES, st.data())
def test_any_broadcast(shape: tuple[int, ...], data: st.DataObject):
    other = tuple(1 if data.draw(st.booleans()) else size for size in shape)[data.draw(st.integers(0, len(shape))) :]
    constant = numbers(shape)
    check(lambda x: x * constant + constant - x, numbers(other))
    check(lambda x: np.broadcast_to(x, shape), numbers(other))


# ---------------------------------------------------------------------------- refusals

KEPT: list[Any] = []


def in_place(x):
    a = np.zeros(3)
    a += x
    return a


def assign(x):
    x[0] = 1.0
    return x


REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.roots(x), r"np\.roots \(called at test_\w+\.py:\d+\) has no derivative rule.* 'finite'"),
    (lambda x: np.save("file", x), r"np\.save .*writes to a file.*save what the function returns"),
    (lambda x: np.lexsort((x, x)), r"np\.lexsort .*use np\.argsort of one key"),
    (lambda x: np.spacing(x), r"np\.spacing .*bits of numbers"),
    (lambda x: np.union1d(x, x), r"np\.union1d .*set of values"),
    (lambda x: np.add(x, 1, where=[True, False, True]), r"np\.add at .*the argument 'where' is not supported"),
    (lambda x: np.add.reduceat(x, [0, 1]), r"np\.add\.reduceat at .*of the ufunc methods .*reduce of np\.add"),
    (lambda x: x + np.ones(4), r"`add` at test_numpy_functions\.py:\d+: .*\(3,\).*\(4,\)"),
    (lambda x: x @ np.ones((4, 2)), r"matmul at .*shapes \(3,\) and \(4, 2\) do not fit"),
    (lambda x: np.matmul(x, 2.0), r"matmul at .*a scalar operand; use \*"),
    (lambda x: np.reshape(x, (2, 2)), r"np\.reshape at .*cannot reshape \(3,\) to \(2, 2\)"),
    (lambda x: np.sum(x, axis=1), r"np\.sum at .*axis 1 is out of bounds for 1 dimensions"),
    (lambda x: np.sum(x[None], axis=(0, -2)), "an axis is named twice"),
    (lambda x: np.concatenate([x, x[None]]), r"np\.concatenate at .*shapes .* differ beside axis 0"),
    (lambda x: np.stack([x, x[:2]]), r"np\.stack at .*shapes .* differ"),
    (lambda x: np.transpose(x, (0, 1)), r"axis 1 is out of bounds|do not fit"),
    (lambda x: np.squeeze(x, 0), "is not of size 1"),
    (lambda x: np.broadcast_to(x, (2, 4)), r"np\.broadcast_to at .*\(3,\) does not broadcast to \(2, 4\)"),
    (lambda x: np.expand_dims(x, (0, 0)), "named twice"),
    (lambda x: np.pad(x, -1), r"np\.pad at .*is negative"),
    (lambda x: np.linalg.norm(x, "fro"), r"np\.linalg\.norm at .*ord='fro' is no norm of vectors"),
    (lambda x: np.bitwise_and(x, x), "only boolean arrays can be combined"),
    (in_place, r"np\.add at test_numpy_functions\.py:\d+ writes into an array in place"),
    (lambda x: np.exp(x, out=np.zeros(3)), r"np\.exp at .*writes into an array in place"),
    (lambda x: np.sum(x, out=np.zeros(())), r"np\.sum at .*writes into an array in place \(out=\)"),
    (assign, r"item assignment to a traced array at test_\w+\.py:\d+ cannot be recorded; build .*np\.where"),
    (lambda x: float(x[0]), r"float\(\) of a traced value .*at test_\w+\.py:\d+ would cut it off the tape"),
    (lambda x: int(x[0]), r"int\(\) of a traced value"),
    (lambda x: complex(x[0]), r"complex\(\) of a traced value"),
    (lambda x: x[0].item(), r"item\(\) of a traced value"),
    (lambda x: x.tolist(), r"tolist\(\) of a traced value"),
    (lambda x: f"{x[0]:.3f}", r"format\(\) of a traced value"),
    (lambda x: np.asarray(x, float), r"a traced array is to become a plain one of dtype float64 .*np\.stack"),
    (lambda x: x[0, 0], r"too many indices at .*2 for 1 dimensions"),
    (lambda x: x[3], r"index 3 at .*is out of bounds for axis 0 of size 3"),
    (lambda x: x[np.array([0.5])], "indexing at .*with an array of dtype float64"),
    (lambda x: list(range(3))[x[0]], r"Python needs an integer and got a traced array of dtype float64"),
    (lambda x: len(x[0]), r"len\(\) of a traced scalar at"),
    (lambda x: list(x[0]), "iteration over a traced scalar"),
    (lambda x: x if x > 1 else -x, r"truth value of a traced array of shape \(3,\) at .*ambiguous; use np\.where"),
    (lambda x: x + np.array(["a"]), "an array of dtype <U1 meets a traced array"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_cannot_be_recorded_says_what_where_and_what_to_do(function: Callable, message: str):
    with pytest.raises(TraceError, match=message):
        gradient(lambda x: np.sum(function(x)))(np.array([1.0, 2.0, 0.5]))


def test_a_value_used_after_its_trace_ended():
    def keep(x):
        KEPT.append(x)
        return x * x

    gradient(keep)(2.0)
    with pytest.raises(TraceError, match=r"at test_\w+\.py:\d+ a traced value is used after its trace ended; return"):
        np.exp(KEPT[0] + 1.0)
    with pytest.raises(TraceError, match="after its trace ended"):
        gradient(lambda x: x * KEPT[0])(1.0)


def test_augmented_assignment_rebinds():
    def f(x):
        h = x
        h += x
        h *= 3
        h -= 1
        h /= 2
        return np.sum(h)

    x = np.array([1.0, 2.0])
    assert np.array_equal(gradient(f)(x), [3.0, 3.0])
    assert np.array_equal(x, [1.0, 2.0])
