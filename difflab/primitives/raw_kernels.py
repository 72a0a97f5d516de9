"""CUDA kernels as text: written for one layout of operands, kept by that, launched on CuPy's current stream.

A tape knows its shapes, so that sizes and strides stand in a kernel's text as numbers: a division by one is a
multiplication, loops over windows are unrolled, and any strided view is read where it lies.  One thread makes one
element of the result, in the order in which NumPy adds: no atomic additions, the same bits on every run.  A launch
allocates nothing and waits for nothing, so that it can be captured into a CUDA graph once it has run.

The first line of a text says what it computes, as the primitive's name and its metadata; tests run it by that.
CuPy compiles with ``-ftz=true``: float32 numbers below 1.2e-38 count as zero where a kernel adds or compares them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import UnsupportedError
from .record import Aval, Primitive

THREADS = 256
"""Threads in a block."""
NARROW = 2**31 - 2**16
"""Elements and offsets below this are counted in 32 bits."""

SEPARATE = ("--fmad=false",)
"""A product and the sum that takes it are rounded one by one, as NumPy does."""

HALF = "#include <cuda_fp16.h>"
COMPLEX = "#include <cupy/complex.cuh>"
C_TYPES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int",
    "I": "unsigned int", "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long",
    "e": "__half", "f": "float", "d": "double", "F": "complex<float>", "D": "complex<double>",
}  # fmt: skip
"""What C++ calls the dtype of that character."""


class Layout(NamedTuple):
    """Where the elements of an array stand; strides count elements, ``alignment`` the bytes of the first one's."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    alignment: int = 1

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def reach(self) -> int:
        """The greatest distance of an element from the first one, in elements."""
        return sum((size - 1) * abs(step) for size, step in zip(self.shape, self.strides, strict=True) if size)


class Text(NamedTuple):
    """A kernel: a body that computes element ``i`` of ``elements``, and what is defined above it.

    Where a kernel is ``shared``, ``elements`` counts blocks, each of ``THREADS`` threads that meet in it.  Where it is
    ``contracted``, a product and the sum that takes it are rounded once, as in a matrix product.
    """

    elements: int
    body: str
    above: str = ""
    shared: bool = False
    contracted: bool = False


def layout(array: Any) -> Layout:
    """The layout of an array on the device.

    Args:
        array: any strided view.

    Returns:
        Its shape, its strides in elements, its dtype, and by how many bytes (at most 16) its first element is aligned.

    Example:
        >>> layout(np.zeros((2, 3)).T)[:2]
        ((3, 2), (1, 3))
    """
    itemsize = array.dtype.itemsize
    pointer = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    strides = tuple([step // itemsize for step in array.strides])
    return Layout(tuple(array.shape), strides, array.dtype, math.gcd(pointer, 16) if pointer else 16)


def launch(xp: Any, name: str, write: Callable[..., Text], arrays: Sequence[Any], out: Any, **params: Any) -> Any:
    """Fill an array by a kernel; nothing is launched for an empty one.

    Args:
        xp: ``cupy``.
        name: of the primitive that the kernel computes.
        write: ``write(*layouts, **params)`` gives the kernel's text for these operands and this result.
        arrays: operands, in any layout.
        out: the array to fill, in any layout, apart from the operands.
        params: metadata, hashable.

    Returns:
        ``out``.
    """
    if out.size:
        layouts = (*map(layout, arrays), layout(out))
        kernel, blocks = _compiled(xp, name, write, layouts, tuple(params.items()))
        kernel((blocks,), (THREADS,), (*arrays, out))
    return out


def empty(xp: Any, out: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The array to fill: the given one, or a fresh one."""
    return xp.empty(shape, dtype) if out is None else out


def device_primitive(
    name: str,
    evaluate: Callable,
    abstract: Callable[..., Aval],
    device: Callable,
    flops: Callable[..., float] = lambda avals, out, **params: float(out.size),
) -> Primitive:
    """A primitive that only programs on a GPU contain, put there for others; it has no derivative of its own.

    Args:
        name: that of its kernel.
        evaluate: its value by NumPy.
        abstract: its shape and dtype.
        device: its rule.
        flops: its operations.

    Returns:
        A primitive outside the registry.
    """
    return Primitive(
        name=name, kind="general", evaluate=evaluate, abstract=abstract, jvp=None, vjp=None,
        inexact="only programs on a GPU contain it", device=device, flops=flops,
    )  # fmt: skip


@functools.lru_cache(maxsize=4096)
def _compiled(xp: Any, name: str, write: Callable, layouts: tuple[Layout, ...], params: tuple) -> tuple[Any, int]:
    source, blocks, contracted = source_text(name, write, layouts, dict(params))
    return _kernel(xp, source, f"difflab_{name}", () if contracted else SEPARATE), blocks


@functools.lru_cache(maxsize=4096)
def _kernel(xp: Any, source: str, name: str, options: tuple[str, ...]) -> Any:
    return xp.RawKernel(source, name, options)


def source_text(
    name: str, write: Callable[..., Text], layouts: Sequence[Layout], params: dict[str, Any]
) -> tuple[str, int, bool]:
    """The whole text of a kernel, how many blocks run it, and whether products are contracted with sums.

    Args:
        name: of the primitive.
        write: gives the body, as for ``launch``.
        layouts: of the operands and, last, of the result.
        params: metadata.

    Returns:
        The text, whose function is called ``difflab_`` and the name, the number of blocks, and that choice.

    Raises:
        UnsupportedError: a dtype that C++ has no name for.

    Example:
        >>> line = Layout((3,), (1,), np.dtype(np.float32))
        >>> text, blocks, _ = source_text("copy", lambda x, out: Text(3, "out[i] = x0[i];"), [line, line], {})
        >>> blocks, text.splitlines()[-2].strip()
        (1, 'out[i] = x0[i];')
    """
    text = write(*layouts, **params)
    index = "int" if max([text.elements, *[one.reach for one in layouts]]) < NARROW else "long long"
    *operands, out = [c_type(one.dtype) for one in layouts]
    kinds = {one.dtype.kind if one.dtype.char != "e" else "e" for one in layouts}
    arguments = [f"const {kind}* __restrict__ x{position}" for position, kind in enumerate(operands)]
    lines = [
        f"// {name} {params!r}",
        *[line for kind, line in (("e", HALF), ("c", COMPLEX)) if kind in kinds],
        f"typedef {index} I;",
        f"typedef {'unsigned int' if index == 'int' else 'unsigned long long'} U;",
        *[line for line in [text.above] if line],
        f'extern "C" __global__ void difflab_{name}({", ".join([*arguments, f"{out}* __restrict__ out"])}) {{',
    ]
    if text.shared:
        lines += ["const U i = blockIdx.x;", "(void)i;", "const int lane = threadIdx.x;"]
    else:
        lines += [f"const U i = (U)blockIdx.x * {THREADS} + threadIdx.x;", f"if (i >= {text.elements}) return;"]
    blocks = text.elements if text.shared else -(-text.elements // THREADS)
    return "\n".join([*lines, text.body.strip("\n"), "}"]) + "\n", blocks, text.contracted


# ---------------------------------------------------------------------------- what texts share


def c_type(dtype: np.dtype) -> str:
    """What C++ calls a dtype.

    Raises:
        UnsupportedError: a dtype that CuPy has not.

    Example:
        >>> c_type(np.dtype(np.float16))
        '__half'
    """
    try:
        return C_TYPES[dtype.char]
    except KeyError:
        raise UnsupportedError(
            f"a GPU computes with no {dtype.name}; cast to a dtype that CuPy has, or use device 'cpu'"
        ) from None


def working(dtype: np.dtype) -> str:
    """The C++ type in which elements of a dtype are added and compared; each sum is rounded to the dtype again.

    Example:
        >>> working(np.dtype(np.float16)), working(np.dtype(np.float64))
        ('float', 'double')
    """
    return "float" if dtype.char == "e" else c_type(dtype)


def split(source: str, names: Sequence[str], shape: Sequence[int]) -> str:
    """Statements that take a flat position in row-major order apart.

    Args:
        source: the flat position, an unsigned value.
        names: of the positions along the axes.
        shape: sizes of the axes.

    Returns:
        C++ statements that define the names.

    Example:
        >>> print(split("i", ["row", "column"], (2, 3)))
        const I column = (I)(i % 3);
        const I row = (I)(i / 3);
    """
    lines, divisor = [], 1
    for axis in range(len(shape) - 1, -1, -1):
        rest = f"{source} / {divisor}" if divisor > 1 else source
        if shape[axis] == 1:
            lines.append(f"const I {names[axis]} = 0;")
        elif axis == 0:
            lines.append(f"const I {names[axis]} = (I)({rest});")
        else:
            inner = f"({rest})" if divisor > 1 else rest
            lines.append(f"const I {names[axis]} = (I)({inner} % {shape[axis]});")
        divisor *= max(shape[axis], 1)
    return "\n".join(lines)


def offset(names: Sequence[str], strides: Sequence[int]) -> str:
    """The place of an element as an expression.

    Args:
        names: expressions for the positions along the axes.
        strides: of the axes, in elements.

    Returns:
        A C++ expression.

    Example:
        >>> offset(["row", "column + 1"], (3, 1))
        'row * (I)3 + (column + 1)'
    """
    terms = []
    for name, stride in zip(names, strides, strict=True):
        if stride and name != "0":
            place = name if name.isidentifier() else f"({name})"
            terms.append(place if stride == 1 else f"{place} * (I){stride}")
    return " + ".join(terms) or "0"
