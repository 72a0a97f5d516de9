"""A tape as a straight-line function of a framework's own calls, as a person would have written the loss there.

Nothing but those calls happens when it runs: shapes, axes and dtypes are settled while it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import as_array, to_host
from ...errors import GuardError
from ...tape import Tape, literal_array
from .plan import Table, steps


@dataclass(frozen=True)
class Replay:
    """A tape in a framework's functions.

    ``function(*inputs, *constants)`` returns the tuple of outputs; ``constants`` are the arrays that the loss closed
    over, in order, still NumPy's or CuPy's, to be converted once by whoever calls; ``text`` is the code, ``steps``
    counts the calls in it and ``whole`` names the composites that were taken whole.
    """

    function: Callable[..., tuple[Any, ...]]
    constants: tuple[Any, ...]
    text: str
    steps: int
    whole: tuple[str, ...]


def replay(tape: Tape, table: Table) -> Replay:
    """Write a tape out in the functions of a table.

    Args:
        tape: what to write out; equations that nothing needs are left out.
        table: of the framework.

    Returns:
        The function and what belongs to it.

    Raises:
        UnsupportedError: the framework has nothing for some primitive; with their names.

    Example:
        >>> from difflab.backends.peers.plan import always
        >>> from difflab.operators import source
        >>> tape = source(lambda x: np.tanh(x) * 2.0, (np.ones(3),)).tape
        >>> rules = {"tanh": always(np.tanh), "multiply": always(np.multiply)}
        >>> found = replay(tape, Table("numpy", rules, {}, np.asarray, frozenset({"multiply"})))
        >>> found.steps, found.function(np.zeros(3), *found.constants)
        (2, (array([0., 0., 0.]),))
    """
    calls, whole = steps(tape, table)
    numbers = [*tape.inputs, *tape.constants]
    names: dict[str, Any] = {}
    lines = [f"def replayed({', '.join(f'v{number}' for number in numbers)}):"]
    last = {number: i for i, step in enumerate(calls) for number in step.operands}
    kept, caller = set(tape.outputs), set(numbers)
    functions: dict[int, str] = {}
    for i, step in enumerate(calls):
        name = functions.setdefault(id(step.function), f"f{i}")
        names[name] = step.function
        operands = []
        for position, number in enumerate(step.operands):
            operands.append(f"v{number}")
            if position in step.literals:
                operands[-1] = f"n{number}"
                names[operands[-1]] = _number(tape, number).item()
            elif number in tape.literals:
                operands[-1] = f"c{number}"
                names[operands[-1]] = table.constant(_number(tape, number))
        lines.append(f"    v{step.output} = {name}({', '.join(operands)})")
        over = {n for n in step.operands if last[n] == i and n not in kept | caller and n not in tape.literals}
        lines += [f"    del {', '.join(f'v{number}' for number in sorted(over))}"] if over else []
    results = []
    for number in tape.outputs:
        results.append(f"v{number}")
        if number in tape.literals:
            results[-1] = f"c{number}"
            names[results[-1]] = table.constant(_number(tape, number))
    lines.append(f"    return ({', '.join(results)}{',' if len(results) == 1 else ''})")
    text = "\n".join(lines)
    exec(compile(text, f"<tape replayed by {table.peer}>", "exec"), names)
    return Replay(names["replayed"], tuple(map(as_array, tape.constants.values())), text, len(calls), whole)


def _number(tape: Tape, number: int) -> np.ndarray:
    """A literal, or a constant of one element, as an array of its noted dtype."""
    return literal_array(to_host(tape.literals.get(number, tape.constants.get(number))), tape.avals[number])


def check_guards(tape: Tape, leaves: Sequence[Any]) -> None:
    """Whether Python would go the way that it went when the tape was recorded.

    Args:
        tape: with guards or masks, or without.
        leaves: one array per input; where something is watched, what is on a GPU is fetched to look at it.

    Raises:
        GuardError: it would not.

    Example:
        >>> from difflab.operators import source
        >>> tape = source(lambda x: x * 2.0 if x > 0 else x, (1.0,)).tape
        >>> check_guards(tape, [np.array(3.0)])
    """
    watched = [guard.value for guard in tape.guards]
    masks = [equation.output for equation in tape.equations if equation.primitive.name == "nonzero"]
    if not watched and not masks:
        return
    with np.errstate(all="ignore"):
        seen = tape.replay_all(
            [to_host(leaf) for leaf in leaves],
            lambda primitive, operands, params: primitive.evaluate(*map(to_host, operands), **params),
            None,
            [*watched, *masks],
        )
    for guard, value in zip(tape.guards, seen, strict=False):
        if type(guard.observed)(value) != guard.observed:
            raise GuardError("Python would take another branch at these arguments than when the loss was recorded")
