"""Flat code: value and gradient as one readable NumPy function, staged forward and mirrored backward.

The forward statements are the equations of the trace, one each, under the numbers of ``Trace.table()``; the backward
statements follow in reverse order, and the cotangent of ``v7`` is called ``dv7``, that of ``params["w1"]`` ``dw1``.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls import ARRAY, Bound, argument_name, describe
from ..containers import Structure, paths
from ..errors import UnsupportedError
from ..flat import require_scalar
from ..primitives.record import Aval
from ..tape import Equation, Tape, literal_array
from .helpers import SOURCES
from .mirror import Mirror, mirror
from .spelling import OWN_FUNCTION, Term, dtype_text, helpers_of, spelt

WIDTH = 120
_TOKENS = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[\[({\])}]|, """)
SMALL = 8
"""Closed-over arrays of at most so many elements are printed; others are passed."""


def numpy_text(function: Callable, tape: Tape, bound: Bound) -> str:
    """Value and gradient of a traced function as the text of a NumPy module.

    Args:
        function: the user's function.
        tape: its trace.
        bound: its arguments, taken apart with those to differentiate.

    Returns:
        A module with one function ``value_and_gradient`` of the same arguments.

    Raises:
        InputError: the function has not one real output of shape ().
        UnsupportedError: Python branched on a traced value, or a primitive has no spelling.

    Example:
        >>> from difflab import trace
        >>> text = trace(lambda x: np.sum(np.sin(x)), np.ones(3)).to_numpy()
        >>> print(text[text.index("    # forward"):])
            # forward
            v1 = np.sin(x)  # (3,)
            v2 = np.sum(v1)
        <BLANKLINE>
            # backward
            dv2 = np.float64(1.0)
            t1 = np.reshape(dv2, (1,))  # (1,)
            dv1 = np.broadcast_to(t1, (3,))  # (3,)
            t2 = np.cos(x)  # (3,)
            dx = dv1 * t2  # (3,)
        <BLANKLINE>
            return v2, dx
        <BLANKLINE>
    """
    require_scalar(tape, function)
    if tape.guards:
        raise UnsupportedError(
            f"flat code of {describe(function)} would freeze a branch that Python chose by a traced value; choose with "
            "np.where instead, or use dl.value_and_gradient"
        )
    return _Writer(function, bound, mirror(tape, bound.wrt)).module()


class _Writer:
    """Names values and collects lines."""

    def __init__(self, function: Callable, bound: Bound, found: Mirror):
        self.function, self.bound, self.found = function, bound, found
        self.tape = found.tape
        self.lines: list[str] = []
        self.helpers: list[str] = []
        self.imports: set[str] = set()
        self.own: list[str] = []
        self.passed: list[tuple[str, Aval]] = []
        self.aliases: dict[int, str] = {}  # cotangents that are values known under another name, in the present stage
        self.names: dict[int, str] = {}
        self.plain: dict[int, str] = {}  # numbers, as they are written beside a value of their dtype
        positional = len(bound.structures) - len(bound.keywords)
        given = [argument_name(function, position) for position in range(positional)] + list(bound.keywords)
        self.taken = {"np", "scipy", "find", "constants", *OWN_FUNCTION, *SOURCES}
        self.arguments = [self.fresh(name) for name in given]
        self.temporaries = 0

    # -------------------------------------------------------------------- names

    def fresh(self, wanted: str) -> str:
        """An identifier like ``wanted`` that nothing has yet."""
        wanted = unicodedata.normalize("NFKC", wanted)  # as Python reads names; other letters may be none in a name
        name = re.sub(r"\W+", "_", "".join(c if f"x{c}".isidentifier() else "_" for c in wanted)).strip("_") or "value"
        if not name.isidentifier():
            name = f"x{name}"
        while name in self.taken or keyword.iskeyword(name):
            name += "_"
        self.taken.add(name)
        return name

    def operand(self, number: int) -> Term:
        """A value as an operand."""
        text = self.aliases.get(number) or self.names[number]
        plain = None if number in self.aliases else self.plain.get(number)
        return Term(text, self.tape.avals[number], plain)

    # -------------------------------------------------------------------- lines

    def write(self, text: str, aval: Aval | None = None) -> None:
        """A statement with its shape, on as many lines as it needs."""
        comment = f"  # {aval.shape}" if aval is not None and aval.shape else ""
        line = f"    {text}{comment}"
        self.lines.extend([line] if len(line) <= WIDTH else _wrapped(f"    {text}"))

    def statement(self, equation: Equation, name: str | None) -> None:
        """``name = expression``; without a name the next of t1, t2, ..., and a transposed matrix stays unnamed."""
        terms = [self.operand(number) for number in equation.inputs]
        primitive = equation.primitive
        text = spelt(primitive, terms, dict(equation.params))
        if text is None:
            raise UnsupportedError(
                f"flat code of {describe(self.function)} has no NumPy spelling for the primitive {primitive.name!r}; "
                "use dl.value_and_gradient, which runs it"
            )
        for helper in helpers_of(primitive.name):
            if helper not in self.helpers:
                self.helpers.append(helper)
        if text.startswith("scipy."):
            self.imports.add("import scipy.special")
        if primitive.name in OWN_FUNCTION and primitive.name not in self.own:
            self.own.append(primitive.name)
        if name is None and text.endswith(".T") and terms[0].text.isidentifier():
            self.names[equation.output] = text
            return
        name = name or self.temporary()
        self.names[equation.output] = name
        self.write(f"{name} = {text}", self.tape.avals[equation.output])

    def inputs(self) -> None:
        """Name the inputs, and take them out of their containers."""
        everything = [
            (path, name)
            for structure, name in zip(self.bound.structures, self.arguments, strict=True)
            for path in paths(structure, name)
        ]
        for number, position, kind in zip(self.tape.inputs, self.bound.live, self.bound.kinds, strict=True):
            path, argument = everything[position]
            path = path if '"' in path else path.replace("'", '"')
            if path == argument:
                name = argument
            else:
                parts = re.findall(r"[A-Za-z_]\w*", path[len(argument) :])
                name = self.fresh(parts[-1] if len(parts) == 1 and not re.search(r"\[\d", path) else path)
            self.names[number] = name
            if kind is not ARRAY:
                self.write(f"{name} = np.asarray({path}, {dtype_text(self.tape.avals[number].dtype)})")
            elif path != argument:
                self.write(f"{name} = {path}", self.tape.avals[number])

    def constants(self) -> None:
        """Numbers and small arrays as they are, others by the key under which ``tape.to_json`` gives them."""
        forward = self.found.forward
        for number, literal in self.tape.literals.items():
            self.number(number, literal_array(literal, self.tape.avals[number]))
        for number, constant in self.tape.constants.items():
            array, aval = np.asarray(constant), self.tape.avals[number]
            if array.shape == ():
                self.number(number, array.astype(aval.dtype))
                continue
            name = self.names[number] = self.fresh(f"c{forward.get(number, number)}")
            if forward.get(number) not in self.found.original.constants or (
                array.size <= SMALL and array.flags.c_contiguous
            ):
                self.write(f"{name} = np.array({_listed(array)}, {dtype_text(array.dtype)})")
            else:
                self.passed.append((name, aval))
                self.write(f'{name} = constants["c{forward[number]}"]', aval)

    def number(self, number: int, array: np.ndarray) -> None:
        """A number, written out wherever it is used."""
        text = _number(array.item())
        self.names[number] = f"{dtype_text(array.dtype)}({text})"
        if not isinstance(array.item(), bool | complex):
            self.plain[number] = f"({text})" if text.startswith("-") else text

    # -------------------------------------------------------------------- the two passes

    def forward_pass(self) -> None:
        """One statement per equation, in order; composites are announced where they begin."""
        self.lines.append("    # forward")
        stop = {one.output for _, own in self.found.stages for one in own} | {one.output for one in self.found.last}
        for position, equation in enumerate(self.tape.equations):
            if equation.output in stop:
                continue
            for span in sorted(self.tape.spans, key=lambda span: -span.stop):
                if span.start == position and all(number in self.names for number in span.arguments):
                    arguments = ", ".join(self.operand(number).text for number in span.arguments)
                    self.lines.extend(_wrapped(f"    # {span.name}({arguments}):", comment=True))
            self.statement(equation, self.fresh(f"v{self.found.forward[equation.output]}"))

    def backward_pass(self) -> None:
        """The stages in reverse; ``d<name>`` once a cotangent is complete, ``t1`` and so on for what it is made of."""
        self.lines += ["", "    # backward"]
        cotangents = self.found.cotangents
        original = {number: value for value, number in self.found.forward.items()}
        titles: dict[int, list[tuple[int, str]]] = {}
        for number, cotangent in cotangents.items():
            known = self.names.get(original[number])
            if known is not None:  # a value that was simplified away has no name to be called after
                titles.setdefault(cotangent, []).append((number, f"d{known}"))
        wished: dict[int, str] = {}
        waiting: dict[int, tuple[int, str]] = {}
        for cotangent, entries in titles.items():
            for number, title in entries:
                name = self.fresh(title)
                if cotangent not in wished and cotangent not in self.names:
                    wished[cotangent] = name
                else:
                    waiting[number] = (cotangent, name)
        spans = sorted(self.found.original.spans, key=lambda span: (span.start, -span.stop))
        places = {equation.output: place for place, equation in enumerate(self.found.original.equations)}
        announced: int | None = None
        for equation, own in self.found.stages:
            self.alias(equation.output, waiting)
            place = places[equation.output]
            around = next((k for k, span in enumerate(spans) if span.start <= place < span.stop), None)
            if around is not None and around != announced and own:
                self.lines.append(f"    # back through {spans[around].name}:")
            announced = around if own else announced
            for one in own:
                self.statement(one, wished.get(one.output))
            self.aliases = {}
        for one in self.found.last:
            self.statement(one, wished.get(one.output))
        for number in self.found.original.inputs:
            self.alias(number, waiting)
        self.aliases = {}

    def alias(self, number: int, waiting: dict[int, tuple[int, str]]) -> None:
        """A cotangent that is a value with another name: a sum hands on what it gets."""
        if number in waiting:
            cotangent, name = waiting[number]
            self.write(f"{name} = {self.names[cotangent]}", self.tape.avals[cotangent])
            self.aliases = {cotangent: name}

    def temporary(self) -> str:
        """The next of t1, t2, ..."""
        self.temporaries += 1
        return self.fresh(f"t{self.temporaries}")

    # -------------------------------------------------------------------- the whole

    def module(self) -> str:
        """The text."""
        self.inputs()
        self.constants()
        opened = len(self.lines)
        self.forward_pass()
        self.backward_pass()
        self.lines.append("")
        self.write(f"return {self.operand(self.tape.outputs[0]).text}, {self.gradient()}")
        if opened:
            self.lines.insert(opened, "")
        described = describe(self.function).strip("`")
        head = f'"""Value and gradient of {described}, staged forward and mirrored backward."""'
        imports = ["import numpy as np", *sorted(self.imports)]
        parts = [head, "", *imports]
        if self.own:
            parts += ["", "import difflab", "from difflab.primitives.record import find", ""]
            parts.append("# Too long to print: difflab's own functions.")
            parts += [f"{name} = find({name!r}).evaluate" for name in self.own]
        for helper in self.helpers:
            parts += ["", SOURCES[helper].rstrip("\n")]
        arguments = [*self.arguments, *(["constants"] if self.passed else [])]
        parts += ["", "", *_wrapped(f"def value_and_gradient({', '.join(arguments)}):", least=4)]
        parts.append('    """The value, and the gradient in the structure of what it is taken by."""')
        if self.passed:
            parts.append("    # constants: the arrays that the function closed over, trace.tape.to_json()[1]")
        parts += self.fixed()
        return "\n".join([*parts, *self.lines]) + "\n"

    def fixed(self) -> list[str]:
        """A comment for every argument that is part of the text."""
        live = set(self.bound.live)
        lines = []
        everything = [
            path for s, name in zip(self.bound.structures, self.arguments, strict=True) for path in paths(s, name)
        ]
        for position, (path, leaf) in enumerate(zip(everything, self.bound.all_leaves, strict=True)):
            if position not in live:
                lines += _wrapped(f"    # {path} is fixed: {_on_a_line(leaf)}", comment=True)
        return lines

    def gradient(self) -> str:
        """The gradient as an expression with the containers of its argument."""
        texts = [self.operand(number).text for number in self.tape.outputs[1:]]
        at = 0
        trees = []
        for structure in self.bound.targets:
            trees.append(_container(self.function, structure, texts[at : at + structure.size]))
            at += structure.size
        return trees[0] if self.bound.single else f"({', '.join(trees)}{',' if len(trees) == 1 else ''})"


def _container(function: Callable, structure: Structure, texts: list[str]) -> str:
    """Text of a container with ``texts`` as its leaves."""
    if not structure.plain:
        raise UnsupportedError(
            f"flat code of {describe(function)} cannot return a gradient in a dataclass, which plain NumPy text does "
            "not know; pass a dict, list or tuple"
        )

    def render(spec: Any) -> str:
        if spec.is_leaf():
            return next(leaves)
        children = [render(child) for child in spec.children()]
        if spec.type is None or spec.type is type(None):
            return "None"
        if issubclass(spec.type, dict):
            return "{" + ", ".join(f"{_key(k)}: {c}" for k, c in zip(spec.entries(), children, strict=True)) + "}"
        if spec.type is list:
            return f"[{', '.join(children)}]"
        if spec.type is tuple:
            return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
        raise UnsupportedError(
            f"flat code of {describe(function)} cannot return a gradient in a {spec.type.__name__}, which plain NumPy "
            "text does not know; pass a dict, list or tuple"
        )

    leaves = iter(texts)
    return render(structure.spec)


def _key(key: Any) -> str:
    return f'"{key}"' if isinstance(key, str) and key.isprintable() and not re.search(r'["\\]', key) else repr(key)


def _on_a_line(leaf: Any) -> str:
    text = " ".join(repr(leaf).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: Any) -> str:
    """A number's exact text, as an expression where only ``np`` is known."""
    if isinstance(value, complex):
        return f"complex({_number(value.real)}, {_number(value.imag)})"
    if isinstance(value, float) and not np.isfinite(value):
        return "np.nan" if np.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def _listed(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array.item())
    return f"[{', '.join(map(_listed, array))}]"


def _wrapped(line: str, *, comment: bool = False, least: int = 8) -> list[str]:
    """A line broken behind commas inside brackets and outside texts, where it is longer than the page is wide."""
    lead = "    # " if comment else " " * least
    lines: list[str] = []
    start, depth, cuts = 0, 0, []
    for token in _TOKENS.finditer(line):
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if token[0] == ", " and (depth or comment):
            cuts.append(token.start())
    while len(line) - start + len(lead) * bool(lines) > WIDTH:
        room = start + WIDTH - len(lead) * bool(lines)
        ahead = [cut for cut in cuts if cut > start]
        if not ahead:
            break
        cut = max([cut for cut in ahead if cut < room], default=ahead[0])
        lines.append(lead * bool(lines) + line[start : cut + 1])
        start = cut + 2
    return [*lines, lead * bool(lines) + line[start:]]
