"""A compiled tape on a GPU: prepared once, run many times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...arrays import import_cupy, to_device
from ...errors import GuardError
from ...tape import Tape, literal_array
from ...transforms.checkpoints import Recomputed
from ...transforms.simplify import simplify
from ..plan import Passed
from .evaluate import evaluate


class DeviceProgram:
    """A tape that runs on a GPU.

    Args:
        tape: what to compute; it is simplified unless it computes values twice on purpose.  Its constants are uploaded
            once, but for those that are ``Passed`` at each call.
        copies: of constants, by the ids of the originals, which programs that are made together share.
    """

    def __init__(self, tape: Tape | Recomputed, copies: dict[int, Any] | None = None):
        notes: dict[str, Any] = {}
        if isinstance(tape, Recomputed):
            tape, notes = tape.tape, tape.notes
        else:
            tape = simplify(tape)
        self.tape = tape
        self._xp = import_cupy()
        self._given: dict[int, Any] = {
            number: self._xp.asarray(literal_array(value, tape.avals[number]))
            for number, value in tape.literals.items()
        }
        copies = {} if copies is None else copies
        for number, value in tape.constants.items():
            if not isinstance(value, Passed):
                if id(value) not in copies:
                    copies[id(value)] = to_device(value).copy()
                self._given[number] = copies[id(value)]
        self._passed = {number: value.position for number, value in tape.constants.items() if isinstance(value, Passed)}
        self.stats: dict[str, Any] = {"device": "gpu", "tape_length": len(tape), **notes}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return 0

    def run(self, inputs: Sequence[Any], constants: Sequence[Any] = ()) -> list[Any]:
        """The outputs at ``inputs``: fresh arrays on the device.

        Args:
            inputs: one array per input of the tape, of the traced shapes and dtypes.
            constants: what the ``Passed`` constants of the tape stand for, by position.

        Raises:
            GuardError: Python would branch otherwise at these inputs; trace again.
        """
        tape = self.tape
        values = dict(self._given)
        values.update(zip(tape.inputs, map(to_device, inputs), strict=True))
        values.update((number, to_device(constants[position])) for number, position in self._passed.items())
        for equation in tape.equations:
            operands = [values[number] for number in equation.inputs]
            aval = tape.avals[equation.output]
            values[equation.output] = evaluate(self._xp, equation.primitive, operands, equation.params, aval)
        for guard in tape.guards:
            if type(guard.observed)(values[guard.value]) != guard.observed:
                raise GuardError(guard.value)
        return [values[number].copy() for number in tape.outputs]
