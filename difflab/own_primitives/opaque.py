"""Functions and rules that cannot be traced: each is one equation that runs it, with first derivatives only.

A rule is linear in what it is given first, so where only one mode's rule is given the other comes from it unit by unit.
Cotangents of several arguments leave their equation joined in one flat array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from ..builder import Shape
from ..errors import TraceError, UnsupportedError
from ..primitives import REGISTRY
from ..primitives.record import Aval, Primitive
from .definition import KEPT, Closed, Definition, closed, computed, cotangents, one_output, part, plain
from .lanes import on_host, with_lanes


def opaque_records(definition: Definition) -> dict[str, Primitive]:
    """The primitive under the empty name, and the primitives that run its rules."""
    name = definition.name
    shape = lru_cache(KEPT)(lambda call: _shape(definition, call))

    def evaluate(*operands: Any, **params: Any) -> Any:
        call = closed([np.asarray(x) for x in operands], params)
        return computed(definition, plain(operands, call), call, shape(call))

    def no_rule(*args: Any, **params: Any) -> NoReturn:
        raise UnsupportedError(
            f"the primitive `{name}` is opaque and has no derivative rule; give it one with @{_short(name)}.vjp or "
            f"@{_short(name)}.jvp, or use backend 'finite', which needs none"
        )

    if definition.jvp is None and definition.vjp is None:
        return {"": _record(name, evaluate, lambda *avals, **params: shape(closed(avals, params)), no_rule, no_rule)}
    rules = OpaqueRules(definition, shape)
    pushing = _first_order(f"{name}#jvp", rules.push, rules.pushed_aval)
    pulling = _first_order(f"{name}#vjp", rules.pull, rules.pulled_aval)

    def jvp(tangents: tuple, y: Any, *args: Any, **params: Any) -> Any:
        moving = tuple([i for i, t in enumerate(tangents) if t is not None and args[i].dtype.kind in "fc"])
        if not moving:
            return None
        return pushing(*[tangents[i] for i in moving], y, *args, **{MOVING: moving}, **params)

    def vjp(cotangent: Any, y: Any, *args: Any, wanted: tuple[bool, ...], **params: Any) -> tuple:
        asked = tuple([i for i, want in enumerate(wanted) if want and args[i].dtype.kind in "fc"])
        result: list[Any] = [None] * len(args)
        if asked:
            joined = pulling(cotangent, y, *args, **{MOVING: asked}, **params)
            for place, value in zip(asked, _taken_apart(joined, [args[i] for i in asked]), strict=True):
                result[place] = value
        return tuple(result)

    main = _record(name, evaluate, lambda *avals, **params: shape(closed(avals, params)), jvp, vjp)
    return {"": main, "jvp": pushing, "vjp": pulling}


MOVING = "__moving__"
"""The parameter that names the arguments that a rule's equation is about."""


def _short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


def _record(name: str, evaluate: Callable, abstract: Callable, jvp: Callable, vjp: Callable) -> Primitive:
    reason = f"the primitive `{name}` is opaque: it runs on floating-point numbers only, not on balls or symbols"

    def exact(*args: Any, **params: Any) -> NoReturn:
        raise UnsupportedError(reason)

    primitive = Primitive(
        name=name, kind="own", evaluate=evaluate, abstract=abstract, jvp=jvp, vjp=vjp, exact=exact, inexact=reason,
        device=on_host(evaluate), depends="it is opaque, so that nobody sees which elements depend on which",
    )  # fmt: skip
    return with_lanes(primitive, None)


def _first_order(name: str, run: Callable, abstract: Callable) -> Primitive:
    """The equation of a rule that is run; it cannot be differentiated itself."""

    def second(*args: Any, **params: Any) -> NoReturn:
        owner, _, mode = name.partition("#")
        raise UnsupportedError(
            f"the primitive `{owner}` is opaque, so its {mode} rule is run and not recorded: it has first derivatives "
            "only; write function and rules in NumPy and leave opaque=True out for higher ones"
        )

    return _record(name, run, abstract, second, second)


def _shape(definition: Definition, call: Closed) -> Aval:
    """The result's shape and dtype: by the user's rule, or by running the function once on ones."""
    if definition.abstract is None:
        ones = [1.0 if aval.weak else np.ones(aval.shape, aval.dtype) for aval in call.avals]
        ones = [x[()] if isinstance(x, np.ndarray) and x.shape == () else x for x in ones]
        try:
            result = one_output(definition, definition.function(*ones, **call.params))
        except TraceError:
            raise
        except Exception as error:
            raise TraceError(
                f"the primitive `{definition.name}` is opaque and failed on arrays of ones, from which its result's "
                f"shape is learnt ({type(error).__name__}: {error}); give it `abstract=`, a function from dl.Shape to "
                "dl.Shape"
            ) from error
        array = np.asarray(result)
        return Aval(array.shape, array.dtype)
    found = definition.abstract(*[Shape(aval.shape, aval.dtype) for aval in call.avals], **call.params)
    if not isinstance(found, Shape):
        raise TraceError(
            f"the shape rule of the primitive `{definition.name}` is to return a dl.Shape and returned a "
            f"{type(found).__name__}"
        )
    return Aval(found.shape, found.dtype)


class OpaqueRules:
    """A user's rules run on plain arrays, as the values of equations."""

    def __init__(self, definition: Definition, shape: Callable[[Closed], Aval]):
        self._definition = definition
        self._shape = shape

    # Operands are the tangents that move, the value, the arguments.

    def pushed_aval(self, *avals: Any, **params: Any) -> Aval:
        """The tangent is as the value."""
        y = avals[len(params[MOVING])]
        return Aval(y.shape, y.dtype)

    def push(self, *operands: Any, **params: Any) -> np.ndarray:
        """The tangent for some tangents."""
        moving = params.pop(MOVING)
        y, args = np.asarray(operands[len(moving)]), list(map(np.asarray, operands[len(moving) + 1 :]))
        tangents = [np.zeros(arg.shape, arg.dtype) for arg in args]
        for place, tangent in zip(moving, operands, strict=False):
            tangents[place] = tangent
        if self._definition.jvp is not None:
            return self._push(tangents, y, args, params)
        self._require_real("jvp", [y, *args])
        result = np.zeros(y.shape, y.dtype)
        unit = np.zeros(y.shape, y.dtype)
        for index in np.ndindex(y.shape):
            unit[index] = 1
            parts = self._pull(unit, y, args, params)
            result[index] = sum(np.sum(parts[i] * tangents[i]) for i in moving)
            unit[index] = 0
        return result

    # Operands are the cotangent, the value, the arguments.

    def pulled_aval(self, *avals: Any, **params: Any) -> Aval:
        """A cotangent is as its argument; several are joined."""
        return _joined_aval([avals[2 + place] for place in params[MOVING]])

    def pull(self, *operands: Any, **params: Any) -> np.ndarray:
        """The cotangents for one cotangent, joined."""
        moving = params.pop(MOVING)
        cotangent, y, *args = map(np.asarray, operands)
        if self._definition.vjp is not None:
            parts = self._pull(cotangent, y, args, params)
        else:
            self._require_real("vjp", [y, *args])
            parts = [np.zeros(arg.shape, arg.dtype) for arg in args]
            for place in moving:
                tangents = [np.zeros(arg.shape, arg.dtype) for arg in args]
                for index in np.ndindex(args[place].shape):
                    tangents[place][index] = 1
                    parts[place][index] = np.sum(self._push(tangents, y, args, params) * cotangent)
                    tangents[place][index] = 0
        return _joined([parts[place] for place in moving])

    def _require_real(self, mode: str, arrays: Sequence[Any]) -> None:
        if any(array.dtype.kind == "c" for array in arrays):
            raise UnsupportedError(
                f"the opaque primitive `{self._definition.name}` has no {mode} rule, and that of the other mode can "
                f"stand in for it where all arrays are real only; give it a {mode} rule"
            )

    def _push(self, tangents: Sequence[Any], y: Any, args: Sequence[Any], params: dict[str, Any]) -> np.ndarray:
        call = closed(args, params)
        rule = self._definition.jvp
        assert rule is not None
        along = plain([_own(tangent) for tangent in tangents], call)
        value = rule(tuple(along), _bare(y), *plain(args, call), **call.params)
        like = Aval(y.shape, y.dtype)
        found = part(self._definition, "jvp", "the result", value, like, np.result_type(call.widest, y.dtype))
        return np.zeros(y.shape, y.dtype) if found is None else found

    def _pull(self, cotangent: Any, y: Any, args: Sequence[Any], params: dict[str, Any]) -> list[np.ndarray]:
        call = closed(args, params)
        rule = self._definition.vjp
        assert rule is not None
        given = rule(_bare(_own(cotangent)), _bare(y), *plain(args, call), **call.params)
        parts = cotangents(self._definition, given, call, np.result_type(call.widest, y.dtype))
        return [
            np.zeros(aval.shape, aval.dtype) if value is None else value
            for value, aval in zip(parts, call.avals, strict=True)
        ]


def _bare(x: Any) -> Any:
    return x[()] if x.shape == () else x


def _own(x: Any) -> Any:
    """A copy: units are written anew, and a rule may keep what it is given."""
    return np.array(x)


def _joined_aval(avals: Sequence[Any]) -> Aval:
    if len(avals) == 1:
        return Aval(avals[0].shape, avals[0].dtype)
    return Aval((sum(math.prod(a.shape) for a in avals),), np.result_type(*[a.dtype for a in avals]))


def _joined(parts: Sequence[Any]) -> np.ndarray:
    if len(parts) == 1:
        return np.asarray(parts[0])
    return np.concatenate([np.ravel(x) for x in parts]).astype(_joined_aval(parts).dtype, copy=False)


def _taken_apart(joined: Any, likes: Sequence[Any]) -> list[Any]:
    if len(likes) == 1:
        return [joined]
    result, start = [], 0
    for like in likes:
        stop = start + math.prod(like.shape)
        piece = REGISTRY["slice"](joined, start=(start,), stop=(stop,), step=(1,))
        piece = REGISTRY["reshape"](piece, shape=tuple(like.shape))
        result.append(piece if piece.dtype == like.dtype else REGISTRY["cast"](piece, dtype=like.dtype.str))
        start = stop
    return result
