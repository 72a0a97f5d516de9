"""Convolutional networks in the order in which NumPy runs them fastest: the same derivatives from other equations.

``pool_before_relu`` (on a loss): max(0, .) never falls, so the largest of what it gives is what it gives for the
largest, and where nothing is positive relu's derivative of 0 cuts off whichever element the window routes to.  Three
quarters of the work on windows of four go away.  A maximum with another kink, or a sum before the pooling, may not be
moved so: rounding makes new ties, and ties decide where a derivative goes.

``patches_by_pixel`` (on any tape): rows of few numbers, one for each pixel, are copied slowly; their transpose has long
rows, and a matrix product takes its factors either way.

``input_cotangents`` (on a derivative): the cotangent of the images under a kernel is a convolution of the result's
cotangent with the kernel turned around (Dumoulin & Visin, 2016, section 4).  Its patches are copied, which is quicker
than to add up overlapping ones where the kernel has not many more outputs than inputs.  Sums are rounded in another
order, and the border of zeros meets all weights: where one is infinite or NaN, and the loss with it, so are
cotangents of pixels that it does not reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..primitives.record import Aval, find
from ..tape import Equation, Tape

LONGER = 2.5
"""Rows of the transposed patches must be so many times as long as theirs (measured: a strided copy is slower)."""
LOOP = 60
"""Starting one of NumPy's inner loops takes as long as copying so many numbers (measured)."""


class _Rewriting:
    """A tape whose equations are replaced by others, position by position."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.avals = list(tape.avals)
        self.lists = [[equation] for equation in tape.equations]
        self.made = {equation.output: position for position, equation in enumerate(tape.equations)}
        self.uses = Counter(number for equation in tape.equations for number in equation.inputs)
        self.uses.update([*tape.outputs, *[guard.value for guard in tape.guards]])

    def maker(self, number: int, name: str) -> Equation | None:
        """The equation that binds a value, if it is of that primitive."""
        position = self.made.get(number)
        equation = None if position is None else self.tape.equations[position]
        return equation if equation is not None and equation.primitive.name == name else None

    def add(self, position: int, name: str, inputs: Sequence[int], output: int | None = None, **params: Any) -> int:
        """An equation more at a position; its value."""
        primitive = find(name)
        if output is None:
            found = primitive.abstract(*[self.avals[number] for number in inputs], **params)
            output = len(self.avals)
            self.avals.append(Aval(found.shape, found.dtype))
        self.lists[position].append(Equation(primitive, tuple(inputs), params, output))
        return output

    def finish(self) -> Tape:
        """The tape of the equations there are now."""
        tape = self.tape
        quiet = tape.quiet_from
        return replace(
            tape,
            avals=tuple(self.avals),
            equations=tuple([equation for found in self.lists for equation in found]),
            quiet_from=None if quiet is None else sum(map(len, self.lists[:quiet])),
            spans=(),
        )


def pool_before_relu(tape: Tape) -> Tape:
    """The loss with every relu that only a max-pooling reads behind that pooling.

    Args:
        tape: a function.

    Returns:
        A tape of the same values and first derivatives, but for the signs of zeros; without spans if it is another.

    Example:
        >>> import numpy as np
        >>> from difflab import nn
        >>> from difflab.tracing import trace_leaves
        >>> loss = trace_leaves(lambda leaves: [nn.max_pool2d(nn.relu(leaves[0]), 2)], [np.ones((1, 4, 4, 1))])
        >>> [equation.primitive.name for equation in pool_before_relu(loss).equations]
        ['max_pool', 'relu']
    """
    if not _has(tape, "max_pool"):
        return tape
    work, found = _Rewriting(tape), False
    for position, equation in enumerate(tape.equations):
        relu = work.maker(equation.inputs[0], "relu") if equation.primitive.name == "max_pool" else None
        if relu is None or work.uses[relu.output] != 1:
            continue
        found = True
        work.lists[work.made[relu.output]] = []
        work.lists[position] = []
        pooled = work.add(position, "max_pool", relu.inputs, **equation.params)
        work.add(position, "relu", (pooled,), equation.output)
    return work.finish() if found else tape


def rearranged(tape: Tape) -> Tape:
    """A derivative tape with patches laid out by pixel and cotangents of images as convolutions, where that is quicker.

    Args:
        tape: a simplified tape; only derivative equations are replaced by others that round in another order.

    Returns:
        A tape of the same values but for rounding.

    Example:
        >>> import numpy as np
        >>> from difflab import nn
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.transforms import gradient, simplify
        >>> images, kernel = np.ones((1, 9, 9, 8)), np.ones((3, 3, 8, 8))
        >>> loss = trace_leaves(lambda leaves: [np.sum(nn.conv2d(*leaves) ** 2)], [images, kernel])
        >>> names = lambda tape: {equation.primitive.name for equation in tape.equations}
        >>> derived = simplify(gradient(loss, (0, 1)))
        >>> "fold" in names(derived), "fold" in names(simplify(rearranged(derived)))
        (True, False)
    """
    if not _has(tape, "windows"):
        return tape
    work = _Rewriting(tape)
    for position, equation in enumerate(tape.equations):
        if equation.primitive.name == "reshape":
            _patches_by_pixel(work, position, equation)
        elif equation.primitive.name == "fold" and tape.quiet_from is not None and position >= tape.quiet_from:
            _input_cotangents(work, position, equation)
    return work.finish()


def _has(tape: Tape, name: str) -> bool:
    return any(equation.primitive.name == name for equation in tape.equations)


def _patches_by_pixel(work: _Rewriting, position: int, equation: Equation) -> None:
    """Rows of patches as the transpose of rows of pixels, where these are longer."""
    windows = work.maker(equation.inputs[0], "windows")
    if windows is None:
        return
    batch, rows, columns, height, width, channels = work.avals[windows.output].shape
    flat = (batch * rows * columns, height * width * channels)
    if work.avals[equation.output].shape != flat or columns < LONGER * width * channels:
        return
    turned = work.add(position, "transpose", (windows.output,), axes=(3, 4, 5, 0, 1, 2))
    pixels = work.add(position, "reshape", (turned,), shape=flat[::-1])
    work.lists[position].pop(0)
    work.add(position, "transpose", (pixels,), equation.output, axes=(1, 0))


def _input_cotangents(work: _Rewriting, position: int, fold: Equation) -> None:
    """Overlapping patches of a product with a transposed kernel, as a product of patches with a turned kernel."""
    apart = work.maker(fold.inputs[0], "reshape")
    product = None if apart is None else work.maker(apart.inputs[0], "matmul")
    turned = None if product is None else work.maker(product.inputs[1], "transpose")
    if apart is None or product is None or turned is None or fold.params["stride"] != (1, 1):
        return
    batch, rows, columns, height, width, channels = work.avals[apart.output].shape
    outputs = work.avals[turned.output].shape[0]
    alone = work.uses[apart.output] == work.uses[product.output] == 1
    if not alone or work.made[product.output] < (work.tape.quiet_from or 0):
        return
    shapes = [work.avals[number].shape for number in (product.inputs[0], turned.inputs[0])]
    if shapes != [(batch * rows * columns, outputs), (height * width * channels, outputs)]:
        return
    if work.avals[fold.output].dtype.kind != "f":
        return
    added = height * width * (LOOP + 2 * channels)
    copied = height * (LOOP + width * outputs)
    if copied >= added:
        return
    last, window = _cropped(work, fold)
    before = [size - 1 - low for size, (low, _) in zip((height, width), window, strict=True)]
    after = [high - count for count, (_, high) in zip((rows, columns), window, strict=True)]
    if min(*before, *after) < 0:
        return
    where = work.made[last]
    images = work.add(where, "reshape", (product.inputs[0],), shape=(batch, rows, columns, outputs))
    sides = ((0, 0), *zip(before, after, strict=True), (0, 0))
    framed = images if not any(map(any, sides)) else work.add(where, "pad", (images,), widths=sides)
    patches = work.add(where, "windows", (framed,), size=(height, width), stride=(1, 1))
    _, tall, wide = work.avals[patches].shape[:3]
    flat = work.add(where, "reshape", (patches,), shape=(batch * tall * wide, height * width * outputs))
    table = work.add(where, "reshape", (turned.inputs[0],), shape=(height, width, channels, outputs))
    around = work.add(
        where, "slice", (table,), start=(height - 1, width - 1, 0, 0), stop=(-1, -1, channels, outputs),
        step=(-1, -1, 1, 1),
    )  # fmt: skip
    swapped = work.add(where, "transpose", (around,), axes=(0, 1, 3, 2))
    factor = work.add(where, "reshape", (swapped,), shape=(height * width * outputs, channels))
    result = work.add(where, "matmul", (flat, factor))
    work.lists[where].pop(0)
    if last != fold.output:
        work.lists[position] = []
    work.add(where, "reshape", (result,), last, shape=work.avals[last].shape)
    for dead in (apart, product):
        work.lists[work.made[dead.output]] = []


def _cropped(work: _Rewriting, fold: Equation) -> tuple[int, tuple[tuple[int, int], tuple[int, int]]]:
    """The only value that is read of a fold, and the rows and columns that it is of it."""
    shape = work.avals[fold.output].shape
    readers = [equation for equation in work.tape.equations if fold.output in equation.inputs]
    if len(readers) == 1 and work.uses[fold.output] == 1 and readers[0].primitive.name == "slice":
        start, stop, step = (readers[0].params[key] for key in ("start", "stop", "step"))
        whole = (start[0], stop[0], start[3], stop[3]) == (0, shape[0], 0, shape[3])
        if whole and step == (1, 1, 1, 1):
            return readers[0].output, ((start[1], stop[1]), (start[2], stop[2]))
    return fold.output, ((0, shape[1]), (0, shape[2]))
