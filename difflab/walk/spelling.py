"""How each primitive is written in NumPy: an expression of its operands, and helper functions where NumPy has none.

Every expression computes what the primitive's own ``evaluate`` computes, by the same calls in the same order of
operations and of memory, so that it gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..primitives.record import Aval, Primitive
from ..primitives.special import UFUNCS
from .gates import INFIX
from .helpers import HELPERS


class Term(NamedTuple):
    """An operand: a variable, or a number as it is written beside a value of its dtype (``plain``) and alone."""

    text: str
    aval: Aval
    plain: str | None = None


Spelling = Callable[..., str]

OPERATORS = {name: sign for name, sign in INFIX.items() if name not in ("power", "matmul")}
SCIPY = {record.name: name for name, record in UFUNCS.items() if record.samples is None or record.kind == "elementwise"}
OWN_FUNCTION = frozenset(
    {
        "boxcox", "inv_boxcox", "gammainc", "gammaincc", "gammaincinv", "betainc", "jv", "yv", "iv", "kv", "yn", "ive",
        "kve", "expn",  # orders of SciPy's functions, which may be integers and are converted first
        "sinc", "exprel", "polygamma", "zeta", "numpy_i0",  # families with series of their own
        "det_derivative", "logabsdet", "sign_det", "inverse", "eigh", "eigvalsh", "eig", "pairing", "eigvals", "svd",
        "svdvals", "qr",  # several results packed into one array, and what is done at singular matrices and ties
        "fft", "rfft", "irfft",  # norms and real transforms of every length
        "partition_order", "nonzero",  # positions that depend on the data
    }
)  # fmt: skip
"""Primitives for which a helper would be too long: the printed text imports difflab's own function."""
REFUSED = {"lanes": "runs another primitive lane by lane, by its name; only batched derivatives inside a loss make it"}
"""Primitives that have no text, and why."""


def written(terms: Sequence[Term]) -> list[str]:
    """Operands of a ufunc: a number needs no dtype beside a variable that has the same one."""
    dtypes = {term.aval.dtype for term in terms if term.plain is None}
    return [term.text if term.plain is None or term.aval.dtype not in dtypes else term.plain for term in terms]


def dtype_text(name: Any) -> str:
    """A dtype as an expression; ``name`` is one, or its text."""
    dtype = np.dtype(name)
    return f"np.{'bool_' if dtype.kind == 'b' else dtype.name}" if dtype.isnative else f"np.dtype({dtype.str!r})"


def _axes(aval: Aval, axes: tuple[int, ...]) -> str:
    if axes and axes == tuple(range(aval.ndim)):
        return ""
    return f", axis={axes[0] if len(axes) == 1 else axes}"


def _cut(start: int, stop: int, step: int, size: int) -> str:
    last = "" if stop < 0 or (step > 0 and stop >= size) else str(stop)
    first = "" if step > 0 and start == 0 else str(start)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def _slices(start: Sequence[int], stop: Sequence[int], step: Sequence[int], shape: Sequence[int]) -> str:
    parts = [_cut(*bounds) for bounds in zip(start, stop, step, shape, strict=True)]
    return ", ".join(parts)


def _region(start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> str:
    cuts = [
        f"slice({a}, {None if b < 0 else b}" + (f", {c})" if c != 1 else ")")
        for a, b, c in zip(start, stop, step, strict=True)
    ]
    return f"({', '.join(cuts)}{',' if len(cuts) == 1 else ''})"


def _position(ndim: int, axes: tuple[int, ...], indices: Sequence[Term]) -> str:
    place = {axis: index.text for axis, index in zip(axes, indices, strict=True)}
    return ", ".join(place.get(axis, ":") for axis in range(ndim))


def _sliced(x: Term, start: Any, stop: Any, step: Any) -> str:
    return f"{x.text}[{_slices(start, stop, step, x.aval.shape) or '...'}]"


def _scattered(g: Term, *indices: Term, shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    place = {axis: index.text for axis, index in zip(axes, indices, strict=True)}
    where = ", ".join(place.get(axis, "slice(None)") for axis in range(len(shape)))
    return f"scatter_add({g.text}, ({where}{',' if len(shape) == 1 else ''}), {shape})"


def _transposed(x: Term, axes: tuple[int, ...]) -> str:
    return f"{x.text}.T" if axes == (1, 0) else f"np.transpose({x.text}, {axes})"


def _power(x: Term, n: int) -> str:
    return f"{x.text}**{n}" if n in (0, 1, 2) else f"{x.text} ** {n}" if n == -1 else f"np.power({x.text}, {n})"


def _relu(x: Term) -> str:
    zero = "0.0" if x.aval.dtype.kind == "f" else f"np.zeros((), {dtype_text(x.aval.dtype)})"
    return f"np.maximum({x.text}, {zero})"


def _scan(name: str) -> Spelling:
    def spell(x: Term, axis: int, reverse: bool) -> str:
        if not reverse:
            return f"np.{name}({x.text}, axis={axis})"
        return f"np.flip(np.{name}(np.flip({x.text}, {axis}), axis={axis}), {axis})"

    return spell


def _reduced(name: str) -> Spelling:
    return lambda x, axes: f"np.{name}({x.text}{_axes(x.aval, axes)})"


def _helper(name: str) -> Spelling:
    def spell(*terms: Term, **params: Any) -> str:
        parts = [term.text for term in terms] + [f"{key}={value!r}" for key, value in params.items()]
        return f"{name}({', '.join(parts)})"

    return spell


def _where(condition: Term, a: Term, b: Term) -> str:
    return f"np.where({condition.text}, {', '.join(written([a, b]))})"


def _cholesky(x: Term, **params: Any) -> str:
    return f"np.linalg.cholesky({', '.join([x.text, *[f'{key}={value!r}' for key, value in params.items()]])})"


SPELT: dict[str, Spelling] = {
    "cast": lambda x, dtype: f"{x.text}.astype({dtype_text(dtype)})",
    "zeros_like": lambda x: f"np.zeros_like({x.text})",
    "copy": lambda x: f"np.array({x.text})",
    "stop_gradient": lambda x: x.text,
    "relu": _relu,
    "where": _where,
    "fraction": lambda x: f"np.modf({x.text})[0]",
    "integer_power": _power,
    "sigmoid": lambda x: (
        f"scipy.special.expit({x.text}).astype({dtype_text(x.aval.dtype)})"
        if x.aval.dtype == np.float16
        else f"scipy.special.expit({x.text})"
    ),
    "real": lambda x: f"np.array({x.text}.real)",
    "imag": lambda x: f"np.array({x.text}.imag)",
    "complex_of": _helper("complex_of"),
    "complex_abs": lambda x: f"np.absolute({x.text})",
    "matmul": lambda a, b: f"{a.text} @ {b.text}",
    "solve": lambda a, b: f"np.linalg.solve({a.text}, {b.text})",
    "cholesky": _cholesky,
    "pinv": _helper("np.linalg.pinv"),
    "det": lambda a: f"np.linalg.det({a.text})",
    "reshape": lambda x, shape: f"np.reshape({x.text}, {shape})",
    "transpose": _transposed,
    "broadcast_to": lambda x, shape: f"np.broadcast_to({x.text}, {shape})",
    "concatenate": lambda *arrays, axis: f"np.concatenate([{', '.join(a.text for a in arrays)}], axis={axis})",
    "pad": _helper("pad"),
    "slice": _sliced,
    "unslice": lambda g, start, stop, step, shape: f"unslice({g.text}, {_region(start, stop, step)}, {shape})",
    "gather": lambda x, *indices, axes: f"{x.text}[{_position(x.aval.ndim, axes, indices)}]",
    "scatter_add": _scattered,
    "windows": _helper("windows"),
    "fold": _helper("fold"),
    "max_pool": _helper("max_pool"),
    "pool_select": _helper("pool_select"),
    "pool_route": _helper("pool_route"),
    "argsort": lambda x, axis, kind: f"np.argsort({x.text}, axis={axis}, kind={kind!r})",
    "argpartition": lambda x, axis, kth: f"np.argpartition({x.text}, {kth}, axis={axis})",
    "searchsorted": lambda a, v, side: f"np.searchsorted({a.text}, {v.text}, {side!r})",
    "unravel_index": lambda x, shape, order, axis: f"np.unravel_index({x.text}, {shape}, {order!r})[{axis}]",
    "ravel_multi_index": lambda *indices, shape, mode, order: (
        f"np.ravel_multi_index(({', '.join(i.text for i in indices)},), {shape}, mode={mode!r}, order={order!r})"
    ),
    "cumsum": _scan("cumsum"),
    "cumprod": _scan("cumprod"),
    "recurrence": _helper("recurrence"),
    "cummax": lambda x, axis: f"np.maximum.accumulate({x.text}, axis={axis})",
    "cummin": lambda x, axis: f"np.minimum.accumulate({x.text}, axis={axis})",
    "slide": lambda a, v: f'np.convolve({a.text}, {v.text}[::-1], "valid")',
    "sum": _reduced("sum"),
    "prod": _reduced("prod"),
    "max": _reduced("max"),
    "min": _reduced("min"),
    "argmax": lambda x, axis: f"np.argmax({x.text}, axis={axis})",
    "argmin": lambda x, axis: f"np.argmin({x.text}, axis={axis})",
}


def spelt(primitive: Primitive, terms: Sequence[Term], params: dict[str, Any]) -> str | None:
    """A primitive's value as a NumPy expression; ``None`` where nobody has written one down.

    Args:
        primitive: what is computed.
        terms: its operands.
        params: its metadata.

    Returns:
        Python text, to be run where ``np``, ``scipy.special`` and the helpers that it names are known.

    Example:
        >>> from difflab.primitives.record import REGISTRY
        >>> x = Term("x", Aval((3,), np.dtype(float)))
        >>> spelt(REGISTRY["multiply"], [Term("np.float64(0.5)", Aval((), np.dtype(float)), "0.5"), x], {})
        '0.5 * x'
    """
    name = primitive.name
    if name in SPELT:
        return SPELT[name](*terms, **params)
    if name == "negative" and terms[0].aval.dtype.kind == "f":
        return f"-{terms[0].text}"
    if name in OPERATORS and all(term.aval.dtype.kind == "f" for term in terms):
        return f" {OPERATORS[name]} ".join(written(terms))
    if isinstance(primitive.evaluate, np.ufunc) and getattr(np, name, None) is primitive.evaluate:
        return f"np.{name}({', '.join(written(terms))})"
    if name in OWN_FUNCTION:
        return _helper(name)(*terms, **params)
    if name in SCIPY:
        return f"scipy.special.{SCIPY[name]}({', '.join(term.text for term in terms)})"
    return None


def helpers_of(name: str) -> tuple[str, ...]:
    """The helper functions that a primitive's expression calls, in the order in which they are to be printed."""
    return HELPERS.get(name, ())
