"""Schedules of checkpoints against the dynamic programme: no schedule with so many states runs fewer steps."""

from __future__ import annotations

from functools import cache

import pytest

from difflab.transforms.forward_part import falling
from difflab.transforms.schedules import Reversal, fewest_advances, first_cuts, most_steps, most_times

STEPS = range(1, 41)
STATES = range(9)


@cache
def least(steps: int, states: int) -> int:
    """Steps forward by trying every first cut: up to it, then both parts, the first with the cut's state free again."""
    if steps <= 1:
        return 0
    if not states:
        return steps * (steps - 1) // 2
    return min(cut + least(steps - cut, states - 1) + least(cut, states) for cut in range(1, steps))


def run(steps: int, states: int) -> tuple[int, list[int], int]:
    """Steps run forward by the schedule in all, how often each did, and how many states were kept at a time."""
    chain = Reversal(steps, states)
    forward = [int(step < steps - 1) for step in range(steps)]
    there = set(chain.kept)
    for step in range(steps - 2, -1, -1):
        start = max(one for one in there if one <= step)
        chain.go_back_to(step)
        assert set(chain.kept) <= {one for one in there if one <= start} | set(range(start, step + 1))
        there = set(chain.kept)
        for one in range(start, step):
            forward[one] += 1
    return sum(forward), forward, chain.most


@pytest.mark.parametrize("states", STATES)
def test_no_schedule_runs_fewer_steps(states: int) -> None:
    for steps in STEPS:
        total, each, most = run(steps, states)
        assert total == fewest_advances(steps, states) == least(steps, states)
        assert max(each) == most_times(steps, states)
        assert most <= min(states, steps - 1)


@pytest.mark.parametrize("states", STATES[1:])
def test_every_first_cut_is_as_good_as_the_best(states: int) -> None:
    for steps in STEPS[1:]:
        for cut in first_cuts(steps, states):
            assert cut + least(steps - cut, states - 1) + least(cut, states) == least(steps, states)


def test_dear_cuts_are_left_alone_where_others_are_as_good() -> None:
    plain = Reversal(12, 3)
    first = plain.kept[1]
    others = [place for place in first_cuts(12, 3) if place != first]
    assert others
    moved = Reversal(12, 3, lambda step: float(step == first))
    assert moved.kept[1] in others


def test_the_numbers_are_binomial() -> None:
    assert [most_steps(1, times) for times in range(-1, 4)] == [0, 1, 3, 6, 10]
    assert [most_times(steps, 1) for steps in (1, 2, 3, 4, 6, 7, 10, 11)] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert fewest_advances(4096, 4095) == 4095
    assert fewest_advances(10**6, 1000) < 3 * 10**6


def test_going_back_in_leaps_keeps_to_the_states() -> None:
    chain = Reversal(50, 3)
    for step in (40, 39, 12, 11, 2, 0):
        chain.go_back_to(step)
        assert chain.kept[-1] <= step
        assert len(chain.kept) <= 4
        assert chain.kept == sorted(set(chain.kept))


@pytest.mark.parametrize(
    ("read", "fronts"),
    [
        ([], []),
        ([5, 4, 4, 1], [5, 4, 4, 1]),
        ([5, 4, 5, 3], [5, 5, 5, 3]),
        ([4, 0, 4, 4, 4, 3, 2], [4, 4, 4, 4, 4, 3, 2]),
    ],
)
def test_what_is_read_out_of_turn_holds_up_little(read: list[int], fronts: list[int]) -> None:
    found = falling(read)
    assert len(found) == len(read)
    assert found == sorted(found, reverse=True)
    if read != [4, 0, 4, 4, 4, 3, 2]:
        assert found == fronts
    else:  # one reading that comes early does not let the others' steps be forgotten
        assert found[-2:] == [3, 2]
        assert all(3 <= one <= 4 for one in found[:5])


def test_one_late_reading_does_not_hold_up_a_long_chain() -> None:
    found = falling([*range(1000, 0, -1), 1000])
    assert found[:900] == list(range(1000, 100, -1))
    assert max(found[-50:]) < 100
