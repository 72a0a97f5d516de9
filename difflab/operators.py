"""The operators: gradient, value_and_gradient, jvp, vjp, prepare; those that give matrices are in ``jacobians``.

Called with traced values, or on a function that closes over them, an operator runs inside the enclosing trace: the
derivative tape is replayed onto it and nothing is compiled.  That is all that nesting takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import numpy_functions  # noqa: F401 (fills the table of NumPy functions)
from .arrays import copied
from .backends import resolve
from .backends.analytic import Analytic
from .backends.protocol import Backend, Source
from .backends.ways import known, require, require_device
from .calls import Bound, bind, describe, finished
from .errors import InputError
from .flat import Function, make_source, require_data, require_scalar, require_tuples
from .nesting import inside, lifted, ready
from .prepared import Prepared
from .primitives.record import Traced
from .transforms.second_order import outputs_of
from .trees import cotangent_leaves, tangent_leaves, value_tree


def _analytic_function(backend: Backend, given: Callable | None = None) -> Callable | None:
    return backend.function if isinstance(backend, Analytic) and backend.function is not None else given


def source(
    function: Callable,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    argnums: Any = 0,
    analytic: Callable[..., tuple[Any, Any]] | None = None,
) -> Source:
    """What a backend is given to prepare, for those who drive backends themselves (the harness does).

    Args:
        function: plain NumPy function.
        args: example arguments.
        kwargs: keyword arguments, never differentiated.
        argnums: position or positions to differentiate.
        analytic: hand-derived ``analytic(*args) -> (value, gradient)``.

    Returns:
        The source: flat leaves, a traced tape on demand, the plain call.

    Example:
        >>> len(source(lambda x: np.sin(x), (1.0,)).tape)
        1
    """
    bound = bind(function, args, kwargs or {}, argnums)
    return make_source(function, bound, frozen=True, analytic=analytic, names=True)[0]


def unprepared(
    function: Callable, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any, backend: Backend | None
) -> tuple[Bound, Source, Function, bool]:
    """Trace afresh; say whether the call lies inside another trace.

    Args:
        function: the user's.
        args: of this call.
        kwargs: of this call.
        argnums: position or positions to differentiate.
        backend: only a black-box one lets a function pass that cannot be traced.

    Returns:
        The call taken apart, what a backend needs, the function on flat leaves, and whether it is nested.
    """
    bound = bind(function, args, kwargs, argnums)
    analytic = None if backend is None else _analytic_function(backend)
    made, flat = make_source(function, bound, frozen=False, analytic=analytic)
    require_data(bound, function)
    nested = any(isinstance(leaf, Traced) for leaf in bound.leaves) or _closes_over_traced(made, backend)
    return bound, made, flat, nested


def _closes_over_traced(made: Source, backend: Backend | None) -> bool:
    try:
        return any(isinstance(constant, Traced) for constant in made.tape.constants.values())
    except Exception:
        # A black box may dislike traced arrays in its own way; every other backend needs the tape.
        if backend is None or "black-box" not in backend.capabilities:
            raise
        return False


def gradient(function: Callable, argnums: Any = 0, backend: str | Backend = "reverse") -> Callable[..., Any]:
    """The gradient of a scalar function.

    Args:
        function: plain NumPy function with one output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.

    Returns:
        A function of the same arguments that returns the gradient in the structure of ``args[argnums]``, a tuple for a
        tuple of ``argnums``; dtypes are those of the variables.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> gradient(lambda x: x * x)(3.0)
        np.float64(6.0)
    """
    both = value_and_gradient(function, argnums, backend)

    def run(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return run


def value_and_gradient(
    function: Callable, argnums: Any = 0, backend: str | Backend = "reverse"
) -> Callable[..., tuple[Any, Any]]:
    """The value and the gradient of a scalar function, computed together.

    Args:
        function: plain NumPy function with one output of shape ().
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value.

    Returns:
        A function of the same arguments that returns ``(value, gradient)``.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.

    Example:
        >>> value_and_gradient(lambda x, y: x * y, argnums=(0, 1))(2.0, 5.0)
        (np.float64(10.0), (np.float64(5.0), np.float64(2.0)))
    """
    chosen = resolve(backend)
    native = require(chosen, "value_and_gradient").kind == "native"
    require_argnums(argnums, function, "gradient")

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        bound, made, flat, nested = unprepared(function, args, kwargs, argnums, chosen)
        require_scalar(found_outputs(made, flat, bound, nested), function)
        if nested:
            value, gradients = inside(chosen, made.tape, bound.wrt).value_and_gradient(lifted(made.tape, bound.leaves))
            return value, bound.gradient_tree(gradients)
        if native:
            require_device(chosen, made.device)
            prepared = chosen.prepare(made, "value_and_gradient", bound.leaves)
        else:
            prepared = ready(chosen, made, "value_and_gradient")
        value, gradients = prepared.value_and_gradient(bound.leaves)
        return finished(value, "scalar"), bound.gradient_tree(gradients)

    return run


def require_argnums(argnums: Any, function: Callable, operator: str) -> None:
    """A function is given, and ``argnums`` are numbers, not the arguments themselves.

    Args:
        argnums: as the user gave them.
        function: named in the message.
        operator: likewise.

    Raises:
        InputError: they are not.
    """
    if not callable(function):
        raise InputError(f"dl.{operator} takes a function, and a {type(function).__name__} was given")
    if not isinstance(argnums, int | np.integer | tuple | list):
        raise InputError(
            f"argnums of {describe(function)} is an integer or a tuple of integers, not {type(argnums).__name__}; to "
            f"differentiate at given arguments write dl.{operator}(function)(*arguments)"
        )


def found_outputs(made: Source, flat: Function, bound: Bound, nested: bool) -> Sequence[Any]:
    """Shapes and dtypes of the outputs: from the trace, or by calling a black box once.

    Args:
        made: what traces.
        flat: what was traced, if it can be.
        bound: the arguments.
        nested: inside another trace, where no black box can be called.

    Returns:
        One aval per output.
    """
    if nested:
        return outputs_of(made.tape)
    if not flat.found:
        flat.call(bound.leaves)
    return flat.found


def jvp(
    function: Callable, primals: Sequence[Any], tangents: Sequence[Any], backend: str | Backend = "forward"
) -> tuple[Any, Any]:
    """The value and its tangent: the Jacobian times a vector, without the Jacobian.

    Args:
        function: plain NumPy function; arguments and outputs may be containers.
        primals: tuple of arguments.
        tangents: tuple of the same structure, shapes and dtypes.
        backend: a name or a backend value.

    Returns:
        ``(value, tangent)``, both in the structure of the output.

    Raises:
        InputError, TraceError, UnsupportedError: in a sentence.

    Example:
        >>> jvp(lambda x: x * x, (3.0,), (2.0,))
        (np.float64(9.0), np.float64(12.0))
    """
    chosen = resolve(backend)
    require(chosen, "jvp")
    require_tuples(primals, tangents, function)
    argnums = tuple(range(len(primals)))
    bound, made, flat, nested = unprepared(function, primals, {}, argnums, chosen)
    directions = tangent_leaves(tangents, bound, function)
    if nested or any(isinstance(leaf, Traced) for leaf in directions):
        leaves = lifted(made.tape, bound.leaves, directions)
        values, slopes = inside(chosen, made.tape, bound.wrt).jvp(leaves, directions)
    else:
        values, slopes = ready(chosen, made, "jvp").jvp(bound.leaves, directions)
        if flat.structure is None:
            flat.call(bound.leaves)
    return value_tree(flat, values), value_tree(flat, slopes)


def vjp(function: Callable, *primals: Any, backend: str | Backend = "reverse") -> tuple[Any, Callable[[Any], tuple]]:
    """The value and a pullback: a row vector times the Jacobian, without the Jacobian.

    Args:
        function: plain NumPy function; arguments and outputs may be containers.
        primals: its arguments.
        backend: a name or a backend value.

    Returns:
        ``(value, pullback)``; ``pullback(cotangent)`` takes the structure of the output and returns a tuple with one
        entry per primal.  It runs the forward part once, owns its residuals and may be called again and again.

    Raises:
        InputError, TraceError, UnsupportedError: in a sentence.

    Example:
        >>> value, pullback = vjp(lambda x, y: x * y, 2.0, 5.0)
        >>> pullback(1.0)
        (np.float64(5.0), np.float64(2.0))
    """
    chosen = resolve(backend)
    require(chosen, "vjp")
    argnums = tuple(range(len(primals)))
    bound, made, flat, nested = unprepared(function, primals, {}, argnums, chosen)
    if nested:
        leaves = lifted(made.tape, bound.leaves)
        values, pullback = inside(chosen, made.tape, bound.wrt).vjp(leaves)
    else:
        leaves = [copied(leaf) for leaf in bound.leaves]
        values, pullback = ready(chosen, made, "vjp").vjp(bound.leaves)
        if flat.structure is None:
            flat.call(bound.leaves)

    def pull(cotangent: Any) -> tuple:
        assert flat.structure is not None
        given = cotangent_leaves(cotangent, values, flat.structure, function)
        if not nested and any(isinstance(leaf, Traced) for leaf in given):
            there = inside(chosen, made.tape, bound.wrt).vjp(lifted(made.tape, leaves, given))[1]
            return bound.gradient_tree(there(given))
        return bound.gradient_tree(pullback(given))

    return value_tree(flat, values), pull


def prepare(
    function: Callable,
    *args: Any,
    argnums: Any = None,
    backend: str | Backend | None = None,
    operator: str = "gradient",
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    sparse: Any = False,
    **kwargs: Any,
) -> Prepared:
    """Trace, check, transform and compile once, to run many times.

    Arguments are live at every run.  What the function closes over is frozen: it is copied now.

    Args:
        function: plain NumPy function.
        args: example arguments; their values matter only where Python branches on them.
        argnums: position or positions to differentiate; ``None`` is the first, and for "jvp" and "vjp" all of them.
        backend: a name or a backend value; ``None`` is "reverse", for "jvp" "forward", and for "jacobian" the one
            that needs fewer passes.
        operator: "gradient", "value_and_gradient", "jvp", "vjp", "jacobian", "hvp" or "hessian".
        analytic: hand-derived gradient for backend "analytic", ``analytic(*args) -> (value, gradient)``.
        sparse: for "jacobian" and "hessian", as there: ``True`` finds and colours the pattern once, and
            ``p.jacobian`` and ``p.hessian`` return sparse matrices; a pattern of one's own is trusted.  Where the
            pattern depends on integers or booleans among the arguments, it is found anew when those change.
        kwargs: keyword arguments of the function, never differentiated.

    Returns:
        A ``Prepared``; of sparse ones ``stats`` has the ``nonzeros``, the ``products`` J s and r J, why the pattern or
        the way is dense, and seconds.

    Raises:
        TraceError: also when the tape does not compute what the function computes.

    Example:
        >>> prepared = prepare(lambda x: x * x, 3.0)
        >>> prepared.gradient(4.0)
        np.float64(8.0)
    """
    known(operator)
    if sparse is not False and operator not in ("jacobian", "hessian"):
        raise InputError(f"sparse= is for the operators 'jacobian' and 'hessian', and {operator!r} was to be prepared")
    if backend is None and operator != "jacobian":
        backend = "forward" if operator == "jvp" else "reverse"
    chosen = None if backend is None else resolve(backend)
    if argnums is None:
        argnums = tuple(range(len(args))) if operator in ("jvp", "vjp") else 0
    return Prepared(
        function,
        args,
        kwargs,
        argnums=argnums,
        backend=chosen,
        operator=operator,
        analytic=analytic if chosen is None else _analytic_function(chosen, analytic),
        sparse=sparse,
    )


__all__ = ["gradient", "jvp", "prepare", "source", "value_and_gradient", "vjp"]
