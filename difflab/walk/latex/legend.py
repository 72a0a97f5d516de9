"""What the functions of a formula mean, as its last lines."""

from __future__ import annotations

import re

from .printing import Printer

Line = tuple[str, str, str]
WIDEST = 90
"""Characters of a primitive's parameters that are printed."""
PRIMITIVES = {
    "windows": "every window of the image",
    "fold": "adds every window to the pixels that it came from",
    "max_pool": "the largest element of each window",
    "pool_route": "sends each element to the first largest element of its window, 0 to the others",
    "pool_select": "takes the first largest element of each window",
    "scatter_add": "adds each element to the place that its index names",
    "gather": "takes the elements that the indices name",
    "slice": "takes a part",
    "unslice": "puts a part back among zeros",
    "pad": "puts zeros around",
    "concatenate": "joins arrays",
    "max": "the largest element",
    "min": "the smallest element",
    "sum": "the sum over some axes",
    "det_derivative": "the cofactors of a matrix",
    "prod": "the product over some axes",
    "transpose": "exchanges axes",
    "broadcast_to": "repeats along new axes",
    "matmul": "the products of matrices in the last two axes",
}
"""Primitives in words; others are named."""


def legend(printer: Printer) -> list[Line]:
    """One line for each function that a reader may ask about."""
    used = printer.used
    lines: list[Line] = []
    sigma = printer.sigma
    if "sigmoid" in used or "sigmoid'" in used:
        power = "e^{-a}" if printer.euler else r"\exp(-a)"
        lines.append((f"{sigma}(a)", "=", rf"\frac{{1}}{{1 + {power}}}"))
    if "sigmoid'" in used:
        lines.append((f"{sigma}'(a)", "=", rf"{sigma}(a) (1 - {sigma}(a))"))
    if "tanh'" in used:
        lines.append((r"\tanh'(a)", "=", r"1 - \tanh^2(a)"))
    if "step" in used and printer.half:
        lines.append(("[a > b]", "=", r"\tfrac{1}{2} \text{ where } a = b"))
    for axis, below, what in ((1, "", "row"), (0, r"_{\mathrm{columns}}", "column")):
        names = [rf"\operatorname{{{name}}}{below}" for name in ("softmax", "logsumexp") if f"{name} {axis}" in used]
        if names:
            lines.append((", ".join(names), ":", rf"\text{{of each {what}}}"))
    if "into" in used:
        lines.append((r"\operatorname{into}_{[\cdot]}", ":", r"\text{puts a part back among zeros}"))
    for (primitive, params), symbol in printer.calls.items():
        if symbol in printer.said:
            words = PRIMITIVES.get(primitive.name, f"the primitive {primitive.name}")
            given = ", ".join(f"{key}={value!r}" for key, value in params)
            given = given if len(given) <= WIDEST else given[: WIDEST - 3] + "..."
            lines.append((symbol, ":", rf"\text{{{escaped(words + (f'; {given}' if given else ''))}}}"))
    return lines


def escaped(text: str) -> str:
    """Plain text between the braces of LaTeX's text."""
    swaps = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^_{}$&%#]", lambda found: swaps.get(found[0], "\\" + found[0]), " ".join(text.split()))
