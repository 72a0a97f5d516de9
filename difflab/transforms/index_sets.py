"""A table of sets of coordinates in which every set exists once, so that arrays of sets are arrays of numbers.

Set number 0 is empty, and numbers 1 to ``count`` are the single coordinates.  Unions are made of many sets at once:
their runs of entries are laid one after the other and sorted.  A set that the table holds already keeps its number:
it is found by a hash (Carter and Wegman, 1979: the sum of random words, one per coordinate) and compared entry by
entry, so that no accident of hashing can take one set for another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .runs import Grown, equal_runs, runs, thin

ENTRIES = 1 << 25
"""Entries of all sets together, 128 MB: with more of them a sparse matrix is no small thing any more."""
CHUNK = 1 << 20
"""Entries that one step of a union sorts, so that its work space stays near 50 MB."""
WORK = 8 * ENTRIES
"""Entries that one union may read: a second or two."""
NUMBER = np.int32


class FullError(Exception):
    """The sets of a union do not fit into the table; whoever asked takes one larger set instead of them."""


class IndexSets:
    """Sets of the coordinates ``0 ... count - 1``.

    Args:
        count: coordinates.
        limit: entries that all sets may have together.

    Example:
        >>> table = IndexSets(3)
        >>> union = table.along(np.array([[1, 2], [2, 1], [3, 0]]), (1,))
        >>> union.tolist(), table.members(union[0]).tolist()
        ([4, 4, 3], [0, 1])
    """

    def __init__(self, count: int, limit: int = ENTRIES):
        self.count = count
        self.limit = max(limit, count)
        self.notes: list[str] = []
        self.settle = False  # take larger sets of elements rather than say that those asked for do not fit
        # Any fixed words do: what they give is checked.
        self._words = np.random.default_rng(count).integers(0, 2**64, size=count, dtype=np.uint64)
        self._indptr = Grown(np.concatenate([[0], np.arange(count + 1)]))
        self._entries = Grown(np.arange(count, dtype=NUMBER))
        # Hashes of the sets of several coordinates, sorted, and their numbers; no union is a single coordinate.
        self._known: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return self._indptr.size - 1

    @property
    def size(self) -> int:
        """Entries of all sets together."""
        return self._entries.size

    def note(self, reason: str) -> None:
        """Say that more was taken than needed, and why."""
        self.notes.append(reason)

    def members(self, number: int) -> np.ndarray:
        """The coordinates of one set, sorted."""
        start, stop = self._indptr.array[[number, number + 1]]
        return self._entries.array[start:stop]

    def lengths(self, ids: np.ndarray) -> np.ndarray:
        """How many coordinates each set has."""
        indptr = self._indptr.array
        return indptr[ids + 1] - indptr[ids]

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sets of a list of numbers as ``(indptr, indices)``."""
        lengths = self.lengths(ids)
        indptr = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        return indptr, self._entries.array[runs(self._indptr.array[ids], lengths)]

    # -------------------------------------------------------------------------------- unions

    def elementwise(self, *ids: np.ndarray) -> np.ndarray:
        """Unions of arrays of sets, element by element, broadcast."""
        total = ids[0]
        for other in ids[1:]:
            total = self._both(total, other)
        return total

    def _both(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        shape, (a, b) = thin(a, b)
        result = np.where(a == 0, b, a)
        apart = (a != b) & (a != 0) & (b != 0)
        if apart.any():
            first, second = a[apart].astype(np.int64), b[apart].astype(np.int64)
            keys = np.minimum(first, second) * len(self) + np.maximum(first, second)
            keys, inverse = np.unique(keys, return_inverse=True)
            members = np.stack([keys // len(self), keys % len(self)], axis=1).ravel()
            result[apart] = self._unions(2 * np.arange(len(keys) + 1), members)[inverse]
        return np.broadcast_to(result, shape)

    def along(self, ids: np.ndarray, axes: Sequence[int], keep: bool = False) -> np.ndarray:
        """Unions along axes, which the result no longer has, or has with length 1."""
        axes = tuple(axes)
        kept = [axis for axis in range(ids.ndim) if axis not in axes]
        final = tuple(1 if axis in axes else size for axis, size in enumerate(ids.shape) if keep or axis not in axes)
        if 0 in ids.shape:
            return np.zeros(final, NUMBER)
        (small,) = thin(ids)[1]
        moved = small.transpose(*kept, *axes)
        shape = moved.shape[: len(kept)]
        table = moved.reshape(math.prod(shape), -1)
        if table.shape[1] == 1:
            result = table[:, 0]
        else:
            result = np.empty(len(table), NUMBER)
            step = max(1, CHUNK // table.shape[1])
            for start in range(0, len(table), step):
                part = table[start : start + step]
                groups = np.repeat(np.arange(len(part)), part.shape[1])
                result[start : start + step] = self.grouped(groups, part, len(part))
        result = np.broadcast_to(result.reshape(shape), tuple(ids.shape[axis] for axis in kept))
        return np.expand_dims(result, axes) if keep else result

    def grouped(self, groups: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
        """Union number ``g`` is that of the elements of ``ids`` where ``groups`` is ``g``, for ``g < count``."""
        result = np.zeros(count, NUMBER)
        groups, ids = np.ravel(groups), np.ravel(ids)
        live = ids != 0
        keys = np.unique(groups[live].astype(np.int64) * len(self) + ids[live])
        groups, members = keys // len(self), keys % len(self)
        sizes = np.bincount(groups, minlength=count)
        single = sizes[groups] == 1
        result[groups[single]] = members[single]
        several = np.flatnonzero(sizes > 1)
        if len(several):
            indptr = np.concatenate([[0], np.cumsum(sizes[several])])
            result[several] = self._unions(indptr, members[~single])
        return result

    def running(self, ids: np.ndarray, axis: int, reverse: bool = False) -> np.ndarray:
        """Unions of each element with all before it along an axis, or with all after it (Hillis and Steele, 1986)."""
        ids = np.moveaxis(ids, axis, 0)
        total = np.array(ids[::-1] if reverse else ids)
        step = 1
        try:
            while step < len(total):
                total[step:] = self._both(total[step:], total[:-step].copy())
                step *= 2
        except FullError:
            if not self.settle:
                raise
            self.note("all that comes before each element is too much to keep apart")
            total = np.broadcast_to(self.along(ids, (0,), keep=True), ids.shape)
        return np.moveaxis(total[::-1] if reverse else total, 0, axis)

    def everything(self, *ids: np.ndarray) -> int:
        """The number of the union of all elements of arrays, which always fits."""
        used = np.zeros(len(self), bool)
        for array in ids:
            used[thin(array)[1][0]] = True
        used[0] = False
        numbers = np.flatnonzero(used)
        if len(numbers) < 2:
            return int(numbers[0]) if len(numbers) else 0
        entries = self._covered(numbers)
        return int(self._intern(np.array([0, len(entries)]), entries, math.inf)[0])

    # -------------------------------------------------------------------------------- how

    def _parts(self, lengths: np.ndarray) -> Iterator[slice]:
        """Consecutive items, cut so that each part has about ``CHUNK`` entries."""
        ends = np.cumsum(lengths)
        start = 0
        while start < len(ends):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, "right")))
            yield slice(start, stop)
            start = stop

    def _covered(self, numbers: np.ndarray) -> np.ndarray:
        """The union of many sets, without sorting."""
        found = np.zeros(self.count, bool)
        for part in self._parts(self.lengths(numbers)):
            found[self.rows(numbers[part])[1]] = True
        return np.flatnonzero(found).astype(NUMBER)

    def _unions(self, indptr: np.ndarray, members: np.ndarray) -> np.ndarray:
        """The union of each group of sets, a group being a run of ``members``, none of it empty."""
        sizes = np.add.reduceat(self.lengths(members), indptr[:-1])
        if int(sizes.sum()) > max(WORK * self.limit // ENTRIES, self.count):
            raise FullError
        result = np.empty(len(sizes), NUMBER)
        for part in self._parts(sizes):
            inside = members[indptr[part.start] : indptr[part.stop]]
            if sizes[part.start] > CHUNK:  # the part is this one group
                entries = self._covered(inside)
                result[part] = self._intern(np.array([0, len(entries)]), entries, self.limit)
                continue
            entries = self.rows(inside)[1]
            bits = self.count.bit_length()
            owners = np.arange(part.stop - part.start + 1, dtype=np.int64) << bits
            owners = owners.astype(np.uint32 if owners[-1] < 1 << 32 else np.int64)
            keys = np.repeat(owners[:-1], sizes[part])
            keys |= entries.astype(keys.dtype)
            keys.sort(kind="stable")  # which makes use of the sorted runs that there are
            keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
            ends = np.searchsorted(keys, owners)
            keys &= owners.dtype.type((1 << bits) - 1)
            result[part] = self._intern(ends, keys.astype(NUMBER), self.limit)
        return result

    def _intern(self, indptr: np.ndarray, entries: np.ndarray, limit: float) -> np.ndarray:
        """The numbers of sorted sets, none of them empty; those that are new are put into the table."""
        hashes = np.add.reduceat(self._words[entries], indptr[:-1])
        hashes, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        starts, lengths = indptr[:-1], np.diff(indptr)
        numbers = self._find(hashes, starts[first], lengths[first], entries)
        new = np.flatnonzero(numbers < 0)
        # Sets of one hash that differ get numbers of their own.
        leader = first[inverse]
        differ = lengths != lengths[leader]
        alike = np.flatnonzero(~differ & (leader != np.arange(len(leader))))
        differ[alike] = ~equal_runs(entries, starts[alike], entries, starts[leader[alike]], lengths[alike])
        others = np.flatnonzero(differ)
        added = np.concatenate([first[new], others])
        if self.size + int(lengths[added].sum()) > limit:
            raise FullError
        fresh = np.arange(len(self), len(self) + len(added), dtype=NUMBER)
        numbers[new] = fresh[: len(new)]
        result = numbers[inverse]
        result[others] = fresh[len(new) :]
        self._indptr.extend(self.size + np.cumsum(lengths[added]))
        self._entries.extend(entries[runs(starts[added], lengths[added])])
        self._remember(hashes[new], fresh[: len(new)])
        return result

    def _find(self, hashes: np.ndarray, starts: np.ndarray, lengths: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """The numbers of the sets in the table, -1 for those that are not there."""
        found = np.full(len(hashes), -1, NUMBER)
        for words, numbers in self._known:
            at = np.minimum(np.searchsorted(words, hashes), len(words) - 1)
            hits = np.flatnonzero((words[at] == hashes) & (found < 0))
            candidates = numbers[at[hits]]
            right = self.lengths(candidates) == lengths[hits]
            hits, candidates = hits[right], candidates[right]
            there = self._indptr.array[candidates]
            right = equal_runs(self._entries.array, there, entries, starts[hits], lengths[hits])
            found[hits[right]] = candidates[right]
        return found

    def _remember(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        """Keep hashes as sorted lists, each at least twice as long as the next, so that there are few of them."""
        while len(hashes) and self._known and len(self._known[-1][0]) < 2 * len(hashes):
            before = self._known.pop()
            hashes, numbers = np.concatenate([before[0], hashes]), np.concatenate([before[1], numbers])
        if len(hashes):
            order = np.argsort(hashes, kind="stable")
            self._known.append((hashes[order], numbers[order]))

    def compact(self, live: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Forget the sets of several coordinates that no array uses, and return the arrays with the new numbers."""
        used = np.arange(len(self)) <= self.count
        thinned = [thin(array)[1][0] for array in live]
        for array in thinned:
            used[array] = True
        kept = np.flatnonzero(used)
        moved = np.zeros(len(self), NUMBER)
        moved[kept] = np.arange(len(kept))
        indptr, entries = self.rows(kept)
        self._indptr, self._entries, self._known = Grown(indptr), Grown(entries), []
        first = self.count + 1
        if len(kept) > first:
            hashes = np.add.reduceat(self._words[entries], indptr[first:-1])
            self._remember(hashes, np.arange(first, len(kept), dtype=NUMBER))
        return [np.broadcast_to(moved[part], array.shape) for part, array in zip(thinned, live, strict=True)]


__all__ = ["ENTRIES", "NUMBER", "FullError", "IndexSets"]
