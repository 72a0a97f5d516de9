"""What the equations of a compiled program take, one after the other, on a calibrated machine.

A compiled program starts one NumPy call or a few for every equation, and goes through the operands.  What a call takes
is the sum of starting it, of starting its inner loops where arrays are strided or broadcast, and of the larger of what
its elements take and what moving their bytes takes, at the speed of the cache that holds everything the program uses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..execution.plan import Plan
from ..execution.wording import plane_of
from ..primitives.record import Aval
from ..tape import Equation
from .layouts import Strides, aligned, inner_loops, row_major, strides_of_view

FRESH_PAGES = 1 << 25
"""Results of more bytes than this come from the system page by page at every call."""
LAPACK = frozenset({"inverse", "solve", "cholesky", "det", "logabsdet", "sign_det", "qr"})
SPECTRAL = frozenset({"eigh", "eigvalsh", "eig", "eigvals", "svd", "svdvals", "pinv"})
SORTS = frozenset({"argsort", "argpartition", "partition_order", "searchsorted", "nonzero"})
REDUCTIONS = frozenset({"sum", "prod", "max", "min", "argmax", "argmin"})
SCANS = frozenset({"cumsum", "cumprod", "cummax", "cummin"})
TRANSFORMS = frozenset({"fft", "rfft", "irfft"})
DEEP = 3
"""A pass over more axes than this takes longer to find its way from one inner loop to the next."""
LIKE_SPECIAL = "beta"
"""The element-wise function that stands for those of SciPy that were not measured."""


class Prices:
    """The figures of one machine.

    Args:
        speeds: what ``calibration.measure`` found there.
    """

    def __init__(self, speeds: Mapping[str, Any]):
        crowd = speeds["crowd"]
        self.calls: Mapping[str, float] = {name: crowd * value for name, value in speeds["call"].items()}
        self.elements: Mapping[str, Mapping[str, float]] = speeds["element"]
        self.passes: Sequence[Sequence[float]] = speeds["pass"]
        self.moves: Mapping[str, float] = speeds["moves"]
        self.products: Mapping[str, Sequence[float]] = speeds["product"]
        self.python: Mapping[str, float] = speeds["python"]
        self.compiling: Mapping[str, float] = speeds["compile"]
        self.loops: Mapping[str, float] = speeds["loop"]
        self.touch_s: float = speeds["touch"]

    def iterating(self, shape: Sequence[int], operands: Sequence[Strides]) -> float:
        """Seconds that a pass takes because its arrays cannot be gone through as one.

        Args:
            shape: of the pass.
            operands: the strides of its arrays.
        """
        loops, axes = inner_loops(shape, operands)
        if loops == 1:
            return 0.0
        return self.calls["broadcast"] + loops * self.loops["deep" if axes > DEEP else "rows"]

    def byte_s(self, nbytes: float) -> float:
        """Seconds per byte of a pass while so many bytes are in use."""
        known = self.passes
        at = max(nbytes, 1.0)
        for (low, fast), (high, slow) in itertools.pairwise(known):
            if at <= high:
                share = min(max(math.log(at / low) / math.log(high / low), 0.0), 1.0)
                return fast + share * (slow - fast)
        return known[-1][1]


class Reading:
    """The equations of one plan, one after the other: what each takes, and the strides of what it leaves."""

    def __init__(self, prices: Prices, plan: Plan, byte_s: float):
        self.prices, self.plan, self.byte_s = prices, plan, byte_s
        self.avals = plan.tape.avals
        self.strides: dict[int, Strides] = {}

    def seconds(self, equation: Equation, operands: tuple[int, ...], quiet: bool) -> float:
        """Seconds of one equation."""
        place = self.plan.places[equation.output]
        out, primitive = self.avals[equation.output], equation.primitive
        if primitive.view:
            source = operands[0]
            made = strides_of_view(primitive.name, equation.params, self.avals[source], self._of(source), out)
            self.strides[equation.output] = made
        if place in ("fixed", "view", "skipped"):
            return 0.0
        if place == "passing":
            return self.prices.calls["view"]
        seconds = self._computed(equation, operands, out, quiet)
        if place == "result":
            seconds += self.prices.calls["fresh"]
            if out.nbytes > FRESH_PAGES:
                seconds += out.nbytes * self.prices.touch_s
        return seconds

    def _of(self, number: int) -> Strides:
        return self.strides.get(number) or row_major(self.avals[number].shape)

    def _computed(self, equation: Equation, operands: tuple[int, ...], out: Aval, quiet: bool) -> float:
        name, params, prices = equation.primitive.name, equation.params, self.prices
        avals = [self.avals[number] for number in operands]
        if equation.primitive.view:  # a reshape that must copy
            return self._copied(operands[0])
        if name == "matmul":
            plane = quiet and avals[0].ndim == avals[1].ndim == 2
            return prices.calls["dot" if plane else "product"] + self._product(avals[0], avals[1], out)
        if name in REDUCTIONS:
            return self._reduced(name, operands[0], params, out, quiet)
        if name in prices.elements["float64"]:
            return prices.calls["elementwise"] + self._passed(name, operands, out)
        return self._other(equation, operands, avals, out)

    def _element(self, name: str, aval: Aval) -> float:
        found = self.prices.elements
        known = found.get(aval.dtype.name) or found["complex128" if aval.dtype.kind == "c" else "float64"]
        return known.get(name, found["float64"].get(name, found["float64"][LIKE_SPECIAL]))

    def _passed(self, name: str, operands: Sequence[int], out: Aval) -> float:
        """An element-wise pass."""
        reads = [aligned(self.avals[n].shape, self._of(n), out.shape) for n in operands]
        way = self.prices.iterating(out.shape, [row_major(out.shape), *reads])
        nbytes = out.nbytes + sum(self.avals[n].nbytes for n in operands)
        kind = self.avals[operands[0]] if operands else out
        masked = self.prices.calls["masked"] + self.prices.calls["python"] if name == "where" else 0.0
        return way + masked + max(out.size * self._element(name, kind), nbytes * self.byte_s)

    def _copied(self, source: int) -> float:
        aval = self.avals[source]
        way = self.prices.iterating(aval.shape, [row_major(aval.shape), self._of(source)])
        return self.prices.calls["copy"] + way + 2 * aval.nbytes * self.byte_s

    def _product(self, left: Aval, right: Aval, out: Aval) -> float:
        """A product, or a stack of them."""
        inner = left.shape[-1] if left.ndim else 1
        known = self.prices.products
        each, element = known.get(out.dtype.name) or known["complex128" if out.dtype.kind == "c" else "float64"]
        stack = max(out.size // max(math.prod(out.shape[-2:]), 1), 1) if out.ndim > 2 else 1
        flops = 2.0 * out.size * inner
        touched = left.size + right.size + out.size
        nbytes = left.nbytes + right.nbytes + out.nbytes
        return flops * each + max(touched * element, nbytes * self.byte_s) + (stack - 1) * self.prices.calls["stacked"]

    def _reduced(self, name: str, source: int, params: Mapping[str, Any], out: Aval, quiet: bool) -> float:
        aval, prices = self.avals[source], self.prices
        axes = params["axes"] if "axes" in params else (params["axis"],)
        contiguous = self.plan.contiguous.get(source, False)
        plane = plane_of(aval, axes, quiet) if name == "sum" and contiguous else None
        if plane is not None:
            ones = Aval((1, plane[0] if axes[0] == 0 else plane[1]), aval.dtype)
            return prices.calls["dot" if quiet else "product"] + self._product(ones, aval, out)
        strides = self._of(source)
        kept = iter(row_major(out.shape))
        results = tuple(0 if axis in axes else next(kept, 0) for axis in range(aval.ndim))
        loops, _ = inner_loops(aval.shape, [strides, results])
        work = max(aval.size * prices.moves["reduce"], aval.nbytes * self.byte_s)
        start = prices.calls["reduce" if name in ("sum", "prod") else "extreme"]
        return start + work + (loops * prices.loops["sums"] if loops > 1 else 0.0)

    def _other(self, equation: Equation, operands: tuple[int, ...], avals: Sequence[Aval], out: Aval) -> float:
        """What is neither a pass nor a product nor a reduction."""
        name, params, prices = equation.primitive.name, equation.params, self.prices
        calls, moves = prices.calls, prices.moves
        size = max([out.size, *[aval.size for aval in avals]])
        flops = equation.primitive.flops(list(avals), out, **params)
        if name in ("max_pool", "pool_route", "pool_select", "fold"):
            return self._windowed(name, params, avals, out)
        if name == "gather":
            return calls["index"] + calls["python"] + out.size * moves["index"]
        if name == "scatter_add":
            return calls["scatter"] + calls["copy"] + avals[0].size * moves["scatter"] + out.nbytes * self.byte_s
        if name in SORTS:
            return calls["sort"] + size * math.log2(size + 2) * moves["sort"]
        if name in SCANS:
            return calls["reduce"] + size * moves["reduce"]
        if name in TRANSFORMS:
            return calls["linalg"] + size * math.log2(size + 2) * moves["fft"]
        if name in LAPACK or name in SPECTRAL:
            stack = max(avals[0].size // max(math.prod(avals[0].shape[-2:]), 1), 1)
            each = moves["solve" if name in LAPACK else "eigen"]
            return calls["linalg"] + stack * calls["stacked"] + flops * each
        if equation.primitive.kind == "linear":  # moves: casts, joins, pads and the like
            return self._moved(avals, out)
        return 2 * calls["elementwise"] + flops * self._element(name, avals[0] if avals else out)

    def _moved(self, avals: Sequence[Aval], out: Aval) -> float:
        """Arrays copied into a larger one, or out of one: rows are as long as the axes that both have in full."""
        calls, seconds = self.prices.calls, out.nbytes * self.byte_s
        for aval in avals or [out]:
            small, large = sorted((aval, out), key=lambda one: one.size)
            row = 1
            for short, long in zip(reversed(small.shape), reversed(large.shape), strict=False):
                row *= short
                if short != long:
                    break
            loops = small.size // max(row, 1)
            way = calls["broadcast"] + loops * self.prices.loops["rows"] if loops > 1 else 0.0
            seconds += 2 * calls["copy"] + way + 2 * small.nbytes * self.byte_s
        return seconds

    def _windowed(self, name: str, params: Mapping[str, Any], avals: Sequence[Aval], out: Aval) -> float:
        """Pooling and folding: some calls for every place in a window, over strided arrays with channels innermost."""
        prices, calls = self.prices, self.prices.calls
        places = math.prod(params["size"])
        cell = avals[0].size // places if name == "fold" else (avals[0] if name == "pool_route" else out).size
        loops = cell / max(out.shape[-1], 1)
        each = calls["elementwise"] + calls["broadcast"] + 2 * calls["view"]
        each += max(cell * self._element("add", out), 3 * cell * out.dtype.itemsize * self.byte_s)
        each += loops * prices.loops["deep"]
        if name in ("pool_route", "pool_select"):  # which element is the first maximal one; a copy of those that are
            each += calls["masked"] + 3 * calls["elementwise"] + cell * prices.moves["mask"]
            each += loops * prices.loops["deep"]
        return places * each + out.nbytes * self.byte_s
