"""Generated code: a tape written out as one straight-line Python function of NumPy calls with ``out=`` buffers.

The generated text has two levels.  ``make(...)`` receives all set-up values (buffers, views of them, constants) as
arguments; the inner ``run(...)`` reads them as closure variables and receives the arguments of a call.  A program is
compiled once; every thread that runs it gets buffers of its own by calling ``make`` again.

Python compiles a long function in more than linear time, so a long tape becomes several functions called in turn, each
with the set-up values that it reads; what is known only at run time then travels between them in a list.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import GuardError
from ..primitives.record import OUT, Aval, Call, Operand
from ..tape import Equation, literal_array
from .plan import SET_UP, Plan
from .wording import Provided, Quiet, Row, Scratch, Seen, equal_shapes, long_rows, set_up_value, summed

WORD = re.compile(r"[A-Za-z_]\w*")
PART = 500
"""A generated function holds at most so many equations."""


class Part(NamedTuple):
    """The text of one generated function, and the set-up values that its ``make`` receives."""

    text: str
    closure: tuple[Provided, ...]


class Writer:
    """Collects the lines of ``run`` and the objects that they name."""

    def __init__(self, plan: Plan, loud: frozenset[int] = frozenset()):
        self.tape = tape = plan.tape
        self.plan = plan
        self.loud = loud  # values whose calls are those of the plain function, wherever they stand
        self.lines: list[str] = []
        self.parts: list[Part] = []
        # In a program of several parts, values known only at run time have places in a list.
        self.long = len(tape.equations) > PART
        self.places: dict[int, int] = {}
        self.namespace: dict[str, Any] = {"errstate": np.errstate, "empty": np.empty, "array": np.array}
        self.namespace["GuardError"] = GuardError
        self.named: dict[int, str] = {id(value): name for name, value in self.namespace.items()}
        self.units: dict[tuple[int, np.dtype], np.ndarray] = {}
        # What set-up must provide: a value's number, or another look at it -> name, in order of first use.
        self.closure: dict[Provided, str] = {}
        self.looked: dict[tuple, int] = {}  # slot, dtype and shape of a view -> a value that is seen by it
        self.products = 0
        self.rows = 0
        # Derivative equations raise no warnings, so they may use np.dot, which does not look for any and starts faster.
        self.quiet = False
        self.quiet_lines: set[int] = set()

    def name(self, number: int) -> str:
        """The variable of a value."""
        if self.plan.places[number] in SET_UP:
            variable = self.closure[number] = f"v{number}"
            return variable
        if self.long:
            return f"r[{self.places.setdefault(number, len(self.places))}]"
        return f"v{number}"

    def seen(self, number: int, shape: tuple[int, ...]) -> str:
        """A value in another shape: a view made at set-up, or at every call of what is known only then."""
        if self.tape.avals[number].shape == shape:
            return self.name(number)
        if self.plan.places[number] in SET_UP:
            if number in self.plan.slot_of:  # values that share a slot share its views
                look = (self.plan.slot_of[number], self.tape.avals[number].dtype, shape)
                number = self.looked.setdefault(look, number)
            return self.closure.setdefault(Seen(number, shape), f"v{number}_{len(self.closure)}")
        return f"{self.name(number)}.reshape({shape!r})"

    def bound(self, value: Any, prefix: str) -> str:
        """The variable of an object that the code refers to."""
        known = self.named.get(id(value))
        if known is not None:
            return known
        stem = getattr(value, "__name__", prefix)
        variable = f"{stem if stem.isidentifier() else prefix}_{len(self.namespace)}"
        self.namespace[variable] = value  # which also keeps its id from being used again
        self.named[id(value)] = variable
        return variable

    def literal(self, value: Any) -> str:
        """The text of an argument that is no array."""
        if value is None or isinstance(value, bool | int):
            return repr(value)
        if isinstance(value, tuple) and all(isinstance(item, int) for item in value):
            return repr(value)
        return self.bound(value, "k")

    # -------------------------------------------------------------------- one equation

    def equation(self, equation: Equation, operands: tuple[int, ...]) -> None:
        """Write the line of one equation, unless its value is made at set-up or never."""
        place = self.plan.places[equation.output]
        if place in ("fixed", "view", "skipped"):
            return
        if place == "passing":
            self.lines.append(f"{self.name(equation.output)} = {self.view(equation, self.name(operands[0]))}")
            return
        avals = [self.tape.avals[number] for number in operands]
        out = self.tape.avals[equation.output]
        target = self.name(equation.output)
        if equation.primitive.view:  # a reshape that must copy
            if place == "result":
                self.allocate(target, out)
            copyto = self.bound(np.copyto, "f")
            self.lines.append(f"{copyto}({self.seen(equation.output, avals[0].shape)}, {self.name(operands[0])})")
            return
        row = self.product(equation, operands, out)
        call = self.into(equation, avals) if row is None else row.call
        if place == "result":
            if row is None and self.returns_fresh(equation, call, operands, out):
                names = [self.name(number) for number in operands]
                self.lines.append(f"{target} = {self.called(call, names, '')}")
                return
            if row is not None and row.fresh:
                self.lines.append(f"{target} = {self.called(call, self.looks(operands, row), '')}")
                return
            self.allocate(target, out)
        if row is None and place in ("result", "buffer"):
            row = equal_shapes(self.plan, call, operands, equation.output) or self.long_rows(call, operands, equation)
        if row is None:
            names, filled = [self.name(number) for number in operands], target
        else:
            names, filled = self.looks(operands, row), self.seen(equation.output, row.result)
        self.lines.append(self.called(call, names, filled))

    def looks(self, operands: tuple[int, ...], row: Row) -> list[str]:
        """The operands in the shapes that a call takes them in."""
        return [
            shape if isinstance(shape, str) else self.seen(number, shape)
            for number, shape in zip(operands, row.shapes, strict=False)
        ]

    def long_rows(self, call: Call, operands: tuple[int, ...], equation: Equation) -> Row | None:
        """A short row that is added to many is repeated first: loops over long rows start less often."""
        found = long_rows(self.plan, call, operands, equation.output)
        if found is None:
            return None
        position, repeats, row = found
        number = operands[position]
        aval = self.tape.avals[number]
        scratch = Scratch((repeats, aval.size), aval.dtype)
        repeated = self.closure.setdefault(scratch, f"s{equation.output}")
        self.lines.append(f"{self.bound(np.copyto, 'f')}({repeated}, {self.name(number)})")
        self.rows += 1
        shapes = list(row.shapes)
        shapes[position] = repeated
        return row._replace(shapes=tuple(shapes))

    def called(self, call: Call, names: list[str], filled: str) -> str:
        """The text of a call; without a buffer to fill it makes its result itself."""
        arguments = [
            names[a.index]
            if isinstance(a, Operand)
            else (f"out={filled}" if call.keyword else filled)
            if a is OUT
            else self.literal(a)
            for a in call.arguments
            if filled or a is not OUT
        ]
        if call.function is np.dot:  # the method does the same and starts sooner
            return f"{arguments[0]}.dot({', '.join(arguments[1:])})"
        return f"{self.bound(call.function, 'f')}({', '.join(arguments)})"

    def allocate(self, target: str, out: Aval) -> None:
        """Write the line that makes a result's array."""
        self.lines.append(f"{target} = empty({out.shape!r}, {self.bound(out.dtype, 'd')})")

    @staticmethod
    def into(equation: Equation, avals: list[Aval]) -> Call:
        """The call by which a primitive fills a buffer."""
        primitive = equation.primitive
        if primitive.into is not None:
            return primitive.into(avals, **equation.params)
        params = equation.params

        def fill(*arrays: Any) -> None:
            arrays[-1][...] = primitive.evaluate(*arrays[:-1], **params)

        return Call(fill, (*map(Operand, range(len(avals))), OUT))

    def returns_fresh(self, equation: Equation, call: Call, operands: tuple[int, ...], out: Aval) -> bool:
        """Whether the call without its last argument allocates exactly the result, in the order that buffers have."""
        avals = [self.tape.avals[number] for number in operands]
        if call.function is np.matmul and out.ndim < 3:
            return True
        # NumPy's own choice follows the operands' strides, and what reads the result may round by its layout.
        known = [aval.ndim < 2 or self.plan.contiguous.get(n, False) for n, aval in zip(operands, avals, strict=True)]
        if out.ndim > 1 and not all(known):
            return False
        if call.function is np.matmul:
            return True
        # Another ufunc than the primitive's own might choose another dtype (scipy's expit of float16 does).
        if call.function is not equation.primitive.evaluate or call.arguments[-1] is not OUT:
            return False
        return bool(avals) and np.broadcast_shapes(*[aval.shape for aval in avals]) == out.shape

    def product(self, equation: Equation, operands: tuple[int, ...], out: Aval) -> Row | None:
        """A plane's product by np.dot, and a sum over its first or last axes as a product with ones: BLAS is faster."""
        name = equation.primitive.name
        if name not in ("sum", "matmul"):
            return None
        aval = self.tape.avals[operands[0]]
        quiet = self.quiet and equation.output not in self.loud
        if name == "matmul":
            other = self.tape.avals[operands[1]]
            fast = aval.dtype.kind == "f" and aval.dtype.itemsize >= 4
            if not (quiet and fast and out.size and aval.ndim == other.ndim == 2):
                return None
            return Row(Call(np.dot, (Operand(0), Operand(1), OUT)), (aval.shape, other.shape), out.shape, fresh=True)
        if not self.plan.contiguous.get(operands[0], False):
            return None
        row = summed(aval, equation.params["axes"], out, self.ones, quiet)
        self.products += row is not None
        return row

    def ones(self, size: int, dtype: np.dtype) -> np.ndarray:
        """A vector of ones, one for each size and dtype."""
        key = (size, dtype)
        if key not in self.units:
            self.units[key] = np.ones(size, dtype)
        return self.units[key]

    def view(self, equation: Equation, source: str) -> str:
        """The expression of a view of a value known at run time."""
        name, params = equation.primitive.name, equation.params
        if name == "reshape":
            return f"{source}.reshape({params['shape']!r})"
        if name == "transpose":
            if params["axes"] == (1, 0):
                return f"{source}.T"
            return f"{source}.transpose({params['axes']!r})"
        if name == "stop_gradient":
            return source
        return f"{self.bound(_evaluator(equation), 'f')}({source})"

    # -------------------------------------------------------------------- the whole

    def write(self) -> list[Part]:
        """The functions, in the order in which they run; the last one returns the results."""
        tape = self.tape
        guards: dict[int, list[Any]] = {}
        for guard in tape.guards:
            guards.setdefault(guard.value, []).append(guard.observed)
        if self.long:
            self.places = {number: place for place, number in enumerate((*tape.inputs, *self.argument_constants()))}
        for number in (*tape.inputs, *tape.constants, *tape.literals):
            self.guard(number, guards)
        for position, equation in enumerate(tape.equations):
            if position and position % PART == 0:
                self.part("")
            self.quiet = equation.output in self.plan.quiet
            first = len(self.lines)
            self.equation(equation, self.plan.operands[position])
            self.guard(equation.output, guards)
            if self.quiet:
                self.quiet_lines.update(range(first, len(self.lines)))
        self.part(f"return [{', '.join(self.returns())}]")
        return self.parts

    def part(self, last: str) -> None:
        """Close a function: the lines so far, those of derivatives without warnings, and its last line."""
        given = (
            ("r",) if self.long else tuple([f"v{number}" for number in (*self.tape.inputs, *self.argument_constants())])
        )
        first = min(self.quiet_lines, default=0)
        at_the_end = bool(self.quiet_lines) and len(self.quiet_lines) == len(self.lines) - first
        own = any(equation.primitive.kind == "own" for equation in self.tape.equations)
        if at_the_end and last and not self.long and not own:
            lines = self.quiet_function(self.lines[:first], [*self.lines[first:], last], given)
        else:
            lines = [*self.guarded_lines(), *([last or "pass"] if last or not self.lines else [])]
            lines = [f"def run({', '.join(given)}):", *[f"    {line}" for line in lines]]
        body = "".join(f"    {line}\n" for line in lines)
        head = ", ".join(self.closure.values())
        self.parts.append(Part(f"def make({head}):\n{body}    return run\n", tuple(self.closure)))
        self.lines, self.closure, self.quiet_lines = [], {}, set()

    def guarded_lines(self) -> list[str]:
        """The lines so far; derivative equations add no warnings to those of the plain loss."""
        lines: list[str] = []
        for position, line in enumerate(self.lines):
            quiet = position in self.quiet_lines
            if quiet and position - 1 not in self.quiet_lines:
                lines.append("with errstate(all='ignore'):")
            lines.append(f"    {line}" if quiet else line)
        return lines

    def quiet_function(self, loud: list[str], quiet: list[str], given: tuple[str, ...]) -> list[str]:
        """The derivative's lines as a function run in a context without warnings: a context manager takes longer."""
        known = {*given, *[line.partition(" = ")[0] for line in loud if " = " in line]}
        named = {word for line in quiet for word in WORD.findall(line)}
        passed = ", ".join(sorted(known & named, key=lambda name: (len(name), name)))
        within = self.closure.setdefault(Quiet(), "within")
        return [
            f"def derive({passed}):",
            *[f"    {line}" for line in quiet],
            f"def run({', '.join(given)}):",
            *[f"    {line}" for line in loud],
            f"    return {within}(derive, {passed})",
        ]

    def guard(self, number: int, guards: Mapping[int, list[Any]]) -> None:
        """Write the lines that compare what Python saw with what it would see now."""
        for observed in guards.get(number, ()):
            kind = "bool" if isinstance(observed, bool) else "int"
            self.lines.append(f"if {kind}({self.name(number)}) != {observed!r}: raise GuardError({number})")

    def argument_constants(self) -> list[int]:
        """Constants that are passed at every call."""
        return [number for number in self.tape.constants if self.plan.places[number] == "argument"]

    def returns(self) -> list[str]:
        """Results; what is not fresh, or is returned twice, is copied."""
        seen: set[int] = set()
        result = []
        for number in self.tape.outputs:
            fresh = self.plan.places[number] == "result" and number not in seen
            seen.add(number)
            result.append(self.name(number) if fresh else f"array({self.name(number)})")
        return result


def _evaluator(equation: Equation) -> Callable[[Any], Any]:
    evaluate, params = equation.primitive.evaluate, equation.params

    def view(x: Any) -> Any:
        return evaluate(x, **params)

    return view


def compile_text(text: str, namespace: dict[str, Any]) -> Callable:
    """Compile generated code; its lines show up in tracebacks."""
    filename = f"<difflab program {abs(hash(text)):x}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace["make"]


def set_up(plan: Plan, constants: Mapping[int, Any]) -> dict[int, Any]:
    """Allocate one set of buffers and make all views: what the arguments of ``make`` are taken from."""
    tape = plan.tape
    memory = [np.empty(size, np.uint8) for size in plan.slots]
    values: dict[int, Any] = {}
    for number, value in tape.literals.items():
        values[number] = literal_array(value, tape.avals[number])
    for number in tape.constants:
        if plan.places[number] == "fixed":
            values[number] = constants[number]
    for position, equation in enumerate(tape.equations):
        number, place = equation.output, plan.places[equation.output]
        aval = tape.avals[number]
        if place == "buffer":
            values[number] = np.ndarray(aval.shape, aval.dtype, buffer=memory[plan.slot_of[number]].data)
        elif place in ("view", "fixed"):
            with np.errstate(all="ignore"):
                operands = [values[i] for i in plan.operands[position]]
                values[number] = equation.primitive.evaluate(*operands, **equation.params)
                if place == "fixed":
                    values[number] = _at_shape(np.asarray(values[number]), aval)
    return values


def provided(values: dict[int, Any], closure: Sequence[Provided], scratch: dict[Scratch, Any]) -> list[Any]:
    """What ``make`` is given: values of set-up, other looks at them, and room for repeated rows."""
    return [values[key] if isinstance(key, int) else set_up_value(key, values, scratch) for key in closure]


def _at_shape(value: np.ndarray, aval: Aval) -> np.ndarray:
    """A fixed value whose broadcasts were skipped gets the shape that the tape notes."""
    return value if value.shape == aval.shape else np.broadcast_to(value, aval.shape)
