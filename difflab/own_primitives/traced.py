"""Functions and rules written in NumPy: traced on shapes, and each mode's rule from the other's.

Once for every combination of shapes, dtypes and metadata there is a tape, which stands for the function or rule from
then on; so its derivatives are derivatives of NumPy code.  A rule is linear in what it is given first, so the rule of
the other mode is its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from .. import numpy_functions, transforms  # noqa: F401 (the first fills the table of NumPy functions)
from ..builder import Builder
from ..errors import TraceError
from ..primitives import REGISTRY
from ..primitives.record import Aval, Primitive, Traced
from ..tape import Equation, Tape
from ..tracing import TracedArray
from ..transforms.inline import inline, transform_builder
from .definition import (
    KEPT,
    Closed,
    Definition,
    RuleError,
    applied,
    closed,
    cotangents,
    one_output,
    part,
)
from .lanes import anywhere, with_lanes


def traced(definition: Definition, what: str, run: Callable[[list[Any]], Sequence[Any]], avals: Sequence[Aval]) -> Tape:
    """The tape of ``run`` on values of these avals; arrays that it closes over become equations of their own."""
    builder = Builder(TracedArray)
    inputs = [builder.input(aval) for aval in avals]
    try:
        outputs = [builder.lift(output) for output in run(inputs)]
    except RuleError:
        raise
    except TraceError as error:
        raise TraceError(
            f"{what} of the primitive `{definition.name}` cannot be recorded on shapes alone ({error}); write it "
            "otherwise, or declare the primitive with opaque=True"
        ) from None
    finally:
        builder.closed = True
    tape = builder.finish(outputs)
    if any(isinstance(constant, Traced) for constant in tape.constants.values()):
        raise TraceError(
            f"{what} of the primitive `{definition.name}` closes over a traced value; give it as an argument"
        )
    return _without_constants(definition.name, tape)


def _without_constants(name: str, tape: Tape) -> Tape:
    """Numbers of the text become literals; arrays become equations, which need not be passed to shared programs."""
    numbers = {n: value for n, value in tape.constants.items() if type(value) in (float, complex)}
    arrays = [(n, np.asarray(value)) for n, value in tape.constants.items() if n not in numbers]
    makers = [Equation(_constant(name, array), tape.inputs[:1], {}, n) for n, array in arrays]
    spans = [s._replace(start=s.start + len(makers), stop=s.stop + len(makers)) for s in tape.spans]
    return replace(
        tape,
        constants={},
        literals={**tape.literals, **numbers},
        equations=(*makers, *tape.equations),
        spans=tuple(spans),
    )


def _constant(name: str, array: np.ndarray) -> Primitive:
    """An array that a function or rule closes over; its operand is not looked at."""
    aval = Aval(array.shape, array.dtype)

    def batch(size: int, flags: tuple[bool, ...], like: Any) -> Any:
        return REGISTRY["broadcast_to"](record(like), shape=(size, *array.shape))

    uploaded = lru_cache(1)(lambda xp: xp.asarray(array))  # once, and not while a stream is captured

    record = Primitive(
        name=f"{name}#constant", kind="own", evaluate=lambda like: array, abstract=lambda like: aval,
        jvp=None, vjp=None, excuse="it is a constant", batch=batch, flops=lambda avals, out: 0.0,
        device=lambda xp, like: uploaded(xp).copy(),
        exact=lambda arithmetic, like: array if array.dtype.kind in "biu" else arithmetic.numbers(array),
    )  # fmt: skip
    return record


# ---------------------------------------------------------------------------- rules that are traced


def recorded(avals: Sequence[Aval], run: Callable[[list[Any]], Sequence[Any]]) -> Tape:
    """The tape of rules put together from tapes."""
    builder = transform_builder()
    return builder.finish(run([builder.input(aval) for aval in avals]))


class TracedRules:
    """Both derivative rules of a function written in NumPy, from whichever the user gave, or from its own tape.

    A *push* tape takes the tangents that move, the value and the arguments, and gives the tangent.  A *pull* tape takes
    a cotangent, the value and the arguments, and gives a cotangent for some of them.
    """

    def __init__(self, definition: Definition):
        self._definition = definition
        self.body = lru_cache(KEPT)(self._body)
        self.push = lru_cache(KEPT)(self._push)
        self.pull = lru_cache(KEPT)(self._pull)

    def _body(self, call: Closed) -> Tape:
        def run(arrays: list[Any]) -> list[Any]:
            return [one_output(self._definition, self._definition.function(*arrays, **call.params))]

        return traced(self._definition, "the function", run, call.avals)

    def shape(self, call: Closed) -> Aval:
        """The shape rule: the function is traced."""
        tape = self.body(call)
        return tape.avals[tape.outputs[0]]

    def jvp(self, tangents: tuple, y: Any, *args: Any, **params: Any) -> Any:
        """The tangent; ``None`` where nothing moves the result."""
        moving = tuple([t is not None and arg.dtype.kind in "fc" for t, arg in zip(tangents, args, strict=True)])
        tape = self.push(closed(args, params), moving)
        if tape is None:
            return None
        return applied(tape, [*[t for t, moves in zip(tangents, moving, strict=True) if moves], y, *args])[0]

    def vjp(self, cotangent: Any, y: Any, *args: Any, wanted: tuple[bool, ...], **params: Any) -> tuple:
        """One cotangent per argument; ``None`` where it is not wanted or zero."""
        tape, places = self.pull(closed(args, params), wanted)
        result: list[Any] = [None] * len(args)
        if tape is not None:
            for place, value in zip(places, applied(tape, [cotangent, y, *args]), strict=True):
                result[place] = value
        return tuple(result)

    def _push(self, call: Closed, moving: tuple[bool, ...]) -> Tape | None:
        definition, out = self._definition, self.shape(call)
        moved = [position for position, moves in enumerate(moving) if moves]
        if not moved:
            return None
        avals = [*[call.avals[position] for position in moved], out, *call.avals]
        if definition.jvp is not None:
            return self._traced_push(call, moved, avals, out)
        if definition.vjp is None:
            along = transforms.jvp(self.body(call), moved)
            return recorded(avals, lambda given: _inlined(along, [*given[len(moved) + 1 :], *given[: len(moved)]])[1:])
        tape, places = self.pull(call, moving)
        if tape is None:
            return None
        back = transforms.vjp(tape, (0,))

        def transposed(given: list[Any]) -> list[Any]:
            y, args = given[len(moved)], given[len(moved) + 1 :]
            seeds = [given[moved.index(place)] for place in places]
            return _inlined(back, [REGISTRY["zeros_like"](y), y, *args, *seeds])[-1:]

        return recorded(avals, transposed)

    def _traced_push(self, call: Closed, moved: list[int], avals: list[Aval], out: Aval) -> Tape | None:
        definition = self._definition
        rule = definition.jvp
        assert rule is not None
        moves = False

        def run(given: list[Any]) -> list[Any]:
            nonlocal moves
            y, args = given[len(moved)], given[len(moved) + 1 :]
            tangents = [given[moved.index(i)] if i in moved else _still(arg) for i, arg in enumerate(args)]
            value = rule(tuple(tangents), y, *args, **call.params)
            value = part(definition, "jvp", "the result", value, out, np.result_type(call.widest, out.dtype))
            moves = value is not None
            return [value] if moves else []

        tape = traced(definition, "the jvp rule", run, avals)
        return tape if moves else None

    def _pull(self, call: Closed, wanted: tuple[bool, ...]) -> tuple[Tape | None, tuple[int, ...]]:
        definition, out = self._definition, self.shape(call)
        asked = tuple([i for i, aval in enumerate(call.avals) if wanted[i] and aval.dtype.kind in "fc"])
        if not asked:
            return None, ()
        avals = [_strong(out), out, *call.avals]
        if definition.vjp is not None:
            return self._traced_pull(call, asked, avals, out)
        if definition.jvp is None:
            back = transforms.vjp(self.body(call), asked)
            return recorded(avals, lambda given: _inlined(back, [*given[2:], given[0]])[1:]), asked
        tape = self.push(call, tuple([i in asked for i in range(len(call.avals))]))
        if tape is None:
            return None, ()
        back = transforms.vjp(tape, tuple(range(len(asked))))

        def transposed(given: list[Any]) -> list[Any]:
            still = [REGISTRY["zeros_like"](given[2 + place]) for place in asked]
            return _inlined(back, [*still, *given[1:], given[0]])[1:]

        return recorded(avals, transposed), asked

    def _traced_pull(
        self, call: Closed, asked: tuple[int, ...], avals: list[Aval], out: Aval
    ) -> tuple[Tape | None, tuple[int, ...]]:
        definition = self._definition
        rule = definition.vjp
        assert rule is not None
        places: tuple[int, ...] = ()

        def run(given: list[Any]) -> list[Any]:
            nonlocal places
            found = rule(given[0], given[1], *given[2:], **call.params)
            parts = cotangents(definition, found, call, np.result_type(call.widest, out.dtype))
            places = tuple([place for place in asked if parts[place] is not None])
            return [parts[place] for place in places]

        tape = traced(definition, "the vjp rule", run, avals)
        return (tape if places else None), places


def _strong(aval: Aval) -> Aval:
    return Aval(aval.shape, aval.dtype)


def _still(arg: Any) -> Any:
    """The zero tangent of an argument; a Python number's is one, too."""
    zero = REGISTRY["zeros_like"](arg)
    return zero.weakened() if arg.weak else zero


def _inlined(tape: Tape, operands: list[Any]) -> list[Any]:
    values = inline(operands[0].builder, tape, operands)
    return [values[number] for number in tape.outputs]


def traced_record(definition: Definition) -> Primitive:
    """The primitive of a function written in NumPy."""
    rules = TracedRules(definition)

    def evaluate(*operands: Any, **params: Any) -> Any:
        # The tape, not the function: what the function closes over may have changed since.
        return through(*map(np.asarray, operands), **params)

    def exact(arithmetic: Any, *operands: Any, **params: Any) -> Any:
        from ..execution.arithmetic import evaluate as exactly

        # Exact numbers stand for floats of any precision.
        native = [Aval(x.shape, np.dtype(float) if x.dtype == object else x.dtype) for x in operands]
        return exactly(rules.body(closed(native, params)), operands, arithmetic)[0]

    def through(*operands: Any, **params: Any) -> Any:
        return applied(rules.body(closed(operands, params)), operands)[0]

    primitive = Primitive(
        name=definition.name,
        kind="own",
        evaluate=evaluate,
        abstract=lambda *avals, **params: rules.shape(closed(avals, params)),
        jvp=rules.jvp,
        vjp=rules.vjp,
        exact=exact,
        flops=lambda avals, out, **params: rules.body(closed(avals, params)).flops,
        device=anywhere(through),
        depends="it has derivative rules of the user, who may mean more than the function says",
    )
    return with_lanes(primitive, through)
