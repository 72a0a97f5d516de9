"""SymPy nodes of our own, for what SymPy's would overflow, expand or differentiate against the kink table.

Each is a SymPy ``Function`` with a definition in SymPy's own functions, a derivative (``fdiff``, which ``sympy.diff``
asks for), and a numerical meaning that is stable in doubles.  ``1/(1 + exp(-x))`` and ``log(exp(a) + exp(b))`` are
right as formulas, and overflow as programs.  Operations are counted by the definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from . import special_functions

# ---------------------------------------------------------------------------- numerical meanings


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), with the exponential that does not overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    power = math.exp(x)
    return power / (1.0 + power)


def logsumexp(*z: Any) -> Any:
    """log(sum(exp(z))): the largest taken out, the others by ``log1p``."""
    top = max(z)
    if math.isinf(top) and not any(map(math.isnan, z)):
        return top
    first = z.index(top) if top == top else 0
    return top + math.log1p(math.fsum(math.exp(item - top) for k, item in enumerate(z) if k != first))


def softmax(k: int, *z: Any) -> Any:
    """exp(z[k]) / sum(exp(z)), shifted by the largest."""
    top = max(z)
    return math.exp(z[k] - top) / math.fsum(math.exp(item - top) for item in z)


MEANINGS: dict[str, Callable] = {
    "sigmoid": sigmoid, "logsumexp": logsumexp, "logaddexp": logsumexp, "softmax": softmax,
    **special_functions.MEANINGS,
}  # fmt: skip


# ---------------------------------------------------------------------------- nodes


@cache
def functions() -> Any:
    """The classes: ``floor ceil stopped sigmoid logaddexp logsumexp softmax hypot power``, and ``choice``."""
    import sympy
    from mpmath.libmp import prec_to_dps
    from sympy.functions.elementary.piecewise import ExprCondPair

    zero, one, nan = sympy.S.Zero, sympy.S.One, sympy.S.NaN

    def make(name: str, fold: Callable, partial: Callable | None, definition: Callable | None, **more: Any) -> Any:
        """A function class; ``fold(*arguments)`` gives a simpler expression or None."""

        def evaluated(cls: Any, *arguments: Any) -> Any:
            return nan if nan in arguments else fold(*arguments)

        def differentiated(self: Any, index: int = 1) -> Any:
            return zero if partial is None else partial(self, index - 1, *self.args)

        def evalf(self: Any, precision: int) -> Any:
            return sympy.N(self.definition(), prec_to_dps(precision))

        members = {"eval": classmethod(evaluated), "fdiff": differentiated, **more}
        if definition is not None:
            members["definition"] = lambda self: definition(*self.args)
            members["_eval_evalf"] = evalf
            members["_eval_is_extended_real"] = lambda self: True if self.is_number else None
        return type(name, (sympy.Function,), members)

    def constant(fold: Callable) -> Callable:
        return lambda x: fold(x) if x.is_number else None

    def sum_of_exp(*z: Any) -> Any:
        return sympy.Add(*map(sympy.exp, z))

    def fold_logsumexp(*z: Any) -> Any:
        if sympy.oo in z:
            return sympy.oo
        kept = [item for item in z if item != -sympy.oo]
        if len(kept) < 2:
            return kept[0] if kept else -sympy.oo
        return None if len(kept) == len(z) else own.logsumexp(*kept)

    def power_slope(self: Any, position: int, x: Any, p: Any) -> Any:
        # As the kink table says: x**0 does not move with x, and 0**p does not move with p.
        if position == 0:
            return piecewise([(zero, vanishes(p))], p * own.power(x, p - 1))
        logarithm = sympy.log(x) if not x.is_number or x.is_positive else nan
        return piecewise([(zero, vanishes(x))], self * logarithm)

    def vanishes(x: Any) -> Any:
        options: dict[str, Any] = {"evaluate": x.is_number}
        return sympy.Eq(x, 0, **options)

    class Pair(ExprCondPair):
        """A value and its condition, as written."""

        def __new__(cls, value: Any, condition: Any) -> Any:
            return sympy.Tuple.__new__(cls, value, condition)

    class Choice(sympy.Piecewise):
        """A ``Piecewise`` as written.

        SymPy's constructors, also with ``evaluate=False``, and its powers fold every ``Piecewise`` out of conditions
        and bases (pooling after relu has them), which multiplies the expression, takes minutes, or fails.
        """

        def __new__(cls, *pairs: Any, **options: Any) -> Any:
            kept = []
            for pair in pairs:
                value, condition = pair
                if condition == sympy.true and not kept:
                    return value  # numbers have been put in, and decide
                if condition != sympy.false:
                    kept.append(pair if isinstance(pair, Pair) else Pair(value, condition))
                if condition == sympy.true:
                    break
            return sympy.Basic.__new__(cls, *kept)

        def _eval_power(self, expt: Any) -> Any:
            return None

    own = SimpleNamespace(
        floor=make("floor", constant(sympy.floor), None, None, nargs=1),
        ceil=make("ceil", constant(sympy.ceiling), None, None, nargs=1),
        stopped=make("stopped", constant(lambda x: x), None, None, nargs=1),
        sigmoid=make(
            "sigmoid",
            lambda x: {sympy.oo: one, -sympy.oo: zero, zero: sympy.S.Half}.get(x),
            lambda self, position, x: self * own.sigmoid(-x),
            lambda x: one / (one + sympy.exp(-x)),
            nargs=1,
        ),
        logaddexp=make(
            "logaddexp",
            lambda a, b: fold_logsumexp(a, b),
            lambda self, position, a, b: own.sigmoid(a - b if position == 0 else b - a),
            lambda a, b: sympy.log(sum_of_exp(a, b)),
            nargs=2,
        ),
        logsumexp=make(
            "logsumexp",
            fold_logsumexp,
            lambda self, position, *z: own.softmax(sympy.Integer(position), *z),
            lambda *z: sympy.log(sum_of_exp(*z)),
        ),
        softmax=make(
            "softmax",
            lambda k, *z: one if len(z) == 1 else None,
            lambda self, position, k, *z: (
                self * ((one if position - 1 == k else zero) - own.softmax(sympy.Integer(position - 1), *z))
            ),
            lambda k, *z: sympy.exp(z[int(k)]) / sum_of_exp(*z),
        ),
        hypot=make(
            "hypot",
            lambda a, b: None,
            # As the kink table says: 0 where both are 0.
            lambda self, position, a, b: piecewise([(zero, vanishes(self))], (a if position == 0 else b) / self),
            lambda a, b: sympy.sqrt(a**2 + b**2),
            nargs=2,
        ),
        power=make(
            "power",
            # SymPy's own where its derivative is right everywhere: a number as exponent, a positive number as base.
            lambda x, p: x**p if p.is_number or (x.is_number and x.is_positive) else None,
            power_slope,
            lambda x, p: sympy.Pow(x, p, evaluate=False),
            nargs=2,
        ),
        choice=Choice,
    )
    return own


def definition_of(node: Any) -> Any | None:
    """The definition of a node of ours in SymPy's functions; ``None`` for SymPy's own and for what has none."""
    own = functions()
    known = (own.sigmoid, own.logaddexp, own.logsumexp, own.softmax, own.hypot, own.power)
    return node.definition() if isinstance(node, known) else None


def piecewise(pairs: Sequence[tuple[Any, Any]], default: Any) -> Any:
    """A choice between expressions, the first whose condition holds; conditions known to be false are left out."""
    import sympy

    kept = []
    for value, condition in pairs:
        if condition == sympy.false:
            continue
        if condition == sympy.true:
            default = value
            break
        kept.append((value, condition))
    if all(value == default for value, _ in kept):
        return default
    return functions().choice(*kept, (default, sympy.true))
