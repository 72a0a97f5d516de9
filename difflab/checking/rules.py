"""Wrong derivative rules, as people write them: of one equation each, or of a composite such as softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..tape import Equation
from . import masks
from .places import Places
from .slips import PLAIN, Slip, only, others, telling, with_values
from .sweep import Contributions, Rule, Sweep, evaluated


def slips_at(sweep: Sweep, places: Places, position: int) -> Iterator[Slip]:
    """The usual wrong rules for one equation; ``label`` says which slip it is, the same at every equation."""
    equation = sweep.tape.equations[position]
    name = equation.primitive.name
    if name not in PLAIN and len(equation.inputs) == 1:
        yield from _unary(sweep, places, position, equation)
    if name in ("maximum", "minimum"):
        yield from masks.extreme(sweep, places, position, equation)
    elif name == "where":
        yield from masks.where(position)
    elif name == "multiply":
        yield from masks.product(sweep, places, position, equation)
    elif name == "divide":
        yield from _quotient(sweep, position, equation)
    elif name == "matmul":
        yield from _matmul(sweep, places, position, equation)
    elif name in ("integer_power", "power", "square"):
        yield from _power(position)
    elif name == "gather":
        yield from _gather(sweep, position, equation)
    elif name == "reshape":
        yield from _reshape(sweep, position, equation)
    elif name == "logaddexp":
        yield from _logaddexp(position)
    elif name in ("max", "min"):
        yield Slip(position, "all", "handed to every entry and not only to the extreme one", _to_all)
    elif name == "max_pool":
        yield Slip(
            position, "all", "handed to every entry of the window and not only to the largest", _to_window(False)
        )
        yield Slip(
            position, "shared", "shared equally by the entries of the window, as of an average", _to_window(True)
        )
    yield from _unsummed(sweep, position, equation)


def confusions_at(sweep: Sweep, places: Places, position: int) -> Iterator[Slip]:
    """Rules that use the wrong array of the right shape: another layer's values, or an adjoint."""
    equation = sweep.tape.equations[position]
    name = equation.primitive.name
    if name not in PLAIN and len(equation.inputs) == 1:
        yield from _slope_elsewhere(sweep, places, position, equation)
    elif name in ("maximum", "minimum"):
        yield from masks.extreme_elsewhere(sweep, places, position, equation)
    elif name == "where":
        yield from masks.where_elsewhere(sweep, places, position, equation)
    elif name == "multiply":
        yield from masks.product_elsewhere(sweep, places, position, equation)
    elif name == "sum":
        yield from _rows(sweep, position, equation)
    if name in ("multiply", "matmul"):
        yield from _factor_elsewhere(sweep, places, position, equation)
    yield from _adjoint_elsewhere(sweep, places, position, equation)


# ---------------------------------------------------------------------------- functions of one operand


def _apply(equation: Equation, value: Any) -> Any:
    return np.asarray(equation.primitive.evaluate(value, **equation.params))


def _unary(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    if sweep.values[equation.output].shape != sweep.values[equation.inputs[0]].shape:
        return
    yield Slip(position, "left out", "left out (taken as 1)", lambda s, e, g: {e.inputs[0]: g})

    def twice(s: Sweep, e: Equation, g: Any) -> Contributions:
        return s.pull(e, s.pull(e, g)[e.inputs[0]])

    yield Slip(position, "twice", "applied twice", twice)
    for text, slope in FORMULAS:
        yield Slip(
            position, text, f"computed as {text} (x: its argument, y: its value)",
            lambda s, e, g, slope=slope: {e.inputs[0]: g * slope(s.values[e.inputs[0]], s.values[e.output])},
        )  # fmt: skip
    x, y = equation.inputs[0], equation.output
    yield Slip(
        position, "at output", f"taken at its result, {places.value(y)}, in place of its argument",
        with_values(lambda s, e, g: (_apply(e, s.values[e.output]), [s.values[e.output]])),
    )  # fmt: skip
    yield Slip(
        position, "at input", f"computed with its argument, {places.value(x)}, where its formula has the result",
        with_values(lambda s, e, g: (s.values[e.inputs[0]], [s.values[e.inputs[0]]])),
    )  # fmt: skip


def _slope_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    x, y = equation.inputs[0], equation.output
    if sweep.values[y].shape != sweep.values[x].shape:
        return
    if telling(sweep.adjoints[y]):
        yield Slip(
            position, "at adjoint", "taken at the wrong array, the adjoint that comes from the next layer",
            with_values(lambda s, e, g: (_apply(e, g), [g])),
        )  # fmt: skip
    for number in others(sweep, x):
        if number != y:
            yield Slip(
                position, f"at {number}", f"taken at the wrong array, {places.value(number)}",
                with_values(lambda s, e, g, number=number: (_apply(e, s.values[number]), [s.values[number]])),
            )  # fmt: skip
            yield Slip(
                position, f"as {number}", f"computed from the wrong array, with {places.value(number)} as its result",
                with_values(lambda s, e, g, number=number: (s.values[number], [s.values[number]])),
            )  # fmt: skip


# What people write for the slope of some function when they mean another.
FORMULAS: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = (
    ("1 / 2", lambda x, y: 0.5),
    ("y", lambda x, y: y),
    ("x * y", lambda x, y: x * y),
    ("1 - y", lambda x, y: 1 - y),
    ("1 - y**2", lambda x, y: 1 - y * y),
    ("1 + y**2", lambda x, y: 1 + y * y),
    ("y * (1 - y)", lambda x, y: y * (1 - y)),
    ("1 / y", lambda x, y: 1 / y),
    ("1 / y**2", lambda x, y: 1 / (y * y)),
    ("x", lambda x, y: x),
    ("1 / x", lambda x, y: 1 / x),
    ("1 / x**2", lambda x, y: 1 / (x * x)),
    ("1 / (1 + x**2)", lambda x, y: 1 / (1 + x * x)),
    ("sin(x)", lambda x, y: np.sin(x)),
    ("cos(x)", lambda x, y: np.cos(x)),
    ("exp(x)", lambda x, y: np.exp(x)),
)


def _quotient(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    if not sweep.values[equation.inputs[1]].shape and equation.inputs[1] not in sweep.active:
        return  # a constant factor, which has a better name
    yield Slip(
        position, "numerator", "left out with respect to the numerator (not divided by the denominator)",
        only(0, lambda s, e, g: g),
    )  # fmt: skip
    yield Slip(
        position, "numerator times", "multiplied by the denominator in place of divided by it",
        only(0, lambda s, e, g: g * s.operands(e)[1]),
    )  # fmt: skip
    yield Slip(
        position, "one division", "divided by the denominator once in place of twice",
        only(1, lambda s, e, g: -g * s.operands(e)[0] / s.operands(e)[1]),
    )  # fmt: skip
    yield Slip(
        position, "no numerator", "not multiplied by the numerator with respect to the denominator",
        only(1, lambda s, e, g: -g / s.operands(e)[1] ** 2),
    )  # fmt: skip


def _matmul(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """The two products of a dense layer with a transpose missing or the factors in the wrong order."""
    if any(sweep.values[number].ndim != 2 for number in (*equation.inputs, equation.output)):
        return
    for index, number in enumerate(equation.inputs):
        other = equation.inputs[1 - index]
        if number not in sweep.active:
            continue
        name, target = places.value(other), sweep.values[number].shape
        right = "g @ b.T" if index == 0 else "b.T @ g"
        for text, product in PRODUCTS:
            if text == right or _shape(text, sweep.values[equation.output].shape, sweep.values[other].shape) != target:
                continue
            words = (
                f"computed as {text} in place of {right} with respect to {places.value(number)} (g: the adjoint of the "
                f"product, b: {name})"
            )
            yield Slip(
                position, f"product {index} {text}", words,
                only(index, lambda s, e, g, i=index, product=product: product(g, s.values[e.inputs[1 - i]])),
            )  # fmt: skip


PRODUCTS: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = (
    ("g @ b", lambda g, b: g @ b),
    ("g @ b.T", lambda g, b: g @ b.T),
    ("b @ g", lambda g, b: b @ g),
    ("b.T @ g", lambda g, b: b.T @ g),
    ("g.T @ b", lambda g, b: g.T @ b),
    ("g.T @ b.T", lambda g, b: g.T @ b.T),
    ("b @ g.T", lambda g, b: b @ g.T),
    ("b.T @ g.T", lambda g, b: b.T @ g.T),
)


def _shape(text: str, g: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int] | None:
    """The shape of a product written as in ``PRODUCTS``, or ``None`` if it does not fit."""
    sizes = [{"g": g, "b": b}[part[0]][:: -1 if part.endswith(".T") else 1] for part in text.split(" @ ")]
    return (sizes[0][0], sizes[1][1]) if sizes[0][1] == sizes[1][0] else None


def _power(position: int) -> Iterator[Slip]:
    def base(s: Sweep, e: Equation) -> tuple[Any, Any, Any]:
        exponent = e.params.get("n", 2) if len(e.inputs) == 1 else s.values[e.inputs[1]]
        return s.values[e.inputs[0]], s.values[e.output], exponent

    def kept(s: Sweep, e: Equation, g: Any) -> Any:
        _, y, p = base(s, e)
        return g * p * y

    def lowered(s: Sweep, e: Equation, g: Any) -> Any:
        x, _, p = base(s, e)
        return g * p * x ** (p - 2.0)

    yield Slip(position, "exponent kept", "computed with the exponent not lowered by one", only(0, kept))
    yield Slip(position, "exponent lowered", "computed with the exponent lowered by two", only(0, lowered))
    yield Slip(
        position, "value", "replaced by the value itself", only(0, lambda s, e, g: g * base(s, e)[1])
    )  # fmt: skip


def _gather(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    """x[rows] with rows that come twice: g[rows] += d adds only the last of them."""

    def last(s: Sweep, e: Equation, g: Any) -> Any:
        shape, axes = s.values[e.inputs[0]].shape, e.params["axes"]
        found, at = np.zeros(shape, g.dtype), [slice(None)] * len(shape)
        for axis, number in zip(axes, e.inputs[1:], strict=True):
            at[axis] = s.values[number]
        found[tuple(at)] = g
        return found

    if len(equation.params["axes"]) == 1 or len(equation.params["axes"]) == sweep.values[equation.inputs[0]].ndim:
        yield Slip(
            position, "repeated", "assigned or added by plain indexing, which takes repeated indices once (use "
            "np.add.at)", only(0, last),
        )  # fmt: skip


def _reshape(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    """A flat vector of parameters that is filled column by column."""
    source = sweep.values[equation.inputs[0]].shape
    if len(source) == 1 and sweep.values[equation.output].ndim > 1:
        yield Slip(
            position, "order", "flattened in the wrong order, as of the transpose (order='F')",
            only(0, lambda s, e, g: np.ravel(g, order="F")),
        )  # fmt: skip


def _rows(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    """A loop over the rows that assigns where it has to add, or that is too short."""
    shape = sweep.values[equation.inputs[0]].shape
    if 0 not in equation.params["axes"] or shape[0] < 3:
        return
    for words, rows in ROWS:

        def part(s: Sweep, e: Equation, g: Any, rows=rows) -> Any:
            full = s.pull(e, g)[e.inputs[0]]
            kept = np.zeros_like(full)
            kept[rows] = full[rows]
            return kept

        yield Slip(position, words, words, only(0, part))


ROWS = (
    ("taken from the last row alone (= in place of += in a loop over the rows?)", slice(-1, None)),
    ("taken from the first row alone", slice(0, 1)),
    ("taken without the last row (a loop over the rows that ends too early?)", slice(None, -1)),
    ("taken without the first row (a loop over the rows that begins too late?)", slice(1, None)),
)


def _logaddexp(position: int) -> Iterator[Slip]:
    """log(1 + exp(z)), whose slope is the sigmoid of z."""
    for index in (0, 1):
        for label, words, slope in SIGMOIDS:

            def part(s: Sweep, e: Equation, g: Any, index=index, slope=slope) -> Any:
                one, other = s.values[e.inputs[index]], s.values[e.inputs[1 - index]]
                return g * slope(1 / (1 + np.exp(other - one)))

            yield Slip(position, f"{label} {index}", words, only(index, part))


SIGMOIDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("complement", "1 - s in place of s, the sigmoid (its argument has the wrong sign)", lambda s: 1 - s),
    ("again", "multiplied by s * (1 - s), the slope of the sigmoid s, once more", lambda s: s * s * (1 - s)),
    ("slope", "s * (1 - s), the slope of the sigmoid s, in place of s", lambda s: s * (1 - s)),
)


def _factor_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """A product with another array of the same shape: the layer's input before the activation, say."""
    for index, number in enumerate(equation.inputs):
        other = equation.inputs[1 - index]
        if number not in sweep.active or number == other:
            continue
        for wrong in others(sweep, other):
            words = (
                f"computed with the wrong array, {places.value(wrong)} in place of {places.value(other)}, with respect "
                f"to {places.value(number)}"
            )

            def part(s: Sweep, e: Equation, g: Any, i=index, wrong=wrong) -> Any:
                given = s.operands(e)
                given[1 - i] = s.values[wrong]
                return s.pull_each(e, g, operands=given)[i]

            yield Slip(position, f"with {wrong} {index}", words, only(index, part))


def _adjoint_elsewhere(sweep: Sweep, places: Places, position: int, equation: Equation) -> Iterator[Slip]:
    """A parameter's gradient from the adjoint of another layer of the same shape: x.T @ dh in place of x.T @ dz."""
    if len(equation.inputs) < 2:
        return
    for index, number in enumerate(equation.inputs):
        if number not in sweep.wrt:
            continue
        for wrong in others(sweep, equation.output):
            if wrong not in sweep.adjoints or np.shape(sweep.adjoints[wrong]) != sweep.values[wrong].shape:
                continue
            words = (
                f"computed from the adjoint of {places.value(wrong)} in place of that of "
                f"{places.value(equation.output)} with respect to {places.value(number)}"
            )

            def part(s: Sweep, e: Equation, g: Any, i=index, wrong=wrong) -> Any:
                return s.pull_each(e, s.adjoints[wrong])[i]

            yield Slip(position, f"adjoint {wrong} {index}", words, only(index, part))


def _to_all(s: Sweep, e: Equation, g: Any) -> Contributions:
    shape = s.values[e.inputs[0]].shape
    kept = tuple(1 if axis in e.params["axes"] else size for axis, size in enumerate(shape))
    return {e.inputs[0]: np.broadcast_to(np.reshape(g, kept), shape)}


def _to_window(shared: bool) -> Rule:
    def rule(s: Sweep, e: Equation, g: Any) -> Contributions:
        x, size = s.values[e.inputs[0]], e.params["size"]
        cells = np.broadcast_to(g[:, :, :, None, None], (*g.shape[:3], *size, g.shape[3]))
        part = evaluated("fold", cells, size=size, stride=e.params["stride"], shape=x.shape)
        return {e.inputs[0]: part / (size[0] * size[1]) if shared else part}

    return rule


def _unsummed(sweep: Sweep, position: int, equation: Equation) -> Iterator[Slip]:
    """A variable that was broadcast, whose gradient is that of one row and not the sum over all."""
    shape = sweep.values[equation.output].shape
    if equation.primitive.kind != "elementwise" and equation.primitive.name != "broadcast_to":
        return
    for index, number in enumerate(equation.inputs):
        small = sweep.values[number].shape
        if number not in sweep.active or small == shape or not small:
            continue
        for row, words in ((0, "first"), (-1, "last")):
            yield Slip(
                position, f"row {row} {index}", f"taken from the {words} row alone and not summed over the rows",
                only(index, lambda s, e, g, i=index, row=row: _one_row(s, e, g, i, row)),
            )  # fmt: skip


def _one_row(s: Sweep, e: Equation, g: Any, index: int, row: int) -> Any:
    shape = s.values[e.output].shape
    if e.primitive.name == "broadcast_to":
        full = g
    else:
        given = [np.broadcast_to(value, shape) for value in s.operands(e)]
        full = s.pull_each(e, g, operands=given)[index]
    small = s.values[e.inputs[index]].shape
    lead = len(shape) - len(small)
    for _ in range(lead):
        full = full[row]
    for axis, size in enumerate(small):
        if size == 1 and full.shape[axis] > 1:
            full = np.take(full, [row], axis=axis)
    return full
