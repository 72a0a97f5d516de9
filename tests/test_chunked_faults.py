"""Chunks of Jacobians where there is little room, or where something refuses: still within the limit, or a sentence."""

import tracemalloc

import numpy as np
import pytest

import difflab as dl
from difflab.errors import InputError, UnsupportedError


def waves(x):
    """Four outputs for every number, each of which depends on all of them."""
    return np.sin(np.concatenate([x, x, x, x]) * np.mean(x) + np.arange(4.0 * len(x)))


@pytest.mark.parametrize("backend", ["finite", "complex-step"])
def test_perturbations_keep_within_the_limit_of_arrays(backend, tmp_path):
    x, limit = np.random.default_rng(0).normal(size=600), 400_000
    call = dl.jacobian(waves, backend=backend, memory=limit, file=tmp_path / "first.npy")
    call(x)
    tracemalloc.start()
    try:
        dl.jacobian(waves, backend=backend, memory=limit, file=tmp_path / "second.npy")(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit + 150_000  # Python's own objects, those of tracing and compiling among them


def test_who_forms_whole_jacobians_cannot_go_through_them(tmp_path):
    with pytest.raises(UnsupportedError, match="backend 'scipy' forms the whole of the jacobian of `waves` of 24 x 6"):
        dl.jacobian(waves, backend="scipy", file=tmp_path / "j.npy")(np.ones(6))
    assert not list(tmp_path.iterdir())


def test_paths_that_the_system_refuses(tmp_path):
    with pytest.raises(InputError, match="cannot be written: File name too long; choose another path"):
        dl.jacobian(waves, file=tmp_path / f"{'a' * 300}.npy")(np.ones(6))
    with pytest.raises(InputError, match="a path has no zero characters"):
        dl.jacobian(waves, file=f"{tmp_path}/a\0.npy")(np.ones(6))
