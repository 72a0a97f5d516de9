"""The three constructors that cover nearly all primitives.

``elementwise`` takes one partial derivative per argument and derives both modes from it, so they cannot drift apart.
``linear`` is its own JVP and only the transpose is written.  ``general`` writes both, one under the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import dependence
from .batching import broadcasting
from .examples import aligned
from .record import OUT, REGISTRY, Aval, Call, Operand, Primitive, same_dtype, unbroadcast


def _scaled(tangent: Any, partial: Callable | int, y: Any, args: tuple) -> Any:
    """The tangent times a partial derivative, which takes no product where it is the plain number 1 or -1."""
    if isinstance(partial, int):
        return tangent if partial == 1 else -tangent
    return tangent * partial(y, *args)


def elementwise(
    ufunc: Callable,
    *partials: Callable | int | None,
    name: str = "",
    exact: str | Callable | None = None,
    flops: float = 1.0,
    domain: tuple = (-2.0, 2.0),
    special: tuple = (),
    abstract: Callable[..., Aval] = same_dtype,
    into: Callable[..., Call] | None = None,
    excuse: str = "",
    inexact: str = "",
    samples: Callable[[], list] | None = None,
    device: Callable | None = None,
    kernel: Callable | str | None = None,
    depends: Callable | str | None = None,
) -> Primitive:
    """A primitive that acts on each element.

    ``partials`` holds one entry per argument: a function ``(y, *args)`` giving the partial derivative, the numbers
    1 or -1, or ``None`` where the derivative is zero everywhere.  JVP and VJP both come from it.  With ``samples`` of
    its own it takes integers, or is otherwise no function of any floating operands.
    An element of the result depends on the elements of the operands that have a partial derivative.
    """
    arity = len(partials)

    def jvp(tangents, y, *args):
        total = None
        for partial, tangent in zip(partials, tangents, strict=True):
            if tangent is None or partial is None:
                continue
            term = _scaled(tangent, partial, y, args)
            total = term if total is None else total + term
        if total is not None and total.shape != y.shape:
            total = REGISTRY["broadcast_to"](total, shape=y.shape)
        return total

    def vjp(cotangent, y, *args, wanted):
        result = []
        for partial, arg, want in zip(partials, args, wanted, strict=True):
            if partial is None or not want:
                result.append(None)
                continue
            term = _scaled(cotangent, partial, y, args)
            result.append(unbroadcast(term, arg.shape))
        return tuple(result)

    differentiable = any(partial is not None for partial in partials)
    pairs = domain if isinstance(domain[0], tuple) else (domain,) * arity
    return REGISTRY.add(
        Primitive(
            name=name or ufunc.__name__,
            kind="elementwise" if samples is None else "general",
            evaluate=ufunc,
            abstract=abstract,
            jvp=jvp if differentiable else None,
            vjp=vjp if differentiable else None,
            exact=exact,
            into=into
            or (lambda avals: Call(ufunc, (*map(Operand, range(arity)), OUT), ufunc in (np.maximum, np.minimum))),
            inplace=True,
            flops=lambda avals, out: flops * out.size,
            domain=pairs,
            special=special,
            samples=samples,
            excuse=excuse,
            inexact=inexact,
            batch=broadcasting(name or ufunc.__name__),
            examples=aligned,
            device=device,
            kernel=kernel,
            depends=depends or dependence.of_operands(*[partial is not None for partial in partials]),
            arity=arity,
        )
    )


def linear(
    evaluate: Callable,
    transpose: Callable,
    *,
    name: str,
    abstract: Callable[..., Aval],
    into: Callable[..., Call] | None = None,
    view: bool = False,
    exact: str | Callable | None = None,
    flops: Callable[..., float] = lambda avals, out, **params: 0.0,
    samples: Callable[[], list] | None = None,
    moving: int | None = None,
    batch: Callable | None = None,
    examples: Callable | str | None = None,
    inexact: str = "",
    device: Callable | None = None,
    kernel: Callable | str | None = None,
    depends: Callable | str | None = None,
) -> Primitive:
    """A primitive linear in its first ``moving`` arguments (by default in all); the others are indices or masks.

    ``transpose(cotangent, *args, wanted, **params)`` returns one cotangent per argument; the JVP is the function.
    A view of numbers of sets is their pattern, so only what is no view has to say which elements depend on which.
    """

    def jvp(tangents, y, *args, **params):
        changing = tangents[:moving]
        if all(tangent is None for tangent in changing) or y.dtype.kind not in "fc":
            return None  # nothing moves, or it moves what cannot follow: a cast to integers is piecewise constant
        filled = [
            REGISTRY["zeros_like"](arg) if tangent is None else tangent
            for tangent, arg in zip(changing, args, strict=False)
        ]
        return record(*filled, *args[len(filled) :], **params)

    def vjp(cotangent, y, *args, wanted, **params):
        return transpose(cotangent, *args, wanted=wanted, **params)

    record = Primitive(
        name=name,
        kind="linear",
        evaluate=evaluate,
        abstract=abstract,
        jvp=jvp,
        vjp=vjp,
        exact=exact,
        into=into,
        view=view,
        flops=flops,
        samples=samples,
        batch=batch,
        examples=examples,
        inexact=inexact,
        device=device,
        kernel=kernel,
        depends=dependence.moved(evaluate) if depends is None and view else depends,
    )
    return REGISTRY.add(record)


def general(
    evaluate: Callable,
    jvp: Callable | None,
    vjp: Callable | None,
    *,
    name: str,
    abstract: Callable[..., Aval],
    into: Callable[..., Call] | None = None,
    exact: str | Callable | None = None,
    view: bool = False,
    flops: Callable[..., float] = lambda avals, out, **params: float(out.size),
    samples: Callable[[], list] | None = None,
    excuse: str = "",
    batch: Callable | None = None,
    examples: Callable | str | None = None,
    inexact: str = "",
    device: Callable | None = None,
    kernel: Callable | str | None = None,
    depends: Callable | str | None = None,
) -> Primitive:
    """A primitive with both rules written out; ``None`` for both means live but without derivative."""
    return REGISTRY.add(
        Primitive(
            name=name,
            kind="general",
            evaluate=evaluate,
            abstract=abstract,
            jvp=jvp,
            vjp=vjp,
            exact=exact,
            into=into,
            view=view,
            flops=flops,
            samples=samples,
            excuse=excuse,
            batch=batch,
            examples=examples,
            inexact=inexact,
            device=device,
            kernel=kernel,
            depends=depends,
        )
    )
