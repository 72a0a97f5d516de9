"""A function prepared for differentiation: traced, checked against itself, compiled; then run many times."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optree

from .backends.protocol import Backend, Source
from .backends.protocol import Prepared as PreparedLeaves
from .builder import Shape
from .calls import ARRAY, NUMBER, SCALAR, Bound, bind, describe, finished, leaf_names, output_leaves
from .containers import LEAF, Structure, flatten, same, unflatten
from .errors import GuardError, InputError, TraceError, UnsupportedError
from .nesting import Nested, example
from .primitives.record import Traced
from .tape import Tape, show
from .tracing import trace_leaves
from .transforms.simplify import simplify

PROGRAMS = 16
"""A Prepared keeps at most so many programs; the least recently used goes."""


class Function:
    """A user's function seen through flat leaves: how to call it plainly and how to trace it."""

    def __init__(self, function: Callable, bound: Bound):
        self.function = function
        self.bound = bound
        self.structure: Structure | None = None

    def outputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Leaves of the result; remembers their structure."""
        args, kwargs = self.bound.rebuild(leaves)
        results, self.structure = output_leaves(self.function(*args, **kwargs), self.function)
        return results

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """The user's own function on plain arrays."""
        return [np.array(out) for out in self.outputs(self.bound.plain(leaves))]  # copies: it may return an argument

    def trace(self, *, names: bool = False) -> Tape:
        """Its tape at the bound arguments."""
        bound = self.bound
        examples = [
            leaf if isinstance(leaf, Traced) or kind is ARRAY else plain
            for leaf, kind, plain in zip(bound.leaves, bound.kinds, self._examples(), strict=True)
        ]
        return trace_leaves(self.outputs, examples, leaf_names(self.function, bound) if names else ())

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
        names=leaf_names(function, bound) if names else [],
        analytic=None if analytic is None else flat_gradient(analytic, bound),
        frozen=frozen,
    )
    return source, flat


def flat_gradient(
    function: Callable[..., tuple[Any, Any]], bound: Bound
) -> Callable[[Sequence[Any]], tuple[Any, list[Any]]]:
    """A hand-derived ``function(*args) -> (value, gradient)`` on flat leaves, its answer checked for structure."""

    alike = bound.single and bound.targets[0].plain
    shapes = [bound.avals[i].shape for i in bound.wrt]
    dtypes = [bound.avals[i].dtype for i in bound.wrt]

    def parts_of(gradient: Any) -> list[Any]:
        if alike:  # optree compares the structures itself, and raises ValueError where they differ
            return bound.targets[0].spec.flatten_up_to(gradient)
        parts: list[Any] = []
        trees = (gradient,) if bound.single else gradient
        if not isinstance(trees, tuple | list) or len(trees) != len(bound.targets):
            raise InputError(
                f"{describe(function)} is to return a tuple of {len(bound.targets)} gradients, one per entry of argnums"
            )
        for tree, target in zip(trees, bound.targets, strict=True):
            found, structure = flatten(tree)
            if not same(structure, target):
                raise ValueError("the structures differ")
            parts.extend(found)
        return parts

    def run(leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        args, kwargs = bound.rebuild(bound.plain(leaves))
        answer = function(*args, **kwargs)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise InputError(
                f"{describe(function)} is to return (value, gradient), and returned {type(answer).__name__}"
            )
        try:
            parts = parts_of(answer[1])
        except InputError:
            raise
        except ValueError as error:
            raise InputError(
                f"{describe(function)} returned a gradient whose structure is not its argument's"
            ) from error
        for part, shape in zip(parts, shapes, strict=True):
            if np.shape(part) != shape:
                raise InputError(
                    f"{describe(function)} returned a gradient of shape {np.shape(part)} for a variable of shape "
                    f"{shape}"
                )
        if np.shape(answer[0]) != ():
            raise InputError(
                f"{describe(function)} is to return a scalar, and its value has shape {np.shape(answer[0])}"
            )
        return answer[0], [_own(part, dtype, leaves) for part, dtype in zip(parts, dtypes, strict=True)]

    return run


def _own(part: Any, dtype: np.dtype, leaves: Sequence[Any]) -> np.ndarray:
    """A gradient in its variable's dtype that is not one of the arguments."""
    array = np.asarray(part, dtype)
    # An array that owns its memory can only be an argument itself; a view may be of one.
    shared = any(array is leaf or (array.base is not None and np.may_share_memory(array, leaf)) for leaf in leaves)
    return array.copy() if shared else array


def require_scalar(tape_or_value: Any, function: Callable) -> None:
    """Gradients are of functions with one output of shape ()."""
    if isinstance(tape_or_value, Tape):
        avals = [tape_or_value.avals[number] for number in tape_or_value.outputs]
    else:
        avals = [value for value in tape_or_value]
    if len(avals) != 1 or avals[0].shape != ():
        shapes = ", ".join(str(aval.shape) for aval in avals)
        raise InputError(
            f"gradient of {describe(function)} needs one output of shape (), and it returns shape {shapes}; reduce it "
            "with np.sum or np.mean, or use dl.vjp or dl.jvp"
        )
    if avals[0].dtype.kind not in "fc":
        raise InputError(
            f"gradient of {describe(function)} needs a floating-point output, and it returns {avals[0].dtype}"
        )


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


@np.errstate(all="ignore")
def check_trace(tape: Tape, flat: Function, leaves: Sequence[Any], draws: Any = None) -> None:
    """The tape must compute what the function computes, here and at one perturbed point.

    ``draws`` is the state of NumPy's global generator when the function was traced, if it drew numbers from it.

    Raises:
        TraceError: naming the likely cause.
    """
    rng = np.random.default_rng(20240229)
    perturbed = []
    for position, leaf in enumerate(leaves):
        array = np.array(leaf)
        if position in flat.bound.wrt:
            array = (array * (1 + 1e-3 * rng.standard_normal(array.shape))).astype(array.dtype)
        perturbed.append(array)
    for point, where in ((leaves, "at the example"), (perturbed, "at a point near the example")):
        if point is perturbed and not _same_path(tape, point):
            continue
        copies = [np.array(leaf) for leaf in point]
        if draws is not None:
            np.random.set_state(draws)  # noqa: NPY002 (the one that users draw from)
        expected = flat.call(copies)
        if any(not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in zip(copies, point, strict=True)):
            raise TraceError(
                f"{describe(flat.function)} writes into its own arguments, which a tape cannot do; work on a copy"
            )
        found = tape.evaluate([np.asarray(leaf) for leaf in point])
        for number, (a, b) in enumerate(zip(expected, found, strict=True)):
            a, b = np.asarray(a), np.asarray(b)
            if a.shape != b.shape or not _close(a, b):
                raise TraceError(
                    f"the trace of {describe(flat.function)} does not compute what the function does: output {number} "
                    f"{where} is {_brief(a)} and the tape gives {_brief(b)}; likely causes are hidden state, random "
                    "numbers, or an array changed in place while tracing"
                )


def _same_path(tape: Tape, point: Sequence[Any]) -> bool:
    """Whether Python would branch there as it did when tracing."""
    if not tape.guards:
        return True
    seen = tape.replay_all(
        [np.asarray(leaf) for leaf in point],
        lambda primitive, operands, params: primitive.evaluate(*operands, **params),
        None,
        [guard.value for guard in tape.guards],
    )
    return all(type(g.observed)(value) == g.observed for g, value in zip(tape.guards, seen, strict=True))


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    tolerance = 1e4 * float(np.finfo(a.dtype).eps)
    finite = np.isfinite(a)
    scale = float(np.max(np.abs(a[finite]), initial=0.0))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _brief(a: np.ndarray) -> str:
    return (
        f"{a.item():.6g}"
        if a.size == 1
        else np.array2string(a.ravel()[:3], precision=6) + (" ..." if a.size > 3 else "")
    )


def _key_orders(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Where dicts with several keys are inside, and their keys in order: optree's comparison sorts them."""
    if isinstance(tree, dict):
        here = [(path, tuple(tree))] if len(tree) > 1 else []
        return here + [found for key, value in tree.items() for found in _key_orders(value, (*path, key))]
    if isinstance(tree, tuple | list):
        return [found for index, value in enumerate(tree) for found in _key_orders(value, (*path, index))]
    return []


def _all_text(tree: Any) -> bool:
    """Whether all keys of all dicts inside are strings."""
    if isinstance(tree, dict):
        return all(type(key) is str and _all_text(value) for key, value in tree.items())
    return not isinstance(tree, tuple | list) or all(map(_all_text, tree))


def _same_orders(args: Any, orders: Sequence[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> bool:
    for path, keys in orders:
        node = args
        for step in path:
            node = node[step]
        if tuple(node) != keys:
            return False
    return True


class QuickBinding:
    """Recognises calls like the one that was prepared, without taking them apart in Python.

    Only calls whose containers optree knows and whose leaves are arrays or Python numbers of the same shapes, dtypes and
    static values are recognised; all others go the long way, with its error messages.
    """

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], bound: Bound):
        leaves, self._spec = optree.tree_flatten((tuple(args), kwargs))
        self._usable = len(leaves) == len(bound.all_leaves) == len(bound.live)
        self._expected = [(aval.shape, aval.dtype) for aval in bound.avals]
        self._numbers = [kind == NUMBER for kind in bound.kinds]
        self._usable &= all(kind in (NUMBER, ARRAY) for kind in bound.kinds)
        self._any_numbers = any(self._numbers)
        self._orders = _key_orders(args)
        # Keys that are equal but of other types (1 and True), and dicts among the keywords, go the long way.
        self._usable &= _all_text((tuple(args), kwargs)) and not _key_orders(tuple(kwargs.values()))

    def leaves(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any] | None:
        """The live leaves of a call that is alike, else ``None``."""
        if not self._usable:
            return None
        leaves, spec = optree.tree_flatten((args, kwargs))
        if spec != self._spec or not _same_orders(args, self._orders):
            return None
        if self._any_numbers:
            for position, number in enumerate(self._numbers):
                if number:
                    if type(leaves[position]) is not float:
                        return None
                    leaves[position] = np.asarray(leaves[position])
        for leaf, (shape, dtype) in zip(leaves, self._expected, strict=True):
            if type(leaf) is not np.ndarray or leaf.dtype != dtype or leaf.shape != shape:
                return None
        return leaves


class Prepared:
    """A derivative that was traced, transformed and compiled once, to be run many times.

    Made by ``difflab.prepare``.  ``p(*args)`` runs the operator it was prepared for; ``p.value``, ``p.gradient``,
    ``p.value_and_gradient``, ``p.jvp(primals, tangents)`` and ``p.vjp(*primals)`` run as well where the backend can.
    Arguments are live; what the function closes over was copied and stays as it was when prepared.  Arguments of
    another structure, shape, dtype or static value, or a branch that Python would take otherwise, are traced once
    more and kept (``p.stats["traces"]`` counts).  It may be called from several threads.
    """

    def __init__(
        self,
        function: Callable,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        argnums: Any,
        backend: Backend,
        operator: str,
        analytic: Callable[..., tuple[Any, Any]] | None = None,
    ):
        if operator not in backend.capabilities:
            raise UnsupportedError(
                f"backend {backend.name!r} cannot do {operator!r}; it can do "
                f"{', '.join(sorted(backend.capabilities & {'gradient', 'value_and_gradient', 'jvp', 'vjp'}))}"
            )
        self._function = function
        self._argnums = argnums
        self._backend = backend
        self._operator = operator
        self._analytic = analytic
        self._programs: list[tuple[Any, tuple[PreparedLeaves, Function, Source]]] = []  # least recently used first
        self._lock = threading.Lock()
        self._traces = 0
        bound = bind(function, args, kwargs, argnums)
        state = _generator_state()
        self._first, self._flat, _ = self._add(bound)
        self._bound = bound
        self._quick = QuickBinding(args, kwargs, bound)
        if state != _generator_state():
            warnings.warn(
                f"{describe(function)} draws from NumPy's global random generator; its numbers are frozen by prepare "
                "and will be the same in every run",
                stacklevel=3,
            )

    @property
    def backend(self) -> Backend:
        """The backend, with its options."""
        return self._backend

    @property
    def stats(self) -> dict[str, Any]:
        """What is known of the programs: ``traces``, and the backend's own notes on the first one."""
        return {"traces": self._traces, **self._first.stats}

    def _add(self, bound: Bound) -> tuple[PreparedLeaves, Function, Source]:
        require_data(bound, self._function)
        source, flat = make_source(self._function, bound, frozen=True, analytic=self._analytic, names=True)
        self._check(source, flat, bound)
        if self._operator in ("gradient", "value_and_gradient"):
            self._require_scalar(source, flat, bound)
        entry = (self._backend.prepare(source, self._operator, bound.leaves), flat, source)
        if flat.structure is None:  # a backend that never called the function
            flat.call(bound.leaves)
        with self._lock:
            self._traces += 1
            self._programs.append((bound.key, entry))
            del self._programs[:-PROGRAMS]
        return entry

    def _check(self, source: Source, flat: Function, bound: Bound) -> None:
        """Hold the tape against the function, with the same random numbers if it draws some."""
        before = np.random.get_state()  # noqa: NPY002
        try:
            tape = source.tape
        except Exception:
            if "black-box" not in self._backend.capabilities:
                raise
            return
        after = np.random.get_state()  # noqa: NPY002
        drawn = not all(map(np.array_equal, before, after))
        check_trace(tape, flat, bound.leaves, before if drawn else None)
        if drawn:
            np.random.set_state(after)  # noqa: NPY002

    def _known(self, key: Any) -> list[Any]:
        """The entries kept under a key, the most recently used first."""
        with self._lock:
            return [kept for kept in reversed(self._programs) if kept[0] == key]

    def _used(self, kept: Any) -> None:
        """Move to the end what was used, so that the least recently used goes first."""
        with self._lock:
            if self._programs[-1] is not kept and any(kept is other for other in self._programs):
                self._programs = [*[other for other in self._programs if other is not kept], kept]

    def _require_scalar(self, source: Source, flat: Function, bound: Bound) -> None:
        try:
            require_scalar(source.tape, self._function)
        except Exception:
            if "black-box" not in self._backend.capabilities:
                raise
            require_scalar(flat.call(bound.leaves), self._function)

    def _at_examples(self, bound: Bound) -> tuple[Function, Tape]:
        """The tape that takes the branches of traced arguments' examples; what it closes over is frozen as ever."""
        leaves = [example(leaf, plain) for leaf, plain in zip(bound.leaves, bound.plain(bound.leaves), strict=True)]
        args, kwargs = bound.rebuild(leaves)
        there = bind(self._function, args, kwargs, self._argnums)
        for _, (_, flat, source) in self._known(there.key):
            if _same_path(source.tape, there.leaves):
                return flat, source.tape
        _, flat, source = self._add(there)
        return flat, source.tape

    def _run(self, args: Sequence[Any], kwargs: dict[str, Any], action: Callable, along: bool = False) -> Any:
        """Run ``action(prepared, flat, bound, leaves)`` on the program whose guards agree, tracing again if none does.

        Inside another trace (traced arguments, or ``along``: traced tangents) the tape is replayed there.
        """
        leaves = None if along else self._quick.leaves(tuple(args), kwargs)
        if leaves is not None:
            try:
                return action(self._first, self._flat, self._bound, leaves)
            except GuardError:
                pass  # another branch: the long way finds or makes its program
        bound = bind(self._function, args, kwargs, self._argnums)
        if along or any(isinstance(leaf, Traced) for leaf in bound.leaves):
            flat, tape = self._at_examples(bound)
            return action(Nested(self._backend, tape, bound.wrt), flat, bound, bound.leaves)
        for kept in self._known(bound.key):
            prepared, flat, _ = kept[1]
            try:
                result = action(prepared, flat, bound, bound.leaves)
            except GuardError:
                continue
            self._used(kept)
            return result
        prepared, flat, _ = self._add(bound)
        return action(prepared, flat, bound, bound.leaves)

    def _need(self, operator: str) -> None:
        if operator not in self._backend.capabilities:
            raise UnsupportedError(f"backend {self._backend.name!r} cannot do {operator!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._operator == "jvp":
            return self.jvp(*args, **kwargs)
        return {"gradient": self.gradient, "value_and_gradient": self.value_and_gradient, "vjp": self.vjp}[
            self._operator
        ](*args, **kwargs)

    def value(self, *args: Any, **kwargs: Any) -> Any:
        """The function's own value."""
        return self._run(args, kwargs, lambda p, flat, bound, leaves: value_tree(flat, p.value(leaves)))

    def gradient(self, *args: Any, **kwargs: Any) -> Any:
        """The gradient, in the structure of ``args[argnums]``."""
        return self.value_and_gradient(*args, **kwargs)[1]

    def value_and_gradient(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The value and the gradient."""
        self._need("value_and_gradient")

        def action(prepared: PreparedLeaves, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Any]:
            value, gradients = prepared.value_and_gradient(leaves)
            return value_tree(flat, [value]), bound.gradient_tree(gradients)

        return self._run(args, kwargs, action)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **kwargs: Any) -> tuple[Any, Any]:
        """The value and its tangent; tangents have the structure of the differentiated primals."""
        self._need("jvp")

        def action(prepared: PreparedLeaves, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Any]:
            values, slopes = prepared.jvp(leaves, tangent_leaves(tangents, bound, self._function))
            return value_tree(flat, values), value_tree(flat, slopes)

        require_tuples(primals, tangents, self._function)
        along = any(isinstance(leaf, Traced) for leaf in flatten(tuple(tangents))[0])
        return self._run(primals, kwargs, action, along)

    def vjp(self, *primals: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """The value and a pullback that owns what it needs."""
        self._need("vjp")

        def action(prepared: PreparedLeaves, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Callable]:
            values, pullback = prepared.vjp(leaves)
            structure = flat.structure
            assert structure is not None

            kept = [leaf if isinstance(leaf, Traced) else np.array(leaf) for leaf in leaves]

            def pull(cotangent: Any) -> Any:
                given = cotangent_leaves(cotangent, values, structure, self._function)
                if any(isinstance(leaf, Traced) for leaf in given):
                    _, tape = self._at_examples(replace(bound, leaves=kept))
                    results = Nested(self._backend, tape, bound.wrt).pullback(kept, given)
                else:
                    results = pullback(given)
                tree = bound.gradient_tree(results)
                return (tree,) if bound.single else tree

            return value_tree(flat, values), pull

        return self._run(primals, kwargs, action)


def _generator_state() -> tuple[bytes, int]:
    """NumPy's global generator: its key, and how much of it was used."""
    _, key, position, *_ = np.random.get_state()
    return np.asarray(key).tobytes(), int(position)  # type: ignore[arg-type]


def value_tree(flat: Function, values: Sequence[Any]) -> Any:
    """Outputs in the function's own structure; those of shape () are NumPy scalars."""
    assert flat.structure is not None
    if len(values) == 1 and flat.structure is LEAF:
        value = values[0]
        return value if isinstance(value, np.generic) or np.ndim(value) else finished(value, SCALAR)
    return unflatten(flat.structure, [finished(v, SCALAR if np.ndim(v) == 0 else ARRAY) for v in values])


def tangent_leaves(tangents: Sequence[Any], bound: Bound, function: Callable) -> list[Any]:
    """Tangents as leaves, checked against the primals they belong to."""
    tangents = tuple(tangents)
    if len(tangents) != len(bound.targets):
        raise InputError(
            f"jvp of {describe(function)}: {len(tangents)} tangents for {len(bound.targets)} differentiated primals"
        )
    leaves: list[Any] = []
    for tree, target in zip(tangents, bound.targets, strict=True):
        parts, structure = flatten(tree)
        if not same(structure, target):
            raise InputError(f"jvp of {describe(function)}: a tangent does not have the structure of its primal")
        leaves.extend(parts)
    return [
        matched(leaf, bound.avals[i], f"jvp of {describe(function)}: a tangent")
        for leaf, i in zip(leaves, bound.wrt, strict=True)
    ]


def cotangent_leaves(cotangent: Any, values: Sequence[Any], structure: Structure, function: Callable) -> list[Any]:
    """Cotangents as leaves, checked against the outputs they belong to."""
    leaves, found = flatten(cotangent)
    if not same(found, structure):
        raise InputError(f"vjp of {describe(function)}: the cotangent does not have the structure of the output")
    return [
        matched(leaf, value, f"vjp of {describe(function)}: a cotangent")
        for leaf, value in zip(leaves, values, strict=True)
    ]


def matched(leaf: Any, like: Any, what: str) -> Any:
    """A tangent or cotangent of the right shape, in the dtype of what it belongs to."""
    if isinstance(leaf, Traced):
        if leaf.shape != like.shape:  # type: ignore[attr-defined]
            raise InputError(f"{what} of shape {leaf.shape} belongs to a value of shape {like.shape}")  # type: ignore[attr-defined]
        return leaf.astype(like.dtype)  # type: ignore[attr-defined]
    array = np.asarray(leaf)
    if array.shape != like.shape:
        raise InputError(f"{what} of shape {array.shape} belongs to a value of shape {like.shape}")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} is {show(like)} and was given as {array.dtype}")
    return np.array(array, dtype=like.dtype)


def simplified(source: Source) -> Tape:
    """The source's tape, simplified; for forecasts."""
    return simplify(source.tape)
