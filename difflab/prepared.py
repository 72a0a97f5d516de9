"""A function prepared for differentiation: traced, checked against itself, compiled; then run many times."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import copied
from .backends import by_shape
from .backends.deduced import Deduced
from .backends.protocol import Backend, Source
from .backends.ways import require
from .calls import Bound, bind, describe
from .containers import flatten
from .errors import GuardError
from .execution.notes import settled
from .flat import Function, make_source, require_data, require_scalar, require_tuples
from .nesting import example, inside, lifted, ready
from .primitives.record import Traced
from .quick import QuickBinding
from .tape import Tape
from .trace_checks import check_trace
from .trees import (
    cotangent_leaves,
    hessian_tree,
    jacobian_tree,
    split_vector,
    tangent_leaves,
    value_tree,
    vector_leaves,
)

if TYPE_CHECKING:
    from .compressed import Matrices
    from .execution.exported import Formulas

OF_ONE_NUMBER = ("gradient", "value_and_gradient", "hvp", "hessian")

PROGRAMS = 16
"""A Prepared keeps at most so many programs; the least recently used goes."""


class Prepared:
    """A derivative that was traced, transformed and compiled once, to be run many times.

    Made by ``difflab.prepare``.  ``p(*args)`` runs the operator it was prepared for; ``p.value``, ``p.gradient``,
    ``p.value_and_gradient``, ``p.jvp(primals, tangents)``, ``p.vjp(*primals)``, ``p.jacobian``, ``p.hessian`` and
    ``p.hvp(*args, vector)`` run as well where the backend can, all by the ``argnums`` that were given to ``prepare``.
    Arguments are live; what the function closes over was copied and stays as it was when prepared.  Arguments of
    another structure, shape, dtype or static value, or a branch that Python would take otherwise, are traced once
    more and kept (``p.stats["traces"]`` counts).  It may be called from several threads.  Prepared with ``sparse=``,
    its Jacobians and Hessians are sparse; other integers that the pattern depends on get a pattern of their own.

    Example:
        >>> from difflab import prepare
        >>> prepared = prepare(lambda x: x * x * x, 2.0)
        >>> prepared.gradient(3.0), prepared.stats["traces"]
        (np.float64(27.0), 1)
    """

    def __init__(
        self,
        function: Callable,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        argnums: Any,
        backend: Backend | None,
        operator: str,
        analytic: Callable[..., tuple[Any, Any]] | None = None,
        sparse: Any = False,
    ):
        if backend is not None:
            require(backend, operator)
        self._function = function
        self._argnums = argnums
        self._operator = operator
        self._of_one_number = operator in OF_ONE_NUMBER
        self._analytic = analytic
        self._programs: list[tuple[Any, tuple[Deduced, Function, Source]]] = []  # least recently used first
        self._lock = threading.Lock()
        self._traces = 0
        self._matrices = None if sparse is False else _matrices(backend, sparse, operator)
        bound = bind(function, args, kwargs, argnums)
        state = _generator_state()
        source, flat = self._traced(bound)
        self._backend = by_shape(source.tape, bound.wrt) if backend is None else backend
        self._first, self._flat, _ = self._kept(bound, source, flat)
        if backend is None and self._matrices is not None:
            self._backend = self._first.backend
        self._bound = bound
        self._quick = QuickBinding(args, kwargs, bound)
        if state != _generator_state():
            warnings.warn(
                f"{describe(function)} draws from NumPy's global random generator; its numbers are frozen by prepare "
                "and will be the same in every run",
                stacklevel=3,
            )

    def __repr__(self) -> str:
        return f"<Prepared {self._operator} of {describe(self._function)} by {self._backend!r}, traces: {self._traces}>"

    @property
    def backend(self) -> Backend:
        """The backend, with its options."""
        return self._backend

    @property
    def stats(self) -> dict[str, Any]:
        """What is known of the programs: ``traces``, and the backend's own notes on the first one."""
        sparse = {} if self._matrices is None else self._matrices.stats
        return {"traces": self._traces, **settled(self._first.stats), **sparse}

    def _add(self, bound: Bound) -> tuple[Deduced, Function, Source]:
        return self._kept(bound, *self._traced(bound))

    def _traced(self, bound: Bound) -> tuple[Source, Function]:
        require_data(bound, self._function)
        return make_source(self._function, bound, frozen=True, analytic=self._analytic, names=True)

    def _kept(self, bound: Bound, source: Source, flat: Function) -> tuple[Deduced, Function, Source]:
        """What was traced, checked, compiled and remembered."""
        self._check(source, flat, bound)
        if self._of_one_number:
            self._require_scalar(flat, bound.leaves)
        if self._matrices is None:
            entry = (ready(self._backend, source, self._operator), flat, source)
        else:
            entry = (self._matrices.prepared(source, flat), flat, source)
        if flat.structure is None:  # a backend that never called the function
            flat.call(bound.leaves)
        with self._lock:
            self._traces += 1
            self._programs.append((bound.key, entry))
            del self._programs[:-PROGRAMS]
        return entry

    def _check(self, source: Source, flat: Function, bound: Bound) -> None:
        """Hold the tape against the function, with the same random numbers if it draws some."""
        before = np.random.get_state()  # noqa: NPY002 (the generator that users draw from)
        try:
            tape = source.tape
        except Exception:
            if "black-box" not in self._backend.capabilities:
                raise
            return
        after = np.random.get_state()  # noqa: NPY002 (the generator that users draw from)
        drawn = not all(map(np.array_equal, before, after))
        check_trace(tape, flat, bound.leaves, before if drawn else None)
        if drawn:
            np.random.set_state(after)  # noqa: NPY002 (the generator that users draw from)

    def _known(self, key: Any) -> list[Any]:
        """The entries kept under a key, the most recently used first."""
        with self._lock:
            return [kept for kept in reversed(self._programs) if kept[0] == key]

    def _used(self, kept: Any) -> None:
        """Move to the end what was used, so that the least recently used goes first."""
        with self._lock:
            if self._programs[-1] is not kept and any(kept is other for other in self._programs):
                self._programs = [*[other for other in self._programs if other is not kept], kept]

    def _require_scalar(self, flat: Function, leaves: Sequence[Any], operator: str = "") -> None:
        if not flat.found:  # a black box
            flat.call(leaves)
        operator = operator or self._operator
        require_scalar(flat.found, self._function, "gradient" if operator == "value_and_gradient" else operator)

    def _at_examples(self, bound: Bound) -> tuple[Function, Tape]:
        """The tape that takes the branches of traced arguments' examples; what it closes over is frozen as ever."""
        leaves = [example(leaf, plain) for leaf, plain in zip(bound.leaves, bound.plain(bound.leaves), strict=True)]
        args, kwargs = bound.rebuild(leaves)
        there = bind(self._function, args, kwargs, self._argnums)
        for _, (_, flat, source) in self._known(there.key):
            if source.tape.follows(there.leaves):
                return flat, source.tape
        _, flat, source = self._add(there)
        return flat, source.tape

    def _run(self, args: Sequence[Any], kwargs: dict[str, Any], action: Callable, along: Any = None) -> Any:
        """Run ``action(prepared, flat, bound, leaves)`` on the program whose guards agree, tracing again if none does.

        Inside another trace (traced arguments, or something traced in ``along``) the tape is replayed there.
        """
        directions = [] if along is None else [leaf for leaf in flatten(along)[0] if isinstance(leaf, Traced)]
        leaves = None if directions else self._quick.leaves(tuple(args), kwargs)
        if leaves is not None:
            try:
                return action(self._first, self._flat, self._bound, leaves)
            except GuardError:
                pass  # another branch: the long way finds or makes its program
        return self._search(args, kwargs, action, directions)

    def _search(self, args: Sequence[Any], kwargs: dict[str, Any], action: Callable, directions: Sequence[Any]) -> Any:
        """The long way of ``_run``: take the call apart, then look through all programs."""
        bound = bind(self._function, args, kwargs, self._argnums)
        if directions or any(isinstance(leaf, Traced) for leaf in bound.leaves):
            flat, tape = self._at_examples(bound)
            there = lifted(tape, bound.leaves, directions)
            return action(inside(self._backend, tape, bound.wrt), flat, bound, there)
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the operator it was prepared for."""
        return getattr(self, self._operator)(*args, **kwargs)

    def value(self, *args: Any, **kwargs: Any) -> Any:
        """The function's own value."""
        return self._run(args, kwargs, _value)

    def gradient(self, *args: Any, **kwargs: Any) -> Any:
        """The gradient, in the structure of ``args[argnums]``."""
        return self._both(args, kwargs)[1]

    def value_and_gradient(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The value and the gradient."""
        return self._both(args, kwargs)

    def _both(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The value and the gradient: what is called in loops, so that a known call takes the shortest way."""
        quick = self._quick
        leaves = quick.leaves(args, kwargs) if self._of_one_number else None
        if leaves is not None:
            try:
                value, gradients = self._first.value_and_gradient(leaves)
            except GuardError:
                pass  # another branch: the long way finds or makes its program
            else:
                return value_tree(self._flat, [value]), quick.tree(gradients)

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Any]:
            if not self._of_one_number:
                self._require_scalar(flat, leaves, "gradient")
            value, gradients = prepared.value_and_gradient(leaves)
            return value_tree(flat, [value]), bound.gradient_tree(gradients)

        return self._search(args, kwargs, action, ())

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **kwargs: Any) -> tuple[Any, Any]:
        """The value and its tangent; tangents have the structure of the differentiated primals."""

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Any]:
            values, slopes = prepared.jvp(leaves, tangent_leaves(tangents, bound, self._function))
            return value_tree(flat, values), value_tree(flat, slopes)

        require_tuples(primals, tangents, self._function)
        return self._run(primals, kwargs, action, tuple(tangents))

    def vjp(self, *primals: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """The value and a pullback that owns what it needs."""

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> tuple[Any, Callable]:
            values, pullback = prepared.vjp(leaves)
            structure = flat.structure
            assert structure is not None
            nested = any(isinstance(leaf, Traced) for leaf in leaves)
            kept = leaves if nested else [copied(leaf) for leaf in leaves]

            def pull(cotangent: Any) -> Any:
                given = cotangent_leaves(cotangent, values, structure, self._function)
                if not nested and any(isinstance(leaf, Traced) for leaf in given):
                    _, tape = self._at_examples(replace(bound, leaves=kept))
                    there = inside(self._backend, tape, bound.wrt).vjp(lifted(tape, kept, given))[1]
                    results = there(given)
                else:
                    results = pullback(given)
                tree = bound.gradient_tree(results)
                return (tree,) if bound.single else tree

            return value_tree(flat, values), pull

        return self._run(primals, kwargs, action)

    def jacobian(self, *args: Any, **kwargs: Any) -> Any:
        """The Jacobian: the output's containers outside, the argument's inside, leaves of shape out + in."""

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            if self._matrices is not None:
                return self._matrices.tree("jacobian", prepared, flat, bound, leaves)
            outputs, blocks = prepared.jacobian(leaves)
            return jacobian_tree(flat, bound, outputs, blocks)

        return self._run(args, kwargs, action)

    def error_estimate(self, *args: Any, **kwargs: Any) -> Any:
        """The estimated absolute error of every entry of the gradient, in its structure, where the backend has one.

        Of finite differences ``dl.Finite(scheme="richardson")`` and ``dl.Finite(estimate=True)`` have; it costs a
        gradient.
        """

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            self._require_scalar(flat, leaves, "gradient")
            return bound.gradient_tree(prepared.error_estimate(leaves))

        return self._run(args, kwargs, action)

    def expressions(self, *args: Any, **kwargs: Any) -> Formulas:
        """The formulas of symbolic differentiation: its symbols, the outputs and their derivatives, of SymPy.

        Each is a list of object arrays, one for every leaf; the derivatives have a list for every output.  The result
        unpacks into the three, and has ``latex()``, ``srepr()`` and ``operations()``.

        Args:
            *args: arguments of the function, whose data are the numbers in the formulas; by default those of the
                last call.
            **kwargs: keyword arguments of the function.
        """
        if not args and not kwargs:
            return self._first.expressions(None)

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            return prepared.expressions(leaves)

        return self._run(args, kwargs, action)

    def code(self, *args: Any, language: str | None = None, **kwargs: Any) -> str:
        """The formulas of symbolic differentiation as the text of a module with a function ``program``.

        It gives the outputs and their first derivatives, whatever the operator.

        Args:
            *args: arguments of the function, whose data are the numbers in the formulas; by default those of the
                last call.
            language: "python", "numpy", "cupy" or "c"; by default what the backend runs.
            **kwargs: keyword arguments of the function.
        """
        if language is None and len(args) == 1 and isinstance(args[0], str):
            args, language = (), args[0]
        if not args and not kwargs:
            return self._first.code(None, language)

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            return prepared.code(leaves, language)

        return self._run(args, kwargs, action)

    def hessian(self, *args: Any, **kwargs: Any) -> Any:
        """The Hessian as a tree of trees."""

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            self._require_scalar(flat, leaves, "hessian")
            if self._matrices is not None:
                return self._matrices.tree("hessian", prepared, flat, bound, leaves)
            return hessian_tree(bound, prepared.hessian(leaves))

        return self._run(args, kwargs, action)

    def hvp(self, *args: Any, **kwargs: Any) -> Any:
        """The Hessian times the last argument, which has the structure of ``args[argnums]``."""
        args, vector = split_vector(args, self._function)

        def action(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
            self._require_scalar(flat, leaves, "hvp")
            vectors = vector_leaves(vector, bound, self._function)
            return bound.gradient_tree(prepared.hvp(leaves, vectors))

        return self._run(args, kwargs, action, vector)


def _matrices(backend: Backend | None, sparse: Any, operator: str) -> Matrices:
    from .compressed import Matrices  # what few calls need costs the others no time and no memory

    return Matrices(backend, sparse, operator)


def _value(prepared: Deduced, flat: Function, bound: Bound, leaves: list[Any]) -> Any:
    """The action of ``value``."""
    return value_tree(flat, prepared.value(leaves))


def _generator_state() -> tuple[bytes, int]:
    """NumPy's global generator: its key, and how much of it was used."""
    _, key, position, *_ = np.random.get_state()  # noqa: NPY002 (the generator that users draw from)
    return np.asarray(key).tobytes(), int(position)
