"""Checks that share a test: every item is tried, and those that fail are named."""

from __future__ import annotations

import pytest
from grouped import one_test_each


@one_test_each({"above": {"one": (1,), "two": (2,)}})
def test_positive(number: int) -> None:
    assert number > 0


def test_every_item_is_tried_and_those_that_fail_are_named() -> None:
    with pytest.raises(ExceptionGroup, match="2 of 3 items fail") as told:
        test_positive({"good": (1,), "bad": (0,), "worse": (-1,)})
    assert [fault.__notes__ for fault in told.value.exceptions] == [["item: bad"], ["item: worse"]]


def test_one_fault_alone_is_raised_as_it_is() -> None:
    with pytest.raises(AssertionError, match="0 > 0") as told:
        test_positive({"good": (1,), "bad": (0,)})
    assert told.value.__notes__ == ["item: bad"]
