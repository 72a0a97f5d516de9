"""The decorator, and how a call becomes an equation."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arrays import as_array, is_device_array
from ..builder import Builder, Shape
from ..elements import holds_numbers
from ..errors import InputError, TraceError, user_location
from ..primitives.record import Own, Primitive, Traced
from ..promotion import innermost
from .closures import closed_over
from .definition import WEAK, Definition
from .opaque import opaque_records
from .traced import traced_record


class OwnPrimitive(Own):
    """A user's operation with its own derivative rules; made by ``difflab.primitive``.

    On plain arrays it runs the function.  On traced arrays it is one equation; without any rule, and not opaque, the
    function is traced through and its span stays on the tape.  Positional arguments are arrays, keyword-only ones are
    metadata: hashable, and part of the program.  The result is one array or number.  A function written in NumPy is
    recorded on shapes alone, so it uses ``np.where`` rather than ``if`` on data.  Arrays, numbers and containers of
    them that it, its rules and functions of its package that they call close over are seen as they are when it is
    called; attributes of other objects as they were when it was first recorded.

    Example:
        >>> import numpy as np, difflab as dl
        >>> @dl.primitive
        ... def straight_through(x, *, levels=2):
        ...     return np.round(x * levels) / levels
        >>> @straight_through.vjp
        ... def rule(cotangent, out, x, *, levels):
        ...     return (cotangent,)
        >>> dl.gradient(lambda x: straight_through(x) ** 2)(0.7)
        np.float64(1.0)
    """

    __slots__ = ("__dict__", "__weakref__")

    def __init__(self, function: Callable, *, opaque: bool, abstract: Callable | None, name: str | None):
        if not callable(function):
            raise InputError(f"dl.primitive is given a function, not {type(function).__name__}")
        if abstract is not None and not opaque:
            raise InputError(
                "dl.primitive: `abstract=` is for opaque functions; one written in NumPy is traced for its shape"
            )
        functools.update_wrapper(self, function)
        self._function = function
        module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        self.name = name or f"{module or '?'}:{qualname or getattr(function, '__name__', type(function).__name__)}"
        if ":" not in self.name or "#" in self.name:
            raise InputError(f"dl.primitive: name={name!r} is to say where it can be imported, as in 'module:variable'")
        self._opaque = opaque
        self._abstract = abstract
        self._rules: dict[str, Callable] = {}
        self._records: Mapping[str, Primitive] | None = None
        self._seen: dict[tuple[int, str], Any] = {}
        self._lock = threading.Lock()
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError):  # functions of C may have none
            self._signature = None

    def __repr__(self) -> str:
        rules = " and ".join(sorted(self._rules)) or "no"
        return f"<primitive {self.name}{', opaque' if self._opaque else ''}: {rules} rule>"

    # -------------------------------------------------------------------- rules

    def vjp(self, rule: Callable) -> Callable:
        """Set the reverse rule; may be used as a decorator.

        Args:
            rule: ``rule(cotangent, out, *args, **metadata) -> tuple``, one cotangent per positional argument, of its
                shape; ``None`` or 0 for zeros.

        Returns:
            The rule.
        """
        return self._set("vjp", rule)

    def jvp(self, rule: Callable) -> Callable:
        """Set the forward rule; may be used as a decorator.

        Args:
            rule: ``rule(tangents, out, *args, **metadata)``, given one tangent per positional argument, zeros for those
                that do not move; returns the tangent of the result.

        Returns:
            The rule.
        """
        return self._set("jvp", rule)

    def _set(self, mode: str, rule: Callable) -> Callable:
        if not callable(rule):
            raise InputError(f"`{self.name}`.{mode} is given a rule, a function, not {type(rule).__name__}")
        self._check_signature(mode, rule)
        with self._lock:
            self._rules[mode] = rule
            self._records = None  # programs of the old rules know the old record
        return rule

    def _check_signature(self, mode: str, rule: Callable) -> None:
        """A rule takes two values more than the function: what comes in, and the result."""
        try:
            taken = inspect.signature(rule)
        except (TypeError, ValueError):  # a compiled function keeps its signature to itself
            return
        if self._signature is None:
            return
        parameters = self._signature.parameters.values()
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        metadata = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
        first = "cotangent" if mode == "vjp" else "tangents"
        try:
            taken.bind(first, "out", *positional, **metadata)
        except TypeError as error:
            wanted = ", ".join([first, "out", *positional, *(["*", *metadata] if metadata else [])])
            raise InputError(
                f"the rule for `{self.name}`.{mode} is to take ({wanted}), and takes {taken} ({error})"
            ) from None

    @property
    def opaque(self) -> bool:
        """Whether function and rules are run and not traced."""
        return self._opaque

    @property
    def functions(self) -> tuple[Callable, ...]:
        """The function and its rules."""
        return (self._function, *self._rules.values())

    @property
    def records(self) -> Mapping[str, Primitive]:
        """The primitive under the empty name; those that run the rules of an opaque one under "jvp" and "vjp"."""
        now = {} if self._opaque else closed_over(self.functions)
        with self._lock:
            if self._records is None or now != self._seen:
                definition = Definition(
                    self.name,
                    self._function,
                    self.argument,
                    self._abstract,
                    self._rules.get("jvp"),
                    self._rules.get("vjp"),
                )
                self._records = opaque_records(definition) if self._opaque else {"": traced_record(definition)}
                self._seen = now
            return self._records

    # -------------------------------------------------------------------- calls

    def argument(self, position: int) -> str:
        """The name of a positional argument."""
        ordinary = (
            []
            if self._signature is None
            else [
                p.name
                for p in self._signature.parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
        )
        return ordinary[position] if position < len(ordinary) else f"args[{position}]"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value, or one equation where an argument is traced."""
        if not any(map(_holds_traced, args)) and not any(map(_holds_traced, kwargs.values())):
            return self._function(*args, **kwargs)
        operands, statics = self.bound(args, kwargs)
        if not self._opaque and not self._rules:
            tracing = next(x for x in operands if isinstance(x, Traced))
            return tracing.span(self.name, self._function, tuple(operands), statics)
        builder = innermost(operands)
        weak = tuple([i for i, x in enumerate(operands) if _weak(x)])
        params = {**statics, WEAK: weak} if weak else statics
        return builder.bind(self.records[""], [_lifted(builder, x) for x in operands], params)

    def bound(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional arguments as arrays or numbers, and the metadata, defaults included."""
        positional, statics = list(args), kwargs
        if self._signature is not None:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            positional, statics = list(bound.args), bound.kwargs
        for key, value in statics.items():
            self._require_static(key, value)
        return [self._array(position, value) for position, value in enumerate(positional)], statics

    def _require_static(self, key: str, value: Any) -> None:
        if _holds_traced(value) or isinstance(value, np.ndarray) or is_device_array(value):
            raise TraceError(
                f"the primitive `{self.name}` at {user_location()}: `{key}` is metadata and was given an array; arrays "
                "are positional arguments"
            )
        try:
            hash(value)
        except TypeError:
            raise TraceError(
                f"the primitive `{self.name}` at {user_location()}: `{key}` is metadata and was given a "
                f"{type(value).__name__}, which cannot be hashed; give a tuple, number or string"
            ) from None

    def _array(self, position: int, value: Any) -> Any:
        if isinstance(value, list | tuple):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) and holds_numbers(value):
            value = innermost([x for x in value.ravel() if isinstance(x, Traced)]).lift(value)
        if isinstance(value, Traced | int | float | complex):
            return value
        if (
            not (isinstance(value, np.ndarray | np.generic) or is_device_array(value))
            or value.dtype.kind not in "biufc"
        ):
            raise TraceError(
                f"the primitive `{self.name}` at {user_location()}: `{self.argument(position)}` is given a "
                f"{type(value).__name__}; positional arguments are arrays and numbers, anything else is keyword-only"
            )
        return value


def _weak(value: Any) -> bool:
    """Whether an operand is a Python number, traced or not; NumPy knows no weak bool."""
    if isinstance(value, Traced):
        return value.weak and value.dtype.kind != "b"
    return type(value) in (int, float, complex)


def _lifted(builder: Builder, value: Any) -> Any:
    return builder.lift(value if isinstance(value, Traced | int | float | complex) else as_array(value))


def _holds_traced(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_traced, value))
    return isinstance(value, Traced) or (isinstance(value, np.ndarray) and holds_numbers(value))


def primitive(
    function: Callable | None = None,
    *,
    opaque: bool = False,
    abstract: Callable[..., Shape] | None = None,
    name: str | None = None,
) -> Any:
    """Make a function an operation of its own, with its own derivative rules; a decorator, with or without options.

    Args:
        function: ``function(*arrays, **metadata)`` with one array or number as its result.
        opaque: the function and its rules are run and not traced (they may call C, SciPy, files); first derivatives
            only.  Functions written in NumPy are traced, so they have derivatives of any order.
        abstract: for opaque functions, the shape rule: from one ``difflab.Shape`` per array to a ``difflab.Shape``.
            Without it the function is run once on arrays of ones.
        name: ``module:variable`` under which the result can be imported, where the function's own name is another.

    Returns:
        An ``OwnPrimitive``: call it like the function; ``.vjp`` and ``.jvp`` take its rules, and where one is missing
        it is the transpose of the other.

    Raises:
        InputError: options that do not fit.

    Example:
        >>> import math, difflab as dl
        >>> erf = dl.primitive(math.erf, opaque=True, name="mine:erf")
        >>> rule = erf.vjp(lambda cotangent, out, x: (cotangent * 2 / math.sqrt(math.pi) * math.exp(-x * x),))
        >>> dl.gradient(lambda x: erf(x) * 2.0)(0.0)
        np.float64(2.256758334191025)
    """
    if function is None:
        return functools.partial(primitive, opaque=opaque, abstract=abstract, name=name)
    return OwnPrimitive(function, opaque=opaque, abstract=abstract, name=name)
