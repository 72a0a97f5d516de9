"""Windows over images and pooling on a GPU: one thread for each pixel or window, no additions that race.

They add and choose in the order of ``neural.py``, so that they give its bits: of two zeros a maximum is the first,
where NumPy's depends on the processor.
"""

from __future__ import annotations

from typing import Any

from .copy_kernels import copy
from .raw_kernels import Layout, Text, c_type, empty, launch, offset, split, working

PIXEL = ("n", "p", "q", "k")
WINDOW = ("n", "r", "c", "k")


def windows(xp: Any, x: Any, *, size: tuple[int, int], stride: tuple[int, int], out: Any = None) -> Any:
    """Windows over images as a view, or copied where an array is given to fill.

    Args:
        xp: ``cupy``.
        x: images, shape (batch, rows, columns, channels).
        size: rows and columns of a window.
        stride: rows and columns from one window to the next.
        out: an array of shape (batch, window rows, window columns, *size, channels) to fill.

    Returns:
        The view, or ``out``.
    """
    rows, columns = ((extent - n) // step + 1 for extent, n, step in zip(x.shape[1:3], size, stride, strict=True))
    batch, down, right, channel = x.strides
    view = xp.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], rows, columns, *size, x.shape[3]),
        (batch, stride[0] * down, stride[1] * right, down, right, channel),
    )
    return view if out is None else copy(xp, view, out=out)


# ---------------------------------------------------------------------------- folding


def fold(xp: Any, g: Any, *, size: Any, stride: Any, shape: tuple[int, ...], out: Any = None) -> Any:
    """Window entries added to the pixels that they came from.

    Args:
        xp: ``cupy``.
        g: entries, shape (batch, window rows, window columns, *size, channels).
        size: rows and columns of a window.
        stride: rows and columns from one window to the next.
        shape: of the images.
        out: the array to fill.

    Returns:
        Images of that shape.
    """
    return launch(xp, "fold", fold_text, [g], empty(xp, out, shape, g.dtype), size=size, stride=stride, shape=shape)


def fold_text(g: Layout, out: Layout, size: Any, stride: Any, shape: Any, corner: Any = (0, 0)) -> Text:
    """The text of ``fold``, of its result from that corner on."""
    kind = working(g.dtype)
    where = offset(("n", "r", "c", "a", "b", "k"), g.strides)
    add = f"sum = ({kind})({c_type(g.dtype)})(sum + ({kind})x0[{where}]);"
    body = f"""
        {split("i", ("n", "down", "right", "k"), out.shape)}
        const I p = down + {corner[0]}, q = right + {corner[1]};
        {kind} sum = ({kind})0;
        {_covering(size, stride, g.shape[1:3], add)}
        out[{offset(("n", "down", "right", "k"), out.strides)}] = ({c_type(g.dtype)})sum;"""
    return Text(out.size, body)


def _covering(size: Any, stride: Any, counts: Any, inner: str) -> str:
    """Loops over the places a, b in the windows r, c that hold pixel p, q, in row-major order of the places."""
    first = ["0" if step == 1 else f"{at} % {step}" for at, step in zip("pq", stride, strict=True)]
    window = [f"({at} - {o})" + (f" / {step}" if step > 1 else "")
              for at, o, step in zip("pq", "ab", stride, strict=True)]  # fmt: skip
    return f"""
        #pragma unroll
        for (I a = {first[0]}; a < {size[0]}; a += {stride[0]}) {{
            const I r = {window[0]};
            if (p < a || r >= {counts[0]}) continue;
            #pragma unroll
            for (I b = {first[1]}; b < {size[1]}; b += {stride[1]}) {{
                const I c = {window[1]};
                if (q < b || c >= {counts[1]}) continue;
                {inner}
            }}
        }}"""


# ---------------------------------------------------------------------------- pooling


def max_pool(xp: Any, x: Any, *, size: Any, stride: Any, out: Any = None) -> Any:
    """The largest element of every window: the first of equal ones, or the first NaN.

    Args:
        xp: ``cupy``.
        x: images, shape (batch, rows, columns, channels).
        size: rows and columns of a window.
        stride: rows and columns from one window to the next.
        out: the array to fill.

    Returns:
        An array of shape (batch, window rows, window columns, channels).
    """
    rows, columns = ((extent - n) // step + 1 for extent, n, step in zip(x.shape[1:3], size, stride, strict=True))
    out = empty(xp, out, (x.shape[0], rows, columns, x.shape[3]), x.dtype)
    return launch(xp, "max_pool", _max_pool_text, [x], out, size=size, stride=stride)


def _element(x: Layout, stride: Any, a: str = "a", b: str = "b") -> str:
    """The place of element a, b of window r, c in images."""
    return offset(("n", f"r * {stride[0]} + {a}", f"c * {stride[1]} + {b}", "k"), x.strides)


def _max_pool_text(x: Layout, out: Layout, size: Any, stride: Any) -> Text:
    kind = working(x.dtype)
    body = f"""
        {split("i", WINDOW, out.shape)}
        {kind} best = ({kind})x0[{_element(x, stride, "0", "0")}];
        #pragma unroll
        for (I a = 0; a < {size[0]}; ++a) {{
            #pragma unroll
            for (I b = 0; b < {size[1]}; ++b) {{
                const {kind} value = ({kind})x0[{_element(x, stride)}];
                if (value > best || (value != value && best == best)) best = value;
            }}
        }}
        out[{offset(WINDOW, out.strides)}] = ({c_type(x.dtype)})best;"""
    return Text(out.size, body)


def pool_select(xp: Any, t: Any, x: Any, y: Any, *, size: Any, stride: Any, out: Any = None) -> Any:
    """Of every window of t the element that stands where x has its first largest.

    Args:
        xp: ``cupy``.
        t: images, shape (batch, rows, columns, channels).
        x: images of the same shape.
        y: what ``max_pool`` gives of x.
        size: rows and columns of a window.
        stride: rows and columns from one window to the next.
        out: the array to fill.

    Returns:
        An array of the shape of y.
    """
    return launch(
        xp, "pool_select", _pool_select_text, [t, x, y], empty(xp, out, y.shape, y.dtype), size=size, stride=stride
    )


def _pool_select_text(t: Layout, x: Layout, y: Layout, out: Layout, size: Any, stride: Any) -> Text:
    kind = working(x.dtype)
    body = f"""
        {split("i", WINDOW, out.shape)}
        const {kind} best = ({kind})x2[{offset(WINDOW, y.strides)}];
        {c_type(out.dtype)} found = ({c_type(out.dtype)})({working(out.dtype)})0;
        bool free = true;
        #pragma unroll
        for (I a = 0; a < {size[0]}; ++a) {{
            #pragma unroll
            for (I b = 0; b < {size[1]}; ++b) {{
                const {kind} value = ({kind})x1[{_element(x, stride)}];
                if (free && (value == best || value != value)) {{
                    free = false;
                    found = x0[{_element(t, stride)}];
                }}
            }}
        }}
        out[{offset(WINDOW, out.strides)}] = found;"""
    return Text(out.size, body)


def pool_route(xp: Any, g: Any, x: Any, y: Any, *, size: Any, stride: Any, out: Any = None) -> Any:
    """Every pixel's sum of the cotangents of the windows whose first largest element it is.

    Args:
        xp: ``cupy``.
        g: cotangents, of the shape of y.
        x: images, shape (batch, rows, columns, channels).
        y: what ``max_pool`` gives of x.
        size: rows and columns of a window.
        stride: rows and columns from one window to the next.
        out: the array to fill.

    Returns:
        Images of the shape of x.
    """
    return launch(
        xp, "pool_route", _pool_route_text, [g, x, y], empty(xp, out, x.shape, x.dtype), size=size, stride=stride
    )


def _pool_route_text(g: Layout, x: Layout, y: Layout, out: Layout, size: Any, stride: Any) -> Text:
    kind, sums = working(x.dtype), working(g.dtype)
    disjoint = stride[0] >= size[0] and stride[1] >= size[1]
    taken = f"({sums})x0[{offset(WINDOW, g.strides)}]"
    rows_before, columns_before = f"(e / {size[1]})", f"(e % {size[1]})"
    inner = f"""
                const {kind} best = ({kind})x2[{offset(WINDOW, y.strides)}];
                if (!(here == best || here != here)) continue;
                bool first = true;
                for (I e = 0; first && e < a * {size[1]} + b; ++e) {{
                    const {kind} before = ({kind})x1[{_element(x, stride, rows_before, columns_before)}];
                    first = !(before == best || before != before);
                }}
                if (first) sum = {taken if disjoint else f"({sums})({c_type(g.dtype)})(sum + {taken})"};"""
    body = f"""
        {split("i", PIXEL, out.shape)}
        const {kind} here = ({kind})x1[{offset(PIXEL, x.strides)}];
        {sums} sum = ({sums})0;
        {_covering(size, stride, y.shape[1:3], inner)}
        out[{offset(PIXEL, out.strides)}] = ({c_type(g.dtype)})sum;"""
    return Text(out.size, body)
