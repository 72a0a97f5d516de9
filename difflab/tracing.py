"""Tracing: an array that speaks NumPy's protocols and writes down what is done to it.

How a plain NumPy function becomes a tape.  The function is called with ``TracedArray`` objects, which know shape
and dtype but hold no data.  NumPy hands every operation on them back to us: operators call ``__add__`` and
friends, ufuncs such as ``np.tanh`` come through ``__array_ufunc__``, other functions such as ``np.sum`` through
``__array_function__``.  Each ends in ``Builder.bind``, which applies a primitive's shape rule, appends one
equation, and returns a new ``TracedArray`` that stands for the result.

Three rules keep this honest.  *Which* tape an operation goes to is decided by its operands: the innermost
(latest) trace among them wins and sees values of outer traces as constants, so derivatives nest.  *Promotion* is
NumPy's own, made visible as ``cast`` equations, so that the derivative of a promotion is a cast back.  And where
Python needs to know a value (``if x > 0``), the recorded prefix is run and a *guard* is noted: a replay that would
see another value traces again instead of returning the wrong branch's derivative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from .builder import CAST, Builder, Shape, aval_of
from .errors import TraceError, user_location
from .primitives import REGISTRY
from .primitives.record import Aval, Primitive, Traced
from .tape import Span, Tape

UFUNCS: dict[np.ufunc, Primitive] = {
    record.evaluate: record for record in REGISTRY if isinstance(record.evaluate, np.ufunc) and record.name != "matmul"
}
# Filled by numpy_functions: NumPy's function or ufunc -> ours, written with primitives.
FUNCTIONS: dict[Callable, Callable] = {}
REDUCTIONS: dict[np.ufunc, Callable] = {}


# ---------------------------------------------------------------------------- promotion


@functools.cache
def _resolve(ufunc: np.ufunc, kinds: tuple) -> tuple[np.dtype, ...]:
    """The dtypes in which NumPy computes ``ufunc`` for operands of these dtypes and Python number types."""
    if all(isinstance(kind, type) for kind in kinds):
        kinds = tuple(np.dtype(kind) for kind in kinds)
    return ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[: len(kinds)]


def _kind(operand: Any) -> Any:
    """What decides promotion: a dtype, or a Python number type for what is weak."""
    if isinstance(operand, TracedArray):
        weak = operand.weak and operand.dtype.kind != "b"  # NumPy knows no weak bool
        return operand.dtype.type(0).item().__class__ if weak else operand.dtype
    kind = type(operand)
    if kind is float or kind is int or kind is complex:
        return kind
    if kind is bool:
        return np.dtype(bool)
    return aval_of(operand).dtype


def innermost(operands: Sequence[Any]) -> Builder:
    """The latest trace among the operands."""
    builder: Builder | None = None
    for operand in operands:
        if isinstance(operand, TracedArray) and (builder is None or operand.builder.serial > builder.serial):
            builder = operand.builder
    if builder is None:
        raise TraceError("no traced array among the operands")
    return builder


def _registered_since(ufunc: np.ufunc) -> bool:
    """Whether a primitive for a ufunc was registered after this module was imported."""
    for record in REGISTRY:
        if record.evaluate is ufunc:
            UFUNCS[ufunc] = record
            return True
    return False


def apply_ufunc(ufunc: np.ufunc, operands: Sequence[Any]) -> TracedArray:
    """Record an element-wise primitive with NumPy's promotion of its operands."""
    primitive = UFUNCS[ufunc]
    builder = innermost(operands)
    try:
        dtypes = _resolve(ufunc, tuple([_kind(operand) for operand in operands]))
    except TypeError as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"np.{ufunc.__name__} at {user_location()}: {error}") from None
    return builder.bind(
        primitive, [builder.promoted(op, dtype) for op, dtype in zip(operands, dtypes, strict=True)], {}
    )


def floating(x: Any) -> Any:
    """``x`` as an array of a floating dtype: integers and booleans become float64, as NumPy's own functions do."""
    dtype = aval_of(x).dtype if isinstance(x, TracedArray) else np.asarray(x).dtype
    if dtype.kind in "fc":
        return x if isinstance(x, TracedArray) else np.asarray(x)
    return CAST(x if isinstance(x, TracedArray) else np.asarray(x), dtype="<f8")


# ---------------------------------------------------------------------------- the recording array


def _is_weak(operand: Any) -> bool:
    return operand.weak if isinstance(operand, TracedArray) else type(operand) in (int, float, bool)


def _strong(result: Any) -> Any:
    """NumPy's functions and ufuncs give arrays and NumPy scalars even where they are given Python numbers."""
    if isinstance(result, TracedArray) and result.weak:
        return TracedArray(result.builder, result.number, Aval(result.shape, result.dtype))
    return result


def _binary(ufunc: np.ufunc, *, reflected: bool = False) -> Callable:
    primitive = UFUNCS[ufunc]

    def method(self: TracedArray, other: Any) -> TracedArray:
        if (
            type(other) is TracedArray
            and other.builder is self.builder
            and other.dtype == self.dtype
            and not self.weak
            and not other.weak
            and self.dtype.kind in "fc"
        ):
            return self.builder.bind(primitive, (other, self) if reflected else (self, other), {})
        result = apply_ufunc(ufunc, (other, self) if reflected else (self, other))
        return result.weakened() if self.weak and _is_weak(other) else result

    return method


def _unary(ufunc: np.ufunc) -> Callable:
    def method(self: TracedArray) -> TracedArray:
        result = apply_ufunc(ufunc, (self,))
        return result.weakened() if self.weak else result

    return method


def _forward(function: Callable) -> Callable:
    """An array method that is NumPy's function of the same name, which comes back through the protocol."""

    def method(self: TracedArray, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


class MissingAttributeError(TraceError, AttributeError):
    """An attribute of NumPy's arrays that a traced array does not have."""


class TracedArray(Traced):
    """An array of known shape and dtype whose operations are recorded instead of computed."""

    __slots__ = ("builder", "dtype", "number", "shape", "weak")
    __array_priority__ = 1000.0

    def __init__(self, builder: Builder, number: int, aval: Aval):
        self.builder = builder
        self.number = number
        self.shape, self.dtype, self.weak = aval

    @property
    def aval(self) -> Aval:
        return self.builder.avals[self.number]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def nbytes(self) -> int:
        return self.aval.nbytes

    @property
    def T(self) -> TracedArray:  # noqa: N802 (NumPy's name)
        return np.transpose(self)  # type: ignore[call-overload]

    def weakened(self) -> TracedArray:
        """The same value marked as a Python number, whose dtype gives way to an array's."""
        self.weak = True
        self.builder.avals[self.number] = Aval(self.shape, self.dtype, True)
        return self

    # -------------------------------------------------------------------- recording

    def record(self, primitive: Primitive, operands: tuple, params: dict) -> TracedArray:
        builder = self.builder
        dtype = None
        for operand in operands:
            if isinstance(operand, TracedArray):
                if operand.builder.serial > builder.serial:
                    builder = operand.builder
                if operand.dtype.kind != "b" or dtype is None:
                    dtype = operand.dtype
        return builder.bind(primitive, [builder.lift(operand, dtype) for operand in operands], params)

    def literal(self, value: float) -> TracedArray:
        return self.builder.literal(value, Aval((), self.dtype))

    def span(self, name: str, function: Callable, arrays: tuple, params: dict) -> Any:
        builder = innermost(arrays)
        start = len(builder.equations)
        result = function(*arrays, **params)
        if isinstance(result, TracedArray) and result.builder is builder:
            numbers = tuple([builder.lift(array).number for array in arrays])
            builder.spans.append(Span(name, start, len(builder.equations), numbers, result.number, params))
        return result

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TraceError(
                f"np.{ufunc.__name__} at {user_location()} writes into an array in place (out= or an augmented "
                "assignment to a plain array), which cannot be recorded; write `a = a + b` instead"
            )
        kwargs.pop("out", None)
        if method == "reduce" and ufunc in REDUCTIONS:
            return REDUCTIONS[ufunc](*inputs, **{"axis": 0, **kwargs})
        if method != "__call__":
            raise TraceError(
                f"np.{ufunc.__name__}.{method} at {user_location()} has no derivative rule here; "
                f"of the ufunc methods only reduce of {_names(REDUCTIONS)} is known"
            )
        if kwargs:
            raise TraceError(
                f"np.{ufunc.__name__} at {user_location()}: the argument {next(iter(kwargs))!r} is not supported on a "
                "traced array; use np.where or astype instead"
            )
        if ufunc in FUNCTIONS:
            return _strong(FUNCTIONS[ufunc](*inputs))
        if ufunc not in UFUNCS and not _registered_since(ufunc):
            raise unknown(f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else ufunc.__name__)
        return apply_ufunc(ufunc, inputs)

    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        ours = FUNCTIONS.get(function)
        if ours is None:
            module = function.__module__.replace("numpy", "np", 1)
            raise unknown(f"{module}.{function.__name__}")
        if kwargs.get("out") is not None:
            raise TraceError(
                f"np.{function.__name__} at {user_location()} writes into an array in place (out=), which cannot be "
                "recorded; assign the result to a name instead"
            )
        kwargs.pop("out", None)
        try:
            return _strong(ours(*args, **kwargs))
        except TypeError as error:
            if isinstance(error, TraceError) or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise TraceError(
                f"np.{function.__name__} at {user_location()}: these arguments are not supported on a traced array "
                f"({error})"
            ) from None

    # -------------------------------------------------------------------- what Python may and may not ask

    def __bool__(self) -> bool:
        if self.size != 1:
            raise TraceError(
                f"the truth value of a traced array of shape {self.shape} at {user_location()} is ambiguous; use "
                "np.where to choose element by element"
            )
        observed = bool(self.builder.concrete(self.number))
        self.builder.guard(self.number, observed)
        return observed

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.shape != ():
            raise TraceError(
                f"at {user_location()} Python needs an integer and got a traced array of dtype {self.dtype} and "
                f"shape {self.shape}; pass sizes and positions as Python integers"
            )
        observed = int(self.builder.concrete(self.number))
        self.builder.guard(self.number, observed)
        return observed

    def _no_number(self, kind: str) -> NoReturn:
        raise TraceError(
            f"{kind}() of a traced value{' (or writing it into a plain array)' if kind == 'float' else ''} at "
            f"{user_location()} would cut it off the tape; keep it an array (NumPy functions work on it, np.stack "
            "joins values), or use dl.nn.stop_gradient if that is what you mean"
        )

    def __float__(self) -> float:
        self._no_number("float")

    def __int__(self) -> int:
        self._no_number("int")

    def __complex__(self) -> complex:
        self._no_number("complex")

    def item(self, *args: Any) -> NoReturn:
        """Refused: a plain number would leave the tape."""
        self._no_number("item")

    def tolist(self) -> NoReturn:
        """Refused: plain numbers would leave the tape."""
        self._no_number("tolist")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # protocols are asked for by probing
            raise AttributeError(name)
        raise MissingAttributeError(
            f"a traced array has no .{name} (asked for at {user_location()}); use functions of NumPy that have a "
            "derivative rule in difflab, or backend 'finite', which needs no rules"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        if self.dtype.kind in "iub":
            raise TraceError(
                f"at {user_location()} a plain array is indexed by a traced array of {self.dtype.name}, or the latter "
                "is to become a plain one; labels and masks are arguments of the tape: for one-hot rows write "
                "(labels[:, None] == np.arange(classes)), or pick with scores[np.arange(n), labels]"
            )
        raise TraceError(
            f"at {user_location()} a traced array is to become a plain one (np.array, np.asarray or a library that "
            "calls them), which would cut it off the tape; use np.stack or np.concatenate to join traced values"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TraceError(
            f"item assignment to a traced array at {user_location()} cannot be recorded; build the result with "
            "np.where, np.concatenate or np.stack instead"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TraceError(f"len() of a traced scalar at {user_location()}")
        return self.shape[0]

    def __iter__(self):
        if not self.shape:
            raise TraceError(f"iteration over a traced scalar at {user_location()}")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> TracedArray:
        return FUNCTIONS[np.ndarray.__getitem__](self, key)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"traced {self.dtype.name}[{','.join(map(str, self.shape))}]"

    def __format__(self, spec: str) -> str:
        if spec:
            self._no_number("format")
        return repr(self)

    # -------------------------------------------------------------------- operators and methods

    __add__ = _binary(np.add)
    __radd__ = _binary(np.add, reflected=True)
    __sub__ = _binary(np.subtract)
    __rsub__ = _binary(np.subtract, reflected=True)
    __mul__ = _binary(np.multiply)
    __rmul__ = _binary(np.multiply, reflected=True)
    __truediv__ = _binary(np.divide)
    __rtruediv__ = _binary(np.divide, reflected=True)
    __neg__ = _unary(np.negative)
    __abs__ = _unary(np.absolute)
    __lt__ = _binary(np.less)
    __le__ = _binary(np.less_equal)
    __gt__ = _binary(np.greater)
    __ge__ = _binary(np.greater_equal)
    __eq__ = _binary(np.equal)  # type: ignore[assignment]
    __ne__ = _binary(np.not_equal)  # type: ignore[assignment]

    def __and__(self, other: Any) -> Any:
        return np.bitwise_and(self, other)

    def __or__(self, other: Any) -> Any:
        return np.bitwise_or(self, other)

    def __invert__(self) -> Any:
        return np.invert(self)  # type: ignore[call-overload]

    def __pos__(self) -> TracedArray:
        return self

    def __pow__(self, other: Any) -> Any:
        result: Any = np.power(self, other)
        return result.weakened() if self.weak and _is_weak(other) else result

    def __rpow__(self, other: Any) -> Any:
        result: Any = np.power(other, self)
        return result.weakened() if self.weak and _is_weak(other) else result

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return np.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return np.remainder(other, self)

    def __xor__(self, other: Any) -> Any:
        return np.bitwise_xor(self, other)

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)

    def __matmul__(self, other: Any) -> Any:
        return np.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As ``numpy.ndarray.reshape``."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        """As ``numpy.ndarray.transpose``."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
            axes = axes[0]
        return np.transpose(self, axes or None)  # type: ignore[call-overload]

    def astype(self, dtype: Any, copy: bool = True) -> TracedArray:
        """As ``numpy.ndarray.astype``."""
        target = np.dtype(dtype)
        return self if target == self.dtype else CAST(self, dtype=target.str)

    def copy(self, order: str = "C") -> TracedArray:
        """The same value: traced arrays are never written to."""
        return self

    def flatten(self, order: str = "C") -> Any:
        """As ``numpy.ndarray.flatten``."""
        return np.ravel(self, order=order)  # type: ignore[call-overload]

    sum = _forward(np.sum)
    mean = _forward(np.mean)
    var = _forward(np.var)
    std = _forward(np.std)
    max = _forward(np.max)
    min = _forward(np.min)
    argmax = _forward(np.argmax)
    argmin = _forward(np.argmin)
    ravel = _forward(np.ravel)
    squeeze = _forward(np.squeeze)
    swapaxes = _forward(np.swapaxes)
    dot = _forward(np.dot)
    clip = _forward(np.clip)
    take = _forward(np.take)


def _names(table: dict) -> str:
    return ", ".join(sorted({f"np.{function.__name__}" for function in table}))


def unknown(name: str) -> TraceError:
    """The error for a NumPy function that has no rule."""
    import difflib

    known = sorted({f"np.{f.__name__}" for f in [*FUNCTIONS, *UFUNCS] if not f.__name__.startswith("_")})
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"similar ones that it does know: {', '.join(close)}" if close else f"it knows {', '.join(known)}"
    return TraceError(
        f"{name} (called at {user_location()}) has no derivative rule in difflab; {hint}. "
        "Rewrite the line with those, or use backend 'finite', which needs no rules"
    )


# ---------------------------------------------------------------------------- tracing a function of leaves


def trace_leaves(
    function: Callable[[list[Any]], Sequence[Any]],
    leaves: Sequence[Any],
    names: Sequence[str] = (),
) -> Tape:
    """Record ``function(list of traced arrays) -> list of outputs`` at example leaves (arrays, floats or ``Shape``)."""
    builder = Builder(TracedArray)
    inputs = []
    for position, leaf in enumerate(leaves):
        example = None if isinstance(leaf, Shape) else leaf
        inputs.append(builder.input(aval_of(leaf), names[position] if names else "", example))
    try:
        outputs = [builder.lift(output) for output in function(inputs)]
    except ValueError as error:
        # NumPy hides our error when a traced value is written into an array.
        if isinstance(error.__cause__, TraceError):
            raise error.__cause__ from None
        raise
    finally:
        builder.closed = True
    return builder.finish(outputs)
