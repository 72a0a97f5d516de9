"""The threads that share blocks: results in order, errors carried, BLAS as it was, several callers, forks."""

from __future__ import annotations

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from difflab import Reverse, prepare
from difflab.execution.threads import Team, in_turn, team

X = np.random.default_rng(3).standard_normal((40, 6))
W = np.random.default_rng(4).standard_normal((6, 5))


def loss(w: Any, x: Any) -> Any:
    return np.mean(np.tanh(x @ w) ** 2)


class Library:
    """Stands for a BLAS whose number of threads can be set."""

    def __init__(self, count: int):
        self.count = count
        self.seen: list[int] = []

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count
        self.seen.append(count)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Team, Library]:
    """A team of its own over a library with four threads."""
    one, library = Team(), Library(4)
    monkeypatch.setattr(one, "_libraries", lambda: [library])
    return one, library


def test_tasks_run_at_once_and_their_results_are_in_order(made: tuple[Team, Library]):
    crew, library = made
    meeting = threading.Barrier(3, timeout=10)

    def task(number: int) -> tuple[int, int]:
        meeting.wait()  # passes only where all three run at once
        return number, library.count

    with crew.together(3) as run:
        assert run([lambda at=at: task(at) for at in range(3)]) == [(0, 1), (1, 1), (2, 1)]
    assert (library.count, library.seen) == (4, [1, 4])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fewer_threads_than_tasks_change_no_result(made: tuple[Team, Library], threads: int):
    crew, library = made
    with crew.together(7, threads) as run:
        assert run([lambda at=at: at * at for at in range(7)]) == [at * at for at in range(7)]
    assert library.count == 4


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_reach_the_caller_and_blas_is_as_it_was(made: tuple[Team, Library], where: int, error: type):
    crew, library = made

    def task(number: int) -> int:
        if number == where:
            raise error("of a task")
        return number

    with pytest.raises(error, match="of a task") as caught, crew.together(3) as run:
        run([lambda at=at: task(at) for at in range(3)])
    assert "task" in [frame.name for frame in caught.traceback]
    assert library.count == 4
    with crew.together(3) as run:  # and the team works on
        assert run([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]


def test_a_second_caller_works_alone_and_leaves_blas_alone(made: tuple[Team, Library]):
    crew, library = made
    with crew.together(2) as run:
        with crew.together(2) as other:
            assert other is in_turn
            assert library.count == 4 or library.seen == [1]
            assert crew.blas_threads() == 4  # what it will be again
        assert library.count == 1
        assert run([lambda: 1, lambda: 2]) == [1, 2]
    assert library.count == 4


def test_where_blas_has_one_thread_so_have_blocks(made: tuple[Team, Library]):
    crew, library = made
    library.count = 1
    with crew.together(4) as run:
        assert run is in_turn
    with crew.together(4, 2) as run:
        assert run is not in_turn
    assert library.count == 1


def test_callers_at_the_same_time_get_the_same_bits():
    prepared = prepare(loss, W, X, backend=Reverse(blocks=8, threads=2))
    wanted = prepared.gradient(W, X)
    before = team().blas_threads()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: prepared.gradient(W, X), range(60)))
    assert all(np.array_equal(one, wanted) for one in found)
    assert team().blas_threads() == before


def test_after_an_error_in_a_block_all_is_as_before():
    def logarithms(w: Any, x: Any) -> Any:
        return np.sum(np.log(x @ w))

    x, w = np.ones((8, 3)), np.ones((3, 2))
    prepared = prepare(logarithms, w, x, backend=Reverse(blocks=8, threads=2))
    wanted = prepared.gradient(w, x)
    before = team().blas_threads()
    for row in (0, 7):  # of the first thread and of the last
        wrong = x.copy()
        wrong[row] = 0.0
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            prepared.gradient(w, wrong)
        assert team().blas_threads() == before
        assert np.array_equal(prepared.gradient(w, x), wanted)


def test_a_child_of_a_fork_makes_its_own_threads():
    prepared = prepare(loss, W, X, backend=Reverse(blocks=8, threads=2))
    wanted = prepared.gradient(W, X)
    reading, writing = os.pipe()
    with team().together(2, 2), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is what is tried
        child = os.fork()
        if child == 0:
            free = team()._busy.acquire(blocking=False)
            team()._busy.release()
            same = np.array_equal(prepared.gradient(W, X), wanted)
            os.write(writing, b"same" if same and free and len(team()._queues) == 1 else b"else")
            os._exit(0)
    os.close(writing)
    try:
        assert os.read(reading, 4) == b"same"
    finally:
        os.close(reading)
        os.waitpid(child, 0)


def test_sums_of_derivatives_over_blocks_raise_no_warnings() -> None:
    x = np.tile(np.array([2e38, -2e38, 0.0], np.float32), (6, 1))
    w = np.full(3, 0.5, np.float32)
    prepared = prepare(lambda w, x: np.sum(np.sum(x * w * w, 1)), w, x, backend=Reverse(blocks=6, threads=2))
    assert prepared.stats["blocks"] == 6
    with np.errstate(all="raise"):
        assert prepared.gradient(w, x).tolist() == [np.inf, -np.inf, 0.0]
