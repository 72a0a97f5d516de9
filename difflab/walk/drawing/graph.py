"""The computation graph of a tape: which value goes into which gate, and what gradient comes back along that way."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...tape import Tape
from ...transforms.branches import Share, pulled_back
from ...transforms.inline import depends_on
from ...transforms.reverse import sweep
from ..columns import arrays_of, by_depth, columns, names_of
from ..rows import Row, Walk


class Use(NamedTuple):
    """An edge: ``value`` is operand number ``operand`` of the equation at ``position``.

    ``contribution`` is what the equation adds to the adjoint of the value by this operand, ``None`` where no gradient
    comes.  The edge that leaves the graph has the number of equations as its ``position``.
    """

    value: int
    position: int
    operand: int
    contribution: np.ndarray | None


@dataclass(frozen=True)
class Graph:
    """A tape with everything that is written on its drawing.

    ``names`` and ``rows`` are those of the trace's table, by number; ``uses`` are the edges, in the order of the
    equations.  Numbers that stand in a gate (``2`` in ``x * 2``) are no values of the graph and have no edges.
    """

    tape: Tape
    walk: Walk
    names: Mapping[int, str]
    rows: Mapping[int, Row]
    values: Mapping[int, np.ndarray]
    uses: tuple[Use, ...]

    @cached_property
    def static(self) -> set[int]:
        """Numbers that are written into the gates."""
        return {number for number in (*self.tape.constants, *self.tape.literals) if number not in self.rows}

    @cached_property
    def readers(self) -> Mapping[int, list[Use]]:
        """The edges that leave each value."""
        found: dict[int, list[Use]] = {number: [] for number in self.rows}
        for use in self.uses:
            found.setdefault(use.value, []).append(use)
        return found

    @cached_property
    def operands(self) -> Mapping[int, list[Use]]:
        """The edges that come into each equation, by position, and into the result."""
        found: dict[int, list[Use]] = {position: [] for position in range(len(self.tape) + 1)}
        for use in self.uses:
            found[use.position].append(use)
        return found


def graph(tape: Tape, values: Mapping[int, np.ndarray], *, tangent: str | None = None, cotangent: Any = None) -> Graph:
    """The graph of a tape whose values are known.

    Args:
        tape: of one output.
        values: every value by number, as of ``columns.values_of``.
        tangent: name of the input whose tangent is 1; the first one by default.
        cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.

    Returns:
        The graph; inputs out of containers are called by their last key where that is unique.

    Raises:
        InputError: as of ``columns.columns``.

    Example:
        >>> from difflab import trace
        >>> found = trace(lambda p: p["a"] * p["b"], {"a": 2.0, "b": 3.0})
        >>> drawn = graph(found.tape, found.values())
        >>> [(drawn.names[use.value], use.contribution) for use in drawn.uses]
        [('a', array(3.)), ('b', array(2.)), ('v1', array(1.))]
    """
    tape = shortly_named(tape)
    walked = columns(tape, values, tangent=tangent, cotangent=cotangent)
    numbers = [*tape.inputs, *arrays_of(tape), *[equation.output for equation in by_depth(tape)]]
    rows = dict(zip(numbers, walked.rows, strict=True))
    seed = np.ones_like(values[tape.outputs[0]]) if cotangent is None else np.asarray(cotangent)
    found = _contributions(tape, values, seed)
    uses = []
    for position, equation in enumerate(tape.equations):
        came = rows[equation.output].adjoint is not None
        for operand, number in enumerate(equation.inputs):
            if number in rows:
                back = found.get((position, operand))
                if back is None and came and rows[number].adjoint is not None:
                    back = np.zeros_like(values[number])  # the gate stops what comes to it
                uses.append(Use(number, position, operand, back))
    output = tape.outputs[0]
    uses.append(Use(output, len(tape), 0, seed if output in rows and rows[output].adjoint is not None else None))
    return Graph(tape, walked, names_of(tape), rows, values, tuple(uses))


def shortly_named(tape: Tape) -> Tape:
    """The tape with ``params["w1"]`` called ``w1`` where no other input would be called so.

    Example:
        >>> from difflab import trace
        >>> found = trace(lambda p, a: p["a"] * p["b"] * a, {"a": 1.0, "b": 1.0}, 1.0)
        >>> sorted(shortly_named(found.tape).names.values())
        ['a', 'b', "p['a']"]
    """
    short = {number: _last_key(name) for number, name in tape.names.items()}
    names = {}
    for number, name in tape.names.items():
        others = [taken for other, taken in short.items() if other != number]
        names[number] = name if short[number] in others and short[number] != name else short[number]
    return dataclasses.replace(tape, names=names)


def _last_key(name: str) -> str:
    """``w1`` of ``params["w1"]`` and of ``net.w1``; places such as ``layers[0]`` stay as they are."""
    found = re.search(r"""(?:\.|\[['"])([A-Za-z_]\w*)(?:['"]\])?$""", name)
    return found[1] if found else name


def _contributions(tape: Tape, values: Mapping[int, Any], seed: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """What each operand of each equation sends back, by position and operand."""
    active = depends_on(tape, [at for at, number in enumerate(tape.inputs) if values[number].dtype.kind in "fc"])
    places = {equation.output: position for position, equation in enumerate(tape.equations)}
    found: dict[tuple[int, int], np.ndarray] = {}

    def note(equation: Any, share: Share) -> None:
        operands = [values[number] for number in equation.inputs]
        wanted = tuple(number in active for number in equation.inputs)
        parts = pulled_back(equation.primitive, share, values[equation.output], operands, wanted, equation.params)
        for operand, part in enumerate(parts):
            if part is not None and wanted[operand]:
                found[places[equation.output], operand] = np.asarray(part.closed)

    with np.errstate(all="ignore"):
        sweep(tape, values, {tape.outputs[0]: Share(seed)}, active, note)
    return found
