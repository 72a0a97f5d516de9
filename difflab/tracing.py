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
from .elements import elements
from .errors import TraceError, hidden_by, location_of, user_location
from .methods import speaks_numpy
from .primitives.record import Aval, Primitive, Traced
from .promotion import (
    FUNCTIONS,
    METHODS,
    REDUCTIONS,
    UFUNCS,
    MissingAttributeError,
    apply_ufunc,
    innermost,
    is_weak,
    names_of,
    out_position,
    registered_since,
    strong,
    unknown,
)
from .tape import Span, Tape

# NumPy as its stubs do not know it: its functions hand other kinds of array over to those.
DISPATCHING: Any = np


@speaks_numpy
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
        """Shape, dtype and weakness."""
        return self.builder.avals[self.number]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.aval.size

    @property
    def nbytes(self) -> int:
        """Bytes the array would take."""
        return self.aval.nbytes

    @property
    def real(self) -> Any:
        """The real part."""
        return DISPATCHING.real(self)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return DISPATCHING.imag(self)

    @property
    def T(self) -> TracedArray:
        """The transpose."""
        return DISPATCHING.transpose(self)

    @property
    def mT(self) -> Any:
        """The transpose of each matrix."""
        return DISPATCHING.matrix_transpose(self)

    @property
    def flat(self) -> Any:
        """The elements in one row; it may be iterated over and indexed, not assigned to."""
        return DISPATCHING.ravel(self)

    def weakened(self) -> TracedArray:
        """The same value marked as a Python number, whose dtype gives way to an array's."""
        self.weak = True
        self.builder.avals[self.number] = Aval(self.shape, self.dtype, True)
        return self

    # -------------------------------------------------------------------- recording

    def record(self, primitive: Primitive, operands: tuple, params: dict) -> TracedArray:
        """Append one equation to the innermost trace among the operands."""
        builder = self.builder
        for operand in operands:
            if type(operand) is not TracedArray or operand.builder is not builder:
                break
        else:
            return builder.bind(primitive, operands, params)
        dtype = None
        for operand in operands:
            if isinstance(operand, Traced):
                if operand.builder.serial > builder.serial:
                    builder = operand.builder
                if operand.dtype.kind != "b" or dtype is None:
                    dtype = operand.dtype
        return builder.bind(primitive, [builder.lift(operand, dtype) for operand in operands], params)

    def literal(self, value: float) -> TracedArray:
        """A static number on the same tape, in this array's dtype."""
        return self.builder.literal(value, Aval((), self.dtype))

    def span(self, name: str, function: Callable, arrays: tuple, params: dict) -> Any:
        """Run a composite and keep on the tape where it begins and ends."""
        builder = innermost(arrays)
        start = len(builder.equations)
        result = function(*arrays, **params)
        if isinstance(result, TracedArray) and result.builder is builder:
            numbers = tuple([builder.lift(array).number for array in arrays])
            builder.spans.append(Span(name, start, len(builder.equations), numbers, result.number, params))
        return result

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs and kwargs.pop("out", None) is not None:
            raise TraceError(
                f"np.{ufunc.__name__} at {user_location()} writes into an array in place (out= or an augmented "
                "assignment to a plain array), which cannot be recorded; write `a = a + b` instead"
            )
        if method == "reduce" and ufunc in REDUCTIONS:
            return REDUCTIONS[ufunc](*inputs, **{"axis": 0, **kwargs})
        if method in METHODS:
            return METHODS[method](ufunc, *inputs, **kwargs)
        if method != "__call__":
            raise TraceError(
                f"np.{ufunc.__name__}.{method} at {user_location()} has no derivative rule here; "
                f"of the ufunc methods {', '.join(METHODS)} and reduce of {names_of(REDUCTIONS)} are known"
            )
        if kwargs and ufunc.signature is None:
            raise TraceError(
                f"np.{ufunc.__name__} at {user_location()}: the argument {next(iter(kwargs))!r} is not supported on a "
                "traced array; use np.where or astype instead"
            )
        if ufunc in FUNCTIONS:
            return strong(FUNCTIONS[ufunc](*inputs, **kwargs))
        if ufunc not in UFUNCS and not registered_since(ufunc):
            raise unknown(f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else ufunc.__name__)
        return apply_ufunc(ufunc, inputs)

    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        ours = FUNCTIONS.get(function)
        if ours is None:
            module = function.__module__.replace("numpy", "np", 1)
            raise unknown(f"{module}.{function.__name__}")
        place = out_position(ours)
        given = args[place] if place is not None and len(args) > place else kwargs.get("out")
        if given is not None:
            raise TraceError(
                f"np.{function.__name__} at {user_location()} writes into an array in place (out=), which cannot be "
                "recorded; assign the result to a name instead"
            )
        kwargs.pop("out", None)
        try:
            return strong(ours(*args, **kwargs))
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
        into = " (or writing it into a plain array: collect the values in a list and use np.stack)"
        self.builder.refused = TraceError(
            f"{kind}() of a traced value{into if kind == 'float' else ''} at {user_location()} would cut it off the "
            "tape; keep it an array: NumPy functions work on it, np.stack joins values, start + step * np.arange(n) "
            "stands for np.arange of traced bounds; where a library needs numbers, wrap its call with "
            "dl.primitive(opaque=True), or use backend 'finite'"
        )
        raise self.builder.refused

    def __float__(self) -> float:
        self._no_number("float")

    def __int__(self) -> int:
        if self.dtype.kind in "iub" and self.shape == ():
            return self.__index__() if self.dtype.kind != "b" else int(bool(self))
        self._no_number("int")

    def __complex__(self) -> complex:
        self._no_number("complex")

    def item(self, *args: Any) -> NoReturn:
        """Refused: a plain number would leave the tape."""
        self._no_number("item")

    def tolist(self) -> NoReturn:
        """Refused: plain numbers would leave the tape."""
        self._no_number("tolist")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # protocols are asked for by probing
            raise AttributeError(name)
        ufunc = getattr(np, name, None)
        if isinstance(ufunc, np.ufunc):  # NumPy's loops over object arrays ask for them
            return functools.partial(ufunc, self)
        raise MissingAttributeError(
            f"a traced array has no .{name} (asked for at {user_location()}); use functions of NumPy that have a "
            "derivative rule in difflab, or backend 'finite', which needs no rules"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.dtype.kind in "iub" and self.shape:
            raise TraceError(
                f"at {user_location()} a plain array is indexed by a traced array of {self.dtype.name}, or the latter "
                "is to become a plain one; labels and masks are arguments of the tape: for one-hot rows write "
                "(labels[:, None] == np.arange(classes)), or pick with scores[np.arange(n), labels]"
            )
        if dtype is not None and np.dtype(dtype) != object:
            raise TraceError(
                f"at {user_location()} a traced array is to become a plain one of dtype {np.dtype(dtype)} (np.array "
                "or np.asarray with a dtype, np.float64(x), the mean of an object array, a library), which would cut "
                "it off the tape; leave the dtype out, use .astype, or join values with np.stack or np.concatenate"
            )
        if self.dtype.kind == "c":
            raise TraceError(
                f"at {user_location()} NumPy is to make an object array of complex traced values (np.array, "
                "np.asarray), whose .real and .imag it gets wrong; join them with np.stack"
            )
        self.builder.objects = True
        return elements(self)

    def __copy__(self) -> TracedArray:
        return self

    def __deepcopy__(self, memo: dict) -> TracedArray:
        return self  # traced arrays are never written to

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TraceError(
            f"a traced array is to be pickled or sent elsewhere at {user_location()}, which would cut it off the tape; "
            "do that outside the function, or use backend 'finite'"
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

    def __pos__(self) -> TracedArray:
        return self

    def __abs__(self) -> Any:
        result: Any = np.absolute(self)
        return result.weakened() if self.weak else result

    def __invert__(self) -> Any:
        return np.invert(self)

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return np.floor_divide(self, other), np.remainder(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return np.floor_divide(other, self), np.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        result: Any = np.power(self, other)
        return result.weakened() if self.weak and is_weak(other) else result

    def __rpow__(self, other: Any) -> Any:
        result: Any = np.power(other, self)
        return result.weakened() if self.weak and is_weak(other) else result

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As ``numpy.ndarray.reshape``."""
        target = shape[0] if len(shape) == 1 else shape
        return DISPATCHING.reshape(self, target, order=order)

    def transpose(self, *axes: Any) -> Any:
        """As ``numpy.ndarray.transpose``."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return np.transpose(self, order or None)

    def astype(self, dtype: Any, copy: bool = True) -> TracedArray:
        """As ``numpy.ndarray.astype``."""
        target = np.dtype(dtype)
        return self if target == self.dtype else CAST(self, dtype=target.str)

    def copy(self, order: str = "C") -> TracedArray:
        """The same value: traced arrays are never written to."""
        return self

    def flatten(self, order: str = "C") -> Any:
        """As ``numpy.ndarray.flatten``."""
        return DISPATCHING.ravel(self, order=order)


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
    except (TypeError, AttributeError, ValueError, SystemError) as error:
        # Compiled code hides our error: NumPy when a traced value is written into an array, SciPy's root finders.
        if (hidden := hidden_by(error, builder.refused)) is not None:
            raise hidden from None
        if isinstance(error, TraceError | ValueError) or not builder.objects:
            raise
        raise TraceError(
            f"at {location_of(error)} NumPy or another library is given an object array of traced values (from "
            f"np.array, np.asarray or its own conversion) and fails: {error}; join values with np.stack, use functions "
            "that take traced arrays (NumPy's; difflab.special for SciPy's), wrap the call with "
            "dl.primitive(opaque=True), or use backend 'finite'"
        ) from error
    finally:
        builder.closed, builder.refused = True, None
    return builder.finish(outputs)
