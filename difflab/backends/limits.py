"""Bounds that no perturbed point may leave: as options, and as room around a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import namespace, placed, to_host
from ..containers import flatten, paths
from ..errors import InputError, UnsupportedError
from ..primitives.record import Aval
from ..transforms.coordinates import Coordinates

NO_BOUNDS = "the bounds are None or a pair (lower, upper) of numbers or of containers like the differentiated argument"


def check_bounds(bounds: Any) -> tuple[Any, Any] | None:
    """Bounds as an option: a pair whose lower one is below its upper one, where both are numbers.

    Args:
        bounds: ``None`` or a pair of numbers, arrays or containers.

    Returns:
        The pair as a tuple, or ``None``.

    Raises:
        InputError: it is something else.

    Example:
        >>> check_bounds([0, 1.0])
        (0, 1.0)
    """
    if bounds is None:
        return None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise InputError(f"Finite(bounds={bounds!r}): {NO_BOUNDS}")
    leaves = [[_numbers(leaf, bounds) for leaf in flatten(side)[0]] for side in bounds]
    if len(leaves[0]) == len(leaves[1]):
        for lower, upper in zip(*leaves, strict=True):
            try:
                below = np.all(lower < upper)
            except ValueError:
                raise InputError(f"Finite(bounds={bounds!r}): {NO_BOUNDS}") from None
            if not below:
                raise InputError(f"Finite(bounds={bounds!r}): each lower bound is a number below its upper bound")
    return bounds[0], bounds[1]


def _numbers(leaf: Any, bounds: Any) -> np.ndarray:
    array = to_host(leaf)
    if array.dtype.kind not in "iuf":
        raise InputError(f"Finite(bounds={bounds!r}): {NO_BOUNDS}")
    return array


class Limits:
    """Bounds of the coordinates of some arrays, in their dtypes and rounded towards the inside.

    Args:
        bounds: the pair of an option.
        variables: shapes and dtypes of the arrays.
        names: how messages call them.
        places: where they lie in their container, as ``containers.paths`` says.
        device: where the coordinates will be: "cpu" or "gpu".

    Raises:
        InputError: the bounds do not have their structure or shapes.
        UnsupportedError: an array is complex.
    """

    def __init__(
        self,
        bounds: tuple[Any, Any],
        variables: Sequence[Aval],
        names: Sequence[str],
        places: Sequence[str] | None = None,
        device: str = "cpu",
    ):
        self._names = names
        self._wanted = places
        coordinates = Coordinates(variables, imaginary=True)
        for variable, name in zip(variables, names, strict=True):
            if variable.dtype.kind == "c":
                raise UnsupportedError(f"backend 'finite' has bounds for real variables only, and {name} is complex")
        self._places = coordinates.places
        self._lower, self._upper = (
            coordinates.flat([self._spread(leaf, v) for leaf, v in zip(self._side(side), variables, strict=True)])
            for side in bounds
        )
        for array, towards in ((self._lower, np.inf), (self._upper, -np.inf)):
            for position, group in enumerate(coordinates.groups):
                array[position] = placed(_inwards(array[position], group.dtype, towards), device)

    def _side(self, side: Any) -> list[Any]:
        """One bound per array: a number is the same for all."""
        leaves, structure = flatten(side)
        leaves = [to_host(leaf) for leaf in leaves]
        if len(leaves) == 1 and np.ndim(leaves[0]) == 0:
            return leaves * len(self._names)
        if len(leaves) != len(self._names):
            raise InputError(
                f"Finite(bounds=...): the bounds hold {len(leaves)} arrays and the differentiated argument has "
                f"{len(self._names)}; {NO_BOUNDS}"
            )
        for found, wanted in zip(paths(structure, ""), self._wanted or (), strict=False):
            if found != wanted and len(leaves) > 1:
                raise InputError(
                    f"Finite(bounds=...): the bounds have a place {found} where the differentiated argument has "
                    f"{wanted}; {NO_BOUNDS}"
                )
        return leaves

    @staticmethod
    def _spread(leaf: Any, variable: Aval) -> np.ndarray:
        try:
            return np.broadcast_to(np.asarray(leaf, np.float64), variable.shape)
        except ValueError:
            raise InputError(
                f"Finite(bounds=...): a bound of shape {np.shape(leaf)} does not fit an array of shape {variable.shape}"
            ) from None

    def name(self, group: int, position: int) -> tuple[str, int]:
        """The array in which a coordinate of a group lies, and its place there."""
        for place, name in zip(self._places, self._names, strict=True):
            if place.group == group and place.start <= position < place.stop:
                return name, position - place.start
        raise IndexError(position)

    def no_room(self, group: int, points: int, position: int) -> InputError:
        """The error for a coordinate around which the points of a quotient do not fit."""
        name, place = self.name(group, position)
        lower, upper = (to_host(bound[group])[position] for bound in (self._lower, self._upper))
        return InputError(
            f"Finite(bounds=...): between {lower!s} and {upper!s} there is no room for the {points} points of a "
            f"quotient around coordinate {place} of {name}; widen the bounds or take a smaller step or order"
        )

    @staticmethod
    def no_room_along(points: int) -> InputError:
        """The error for a vector along which the points of a quotient do not fit."""
        return InputError(
            f"Finite(bounds=...): the bounds leave no room for the {points} points of a quotient along the vector; "
            "widen them, or give the vector zeros where its coordinates must not move"
        )

    def room(self, origin: Sequence[np.ndarray], part: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
        """How far the coordinates of each group may go down and up; ``part`` of it where two moves add up.

        Raises:
            InputError: a coordinate is out of bounds already, or is no number.
        """
        found = []
        for group, (x, lower, upper) in enumerate(zip(origin, self._lower, self._upper, strict=True)):
            inside = (lower <= x) & (x <= upper)
            if not inside.all():
                at = int(to_host(inside).argmin())
                name, position = self.name(group, at)
                value, low, high = (to_host(one)[at] for one in (x, lower, upper))
                raise InputError(
                    f"Finite(bounds=...): coordinate {position} of {name} is {value!s}, which is not between its "
                    f"bounds {low!s} and {high!s}"
                )
            found.append((part * (x - lower).astype(np.float64), part * (upper - x).astype(np.float64)))
        return found

    def inside(self, group: int, where: Any, places: Any) -> Any:
        """Places of coordinates of a group; those that rounding put past a bound are on it."""
        return namespace(places).clip(places, self._lower[group][where], self._upper[group][where])

    def ways(self, rooms: Sequence[tuple[Any, Any]], tangents: Sequence[np.ndarray]) -> tuple[float, float]:
        """How often the tangent may be taken backwards and forwards from a point with that room."""
        back, ahead = np.inf, np.inf
        for (below, above), tangent in zip(rooms, tangents, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.abs(tangent).astype(np.float64)
                down, up = (np.where(size > 0, room / size, np.inf) for room in (below, above))
            back = min(back, smallest(np.where(tangent > 0, down, up)))
            ahead = min(ahead, smallest(np.where(tangent > 0, up, down)))
        return back, ahead


def smallest(values: Any) -> float:
    """The least of some numbers; infinity of none."""
    return float(values.min()) if values.size else np.inf


def _inwards(bound: np.ndarray, dtype: np.dtype, towards: float) -> np.ndarray:
    """A bound in another dtype, moved to the inside where rounding moved it to the outside."""
    with np.errstate(over="ignore"):
        rounded = bound.astype(dtype)
    outside = rounded < bound if towards > 0 else rounded > bound
    return np.where(outside, np.nextafter(rounded, dtype.type(towards)), rounded)
