"""Slips that show in one block by itself: zeros, a constant factor, axes exchanged or reversed, blocks exchanged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from .answer import listed
from .case import Case, Explanation, largest, ratio
from .constants import Constants, round_off, shown
from .record import Finding

# Axes of arrays with more of them are not permuted in all ways.
MOST_AXES = 4
# Longer vectors are not shifted by all distances.
MOST_SHIFTS = 2000


def zeros(case: Case) -> list[Explanation]:
    """Blocks that are zero where the truth is not."""
    found = [
        k
        for k in case.left()
        if k in case.shaped and all(largest(point.given[k]) == 0.0 for point in case.points)
    ]  # fmt: skip
    if not found:
        return []
    who, singular = case.subject(found)
    what = "is all zeros" if singular else "are all zeros"
    sentence = f"{who} {what}: forgotten, or cut off on the way back from the loss."
    return [Explanation(Finding("zeros", sentence, listed(_names(case, found)), 0.0), frozenset(found))]


def constant_factors(case: Case, constants: Constants) -> list[Explanation]:
    """Blocks that are a constant times the truth, those with one constant together."""
    groups: list[tuple[float, list[int]]] = []
    for k in case.left():
        first = case.points[0]
        if k not in case.shaped or (factor := ratio(first.given[k], first.true[k])) is None or factor == 0.0:
            continue
        if not case.telling(k, round_off(factor)):
            continue
        if not case.confirmed(k, lambda point, k=k, c=factor: c * point.true[k]):
            continue
        for known, blocks in groups:
            if abs(known - factor) <= case.slack[k] * abs(factor):
                blocks.append(k)
                break
        else:
            groups.append((factor, [k]))
    return [_factor(case, constants, factor, blocks) for factor, blocks in groups]


def _factor(case: Case, constants: Constants, factor: float, blocks: list[int]) -> Explanation:
    names = constants.named(factor, max(case.slack[k] for k in blocks))
    who, singular = case.subject(blocks)
    if abs(factor + 1) <= 1e-6:
        what = f"{who} {'has' if singular else 'have'} the wrong sign (factor -1)."
    else:
        reading = f": {'; or '.join(names)}" if names else ", the same in every entry"
        what = f"{who} {'is' if singular else 'are'} {shown(factor)} times the true gradient{reading}."
    finding = Finding("factor", what, listed(_names(case, blocks)), round_off(factor))
    return Explanation(finding, frozenset(blocks), 1 if names or abs(factor + 1) <= 1e-6 else 3)


def _names(case: Case, blocks: list[int]) -> list[str]:
    return [case.names[k] for k in blocks]


# ---------------------------------------------------------------------------- axes


def moves(case: Case, constants: Constants) -> list[Explanation]:
    """Blocks whose entries are right and in other places, perhaps times a constant."""
    found = []
    for k in case.left():
        true, given = case.points[0].true[k], case.points[0].given[k]
        if not true.size or true.size != given.size or largest(given) == 0.0:
            continue
        for kind, words, move in _moves(true.shape, given.shape):
            factor = ratio(given, move(true))
            if factor is None or not case.confirmed(k, lambda point, k=k, c=factor, m=move: c * m(point.true[k])):
                continue
            sentence = f"{case.names[k]} is right but for {words}"
            if abs(factor - 1) > case.slack[k]:
                names = constants.named(factor, case.slack[k])
                wrong = "the wrong sign" if abs(factor + 1) <= 1e-6 else f"a factor {shown(factor)}"
                sentence += f" and {wrong}" + (f" ({names[0]})" if names and abs(factor + 1) > 1e-6 else "")
            finding = Finding(kind, f"{sentence}.", case.names[k], round_off(factor))
            found.append(Explanation(finding, frozenset([k]), 1))
            break
    return found


Move = tuple[str, str, Callable[[np.ndarray], np.ndarray]]


def _moves(true: tuple[int, ...], given: tuple[int, ...]) -> Iterator[Move]:
    """Ways to move the entries of an array of shape ``true`` into one of shape ``given``."""
    axes = range(len(true))
    orders = list(itertools.permutations(axes)) if 1 < len(true) <= MOST_AXES else []
    for order in orders[1:]:
        if tuple(true[axis] for axis in order) == given:
            words = "a missing transpose" if len(true) == 2 else f"the order of its axes, which is {order}"
            yield "transpose", words, lambda a, order=order: np.transpose(a, order)
    if true == given:
        yield "conjugate", "its conjugate: for a real loss the gradient is df/dRe - i df/dIm", np.conj
        for count in (1, 2, 3):
            for some in itertools.combinations(axes, count):
                what = f"axis {some[0]}, which is" if count == 1 else f"axes {listed([*map(str, some)])}, which are"
                yield "flip", f"{what} reversed", lambda a, some=some: np.flip(a, some)
        for axis in axes:
            for step in (1, -1):
                if true[axis] > 2:
                    words = f"a shift by one along axis {axis} (an index off by one)"
                    yield "shift", words, lambda a, step=step, axis=axis: np.roll(a, step, axis)
        for step in range(2, true[0] - 1 if len(true) == 1 and true[0] <= MOST_SHIFTS else 0):
            words = f"the order of its parts: its last {step} entries come first"
            yield "shift", words, lambda a, step=step: np.roll(a, step)
    else:
        yield "shape", f"its shape: reshape it to {true}", lambda a: np.reshape(a, given)
    for order in orders[1:]:
        if len(order) == 2 or true != given:
            words = "the order in which its entries were reshaped (a transpose is missing before the reshape)"
            yield "transpose", words, lambda a, order=order: np.reshape(np.transpose(a, order), given)


def sums(case: Case) -> list[Explanation]:
    """Blocks that are not summed over an axis along which their variable was broadcast, or summed over one too many."""
    found = []
    for k in case.left():
        for sentence, holds in (*_unsummed(case, k), *_oversummed(case, k)):
            if all(holds(point.given[k], point.true[k]) for point in case.points):
                found.append(Explanation(Finding("shape", sentence, case.names[k]), frozenset([k]), 1))
                break
    return found


Reading = tuple[str, Callable[[np.ndarray, np.ndarray], bool]]


def _subsets(axes: int) -> Iterator[tuple[int, ...]]:
    for count in range(1, axes + 1 if axes <= MOST_AXES else 0):
        yield from itertools.combinations(range(axes), count)


def _over(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {listed([*map(str, axes)])}"


def _unsummed(case: Case, k: int) -> Iterator[Reading]:
    """Of more axes, or longer ones, than the variable has."""
    true, given = case.points[0].true[k].shape, case.points[0].given[k].shape
    for axes in _subsets(len(given)):
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(given))
        rest = tuple(size for axis, size in enumerate(given) if axis not in axes)
        if true == given or true not in (kept, rest) or np.prod(given) == np.prod(true):
            continue
        for name, reduce in (("sum", np.sum), ("mean", np.mean)):
            sentence = (
                f"{case.names[k]} of shape {given} is not summed over {_over(axes)}, along which its variable of shape "
                f"{true} was broadcast; its {name} over {_over(axes)} is right."
            )
            yield (
                sentence,
                lambda given, true, reduce=reduce, axes=axes: case.near(
                    k, np.reshape(reduce(given, axis=axes), true.shape), true
                ),
            )


def _oversummed(case: Case, k: int) -> Iterator[Reading]:
    """One number in place of a row, or the same in every row."""
    true, given = case.points[0].true[k].shape, case.points[0].given[k].shape
    for axes in _subsets(len(true)):
        if np.prod([true[axis] for axis in axes]) < 2:
            continue
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(true))
        rest = tuple(size for axis, size in enumerate(true) if axis not in axes)
        if given not in (kept, rest, true):
            continue
        for name, reduce in (("summed", np.sum), ("averaged", np.mean)):
            sentence = f"{case.names[k]} is {name} over {_over(axes)}, which its variable of shape {true} has."

            def holds(given: np.ndarray, true: np.ndarray, reduce=reduce, axes=axes) -> bool:
                reduced = reduce(true, axis=axes, keepdims=True)
                if given.shape == true.shape:
                    return case.near(k, given, np.broadcast_to(reduced, true.shape))
                return case.near(k, np.reshape(given, reduced.shape), reduced)

            yield sentence, holds


# ---------------------------------------------------------------------------- blocks


def exchanged(case: Case) -> list[Explanation]:
    """Blocks that hold the gradient of another block."""
    holds: dict[int, int] = {}
    for k in case.left():
        for other in range(len(case.names)):
            if other != k and case.confirmed(k, lambda point, other=other: point.true[other]):
                holds[k] = other
                break
    found, done = [], set()
    for k, other in holds.items():
        if k in done:
            continue
        if holds.get(other) == k:
            done |= {k, other}
            sentence = f"The gradients of {case.names[k]} and {case.names[other]} are exchanged."
            block = listed(_names(case, [k, other]))
            found.append(Explanation(Finding("exchange", sentence, block), frozenset([k, other])))
        else:
            done.add(k)
            sentence = f"{case.names[k]} is given the gradient of {case.names[other]}."
            found.append(Explanation(Finding("exchange", sentence, case.names[k]), frozenset([k])))
    return found


# ---------------------------------------------------------------------------- parts


def parts(case: Case, constants: Constants) -> list[Explanation]:
    """Blocks of which only some rows, columns, entries or the border are wrong."""
    found = []
    for k in case.left():
        first = case.points[0]
        if k not in case.shaped or not first.true[k].shape:
            continue
        scale = max(largest(first.true[k]), largest(first.given[k]))
        wrong = np.abs(first.given[k] - first.true[k]) > case.slack[k] * scale + case.floor[k]
        words = _pattern(wrong)
        if words is None:
            continue
        factor = ratio(first.given[k][wrong], first.true[k][wrong])
        sentence, covers = f"Of {case.names[k]} only {words}", frozenset()
        if factor is not None and case.confirmed(
            k, lambda point, k=k, c=factor, wrong=wrong: np.where(wrong, c * point.true[k], point.true[k])
        ):
            names = constants.named(factor, case.slack[k])
            covers = frozenset([k])
            if abs(factor) <= case.slack[k]:
                factor, how = 0.0, "zero there"
            elif abs(factor + 1) <= 1e-6:
                how = "of the wrong sign there (factor -1)"
            else:
                how = f"{shown(factor)} times the truth there" + (f": {names[0]}" if names else "")
            sentence += f"; {'it is' if words.endswith('is wrong') else 'they are'} {how}"
        else:
            factor = None
            scales = [max(largest(point.true[k]), largest(point.given[k])) for point in case.points]
            same = all(
                np.array_equal(
                    np.abs(point.given[k] - point.true[k]) > case.slack[k] * scale + case.floor[k], wrong
                )
                for point, scale in zip(case.points, scales, strict=True)
            )  # fmt: skip
            if not same:
                continue
        found.append(Explanation(Finding("part", f"{sentence}.", case.names[k], factor), covers, 2))
    return found


def _pattern(wrong: np.ndarray) -> str | None:
    """Which entries are wrong, in words, if that is a pattern and not all of them."""
    if wrong.all() or not wrong.any():
        return None
    if np.count_nonzero(wrong) == 1:
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"the entry [{', '.join(map(str, index))}] is wrong"
    words = {(2, 0): ("row", "rows"), (2, 1): ("column", "columns"), (1, 0): ("entry", "entries")}
    for axis in range(wrong.ndim):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        lines = np.any(wrong, axis=others)
        count = int(np.count_nonzero(lines))
        if np.array_equal(np.all(wrong, axis=others), lines) and count <= max(1, wrong.shape[axis] // 2):
            one, many = words.get((wrong.ndim, axis), (f"index of axis {axis},", f"indices of axis {axis},"))
            numbers = [str(int(i)) for i in np.flatnonzero(lines)]
            return f"{one} {numbers[0]} is wrong" if count == 1 else f"{many} {listed(numbers)} are wrong"
    for words_of, mask in _masks(wrong.shape):
        if np.array_equal(mask, wrong):
            return f"{words_of} is wrong"
        if np.array_equal(~mask, wrong):
            return f"what is not {words_of} is wrong"
    return None


def _masks(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    inner = np.zeros(shape, bool)
    inner[tuple(slice(1, -1) for _ in shape)] = True
    yield "the border", ~inner
    for axis, size in enumerate(shape):
        edge = np.zeros(shape, bool)
        edge[tuple(slice(None) if i != axis else [0, size - 1] for i in range(len(shape)))] = True
        yield f"the border along axis {axis}", edge
    if len(shape) == 2 and min(shape) > 1:
        yield "the diagonal", np.eye(*shape, dtype=bool)
        yield "the upper triangle", ~np.tri(*shape, dtype=bool)
        yield "the lower triangle", np.tri(*shape, k=-1, dtype=bool)
