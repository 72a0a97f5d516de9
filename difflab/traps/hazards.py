"""Hazards: what Python and NumPy do around the function: writing, converting, remembering, drawing, looping."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .admissible import Exact, OneOf, Refusal
from .record import Library, Trap

trap = partial(Trap, family="hazards")


def repeated_index(xp: Any, x: Any, index: Any) -> Any:
    chosen = x[index]
    return chosen[0] + 10.0 * chosen[1] + 100.0 * chosen[2]


def item_assignment(xp: Any, x: Any) -> Any:
    y = x.copy()
    y[0] = 1.0
    return xp.sum(y * y)


def item_assignment_of_tensor(xp: Any, x: Any) -> Any:
    y = x.clone()
    y[0] = 1.0
    return xp.sum(y * y)


def assignment_into_zeros(xp: Any, x: Any) -> Any:
    y = xp.zeros(2)
    y[0] = x * x
    return xp.sum(y)


def augmented(xp: Any, x: Any) -> Any:
    y = x
    y += 1.0
    return xp.sum(x * y)


def square(xp: Any, x: Any) -> Any:
    return x * x


def sum_of_squares(xp: Any, x: Any) -> Any:
    return xp.sum(x * x)


def float_inside(xp: Any, x: Any) -> Any:
    return x * float(x)


def array_of_elements(xp: Any, x: Any) -> Any:
    return xp.sum(xp.array([x[0], x[1] * x[0]]) ** 2)


def newton_root(xp: Any, x: Any) -> Any:
    root = 1.0
    while abs(root * root - x) > 1e-12:
        root = 0.5 * (root + x / root)
    return root + 0.0 * x


def data_dependent_shape(xp: Any, x: Any) -> Any:
    return xp.sum(x[x > 0] ** 2)


def not_used(xp: Any, x: Any) -> Any:
    return 3.0


def closure_changes(library: Library) -> list[float]:
    """Differentiate, change a list that the function closes over, differentiate again."""
    weights = [1.0]

    def loss(xp: Any, x: Any) -> Any:
        return weights[0] * x

    gradient = library.gradient(loss, (0,))
    gradient(1.0)
    weights[0] = 5.0
    return gradient(1.0)


def closure_changes_prepared(library: Library) -> list[float]:
    """The same with a gradient that is prepared or compiled before the list changes."""
    weights = [1.0]

    def loss(xp: Any, x: Any) -> Any:
        return weights[0] * x

    gradient = library.compiled(loss, (0,), 1.0)
    gradient(1.0)
    weights[0] = 5.0
    return gradient(1.0)


def random_offset(library: Library) -> list[float]:
    """The gradient of a loss that adds a fresh random number to its value."""
    state = np.random.get_state()  # noqa: NPY002 (the global generator is the trap)
    np.random.seed(7)  # noqa: NPY002 (the global generator is the trap)

    def loss(xp: Any, x: Any) -> Any:
        return x * x + float(np.random.standard_normal())  # noqa: NPY002 (the global generator is the trap)

    try:
        return library.gradient(loss, (0,))(1.5)
    finally:
        np.random.set_state(state)  # noqa: NPY002 (the global generator is the trap)


def own_generator(library: Library) -> list[float]:
    """The same with a generator of its own, as NumPy recommends."""
    generator = np.random.default_rng(7)

    def loss(xp: Any, x: Any) -> Any:
        return x * x + float(generator.standard_normal())

    return library.gradient(loss, (0,))(1.5)


HAZARDS = (
    trap(
        name="repeated-index",
        title="x[(0, 1, 0)] with weights 1, 10, 100",
        sentence="Entry 0 is taken twice and its gradients add up to 101; NumPy's own g[index] += w keeps only "
        "the last.",
        function=repeated_index,
        arguments=(np.array([1.0, 2.0]), np.array([0, 1, 0])),
        admissible=Exact(lambda mp, x, index: [101, 10], "(101, 10)"),
        thread="HIPS/autograd#39",
    ),
    trap(
        name="boolean-selection",
        title="sum(x[x > 0]^2) at (-1, 2, 3)",
        sentence="The shape of the selection depends on the data; the gradient is 2x where x is positive, else 0. "
        "Refusing is honest, freezing the mask is not.",
        function=data_dependent_shape,
        arguments=(np.array([-1.0, 2.0, 3.0]),),
        admissible=Exact(lambda mp, x: [2 * max(one, 0) for one in x], "(0, 4, 6)"),
        may_refuse=True,
    ),
    trap(
        name="item-assignment",
        title="y = x.copy(); y[0] = 1; sum(y^2)",
        sentence="Writing into an array destroys what the way back needs. Tracing cannot follow it, so an error is "
        "right; silently ignoring the write is not.",
        function=item_assignment,
        arguments=(np.array([2.0, 3.0]),),
        admissible=Exact(lambda mp, x: [0, 2 * x[1]], "(0, 6), or an error"),
        may_refuse=True,
        refusal="assign",
        thread="pytorch/pytorch#9391",
        forms={"torch": item_assignment_of_tensor},
    ),
    trap(
        name="assignment-into-zeros",
        title="y = zeros(2); y[0] = x^2; sum(y)",
        sentence="The array was made by plain NumPy and takes only numbers: converting the variable to one would "
        "lose its gradient, so an error is right.",
        function=assignment_into_zeros,
        arguments=(3.0,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 6, or an error"),
        may_refuse=True,
        thread="HIPS/autograd#58",
    ),
    trap(
        name="augmented-assignment",
        title="y = x; y += 1; sum(x y) at (1, 2)",
        sentence="In NumPy y and x are one array, so the value is sum((x + 1)^2); where arrays are immutable y is a "
        "new one and the value sum(x (x + 1)). The gradient of what NumPy computes is 2(x + 1).",
        function=augmented,
        arguments=(np.array([1.0, 2.0]),),
        admissible=Exact(lambda mp, x: [2 * (one + 1) for one in x], "2(x + 1) = (4, 6), or an error"),
        may_refuse=True,
        thread="pytorch/pytorch#2940",
        ideal=lambda xp, x: xp.sum((x + 1.0) * (x + 1.0)),
    ),
    trap(
        name="integer-argument",
        title="x^2 at the whole number 3",
        sentence="A function of whole numbers has no derivative, and one of dtype int would be rounded. "
        "An error that says so is right.",
        function=square,
        arguments=(3,),
        admissible=Refusal("an error"),
        dtype="float64",
        may_refuse=True,
        refusal="float",
        thread="jax-ml/jax#424",
    ),
    trap(
        name="integer-array",
        title="sum(x^2) at an array of whole numbers",
        sentence="arange(4) is an array of whole numbers, which nobody notices until the gradient is one too.",
        function=sum_of_squares,
        arguments=(np.arange(4),),
        admissible=Refusal("an error"),
        may_refuse=True,
        refusal="float",
        thread="HIPS/autograd#229",
    ),
    trap(
        name="float-inside",
        title="x float(x) at 3",
        sentence="Converting to a Python number cuts the variable off: the derivative is 2x = 6, and x alone, 3, is "
        "a gradient of half the function. An error is honest.",
        function=float_inside,
        arguments=(3.0,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 6, or an error"),
        may_refuse=True,
        thread="HIPS/autograd#283",
        ideal=lambda xp, x: x * x,
    ),
    trap(
        name="array-of-elements",
        title="array([x1, x1 x2]) inside at (1, 2)",
        sentence="Building an array from elements keeps the gradient in some libraries, is an error in others, and "
        "must not detach silently. The gradient is (2 x1 + 2 x1 x2^2, 2 x1^2 x2) = (10, 4).",
        function=array_of_elements,
        arguments=(np.array([1.0, 2.0]),),
        admissible=Exact(lambda mp, x: [2 * x[0] + 2 * x[0] * x[1] ** 2, 2 * x[0] ** 2 * x[1]], "(10, 4), or an error"),
        may_refuse=True,
    ),
    trap(
        name="loop-that-stops",
        title="Newton's method for sqrt(x) at 1, started at 1",
        sentence="The loop has converged before it began, so the recorded program is a constant and its derivative "
        "0; that of the root is 1/2. An iteration converges later in its derivative than in its value.",
        function=newton_root,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [1 / (2 * mp.sqrt(x))], "1 / (2 sqrt(x)) = 1/2"),
        thread="seacode/gmacs#169",
        ideal=lambda xp, x: xp.sqrt(x),
    ),
    trap(
        name="not-used",
        title="a function that does not use its argument",
        sentence="The derivative is 0; None, an error or NaN make the caller write a special case.",
        function=not_used,
        arguments=(2.0,),
        admissible=Exact(lambda mp, x: [0], "0"),
    ),
    trap(
        name="closure-changes",
        title="w x, and w changes from 1 to 5 between two calls",
        sentence="The second call must see the new weight; a trace that was kept would not.",
        function=square,
        arguments=(1.0,),
        admissible=Exact(lambda mp, x: [5], "5"),
        thread="jax-ml/jax#1141",
        ideal=lambda xp, x: 5.0 * x,
        scenario=closure_changes,
    ),
    trap(
        name="closure-changes-prepared",
        title="w x, prepared or compiled before w changes from 1 to 5",
        sentence="What was compiled may keep the weight it saw, if it says so, or follow the new one; but the answer "
        "must belong to one of the two.",
        function=square,
        arguments=(1.0,),
        admissible=OneOf((1.0, 5.0), "1 as prepared, or 5 as it is now"),
        table=(1.0,),
        thread="jax-ml/jax#1141",
        scenario=closure_changes_prepared,
    ),
    trap(
        name="random-offset",
        title="x^2 plus a number from np.random at 1.5",
        sentence="The offset does not depend on x and the derivative is 2x; evaluations with different draws give a "
        "difference quotient that is the noise over the step.",
        function=square,
        arguments=(1.5,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 3"),
        thread="jax-ml/jax#1141",
        ideal=lambda xp, x: x * x + 0.25,
        scenario=random_offset,
    ),
    trap(
        name="own-generator",
        title="x^2 plus a number from a Generator of its own at 1.5",
        sentence="As above; but nobody can wind back a generator that the function keeps for itself.",
        function=square,
        arguments=(1.5,),
        admissible=Exact(lambda mp, x: [2 * x], "2x = 3"),
        ideal=lambda xp, x: x * x + 0.25,
        scenario=own_generator,
    ),
)
