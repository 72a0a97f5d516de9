"""Taking apart what a hand-written gradient returned: value, gradient, layers; faults of form are findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..calls import Bound
from ..containers import flatten, paths
from .record import Finding


@dataclass
class Answer:
    """What was returned, block by block: ``None`` where there is nothing to compare.

    ``spoiled``: whether something is wrong with its form that makes the gradient wrong.
    """

    blocks: list[np.ndarray | None]
    findings: list[Finding] = field(default_factory=list)
    value: Any = None
    layers: Any = None
    spoiled: bool = False

    def note(self, kind: str, sentence: str, block: str = "", *, fatal: bool = True) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, sentence if sentence.endswith("?") else f"{sentence}.", block))
        self.spoiled |= fatal


def take_apart(given: Any, bound: Bound, names: Sequence[str], roots: Sequence[str], value: float) -> Answer:
    """The parts of an answer.

    ``given`` is a gradient, ``(value, gradient)`` or ``(value, gradient, layers)``; what has the gradient's own
    structure is the gradient, and otherwise a first part of shape () is the value.
    """
    answer = Answer([None] * len(names))
    if (
        isinstance(given, tuple) and len(given) in (2, 3)
        and not _has_structure(given, bound, roots) and not _is_one_array(given, bound)
    ):  # fmt: skip
        first, second = _number(given[0]), _number(given[1])
        if first is not None and (
            _has_structure(given[1], bound, roots) or _near(first, value) or len(bound.targets) == 1
        ):
            answer.value = first[()]
            answer.layers = given[2] if len(given) == 3 else None
            given = given[1]
        elif len(given) == 2 and second is not None and _has_structure(given[0], bound, roots):
            answer.note("structure", "It returned (gradient, value); the order is (value, gradient)")
            given = given[0]
    _fill(answer, given, bound, names, roots)
    return answer


def _number(part: Any) -> np.ndarray | None:
    """A number as an array of shape (), or ``None``."""
    array = np.asarray(part) if isinstance(part, int | float | complex | np.generic | np.ndarray) else None
    return array if array is not None and array.shape == () and array.dtype.kind in "fciu" else None


def _is_one_array(given: tuple, bound: Bound) -> bool:
    """Whether a tuple of numbers stands for the one array that is differentiated."""
    array = _array(given) if len(bound.wrt) == 1 else None
    return array is not None and array.shape == bound.avals[bound.wrt[0]].shape


def _near(first: Any, value: float) -> bool:
    return bool(abs(first - value) <= 1e-3 * abs(value))


def _named(given: Any, bound: Bound, roots: Sequence[str]) -> dict[str, Any] | None:
    """Leaves by path, or ``None`` if there is not one tree per differentiated argument."""
    trees = (given,) if bound.single else given
    if not isinstance(trees, tuple | list) or len(trees) != len(roots):
        return None
    found: dict[str, Any] = {}
    for tree, root in zip(trees, roots, strict=True):
        leaves, structure = flatten(tree)
        found.update(zip(paths(structure, root), leaves, strict=True))
    return found


def _expected(bound: Bound, roots: Sequence[str]) -> list[str]:
    return [path for target, root in zip(bound.targets, roots, strict=True) for path in paths(target, root)]


def _has_structure(given: Any, bound: Bound, roots: Sequence[str]) -> bool:
    found = _named(given, bound, roots)
    return found is not None and list(found) == _expected(bound, roots)


def _fill(answer: Answer, given: Any, bound: Bound, names: Sequence[str], roots: Sequence[str]) -> None:
    found = _named(given, bound, roots)
    if found is None:
        answer.note(
            "structure",
            f"A tuple of {len(roots)} gradients is expected, one for "
            f"each of {listed(roots)}, and {_kind(given)} was returned",
        )
        return
    expected = _expected(bound, roots)
    if given is None:
        answer.note("structure", "It returned nothing (None): did you forget to return it?")
        return
    if set(found).isdisjoint(expected):
        trees = (given,) if bound.single else given
        # A list or tuple of numbers can stand for an array.
        found = {path: tree for path, tree in zip(expected, trees, strict=False) if len(expected) == len(trees)}
        if not found or any(_array(one) is None for one in found.values()):
            answer.note(
                "structure",
                f"The gradient is expected in the structure of {listed(roots)}, with {listed(expected)}, and "
                f"{_kind(given)} was returned",
            )
            return
    if missing := [path for path in expected if path not in found]:
        answer.note("structure", f"The gradient has no entry for {listed(missing)}", listed(missing))
    if extra := [path for path in found if path not in expected]:
        answer.note("structure", f"The gradient has entries that the parameters do not have: {listed(extra)}")
    other: dict[tuple[np.dtype, np.dtype], list[str]] = {}
    for k, (path, position) in enumerate(zip(expected, bound.wrt, strict=True)):
        if path not in found:
            continue
        part = answer.blocks[k] = _block(answer, found[path], names[k], bound.avals[position])
        if part is None:
            continue
        # A list of whole numbers is no array of integers.
        whole = isinstance(found[path], np.ndarray) and found[path].dtype.kind in "iub"
        dtype = found[path].dtype if whole else part.dtype
        if dtype != bound.avals[position].dtype:
            other.setdefault((dtype, bound.avals[position].dtype), []).append(names[k])
    for (dtype, wanted), who in other.items():
        verb, whose = ("is", "its variable is") if len(who) == 1 else ("are", "their variables are")
        answer.note("dtype", f"{listed(who)} {verb} {dtype} and {whose} {wanted}", listed(who), fatal=False)


def _block(answer: Answer, part: Any, name: str, aval: Any) -> np.ndarray | None:
    """One block as an array of floating numbers; what is wrong with its form is noted."""
    array = _array(part)
    if array is None:
        answer.note("structure", f"{name} is expected to be an array of {aval.dtype}, and is {_kind(part)}", name)
        return None
    if array.dtype.kind == "c" and aval.dtype.kind == "f":
        if np.any(np.imag(array)):
            answer.note(
                "dtype", f"{name} is {array.dtype} with imaginary parts, and its variable is {aval.dtype}", name
            )
        array = np.real(array)
    if array.shape != aval.shape:
        answer.note("shape", f"{name} has shape {array.shape} and is expected in shape {aval.shape}", name)
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        what = "NaN" if np.isnan(array).any() else "infinite"
        where = entry(name, tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0]))
        answer.note("not-finite", f"{bad} of {array.size} entries of {name} are {what}, first {where}", name)
    return array


def _array(part: Any) -> np.ndarray | None:
    """A copy as an array of numbers, or ``None``."""
    try:
        array = np.array(part)
    except (TypeError, ValueError):  # rows of different lengths
        return None
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    return array if array.dtype.kind in "fc" else None


def entry(name: str, index: tuple[int, ...]) -> str:
    """``params['w1'][3, 2]``; of a number its own name."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a row."""
    shown = list(names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    if len(shown) > 1 and not more:
        return ", ".join(shown[:-1]) + f" and {shown[-1]}"
    return ", ".join(shown) + more


def _kind(given: Any) -> str:
    if given is None:
        return "None"
    if isinstance(given, np.ndarray):
        return f"an array of {given.dtype} of shape {given.shape}"
    if isinstance(given, tuple | list):
        return f"a {type(given).__name__} of {len(given)}"
    if isinstance(given, dict) and given:
        return f"a dict with {listed([repr(key) for key in given])}"
    return f"a {type(given).__name__}"
