"""The stand-in for a GPU runs raw kernels: by the name that their text gives, or compiled by g++."""

import shutil
from typing import Any

import cupy_double
import cxx_double
import numpy as np
import pytest


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


@pytest.fixture
def compiled(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    cxx_double.compile_kernels(monkeypatch)
    return cupy


def test_without_a_compiler_the_double_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"g\+\+, which is not there"):
        cxx_double.compile_kernels(monkeypatch)


def test_the_double_runs_no_text_that_does_not_say_what_it_computes(cupy):
    kernel = cupy.RawKernel('extern "C" __global__ void f(float* x) {}', "f")
    with pytest.raises(NotImplementedError, match="does not begin with what it computes"):
        kernel((1,), (1,), (cupy.empty(1, "f4"),))


@pytest.mark.cxx
def test_the_double_compiles_blocks_that_meet(compiled):
    code = """extern "C" __global__ void turn(const float* x, float* y, long long n) {
        __shared__ float held[8];
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        held[threadIdx.x] = i < n ? x[i] : 0.0f;
        __syncthreads();
        if (i < n) y[i] = held[blockDim.x - 1 - threadIdx.x];
    }"""
    x, y = compiled.asarray(np.arange(16.0, dtype="f4")), compiled.empty(16, "f4")
    compiled.RawKernel(code, "turn")((2,), (8,), (x, y, 16))
    assert y.held.tolist() == [*range(7, -1, -1), *range(15, 7, -1)]


@pytest.mark.cxx
def test_the_double_shows_what_the_compiler_says(compiled):
    with pytest.raises(RuntimeError, match="g\\+\\+ does not compile the kernel bad"):
        compiled.RawKernel('extern "C" __global__ void bad(float* x) { nonsense; }', "bad")(
            (1,), (1,), (compiled.empty(1),)
        )


@pytest.mark.cxx
def test_the_double_runs_elementwise_kernels_with_raw_operands(compiled):
    table = np.arange(12.0).reshape(3, 4).T
    rows, out = np.array([2, 0, 3]), np.empty((3, 2))[:, 0]
    cxx_double.run_elementwise(
        "raw T table, int64 row, T scale", "T y", "y = table[row * 3 + i] * scale", "pick", [table, rows, 2.0, out], 3
    )
    np.testing.assert_array_equal(out, 2.0 * table[rows, [0, 1, 2]])
