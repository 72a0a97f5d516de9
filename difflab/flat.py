"""A user's function seen through flat lists of leaves: calling it, tracing it, and checking one against the other."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .backends.protocol import Source
from .builder import Shape
from .calls import ARRAY, Bound, describe, leaf_names, output_leaves
from .containers import Structure, flatten, same
from .errors import GuardError, InputError, TraceError
from .primitives.record import Aval, Traced
from .tape import Tape
from .tracing import trace_leaves
from .transforms.second_order import outputs_of


class Function:
    """A user's function seen through flat leaves: how to call it plainly and how to trace it."""

    def __init__(self, function: Callable, bound: Bound):
        self.function = function
        self.bound = bound
        self.structure: Structure | None = None
        self.found: list[Aval] = []  # shapes and dtypes of the outputs, once it was traced or called

    @functools.cached_property
    def names(self) -> list[str]:
        """A name for each live leaf."""
        return leaf_names(self.function, self.bound)

    def outputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Leaves of the result; remembers their structure."""
        args, kwargs = self.bound.rebuild(leaves)
        results, self.structure = output_leaves(self.function(*args, **kwargs), self.function)
        return results

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """The user's own function on plain arrays."""
        results = [np.array(out) for out in self.outputs(self.bound.plain(leaves))]  # copies: it may return an argument
        if not self.found:
            self.found = [Aval(result.shape, result.dtype) for result in results]
        return results

    def trace(self, *, names: bool = False) -> Tape:
        """Its tape at the bound arguments."""
        bound = self.bound
        examples = [
            leaf if isinstance(leaf, Traced) or kind is ARRAY else plain
            for leaf, kind, plain in zip(bound.leaves, bound.kinds, self._examples(), strict=True)
        ]
        tape = trace_leaves(self.outputs, examples, self.names if names else ())
        self.found = outputs_of(tape)
        return tape

    def _examples(self) -> list[Any]:
        """Numbers as they came, so that Python floats stay weak."""
        return [self.bound.all_leaves[position] for position in self.bound.live]


def make_source(
    function: Callable,
    bound: Bound,
    *,
    frozen: bool,
    analytic: Callable[..., tuple[Any, Any]] | None = None,
    names: bool = False,
) -> tuple[Source, Function]:
    """What a backend needs to know of a function."""
    flat = Function(function, bound)
    source = Source(
        call=flat.call,
        trace=lambda: flat.trace(names=names),
        example=bound.leaves,
        wrt=bound.wrt,
        names=flat.names if names else [],
        places=lambda: bound.places,
        analytic=None if analytic is None else FlatGradient(analytic, bound),
        frozen=frozen,
    )
    return source, flat


class FlatGradient:
    """A hand-derived ``function(*args) -> (value, gradient)`` on flat leaves, its answer checked for structure."""

    def __init__(self, function: Callable[..., tuple[Any, Any]], bound: Bound):
        self._function = function
        self._bound = bound
        self._alike = bound.single and bound.targets[0].plain
        self._expected = [(bound.avals[i].shape, bound.avals[i].dtype) for i in bound.wrt]

    def bare(self, leaves: Sequence[Any]) -> Callable[[], tuple[Any, Any]]:
        """The function with its arguments in place."""
        args, kwargs = self._bound.rebuild(self._bound.plain(leaves))
        return lambda: self._function(*args, **kwargs)

    def __call__(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The value and one gradient per differentiated leaf."""
        name = describe(self._function)
        answer = self.bare(leaves)()
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise InputError(f"{name} is to return (value, gradient), and returned {type(answer).__name__}")
        value, gradient = answer
        if np.shape(value) != ():
            raise InputError(f"{name} is to return a scalar, and its value has shape {np.shape(value)}")
        try:
            parts = self._parts(gradient)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{name} returned a gradient whose structure is not its argument's") from error
        for part, (shape, _) in zip(parts, self._expected, strict=True):
            if np.shape(part) != shape:
                raise InputError(
                    f"{name} returned a gradient of shape {np.shape(part)} for a variable of shape {shape}"
                )
        return value, [_own(part, dtype, leaves) for part, (_, dtype) in zip(parts, self._expected, strict=True)]

    def _parts(self, gradient: Any) -> list[Any]:
        targets = self._bound.targets
        if self._alike:  # optree compares the structures itself, and raises ValueError where they differ
            return targets[0].spec.flatten_up_to(gradient)
        trees = (gradient,) if self._bound.single else gradient
        if not isinstance(trees, tuple | list) or len(trees) != len(targets):
            raise InputError(
                f"{describe(self._function)} is to return a tuple of {len(targets)} gradients, one per entry of argnums"
            )
        parts: list[Any] = []
        for tree, target in zip(trees, targets, strict=True):
            found, structure = flatten(tree)
            if not same(structure, target):
                raise ValueError("the structures differ")
            parts.extend(found)
        return parts


def _own(part: Any, dtype: np.dtype, leaves: Sequence[Any]) -> np.ndarray:
    """A gradient in its variable's dtype that is not one of the arguments."""
    array = np.asarray(part, dtype)
    # An array that owns its memory can only be an argument itself; a view may be of one.
    if array.base is None:
        return array.copy() if any(array is leaf for leaf in leaves) else array
    return array.copy() if any(np.may_share_memory(array, leaf) for leaf in leaves) else array


def require_scalar(outputs: Tape | Sequence[Any], function: Callable, operator: str = "gradient") -> None:
    """Gradients and Hessians are of functions with one real output of shape ().

    Args:
        outputs: what has the shapes and dtypes of the outputs: a tape, avals or arrays.
        function: named in the message.
        operator: likewise.

    Raises:
        InputError: the function returns something else.
    """
    avals = outputs_of(outputs) if isinstance(outputs, Tape) else outputs
    where = f"{operator} of {describe(function)}"
    if len(avals) != 1 or avals[0].shape != ():
        shapes = ", ".join(str(aval.shape) for aval in avals)
        raise InputError(
            f"{where} needs one output of shape (), and it returns shape {shapes}; reduce it with np.sum or np.mean, "
            "or use dl.vjp, dl.jvp or dl.jacobian"
        )
    dtype = avals[0].dtype
    if dtype.kind == "c":
        raise InputError(
            f"{where} needs a real output, and it returns {dtype}; take np.real or np.abs of it, or use dl.jacobian"
        )
    if dtype.kind != "f":
        raise InputError(f"{where} needs a floating-point output, and it returns {dtype}")


def require_data(bound: Bound, function: Callable) -> None:
    """A ``Shape`` can be traced, not differentiated."""
    if any(isinstance(leaf, Shape) for leaf in bound.leaves):
        raise InputError(f"{describe(function)} is given a dl.Shape, which has no data; only dl.trace takes shapes")


def require_tuples(primals: Any, tangents: Any, function: Callable) -> None:
    """Primals and tangents come in tuples, one entry per argument."""
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise InputError(
                f"jvp of {describe(function)}: {what} is a tuple with one entry per argument, as in (x,), and a "
                f"{type(given).__name__} was given"
            )


FAR = "at a point far from the example"


@np.errstate(all="ignore")
def check_trace(tape: Tape, flat: Function, leaves: Sequence[Any], draws: Any = None) -> None:
    """The tape must compute what the function computes: here, at a point nearby, and at one far away.

    Nearby, what is not a constant shows; far away, with signs turned, what chooses takes other branches.  ``draws`` is
    the state of NumPy's global generator when the function was traced, if it drew numbers from it.

    Raises:
        TraceError: naming the likely cause.
    """
    # What was computed in float32 on the way is no more precise in a float64 result.
    dtypes = {aval.dtype for aval in tape.avals}
    rounding = max([float(np.finfo(dtype).eps) for dtype in dtypes if dtype.kind in "fc"], default=0.0)
    rng = np.random.default_rng(20240229)
    _compare(tape, flat, leaves, "at the example", 1e3 * rounding, draws)
    for where, centre, spread, tolerance in (
        ("at a point near the example", 1.0, 1e-3, 1e3 * rounding),
        # Far away a function may amplify rounding; a branch that was frozen is wrong by far more.
        (FAR, -1.0, 0.5, max(1e-3, 1e3 * rounding)),
    ):
        moved = [np.array(leaf) for leaf in leaves]
        for position in flat.bound.wrt:
            factors = centre + spread * rng.standard_normal(moved[position].shape)
            moved[position] = (moved[position] * factors).astype(moved[position].dtype)
        if where != FAR:
            if same_path(tape, moved):
                _compare(tape, flat, moved, where, tolerance, draws)
            continue
        # So far away neither need exist (a matrix may have no factors there), and a warning would say nothing.
        with warnings.catch_warnings(), suppress(np.linalg.LinAlgError):
            warnings.simplefilter("ignore")
            if same_path(tape, moved):
                _compare(tape, flat, moved, where, tolerance, draws)


def _compare(tape: Tape, flat: Function, point: Sequence[Any], where: str, tolerance: float, draws: Any) -> None:
    """Raise unless tape and function agree at a point."""
    copies = [np.array(leaf) for leaf in point]
    if draws is not None:
        np.random.set_state(draws)  # noqa: NPY002 (the one that users draw from)
    try:
        expected = flat.call(copies)
    except Exception:
        if where != FAR:
            raise
        return  # so far away the function need not exist
    if not all(map(_untouched, copies, point)):
        raise TraceError(
            f"{describe(flat.function)} writes into its own arguments, which a tape cannot do; work on a copy"
        )
    try:
        found = tape.audit([np.asarray(leaf) for leaf in point])
    except np.linalg.LinAlgError:
        raise
    except ValueError as error:
        raise TraceError(
            f"the trace of {describe(flat.function)} cannot be trusted, for a primitive's shape rule is wrong: {error}"
        ) from error
    for number, (a, b) in enumerate(zip(expected, found, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        if where == FAR and a.shape == b.shape:  # beside its domain the one may say infinite and the other NaN
            known = np.isfinite(a) & np.isfinite(b)
            a, b = a[known], b[known]
        if where == FAR and a.shape == b.shape and np.isfinite(a).all() > np.isfinite(b).all():
            continue  # the function may know what to do there, as in ``except FloatingPointError``
        if a.shape != b.shape or not _close(a, b, tolerance):
            raise TraceError(
                f"the trace of {describe(flat.function)} does not compute what the function does: output {number} "
                f"{where} is {_brief(a)} and the tape gives {_brief(b)}; likely causes are hidden state, random "
                "numbers, an array changed in place while tracing, or a test of an argument's type (isinstance, "
                "np.isscalar), which a traced array answers otherwise"
            )


def same_path(tape: Tape, point: Sequence[Any]) -> bool:
    """Whether Python would branch there as it did when tracing."""
    if not tape.guards:
        return True
    try:
        seen = tape.replay_all(
            [np.asarray(leaf) for leaf in point],
            lambda primitive, operands, params: primitive.evaluate(*operands, **params),
            None,
            [guard.value for guard in tape.guards],
        )
    except GuardError:  # a mask selects another number of elements
        return False
    return all(type(g.observed)(value) == g.observed for g, value in zip(tape.guards, seen, strict=True))


def _untouched(copy: np.ndarray, leaf: Any) -> bool:
    """Whether a function left its argument as it was; what compares equal needs no look at NaN."""
    if copy.shape == leaf.shape and (copy == leaf).all():
        return True
    return bool(np.array_equal(copy, leaf, equal_nan=copy.dtype.kind in "fc"))


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    if (a == b).all():
        return True
    if a.dtype.kind not in "fc":
        return False
    finite = np.isfinite(a)
    scale = float(np.max(np.abs(a[finite]), initial=0.0))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _brief(a: np.ndarray) -> str:
    return (
        f"{a.item():.6g}"
        if a.size == 1
        else np.array2string(a.ravel()[:3], precision=6) + (" ..." if a.size > 3 else "")
    )
