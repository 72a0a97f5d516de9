"""One record per primitive: value, shape rule, derivative rules, exact arithmetic, cost, test domain.

Conventions of every rule: arrays are positional, metadata is by keyword; ``y`` is the value already
computed; a tangent or cotangent of ``None`` is a zero that nobody needs to compute.  Rules are written
with operators and with other primitives, so they run on arrays and on traced arrays alike; that is what
lets transforms compose.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arrays import is_device_array


class Aval(NamedTuple):
    """What is known of a value without computing it: shape, dtype, and whether its dtype is weak (NEP 50)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool = False

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of an array of this kind."""
        return self.size * self.dtype.itemsize


class Traced:
    """Base of the recording array; empty here, so that primitives recognise it without importing upward.

    What it has: its tape under construction, its value number there, shape, dtype, and whether the dtype is weak.
    """

    __slots__ = ()
    builder: Any
    number: int
    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool
    aval: Aval

    if TYPE_CHECKING:  # an element hands on to its array what is defined nowhere here

        def astype(self, dtype: Any, copy: bool = True) -> Traced:
            """As ``numpy.ndarray.astype``."""
            ...

    def record(self, primitive: Primitive, operands: tuple, params: dict) -> Traced:
        """Append one equation to the innermost trace among the operands."""
        raise TypeError("only the recording array of difflab.tracing can record")

    def literal(self, value: float) -> Traced:
        """A static number on the same tape, in this array's dtype."""
        raise TypeError("only the recording array of difflab.tracing can record")

    def span(self, name: str, function: Callable, arrays: tuple, params: dict) -> Any:
        """Run a composite and keep on the tape where it begins and ends."""
        raise TypeError("only the recording array of difflab.tracing can record")


class Call(NamedTuple):
    """How generated code computes a primitive: a function and its arguments.

    ``arguments`` holds ``Operand(i)`` for the i-th operand, ``OUT`` for the buffer to fill, and literals.
    ``keyword``: the buffer must be given as ``out=`` (NumPy 2.4 warns where it is positional in maximum and minimum).
    """

    function: Callable
    arguments: tuple
    keyword: bool = False


class Operand(NamedTuple):
    """The i-th operand, optionally seen through a view made before the call."""

    index: int


class _Out:
    def __repr__(self) -> str:
        return "OUT"


OUT = _Out()


@dataclass(frozen=True, eq=False, slots=True)
class Primitive:
    """A primitive operation and everything difflab knows about it.

    ``evaluate(*arrays, **params)`` is the value; ``abstract(*avals, **params)`` the shape and dtype rule;
    ``jvp(tangents, y, *args, **params)`` the tangent; ``vjp(cotangent, y, *args, wanted, **params)`` a tuple of
    cotangents, ``None`` where ``wanted`` is false; ``into(avals, **params)`` a ``Call`` that fills a buffer
    (``view`` instead: the result is a view of operand 0); ``exact`` says how it runs on balls and symbols:
    ``None`` (NumPy's own moves and sums do), a scalar function's name, or a rule
    ``exact(arithmetic, *arrays, **params)``; ``inexact`` is the reason where it does not run there at all.
    ``batch(size, flags, *operands, **params)`` is the value for ``size`` lanes at once: operands whose flag is set
    carry the lanes on a leading axis, and so does the result; ``None`` means lane by lane.
    ``examples(given, **params)`` says along which axis the result carries the examples of a batch (``examples.py``), or
    why it mixes them; a string is the reason where it always does, and ``None`` means that nobody knows.
    ``device(xp, *arrays, **params)`` is the value on a GPU where ``evaluate`` calls what CuPy's arrays do not answer
    to; ``xp`` is ``cupy``.  A rule with a keyword ``out`` fills the array given there.  ``kernel`` is one element of
    the result as text that C++ and Python read alike: a template such as ``"tanh({0})"``, or a function of the
    operands' avals and the metadata that gives one (``language.py``).
    ``depends(table, *operands, **params)`` says for sparsity patterns which elements of the result may move with which
    of the operands (``dependence.py``); a string is the reason why each is taken to move with all of them, and so it is
    where nobody said.  What has no derivative depends on nothing.
    """

    name: str
    kind: str
    evaluate: Callable
    abstract: Callable[..., Aval]
    jvp: Callable | None
    vjp: Callable | None
    exact: str | Callable | None = None
    into: Callable[..., Call] | None = None
    view: bool = False
    inplace: bool = False
    flops: Callable[..., float] = lambda avals, out, **params: float(out.size)
    domain: tuple[tuple[float, float], ...] = ((-2.0, 2.0),)
    special: tuple = ()
    samples: Callable[[], list] | None = None
    excuse: str = ""
    inexact: str = ""
    batch: Callable | None = None
    examples: Callable | str | None = None
    device: Callable | None = None
    kernel: Callable | str | None = None
    depends: Callable | str | None = None
    arity: int = 1

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """The value: recorded if an operand is traced, computed otherwise."""
        for operand in operands:
            if isinstance(operand, Traced):
                return operand.record(self, operands, params)
        for operand in operands:
            if type(operand) is not np.ndarray and is_device_array(operand):
                from .values import value_of  # which imports this module

                return value_of(self, operands, params)
        return self.evaluate(*operands, **params)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self):
        raise TypeError("primitives travel by name, never by pickle")


@dataclass
class Registry:
    """All primitives by name; filled by the modules of ``difflab.primitives`` and by users' own."""

    records: dict[str, Primitive] = field(default_factory=dict)

    def add(self, primitive: Primitive) -> Primitive:
        """Register a primitive under its name and return it."""
        if primitive.name in self.records:
            raise ValueError(f"primitive {primitive.name!r} is registered twice; give yours another name")
        self.records[primitive.name] = primitive
        return primitive

    def __getitem__(self, name: str) -> Primitive:
        return self.records[name]

    def __iter__(self):
        return iter(self.records.values())


REGISTRY = Registry()


# ---------------------------------------------------------------------------- shape rules


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that NumPy broadcasting gives, without a call into NumPy (whose error it raises)."""
    result: list[int] | tuple[int, ...] = shapes[0]
    for shape in shapes[1:]:
        if shape == result:
            continue
        if len(shape) > len(result):
            result, shape = shape, result
        widened = list(result)
        for axis, size in enumerate(shape, len(result) - len(shape)):
            if size != 1 and size != widened[axis]:
                if widened[axis] != 1:
                    return np.broadcast_shapes(*shapes)
                widened[axis] = size
        result = tuple(widened)
    return result


def same_dtype(*avals: Aval) -> Aval:
    """Shape by broadcasting, dtype of the first operand (the tracer has promoted them all)."""
    first = avals[0]
    shape = first.shape
    for aval in avals:
        if aval.shape != shape:
            shape = broadcast_shapes(*[aval.shape for aval in avals])
            break
    return first if shape is first.shape and not first.weak else Aval(shape, first.dtype)


BOOL = np.dtype(bool)


def boolean(*avals: Aval) -> Aval:
    """Shape by broadcasting, dtype bool."""
    return Aval(broadcast_shapes(*[aval.shape for aval in avals]), BOOL)


# ---------------------------------------------------------------------------- what rules share


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Zeros of the dtype and kind of array of ``like``; NumPy's own ``like=`` takes no NumPy scalar."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.generic) else np.zeros(shape, like.dtype, like=like)


def unbroadcast(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its variable was broadcast."""
    if cotangent.shape == shape:
        return cotangent
    lead = len(cotangent.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + axis for axis, size in enumerate(shape) if size == 1 and cotangent.shape[lead + axis] != 1
    )
    if axes:
        cotangent = REGISTRY["sum"](cotangent, axes=axes)
    if cotangent.shape != shape:
        cotangent = REGISTRY["reshape"](cotangent, shape=shape)
    return cotangent


def literal(value: float, like: Any) -> Any:
    """A number as a value of its own, so that what a rule computes of it is exact in exact arithmetic."""
    return like.literal(value) if isinstance(like, Traced) else np.asarray(value, like.dtype)


class Own:
    """Base of a user's primitive, so that a tape finds its records by ``module:variable`` without importing upward."""

    __slots__ = ()
    name: str

    @property
    def functions(self) -> tuple[Callable, ...]:
        """What the user wrote: the function and its rules."""
        raise TypeError("only difflab.own_primitives has functions")

    @property
    def records(self) -> Mapping[str, Primitive]:
        """The primitive itself under the empty name, and those that run its rules under theirs."""
        raise TypeError("only difflab.own_primitives has records")


def find(name: str) -> Primitive:
    """The primitive of that name, or a sentence about which there are; ``module:variable`` is imported."""
    records: Mapping[str, Primitive] = REGISTRY.records
    if name in records:
        return records[name]
    if ":" in name:
        return _imported(name)
    raise KeyError(f"no primitive is called {name!r}; import the module that registers it first")


def _imported(name: str) -> Primitive:
    where, _, part = name.partition("#")
    module, _, path = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError) as error:
        raise KeyError(
            f"the tape needs the primitive {where!r}, which cannot be imported ({error}); define it at the top of a "
            "module that can be imported, under the name that it has"
        ) from None
    if not isinstance(found, Own) or part not in found.records:
        raise KeyError(f"the tape needs the primitive {name!r}, and what is there is not made by @difflab.primitive")
    return found.records[part]


def identity(params: Mapping[str, Any]) -> tuple:
    """Static values told apart by type and bits: 1, 1.0, True, 0.0 and -0.0 are five."""
    return tuple([(key, type(value), value, repr(value)) for key, value in params.items()])


def composite(name: str) -> Callable[[Callable], Callable]:
    """Decorate a function of positional arrays and keyword metadata: no rules, but its span stays on the tape."""

    def wrap(function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*arrays: Any, **params: Any) -> Any:
            for array in arrays:
                if isinstance(array, Traced):
                    return array.span(name, function, arrays, params)
            return function(*arrays, **params)

        return run

    return wrap
