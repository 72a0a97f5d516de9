"""Looking at a tape: the evaluation trace as a table, its size and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import numpy_functions  # noqa: F401 (fills the table of NumPy functions)
from .builder import Shape
from .calls import Bound, bind, describe
from .errors import InputError
from .flat import Function
from .tape import Tape, show
from .walk.code import numpy_text
from .walk.columns import columns, values_of
from .walk.differentials.derivation import derivation_text
from .walk.differentials.formulas import matrix_formulas
from .walk.drawing.draw import Drawing, draw
from .walk.latex.collected import Formulas
from .walk.latex.formulas import formulas
from .walk.latex.text import latex_text
from .walk.written_out import entries, expansion_text

WIDEST = 6
"""Arrays of at most so many elements are printed in full."""


class Trace:
    """A function's tape at example arguments, to look at.

    ``tape`` is the tape itself; ``flops`` and ``bytes`` are forecasts that need no data.

    Example:
        >>> trace(lambda x: np.sum(x * x), np.ones(3))
        <Trace of `<lambda>`: 2 equations, 6 flops, 32 bytes>
    """

    def __init__(self, function: Callable, tape: Tape, leaves: Sequence[Any], call: tuple[Any, Any] = ((), {})):
        self.tape = tape
        self._name = describe(function)
        self._leaves = list(leaves)
        self._function, self._call = function, call

    @property
    def flops(self) -> float:
        """Floating-point operations of one evaluation."""
        return self.tape.flops

    @property
    def bytes(self) -> int:
        """Bytes of all values that the equations make, if no memory were reused."""
        return self.tape.bytes

    @property
    def has_data(self) -> bool:
        """Whether it was traced with arrays rather than with ``difflab.Shape``."""
        return not any(isinstance(leaf, Shape) for leaf in self._leaves)

    def values(self) -> dict[int, np.ndarray]:
        """Every value of the tape by number, at the example arguments."""
        if not self.has_data:
            raise ValueError("this trace was made of shapes without data, so it has no values; pass arrays to dl.trace")
        return values_of(self.tape, self._leaves)

    def columns(self, *, tangent: str | None = None, cotangent: Any = None) -> str:
        """The evaluation trace as the lectures write it: primal, tangent and adjoint of every line, and its gate.

        Lines are numbered anew, in the order of depth: inputs keep their names, results are v1, v2 and so on.

        Args:
            tangent: name of the input whose tangent is 1 (in every element); the first one by default.
            cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.

        Raises:
            ValueError: no data, no such input, or an output that is no number.

        Example:
            >>> print(trace(lambda x: np.sin(x) * x, 2.0).columns())
            value  is      primal   tangent d/dx  adjoint dy/dv  gate
            x      input   2        1             0.077004      copy adds (2 uses)
            v1     sin(x)  0.9093   -0.41615      2             scales by cos(x)
            v2     v1 * x  1.8186   0.077004      1             multiply swaps
            <BLANKLINE>
            y = v2 = 1.8186
            forward, read downwards:  dy/dx = 0.077004
            reverse, read upwards:    dy/dx = 0.077004
        """
        return str(columns(self.tape, self.values(), tangent=tangent, cotangent=cotangent))

    def table(self) -> str:
        """The evaluation trace as text: one line per value, in the order in which they are computed.

        Example:
            >>> print(trace(lambda x: np.sin(x) * x, 2.0).table())
            value  shape         is                 at the example
            v0     float64[]     x                  2
            v1     float64[]     sin(v0)            0.9093
            v2     float64[]     multiply(v1, v0)   1.819
            output v2
        """
        tape = self.tape
        rows = [("value", "shape", "is", "at the example" if self.has_data else "")]
        values = self.values() if self.has_data else {}
        for number in tape.inputs:
            rows.append(self._row(number, tape.names.get(number, "input"), values))
        for number in tape.constants:
            rows.append(self._row(number, "constant", values))
        for number, literal in tape.literals.items():
            rows.append(self._row(number, f"{literal!r}", values))
        for e in tape.equations:
            operands = ", ".join(
                [f"v{i}" for i in e.inputs] + [f"{key}={_compact(value)}" for key, value in e.params.items()]
            )
            rows.append(self._row(e.output, f"{e.primitive.name}({operands})", values))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "output " + ", ".join(f"v{number}" for number in tape.outputs)])

    def _row(self, number: int, what: str, values: dict[int, np.ndarray]) -> tuple[str, str, str, str]:
        aval = self.tape.avals[number]
        return f"v{number}", f"{show(aval):<12}", f"{what:<17}", _brief(values[number]) if values else ""

    def to_numpy(self, *, argnums: Any = 0) -> str:
        """Value and gradient as the text of a NumPy module, staged forward and mirrored backward.

        Args:
            argnums: position, or tuple of positions, of the arguments to differentiate.

        Returns:
            A module with one function ``value_and_gradient`` of the same arguments.

        Raises:
            InputError: the function has not one real output of shape ().
            UnsupportedError: Python branched on a traced value, or a primitive has no NumPy spelling.

        Example:
            >>> text = trace(lambda x: x * np.sin(x), np.ones(3)[0]).to_numpy()
            >>> print(text[text.index("    # backward"):])
                # backward
            ...
        """
        args, kwargs = self._call
        return numpy_text(self._function, self.tape, bind(self._function, args, kwargs, argnums))

    def draw(
        self,
        path: str | Path | None = None,
        *,
        tangent: str | None = None,
        cotangent: Any = None,
        title: str | None = None,
    ) -> Drawing:
        """The computation graph as a page: values on the edges going forward, gradients coming back, step by step.

        The page is one file that needs no network. Arrow keys step through it, Home and End go to the first and the
        last step; composites and layers fold and unfold by click, or by Enter on them.

        Args:
            path: the file to write, such as ``graph.html``; by default none is written.
            tangent: name of the input whose tangent is 1 in the page's table; the first one by default.
            cotangent: what comes back to the output, of its shape; 1 by default, which only a scalar output allows.
            title: the heading; the function's name by default.

        Returns:
            The drawing: ``.html`` is the page, ``.save(path)`` writes it, a notebook shows it.

        Raises:
            ValueError: no data, no such input, or an output that is no number.
            StoreError: the file cannot be written.

        Example:
            >>> trace(lambda x, y: x * np.sin(y), 2.0, 0.5).draw().html.count('class="node gate"')
            2
        """
        heading = self._name.strip("`") if title is None else title
        found = draw(self.tape, self.values(), title=heading, tangent=tangent, cotangent=cotangent)
        if path is not None:
            found.save(path)
        return found

    def to_latex(self, *, argnums: Any = 0, shapes: bool = False, by: str = "reverse") -> str:
        """Loss and gradient as matrix formulas in LaTeX, in the user's own letters.

        Matrices are upper case, vectors and numbers as the user wrote them: ``params["w1"]`` is W_1 or w_1. Each
        derivative has the shape of what it is taken by. What is long or used again is defined: A for affine maps, O for
        what a function makes of them, capital delta for the derivative by an A, a bar for that by anything else.

        Args:
            argnums: position, or tuple of positions, of the arguments to differentiate.
            shapes: whether the first lines say of which shape every argument is.
            by: "reverse" reads the formulas off the tape of reverse mode, which knows every primitive; "differentials"
                differentiates the matrix formulas of the loss themselves, by the method of differentials.

        Returns:
            An ``aligned`` environment, to be set with the package amsmath.

        Raises:
            InputError: the function has not one real output of shape (), or there is no such ``by``.
            UnsupportedError: Python branched on a traced value; or "differentials" has no rule for a primitive.

        Example:
            >>> loss = lambda w, X, y: np.mean((X @ w - y) ** 2)
            >>> print(trace(loss, np.ones(2), np.ones((97, 2)), np.ones(97)).to_latex())
            \\begin{aligned}
              N &= 97 \\\\
              L &= \\frac{1}{N} \\lVert X w - y \\rVert^2 \\\\
              \\frac{\\partial L}{\\partial w} &= \\frac{2}{N} X^\\top (X w - y)
            \\end{aligned}
        """
        return latex_text(self._formulas(argnums, by)[0], shapes=shapes)

    def to_expanded_latex(self, *, argnums: Any = 0, entry: int = 0) -> str:
        """The matrix formulas by the method of differentials beside what they stand for: entries written out.

        Args:
            argnums: position, or tuple of positions, of the arguments to differentiate.
            entry: which entry of each argument is written out, counted row by row.

        Returns:
            ``to_latex(by="differentials")``; the differentials from which it follows; and for each differentiated
            argument its formula, below it one partial derivative as SymPy writes it out, with symbols for all float
            arguments and its number of operations. Each is an ``aligned`` environment.

        Raises:
            InputError: the function has not one real output of shape (), or ``entry`` is negative.
            ForecastError: the expansion is too long to be made.
            UnsupportedError: a primitive without a rule, or one that SymPy cannot express.

        Example:
            >>> text = trace(lambda w, a: np.sum((w - a) ** 2), np.ones(2), np.ones(2)).to_expanded_latex()
            >>> print(text[text.index("mathrm{d}L") :])
            mathrm{d}L &= 2 (w - a)^\\top \\mathrm{d}w
            \\end{aligned}
            <BLANKLINE>
            \\begin{aligned}
              \\frac{\\partial L}{\\partial w} &= 2 (w - a) \\\\
              \\frac{\\partial L}{\\partial w_{1}} &= - 2 a_{1} + 2 w_{1} \\\\
              &\\quad \\text{(3 operations; all 2 entries: 6 operations)}
            \\end{aligned}
        """
        made, bound = self._formulas(argnums, "differentials")
        written = entries(self._function, self.tape, bound, self._leaves, made)
        return "\n\n".join([latex_text(made), derivation_text(made), expansion_text(made, written, entry=entry)])

    def _formulas(self, argnums: Any, by: str) -> tuple[Formulas, Bound]:
        ways = {"reverse": formulas, "differentials": matrix_formulas}
        if by not in ways:
            raise InputError(f"to_latex(by={by!r}): formulas are made by {' or '.join(map(repr, ways))}")
        args, kwargs = self._call
        bound = bind(self._function, args, kwargs, argnums)
        return ways[by](self._function, self.tape, bound), bound

    def __repr__(self) -> str:
        return f"<Trace of {self._name}: {len(self.tape)} equations, {self.flops:.3g} flops, {self.bytes:,} bytes>"

    __str__ = table


def _compact(value: Any) -> str:
    return repr(value).replace(" ", "")


def _brief(value: np.ndarray) -> str:
    if value.dtype.kind not in "fc":
        flat = [str(item) for item in value.ravel()[:WIDEST]]
    else:
        flat = [f"{item:.4g}" for item in value.ravel()[:WIDEST]]
    if value.shape == ():
        return flat[0]
    return "[" + " ".join(flat) + (" ...]" if value.size > WIDEST else "]")


def trace(function: Callable, *args: Any, **kwargs: Any) -> Trace:
    """Record what a function does.

    Args:
        function: plain NumPy function; arguments and outputs may be containers.
        args: arrays and numbers, or ``difflab.Shape((64, 4096), "float32")`` where there is no data.
        kwargs: keyword arguments.

    Returns:
        A ``Trace``: ``.tape``, ``.table()``, ``.values()``, ``.flops``, ``.bytes``.

    Raises:
        TraceError: something that cannot be recorded, with the place in the user's file.

    Example:
        >>> from difflab import Shape
        >>> trace(lambda x, w: x @ w, Shape((64, 4096), "float32"), Shape((4096, 4096), "float32")).bytes
        1048576
    """
    bound = bind(function, args, kwargs, ())
    flat = Function(function, bound)
    return Trace(function, flat.trace(names=True), bound.leaves, (args, kwargs))
