"""How the equation ``lanes`` names the primitive inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..primitives.record import Primitive, find


class Inner(str):
    """The name of a primitive, as it goes into JSON, that holds on to its record: a user's own may have no address."""

    __slots__ = ("record",)
    record: Primitive

    def __new__(cls, record: Primitive) -> Inner:
        """The name of a record."""
        self = super().__new__(cls, record.name)
        self.record = record
        return self

    def __eq__(self, other: object) -> bool:
        return self.record is other.record if isinstance(other, Inner) else str.__eq__(self, other)

    __hash__ = str.__hash__


def record_of(name: str) -> Primitive:
    """The primitive of a name."""
    return name.record if isinstance(name, Inner) else find(name)


def lane_by_lane(primitive: Primitive, params: Mapping[str, Any], flags: tuple[bool, ...], size: int) -> dict[str, Any]:
    """The parameters of ``lanes``; each of the inner ones stands with its text, for 1 is not 1.0 there."""
    spelt = tuple((key, value, repr(value)) for key, value in params.items())
    return {"inner": Inner(primitive), "params": spelt, "flags": flags, "size": size}


def options_of(params: Sequence[tuple[str, Any, str]]) -> dict[str, Any]:
    """The inner parameters again."""
    return {key: value for key, value, _ in params}
