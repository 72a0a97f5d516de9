"""Formulas by the method of differentials, compared with reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from test_latex_formulas import near

import difflab as dl
from difflab.calls import bind
from difflab.containers import flatten
from difflab.walk.differentials.formulas import matrix_formulas
from difflab.walk.latex.collected import Formulas


def found_for(loss: Callable[..., Any], args: tuple, argnums: Any = 0) -> tuple[Formulas, list[Any]]:
    """The formulas, and the leaves to evaluate them at."""
    bound = bind(loss, args, {}, argnums)
    return matrix_formulas(loss, dl.trace(loss, *args).tape, bound), bound.leaves


def expect_reverse(loss: Callable[..., Any], args: tuple, argnums: Any = 0, digits: float = 1e-12) -> Formulas:
    """The formulas, after their values were compared with reverse mode's."""
    made, leaves = found_for(loss, args, argnums)
    value, gradient = dl.value_and_gradient(loss, argnums=argnums)(*args)
    found, slopes = made.evaluate(leaves)
    assert near(np.asarray(found), value, digits)
    for slope, expected in zip(slopes, flatten(gradient)[0], strict=True):
        assert near(slope, expected, digits)
    return made


def lines(loss: Callable[..., Any], *args: Any, **keywords: Any) -> list[str]:
    """The lines of the environment, without what aligns and ends them."""
    text = dl.trace(loss, *args).to_latex(by="differentials", **keywords)
    return [line.strip().removesuffix(r"\\").replace("&", "").strip() for line in text.splitlines()[1:-1]]
