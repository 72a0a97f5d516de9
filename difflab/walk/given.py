"""Values of variables, as they are given on a command line."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, did_you_mean
from .expression import CONSTANTS, parse

SHOWN = 60
"""Characters of a value that a message repeats."""


def read_values(pairs: Sequence[str], names: Sequence[str]) -> list[Any]:
    """Values of the variables.

    Args:
        pairs: texts such as ``x1=2``, ``x2=pi/2`` or ``x=[1, 2, 3]``.
        names: the variables that need one.

    Returns:
        One float or float64 array per name, in the order of ``names``.

    Raises:
        InputError: a value that cannot be read, is missing, or belongs to no variable.

    Example:
        >>> read_values(["x2=-5", "x1=1/2"], ["x1", "x2"])
        [0.5, -5.0]
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        name = spelt_alike(name)
        if not sign or not name.isidentifier():
            raise InputError(f"{pair!r} is no value; write NAME=NUMBER, such as {names[0] if names else 'x'}=2")
        if name in found:
            raise InputError(f"{name} has two values; give it one")
        if name not in names:
            own = "is a number of its own and no variable" if name in CONSTANTS else "does not occur in the expression"
            raise InputError(f"{name} {own}{f' {did_you_mean(name, list(names))}' if names else ''}")
        found[name] = _read_value(name, text)
    missing = [name for name in names if name not in found]
    if missing:
        example = " ".join(f"{name}=1" for name in missing)
        raise InputError(f"no value for {', '.join(missing)}; add {example}, for example")
    return [found[name] for name in names]


def spelt_alike(name: str) -> str:
    """A name as Python reads it: signs that look alike, such as the micro sign and the letter mu, are one.

    Args:
        name: as it was typed.

    Returns:
        Its Unicode normal form NFKC.

    Example:
        >>> spelt_alike("\N{MICRO SIGN}") == "\N{GREEK SMALL LETTER MU}"
        True
    """
    return unicodedata.normalize("NFKC", name)


def _read_value(name: str, text: str) -> Any:
    if text.startswith("["):
        try:
            found = json.loads(text)
            array = np.array(found, dtype=np.float64) if all(map(_is_number, _leaves(found))) else None
        except (ValueError, TypeError, OverflowError, RecursionError):
            array = None
        if array is None:
            shown = text if len(text) < SHOWN else f"{text[:SHOWN]}..."
            raise InputError(f"{name}={shown} is no list of finite numbers; write {name}=[1, 2, 3]")
        return array
    try:
        value = parse(text)
        if value.names:
            raise InputError(f"{value.names[0]!r} has no value here")
        return float(value.function())
    except InputError as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{name}={text} is no number: {why}; write {name}=2 or {name}=[1, 2, 3]") from None


def _leaves(found: Any) -> Iterator[Any]:
    if not isinstance(found, list):
        yield found
        return
    for part in found:
        yield from _leaves(part)


def _is_number(value: Any) -> bool:
    """Of JSON: neither text, true, false nor null, and not one of the NaN and Infinity that Python lets pass."""
    return type(value) in (int, float) and math.isfinite(value)
