"""What a check found: numbers, verdicts per block, and what is wrong in words."""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    ``kind``: "structure", "shape", "dtype", "not-finite", "factor", "zeros", "transpose", "flip", "shift", "conjugate",
    "exchange", "regulariser", "closure", "memory", "rule", "contribution", "layer", "part", "tie", "precision",
    "value", "arguments", "elsewhere", "search" or "unknown".  ``sentence``: in words.  ``block``: the parameter blocks
    that it explains, as ``params['w1'] and params['b1']``; empty where it is about all or none.  ``factor``: the
    constant by which they are off, or ``None``.  ``equation``: the position on the tape, or ``None``.  ``where``: the
    line of the loss.
    """

    kind: str
    sentence: str
    block: str = ""
    factor: float | None = None
    equation: int | None = None
    where: str = ""


@dataclass(frozen=True)
class Block:
    """One differentiated array: its path, shape, relative error and verdict, "right" or what is wrong in two words."""

    path: str
    shape: tuple[int, ...]
    rel_error: float
    verdict: str


@dataclass(frozen=True)
class Coordinate:
    """One entry: its path such as ``params['w1'][3, 2]``, what was given, what is true, and the relative error."""

    path: str
    given: complex
    true: complex
    rel_error: float


@dataclass(frozen=True)
class Check:
    """What ``difflab.check`` found about a gradient; true if the gradient is right.

    ``ok``: right within ``tolerance`` at the example and at a point near it, or a choice that a kink leaves open.
    ``rel_error``: norm-wise, ``inf`` where there is nothing to compare.  ``digits``: correct digits by norm;
    ``worst_digits`` and ``ulps`` of the worst coordinate, whose entries are ``worst``.  ``blocks``: one per
    differentiated array.  ``findings``: the best explanation first.  ``certified``: "yes", "sampled k of n" or
    "no: why".  ``value_error``: relative error of the returned value where it is wrong.

    Example:
        >>> import numpy as np, difflab as dl
        >>> found = dl.check(lambda x: x, lambda x: np.sum(x**2), np.array([1.0, 2.0]))
        >>> found.ok, found.findings[0].kind, found.findings[0].factor
        (False, 'factor', 0.5)
    """

    name: str
    loss: str
    ok: bool
    rel_error: float
    worst_digits: float
    digits: float
    ulps: float
    tolerance: float
    certified: str
    blocks: list[Block]
    worst: list[Coordinate]
    findings: list[Finding]
    value_error: float | None = None

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts and lists of plain values, for JSON."""
        document = asdict(self)
        for one in document["worst"]:
            for key in ("given", "true"):
                if isinstance(one[key], complex):
                    one[key] = str(one[key])
        return document

    def __str__(self) -> str:
        lines = textwrap.wrap(self._verdict(), WIDTH)
        lines += textwrap.wrap(self._truth(), WIDTH)
        if self.findings:
            head = "Worth knowing:" if self.ok else "What is wrong with it:"
            lines += ["", head, *[line for one in enumerate(self.findings, 1) for line in _numbered(*one)]]
        if not self.ok and len(self.blocks) > 1:
            rows = [(one.path, str(one.shape), _number(one.rel_error), one.verdict) for one in self.blocks]
            lines += ["", *_columns(("block", "shape", "relative error", ""), rows, {2})]
        if not self.ok and self.worst:
            rows = [
                (one.path, _number(one.given, 9), _number(one.true, 9), _number(one.rel_error)) for one in self.worst
            ]
            lines += ["", *_columns(("worst coordinates", "given", "true", "relative error"), rows, {1, 2, 3})]
        return "\n".join(lines)

    def _verdict(self) -> str:
        subject = f"`{self.name}` is the gradient of `{self.loss}`"
        if self.ok:
            if any(one.kind == "tie" for one in self.findings):
                return f"{subject}, up to a choice at a kink."
            worst = "" if math.isnan(self.worst_digits) else f"; its worst coordinate has {self.worst_digits:.1f}"
            ulps = f" ({_number(self.ulps)} ULPs)" if worst and math.isfinite(self.ulps) else ""
            return f"{subject}: {self.digits:.1f} digits are correct by norm{worst}{ulps}."
        if not math.isfinite(self.rel_error):
            return f"`{self.name}` is not the gradient of `{self.loss}`."
        if self.rel_error <= self.tolerance and all(one.verdict in ("right", "wrong nearby") for one in self.blocks):
            return f"`{self.name}` is right at these arguments, and yet it is not the gradient of `{self.loss}`."
        return (
            f"`{self.name}` is not the gradient of `{self.loss}`: relative error {_number(self.rel_error)}, tolerance "
            f"{_number(self.tolerance)}."
        )

    def _truth(self) -> str:
        if self.certified == "yes":
            return "Truth: certified, enclosed in ball arithmetic and checked by power series."
        if self.certified.startswith("sampled"):
            sample = self.certified.removeprefix("sampled ")
            return (
                f"Truth: ball arithmetic certified a sample, {sample} coordinates, and products with random "
                "directions; the rest is measured against reverse mode in float64."
            )
        return f"Truth: not certified: {self.certified.removeprefix('no: ')}."

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, the findings and the blocks."""
        items = "".join(f"<li>{html.escape(one.sentence)}</li>" for one in self.findings)
        rows = "".join(
            f"<tr><td>{html.escape(one.path)}</td><td>{one.shape}</td><td>{_number(one.rel_error)}</td>"
            f"<td>{html.escape(one.verdict)}</td></tr>"
            for one in self.blocks
        )
        head = "<tr><th>block</th><th>shape</th><th>relative error</th><th></th></tr>"
        return (
            f"<p>{html.escape(self._verdict())} {html.escape(self._truth())}</p><ol>{items}</ol>"
            f"<table>{head}{rows}</table>"
        )


def _numbered(number: int, finding: Finding) -> list[str]:
    label = f"{number:2}. "
    indent = " " * len(label)
    lines = textwrap.wrap(finding.sentence, WIDTH, initial_indent=label, subsequent_indent=indent)
    # The line of the loss is shown as it stands there.
    return [*lines, f"{indent}    {finding.where}"] if ": " in finding.where else lines


def _columns(header: tuple[str, ...], rows: list[tuple[str, ...]], right: set[int]) -> list[str]:
    """Columns side by side, two spaces apart."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _number(value: Any, digits: int = 2) -> str:
    if isinstance(value, complex):
        return f"{value:.{digits}g}"
    return f"{float(value):.{digits}g}"
