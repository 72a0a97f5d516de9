"""How many lanes go at once: caches, memory, options; and the directions they go along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import transforms
from difflab.backends.finite import Finite
from difflab.backends.forward import Forward
from difflab.backends.reverse import Reverse
from difflab.errors import InputError
from difflab.execution import chunks
from difflab.primitives.record import Aval

# ---------------------------------------------------------------------------- how many lanes


def test_lanes_fill_the_cache_evenly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunks, "cache_bytes", lambda: 1 << 20)
    monkeypatch.setattr(chunks, "memory_bytes", lambda device: 1 << 30)
    assert chunks.lanes_per_chunk(1 << 10, 100) == 100
    assert chunks.lanes_per_chunk(1 << 15, 100) == 50  # two chunks of 64 at most
    assert chunks.lanes_per_chunk(1 << 15, 129) == 43
    assert chunks.lanes_per_chunk(1 << 21, 100) == 8  # not even one fits
    assert chunks.lanes_per_chunk(1 << 29, 100) == 2  # memory for two
    assert chunks.lanes_per_chunk(1 << 31, 100) == 1
    assert chunks.lanes_per_chunk(0, 0) == 1
    assert chunks.lanes_per_chunk(1, 7, chunk=3) == 3
    assert chunks.lanes_per_chunk(1, 7, chunk=30) == 7


def test_the_cache_is_read_from_the_system(tmp_path: Path):
    assert chunks.cache_bytes(tmp_path) == chunks.USUAL_CACHE
    for index, (level, size) in enumerate([("1", "32K"), ("2", "2M"), ("3", "8M")]):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        (folder / "level").write_text(f"{level}\n")
        (folder / "size").write_text(f"{size}\n")
    chunks.cache_bytes.cache_clear()
    assert chunks.cache_bytes(tmp_path) == 2 << 20
    (tmp_path / "index1" / "size").write_text("much\n")
    chunks.cache_bytes.cache_clear()
    assert chunks.cache_bytes(tmp_path) == chunks.USUAL_CACHE
    assert chunks.memory_bytes() >= 1 << 20


@pytest.mark.parametrize("chunk", [0, -1, 2.0, True, "small", None])
@pytest.mark.parametrize("backend", [Finite, Forward, Reverse])
def test_chunks_are_checked_when_they_are_given(backend: Any, chunk: Any):
    with pytest.raises(
        InputError, match=rf"{backend.__name__}\(chunk=.*the chunk is 'auto' or an integer of at least 1"
    ):
        backend(chunk=chunk)


def test_a_chunk_is_an_option_like_any_other():
    assert dl.gradient(np.square, backend=Forward(chunk=1))(3.0) == 6.0
    assert Forward(chunk=3) != Forward()
    shown = [Forward(), Reverse(chunk=2), Finite(), Finite("forward", 0.5, 7)]
    assert [repr(backend) for backend in shown] == [
        "Forward()",
        "Reverse(chunk=2)",
        "Finite(scheme='central', step='auto')",
        "Finite(scheme='forward', step=0.5, chunk=7)",
    ]


# ---------------------------------------------------------------------------- directions


def test_runs_cover_every_direction_once():
    avals = [
        Aval((2,), np.dtype("f8")),
        Aval((), np.dtype("f8")),
        Aval((3,), np.dtype("c16")),
        Aval((2,), np.dtype("i8")),
    ]
    coordinates = transforms.Coordinates(avals, imaginary=True)
    assert coordinates.count == 9
    for lanes in range(1, 11):
        seen = []
        for start in range(0, 9, lanes):
            for run in coordinates.runs(start, min(start + lanes, 9)):
                assert run.lane + run.length <= lanes
                for _, there, where in coordinates.pieces(run):
                    assert there.stop - there.start == where.stop - where.start
                seen += [(run.group, run.first + k, run.unit) for k in range(run.length)]
        assert seen == [
            *[(0, k, 0) for k in range(3)],
            *[(1, k, unit) for unit in (0, 1) for k in range(3)],
        ]
    units = coordinates.units(4, 7)
    assert np.array_equal(units[2], [[0, 1, 0], [0, 0, 1], [1j, 0, 0]])
    assert not any(np.any(units[k]) for k in (0, 1, 3))
