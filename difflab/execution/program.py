"""A compiled tape: prepared once, run many times, from any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tape import Tape
from ..transforms.checkpoints import Recomputed
from ..transforms.simplify import simplify
from .codegen import Writer, compile_text, provided, set_up
from .plan import Passed, make_plan

IDLE_WORKSPACES = 8


class Program:
    """A tape with its plan, its generated code and a free list of workspaces.

    Args:
        tape: what to compute; it is simplified unless it computes values twice on purpose.
            Its constants are copied and held for good, but for those that are ``Passed`` at each call.
        copies: of constants, by the ids of the originals, which programs that are made together share.
        simplified: the tape needs no simplification.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> Program(trace_leaves(lambda leaves: [2 * leaves[0]], [np.zeros(2)])).run([np.ones(2)])
        [array([2., 2.])]
    """

    def __init__(self, tape: Tape | Recomputed, copies: dict[int, Any] | None = None, *, simplified: bool = False):
        loud, notes = frozenset(), {}
        if isinstance(tape, Recomputed):
            tape, loud, notes = tape.tape, tape.loud, tape.notes
        elif not simplified:
            tape = simplify(tape)
        self.plan = make_plan(tape)
        self.tape = tape
        writer = Writer(self.plan, loud)
        parts = writer.write()
        self.text = "".join(part.text for part in parts)
        self._makes = [compile_text(part.text, writer.namespace) for part in parts]
        self._closures = [part.closure for part in parts]
        self._places = len(writer.places)
        self._passed = tuple(value.position for value in tape.constants.values() if isinstance(value, Passed))
        copies = {} if copies is None else copies
        self._baked: dict[int, Any] = {}
        for number, value in tape.constants.items():
            if not isinstance(value, Passed):
                if id(value) not in copies:  # closed-over arrays are frozen: a later write to them does not reach us
                    copies[id(value)] = np.array(value)
                self._baked[number] = copies[id(value)]
        self._idle: list[Callable] = []
        self.stats: dict[str, Any] = {
            "tape_length": len(tape),
            "buffers": len(self.plan.slots),
            "buffer_bytes": self.plan.nbytes,
            "in_place": self.plan.inplace,
            "sums_by_product": writer.products,
            "rows_repeated": writer.rows,
            **notes,
        }

    def run(self, inputs: Sequence[Any], constants: Sequence[Any] = ()) -> list[Any]:
        """The outputs at ``inputs``: fresh arrays that alias neither buffers nor inputs.

        Args:
            inputs: one array per input of the tape, of the traced shapes and dtypes.
            constants: what the ``Passed`` constants of the tape stand for, by position.

        Raises:
            GuardError: Python would branch otherwise at these inputs; trace again.
        """
        try:
            workspace = self._idle.pop()  # list.pop is atomic
        except IndexError:
            workspace = self._workspace()
        try:
            if self._passed:
                return workspace(*inputs, *[constants[position] for position in self._passed])
            return workspace(*inputs)
        finally:
            if len(self._idle) < IDLE_WORKSPACES:
                self._idle.append(workspace)

    def take(self) -> Callable:
        """A workspace of one's own, until it is given back."""
        try:
            return self._idle.pop()  # list.pop is atomic
        except IndexError:
            return self._workspace()

    def give(self, workspace: Callable) -> None:
        """A workspace is free again."""
        if len(self._idle) < IDLE_WORKSPACES:
            self._idle.append(workspace)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers of one workspace."""
        return self.plan.nbytes

    def _workspace(self) -> Callable:
        """The program with buffers of its own."""
        values, scratch = set_up(self.plan, self._baked), {}
        runs = [
            make(*provided(values, closure, scratch)) for make, closure in zip(self._makes, self._closures, strict=True)
        ]
        if len(runs) == 1 and not self._places:
            return runs[0]

        def run_in_turn(*arguments: Any) -> list[Any]:
            places = [*arguments, *[None] * (self._places - len(arguments))]
            for run in runs[:-1]:
                run(places)
            return runs[-1](places)

        return run_in_turn
