"""Many small checks as one test: thousands of tests would cost more than what they check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

Groups = Mapping[str, Mapping[str, tuple[Any, ...]]]


def one_test_each(groups: Groups) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a check of one item into a test for every group, which goes through all items and names those that fail.

    ``groups`` holds, by the name of the group and the name of the item, the arguments of the check.
    """

    def wrap(check: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("items", list(groups.values()), ids=list(groups))
        def test(items: Mapping[str, tuple[Any, ...]]) -> None:
            faults = []
            for name, arguments in items.items():
                try:
                    check(*arguments)
                except pytest.skip.Exception:
                    raise AssertionError(f"item {name} asks to be skipped, which would skip all after it") from None
                except (Exception, pytest.fail.Exception) as fault:
                    fault.add_note(f"item: {name}")
                    faults.append(fault)
            if len(faults) == 1:
                raise faults[0]
            if faults:
                raise BaseExceptionGroup(f"{len(faults)} of {len(items)} items fail", faults)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return wrap


def by_primitive(cases: Iterable[Any], **choices: Any) -> Groups:
    """Cases, or cases with one of ``choices`` each, by the name of their primitive; each has a name of its own."""
    groups: dict[str, dict[str, tuple[Any, ...]]] = {}
    for case in cases:
        group = groups.setdefault(case.primitive.name, {})
        own = {f"{case.label} {name}": (case, choice) for name, choice in choices.items()} or {case.label: (case,)}
        if not own.keys().isdisjoint(group):
            raise ValueError(f"two cases are called {case.label}, and one would go untested")
        group |= own
    return groups
