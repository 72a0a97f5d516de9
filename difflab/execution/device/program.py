"""A compiled tape on a GPU: prepared once, run many times.

A call copies its arguments into arrays of the program's own, runs all kernels, by one launch once they are captured,
and hands out copies of the results: all on the caller's stream and without waiting for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import import_cupy, is_device_array, namespace, rounds_to_tf32, to_device
from ...errors import GuardError
from ...tape import Tape, literal_array
from ...transforms.checkpoints import Recomputed
from ...transforms.on_devices import for_device
from ...transforms.simplify import simplify
from ..notes import Later
from ..plan import Passed
from .fusion import grouped
from .graphs import find_lane
from .layout import lay_out
from .workspace import Workspace


class DeviceProgram:
    """A tape that runs on a GPU.

    Args:
        tape: what to compute; it is simplified unless it computes values twice on purpose.  Its constants are uploaded
            once, but for those that are ``Passed`` at each call.
        copies: of constants, by the ids of the originals, which programs that are made together share.

    Products of float32 matrices are rounded to TF32 only where CuPy's own are, by its switch ``CUPY_TF32=1``.
    """

    def __init__(self, tape: Tape | Recomputed, copies: dict[int, Any] | None = None):
        notes: dict[str, Any] = {}
        if isinstance(tape, Recomputed):
            tape, notes = tape.tape, tape.notes
        else:
            tape = simplify(tape)
        self.tape = tape = for_device(tape)
        self._xp = import_cupy()
        self._groups = grouped(tape)
        self._layout = lay_out(tape, self._groups)
        self._tf32 = rounds_to_tf32()
        self._workspace: Workspace | None = None
        passed = {number: value.position for number, value in tape.constants.items() if isinstance(value, Passed)}
        self._passed, self._positions = tuple(passed), tuple(passed.values())
        copies = {} if copies is None else copies
        self._given: dict[int, Any] = {}
        with find_lane():
            for number, value in tape.literals.items():
                self._given[number] = to_device(literal_array(value, tape.avals[number]))
            for number, value in tape.constants.items():
                if not isinstance(value, Passed):  # closed-over arrays are frozen: a later write does not reach us
                    if id(value) not in copies:
                        copies[id(value)] = value.copy() if is_device_array(value) else to_device(value)
                    self._given[number] = copies[id(value)]
        kinds = [group.kind for group in self._groups]
        self.stats: dict[str, Any] = {
            "device": "gpu",
            "tape_length": len(tape),
            "buffers": len(self._layout.slots),
            "buffer_bytes": self.nbytes,
            "in_place": self._layout.inplace,
            "fused": sum(len(group.positions) for group in self._groups if group.kind != "single"),
            "fused_kernels": len(kinds) - kinds.count("single"),
            "tf32": self._tf32,
            "steps": Later(lambda: self._workspace and self._workspace.steps),
            "captured": Later(lambda: self._workspace and self._workspace.replay.captured),
            "not_captured": Later(lambda: self._workspace and self._workspace.replay.reason),
            "graph_nodes": Later(lambda: self._workspace and self._workspace.replay.nodes),
            **notes,
        }

    @property
    def nbytes(self) -> int:
        """Bytes of arguments, buffers and results on the device."""
        avals = self.tape.avals
        return self._layout.nbytes + sum(avals[number].nbytes for number in (*self.tape.inputs, *self._passed))

    def run(self, inputs: Sequence[Any], constants: Sequence[Any] = ()) -> list[Any]:
        """The outputs at ``inputs``: fresh arrays on the device.

        Args:
            inputs: one array per input of the tape, of the traced shapes and dtypes.
            constants: what the ``Passed`` constants of the tape stand for, by position.

        Raises:
            GuardError: Python would branch otherwise at these inputs; trace again.
        """
        workspace = self._workspace
        if workspace is None:
            workspace = self._set_up()
        with workspace.replay.lane:
            for target, value in zip(workspace.arguments, inputs, strict=False):
                fill(target, value)
            for position, target in zip(self._positions, workspace.arguments[len(inputs) :], strict=True):
                fill(target, constants[position])
            workspace.replay.run()
            for guard in self.tape.guards:
                if type(guard.observed)(workspace.values[guard.value]) != guard.observed:
                    raise GuardError(guard.value)
            blocks = [block.copy() if block.size else block for block in workspace.blocks]
            return [
                workspace.result(blocks, number, spot)
                for number, spot in zip(self.tape.outputs, self._layout.spots, strict=True)
            ]

    def _set_up(self) -> Workspace:
        """Allocate everything and make the kernels, unless another thread was faster."""
        with find_lane():
            if self._workspace is None:
                self._workspace = Workspace(
                    self._xp, self.tape, self._layout, self._given, self._passed, tf32=self._tf32
                )
            return self._workspace


def fill(target: Any, value: Any) -> None:
    """Copy an argument into an array of the program's own: a number as part of a launch, arrays on the device.

    Args:
        target: array on the device.
        value: number, array on the device, or array on the host, which is uploaded.
    """
    if is_device_array(value):
        if value.flags.c_contiguous and value.shape == target.shape and value.dtype == target.dtype:
            target.data.copy_from_device_async(value.data, value.nbytes)  # sooner started than a kernel
        else:
            target[...] = value
    elif np.ndim(value) == 0:
        # Not by its method ``fill``, which clears the memory for any zero, a negative one too.
        namespace(target).copyto(target, np.asarray(value, target.dtype)[()])
    else:
        target.set(np.ascontiguousarray(value, target.dtype))
