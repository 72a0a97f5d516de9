"""Words and numbers on a drawing: how wide a text is at most, how it is broken, how an array is told in a few lines."""

from __future__ import annotations

import textwrap

import numpy as np

SMALL = 6
"""Arrays of at most so many elements are written out."""

# Widths in sizes of the font, as in DejaVu Sans, which is wider than the other usual faces.
_WIDTHS = {
    **dict.fromkeys("ijl.,:;'|!", 0.34),
    **dict.fromkeys(" frt()[]{}/-I\N{MIDDLE DOT}\N{SUPERSCRIPT TWO}\N{PRIME}", 0.42),
    **dict.fromkeys('acszxvykhnuogpqbde_J*"\N{EN DASH}', 0.64),
    **dict.fromkeys("0123456789?", 0.64),
    **dict.fromkeys("+=<>\N{MULTIPLICATION SIGN}\N{MINUS SIGN}\N{ALMOST EQUAL TO}w#~^", 0.84),
    **dict.fromkeys("mMW@%&\N{HORIZONTAL ELLIPSIS}", 1.03),
}
_CAPITAL, _OTHER, _BOLD = 0.8, 1.1, 1.12


def width(text: str, size: float, *, bold: bool = False) -> float:
    """At most how wide a text is.

    Args:
        text: of one line.
        size: of the font, in pixels.
        bold: whether it is set in bold.

    Example:
        >>> width("mi", 10.0)
        13.7
    """
    sizes = sum(_WIDTHS.get(sign, _CAPITAL if sign < "\N{EN QUAD}" else _OTHER) for sign in text)
    return round(sizes * size * (_BOLD if bold else 1.0), 2)


def broken(text: str, most: int, lines: int) -> list[str]:
    """A text on at most so many lines of at most ``most`` characters; what is left out is an ellipsis.

    >>> broken("subtract distributes, with -1 to the second", 24, 2)
    ['subtract distributes,', 'with -1 to the second']
    """
    return textwrap.wrap(text, most, max_lines=lines, placeholder=" \N{HORIZONTAL ELLIPSIS}") if text else []


def clipped(text: str, most: int) -> str:
    """A text of at most ``most`` characters.

    >>> clipped("v12 = concatenate(v1, v2, v3)", 12)
    'v12 = conca\N{HORIZONTAL ELLIPSIS}'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def shape(array: np.ndarray) -> str:
    """The shape as people say it.

    >>> shape(np.zeros((64, 4)))
    '64\N{MULTIPLICATION SIGN}4'
    """
    return "\N{MULTIPLICATION SIGN}".join(map(str, array.shape)) if array.ndim != 1 else f"{array.shape[0]} elements"


def told(array: np.ndarray | None) -> list[str]:
    """An array in a few short lines: a number or a small array in full, else shape, range and Euclidean norm.

    >>> told(np.array([[1.0, -0.25]])), told(np.arange(12.0).reshape(3, 4))
    (['[[1 -0.25]]'], ['3\N{MULTIPLICATION SIGN}4', '0 \N{HORIZONTAL ELLIPSIS} 11', 'norm 22.49'])
    """
    if array is None:
        return []
    if array.size <= SMALL:
        return [_listed(array)]
    if array.dtype.kind == "b":
        return [shape(array), f"{np.count_nonzero(array)} true"]
    if array.dtype.kind == "c":
        return [shape(array), f"norm {_number(np.linalg.norm(array.ravel()), 4)}"]
    good = array[np.isfinite(array)]
    lines = [shape(array)]
    if good.size:
        lines.append(f"{_number(good.min(), 4)} \N{HORIZONTAL ELLIPSIS} {_number(good.max(), 4)}")
    if good.size == array.size:
        if array.dtype.kind == "f":
            lines.append(f"norm {_number(np.linalg.norm(array.astype(np.float64).ravel()), 4)}")
    else:
        lines.append(f"{array.size - good.size} not finite")
    return lines


def in_line(array: np.ndarray | None) -> str:
    """The same in one line.

    >>> in_line(np.ones((4, 4)))
    '4\N{MULTIPLICATION SIGN}4, 1 \N{HORIZONTAL ELLIPSIS} 1, norm 4'
    """
    return ", ".join(told(array)) or "none"


def told_briefly(array: np.ndarray) -> str:
    """In one line without the range.

    >>> told_briefly(np.ones((4, 4))), told_briefly(np.ones(2))
    ('4\N{MULTIPLICATION SIGN}4, norm 4', '[1 1]')
    """
    lines = told(array)
    return ", ".join([lines[0], *lines[2:]])


def _listed(array: np.ndarray, digits: int = 5) -> str:
    if array.ndim == 0:
        return _number(array.item(), digits)
    return "[" + " ".join(_listed(part, 4) for part in array) + "]"


def _number(value: object, digits: int = 5) -> str:
    """So many digits; -0 is 0."""
    if not isinstance(value, float | complex | np.floating | np.complexfloating):
        return str(value)
    return f"{value + 0:.{digits}g}"
