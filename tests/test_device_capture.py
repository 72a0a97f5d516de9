"""Which primitives may be captured in a CUDA graph: all that call no library and ask the host nothing."""

from __future__ import annotations

from typing import Any

import cupy_double
import pytest
from samples import all_cases, same_bits
from test_device_primitives import LACKING, NEEDS, OTHERWISE, on_device

from difflab.execution.device.evaluate import evaluate
from difflab.primitives import REGISTRY

LIBRARIES = {
    **dict.fromkeys(("matmul",), "cuBLAS; a program calls it by itself, past CuPy"),
    **dict.fromkeys(("cholesky", "det", "det_derivative", "eig", "eigh", "eigvals", "eigvalsh", "inverse", "logabsdet",
                     "pinv", "qr", "sign_det", "solve", "svd", "svdvals"), "cuSOLVER"),
    **dict.fromkeys(("fft", "rfft", "irfft"), "cuFFT"),
}  # fmt: skip
"""Primitives that CuPy refuses while a stream is captured, and the library that they call."""
FREE = [primitive.name for primitive in REGISTRY if primitive.name not in {*LIBRARIES, *NEEDS, *LACKING, *OTHERWISE}]


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return cupy_double.install(monkeypatch)


@pytest.mark.parametrize("name", FREE)
def test_it_runs_when_the_graph_does(name: str, cupy: Any):
    for case in all_cases([REGISTRY[name]]):
        operands, _ = on_device(cupy, case)  # the first run compiles
        cupy.STATE.copies.clear()
        graph = cupy.STATE.capturing = []
        noted = case.primitive.abstract(*case.avals, **case.params)
        value = evaluate(cupy, REGISTRY[name], operands, case.params, noted)
        cupy.STATE.capturing = None
        for action in graph:
            action()
        assert not cupy.STATE.copies
        assert same_bits(value.held, case.value), case.label


@pytest.mark.parametrize("name", [*LIBRARIES, *(name for name in NEEDS if name not in LIBRARIES)])
def test_it_is_refused(name: str, cupy: Any):
    case = all_cases([REGISTRY[name]])[0]
    operands, _ = on_device(cupy, case)
    cupy.STATE.capturing = []
    noted = case.primitive.abstract(*case.avals, **case.params)
    with pytest.raises((NotImplementedError, cupy.STATE.runtime_error), match="captur"):
        evaluate(cupy, REGISTRY[name], operands, case.params, noted)
