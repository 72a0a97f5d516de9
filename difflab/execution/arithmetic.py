"""Exact arithmetic: one way to run a tape on object arrays, whatever the objects are.

A tape says which primitives are applied to which values, not what a number is.  Here a number may be a ball that
encloses a real number (``balls.py``) or a SymPy expression (``symbols.py``).  NumPy's moves and sums run on object
arrays as they are; transcendental functions are looked up by name; whatever *chooses* has a rule in
``primitives/exact_rules.py``, written against the protocol below.

Float arrays become object arrays.  Integers and booleans of the data (labels, masks, indices) stay native arrays,
and equations among them are NumPy's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..arrays import to_host
from ..errors import GuardError, TraceError, UnsupportedError
from ..primitives import exact_rules
from ..primitives.record import Aval, Primitive
from ..tape import Tape

# Structural primitives whose object-array loop in NumPy is slower or less exact than the arithmetic's own.
RULES: dict[str, Callable] = {"sum": exact_rules.sum, "zeros_like": exact_rules.zeros_like}
# Moves hand the same objects on; every other structural primitive may bring in plain zeros, which become numbers.
MOVES = frozenset(
    {"reshape", "transpose", "broadcast_to", "slice", "concatenate", "gather", "windows", "copy"}
    | {"add", "subtract", "multiply", "negative"}
)
SpanRule = Callable[..., np.ndarray]


class Arithmetic(Protocol):
    """What the rules of ``exact_rules`` ask of a kind of exact number."""

    def number(self, value: Any) -> Any:
        """A Python number, exactly."""
        ...

    def numbers(self, array: Any) -> np.ndarray:
        """An object array of numbers from numbers, conditions or native arrays of any dtype."""
        ...

    def integers(self, array: Any) -> np.ndarray:
        """A native integer array, rounded towards zero."""
        ...

    def conditions(self, array: Any) -> np.ndarray:
        """Conditions that hold where a number is not zero."""
        ...

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """A function of object arrays, element by element, with broadcasting."""
        ...

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Conditions of NumPy's comparison of that name."""
        ...

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """Conditions combined by "and", "or" or "not"."""
        ...

    def test(self, name: str, x: Any) -> np.ndarray:
        """Conditions of "isnan", "isinf" or "isfinite"."""
        ...

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """Per element the value of the first condition that holds."""
        ...

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """The maximum of two."""
        ...

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The maximum along the first axis."""
        ...

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """For each list of payloads the one that stands where the first largest of the keys stands."""
        ...

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Matrix products over the last two axes."""
        ...

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """The determinant of each matrix of a stack."""
        ...

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """The inverse of each matrix of a stack."""
        ...

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis."""
        ...


def evaluate(
    tape: Tape,
    inputs: Sequence[Any],
    arithmetic: Arithmetic,
    spans: Mapping[str, SpanRule] | None = None,
    before: Callable[[Primitive], None] = lambda primitive: None,
    after: Callable[[Primitive, Sequence[Any], Mapping[str, Any], Any], Any] | None = None,
) -> list[Any]:
    """The outputs of a tape in exact arithmetic.

    Args:
        tape: any tape without an opaque primitive.
        inputs: one array per input of the tape; float arrays are taken exactly, object arrays as they are.
        arithmetic: the kind of number.
        spans: composites to take whole, by name: ``rule(arithmetic, *arguments, **params)``.
        before: called before every equation; may raise to stop.
        after: called with primitive, operands, parameters and result of every equation; gives the result to go on with.

    Returns:
        One object array (or native integer array) per output.

    Raises:
        UnsupportedError: a primitive without exact rule.
        UndecidedError: a choice that balls of this precision cannot make.
        GuardError: Python took another branch when the tape was recorded.

    Example:
        >>> from difflab.execution.balls import Balls, precision
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [leaves[0] / 3.0], [1.0])
        >>> with precision(160):
        ...     print(evaluate(tape, [1.0], Balls())[0].item().str(20))
        [0.33333333333333333333 +/- 3.34e-21]
    """
    reader = taken_whole(tape, spans) if spans else tape
    wanted = (*tape.outputs, *[guard.value for guard in tape.guards])
    operands = [_entered(value, arithmetic) for value in inputs]
    # Literals are entered here too: through their noted dtype, 0.1 in a float32 loss would already be rounded.
    constants = {number: _entered(value, arithmetic) for number, value in tape.constants.items()}
    for number, value in tape.literals.items():
        constants[number] = _literal(value, tape.avals[number], arithmetic)

    equations = iter(reader.equations)

    def visit(primitive: Primitive, arrays: list, params: dict) -> np.ndarray:
        noted = reader.avals[next(equations).output].shape
        before(primitive)
        result = apply(arithmetic, primitive, arrays, params)
        if result.shape != noted:
            raise TraceError(
                f"the shape rule of the primitive `{primitive.name}` is wrong: it says {noted}, the value has "
                f"{result.shape}"
            )
        return result if after is None else after(primitive, arrays, params, result)

    values = replace(reader, literals={}).replay_all(operands, visit, constants, wanted)
    for guard, value in zip(tape.guards, values[len(tape.outputs) :], strict=True):
        _check_guard(guard.observed, value, arithmetic)
    return values[: len(tape.outputs)]


def apply(arithmetic: Arithmetic, primitive: Primitive, arrays: Sequence[Any], params: Mapping[str, Any]) -> np.ndarray:
    """One primitive on exact operands."""
    if all(array.dtype != object for array in arrays) and not _becomes_float(primitive, arrays, params):
        return np.asarray(primitive.evaluate(*arrays, **params))
    if primitive.inexact:
        raise UnsupportedError(
            f"the primitive `{primitive.name}` does not run in exact arithmetic: {primitive.inexact}"
        )
    rule = RULES.get(primitive.name, primitive.exact)
    if isinstance(rule, str):
        return arithmetic.scalar(rule)(*arrays)
    if rule is not None:
        return as_array(rule(arithmetic, *arrays, **params))
    if primitive.kind != "linear" and primitive.name not in MOVES:
        raise UnsupportedError(
            f"the primitive `{primitive.name}` has no rule for exact arithmetic, so neither balls nor symbols can run "
            "it; give its record `exact=` a rule of difflab.primitives.exact_rules"
        )
    result = as_array(primitive.evaluate(*arrays, **params))
    return result if primitive.name in MOVES else arithmetic.numbers(result)


def as_array(value: Any) -> np.ndarray:
    """An array as it is, anything else as the one element of a 0-d object array (NumPy unwraps those)."""
    if isinstance(value, np.ndarray):
        return value
    result = np.empty((), dtype=object)
    result[()] = value
    return result


def elementwise(function: Callable, *operands: Any) -> np.ndarray:
    """``function`` of the elements of broadcast arrays, as an object array."""
    arrays = [as_array(operand) for operand in operands]
    if len(arrays) > 1 and any(array.shape != arrays[0].shape for array in arrays):
        arrays = np.broadcast_arrays(*arrays)
    return filled(arrays[0].shape, map(function, *[array.ravel().tolist() for array in arrays]))


def filled(shape: tuple[int, ...], items: Any) -> np.ndarray:
    """An object array of that shape from an iterable of its elements in row-major order."""
    return np.fromiter(items, dtype=object, count=math.prod(shape)).reshape(shape)


def matrix_products(multiply: Callable, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``multiply(rows, columns)`` for every pair of matrices of two stacks with broadcast leading axes."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.empty((*batch, a.shape[-2], b.shape[-1]), dtype=object)
    left = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    right = np.broadcast_to(b, (*batch, *b.shape[-2:]))
    for place in np.ndindex(*batch):
        result[place] = multiply(left[place], right[place])
    return result


# ---------------------------------------------------------------------------- entering numbers


def _entered(value: Any, arithmetic: Arithmetic) -> np.ndarray:
    """An input or constant: floats become numbers, integers and booleans stay native."""
    array = value if isinstance(value, np.ndarray) else to_host(value)
    if array.dtype == object or array.dtype.kind in "biu":
        return array
    if array.dtype.kind == "c":
        raise UnsupportedError(
            "complex numbers have no exact arithmetic here; write the loss with real and imaginary parts"
        )
    return arithmetic.numbers(array)


def _literal(value: Any, aval: Aval, arithmetic: Arithmetic) -> np.ndarray:
    if aval.dtype.kind in "biu":
        return np.asarray(value, dtype=aval.dtype)
    return as_array(arithmetic.number(value))


def _becomes_float(primitive: Primitive, arrays: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether native operands give a float, which exact arithmetic must make itself."""
    avals = [Aval(array.shape, array.dtype) for array in arrays]
    return primitive.abstract(*avals, **params).dtype.kind not in "biu"


def _check_guard(observed: Any, value: Any, arithmetic: Arithmetic) -> None:
    array = as_array(value)
    if array.dtype == object:
        array = arithmetic.integers(array) if type(observed) is int else arithmetic.conditions(array)
    if array.dtype == object:
        raise UnsupportedError(
            "Python looked at a value while the loss was recorded, and what it saw depends on symbols; "
            "use np.where instead of `if`, or a numerical backend"
        )
    seen = type(observed)(array.item()) if array.size == 1 else array
    if not np.array_equal(seen, observed):
        raise GuardError(f"the tape was recorded where Python saw {observed!r}, and exact arithmetic finds {seen!r}")


# ---------------------------------------------------------------------------- composites taken whole


def taken_whole(tape: Tape, rules: Mapping[str, SpanRule]) -> Tape:
    """The tape with every span in ``rules`` that nothing leaves as one equation; outermost spans win."""
    last = tape.last_uses((*tape.outputs, *[guard.value for guard in tape.guards]))
    equations = []
    position = 0
    starts = {}
    for span in sorted(tape.spans, key=lambda span: span.stop - span.start):
        if span.name in rules and span.stop > span.start and _closed(tape, span, last):
            starts[span.start] = span  # later ones are longer, and contain the earlier ones
    while position < len(tape.equations):
        span = starts.get(position)
        if span is None:
            equations.append(tape.equations[position])
            position += 1
            continue
        primitive = _whole(span.name, rules[span.name], tape.avals[span.result])
        equations.append(
            tape.equations[position]._replace(
                primitive=primitive, inputs=span.arguments, params=span.params, output=span.result
            )
        )
        position = span.stop
    return replace(tape, equations=tuple(equations), spans=())


def _closed(tape: Tape, span: Any, last: Mapping[int, int]) -> bool:
    """Whether the result is bound inside and nothing else that is bound inside is read outside."""
    inside = {equation.output for equation in tape.equations[span.start : span.stop]}
    return span.result in inside and all(last.get(number, -1) < span.stop for number in inside if number != span.result)


def _whole(name: str, rule: SpanRule, aval: Aval) -> Primitive:
    """A composite as a primitive of its own, known to this evaluation only."""

    def value(*arrays: Any, **params: Any) -> Any:
        raise UnsupportedError(f"the composite `{name}` is taken whole by exact arithmetic only")

    return Primitive(
        name=f"whole {name}", kind="general", evaluate=value, abstract=lambda *avals, **params: aval,
        jvp=None, vjp=None, exact=rule,
    )  # fmt: skip
