"""The texts of all kernels as C++, with CUDA's words for the host: they compile, and compute what NumPy does."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kernel_cases
import numpy as np
import pytest

from difflab.execution.device.texts import elements_text

pytestmark = pytest.mark.cxx

WORDS = Path(__file__).with_name("cuda_words.h")
C_TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint64": "unsigned long long", "float16": "float16", "float32": "float",
    "float64": "double", "complex64": "complex<float>", "complex128": "complex<double>",
}  # fmt: skip
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fwrapv", "-shared", "-fPIC")
EXACT = frozenset(
    "add subtract multiply divide negative square sign absolute maximum minimum fmax fmin relu floor ceil trunc rint "
    "floor_divide remainder fmod heaviside copysign where cast zeros_like copy sqrt real imag conjugate complex_of "
    "ldexp degrees radians".split()
)
STAND_INS = frozenset("erfinv erfcinv ndtri ndtr erfcx log_ndtr i0 i1 numpy_i0 exp10 sindg cosdg".split())

FINITE = frozenset("j0 j1 y0 y1 i0 i1 numpy_i0 sindg cosdg gammaln".split())  # SciPy's and C's differ at infinity


def source() -> str:
    """One function per case."""
    parts = [WORDS.read_text()]
    for at, case in enumerate(kernel_cases.cases()):
        tape = kernel_cases.tape_of(case)
        text = elements_text(tape, kernel_cases.group_of(tape))
        parameters = [part.split() for part in f"{text.inputs}, {text.outputs}".split(",") if part.strip()]
        places = [f"{C_TYPES[kind]}& {name} = (({C_TYPES[kind]}*)held[{slot}])[i];"
                  for slot, (kind, name) in enumerate(parameters)]  # fmt: skip
        before = text.before.replace("#include <cupy/float16.cuh>", "")
        body = "\n".join([*places, *text.lines])
        parts.append(
            f"namespace case_{at} {{\n{before}\n"
            f'extern "C" void run_{at}(long n, void** held) {{ for (long i = 0; i < n; ++i) {{\n{body}\n}} }}\n'
            "#undef infinity\n#undef not_a_number\n}"
        )
    return "\n".join(parts)


@pytest.fixture(scope="module")
def library(tmp_path_factory: Any) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    assert compiler is not None, "these tests compile kernels; install g++"
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cpp").write_text(source())
    done = subprocess.run(
        [compiler, *FLAGS, "-o", "kernels.so", "kernels.cpp"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(folder / "kernels.so"))


def computed(library: ctypes.CDLL, at: int, case: kernel_cases.Case) -> np.ndarray:
    group = kernel_cases.group_of(kernel_cases.tape_of(case))
    operands = [np.ascontiguousarray(np.broadcast_to(case.operands[number], case.expected.shape))
                for number in group.inputs]  # fmt: skip
    result = np.empty(case.expected.shape, case.expected.dtype)
    pointers = (ctypes.c_void_p * (len(operands) + 1))(*[one.ctypes.data for one in (*operands, result)])
    library[f"run_{at}"](ctypes.c_long(result.size), pointers)
    return result


@pytest.mark.parametrize("name", kernel_cases.names())
def test_the_text_computes_what_numpy_does(library, name):
    for at, case in enumerate(kernel_cases.cases()):
        if case.primitive.name != name:
            continue
        result, kind = computed(library, at, case), case.expected.dtype.kind
        if name in FINITE:
            (x,) = case.operands
            result, case = result[np.isfinite(x)], case._replace(expected=case.expected[np.isfinite(x)])
        if kind in "biu" or (name in EXACT and kind == "f"):
            np.testing.assert_array_equal(result, case.expected, err_msg=case.label)
            continue
        epsilon = float(np.finfo(case.expected.dtype).eps)
        within = max(40 * epsilon, 1e-9 if name in STAND_INS else 0.0)
        np.testing.assert_allclose(result, case.expected, rtol=within, atol=8 * epsilon, err_msg=case.label)
