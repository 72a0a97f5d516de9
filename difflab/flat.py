"""A user's function seen through flat lists of leaves: calling it and tracing it, and a gradient derived by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import copied, is_device_array, namespace, placed
from .backends.protocol import Source
from .builder import Shape
from .calls import ARRAY, Bound, describe, leaf_names, output_leaves
from .containers import Structure, flatten, same
from .errors import InputError
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
        device, results = self.bound.device, self.outputs(self.bound.plain(leaves))
        # Copies: it may return an argument.
        results = [np.array(out) if device == "cpu" else copied(placed(out, device)) for out in results]
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
        if bound.device == "cpu" and any(map(is_device_array, tape.constants.values())):
            self._refuse_apart(tape)
        self.found = outputs_of(tape)
        return tape

    def _refuse_apart(self, tape: Tape) -> None:
        """What is closed over on the GPU does not go with arguments on the host; what is traced may be anywhere."""
        leaves = [*self.bound.leaves, *tape.constants.values()]
        if not any(isinstance(leaf, Traced | Shape) for leaf in leaves):
            raise InputError(
                f"{describe(self.function)} closes over an array on the GPU, and its arguments are on the host; move "
                "them with cupy.asarray, or fetch the array with .get()"
            )

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
        device=bound.device,
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
        if _shape(value) != ():
            raise InputError(f"{name} is to return a scalar, and its value has shape {_shape(value)}")
        try:
            parts = self._parts(gradient)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{name} returned a gradient whose structure is not its argument's") from error
        for part, (shape, _) in zip(parts, self._expected, strict=True):
            if _shape(part) != shape:
                raise InputError(f"{name} returned a gradient of shape {_shape(part)} for a variable of shape {shape}")
        if self._bound.device == "gpu":
            value = placed(value, "gpu")
        own = _own if self._bound.device == "cpu" else _own_there
        return value, [own(part, dtype, leaves) for part, (_, dtype) in zip(parts, self._expected, strict=True)]

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


def _shape(value: Any) -> tuple[int, ...]:
    return value.shape if is_device_array(value) else np.shape(value)


def _own_there(part: Any, dtype: np.dtype, leaves: Sequence[Any]) -> Any:
    """The same on a GPU."""
    array = placed(part, "gpu")
    if array.dtype != dtype:
        return array.astype(dtype)
    shared = namespace(array).may_share_memory
    return array.copy() if any(shared(array, leaf) for leaf in leaves) else array


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
        raise InputError(
            f"{describe(function)} is given a dl.Shape, which has no data; only dl.trace and dl.sparsity take shapes"
        )


def require_tuples(primals: Any, tangents: Any, function: Callable) -> None:
    """Primals and tangents come in tuples, one entry per argument."""
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise InputError(
                f"jvp of {describe(function)}: {what} is a tuple with one entry per argument, as in (x,), and a "
                f"{type(given).__name__} was given"
            )
