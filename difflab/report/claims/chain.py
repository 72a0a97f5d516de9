"""The page of a study of the chain rule of tensors: the factors, what they look like, the chain, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, backends, method
from ..kinds import Listing, Sections
from ..style import drawing, looks
from ..tables import Cell, Table, cell
from ..terms import Term
from . import chain_charts, examined, tensor_words
from .chain_charts import Pair, each_once, inner
from .wall_parts import ratio

AGREED = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-1}
"""Relative difference from which on the chain is said not to give the gradient."""
KINDS = {
    "identity": ("an identity", "identities"), "permutation": ("a permutation", "permutations"),
    "diagonal": ("diagonal", "diagonal"), "block diagonal": ("block diagonal", "block diagonal"),
    "Kronecker product": ("a Kronecker product with an identity", "Kronecker products with an identity"),
    "banded Toeplitz": ("banded Toeplitz", "banded Toeplitz"), "sparse": ("sparse without blocks",) * 2,
    "full": ("full", "full"), "zero": ("zero", "zero"),
}  # fmt: skip
GLOSSARY = (
    Term(
        "Factor",
        "The derivative of one array of the chain by the next: of the loss by y2, of y2 by y1, of y1 by W1.",
        ("factors",),
    ),
    *tensor_words.LAYOUTS,
    Term("Order", "In denominator layout the chain stands reversed: dL/dW1 = dy1/dW1 times dy2/dy1 times dL/dy2."),
    Term(
        "Reshape, product, reshape",
        "A tensor made a matrix, multiplied, and the result given its shape.",
        ("reshaped",),
    ),
    *tensor_words.STRUCTURES,
    Term(
        "Without the factors",
        "Reverse mode: each layer turns the cotangent of its output into that of its input.",
    ),
)
METHOD = (
    "Every backend forms all factors at random numbers, as Jacobians of one layer by one variable. What they look like "
    "is found from their entries: two axes block a factor where every entry with different indices on them is zero. "
    "The chain is multiplied out in both layouts and compared with the gradient of reverse mode, which is computed "
    "without any factor. What both take, with the factors and without, is recorded and compiled beforehand. Bytes are "
    "the peak of arrays and Python objects during the first call, which takes the buffers, as tracemalloc sees it; "
    "times are the middle of five later calls.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, charts and tables of a study of the chain rule.

    Args:
        cases: all rows of a run, with their findings.
    """
    pairs = [Pair(case, case.findings) for case in cases if case.findings]
    if not pairs:
        return Sections(
            examined.nothing(cases, "No pair of layers was examined", examined.caveats(cases, examined.size))
        )
    first = each_once(pairs)
    with drawing():
        charts = (chain_charts.factors(first), chain_charts.costs(pairs, looks(list(cases))))
    tables = (_factors(first), _steps(first), _agreements(pairs), _scales(pairs))
    answer = Answer(tuple(_sentences(pairs)), examined.caveats(cases, examined.size))
    return Sections(answer, charts, tables=tables, glossary=GLOSSARY, method=METHOD)


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(pairs: Sequence[Pair]) -> list[str]:
    said = [_shapes(each_once(pairs)), _agreement(pairs), _cost(pairs)]
    return [sentence for sentence in said if sentence]


def _shapes(pairs: Sequence[Pair]) -> str:
    """How many factors look like what, but for the derivative of the loss, which is a vector."""
    factors = [factor for pair in pairs for factor in inner(pair)]
    if not factors:
        return ""
    counts: dict[str, int] = {}
    for factor in factors:
        kind = factor["structure"]["kind"]
        counts[kind] = counts.get(kind, 0) + 1
    parts = []
    for kind, (one, several) in KINDS.items():
        if kind in counts:
            parts.append(f"1 is {one}" if counts[kind] == 1 else f"{counts[kind]} are {several}")
    entries, zeros = (sum(factor[key] for factor in factors) for key in ("entries", "zeros"))
    text = f"Of {numbers.counted(len(factors), 'factor')} of {numbers.counted(len(pairs), 'pair')} of layers, "
    return f"{text}{numbers.listed(parts)}; {100 * zeros / entries:.0f} % of their entries are zero."


def _agreement(pairs: Sequence[Pair]) -> str:
    """Whether the product of the factors is the gradient, in both layouts."""
    chains = [(pair, one) for pair in pairs for one in pair.found["chains"]]
    if not chains:
        return ""

    def apart(entry: tuple[Pair, Mapping[str, Any]]) -> float:
        return max(entry[1]["difference"], entry[1]["numerator_difference"])

    wrong = [one for one in chains if apart(one) > AGREED.get(one[0].case.dtype, 1e-10)]
    pair, worst = max(chains, key=apart)
    where = f"dL/d{worst['variable']} of {pair.name} by {method(pair.case)}"
    if wrong:
        some = f"{numbers.grouped(len(wrong))} of {numbers.counted(len(chains), 'chain')}"
        return (
            f"Multiplied out, {some} {'do' if len(wrong) > 1 else 'does'} not give the "
            f"gradient of reverse mode: {where} is off by {numbers.scaled(apart((pair, worst)))}."
        )
    off = apart((pair, worst))
    every = f"all {numbers.counted(len(chains), 'chain')} give" if len(chains) > 1 else "the one chain gives"
    return (
        f"Reshaped to matrices, multiplied and reshaped back, {every} the "
        f"gradient of reverse mode in both layouts, up to {numbers.scaled(off) if off else '0'} (relative; {where})."
    )


def _cost(pairs: Sequence[Pair]) -> str:
    """What the factors take at the largest scale at which they were formed, beside reverse mode."""
    found = [
        (times, pair, one)
        for pair in pairs
        for one in _largest(pair)
        if (times := ratio(one["factor_peak"], one["implicit_peak"])) is not None
    ]
    if not found:
        return "At no size were the factors formed, so their cost could not be compared."
    times, pair, one = max(found, key=lambda entry: entry[0])
    low = min(entry[0] for entry in found)
    size = ", ".join(f"{one['size'][name]} {name}" for name in ("examples", "inputs", "units"))
    text = f"At {size}, the chain of {pair.name} with its factors took {numbers.size_in_bytes(one['factor_peak'])} and "
    text += f"{numbers.seconds(one['factor_seconds'])}, reverse mode without them "
    text += f"{numbers.size_in_bytes(one['implicit_peak'])} and {numbers.seconds(one['implicit_seconds'])}: "
    if times <= 1:
        return f"{text}the factors cost no more memory, there or for any other pair."
    least = f", and {numbers.factor(low)} times at least for every pair" if len(found) > 1 else ""
    return f"{text}{numbers.factor(times)} times the memory{least}."


def _largest(pair: Pair) -> list[Mapping[str, Any]]:
    """The largest scale at which the factors were formed, if there is one."""
    formed = [one for one in pair.found["scales"] if one["formed"]]
    return formed[-1:]


# ------------------------------------------------------------------------------------------------ the tables


def _factors(pairs: Sequence[Pair]) -> Listing:
    columns = ("Factor", "Numerator layout", "Denominator layout", "Bytes", "Zeros", "Structure")
    rows = []
    for pair in pairs:
        for factor in pair.found["factors"]:
            out, into = factor["out"], factor["into"]
            share = factor["zeros"] / factor["entries"]
            rows.append(
                (
                    Cell(factor["name"], under=pair.name),
                    Cell(tensor_words.shape([*out, *into])),
                    Cell(tensor_words.shape([*into, *out])),
                    Cell(numbers.size_in_bytes(factor["bytes"]), factor["bytes"], True),
                    Cell(f"{100 * share:.1f} %", share, True),
                    Cell(tensor_words.structure(factor["structure"])),
                )
            )
    formulas = "; ".join(f"{pair.name}: {pair.formula}" for pair in pairs)
    text = f"{formulas}. The loss is half the sum of the squares of y2. Formed by {method(pairs[0].case)}."
    return Listing("every-factor", "The factors", text, Table(columns, tuple(rows)))


def _steps(pairs: Sequence[Pair]) -> Listing:
    columns = ("Derivative", "Step", "Does", "Of", "Shape before", "Shape after")
    rows = []
    for pair in pairs:
        for one in pair.found["chains"]:
            for place, step in enumerate(one["steps"], 1):
                before = step["before"]
                if step["do"] == "product":
                    shape = f"{tensor_words.shape(before[:2])} times {tensor_words.shape(before[2:])}"
                else:
                    shape = tensor_words.shape(before)
                rows.append(
                    (
                        Cell(f"dL/d{one['variable']}", under=pair.name),
                        Cell(str(place), place, True),
                        Cell(step["do"]),
                        Cell(step["what"]),
                        Cell(shape),
                        Cell(tensor_words.shape(step["after"])),
                    )
                )
    text = (
        "In denominator layout, from the loss backwards: every factor becomes a matrix, is multiplied with the column "
        "that came so far, and the column takes the shape of the variable."
    )
    return Listing("steps", "Reshape, product, reshape", text, Table(columns, tuple(rows)))


def _agreements(pairs: Sequence[Pair]) -> Listing:
    columns = ("Derivative", "Backend", "Dtype", "Shape", "Denominator layout", "Numerator layout")
    rows = tuple(
        (
            Cell(f"dL/d{one['variable']}", under=pair.name), Cell(pair.case.backend), Cell(pair.case.dtype),
            Cell(tensor_words.shape(one["shape"])),
            Cell(numbers.scientific(one["difference"]), one["difference"], True),
            Cell(numbers.scientific(one["numerator_difference"]), one["numerator_difference"], True),
        )
        for pair in pairs for one in pair.found["chains"]
    )  # fmt: skip
    text = (
        "How far the product of the factors is from the gradient of reverse mode, relative to its length, with the "
        f"factors formed by {numbers.listed(backends([pair.case for pair in pairs]))}."
    )
    return Listing("agreement", "The chain against reverse mode", text, Table(columns, rows))


def _scales(pairs: Sequence[Pair]) -> Listing:
    columns = (
        "Pair", "Backend", "Examples", "Inputs", "Units", "Bytes of factors", "Peak with", "Peak without", "Times",
        "In", "In without",
    )  # fmt: skip
    rows = []
    for pair in pairs:
        for one in pair.found["scales"]:
            formed = one["formed"]
            peak, seconds = one.get("factor_peak"), one.get("factor_seconds")
            times = ratio(peak, one["implicit_peak"])
            rows.append(
                (
                    Cell(pair.name), Cell(pair.case.backend),
                    *(Cell(str(one["size"][key]), one["size"][key], True) for key in ("examples", "inputs", "units")),
                    Cell(numbers.size_in_bytes(one["factor_bytes"]), one["factor_bytes"], True),
                    Cell(numbers.size_in_bytes(peak) if formed else "not formed", peak, True),
                    Cell(numbers.size_in_bytes(one["implicit_peak"]), one["implicit_peak"], True),
                    cell(times, numbers.times),
                    Cell(numbers.seconds(seconds) if formed else "", seconds, True),
                    Cell(numbers.seconds(one["implicit_seconds"]), one["implicit_seconds"], True),
                )
            )  # fmt: skip
    text = (
        "The way to the weights of both layers. Bytes of factors: all that it needs, from shapes and dtype. Peak with "
        "and without: of arrays and objects during one call, with the factors and by reverse mode."
    )
    return Listing("cost-table", "What the factors cost", text, Table(columns, tuple(rows)))
