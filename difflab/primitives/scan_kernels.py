"""Scans and sliding products on a GPU.

One thread walks along a lane in NumPy's order.  Where there are few long lanes, a block shares one: every thread scans
a piece, and again behind what the pieces before it come to.  That is done for sums, which it rounds in another order,
and for extremes, which it leaves the same; not for products and recurrences, where the factors of a piece may overflow
and meet a zero that stands before it.
"""

from __future__ import annotations

from typing import Any

from .index_kernels import places
from .raw_kernels import THREADS, Layout, Text, c_type, empty, launch, offset, split, working

BUSY = 2**13
"""Threads from which a GPU is used well enough (not yet measured)."""

STEPS = {
    "cumsum": "sum = ({kind})(({stored})(sum + value));",
    "cumprod": "sum = ({kind})(({stored})(sum * value));",
    "cummax": "if (value > sum || (value != value && sum == sum)) sum = value;",
    "cummin": "if (value < sum || (value != value && sum == sum)) sum = value;",
}
SHARED = ("cumsum", "cummax", "cummin")


def is_shared(name: str, length: int, lanes: int) -> bool:
    """Whether a block of threads scans each lane.

    Args:
        name: of the primitive.
        length: of a lane.
        lanes: how many there are.

    Returns:
        Whether that may be done and is likely to be quicker.

    Example:
        >>> is_shared("cumsum", 10**6, 1), is_shared("cumsum", 100, 10**6), is_shared("cumprod", 10**6, 1)
        (True, False, False)
    """
    return name in SHARED and length >= 2 * THREADS and lanes < BUSY


def rule(name: str) -> Any:
    """The device rule of a running sum, product or extreme; of extremes NaN wins.

    Args:
        name: ``cumsum``, ``cumprod``, ``cummax`` or ``cummin``.

    Returns:
        A function as the field ``device`` of a primitive wants it.
    """
    write = _writer(name)

    def device(xp: Any, x: Any, *, out: Any = None, **params: Any) -> Any:
        return launch(xp, name, write, [x], empty(xp, out, x.shape, x.dtype), **params)

    return device


def recurrence(xp: Any, a: Any, b: Any, *, axis: int, reverse: bool, out: Any = None) -> Any:
    """``s[i] = a[i] s[i-1] + b[i]`` along an axis.

    Args:
        xp: ``cupy``.
        a: factors.
        b: what is added, of the same shape.
        axis: along which.
        reverse: from the end.
        out: the array to fill.

    Returns:
        An array of the shape of b.
    """
    out = empty(xp, out, b.shape, b.dtype)
    return launch(xp, "recurrence", _recurrence_text, [a, b], out, axis=axis, reverse=reverse)


def _frame(out: Layout, axis: int) -> tuple[list[str], list[str], int]:
    """Names of positions in a lane and outside it, and the number of lanes."""
    names = places("p", out.shape)
    names[axis] = "k"
    outside = [name for at, name in enumerate(names) if at != axis]
    return names, outside, out.size // out.shape[axis]


def _outside(out: Layout, axis: int) -> tuple[int, ...]:
    return tuple([size for at, size in enumerate(out.shape) if at != axis])


def _place(length: int, reverse: bool, step: str = "s") -> str:
    """The position along the axis of the step ``s``."""
    return f"{length - 1} - (I){step}" if reverse else f"(I){step}"


def _writer(name: str) -> Any:
    def write(x: Layout, out: Layout, axis: int, reverse: bool = False) -> Text:
        names, outside, lanes = _frame(out, axis)
        length, kind = out.shape[axis], working(x.dtype)
        step = STEPS[name].format(kind=kind, stored=c_type(x.dtype))
        read = f"""
            const I k = {_place(length, reverse)};
            const {kind} value = ({kind})x0[{offset(names, x.strides)}];"""
        store = f"out[{offset(names, out.strides)}] = ({c_type(x.dtype)})sum;"
        if is_shared(name, length, lanes) and x.dtype.kind != "c":  # complex numbers cannot be shared
            return Text(lanes, _shared_body(split("i", outside, _outside(out, axis)), kind, length, read, step, store),
                        shared=True)  # fmt: skip
        body = f"""
            {split("i", outside, _outside(out, axis))}
            {kind} sum = ({kind})0;
            #pragma unroll 8
            for (U s = 0; s < {length}; ++s) {{
                {read}
                if (s == 0) sum = value; else {{ {step} }}
                {store}
            }}"""
        return Text(lanes, body)

    return write


def _shared_body(where: str, kind: str, length: int, read: str, step: str, store: str) -> str:
    share = -(-length // THREADS)
    return f"""
        __shared__ {kind} totals[{THREADS}];
        {where}
        const U begin = (U)lane * {share};
        const U end = begin + {share} < {length} ? begin + {share} : {length};
        {kind} sum = ({kind})0;
        for (U s = begin; s < end; ++s) {{
            {read}
            if (s == begin) sum = value; else {{ {step} }}
        }}
        totals[lane] = sum;
        __syncthreads();
        if (begin >= {length}) return;
        sum = totals[0];
        for (int before = 1; before < lane; ++before) {{
            const {kind} value = totals[before];
            {step}
        }}
        for (U s = begin; s < end; ++s) {{
            {read}
            if (s == 0) sum = value; else {{ {step} }}
            {store}
        }}"""


def _recurrence_text(a: Layout, b: Layout, out: Layout, axis: int, reverse: bool) -> Text:
    names, outside, lanes = _frame(out, axis)
    length, kind, stored = out.shape[axis], working(b.dtype), c_type(b.dtype)
    body = f"""
        {split("i", outside, _outside(out, axis))}
        {kind} sum = ({kind})0;
        #pragma unroll 8
        for (U s = 0; s < {length}; ++s) {{
            const I k = {_place(length, reverse)};
            const {kind} factor = ({kind})x0[{offset(names, a.strides)}];
            const {kind} added = ({kind})x1[{offset(names, b.strides)}];
            sum = s == 0 ? added : ({kind})({stored})(({kind})({stored})(factor * sum) + added);
            out[{offset(names, out.strides)}] = ({stored})sum;
        }}"""
    return Text(lanes, body)


# ---------------------------------------------------------------------------- sliding products


def slide(xp: Any, a: Any, v: Any, *, out: Any = None) -> Any:
    """The inner product of a vector with every part of another that is as long.

    Args:
        xp: ``cupy``.
        a: the longer vector, shape (n,).
        v: the other one, shape (m,).
        out: the array to fill.

    Returns:
        An array of shape (n - m + 1,).
    """
    return launch(xp, "slide", _slide_text, [a, v], empty(xp, out, (a.shape[0] - v.shape[0] + 1,), a.dtype))


def _slide_text(a: Layout, v: Layout, out: Layout) -> Text:
    kind, length = working(out.dtype), v.shape[0]
    store = f"out[(I)i * (I){out.strides[0]}] = ({c_type(out.dtype)})"
    term = f"({kind})x0[{offset(['(I)i + (I)s'], a.strides)}] * ({kind})x1[{offset(['(I)s'], v.strides)}]"
    if length < 2 * THREADS or out.size >= BUSY or out.dtype.kind == "c":
        body = f"""
            {kind} sum = ({kind})0;
            for (U s = 0; s < {length}; ++s) sum = sum + {term};
            {store}sum;"""
        return Text(out.size, body, contracted=True)
    body = f"""
        __shared__ {kind} totals[{THREADS}];
        {kind} sum = ({kind})0;
        for (U s = lane; s < {length}; s += {THREADS}) sum = sum + {term};
        totals[lane] = sum;
        __syncthreads();
        for (int width = {THREADS // 2}; width > 0; width /= 2) {{
            if (lane < width) totals[lane] = totals[lane] + totals[lane + width];
            __syncthreads();
        }}
        if (lane == 0) {store}totals[0];"""
    return Text(out.size, body, shared=True, contracted=True)
