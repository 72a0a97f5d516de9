"""From a call with containers to a flat list of live arrays, and back.

Float and complex numbers and all arrays are *live*: they are arguments of the tape.  Everything else in the
containers (integers, strings, booleans, ``None``, callables) is *static*: part of the program's key.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import is_device_array, to_device
from .builder import Shape, aval_of
from .containers import Structure, dict_orders, flatten, paths, unflatten
from .elements import holds_numbers, joined
from .errors import InputError, TraceError
from .primitives.record import Aval, Traced

NUMBER, SCALAR, ARRAY = "number", "scalar", "array"
STATIC_BY_VALUE = (int, str, bool, bytes, slice, range)


@dataclass(frozen=True)
class Bound:
    """The arguments of one call, taken apart.

    ``leaves`` are the live ones; ``kinds`` says for each whether it was a Python number, a NumPy scalar or an array;
    ``wrt`` are the positions among them to differentiate; ``all_leaves`` holds the static ones in their places.
    ``device`` is where the leaves are: "cpu", or "gpu" where an argument is CuPy's array; numbers are uploaded then.
    """

    structures: tuple[Structure, ...]
    orders: tuple[Any, ...]
    keywords: tuple[str, ...]
    all_leaves: tuple[Any, ...]
    live: tuple[int, ...]
    leaves: list[Any]
    kinds: tuple[str, ...]
    avals: tuple[Aval, ...]
    wrt: tuple[int, ...]
    targets: tuple[Structure, ...]
    single: bool
    all_arrays: bool
    device: str = "cpu"

    @property
    def key(self) -> Hashable:
        """Calls with the same key run the same programs (guards aside)."""
        live = set(self.live)
        statics = tuple(
            (type(leaf), repr(leaf) if isinstance(leaf, STATIC_BY_VALUE) else id(leaf))
            for position, leaf in enumerate(self.all_leaves)
            if position not in live
        )
        return self.structures, self.orders, self.keywords, statics, self.avals, self.kinds, self.wrt, self.device

    @property
    def places(self) -> list[str]:
        """Where the leaves to differentiate lie in what a gradient looks like, as in ``['w1']``."""
        if self.single:
            return paths(self.targets[0], "")
        return [place for number, target in enumerate(self.targets) for place in paths(target, f"[{number}]")]

    def rebuild(self, leaves: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments with ``leaves`` in place of the live ones."""
        if len(self.live) == len(self.all_leaves):
            everything = list(leaves)
        else:
            everything = list(self.all_leaves)
            for position, leaf in zip(self.live, leaves, strict=True):
                everything[position] = leaf
        trees = []
        at = 0
        for structure in self.structures:
            trees.append(unflatten(structure, everything[at : at + structure.size]))
            at += structure.size
        positional = len(trees) - len(self.keywords)
        return trees[:positional], dict(zip(self.keywords, trees[positional:], strict=True))

    def plain(self, leaves: Sequence[Any]) -> list[Any]:
        """Leaves as the user's own function expects them: Python numbers, NumPy scalars or arrays."""
        if self.all_arrays:
            return list(leaves)
        return [_as_given(leaf, kind) for leaf, kind in zip(leaves, self.kinds, strict=True)]

    def gradient_tree(self, gradients: Sequence[Any]) -> Any:
        """Gradients in the structure of the differentiated arguments; a tuple for a tuple of ``argnums``."""
        at = 0
        trees = []
        if self.single and self.all_arrays:
            gradients = [g if type(g) is np.ndarray else finished(g, ARRAY) for g in gradients]
            return unflatten(self.targets[0], gradients)
        for structure in self.targets:
            part = gradients[at : at + structure.size]
            kinds = [self.kinds[i] for i in self.wrt[at : at + structure.size]]
            trees.append(unflatten(structure, [finished(g, kind) for g, kind in zip(part, kinds, strict=True)]))
            at += structure.size
        return trees[0] if self.single else tuple(trees)


def _as_given(leaf: Any, kind: str) -> Any:
    """An array as what it was in the call; on a GPU what was a NumPy scalar stays an array of shape () there."""
    if kind is ARRAY:
        return leaf
    if type(leaf) is not np.ndarray and is_device_array(leaf):
        return leaf.item() if kind is NUMBER else leaf
    return np.asarray(leaf).item() if kind is NUMBER else np.asarray(leaf)[()]


def finished(result: Any, kind: str) -> Any:
    """A NumPy scalar for what was a number, an array for what was an array; what is traced or on a GPU stays as is."""
    if type(result) is not np.ndarray and (isinstance(result, Traced) or is_device_array(result)):
        return result
    return np.asarray(result) if kind is ARRAY else np.asarray(result)[()]


def is_live(leaf: Any) -> bool:
    """Whether a leaf is an argument of the tape rather than part of the program's key."""
    kind = type(leaf)
    if kind is np.ndarray or kind is float:
        return True
    return isinstance(leaf, np.ndarray | np.generic | complex | Traced | Shape | float) or is_device_array(leaf)


def normal_argnums(argnums: Any, count: int, name: str) -> tuple[tuple[int, ...], bool]:
    """Non-negative positions, and whether one was asked for rather than a tuple."""
    single = not isinstance(argnums, tuple | list)
    positions = []
    for number in (argnums,) if single else argnums:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            raise InputError(f"argnums={argnums!r} for {name}: it is an integer or a tuple of integers")
        if not -count <= number < count:
            raise InputError(f"argnums={argnums!r} for {name}: the call has {count} positional arguments")
        positions.append(int(number) % count)
    if len(set(positions)) != len(positions):
        raise InputError(f"argnums={argnums!r} for {name} names an argument twice")
    return tuple(positions), single


def bind(function: Callable, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any) -> Bound:
    """Take a call apart.

    Raises:
        InputError: a differentiated leaf that is not a floating-point number or array, or NumPy's arrays among CuPy's,
            by their paths.
    """
    positions, single = normal_argnums(argnums, len(args), describe(function))
    keywords = tuple(kwargs)
    structures, all_leaves, live, leaves, kinds, avals, wrt = [], [], [], [], [], [], []
    wrt_by_argument: dict[int, list[int]] = {position: [] for position in positions}
    device = "cpu"
    for position, tree in enumerate((*args, *kwargs.values())):
        parts, structure = _flatten(tree)
        structures.append(structure)
        differentiated = position in wrt_by_argument
        for index, leaf in enumerate(parts):
            if type(leaf) is np.ndarray and leaf.dtype.kind in ("fc" if differentiated else "biufc"):
                if differentiated:
                    wrt_by_argument[position].append(len(leaves))
                live.append(len(all_leaves))
                leaves.append(leaf)
                kinds.append(ARRAY)
                avals.append(Aval(leaf.shape, leaf.dtype))
                all_leaves.append(leaf)
                continue
            alive = is_live(leaf)
            if differentiated and not (alive and _kind_of(leaf) in "fc"):
                raise _not_differentiable(function, args, position, structure, index, leaf)
            if type(leaf) is not np.ndarray and isinstance(leaf, np.matrix | np.ma.MaskedArray):
                raise InputError(
                    f"{describe(function)} is given a {type(leaf).__name__}, whose operations are not those of arrays; "
                    "convert it with np.asarray, or pass values and mask as two arrays"
                )
            if alive and _kind_of(leaf) not in "biufc":
                root = argument_name(function, position) if position < len(args) else keywords[position - len(args)]
                raise InputError(
                    f"{describe(function)} is given {paths(structure, root)[index]} of dtype {leaf.dtype}: "
                    "arrays of numbers and booleans can be traced, others not"
                )
            if alive:
                if differentiated:
                    wrt_by_argument[position].append(len(leaves))
                kind, aval, array = _leaf(leaf)
                if kind is ARRAY and is_device_array(leaf):
                    device = "gpu"
                live.append(len(all_leaves))
                leaves.append(array)
                kinds.append(kind)
                avals.append(aval)
            all_leaves.append(leaf)
    for position in positions:
        wrt.extend(wrt_by_argument[position])
    if device == "gpu":
        leaves = [leaf if isinstance(leaf, Traced | Shape) else to_device(leaf) for leaf in leaves]
    bound = Bound(
        structures=tuple(structures),
        orders=dict_orders((*args, *kwargs.values())),
        keywords=keywords,
        all_leaves=tuple(all_leaves),
        live=tuple(live),
        leaves=leaves,
        kinds=tuple(kinds),
        avals=tuple(avals),
        wrt=tuple(wrt),
        targets=tuple(structures[position] for position in positions),
        single=single,
        all_arrays=all(kind is ARRAY for kind in kinds),
        device=device,
    )
    if device == "gpu":
        _refuse_both(function, bound)
    return bound


def _refuse_both(function: Callable, bound: Bound) -> None:
    """NumPy's arrays do not go with CuPy's; to copy them at every call is for the user to say."""
    given = [bound.all_leaves[position] for position in bound.live]
    on_host = [number for number, leaf in enumerate(given) if isinstance(leaf, np.ndarray)]
    if on_host:
        names = leaf_names(function, bound)
        there = next(name for name, leaf in zip(names, given, strict=True) if is_device_array(leaf))
        raise InputError(
            f"{names[on_host[0]]} is a NumPy array and {there} is on the GPU; move one with cupy.asarray or .get()"
        )


def _kind_of(leaf: Any) -> str:
    """The kind of a live leaf's dtype."""
    return leaf.dtype.kind if not isinstance(leaf, float | complex) else "c" if isinstance(leaf, complex) else "f"


def _flatten(tree: Any) -> tuple[list[Any], Structure]:
    # A Shape is a named tuple, which optree would take apart.
    if isinstance(tree, Shape):
        return [tree], flatten(0)[1]
    parts, structure = flatten(tree)
    return parts, structure


def _leaf(leaf: Any) -> tuple[str, Aval, Any]:
    if type(leaf) is np.ndarray:
        return ARRAY, Aval(leaf.shape, leaf.dtype), leaf
    if isinstance(leaf, Traced | Shape):
        return ARRAY, aval_of(leaf), leaf
    if isinstance(leaf, np.generic):
        return SCALAR, Aval((), leaf.dtype), np.asarray(leaf)
    if isinstance(leaf, float | complex):
        return NUMBER, Aval((), np.dtype(complex if isinstance(leaf, complex) else float), True), np.asarray(leaf)
    return ARRAY, Aval(leaf.shape, leaf.dtype), leaf


def describe(function: Callable) -> str:
    """A function's name for messages."""
    while isinstance(function, functools.partial):
        function = function.func
    return f"`{getattr(function, '__name__', type(function).__name__)}`"


def argument_names(function: Callable, count: int) -> list[str]:
    """The names of the first positional arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-ins have no signature
        parameters = ()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return [*names, *[f"args[{position}]" for position in range(len(names), count)]]


def argument_name(function: Callable, position: int) -> str:
    """The name of a positional argument."""
    return argument_names(function, position + 1)[position]


def leaf_names(function: Callable, bound: Bound) -> list[str]:
    """A name for each live leaf, as in ``params['w1']``."""
    everything: list[str] = []
    positional = len(bound.structures) - len(bound.keywords)
    for root, structure in zip((*argument_names(function, positional), *bound.keywords), bound.structures, strict=True):
        everything.extend(paths(structure, root))
    return [everything[position] for position in bound.live]


def _not_differentiable(
    function: Callable, args: Sequence[Any], position: int, structure: Structure, index: int, leaf: Any
) -> InputError:
    where = paths(structure, argument_name(function, position))[index]
    array = isinstance(leaf, np.ndarray | np.generic) or is_device_array(leaf)
    what = f"an array of dtype {leaf.dtype}" if array else f"{type(leaf).__name__}"
    return InputError(
        f"cannot differentiate {describe(function)} with respect to {where}, which is {what}: only floating-point "
        "numbers and arrays have gradients; convert it with float(...) or .astype(float), or move it to another "
        "argument"
    )


def output_leaves(outputs: Any, function: Callable) -> tuple[list[Any], Structure]:
    """The leaves of a function's result; ``None`` and non-numbers are faults."""
    leaves, structure = flatten(outputs)
    if not leaves:
        raise TraceError(f"{describe(function)} returned {outputs!r}, which holds no array; did you forget `return`?")
    leaves = [joined(leaf) if holds_numbers(leaf) else leaf for leaf in leaves]
    for leaf in leaves:
        if not isinstance(leaf, Traced | np.ndarray | np.generic | float | int | complex) and not is_device_array(leaf):
            raise TraceError(f"{describe(function)} returned a {type(leaf).__name__}, not an array or number")
    return leaves, structure
