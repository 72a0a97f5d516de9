"""The tape under construction: value numbers, constants, literals, guards, and values where Python asks for one."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from .arrays import as_array, copied, namespace
from .elements import holds_numbers, joined
from .errors import TraceError, user_location
from .primitives import REGISTRY
from .primitives.record import Aval, Primitive, Traced
from .primitives.values import value_of
from .tape import Equation, Guard, Span, Tape, literal_array

SERIALS = itertools.count()
CAST = REGISTRY["cast"]


class Shape:
    """A stand-in for an array when tracing without data; it may stand anywhere inside containers.

    Args:
        shape: tuple of integers.
        dtype: as in NumPy.

    Example:
        >>> Shape((64, 4096), "float32")
        Shape((64, 4096), 'float32')
    """

    # No named tuple and no dataclass: those are containers, and this is a leaf of them.
    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any = "float64"):
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"Shape({self.shape}, {self.dtype.name!r})"


class Builder:
    """A tape under construction."""

    __slots__ = (
        "avals", "closed", "constants", "equations", "examples", "guarded", "guards", "inputs", "known", "lifted",
        "literal_numbers", "literals", "names", "objects", "quiet_from", "refused", "serial", "spans",
        "static_floats", "wrap",
    )  # fmt: skip

    def __init__(self, wrap: Callable[[Builder, int, Aval], Any], *, static_floats: bool = False):
        self.wrap = wrap
        self.serial = next(SERIALS)
        self.avals: list[Aval] = []
        self.inputs: list[int] = []
        self.constants: dict[int, Any] = {}
        self.literals: dict[int, Any] = {}
        self.equations: list[Equation] = []
        self.spans: list[Span] = []
        self.guards: list[Guard] = []
        self.guarded: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.quiet_from: int | None = None
        self.closed = False
        self.objects = False  # whether NumPy made an object array of traced values
        self.refused: TraceError | None = None  # the last time that a plain number was asked for
        # Transforms write rules whose Python floats are part of the text; in a user's function they are data.
        self.static_floats = static_floats
        self.examples: dict[int, Any] = {}
        self.known: dict[int, Any] = {}
        self.lifted: dict[int, tuple[int, Any]] = {}
        self.literal_numbers: dict[tuple, int] = {}

    def new(self, aval: Aval) -> int:
        """A fresh value number."""
        self.avals.append(aval)
        return len(self.avals) - 1

    def input(self, aval: Aval, name: str = "", example: Any = None) -> Any:
        """A new argument of the tape."""
        number = self.new(aval)
        self.inputs.append(number)
        if name:
            self.names[number] = name
        if example is not None:
            self.examples[number] = example
        return self.wrap(self, number, aval)

    def value(self, number: int) -> Any:
        """The traced array of a value number."""
        return self.wrap(self, number, self.avals[number])

    def literal(self, value: Any, aval: Aval) -> Any:
        """A static number, known by its type and bits."""
        key = (type(value), repr(value), aval.dtype)
        number = self.literal_numbers.get(key)
        if number is None:
            number = self.literal_numbers[key] = self.new(aval)
            self.literals[number] = value
        return self.wrap(self, number, aval)

    def constant(self, value: Any, aval: Aval | None = None) -> Any:
        """An array or number that the function closed over; the same object is the same constant."""
        # A user's array or list is copied: the function may fill it anew before the trace is run.
        may_change = not self.static_floats and not _immutable(value)
        known = self.lifted.get(id(value))
        if known is not None and not (may_change and _written_to(self.constants[known[0]], value)):
            return self.wrap(self, known[0], self.avals[known[0]])
        number = self.new(aval or aval_of(value))
        self.constants[number] = copied(value) if may_change else value
        if not isinstance(value, float | complex):
            self.lifted[id(value)] = (number, value)
        return self.wrap(self, number, self.avals[number])

    def lift(self, operand: Any, dtype: np.dtype | None = None) -> Any:
        """Any operand as a value of this tape; Python numbers take ``dtype`` where one is given."""
        kind = type(operand)
        if isinstance(operand, Traced) and operand.builder is self:
            return operand
        if kind is np.ndarray and holds_numbers(operand):
            return self.lift(joined(operand))
        if kind is int or kind is bool:
            return self.literal(operand, Aval((), dtype or np.dtype(kind)))
        if (kind is float or kind is complex) and self.static_floats:
            return self.literal(operand, Aval((), dtype or np.dtype(kind)))
        if isinstance(operand, Traced) and operand.builder.closed:
            _used_too_late()
        return self.constant(operand)

    def promoted(self, operand: Any, dtype: np.dtype) -> Any:
        """An operand in the dtype to which NumPy promotes it."""
        value = self.lift(operand, dtype)
        if value.dtype == dtype:
            return value
        return self.bind(CAST, (value,), {"dtype": dtype.str})

    def bind(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        """Append one equation whose operands already belong to this tape."""
        if self.closed:
            _used_too_late()
        avals = self.avals
        numbers = tuple([operand.number for operand in operands])
        try:
            aval = primitive.abstract(*[avals[number] for number in numbers], **params)
        except ValueError as error:
            raise TraceError(f"`{primitive.name}` at {user_location()}: {error}") from None
        number = len(avals)
        avals.append(aval)
        self.equations.append(Equation(primitive, numbers, params, number))
        return self.wrap(self, number, aval)

    def primitive(self, name: str, *operands: Any, **params: Any) -> Any:
        """Append the equation of a primitive given by name."""
        return self.bind(REGISTRY[name], operands, params)

    def concrete(self, number: int) -> Any:
        """The value at the example arguments, found by running what it depends on; remembered for this trace."""
        if self.closed:
            _used_too_late()
        known = self.known
        if number in known:
            return known[number]
        # From the value back to what is known, without recursion: a chain may be long.
        pending = [number]
        while pending:
            wanted = pending[-1]
            if wanted in known:
                pending.pop()
                continue
            equation = self._equation_of(wanted)
            if equation is None:
                known[wanted] = self._given(wanted)
                continue
            missing = [operand for operand in equation.inputs if operand not in known]
            if missing:
                pending.extend(missing)
                continue
            operands = [known[operand] for operand in equation.inputs]
            known[wanted] = value_of(equation.primitive, operands, equation.params, self.avals[wanted].dtype)
        return known[number]

    def _equation_of(self, number: int) -> Equation | None:
        """The equation that binds a value, if one does; equations are in the order of their outputs."""
        at = bisect_left(self.equations, number, key=lambda equation: equation.output)
        return self.equations[at] if at < len(self.equations) and self.equations[at].output == number else None

    def _given(self, number: int) -> Any:
        """The value of a literal, a constant or an argument."""
        if number in self.literals:
            return literal_array(self.literals[number], self.avals[number])
        if number in self.constants:
            return _plain(self.constants[number])
        if number in self.examples:
            return _plain(self.examples[number])
        raise TraceError(
            f"at {user_location()} Python asks for the value of a traced array, but the trace was given shapes without "
            "data; pass arrays instead of dl.Shape, or use np.where"
        )

    def guard(self, number: int, observed: Any) -> None:
        """Note that Python saw ``observed``."""
        position = self.guarded.setdefault(number, len(self.guards))
        if position == len(self.guards):
            self.guards.append(Guard(number, observed))
        elif isinstance(self.guards[position].observed, bool) and not isinstance(observed, bool):
            # Seen before as a truth value; the integer says more.
            self.guards[position] = Guard(number, observed)

    def finish(self, outputs: Sequence[Any]) -> Tape:
        """Close the trace and return its tape."""
        self.closed = True
        return Tape(
            avals=tuple(self.avals),
            inputs=tuple(self.inputs),
            constants=self.constants,
            literals=self.literals,
            equations=tuple(self.equations),
            outputs=tuple([output.number for output in outputs]),
            spans=tuple(self.spans),
            guards=tuple(self.guards),
            quiet_from=self.quiet_from,
            names=self.names,
        )


def _plain(value: Any) -> Any:
    """An example as an array; a value of an outer trace is asked for its own example."""
    if isinstance(value, Traced):
        return value.builder.concrete(value.number)
    return as_array(value)


def _used_too_late() -> NoReturn:
    raise TraceError(
        f"at {user_location()} a traced value is used after its trace ended; return it from the function instead of "
        "keeping it in a variable outside"
    )


def _immutable(value: Any) -> bool:
    """Whether nobody can write to a value: a view that is read-only may belong to an array that is not."""
    if type(value) is np.ndarray:
        return not value.flags.writeable and value.base is None
    return isinstance(value, Traced | np.generic | float | complex)


def _written_to(copy: Any, value: Any) -> bool:
    """Whether an array or list has changed since it was taken as a constant; asks the GPU, where it is there."""
    now = as_array(value)
    equal = namespace(copy).array_equal
    return not bool(equal(copy, now, equal_nan=copy.dtype.kind in "fc" and now.dtype.kind in "fc"))


def aval_of(value: Any) -> Aval:
    """Shape, dtype and weakness of an argument or constant."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc":
        return Aval(value.shape, value.dtype)
    if isinstance(value, Traced):
        return value.aval
    if isinstance(value, Shape):
        return Aval(value.shape, value.dtype)
    if type(value) is float or type(value) is complex:
        return Aval((), np.dtype(type(value)), True)
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        value = np.asarray(value)
        dtype = value.dtype
    if dtype.kind == "O" and holds_numbers(value):
        return aval_of(joined(value))
    if dtype.kind not in "biufc":
        raise TraceError(
            f"at {user_location()} an array of dtype {dtype} meets a traced array; only numbers and booleans can be "
            "recorded (for several traced scalars use np.stack)"
        )
    return Aval(tuple(value.shape), dtype)
