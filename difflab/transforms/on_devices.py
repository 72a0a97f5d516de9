"""A tape in the equations that a GPU runs best: the same values from fewer and other kernels.

``patches_at_once``: the border, the windows and the copy of them that a matrix product reads are one kernel, and so are
the additions of overlapping patches and the cut that follows (``primitives/patch_kernels.py``).  Where patches would
cost more than their product, there are none (``primitives/convolution_kernels.py``).

``sorted_scatters``: entries that are added to places given by index arrays are sorted by these; if the index arrays are
constants of the tape, that is done here, once (``primitives/scatter_kernels.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import is_device_array, to_host
from ..primitives import convolution_kernels, patch_kernels, scatter_kernels, sorting_kernels
from ..primitives.record import Aval, Primitive, broadcast_shapes, find
from ..tape import Equation, Tape
from .simplify import without_dead_code

NONE = ((0, 0), (0, 0))


class _Work:
    """A tape of which single equations are replaced by several, the last of which binds the same value."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.avals = list(tape.avals)
        self.constants = dict(tape.constants)
        self.made = {equation.output: position for position, equation in enumerate(tape.equations)}
        self.uses = Counter(number for equation in tape.equations for number in equation.inputs)
        self.uses.update([*tape.outputs, *[guard.value for guard in tape.guards]])
        self.instead: dict[int, list[Equation]] = {}

    def maker(self, number: int, name: str) -> Equation | None:
        """The equation that binds a value, if it is of that primitive and has not been replaced."""
        position = self.made.get(number)
        if position is None or position in self.instead:
            return None
        equation = self.tape.equations[position]
        return equation if equation.primitive.name == name else None

    def shape(self, number: int) -> tuple[int, ...]:
        """The shape of a value."""
        return self.avals[number].shape

    def add(
        self, at: int, primitive: Primitive, inputs: Sequence[int], output: int | None = None, **params: Any
    ) -> int:
        """An equation more in place of the one that stands there; its value."""
        if output is None:
            found = primitive.abstract(*[self.avals[number] for number in inputs], **params)
            output = len(self.avals)
            self.avals.append(Aval(found.shape, found.dtype))
        self.instead.setdefault(at, []).append(Equation(primitive, tuple(inputs), params, output))
        return output

    def hold(self, value: np.ndarray) -> int:
        """A constant more."""
        number = len(self.avals)
        self.avals.append(Aval(value.shape, value.dtype))
        self.constants[number] = value
        return number

    def finish(self) -> Tape:
        """The tape as it is now, without what nothing reads any more."""
        if not self.instead:
            return self.tape
        tape, quiet = self.tape, self.tape.quiet_from
        lists = [self.instead.get(position, [equation]) for position, equation in enumerate(tape.equations)]
        return without_dead_code(
            replace(
                tape,
                avals=tuple(self.avals),
                constants=self.constants,
                equations=tuple([equation for found in lists for equation in found]),
                quiet_from=None if quiet is None else sum(map(len, lists[:quiet])),
                spans=(),
            )
        )


def for_device(tape: Tape) -> Tape:
    """The tape of a program on a GPU.

    Args:
        tape: a simplified tape.

    Returns:
        A tape of the same values but for rounding, with primitives of which only such programs know.

    Example:
        >>> from difflab import nn
        >>> from difflab.tracing import trace_leaves
        >>> images, kernel = np.ones((9, 13, 13, 64)), np.ones((3, 3, 64, 96))
        >>> tape = trace_leaves(lambda leaves: [nn.conv2d(*leaves, padding="same")], [images, kernel])
        >>> [equation.primitive.name for equation in for_device(tape).equations]
        ['patches', 'reshape', 'matmul', 'reshape']
    """
    return sorted_scatters(patches_at_once(tape))


# ---------------------------------------------------------------------------- convolutions


def patches_at_once(tape: Tape) -> Tape:
    """Patches of images by one kernel, or none.

    Args:
        tape: a simplified tape.

    Returns:
        A tape of the same values but for rounding.
    """
    work = _Work(tape)
    for position, equation in enumerate(tape.equations):
        if equation.primitive.name == "reshape":
            _patches(work, position, equation)
        elif equation.primitive.name == "slice":
            _from_patches(work, position, equation)
    return work.finish()


def _patches(work: _Work, position: int, equation: Equation) -> None:
    windows = work.maker(equation.inputs[0], "windows")
    if windows is None:
        return
    axes, shape = work.shape(windows.output), work.shape(equation.output)
    flat = (math.prod(axes[:3]), math.prod(axes[3:]))
    if not all(flat) or not shape or shape[-1] != flat[1]:  # groups of channels may stand in front of the rows
        return
    images, border = windows.inputs[0], NONE
    pad = work.maker(images, "pad")
    if pad is not None and pad.params["widths"][0] == pad.params["widths"][3] == (0, 0):
        images, border = pad.inputs[0], pad.params["widths"][1:3]
    params = {**windows.params, "border": border}
    if shape != flat:
        rows = work.add(position, patch_kernels.patches, (images,), **params)
        work.add(position, find("reshape"), (rows,), equation.output, shape=shape)
    elif not _without_patches(work, equation.output, images, params):
        work.add(position, patch_kernels.patches, (images,), equation.output, **params)


def _without_patches(work: _Work, patches: int, images: int, params: dict[str, Any]) -> bool:
    """Products of the patches from the images themselves, if that is quicker and nothing else reads the patches."""
    products = [equation for equation in work.tape.equations if _is_product(work, equation, patches)]
    turned = [equation for equation in work.tape.equations if _turns(equation, patches)]
    cotangents = [
        equation for turn in turned for equation in work.tape.equations if _is_product(work, equation, turn.output)
    ]
    others = work.uses[patches] - len(products) - len(turned)
    others += sum(work.uses[turn.output] for turn in turned) - len(cotangents)
    outputs = {work.shape(equation.inputs[1])[1] for equation in (*products, *cotangents)}
    if others or not products or len(outputs) != 1:
        return False
    aval, (count,) = work.avals[images], outputs
    derivative = bool(cotangents)
    if not convolution_kernels.is_direct(aval.shape, count, aval.dtype, derivative=derivative, **params):
        return False
    for equation in products:
        operands = (images, equation.inputs[1])
        work.add(work.made[equation.output], convolution_kernels.direct_products, operands, equation.output, **params)
    parts = convolution_kernels.part_count(work.shape(patches)[0])
    for equation in cotangents:
        at, operands = work.made[equation.output], (images, equation.inputs[1])
        apart = work.add(at, convolution_kernels.direct_cotangents, operands, **params, parts=parts)
        work.add(at, find("sum"), (apart,), equation.output, axes=(0,))
    return True


def _is_product(work: _Work, equation: Equation, number: int) -> bool:
    """Whether an equation is the product of that matrix and another matrix."""
    if equation.primitive.name != "matmul" or equation.inputs[0] != number or equation.inputs[1] == number:
        return False
    return len(work.shape(equation.inputs[1])) == 2


def _turns(equation: Equation, number: int) -> bool:
    return equation.primitive.name == "transpose" and equation.inputs == (number,)


def _from_patches(work: _Work, position: int, cut: Equation) -> None:
    fold = work.maker(cut.inputs[0], "fold")
    apart = None if fold is None else work.maker(fold.inputs[0], "reshape")
    if fold is None or apart is None or work.uses[fold.output] != 1:
        return
    shape, axes = work.shape(fold.output), work.shape(apart.output)
    start, stop, step = (cut.params[key] for key in ("start", "stop", "step"))
    whole = (start[0], stop[0], start[3], stop[3]) == (0, shape[0], 0, shape[3])
    if not whole or step != (1, 1, 1, 1):
        return
    flat, given = (math.prod(axes[:3]), math.prod(axes[3:])), work.shape(apart.inputs[0])
    if not all(flat) or not given or given[-1] != flat[1]:
        return
    rows = apart.inputs[0]
    if given != flat:
        rows = work.add(position, find("reshape"), apart.inputs, shape=flat)
    border = tuple([(start[axis], shape[axis] - stop[axis]) for axis in (1, 2)])
    work.add(position, patch_kernels.from_patches, (rows,), cut.output, **fold.params, border=border)


# ---------------------------------------------------------------------------- scatters


def sorted_scatters(tape: Tape) -> Tape:
    """Scatters as sorting and adding, but for those of few entries whose places are computed.

    Args:
        tape: a simplified tape.

    Returns:
        A tape of the same values but for rounding.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.transforms import gradient, simplify
        >>> rows = np.arange(1000) % 7
        >>> tape = simplify(gradient(trace_leaves(lambda leaves: [np.sum(leaves[0][rows])], [np.ones(7)]), (0,)))
        >>> [equation.primitive.name for equation in sorted_scatters(tape).equations][-2:]
        ['add_runs', 'sum']
    """
    work = _Work(tape)
    for position, equation in enumerate(tape.equations):
        if equation.primitive.name == "scatter_add":
            _sorted(work, position, equation)
    return work.finish()


def _sorted(work: _Work, position: int, equation: Equation) -> None:
    entries, *indices = equation.inputs
    shape, axes = equation.params["shape"], equation.params["axes"]
    index_shape = broadcast_shapes(*[work.shape(number) for number in indices])
    count = math.prod(index_shape)
    known = [work.constants.get(number) for number in indices]
    if not count or not math.prod(shape):
        return
    if all(isinstance(value, np.ndarray) or is_device_array(value) for value in known):
        runs = work.hold(sorting_kernels.sorted_runs([to_host(value) for value in known], shape, axes))
    elif scatter_kernels.is_walked(count, math.prod(shape)):
        return
    else:
        runs = work.add(position, sorting_kernels.target_runs, indices, shape=shape, axes=axes)
        for width in sorting_kernels.widths(count):
            runs = work.add(position, sorting_kernels.merge_runs, (runs,), width=width)
    parts = scatter_kernels.pieces(count, shape, axes)
    params = {"shape": shape, "axes": axes, "index_shape": index_shape, "parts": parts}
    apart = work.add(position, scatter_kernels.add_runs, (entries, runs), **params)
    if parts == 1:
        work.add(position, find("reshape"), (apart,), equation.output, shape=shape)
    else:
        work.add(position, find("sum"), (apart,), equation.output, axes=(0,))
