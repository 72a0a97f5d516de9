"""Where difflab's own backends are known not to answer admissibly, and why; a test holds them to it.

Backends are called as ``judge.who`` calls them.  Differences count as right where they are near.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RULES = ("reverse", "forward", "symbolic")
MODES = RULES[:2]
CENTRAL, ONE_SIDED = ("finite",), ("finite-forward",)
QUOTIENTS = (*CENTRAL, *ONE_SIDED)
IMAGINARY = ("complex-step",)


@dataclass(frozen=True)
class Departure:
    """The ``verdict`` of some backends on some traps, and the reason that they share."""

    verdict: str
    reason: str
    backends: tuple[str, ...]
    traps: tuple[str, ...]


DEPARTURES = (
    # ------------------------------------------------------------------------------------ rules
    Departure("outside", "each branch is differentiated on its own, so 0 + 0", RULES, ("relu-difference",)),
    Departure("outside", "the branch taken at the point is what is differentiated", RULES, ("if-equal",)),
    Departure("outside", "the loop ran no step at the point, so none is recorded", RULES, ("loop-that-stops",)),
    Departure("outside", "the rule 1/x is defined where the logarithm is not", RULES, ("log-negative",)),
    Departure("nan", "infinity times 0: sqrt'(0) = inf by the table", RULES, ("sqrt-of-square",)),
    Departure("nan", "0 times infinity: sqrt'(0) = inf by the table", RULES, ("sqrt-squared",)),
    Departure(
        "unsupported",
        "an integer that depends on the variable has no expression",
        ("symbolic",),
        ("argmax-path", "argsort-path", "sort-tie", "median-tie", "boolean-selection"),
    ),
    Departure("nan", "0 times infinity inside the root, before the maximum", MODES, ("clipped-sqrt",)),
    Departure("nan", "0 times the overflowed exponential", MODES, ("weight-zero",)),
    Departure(
        "nan",
        "infinity over infinity, as written",
        RULES,
        ("softmax-large", "logsumexp-plain", "sigmoid-minus-1000", "softplus"),
    ),
    Departure("nan", "a value that underflowed to 0 is divided by", RULES, ("log-of-softmax", "log-sigmoid")),
    Departure(
        "nan",
        "a value that underflowed to 0 is divided by",
        MODES,
        ("float32-underflow", "float32-ratio", "float16-underflow"),
    ),
    Departure(
        "outside",
        "the squares left the range, and norm'(0) = 0 or x / infinity hides it",
        MODES,
        ("float32-norm", "float16-overflow"),
    ),
    Departure("outside", "the rule is 1 - tanh^2, which rounds to 0", RULES, ("tanh-saturated",)),
    Departure(
        "outside",
        "the quotient rule subtracts numbers that agree in most digits",
        RULES,
        ("log-quotient", "log1p-quotient", "exp-quotient", "expm1-quotient", "sinc-near-zero", "one-minus-cosine"),
    ),
    Departure("refused", "item assignment is an error by contract", RULES, ("item-assignment",)),
    Departure("refused", "a plain array cannot hold a traced value", RULES, ("assignment-into-zeros",)),
    Departure("refused", "a Python number would cut the gradient off", RULES, ("float-inside",)),
    Departure(
        "refused",
        "whole numbers have no gradient",
        (*RULES, *QUOTIENTS, *IMAGINARY),
        ("integer-argument", "integer-array"),
    ),
    Departure(
        "outside",
        "y += 1 on a traced name rebinds it, and only a prepared function is compared with its trace",
        (*RULES, *QUOTIENTS, *IMAGINARY),
        ("augmented-assignment",),
    ),
    # ------------------------------------------------------------------------------------ the complex step
    Departure("outside", "each branch is differentiated on its own, so 0 + 0", IMAGINARY, ("relu-difference",)),
    Departure(
        "outside", "the branch taken at the point is what is differentiated", IMAGINARY, ("if-equal", "loop-that-stops")
    ),
    Departure("outside", "a power of the step stands for infinity", IMAGINARY, ("cube-root",)),
    Departure("outside", "the step is longer than x", IMAGINARY, ("subnormal",)),
    Departure(
        "outside",
        "a value that underflowed to 0 takes the imaginary part along",
        IMAGINARY,
        ("float32-underflow", "float32-norm"),
    ),
    Departure(
        "outside",
        "the value has lost the digits, and its imaginary part with them",
        IMAGINARY,
        ("log-quotient", "log1p-quotient", "exp-quotient", "expm1-quotient", "sinc-near-zero", "one-minus-cosine"),
    ),
    Departure("nan", "0 times infinity: sqrt'(0) = inf by the table", IMAGINARY, ("sqrt-squared",)),
    Departure(
        "nan",
        "the value itself is NaN or infinite, or is divided by what underflowed to 0",
        IMAGINARY,
        (
            "weight-zero",
            "softmax-large",
            "logsumexp-plain",
            "log-of-softmax",
            "log-sigmoid",
            "softplus",
            "float32-ratio",
            "float16-overflow",
            "float16-underflow",
        ),
    ),
    Departure(
        "unsupported",
        "the function makes plain numbers of complex ones",
        IMAGINARY,
        ("assignment-into-zeros", "float-inside"),
    ),
    # ------------------------------------------------------------------------------------ quotients
    Departure(
        "outside",
        "every coordinate is moved on its own, so each of those at the kink is given a whole side",
        ONE_SIDED,
        (
            "maximum-tie",
            "max-tie",
            "argmax-path",
            "argsort-path",
            "sort-tie",
            "median-tie",
            "norm-zero",
            "hypot-zero",
            "std-constant",
        ),
    ),
    Departure(
        "outside",
        "every coordinate is moved on its own, so the parts do not sum to 1",
        QUOTIENTS,
        ("max-pool-tie",),
    ),
    Departure("outside", "the derivative itself has a kink, where the quotient is the step", CENTRAL, ("x-abs-x",)),
    Departure("outside", "the jump is divided by the step", QUOTIENTS, ("step", "sign")),
    Departure("outside", "the jump is divided by the step", CENTRAL, ("floor-jump",)),
    Departure("outside", "the jump is divided by the step", ONE_SIDED, ("zero-to-the-zero",)),
    Departure("outside", "a power of the step stands for infinity", QUOTIENTS, ("cube-root", "arctan2-origin")),
    Departure("outside", "a power of the step stands for infinity", ONE_SIDED, ("sqrt-zero", "subnormal")),
    Departure(
        "nan", "one of the two values lies outside the domain", CENTRAL, ("sqrt-squared", "subnormal", "log-near-zero")
    ),
    Departure(
        "outside", "the step is longer than the distance to the edge of the domain", ONE_SIDED, ("log-near-zero",)
    ),
    Departure(
        "nan",
        "the value itself is NaN or infinite",
        QUOTIENTS,
        (
            "weight-zero",
            "softmax-large",
            "logsumexp-plain",
            "log-of-softmax",
            "log-sigmoid",
            "softplus",
            "float16-overflow",
            "float16-underflow",
        ),
    ),
    Departure("nan", "the value itself is NaN", ONE_SIDED, ("float32-ratio",)),
    Departure("outside", "both values round to 1", QUOTIENTS, ("tanh-saturated",)),
    Departure(
        "outside", "the step is so much longer than x that x is lost", QUOTIENTS, ("float32-underflow", "float32-norm")
    ),
    Departure("outside", "the step is so much longer than x that x is lost", CENTRAL, ("float32-ratio",)),
    Departure(
        "outside",
        "the value has lost the digits that the difference needs",
        QUOTIENTS,
        (
            "log-quotient",
            "exp-quotient",
            "sinc-near-zero",
            "one-minus-cosine",
            "large-offset",
            "rough-sum",
            "float32-inside",
        ),
    ),
    Departure(
        "outside", "a value of 1000 is rounded, and divided by a step of 1e-8", ONE_SIDED, ("logsumexp-shifted",)
    ),
    Departure("outside", "the step is longer than the wave", QUOTIENTS, ("float32-step", "fast-wave", "noise")),
)
KNOWN: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {(trap, backend): (one.verdict, one.reason) for one in DEPARTURES for trap in one.traps for backend in one.backends}
)
